/* SPDX-License-Identifier: Apache-2.0 */
/* A model's file: its settings, its tensors, and whether all of it fits together. */
#include "ref/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/str.h"

#define ALIGNMENT_MAX 65536u
#define TEMPLATE_MAX 65536u
#define NAME_MAX_LEN 40

/* What is read before it is known whether it fits. */
struct reading {
    struct model *model;
    uint64_t alignment;
    float rope_factor, rope_scale_linear; /* the second is an older name of the first; 0: not said */
    bool rope_unscaled;                   /* whatever the factor */
    uint64_t vocab_size, head_count_kv, rope_dimensions, key_length, value_length;
    struct gguf_entry *entries;
    uint32_t nentries, cap;
    const uint8_t *data;
    size_t data_len;
};

/* ---- settings ---- */

static const struct setting {
    const char *name;
    size_t offset; /* in struct model, of an uint32_t */
    uint32_t most;
} settings[] = {
    {"llama.block_count", offsetof(struct model, layers), MODEL_LAYERS_MAX},
    {"llama.embedding_length", offsetof(struct model, width), MODEL_WIDTH_MAX},
    {"llama.feed_forward_length", offsetof(struct model, ffn), MODEL_WIDTH_MAX * 16},
    {"llama.attention.head_count", offsetof(struct model, heads), MODEL_HEADS_MAX},
    {"llama.context_length", offsetof(struct model, context), MODEL_CONTEXT_MAX},
};

static const struct {
    const char *name;
    size_t offset; /* in struct reading, of an uint64_t */
} optional[] = {
    {"general.alignment", offsetof(struct reading, alignment)},
    {"llama.vocab_size", offsetof(struct reading, vocab_size)},
    {"llama.attention.head_count_kv", offsetof(struct reading, head_count_kv)},
    {"llama.attention.key_length", offsetof(struct reading, key_length)},
    {"llama.attention.value_length", offsetof(struct reading, value_length)},
    {"llama.rope.dimension_count", offsetof(struct reading, rope_dimensions)},
};

static const struct {
    const char *name;
    bool of_model; /* else of struct reading */
    size_t offset; /* of a float */
} floats[] = {
    {"llama.attention.layer_norm_rms_epsilon", true, offsetof(struct model, norm_epsilon)},
    {"llama.rope.freq_base", true, offsetof(struct model, rope_base)},
    {"llama.rope.scaling.factor", false, offsetof(struct reading, rope_factor)},
    {"llama.rope.scale_linear", false, offsetof(struct reading, rope_scale_linear)},
};

/* Settings that are texts. */
static const char *const texts[] = {"general.architecture", "general.name", "llama.rope.scaling.type",
                                    "tokenizer.chat_template"};

/* Settings that change what is computed, in a way that is not done here. `but`: the one value that changes nothing. */
static const struct {
    const char *name;
    uint64_t but;
} unknown[] = {
    {"llama.expert_count", 0},          {"llama.attention.sliding_window", 0}, {"llama.logit_scale", 0},
    {"llama.residual_scale", 0},        {"llama.embedding_scale", 0},          {"llama.attention.scale", 0},
    {"llama.attention.causal", 1},      {"llama.attn_logit_softcapping", 0},   {"llama.expert_used_count", 0},
    {"llama.use_parallel_residual", 0},
};

static bool is(const char *key, size_t len, const char *name)
{
    return text_eq(key, len, name, strlen(name));
}

static int take_text(struct reading *r, const char *key, size_t len, const struct gguf_value *v,
                     struct err *err)
{
    struct model *m = r->model;
    if (v->type != GGUF_TYPE_STRING) {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            if (is(key, len, texts[i]))
                return err_set(err, ERR_INVALID, "%s: must be a text", texts[i]);
        }
        return 0;
    }
    if (is(key, len, "general.architecture") && !is(v->text, v->len, "llama"))
        return err_set(err, ERR_UNSUPPORTED, "a model of architecture \"%.*s\"; this engine knows \"llama\"",
                       (int)(v->len < 32 ? v->len : 32), v->text);
    if (is(key, len, "general.name"))
        (void)snprintf(m->name, sizeof m->name, "%.*s", (int)(v->len < 63 ? v->len : 63), v->text);
    if (is(key, len, "llama.rope.scaling.type"))
        r->rope_unscaled = is(v->text, v->len, "none");
    if (is(key, len, "llama.rope.scaling.type") && !is(v->text, v->len, "linear") &&
        !is(v->text, v->len, "none"))
        return err_set(err, ERR_UNSUPPORTED, "positions scaled by \"%.*s\"; this engine knows \"linear\"",
                       (int)(v->len < 32 ? v->len : 32), v->text);
    if (is(key, len, "tokenizer.chat_template") && v->len <= TEMPLATE_MAX && !m->chat_template)
        m->chat_template = strndup(v->text, v->len);
    return 0;
}

