/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Priority: an order among the jobs of one tenant, above the key by which waiting ages them.
 *
 * It counts where tenants have shares, in the order ORDER_SIZE; the other orders are one queue of all tenants' jobs, which nobody
 * may pass by what he says of himself. Between tenants it never counts: where their shares are equal the older of the
 * two jobs is next, and for a tenant that has priorities that is the job which is next among its own. So one order holds
 * for all lanes, and a tenant gains nothing by priorities over one that has none.
 */
#include "core/kinds.h"
#include "core/state.h"

int32_t rank_of(const struct core *core, const struct job *job)
{
    int32_t priority = (int32_t)job->row.priority;
    if (core->work.row.order != ORDER_SIZE)
        return 0;
    /* Rows from before there was a bound. */
    return priority > JOB_PRIORITY_MAX    ? -JOB_PRIORITY_MAX
           : priority < -JOB_PRIORITY_MAX ? JOB_PRIORITY_MAX
                                          : -priority;
}

void rank_enter(struct core *core, uint32_t tenant, const struct queue_node *node)
{
    struct turn *turn = &core->work.turn[tenant];
    turn->ranked += node->rank != 0;
    turn->front = NULL;
}

void rank_leave(struct core *core, uint32_t tenant, const struct queue_node *node)
{
    struct turn *turn = &core->work.turn[tenant];
    turn->ranked -= node->rank != 0;
    turn->front = NULL;
}

/* The job that stands for the tenant's `own` among other tenants' jobs. `own` may be one that is in no queue (why_request). */
static const struct queue_node *stand_in(const struct core *core, uint32_t tenant,
                                         const struct queue_node *own)
{
    const struct work *w = &core->work;
    struct turn *turn = &w->turn[tenant];
    if (turn->ranked == 0 && own->rank == 0)
        return own;
    const struct queue_node *front = turn->front;
    for (uint32_t i = 0; i < w->lanes.used && !turn->front; i++) {
        const struct queue_node *first = queue_first(&w->lane[i].waiting);
        if (table_live(&w->lanes, i) && w->lane[i].tenant == tenant && first &&
            (!front || queue_before(first, front)))
            front = first;
    }
    turn->front = front;
    return front && queue_before(front, own) ? front : own;
}

bool rank_before(const struct core *core, uint32_t tenant_a, const struct queue_node *a, uint32_t tenant_b,
                 const struct queue_node *b)
{
    const struct work *w = &core->work;
    if (tenant_a == tenant_b || w->row.order != ORDER_SIZE)
        return queue_before(a, b);
    if (w->dominant[tenant_a] != w->dominant[tenant_b])
        return w->dominant[tenant_a] < w->dominant[tenant_b];
    return queue_before_unranked(stand_in(core, tenant_a, a), stand_in(core, tenant_b, b));
}
