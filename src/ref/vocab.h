/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's vocabulary: text to tokens and back, as llama.cpp does it for files of tokenizer model "llama".
 *
 * That is SentencePiece's BPE by scores: the text's characters are joined two by two, the pair whose whole has the best score
 * first, of equal ones the leftmost; a character that is no token becomes its bytes. A space is written U+2581. Special
 * tokens ("</s>", or a chat's marks) are cut out of the text first, the longest first. Where the file says so (and where it says
 * nothing) a space is put before text that begins, or follows a special token, and a token that begins before all.
 *
 * Texts point into the file's mapping, which outlives the vocabulary. Bounds: VOCAB_MAX tokens of VOCAB_TOKEN_MAX bytes,
 * VOCAB_TEXT_MAX bytes encoded at once.
 */
#ifndef BUSBAR_REF_VOCAB_H
#define BUSBAR_REF_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "engine/gguf_walk.h"

#define VOCAB_MAX (1u << 20)
#define VOCAB_SPECIAL_MAX 4096u
#define VOCAB_TEXT_MAX ((size_t)4 << 20)
#define VOCAB_TOKEN_MAX 256u
#define VOCAB_NONE UINT32_MAX

/* As files number them. */
enum vocab_type {
    VOCAB_NORMAL = 1,
    VOCAB_UNKNOWN = 2,
    VOCAB_CONTROL = 3,
    VOCAB_OWN = 4, /* "user defined": found whole in texts, as special tokens are, and shown */
    VOCAB_UNUSED = 5,
    VOCAB_BYTE = 6
};

struct vocab_token {
    const char *text;
    uint32_t len;
    uint8_t type;
    bool ends; /* an answer ends with it */
    float score;
};

struct vocab {
    struct vocab_token *tokens;
    uint32_t count;
    uint32_t unknown, begin, end; /* VOCAB_NONE: there is none */
    uint32_t turn_end;
    bool add_begin, add_end, add_space;
    bool has_model;   /* the file names a tokenizer that this is */
    uint32_t longest; /* token's bytes, at least 1: no text has fewer tokens than its length by this */
    uint32_t bytes[256];
    uint32_t *special; /* found in texts before anything else, the longest first */
    uint32_t nspecial;
    struct map_slot *slots;
    struct map by_text;
};

struct tokens_list {
    uint32_t *at;
    uint32_t n, cap;
    bool failed; /* out of memory, or more than `max` */
    uint32_t max;
};

void vocab_init(struct vocab *vocab);
void vocab_fini(struct vocab *vocab);
/* One pair of the file's metadata; those that are none of a tokenizer's are passed over. */
int vocab_take(struct vocab *vocab, const char *key, size_t len, const struct gguf_value *value,
               struct err *err);
/* After the last pair: whether it is whole. */
int vocab_finish(struct vocab *vocab, struct err *err);

/* The token of exactly this text, or VOCAB_NONE. */
uint32_t vocab_find(const struct vocab *vocab, const char *text, size_t len);

void tokens_list_init(struct tokens_list *list, uint32_t max);
void tokens_list_fini(struct tokens_list *list);
void tokens_list_add(struct tokens_list *list, uint32_t token);

/* Appends the text's tokens. `begins`: with what is added at the beginning (and at the end); `special`: control tokens in the
 * text are meant, and are not text. list->failed after it: too many, or out of memory. */
void vocab_encode(const struct vocab *vocab, const char *text, size_t len, bool begins, bool special,
                  struct tokens_list *list);
/* Appends the token's bytes, which may be a part of a character; of control tokens nothing. */
void vocab_piece(const struct vocab *vocab, uint32_t token, struct buf *out);

#endif
