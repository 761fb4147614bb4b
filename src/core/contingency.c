/* SPDX-License-Identifier: Apache-2.0 */
/* Which losses there are, when they are assessed, and what is told and kept. How one is assessed: core/replace.c. */
#include "core/contingency.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

void contingency_carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    struct reserve *r = &core->reserve;
    uint32_t losses = n->sites + n->chips;
    CARVE(core, reserve.alarms, reserve.alarm, losses);
    r->loss = arena_take(arena, losses * sizeof *r->loss);
    r->firm = arena_take(arena, (size_t)n->shapes * n->pools * sizeof *r->firm);
    r->busy = arena_take(arena, (size_t)n->shapes * core->work.pool_words * sizeof *r->busy);
    r->hit = arena_take(arena, core->work.pool_words * sizeof *r->hit);
    r->planned = arena_take(arena, (size_t)losses * n->pools * sizeof *r->planned);
    r->kept = arena_take(arena, n->pools * sizeof *r->kept);
    r->lost = arena_take(arena, core->work.reaches.cap * sizeof *r->lost);
    r->order = arena_take(arena, core->work.reaches.cap * sizeof *r->order);
    r->could = arena_take(arena, (size_t)n->pools * (NODE_CHIPS_MAX + 1) * sizeof *r->could);
    r->placed = arena_take(arena, n->pools * sizeof *r->placed);
    r->asked = arena_take(arena, n->pools * sizeof *r->asked);
    r->by_use = arena_take(arena, n->pools * sizeof *r->by_use);
    r->watts = arena_take(arena, n->sites * sizeof *r->watts);
}

/* ---- which losses there are ---- */

static const char *vendor_of(const struct core *core, uint32_t chip)
{
    return core->net.chip[chip].row.vendor;
}

bool loss_hits(const struct core *core, const struct loss *loss, const struct pool *pool)
{
    return loss->site != INDEX_NONE
               ? pool->site.v == loss->site
               : memcmp(vendor_of(core, pool->chip.v), vendor_of(core, loss->chip), NAME_CAP) == 0;
}

static bool loss_before(const struct core *core, const struct loss *a, const struct loss *b)
{
    if ((a->site == INDEX_NONE) != (b->site == INDEX_NONE))
        return a->site != INDEX_NONE;
    if (a->site != INDEX_NONE)
        return memcmp(&core->net.site[a->site].row.id, &core->net.site[b->site].row.id, sizeof(struct uuid)) <
               0;
    return memcmp(vendor_of(core, a->chip), vendor_of(core, b->chip), NAME_CAP) < 0;
}

/* Puts a loss in its place in the list. */
static void loss_add(struct core *core, struct loss loss)
{
    struct reserve *r = &core->reserve;
    uint32_t at = r->nlosses++;
    for (; at > 0 && loss_before(core, &loss, &r->loss[at - 1]); at--)
        r->loss[at] = r->loss[at - 1];
    loss.alarm = INDEX_NONE;
    loss.last.kind = loss.site != INDEX_NONE ? CONTINGENCY_SITE : CONTINGENCY_VENDOR;
    loss.last.vendor = "";
    if (loss.site != INDEX_NONE)
        loss.last.site = core->net.site[loss.site].row.id;
    else
        loss.last.vendor = vendor_of(core, loss.chip);
    for (uint32_t i = 0; i < r->alarms.used; i++) {
        const struct row_alarm *row = &r->alarm[i].row;
        if (table_live(&r->alarms, i) && uuid_eq(&row->site, &loss.last.site) &&
            text_eq(row->vendor, text_len(row->vendor, NAME_CAP), loss.last.vendor,
                    text_len(loss.last.vendor, NAME_CAP)))
            loss.alarm = i;
    }
    r->loss[at] = loss;
}

/* The losses of the network as it is: nothing of it ever goes, so its sizes tell whether they are known. */
static void look(struct core *core)
{
    struct reserve *r = &core->reserve;
    if (r->sites == core->net.sites.used && r->chips == core->net.chips.used)
        return;
    r->sites = core->net.sites.used;
    r->chips = core->net.chips.used;
    r->nlosses = 0;
    for (uint32_t i = 0; i < r->sites; i++)
        loss_add(core, (struct loss){.site = i});
    for (uint32_t i = 0; i < r->chips; i++) {
        uint32_t first = 0;
        while (memcmp(vendor_of(core, first), vendor_of(core, i), NAME_CAP) != 0)
            first++;
        if (first == i && vendor_of(core, i)[0])
            loss_add(core, (struct loss){.site = INDEX_NONE, .chip = i});
    }
}

/* ---- counts ---- */

