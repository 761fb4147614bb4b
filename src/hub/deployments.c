/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/osrandom.h"
#include "core/kinds.h"
#include "hub/api.h"
#include "hub/door.h"

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
    static const char *const members[] = {"model", "sites", "replicas", "slots", NULL};
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

/* ---- at sites ---- */

static bool is_own(const struct core *core, const struct row_site *site)
{
    const struct row_site *own = view_site_own(core);
    return own && uuid_eq(&own->id, &site->id);
}

/* Whether replicas can be there at all; with words. */
static int check_site(struct api_call *call, const struct core *core, const struct row_site *site)
{
    const struct row_member *member = view_member(core, &site->id);
    const char *name = site->name;
    if (is_own(core, site))
        return 0;
    if (!call->hub->door || !member || member->joined_ms == 0)
        return err_set(&call->err, ERR_WRONG_STATE, "The site %s has not joined.", name);
    if (view_site_state(site) != PLACE_UP)
        return err_set(&call->err, ERR_WRONG_STATE, "The site %s is %s.", name,
                       place_state_text(view_site_state(site)));
    switch (door_serves(call->hub->door, &site->id)) {
    case -1:
        return err_set(&call->err, ERR_UNAVAILABLE,
                       "The site %s has not been heard of since the hub started.", name);
    case 0:
        return err_set(&call->err, ERR_UNSUPPORTED,
                       "The site %s cannot serve models: that takes the engine `local`, not a batch system.",
                       name);
    default:
        return 0;
    }
}

/* A site fetches the weights; an engine at a URL has none, and is where it is. */
static int check_weights(struct api_call *call, const struct core *core, const struct row_model *model)
{
    const struct row_variant *row;
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->model, &model->id) && (row->size_bytes == 0 || strstr(row->location, "://")))
            return err_set(&call->err, ERR_UNSUPPORTED,
                           "`%s` is an engine at a URL, which no site can start.", model->name);
    }
    return 0;
}

static int add_sites(struct api_call *call, const struct core *core, const struct row_model *model)
{
    struct uuid_list *sites = &call->events[0].u.deploy.sites;
    yyjson_val *list = body_member(call, "sites"), *item;
    size_t n = yyjson_arr_size(list);
    int rc = 0;
    sites->n = 0;
    if (!list)
        return 0;
    if (!yyjson_is_arr(list) || n == 0 || n > KEY_MODELS_MAX)
        return err_set(&call->err, ERR_INVALID, "sites: must be a list of 1 to %d names", KEY_MODELS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *name = yyjson_get_str(item);
        const struct row_site *site = name ? view_site_named(core, name, strlen(name)) : NULL;
        if (!site)
            return err_set(&call->err, ERR_NOT_FOUND, "There is no site %.64s.",
                           name ? name : "of that name");
        for (uint32_t i = 0; i < sites->n; i++) {
            if (uuid_eq(&sites->v[i], &site->id))
                return err_set(&call->err, ERR_INVALID, "sites: %s is named twice", name);
        }
        sites->v[sites->n++] = site->id;
        rc = check_site(call, core, site);
        if (rc == 0 && !is_own(core, site))
            rc = check_weights(call, core, model);
    }
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
    int rc = add_sites(call, core, row);
    if (rc == 0 && !view_may_deploy(core, &call->events[0].u.deploy.sites, row, 1))
        rc = err_set(&call->err, ERR_FORBIDDEN, "The rules let nobody use `%s` at one of these sites.",
                     row->name);
    return rc;
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
