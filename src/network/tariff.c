/* SPDX-License-Identifier: Apache-2.0 */
#include "network/tariff.h"

#include <string.h>

#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define NUMBER(key, type, member, decimals, max, required) \
    { \
        key, TREE_NUMBER, offsetof(struct type, member), 0, decimals, 0, max, required, NULL \
    }
#define AMOUNT(key, type, member, required) NUMBER(key, type, member, 9, PRICE_MAX, required)
#define NODE(key, type, member) \
    { \
        key, TREE_NODE, offsetof(struct type, member), 0, 0, 0, 0, false, NULL \
    }

struct head {
    char name[NAME_CAP], currency[4];
    int64_t from_ms;
    yaml_node_t *models, *chips, *corridors, *tenants;
};

struct model_reading {
    char name[NAME_CAP];
    struct figure input, cached, output, reasoning;
    uint32_t general;
};

struct chip_reading {
    char kind[CHIP_CAP];
    struct figure hour, deferrable, interruptible;
    uint32_t energy, general;
    yaml_node_t *bands, *signal;
};

struct band_reading {
    char hours[8];
    struct figure factor;
};

struct signal_reading {
    struct figure min, max;
};

struct corridor_reading {
    struct tariff_corridor corridor;
    struct figure gb;
};

struct free_reading {
    char model[NAME_CAP], chip[CHIP_CAP];
    struct figure tokens, hours, chip_ms;
};

struct tenant_reading {
    struct figure minimum;
    yaml_node_t *models, *chips, *free;
};

static const char *const yes_words[] = {"yes", NULL};
static const char *const energy_words[] = {"included", "pass-through", NULL};

static const struct tree_field head_fields[] = {
    {"tariff", TREE_NAME, offsetof(struct head, name), NAME_CAP, 0, 0, 0, true, NULL},
    {"currency", TREE_CODE, offsetof(struct head, currency), 4, 0, 0, 0, true, NULL},
    {"from", TREE_DATE, offsetof(struct head, from_ms), 0, 0, 0, 0, false, NULL},
    NODE("models", head, models),
    NODE("chips", head, chips),
    NODE("corridors", head, corridors),
    NODE("tenants", head, tenants),
};

static const struct tree_field model_fields[] = {
    {"name", TREE_NAME, offsetof(struct model_reading, name), NAME_CAP, 0, 0, 0, true, NULL},
    AMOUNT("input", model_reading, input, true),
    AMOUNT("cached", model_reading, cached, false),
    AMOUNT("output", model_reading, output, true),
    AMOUNT("reasoning", model_reading, reasoning, false),
    /* Of a tenant; the last one, so that others do without. */
    {"general", TREE_WORD, offsetof(struct model_reading, general), 0, 0, 0, 0, false, yes_words},
};

static const struct tree_field chip_fields[] = {
    {"kind", TREE_NAME, offsetof(struct chip_reading, kind), CHIP_CAP, 0, 0, 0, true, NULL},
    AMOUNT("hour", chip_reading, hour, true),
    NUMBER("deferrable", chip_reading, deferrable, 1, PER_MILLE, false),
    NUMBER("interruptible", chip_reading, interruptible, 1, PER_MILLE, false),
    {"energy", TREE_WORD, offsetof(struct chip_reading, energy), 0, 0, 0, 0, false, energy_words},
    NODE("bands", chip_reading, bands),
    NODE("signal", chip_reading, signal),
};

static const struct tree_field own_chip_fields[] = {
    {"kind", TREE_NAME, offsetof(struct chip_reading, kind), CHIP_CAP, 0, 0, 0, true, NULL},
    AMOUNT("hour", chip_reading, hour, true),
    {"general", TREE_WORD, offsetof(struct chip_reading, general), 0, 0, 0, 0, false, yes_words},
};

static const struct tree_field band_fields[] = {
    {"hours", TREE_TEXT, offsetof(struct band_reading, hours), 8, 0, 0, 0, true, NULL},
    NUMBER("factor", band_reading, factor, 3, FACTOR_MAX, true),
};

static const struct tree_field signal_fields[] = {
    NUMBER("min", signal_reading, min, 3, FACTOR_MAX, true),
    {"max", TREE_NUMBER, offsetof(struct signal_reading, max), 0, 3, 1, FACTOR_MAX, true, NULL},
};

