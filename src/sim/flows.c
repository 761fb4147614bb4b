/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/flows.h"

#include <stdlib.h>

#include "base/checked.h"

#define GB UINT64_C(1000000000)

struct link {
    struct flow sum;
    const struct stock_site *a, *b;
    int64_t price;
    uint64_t energy;
};

/* One corridor's part of a transfer under way. */
struct part {
    struct uuid job;
    uint32_t link;
    uint64_t bytes;
    int64_t from_ms, ms;
};

struct flows {
    const struct stock *stock;
    struct link *link;
    struct part *part;
    uint32_t nlinks, links_max, nparts, cap;
    int64_t next_ms; /* when the first of the parts is over */
};

struct flows *flows_new(const struct stock *stock, uint32_t corridors)
{
    struct flows *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->stock = stock;
    f->link = calloc(corridors + 1u, sizeof *f->link);
    f->links_max = corridors;
    f->next_ms = INT64_MAX;
    if (f->link)
        return f;
    flows_free(f);
    return NULL;
}

void flows_free(struct flows *f)
{
    if (!f)
        return;
    free(f->link);
    free(f->part);
    free(f);
}

void flows_event(struct flows *f, const struct event *event)
{
    const struct event_corridor_add *e = &event->u.corridor_add;
    if (event->kind != EVENT_KIND_corridor_add || f->nlinks == f->links_max)
        return;
    const struct stock_site *a = stock_find_site(f->stock, &e->a), *b = stock_find_site(f->stock, &e->b);
    if (a && b)
        f->link[f->nlinks++] = (struct link){.sum = {.corridor = e->corridor, .a = a->name, .b = b->name},
                                             .a = a,
                                             .b = b,
                                             .price = e->price,
                                             .energy = e->energy};
}

static uint64_t come_by(const struct part *p, int64_t now_ms)
{
    int64_t ms = now_ms - p->from_ms;
    return ms >= p->ms ? p->bytes : (uint64_t)((int128)p->bytes * ms / p->ms);
}

/* The part is over now, whole or not. */
static void settle(struct flows *f, uint32_t i, int64_t now_ms)
{
    struct link *link = &f->link[f->part[i].link];
    uint64_t bytes = come_by(&f->part[i], now_ms);
    uint64_t joules = (uint64_t)((int128)bytes * link->energy / GB);
    link->sum.bytes += bytes;
    link->sum.joules += joules;
    link->sum.nano += (int64_t)((int128)bytes * link->price / (int128)GB);
    link->sum.power_nano += (int64_t)(((int128)link->a->price + link->b->price) * joules / 2 / 3600000);
    link->sum.mg += (uint64_t)((int128)(link->a->carbon + link->b->carbon) * joules / 2 / 3600000);
    f->part[i] = f->part[--f->nparts];
}

static void advance(struct flows *f, int64_t now_ms)
{
    if (now_ms < f->next_ms)
        return;
    f->next_ms = INT64_MAX;
    for (uint32_t i = 0; i < f->nparts;) {
        int64_t ends_ms = f->part[i].from_ms + f->part[i].ms;
        if (ends_ms <= now_ms) {
            settle(f, i, now_ms);
            continue;
        }
        f->next_ms = ends_ms < f->next_ms ? ends_ms : f->next_ms;
        i++;
    }
}

bool flows_begin(struct flows *f, const struct effect *e, int64_t now_ms)
{
    advance(f, now_ms);
    uint32_t i = 0;
    while (i < f->nlinks && !uuid_eq(&f->link[i].sum.corridor, &e->corridor))
        i++;
    if (i == f->nlinks)
        return true; /* the checker says so */
    if (f->nparts == f->cap) {
        uint32_t cap = f->cap ? 2 * f->cap : 256;
        struct part *part = realloc(f->part, cap * sizeof *part);
        if (!part)
            return false;
        f->part = part;
        f->cap = cap;
    }
    f->part[f->nparts++] = (struct part){
        .job = e->job, .link = i, .bytes = e->bytes, .from_ms = now_ms, .ms = e->ms > 0 ? e->ms : 1};
    f->link[i].sum.transfers++;
    f->next_ms = now_ms + e->ms < f->next_ms ? now_ms + e->ms : f->next_ms;
    return true;
}

void flows_end(struct flows *f, const struct uuid *job, int64_t now_ms)
{
    advance(f, now_ms);
    for (uint32_t i = 0; i < f->nparts;) {
        if (uuid_eq(&f->part[i].job, job))
            settle(f, i, now_ms);
        else
            i++;
    }
}

uint32_t flows_count(const struct flows *f)
{
    return f->nlinks;
}

struct flow flows_at(struct flows *f, uint32_t i, int64_t now_ms)
{
    advance(f, now_ms);
    struct flow flow = f->link[i].sum;
    for (uint32_t k = 0; k < f->nparts; k++)
        flow.bytes += f->part[k].link == i ? come_by(&f->part[k], now_ms) : 0;
    return flow;
}
