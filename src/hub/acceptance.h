/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance: replicas are checked before they take requests, from time to time, and when somebody asks (docs/acceptance.md).
 *
 * A thread of its own looks which replica is to be checked next, those that wait for it first, and runs one check at a time as a
 * child process (accept/check.h), through the replica's own endpoint: the socket of an engine here, or a site's tunnel. What that finds
 * becomes an event; core decides what follows (core/accept.h). From time to time only a replica that answers nothing is checked; beside
 * others' requests one that was asked for is asked one request at a time, and its speed is not measured.
 *
 * The golden answers are in GOLDEN of the data folder, by the digest of the weights. Bounds: ACCEPTANCE_ASKED_MAX replicas that were
 * asked about; a child is killed after ACCEPTANCE_LIMIT_MS, and the replica then counts as one that did not answer.
 */
#ifndef BUSBAR_HUB_ACCEPTANCE_H
#define BUSBAR_HUB_ACCEPTANCE_H

#include "engine/spec.h"
#include "runtime/runtime.h"

#define ACCEPTANCE_ASKED_MAX 256u
#define ACCEPTANCE_LIMIT_MS 240000u
#define ACCEPTANCE_EVERY_S (6u * 3600u) /* between checks of one replica */

struct acceptance_hub;

struct acceptance_config {
    struct runtime *runtime;
    const struct engine_specs *engines;
    const char *self;     /* our own program */
    const char *share;    /* acceptance.yaml is there */
    const char *data_dir; /* these stay the caller's */
    uint32_t mode;        /* enum accept_mode */
    uint64_t every_s;
    uint32_t (*busy)(void *ctx, const struct uuid *deployment, uint32_t ordinal);
    void *busy_ctx;
};

int acceptance_open(struct acceptance_hub **out, const struct acceptance_config *config, struct err *err);
/* The replica is checked soon, whenever it was before. From any thread. ERR_LIMIT. */
int acceptance_ask(struct acceptance_hub *hub, const struct uuid *deployment, uint32_t ordinal, bool quick);
/* How many of those that were asked for are not done. What was found of the others is recorded before what is posted after this. */
uint32_t acceptance_pending(struct acceptance_hub *hub);
/* Ends the thread and the check that runs, and frees; before the runtime stops. NULL is fine. */
void acceptance_stop(struct acceptance_hub *hub);

#endif
