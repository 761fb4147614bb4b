/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "core/kinds.h"
#include "engine/gguf_walk.h"

static const char *quantisation(uint64_t file_type)
{
    /* llama.h, enum llama_ftype. */
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {{0, "F32"},     {1, "F16"},      {2, "Q4_0"},    {3, "Q4_1"},     {7, "Q8_0"},
                 {8, "Q5_0"},    {9, "Q5_1"},     {10, "Q2_K"},   {11, "Q3_K_S"},  {12, "Q3_K_M"},
                 {13, "Q3_K_L"}, {14, "Q4_K_S"},  {15, "Q4_K_M"}, {16, "Q5_K_S"},  {17, "Q5_K_M"},
                 {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {23, "IQ3_XXS"}, {25, "IQ4_NL"},
                 {30, "IQ4_XS"}, {32, "BF16"},    {38, "MXFP4"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == file_type)
            return names[i].name;
    }
    return "?";
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

static void keep_text(char *dst, size_t cap, const char *text, size_t len)
{
    if (!text_set(dst, cap, text, len < cap ? len : cap - 1))
        dst[0] = 0;
}

static void take_pair_text(struct gguf_info *info, const char *key, size_t key_len, const char *text,
                           size_t len)
{
    static const struct {
        const char *key;
        size_t offset, cap;
    } texts[] = {
        {"general.architecture", offsetof(struct gguf_info, architecture), 32},
        {"general.name", offsetof(struct gguf_info, name), 64},
        {"general.license", offsetof(struct gguf_info, licence), 64},
        {"general.organization", offsetof(struct gguf_info, organisation), 64},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (text_eq(key, key_len, texts[i].key, strlen(texts[i].key)))
            keep_text((char *)info + texts[i].offset, texts[i].cap, text, len);
    }
}

static void take_pair_number(struct gguf_info *info, const char *key, size_t len, uint64_t v)
{
    static const struct {
        const char *end;
        size_t offset;
    } numbers[] = {
        {".context_length", offsetof(struct gguf_info, context)},
        {".block_count", offsetof(struct gguf_info, layers)},
        {".embedding_length", offsetof(struct gguf_info, embedding)},
        {".attention.head_count", offsetof(struct gguf_info, heads)},
        {".attention.head_count_kv", offsetof(struct gguf_info, kv_heads)},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (ends_with(key, len, numbers[i].end))
            memcpy((char *)info + numbers[i].offset, &v, sizeof v);
    }
    if (text_eq(key, len, "general.file_type", 17))
        keep_text(info->quantisation, sizeof info->quantisation, quantisation(v), strlen(quantisation(v)));
    if (ends_with(key, len, ".pooling_type"))
        info->kind = v == 4 ? MODEL_RERANK : v > 0 ? MODEL_EMBEDDING : info->kind;
}

static int on_pair(void *ctx, const char *key, size_t key_len, const struct gguf_value *value,
                   struct err *err)
{
    bool number = value->type != GGUF_TYPE_ARRAY && value->type != GGUF_TYPE_F32 &&
                  value->type != GGUF_TYPE_F64 && value->type != GGUF_TYPE_BOOL;
    (void)err;
    if (value->type == GGUF_TYPE_STRING)
        take_pair_text(ctx, key, key_len, value->text, value->len);
    else if (number)
        take_pair_number(ctx, key, key_len, value->number);
    return 0;
}

int gguf_parse(struct gguf_info *info, const uint8_t *data, size_t len, struct err *err)
{
    const struct gguf_visitor visitor = {.pair = on_pair, .ctx = info};
    size_t end;
    *info = (struct gguf_info){.quantisation = "?", .kind = MODEL_CHAT};
    int rc = gguf_walk(data, len, &visitor, &end, err);
    if (rc != 0)
        return rc;
    if (info->architecture[0] == 0)
        return err_set(err, ERR_INVALID, "the GGUF file does not name its architecture");
    if (strstr(info->architecture, "bert") && info->kind == MODEL_CHAT)
        info->kind = MODEL_EMBEDDING;
    return 0;
}

int gguf_read(struct gguf_info *info, const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    }
    size_t len = (size_t)st.st_size < GGUF_HEADER_MAX ? (size_t)st.st_size : GGUF_HEADER_MAX;
    void *map = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (map == MAP_FAILED)
        return err_set(err, ERR_INVALID, "%s is empty or cannot be read", path);
    int rc = gguf_parse(info, map, len, err);
    munmap(map, len);
    if (rc != 0)
        err_wrap(err, "%s", path);
    return rc;
}

uint64_t gguf_memory(const struct gguf_info *g, uint64_t file_size, uint64_t tokens)
{
    uint64_t heads = g->heads ? g->heads : 1;
    uint64_t kv_heads = g->kv_heads ? g->kv_heads : heads;
    uint64_t kv_width = g->embedding / heads * kv_heads;
    uint64_t kv;
    if (__builtin_mul_overflow(g->layers * 4, kv_width, &kv) || __builtin_mul_overflow(kv, tokens, &kv))
        return UINT64_MAX;
    return file_size + kv;
}
