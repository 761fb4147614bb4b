/* SPDX-License-Identifier: Apache-2.0 */
#include "network/recipes.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "network/recipes_parts.h"
#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define TEXT_MAX ((size_t)4 << 20)
#define TEXT(S, key, member, cap, required) \
    { \
#key, TREE_TEXT, offsetof(struct S, member), cap, 0, 0, 0, required, NULL \
    }
#define WORD(S, key, member, words) \
    { \
#key, TREE_WORD, offsetof(struct S, member), 0, 0, 0, 0, true, words \
    }
#define NODE(S, key, required) \
    { \
#key, TREE_NODE, offsetof(struct S, key), 0, 0, 0, 0, required, NULL \
    }

static const char *const words_yes[] = {"no", "yes", NULL};
static const char *const words_status[] = {"measured", "documented", "untested", NULL};

/* As they are written: lists are read after the mapping that they are in. */
struct engine_text {
    struct recipe_engine engine;
    yaml_node_t *argv;
};

struct family_text {
    struct recipe_family family;
    yaml_node_t *models, *prefer;
};

struct set_text {
    char name[NAME_CAP];
    yaml_node_t *families;
};

struct recipe_text {
    struct recipe recipe;
    char engine[NAME_CAP], set[NAME_CAP];
    yaml_node_t *vendors, *chips, *except, *families, *formats;
};

static const struct tree_field engine_fields[] = {
    TEXT(engine_text, name, engine.name, NAME_CAP, true),
    TEXT(engine_text, title, engine.title, TEXT_CAP, true),
    TEXT(engine_text, started, engine.started, NAME_CAP, false),
    TEXT(engine_text, package, engine.package, TEXT_CAP, true),
    TEXT(engine_text, health, engine.health, TEXT_CAP, true),
    TEXT(engine_text, metrics, engine.metrics, TEXT_CAP, false),
    TEXT(engine_text, source, engine.source, TEXT_CAP, true),
    WORD(engine_text, groups, engine.groups, words_yes),
    WORD(engine_text, pipelines, engine.pipelines, words_yes),
    NODE(engine_text, argv, true),
};

static const struct tree_field family_fields[] = {
    TEXT(family_text, name, family.name, MODEL_NAME_CAP, true),
    TEXT(family_text, title, family.title, TEXT_CAP, true),
    TEXT(family_text, gguf, family.gguf, NAME_CAP, true),
    TEXT(family_text, serves, family.serves, MODEL_NAME_CAP, false),
    NODE(family_text, models, true),
    NODE(family_text, prefer, false),
};

static const struct tree_field set_fields[] = {
    TEXT(set_text, name, name, NAME_CAP, true),
    NODE(set_text, families, true),
};

static const struct tree_field recipe_fields[] = {
    TEXT(recipe_text, engine, engine, NAME_CAP, true),
    TEXT(recipe_text, build, recipe.build, NAME_CAP, false),
    TEXT(recipe_text, set, set, NAME_CAP, false),
    WORD(recipe_text, status, recipe.status, words_status),
    TEXT(recipe_text, source, recipe.source, TEXT_CAP, true),
    TEXT(recipe_text, note, recipe.note, TEXT_CAP, false),
    NODE(recipe_text, vendors, false),
    NODE(recipe_text, chips, false),
    NODE(recipe_text, except, false),
    NODE(recipe_text, families, false),
    NODE(recipe_text, formats, true),
};

struct top {
    yaml_node_t *engines, *families, *sets, *recipes, *prefer;
};

static const struct tree_field top_fields[] = {
    NODE(top, prefer, true), NODE(top, engines, true), NODE(top, families, true),
    NODE(top, sets, false),  NODE(top, recipes, true),
};

/* ---- names ---- */

static bool read_one(const struct at *at, char dst[MODEL_NAME_CAP])
{
    size_t len;
    const char *text = at_scalar(at, &len);
    if (!text)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 127) {
            at_problem(at, "expected a name without blanks");
            return false;
        }
    }
    if (len == 0 || len >= MODEL_NAME_CAP) {
        at_problem(at, "must have 1 to %u bytes", MODEL_NAME_CAP - 1);
        return false;
    }
    memcpy(dst, text, len);
    dst[len] = 0;
    return true;
}

static void check_some(const struct at *list, const yaml_node_t *node)
{
    if (node->type == YAML_SEQUENCE_NODE && node->data.sequence.items.top == node->data.sequence.items.start)
        at_problem(list, "is empty");
}

