/* SPDX-License-Identifier: Apache-2.0 */
/* Where a deployment's replicas are: at the sites that it names, as evenly as there is room; given up with their site; and what a
 * boot leaves alone. */
#include "dispatch_support.h"

#define OWN 1
#define SITES 4

static struct world *world;

/* Site 1 is the hub's own machine; 2 and 3 have two chips each, 4 has none. Models 1 to 4. */
static int setup(void **state)
{
    (void)state;
    struct limits limits = small_limits();
    limits.sites = SITES;
    limits.chips = 1;
    limits.pools = SITES;
    limits.nodes = 8;
    limits.corridors = 1;
    world = world_usual(&limits, 1000 * UNIT);
    assert_int_equal(do_chip(world, "h20", "nvidia", 0), 0);
    for (uint64_t i = OWN + 1; i <= SITES; i++) {
        struct event site = {.kind = EVENT_KIND_site_add,
                             .u.site_add = {.site = uid('S', i), .jurisdiction = "DE"}};
        (void)snprintf(site.u.site_add.name, NAME_CAP, "site-%u", (unsigned)i);
        assert_int_equal(world_step(world, &site), 0);
    }
    for (uint64_t i = 2; i <= 3; i++) {
        struct event_pool_add pool = pool_request(i, i, 1, 2);
        (void)snprintf(pool.chip, CHIP_CAP, "h20");
        assert_int_equal(do_pool(world, pool), 0);
    }
    for (uint64_t i = 2; i <= 4; i++) {
        assert_int_equal(do_model(world, i), 0);
        assert_int_equal(do_variant(world, i, i), 0);
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

/* `sites`: digits. */
static int deploy(uint64_t n, uint32_t replicas, const char *sites)
{
    struct event e = {
        .kind = EVENT_KIND_deploy,
        .u.deploy = {.deployment = uid('D', n), .model = uid('M', n), .replicas = replicas, .slots = 4}};
    for (const char *p = sites; *p; p++)
        e.u.deploy.sites.v[e.u.deploy.sites.n++] = uid('S', (uint64_t)(*p - '0'));
    return world_step(world, &e);
}

static int lose(uint64_t site, uint32_t lost)
{
    struct event e = {.kind = EVENT_KIND_site_contact,
                      .u.site_contact = {.site = uid('S', site), .lost = lost}};
    return world_step(world, &e);
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

static void is_at(uint64_t deployment, uint32_t ordinal, uint64_t site, uint32_t epoch, uint32_t state)
{
    struct uuid id = uid('S', site);
    const struct row_replica *row = replica(deployment, ordinal);
    assert_non_null(row);
    assert_true(uuid_eq(&row->site, &id));
    assert_int_equal(row->epoch, epoch);
    assert_int_equal(row->state, state);
}

static void test_spread(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 3, "23"), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 3);
    is_at(1, 0, 2, 1, REPLICA_WANTED);
    is_at(1, 1, 3, 1, REPLICA_WANTED);
    is_at(1, 2, 2, 1, REPLICA_WANTED);
    assert_int_equal(deploy(2, 1, "23"), 0); /* one chip is left, at 3 */
    is_at(2, 0, 3, 1, REPLICA_WANTED);
    assert_int_equal(deploy(3, 3, "12"), 0); /* 2 is full; the hub's own machine has no bound */
    for (uint32_t k = 0; k < 3; k++)
        is_at(3, k, OWN, 1, REPLICA_WANTED);
    assert_int_equal(deploy(4, 2, ""), 0);
    is_at(4, 1, OWN, 1, REPLICA_WANTED);
    assert_int_equal(world_reload(world), 0);
    is_at(1, 1, 3, 1, REPLICA_WANTED);
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 1, "29"), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(deploy(1, 1, "22"), ERR_INVALID);
    assert_int_equal(deploy(1, 5, "23"), ERR_NO_CAPACITY);
    assert_int_equal(deploy(1, 1, "4"), ERR_NO_CAPACITY);
    assert_int_equal(lose(2, 1), 0);
    assert_int_equal(deploy(1, 1, "23"), ERR_WRONG_STATE);
    world_assert_untouched(world);
    assert_int_equal(view_counts(world->core).deployments, 0);
}

