/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "kernel.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one layer computes and its derivative needs again. */
struct layer_pass {
    float *in, *attn_in, *attn_scale;
    float *q, *k, *v, *probs, *heads;
    float *mid, *ffn_in, *ffn_scale;
    float *gate, *up, *act;
};

struct pass {
    uint32_t rows;
    uint32_t tokens;
    uint32_t *start; /* of each token's document, within its row */
    struct layer_pass layer[MODEL_LAYERS_MAX];
    float *out, *out_norm, *out_scale, *logits;
    float *d_stream, *d_dim, *d_q, *d_k, *d_v, *d_gate, *d_up, *d_act;
    float *attention_scratch;
    float *rope_table;
    float *memory; /* every float array above is a slice of it */
};

static uint32_t head_dim(const struct model_config *config)
{
    return config->dim / config->heads;
}

static uint32_t kv_dim(const struct model_config *config)
{
    return head_dim(config) * config->kv_heads;
}

const char *model_config_check(const struct model_config *config)
{
    if (config->layers < 1 || config->layers > MODEL_LAYERS_MAX)
        return "layers must be 1 to 64";
    if (config->dim < 8 || config->dim > 4096 || config->ffn < 8 || config->ffn > 16384)
        return "dim must be 8 to 4096 and ffn 8 to 16384";
    if (config->heads < 1 || config->dim % config->heads != 0 || head_dim(config) % 2 != 0)
        return "dim must be an even multiple of heads";
    if (config->kv_heads < 1 || config->heads % config->kv_heads != 0)
        return "heads must be a multiple of kv-heads";
    if (config->context < 2 || config->context > 4096)
        return "context must be 2 to 4096";
    return NULL;
}

static void tensor_add(struct model *model, enum tensor_role role, uint32_t layer, uint32_t rows,
                       uint32_t cols)
{
    model->tensors[model->tensor_count++] = (struct tensor){
        .role = role, .layer = layer, .rows = rows, .cols = cols, .offset = model->param_count};
    model->param_count += (size_t)rows * cols;
}

static void tensors_add(struct model *model)
{
    const struct model_config *c = &model->config;

    for (uint32_t layer = 0; layer < c->layers; layer++) {
        tensor_add(model, TENSOR_ATTN_NORM, layer, 1, c->dim);
        tensor_add(model, TENSOR_ATTN_Q, layer, c->dim, c->dim);
        tensor_add(model, TENSOR_ATTN_K, layer, kv_dim(c), c->dim);
        tensor_add(model, TENSOR_ATTN_V, layer, kv_dim(c), c->dim);
        tensor_add(model, TENSOR_ATTN_OUTPUT, layer, c->dim, c->dim);
        tensor_add(model, TENSOR_FFN_NORM, layer, 1, c->dim);
        tensor_add(model, TENSOR_FFN_GATE, layer, c->ffn, c->dim);
        tensor_add(model, TENSOR_FFN_UP, layer, c->ffn, c->dim);
        tensor_add(model, TENSOR_FFN_DOWN, layer, c->dim, c->ffn);
    }
    tensor_add(model, TENSOR_TOKEN_EMBD, 0, c->vocab, c->dim);
    tensor_add(model, TENSOR_OUTPUT_NORM, 0, 1, c->dim);
}

static const struct tensor *tensor_of(const struct model *model, enum tensor_role role, uint32_t layer)
{
    bool layered = role < TENSOR_LAYER_ROLES;
    uint32_t first = (layered ? layer : model->config.layers) * TENSOR_LAYER_ROLES;
    uint32_t index = first + (layered ? role : role - TENSOR_LAYER_ROLES);
    const struct tensor *tensor = &model->tensors[index];

    assert(tensor->role == role && tensor->layer == layer);
    return tensor;
}

static const float *weight(const struct model *model, enum tensor_role role, uint32_t layer)
{
    return model->params + tensor_of(model, role, layer)->offset;
}

static float *gradient(struct model *model, enum tensor_role role, uint32_t layer)
{
    return model->grads + tensor_of(model, role, layer)->offset;
}

static void params_init(struct model *model, struct rng *rng)
{
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const struct tensor *t = &model->tensors[i];
        float *p = model->params + t->offset;
        /* What writes to the residual stream starts at zero, so that at first a token's embedding is all there is to
         * see: copying words is learnt much sooner. A uniform number in [-a, a] has deviation a / sqrt(3). */
        bool residual = t->role == TENSOR_ATTN_OUTPUT || t->role == TENSOR_FFN_DOWN;
        float deviation = t->role == TENSOR_TOKEN_EMBD ? 0.05f
                          : residual                   ? 0.0f
                                                       : 1.0f / sqrtf((float)t->cols);
        float width = sqrtf(3.0f) * deviation;

        for (size_t j = 0; j < (size_t)t->rows * t->cols; j++)
            p[j] = t->rows == 1 ? 1.0f : rng_signed_unit(rng) * width;
    }
}

