/* SPDX-License-Identifier: Apache-2.0 */
#include "gguf.h"

#include "atomic_file.h"
#include "corpus.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define GGUF_VERSION 3u
#define GGUF_ALIGN 32u

/* Messages are wrapped in exactly the marks that the training text has. */
static const char chat_template[] =
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}" CORPUS_MARK_SYSTEM "{{ message['content'] | trim }}"
    "{% elif message['role'] == 'user' %}" CORPUS_MARK_USER "{{ message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}" CORPUS_MARK_ASSISTANT
    "{{ message['content'] | trim }}" CORPUS_MARK_END "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}" CORPUS_MARK_ASSISTANT "{% endif %}";

/* The values are those of GGUF's metadata types. */
enum value_type {
    VALUE_U32 = 4,
    VALUE_I32 = 5,
    VALUE_F32 = 6,
    VALUE_BOOL = 7,
    VALUE_STRING = 8,
    VALUE_ARRAY = 9,
};

static const char *const role_names[] = {
    [TENSOR_ATTN_NORM] = "attn_norm",   [TENSOR_ATTN_Q] = "attn_q",           [TENSOR_ATTN_K] = "attn_k",
    [TENSOR_ATTN_V] = "attn_v",         [TENSOR_ATTN_OUTPUT] = "attn_output", [TENSOR_FFN_NORM] = "ffn_norm",
    [TENSOR_FFN_GATE] = "ffn_gate",     [TENSOR_FFN_UP] = "ffn_up",           [TENSOR_FFN_DOWN] = "ffn_down",
    [TENSOR_TOKEN_EMBD] = "token_embd", [TENSOR_OUTPUT_NORM] = "output_norm",
};

struct writer {
    struct atomic_file file;
    uint64_t keys;
    bool counting; /* the first walk only counts the keys, because their number comes before them */
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    if (!w->counting)
        atomic_file_write(&w->file, bytes, len);
}

static void put_u32(struct writer *w, uint32_t value)
{
    put(w, &value, sizeof(value));
}

static void put_u64(struct writer *w, uint64_t value)
{
    put(w, &value, sizeof(value));
}

static void put_f32(struct writer *w, float value)
{
    put(w, &value, sizeof(value));
}

static void put_string(struct writer *w, const char *s, size_t len)
{
    put_u64(w, len);
    put(w, s, len);
}

static void put_key(struct writer *w, const char *key, enum value_type type)
{
    w->keys++;
    put_string(w, key, strlen(key));
    put_u32(w, type);
}

static void key_u32(struct writer *w, const char *key, uint32_t value)
{
    put_key(w, key, VALUE_U32);
    put_u32(w, value);
}

static void key_f32(struct writer *w, const char *key, float value)
{
    put_key(w, key, VALUE_F32);
    put_f32(w, value);
}

static void key_bool(struct writer *w, const char *key, bool value)
{
    unsigned char byte = value ? 1 : 0;

    put_key(w, key, VALUE_BOOL);
    put(w, &byte, 1);
}

static void key_string(struct writer *w, const char *key, const char *value)
{
    put_key(w, key, VALUE_STRING);
    put_string(w, value, strlen(value));
}

static void key_array(struct writer *w, const char *key, enum value_type type, uint64_t count)
{
    put_key(w, key, VALUE_ARRAY);
    put_u32(w, type);
    put_u64(w, count);
}

static void pad(struct writer *w)
{
    static const char zeros[GGUF_ALIGN] = {0};

    put(w, zeros, (GGUF_ALIGN - w->file.written % GGUF_ALIGN) % GGUF_ALIGN);
}

static enum gguf_type tensor_type(const struct tensor *tensor, enum gguf_type type)
{
    return tensor->rows > 1 ? type : GGUF_F32;
}

static uint64_t tensor_bytes(const struct tensor *tensor, enum gguf_type type)
{
    uint64_t n = (uint64_t)tensor->rows * tensor->cols;

    switch (tensor_type(tensor, type)) {
    case GGUF_F16:
        return n * 2;
    case GGUF_Q8_0:
        return n / GGUF_BLOCK * (GGUF_BLOCK + 2);
    case GGUF_F32:
        break;
    }
    return n * 4;
}

static void write_general(struct writer *w, const struct gguf_about *about, enum gguf_type type)
{
    key_string(w, "general.architecture", "llama");
    key_string(w, "general.type", "model");
    key_string(w, "general.name", about->name);
    key_string(w, "general.author", "busbar");
    key_string(w, "general.organization", "busbar");
    key_string(w, "general.description", about->description);
    key_string(w, "general.license", "Apache-2.0");
    /* llama.cpp numbers file types apart from tensor types: mostly Q8_0 is 7 */
    key_u32(w, "general.file_type", type == GGUF_Q8_0 ? 7 : (uint32_t)type);
    if (type == GGUF_Q8_0)
        key_u32(w, "general.quantization_version", 2);
}

static void write_shape(struct writer *w, const struct model_config *c)
{
    key_u32(w, "llama.vocab_size", c->vocab);
    key_u32(w, "llama.context_length", c->context);
    key_u32(w, "llama.embedding_length", c->dim);
    key_u32(w, "llama.block_count", c->layers);
    key_u32(w, "llama.feed_forward_length", c->ffn);
    key_u32(w, "llama.attention.head_count", c->heads);
    key_u32(w, "llama.attention.head_count_kv", c->kv_heads);
    key_f32(w, "llama.attention.layer_norm_rms_epsilon", MODEL_NORM_EPS);
    key_u32(w, "llama.rope.dimension_count", c->dim / c->heads);
    key_f32(w, "llama.rope.freq_base", MODEL_ROPE_BASE);
}

