/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue: the waiting jobs of a lane in order, each knowing the shortest job below it.
 *
 * A treap (Seidel and Aragon, Randomized search trees, 1996) ordered by rank, by key, then by sequence; its priorities are a mix
 * of the sequence, so the tree is the same however it came about. Besides the first job it finds the first that lasts
 * no longer than a limit: the one that may pass a reservation. All are O(log n) expected; depth is bounded in practice by
 * some 60 for a million jobs. The nodes lie in the jobs.
 */
#ifndef BUSBAR_CORE_QUEUE_H
#define BUSBAR_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_node {
    struct queue_node *left, *right;
    int32_t rank; /* 0 for most */
    int64_t key;
    uint64_t sequence;
    int64_t length;   /* run time at rate 1, ms */
    int64_t shortest; /* of the node and all below it */
};

struct queue {
    struct queue_node *root;
    struct queue_node *first;
};

/* rank, key, sequence and length are set; (rank, key, sequence) is in the queue once. */
void queue_add(struct queue *queue, struct queue_node *node);
void queue_remove(struct queue *queue, struct queue_node *node);
/* NULL when the queue is empty. */
static inline struct queue_node *queue_first(const struct queue *queue)
{
    return queue->first;
}
/* The first whose length is at most `limit`; NULL if there is none. */
struct queue_node *queue_first_within(const struct queue *queue, int64_t limit);
bool queue_before(const struct queue_node *a, const struct queue_node *b);
/* The same, whatever their ranks. */
bool queue_before_unranked(const struct queue_node *a, const struct queue_node *b);

#endif
