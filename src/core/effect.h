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
};

struct effect {
    enum effect_kind kind;
    /* REPLY: 0 or an error. JOB_STOP: ERR_FORBIDDEN, the rules forbid it now; ERR_CORRIDOR, its data comes no more; 0, all
     * else */
    int code;
    uint64_t token; /* REPLY */
    int64_t amount; /* REPLY: to lease_ask what was granted, to meter what was billed; nano-units */
    struct uuid worker;
    struct uuid lease;
    struct uuid deployment;
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
