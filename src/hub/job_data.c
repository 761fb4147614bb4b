/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_data.h"

#include <string.h>

#include "engine/data.h"
#include "hub/job_near.h"

/* The dispatcher plans with what lies at the hub's own site; of a site's cache it knows nothing. */
static int plan_with(struct api_call *call, uint64_t bytes)
{
    struct event_job_array *e = &call->events[0].u.job_array;
    if (bytes > DATA_BYTES_MAX)
        return err_set(&call->err, ERR_INVALID, "inputs: at most %llu bytes in all",
                       (unsigned long long)DATA_BYTES_MAX);
    if (bytes == 0)
        e->data_site = (struct uuid){{0}};
    e->data_bytes = uuid_zero(&e->data_site) ? 0 : bytes;
    return 0;
}

int job_data_check(struct api_call *call, const struct job_terms *terms, const struct uuid *tenant,
                   const char *text, size_t len)
{
    struct job_spec spec;
    char dir[FS_PATH_MAX];
    int rc = job_spec_parse(&spec, text, len, &call->err);
    if (rc == 0 && !blob_owner_dir(dir, call->hub->blobs_dir, tenant))
        rc = err_set(&call->err, ERR_INVALID, "path is too long");
    for (uint32_t i = 0; rc == 0 && i < spec.inputs_count; i++) {
        const struct job_blob *file = &spec.inputs[i];
        uint64_t have;
        bool whole;
        rc = blob_look(dir, file->sha256, &have, &whole, &call->err);
        blob_use(dir, file->sha256); /* what is not used for long, and named by nobody, goes (hub/keep.h) */
        if (rc == 0 && (!whole || have != file->size))
            rc = err_set(&call->err, ERR_INVALID,
                         "inputs: %.80s: this tenant has no blob %.12s... of %llu bytes here; send it first",
                         file->name, file->sha256, (unsigned long long)file->size);
    }
    if (rc == 0)
        rc = plan_with(call, job_near_missing(call, terms, &spec));
    job_spec_free(&spec);
    return rc;
}

static void add_files(struct buf *out, const char *name, const struct job_blob *files, uint32_t n)
{
    buf_addf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "");
        form_write(&job_blob_table, &files[i], out);
    }
    buf_add_char(out, ']');
}

void job_data_add_spec(struct buf *out, const struct job_spec *spec)
{
    if (spec->inputs_count > 0)
        add_files(out, "inputs", spec->inputs, spec->inputs_count);
    if (spec->outputs_count == 0)
        return;
    buf_add_text(out, ",\"outputs_asked\":[");
    for (uint32_t i = 0; i < spec->outputs_count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, spec->outputs[i], strlen(spec->outputs[i]));
    }
    buf_add_char(out, ']');
}

void job_data_add_kept(struct buf *out, const char *work_dir, const struct row_job *job)
{
    uint64_t bytes_in = 0, bytes_out = 0, fetched = 0, sent = 0;
    bool any = false;
    for (uint32_t epoch = 1; work_dir && epoch <= job->epoch; epoch++) {
        const struct job_id id = {job->id, epoch};
        char dir[FS_PATH_MAX], path[FS_PATH_MAX];
        struct data_kept kept;
        workdir_path(dir, work_dir, &id);
        workdir_file(path, dir, DATA_KEPT);
        if (form_load(&data_kept_table, path, &kept, NULL) != 0)
            continue;
        any = true;
        bytes_in += kept.in.bytes;
        fetched += kept.in.fetched;
        bytes_out += kept.outputs.bytes + kept.checkpoint.bytes;
        sent += kept.sent;
        if (epoch == job->epoch) {
            add_files(out, "outputs", kept.outputs.files, kept.outputs.files_count);
            buf_addf(out, ",\"outputs_left_out\":%u", kept.outputs.left_out);
        }
        data_kept_free(&kept);
    }
    if (any)
        buf_addf(
            out,
            ",\"data\":{\"bytes_in\":%llu,\"bytes_out\":%llu,\"bytes_fetched\":%llu,\"bytes_sent\":%llu}",
            (unsigned long long)bytes_in, (unsigned long long)bytes_out, (unsigned long long)fetched,
            (unsigned long long)sent);
}
