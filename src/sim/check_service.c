/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services judged: that replicas follow demand, from what events ask for and effects tell.
 *
 * The checker adds up by itself what replicas sustain: one that waits counts as the first kind, one that runs as the kind it
 * was started as. At the end of each instant there must be enough of them, not more than `max`, none where nothing was
 * asked for in the idle time, and none that all others could have replaced, whatever it is, for twice the hold time without
 * any change of replicas, target or hold time. Replicas are jobs as well, and judged as such.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/kinds.h"
#include "sim/checker_state.h"

struct check_service {
    struct event_service_set told;
    bool gone;
    uint32_t replicas; /* how many, and the first of them */
    uint32_t first;
    uint64_t sustained, tokens_s, in_flight;
    uint32_t most;             /* that one replica may sustain */
    int64_t slack_ms, idle_ms; /* since when; INT64_MAX: not so */
};

struct check_demand {
    uint32_t service;
    struct uuid site;
    uint64_t tokens_s;
    uint32_t in_flight;
};

/* Of a job, by its index. */
struct check_replica {
    uint32_t service; /* NONE: it is no replica */
    uint32_t next, prev;
    uint32_t tokens_s;
    int64_t start_ms; /* INT64_MAX: it waits */
    int64_t last_ms;  /* the start before its last stop */
};

struct check_services {
    struct check_service *service;
    struct check_demand *demand;
    struct check_replica *replica;
    uint32_t n, ndemands;
};

bool checker_services_new(struct checker *c)
{
    struct check_services *all = calloc(1, sizeof *all);
    c->services = all;
    if (!all)
        return false;
    all->service = calloc(c->limits.services + 1u, sizeof *all->service);
    all->demand = calloc(c->limits.demands + 1u, sizeof *all->demand);
    all->replica = calloc(c->limits.jobs, sizeof *all->replica);
    for (uint32_t i = 0; all->replica && i < c->limits.jobs; i++)
        all->replica[i].service = NONE;
    return all->service && all->demand && all->replica;
}

void checker_services_free(struct checker *c)
{
    if (!c->services)
        return;
    free(c->services->service);
    free(c->services->demand);
    free(c->services->replica);
    free(c->services);
}

static uint32_t service_find(const struct checker *c, const struct uuid *id)
{
    for (uint32_t i = 0; i < c->services->n; i++) {
        if (!c->services->service[i].gone && uuid_eq(&c->services->service[i].told.service, id))
            return i;
    }
    return NONE;
}

/* ---- events ---- */

static uint32_t tokens_as(const struct event_service_set *e, uint32_t alternative)
{
    const uint32_t tokens_s[CHECKER_ALTERNATIVES] = {e->tokens_s0, e->tokens_s1, e->tokens_s2, e->tokens_s3};
    return alternative < CHECKER_ALTERNATIVES ? tokens_s[alternative] : 0;
}

void checker_service_set(struct checker *c, const struct event *event)
{
    const struct event_service_set *e = &event->u.service_set;
    struct check_services *all = c->services;
    uint32_t i = service_find(c, &e->service);
    if (e->max == 0 || e->min > e->max || e->target == 0 || e->tokens_s0 == 0)
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "a service that cannot be");
    if (i == NONE && all->n == c->limits.services) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %" PRIu32 " services", all->n);
        return;
    }
    if (i == NONE) {
        i = all->n++;
        all->service[i] = (struct check_service){.first = NONE, .slack_ms = INT64_MAX, .idle_ms = INT64_MAX};
    }
    struct check_service *s = &all->service[i];
    const uint32_t counts[CHECKER_ALTERNATIVES] = {e->count0, e->count1, e->count2, e->count3};
    if (e->target != s->told.target || e->hold_ms != s->told.hold_ms)
        s->slack_ms = INT64_MAX; /* its time begins anew: by a lower target earlier demand may need all */
    s->told = *e;
    s->most = 0;
    for (uint32_t a = 0; a < CHECKER_ALTERNATIVES && counts[a] > 0; a++)
        s->most = tokens_as(e, a) > s->most ? tokens_as(e, a) : s->most;
}

void checker_service_remove(struct checker *c, const struct event *event)
{
    uint32_t i = service_find(c, &event->u.service_remove.service);
    if (i == NONE)
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "the removal of a service that is not there");
    else
        c->services->service[i].gone = true; /* its replicas must go with the effects */
}

