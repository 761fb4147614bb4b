/* SPDX-License-Identifier: Apache-2.0 */
/* What requests cost at replicas, and which of them is chosen for it. */
#include "support.h"

#include "base/clock.h"
#include "gateway/slots.h"

#define MS UINT64_C(1000)
#define MILLION INT64_C(1000000)

/* ---- the parts ---- */

static void test_wait(void **state)
{
    (void)state;
    static const struct {
        uint32_t slots;
        uint64_t slot_mtok_s, outstanding, us;
    } cases[] = {
        {1, 0, 0, 0},
        {1, 0, 20, 1000000}, /* nothing was measured: 20 tokens a second */
        {4, 0, 20, 250000},  /* all slots yield */
        {1, 50000, 100, 2000000},
        {8, 12500, 100, 1000000},
        {1, 1, 1, 1000000000},
        {SLOTS_MAX, UINT64_MAX, UINT64_MAX, 1000000000 / SLOTS_MAX},
        {1, 1, UINT64_MAX, UINT64_C(1) << 60}, /* and no more */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct yield y = {.slot_mtok_s = cases[i].slot_mtok_s};
        assert_true(cost_wait_us(&y, cases[i].slots, cases[i].outstanding) == cases[i].us);
    }
}

static void test_standing(void **state)
{
    (void)state;
    static const struct {
        uint32_t way_us, slots;
        uint64_t slot_mtok_s;
        int64_t hour;
        uint64_t us;
    } cases[] = {
        {0, 1, 0, 0, 0},
        {50000, 1, 0, 0, 50000},
        /* 3.6 units for 3600 s of 1000 tokens: 1000 nano-units for a token, one unit for a million: 100 ms. */
        {0, 1, 1000000, 3600 * MILLION, 100000},
        {7, 2, 500000, 3600 * MILLION, 100007},
        {0, 1, 0, 72 * MILLION, 100000},         /* not measured: 20 tokens a second */
        {5, 1, 0, -72 * MILLION, 5},             /* power that is paid for being used */
        {0, 1, 1, INT64_MAX, UINT64_C(1) << 60}, /* and no more */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct yield y = {.slot_mtok_s = cases[i].slot_mtok_s};
        struct cost_terms t = {.way_us = cases[i].way_us, .hour = cases[i].hour};
        assert_true(cost_standing_us(&t, &y, cases[i].slots) == cases[i].us);
    }
}

static void test_yield(void **state)
{
    (void)state;
    struct yield y = {0};
    assert_int_equal(yield_slot(&y), SLOT_TOKENS_S * 1000);
    yield_count(&y, 50, 90); /* a hundred, but in too little time */
    yield_sample(&y, 1000, 4);
    assert_int_equal(yield_slot(&y), SLOT_TOKENS_S * 1000);
    yield_sample(&y, 1000, 0); /* nobody was there: that is no time */
    assert_int_equal(yield_slot(&y), SLOT_TOKENS_S * 1000);
    yield_count(&y, 0, 400);
    yield_sample(&y, 1000, 1);
    assert_int_equal(yield_slot(&y), 100000); /* 500 in 5 s of slots */
    for (int i = 0; i < 1000; i++) {
        yield_count(&y, 0, 10);
        yield_sample(&y, 1000, 10);
    }
    assert_in_range(yield_slot(&y), 900, 1200); /* what was is forgotten */
    yield_assume(&y, 7000);
    assert_int_equal(yield_slot(&y), yield_measured(&y)); /* what was measured counts */
    yield_reset(&y);
    assert_true(yield_measured(&y) == 0 && yield_slot(&y) == 7000);
    yield_assume(&y, 0);
    assert_int_equal(yield_slot(&y), SLOT_TOKENS_S * 1000);
}

/* ---- the choice ---- */

#define NB 3

struct there {
    uint32_t way_us, slots, busy;
    int64_t hour;
    uint64_t outstanding, slot_mtok_s;
};

static struct backend *made[NB];
static struct slot_queue queue;

