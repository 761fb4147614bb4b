/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of the API: what core decides about is an event and a row; what a job runs (program, arguments, environment) is
 * a file by its id (site/jobs.h), durable before the event is posted and removed if that is refused. So the journal
 * never holds what a tenant wrote there. A job that is over is no more of core: its row is read from the store.
 */
#ifndef BUSBAR_HUB_JOBS_H
#define BUSBAR_HUB_JOBS_H

#include "engine/job.h"
#include "hub/api.h"
#include "site/jobs.h"

/* On a thread that may block. The row of a job that the caller may see; ERR_NOT_FOUND with words. */
int job_find(struct api_call *call, const struct uuid *id, struct row_job *out);
/* Reads the id in the path. */
int job_param(struct api_call *call);
bool job_over(const struct row_job *row);
/* What it runs. ERR_NOT_FOUND, or as job_spec_load. */
int job_spec_of(const struct hub *hub, const struct uuid *id, struct job_spec *spec);

#endif
