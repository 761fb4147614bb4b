/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: chips for replicas that run on the machine of a local engine, as processes of the agent.
 *
 * Which chips are free is known to one, the engine (engine/local.c): jobs get theirs from it by index, and so do replicas, through
 * here, before their process is started. The indices go to the process in its vendor's variable. Where core has given a replica chips
 * that a job which is about to end still has, the replica waits and asks again. A replica whose order names no chips is started as it is.
 *
 * Runs on the engine's loop.
 */
#ifndef BUSBAR_SITE_CLAIMS_H
#define BUSBAR_SITE_CLAIMS_H

#include "engine/engine.h"
#include "engine/serve.h"

struct claims;

struct claims_config {
    struct loop *loop;
    struct engine *engine; /* local */
    /* It has its chips: the order says in `visible` which. */
    void (*granted)(void *ctx, const struct serve_order *order);
    void (*waits)(void *ctx, const struct serve_order *order, const char *why);
    void *ctx;
};

struct claims *claims_new(const struct claims_config *config); /* aborts when out of memory */
void claims_start(struct claims *claims, const struct serve_order *order);
/* True: it has nothing yet, and gets nothing any more. False: it has been granted, and its process is the caller's to stop. */
bool claims_stop(struct claims *claims, const struct uuid *deployment, uint32_t ordinal);
/* Nothing of its process is left: others may have its chips. */
void claims_over(struct claims *claims, const struct uuid *deployment, uint32_t ordinal);
/* Before the engine is shut down; the memory goes with claims_free, once the loop has run. */
void claims_close(struct claims *claims);
void claims_free(struct claims *claims);

#endif