/* A list of names, each once; nothing where there is no node. */
static void read_names(const struct at *at, const char *key, yaml_node_t *node, struct recipe_names *out,
                       bool many)
{
    if (!node)
        return;
    struct at list = at_child(at, key, node);
    uint32_t n = at_items(&list, RECIPE_NAMES_MAX);
    check_some(&list, node);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        if (!read_one(&item, out->v[out->n]))
            continue;
        if (!many && recipe_names_have(out, out->n, out->v[out->n]))
            at_problem(&item, "is there twice");
        else
            out->n++;
    }
}

static void set_family(uint64_t *bits, uint32_t family)
{
    bits[family / 64] |= UINT64_C(1) << (family % 64);
}

/* Families by their names. */
static void read_bits(const struct recipes *r, const struct at *at, yaml_node_t *node,
                      uint64_t bits[RECIPE_FAMILIES_MAX / 64])
{
    struct at list = at_child(at, "families", node);
    uint32_t n = at_items(&list, RECIPE_FAMILIES_MAX);
    check_some(&list, node);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        char name[MODEL_NAME_CAP];
        if (!read_one(&item, name))
            continue;
        uint32_t family = recipes_family_named(r, name);
        if (family == RECIPE_NONE)
            at_problem(&item, "there is no family %s", name);
        else if (recipe_bit(bits, family))
            at_problem(&item, "is there twice");
        else
            set_family(bits, family);
    }
}

/* A format gets its number where it is first named. */
static uint32_t format_number(struct recipes *r, const char *name)
{
    for (uint32_t i = 0; i < r->nformats; i++) {
        if (strcmp(r->format[i], name) == 0)
            return i;
    }
    if (r->nformats == RECIPE_FORMATS_MAX)
        return RECIPE_NONE;
    memcpy(r->format[r->nformats], name, MODEL_NAME_CAP);
    return r->nformats++;
}

static void read_formats(struct recipes *r, const struct at *at, yaml_node_t *node, uint64_t *bits)
{
    struct recipe_names names = {0};
    read_names(at, "formats", node, &names, false);
    for (uint32_t i = 0; i < names.n; i++) {
        uint32_t number = format_number(r, names.v[i]);
        if (number == RECIPE_NONE)
            at_key_problem(at, "formats", "more than %u formats in all", RECIPE_FORMATS_MAX);
        else
            *bits |= UINT64_C(1) << number;
    }
}

/* ---- entries ---- */

static void read_engine(struct recipes *r, const struct at *at, struct problems *problems)
{
    struct engine_text text = {.engine = {.where = at_where(at)}};
    uint32_t given = fields_read(at, engine_fields, COUNT(engine_fields), &text);
    fields_require(&text.engine.where, problems, engine_fields, COUNT(engine_fields), given);
    read_names(at, "argv", text.argv, &text.engine.argv, true);
    if (text.engine.name[0] && recipes_engine_named(r, text.engine.name) != RECIPE_NONE)
        at_key_problem(at, "name", "an engine of this name is there already");
    else
        r->engine[r->nengines++] = text.engine;
}

static void read_family(struct recipes *r, const struct at *at, struct problems *problems)
{
    struct family_text text = {.family = {.where = at_where(at)}};
    uint32_t given = fields_read(at, family_fields, COUNT(family_fields), &text);
    struct recipe_family *f = &text.family;
    fields_require(&f->where, problems, family_fields, COUNT(family_fields), given);
    read_names(at, "models", text.models, &f->models, false);
    read_names(at, "prefer", text.prefer, &f->prefer, false);
    if (f->serves[0] && !recipe_names_have(&f->models, f->models.n, f->serves))
        at_key_problem(at, "serves", "is not one of its models");
    for (uint32_t i = 0; i < f->models.n; i++) {
        if (recipes_family_of(r, f->models.v[i]) != RECIPE_NONE)
            at_key_problem(at, "models", "%s is in another family already", f->models.v[i]);
    }
    if (f->name[0] && recipes_family_named(r, f->name) != RECIPE_NONE)
        at_key_problem(at, "name", "a family of this name is there already");
    else
        r->family[r->nfamilies++] = *f;
}

static void read_set(struct recipes *r, const struct at *at, struct problems *problems)
{
    struct set_text text = {0};
    struct where where = at_where(at);
    struct recipe_set *set = &r->set[r->nsets];
    uint32_t given = fields_read(at, set_fields, COUNT(set_fields), &text);
    fields_require(&where, problems, set_fields, COUNT(set_fields), given);
    memcpy(set->name, text.name, sizeof set->name);
    if (text.families)
        read_bits(r, at, text.families, set->families);
    for (uint32_t i = 0; i < r->nsets; i++) {
        if (strcmp(r->set[i].name, set->name) == 0)
            at_key_problem(at, "name", "a set of this name is there already");
    }
    r->nsets++;
}

