/* SPDX-License-Identifier: Apache-2.0 */
/* Clusters: a plan is taken whole or not at all, stands while its workers do, and breaks with the first that is not as it was; the head is
 * where the plan says, and nowhere without one. */
#include "core/service.h"
#include "dispatch_support.h"

#define OWN 1
#define SITES 3
#define STEPS 4000

static struct world *world;

static void pool(uint64_t n, uint64_t site, const char *chip, uint32_t chips)
{
    struct event_pool_add e = pool_request(n, site, 1, chips);
    (void)snprintf(e.chip, CHIP_CAP, "%s", chip);
    assert_int_equal(do_pool(world, e), 0);
}

static int add_variant(uint64_t model)
{
    struct event e = {.kind = EVENT_KIND_variant_add,
                      .u.variant_add = {.variant = uid('V', model),
                                        .model = uid('M', model),
                                        .engine = "llama-server",
                                        .location = "models/a.gguf",
                                        .memory_bytes = 1u << 30}};
    memset(e.u.variant_add.digest, (int)model, DIGEST_BYTES);
    return world_step(world, &e);
}

/* Site 1 is the hub's own machine, with two chips; 2 has four, 3 four and two of another kind. */
static int setup(void **state)
{
    (void)state;
    struct limits limits = small_limits();
    limits.sites = SITES;
    limits.chips = 2;
    limits.pools = 4;
    limits.nodes = 8;
    limits.corridors = 1;
    limits.jobs = limits.shares = 32;
    limits.shapes = 16;
    limits.meters = 32;
    limits.services = 4;
    limits.demands = 4;
    limits.service_replicas = 32;
    world = world_usual(&limits, 1000 * UNIT);
    assert_int_equal(do_chip(world, "h20", "nvidia", 0), 0);
    assert_int_equal(do_chip(world, "s4000", "moore-threads", 0), 0);
    for (uint64_t i = OWN + 1; i <= SITES; i++) {
        struct event site = {.kind = EVENT_KIND_site_add,
                             .u.site_add = {.site = uid('S', i), .jurisdiction = "FR"}};
        (void)snprintf(site.u.site_add.name, NAME_CAP, "site-%u", (unsigned)i);
        assert_int_equal(world_step(world, &site), 0);
    }
    pool(1, OWN, "h20", 2);
    pool(2, 2, "h20", 4);
    pool(3, 3, "h20", 4);
    pool(4, 3, "s4000", 2);
    for (uint64_t i = 2; i <= 3; i++) {
        assert_int_equal(do_model(world, i), 0);
        assert_int_equal(add_variant(i), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(core_check(world->core), 0);
    world_free(world);
    return 0;
}

/* `sites`: digits; two of them may be crossed. */
static struct event_deploy request(uint64_t n, uint32_t members, const char *sites)
{
    struct event_deploy e = {.deployment = uid('D', n),
                             .model = uid('M', n),
                             .replicas = members,
                             .min = members,
                             .slots = 4,
                             .chips = 1,
                             .tenant = uid('T', 1),
                             .members = members,
                             .member_bytes = UINT64_C(1) << 30};
    for (const char *p = sites; *p; p++)
        e.sites.v[e.sites.n++] = uid('S', (uint64_t)(*p - '0'));
    e.cluster_flags = e.sites.n > 1 ? CLUSTER_CORRIDORS : 0;
    return e;
}

static int send(struct event_deploy deploy)
{
    int rc = world_step(world, &(struct event){.kind = EVENT_KIND_deploy, .u.deploy = deploy});
    return rc ? rc : do_tick(world);
}

static const struct row_replica *replica(uint64_t deployment, uint32_t ordinal)
{
    const struct row_replica *row;
    struct uuid id = uid('D', deployment);
    for (uint32_t pos = 0; (row = view_replica_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &id) && row->ordinal == ordinal)
            break;
    }
    return row;
}

static const struct row_cluster *cluster(uint64_t deployment)
{
    struct uuid id = uid('D', deployment);
    return view_cluster(world->core, &id);
}

static int report(uint64_t deployment, uint32_t ordinal, uint32_t state)
{
    const struct row_replica *row = replica(deployment, ordinal);
    struct event e = {.kind = EVENT_KIND_replica_state,
                      .u.replica_state = {.deployment = uid('D', deployment),
                                          .ordinal = ordinal,
                                          .epoch = row ? row->epoch : 1,
                                          .state = state}};
    return world_step(world, &e);
}

static void all_ready(uint64_t deployment, uint32_t members)
{
    for (uint32_t i = 1; i <= members; i++)
        assert_int_equal(report(deployment, i, REPLICA_READY), 0);
}

static struct event_cluster_plan plan_of(uint64_t deployment, uint32_t n, const uint32_t *ordinals)
{
    struct event_cluster_plan e = {.deployment = uid('D', deployment),
                                   .generation = cluster(deployment)->generation + 1,
                                   .parts = n,
                                   .token_s_e3 = 5000};
    uint32_t *part = &e.ordinal0; /* ordinal, epoch, layers; one after the other */
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t next[] = {ordinals[i], replica(deployment, ordinals[i])->epoch, 4 + i};
        memcpy((char *)part + i * sizeof next, next, sizeof next);
    }
    return e;
}

