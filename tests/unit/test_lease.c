/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: sizes, waiting in order, the 5 s deadline, recall, revocation, boot. */
#include "support.h"

/* The reply to event number `token`, which must be among the effects of the last step. */
static void answered(const struct world *w, uint64_t token, int code, int64_t amount)
{
    const struct effect *reply = world_reply(w, token);
    assert_non_null(reply);
    assert_int_equal(reply->code, code);
    assert_true(reply->amount == amount);
}

static int64_t granted(const struct world *w)
{
    const struct effect *reply = world_reply(w, w->token);
    return reply && reply->code == 0 ? reply->amount : -1;
}

static void test_sizes(void **state)
{
    (void)state;
    /* Two workers: a share is 1/16 of what is available, at most 256 asks, and worth at least 4 of them. */
    struct world *w = world_usual(NULL, 1600000);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 100), 0);
    assert_true(granted(w) == 25600); /* 256 asks, less than 100,000 */
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 10000), 0);
    assert_true(granted(w) == (1600000 - 25600) / 16);
    assert_int_equal(do_ask(w, 1, 3, 1, 1, 90000), 0);
    assert_true(granted(w) == 90000); /* a share of one ask is not worth more */
    assert_int_equal(do_ask(w, 1, 4, 1, 1, 1), 0);
    assert_true(granted(w) == 256);
    struct view_balance b = balance_of(w, 1);
    assert_true(b.held == 25600 + 98400 + 90000 + 256 && b.spent == 0);
    assert_int_equal(view_counts(w->core).leases, 4);
    assert_true(view_counts(w->core).held == b.held);
    world_free(w);
}

static void test_share_by_workers(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1600000);
    for (uint64_t i = 3; i <= 16; i++)
        assert_int_equal(do_worker(w, i), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 3000), 0);
    assert_true(granted(w) == 1600000 / (8 * 16));
    assert_int_equal(do_ask(w, 1, 2, 1, 1, MONEY_MAX), ERR_BUDGET_SPENT);
    world_free(w);
}

static void test_ask_errors(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_tenant(w, 2, 1000), 0);
    assert_int_equal(do_key(w, 2, 2, -1), 0);
    assert_int_equal(do_key(w, 3, 1, 100), 0);
    assert_int_equal(do_ask(w, 9, 1, 1, 1, 10), ERR_NOT_FOUND); /* worker */
    world_assert_untouched(w);
    assert_int_equal(do_ask(w, 1, 1, 9, 1, 10), ERR_NOT_FOUND); /* tenant */
    assert_int_equal(do_ask(w, 1, 1, 1, 9, 10), ERR_NOT_FOUND); /* key */
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 10), ERR_FORBIDDEN); /* key of another tenant */
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 0), ERR_OVERFLOW);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, -1), ERR_OVERFLOW);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, MONEY_MAX + 1), ERR_OVERFLOW);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 1001), ERR_BUDGET_SPENT);
    assert_int_equal(do_ask(w, 1, 1, 1, 3, 101), ERR_BUDGET_SPENT); /* the key's own limit */
    world_assert_untouched(w);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 10), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 10), ERR_EXISTS);
    world_assert_untouched(w);
    struct event e = {
        .kind = EVENT_KIND_lease_ask,
        .u.lease_ask = {.worker = uid('W', 1), .tenant = uid('T', 1), .key = uid('K', 3), .want = 1}};
    struct event bad = e; /* no id */
    assert_int_equal(world_step(w, &bad), ERR_INVALID);
    bad = e;
    bad.u.lease_ask.lease = uid('L', 5); /* no id for the hold on the key's limit */
    assert_int_equal(world_step(w, &bad), ERR_INVALID);
    bad = e;
    bad.u.lease_ask.lease = bad.u.lease_ask.key_lease = uid('L', 5);
    assert_int_equal(world_step(w, &bad), ERR_INVALID);
    bad = e;
    bad.u.lease_ask.lease = uid('L', 5);
    bad.u.lease_ask.key_lease = uid('L', 1); /* a hold that is there */
    assert_int_equal(world_step(w, &bad), ERR_EXISTS);
    world_assert_untouched(w);
    assert_int_equal(core_check(w->core), 0);
    assert_int_equal(do_revoke(w, 1), 0);
    assert_int_equal(do_ask(w, 1, 6, 1, 1, 10), ERR_FORBIDDEN);
    world_free(w);
}

