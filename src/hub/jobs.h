/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of the API: what core decides about is an event and a row; what a job runs (program, arguments, environment) is
 * a file by its id (site/job_file.h), durable before the event is posted and removed if that is refused. So the journal
 * never holds what a tenant wrote there. A job that is over is no more of core: its row is read from the store.
 */
#ifndef BUSBAR_HUB_JOBS_H
#define BUSBAR_HUB_JOBS_H

#include "hub/api.h"
#include "site/job_file.h"

struct job_ref {
    struct uuid id;
    bool is_array;
    struct row_job job; /* unless it is one */
    struct row_job_array array;
};

/* Whether the text has the form of such a name. */
bool job_name_valid(const char *text);
/* On a thread that may block. A job or an array that the caller may see, by its id, or a task as ARRAY_INDEX; ERR_NOT_FOUND
 * with words. */
int job_find(struct api_call *call, const char *text, struct job_ref *out);
/* The job that the path names; an array is ERR_INVALID with words. */
int job_find_one(struct api_call *call, struct row_job *out);
bool job_over(const struct row_job *row);

#endif
