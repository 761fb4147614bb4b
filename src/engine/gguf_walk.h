/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over the head of a GGUF file: its pairs of key and value, then its table of tensors.
 *
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.) The file is hostile input: every length is checked
 * against the bytes at hand before it is used, arrays are walked element by element within a bound, and nothing is copied:
 * texts and arrays point into the bytes given, which outlive the walk's results. Who is called says by a code that is not 0
 * that the walk is over.
 */
#ifndef BUSBAR_ENGINE_GGUF_WALK_H
#define BUSBAR_ENGINE_GGUF_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GGUF_DIMENSIONS 4

enum gguf_type {
    GGUF_TYPE_U8,
    GGUF_TYPE_I8,
    GGUF_TYPE_U16,
    GGUF_TYPE_I16,
    GGUF_TYPE_U32,
    GGUF_TYPE_I32,
    GGUF_TYPE_F32,
    GGUF_TYPE_BOOL,
    GGUF_TYPE_STRING,
    GGUF_TYPE_ARRAY,
    GGUF_TYPE_U64,
    GGUF_TYPE_I64,
    GGUF_TYPE_F64,
    GGUF_TYPES
};

struct gguf_cursor {
    const uint8_t *p;
    size_t left;
};

struct gguf_value {
    uint32_t type;   /* enum gguf_type */
    uint64_t number; /* of integers and bool; of floats their bits */
    const char *text;
    size_t len;
    uint32_t item; /* of an array: its elements' type, number and bytes */
    uint64_t items;
    struct gguf_cursor array;
};

struct gguf_entry {
    const char *name;
    size_t name_len;
    uint32_t dimensions;
    uint64_t size[GGUF_DIMENSIONS]; /* the fastest first; 1 beyond `dimensions` */
    uint32_t type;                  /* ggml's number of the tensor's type */
    uint64_t offset;                /* from the beginning of the data */
};

struct gguf_visitor {
    int (*pair)(void *ctx, const char *key, size_t len, const struct gguf_value *value, struct err *err);
    int (*tensor)(void *ctx, const struct gguf_entry *entry,
                  struct err *err); /* NULL: the table is not read */
    void *ctx;
};

/* 0; ERR_INVALID with words if the bytes are no GGUF, damaged or cut; or what the visitor said. *end: where the walk came to. */
int gguf_walk(const uint8_t *data, size_t len, const struct gguf_visitor *visitor, size_t *end,
              struct err *err);
/* The next text of an array of texts; false: there is none whole. */
bool gguf_next_text(struct gguf_cursor *array, const char **text, size_t *len);
/* An integer that is not negative. */
bool gguf_count(const struct gguf_value *value, uint64_t *out);
bool gguf_float(const struct gguf_value *value, float *out);

#endif
