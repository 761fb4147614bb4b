/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/stock.h"

#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"

bool stock_init(struct stock *f, const struct limits *limits)
{
    *f = (struct stock){
        .kinds_max = limits->chips, .sites_max = limits->sites, .pools_max = limits->pools, .changed = true};
    f->kind = calloc(limits->chips + 1, sizeof *f->kind);
    f->site = calloc(limits->sites + 1, sizeof *f->site);
    f->pool = calloc(limits->pools + 1, sizeof *f->pool);
    return f->kind && f->site && f->pool;
}

void stock_fini(struct stock *f)
{
    for (uint32_t i = 0; i < f->npools; i++)
        free(f->pool[i].state);
    free(f->kind);
    free(f->site);
    free(f->pool);
}

/* Events about nodes come pool by pool or in turns over pools: the one that was found last, or the next, is mostly it. */
static struct stock_pool *find_pool(struct stock *f, const struct uuid *id)
{
    for (uint32_t n = 0; n < f->npools; n++) {
        uint32_t i = (f->last + n) % f->npools;
        if (uuid_eq(&f->pool[i].id, id)) {
            f->last = i;
            return &f->pool[i];
        }
    }
    return NULL;
}

static uint32_t find_site(const struct stock *f, const struct uuid *id)
{
    uint32_t i = 0;
    while (i < f->nsites && !uuid_eq(&f->site[i].id, id))
        i++;
    return i;
}

static void add_kind(struct stock *f, const struct event_chip_add *e)
{
    if (f->nkinds == f->kinds_max)
        return;
    struct stock_kind *k = &f->kind[f->nkinds++];
    *k = (struct stock_kind){.gflops = e->gflops, .watts = e->watts};
    memcpy(k->name, e->chip, sizeof k->name);
    memcpy(k->vendor, e->vendor, sizeof k->vendor);
    memcpy(k->origin, e->origin, sizeof k->origin);
}

static void add_site(struct stock *f, const struct event_site_add *e)
{
    if (f->nsites == f->sites_max)
        return;
    struct stock_site *s = &f->site[f->nsites++];
    *s = (struct stock_site){.id = e->site, .state = PLACE_UP};
    memcpy(s->name, e->name, sizeof s->name);
    memcpy(s->jurisdiction, e->jurisdiction, sizeof s->jurisdiction);
}

static void add_pool(struct stock *f, const struct event_pool_add *e)
{
    uint32_t site = find_site(f, &e->site), kind = 0;
    while (kind < f->nkinds && strcmp(f->kind[kind].name, e->chip) != 0)
        kind++;
    if (f->npools == f->pools_max || site == f->nsites || kind == f->nkinds)
        return;
    uint8_t *state = malloc(e->nodes + 1u);
    if (!state) {
        f->failed = true;
        return;
    }
    memset(state, PLACE_UP, e->nodes + 1u);
    f->pool[f->npools++] = (struct stock_pool){.id = e->pool,
                                               .site = site,
                                               .kind = kind,
                                               .nodes = e->nodes,
                                               .node_chips = e->node_chips,
                                               .nodes_up = e->nodes,
                                               .price = e->price,
                                               .state = state};
    f->changed = true;
}

static void set_node(struct stock *f, const struct event_node_state *e)
{
    struct stock_pool *p = find_pool(f, &e->pool);
    if (!p || e->node >= p->nodes)
        return;
    p->nodes_up -= p->state[e->node] == PLACE_UP;
    p->state[e->node] = (uint8_t)e->state;
    p->nodes_up += p->state[e->node] == PLACE_UP;
    f->changed = true;
}

static void set_site(struct stock *f, const struct event *event)
{
    bool signal = event->kind == EVENT_KIND_site_signal;
    uint32_t i = find_site(f, signal ? &event->u.site_signal.site : &event->u.site_state.site);
    if (i == f->nsites)
        return;
    struct stock_site *s = &f->site[i];
    if (signal) {
        s->price = event->u.site_signal.price;
        s->carbon = event->u.site_signal.carbon;
        s->pue = event->u.site_signal.pue;
    } else {
        s->state = event->u.site_state.state;
        f->changed = true;
    }
}

static void set_price(struct stock *f, const struct event_pool_price *e)
{
    struct stock_pool *p = find_pool(f, &e->pool);
    if (p)
        p->price = e->price;
}

void stock_event(struct stock *f, const struct event *event)
{
    switch (event->kind) {
    case EVENT_KIND_chip_add:
        add_kind(f, &event->u.chip_add);
        break;
    case EVENT_KIND_site_add:
        add_site(f, &event->u.site_add);
        break;
    case EVENT_KIND_pool_add:
        add_pool(f, &event->u.pool_add);
        break;
    case EVENT_KIND_pool_price:
        set_price(f, &event->u.pool_price);
        break;
    case EVENT_KIND_node_state:
        set_node(f, &event->u.node_state);
        break;
    case EVENT_KIND_site_state:
    case EVENT_KIND_site_signal:
        set_site(f, event);
        break;
    default:
        break;
    }
}

const struct stock_site *stock_find_site(const struct stock *f, const struct uuid *id)
{
    uint32_t i = find_site(f, id);
    return i < f->nsites ? &f->site[i] : NULL;
}

uint32_t stock_up(const struct stock *f, uint32_t pool)
{
    const struct stock_pool *p = &f->pool[pool];
    return f->site[p->site].state == PLACE_UP ? p->nodes_up * p->node_chips : 0;
}
