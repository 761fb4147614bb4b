/* SPDX-License-Identifier: Apache-2.0 */
/* Projects of a tenant. */
#include <string.h>

#include "base/osrandom.h"
#include "hub/budgets.h"

static void render(struct buf *out, const struct core *core, const struct row_project *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", row->name, NAME_CAP);
    add_text(out, "tenant", tenant ? tenant->name : "", NAME_CAP);
    render_budgets(out, core, &row->id, BUDGET_PROJECT);
    add_time(out, "created", row->created_ms);
    add_time(out, "removed", row->removed_ms);
    buf_add_char(out, '}');
}

static int list(struct api_call *call, const struct core *core)
{
    uint32_t limit, pos, n = 0;
    const struct row_tenant *tenant;
    int rc = call_page_of(call, core, &limit, &pos, &tenant);
    if (rc != 0)
        return rc;
    const struct row_project *row;
    buf_add_text(&call->out, "{\"data\":[");
    while (n < limit && (row = view_project_at(core, &pos)) != NULL) {
        if (call_may(call, &row->tenant) != 0 || (tenant && !uuid_eq(&tenant->id, &row->tenant)))
            continue;
        buf_add_text(&call->out, n++ ? "," : "");
        render(&call->out, core, row);
    }
    uint32_t next = pos;
    page_end_at(&call->out, view_project_at(core, &next) != NULL, pos);
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"name", "tenant", NULL};
    call->events[0].kind = EVENT_KIND_project_add;
    call->nevents = 1;
    call->id = call->events[0].u.project_add.project = uuid_new();
    int rc = body_only(call, members);
    return rc ? rc : body_name(call, "name", call->events[0].u.project_add.name);
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *tenant = call_owner(call, core);
    if (!tenant)
        return call->err.code;
    call->events[0].u.project_add.tenant = tenant->id;
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_project *row = view_project(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render(&call->out, core, row);
    return 0;
}

static int remove_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *tenant = call_owner(call, core);
    const struct row_project *row = tenant ? call_project(call, core, tenant, call->param) : NULL;
    if (!row)
        return call->err.code;
    call->id = row->id;
    call->events[0].kind = EVENT_KIND_project_remove;
    call->events[0].u.project_remove.project = row->id;
    call->nevents = 1;
    err_set(&call->err, ERR_WRONG_STATE, "The project has keys that are not revoked."); /* if it is refused */
    return 0;
}

const struct api_handler api_project_list = {.finish = list};
const struct api_handler api_project_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = show_id, .status = 201};
const struct api_handler api_project_remove = {.prepare = remove_prepare, .finish = show_id};