static const struct tree_field corridor_fields[] = {
    {"a", TREE_NAME, offsetof(struct corridor_reading, corridor.a), NAME_CAP, 0, 0, 0, true, NULL},
    {"b", TREE_NAME, offsetof(struct corridor_reading, corridor.b), NAME_CAP, 0, 0, 0, true, NULL},
    AMOUNT("gb", corridor_reading, gb, true),
};

static const struct tree_field free_fields[] = {
    {"model", TREE_NAME, offsetof(struct free_reading, model), NAME_CAP, 0, 0, 0, false, NULL},
    NUMBER("tokens", free_reading, tokens, 0, INT64_C(1000000000000000), false),
    {"chip", TREE_NAME, offsetof(struct free_reading, chip), CHIP_CAP, 0, 0, 0, false, NULL},
    NUMBER("hours", free_reading, hours, 3, INT64_C(1000000000), false),
    NUMBER("chip_ms", free_reading, chip_ms, 0, INT64_C(3600000000000), false),
};

/* Which of them go together. */
enum { FREE_TOKENS = 1u << 0 | 1u << 1, FREE_HOURS = 1u << 2 | 1u << 3, FREE_MS = 1u << 2 | 1u << 4 };

static const struct tree_field tenant_fields[] = {
    AMOUNT("minimum", tenant_reading, minimum, false),
    NODE("models", tenant_reading, models),
    NODE("chips", tenant_reading, chips),
    NODE("free", tenant_reading, free),
};

/* What is being read: into which file, and of which tenant. */
struct reading {
    struct tariff_file *out;
    struct problems *problems;
    uint32_t tenant;
};

typedef void read_fn(struct reading *r, const struct at *at);

/* Those that are required, unless the tenant pays what everybody pays: then all but the first must be absent. */
static void require(struct reading *r, const struct at *at, const struct tree_field *fields, uint32_t n,
                    uint32_t given, bool general)
{
    struct where where = at_where(at);
    if (!general)
        fields_require(&where, r->problems, fields, n, given);
    else if (given & ~(1u | 1u << (n - 1)))
        at_key_problem(at, "general", "leaves no price to be named");
    else
        fields_require(&where, r->problems, fields, 1, given);
}

static bool has_room(struct reading *r, const struct at *at, uint32_t n)
{
    (void)r;
    if (n < TARIFF_ENTRIES_MAX)
        return true;
    at_problem(at, "more than %u of all tenants together", TARIFF_ENTRIES_MAX);
    return false;
}

static void read_model(struct reading *r, const struct at *at)
{
    struct model_reading m = {.name = ""};
    uint32_t n = COUNT(model_fields) - (r->tenant == TARIFF_NOBODY);
    uint32_t given = fields_read(at, model_fields, n, &m);
    require(r, at, model_fields, n, given, m.general != 0);
    for (uint32_t i = 0; i < r->out->nmodels && m.name[0]; i++) {
        if (r->out->model[i].tenant == r->tenant && strcmp(r->out->model[i].name, m.name) == 0)
            at_key_problem(at, "name", "has a price in this file already");
    }
    if (!has_room(r, at, r->out->nmodels))
        return;
    struct tariff_model *to = &r->out->model[r->out->nmodels++];
    *to = (struct tariff_model){.tenant = r->tenant, .general = m.general != 0};
    memcpy(to->name, m.name, sizeof to->name);
    to->input = m.input.v;
    to->output = m.output.v;
    to->cached = figure_given(m.cached) ? m.cached.v : m.input.v;
    to->reasoning = figure_given(m.reasoning) ? m.reasoning.v : m.output.v;
}