static void test_return(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 100), 0);
    int64_t held = granted(w);
    assert_int_equal(do_return(w, 2, 1, 10, false), ERR_NOT_FOUND); /* not its lease */
    assert_int_equal(do_return(w, 1, 2, 10, false), ERR_NOT_FOUND);
    assert_int_equal(do_return(w, 1, 1, -1, false), ERR_OVERFLOW);
    assert_int_equal(do_return(w, 1, 1, held + 1, false), ERR_OVERFLOW);
    world_assert_untouched(w);
    assert_int_equal(do_return(w, 1, 1, 30, false), 0);
    assert_true(balance_of(w, 1).held == held - 30);
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    assert_true(balance_of(w, 1).held == 0);
    assert_int_equal(w->ops[ROW_KIND_lease][ROW_DELETE], 1);
    assert_int_equal(do_return(w, 1, 1, 0, true), ERR_NOT_FOUND);
    /* Posted in part: the rest is void, the part stays spent. */
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 100), 0);
    assert_int_equal(do_meter(w, 1, 1, 2, 1, 1, 40), 0);
    assert_int_equal(do_return(w, 1, 2, 0, true), 0);
    struct view_balance b = balance_of(w, 1);
    assert_true(b.held == 0 && b.spent == 40);
    struct row_transfer key = {.id = uid('L', 2)};
    const struct row_transfer *row = mirror_find(&w->mirror, ROW_KIND_transfer, &key);
    assert_true(row && row->state == TRANSFER_POSTED && row->posted == 40 &&
                row->posted + row->voided == row->amount);
    key.id = uid('L', 1);
    row = mirror_find(&w->mirror, ROW_KIND_transfer, &key);
    assert_true(row && row->state == TRANSFER_VOIDED && row->voided == row->amount);
    world_free(w);
}

/* Lease 1 holds 600 of 1000, so an ask for 500 waits. */
static struct world *world_exhausted(uint64_t *waiting)
{
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 600), 0);
    assert_true(granted(w) == 600);
    assert_int_equal(do_ask(w, 2, 2, 1, 1, 500), 0);
    assert_null(world_reply(w, w->token));
    *waiting = w->token;
    return w;
}

static void test_recall_and_grant(void **state)
{
    (void)state;
    uint64_t waiting;
    struct world *w = world_exhausted(&waiting);
    assert_int_equal(world_count(w, EFFECT_RECALL), 1);
    struct uuid lease = uid('L', 1), worker = uid('W', 1);
    assert_true(uuid_eq(&w->list[0].lease, &lease) && uuid_eq(&w->list[0].worker, &worker));
    assert_true(core_deadline_ms(w->core) == w->now + HOLD_WAIT_MS);
    assert_int_equal(view_counts(w->core).waiters, 1);
    uint32_t pos = 0;
    assert_true(view_waiting_at(w->core, &pos) == waiting);
    assert_true(view_waiting_at(w->core, &pos) == 0);
    assert_int_equal(do_ask(w, 2, 3, 1, 1, 500), 0); /* a lease is recalled once */
    assert_int_equal(world_count(w, EFFECT_RECALL), 0);
    assert_int_equal(do_return(w, 1, 1, 99, false), 0); /* 499 free */
    assert_null(world_reply(w, waiting));
    assert_int_equal(do_return(w, 1, 1, 1, false), 0);
    answered(w, waiting, 0, 500); /* exactly the ask, no share */
    assert_null(world_reply(w, waiting + 1));
    assert_int_equal(view_counts(w->core).waiters, 1);
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    answered(w, waiting + 1, 0, 500);
    assert_true(balance_of(w, 1).held == 1000);
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    world_free(w);
}

/* First come, first served: a small ask does not pass a large one. */
static void test_waiters_in_order(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    assert_int_equal(do_ask(w, 2, 3, 1, 1, 1), 0); /* 400 are free, but somebody waits */
    uint64_t second = w->token;
    assert_null(world_reply(w, second));
    assert_int_equal(do_ask(w, 2, 4, 1, 1, 300), 0);
    uint64_t third = w->token;
    assert_int_equal(do_return(w, 1, 1, 99, false), 0); /* 499 free: the second would fit */
    assert_int_equal(w->effects.n, 1);
    assert_int_equal(do_return(w, 1, 1, 101, false), 0); /* 600 free */
    answered(w, head, 0, 500);
    answered(w, second, 0, 1);
    assert_null(world_reply(w, third));
    assert_int_equal(do_return(w, 1, 1, 400, false), 0);
    answered(w, third, 0, 300);
    world_free(w);
}

static void test_deadline(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    w->now += 1000;
    assert_int_equal(do_ask(w, 2, 3, 1, 1, 300), 0);
    uint64_t second = w->token;
    w->now += HOLD_WAIT_MS - 1001;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(w->effects.n, 1); /* its own reply: not yet */
    w->now += 1;
    assert_int_equal(do_tick(w), 0);
    answered(w, head, ERR_BUDGET_HELD, 0);
    answered(w, second, 0, 300); /* what the head had blocked */
    assert_int_equal(view_counts(w->core).waiters, 0);
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(w->effects.n, 1);
    world_free(w);
}

