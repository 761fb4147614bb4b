/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model as a GGUF file, version 3: what llama.cpp and its kin load.
 *
 * The file holds metadata (who made it, the shape of the model, the tokenizer and its chat template), the table of
 * tensors, and the tensors, aligned to 32 bytes. Vectors stay in 32-bit floats; matrices are written as `type` says:
 * Q8_0 stores 32 numbers as 32 signed bytes and one 16-bit scale, a quarter of the size for a loss that is hard to
 * measure. Q8_0 needs dim and ffn to be multiples of 32. All numbers in the file are little-endian, as is the host.
 */
#ifndef TRAIN_GGUF_H
#define TRAIN_GGUF_H

#include "bpe.h"
#include "model.h"

#define GGUF_BLOCK 32u

/* The values are those of ggml's tensor types. */
enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q8_0 = 8,
};

struct gguf_about {
    const char *name;
    const char *description;
};

/* Returns 0, -EINVAL when `type` does not fit the model, or another negative errno value with no file changed. */
int gguf_write(const char *path, const struct model *model, const struct bpe *bpe,
               const struct gguf_about *about, enum gguf_type type);

/* The nearest half-precision number, ties to even. */
uint16_t gguf_half(float value);

#endif
