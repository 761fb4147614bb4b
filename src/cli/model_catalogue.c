/* SPDX-License-Identifier: Apache-2.0 */
/* busbar model catalogue: families of open-weight models, and what one weighs in each format. No hub is asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/recipes.h"

#define JSON_MAX ((size_t)8 << 20)

static double billions(uint64_t params)
{
    return (double)params / 1e9;
}

/* Bytes of the weights in a format. */
static uint64_t size_in(const struct net_model *m, const struct model_format *format)
{
    return (uint64_t)((int128)model_params(m) * format->bits.v / 8000);
}

static const struct net_model *model_of(const struct recipe_case *rc, const struct recipe_family *f,
                                        uint32_t i)
{
    return models_find(rc->catalogues.models, f->models.v[i]);
}

/* ---- all families ---- */

static void print_family(const struct recipe_case *rc, const struct recipe_family *f)
{
    uint64_t least = UINT64_MAX, most = 0;
    const struct net_model *largest = NULL;
    for (uint32_t i = 0; i < f->models.n; i++) {
        const struct net_model *m = model_of(rc, f, i);
        uint64_t params = m ? model_params(m) : 0;
        if (params == 0)
            continue;
        least = params < least ? params : least;
        if (params > most) {
            most = params;
            largest = m;
        }
    }
    if (!largest)
        return;
    printf("%-14s %3u  %8.2f %8.2f %6lld %6lld %9lld  %-3s %-8s %-28s %s\n", f->name, f->models.n,
           billions(least), billions(most), (long long)largest->layers.v, (long long)largest->heads.v,
           (long long)largest->context.v, largest->origin, largest->use == MODEL_FREE ? "free" : "limited",
           largest->licence, largest->maker);
}

static void print_families(const struct recipe_case *rc)
{
    printf("%-14s %3s  %8s %8s %6s %6s %9s  %-3s %-8s %-28s %s\n", "FAMILY", "N", "B FROM", "B TO", "LAYERS",
           "HEADS", "CONTEXT", "OF", "USE", "LICENCE", "MAKER");
    for (uint32_t i = 0; i < recipes_families(rc->recipes); i++)
        print_family(rc, recipes_family(rc->recipes, i));
}

/* ---- one model ---- */

static bool is_asked(const struct recipe_case *rc, const struct model_format *f)
{
    return !rc->format || strcmp(rc->format, f->name) == 0;
}

static void print_model(const struct recipe_case *rc, const struct net_model *m)
{
    const struct models *models = rc->catalogues.models;
    printf("%s (%s): %.2f B parameters, %.2f B for a token; %lld layers, %lld heads (%lld), context %lld; "
           "%s, %s\n",
           m->name, m->title, billions(model_params(m)), billions(model_params_active(m)),
           (long long)m->layers.v, (long long)m->heads.v, (long long)m->kv_heads.v, (long long)m->context.v,
           m->licence, m->origin);
    for (uint32_t i = 0; i < models_formats(models); i++) {
        const struct model_format *f = models_format_get(models, i);
        if (is_asked(rc, f))
            printf("  %-8s %10.2f GB\n", f->name, (double)size_in(m, f) / 1e9);
    }
}

static void add_text(struct buf *out, const char *key, const char *text)
{
    buf_addf(out, ",\"%s\":", key);
    buf_add_json(out, text, strlen(text));
}

static void add_model(const struct recipe_case *rc, const struct net_model *m, struct buf *out)
{
    const struct models *models = rc->catalogues.models;
    const char *sep = "";
    buf_add_text(out, "{\"name\":");
    buf_add_json(out, m->name, strlen(m->name));
    add_text(out, "title", m->title);
    add_text(out, "maker", m->maker);
    add_text(out, "origin", m->origin);
    add_text(out, "licence", m->licence);
    buf_addf(out,
             ",\"use\":\"%s\",\"params\":%llu,\"params_active\":%llu,\"layers\":%lld,\"heads\":%lld,"
             "\"kv_heads\":%lld,\"context\":%lld,\"kv_bytes\":%llu,\"bytes\":{",
             m->use == MODEL_FREE ? "free" : "limited", (unsigned long long)model_params(m),
             (unsigned long long)model_params_active(m), (long long)m->layers.v, (long long)m->heads.v,
             (long long)m->kv_heads.v, (long long)m->context.v, (unsigned long long)model_kv_bytes(m));
    for (uint32_t i = 0; i < models_formats(models); i++) {
        const struct model_format *f = models_format_get(models, i);
        if (!is_asked(rc, f))
            continue;
        buf_addf(out, "%s\"%s\":%llu", sep, f->name, (unsigned long long)size_in(m, f));
        sep = ",";
    }
    buf_add_text(out, "}}");
}

/* The families, or the one that is asked for; of it all models, or the one that is. */
static int tell_json(const struct recipe_case *rc, uint32_t family, const struct net_model *only)
{
    struct buf json;
    const char *sep = "";
    buf_init(&json, JSON_MAX);
    buf_add_text(&json, "{\"families\":[");
    for (uint32_t i = 0; i < recipes_families(rc->recipes); i++) {
        const struct recipe_family *f = recipes_family(rc->recipes, i);
        const char *comma = "";
        if (family != RECIPE_NONE && family != i)
            continue;
        buf_addf(&json, "%s{\"name\":", sep);
        sep = ",";
        buf_add_json(&json, f->name, strlen(f->name));
        add_text(&json, "title", f->title);
        add_text(&json, "gguf", f->gguf);
        buf_add_text(&json, ",\"models\":[");
        for (uint32_t k = 0; k < f->models.n; k++) {
            const struct net_model *m = model_of(rc, f, k);
            if (!m || (only && m != only))
                continue;
            buf_add_text(&json, comma);
            comma = ",";
            add_model(rc, m, &json);
        }
        buf_add_text(&json, "]}");
    }
    buf_add_text(&json, "]}");
    return recipe_print(&json);
}

static int tell(struct recipe_case *rc, const struct cli *cli)
{
    const char *name = cli->nargs ? cli->args[0] : NULL;
    uint32_t family = name ? recipes_family_named(rc->recipes, name) : RECIPE_NONE;
    const struct net_model *only = NULL;
    /* A name may be both: phi-2 is the only one of its family. */
    if (name && family == RECIPE_NONE) {
        int status = recipe_models(rc, &name, 1);
        if (status != CLI_OK)
            return status;
        only = rc->model[0];
        family = recipes_family_of(rc->recipes, only->name);
    }
    if (cli->json)
        return tell_json(rc, family, only);
    if (!name) {
        print_families(rc);
    } else if (only) {
        print_model(rc, only);
    } else {
        const struct recipe_family *f = recipes_family(rc->recipes, family);
        for (uint32_t i = 0; i < f->models.n; i++)
            print_model(rc, model_of(rc, f, i));
    }
    return CLI_OK;
}

int cli_model_catalogue(const struct cli *cli)
{
    struct recipe_case *rc = calloc(1, sizeof *rc);
    if (!rc) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    int status = recipe_open(rc, cli, false);
    if (status == CLI_OK)
        status = tell(rc, cli);
    recipe_close(rc);
    free(rc);
    return status;
}
