/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears whole or not at all.
 *
 * Bytes go to "<path>.tmp" beside the goal; commit syncs them, renames them over the goal and syncs the folder, so a
 * reader, or the next start after a power loss, sees the old file or the new one. Writes cannot fail visibly: the
 * first error is kept and commit returns it. After open succeeds, call exactly one of commit and abort.
 */
#ifndef TRAIN_ATOMIC_FILE_H
#define TRAIN_ATOMIC_FILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct atomic_file {
    FILE *stream;
    char path[PATH_MAX];
    char path_tmp[PATH_MAX];
    uint64_t written; /* bytes so far */
    uint64_t hash;    /* FNV-1a of them */
    int error;
};

/* Returns 0 or a negative errno value. */
int atomic_file_open(struct atomic_file *file, const char *path);
void atomic_file_write(struct atomic_file *file, const void *bytes, size_t len);
int atomic_file_commit(struct atomic_file *file);
void atomic_file_abort(struct atomic_file *file);

#define ATOMIC_FILE_HASH_SEED UINT64_C(0xcbf29ce484222325)

/* Continues an FNV-1a hash, for readers that check what they read. */
uint64_t atomic_file_hash(uint64_t hash, const void *bytes, size_t len);

#endif
