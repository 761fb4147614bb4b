/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/request.h"

static const struct column columns[] = {{"NAME", "/name"},     {"CURRENCY", "/currency"},
                                        {"BUDGET", "/budget"}, {"SPENT", "/spent"},
                                        {"HELD", "/held"},     {"AVAILABLE", "/available"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))
static const struct column one[] = {
    {"NAME", "/name"},        {"CURRENCY", "/currency"}, {"BUDGET", "/budget"},
    {"SPENT", "/spent"},      {"HELD", "/held"},         {"AVAILABLE", "/available"},
    {"BLOBS", "/blob_bytes"}, {"OF", "/blob_bytes_max"}, {"JURISDICTION", "/jurisdiction"},
    {"LICENCE", "/licence"}};

int cli_tenant_add(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    request_option(&r, cli, "budget", "budget");
    request_option(&r, cli, "currency", "currency");
    request_option(&r, cli, "jurisdiction", "jurisdiction");
    request_option(&r, cli, "licence", "licence");
    return request_send(&r, cli, "POST", "/api/v1/tenants", columns, NCOLUMNS);
}

int cli_tenant_set(const struct cli *cli)
{
    static const struct column facts[] = {
        {"NAME", "/name"}, {"JURISDICTION", "/jurisdiction"}, {"LICENCE", "/licence"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "/facts");
    request_option(&r, cli, "jurisdiction", "jurisdiction");
    request_option(&r, cli, "licence", "licence");
    return request_send(&r, cli, "PUT", NULL, facts, (int)(sizeof facts / sizeof facts[0]));
}

int cli_tenant_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/tenants", "limit cursor", columns, NCOLUMNS);
}

int cli_tenant_show(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "");
    return request_get(&r, cli, one, (int)(sizeof one / sizeof one[0]));
}

int cli_tenant_budget(const struct cli *cli)
{
    struct request r;
    if (cli_option(cli, "per") || cli_option(cli, "soft") || cli_option(cli, "at"))
        return cli_tenant_limit(cli);
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "/budget");
    request_text(&r, "budget", cli->args[1]);
    return request_send(&r, cli, "PUT", NULL, columns, NCOLUMNS);
}
