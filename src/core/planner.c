/* SPDX-License-Identifier: Apache-2.0 */
#include "core/planner.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* Of what is up: gangs do not fill every node. Thousandths. */
#define USABLE 950
/* What is not done in time costs more than any power. */
#define LATE (MERIT_COST_MAX / 10)
#define RUN_HOURS_MAX 24

struct group {
    struct plan_group asks;
    uint64_t lots;                     /* that it may use */
    int128 waiting[PLANNER_HOURS_MAX]; /* chip-ms that must start within so many hours and one more */
};

struct lot {
    uint32_t site;
    int64_t chips;                    /* that are up */
    int64_t firm[PLANNER_HOURS_MAX];  /* chip-ms of ordinary work that runs, */
    int64_t other[PLANNER_HOURS_MAX]; /* of work that could wait */
};

struct planner_scratch {
    struct merit merit;
    struct merit_problem problem;
    struct merit_class class[MERIT_CLASSES_MAX];
    int64_t capacity[MERIT_SITES_MAX * PLANNER_HOURS_MAX], cost[MERIT_SITES_MAX * PLANNER_HOURS_MAX];
    struct lot lot[MERIT_SITES_MAX];
    struct group group[PLANNER_GROUPS_MAX];
    uint32_t nlots, ngroups;
    uint32_t run_hours; /* of work that can wait, on average */
    uint32_t *lot_of;   /* of each pool */
    uint32_t *told;     /* of each site: its forecast */
};

struct making {
    struct planner_scratch *s;
    const struct core *core;
    const struct planner_forecast *f;
    int64_t now_ms;
};

int planner_init(struct planner *planner, struct arena *arena, const struct limits *limits)
{
    struct planner_scratch *s = arena_take(arena, sizeof *s);
    uint32_t *lot_of = arena_take(arena, limits->pools * sizeof *lot_of);
    uint32_t *told = arena_take(arena, limits->sites * sizeof *told);
    struct merit merit;
    int rc = merit_init(&merit, arena, MERIT_SITES_MAX, PLANNER_HOURS_MAX, MERIT_CLASSES_MAX);
    if (rc != 0 || !arena->base)
        return rc;
    if (!s || !lot_of || !told)
        return ERR_NO_MEMORY;
    s->merit = merit;
    s->lot_of = lot_of;
    s->told = told;
    planner->scratch = s;
    return 0;
}

/* ---- lots ---- */

static int lots_list(struct making *m)
{
    struct planner_scratch *s = m->s;
    const struct network *net = &m->core->net;
    bool by_site = net->pools.used > MERIT_SITES_MAX;
    s->nlots = by_site ? net->sites.used : net->pools.used;
    if (s->nlots > MERIT_SITES_MAX)
        return ERR_LIMIT;
    memset(s->lot, 0, sizeof s->lot);
    for (uint32_t i = 0; i < net->pools.used; i++) {
        const struct pool *pool = &net->pool[i];
        struct lot *lot = &s->lot[by_site ? pool->site.v : i];
        s->lot_of[i] = by_site ? pool->site.v : i;
        lot->site = pool->site.v;
        if (site_state(&net->site[pool->site.v].row) == PLACE_UP)
            lot->chips += (int64_t)pool->nodes_up * pool->row.node_chips;
    }
    return 0;
}

/* What of [from, from + span) is in the hour h from now. */
static int64_t overlap_ms(int64_t span_ms, uint32_t h)
{
    int64_t left_ms = span_ms - (int64_t)h * PLANNER_HOUR_MS;
    return left_ms < 0 ? 0 : left_ms > PLANNER_HOUR_MS ? PLANNER_HOUR_MS : left_ms;
}

static void add_running(struct making *m, const struct job *job)
{
    struct lot *lot = &m->s->lot[m->s->lot_of[job->pool]];
    int64_t left_ms = job->end_ms - m->now_ms;
    int64_t *busy = job_latest_ms(m->core, job) == 0 ? lot->firm : lot->other;
    for (uint32_t h = 0; h < m->f->hours && left_ms > (int64_t)h * PLANNER_HOUR_MS; h++)
        busy[h] += job->chips * overlap_ms(left_ms, h);
}

/* ---- groups ---- */