void checker_service_demand(struct checker *c, const struct event *event)
{
    const struct event_service_demand *e = &event->u.service_demand;
    struct check_services *all = c->services;
    uint32_t i = service_find(c, &e->service), d = 0;
    if (i == NONE) {
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "demand for a service that is not there");
        return;
    }
    while (d < all->ndemands && (all->demand[d].service != i || !uuid_eq(&all->demand[d].site, &e->site)))
        d++;
    if (d == c->limits.demands) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %" PRIu32 " demands", d);
        return;
    }
    if (d == all->ndemands)
        all->demand[all->ndemands++] = (struct check_demand){.service = i, .site = e->site};
    struct check_service *s = &all->service[i];
    s->tokens_s += e->tokens_s - all->demand[d].tokens_s;
    s->in_flight += (uint64_t)e->in_flight - all->demand[d].in_flight;
    all->demand[d].tokens_s = e->tokens_s;
    all->demand[d].in_flight = e->in_flight;
}

/* ---- effects ---- */

static void changed(struct checker *c, uint32_t job, uint32_t tokens_s, int64_t start_ms)
{
    struct check_replica *r = &c->services->replica[job];
    struct check_service *s = &c->services->service[r->service];
    s->sustained += tokens_s;
    s->sustained -= r->tokens_s;
    s->slack_ms = INT64_MAX; /* its time begins anew */
    r->tokens_s = tokens_s;
    r->start_ms = start_ms;
}

void checker_replica_started(struct checker *c, uint32_t job, uint32_t alternative)
{
    uint32_t service = c->services->replica[job].service;
    if (service != NONE)
        changed(c, job, tokens_as(&c->services->service[service].told, alternative), c->now_ms);
}

bool checker_is_replica(const struct checker *c, uint32_t job)
{
    return c->services->replica[job].service != NONE;
}

void checker_replica_stopped(struct checker *c, uint32_t job)
{
    uint32_t service = c->services->replica[job].service;
    if (service == NONE)
        return;
    c->services->replica[job].last_ms = c->services->replica[job].start_ms;
    changed(c, job, c->services->service[service].told.tokens_s0, INT64_MAX);
}

void checker_replica_over(struct checker *c, uint32_t job)
{
    struct check_replica *r = &c->services->replica[job];
    if (r->service == NONE)
        return;
    struct check_service *s = &c->services->service[r->service];
    changed(c, job, 0, INT64_MAX);
    if (r->prev != NONE)
        c->services->replica[r->prev].next = r->next;
    else
        s->first = r->next;
    if (r->next != NONE)
        c->services->replica[r->next].prev = r->prev;
    s->replicas--;
    r->service = NONE;
}

/* What the service asks the dispatcher for. */
static struct event_job_submit job_of(const struct event_service_set *e, const struct uuid *job)
{
    struct event_job_submit j = {.job = *job,
                                 .tenant = e->tenant,
                                 .count0 = e->count0,
                                 .count1 = e->count1,
                                 .count2 = e->count2,
                                 .count3 = e->count3,
                                 .duration_ms = INT64_MAX,
                                 .flags = e->flags,
                                 .site = e->site,
                                 .kind = JOB_KIND_INFERENCE};
    memcpy(j.chip0, e->chip0, sizeof j.chip0);
    memcpy(j.chip1, e->chip1, sizeof j.chip1);
    memcpy(j.chip2, e->chip2, sizeof j.chip2);
    memcpy(j.chip3, e->chip3, sizeof j.chip3);
    memcpy(j.jurisdiction, e->jurisdiction, sizeof j.jurisdiction);
    memcpy(j.vendor, e->vendor, sizeof j.vendor);
    memcpy(j.data_class, e->data_class, sizeof j.data_class);
    return j;
}

static void replica_add(struct checker *c, const struct effect *e)
{
    struct check_services *all = c->services;
    uint32_t i = service_find(c, &e->service);
    if (i == NONE) {
        checker_violate(c, CHECKER_REPLICA_GONE, &e->job, NULL, NONE, "one more");
        return;
    }
    struct check_service *s = &all->service[i];
    struct event_job_submit job = job_of(&s->told, &e->job);
    bool known = checker_job_find(c, &e->job) != NONE;
    checker_job_put(c, &job); /* tells what is wrong with it */
    uint32_t at = checker_job_find(c, &e->job);
    if (known || at == NONE)
        return;
    all->replica[at] = (struct check_replica){
        .service = i, .next = s->first, .prev = NONE, .start_ms = INT64_MAX, .last_ms = INT64_MAX};
    if (s->first != NONE)
        all->replica[s->first].prev = at;
    s->first = at;
    s->replicas++;
    changed(c, at, s->told.tokens_s0, INT64_MAX);
}

static bool serves(const struct checker *c, const struct check_replica *r, int64_t start_ms)
{
    return start_ms <= c->now_ms && c->now_ms - start_ms >= c->services->service[r->service].told.cold_ms;
}

