/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployments: models that are served.
 *
 * One that names sites is a service (core/service.h) of the same id, from `min` to `replicas` of them, whose replicas are jobs of core's
 * own: the dispatcher places them at these sites and nowhere else, on as many sites as there is room for, and what holds for jobs
 * holds for their chips. One that names no site is a fixed number of replicas on the hub's own machine, the site that was there
 * first, and no chip is counted for it, so that `busbar up` serves a model on whatever it finds.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

/* Of a deployment that scales: as of a service in the simulator (docs/serving.md). */
#define TARGET 700
#define HOLD_MS 300000
#define IDLE_MS 300000

uint32_t deployment_find(const struct core *core, const struct uuid *id)
{
    return map_get(&core->deployment_map, id, sizeof *id);
}

/* The only variant choice so far: the model's first one, by id since an index would be another after a reload. The
 * dispatcher will weigh them. */
static uint32_t variant_of(const struct core *core, struct model_id model)
{
    const struct variant *v = core->variant;
    uint32_t first = INDEX_NONE;
    for (uint32_t i = 0; i < core->variants.used; i++) {
        if (table_live(&core->variants, i) && v[i].model.v == model.v &&
            (first == INDEX_NONE || memcmp(&v[i].row.id, &v[first].row.id, sizeof(struct uuid)) < 0))
            first = i;
    }
    return first;
}

/* From now on the model is served by that engine; "": by the one that it has. */
static void take_engine(struct core *core, uint32_t variant, const char engine[NAME_CAP])
{
    if (engine[0] == 0)
        return;
    memcpy(core->variant[variant].row.engine, engine, NAME_CAP);
    table_touch(&core->variants, variant);
}

/* ---- where ---- */

static bool names(const struct uuid_list *sites, const struct uuid *site)
{
    uint32_t k = 0;
    while (k < sites->n && !uuid_eq(&sites->v[k], site))
        k++;
    return k < sites->n;
}

bool deployment_is_at(const struct core *core, uint32_t d, struct site_id site)
{
    return names(&core->deployment[d].row.sites, &core->net.site[site.v].row.id);
}

/* By its model, not by its service: while rows are loaded there is none yet. */
bool deployment_is_barred(const struct core *core, uint32_t d, uint32_t site)
{
    uint32_t variant =
        core->acceptances.nbarred == 0 ? INDEX_NONE : variant_of(core, core->deployment[d].model);
    return variant != INDEX_NONE &&
           accept_bars(core, &core->variant[variant].row.id, &core->net.site[site].row.id);
}

uint32_t deployment_count_at(const struct core *core, uint32_t d, struct site_id site)
{
    const struct service *s = &core->service.service[core->deployment[d].service];
    uint32_t n = 0;
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        const struct job *job = &core->work.job[list_entry(it, struct service_replica, in_service)->job];
        n += job->pool != INDEX_NONE && core->net.pool[job->pool].site.v == site.v;
    }
    return n;
}

/* The kinds that its replicas may be of; the first, of any kind where it names none. */
static uint32_t kinds_of(const struct event_deploy *e, struct alternative kind[ALTERNATIVES],
                         const char *chip[ALTERNATIVES])
{
    const uint32_t chips[] = {e->chips ? e->chips : 1, e->chips1, e->chips2, e->chips3};
    const char *const names[] = {e->chip, e->chip1, e->chip2, e->chip3};
    uint32_t n = 0;
    for (; n < ALTERNATIVES && chips[n] > 0; n++) {
        kind[n] = (struct alternative){.count = chips[n]};
        chip[n] = names[n];
    }
    return n;
}

/* Whether a replica could ever be somewhere there: one node has its chips. */
static bool could_be(const struct core *core, const struct event_deploy *e, uint32_t chips, const char *chip)
{
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        const struct row_pool *pool = &core->net.pool[i].row;
        if (table_live(&core->net.pools, i) && names(&e->sites, &pool->site) && pool->node_chips >= chips &&
            (chip[0] == 0 || memcmp(chip, pool->chip, CHIP_CAP) == 0))
            return true;
    }
    return false;
}

