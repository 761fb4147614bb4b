/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recalls: weights that nobody may use any more, by their digest; for the files of this folder only.
 *
 * A recall stops what serves these weights and keeps it from being deployed again, until it is lifted. It stays pending until the
 * last replica of theirs is gone, as sites have told or as their leases are over; when that was is said once, by the effect of
 * the tick that saw it. Recalls that were lifted stay, as what happened; at most RECALLS_MAX in all,
 * past which the one that was lifted first is dropped.
 */
#ifndef BUSBAR_CORE_RECALL_H
#define BUSBAR_CORE_RECALL_H

#include "core/core.h"
#include "core/table.h"

struct recall {
    struct row_recall row;
};

struct recalls {
    struct table table;
    struct recall *recall;
    int64_t next_ms; /* when those that are pending are looked at; INT64_MAX: there are none */
};

void recalls_carve(struct core *core, struct arena *arena);
/* The recall in force of these weights; NULL: there is none. */
const struct row_recall *recall_of(const struct core *core, const uint8_t digest[DIGEST_BYTES]);
/* At a tick: whether the last replica of one is gone. */
void recalls_turn(struct core *core);
/* Finds when they are looked at next: at once, if there is one that is not done. */
void recalls_look(struct core *core);
/* core/deployment.c: drains its replicas; it is gone with the last one. */
void deployment_stop(struct core *core, uint32_t deployment);
int load_recall(struct core *core, const struct row_recall *row);

#endif
