/* SPDX-License-Identifier: Apache-2.0 */
/* Tariffs: a file that is checked here, compared with what is in force by the hub, and put in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/request.h"
#include "hub/amount.h"
#include "network/tariff.h"

#define TEXT_MAX ((size_t)4 << 20)

/* A file, or standard input. */
static int read_text(const char *path, struct buf *out, struct err *err)
{
    char piece[65536];
    ssize_t n;
    if (strcmp(path, "-") != 0)
        return fs_read(path, out, err);
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0 && !out->failed)
        buf_add(out, piece, (size_t)n);
    if (n < 0 || out->failed)
        return err_set(err, ERR_IO, "cannot read standard input%s", n < 0 ? "" : ": it is too long");
    return 0;
}

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
    int failed = tariff ? read_text(path, &text, &err) : ERR_NO_MEMORY;
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
        printf("{\"tariff\":\"%s\",\"currency\":\"%s\",\"models\":%u,\"chips\":%u,\"corridors\":%u,"
               "\"tenants\":%u}\n",
               t->name, t->currency, t->nmodels, t->nchips, t->ncorridors, t->ntenants);
    else
        printf("%s: %s, %u prices of models, %u of chips, %u corridors, %u tenants, in %s, from: %s\n",
               cli->args[0], t->name, t->nmodels, t->nchips, t->ncorridors, t->ntenants, t->currency, from);
    free(t);
    return CLI_OK;
}

static void add_amount_member(struct buf *out, const char *name, int64_t nano)
{
    char text[AMOUNT_TEXT_MAX];
    amount_format(text, nano);
    buf_addf(out, ",\"%s\":\"%s\"", name, text);
}

/* The comma before what follows, or the bracket. */
static void next(struct buf *out)
{
    buf_add_text(out, buf_last(out) == '[' ? "" : ",");
}

static void add_models(struct buf *out, const struct tariff_file *t, uint32_t tenant)
{
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < t->nmodels; i++) {
        const struct tariff_model *m = &t->model[i];
        if (m->tenant != tenant)
            continue;
        next(out);
        buf_addf(out, "{\"name\":\"%s\"", m->name);
        if (m->general) {
            buf_add_text(out, ",\"general\":true}");
            continue;
        }
        add_amount_member(out, "input", m->input);
        add_amount_member(out, "cached", m->cached);
        add_amount_member(out, "output", m->output);
        add_amount_member(out, "reasoning", m->reasoning);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_terms(struct buf *out, const struct terms *t)
{
    uint32_t hours, factor, from, to;
    buf_addf(out, ",\"deferrable\":%u,\"interruptible\":%u,\"energy\":\"%s\"", t->deferrable,
             t->interruptible, t->flags & TERMS_ENERGY ? "pass-through" : "included");
    if (t->signal_max > 0)
        buf_addf(out, ",\"signal\":{\"min\":%u,\"max\":%u}", t->signal_min, t->signal_max);
    buf_add_text(out, ",\"bands\":[");
    for (uint32_t i = 0; terms_band(t, i, &hours, &factor); i++) {
        terms_hours(hours, &from, &to);
        next(out);
        buf_addf(out, "{\"hours\":\"%u-%u\",\"factor\":%u}", from, to, factor);
    }
    buf_add_char(out, ']');
}

static void add_chips(struct buf *out, const struct tariff_file *t, uint32_t tenant)
{
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < t->nchips; i++) {
        const struct tariff_chip *c = &t->chip[i];
        if (c->tenant != tenant)
            continue;
        next(out);
        buf_addf(out, "{\"kind\":\"%s\"", c->kind);
        if (c->general)
            buf_add_text(out, ",\"general\":true");
        else
            add_amount_member(out, "hour", c->terms.hour);
        if (tenant == TARIFF_NOBODY)
            add_terms(out, &c->terms);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_tenant(struct buf *out, const struct tariff_file *t, uint32_t tenant)
{
    const struct tariff_tenant *one = &t->tenant[tenant];
    buf_addf(out, "{\"name\":\"%s\"", one->name);
    if (one->has_minimum)
        add_amount_member(out, "minimum", one->minimum);
    buf_add_text(out, ",\"models\":");
    add_models(out, t, tenant);
    buf_add_text(out, ",\"chips\":");
    add_chips(out, t, tenant);
    buf_add_text(out, ",\"free\":[");
    for (uint32_t i = 0; i < t->nfree; i++) {
        const struct tariff_free *f = &t->free[i];
        if (f->tenant != tenant)
            continue;
        next(out);
        buf_addf(out, "{\"%s\":\"%s\",\"%s\":%llu}", f->model[0] ? "model" : "chip",
                 f->model[0] ? f->model : f->chip, f->model[0] ? "tokens" : "chip_ms",
                 (unsigned long long)f->n);
    }
    buf_add_text(out, "]}");
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
    add_models(&r->body, t, TARIFF_NOBODY);
    request_member(r, "chips");
    add_chips(&r->body, t, TARIFF_NOBODY);
    request_member(r, "corridors");
    buf_add_char(&r->body, '[');
    for (uint32_t i = 0; i < t->ncorridors; i++) {
        next(&r->body);
        buf_addf(&r->body, "{\"a\":\"%s\",\"b\":\"%s\"", t->corridor[i].a, t->corridor[i].b);
        add_amount_member(&r->body, "gb", t->corridor[i].gb);
        buf_add_char(&r->body, '}');
    }
    buf_add_char(&r->body, ']');
    request_member(r, "tenants");
    buf_add_char(&r->body, '[');
    for (uint32_t i = 0; i < t->ntenants; i++) {
        next(&r->body);
        add_tenant(&r->body, t, i);
    }
    buf_add_char(&r->body, ']');
}

static int send(const struct cli *cli, const char *path)
{
    static const struct column columns[] = {{"WHAT", "/what"},         {"TENANT", "/tenant"},
                                            {"PRICE OF", "/price_of"}, {"NOW", "/now"},
                                            {"THEN", "/then"},         {"FROM", "/from"}};
    int rc;
    struct tariff_file *t = load(cli->args[0], &rc);
    struct request r;
    if (!t)
        return rc;
    request_begin(&r);
    add_tariff(&r, t);
    free(t);
    return request_send(&r, cli, "POST", path, columns, 6);
}

int cli_tariff_diff(const struct cli *cli)
{
    return send(cli, "/api/v1/tariff/diff");
}

int cli_tariff_apply(const struct cli *cli)
{
    return send(cli, "/api/v1/tariff");
}
