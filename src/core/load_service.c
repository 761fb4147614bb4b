/* SPDX-License-Identifier: Apache-2.0 */
/* From rows back to state: services, what is asked of them, and their replicas. */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

int load_service(struct core *core, const struct row_service *row)
{
    if (map_get(&core->service.service_map, &row->id, sizeof row->id) != MAP_NONE || row->target == 0 ||
        row->tokens_s0 == 0 || row->max > SERVICE_REPLICAS_MAX ||
        tenant_by_id(core, &row->tenant).v == INDEX_NONE)
        return ERR_CORRUPT;
    uint32_t i = service_put(core, row);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    if (!uuid_zero(&row->variant) && core->service.service[i].model == INDEX_NONE)
        return ERR_CORRUPT;
    /* The first tick finds out when it is due. */
    core->service.service[i].next_ms = core->service.next_ms = INT64_MIN;
    return 0;
}

int load_service_demand(struct core *core, const struct row_service_demand *row)
{
    uint32_t i = map_get(&core->service.service_map, &row->service, sizeof row->service);
    size_t key = sizeof row->service + sizeof row->site;
    if (i == MAP_NONE || row->tokens_s > SERVICE_TOKENS_MAX ||
        map_get(&core->service.demand_map, row, key) != MAP_NONE)
        return ERR_CORRUPT;
    return service_put_demand(core, i, row) == INDEX_NONE ? ERR_LIMIT : 0;
}

int load_service_replica(struct core *core, const struct row_service_replica *row)
{
    uint32_t i = map_get(&core->service.service_map, &row->service, sizeof row->service);
    struct job_id job = job_by_id(core, &row->job);
    if (i == MAP_NONE || job.v == INDEX_NONE || !(core->work.job[job.v].row.flags & JOB_REPLICA) ||
        core->work.job[job.v].replica != INDEX_NONE)
        return ERR_CORRUPT;
    return service_put_replica(core, i, row) == INDEX_NONE ? ERR_LIMIT : 0;
}

/* Finds the job of a deployment's replica, by its id. False: it has none, and should. */
static bool host(struct core *core, uint32_t i)
{
    struct replica *replica = &core->replica[i];
    uint32_t service = core->deployment[replica->deployment].service;
    if (service == INDEX_NONE || replica->row.role == REPLICA_HEAD)
        return true;
    struct uuid id = replica_job_id(&core->service.service[service].row.id, replica->row.ordinal);
    struct job_id job = job_by_id(core, &id);
    uint32_t served = job.v == INDEX_NONE ? INDEX_NONE : core->work.job[job.v].replica;
    if (served == INDEX_NONE || core->service.replica[served].service != service ||
        core->service.replica[served].hosted != INDEX_NONE)
        return false;
    replica->served = served;
    core->service.replica[served].hosted = i;
    return true;
}

int load_services_done(struct core *core)
{
    const struct work *w = &core->work;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (table_live(&core->replicas, i) && !host(core, i))
            return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < core->service.replicas.used; i++) {
        const struct service_replica *r = &core->service.replica[i];
        if (table_live(&core->service.replicas, i) &&
            (core->service.service[r->service].deployment == INDEX_NONE) != (r->hosted == INDEX_NONE))
            return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < w->jobs.used; i++) {
        bool says = w->job[i].row.flags & JOB_REPLICA;
        if (table_live(&w->jobs, i) && says != (w->job[i].replica != INDEX_NONE))
            return ERR_CORRUPT;
    }
    return 0;
}

static bool service_adds_up(const struct core *core, uint32_t i)
{
    const struct service *s = &core->service.service[i];
    uint64_t tokens_s = 0, in_flight = 0;
    uint32_t replicas = 0;
    list_for_each_safe (it, next, (struct list *)&s->demands) {
        const struct row_service_demand *row = &list_entry(it, struct service_demand, in_service)->row;
        tokens_s += row->tokens_s;
        in_flight += row->in_flight;
    }
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        const struct job *job = &core->work.job[r->job];
        if (r->row.draining || r->service != i || !uuid_eq(&job->row.id, &r->row.job) ||
            job->replica != (uint32_t)(r - core->service.replica) || r->row.ordinal >= s->row.made)
            return false;
        replicas++;
    }
    list_for_each_safe (it, next, (struct list *)&s->draining) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        if (!r->row.draining || r->service != i || r->hosted == INDEX_NONE)
            return false;
    }
    return tokens_s == s->tokens_s && in_flight == s->in_flight && replicas == s->nreplicas;
}

int services_check(const struct core *core)
{
    const struct services *all = &core->service;
    for (uint32_t k = 0; k < all->services.live; k++) {
        uint32_t i = all->by_id[k];
        bool in_order = k == 0 || memcmp(&all->service[all->by_id[k - 1]].row.id, &all->service[i].row.id,
                                         sizeof(struct uuid)) < 0;
        if (!in_order || !table_live(&all->services, i) || !service_adds_up(core, i))
            return ERR_CORRUPT;
    }
    return 0;
}
