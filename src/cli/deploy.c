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
                                        {"WAITS FOR", "/waits_for"},
                                        {"CLUSTER", "/cluster/summary"},
                                        {"RECIPES", "/recipes"}};
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

/* KIND:N,... */
static void add_kinds(struct request *r, const char *text)
{
    const char *sep = "";
    buf_add_text(&r->body, "\"kinds\":{");
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ","), name = strcspn(p, ":");
        uint64_t n;
        if (name >= len || !u64_parse(p + name + 1, len - name - 1, UINT32_MAX, &n)) {
            wrong(r, "on", "kinds of chip with how many workers each, such as h20:2,mtt-s4000:2", text);
            return;
        }
        buf_add_text(&r->body, sep);
        buf_add_json(&r->body, p, name);
        buf_addf(&r->body, ":%" PRIu64, n);
        sep = ",";
        p += len + (p[len] == ',');
    }
    buf_add_char(&r->body, '}');
}

static void add_counts(struct request *r, const struct cli *cli, const char **sep)
{
    static const struct {
        const char *option, *member;
    } counts[] = {{"members", "members"}, {"memory-mib", "memory_mib"}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const char *text = cli_option(cli, counts[i].option);
        uint64_t n;
        if (!text)
            continue;
        if (!u64_parse(text, strlen(text), UINT32_MAX, &n)) {
            wrong(r, counts[i].option, "a number", text);
            return;
        }
        buf_addf(&r->body, "%s\"%s\":%" PRIu64, *sep, counts[i].member, n);
        *sep = ",";
    }
}

static void add_cluster(struct request *r, const struct cli *cli)
{
    static const char *const only[] = {"members", "on", "memory-mib", "corridors"};
    const char *sep = "";
    bool asked = cli_option(cli, "cluster") != NULL;
    for (size_t i = 0; i < sizeof only / sizeof *only && !asked; i++) {
        if (!cli_option(cli, only[i]))
            continue;
        fprintf(stderr, "busbar: --%s: only with --cluster\n", only[i]);
        r->bad = true;
    }
    if (!asked)
        return;
    request_member(r, "cluster");
    buf_add_char(&r->body, '{');
    add_counts(r, cli, &sep);
    if (cli_option(cli, "corridors")) {
        buf_addf(&r->body, "%s\"corridors\":true", sep);
        sep = ",";
    }
    if (cli_option(cli, "on")) {
        buf_add_text(&r->body, sep);
        add_kinds(r, cli_option(cli, "on"));
    }
    buf_add_char(&r->body, '}');
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
    add_cluster(&r, cli);
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
