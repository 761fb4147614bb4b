/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployments and replicas. A replica's life is a table of states and allowed moves; each start is a new epoch, and a
 * report that carries an old epoch is refused, so a process that was given up cannot speak for its successor.
 *
 * A deployment that names sites has its replicas there, as evenly as there is room: one chip of a site for each, by count
 * only. Replicas of a site that is lost are given up and go to another one of the list; where none has room they wait
 * where they were, for the first that is back. One that names no site is served by the hub's own machine, the site that
 * was there first. Replicas elsewhere outlive the hub's process, so a boot leaves them as they are.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define BIT(state) (1u << REPLICA_##state)

/* allowed[from]: states that may follow. */
static const uint32_t allowed[] = {
    [REPLICA_WANTED] = BIT(STARTING) | BIT(BACKOFF) | BIT(READY) | BIT(DRAINING) | BIT(STOPPED),
    [REPLICA_STARTING] = BIT(READY) | BIT(BACKOFF) | BIT(DRAINING) | BIT(STOPPED),
    [REPLICA_READY] = BIT(BACKOFF) | BIT(DRAINING) | BIT(STOPPED),
    [REPLICA_BACKOFF] = BIT(STARTING) | BIT(DRAINING) | BIT(STOPPED),
    [REPLICA_DRAINING] = BIT(STOPPED),
    [REPLICA_STOPPED] = 0,
};

static bool move_allowed(uint32_t from, uint32_t to)
{
    assert(from >= REPLICA_WANTED && from <= REPLICA_STOPPED);
    return to >= REPLICA_WANTED && to <= REPLICA_STOPPED && (from == to || (allowed[from] & (1u << to)));
}

static void replica_move(struct core *core, uint32_t i, uint32_t to, int64_t now_ms)
{
    struct row_replica *row = &core->replica[i].row;
    assert(move_allowed(row->state, to));
    if (row->state != to)
        row->since_ms = now_ms;
    row->state = to;
    table_touch(&core->replicas, i);
    core->effects->routes_changed = true;
}

static struct effect *replica_effect(struct core *core, enum effect_kind kind, const struct row_replica *row)
{
    struct effect *effect = effect_add(core, kind);
    effect->deployment = row->deployment;
    effect->ordinal = row->ordinal;
    effect->epoch = row->epoch;
    return effect;
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

static uint32_t find_deployment(const struct core *core, const struct uuid *id)
{
    return map_get(&core->deployment_map, id, sizeof *id);
}

/* ---- where replicas are ---- */

static bool is_elsewhere(const struct core *core, struct site_id site)
{
    return site.v != site_first(core);
}

static bool is_at_lost(const struct core *core, const struct row_replica *row)
{
    struct site_id at = site_by_id(core, &row->site);
    return is_elsewhere(core, at) && site_state(&core->net.site[at.v].row) == PLACE_LOST;
}

static uint32_t chips_up(const struct core *core, struct site_id site)
{
    uint32_t chips = 0;
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        const struct pool *pool = &core->net.pool[i];
        if (table_live(&core->net.pools, i) && pool->site.v == site.v)
            chips += pool->nodes_up * pool->row.node_chips;
    }
    return chips;
}

/* Replicas that are at the site, of the deployment or, with INDEX_NONE, of all. */
static uint32_t replicas_at(const struct core *core, struct site_id site, uint32_t deployment)
{
    const struct uuid *id = &core->net.site[site.v].row.id;
    uint32_t n = 0;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        const struct replica *r = &core->replica[i];
        n += table_live(&core->replicas, i) && uuid_eq(&r->row.site, id) &&
             (deployment == INDEX_NONE || r->deployment == deployment);
    }
    return n;
}

/* How many more it could have; the hub's own machine any number. */
static uint32_t room_at(const struct core *core, struct site_id site)
{
    if (!is_elsewhere(core, site))
        return UINT32_MAX;
    uint32_t chips = chips_up(core, site), taken = replicas_at(core, site, INDEX_NONE);
    return chips > taken ? chips - taken : 0;
}

static bool has_room(const struct core *core, struct site_id site)
{
    return site_state(&core->net.site[site.v].row) == PLACE_UP && room_at(core, site) > 0;
}

/* Of the sites with room the one that has the fewest of the deployment's, the first of these in its list; INDEX_NONE: there
 * is none. */
static uint32_t site_for(const struct core *core, uint32_t d)
{
    const struct uuid_list *sites = &core->deployment[d].row.sites;
    uint32_t best = INDEX_NONE, least = UINT32_MAX;
    for (uint32_t k = 0; k < sites->n; k++) {
        struct site_id site = site_by_id(core, &sites->v[k]);
        uint32_t has = has_room(core, site) ? replicas_at(core, site, d) : UINT32_MAX;
        if (has < least) {
            best = site.v;
            least = has;
        }
    }
    return sites->n == 0 ? site_first(core) : best;
}

