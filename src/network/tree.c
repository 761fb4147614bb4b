/* SPDX-License-Identifier: Apache-2.0 */
#include "network/tree.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YAML_TAGS "tag:yaml.org,2002:"

static uint32_t line_of(const yaml_node_t *node)
{
    return (uint32_t)node->start_mark.line + 1;
}

/* ---- a document ---- */

static bool check_node(struct tree *tree, uint8_t *depth, yaml_node_t *node)
{
    const char *tag = (const char *)node->tag;
    if (tag && strncmp(tag, YAML_TAGS, sizeof YAML_TAGS - 1) != 0) {
        problems_add(tree->problems, tree->file, line_of(node), "", "tags are not allowed");
        return false;
    }
    if (node->type == YAML_SCALAR_NODE && memchr(node->data.scalar.value, 0, node->data.scalar.length)) {
        problems_add(tree->problems, tree->file, line_of(node), "", "the text has a NUL in it");
        return false;
    }
    if (*depth > TREE_DEPTH_MAX) {
        problems_add(tree->problems, tree->file, line_of(node), "", "nested more than %u deep",
                     TREE_DEPTH_MAX);
        return false;
    }
    return true;
}

/* Notes that `child` is a child of `parent`: the only one it has, or it is an alias. */
static bool adopt(struct tree *tree, uint8_t *depth, int parent, int child)
{
    if (depth[child]) {
        problems_add(tree->problems, tree->file, line_of(&tree->doc.nodes.start[parent - 1]), "",
                     "anchors and aliases are not allowed");
        return false;
    }
    depth[child] = (uint8_t)(depth[parent] + 1);
    return true;
}

/* Nodes are numbered in the order in which they begin, so a parent comes before its children. */
static bool check_nodes(struct tree *tree)
{
    int n = (int)(tree->doc.nodes.top - tree->doc.nodes.start);
    uint8_t *depth = calloc((size_t)n + 1, 1);
    if (!depth || (unsigned)n > TREE_NODES_MAX) {
        problems_add(tree->problems, tree->file, 0, "", "more than %u values", TREE_NODES_MAX);
        free(depth);
        return false;
    }
    bool good = true;
    depth[1] = 1;
    for (int i = 1; i <= n && good; i++) {
        yaml_node_t *node = &tree->doc.nodes.start[i - 1];
        good = check_node(tree, &depth[i], node);
        if (node->type == YAML_SEQUENCE_NODE) {
            for (int *p = node->data.sequence.items.start; good && p < node->data.sequence.items.top; p++)
                good = adopt(tree, depth, i, *p);
        } else if (node->type == YAML_MAPPING_NODE) {
            for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
                 good && p < node->data.mapping.pairs.top; p++)
                good = adopt(tree, depth, i, p->key) && adopt(tree, depth, i, p->value);
        }
    }
    free(depth);
    return good;
}

static void add_parser_problem(const yaml_parser_t *parser, const struct tree *tree)
{
    bool marked = parser->error == YAML_SCANNER_ERROR || parser->error == YAML_PARSER_ERROR ||
                  parser->error == YAML_COMPOSER_ERROR;
    problems_add(tree->problems, tree->file, marked ? (uint32_t)parser->problem_mark.line + 1 : 0, "",
                 "this is not YAML: %s", parser->problem ? parser->problem : "it cannot be read");
}

/* Nothing may follow the document. */
static bool ends(yaml_parser_t *parser, const struct tree *tree)
{
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more)) {
        add_parser_problem(parser, tree);
        return false;
    }
    bool end = !yaml_document_get_root_node(&more);
    if (!end)
        problems_add(tree->problems, tree->file, (uint32_t)more.start_mark.line + 1, "",
                     "a second document begins here");
    yaml_document_delete(&more);
    return end;
}

