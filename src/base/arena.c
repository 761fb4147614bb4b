/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

void arena_init(struct arena *arena, void *block, size_t cap)
{
    assert(((uintptr_t)block & (ARENA_ALIGN - 1)) == 0);
    *arena = (struct arena){.base = block, .used = 0, .cap = cap};
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded;
    size_t end;
    if (!size_add(size, ARENA_ALIGN - 1, &rounded))
        return NULL;
    rounded &= ~(ARENA_ALIGN - 1);
    if (!size_add(arena->used, rounded, &end) || end > arena->cap)
        return NULL;
    void *p = arena->base ? arena->base + arena->used : NULL;
    arena->used = end;
    return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *p = arena_take(arena, size);
    if (p)
        memset(p, 0, size);
    return p;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
}
