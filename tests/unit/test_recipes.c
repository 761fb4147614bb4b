/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes: which one is taken, every kind of mistake, what a replica takes on a chip, and that ours agree with the other catalogues. */
#include "support.h"

#include "network/lineup.h"

#define ENGINES \
    "prefer: [bf16, q4_0]\nengines:\n" \
    "  - {name: e, title: t, package: p, argv: [e, \"{model}\", -n, x, -n, y], health: /h, source: s, " \
    "groups: yes, " \
    "pipelines: yes}\n" \
    "  - {name: own, title: t, started: own, package: p, argv: [own], health: /h, source: s, groups: no, " \
    "pipelines: no}\n"
#define FAMILIES \
    "families:\n  - {name: a, title: A, gguf: llama, serves: a-1, models: [a-1, a-2]}\n" \
    "  - {name: b, title: B, gguf: llama, models: [b-1], prefer: [q4_0]}\n" \
    "  - {name: c, title: C, gguf: other, models: [c-1]}\nsets:\n  - {name: both, families: [a, b]}\n"
#define SAID "formats: [bf16, q4_0], source: s}\n"
#define RECIPES \
    "recipes:\n  - {engine: e, build: X, vendors: [v], except: [v-old], set: both, status: untested, " SAID \
    "  - {engine: e, build: Y, vendors: [v], families: [a], status: documented, " SAID \
    "  - {engine: own, chips: [cpu], families: [a, c], status: measured, formats: [q4_0], source: s}\n"
#define ALL ENGINES FAMILIES RECIPES

static struct recipes *read_text(const char *text, struct problems *problems)
{
    struct recipes *recipes;
    problems_init(problems);
    int rc = recipes_read(&recipes, "r.yaml", text, strlen(text), problems);
    assert_int_equal(rc, recipes ? 0 : ERR_INVALID);
    return recipes;
}

static struct recipes *read_well(const char *text)
{
    struct problems problems;
    struct recipes *recipes = read_text(text, &problems);
    if (!recipes)
        fail_msg("%s: %s", problems.list[0].path, problems.list[0].text);
    problems_fini(&problems);
    return recipes;
}

/* The first mistake, at this path, has these words. */
static void refused(const char *text, const char *path, const char *words)
{
    struct problems problems;
    struct recipes *recipes = read_text(text, &problems);
    assert_null(recipes);
    assert_string_equal(problems.list[0].path, path);
    if (!strstr(problems.list[0].text, words))
        fail_msg("%s: %s", problems.list[0].path, problems.list[0].text);
    problems_fini(&problems);
}

static void test_find(void **state)
{
    (void)state;
    struct recipes *r = read_well(ALL);
    const char *format = NULL;
    struct recipe_ask ask = {.family = recipes_family_of(r, "a-2"), .chip = "v-1", .vendor = "v"};
    /* What is documented before what nobody tested, though that stands first; the first format of the order. */
    const struct recipe *found = recipes_find(r, &ask, &format);
    assert_non_null(found);
    assert_string_equal(found->build, "Y");
    assert_string_equal(format, "bf16");
    ask.family = recipes_family_of(r, "b-1");
    assert_null(recipes_find(r, &ask, NULL));
    ask.untested = true;
    found = recipes_find(r, &ask, &format);
    assert_string_equal(found->build, "X");
    assert_string_equal(format, "q4_0"); /* the family's own order */
    ask.chip = "v-old";
    assert_null(recipes_find(r, &ask, NULL));
    ask = (struct recipe_ask){.family = recipes_family_named(r, "a"), .chip = "cpu", .vendor = "w"};
    assert_int_equal(recipes_find(r, &ask, &format)->status, RECIPE_MEASURED);
    assert_string_equal(format, "q4_0");
    ask.format = "bf16";
    assert_null(recipes_find(r, &ask, NULL));
    ask.format = "q4_0";
    ask.started = "else";
    assert_null(recipes_find(r, &ask, NULL));
    ask.started = "own";
    assert_non_null(recipes_find(r, &ask, NULL));
    assert_int_equal(recipes_family_of(r, "a-3"), RECIPE_NONE);
    assert_int_equal(recipes_family_named(r, "d"), RECIPE_NONE);
    /* A file of no family goes by what it is built as. */
    ask.family = RECIPE_NONE;
    assert_null(recipes_find(r, &ask, NULL));
    ask.architecture = "llama";
    assert_non_null(recipes_find(r, &ask, NULL));
    ask.architecture = "mamba";
    assert_null(recipes_find(r, &ask, NULL));
    assert_true(recipes_knows(r, "other") && !recipes_knows(r, "mamba"));
    recipes_free(r);
}

