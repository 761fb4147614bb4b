/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near: a job that is to run where some data is. WHAT is a job: the site where it ran last, whose cache has what it brought; or the
 * SHA-256 of a blob: the hub's own site, where blobs are; or a site.
 */
#ifndef BUSBAR_HUB_JOB_NEAR_H
#define BUSBAR_HUB_JOB_NEAR_H

#include "engine/job.h"
#include "hub/job_terms.h"

/* On the core thread: a site by its name, and the hub's own, as the event's limit of place. ERR_NOT_FOUND with words. */
int job_near_resolve(struct api_call *call, const struct core *core, const struct job_terms *terms,
                     struct event_job_array *e);
/* After that, on a thread that may block: a job or a blob. ERR_NOT_FOUND, ERR_INVALID or ERR_WRONG_STATE with words. */
int job_near_find(struct api_call *call, const struct job_terms *terms, struct event_job_array *e);
/* Bytes of the inputs that are not to be had where it is: all, unless it is a job that brought some of them. On a thread that
 * may block, after job_near_find. */
uint64_t job_near_missing(const struct api_call *call, const struct job_terms *terms,
                          const struct job_spec *spec);

#endif
