/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulation while it runs, for its own files only: setup.c (what is read and built before the first event), steps.c (one
 * event through the core, and what its effects do to sites), sim.c (time), measure.c (what comes out).
 */
#ifndef BUSBAR_SIM_RUNNING_H
#define BUSBAR_SIM_RUNNING_H

#include "core/core.h"
#include "sim/checker.h"
#include "sim/ends.h"
#include "sim/flows.h"
#include "sim/gauges.h"
#include "sim/planning.h"
#include "sim/power.h"
#include "sim/rulefile.h"
#include "sim/sim.h"
#include "sim/traits.h"
#include "sim/watch.h"
#include "sim/world.h"

/* What the core is told of how long a job runs: the truth, nothing, or the same of each. */
enum { TOLD_EXACT, TOLD_NOTHING, TOLD_GUESS };

/* What became of a job of the trace. */
struct fate {
    int64_t start_ms, end_ms; /* 0: not yet */
    uint32_t epoch;           /* under which it runs, 0: it does not */
    uint32_t pool;            /* of its last start, sim/power.h */
    bool drilled;             /* stopped by a drill, not started since */
    uint8_t drill;            /* its mark in the record, plus 1 */
    int64_t transit_ms;       /* of its last start: how long its data comes before it runs */
    bool waits;               /* it can wait */
    int64_t stopped_ms;
};

struct sim {
    const struct sim_options *options;
    const struct sim_policy *policy;
    uint32_t told;
    struct demand demand;
    struct traits traits;
    struct rulefile rules;
    struct world *world;
    struct power *power;
    struct stock stock;
    struct watch *watch;  /* NULL: no report was asked for */
    struct gauges gauges; /* with it */
    struct serving *serving;
    struct standing *standing;
    struct flows *flows;
    int64_t transit_ms; /* of the start that follows */
    enum planning_mode mode;
    struct planning *planning;
    struct uuid *site_of_queue;
    struct fate *fate;
    struct ends ends;
    struct ends reports; /* of ends, that come later */
    struct core *core;
    void *block;
    struct effects effects;
    struct limits limits;
    struct checker *checker;
    struct outage outage;
    struct eta *eta; /* NULL: nobody asks */
    uint32_t steps;  /* since the last collection */
    int64_t now_ms;
    int64_t start_ms, until_ms; /* Unix ms; until: 0, until all is over */
    uint32_t over, running;
    uint8_t drill;  /* that happens now */
    struct err err; /* why it cannot go on; code 0: it can */
    bool drilling;
    uint64_t bucket[64]; /* steps by the bits of their ns */
    struct sim_result *result;
};

/* Ids count up; the first byte tells their kind apart. */
struct uuid sim_uuid(char kind, uint64_t n);

/* ---- setup.c ---- */

/* Options that are one of a few words. */
int sim_read_words(struct sim *s, struct err *err);
/* Everything else, and files. */
int sim_read_input(struct sim *s, struct err *err);
int sim_new(struct sim *s, struct err *err);
void sim_fini(struct sim *s);

/* ---- steps.c ---- */

/* It cannot go on: `words`, and the code's own. The first time counts. */
void sim_fail(struct sim *s, int rc, const char *words);
/* One event at s->now_ms; the core's answer. */
int sim_step(struct sim *s, struct event *event);
/* One that the core has no reason to refuse: else the simulation cannot go on. */
bool sim_must(struct sim *s, struct event *event);
/* Lets the dispatcher decide on what has happened at this time. */
void sim_settle(struct sim *s);
/* The job has its chips no more. */
void sim_chips_back(struct sim *s, uint32_t i);
/* Its data, should it still come, comes no more. */
void sim_data_stops(struct sim *s, const struct uuid *job, const struct fate *fate);

/* ---- measure.c ---- */

int sim_measure(struct sim *s, struct sim_result *r, struct err *err);

#endif