static int take(struct event_cluster_plan plan)
{
    return world_step(world, &(struct event){.kind = EVENT_KIND_cluster_plan, .u.cluster_plan = plan});
}

static int plan(uint64_t deployment, uint32_t n, const uint32_t *ordinals)
{
    return take(plan_of(deployment, n, ordinals));
}

#define PLAN(deployment, ...) \
    plan(deployment, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (uint32_t[]){__VA_ARGS__})

static void head_is_at(uint64_t deployment, uint64_t site, uint32_t state)
{
    struct uuid id = uid('S', site);
    const struct row_replica *row = replica(deployment, CLUSTER_HEAD);
    assert_non_null(row);
    assert_int_equal(row->role, REPLICA_HEAD);
    assert_true(site ? uuid_eq(&row->site, &id) : uuid_zero(&row->site));
    assert_int_equal(row->state, state);
}

static int lose(uint64_t site, uint32_t lost)
{
    struct event e = {.kind = EVENT_KIND_site_contact,
                      .u.site_contact = {.site = uid('S', site), .lost = lost}};
    int rc = world_step(world, &e);
    return rc ? rc : do_tick(world);
}

static void test_plan(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 3, "2")), 0);
    head_is_at(2, 0, REPLICA_WANTED);
    assert_int_equal(replica(2, 0)->chips, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(replica(2, i)->role, REPLICA_WORKER);
        assert_int_equal(replica(2, i)->chips, 1);
    }
    assert_int_equal(PLAN(2, 1, 2, 3), ERR_WRONG_STATE); /* none is ready */
    world_assert_untouched(world);
    all_ready(2, 3);
    assert_int_equal(PLAN(2, 3, 1), 0); /* the second is left out */
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 1);
    head_is_at(2, 2, REPLICA_WANTED);
    assert_int_equal(cluster(2)->generation, 1);
    assert_int_equal(cluster(2)->offered, 3);
    assert_int_equal(world_reload(world), 0);
    struct view_part part;
    assert_true(view_cluster_part(cluster(2), 1, &part));
    assert_int_equal(part.ordinal, 1);
    assert_int_equal(part.layers, 5);
    assert_false(view_cluster_part(cluster(2), 2, &part));
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    head_is_at(2, 2, REPLICA_READY);
    assert_int_equal(report(2, 2, REPLICA_BACKOFF), 0); /* it has no part in it */
    head_is_at(2, 2, REPLICA_READY);
}