static void read_bands(struct reading *r, const struct at *chip, yaml_node_t *node, struct terms *to)
{
    struct at list = at_child(chip, "bands", node);
    uint32_t n = at_items(&list, TERMS_BANDS), all = 0, hours;
    for (uint32_t i = 0; i < n; i++) {
        struct at at = at_item(&list, i);
        struct band_reading b = {.hours = ""};
        struct where where = at_where(&at);
        uint32_t given = fields_read(&at, band_fields, COUNT(band_fields), &b);
        fields_require(&where, r->problems, band_fields, COUNT(band_fields), given);
        if (!b.hours[0])
            continue;
        if (!terms_hours_parse(&hours, b.hours, strlen(b.hours))) {
            at_key_problem(&at, "hours", "must be hours of the day in UTC such as 7-22, without the last");
            continue;
        }
        if (all & hours)
            at_key_problem(&at, "hours", "are in a band before this one, too");
        all |= hours;
        terms_set_band(to, i, hours, (uint32_t)b.factor.v);
    }
}

static void read_signal(struct reading *r, const struct at *chip, yaml_node_t *node, struct terms *to)
{
    struct at at = at_child(chip, "signal", node);
    struct signal_reading s = {.min = {0}};
    struct where where = at_where(&at);
    uint32_t given = fields_read(&at, signal_fields, COUNT(signal_fields), &s);
    fields_require(&where, r->problems, signal_fields, COUNT(signal_fields), given);
    if (figure_given(s.min) && figure_given(s.max) && s.min.v > s.max.v)
        at_key_problem(&at, "min", "is above max");
    to->signal_min = (uint32_t)s.min.v;
    to->signal_max = (uint32_t)s.max.v;
}

static void read_chip(struct reading *r, const struct at *at)
{
    struct chip_reading c = {.kind = ""};
    bool own = r->tenant != TARIFF_NOBODY;
    const struct tree_field *fields = own ? own_chip_fields : chip_fields;
    uint32_t n = own ? COUNT(own_chip_fields) : COUNT(chip_fields);
    uint32_t given = fields_read(at, fields, n, &c);
    require(r, at, fields, n, given, c.general != 0);
    for (uint32_t i = 0; i < r->out->nchips && c.kind[0]; i++) {
        if (r->out->chip[i].tenant == r->tenant && strcmp(r->out->chip[i].kind, c.kind) == 0)
            at_key_problem(at, "kind", "has a price in this file already");
    }
    if (!has_room(r, at, r->out->nchips))
        return;
    struct tariff_chip *to = &r->out->chip[r->out->nchips++];
    *to = (struct tariff_chip){.tenant = r->tenant, .general = c.general != 0};
    memcpy(to->kind, c.kind, sizeof to->kind);
    to->terms.hour = c.hour.v;
    to->terms.deferrable = (uint32_t)c.deferrable.v;
    to->terms.interruptible = (uint32_t)c.interruptible.v;
    to->terms.flags = c.energy == 2 ? TERMS_ENERGY : 0;
    if (c.bands)
        read_bands(r, at, c.bands, &to->terms);
    if (c.signal)
        read_signal(r, at, c.signal, &to->terms);
}

static void read_corridor(struct reading *r, const struct at *at)
{
    struct corridor_reading c = {.corridor = {.gb = 0}};
    struct where where = at_where(at);
    uint32_t given = fields_read(at, corridor_fields, COUNT(corridor_fields), &c);
    fields_require(&where, r->problems, corridor_fields, COUNT(corridor_fields), given);
    const struct tariff_corridor *one = &c.corridor;
    if (one->a[0] && strcmp(one->a, one->b) == 0)
        at_key_problem(at, "b", "is the same site");
    for (uint32_t i = 0; i < r->out->ncorridors && one->a[0]; i++) {
        const struct tariff_corridor *k = &r->out->corridor[i];
        if ((strcmp(k->a, one->a) == 0 && strcmp(k->b, one->b) == 0) ||
            (strcmp(k->a, one->b) == 0 && strcmp(k->b, one->a) == 0))
            at_key_problem(at, "a", "has a price in this file already, both ways");
    }
    r->out->corridor[r->out->ncorridors] = *one;
    r->out->corridor[r->out->ncorridors++].gb = c.gb.v;
}

