/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/layout.h"
#include "core/state.h"

struct limits limits_default(void)
{
    return (struct limits){.sites = 64,
                           .tenants = 16384,
                           .keys = 131072,
                           .models = 1024,
                           .prices = 8192,
                           .deployments = 1024,
                           .replicas = 4096,
                           .leases = 16384,
                           .workers = 256,
                           .waiters = 4096,
                           .chips = 64,
                           .pools = 512,
                           .nodes = 65536,
                           .corridors = 256,
                           .jobs = 262144,
                           .shares = 524288,
                           .shapes = 4096,
                           .arrays = 8192,
                           .afters = 65536,
                           .services = 256,
                           .demands = 16384,
                           .service_replicas = 32768,
                           .units = 196608,
                           .meters = 65536};
}

/* The map compares the first `len` bytes of the row, which begins with its id. */
#define ID_EQUAL(type) \
    static bool type##_equal(const void *table, uint32_t i, const void *key, size_t len) \
    { \
        const struct type *t = (const struct type *)table + i; \
        return memcmp(&t->row.id, key, len) == 0; \
    }
ID_EQUAL(tenant)
ID_EQUAL(key)
ID_EQUAL(model)
ID_EQUAL(variant)
ID_EQUAL(price_entry)
ID_EQUAL(deployment)
ID_EQUAL(worker)
ID_EQUAL(lease)

static bool tenant_name_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct tenant *t = (const struct tenant *)table + i;
    return text_eq(t->row.name, text_len(t->row.name, NAME_CAP), key, len);
}

static bool model_name_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct model *m = (const struct model *)table + i;
    return text_eq(m->row.name, text_len(m->row.name, NAME_CAP), key, len);
}

static bool key_public_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct key *k = (const struct key *)table + i;
    return text_eq(k->row.public_id, text_len(k->row.public_id, 16), key, len);
}

void index_init(struct map *map, struct arena *arena, uint32_t entries, map_equal_fn *equal,
                const void *table)
{
    uint32_t n = map_slots(entries);
    map_init(map, arena_take(arena, n * sizeof(struct map_slot)), n, 0, equal, table);
}

/* Lays the core out in the arena; with a counting arena it only counts. */
static void carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    network_carve(core, arena);
    work_carve(core, arena);
    follow_carve(core, arena);
    rulebook_carve(core, arena);
    services_carve(core, arena);
    traffic_carve(core, arena);
    plan_carve(core, arena);
    contingency_carve(core, arena);
    habit_carve(core, arena);
    members_carve(core, arena);
    gateways_carve(core, arena);
    job_meters_carve(core, arena);
    energy_carve(core, arena);
    books_carve(core, arena);
    denials_carve(core, arena);
    billed_carve(core, arena);
    charging_carve(core, arena);
    grants_carve(core, arena);
    tariff_carve(core, arena);
    recalls_carve(core, arena);
    clusters_carve(core, arena);
    acceptances_carve(core, arena);
    budgets_carve(core, arena);
    registry_carve(core, arena);
    CARVE(core, tenants, tenant, n->tenants);
    CARVE(core, keys, key, n->keys);
    CARVE(core, models, model, n->models);
    CARVE(core, variants, variant, n->models * 4);
    CARVE(core, prices, price, n->prices);
    CARVE(core, deployments, deployment, n->deployments);
    CARVE(core, replicas, replica, n->replicas);
    CARVE(core, workers, worker, n->workers);
    CARVE(core, leases, lease, n->leases);
    CARVE(core, waiters, waiter, n->waiters);
    core->usage = arena_take(arena, USAGE_CELLS_MAX * sizeof *core->usage);
    index_init(&core->tenant_map, arena, n->tenants, tenant_equal, core->tenant);
    index_init(&core->tenant_names, arena, n->tenants, tenant_name_equal, core->tenant);
    index_init(&core->key_map, arena, n->keys, key_equal, core->key);
    index_init(&core->key_public, arena, n->keys, key_public_equal, core->key);
    index_init(&core->model_map, arena, n->models, model_equal, core->model);
    index_init(&core->model_names, arena, n->models, model_name_equal, core->model);
    index_init(&core->variant_map, arena, n->models * 4, variant_equal, core->variant);
    index_init(&core->price_map, arena, n->prices, price_entry_equal, core->price);
    tariff_index(core, arena);
    index_init(&core->deployment_map, arena, n->deployments, deployment_equal, core->deployment);
    index_init(&core->worker_map, arena, n->workers, worker_equal, core->worker);
    index_init(&core->lease_map, arena, n->leases, lease_equal, core->lease);
    /* A tenant has a wallet and a funding account, a key perhaps a limit; the rest is the network's, of parties and of grants. Each lease
     * holds up to two transfers, and each event of a batch may post a charge or two with all their parts and what a key's limit is less. */
    ledger_init(&core->ledger, arena, 2 * n->tenants + n->keys + 4 * (PARTIES_MAX + GRANTS_MAX) + 1024,
                2 * n->leases + 2 * (CHARGE_PARTS_MAX + GRANTS_PER_CHARGE + 2) * BATCH_EVENTS_MAX);
}

