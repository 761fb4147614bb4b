/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker: a second opinion on every decision about jobs, from what everybody can see.
 *
 * It is told each event and the effects that core answered with, rebuilds from these alone who has which chips, and
 * judges each start and stop against the rules: no chip twice, no gang in part, no place that is down, no limit of a
 * job, a site or a corridor broken, nothing where the rules in force forbid it, nobody overtaken where the order is strict, nothing
 * that can wait above the threshold of the plan in force, and nothing kept back past its latest start. It uses
 * core's schema and vocabularies and none of its code, so that one mistake is not made twice; but for the language of rules
 * (core/rules.h), which has tests of its own. What it finds are counts by kind, and the first in words; it goes
 * on after a violation, as if the decision stood.
 *
 * It also keeps a running SHA-256 over all decisions: equal hashes mean equal runs.
 *
 * Per event: checker_event, core_step, checker_effects; and checker_end_of_time when all events of an instant were
 * stepped. Everything is allocated at checker_new; a job that is over is forgotten. Past a limit nothing more can be
 * judged, and that is a violation too.
 */
#ifndef BUSBAR_SIM_CHECKER_H
#define BUSBAR_SIM_CHECKER_H

#include <stdint.h>

#include "base/digest.h"
#include "core/effect.h"
#include "core/schema.h"

/* clang-format off */
#define CHECKER_KINDS(V) \
    V(NODE_OVER, "a node gives more chips than it has") \
    V(NODE_DOWN, "work is started on a node that is not up") \
    V(NODE_OUTSIDE, "work is started on a node that the pool does not have") \
    V(POOL_UNKNOWN, "work is started in a pool that is not there") \
    V(SITE_DOWN, "work is started at a site that is not up") \
    V(GANG_PART, "shares and size of a gang differ") \
    V(GANG_SPLIT, "a gang has a share in another pool") \
    V(ALTERNATIVE, "the job has no such alternative") \
    V(CHIP_KIND, "the pool has another kind of chip than the alternative asks for") \
    V(START_UNKNOWN, "the job was never submitted, or is over for long") \
    V(START_OVER, "the job is over") \
    V(START_TWICE, "the job runs already") \
    V(EPOCH, "the epoch of a start does not follow the last one") \
    V(SITE_RULE, "the job may not run at this site") \
    V(JURISDICTION_RULE, "the job may not run in this jurisdiction") \
    V(ISOLATION_RULE, "the job may not run where work is kept apart less strictly") \
    V(VENDOR_RULE, "the job may not run on this vendor's chips") \
    V(DOMAIN_RULE, "the job must have all its nodes in one domain") \
    V(CAP, "the site draws more than its cap after a start") \
    V(OVERTAKEN, "a job that comes first waits for the same pool") \
    V(STOP_NOT_RUNNING, "what is stopped does not run under this epoch in this pool") \
    V(LOST_RUNS, "work still runs on what is lost") \
    V(HELD_STOPPED, "work was stopped that is let run to its end at a site out of touch") \
    V(DRAINED_RUNS, "interruptible work still runs at a site that is drained") \
    V(DRAINED_WRONGLY, "work is stopped for a drain that is firm, or whose site is not drained") \
    V(CANCELLED_RUNS, "a cancelled job was not stopped") \
    V(REFUSED_ACTS, "an event was refused and yet decided something") \
    V(ACCEPTED, "an event was accepted that had to be refused") \
    V(TIME_BACK, "time goes back") \
    V(LIMIT, "the checker has no room and cannot judge any more") \
    V(FORBIDDEN, "the rules in force forbid the job to run there") \
    V(FORBIDDEN_RUNS, "work still runs that the rules in force forbid") \
    V(REPLICA_OVER, "a service has more replicas than it may") \
    V(REPLICA_SHORT, "a service has fewer replicas than demand asks for, and may have more") \
    V(REPLICA_SLACK, "a service keeps a replica that was one too many for too long") \
    V(REPLICA_IDLE, "a service keeps replicas that nothing was asked of for its idle time") \
    V(REPLICA_WARM, "a replica that serves goes before one that does not") \
    V(REPLICA_GONE, "a service that is not there has replicas") \
    V(WAY, "a job's data does not come from where it lies to where it runs") \
    V(WAY_TIME, "data cannot come in the time that is told") \
    V(CORRIDOR_DOWN, "data comes over a corridor that is not up") \
    V(CORRIDOR_OVER, "a corridor grants more than it has") \
    V(CORRIDOR_RUNS, "data still comes over a corridor that is lost, or has too little") \
    V(THRESHOLD, "a job that can wait is started above the threshold of its class") \
    V(HELD, "a job whose latest start has come is kept from a pool that has room and that nobody else waits for") \
    V(PREEMPTED_FIRM, "firm work is stopped for other work") \
    V(PREEMPTED_FOR_NOBODY, "work is stopped for other work, and none starts in its place") \
    V(PREEMPTED_STRICTLY, "work is stopped for other work where that is not to be") \
    V(DONE, "the work that is done is another than the stops of the job left") \
    V(CURTAILED_FIRM, "firm work is stopped for power while interruptible work runs at the site") \
    V(OVER_CAP, "work runs at a site that draws more than it may") \
    V(AFTER, "a job is started before all that it comes after is over as it has to be") \
    V(ARRAY, "more tasks of an array run than may at a time") \
    V(OUTRANKED, "an equal job of the tenant waits that has a higher priority") \
    V(UNMET, "a job ends for what it comes after, and that would let it start") \
    V(UNMET_WAITS, "jobs are not over that never can start, or whose array was cancelled") \
    V(RETURNED, "a job that its site gave back is not stopped, or not as what lost its place") \
    V(BUDGET, "a job is stopped for its budget, and no report of what it used has come") \
    V(RESERVE, "firm work takes the last chips that a loss could be made good with") \
    V(ALARM, "an alarm tells what is not so")