static int check_sites(const struct core *core, const struct event_deploy *e)
{
    uint64_t room = 0;
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
        room += room_at(core, site);
    }
    return e->sites.n == 0 || room >= e->replicas ? 0 : ERR_NO_CAPACITY;
}

/* As rules see it at a pool: nothing is known of who will ask, so he is taken to be at home there. */
static bool is_lawful(const struct core *core, uint32_t pool, const struct row_model *model)
{
    const struct row_site *site = &core->net.site[core->net.pool[pool].site.v].row;
    struct rule_facts facts;
    struct verdict ignored;
    rule_facts_clear(&facts);
    rule_facts_text(&facts, RULE_TENANT_JURISDICTION, site->jurisdiction, sizeof site->jurisdiction);
    rule_facts_text(&facts, RULE_JOB_KIND, job_kind_text(JOB_KIND_INFERENCE), KIND_TEXT_CAP);
    rule_facts_text(&facts, RULE_MODEL_NAME, model->name, sizeof model->name);
    rule_facts_text(&facts, RULE_MODEL_ORIGIN, model->origin, sizeof model->origin);
    rule_facts_text(&facts, RULE_MODEL_LICENCE, model->licence, sizeof model->licence);
    rule_facts_of_pool(core, pool, &facts);
    return rules_judge(rulebook_rules(core), &facts, core->book.row.judged_ms, &ignored) == 0;
}

bool view_may_deploy(const struct core *core, const struct uuid_list *sites, const struct row_model *model)
{
    for (uint32_t k = 0; k < sites->n; k++) {
        struct site_id site = site_by_id(core, &sites->v[k]);
        bool any = false, lawful = false;
        for (uint32_t i = 0; i < core->net.pools.used && !lawful; i++) {
            bool here = table_live(&core->net.pools, i) && core->net.pool[i].site.v == site.v;
            any = any || here;
            lawful = here && is_lawful(core, i, model);
        }
        if (any && !lawful)
            return false;
    }
    return true;
}

static void replica_add(struct core *core, uint32_t d, uint32_t ordinal, const struct uuid *variant)
{
    const struct row_deployment *deployment = &core->deployment[d].row;
    uint32_t site = site_for(core, d), r = table_take(&core->replicas);
    assert(r != INDEX_NONE && site != INDEX_NONE);
    core->replica[r] = (struct replica){.deployment = d,
                                        .row = {.deployment = deployment->id,
                                                .ordinal = ordinal,
                                                .variant = *variant,
                                                .site = core->net.site[site].row.id,
                                                .epoch = 1,
                                                .state = REPLICA_WANTED,
                                                .slots = deployment->slots,
                                                .since_ms = deployment->created_ms}};
    replica_effect(core, EFFECT_REPLICA_START, &core->replica[r].row);
}

int step_deploy(struct core *core, const struct event *event)
{
    const struct event_deploy *e = &event->u.deploy;
    struct model_id model = model_by_id(core, &e->model);
    if (model.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    uint32_t variant = variant_of(core, model);
    if (variant == INDEX_NONE || site_first(core) == INDEX_NONE || core->model[model.v].ndeployments > 0)
        return ERR_WRONG_STATE;
    if (uuid_zero(&e->deployment) || e->replicas == 0 || e->replicas > REPLICAS_PER_DEPLOYMENT_MAX ||
        e->slots == 0 || e->slots > SLOTS_MAX)
        return ERR_INVALID;
    if (find_deployment(core, &e->deployment) != MAP_NONE)
        return ERR_EXISTS;
    if (table_room(&core->deployments) == 0 || table_room(&core->replicas) < e->replicas)
        return ERR_LIMIT;
    int rc = check_sites(core, e);
    if (rc != 0)
        return rc;
    uint32_t d = table_take(&core->deployments);
    core->deployment[d] = (struct deployment){.row = {.id = e->deployment,
                                                      .model = e->model,
                                                      .replicas = e->replicas,
                                                      .slots = e->slots,
                                                      .created_ms = event->at_ms,
                                                      .sites = e->sites},
                                              .model = model};
    map_put(&core->deployment_map, &e->deployment, sizeof e->deployment, d);
    core->model[model.v].ndeployments++;
    for (uint32_t k = 0; k < e->replicas; k++)
        replica_add(core, d, k, &core->variant[variant].row.id);
    core->effects->routes_changed = true;
    return 0;
}

/* Drops the deployment once its last replica has stopped. */
static void deployment_reap(struct core *core, uint32_t d)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (table_live(&core->replicas, i) && core->replica[i].deployment == d)
            return;
    }
    core->model[core->deployment[d].model.v].ndeployments--;
    map_remove(&core->deployment_map, &core->deployment[d].row.id, sizeof(struct uuid));
    table_drop(&core->deployments, d);
}