/* What is posted while an ask waits may make it hopeless: then it hears so at once, and the next one is served. */
static void test_spent_while_waiting(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    assert_int_equal(do_ask(w, 2, 3, 1, 1, 400), 0);
    uint64_t second = w->token;
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 501), 0);
    answered(w, head, ERR_BUDGET_SPENT, budget_refusal(BUDGET_TENANT, BUDGET_EVER, 0));
    answered(w, second, 0, 400);
    assert_int_equal(do_ask(w, 2, 4, 1, 1, 500), ERR_BUDGET_SPENT);
    world_free(w);
}

static void test_budget_raise_serves(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    assert_int_equal(do_budget(w, 1, 1100), 0);
    answered(w, head, 0, 500);
    world_free(w);
    w = world_exhausted(&head);
    assert_int_equal(do_return(w, 1, 1, 50, false), 0); /* 550 held */
    assert_int_equal(do_ask(w, 2, 3, 1, 1, 1000), 0);
    uint64_t second = w->token;
    assert_int_equal(do_budget(w, 1, 900), 0);
    assert_null(world_reply(w, head));
    answered(w, second, ERR_BUDGET_SPENT,
             budget_refusal(BUDGET_TENANT, BUDGET_EVER, 0)); /* behind a blocked head, yet hopeless now */
    world_free(w);
}

static void test_revoke(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    assert_int_equal(do_key(w, 2, 1, -1), 0);
    assert_int_equal(do_ask(w, 2, 3, 1, 2, 300), 0);
    uint64_t other = w->token;
    assert_int_equal(do_revoke(w, 1), 0);
    answered(w, head, ERR_UNAUTHENTICATED, 0);
    answered(w, other, 0, 300); /* it fitted all along, behind the one that is gone */
    assert_int_equal(view_counts(w->core).waiters, 0);
    assert_int_equal(do_revoke(w, 1), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 10), 0); /* what was used before is billed */
    world_free(w);
}

static void test_key_limit(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 100000);
    assert_int_equal(do_key(w, 2, 1, 1000), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 15), 0);
    assert_true(granted(w) == 1000 / 16); /* a share of the lesser purse */
    struct uuid key = uid('K', 2);
    struct view_balance b = view_key_balance(w->core, &key);
    assert_true(b.budget == 1000 && b.held == 62 && b.spent == 0);
    assert_true(balance_of(w, 1).held == 62);
    assert_int_equal(do_ask(w, 1, 2, 1, 2, 938), 0);
    assert_int_equal(do_ask(w, 1, 3, 1, 2, 938), 0); /* 1000 unspent: waits */
    uint64_t waiting = w->token;
    assert_null(world_reply(w, waiting));
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 2, 40), 0);
    b = view_key_balance(w->core, &key);
    assert_true(b.spent == 40 && b.held == 22 + 938);
    assert_int_equal(do_meter(w, 1, 2, 1, 1, 2, 22), 0);
    assert_null(world_reply(w, waiting)); /* 938 unspent, all of them held */
    assert_int_equal(do_return(w, 1, 2, 0, true), 0);
    answered(w, waiting, 0, 938);
    struct uuid own = uid('l', 3);
    struct row_transfer row = {.id = own};
    const struct row_transfer *hold = mirror_find(&w->mirror, ROW_KIND_transfer, &row);
    assert_true(hold && hold->ledger == LEDGER_CONTROL + EUR && hold->amount == 938);
    struct uuid free_key = uid('K', 1);
    b = view_key_balance(w->core, &free_key);
    assert_true(b.budget == 0 && b.held == 0 && b.spent == 0);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

/* A key that waits for its own limit is in nobody's way: the tenant's money is there. */
static void test_key_limit_blocks_nobody(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 100000);
    assert_int_equal(do_key(w, 2, 1, 1000), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 900), 0);
    assert_int_equal(do_ask(w, 1, 2, 1, 2, 500), 0); /* 100 of the key's 1000 are free: waits */
    uint64_t waiting = w->token;
    assert_null(world_reply(w, waiting));
    assert_int_equal(do_ask(w, 1, 3, 1, 1, 700), 0);
    assert_true(granted(w) >= 700);
    assert_int_equal(do_return(w, 1, 1, 400, false), 0);
    answered(w, waiting, 0, 500);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

