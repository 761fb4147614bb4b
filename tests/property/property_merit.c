/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random plans of core/merit, each with its own proof: capacity and windows hold, thresholds and rents allow no cheaper plan
 * (complementary slackness), and what they add up to is the cost of the plan. Nothing here knows how the plan was found.
 */
#include "support.h"

#include "core/merit.h"

#define SITES 8u
#define HOURS 24u
#define CLASSES 40u

struct made {
    uint64_t seed;
    struct merit_problem problem;
    int64_t capacity[SITES * HOURS], cost[SITES * HOURS], transfer[SITES * SITES];
    struct merit_class class[CLASSES];
};

static struct merit merit;
static int64_t used[SITES * HOURS], done[CLASSES], target[CLASSES * SITES];

/* Few different values give ties, which are what a simplex method can cycle on. */
static int64_t value(struct made *m, uint64_t wide, int64_t lowest)
{
    return lowest + (int64_t)test_below(&m->seed, test_below(&m->seed, 2) ? 4 : wide);
}

static void make(struct made *m)
{
    struct merit_problem *p = &m->problem;
    uint64_t wide = test_below(&m->seed, 3) ? 1000 : MERIT_COST_MAX / 4;
    *p = (struct merit_problem){.sites = 1 + (uint32_t)test_below(&m->seed, SITES),
                                .hours = 1 + (uint32_t)test_below(&m->seed, HOURS),
                                .classes = (uint32_t)test_below(&m->seed, CLASSES + 1),
                                .capacity = m->capacity,
                                .cost = m->cost,
                                .transfer = test_below(&m->seed, 2) ? m->transfer : NULL,
                                .class = m->class};
    for (uint32_t i = 0; i < p->sites * p->hours; i++) {
        m->capacity[i] = value(m, 100, 0);
        m->cost[i] = value(m, wide, test_below(&m->seed, 10) ? 0 : -100);
    }
    for (uint32_t i = 0; i < p->sites * p->sites; i++)
        m->transfer[i] = i % (p->sites + 1) ? value(m, wide / 4, 0) : 0;
    bool dear = test_below(&m->seed, 4);
    for (uint32_t k = 0; k < p->classes; k++) {
        struct merit_class *c = &m->class[k];
        c->sites = test_below(&m->seed, UINT64_C(1) << p->sites);
        c->home = test_below(&m->seed, 4) ? (uint32_t)test_below(&m->seed, p->sites) : MERIT_ANYWHERE;
        c->from = (uint32_t)test_below(&m->seed, p->hours);
        c->until = c->from + (uint32_t)test_below(&m->seed, p->hours - c->from + 1);
        c->amount = value(m, 400, 0);
        c->late = dear ? MERIT_COST_MAX : value(m, wide, 0);
    }
}

/* Capacity and windows hold, and all work is done or late. Returns the cost. */
static int128 holds(const struct made *m)
{
    const struct merit_problem *p = &m->problem;
    struct merit_part part;
    int128 cost = 0;
    uint32_t parts = 0;
    memset(used, 0, sizeof used);
    memset(done, 0, sizeof done);
    for (uint32_t cursor = 0; merit_next(&merit, &cursor, &part); parts++) {
        const struct merit_class *c = &p->class[part.class];
        uint32_t slot = part.site * p->hours + part.hour;
        assert_true(part.amount > 0 && part.hour >= c->from && part.hour < c->until &&
                    c->sites >> part.site & 1);
        used[slot] += part.amount;
        done[part.class] += part.amount;
        cost += (int128)part.amount * p->cost[slot];
        if (p->transfer && c->home != MERIT_ANYWHERE)
            cost += (int128)part.amount * p->transfer[c->home * p->sites + part.site];
    }
    assert_true(parts <= p->classes + p->sites * p->hours);
    for (uint32_t i = 0; i < p->sites * p->hours; i++)
        assert_true(used[i] <= p->capacity[i]);
    merit_targets(&merit, target);
    for (uint32_t k = 0; k < p->classes; k++) {
        assert_true(merit_late(&merit, k) >= 0);
        assert_true(done[k] + merit_late(&merit, k) == p->class[k].amount);
        cost += (int128)merit_late(&merit, k) * p->class[k].late;
        for (uint32_t s = 0; s < p->sites; s++)
            done[k] -= target[k * p->sites + s];
        assert_true(done[k] == 0);
    }
    assert_true(cost == merit_cost(&merit));
    return cost;
}

/* No plan is cheaper: for any plan, each unit of a class costs at least its threshold less the rent of its slot, and
 * rents are paid on no more than the capacity. */
