/* SPDX-License-Identifier: Apache-2.0 */
/* What replicas draw, shared among those whose requests they answer: to the last mJ, between tenants, models and sites, told twice, late,
 * of a run that is gone, after the end, and with the core loaded anew at each step. */
#include "base/checked.h"
#include "support.h"

#define BUDGET (1000 * UNIT)
#define SECOND 1000

static struct world *world;
static bool reloads; /* after each step */
static uint64_t sequence;

/* Tenants 1 to 3 with a key and a lease each, models 1 and 2; model 1 has two replicas on the hub's own machine, model 2 has one. */
static void begin(void)
{
    world = world_usual(NULL, BUDGET);
    sequence = 0;
    assert_int_equal(do_model(world, 2), 0);
    assert_int_equal(do_variant(world, 2, 2), 0);
    assert_int_equal(do_price(world, 2, 2, 0, 0), 0);
    for (uint64_t t = 1; t <= 3; t++) {
        assert_int_equal(t == 1 ? 0 : do_tenant(world, t, BUDGET), 0);
        assert_int_equal(t == 1 ? 0 : do_key(world, t, t, -1), 0);
        assert_int_equal(do_ask(world, 1, t, t, t, 10 * UNIT), 0);
    }
    assert_int_equal(do_deploy(world, 1, 1, 2), 0);
    assert_int_equal(do_deploy(world, 2, 2, 1), 0);
    world->now += 60 * SECOND;
}

static int setup(void **state)
{
    reloads = false;
    begin();
    *state = &world;
    return 0;
}

static int step(struct event e)
{
    int rc = world_try(world, e);
    if (reloads)
        assert_int_equal(world_reload(world), 0);
    return rc;
}

static struct event report(uint64_t deployment, uint32_t ordinal, uint64_t energy_mj)
{
    return (struct event){.kind = EVENT_KIND_replica_meter,
                          .u.replica_meter = {.deployment = uid('D', deployment),
                                              .ordinal = ordinal,
                                              .epoch = 1,
                                              .run = 1,
                                              .energy_mj = energy_mj}};
}

static int tell(uint64_t deployment, uint32_t ordinal, uint64_t energy_mj)
{
    world->now += 10 * SECOND;
    return step(report(deployment, ordinal, energy_mj));
}

/* Both replicas of model 1, so that it is shared out. */
static void tell_both(uint64_t first_mj, uint64_t second_mj)
{
    assert_int_equal(tell(1, 0, first_mj), 0);
    assert_int_equal(tell(1, 1, second_mj), 0);
}

static void ask_model(uint64_t model, uint64_t tenant, uint32_t prompt, uint32_t cached, uint32_t completion)
{
    struct event e = meter_event(1, ++sequence, tenant, tenant, tenant, prompt);
    e.u.meter.model = uid('M', model);
    e.u.meter.variant = uid('V', model);
    e.u.meter.price = uid('P', model);
    e.u.meter.site = uid('S', 1);
    e.u.meter.cached = cached;
    e.u.meter.completion = completion;
    assert_int_equal(step(e), 0);
}

static void ask(uint64_t tenant, uint32_t prompt, uint32_t completion)
{
    ask_model(1, tenant, prompt, 0, completion);
}

/* ---- what came of it ---- */

/* Of all lines of a tenant for a model, 0: of any one. */
static struct row_bill lines(uint64_t tenant, uint64_t model)
{
    const void **rows = mirror_sorted(&world->mirror, ROW_KIND_bill);
    struct row_bill sum = {.requests = 0};
    struct uuid who = uid('T', tenant), what = uid('M', model);
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++) {
        const struct row_bill *row = rows[i];
        if (!uuid_eq(&row->tenant, &who) || (model && !uuid_eq(&row->item, &what)))
            continue;
        sum.energy_mj += row->energy_mj;
        sum.carbon_ng += row->carbon_ng;
        sum.prompt += row->prompt;
    }
    free(rows);
    return sum;
}

static uint64_t used(struct uuid owner, enum usage_side side, enum usage_unit unit)
{
    struct row_used key = {.owner = owner, .side = side, .unit = unit};
    const struct row_used *row = mirror_find(&world->mirror, ROW_KIND_used, &key);
    return row ? (side == SIDE_SUPPLIED ? row->credits : row->debits) : 0;
}