static struct group *group_of(struct making *m, const struct plan_group *asks)
{
    struct planner_scratch *s = m->s;
    for (uint32_t i = 0; i < s->ngroups; i++) {
        if (plan_group_equal(&s->group[i].asks, asks))
            return &s->group[i];
    }
    if (s->ngroups == PLANNER_GROUPS_MAX)
        return NULL;
    struct group *group = &s->group[s->ngroups++];
    *group = (struct group){.asks = *asks};
    for (uint32_t i = 0; i < m->core->net.pools.used; i++) {
        const struct pool *pool = &m->core->net.pool[i];
        const struct row_site *site = &m->core->net.site[pool->site.v].row;
        if ((asks->chip == INDEX_NONE || asks->chip == pool->chip.v) &&
            (asks->site == INDEX_NONE || asks->site == pool->site.v) &&
            (!asks->jurisdiction[0] || memcmp(asks->jurisdiction, site->jurisdiction, CODE_CAP) == 0))
            group->lots |= UINT64_C(1) << s->lot_of[i];
    }
    return group;
}

/* Hours in which work with that long to go may start, one at least. */
static uint32_t hours_of(const struct making *m, int64_t ms)
{
    if (ms >= (int64_t)m->f->hours * PLANNER_HOUR_MS)
        return m->f->hours;
    return ms < 1 ? 1 : (uint32_t)((ms + PLANNER_HOUR_MS - 1) / PLANNER_HOUR_MS);
}

/* *work: its chip-ms; the same x run time is added to *weighed. */
static void add_waiting(struct making *m, const struct job *job, int128 *work, int128 *weighed)
{
    const struct shape_key *key = &m->core->work.shape[m->core->work.lane[job->lane].shape].key;
    struct plan_group asks = plan_group_asked(key);
    int64_t run_ms = job_run_ms(job, key->alternative[0].rate);
    int64_t chip_ms = run_ms * key->alternative[0].count;
    *work += chip_ms;
    *weighed += (int128)chip_ms * run_ms;
    struct group *group = job->latest_ms > m->now_ms ? group_of(m, &asks) : NULL;
    if (group)
        group->waiting[hours_of(m, job->latest_ms - m->now_ms) - 1] += chip_ms;
}

static void read_jobs(struct making *m)
{
    const struct work *w = &m->core->work;
    int128 work = 0, weighed = 0;
    m->s->ngroups = 0;
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        const struct job *job = &w->job[i];
        if (!table_live(&w->jobs, i))
            continue;
        if (job->row.state == JOB_RUNNING)
            add_running(m, job);
        else if (job->latest_ms > 0)
            add_waiting(m, job, &work, &weighed);
    }
    int64_t hours = work > 0 ? (int64_t)((weighed / work + PLANNER_HOUR_MS / 2) / PLANNER_HOUR_MS) : 1;
    m->s->run_hours = hours < 1 ? 1 : hours > RUN_HOURS_MAX ? RUN_HOURS_MAX : (uint32_t)hours;
}

/* ---- the problem ---- */

/* Nano-units for a chip-hour of the pool in an hour to come, and the part of it that is power. */
static int64_t pool_cost(const struct making *m, const struct pool *pool, uint32_t hour, int64_t *power)
{
    const struct row_site *site = &m->core->net.site[pool->site.v].row;
    uint32_t told = m->s->told[pool->site.v];
    int64_t price = site->price;
    uint64_t carbon = site->carbon;
    if (told != INDEX_NONE) {
        uint32_t h = hour < m->f->hours ? hour : m->f->hours - 1;
        price = m->f->site[told].price[h];
        carbon = m->f->site[told].carbon[h];
    }
    *power = pool_power(m->core, pool, price + carbon_cost(m->core, carbon));
    return pool->row.price + *power;
}

/* The mean over the hours that work lasts which begins then. */
static int64_t run_cost(const struct making *m, const struct pool *pool, uint32_t hour, int64_t *power)
{
    int64_t sum = 0, powers = 0, one;
    for (uint32_t i = 0; i < m->s->run_hours; i++) {
        sum += pool_cost(m, pool, hour + i, &one);
        powers += one;
    }
    *power = powers / m->s->run_hours;
    return sum / m->s->run_hours;
}

/* Costs of a lot: the mean of its pools, by their chips. *power gets the sum of the power in all slots. */
static void price_slots(struct making *m, int128 *power)
{
    struct planner_scratch *s = m->s;
    uint32_t hours = m->f->hours;
    for (uint32_t h = 0; h < hours; h++) {
        int128 sum[MERIT_SITES_MAX] = {0}, chips[MERIT_SITES_MAX] = {0};
        for (uint32_t i = 0; i < m->core->net.pools.used; i++) {
            const struct pool *pool = &m->core->net.pool[i];
            int64_t size = (int64_t)pool->row.nodes * pool->row.node_chips, one;
            sum[s->lot_of[i]] += (int128)run_cost(m, pool, h, &one) * size;
            chips[s->lot_of[i]] += size;
            *power += (int128)one * size;
        }
        for (uint32_t l = 0; l < s->nlots; l++)
            s->cost[l * hours + h] = i64_clamp(chips[l] > 0 ? sum[l] / chips[l] : 0, LATE / 2);
    }
}

