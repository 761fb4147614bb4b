/* SPDX-License-Identifier: Apache-2.0 */
/* One loss assessed: the firm work that it would stop, put into what is left, by counts (core/contingency.h). */
#include <string.h>

#include "core/contingency.h"
#include "core/kinds.h"
#include "core/state.h"

/* ---- in which order ---- */

static int compare(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size);
}

/* By what rules are told of them: which of those that are equal in that stands for the others is not in rows. */
static int compare_tenants(const struct core *core, uint32_t a, uint32_t b)
{
    const struct row_tenant *x = &core->tenant[a].row, *y = &core->tenant[b].row;
    int order = compare(x->jurisdiction, y->jurisdiction, sizeof x->jurisdiction);
    if (order == 0)
        order = compare(x->licence, y->licence, sizeof x->licence);
    return order != 0 || !core->book.names_tenants ? order : compare(x->name, y->name, sizeof x->name);
}

/* Shapes have no order of their own that a reload keeps: what they ask for has, by names and ids. */
static int compare_keys(const struct core *core, const struct shape_key *a, const struct shape_key *b)
{
    static const struct uuid nowhere;
    const struct network *net = &core->net;
    int order = compare_tenants(core, a->tenant, b->tenant);
    for (uint32_t i = 0; i < ALTERNATIVES && order == 0; i++) {
        const struct alternative *x = &a->alternative[i], *y = &b->alternative[i];
        if (x->count != y->count || x->rate != y->rate)
            return x->count != y->count ? (x->count > y->count ? -1 : 1) : (x->rate > y->rate ? -1 : 1);
        if (x->count == 0)
            break;
        order = compare(x->chip == INDEX_NONE ? "" : net->chip[x->chip].row.id,
                        y->chip == INDEX_NONE ? "" : net->chip[y->chip].row.id,
                        x->chip == INDEX_NONE || y->chip == INDEX_NONE ? 1 : CHIP_CAP);
    }
    if (order == 0)
        order = compare(a->site == INDEX_NONE ? &nowhere : &net->site[a->site].row.id,
                        b->site == INDEX_NONE ? &nowhere : &net->site[b->site].row.id, sizeof nowhere);
    if (order == 0)
        order = compare(a->home == INDEX_NONE ? "" : net->site[a->home].row.jurisdiction,
                        b->home == INDEX_NONE ? "" : net->site[b->home].row.jurisdiction,
                        a->home == INDEX_NONE || b->home == INDEX_NONE ? 1 : CODE_CAP);
    if (order == 0 && (a->flags != b->flags || a->kind != b->kind))
        return a->flags != b->flags ? (a->flags < b->flags ? -1 : 1) : (a->kind < b->kind ? -1 : 1);
    if (order == 0)
        order = compare(a->data_class, b->data_class, CODE_CAP);
    if (order == 0)
        order = compare(a->jurisdiction, b->jurisdiction, CODE_CAP);
    return order != 0 ? order : compare(a->vendor, b->vendor, NAME_CAP);
}

static bool in_domain(const struct shape *shape)
{
    return shape->key.flags & JOB_ONE_DOMAIN;
}

static uint32_t largest(const struct shape *shape)
{
    uint32_t most = 0;
    for (uint32_t a = 0; a < shape->nalternatives; a++)
        most = shape->key.alternative[a].count > most ? shape->key.alternative[a].count : most;
    return most;
}

static uint32_t count_pools(const struct core *core, const struct shape *shape)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < core->work.pool_words; w++) {
        uint64_t any = 0;
        for (uint32_t a = 0; a < shape->nalternatives; a++)
            any |= shape->mask[(size_t)a * core->work.pool_words + w];
        for (; any; any &= any - 1)
            n++;
    }
    return n;
}

/* Whoever must have one domain goes first, while domains are whole; then who has few pools to go to; then the large. */
static bool placed_before(const struct core *core, uint32_t i, uint32_t j)
{
    const struct shape *a = &core->work.shape[i], *b = &core->work.shape[j];
    if (in_domain(a) != in_domain(b))
        return in_domain(a);
    uint32_t x = a->npools, y = b->npools;
    if (x != y)
        return x < y;
    x = largest(a);
    y = largest(b);
    return x != y ? x > y : compare_keys(core, &a->key, &b->key) < 0;
}

/* ---- what is left ---- */

static uint16_t *could_of(const struct core *core, uint32_t pool)
{
    return core->reserve.could + (size_t)pool * (NODE_CHIPS_MAX + 1);
}

