/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters of chips whose real speed is known here and not there: from what the clusters take, core/calibrate finds the speeds, exactly where
 * the measurements agree, within their noise where they do not, and never touches a chip that was not measured.
 */
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "core/calibrate.h"
#include "core/stages.h"

#define UNITS 6u
#define TIMES 24u

struct made {
    uint64_t seed;
    uint32_t units;
    int64_t truth[UNITS];
    struct calibrate_row row[TIMES];
};

/* A pipeline of layers over some of the units; what it takes is off by at most `noise` thousandths. */
static void make_row(struct made *m, struct calibrate_row *row, uint64_t noise)
{
    *row = (struct calibrate_row){.fixed_ps = (int64_t)test_below(&m->seed, 100000000)};
    row->parts = 1 + (uint32_t)test_below(&m->seed, m->units);
    for (uint32_t i = 0; i < row->parts; i++)
        row->part[i] = (struct calibrate_part){.unit = (uint32_t)test_below(&m->seed, m->units),
                                               .ps = (int64_t)(1 + test_below(&m->seed, 60)) *
                                                     (int64_t)(100000000 + test_below(&m->seed, 900000000))};
    int64_t ps = calibrate_ps(row, m->truth);
    row->measured_ps = ps + ps / 1000 * ((int64_t)test_below(&m->seed, 2 * noise + 1) - (int64_t)noise);
}

static void make(struct made *m, uint32_t rows, uint64_t noise)
{
    m->units = 1 + (uint32_t)test_below(&m->seed, UNITS);
    for (uint32_t u = 0; u < m->units; u++)
        m->truth[u] = 500000 + (int64_t)test_below(&m->seed, 4500000);
    for (uint32_t i = 0; i < rows; i++)
        make_row(m, &m->row[i], noise);
}

static void believe(int64_t *factor)
{
    for (uint32_t u = 0; u < UNITS; u++)
        factor[u] = CALIBRATE_ONE;
}

/* Of a prediction, millionths. */
static int64_t off(const struct calibrate_row *row, const int64_t *factor)
{
    return llabs(calibrate_ps(row, factor) - row->measured_ps) / (row->measured_ps / 1000000 + 1);
}

static void agreeing_rows_are_met(void **state)
{
    (void)state;
    struct made m = {.seed = test_seed()};
    uint64_t n = test_count(400, 20000), close = 0, all = 0;
    for (uint64_t i = 0; i < n; i++) {
        int64_t factor[UNITS];
        struct calibrate_row fresh;
        make(&m, TIMES, 0);
        believe(factor);
        assert_int_equal(calibrate(m.row, TIMES, m.units, factor), 0);
        for (uint32_t k = 0; k < 5; k++, all++) {
            make_row(&m, &fresh, 0);
            close += off(&fresh, factor) < 1000;
        }
    }
    print_message("# %llu of %llu predictions are right to a thousandth\n", (unsigned long long)close,
                  (unsigned long long)all);
    assert_true(close >= all - all / 50); /* rows that say nearly the same leave a little undecided */
}

static void noise_is_not_made_worse(void **state)
{
    (void)state;
    struct made m = {.seed = test_seed() + 1};
    uint64_t n = test_count(200, 5000), worst = 0, sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        int64_t factor[UNITS];
        struct calibrate_row fresh;
        make(&m, TIMES, 50);
        believe(factor);
        assert_int_equal(calibrate(m.row, TIMES, m.units, factor), 0);
        make_row(&m, &fresh, 0);
        uint64_t error = (uint64_t)off(&fresh, factor);
        worst = error > worst ? error : worst;
        sum += error;
    }
    print_message("# measurements off by up to 5 %%: predictions by %.2f %% in the mean, %.2f %% at most\n",
                  (double)sum / (double)n / 1e4, (double)worst / 1e4);
    assert_true(sum / n < 25000);
}

