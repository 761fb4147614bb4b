/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_near.h"

#include <string.h>

#include "base/blob.h"
#include "hub/jobs.h"

static bool is_blob(const struct job_terms *terms)
{
    return blob_name_valid(terms->near, strlen(terms->near));
}

int job_near_resolve(struct api_call *call, const struct core *core, const struct job_terms *terms,
                     struct event_job_array *e)
{
    const struct row_site *own = view_site_own(core);
    if (!terms->near[0] || job_name_valid(terms->near))
        return 0;
    const struct row_site *site =
        is_blob(terms) ? own : view_site_named(core, terms->near, strlen(terms->near));
    if (!site)
        return err_set(&call->err, ERR_NOT_FOUND, "near: `%.64s` is no job, no SHA-256 and no site",
                       terms->near);
    e->site = site->id;
    return 0;
}

static int find_blob(struct api_call *call, const struct job_terms *terms, const struct uuid *tenant)
{
    char dir[FS_PATH_MAX];
    uint64_t have;
    bool whole;
    if (!blob_owner_dir(dir, call->hub->blobs_dir, tenant))
        return err_set(&call->err, ERR_INVALID, "path is too long");
    int rc = blob_look(dir, terms->near, &have, &whole, &call->err);
    if (rc == 0 && !whole)
        rc = err_set(&call->err, ERR_NOT_FOUND, "near: this tenant has no blob %.12s... here", terms->near);
    return rc;
}

struct last {
    uint32_t epoch;
    struct uuid site;
};

static void take_epoch(void *ctx, const struct row_job_usage *row)
{
    struct last *last = ctx;
    if (row->epoch >= last->epoch)
        *last = (struct last){row->epoch, row->site};
}

int job_near_find(struct api_call *call, const struct job_terms *terms, struct event_job_array *e)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct last last = {0};
    struct job_ref ref;
    if (!terms->near[0])
        return 0;
    if (!job_name_valid(terms->near))
        return is_blob(terms) ? find_blob(call, terms, &e->tenant) : 0;
    int rc = job_find(call, terms->near, &ref);
    if (rc == 0 && ref.is_array)
        rc = err_set(&call->err, ERR_INVALID, "near: %.36s is an array; name a task, `%.36s_%u`", terms->near,
                     terms->near, ref.array.first);
    if (rc == 0)
        rc = store->ops->job_usage(store, &ref.id, take_epoch, &last, &call->err);
    if (rc == 0 && last.epoch == 0)
        rc = err_set(&call->err, ERR_WRONG_STATE, "near: job %.50s has run nowhere yet", terms->near);
    if (rc == 0)
        e->site = last.site;
    return rc;
}

uint64_t job_near_missing(const struct api_call *call, const struct job_terms *terms,
                          const struct job_spec *spec)
{
    struct uuid id;
    struct job_spec other = {0};
    uint64_t bytes = 0;
    /* What a task brought is in the file of its array (site/job_file.h). */
    const bool known = terms && uuid_parse(&id, terms->near, strcspn(terms->near, "_")) &&
                       job_file_load(&other, call->hub->specs_dir, &id, NULL) == 0;
    for (uint32_t i = 0; i < spec->inputs_count; i++) {
        bool there = false;
        for (uint32_t k = 0; known && k < other.inputs_count && !there; k++)
            there = strcmp(other.inputs[k].sha256, spec->inputs[i].sha256) == 0;
        bytes += there ? 0 : spec->inputs[i].size;
    }
    if (known)
        job_spec_free(&other);
    return bytes;
}
