/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checker knows, for its own files only: checker.c (its life), checker_events.c, checker_effects.c (decisions judged),
 * checker_order.c (who waits before whom), check_rules.c (rules in force), check_service.c (replicas), check_corridors.c (data
 * under way), check_plan.c (who waits by choice), check_stops.c (work that gives way), check_alarms.c (losses).
 *
 * Dense arrays of fixed size; NONE ends lists and stands for "any" and "no such". A share is on two lists, its job's and
 * its node's. A class is a set of pools for which jobs wait, with those jobs in a heap; classes exist only while the
 * order is one that is judged, and are made anew when the set of pools that are open may have changed.
 */
#ifndef BUSBAR_SIM_CHECKER_STATE_H
#define BUSBAR_SIM_CHECKER_STATE_H

#include "base/map.h"
#include "sim/checker.h"

#define NONE UINT32_MAX
#define CHECKER_ALTERNATIVES 4u
#define CHECKER_CLASSES_MAX 4096u
/* Effects are hashed by the block: a call of the digest costs more than the bytes. */
#define CHECKER_RECORD_LEN 53u
#define CHECKER_RECORDS 128u
/* Jobs that ended last: a start of one of these is told from one of a job that never was. */
#define CHECKER_OVER 1024u

struct check_site {
    struct event_site_add told;
    uint32_t state;     /* for work */
    uint32_t set_state; /* by an operator */
    bool away;
    uint32_t isolation;
    uint32_t pue;
    int64_t price;   /* nano-units for a kWh */
    uint64_t carbon; /* mg for a kWh */
    uint64_t cap;
    uint64_t load;     /* watts before PUE */
    uint64_t shed_cap; /* until then */
    int64_t shed_until_ms;
    uint64_t soft_load; /* of it what interruptible work draws */
    uint32_t running;   /* jobs */
    bool alarm;         /* its loss is not covered, as it was told */
};

struct check_chip {
    struct event_chip_add told;
    bool alarm; /* of the first chip of a vendor: as of a site */
};

struct check_tenant {
    struct uuid id;
    char name[NAME_CAP];
    char jurisdiction[CODE_CAP];
    char licence[NAME_CAP];
};

struct check_pool {
    struct uuid id;
    uint32_t site;
    uint32_t chip;
    uint32_t nodes;
    uint32_t node_chips;
    uint32_t domain;
    int64_t price;    /* nano-units for a chip-hour */
    uint32_t first;   /* node */
    uint32_t up;      /* chips on nodes that are up */
    uint32_t firm_up; /* of them those that firm work has */
    uint32_t firm;    /* chips of firm jobs, and as few as these would do with */
    uint32_t firm_least;
};

struct check_node {
    uint32_t pool;
    uint32_t used; /* chips */
    uint32_t firm; /* of them */
    uint32_t shares;
    uint8_t state;
    bool doomed; /* on the list of what was lost in this instant */
};

struct check_share {
    uint32_t job;
    uint32_t node;
    uint32_t chips;
    uint32_t next_of_job; /* or of the free ones */
    uint32_t next_on_node;
    uint32_t prev_on_node;
};

/* Compared as bytes. */
struct check_request {
    uint32_t chip[CHECKER_ALTERNATIVES]; /* NONE: any */
    uint32_t count[CHECKER_ALTERNATIVES];
    uint32_t rate[CHECKER_ALTERNATIVES];
    uint32_t site; /* NONE: any */
    uint32_t one_domain;
    uint32_t source; /* the site where its data lies, NONE: there is none to bring */
    uint32_t isolation;
    char jurisdiction[CODE_CAP];
    char vendor[NAME_CAP];
};

struct check_ask {
    struct check_request request;
    uint32_t class;
    uint32_t ordinary; /* jobs that wait and not by choice */
};

/* What a job or an array comes after, and who comes after it: sim/check_follow.c. */
struct check_after {
    uint32_t before; /* the first edge to it */
    uint32_t open;   /* of its own */
    bool never;      /* one of these ended in a way that does not let it start */
};

