/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicas. A replica's life is a table of states and allowed moves; each start is a new epoch, and a report that carries an old
 * epoch is refused, so a process that was given up cannot speak for its successor.
 *
 * A replica at a site that a deployment names goes with a job (core/service.h): it is where that runs, with the chips that it
 * has, and while it waits it is nowhere. The one that drains keeps its job, and so its chips, until its site has told that it has
 * stopped. Replicas elsewhere outlive the hub's process, so a boot leaves them as they are.
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
    if (row->role == REPLICA_WORKER)
        cluster_look(core, core->replica[i].deployment);
    else if (row->role == REPLICA_HEAD && view_takes_requests(row))
        cluster_ready(core, core->replica[i].deployment);
}

static struct effect *replica_effect(struct core *core, enum effect_kind kind, const struct row_replica *row)
{
    struct effect *effect = effect_add(core, kind);
    effect->deployment = row->deployment;
    effect->ordinal = row->ordinal;
    effect->epoch = row->epoch;
    return effect;
}

/* ---- coming and going ---- */

static uint32_t replica_add(struct core *core, const struct replica *replica)
{
    uint32_t i = table_take(&core->replicas);
    assert(i != INDEX_NONE);
    core->replica[i] = *replica;
    core->effects->routes_changed = true;
    return i;
}

void replica_own(struct core *core, uint32_t d, uint32_t ordinal, const struct uuid *variant)
{
    const struct row_deployment *deployment = &core->deployment[d].row;
    uint32_t i =
        replica_add(core, &(struct replica){.deployment = d,
                                            .served = INDEX_NONE,
                                            .row = {.deployment = deployment->id,
                                                    .ordinal = ordinal,
                                                    .variant = *variant,
                                                    .site = core->net.site[site_first(core)].row.id,
                                                    .epoch = 1,
                                                    .state = REPLICA_WANTED,
                                                    .slots = deployment->slots,
                                                    .since_ms = deployment->created_ms,
                                                    .placed_ms = core->now_ms,
                                                    .accept = accept_begins(core, variant, REPLICA_ALL)}});
    replica_effect(core, EFFECT_REPLICA_START, &core->replica[i].row);
}

uint32_t replica_wait(struct core *core, uint32_t d, uint32_t served)
{
    const struct service_replica *r = &core->service.replica[served];
    const struct row_deployment *deployment = &core->deployment[d].row;
    const struct uuid *variant = &core->service.service[r->service].row.variant;
    bool worker = core->deployment[d].cluster != INDEX_NONE;
    return replica_add(
        core, &(struct replica){
                  .deployment = d,
                  .served = served,
                  .row = {.deployment = deployment->id,
                          .ordinal = (uint32_t)r->row.ordinal,
                          .variant = *variant,
                          .epoch = 1,
                          .state = REPLICA_WANTED,
                          .slots = deployment->slots,
                          .since_ms = core->now_ms,
                          .chips = deployment->chips,
                          .role = worker ? REPLICA_WORKER : REPLICA_ALL,
                          .accept = accept_begins(core, variant, worker ? REPLICA_WORKER : REPLICA_ALL)}});
}

uint32_t replica_head(struct core *core, uint32_t d, const struct uuid *variant)
{
    const struct row_deployment *deployment = &core->deployment[d].row;
    return replica_add(core,
                       &(struct replica){.deployment = d,
                                         .served = INDEX_NONE,
                                         .row = {.deployment = deployment->id,
                                                 .ordinal = CLUSTER_HEAD,
                                                 .variant = *variant,
                                                 .epoch = 1,
                                                 .state = REPLICA_WANTED,
                                                 .slots = deployment->slots,
                                                 .since_ms = core->now_ms,
                                                 .role = REPLICA_HEAD,
                                                 .accept = accept_begins(core, variant, REPLICA_HEAD)}});
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
    memset(row->version, 0, sizeof row->version);
    row->accept = accept_begins(core, &row->variant, row->role);
    row->accepted_ms = 0;
    table_touch(&core->replicas, i);
    core->effects->routes_changed = true;
}

void replica_place(struct core *core, uint32_t i, uint32_t pool)
{
    struct row_replica *row = &core->replica[i].row;
    if (row->state == REPLICA_DRAINING)
        return; /* its job is about to end */
    row->site = core->net.pool[pool].row.site;
    memcpy(row->chip, core->net.pool[pool].row.chip, sizeof row->chip);
    row->chips = core->work.job[core->service.replica[core->replica[i].served].job].chips;
    row->since_ms = row->placed_ms = core->now_ms;
    table_touch(&core->replicas, i);
    replica_effect(core, EFFECT_REPLICA_START, row);
    core->effects->routes_changed = true;
}

void replica_head_place(struct core *core, uint32_t i, const struct uuid *site)
{
    struct row_replica *row = &core->replica[i].row;
    row->site = *site;
    row->since_ms = row->placed_ms = core->now_ms;
    table_touch(&core->replicas, i);
    replica_effect(core, EFFECT_REPLICA_START, row);
    core->effects->routes_changed = true;
}

/* The plan of its cluster, if it had a part in one, is void with it. */
static void left(struct core *core, uint32_t role, uint32_t d)
{
    if (role == REPLICA_WORKER)
        cluster_look(core, d);
}

