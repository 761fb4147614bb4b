/* SPDX-License-Identifier: Apache-2.0 */
/* The checker and services: a clean life of replicas, and each violation provoked once. */
#include "checker_support.h"

enum { SECOND = 1000 };

static struct uuid service_id(void)
{
    return (struct uuid){{9, 9}};
}

/* At its target, half of 100 tokens/s, a replica serves 50. The step is the caller's. */
static void set(uint32_t max)
{
    ck_event.kind = EVENT_KIND_service_set;
    struct event_service_set *e = &ck_event.u.service_set;
    *e = (struct event_service_set){.service = service_id(),
                                    .name = "chat",
                                    .chip0 = "a100",
                                    .count0 = 4,
                                    .tokens_s0 = 100,
                                    .max = max,
                                    .target = 500,
                                    .cold_ms = 60 * SECOND,
                                    .hold_ms = 100 * SECOND,
                                    .idle_ms = 200 * SECOND};
}

static void ask(uint64_t tokens_s, uint32_t in_flight)
{
    ck_event.kind = EVENT_KIND_service_demand;
    ck_event.u.service_demand =
        (struct event_service_demand){.service = service_id(), .tokens_s = tokens_s, .in_flight = in_flight};
    ck_step();
}

static void remove_service(void)
{
    ck_event.kind = EVENT_KIND_service_remove;
    ck_event.u.service_remove.service = service_id();
}

static void replica(enum effect_kind kind, uint32_t j)
{
    ck_effect(kind, j, 0)->service = service_id();
}

/* Replica j runs on node j of pool 1. */
static void run(uint32_t j, uint32_t epoch)
{
    ck_start_one(j, 1, j, 4, epoch);
}

static void end_of_time(int64_t ms)
{
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_now_ms += ms;
}

/* Replicas 0 and 1 run and serve. */
static void two(void)
{
    set(3);
    ck_step();
    ask(100, 0);
    replica(EFFECT_REPLICA_ADD, 0);
    replica(EFFECT_REPLICA_ADD, 1);
    ck_tick();
    run(0, 1);
    run(1, 1);
    ck_tick();
    end_of_time(61 * SECOND);
}

static void test_life(void **state)
{
    (void)state;
    two();
    ask(150, 0);
    replica(EFFECT_REPLICA_ADD, 2);
    ck_tick();
    end_of_time(10 * SECOND); /* it waits for a place */
    ask(20, 0);
    end_of_time(100 * SECOND);
    replica(EFFECT_REPLICA_DROP, 2);
    ck_tick();
    end_of_time(100 * SECOND);
    ck_stop(0, 1, 1);
    replica(EFFECT_REPLICA_DROP, 0);
    ck_tick();
    end_of_time(500 * SECOND);
    ask(0, 0);
    end_of_time(199 * SECOND);
    end_of_time(SECOND);
    ck_stop(1, 1, 1);
    replica(EFFECT_REPLICA_DROP, 1);
    ck_tick();
    end_of_time(1000 * SECOND);
    ck_clean();
    assert_int_equal(checker_waiting(ck_checker) + checker_running(ck_checker), 0);
    ask(1, 0);
    replica(EFFECT_REPLICA_ADD, 3);
    ck_tick();
    run(3, 1);
    ck_tick();
    ck_end(3, 1); /* it fails, another takes its place */
    replica(EFFECT_REPLICA_ADD, 4);
    ck_step();
    end_of_time(SECOND);
    remove_service();
    replica(EFFECT_REPLICA_DROP, 4);
    ck_step();
    end_of_time(SECOND);
    ck_clean();
}

static void test_over(void **state)
{
    (void)state;
    two();
    set(1);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_OVER);
}

static void test_short(void **state)
{
    (void)state;
    two();
    ask(101, 0);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_SHORT);
}

/* A request without an answer, and nothing to answer it. */
static void test_none_under_load(void **state)
{
    (void)state;
    set(3);
    ck_step();
    ask(0, 1);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_SHORT);
}

