/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/osrandom.h"
#include "hub/api.h"

#define SLOTS_DEFAULT 4

static int list(struct api_call *call, const struct core *core)
{
    const struct row_deployment *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_deployment_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render_deployment(&call->out, core, row);
    }
    buf_add_text(&call->out, "],\"next\":null}");
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_deployment *row = view_deployment(core, &call->id);
    if (row)
        render_deployment(&call->out, core, row);
    else
        buf_add_text(&call->out, "{\"stopped\":true}");
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"model", "replicas", "slots", NULL};
    struct event_deploy *e = &call->events[0].u.deploy;
    uint64_t replicas = 1, slots = SLOTS_DEFAULT;
    call->events[0].kind = EVENT_KIND_deploy;
    call->nevents = 1;
    call->id = e->deployment = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "model", true, call->param, NAME_CAP);
    if (rc == 0)
        rc = body_count(call, "replicas", REPLICAS_PER_DEPLOYMENT_MAX, &replicas);
    if (rc == 0)
        rc = body_count(call, "slots", SLOTS_MAX, &slots);
    e->replicas = (uint32_t)replicas;
    e->slots = (uint32_t)slots;
    if (rc == 0 && (replicas == 0 || slots == 0))
        rc = err_set(&call->err, ERR_INVALID, "replicas and slots must be at least 1");
    return rc;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const struct row_model *row = call_model(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->events[0].u.deploy.model = row->id;
    if (view_deployment_of(core, &row->id))
        return err_set(&call->err, ERR_EXISTS, "`%s` is deployed already.", row->name);
    return 0;
}

static int remove_prepare(struct api_call *call, const struct core *core)
{
    const struct row_model *row = call_model(call, core, call->param);
    const struct row_deployment *d = row ? view_deployment_of(core, &row->id) : NULL;
    if (!row)
        return ERR_NOT_FOUND;
    if (!d)
        return err_set(&call->err, ERR_NOT_FOUND, "`%s` is not deployed.", row->name);
    call->id = d->id;
    call->events[0].kind = EVENT_KIND_undeploy;
    call->events[0].u.undeploy.deployment = d->id;
    call->nevents = 1;
    return 0;
}

const struct api_handler api_deployment_list = {.finish = list};
const struct api_handler api_deployment_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = show_id, .status = 201};
const struct api_handler api_deployment_remove = {.prepare = remove_prepare, .finish = show_id};