/* Load that the site may still have before PUE, if all interruptible work there stopped. */
static uint64_t room_of_site(const struct core *core, uint32_t index)
{
    const struct site *site = &core->net.site[index];
    uint64_t limit = site_limit(site);
    return limit == 0 ? UINT64_MAX : ((limit + 1) * 1000 - 1) / site_pue(&site->row);
}

static void list_room(struct core *core, const struct loss *loss)
{
    struct reserve *r = &core->reserve;
    for (uint32_t i = 0; i < core->net.sites.used; i++)
        r->watts[i] = core->net.site[i].load;
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        const struct pool *pool = &core->net.pool[p];
        r->watts[pool->site.v] -= pool->soft * pool_chip_watts(core, pool);
        r->placed[p] = r->asked[p] = 0;
        if (loss_hits(core, loss, pool))
            memset(could_of(core, p), 0, sizeof pool->could);
        else
            memcpy(could_of(core, p), pool->could, sizeof pool->could);
    }
    for (uint32_t i = 0; i < core->net.sites.used; i++) {
        uint64_t most = room_of_site(core, i);
        r->watts[i] = most > r->watts[i] ? most - r->watts[i] : 0;
    }
}

/* What the loss stops, by shape; which pools these could go to, those that fewest of them could first. Returns how many shapes. */
static uint32_t list_lost(struct core *core, const struct loss *loss, struct contingency *out)
{
    struct reserve *r = &core->reserve;
    uint32_t shapes = core->work.shapes.used, n = 0;
    memset(r->lost, 0, shapes * sizeof *r->lost);
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        const struct pool *pool = &core->net.pool[p];
        const struct job_count *firm = r->firm + (size_t)p * core->limits.shapes;
        if (pool->busy == pool->soft || !loss_hits(core, loss, pool))
            continue;
        for (uint32_t s = 0; s < shapes; s++) {
            r->lost[s].jobs += firm[s].jobs;
            r->lost[s].chips += firm[s].chips;
        }
    }
    for (uint32_t s = 0; s < shapes; s++) {
        if (r->lost[s].jobs == 0)
            continue;
        out->firm_jobs += r->lost[s].jobs;
        out->firm_chips += r->lost[s].chips;
        struct shape *shape = shape_now(core, s);
        shape->npools = count_pools(core, shape);
        for (uint32_t p = 0; p < core->net.pools.used; p++)
            r->asked[p] += shape->mask[p / 64] >> p % 64 & 1;
        uint32_t at = n++;
        for (; at > 0 && placed_before(core, s, r->order[at - 1]); at--)
            r->order[at] = r->order[at - 1];
        r->order[at] = s;
    }
    return n;
}

static void sort_by_use(struct core *core)
{
    struct reserve *r = &core->reserve;
    for (uint32_t k = 0; k < r->pools; k++) {
        uint32_t at = k;
        for (; at > 0 && r->asked[r->by_id[k]] < r->asked[r->by_use[at - 1]]; at--)
            r->by_use[at] = r->by_use[at - 1];
        r->by_use[at] = r->by_id[k];
    }
}

/* ---- putting gangs into counts ---- */

/* Gangs that fit on one node: as many on each as it holds, the fullest nodes that are enough first. */
static uint32_t put_small(uint16_t *could, uint32_t top, uint32_t chips, uint32_t n)
{
    uint32_t left = n;
    for (uint32_t f = chips; f <= top && left > 0; f++) {
        uint32_t each = f / chips;
        uint32_t nodes = left / each < could[f] ? left / each : could[f];
        could[f] = (uint16_t)(could[f] - nodes);
        could[f - each * chips] = (uint16_t)(could[f - each * chips] + nodes);
        left -= nodes * each;
        if (left > 0 && left < each && could[f] > 0) {
            could[f]--;
            could[f - left * chips]++;
            left = 0;
        }
    }
    return n - left;
}

/* Takes the rest of a gang off the fullest node that is enough; false: there is none. */
static bool put_rest(uint16_t *could, uint32_t top, uint32_t rest)
{
    for (uint32_t f = rest; f <= top; f++) {
        if (could[f] == 0)
            continue;
        could[f]--;
        could[f - rest]++;
        return true;
    }
    return false;
}

