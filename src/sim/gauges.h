/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gauges: what a report's record is told besides sim/watch.h: how far losses are covered, what corridors carry, how services
 * stand. Read each time that a sample is due; nothing is measured when no report was asked for.
 */
#ifndef BUSBAR_SIM_GAUGES_H
#define BUSBAR_SIM_GAUGES_H

#include <stdint.h>

#include "sim/flows.h"
#include "sim/outage.h"
#include "sim/record.h"
#include "sim/serving.h"

struct gauges {
    uint32_t coverage, alarm;
    uint32_t ncorridors;
    uint32_t *corridor; /* series of each, RECORD_NONE until it carries something */
    uint64_t *bytes;    /* as last read */
    struct gauges_service {
        uint32_t warm, queue, tokens;
        uint64_t out_tokens;
    } service[SERVING_MAX];
};

/* False when out of memory. `reserve`: losses are assessed. */
bool gauges_init(struct gauges *g, struct record *rec, uint32_t corridors, bool reserve,
                 const struct serving *serving);
void gauges_fini(struct gauges *g);
void gauges_read(struct gauges *g, struct record *rec, const struct core *core, const struct outage *outage,
                 struct flows *flows, const struct serving *serving, int64_t now_ms);

#endif