void contingency_count(struct core *core, struct job_id id, uint32_t pool, uint32_t chips, bool take)
{
    const struct job *job = &core->work.job[id.v];
    struct reserve *r = &core->reserve;
    if (!job_is_firm(job))
        return;
    uint32_t shape = core->work.lane[job->lane].shape;
    struct job_count *count = &r->firm[(size_t)shape * core->limits.pools + pool];
    uint64_t *busy = &r->busy[(size_t)shape * core->work.pool_words + pool / 64], bit = UINT64_C(1)
                                                                                        << pool % 64;
    count->jobs += take ? 1u : UINT32_MAX;
    count->chips += take ? chips : -chips;
    r->firm_jobs += take ? 1u : UINT32_MAX;
    *busy = count->jobs > 0 ? *busy | bit : *busy & ~bit;
}

void contingency_recount(struct core *core)
{
    struct reserve *r = &core->reserve;
    const struct work *w = &core->work;
    memset(r->firm, 0, (size_t)w->shapes.cap * core->limits.pools * sizeof *r->firm);
    memset(r->busy, 0, (size_t)w->shapes.cap * w->pool_words * sizeof *r->busy);
    r->firm_jobs = 0;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        const struct job *job = &w->job[i];
        if (table_live(&w->jobs, i) && job->row.state == JOB_RUNNING)
            contingency_count(core, (struct job_id){i}, job->pool, job->chips, true);
    }
}

/* ---- what is told ---- */

static void tell(struct core *core, struct loss *loss)
{
    struct reserve *r = &core->reserve;
    const struct contingency *c = &loss->last;
    bool covered = c->placed_jobs == c->firm_jobs;
    if (covered == (loss->alarm == INDEX_NONE))
        return;
    struct effect *effect = effect_add(core, EFFECT_ALARM);
    effect->code = covered ? 0 : ERR_UNAVAILABLE;
    effect->site = c->site;
    memcpy(effect->vendor, c->vendor, text_len(c->vendor, NAME_CAP));
    effect->chips = c->firm_chips;
    effect->amount = c->placed_chips;
    if (covered) {
        table_drop(&r->alarms, loss->alarm);
        loss->alarm = INDEX_NONE;
        return;
    }
    loss->alarm = table_take(&r->alarms);
    struct row_alarm *row = &r->alarm[loss->alarm].row;
    *row = (struct row_alarm){.site = c->site,
                              .since_ms = core->now_ms,
                              .firm_chips = c->firm_chips,
                              .placed_chips = c->placed_chips};
    memcpy(row->vendor, effect->vendor, sizeof row->vendor);
}

int load_alarm(struct core *core, const struct row_alarm *row)
{
    if (uuid_zero(&row->site) ? row->vendor[0] == 0 : site_by_id(core, &row->site).v == INDEX_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->reserve.alarms);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->reserve.alarm[i].row = *row;
    return 0;
}

/* ---- what is kept ---- */

static bool keeps(const struct core *core)
{
    return core->work.row.reserve == RESERVE_KEEP;
}

/* The plan for a loss is another: so is what pools have to keep. */
static void keep(struct core *core, uint32_t index)
{
    struct reserve *r = &core->reserve;
    uint32_t stride = core->limits.pools;
    memcpy(r->planned + (size_t)index * stride, r->placed, core->net.pools.used * sizeof *r->placed);
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < r->nlosses; i++)
            most = r->planned[(size_t)i * stride + p] > most ? r->planned[(size_t)i * stride + p] : most;
        if (most < r->kept[p] || bit_of(core->work.spared, p))
            pool_changed(core, (struct pool_id){p}); /* firm work may have more of it */
        r->kept[p] = most;
    }
}

/* A pool that could still take a job of the shape after the loss, besides what is planned for it; INDEX_NONE: none. */
static uint32_t refuge(const struct core *core, uint32_t index, const struct shape *shape, uint32_t *chips)
{
    const struct reserve *r = &core->reserve;
    const uint32_t *planned = r->planned + (size_t)index * core->limits.pools;
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        const uint64_t *mask = reach_mask(core, shape->reach, a);
        *chips = shape->key.alternative[a].count;
        for (uint32_t k = 0; k < core->net.pools.used; k++) {
            uint32_t p = core->net.pools_by_id[k];
            const struct pool *pool = &core->net.pool[p];
            if (bit_of(mask, p) && !loss_hits(core, &r->loss[index], pool) &&
                pool->room >= (uint64_t)planned[p] + *chips)
                return p;
        }
    }
    return INDEX_NONE;
}

/* Whether all that the loss would stop is planned for, and the chips are there as they were then. */
static bool is_planned(const struct core *core, uint32_t index)
{
    const struct reserve *r = &core->reserve;
    const uint32_t *planned = r->planned + (size_t)index * core->limits.pools;
    const struct loss *loss = &r->loss[index];
    bool whole = !loss->beyond && loss->last.placed_jobs + loss->last.tied_jobs == loss->last.firm_jobs;
    for (uint32_t p = 0; p < core->net.pools.used && whole; p++)
        whole = planned[p] <= core->net.pool[p].room;
    return whole;
}

