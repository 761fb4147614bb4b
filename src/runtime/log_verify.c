/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/log_verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/ed25519.h"
#include "base/fs.h"
#include "tlog/leaf.h"
#include "tlog/tile.h"

#define FILE_MAX_BYTES ((size_t)TILE_WIDTH * (TILE_ENTRY_MAX + 2))

struct run {
    const struct log_verify *config;
    struct log_found *found;
    struct err *err;
    struct tile_edge *edge;
    struct buf bytes;
    uint64_t last_event;
};

int log_source_folder(void *dir, const char *path, struct buf *out, struct err *err)
{
    char full[FS_PATH_MAX];
    return fs_join(full, dir, path) ? fs_read(full, out, err) : err_set(err, ERR_INVALID, "path is too long");
}

/* Reads a tile; where a partial one has gone, as it may when it is full, its beginning. *whole: it is the full one instead. */
static int get_tile(struct run *r, const struct tile *tile, bool *whole)
{
    struct tile full = {.index = tile->index, .level = tile->level, .width = TILE_WIDTH};
    const struct log_source *source = &r->config->source;
    char path[TILE_PATH_CAP];
    tile_path(path, tile);
    buf_clear(&r->bytes);
    int rc = source->get(source->ctx, path, &r->bytes, r->err);
    *whole = rc == ERR_NOT_FOUND && tile->width < TILE_WIDTH;
    if (*whole) {
        tile_path(path, &full);
        buf_clear(&r->bytes);
        rc = source->get(source->ctx, path, &r->bytes, r->err);
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(r->err, ERR_CORRUPT, "%s is missing", path);
    return rc == ERR_TOO_LARGE ? err_set(r->err, ERR_CORRUPT, "%s is too large", path) : rc;
}

static int compare_tile(void *ctx, const struct tile *tile, const struct merkle_hash *hashes)
{
    struct run *r = ctx;
    char path[TILE_PATH_CAP];
    bool whole;
    size_t want = tile->width * sizeof *hashes;
    int rc = get_tile(r, tile, &whole);
    if (rc != 0)
        return rc;
    tile_path(path, tile);
    if ((whole ? r->bytes.len != TILE_BYTES : r->bytes.len != want) ||
        memcmp(r->bytes.data, hashes, want) != 0)
        return err_set(r->err, ERR_CORRUPT, "%s is not made of the entries", path);
    r->found->tiles++;
    return 0;
}

static int check_kept(struct run *r)
{
    const struct checkpoint *kept = r->config->kept;
    struct merkle_hash root;
    if (!kept || kept->size != r->edge->size)
        return 0;
    tile_edge_root(digest_sha256, r->edge, &root);
    if (memcmp(root.b, kept->root.b, sizeof root.b) != 0)
        return err_set(r->err, ERR_CORRUPT,
                       "the first %llu leaves are not those of the checkpoint that was kept",
                       (unsigned long long)kept->size);
    return 0;
}

/* `entry` has a byte before it that may be overwritten. */
static int take_entry(struct run *r, uint8_t *entry, size_t len)
{
    struct leaf leaf;
    struct merkle_hash hash;
    unsigned long long number = r->edge->size;
    if (leaf_parse(&leaf, (const char *)entry, len) != 0)
        return err_set(r->err, ERR_CORRUPT, "entry %llu is no leaf of busbar's log", number);
    if (number > 0 && leaf.event <= r->last_event)
        return err_set(r->err, ERR_CORRUPT, "entry %llu is of an event before that of the last one", number);
    r->last_event = leaf.event;
    r->found->first_ms = number == 0 ? leaf.time_ms : r->found->first_ms;
    r->found->last_ms = leaf.time_ms;
    uint8_t spared = entry[-1];
    merkle_leaf(digest_sha256, hash.b, entry, len);
    entry[-1] = spared;
    struct buf bundle = r->bytes; /* tiles are read meanwhile */
    buf_init(&r->bytes, FILE_MAX_BYTES);
    int rc = tile_edge_add(digest_sha256, r->edge, &hash, compare_tile, r);
    buf_fini(&r->bytes);
    r->bytes = bundle;
    r->found->leaves++;
    return rc ? rc : check_kept(r);
}

static int take_bundle(struct run *r, uint64_t index)
{
    struct tile tile = {.level = TILE_ENTRIES, .index = index};
    tile.width = tile_width(TILE_ENTRIES, index, r->found->point.size);
    char path[TILE_PATH_CAP];
    bool whole;
    size_t at = 0, len;
    const uint8_t *entry;
    int rc = get_tile(r, &tile, &whole), next = 0;
    tile_path(path, &tile);
    for (uint32_t i = 0; rc == 0 && next == 0 && i < tile.width; i++) {
        next = tile_entry_next((const uint8_t *)r->bytes.data, r->bytes.len, &at, &entry, &len);
        if (next == 0)
            rc = take_entry(r, (uint8_t *)r->bytes.data + (entry - (const uint8_t *)r->bytes.data), len);
    }
    if (rc == 0 && (next != 0 || (!whole && at != r->bytes.len)))
        rc = err_set(r->err, ERR_CORRUPT, "%s does not hold %u entries", path, tile.width);
    return rc;
}

static int check_witnesses(struct run *r, const struct note *note)
{
    const struct log_verify *config = r->config;
    int n = witness_count(note, config->witnesses, config->nwitnesses, ed25519_verify, &r->found->oldest_s);
    if (n < 0)
        return err_set(r->err, ERR_CORRUPT, "a cosignature under the checkpoint does not hold");
    r->found->cosigned = (unsigned)n;
    if ((unsigned)n < config->quorum)
        return err_set(r->err, ERR_CORRUPT, "%d of %u witnesses cosigned the checkpoint, %u are needed", n,
                       config->nwitnesses, config->quorum);
    return 0;
}

static int read_checkpoint(struct run *r)
{
    const struct log_verify *config = r->config;
    struct checkpoint *point = &r->found->point;
    struct note note;
    uint64_t time_s;
    int rc = config->source.get(config->source.ctx, "checkpoint", &r->found->note, r->err);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? err_set(r->err, rc, "there is no checkpoint") : rc;
    if (note_parse(&note, r->found->note.data, r->found->note.len) != 0 ||
        checkpoint_parse(point, note.text, note.text_len) != 0)
        return err_set(r->err, ERR_CORRUPT, "the checkpoint is not in the form");
    if (config->key && strcmp(config->key->name, point->origin) != 0)
        return err_set(r->err, ERR_CORRUPT, "it is the log %s, and the key is of %s", point->origin,
                       config->key->name);
    if (config->key && note_check(&note, config->key, ed25519_verify, &time_s) != 0)
        return err_set(r->err, ERR_CORRUPT, "the checkpoint is not signed by the log's key");
    if (config->kept && strcmp(config->kept->origin, point->origin) != 0)
        return err_set(r->err, ERR_CORRUPT, "the checkpoint that was kept is of the log %s, this is %s",
                       config->kept->origin, point->origin);
    if (config->kept && config->kept->size > point->size)
        return err_set(r->err, ERR_CORRUPT, "the log has %llu leaves and had %llu",
                       (unsigned long long)point->size, (unsigned long long)config->kept->size);
    return check_witnesses(r, &note);
}

int log_verify(const struct log_verify *config, struct log_found *found, struct err *err)
{
    struct run r = {.config = config, .found = found, .err = err, .edge = calloc(1, sizeof *r.edge)};
    struct merkle_hash root;
    *found = (struct log_found){0};
    buf_init(&found->note, NOTE_TEXT_MAX * 16);
    buf_init(&r.bytes, FILE_MAX_BYTES);
    int rc = r.edge ? read_checkpoint(&r) : err_set(err, ERR_NO_MEMORY, "out of memory");
    const uint64_t size = found->point.size;
    if (rc == 0)
        rc = check_kept(&r);
    for (uint64_t i = 0; rc == 0 && i < (size + TILE_WIDTH - 1) / TILE_WIDTH; i++) {
        rc = take_bundle(&r, i);
        if (config->progress)
            config->progress(config->ctx, found->leaves, size);
    }
    if (rc == 0)
        rc = tile_edge_partial(r.edge, compare_tile, &r);
    if (rc == 0) {
        tile_edge_root(digest_sha256, r.edge, &root);
        if (memcmp(root.b, found->point.root.b, sizeof root.b) != 0)
            rc = err_set(err, ERR_CORRUPT, "the checkpoint's root is not that of the entries");
    }
    buf_fini(&r.bytes);
    free(r.edge);
    return rc;
}
