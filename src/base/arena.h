/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: memory with one lifetime, carved from blocks that the caller provides.
 *
 * An arena hands out zeroed, 16-byte aligned pieces of one block and takes them all back at once. It never calls an
 * allocator, so pure code may use it; when the block is used up it returns NULL and the caller reports ERR_LIMIT or
 * ERR_NO_MEMORY. Nothing is freed piece by piece.
 */
#ifndef BUSBAR_BASE_ARENA_H
#define BUSBAR_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena {
    uint8_t *base;
    size_t used;
    size_t cap;
};

void arena_init(struct arena *arena, void *block, size_t cap);
/* NULL when the block is used up. */
void *arena_alloc(struct arena *arena, size_t size);
/* As arena_alloc, but leaves the bytes as they are: for a block that is zero already and too large to touch. With a
 * NULL block it only counts, so that the same code that carves a block can first tell how large it must be. */
void *arena_take(struct arena *arena, size_t size);
/* Gives everything back; pointers into the arena are dead from here on. */
void arena_reset(struct arena *arena);

#define ARENA_ALIGN ((size_t)16)

#endif
