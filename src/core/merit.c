/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree: a node's arc to its parent carries its flow. The root stands for idleness: a class under it is not done, a slot
 * under it has capacity left. Flow goes from a class to a slot, from a class to the root, from the root to a slot; so
 * which way an arc points is said by its lower end: up from a class, down to a slot. Strongly feasible means here: an arc
 * down to a slot carries flow. Arcs outside the tree carry none, since no arc has a capacity of its own.
 *
 * Potentials: over an arc of the tree they differ by its cost. What a unit over an arc u -> v outside the tree would add
 * to the cost is cost + potential[u] - potential[v].
 */
#include "core/merit.h"

#include <assert.h>

#include "base/err.h"

#define ROOT 0u
#define NONE UINT32_MAX
/* Potential of a slot without capacity: no arc to it can save, since the dearest way through a tree costs less. */
#define FAR (INT64_MIN / 4)

struct merit_node {
    uint32_t parent, child, next, prev; /* NONE: there is none; siblings are in no order */
    uint32_t depth;
    int64_t flow; /* units on the arc to the parent */
};

#define MERIT_NODES_MAX (1 + MERIT_CLASSES_MAX + MERIT_SITES_MAX * MERIT_HOURS_MAX)
_Static_assert((int128)MERIT_NODES_MAX * 2 * MERIT_COST_MAX < INT64_MAX / 4, "a potential fits");
_Static_assert((int128)MERIT_NODES_MAX *MERIT_AMOUNT_MAX < INT64_MAX, "the sum of all amounts fits");

int merit_init(struct merit *merit, struct arena *arena, uint32_t sites, uint32_t hours, uint32_t classes)
{
    if (sites > MERIT_SITES_MAX || hours > MERIT_HOURS_MAX || classes > MERIT_CLASSES_MAX)
        return ERR_LIMIT;
    size_t nodes = 1 + (size_t)classes + (size_t)sites * hours;
    *merit = (struct merit){.sites_max = sites, .hours_max = hours, .classes_max = classes};
    merit->node = arena_take(arena, nodes * sizeof *merit->node);
    merit->potential = arena_take(arena, nodes * sizeof *merit->potential);
    return arena->base && (!merit->node || !merit->potential) ? ERR_NO_MEMORY : 0;
}

/* ---- nodes and arcs ---- */

static uint32_t class_node(uint32_t class)
{
    return 1 + class;
}

static uint32_t slot_node(const struct merit *m, uint32_t site, uint32_t hour)
{
    return 1 + m->problem->classes + site * m->problem->hours + hour;
}

static bool is_class(const struct merit *m, uint32_t node)
{
    return node != ROOT && node <= m->problem->classes;
}

static bool is_slot(const struct merit *m, uint32_t node)
{
    return node > m->problem->classes;
}

static int64_t moving_cost(const struct merit *m, const struct merit_class *class, uint32_t site)
{
    const struct merit_problem *p = m->problem;
    return p->transfer && class->home != MERIT_ANYWHERE ? p->transfer[class->home * p->sites + site] : 0;
}

/* Of the arc between a node of the tree and its parent. */
static int64_t arc_cost(const struct merit *m, uint32_t a, uint32_t b)
{
    const struct merit_problem *p = m->problem;
    uint32_t class = is_class(m, a) ? a : b, other = class == a ? b : a;
    if (!is_class(m, class))
        return 0; /* capacity that is left */
    const struct merit_class *c = &p->class[class - 1];
    if (other == ROOT)
        return c->late;
    uint32_t slot = other - 1 - p->classes;
    return p->cost[slot] + moving_cost(m, c, slot / p->hours);
}

static void attach(struct merit *m, uint32_t node, uint32_t parent, int64_t flow)
{
    struct merit_node *n = &m->node[node], *up = &m->node[parent];
    n->parent = parent;
    n->flow = flow;
    n->prev = NONE;
    n->next = up->child;
    if (n->next != NONE)
        m->node[n->next].prev = node;
    up->child = node;
}

