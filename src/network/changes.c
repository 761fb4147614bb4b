/* SPDX-License-Identifier: Apache-2.0 */
/* What changes when: the list `changes` of a file, and the events that it makes in order of time. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "network/decimal.h"
#include "network/parts.h"

static const char *const state_words[] = {"up", "cordoned", "lost", NULL};
static const uint32_t state_of_word[] = {0, PLACE_UP, PLACE_CORDONED, PLACE_LOST};

struct change_reading {
    struct change change;
    char site[NAME_CAP];
    yaml_node_t *corridor, *add_pool;
};

enum change_field {
    CHANGE_AT,
    CHANGE_SITE,
    CHANGE_CORRIDOR,
    CHANGE_CHIPS_OF,
    CHANGE_JURISDICTION,
    CHANGE_STATE,
    CHANGE_CAP,
    CHANGE_PRICE,
    CHANGE_CARBON,
    CHANGE_GBIT_S,
    CHANGE_OVER_DAYS,
    CHANGE_ADD_POOL,
    CHANGE_FIELDS
};

#define BIT(field) (UINT32_C(1) << (field))
#define CHANGE(key, kind, member, cap, words) \
    { \
        key, kind, offsetof(struct change_reading, member), cap, 0, 0, 0, false, words \
    }
#define CHANGE_FIGURE(key, decimals, max) \
    { \
#key, TREE_NUMBER, offsetof(struct change_reading, change.key), 0, decimals, 0, max, false, NULL \
    }

static const struct tree_field change_fields[CHANGE_FIELDS] = {
    [CHANGE_AT] = {"at", TREE_DATE, offsetof(struct change_reading, change.at_ms), 0, 0, 0, 0, true, NULL},
    [CHANGE_SITE] = CHANGE("site", TREE_NAME, site, NAME_CAP, NULL),
    [CHANGE_CORRIDOR] = CHANGE("corridor", TREE_NODE, corridor, 0, NULL),
    [CHANGE_CHIPS_OF] = CHANGE("chips_of", TREE_NAME, change.vendor, NAME_CAP, NULL),
    [CHANGE_JURISDICTION] = CHANGE("jurisdiction", TREE_CODE, change.jurisdiction, CODE_CAP, NULL),
    [CHANGE_STATE] = CHANGE("state", TREE_WORD, change.state, 0, state_words),
    [CHANGE_CAP] = CHANGE_FIGURE(cap_mw, 6, INT64_C(100000000000)),
    [CHANGE_PRICE] = CHANGE_FIGURE(price_usd_mwh, 6, INT64_C(100000000000)),
    [CHANGE_CARBON] = CHANGE_FIGURE(carbon_g_kwh, 3, 5000000),
    [CHANGE_GBIT_S] = CHANGE_FIGURE(gbit_s, 3, 1000000000),
    [CHANGE_OVER_DAYS] = CHANGE_FIGURE(over_days, 0, 36500),
    [CHANGE_ADD_POOL] = CHANGE("add_pool", TREE_NODE, add_pool, 0, NULL),
};

/* What may happen to each kind of thing. */
static const struct {
    enum change_field target;
    uint32_t actions, details;
} targets[] = {
    {CHANGE_SITE,
     BIT(CHANGE_STATE) | BIT(CHANGE_CAP) | BIT(CHANGE_PRICE) | BIT(CHANGE_CARBON) | BIT(CHANGE_ADD_POOL), 0},
    {CHANGE_CORRIDOR, BIT(CHANGE_STATE) | BIT(CHANGE_GBIT_S), 0},
    {CHANGE_CHIPS_OF, BIT(CHANGE_STATE), BIT(CHANGE_JURISDICTION) | BIT(CHANGE_OVER_DAYS)},
};

/* ---- reading ---- */