int model_init(struct model *model, const struct model_config *config, struct rng *rng)
{
    *model = (struct model){.config = *config};
    tensors_add(model);
    model->params = calloc(model->param_count, sizeof(*model->params));
    model->grads = calloc(model->param_count, sizeof(*model->grads));
    if (model->params == NULL || model->grads == NULL)
        return -ENOMEM;
    params_init(model, rng);
    return 0;
}

void model_fini(struct model *model)
{
    free(model->params);
    free(model->grads);
    model->params = NULL;
    model->grads = NULL;
}

/* Arrays that are whole pages apart would make every store look like a conflict with the next load. */
#define SLICE_GAP ((size_t)272)

/* Hands out `n` floats at `*at`; with no memory yet it only counts, so that one walk sizes and one walk fills. */
static float *slice(float *memory, size_t *at, size_t n)
{
    float *p = memory != NULL ? memory + *at : NULL;

    *at += (n + 15) / 16 * 16 + SLICE_GAP;
    return p;
}

static size_t pass_slices(struct pass *pass, const struct model_config *c, float *memory)
{
    size_t n = pass->tokens;
    size_t dim = n * c->dim;
    size_t kv = n * kv_dim(c);
    size_t ffn = n * c->ffn;
    size_t at = 0;

    for (uint32_t i = 0; i < c->layers; i++) {
        struct layer_pass *l = &pass->layer[i];

        l->in = slice(memory, &at, dim);
        l->attn_in = slice(memory, &at, dim);
        l->attn_scale = slice(memory, &at, n);
        l->q = slice(memory, &at, dim);
        l->k = slice(memory, &at, kv);
        l->v = slice(memory, &at, kv);
        l->probs = slice(memory, &at, n * c->heads * c->context);
        l->heads = slice(memory, &at, dim);
        l->mid = slice(memory, &at, dim);
        l->ffn_in = slice(memory, &at, dim);
        l->ffn_scale = slice(memory, &at, n);
        l->gate = slice(memory, &at, ffn);
        l->up = slice(memory, &at, ffn);
        l->act = slice(memory, &at, ffn);
    }
    pass->out = slice(memory, &at, dim);
    pass->out_norm = slice(memory, &at, dim);
    pass->out_scale = slice(memory, &at, n);
    pass->logits = slice(memory, &at, n * c->vocab);
    pass->d_stream = slice(memory, &at, dim);
    pass->d_dim = slice(memory, &at, dim);
    pass->d_q = slice(memory, &at, dim);
    pass->d_k = slice(memory, &at, kv);
    pass->d_v = slice(memory, &at, kv);
    pass->d_gate = slice(memory, &at, ffn);
    pass->d_up = slice(memory, &at, ffn);
    pass->d_act = slice(memory, &at, ffn);
    pass->attention_scratch = slice(memory, &at, (size_t)ATTENTION_BLOCK * c->context);
    pass->rope_table = slice(memory, &at, (size_t)c->context * head_dim(c));
    return at;
}

struct pass *pass_new(const struct model_config *config, uint32_t rows)
{
    struct pass *pass = calloc(1, sizeof(*pass));

    if (pass == NULL)
        return NULL;
    pass->rows = rows;
    pass->tokens = rows * config->context;
    pass->memory = calloc(pass_slices(pass, config, NULL), sizeof(*pass->memory));
    pass->start = calloc(pass->tokens, sizeof(*pass->start));
    if (pass->memory == NULL || pass->start == NULL) {
        pass_free(pass);
        return NULL;
    }
    (void)pass_slices(pass, config, pass->memory);
    rope_table(pass->rope_table, config->context, head_dim(config), MODEL_ROPE_BASE);
    return pass;
}

void pass_free(struct pass *pass)
{
    if (pass == NULL)
        return;
    free(pass->memory);
    free(pass->start);
    free(pass);
}

static void add(float *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += in[i];
}

static struct attention attention_of(const struct model_config *c, const struct pass *pass, uint32_t row)
{
    return (struct attention){.context = c->context,
                              .head_dim = head_dim(c),
                              .q_stride = c->dim,
                              .kv_stride = kv_dim(c),
                              .start = pass->start + (size_t)row * c->context};
}

static void documents_find(struct pass *pass, const uint32_t *inputs, uint32_t context)
{
    for (uint32_t row = 0; row < pass->rows; row++) {
        uint32_t start = 0;

        for (uint32_t t = 0; t < context; t++) {
            size_t i = (size_t)row * context + t;

            if (inputs[i] == MODEL_TOKEN_BEGIN)
                start = t;
            pass->start[i] = start;
        }
    }
}