static uint64_t idle(void)
{
    return used(uid('S', 1), SIDE_IDLE, USAGE_ENERGY);
}

/* All that was metered is on lines, on the account of what was idle, or waits; and the accounts say so. */
static void assert_whole(uint64_t metered_mj)
{
    const void **rows = mirror_sorted(&world->mirror, ROW_KIND_replica_meter);
    uint64_t told = 0, waiting = 0, lined = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_replica_meter]; i++) {
        told += ((const struct row_replica_meter *)rows[i])->energy_mj;
        waiting += ((const struct row_replica_meter *)rows[i])->waiting_mj;
    }
    free(rows);
    for (uint64_t t = 1; t <= 3; t++) {
        lined += lines(t, 0).energy_mj;
        assert_int_equal(used(uid('T', t), SIDE_USED, USAGE_ENERGY), lines(t, 0).energy_mj);
    }
    assert_int_equal(told, metered_mj);
    assert_int_equal(lined + idle() + waiting, metered_mj);
    assert_int_equal(used(uid('S', 1), SIDE_SUPPLIED, USAGE_ENERGY), metered_mj - waiting);
    assert_true(mirror_balanced(&world->mirror));
}

/* ---- sharing ---- */

static void test_idle(void **state)
{
    (void)state;
    tell_both(200, 300);
    assert_int_equal(idle(), 0); /* what each tells first waits for the next time */
    assert_whole(500);
    tell_both(700, 300);
    assert_int_equal(idle(), 0);
    tell_both(701, 400);
    assert_int_equal(idle(), 1101);
    assert_int_equal(lines(1, 0).energy_mj, 0);
    assert_whole(1101);
}

/* 1 + 5 x 1 = 6 and 12: a token of output weighs five of a prompt; the mJ left goes to the larger remainder. */
static void test_two_tenants(void **state)
{
    (void)state;
    tell_both(0, 0); /* from now on they are known to tell */
    ask(1, 1, 1);
    ask(2, 7, 1);
    tell_both(50, 50);
    assert_int_equal(lines(1, 0).energy_mj, 33);
    assert_int_equal(lines(2, 0).energy_mj, 67);
    assert_int_equal(idle(), 0);
    ask(2, 1, 0);
    tell_both(60, 60); /* what the first asked is over */
    assert_int_equal(lines(1, 0).energy_mj, 33);
    assert_int_equal(lines(2, 0).energy_mj, 87);
    assert_whole(120);
}

/* Of equal remainders the lower id comes first: 100 = 34 + 33 + 33, whoever asked first. */
static void test_equal_remainders(void **state)
{
    (void)state;
    tell_both(0, 0);
    for (uint64_t t = 3; t >= 1; t--)
        ask(t, 5, 0);
    tell_both(100, 0);
    assert_int_equal(tell(1, 0, 101), 0); /* the other one told nothing */
    assert_int_equal(lines(1, 0).energy_mj, 34);
    assert_int_equal(lines(2, 0).energy_mj, 33);
    assert_int_equal(lines(3, 0).energy_mj, 33);
    assert_whole(101);
}

static void test_two_models(void **state)
{
    (void)state;
    tell_both(0, 0);
    assert_int_equal(tell(2, 0, 0), 0);
    ask(1, 10, 0);
    ask_model(2, 1, 10, 0, 0);
    ask_model(2, 2, 30, 0, 0);
    assert_int_equal(tell(2, 0, 1000), 0);
    assert_int_equal(lines(1, 1).energy_mj, 0);
    assert_int_equal(lines(1, 2).energy_mj, 250);
    assert_int_equal(lines(2, 2).energy_mj, 750);
    tell_both(40, 2);
    assert_int_equal(lines(1, 1).energy_mj, 42);
    assert_whole(1042);
}

/* Nothing is computed for what the engine had in its cache. */
static void test_cached(void **state)
{
    (void)state;
    tell_both(0, 0);
    ask_model(1, 1, 100, 90, 0);
    ask_model(1, 2, 100, 100, 0);
    ask_model(1, 3, 30, 0, 0);
    tell_both(30, 10);
    assert_int_equal(lines(1, 0).energy_mj, 10);
    assert_int_equal(lines(2, 0).energy_mj, 0);
    assert_int_equal(lines(3, 0).energy_mj, 30);
    assert_whole(40);
}

