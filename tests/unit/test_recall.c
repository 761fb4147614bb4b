/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that are recalled: what serves them is stopped wherever it is, nothing new is, and that the last one is gone is said once,
 * not before its site has told so or is lost. */
#include "core/service.h"
#include "dispatch_support.h"

#define OWN 1
#define SITES 3

static struct world *world;

static int add_variant(uint64_t model, uint8_t digest)
{
    struct event e = {.kind = EVENT_KIND_variant_add,
                      .u.variant_add = {.variant = uid('V', model),
                                        .model = uid('M', model),
                                        .engine = "llama",
                                        .location = "models/a.gguf",
                                        .memory_bytes = 1u << 30}};
    memset(e.u.variant_add.digest, digest, DIGEST_BYTES);
    return world_step(world, &e);
}

/* Site 1 is the hub's own machine; 2 and 3 have two chips each. Models 2 and 3 have the same weights, 4 has others. */
static int setup(void **state)
{
    struct limits limits = replica_limits(SITES);
    world = world_usual(&limits, 1000 * UNIT);
    assert_int_equal(do_chip(world, "h20", "nvidia", 0), 0);
    for (uint64_t i = OWN + 1; i <= SITES; i++) {
        assert_int_equal(do_site(world, i), 0);
        struct event_pool_add pool = pool_request(i, i, 1, 2);
        (void)snprintf(pool.chip, CHIP_CAP, "h20");
        assert_int_equal(do_pool(world, pool), 0);
    }
    for (uint64_t i = 2; i <= 4; i++) {
        assert_int_equal(do_model(world, i), 0);
        assert_int_equal(add_variant(i, i < 4 ? 7 : 8), 0);
    }
    *state = &world;
    return 0;
}

static int deploy_at(uint64_t model, uint64_t site)
{
    struct event e = {.kind = EVENT_KIND_deploy,
                      .u.deploy = {.deployment = uid('D', model),
                                   .model = uid('M', model),
                                   .replicas = 1,
                                   .min = 1,
                                   .slots = 4,
                                   .chips = 1,
                                   .tenant = uid('T', 1),
                                   .sites = {.n = 1, .v = {uid('S', site)}}}};
    int rc = world_step(world, &e);
    return rc ? rc : do_tick(world);
}

static int recall(uint64_t id, uint8_t digest, const char *reason)
{
    struct event e = {.kind = EVENT_KIND_model_recall, .u.model_recall.recall = uid('R', id)};
    memset(e.u.model_recall.digest, digest, DIGEST_BYTES);
    (void)snprintf(e.u.model_recall.reason, TEXT_CAP, "%s", reason);
    return world_step(world, &e);
}

static int lift(uint8_t digest)
{
    struct event e = {.kind = EVENT_KIND_model_recall_lift};
    memset(e.u.model_recall_lift.digest, digest, DIGEST_BYTES);
    return world_step(world, &e);
}

static int lose(uint64_t site)
{
    struct event e = {.kind = EVENT_KIND_site_contact, .u.site_contact = {.site = uid('S', site), .lost = 1}};
    return world_step(world, &e);
}

static const struct row_recall *the_recall(void)
{
    uint32_t pos = 0;
    const struct row_recall *row = view_recall_at(world->core, &pos);
    assert_non_null(row);
    assert_null(view_recall_at(world->core, &pos));
    return row;
}

/* Seconds of ticks when they are due; how often it was said that the last one is gone. */
static uint32_t pass(int64_t ms)
{
    int64_t until = world->now + ms;
    uint32_t said = 0;
    while (core_deadline_ms(world->core) <= until) {
        if (core_deadline_ms(world->core) > world->now)
            world->now = core_deadline_ms(world->core);
        assert_int_equal(do_tick(world), 0);
        said += world_count(world, EFFECT_RECALLED);
    }
    world->now = until;
    return said;
}

static bool is_deployed(uint64_t model)
{
    struct uuid id = uid('M', model);
    return view_deployment_of(world->core, &id) != NULL;
}

