/* SPDX-License-Identifier: Apache-2.0 */
#include "net/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

/* Below this many members comparing each pair is faster than a table. */
#define PAIRWISE_MAX 16
/* Documents of a request or a chunk come and go within a call: each thread lends them one block, the heap the rest. */
#define SCRATCH_BYTES ((size_t)96 << 10)

static _Thread_local struct {
    _Alignas(16) char bytes[SCRATCH_BYTES];
    size_t used;
    uint32_t live; /* pieces that were lent and not given back */
} scratch;

static bool lent(const void *p)
{
    return (uintptr_t)p - (uintptr_t)scratch.bytes < SCRATCH_BYTES;
}

static void *scratch_malloc(void *ctx, size_t size)
{
    (void)ctx;
    if (size > SCRATCH_BYTES - scratch.used)
        return malloc(size);
    void *p = scratch.bytes + scratch.used;
    size_t rounded = (size + 15) & ~(size_t)15;
    scratch.used += rounded < SCRATCH_BYTES - scratch.used ? rounded : SCRATCH_BYTES - scratch.used;
    scratch.live++;
    return p;
}

static void scratch_free(void *ctx, void *p)
{
    (void)ctx;
    if (!lent(p))
        free(p);
    else if (--scratch.live == 0)
        scratch.used = 0;
}

static void *scratch_realloc(void *ctx, void *p, size_t old, size_t size)
{
    if (!lent(p))
        return realloc(p, size);
    void *bigger = scratch_malloc(ctx, size);
    if (bigger) {
        memcpy(bigger, p, old < size ? old : size);
        scratch_free(ctx, p);
    }
    return bigger;
}

static const yyjson_alc scratch_alc = {
    .malloc = scratch_malloc, .realloc = scratch_realloc, .free = scratch_free};

static bool same_key(const yyjson_val *a, const yyjson_val *b)
{
    size_t len = yyjson_get_len((yyjson_val *)a);
    return len == yyjson_get_len((yyjson_val *)b) &&
           memcmp(yyjson_get_str((yyjson_val *)a), yyjson_get_str((yyjson_val *)b), len) == 0;
}

static bool keys_pairwise(yyjson_val *object)
{
    yyjson_val *keys[PAIRWISE_MAX];
    size_t n = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        for (size_t i = 0; i < n; i++) {
            if (same_key(keys[i], key))
                return false;
        }
        keys[n++] = key;
    }
    return true;
}

static bool key_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    yyjson_val *const *keys = table;
    return yyjson_get_len(keys[i]) == len && memcmp(yyjson_get_str(keys[i]), key, len) == 0;
}

static int keys_hashed(yyjson_val *object, uint32_t n)
{
    uint32_t nslots = map_slots(n);
    struct map_slot *slots = calloc(nslots, sizeof *slots);
    yyjson_val **keys = calloc(n, sizeof *keys);
    int rc = slots && keys ? 0 : ERR_NO_MEMORY;
    if (rc == 0) {
        struct map map;
        /* The address of the table differs from run to run, which is all that this seed is for. */
        map_init(&map, slots, nslots, (uintptr_t)slots, key_equal, keys);
        yyjson_obj_iter it = yyjson_obj_iter_with(object);
        yyjson_val *key;
        for (uint32_t i = 0; (key = yyjson_obj_iter_next(&it)) != NULL && rc == 0; i++) {
            const char *text = yyjson_get_str(key);
            size_t len = yyjson_get_len(key);
            keys[i] = key;
            if (map_get(&map, text, len) != MAP_NONE)
                rc = ERR_INVALID;
            else
                map_put(&map, text, len, i);
        }
    }
    free(slots);
    free(keys);
    return rc;
}

static int check(yyjson_val *value, unsigned depth, struct err *err)
{
    if (!yyjson_is_ctn(value))
        return 0;
    if (depth >= JSON_DEPTH_MAX)
        return err_set(err, ERR_INVALID, "the JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    int rc = 0;
    if (yyjson_is_arr(value)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(value);
        yyjson_val *item;
        while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
            rc = check(item, depth + 1, err);
        return rc;
    }
    size_t n = yyjson_obj_size(value);
    if (n > JSON_MEMBERS_MAX)
        return err_set(err, ERR_INVALID, "a JSON object has more than %d members", JSON_MEMBERS_MAX);
    if (n > PAIRWISE_MAX)
        rc = keys_hashed(value, (uint32_t)n);
    else if (!keys_pairwise(value))
        rc = ERR_INVALID;
    if (rc != 0)
        return err_set(err, rc, "a JSON object names a member twice");
    yyjson_obj_iter it = yyjson_obj_iter_with(value);
    yyjson_val *key;
    while (rc == 0 && (key = yyjson_obj_iter_next(&it)) != NULL)
        rc = check(yyjson_obj_iter_get_val(key), depth + 1, err);
    return rc;
}

yyjson_doc *json_parse(const char *data, size_t len, struct err *err)
{
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)data, len, YYJSON_READ_NOFLAG, &scratch_alc, &why);
    if (!doc) {
        err_set(err, ERR_INVALID, "not valid JSON: %s at byte %zu", len ? why.msg : "the text is empty",
                why.pos);
        return NULL;
    }
    if (check(yyjson_doc_get_root(doc), 0, err) != 0) {
        yyjson_doc_free(doc);
        return NULL;
    }
    return doc;
}

yyjson_doc *json_parse_object(const char *data, size_t len, struct err *err)
{
    yyjson_doc *doc = json_parse(data, len, err);
    if (doc && !yyjson_is_obj(yyjson_doc_get_root(doc))) {
        yyjson_doc_free(doc);
        doc = NULL;
        err_set(err, ERR_INVALID, "expected a JSON object");
    }
    return doc;
}

yyjson_doc *json_read(const char *data, size_t len)
{
    return yyjson_read_opts((char *)data, len, YYJSON_READ_NOFLAG, &scratch_alc, NULL);
}

void json_add(struct buf *out, const yyjson_val *value)
{
    size_t len;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, &scratch_alc, &len, NULL);
    if (!text) {
        out->failed = true;
        return;
    }
    buf_add(out, text, len);
    scratch_free(NULL, text);
}