static bool check_target(const struct at *at, uint32_t given)
{
    const uint32_t all = BIT(CHANGE_SITE) | BIT(CHANGE_CORRIDOR) | BIT(CHANGE_CHIPS_OF);
    uint32_t target = given & all;
    if (!target || (target & (target - 1))) {
        at_problem(at, "expected one of site, corridor, chips_of");
        return false;
    }
    for (uint32_t i = 0; i < COUNT(targets); i++) {
        if (!(target & BIT(targets[i].target)))
            continue;
        uint32_t rest = given & ~(target | BIT(CHANGE_AT));
        uint32_t wrong = rest & ~(targets[i].actions | targets[i].details);
        for (uint32_t f = 0; f < CHANGE_FIELDS; f++) {
            if (wrong & BIT(f))
                at_key_problem(at, change_fields[f].key, "does not go with %s",
                               change_fields[targets[i].target].key);
        }
        if (!(rest & targets[i].actions)) {
            at_problem(at, "says nothing that happens");
            return false;
        }
        return !wrong;
    }
    return false;
}

/* [a, b] */
static uint32_t read_ends(const struct netfile *nf, const struct at *at)
{
    char name[2][NAME_CAP] = {"", ""};
    uint32_t site[2] = {NET_NONE, NET_NONE};
    if (at_items(at, 2) != 2) {
        at_problem(at, "expected the two sites at its ends");
        return NET_NONE;
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct at item = at_item(at, i);
        if (!at_name(&item, name[i], sizeof name[i]))
            return NET_NONE;
        site[i] = net_find_site(nf, name[i]);
        if (site[i] == NET_NONE)
            at_problem(&item, "no such site: %s", name[i]);
    }
    if (site[0] == NET_NONE || site[1] == NET_NONE)
        return NET_NONE;
    uint32_t corridor = net_find_corridor(nf, site[0], site[1]);
    if (corridor == NET_NONE)
        at_problem(at, "no corridor between %s and %s", name[0], name[1]);
    return corridor;
}

static void read_change(struct netfile *nf, const struct at *at)
{
    struct change_reading r = {.change = {.site = NET_NONE,
                                          .corridor = NET_NONE,
                                          .pool = NET_NONE,
                                          .where = at_where(at),
                                          .order = nf->nchanges}};
    uint32_t given = fields_read(at, change_fields, CHANGE_FIELDS, &r);
    fields_require(&r.change.where, nf->problems, change_fields, CHANGE_FIELDS, given);
    if (at->node->type != YAML_MAPPING_NODE || !check_target(at, given))
        return;
    if (given & BIT(CHANGE_SITE)) {
        r.change.site = r.site[0] ? net_find_site(nf, r.site) : NET_NONE;
        if (r.site[0] && r.change.site == NET_NONE)
            at_key_problem(at, "site", "no such site: %s", r.site);
    }
    if (r.corridor) {
        struct at ends = at_child(at, "corridor", r.corridor);
        r.change.corridor = read_ends(nf, &ends);
    }
    if (r.add_pool && r.change.site != NET_NONE) {
        struct at pool = at_child(at, "add_pool", r.add_pool);
        r.change.pool = net_read_pool(nf, &pool, r.change.site, r.change.at_ms);
    }
    nf->change[nf->nchanges++] = r.change;
}

void net_read_changes(struct netfile *nf, const struct at *list)
{
    uint32_t n = at_items(list, NET_CHANGES_MAX - nf->nchanges);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        read_change(nf, &item);
    }
}

/* ---- in order of time ---- */

