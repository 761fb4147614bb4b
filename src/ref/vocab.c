/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/osrandom.h"
#include "base/str.h"

/* Names of tokens that end an answer where the file's own numbers do not say so. */
static const char *const end_names[] = {"<|eot_id|>",    "<|im_end|>",    "<|end|>",
                                        "<|endoftext|>", "<end_of_turn>", "<|end_of_text|>"};

void vocab_init(struct vocab *v)
{
    *v = (struct vocab){.unknown = VOCAB_NONE,
                        .begin = 1,
                        .end = 2,
                        .turn_end = VOCAB_NONE,
                        .add_begin = true,
                        .add_space = true};
}

void vocab_fini(struct vocab *v)
{
    free(v->tokens);
    free(v->special);
    free(v->slots);
    *v = (struct vocab){0};
}

/* ---- reading ---- */

static int reserve(struct vocab *v, uint64_t count, struct err *err)
{
    if (count < 2 || count > VOCAB_MAX || (v->tokens && v->count != count))
        return err_set(err, ERR_INVALID, "the tokenizer's lists do not fit together");
    if (v->tokens)
        return 0;
    v->tokens = calloc((size_t)count, sizeof *v->tokens);
    v->count = (uint32_t)count;
    for (uint32_t i = 0; v->tokens && i < v->count; i++)
        v->tokens[i].type = VOCAB_NORMAL;
    return v->tokens ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static int take_texts(struct vocab *v, const struct gguf_value *value, struct err *err)
{
    struct gguf_cursor c = value->array;
    int rc = reserve(v, value->items, err);
    for (uint32_t i = 0; rc == 0 && i < v->count; i++) {
        size_t len;
        if (value->item != GGUF_TYPE_STRING || !gguf_next_text(&c, &v->tokens[i].text, &len))
            return err_set(err, ERR_INVALID, "the tokenizer's texts are damaged");
        if (len > VOCAB_TOKEN_MAX)
            return err_set(err, ERR_UNSUPPORTED, "token %u has %zu bytes; this engine takes %u", i, len,
                           VOCAB_TOKEN_MAX);
        v->tokens[i].len = (uint32_t)len;
    }
    return rc;
}

static int take_scores(struct vocab *v, const struct gguf_value *value, struct err *err)
{
    int rc = reserve(v, value->items, err);
    if (rc == 0 && value->item != GGUF_TYPE_F32)
        return err_set(err, ERR_INVALID, "the tokenizer's scores are not F32");
    for (uint32_t i = 0; rc == 0 && i < v->count; i++) {
        float score;
        memcpy(&score, value->array.p + sizeof score * i, sizeof score);
        v->tokens[i].score = score == score ? score : 0.0f; /* an order needs numbers */
    }
    return rc;
}

static int take_types(struct vocab *v, const struct gguf_value *value, struct err *err)
{
    int rc = reserve(v, value->items, err);
    if (rc == 0 && value->item != GGUF_TYPE_I32 && value->item != GGUF_TYPE_U32)
        return err_set(err, ERR_INVALID, "the tokenizer's types are not I32");
    for (uint32_t i = 0; rc == 0 && i < v->count; i++) {
        uint32_t type;
        memcpy(&type, value->array.p + sizeof type * i, sizeof type);
        if (type < VOCAB_NORMAL || type > VOCAB_BYTE)
            return err_set(err, ERR_INVALID, "token %u is of type %u, which is not known", i, type);
        v->tokens[i].type = (uint8_t)type;
    }
    return rc;
}

static int take_list(struct vocab *v, const char *name, size_t len, const struct gguf_value *value,
                     struct err *err)
{
    static const struct {
        const char *name;
        int (*take)(struct vocab *v, const struct gguf_value *value, struct err *err);
    } lists[] = {{"tokens", take_texts}, {"scores", take_scores}, {"token_type", take_types}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (text_eq(name, len, lists[i].name, strlen(lists[i].name)))
            return lists[i].take(v, value, err);
    }
    return 0;
}

static int take_number(struct vocab *v, const char *name, size_t len, const struct gguf_value *value,
                       struct err *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } ids[] = {{"bos_token_id", offsetof(struct vocab, begin)},
               {"eos_token_id", offsetof(struct vocab, end)},
               {"eot_token_id", offsetof(struct vocab, turn_end)},
               {"unknown_token_id", offsetof(struct vocab, unknown)}},
      flags[] = {{"add_bos_token", offsetof(struct vocab, add_begin)},
                 {"add_eos_token", offsetof(struct vocab, add_end)},
                 {"add_space_prefix", offsetof(struct vocab, add_space)}};
    uint64_t id;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (text_eq(name, len, flags[i].name, strlen(flags[i].name)) && value->type == GGUF_TYPE_BOOL)
            *(bool *)((char *)v + flags[i].offset) = value->number != 0;
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (!text_eq(name, len, ids[i].name, strlen(ids[i].name)))
            continue;
        if (!gguf_count(value, &id) || id >= VOCAB_MAX)
            return err_set(err, ERR_INVALID, "%s is not possible", ids[i].name);
        *(uint32_t *)(void *)((char *)v + ids[i].offset) = (uint32_t)id;
    }
    return 0;
}

