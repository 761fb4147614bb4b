/* SPDX-License-Identifier: Apache-2.0 */
#include "core/queue.h"

#include <assert.h>

bool queue_before_unranked(const struct queue_node *a, const struct queue_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

bool queue_before(const struct queue_node *a, const struct queue_node *b)
{
    return a->rank != b->rank ? a->rank < b->rank : queue_before_unranked(a, b);
}

/* The mixer of splitmix64 (Steele, Lea, Flood, 2014). */
static uint64_t priority(const struct queue_node *node)
{
    uint64_t z = node->sequence + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void update(struct queue_node *node)
{
    node->shortest = node->length;
    if (node->left && node->left->shortest < node->shortest)
        node->shortest = node->left->shortest;
    if (node->right && node->right->shortest < node->shortest)
        node->shortest = node->right->shortest;
}

/* Parts a tree into what comes before `at` and what comes after. */
static void split(struct queue_node *tree, const struct queue_node *at, struct queue_node **before,
                  struct queue_node **after)
{
    if (!tree) {
        *before = *after = NULL;
        return;
    }
    if (queue_before(tree, at)) {
        *before = tree;
        split(tree->right, at, &tree->right, after);
    } else {
        *after = tree;
        split(tree->left, at, before, &tree->left);
    }
    update(tree);
}

static struct queue_node *join(struct queue_node *before, struct queue_node *after)
{
    if (!before || !after)
        return before ? before : after;
    if (priority(before) > priority(after)) {
        before->right = join(before->right, after);
        update(before);
        return before;
    }
    after->left = join(before, after->left);
    update(after);
    return after;
}

static struct queue_node *add(struct queue_node *tree, struct queue_node *node)
{
    if (!tree || priority(node) > priority(tree)) {
        split(tree, node, &node->left, &node->right);
        update(node);
        return node;
    }
    if (queue_before(node, tree))
        tree->left = add(tree->left, node);
    else
        tree->right = add(tree->right, node);
    update(tree);
    return tree;
}

static struct queue_node *without(struct queue_node *tree, struct queue_node *node)
{
    assert(tree); /* it must be there */
    if (tree == node)
        return join(node->left, node->right);
    if (queue_before(node, tree))
        tree->left = without(tree->left, node);
    else
        tree->right = without(tree->right, node);
    update(tree);
    return tree;
}

void queue_add(struct queue *queue, struct queue_node *node)
{
    node->left = node->right = NULL;
    queue->root = add(queue->root, node);
    if (!queue->first || queue_before(node, queue->first))
        queue->first = node;
}

void queue_remove(struct queue *queue, struct queue_node *node)
{
    queue->root = without(queue->root, node);
    node->left = node->right = NULL;
    if (queue->first != node)
        return;
    queue->first = queue->root;
    while (queue->first && queue->first->left)
        queue->first = queue->first->left;
}

struct queue_node *queue_first_within(const struct queue *queue, int64_t limit)
{
    struct queue_node *node = queue->root;
    if (!node || node->shortest > limit)
        return NULL;
    for (;;) {
        if (node->left && node->left->shortest <= limit)
            node = node->left;
        else if (node->length <= limit)
            return node;
        else
            node = node->right;
    }
}
