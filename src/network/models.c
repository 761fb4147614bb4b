/* SPDX-License-Identifier: Apache-2.0 */
#include "network/models.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define TEXT_MAX ((size_t)4 << 20)
#define TEXT(key, cap, required) \
    { \
#key, TREE_TEXT, offsetof(struct net_model, key), cap, 0, 0, 0, required, NULL \
    }
#define SHAPE(key, min, max, required) \
    { \
#key, TREE_NUMBER, offsetof(struct net_model, key), 0, 0, min, max, required, NULL \
    }
#define STATED(key) \
    { \
#key, TREE_SOURCED, offsetof(struct net_model, key), 0, 3, 1, 100000000, false, NULL \
    }
#define WORD(key, words, required) \
    { \
#key, TREE_WORD, offsetof(struct net_model, key), 0, 0, 0, 0, required, words \
    }
#define DELIVERED(key, decimals, min, max) \
    { \
#key, TREE_SOURCED, offsetof(struct model_delivered, key), 0, decimals, min, max, true, NULL \
    }

static const char *const words_use[] = {"free", "limited", NULL};
static const char *const words_yes[] = {"no", "yes", NULL};
static const char *const words_mlp[] = {"gated", "plain", NULL};
static const char *const words_file[] = {"gguf", "tensors", NULL};
static const char *const words_arithmetic[] = {"fp16", "fp8", "int8", NULL};

static const struct tree_field model_fields[] = {
    TEXT(name, MODEL_NAME_CAP, true),
    TEXT(title, TEXT_CAP, true),
    TEXT(maker, TEXT_CAP, true),
    {"origin", TREE_CODE, offsetof(struct net_model, origin), CODE_CAP, 0, 0, 0, true, NULL},
    TEXT(licence, TEXT_CAP, true),
    WORD(use, words_use, true),
    TEXT(source, TEXT_CAP, true),
    TEXT(licence_source, TEXT_CAP, false),
    STATED(params_b),
    STATED(active_b),
    SHAPE(layers, 1, CLUSTER_LAYERS_MAX, true),
    SHAPE(hidden, 1, 1 << 17, true),
    SHAPE(heads, 1, 1 << 12, true),
    SHAPE(kv_heads, 1, 1 << 12, true),
    SHAPE(head_dim, 1, 1 << 12, true),
    SHAPE(vocab, 1, 1 << 22, true),
    SHAPE(context, 1, 1 << 24, true),
    SHAPE(ffn, 1, 1 << 20, false),
    SHAPE(dense_layers, 0, CLUSTER_LAYERS_MAX, false),
    SHAPE(experts, 1, 1 << 12, false),
    SHAPE(experts_active, 1, 1 << 12, false),
    SHAPE(expert_ffn, 1, 1 << 20, false),
    SHAPE(shared_ffn, 0, 1 << 20, false),
    SHAPE(kv_rank, 1, 1 << 14, false),
    SHAPE(q_rank, 1, 1 << 14, false),
    SHAPE(rope_dim, 1, 1 << 12, false),
    SHAPE(nope_dim, 1, 1 << 12, false),
    SHAPE(v_dim, 1, 1 << 12, false),
    WORD(tied, words_yes, true),
    WORD(mlp, words_mlp, false),
};

static const struct tree_field format_fields[] = {
    {"name", TREE_TEXT, offsetof(struct model_format, name), NAME_CAP, 0, 0, 0, true, NULL},
    {"bits", TREE_SOURCED, offsetof(struct model_format, bits), 0, 3, 1000, 64000, true, NULL},
    {"file", TREE_WORD, offsetof(struct model_format, file), 0, 0, 0, 0, true, words_file},
    {"arithmetic", TREE_WORD, offsetof(struct model_format, arithmetic), 0, 0, 0, 0, false, words_arithmetic},
};