static void test_refused(void **state)
{
    (void)state;
    struct event_deploy e = request(2, 3, "23");
    e.cluster_flags = 0;
    assert_int_equal(send(e), ERR_INVALID); /* two sites, and nothing may be crossed */
    world_assert_untouched(world);
    e = request(2, CLUSTER_MEMBERS_MAX + 1, "2");
    assert_int_equal(send(e), ERR_INVALID);
    e = request(2, 3, "2");
    e.min = 1;
    assert_int_equal(send(e), ERR_INVALID);
    e = request(2, 3, "");
    assert_int_equal(send(e), ERR_INVALID);
    e = request(2, 3, "3");
    memcpy(e.kind0, "h20", 4);
    e.of0 = 2;
    assert_int_equal(send(e), ERR_INVALID); /* two of three */
    memcpy(e.kind1, "abacus", 7);
    e.of1 = 1;
    assert_int_equal(send(e), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(send(request(2, 3, "2")), 0);
    all_ready(2, 3);
    struct event_cluster_plan good = plan_of(2, 3, (uint32_t[]){1, 2, 3}), plan = good;
    plan.generation = 2;
    assert_int_equal(take(plan), ERR_WRONG_STATE);
    plan = good;
    plan.parts = 0;
    assert_int_equal(take(plan), ERR_INVALID);
    plan.parts = CLUSTER_MEMBERS_MAX + 1;
    assert_int_equal(take(plan), ERR_INVALID);
    plan = good;
    plan.ordinal1 = 1;
    assert_int_equal(take(plan), ERR_INVALID); /* twice */
    plan = good;
    plan.layers2 = 0;
    assert_int_equal(take(plan), ERR_INVALID);
    plan.layers2 = 1u << 20;
    assert_int_equal(take(plan), ERR_INVALID);
    plan = good;
    plan.epoch1++;
    assert_int_equal(take(plan), ERR_WRONG_STATE);
    plan = good;
    plan.ordinal0 = CLUSTER_HEAD;
    assert_int_equal(take(plan), ERR_WRONG_STATE);
    plan = good;
    plan.deployment = uid('D', 9);
    assert_int_equal(take(plan), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(report(2, 0, REPLICA_READY), ERR_WRONG_STATE); /* it is nowhere */
    assert_int_equal(take(good), 0);
    assert_int_equal(report(2, 0, REPLICA_STOPPED), ERR_WRONG_STATE); /* nobody asked for it */
    assert_int_equal(take(good), ERR_WRONG_STATE);                    /* once */
}

/* The worker's process ends: nobody is served until there is another plan, and how long that took is told. */
static void test_worker_lost(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 3, "2")), 0);
    all_ready(2, 3);
    assert_int_equal(PLAN(2, 1, 2, 3), 0);
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    uint32_t epoch = replica(2, 0)->epoch;
    assert_int_equal(report(2, 3, REPLICA_BACKOFF), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_STOP), 1);
    assert_true(world->effects.routes_changed);
    head_is_at(2, 0, REPLICA_WANTED);
    assert_int_equal(replica(2, 0)->epoch, epoch + 1);
    assert_int_equal(cluster(2)->parts, 0);
    assert_int_equal(cluster(2)->breaks, 1);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(PLAN(2, 1, 2, 3), ERR_WRONG_STATE);
    assert_int_equal(PLAN(2, 2, 1), 0);
    assert_int_equal(cluster(2)->generation, 2);
    assert_int_equal(cluster(2)->offered, 2);
    world->now += 700;
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    assert_true(cluster(2)->outage_ms >= 700);
    assert_int_equal(cluster(2)->broken_ms, 0);
    assert_int_equal(report(2, 3, REPLICA_STARTING), 0);
    assert_int_equal(report(2, 3, REPLICA_READY), 0);
    assert_int_equal(PLAN(2, 2, 1, 3), 0); /* one that stands is replaced: the head begins anew */
    head_is_at(2, 2, REPLICA_WANTED);
    assert_int_equal(replica(2, 0)->epoch, epoch + 2);
}

