/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes: which engine serves which family of models on which chips, and who says so: data/recipes.yaml, or somebody's own.
 *
 * A recipe is of some chips (vendors, or kinds), families of models and formats of weights, for one engine in one build. Whether a model can be
 * served on a chip is whether a recipe covers both; its status is what that is worth: it ran here, its makers list it, or nobody said
 * so. Formats are tried in an order, the family's own or the file's; of the recipes that read the first one that any of them reads,
 * the one with the best status is taken, of equals the first. So a file has one answer.
 *
 * A file of weights that is in no family goes by its architecture (GGUF's general.architecture), of which there may be several families: what
 * covers one of them covers it. Every mistake is told at once (network/problems.h); what is read is on the heap and does not change. Names of
 * models, formats and chips are checked against the other catalogues by recipes_check.
 */
#ifndef BUSBAR_NETWORK_RECIPES_H
#define BUSBAR_NETWORK_RECIPES_H

#include "network/models.h"

#define RECIPES_MAX 512u
#define RECIPE_ENGINES_MAX 64u
#define RECIPE_FAMILIES_MAX 128u
#define RECIPE_SETS_MAX 32u
#define RECIPE_FORMATS_MAX 64u /* named in all recipes */
#define RECIPE_ARGS_MAX 40u
#define RECIPE_NAMES_MAX 32u /* of one list of names */
#define RECIPE_NONE UINT32_MAX

/* In the order of what they are worth. */
enum recipe_status { RECIPE_MEASURED = 1, RECIPE_DOCUMENTED, RECIPE_UNTESTED };

struct recipe_names {
    uint32_t n;
    char v[RECIPE_NAMES_MAX][MODEL_NAME_CAP];
};

struct recipe_engine {
    char name[NAME_CAP], title[TEXT_CAP], package[TEXT_CAP], health[TEXT_CAP], metrics[TEXT_CAP];
    char started[NAME_CAP]; /* the agents' engine of this name (engines.yaml); "": they do not start it */
    char source[TEXT_CAP];
    uint32_t groups, pipelines; /* enum model_yes: splits each layer over chips; the layers over nodes */
    struct recipe_names argv;
    struct where where;
};

struct recipe_family {
    char name[MODEL_NAME_CAP], title[TEXT_CAP];
    char gguf[NAME_CAP];         /* general.architecture of its files */
    char serves[MODEL_NAME_CAP]; /* the model that stands for it; "": it stands for nothing */
    struct recipe_names models, prefer;
    struct where where;
};

struct recipe {
    uint32_t engine;
    char build[NAME_CAP];
    struct recipe_names vendors, chips, except;
    uint64_t families[RECIPE_FAMILIES_MAX / 64]; /* bits */
    uint64_t formats;                            /* bits, of recipes_format */
    uint32_t status;                             /* enum recipe_status */
    char source[TEXT_CAP], note[TEXT_CAP];
    struct where where;
};

struct recipes;

/* 0, or ERR_INVALID (see `problems`), ERR_NOT_FOUND, ERR_IO when the file cannot be read, ERR_NO_MEMORY. */
int recipes_load(struct recipes **out, const char *path, struct problems *problems);
int recipes_read(struct recipes **out, const char *file, const char *text, size_t len,
                 struct problems *problems);
void recipes_free(struct recipes *recipes);
/* A problem of `file` for each name that the catalogues of models and chips do not have. */
void recipes_check(const struct recipes *recipes, const char *file, const struct models *models,
                   const struct netfile *chips, struct problems *problems);

uint32_t recipes_count(const struct recipes *recipes);
const struct recipe *recipes_get(const struct recipes *recipes, uint32_t i);
const struct recipe_engine *recipes_engine(const struct recipes *recipes, uint32_t i);
uint32_t recipes_families(const struct recipes *recipes);
const struct recipe_family *recipes_family(const struct recipes *recipes, uint32_t i);
uint32_t recipes_formats(const struct recipes *recipes);
const char *recipes_format(const struct recipes *recipes, uint32_t i);
/* RECIPE_NONE: there is none of that name; the model is in none. */
uint32_t recipes_family_named(const struct recipes *recipes, const char *name);
uint32_t recipes_family_of(const struct recipes *recipes, const char *model);
/* Whether any family's files are of this architecture. */
bool recipes_knows(const struct recipes *recipes, const char *architecture);

struct recipe_ask {
    uint32_t family;          /* RECIPE_NONE: by architecture */
    const char *architecture; /* NULL: none is known, then by family only */
    const char *chip, *vendor;
    const char *started; /* only what agents start as this engine; NULL: any engine */
    const char *format;  /* NULL: the first that there is a recipe for */
    bool untested;       /* take these as well */
};

/* NULL: there is none. *format: which of its formats; NULL is no need of it. */
const struct recipe *recipes_find(const struct recipes *recipes, const struct recipe_ask *ask,
                                  const char **format);
/* Whether a chip of that vendor is in what the recipe is of. */
bool recipe_is_of(const struct recipe *recipe, const char *chip, const char *vendor);
bool recipe_serves(const struct recipe *recipe, uint32_t family);
const char *recipe_status_text(uint32_t status);

#endif
