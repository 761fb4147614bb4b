/* SPDX-License-Identifier: Apache-2.0 */
#include "site/agent.h"

#include <stdio.h>

#include "base/log.h"
#include "cli/request.h"
#include "site/identity.h"

static const struct column columns[] = {
    {"NAME", "/name"},         {"STATE", "/state"},   {"JURISDICTION", "/jurisdiction"},
    {"REGION", "/region"},     {"OWNER", "/owner"},   {"JOINED", "/joined"},
    {"CONTACT", "/contact"},   {"ENGINE", "/engine"}, {"ISOLATION", "/isolation"},
    {"REPLICAS", "/replicas"}, {"ID", "/id"}};
static const struct column invited[] = {
    {"site", "/name"}, {"hub", "/hub"}, {"token", "/token"}, {"until", "/token_expires"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int cli_site_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/sites", "", columns, COUNT(columns));
}

/* What its cache has: a line each, with the models that it is weights of. */
static void print_cached(yyjson_val *cached)
{
    yyjson_val *item, *model;
    yyjson_arr_iter it = yyjson_arr_iter_with(cached);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *sep = "  ";
        printf("cached  %s  %llu bytes", yyjson_get_str(yyjson_obj_get(item, "sha256")),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(item, "size")));
        yyjson_arr_iter models = yyjson_arr_iter_with(yyjson_obj_get(item, "models"));
        for (; (model = yyjson_arr_iter_next(&models)) != NULL; sep = ",")
            printf("%s%s", sep, yyjson_get_str(model));
        putchar('\n');
    }
}

int cli_site_show(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/sites/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, COUNT(columns));
    if (rc == CLI_OK && !cli->json)
        print_cached(yyjson_obj_get(yyjson_doc_get_root(doc), "cached"));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_site_add(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    request_option(&r, cli, "jurisdiction", "jurisdiction");
    request_option(&r, cli, "region", "region");
    request_option(&r, cli, "owner", "owner");
    return request_send(&r, cli, "POST", "/api/v1/sites", columns, COUNT(columns));
}

int cli_site_set(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/sites/", cli->args[0], "/facts");
    request_option(&r, cli, "jurisdiction", "jurisdiction");
    request_option(&r, cli, "region", "region");
    request_option(&r, cli, "owner", "owner");
    return request_send(&r, cli, "PUT", NULL, columns, COUNT(columns));
}

int cli_site_token(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/sites/", cli->args[0], "/token");
    request_option_count(&r, cli, "minutes", "minutes");
    int rc = r.bad ? CLI_USAGE : client_call(cli, "POST", request_path_text(&r), request_body(&r), &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, invited, COUNT(invited));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

static int act(const struct cli *cli, const char *method, const char *after)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/sites/", cli->args[0], after);
    return request_send(&r, cli, method, NULL, columns, COUNT(columns));
}

int cli_site_cordon(const struct cli *cli)
{
    return act(cli, "POST", "/cordon");
}

int cli_site_drain(const struct cli *cli)
{
    return act(cli, "POST", "/drain");
}

int cli_site_resume(const struct cli *cli)
{
    return act(cli, "POST", "/resume");
}

int cli_site_remove(const struct cli *cli)
{
    return act(cli, "DELETE", "");
}

/* ---- at the site ---- */

int cli_site_join(const struct cli *cli)
{
    struct err err = {0};
    const char *token = cli_option(cli, "token");
    if (!token) {
        fprintf(stderr,
                "busbar: site join: --token is needed (`busbar site token NAME` at the hub makes one)\n");
        return CLI_USAGE;
    }
    int rc = member_join(cli->data, cli->args[0], token, "site", &err);
    if (rc == 0)
        printf("joined    %s\nnext      busbar site run --data %s\n", cli->args[0], cli->data);
    return print_outcome(rc, &err);
}

int cli_site_run(const struct cli *cli)
{
    struct err err = {0};
    struct agent_options options = {
        .data_dir = cli->data, .engine = cli_option(cli, "engine"), .engine_threads = 1};
    if (cli_count(cli, "engine-threads", &options.engine_threads) != 0)
        return CLI_USAGE;
    return print_outcome(agent_run(&options, &err), &err);
}
