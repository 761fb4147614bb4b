/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busbar model without: which models outlive the loss of a vendor, a site, or all chips of one country, on a network as a file.
 *
 * Nothing is reckoned here: the models become services (network/lineup.h), the simulator runs core until their replicas are placed, and
 * the loss is played on a copy of that core (sim/trial.h), as a hub's drill is. docs/recipes.md tells what is assumed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/recipes.h"
#include "core/kinds.h"
#include "sim/sim.h"
#include "sim/trial.h"

#define JSON_MAX ((size_t)8 << 20)
#define PLACED_MS 600000 /* until when replicas have their places */
#define LOSSES_MAX 32u

struct without {
    struct recipe_case rc;
    const char *what; /* as it was written */
    uint32_t nlosses;
    struct trial_loss loss[LOSSES_MAX];
    struct event_service_set set[LINEUP_MAX];
    uint32_t nset;
    struct standing_report report;
    struct sim_result result;
};

/* ---- what is lost ---- */

static bool lose_vendor(struct without *w, const char *vendor)
{
    for (uint32_t i = 0; i < w->nlosses; i++) {
        if (strcmp(w->loss[i].vendor, vendor) == 0)
            return true;
    }
    if (w->nlosses == LOSSES_MAX)
        return false;
    w->loss[w->nlosses++] = (struct trial_loss){.vendor = vendor};
    return true;
}

/* All vendors of the network that have the name, or a chip of the origin. */
static bool lose_vendors(struct without *w, const char *name, bool origin)
{
    for (uint32_t k = 0; k < w->rc.lineup->nkinds; k++) {
        const struct net_chip *chip = w->rc.lineup->kind[k].chip;
        if (chip && strcmp(origin ? chip->origin : chip->vendor, name) == 0 && !lose_vendor(w, chip->vendor))
            return false;
    }
    return w->nlosses > 0;
}

static bool lose_site(struct without *w, const char *name)
{
    for (uint32_t i = 0; i < netfile_sites(w->rc.net); i++) {
        const struct net_site *site = netfile_site(w->rc.net, i);
        if (strcmp(site->name, name) == 0)
            w->loss[w->nlosses++] = (struct trial_loss){.site = site->uuid};
    }
    return w->nlosses > 0;
}

static int read_loss(struct without *w, const char *text)
{
    const char *name = strchr(text, '=');
    bool found = false;
    w->what = text;
    if (name && strncmp(text, "vendor=", 7) == 0) {
        found = lose_vendors(w, name + 1, false);
    } else if (name && strncmp(text, "origin=", 7) == 0) {
        found = lose_vendors(w, name + 1, true);
    } else if (name && strncmp(text, "site=", 5) == 0) {
        found = lose_site(w, name + 1);
    } else {
        fprintf(stderr, "busbar: model without: vendor=NAME, site=NAME or origin=CC, not %s\n", text);
        return CLI_USAGE;
    }
    if (found)
        return CLI_OK;
    fprintf(stderr, "busbar: %s: the network has nothing of it\n", text);
    return CLI_NOT_FOUND;
}

/* ---- playing it ---- */

static int play(void *ctx, const struct core *core, const struct limits *limits, int64_t now_ms,
                const struct standing *standing, struct err *err)
{
    struct without *w = ctx;
    struct trial *trial = trial_take(core, limits, now_ms);
    if (!trial)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = trial_stand(trial);
    if (rc == 0)
        rc = trial_lose_all(trial, w->loss, w->nlosses);
    if (rc == 0)
        standing_of_trial(standing, trial, &w->report);
    else if (rc == ERR_LIMIT)
        err_set(err, rc, "there are too many replicas for a copy: take a lower --share");
    else
        err_set(err, rc, "the loss cannot be played: %s", err_text(rc));
    trial_free(trial);
    return rc;
}

