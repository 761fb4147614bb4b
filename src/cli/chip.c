/* SPDX-License-Identifier: Apache-2.0 */
/* The register of single chips. */
#include <stdio.h>
#include <string.h>

#include "cli/request.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

int cli_chip_list(const struct cli *cli)
{
    static const struct column columns[] = {
        {"CHIP", "/name"},           {"KIND", "/kind"},     {"SITE", "/site"},     {"HOST", "/host"},
        {"STATE", "/state"},         {"HEALTH", "/health"}, {"ORIGIN", "/origin"}, {"LICENCE", "/licence"},
        {"LAST SEEN", "/last_seen"}, {"ALARM", "/alarm"}};
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/chips", "site vendor kind state licence alarm limit cursor",
                        columns, COUNT(columns));
}

/* When and what, then the others with their names. */
static void print_lines(const char *title, yyjson_val *list, const char *const *members)
{
    yyjson_val *one;
    size_t i, max;
    printf("\n%s\n", title);
    yyjson_arr_foreach(list, i, max, one)
    {
        for (int m = 0; members[m]; m++) {
            const char *text = yyjson_get_str(yyjson_obj_get(one, members[m]));
            if (text && text[0])
                printf("  %s%s%s", m < 2 ? "" : members[m], m < 2 ? "" : " ", text);
        }
        printf("\n");
    }
}

int cli_chip_show(const struct cli *cli)
{
    static const struct column fields[] = {
        {"chip", "/name"},           {"id", "/id"},         {"vendor", "/vendor"},
        {"kind", "/kind"},           {"model", "/model"},   {"device", "/device"},
        {"uuid", "/uuid"},           {"site", "/site"},     {"host", "/host"},
        {"pool", "/pool"},           {"state", "/state"},   {"since", "/since"},
        {"health", "/health"},       {"reason", "/reason"}, {"first seen", "/first_seen"},
        {"last seen", "/last_seen"}, {"origin", "/origin"}, {"origin declared", "/origin_declared"},
        {"licence", "/licence"},     {"alarm", "/alarm"}};
    static const char *const past[] = {"at", "what", "site", "from", "text", NULL};
    static const char *const alarms[] = {"since", "state", "site", "also_at", "note", NULL};
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/chips/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (rc == CLI_OK && !cli->json) {
        if (yyjson_arr_size(yyjson_obj_get(root, "alarms")) > 0)
            print_lines("alarms", yyjson_obj_get(root, "alarms"), alarms);
        print_lines("past", yyjson_obj_get(root, "past"), past);
    }
    yyjson_doc_free(doc);
    return rc;
}

static void build_declaration(struct request *r, const struct cli *cli)
{
    request_begin(r);
    if (cli->nargs > 0)
        request_member(r, "chips");
    for (int i = 0; i < cli->nargs; i++) {
        buf_add_text(&r->body, i ? "," : "[");
        buf_add_json(&r->body, cli->args[i], strlen(cli->args[i]));
    }
    buf_add_text(&r->body, cli->nargs > 0 ? "]" : "");
    request_option(r, cli, "site", "site");
    request_option(r, cli, "vendor", "vendor");
    request_option(r, cli, "kind", "kind");
    request_option(r, cli, "licence", "licence");
    request_option(r, cli, "origin", "origin");
}

/* The hub takes a thousand chips a call, and passes over those that have it already. */
int cli_chip_declare(const struct cli *cli)
{
    uint64_t declared = 0;
    bool more = true;
    int rc = CLI_OK;
    while (rc == CLI_OK && more) {
        struct request r;
        yyjson_doc *doc = NULL;
        build_declaration(&r, cli);
        rc = client_call(cli, "POST", "/api/v1/chip-declarations", request_body(&r), &doc);
        request_end(&r);
        yyjson_val *root = yyjson_doc_get_root(doc);
        declared += yyjson_get_uint(yyjson_obj_get(root, "declared"));
        more = yyjson_get_bool(yyjson_obj_get(root, "more"));
        yyjson_doc_free(doc);
    }
    if (rc == CLI_OK)
        printf(cli->json ? "{\"declared\":%llu}\n" : "%llu changed\n", (unsigned long long)declared);
    return rc;
}

static const struct column alarm_columns[] = {
    {"CHIP", "/chip"},   {"SITE", "/site"},     {"ALSO AT", "/also_at"},   {"STATE", "/state"},
    {"SINCE", "/since"}, {"RAISED", "/raised"}, {"RESOLVED", "/resolved"}, {"NOTE", "/note"}};

int cli_chip_alarms(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli,
                        cli_option(cli, "all") ? "/api/v1/chip-alarms?all=true" : "/api/v1/chip-alarms", "",
                        alarm_columns, COUNT(alarm_columns));
}

int cli_chip_resolve(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "chip", cli->args[0]);
    request_text(&r, "site", cli->args[1]);
    request_text(&r, "note", cli->args[2]);
    return request_send(&r, cli, "POST", "/api/v1/chip-alarms", alarm_columns, COUNT(alarm_columns));
}
