/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random pipelines against brute force: every way to group the chips of each node, to share the layers and to place the head is tried, and
 * the least sum, the least maximum, and the least maximum within a sum are those that core/stages finds, with plans that hold.
 */
#include "support.h"

#include "core/stages.h"

#define NODES 3u
#define CHOICES 3u
#define UNITS 3u
#define LAYERS 7u

struct made {
    uint64_t seed;
    struct stage_problem problem;
    struct stage_node node[NODES];
    struct stage_choice choice[NODES * CHOICES];
    struct stage_unit unit[NODES * CHOICES * UNITS];
};

static void make(struct made *m)
{
    uint32_t choices = 0, units = 0;
    m->problem = (struct stage_problem){.layers = 1 + (uint32_t)test_below(&m->seed, LAYERS),
                                        .nodes = 1 + (uint32_t)test_below(&m->seed, NODES),
                                        .node = m->node,
                                        .choice = m->choice,
                                        .unit = m->unit};
    uint64_t few = test_below(&m->seed, 2) ? 4 : 50; /* ties */
    for (uint32_t n = 0; n < m->problem.nodes; n++) {
        m->node[n] = (struct stage_node){choices, 1 + (uint32_t)test_below(&m->seed, CHOICES)};
        for (uint32_t c = 0; c < m->node[n].choices; c++) {
            m->choice[choices] = (struct stage_choice){units, 1 + (uint32_t)test_below(&m->seed, UNITS)};
            for (uint32_t u = 0; u < m->choice[choices].units; u++) {
                struct stage_unit *unit = &m->unit[units++];
                unit->layer_ps = 1 + (int64_t)test_below(&m->seed, few);
                unit->hop_ps = (int64_t)test_below(&m->seed, 30);
                unit->head_ps = (int64_t)test_below(&m->seed, 20);
                unit->layers_max = (uint32_t)test_below(&m->seed, m->problem.layers + 2);
                unit->layers_max_head = (uint32_t)test_below(&m->seed, unit->layers_max + 1);
            }
            choices++;
        }
    }
}

/* ---- every plan there is ---- */

struct found {
    int64_t sum, most;   /* the least; INT64_MAX: there is no plan */
    int64_t limit;       /* of the sum */
    int64_t most_within; /* the least maximum of plans within it */
};

struct so_far {
    uint32_t left, stages;
    bool head;
    int64_t sum, most; /* hops counted */
    int64_t bare;      /* of the only stage, without its hop */
};

static void try_units(const struct made *m, uint32_t n, uint32_t u, uint32_t end, struct so_far at,
                      struct found *found);

static void try_node(const struct made *m, uint32_t n, struct so_far at, struct found *found)
{
    if (n == m->problem.nodes) {
        if (at.left > 0 || !at.head)
            return;
        int64_t sum = at.stages == 1 ? at.bare : at.sum, most = at.stages == 1 ? at.bare : at.most;
        found->sum = sum < found->sum ? sum : found->sum;
        found->most = most < found->most ? most : found->most;
        if (sum <= found->limit && most < found->most_within)
            found->most_within = most;
        return;
    }
    for (uint32_t c = m->node[n].first; c < m->node[n].first + m->node[n].choices; c++)
        try_units(m, n, m->choice[c].first, m->choice[c].first + m->choice[c].units, at, found);
}

static void try_units(const struct made *m, uint32_t n, uint32_t u, uint32_t end, struct so_far at,
                      struct found *found)
{
    if (u == end) {
        try_node(m, n + 1, at, found);
        return;
    }
    try_units(m, n, u + 1, end, at, found);
    const struct stage_unit *unit = &m->unit[u];
    for (uint32_t head = 0; head <= !at.head; head++) {
        uint32_t most = head ? unit->layers_max_head : unit->layers_max;
        for (uint32_t k = 1; k <= most && k <= at.left; k++) {
            int64_t bare = k * unit->layer_ps + (head ? unit->head_ps : 0), ps = bare + unit->hop_ps;
            struct so_far next = {
                at.left - k, at.stages + 1, at.head || head, at.sum + ps, ps > at.most ? ps : at.most, bare};
            try_units(m, n, u + 1, end, next, found);
        }
    }
}

/* ---- what was found ---- */

/* Each node has one choice, each unit so many layers as it holds, all layers are there and one head; the times are those of the stages. */
static void holds(const struct made *m, const struct stage_plan *plan)
{
    uint32_t layers = 0, heads = 0;
    int64_t sum = 0, most = 0;
    assert_true(plan->n > 0);
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct stage *s = &plan->stage[i];
        const struct stage_unit *unit = &m->unit[s->unit];
        assert_true(s->layers > 0 && s->layers <= (s->head ? unit->layers_max_head : unit->layers_max));
        layers += s->layers;
        heads += s->head;
        int64_t ps =
            s->layers * unit->layer_ps + (s->head ? unit->head_ps : 0) + (plan->n > 1 ? unit->hop_ps : 0);
        sum += ps;
        most = ps > most ? ps : most;
    }
    assert_int_equal(layers, m->problem.layers);
    assert_int_equal(heads, 1);
    assert_int_equal(sum, plan->sum_ps);
    assert_int_equal(most, plan->most_ps);
    for (uint32_t n = 0; n < m->problem.nodes; n++) {
        uint32_t choices = 0;
        for (uint32_t c = m->node[n].first; c < m->node[n].first + m->node[n].choices; c++) {
            bool used = false;
            for (uint32_t i = 0; i < plan->n; i++)
                used |= plan->stage[i].unit - m->choice[c].first < m->choice[c].units;
            choices += used;
        }
        assert_true(choices <= 1);
    }
}

