/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors of a model file, used where they lie in its mapping; rows as floats; the dot product that all else is made of.
 *
 * F32, F16, Q8_0 and Q4_0. A quantised weight is a half-precision scale (11 bits) times an integer (8 bits at most), so as a
 * float it is exact: nothing is rounded before the first product, whatever the type.
 *
 * tensor_dot adds in an order of its own that is the same everywhere. There are 16 sums, and element i is added to sum i mod 16, as
 * long as there are four more elements; up to three that are left go to sums 12 to 14. At the end sum j + 8 is added to j, then
 * j + 4, j + 2, j + 1. So a compiler may do 4, 8 or 16 at a time and cannot change a bit. Each element of a product is one such
 * dot, done by one thread: how many there are, and what else is computed beside it, changes nothing.
 */
#ifndef BUSBAR_REF_TENSOR_H
#define BUSBAR_REF_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/gguf_walk.h"

#define TENSOR_F32 0u /* ggml's number */
#define TENSOR_BLOCK 32u
#define TENSOR_SIDE_MAX (UINT64_C(1) << 24)

struct tensor {
    const uint8_t *data; /* in the file's mapping; NULL: there is none */
    uint32_t type;       /* ggml's number */
    uint32_t rows, columns;
    size_t row_bytes;
};

/* Of an entry of the file's table, whose data are `data_len` bytes. ERR_INVALID with words. */
int tensor_set(struct tensor *tensor, const struct gguf_entry *entry, const uint8_t *data, size_t data_len,
               size_t alignment, struct err *err);
/* The row as floats: where it lies if it is that already, else written to `room`. */
const float *tensor_row(const struct tensor *tensor, uint32_t row, float *room);
bool tensor_is_float(const struct tensor *tensor);
/* From now on its rows lie as floats in `room`, which has place for all of them. The same numbers. */
void tensor_unpack(struct tensor *tensor, float *room);
float tensor_dot(const float *a, const float *b, uint32_t n);
/* Sixteen sums as well; elements after the last whole sixteen go to sums 0 to 3, up to three that are left to 12 to 14. */
float tensor_sum(const float *a, uint32_t n);

#endif