static int run(struct without *w, const struct cli *cli)
{
    struct err err = {0};
    const struct sim_options options = {.network = w->rc.network,
                                        .policy = "busbar",
                                        .rules = cli_option(cli, "rules"),
                                        .node_chips = 8,
                                        .copies = 1,
                                        .seed = 1,
                                        .preempt = PREEMPT_FIRM,
                                        .reserve = RESERVE_TELL,
                                        .until_ms = PLACED_MS,
                                        .standing = w->set,
                                        .nstanding = w->nset,
                                        .ended = play,
                                        .ctx = w};
    int rc = sim_run(&options, &w->result, &err);
    if (rc == 0 && w->result.violations == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", rc == 0 ? w->result.violation : err.msg);
    return rc == ERR_INVALID ? CLI_USAGE : CLI_FAILED;
}

/* ---- telling ---- */

static const struct standing_sum *sum_of(const struct without *w, const struct lineup_entry *e)
{
    for (uint32_t i = 0; i < w->report.n; i++) {
        if (strcmp(w->report.sum[i].name, e->model->name) == 0)
            return &w->report.sum[i];
    }
    return NULL;
}

static bool is_lost(const struct without *w, const struct net_chip *chip)
{
    for (uint32_t i = 0; i < w->nlosses; i++) {
        if (w->loss[i].vendor && strcmp(w->loss[i].vendor, chip->vendor) == 0)
            return true;
    }
    return false;
}

/* Chips that could serve it are left, whether or not they have room. */
static bool has_chips(const struct without *w, const struct lineup_entry *e)
{
    for (uint32_t k = 0; k < w->rc.lineup->nkinds; k++) {
        if (e->can[k] && !is_lost(w, w->rc.lineup->kind[k].chip))
            return true;
    }
    return false;
}

/* What became of a model: where it is no more, why. */
static const char *fate(const struct without *w, const struct lineup_entry *e)
{
    const struct standing_sum *s = sum_of(w, e);
    if (!s)
        return "no-recipe"; /* on this network, even before */
    uint32_t before = standing_all(s->before), lost = standing_all(s->stopped);
    if (before == 0)
        return "not-placed";
    if (before - lost + standing_all(s->again) > 0)
        return lost == 0 ? "untouched" : "survives";
    return has_chips(w, e) ? "dies-no-room" : "dies-no-recipe";
}

/* "mi300x 12 x 2": replicas that run again, and chips of each. */
static void add_again(struct buf *out, const struct standing_sum *s)
{
    const char *sep = "";
    for (uint32_t k = 0; k < s->kinds; k++) {
        if (s->again[k] == 0)
            continue;
        buf_addf(out, "%s%s %u x %u", sep, s->chip[k], s->again[k], s->count[k]);
        sep = ", ";
    }
}

static void print_row(const struct without *w, const struct lineup_entry *e)
{
    const struct standing_sum *s = sum_of(w, e);
    struct buf again;
    if (!s) {
        printf("%-20s %8s %6s %6s %6s %12s %12s %6s  %s\n", e->model->name, "-", "-", "-", "-", "-", "-", "-",
               fate(w, e));
        return;
    }
    buf_init(&again, 4096);
    add_again(&again, s);
    uint64_t before = standing_tokens(s, s->before);
    uint64_t after = before - standing_tokens(s, s->stopped) + standing_tokens(s, s->again);
    uint32_t left = standing_all(s->before) - standing_all(s->stopped) + standing_all(s->again);
    printf("%-20s %8u %6u %6u %6u %12llu %12llu %+5.0f%%  %s%s%.*s\n", s->name, standing_all(s->before),
           standing_all(s->stopped), standing_all(s->again), left, (unsigned long long)before,
           (unsigned long long)after,
           before ? 100.0 * ((double)after - (double)before) / (double)before : 0.0, fate(w, e),
           again.len ? ": " : "", (int)again.len, again.len ? again.data : "");
    buf_fini(&again);
}

struct totals {
    uint32_t survive, die, untouched, nowhere;
    uint64_t before, lost, again; /* tokens a second */
    uint32_t replicas, stopped, run_again;
};

static struct totals total(const struct without *w)
{
    struct totals t = {0};
    for (uint32_t i = 0; i < w->rc.lineup->n; i++) {
        const struct standing_sum *s = sum_of(w, &w->rc.lineup->entry[i]);
        const char *word = fate(w, &w->rc.lineup->entry[i]);
        t.untouched += strcmp(word, "untouched") == 0;
        t.survive += strcmp(word, "survives") == 0;
        t.die += strncmp(word, "dies", 4) == 0;
        t.nowhere += !s || strcmp(word, "not-placed") == 0;
        if (!s)
            continue;
        t.before += standing_tokens(s, s->before);
        t.lost += standing_tokens(s, s->stopped);
        t.again += standing_tokens(s, s->again);
        t.replicas += standing_all(s->before);
        t.stopped += standing_all(s->stopped);
        t.run_again += standing_all(s->again);
    }
    return t;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_all(const struct without *w)
{
    struct totals t = total(w);
    printf("%-20s %8s %6s %6s %6s %12s %12s %6s\n", "MODEL", "REPLICAS", "LOST", "AGAIN", "LEFT", "TOKENS/S",
           "AFTER", "");
    for (uint32_t i = 0; i < w->rc.lineup->n; i++)
        print_row(w, &w->rc.lineup->entry[i]);
    printf("\nwithout %s: of %u models %u survive, %u are untouched, %u die, %u had no place before\n",
           w->what, w->rc.lineup->n, t.survive, t.untouched, t.die, t.nowhere);
    printf("%u of %u replicas stop, %u run again; %.1f %% of %llu tokens/s are lost, %.1f %% come back\n",
           t.stopped, t.replicas, t.run_again, percent(t.lost, t.before), (unsigned long long)t.before,
           percent(t.again, t.before));
}

static void add_totals(const struct without *w, struct buf *json)
{
    struct totals t = total(w);
    buf_addf(json,
             ",\"survive\":%u,\"untouched\":%u,\"die\":%u,\"no_place\":%u,\"replicas\":%u,\"lost\":%u,"
             "\"again\":%u,\"tokens_s\":%llu,\"tokens_s_lost\":%llu,\"tokens_s_again\":%llu",
             t.survive, t.untouched, t.die, t.nowhere, t.replicas, t.stopped, t.run_again,
             (unsigned long long)t.before, (unsigned long long)t.lost, (unsigned long long)t.again);
    buf_add_text(json, ",\"fates\":{");
    for (uint32_t i = 0; i < w->rc.lineup->n; i++) {
        const struct lineup_entry *e = &w->rc.lineup->entry[i];
        buf_add_text(json, i ? "," : "");
        buf_add_json(json, e->model->name, strlen(e->model->name));
        buf_addf(json, ":\"%s\"", fate(w, e));
    }
    buf_add_char(json, '}');
}

static int tell_json(const struct without *w)
{
    struct buf json;
    buf_init(&json, JSON_MAX);
    buf_add_text(&json, "{\"without\":");
    buf_add_json(&json, w->what, strlen(w->what));
    buf_add_text(&json, ",\"network\":");
    buf_add_json(&json, w->rc.network, strlen(w->rc.network));
    add_totals(w, &json);
    buf_add_text(&json, ",\"models\":");
    standing_json(&w->report, &json);
    buf_add_char(&json, '}');
    return recipe_print(&json);
}

int cli_model_without(const struct cli *cli)
{
    struct without *w = calloc(1, sizeof *w);
    if (!w) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    int status = recipe_open(&w->rc, cli, true);
    if (status == CLI_OK)
        status = read_loss(w, cli->args[0]);
    if (status == CLI_OK)
        status = recipe_models(&w->rc, cli->args + 1, (uint32_t)cli->nargs - 1);
    if (status == CLI_OK)
        status = recipe_lineup(&w->rc, cli);
    if (status == CLI_OK) {
        recipe_services(&w->rc, w->set, &w->nset);
        status = run(w, cli);
    }
    if (status == CLI_OK && cli->json)
        status = tell_json(w);
    else if (status == CLI_OK)
        print_all(w);
    recipe_close(&w->rc);
    free(w);
    return status;
}