static void test_site_lost(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 6, "23")), 0);
    all_ready(2, 6);
    assert_int_equal(PLAN(2, 1, 2, 3, 4, 5, 6), 0);
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    assert_int_equal(lose(2, 1), 0);
    head_is_at(2, 0, REPLICA_WANTED);
    uint32_t there = 0;
    for (uint32_t i = 1; i <= 6; i++)
        there += !uuid_zero(&replica(2, i)->site);
    assert_int_equal(there, 6); /* 3 has room for all of them */
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(lose(3, 1), 0);
    assert_int_equal(lose(2, 0), 0);
    head_is_at(2, 0, REPLICA_WANTED);
}

/* A worker at a site that is being drained computes until another plan is in force. */
static void test_drain(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 2, "23")), 0);
    all_ready(2, 2);
    assert_int_equal(PLAN(2, 1, 2), 0);
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    struct uuid first = uid('S', 2);
    uint32_t leaves = uuid_eq(&replica(2, 1)->site, &first) ? 1 : 2, stays = 3 - leaves;
    assert_int_equal(do_site_state(world, 2, PLACE_DRAINING), 0);
    assert_int_equal(do_tick(world), 0);
    assert_non_null(replica(2, 3));
    assert_int_equal(report(2, 3, REPLICA_READY), 0);
    assert_int_equal(do_tick(world), 0);
    assert_int_equal(replica(2, leaves)->state, REPLICA_DRAINING);
    assert_int_equal(cluster(2)->parts, 2); /* it stands */
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(PLAN(2, stays, 3), 0);
    head_is_at(2, 3, REPLICA_WANTED);
    assert_int_equal(report(2, leaves, REPLICA_STOPPED), 0);
    assert_null(replica(2, leaves));
    assert_int_equal(cluster(2)->parts, 2);
}

static void test_kinds(void **state)
{
    (void)state;
    struct event_deploy e = request(2, 3, "3");
    memcpy(e.kind0, "s4000", 6);
    e.of0 = 1;
    memcpy(e.kind1, "h20", 4);
    e.of1 = 2;
    assert_int_equal(send(e), 0);
    uint32_t weak = 0;
    for (uint32_t i = 1; i <= 3; i++)
        weak += strcmp(replica(2, i)->chip, "s4000") == 0;
    assert_int_equal(weak, 1);
}

/* Of whose site is being drained another one is asked for of its kind. */
static void test_drain_of_kinds(void **state)
{
    (void)state;
    struct event_deploy e = request(2, 2, "23");
    memcpy(e.kind0, "h20", 4);
    e.of0 = 1;
    memcpy(e.kind1, "s4000", 6);
    e.of1 = 1;
    struct event_deploy other = request(3, 4, "3");
    memcpy(other.chip, "h20", 4);
    assert_int_equal(send(other), 0); /* so that the first is at site 2 */
    assert_int_equal(send(e), 0);
    assert_int_equal(report(2, 1, REPLICA_READY), 0); /* it stays until the other is, too */
    assert_int_equal(do_undeploy(world, 3), 0);
    for (uint32_t i = 1; i <= 4; i++)
        assert_int_equal(report(3, i, REPLICA_STOPPED), 0);
    struct uuid second = uid('S', 2);
    assert_string_equal(replica(2, 1)->chip, "h20");
    assert_true(uuid_eq(&replica(2, 1)->site, &second));
    assert_int_equal(do_site_state(world, 2, PLACE_DRAINING), 0);
    assert_int_equal(do_tick(world), 0);
    assert_non_null(replica(2, 3));
    assert_string_equal(replica(2, 3)->chip, "h20");
}

