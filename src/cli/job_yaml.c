/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/job_yaml.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/timetext.h"
#include "network/tree.h"

#define ITEMS_MAX 4096

enum kind { TEXT, COUNT, FLAG, PRIORITY, LIST, ENV, COMMAND, SPAN, GREEN, CHOICES, PATHS };

static const struct member {
    const char *key;
    enum kind kind;
    const char *to; /* the member of the request, if it is not the key */
} members[] = {{"name", TEXT, NULL},
               {"tenant", TEXT, NULL},
               {"argv", LIST, NULL},
               {"command", COMMAND, "argv"},
               {"script", TEXT, NULL},
               {"env", ENV, NULL},
               {"cwd", TEXT, NULL},
               {"in", PATHS, NULL},
               {"out", LIST, "outputs"},
               {"memory_mib", COUNT, NULL},
               {"network", FLAG, NULL},
               {"chip", TEXT, NULL},
               {"chips", COUNT, NULL},
               {"alternatives", CHOICES, NULL},
               {"time", SPAN, "time_limit_s"},
               {"time_limit_s", COUNT, NULL},
               {"priority", PRIORITY, NULL},
               {"interruptible", FLAG, NULL},
               {"on_disconnect", TEXT, NULL},
               {"after", LIST, NULL},
               {"array", TEXT, NULL},
               {"site", TEXT, NULL},
               {"near", TEXT, NULL},
               {"jurisdiction", TEXT, NULL},
               {"vendor", TEXT, NULL},
               {"data_class", TEXT, NULL},
               {"data_home", TEXT, NULL},
               {"kind", TEXT, NULL},
               {"isolation", TEXT, NULL},
               {"deadline", TEXT, NULL},
               {"defer_until", TEXT, NULL},
               {"green", GREEN, "defer_until"},
               {"checkpoint_every", SPAN, "checkpoint_every_s"},
               {"checkpoint_every_s", COUNT, NULL},
               {"checkpoint_cost", SPAN, "checkpoint_cost_s"},
               {"checkpoint_cost_s", COUNT, NULL}};
#define MEMBERS_N (sizeof members / sizeof members[0])

static const char *target(const struct member *m)
{
    return m->to ? m->to : m->key;
}

/* ---- values ---- */

static void add_text(struct buf *out, const struct at *at)
{
    size_t len;
    const char *text = at_scalar(at, &len);
    if (text)
        buf_add_json(out, text, len);
}

static void add_count(struct buf *out, const struct at *at)
{
    size_t len;
    uint64_t n = 0;
    const char *text = at_scalar(at, &len);
    if (text && !u64_parse(text, len, INT64_MAX, &n))
        at_problem(at, "expected a whole number");
    buf_add_u64(out, n);
}

static void add_priority(struct buf *out, const struct at *at)
{
    size_t len;
    uint64_t n = 0;
    const char *text = at_scalar(at, &len);
    bool minus = text && len > 0 && text[0] == '-';
    if (text && !u64_parse(text + minus, len - minus, INT32_MAX, &n))
        at_problem(at, "expected a whole number");
    buf_addf(out, "%s%llu", minus && n > 0 ? "-" : "", (unsigned long long)n);
}

static bool read_flag(const struct at *at)
{
    size_t len;
    const char *text = at_scalar(at, &len);
    bool yes = text && text_eq(text, len, "true", 4);
    if (text && !yes && !text_eq(text, len, "false", 5))
        at_problem(at, "expected true or false");
    return yes;
}

static void add_span(struct buf *out, const struct at *at)
{
    size_t len;
    uint64_t seconds = 0;
    const char *text = at_scalar(at, &len);
    if (text && !span_parse(text, len, &seconds))
        at_problem(at, "expected a time such as 90s, 45m or 12h");
    buf_add_u64(out, seconds);
}

