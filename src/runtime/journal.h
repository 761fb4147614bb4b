/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journal entries: an event as it entered core, and what was decided about it.
 *
 * An entry is u32 length of the frame, the event frame (core/layout.h), i32 code, i64 amount; little-endian. Its leaf
 * hash is H(0x00 || entry). Entries of one batch are packed back to back into one row of the store.
 */
#ifndef BUSBAR_RUNTIME_JOURNAL_H
#define BUSBAR_RUNTIME_JOURNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "core/schema.h"
#include "store/store.h"

#define JOURNAL_LEAF_LEN 32

/* Appends the entry to `events` and its leaf hash to `leaves`; the bufs stick to failed when full. */
void journal_add(struct buf *events, struct buf *leaves, const struct event *event, int code, int64_t amount);

struct journal_entry {
    struct event event;
    int code;
    int64_t amount;
    uint8_t leaf[JOURNAL_LEAF_LEN]; /* computed from the bytes, to compare with the stored one */
};

/* Reads the entry at *offset and advances. 0, or ERR_NOT_FOUND at the end, or ERR_CORRUPT. */
int journal_next(const uint8_t *events, size_t len, size_t *offset, struct journal_entry *out);

/* The time of the last of `count` events that a store has; 0 if there is none. */
int journal_last_ms(struct store *store, uint64_t count, int64_t *ms, struct err *err);

#endif
