/* SPDX-License-Identifier: Apache-2.0 */
/* A case of `busbar plan` from options and files: the model's shape, pools of chips, the goal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/plan.h"
#include "engine/gguf.h"
#include "network/decimal.h"

#define NODE_CHIPS 8u /* of a node, if the chip's catalogue does not say less */
#define BATCH 64u
#define CONTEXT 4096u
#define PROMPT 1024u
#define NEAR_MAX 3u

/* ---- names ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Letters to change, add or take away. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[MODEL_NAME_CAP + 1], n = (uint32_t)strnlen(b, MODEL_NAME_CAP);
    for (uint32_t j = 0; j <= n; j++)
        row[j] = j;
    for (uint32_t i = 1; a[i - 1]; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= n; j++) {
            uint32_t above = row[j];
            row[j] = least(least(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

void plan_nearest(struct buf *out, const char *name, const char *(*get)(const void *ctx, uint32_t i),
                  const void *ctx, uint32_t n)
{
    uint32_t near[NEAR_MAX], far[NEAR_MAX], found = 0;
    uint32_t most = (uint32_t)strlen(name) / 2 + 1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = strstr(get(ctx, i), name) ? 1 : distance(name, get(ctx, i)), at = found;
        if (d > most)
            continue;
        for (; at > 0 && far[at - 1] > d; at--) {
            if (at < NEAR_MAX) {
                near[at] = near[at - 1];
                far[at] = far[at - 1];
            }
        }
        if (at == NEAR_MAX)
            continue;
        near[at] = i;
        far[at] = d;
        found += found < NEAR_MAX;
    }
    for (uint32_t i = 0; i < found; i++)
        buf_addf(out, "%s%s", i ? ", " : "; did you mean ", get(ctx, near[i]));
    if (found > 0)
        buf_add_char(out, '?');
}

static const char *model_name(const void *ctx, uint32_t i)
{
    return models_get(ctx, i)->name;
}

static const char *chip_name(const void *ctx, uint32_t i)
{
    return netfile_chip(ctx, i)->name;
}

static const char *format_name(const void *ctx, uint32_t i)
{
    return models_format_get(ctx, i)->name;
}

static int unknown(const char *what, const char *name, const char *(*get)(const void *, uint32_t),
                   const void *ctx, uint32_t n)
{
    struct buf near;
    buf_init(&near, 4096);
    plan_nearest(&near, name, get, ctx, n);
    char *text = buf_take(&near);
    fprintf(stderr, "busbar: %s: no such %s%s\n", name, what, text ? text : "");
    free(text);
    buf_fini(&near);
    return CLI_NOT_FOUND;
}

const struct net_chip *plan_chip(const struct plan_case *pc, const char *name)
{
    for (uint32_t i = 0; i < netfile_chips(pc->chips); i++) {
        if (strcmp(netfile_chip(pc->chips, i)->name, name) == 0)
            return netfile_chip(pc->chips, i);
    }
    (void)unknown("chip", name, chip_name, pc->chips, netfile_chips(pc->chips));
    return NULL;
}

/* ---- files ---- */

int plan_tell(const char *path, int rc, const struct problems *problems)
{
    print_problems(problems);
    if (problems_none(problems))
        fprintf(stderr, "busbar: %s: %s\n", path, err_text(rc));
    return CLI_FAILED;
}

static bool find_file(char path[FS_PATH_MAX], const char *given, const char *own)
{
    char share[FS_PATH_MAX];
    if (given)
        return snprintf(path, FS_PATH_MAX, "%s", given) < FS_PATH_MAX;
    return fs_share(share) && fs_join(path, share, own);
}

