/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places: which pools a job may use, and which of them is best.
 *
 * Every pool that fits is scored, in nano-units for the work: the chips and their power there, with carbon, over the
 * throughput of the alternative, and what it costs to bring the job's data there; the chips are held while it comes. The
 * least wins; of equals the pool with the lower id. Replicas of one deployment are spread over its sites first, so that the loss of
 * one takes as few of them as can be.
 */
#include <string.h>

#include "base/checked.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/why.h"

/* ---- which pools ---- */

struct ask ask_for(uint32_t flags, const struct alternative *a)
{
    return (struct ask){.chips = a->count, .one_domain = flags & JOB_ONE_DOMAIN};
}

uint32_t place_bars(const struct core *core, struct shape *shape, const struct alternative *a,
                    const struct pool *pool)
{
    const struct shape_key *key = &shape->key;
    const struct row_site *site = &core->net.site[pool->site.v].row;
    const struct row_chip *chip = &core->net.chip[pool->chip.v].row;
    uint32_t bars = 0;
    if ((key->site != INDEX_NONE && key->site != pool->site.v) ||
        (key->deployment != INDEX_NONE && !deployment_is_at(core, key->deployment, pool->site)))
        bars |= 1u << WHY_SITE;
    if (key->deployment != INDEX_NONE && deployment_is_barred(core, key->deployment, pool->site.v))
        bars |= 1u << WHY_ACCEPT;
    if (key->jurisdiction[0] && memcmp(key->jurisdiction, site->jurisdiction, CODE_CAP) != 0)
        bars |= 1u << WHY_JURISDICTION;
    if (key->vendor[0] && memcmp(key->vendor, chip->vendor, NAME_CAP) != 0)
        bars |= 1u << WHY_VENDOR;
    if (job_isolation(key->flags) > site->isolation)
        bars |= 1u << WHY_ISOLATION;
    if (a->chip != INDEX_NONE && a->chip != pool->chip.v)
        bars |= 1u << WHY_CHIP;
    /* A replica is one process: its chips are of one node. */
    if (!pool_could(pool, ask_for(key->flags, a)) ||
        (key->deployment != INDEX_NONE && pool->row.node_chips < a->count))
        bars |= 1u << WHY_SIZE;
    if (site_state(site) != PLACE_UP)
        bars |= 1u << WHY_SITE_DOWN;
    if (pool->nodes_up == 0)
        bars |= 1u << WHY_NODE_DOWN;
    if (key->source != INDEX_NONE && !route_leads(core, shape_closed(core, shape), key->source, pool->site.v))
        bars |= 1u << WHY_CORRIDOR_DOWN;
    return bars;
}

/* ---- where ---- */

bool lane_ahead(const struct core *core, const struct lane *a, const struct lane *b)
{
    return rank_before(core, a->tenant, queue_first(&a->waiting), b->tenant, queue_first(&b->waiting));
}

static bool is_gang(const struct job *job)
{
    return job->row.count0 > 1 || job->row.count1 > 1 || job->row.count2 > 1 || job->row.count3 > 1;
}

/* The reservation of a lane is that of its first job. A single chip never has one: whoever waits for it and is ahead of
 * the job with the reservation may take a chip that is held. */
enum held_use place_use(const struct core *core, const struct pool *pool, const struct lane *lane,
                        const struct job *job, int64_t end_ms)
{
    if (pool->reserved_for == INDEX_NONE)
        return HELD_OWN;
    const struct lane *holder = &core->work.lane[pool->reserved_for];
    bool own = holder->tenant == lane->tenant && holder->shape == lane->shape;
    if (queue_first(&lane->waiting) == &job->in_lane &&
        (own || (!is_gang(job) && lane_ahead(core, lane, holder))))
        return HELD_OWN;
    return end_ms <= pool->reserved_ms ? HELD_FIRST : HELD_AVOID;
}

static bool power_for(const struct core *core, const struct pool *pool, uint32_t chips)
{
    return site_takes(&core->net.site[pool->site.v], chips * pool_chip_watts(core, pool));
}

bool place_way(const struct core *core, const struct job *job, struct shape *shape, const struct pool *pool,
               struct way *out)
{
    if (shape->key.source != INDEX_NONE)
        return route_way(core, shape_closed(core, shape), shape->key.source, pool->site.v,
                         job->row.data_bytes, out) &&
               (out->n == 0 || out->bits_s > 0);
    *out = (struct way){0};
    return true;
}

int128 place_cost(const struct pool *pool, const struct alternative *a, int64_t run_ms, const struct way *way)
{
    return (int128)pool->rate * a->count * (way->ms + run_ms) + way->cost * RATE_MS;
}

