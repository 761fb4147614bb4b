/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of clusters between looks (hub/clusters.h). There are more places than clusters in a look; where all are taken, the one that
 * was longest not looked at loses its own, and is taken for new when it is seen again.
 */
#ifndef BUSBAR_HUB_CLUSTER_MEMORY_H
#define BUSBAR_HUB_CLUSTER_MEMORY_H

#include "core/core.h"
#include "engine/shape.h"
#include "hub/cluster_speed.h"

#define CLUSTER_MEMORIES 256

struct cluster_memory {
    struct uuid id;
    uint64_t seen; /* when it was looked at last; 0: the place is free */
    uint32_t generation;
    uint64_t could_ms;  /* since when a plan could be made, 0: it cannot */
    uint64_t better_ms; /* since when the one in force should be another, 0: it should not */
    uint8_t digest[DIGEST_BYTES];
    struct shape shape;
    bool shaped;
    uint64_t learnt; /* from the samples as they were after so many changes */
    struct cluster_factors factors;
    char unread[TEXT_CAP]; /* why the file of that digest could not be read; "": it was not tried */
    uint64_t unread_ms;    /* when */
};

/* Zeroed at first. */
struct cluster_memories {
    uint64_t looks;
    struct cluster_memory one[CLUSTER_MEMORIES];
};

/* That of the cluster, made if there is none; it holds for at least CLUSTER_MEMORIES - 1 more calls. */
struct cluster_memory *cluster_memory_of(struct cluster_memories *all, const struct uuid *id);
/* The words as an event has room for them: cut, and zeroes behind them. */
void cluster_words(char cut[TEXT_CAP], const char *words);

#endif
