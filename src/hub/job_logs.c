/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs printed. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/workdir.h"
#include "hub/jobs.h"

#define LOG_MAX ((size_t)4 << 20) /* of one answer */
#define LOG_WAIT_S_MAX 30
#define LOG_LOOK_MS 100 /* between looks while a client waits */

struct reading {
    bool errors;
    uint64_t offset, epoch, wait_ms;
    uint64_t began_ns;
};

static int query_count(struct api_call *call, const char *name, uint64_t max, uint64_t *out)
{
    char text[32];
    if (call_query(call, name, text, sizeof text) && !u64_parse(text, strlen(text), max, out))
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number of at most %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int logs_parse(struct api_call *call)
{
    char stream[16] = "out";
    uint64_t wait = 0;
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    int rc = query_count(call, "offset", INT64_MAX, &r->offset);
    if (rc == 0)
        rc = query_count(call, "epoch", UINT32_MAX, &r->epoch);
    if (rc == 0)
        rc = query_count(call, "wait", LOG_WAIT_S_MAX, &wait);
    (void)call_query(call, "stream", stream, sizeof stream);
    r->errors = strcmp(stream, "err") == 0;
    if (rc == 0 && !r->errors && strcmp(stream, "out") != 0)
        rc = err_set(&call->err, ERR_INVALID, "stream: out or err");
    r->wait_ms = wait * 1000;
    r->began_ns = clock_mono_ns();
    return rc;
}

static int logs_work(struct api_call *call)
{
    struct reading *r = call->data;
    struct row_job row;
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    /* The row before the log: where that says that the epoch is over, nothing more is written. */
    int rc = job_find_one(call, &row);
    if (rc != 0)
        return rc;
    const struct job_id id = {row.id, r->epoch ? (uint32_t)r->epoch : row.epoch};
    if (id.epoch > 0 && call->hub->work_dir) {
        workdir_path(dir, call->hub->work_dir, &id);
        workdir_file(path, dir, r->errors ? "err" : "out");
        rc = workdir_read_at(path, r->offset, LOG_MAX, &call->out, &call->err);
    }
    bool more = row.state == JOB_RUNNING && row.epoch == id.epoch;
    if (row.state == JOB_QUEUED && r->epoch == 0)
        more = true;
    if (rc == 0 && call->out.len == 0 && more &&
        clock_mono_ns() - r->began_ns < r->wait_ms * UINT64_C(1000000))
        call->again_ms = LOG_LOOK_MS;
    return rc;
}

const struct api_handler api_job_logs = {
    .parse = logs_parse, .work = logs_work, .type = "application/octet-stream"};
