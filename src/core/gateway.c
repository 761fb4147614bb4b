/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways: doors of their own, each a process that speaks with the hub as a member (core/member.c).
 *
 * A gateway's workers lease budget and send meter records as those of the hub's own process do. They outlive a restart of the
 * hub: their leases stay, and what was recorded is told by each one's sequence. They are gone when the gateway has another
 * session, which is another process or none, or is removed.
 */
#include <string.h>

#include "base/err.h"
#include "core/state.h"
#include "core/view.h"

void gateways_carve(struct core *core, struct arena *arena)
{
    CARVE(core, gateways, gateway, GATEWAYS_MAX);
}

static uint32_t by_id(const struct core *core, const struct uuid *id)
{
    for (uint32_t i = 0; i < core->gateways.used; i++) {
        if (table_live(&core->gateways, i) && uuid_eq(&core->gateway[i].row.id, id))
            return i;
    }
    return INDEX_NONE;
}

static int put(struct core *core, const struct row_gateway *row)
{
    uint32_t i = table_take(&core->gateways);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->gateway[i].row = *row;
    return 0;
}

int load_gateway(struct core *core, const struct row_gateway *row)
{
    return by_id(core, &row->id) == INDEX_NONE ? put(core, row) : ERR_CORRUPT;
}

int step_gateway_add(struct core *core, const struct event *event)
{
    const struct event_gateway_add *e = &event->u.gateway_add;
    struct row_gateway row = {.id = e->gateway, .created_ms = event->at_ms};
    if (uuid_zero(&e->gateway) || !name_valid(e->name, text_len(e->name, sizeof e->name)))
        return ERR_INVALID;
    if (by_id(core, &e->gateway) != INDEX_NONE || site_by_id(core, &e->gateway).v != INDEX_NONE ||
        view_gateway_named(core, e->name, text_len(e->name, NAME_CAP)))
        return ERR_EXISTS;
    memcpy(row.name, e->name, sizeof row.name);
    return put(core, &row);
}

int step_gateway_remove(struct core *core, const struct event *event)
{
    const struct uuid *id = &event->u.gateway_remove.gateway;
    uint32_t i = by_id(core, id);
    if (i == INDEX_NONE)
        return ERR_NOT_FOUND;
    lease_end_workers(core, id);
    (void)member_drop(core, id);
    table_drop(&core->gateways, i);
    core->effects->routes_changed = true; /* whoever follows them looks who is a member still */
    return 0;
}

int step_gateway_session(struct core *core, const struct event *event)
{
    const struct event_gateway_session *e = &event->u.gateway_session;
    uint32_t i = by_id(core, &e->gateway);
    if (i == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct row_gateway *row = &core->gateway[i].row;
    if (uuid_eq(&row->session, &e->session))
        return 0;
    lease_end_workers(core, &e->gateway);
    row->session = e->session;
    table_touch(&core->gateways, i);
    return 0;
}

/* ---- what others see ---- */

const struct row_gateway *view_gateway_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->gateways.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->gateways, i))
            return &core->gateway[i].row;
    }
    return NULL;
}

const struct row_gateway *view_gateway(const struct core *core, const struct uuid *id)
{
    uint32_t i = by_id(core, id);
    return i == INDEX_NONE ? NULL : &core->gateway[i].row;
}

const struct row_gateway *view_gateway_named(const struct core *core, const char *name, size_t len)
{
    const struct row_gateway *row;
    for (uint32_t pos = 0; (row = view_gateway_at(core, &pos)) != NULL;) {
        if (text_eq(row->name, text_len(row->name, NAME_CAP), name, len))
            break;
    }
    return row;
}

const struct row_worker *view_worker_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->workers.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->workers, i))
            return &core->worker[i].row;
    }
    return NULL;
}
