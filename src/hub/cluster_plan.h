/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan for a cluster: which of the workers that are ready hold how many layers, by core/stages.h.
 *
 * Each worker is a unit that reads its layers for each token as fast as its chip delivers, and holds as many as its memory has room
 * for, with the keys and values of all slots, and what llama.cpp takes besides to compute. The head asks one worker after the other, so each costs a
 * way there and back. What makes a token soonest is taken: a worker that would slow the whole is left out.
 */
#ifndef BUSBAR_HUB_CLUSTER_PLAN_H
#define BUSBAR_HUB_CLUSTER_PLAN_H

#include "core/core.h"
#include "engine/shape.h"

struct cluster_worker {
    uint32_t ordinal, epoch;
    struct uuid site;
    uint64_t memory_bytes;   /* that it may use */
    uint64_t byte_s, flop_s; /* as its chip delivers them; 0: nobody knows */
    int64_t way_ps;          /* there and back between its site and the hub's */
    int64_t local_ps;        /* and between it and a head at its own site */
    bool guessed;            /* nobody knows way_ps */
};

/* Replaces the worker's figures by which nothing can be said. */
#define CLUSTER_BYTE_S UINT64_C(20000000000) /* a server's memory, one or two channels' worth */
#define CLUSTER_FLOP_S UINT64_C(200000000000)

/* Bytes that a member may use, given what was asked for (0: nothing) and its chip's memory (0: nobody knows). */
uint64_t cluster_room(uint64_t asked, uint64_t chip);
/* Bytes that a worker cannot use for layers; with what comes after the last one as well. */
uint64_t cluster_scratch(const struct shape *shape, bool head);
/* Layers that the worker has room for, for `tokens` of context in all; with what comes after the last one as well. */
uint32_t cluster_layers(const struct shape *shape, const struct cluster_worker *worker, uint64_t tokens,
                        bool head);
/* What reading so many bytes and computing so much takes the worker, at least 1. */
int64_t cluster_time_ps(uint64_t bytes, uint64_t flop, const struct cluster_worker *worker);
/* There and back from a head that is where the worker `home` is: what goes to another site goes through the hub. */
int64_t cluster_hop_ps(const struct cluster_worker *worker, const struct cluster_worker *home);
/* Fills parts and forecast. ERR_NO_CAPACITY: the workers cannot hold it; *short_bytes is what is lacking. ERR_NO_MEMORY. */
int cluster_plan_make(const struct shape *shape, const struct cluster_worker *workers, uint32_t n,
                      uint64_t tokens, struct event_cluster_plan *out, uint64_t *short_bytes);

#endif
