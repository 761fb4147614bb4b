/* SPDX-License-Identifier: Apache-2.0 */
#include "network/fit.h"

#include <stdlib.h>

#define CONTEXT 4096u
#define PROMPT 1024u
#define BATCH 64u
#define SIZES 3u /* that are compared */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

int fitter_init(struct fitter *fitter, const struct models *models, const struct recipes *recipes,
                const struct model_delivered *delivered)
{
    *fitter = (struct fitter){.models = models,
                              .recipes = recipes,
                              .delivered = *delivered,
                              .context = CONTEXT,
                              .prompt = PROMPT,
                              .batch = BATCH,
                              .block = aligned_alloc(16, (cluster_size() + 15) / 16 * 16),
                              .plan = calloc(1, sizeof *fitter->plan)};
    return fitter->block && fitter->plan ? 0 : ERR_NO_MEMORY;
}

void fitter_fini(struct fitter *fitter)
{
    free(fitter->block);
    free(fitter->plan);
    fitter->block = NULL;
    fitter->plan = NULL;
}

/* ---- which recipe ---- */

static enum fit_why find(const struct fitter *f, const struct net_model *model, const char *format,
                         const struct net_chip *chip, struct fit *out)
{
    struct recipe_ask ask = {.family = recipes_family_of(f->recipes, model->name),
                             .chip = chip->name,
                             .vendor = chip->vendor,
                             .format = format,
                             .untested = f->untested};
    if (ask.family == RECIPE_NONE)
        return FIT_RECIPE;
    out->recipe = recipes_find(f->recipes, &ask, &out->format);
    if (out->recipe)
        return FIT_OK;
    ask.untested = true;
    if (recipes_find(f->recipes, &ask, NULL))
        return FIT_UNTESTED;
    ask.format = NULL;
    return format && recipes_find(f->recipes, &ask, NULL) ? FIT_FORMAT : FIT_RECIPE;
}

/* ---- how many chips ---- */

/* The number of chips after `n`: doubled in a node, then two, three, four, six, eight, ... of them. */
static uint32_t next(uint32_t n, uint32_t node)
{
    if (n < node)
        return least(n * 2, node);
    uint32_t nodes = n / node, power = 1;
    while (power * 2 <= nodes)
        power *= 2;
    return (nodes == 1 ? 2 : nodes + (power > 1 ? power / 2 : 1)) * node;
}

static bool plan(struct fitter *f, const struct cluster_model *shape, const struct model_format *format,
                 const struct net_chip *chip, uint32_t chips, uint32_t group)
{
    struct cluster_pool pool;
    struct cluster_site site = model_site(&f->delivered);
    if (!model_pool(&f->delivered, chip, chips, least(chips, group), &pool))
        return false;
    model_pool_format(&f->delivered, chip, format, &pool);
    const struct cluster_problem problem = {
        .model = shape,
        .pool = &pool,
        .site = &site,
        .pools = 1,
        .sites = 1,
        .goal = {.aim = CLUSTER_MOST, .context = f->context, .prompt = f->prompt, .batch_max = f->batch}};
    return cluster_plan(f->block, &problem, f->plan) == 0;
}

/* If so many chips give more for each of them. */
static void take(struct fit *fit, uint32_t chips, uint64_t token_s)
{
    token_s = token_s > UINT32_MAX ? UINT32_MAX : token_s > 0 ? token_s : 1;
    if (fit->why == FIT_OK && token_s * fit->chips <= (uint64_t)fit->token_s * chips)
        return;
    fit->why = FIT_OK;
    fit->chips = chips;
    fit->token_s = (uint32_t)token_s;
}

struct fit fit_model(struct fitter *f, const struct net_model *model, const char *format,
                     const struct net_chip *chip, uint32_t node_chips, uint32_t most)
{
    struct fit fit = {0};
    struct cluster_pool pool;
    fit.why = find(f, model, format, chip, &fit);
    if (fit.why != FIT_OK)
        return fit;
    const struct recipe_engine *engine = recipes_engine(f->recipes, fit.recipe->engine);
    const struct model_format *weights = models_format(f->models, fit.format);
    fit.why = FIT_PUBLISHED;
    if (!weights || !model_pool(&f->delivered, chip, 1, 1, &pool))
        return fit;
    struct cluster_model shape = model_cluster(model, weights);
    uint32_t context = f->context, prompt = f->prompt;
    f->context = least(context, (uint32_t)model->context.v);
    f->prompt = least(prompt, f->context / 2 > 0 ? f->context / 2 : 1);
    uint32_t limit = least(engine->pipelines == MODEL_YES ? CLUSTER_CHIPS_MAX : node_chips, most);
    fit.why = FIT_SIZE;
    for (uint32_t n = 1, sizes = 0; n <= limit && sizes < SIZES; n = next(n, node_chips)) {
        if (!plan(f, &shape, weights, chip, n, engine->groups == MODEL_YES ? node_chips : 1))
            continue;
        if (sizes++ == 0)
            fit.least = n;
        take(&fit, n, f->plan->token_s_e3 / 1000);
    }
    f->context = context;
    f->prompt = prompt;
    return fit;
}

/* ---- words ---- */

const char *fit_word(enum fit_why why)
{
    static const char *const words[] = {
#define F(name, word, text) word,
        FIT_WHYS(F)
#undef F
    };
    return why < FIT_WHYS_END ? words[why] : "";
}

const char *fit_text(enum fit_why why)
{
    static const char *const texts[] = {
#define F(name, word, text) text,
        FIT_WHYS(F)
#undef F
    };
    return why < FIT_WHYS_END ? texts[why] : "";
}