static void take_set(const struct recipes *r, const struct at *at, const struct recipe_text *text,
                     struct recipe *recipe)
{
    for (uint32_t i = 0; i < r->nsets; i++) {
        if (strcmp(r->set[i].name, text->set) != 0)
            continue;
        memcpy(recipe->families, r->set[i].families, sizeof recipe->families);
        return;
    }
    at_key_problem(at, "set", "there is no set %s", text->set);
}

static void read_recipe(struct recipes *r, const struct at *at, struct problems *problems)
{
    struct recipe_text text = {.recipe = {.where = at_where(at)}};
    uint32_t given = fields_read(at, recipe_fields, COUNT(recipe_fields), &text);
    struct recipe *recipe = &text.recipe;
    fields_require(&recipe->where, problems, recipe_fields, COUNT(recipe_fields), given);
    read_names(at, "vendors", text.vendors, &recipe->vendors, false);
    read_names(at, "chips", text.chips, &recipe->chips, false);
    read_names(at, "except", text.except, &recipe->except, false);
    if (text.formats)
        read_formats(r, at, text.formats, &recipe->formats);
    if (!text.vendors == !text.chips)
        at_problem(at, "needs either vendors or chips");
    if (!text.set[0] == !text.families)
        at_problem(at, "needs either a set or families");
    else if (text.families)
        read_bits(r, at, text.families, recipe->families);
    else
        take_set(r, at, &text, recipe);
    recipe->engine = recipes_engine_named(r, text.engine);
    if (text.engine[0] && recipe->engine == RECIPE_NONE)
        at_key_problem(at, "engine", "there is no engine %s", text.engine);
    r->recipe[r->nrecipes++] = *recipe;
}

typedef void read_fn(struct recipes *recipes, const struct at *at, struct problems *problems);

static void read_list(struct recipes *r, const struct at *root, const char *key, yaml_node_t *node,
                      uint32_t max, read_fn *read, struct problems *problems)
{
    if (!node)
        return;
    struct at list = at_child(root, key, node);
    uint32_t n = at_items(&list, max);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        read(r, &item, problems);
    }
}

/* What is named comes before what names it, whatever the order in the file. */
static void read_top(struct recipes *r, struct tree *tree, struct problems *problems)
{
    struct at root = tree_root(tree);
    struct where where = at_where(&root);
    struct top top = {0};
    uint32_t given = fields_read(&root, top_fields, COUNT(top_fields), &top);
    fields_require(&where, problems, top_fields, COUNT(top_fields), given);
    read_names(&root, "prefer", top.prefer, &r->prefer, false);
    read_list(r, &root, "engines", top.engines, RECIPE_ENGINES_MAX, read_engine, problems);
    read_list(r, &root, "families", top.families, RECIPE_FAMILIES_MAX, read_family, problems);
    read_list(r, &root, "sets", top.sets, RECIPE_SETS_MAX, read_set, problems);
    read_list(r, &root, "recipes", top.recipes, RECIPES_MAX, read_recipe, problems);
}

/* ---- the whole ---- */

/* The caller's name of the file may not last. */
static void forget_file(struct recipes *r)
{
    for (uint32_t i = 0; i < r->nengines; i++)
        r->engine[i].where.file = NULL;
    for (uint32_t i = 0; i < r->nfamilies; i++)
        r->family[i].where.file = NULL;
    for (uint32_t i = 0; i < r->nrecipes; i++)
        r->recipe[i].where.file = NULL;
}

int recipes_read(struct recipes **out, const char *file, const char *text, size_t len,
                 struct problems *problems)
{
    struct tree tree;
    *out = NULL;
    struct recipes *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    if (tree_load(&tree, file, text, len, problems))
        read_top(r, &tree, problems);
    tree_fini(&tree);
    forget_file(r);
    if (problems_none(problems)) {
        *out = r;
        return 0;
    }
    recipes_free(r);
    return ERR_INVALID;
}

int recipes_load(struct recipes **out, const char *path, struct problems *problems)
{
    struct buf text;
    struct err err = {0};
    *out = NULL;
    buf_init(&text, TEXT_MAX);
    int rc = fs_read(path, &text, &err);
    if (rc == 0)
        rc = recipes_read(out, path, text.data, text.len, problems);
    buf_fini(&text);
    return rc;
}

void recipes_free(struct recipes *recipes)
{
    free(recipes);
}
