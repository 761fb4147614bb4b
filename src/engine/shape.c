/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/shape.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/gguf.h"
#include "engine/gguf_walk.h"

#define SIDE_MAX (1u << 24)
#define ALIGNMENT 32 /* of the data, where the file says nothing else */

enum part { PART_LAYERS, PART_HEAD, PART_EMBED, PART_REST, PARTS };

struct reading {
    struct shape *shape;
    uint64_t bytes[PARTS];
    uint64_t last; /* where the tensor before began */
    enum part part;
    uint64_t key_length, vocab, heads, kv_heads, embedding, layers;
};

static bool is_key(const char *key, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len > n && key[len - n - 1] == '.' && memcmp(key + len - n, end, n) == 0;
}

static int on_pair(void *ctx, const char *key, size_t len, const struct gguf_value *value, struct err *err)
{
    struct reading *r = ctx;
    (void)err;
    const struct {
        const char *end;
        uint64_t *to;
    } counts[] = {{"feed_forward_length", &r->shape->ffn},   {"attention.key_length", &r->key_length},
                  {"attention.head_count_kv", &r->kv_heads}, {"attention.head_count", &r->heads},
                  {"embedding_length", &r->embedding},       {"block_count", &r->layers}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (is_key(key, len, counts[i].end) && !gguf_count(value, counts[i].to))
            *counts[i].to = 0;
    }
    if (is_key(key, len, "tokens") && value->type == GGUF_TYPE_ARRAY)
        r->shape->vocab = value->items;
    return 0;
}

static bool begins(const struct gguf_entry *e, const char *with)
{
    size_t n = strlen(with);
    return e->name_len >= n && memcmp(e->name, with, n) == 0;
}

static int on_tensor(void *ctx, const struct gguf_entry *e, struct err *err)
{
    struct reading *r = ctx;
    if (e->offset < r->last)
        return err_set(err, ERR_INVALID, "its tensors are not in their order");
    r->bytes[r->part] += e->offset - r->last;
    r->last = e->offset;
    r->part = begins(e, "blk.")            ? PART_LAYERS
              : begins(e, "output.weight") ? PART_HEAD
              : begins(e, "token_embd.")   ? PART_EMBED
                                           : PART_REST;
    return 0;
}

static int walk(struct reading *r, const char *path, const struct stat *st, int fd, struct err *err)
{
    const struct gguf_visitor visitor = {.pair = on_pair, .tensor = on_tensor, .ctx = r};
    size_t len = (uint64_t)st->st_size < GGUF_HEADER_MAX ? (size_t)st->st_size : GGUF_HEADER_MAX, end = 0;
    void *data = len > 0 ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (data == MAP_FAILED)
        return err_set(err, ERR_INVALID, "%s cannot be read: %s", path, strerror(errno));
    int rc = gguf_walk(data, len, &visitor, &end, err);
    (void)munmap(data, len);
    uint64_t from = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rc == 0 && (from > (uint64_t)st->st_size || r->last > (uint64_t)st->st_size - from))
        rc = err_set(err, ERR_INVALID, "%s is cut", path);
    if (rc == 0)
        r->bytes[r->part] += (uint64_t)st->st_size - from - r->last;
    return rc;
}

static int settle(struct reading *r, const char *path, struct err *err)
{
    uint64_t kv = r->kv_heads ? r->kv_heads : r->heads;
    if (r->layers == 0 || r->layers > CLUSTER_LAYERS_MAX || r->embedding == 0 || r->embedding > 1u << 20 ||
        r->heads == 0 || kv == 0 || kv > 1u << 16 || r->bytes[PART_LAYERS] < r->layers ||
        r->key_length > SIDE_MAX || r->shape->ffn > SIDE_MAX || r->shape->vocab > SIDE_MAX)
        return err_set(err, ERR_INVALID, "%s does not say of which layers it is made", path);
    uint64_t dim = r->key_length ? r->key_length : r->embedding / r->heads;
    uint64_t head = r->bytes[PART_HEAD] ? r->bytes[PART_HEAD] : r->bytes[PART_EMBED];
    uint64_t layer = r->bytes[PART_LAYERS] / r->layers + 1;
    r->shape->model = (struct cluster_model){.layers = (uint32_t)r->layers,
                                             .hidden = (uint32_t)r->embedding,
                                             .kv_heads = (uint32_t)kv,
                                             .activation_bytes = 4,
                                             .layer_bytes = layer,
                                             .layer_flop = 4 * layer, /* as of 4 bits: the most */
                                             .kv_bytes = 4 * kv * dim,
                                             .head_bytes = head + r->bytes[PART_REST],
                                             .embed_bytes = r->bytes[PART_EMBED],
                                             .head_flop = 4 * head};
    return 0;
}

int shape_of_file(struct shape *out, const char *path, struct err *err)
{
    struct reading r = {.shape = out, .part = PART_REST};
    struct stat st;
    *out = (struct shape){{0}, 0, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int rc = err_set(err, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    int rc = walk(&r, path, &st, fd, err);
    (void)close(fd);
    return rc ? rc : settle(&r, path, err);
}
