/* SPDX-License-Identifier: Apache-2.0 */
#include "network/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void problems_init(struct problems *problems)
{
    *problems = (struct problems){0};
}

void problems_fini(struct problems *problems)
{
    free(problems->list);
    problems_init(problems);
}

bool problems_none(const struct problems *problems)
{
    return problems->n == 0 && problems->dropped == 0;
}

static struct problem *next(struct problems *problems)
{
    if (problems->n == problems->cap) {
        uint32_t cap = problems->cap ? problems->cap * 2 : 8;
        if (problems->n >= PROBLEMS_MAX)
            return NULL;
        struct problem *list = realloc(problems->list, cap * sizeof *list);
        if (!list)
            return NULL;
        problems->list = list;
        problems->cap = cap;
    }
    return problems->n < PROBLEMS_MAX ? &problems->list[problems->n++] : NULL;
}

void problems_add(struct problems *problems, const char *file, uint32_t line, const char *path,
                  const char *fmt, ...)
{
    va_list args;
    struct problem *p = next(problems);
    if (!p) {
        problems->dropped += problems->dropped < UINT32_MAX;
        return;
    }
    p->line = line;
    (void)snprintf(p->file, sizeof p->file, "%s", file);
    (void)snprintf(p->path, sizeof p->path, "%s", path);
    va_start(args, fmt);
    (void)vsnprintf(p->text, sizeof p->text, fmt, args);
    va_end(args);
}

static bool after(const struct problem *a, const struct problem *b)
{
    int order = strcmp(a->file, b->file);
    return order > 0 || (order == 0 && a->line > b->line);
}

void problems_sort(struct problems *problems)
{
    for (uint32_t i = 1; i < problems->n; i++) {
        struct problem p = problems->list[i];
        uint32_t k = i;
        for (; k > 0 && after(&problems->list[k - 1], &p); k--)
            problems->list[k] = problems->list[k - 1];
        problems->list[k] = p;
    }
}

void problem_format(char dst[PROBLEM_TEXT_CAP], const struct problem *problem)
{
    char line[16] = "";
    if (problem->line)
        (void)snprintf(line, sizeof line, "%u:", problem->line);
    (void)snprintf(dst, PROBLEM_TEXT_CAP, "%s:%s %s%s%s", problem->file, line, problem->path,
                   problem->path[0] ? ": " : "", problem->text);
}