/* One tells, and again: what it told first is not kept back for the other one. */
static void test_waits_for_all(void **state)
{
    (void)state;
    tell_both(0, 0);
    ask(1, 10, 0);
    assert_int_equal(tell(1, 0, 100), 0);
    assert_int_equal(lines(1, 0).energy_mj, 0);
    assert_whole(100);
    assert_int_equal(tell(1, 0, 150), 0);
    assert_int_equal(lines(1, 0).energy_mj, 100);
    assert_whole(150);
    ask(2, 10, 0);
    assert_int_equal(tell(1, 1, 30), 0);
    assert_int_equal(lines(2, 0).energy_mj, 80);
    assert_whole(180);
}

static void test_carbon(void **state)
{
    (void)state;
    const struct event signal = {.kind = EVENT_KIND_site_signal,
                                 .u.site_signal = {.site = uid('S', 1), .carbon = 360000, .pue = 1500}};
    tell_both(0, 0);
    assert_int_equal(step(signal), 0);
    ask(1, 10, 0);
    tell_both(60, 40);
    tell_both(61, 49);
    assert_int_equal(lines(1, 0).carbon_ng, 100 * 100 * 3 / 2); /* 360 g a kWh are 100 ng a mJ */
    assert_int_equal(used(uid('T', 1), SIDE_USED, USAGE_CARBON), 15000);
    assert_int_equal(used(uid('S', 1), SIDE_IDLE, USAGE_CARBON), 1500);
    assert_int_equal(used(uid('S', 1), SIDE_SUPPLIED, USAGE_CARBON), 16500);
    assert_whole(110);
}

static int64_t carbon_account(void)
{
    struct row_account key = {.code = ACCOUNT_CARBON, .ledger = EUR};
    const struct row_account *row = mirror_find(&world->mirror, ROW_KIND_account, &key);
    return row ? row->credits_posted - row->debits_posted : 0;
}

/* Where CO2e has a price the site pays it, out of what requests bring it from then on, never more than that; for what was idle nobody
 * asks it to. 3.6e9 mJ at 1000 g a kWh are 1 kg, 1e6 nano-units here. */
static void test_carbon_price(void **state)
{
    (void)state;
    const struct event signal = {.kind = EVENT_KIND_site_signal,
                                 .u.site_signal = {.site = uid('S', 1), .carbon = 1000000, .pue = 1000}};
    struct event price = {
        .kind = EVENT_KIND_dispatch_set,
        .u.dispatch_set = {
            .order = ORDER_SIZE, .fit = FIT_BACKFILL, .pack = PACK_BEST_FIT, .carbon_price = 1000000}};
    assert_int_equal(step(signal), 0);
    assert_int_equal(step(price), 0);
    tell_both(0, 0);
    tell_both(3600000, 1); /* idle */
    ask(1, 300, 0);
    assert_int_equal(carbon_account(), 0);
    tell_both(3600000 + 1800000, 1800000); /* 1 g: 1000 nano-units */
    assert_int_equal(carbon_account(), 0);
    ask(2, 300, 0);
    assert_int_equal(carbon_account(), 300);
    assert_int_equal(world_reload(world), 0);
    ask(3, 500, 0);
    assert_int_equal(carbon_account(), 800);
    ask(1, 1000, 0);
    assert_int_equal(carbon_account(), 1000);
    ask(1, 1000, 0);
    assert_int_equal(carbon_account(), 1000);
    assert_int_equal(balance_of(world, 1).spent, 2300);
    assert_whole(2 * 3600000);
}

/* There is room for so many keys in a pot: the others' part falls to the site. */
static void test_many_tenants(void **state)
{
    (void)state;
    struct limits limits = small_limits();
    limits.tenants = limits.keys = limits.leases = ENERGY_KEYS_MAX + 8;
    world_free(world);
    world = world_usual(&limits, BUDGET);
    assert_int_equal(do_deploy(world, 1, 1, 1), 0);
    assert_int_equal(tell(1, 0, 0), 0);
    for (uint64_t t = 1; t <= ENERGY_KEYS_MAX + 2; t++) {
        assert_int_equal(t == 1 ? 0 : do_tenant(world, t, BUDGET), 0);
        assert_int_equal(t == 1 ? 0 : do_key(world, t, t, -1), 0);
        assert_int_equal(do_ask(world, 1, t, t, t, UNIT), 0);
        ask(t, 10, 0);
        ask(t, 0, 2);
    }
    assert_int_equal(world->mirror.count[ROW_KIND_energy_weight], ENERGY_KEYS_MAX + 1);
    assert_int_equal(tell(1, 0, 100 * (ENERGY_KEYS_MAX + 2)), 0);
    assert_int_equal(lines(1, 0).energy_mj, 100);
    assert_int_equal(lines(ENERGY_KEYS_MAX, 0).energy_mj, 100);
    assert_int_equal(lines(ENERGY_KEYS_MAX + 1, 0).energy_mj, 0);
    assert_int_equal(idle(), 200);
    assert_int_equal(world->mirror.count[ROW_KIND_energy_weight], 0);
}