static void proved(const struct made *m, int128 cost)
{
    const struct merit_problem *p = &m->problem;
    int128 bound = 0;
    for (uint32_t i = 0; i < p->sites * p->hours; i++) {
        int64_t rent = merit_rent(&merit, i / p->hours, i % p->hours);
        assert_true(rent >= 0);
        bound -= (int128)rent * p->capacity[i];
    }
    for (uint32_t k = 0; k < p->classes; k++) {
        const struct merit_class *c = &p->class[k];
        int64_t threshold = merit_threshold(&merit, k);
        assert_true(threshold <= c->late);
        bound += (int128)threshold * c->amount;
        for (uint32_t s = 0; s < p->sites; s++) {
            int64_t moving =
                p->transfer && c->home != MERIT_ANYWHERE ? p->transfer[c->home * p->sites + s] : 0;
            for (uint32_t h = c->from; c->sites >> s & 1 && h < c->until; h++)
                assert_true(p->cost[s * p->hours + h] + moving + merit_rent(&merit, s, h) >= threshold);
        }
    }
    assert_true(bound == cost);
}

static void plans_prove_themselves(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t block[64 * (1 + CLASSES + SITES * HOURS)];
    static struct made m;
    struct arena arena;
    uint64_t plans = test_count(20000, 1000000), pivots = 0, most = 0, better = 0, late = 0;
    arena_init(&arena, block, sizeof block);
    assert_int_equal(merit_init(&merit, &arena, SITES, HOURS, CLASSES), 0);
    m.seed = test_seed();
    for (uint64_t i = 0; i < plans; i++) {
        make(&m);
        assert_int_equal(merit_greedy(&merit, &m.problem), 0);
        int128 greedy = holds(&m);
        int rc;
        /* A plan that was cut short holds too, and goes on where it stopped. */
        while ((rc = merit_improve(&merit, 1 + test_below(&m.seed, 20))) == ERR_LIMIT &&
               merit.pivots < 100000) {
            int128 between = holds(&m);
            assert_true(between <= greedy);
        }
        assert_int_equal(rc, 0);
        int128 cost = holds(&m);
        proved(&m, cost);
        pivots += merit.pivots;
        most = merit.pivots > most ? merit.pivots : most;
        better += cost < greedy;
        for (uint32_t k = 0; k < m.problem.classes; k++)
            late += merit_late(&merit, k) > 0;
    }
    print_message("# %llu plans, %llu of them cheaper than the greedy one; %llu classes late in part; "
                  "%llu pivots, at most %llu\n",
                  (unsigned long long)plans, (unsigned long long)better, (unsigned long long)late,
                  (unsigned long long)pivots, (unsigned long long)most);
    assert_true(better > plans / 10 && late > plans / 10);
}

static void bad_problems_are_refused(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t block[4096];
    int64_t capacity[4] = {1, 1, 1, 1}, cost[4] = {1, 2, 3, 4};
    struct merit_class class = {.sites = 3, .home = 0, .from = 0, .until = 2, .amount = 1, .late = 9};
    struct merit_problem p = {2, 2, 1, capacity, cost, NULL, &class};
    struct arena arena;
    arena_init(&arena, block, sizeof block);
    assert_int_equal(merit_init(&merit, &arena, MERIT_SITES_MAX + 1, 1, 1), ERR_LIMIT);
    assert_int_equal(merit_init(&merit, &arena, MERIT_SITES_MAX, MERIT_HOURS_MAX, 1), ERR_NO_MEMORY);
    arena_reset(&arena);
    assert_int_equal(merit_init(&merit, &arena, 2, 2, 1), 0);
    assert_int_equal(merit_greedy(&merit, &p), 0);
    p.classes = 2;
    assert_int_equal(merit_greedy(&merit, &p), ERR_LIMIT);
    p.classes = 1;
    const struct merit_class good = class;
    const struct merit_class bad[] = {
        {.sites = 7, .home = 0, .from = 0, .until = 2, .amount = 1, .late = 9},
        {.sites = 3, .home = 2, .from = 0, .until = 2, .amount = 1, .late = 9},
        {.sites = 3, .home = 0, .from = 0, .until = 3, .amount = 1, .late = 9},
        {.sites = 3, .home = 0, .from = 2, .until = 1, .amount = 1, .late = 9},
        {.sites = 3, .home = 0, .from = 0, .until = 2, .amount = -1, .late = 9},
        {.sites = 3, .home = 0, .from = 0, .until = 2, .amount = MERIT_AMOUNT_MAX + 1, .late = 9},
        {.sites = 3, .home = 0, .from = 0, .until = 2, .amount = 1, .late = MERIT_COST_MAX + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        class = bad[i];
        assert_int_equal(merit_greedy(&merit, &p), ERR_INVALID);
    }
    class = good;
    capacity[3] = -1;
    assert_int_equal(merit_greedy(&merit, &p), ERR_INVALID);
    capacity[3] = 1;
    cost[0] = -MERIT_COST_MAX - 1;
    assert_int_equal(merit_greedy(&merit, &p), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans_prove_themselves),
                                       cmocka_unit_test(bad_problems_are_refused)};
    return cmocka_run_group_tests_name("property_merit", tests, NULL, NULL);
}
