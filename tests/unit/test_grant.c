/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: holds on them, conditions, order, what is left goes back. */
#include "dispatch_support.h"

#define BUDGET 100000
#define DAY INT64_C(86400000)

static struct world *world;

static int setup(void **state)
{
    world = world_usual(NULL, BUDGET);
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add = {.party = uid('O', 1), .name = "fund"}};
    assert_int_equal(world_step(world, &e), 0);
    *state = &world;
    return 0;
}

static struct event grant_event(uint64_t grant, int64_t amount, int64_t expires_ms)
{
    return (struct event){.kind = EVENT_KIND_grant_add,
                          .u.grant_add = {.grant = uid('G', grant),
                                          .tenant = uid('T', 1),
                                          .sponsor = uid('O', 1),
                                          .amount = amount,
                                          .expires_ms = expires_ms,
                                          .transfer = uid('g', grant)}};
}

static int step(struct event e)
{
    return world_try(world, e);
}

static int grant(uint64_t id, int64_t amount, int64_t expires_ms)
{
    return step(grant_event(id, amount, expires_ms));
}

static struct row_account account(struct uuid owner, enum account_code code)
{
    const struct row_account *row = view_account(world->core, &owner, code, EUR);
    return row ? *row : (struct row_account){0};
}

/* What is left of a grant, and what of that is held. */
static int64_t left(uint64_t id)
{
    struct row_account a = account(uid('G', id), ACCOUNT_GRANT);
    return a.credits_posted - a.debits_posted;
}

static int64_t held(uint64_t id)
{
    return account(uid('G', id), ACCOUNT_GRANT).debits_pending;
}

/* What the sponsor has given and not got back. */
static int64_t given(void)
{
    struct row_account a = account(uid('O', 1), ACCOUNT_SPONSOR);
    return a.debits_posted - a.credits_posted;
}

static int64_t granted_lines(void)
{
    const void **list = mirror_sorted(&world->mirror, ROW_KIND_bill);
    int64_t sum = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++)
        sum += ((const struct row_bill *)list[i])->granted;
    free(list);
    return sum;
}

static int64_t spent(void)
{
    return balance_of(world, 1).spent;
}

/* ---- requests ---- */

static void test_hold_on_grant(void **state)
{
    (void)state;
    assert_int_equal(do_budget(world, 1, 0), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 500), ERR_BUDGET_SPENT);
    assert_int_equal(grant(1, 1000, 0), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 500), 0); /* an empty wallet, and a grant that is enough */
    assert_true(held(1) == 500 && balance_of(world, 1).held == 0);
    assert_int_equal(do_ask(world, 1, 2, 1, 1, 1001), ERR_BUDGET_SPENT);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 300), 0);
    assert_true(left(1) == 700 && held(1) == 200 && spent() == 0 && granted_lines() == 300);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 200), 0);
    struct event e = meter_event(1, 3, 1, 1, 1, 1);
    assert_int_equal(step(e), ERR_OVERFLOW); /* never above the hold */
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    assert_true(left(1) == 500 && held(1) == 0 && granted_lines() == 500 && given() == 1000);
    struct row_account site = account(uid('S', 1), ACCOUNT_REVENUE);
    assert_true(site.credits_posted == 500 && site.credits_pending == 0);
}

/* The hold is on the wallet, as the grant is for one model; it pays for that, and the hold is free again. */
static void test_condition_of_model(void **state)
{
    (void)state;
    assert_int_equal(do_model(world, 2), 0);
    assert_int_equal(do_price(world, 2, 2, 1000000, 0), 0);
    struct event e = grant_event(1, 250, 0);
    e.u.grant_add.models = (struct uuid_list){.n = 1, .v = {uid('M', 2)}};
    assert_int_equal(step(e), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, BUDGET / 2), 0);
    assert_true(held(1) == 0 && balance_of(world, 1).held == BUDGET / 2);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 100), 0);
    assert_true(spent() == 100 && left(1) == 250);
    e = meter_event(1, 2, 1, 1, 1, 200);
    e.u.meter.model = uid('M', 2);
    e.u.meter.price = uid('P', 2);
    assert_int_equal(step(e), 0);
    assert_true(spent() == 100 && left(1) == 50 && balance_of(world, 1).held == BUDGET / 2 - 300);
    e.u.meter.sequence++;
    e.token = 0;
    assert_int_equal(step(e), 0); /* 50 of 200 are left */
    assert_true(spent() == 250 && left(1) == 0 && granted_lines() == 250);
    assert_true(balance_of(world, 1).held == BUDGET / 2 - 500);
}

static void test_conditions_of_place(void **state)
{
    (void)state;
    struct event site = {.kind = EVENT_KIND_site_add,
                         .u.site_add = {.site = uid('S', 2), .name = "site-2", .jurisdiction = "fr"}};
    assert_int_equal(world_step(world, &site), 0);
    struct event e = grant_event(1, 1000, 0);
    memcpy(e.u.grant_add.jurisdiction, "fr", 3);
    assert_int_equal(step(e), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 10000), 0);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 100), 0);
    assert_true(spent() == 100 && left(1) == 1000);
    e = meter_event(1, 2, 1, 1, 1, 100);
    e.u.meter.site = uid('S', 2);
    assert_int_equal(step(e), 0);
    assert_true(spent() == 100 && left(1) == 900);
    e.u.meter.sequence++;
    e.u.meter.site = (struct uuid){{0}}; /* nobody knows where */
    e.token = 0;
    assert_int_equal(step(e), 0);
    assert_true(spent() == 200 && left(1) == 900);
}

