/* SPDX-License-Identifier: Apache-2.0 */
/* Tariffs: a file that is checked here, compared with what is in force by the hub, and put in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/request.h"
#include "hub/amount.h"
#include "network/tariff.h"

#define TEXT_MAX ((size_t)4 << 20)

/* The file's tariff; NULL after messages, with the exit status in *rc. The caller frees. */
static struct tariff_file *load(const char *path, int *rc)
{
    struct tariff_file *tariff = calloc(1, sizeof *tariff);
    struct problems problems;
    struct err err = {0};
    struct buf text;
    char line[PROBLEM_TEXT_CAP];
    buf_init(&text, TEXT_MAX);
    problems_init(&problems);
    int failed = tariff ? fs_read(path, &text, &err) : ERR_NO_MEMORY;
    bool good = failed == 0 && tariff_read(tariff, path, text.data ? text.data : "", text.len, &problems);
    if (failed != 0)
        fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(failed));
    for (uint32_t i = 0; i < problems.n; i++) {
        problem_format(line, &problems.list[i]);
        fprintf(stderr, "busbar: %s\n", line);
    }
    if (problems.dropped)
        fprintf(stderr, "busbar: and %u more\n", problems.dropped);
    *rc = good ? CLI_OK : failed == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    problems_fini(&problems);
    buf_fini(&text);
    if (!good)
        free(tariff);
    return good ? tariff : NULL;
}

int cli_tariff_check(const struct cli *cli)
{
    int rc;
    struct tariff_file *t = load(cli->args[0], &rc);
    if (!t)
        return rc;
    char from[25] = "at once";
    if (t->from_ms > 0)
        clock_format(from, t->from_ms);
    if (cli->json)
        printf("{\"tariff\":\"%s\",\"currency\":\"%s\",\"models\":%u,\"chips\":%u}\n", t->name, t->currency,
               t->nmodels, t->nchips);
    else
        printf("%s: %s, %u models, %u kinds of chips, in %s, from: %s\n", cli->args[0], t->name, t->nmodels,
               t->nchips, t->currency, from);
    free(t);
    return CLI_OK;
}

static void add_amount_member(struct buf *out, const char *name, int64_t nano)
{
    char text[AMOUNT_TEXT_MAX];
    amount_format(text, nano);
    buf_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_tariff(struct request *r, const struct tariff_file *t)
{
    char from[25];
    request_text(r, "tariff", t->name);
    request_text(r, "currency", t->currency);
    if (t->from_ms > 0) {
        clock_format(from, t->from_ms);
        request_text(r, "from", from);
    }
    request_member(r, "models");
    for (uint32_t i = 0; i < t->nmodels; i++) {
        buf_addf(&r->body, "%s{\"name\":\"%s\"", i ? "," : "[", t->model[i].name);
        add_amount_member(&r->body, "input", t->model[i].input);
        add_amount_member(&r->body, "cached", t->model[i].cached);
        add_amount_member(&r->body, "output", t->model[i].output);
        add_amount_member(&r->body, "reasoning", t->model[i].reasoning);
        buf_add_char(&r->body, '}');
    }
    buf_add_text(&r->body, t->nmodels ? "]" : "[]");
    request_member(r, "chips");
    for (uint32_t i = 0; i < t->nchips; i++) {
        buf_addf(&r->body, "%s{\"kind\":\"%s\"", i ? "," : "[", t->chip[i].kind);
        add_amount_member(&r->body, "hour", t->chip[i].hour);
        buf_add_char(&r->body, '}');
    }
    buf_add_text(&r->body, t->nchips ? "]" : "[]");
}

static int send(const struct cli *cli, const char *path)
{
    static const struct column columns[] = {
        {"WHAT", "/what"}, {"PRICE OF", "/price_of"}, {"NOW", "/now"}, {"THEN", "/then"}, {"FROM", "/from"}};
    int rc;
    struct tariff_file *t = load(cli->args[0], &rc);
    struct request r;
    if (!t)
        return rc;
    request_begin(&r);
    add_tariff(&r, t);
    free(t);
    return request_send(&r, cli, "POST", path, columns, 5);
}

int cli_tariff_diff(const struct cli *cli)
{
    return send(cli, "/api/v1/tariff/diff");
}

int cli_tariff_apply(const struct cli *cli)
{
    return send(cli, "/api/v1/tariff");
}
