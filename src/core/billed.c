/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who bills and who is billed, in the words of the law. Nothing is decided by it, so core keeps none of it: each time that it is told it becomes
 * a row of the books, and an invoice says what held when it was closed.
 */
#include <string.h>

#include "base/err.h"
#include "core/state.h"

void billed_carve(struct core *core, struct arena *arena)
{
    core->billed = arena_take(arena, BATCH_EVENTS_MAX * sizeof *core->billed);
}

void billed_collect(struct core *core, row_fn *fn, void *ctx)
{
    for (uint32_t i = 0; i < core->nbilled; i++)
        fn(ctx, ROW_KIND_billed, ROW_PUT, &core->billed[i]);
    core->nbilled = 0;
}

/* It ends within its place, and has no control characters but line feeds where lines may be. */
static bool is_text(const char *text, size_t cap, bool lines)
{
    size_t len = text_len(text, cap);
    for (size_t i = 0; i < len; i++) {
        if (((uint8_t)text[i] < ' ' && !(lines && text[i] == '\n')) || text[i] == 127)
            return false;
    }
    return len < cap;
}

int step_billed_set(struct core *core, const struct event *event)
{
    const struct event_billed_set *e = &event->u.billed_set;
    if (!is_text(e->name, sizeof e->name, false) || !is_text(e->address, sizeof e->address, true) ||
        !is_text(e->tax_number, sizeof e->tax_number, false))
        return ERR_INVALID;
    if (!uuid_zero(&e->tenant) && tenant_by_id(core, &e->tenant).v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (core->nbilled == BATCH_EVENTS_MAX)
        return ERR_LIMIT;
    struct row_billed *row = &core->billed[core->nbilled++];
    *row = (struct row_billed){.owner = e->tenant, .from_ms = event->at_ms};
    memcpy(row->name, e->name, sizeof row->name);
    memcpy(row->address, e->address, sizeof row->address);
    memcpy(row->tax_number, e->tax_number, sizeof row->tax_number);
    return 0;
}
