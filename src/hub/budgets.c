/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/budgets.h"

#include <string.h>

#include "core/notice.h"

/* ---- told ---- */

static void add_thresholds(struct buf *out, uint32_t at)
{
    if (at)
        buf_addf(out, ",\"at\":[%u]", at);
    else
        buf_add_text(out, ",\"at\":[50,80,100]");
}

static bool add_budget(struct buf *out, const struct core *core, const struct uuid *owner, uint32_t scope,
                       bool soft, const char *sep)
{
    struct view_balance b;
    const struct row_budget *row = view_budget(core, owner, scope, soft, &b);
    if (!row)
        return false;
    buf_addf(out, "%s{\"soft\":%s", sep, soft ? "true" : "false");
    add_text(out, "per", budget_period_text(row->per), KIND_TEXT_CAP);
    add_amount(out, "budget", b.budget);
    add_amount(out, "spent", b.spent);
    if (!soft) {
        add_amount(out, "held", b.held);
        add_amount(out, "available", b.budget - b.spent - b.held);
    }
    add_thresholds(out, row->at);
    add_time(out, "resets", view_budget_reset(core, row));
    buf_add_char(out, '}');
    return true;
}

void render_budgets(struct buf *out, const struct core *core, const struct uuid *owner, uint32_t scope)
{
    buf_add_text(out, ",\"budgets\":[");
    bool hard = add_budget(out, core, owner, scope, false, "");
    (void)add_budget(out, core, owner, scope, true, hard ? "," : "");
    buf_add_char(out, ']');
}

void render_project_of(struct buf *out, const struct core *core, const struct row_key *key)
{
    const struct row_project *row = view_project(core, &key->project);
    if (row)
        add_text(out, "project", row->name, NAME_CAP);
    else
        buf_add_text(out, ",\"project\":null");
}

void render_compute(struct buf *out, const struct core *core, const struct uuid *tenant)
{
    const struct row_compute *row = view_compute(core, tenant);
    if (!row)
        return;
    const int64_t since_ms[COMPUTE_ALARMS] = {row->alarm0_ms, row->alarm1_ms};
    static const char *const flop[COMPUTE_ALARMS] = {"1e23", "1e25"};
    const char *sep = "";
    buf_addf(out, ",\"compute\":{\"tera_flop\":%llu,\"alarms\":[", (unsigned long long)row->tera);
    for (int i = 0; i < COMPUTE_ALARMS; i++) {
        if (since_ms[i] == 0)
            continue;
        buf_addf(out, "%s{\"flop\":\"%s\"", sep, flop[i]);
        add_time(out, "since", since_ms[i]);
        buf_add_char(out, '}');
        sep = ",";
    }
    buf_add_text(out, "]}");
}

/* ---- whose ---- */

const struct row_tenant *call_owner(struct api_call *call, const struct core *core)
{
    char name[CALL_PARAM_MAX] = "";
    if (!call->doc)
        (void)call_query(call, "tenant", name, sizeof name);
    else if (body_text(call, "tenant", false, name, sizeof name) != 0)
        return NULL;
    if (name[0])
        return call_tenant(call, core, name);
    const struct row_tenant *own = view_tenant(core, &call->key.tenant);
    if (!own)
        err_set(&call->err, ERR_INVALID, "tenant: is missing, and no key says which");
    return own;
}

const struct row_project *call_project(struct api_call *call, const struct core *core,
                                       const struct row_tenant *tenant, const char *text)
{
    struct uuid id;
    const struct row_project *row = uuid_parse(&id, text, strlen(text))
                                        ? view_project(core, &id)
                                        : view_project_named(core, &tenant->id, text, strlen(text));
    if (row && uuid_eq(&row->tenant, &tenant->id))
        return row;
    err_set(&call->err, ERR_NOT_FOUND, "There is no project `%.64s`.", text);
    return NULL;
}

/* ---- set ---- */

static int read_per(struct api_call *call, uint32_t *per)
{
    char text[KIND_TEXT_CAP] = "ever";
    int rc = body_text(call, "per", false, text, sizeof text);
    for (*per = 0; rc == 0 && *per < BUDGET_PERIODS_END; (*per)++) {
        if (strcmp(text, budget_period_text(*per)) == 0)
            return 0;
    }
    return rc ? rc : err_set(&call->err, ERR_INVALID, "per: day, week, month or ever");
}

