/* SPDX-License-Identifier: Apache-2.0 */
/* Metering: each record once, under its own lease, at the price of its admission; and what is refused. */
#include "support.h"

static struct world *metering(int64_t want)
{
    struct world *w = world_usual(NULL, 100000);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, want), 0);
    return w;
}

static void refused(struct world *w, struct event e, int code)
{
    uint64_t before = mirror_digest(&w->mirror);
    assert_int_equal(world_step(w, &e), code);
    const struct effect *reply = world_reply(w, e.token);
    assert_true(reply && reply->code == code && reply->amount == 0);
    assert_int_equal(w->effects.n, 1);
    world_assert_untouched(w);
    assert_true(mirror_digest(&w->mirror) == before);
    assert_int_equal(core_check(w->core), 0);
}

static void test_once(void **state)
{
    (void)state;
    struct world *w = metering(20000);
    struct event e = meter_event(1, 5, 1, 1, 1, 300);
    e.u.meter.completion = 50;
    e.u.meter.cached = 100;
    assert_int_equal(world_step(w, &e), 0);
    const struct effect *reply = world_reply(w, w->token);
    assert_true(reply && reply->amount == 200 + 50 + 100);
    assert_true(balance_of(w, 1).spent == 350);
    refused(w, meter_event(1, 5, 1, 1, 1, 300), ERR_DUPLICATE);
    refused(w, meter_event(1, 4, 1, 1, 1, 300), ERR_DUPLICATE);
    refused(w, meter_event(1, 0, 1, 1, 1, 300), ERR_DUPLICATE);
    assert_int_equal(do_meter(w, 1, 7, 1, 1, 1, 1), 0); /* a gap is no harm */
    refused(w, meter_event(1, 6, 1, 1, 1, 1), ERR_DUPLICATE);
    assert_int_equal(do_ask(w, 2, 2, 1, 1, 10), 0);
    assert_int_equal(do_meter(w, 2, 5, 2, 1, 1, 1), 0); /* sequences are of each worker */
    assert_true(balance_of(w, 1).spent == 352);
    world_free(w);
}

static void test_refusals(void **state)
{
    (void)state;
    struct world *w = metering(20000);
    assert_int_equal(do_tenant(w, 2, 1000), 0);
    assert_int_equal(do_key(w, 2, 2, -1), 0);
    assert_int_equal(do_ask(w, 2, 2, 2, 2, 10), 0);
    assert_int_equal(do_model(w, 2), 0);
    assert_int_equal(do_price(w, 2, 2, 1, 1), 0);
    refused(w, meter_event(9, 1, 1, 1, 1, 1), ERR_NOT_FOUND);
    refused(w, meter_event(1, 1, 1, 1, 9, 1), ERR_NOT_FOUND);
    refused(w, meter_event(1, 1, 1, 1, 2, 1), ERR_FORBIDDEN); /* key of another tenant */
    refused(w, meter_event(1, 1, 1, 2, 1, 1), ERR_FORBIDDEN);
    refused(w, meter_event(1, 1, 9, 1, 1, 1), ERR_NOT_FOUND); /* no such lease */
    refused(w, meter_event(2, 1, 1, 1, 1, 1), ERR_NOT_FOUND); /* another worker's lease */
    refused(w, meter_event(1, 1, 2, 1, 1, 1), ERR_NOT_FOUND);
    refused(w, meter_event(2, 1, 2, 1, 1, 1), ERR_NOT_FOUND);    /* another tenant's lease */
    refused(w, meter_event(1, 1, 1, 1, 1, 20001), ERR_OVERFLOW); /* above the hold */
    struct event e = meter_event(1, 1, 1, 1, 1, 1);
    e.u.meter.price = uid('P', 2); /* of another model */
    refused(w, e, ERR_INVALID);
    e.u.meter.price = uid('P', 9);
    refused(w, e, ERR_NOT_FOUND);
    e = meter_event(1, 1, 1, 1, 1, 10);
    e.u.meter.cached = 11;
    refused(w, e, ERR_INVALID);
    e = meter_event(1, 1, 1, 1, 1, 10);
    e.u.meter.reasoning = 1;
    refused(w, e, ERR_INVALID);
    refused(w, meter_event(1, 1, 1, 1, 1, TOKENS_PER_METER_MAX + 1), ERR_OVERFLOW);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 20000), 0);
    refused(w, meter_event(1, 2, 1, 1, 1, 1), ERR_OVERFLOW); /* used up */
    world_free(w);
}