static const struct tree_field delivered_fields[] = {
    DELIVERED(compute, 3, 1, 1000),
    DELIVERED(bandwidth, 3, 1, 1000),
    DELIVERED(memory, 3, 1, 1000),
    DELIVERED(link, 3, 1, 1000),
    DELIVERED(link_gb_s, 0, 1, 100000),
    DELIVERED(link_us, 3, 0, 1000000),
    DELIVERED(hop_us, 3, 0, 100000000),
    DELIVERED(hop_gbit_s, 3, 8, 100000000),
    DELIVERED(corridor_ms, 3, 0, 10000000),
    DELIVERED(corridor_gbit_s, 3, 8, 100000000),
    {"attention", TREE_SOURCED, offsetof(struct model_delivered, attention), 0, 3, 1, 1000, false, NULL},
};

struct models {
    uint32_t n, nformats;
    struct net_model model[MODELS_MAX];
    struct model_format format[MODEL_FORMATS_MAX];
    struct model_delivered delivered;
};

struct top {
    yaml_node_t *models, *formats, *delivered;
};

static const struct tree_field top_fields[] = {
    {"models", TREE_NODE, offsetof(struct top, models), 0, 0, 0, 0, true, NULL},
    {"formats", TREE_NODE, offsetof(struct top, formats), 0, 0, 0, 0, true, NULL},
    {"delivered", TREE_NODE, offsetof(struct top, delivered), 0, 0, 0, 0, true, NULL},
};

/* ---- reading ---- */

/* What belongs together has to be there together. */
static void check_parts(const struct at *at, const struct net_model *m)
{
    bool experts = figure_given(m->experts), latent = figure_given(m->kv_rank);
    if (experts != figure_given(m->experts_active) || experts != figure_given(m->expert_ffn))
        at_key_problem(at, "experts",
                       "experts, experts_active and expert_ffn are given together, or none of them");
    else if (experts && m->experts_active.v > m->experts.v)
        at_key_problem(at, "experts_active", "more than there are");
    if (!experts &&
        (figure_given(m->dense_layers) || figure_given(m->shared_ffn) || figure_given(m->active_b)))
        at_key_problem(at, "experts", "missing: what else is given is only of a model that has some");
    if (m->dense_layers.v > m->layers.v)
        at_key_problem(at, "dense_layers", "more than there are layers");
    if (!figure_given(m->ffn) && (!experts || m->dense_layers.v > 0))
        at_key_problem(at, "ffn", "missing");
    if (latent != figure_given(m->rope_dim) || latent != figure_given(m->nope_dim) ||
        latent != figure_given(m->v_dim))
        at_key_problem(at, "kv_rank",
                       "kv_rank, rope_dim, nope_dim and v_dim are given together, or none of them");
    if (m->heads.v % m->kv_heads.v != 0)
        at_key_problem(at, "kv_heads", "does not divide heads");
}

static void check_stated(const struct at *at, const struct net_model *m)
{
    int64_t all = (int64_t)(model_params(m) / 1000000), active = (int64_t)(model_params_active(m) / 1000000);
    int64_t share = figure_given(m->experts) ? 20 : 50;
    if (figure_given(m->params_b) && llabs(all - m->params_b.v) * share > m->params_b.v)
        at_key_problem(at, "params_b", "the shape makes %lld.%03lld", (long long)all / 1000,
                       (long long)all % 1000);
    if (figure_given(m->active_b) && llabs(active - m->active_b.v) * 20 > m->active_b.v)
        at_key_problem(at, "active_b", "the shape makes %lld.%03lld", (long long)active / 1000,
                       (long long)active % 1000);
}

static void read_model(struct models *models, const struct at *at, struct problems *problems)
{
    struct net_model *m = &models->model[models->n];
    *m = (struct net_model){.where = at_where(at), .mlp = MLP_GATED};
    uint32_t before = problems->n + problems->dropped;
    uint32_t given = fields_read(at, model_fields, COUNT(model_fields), m);
    fields_require(&m->where, problems, model_fields, COUNT(model_fields), given);
    if (problems->n + problems->dropped == before)
        check_parts(at, m);
    if (problems->n + problems->dropped == before)
        check_stated(at, m);
    if (m->name[0] && models_find(models, m->name)) {
        at_key_problem(at, "name", "a model of this name is there already");
        return;
    }
    models->n++;
}

