/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of the local site: this machine's processors, as the core knows them. */
#include <stdlib.h>
#include <string.h>

#include "base/osrandom.h"
#include "hub/api.h"

#define POOLS_MAX 16 /* of the local site: as often the machine may change its size */
/* Of a server's watts when it does nothing, as in data/chips.yaml. */
#define IDLE_SHARE_PERCENT 30

struct look {
    const struct hub_pool *pool;
    struct event events[POOLS_MAX + 2];
    uint32_t n;
    struct uuid found, site;
    bool no_site;
};

static void set_state(struct look *look, const struct core *core, const struct row_pool *row, uint32_t state)
{
    uint32_t now = view_node_state(core, &row->id, 0);
    /* What an operator cordoned stays so. */
    if (now == state || (state == PLACE_UP && now != PLACE_LOST) || look->n == POOLS_MAX)
        return;
    struct event *event = &look->events[look->n++];
    event->kind = EVENT_KIND_node_state;
    event->u.node_state = (struct event_node_state){.pool = row->id, .state = state};
}

static void add_chip(struct look *look)
{
    const struct hub_pool *pool = look->pool;
    struct event *event = &look->events[look->n++];
    struct event_chip_add *e = &event->u.chip_add;
    event->kind = EVENT_KIND_chip_add;
    *e = (struct event_chip_add){.vendor = "various",
                                 .origin = "ZZ",
                                 .watts = pool->watts ? pool->watts : 1,
                                 .idle_watts = pool->watts * IDLE_SHARE_PERCENT / 100,
                                 .memory_mib = pool->memory_mib};
    memcpy(e->chip, pool->chip, sizeof e->chip);
}

static void add_pool(struct look *look, const struct uuid *site)
{
    struct event *event = &look->events[look->n++];
    look->found = uuid_new();
    event->kind = EVENT_KIND_pool_add;
    event->u.pool_add = (struct event_pool_add){
        .pool = look->found, .site = *site, .nodes = 1, .node_chips = look->pool->chips, .domain = 1};
    memcpy(event->u.pool_add.chip, look->pool->chip, sizeof look->pool->chip);
}

static const struct row_site *local_site(const struct core *core)
{
    const struct row_site *row;
    for (uint32_t pos = 0; (row = view_site_at(core, &pos)) != NULL;) {
        if (strcmp(row->name, HUB_LOCAL_SITE) == 0)
            break;
    }
    return row;
}

/* A pool does not change its size: one of another size stands for a machine that is gone. */
static void look(void *ctx, const struct core *core)
{
    struct look *l = ctx;
    const struct row_site *site = local_site(core);
    const struct row_pool *row;
    l->no_site = !site;
    if (site)
        l->site = site->id;
    for (uint32_t pos = 0; site && (row = view_pool_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->site, &site->id) || strcmp(row->chip, l->pool->chip) != 0)
            continue;
        bool same = row->nodes == 1 && row->node_chips == l->pool->chips && uuid_zero(&l->found);
        if (same)
            l->found = row->id;
        set_state(l, core, row, same ? PLACE_UP : PLACE_LOST);
    }
    if (!site || !uuid_zero(&l->found))
        return;
    if (!view_chip_known(core, l->pool->chip))
        add_chip(l);
    add_pool(l, &site->id);
}

int hub_local_pool(struct hub *hub, struct hub_pool *pool, struct err *err)
{
    struct look *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    l->pool = pool;
    int rc = hub_settle(hub, look, l, l->events, &l->n);
    if (rc == 0 && l->no_site)
        rc = err_set(err, ERR_NOT_FOUND, "there is no site `" HUB_LOCAL_SITE "`");
    else if (rc != 0)
        err_set(err, rc, "cannot tell the core which chips are here: %s", err_text(rc));
    pool->id = l->found;
    pool->site = l->site;
    free(l);
    return rc;
}
