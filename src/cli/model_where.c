/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busbar model where: which chips, at which sites, can serve a model, by which recipe and how fast; of the others why not.
 *
 * With --network it is a file's sites; --rules are then judged as core judges them (sim/sim.h makes a core of the file). Without it a hub's, as it
 * has them: the hub says where its model may be (hub/where.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/recipes.h"
#include "cli/request.h"
#include "core/kinds.h"
#include "core/view.h"
#include "sim/sim.h"

#define JSON_MAX ((size_t)8 << 20)
#define SET_UP_MS 1 /* of the network: nothing has happened yet */

struct where_case {
    struct recipe_case rc;
    struct fit fit[NET_CHIPS_MAX];
    bool forbidden[NET_POOLS_MAX]; /* by the rules */
};

/* ---- rules ---- */

/* As a deployment of the model would be judged, in each pool. */
static int judge(void *ctx, const struct core *core, const struct limits *limits, int64_t now_ms,
                 const struct standing *standing, struct err *err)
{
    struct where_case *w = ctx;
    const struct net_model *m = w->rc.model[0];
    struct row_model row = {.kind = MODEL_CHAT};
    (void)limits;
    (void)now_ms;
    (void)standing;
    (void)err;
    memcpy(row.name, m->name, sizeof m->name);
    memcpy(row.origin, m->origin, sizeof m->origin);
    (void)text_set(row.licence, sizeof row.licence, m->licence,
                   strlen(m->licence)); /* as far as a hub's may be long */
    for (uint32_t i = 0; i < netfile_pools(w->rc.net); i++) {
        const struct net_pool *pool = netfile_pool(w->rc.net, i);
        uint32_t chips = w->fit[pool->chip].chips;
        w->forbidden[i] = !view_may_serve(core, &pool->uuid, &row, chips > 0 ? chips : 1);
    }
    return 0;
}

static int read_rules(struct where_case *w, const char *rules)
{
    struct sim_result *result = calloc(1, sizeof *result);
    struct err err = {0};
    const struct sim_options options = {.network = w->rc.network,
                                        .policy = "busbar",
                                        .rules = rules,
                                        .node_chips = 8,
                                        .copies = 1,
                                        .seed = 1,
                                        .until_ms = SET_UP_MS,
                                        .ended = judge,
                                        .ctx = w};
    int rc = result ? sim_run(&options, result, &err) : ERR_NO_MEMORY;
    free(result);
    if (rc == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(rc));
    return rc == ERR_INVALID ? CLI_USAGE : CLI_FAILED;
}

/* ---- one kind ---- */

/* Of a kind on the network: replicas that find room in its pools if nothing else is there, and the sites of these. */
struct room {
    uint32_t replicas, sites, forbidden;
    struct buf names;
};

static uint32_t replicas_in(const struct net_pool *pool, uint32_t chips)
{
    uint32_t node = (uint32_t)pool->node_chips.v;
    return chips <= node ? pool->nodes * (node / chips) : pool->nodes * node / chips;
}

static void add_site(struct room *room, const char *name, bool json)
{
    if (json) {
        buf_add_text(&room->names, room->sites ? "," : "");
        buf_add_json(&room->names, name, strlen(name));
    } else {
        buf_addf(&room->names, "%s%s", room->sites ? " " : "", name);
    }
    room->sites++;
}

static void look(const struct where_case *w, uint32_t kind, bool json, struct room *room)
{
    const struct netfile *net = w->rc.net;
    uint32_t last = NET_NONE;
    *room = (struct room){.replicas = 0};
    buf_init(&room->names, 1 << 20);
    for (uint32_t i = 0; i < netfile_pools(net); i++) {
        const struct net_pool *pool = netfile_pool(net, i);
        if (pool->chip != kind || pool->from_ms != INT64_MIN)
            continue;
        uint32_t n = w->fit[kind].why == FIT_OK ? replicas_in(pool, w->fit[kind].chips) : 0;
        room->forbidden += w->forbidden[i];
        if (w->forbidden[i] || (w->fit[kind].why == FIT_OK && n == 0))
            continue;
        room->replicas += n;
        if (pool->site != last)
            add_site(room, netfile_site(net, pool->site)->name, json);
        last = pool->site;
    }
}

static const char *why_not(const struct fit *fit, const struct room *room)
{
    if (fit->why != FIT_OK)
        return fit_text(fit->why);
    return room->forbidden > 0 ? "the rules let nobody use it there"
                               : "no pool has so many chips in one place";
}

static void print_kind(const struct where_case *w, uint32_t kind)
{
    const struct lineup_kind *k = &w->rc.lineup->kind[kind];
    const struct fit *fit = &w->fit[kind];
    char name[2 * NAME_CAP] = "-";
    struct room room;
    look(w, kind, false, &room);
    if (fit->recipe)
        recipe_name(&w->rc, fit->recipe, name, sizeof name);
    if (fit->why == FIT_OK && room.replicas > 0)
        printf("%-12s %7u  %-18s %-10s %-7s %5u %5u %9u %12llu  %.*s\n", k->chip->name, k->chips, name,
               recipe_status_text(fit->recipe->status), fit->format, fit->least, fit->chips, fit->token_s,
               (unsigned long long)room.replicas * fit->token_s, (int)room.names.len,
               room.names.len ? room.names.data : "");
    else
        printf("%-12s %7u  %-18s no: %s\n", k->chip->name, k->chips, name, why_not(fit, &room));
    buf_fini(&room.names);
}

static void add_kind(const struct where_case *w, uint32_t kind, struct buf *out)
{
    const struct lineup_kind *k = &w->rc.lineup->kind[kind];
    const struct fit *fit = &w->fit[kind];
    char name[2 * NAME_CAP];
    struct room room;
    look(w, kind, true, &room);
    buf_add_text(out, "{\"chip\":");
    buf_add_json(out, k->chip->name, strlen(k->chip->name));
    buf_add_text(out, ",\"vendor\":");
    buf_add_json(out, k->chip->vendor, strlen(k->chip->vendor));
    bool can = fit->why == FIT_OK && room.replicas > 0;
    buf_addf(out, ",\"chips\":%u,\"can\":%s", k->chips, can ? "true" : "false");
    if (fit->recipe) {
        recipe_name(&w->rc, fit->recipe, name, sizeof name);
        buf_add_text(out, ",\"recipe\":");
        buf_add_json(out, name, strlen(name));
        buf_addf(out,
                 ",\"status\":\"%s\",\"format\":\"%s\",\"source\":", recipe_status_text(fit->recipe->status),
                 fit->format);
        buf_add_json(out, fit->recipe->source, strlen(fit->recipe->source));
    }
    if (can)
        buf_addf(out,
                 ",\"chips_least\":%u,\"replica\":{\"chips\":%u,\"tokens_s\":%u},\"replicas\":%u,\"tokens_"
                 "s\":%llu",
                 fit->least, fit->chips, fit->token_s, room.replicas,
                 (unsigned long long)room.replicas * fit->token_s);
    else
        buf_addf(out, ",\"why\":\"%s\",\"text\":\"%s\"",
                 fit->why != FIT_OK ? fit_word(fit->why)
                 : room.forbidden   ? "forbidden"
                                    : "too-small",
                 why_not(fit, &room));
    buf_addf(out, ",\"sites\":[%.*s]}", can ? (int)room.names.len : 0, room.names.len ? room.names.data : "");
    buf_fini(&room.names);
}

static int print_all(const struct where_case *w, bool json)
{
    struct buf out;
    const char *sep = "";
    buf_init(&out, JSON_MAX);
    buf_add_text(&out, "{\"model\":");
    buf_add_json(&out, w->rc.model[0]->name, strlen(w->rc.model[0]->name));
    buf_add_text(&out, ",\"kinds\":[");
    if (!json)
        printf("%-12s %7s  %-18s %-10s %-7s %5s %5s %9s %12s  %s\n", "CHIP", "THERE", "RECIPE", "STATUS",
               "FORMAT", "LEAST", "CHIPS", "TOKENS/S", "OF ALL", "SITES");
    for (uint32_t k = 0; k < w->rc.lineup->nkinds; k++) {
        if (!w->rc.lineup->kind[k].chip)
            continue;
        if (json) {
            buf_add_text(&out, sep);
            add_kind(w, k, &out);
            sep = ",";
        } else {
            print_kind(w, k);
        }
    }
    buf_add_text(&out, "]}");
    if (json)
        return recipe_print(&out);
    buf_fini(&out);
    return CLI_OK;
}

static int in_file(struct where_case *w, const struct cli *cli)
{
    const char *rules = cli_option(cli, "rules");
    int status = recipe_models(&w->rc, cli->args, 1);
    if (status != CLI_OK)
        return status;
    for (uint32_t k = 0; k < w->rc.lineup->nkinds; k++) {
        const struct lineup_kind *kind = &w->rc.lineup->kind[k];
        if (kind->chip)
            w->fit[k] = fit_model(&w->rc.fitter, w->rc.model[0], w->rc.format, kind->chip, kind->node_chips,
                                  kind->most);
    }
    if (rules)
        status = read_rules(w, rules);
    return status == CLI_OK ? print_all(w, cli->json) : status;
}

/* ---- a hub's ---- */

static int at_hub(const struct cli *cli)
{
    static const struct column columns[] = {
        {"SITE", "/site"},     {"CHIP", "/chip"},     {"THERE", "/chips"},         {"CAN", "/can"},
        {"RECIPE", "/recipe"}, {"STATUS", "/status"}, {"CHIPS", "/replica_chips"}, {"WHY", "/text"}};
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/models/", cli->args[0], "/where");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, (int)(sizeof columns / sizeof columns[0]));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_model_where(const struct cli *cli)
{
    static const char *const of_file[] = {"rules", "format",  "context", "untested",
                                          "chips", "recipes", "models",  "efficiency"};
    if (!cli_option(cli, "network")) {
        for (size_t i = 0; i < sizeof of_file / sizeof of_file[0]; i++) {
            if (!cli_option(cli, of_file[i]))
                continue;
            fprintf(stderr, "busbar: --%s goes with --network\n", of_file[i]);
            return CLI_USAGE;
        }
        return at_hub(cli);
    }
    struct where_case *w = calloc(1, sizeof *w);
    if (!w) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    int status = recipe_open(&w->rc, cli, true);
    if (status == CLI_OK)
        status = in_file(w, cli);
    recipe_close(&w->rc);
    free(w);
    return status;
}
