/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts: what a tenant's receipt tells of an event that billed or ended its work, or that paid, closed a bill or gave back, as lines
 * "NAME VALUE". They go into the event's leaf as commitments (tlog/leaf.h), so they are written down when the event is stepped, with the names that held
 * then. A start of the hub tells its version and the digest of the state that it began with: all rows as core_dump hands them out,
 * each u32 kind and u32 length, little-endian, and its fields as core/layout.h encodes them. A replay must come to the same.
 */
#ifndef BUSBAR_RUNTIME_FACTS_H
#define BUSBAR_RUNTIME_FACTS_H

#include "base/buf.h"
#include "core/core.h"

/* What an event's end may take away. */
struct facts {
    bool any;
    struct uuid id, tenant, pool, site; /* of the request, the job, the payment or the bill; and where */
    uint32_t chips;
    int64_t price, started_ms;
    const struct row_job_usage *usage; /* of a job's epoch; read until the batch is collected */
    uint8_t state[DIGEST_BYTES];       /* of a boot: SHA-256 of the rows that the state was loaded from */
};

/* Before the event is stepped. */
void facts_find(struct facts *facts, const struct core *core, const struct event *event);
/* After it was, if it was accepted: appends a struct store_receipt with its facts, `leaf` being the event's place in its batch;
 * `amount` as in the journal. */
void facts_add(struct buf *out, const struct facts *facts, const struct core *core, const struct event *event,
               int64_t amount, uint32_t place);

#endif
