/* SPDX-License-Identifier: Apache-2.0 */
#include "core/drill.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

void drills_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct drills *d = &core->drills;
    for (uint32_t i = 0; i < d->n; i++)
        fn(ctx, ROW_KIND_drill, ROW_PUT, &d->row[i]);
    d->n = 0;
}

static bool is_vendor(const struct core *core, const char *vendor)
{
    for (uint32_t i = 0; i < core->net.chips.used; i++) {
        if (memcmp(core->net.chip[i].row.vendor, vendor, NAME_CAP) == 0)
            return true;
    }
    return false;
}

/* The one thing that was lost is there. */
static int check_loss(const struct core *core, const struct event_drill *e)
{
    bool site = !uuid_zero(&e->site), vendor = e->vendor[0] != 0, corridor = !uuid_zero(&e->corridor);
    if (site + vendor + corridor != 1)
        return ERR_INVALID;
    if ((site && site_by_id(core, &e->site).v == INDEX_NONE) || (vendor && !is_vendor(core, e->vendor)) ||
        (corridor && map_get(&core->net.corridor_map, &e->corridor, sizeof e->corridor) == MAP_NONE))
        return ERR_NOT_FOUND;
    return 0;
}

int step_drill(struct core *core, const struct event *event)
{
    const struct event_drill *e = &event->u.drill;
    int rc = check_loss(core, e);
    if (rc != 0)
        return rc;
    if (uuid_zero(&e->drill) || e->as_of_ms < 0 || e->as_of_ms > event->at_ms ||
        e->firm_again > e->firm_jobs || e->firm_chips_again > e->firm_chips || e->soft_again > e->soft_jobs ||
        e->soft_chips_again > e->soft_chips || e->models_gone > e->models || e->reserve > RESERVE_KEEP)
        return ERR_INVALID;
    if (core->drills.n == DRILLS_MAX)
        return ERR_LIMIT;
    struct row_drill *row = &core->drills.row[core->drills.n++];
    *row = (struct row_drill){.id = e->drill, .at_ms = event->at_ms};
#define COPY(S, type, name, size) memcpy(&row->name, &e->name, sizeof row->name);
    DRILL_OUTCOME(COPY, _)
#undef COPY
    return 0;
}
