/* SPDX-License-Identifier: Apache-2.0 */
/* Recalls of weights by their digest. */
#include <stdio.h>

#include "cli/request.h"

static const struct column columns[] = {
    {"DIGEST", "/digest"},     {"REASON", "/reason"}, {"ASKED", "/asked"}, {"GONE", "/gone"},
    {"REPLICAS", "/replicas"}, {"LIFTED", "/lifted"}, {"ID", "/id"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))

int cli_model_recall(const struct cli *cli)
{
    struct request r;
    const char *reason = cli_option(cli, "reason");
    bool lift = cli_option(cli, "lift") != NULL;
    if (lift == (reason != NULL)) {
        fprintf(stderr, "busbar: model recall: either --reason TEXT, or --lift\n");
        return CLI_USAGE;
    }
    request_begin(&r);
    if (lift) {
        request_path(&r, "/api/v1/recalls/", cli->args[0], "");
        return request_send(&r, cli, "DELETE", NULL, columns, NCOLUMNS);
    }
    request_text(&r, "digest", cli->args[0]);
    request_text(&r, "reason", reason);
    return request_send(&r, cli, "POST", "/api/v1/recalls", columns, NCOLUMNS);
}

int cli_model_recalls(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/recalls", "", columns, NCOLUMNS);
}
