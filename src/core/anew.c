/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beginning anew: what is in memory only becomes what a load makes of the rows.
 *
 * Reservations, what no pass has tried yet, what the reserve keeps, who waits for money and when something is looked at next are in no
 * row: a hub that starts, or whose commit failed, makes them from what there is. That can be something else than it had: a gang may
 * get its reservation in another pool. So it is told by an event, a boot or a tick that says so, and whoever sees that event begins
 * anew, whether it was loaded before it or not: a journal leads to the same in a core that is never loaded. Nothing here
 * depends on what was in memory before; what it does a load has done already, or does the same twice.
 */
#include "core/kinds.h"
#include "core/state.h"

/* Nobody who waited hears of it any more; a gateway asks again. */
static void drop_waiters(struct core *core)
{
    struct list *first;
    while ((first = list_first(&core->waiting)) != NULL) {
        struct waiter *w = list_entry(first, struct waiter, in_order);
        list_remove(&w->in_order);
        list_remove(&w->in_tenant);
        table_drop(&core->waiters, (uint32_t)(w - core->waiter));
    }
    for (uint32_t i = 0; i < core->leases.used; i++)
        core->lease[i].recalled = false; /* that was not heard either */
}

/* Every lane and every pool is one that no pass has looked at. */
static void forget_passes(struct core *core)
{
    struct work *w = &core->work;
    for (uint32_t i = 0; i < w->lanes.used; i++) {
        struct lane *lane = &w->lane[i];
        if (!table_live(&w->lanes, i))
            continue;
        reservation_drop(core, i);
        lane->held_fresh = true;
        if (queue_first(&lane->waiting))
            lane_refresh(core, lane, true);
    }
    for (uint32_t k = 0; k < w->pool_words; k++)
        w->spared[k] = 0;
    network_changed(core);
}

/* When each is looked at next. */
static void look_again(struct core *core)
{
    struct services *services = &core->service;
    for (uint32_t k = 0; k < services->services.live; k++)
        services->service[services->by_id[k]].next_ms = INT64_MIN;
    services->next_ms = services->services.live > 0 ? INT64_MIN : INT64_MAX;
    tariff_look(core);
    grants_look(core);
    recalls_look(core);
    budgets_look(core);
    core->book.changed |= rulebook_rules(core)->nrules > 0;
}

void dispatch_anew(struct core *core)
{
    struct work *w = &core->work;
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        const struct pool *pool = &core->net.pool[i];
        /* The pass that would have stopped what runs at a site that was lost or drained did not come. */
        w->lost |= pool->busy > 0 && site_gives_up(&core->net.site[pool->site.v]);
    }
    sheds_look(core);
    for (uint32_t i = 0; i < core->net.sites.used; i++)
        site_judge(core, (struct site_id){i});
    contingency_recount(core);
    reserve_reset(core);
    w->due = !list_empty(&w->active) || !list_empty(&w->holding) || core->book.changed || w->lost ||
             w->over || follow_is_due(core);
}

void core_anew(struct core *core)
{
    drop_waiters(core);
    follow_anew(core);
    forget_passes(core);
    look_again(core);
    registry_anew(core);
    dispatch_anew(core);
}