size_t core_size(const struct limits *limits)
{
    struct core scratch = {.limits = *limits};
    struct arena counting;
    arena_init(&counting, NULL, SIZE_MAX);
    arena_take(&counting, sizeof scratch);
    carve(&scratch, &counting);
    return counting.used;
}

struct core *core_init(void *block, size_t size, const struct limits *limits)
{
    struct arena arena;
    assert(size >= core_size(limits));
    arena_init(&arena, block, size);
    struct core *core = arena_alloc(&arena, sizeof *core);
    core->limits = *limits;
    core->row.id = 1;
    list_init(&core->waiting);
    work_init(core);
    follow_init(core);
    rulebook_init(core);
    core->service.next_ms = INT64_MAX;
    core->tariff.next_ms = INT64_MAX;
    core->recalls.next_ms = INT64_MAX;
    traffic_init(core);
    plan_init(core);
    carve(core, &arena);
    return core;
}

struct effect *effect_add(struct core *core, enum effect_kind kind)
{
    struct effects *effects = core->effects;
    assert(effects->n < effects->cap);
    struct effect *effect = &effects->list[effects->n++];
    *effect = (struct effect){.kind = kind};
    return effect;
}

void effect_reply(struct core *core, uint64_t token, int code, int64_t amount)
{
    if (token == 0)
        return;
    struct effect *effect = effect_add(core, EFFECT_REPLY);
    effect->token = token;
    effect->code = code;
    effect->amount = amount;
}

int step_hub_boot(struct core *core, const struct event *event)
{
    static const struct uuid own;
    const struct event_hub_boot *e = &event->u.hub_boot;
    if (uuid_zero(&e->boot))
        return ERR_INVALID;
    core->row.boot = e->boot;
    rng_init(&core->rng, e->seed);
    core_anew(core);
    lease_end_workers(core, &own);
    deployments_convert(core);
    replica_restart_all(core, event->at_ms);
    return 0;
}

/* It tells what was computed of a mark; whether it is so, who replays finds. */
int step_state_digest(struct core *core, const struct event *event)
{
    const struct event_state_digest *e = &event->u.state_digest;
    if (uuid_zero(&e->snapshot))
        return ERR_INVALID;
    return e->event != 0 && e->event == core->row.marked ? 0 : ERR_WRONG_STATE;
}

int step_tick(struct core *core, const struct event *event)
{
    if (event->u.tick.reloaded)
        core_anew(core);
    if (event->u.tick.mark)
        core->row.marked = core->row.events;
    budgets_turn(core);
    lease_expire_waiters(core, event->at_ms);
    tariff_turn(core);
    grants_turn(core);
    rulebook_turn(core);
    services_turn(core);
    recalls_turn(core);
    transit_turn(core);
    plan_turn(core);
    defer_turn(core);
    sheds_turn(core);
    contingency_turn(core);
    dispatch_pass(core);
    return 0;
}