/* Each is known, and of one at least a replica could be there. */
static int check_kinds(const struct core *core, const struct event_deploy *e)
{
    struct alternative kind[ALTERNATIVES];
    const char *chip[ALTERNATIVES];
    uint32_t n = kinds_of(e, kind, chip);
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        if (chip[i][0] && map_get(&core->net.chip_map, chip[i], text_len(chip[i], CHIP_CAP)) == MAP_NONE)
            return ERR_NOT_FOUND;
        if (kind[i].count > NODE_CHIPS_MAX || (n > 1 && chip[i][0] == 0))
            return ERR_INVALID;
        any = any || could_be(core, e, kind[i].count, chip[i]);
    }
    return any ? 0 : ERR_NO_CAPACITY;
}

static int check_sites(const struct core *core, const struct event_deploy *e)
{
    for (uint32_t k = 0; k < e->sites.n; k++) {
        struct site_id site = site_by_id(core, &e->sites.v[k]);
        if (site.v == INDEX_NONE)
            return ERR_NOT_FOUND;
        for (uint32_t j = 0; j < k; j++) {
            if (uuid_eq(&e->sites.v[j], &e->sites.v[k]))
                return ERR_INVALID;
        }
        if (site_state(&core->net.site[site.v].row) != PLACE_UP)
            return ERR_WRONG_STATE;
    }
    return e->sites.n == 0 ? 0 : check_kinds(core, e);
}

/* ---- rules ---- */

void rule_facts_of_deployment(const struct core *core, uint32_t pool, const struct row_model *model,
                              uint32_t chips, struct rule_facts *facts)
{
    const struct row_site *site = &core->net.site[core->net.pool[pool].site.v].row;
    rule_facts_clear(facts);
    rule_facts_text(facts, RULE_TENANT_JURISDICTION, site->jurisdiction, sizeof site->jurisdiction);
    rule_facts_text(facts, RULE_JOB_KIND, job_kind_text(JOB_KIND_INFERENCE), KIND_TEXT_CAP);
    rule_facts_number(facts, RULE_JOB_CHIPS, chips);
    rule_facts_text(facts, RULE_MODEL_NAME, model->name, sizeof model->name);
    rule_facts_text(facts, RULE_MODEL_ORIGIN, model->origin, sizeof model->origin);
    rule_facts_text(facts, RULE_MODEL_LICENCE, model->licence, sizeof model->licence);
    rule_facts_of_pool(core, pool, facts);
}

static bool is_lawful(const struct core *core, uint32_t pool, const struct row_model *model, uint32_t chips)
{
    struct rule_facts facts;
    struct verdict ignored;
    rule_facts_of_deployment(core, pool, model, chips, &facts);
    return rules_judge(rulebook_rules(core), &facts, core->book.row.judged_ms, &ignored) == 0;
}

bool view_may_deploy(const struct core *core, const struct uuid_list *sites, const struct row_model *model,
                     uint32_t chips)
{
    for (uint32_t k = 0; k < sites->n; k++) {
        struct site_id site = site_by_id(core, &sites->v[k]);
        bool any = false, lawful = false;
        for (uint32_t i = 0; i < core->net.pools.used && !lawful; i++) {
            bool here = table_live(&core->net.pools, i) && core->net.pool[i].site.v == site.v;
            any = any || here;
            lawful = here && is_lawful(core, i, model, chips);
        }
        if (any && !lawful)
            return false;
    }
    return true;
}

bool view_may_serve(const struct core *core, const struct uuid *pool, const struct row_model *model,
                    uint32_t chips)
{
    uint32_t i = map_get(&core->net.pool_map, pool, sizeof *pool);
    return i != MAP_NONE && is_lawful(core, i, model, chips);
}

/* ---- what a deployment at sites is ---- */

/* The one with the lowest id, since an index would be another after a reload. */
static const struct uuid *tenant_first(const struct core *core)
{
    const struct uuid *first = NULL;
    for (uint32_t i = 0; i < core->tenants.used; i++) {
        const struct uuid *id = &core->tenant[i].row.id;
        if (table_live(&core->tenants, i) && (!first || memcmp(id, first, sizeof *id) < 0))
            first = id;
    }
    return first;
}