/* A report of an epoch that was given up says nothing of the next. */
static void test_lost(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "23"), 0);
    assert_int_equal(deploy(2, 1, "2"), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), 0);
    assert_int_equal(lose(2, 1), 0);
    assert_true(world->effects.routes_changed);
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 2);
    is_at(1, 0, 3, 2, REPLICA_WANTED); /* the other one of its list */
    is_at(2, 0, 2, 2, REPLICA_WANTED); /* it has no other: it waits */
    assert_string_equal(replica(2, 0)->detail, "its site is lost");
    assert_int_equal(replica(1, 0)->endpoint[0], 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), ERR_WRONG_STATE);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(lose(3, 1), 0); /* now both are where there is no room */
    is_at(1, 0, 3, 3, REPLICA_WANTED);
    is_at(1, 1, 3, 2, REPLICA_WANTED);
    assert_int_equal(lose(2, 0), 0); /* two chips are back: one is taken by who waited there, one is free */
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 2);
    is_at(2, 0, 2, 2, REPLICA_WANTED);
    is_at(1, 0, 2, 4, REPLICA_WANTED);
    is_at(1, 1, 3, 2, REPLICA_WANTED);
    assert_int_equal(lose(3, 0), 0);
    is_at(1, 1, 3, 2, REPLICA_WANTED);
    assert_int_equal(do_replica(world, 1, 1, 2, REPLICA_READY), 0);
}

static void test_draining(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "2"), 0);
    assert_int_equal(do_undeploy(world, 1), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_STOP), 2);
    assert_int_equal(do_boot(world, 2), 0); /* the site still stops them */
    is_at(1, 0, 2, 1, REPLICA_DRAINING);
    assert_int_equal(lose(2, 1), 0); /* nobody will say that they have stopped */
    assert_int_equal(view_counts(world->core).deployments, 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
}

/* One that waits for its lost site is not waited for, and the model can be had elsewhere; one that is in touch stops first. */
static void test_undeploy_lost(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "23"), 0);
    assert_int_equal(do_replica(world, 1, 1, 1, REPLICA_READY), 0);
    assert_int_equal(deploy(2, 2, "23"), 0);
    assert_int_equal(lose(2, 1), 0); /* 3 has no room: those of 2 wait there */
    assert_int_equal(do_undeploy(world, 2), 0);
    assert_null(replica(2, 0));
    is_at(2, 1, 3, 1, REPLICA_DRAINING);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_replica(world, 2, 1, 1, REPLICA_STOPPED), 0);
    assert_int_equal(do_undeploy(world, 1), 0);
    is_at(1, 1, 3, 1, REPLICA_DRAINING);
    assert_int_equal(do_replica(world, 1, 1, 1, REPLICA_STOPPED), 0);
    assert_int_equal(view_counts(world->core).deployments, 0);

    assert_int_equal(lose(2, 0), 0);
    assert_int_equal(deploy(3, 1, "2"), 0);
    assert_int_equal(lose(2, 1), 0);
    assert_int_equal(do_undeploy(world, 3), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_STOP), 1);
    assert_int_equal(view_counts(world->core).deployments, 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(deploy(3, 1, "3"), 0);
}

/* What runs elsewhere outlives the hub; what runs here does not. */
static void test_boot(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "12"), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), 0);
    assert_int_equal(do_replica(world, 1, 1, 1, REPLICA_READY), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 1);
    is_at(1, 0, OWN, 2, REPLICA_WANTED);
    is_at(1, 1, 2, 1, REPLICA_READY);
    assert_true(replica(1, 1)->endpoint[0]);
}

static void enforce(const char *text)
{
    struct event put = {.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = uid('R', 1)}};
    struct event set = {.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = uid('R', 1), .parts = 1}};
    assert_true(text_set(put.u.rules_put.text, sizeof put.u.rules_put.text, text, strlen(text)));
    assert_int_equal(world_step(world, &put), 0);
    assert_int_equal(world_step(world, &set), 0);
}

static bool may(uint64_t site)
{
    struct uuid id = uid('M', 1);
    struct uuid_list sites = {.n = 1, .v = {uid('S', site)}};
    return view_may_deploy(world->core, &sites, view_model(world->core, &id));
}

static void test_rules(void **state)
{
    (void)state;
    assert_true(may(2));
    enforce("deny a when site.name = site-2 and job.kind = inference because \"b\" cite \"c\"\n");
    assert_true(!may(2) && may(3));
    enforce("deny a when site.name = site-2 and job.kind = training because \"b\" cite \"c\"\n");
    assert_true(may(2));
    enforce("deny a when chip.vendor = nvidia because \"b\" cite \"c\"\n");
    assert_true(!may(2) && !may(3));
    /* Who asks is not known; one who is at home there may. */
    enforce("require a that tenant.jurisdiction = site.jurisdiction because \"b\" cite \"c\"\n");
    assert_true(may(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_draining, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undeploy_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_boot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