typedef int step_fn(struct core *core, const struct event *event);

static step_fn *handler_of(uint32_t kind)
{
    switch (kind) {
#define HANDLER(n, k, L) \
    case (k): \
        return step_##n;
        EVENTS(HANDLER)
#undef HANDLER
    default:
        return NULL;
    }
}

int core_step(struct core *core, const struct event *event, struct effects *effects)
{
    assert(core->batch_events < BATCH_EVENTS_MAX);
    core->batch_events++;
    core->effects = effects;
    core->now_ms = event->at_ms;
    core->budgets.refusal = 0;
    core->budgets.nids = 0;
    step_fn *handler = handler_of(event->kind);
    int rc = handler ? handler(core, event) : ERR_INVALID;
    /* These two reply for themselves when they succeed: with an amount, and perhaps later. */
    bool replied = rc == 0 && (event->kind == EVENT_KIND_meter || event->kind == EVENT_KIND_lease_ask);
    if (!replied)
        effect_reply(core, event->token, rc, core->budgets.refusal);
    core->row.events++;
    core->effects = NULL;
    return rc;
}

int64_t core_deadline_ms(const struct core *core)
{
    struct list *first = list_first(&core->waiting);
    if (core->work.due)
        return core->now_ms;
    int64_t due_ms = first ? list_entry(first, struct waiter, in_order)->deadline_ms : INT64_MAX;
    due_ms = core->service.next_ms < due_ms ? core->service.next_ms : due_ms;
    due_ms = transit_next_ms(core) < due_ms ? transit_next_ms(core) : due_ms;
    int64_t defer_ms = defer_deadline_ms(core);
    due_ms = defer_ms < due_ms ? defer_ms : due_ms;
    due_ms = core->tariff.next_ms < due_ms ? core->tariff.next_ms : due_ms;
    due_ms = core->grants.next_ms < due_ms ? core->grants.next_ms : due_ms;
    due_ms = core->recalls.next_ms < due_ms ? core->recalls.next_ms : due_ms;
    due_ms = core->budgets.next_ms < due_ms ? core->budgets.next_ms : due_ms;
    due_ms = core->net.shed_ms < due_ms ? core->net.shed_ms : due_ms;
    due_ms = contingency_next_ms(core) < due_ms ? contingency_next_ms(core) : due_ms;
    return core->book.next_ms < due_ms ? core->book.next_ms : due_ms;
}

