/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs over a Merkle tree, RFC 6962 section 2.1: that a leaf is in a tree, and that one tree is the beginning of
 * another; and how both are checked (the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2). Pure.
 *
 * Whoever makes a proof says how a hash is found; only perfect subtrees are asked for, which tiles hold or give.
 */
#ifndef BUSBAR_TLOG_PROOF_H
#define BUSBAR_TLOG_PROOF_H

#include <stdbool.h>

#include "tlog/merkle.h"

/* The root of the leaves from index << level on, 2^level of them. 0, or an error, which the proof's maker gets. */
typedef int proof_read_fn(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out);

struct proof {
    unsigned n;
    struct merkle_hash hash[MERKLE_LEVELS + 1]; /* in the order of the RFC: the lowest first */
};

/* That leaf `index` is in the tree of `size` leaves. ERR_INVALID: index >= size. */
int proof_inclusion(merkle_hash_fn *hash, proof_read_fn *read, void *ctx, uint64_t index, uint64_t size,
                    struct proof *out);
/* That the tree of `size` leaves extends that of `old`; empty where old is 0 or size. ERR_INVALID: old > size. */
int proof_consistency(merkle_hash_fn *hash, proof_read_fn *read, void *ctx, uint64_t old, uint64_t size,
                      struct proof *out);

/* As text: its hashes in base64, a line each, and an empty line. */
#define PROOF_TEXT_CAP ((MERKLE_LEVELS + 1) * 45 + 2)
/* Returns the length; there is a NUL after it. */
size_t proof_text(char dst[PROOF_TEXT_CAP], const struct proof *proof);
/* The proof at *at, which is then behind its empty line; false: there is none in the form. */
bool proof_parse(struct proof *out, const char *text, size_t len, size_t *at);

bool proof_inclusion_holds(merkle_hash_fn *hash, const struct proof *proof, uint64_t index, uint64_t size,
                           const struct merkle_hash *leaf, const struct merkle_hash *root);
bool proof_consistency_holds(merkle_hash_fn *hash, const struct proof *proof, uint64_t old, uint64_t size,
                             const struct merkle_hash *old_root, const struct merkle_hash *root);

#endif
