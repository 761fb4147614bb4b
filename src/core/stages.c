/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stages.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

#define NEVER INT64_MAX
#define HEAD_BIT 0x8000u

int stages_init(struct stages *stages, struct arena *arena, uint32_t layers, uint32_t nodes, uint32_t units)
{
    size_t width = (size_t)layers + 1, table = 2 * width * sizeof(int64_t);
    if (layers == 0 || layers > STAGE_LAYERS_MAX)
        return ERR_LIMIT;
    _Static_assert(STAGE_LAYERS_MAX < HEAD_BIT, "layers of a unit fit beside the bit");
    *stages = (struct stages){.layers_max = layers, .nodes_max = nodes, .units_max = units};
    stages->at = arena_take(arena, table);
    stages->next = arena_take(arena, table);
    stages->best = arena_take(arena, table);
    stages->queue = arena_take(arena, width * sizeof *stages->queue);
    stages->pick = arena_take(arena, units * 2 * width * sizeof *stages->pick);
    stages->grouped = arena_take(arena, nodes * 2 * width * sizeof *stages->grouped);
    bool all = stages->at && stages->next && stages->best && stages->queue && stages->pick && stages->grouped;
    return arena->base && !all ? ERR_NO_MEMORY : 0;
}

static bool can_be(const struct stage_unit *unit)
{
    return unit->layer_ps > 0 && unit->layer_ps <= STAGE_PS_MAX && unit->hop_ps >= 0 &&
           unit->hop_ps <= STAGE_PS_MAX && unit->head_ps >= 0 && unit->head_ps <= STAGE_PS_MAX &&
           unit->layers_max_head <= unit->layers_max;
}

static int check(const struct stages *s, const struct stage_problem *p)
{
    if (p->layers == 0)
        return ERR_INVALID;
    if (p->layers > s->layers_max || p->nodes > s->nodes_max)
        return ERR_LIMIT;
    uint32_t stages_most = 0;
    for (uint32_t n = 0; n < p->nodes; n++) {
        uint32_t units_most = 0;
        if (p->node[n].choices >= UINT8_MAX)
            return ERR_LIMIT;
        for (uint32_t c = p->node[n].first; c < p->node[n].first + p->node[n].choices; c++) {
            const struct stage_choice *choice = &p->choice[c];
            if (choice->first > s->units_max || choice->units > s->units_max - choice->first)
                return ERR_LIMIT;
            units_most = choice->units > units_most ? choice->units : units_most;
            for (uint32_t u = choice->first; u < choice->first + choice->units; u++) {
                if (!can_be(&p->unit[u]))
                    return ERR_INVALID;
            }
        }
        stages_most += units_most;
    }
    return stages_most <= STAGES_MAX ? 0 : ERR_LIMIT;
}

/* Layers that a unit can hold without taking longer than `bound_ps`, `fixed_ps` of it whatever it holds. */
static uint32_t within(const struct stage_unit *unit, int64_t bound_ps, int64_t fixed_ps, uint32_t most)
{
    if (bound_ps < fixed_ps)
        return 0;
    int64_t fit = (bound_ps - fixed_ps) / unit->layer_ps;
    return fit < most ? (uint32_t)fit : most;
}

/* ---- the least sum ---- */

/* For each l the least of from[l - k] + k x layer_ps + fixed_ps over 1 <= k <= cap, where that is less than to[l]. from[j] - j x layer_ps is
 * compared, and the queue has the j of the window that can still be the least, in order. */
static void widen(uint32_t *queue, const int64_t *from, uint32_t layers, int64_t layer_ps, int64_t fixed_ps,
                  uint32_t cap, int64_t *to, uint16_t *pick, uint32_t bit)
{
    uint32_t first = 0, end = 0;
    if (cap == 0)
        return;
    for (uint32_t l = 1; l <= layers; l++) {
        uint32_t j = l - 1;
        if (from[j] != NEVER) {
            int64_t value = from[j] - (int64_t)j * layer_ps;
            while (end > first && from[queue[end - 1]] - (int64_t)queue[end - 1] * layer_ps > value)
                end--;
            queue[end++] = j;
        }
        while (first < end && queue[first] + cap < l)
            first++;
        if (first == end)
            continue;
        uint32_t k = l - queue[first];
        int64_t sum = from[queue[first]] + (int64_t)k * layer_ps + fixed_ps;
        if (sum < to[l]) {
            to[l] = sum;
            pick[l] = (uint16_t)(k | bit);
        }
    }
}

