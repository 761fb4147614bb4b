/* SPDX-License-Identifier: Apache-2.0 */
#include "ref_support.h"

#include <math.h>
#include <stdio.h>

void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}

void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}

void put_text(struct buf *b, const char *text)
{
    put_u64(b, strlen(text));
    buf_add_text(b, text);
}

void put_key(struct buf *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put_u32(b, type);
}

static void key_u32(struct buf *b, const char *key, uint32_t v)
{
    put_key(b, key, GGUF_TYPE_U32);
    put_u32(b, v);
}

static void key_f32(struct buf *b, const char *key, float v)
{
    put_key(b, key, GGUF_TYPE_F32);
    buf_add(b, &v, sizeof v);
}

/* ---- weights ---- */

/* A half whose value is exactly what the test takes: few bits, and no subnormal. */
static uint16_t half_scale(struct rng *rng, double *value)
{
    uint32_t fraction = (uint32_t)rng_below(rng, 1024),
             exponent = 8 + (uint32_t)rng_below(rng, 3); /* 2^-7 to 2^-5 */
    *value = ldexp(1.0 + fraction / 1024.0, (int)exponent - 15);
    return (uint16_t)(exponent << 10 | fraction);
}

static void fill_f32(struct small_tensor *t, struct rng *rng, double around)
{
    for (uint32_t i = 0; i < t->rows * t->columns; i++) {
        float v = (float)(around + ((double)rng_below(rng, 20001) - 10000.0) / 40000.0);
        t->values[i] = (double)v;
        buf_add(&t->bytes, &v, sizeof v);
    }
}

static void fill_f16(struct small_tensor *t, struct rng *rng)
{
    for (uint32_t i = 0; i < t->rows * t->columns; i++) {
        uint16_t half = half_scale(rng, &t->values[i]);
        t->values[i] *= 4;
        half = (uint16_t)(half + (2 << 10));
        if (rng_below(rng, 2)) {
            half |= 0x8000;
            t->values[i] = -t->values[i];
        }
        buf_add(&t->bytes, &half, sizeof half);
    }
}

static void fill_blocks(struct small_tensor *t, struct rng *rng)
{
    for (uint32_t at = 0; at < t->rows * t->columns; at += 32) {
        double scale;
        uint16_t half = half_scale(rng, &scale);
        uint8_t nibbles[16] = {0};
        buf_add(&t->bytes, &half, sizeof half);
        for (uint32_t j = 0; j < 32; j++) {
            int q = t->type == 8 ? (int)rng_below(rng, 255) - 127 : (int)rng_below(rng, 16) - 8;
            int8_t byte = (int8_t)q;
            t->values[at + j] = q * scale;
            if (t->type == 8)
                buf_add(&t->bytes, &byte, 1);
            else
                nibbles[j % 16] |= (uint8_t)((q + 8) << (j < 16 ? 0 : 4));
        }
        if (t->type == 2)
            buf_add(&t->bytes, nibbles, sizeof nibbles);
    }
}

static void add_tensor(struct small *s, uint32_t *n, const char *name, uint32_t rows, uint32_t columns,
                       uint32_t type, struct rng *rng)
{
    struct small_tensor *t = &s->tensor[(*n)++];
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows;
    t->columns = columns;
    t->type = rows == 1 ? 0 : type;
    t->values = calloc((size_t)rows * columns, sizeof *t->values);
    buf_init(&t->bytes, 1 << 20);
    if (t->type == 0)
        fill_f32(t, rng, rows == 1 ? 1.0 : 0.0);
    else if (t->type == 1)
        fill_f16(t, rng);
    else
        fill_blocks(t, rng);
}

/* ---- the file ---- */

static void add_tokenizer(struct buf *b)
{
    char text[16];
    put_key(b, "tokenizer.ggml.model", GGUF_TYPE_STRING);
    put_text(b, "llama");
    put_key(b, "tokenizer.ggml.tokens", GGUF_TYPE_ARRAY);
    put_u32(b, GGUF_TYPE_STRING);
    put_u64(b, SMALL_VOCAB);
    for (uint32_t i = 0; i < SMALL_VOCAB; i++) {
        (void)snprintf(text, sizeof text,
                       i == 0   ? "<unk>"
                       : i == 1 ? "<s>"
                       : i == 2 ? "</s>"
                                : "%c",
                       (int)('a' + i - 3));
        put_text(b, text);
    }
    put_key(b, "tokenizer.ggml.scores", GGUF_TYPE_ARRAY);
    put_u32(b, GGUF_TYPE_F32);
    put_u64(b, SMALL_VOCAB);
    for (uint32_t i = 0; i < SMALL_VOCAB; i++) {
        float score = -(float)i;
        buf_add(b, &score, sizeof score);
    }
    put_key(b, "tokenizer.ggml.token_type", GGUF_TYPE_ARRAY);
    put_u32(b, GGUF_TYPE_I32);
    put_u64(b, SMALL_VOCAB);
    for (uint32_t i = 0; i < SMALL_VOCAB; i++)
        put_u32(b, i == 0 ? 2 : i < 3 ? 3 : 1);
}

