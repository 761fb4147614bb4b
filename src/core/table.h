/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table: which indices of a dense array are in use, and which rows changed since the last batch.
 *
 * Indices are given out from a free list, last freed first, so they stay dense and the order is the same in every
 * run. A dropped entry keeps its index until its deletion was collected. All arrays come from the core's block.
 */
#ifndef BUSBAR_CORE_TABLE_H
#define BUSBAR_CORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

#define INDEX_NONE UINT32_MAX

struct table {
    uint32_t cap;
    uint32_t used; /* indices at or above were never given out */
    uint32_t live;
    uint32_t nfree;
    uint32_t ndirty;
    uint32_t *free;
    uint32_t *dirty;
    uint8_t *state;
};

void table_init(struct table *t, struct arena *arena, uint32_t cap);
/* A new entry, marked changed; INDEX_NONE when the table is full. */
uint32_t table_take(struct table *t);
/* The entry's row changed. */
void table_touch(struct table *t, uint32_t i);
/* The entry is gone; its deletion will be collected. */
void table_drop(struct table *t, uint32_t i);
/* How many table_take can still give: a place is free again only once its deletion was collected. */
uint32_t table_room(const struct table *t);
bool table_live(const struct table *t, uint32_t i);
/* The k-th changed entry; `*dead` tells whether it was dropped. */
uint32_t table_changed(const struct table *t, uint32_t k, bool *dead);
/* All changes were collected: forget them, free what was dropped. */
void table_clean(struct table *t);

#endif