static void cost_slots(struct making *m)
{
    struct planner_scratch *s = m->s;
    uint32_t hours = m->f->hours;
    int128 power = 0, chips = 0;
    price_slots(m, &power);
    for (uint32_t i = 0; i < m->core->net.pools.used; i++)
        chips += (int128)m->core->net.pool[i].row.nodes * m->core->net.pool[i].row.node_chips * hours;
    int64_t wait = power > 0 ? i64_clamp(power / chips * m->f->wait / 1000, LATE / 1000) : 0;
    for (uint32_t l = 0; l < s->nlots; l++) {
        for (uint32_t h = 0; h < hours; h++)
            s->cost[l * hours + h] += wait * h;
    }
}

static void fill_slots(struct making *m)
{
    struct planner_scratch *s = m->s;
    int64_t at_site[MERIT_SITES_MAX] = {0}; /* chips, seen from each lot */
    for (uint32_t l = 0; l < s->nlots; l++) {
        for (uint32_t k = 0; k < s->nlots; k++)
            at_site[l] += s->lot[k].site == s->lot[l].site ? s->lot[k].chips : 0;
    }
    for (uint32_t l = 0; l < s->nlots; l++) {
        const struct lot *lot = &s->lot[l];
        uint32_t told = s->told[lot->site];
        for (uint32_t h = 0; h < m->f->hours; h++) {
            int64_t firm = lot->firm[h];
            if (told != INDEX_NONE && at_site[l] > 0) {
                int64_t foreseen =
                    (int64_t)m->f->site[told].firm[h] * lot->chips / at_site[l] * PLANNER_HOUR_MS;
                firm = foreseen > firm ? foreseen : firm;
            }
            int64_t left = lot->chips * PLANNER_HOUR_MS / 1000 * USABLE - firm - lot->other[h];
            s->capacity[l * m->f->hours + h] = left > 0 ? left : 0;
        }
    }
}

/* More than the solver takes is more than all chips could do: what is beyond that is late in any plan. */
static int add_class(struct making *m, const struct group *group, uint32_t from, uint32_t until,
                     int128 amount)
{
    struct merit_problem *p = &m->s->problem;
    if (amount <= 0)
        return 0;
    if (p->classes == MERIT_CLASSES_MAX)
        return ERR_LIMIT;
    m->s->class[p->classes++] = (struct merit_class){.sites = group->lots,
                                                     .home = MERIT_ANYWHERE,
                                                     .from = from,
                                                     .until = until,
                                                     .amount = i64_clamp(amount, MERIT_AMOUNT_MAX),
                                                     .late = LATE};
    return 0;
}

static int add_arrivals(struct making *m)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->f->narrivals; i++) {
        const struct planner_arrival *a = &m->f->arrival[i];
        struct plan_group asks = {.chip = INDEX_NONE, .site = INDEX_NONE};
        if (a->chip[0])
            asks.chip = map_get(&m->core->net.chip_map, a->chip, text_len(a->chip, CHIP_CAP));
        if (!uuid_zero(&a->site))
            asks.site = site_by_id(m->core, &a->site).v;
        memcpy(asks.jurisdiction, a->jurisdiction, CODE_CAP);
        const struct group *group = group_of(m, &asks);
        int64_t until = (int64_t)a->hour + (a->window > 0 ? a->window : 1);
        if (group && a->hour < m->f->hours)
            rc =
                add_class(m, group, a->hour, until > m->f->hours ? m->f->hours : (uint32_t)until, a->chip_ms);
    }
    return rc;
}

static int pose(struct making *m)
{
    struct planner_scratch *s = m->s;
    memset(s->told, 0xff, m->core->limits.sites * sizeof *s->told);
    for (uint32_t i = 0; i < m->f->nsites; i++) {
        struct site_id site = site_by_id(m->core, &m->f->site[i].site);
        if (site.v != INDEX_NONE)
            s->told[site.v] = i;
    }
    int rc = lots_list(m);
    if (rc != 0)
        return rc;
    read_jobs(m);
    s->problem = (struct merit_problem){
        .sites = s->nlots, .hours = m->f->hours, .capacity = s->capacity, .cost = s->cost, .class = s->class};
    cost_slots(m);
    fill_slots(m);
    for (uint32_t g = 0; rc == 0 && g < s->ngroups; g++) {
        for (uint32_t h = 0; rc == 0 && h < m->f->hours; h++)
            rc = add_class(m, &s->group[g], 0, h + 1, s->group[g].waiting[h]);
    }
    return rc == 0 ? add_arrivals(m) : rc;
}

