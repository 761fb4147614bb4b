/* SPDX-License-Identifier: Apache-2.0 */
/* The time of events, while the wall clock is set forward and back. */
#include "base/clock.h"
#include "runtime/event_clock.h"
#include "support.h"

#define START_MS INT64_C(1800000000000)
#define HOUR_MS INT64_C(3600000)
#define BOOT_MS UINT64_C(7000000)

static void test_follows(void **state)
{
    (void)state;
    struct event_clock clock;
    event_clock_init(&clock, 0, START_MS, BOOT_MS);
    assert_int_equal(event_clock_at(&clock, START_MS, BOOT_MS), START_MS);
    assert_int_equal(event_clock_at(&clock, START_MS + 5, BOOT_MS + 5), START_MS + 5);
    assert_int_equal(event_clock_at(&clock, START_MS + HOUR_MS, BOOT_MS + 6), START_MS + HOUR_MS);
    assert_int_equal(event_clock_lead_ms(&clock, START_MS + HOUR_MS, BOOT_MS + 6), 0);
}

/* Set back, it goes on at nearly its pace, and is in line again when it has drawn level. */
static void test_set_back(void **state)
{
    (void)state;
    struct event_clock clock;
    int64_t last_ms = START_MS, lead_ms = HOUR_MS;
    event_clock_init(&clock, 0, START_MS, BOOT_MS);
    const int64_t step_ms = 10007, wall_ms = START_MS - HOUR_MS;
    int64_t ran_ms = 0;
    while (lead_ms > 0 && ran_ms < 100 * HOUR_MS) {
        ran_ms += step_ms;
        int64_t now_ms = event_clock_at(&clock, wall_ms + ran_ms, BOOT_MS + (uint64_t)ran_ms);
        assert_in_range(now_ms - last_ms, step_ms - step_ms / EVENT_CLOCK_SLEW - 1, step_ms);
        lead_ms = event_clock_lead_ms(&clock, wall_ms + ran_ms, BOOT_MS + (uint64_t)ran_ms);
        last_ms = now_ms;
    }
    assert_in_range(ran_ms, EVENT_CLOCK_SLEW * HOUR_MS, EVENT_CLOCK_SLEW * HOUR_MS + step_ms);
    assert_int_equal(last_ms, wall_ms + ran_ms);
}

/* Time in which it was in line is no credit by which it may stand later. */
static void test_no_credit(void **state)
{
    (void)state;
    struct event_clock clock;
    event_clock_init(&clock, 0, START_MS, BOOT_MS);
    int64_t on_ms = START_MS + 100 * HOUR_MS;
    uint64_t boot_ms = BOOT_MS + 100 * (uint64_t)HOUR_MS;
    assert_int_equal(event_clock_at(&clock, on_ms, boot_ms), on_ms);
    assert_int_equal(event_clock_at(&clock, on_ms - HOUR_MS, boot_ms), on_ms);
    assert_int_equal(event_clock_at(&clock, on_ms - HOUR_MS + 64, boot_ms + 64), on_ms + 63);
}

/* Two readings of the clocks, each cut to a millisecond, differ by one: nothing goes back. */
static void test_never_back(void **state)
{
    (void)state;
    struct event_clock clock;
    event_clock_init(&clock, START_MS + HOUR_MS, START_MS, BOOT_MS);
    int64_t last_ms = event_clock_at(&clock, START_MS, BOOT_MS);
    assert_int_equal(last_ms, START_MS + HOUR_MS); /* of the last event before a restart */
    for (uint64_t i = 1; i < 2000; i++) {
        int64_t wall_ms = START_MS + (int64_t)i + (i % 3 == 0) - (i % 500 == 0 ? HOUR_MS : 0);
        int64_t now_ms = event_clock_at(&clock, wall_ms, BOOT_MS + i);
        assert_true(now_ms >= last_ms);
        last_ms = now_ms;
    }
    assert_in_range(last_ms, START_MS + HOUR_MS + 1900, START_MS + HOUR_MS + 2000);
}

/* Ages are taken from it, whatever the wall clock says. */
static void test_used(void **state)
{
    (void)state;
    struct event_clock clock;
    event_clock_init(&clock, 0, clock_wall_ms() + HOUR_MS, clock_boot_ms()); /* an hour ahead */
    assert_int_equal(event_clock_used(&clock, 0), 0);
    int64_t now_ms = event_clock_peek(&clock);
    assert_in_range(event_clock_used(&clock, 5000) - (now_ms - 5000), 0, 1000);
    assert_int_equal(event_clock_used(&clock, (uint64_t)now_ms + HOUR_MS),
                     1); /* a nonsense, and refused as that */
    assert_int_equal(event_clock_used(&clock, UINT64_MAX), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows),    cmocka_unit_test(test_set_back), cmocka_unit_test(test_no_credit),
        cmocka_unit_test(test_never_back), cmocka_unit_test(test_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
