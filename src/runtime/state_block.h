/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block of memory that a core lives in, filled from a store's rows: at a start, after a commit that had failed, and by who replays.
 * Most of it is never touched, so it costs address space, not memory.
 */
#ifndef BUSBAR_RUNTIME_STATE_BLOCK_H
#define BUSBAR_RUNTIME_STATE_BLOCK_H

#include "core/core.h"
#include "store/store.h"

struct state_block {
    void *memory; /* NULL: none */
    size_t size;
};

/* Unmaps what was there. The core is in the block. */
int state_block_load(struct state_block *block, struct core **core, const struct limits *limits,
                     struct store *store, struct err *err);
void state_block_fini(struct state_block *block);

#endif
