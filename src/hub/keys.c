/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "hub/budgets.h"

static int list(struct api_call *call, const struct core *core)
{
    uint32_t limit, pos, n = 0;
    const struct row_tenant *tenant;
    int rc = call_page_of(call, core, &limit, &pos, &tenant);
    if (rc != 0)
        return rc;
    const struct row_key *row;
    buf_add_text(&call->out, "{\"data\":[");
    while (n < limit && (row = view_key_at(core, &pos)) != NULL) {
        if (call_may(call, &row->tenant) != 0 || (tenant && !uuid_eq(&tenant->id, &row->tenant)))
            continue;
        buf_add_text(&call->out, n++ ? "," : "");
        render_key(&call->out, core, row);
    }
    uint32_t next = pos;
    page_end_at(&call->out, view_key_at(core, &next) != NULL, pos);
    return 0;
}

static int read_scopes(struct api_call *call, uint32_t *scopes)
{
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(call->doc), "scopes");
    *scopes = SCOPE_INFERENCE;
    if (!v || yyjson_is_null(v))
        return 0;
    uint32_t read = 0;
    yyjson_arr_iter it;
    yyjson_val *item;
    yyjson_arr_iter_init(v, &it);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        uint32_t bit = 0;
#define S(name, flag, text) \
    if (yyjson_equals_str(item, text)) \
        bit = (flag);
        SCOPES(S)
#undef S
        if (bit == 0)
            return err_set(&call->err, ERR_INVALID, "scopes: inference, jobs, admin, operator or overseer");
        read |= bit;
    }
    if (read == 0)
        return err_set(&call->err, ERR_INVALID, "scopes: must be a list that is not empty");
    if ((read & SCOPE_OVERSEER) && read != SCOPE_OVERSEER)
        return err_set(&call->err, ERR_INVALID, "scopes: overseer goes with no other");
    *scopes = read;
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant", "name",    "scopes", "models",  "rpm",
                                          "tpm",    "expires", "budget", "project", NULL};
    struct event_key_add *e = &call->events[0].u.key_add;
    uint64_t rpm = 0, tpm = 0, expires = 0;
    call->events[0].kind = EVENT_KIND_key_add;
    call->nevents = 1;
    call->id = e->key = uuid_new();
    e->transfer = uuid_new();
    e->budget = -1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_name(call, "name", e->name);
    if (rc == 0)
        rc = read_scopes(call, &e->scopes);
    if (rc == 0)
        rc = body_count(call, "rpm", UINT32_MAX, &rpm);
    if (rc == 0)
        rc = body_count(call, "tpm", UINT32_MAX, &tpm);
    if (rc == 0)
        rc = body_count(call, "expires", INT64_MAX / 1000, &expires);
    if (rc == 0)
        rc = body_amount(call, "budget", false, &e->budget);
    e->rpm = (uint32_t)rpm;
    e->tpm = (uint32_t)tpm;
    e->expires_ms = (int64_t)expires * 1000;
    if (rc == 0 && expires && e->expires_ms <= clock_wall_ms())
        rc = err_set(&call->err, ERR_INVALID, "expires: must be in the future (Unix seconds)");
    char id[APIKEY_ID_LEN + 1];
    apikey_new(call->secret, id);
    memcpy(e->public_id, id, sizeof id);
    apikey_hash(e->hash, call->secret, APIKEY_LEN);
    return rc;
}

static int add_models(struct api_call *call, const struct core *core, struct uuid_list *models)
{
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(call->doc), "models");
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) == 0 || yyjson_arr_size(v) > KEY_MODELS_MAX)
        return err_set(&call->err, ERR_INVALID, "models: must be a list of 1 to %d names", KEY_MODELS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    yyjson_val *item;
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *name = yyjson_is_str(item) ? yyjson_get_str(item) : "";
        const struct row_model *row = call_model(call, core, name);
        if (!row)
            return ERR_NOT_FOUND;
        models->v[models->n++] = row->id;
    }
    return 0;
}

static int add_project(struct api_call *call, const struct core *core, const struct row_tenant *tenant,
                       struct uuid *project)
{
    char name[CALL_PARAM_MAX] = "";
    int rc = body_text(call, "project", false, name, sizeof name);
    const struct row_project *row = rc == 0 && name[0] ? call_project(call, core, tenant, name) : NULL;
    if (rc != 0 || !name[0])
        return rc;
    if (row)
        *project = row->id;
    return row ? 0 : ERR_NOT_FOUND;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    struct event_key_add *e = &call->events[0].u.key_add;
    char tenant[NAME_CAP] = "";
    int rc = body_text(call, "tenant", call->operator_, tenant, sizeof tenant);
    if (rc != 0)
        return rc;
    const struct row_tenant *row =
        tenant[0] ? call_tenant(call, core, tenant) : view_tenant(core, &call->key.tenant);
    if (!row)
        return ERR_NOT_FOUND;
    /* Nobody hands out what he does not have. */
    if (!call->operator_ && (e->scopes & SCOPE_OPERATOR))
        return err_set(&call->err, ERR_FORBIDDEN, "This key may not grant the scope `operator`.");
    if (!call->operator_ && (e->scopes & SCOPE_OVERSEER))
        return err_set(&call->err, ERR_FORBIDDEN, "This key may not grant the scope `overseer`.");
    if (!call->operator_ && (e->scopes & SCOPE_JOBS) && !(call->key.scopes & SCOPE_JOBS))
        return err_set(&call->err, ERR_FORBIDDEN,
                       "This key may not grant the scope `jobs`, which it does not have.");
    e->tenant = row->id;
    rc = add_project(call, core, row, &e->project);
    return rc ? rc : add_models(call, core, &e->models);
}

static int add_finish(struct api_call *call, const struct core *core)
{
    const struct row_key *row = view_key(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_key(&call->out, core, row);
    buf_take_back(&call->out, '}');
    add_text(&call->out, "key", call->secret, sizeof call->secret);
    buf_add_char(&call->out, '}');
    return 0;
}

static int revoke_prepare(struct api_call *call, const struct core *core)
{
    const struct row_key *row = call_key(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    call->events[0].kind = EVENT_KIND_key_revoke;
    call->events[0].u.key_revoke.key = row->id;
    call->nevents = 1;
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_key *row = view_key(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_key(&call->out, core, row);
    return 0;
}

const struct api_handler api_key_list = {.finish = list};
const struct api_handler api_key_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = add_finish, .status = 201};
const struct api_handler api_key_revoke = {.prepare = revoke_prepare, .finish = show_id};
