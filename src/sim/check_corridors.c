/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corridors in the checker: which are up, what each carries, and whether a job's data comes from where it lies to where the
 * job runs, in a time in which it can.
 *
 * Transfers of a start come right before it, one effect for each corridor. A transfer is over when its time has passed, or
 * with its job. Arrays grow as needed; they belong to the checker.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "sim/checker_state.h"

#define HOPS_MAX KEY_MODELS_MAX
#define NO_WAY UINT8_MAX

struct check_corridor {
    struct uuid id;
    uint32_t a, b; /* sites */
    uint64_t bits_s;
    uint64_t granted;
    uint32_t rtt;
    uint32_t state;
    bool cut; /* in this instant: it is lost, or has less than before */
};

/* The corridors of a start, as its effects tell them; or a transfer under way. */
struct check_way {
    struct effect of; /* the first */
    uint32_t job;     /* under way */
    int64_t ends_ms;
    uint32_t n;
    struct uuid id[HOPS_MAX];
    uint32_t corridor[HOPS_MAX];
};

struct check_corridors {
    struct check_corridor *corridor;
    uint32_t n, cap;
    struct check_way told; /* and no start yet; n 0: nothing */
    struct check_way *way; /* under way */
    uint32_t nways, ways_cap;
    int64_t next_ms; /* when the first of them is over */
    uint8_t *hops;   /* sites x sites, NO_WAY: none; what is made of them is as of `made` */
    bool *made;
    uint8_t *scratch; /* sites */
};

bool checker_corridors_new(struct checker *c)
{
    struct check_corridors *r = c->corridors = calloc(1, sizeof *r);
    if (!r)
        return false;
    r->next_ms = INT64_MAX;
    r->hops = malloc((size_t)c->limits.sites * c->limits.sites + 1);
    r->made = calloc(c->limits.sites + 1u, sizeof *r->made);
    r->scratch = calloc(c->limits.sites + 1u, 1);
    return r->hops && r->made && r->scratch;
}

void checker_corridors_free(struct checker *c)
{
    if (!c->corridors)
        return;
    free(c->corridors->corridor);
    free(c->corridors->way);
    free(c->corridors->hops);
    free(c->corridors->made);
    free(c->corridors->scratch);
    free(c->corridors);
}

static struct check_corridor *find(const struct checker *c, const struct uuid *id)
{
    struct check_corridors *r = c->corridors;
    for (uint32_t i = 0; i < r->n; i++) {
        if (uuid_eq(&r->corridor[i].id, id))
            return &r->corridor[i];
    }
    return NULL;
}

/* ---- events ---- */

/* Other sites may be reached than before. */
static void remake(struct checker *c)
{
    memset(c->corridors->made, 0, c->limits.sites * sizeof *c->corridors->made);
    c->stale = true;
}

void checker_corridor_add(struct checker *c, const struct event *event)
{
    const struct event_corridor_add *e = &event->u.corridor_add;
    struct check_corridors *r = c->corridors;
    uint32_t a = map_get(&c->site_map, &e->a, sizeof e->a), b = map_get(&c->site_map, &e->b, sizeof e->b);
    if (a == NONE || b == NONE || a == b || e->bits_s == 0 || find(c, &e->corridor)) {
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "a corridor that is there, or leads nowhere");
        return;
    }
    struct check_corridor *list = checker_grow(c, r->corridor, r->n, &r->cap, sizeof *list);
    if (!list)
        return;
    r->corridor = list;
    r->corridor[r->n++] = (struct check_corridor){
        .id = e->corridor, .a = a, .b = b, .bits_s = e->bits_s, .rtt = e->rtt, .state = PLACE_UP};
    remake(c);
}

void checker_corridor_state(struct checker *c, const struct event *event)
{
    const struct event_corridor_state *e = &event->u.corridor_state;
    struct check_corridor *corridor = find(c, &e->corridor);
    if (!corridor) {
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "the state of a corridor that is not there");
        return;
    }
    bool was_up = corridor->state == PLACE_UP;
    corridor->state = e->state;
    corridor->bits_s = e->bits_s;
    corridor->cut = true;
    if (was_up != (e->state == PLACE_UP))
        remake(c);
}

/* ---- which sites lead to which ---- */

