/* SPDX-License-Identifier: Apache-2.0 */
/* The rules in force on a hub. A file is checked here first, as `rules check` does, so that every mistake is told with its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/request.h"
#include "cli/rules.h"
#include "core/rules.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct column columns[] = {
    {"RULE", "/id"}, {"KIND", "/kind"}, {"FROM", "/from"}, {"UNTIL", "/until"}, {"BECAUSE", "/because"}};
static const struct column tried[] = {{"JOB", "/job"},   {"TENANT", "/tenant"}, {"MODEL", "/model"},
                                      {"SITE", "/site"}, {"CHIPS", "/chips"},   {"NOW", "/now"},
                                      {"THEN", "/then"}, {"RULE", "/rule"}};
static const struct column by_rule[] = {{"jobs stopped", "/stopped_jobs"},
                                        {"replicas stopped", "/stopped_replicas"},
                                        {"chips stopped", "/stopped_chips"},
                                        {"of them run elsewhere", "/run_elsewhere"},
                                        {"waiting, no place left", "/waiting_without_place"}};

/* Reads and checks; messages were printed. */
static int read_file(const struct cli *cli, struct buf *text)
{
    struct err err = {0};
    int rc = rules_check_file(cli->args[0]);
    if (rc != CLI_OK)
        return rc;
    buf_init(text, RULES_TEXT_MAX);
    if (fs_read(cli->args[0], text, &err) == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", err.msg);
    buf_fini(text);
    return CLI_FAILED;
}

static void add_file(struct request *r, const struct buf *text)
{
    request_member(r, "text");
    buf_add_json(&r->body, text->data ? text->data : "", text->len);
}

static int print_tried(const struct cli *cli, yyjson_doc *doc)
{
    int rc = print_object(cli, doc, by_rule, COUNT(by_rule));
    if (rc != CLI_OK || cli->json || yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "data")) == 0)
        return rc;
    putchar('\n');
    return print_table(cli, doc, tried, COUNT(tried));
}

int cli_rules_apply(const struct cli *cli)
{
    struct request r;
    struct buf text;
    yyjson_doc *doc = NULL;
    bool dry = cli_option(cli, "dry-run") != NULL;
    int rc = read_file(cli, &text);
    if (rc != CLI_OK)
        return rc;
    request_begin(&r);
    buf_fini(&r.body);
    buf_init(&r.body, (size_t)8 * RULES_TEXT_MAX); /* a character may become six */
    buf_add_char(&r.body, '{');
    add_file(&r, &text);
    buf_fini(&text);
    if (dry)
        rc = client_call(cli, "POST", "/api/v1/rules/dry-run", request_body(&r), &doc);
    else
        rc = client_call(cli, "PUT", "/api/v1/rules", request_body(&r), &doc);
    request_end(&r);
    if (rc == CLI_OK)
        rc = dry ? print_tried(cli, doc) : print_table(cli, doc, columns, COUNT(columns));
    yyjson_doc_free(doc);
    return rc;
}

int cli_rules_show(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    int rc = client_call(cli, "GET", "/api/v1/rules", NULL, &doc);
    request_end(&r);
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "text"));
    if (rc == CLI_OK && cli_option(cli, "text") && text)
        fputs(text, stdout);
    else if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, COUNT(columns));
    yyjson_doc_free(doc);
    return rc;
}

int cli_rules_none(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_send(&r, cli, "DELETE", "/api/v1/rules", columns, COUNT(columns));
}

/* ---- what differs ---- */

static bool same(yyjson_val *a, yyjson_val *b)
{
    static const char *const members[] = {"kind", "because", "cite", "from", "until", "when", "that"};
    for (int i = 0; i < COUNT(members); i++) {
        if (!yyjson_equals(yyjson_obj_get(a, members[i]), yyjson_obj_get(b, members[i])))
            return false;
    }
    return true;
}

static yyjson_val *find(yyjson_val *list, const char *id)
{
    yyjson_val *rule;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((rule = yyjson_arr_iter_next(&it)) != NULL) {
        if (strcmp(yyjson_get_str(yyjson_obj_get(rule, "id")), id) == 0)
            return rule;
    }
    return NULL;
}

static void tell(yyjson_mut_doc *doc, yyjson_mut_val *list, const char *id, const char *what)
{
    yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_strcpy(doc, one, "id", id);
    yyjson_mut_obj_add_str(doc, one, "change", what);
}

static void compare(yyjson_val *now, yyjson_val *then, yyjson_mut_doc *doc, yyjson_mut_val *list)
{
    yyjson_val *rule;
    yyjson_arr_iter it = yyjson_arr_iter_with(then);
    while ((rule = yyjson_arr_iter_next(&it)) != NULL) {
        const char *id = yyjson_get_str(yyjson_obj_get(rule, "id"));
        yyjson_val *old = find(now, id);
        if (!old || !same(old, rule))
            tell(doc, list, id, old ? "changed" : "added");
    }
    it = yyjson_arr_iter_with(now);
    while ((rule = yyjson_arr_iter_next(&it)) != NULL) {
        const char *id = yyjson_get_str(yyjson_obj_get(rule, "id"));
        if (!find(then, id))
            tell(doc, list, id, "gone");
    }
}

int cli_rules_diff(const struct cli *cli)
{
    static const struct column differs[] = {{"RULE", "/id"}, {"CHANGE", "/change"}};
    yyjson_doc *now = NULL, *then = NULL, *out = NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    int rc = doc && root ? rules_file_json(cli->args[0], &then) : CLI_FAILED;
    if (rc == CLI_OK)
        rc = client_call(cli, "GET", "/api/v1/rules", NULL, &now);
    if (rc == CLI_OK) {
        yyjson_mut_doc_set_root(doc, root);
        compare(yyjson_obj_get(yyjson_doc_get_root(now), "data"),
                yyjson_obj_get(yyjson_doc_get_root(then), "data"), doc,
                yyjson_mut_obj_add_arr(doc, root, "data"));
        out = yyjson_mut_doc_imut_copy(doc, NULL);
        rc = out ? print_table(cli, out, differs, COUNT(differs)) : CLI_FAILED;
    }
    yyjson_doc_free(now);
    yyjson_doc_free(then);
    yyjson_doc_free(out);
    yyjson_mut_doc_free(doc);
    return rc;
}