/* One value stands for a list of one. */
static void add_list(struct buf *out, const struct at *at)
{
    bool one = at->node->type == YAML_SCALAR_NODE;
    uint32_t n = one ? 1 : at_items(at, ITEMS_MAX);
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct at item = one ? *at : at_item(at, i);
        buf_add_text(out, i ? "," : "");
        add_text(out, &item);
    }
    buf_add_char(out, ']');
}

static void add_pairs(struct buf *out, const struct at *at)
{
    const char *sep = "";
    buf_add_char(out, '[');
    for (yaml_node_pair_t *p = at->node->data.mapping.pairs.start; p < at->node->data.mapping.pairs.top;
         p++) {
        const struct at name = at_child(at, "", yaml_document_get_node(&at->tree->doc, p->key));
        const struct at value = at_child(at, "", yaml_document_get_node(&at->tree->doc, p->value));
        struct buf pair;
        size_t n, len;
        const char *a = at_scalar(&name, &n), *b = at_scalar(&value, &len);
        if (!a || !b)
            continue;
        buf_init(&pair, (size_t)1 << 20);
        buf_add(&pair, a, n);
        buf_add_char(&pair, '=');
        buf_add(&pair, b, len);
        buf_add_text(out, sep);
        buf_add_json(out, pair.data ? pair.data : "", pair.len);
        buf_fini(&pair);
        sep = ",";
    }
    buf_add_char(out, ']');
}

static void add_command(struct buf *out, const struct at *at)
{
    buf_add_text(out, "[\"/bin/sh\",\"-c\",");
    add_text(out, at);
    buf_add_char(out, ']');
}

static void add_choice_member(struct buf *out, struct tree *tree, const yaml_node_pair_t *p,
                              const struct at *at)
{
    const struct at name = at_child(at, "", yaml_document_get_node(&tree->doc, p->key));
    const struct at value = at_child(at, "", yaml_document_get_node(&tree->doc, p->value));
    size_t n, len;
    const char *key = at_scalar(&name, &n), *text = at_scalar(&value, &len);
    if (!key || !text)
        return;
    buf_add_json(out, key, n);
    buf_add_char(out, ':');
    if (text_eq(key, n, "chip", 4))
        buf_add_json(out, text, len);
    else if (len > 0 && strspn(text, "0123456789.") == len && text[0] != '.' && text[len - 1] != '.')
        buf_add(out, text, len);
    else
        at_problem(&value, "expected a number");
}

/* {chip, chips, rate}; the hub knows what may be in it. */
static void add_choice(struct buf *out, const struct at *at)
{
    if (at->node->type != YAML_MAPPING_NODE) {
        at_problem(at, "expected chip, chips and rate");
        return;
    }
    const yaml_node_pair_t *first = at->node->data.mapping.pairs.start;
    buf_add_char(out, '{');
    for (const yaml_node_pair_t *p = first; p < at->node->data.mapping.pairs.top; p++) {
        buf_add_text(out, p == first ? "" : ",");
        add_choice_member(out, at->tree, p, at);
    }
    buf_add_char(out, '}');
}

static void add_choices(struct buf *out, const struct at *at)
{
    const uint32_t n = at_items(at, 16);
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        const struct at item = at_item(at, i);
        buf_add_text(out, i ? "," : "");
        add_choice(out, &item);
    }
    buf_add_char(out, ']');
}

static void add_value(struct buf *out, enum kind kind, const struct at *at)
{
    switch (kind) {
    case TEXT:
        add_text(out, at);
        return;
    case COUNT:
        add_count(out, at);
        return;
    case PRIORITY:
        add_priority(out, at);
        return;
    case FLAG:
        buf_add_text(out, read_flag(at) ? "true" : "false");
        return;
    case LIST:
        add_list(out, at);
        return;
    case ENV:
        if (at->node->type == YAML_MAPPING_NODE)
            add_pairs(out, at);
        else
            add_list(out, at);
        return;
    case COMMAND:
        add_command(out, at);
        return;
    case SPAN:
        add_span(out, at);
        return;
    case GREEN:
        buf_add_text(out, read_flag(at) ? "\"+24h\"" : "null");
        return;
    case CHOICES:
        add_choices(out, at);
        return;
    case PATHS: /* no member: they are looked at here */
        return;
    }
}

