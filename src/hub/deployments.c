/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/osrandom.h"
#include "core/kinds.h"
#include "hub/api.h"
#include "hub/deploy_cluster.h"
#include "hub/door.h"
#include "hub/near.h"
#include "hub/recipes.h"

#define SLOTS_DEFAULT 4

/* What is known of the model on each kind of chips that it may have, once each. */
static void add_recipes(struct api_call *call, const struct core *core, const struct row_deployment *row)
{
    struct buf words;
    buf_init(&words, 4096);
    deployment_words(call->hub, core, row, &words);
    buf_add_text(&call->out, ",\"recipes\":");
    buf_add_json(&call->out, words.len ? words.data : "", words.len);
    buf_fini(&words);
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_deployment *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_deployment_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render_deployment(&call->out, core, row, call->hub);
        add_recipes(call, core, row);
        buf_add_char(&call->out, '}');
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_deployment *row = view_deployment(core, &call->id);
    if (!row) {
        buf_add_text(&call->out, "{\"stopped\":true}");
        return 0;
    }
    render_deployment(&call->out, core, row, call->hub);
    add_recipes(call, core, row);
    buf_add_char(&call->out, '}');
    return 0;
}

/* Seconds; 0 is the default of core. */
static int read_span(struct api_call *call, const char *name, int64_t *ms)
{
    uint64_t seconds = 0;
    int rc = body_count(call, name, SERVICE_MS_MAX / 1000, &seconds);
    if (rc == 0 && body_member(call, name) && seconds == 0)
        rc = err_set(&call->err, ERR_INVALID, "%s: must be at least 1", name);
    *ms = (int64_t)seconds * 1000;
    return rc;
}

/* `replicas`, or `min` and `max`. */
static int read_scale(struct api_call *call, struct event_deploy *e)
{
    uint64_t replicas = 1, min = 0, max = 0;
    bool scales = body_member(call, "min") || body_member(call, "max");
    int rc = body_count(call, "replicas", REPLICAS_PER_DEPLOYMENT_MAX, &replicas);
    if (rc == 0)
        rc = body_count(call, "min", REPLICAS_PER_DEPLOYMENT_MAX, &min);
    if (rc == 0)
        rc = body_count(call, "max", REPLICAS_PER_DEPLOYMENT_MAX, &max);
    if (rc == 0 && scales &&
        (body_member(call, "replicas") || !body_member(call, "min") || !max || min > max))
        rc = err_set(&call->err, ERR_INVALID,
                     "either replicas, or min and max, where max is at least 1 and not less than min");
    if (rc == 0 && replicas == 0)
        rc = err_set(&call->err, ERR_INVALID, "replicas and slots must be at least 1");
    e->min = (uint32_t)(scales ? min : replicas);
    e->replicas = (uint32_t)(scales ? max : replicas);
    return rc;
}

/* What there is only where replicas are jobs. */
static int check_at_sites(struct api_call *call)
{
    static const char *const members[] = {"min", "max", "chips", "chip", "hold_s", "idle_s"};
    bool at_sites = body_member(call, "sites") || body_member(call, "near");
    if (body_member(call, "sites") && body_member(call, "near"))
        return err_set(&call->err, ERR_INVALID, "either sites or near");
    for (size_t i = 0; i < sizeof members / sizeof members[0] && !at_sites; i++) {
        if (body_member(call, members[i]))
            return err_set(&call->err, ERR_INVALID,
                           "%s: needs sites or near; without these the hub's own machine serves the model, "
                           "and counts no chips",
                           members[i]);
    }
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"model",  "sites",  "near",    "replicas", "min",
                                          "max",    "slots",  "chips",   "chip",     "hold_s",
                                          "idle_s", "engine", "cluster", NULL};
    struct event_deploy *e = &call->events[0].u.deploy;
    uint64_t slots = SLOTS_DEFAULT, chips = 1;
    call->events[0].kind = EVENT_KIND_deploy;
    call->nevents = 1;
    call->id = e->deployment = uuid_new();
    e->tenant = call->key.tenant;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "model", true, call->param, NAME_CAP);
    if (rc == 0)
        rc = body_member(call, "cluster") ? 0 : check_at_sites(call);
    if (rc == 0)
        rc = read_scale(call, e);
    if (rc == 0)
        rc = body_count(call, "slots", SLOTS_MAX, &slots);
    if (rc == 0)
        rc = body_count(call, "chips", NODE_CHIPS_MAX, &chips);
    if (rc == 0)
        rc = body_text(call, "chip", false, e->chip, sizeof e->chip);
    if (rc == 0)
        rc = body_text(call, "near", false, e->near, sizeof e->near);
    if (rc == 0)
        rc = body_text(call, "engine", false, e->engine, sizeof e->engine);
    if (rc == 0)
        rc = read_span(call, "hold_s", &e->hold_ms);
    if (rc == 0)
        rc = read_span(call, "idle_s", &e->idle_ms);
    if (rc == 0)
        rc = deploy_cluster_parse(call, e);
    e->slots = (uint32_t)slots;
    e->chips = (uint32_t)chips;
    if (rc == 0 && slots == 0)
        rc = err_set(&call->err, ERR_INVALID, "replicas and slots must be at least 1");
    if (rc == 0 && chips == 0)
        rc = err_set(&call->err, ERR_INVALID, "chips must be at least 1");
    return rc;
}