/* From stages->at to stages->next, which change places. */
static void add_unit(struct stages *s, const struct stage_problem *p, uint32_t u, int64_t bound_ps)
{
    const struct stage_unit *unit = &p->unit[u];
    size_t width = (size_t)p->layers + 1;
    int64_t with_head = unit->hop_ps + unit->head_ps;
    uint32_t cap = within(unit, bound_ps, unit->hop_ps, unit->layers_max);
    uint32_t cap_head = within(unit, bound_ps, with_head, unit->layers_max_head);
    uint16_t *pick = &s->pick[u * 2 * width];
    memcpy(s->next, s->at, 2 * width * sizeof *s->at);
    memset(pick, 0, 2 * width * sizeof *pick);
    widen(s->queue, s->at, p->layers, unit->layer_ps, unit->hop_ps, cap, s->next, pick, 0);
    widen(s->queue, s->at + width, p->layers, unit->layer_ps, unit->hop_ps, cap, s->next + width,
          pick + width, 0);
    widen(s->queue, s->at, p->layers, unit->layer_ps, with_head, cap_head, s->next + width, pick + width,
          HEAD_BIT);
    int64_t *swap = s->at;
    s->at = s->next;
    s->next = swap;
}

static void read_back(const struct stages *s, const struct stage_problem *p, struct stage_plan *plan)
{
    size_t width = (size_t)p->layers + 1;
    uint32_t l = p->layers, head = 1;
    plan->n = 0;
    for (uint32_t n = p->nodes; n-- > 0;) {
        uint32_t grouped = s->grouped[(n * 2 + head) * width + l];
        if (grouped == 0)
            continue;
        const struct stage_choice *choice = &p->choice[p->node[n].first + grouped - 1];
        for (uint32_t u = choice->first + choice->units; u-- > choice->first;) {
            uint32_t pick = s->pick[(u * 2 + head) * width + l];
            if (pick == 0)
                continue;
            assert(plan->n < STAGES_MAX);
            plan->stage[plan->n++] = (struct stage){u, pick & ~HEAD_BIT, (pick & HEAD_BIT) != 0};
            l -= pick & ~HEAD_BIT;
            head = pick & HEAD_BIT ? 0 : head;
        }
    }
    assert(l == 0 && head == 0);
    for (uint32_t i = 0; i < plan->n / 2; i++) {
        struct stage swap = plan->stage[i];
        plan->stage[i] = plan->stage[plan->n - 1 - i];
        plan->stage[plan->n - 1 - i] = swap;
    }
}

/* What the stages take; one alone has no hop. */
static void time_stages(const struct stage_problem *p, struct stage_plan *plan)
{
    plan->sum_ps = plan->most_ps = 0;
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct stage *stage = &plan->stage[i];
        const struct stage_unit *unit = &p->unit[stage->unit];
        int64_t ps = stage->layers * unit->layer_ps + (stage->head ? unit->head_ps : 0) +
                     (plan->n > 1 ? unit->hop_ps : 0);
        plan->sum_ps += ps;
        plan->most_ps = ps > plan->most_ps ? ps : plan->most_ps;
    }
}

/* The best single unit that holds all of it; false: none does, or none within the bound. */
static bool alone(const struct stage_problem *p, int64_t bound_ps, struct stage_plan *plan)
{
    bool found = false;
    for (uint32_t n = 0; n < p->nodes; n++) {
        for (uint32_t c = p->node[n].first; c < p->node[n].first + p->node[n].choices; c++) {
            for (uint32_t u = p->choice[c].first; u < p->choice[c].first + p->choice[c].units; u++) {
                int64_t ps = p->layers * p->unit[u].layer_ps + p->unit[u].head_ps;
                if (p->unit[u].layers_max_head < p->layers || ps > bound_ps || (found && ps >= plan->sum_ps))
                    continue;
                found = true;
                plan->n = 1;
                plan->stage[0] = (struct stage){u, p->layers, true};
                plan->sum_ps = plan->most_ps = ps;
            }
        }
    }
    return found;
}

static void add_node(struct stages *s, const struct stage_problem *p, uint32_t n, int64_t bound_ps)
{
    size_t width = (size_t)p->layers + 1;
    int64_t *before = s->best; /* so far; the least over the choices is made beside it */
    uint8_t *grouped = &s->grouped[n * 2 * width];
    memset(grouped, 0, 2 * width);
    int64_t least[2 * (STAGE_LAYERS_MAX + 1)];
    memcpy(least, before, 2 * width * sizeof *least);
    for (uint32_t c = 0; c < p->node[n].choices; c++) {
        const struct stage_choice *choice = &p->choice[p->node[n].first + c];
        memcpy(s->at, before, 2 * width * sizeof *s->at);
        for (uint32_t u = choice->first; u < choice->first + choice->units; u++)
            add_unit(s, p, u, bound_ps);
        for (size_t i = 0; i < 2 * width; i++) {
            if (s->at[i] < least[i]) {
                least[i] = s->at[i];
                grouped[i] = (uint8_t)(c + 1);
            }
        }
    }
    memcpy(before, least, 2 * width * sizeof *least);
}

