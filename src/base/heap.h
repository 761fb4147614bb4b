/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap: an intrusive pairing heap, the least first (Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, 1986).
 *
 * A node lives in the object that it orders and is on at most one heap; zeroed memory is a node on none. Nothing is
 * allocated. push is O(1), pop and remove O(log n) amortised. `before` must be a strict total order, so that which
 * node comes first never depends on the order of pushes.
 */
#ifndef BUSBAR_BASE_HEAP_H
#define BUSBAR_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
    struct heap_node *child;
    struct heap_node *next; /* sibling */
    struct heap_node *prev; /* sibling before, or the parent of a first child */
};

typedef bool heap_before_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node *root;
    heap_before_fn *before;
};

#define heap_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void heap_init(struct heap *heap, heap_before_fn *before);
void heap_push(struct heap *heap, struct heap_node *node);
/* Takes the first node off; NULL when the heap is empty. */
struct heap_node *heap_pop(struct heap *heap);
/* Takes off a node that is on this heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->root;
}

#endif