static void write_file(struct small *s)
{
    struct buf *b = &s->file;
    uint64_t offset = 0;
    buf_init(b, 16 << 20);
    buf_add_text(b, "GGUF");
    put_u32(b, 3);
    put_u64(b, SMALL_TENSORS);
    put_u64(b, 13);
    put_key(b, "general.architecture", GGUF_TYPE_STRING);
    put_text(b, "llama");
    key_u32(b, "llama.vocab_size", SMALL_VOCAB);
    key_u32(b, "llama.context_length", SMALL_CONTEXT);
    key_u32(b, "llama.embedding_length", SMALL_WIDTH);
    key_u32(b, "llama.block_count", SMALL_LAYERS);
    key_u32(b, "llama.feed_forward_length", SMALL_FFN);
    key_u32(b, "llama.attention.head_count", SMALL_HEADS);
    key_u32(b, "llama.attention.head_count_kv", SMALL_KV_HEADS);
    key_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_tokenizer(b);
    s->pairs_end = b->len;
    for (uint32_t i = 0; i < SMALL_TENSORS; i++) {
        const struct small_tensor *t = &s->tensor[i];
        put_text(b, t->name);
        put_u32(b, 2);
        put_u64(b, t->columns);
        put_u64(b, t->rows);
        put_u32(b, t->type);
        put_u64(b, offset);
        offset += (t->bytes.len + 31) / 32 * 32;
    }
    while (b->len % 32)
        buf_add_char(b, 0);
    s->data_begin = b->len;
    for (uint32_t i = 0; i < SMALL_TENSORS; i++) {
        buf_add(b, s->tensor[i].bytes.data, s->tensor[i].bytes.len);
        while (b->len % 32)
            buf_add_char(b, 0);
    }
    assert_false(b->failed);
}

void small_make(struct small *s, uint32_t type, uint64_t seed)
{
    static const struct {
        const char *name;
        uint32_t rows, columns;
    } layer[] = {{"attn_norm", 1, SMALL_WIDTH},
                 {"attn_q", SMALL_WIDTH, SMALL_WIDTH},
                 {"attn_k", SMALL_WIDTH / SMALL_HEADS * SMALL_KV_HEADS, SMALL_WIDTH},
                 {"attn_v", SMALL_WIDTH / SMALL_HEADS * SMALL_KV_HEADS, SMALL_WIDTH},
                 {"attn_output", SMALL_WIDTH, SMALL_WIDTH},
                 {"ffn_norm", 1, SMALL_WIDTH},
                 {"ffn_gate", SMALL_FFN, SMALL_WIDTH},
                 {"ffn_up", SMALL_FFN, SMALL_WIDTH},
                 {"ffn_down", SMALL_WIDTH, SMALL_FFN}};
    struct rng rng;
    uint32_t n = 0;
    char name[64];
    *s = (struct small){.pairs_end = 0};
    rng_init(&rng, seed);
    add_tensor(s, &n, "token_embd.weight", SMALL_VOCAB, SMALL_WIDTH, type, &rng);
    add_tensor(s, &n, "output_norm.weight", 1, SMALL_WIDTH, type, &rng);
    add_tensor(s, &n, "output.weight", SMALL_VOCAB, SMALL_WIDTH, type, &rng);
    for (uint32_t l = 0; l < SMALL_LAYERS; l++) {
        for (size_t i = 0; i < sizeof layer / sizeof layer[0]; i++) {
            (void)snprintf(name, sizeof name, "blk.%u.%s.weight", l, layer[i].name);
            add_tensor(s, &n, name, layer[i].rows, layer[i].columns, type, &rng);
        }
    }
    write_file(s);
}

void small_free(struct small *s)
{
    for (uint32_t i = 0; i < SMALL_TENSORS; i++) {
        free(s->tensor[i].values);
        buf_fini(&s->tensor[i].bytes);
    }
    buf_fini(&s->file);
}

