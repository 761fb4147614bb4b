/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/request.h"
#include "gateway/edge.h"
#include "site/identity.h"

#define LISTEN_DEFAULT "127.0.0.1:7071"
#define DRAIN_S_DEFAULT 30
#define QUEUE_MAX_DEFAULT 4096

static const struct column columns[] = {{"NAME", "/name"},
                                        {"JOINED", "/joined"},
                                        {"SINCE", "/joined_at"},
                                        {"WORKERS", "/workers"},
                                        {"ID", "/id"}};
static const struct column invited[] = {
    {"gateway", "/name"}, {"hub", "/hub"}, {"token", "/token"}, {"until", "/token_expires"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int cli_gateway_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/gateways", "", columns, COUNT(columns));
}

int cli_gateway_add(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    return request_send(&r, cli, "POST", "/api/v1/gateways", columns, COUNT(columns));
}

int cli_gateway_token(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/gateways/", cli->args[0], "/token");
    request_option_count(&r, cli, "minutes", "minutes");
    return request_send(&r, cli, "POST", NULL, invited, COUNT(invited));
}

int cli_gateway_remove(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/gateways/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, columns, COUNT(columns));
}

/* ---- at the gateway ---- */

int cli_gateway_join(const struct cli *cli)
{
    struct err err = {0};
    const char *token = cli_option(cli, "token");
    if (!token) {
        fprintf(
            stderr,
            "busbar: gateway join: --token is needed (`busbar gateway token NAME` at the hub makes one)\n");
        return CLI_USAGE;
    }
    int rc = member_join(cli->data, cli->args[0], token, "gateway", &err);
    if (rc == 0)
        printf("joined    %s\nnext      busbar gateway run --data %s\n", cli->args[0], cli->data);
    return print_outcome(rc, &err);
}

int cli_gateway_run(const struct cli *cli)
{
    struct err err = {0};
    const char *listen = cli_option(cli, "listen"), *level = cli_option(cli, "log-level");
    int log_level = LOG_INFO;
    struct edge_options options = {.data_dir = cli->data,
                                   .listen = listen ? listen : LISTEN_DEFAULT,
                                   .tls_cert = cli_option(cli, "tls-cert"),
                                   .tls_key = cli_option(cli, "tls-key"),
                                   .engines = cli_option(cli, "engines"),
                                   .drain_s = DRAIN_S_DEFAULT,
                                   .queue_max = QUEUE_MAX_DEFAULT};
    if (cli_count(cli, "workers", &options.workers) != 0 || cli_count(cli, "drain", &options.drain_s) != 0 ||
        cli_count(cli, "queue", &options.queue_max) != 0)
        return CLI_USAGE;
    if (level && cli_log_level(level, &log_level) != 0) {
        fprintf(stderr, "busbar: --log-level: debug, info, warn or error\n");
        return CLI_USAGE;
    }
    log_init(STDERR_FILENO, (enum log_level)log_level, cli_option(cli, "log-json") != NULL);
    return print_outcome(edge_run(&options, &err), &err);
}