int step_undeploy(struct core *core, const struct event *event)
{
    uint32_t d = find_deployment(core, &event->u.undeploy.deployment);
    if (d == MAP_NONE)
        return ERR_NOT_FOUND;
    if (core->deployment[d].row.replicas == 0)
        return 0;
    core->deployment[d].row.replicas = 0;
    table_touch(&core->deployments, d);
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (!table_live(&core->replicas, i) || core->replica[i].deployment != d)
            continue;
        replica_move(core, i, REPLICA_DRAINING, event->at_ms);
        replica_effect(core, EFFECT_REPLICA_STOP, &core->replica[i].row);
        /* Of a lost site nobody tells that it has stopped; when it is back it does not find it in its list. */
        if (is_at_lost(core, &core->replica[i].row))
            table_drop(&core->replicas, i);
    }
    deployment_reap(core, d); /* at once if none is left to stop */
    core->effects->routes_changed = true;
    return 0;
}

int step_replica_state(struct core *core, const struct event *event)
{
    const struct event_replica_state *e = &event->u.replica_state;
    uint32_t d = find_deployment(core, &e->deployment);
    if (d == MAP_NONE)
        return ERR_NOT_FOUND;
    uint32_t i = 0;
    while (i < core->replicas.used && !(table_live(&core->replicas, i) && core->replica[i].deployment == d &&
                                        core->replica[i].row.ordinal == e->ordinal))
        i++;
    if (i == core->replicas.used)
        return ERR_NOT_FOUND;
    struct row_replica *row = &core->replica[i].row;
    if (row->epoch != e->epoch || !move_allowed(row->state, e->state))
        return ERR_WRONG_STATE;
    if (e->slots > SLOTS_MAX || e->context > CONTEXT_MAX)
        return ERR_OVERFLOW;
    replica_move(core, i, e->state, event->at_ms);
    if (e->slots)
        row->slots = e->slots;
    if (e->context)
        row->context = e->context;
    memcpy(row->endpoint, e->endpoint, sizeof e->endpoint);
    memcpy(row->detail, e->detail, sizeof e->detail);
    if (e->state == REPLICA_STOPPED) {
        table_drop(&core->replicas, i);
        if (core->deployment[d].row.replicas == 0)
            deployment_reap(core, d);
    }
    return 0;
}

/* What ran under the epoch before speaks for nobody any more. */
static void begin_anew(struct core *core, uint32_t i, int64_t now_ms)
{
    struct row_replica *row = &core->replica[i].row;
    row->state = REPLICA_WANTED;
    row->epoch++;
    row->since_ms = now_ms;
    memset(row->endpoint, 0, sizeof row->endpoint);
    memset(row->detail, 0, sizeof row->detail);
    table_touch(&core->replicas, i);
    replica_effect(core, EFFECT_REPLICA_START, row);
    core->effects->routes_changed = true;
}

static bool is_draining(const struct core *core, uint32_t i)
{
    return core->deployment[core->replica[i].deployment].row.replicas == 0;
}

/* It was draining when its process went: there is nothing to wait for. */
static void replica_forget(struct core *core, uint32_t i)
{
    uint32_t d = core->replica[i].deployment;
    table_drop(&core->replicas, i);
    deployment_reap(core, d);
    core->effects->routes_changed = true;
}

void replica_restart_all(struct core *core, int64_t now_ms)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (!table_live(&core->replicas, i) ||
            is_elsewhere(core, site_by_id(core, &core->replica[i].row.site)))
            continue;
        if (is_draining(core, i))
            replica_forget(core, i);
        else
            begin_anew(core, i, now_ms);
    }
    core->effects->routes_changed = true;
}

static void replica_give_up(struct core *core, uint32_t i, int64_t now_ms)
{
    static const char lost[] = "its site is lost";
    struct replica *r = &core->replica[i];
    uint32_t to = site_for(core, r->deployment);
    if (is_draining(core, i)) {
        replica_forget(core, i);
        return;
    }
    if (to != INDEX_NONE)
        r->row.site = core->net.site[to].row.id;
    begin_anew(core, i, now_ms);
    if (to == INDEX_NONE)
        memcpy(r->row.detail, lost, sizeof lost);
}

/* The site is lost: what it had is given up. It is up: who waits at a lost one and may come here does. */
void replicas_at_site(struct core *core, struct site_id id)
{
    const struct site *site = &core->net.site[id.v];
    uint32_t state = site_state(&site->row);
    for (uint32_t i = 0; i < core->replicas.used && is_elsewhere(core, id); i++) {
        if (!table_live(&core->replicas, i))
            continue;
        struct row_replica *row = &core->replica[i].row;
        struct site_id at = site_by_id(core, &row->site);
        bool lost = is_at_lost(core, row);
        if (state == PLACE_LOST && at.v == id.v)
            replica_give_up(core, i, core->now_ms);
        else if (state == PLACE_UP && lost && site_for(core, core->replica[i].deployment) == id.v)
            replica_give_up(core, i, core->now_ms);
        else if (state == PLACE_UP && at.v == id.v && row->state == REPLICA_WANTED)
            replica_effect(core, EFFECT_REPLICA_START, row); /* it waited for its site */
    }
}
