/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/log_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/str.h"
#include "tlog/note.h"

#define BUNDLE_MAX ((size_t)TILE_WIDTH * (TILE_ENTRY_MAX + 2))
#define NOTE_FILE_MAX ((size_t)64 << 10)

/* ---- files ---- */

static int write_file(const char *dir, const struct tile *tile, const void *data, size_t len, struct err *err)
{
    char name[TILE_PATH_CAP], path[FS_PATH_MAX];
    tile_path(name, tile);
    if (!fs_join(path, dir, name))
        return err_set(err, ERR_INVALID, "the log's path is too long");
    char *slash = strrchr(path, '/');
    *slash = 0;
    int rc = fs_mkdirs(path, 0755, err);
    *slash = '/';
    return rc ? rc : fs_write_atomic(path, data, len, LOG_FILES_MODE, err);
}

/* Removes the partial tiles that led to one that is full; what stays of them does no harm. */
static void remove_partials(const char *dir, const struct tile *full)
{
    char name[TILE_PATH_CAP + 2], path[FS_PATH_MAX];
    tile_path(name, full);
    memcpy(name + strlen(name), ".p", 3);
    if (!fs_join(path, dir, name))
        return;
    DIR *d = opendir(path);
    const struct dirent *e;
    while (d && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    (void)rmdir(path);
}

int log_files_read(const char *dir, const struct tile *tile, struct buf *out, struct err *err)
{
    char name[TILE_PATH_CAP], path[FS_PATH_MAX];
    size_t before = out->len;
    tile_path(name, tile);
    if (!fs_join(path, dir, name))
        return err_set(err, ERR_INVALID, "the log's path is too long");
    int rc = fs_read(path, out, err);
    if (rc == 0 && tile->level != TILE_ENTRIES &&
        out->len - before != tile->width * sizeof(struct merkle_hash))
        rc = err_set(err, ERR_CORRUPT, "%s has %zu bytes", name, out->len - before);
    return rc;
}

/* The beginning of a tile: it may be full by now, and the one of this width gone. Cut to `width` hashes or entries. */
static int read_beginning(const char *dir, const struct tile *tile, struct buf *out, struct err *err)
{
    struct tile full = {.index = tile->index, .level = tile->level, .width = TILE_WIDTH};
    const uint8_t *entry;
    size_t at = 0, len;
    int rc = log_files_read(dir, tile, out, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    rc = log_files_read(dir, &full, out, err);
    if (tile->level != TILE_ENTRIES)
        at = tile->width * sizeof(struct merkle_hash);
    for (uint32_t i = 0; rc == 0 && tile->level == TILE_ENTRIES && i < tile->width; i++)
        rc = tile_entry_next((const uint8_t *)out->data, out->len, &at, &entry, &len);
    if (rc == 0)
        out->len = at;
    return rc;
}

int log_files_read_hashes(void *dir, const struct tile *tile, struct merkle_hash *hashes)
{
    struct err err = {0};
    struct buf bytes;
    buf_init(&bytes, TILE_BYTES);
    int rc = read_beginning(dir, tile, &bytes, &err);
    if (rc == 0)
        memcpy(hashes, bytes.data, bytes.len);
    buf_fini(&bytes);
    return rc;
}

/* ---- beginning ---- */

static int read_partial(struct log_files *files, const struct checkpoint *point, struct err *err)
{
    struct tile tile = {.level = TILE_ENTRIES, .index = point->size / TILE_WIDTH};
    int rc = 0;
    files->edge->size = point->size;
    for (unsigned level = 0; rc == 0 && level < TILE_LEVELS; level++) {
        struct tile t = {.level = (uint8_t)level, .index = point->size >> level * TILE_HEIGHT >> TILE_HEIGHT};
        t.width = tile_width(level, t.index, point->size);
        buf_clear(&files->bundle);
        if (t.width > 0)
            rc = read_beginning(files->dir, &t, &files->bundle, err);
        if (rc == 0 && t.width > 0)
            memcpy(files->edge->hash[level], files->bundle.data, files->bundle.len);
    }
    buf_clear(&files->bundle);
    tile.width = tile_width(TILE_ENTRIES, tile.index, point->size);
    if (rc == 0 && tile.width > 0)
        rc = read_beginning(files->dir, &tile, &files->bundle, err);
    struct merkle_hash root;
    tile_edge_root(digest_sha256, files->edge, &root);
    return rc == 0 && memcmp(root.b, point->root.b, sizeof root.b) != 0 ? ERR_CORRUPT : rc;
}

static int resume(struct log_files *files, bool *found, struct err *err)
{
    char path[FS_PATH_MAX];
    struct checkpoint point;
    struct note note;
    struct buf text;
    buf_init(&text, NOTE_FILE_MAX);
    int rc = fs_join(path, files->dir, LOG_CHECKPOINT) ? fs_read(path, &text, err) : ERR_INVALID;
    *found = rc == 0;
    if (rc == 0)
        rc = note_parse(&note, text.data, text.len);
    if (rc == 0)
        rc = checkpoint_parse(&point, note.text, note.text_len);
    if (rc == 0)
        rc = read_partial(files, &point, err);
    buf_fini(&text);
    return rc;
}

int log_files_open(struct log_files *files, const char *dir, bool *again, struct err *err)
{
    bool found = false;
    *files = (struct log_files){.edge = calloc(1, sizeof *files->edge)};
    buf_init(&files->bundle, BUNDLE_MAX);
    *again = false;
    if (!files->edge)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!text_set(files->dir, sizeof files->dir, dir, strlen(dir)))
        return err_set(err, ERR_INVALID, "the log's path is too long");
    int rc = fs_mkdirs(dir, 0755, err);
    if (rc == 0 && resume(files, &found, err) != 0) {
        *again = found;
        buf_clear(&files->bundle);
        memset(files->edge, 0, sizeof *files->edge);
        *err = (struct err){0};
    }
    return rc;
}

void log_files_fini(struct log_files *files)
{
    free(files->edge);
    buf_fini(&files->bundle);
}

uint64_t log_files_size(const struct log_files *files)
{
    return files->edge->size;
}

/* ---- going on ---- */

static int write_tile(void *ctx, const struct tile *tile, const struct merkle_hash *hashes)
{
    struct log_files *files = ctx;
    int rc = write_file(files->dir, tile, hashes, tile->width * sizeof *hashes, files->err);
    if (rc == 0 && tile->width == TILE_WIDTH)
        remove_partials(files->dir, tile);
    return rc;
}

int log_files_add(struct log_files *files, const uint8_t *entry, size_t len, struct err *err)
{
    uint8_t *bytes = malloc(1 + 2 + len);
    struct merkle_hash leaf;
    if (!bytes)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    buf_add(&files->bundle, bytes + 1, tile_entry_put(bytes + 1, len + 2, entry, len));
    memcpy(bytes + 1, entry, len);
    merkle_leaf(digest_sha256, leaf.b, bytes + 1, len);
    free(bytes);
    if (files->bundle.failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    struct tile tile = {.level = TILE_ENTRIES, .index = files->edge->size / TILE_WIDTH, .width = TILE_WIDTH};
    int rc = 0;
    if (files->edge->size % TILE_WIDTH == TILE_WIDTH - 1) {
        rc = write_file(files->dir, &tile, files->bundle.data, files->bundle.len, err);
        if (rc == 0) /* else the checkpoint still needs them */
            remove_partials(files->dir, &tile);
        buf_clear(&files->bundle);
    }
    files->err = err;
    return rc ? rc : tile_edge_add(digest_sha256, files->edge, &leaf, write_tile, files);
}

int log_files_sync(struct log_files *files, struct err *err)
{
    struct tile tile = {.level = TILE_ENTRIES,
                        .index = files->edge->size / TILE_WIDTH,
                        .width = (uint32_t)(files->edge->size % TILE_WIDTH)};
    int rc = 0;
    if (tile.width > 0)
        rc = write_file(files->dir, &tile, files->bundle.data, files->bundle.len, err);
    files->err = err;
    return rc ? rc : tile_edge_partial(files->edge, write_tile, files);
}

int log_files_checkpoint(struct log_files *files, const void *note, size_t len, struct err *err)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, files->dir, LOG_CHECKPOINT))
        return err_set(err, ERR_INVALID, "the log's path is too long");
    return fs_write_atomic(path, note, len, LOG_FILES_MODE, err);
}
