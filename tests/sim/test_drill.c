/* SPDX-License-Identifier: Apache-2.0 */
/* Drills: how they are written, what they are of, and what they make of an hour's signal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/drill.h"

#define HOUR INT64_C(3600000)

static struct drills drills;
static struct err err;

static void test_read(void **state)
{
    (void)state;
    assert_int_equal(drills_read(&drills, NULL, 0, &err), 0);
    assert_int_equal(drills.n, 0);
    assert_int_equal(drills_read(&drills,
                                 "lose:vendor=nvidia@36h,lose:corridor=cn-a-b@2d+5h,price*1.5@90m,"
                                 "price*2:site=x@1h+1h,drought:wind=0.3@0s+10d,drought:all=0:site=y@1d+1d",
                                 HOUR, &err),
                     0);
    const struct drill *d = drills.list;
    assert_int_equal(drills.n, 6);
    assert_true(d[0].kind == DRILL_LOSE && d[0].target == DRILL_VENDOR && d[0].at_ms == 37 * HOUR);
    assert_true(d[0].until_ms == INT64_MAX);
    assert_string_equal(d[0].name, "nvidia");
    assert_true(d[1].target == DRILL_CORRIDOR && d[1].at_ms == 49 * HOUR && d[1].until_ms == 54 * HOUR);
    assert_string_equal(d[1].name, "cn-a-b");
    assert_true(d[2].kind == DRILL_PRICE && d[2].target == DRILL_ANY && d[2].milli == 1500);
    assert_true(d[3].target == DRILL_SITE && d[3].milli == 2000 && d[3].until_ms == 3 * HOUR);
    assert_true(d[4].kind == DRILL_DROUGHT && d[4].target == DRILL_ANY && d[4].milli == 300);
    assert_true(d[5].target == DRILL_SITE && d[5].milli == 0 && d[5].at_ms == 25 * HOUR);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"lose",
                                      "lose:site=x",
                                      "lose@1h",
                                      "lose:@1h",
                                      "lose:site=@1h",
                                      "lose:sites=x@1h",
                                      "lose:site=x@1q",
                                      "lose:site=x@1h+",
                                      "lose:site=x@1h+0s",
                                      "lose:site=x@+1h",
                                      "lose*2:site=x@1h",
                                      "price@1h",
                                      "price*@1h",
                                      "price*x@1h",
                                      "price*-1@1h",
                                      "price*2000@1h",
                                      "price*2:vendor=x@1h",
                                      "price*2:@1h",
                                      "price*1.2345@1h",
                                      "drought:wind=0.3@1h",
                                      "drought:wind=1.1@1h+1h",
                                      "drought:wind@1h+1h",
                                      "drought:sun=0.3@1h+1h",
                                      "drought@1h+1h",
                                      "drought:wind=0.3:corridor=a-b@1h+1h",
                                      "storm:site=x@1h",
                                      "lose:site=x@1h,",
                                      ",lose:site=x@1h"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err = (struct err){0};
        if (drills_read(&drills, bad[i], 0, &err) != ERR_INVALID)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(strstr(err.msg, "--drill"));
    }
    char many[20 * 16] = "price*2@1h";
    for (int i = 0; i < DRILLS_MAX; i++)
        strcat(many, ",price*2@1h");
    assert_int_equal(drills_read(&drills, many, 0, &err), ERR_LIMIT);
}

static struct net_site site_with(int64_t renewable, int64_t carbon)
{
    struct net_site site = {0};
    site.renewable.v = renewable;
    site.wind.v = 300;
    site.solar.v = 100;
    site.carbon_g_kwh.v = carbon;
    site.price_usd_mwh.v = 50000000;
    return site;
}

static struct event_site_signal after(const char *drill, const struct net_site *site, int64_t price)
{
    struct event_site_signal s = {.price = price, .carbon = 200000, .pue = 1200, .renewable = 800};
    assert_int_equal(drills_read(&drills, drill, 0, &err), 0);
    drill_signal(&drills.list[0], site, &s);
    assert_int_equal(s.pue, 1200);
    return s;
}

static void test_signal(void **state)
{
    (void)state;
    struct net_site site = site_with(500, 250000);
    struct event_site_signal s = after("price*1.5@1h", &site, 40000001);
    assert_true(s.price == 60000001 && s.carbon == 200000 && s.renewable == 800);
    s = after("price*2@1h", &site, -1000);
    assert_true(s.price == -2000);
    s = after("price*1000@1h", &site, INT64_C(900000000000));
    assert_true(s.price == INT64_C(1000000000000));
    /* Three quarters of the renewables are wind, of which 70 % are gone: 42 % of all; the rest emits 500 g. */
    s = after("drought:wind=0.3@1h+1h", &site, 40000000);
    assert_true(s.renewable == 380 && s.carbon == 410000 && s.price == 40000000 + 25200000);
    s = after("drought:hydro=0@1h+1h", &site, 40000000);
    assert_true(s.renewable == 800 && s.carbon == 200000 && s.price == 40000000);
    s = after("drought:all=0@1h+1h", &site, 40000000);
    assert_true(s.renewable == 0 && s.carbon == 600000);
    /* A grid that is nearly all renewable: what comes in its stead is not dirtier than coal; all of it: gas. */
    site = site_with(990, 20000);
    assert_true(after("drought:all=0@1h+1h", &site, 0).carbon == 200000 + 656000);
    site = site_with(1000, 20000);
    assert_true(after("drought:all=0@1h+1h", &site, 0).carbon == 200000 + 392000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_signal)};
    return cmocka_run_group_tests_name("drill", tests, NULL, NULL);
}
