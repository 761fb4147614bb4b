/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials: what would become of a network's work if something happened to it, by letting it happen to a copy of its core.
 *
 * The copy is made from rows (sim/forecast.h): they are taken on the core's thread, all else is done on any other. What happens is an
 * event like any other, so the copy decides what the core would decide; time stands still, so that what is told is what happens at
 * once: what stops, and what of it has a place again without waiting for anybody. Jobs are in it, and replicas, which are jobs of
 * core's own; replicas on the hub's own machine, which has no pools for them, are told by their deployments alone.
 *
 * A trial owns its memory: the rows, at most TRIAL_ROWS_MAX bytes of them, the copy, and what is told. It is for one thing to happen.
 */
#ifndef BUSBAR_SIM_TRIAL_H
#define BUSBAR_SIM_TRIAL_H

#include <stdbool.h>

#include "base/err.h"
#include "core/contingency.h"
#include "core/core.h"
#include "core/limits.h"

#define TRIAL_ROWS_MAX ((size_t)32 << 20)

/* A job or replica that is there when it begins. */
struct trial_job {
    struct uuid id, tenant, deployment; /* deployment: whose replica it is; zero: of none */
    struct uuid pool;                   /* where it ran; zero: it waited */
    uint32_t chips, alternative;        /* that it had; which of its sizes that was */
    uint32_t epoch;
    bool firm, replica;
    bool stopped;            /* it was, at least once */
    int code;                /* why, the first time: as of EFFECT_JOB_STOP */
    bool again;              /* it runs again */
    bool denied;             /* trial_rules: they deny it where it ran; or, of one that waited, every place */
    const char *rule, *cite; /* as well: the trial's; empty, a closed border */
};

/* What is lost: one of them, the others are zero or NULL. */
struct trial_loss {
    struct uuid site, corridor;
    const char *vendor;
};

struct trial;

/* On the core's thread. `limits`: the core's; now_ms: the time of its last event, or later. NULL: out of memory. */
struct trial *trial_take(const struct core *core, const struct limits *limits, int64_t now_ms);
/* Makes the copy. ERR_LIMIT: there were more rows. ERR_NO_MEMORY, ERR_CORRUPT. */
int trial_stand(struct trial *trial);
/* This set of rules, of `len` bytes, is in force; 0 bytes: none. ERR_INVALID: it does not parse; and as of rules_set. */
int trial_rules(struct trial *trial, const char *text, size_t len);
/* ERR_NOT_FOUND: there is no such thing. *counted: what core counts of that loss (core/contingency.h), before it; zero of a corridor. */
int trial_lose(struct trial *trial, const struct trial_loss *loss, struct contingency *counted);
/* Several at once, such as all vendors of one country: core counts each of them alone, so nothing is told of that. */
int trial_lose_all(struct trial *trial, const struct trial_loss *loss, uint32_t n);
/* What became of all jobs, in no order. */
const struct trial_job *trial_jobs(const struct trial *trial, uint32_t *n);
/* The copy as it is now, and the time there. */
const struct core *trial_core(const struct trial *trial);
int64_t trial_ms(const struct trial *trial);
void trial_free(struct trial *trial);

#endif