/* Offsets, in floats, of one head of one row in its query, key/value and probability arrays. */
struct head_at {
    size_t q, kv, probs;
};

static struct head_at head_at(const struct model_config *c, uint32_t row, uint32_t head)
{
    uint32_t group = c->heads / c->kv_heads;

    return (struct head_at){
        .q = (size_t)row * c->context * c->dim + (size_t)head * head_dim(c),
        .kv = (size_t)row * c->context * kv_dim(c) + (size_t)(head / group) * head_dim(c),
        .probs = ((size_t)row * c->heads + head) * c->context * c->context,
    };
}

static void layer_forward(const struct model *model, struct pass *pass, uint32_t layer, float *out)
{
    const struct model_config *c = &model->config;
    struct layer_pass *l = &pass->layer[layer];
    uint32_t n = pass->tokens;
    size_t size = (size_t)n * c->dim;

    rms_norm(l->attn_in, l->attn_scale, l->in, weight(model, TENSOR_ATTN_NORM, layer), n, c->dim,
             MODEL_NORM_EPS);
    linear(l->q, l->attn_in, weight(model, TENSOR_ATTN_Q, layer), n, c->dim, c->dim);
    linear(l->k, l->attn_in, weight(model, TENSOR_ATTN_K, layer), n, c->dim, kv_dim(c));
    linear(l->v, l->attn_in, weight(model, TENSOR_ATTN_V, layer), n, c->dim, kv_dim(c));
    rope(l->q, pass->rope_table, n, c->context, c->heads, head_dim(c), 1.0f);
    rope(l->k, pass->rope_table, n, c->context, c->kv_heads, head_dim(c), 1.0f);
    for (uint32_t row = 0; row < pass->rows; row++) {
        const struct attention attention = attention_of(c, pass, row);

        for (uint32_t head = 0; head < c->heads; head++) {
            struct head_at at = head_at(c, row, head);

            attention_head(&attention, l->heads + at.q, l->probs + at.probs, l->q + at.q, l->k + at.kv,
                           l->v + at.kv);
        }
    }
    linear(l->mid, l->heads, weight(model, TENSOR_ATTN_OUTPUT, layer), n, c->dim, c->dim);
    add(l->mid, l->in, size);

    rms_norm(l->ffn_in, l->ffn_scale, l->mid, weight(model, TENSOR_FFN_NORM, layer), n, c->dim,
             MODEL_NORM_EPS);
    linear(l->gate, l->ffn_in, weight(model, TENSOR_FFN_GATE, layer), n, c->dim, c->ffn);
    linear(l->up, l->ffn_in, weight(model, TENSOR_FFN_UP, layer), n, c->dim, c->ffn);
    swiglu(l->act, l->gate, l->up, (uint64_t)n * c->ffn);
    linear(out, l->act, weight(model, TENSOR_FFN_DOWN, layer), n, c->ffn, c->dim);
    add(out, l->mid, size);
}

double model_forward(const struct model *model, struct pass *pass, const uint32_t *inputs,
                     const uint32_t *targets, bool train)
{
    const struct model_config *c = &model->config;
    const float *embedding = weight(model, TENSOR_TOKEN_EMBD, 0);

    documents_find(pass, inputs, c->context);
    for (uint32_t i = 0; i < pass->tokens; i++)
        memcpy(pass->layer[0].in + (size_t)i * c->dim, embedding + (size_t)inputs[i] * c->dim,
               c->dim * sizeof(*embedding));
    for (uint32_t layer = 0; layer < c->layers; layer++)
        layer_forward(model, pass, layer, layer + 1 < c->layers ? pass->layer[layer + 1].in : pass->out);
    rms_norm(pass->out_norm, pass->out_scale, pass->out, weight(model, TENSOR_OUTPUT_NORM, 0), pass->tokens,
             c->dim, MODEL_NORM_EPS);
    linear(pass->logits, pass->out_norm, embedding, pass->tokens, c->dim, c->vocab);
    return cross_entropy(pass->logits, targets, pass->tokens, c->vocab, train);
}