/* ---- reports ---- */

static void test_totals(void **state)
{
    (void)state;
    tell_both(500, 500);
    assert_int_equal(step(report(1, 0, 500)), 0); /* again */
    world_assert_untouched(world);
    assert_int_equal(step(report(1, 0, 400)), 0); /* late */
    world_assert_untouched(world);
    struct event e = report(1, 0, 30);
    e.u.replica_meter.run = 2; /* an agent of before knew of 500, this one begins anew */
    assert_int_equal(step(e), 0);
    e.u.replica_meter.run = 1;
    e.u.replica_meter.energy_mj = 600;
    assert_int_equal(step(e), 0); /* of the one before nothing is heard any more */
    world_assert_untouched(world);
    assert_whole(1030);
    const struct row_replica_meter *row =
        mirror_find(&world->mirror, ROW_KIND_replica_meter, &e.u.replica_meter);
    assert_non_null(row);
    assert_int_equal(row->energy_mj, 530);
    assert_int_equal(row->run_mj, 30);
}

static void test_refused(void **state)
{
    (void)state;
    struct event e = report(1, 0, 10);
    e.u.replica_meter.run = 0;
    assert_int_equal(step(e), ERR_INVALID);
    e = report(1, 0, 10);
    e.u.replica_meter.flags = JOB_METER_TRUNCATED;
    assert_int_equal(step(e), ERR_INVALID);
    /* 16 chips of 100 kW, for a minute and what clocks may differ by. */
    assert_int_equal(step(report(1, 0, UINT64_C(16) * 100000 * (60 + 60 + 2) * SECOND)), ERR_INVALID);
    assert_int_equal(step(report(1, 0, UINT64_MAX)), ERR_INVALID);
    assert_int_equal(step(report(1, 2, 10)), ERR_NOT_FOUND);
    assert_int_equal(step(report(9, 0, 10)), ERR_NOT_FOUND);
    e = report(1, 0, 10);
    e.u.replica_meter.epoch = 2;
    assert_int_equal(step(e), ERR_NOT_FOUND);
    e = report(1, 0, 10);
    e.u.replica_meter.site = uid('S', 2);
    assert_int_equal(step(e), ERR_FORBIDDEN);
    e.u.replica_meter.site = uid('S', 1);
    assert_int_equal(step(e), 0);
    assert_int_equal(tell(1, 1, 0), 0);
    assert_whole(10);
}

/* Weights of tokens are not kept where nobody tells what was drawn. */
static void test_not_metered(void **state)
{
    (void)state;
    ask(1, 10, 10);
    assert_int_equal(world->mirror.count[ROW_KIND_energy_weight], 0);
    tell_both(10, 10);
    tell_both(20, 20);
    assert_int_equal(idle(), 40);
}

static void end_of(uint64_t deployment, uint32_t ordinal)
{
    assert_int_equal(do_replica(world, deployment, ordinal, 1, REPLICA_STOPPED), 0);
    assert_int_equal(core_check(world->core), 0);
}

/* What the replica drew last comes when it is over; it is theirs who asked before. */
static void test_after_the_end(void **state)
{
    (void)state;
    assert_int_equal(tell(2, 0, 0), 0);
    ask_model(2, 1, 10, 0, 0);
    assert_int_equal(do_undeploy(world, 2), 0);
    end_of(2, 0);
    assert_int_equal(world_reload(world), 0);
    struct event e = report(2, 0, 77);
    e.u.replica_meter.flags = JOB_METER_FINAL | JOB_METER_ESTIMATED;
    assert_int_equal(step(e), 0);
    assert_int_equal(lines(1, 2).energy_mj, 77);
    assert_int_equal(step(e), ERR_NOT_FOUND);
    const struct row_replica_meter *row =
        mirror_find(&world->mirror, ROW_KIND_replica_meter, &e.u.replica_meter);
    assert_int_equal(row->state, JOB_USAGE_CLOSED);
    assert_int_equal(row->flags, JOB_METER_FINAL | JOB_METER_ESTIMATED);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(step(e), ERR_NOT_FOUND);
    assert_whole(77);
}