static void test_mistakes(void **state)
{
    (void)state;
    refused("recipes: [", "", "not YAML");
    refused(ENGINES FAMILIES, "recipes", "missing");
    refused(FAMILIES RECIPES, "prefer", "missing");
    refused(ENGINES "colour: red\n" FAMILIES RECIPES, "colour", "no such key");
    refused(ENGINES "families:\n  - {name: a, title: A, gguf: g, models: []}\n" RECIPES, "families[0].models",
            "empty");
    refused(ENGINES "families:\n  - {name: a, title: A, gguf: g, models: [x, x]}\nrecipes: []\n",
            "families[0].models[1]", "twice");
    refused(ENGINES "families:\n  - {name: a, title: A, gguf: g, serves: y, models: [x]}\nrecipes: []\n",
            "families[0].serves", "not one of");
    refused(ENGINES "families:\n  - {name: a, title: A, gguf: g, models: [x]}\n"
                    "  - {name: b, title: A, gguf: g, models: [x]}\nrecipes: []\n",
            "families[1].models", "another family");
    refused(ENGINES "families:\n  - {name: a, title: A, gguf: g, models: [\"x y\"]}\nrecipes: []\n",
            "families[0].models[0]", "without blanks");
    refused(ENGINES FAMILIES "  - {name: both, families: [a]}\nrecipes: []\n", "sets[1].name",
            "there already");
    refused(ENGINES FAMILIES "  - {name: more, families: [z]}\nrecipes: []\n", "sets[1].families[0]",
            "no family z");
    refused(ALL "  - {engine: z, vendors: [v], families: [a], status: untested, " SAID, "recipes[3].engine",
            "no engine z");
    refused(ALL "  - {engine: e, vendors: [v], chips: [w], families: [a], status: untested, " SAID,
            "recipes[3]", "either vendors or chips");
    refused(ALL "  - {engine: e, vendors: [v], status: untested, " SAID, "recipes[3]", "either a set or");
    refused(ALL "  - {engine: e, vendors: [v], set: none, status: untested, " SAID, "recipes[3].set",
            "no set none");
    refused(ALL "  - {engine: e, vendors: [v], families: [a, a], status: untested, " SAID,
            "recipes[3].families[1]", "twice");
    refused(ALL "  - {engine: e, vendors: [v], families: [], status: untested, " SAID, "recipes[3].families",
            "empty");
    refused(ENGINES FAMILIES "  - {name: more, families: []}\nrecipes: []\n", "sets[1].families", "empty");
    refused(ALL "  - {engine: e, vendors: [v], families: [a], status: maybe, " SAID, "recipes[3].status",
            "measured, documented, untested");
    refused(ALL "  - {engine: e, vendors: [v], families: [a], status: untested, formats: [], source: s}\n",
            "recipes[3].formats", "empty");
}

/* ---- ours ---- */

struct ours {
    struct recipes *recipes;
    struct models *models;
    struct netfile *net;
    struct fitter fitter;
    struct lineup lineup;
};

static struct ours *ours_new(void)
{
    struct ours *o = calloc(1, sizeof *o);
    struct problems problems;
    problems_init(&problems);
    assert_non_null(o);
    assert_int_equal(recipes_load(&o->recipes, NETWORK_DATA "/recipes.yaml", &problems), 0);
    assert_int_equal(models_load(&o->models, NETWORK_DATA "/models.yaml", &problems), 0);
    assert_int_equal(netfile_load(&o->net, NETWORK_DATA "/network/illustrative.yaml", &problems), 0);
    recipes_check(o->recipes, "recipes.yaml", o->models, o->net, &problems);
    for (uint32_t i = 0; i < problems.n; i++)
        print_message("%s: %s\n", problems.list[i].path, problems.list[i].text);
    assert_true(problems_none(&problems));
    problems_fini(&problems);
    assert_int_equal(fitter_init(&o->fitter, o->models, o->recipes, models_delivered(o->models)), 0);
    lineup_kinds(&o->lineup, o->net);
    return o;
}

static void ours_free(struct ours *o)
{
    fitter_fini(&o->fitter);
    recipes_free(o->recipes);
    models_free(o->models);
    netfile_free(o->net);
    free(o);
}

static struct fit fit(struct ours *o, const char *model, const char *format, const char *chip, uint32_t most)
{
    for (uint32_t i = 0; i < netfile_chips(o->net); i++) {
        if (strcmp(netfile_chip(o->net, i)->name, chip) == 0)
            return fit_model(&o->fitter, models_find(o->models, model), format, netfile_chip(o->net, i), 8,
                             most);
    }
    fail_msg("no chip %s", chip);
    return (struct fit){0};
}

