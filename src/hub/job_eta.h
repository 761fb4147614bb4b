/* SPDX-License-Identifier: Apache-2.0 */
/* When a job will start, in answers about it: only for those who ask by ?eta=true, since it has to be worked out (hub/starts.h). */
#ifndef BUSBAR_HUB_JOB_ETA_H
#define BUSBAR_HUB_JOB_ETA_H

#include "hub/api.h"
#include "hub/starts.h"

struct job_eta {
    uint64_t since_ms; /* since boot: when the call began to wait for it; 0: it has not */
    bool told;
    struct starts_answer answer;
};

/* Last in a handler's `work`. True: the call is to wait, and `work` will be run again; after JOB_ETA_WAIT_MS it goes without.
 * `also`: as for starts_ask. */
#define JOB_ETA_WAIT_MS 8000
bool job_eta_wait(struct api_call *call, struct job_eta *eta, const struct uuid *job,
                  const struct event_job_submit *also);
/* Member `eta`, if it is known. */
void job_eta_render(struct buf *out, const struct job_eta *eta);

#endif
