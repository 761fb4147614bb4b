/* SPDX-License-Identifier: Apache-2.0 */
#include "core/table.h"

#include <assert.h>

enum { LIVE = 1, DIRTY = 2, DEAD = 4 };

void table_init(struct table *t, struct arena *arena, uint32_t cap)
{
    *t = (struct table){.cap = cap};
    t->free = arena_take(arena, cap * sizeof *t->free);
    t->dirty = arena_take(arena, cap * sizeof *t->dirty);
    t->state = arena_take(arena, cap);
}

uint32_t table_take(struct table *t)
{
    uint32_t i;
    if (t->nfree > 0)
        i = t->free[--t->nfree];
    else if (t->used < t->cap)
        i = t->used++;
    else
        return INDEX_NONE;
    t->state[i] = LIVE;
    t->live++;
    table_touch(t, i);
    return i;
}

void table_touch(struct table *t, uint32_t i)
{
    if (t->state[i] & DIRTY)
        return;
    t->state[i] |= DIRTY;
    t->dirty[t->ndirty++] = i;
}

void table_drop(struct table *t, uint32_t i)
{
    assert(table_live(t, i));
    table_touch(t, i);
    t->state[i] = DIRTY | DEAD;
    t->live--;
}

uint32_t table_room(const struct table *t)
{
    return t->nfree + (t->cap - t->used);
}

bool table_live(const struct table *t, uint32_t i)
{
    return i < t->used && (t->state[i] & LIVE);
}

uint32_t table_changed(const struct table *t, uint32_t k, bool *dead)
{
    assert(k < t->ndirty);
    uint32_t i = t->dirty[k];
    *dead = t->state[i] & DEAD;
    return i;
}

void table_clean(struct table *t)
{
    for (uint32_t k = 0; k < t->ndirty; k++) {
        uint32_t i = t->dirty[k];
        if (t->state[i] & DEAD) {
            t->state[i] = 0;
            t->free[t->nfree++] = i;
        } else {
            t->state[i] &= (uint8_t)~DIRTY;
        }
    }
    t->ndirty = 0;
}