static int take_number(struct reading *r, const char *key, size_t len, const struct gguf_value *v,
                       struct err *err)
{
    uint64_t n = 0;
    bool counts = gguf_count(v, &n);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (!is(key, len, settings[i].name))
            continue;
        if (!counts || n == 0 || n > settings[i].most)
            return err_set(err, ERR_INVALID, "%s: must be 1 to %u", settings[i].name, settings[i].most);
        *(uint32_t *)(void *)((char *)r->model + settings[i].offset) = (uint32_t)n;
    }
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        if (!is(key, len, optional[i].name))
            continue;
        if (!counts)
            return err_set(err, ERR_INVALID, "%s: must be a number", optional[i].name);
        *(uint64_t *)(void *)((char *)r + optional[i].offset) = n;
    }
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        char *base = floats[i].of_model ? (char *)r->model : (char *)r;
        if (is(key, len, floats[i].name) && !gguf_float(v, (float *)(void *)(base + floats[i].offset)))
            return err_set(err, ERR_INVALID, "%s: must be a float", floats[i].name);
    }
    return 0;
}

/* A text or a list has no value that changes nothing. */
static int refuse_unknown(const char *key, size_t len, const struct gguf_value *v, struct err *err)
{
    bool number = v->type != GGUF_TYPE_STRING && v->type != GGUF_TYPE_ARRAY;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        if (is(key, len, unknown[i].name) && !(number && v->number == unknown[i].but))
            return err_set(err, ERR_UNSUPPORTED, "%s: this engine does not know it", unknown[i].name);
    }
    return 0;
}

static int on_pair(void *ctx, const char *key, size_t len, const struct gguf_value *value, struct err *err)
{
    struct reading *r = ctx;
    int rc = vocab_take(&r->model->vocab, key, len, value, err);
    if (rc == 0)
        rc = refuse_unknown(key, len, value, err);
    if (rc == 0)
        rc = take_text(r, key, len, value, err);
    return rc ? rc : take_number(r, key, len, value, err);
}

static int on_tensor(void *ctx, const struct gguf_entry *entry, struct err *err)
{
    struct reading *r = ctx;
    if (r->nentries == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        struct gguf_entry *entries = realloc(r->entries, cap * sizeof *entries);
        if (!entries)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        r->entries = entries;
        r->cap = cap;
    }
    r->entries[r->nentries++] = *entry;
    return 0;
}

static int check_settings(struct reading *r, struct err *err)
{
    struct model *m = r->model;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (*(const uint32_t *)(const void *)((const char *)m + settings[i].offset) == 0)
            return err_set(err, ERR_INVALID, "the file does not say %s", settings[i].name);
    }
    float scale = r->rope_factor != 0 ? r->rope_factor : r->rope_scale_linear;
    if (scale != 0 && !r->rope_unscaled)
        m->rope_scale = scale;
    uint64_t kv = r->head_count_kv ? r->head_count_kv : m->heads;
    uint64_t head = r->key_length ? r->key_length : m->width / m->heads;
    uint64_t turned = r->rope_dimensions ? r->rope_dimensions : head;
    if (kv > m->heads || m->heads % kv != 0)
        return err_set(err, ERR_INVALID, "the numbers of heads do not fit together");
    if (head == 0 || head > MODEL_WIDTH_MAX / m->heads || (r->value_length && r->value_length != head) ||
        turned > head || turned % 2 != 0)
        return err_set(err, ERR_INVALID, "the sizes of heads do not fit together");
    if (r->vocab_size && r->vocab_size != m->vocab.count)
        return err_set(err, ERR_INVALID, "the vocabulary is not of the size that the file says");
    if (!(m->norm_epsilon > 0 && m->norm_epsilon < 1) || !(m->rope_base >= 1 && m->rope_base < 1e12f) ||
        !(m->rope_scale >= 1 && m->rope_scale < 1e6f))
        return err_set(err, ERR_INVALID, "the settings of norm or positions are not possible");
    m->kv_heads = (uint32_t)kv;
    m->head = (uint32_t)head;
    m->turned = (uint32_t)turned;
    return 0;
}