static void read_free(struct reading *r, const struct at *at)
{
    struct free_reading f = {.model = ""};
    uint32_t given = fields_read(at, free_fields, COUNT(free_fields), &f);
    if (given != FREE_TOKENS && given != FREE_HOURS && given != FREE_MS) {
        at_problem(at, "needs model and tokens, or chip and hours (or chip_ms)");
        return;
    }
    for (uint32_t i = 0; i < r->out->nfree && (f.model[0] || f.chip[0]); i++) {
        const struct tariff_free *k = &r->out->free[i];
        if (k->tenant == r->tenant && strcmp(k->model, f.model) == 0 && strcmp(k->chip, f.chip) == 0)
            at_key_problem(at, f.model[0] ? "model" : "chip", "is there already");
    }
    if (!has_room(r, at, r->out->nfree))
        return;
    struct tariff_free *to = &r->out->free[r->out->nfree++];
    *to = (struct tariff_free){.tenant = r->tenant};
    memcpy(to->model, f.model, sizeof to->model);
    memcpy(to->chip, f.chip, sizeof to->chip);
    to->n = (uint64_t)(given == FREE_TOKENS  ? f.tokens.v
                       : given == FREE_HOURS ? f.hours.v * 3600
                                             : f.chip_ms.v);
}

static void read_list(struct reading *r, const struct at *parent, const char *key, yaml_node_t *node,
                      read_fn *read)
{
    if (!node)
        return;
    struct at list = at_child(parent, key, node);
    uint32_t n = at_items(&list, TARIFF_ENTRIES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        read(r, &item);
    }
}

static void read_tenant(struct reading *r, const struct at *at)
{
    struct tenant_reading t = {.models = NULL};
    struct tariff_tenant *to = &r->out->tenant[r->tenant];
    uint32_t given = fields_read(at, tenant_fields, COUNT(tenant_fields), &t);
    if (given == 0)
        at_problem(at, "names nothing that it pays");
    to->has_minimum = figure_given(t.minimum);
    to->minimum = t.minimum.v;
    read_list(r, at, "models", t.models, read_model);
    read_list(r, at, "chips", t.chips, read_chip);
    read_list(r, at, "free", t.free, read_free);
}

/* A mapping from names. */
static void read_tenants(struct reading *r, const struct at *root, yaml_node_t *node)
{
    struct at at = at_child(root, "tenants", node);
    if (node->type != YAML_MAPPING_NODE) {
        at_problem(&at, "expected a mapping from names of tenants");
        return;
    }
    yaml_document_t *doc = &root->tree->doc;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        struct at key = at_child(&at, "", yaml_document_get_node(doc, p->key));
        struct tariff_tenant *to = &r->out->tenant[r->out->ntenants];
        if (!has_room(r, &key, r->out->ntenants) || !at_name(&key, to->name, sizeof to->name))
            continue;
        struct at one = at_child(&at, to->name, yaml_document_get_node(doc, p->value));
        for (uint32_t i = 0; i < r->out->ntenants; i++) {
            if (strcmp(r->out->tenant[i].name, to->name) == 0)
                at_problem(&one, "is there twice");
        }
        r->tenant = r->out->ntenants++;
        read_tenant(r, &one);
    }
    r->tenant = TARIFF_NOBODY;
}

bool tariff_read(struct tariff_file *out, const char *file, const char *text, size_t len,
                 struct problems *problems)
{
    struct tree tree;
    struct head head = {.name = ""};
    struct reading r = {.out = out, .problems = problems, .tenant = TARIFF_NOBODY};
    *out = (struct tariff_file){.nmodels = 0};
    if (tree_load(&tree, file, text, len, problems)) {
        struct at root = tree_root(&tree);
        struct where where = at_where(&root);
        uint32_t given = fields_read(&root, head_fields, COUNT(head_fields), &head);
        fields_require(&where, problems, head_fields, COUNT(head_fields), given);
        memcpy(out->name, head.name, sizeof out->name);
        memcpy(out->currency, head.currency, sizeof out->currency);
        out->from_ms = head.from_ms;
        read_list(&r, &root, "models", head.models, read_model);
        read_list(&r, &root, "chips", head.chips, read_chip);
        read_list(&r, &root, "corridors", head.corridors, read_corridor);
        if (head.tenants)
            read_tenants(&r, &root, head.tenants);
        if (!head.models && !head.chips && !head.corridors && !head.tenants)
            at_problem(&root, "names neither models nor chips, corridors or tenants");
    }
    tree_fini(&tree);
    problems_sort(problems);
    return problems_none(problems);
}
