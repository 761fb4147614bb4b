/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans one problem that comes as text on stdin, and prints what came out as one JSON object; for tests that hold the
 * plan against another solver. The text is whole numbers between blanks: sites, hours, classes, whether moving costs;
 * capacity and cost by site and hour; the transfer costs if moving costs; a class a line: sites, home (-1: anywhere), from,
 * until, amount, late. tests/bench/energy_plan.c writes the same text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/merit.h"

#define PIVOTS_MAX 10000000u
#define SLOTS_MAX (MERIT_SITES_MAX * MERIT_HOURS_MAX)

static int64_t number(void)
{
    int64_t n;
    if (scanf("%" SCNd64, &n) != 1) {
        fprintf(stderr, "merit_case: a number is missing\n");
        exit(2);
    }
    return n;
}

static const int64_t *numbers(int64_t *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        list[i] = number();
    return list;
}

static void read_problem(struct merit_problem *p)
{
    static int64_t capacity[SLOTS_MAX], cost[SLOTS_MAX], transfer[MERIT_SITES_MAX * MERIT_SITES_MAX];
    static struct merit_class class[MERIT_CLASSES_MAX];
    *p = (struct merit_problem){.sites = (uint32_t)number()};
    p->hours = (uint32_t)number();
    p->classes = (uint32_t)number();
    bool moving = number() != 0;
    if (p->sites > MERIT_SITES_MAX || p->hours > MERIT_HOURS_MAX || p->classes > MERIT_CLASSES_MAX)
        exit(2);
    p->capacity = numbers(capacity, p->sites * p->hours);
    p->cost = numbers(cost, p->sites * p->hours);
    p->transfer = moving ? numbers(transfer, p->sites * p->sites) : NULL;
    for (uint32_t k = 0; k < p->classes; k++) {
        class[k].sites = (uint64_t)number();
        int64_t home = number();
        class[k].home = home < 0 ? MERIT_ANYWHERE : (uint32_t)home;
        class[k].from = (uint32_t)number();
        class[k].until = (uint32_t)number();
        class[k].amount = number();
        class[k].late = number();
    }
    p->class = class;
}

static void print_parts(const struct merit *merit)
{
    struct merit_part part;
    const char *comma = "";
    printf("\"parts\":[");
    for (uint32_t cursor = 0; merit_next(merit, &cursor, &part); comma = ",")
        printf("%s[%u,%u,%u,%" PRId64 "]", comma, part.class, part.site, part.hour, part.amount);
    printf("]}\n");
}

int main(void)
{
    static _Alignas(ARENA_ALIGN) uint8_t block[64 * (1 + MERIT_CLASSES_MAX + SLOTS_MAX)];
    struct merit_problem problem;
    struct merit merit;
    struct arena arena;
    read_problem(&problem);
    arena_init(&arena, block, sizeof block);
    if (merit_init(&merit, &arena, problem.sites, problem.hours, problem.classes) != 0)
        return 2;
    int rc = merit_greedy(&merit, &problem);
    if (rc != 0) {
        fprintf(stderr, "merit_case: code %d\n", rc);
        return 1;
    }
    double greedy = (double)merit_cost(&merit);
    rc = merit_improve(&merit, PIVOTS_MAX);
    printf("{\"code\":%d,\"greedy\":%.0f,\"cost\":%.0f,\"pivots\":%" PRIu64 ",", rc, greedy,
           (double)merit_cost(&merit), merit.pivots);
    print_parts(&merit);
    return 0;
}