/* The head goes first, or its workers do: nothing is left of either. */
static void test_undeploy(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 2; first++) {
        struct event_deploy e = request(2, 2, "2");
        e.deployment = uid('D', 2);
        assert_int_equal(send(e), 0);
        all_ready(2, 2);
        assert_int_equal(PLAN(2, 1, 2), 0);
        assert_int_equal(report(2, 0, REPLICA_READY), 0);
        assert_int_equal(do_undeploy(world, 2), 0);
        head_is_at(2, 2, REPLICA_DRAINING);
        assert_int_equal(world_reload(world), 0);
        if (first == 0)
            assert_int_equal(report(2, 0, REPLICA_STOPPED), 0);
        assert_int_equal(report(2, 1, REPLICA_STOPPED), 0);
        assert_null(replica(2, 0)); /* its last answers cannot be computed */
        assert_int_equal(report(2, 2, REPLICA_STOPPED), 0);
        assert_int_equal(do_tick(world), 0);
        assert_null(cluster(2));
        assert_int_equal(view_counts(world->core).deployments, 0);
    }
    assert_int_equal(send(request(2, 2, "2")), 0);
    assert_int_equal(do_undeploy(world, 2), 0);
    assert_null(replica(2, 0)); /* a head that was nowhere goes at once */
}

static void test_recalled(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 2, "2")), 0);
    all_ready(2, 2);
    assert_int_equal(PLAN(2, 1, 2), 0);
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    struct event e = {.kind = EVENT_KIND_model_recall,
                      .u.model_recall = {.recall = uid('R', 1), .reason = "it leaks"}};
    memset(e.u.model_recall.digest, 2, DIGEST_BYTES);
    assert_int_equal(world_step(world, &e), 0);
    head_is_at(2, 2, REPLICA_DRAINING);
    for (uint32_t i = 0; i <= 2; i++)
        assert_int_equal(report(2, i, REPLICA_STOPPED), 0);
    world->now += 2000;
    assert_int_equal(do_tick(world), 0);
    assert_null(cluster(2));
    assert_int_equal(world_count(world, EFFECT_RECALLED), 1); /* the last one is gone */
}

/* On the hub's own machine all of it goes with the hub. */
static void test_boot(void **state)
{
    (void)state;
    assert_int_equal(send(request(2, 2, "1")), 0);
    assert_int_equal(send(request(3, 2, "2")), 0);
    all_ready(2, 2);
    all_ready(3, 2);
    assert_int_equal(PLAN(2, 1, 2), 0);
    assert_int_equal(PLAN(3, 1, 2), 0);
    assert_int_equal(report(2, 0, REPLICA_READY), 0);
    assert_int_equal(report(3, 0, REPLICA_READY), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_boot(world, 2), 0);
    head_is_at(2, 0, REPLICA_WANTED);
    assert_int_equal(cluster(2)->parts, 0);
    head_is_at(3, 2, REPLICA_READY); /* elsewhere it goes on */
    assert_int_equal(report(2, 1, REPLICA_READY), 0);
    assert_int_equal(report(2, 2, REPLICA_READY), 0);
    assert_int_equal(PLAN(2, 1, 2), 0);
    head_is_at(2, OWN, REPLICA_WANTED);
    assert_int_equal(do_undeploy(world, 2), 0);
    assert_int_equal(do_boot(world, 3), 0);
    assert_int_equal(do_tick(world), 0);
    assert_null(cluster(2));
}

/* Rules that deny a tenant one of the workers deny the head. */
static void test_rules(void **state)
{
    (void)state;
    struct uuid tenant = uid('T', 1);
    uint32_t rule;
    struct event_deploy e = request(2, 2, "3");
    memcpy(e.kind0, "s4000", 6);
    memcpy(e.kind1, "h20", 4);
    e.of0 = e.of1 = 1;
    assert_int_equal(send(e), 0);
    all_ready(2, 2);
    assert_int_equal(PLAN(2, 1, 2), 0);
    struct uuid id = uid('M', 2);
    const struct row_model *model = view_model(world->core, &id);
    assert_true(view_may_ask(world->core, &tenant, model, replica(2, 0), &rule));
    struct event facts = {.kind = EVENT_KIND_tenant_facts,
                          .u.tenant_facts = {.tenant = tenant, .jurisdiction = "CN"}};
    assert_int_equal(world_step(world, &facts), 0);
    static const char *const rules[] = {"deny one when chip.vendor = \"moore-threads\" and "
                                        "tenant.jurisdiction = \"DE\" because \"x\" cite \"y\"\n",
                                        "deny one when chip.vendor = \"moore-threads\" and "
                                        "tenant.jurisdiction = \"CN\" because \"x\" cite \"y\"\n"};
    for (int denied = 0; denied < 2; denied++) {
        assert_int_equal(do_rules(world, rules[denied]), 0);
        assert_int_equal(do_tick(world), 0);
        assert_int_equal(cluster(2)->parts, 2); /* it may be there; a tenant may not use it */
        assert_int_equal(view_may_ask(world->core, &tenant, model, replica(2, 0), &rule), !denied);
    }
}

