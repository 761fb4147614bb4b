/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokenizer: byte-pair merges, written down the way a "llama" tokenizer in GGUF wants them.
 *
 * Such a tokenizer has no list of merges. It has tokens with scores, and it joins, again and again, the neighbours
 * whose joined text is the token with the highest score, leftmost first. Here the score of a token is minus its rank
 * of creation, so the server's greedy joins are the training's merges, and bpe_encode does the same joins as the
 * server does. A space is U+2581 inside tokens, and only at a token's start; letters are never joined to other
 * characters. So words can be encoded one by one.
 *
 * Ids: <unk>, <s>, </s>, three role marks, 256 byte tokens (for characters that were never seen), characters, merges.
 * Bound: BPE_TOKENS_MAX tokens of at most BPE_TOKEN_BYTES_MAX bytes.
 */
#ifndef TRAIN_BPE_H
#define TRAIN_BPE_H

#include "text.h"

#include <stdint.h>

#define BPE_TOKENS_MAX 4096
#define BPE_TOKEN_BYTES_MAX 31
#define BPE_INDEX_SLOTS 16384

enum bpe_id {
    BPE_UNKNOWN,
    BPE_BEGIN,
    BPE_END,
    BPE_SYSTEM,
    BPE_USER,
    BPE_ASSISTANT,
    BPE_BYTE_FIRST,
    BPE_CHAR_FIRST = BPE_BYTE_FIRST + 256,
};

/* The smallest vocabulary that has room for every printable ASCII character. */
#define BPE_TOKENS_MIN (BPE_CHAR_FIRST + 128)

/* The values are those of tokenizer.ggml.token_type. */
enum bpe_kind {
    BPE_KIND_NORMAL = 1,
    BPE_KIND_UNKNOWN = 2,
    BPE_KIND_CONTROL = 3,
    BPE_KIND_BYTE = 6,
};

struct bpe_token {
    char text[BPE_TOKEN_BYTES_MAX + 1];
    uint32_t len;
    enum bpe_kind kind;
};

struct bpe {
    struct bpe_token tokens[BPE_TOKENS_MAX];
    uint32_t count;
    uint16_t index[BPE_INDEX_SLOTS]; /* token id + 1 by hash of its text; 0 is empty */
};

/* Learns at most `tokens_max` tokens from `text`. Returns 0, -EINVAL for a bad bound, or -ENOMEM. */
int bpe_train(struct bpe *bpe, const char *text, size_t len, uint32_t tokens_max);

/* A token's score in GGUF: higher joins first. */
float bpe_score(const struct bpe *bpe, uint32_t id);

/* Encodes `text`, in which role marks and </s> are recognised, without adding <s>. `out` has room for `cap` ids;
 * `len` ids are always enough. Returns 0, or -ENOSPC with `out` partly written. */
int bpe_encode(const struct bpe *bpe, const char *text, size_t len, uint32_t *out, size_t cap, size_t *count);

/* Appends the text of `ids` to `out`; control tokens are written as they are spelled. */
void bpe_decode(const struct bpe *bpe, const uint32_t *ids, size_t count, struct text *out);

#endif
