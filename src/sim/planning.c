/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/planning.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sim/cpu.h"

#define DAY 24u
#define SITES_MAX NET_SITES_MAX
#define PIVOTS_MAX 200000u
/* An hour of waiting costs this many thousandths of the mean power of a chip-hour: docs/energy.md. */
#define WAIT 10
/* Of how far today is from yesterday, so many thousandths are left an hour later. */
#define KEEPS 800

/* What came in an hour that asks for the same. */
struct sum {
    int64_t chip_ms;
    int128 patience; /* chip-ms x ms that it can wait */
};

struct hour {
    bool known;
    struct sum of[PLANNER_GROUPS_MAX];
};

struct site {
    struct uuid id;
    uint32_t firm;        /* chips that ordinary work has now */
    int64_t firm_ms;      /* chip-ms of this hour so far */
    uint32_t of_day[DAY]; /* its mean in the last such hour */
    bool known[DAY];
    int64_t price[PLANNER_HOURS_MAX];
    uint64_t carbon[PLANNER_HOURS_MAX];
    uint32_t forecast[PLANNER_HOURS_MAX];
};

struct planning {
    struct planning_options options;
    struct planner planner;
    void *block;
    int64_t next_ms, at_ms; /* at_ms: up to which loads are summed up */
    struct site site[SITES_MAX];
    uint32_t nsites, npools, pools_max;
    struct {
        struct uuid id;
        uint32_t site;
    } * pool;
    struct planner_arrival group[PLANNER_GROUPS_MAX]; /* what it asks for; the rest is not used */
    uint32_t ngroups;
    struct hour of_day[DAY], foreseen[PLANNER_HOURS_MAX];
    int64_t hour; /* of of_day that is being filled, since 1970 */
    struct planner_arrival arrival[PLANNER_GROUPS_MAX * PLANNER_HOURS_MAX];
    struct event *event;
    uint32_t nevents, events_cap;
    bool failed; /* out of memory */
    uint64_t made;
    struct planning_sum sum;
};

struct planning *planning_new(const struct planning_options *options, const struct limits *limits)
{
    struct planning *p = calloc(1, sizeof *p);
    struct arena arena;
    if (!p)
        return NULL;
    arena_init(&arena, NULL, SIZE_MAX);
    (void)planner_init(&p->planner, &arena, limits);
    p->pools_max = limits->pools;
    p->pool = calloc(limits->pools, sizeof *p->pool);
    p->block = calloc(1, arena.used);
    size_t size = arena.used;
    arena_init(&arena, p->block, size);
    if (!p->pool || !p->block || planner_init(&p->planner, &arena, limits) != 0) {
        planning_free(p);
        return NULL;
    }
    p->options = *options;
    if (p->options.every_ms == 0)
        p->options.every_ms = HOUR_MS;
    p->at_ms = options->start_ms;
    p->hour = options->start_ms / HOUR_MS;
    p->next_ms = options->mode == PLAN_OFF ? INT64_MAX : options->start_ms;
    return p;
}

void planning_free(struct planning *p)
{
    if (!p)
        return;
    free(p->event);
    free(p->block);
    free(p->pool);
    free(p);
}

/* ---- what was ---- */

static uint32_t of_day(int64_t hour)
{
    return (uint32_t)(hour % DAY);
}

/* Hours that are over by then are closed. */
static void advance(struct planning *p, int64_t now_ms)
{
    while (p->at_ms < now_ms) {
        int64_t hour = p->at_ms / HOUR_MS, end_ms = (hour + 1) * HOUR_MS;
        int64_t until_ms = end_ms < now_ms ? end_ms : now_ms;
        for (uint32_t i = 0; i < p->nsites; i++) {
            struct site *s = &p->site[i];
            s->firm_ms += s->firm * (until_ms - p->at_ms);
            if (until_ms < end_ms)
                continue;
            s->of_day[of_day(hour)] = (uint32_t)(s->firm_ms / HOUR_MS);
            s->known[of_day(hour)] = true;
            s->firm_ms = 0;
        }
        p->at_ms = until_ms;
        if (until_ms == end_ms) {
            p->of_day[of_day(hour)].known = true;
            p->of_day[of_day(hour + 1)] = (struct hour){0};
            p->hour = hour + 1;
        }
    }
}

static uint32_t site_find(const struct planning *p, const struct uuid *id)
{
    uint32_t i = 0;
    while (i < p->nsites && !uuid_eq(&p->site[i].id, id))
        i++;
    return i;
}

