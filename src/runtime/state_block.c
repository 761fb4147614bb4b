/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state_block.h"

#include <sys/mman.h>

#include "core/view.h"

static int load_row(void *ctx, enum row_kind kind, const void *row)
{
    return core_load(ctx, kind, row);
}

int state_block_load(struct state_block *block, struct core **core, const struct limits *limits,
                     struct store *store, struct err *err)
{
    state_block_fini(block);
    block->size = core_size(limits);
    block->memory =
        mmap(NULL, block->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block->memory == MAP_FAILED) {
        block->memory = NULL;
        return err_set(err, ERR_NO_MEMORY, "cannot map %zu bytes", block->size);
    }
    *core = core_init(block->memory, block->size, limits);
    int rc = store->ops->load(store, load_row, *core, err);
    if (rc == 0 && (rc = core_load_done(*core)) != 0)
        err_set(err, rc, "the stored state, as of event %llu, does not add up",
                (unsigned long long)view_core(*core)->events);
    return rc;
}

void state_block_fini(struct state_block *block)
{
    if (block->memory)
        munmap(block->memory, block->size);
    block->memory = NULL;
}
