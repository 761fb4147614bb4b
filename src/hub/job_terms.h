/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms of a job: the members of a submission that the dispatcher decides by, as an event has them.
 *
 * Read on the worker's thread from the body; names of sites, chips and vendors are looked up on the core thread, where a
 * wrong one is refused with those that there are. The event is that of an array, which begins as that of a job does.
 */
#ifndef BUSBAR_HUB_JOB_TERMS_H
#define BUSBAR_HUB_JOB_TERMS_H

#include "hub/api.h"

struct job_terms {
    char tenant[NAME_CAP], site[NAME_CAP];
    struct {
        struct uuid id;
        uint32_t kind; /* enum job_after */
    } after[JOB_AFTERS_MAX];
    uint32_t nafter;
};

/* The members that job_terms_read knows; NULL ends it. */
extern const char *const job_terms_members[];

/* ERR_INVALID with words. */
int job_terms_read(struct api_call *call, struct job_terms *terms, struct event_job_array *e);
/* ERR_NOT_FOUND with words: a tenant, site, kind of chips or vendor that there is not. */
int job_terms_resolve(struct api_call *call, const struct core *core, const struct job_terms *terms,
                      struct event_job_array *e);
/* As members, each with a comma before it: what a job asks for beside chips, priority and interruptible. */
void job_terms_render(struct buf *out, const struct core *core, const struct row_job *row);

#endif
