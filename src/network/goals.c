/* SPDX-License-Identifier: Apache-2.0 */
/* What a network is meant to reach, and over which time it is simulated: the list `self_supply` and the mapping `simulate`. */
#include <stddef.h>
#include <string.h>

#include "network/parts.h"

static const char *const measure_words[] = {"chips", "gflops", NULL};
enum { MEASURE_NOT_GIVEN, MEASURE_CHIPS, MEASURE_GFLOPS }; /* as these */

struct goal_reading {
    struct net_goal goal;
    uint32_t measure;
};

static const struct tree_field goal_fields[] = {
    {"jurisdiction", TREE_CODE, offsetof(struct goal_reading, goal.jurisdiction), CODE_CAP, 0, 0, 0, false,
     NULL},
    {"target", TREE_NUMBER, offsetof(struct goal_reading, goal.target), 0, 3, 1, 1000, true, NULL},
    {"by", TREE_DATE, offsetof(struct goal_reading, goal.by_ms), 0, 0, 0, 0, true, NULL},
    {"measure", TREE_WORD, offsetof(struct goal_reading, measure), 0, 0, 0, 0, false, measure_words},
};

struct period {
    int64_t from_ms, until_ms;
};

static const struct tree_field period_fields[] = {
    {"from", TREE_DATE, offsetof(struct period, from_ms), 0, 0, 0, 0, true, NULL},
    {"until", TREE_DATE, offsetof(struct period, until_ms), 0, 0, 0, 0, true, NULL},
};

static uint32_t find_goal(const struct netfile *nf, const char *jurisdiction)
{
    uint32_t i = 0;
    while (i < nf->ngoals && strcmp(nf->goal[i].goal.jurisdiction, jurisdiction) != 0)
        i++;
    return i;
}

static void read_goal(struct netfile *nf, const struct at *at, uint32_t file)
{
    struct goal_reading r = {.goal = {.where = at_where(at)}};
    uint32_t given = fields_read(at, goal_fields, COUNT(goal_fields), &r);
    fields_require(&r.goal.where, nf->problems, goal_fields, COUNT(goal_fields), given);
    if (at->node->type != YAML_MAPPING_NODE)
        return;
    r.goal.by_gflops = r.measure == MEASURE_GFLOPS;
    uint32_t i = find_goal(nf, r.goal.jurisdiction);
    if (i < nf->ngoals && nf->goal[i].file == file) {
        at_key_problem(at, "jurisdiction", "has a target in this file already");
    } else if (i == NET_GOALS_MAX) {
        at_problem(at, "more than %u targets", NET_GOALS_MAX);
    } else {
        nf->goal[i] = (struct goal_entry){r.goal, file};
        nf->ngoals += i == nf->ngoals;
    }
}

void net_read_goals(struct netfile *nf, const struct at *list, uint32_t file)
{
    uint32_t n = at_items(list, NET_GOALS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        read_goal(nf, &item, file);
    }
}

void net_read_period(struct netfile *nf, const struct at *at)
{
    struct period period = {INT64_MIN, INT64_MIN};
    struct where where = at_where(at);
    uint32_t given = fields_read(at, period_fields, COUNT(period_fields), &period);
    fields_require(&where, nf->problems, period_fields, COUNT(period_fields), given);
    if (period.from_ms == INT64_MIN || period.until_ms == INT64_MIN)
        return; /* told */
    if (period.until_ms <= period.from_ms)
        at_key_problem(at, "until", "must be after from");
    nf->from_ms = period.from_ms;
    nf->until_ms = period.until_ms;
}

static bool has_site(const struct netfile *nf, const char *jurisdiction)
{
    for (uint32_t i = 0; i < nf->nsites; i++) {
        if (strcmp(nf->site[i].site.jurisdiction, jurisdiction) == 0)
            return true;
    }
    return false;
}

/* A target of a base goes with the sites that a file on it drops; one of the file itself must mean something. */
void net_check_goals(struct netfile *nf)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < nf->ngoals; i++) {
        const struct goal_entry *e = &nf->goal[i];
        bool there = !e->goal.jurisdiction[0] || has_site(nf, e->goal.jurisdiction);
        if (!there && e->file == 0)
            where_problem(&e->goal.where, nf->problems, "jurisdiction", "no site is in %s",
                          e->goal.jurisdiction);
        if (there)
            nf->goal[n++] = *e;
    }
    nf->ngoals = n;
}

uint32_t netfile_goals(const struct netfile *nf)
{
    return nf->ngoals;
}

const struct net_goal *netfile_goal(const struct netfile *nf, uint32_t i)
{
    return i < nf->ngoals ? &nf->goal[i].goal : NULL;
}

bool netfile_period(const struct netfile *nf, int64_t *from_ms, int64_t *until_ms)
{
    *from_ms = nf->from_ms;
    *until_ms = nf->until_ms;
    return nf->until_ms != 0;
}