static bool better(const struct core *core, const struct choice *best, const struct pool *pool,
                   uint32_t beside, int128 cost)
{
    if (best->pool == INDEX_NONE || beside != best->beside)
        return best->pool == INDEX_NONE || beside < best->beside;
    if (cost != best->cost)
        return cost < best->cost;
    return memcmp(&pool->row.id, &core->net.pool[best->pool].row.id, sizeof pool->row.id) < 0;
}

/* A search for the best pool. */
struct search {
    struct core *core;
    const struct lane *lane;
    struct shape *shape;
    const struct job *job;
    int64_t most; /* that a chip-hour may cost, where the job waits by choice */
    struct choice best;
    uint32_t way_to; /* the site of the last pool that was asked for its way, and that way */
    bool open;
    struct way way;
};

/* Whether the job's data could come to the pool: sets `way`. Pools of one site mostly follow one another. */
static bool way_is_open(struct search *s, const struct pool *pool)
{
    if (s->shape->key.source != INDEX_NONE && s->way_to != pool->site.v) {
        s->way_to = pool->site.v;
        s->open = place_way(s->core, s->job, s->shape, pool, &s->way);
    }
    return s->open;
}

static void consider(struct search *s, uint32_t i, uint32_t a, int64_t run_ms)
{
    struct core *core = s->core;
    const struct alternative *alternative = &s->shape->key.alternative[a];
    const struct pool *pool = &core->net.pool[i];
    if (pool->free < alternative->count ||
        (s->job->held && !plan_allows(core, &s->shape->key, alternative, i, s->most)) ||
        !way_is_open(s, pool))
        return;
    int128 cost = place_cost(pool, alternative, run_ms, &s->way);
    uint32_t of = s->shape->key.deployment;
    uint32_t beside = of == INDEX_NONE ? 0 : deployment_count_at(core, of, pool->site);
    enum held_use use = place_use(core, pool, s->lane, s->job, core->now_ms + s->way.ms + run_ms);
    if (better(core, &s->best, pool, beside, cost) &&
        pool_fits(pool, ask_for(s->shape->key.flags, alternative), use) &&
        power_for(core, pool, alternative->count) && reserve_grants(core, s->job, i, alternative->count))
        s->best = (struct choice){.pool = i, .alternative = a, .use = use, .beside = beside, .cost = cost};
}

struct choice place_choose(struct core *core, uint32_t lane_index, const struct job *job,
                           const uint64_t *closed)
{
    const struct lane *lane = &core->work.lane[lane_index];
    struct search s = {.core = core,
                       .lane = lane,
                       .shape = shape_now(core, lane->shape),
                       .job = job,
                       .most = job->held ? plan_threshold(core, lane->group, job->latest_ms) : 0,
                       .best = {.pool = INDEX_NONE},
                       .way_to = INDEX_NONE,
                       .open = true};
    for (uint32_t a = 0; a < s.shape->nalternatives; a++) {
        const uint64_t *mask = reach_mask(core, s.shape->reach, a);
        int64_t run_ms = job_run_ms(job, s.shape->key.alternative[a].rate);
        for (uint32_t w = 0; w < core->work.pool_words; w++) {
            for (uint64_t left = mask[w] & ~closed[w]; left; left &= left - 1)
                consider(&s, w * 64 + (uint32_t)__builtin_ctzll(left), a, run_ms);
        }
    }
    return s.best;
}

int64_t place_room(const struct core *core, const struct pool *pool, const struct alternative *a)
{
    int64_t room = pool->reserved_ms == INT64_MAX ? JOB_MS_MAX : pool->reserved_ms - core->now_ms;
    return (room < JOB_MS_MAX ? room : JOB_MS_MAX) * a->rate / 1000;
}

int64_t place_limit(struct core *core, uint32_t lane, const uint64_t *closed)
{
    const struct shape *shape = shape_now(core, core->work.lane[lane].shape);
    int64_t limit = -1;
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        const struct alternative *alternative = &shape->key.alternative[a];
        const uint64_t *mask = reach_mask(core, shape->reach, a);
        for (uint32_t w = 0; w < core->work.pool_words; w++) {
            for (uint64_t left = mask[w] & core->work.reserved[w] & ~closed[w]; left; left &= left - 1) {
                const struct pool *pool = &core->net.pool[w * 64 + (uint32_t)__builtin_ctzll(left)];
                int64_t room = place_room(core, pool, alternative);
                if (room > limit && pool_fits(pool, ask_for(shape->key.flags, alternative), HELD_FIRST) &&
                    power_for(core, pool, alternative->count))
                    limit = room;
            }
        }
    }
    return limit;
}
