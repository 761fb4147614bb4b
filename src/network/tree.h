/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree: one YAML document with its line numbers, and tables that say how its mappings become structs.
 *
 * A mapping is read by a table of fields: key, kind, where it goes, between which bounds. What is not in the table is a
 * problem, as is a key that is there twice. Numbers are figures: `40`, `40 assumed`, `40 vendor, data sheet of May 2024`:
 * the number, where it comes from (enum tier) and, if wanted, the source in words. Aliases and tags are refused: a
 * document means what is written in its lines. Bounds: TREE_BYTES_MAX of text, TREE_NODES_MAX nodes, TREE_DEPTH_MAX deep.
 */
#ifndef BUSBAR_NETWORK_TREE_H
#define BUSBAR_NETWORK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "network/figure.h"
#include "network/problems.h"

#define TREE_BYTES_MAX ((size_t)4 << 20)
#define TREE_NODES_MAX 200000u
#define TREE_DEPTH_MAX 16u

struct tree {
    yaml_document_t doc;
    bool loaded;
    const char *file; /* outlives the tree */
    struct problems *problems;
};

/* A node and the path to it. */
struct at {
    struct tree *tree;
    yaml_node_t *node;
    char path[PATH_TEXT_CAP];
};

enum tree_kind {
    TREE_NAME,    /* name_valid; char[cap] */
    TREE_CODE,    /* [A-Z][A-Z0-9-]*; char[cap] */
    TREE_TEXT,    /* one line of UTF-8 without control characters; char[cap] */
    TREE_NUMBER,  /* struct figure */
    TREE_SOURCED, /* as TREE_NUMBER, but must say its tier and source */
    TREE_WORD,    /* one of `words`; uint32_t, its index + 1 */
    TREE_DATE,    /* int64_t, Unix ms */
    TREE_NODE,    /* yaml_node_t *, for the caller to read */
};

struct tree_field {
    const char *key;
    enum tree_kind kind;
    size_t offset; /* of its place in the struct */
    size_t cap;
    unsigned decimals;
    int64_t min, max;
    bool required;
    const char *const *words; /* NULL ends it */
};

/* False after problems. In any case tree_fini ends it. */
bool tree_load(struct tree *tree, const char *file, const char *text, size_t len, struct problems *problems);
void tree_fini(struct tree *tree);
struct at tree_root(struct tree *tree);

__attribute__((format(printf, 2, 3))) void at_problem(const struct at *at, const char *fmt, ...);
/* The value under a key of a mapping; the mapping itself when it has none. */
struct at at_value(const struct at *at, const char *key);
/* The problem is with a key of the mapping. */
__attribute__((format(printf, 3, 4))) void at_key_problem(const struct at *at, const char *key,
                                                          const char *fmt, ...);
struct where at_where(const struct at *at);
__attribute__((format(printf, 4, 5))) void where_problem(const struct where *where, struct problems *problems,
                                                         const char *key, const char *fmt, ...);
/* `node` under `key` of the mapping. */
struct at at_child(const struct at *at, const char *key, yaml_node_t *node);
/* Items of a sequence; 0 after a problem when it is none or has more than `max`. */
uint32_t at_items(const struct at *at, uint32_t max);
struct at at_item(const struct at *at, uint32_t i);
/* Text of a scalar, of *len bytes; NULL after a problem. */
const char *at_scalar(const struct at *at, size_t *len);
/* A name into dst; false after a problem. */
bool at_name(const struct at *at, char *dst, size_t cap);

/* Reads a mapping into `out`; what the mapping does not name is left as it is. Returns a set of the fields that were
 * named, bit i for table[i]; at most 32 fields. */
uint32_t fields_read(const struct at *at, const struct tree_field *table, uint32_t n, void *out);
/* A problem for each required field that is not in `given`. */
void fields_require(const struct where *where, struct problems *problems, const struct tree_field *table,
                    uint32_t n, uint32_t given);

#endif
