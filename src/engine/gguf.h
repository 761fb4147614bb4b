/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GGUF metadata: what a model file says of itself, without loading it.
 *
 * Reads the header's key-value pairs (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3) and
 * trusts nothing: every length is checked against the bytes at hand, arrays are skipped element by element within a
 * bound, and at most GGUF_HEADER_MAX bytes are read.
 */
#ifndef BUSBAR_ENGINE_GGUF_H
#define BUSBAR_ENGINE_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GGUF_HEADER_MAX ((size_t)64 << 20)

struct gguf_info {
    char architecture[32];
    char name[64];
    char licence[64];
    char organisation[64];
    char quantisation[16]; /* of general.file_type, e.g. "Q4_K_M"; "?" if unknown */
    uint64_t context;      /* tokens the model was made for; 0 if it does not say */
    uint64_t layers, embedding, heads, kv_heads;
    uint32_t kind; /* enum model_kind, from architecture and pooling */
};

/* Bytes from the start of the file. ERR_INVALID with words if it is not GGUF or is damaged or cut. */
int gguf_parse(struct gguf_info *info, const uint8_t *data, size_t len, struct err *err);
int gguf_read(struct gguf_info *info, const char *path, struct err *err);
/* Memory that serving takes: weights, and keys and values in 16 bits for `tokens` of context. */
uint64_t gguf_memory(const struct gguf_info *info, uint64_t file_size, uint64_t tokens);

#endif
