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
    char near[80]; /* hub/job_near.h */
    struct {
        char job[64];  /* as job_find takes it */
        uint32_t kind; /* enum job_after */
    } after[JOB_AFTERS_MAX];
    uint32_t nafter;
    uint32_t first, total, at_once; /* of an array; total 0: it is one job */
};

/* "A-B" or "A-B%C", or one index, as an array's first index, number of tasks and how many run at a time, 0: any number. False:
 * it is something else, or too large. */
bool job_array_parse(const char *text, size_t len, uint32_t *first, uint32_t *total, uint32_t *at_once);

/* The members that job_terms_read knows; NULL ends it. */
extern const char *const job_terms_members[];

/* ERR_INVALID with words. */
int job_terms_read(struct api_call *call, struct job_terms *terms, struct event_job_array *e);
/* ERR_NOT_FOUND with words: a tenant, site, kind of chips or vendor that there is not. */
int job_terms_resolve(struct api_call *call, const struct core *core, const struct job_terms *terms,
                      struct event_job_array *e);
/* Who pays: the key of the call, if it is one of the job's tenant. ERR_BUDGET_SPENT with words: nothing is left of a budget. */
int job_pay_check(struct api_call *call, const struct core *core, struct event_job_array *e);
/* The job that an array, or a job that comes after others, begins as. */
void job_of_array(struct event_job_submit *to, const struct event_job_array *from);
/* As members, each with a comma before it: what a job asks for beside chips, priority and interruptible. */
void job_terms_render(struct buf *out, const struct core *core, const struct row_job *row);

#endif
