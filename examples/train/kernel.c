/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <cblas.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Elementwise loops are compiled twice and give the same bits either way: no fused multiply-add, no reassociation. */
#if defined(__x86_64__) && defined(__gnu_linux__) && \
    !defined(__clang__) /* clang 14 does not export the clones */
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* e^x to about 2 units in the last place (Cephes), for x clamped to [-87, 88]. Branch free, so it vectorizes. */
static inline float exp_portable(float x)
{
    float clamped = x < -87.0f ? -87.0f : x;
    float k = 0.0f;
    float r = 0.0f;
    float p = 0.0f;
    int32_t bits = 0;

    clamped = clamped > 88.0f ? 88.0f : clamped;
    k = clamped * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer */
    k -= 12582912.0f;
    r = clamped - k * 0.693359375f + k * 2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    bits = ((int32_t)k + 127) * (1 << 23);
    memcpy(&r, &bits, sizeof(r));
    return p * r;
}

void linear(float *out, const float *in, const float *weight, uint32_t rows, uint32_t k, uint32_t n)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)n, (int)k, 1.0f, in, (int)k, weight,
                (int)k, 0.0f, out, (int)n);
}

void linear_back(float *d_in, float *d_weight, const float *d_out, const float *in, const float *weight,
                 uint32_t rows, uint32_t k, uint32_t n, int add)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)k, (int)n, 1.0f, d_out, (int)n,
                weight, (int)k, (float)add, d_in, (int)k);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)n, (int)k, (int)rows, 1.0f, d_out, (int)n, in,
                (int)k, 1.0f, d_weight, (int)k);
}

void rms_norm(float *out, float *scale, const float *in, const float *gain, uint32_t rows, uint32_t dim,
              float eps)
{
    for (uint32_t row = 0; row < rows; row++, in += dim, out += dim) {
        float sum = 0.0f;

        for (uint32_t i = 0; i < dim; i++)
            sum += in[i] * in[i];
        scale[row] = 1.0f / sqrtf(sum / (float)dim + eps);
        for (uint32_t i = 0; i < dim; i++)
            out[i] = in[i] * scale[row] * gain[i];
    }
}

void rms_norm_back(float *d_in, float *d_gain, const float *d_out, const float *in, const float *gain,
                   const float *scale, uint32_t rows, uint32_t dim)
{
    for (uint32_t row = 0; row < rows; row++, in += dim, d_in += dim, d_out += dim) {
        float s = scale[row];
        float dot = 0.0f;

        for (uint32_t i = 0; i < dim; i++)
            dot += d_out[i] * gain[i] * in[i];
        dot *= s * s * s / (float)dim;
        for (uint32_t i = 0; i < dim; i++) {
            d_gain[i] += d_out[i] * in[i] * s;
            d_in[i] += d_out[i] * gain[i] * s - in[i] * dot;
        }
    }
}

void rope_table(float *table, uint32_t context, uint32_t head_dim, float base)
{
    for (uint32_t t = 0; t < context; t++) {
        for (uint32_t i = 0; i < head_dim; i += 2) {
            double angle = (double)t * pow((double)base, -(double)i / (double)head_dim);

            table[t * head_dim + i] = (float)cos(angle);
            table[t * head_dim + i + 1] = (float)sin(angle);
        }
    }
}

void rope(float *x, const float *table, uint32_t rows, uint32_t context, uint32_t heads, uint32_t head_dim,
          float direction)
{
    for (uint32_t row = 0; row < rows; row++) {
        const float *angles = table + (row % context) * head_dim;

        for (uint32_t head = 0; head < heads; head++, x += head_dim) {
            for (uint32_t i = 0; i < head_dim; i += 2) {
                float c = angles[i];
                float s = angles[i + 1] * direction;
                float a = x[i];
                float b = x[i + 1];

                x[i] = a * c - b * s;
                x[i + 1] = a * s + b * c;
            }
        }
    }
}

WIDE void swiglu(float *out, const float *gate, const float *up, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + exp_portable(-gate[i])) * up[i];
}

WIDE void swiglu_back(float *d_gate, float *d_up, const float *d_out, const float *gate, const float *up,
                      uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + exp_portable(-gate[i]));
        float d = d_out[i];

        d_gate[i] = d * up[i] * s * (1.0f + gate[i] * (1.0f - s));
        d_up[i] = d * gate[i] * s;
    }
}

/* Eight running values, because one alone would wait for each addition to finish; the order is fixed all the same. */
#define LANES 8u

WIDE static float max_of(const float *x, uint32_t n)
{
    float lane[LANES];
    float best = x[0];
    uint32_t i = 0;

    for (uint32_t j = 0; j < LANES; j++)
        lane[j] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    for (uint32_t j = 0; j < LANES; j++)
        best = lane[j] > best ? lane[j] : best;
    return best;
}