/* ---- the plan as events ---- */

struct telling {
    struct making *m;
    planner_event_fn *fn;
    void *ctx;
    uint32_t parts;
};

/* The least cost and rent in one hour. */
static int128 least(const struct making *m, const struct group *group, uint32_t hour)
{
    const struct planner_scratch *s = m->s;
    int128 best = PLAN_NANO_MAX;
    for (uint64_t left = group->lots; left; left &= left - 1) {
        uint32_t lot = (uint32_t)__builtin_ctzll(left);
        int128 at = (int128)s->cost[lot * m->f->hours + hour] + merit_rent(&s->merit, lot, hour);
        best = at < best ? at : best;
    }
    return best;
}

static void tell_class(struct telling *t, const struct group *group, uint32_t hours, int64_t threshold)
{
    const struct core *core = t->m->core;
    struct event e = {.kind = EVENT_KIND_plan_class, .at_ms = t->m->now_ms};
    struct event_plan_class *class = &e.u.plan_class;
    *class = (struct event_plan_class){.plan = t->m->f->plan,
                                       .part = t->parts++,
                                       .start_by_ms = t->m->now_ms + hours * PLANNER_HOUR_MS,
                                       .threshold = threshold};
    if (group->asks.chip != INDEX_NONE)
        memcpy(class->chip, core->net.chip[group->asks.chip].row.id, CHIP_CAP);
    if (group->asks.site != INDEX_NONE)
        class->site = core->net.site[group->asks.site].row.id;
    memcpy(class->jurisdiction, group->asks.jurisdiction, CODE_CAP);
    t->fn(t->ctx, &e);
}

/* Only where the threshold changes: a class takes in all that can wait at most as long. */
static void tell_group(struct telling *t, const struct group *group)
{
    int64_t last = PLAN_NANO_MAX;
    for (uint32_t h = 0; h < t->m->f->hours; h++) {
        int64_t now = i64_clamp(least(t->m, group, h), PLAN_NANO_MAX);
        if (h > 0 && now < last)
            tell_class(t, group, h, last);
        last = now < last ? now : last;
    }
    tell_class(t, group, t->m->f->hours, last);
}

static void tell_rent(struct telling *t, uint32_t i)
{
    const struct making *m = t->m;
    const struct pool *pool = &m->core->net.pool[i];
    int64_t power;
    int128 later = (int128)run_cost(m, pool, 0, &power) - pool_cost(m, pool, 0, &power);
    int64_t rent = i64_clamp(later + merit_rent(&m->s->merit, m->s->lot_of[i], 0), PLAN_NANO_MAX);
    if (rent == 0)
        return;
    struct event e = {
        .kind = EVENT_KIND_plan_rent,
        .at_ms = m->now_ms,
        .u.plan_rent = {.plan = m->f->plan, .part = t->parts++, .pool = pool->row.id, .rent = rent}};
    t->fn(t->ctx, &e);
}

int planner_make(struct planner *planner, const struct core *core, int64_t now_ms,
                 const struct planner_forecast *forecast, planner_event_fn *fn, void *ctx, uint64_t *pivots)
{
    struct planner_scratch *s = planner->scratch;
    struct making m = {.s = s, .core = core, .f = forecast, .now_ms = now_ms};
    struct telling t = {.m = &m, .fn = fn, .ctx = ctx};
    if (forecast->hours == 0 || forecast->hours > PLANNER_HOURS_MAX)
        return ERR_INVALID;
    int rc = pose(&m);
    if (rc == 0 && s->problem.classes == 0)
        return 0;
    if (rc == 0)
        rc = merit_greedy(&s->merit, &s->problem);
    if (rc == 0)
        rc = merit_improve(&s->merit, forecast->pivots_max);
    if (pivots)
        *pivots = s->merit.pivots;
    if (rc != 0)
        return rc;
    for (uint32_t g = 0; g < s->ngroups; g++)
        tell_group(&t, &s->group[g]);
    for (uint32_t i = 0; i < core->net.pools.used; i++)
        tell_rent(&t, i);
    struct event e = {
        .kind = EVENT_KIND_plan_set,
        .at_ms = now_ms,
        .u.plan_set = {.plan = forecast->plan, .parts = t.parts, .until_ms = forecast->until_ms}};
    fn(ctx, &e);
    return 0;
}
