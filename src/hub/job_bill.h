/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job has used and what that cost, epoch by epoch.
 *
 * That comes from two sides. What is billed are rows, as core metered it (core/job_meter.c), read from the store, which alone
 * has those that are closed. How an epoch ended its shim wrote into a file, which is there while the work folder keeps it.
 */
#ifndef BUSBAR_HUB_JOB_BILL_H
#define BUSBAR_HUB_JOB_BILL_H

#include "base/buf.h"
#include "core/view.h"

#define JOB_EPOCHS_SHOWN 32 /* the last ones: a job that gives way again and again has many more */

/* Of an exit record. */
struct job_told {
    uint32_t epoch; /* 0: there is none */
    uint32_t end;   /* enum job_end */
    uint64_t ms, cpu_ms, memory_peak_kib;
};

/* Reads files: on a thread that may block. The records of the last epochs, each in `told` at its number modulo the size; what
 * cannot be read is not there. `work_dir` may be NULL. */
void job_told_read(struct job_told told[JOB_EPOCHS_SHOWN], const char *work_dir, const struct row_job *job);
/* Appends the members `usage` of the job's last epoch, `chip_ms` and `cost` of all, `unpaid` where something is owed, and
 * `epochs`. `row`: all that were metered, in order. Borrows everything. Amounts are decimal texts, times ms, energy joules. */
void job_bill_render(struct buf *out, const struct core *core, const struct row_job *job,
                     const struct job_told told[JOB_EPOCHS_SHOWN], const struct row_job_usage *row,
                     uint32_t n);

#endif
