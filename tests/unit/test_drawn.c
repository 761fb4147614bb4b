/* SPDX-License-Identifier: Apache-2.0 */
/* What model servers draw, on its way from the machine to the hub's call: estimates by power and time, and what of totals is told. */
#include "support.h"

#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/drawn.h"
#include "site/totals.h"

static const char catalogue[] = "chips:\n"
                                "  - {name: cpu, vendor: various, tdp_w: 400}\n"
                                "  - {name: big, vendor: various, tdp_w: 700}\n";

static struct chipset *chipset;

static int setup(void **state)
{
    struct err err = {0};
    (void)state;
    return chipset_parse(&chipset, catalogue, sizeof catalogue - 1, "test", &err);
}

static int teardown(void **state)
{
    (void)state;
    chipset_free(chipset);
    return 0;
}

static void wait_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};
    assert_int_equal(nanosleep(&t, NULL), 0);
}

/* Two chips of its own, 700 W each, for as long as it runs, whatever it does; processors' measured energy comes on top of it. */
static void test_own_chips(void **state)
{
    (void)state;
    char kind[] = "big";
    struct drawn d;
    drawn_init(&d, chipset, kind, 2);
    assert_true(d.run > 0);
    assert_int_equal(drawn_mj(&d), 0);
    drawn_start(&d);
    assert_true(d.known && d.estimated);
    wait_ms(50);
    drawn_look(&d, getpid());
    const uint64_t first = drawn_mj(&d);
    assert_true(first >= 50 * 1400);
    drawn_stop(&d);
    const uint64_t stopped = drawn_mj(&d);
    wait_ms(20);
    drawn_look(&d, 0);
    assert_true(drawn_mj(&d) == stopped && stopped >= first);
    drawn_start(&d); /* its next process: the total goes on */
    wait_ms(10);
    drawn_look(&d, 0);
    assert_true(drawn_mj(&d) >= stopped + 10 * 1400);
    drawn_stop(&d);
}

/* Without chips of its own its part of the processors' time counts; idle time draws nothing. */
static void test_shared(void **state)
{
    (void)state;
    char none[] = "";
    struct drawn d;
    drawn_init(&d, chipset, none, 0);
    drawn_start(&d);
    assert_true(d.known);
    drawn_look(&d, getpid());
    const uint64_t before = drawn_mj(&d);
    for (clock_t end = clock() + CLOCKS_PER_SEC / 10; clock() < end;)
        ;
    drawn_look(&d, getpid());
    assert_true(drawn_mj(&d) > before);
    drawn_stop(&d);
}

/* Nothing is told where no power is known. */
static void test_unknown(void **state)
{
    (void)state;
    char kind[] = "abacus";
    struct drawn d;
    drawn_init(&d, NULL, kind, 1);
    drawn_start(&d);
    assert_true(d.known == (d.meter.domains_count > 0));
    drawn_stop(&d);
}

/* ---- totals ---- */

static struct serve_used used(uint32_t ordinal, uint64_t run, uint64_t mj, bool final)
{
    return (struct serve_used){.deployment = uid('D', 1),
                               .ordinal = ordinal,
                               .epoch = 3,
                               .run = run,
                               .energy_mj = mj,
                               .estimated = true,
                               .final = final};
}

static bool take(struct totals *t, struct serve_used u)
{
    return totals_take(t, &u);
}

/* What would be told now. */
static uint32_t count(struct totals *t, const char *words)
{
    struct buf out;
    uint32_t n = 0;
    buf_init(&out, 1 << 20);
    totals_add(t, &out);
    buf_add_char(&out, 0);
    assert_false(out.failed);
    for (const char *at = out.data; (at = strstr(at, words)) != NULL; at++)
        n++;
    buf_fini(&out);
    return n;
}

static void test_totals(void **state)
{
    (void)state;
    struct totals *t = totals_new();
    assert_int_equal(count(t, "{"), 0);
    assert_true(take(t, used(0, 7, 100, false)));
    assert_true(take(t, used(1, 7, 50, false)));
    assert_int_equal(count(t, "{\"deployment\":"), 2);
    assert_int_equal(
        count(t, "\"ordinal\":1,\"epoch\":3,\"run\":7,\"energy_mj\":50,\"estimated\":true,\"final\":false"),
        1);
    assert_true(take(t, used(1, 7, 60, false))); /* while the call is under way */
    assert_true(totals_told(t));
    assert_int_equal(count(t, "{"), 1);
    assert_int_equal(count(t, "\"energy_mj\":60"), 1);
    assert_int_equal(count(t, "\"energy_mj\":60"), 1); /* the call failed: again */
    assert_false(totals_told(t));
    assert_int_equal(count(t, "{"), 0);
    assert_false(take(t, used(1, 7, 60, false))); /* nothing new */
    assert_true(take(t, used(1, 8, 0, false)));
    assert_true(take(t, used(0, 7, 100, true)));
    assert_int_equal(count(t, "\"final\":true"), 1);
    assert_false(totals_told(t));
    assert_true(take(t, used(0, 7, 100, false))); /* the last one was forgotten, so this one is new */
    totals_free(t);
}

/* In parts. */
static void test_many(void **state)
{
    (void)state;
    struct totals *t = totals_new();
    for (uint32_t i = 0; i < TOTALS_CALL_MAX + 3; i++)
        assert_true(take(t, used(i, 1, 1, true)));
    assert_int_equal(count(t, "{"), TOTALS_CALL_MAX);
    assert_true(totals_told(t));
    assert_int_equal(count(t, "{"), 3);
    assert_false(totals_told(t));
    totals_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_chips), cmocka_unit_test(test_shared),
                                       cmocka_unit_test(test_unknown), cmocka_unit_test(test_totals),
                                       cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