/* --efficiency compute=0.9,bandwidth=0.8,memory=0.9,link=0.9 */
static int read_shares(struct model_delivered *d, const char *text)
{
    const struct {
        const char *name;
        struct figure *to;
    } shares[] = {{"compute", &d->compute},
                  {"attention", &d->attention},
                  {"bandwidth", &d->bandwidth},
                  {"memory", &d->memory},
                  {"link", &d->link}};
    for (const char *p = text ? text : ""; *p;) {
        size_t len = strcspn(p, ","), key = strcspn(p, "=");
        bool read = false;
        for (uint32_t i = 0; i < sizeof shares / sizeof *shares && key < len; i++) {
            int64_t v;
            if (strlen(shares[i].name) != key || memcmp(shares[i].name, p, key) != 0 ||
                decimal_parse(p + key + 1, len - key - 1, 3, &v) != DECIMAL_OK || v < 1 || v > 1000)
                continue;
            *shares[i].to = (struct figure){v, TIER_GIVEN};
            read = true;
        }
        if (!read) {
            fprintf(stderr,
                    "busbar: --efficiency: expected compute, attention, bandwidth, memory or link, each = "
                    "0.001 to 1, "
                    "with commas, "
                    "got %.*s\n",
                    (int)len, p);
            return CLI_USAGE;
        }
        p += len + (p[len] == ',');
    }
    return CLI_OK;
}

int plan_catalogues(struct plan_case *pc, const struct cli *cli)
{
    char chips[FS_PATH_MAX], models[FS_PATH_MAX];
    struct problems problems;
    if (!find_file(chips, cli_option(cli, "chips"), "chips.yaml") ||
        !find_file(models, cli_option(cli, "models"), "models.yaml")) {
        fprintf(stderr, "busbar: our own folder is not found\n");
        return CLI_FAILED;
    }
    problems_init(&problems);
    const char *path = chips;
    int rc = netfile_load_chips(&pc->chips, chips, &problems);
    if (rc == 0) {
        path = models;
        rc = models_load(&pc->models, models, &problems);
    }
    if (rc != 0)
        rc = plan_tell(path, rc, &problems);
    problems_fini(&problems);
    if (rc == CLI_OK)
        pc->delivered = *models_delivered(pc->models);
    return rc == CLI_OK ? read_shares(&pc->delivered, cli_option(cli, "efficiency")) : rc;
}

static bool is_file(const char *name)
{
    size_t len = strlen(name);
    return strchr(name, '/') || (len > 5 && strcmp(name + len - 5, ".gguf") == 0);
}

/* A file says how large it is and how many layers it has; all of it is counted as layers, each read whole. */
static int open_file(struct plan_case *pc)
{
    struct gguf_info info;
    struct err err = {0};
    struct stat st;
    char quant[NAME_CAP];
    if (gguf_read(&info, pc->name, &err) != 0 || stat(pc->name, &st) != 0) {
        fprintf(stderr, "busbar: %s: %s\n", pc->name, err.msg[0] ? err.msg : "cannot be read");
        return CLI_FAILED;
    }
    if (info.layers == 0 || info.layers > CLUSTER_LAYERS_MAX || info.embedding == 0 || info.heads == 0 ||
        info.kv_heads == 0 || info.embedding > 1u << 17) {
        fprintf(stderr, "busbar: %s: does not say how many layers and heads it has\n", pc->name);
        return CLI_FAILED;
    }
    for (uint32_t i = 0; i < sizeof quant; i++)
        quant[i] = i < sizeof info.quantisation
                       ? (char)(info.quantisation[i] >= 'A' && info.quantisation[i] <= 'Z'
                                    ? info.quantisation[i] + 32
                                    : info.quantisation[i])
                       : 0;
    const struct model_format *format = models_format(pc->models, quant);
    uint64_t bits = format ? (uint64_t)format->bits.v : 16000, bytes = (uint64_t)st.st_size;
    (void)snprintf(pc->title, sizeof pc->title, "%s", info.name[0] ? info.name : pc->name);
    (void)snprintf(pc->quantisation, sizeof pc->quantisation, "%s", quant);
    pc->weights = bytes;
    pc->shape = (struct cluster_model){.layers = (uint32_t)info.layers,
                                       .hidden = (uint32_t)info.embedding,
                                       .kv_heads = (uint32_t)info.kv_heads,
                                       .activation_bytes = 2,
                                       .layer_bytes = bytes / info.layers + 1,
                                       .layer_flop = bytes / info.layers * 16000 / bits + 1,
                                       .kv_bytes = 4 * info.kv_heads * (info.embedding / info.heads),
                                       .attend_flop = 4 * info.embedding,
                                       .attend_first_flop = 4 * info.embedding};
    pc->problem.goal.context = info.context && info.context < CONTEXT ? (uint32_t)info.context : CONTEXT;
    return CLI_OK;
}

