/* SPDX-License-Identifier: Apache-2.0 */
/* Finding jobs and arrays as callers name them: an id, or that of an array and a task's index. */
#include <string.h>

#include "hub/jobs.h"

bool job_over(const struct row_job *row)
{
    return row->state != JOB_QUEUED && row->state != JOB_RUNNING;
}

static int none(struct api_call *call, const char *text)
{
    return err_set(&call->err, ERR_NOT_FOUND, "There is no job `%.64s`.", text);
}

/* The id that the text names, or with *index the array and an index of it. */
static bool read_name(const char *text, struct uuid *id, bool *task, uint64_t *index)
{
    const char *mark = strchr(text, '_');
    size_t len = mark ? (size_t)(mark - text) : strlen(text);
    *task = mark != NULL;
    return uuid_parse(id, text, len) && (!mark || u64_parse(mark + 1, strlen(mark + 1), UINT32_MAX, index));
}

bool job_name_valid(const char *text)
{
    struct uuid id;
    uint64_t index;
    bool task;
    return read_name(text, &id, &task, &index);
}

int job_find(struct api_call *call, const char *text, struct job_ref *out)
{
    struct store *store = runtime_store(call->hub->runtime);
    uint64_t index = 0;
    bool task;
    *out = (struct job_ref){.is_array = false};
    if (!read_name(text, &out->id, &task, &index))
        return none(call, text);
    int rc = task ? ERR_NOT_FOUND : store->ops->get(store, ROW_KIND_job, &out->id, &out->job, &call->err);
    if (rc == 0)
        return call_may(call, &out->job.tenant) == 0 ? 0 : none(call, text);
    if (rc == ERR_NOT_FOUND)
        rc = store->ops->get(store, ROW_KIND_job_array, &out->id, &out->array, &call->err);
    if (rc == ERR_NOT_FOUND || (rc == 0 && call_may(call, &out->array.tenant) != 0))
        return none(call, text);
    out->is_array = rc == 0 && !task;
    if (rc != 0 || !task)
        return rc;
    const uint64_t k = index - out->array.first + 1;
    if (index < out->array.first || k > out->array.tasks)
        return none(call, text);
    out->id.b[14] = (uint8_t)(k >> 8);
    out->id.b[15] = (uint8_t)k;
    rc = store->ops->get(store, ROW_KIND_job, &out->id, &out->job, &call->err);
    return rc == ERR_NOT_FOUND ? none(call, text) : rc;
}

int job_find_one(struct api_call *call, struct row_job *out)
{
    struct job_ref ref;
    int rc = job_find(call, call->param, &ref);
    if (rc == 0 && ref.is_array)
        rc = err_set(&call->err, ERR_INVALID, "This is an array: name a task, `%.36s_%u`.", call->param,
                     ref.array.first);
    *out = ref.job;
    return rc;
}
