/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and moments as people write them. */
#include <string.h>

#include "base/clock.h"
#include "base/timetext.h"
#include "support.h"

#define NOW_MS INT64_C(1800000000000)

static uint64_t span(const char *text)
{
    uint64_t seconds = 0;
    return span_parse(text, strlen(text), &seconds) ? seconds : 0;
}

static uint64_t slurm(const char *text)
{
    uint64_t seconds = 0;
    return span_parse_slurm(text, strlen(text), &seconds) ? seconds : 0;
}

static int64_t moment(const char *text)
{
    int64_t ms = -1;
    (void)moment_parse(text, strlen(text), NOW_MS, &ms);
    return ms;
}

static void test_spans(void **state)
{
    static const char *const wrong[] = {
        "", "s", "90", "0s", "-1s", "1.5h", "1y", "1 h", "401d", "1h1m", "99999999999999999999s"};
    (void)state;
    assert_int_equal(span("90s"), 90);
    assert_int_equal(span("45m"), 2700);
    assert_int_equal(span("2h"), 7200);
    assert_int_equal(span("1d"), 86400);
    assert_int_equal(span("8w"), 8 * 604800);
    assert_int_equal(span("400d"), SPAN_S_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(span(wrong[i]), 0);
}

static void test_slurm(void **state)
{
    static const char *const wrong[] = {
        "",   "0",  "0:0", ":",     "1:", ":1",     "1:60",      "1:2:3:4", "1-24", "1-2:60",     "1-2:3:60",
        "-1", "1-", "--1", "1-1-1", "x",  "1:60:0", "UNLIMITED", "401-0",   "+5",   "9999999999", "1 :2"};
    (void)state;
    assert_int_equal(slurm("10m"), 600);
    assert_int_equal(slurm("30"), 30 * 60);
    assert_int_equal(slurm("90"), 90 * 60);
    assert_int_equal(slurm("5:30"), 330);
    assert_int_equal(slurm("120:00"), 7200);
    assert_int_equal(slurm("01:30:00"), 5400);
    assert_int_equal(slurm("48:00:01"), 172801);
    assert_int_equal(slurm("2-0"), 172800);
    assert_int_equal(slurm("1-12"), 129600);
    assert_int_equal(slurm("1-12:30"), 131400);
    assert_int_equal(slurm("1-12:30:15"), 131415);
    assert_int_equal(slurm("0-00:00:01"), 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(slurm(wrong[i]), 0);
}

static void test_moments(void **state)
{
    static const char *const wrong[] = {"",
                                        "+",
                                        "+2",
                                        "+0s",
                                        "2h",
                                        "now",
                                        "2027-01-15",
                                        "2027-01-15T08:00:00",
                                        "2027-01-15T08:00Z",
                                        "2027-13-15T08:00:00Z",
                                        "2027-02-29T08:00:00Z",
                                        "2027-01-15T24:00:00Z",
                                        "2027-01-15T08:00:00.Z",
                                        "2027-01-15T08:00:00Zx",
                                        "2027-01-15T08:00:00+2",
                                        "2027-01-15T08:00:00+25:00"};
    char text[25];
    (void)state;
    assert_int_equal(moment("+30m"), NOW_MS + 1800000);
    assert_int_equal(moment("2027-01-15T08:00:00Z"), NOW_MS);
    assert_int_equal(moment("2027-01-15T08:00:00.25Z"), NOW_MS + 250);
    assert_int_equal(moment("2027-01-15T10:00:00+02:00"), NOW_MS);
    assert_int_equal(moment("2027-01-15 02:30:00-05:30"), NOW_MS);
    clock_format(text, moment("2028-02-29T23:59:59.999Z"));
    assert_string_equal(text, "2028-02-29T23:59:59.999Z");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(moment(wrong[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spans), cmocka_unit_test(test_slurm),
                                       cmocka_unit_test(test_moments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