static void equal_brute_force(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t block[1 << 20];
    static struct made m;
    static struct stage_plan plan;
    struct stages stages;
    struct arena arena;
    uint64_t n = test_count(10000, 200000), none = 0, several = 0, bound = 0;
    m.seed = test_seed();
    arena_init(&arena, block, sizeof block);
    assert_int_equal(stages_init(&stages, &arena, LAYERS + 1, NODES, NODES * CHOICES * UNITS), 0);
    for (uint64_t i = 0; i < n; i++) {
        make(&m);
        struct found found = {.sum = INT64_MAX, .most = INT64_MAX, .most_within = INT64_MAX, .limit = -1};
        try_node(&m, 0, (struct so_far){.left = m.problem.layers}, &found);
        int rc = stages_least_sum(&stages, &m.problem, INT64_MAX, &plan);
        assert_int_equal(rc, found.sum == INT64_MAX ? ERR_NO_CAPACITY : 0);
        assert_int_equal(stages_least_most(&stages, &m.problem, INT64_MAX, &plan), rc);
        if (rc != 0) {
            none++;
            continue;
        }
        holds(&m, &plan);
        assert_int_equal(plan.most_ps, found.most);
        int64_t fast_sum = plan.sum_ps;
        assert_int_equal(stages_least_sum(&stages, &m.problem, INT64_MAX, &plan), 0);
        holds(&m, &plan);
        assert_int_equal(plan.sum_ps, found.sum);
        several += plan.n > 1;
        found.limit = found.sum + (int64_t)test_below(&m.seed, (uint64_t)(fast_sum - found.sum + 3));
        try_node(&m, 0, (struct so_far){.left = m.problem.layers}, &found);
        assert_int_equal(stages_least_most(&stages, &m.problem, found.limit, &plan), 0);
        holds(&m, &plan);
        assert_true(plan.sum_ps <= found.limit);
        assert_int_equal(plan.most_ps, found.most_within);
        bound += found.most_within > found.most;
        assert_int_equal(stages_least_most(&stages, &m.problem, found.sum - 1, &plan), ERR_NO_CAPACITY);
    }
    print_message("# %llu problems: %llu without a plan, %llu of several stages, %llu in which the bound on "
                  "the sum holds the maximum up\n",
                  (unsigned long long)n, (unsigned long long)none, (unsigned long long)several,
                  (unsigned long long)bound);
    assert_true(none > n / 100 && several > n / 10 && bound > n / 100);
}

static void bad_problems_are_refused(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t block[4096];
    static struct stage_plan plan;
    struct stage_unit unit[] = {{5, 1, 1, 4, 3}, {5, 1, 1, 4, 3}};
    struct stage_choice choice = {0, 2};
    struct stage_node node = {0, 1};
    struct stage_problem p = {4, 1, &node, &choice, unit};
    struct stages stages;
    struct arena arena;
    arena_init(&arena, block, sizeof block);
    assert_int_equal(stages_init(&stages, &arena, STAGE_LAYERS_MAX + 1, 1, 1), ERR_LIMIT);
    assert_int_equal(stages_init(&stages, &arena, 0, 1, 1), ERR_LIMIT);
    assert_int_equal(stages_init(&stages, &arena, STAGE_LAYERS_MAX, 1, 1), ERR_NO_MEMORY);
    arena_reset(&arena);
    assert_int_equal(stages_init(&stages, &arena, 4, 1, 2), 0);
    assert_int_equal(stages_least_sum(&stages, &p, INT64_MAX, &plan), 0);
    p.layers = 5;
    assert_int_equal(stages_least_sum(&stages, &p, INT64_MAX, &plan), ERR_LIMIT);
    p.layers = 0;
    assert_int_equal(stages_least_most(&stages, &p, INT64_MAX, &plan), ERR_INVALID);
    p.layers = 4;
    choice.units = 3;
    assert_int_equal(stages_least_sum(&stages, &p, INT64_MAX, &plan), ERR_LIMIT);
    choice.units = 2;
    const struct stage_unit bad[] = {{0, 1, 1, 4, 3},
                                     {5, -1, 1, 4, 3},
                                     {5, 1, -1, 4, 3},
                                     {5, 1, 1, 4, 5},
                                     {STAGE_PS_MAX + 1, 1, 1, 4, 3},
                                     {5, STAGE_PS_MAX + 1, 1, 4, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unit[1] = bad[i];
        assert_int_equal(stages_least_sum(&stages, &p, INT64_MAX, &plan), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_brute_force),
                                       cmocka_unit_test(bad_problems_are_refused)};
    return cmocka_run_group_tests_name("property_stages", tests, NULL, NULL);
}
