/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small models for tests of the reference engine: a GGUF file in memory, with random weights of a chosen type, and the same weights
 * as doubles, so that a test can compute what the engine should have.
 */
#ifndef BUSBAR_TESTS_REF_SUPPORT_H
#define BUSBAR_TESTS_REF_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "ref/model.h"

#define SMALL_VOCAB 48u
#define SMALL_WIDTH 32u
#define SMALL_FFN 64u
#define SMALL_HEADS 4u
#define SMALL_KV_HEADS 2u
#define SMALL_LAYERS 2u
#define SMALL_CONTEXT 64u
#define SMALL_TENSORS (3 + 9 * SMALL_LAYERS)

struct small_tensor {
    char name[64];
    uint32_t rows, columns, type;
    double *values;
    struct buf bytes;
};

struct small {
    struct small_tensor tensor[SMALL_TENSORS];
    struct buf file;
    size_t pairs_end;  /* where the table of tensors begins */
    size_t data_begin; /* and the data */
};

/* `type`: of matrices; ggml's number. Norms are F32, as in real files. */
void small_make(struct small *s, uint32_t type, uint64_t seed);
void small_free(struct small *s);
const struct small_tensor *small_find(const struct small *s, const char *name);
/* Logits after the tokens, in double precision, by the formulas and nothing else. */
void small_compute(const struct small *s, const uint32_t *tokens, uint32_t n, double logits[SMALL_VOCAB]);

void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
void put_text(struct buf *b, const char *text);
void put_key(struct buf *b, const char *key, uint32_t type);

#endif