static void make(const struct checker *c, uint32_t from)
{
    struct check_corridors *r = c->corridors;
    uint8_t *hops = r->hops + (size_t)from * c->limits.sites;
    memset(hops, NO_WAY, c->limits.sites);
    hops[from] = 0;
    r->made[from] = true;
    for (uint8_t round = 0; round < HOPS_MAX; round++) {
        for (uint32_t i = 0; i < r->n; i++) {
            uint32_t a = r->corridor[i].a, b = r->corridor[i].b;
            if (r->corridor[i].state != PLACE_UP)
                continue;
            if (hops[a] == round && hops[b] == NO_WAY)
                hops[b] = (uint8_t)(round + 1);
            else if (hops[b] == round && hops[a] == NO_WAY)
                hops[a] = (uint8_t)(round + 1);
        }
    }
}

bool checker_leads(const struct checker *c, uint32_t from, uint32_t to)
{
    if (!c->corridors->made[from])
        make(c, from);
    return c->corridors->hops[(size_t)from * c->limits.sites + to] != NO_WAY;
}

bool checker_data_leads(const struct checker *c, uint32_t job, uint32_t to)
{
    const struct check_corridors *r = c->corridors;
    const struct check_job *j = &c->job[job];
    uint8_t *seen = r->scratch;
    if (j->data_bytes == 0 || j->data_site == to)
        return true;
    memset(seen, 0, c->limits.sites);
    seen[j->data_site] = 1;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < r->n; i++) {
            uint32_t a = r->corridor[i].a, b = r->corridor[i].b;
            if (r->corridor[i].state != PLACE_UP || seen[a] == seen[b] ||
                !checker_corridor_lawful(c, job, a, b, NULL))
                continue;
            seen[a] = seen[b] = 1;
            more = true;
        }
    }
    return seen[to];
}

/* ---- what is under way ---- */

static void way_end(struct checker *c, uint32_t i)
{
    struct check_corridors *r = c->corridors;
    for (uint32_t k = 0; k < r->way[i].n; k++)
        r->corridor[r->way[i].corridor[k]].granted -= r->way[i].of.bits_s;
    c->job[r->way[i].job].comes = false;
    r->way[i] = r->way[--r->nways];
}

void checker_transit_time(struct checker *c)
{
    struct check_corridors *r = c->corridors;
    if (c->now_ms < r->next_ms)
        return;
    r->next_ms = INT64_MAX;
    for (uint32_t i = 0; i < r->nways;) {
        if (r->way[i].ends_ms <= c->now_ms) {
            way_end(c, i);
            continue;
        }
        r->next_ms = r->way[i].ends_ms < r->next_ms ? r->way[i].ends_ms : r->next_ms;
        i++;
    }
}

void checker_transit_drop(struct checker *c, uint32_t job)
{
    uint32_t i = 0;
    if (!c->job[job].comes)
        return;
    while (c->corridors->way[i].job != job)
        i++;
    way_end(c, i);
}

/* ---- effects ---- */

static void way_violates(struct checker *c, const struct check_way *way, const struct uuid *pool,
                         const char *words)
{
    checker_violate(c, CHECKER_WAY, &way->of.job, pool, NONE, "%s", words);
}

void checker_transit_told(struct checker *c, const struct effect *e)
{
    struct check_way *told = &c->corridors->told;
    if (told->n > 0 && !uuid_eq(&told->of.job, &e->job))
        checker_transit_settle(c);
    if (told->n == 0)
        told->of = *e;
    if (told->n == HOPS_MAX || e->bytes != told->of.bytes || e->bits_s != told->of.bits_s ||
        e->ms != told->of.ms) {
        way_violates(c, told, NULL, "too many corridors, or they differ in what they carry");
        return;
    }
    told->id[told->n++] = e->corridor;
}

void checker_transit_settle(struct checker *c)
{
    if (c->corridors->told.n > 0)
        way_violates(c, &c->corridors->told, NULL, "it sets out and no start follows");
    c->corridors->told.n = 0;
}

/* Follows the chain; false: it is none. Adds up the round trips. */
static bool follow(struct checker *c, struct check_way *way, uint32_t from, uint32_t to, uint64_t *rtt)
{
    uint32_t at = from;
    for (uint32_t k = 0; k < way->n; k++) {
        struct check_corridor *corridor = find(c, &way->id[k]);
        if (!corridor || (corridor->a != at && corridor->b != at))
            return false;
        if (corridor->state != PLACE_UP)
            checker_violate(c, CHECKER_CORRIDOR_DOWN, &way->of.job, NULL, NONE, "its state is %" PRIu32,
                            corridor->state);
        const char *rule = "";
        if (!checker_corridor_lawful(c, way->job, corridor->a, corridor->b, &rule))
            checker_violate(c, CHECKER_FORBIDDEN, &way->of.job, NULL, NONE, "its data may not come there: %s",
                            rule);
        way->corridor[k] = (uint32_t)(corridor - c->corridors->corridor);
        at = corridor->a == at ? corridor->b : corridor->a;
        *rtt += corridor->rtt;
    }
    return at == to;
}

