/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/tensor.h"

#include <string.h>

#include "base/checked.h"
#include "ref/number.h"

static void row_half(const uint8_t *restrict p, float *restrict out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, p + 2 * (size_t)i, sizeof half);
        out[i] = number_half(half);
    }
}

static float block_scale(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return number_half(half);
}

/* A block: the scale, then 32 signed bytes. */
static void row_q8(const uint8_t *restrict p, float *restrict out, uint32_t n)
{
    for (const float *end = out + n; out < end; out += TENSOR_BLOCK, p += 2 + TENSOR_BLOCK) {
        float scale = block_scale(p);
        for (int j = 0; j < (int)TENSOR_BLOCK; j++)
            out[j] = (float)(int8_t)p[2 + j] * scale;
    }
}

/* A block: the scale, then 16 bytes: the low halves are the first 16 elements, the high halves the others; 8 stands for 0. */
static void row_q4(const uint8_t *restrict p, float *restrict out, uint32_t n)
{
    const int half = TENSOR_BLOCK / 2;
    for (const float *end = out + n; out < end; out += TENSOR_BLOCK, p += 2 + half) {
        float scale = block_scale(p);
        for (int j = 0; j < half; j++)
            out[j] = (float)((p[2 + j] & 15) - 8) * scale;
        for (int j = 0; j < half; j++)
            out[half + j] = (float)((p[2 + j] >> 4) - 8) * scale;
    }
}

/* By ggml's numbers. */
static const struct tensor_kind {
    uint32_t type, block, bytes;
    void (*row)(const uint8_t *restrict p, float *restrict out, uint32_t n);
} kinds[] = {{TENSOR_F32, 1, 4, NULL},
             {1, 1, 2, row_half},
             {2, TENSOR_BLOCK, 2 + TENSOR_BLOCK / 2, row_q4},
             {8, TENSOR_BLOCK, 2 + TENSOR_BLOCK, row_q8}};

static const struct tensor_kind *kind_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].type == type)
            return &kinds[i];
    }
    return NULL;
}

int tensor_set(struct tensor *t, const struct gguf_entry *e, const uint8_t *data, size_t data_len,
               size_t alignment, struct err *err)
{
    const struct tensor_kind *kind = kind_of(e->type);
    int len = e->name_len < 64 ? (int)e->name_len : 64;
    size_t bytes, end;
    if (!kind)
        return err_set(err, ERR_INVALID,
                       "%.*s: a tensor of type %u; this engine knows F32, F16, Q8_0 and Q4_0", len, e->name,
                       e->type);
    if (e->dimensions > 2 || e->size[0] == 0 || e->size[1] == 0 || e->size[0] > TENSOR_SIDE_MAX ||
        e->size[1] > TENSOR_SIDE_MAX || e->size[0] % kind->block != 0)
        return err_set(err, ERR_INVALID, "%.*s: the tensor's size is not possible", len, e->name);
    t->type = e->type;
    t->columns = (uint32_t)e->size[0];
    t->rows = (uint32_t)e->size[1];
    t->row_bytes = (size_t)(t->columns / kind->block) * kind->bytes;
    if (e->offset % alignment != 0 || !size_mul(t->row_bytes, t->rows, &bytes) ||
        !size_add((size_t)e->offset, bytes, &end) || end > data_len)
        return err_set(err, ERR_INVALID, "%.*s: the tensor is not within the file", len, e->name);
    t->data = data + e->offset;
    return 0;
}

bool tensor_is_float(const struct tensor *t)
{
    return !kind_of(t->type)->row;
}

void tensor_unpack(struct tensor *t, float *room)
{
    for (uint32_t i = 0; i < t->rows; i++)
        (void)tensor_row(t, i, room + (size_t)i * t->columns);
    t->data = (const uint8_t *)room;
    t->type = TENSOR_F32;
    t->row_bytes = t->columns * sizeof(float);
}

const float *tensor_row(const struct tensor *t, uint32_t row, float *room)
{
    const uint8_t *p = t->data + t->row_bytes * row;
    const struct tensor_kind *kind = kind_of(t->type);
    if (!kind->row) /* the file's alignment, which is checked, is a float's */
        return (const float *)(const void *)p;
    kind->row(p, room, t->columns);
    return room;
}

/* Four sums beside one another: as GNU C has them, since compilers do not see them in plain loops over sixteen. */
typedef float four __attribute__((vector_size(16)));

static four load(const float *p)
{
    four v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Fewer than four, and zeros after them. */
static four load_few(const float *p, uint32_t n)
{
    four v = {0.0f};
    for (uint32_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}

static float fold(four a, four b, four c, four d)
{
    four s = (a + c) + (b + d);
    return (s[0] + s[2]) + (s[1] + s[3]);
}

float tensor_dot(const float *x, const float *y, uint32_t n)
{
    four a = {0.0f}, b = a, c = a, d = a;
    uint32_t i = 0;
    for (; n - i >= 16; i += 16) {
        a += load(x + i) * load(y + i);
        b += load(x + i + 4) * load(y + i + 4);
        c += load(x + i + 8) * load(y + i + 8);
        d += load(x + i + 12) * load(y + i + 12);
    }
    if (n - i >= 4) {
        a += load(x + i) * load(y + i);
        i += 4;
    }
    if (n - i >= 4) {
        b += load(x + i) * load(y + i);
        i += 4;
    }
    if (n - i >= 4) {
        c += load(x + i) * load(y + i);
        i += 4;
    }
    d += load_few(x + i, n - i) * load_few(y + i, n - i);
    return fold(a, b, c, d);
}

float tensor_sum(const float *x, uint32_t n)
{
    four a = {0.0f}, b = a, c = a, d = a;
    uint32_t i = 0;
    for (; n - i >= 16; i += 16) {
        a += load(x + i);
        b += load(x + i + 4);
        c += load(x + i + 8);
        d += load(x + i + 12);
    }
    for (; n - i >= 4; i += 4)
        a += load(x + i);
    d += load_few(x + i, n - i);
    return fold(a, b, c, d);
}
