/* SPDX-License-Identifier: Apache-2.0 */
/* Dry runs: what would become of a submission, told from the state as it is. */
#ifndef BUSBAR_HUB_JOB_CHECK_H
#define BUSBAR_HUB_JOB_CHECK_H

#include "hub/job_eta.h"
#include "hub/job_terms.h"

/* On the core thread. The answer in call->out: whether the first of its tasks would start at once, what is in its way, and for each
 * pool that it could have as it is, chips, prices and costs. Errors as core has them. */
int job_check_render(struct api_call *call, const struct core *core, const struct event_job_array *e,
                     const struct job_terms *terms, const struct job_eta *eta);

#endif