static void build(const struct there *there)
{
    struct uuid model = uid('m', 1);
    slot_queue_init(&queue, &model, 8);
    for (uint32_t i = 0; i < NB; i++) {
        struct backend *b = made[i] = calloc(1, sizeof *b);
        assert_non_null(b);
        b->slots = there[i].slots;
        b->salt = i + 1;
        b->refs = 1;
        b->busy = there[i].busy;
        b->outstanding = there[i].outstanding;
        b->terms.way_us = there[i].way_us;
        b->terms.hour = there[i].hour;
        b->yield.slot_mtok_s = there[i].slot_mtok_s;
    }
}

static void unbuild(void)
{
    for (uint32_t i = 0; i < NB; i++)
        backend_unref(made[i]);
}

/* Which one is taken for a request of so many tokens; NB: none. */
static uint32_t taken(uint64_t prefix, uint64_t tokens)
{
    struct backend *b = slot_take(&queue, made, NB, prefix, tokens);
    for (uint32_t i = 0; i < NB; i++) {
        if (made[i] == b)
            return i;
    }
    assert_null(b);
    return NB;
}

static void give(uint32_t i, uint64_t tokens)
{
    slot_release(&queue, made[i], tokens);
}

static void test_choice(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct there there[NB];
        uint32_t first;
    } cases[] = {
        {"the nearest", {{50000, 4}, {0, 4}, {20000, 4}}, 1},
        {"the cheapest, where all are as near",
         {{0, 1, 0, 30 * MILLION}, {0, 1, 0, 20 * MILLION}, {0, 1, 0, 10 * MILLION}},
         2},
        /* 10 ms of way against 72e6 / 3600 / 20 = 1000 nano-units for a token, 100 ms. */
        {"the way is worth the price", {{10000, 1}, {0, 1, 0, 72 * MILLION}, {200000, 1}}, 0},
        {"the price is not worth the way", {{150000, 1}, {0, 1, 0, 72 * MILLION}, {200000, 1}}, 1},
        /* 100 tokens at 80 a second are 1.25 s. */
        {"the near one is busy", {{50000, 4, 0, 0, 0}, {0, 4, 1, 0, 100}, {90000, 4}}, 0},
        {"but faster than it was thought to be", {{50000, 4}, {0, 4, 1, 0, 100, 1000000}, {90000, 4}}, 1},
        {"the near one is full", {{50000, 4}, {0, 4, 4}, {20000, 4}}, 2},
        {"all are full", {{0, 1, 1}, {0, 2, 2}, {0, 3, 3}}, NB},
        {"of equals the first", {{0, 1}, {0, 1}, {0, 1}}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        build(cases[i].there);
        uint32_t first = taken(0, 10);
        if (first != cases[i].first)
            fail_msg("%s: %u, not %u", cases[i].what, first, cases[i].first);
        if (first < NB)
            give(first, 10);
        unbuild();
    }
}

/* Requests come one after the other while none ends: the near one takes what its wait is less than the way to the far one. */
static void test_overflow(void **state)
{
    (void)state;
    static const struct there there[NB] = {{50000, 2}, {0, 2}, {400000, 2}};
    static const uint32_t order[] = {1, 0, 1, 0, 2, 2, NB}; /* 10 tokens at 40 a second: 250 ms each */
    build(there);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        assert_int_equal(taken(0, 10), order[i]);
    give(2, 10);
    give(1, 10);
    made[1]->suspect_ns = clock_mono_ns() + UINT64_C(60000000000);
    assert_int_equal(taken(0, 10), 2);
    made[1]->suspect_ns = 0;
    assert_int_equal(taken(0, 10), 1);
    for (uint32_t i = 0; i < NB; i++) {
        give(i, 10);
        give(i, 10);
    }
    unbuild();
}