static int by_time(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int dated_by_time(const void *a, const void *b)
{
    const struct dated *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int add(struct netfile *nf, const struct change *change, struct dated dated)
{
    if (nf->ndated == NET_DATED_MAX) {
        where_problem(&change->where, nf->problems, "", "the changes make more than %u events",
                      NET_DATED_MAX);
        return ERR_LIMIT;
    }
    if (nf->ndated == nf->dated_cap) {
        uint32_t cap = nf->dated_cap ? nf->dated_cap * 2 : 64;
        struct dated *list = realloc(nf->dated, cap * sizeof *list);
        if (!list)
            return ERR_NO_MEMORY;
        nf->dated = list;
        nf->dated_cap = cap;
    }
    dated.order = nf->ndated;
    nf->dated[nf->ndated++] = dated;
    return 0;
}

static int date_site(struct netfile *nf, const struct change *c)
{
    struct dated d = {.at_ms = c->at_ms, .target = c->site, .state = state_of_word[c->state]};
    int rc = 0;
    if (figure_given(c->cap_mw)) {
        d.kind = EVENT_KIND_site_cap;
        d.value = (uint64_t)c->cap_mw.v;
        rc = add(nf, c, d);
    }
    if (figure_given(c->price_usd_mwh) || figure_given(c->carbon_g_kwh)) {
        nf->step[nf->nsteps++] = (struct step){
            .at_ms = c->at_ms, .site = c->site, .price = c->price_usd_mwh, .carbon = c->carbon_g_kwh};
        d.kind = EVENT_KIND_site_signal;
        rc = rc == 0 ? add(nf, c, d) : rc;
    }
    if (c->pool != NET_NONE) {
        d.kind = EVENT_KIND_pool_add;
        d.target = c->pool;
        rc = rc == 0 ? add(nf, c, d) : rc;
    }
    if (c->state) {
        d.kind = EVENT_KIND_site_state;
        d.target = c->site;
        rc = rc == 0 ? add(nf, c, d) : rc;
    }
    return rc;
}

/* An event says both, so what the change does not name is as it was: now[] keeps it. */
static int date_corridor(struct netfile *nf, const struct change *c, struct dated *now)
{
    struct dated *d = &now[c->corridor];
    d->at_ms = c->at_ms;
    d->kind = EVENT_KIND_corridor_state;
    d->target = c->corridor;
    if (c->state)
        d->state = state_of_word[c->state];
    if (figure_given(c->gbit_s))
        d->value = (uint64_t)c->gbit_s.v * 1000000;
    return add(nf, c, *d);
}

static bool pool_of(const struct netfile *nf, const struct change *c, uint32_t i)
{
    const struct net_pool *pool = &nf->pool[i].pool;
    const struct net_site *site = &nf->site[pool->site].site;
    return strcmp(nf->chip[pool->chip].vendor, c->vendor) == 0 && pool->from_ms <= c->at_ms &&
           (!c->jurisdiction[0] || strcmp(site->jurisdiction, c->jurisdiction) == 0);
}

/* Every node with chips of a vendor, one after the other in equal steps, all sites alike: node k of each pool before node
 * k + 1 of any. */
static int date_vendor(struct netfile *nf, const struct change *c)
{
    const int64_t over_ms = c->over_days.v * 24 * HOUR_MS;
    uint64_t nodes = 0, done = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < nf->npools; i++) {
        uint32_t n = pool_of(nf, c, i) ? nf->pool[i].pool.nodes : 0;
        nodes += n;
        most = n > most ? n : most;
    }
    if (!nodes) {
        where_problem(&c->where, nf->problems, "chips_of", "no chips of %s are there", c->vendor);
        return 0;
    }
    int rc = 0;
    for (uint32_t node = 0; node < most; node++) {
        for (uint32_t i = 0; i < nf->npools && rc == 0; i++) {
            if (!pool_of(nf, c, i) || node >= nf->pool[i].pool.nodes)
                continue;
            rc = add(nf, c,
                     (struct dated){.at_ms = c->at_ms + (int64_t)((uint64_t)over_ms * done++ / nodes),
                                    .kind = EVENT_KIND_node_state,
                                    .target = i,
                                    .node = node,
                                    .state = state_of_word[c->state]});
        }
    }
    return rc;
}

int net_date_changes(struct netfile *nf)
{
    int rc = 0;
    struct dated *now = calloc(nf->ncorridors + 1, sizeof *now);
    if (!now)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < nf->ncorridors; i++) {
        now[i].state = PLACE_UP;
        now[i].value = (uint64_t)nf->corridor[i].corridor.gbit_s.v * 1000000;
    }
    if (nf->nchanges)
        qsort(nf->change, nf->nchanges, sizeof nf->change[0], by_time);
    for (uint32_t i = 0; i < nf->nchanges && rc == 0; i++) {
        const struct change *c = &nf->change[i];
        if (c->site != NET_NONE)
            rc = date_site(nf, c);
        else if (c->corridor != NET_NONE)
            rc = date_corridor(nf, c, now);
        else if (c->vendor[0])
            rc = date_vendor(nf, c);
    }
    if (nf->ndated)
        qsort(nf->dated, nf->ndated, sizeof nf->dated[0], dated_by_time);
    free(now);
    return rc == ERR_LIMIT ? 0 : rc; /* the limit was told */
}
