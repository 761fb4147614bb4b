/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas that are checked before they take requests: who waits, passes and fails, where a variant is barred, and what is too slow. */
#include "core/accept.h"

#include "dispatch_support.h"

#define OWN 1
#define SITES 3

static struct world *world;

/* Site 1 is the hub's own machine; 2 and 3 have two chips each. Model 1 is a file, model 2 has weights that nobody knows. */
static int setup(void **state)
{
    (void)state;
    struct limits limits = small_limits();
    limits.sites = SITES;
    limits.chips = 1;
    limits.pools = SITES;
    limits.nodes = 8;
    limits.corridors = 1;
    limits.jobs = limits.shares = 32;
    limits.shapes = 8;
    limits.meters = 32;
    limits.services = 4;
    limits.demands = 4;
    limits.service_replicas = 32;
    world = world_usual(&limits, 1000 * UNIT);
    assert_int_equal(do_chip(world, "h20", "nvidia", 0), 0);
    for (uint64_t i = 2; i <= SITES; i++) {
        struct event site = {.kind = EVENT_KIND_site_add,
                             .u.site_add = {.site = uid('S', i), .jurisdiction = "DE"}};
        (void)snprintf(site.u.site_add.name, NAME_CAP, "site-%u", (unsigned)i);
        assert_int_equal(world_step(world, &site), 0);
        struct event_pool_add pool = pool_request(i, i, 1, 2);
        (void)snprintf(pool.chip, CHIP_CAP, "h20");
        assert_int_equal(do_pool(world, pool), 0);
    }
    for (uint64_t i = 2; i <= 3; i++) {
        struct event variant = {.kind = EVENT_KIND_variant_add,
                                .u.variant_add = {.variant = uid('V', i),
                                                  .model = uid('M', i),
                                                  .engine = "llama",
                                                  .location = "/models/a.gguf",
                                                  .size_bytes = i == 2 ? 1000 : 0,
                                                  .digest = {(uint8_t)i}}};
        assert_int_equal(do_model(world, i), 0);
        assert_int_equal(world_step(world, &variant), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(core_check(world->core), 0);
    assert_int_equal(world_reload(world), 0);
    world_free(world);
    return 0;
}

static int set_mode(uint32_t mode)
{
    return world_step(world, &(struct event){.kind = EVENT_KIND_accept_mode, .u.accept_mode.mode = mode});
}

/* `sites`: digits; "": the hub's own machine. */
static void deploy(uint64_t model, uint32_t replicas, const char *sites)
{
    struct event e = {.kind = EVENT_KIND_deploy,
                      .u.deploy = {.deployment = uid('D', model),
                                   .model = uid('M', model),
                                   .replicas = replicas,
                                   .min = replicas,
                                   .slots = 4,
                                   .chips = 1,
                                   .tenant = uid('T', 1)}};
    for (const char *p = sites; *p; p++)
        e.u.deploy.sites.v[e.u.deploy.sites.n++] = uid('S', (uint64_t)(*p - '0'));
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(do_tick(world), 0);
}

static const struct row_replica *replica(uint64_t model, uint32_t ordinal)
{
    const struct row_replica *row;
    struct uuid id = uid('D', model);
    for (uint32_t pos = 0; (row = view_replica_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &id) && row->ordinal == ordinal)
            return row;
    }
    fail();
    return NULL;
}

static void tell(uint64_t model, uint32_t ordinal, uint32_t to)
{
    struct event e = {.kind = EVENT_KIND_replica_state,
                      .u.replica_state = {.deployment = uid('D', model),
                                          .ordinal = ordinal,
                                          .epoch = replica(model, ordinal)->epoch,
                                          .state = to}};
    (void)snprintf(e.u.replica_state.version, NAME_CAP, "v1");
    assert_int_equal(world_step(world, &e), 0);
}

static uint64_t checks;

static struct event result(uint64_t model, uint32_t ordinal, uint32_t verdict, uint64_t tokens_s)
{
    struct event e = {.kind = EVENT_KIND_accept_result,
                      .u.accept_result = {.check = uid('C', ++checks),
                                          .deployment = uid('D', model),
                                          .ordinal = ordinal,
                                          .epoch = replica(model, ordinal)->epoch,
                                          .verdict = verdict,
                                          .tokens = 100,
                                          .one = tokens_s * 1000,
                                          .many = tokens_s * 2000,
                                          .batch = 4}};
    if (verdict != ACCEPT_PASSED)
        (void)snprintf(e.u.accept_result.reason, TEXT_CAP, "as it was found");
    return e;
}

static int find(uint64_t model, uint32_t ordinal, uint32_t verdict, uint64_t tokens_s)
{
    struct event e = result(model, ordinal, verdict, tokens_s);
    return world_step(world, &e);
}

static bool takes(uint64_t model, uint32_t ordinal)
{
    return view_takes_requests(replica(model, ordinal));
}

static uint64_t site_of(uint64_t model, uint32_t ordinal)
{
    for (uint64_t i = 1; i <= SITES; i++) {
        struct uuid id = uid('S', i);
        if (uuid_eq(&replica(model, ordinal)->site, &id))
            return i;
    }
    return 0;
}

static const struct row_acceptance *known(uint64_t model, uint64_t site)
{
    const struct row_acceptance *row;
    struct uuid variant = uid('V', model), at = uid('S', site);
    for (uint32_t pos = 0; (row = view_acceptance_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->variant, &variant) && uuid_eq(&row->site, &at))
            return row;
    }
    return NULL;
}