const struct small_tensor *small_find(const struct small *s, const char *name)
{
    for (uint32_t i = 0; i < SMALL_TENSORS; i++) {
        if (strcmp(s->tensor[i].name, name) == 0)
            return &s->tensor[i];
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

/* ---- the formulas ---- */

static const double *weights(const struct small *s, uint32_t layer, const char *name)
{
    char full[64];
    (void)snprintf(full, sizeof full, "blk.%u.%s.weight", layer, name);
    return small_find(s, full)->values;
}

static void times(const double *w, const double *x, double *out, uint32_t rows, uint32_t columns)
{
    for (uint32_t i = 0; i < rows; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j < columns; j++)
            out[i] += w[i * columns + j] * x[j];
    }
}

static void normed(const double *w, const double *x, double *out)
{
    double sum = 0;
    for (uint32_t i = 0; i < SMALL_WIDTH; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < SMALL_WIDTH; i++)
        out[i] = x[i] / sqrt(sum / SMALL_WIDTH + (double)1e-5f) * w[i];
}

#define HEAD (SMALL_WIDTH / SMALL_HEADS)
#define KV (HEAD * SMALL_KV_HEADS)

static void turned(double *x, uint32_t heads, uint32_t position)
{
    for (uint32_t h = 0; h < heads; h++) {
        for (uint32_t i = 0; i < HEAD; i += 2) {
            double angle = position * pow(10000.0, -(double)i / HEAD), *p = x + h * HEAD + i, a = p[0],
                   b = p[1];
            p[0] = a * cos(angle) - b * sin(angle);
            p[1] = a * sin(angle) + b * cos(angle);
        }
    }
}

static void attention(const double *q, double keys[][KV], double values[][KV], uint32_t n, double *out)
{
    for (uint32_t h = 0; h < SMALL_HEADS; h++) {
        double score[SMALL_CONTEXT], sum = 0;
        uint32_t at = h / (SMALL_HEADS / SMALL_KV_HEADS) * HEAD;
        for (uint32_t t = 0; t < n; t++) {
            score[t] = 0;
            for (uint32_t i = 0; i < HEAD; i++)
                score[t] += q[h * HEAD + i] * keys[t][at + i];
            score[t] = exp(score[t] / sqrt(HEAD));
            sum += score[t];
        }
        for (uint32_t i = 0; i < HEAD; i++) {
            out[h * HEAD + i] = 0;
            for (uint32_t t = 0; t < n; t++)
                out[h * HEAD + i] += score[t] / sum * values[t][at + i];
        }
    }
}

static void layer_of(const struct small *s, uint32_t l, double *x, double keys[][KV], double values[][KV],
                     uint32_t position)
{
    double y[SMALL_WIDTH], q[SMALL_WIDTH], mixed[SMALL_WIDTH], gate[SMALL_FFN], up[SMALL_FFN];
    normed(weights(s, l, "attn_norm"), x, y);
    times(weights(s, l, "attn_q"), y, q, SMALL_WIDTH, SMALL_WIDTH);
    times(weights(s, l, "attn_k"), y, keys[position], KV, SMALL_WIDTH);
    times(weights(s, l, "attn_v"), y, values[position], KV, SMALL_WIDTH);
    turned(q, SMALL_HEADS, position);
    turned(keys[position], SMALL_KV_HEADS, position);
    attention(q, keys, values, position + 1, mixed);
    times(weights(s, l, "attn_output"), mixed, y, SMALL_WIDTH, SMALL_WIDTH);
    for (uint32_t i = 0; i < SMALL_WIDTH; i++)
        x[i] += y[i];
    normed(weights(s, l, "ffn_norm"), x, y);
    times(weights(s, l, "ffn_gate"), y, gate, SMALL_FFN, SMALL_WIDTH);
    times(weights(s, l, "ffn_up"), y, up, SMALL_FFN, SMALL_WIDTH);
    for (uint32_t i = 0; i < SMALL_FFN; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    times(weights(s, l, "ffn_down"), gate, y, SMALL_WIDTH, SMALL_FFN);
    for (uint32_t i = 0; i < SMALL_WIDTH; i++)
        x[i] += y[i];
}

void small_compute(const struct small *s, const uint32_t *tokens, uint32_t n, double logits[SMALL_VOCAB])
{
    static double keys[SMALL_LAYERS][SMALL_CONTEXT][KV], values[SMALL_LAYERS][SMALL_CONTEXT][KV];
    double x[SMALL_WIDTH] = {0}, y[SMALL_WIDTH];
    for (uint32_t p = 0; p < n; p++) {
        memcpy(x, small_find(s, "token_embd.weight")->values + tokens[p] * SMALL_WIDTH, sizeof x);
        for (uint32_t l = 0; l < SMALL_LAYERS; l++)
            layer_of(s, l, x, keys[l], values[l], p);
    }
    normed(small_find(s, "output_norm.weight")->values, x, y);
    times(small_find(s, "output.weight")->values, y, logits, SMALL_VOCAB, SMALL_WIDTH);
}