static int open_model(struct plan_case *pc, const struct cli *cli)
{
    const char *quant = cli_option(cli, "quant");
    pc->name = cli->args[0];
    if (is_file(pc->name)) {
        if (!quant)
            return open_file(pc);
        fprintf(stderr, "busbar: --quant: a file has its weights as they are\n");
        return CLI_USAGE;
    }
    pc->model = models_find(pc->models, pc->name);
    if (!pc->model)
        return unknown("model", pc->name, model_name, pc->models, models_count(pc->models));
    pc->format = models_format(pc->models, quant ? quant : "bf16");
    if (!pc->format)
        return unknown("format", quant ? quant : "bf16", format_name, pc->models, models_formats(pc->models));
    (void)snprintf(pc->title, sizeof pc->title, "%s", pc->model->title);
    (void)snprintf(pc->quantisation, sizeof pc->quantisation, "%s", pc->format->name);
    pc->shape = model_cluster(pc->model, pc->format);
    pc->weights = (uint64_t)((double)model_params(pc->model) / 8e3 * (double)pc->format->bits.v);
    pc->problem.goal.context = least((uint32_t)pc->model->context.v, CONTEXT);
    return CLI_OK;
}

/* ---- chips ---- */

static int bad_chips(const char *part)
{
    fprintf(stderr, "busbar: --on: expected CHIP:COUNT or CHIP:COUNT@SITE, with commas, got %s\n", part);
    return CLI_USAGE;
}

static uint32_t site_of(struct plan_case *pc, const char *name)
{
    for (uint32_t i = 0; i < pc->problem.pools; i++) {
        if (strcmp(pc->of[i].site, name) == 0)
            return pc->pool[i].site;
    }
    pc->site[pc->problem.sites] = model_site(&pc->delivered);
    return pc->problem.sites++;
}

/* Whole nodes, then what is left of one. */
static int add_pools(struct plan_case *pc, const struct net_chip *chip, const char *site, uint32_t count,
                     uint32_t group)
{
    uint32_t up = figure_given(chip->scale_up) ? (uint32_t)chip->scale_up.v : NODE_CHIPS;
    uint32_t node = least(least(up, NODE_CHIPS), group), part[2] = {count / node * node, count % node};
    uint32_t at = site_of(pc, site);
    for (uint32_t i = 0; i < 2; i++) {
        if (part[i] == 0)
            continue;
        if (pc->problem.pools == CLUSTER_POOLS_MAX) {
            fprintf(stderr, "busbar: --on: more than %u pools of chips\n", CLUSTER_POOLS_MAX);
            return CLI_USAGE;
        }
        uint32_t n = pc->problem.pools;
        if (!model_pool(&pc->delivered, chip, part[i], least(node, part[i]), &pc->pool[n])) {
            fprintf(stderr,
                    "busbar: %s: its computing power, memory or bandwidth is not published; give a catalogue "
                    "of your own "
                    "with --chips\n",
                    chip->name);
            return CLI_FAILED;
        }
        model_pool_format(&pc->delivered, chip, pc->format, &pc->pool[n]);
        pc->pool[n].site = at;
        pc->of[n].chip = chip;
        (void)snprintf(pc->of[n].site, sizeof pc->of[n].site, "%s", site);
        pc->problem.pools++;
    }
    return CLI_OK;
}