/* ---- who waits ---- */

static void test_waits(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "2");
    deploy(3, 1, "3"); /* without weights that are known */
    assert_int_equal(replica(2, 0)->accept, ACCEPT_WAITING);
    assert_int_equal(replica(3, 0)->accept, ACCEPT_OPEN);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), ERR_WRONG_STATE); /* it is not ready */
    tell(2, 0, REPLICA_READY);
    tell(3, 0, REPLICA_READY);
    assert_false(takes(2, 0));
    assert_true(takes(3, 0));
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), 0);
    assert_true(world->effects.routes_changed);
    assert_true(takes(2, 0));
    assert_int_equal(world_reload(world), 0);
    assert_true(takes(2, 0));
    assert_string_equal(known(2, 2)->version, "v1");
    tell(2, 0, REPLICA_BACKOFF); /* out of touch for a moment: what was found holds */
    assert_false(takes(2, 0));
    tell(2, 0, REPLICA_STARTING);
    tell(2, 0, REPLICA_READY);
    assert_true(takes(2, 0));
}

static void test_unchecked(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "2");
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_UNCHECKED, 0), 0);
    assert_true(takes(2, 0));
    assert_int_equal(known(2, 2)->verdict, ACCEPT_UNCHECKED);
    assert_int_equal(known(2, 2)->passes, 0);
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "2");
    tell(2, 0, REPLICA_READY);
    assert_int_equal(set_mode(0), ERR_INVALID);
    assert_int_equal(set_mode(ACCEPT_MODES_END), ERR_INVALID);
    struct event e = result(2, 0, ACCEPT_WAITING, 0);
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e = result(2, 0, ACCEPT_FAILED, 0);
    e.u.accept_result.reason[0] = 0;
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e.u.accept_result.reason[0] = '\n'; /* it would be a line of facts of its own */
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e = result(2, 0, ACCEPT_PASSED, 0);
    e.u.accept_result.check = (struct uuid){{0}};
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e = result(2, 0, ACCEPT_PASSED, 0);
    e.u.accept_result.epoch++;
    assert_int_equal(world_step(world, &e), ERR_WRONG_STATE);
    e.u.accept_result.ordinal++;
    assert_int_equal(world_step(world, &e), ERR_NOT_FOUND);
    assert_false(takes(2, 0));
    assert_null(known(2, 2));
    world_assert_untouched(world);
}

/* ---- who fails ---- */

static void lift(uint64_t model, int code)
{
    struct event e = {.kind = EVENT_KIND_accept_lift, .u.accept_lift.variant = uid('V', model)};
    assert_int_equal(world_step(world, &e), code);
}

/* Fails where it is, and begins anew, there or elsewhere. */
static void fail_once(uint64_t model)
{
    uint64_t site = site_of(model, 0);
    tell(model, 0, REPLICA_READY);
    uint32_t epoch = replica(model, 0)->epoch, fails = known(model, site) ? known(model, site)->fails : 0;
    assert_int_equal(find(model, 0, ACCEPT_FAILED, 0), 0);
    assert_int_equal(replica(model, 0)->epoch, epoch + 1);
    assert_false(takes(model, 0));
    assert_int_equal(replica(model, 0)->accept, ACCEPT_WAITING);
    assert_int_equal(known(model, site)->fails, fails + 1);
    assert_int_equal(known(model, site)->barred_ms != 0, fails + 1 >= ACCEPT_FAILS_MAX);
    assert_int_equal(do_tick(world), 0);
    if (known(model, site)->barred_ms != 0)
        assert_int_not_equal(site_of(model, 0), site);
}