static struct sum *sum_of(struct planning *p, struct hour *hour, const struct event_job_submit *e)
{
    uint32_t i = 0;
    for (; i < p->ngroups; i++) {
        const struct planner_arrival *g = &p->group[i];
        if (memcmp(g->chip, e->chip0, CHIP_CAP) == 0 && uuid_eq(&g->site, &e->site) &&
            memcmp(g->jurisdiction, e->jurisdiction, CODE_CAP) == 0)
            break;
    }
    if (i == PLANNER_GROUPS_MAX)
        return NULL;
    if (i == p->ngroups) {
        struct planner_arrival *g = &p->group[p->ngroups++];
        *g = (struct planner_arrival){.site = e->site};
        memcpy(g->chip, e->chip0, CHIP_CAP);
        memcpy(g->jurisdiction, e->jurisdiction, CODE_CAP);
    }
    return &hour->of[i];
}

static void add_arrival(struct planning *p, struct hour *hour, const struct event_job_submit *e,
                        int64_t at_ms)
{
    int64_t latest_ms = e->start_by_ms;
    int64_t by_ms = e->deadline_ms > 0 ? e->deadline_ms - e->duration_ms : 0;
    if (e->deadline_ms > 0 && (latest_ms == 0 || by_ms < latest_ms))
        latest_ms = by_ms;
    struct sum *sum = latest_ms > at_ms ? sum_of(p, hour, e) : NULL;
    if (!sum)
        return;
    int64_t chip_ms = e->duration_ms * e->count0;
    sum->chip_ms += chip_ms;
    sum->patience += (int128)chip_ms * (latest_ms - at_ms);
}

void planning_event(struct planning *p, const struct event *event)
{
    if (event->kind == EVENT_KIND_site_add && p->nsites < SITES_MAX) {
        p->site[p->nsites++] = (struct site){.id = event->u.site_add.site};
    } else if (event->kind == EVENT_KIND_pool_add && p->npools < p->pools_max) {
        p->pool[p->npools].id = event->u.pool_add.pool;
        p->pool[p->npools++].site = site_find(p, &event->u.pool_add.site);
    } else if (event->kind == EVENT_KIND_job_submit) {
        advance(p, event->at_ms);
        add_arrival(p, &p->of_day[of_day(p->hour)], &event->u.job_submit, event->at_ms);
    }
}

void planning_use(struct planning *p, const struct uuid *pool, uint32_t chips, bool take, int64_t now_ms)
{
    uint32_t i = 0;
    while (i < p->npools && !uuid_eq(&p->pool[i].id, pool))
        i++;
    if (i == p->npools || p->pool[i].site == p->nsites)
        return;
    advance(p, now_ms);
    struct site *s = &p->site[p->pool[i].site];
    s->firm = take ? s->firm + chips : s->firm - chips;
}

/* ---- what will be ---- */

int64_t planning_next_ms(const struct planning *p)
{
    return p->next_ms;
}

static uint32_t plan_hours(const struct planning *p)
{
    int64_t ahead = p->options.mode == PLAN_FORESIGHT ? 72 : 23;
    int64_t hours = (p->options.defer_ms + HOUR_MS - 1) / HOUR_MS + ahead;
    return hours > PLANNER_HOURS_MAX ? PLANNER_HOURS_MAX : (uint32_t)hours;
}

int64_t planning_foresees_ms(const struct planning *p, int64_t now_ms)
{
    return p->options.mode == PLAN_FORESIGHT ? now_ms + plan_hours(p) * HOUR_MS : 0;
}

void planning_expect(struct planning *p, const struct event_job_submit *request, int64_t at_ms)
{
    int64_t hour = (at_ms - p->next_ms) / HOUR_MS;
    if (hour >= 0 && hour < PLANNER_HOURS_MAX)
        add_arrival(p, &p->foreseen[hour], request, at_ms);
}

/* The last known time of the same hour of the day, or the time itself. */
static int64_t known_ms(const struct planning *p, int64_t now_ms, uint32_t after)
{
    uint32_t back = p->options.mode == PLAN_FORESIGHT ? 0 : (after + DAY - 1) / DAY * DAY;
    return now_ms + ((int64_t)after - back) * HOUR_MS;
}

/* What the last known value of the same hour was, and how far the hour that begins is from its own, which wears off. */
static void forecast_signal(const struct planning *p, const struct world *world, uint32_t i, struct site *s,
                            int64_t now_ms)
{
    struct event_site_signal now, then, known;
    int64_t weight = p->options.mode == PLAN_FORESIGHT ? 0 : 1000000;
    (void)world_signal(world, i, now_ms, &now);
    (void)world_signal(world, i, now_ms - (int64_t)DAY * HOUR_MS, &then);
    for (uint32_t h = 0; h < PLANNER_HOURS_MAX; h++) {
        (void)world_signal(world, i, known_ms(p, now_ms, h), &known);
        int64_t apart = h == 0 ? 0 : weight;
        int64_t carbon =
            (int64_t)known.carbon + ((int64_t)now.carbon - (int64_t)then.carbon) * apart / 1000000;
        s->price[h] = known.price + (now.price - then.price) / 1000 * apart / 1000;
        s->carbon[h] = carbon > 0 ? (uint64_t)carbon : 0;
        weight = weight * KEEPS / 1000;
    }
}

