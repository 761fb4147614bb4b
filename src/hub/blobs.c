/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs at the hub: DATA/blobs/<tenant>/, a folder (base/blob.h) for each tenant.
 *
 * A digest is no right to read: a tenant reads what lies in its own folder, and there lies what it sent itself or what its
 * jobs brought. Two tenants that send the same bytes each have them, and neither learns of the other. Sites get what the
 * jobs need that run there (hub/desk.h), and what they bring back lands here.
 *
 *   GET /api/v1/blobs/SHA256/have            how much there is
 *   PUT /api/v1/blobs/SHA256?size=&offset=   the next piece; the answer tells how much there is then
 *   GET /api/v1/blobs/SHA256?offset=         the bytes from there on, BLOB_PIECE_MAX at most
 */
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "hub/api.h"
#include "hub/quota.h"

#define BUSY_MS 200 /* then a blob that another call writes is tried again */

struct asked {
    struct uuid tenant;
    char tenant_name[CALL_PARAM_MAX];
    char dir[FS_PATH_MAX];
    uint64_t size, offset;
};

static int query_bytes(struct api_call *call, const char *name, bool required, uint64_t *out)
{
    char text[32];
    bool given = call_query(call, name, text, sizeof text);
    if ((!given && required) || (given && !u64_parse(text, strlen(text), BLOB_MAX, out)))
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number of at most %llu", name,
                       (unsigned long long)BLOB_MAX);
    return 0;
}

static int parse(struct api_call *call)
{
    struct asked *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NO_MEMORY;
    call->data = a;
    if (!blob_name_valid(call->param, strlen(call->param)))
        return err_set(&call->err, ERR_INVALID,
                       "A blob's name is its SHA-256, 64 hexadecimal digits in small letters.");
    int rc = query_bytes(call, "offset", false, &a->offset);
    if (rc == 0 && call->handler == &api_blob_put)
        rc = query_bytes(call, "size", true, &a->size);
    if (call->handler == &api_blob_put) { /* the client may go while a thread reads them */
        buf_fini(&call->out);
        call->out = call->request->body;
        buf_init(&call->request->body, 0);
    }
    return rc;
}

/* The caller's own tenant; who may act for all says which. */
static int prepare(struct api_call *call, const struct core *core)
{
    struct asked *a = call->data;
    const struct row_tenant *row = NULL;
    if (call_query(call, "tenant", a->tenant_name, sizeof a->tenant_name)) {
        row = call_tenant(call, core, a->tenant_name);
        if (!row)
            return ERR_NOT_FOUND;
        a->tenant = row->id;
    } else if (uuid_zero(&call->key.tenant)) {
        return err_set(&call->err, ERR_INVALID, "tenant: whose is it?");
    } else {
        a->tenant = call->key.tenant;
    }
    return blob_owner_dir(a->dir, call->hub->blobs_dir, &a->tenant)
               ? 0
               : err_set(&call->err, ERR_INVALID, "path is too long");
}

static int tell(struct api_call *call, uint64_t have, bool whole)
{
    buf_clear(&call->out);
    buf_addf(&call->out, "{\"sha256\":\"%s\",\"have\":%llu,\"whole\":%s}", call->param,
             (unsigned long long)have, whole ? "true" : "false");
    return call->out.failed ? ERR_NO_MEMORY : 0;
}

static int have_work(struct api_call *call)
{
    const struct asked *a = call->data;
    uint64_t have;
    bool whole;
    int rc = blob_look(a->dir, call->param, &have, &whole, &call->err);
    if (whole)
        blob_use(a->dir, call->param); /* who asks counts on it */
    return rc ? rc : tell(call, have, whole);
}

static int put_work(struct api_call *call)
{
    const struct asked *a = call->data;
    const struct blob_piece piece = {.name = call->param,
                                     .size = a->size,
                                     .offset = a->offset,
                                     .data = call->out.data,
                                     .len = call->out.len};
    uint64_t have = 0;
    bool whole = false;
    int rc = blob_look(a->dir, call->param, &have, &whole, &call->err);
    if (rc == 0 && !whole)
        rc = quota_allows(call->hub->quota, &a->tenant, &piece, &call->err);
    const uint64_t had = have;
    if (rc == 0)
        rc = blob_put(a->dir, &piece, &have, &whole, &call->err);
    if (rc == 0 && have > had)
        quota_add(call->hub->quota, &a->tenant, have - had);
    if (rc ==
        ERR_UNAVAILABLE) { /* another call hashes it, which may take long: the client waits, no thread does */
        call->again_ms = BUSY_MS;
        return 0;
    }
    return rc ? rc : tell(call, have, whole);
}

static int read_work(struct api_call *call)
{
    const struct asked *a = call->data;
    return blob_read(a->dir, call->param, a->offset, BLOB_PIECE_MAX, &call->out, &call->err);
}

const struct api_handler api_blob_have = {.parse = parse, .prepare = prepare, .work = have_work};
const struct api_handler api_blob_put = {.parse = parse, .prepare = prepare, .work = put_work, .raw = true};
const struct api_handler api_blob_read = {
    .parse = parse, .prepare = prepare, .work = read_work, .type = "application/octet-stream"};