/* Null: the budget is taken away. */
static int read_amount(struct api_call *call, int64_t *amount)
{
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(call->doc), "budget");
    *amount = -1;
    return v && yyjson_is_null(v) ? 0 : body_amount(call, "budget", true, amount);
}

static int parse(struct api_call *call)
{
    static const char *const members[] = {"tenant", "project", "key", "budget", "per", "soft", "at", NULL};
    struct event_budget_set *e = &call->events[0].u.budget_set;
    uint64_t at = 0;
    call->events[0].kind = EVENT_KIND_budget_set;
    call->nevents = 1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = read_amount(call, &e->amount);
    if (rc == 0)
        rc = read_per(call, &e->per);
    if (rc == 0)
        rc = body_count(call, "at", 100, &at);
    yyjson_val *soft = body_member(call, "soft");
    if (rc == 0 && soft && !yyjson_is_bool(soft))
        rc = err_set(&call->err, ERR_INVALID, "soft: must be true or false");
    if (rc == 0 && body_member(call, "project") && body_member(call, "key"))
        rc = err_set(&call->err, ERR_INVALID, "project and key: a budget is of one of them");
    if (rc == 0 && body_member(call, "at") && at == 0)
        rc = err_set(&call->err, ERR_INVALID, "at: must be a percentage from 1 to 100");
    e->at = (uint32_t)at;
    e->soft = soft && yyjson_get_bool(soft);
    return rc;
}

/* Sets who owns it. A key is found by itself. */
static int find_owner(struct api_call *call, const struct core *core, struct event_budget_set *e)
{
    char project[CALL_PARAM_MAX] = "", key[CALL_PARAM_MAX] = "";
    int rc = body_text(call, "project", false, project, sizeof project);
    if (rc == 0)
        rc = body_text(call, "key", false, key, sizeof key);
    if (rc != 0)
        return rc;
    if (key[0]) {
        const struct row_key *row = call_key(call, core, key);
        e->scope = BUDGET_KEY;
        e->owner = row ? row->id : e->owner;
        return row ? 0 : ERR_NOT_FOUND;
    }
    const struct row_tenant *tenant = call_owner(call, core);
    if (!tenant)
        return call->err.code;
    e->scope = project[0] ? BUDGET_PROJECT : BUDGET_TENANT;
    e->owner = tenant->id;
    if (project[0]) {
        const struct row_project *row = call_project(call, core, tenant, project);
        e->owner = row ? row->id : e->owner;
        return row ? 0 : ERR_NOT_FOUND;
    }
    /* What bounds a tenant is not the tenant's to move. */
    if (!e->soft && !call->operator_)
        return err_set(&call->err, ERR_FORBIDDEN, "Only an operator sets the hard budget of a tenant.");
    return 0;
}

static int prepare(struct api_call *call, const struct core *core)
{
    struct event_budget_set *e = &call->events[0].u.budget_set;
    struct view_balance b;
    int rc = find_owner(call, core, e);
    if (rc != 0)
        return rc;
    call->id = e->owner;
    const struct row_budget *old = view_budget(core, &e->owner, e->scope, e->soft, &b);
    if (e->amount < 0 && !old)
        return err_set(&call->err, ERR_NOT_FOUND, "There is no such budget.");
    if (old && !e->soft && e->amount >= 0 && e->amount < (old->per == e->per ? b.spent : 0) + b.held)
        err_set(&call->err, ERR_WRONG_STATE, "More than that is spent or held already.");
    return 0;
}

static int finish(struct api_call *call, const struct core *core)
{
    const struct event_budget_set *e = &call->events[0].u.budget_set;
    buf_add_char(&call->out, '{');
    add_text(&call->out, "scope", budget_scope_text(e->scope), KIND_TEXT_CAP);
    add_id(&call->out, "id", &e->owner);
    render_budgets(&call->out, core, &e->owner, e->scope);
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_budget_set = {.parse = parse, .prepare = prepare, .finish = finish};