static void write_tokenizer(struct writer *w, const struct bpe *bpe)
{
    key_string(w, "tokenizer.ggml.model", "llama");
    key_array(w, "tokenizer.ggml.tokens", VALUE_STRING, bpe->count);
    for (uint32_t i = 0; i < bpe->count; i++)
        put_string(w, bpe->tokens[i].text, bpe->tokens[i].len);
    key_array(w, "tokenizer.ggml.scores", VALUE_F32, bpe->count);
    for (uint32_t i = 0; i < bpe->count; i++)
        put_f32(w, bpe_score(bpe, i));
    key_array(w, "tokenizer.ggml.token_type", VALUE_I32, bpe->count);
    for (uint32_t i = 0; i < bpe->count; i++)
        put_u32(w, bpe->tokens[i].kind);
    key_u32(w, "tokenizer.ggml.unknown_token_id", BPE_UNKNOWN);
    key_u32(w, "tokenizer.ggml.bos_token_id", BPE_BEGIN);
    key_u32(w, "tokenizer.ggml.eos_token_id", BPE_END);
    key_bool(w, "tokenizer.ggml.add_bos_token", true);
    key_bool(w, "tokenizer.ggml.add_eos_token", false);
    key_bool(w, "tokenizer.ggml.add_space_prefix", false);
    key_string(w, "tokenizer.chat_template", chat_template);
}

static void write_tensor_table(struct writer *w, const struct model *model, enum gguf_type type)
{
    uint64_t offset = 0;
    char name[64];

    for (uint32_t i = 0; i < model->tensor_count; i++) {
        const struct tensor *t = &model->tensors[i];

        if (t->role < TENSOR_LAYER_ROLES)
            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", t->layer, role_names[t->role]);
        else
            (void)snprintf(name, sizeof(name), "%s.weight", role_names[t->role]);
        put_string(w, name, strlen(name));
        put_u32(w, t->rows > 1 ? 2 : 1);
        put_u64(w, t->cols); /* the fastest dimension comes first */
        if (t->rows > 1)
            put_u64(w, t->rows);
        put_u32(w, tensor_type(t, type));
        put_u64(w, offset);
        offset += (tensor_bytes(t, type) + GGUF_ALIGN - 1) / GGUF_ALIGN * GGUF_ALIGN;
    }
}

uint16_t gguf_half(float value)
{
    uint32_t bits = 0;
    uint32_t sign = 0;
    uint32_t magnitude = 0;

    memcpy(&bits, &value, sizeof(bits));
    sign = bits >> 16 & 0x8000u;
    magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) /* 65536 and above, infinity, NaN */
        return (uint16_t)(sign | (magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u));
    if (magnitude < 0x38800000u) { /* below 2^-14: the spacing is fixed at 2^-24 */
        float scaled = fabsf(value) * 0x1p24f;

        return (uint16_t)(sign | (uint32_t)lrintf(scaled));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
}

static void write_q8_block(struct writer *w, const float *x)
{
    float max = 0.0f;
    float scale = 0.0f;
    uint16_t half = 0;
    int8_t q[GGUF_BLOCK];

    for (uint32_t i = 0; i < GGUF_BLOCK; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    scale = max / 127.0f;
    for (uint32_t i = 0; i < GGUF_BLOCK; i++)
        q[i] = (int8_t)(scale > 0.0f ? lrintf(x[i] / scale) : 0);
    half = gguf_half(scale);
    put(w, &half, sizeof(half));
    put(w, q, sizeof(q));
}

static void write_tensor(struct writer *w, const float *x, const struct tensor *tensor, enum gguf_type type)
{
    size_t n = (size_t)tensor->rows * tensor->cols;

    switch (tensor_type(tensor, type)) {
    case GGUF_F32:
        put(w, x, n * sizeof(*x));
        break;
    case GGUF_F16:
        for (size_t i = 0; i < n; i++) {
            uint16_t half = gguf_half(x[i]);

            put(w, &half, sizeof(half));
        }
        break;
    case GGUF_Q8_0:
        for (size_t i = 0; i < n; i += GGUF_BLOCK)
            write_q8_block(w, x + i);
        break;
    }
    pad(w);
}

static void write_metadata(struct writer *w, const struct model *model, const struct bpe *bpe,
                           const struct gguf_about *about, enum gguf_type type)
{
    write_general(w, about, type);
    write_shape(w, &model->config);
    write_tokenizer(w, bpe);
}

int gguf_write(const char *path, const struct model *model, const struct bpe *bpe,
               const struct gguf_about *about, enum gguf_type type)
{
    struct writer w = {.counting = true};
    uint64_t keys = 0;
    int rc = 0;

    if (type == GGUF_Q8_0 && (model->config.dim % GGUF_BLOCK != 0 || model->config.ffn % GGUF_BLOCK != 0))
        return -EINVAL;
    write_metadata(&w, model, bpe, about, type);
    keys = w.keys;
    w.counting = false;
    rc = atomic_file_open(&w.file, path);
    if (rc != 0)
        return rc;
    put(&w, "GGUF", 4);
    put_u32(&w, GGUF_VERSION);
    put_u64(&w, model->tensor_count);
    put_u64(&w, keys);
    write_metadata(&w, model, bpe, about, type);
    write_tensor_table(&w, model, type);
    pad(&w);
    for (uint32_t i = 0; i < model->tensor_count; i++)
        write_tensor(&w, model->params + model->tensors[i].offset, &model->tensors[i], type);
    return atomic_file_commit(&w.file);
}