/* A request is billed at the price that it was admitted under, even after that changed or the model is gone. */
static void test_price_versions(void **state)
{
    (void)state;
    struct world *w = metering(20000);
    assert_int_equal(do_price(w, 2, 1, 7000000, 0), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 10), 0);
    assert_true(balance_of(w, 1).spent == 10);
    struct event e = meter_event(1, 2, 1, 1, 1, 10);
    e.u.meter.price = uid('P', 2);
    assert_int_equal(world_step(w, &e), 0);
    assert_true(balance_of(w, 1).spent == 80);
    assert_int_equal(do_model_remove(w, 1), 0);
    assert_int_equal(do_meter(w, 1, 3, 1, 1, 1, 10), 0);
    assert_true(balance_of(w, 1).spent == 90);
    world_free(w);
}

static void test_free_of_charge(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 0);
    struct event e = meter_event(1, 1, 0, 1, 1, 100);
    e.u.meter.lease = (struct uuid){{0}};
    e.u.meter.price = (struct uuid){{0}}; /* a model without a price costs nothing and needs no lease */
    assert_int_equal(world_step(w, &e), 0);
    const struct effect *reply = world_reply(w, e.token);
    assert_true(reply && reply->code == 0 && reply->amount == 0);
    struct row_usage key = {.tenant = uid('T', 1), .key = uid('K', 1), .model = uid('M', 1)};
    key.hour = (uint64_t)(w->now / 3600000);
    const struct row_usage *row = mirror_find(&w->mirror, ROW_KIND_usage, &key);
    assert_true(row && row->requests == 1 && row->prompt == 100 && row->cost == 0);
    e.token = 0;
    refused(w, e, ERR_DUPLICATE); /* and is recorded once all the same */
    world_free(w);
}

static void test_key_limits(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 100000);
    assert_int_equal(do_key(w, 2, 1, 500), 0);
    assert_int_equal(do_key(w, 3, 1, 500), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 100), 0);
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 100), 0);
    refused(w, meter_event(1, 1, 1, 1, 3, 1), ERR_FORBIDDEN); /* a limited key draws on its own lease only */
    refused(w, meter_event(1, 1, 2, 1, 3, 1), ERR_FORBIDDEN);
    refused(w, meter_event(1, 1, 1, 1, 1, 1), ERR_FORBIDDEN); /* nor may another use that */
    assert_int_equal(do_key(w, 4, 1, -1), 0);
    assert_int_equal(do_meter(w, 1, 1, 2, 1, 4, 5), 0); /* keys without limits share */
    assert_int_equal(do_meter(w, 1, 2, 1, 1, 2, 60), 0);
    struct uuid key = uid('K', 2);
    struct view_balance b = view_key_balance(w->core, &key);
    assert_true(b.budget == 500 && b.spent == 60 && b.held == 40);
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    b = view_key_balance(w->core, &key);
    assert_true(b.spent == 60 && b.held == 0);
    assert_int_equal(do_ask(w, 1, 3, 1, 2, 441), ERR_BUDGET_SPENT);
    assert_int_equal(do_ask(w, 1, 3, 1, 2, 440), 0);
    world_free(w);
}

