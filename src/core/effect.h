/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effects: what a step decided, as data. The runtime carries them out, and only after the batch that they belong to
 * is durable. Row changes are not here: core marks what it touched and core_collect hands out the rows of a batch.
 *
 * The caller owns the array; core asserts that it fits EFFECTS_MAX, which bounds the widest step (a boot that starts
 * every replica, or a tick that answers every waiter).
 */
#ifndef BUSBAR_CORE_EFFECT_H
#define BUSBAR_CORE_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "core/limits.h"

enum effect_kind {
    EFFECT_REPLY = 1,     /* token, code, amount */
    EFFECT_RECALL,        /* to `worker`: draw no more from `lease`, give back what is free */
    EFFECT_REPLICA_START, /* to the site: run `ordinal` of `deployment` under `epoch` */
    EFFECT_REPLICA_STOP,  /* to the site: drain and stop it */
    EFFECT_JOB_SHARE,     /* of the start that follows: `chips` chips of node `node` of `pool` for `job` */
    EFFECT_JOB_START,     /* to the pool's site: run `job` on its shares, as `alternative`, under `epoch` */
    EFFECT_JOB_STOP, /* to the pool's site: end `job` of `epoch`; its chips are given back with it. code: why */
    EFFECT_REPLICA_ADD, /* `service` has `job` as its replica `ordinal` from now on; it waits for its place */
    EFFECT_REPLICA_DROP, /* it is one too many; if it ran, its stop came before */
    /* Of the start that follows: `bytes` of data for `job` come over `corridor` at `bits_s`, all within `ms`, and only then
     * it runs. One for each corridor of the way, from where the data lies. */
    EFFECT_TRANSIT = 12,
    EFFECT_JOB_UNMET = 14, /* `job` is over and has not run: what it was to come after ended otherwise */
    /* code: ERR_RECALLED, `service`, a recall, is in force; 0: the last replica of its weights is gone, or it is lifted. ms: when */
    EFFECT_RECALLED = 20,
    EFFECT_ALARM = 13, /* a loss (core/contingency.h) is covered no more; or is again, with code 0 */
};

struct effect {
    enum effect_kind kind;
    /* REPLY: 0 or an error. JOB_STOP: ERR_FORBIDDEN, the rules forbid it now; ERR_PREEMPTED, for the start that follows;
     * ERR_CURTAILED, the site has to draw less; ERR_DRAINED, its site gives its work away; ERR_CORRIDOR, its data comes no more; ERR_BUDGET_SPENT, and the job is over; 0: its place is lost, its
     * site gave it back, or it was cancelled. ALARM: ERR_UNAVAILABLE or 0. */
    int code;
    uint64_t token; /* REPLY */
    /* REPLY: to lease_ask what was granted, to meter what was billed; nano-units; with ERR_BUDGET_SPENT which budget it is, as
     * budget_refusal tells (core/kinds.h). JOB_START: the work that is done, as run
     * time at rate 1, in ms; JOB_STOP: that which is kept. ALARM: firm chips that could be placed again. */
    int64_t amount;
    union {
        struct {                   /* the larger one comes first, so that all of it begins as zero */
            struct uuid site;      /* ALARM: the loss of this site; zero: of all chips of the vendor */
            char vendor[NAME_CAP]; /* ALARM */
        };
        struct {
            struct uuid worker;
            struct uuid lease;
            struct uuid deployment;
        };
    };
    uint32_t ordinal;
    uint32_t epoch;
    struct uuid job;
    struct uuid pool;
    uint32_t node;
    uint32_t chips;
    uint32_t alternative;
    struct uuid service; /* JOB_START, JOB_STOP: of the job that is a replica of it, else zero */
    struct uuid corridor;
    uint64_t bytes, bits_s;
    int64_t ms;
};

#define EFFECTS_MAX 16384

struct effects {
    struct effect *list;
    uint32_t n;
    uint32_t cap;
    /* What requests are matched against has changed: keys, models, prices, replicas. */
    bool routes_changed;
};

#endif
