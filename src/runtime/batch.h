/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batch: everything that becomes durable, or does not, together; and what leaves the process after that.
 *
 * Two batches take turns: one is open for the core thread, the other is with the store thread or idle.
 */
#ifndef BUSBAR_RUNTIME_BATCH_H
#define BUSBAR_RUNTIME_BATCH_H

#include "base/buf.h"
#include "core/core.h"
#include "store/store.h"

struct batch {
    uint64_t first; /* number of the first event */
    uint32_t count; /* events; a batch of queries only has none */
    struct buf rows;
    struct buf events;
    struct buf leaves;
    struct buf facts;      /* of the events that have some (runtime/facts.h) */
    uint32_t *effect_ends; /* of each event: where its effects end */
    struct effects effects;
    void *snapshot; /* new routes, or NULL */
};

int batch_init(struct batch *batch);
void batch_fini(struct batch *batch);
/* Ready for reuse; `first` is the number of the next event. */
void batch_reset(struct batch *batch, uint64_t first);
/* Steps one event and packs its journal entry. Returns what core_step returned. */
int batch_step(struct batch *batch, struct core *core, const struct event *event);
/* Packs the rows that changed. False when the batch outgrew its buffers. */
bool batch_collect(struct batch *batch, struct core *core);
bool batch_empty(const struct batch *batch);

#endif