static void test_everywhere(void **state)
{
    (void)state;
    assert_int_equal(deploy_at(2, 2), 0);
    assert_int_equal(deploy_at(4, 3), 0);
    assert_int_equal(do_deploy(world, 3, 3, 1),
                     0); /* the same weights by another name, on the hub's own machine */
    assert_int_equal(do_replica(world, 2, 0, 1, REPLICA_READY), 0);
    assert_int_equal(do_replica(world, 3, 0, 1, REPLICA_READY), 0);
    assert_int_equal(recall(1, 7, "why"), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_STOP), 2);
    assert_true(world->effects.routes_changed);
    assert_int_equal(the_recall()->asked_ms, world->now);
    assert_int_equal(pass(5000), 0); /* both drain */
    assert_int_equal(do_replica(world, 2, 0, 1, REPLICA_STOPPED), 0);
    assert_int_equal(pass(5000), 0);
    assert_int_equal(the_recall()->gone_ms, 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(pass(2000), 0);
    assert_int_equal(do_replica(world, 3, 0, 1, REPLICA_STOPPED), 0);
    int64_t then = world->now;
    assert_int_equal(pass(5000), 1);
    assert_in_range(the_recall()->gone_ms, then, then + 1000);
    assert_false(is_deployed(2) || is_deployed(3));
    assert_true(is_deployed(4));
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(pass(5000), 0); /* said once */
    struct uuid model = uid('M', 3);
    assert_non_null(view_recalled(world->core, &model));
}

/* A site that does not answer has it until its leases are over. */
static void test_away(void **state)
{
    (void)state;
    assert_int_equal(deploy_at(2, 2), 0);
    assert_int_equal(do_replica(world, 2, 0, 1, REPLICA_READY), 0);
    assert_int_equal(recall(1, 7, "why"), 0);
    assert_int_equal(pass(60000), 0);
    assert_int_equal(lose(2), 0);
    assert_int_equal(pass(5000), 1);
    assert_true(the_recall()->gone_ms > the_recall()->asked_ms + 59000);
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(recall(1, 0, "why"), ERR_INVALID);
    assert_int_equal(recall(0, 7, ""), ERR_INVALID);
    assert_int_equal(recall(1, 7, "two\nlines"), ERR_INVALID);
    world_assert_untouched(world);
    assert_int_equal(lift(7), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(recall(1, 7, "why"), 0);
    assert_int_equal(recall(2, 7, "again"), ERR_EXISTS);
    assert_int_equal(recall(1, 8, "the id of another"), ERR_EXISTS);
    world_assert_untouched(world);
    assert_int_equal(deploy_at(2, 2), ERR_RECALLED);
    assert_int_equal(do_deploy(world, 3, 3, 1), ERR_RECALLED);
    world_assert_untouched(world);
    assert_int_equal(deploy_at(4, 3), 0);
    assert_true(the_recall()->gone_ms > 0); /* nothing served it: it is gone with the first tick */
}

static void test_lifted(void **state)
{
    (void)state;
    assert_int_equal(recall(1, 7, "why"), 0);
    assert_int_equal(pass(1000), 1);
    assert_int_equal(lift(7), 0);
    assert_true(world->effects.routes_changed);
    assert_int_equal(lift(7), ERR_NOT_FOUND);
    assert_int_equal(the_recall()->lifted_ms, world->now);
    assert_int_equal(deploy_at(2, 2), 0);
    assert_int_equal(world_reload(world), 0);
    struct uuid model = uid('M', 2);
    assert_null(view_recalled(world->core, &model));
    assert_int_equal(pass(5000), 0);
    assert_int_equal(recall(2, 7, "after all"), 0); /* another one, of which the first stays */
}

/* The one that was lifted first makes room; what is in force stays, and only if all are is the next one refused. */
static void test_full(void **state)
{
    struct uuid gone = uid('R', 2);
    (void)state;
    for (uint64_t i = 1; i <= RECALLS_MAX; i++) {
        struct event e = {.kind = EVENT_KIND_model_recall, .u.model_recall.recall = uid('R', i)};
        memcpy(e.u.model_recall.digest, &e.u.model_recall.recall, sizeof e.u.model_recall.recall);
        (void)snprintf(e.u.model_recall.reason, TEXT_CAP, "why");
        assert_int_equal(world_step(world, &e), 0);
    }
    (void)pass(1000000);
    assert_int_equal(recall(9000, 7, "why"), ERR_LIMIT);
    struct event e = {.kind = EVENT_KIND_model_recall_lift};
    memcpy(e.u.model_recall_lift.digest, &gone, sizeof gone);
    assert_int_equal(world_step(world, &e), 0);
    (void)pass(1000);
    assert_int_equal(recall(9000, 7, "why"), 0);
    const struct row_recall *row;
    uint32_t n = 0;
    for (uint32_t pos = 0; (row = view_recall_at(world->core, &pos)) != NULL; n++)
        assert_false(uuid_eq(&row->id, &gone));
    assert_int_equal(n, RECALLS_MAX);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(recall(9001, 9, "why"), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everywhere, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_away, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lifted, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
