/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Merkle tree of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1), of the transparency log. Pure: the hash
 * function is the caller's.
 *
 * A tree of n leaves has at its right edge one perfect subtree for each bit of n. Their roots are all that is needed to
 * append, and to tell the root of the tree; `merkle_edge` is these. It never looks back at a leaf.
 */
#ifndef BUSBAR_TLOG_MERKLE_H
#define BUSBAR_TLOG_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_LEN 32
/* Trees are smaller than 2^63, so that sizes can be added. */
#define MERKLE_LEVELS 63
#define MERKLE_SIZE_MAX ((UINT64_C(1) << MERKLE_LEVELS) - 1)

/* SHA-256 in practice. */
typedef void merkle_hash_fn(uint8_t out[MERKLE_HASH_LEN], const void *data, size_t len);

struct merkle_hash {
    uint8_t b[MERKLE_HASH_LEN];
};

/* H(0x00 || entry). `entry` is given with one spare byte before it: entry[-1] is overwritten. */
void merkle_leaf(merkle_hash_fn *hash, uint8_t out[MERKLE_HASH_LEN], uint8_t *entry, size_t len);
/* H(0x01 || left || right); `out` may be one of them. */
void merkle_node(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *left,
                 const struct merkle_hash *right);
/* The root of a tree without leaves: H(). */
void merkle_empty(merkle_hash_fn *hash, struct merkle_hash *out);
/* The root of 2^height hashes that stand side by side; height at most 8. */
void merkle_perfect(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *first,
                    unsigned height);

struct merkle_edge {
    uint64_t size;                             /* leaves */
    struct merkle_hash subtree[MERKLE_LEVELS]; /* [i]: the root of 2^i leaves, where size has bit i */
};

/* size is less than MERKLE_SIZE_MAX. */
void merkle_edge_add(merkle_hash_fn *hash, struct merkle_edge *edge, const struct merkle_hash *leaf);
void merkle_edge_root(merkle_hash_fn *hash, const struct merkle_edge *edge, struct merkle_hash *out);

#define MERKLE_EDGE_PACKED_MAX (8 + MERKLE_LEVELS * MERKLE_HASH_LEN)
/* The size, 8 bytes little-endian, then the subtrees that there are, the largest first. Returns the length. */
size_t merkle_edge_pack(const struct merkle_edge *edge, uint8_t dst[MERKLE_EDGE_PACKED_MAX]);
/* 0, or ERR_CORRUPT. */
int merkle_edge_unpack(struct merkle_edge *edge, const uint8_t *src, size_t len);

#endif
