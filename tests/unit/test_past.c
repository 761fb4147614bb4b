/* SPDX-License-Identifier: Apache-2.0 */
/* Totals that a site could not tell: one of each hour, in order, and of a bounded number; and how old what it tells is. */
#include "support.h"

#include "base/clock.h"
#include "site/end.h"
#include "site/past.h"

#define MINUTE UINT64_C(60000)

static struct past_total total(uint64_t wall_ms)
{
    return (struct past_total){.meter = {.chip_ms = wall_ms}, .wall_ms = wall_ms};
}

static void test_one_an_hour(void **state)
{
    (void)state;
    struct past past = {0};
    struct past_total last = total(0);
    for (uint64_t ms = MINUTE; ms < 300 * MINUTE; ms += MINUTE) {
        past_keep(&past, &last, ms);
        last = total(ms);
    }
    assert_int_equal(past.n, 4);
    for (uint32_t i = 0; i < past.n; i++)
        assert_true(past.total[i].wall_ms == (59 + 60 * i) * MINUTE &&
                    past.total[i].meter.chip_ms == past.total[i].wall_ms);
    past_heard(&past, 0);
    past_heard(&past, 3);
    assert_true(past.n == 1 && past.total[0].wall_ms == 239 * MINUTE);
    past_keep(&past, &last, 10 * MINUTE); /* the clock was set back: another hour all the same */
    assert_true(past.n == 2 && past.total[1].wall_ms == 299 * MINUTE);
    past_free(&past);
    assert_int_equal(past.n, 0);
}

static void test_full(void **state)
{
    (void)state;
    struct past past = {0};
    for (uint64_t hour = 0; hour < PAST_MAX + 5; hour++) {
        const struct past_total last = total(60 * hour * MINUTE);
        past_keep(&past, &last, 60 * (hour + 1) * MINUTE);
    }
    assert_int_equal(past.n, PAST_MAX);
    assert_true(past.total[PAST_MAX - 2].wall_ms == 60 * (PAST_MAX - 2) * MINUTE);
    assert_true(past.total[PAST_MAX - 1].wall_ms == 60 * (PAST_MAX + 4) * MINUTE);
    past_free(&past);
}

static void test_age(void **state)
{
    (void)state;
    const uint64_t now_ms = (uint64_t)clock_wall_ms();
    assert_true(site_age_ms(0) == 0 && site_age_ms(now_ms + 60 * MINUTE) == 0 &&
                site_age_ms(UINT64_MAX) == 0);
    const uint64_t age_ms = site_age_ms(now_ms - 60 * MINUTE);
    assert_true(age_ms >= 60 * MINUTE && age_ms < 70 * MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_an_hour), cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_age)};
    return cmocka_run_group_tests_name("past", tests, NULL, NULL);
}
