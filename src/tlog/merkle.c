/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/merkle.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"

void merkle_leaf(merkle_hash_fn *hash, uint8_t out[MERKLE_HASH_LEN], uint8_t *entry, size_t len)
{
    entry[-1] = 0;
    hash(out, entry - 1, len + 1);
}

void merkle_node(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *left,
                 const struct merkle_hash *right)
{
    uint8_t bytes[1 + 2 * MERKLE_HASH_LEN] = {1};
    memcpy(bytes + 1, left->b, MERKLE_HASH_LEN);
    memcpy(bytes + 1 + MERKLE_HASH_LEN, right->b, MERKLE_HASH_LEN);
    hash(out->b, bytes, sizeof bytes);
}

void merkle_empty(merkle_hash_fn *hash, struct merkle_hash *out)
{
    hash(out->b, "", 0);
}

void merkle_perfect(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *first,
                    unsigned height)
{
    struct merkle_edge edge = {0};
    assert(height <= 8);
    for (size_t i = 0; i < (size_t)1 << height; i++)
        merkle_edge_add(hash, &edge, &first[i]);
    *out = edge.subtree[height];
}

void merkle_edge_add(merkle_hash_fn *hash, struct merkle_edge *edge, const struct merkle_hash *leaf)
{
    struct merkle_hash carry = *leaf;
    unsigned level = 0;
    assert(edge->size < MERKLE_SIZE_MAX);
    for (; edge->size >> level & 1; level++)
        merkle_node(hash, &carry, &edge->subtree[level], &carry);
    edge->subtree[level] = carry;
    edge->size++;
}

void merkle_edge_root(merkle_hash_fn *hash, const struct merkle_edge *edge, struct merkle_hash *out)
{
    if (edge->size == 0)
        merkle_empty(hash, out);
    unsigned level = 0;
    for (; level < MERKLE_LEVELS && !(edge->size >> level & 1); level++)
        ;
    if (level < MERKLE_LEVELS)
        *out = edge->subtree[level];
    for (level++; level < MERKLE_LEVELS; level++) {
        if (edge->size >> level & 1)
            merkle_node(hash, out, &edge->subtree[level], out);
    }
}

size_t merkle_edge_pack(const struct merkle_edge *edge, uint8_t dst[MERKLE_EDGE_PACKED_MAX])
{
    size_t len = 8;
    le_put(dst, edge->size, len);
    for (unsigned level = MERKLE_LEVELS; level-- > 0;) {
        if (!(edge->size >> level & 1))
            continue;
        memcpy(dst + len, edge->subtree[level].b, MERKLE_HASH_LEN);
        len += MERKLE_HASH_LEN;
    }
    return len;
}

int merkle_edge_unpack(struct merkle_edge *edge, const uint8_t *src, size_t len)
{
    size_t at = 8;
    *edge = (struct merkle_edge){0};
    if (len < 8)
        return ERR_CORRUPT;
    edge->size = le_get(src, 8);
    if (edge->size > MERKLE_SIZE_MAX)
        return ERR_CORRUPT;
    for (unsigned level = MERKLE_LEVELS; level-- > 0;) {
        if (!(edge->size >> level & 1))
            continue;
        if (len - at < MERKLE_HASH_LEN)
            return ERR_CORRUPT;
        memcpy(edge->subtree[level].b, src + at, MERKLE_HASH_LEN);
        at += MERKLE_HASH_LEN;
    }
    return at == len ? 0 : ERR_CORRUPT;
}