bool reserve_leaves(const struct core *core, const struct job *job, uint32_t pool_index, uint32_t chips)
{
    return !keeps(core) || !job_is_firm(job) || job->row.epoch > 0 ||
           core->net.pool[pool_index].room >= (uint64_t)core->reserve.kept[pool_index] + chips;
}

bool reserve_allows(const struct core *core, const struct job *job, uint32_t pool_index, uint32_t chips)
{
    const struct reserve *r = &core->reserve;
    const struct pool *pool = &core->net.pool[pool_index];
    uint32_t take;
    if (!keeps(core) || !job_is_firm(job) || job->row.epoch > 0)
        return true;
    if (!reserve_leaves(core, job, pool_index, chips))
        return false;
    for (uint32_t i = 0; i < r->nlosses; i++) {
        const struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
        if (loss_hits(core, &r->loss[i], pool) && !reach_is_tied(core, shape->reach, &r->loss[i]) &&
            (!is_planned(core, i) || refuge(core, i, shape, &take) == INDEX_NONE))
            return false;
    }
    return true;
}

bool reserve_grants(struct core *core, const struct job *job, uint32_t pool, uint32_t chips)
{
    if (reserve_allows(core, job, pool, chips))
        return true;
    if (reserve_leaves(core, job, pool, chips)) /* it is other pools that have no room for it after a loss */
        core->work.spared[pool / 64] |= UINT64_C(1) << pool % 64;
    return false;
}

void reserve_take(struct core *core, const struct job *job, uint32_t pool)
{
    struct reserve *r = &core->reserve;
    if (!keeps(core) || !job_is_firm(job))
        return;
    for (uint32_t i = 0; i < r->nlosses; i++) {
        uint32_t chips = 0, p = INDEX_NONE;
        const struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
        if (!loss_hits(core, &r->loss[i], &core->net.pool[pool]) ||
            reach_is_tied(core, shape->reach, &r->loss[i]))
            continue;
        p = refuge(core, i, shape, &chips);
        r->loss[i].beyond |= p == INDEX_NONE;
        if (p == INDEX_NONE)
            continue;
        uint32_t *planned = &r->planned[(size_t)i * core->limits.pools + p];
        *planned += chips;
        r->kept[p] = *planned > r->kept[p] ? *planned : r->kept[p];
    }
}

/* ---- when ---- */

static bool is_on(const struct core *core)
{
    return core->work.row.reserve != RESERVE_OFF &&
           (core->reserve.firm_jobs > 0 || core->reserve.alarms.live > 0);
}

int64_t contingency_next_ms(const struct core *core)
{
    return is_on(core) ? (core->row.assessed_ms / CONTINGENCY_EVERY_MS + 1) * CONTINGENCY_EVERY_MS
                       : INT64_MAX;
}

static void assess(struct core *core, uint32_t index)
{
    loss_assess(core, &core->reserve.loss[index], &core->reserve.loss[index].last);
    core->reserve.loss[index].beyond = false;
    if (keeps(core))
        keep(core, index);
}

void reserve_reset(struct core *core)
{
    struct reserve *r = &core->reserve;
    look(core);
    r->version = core->net.version;
    memset(r->planned, 0, (size_t)r->nlosses * core->limits.pools * sizeof *r->planned);
    memset(r->kept, 0, core->limits.pools * sizeof *r->kept);
    for (uint32_t i = 0; keeps(core) && i < r->nlosses; i++)
        assess(core, i);
}

void contingency_turn(struct core *core)
{
    struct reserve *r = &core->reserve;
    look(core);
    if (keeps(core) && r->version != core->net.version)
        reserve_reset(core);
    if (core->now_ms < contingency_next_ms(core) || r->nlosses == 0)
        return;
    uint32_t i = (uint32_t)(core->row.assessments++ % r->nlosses);
    core->row.assessed_ms = core->now_ms;
    assess(core, i);
    tell(core, &r->loss[i]);
}

/* ---- what others see ---- */

bool core_contingency(const struct core *core, uint32_t i, struct contingency *out)
{
    if (i >= core->reserve.nlosses)
        return false;
    *out = core->reserve.loss[i].last;
    out->alarm = core->reserve.loss[i].alarm != INDEX_NONE;
    return true;
}

bool contingency_now(struct core *core, uint32_t i, struct contingency *out)
{
    look(core);
    if (!core_contingency(core, i, out))
        return false;
    loss_assess(core, &core->reserve.loss[i], out);
    return true;
}

uint32_t contingency_worst(const struct core *core)
{
    uint64_t worst = 1000;
    for (uint32_t i = 0; i < core->reserve.nlosses; i++) {
        const struct contingency *c = &core->reserve.loss[i].last;
        uint64_t share = c->firm_chips > 0 ? (uint64_t)c->placed_chips * 1000 / c->firm_chips : 1000;
        worst = share < worst ? share : worst;
    }
    return (uint32_t)worst;
}