static void service_of(const struct row_deployment *d, const struct uuid *variant, const struct uuid *tenant,
                       struct row_service *out)
{
    *out = (struct row_service){.id = d->id,
                                .tenant = *tenant,
                                .variant = *variant,
                                .count0 = d->chips,
                                .tokens_s0 = d->slots * SLOT_TOKENS_S,
                                .min = d->min,
                                .max = d->replicas,
                                .target = TARGET,
                                .hold_ms = HOLD_MS,
                                .idle_ms = IDLE_MS,
                                .created_ms = d->created_ms};
    memcpy(out->chip0, d->chip, sizeof out->chip0);
}

/* As many tokens a second of each kind until something was measured. */
static void take_kinds(const struct event_deploy *e, struct row_service *out)
{
    char *const to[] = {out->chip0, out->chip1, out->chip2, out->chip3};
    uint32_t *const count[] = {&out->count0, &out->count1, &out->count2, &out->count3};
    uint32_t *const tokens[] = {&out->tokens_s0, &out->tokens_s1, &out->tokens_s2, &out->tokens_s3};
    struct alternative kind[ALTERNATIVES];
    const char *chip[ALTERNATIVES];
    uint32_t n = kinds_of(e, kind, chip);
    for (uint32_t i = 1; i < n; i++) {
        memcpy(to[i], chip[i], CHIP_CAP);
        *count[i] = kind[i].count;
        *tokens[i] = out->tokens_s0;
    }
}

static bool scale_holds(const struct event_deploy *e)
{
    return e->min <= e->replicas && e->chips <= NODE_CHIPS_MAX && e->hold_ms >= 0 &&
           e->hold_ms <= SERVICE_MS_MAX && e->idle_ms >= 0 && e->idle_ms <= SERVICE_MS_MAX;
}

static int check_terms(const struct core *core, const struct event_deploy *e)
{
    if (uuid_zero(&e->deployment) || e->replicas == 0 || e->replicas > REPLICAS_PER_DEPLOYMENT_MAX ||
        e->slots == 0 || e->slots > SLOTS_MAX || (e->sites.n > 0 && !scale_holds(e)))
        return ERR_INVALID;
    if (deployment_find(core, &e->deployment) != MAP_NONE ||
        map_get(&core->service.service_map, &e->deployment, sizeof e->deployment) != MAP_NONE)
        return ERR_EXISTS;
    if (table_room(&core->deployments) == 0)
        return ERR_LIMIT;
    if (e->sites.n > 0)
        return table_room(&core->service.services) == 0 ? ERR_LIMIT : 0;
    return table_room(&core->replicas) < e->replicas ? ERR_LIMIT : 0;
}

static uint32_t add(struct core *core, const struct row_deployment *row, struct model_id model)
{
    uint32_t d = table_take(&core->deployments);
    core->deployment[d] =
        (struct deployment){.row = *row, .model = model, .service = INDEX_NONE, .cluster = INDEX_NONE};
    map_put(&core->deployment_map, &row->id, sizeof row->id, d);
    core->model[model.v].ndeployments++;
    core->effects->routes_changed = true;
    return d;
}

