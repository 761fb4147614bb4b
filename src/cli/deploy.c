/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

static const struct column columns[] = {{"MODEL", "/model"},
                                        {"WANTED", "/replicas_wanted"},
                                        {"SLOTS", "/slots"},
                                        {"SITE", "/replicas/0/site"},
                                        {"FIRST REPLICA", "/replicas/0/state"},
                                        {"SINCE", "/replicas/0/since"},
                                        {"DETAIL", "/replicas/0/detail"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))

int cli_deploy(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "model", cli->args[0]);
    request_option_list(&r, cli, "site", "sites");
    request_option_count(&r, cli, "replicas", "replicas");
    request_option_count(&r, cli, "slots", "slots");
    return request_send(&r, cli, "POST", "/api/v1/deployments", columns, NCOLUMNS);
}

int cli_deployments(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/deployments", "", columns, NCOLUMNS);
}

int cli_undeploy(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/deployments/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, columns, NCOLUMNS);
}