int vocab_take(struct vocab *v, const char *key, size_t len, const struct gguf_value *value, struct err *err)
{
    static const char ours[] = "tokenizer.ggml.";
    const size_t n = sizeof ours - 1;
    if (len <= n || memcmp(key, ours, n) != 0)
        return 0;
    if (value->type == GGUF_TYPE_ARRAY)
        return take_list(v, key + n, len - n, value, err);
    if (value->type != GGUF_TYPE_STRING)
        return take_number(v, key + n, len - n, value, err);
    if (!text_eq(key + n, len - n, "model", 5))
        return 0;
    if (!text_eq(value->text, value->len, "llama", 5))
        return err_set(err, ERR_UNSUPPORTED, "a tokenizer of model \"%.*s\"; this engine knows \"llama\"",
                       (int)(value->len < 32 ? value->len : 32), value->text);
    v->has_model = true;
    return 0;
}

static bool equal(const void *table, uint32_t index, const void *key, size_t len)
{
    const struct vocab_token *t = (const struct vocab_token *)table + index;
    return text_eq(t->text, t->len, key, len);
}

uint32_t vocab_find(const struct vocab *v, const char *text, size_t len)
{
    uint32_t id = map_get(&v->by_text, text, len);
    return id == MAP_NONE ? VOCAB_NONE : id;
}

static bool index_texts(struct vocab *v)
{
    uint64_t seed; /* a file cannot know which of its texts would collide */
    uint32_t n = map_slots(v->count);
    os_random(&seed, sizeof seed);
    v->slots = calloc(n, sizeof *v->slots);
    if (!v->slots)
        return false;
    map_init(&v->by_text, v->slots, n, seed, equal, v->tokens);
    for (uint32_t i = v->count; i-- > 0;) { /* of equal texts the last counts */
        if (vocab_find(v, v->tokens[i].text, v->tokens[i].len) == VOCAB_NONE)
            map_put(&v->by_text, v->tokens[i].text, v->tokens[i].len, i);
    }
    return true;
}

/* The longest first, of equal ones the one with the lower number. */
static void insert_special(struct vocab *v, uint32_t id)
{
    uint32_t i = v->nspecial++;
    while (i > 0 && v->tokens[v->special[i - 1]].len < v->tokens[id].len) {
        v->special[i] = v->special[i - 1];
        i--;
    }
    v->special[i] = id;
}

