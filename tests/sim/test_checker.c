/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: clean runs, and each violation of places and gangs provoked once. */
#include "checker_support.h"

/* ---- clean runs ---- */

static void test_life(void **state)
{
    (void)state;
    ck_submit(1, 20, 5000);
    ck_submit(2, 4, 5000);
    ck_cancel(9);
    ck_step_rc(-2);
    assert_int_equal(checker_waiting(ck_checker), 2);
    ck_share(1, 1, 0, 8);
    ck_share(1, 1, 2, 8);
    ck_share(1, 1, 3, 4);
    (void)ck_start(1, 1, 20, 1);
    ck_start_one(2, 1, 3, 4, 1);
    ck_tick();
    assert_int_equal(checker_running(ck_checker), 2);
    ck_now_ms = 6000;
    ck_end(1, 1);
    ck_step();
    ck_stop(2, 1, 1);
    ck_cancel(2);
    ck_step();
    assert_int_equal(checker_running(ck_checker) + checker_waiting(ck_checker), 0);
    /* The chips are free again, and a job may come again under its old name. */
    ck_submit(1, 32, 1);
    for (uint32_t i = 0; i < 4; i++)
        ck_share(1, 1, i, 8);
    (void)ck_start(1, 1, 32, 1);
    ck_tick();
    /* Evicted, it waits and starts anew elsewhere. */
    ck_stop(1, 1, 1);
    ck_tick();
    assert_int_equal(checker_waiting(ck_checker), 1);
    for (uint32_t i = 0; i < 4; i++)
        ck_share(1, 1, i, 8);
    (void)ck_start(1, 1, 32, 2);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    assert_string_equal(checker_first(ck_checker), "");
}

static void test_alternatives(void **state)
{
    (void)state;
    struct event_job_submit *e = ck_submit_made(1, "a100", 32);
    (void)snprintf(e->chip1, sizeof e->chip1, "mlu");
    e->count1 = 9;
    e->rate1 = 500;
    e->count2 = 3; /* of any kind */
    ck_step();
    ck_share(1, 2, 0, 8);
    ck_share(1, 2, 1, 1);
    ck_start(1, 2, 9, 1)->alternative = 1;
    ck_tick();
    ck_stop(1, 2, 1);
    ck_share(1, 3, 1, 3);
    ck_start(1, 3, 3, 2)->alternative = 2;
    ck_tick();
    ck_clean();
}

/* ---- places ---- */

static void test_node_over(void **state)
{
    (void)state;
    ck_submit(1, 5, 1);
    ck_submit(2, 4, 1);
    ck_start_one(1, 1, 3, 5, 1);
    ck_start_one(2, 1, 3, 4, 1);
    ck_tick();
    ck_found(CHECKER_NODE_OVER);
    assert_non_null(strstr(checker_first(ck_checker), "at 1000 ms: "));
    assert_non_null(strstr(checker_first(ck_checker),
                           "job 03000000-0000-0000-0000-000002000000, "
                           "pool 02000000-0000-0000-0000-000001000000, node 3: 4 on top of 5 of 8"));
}

static void test_node_over_at_once(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_start_one(1, 1, 3, 9, 1);
    ck_tick();
    ck_found(CHECKER_NODE_OVER);
}

static void test_node_down(void **state)
{
    (void)state;
    ck_set_node(1, 2, PLACE_CORDONED);
    ck_step();
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 2, 1, 1);
    ck_tick();
    ck_found(CHECKER_NODE_DOWN);
}

static void test_node_up_again(void **state)
{
    (void)state;
    ck_set_node(1, 2, PLACE_LOST);
    ck_step();
    ck_set_node(1, 2, PLACE_UP);
    ck_step();
    ck_submit(1, 1, 1);
    ck_start_one(1, 1, 2, 1, 1);
    ck_tick();
    ck_clean();
}

static void test_node_outside(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 3, 2, 1, 1);
    ck_tick();
    ck_found(CHECKER_NODE_OUTSIDE);
    ck_end(1, 1);
    ck_step();
    ck_found(CHECKER_NODE_OUTSIDE);
}

static void test_pool_unknown(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 4, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_POOL_UNKNOWN);
}

/* Heard of again it is what the operator made of it meanwhile. */
static void test_site_away(void **state)
{
    (void)state;
    for (uint32_t lost = 2; lost-- > 0;) {
        ck_event.kind = EVENT_KIND_site_contact;
        ck_event.u.site_contact = (struct event_site_contact){.site = ck_site(1), .lost = lost};
        ck_step();
        ck_set_site(1, PLACE_UP);
        ck_step();
        ck_submit(1 + lost, 1, 1);
        ck_start_one(1 + lost, 1, 0, 1, 1);
        ck_tick();
        assert_int_equal(checker_violations_of(ck_checker, CHECKER_SITE_DOWN), 1);
    }
    ck_found(CHECKER_SITE_DOWN);
}