/* ---- at sites ---- */

static bool is_own(const struct core *core, const struct row_site *site)
{
    const struct row_site *own = view_site_own(core);
    return own && uuid_eq(&own->id, &site->id);
}

int deployable_at(struct api_call *call, const struct core *core, const struct row_site *site)
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
                       "The site %s cannot serve models; its agent's log says why.", name);
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

/* A file stays a file: only what is started here or at sites can take the place of what is started. */
static int check_engine(struct api_call *call, const struct core *core, const struct row_model *model)
{
    const char *name = call->events[0].u.deploy.engine;
    const struct engine_spec *wanted = engine_spec_named(call->hub->engines, name);
    const struct row_variant *row;
    if (name[0] == 0)
        return 0;
    if (!wanted)
        return err_set(&call->err, ERR_INVALID, "engine: there is no engine `%s`", name);
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->model, &model->id))
            continue;
        if (wanted->binary[0] == 0 || strstr(row->location, "://"))
            return err_set(&call->err, ERR_INVALID,
                           "engine: a model is a file or at a URL, and stays what it was added as");
    }
    return 0;
}

/* Whether one node there could ever have what a replica asks for. */
static bool has_chips(const struct core *core, const struct event_deploy *e, const struct uuid_list *sites)
{
    const struct row_pool *row;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        if (row->node_chips < e->chips || (e->chip[0] && strcmp(e->chip, row->chip) != 0))
            continue;
        for (uint32_t i = 0; i < sites->n; i++) {
            if (uuid_eq(&sites->v[i], &row->site))
                return true;
        }
    }
    return false;
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
        rc = deployable_at(call, core, site);
        if (rc == 0 && !is_own(core, site))
            rc = check_weights(call, core, model);
    }
    return rc;
}

/* The nearest that can have it; with words of the last one that cannot where none can. */
static int add_near(struct api_call *call, const struct core *core, const struct row_model *model)
{
    struct event_deploy *e = &call->events[0].u.deploy;
    const struct row_site *near[NEAR_SITES_MAX];
    uint32_t n = near_sites(core, e->near, near);
    int rc = 0;
    if (n == 0)
        return err_set(&call->err, ERR_NOT_FOUND, "There is no region, jurisdiction or site %s.", e->near);
    rc = check_weights(call, core, model);
    for (uint32_t i = 0; rc == 0 && i < n && e->sites.n < KEY_MODELS_MAX; i++) {
        const struct uuid_list one = {.n = 1, .v = {near[i]->id}};
        if (!has_chips(core, e, &one))
            err_set(&call->err, ERR_WRONG_STATE, "The site %s has no such chips.", near[i]->name);
        else if (!view_may_deploy(core, &one, model, e->chips))
            err_set(&call->err, ERR_FORBIDDEN, "The rules let nobody use `%s` at the site %s.", model->name,
                    near[i]->name);
        else if (deployable_at(call, core, near[i]) == 0)
            e->sites.v[e->sites.n++] = near[i]->id;
    }
    if (rc == 0 && e->sites.n == 0)
        rc = call->err.code;
    return rc;
}

static int check_chips(struct api_call *call, const struct core *core)
{
    const struct event_deploy *e = &call->events[0].u.deploy;
    if (e->chip[0] && !view_chip_known(core, e->chip))
        return err_set(&call->err, ERR_NOT_FOUND, "There is no chip kind %s.", e->chip);
    if (e->sites.n > 0 && !has_chips(core, e, &e->sites))
        return err_set(&call->err, ERR_WRONG_STATE, "No node of these sites has %u chips%s%s.", e->chips,
                       e->chip[0] ? " of the kind " : "", e->chip);
    return 0;
}

/* Kinds that there is a recipe for, unless one is named; a URL needs none, and of a cluster each member holds a part only. */
static int add_kinds(struct api_call *call, const struct core *core, const struct row_model *model)
{
    struct event_deploy *e = &call->events[0].u.deploy;
    const struct row_variant *variant = model_variant(core, model);
    const struct model_on on = {.model = model,
                                .variant = variant,
                                .engine = e->engine[0] || !variant ? e->engine : variant->engine,
                                .slots = e->slots};
    if (e->sites.n == 0 || e->chip[0] || e->members > 0 || !variant || strstr(variant->location, "://"))
        return 0;
    return deploy_kinds(call->hub, core, &on, e, body_member(call, "chips") != NULL, &call->err);
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    struct event_deploy *e = &call->events[0].u.deploy;
    const struct row_model *row = call_model(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    e->model = row->id;
    e->sites.n = 0;
    if (view_deployment_of(core, &row->id))
        return err_set(&call->err, ERR_EXISTS, "`%s` is deployed already.", row->name);
    int rc = check_engine(call, core, row);
    if (rc == 0 && !e->near[0])
        rc = add_sites(call, core, row);
    if (rc == 0)
        rc = check_chips(call, core);
    if (rc == 0 && e->near[0])
        rc = add_near(call, core, row);
    if (rc == 0)
        rc = deploy_cluster_prepare(call, core, row);
    if (rc == 0)
        rc = add_kinds(call, core, row);
    if (rc == 0 && !view_may_deploy(core, &e->sites, row, e->chips))
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
