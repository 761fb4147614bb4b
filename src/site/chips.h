/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chips: looks which single chips this machine has, tells the hub of them, and the engine of those that are out of use.
 *
 * The bus is read each CHIPS_LOOK_MS, which costs next to nothing; makers' libraries and tools are asked each CHIPS_SCAN_MS, and at once
 * when something came to the bus or went. What is missing is looked for once more before it is believed. All of it on a thread
 * that may block. What is known is kept in a file, so a chip that went while no agent ran is missed, too (site/roster.h). The hub is
 * told all chips when they are otherwise than it was told, and each hour, also if it would not have them; so nothing depends on what
 * either remembers.
 */
#ifndef BUSBAR_SITE_CHIPS_H
#define BUSBAR_SITE_CHIPS_H

#include "engine/engine.h"
#include "site/outbox.h"

#define CHIPS_LOOK_MS 1000
#define CHIPS_SCAN_MS 30000
#define CHIPS_TELL_MS 3600000 /* though nothing has changed */

struct site_chips;

struct site_chips_config {
    struct loop *loop;
    struct outbox *outbox;
    struct engine *engine;
    const struct engine_config *config; /* outlives it */
    const char *file;                   /* what is known */
    void (*changed)(void *ctx);         /* the engine has been told: its inventory may be another */
    void *ctx;
};

/* Tells the engine of what was missing when the agent ended last. */
int site_chips_new(struct site_chips **out, const struct site_chips_config *config, struct err *err);
/* Before the engine ends. The memory goes once the loop has run: site_chips_free. */
void site_chips_close(struct site_chips *chips);
void site_chips_free(struct site_chips *chips);

#endif