static void test_site_down(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_set_site(2, PLACE_CORDONED);
    ck_step();
    ck_start_one(1, 3, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_SITE_DOWN);
}

static void test_lost_site(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_submit(2, 1, 1);
    ck_start_one(1, 3, 0, 1, 1);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_set_site(2, PLACE_LOST);
    ck_step();
    ck_clean(); /* the stop may come with a later step of this instant */
    checker_end_of_time(ck_checker, 2000);
    ck_found(CHECKER_LOST_RUNS);
    assert_non_null(strstr(checker_first(ck_checker), "at 2000 ms"));
    checker_end_of_time(ck_checker, 3000);
    ck_found(CHECKER_LOST_RUNS);
}

static void test_lost_site_stops(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 3, 0, 1, 1);
    ck_tick();
    ck_set_site(2, PLACE_LOST);
    ck_step();
    ck_stop(1, 3, 1);
    ck_start_one(1, 1, 0, 1, 2);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_set_site(2, PLACE_UP);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_lost_node(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_share(1, 1, 1, 8);
    ck_share(1, 1, 2, 1);
    (void)ck_start(1, 1, 9, 1);
    ck_tick();
    ck_set_node(1, 3, PLACE_LOST);
    ck_step();
    ck_set_node(1, 1, PLACE_CORDONED); /* what runs there may stay */
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    ck_set_node(1, 2, PLACE_LOST);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_LOST_RUNS);
}

/* ---- gangs ---- */

static void test_gang_part(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_share(1, 1, 0, 8);
    (void)ck_start(1, 1, 9, 1);
    ck_tick();
    ck_found(CHECKER_GANG_PART);
}

static void test_gang_whole(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_share(1, 1, 0, 8);
    ck_share(1, 1, 1, 2);
    (void)ck_start(1, 1, 9, 1);
    ck_tick();
    ck_found(CHECKER_GANG_PART);
}

static void test_gang_size(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_share(1, 1, 0, 8);
    (void)ck_start(1, 1, 8, 1); /* start and shares agree, but not with the job */
    ck_tick();
    ck_found(CHECKER_GANG_PART);
}

static void test_gang_no_shares(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    (void)ck_start(1, 1, 9, 1);
    ck_tick();
    ck_found(CHECKER_GANG_PART);
}

static void test_gang_no_start(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_submit(2, 1, 1);
    ck_share(1, 1, 0, 8);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_GANG_PART);
    ck_share(1, 1, 2, 8);
    ck_tick();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_GANG_PART), 2);
    ck_share(1, 1, 2, 8);
    ck_stop(2, 1, 1);
    ck_tick();
    assert_int_equal(checker_violations_of(ck_checker, CHECKER_GANG_PART), 3);
}

static void test_gang_split(void **state)
{
    (void)state;
    ck_submit(1, 9, 1);
    ck_share(1, 1, 0, 8);
    ck_share(1, 3, 0, 1);
    (void)ck_start(1, 1, 9, 1);
    ck_tick();
    ck_found(CHECKER_GANG_SPLIT);
}

static void test_alternative(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_share(1, 1, 0, 1);
    ck_start(1, 1, 1, 1)->alternative = 1;
    ck_tick();
    ck_found(CHECKER_ALTERNATIVE);
}

static void test_chip_kind(void **state)
{
    (void)state;
    ck_submit(1, 1, 1);
    ck_start_one(1, 2, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_CHIP_KIND);
}

static void test_domain(void **state)
{
    (void)state;
    ck_submit_made(1, "a100", 16)->flags = JOB_ONE_DOMAIN;
    ck_step();
    ck_submit_made(2, "a100", 16)->flags = JOB_ONE_DOMAIN;
    ck_step();
    ck_share(1, 1, 0, 8);
    ck_share(1, 1, 1, 8);
    (void)ck_start(1, 1, 16, 1);
    ck_tick();
    ck_clean();
    ck_end(1, 1);
    ck_step();
    ck_share(2, 1, 1, 8);
    ck_share(2, 1, 2, 8);
    (void)ck_start(2, 1, 16, 1);
    ck_tick();
    ck_found(CHECKER_DOMAIN_RULE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),           TEST(test_alternatives),
        TEST(test_node_over),      TEST(test_node_over_at_once),
        TEST(test_node_down),      TEST(test_node_up_again),
        TEST(test_node_outside),   TEST(test_pool_unknown),
        TEST(test_site_down),      TEST(test_site_away),
        TEST(test_lost_site),      TEST(test_lost_site_stops),
        TEST(test_lost_node),      TEST(test_gang_part),
        TEST(test_gang_whole),     TEST(test_gang_size),
        TEST(test_gang_no_shares), TEST(test_gang_no_start),
        TEST(test_gang_split),     TEST(test_alternative),
        TEST(test_chip_kind),      TEST(test_domain),
    };
    return cmocka_run_group_tests_name("sim_checker", tests, NULL, NULL);
}
