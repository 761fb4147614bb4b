/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A llama-architecture language model: parameters, one forward pass, one backward pass.
 *
 * Each block is RMS norm, rotary attention with grouped key/value heads, RMS norm, and a SwiGLU feed-forward, with
 * residual sums around both; the token embedding is also the output matrix. All parameters lie in one array, and one
 * table names each tensor in it: initialisation, weight decay and the GGUF writer walk that table.
 *
 * A model owns its parameters and gradients. A pass owns the activations of one batch of rows of `context` tokens;
 * model_backward must follow the model_forward whose activations it uses.
 */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include "rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_LAYERS_MAX 64u
#define MODEL_TOKEN_BEGIN 1u /* starts a document: what follows does not attend to what came before */
#define MODEL_NORM_EPS 1e-5f
#define MODEL_ROPE_BASE 10000.0f

struct model_config {
    uint32_t vocab, dim, layers, heads, kv_heads, ffn, context;
};

/* In the order in which a layer uses them; the last two have no layer. */
enum tensor_role {
    TENSOR_ATTN_NORM,
    TENSOR_ATTN_Q,
    TENSOR_ATTN_K,
    TENSOR_ATTN_V,
    TENSOR_ATTN_OUTPUT,
    TENSOR_FFN_NORM,
    TENSOR_FFN_GATE,
    TENSOR_FFN_UP,
    TENSOR_FFN_DOWN,
    TENSOR_LAYER_ROLES,
    TENSOR_TOKEN_EMBD = TENSOR_LAYER_ROLES,
    TENSOR_OUTPUT_NORM,
};

struct tensor {
    enum tensor_role role;
    uint32_t layer;
    uint32_t rows; /* 1 for a vector */
    uint32_t cols;
    size_t offset; /* of its first float in params */
};

struct model {
    struct model_config config;
    struct tensor tensors[MODEL_LAYERS_MAX * TENSOR_LAYER_ROLES + 2];
    uint32_t tensor_count;
    size_t param_count;
    float *params;
    float *grads;
};

struct pass;

/* Returns NULL when the model can be made, or words that say which bound `config` breaks. */
const char *model_config_check(const struct model_config *config);

/* Random parameters from `rng`. Returns 0 or -ENOMEM; `config` must have passed the check. */
int model_init(struct model *model, const struct model_config *config, struct rng *rng);
void model_fini(struct model *model);

struct pass *pass_new(const struct model_config *config, uint32_t rows);
void pass_free(struct pass *pass);

/* Mean loss, in nats per token, of predicting `targets` from `inputs`, both [rows * context]. `train` leaves in the
 * pass what model_backward needs. */
double model_forward(const struct model *model, struct pass *pass, const uint32_t *inputs,
                     const uint32_t *targets, bool train);

/* Sets model->grads to the gradient of the last model_forward. */
void model_backward(struct model *model, struct pass *pass, const uint32_t *inputs);

#endif
