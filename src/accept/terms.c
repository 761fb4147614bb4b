/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/terms.h"

#include <stddef.h>
#include <string.h>

#include "base/fs.h"
#include "network/tree.h"

#define FILE_MAX ((size_t)1 << 20)
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define SOURCE_CAP 512

struct root {
    yaml_node_t *acceptance;
};

struct whole {
    struct figure tokens;
    yaml_node_t *prompts, *limits;
};

struct limit {
    char quantisation[16], source[SOURCE_CAP];
    struct figure margin, mean, max;
};

static const struct tree_field root_fields[] = {
    {"acceptance", TREE_NODE, offsetof(struct root, acceptance), 0, 0, 0, 0, true, NULL},
};
static const struct tree_field whole_fields[] = {
    {"tokens", TREE_NUMBER, offsetof(struct whole, tokens), 0, 0, 1, TERMS_TOKENS_MAX, true, NULL},
    {"prompts", TREE_NODE, offsetof(struct whole, prompts), 0, 0, 0, 0, true, NULL},
    {"limits", TREE_NODE, offsetof(struct whole, limits), 0, 0, 0, 0, true, NULL},
};
static const struct tree_field limit_fields[] = {
    {"quantisation", TREE_TEXT, offsetof(struct limit, quantisation), 16, 0, 0, 0, true, NULL},
    {"margin", TREE_NUMBER, offsetof(struct limit, margin), 0, 0, 0, 100000000, true, NULL},
    {"mean", TREE_NUMBER, offsetof(struct limit, mean), 0, 0, 1, 100000000, true, NULL},
    {"max", TREE_NUMBER, offsetof(struct limit, max), 0, 0, 1, 100000000, true, NULL},
    {"source", TREE_TEXT, offsetof(struct limit, source), SOURCE_CAP, 0, 0, 0, true, NULL},
};

static void read_prompts(struct accept_terms *terms, const struct at *whole, yaml_node_t *node)
{
    struct at list = at_child(whole, "prompts", node);
    uint32_t n = at_items(&list, TERMS_PROMPTS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at at = at_item(&list, i);
        size_t len;
        const char *text = at_scalar(&at, &len);
        if (!text)
            continue;
        if (len == 0 || len >= TERMS_PROMPT_CAP)
            at_problem(&at, "a prompt has 1 to %u bytes", TERMS_PROMPT_CAP - 1);
        else
            memcpy(terms->prompt[terms->nprompts++], text, len);
    }
    if (n == 0)
        at_problem(&list, "there are no prompts");
}

static void read_limits(struct accept_terms *terms, const struct at *whole, yaml_node_t *node)
{
    struct at list = at_child(whole, "limits", node);
    for (uint32_t i = 0, n = at_items(&list, TERMS_LIMITS_MAX); i < n; i++) {
        struct at at = at_item(&list, i);
        struct where where = at_where(&at);
        struct limit limit = {.quantisation = ""};
        uint32_t given = fields_read(&at, limit_fields, COUNT(limit_fields), &limit);
        fields_require(&where, at.tree->problems, limit_fields, COUNT(limit_fields), given);
        struct terms_limit *to = &terms->limit[terms->nlimits++];
        memcpy(to->quantisation, limit.quantisation, sizeof to->quantisation);
        to->margin = (double)limit.margin.v / 1e6;
        to->mean = (double)limit.mean.v / 1e6;
        to->max = (double)limit.max.v / 1e6;
    }
}

static void read_whole(struct accept_terms *terms, struct tree *tree)
{
    struct at at = tree_root(tree);
    struct where where = at_where(&at);
    struct root root = {0};
    struct whole whole = {0};
    uint32_t given = fields_read(&at, root_fields, COUNT(root_fields), &root);
    fields_require(&where, tree->problems, root_fields, COUNT(root_fields), given);
    if (!root.acceptance)
        return;
    at = at_child(&at, "acceptance", root.acceptance);
    where = at_where(&at);
    given = fields_read(&at, whole_fields, COUNT(whole_fields), &whole);
    fields_require(&where, tree->problems, whole_fields, COUNT(whole_fields), given);
    terms->tokens = (uint32_t)whole.tokens.v;
    if (whole.prompts)
        read_prompts(terms, &at, whole.prompts);
    if (whole.limits)
        read_limits(terms, &at, whole.limits);
}

int accept_terms_load(struct accept_terms *terms, const char *path, struct err *err)
{
    struct problems problems;
    struct tree tree = {0};
    struct buf text;
    memset(terms, 0, sizeof *terms);
    buf_init(&text, FILE_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0) {
        problems_init(&problems);
        if (tree_load(&tree, path, text.data, text.len, &problems))
            read_whole(terms, &tree);
        tree_fini(&tree);
        if (problems.n > 0) {
            char words[PROBLEM_TEXT_CAP];
            problem_format(words, &problems.list[0]);
            rc = err_set(err, ERR_INVALID, "%s", words);
        }
        problems_fini(&problems);
    }
    buf_fini(&text);
    return rc;
}

const struct terms_limit *accept_limit(const struct accept_terms *terms, const char *quantisation)
{
    const struct terms_limit *other = NULL;
    for (uint32_t i = 0; i < terms->nlimits; i++) {
        if (strcmp(terms->limit[i].quantisation, quantisation) == 0)
            return &terms->limit[i];
        if (strcmp(terms->limit[i].quantisation, "other") == 0)
            other = &terms->limit[i];
    }
    return other;
}