bool tree_load(struct tree *tree, const char *file, const char *text, size_t len, struct problems *problems)
{
    yaml_parser_t parser;
    *tree = (struct tree){.file = file, .problems = problems};
    if (len > TREE_BYTES_MAX || !yaml_parser_initialize(&parser)) {
        problems_add(problems, file, 0, "", "it is too large");
        return false;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    bool good = yaml_parser_load(&parser, &tree->doc);
    if (!good) {
        add_parser_problem(&parser, tree);
    } else {
        tree->loaded = true;
        yaml_node_t *root = yaml_document_get_root_node(&tree->doc);
        good = root && root->type == YAML_MAPPING_NODE;
        if (!good)
            problems_add(problems, file, root ? line_of(root) : 0, "", "%s",
                         root ? "expected a mapping" : "it is empty");
        good = good && check_nodes(tree) && ends(&parser, tree);
    }
    yaml_parser_delete(&parser);
    return good;
}

void tree_fini(struct tree *tree)
{
    if (tree->loaded)
        yaml_document_delete(&tree->doc);
    tree->loaded = false;
}

struct at tree_root(struct tree *tree)
{
    return (struct at){.tree = tree, .node = yaml_document_get_root_node(&tree->doc)};
}

/* ---- where we are ---- */

void at_problem(const struct at *at, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    problems_add(at->tree->problems, at->tree->file, line_of(at->node), at->path, "%s", text);
}

/* "path.key", or "key" at the top; cut where it does not fit. */
static void join(char dst[PATH_TEXT_CAP], const char *path, const char *key)
{
    int n = snprintf(dst, PATH_TEXT_CAP, "%s%s", path, path[0] && key[0] ? "." : "");
    if (n >= 0 && n < PATH_TEXT_CAP)
        (void)snprintf(dst + n, PATH_TEXT_CAP - (size_t)n, "%s", key);
}

struct at at_child(const struct at *at, const char *key, yaml_node_t *node)
{
    struct at child = {.tree = at->tree, .node = node};
    join(child.path, at->path, key);
    return child;
}

struct at at_value(const struct at *at, const char *key)
{
    if (at->node->type == YAML_MAPPING_NODE) {
        for (yaml_node_pair_t *p = at->node->data.mapping.pairs.start; p < at->node->data.mapping.pairs.top;
             p++) {
            const yaml_node_t *k = yaml_document_get_node(&at->tree->doc, p->key);
            if (k->type == YAML_SCALAR_NODE && strcmp((const char *)k->data.scalar.value, key) == 0)
                return at_child(at, key, yaml_document_get_node(&at->tree->doc, p->value));
        }
    }
    return at_child(at, key, at->node);
}

void at_key_problem(const struct at *at, const char *key, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct at value = at_value(at, key);
    at_problem(&value, "%s", text);
}

struct where at_where(const struct at *at)
{
    struct where where = {.file = at->tree->file, .line = line_of(at->node)};
    memcpy(where.path, at->path, sizeof where.path);
    return where;
}

void where_problem(const struct where *where, struct problems *problems, const char *key, const char *fmt,
                   ...)
{
    char text[200], path[PATH_TEXT_CAP];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    join(path, where->path, key);
    problems_add(problems, where->file, where->line, path, "%s", text);
}

uint32_t at_items(const struct at *at, uint32_t max)
{
    if (at->node->type != YAML_SEQUENCE_NODE) {
        at_problem(at, "expected a list");
        return 0;
    }
    size_t n = (size_t)(at->node->data.sequence.items.top - at->node->data.sequence.items.start);
    if (n > max) {
        at_problem(at, "more than %u entries", max);
        return 0;
    }
    return (uint32_t)n;
}

struct at at_item(const struct at *at, uint32_t i)
{
    struct at item = {.tree = at->tree};
    item.node = yaml_document_get_node(&at->tree->doc, at->node->data.sequence.items.start[i]);
    (void)snprintf(item.path, sizeof item.path, "%.80s[%u]", at->path, i);
    return item;
}

const char *at_scalar(const struct at *at, size_t *len)
{
    if (at->node->type != YAML_SCALAR_NODE) {
        at_problem(at, "expected a single value");
        return NULL;
    }
    *len = at->node->data.scalar.length;
    return (const char *)at->node->data.scalar.value;
}