static void detach(struct merit *m, uint32_t node)
{
    struct merit_node *n = &m->node[node];
    if (n->prev != NONE)
        m->node[n->prev].next = n->next;
    else
        m->node[n->parent].child = n->next;
    if (n->next != NONE)
        m->node[n->next].prev = n->prev;
    n->parent = NONE;
}

/* The node after this one in a walk over the tree under `top`, parents first; NONE at the end. */
static uint32_t walk(const struct merit *m, uint32_t node, uint32_t top)
{
    if (m->node[node].child != NONE)
        return m->node[node].child;
    while (node != top && m->node[node].next == NONE)
        node = m->node[node].parent;
    return node == top ? NONE : m->node[node].next;
}

/* ---- the first tree ---- */

static int check_class(const struct merit_problem *p, const struct merit_class *c)
{
    if (c->from > c->until || c->until > p->hours || c->amount < 0 || c->amount > MERIT_AMOUNT_MAX ||
        c->late < 0 || c->late > MERIT_COST_MAX || (c->home != MERIT_ANYWHERE && c->home >= p->sites))
        return ERR_INVALID;
    return p->sites == 64 || c->sites >> p->sites == 0 ? 0 : ERR_INVALID;
}

static bool cost_bad(int64_t cost)
{
    return cost < -MERIT_COST_MAX || cost > MERIT_COST_MAX;
}

static int check(const struct merit *m, const struct merit_problem *p)
{
    if (p->sites > m->sites_max || p->hours > m->hours_max || p->classes > m->classes_max)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < p->sites * p->hours; i++) {
        if (p->capacity[i] < 0 || p->capacity[i] > MERIT_AMOUNT_MAX || cost_bad(p->cost[i]))
            return ERR_INVALID;
    }
    for (uint32_t i = 0; p->transfer && i < p->sites * p->sites; i++) {
        if (cost_bad(p->transfer[i]))
            return ERR_INVALID;
    }
    for (uint32_t k = 0; k < p->classes; k++) {
        if (check_class(p, &p->class[k]) != 0)
            return ERR_INVALID;
    }
    return 0;
}

/* All nodes alone, with what is still to be done or free as their flow. */
static void seed(struct merit *m)
{
    const struct merit_problem *p = m->problem;
    m->nodes = 1 + p->classes + p->sites * p->hours;
    m->turn = 0;
    m->pivots = 0;
    for (uint32_t i = 0; i < m->nodes; i++)
        m->node[i] = (struct merit_node){.parent = NONE, .child = NONE, .next = NONE, .prev = NONE};
    for (uint32_t k = 0; k < p->classes; k++)
        m->node[class_node(k)].flow = p->class[k].amount;
    for (uint32_t i = 0; i < p->sites * p->hours; i++)
        m->node[1 + p->classes + i].flow = p->capacity[i];
}

/* The slot that costs this class least among those with anything free; NONE if leaving work undone costs no more. */
static uint32_t cheapest_free(const struct merit *m, const struct merit_class *c)
{
    uint32_t best = NONE;
    int64_t least = c->late;
    for (uint64_t left = c->sites; left; left &= left - 1) {
        uint32_t site = (uint32_t)__builtin_ctzll(left);
        int64_t moving = moving_cost(m, c, site);
        for (uint32_t h = c->from; h < c->until; h++) {
            int64_t cost = m->problem->cost[site * m->problem->hours + h] + moving;
            const struct merit_node *slot = &m->node[slot_node(m, site, h)];
            if (cost < least && slot->parent == NONE && slot->flow > 0) {
                least = cost;
                best = slot_node(m, site, h);
            }
        }
    }
    return best;
}

/* Each step uses up a class or a slot, which becomes a child of the other: so what flows is a forest. Of both at once the
 * slot does, since only it must carry flow. */