static uint32_t put_large(uint16_t *could, uint32_t top, uint32_t chips, uint32_t n)
{
    uint32_t whole = chips / top, rest = chips % top, placed = 0;
    for (; placed < n && could[top] >= whole; placed++) {
        could[top] = (uint16_t)(could[top] - whole);
        could[0] = (uint16_t)(could[0] + whole);
        if (rest == 0 || put_rest(could, top, rest))
            continue;
        could[top] = (uint16_t)(could[top] + whole);
        could[0] = (uint16_t)(could[0] - whole);
        break;
    }
    return placed;
}

/* Domains of the pool of which every node could be had whole. */
static uint32_t whole_domains(const struct pool *pool)
{
    uint32_t n = 0;
    for (uint32_t first = 0; first + pool->row.domain <= pool->row.nodes; first += pool->row.domain) {
        bool whole = true;
        for (uint32_t i = first; i < first + pool->row.domain && whole; i++)
            whole = pool->node[i].state == PLACE_UP &&
                    pool->node[i].free + pool->node[i].soft == pool->row.node_chips;
        n += whole;
    }
    return n;
}

/* Gangs that must have one domain: a whole one each, which is more than some need. Domains go before anything else does, so
 * those of a pool that are gone are the nodes that are. */
static uint32_t put_domains(uint16_t *could, const struct pool *pool, uint32_t n)
{
    uint32_t top = pool->row.node_chips;
    uint32_t taken = (uint32_t)(pool->could[top] - could[top]), all = whole_domains(pool);
    uint32_t gone = (taken + pool->row.domain - 1) / pool->row.domain;
    uint32_t placed = all > gone ? all - gone : 0;
    placed = placed < n ? placed : n;
    could[top] = (uint16_t)(could[top] - placed * pool->row.domain);
    return placed;
}

static uint32_t put(struct core *core, uint32_t p, struct ask ask, uint32_t n)
{
    struct reserve *r = &core->reserve;
    const struct pool *pool = &core->net.pool[p];
    uint64_t each = ask.chips * pool_chip_watts(core, pool), *watts = &r->watts[pool->site.v];
    uint16_t *could = could_of(core, p);
    uint32_t top = pool->row.node_chips;
    if (each > 0 && *watts / each < n)
        n = (uint32_t)(*watts / each);
    if (pool_span(pool, ask) < pool->row.nodes)
        n = put_domains(could, pool, n);
    else
        n = ask.chips <= top ? put_small(could, top, ask.chips, n) : put_large(could, top, ask.chips, n);
    *watts -= n * each;
    r->placed[p] += n * ask.chips;
    return n;
}

static uint32_t place_shape(struct core *core, const struct shape *shape, uint32_t n)
{
    const struct reserve *r = &core->reserve;
    uint32_t left = n;
    for (uint32_t a = 0; a < shape->nalternatives && left > 0; a++) {
        const uint64_t *mask = shape->mask + (size_t)a * core->work.pool_words;
        struct ask ask = shape_ask(&shape->key, &shape->key.alternative[a]);
        for (uint32_t k = 0; k < r->pools && left > 0; k++) {
            uint32_t p = r->by_use[k];
            if (mask[p / 64] >> p % 64 & 1)
                left -= put(core, p, ask, left);
        }
    }
    return n - left;
}

bool shape_is_tied(const struct core *core, const struct shape *shape, const struct loss *loss)
{
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        uint64_t any = 0;
        for (uint32_t a = 0; a < shape->nalternatives; a++)
            any |= shape->mask[(size_t)a * core->work.pool_words + p / 64];
        if ((any >> p % 64 & 1) && !loss_hits(core, loss, &core->net.pool[p]))
            return false;
    }
    return true;
}

void loss_assess(struct core *core, const struct loss *loss, struct contingency *out)
{
    struct reserve *r = &core->reserve;
    out->assessed_ms = core->now_ms;
    out->firm_jobs = out->firm_chips = out->placed_jobs = out->placed_chips = out->tied_jobs = 0;
    list_room(core, loss);
    uint32_t n = list_lost(core, loss, out);
    sort_by_use(core);
    for (uint32_t i = 0; i < n; i++) {
        const struct job_count *lost = &r->lost[r->order[i]];
        uint32_t placed = place_shape(core, &core->work.shape[r->order[i]], lost->jobs);
        out->placed_jobs += placed;
        if (placed == 0 && shape_is_tied(core, &core->work.shape[r->order[i]], loss))
            out->tied_jobs += lost->jobs;
        out->placed_chips += (uint32_t)((uint64_t)lost->chips * placed / lost->jobs);
    }
}
