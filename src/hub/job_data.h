/* SPDX-License-Identifier: Apache-2.0 */
/* Data of jobs at the API: inputs that a submission names, and what was kept of a job. On threads that may block. */
#ifndef BUSBAR_HUB_JOB_DATA_H
#define BUSBAR_HUB_JOB_DATA_H

#include "engine/job.h"
#include "hub/job_terms.h"

/* Whether the tenant has all inputs of the job whose file has this text; what the dispatcher plans with is put into the first
 * event. `terms` may be NULL. ERR_INVALID with words. */
int job_data_check(struct api_call *call, const struct job_terms *terms, const struct uuid *tenant,
                   const char *text, size_t len);

/* Members `inputs` and `outputs_asked`, as the job's file names them. */
void job_data_add_spec(struct buf *out, const struct job_spec *spec);
/* Members `outputs`, of its last epoch, and `data`, totals of all of them. */
void job_data_add_kept(struct buf *out, const char *work_dir, const struct row_job *job);

#endif