/* ---- tensors ---- */

/* How many rows and columns a tensor must have. */
enum side { ONE, WIDTH, FFN, Q, KV, VOCAB, TURNS, SIDES };

static const struct role {
    const char *name; /* %u: the layer */
    size_t offset;    /* in struct model, or in the layer */
    bool of_layer, may_lack;
    enum side rows, columns;
} roles[] = {
    {"token_embd.weight", offsetof(struct model, embedding), false, false, VOCAB, WIDTH},
    {"output_norm.weight", offsetof(struct model, output_norm), false, false, ONE, WIDTH},
    {"output.weight", offsetof(struct model, output), false, true, VOCAB, WIDTH},
    {"rope_freqs.weight", offsetof(struct model, rope_factors), false, true, ONE, TURNS},
    {"blk.%u.attn_norm.weight", offsetof(struct model_layer, attention_norm), true, false, ONE, WIDTH},
    {"blk.%u.attn_q.weight", offsetof(struct model_layer, q), true, false, Q, WIDTH},
    {"blk.%u.attn_k.weight", offsetof(struct model_layer, k), true, false, KV, WIDTH},
    {"blk.%u.attn_v.weight", offsetof(struct model_layer, v), true, false, KV, WIDTH},
    {"blk.%u.attn_output.weight", offsetof(struct model_layer, output), true, false, WIDTH, Q},
    {"blk.%u.ffn_norm.weight", offsetof(struct model_layer, ffn_norm), true, false, ONE, WIDTH},
    {"blk.%u.ffn_gate.weight", offsetof(struct model_layer, gate), true, false, FFN, WIDTH},
    {"blk.%u.ffn_up.weight", offsetof(struct model_layer, up), true, false, FFN, WIDTH},
    {"blk.%u.ffn_down.weight", offsetof(struct model_layer, down), true, false, WIDTH, FFN},
};
#define ROLES (sizeof roles / sizeof roles[0])

static int place(struct reading *r, const struct role *role, uint32_t layer, const struct gguf_entry *e,
                 struct err *err)
{
    struct model *m = r->model;
    const uint32_t sides[SIDES] = {[ONE] = 1,
                                   [WIDTH] = m->width,
                                   [FFN] = m->ffn,
                                   [Q] = m->heads * m->head,
                                   [KV] = m->kv_heads * m->head,
                                   [VOCAB] = m->vocab.count,
                                   [TURNS] = m->turned / 2};
    char *base = role->of_layer ? (char *)&m->layer[layer] : (char *)m;
    struct tensor *t = (struct tensor *)(void *)(base + role->offset);
    int len = e->name_len < NAME_MAX_LEN ? (int)e->name_len : NAME_MAX_LEN;
    if (t->data)
        return err_set(err, ERR_INVALID, "%.*s: is there twice", len, e->name);
    int rc = tensor_set(t, e, r->data, r->data_len, (size_t)r->alignment, err);
    if (rc != 0)
        return rc;
    if (t->rows != sides[role->rows] || t->columns != sides[role->columns])
        return err_set(err, ERR_INVALID, "%.*s: is %u x %u, and should be %u x %u", len, e->name, t->columns,
                       t->rows, sides[role->columns], sides[role->rows]);
    return 0;
}

/* "blk.7.ffn_up.weight" is role "blk.%u.ffn_up.weight" of layer 7. */
static bool is_role(const struct role *role, const char *name, size_t len, uint32_t *layer)
{
    uint64_t n;
    *layer = 0;
    if (!role->of_layer)
        return is(name, len, role->name);
    const char *dot = len > 4 && memcmp(name, "blk.", 4) == 0 ? memchr(name + 4, '.', len - 4) : NULL;
    if (!dot || !u64_parse(name + 4, (size_t)(dot - name - 4), MODEL_LAYERS_MAX - 1, &n))
        return false;
    *layer = (uint32_t)n;
    return is(dot, len - (size_t)(dot - name), role->name + sizeof "blk.%u" - 1);
}