static int find_special(struct vocab *v, struct err *err)
{
    v->special = calloc(VOCAB_SPECIAL_MAX, sizeof *v->special);
    if (!v->special)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < v->count; i++) {
        const struct vocab_token *t = &v->tokens[i];
        bool special = t->type == VOCAB_CONTROL || t->type == VOCAB_OWN || t->type == VOCAB_UNKNOWN;
        if (!special || t->len == 0)
            continue;
        if (v->nspecial == VOCAB_SPECIAL_MAX)
            return err_set(err, ERR_LIMIT, "the tokenizer has more than %u special tokens",
                           VOCAB_SPECIAL_MAX);
        insert_special(v, i);
    }
    return 0;
}

/* "<0x41>" is the byte 65. */
static void find_bytes(struct vocab *v)
{
    for (unsigned i = 0; i < 256; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char text[] = {'<', '0', 'x', digits[i >> 4], digits[i & 15], '>'};
        const char byte = (char)i;
        v->bytes[i] = vocab_find(v, text, sizeof text);
        if (v->bytes[i] == VOCAB_NONE)
            v->bytes[i] = vocab_find(v, &byte, 1);
    }
}

static void find_ends(struct vocab *v)
{
    const uint32_t ids[] = {v->end, v->turn_end};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i] != VOCAB_NONE)
            v->tokens[ids[i]].ends = true;
    }
    for (size_t i = 0; i < sizeof end_names / sizeof end_names[0]; i++) {
        uint32_t id = vocab_find(v, end_names[i], strlen(end_names[i]));
        if (id != VOCAB_NONE && v->tokens[id].type == VOCAB_CONTROL)
            v->tokens[id].ends = true;
    }
}

static void find_longest(struct vocab *v)
{
    v->longest = 1;
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->tokens[i].len > v->longest)
            v->longest = v->tokens[i].len;
    }
}

int vocab_finish(struct vocab *v, struct err *err)
{
    const uint32_t ids[] = {v->unknown, v->begin, v->end, v->turn_end};
    if (!v->has_model || !v->tokens || !v->tokens[0].text)
        return err_set(err, ERR_INVALID, "the file has no tokenizer");
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i] != VOCAB_NONE && ids[i] >= v->count)
            return err_set(err, ERR_INVALID, "the tokenizer names a token %u of %u", ids[i], v->count);
    }
    if (!index_texts(v))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    find_bytes(v);
    find_ends(v);
    find_longest(v);
    return find_special(v, err);
}

/* ---- lists ---- */

void tokens_list_init(struct tokens_list *l, uint32_t max)
{
    *l = (struct tokens_list){.max = max};
}

void tokens_list_fini(struct tokens_list *l)
{
    free(l->at);
    *l = (struct tokens_list){.max = l->max};
}

void tokens_list_add(struct tokens_list *l, uint32_t token)
{
    if (l->n == l->cap && !l->failed) {
        uint32_t cap = l->cap ? l->cap * 2 : 64;
        uint32_t *at = l->n < l->max ? realloc(l->at, sizeof *at * cap) : NULL;
        l->failed = !at;
        if (at) {
            l->at = at;
            l->cap = cap;
        }
    }
    if (!l->failed)
        l->at[l->n++] = token;
}

void vocab_piece(const struct vocab *v, uint32_t token, struct buf *out)
{
    const struct vocab_token *t = &v->tokens[token];
    if (t->type == VOCAB_OWN) {
        buf_add(out, t->text, t->len);
    } else if (t->type == VOCAB_BYTE) {
        for (unsigned i = 0; i < 256; i++) {
            if (v->bytes[i] == token)
                buf_add_char(out, (char)i);
        }
    } else if (t->type == VOCAB_NORMAL) {
        for (uint32_t i = 0; i < t->len; i++) {
            bool space = t->len - i >= 3 && memcmp(t->text + i, "\xe2\x96\x81", 3) == 0;
            buf_add_char(out, space ? ' ' : t->text[i]);
            i += space ? 2 : 0;
        }
    }
}
