/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logbook: the leaves of the transparency log, made of the journal's events on the store thread, and committed with them.
 *
 * Nothing that was acknowledged lacks its leaf: leaves, the tree's right edge and receipts are in the batch's transaction.
 * Each event has one, but for those of the hub's own housekeeping that decided nothing (the table in logbook.c). Salts come
 * from the OS and stay in the store.
 *
 * The decision that a leaf commits to is a chain over the event's effects: it begins as 32 zero bytes, and each effect makes
 * it SHA-256(chain || effect), where an effect is, little-endian: u32 kind, i32 code, i64 amount, 16 bytes each of worker
 * lease deployment job pool service corridor, u32 ordinal epoch node chips alternative, u64 bytes bits_s, i64 ms; of an
 * alarm the first 48 bytes are those of the site and the vendor's name. Replies are left out: their outcome is in the entry.
 */
#ifndef BUSBAR_RUNTIME_LOGBOOK_H
#define BUSBAR_RUNTIME_LOGBOOK_H

#include "runtime/batch.h"
#include "tlog/merkle.h"

struct logbook {
    struct merkle_edge edge; /* as committed */
    struct merkle_edge next; /* with the batch that is being committed */
    struct buf entries, salts, receipts, packed;
    uint32_t count;
    const uint8_t *given; /* salts to take, LEAF_SALT_LEN each; NULL: new ones */
    uint32_t ngiven;
};

void logbook_init(struct logbook *book);
void logbook_fini(struct logbook *book);
/* The edge, from the store. */
int logbook_load(struct logbook *book, struct store *store, struct err *err);
/* Makes the batch's leaves, in `entries`, and the edge after them in `next` and `packed`. By `salts`, nsalts of them, those that the leaves
 * were made with once (past their end: zeros); NULL: by new ones. */
int logbook_make(struct logbook *book, const struct batch *batch, const uint8_t *salts, uint32_t nsalts,
                 struct err *err);
/* Commits the batch with its leaves. When it fails, the edge is as before. */
int logbook_commit(struct logbook *book, struct store *store, const struct batch *batch, struct err *err);

#endif