static int read_chips(struct plan_case *pc, const char *text, uint32_t group)
{
    char part[CHIP_CAP + NAME_CAP + 16];
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        uint64_t count;
        if (len == 0 || len >= sizeof part)
            return bad_chips(p);
        memcpy(part, p, len);
        part[len] = 0;
        char *colon = strchr(part, ':'), *at = strchr(part, '@');
        size_t digits = !colon ? 0 : at && at > colon ? (size_t)(at - colon - 1) : strlen(colon + 1);
        if (!colon || colon == part || (at && at < colon) ||
            !u64_parse(colon + 1, digits, CLUSTER_CHIPS_MAX, &count) || count == 0 ||
            (at && !name_valid(at + 1, strlen(at + 1))))
            return bad_chips(part);
        *colon = 0;
        const struct net_chip *chip = plan_chip(pc, part);
        if (!chip)
            return CLI_NOT_FOUND;
        int rc = add_pools(pc, chip, at ? at + 1 : "", (uint32_t)count, group);
        if (rc != CLI_OK)
            return rc;
        p += len + (p[len] == ',');
    }
    return CLI_OK;
}

/* ---- the goal ---- */

/* "50ms", "2s", "800us". */
static bool read_time(const char *text, size_t len, int64_t *ps)
{
    static const struct {
        const char *unit;
        int64_t ps;
    } units[] = {{"us", 1000000}, {"ms", 1000000000}, {"s", 1000000000000}};
    for (uint32_t i = 0; i < 3; i++) {
        size_t unit = strlen(units[i].unit);
        int64_t v;
        if (len <= unit || memcmp(text + len - unit, units[i].unit, unit) != 0 ||
            decimal_parse(text, len - unit, 6, &v) != DECIMAL_OK)
            continue;
        if (v <= 0 || v > STAGE_PS_MAX / units[i].ps * 1000000)
            return false;
        *ps = v * (units[i].ps / 1000000);
        return true;
    }
    return false;
}

static int read_goal(struct cluster_goal *goal, const char *text)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        if (len == 10 && memcmp(p, "throughput", 10) == 0) {
            goal->aim = CLUSTER_MOST;
        } else if (len == 7 && memcmp(p, "latency", 7) == 0) {
            goal->aim = CLUSTER_SOONEST;
        } else if (!(len > 5 && memcmp(p, "tpot=", 5) == 0 && read_time(p + 5, len - 5, &goal->tpot_ps)) &&
                   !(len > 5 && memcmp(p, "ttft=", 5) == 0 && read_time(p + 5, len - 5, &goal->ttft_ps))) {
            fprintf(stderr,
                    "busbar: --goal: expected throughput, latency, tpot=TIME or ttft=TIME as 50ms or 2s, "
                    "with commas, got "
                    "%.*s\n",
                    (int)len, p);
            return CLI_USAGE;
        }
        p += len + (p[len] == ',');
    }
    return CLI_OK;
}

static int count(const struct cli *cli, const char *name, uint32_t min, uint32_t max, uint32_t *value)
{
    int rc = cli_count(cli, name, value);
    if (rc == CLI_OK && cli_option(cli, name) && (*value < min || *value > max)) {
        fprintf(stderr, "busbar: --%s: from %u to %u\n", name, min, max);
        return CLI_USAGE;
    }
    return rc;
}

