/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/tile.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static const char entries_level[] = "entries";

static size_t put(char *dst, size_t at, const char *text)
{
    size_t len = text_len(text, TILE_PATH_CAP);
    memcpy(dst + at, text, len);
    return at + len;
}

/* Groups of three digits, x before each but the last. */
static size_t put_index(char *dst, size_t at, uint64_t index)
{
    uint64_t unit = 1;
    while (index / unit >= 1000)
        unit *= 1000;
    for (; unit > 0; unit /= 1000) {
        uint64_t group = index / unit % 1000;
        if (unit > 1)
            dst[at++] = 'x';
        dst[at++] = (char)('0' + group / 100);
        dst[at++] = (char)('0' + group / 10 % 10);
        dst[at++] = (char)('0' + group % 10);
        if (unit > 1)
            dst[at++] = '/';
    }
    return at;
}

void tile_path(char dst[TILE_PATH_CAP], const struct tile *tile)
{
    assert(tile->width >= 1 && tile->width <= TILE_WIDTH);
    assert(tile->level < TILE_LEVELS || tile->level == TILE_ENTRIES);
    size_t at = put(dst, 0, "tile/");
    if (tile->level == TILE_ENTRIES)
        at = put(dst, at, entries_level);
    else
        dst[at++] = (char)('0' + tile->level);
    dst[at++] = '/';
    at = put_index(dst, at, tile->index);
    if (tile->width < TILE_WIDTH) {
        at = put(dst, at, ".p/");
        at += u64_format(dst + at, tile->width, 10);
    }
    dst[at] = 0;
}

/* Three digits at *at. */
static bool read_group(const char *path, size_t len, size_t *at, uint64_t *group)
{
    if (len - *at < 3 || !u64_parse(path + *at, 3, 999, group))
        return false;
    *at += 3;
    return true;
}

bool tile_path_parse(struct tile *tile, const char *path, size_t len)
{
    char again[TILE_PATH_CAP];
    const size_t head = sizeof "tile/" - 1, word = sizeof entries_level - 1;
    size_t at = head;
    uint64_t group, width = TILE_WIDTH;
    *tile = (struct tile){.width = TILE_WIDTH};
    if (len >= TILE_PATH_CAP || len < head + 2 || memcmp(path, "tile/", head) != 0)
        return false;
    if (len - at > word && memcmp(path + at, entries_level, word) == 0) {
        tile->level = TILE_ENTRIES;
        at += word;
    } else {
        if (path[at] < '0' || path[at] >= '0' + TILE_LEVELS)
            return false;
        tile->level = (uint8_t)(path[at++] - '0');
    }
    if (path[at++] != '/')
        return false;
    for (bool more = true; more;) {
        more = at < len && path[at] == 'x';
        at += more;
        if (!read_group(path, len, &at, &group) || tile->index > MERKLE_SIZE_MAX / 1000)
            return false;
        tile->index = tile->index * 1000 + group;
        if (more && (at == len || path[at++] != '/'))
            return false;
    }
    if (len - at > 3 && memcmp(path + at, ".p/", 3) == 0) {
        if (!u64_parse(path + at + 3, len - at - 3, TILE_WIDTH - 1, &width) || width == 0)
            return false;
        tile->width = (uint32_t)width;
        at = len;
    }
    if (at != len)
        return false;
    tile_path(again, tile); /* one path for a tile: no leading zeros */
    return text_eq(path, len, again, text_len(again, sizeof again));
}

uint32_t tile_width(unsigned level, uint64_t index, uint64_t size)
{
    unsigned shift = level == TILE_ENTRIES ? 0 : level * TILE_HEIGHT;
    uint64_t hashes = size >> shift;
    if (index > hashes / TILE_WIDTH)
        return 0;
    return index < hashes / TILE_WIDTH ? TILE_WIDTH : (uint32_t)(hashes % TILE_WIDTH);
}

int tile_edge_add(merkle_hash_fn *hash, struct tile_edge *edge, const struct merkle_hash *leaf, tile_fn *full,
                  void *ctx)
{
    struct merkle_hash carry = *leaf;
    uint64_t at = edge->size;
    int rc = 0;
    assert(edge->size < MERKLE_SIZE_MAX);
    edge->size++;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        struct merkle_hash *hashes = edge->hash[level];
        hashes[at % TILE_WIDTH] = carry;
        if (at % TILE_WIDTH != TILE_WIDTH - 1)
            break;
        at /= TILE_WIDTH;
        struct tile tile = {.index = at, .width = TILE_WIDTH, .level = (uint8_t)level};
        if (rc == 0)
            rc = full(ctx, &tile, hashes);
        merkle_perfect(hash, &carry, hashes, TILE_HEIGHT);
    }
    return rc;
}

int tile_edge_partial(const struct tile_edge *edge, tile_fn *fn, void *ctx)
{
    int rc = 0;
    for (unsigned level = 0; rc == 0 && level < TILE_LEVELS; level++) {
        uint64_t hashes = edge->size >> level * TILE_HEIGHT;
        struct tile tile = {
            .index = hashes / TILE_WIDTH, .width = (uint32_t)(hashes % TILE_WIDTH), .level = (uint8_t)level};
        if (tile.width > 0)
            rc = fn(ctx, &tile, edge->hash[level]);
    }
    return rc;
}

void tile_edge_root(merkle_hash_fn *hash, const struct tile_edge *edge, struct merkle_hash *out)
{
    struct merkle_edge roots = {.size = edge->size};
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        if (!(edge->size >> level & 1))
            continue;
        /* In its tile, what lies left of it are the larger subtrees. */
        uint64_t first = (edge->size >> level << level) - (UINT64_C(1) << level);
        uint64_t place = first >> level / TILE_HEIGHT * TILE_HEIGHT;
        merkle_perfect(hash, &roots.subtree[level], &edge->hash[level / TILE_HEIGHT][place % TILE_WIDTH],
                       level % TILE_HEIGHT);
    }
    merkle_edge_root(hash, &roots, out);
}

int tile_subtree(void *tile_reader, unsigned level, uint64_t index, struct merkle_hash *out)
{
    struct tile_reader *r = tile_reader;
    unsigned height = level % TILE_HEIGHT;
    uint64_t place = index << height; /* of its first hash in the tiles' level */
    struct tile tile = {.index = place / TILE_WIDTH, .level = (uint8_t)(level / TILE_HEIGHT)};
    tile.width = tile_width(tile.level, tile.index, r->size);
    if (place % TILE_WIDTH + (UINT64_C(1) << height) > tile.width)
        return ERR_INVALID;
    int rc = r->read(r->ctx, &tile, r->hashes);
    if (rc == 0)
        merkle_perfect(r->hash, out, &r->hashes[place % TILE_WIDTH], height);
    return rc;
}

size_t tile_entry_put(uint8_t *dst, size_t cap, const void *entry, size_t len)
{
    if (len > TILE_ENTRY_MAX || cap < len + 2)
        return 0;
    dst[0] = (uint8_t)(len >> 8);
    dst[1] = (uint8_t)len;
    memcpy(dst + 2, entry, len);
    return len + 2;
}

int tile_entry_next(const uint8_t *bundle, size_t len, size_t *at, const uint8_t **entry, size_t *entry_len)
{
    if (*at == len)
        return ERR_NOT_FOUND;
    if (len - *at < 2)
        return ERR_CORRUPT;
    size_t n = (size_t)bundle[*at] << 8 | bundle[*at + 1];
    if (len - *at - 2 < n)
        return ERR_CORRUPT;
    *entry = bundle + *at + 2;
    *entry_len = n;
    *at += 2 + n;
    return 0;
}
