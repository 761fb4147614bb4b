/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log as static files in a folder, as C2SP tlog-tiles has them: tile/..., and `checkpoint`, which names the tree that
 * the rest holds. Any web server can serve it.
 *
 * What is here is made from the store's leaves and can be made again. Each file is written whole under another name, synced
 * and renamed, and files come before the checkpoint that needs them; so whoever reads the folder at any moment, also after a
 * loss of power, finds a log that is whole. Partial tiles go when the full one is there.
 */
#ifndef BUSBAR_RUNTIME_LOG_FILES_H
#define BUSBAR_RUNTIME_LOG_FILES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "tlog/checkpoint.h"
#include "tlog/tile.h"

#define LOG_FILES_MODE 0644
#define LOG_CHECKPOINT "checkpoint"

struct log_files {
    char dir[FS_PATH_MAX];
    struct tile_edge *edge; /* of what is written, or is about to be */
    struct buf bundle;      /* entries of the last bundle, while it is not full */
    struct err *err;        /* of the call that runs */
};

/* Goes on from the checkpoint in the folder, or where there is none, or its tiles are not whole, from no leaves: then *again
 * says that the folder was not empty. The folder is made. */
int log_files_open(struct log_files *files, const char *dir, bool *again, struct err *err);
void log_files_fini(struct log_files *files);
/* Leaves that are written, or are about to be. */
uint64_t log_files_size(const struct log_files *files);
/* Appends an entry and writes the tiles that are full with it. An error leaves it half appended: open again. */
int log_files_add(struct log_files *files, const uint8_t *entry, size_t len, struct err *err);
/* Writes the tiles that are not full. Then all that a checkpoint of this size needs is durable. */
int log_files_sync(struct log_files *files, struct err *err);
int log_files_checkpoint(struct log_files *files, const void *note, size_t len, struct err *err);

/* A tile of a log's folder; its hashes, or of a bundle the bytes. ERR_CORRUPT: it has not the length that its name says. */
int log_files_read(const char *dir, const struct tile *tile, struct buf *out, struct err *err);
/* tile_read_fn; `ctx` is the folder's path. A partial tile that has gone is read from the full one. */
int log_files_read_hashes(void *dir, const struct tile *tile, struct merkle_hash *hashes);

#endif