enum check_state { CHECK_FREE, CHECK_WAITS, CHECK_RUNS };

struct check_job {
    struct uuid id;
    uint64_t sequence;
    int64_t duration_ms;
    uint32_t ask;
    uint32_t epoch;
    uint32_t pool;
    uint32_t shares;
    uint32_t in_heap;   /* or the next of the free ones */
    uint32_t tenant;    /* NONE: not known */
    uint32_t data_site; /* as well */
    uint32_t kind;
    char data_class[CODE_CAP];
    uint64_t data_bytes;
    uint8_t state;
    bool cancelled;
    bool returned;    /* its stop must come, since its site gave it back */
    uint32_t returns; /* how often it was */
    bool comes;       /* its data does, still */
    int64_t start_by_ms, deadline_ms;
    /* While it waits; 0: it cannot by choice; CHECKER_VAGUE: by an estimate that is core's alone, so it is not judged. */
    int64_t latest_ms;
    bool held;    /* it waits by choice */
    bool counted; /* in its ask's `ordinary` */
    bool firm;
    bool finish;          /* it is let run where nobody hears of it */
    uint32_t alternative; /* while it runs, since then */
    uint32_t least;       /* chips that it was counted with, sim/check_alarms.c */
    int64_t started_ms;
    int64_t transit_ms; /* of this run, before it works */
    int64_t done_ms, checkpoint_ms, checkpoint_every_ms;
    struct check_after after;
    uint32_t array; /* NONE: it is of none */
    int32_t priority;
    bool parked;        /* it waits, and not yet for a place */
    bool well;          /* it ended with code 0 */
    int64_t stopped_ms; /* last */
};

#define CHECKER_VAGUE INT64_MAX

struct check_class {
    uint32_t *heap; /* jobs */
    uint32_t n;
    uint32_t cap;
};

struct checker {
    struct checker_limits limits;
    struct check_site *site;
    struct check_chip *chip;
    struct check_pool *pool;
    struct check_node *node;
    struct check_job *job;
    struct check_share *share;
    struct check_ask *ask;
    struct check_tenant *tenant;
    struct check_rules *rules;
    struct check_services *services;
    struct check_corridors *corridors;
    struct check_plan *plan;
    struct check_follow *follow;
    int64_t carbon_price;
    uint32_t ntenants, nsites, nchips, npools, nnodes, njobs, nshares, nasks; /* ever used */
    uint32_t free_job, free_share;
    uint32_t waiting, running;
    struct uuid over[CHECKER_OVER];
    uint64_t nover;
    struct map site_map, chip_map, pool_map, job_map, ask_map, tenant_map;
    void *slots[6]; /* of the maps */
    uint64_t sequence;
    int64_t now_ms;
    const struct event *event; /* of the step that is judged */
    uint32_t order, fit, preempt, reserve;
    uint32_t least_node; /* chips of the smallest nodes that there are */
    bool power;          /* what a site may draw, or draws without work, has changed */
    uint32_t last_pool;
    uint32_t *doomed; /* nodes */
    uint32_t ndoomed;

    struct check_class *class;
    uint64_t *masks; /* of the classes */
    uint32_t nclasses;
    uint32_t mask_words;
    bool stale; /* the classes are not those of now */

    struct digest_stream *digest;
    uint32_t nrecords;
    uint8_t records[CHECKER_RECORDS * CHECKER_RECORD_LEN];

    uint64_t violations;
    uint64_t of_kind[CHECKER_KINDS_END];
    char first[512];
};

/* `job` and `pool` may be NULL, `node` NONE: not known, or beside the point. */
__attribute__((format(printf, 6, 7))) void checker_violate(struct checker *c, enum checker_kind kind,
                                                           const struct uuid *job, const struct uuid *pool,
                                                           uint32_t node, const char *fmt, ...);

/* What so many chips of the pool draw in use, more than idle ones. */
static inline uint64_t checker_watts(const struct checker *c, const struct check_pool *pool, uint32_t chips)
{
    const struct event_chip_add *chip = &c->chip[pool->chip].told;
    return (uint64_t)chips * (chip->watts - chip->idle_watts);
}

