/* SPDX-License-Identifier: Apache-2.0 */
/* A submission from options. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timetext.h"
#include "cli/job.h"

#define CHIPS_MAX 65536
#define GREEN_WAIT "+24h"

static void wrong(struct request *r, const char *option, const char *expected, const char *text)
{
    fprintf(stderr, "busbar: --%s: expected %s, got %s\n", option, expected, text);
    r->bad = true;
}

/* ---- chips ---- */

/* KIND[:COUNT], of `len` bytes, as {"chip":KIND,"chips":COUNT}. */
static void add_kind(struct request *r, const char *text, size_t len, uint64_t chips)
{
    const char *colon = memchr(text, ':', len);
    size_t kind = colon ? (size_t)(colon - text) : len;
    if (kind == 0 || (colon && !u64_parse(colon + 1, len - kind - 1, CHIPS_MAX, &chips)) || chips == 0) {
        fprintf(stderr, "busbar: --chip: expected KIND or KIND:COUNT, got %.*s\n", (int)len, text);
        r->bad = true;
        return;
    }
    buf_add_text(&r->body, "{\"chip\":");
    buf_add_json(&r->body, text, kind);
    buf_addf(&r->body, ",\"chips\":%" PRIu64 "}", chips);
}

/* One kind without a count is as ever; more are alternatives, and --chips the count of those without one. */
static void add_chips(struct request *r, const struct cli *cli)
{
    const char *kinds = cli_option(cli, "chip"), *count = cli_option(cli, "chips");
    uint64_t chips = 1;
    if (!kinds || !strpbrk(kinds, ":,")) {
        request_option(r, cli, "chip", "chip");
        request_option_count(r, cli, "chips", "chips");
        return;
    }
    if (count && (!u64_parse(count, strlen(count), CHIPS_MAX, &chips) || chips == 0)) {
        wrong(r, "chips", "a whole number of at least 1", count);
        return;
    }
    request_member(r, "alternatives");
    buf_add_char(&r->body, '[');
    for (const char *p = kinds;; p++) {
        size_t len = strcspn(p, ",");
        add_kind(r, p, len, chips);
        p += len;
        if (*p == 0)
            break;
        buf_add_char(&r->body, ',');
    }
    buf_add_char(&r->body, ']');
}

/* ---- when ---- */

static void add_span(struct request *r, const struct cli *cli, const char *option, const char *member,
                     bool slurm)
{
    const char *text = cli_option(cli, option);
    uint64_t seconds;
    if (!text)
        return;
    if (!(slurm ? span_parse_slurm : span_parse)(text, strlen(text), &seconds)) {
        wrong(r, option,
              slurm ? "a time such as 90s, 45m, 36h or 3d, or as Slurm's 1-12:00:00"
                    : "a time such as 90s, 45m or 2h",
              text);
        return;
    }
    request_member(r, member);
    buf_addf(&r->body, "%" PRIu64, seconds);
}

static void add_defer(struct request *r, const struct cli *cli)
{
    if (!cli_option(cli, "green")) {
        request_option(r, cli, "defer", "defer_until");
        return;
    }
    if (cli_option(cli, "defer")) {
        fprintf(stderr, "busbar: --green is --defer " GREEN_WAIT ": only one of the two\n");
        r->bad = true;
        return;
    }
    request_text(r, "defer_until", GREEN_WAIT);
}

static void add_priority(struct request *r, const struct cli *cli)
{
    const char *text = cli_option(cli, "priority");
    uint64_t n;
    if (!text)
        return;
    if (!u64_parse(text + (text[0] == '-'), strlen(text + (text[0] == '-')), 100, &n)) {
        wrong(r, "priority", "a whole number from -100 to 100", text);
        return;
    }
    request_member(r, "priority");
    buf_addf(&r->body, "%s%" PRIu64, text[0] == '-' && n > 0 ? "-" : "", n);
}

/* ---- what it gets ---- */

static void add_flag(struct request *r, const struct cli *cli, const char *name)
{
    if (!cli_option(cli, name))
        return;
    request_member(r, name);
    buf_add_text(&r->body, "true");
}

/* Each of an option that may be given several times, as a list. */
static void add_each(struct request *r, const struct cli *cli, const char *name, const char *member)
{
    const char *sep = "";
    if (!cli_option(cli, name))
        return;
    request_member(r, member);
    buf_add_char(&r->body, '[');
    for (int i = 0; i < cli->noptions; i++) {
        if (strcmp(cli->options[i].name, name) != 0)
            continue;
        buf_add_text(&r->body, sep);
        buf_add_json(&r->body, cli->options[i].value, strlen(cli->options[i].value));
        sep = ",";
    }
    buf_add_char(&r->body, ']');
}

/* Each --env; one without a value is taken from our own environment. */
static void add_env(struct request *r, const struct cli *cli)
{
    const char *sep = "";
    if (!cli_option(cli, "env"))
        return;
    request_member(r, "env");
    buf_add_char(&r->body, '[');
    for (int i = 0; i < cli->noptions; i++) {
        const char *text = cli->options[i].value;
        const char *ours = strchr(text, '=') ? NULL : getenv(text);
        if (strcmp(cli->options[i].name, "env") != 0)
            continue;
        struct buf pair;
        buf_init(&pair, 1 << 20);
        buf_addf(&pair, "%s%s%s", text, ours ? "=" : "", ours ? ours : "");
        buf_add_text(&r->body, sep);
        buf_add_json(&r->body, pair.data ? pair.data : "", pair.len);
        buf_fini(&pair);
        sep = ",";
    }
    buf_add_char(&r->body, ']');
}

/* ---- the whole ---- */

void job_options_add(struct request *r, const struct cli *cli, bool tenant)
{
    const char *named = cli_option(cli, "tenant");
    if (!named && !cli->key && !tenant)
        request_text(r, "tenant", named = "default");
    request_option(r, cli, "tenant", "tenant");
    if (named && !text_set(r->tenant, sizeof r->tenant, named, strlen(named)))
        wrong(r, "tenant", "a name", named);
    request_option(r, cli, "name", "name");
    add_chips(r, cli);
    request_option_count(r, cli, "memory", "memory_mib");
    request_option_list(r, cli, "after", "after");
    request_option(r, cli, "array", "array");
    request_option(r, cli, "cwd", "cwd");
    request_option(r, cli, "site", "site");
    request_option(r, cli, "near", "near");
    request_option(r, cli, "jurisdiction", "jurisdiction");
    request_option(r, cli, "vendor", "vendor");
    request_option(r, cli, "data-class", "data_class");
    request_option(r, cli, "data-home", "data_home");
    request_option(r, cli, "kind", "kind");
    request_option(r, cli, "isolation", "isolation");
    add_span(r, cli, "time", "time_limit_s", true);
    request_option(r, cli, "deadline", "deadline");
    add_defer(r, cli);
    add_span(r, cli, "checkpoint-every", "checkpoint_every_s", false);
    add_span(r, cli, "checkpoint-cost", "checkpoint_cost_s", false);
    add_priority(r, cli);
    add_flag(r, cli, "interruptible");
    request_option(r, cli, "on-disconnect", "on_disconnect");
    add_flag(r, cli, "network");
    add_each(r, cli, "out", "outputs");
    add_env(r, cli);
}

void job_argv_add(struct request *r, const char *const *args, int nargs)
{
    request_member(r, "argv");
    buf_add_char(&r->body, '[');
    for (int i = 0; i < nargs; i++) {
        buf_add_text(&r->body, i ? "," : "");
        buf_add_json(&r->body, args[i], strlen(args[i]));
    }
    buf_add_char(&r->body, ']');
}
