/* SPDX-License-Identifier: Apache-2.0 */
/* Services as tables: how they come and go. What is decided about them: core/service.c. */
#include "core/service.h"

#include <string.h>

#include "core/state.h"

/* An odd number near 2^64 over the golden ratio: its multiples lie far from one another (Knuth, TAOCP 3, 6.4). */
#define SPREAD UINT64_C(0x9e3779b97f4a7c15)

/* ---- laying out ---- */

static bool service_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct service *)table)[i].row.id, key, len) == 0;
}

/* The key is the beginning of the row: service and site. */
static bool demand_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct service_demand *)table)[i].row, key, len) == 0;
}

void services_carve(struct core *core, struct arena *arena)
{
    const struct limits *n = &core->limits;
    CARVE(core, service.services, service.service, n->services);
    core->service.by_id = arena_take(arena, n->services * sizeof *core->service.by_id);
    CARVE(core, service.demands, service.demand, n->demands);
    CARVE(core, service.replicas, service.replica, n->service_replicas);
    index_init(&core->service.service_map, arena, n->services, service_equal, core->service.service);
    index_init(&core->service.demand_map, arena, n->demands, demand_equal, core->service.demand);
}

uint32_t service_find(const struct core *core, const struct uuid *id)
{
    return map_get(&core->service.service_map, id, sizeof *id);
}

struct uuid replica_job_id(const struct uuid *service, uint64_t ordinal)
{
    struct uuid id = *service;
    uint64_t low = 0;
    for (int i = 8; i < 16; i++)
        low = low << 8 | id.b[i];
    uint64_t variant = low & UINT64_C(3) << 62;
    low = ((low + (ordinal + 1) * SPREAD) & ~(UINT64_C(3) << 62)) | variant;
    for (int i = 15; i >= 8; i--, low >>= 8)
        id.b[i] = (uint8_t)low;
    id.b[6] = (uint8_t)(0x80 | (id.b[6] & 0x0f)); /* version 8 (RFC 9562): the service's is 7 */
    return id;
}

/* Where the id is in the order of services, or would be. */
static uint32_t place_in_order(const struct services *all, const struct uuid *id, uint32_t n)
{
    uint32_t at = 0;
    while (at < n && memcmp(&all->service[all->by_id[at]].row.id, id, sizeof *id) < 0)
        at++;
    return at;
}

uint32_t service_put(struct core *core, const struct row_service *row)
{
    struct services *all = &core->service;
    uint32_t before = all->services.live;
    uint32_t i = table_take(&all->services);
    if (i == INDEX_NONE)
        return i;
    uint32_t at = place_in_order(all, &row->id, before);
    memmove(all->by_id + at + 1, all->by_id + at, (before - at) * sizeof *all->by_id);
    all->by_id[at] = i;
    struct service *s = &all->service[i];
    *s = (struct service){.row = *row, .model = INDEX_NONE, .deployment = INDEX_NONE, .next_ms = INT64_MAX};
    list_init(&s->replicas);
    list_init(&s->draining);
    list_init(&s->demands);
    uint32_t variant =
        uuid_zero(&row->variant) ? MAP_NONE : map_get(&core->variant_map, &row->variant, sizeof row->variant);
    if (variant != MAP_NONE) {
        s->model = core->variant[variant].model.v;
        core->model[s->model].nservices++;
    }
    uint32_t deployment = deployment_find(core, &row->id);
    if (deployment != MAP_NONE) {
        s->deployment = deployment;
        core->deployment[deployment].service = i;
    }
    map_put(&all->service_map, &row->id, sizeof row->id, i);
    return i;
}

uint32_t service_put_demand(struct core *core, uint32_t service, const struct row_service_demand *row)
{
    struct services *all = &core->service;
    struct service *s = &all->service[service];
    uint32_t i = table_take(&all->demands);
    if (i == INDEX_NONE)
        return i;
    all->demand[i] = (struct service_demand){.row = *row};
    list_push(&s->demands, &all->demand[i].in_service);
    s->tokens_s += row->tokens_s;
    s->in_flight += row->in_flight;
    map_put(&all->demand_map, &all->demand[i].row, sizeof row->service + sizeof row->site, i);
    return i;
}

uint32_t service_put_replica(struct core *core, uint32_t service, const struct row_service_replica *row)
{
    struct services *all = &core->service;
    uint32_t job = job_by_id(core, &row->job).v;
    uint32_t i = job != INDEX_NONE ? table_take(&all->replicas) : INDEX_NONE;
    if (i == INDEX_NONE)
        return i;
    struct service *s = &all->service[service];
    all->replica[i] =
        (struct service_replica){.row = *row, .service = service, .job = job, .hosted = INDEX_NONE};
    list_push(row->draining ? &s->draining : &s->replicas, &all->replica[i].in_service);
    s->nreplicas += !row->draining;
    core->work.job[job].replica = i;
    return i;
}

void service_drop(struct core *core, uint32_t i)
{
    struct services *all = &core->service;
    struct service *s = &all->service[i];
    list_for_each_safe (it, next, &s->demands) {
        struct service_demand *d = list_entry(it, struct service_demand, in_service);
        map_remove(&all->demand_map, &d->row, sizeof d->row.service + sizeof d->row.site);
        table_drop(&all->demands, (uint32_t)(d - all->demand));
    }
    if (s->model != INDEX_NONE)
        core->model[s->model].nservices--;
    map_remove(&all->service_map, &s->row.id, sizeof s->row.id);
    uint32_t at = place_in_order(all, &s->row.id, all->services.live);
    memmove(all->by_id + at, all->by_id + at + 1, (all->services.live - at - 1) * sizeof *all->by_id);
    table_drop(&all->services, i);
}