int stages_least_sum(struct stages *s, const struct stage_problem *p, int64_t bound_ps,
                     struct stage_plan *plan)
{
    int rc = check(s, p);
    if (rc != 0)
        return rc;
    size_t width = (size_t)p->layers + 1;
    for (size_t i = 0; i < 2 * width; i++)
        s->best[i] = NEVER;
    s->best[0] = 0;
    for (uint32_t n = 0; n < p->nodes; n++)
        add_node(s, p, n, bound_ps);
    bool one = alone(p, bound_ps, plan);
    int64_t several = s->best[width + p->layers];
    if (one && plan->sum_ps <= several)
        return 0;
    if (several == NEVER)
        return ERR_NO_CAPACITY;
    read_back(s, p, plan);
    time_stages(p, plan);
    return 0;
}

/* ---- the least maximum ---- */

/* The most layers that a node holds within the bound, and as many if it holds the head as well, -1: it cannot. */
static void node_holds(const struct stage_problem *p, uint32_t n, int64_t bound_ps, int64_t *most,
                       int64_t *most_head)
{
    *most = 0;
    *most_head = -1;
    for (uint32_t c = p->node[n].first; c < p->node[n].first + p->node[n].choices; c++) {
        int64_t layers = 0, loss = -1;
        for (uint32_t u = p->choice[c].first; u < p->choice[c].first + p->choice[c].units; u++) {
            const struct stage_unit *unit = &p->unit[u];
            uint32_t cap = within(unit, bound_ps, unit->hop_ps, unit->layers_max);
            uint32_t cap_head = within(unit, bound_ps, unit->hop_ps + unit->head_ps, unit->layers_max_head);
            layers += cap;
            if (cap_head > 0 && (loss < 0 || cap - cap_head < loss))
                loss = cap - cap_head;
        }
        *most = layers > *most ? layers : *most;
        *most_head = loss >= 0 && layers - loss > *most_head ? layers - loss : *most_head;
    }
}

static bool fits(const struct stage_problem *p, int64_t bound_ps)
{
    int64_t layers = 0, loss = -1;
    for (uint32_t n = 0; n < p->nodes; n++) {
        int64_t most, most_head;
        node_holds(p, n, bound_ps, &most, &most_head);
        layers += most;
        if (most_head >= 0 && (loss < 0 || most - most_head < loss))
            loss = most - most_head;
    }
    return loss >= 0 && layers - loss >= p->layers;
}

/* The least bound in (low, high] that a test holds for; it holds for `high`, and for all above the first. */
static int64_t least_bound(struct stages *s, const struct stage_problem *p, int64_t low, int64_t high,
                           int64_t sum_ps, struct stage_plan *plan)
{
    while (low + 1 < high) {
        int64_t middle = low + (high - low) / 2;
        bool holds = sum_ps == NEVER ? fits(p, middle)
                                     : stages_least_sum(s, p, middle, plan) == 0 && plan->sum_ps <= sum_ps;
        low = holds ? low : middle;
        high = holds ? middle : high;
    }
    return high;
}

int stages_least_most(struct stages *s, const struct stage_problem *p, int64_t sum_ps,
                      struct stage_plan *plan)
{
    int rc = stages_least_sum(s, p, NEVER, plan);
    if (rc != 0)
        return rc;
    if (plan->sum_ps > sum_ps)
        return ERR_NO_CAPACITY;
    struct stage_plan one;
    bool single = alone(p, NEVER, &one);
    int64_t high = plan->most_ps;
    if (plan->n == 1 && !fits(p, high)) {
        /* It has no hop; with one there may be no plan within as much. */
        high += p->unit[plan->stage[0].unit].hop_ps;
    }
    int64_t bound = least_bound(s, p, -1, high, NEVER, plan);
    rc = stages_least_sum(s, p, bound, plan);
    assert(rc == 0);
    if (plan->sum_ps > sum_ps) {
        bound = least_bound(s, p, bound, high, sum_ps, plan);
        rc = stages_least_sum(s, p, bound, plan);
        assert(rc == 0);
    }
    if (single && one.sum_ps <= sum_ps && one.most_ps < plan->most_ps)
        *plan = one;
    return 0;
}