/* pass->d_stream holds the gradient of the layer's output, then of its middle. */
static void feed_forward_backward(struct model *model, struct pass *pass, uint32_t layer)
{
    const struct model_config *c = &model->config;
    const struct layer_pass *l = &pass->layer[layer];
    uint32_t n = pass->tokens;

    linear_back(pass->d_act, gradient(model, TENSOR_FFN_DOWN, layer), pass->d_stream, l->act,
                weight(model, TENSOR_FFN_DOWN, layer), n, c->ffn, c->dim, 0);
    swiglu_back(pass->d_gate, pass->d_up, pass->d_act, l->gate, l->up, (uint64_t)n * c->ffn);
    linear_back(pass->d_dim, gradient(model, TENSOR_FFN_GATE, layer), pass->d_gate, l->ffn_in,
                weight(model, TENSOR_FFN_GATE, layer), n, c->dim, c->ffn, 0);
    linear_back(pass->d_dim, gradient(model, TENSOR_FFN_UP, layer), pass->d_up, l->ffn_in,
                weight(model, TENSOR_FFN_UP, layer), n, c->dim, c->ffn, 1);
    rms_norm_back(pass->d_stream, gradient(model, TENSOR_FFN_NORM, layer), pass->d_dim, l->mid,
                  weight(model, TENSOR_FFN_NORM, layer), l->ffn_scale, n, c->dim);
}

/* pass->d_stream holds the gradient of the layer's middle, then of its input. */
static void attention_backward(struct model *model, struct pass *pass, uint32_t layer)
{
    const struct model_config *c = &model->config;
    const struct layer_pass *l = &pass->layer[layer];
    uint32_t n = pass->tokens;

    linear_back(pass->d_dim, gradient(model, TENSOR_ATTN_OUTPUT, layer), pass->d_stream, l->heads,
                weight(model, TENSOR_ATTN_OUTPUT, layer), n, c->dim, c->dim, 0);
    memset(pass->d_q, 0, (size_t)n * c->dim * sizeof(*pass->d_q));
    memset(pass->d_k, 0, (size_t)n * kv_dim(c) * sizeof(*pass->d_k));
    memset(pass->d_v, 0, (size_t)n * kv_dim(c) * sizeof(*pass->d_v));
    for (uint32_t row = 0; row < pass->rows; row++) {
        const struct attention attention = attention_of(c, pass, row);

        for (uint32_t head = 0; head < c->heads; head++) {
            struct head_at at = head_at(c, row, head);

            attention_head_back(&attention, pass->d_q + at.q, pass->d_k + at.kv, pass->d_v + at.kv,
                                pass->d_dim + at.q, l->probs + at.probs, l->q + at.q, l->k + at.kv,
                                l->v + at.kv, pass->attention_scratch);
        }
    }
    rope(pass->d_q, pass->rope_table, n, c->context, c->heads, head_dim(c), -1.0f);
    rope(pass->d_k, pass->rope_table, n, c->context, c->kv_heads, head_dim(c), -1.0f);
    linear_back(pass->d_dim, gradient(model, TENSOR_ATTN_Q, layer), pass->d_q, l->attn_in,
                weight(model, TENSOR_ATTN_Q, layer), n, c->dim, c->dim, 0);
    linear_back(pass->d_dim, gradient(model, TENSOR_ATTN_K, layer), pass->d_k, l->attn_in,
                weight(model, TENSOR_ATTN_K, layer), n, c->dim, kv_dim(c), 1);
    linear_back(pass->d_dim, gradient(model, TENSOR_ATTN_V, layer), pass->d_v, l->attn_in,
                weight(model, TENSOR_ATTN_V, layer), n, c->dim, kv_dim(c), 1);
    rms_norm_back(pass->d_stream, gradient(model, TENSOR_ATTN_NORM, layer), pass->d_dim, l->in,
                  weight(model, TENSOR_ATTN_NORM, layer), l->attn_scale, n, c->dim);
}

void model_backward(struct model *model, struct pass *pass, const uint32_t *inputs)
{
    const struct model_config *c = &model->config;
    float *d_embedding = gradient(model, TENSOR_TOKEN_EMBD, 0);
    uint32_t n = pass->tokens;

    memset(model->grads, 0, model->param_count * sizeof(*model->grads));
    linear_back(pass->d_dim, d_embedding, pass->logits, pass->out_norm, weight(model, TENSOR_TOKEN_EMBD, 0),
                n, c->dim, c->vocab, 0);
    memset(pass->d_stream, 0, (size_t)n * c->dim * sizeof(*pass->d_stream));
    rms_norm_back(pass->d_stream, gradient(model, TENSOR_OUTPUT_NORM, 0), pass->d_dim, pass->out,
                  weight(model, TENSOR_OUTPUT_NORM, 0), pass->out_scale, n, c->dim);
    for (uint32_t layer = c->layers; layer-- > 0;) {
        feed_forward_backward(model, pass, layer);
        attention_backward(model, pass, layer);
    }
    for (uint32_t i = 0; i < n; i++)
        add(d_embedding + (size_t)inputs[i] * c->dim, pass->d_stream + (size_t)i * c->dim, c->dim);
}
