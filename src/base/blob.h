/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs: a folder of files by the SHA-256 of what is in them.
 *
 *   DIR/<name>        whole: 64 hexadecimal digits, small letters. It was hashed before it got that name, and synced
 *   DIR/<name>.part   what has come of it so far
 *   DIR/<word>.new    a file that is being taken in
 *
 * A name stands for its bytes and for nothing else: it is no right to read them. Whoever has several readers gives each
 * a folder of its own: the hub's tenants have DATA/blobs/<tenant>. A site's cache is one folder (site/cache.h).
 *
 * Pieces come in any number of calls, from any number of threads and processes: each call holds a lock on the part, which
 * none waits for, and tells how much there is, so whoever sends goes on from there after a crash of either side. A part whose bytes turn out
 * to be others is removed. A blob's time of change is when it was last used, by which blob_evict chooses.
 *
 * All of it blocks: it is for threads that may, never for a loop.
 */
#ifndef BUSBAR_BASE_BLOB_H
#define BUSBAR_BASE_BLOB_H

#include "base/digest.h"
#include "base/fs.h"
#include "base/str.h"

#define BLOB_NAME_LEN 64
#define BLOB_MAX (UINT64_C(1) << 40) /* bytes of one */
#define BLOB_PIECE_MAX \
    ((size_t)4 << 20) /* bytes that go over a link in one call, where nothing else bounds them */

/* Whether the text is the name of a blob. Nothing else ever becomes a part of a path. */
bool blob_name_valid(const char *text, size_t len);
void blob_name(char dst[BLOB_NAME_LEN + 1], const uint8_t digest[DIGEST_LEN]);
/* "DIR/<name>"; false when it is too long. */
bool blob_path(char dst[FS_PATH_MAX], const char *dir, const char *name);

/* "ROOT/<owner>", a folder of blobs; false when it is too long. */
bool blob_owner_dir(char dst[FS_PATH_MAX], const char *root, const struct uuid *owner);

/* What there is of it: all, *whole, or the first *have bytes. No folder, no blob: 0 bytes. */
int blob_look(const char *dir, const char *name, uint64_t *have, bool *whole, struct err *err);

/* Counts as a use of a whole one. */
void blob_use(const char *dir, const char *name);

struct blob_piece {
    const char *name; /* valid */
    uint64_t size;    /* of the whole, at most BLOB_MAX */
    uint64_t offset;
    const void *data;
    size_t len; /* 0: an empty blob, or only to see what there is */
};
/* Appends the piece if it begins where the part ends; *have is what there is then, in any case. With the last byte the
 * whole is hashed and gets its name: *whole; one that is whole is used by that. Makes the folder. ERR_INVALID: it would be
 * longer than `size`, or than what came before said. ERR_UNAVAILABLE: another call is at it, and *have is 0: try again. ERR_DIGEST: the bytes are others; they are gone. ERR_LIMIT: the disk would have less than
 * BLOB_RESERVE left. */
int blob_put(const char *dir, const struct blob_piece *piece, uint64_t *have, bool *whole, struct err *err);
#define BLOB_RESERVE (UINT64_C(64) << 20)

/* Appends bytes [offset, offset + max) to `out`; past the end: none. Counts as a use. ERR_NOT_FOUND. */
int blob_read(const char *dir, const char *name, uint64_t offset, size_t max, struct buf *out,
              struct err *err);

/* Takes in a copy of what an open file holds, from its beginning, and tells its name and size. */
int blob_take(const char *dir, int fd, char name[BLOB_NAME_LEN + 1], uint64_t *size, struct err *err);
/* The name and size that it would have, without taking it. */
int blob_hash(int fd, char name[BLOB_NAME_LEN + 1], uint64_t *size, struct err *err);
/* Copies the blob to a new file at `path`, hashing it on the way. Counts as a use. ERR_DIGEST: the blob was damaged since;
 * it is removed, and so is the copy. ERR_NOT_FOUND, ERR_EXISTS. */
int blob_give(const char *dir, const char *name, const char *path, unsigned mode, struct err *err);

/* Calls fn for each whole blob. *used_s: when it was last used, Unix seconds. */
struct blob_info {
    char name[BLOB_NAME_LEN + 1];
    uint64_t size;
    int64_t used_s;
};
typedef void blob_fn(void *ctx, const struct blob_info *info);
/* No folder: no blobs. */
int blob_each(const char *dir, blob_fn *fn, void *ctx, struct err *err);
/* Removes whole blobs, the least recently used first, until those that are left have at most `max` bytes; none for which
 * `keep` says true. *left: what they have then. */
int blob_evict(const char *dir, uint64_t max, bool (*keep)(void *ctx, const char *name), void *ctx,
               uint64_t *left, struct err *err);
/* What a file in such a folder is, by its name. */
enum blob_file { BLOB_FILE_OTHER, BLOB_FILE_WHOLE, BLOB_FILE_PART, BLOB_FILE_TAKEN };
enum blob_file blob_file(const char *name);
/* Removes what a process that was killed left: all that was being taken in, and parts that have not grown since that time,
 * Unix seconds. Only while nobody else is at the folder. */
void blob_sweep(const char *dir, int64_t before_s);
/* Removes it, and what has come of it. It need not be there. */
void blob_remove(const char *dir, const char *name);

#endif
