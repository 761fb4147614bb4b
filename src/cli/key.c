/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/request.h"

static const struct column columns[] = {
    {"ID", "/public_id"},  {"NAME", "/name"},       {"TENANT", "/tenant"},  {"PROJECT", "/project"},
    {"SCOPES", "/scopes"}, {"MODELS", "/models"},   {"BUDGET", "/budget"},  {"RPM", "/rpm"},
    {"TPM", "/tpm"},       {"EXPIRES", "/expires"}, {"REVOKED", "/revoked"}};
static const struct column added[] = {
    {"key", "/key"}, {"id", "/public_id"}, {"tenant", "/tenant"}, {"scopes", "/scopes"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int cli_key_add(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    if (!cli_option(cli, "tenant") && !cli->key)
        request_text(&r, "tenant", "default");
    request_option(&r, cli, "tenant", "tenant");
    request_option_list(&r, cli, "scopes", "scopes");
    request_option_list(&r, cli, "models", "models");
    request_option_count(&r, cli, "rpm", "rpm");
    request_option_count(&r, cli, "tpm", "tpm");
    request_option_count(&r, cli, "expires", "expires");
    request_option(&r, cli, "budget", "budget");
    request_option(&r, cli, "project", "project");
    int rc = r.bad ? CLI_USAGE : client_call(cli, "POST", "/api/v1/keys", request_body(&r), &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, added, COUNT(added));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_key_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/keys", "tenant limit cursor", columns, COUNT(columns));
}

int cli_key_revoke(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/keys/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, columns, COUNT(columns));
}
