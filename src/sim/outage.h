/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outages: what drills stopped and when it ran again, firm and interruptible work apart; and how long losses were not covered.
 *
 * Chips count, since one large gang is more than many small jobs: half_ms is how long it took until jobs with half of all
 * chips that were stopped ran again, each counted from its own stop. Of what did not run again until the end, the jobs and chips
 * that still wait are stopped less again.
 */
#ifndef BUSBAR_SIM_OUTAGE_H
#define BUSBAR_SIM_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/contingency.h"

struct outage_figures {
    uint64_t stopped, stopped_chips;
    uint64_t again, again_chips;
    int64_t half_ms, most_ms, last_ms; /* 50 %, 95 % and the last that ran again; -1: so much did not */
};

struct coverage_figures {
    uint32_t worst; /* least share of firm chips that could be placed again after one loss, thousandths */
    int64_t uncovered_ms; /* while some loss was not covered */
    uint64_t alarms;
};

struct outage_restart {
    int64_t waited_ms;
    uint32_t chips;
};

struct outage {
    struct outage_figures sum[2]; /* interruptible, firm */
    struct outage_restart *list[2];
    uint32_t n[2], cap[2];
    struct coverage_figures coverage;
    uint32_t standing; /* alarms */
    int64_t since_ms;
    int64_t next_ms; /* sample */
};

void outage_init(struct outage *o);
void outage_fini(struct outage *o);
void outage_stop(struct outage *o, bool firm, uint32_t chips);
/* What was stopped runs again. False when out of memory. */
bool outage_start(struct outage *o, bool firm, uint32_t chips, int64_t waited_ms);
struct outage_figures outage_figures(struct outage *o, bool firm);

/* An EFFECT_ALARM. */
void outage_alarm(struct outage *o, const struct core *core, const struct effect *effect, int64_t now_ms);
/* At any time: looks at the coverage once an hour. */
void outage_sample(struct outage *o, const struct core *core, int64_t now_ms);
struct coverage_figures outage_coverage(const struct outage *o, int64_t now_ms);

#endif
