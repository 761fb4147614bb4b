/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/osrandom.h"
#include "hub/api.h"
#include "hub/quota.h"

#define CURRENCY_DEFAULT "USD"

static int list(struct api_call *call, const struct core *core)
{
    uint32_t limit, n = 0;
    uint64_t from;
    int rc = call_page_from(call, UINT32_MAX, &limit, &from);
    if (rc != 0)
        return rc;
    uint32_t pos = (uint32_t)from;
    const struct row_tenant *row;
    buf_add_text(&call->out, "{\"data\":[");
    while (n < limit && (row = view_tenant_at(core, &pos)) != NULL) {
        buf_add_text(&call->out, n++ ? "," : "");
        render_tenant(&call->out, core, row);
    }
    uint32_t next = pos;
    page_end_at(&call->out, view_tenant_at(core, &next) != NULL, pos);
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"name", "budget", "currency", "jurisdiction", "licence", NULL};
    struct event *event = &call->events[0];
    struct event_tenant_add *e = &event->u.tenant_add;
    char currency[8] = CURRENCY_DEFAULT;
    event->kind = EVENT_KIND_tenant_add;
    call->nevents = 1;
    call->id = e->tenant = uuid_new();
    e->transfer = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_name(call, "name", e->name);
    if (rc == 0)
        rc = body_amount(call, "budget", false, &e->budget);
    if (rc == 0)
        rc = body_text(call, "currency", false, currency, sizeof currency);
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, e->jurisdiction, sizeof e->jurisdiction);
    if (rc == 0)
        rc = body_text(call, "licence", false, e->licence, sizeof e->licence);
    e->ledger = currency_number(currency, strlen(currency));
    if (rc == 0 && e->ledger == 0)
        rc = err_set(&call->err, ERR_INVALID, "currency: %s is not supported", currency);
    return rc;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = view_tenant(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_tenant(&call->out, core, row);
    return 0;
}

static int show_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    return 0;
}

static int show_work(struct api_call *call)
{
    const unsigned long long max = quota_max(call->hub->quota);
    buf_addf(&call->out, ",\"blob_bytes\":%llu,\"blob_bytes_max\":%llu}",
             (unsigned long long)quota_used(call->hub->quota, &call->id), max);
    return 0;
}

/* The tenant's members, and then those that were found in its folder. */
static int show(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = view_tenant(core, &call->id); /* tenants never go */
    struct buf found = call->out;
    buf_init(&call->out, found.max);
    render_tenant(&call->out, core, row);
    buf_take_back(&call->out, '}');
    buf_add(&call->out, found.data, found.len);
    buf_fini(&found);
    return 0;
}

static int budget_parse(struct api_call *call)
{
    static const char *const members[] = {"budget", NULL};
    call->events[0].kind = EVENT_KIND_tenant_budget;
    call->events[0].u.tenant_budget.transfer = uuid_new();
    call->nevents = 1;
    int rc = body_only(call, members);
    return rc ? rc : body_amount(call, "budget", true, &call->events[0].u.tenant_budget.budget);
}

static int budget_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = call->events[0].u.tenant_budget.tenant = row->id;
    struct view_balance b = view_tenant_balance(core, &row->id);
    if (call->events[0].u.tenant_budget.budget < b.spent + b.held)
        err_set(&call->err, ERR_WRONG_STATE, "More than that is spent or held already.");
    return 0;
}

const struct api_handler api_tenant_list = {.finish = list};
const struct api_handler api_tenant_add = {.parse = add_parse, .finish = show_id, .status = 201};
const struct api_handler api_tenant_show = {.prepare = show_prepare, .work = show_work, .finish = show};
const struct api_handler api_tenant_budget = {
    .parse = budget_parse, .prepare = budget_prepare, .finish = show_id};