/* ---- any order ---- */

static uint64_t seed;

static uint64_t any(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % n;
}

static void plan_any(uint64_t deployment)
{
    uint32_t ordinals[CLUSTER_MEMBERS_MAX], n = 0;
    const struct row_replica *row;
    struct uuid id = uid('D', deployment);
    if (!cluster(deployment))
        return;
    for (uint32_t pos = 0; n < CLUSTER_MEMBERS_MAX && (row = view_replica_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &id) && row->role == REPLICA_WORKER &&
            (row->state == REPLICA_READY || any(20) == 0))
            ordinals[n++] = row->ordinal;
    }
    (void)plan(deployment, n, ordinals); /* some are refused */
}

static void report_any(void)
{
    static const uint32_t states[] = {REPLICA_STARTING, REPLICA_READY, REPLICA_READY, REPLICA_READY,
                                      REPLICA_BACKOFF};
    uint64_t deployment = 2 + any(2);
    uint32_t ordinal = (uint32_t)any(40);
    const struct row_replica *row = replica(deployment, ordinal);
    if (row)
        (void)report(deployment, ordinal, row->state == REPLICA_DRAINING ? REPLICA_STOPPED : states[any(5)]);
}

static void step_any(uint64_t *boots)
{
    static const uint32_t places[] = {PLACE_UP, PLACE_UP, PLACE_UP, PLACE_DRAINING, PLACE_LOST};
    static const char *const sites[] = {"1", "2", "3", "23", "123"};
    switch (any(16)) {
    case 0:
        (void)send(request(2 + any(2), 1 + (uint32_t)any(5), sites[any(5)]));
        break;
    case 1:
        (void)(any(4) ? 0 : do_undeploy(world, 2 + any(2)));
        break;
    case 2:
        (void)do_site_state(world, 2 + any(2), places[any(5)]);
        break;
    case 3:
        (void)lose(2 + any(2), (uint32_t)any(2));
        break;
    case 4:
        assert_int_equal(any(8) ? 0 : do_boot(world, ++*boots), 0);
        break;
    case 5:
    case 6:
        plan_any(2 + any(2));
        break;
    default:
        for (uint32_t i = 0; i < 12; i++)
            report_any();
    }
}

static void test_any_order(void **state)
{
    (void)state;
    uint64_t boots = 10;
    uint32_t served = 0;
    seed = 20261123;
    for (uint32_t i = 0; i < STEPS; i++) {
        step_any(&boots);
        world->now += (int64_t)any(50);
        assert_int_equal(do_tick(world), 0);
        assert_int_equal(core_check(world->core), 0);
        for (uint64_t d = 2; d <= 3; d++)
            served += cluster(d) && replica(d, 0) && replica(d, 0)->state == REPLICA_READY;
        if (any(20) == 0) {
            uint64_t before = world_views(world);
            assert_int_equal(world_reload(world), 0);
            assert_true(world_views(world) == before);
        }
    }
    assert_true(served > STEPS / 100); /* it is not all refused */
    for (uint64_t n = 2; n <= 3; n++)
        (void)do_undeploy(world, n);
    for (uint32_t i = 0; i < 20000 && view_counts(world->core).replicas > 0; i++) {
        report_any();
        assert_int_equal(do_tick(world), 0);
    }
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(view_counts(world->core).deployments, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_site_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain_of_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undeploy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recalled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