static void test_barred(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "23");
    for (uint32_t i = 0; i < 2 * ACCEPT_FAILS_MAX; i++) {
        assert_int_not_equal(site_of(2, 0), 0);
        fail_once(2);
        assert_int_equal(world_reload(world), 0);
    }
    assert_int_equal(site_of(2, 0), 0); /* no place is left */
    struct why why;
    struct view_deployed now;
    struct uuid id = uid('D', 2);
    assert_true(view_deployed(world->core, &id, &now));
    assert_int_equal(why_job(world->core, &now.waits, &why), 0);
    assert_int_equal(why.bar, WHY_ACCEPT);
    deploy(3, 1, "23"); /* another model is not barred */
    assert_int_not_equal(site_of(3, 0), 0);
    lift(3, ERR_NOT_FOUND);
    lift(2, 0);
    assert_int_equal(do_tick(world), 0);
    assert_int_not_equal(site_of(2, 0), 0);
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), 0);
    assert_true(takes(2, 0));
    lift(2, ERR_NOT_FOUND);
}

/* One that passes in between has not failed often. */
static void test_in_a_row(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "2");
    for (int i = 0; i < 4; i++) {
        tell(2, 0, REPLICA_READY);
        assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), 0);
        assert_int_equal(find(2, 0, ACCEPT_FAILED, 0), 0);
        assert_int_equal(known(2, 2)->fails, 1);
        assert_int_equal(do_tick(world), 0);
        assert_int_equal(site_of(2, 0), 2);
    }
}

/* On the hub's own machine it stays, takes nothing, and may pass later. */
static void test_own(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "");
    tell(2, 0, REPLICA_READY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(find(2, 0, ACCEPT_FAILED, 0), 0);
        assert_int_equal(replica(2, 0)->accept, ACCEPT_FAILED);
        assert_int_equal(replica(2, 0)->epoch, 1);
        assert_false(takes(2, 0));
    }
    assert_int_equal(known(2, OWN)->barred_ms, 0);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), 0);
    assert_true(takes(2, 0));
}

static void test_modes(void **state)
{
    (void)state;
    deploy(2, 2, "23"); /* before anything was said: as ever */
    tell(2, 0, REPLICA_READY);
    assert_true(takes(2, 0));
    assert_int_equal(set_mode(ACCEPT_WARN), 0);
    assert_int_equal(find(2, 0, ACCEPT_FAILED, 0), 0);
    assert_true(takes(2, 0)); /* it is only known */
    assert_int_equal(known(2, site_of(2, 0))->verdict, ACCEPT_FAILED);
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    assert_true(takes(2, 0)); /* goes on until it is checked */
    tell(2, 1, REPLICA_READY);
    assert_false(takes(2, 1));
    assert_int_equal(set_mode(ACCEPT_OFF), 0);
    assert_true(takes(2, 1));
}

/* ---- speed ---- */

static void test_slow(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 2, "23");
    tell(2, 0, REPLICA_READY);
    tell(2, 1, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 100), 0); /* the first is the baseline */
    uint64_t slow = site_of(2, 0);
    assert_int_equal(find(2, 1, ACCEPT_PASSED, 10),
                     0); /* what another site claims is no measure of this one */
    assert_true(takes(2, 1));
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 71), 0);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 100), 0);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 100), 0);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 69), 0); /* of a median of 100 */
    assert_false(takes(2, 0));
    assert_int_equal(known(2, slow)->verdict, ACCEPT_FAILED);
    assert_int_equal(known(2, slow)->passes, 4);
    assert_int_equal(known(2, slow)->one,
                     69000); /* its figures are kept, and not among those that others are held against */
    uint64_t one, many;
    accept_usual(known(2, slow), &one, &many);
    assert_int_equal(one, 100000);
    assert_int_equal(many, 200000);
}

/* It is the geometric mean of the two that counts; and the last ones are what a later one is held against. */
static void test_one_figure(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "2");
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 100), 0);
    struct event e = result(2, 0, ACCEPT_PASSED, 50);
    e.u.accept_result.many = UINT64_MAX;
    assert_int_equal(world_step(world, &e), ERR_OVERFLOW);
    e.u.accept_result.many = 197000; /* 0.5 and 0.985: 0.702 */
    assert_int_equal(world_step(world, &e), 0);
    assert_true(takes(2, 0));
    for (uint64_t i = 0; i < 3 * ACCEPT_KEPT; i++)
        assert_int_equal(find(2, 0, ACCEPT_PASSED, 1000 + i), 0);
    uint64_t one, many;
    assert_true(view_accept_speed(world->core, replica(2, 0), &one, &many));
    assert_int_equal(one,
                     1000000 + 1000 * (3 * ACCEPT_KEPT - 1 - ACCEPT_KEPT / 2)); /* of the last ones only */
}

