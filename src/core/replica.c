/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployments and replicas. A replica's life is a table of states and allowed moves; each start is a new epoch, and a
 * report that carries an old epoch is refused, so a process that was given up cannot speak for its successor.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

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

int step_deploy(struct core *core, const struct event *event)
{
    const struct event_deploy *e = &event->u.deploy;
    struct model_id model = model_by_id(core, &e->model);
    if (model.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    uint32_t variant = variant_of(core, model);
    uint32_t site = site_first(core);
    if (variant == INDEX_NONE || site == INDEX_NONE || core->model[model.v].ndeployments > 0)
        return ERR_WRONG_STATE;
    if (uuid_zero(&e->deployment) || e->replicas == 0 || e->replicas > REPLICAS_PER_DEPLOYMENT_MAX ||
        e->slots == 0 || e->slots > SLOTS_MAX)
        return ERR_INVALID;
    if (find_deployment(core, &e->deployment) != MAP_NONE)
        return ERR_EXISTS;
    if (table_room(&core->deployments) == 0 || table_room(&core->replicas) < e->replicas)
        return ERR_LIMIT;
    uint32_t d = table_take(&core->deployments);
    core->deployment[d] = (struct deployment){.row = {.id = e->deployment,
                                                      .model = e->model,
                                                      .replicas = e->replicas,
                                                      .slots = e->slots,
                                                      .created_ms = event->at_ms},
                                              .model = model};
    map_put(&core->deployment_map, &e->deployment, sizeof e->deployment, d);
    core->model[model.v].ndeployments++;
    for (uint32_t k = 0; k < e->replicas; k++) {
        uint32_t r = table_take(&core->replicas);
        assert(r != INDEX_NONE);
        core->replica[r] = (struct replica){.deployment = d,
                                            .row = {.deployment = e->deployment,
                                                    .ordinal = k,
                                                    .variant = core->variant[variant].row.id,
                                                    .site = core->net.site[site].row.id,
                                                    .epoch = 1,
                                                    .state = REPLICA_WANTED,
                                                    .slots = e->slots,
                                                    .since_ms = event->at_ms}};
        replica_effect(core, EFFECT_REPLICA_START, &core->replica[r].row);
    }
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

void replica_restart_all(struct core *core, int64_t now_ms)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (!table_live(&core->replicas, i))
            continue;
        struct replica *r = &core->replica[i];
        uint32_t d = r->deployment;
        if (core->deployment[d].row.replicas == 0) {
            /* It was draining when the hub went away, and its process went with it. */
            table_drop(&core->replicas, i);
            deployment_reap(core, d);
            continue;
        }
        r->row.state = REPLICA_WANTED;
        r->row.epoch++;
        r->row.since_ms = now_ms;
        memset(r->row.endpoint, 0, sizeof r->row.endpoint);
        memset(r->row.detail, 0, sizeof r->row.detail);
        table_touch(&core->replicas, i);
        replica_effect(core, EFFECT_REPLICA_START, &r->row);
    }
    core->effects->routes_changed = true;
}
