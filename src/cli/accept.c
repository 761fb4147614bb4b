/* SPDX-License-Identifier: Apache-2.0 */
/* Acceptance: asks for a check of replicas, waits until it is done, and shows what it found. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/request.h"

#define LOOK_MS 250
#define PATIENCE_S 900 /* one check after the other */

static const struct column columns[] = {{"MODEL", "/model"},
                                        {"SITE", "/site"},
                                        {"CHIP", "/chip"},
                                        {"VERDICT", "/verdict"},
                                        {"AT", "/at"},
                                        {"TOKENS/S", "/tokens_s"},
                                        {"USUAL", "/usual_tokens_s"},
                                        {"BATCH TOKENS/S", "/batch_tokens_s"},
                                        {"READ TOKENS/S", "/read_tokens_s"},
                                        {"FAILS", "/fails"},
                                        {"BARRED", "/barred"},
                                        {"REASON", "/reason"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))

static int list(const struct cli *cli, yyjson_doc **doc)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/acceptance?target=", cli->nargs > 0 ? cli->args[0] : "", "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, doc);
    request_end(&r);
    return rc;
}

static bool any_failed(yyjson_doc *doc)
{
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "data"), *item;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *verdict = yyjson_get_str(yyjson_obj_get(item, "verdict"));
        if (verdict && strcmp(verdict, "failed") == 0)
            return true;
    }
    return false;
}

/* Until nothing that was asked for is left; then what is known is in *doc. */
static int wait_done(const struct cli *cli, yyjson_doc **doc)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    for (int i = 0; i < PATIENCE_S * 1000 / LOOK_MS; i++) {
        int rc = list(cli, doc);
        if (rc != CLI_OK || yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(*doc), "pending")) == 0)
            return rc;
        yyjson_doc_free(*doc);
        *doc = NULL;
        (void)nanosleep(&pause, NULL);
    }
    fprintf(stderr, "busbar: the checks are not done after %d seconds; look again with `busbar accept`\n",
            PATIENCE_S);
    return CLI_FAILED;
}

static int ask(const struct cli *cli, bool *any)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_text(&r, "target", cli->args[0]);
    request_member(&r, "quick");
    buf_add_text(&r.body, cli_option(cli, "quick") ? "true" : "false");
    int rc = client_call(cli, "POST", "/api/v1/acceptance", request_body(&r), &doc);
    *any = yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "asked")) > 0;
    request_end(&r);
    yyjson_doc_free(doc);
    return rc;
}

static int lift(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/acceptance/", cli->args[0], "");
    request_query(&r, cli, "site");
    return request_send(&r, cli, "DELETE", NULL, columns, NCOLUMNS);
}

int cli_accept(const struct cli *cli)
{
    yyjson_doc *doc = NULL;
    bool any = true;
    int rc = CLI_OK;
    if (cli->nargs == 0 && (cli_option(cli, "lift") || cli_option(cli, "quick"))) {
        fprintf(stderr, "busbar: accept: say which model or site\n");
        return CLI_USAGE;
    }
    if (cli_option(cli, "lift"))
        return lift(cli);
    if (cli_option(cli, "site")) {
        fprintf(stderr, "busbar: accept: --site goes with --lift\n");
        return CLI_USAGE;
    }
    if (cli->nargs > 0)
        rc = ask(cli, &any);
    if (rc == CLI_OK && !any) {
        fprintf(stderr, "busbar: no replica of %s is ready to be checked\n", cli->args[0]);
        return CLI_FAILED;
    }
    if (rc == CLI_OK)
        rc = cli->nargs > 0 ? wait_done(cli, &doc) : list(cli, &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, NCOLUMNS);
    if (rc == CLI_OK && cli->nargs > 0 && any_failed(doc))
        rc = CLI_FAILED;
    yyjson_doc_free(doc);
    return rc;
}