static int read_counts(struct plan_case *pc, const struct cli *cli, uint32_t *group)
{
    struct cluster_goal *goal = &pc->problem.goal;
    uint32_t most = pc->model ? (uint32_t)pc->model->context.v : 1u << 24, kv = 16;
    goal->batch_max = BATCH;
    int rc = count(cli, "context", 1, most, &goal->context);
    goal->prompt = least(PROMPT, goal->context / 2);
    if (rc == CLI_OK)
        rc = count(cli, "prompt", 1, goal->context, &goal->prompt);
    if (rc == CLI_OK)
        rc = count(cli, "batch", 1, CLUSTER_BATCH_MAX, &goal->batch_max);
    if (rc == CLI_OK)
        rc = count(cli, "groups", 1, CLUSTER_NODE_MAX, group);
    if (rc == CLI_OK)
        rc = count(cli, "kv", 8, 16, &kv);
    if (rc == CLI_OK && kv != 8 && kv != 16) {
        fprintf(stderr, "busbar: --kv: 8 or 16 bits\n");
        return CLI_USAGE;
    }
    if (rc == CLI_OK && kv == 8)
        model_kv_8bit(&pc->shape);
    return rc;
}

/* --draft N:TOKENS: so many are guessed in a step, and so many are gained by it. */
static int read_draft(struct cluster_goal *goal, const char *text)
{
    const char *colon = text ? strchr(text, ':') : NULL;
    uint64_t draft;
    int64_t accepted;
    if (!text)
        return CLI_OK;
    if (!colon || !u64_parse(text, (size_t)(colon - text), CLUSTER_DRAFT_MAX, &draft) || draft == 0 ||
        decimal_parse(colon + 1, strlen(colon + 1), 3, &accepted) != DECIMAL_OK || accepted < 1000 ||
        accepted > 1000 * (int64_t)(1 + draft)) {
        fprintf(
            stderr,
            "busbar: --draft: expected GUESSED:GAINED as 1:1.7, up to %u guessed in a step and from 1 to one "
            "more than that gained, got %s\n",
            CLUSTER_DRAFT_MAX, text);
        return CLI_USAGE;
    }
    goal->draft = (uint32_t)draft;
    goal->accepted_e3 = (uint32_t)accepted;
    return CLI_OK;
}

int plan_open(struct plan_case *pc, const struct cli *cli)
{
    const char *on = cli_option(cli, "on"), *goal = cli_option(cli, "goal");
    const char *reference = cli_option(cli, "reference");
    uint32_t group = NODE_CHIPS;
    if (!on || !on[0]) {
        fprintf(stderr, "busbar: plan: on which chips? --on CHIP:COUNT[@SITE],...\n");
        return CLI_USAGE;
    }
    int rc = plan_catalogues(pc, cli);
    if (rc == CLI_OK)
        rc = open_model(pc, cli);
    pc->problem.goal.aim = CLUSTER_MOST;
    if (rc == CLI_OK)
        rc = read_counts(pc, cli, &group);
    if (rc == CLI_OK)
        rc = read_goal(&pc->problem.goal, goal ? goal : "throughput");
    if (rc == CLI_OK)
        rc = read_draft(&pc->problem.goal, cli_option(cli, "draft"));
    if (rc == CLI_OK)
        rc = read_chips(pc, on, group);
    if (rc == CLI_OK)
        rc = plan_measured(pc, cli);
    if (rc != CLI_OK)
        return rc;
    pc->problem.goal.corridors = cli_option(cli, "corridors") != NULL;
    pc->problem.goal.spread = group > 1;
    pc->problem.goal.overlap = cli_option(cli, "overlap") != NULL;
    pc->problem.model = &pc->shape;
    pc->problem.pool = pc->pool;
    pc->problem.site = pc->site;
    pc->reference = plan_chip(pc, reference ? reference : PLAN_REFERENCE);
    pc->block = aligned_alloc(16, (cluster_size() + 15) / 16 * 16);
    if (!pc->block)
        fprintf(stderr, "busbar: out of memory\n");
    return !pc->reference ? CLI_NOT_FOUND : pc->block ? CLI_OK : CLI_FAILED;
}

void plan_close(struct plan_case *pc)
{
    free(pc->measured);
    netfile_free(pc->chips);
    models_free(pc->models);
    free(pc->block);
}
