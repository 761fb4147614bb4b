/* SPDX-License-Identifier: Apache-2.0 */
#include "network/tariff.h"

#include <string.h>

#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define AMOUNT(key, type, member, required) \
    { \
        key, TREE_NUMBER, offsetof(struct type, member), 0, 9, 0, PRICE_MAX, required, NULL \
    }

struct head {
    char name[NAME_CAP], currency[4];
    int64_t from_ms;
    yaml_node_t *models, *chips;
};

struct model_reading {
    char name[NAME_CAP];
    struct figure input, cached, output, reasoning;
};

struct chip_reading {
    char kind[CHIP_CAP];
    struct figure hour;
};

static const struct tree_field head_fields[] = {
    {"tariff", TREE_NAME, offsetof(struct head, name), NAME_CAP, 0, 0, 0, true, NULL},
    {"currency", TREE_CODE, offsetof(struct head, currency), 4, 0, 0, 0, true, NULL},
    {"from", TREE_DATE, offsetof(struct head, from_ms), 0, 0, 0, 0, false, NULL},
    {"models", TREE_NODE, offsetof(struct head, models), 0, 0, 0, 0, false, NULL},
    {"chips", TREE_NODE, offsetof(struct head, chips), 0, 0, 0, 0, false, NULL},
};

static const struct tree_field model_fields[] = {
    {"name", TREE_NAME, offsetof(struct model_reading, name), NAME_CAP, 0, 0, 0, true, NULL},
    AMOUNT("input", model_reading, input, true),
    AMOUNT("cached", model_reading, cached, false),
    AMOUNT("output", model_reading, output, true),
    AMOUNT("reasoning", model_reading, reasoning, false),
};

static const struct tree_field chip_fields[] = {
    {"kind", TREE_NAME, offsetof(struct chip_reading, kind), CHIP_CAP, 0, 0, 0, true, NULL},
    AMOUNT("hour", chip_reading, hour, true),
};

static void read_model(struct tariff_file *out, const struct at *at, struct problems *problems)
{
    struct model_reading r = {.name = ""};
    struct where where = at_where(at);
    uint32_t given = fields_read(at, model_fields, COUNT(model_fields), &r);
    fields_require(&where, problems, model_fields, COUNT(model_fields), given);
    for (uint32_t i = 0; i < out->nmodels && r.name[0]; i++) {
        if (strcmp(out->model[i].name, r.name) == 0)
            at_key_problem(at, "name", "has a price in this file already");
    }
    struct tariff_model *m = &out->model[out->nmodels++];
    memcpy(m->name, r.name, sizeof m->name);
    m->input = r.input.v;
    m->output = r.output.v;
    m->cached = figure_given(r.cached) ? r.cached.v : r.input.v;
    m->reasoning = figure_given(r.reasoning) ? r.reasoning.v : r.output.v;
}

static void read_chip(struct tariff_file *out, const struct at *at, struct problems *problems)
{
    struct chip_reading r = {.kind = ""};
    struct where where = at_where(at);
    uint32_t given = fields_read(at, chip_fields, COUNT(chip_fields), &r);
    fields_require(&where, problems, chip_fields, COUNT(chip_fields), given);
    for (uint32_t i = 0; i < out->nchips && r.kind[0]; i++) {
        if (strcmp(out->chip[i].kind, r.kind) == 0)
            at_key_problem(at, "kind", "has a price in this file already");
    }
    struct tariff_chip *c = &out->chip[out->nchips++];
    memcpy(c->kind, r.kind, sizeof c->kind);
    c->hour = r.hour.v;
}

static void read_list(struct tariff_file *out, const struct at *root, const char *key, yaml_node_t *node,
                      struct problems *problems,
                      void (*read)(struct tariff_file *, const struct at *, struct problems *))
{
    if (!node)
        return;
    struct at list = at_child(root, key, node);
    uint32_t n = at_items(&list, TARIFF_ENTRIES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        read(out, &item, problems);
    }
}

bool tariff_read(struct tariff_file *out, const char *file, const char *text, size_t len,
                 struct problems *problems)
{
    struct tree tree;
    struct head head = {.name = ""};
    *out = (struct tariff_file){.nmodels = 0};
    if (tree_load(&tree, file, text, len, problems)) {
        struct at root = tree_root(&tree);
        struct where where = at_where(&root);
        uint32_t given = fields_read(&root, head_fields, COUNT(head_fields), &head);
        fields_require(&where, problems, head_fields, COUNT(head_fields), given);
        memcpy(out->name, head.name, sizeof out->name);
        memcpy(out->currency, head.currency, sizeof out->currency);
        out->from_ms = head.from_ms;
        read_list(out, &root, "models", head.models, problems, read_model);
        read_list(out, &root, "chips", head.chips, problems, read_chip);
        if (!head.models && !head.chips)
            at_problem(&root, "names neither models nor chips");
    }
    tree_fini(&tree);
    problems_sort(problems);
    return problems_none(problems);
}