/* ---- clusters ---- */

static void members_ready(void)
{
    for (uint32_t i = 1; i <= 2; i++) {
        if (replica(2, i)->state == REPLICA_WANTED)
            tell(2, i, REPLICA_READY);
    }
}

/* One layer at each of two members, and a head that is ready. */
static int plan_again(void)
{
    struct uuid id = uid('D', 2);
    struct event e = {.kind = EVENT_KIND_cluster_plan,
                      .u.cluster_plan = {.deployment = id,
                                         .generation = view_cluster(world->core, &id)->generation + 1,
                                         .parts = 2,
                                         .ordinal0 = 1,
                                         .epoch0 = replica(2, 1)->epoch,
                                         .layers0 = 1,
                                         .ordinal1 = 2,
                                         .epoch1 = replica(2, 2)->epoch,
                                         .layers1 = 1}};
    members_ready();
    int rc = world_step(world, &e);
    if (rc == 0)
        tell(2, CLUSTER_HEAD, REPLICA_READY);
    return rc;
}

static const struct row_cluster *cluster_at_two(void)
{
    struct uuid id = uid('D', 2);
    struct event e = {.kind = EVENT_KIND_deploy,
                      .u.deploy = {.deployment = id,
                                   .model = uid('M', 2),
                                   .replicas = 2,
                                   .min = 2,
                                   .slots = 4,
                                   .chips = 1,
                                   .tenant = uid('T', 1),
                                   .members = 2,
                                   .member_bytes = UINT64_C(1) << 30,
                                   .sites = {.n = 1, .v = {uid('S', 2)}}}};
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(do_tick(world), 0);
    assert_int_equal(plan_again(), 0);
    return view_cluster(world->core, &id);
}

/* Each plan has its own speed: what one process gave, or an earlier plan, is no measure of it. */
static void test_head_has_no_baseline(void **state)
{
    (void)state;
    uint64_t one, many;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, ""); /* which has no chip, as heads have none */
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 1000000), 0);
    struct event undeploy = {.kind = EVENT_KIND_undeploy, .u.undeploy.deployment = uid('D', 2)};
    assert_int_equal(world_step(world, &undeploy), 0);
    tell(2, 0, REPLICA_STOPPED);
    (void)cluster_at_two();
    for (uint64_t tokens_s = 1000; tokens_s >= 1; tokens_s /= 10) {
        assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_PASSED, tokens_s), 0);
        assert_true(takes(2, CLUSTER_HEAD));
        assert_int_equal(plan_again(), 0);
        assert_false(takes(2, CLUSTER_HEAD));
    }
    assert_int_equal(known(2, 2)->passes, 0); /* so others of no chip are not measured by it */
    assert_false(view_accept_speed(world->core, replica(2, CLUSTER_HEAD), &one, &many));
}

/* Wrong answers: two plans, and then the chips are given back until an operator says so. */
static void test_head_fails(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    const struct row_cluster *c = cluster_at_two();
    assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_FAILED, 10), 0);
    assert_int_equal(c->parts, 0);
    assert_string_equal(c->detail, "its head was not accepted");
    assert_int_equal(site_of(2, 1), 2);
    assert_int_equal(plan_again(), 0);
    assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_PASSED, 10), 0);
    assert_int_equal(known(2, 2)->fails, 0);
    for (uint32_t i = 0; i < ACCEPT_FAILS_MAX; i++) {
        assert_int_equal(plan_again(), 0);
        assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_FAILED, 10), 0);
    }
    assert_true(known(2, 2)->barred_ms > 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(do_tick(world), 0);
        assert_int_equal(site_of(2, 1), 0);
        assert_int_equal(site_of(2, 2), 0);
        assert_int_equal(world_reload(world), 0);
    }
    struct event lift = {.kind = EVENT_KIND_accept_lift, .u.accept_lift.variant = uid('V', 2)};
    assert_int_equal(world_step(world, &lift), 0);
    assert_int_equal(do_tick(world), 0);
    assert_int_equal(plan_again(), 0);
}

