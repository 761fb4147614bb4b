/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

static const struct column columns[] = {
    {"SITE", "/site"},   {"CHIP", "/chip"},       {"NODES", "/nodes"},
    {"UP", "/nodes_up"}, {"CHIPS", "/chips"},     {"IN USE", "/chips_in_use"},
    {"STATE", "/state"}, {"CHIP-HOUR", "/price"}, {"ID", "/id"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))

int cli_pool_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/pools", "", columns, NCOLUMNS);
}

int cli_pool_price(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/pools/", cli->args[0], "/price");
    request_text(&r, "price", cli->args[1]);
    return request_send(&r, cli, "PUT", NULL, columns, NCOLUMNS);
}
