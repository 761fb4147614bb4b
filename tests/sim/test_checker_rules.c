/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: each violation of lives, rules and order provoked once, and the hash. */
#include "checker_support.h"

/* ---- lives ---- */

static void test_start_unknown(void **state)
{
    (void)state;
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_START_UNKNOWN);
}

static void test_start_refused_job(void **state)
{
    (void)state;
    (void)ck_submit_made(1, "a100", 1);
    ck_step_rc(-4);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_START_UNKNOWN);
}

static void test_start_over(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_end(1, 1);
    ck_step();
    ck_start_one(1, 1, 0, 1, 2);
    ck_tick();
    ck_found(CHECKER_START_OVER);
}

static void test_start_cancelled(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_cancel(1);
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_START_OVER);
}

static void test_start_twice(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_start_one(1, 1, 1, 1, 2);
    ck_tick();
    ck_found(CHECKER_START_TWICE);
}

static void test_epoch(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_stop(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_EPOCH);
}

static void test_epoch_skips(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 2);
    ck_tick();
    ck_found(CHECKER_EPOCH);
}

static void test_stop_waiting(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_stop(1, 1, 0);
    ck_tick();
    ck_found(CHECKER_STOP_NOT_RUNNING);
}

static void test_stop_wrong(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_stop(1, 1, 2); /* another epoch */
    ck_stop(1, 2, 1); /* another pool */
    ck_stop(7, 1, 1); /* nobody */
    ck_tick();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_STOP_NOT_RUNNING), 3);
    assert_int_equal(checker_violations(ck_checker), 3);
    assert_int_equal(checker_running(ck_checker), 1);
}

static void test_cancelled_runs(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_cancel(1);
    ck_step();
    ck_found(CHECKER_CANCELLED_RUNS);
    assert_int_equal(checker_running(ck_checker), 0);
}

static void test_refused_acts(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_event.kind = EVENT_KIND_tick;
    ck_step_rc(-1);
    ck_found(CHECKER_REFUSED_ACTS);
}

static void test_accepted(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_submit(1, 1, 1);
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_ACCEPTED), 1);
    ck_end(1, 0); /* it waits */
    ck_step();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_ACCEPTED), 2);
    ck_cancel(5);
    ck_step();
    (void)ck_submit_made(2, "h999", 1);
    ck_step();
    (void)ck_submit_made(3, "a100", 0);
    ck_step();
    ck_submit_made(4, "a100", 1)->site = ck_site(9);
    ck_step();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_ACCEPTED), 6);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_end(1, 2); /* another epoch */
    ck_step();
    ck_add_pool(3, 2, "a100", 1, 1);
    ck_add_pool(4, 9, "a100", 1, 1);
    ck_add_chip("mlu", "x", 1, 1);
    ck_set_node(1, 4, PLACE_UP);
    ck_step();
    ck_set_site(9, PLACE_UP);
    ck_step();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_ACCEPTED), 12);
    assert_int_equal(checker_violations(ck_checker), 12);
}

static void test_time_back(void **state)
{
    (void)state;
    ck_now_ms--;
    ck_tick();
    ck_found(CHECKER_TIME_BACK);
}

static void test_limit(void **state)
{
    (void)state;
    ck_add_pool(4, 1, "a100", 8, 1);
    ck_add_pool(5, 1, "a100", 1, 1);
    ck_found(CHECKER_LIMIT);
}

static void test_limit_jobs(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 1000; i++)
        ck_submit(i, 1, 1);
    ck_found(CHECKER_LIMIT);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
    (void)state;
    ck_submit_made(1, "", 1)->site = ck_site(1);
    ck_step();
    (void)snprintf(ck_submit_made(2, "", 1)->jurisdiction, CODE_CAP, "DE");
    ck_step();
    (void)snprintf(ck_submit_made(3, "", 1)->vendor, NAME_CAP, "cambricon");
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_start_one(2, 2, 0, 1, 1);
    ck_start_one(3, 2, 0, 1, 1);
    ck_tick();
    ck_clean();
    ck_stop(1, 1, 1);
    ck_stop(2, 2, 1);
    ck_stop(3, 2, 1);
    ck_tick();
    ck_start_one(1, 3, 0, 1, 2);
    ck_tick();
    ck_found(CHECKER_SITE_RULE);
    ck_start_one(2, 3, 0, 1, 2);
    ck_tick();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_JURISDICTION_RULE), 1);
    ck_start_one(3, 1, 0, 1, 2);
    ck_tick();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_VENDOR_RULE), 1);
    assert_int_equal(checker_violations(ck_checker), 3);
}

