/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event time: when what a record tells was used, which is not when it is booked.
 *
 * A site or gateway that was cut off tells later what it metered. The record then counts to the hour and the day of its use, and what is
 * further back than USED_BEFORE_MS_MAX, or more ahead than clocks differ, is refused. Where the bill of that day's month is closed,
 * it is a correction: a line of its own that keeps its day and is on the bill of the first month that is still open, so that what was
 * billed never changes. Money moves when the record is booked, whenever the use was.
 */
#include "base/err.h"
#include "core/kinds.h"
#include "core/month.h"
#include "core/state.h"

int event_time(const struct core *core, struct tenant_id id, int64_t told_ms, int64_t least_ms,
               struct used_at *out)
{
    const struct row_tenant *tenant = &core->tenant[id.v].row;
    int64_t used_ms = told_ms == 0 ? core->now_ms : told_ms;
    if (told_ms != 0 && used_ms < least_ms)
        used_ms = least_ms; /* a clock was set: nothing of it was before its own beginning */
    if (used_ms < core->now_ms - USED_BEFORE_MS_MAX)
        return ERR_TOO_OLD;
    if (used_ms > core->now_ms + USED_AHEAD_MS_MAX)
        return ERR_TOO_NEW;
    /* The first bill begins with the tenant, so what is before it would be on none. */
    if (told_ms != 0 && used_ms < tenant->created_ms)
        used_ms = tenant->created_ms;
    *out = (struct used_at){.used_ms = used_ms, .day = (uint64_t)(used_ms / DAY_MS)};
    if (out->day >= (uint64_t)(core->now_ms / DAY_MS))
        return 0; /* nearly all: the month of today is not over, nor closed */
    uint32_t month = month_of(used_ms);
    out->late = month < month_of(core->now_ms);
    out->billed = tenant->closed_month > 0 && month <= tenant->closed_month ? tenant->closed_month + 1 : 0;
    return 0;
}

void event_time_count(struct core *core, struct tenant_id id, const struct used_at *at)
{
    if (!at->late)
        return;
    core->tenant[id.v].row.late++;
    table_touch(&core->tenants, id.v);
}
