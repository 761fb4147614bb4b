/* SPDX-License-Identifier: Apache-2.0 */
/* The checker on jobs that come after others, on arrays and on priority: each thing right, then wrong. */
#include "checker_support.h"

/* Of array n, and of its k-th task. */
static struct uuid task(uint32_t n, uint32_t k)
{
    struct uuid id = ck_job(n);
    id.b[0] = 'A';
    id.b[14] = 0;
    id.b[15] = (uint8_t)k;
    return id;
}

static void start(uint32_t n, uint32_t k)
{
    struct uuid id = task(n, k);
    struct effect *share = ck_effect(EFFECT_JOB_SHARE, 0, 1);
    share->job = id;
    share->chips = 1;
    ck_start(0, 1, 1, 1)->job = id;
}

static void end(struct uuid id, uint32_t code)
{
    ck_event.kind = EVENT_KIND_job_end;
    ck_event.u.job_end = (struct event_job_end){.job = id, .epoch = 1, .code = code};
    ck_step();
}

static void after(uint32_t j, struct uuid target, uint32_t kind)
{
    struct event_job_submit *made = ck_submit_made(j, "", 1);
    struct event_job_submit request = *made;
    ck_event.kind = EVENT_KIND_job_array;
    struct event_job_array *e = &ck_event.u.job_array;
    memset(e, 0, sizeof *e);
    memcpy(e, &request, sizeof request);
    e->after0 = target;
    e->after_kind0 = kind;
}

static void array(uint32_t n, uint32_t total, uint32_t at_once)
{
    after(n, (struct uuid){{0}}, 0);
    ck_event.u.job_array.job = task(n, 0);
    ck_event.u.job_array.total = ck_event.u.job_array.tasks = total;
    ck_event.u.job_array.at_once = at_once;
    ck_step();
}

static void test_after(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_OK);
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    end(ck_job(1), 0);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_clean();
}

static void test_started_early(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_ANY);
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_AFTER);
}

static void test_unmet(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_OK);
    ck_step();
    after(3, ck_job(2), AFTER_NOT_OK);
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    end(ck_job(1), 1);
    ck_effect(EFFECT_JOB_UNMET, 2, 1);
    ck_start_one(3, 1, 0, 1, 1);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_unmet_starts(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_OK);
    ck_step();
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    end(ck_job(1), 1);
    ck_start_one(2, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_AFTER);
}

static void test_unmet_waits(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_OK);
    ck_step();
    ck_cancel(1);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_UNMET_WAITS);
}

static void test_unmet_too_soon(void **state)
{
    (void)state;
    ck_submit(1, 1, 1000);
    after(2, ck_job(1), AFTER_OK);
    ck_step();
    ck_effect(EFFECT_JOB_UNMET, 2, 1);
    ck_tick();
    ck_found(CHECKER_UNMET);
}

static void test_array(void **state)
{
    (void)state;
    array(1, 3, 2);
    after(1, task(1, 0), AFTER_OK);
    ck_step();
    start(1, 1);
    start(1, 2);
    ck_tick();
    end(task(1, 1), 0);
    start(1, 3);
    ck_tick();
    end(task(1, 3), 0);
    end(task(1, 2), 0);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_array_over(void **state)
{
    (void)state;
    array(1, 3, 2);
    for (uint32_t k = 1; k <= 3; k++)
        start(1, k);
    ck_tick();
    ck_found(CHECKER_ARRAY);
}

static void test_array_goes_on(void **state)
{
    (void)state;
    array(1, 3, 2);
    start(1, 1);
    ck_tick();
    ck_event.kind = EVENT_KIND_job_cancel;
    ck_event.u.job_cancel.job = task(1, 0);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_UNMET_WAITS);
}

static void ranked(uint32_t j, int32_t priority)
{
    struct event_job_submit *e = ck_submit_made(j, "", 1);
    e->priority = (uint32_t)priority;
    e->duration_ms = 1000;
    ck_step();
}

static void test_rank(void **state)
{
    (void)state;
    ck_set_order(ORDER_SIZE, FIT_STRICT);
    ranked(1, -1);
    ranked(2, 7);
    ck_start_one(2, 1, 0, 1, 1);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_clean();
}

static void test_outranked(void **state)
{
    (void)state;
    ck_set_order(ORDER_SIZE, FIT_STRICT);
    ranked(1, -1);
    ranked(2, 7);
    ck_start_one(1, 1, 0, 1, 1);
    ck_tick();
    ck_found(CHECKER_OUTRANKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_after),          TEST(test_started_early), TEST(test_unmet),
        TEST(test_unmet_starts),   TEST(test_unmet_waits),   TEST(test_array),
        TEST(test_unmet_too_soon), TEST(test_array_over),    TEST(test_array_goes_on),
        TEST(test_rank),           TEST(test_outranked)};
    return cmocka_run_group_tests_name("sim_checker_follow", tests, NULL, NULL);
}
