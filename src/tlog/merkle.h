/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaf hashes of RFC 6962 section 2.1, the first stone of the transparency log: every journal entry has one from the
 * first day on, so that the tree can later be built over all of history. Pure: the hash function is the caller's.
 */
#ifndef BUSBAR_TLOG_MERKLE_H
#define BUSBAR_TLOG_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_LEN 32

/* SHA-256 in practice. */
typedef void merkle_hash_fn(uint8_t out[MERKLE_HASH_LEN], const void *data, size_t len);

/* H(0x00 || entry). `entry` is given with one spare byte before it: entry[-1] is overwritten. */
void merkle_leaf(merkle_hash_fn *hash, uint8_t out[MERKLE_HASH_LEN], uint8_t *entry, size_t len);

#endif