static void read_format(struct models *models, const struct at *at, struct problems *problems)
{
    struct model_format *f = &models->format[models->nformats];
    struct where where = at_where(at);
    *f = (struct model_format){.arithmetic = ARITHMETIC_FP16};
    uint32_t given = fields_read(at, format_fields, COUNT(format_fields), f);
    fields_require(&where, problems, format_fields, COUNT(format_fields), given);
    if (f->name[0] && models_format(models, f->name)) {
        at_key_problem(at, "name", "a format of this name is there already");
        return;
    }
    models->nformats++;
}

static void read_top(struct models *models, struct tree *tree, struct problems *problems)
{
    struct at root = tree_root(tree);
    struct where where = at_where(&root);
    struct top top = {0};
    uint32_t given = fields_read(&root, top_fields, COUNT(top_fields), &top);
    fields_require(&where, problems, top_fields, COUNT(top_fields), given);
    if (top.models) {
        struct at list = at_child(&root, "models", top.models);
        uint32_t n = at_items(&list, MODELS_MAX);
        for (uint32_t i = 0; i < n; i++) {
            struct at item = at_item(&list, i);
            read_model(models, &item, problems);
        }
    }
    if (top.formats) {
        struct at list = at_child(&root, "formats", top.formats);
        uint32_t n = at_items(&list, MODEL_FORMATS_MAX);
        for (uint32_t i = 0; i < n; i++) {
            struct at item = at_item(&list, i);
            read_format(models, &item, problems);
        }
    }
    if (top.delivered) {
        struct at at = at_child(&root, "delivered", top.delivered);
        struct where here = at_where(&at);
        given = fields_read(&at, delivered_fields, COUNT(delivered_fields), &models->delivered);
        fields_require(&here, problems, delivered_fields, COUNT(delivered_fields), given);
    }
}

int models_read(struct models **out, const char *file, const char *text, size_t len,
                struct problems *problems)
{
    struct tree tree;
    *out = NULL;
    struct models *models = calloc(1, sizeof *models);
    if (!models)
        return ERR_NO_MEMORY;
    if (tree_load(&tree, file, text, len, problems))
        read_top(models, &tree, problems);
    tree_fini(&tree);
    for (uint32_t i = 0; i < models->n; i++)
        models->model[i].where.file = NULL; /* the caller's name may not last */
    if (problems_none(problems)) {
        *out = models;
        return 0;
    }
    models_free(models);
    return ERR_INVALID;
}

int models_load(struct models **out, const char *path, struct problems *problems)
{
    struct buf text;
    struct err err = {0};
    *out = NULL;
    buf_init(&text, TEXT_MAX);
    int rc = fs_read(path, &text, &err);
    if (rc == 0)
        rc = models_read(out, path, text.data, text.len, problems);
    buf_fini(&text);
    return rc;
}

void models_free(struct models *models)
{
    free(models);
}

/* ---- asking ---- */

uint32_t models_count(const struct models *models)
{
    return models->n;
}

const struct net_model *models_get(const struct models *models, uint32_t i)
{
    return &models->model[i];
}

const struct net_model *models_find(const struct models *models, const char *name)
{
    for (uint32_t i = 0; i < models->n; i++) {
        if (strcmp(models->model[i].name, name) == 0)
            return &models->model[i];
    }
    return NULL;
}

uint32_t models_formats(const struct models *models)
{
    return models->nformats;
}

const struct model_format *models_format_get(const struct models *models, uint32_t i)
{
    return &models->format[i];
}

const struct model_format *models_format(const struct models *models, const char *name)
{
    for (uint32_t i = 0; i < models->nformats; i++) {
        if (strcmp(models->format[i].name, name) == 0)
            return &models->format[i];
    }
    return NULL;
}

const struct model_delivered *models_delivered(const struct models *models)
{
    return &models->delivered;
}