/* A prefix stays with one of those that are near; it goes further only when there is no room. */
static void test_prefix(void **state)
{
    (void)state;
    static const struct there there[NB] = {{10000, 4}, {0, 4}, {AFFINITY_US + 1, 4}};
    uint32_t n[NB + 1] = {0};
    build(there);
    for (uint64_t prefix = 1; prefix <= 200; prefix++) {
        uint32_t first = taken(prefix, 1000), again = taken(prefix, 1000);
        assert_int_equal(again, first); /* though it is busier than the other one */
        n[first]++;
        give(first, 1000);
        give(again, 1000);
    }
    assert_true(n[0] > 60 && n[1] > 60);
    assert_int_equal(n[2] + n[NB], 0);
    uint32_t home = taken(7, AFFINITY_TOKENS + 1), other = taken(7, 1);
    assert_true(home < 2 && other == 1 - home); /* much busier */
    made[0]->busy = made[1]->busy = 4;
    assert_int_equal(taken(7, 1), 2);
    give(2, 1);
    /* Where one alone is near all prefixes are there, for as long as it is not much busier. */
    made[0]->busy = made[1]->busy = 1;
    made[0]->terms.way_us = AFFINITY_US + 1;
    made[0]->outstanding = 0;
    made[1]->outstanding = AFFINITY_TOKENS;
    assert_int_equal(taken(7, 1), 1);
    assert_int_equal(taken(7, 1), 0);
    give(1, 1);
    give(0, 1);
    give(home, AFFINITY_TOKENS + 1);
    give(other, 1);
    unbuild();
}

static uint32_t woken;

static void on_wake(struct grant_box *box)
{
    (void)box;
    woken++;
}

/* A replica that rules deny to a tenant is not granted to it, and whoever waits behind it gets it; with other rules it may. */
static void test_barred(void **state)
{
    (void)state;
    static const struct there there[NB] = {{0, 1}, {0, 1, 1}, {0, 1, 1}};
    const struct slot_bar bars[] = {{.tenant = uid('T', 1), .barred = 5},
                                    {.tenant = uid('T', 2), .barred = 2}};
    struct grant_box box;
    struct slot_waiter first = {.tenant = uid('T', 1), .box = &box},
                       second = {.tenant = uid('T', 3), .box = &box};
    struct backend *allowed[REPLICAS_PER_DEPLOYMENT_MAX];
    assert_null(slot_bar_of(bars, 2, &second.tenant));
    assert_ptr_equal(slot_bar_of(bars, 2, &first.tenant), &bars[0]);
    assert_ptr_equal(slot_bar_of(bars, 2, &bars[1].tenant), &bars[1]);
    build(there);
    assert_int_equal(slot_allowed(made, NB, 5, allowed), 1);
    assert_ptr_equal(allowed[0], made[1]);
    grant_box_init(&box, on_wake);
    made[0]->busy = 1;
    slot_publish(&queue, made, NB, bars, 2);
    assert_int_equal(slot_wait(&queue, &first), 0);
    assert_int_equal(slot_wait(&queue, &second), 0);
    assert_int_equal(woken, 0);
    atomic_fetch_add(&made[0]->refs, 1); /* whoever has its slot */
    slot_release(&queue, made[0], 0);
    assert_int_equal(woken, 1);
    assert_ptr_equal(grant_next(&box), &second);
    assert_ptr_equal(second.backend, made[0]);
    atomic_fetch_add(&made[2]->refs, 1);
    slot_release(&queue, made[2], 0);
    assert_int_equal(woken, 1); /* it is free, and not for the one that waits */
    slot_publish(&queue, made, NB, NULL, 0);
    assert_int_equal(woken, 2);
    assert_ptr_equal(grant_next(&box), &first);
    assert_ptr_equal(first.backend, made[2]);
    slot_release(&queue, made[0], 0);
    slot_release(&queue, made[2], 0);
    slot_publish(&queue, NULL, 0, NULL, 0);
    made[1]->busy = 0;
    unbuild();
}

/* ---- many who wait ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wait),     cmocka_unit_test(test_standing),
                                       cmocka_unit_test(test_yield),    cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_overflow), cmocka_unit_test(test_prefix),
                                       cmocka_unit_test(test_barred)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
