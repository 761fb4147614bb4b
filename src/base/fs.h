/* SPDX-License-Identifier: Apache-2.0 */
/* Small file operations that must be right: whole-file read, atomic durable write, copy, mkdir -p. */
#ifndef BUSBAR_BASE_FS_H
#define BUSBAR_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define FS_PATH_MAX 1024

/* Joins with one slash. False when it does not fit. */
bool fs_join(char dst[FS_PATH_MAX], const char *dir, const char *name);
/* Durably: each folder that is made is synced into the one above it before the next is made. */
int fs_mkdirs(const char *path, unsigned mode, struct err *err);
/* Appends the file to `out`, whose maximum bounds it: ERR_TOO_LARGE. ERR_NOT_FOUND when there is none. */
int fs_read(const char *path, struct buf *out, struct err *err);
/* Writes a temporary file beside it, syncs it, renames it over `path` and syncs the folder. */
int fs_write_atomic(const char *path, const void *data, size_t len, unsigned mode, struct err *err);
/* Copies contents, durably; `dst` must not exist. */
int fs_copy(const char *src, const char *dst, struct err *err);
/* Copies the files whose names end in `ending` into a folder that is made; none of them may exist there. No `src`: no
 * files. */
int fs_copy_folder(const char *src, const char *dst, const char *ending, struct err *err);
/* Syncs the folder that holds `path`, so that a rename in it survives power loss. */
int fs_sync_parent(const char *path, struct err *err);
bool fs_exists(const char *path);
/* Our own program's file, and the folder with what came with it (engines.yaml, models/, network/): BUSBAR_SHARE; beside a
 * build folder ../data; installed ../share/busbar. False when they are not found or the path is too long. */
bool fs_self(char dst[FS_PATH_MAX]);
bool fs_share(char dst[FS_PATH_MAX]);

#endif