/* The last figures first, then the end; and the other one need not be waited for any more. */
static void test_final_before_the_end(void **state)
{
    (void)state;
    tell_both(0, 0);
    assert_int_equal(do_undeploy(world, 1), 0);
    ask(1, 10, 0);
    struct event e = report(1, 1, 40);
    e.u.replica_meter.flags = JOB_METER_FINAL;
    assert_int_equal(step(e), 0);
    e.u.replica_meter.energy_mj = 50; /* there was to be no more */
    assert_int_equal(step(e), 0);
    world_assert_untouched(world);
    end_of(1, 1);
    assert_int_equal(lines(1, 0).energy_mj, 40); /* as it is closed */
    ask(2, 10, 0);
    assert_int_equal(tell(1, 0, 10), 0);
    assert_int_equal(lines(2, 0).energy_mj, 10);
    end_of(1, 0);
    assert_int_equal(tell(1, 0, 15), 0);
    assert_int_equal(idle(), 5);
    assert_whole(55);
}

/* With the hub's process went those of its own machine: nobody will tell more, and what they told is not lost. */
static void test_boot(void **state)
{
    (void)state;
    tell_both(0, 0);
    ask(1, 10, 0);
    assert_int_equal(tell(1, 0, 25), 0);
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(core_check(world->core), 0);
    assert_int_equal(lines(1, 0).energy_mj, 25);
    assert_int_equal(step(report(1, 0, 30)), ERR_NOT_FOUND);
    struct event e = report(1, 0, 5);
    e.u.replica_meter.epoch = 2;
    assert_int_equal(step(e), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(idle(), 0);
    e.u.replica_meter.energy_mj = 8;
    assert_int_equal(step(e), 0);
    assert_int_equal(idle(), 8);
    assert_whole(33);
}

/* Of those that are over so many may still tell; the one that has waited longest does no more. */
static void test_too_many_over(void **state)
{
    (void)state;
    for (uint64_t d = 10; d < 10 + ENERGY_OVER_MAX + 2; d++) {
        assert_int_equal(do_undeploy(world, d == 10 ? 2 : d - 1), 0);
        if (d > 10) {
            assert_int_equal(tell(d - 1, 0, 1), 0);
            end_of(d - 1, 0);
        } else {
            end_of(2, 0);
        }
        assert_int_equal(do_deploy(world, d, 2, 1), 0);
    }
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(tell(10, 0, 2), ERR_NOT_FOUND);
    assert_int_equal(tell(11, 0, 2), 0);
    assert_int_equal(tell(ENERGY_OVER_MAX + 10, 0, 2), 0);
    assert_whole(ENERGY_OVER_MAX + 1 + 2);
}

/* ---- reload ---- */

static uint64_t story(bool with)
{
    world_free(world);
    begin();
    reloads = with;
    tell_both(3, 4);
    for (uint32_t i = 1; i < 40; i++) {
        ask_model(1 + i % 2, 1 + i % 3, 3 * i, i, i % 7);
        if (i % 4 == 0)
            assert_int_equal(tell(1 + i % 8 / 4, 0, 100 * i), 0);
        if (i % 5 == 0)
            assert_int_equal(tell(1, 1, 70 * i), 0);
    }
    return mirror_digest(&world->mirror);
}

static void test_reload(void **state)
{
    (void)state;
    uint64_t plain = story(false);
    assert_true(story(true) == plain);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_idle),          TEST(test_two_tenants),  TEST(test_equal_remainders),
        TEST(test_two_models),    TEST(test_cached),       TEST(test_waits_for_all),
        TEST(test_carbon),        TEST(test_carbon_price), TEST(test_many_tenants),
        TEST(test_totals),        TEST(test_refused),      TEST(test_not_metered),
        TEST(test_after_the_end), TEST(test_boot),         TEST(test_final_before_the_end),
        TEST(test_too_many_over), TEST(test_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
