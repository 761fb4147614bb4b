/* SPDX-License-Identifier: Apache-2.0 */
/* What a simulation assumes of jobs: how it is written, and that it falls on the share that it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/kinds.h"
#include "sim/duration.h"
#include "sim/traits.h"

static void test_duration(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(duration_read("90s", &ms), 0);
    assert_int_equal(ms, 90000);
    assert_int_equal(duration_read("2y", &ms), 0);
    assert_int_equal(ms, INT64_C(730) * 86400000);
    static const char *const bad[] = {
        "", "s", "-1s", " 1s", "1", "1w", "1sx", "100001d", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(duration_read(bad[i], &ms), ERR_INVALID);
}

static void test_share(void **state)
{
    (void)state;
    struct traits traits;
    struct err err = {0};
    uint32_t interruptible = 0, deferrable = 0;
    assert_int_equal(traits_read(&traits, "interruptible=50,checkpoint=5m,deferrable=30:24h", 7, &err), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        struct event_job_submit request = {0}, again = {0};
        traits_apply(&traits, i, 1000, &request);
        traits_apply(&traits, i, 1000, &again);
        assert_memory_equal(&request, &again, sizeof request);
        interruptible += request.flags == JOB_INTERRUPTIBLE && request.checkpoint_ms == 300000;
        deferrable += request.start_by_ms == 86401000;
    }
    assert_in_range(interruptible, 4800, 5200);
    assert_in_range(deferrable, 2800, 3200);
}

/* What a checkpoint costs, and how long what it saved still runs. */
static void test_checkpoint(void **state)
{
    (void)state;
    struct traits traits;
    struct err err = {0};
    struct event_job_submit request = {0};
    assert_int_equal(traits_read(&traits, "interruptible=100,checkpoint=5m:1h", 7, &err), 0);
    traits_apply(&traits, 0, 1000, &request);
    assert_true(request.checkpoint_ms == 300000 && request.checkpoint_every_ms == 3600000);
    assert_int_equal(traits_run_ms(&traits, 0, 1000000, 0), 1000000);
    assert_int_equal(traits_run_ms(&traits, 0, 1000000, 400000), 900000);
    assert_int_equal(traits_read(&traits, "interruptible=100,checkpoint=0s", 7, &err), 0);
    assert_int_equal(traits.checkpoint_ms, 1); /* 0 would say that it writes none */
    assert_int_equal(traits_read(&traits, "interruptible=100", 7, &err), 0);
    assert_int_equal(traits.checkpoint_ms, 0);
    assert_int_equal(traits_read(&traits, "checkpoint=5m:", 7, &err), ERR_INVALID);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"x",
                                      "interruptible",
                                      "interruptible=101",
                                      "interruptible=5x",
                                      "checkpoint=",
                                      "deferrable=30",
                                      "deferrable=30:",
                                      "green=1",
                                      "interruptible=1,,"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct traits traits;
        struct err err = {0};
        assert_int_equal(traits_read(&traits, bad[i], 1, &err), ERR_INVALID);
        assert_non_null(strstr(err.msg, "--traits"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_duration), cmocka_unit_test(test_share),
                                       cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
