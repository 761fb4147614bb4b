/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a rule file, and explaining its verdict on given facts. Needs no hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/client.h"
#include "cli/rules.h"
#include "core/rules.h"

#define CONDITION_CAP 1024
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* A rule file that was read. */
struct file {
    struct buf text;
    void *block;
    struct rules rules;
    struct rule_errors errors;
    yyjson_mut_doc *doc; /* the answer */
    yyjson_mut_val *root;
};

static void file_fini(struct file *file)
{
    buf_fini(&file->text);
    free(file->block);
    yyjson_mut_doc_free(file->doc);
}

static int give_room(struct file *file)
{
    file->block = aligned_alloc(ARENA_ALIGN, rules_size());
    file->doc = yyjson_mut_doc_new(NULL);
    file->root = yyjson_mut_obj(file->doc);
    yyjson_mut_doc_set_root(file->doc, file->root);
    if (!file->block || !file->root)
        return ERR_NO_MEMORY;
    rules_place(&file->rules, file->block);
    return 0;
}

/* CLI_OK also when the file has errors. */
static int file_read(struct file *file, const char *path)
{
    struct err err = {0};
    buf_init(&file->text, RULES_TEXT_MAX + 1); /* one more: how long is too long, the parser says */
    int rc = fs_read(path, &file->text, &err);
    if (rc == 0)
        rc = give_room(file);
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(rc));
        return rc == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    }
    (void)rules_parse(&file->rules, file->text.data ? file->text.data : "", file->text.len, &file->errors);
    return CLI_OK;
}

