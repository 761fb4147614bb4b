/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

void heap_init(struct heap *heap, heap_before_fn *before)
{
    *heap = (struct heap){.before = before};
}

/* Of two trees the one with the later root becomes the first child of the other. */
static struct heap_node *meld(const struct heap *heap, struct heap_node *a, struct heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (heap->before(b, a)) {
        struct heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* Two passes over the siblings: pairs from the left, then all of them from the right. */
static struct heap_node *meld_siblings(const struct heap *heap, struct heap_node *first)
{
    struct heap_node *pairs = NULL; /* linked by `prev`, last pair first */
    while (first) {
        struct heap_node *a = first;
        struct heap_node *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(heap, a, b);
        a->prev = pairs;
        pairs = a;
    }
    struct heap_node *root = NULL;
    while (pairs) {
        struct heap_node *next = pairs->prev;
        pairs->prev = NULL;
        root = meld(heap, root, pairs);
        pairs = next;
    }
    return root;
}

void heap_push(struct heap *heap, struct heap_node *node)
{
    *node = (struct heap_node){0};
    heap->root = meld(heap, heap->root, node);
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *first = heap->root;
    if (!first)
        return NULL;
    heap->root = meld_siblings(heap, first->child);
    *first = (struct heap_node){0};
    return first;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node == heap->root) {
        (void)heap_pop(heap);
        return;
    }
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
    heap->root = meld(heap, heap->root, meld_siblings(heap, node->child));
    *node = (struct heap_node){0};
}