static void test_slack(void **state)
{
    (void)state;
    two();
    ask(50, 0);
    end_of_time(200 * SECOND);
    end_of_time(1);
    ck_clean();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_SLACK);
}

static void set_terms(uint32_t max, int64_t hold_ms)
{
    set(max);
    ck_event.u.service_set.target = 400;
    ck_event.u.service_set.hold_ms = hold_ms;
    ck_step();
}

/* With another target or another hold time its time begins anew; with the same ones set again it does not. */
static void test_slack_by_other_terms(void **state)
{
    (void)state;
    two();
    ask(50, 0);
    end_of_time(90 * SECOND);
    ask(20, 0);
    set_terms(3, 100 * SECOND);
    end_of_time(200 * SECOND);
    end_of_time(0);
    set_terms(3, 60 * SECOND);
    end_of_time(120 * SECOND);
    set_terms(2, 60 * SECOND);
    end_of_time(1);
    ck_clean();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_SLACK);
}

static void test_idle(void **state)
{
    (void)state;
    two();
    ask(0, 0);
    end_of_time(150 * SECOND);
    ck_stop(1, 1, 1);
    replica(EFFECT_REPLICA_DROP, 1);
    ck_tick();
    end_of_time(50 * SECOND);
    ck_clean();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_REPLICA_IDLE);
}

/* One of the two was stopped and started again: it is cold, and the other must stay. */
static void test_warm(void **state)
{
    (void)state;
    two();
    ck_stop(1, 1, 1);
    run(1, 2);
    ck_tick();
    end_of_time(59 * SECOND);
    ask(50, 0);
    ck_stop(0, 1, 1);
    replica(EFFECT_REPLICA_DROP, 0);
    ck_tick();
    ck_found(CHECKER_REPLICA_WARM);
}

static void test_both_warm(void **state)
{
    (void)state;
    two();
    ck_stop(1, 1, 1);
    run(1, 2);
    ck_tick();
    end_of_time(60 * SECOND);
    ask(50, 0);
    ck_stop(0, 1, 1);
    replica(EFFECT_REPLICA_DROP, 0);
    ck_tick();
    end_of_time(SECOND);
    ck_clean();
}

static void test_gone(void **state)
{
    (void)state;
    two();
    remove_service();
    ck_stop(0, 1, 1);
    replica(EFFECT_REPLICA_DROP, 0);
    ck_step(); /* the other one is forgotten */
    ck_found(CHECKER_REPLICA_GONE);
}

static void test_of_no_service(void **state)
{
    (void)state;
    replica(EFFECT_REPLICA_ADD, 0);
    ck_tick();
    ck_found(CHECKER_REPLICA_GONE);
}

/* It still runs. */
static void test_drop_without_stop(void **state)
{
    (void)state;
    two();
    ask(50, 0);
    replica(EFFECT_REPLICA_DROP, 0);
    ck_tick();
    ck_found(CHECKER_STOP_NOT_RUNNING);
}

/* A replica is a job: its gang is whole, its chips are of the kind that was asked for. */
static void test_chips(void **state)
{
    (void)state;
    set(3);
    ck_step();
    ask(1, 0);
    replica(EFFECT_REPLICA_ADD, 0);
    ck_tick();
    ck_tick_one(0, 2, 0, 4, 1);
    ck_found(CHECKER_CHIP_KIND);
}

static void test_accepted(void **state)
{
    (void)state;
    ask(1, 0);
    ck_found(CHECKER_ACCEPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_life),          TEST(test_over),
                                       TEST(test_short),         TEST(test_none_under_load),
                                       TEST(test_slack),         TEST(test_slack_by_other_terms),
                                       TEST(test_idle),          TEST(test_warm),
                                       TEST(test_both_warm),     TEST(test_gone),
                                       TEST(test_of_no_service), TEST(test_drop_without_stop),
                                       TEST(test_chips),         TEST(test_accepted)};
    return cmocka_run_group_tests_name("checker_service", tests, NULL, NULL);
}
