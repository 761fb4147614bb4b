/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: a digest of the whole state now and then, so that who replays the journal knows on the way that it came to the same, and
 * who has two backups knows that one follows from the other (docs/log.md).
 *
 * It is due after so many events, and when a day (UTC) begins. The core thread steps a tick with `mark`, before which it only copies
 * the state's rows; another thread sorts them and takes the digest, which comes back as an event of its own, so it is in the journal and in the
 * log. One is under way at a time. Sorted, because the order of rows in memory is that in which they came, or in which they were
 * loaded. What is hashed: of each row u32 kind and u32 length, little-endian, and its fields as core/layout.h encodes them; rows in the order of
 * their kinds, those of a kind in that of their bytes.
 */
#ifndef BUSBAR_RUNTIME_SNAPSHOT_H
#define BUSBAR_RUNTIME_SNAPSHOT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "core/core.h"

#define SNAPSHOT_EVENTS UINT64_C(1000000)

/* The rows of a state, as bytes. */
struct state_copy {
    struct buf bytes;
};

void state_copy_init(struct state_copy *copy);
void state_copy_fini(struct state_copy *copy);
/* In place of what was copied before. False: there is no memory. */
bool state_copy_take(struct state_copy *copy, const struct core *core);
/* Sorts, and hashes. False: as well. */
bool state_copy_digest(const struct state_copy *copy, uint8_t out[DIGEST_BYTES]);

/* The core thread's, but for what its own thread does with the copy. */
struct snapshots {
    uint64_t every;   /* events between two */
    uint64_t last;    /* the event that the last one, or the start, was at */
    int64_t next_day; /* when a day begins that there is none of yet, Unix ms */
    void (*post)(void *ctx, const struct event *event);
    void *ctx;
    struct state_copy copy;
    struct event event; /* that will be posted */
    pthread_t thread;
    bool begun; /* there is a thread to be joined */
    atomic_bool busy;
};

/* From a start on, at that event and time. `every` 0: SNAPSHOT_EVENTS. `post` is called on another thread. */
void snapshots_init(struct snapshots *s, uint64_t every, void (*post)(void *ctx, const struct event *event),
                    void *ctx);
void snapshots_start(struct snapshots *s, uint64_t event, int64_t now_ms);
/* Waits for its thread. */
void snapshots_fini(struct snapshots *s);
bool snapshots_due(const struct snapshots *s, uint64_t event, int64_t now_ms);
/* Before the tick with the mark is stepped, which is `event`. */
void snapshots_take(struct snapshots *s, const struct core *core, uint64_t event, int64_t now_ms);

#endif
