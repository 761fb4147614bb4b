/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/gguf_walk.h"

#include <string.h>

#include "base/checked.h"
#include "base/le.h"

#define PAIRS_MAX 65536
#define TENSORS_MAX 65536
#define ARRAY_DEPTH_MAX 4

static const uint8_t type_size[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static bool take(struct gguf_cursor *c, size_t n, const uint8_t **out)
{
    if (n > c->left)
        return false;
    *out = c->p;
    c->p += n;
    c->left -= n;
    return true;
}

static bool take_uint(struct gguf_cursor *c, size_t n, uint64_t *out)
{
    const uint8_t *p;
    if (!take(c, n, &p))
        return false;
    *out = le_get(p, n);
    return true;
}

bool gguf_next_text(struct gguf_cursor *c, const char **text, size_t *len)
{
    uint64_t n;
    const uint8_t *p;
    if (!take_uint(c, 8, &n) || n > c->left || !take(c, (size_t)n, &p))
        return false;
    *text = (const char *)p;
    *len = (size_t)n;
    return true;
}

static bool skip_value(struct gguf_cursor *c, uint64_t type, unsigned depth);

static bool skip_items(struct gguf_cursor *c, uint64_t type, uint64_t n, unsigned depth)
{
    if (type >= GGUF_TYPES)
        return false;
    if (type_size[type]) {
        size_t bytes;
        const uint8_t *p;
        return n <= c->left && size_mul((size_t)n, type_size[type], &bytes) && take(c, bytes, &p);
    }
    while (n-- > 0) {
        if (!skip_value(c, type, depth + 1))
            return false;
    }
    return true;
}

static bool skip_value(struct gguf_cursor *c, uint64_t type, unsigned depth)
{
    const uint8_t *p;
    const char *text;
    size_t len;
    uint64_t item, items;
    if (type >= GGUF_TYPES)
        return false;
    if (type == GGUF_TYPE_STRING)
        return gguf_next_text(c, &text, &len);
    if (type == GGUF_TYPE_ARRAY)
        return depth < ARRAY_DEPTH_MAX && take_uint(c, 4, &item) && take_uint(c, 8, &items) &&
               skip_items(c, item, items, depth);
    return take(c, type_size[type], &p);
}

static bool take_array(struct gguf_cursor *c, struct gguf_value *v)
{
    uint64_t item;
    if (!take_uint(c, 4, &item) || !take_uint(c, 8, &v->items))
        return false;
    v->item = (uint32_t)item;
    v->array = *c;
    if (!skip_items(c, item, v->items, 0))
        return false;
    v->array.left -= c->left;
    return true;
}

static bool take_value(struct gguf_cursor *c, struct gguf_value *v)
{
    uint64_t type;
    if (!take_uint(c, 4, &type) || type >= GGUF_TYPES)
        return false;
    *v = (struct gguf_value){.type = (uint32_t)type};
    if (type == GGUF_TYPE_STRING)
        return gguf_next_text(c, &v->text, &v->len);
    if (type == GGUF_TYPE_ARRAY)
        return take_array(c, v);
    return take_uint(c, type_size[type], &v->number);
}

static bool take_entry(struct gguf_cursor *c, struct gguf_entry *e)
{
    uint64_t dimensions, type;
    *e = (struct gguf_entry){.size = {1, 1, 1, 1}};
    if (!gguf_next_text(c, &e->name, &e->name_len) || !take_uint(c, 4, &dimensions) || dimensions == 0 ||
        dimensions > GGUF_DIMENSIONS)
        return false;
    e->dimensions = (uint32_t)dimensions;
    for (uint32_t i = 0; i < e->dimensions; i++) {
        if (!take_uint(c, 8, &e->size[i]))
            return false;
    }
    if (!take_uint(c, 4, &type) || !take_uint(c, 8, &e->offset))
        return false;
    e->type = (uint32_t)type;
    return true;
}

static int walk_pairs(struct gguf_cursor *c, uint64_t pairs, const struct gguf_visitor *visitor,
                      struct err *err)
{
    while (pairs-- > 0) {
        const char *key;
        size_t len;
        struct gguf_value value;
        if (!gguf_next_text(c, &key, &len) || !take_value(c, &value))
            return err_set(err, ERR_INVALID, "the GGUF metadata is damaged or cut");
        int rc = visitor->pair(visitor->ctx, key, len, &value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int gguf_walk(const uint8_t *data, size_t len, const struct gguf_visitor *visitor, size_t *end,
              struct err *err)
{
    struct gguf_cursor c = {.p = data, .left = len};
    const uint8_t *magic;
    uint64_t version, tensors, pairs;
    *end = 0;
    if (!take(&c, 4, &magic) || memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, ERR_INVALID, "this is not a GGUF file");
    if (!take_uint(&c, 4, &version) || (version != 2 && version != 3))
        return err_set(err, ERR_INVALID, "this version of GGUF is not supported");
    if (!take_uint(&c, 8, &tensors) || !take_uint(&c, 8, &pairs) || pairs > PAIRS_MAX || tensors == 0)
        return err_set(err, ERR_INVALID, "the GGUF header is damaged");
    int rc = walk_pairs(&c, pairs, visitor, err);
    if (rc == 0 && visitor->tensor && tensors > TENSORS_MAX)
        rc = err_set(err, ERR_INVALID, "the GGUF file has more than %d tensors", TENSORS_MAX);
    for (uint64_t i = 0; rc == 0 && visitor->tensor && i < tensors; i++) {
        struct gguf_entry entry;
        rc = take_entry(&c, &entry)
                 ? visitor->tensor(visitor->ctx, &entry, err)
                 : err_set(err, ERR_INVALID, "the GGUF table of tensors is damaged or cut");
    }
    *end = len - c.left;
    return rc;
}

bool gguf_count(const struct gguf_value *v, uint64_t *out)
{
    static const uint8_t is_signed[GGUF_TYPES] = {
        [GGUF_TYPE_I8] = 1, [GGUF_TYPE_I16] = 1, [GGUF_TYPE_I32] = 1, [GGUF_TYPE_I64] = 1};
    bool whole = v->type < GGUF_TYPES && type_size[v->type] && v->type != GGUF_TYPE_F32 &&
                 v->type != GGUF_TYPE_F64 && v->type != GGUF_TYPE_BOOL;
    if (!whole || (is_signed[v->type] && v->number >> (8 * type_size[v->type] - 1) & 1))
        return false;
    *out = v->number;
    return true;
}

bool gguf_float(const struct gguf_value *v, float *out)
{
    uint32_t bits = (uint32_t)v->number;
    if (v->type != GGUF_TYPE_F32)
        return false;
    memcpy(out, &bits, sizeof bits);
    return true;
}