/* ---- the file ---- */

/* Local files and folders, one or a list. */
static void add_paths(struct buf *out, const struct at *at)
{
    bool one = at->node->type == YAML_SCALAR_NODE;
    uint32_t n = one ? 1 : at_items(at, ITEMS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const struct at item = one ? *at : at_item(at, i);
        size_t len;
        const char *text = at_scalar(&item, &len);
        if (text && (len == 0 || memchr(text, 0, len)))
            at_problem(&item, "expected PATH or NAME=PATH");
        else if (text)
            buf_add(out, text, len);
        if (text)
            buf_add_char(out, 0);
    }
}

/* Whose the job is, for its data. */
static void note_tenant(struct request *r, const struct at *at)
{
    size_t len;
    const char *text = at_scalar(at, &len);
    if (text && !text_set(r->tenant, sizeof r->tenant, text, len))
        at_problem(at, "is too long");
}

static bool is_given(const char *const *given, const char *name)
{
    while (*given && strcmp(*given, name) != 0)
        given++;
    return *given != NULL;
}

static void add_member(struct request *r, const struct at *root, const char *key, const struct at *value,
                       const char *seen[MEMBERS_N], uint32_t *nseen, const char *const *given)
{
    const struct member *m = members;
    while (m < members + MEMBERS_N && strcmp(m->key, key) != 0)
        m++;
    if (m == members + MEMBERS_N) {
        at_key_problem(root, key, "there is no such member");
        return;
    }
    for (uint32_t i = 0; i < *nseen; i++) {
        if (strcmp(seen[i], target(m)) == 0) {
            at_problem(value, "%s is there twice", target(m));
            return;
        }
    }
    seen[(*nseen)++] = target(m);
    if (is_given(given, target(m)))
        return;
    if (strcmp(key, "tenant") == 0)
        note_tenant(r, value);
    if (m->kind == PATHS) {
        add_paths(&r->inputs, value);
        return;
    }
    request_member(r, target(m));
    add_value(&r->body, m->kind, value);
}

/* Returns whether a tenant is named. */
static bool add_all(struct request *r, struct tree *tree, const char *const *given)
{
    const struct at root = tree_root(tree);
    const char *seen[MEMBERS_N];
    uint32_t nseen = 0;
    if (root.node->type != YAML_MAPPING_NODE) {
        at_problem(&root, "expected members such as command: and chips:");
        return false;
    }
    for (yaml_node_pair_t *p = root.node->data.mapping.pairs.start; p < root.node->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(&tree->doc, p->key);
        const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
        const struct at value = at_child(&root, name, yaml_document_get_node(&tree->doc, p->value));
        add_member(r, &root, name, &value, seen, &nseen, given);
    }
    bool tenant = false;
    for (uint32_t i = 0; i < nseen; i++)
        tenant |= strcmp(seen[i], "tenant") == 0;
    return tenant;
}

bool job_yaml_add(struct request *r, const char *file, const char *text, size_t len, const char *const *given,
                  bool *tenant)
{
    struct problems problems;
    struct tree tree;
    *tenant = false;
    problems_init(&problems);
    if (tree_load(&tree, file, text, len, &problems))
        *tenant = add_all(r, &tree, given);
    tree_fini(&tree);
    const bool good = problems_none(&problems);
    problems_sort(&problems);
    for (uint32_t i = 0; i < problems.n; i++) {
        char line[PROBLEM_TEXT_CAP];
        problem_format(line, &problems.list[i]);
        fprintf(stderr, "busbar: %s\n", line);
    }
    problems_fini(&problems);
    return good;
}