static void test_ours(void **state)
{
    (void)state;
    struct ours *o = ours_new();
    uint32_t serving = 0;
    for (uint32_t i = 0; i < recipes_families(o->recipes); i++)
        serving += recipes_family(o->recipes, i)->serves[0] != 0;
    assert_int_equal(serving, 40);
    for (uint32_t i = 0; i < models_count(o->models); i++) {
        const char *name = models_get(o->models, i)->name;
        if (recipes_family_of(o->recipes, name) == RECIPE_NONE)
            fail_msg("%s is in no family", name);
    }
    /* Only what ran here is measured: on processors. */
    for (uint32_t i = 0; i < recipes_count(o->recipes); i++) {
        const struct recipe *recipe = recipes_get(o->recipes, i);
        assert_true(recipe->status != RECIPE_MEASURED ||
                    (recipe->chips.n == 1 && strcmp(recipe->chips.v[0], "cpu") == 0));
    }
    ours_free(o);
}

static void test_fit(void **state)
{
    (void)state;
    struct ours *o = ours_new();
    /* 72.7 thousand million weights of two bytes do not fit into 72 GiB, and do into twice that. */
    struct fit f = fit(o, "qwen2.5-72b", "bf16", "h100", 1024);
    assert_int_equal(f.why, FIT_OK);
    assert_int_equal(f.least, 2);
    assert_true(f.chips >= f.least && f.token_s > 0);
    assert_int_equal(fit(o, "qwen2.5-72b", "bf16", "h100", 1).why, FIT_SIZE);
    assert_int_equal(fit(o, "qwen2.5-72b", "q2_k", "ascend910b", 1024).why, FIT_FORMAT);
    assert_int_equal(fit(o, "qwen2.5-72b", NULL, "p800", 1024).why, FIT_RECIPE);
    assert_int_equal(fit(o, "qwen3-32b", NULL, "p800", 1024).why, FIT_PUBLISHED);
    assert_int_equal(fit(o, "qwen3-32b", NULL, "hygon-k100", 1024).why, FIT_UNTESTED);
    o->fitter.untested = true;
    assert_int_equal(fit(o, "qwen3-32b", NULL, "hygon-k100", 1024).why, FIT_PUBLISHED);
    o->fitter.untested = false;
    /* LMDeploy is not used over nodes: 671 thousand million weights need more than one of eight chips with 48 GiB. */
    assert_int_equal(fit(o, "deepseek-v3", "bf16", "metax-c500", 1024).least, 24);
    /* A context that is longer needs more. */
    o->fitter.context = 131072;
    assert_true(fit(o, "qwen2.5-72b", "bf16", "h100", 1024).least > 2);
    ours_free(o);
}

static void test_lineup(void **state)
{
    (void)state;
    struct ours *o = ours_new();
    const struct net_model *models[] = {models_find(o->models, "qwen2.5-72b"),
                                        models_find(o->models, "phi-2")};
    struct event_service_set set;
    assert_int_equal(lineup_make(&o->lineup, &o->fitter, models, 2, NULL, 100, 0), 0);
    assert_int_equal(o->lineup.n, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct lineup_entry *e = &o->lineup.entry[i];
        assert_int_equal(e->n, LINEUP_CHOICES);
        for (uint32_t k = 0; k < e->n; k++) {
            for (uint32_t m = 0; m < k; m++)
                assert_string_not_equal(o->lineup.kind[e->choice[k].kind].chip->vendor,
                                        o->lineup.kind[e->choice[m].kind].chip->vendor);
        }
        uint32_t share = o->lineup.chips / 10 / 2 / e->choice[0].fit.chips;
        assert_int_equal(e->replicas, share < SERVICE_REPLICAS_MAX ? share : SERVICE_REPLICAS_MAX);
        assert_true(lineup_service(&o->lineup, i, &set));
        assert_int_equal(set.min, e->replicas);
        assert_int_equal(set.max, e->replicas);
        assert_int_equal(set.count0, e->choice[0].fit.chips);
        assert_string_equal(set.chip3, o->lineup.kind[e->choice[3].kind].chip->name);
    }
    lineup_kinds(&o->lineup, o->net);
    assert_int_equal(lineup_make(&o->lineup, &o->fitter, models, 2, "q2_k", 100, 3), 0);
    assert_int_equal(o->lineup.entry[0].replicas, 3);
    assert_int_equal(lineup_make(&o->lineup, &o->fitter, models, LINEUP_MAX + 1, NULL, 100, 0), ERR_LIMIT);
    ours_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_mistakes),
                                       cmocka_unit_test(test_ours), cmocka_unit_test(test_fit),
                                       cmocka_unit_test(test_lineup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
