/* SPDX-License-Identifier: Apache-2.0 */
/* What a site finds of its way to the hub, and what of that the hub takes for news. */
#include "support.h"

#include "hub/measure.h"
#include "site/gauge.h"

#define MIB ((size_t)1 << 20)
#define SECOND UINT64_C(1000000) /* microseconds */

/* A piece that begins then, of so many chunks, one each so often; when it has ended. */
static uint64_t comes(struct gauge *g, uint64_t at_us, uint32_t chunks, size_t chunk, uint64_t every_us)
{
    struct gauge_piece piece = {0};
    for (uint32_t i = 0; i < chunks; i++)
        gauge_comes(g, &piece, chunk, at_us += every_us);
    gauge_came(g, &piece, at_us);
    return at_us;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct gauge g = {0};
    gauge_round(&g, 70000);
    gauge_round(&g, 51000);
    assert_int_equal(gauge_rtt_us(&g), 0); /* two are none */
    gauge_round(&g, 90000);
    assert_int_equal(gauge_rtt_us(&g), 51000); /* the least: what is more is the hub's */
    for (uint32_t i = 0; i < GAUGE_ROUNDS - 1; i++)
        gauge_round(&g, 80000 + i);
    assert_int_equal(gauge_rtt_us(&g), 80000); /* a way that is longer now is found out */
    gauge_round(&g, 0);
    assert_int_equal(gauge_rtt_us(&g), 1); /* known, however short */
    gauge_round(&g, UINT64_MAX);
    assert_int_equal(gauge_rtt_us(&g), 1);
}

static void test_rate(void **state)
{
    (void)state;
    struct gauge g = {0};
    struct gauge_piece slow = {0};
    assert_true(gauge_bits_s(&g, GAUGE_HERE) == 0);
    /* The first quarter of a MiB may come as slowly as it likes. */
    gauge_comes(&g, &slow, GAUGE_SKIP, SECOND);
    gauge_comes(&g, &slow, MIB, 2 * SECOND);
    gauge_came(&g, &slow, 2 * SECOND);
    assert_true(gauge_bits_s(&g, GAUGE_HERE) == MIB * 8);
    /* One that is too small tells nothing, nor does one that came at once. */
    (void)comes(&g, 3 * SECOND, 1, GAUGE_LEAST - 1, 10);
    (void)comes(&g, 3 * SECOND, 1, 4 * MIB, 10);
    assert_int_equal(g.pieces[GAUGE_HERE], 1);
    /* The median: one flap, or one burst, changes nothing. */
    uint64_t at_us = 10 * SECOND;
    for (uint32_t i = 0; i < GAUGE_PIECES; i++)
        at_us = comes(&g, at_us, 16, 4 * MIB / 16, 10000 + i); /* 209.7 Mbit/s and less */
    const uint64_t usual = gauge_bits_s(&g, GAUGE_HERE);
    assert_true(usual > 209000000 && usual < 210000000);
    at_us = comes(&g, at_us, 16, 4 * MIB / 16, 1000000);
    at_us = comes(&g, at_us, 16, 4 * MIB / 16, 10);
    assert_true(gauge_bits_s(&g, GAUGE_HERE) / 1000000 == usual / 1000000);
    assert_true(gauge_bits_s(&g, GAUGE_BACK) == 0);
}

/* Of three pieces at a time each comes at a third of what the way has; what counts is what all of them are. */
static void test_shared(void **state)
{
    (void)state;
    struct gauge g = {0};
    struct gauge_piece piece[3] = {{0}};
    uint64_t at_us = SECOND;
    for (uint32_t i = 0; i < 3 * 16; i++)
        gauge_comes(&g, &piece[i % 3], MIB / 4, at_us += 10000);
    for (uint32_t i = 0; i < 3; i++)
        gauge_came(&g, &piece[i], at_us);
    const uint64_t found = gauge_bits_s(&g, GAUGE_HERE), all = MIB / 4 * 8 * 100;
    assert_true(found > all * 99 / 100 && found < all * 101 / 100);
}

static void test_went(void **state)
{
    (void)state;
    struct gauge g = {0};
    gauge_went(&g, 4 * MIB, 2 * SECOND);
    assert_true(gauge_bits_s(&g, GAUGE_BACK) == 0); /* the round trip is not known */
    for (uint32_t i = 0; i < GAUGE_ROUNDS_LEAST; i++)
        gauge_round(&g, SECOND);
    gauge_went(&g, 4 * MIB, 3 * SECOND);
    gauge_went(&g, 1000, SECOND + 1);
    gauge_went(&g, 4 * MIB, SECOND);
    assert_true(gauge_bits_s(&g, GAUGE_BACK) == 4 * MIB * 8 / 2);
    assert_int_equal(g.pieces[GAUGE_BACK], 1);
}

/* ---- what the hub takes for news ---- */

static void test_news(void **state)
{
    (void)state;
    const int64_t now_ms = 1000000;
    const struct row_corridor none = {.id = uid('C', 1)};
    const struct row_corridor row = {.there_bits_s = 1000000,
                                     .back_bits_s = 500000,
                                     .measured_rtt = 50000,
                                     .measured_ms = now_ms - MEASURE_AGAIN_MS};
    const struct {
        const struct row_corridor *row;
        uint64_t there, back;
        uint32_t rtt;
        int64_t at_ms;
        uint64_t news_there, news_back;
        uint32_t news_rtt;
    } cases[] = {{&none, 0, 0, 0, now_ms, 0, 0, 0},
                 {&none, 7, 0, 300, now_ms, 7, 0, 300},
                 {&row, 0, 0, 0, now_ms, 0, 0, 0}, /* nothing is known any more: what was known holds */
                 {&row, 1250000, 400000, 59000, now_ms, 0, 0, 0}, /* no more than a part of it */
                 {&row, 1250001, 374999, 60001, now_ms, 1250001, 374999, 60001},
                 {&row, 749999, 500000, 39999, now_ms, 749999, 0, 39999},
                 {&row, 2000000, 100000, 90000, now_ms - 1, 0, 0, 0}}; /* too soon again */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct event_corridor_measure told = {
            .there_bits_s = cases[i].there, .back_bits_s = cases[i].back, .rtt = cases[i].rtt};
        struct event_corridor_measure news;
        const bool any = measure_news(cases[i].row, &told, cases[i].at_ms, &news);
        assert_int_equal(any, cases[i].news_there || cases[i].news_back || cases[i].news_rtt);
        assert_true(news.there_bits_s == cases[i].news_there && news.back_bits_s == cases[i].news_back &&
                    news.rtt == cases[i].news_rtt);
        assert_true(uuid_eq(&news.corridor, &cases[i].row->id));
    }
    /* On a way that is next to nothing a part of it is nothing. */
    const struct row_corridor near = {.measured_rtt = 300, .measured_ms = 1};
    struct event_corridor_measure news;
    assert_false(measure_news(&near, &(struct event_corridor_measure){.rtt = 1200}, now_ms, &news));
    assert_true(measure_news(&near, &(struct event_corridor_measure){.rtt = 1300}, now_ms, &news));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_rate),
                                       cmocka_unit_test(test_shared), cmocka_unit_test(test_went),
                                       cmocka_unit_test(test_news)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