WIDE static float sum_of(const float *x, uint32_t n)
{
    float lane[LANES] = {0};
    float sum = 0.0f;
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += x[i + j];
    for (; i < n; i++)
        sum += x[i];
    for (uint32_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

WIDE static float dot_of(const float *x, const float *y, uint32_t n)
{
    float lane[LANES] = {0};
    float sum = 0.0f;
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += x[i + j] * y[i + j];
    for (; i < n; i++)
        sum += x[i] * y[i];
    for (uint32_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

WIDE static void exp_minus(float *x, float max, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = exp_portable(x[i] - max);
}

WIDE static void multiply(float *x, float factor, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] *= factor;
}

void softmax(float *x, uint32_t n)
{
    exp_minus(x, max_of(x, n), n);
    multiply(x, 1.0f / sum_of(x, n), n);
}

WIDE static void softmax_back(float *d, const float *probs, float scale, uint32_t n)
{
    float dot = dot_of(probs, d, n);

    for (uint32_t i = 0; i < n; i++)
        d[i] = probs[i] * (d[i] - dot) * scale;
}

/* Queries first to first + queries, and the keys that at least one of them sees. */
struct attention_block {
    uint32_t first, queries;
    uint32_t key_first, keys;
};

static struct attention_block attention_block(const struct attention *a, uint32_t first)
{
    uint32_t left = a->context - first;
    uint32_t queries = left < ATTENTION_BLOCK ? left : ATTENTION_BLOCK;

    return (struct attention_block){.first = first,
                                    .queries = queries,
                                    .key_first = a->start[first],
                                    .keys = first + queries - a->start[first]};
}

/* The part of row i of a block that query i sees, as [from, to) relative to key_first. */
static void attention_seen(const struct attention *a, const struct attention_block *b, uint32_t i,
                           uint32_t *from, uint32_t *to)
{
    *from = a->start[b->first + i] - b->key_first;
    *to = b->first + i + 1 - b->key_first;
}

static void clear_outside(float *x, uint32_t from, uint32_t to, uint32_t n)
{
    memset(x, 0, from * sizeof(*x));
    memset(x + to, 0, (n - to) * sizeof(*x));
}

void attention_head(const struct attention *a, float *out, float *probs, const float *q, const float *k,
                    const float *v)
{
    int context = (int)a->context;
    int dim = (int)a->head_dim;
    int qs = (int)a->q_stride;
    int kvs = (int)a->kv_stride;
    float scale = 1.0f / sqrtf((float)a->head_dim);

    for (uint32_t first = 0; first < a->context; first += ATTENTION_BLOCK) {
        const struct attention_block b = attention_block(a, first);
        size_t at_q = (size_t)first * a->q_stride;
        size_t at_k = (size_t)b.key_first * a->kv_stride;
        float *p = probs + (size_t)first * a->context;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)b.queries, (int)b.keys, dim, scale,
                    q + at_q, qs, k + at_k, kvs, 0.0f, p, context);
        for (uint32_t i = 0; i < b.queries; i++) {
            float *row = p + (size_t)i * a->context;
            uint32_t from = 0;
            uint32_t to = 0;

            attention_seen(a, &b, i, &from, &to);
            softmax(row + from, to - from);
            clear_outside(row, from, to, b.keys);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)b.queries, dim, (int)b.keys, 1.0f, p,
                    context, v + at_k, kvs, 0.0f, out + at_q, qs);
    }
}

void attention_head_back(const struct attention *a, float *d_q, float *d_k, float *d_v, const float *d_out,
                         const float *probs, const float *q, const float *k, const float *v, float *scratch)
{
    int context = (int)a->context;
    int dim = (int)a->head_dim;
    int qs = (int)a->q_stride;
    int kvs = (int)a->kv_stride;
    float scale = 1.0f / sqrtf((float)a->head_dim);

    for (uint32_t first = 0; first < a->context; first += ATTENTION_BLOCK) {
        const struct attention_block b = attention_block(a, first);
        size_t at_q = (size_t)first * a->q_stride;
        size_t at_k = (size_t)b.key_first * a->kv_stride;
        const float *p = probs + (size_t)first * a->context;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)b.queries, (int)b.keys, dim, 1.0f,
                    d_out + at_q, qs, v + at_k, kvs, 0.0f, scratch, context);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)b.keys, dim, (int)b.queries, 1.0f, p,
                    context, d_out + at_q, qs, 1.0f, d_v + at_k, kvs);
        for (uint32_t i = 0; i < b.queries; i++) {
            float *d = scratch + (size_t)i * a->context;
            uint32_t from = 0;
            uint32_t to = 0;

            attention_seen(a, &b, i, &from, &to);
            softmax_back(d + from, p + (size_t)i * a->context + from, scale, to - from);
            clear_outside(d, from, to, b.keys);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)b.queries, dim, (int)b.keys, 1.0f,
                    scratch, context, k + at_k, kvs, 1.0f, d_q + at_q, qs);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)b.keys, dim, (int)b.queries, 1.0f, scratch,
                    context, q + at_q, qs, 1.0f, d_k + at_k, kvs);
    }
}

double cross_entropy(float *logits, const uint32_t *targets, uint32_t rows, uint32_t vocab, int gradient)
{
    double loss = 0.0;

    for (uint32_t row = 0; row < rows; row++) {
        float *x = logits + (uint64_t)row * vocab;

        softmax(x, vocab);
        loss -= log((double)x[targets[row]] + 1e-30);
        if (gradient != 0) {
            x[targets[row]] -= 1.0f;
            multiply(x, 1.0f / (float)rows, vocab);
        }
    }
    return loss / (double)rows;
}
