/* SPDX-License-Identifier: Apache-2.0 */
/* Corridors: what was given, what was measured, and what is planned by. */
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/kinds.h"
#include "core/network.h"
#include "core/state.h"

void corridor_begin(struct row_corridor *row)
{
    row->given_bits_s = row->bits_s;
    row->given_rtt = row->rtt;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool corridor_settle(struct corridor *c)
{
    struct row_corridor *row = &c->row;
    const uint64_t most = row->flags & CORRIDOR_ASSUMED ? UINT64_MAX : row->given_bits_s;
    const uint64_t measured = row->there_bits_s > 0 ? row->there_bits_s : row->back_bits_s;
    const uint64_t bits_s = measured > 0 ? lesser(measured, most) : row->given_bits_s;
    const uint64_t granted = lesser(c->granted, most);
    const uint64_t before_bits_s = row->bits_s;
    const uint32_t before_rtt = row->rtt;
    row->bits_s = bits_s > granted ? bits_s : granted;
    row->rtt = row->measured_rtt > 0 ? row->measured_rtt : row->given_rtt;
    return row->bits_s != before_bits_s || row->rtt != before_rtt;
}

uint32_t corridor_between(const struct core *core, struct site_id a, struct site_id b)
{
    const struct network *net = &core->net;
    uint32_t found = INDEX_NONE;
    for (uint32_t i = 0; i < net->corridors.used; i++) {
        const struct corridor *c = &net->corridor[i];
        bool joins = (c->a.v == a.v && c->b.v == b.v) || (c->a.v == b.v && c->b.v == a.v);
        if (joins && table_live(&net->corridors, i) &&
            (found == INDEX_NONE || memcmp(&c->row.id, &net->corridor[found].row.id, sizeof c->row.id) < 0))
            found = i;
    }
    return found;
}

int step_corridor_add(struct core *core, const struct event *event)
{
    const struct event_corridor_add *e = &event->u.corridor_add;
    struct network *net = &core->net;
    struct site_id a = site_by_id(core, &e->a), b = site_by_id(core, &e->b);
    if (uuid_zero(&e->corridor) || e->bits_s == 0 || e->price < 0 || e->price > PRICE_MAX ||
        (e->flags & ~(uint32_t)CORRIDOR_ASSUMED))
        return ERR_INVALID;
    if (a.v == INDEX_NONE || b.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (a.v == b.v)
        return ERR_INVALID;
    if (map_get(&net->corridor_map, &e->corridor, sizeof e->corridor) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&net->corridors);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    net->corridor[i] = (struct corridor){.row = {.id = e->corridor,
                                                 .a = e->a,
                                                 .b = e->b,
                                                 .bits_s = e->bits_s,
                                                 .rtt = e->rtt,
                                                 .price = e->price,
                                                 .energy = e->energy,
                                                 .state = PLACE_UP,
                                                 .flags = e->flags},
                                         .a = a,
                                         .b = b};
    corridor_begin(&net->corridor[i].row);
    map_put(&net->corridor_map, &e->corridor, sizeof e->corridor, i);
    traffic_changed(core);
    core->book.version++; /* nobody has judged it yet */
    network_changed(core);
    return 0;
}

static void corridor_turned(struct core *core, uint32_t i)
{
    table_touch(&core->net.corridors, i);
    traffic_changed(core);
    network_changed(core);
    transit_cut(core, i);
}

int step_corridor_state(struct core *core, const struct event *event)
{
    const struct event_corridor_state *e = &event->u.corridor_state;
    uint32_t i = map_get(&core->net.corridor_map, &e->corridor, sizeof e->corridor);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    if (!place_state_valid(e->state) || e->bits_s == 0)
        return ERR_INVALID;
    transit_turn(core); /* what has come by now is not cut */
    core->net.corridor[i].row.state = e->state;
    core->net.corridor[i].row.given_bits_s = e->bits_s;
    (void)corridor_settle(&core->net.corridor[i]);
    corridor_turned(core, i);
    return 0;
}

int step_corridor_set(struct core *core, const struct event *event)
{
    const struct event_corridor_set *e = &event->u.corridor_set;
    uint32_t i = map_get(&core->net.corridor_map, &e->corridor, sizeof e->corridor);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    if (e->bits_s == 0 || e->price < 0 || e->price > PRICE_MAX || (e->flags & ~(uint32_t)CORRIDOR_ASSUMED))
        return ERR_INVALID;
    struct row_corridor *row = &core->net.corridor[i].row;
    transit_turn(core); /* as above */
    row->given_bits_s = e->bits_s;
    row->price = e->price;
    row->energy = e->energy;
    row->flags = e->flags;
    (void)corridor_settle(&core->net.corridor[i]);
    corridor_turned(core, i);
    return 0;
}

void corridor_set_price(struct core *core, uint32_t corridor, int64_t price)
{
    core->net.corridor[corridor].row.price = price;
    corridor_turned(core, corridor);
}

int step_corridor_measure(struct core *core, const struct event *event)
{
    const struct event_corridor_measure *e = &event->u.corridor_measure;
    uint32_t i = map_get(&core->net.corridor_map, &e->corridor, sizeof e->corridor);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    struct row_corridor *row = &core->net.corridor[i].row;
    uint64_t models;
    if (e->rtt > CORRIDOR_RTT_MAX || e->there_bits_s > CORRIDOR_BITS_MAX ||
        e->back_bits_s > CORRIDOR_BITS_MAX || !u64_add(row->bytes_models, e->models, &models))
        return ERR_INVALID;
    row->bytes_models = models;
    row->there_bits_s = e->there_bits_s > 0 ? e->there_bits_s : row->there_bits_s;
    row->back_bits_s = e->back_bits_s > 0 ? e->back_bits_s : row->back_bits_s;
    row->measured_rtt = e->rtt > 0 ? e->rtt : row->measured_rtt;
    if (e->rtt > 0 || e->there_bits_s > 0 || e->back_bits_s > 0)
        row->measured_ms = core->now_ms;
    table_touch(&core->net.corridors, i);
    if (corridor_settle(&core->net.corridor[i])) {
        traffic_changed(core);
        network_changed(core);
        core->effects->routes_changed = true; /* requests go by its round trip, too */
    }
    return 0;
}
