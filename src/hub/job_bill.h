/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job has used and what that cost, epoch by epoch, as core metered it (core/job_meter.c). The rows come from the store,
 * which alone has those that are closed.
 */
#ifndef BUSBAR_HUB_JOB_BILL_H
#define BUSBAR_HUB_JOB_BILL_H

#include "base/buf.h"
#include "core/view.h"
#include "engine/job.h"

#define BILL_EPOCHS_SHOWN 32 /* a job that gives way again and again has many more */

/* Appends the members `chip_ms`, `cost`, `unpaid` where something is owed, and `epochs`, of which the newest are listed.
 * `row`: all epochs of the job in their order; `end`: how the newest BILL_EPOCHS_SHOWN of them ended, as far as that is known. Amounts are decimal texts, times ms, energy joules. */
void job_bill_render(struct buf *out, const struct core *core, const struct row_job_usage *row, uint32_t n,
                     const enum job_end *end);

#endif