static void replica_drop(struct checker *c, const struct effect *e, bool served)
{
    struct check_services *all = c->services;
    uint32_t at = checker_job_find(c, &e->job);
    if (at == NONE || all->replica[at].service == NONE || c->job[at].state != CHECK_WAITS) {
        checker_violate(c, CHECKER_STOP_NOT_RUNNING, &e->job, NULL, NONE, "no replica that was stopped");
        return;
    }
    const struct check_service *s = &all->service[all->replica[at].service];
    for (uint32_t r = s->first; served && !s->gone && r != NONE; r = all->replica[r].next) {
        if (r == at || serves(c, &all->replica[r], all->replica[r].start_ms))
            continue;
        char text[UUID_TEXT_LEN + 1];
        uuid_format(text, &c->job[r].id);
        checker_violate(c, CHECKER_REPLICA_WARM, &e->job, NULL, NONE, "before job %s", text);
        break;
    }
    checker_job_forget(c, at);
}

void checker_replica(struct checker *c, const struct effect *e, const struct effect *before)
{
    if (e->kind == EFFECT_REPLICA_ADD) {
        replica_add(c, e);
        return;
    }
    /* It served until now if its stop, which comes just before, was that of one that did. */
    uint32_t at = checker_job_find(c, &e->job);
    bool stopped = before && before->kind == EFFECT_JOB_STOP && uuid_eq(&before->job, &e->job);
    const struct check_replica *r = at != NONE ? &c->services->replica[at] : NULL;
    replica_drop(c, e, stopped && r && r->service != NONE && serves(c, r, r->last_ms));
}

void checker_services_step(struct checker *c)
{
    struct check_services *all = c->services;
    for (uint32_t i = 0; i < all->n; i++) {
        struct check_service *s = &all->service[i];
        if (!s->gone)
            continue;
        if (s->replicas > 0)
            checker_violate(c, CHECKER_REPLICA_GONE, &c->job[s->first].id, NULL, NONE,
                            "and %" PRIu32 " in all", s->replicas);
        while (s->first != NONE)
            checker_replica_over(c, s->first);
        uint32_t last = --all->n, kept = 0;
        for (uint32_t d = 0; d < all->ndemands; d++) {
            struct check_demand demand = all->demand[d];
            if (demand.service == i)
                continue;
            demand.service = demand.service == last ? i : demand.service;
            all->demand[kept++] = demand;
        }
        all->ndemands = kept;
        *s = all->service[last];
        for (uint32_t r = s->first; i != last && r != NONE; r = all->replica[r].next)
            all->replica[r].service = i;
        return; /* a step removes one */
    }
}

/* ---- the end of an instant ---- */

static void judge_down(struct checker *c, struct check_service *s, bool enough)
{
    const struct event_service_set *e = &s->told;
    bool asked = s->tokens_s > 0 || s->in_flight > 0;
    if (asked || e->min > 0 || s->replicas == 0)
        s->idle_ms = INT64_MAX;
    else if (s->idle_ms == INT64_MAX)
        s->idle_ms = c->now_ms;
    if (s->idle_ms != INT64_MAX && c->now_ms - s->idle_ms >= e->idle_ms)
        checker_violate(c, CHECKER_REPLICA_IDLE, &c->job[s->first].id, NULL, NONE, "%" PRIu32 " of %s",
                        s->replicas, e->name);
    uint32_t least = e->min > 0 ? e->min : 1;
    if (s->replicas <= least || !enough)
        s->slack_ms = INT64_MAX;
    else if (s->slack_ms == INT64_MAX)
        s->slack_ms = c->now_ms;
    if (s->slack_ms != INT64_MAX && c->now_ms - s->slack_ms > 2 * e->hold_ms)
        checker_violate(c, CHECKER_REPLICA_SLACK, &c->job[s->first].id, NULL, NONE,
                        "%" PRIu32 " of %s for %" PRIu64 " tokens/s", s->replicas, e->name, s->tokens_s);
}

void checker_services_end_of_time(struct checker *c)
{
    for (uint32_t i = 0; i < c->services->n; i++) {
        struct check_service *s = &c->services->service[i];
        const struct event_service_set *e = &s->told;
        bool asked = s->tokens_s > 0 || s->in_flight > 0;
        uint32_t least = e->min > 0 || !asked ? e->min : 1;
        int128 want = (int128)s->tokens_s * 1000;
        if (s->replicas > e->max)
            checker_violate(c, CHECKER_REPLICA_OVER, &c->job[s->first].id, NULL, NONE,
                            "%" PRIu32 " of %s, at most %" PRIu32, s->replicas, e->name, e->max);
        if (s->replicas < e->max && (s->replicas < least || (int128)s->sustained * e->target < want))
            checker_violate(c, CHECKER_REPLICA_SHORT, NULL, NULL, NONE,
                            "%" PRIu32 " of %s for %" PRIu64 " tokens/s", s->replicas, e->name, s->tokens_s);
        judge_down(c, s, s->sustained >= s->most && (int128)(s->sustained - s->most) * e->target >= want);
    }
}