int step_deploy(struct core *core, const struct event *event)
{
    const struct event_deploy *e = &event->u.deploy;
    struct model_id model = model_by_id(core, &e->model);
    if (model.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (view_recalled(core, &e->model))
        return ERR_RECALLED;
    uint32_t variant = variant_of(core, model);
    if (variant == INDEX_NONE || site_first(core) == INDEX_NONE || core->model[model.v].ndeployments > 0)
        return ERR_WRONG_STATE;
    bool fixed = e->chips == 0;
    int rc = check_terms(core, e);
    if (rc == 0)
        rc = cluster_check(core, e);
    if (rc == 0)
        rc = check_sites(core, e);
    if (rc != 0)
        return rc;
    const struct uuid *tenant = uuid_zero(&e->tenant) ? tenant_first(core) : &e->tenant;
    if (e->sites.n > 0 && (!tenant || tenant_by_id(core, tenant).v == INDEX_NONE))
        return ERR_NOT_FOUND;
    take_engine(core, variant, e->engine);
    struct row_deployment row = {.id = e->deployment,
                                 .model = e->model,
                                 .replicas = e->replicas,
                                 .slots = e->slots,
                                 .created_ms = event->at_ms,
                                 .sites = e->sites};
    if (e->sites.n == 0) {
        uint32_t d = add(core, &row, model);
        for (uint32_t k = 0; k < e->replicas; k++)
            replica_own(core, d, k, &core->variant[variant].row.id);
        return 0;
    }
    row.min = fixed ? e->replicas : e->min;
    row.chips = fixed ? 1 : e->chips;
    memcpy(row.chip, e->chip, sizeof row.chip);
    memcpy(row.near, e->near, sizeof row.near);
    struct row_service service;
    service_of(&row, &core->variant[variant].row.id, tenant, &service);
    take_kinds(e, &service);
    service.hold_ms = e->hold_ms ? e->hold_ms : service.hold_ms;
    service.idle_ms = e->idle_ms ? e->idle_ms : service.idle_ms;
    uint32_t d = add(core, &row, model);
    if (e->members > 0) {
        cluster_make(core, d, e, &service.variant);
        service.made = CLUSTER_HEAD + 1;
    }
    uint32_t s = service_put(core, &service); /* there is room */
    service_due(core, s);
    return 0;
}

/* ---- its end ---- */

void deployment_reap(struct core *core, uint32_t d)
{
    if (core->deployment[d].row.replicas > 0)
        return;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (table_live(&core->replicas, i) && core->replica[i].deployment == d)
            return;
    }
    if (core->deployment[d].service != INDEX_NONE)
        service_drop(core, core->deployment[d].service);
    cluster_drop(core, d);
    core->model[core->deployment[d].model.v].ndeployments--;
    map_remove(&core->deployment_map, &core->deployment[d].row.id, sizeof(struct uuid));
    table_drop(&core->deployments, d);
    core->effects->routes_changed = true;
}

void deployments_reap(struct core *core)
{
    for (uint32_t d = 0; d < core->deployments.used; d++) {
        if (table_live(&core->deployments, d))
            deployment_reap(core, d);
    }
}

void deployment_stop(struct core *core, uint32_t d)
{
    struct deployment *deployment = &core->deployment[d];
    if (deployment->row.replicas == 0)
        return;
    deployment->row.replicas = 0;
    table_touch(&core->deployments, d);
    cluster_stop(core, d);
    if (deployment->service != INDEX_NONE)
        service_empty(core, deployment->service);
    for (uint32_t i = 0; i < core->replicas.used && deployment->service == INDEX_NONE; i++) {
        if (table_live(&core->replicas, i) && core->replica[i].deployment == d)
            replica_drain(core, i, core->now_ms);
    }
    deployment_reap(core, d); /* at once if none is left to stop */
    core->effects->routes_changed = true;
}

int step_undeploy(struct core *core, const struct event *event)
{
    uint32_t d = deployment_find(core, &event->u.undeploy.deployment);
    if (d == MAP_NONE)
        return ERR_NOT_FOUND;
    deployment_stop(core, d);
    return 0;
}

/* ---- those from before ---- */

/* Its replicas were rows without jobs. They go, and the service makes others, which the sites tell apart by their ordinals. */
static void convert(struct core *core, uint32_t d, const struct uuid *tenant)
{
    struct row_deployment *row = &core->deployment[d].row;
    uint32_t variant = variant_of(core, core->deployment[d].model);
    if (variant == INDEX_NONE || table_room(&core->service.services) == 0)
        return;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (table_live(&core->replicas, i) && core->replica[i].deployment == d)
            replica_forget(core, i);
    }
    if (row->replicas == 0) {
        deployment_reap(core, d);
        return;
    }
    row->min = row->replicas;
    row->chips = 1;
    table_touch(&core->deployments, d);
    struct row_service service;
    service_of(row, &core->variant[variant].row.id, tenant, &service);
    service.made = REPLICAS_PER_DEPLOYMENT_MAX;
    uint32_t s = service_put(core, &service);
    table_touch(&core->service.services, s);
    service_due(core, s);
}

void deployments_convert(struct core *core)
{
    const struct uuid *tenant = tenant_first(core);
    for (uint32_t d = 0; d < core->deployments.used && tenant; d++) {
        const struct deployment *deployment = &core->deployment[d];
        if (table_live(&core->deployments, d) && deployment->row.sites.n > 0 &&
            deployment->service == INDEX_NONE)
            convert(core, d, tenant);
    }
}
