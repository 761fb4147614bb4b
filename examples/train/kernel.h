/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of a transformer, one function per operation, each with its derivative beside it.
 *
 * Arrays are row-major floats; `rows` counts tokens. A backward function gets the gradient of its output and adds to,
 * or where said sets, the gradients of its inputs; weight gradients are always added to. Nothing here allocates.
 *
 * Matrix products go to BLAS. Everything else is plain C without reassociation, and the exponential is our own: so
 * results depend on the BLAS kernel alone, not on the compiler's or libm's choice of instructions.
 */
#ifndef TRAIN_KERNEL_H
#define TRAIN_KERNEL_H

#include <stdint.h>

/* out[rows, n] = in[rows, k] * weight[n, k]^T */
void linear(float *out, const float *in, const float *weight, uint32_t rows, uint32_t k, uint32_t n);

/* d_in = d_out * weight (plus what d_in held, when `add` is 1); d_weight += d_out^T * in. */
void linear_back(float *d_in, float *d_weight, const float *d_out, const float *in, const float *weight,
                 uint32_t rows, uint32_t k, uint32_t n, int add);

/* out = in / rms(in) * gain, row by row; `scale[rows]` keeps 1 / rms for the way back. */
void rms_norm(float *out, float *scale, const float *in, const float *gain, uint32_t rows, uint32_t dim,
              float eps);

/* Adds to d_in and d_gain. */
void rms_norm_back(float *d_in, float *d_gain, const float *d_out, const float *in, const float *gain,
                   const float *scale, uint32_t rows, uint32_t dim);

/* Rotates neighbouring pairs of every head by the token's position, which is its row modulo `context`. `direction` is
 * 1, or -1 for the derivative. `table` is from rope_table: cos, sin pairs. */
void rope(float *x, const float *table, uint32_t rows, uint32_t context, uint32_t heads, uint32_t head_dim,
          float direction);

/* Fills table[context * head_dim]. */
void rope_table(float *table, uint32_t context, uint32_t head_dim, float base);

/* out = silu(gate) * up, for n elements. */
void swiglu(float *out, const float *gate, const float *up, uint64_t n);

/* Sets d_gate and d_up. */
void swiglu_back(float *d_gate, float *d_up, const float *d_out, const float *gate, const float *up,
                 uint64_t n);

/* Turns x[n] into probabilities in place. */
void softmax(float *x, uint32_t n);

/* Causal attention of one head over one row. Token t sees tokens start[t] to t, so that the documents of a row do not
 * see each other; start must not decrease. `q` and `out` have a row stride of q_stride floats, `k` and `v` of
 * kv_stride. `probs[context * context]` keeps the probabilities for the way back. */
struct attention {
    uint32_t context, head_dim;
    uint32_t q_stride, kv_stride;
    const uint32_t *start;
};

void attention_head(const struct attention *a, float *out, float *probs, const float *q, const float *k,
                    const float *v);

/* Adds to d_q, d_k and d_v. `scratch` has room for ATTENTION_BLOCK * context floats. */
void attention_head_back(const struct attention *a, float *d_q, float *d_k, float *d_v, const float *d_out,
                         const float *probs, const float *q, const float *k, const float *v, float *scratch);

/* Queries are taken in blocks of this many, so that keys which no query of the block sees are never multiplied. */
#define ATTENTION_BLOCK 64u

/* Mean cross-entropy of logits[rows, vocab] against targets, in nats. When `gradient`, the logits become the gradient
 * of that mean. */
double cross_entropy(float *logits, const uint32_t *targets, uint32_t rows, uint32_t vocab, int gradient);

#endif