/* Grants for other kinds of work do not hold for requests, nor pay for them. */
static void test_condition_of_kind(void **state)
{
    (void)state;
    struct event e = grant_event(1, 1000, 0);
    e.u.grant_add.kinds = GRANT_TRAINING | GRANT_BATCH;
    assert_int_equal(step(e), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 10000), 0);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 100), 0);
    assert_true(held(1) == 0 && left(1) == 1000 && spent() == 100);
    e = grant_event(2, 1000, 0);
    e.u.grant_add.kinds = GRANT_REQUESTS;
    assert_int_equal(step(e), 0);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 100), 0); /* the hold was on the wallet before */
    assert_true(left(2) == 900 && spent() == 100);
}

/* The one that ends first pays first; several pay one charge. */
static void test_order(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 10000), 0);
    assert_int_equal(grant(1, 100, 0), 0);
    assert_int_equal(grant(2, 100, world->now + 2 * DAY), 0);
    assert_int_equal(grant(3, 100, world->now + DAY), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(do_meter(world, 1, 1 + (uint64_t)round, 1, 1, 1, 60), 0);
        assert_int_equal(world_reload(world), 0);
    }
    assert_true(left(3) == 0 && left(2) == 80 && left(1) == 100 && spent() == 0);
    assert_int_equal(do_meter(world, 1, 3, 1, 1, 1, 400), 0);
    assert_true(left(2) == 0 && left(1) == 0 && spent() == 220 && granted_lines() == 300);
}

/* ---- the end ---- */

static void test_expiry(void **state)
{
    (void)state;
    assert_int_equal(do_budget(world, 1, 0), 0);
    assert_int_equal(grant(1, 1000, world->now + DAY), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 400), 0);
    assert_int_equal(core_deadline_ms(world->core) <= world->now + DAY, 1);
    world->now += DAY;
    assert_int_equal(do_tick(world), 0);
    assert_true(left(1) == 400 && held(1) == 400 && given() == 400);
    assert_int_equal(world_count(world, EFFECT_RECALL), 1);
    assert_int_equal(do_ask(world, 1, 2, 1, 1, 10), ERR_BUDGET_SPENT); /* it is over */
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 150), 0);          /* what was admitted before is paid */
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    world->now = core_deadline_ms(world->core) > world->now ? core_deadline_ms(world->core) : world->now;
    assert_int_equal(do_tick(world), 0);
    assert_true(left(1) == 0 && given() == 150);
    const struct row_grant key = {.id = uid('G', 1)};
    const struct row_grant *row = mirror_find(&world->mirror, ROW_KIND_grant, &key);
    assert_true(row && row->ended_ms == world->now && row->amount == 1000);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(core_deadline_ms(world->core) == INT64_MAX, 1);
    struct event again = grant_event(1, 1000, 0);
    assert_int_equal(step(again), ERR_EXISTS);
}

/* Its time is over before anybody was told: the moment counts, not the tick. */
static void test_end_before_tick(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 1000), 0);
    assert_int_equal(grant(1, 1000, world->now + DAY), 0);
    world->now += DAY - 1;
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 100), 0);
    assert_true(left(1) == 900 && spent() == 0);
    world->now++;
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 100), 0);
    assert_true(left(1) == 900 && spent() == 100);
    assert_int_equal(do_ask(world, 2, 2, 1, 1, 100), 0);
    assert_true(held(1) == 0);
}

/* More end at once than one step takes. */
static void test_many_end(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 150; i++)
        assert_int_equal(grant(i, 10, world->now + DAY), 0);
    assert_true(given() == 1500);
    world->now += DAY;
    for (int i = 0; i < 3; i++) {
        assert_true(core_deadline_ms(world->core) <= world->now);
        assert_int_equal(do_tick(world), 0);
    }
    assert_true(given() == 0 && core_deadline_ms(world->core) == INT64_MAX);
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(grant(1, 0, 0), ERR_OVERFLOW);
    assert_int_equal(grant(1, -1, 0), ERR_OVERFLOW);
    assert_int_equal(grant(1, MONEY_MAX + 1, 0), ERR_OVERFLOW);
    assert_int_equal(grant(1, 5, world->now), ERR_INVALID);
    assert_int_equal(grant(1, 5, -1), ERR_INVALID);
    struct event e = grant_event(1, 5, 0);
    e.u.grant_add.tenant = uid('T', 9);
    assert_int_equal(step(e), ERR_NOT_FOUND);
    e = grant_event(1, 5, 0);
    e.u.grant_add.sponsor = uid('O', 9);
    assert_int_equal(step(e), ERR_NOT_FOUND);
    e = grant_event(1, 5, 0);
    e.u.grant_add.models = (struct uuid_list){.n = 1, .v = {uid('M', 9)}};
    assert_int_equal(step(e), ERR_NOT_FOUND);
    e = grant_event(1, 5, 0);
    e.u.grant_add.kinds = 16;
    assert_int_equal(step(e), ERR_INVALID);
    assert_int_equal(grant(1, 5, 0), 0);
    assert_int_equal(grant(1, 5, 0), ERR_EXISTS);
}