static void judge_time(struct checker *c, const struct check_way *way, uint64_t rtt)
{
    __extension__ unsigned __int128 bits_ms = (unsigned __int128)way->of.bits_s * (uint64_t)way->of.ms;
    __extension__ unsigned __int128 need = (unsigned __int128)way->of.bytes * 8000;
    if (way->of.ms <= 0 || bits_ms < need || (uint64_t)way->of.ms * 1000 < rtt)
        checker_violate(c, CHECKER_WAY_TIME, &way->of.job, NULL, NONE, "%" PRIu64 " bytes in %" PRId64 " ms",
                        way->of.bytes, way->of.ms);
}

/* It is under way now. */
static void set_out(struct checker *c, struct check_way *way, const struct check_pool *pool)
{
    struct check_corridors *r = c->corridors;
    struct check_way *list = checker_grow(c, r->way, r->nways, &r->ways_cap, sizeof *list);
    if (!list)
        return;
    r->way = list;
    for (uint32_t k = 0; k < way->n; k++) {
        struct check_corridor *corridor = &r->corridor[way->corridor[k]];
        corridor->granted += way->of.bits_s;
        if (corridor->granted > corridor->bits_s)
            checker_violate(c, CHECKER_CORRIDOR_OVER, &way->of.job, &pool->id, NONE,
                            "%" PRIu64 " bits a second of %" PRIu64, corridor->granted, corridor->bits_s);
    }
    way->ends_ms = c->now_ms + way->of.ms;
    r->next_ms = way->ends_ms < r->next_ms ? way->ends_ms : r->next_ms;
    c->job[way->job].comes = true;
    c->job[way->job].transit_ms = way->of.ms;
    r->way[r->nways++] = *way;
}

void checker_transit_start(struct checker *c, uint32_t job, uint32_t pool)
{
    struct check_corridors *r = c->corridors;
    struct check_job *j = &c->job[job];
    const struct check_pool *p = &c->pool[pool];
    bool moves = j->data_bytes > 0 && j->data_site != p->site;
    uint64_t rtt = 0;
    if (r->told.n > 0 && !uuid_eq(&r->told.of.job, &j->id))
        checker_transit_settle(c);
    struct check_way *way = &r->told;
    way->job = job;
    if (way->n == 0 && !moves)
        return;
    if (way->n == 0) {
        checker_violate(c, CHECKER_WAY, &j->id, &p->id, NONE, "its data is elsewhere and does not come");
    } else if (!moves || way->of.bytes != j->data_bytes || !follow(c, way, j->data_site, p->site, &rtt)) {
        way_violates(c, way, &p->id, "it comes another way, or is not its data");
    } else {
        judge_time(c, way, rtt);
        set_out(c, way, p);
    }
    way->n = 0;
}

/* ---- time ---- */

void checker_ways_lawful(struct checker *c)
{
    const struct check_corridors *r = c->corridors;
    for (uint32_t i = 0; i < r->nways; i++) {
        for (uint32_t k = 0; k < r->way[i].n; k++) {
            const struct check_corridor *corridor = &r->corridor[r->way[i].corridor[k]];
            const char *rule = "";
            if (!checker_corridor_lawful(c, r->way[i].job, corridor->a, corridor->b, &rule))
                checker_violate(c, CHECKER_FORBIDDEN_RUNS, &r->way[i].of.job, NULL, NONE,
                                "its data may not come there: %s", rule);
        }
    }
}

void checker_corridors_end_of_time(struct checker *c)
{
    struct check_corridors *r = c->corridors;
    for (uint32_t i = 0; i < r->n; i++) {
        struct check_corridor *corridor = &r->corridor[i];
        if (corridor->cut && corridor->granted > (corridor->state == PLACE_LOST ? 0 : corridor->bits_s))
            checker_violate(c, CHECKER_CORRIDOR_RUNS, NULL, NULL, NONE,
                            "%" PRIu64 " bits a second, no stop came in the instant", corridor->granted);
        corridor->cut = false;
    }
}
