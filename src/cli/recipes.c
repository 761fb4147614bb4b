/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/recipes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"

#define SHARE_PERCENT 30u
#define CONTEXT_MIN 16u

/* ---- files ---- */

static bool find_file(char path[FS_PATH_MAX], const char *given, const char *own)
{
    char share[FS_PATH_MAX];
    if (given)
        return snprintf(path, FS_PATH_MAX, "%s", given) < FS_PATH_MAX;
    return fs_share(share) && fs_join(path, share, own);
}

static int load_recipes(struct recipe_case *rc, const struct cli *cli)
{
    char path[FS_PATH_MAX];
    struct problems problems;
    if (!find_file(path, cli_option(cli, "recipes"), "recipes.yaml")) {
        fprintf(stderr, "busbar: our own folder is not found\n");
        return CLI_FAILED;
    }
    problems_init(&problems);
    int status = CLI_OK, loaded = recipes_load(&rc->recipes, path, &problems);
    if (loaded == 0)
        recipes_check(rc->recipes, path, rc->catalogues.models, rc->catalogues.chips, &problems);
    if (loaded != 0 || !problems_none(&problems))
        status = plan_tell(path, loaded, &problems);
    problems_fini(&problems);
    return status;
}

static int load_network(struct recipe_case *rc, const struct cli *cli)
{
    struct problems problems;
    if (!find_file(rc->network, cli_option(cli, "network"), "network/illustrative.yaml")) {
        fprintf(stderr, "busbar: our own folder is not found\n");
        return CLI_FAILED;
    }
    problems_init(&problems);
    int loaded = netfile_load(&rc->net, rc->network, &problems);
    int status = loaded == 0 ? CLI_OK : plan_tell(rc->network, loaded, &problems);
    problems_fini(&problems);
    rc->lineup = calloc(1, sizeof *rc->lineup);
    if (!rc->lineup)
        return CLI_FAILED;
    if (status == CLI_OK)
        lineup_kinds(rc->lineup, rc->net);
    return status;
}

static int read_options(struct recipe_case *rc, const struct cli *cli)
{
    rc->format = cli_option(cli, "format");
    rc->fitter.untested = cli_option(cli, "untested") != NULL;
    if (rc->format && !models_format(rc->catalogues.models, rc->format)) {
        fprintf(stderr, "busbar: --format: there is no format %s in the catalogue\n", rc->format);
        return CLI_NOT_FOUND;
    }
    int status = cli_count(cli, "context", &rc->fitter.context);
    if (status == CLI_OK && (rc->fitter.context < CONTEXT_MIN || rc->fitter.context > 1u << 24)) {
        fprintf(stderr, "busbar: --context: from %u to %u\n", CONTEXT_MIN, 1u << 24);
        return CLI_USAGE;
    }
    return status;
}

int recipe_open(struct recipe_case *rc, const struct cli *cli, bool net)
{
    int status = plan_catalogues(&rc->catalogues, cli);
    if (status == CLI_OK)
        status = load_recipes(rc, cli);
    if (status == CLI_OK &&
        fitter_init(&rc->fitter, rc->catalogues.models, rc->recipes, &rc->catalogues.delivered) != 0) {
        fprintf(stderr, "busbar: out of memory\n");
        status = CLI_FAILED;
    }
    if (status == CLI_OK)
        status = read_options(rc, cli);
    return status == CLI_OK && net ? load_network(rc, cli) : status;
}

void recipe_close(struct recipe_case *rc)
{
    plan_close(&rc->catalogues);
    recipes_free(rc->recipes);
    fitter_fini(&rc->fitter);
    netfile_free(rc->net);
    free(rc->lineup);
}

/* ---- models ---- */

static const char *model_name(const void *ctx, uint32_t i)
{
    return models_get(ctx, i)->name;
}

static int add_model(struct recipe_case *rc, const char *name)
{
    uint32_t family = recipes_family_named(rc->recipes, name);
    const struct models *models = rc->catalogues.models;
    const struct net_model *m = models_find(models, name);
    if (!m && family != RECIPE_NONE)
        m = models_find(models, recipes_family(rc->recipes, family)->serves);
    if (!m) {
        struct buf near;
        buf_init(&near, 4096);
        plan_nearest(&near, name, model_name, models, models_count(models));
        fprintf(stderr, "busbar: %s: no such model or family%.*s\n", name, (int)near.len,
                near.len ? near.data : "");
        buf_fini(&near);
        return CLI_NOT_FOUND;
    }
    for (uint32_t i = 0; i < rc->n; i++) {
        if (rc->model[i] == m)
            return CLI_OK; /* a model and its family */
    }
    if (rc->n == LINEUP_MAX) {
        fprintf(stderr, "busbar: more than %u models\n", LINEUP_MAX);
        return CLI_USAGE;
    }
    rc->model[rc->n++] = m;
    return CLI_OK;
}

int recipe_models(struct recipe_case *rc, const char *const *name, uint32_t n)
{
    int status = CLI_OK;
    bool all = n == 0 || (n == 1 && strcmp(name[0], "all") == 0);
    for (uint32_t i = 0; all && status == CLI_OK && i < recipes_families(rc->recipes); i++) {
        const struct recipe_family *f = recipes_family(rc->recipes, i);
        if (f->serves[0])
            status = add_model(rc, f->serves);
    }
    for (uint32_t i = 0; !all && status == CLI_OK && i < n; i++)
        status = add_model(rc, name[i]);
    return status;
}

int recipe_models_of(struct recipe_case *rc, const char *text)
{
    char name[MODEL_NAME_CAP];
    const char *one = name;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, p);
        int status = recipe_models(rc, &one, 1);
        if (status != CLI_OK)
            return status;
        p += len + (p[len] == ',');
    }
    return CLI_OK;
}

/* ---- as services ---- */

int recipe_lineup(struct recipe_case *rc, const struct cli *cli)
{
    uint32_t share = SHARE_PERCENT, replicas = 0;
    if (cli_count(cli, "share", &share) != CLI_OK || cli_count(cli, "replicas", &replicas) != CLI_OK)
        return CLI_USAGE;
    if (share == 0 || share > 100) {
        fprintf(stderr, "busbar: --share: percent of all chips, from 1 to 100\n");
        return CLI_USAGE;
    }
    if (cli_option(cli, "replicas") &&
        (cli_option(cli, "share") || replicas == 0 || replicas > SERVICE_REPLICAS_MAX)) {
        fprintf(stderr, "busbar: --replicas: of each model, from 1 to %u, and not with --share\n",
                SERVICE_REPLICAS_MAX);
        return CLI_USAGE;
    }
    if (lineup_make(rc->lineup, &rc->fitter, rc->model, rc->n, rc->format, share * 10, replicas) == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: more than %u models\n", LINEUP_MAX);
    return CLI_USAGE;
}

void recipe_services(const struct recipe_case *rc, struct event_service_set *set, uint32_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < rc->lineup->n; i++)
        *n += lineup_service(rc->lineup, i, &set[*n]);
}

void recipe_name(const struct recipe_case *rc, const struct recipe *recipe, char *dst, size_t cap)
{
    (void)snprintf(dst, cap, "%s%s%s", recipes_engine(rc->recipes, recipe->engine)->name,
                   recipe->build[0] ? " " : "", recipe->build);
}

int recipe_print(struct buf *json)
{
    return print_json_buf(json);
}