/* Errors as compilers write them, so that editors find them; in the answer too. */
static void tell_errors(struct file *file, const char *path, bool json)
{
    uint32_t kept = file->errors.n < RULE_ERRORS_MAX ? file->errors.n : RULE_ERRORS_MAX;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(file->doc, file->root, "errors");
    yyjson_mut_obj_add_uint(file->doc, file->root, "error_count", file->errors.n);
    for (uint32_t i = 0; i < kept; i++) {
        const struct rule_error *e = &file->errors.list[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(file->doc, list);
        yyjson_mut_obj_add_uint(file->doc, one, "line", e->line);
        yyjson_mut_obj_add_uint(file->doc, one, "column", e->column);
        yyjson_mut_obj_add_str(file->doc, one, "text", e->text);
        if (!json)
            fprintf(stderr, "%s:%u:%u: %s\n", path, e->line, e->column, e->text);
    }
    fprintf(stderr, "busbar: %s: %u %s\n", path, file->errors.n, file->errors.n == 1 ? "error" : "errors");
}

/* ---- the answer ---- */

static void add_time(struct file *file, yyjson_mut_val *object, const char *name, int64_t ms)
{
    char text[25];
    if (ms == INT64_MIN || ms == INT64_MAX) {
        yyjson_mut_obj_add_null(file->doc, object, name);
        return;
    }
    clock_format(text, ms);
    yyjson_mut_obj_add_strcpy(file->doc, object, name, text);
}

static void add_conditions(struct file *file, yyjson_mut_val *object, const char *name,
                           const struct rule_condition *list, uint32_t n)
{
    char text[CONDITION_CAP];
    yyjson_mut_val *all = yyjson_mut_obj_add_arr(file->doc, object, name);
    for (uint32_t i = 0; i < n; i++) {
        rule_condition_format(&file->rules, &list[i], text, sizeof text);
        yyjson_mut_arr_add_strcpy(file->doc, all, text);
    }
}

static void add_rule(struct file *file, yyjson_mut_val *object, const struct rule *rule)
{
    yyjson_mut_obj_add_str(file->doc, object, "id", rule->id);
    yyjson_mut_obj_add_str(file->doc, object, "kind", rule_kind_text(rule->kind));
    yyjson_mut_obj_add_uint(file->doc, object, "line", rule->line);
    yyjson_mut_obj_add_str(file->doc, object, "because", rule->because);
    yyjson_mut_obj_add_str(file->doc, object, "cite", rule->cite);
}

/* The condition that a finding or a verdict names, or null. */
static void add_condition(struct file *file, yyjson_mut_val *object, const struct rule *rule, uint32_t which)
{
    char text[CONDITION_CAP];
    const struct rule_condition *c = rule ? rule_condition_at(rule, which) : NULL;
    if (!c) {
        yyjson_mut_obj_add_null(file->doc, object, "condition");
        return;
    }
    rule_condition_format(&file->rules, c, text, sizeof text);
    yyjson_mut_obj_add_strcpy(file->doc, object, "condition", text);
}

/* Prints the answer: with --json whole; else the fields, if any, and a table of `data`. */
static int print(const struct cli *cli, struct file *file, const struct column *fields, int nfields,
                 const struct column *columns, int ncolumns)
{
    yyjson_doc *doc = yyjson_mut_doc_imut_copy(file->doc, NULL);
    int rc = doc ? CLI_OK : CLI_FAILED;
    if (doc && nfields > 0 && !cli->json) {
        rc = print_object(cli, doc, fields, nfields);
        putchar('\n');
    }
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, ncolumns);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- check ---- */

/* All rules, as they were read. */
static void tell_rules(struct file *file)
{
    add_time(file, file->root, "next_change", rules_next_change_ms(&file->rules, clock_wall_ms()));
    yyjson_mut_val *data = yyjson_mut_obj_add_arr(file->doc, file->root, "data");
    for (uint32_t i = 0; i < file->rules.nrules; i++) {
        const struct rule *rule = &file->rules.rule[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(file->doc, data);
        add_rule(file, one, rule);
        add_time(file, one, "from", rule->from_ms);
        add_time(file, one, "until", rule->until_ms);
        add_conditions(file, one, "when", rule->when, rule->nwhen);
        add_conditions(file, one, "that", rule->that, rule->nthat);
    }
}

int cli_rules_check(const struct cli *cli)
{
    static const struct column columns[] = {
        {"RULE", "/id"}, {"KIND", "/kind"}, {"FROM", "/from"}, {"UNTIL", "/until"}, {"BECAUSE", "/because"}};
    struct file file = {0};
    int rc = file_read(&file, cli->args[0]);
    if (rc != CLI_OK)
        goto out;
    yyjson_mut_obj_add_bool(file.doc, file.root, "valid", file.errors.n == 0);
    if (file.errors.n > 0) {
        tell_errors(&file, cli->args[0], cli->json);
        if (cli->json)
            (void)print(cli, &file, NULL, 0, columns, COUNT(columns));
        rc = CLI_FAILED;
        goto out;
    }
    tell_rules(&file);
    rc = print(cli, &file, NULL, 0, columns, COUNT(columns));
out:
    file_fini(&file);
    return rc;
}

int rules_file_json(const char *path, yyjson_doc **doc)
{
    struct file file = {0};
    int rc = file_read(&file, path);
    if (rc == CLI_OK && file.errors.n > 0) {
        tell_errors(&file, path, false);
        rc = CLI_FAILED;
    } else if (rc == CLI_OK) {
        tell_rules(&file);
        *doc = yyjson_mut_doc_imut_copy(file.doc, NULL);
        rc = *doc ? CLI_OK : CLI_FAILED;
    }
    file_fini(&file);
    return rc;
}

int rules_check_file(const char *path)
{
    yyjson_doc *doc = NULL;
    int rc = rules_file_json(path, &doc);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- explain ---- */

static int read_facts(const struct cli *cli, struct rule_facts *facts)
{
    rule_facts_clear(facts);
    for (int i = 1; i < cli->nargs; i++) {
        const char *text = cli->args[i];
        int rc = rule_facts_read(facts, text, strlen(text));
        size_t len = strcspn(text, "=");
        enum rule_attr attr = rule_attr_find(text, len);
        if (rc == 0)
            continue;
        if (rc == ERR_NOT_FOUND)
            fprintf(stderr, "busbar: there is no attribute %.*s (docs/rules.md lists them)\n", (int)len,
                    text);
        else if (attr == RULE_ATTRS_N || !text[len])
            fprintf(stderr, "busbar: expected ATTR=VALUE, got %s\n", text);
        else
            fprintf(stderr, "busbar: %s is a %s: %s\n", rule_attr_text(attr),
                    rule_type_text(rule_attr_type(attr)), text + len + 1);
        return CLI_USAGE;
    }
    return 0;
}

static void add_verdict(struct file *file, const struct verdict *v, int64_t at_ms)
{
    const struct rule *rule = v->rule == RULES_NONE ? NULL : &file->rules.rule[v->rule];
    yyjson_mut_obj_add_str(file->doc, file->root, "verdict", v->allowed ? "allowed" : "denied");
    yyjson_mut_obj_add_str(file->doc, file->root, "reason", verdict_reason_word(v->reason));
    yyjson_mut_obj_add_str(file->doc, file->root, "text", verdict_reason_text(v->reason));
    yyjson_mut_obj_add_bool(file->doc, file->root, "cross_border", v->cross_border);
    add_time(file, file->root, "at", at_ms);
    add_time(file, file->root, "next_change", rules_next_change_ms(&file->rules, at_ms));
    if (rule)
        add_rule(file, yyjson_mut_obj_add_obj(file->doc, file->root, "rule"), rule);
    else
        yyjson_mut_obj_add_null(file->doc, file->root, "rule");
    add_condition(file, file->root, rule, v->condition);
}

static void add_findings(struct file *file, const struct rule_facts *facts, int64_t at_ms)
{
    yyjson_mut_val *data = yyjson_mut_obj_add_arr(file->doc, file->root, "data");
    for (uint32_t i = 0; i < file->rules.nrules; i++) {
        const struct rule *rule = &file->rules.rule[i];
        struct rule_finding f = rule_consider(&file->rules, i, facts, at_ms);
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(file->doc, data);
        add_rule(file, one, rule);
        yyjson_mut_obj_add_str(file->doc, one, "outcome", rule_outcome_word(f.outcome));
        yyjson_mut_obj_add_str(file->doc, one, "text", rule_outcome_text(f.outcome));
        add_condition(file, one, rule, f.condition);
    }
}

int cli_rules_explain(const struct cli *cli)
{
    static const struct column fields[] = {
        {"verdict", "/verdict"},           {"why", "/text"},       {"rule", "/rule/id"},
        {"because", "/rule/because"},      {"cite", "/rule/cite"}, {"condition", "/condition"},
        {"cross-border", "/cross_border"}, {"at", "/at"},          {"next change", "/next_change"}};
    static const struct column columns[] = {
        {"RULE", "/id"}, {"KIND", "/kind"}, {"OUTCOME", "/text"}, {"CONDITION", "/condition"}};
    struct file file = {0};
    struct rule_facts facts;
    struct verdict verdict;
    const char *at = cli_option(cli, "at");
    int64_t at_ms = clock_wall_ms();
    if (at && !rule_date_parse(at, strlen(at), &at_ms)) {
        fprintf(stderr, "busbar: --at: expected 2026-01-15 or 2026-01-15T08:00:00Z, got %s\n", at);
        return CLI_USAGE;
    }
    int rc = read_facts(cli, &facts);
    if (rc == 0)
        rc = file_read(&file, cli->args[0]);
    if (rc == CLI_OK && file.errors.n > 0) {
        tell_errors(&file, cli->args[0], false);
        rc = CLI_FAILED;
    } else if (rc == CLI_OK) {
        (void)rules_judge(&file.rules, &facts, at_ms, &verdict);
        add_verdict(&file, &verdict, at_ms);
        add_findings(&file, &facts, at_ms);
        rc = print(cli, &file, fields, COUNT(fields), columns, COUNT(columns));
    }
    file_fini(&file);
    return rc;
}