void replica_displace(struct core *core, uint32_t i)
{
    struct row_replica *row = &core->replica[i].row;
    energy_end(core, row, false);
    replica_effect(core, EFFECT_REPLICA_STOP, row);
    if (row->state != REPLICA_DRAINING)
        begin_anew(core, i, core->now_ms);
    memset(&row->site, 0, sizeof row->site);
    memset(row->chip, 0, sizeof row->chip);
    table_touch(&core->replicas, i);
    core->effects->routes_changed = true;
    left(core, row->role, core->replica[i].deployment);
}

void replica_drain(struct core *core, uint32_t i, int64_t now_ms)
{
    replica_move(core, i, REPLICA_DRAINING, now_ms);
    replica_effect(core, EFFECT_REPLICA_STOP, &core->replica[i].row);
}

void replica_forget(struct core *core, uint32_t i)
{
    uint32_t role = core->replica[i].row.role, d = core->replica[i].deployment;
    energy_end(core, &core->replica[i].row, false);
    if (!uuid_zero(&core->replica[i].row.site))
        replica_effect(core, EFFECT_REPLICA_STOP, &core->replica[i].row);
    table_drop(&core->replicas, i);
    core->effects->routes_changed = true;
    left(core, role, d);
}

/* ---- what sites tell ---- */

static uint32_t find(const struct core *core, uint32_t d, uint32_t ordinal)
{
    uint32_t i = 0;
    while (i < core->replicas.used && !(table_live(&core->replicas, i) && core->replica[i].deployment == d &&
                                        core->replica[i].row.ordinal == ordinal))
        i++;
    return i < core->replicas.used ? i : INDEX_NONE;
}

const struct row_replica *replica_running(const struct core *core, const struct uuid *deployment,
                                          uint32_t ordinal, uint32_t epoch)
{
    uint32_t d = deployment_find(core, deployment);
    uint32_t i = d == MAP_NONE ? INDEX_NONE : find(core, d, ordinal);
    const struct row_replica *row = i == INDEX_NONE ? NULL : &core->replica[i].row;
    return row && row->epoch == epoch && !uuid_zero(&row->site) ? row : NULL;
}

/* With it goes its job, if it has one, and the deployment if that was its last. */
static void stopped(struct core *core, uint32_t i)
{
    uint32_t d = core->replica[i].deployment, served = core->replica[i].served;
    energy_end(core, &core->replica[i].row, false);
    if (core->replica[i].row.role == REPLICA_HEAD)
        cluster_head_over(core, d);
    if (served != INDEX_NONE)
        work_cancel(core, (struct job_id){core->service.replica[served].job});
    else
        table_drop(&core->replicas, i);
    deployment_reap(core, d);
}

int step_replica_state(struct core *core, const struct event *event)
{
    const struct event_replica_state *e = &event->u.replica_state;
    uint32_t d = deployment_find(core, &e->deployment);
    if (d == MAP_NONE)
        return ERR_NOT_FOUND;
    uint32_t i = find(core, d, e->ordinal);
    if (i == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct row_replica *row = &core->replica[i].row;
    bool served = core->replica[i].served != INDEX_NONE;
    if (row->epoch != e->epoch || !move_allowed(row->state, e->state) ||
        ((served || row->role == REPLICA_HEAD) &&
         (uuid_zero(&row->site) || (e->state == REPLICA_STOPPED && row->state != REPLICA_DRAINING))))
        return ERR_WRONG_STATE;
    if (e->slots > SLOTS_MAX || e->context > CONTEXT_MAX)
        return ERR_OVERFLOW;
    if (e->slots)
        row->slots = e->slots;
    if (e->context)
        row->context = e->context;
    memcpy(row->endpoint, e->endpoint, sizeof e->endpoint);
    memcpy(row->detail, e->detail, sizeof e->detail);
    memcpy(row->version, e->version, sizeof e->version);
    replica_move(core, i, e->state, event->at_ms);
    if (served)
        service_due(core, core->deployment[d].service);
    if (e->state == REPLICA_STOPPED)
        stopped(core, i);
    return 0;
}

/* ---- a boot ---- */

/* On the hub's own machine its process went with the hub's. */
static bool is_here(const struct core *core, uint32_t i)
{
    return table_live(&core->replicas, i) && !uuid_zero(&core->replica[i].row.site) &&
           site_by_id(core, &core->replica[i].row.site).v == site_first(core);
}

void replica_restart_all(struct core *core, int64_t now_ms)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (!is_here(core, i))
            continue;
        energy_end(core, &core->replica[i].row, true);
        if (core->replica[i].row.state == REPLICA_DRAINING) {
            stopped(core, i);
            continue;
        }
        if (core->replica[i].row.role == REPLICA_HEAD) { /* it begins with the next plan */
            cluster_break(core, core->replica[i].deployment, "the hub was started anew");
            continue;
        }
        begin_anew(core, i, now_ms);
        core->replica[i].row.placed_ms = now_ms;
        replica_effect(core, EFFECT_REPLICA_START, &core->replica[i].row);
        left(core, core->replica[i].row.role, core->replica[i].deployment);
    }
    core->effects->routes_changed = true;
}