static void one_row_is_met_by_the_least_change(void **state)
{
    (void)state;
    struct made m = {.seed = test_seed() + 2};
    for (int i = 0; i < 500; i++) {
        int64_t factor[UNITS];
        make(&m, 1, 0);
        believe(factor);
        assert_int_equal(calibrate(m.row, 1, m.units, factor), 0);
        assert_true(off(&m.row[0], factor) < 100);
        for (uint32_t u = 0; u < m.units; u++) {
            bool named = false;
            for (uint32_t k = 0; k < m.row[0].parts; k++)
                named = named || m.row[0].part[k].unit == u;
            assert_true(named || factor[u] == CALIBRATE_ONE);
        }
        int64_t again[UNITS];
        memcpy(again, factor, sizeof again);
        assert_int_equal(calibrate(m.row, 1, m.units, again), 0);
        for (uint32_t u = 0; u < m.units; u++)
            assert_true(llabs(again[u] - factor[u]) <= 10); /* what is met already is left */
    }
}

static void two_alone_tell_of_both(void **state)
{
    (void)state;
    /* 24 layers of 1 ms believed; alone one takes 30 ms, the other 72: what is half and half takes 51. */
    const int64_t layers = 24000000000;
    const struct calibrate_row rows[] = {{.measured_ps = 30000000000, .parts = 1, .part = {{0, layers}}},
                                         {.measured_ps = 72000000000, .parts = 1, .part = {{1, layers}}}};
    const struct calibrate_row half = {
        .fixed_ps = 1000, .parts = 2, .measured_ps = 1, .part = {{0, layers / 2}, {1, layers / 2}}};
    int64_t factor[] = {CALIBRATE_ONE, CALIBRATE_ONE};
    assert_int_equal(calibrate(rows, 2, 2, factor), 0);
    assert_int_equal(factor[0], 1250000);
    assert_int_equal(factor[1], 3000000);
    assert_int_equal(calibrate_ps(&half, factor), 51000001000);
    assert_int_equal(calibrate(rows, 0, 2, factor), 0);
    assert_int_equal(factor[0], 1250000);
}

static void bad_rows_change_nothing(void **state)
{
    (void)state;
    const struct calibrate_row good = {.measured_ps = 100, .parts = 1, .part = {{0, 50}}};
    struct calibrate_row bad[] = {good, good, good, good, good, good};
    bad[0].measured_ps = 0;
    bad[1].measured_ps = STAGE_PS_MAX + 1;
    bad[2].fixed_ps = -1;
    bad[3].part[0].unit = 2;
    bad[4].part[0].ps = -1;
    bad[5].parts = CALIBRATE_PARTS_MAX + 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct calibrate_row rows[] = {good, bad[i]};
        int64_t factor[] = {CALIBRATE_ONE, CALIBRATE_ONE};
        assert_int_equal(calibrate(rows, 2, 2, factor), ERR_INVALID);
        assert_true(factor[0] == CALIBRATE_ONE && factor[1] == CALIBRATE_ONE);
    }
    int64_t factor[] = {0};
    assert_int_equal(calibrate(&good, 1, 1, factor), ERR_INVALID);
    assert_int_equal(calibrate(&good, 1, CALIBRATE_UNITS_MAX + 1, factor), ERR_INVALID);
    /* Past what is taken for possible it stays at the bound. */
    const struct calibrate_row mad = {.measured_ps = STAGE_PS_MAX, .parts = 1, .part = {{0, 1000}}};
    factor[0] = CALIBRATE_ONE;
    assert_int_equal(calibrate(&mad, 1, 1, factor), 0);
    assert_true(factor[0] >= CALIBRATE_LEAST && factor[0] <= CALIBRATE_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agreeing_rows_are_met), cmocka_unit_test(noise_is_not_made_worse),
        cmocka_unit_test(one_row_is_met_by_the_least_change), cmocka_unit_test(two_alone_tell_of_both),
        cmocka_unit_test(bad_rows_change_nothing)};
    return cmocka_run_group_tests_name("property_calibrate", tests, NULL, NULL);
}