static void test_usage_sums(void **state)
{
    (void)state;
    struct world *w = metering(20000);
    w->batching = true;
    for (uint64_t i = 1; i <= 10; i++) {
        struct event e = meter_event(1, i, 1, 1, 1, 100);
        e.u.meter.completion = 10;
        e.u.meter.flags = i % 5 == 0 ? METER_FINAL : METER_START;
        if (i > 8)
            e.at_ms = w->now + 3600000;
        assert_int_equal(world_step(w, &e), 0);
    }
    world_collect(w);
    assert_int_equal(w->ops[ROW_KIND_usage][ROW_ADD], 2); /* one a cell of the batch */
    struct row_usage key = {.tenant = uid('T', 1), .key = uid('K', 1), .model = uid('M', 1)};
    key.hour = (uint64_t)(w->now / 3600000);
    const struct row_usage *row = mirror_find(&w->mirror, ROW_KIND_usage, &key);
    assert_true(row && row->requests == 1 && row->prompt == 800 && row->completion == 80 && row->cost == 960);
    assert_int_equal(do_meter(w, 1, 11, 1, 1, 1, 1), 0);
    world_collect(w);
    row = mirror_find(&w->mirror, ROW_KIND_usage, &key);
    assert_true(row && row->requests == 2 && row->prompt == 801 && row->cost == 961);
    world_free(w);
}

/* Rounding gathers; when whole nano-units are there they move between revenue and the rounding account. */
static void test_rounding(void **state)
{
    (void)state;
    struct world *w = metering(20000);
    assert_int_equal(do_price(w, 2, 1, 300000, 0), 0); /* 0.3 a token */
    for (uint64_t i = 1; i <= 10; i++) {
        struct event e = meter_event(1, i, 1, 1, 1, 1);
        e.u.meter.price = uid('P', 2);
        assert_int_equal(world_step(w, &e), 0); /* free by rounding, so the lease is not touched */
    }
    assert_true(balance_of(w, 1).spent == 0);
    for (uint64_t i = 11; i <= 20; i++) {
        struct event e = meter_event(1, i, 1, 1, 1, 2);
        e.u.meter.price = uid('P', 2);
        assert_int_equal(world_step(w, &e), 0); /* 0.6 -> 1, residue 0.4 each */
    }
    assert_true(balance_of(w, 1).spent == 10);
    struct row_account key = {.code = ACCOUNT_ROUNDING, .ledger = EUR};
    const struct row_account *rounding = mirror_find(&w->mirror, ROW_KIND_account, &key);
    assert_non_null(rounding);
    assert_true((rounding->credits_posted - rounding->debits_posted) * 1000000 + rounding->residue ==
                4000000);
    assert_true(rounding->credits_posted == 4 && rounding->residue == 0);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

static void test_workers(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct event e = {.kind = EVENT_KIND_worker_join};
    assert_int_equal(world_step(w, &e), ERR_INVALID);
    for (uint64_t i = 1; i <= w->limits.workers; i++)
        assert_int_equal(do_worker(w, i), 0);
    assert_int_equal(do_worker(w, 1), ERR_EXISTS);
    world_assert_untouched(w);
    assert_int_equal(do_worker(w, 99), ERR_LIMIT);
    world_assert_untouched(w);
    /* In one batch: all are dropped by a boot, and one that had a name before comes back. */
    w->batching = true;
    assert_int_equal(do_boot(w, 5), 0);
    assert_int_equal(do_worker(w, 1), ERR_LIMIT);
    world_collect(w);
    assert_int_equal(do_worker(w, 1), 0);
    assert_int_equal(do_boot(w, 6), 0);
    assert_int_equal(do_worker(w, 1), 0);
    world_collect(w);
    assert_int_equal(w->mirror.count[ROW_KIND_worker], 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_price_versions), cmocka_unit_test(test_free_of_charge),
        cmocka_unit_test(test_key_limits),     cmocka_unit_test(test_usage_sums),
        cmocka_unit_test(test_rounding),       cmocka_unit_test(test_workers),
    };
    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