static void test_cap(void **state)
{
    (void)state;
    /* Idle: 32 x 100 + 16 x 50 W; three more a100 add 900 W; PUE 1.25. */
    ck_set_cap(1, 4900 * 1250 / 1000);
    ck_submit(1, 3, 1);
    ck_start_one(1, 1, 0, 3, 1);
    ck_tick();
    ck_clean();
    ck_set_cap(1,
               4900 * 1250 / 1000 - 1); /* below what is drawn now: nothing is started, so nothing is wrong */
    ck_clean();
    ck_end(1, 1);
    ck_step();
    ck_submit(2, 3, 1);
    ck_start_one(2, 1, 0, 3, 1);
    ck_tick();
    ck_found(CHECKER_CAP);
}

static void test_cap_nodes(void **state)
{
    (void)state;
    /* A node that is down draws nothing; its 800 W are enough for two chips at 300 W each. */
    ck_set_cap(1, 4000 * 1250 / 1000);
    ck_set_node(1, 3, PLACE_CORDONED);
    ck_step();
    ck_submit(1, 2, 1);
    ck_start_one(1, 1, 0, 2, 1);
    ck_tick();
    ck_clean();
    ck_end(1, 1);
    ck_step();
    ck_set_node(1, 3, PLACE_UP);
    ck_step();
    ck_submit(2, 2, 1);
    ck_start_one(2, 1, 0, 2, 1);
    ck_tick();
    ck_found(CHECKER_CAP);
}

/* ---- order ---- */

