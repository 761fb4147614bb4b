/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: equal nodes of one chip kind at one site, kept by how many of their chips are free.
 *
 * A node that is up is in exactly one level of its pool: level[f], where f is its count of free chips; a node that is
 * not up is in none. A level is a bit set over the pool's nodes with a word of summary, so the first node of a level
 * is two bit scans and which node that is depends on nothing but the state. `mask` has bit f set while level[f] is not
 * empty: the best fit for g chips is the lowest set bit >= g.
 *
 * `until` tells when so many nodes are wholly free, as far as estimates say, without a look at all of them. It is a sorted
 * array: what changes of a node moves what lies between its old time and its new one.
 * `could` counts the nodes as if all interruptible work had stopped: what firm work may have (core/preempt.c), and what a loss
 * could be made good with (core/contingency.h).
 *
 * A hold keeps a set of nodes for the job that has the reservation of the pool; others are placed around it. Bounds:
 * NODE_CHIPS_MAX chips on a node, POOL_NODES_MAX nodes in a pool. Everything lies in the core's block.
 */
#ifndef BUSBAR_CORE_POOL_H
#define BUSBAR_CORE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/schema.h"

#define POOL_NODES_MAX 4096
#define POOL_WORDS_MAX (POOL_NODES_MAX / 64)

struct site_id {
    uint32_t v;
};
struct chip_id {
    uint32_t v;
};
struct pool_id {
    uint32_t v;
};

struct node {
    uint8_t free;    /* chips */
    uint8_t state;   /* enum place_state */
    uint8_t soft;    /* chips that interruptible work has */
    uint32_t shares; /* the first of them, INDEX_NONE: none */
    int64_t end_ms;  /* when the last of them is thought to be over; 0: there are none */
};

struct node_set {
    uint64_t *words; /* of the pool's nwords */
    uint64_t summary;
};

struct pool {
    struct row_pool row;
    struct site_id site;
    struct chip_id chip;
    int64_t rate; /* nano-units for a chip and RATE_MS, core/network.h */
    int64_t hour; /* for a chip and an hour */
    struct node *node;
    int64_t *until; /* node_until of each node, in order of time */
    uint32_t nwords;
    uint32_t nodes_up;
    uint32_t free; /* chips on nodes that are up */
    uint32_t busy; /* chips, wherever they are */
    uint32_t soft; /* of them those that interruptible work has */
    uint32_t room; /* chips on nodes that are up: free ones, and those of interruptible work */
    uint16_t could[NODE_CHIPS_MAX + 1]; /* nodes that are up, by how many such chips they have */
    uint32_t mask;
    struct node_set level[NODE_CHIPS_MAX + 1];
    struct node_set held;  /* nodes kept for the first job of the lane that has the reservation */
    uint32_t reserved_for; /* that lane, INDEX_NONE: nobody */
    int64_t reserved_ms;   /* when those nodes are free, as far as is known */
};

/* Chips of one node for a placement. */
struct place {
    uint32_t node;
    uint32_t chips;
};

/* How a placement treats the nodes that are held. */
enum held_use {
    HELD_AVOID, /* not on them */
    HELD_FIRST, /* on them before others: whoever is gone in time leaves the others to those who are not */
    HELD_OWN,   /* the reservation is its own: as if there were none */
};

/* What a placement asks of a pool. */
struct ask {
    uint32_t chips;
    bool one_domain; /* all nodes of one run of row.domain nodes, counted from the first */
};

/* So many nodes, counted from the first, hold all of a gang: a domain, or where that does not matter the pool. */
uint32_t pool_span(const struct pool *pool, struct ask ask);

/* Words that pool_init needs for so many nodes. */
uint32_t pool_words(uint32_t nodes, uint32_t node_chips);
/* All nodes up and free. `node` and `until` have row.nodes elements, `words` pool_words zeroed ones. */
void pool_init(struct pool *pool, struct node *node, int64_t *until, uint64_t *words);

/* Finds the chips on as few nodes as can be: whole nodes first, then the rest as `pack` (enum dispatch_pack) says; the
 * lowest node of those that are equal; of domains the one with the least room that is enough. Fills
 * out[0..POOL_NODES_MAX), changes nothing. Returns how many, 0: they do not fit. */
uint32_t pool_find(const struct pool *pool, struct ask ask, uint32_t pack, enum held_use use,
                   struct place *out);
/* Whether pool_find would find them; cheap where nothing is held and any domain will do. */
bool pool_fits(const struct pool *pool, struct ask ask, enum held_use use);
/* Nodes that `chips` need, a started one counted. */
uint32_t pool_nodes_for(const struct pool *pool, uint32_t chips);
/* Whether the pool, empty and up, could ever give them. */
bool pool_could(const struct pool *pool, struct ask ask);

/* As pool_fits with HELD_OWN, if all interruptible work in the pool stopped; any domain will do. */
bool pool_could_fit(const struct pool *pool, uint32_t chips);
bool pool_is_held(const struct pool *pool, uint32_t node);

void pool_take(struct pool *pool, uint32_t node, uint32_t chips);
void pool_give(struct pool *pool, uint32_t node, uint32_t chips);
void pool_set_node(struct pool *pool, uint32_t node, uint32_t state);
/* The shares of a node are others now, or end at another time. */
void pool_set_shares(struct pool *pool, uint32_t node, uint32_t shares, int64_t end_ms);
/* When a node is wholly free, as far as is known: 0: it is, INT64_MAX: it is not up. What is past says that its work
 * outlives the estimate. */
int64_t node_until(const struct node *node);
/* Chips of the node that are in use become those of interruptible work; or, before they are given back, do no longer. */
void pool_soften(struct pool *pool, uint32_t node, uint32_t chips);
void pool_harden(struct pool *pool, uint32_t node, uint32_t chips);

void node_set_add(struct node_set *set, uint32_t node);
void node_set_clear(struct node_set *set, uint32_t nwords);

#endif