/* `list`, which has room for *cap and holds n, or a larger one with room for one more, and *cap. NULL when out of memory, which
 * is a violation; then `list` is as it was. */
void *checker_grow(struct checker *c, void *list, uint32_t n, uint32_t *cap, size_t size);
/* The event was accepted: takes it over. */
void checker_apply(struct checker *c, const struct event *event);
uint32_t checker_job_find(const struct checker *c, const struct uuid *id);
uint32_t checker_pool_find(struct checker *c, const struct uuid *id);
/* A job waits from now on. */
void checker_job_put(struct checker *c, const struct event_job_submit *e);
/* It gives back its chips; the caller lets it wait again (checker_order_enter), or forgets it. */
void checker_job_release(struct checker *c, uint32_t job);
void checker_job_forget(struct checker *c, uint32_t job);

/* Work that gives way, and power: sim/check_stops.c. The most that a site may draw now, 0: no limit. */
uint64_t checker_limit(const struct checker *c, const struct check_site *site);
void checker_shed(struct checker *c, const struct event *event);
/* A job is stopped, before it is released. */
void checker_judge_stop(struct checker *c, uint32_t job, const struct effect *e);
/* Whether it runs at a site that is out of touch and is let run to its end there. */
bool checker_is_held(const struct checker *c, uint32_t job);
/* Whether anything else than that runs on the node. */
bool checker_runs_free(const struct checker *c, uint32_t node);
/* A job starts, before it has its shares. */
void checker_judge_resume(struct checker *c, uint32_t job, const struct effect *e);
/* Of the effects of one step, whether whoever was stopped for others was followed by them. */
void checker_judge_preemption(struct checker *c, const struct effect *list, uint32_t n);
void checker_power_end_of_time(struct checker *c);

/* Losses: sim/check_alarms.c. */
void checker_alarm(struct checker *c, const struct effect *e);
/* Chips of a node are taken or given back by a job. */
void checker_count_share(struct checker *c, const struct check_share *share, bool take);
/* The node's state is going to be up, or not. */
void checker_node_up(struct checker *c, uint32_t node, bool up);
/* The job has all its shares, or is about to give them back. */
void checker_count_job(struct checker *c, uint32_t job, bool take);
/* A firm job has started. */
void checker_judge_reserve(struct checker *c, uint32_t job);

/* Rules in force: sim/check_rules.c. */
bool checker_rules_new(struct checker *c);
void checker_rules_free(struct checker *c);
/* Accepted events. */
void checker_tenant_add(struct checker *c, const struct event *event);
void checker_rules_put(struct checker *c, const struct event *event);
void checker_rules_set(struct checker *c, const struct event *event);
uint32_t checker_tenant_find(const struct checker *c, const struct uuid *id);
bool checker_has_rules(const struct checker *c);
/* Whether the rules let the job run in the pool on so many chips; *rule (may be NULL): which does not. */
bool checker_lawful(const struct checker *c, uint32_t job, uint32_t pool, uint32_t chips, const char **rule);
/* As well whether its data may come over a corridor between these sites. */
bool checker_corridor_lawful(const struct checker *c, uint32_t job, uint32_t a, uint32_t b,
                             const char **rule);
/* What runs must be lawful by now. */
/* What runs is judged by the rules at the end of this instant. */
void checker_rules_again(struct checker *c);
void checker_rules_end_of_time(struct checker *c);

