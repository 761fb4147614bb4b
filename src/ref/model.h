/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of the llama architecture, from its GGUF file: what it is, where its weights lie, and one step of it.
 *
 * A step takes rows, each a token at a position of a slot's context, and gives logits for those that ask. All numbers are 32-bit
 * floats, keys and values too; what is added to what, and in which order, depends on the row alone (ref/tensor.h). So the
 * logits of a row are the same bits whichever rows are computed beside it, with however many threads, and whether its context
 * was computed now or long ago.
 *
 * The file is hostile: sizes are checked against each other, against the file and against memory before anything is carved. A tensor or
 * a setting that this engine does not know is refused by its name, never left out: no answer is better than a wrong one.
 *
 * Bounds are below. The mapping, the vocabulary and the memory of a state are the model's, or the state's; both end with their _free.
 */
#ifndef BUSBAR_REF_MODEL_H
#define BUSBAR_REF_MODEL_H

#include "ref/team.h"
#include "ref/tensor.h"
#include "ref/vocab.h"

#define MODEL_LAYERS_MAX 256u
#define MODEL_CONTEXT_MAX (1u << 20)
#define MODEL_HEADS_MAX 1024u
#define MODEL_WIDTH_MAX (1u << 16)
#define MODEL_ROWS 32u /* of a step at most */
#define MODEL_SLOTS_MAX 256u
#define MODEL_UNPACK_MAX ((size_t)256 << 20) /* what is worth it of a small model */

struct model_layer {
    struct tensor attention_norm, q, k, v, output;
    struct tensor ffn_norm, gate, up, down;
};

struct model {
    const uint8_t *map;
    size_t map_len;
    uint32_t layers, width, ffn, heads, kv_heads, head, turned, context; /* context: what it was made for */
    float norm_epsilon, rope_base, rope_scale;
    struct tensor embedding, output_norm, output, rope_factors;
    struct model_layer layer[MODEL_LAYERS_MAX];
    struct vocab vocab;
    float *unpacked; /* weights that were made floats once */
    char name[64];
    char *chat_template; /* NULL: the file has none */
};

struct model_row {
    uint32_t token, slot, position;
    float *logits; /* of the vocabulary's count; NULL: not asked for */
};

struct model_state;

/* ERR_NOT_FOUND, ERR_INVALID or ERR_UNSUPPORTED with words. */
int model_open(struct model **out, const char *path, struct err *err);
/* The same of bytes that outlive it. */
int model_parse(struct model **out, const uint8_t *data, size_t len, struct err *err);
void model_free(struct model *model);
/* Makes all weights floats once, in place of once a step, if that takes at most so many bytes: quicker, and not a bit different. */
void model_unpack(struct model *model, size_t bytes_max);

/* Keys and values for so many slots of so many tokens. ERR_INVALID or ERR_NO_MEMORY with words. The team stays the caller's. */
int model_state_new(struct model_state **out, const struct model *model, struct team *team, uint32_t slots,
                    uint32_t context, struct err *err);
void model_state_free(struct model_state *state);
/* At most MODEL_ROWS rows. What a slot has at positions before a row's must have been stepped, or be in rows before it. */
void model_step(struct model_state *state, const struct model_row *rows, uint32_t n);

#endif
