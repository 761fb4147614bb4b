/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiles: how a log's tree and entries lie in static files (C2SP tlog-tiles). Pure.
 *
 * A tile is up to 256 hashes side by side. In level 0 they are those of leaves, in level n the roots of full tiles of
 * level n - 1. A tile that is full never changes; one that is not yet has its width in its name, tile/0/x001/067.p/112,
 * so that no file ever changes. Entries lie in bundles of as many, tile/entries/..., each after its length, 16 bits
 * big-endian.
 *
 * `tile_edge` is the last tile of each level while a log grows: 64 KiB.
 */
#ifndef BUSBAR_TLOG_TILE_H
#define BUSBAR_TLOG_TILE_H

#include <stdbool.h>

#include "tlog/merkle.h"
#include "tlog/proof.h"

#define TILE_HEIGHT 8
#define TILE_WIDTH 256
#define TILE_LEVELS 8
#define TILE_BYTES (TILE_WIDTH * MERKLE_HASH_LEN)
#define TILE_ENTRIES 255 /* as level: the entries themselves */
#define TILE_ENTRY_MAX 65535
#define TILE_PATH_CAP 64

struct tile {
    uint64_t index;
    uint32_t width; /* 1 to TILE_WIDTH */
    uint8_t level;  /* below TILE_LEVELS, or TILE_ENTRIES */
};

/* As in the spec, from `tile/` on. */
void tile_path(char dst[TILE_PATH_CAP], const struct tile *tile);
/* False for all that tile_path would not write. */
bool tile_path_parse(struct tile *tile, const char *path, size_t len);
/* The width that the tile has in a log of so many leaves; 0: it is not there yet. */
uint32_t tile_width(unsigned level, uint64_t index, uint64_t size);

struct tile_edge {
    uint64_t size; /* leaves */
    struct merkle_hash hash[TILE_LEVELS][TILE_WIDTH];
};

/* A tile with its hashes, width of them. Non-zero ends it, and is returned by who called. */
typedef int tile_fn(void *ctx, const struct tile *tile, const struct merkle_hash *hashes);

/* Appends a leaf; tells each tile that is full with it, the lowest first. The leaf is there whatever `full` returned. */
int tile_edge_add(merkle_hash_fn *hash, struct tile_edge *edge, const struct merkle_hash *leaf, tile_fn *full,
                  void *ctx);
/* Tells the tiles that are not full and have something in them, the lowest first. */
int tile_edge_partial(const struct tile_edge *edge, tile_fn *fn, void *ctx);
void tile_edge_root(merkle_hash_fn *hash, const struct tile_edge *edge, struct merkle_hash *out);

/* Hashes of a tile, as files have them. */
typedef int tile_read_fn(void *ctx, const struct tile *tile, struct merkle_hash *hashes);

/* Reads a subtree (proof_read_fn) from the tiles of a log of so many leaves. */
struct tile_reader {
    merkle_hash_fn *hash;
    tile_read_fn *read;
    void *ctx;
    uint64_t size;
    struct merkle_hash hashes[TILE_WIDTH]; /* room for a tile */
};
int tile_subtree(void *tile_reader, unsigned level, uint64_t index, struct merkle_hash *out);

/* An entry in a bundle takes two bytes more. Returns its length there; 0: it is longer than TILE_ENTRY_MAX or than cap. */
size_t tile_entry_put(uint8_t *dst, size_t cap, const void *entry, size_t len);
/* The entry at *at, and advances. ERR_NOT_FOUND at the end, ERR_CORRUPT when it is cut. */
int tile_entry_next(const uint8_t *bundle, size_t len, size_t *at, const uint8_t **entry, size_t *entry_len);

#endif