static void test_waiters_fill(void **state)
{
    (void)state;
    uint64_t head;
    struct world *w = world_exhausted(&head);
    for (uint64_t i = 1; i < w->limits.waiters; i++)
        assert_int_equal(do_ask(w, 2, 100 + i, 1, 1, 500), 0);
    assert_int_equal(do_ask(w, 2, 999, 1, 1, 500), ERR_BUDGET_HELD);
    world_assert_untouched(w);
    w->now += HOLD_WAIT_MS;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_REPLY), w->limits.waiters + 1);
    for (uint32_t i = 0; i + 1 < w->effects.n; i++)
        assert_int_equal(w->list[i].code, ERR_BUDGET_HELD);
    world_free(w);
}

/* A lease that ended in this batch keeps its place until the batch is collected. */
static void test_leases_fill(void **state)
{
    (void)state;
    struct limits n = small_limits();
    n.leases = 4;
    struct world *w = world_usual(&n, 1000);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(do_ask(w, 1, i, 1, 1, 100), 0);
    assert_int_equal(do_ask(w, 1, 5, 1, 1, 100), ERR_LIMIT);
    world_assert_untouched(w);
    w->batching = true;
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    assert_int_equal(do_ask(w, 1, 5, 1, 1, 100), ERR_LIMIT);
    world_collect(w);
    assert_int_equal(do_ask(w, 1, 5, 1, 1, 100), 0);
    world_collect(w);
    assert_int_equal(core_check(w->core), 0);
    /* A waiter that meets the limit is told. */
    assert_int_equal(do_ask(w, 1, 6, 1, 1, 700), 0);
    uint64_t waiting = w->token;
    assert_null(world_reply(w, waiting));
    assert_int_equal(do_return(w, 1, 2, 100, false), 0);
    answered(w, waiting, ERR_LIMIT, 0);
    world_collect(w);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

/* More leases than a step may have effects: some are recalled now, the rest by the next ask. */
static void test_recall_is_bounded(void **state)
{
    (void)state;
    struct limits n = small_limits();
    n.leases = EFFECTS_MAX + 100;
    struct world *w = world_usual(&n, n.leases);
    for (uint64_t i = 1; i <= n.leases; i++) {
        assert_int_equal(do_ask(w, 1, i, 1, 1, 1), 0);
        if (granted(w) > 1)
            assert_int_equal(do_return(w, 1, i, granted(w) - 1, false), 0);
    }
    assert_int_equal(do_ask(w, 1, n.leases + 1, 1, 1, 1), 0);
    uint32_t first = world_count(w, EFFECT_RECALL);
    assert_in_range(first, EFFECTS_MAX / 2, EFFECTS_MAX - 1);
    assert_int_equal(do_ask(w, 1, n.leases + 2, 1, 1, 1), 0);
    assert_int_equal(first + world_count(w, EFFECT_RECALL), n.leases);
    world_free(w);
}

static void test_boot_voids(void **state)
{
    (void)state;
    uint64_t waiting;
    struct world *w = world_exhausted(&waiting);
    assert_int_equal(do_key(w, 2, 1, 300), 0);
    assert_int_equal(do_meter(w, 1, 7, 1, 1, 1, 100), 0);
    assert_int_equal(do_boot(w, 2), 0);
    struct view_balance b = balance_of(w, 1);
    assert_true(b.held == 0 && b.spent == 100);
    struct view_counts n = view_counts(w->core);
    assert_int_equal(n.leases + n.waiters + n.workers, 0);
    assert_int_equal(w->mirror.count[ROW_KIND_lease] + w->mirror.count[ROW_KIND_worker], 0);
    assert_int_equal(core_check(w->core), 0);
    assert_int_equal(do_meter(w, 1, 8, 1, 1, 1, 1), ERR_NOT_FOUND); /* the worker is of the time before */
    assert_int_equal(do_worker(w, 3), 0);
    assert_int_equal(do_meter(w, 3, 1, 1, 1, 1, 1), ERR_NOT_FOUND); /* so is the lease */
    assert_int_equal(do_ask(w, 3, 9, 1, 2, 300), 0);
    w->now += 60000;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(w->effects.n, 1); /* nobody is left who waited before the boot */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_share_by_workers),
        cmocka_unit_test(test_ask_errors),
        cmocka_unit_test(test_return),
        cmocka_unit_test(test_recall_and_grant),
        cmocka_unit_test(test_waiters_in_order),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_spent_while_waiting),
        cmocka_unit_test(test_budget_raise_serves),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_key_limit),
        cmocka_unit_test(test_key_limit_blocks_nobody),
        cmocka_unit_test(test_waiters_fill),
        cmocka_unit_test(test_leases_fill),
        cmocka_unit_test(test_recall_is_bounded),
        cmocka_unit_test(test_boot_voids),
    };
    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