static int place_all(struct reading *r, struct err *err)
{
    struct model *m = r->model;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < r->nentries; i++) {
        const struct gguf_entry *e = &r->entries[i];
        uint32_t layer = 0;
        size_t k = 0;
        while (k < ROLES && !is_role(&roles[k], e->name, e->name_len, &layer))
            k++;
        if (k == ROLES || layer >= m->layers)
            return err_set(err, ERR_UNSUPPORTED, "%.*s: this engine does not know this tensor",
                           (int)(e->name_len < NAME_MAX_LEN ? e->name_len : NAME_MAX_LEN), e->name);
        rc = place(r, &roles[k], layer, e, err);
    }
    for (size_t k = 0; rc == 0 && k < ROLES; k++) {
        uint32_t n = roles[k].of_layer ? m->layers : 1;
        for (uint32_t l = 0; l < n && !roles[k].may_lack; l++) {
            const char *base = roles[k].of_layer ? (const char *)&m->layer[l] : (const char *)m;
            if (!((const struct tensor *)(const void *)(base + roles[k].offset))->data)
                return err_set(err, ERR_INVALID, "the tensor %s of layer %u is missing", roles[k].name, l);
        }
    }
    if (rc == 0 && !m->output.data)
        m->output = m->embedding; /* the two are one in small models */
    return rc;
}

/* ---- the whole ---- */

static int read_file(struct reading *r, const uint8_t *data, size_t len, struct err *err)
{
    const struct gguf_visitor visitor = {.pair = on_pair, .tensor = on_tensor, .ctx = r};
    size_t end;
    int rc = gguf_walk(data, len, &visitor, &end, err);
    if (rc == 0)
        rc = vocab_finish(&r->model->vocab, err);
    if (rc == 0)
        rc = check_settings(r, err);
    if (rc != 0)
        return rc;
    /* A multiple of 8, as the format has it, is enough for floats to be where floats may be. */
    if (r->alignment < 8 || r->alignment > ALIGNMENT_MAX || (r->alignment & (r->alignment - 1)) != 0)
        return err_set(err, ERR_INVALID, "general.alignment is not possible");
    size_t padded = (end + (size_t)r->alignment - 1) / (size_t)r->alignment * (size_t)r->alignment;
    if (padded > len)
        return err_set(err, ERR_INVALID, "the file has no data");
    r->data = data + padded;
    r->data_len = len - padded;
    return place_all(r, err);
}

int model_parse(struct model **out, const uint8_t *data, size_t len, struct err *err)
{
    struct reading r = {.model = calloc(1, sizeof *r.model), .alignment = 32};
    *out = NULL;
    if (!r.model)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r.model->rope_base = 10000.0f;
    r.model->rope_scale = 1.0f;
    vocab_init(&r.model->vocab);
    int rc = read_file(&r, data, len, err);
    free(r.entries);
    if (rc == 0)
        *out = r.model;
    else
        model_free(r.model);
    return rc;
}

int model_open(struct model **out, const char *path, struct err *err)
{
    struct stat st;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int rc = err_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    size_t len = (size_t)st.st_size;
    void *map = len && S_ISREG(st.st_mode) ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (map == MAP_FAILED)
        return err_set(err, ERR_INVALID, "%s is empty or cannot be read", path);
    int rc = model_parse(out, map, len, err);
    if (rc != 0) {
        munmap(map, len);
        return err_wrap(err, "%s", path);
    }
    (*out)->map = map;
    (*out)->map_len = len;
    return 0;
}

/* Each tensor that is there, one after the other; NULL: that was the last. */
static struct tensor *tensor_at(struct model *m, size_t i)
{
    size_t layer = i / ROLES;
    const struct role *role = &roles[i % ROLES];
    if (layer >= m->layers)
        return NULL;
    char *base = role->of_layer ? (char *)&m->layer[layer] : (char *)m;
    return (struct tensor *)(void *)(base + role->offset);
}

void model_unpack(struct model *m, size_t bytes_max)
{
    struct tensor *t;
    size_t n = 0, at = 0;
    bool shared = m->output.data == m->embedding.data;
    for (size_t i = 0; (t = tensor_at(m, i)) != NULL; i++)
        n += t->data && !tensor_is_float(t) && (i < ROLES || roles[i % ROLES].of_layer)
                 ? (size_t)t->rows * t->columns
                 : 0;
    m->unpacked = n > 0 && n <= bytes_max / sizeof(float) ? malloc(n * sizeof(float)) : NULL;
    for (size_t i = 0; m->unpacked && (t = tensor_at(m, i)) != NULL; i++) {
        if (!t->data || tensor_is_float(t) || (shared && t == &m->output))
            continue;
        tensor_unpack(t, m->unpacked + at);
        at += (size_t)t->rows * t->columns;
    }
    if (shared)
        m->output = m->embedding;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    vocab_fini(&m->vocab);
    free(m->chat_template);
    free(m->unpacked);
    if (m->map)
        munmap((void *)(uintptr_t)m->map, m->map_len);
    free(m);
}
