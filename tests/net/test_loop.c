/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines: order, arming anew, disarming, and doing so from within a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/loop.h"

struct item {
    struct deadline deadline;
    char letter;
    int again;                 /* arm that many times more */
    struct item *disarm, *arm; /* from the callback */
    uint64_t fired_ms;
};

static struct loop loop;
static struct deadline_queue fast, slow;
static uv_timer_t stopper;
static char fired[64];

static struct item *item_of(struct deadline *d)
{
    return list_entry(d, struct item, deadline);
}

static void on_fire(struct deadline *d)
{
    struct item *it = item_of(d);
    size_t n = strlen(fired);
    assert_null(d->queue);
    assert_true(n + 1 < sizeof fired);
    fired[n] = it->letter;
    it->fired_ms = uv_now(&loop.uv);
    if (it->again-- > 0)
        deadline_arm(d, &fast);
    if (it->disarm)
        deadline_disarm(&it->disarm->deadline);
    if (it->arm)
        deadline_arm(&it->arm->deadline, &fast);
}

static void on_stop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(uint64_t ms)
{
    uv_update_time(&loop.uv);
    uv_timer_start(&stopper, on_stop, ms, 0);
    uv_run(&loop.uv, UV_RUN_DEFAULT);
}

/* Until n have fired; the clock of a busy machine may run on by any amount meanwhile. */
static void run_until(size_t n)
{
    for (int i = 0; i < 2000 && strlen(fired) < n; i++)
        run_for(10);
    assert_true(strlen(fired) >= n);
}

static int setup(void **state)
{
    (void)state;
    memset(fired, 0, sizeof fired);
    assert_int_equal(loop_init(&loop), 0);
    uv_timer_init(&loop.uv, &stopper);
    deadline_queue_init(&fast, &loop, 60, on_fire);
    deadline_queue_init(&slow, &loop, 160, on_fire);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(loop.armed, 0);
    uv_close((uv_handle_t *)&stopper, NULL);
    loop_fini(&loop);
    return 0;
}

static void test_order(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'}, b = {.letter = 'b'}, c = {.letter = 'c'};
    uv_update_time(&loop.uv);
    uint64_t start = uv_now(&loop.uv);
    deadline_arm(&c.deadline, &slow);
    deadline_arm(&a.deadline, &fast);
    deadline_arm(&b.deadline, &fast);
    run_until(3);
    assert_string_equal(fired, "abc");
    assert_true(a.fired_ms - start >= 60);
    assert_true(c.fired_ms - start >= 160);
}

static void test_rearm_moves(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'}, b = {.letter = 'b'};
    deadline_arm(&a.deadline, &fast);
    deadline_arm(&b.deadline, &fast);
    deadline_arm(&a.deadline, &fast); /* now behind b */
    deadline_arm(&a.deadline, &slow);
    assert_int_equal(loop.armed, 2);
    run_until(2);
    assert_string_equal(fired, "ba");
    assert_true(a.fired_ms >= b.fired_ms);
}

static void test_disarm(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'}, b = {.letter = 'b'};
    deadline_arm(&a.deadline, &fast);
    deadline_arm(&b.deadline, &fast);
    deadline_disarm(&a.deadline);
    deadline_disarm(&a.deadline);
    assert_int_equal(loop.armed, 1);
    run_until(1);
    run_for(100);
    assert_string_equal(fired, "b");
    deadline_disarm(&b.deadline);
}

static void test_rearm_in_callback(void **state)
{
    (void)state;
    struct item a = {.letter = 'a', .again = 2};
    deadline_arm(&a.deadline, &fast);
    run_until(3);
    run_for(100);
    assert_string_equal(fired, "aaa");
}

/* The one that is disarmed may be the next in the queue, which the loop was about to look at. */
static void test_disarm_next_in_callback(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'}, b = {.letter = 'b'}, c = {.letter = 'c'};
    a.disarm = &b;
    deadline_arm(&a.deadline, &fast);
    deadline_arm(&b.deadline, &fast);
    deadline_arm(&c.deadline, &fast);
    run_until(2);
    run_for(100);
    assert_string_equal(fired, "ac");
}

static void test_arm_other_in_callback(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'}, b = {.letter = 'b'};
    a.arm = &b;
    deadline_arm(&a.deadline, &fast);
    deadline_arm(&b.deadline, &slow); /* moves to fast at about 60 ms */
    run_until(2);
    assert_string_equal(fired, "ab");
    assert_true(b.fired_ms >= a.fired_ms + 60);
}

static void test_armed_again_after_rest(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'};
    deadline_arm(&a.deadline, &fast);
    run_until(1);
    for (int i = 0; i < 100 && uv_is_active((uv_handle_t *)&loop.tick); i++)
        run_for(LOOP_TICK_MS); /* the tick stops for want of work */
    assert_false(uv_is_active((uv_handle_t *)&loop.tick));
    deadline_arm(&a.deadline, &fast);
    run_until(2);
    assert_string_equal(fired, "aa");
}

/* Armed deadlines alone must not keep a loop alive. */
static void test_loop_may_end(void **state)
{
    (void)state;
    struct item a = {.letter = 'a'};
    deadline_arm(&a.deadline, &fast);
    assert_int_equal(uv_run(&loop.uv, UV_RUN_DEFAULT), 0);
    assert_string_equal(fired, "");
    deadline_disarm(&a.deadline);
}

static void test_many(void **state)
{
    (void)state;
    enum { N = 20000 };
    static struct item items[N];
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < N; i++)
        deadline_arm(&items[i].deadline, i % 2 ? &fast : &slow);
    assert_int_equal(loop.armed, N);
    for (size_t i = 0; i < N; i++)
        deadline_disarm(&items[i].deadline);
    assert_int_equal(loop.armed, 0);
    run_for(120);
    assert_string_equal(fired, "");
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_order),
        LOOP_TEST(test_rearm_moves),
        LOOP_TEST(test_disarm),
        LOOP_TEST(test_rearm_in_callback),
        LOOP_TEST(test_disarm_next_in_callback),
        LOOP_TEST(test_arm_other_in_callback),
        LOOP_TEST(test_armed_again_after_rest),
        LOOP_TEST(test_loop_may_end),
        LOOP_TEST(test_many),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