static void fill(struct merit *m, uint32_t class)
{
    uint32_t node = class_node(class), slot;
    for (;;) {
        int64_t left = m->node[node].flow;
        slot = left > 0 ? cheapest_free(m, &m->problem->class[class]) : NONE;
        if (slot == NONE) {
            attach(m, node, ROOT, left);
            return;
        }
        int64_t free = m->node[slot].flow;
        if (free > left) {
            m->node[slot].flow = free - left;
            attach(m, node, slot, left);
            return;
        }
        m->node[node].flow = left - free;
        attach(m, slot, node, free);
    }
}

static void label(struct merit *m)
{
    m->node[ROOT].depth = 0;
    m->potential[ROOT] = 0;
    for (uint32_t i = walk(m, ROOT, ROOT); i != NONE; i = walk(m, i, ROOT)) {
        uint32_t up = m->node[i].parent;
        int64_t cost = arc_cost(m, i, up);
        m->node[i].depth = m->node[up].depth + 1;
        m->potential[i] = m->potential[up] + (is_class(m, i) ? -cost : cost);
    }
}

int merit_greedy(struct merit *merit, const struct merit_problem *problem)
{
    int rc = check(merit, problem);
    if (rc != 0)
        return rc;
    merit->problem = problem;
    seed(merit);
    for (uint32_t until = 0; until <= problem->hours; until++) {
        for (uint32_t k = 0; k < problem->classes; k++) {
            if (problem->class[k].until == until)
                fill(merit, k);
        }
    }
    for (uint32_t i = 1 + problem->classes; i < merit->nodes; i++) {
        if (problem->capacity[i - 1 - problem->classes] == 0)
            merit->potential[i] = FAR;
        else if (merit->node[i].parent == NONE)
            attach(merit, i, ROOT, merit->node[i].flow);
    }
    label(merit);
    return 0;
}

/* ---- pivots ---- */

/* The arc that leaves: flow runs up from `to`, over where both ways meet, down to `from`, and back over the new arc;
 * the first arc to run empty on that way from the meeting point bounds it. Of several the last one along the flow, which keeps
 * the tree strongly feasible. */
static uint32_t leaving(const struct merit *m, uint32_t from, uint32_t to, uint32_t *join, bool *over_to)
{
    const struct merit_node *node = m->node;
    int64_t least_from = INT64_MAX, least_to = INT64_MAX;
    uint32_t a = from, b = to, out_from = NONE, out_to = NONE;
    while (a != b) {
        if (node[a].depth >= node[b].depth) {
            if (is_class(m, a) && node[a].flow < least_from) {
                least_from = node[a].flow;
                out_from = a;
            }
            a = node[a].parent;
        } else {
            if (is_slot(m, b) && node[b].flow <= least_to) {
                least_to = node[b].flow;
                out_to = b;
            }
            b = node[b].parent;
        }
    }
    *join = a;
    *over_to = least_to <= least_from;
    return *over_to ? out_to : out_from;
}

/* Hangs the part of the tree under `out` to `parent` by its node `in`: the arcs between the two turn round. */
static void rehang(struct merit *m, uint32_t in, uint32_t parent, int64_t flow, uint32_t out)
{
    for (uint32_t node = in;;) {
        uint32_t up = m->node[node].parent;
        int64_t old = m->node[node].flow;
        detach(m, node);
        attach(m, node, parent, flow);
        if (node == out)
            return;
        parent = node;
        flow = old;
        node = up;
    }
}

static void pivot(struct merit *m, uint32_t from, uint32_t to, int64_t saving)
{
    bool over_to;
    uint32_t join, out = leaving(m, from, to, &join, &over_to);
    assert(out != NONE);
    int64_t delta = m->node[out].flow;
    for (uint32_t a = from; a != join; a = m->node[a].parent)
        m->node[a].flow += is_class(m, a) ? -delta : delta;
    for (uint32_t b = to; b != join; b = m->node[b].parent)
        m->node[b].flow += is_slot(m, b) ? -delta : delta;
    uint32_t in = over_to ? to : from;
    rehang(m, in, over_to ? from : to, delta, out);
    for (uint32_t i = in; i != NONE; i = walk(m, i, in)) {
        m->node[i].depth = m->node[m->node[i].parent].depth + 1;
        m->potential[i] += over_to ? -saving : saving;
    }
    m->pivots++;
}