/* clang-format on */

enum checker_kind {
#define V(name, text) CHECKER_##name,
    CHECKER_KINDS(V)
#undef V
        CHECKER_KINDS_END
};

struct checker_limits {
    uint32_t sites;
    uint32_t chips; /* kinds */
    uint32_t pools;
    uint32_t nodes;   /* of all pools */
    uint32_t jobs;    /* waiting and running at a time */
    uint32_t shares;  /* of running jobs */
    uint32_t tenants; /* 0: tenants are not looked at, rules know nothing of them */
    uint32_t asks;    /* different requests, ever; what jobs ask for but for their durations */
    uint32_t services;
    uint32_t demands; /* services x places where requests come from, ever */
};

struct checker;

/* NULL when out of memory. */
struct checker *checker_new(const struct checker_limits *limits);
void checker_free(struct checker *c);

/* Before the event is stepped. */
void checker_event(struct checker *c, const struct event *event);
/* After it was: its effects, and what core_step returned. */
void checker_effects(struct checker *c, const struct event *event, const struct effect *list, uint32_t n,
                     int rc);
/* No more events come for this instant, Unix ms: what was lost in it must have been stopped by now. */
void checker_end_of_time(struct checker *c, int64_t now_ms);

uint64_t checker_violations(const struct checker *c);
uint64_t checker_violations_of(const struct checker *c, enum checker_kind kind);
const char *checker_kind_text(enum checker_kind kind);
/* The first violation: time, kind, job, pool, node. "" if there is none; belongs to the checker. */
const char *checker_first(const struct checker *c);
/* Jobs that wait or run, as the checker sees it. */
uint32_t checker_waiting(const struct checker *c);
uint32_t checker_running(const struct checker *c);
/* SHA-256 of each start, share and stop so far: time, kind, job, pool, node, chips, epoch; little-endian. */
void checker_hash(struct checker *c, uint8_t out[DIGEST_LEN]);

#endif
