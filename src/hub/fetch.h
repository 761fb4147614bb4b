/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch: brings a model file into the data folder, from a URL or a path, whole and checked or not at all.
 *
 * The bytes go to NAME.part, which a later try resumes if it comes from the same place; then the digest is compared,
 * the file is synced and renamed. A wrong digest removes everything. Plain http is accepted only with a digest.
 */
#ifndef BUSBAR_HUB_FETCH_H
#define BUSBAR_HUB_FETCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"

struct fetch {
    char source[FS_PATH_MAX]; /* https://, http://, file:// or a path */
    char target[FS_PATH_MAX];
    uint8_t digest[DIGEST_LEN]; /* expected if has_digest; the file's afterwards */
    bool has_digest;
    bool placed;                   /* result: the target is this call's own */
    _Atomic uint64_t bytes, total; /* progress; total 0: unknown */
    atomic_bool cancel;
};

/* Blocks. ERR_EXISTS when the target is there, ERR_IN_USE when another call fetches it, ERR_DIGEST, ERR_UPSTREAM, ERR_IO, ERR_CANCELLED. */
int fetch_run(struct fetch *fetch, struct err *err);

#endif