static void test_fifo(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit(1, 32, 9000);
    ck_submit(2, 16, 10);
    ck_share(2, 1, 0, 8);
    ck_share(2, 1, 1, 8);
    (void)ck_start(2, 1, 16, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
    assert_non_null(strstr(checker_first(ck_checker), "job 03000000-0000-0000-0000-000001000000"));
}

static void test_fifo_turn(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit(1, 8, 9000);
    ck_submit(2, 1, 10);
    ck_start_one(1, 1, 0, 8, 1);
    ck_start_one(2, 1, 1, 1, 1);
    ck_tick();
    ck_clean();
}

static void test_fifo_other_pools(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit(1, 32, 9000);                     /* only pool 1 could hold it */
    ck_submit_made(2, "", 16)->duration_ms = 9; /* any of the three */
    ck_step();
    ck_share(2, 3, 0, 8);
    ck_share(2, 3, 1, 8);
    (void)ck_start(2, 3, 16, 1);
    ck_tick();
    ck_clean();
    ck_submit(3, 4, 1);
    ck_start_one(3, 1, 0, 4, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

static void test_fifo_down(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit_made(1, "a100", 1)->site = ck_site(2);
    ck_step();
    ck_submit(2, 1, 1);
    ck_set_site(2, PLACE_CORDONED);
    ck_step();
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_clean();
    ck_set_site(2, PLACE_UP);
    ck_step();
    ck_submit(3, 1, 1);
    ck_start_one(3, 3, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

static void test_sjf(void **state)
{
    (void)state;
    ck_set_order(ORDER_SJF, FIT_STRICT);
    ck_submit(1, 1, 300);
    ck_submit(2, 1, 100);
    ck_submit(3, 1, 200);
    ck_submit(4, 1, 200);
    ck_start_one(2, 1, 0, 1, 1);
    ck_start_one(3, 1, 0, 1, 1);
    ck_start_one(4, 1, 0, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_clean();
    ck_submit(5, 1, 100);
    ck_submit(6, 1, 100);
    ck_start_one(6, 1, 1, 1, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

static void test_order_changes(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_BACKFILL);
    for (uint32_t i = 1; i <= 6; i++)
        ck_submit(i, 1, 1000 - i * 100);
    ck_start_one(3, 1, 0, 1, 1); /* fit is not strict */
    ck_tick();
    ck_set_order(ORDER_SJF, FIT_STRICT);
    ck_start_one(6, 1, 0, 1, 1);
    ck_start_one(5, 1, 0, 1, 1);
    ck_tick();
    ck_cancel(4);
    ck_step();
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_set_order(ORDER_SIZE, FIT_STRICT);
    ck_submit(7, 1, 1);
    ck_start_one(7, 1, 0, 1, 1);
    ck_tick();
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit(8, 1, 1);
    ck_clean();
    ck_start_one(8, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

/* An evicted job has its old place again. */
static void test_evicted_is_first(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    ck_submit(1, 1, 1);
    ck_submit(2, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_stop(1, 1, 1);
    ck_tick();
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

/* Many jobs in an order that a sorted list agrees with. */
static void test_order_many(void **state)
{
    (void)state;
    enum { JOBS = 900 };
    int64_t duration[JOBS];
    bool gone[JOBS] = {false};
    uint32_t seed = 7;
    ck_set_order(ORDER_SJF, FIT_STRICT);
    for (uint32_t i = 0; i < JOBS; i++) {
        seed = seed * 1664525 + 1013904223;
        duration[i] = seed >> 24;
        ck_submit(i, 1, duration[i]);
    }
    for (uint32_t i = 0; i < JOBS; i += 3) {
        ck_cancel(i);
        ck_step();
        gone[i] = true;
    }
    for (uint32_t k = 0; k < JOBS - JOBS / 3; k++) {
        uint32_t best = JOBS;
        for (uint32_t i = 0; i < JOBS; i++) {
            if (!gone[i] && (best == JOBS || duration[i] < duration[best]))
                best = i;
        }
        gone[best] = true;
        ck_start_one(best, 1, 0, 1, 1);
        ck_tick();
        ck_end(best, 1);
        ck_step();
    }
    ck_clean();
    assert_int_equal(checker_waiting(ck_checker), 0);
}

/* ---- rules in force ---- */

static void put_rules(uint32_t set, uint32_t part, const char *text)
{
    ck_event.kind = EVENT_KIND_rules_put;
    ck_event.u.rules_put.set = ck_job(set);
    ck_event.u.rules_put.part = part;
    (void)snprintf(ck_event.u.rules_put.text, RULES_PART_CAP, "%s", text);
    ck_step();
}

static void set_rules(uint32_t set, uint32_t parts)
{
    ck_event.kind = EVENT_KIND_rules_set;
    ck_event.u.rules_set.set = ck_job(set);
    ck_event.u.rules_set.parts = parts;
    ck_step();
}

#define WHY " because \"b\" cite \"c\"\n"

static void test_forbidden(void **state)
{
    (void)state;
    put_rules(1, 0, "deny a when site.jurisdiction = C");
    put_rules(1, 1, "N and tenant.jurisdiction = DE and data.home = DE and data.class = health and" WHY);
    put_rules(2, 0, "deny a when site.jurisdiction = C");
    put_rules(2, 1, "N and tenant.jurisdiction = DE and data.home = DE and data.class = health" WHY);
    set_rules(2, 2);
    ck_event.kind = EVENT_KIND_tenant_add;
    ck_event.u.tenant_add.tenant = ck_job(50);
    (void)snprintf(ck_event.u.tenant_add.jurisdiction, CODE_CAP, "DE");
    ck_step();
    for (uint32_t i = 1; i <= 2; i++) {
        struct event_job_submit *e = ck_submit_made(i, "a100", 1);
        e->tenant = ck_job(50);
        e->data_site = ck_site(1);
        (void)snprintf(e->data_class, CODE_CAP, i == 1 ? "open" : "health");
        ck_step();
    }
    ck_start_one(1, 3, 0, 1, 1);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    ck_stop(2, 1, 1);
    ck_start_one(2, 3, 0, 1, 2);
    ck_tick();
    ck_found(CHECKER_FORBIDDEN);
}

static void test_forbidden_runs(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 3, 0, 1, 1);
    ck_tick();
    put_rules(1, 0, "deny a from 1970-01-01T00:00:09Z when site.jurisdiction = CN" WHY);
    set_rules(1, 1);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    checker_end_of_time(ck_checker, 8999);
    ck_clean();
    checker_end_of_time(ck_checker, 9000);
    ck_found(CHECKER_FORBIDDEN_RUNS);
}

static void test_rules_accepted(void **state)
{
    (void)state;
    put_rules(1, 0, "deny a when");
    set_rules(1, 1);
    ck_found(CHECKER_ACCEPTED);
}

/* Who may not run there is not overtaken there, but those behind it are. */
static void test_fifo_forbidden(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    put_rules(1, 0, "deny a when data.class = health and site.jurisdiction = CN" WHY);
    set_rules(1, 1);
    for (uint32_t i = 1; i <= 5; i++) {
        struct event_job_submit *e = ck_submit_made(i, "a100", 1);
        (void)snprintf(e->data_class, CODE_CAP, i < 3 ? "health" : "open");
        ck_step();
    }
    ck_start_one(3, 3, 0, 1, 1);
    ck_tick();
    ck_clean();
    ck_start_one(5, 3, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_OVERTAKEN);
}

/* ---- the hash ---- */

static void test_hash(void **state)
{
    (void)state;
    uint8_t none[DIGEST_LEN];
    uint8_t once[DIGEST_LEN];
    uint8_t again[DIGEST_LEN];
    uint8_t want[DIGEST_LEN];
    digest_sha256(want, "", 0);
    checker_hash(ck_checker, none);
    assert_memory_equal(none, want, DIGEST_LEN);
    ck_submit(1, 9, 1);
    ck_tick();
    checker_hash(ck_checker, once);
    assert_memory_equal(none, once, DIGEST_LEN); /* no decision */
    ck_share(1, 1, 3, 9);
    ck_tick();
    checker_hash(ck_checker, once);
    checker_hash(ck_checker, again);
    assert_memory_equal(once, again, DIGEST_LEN);
    uint8_t record[53] = {0xe8, 3, 0, 0, 0, 0, 0, 0, EFFECT_JOB_SHARE};
    struct uuid j = ck_job(1);
    struct uuid p = ck_pool(1);
    memcpy(record + 9, &j, sizeof j);
    memcpy(record + 25, &p, sizeof p);
    record[41] = 3;
    record[45] = 9;
    digest_sha256(want, record, sizeof record);
    assert_memory_equal(once, want, DIGEST_LEN);
    for (uint32_t i = 0; i < 300; i++) {
        ck_stop(1, 1, i);
        ck_tick();
    }
    checker_hash(ck_checker, again);
    assert_memory_not_equal(once, again, DIGEST_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_unknown),
        TEST(test_start_refused_job),
        TEST(test_start_over),
        TEST(test_start_cancelled),
        TEST(test_start_twice),
        TEST(test_epoch),
        TEST(test_epoch_skips),
        TEST(test_stop_waiting),
        TEST(test_stop_wrong),
        TEST(test_cancelled_runs),
        TEST(test_refused_acts),
        TEST(test_accepted),
        TEST(test_time_back),
        TEST(test_limit),
        TEST(test_limit_jobs),
        TEST(test_rules),
        TEST(test_cap),
        TEST(test_cap_nodes),
        TEST(test_fifo),
        TEST(test_fifo_turn),
        TEST(test_fifo_other_pools),
        TEST(test_fifo_down),
        TEST(test_sjf),
        TEST(test_order_changes),
        TEST(test_evicted_is_first),
        TEST(test_order_many),
        TEST(test_forbidden),
        TEST(test_forbidden_runs),
        TEST(test_rules_accepted),
        TEST(test_fifo_forbidden),
        TEST(test_hash),
    };
    return cmocka_run_group_tests_name("sim_checker_rules", tests, NULL, NULL);
}
