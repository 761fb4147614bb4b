/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a whole log, wherever it lies, from its entries: each is hashed anew and the tree built over them, so no tile's hash is
 * ever trusted; then each tile must have the hashes that were found, the checkpoint the root, and a checkpoint that the
 * reader kept the root of the tree as it was then. What holds is that log, and no other: one changed bit in an entry, a tile
 * or the checkpoint is found.
 */
#ifndef BUSBAR_RUNTIME_LOG_VERIFY_H
#define BUSBAR_RUNTIME_LOG_VERIFY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "tlog/witness.h"

/* Appends a file of the log, by its path from the log's beginning on. ERR_NOT_FOUND: there is none. */
struct log_source {
    int (*get)(void *ctx, const char *path, struct buf *out, struct err *err);
    void *ctx;
};
/* Of a folder; `ctx` is its path. */
int log_source_folder(void *dir, const char *path, struct buf *out, struct err *err);

struct log_verify {
    struct log_source source;
    const struct note_key *key;       /* whose signature the checkpoint must have; NULL: none is looked at */
    const struct checkpoint *kept;    /* that the log must extend; NULL: none */
    const struct note_key *witnesses; /* whose cosignatures are counted, with `key`; none is there twice */
    unsigned nwitnesses, quorum;      /* so many of them the checkpoint must have */
    void (*progress)(void *ctx, uint64_t leaves, uint64_t size); /* NULL: nobody is told */
    void *ctx;
};

struct log_found {
    struct checkpoint point;
    struct buf note;           /* the checkpoint as it came; the caller frees */
    unsigned cosigned;         /* witnesses whose cosignature is under it */
    uint64_t oldest_s;         /* the first of these, Unix seconds */
    uint64_t leaves;           /* that were hashed */
    uint64_t tiles;            /* that were compared */
    int64_t first_ms, last_ms; /* of the leaves; 0: there are none */
};

/* 0: all of it holds. ERR_CORRUPT: it does not; where, err tells. Others: it could not be read. */
int log_verify(const struct log_verify *config, struct log_found *found, struct err *err);

#endif