/* Nobody is served before the head was accepted, nor in between. */
static void test_head_outage(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    const struct row_cluster *c = cluster_at_two();
    assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_PASSED, 10), 0);
    assert_int_equal(c->broken_ms, 0);
    assert_int_equal(plan_again(), 0);
    int64_t from_ms = c->broken_ms;
    assert_true(from_ms > 0);
    world->now += 700;
    assert_int_equal(plan_again(), 0); /* before it took any request */
    assert_int_equal(c->broken_ms, from_ms);
    world->now += 700;
    assert_int_equal(find(2, CLUSTER_HEAD, ACCEPT_PASSED, 10), 0);
    assert_int_equal(c->broken_ms, 0);
    assert_true(c->outage_ms >= 1400);
}

/* Fewer slots, another engine, or an operator who lifts: what was usual is no measure any more. */
static void test_begins_anew(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "");
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 100), 0);
    struct event e = result(2, 0, ACCEPT_PASSED, 0); /* under load nothing was measured */
    e.u.accept_result.batch = 0;
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(known(2, OWN)->passes, 1);
    assert_int_equal(known(2, OWN)->batch, 4);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 50), 0);
    assert_int_equal(known(2, OWN)->verdict, ACCEPT_FAILED);
    lift(2, 0);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 50), 0);
    assert_int_equal(known(2, OWN)->verdict, ACCEPT_PASSED);
    e = result(2, 0, ACCEPT_PASSED, 20);
    e.u.accept_result.batch = 1;
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(known(2, OWN)->verdict, ACCEPT_PASSED);
    assert_int_equal(known(2, OWN)->passes, 1);
    e = result(2, 0, ACCEPT_PASSED, 5);
    e.u.accept_result.batch = 1;
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(known(2, OWN)->verdict, ACCEPT_FAILED);
    tell(2, 0, REPLICA_BACKOFF);
    struct event begins = {.kind = EVENT_KIND_replica_state,
                           .u.replica_state = {.deployment = uid('D', 2),
                                               .epoch = replica(2, 0)->epoch,
                                               .state = REPLICA_STARTING,
                                               .version = "v2"}};
    assert_int_equal(world_step(world, &begins), 0);
    begins.u.replica_state.state = REPLICA_READY;
    assert_int_equal(world_step(world, &begins), 0);
    assert_string_equal(replica(2, 0)->version, "v2");
    e = result(2, 0, ACCEPT_PASSED, 5);
    e.u.accept_result.batch = 1;
    assert_int_equal(world_step(world, &e), 0);
    assert_int_equal(known(2, OWN)->verdict, ACCEPT_PASSED);
}

/* What is known of a site goes with it, bars too: who comes back under that name has another id. */
static void test_site_gone(void **state)
{
    (void)state;
    struct event token = {
        .kind = EVENT_KIND_site_token,
        .u.site_token = {.site = uid('S', 2), .token = {7}, .expires_ms = world->now + 60000}};
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    assert_int_equal(world_step(world, &token), 0);
    deploy(2, 1, "23");
    for (uint32_t i = 0; i < 2 * ACCEPT_FAILS_MAX; i++)
        fail_once(2);
    struct uuid variant = uid('V', 2), gone = uid('S', 2), other = uid('S', 3);
    assert_true(accept_bars(world->core, &variant, &gone));
    assert_int_equal(
        world_step(world, &(struct event){.kind = EVENT_KIND_site_remove, .u.site_remove.site = gone}), 0);
    assert_null(known(2, 2));
    assert_false(accept_bars(world->core, &variant, &gone));
    assert_true(accept_bars(world->core, &variant, &other));
}

/* Rows are bounded, and go with their variant. */
static void test_gone(void **state)
{
    (void)state;
    assert_int_equal(set_mode(ACCEPT_REQUIRE), 0);
    deploy(2, 1, "");
    tell(2, 0, REPLICA_READY);
    assert_int_equal(find(2, 0, ACCEPT_PASSED, 10), 0);
    assert_int_equal(
        world_step(world, &(struct event){.kind = EVENT_KIND_undeploy, .u.undeploy.deployment = uid('D', 2)}),
        0);
    tell(2, 0, REPLICA_STOPPED);
    assert_non_null(known(2, OWN));
    assert_int_equal(do_model_remove(world, 2), 0);
    assert_null(known(2, OWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(test_waits),
        T(test_unchecked),
        T(test_refused),
        T(test_barred),
        T(test_in_a_row),
        T(test_own),
        T(test_modes),
        T(test_slow),
        T(test_one_figure),
        T(test_gone),
        T(test_head_has_no_baseline),
        T(test_head_fails),
        T(test_head_outage),
        T(test_begins_anew),
        T(test_site_gone),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
