/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/supply.h"

#include <string.h>

#include "base/checked.h"
#include "base/clock.h"

void supply_goals(struct supply *s, const struct netfile *net)
{
    for (uint32_t i = 0; i < netfile_goals(net); i++) {
        const struct net_goal *g = netfile_goal(net, i);
        struct supply_goal *goal = &s->goal[s->ngoals++];
        *goal = (struct supply_goal){
            .target = (uint32_t)g->target.v, .by_gflops = g->by_gflops, .by_ms = g->by_ms};
        memcpy(goal->jurisdiction, g->jurisdiction, sizeof goal->jurisdiction);
    }
}

static struct supply_group *group_of(struct supply *s, const char *jurisdiction)
{
    uint32_t i = 0;
    while (i < s->ngroups && strcmp(s->group[i].jurisdiction, jurisdiction) != 0)
        i++;
    if (i == SUPPLY_GROUPS_MAX)
        return NULL;
    if (i == s->ngroups) {
        s->group[s->ngroups++] = (struct supply_group){{0}};
        memcpy(s->group[i].jurisdiction, jurisdiction, CODE_CAP);
    }
    return &s->group[i];
}

const struct supply_group *supply_of(const struct supply *s, const char *jurisdiction)
{
    for (uint32_t i = 0; i < s->ngroups; i++) {
        if (strcmp(s->group[i].jurisdiction, jurisdiction) == 0)
            return &s->group[i];
    }
    return NULL;
}

static void add(struct supply_share *share, uint64_t chips, uint64_t gflops, bool own)
{
    share->chips += chips;
    share->gflops += gflops;
    share->own_chips += own ? chips : 0;
    share->own_gflops += own ? gflops : 0;
}

double supply_by_chips(const struct supply_share *share)
{
    return share->chips ? (double)share->own_chips / (double)share->chips : 0;
}

double supply_by_gflops(const struct supply_share *share)
{
    return share->gflops ? (double)share->own_gflops / (double)share->gflops : 0;
}

bool supply_reached(const struct supply_goal *goal, const struct supply_share *share)
{
    uint64_t own = goal->by_gflops ? share->own_gflops : share->own_chips;
    uint64_t all = goal->by_gflops ? share->gflops : share->chips;
    return all > 0 && (int128)own * 1000 >= (int128)all * goal->target;
}

void supply_look(struct supply *s, const struct stock *stock, int64_t now_ms)
{
    static const char network[CODE_CAP] = "";
    bool first = s->ngroups == 0;
    struct supply_group *all = group_of(s, network);
    for (uint32_t i = 0; i < s->ngroups; i++)
        s->group[i].now = (struct supply_share){0};
    for (uint32_t i = 0; i < stock->npools; i++) {
        const struct stock_pool *p = &stock->pool[i];
        const struct stock_kind *k = &stock->kind[p->kind];
        const char *jurisdiction = stock->site[p->site].jurisdiction;
        struct supply_group *g = group_of(s, jurisdiction);
        uint64_t chips = stock_up(stock, i);
        bool own = jurisdiction[0] && strcmp(k->origin, jurisdiction) == 0;
        add(&all->now, chips, chips * k->gflops, own);
        if (g && g != all)
            add(&g->now, chips, chips * k->gflops, own);
    }
    for (uint32_t i = 0; first && i < s->ngroups; i++)
        s->group[i].first = s->group[i].now;
    for (uint32_t i = 0; i < s->ngoals; i++) {
        struct supply_goal *goal = &s->goal[i];
        const struct supply_group *g = supply_of(s, goal->jurisdiction);
        if (g && goal->met_ms == 0 && supply_reached(goal, &g->now)) {
            goal->met_ms = now_ms;
            goal->met = g->now;
        }
    }
}

/* ---- as JSON ---- */

static void add_share(struct buf *out, const char *name, const struct supply_share *s)
{
    buf_addf(out,
             "\"%s\":{\"chips\":%llu,\"own_chips\":%llu,\"pflops\":%.1f,\"own_pflops\":%.1f,"
             "\"by_chips\":%.4f,\"by_gflops\":%.4f}",
             name, (unsigned long long)s->chips, (unsigned long long)s->own_chips, (double)s->gflops / 1e6,
             (double)s->own_gflops / 1e6, supply_by_chips(s), supply_by_gflops(s));
}

static void add_name(struct buf *out, const char *jurisdiction)
{
    if (jurisdiction[0])
        buf_addf(out, "{\"jurisdiction\":\"%s\",", jurisdiction);
    else
        buf_add_text(out, "{\"jurisdiction\":null,");
}

static void add_goal(struct buf *out, const struct supply *s, const struct supply_goal *goal)
{
    char date[25];
    const struct supply_group *g = supply_of(s, goal->jurisdiction);
    clock_format(date, goal->by_ms);
    add_name(out, goal->jurisdiction);
    buf_addf(out, "\"target\":%.3f,\"measure\":\"%s\",\"by\":\"%.10s\"", goal->target / 1000.0,
             goal->by_gflops ? "gflops" : "chips", date);
    if (goal->met_ms == 0) {
        buf_add_text(out, ",\"met\":null,\"in_time\":false,\"held\":false}");
        return;
    }
    clock_format(date, goal->met_ms);
    buf_addf(out, ",\"met\":\"%.7s\",\"met_at\":\"%s\",\"in_time\":%s,\"held\":%s,", date, date,
             goal->met_ms <= goal->by_ms ? "true" : "false",
             g && supply_reached(goal, &g->now) ? "true" : "false");
    add_share(out, "then", &goal->met);
    buf_add_char(out, '}');
}

void supply_json(const struct supply *s, struct buf *out)
{
    buf_add_text(out, "\"self_supply\":{\"goals\":[");
    for (uint32_t i = 0; i < s->ngoals; i++) {
        buf_add_text(out, i ? "," : "");
        add_goal(out, s, &s->goal[i]);
    }
    buf_add_text(out, "],\"shares\":[");
    for (uint32_t i = 0; i < s->ngroups; i++) {
        buf_add_text(out, i ? "," : "");
        add_name(out, s->group[i].jurisdiction);
        add_share(out, "start", &s->group[i].first);
        buf_add_char(out, ',');
        add_share(out, "end", &s->group[i].now);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "]}");
}
