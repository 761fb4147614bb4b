/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/billing.h"

#include <stdlib.h>
#include <string.h>

struct looked {
    struct row_billed row;
    int64_t at_ms;
    bool any;
};

/* Better: the latest of those until then; where there is none, the first of those after. */
static int take(void *ctx, enum row_kind kind, const void *data)
{
    struct looked *l = ctx;
    const struct row_billed *row = data;
    (void)kind;
    bool before = row->from_ms <= l->at_ms, had = l->any && l->row.from_ms <= l->at_ms;
    if (!l->any || (before && (!had || row->from_ms > l->row.from_ms)) ||
        (!before && !had && row->from_ms < l->row.from_ms))
        l->row = *row;
    l->any = true;
    return 0;
}

int billing_read(struct row_billed *out, struct store *store, const struct uuid *owner, int64_t at_ms,
                 struct err *err)
{
    struct looked l = {.at_ms = at_ms};
    const struct row_query query = {.kind = ROW_KIND_billed, .owner_field = "owner", .owner = owner};
    int rc = store->ops->rows(store, &query, 1, take, &l, err);
    *out = l.row;
    return rc;
}

static void members(struct buf *out, const struct row_billed *row)
{
    buf_add_char(out, '{');
    add_text(out, "name", row->name, sizeof row->name);
    add_text(out, "address", row->address, sizeof row->address);
    add_text(out, "tax_number", row->tax_number, sizeof row->tax_number);
    buf_add_char(out, '}');
}

void billing_json(struct buf *out, const char *name, const struct row_billed *row)
{
    buf_addf(out, ",\"%s\":", name);
    if (row->from_ms == 0)
        buf_add_text(out, "null");
    else
        members(out, row);
}

/* ---- the API ---- */

static int set_parse(struct api_call *call)
{
    static const char *const allowed[] = {"name", "address", "tax_number", NULL};
    struct event_billed_set *e = &call->events[0].u.billed_set;
    call->events[0] = (struct event){.kind = EVENT_KIND_billed_set};
    call->nevents = 1;
    int rc = body_only(call, allowed);
    if (rc == 0)
        rc = body_text(call, "name", true, e->name, sizeof e->name);
    if (rc == 0 && !e->name[0])
        rc = err_set(&call->err, ERR_INVALID, "name: must say something");
    if (rc == 0)
        rc = body_text(call, "address", false, e->address, sizeof e->address);
    return rc ? rc : body_text(call, "tax_number", false, e->tax_number, sizeof e->tax_number);
}

static int find_tenant(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    if (call->nevents > 0)
        call->events[0].u.billed_set.tenant = row->id;
    return 0;
}

static int set_finish(struct api_call *call, const struct core *core)
{
    const struct event_billed_set *e = &call->events[0].u.billed_set;
    struct row_billed row = {.owner = e->tenant};
    (void)core;
    memcpy(row.name, e->name, sizeof row.name);
    memcpy(row.address, e->address, sizeof row.address);
    memcpy(row.tax_number, e->tax_number, sizeof row.tax_number);
    members(&call->out, &row);
    return 0;
}

static int show_work(struct api_call *call)
{
    struct row_billed *row = calloc(1, sizeof *row);
    call->data = row;
    return row ? billing_read(row, runtime_store(call->hub->runtime), &call->id, INT64_MAX, &call->err)
               : ERR_NO_MEMORY;
}

static int show_finish(struct api_call *call, const struct core *core)
{
    (void)core;
    members(&call->out, call->data);
    return 0;
}

const struct api_handler api_network_billing = {.work = show_work, .finish = show_finish};
const struct api_handler api_network_billing_set = {.parse = set_parse, .finish = set_finish};
const struct api_handler api_tenant_billing = {
    .prepare = find_tenant, .work = show_work, .finish = show_finish};
const struct api_handler api_tenant_billing_set = {
    .parse = set_parse, .prepare = find_tenant, .finish = set_finish};