static void forecast_sites(struct planning *p, const struct world *world, int64_t now_ms, uint32_t hours,
                           struct planner_site *out)
{
    struct event_site_signal signal;
    for (uint32_t i = 0; i < p->nsites; i++) {
        struct site *s = &p->site[i];
        for (uint32_t h = 0; h < hours; h++) {
            uint32_t d = of_day(now_ms / HOUR_MS + h);
            s->forecast[h] = h > 0 && s->known[d] ? s->of_day[d] : s->firm;
        }
        out[i] = (struct planner_site){s->id, s->price, s->carbon, s->forecast};
    }
    for (uint32_t i = 0; world_signal(world, i, now_ms, &signal); i++) {
        uint32_t at = site_find(p, &signal.site);
        if (at < p->nsites)
            forecast_signal(p, world, i, &p->site[at], now_ms);
    }
}

static uint32_t forecast_arrivals(struct planning *p, int64_t now_ms, uint32_t hours)
{
    bool foreseen = p->options.mode == PLAN_FORESIGHT;
    int64_t now_hour = now_ms / HOUR_MS, rest_ms = (now_hour + 1) * HOUR_MS - now_ms;
    uint32_t n = 0;
    for (uint32_t h = 0; h < (foreseen ? hours : DAY); h++) {
        const struct hour *hour = &p->of_day[of_day(now_hour + h)];
        if (h == 0 || !hour->known) /* before there was a yesterday: as in the last hour */
            hour = &p->of_day[of_day(now_hour + DAY - 1)];
        if (foreseen)
            hour = &p->foreseen[h];
        for (uint32_t g = 0; g < p->ngroups; g++) {
            const struct sum *sum = &hour->of[g];
            if (sum->chip_ms <= 0)
                continue;
            int64_t patience_ms = (int64_t)(sum->patience / sum->chip_ms);
            struct planner_arrival *a = &p->arrival[n++];
            *a = p->group[g];
            a->hour = h;
            a->window = (uint32_t)((patience_ms + HOUR_MS - 1) / HOUR_MS);
            a->chip_ms =
                h == 0 && !foreseen ? (int64_t)((int128)sum->chip_ms * rest_ms / HOUR_MS) : sum->chip_ms;
        }
    }
    memset(p->foreseen, 0, sizeof p->foreseen);
    return n;
}

static void keep(void *ctx, const struct event *event)
{
    struct planning *p = ctx;
    if (p->nevents == p->events_cap) {
        uint32_t cap = p->events_cap ? 2 * p->events_cap : 256;
        struct event *list = realloc(p->event, cap * sizeof *list);
        if (!list) {
            p->failed = true;
            return;
        }
        p->event = list;
        p->events_cap = cap;
    }
    p->event[p->nevents++] = *event;
}

uint32_t planning_make(struct planning *p, const struct core *core, const struct world *world, int64_t now_ms,
                       const struct event **events)
{
    struct planner_site site[SITES_MAX];
    uint32_t hours = plan_hours(p);
    uint64_t pivots = 0;
    struct planner_forecast f = {.until_ms = now_ms + 2 * p->options.every_ms,
                                 .hours = hours,
                                 .nsites = p->nsites,
                                 .site = site,
                                 .arrival = p->arrival,
                                 .wait = WAIT,
                                 .pivots_max = PIVOTS_MAX};
    p->made++;
    memcpy(f.plan.b, "plan", 4);
    for (int i = 0; i < 8; i++)
        f.plan.b[8 + i] = (uint8_t)(p->made >> (56 - 8 * i));
    advance(p, now_ms);
    forecast_sites(p, world, now_ms, hours, site);
    f.narrivals = forecast_arrivals(p, now_ms, hours);
    p->next_ms = now_ms + p->options.every_ms;
    p->nevents = 0;
    uint64_t start = cpu_ns();
    int rc = planner_make(&p->planner, core, now_ms, &f, keep, p, &pivots);
    uint64_t took = cpu_ns() - start;
    *events = p->event;
    if (rc == 0 && !p->failed && p->nevents == 0)
        return 0; /* nothing could wait */
    p->sum.made++;
    p->sum.failed += rc != 0 || p->failed;
    p->sum.pivots += pivots;
    p->sum.pivots_most = pivots > p->sum.pivots_most ? pivots : p->sum.pivots_most;
    p->sum.cpu_ns += took;
    p->sum.cpu_ns_most = took > p->sum.cpu_ns_most ? took : p->sum.cpu_ns_most;
    return rc == 0 && !p->failed ? p->nevents : 0;
}

struct planning_sum planning_total(const struct planning *p)
{
    return p->sum;
}