/* Services: sim/check_service.c. */
bool checker_services_new(struct checker *c);
void checker_services_free(struct checker *c);
/* Accepted events. */
void checker_service_set(struct checker *c, const struct event *event);
void checker_service_remove(struct checker *c, const struct event *event);
void checker_service_demand(struct checker *c, const struct event *event);
/* A replica more or fewer; `before`: the effect before it, or NULL. */
void checker_replica(struct checker *c, const struct effect *e, const struct effect *before);
/* A job, which may be a replica, starts, stops or is over. */
void checker_replica_started(struct checker *c, uint32_t job, uint32_t alternative);
void checker_replica_stopped(struct checker *c, uint32_t job);
void checker_replica_over(struct checker *c, uint32_t job);
bool checker_is_replica(const struct checker *c, uint32_t job);
/* All effects of a step were told; no more come in this instant. */
void checker_services_step(struct checker *c);
void checker_services_end_of_time(struct checker *c);
bool checker_follow_new(struct checker *c);
void checker_follow_free(struct checker *c);
/* Accepted events. False: there is no such array. */
void checker_job_array(struct checker *c, const struct event *event);
bool checker_array_cancel(struct checker *c, const struct uuid *id);
/* A job never starts for what it comes after. */
void checker_job_unmet(struct checker *c, const struct effect *e);
/* A job is to start: may it yet, and is no equal one of a higher priority there? */
void checker_judge_follow(struct checker *c, uint32_t job);
void checker_judge_rank(struct checker *c, uint32_t job);
/* A job has come; has its chips no more; is over. */
void checker_rank(struct checker *c, const struct check_job *job);
void checker_follow_stopped(struct checker *c, uint32_t job);
void checker_follow_over(struct checker *c, uint32_t job);
void checker_follow_end_of_time(struct checker *c);
/* A job is there that waits for nothing yet; NONE: it cannot be, and that was told. */
uint32_t checker_job_new(struct checker *c, const struct event_job_submit *e);
/* A job waits from now on. */
void checker_job_put(struct checker *c, const struct event_job_submit *e);

/* Data under way: sim/check_corridors.c. */
bool checker_corridors_new(struct checker *c);
void checker_corridors_free(struct checker *c);
/* Accepted events. */
void checker_corridor_add(struct checker *c, const struct event *event);
void checker_corridor_state(struct checker *c, const struct event *event);
/* Whether corridors that are up lead from one site to the other. */
bool checker_leads(const struct checker *c, uint32_t from, uint32_t to);
/* As well with the job's data, by the rules; or it lies there. */
bool checker_data_leads(const struct checker *c, uint32_t job, uint32_t to);
/* What comes must come lawfully by now. */
void checker_ways_lawful(struct checker *c);
/* Transfers whose time has passed are over. */
void checker_transit_time(struct checker *c);
/* The job is over, or stopped. */
void checker_transit_drop(struct checker *c, uint32_t job);
/* A corridor of the start that follows; that start; no more effects follow. */
void checker_transit_told(struct checker *c, const struct effect *e);
void checker_transit_start(struct checker *c, uint32_t job, uint32_t pool);
void checker_transit_settle(struct checker *c);
void checker_corridors_end_of_time(struct checker *c);

/* Who waits by choice: sim/check_plan.c. */
bool checker_plan_new(struct checker *c);
void checker_plan_free(struct checker *c);
/* Accepted events. */
void checker_plan_class(struct checker *c, const struct event *event);
void checker_plan_rent(struct checker *c, const struct event *event);
void checker_plan_set(struct checker *c, const struct event *event);
/* Whether a job that begins to wait does so by choice. */
bool checker_plan_hold(struct checker *c, uint32_t job);
/* It is later: plans end, jobs wait by choice no more. */
void checker_plan_time(struct checker *c);
/* The job is to start in the pool: does the plan let it? */
void checker_plan_judge(struct checker *c, uint32_t job, uint32_t pool, uint32_t alternative);
void checker_plan_end_of_time(struct checker *c);

/* Who waits before whom: sim/checker_order.c. Whether the request could run in the pool, were it empty and the rules silent. */
bool checker_could_run(const struct checker *c, const struct check_request *r, const struct check_pool *pool);
/* The job begins or ends to wait. */
void checker_order_enter(struct checker *c, uint32_t job);
void checker_order_leave(struct checker *c, uint32_t job);
/* The job is to start in the pool: is it its turn there? */
void checker_order_judge(struct checker *c, uint32_t job, uint32_t pool);
void checker_order_free(struct checker *c);

#endif
