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

/* Reaches have no order of their own that a reload keeps: what they ask for has, by names, and the pools by id. */
static int compare_alternatives(const struct core *core, const struct reach_key *a, const struct reach_key *b)
{
    const struct network *net = &core->net;
    int order = 0;
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
    return order;
}

static int compare_masks(const struct core *core, const struct reach *a, const struct reach *b)
{
    const struct network *net = &core->net;
    uint32_t words = core->work.pool_words, pools = net->pools.used;
    for (uint32_t k = 0; k < a->nalternatives * pools; k++) {
        uint32_t p = net->pools_by_id[k % pools], word = k / pools * words + p / 64;
        if ((a->mask[word] ^ b->mask[word]) >> p % 64 & 1)
            return a->mask[word] >> p % 64 & 1 ? -1 : 1;
    }
    return 0;
}

static int compare_reaches(const struct core *core, const struct reach *a, const struct reach *b)
{
    int order = compare_alternatives(core, a->key, b->key);
    if (order == 0 && a->key->flags != b->key->flags)
        order = a->key->flags < b->key->flags ? -1 : 1;
    return order != 0 ? order : compare_masks(core, a, b);
}

static bool in_domain(const struct reach *reach)
{
    return reach->key->flags & JOB_ONE_DOMAIN;
}

static uint32_t largest(const struct reach *reach)
{
    uint32_t most = 0;
    for (uint32_t a = 0; a < reach->nalternatives; a++)
        most = reach->key->alternative[a].count > most ? reach->key->alternative[a].count : most;
    return most;
}

/* Pools that it may use, as some alternative; one word of them. */
static uint64_t any_of(const struct core *core, const struct reach *reach, uint32_t word)
{
    uint64_t any = 0;
    for (uint32_t a = 0; a < reach->nalternatives; a++)
        any |= reach_mask(core, reach, a)[word];
    return any;
}

static bool may_use(const struct core *core, const struct reach *reach, uint32_t pool)
{
    return any_of(core, reach, pool / 64) >> pool % 64 & 1;
}

static uint32_t count_pools(const struct core *core, const struct reach *reach)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < core->work.pool_words; k++) {
        for (uint64_t any = any_of(core, reach, k); any; any &= any - 1)
            n++;
    }
    return n;
}

/* Whoever must have one domain goes first, while domains are whole; then who has few pools to go to; then the large. */
static bool placed_before(const struct core *core, uint32_t i, uint32_t j)
{
    const struct reach *a = &core->work.reach[i], *b = &core->work.reach[j];
    if (in_domain(a) != in_domain(b))
        return in_domain(a);
    uint32_t x = a->npools, y = b->npools;
    if (x != y)
        return x < y;
    x = largest(a);
    y = largest(b);
    return x != y ? x > y : compare_reaches(core, a, b) < 0;
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

/* Adds what the loss stops of a shape to what it stops of the shape's reach. */
static void add_lost(struct core *core, uint32_t i)
{
    struct reserve *r = &core->reserve;
    const struct work *w = &core->work;
    const uint64_t *busy = r->busy + (size_t)i * w->pool_words;
    struct job_count sum = {0};
    for (uint32_t k = 0; k < w->pool_words; k++) {
        for (uint64_t left = busy[k] & r->hit[k]; left; left &= left - 1) {
            uint32_t p = k * 64 + (uint32_t)__builtin_ctzll(left);
            const struct job_count *firm = &r->firm[(size_t)i * core->limits.pools + p];
            sum.jobs += firm->jobs;
            sum.chips += firm->chips;
        }
    }
    if (sum.jobs == 0)
        return;
    struct job_count *lost = &r->lost[shape_now(core, i)->reach - w->reach];
    lost->jobs += sum.jobs;
    lost->chips += sum.chips;
}

/* What the loss stops, by reach; which pools these could go to, those that fewest of them could first. Returns how many
 * reaches. */
static uint32_t list_lost(struct core *core, const struct loss *loss, struct contingency *out)
{
    struct reserve *r = &core->reserve;
    const struct work *w = &core->work;
    uint32_t n = 0;
    memset(r->lost, 0, w->reaches.cap * sizeof *r->lost);
    memset(r->hit, 0, w->pool_words * sizeof *r->hit);
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        if (loss_hits(core, loss, &core->net.pool[p]))
            r->hit[p / 64] |= UINT64_C(1) << p % 64;
    }
    for (uint32_t i = 0; i < w->shapes.used; i++) {
        if (table_live(&w->shapes, i))
            add_lost(core, i);
    }
    for (uint32_t i = 0; i < w->reaches.used; i++) {
        if (r->lost[i].jobs == 0)
            continue;
        out->firm_jobs += r->lost[i].jobs;
        out->firm_chips += r->lost[i].chips;
        struct reach *reach = &core->work.reach[i];
        reach->npools = count_pools(core, reach);
        for (uint32_t p = 0; p < core->net.pools.used; p++)
            r->asked[p] += may_use(core, reach, p);
        uint32_t at = n++;
        for (; at > 0 && placed_before(core, i, r->order[at - 1]); at--)
            r->order[at] = r->order[at - 1];
        r->order[at] = i;
    }
    return n;
}

static void sort_by_use(struct core *core)
{
    struct reserve *r = &core->reserve;
    for (uint32_t k = 0; k < core->net.pools.used; k++) {
        uint32_t at = k, pool = core->net.pools_by_id[k];
        for (; at > 0 && r->asked[pool] < r->asked[r->by_use[at - 1]]; at--)
            r->by_use[at] = r->by_use[at - 1];
        r->by_use[at] = pool;
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

static uint32_t place_reach(struct core *core, const struct reach *reach, uint32_t n)
{
    const struct reserve *r = &core->reserve;
    uint32_t left = n;
    for (uint32_t a = 0; a < reach->nalternatives && left > 0; a++) {
        const uint64_t *mask = reach_mask(core, reach, a);
        struct ask ask = ask_for(reach->key->flags, &reach->key->alternative[a]);
        for (uint32_t k = 0; k < core->net.pools.used && left > 0; k++) {
            uint32_t p = r->by_use[k];
            if (bit_of(mask, p))
                left -= put(core, p, ask, left);
        }
    }
    return n - left;
}

bool reach_is_tied(const struct core *core, const struct reach *reach, const struct loss *loss)
{
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        if (may_use(core, reach, p) && !loss_hits(core, loss, &core->net.pool[p]))
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
        const struct reach *reach = &core->work.reach[r->order[i]];
        uint32_t placed = place_reach(core, reach, lost->jobs);
        out->placed_jobs += placed;
        if (placed == 0 && reach_is_tied(core, reach, loss))
            out->tied_jobs += lost->jobs;
        out->placed_chips += (uint32_t)((uint64_t)lost->chips * placed / lost->jobs);
    }
}
