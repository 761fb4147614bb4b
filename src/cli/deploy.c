/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/timetext.h"
#include "cli/request.h"

static const struct column columns[] = {{"MODEL", "/model"},
                                        {"MIN", "/min"},
                                        {"MAX", "/max"},
                                        {"WANTED", "/replicas_wanted"},
                                        {"READY", "/replicas_ready"},
                                        {"SLOTS", "/slots"},
                                        {"WHERE", "/where"},
                                        {"FIRST REPLICA", "/replicas/0/state"},
                                        {"SINCE", "/replicas/0/since"},
                                        {"DETAIL", "/replicas/0/detail"},
                                        {"WAITS FOR", "/waits_for"}};
#define NCOLUMNS ((int)(sizeof columns / sizeof columns[0]))

static void wrong(struct request *r, const char *option, const char *expected, const char *text)
{
    fprintf(stderr, "busbar: --%s: expected %s, got %s\n", option, expected, text);
    r->bad = true;
}

/* N, or MIN:MAX. */
static void add_replicas(struct request *r, const struct cli *cli)
{
    const char *text = cli_option(cli, "replicas"), *colon = text ? strchr(text, ':') : NULL;
    uint64_t min = 0, max = 0;
    if (!text)
        return;
    if ((colon && !u64_parse(text, (size_t)(colon - text), UINT32_MAX, &min)) ||
        !u64_parse(colon ? colon + 1 : text, strlen(colon ? colon + 1 : text), UINT32_MAX, &max)) {
        wrong(r, "replicas", "a number N or MIN:MAX, such as 0:4", text);
        return;
    }
    if (colon) {
        request_member(r, "min");
        buf_addf(&r->body, "%" PRIu64, min);
    }
    request_member(r, colon ? "max" : "replicas");
    buf_addf(&r->body, "%" PRIu64, max);
}

static void add_span(struct request *r, const struct cli *cli, const char *option, const char *member)
{
    const char *text = cli_option(cli, option);
    uint64_t seconds;
    if (!text)
        return;
    if (!span_parse(text, strlen(text), &seconds)) {
        wrong(r, option, "a time such as 90s, 5m or 2h", text);
        return;
    }
    request_member(r, member);
    buf_addf(&r->body, "%" PRIu64, seconds);
}

int cli_deploy(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "model", cli->args[0]);
    request_option_list(&r, cli, "site", "sites");
    request_option(&r, cli, "near", "near");
    add_replicas(&r, cli);
    request_option_count(&r, cli, "slots", "slots");
    request_option_count(&r, cli, "chips", "chips");
    request_option(&r, cli, "chip", "chip");
    request_option(&r, cli, "engine", "engine");
    add_span(&r, cli, "hold", "hold_s");
    add_span(&r, cli, "idle", "idle_s");
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