/* The arc out of this class that saves most; 0 if none saves. */
static int64_t best_arc(const struct merit *m, uint32_t class, uint32_t *to)
{
    const struct merit_class *c = &m->problem->class[class];
    int64_t own = m->potential[class_node(class)];
    int64_t most = -own - c->late;
    *to = ROOT;
    for (uint64_t left = c->sites; left; left &= left - 1) {
        uint32_t site = (uint32_t)__builtin_ctzll(left);
        int64_t base = own + moving_cost(m, c, site);
        const int64_t *cost = &m->problem->cost[site * m->problem->hours];
        const int64_t *potential = &m->potential[slot_node(m, site, 0)];
        for (uint32_t h = c->from; h < c->until; h++) {
            int64_t saving = potential[h] - cost[h] - base;
            if (saving > most) {
                most = saving;
                *to = slot_node(m, site, h);
            }
        }
    }
    return most > 0 ? most : 0;
}

/* A pivot on the next class in turn, or slot, that has an arc which saves. False: there is none, the plan is the cheapest. */
static bool improve_once(struct merit *m)
{
    uint32_t classes = m->problem->classes, to;
    for (uint32_t n = 0; n < classes; n++) {
        uint32_t class = m->turn;
        m->turn = class + 1 == classes ? 0 : class + 1;
        int64_t saving = best_arc(m, class, &to);
        if (saving > 0) {
            pivot(m, class_node(class), to, saving);
            return true;
        }
    }
    for (uint32_t i = 1 + classes; i < m->nodes; i++) {
        if (m->potential[i] > 0) {
            pivot(m, ROOT, i, m->potential[i]);
            return true;
        }
    }
    return false;
}

int merit_improve(struct merit *merit, uint64_t pivots_max)
{
    for (uint64_t n = 0; n < pivots_max; n++) {
        if (!improve_once(merit))
            return 0;
    }
    return ERR_LIMIT;
}

/* ---- what came out ---- */

bool merit_next(const struct merit *merit, uint32_t *cursor, struct merit_part *part)
{
    const struct merit_problem *p = merit->problem;
    while (++*cursor < merit->nodes) {
        uint32_t up = merit->node[*cursor].parent;
        if (up == NONE || up == ROOT || merit->node[*cursor].flow == 0)
            continue;
        uint32_t class = is_class(merit, *cursor) ? *cursor : up;
        uint32_t slot = (class == *cursor ? up : *cursor) - 1 - p->classes;
        *part = (struct merit_part){.class = class - 1,
                                    .site = slot / p->hours,
                                    .hour = slot % p->hours,
                                    .amount = merit->node[*cursor].flow};
        return true;
    }
    *cursor = merit->nodes;
    return false;
}

void merit_targets(const struct merit *merit, int64_t *amount)
{
    const struct merit_problem *p = merit->problem;
    struct merit_part part;
    for (uint32_t i = 0; i < p->classes * p->sites; i++)
        amount[i] = 0;
    for (uint32_t cursor = 0; merit_next(merit, &cursor, &part);)
        amount[part.class * p->sites + part.site] += part.amount;
}

int64_t merit_late(const struct merit *merit, uint32_t class)
{
    const struct merit_node *node = &merit->node[class_node(class)];
    return node->parent == ROOT ? node->flow : 0;
}

int128 merit_cost(const struct merit *merit)
{
    int128 sum = 0;
    for (uint32_t i = 1; i < merit->nodes; i++) {
        if (merit->node[i].parent != NONE)
            sum += (int128)merit->node[i].flow * arc_cost(merit, i, merit->node[i].parent);
    }
    return sum;
}

int64_t merit_threshold(const struct merit *merit, uint32_t class)
{
    return -merit->potential[class_node(class)];
}

int64_t merit_rent(const struct merit *merit, uint32_t site, uint32_t hour)
{
    return -merit->potential[slot_node(merit, site, hour)];
}