#define COLLECT(core, tables, kind, row_of, dead_op) \
    do { \
        for (uint32_t k = 0; k < (core)->tables.ndirty; k++) { \
            bool dead; \
            uint32_t i = table_changed(&(core)->tables, k, &dead); \
            fn(ctx, ROW_KIND_##kind, dead ? (dead_op) : ROW_PUT, &(core)->row_of[i].row); \
        } \
        table_clean(&(core)->tables); \
    } while (0)

/* Tables that no rows are of. */
static void clean_derived(struct core *core)
{
    table_clean(&core->follow.links);
    table_clean(&core->work.shapes);
    table_clean(&core->work.lanes);
    table_clean(&core->waiters);
}

static void services_collect(struct core *core, row_fn *fn, void *ctx)
{
    COLLECT(core, service.services, service, service.service, ROW_DELETE);
    COLLECT(core, service.demands, service_demand, service.demand, ROW_DELETE);
    COLLECT(core, service.replicas, service_replica, service.replica, ROW_DELETE);
    COLLECT(core, clusters.table, cluster, clusters.cluster, ROW_DELETE);
}

void core_collect(struct core *core, row_fn *fn, void *ctx)
{
    if (core->batch_events > 0) {
        memcpy(&core->row.rng0, core->rng.s, sizeof core->rng.s);
        fn(ctx, ROW_KIND_core, ROW_PUT, &core->row);
    }
    core->batch_events = 0;
    COLLECT(core, net.sites, site, net.site, ROW_DELETE);
    COLLECT(core, tenants, tenant, tenant, ROW_DELETE);
    for (uint32_t k = 0; k < core->ledger.accounts.ndirty; k++) {
        bool dead;
        uint32_t i = table_changed(&core->ledger.accounts, k, &dead);
        fn(ctx, ROW_KIND_account, ROW_PUT, &core->ledger.account[i]);
    }
    table_clean(&core->ledger.accounts);
    COLLECT(core, keys, key, key, ROW_DELETE);
    COLLECT(core, models, model, model, ROW_DELETE);
    COLLECT(core, variants, variant, variant, ROW_DELETE);
    COLLECT(core, prices, price, price, ROW_PUT); /* one that is closed is part of the books */
    COLLECT(core, workers, worker, worker, ROW_DELETE);
    /* A finished transfer leaves memory, but its row is part of the books. */
    COLLECT(core, ledger.transfers, transfer, ledger.transfer, ROW_PUT);
    COLLECT(core, leases, lease, lease, ROW_DELETE);
    COLLECT(core, deployments, deployment, deployment, ROW_DELETE);
    COLLECT(core, replicas, replica, replica, ROW_DELETE);
    COLLECT(core, net.chips, chip, net.chip, ROW_DELETE);
    COLLECT(core, net.pools, pool, net.pool, ROW_DELETE);
    COLLECT(core, net.down, node, net.down_node, ROW_DELETE);
    COLLECT(core, net.corridors, corridor, net.corridor, ROW_DELETE);
    if (core->work.row_touched)
        fn(ctx, ROW_KIND_dispatch, ROW_PUT, &core->work.row);
    core->work.row_touched = false;
    /* A job that is over leaves memory as well. */
    COLLECT(core, work.jobs, job, work.job, ROW_PUT);
    COLLECT(core, work.shares, share, work.share, ROW_DELETE);
    rulebook_collect(core, fn, ctx);
    services_collect(core, fn, ctx);
    COLLECT(core, traffic.transits, transit, traffic.transit, ROW_DELETE);
    plan_collect(core, fn, ctx);
    COLLECT(core, reserve.alarms, alarm, reserve.alarm, ROW_DELETE);
    COLLECT(core, habits.table, habit, habits.habit, ROW_DELETE);
    COLLECT(core, members, member, member, ROW_DELETE);
    COLLECT(core, follow.arrays, job_array, follow.array, ROW_PUT);
    COLLECT(core, follow.edges, job_after, follow.edge, ROW_PUT);
    COLLECT(core, meters.table, job_usage, meters.usage, ROW_PUT);
    energy_collect(core, fn, ctx);
    COLLECT(core, gateways, gateway, gateway, ROW_DELETE);
    books_collect(core, fn, ctx);
    denials_collect(core, fn, ctx);
    drills_collect(core, fn, ctx);
    billed_collect(core, fn, ctx);
    charging_collect(core, fn, ctx);
    grants_collect(core, fn, ctx);
    COLLECT(core, tariff.table, pool_price, tariff.price, ROW_DELETE);
    COLLECT(core, recalls.table, recall, recalls.recall, ROW_DELETE);
    acceptances_collect(core, fn, ctx);
    COLLECT(core, tariff.terms, terms, tariff.term, ROW_DELETE);
    COLLECT(core, tariff.allowances, allowance, tariff.allowance, ROW_DELETE);
    COLLECT(core, tariff.parts, tariff_part, tariff.part, ROW_DELETE);
    COLLECT(core, tariff.means, site_mean, tariff.mean, ROW_DELETE);
    budgets_collect(core, fn, ctx);
    registry_collect(core, fn, ctx);
    clean_derived(core);
    for (uint32_t i = 0; i < core->nusage; i++)
        fn(ctx, ROW_KIND_usage, ROW_ADD, &core->usage[i].row);
    core->nusage = 0;
}