/* ---- jobs ---- */

static int report(uint64_t job, uint64_t site, uint64_t seconds)
{
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = uid('J', job),
                                      .epoch = 1,
                                      .site = uid('S', site),
                                      .ms = seconds * 1000,
                                      .chip_ms = seconds * 8000}};
    world->now += 1000;
    return step(e);
}

static void jobs_world(int64_t budget)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    world_free(world);
    world = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(world, 1, budget), 0);
    struct event chip = {.kind = EVENT_KIND_chip_add,
                         .u.chip_add = {.chip = "other", .vendor = "w", .origin = "fr", .watts = 1000}};
    assert_int_equal(world_step(world, &chip), 0);
    do_two_sites(world, 3600);
    assert_int_equal(do_site(world, 3), 0);
    struct event_pool_add pool = pool_request(3, 3, 1, 8);
    memcpy(pool.chip, "other", 6);
    pool.price = 3600;
    assert_int_equal(do_pool(world, pool), 0);
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add = {.party = uid('O', 1), .name = "fund"}};
    assert_int_equal(world_step(world, &e), 0);
}

static void run_at(uint64_t job, uint64_t site, const char *chip)
{
    struct event_job_submit request = job_request(job, 8, HOUR);
    request.site = uid('S', site);
    memset(request.chip0, 0, sizeof request.chip0);
    (void)text_set(request.chip0, CHIP_CAP, chip, strlen(chip));
    assert_int_equal(do_submit(world, request), 0);
    world_settle(world);
    assert_int_equal(world_job(world, job)->state, JOB_RUNNING);
}

/* Of the job at the site with chips of that origin all is paid, of the other one nothing. */
static void test_jobs_by_origin(void **state)
{
    (void)state;
    jobs_world(BUDGET);
    struct event e = grant_event(1, 30, 0);
    memcpy(e.u.grant_add.origin, "fr", 3);
    assert_int_equal(step(e), 0);
    run_at(1, 1, "chip");
    run_at(2, 3, "other");
    assert_int_equal(report(1, 1, 2), 0);
    assert_true(left(1) == 30 && spent() == 16);
    assert_int_equal(report(2, 3, 2), 0);
    assert_true(left(1) == 14 && spent() == 16 && granted_lines() == 16);
    assert_int_equal(report(2, 3, 4), 0); /* 14 of 16 are left of it, the wallet pays 2 */
    assert_true(left(1) == 0 && spent() == 18 && granted_lines() == 30);
}

/* A job of a tenant without money runs as long as its grant lasts; its kind is that which it had when it started. */
static void test_jobs_by_kind(void **state)
{
    (void)state;
    jobs_world(0);
    struct event e = grant_event(1, 40, 0);
    e.u.grant_add.kinds = GRANT_BATCH;
    assert_int_equal(step(e), 0);
    e = grant_event(2, 40, 0);
    e.u.grant_add.kinds = GRANT_TRAINING | GRANT_REQUESTS | GRANT_INFERENCE;
    assert_int_equal(step(e), 0);
    run_at(1, 1, "chip");
    assert_int_equal(report(1, 1, 4), 0);
    assert_true(left(1) == 8 && left(2) == 40);
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(report(1, 1, 6), 0); /* 8 of 16: the rest cannot be paid, and it is over */
    assert_true(left(1) == 0 && left(2) == 40 && spent() == 0);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
}

/* Four grants pay of one charge at most: what a fifth has is no reason to stop the job, and the next report is paid from it. What
 * does not fit the job does not count. */
static void test_debt_of_job(void **state)
{
    (void)state;
    jobs_world(0);
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(grant(id, 3, 0), 0);
    assert_int_equal(grant(5, 10, 0), 0);
    struct event e = grant_event(6, 1000, 0);
    e.u.grant_add.kinds = GRANT_REQUESTS;
    assert_int_equal(step(e), 0);
    run_at(1, 1, "chip");
    assert_int_equal(report(1, 1, 2), 0); /* of 16 these pay 12 */
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
    assert_true(left(4) == 0 && left(5) == 10 && left(6) == 1000);
    assert_int_equal(report(1, 1, 3), 0); /* the rest, and then nothing is left */
    assert_true(left(5) == 0 && left(6) == 1000);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {T(test_hold_on_grant),
                                       T(test_condition_of_model),
                                       T(test_conditions_of_place),
                                       T(test_condition_of_kind),
                                       T(test_order),
                                       T(test_expiry),
                                       T(test_end_before_tick),
                                       T(test_many_end),
                                       T(test_refused),
                                       T(test_jobs_by_origin),
                                       T(test_jobs_by_kind),
                                       T(test_debt_of_job)};
    return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
