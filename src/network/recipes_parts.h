/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of recipes: what reading them (network/recipes.c) and asking them (network/recipes_find.c) share.
 *
 * Formats are numbered in the order in which recipes name them, so that those of a recipe are bits.
 */
#ifndef BUSBAR_NETWORK_RECIPES_PARTS_H
#define BUSBAR_NETWORK_RECIPES_PARTS_H

#include "network/recipes.h"

struct recipe_set {
    char name[NAME_CAP];
    uint64_t families[RECIPE_FAMILIES_MAX / 64];
};

struct recipes {
    struct recipe_names prefer;
    uint32_t nengines, nfamilies, nsets, nrecipes, nformats;
    struct recipe_engine engine[RECIPE_ENGINES_MAX];
    struct recipe_family family[RECIPE_FAMILIES_MAX];
    struct recipe_set set[RECIPE_SETS_MAX];
    struct recipe recipe[RECIPES_MAX];
    char format[RECIPE_FORMATS_MAX][MODEL_NAME_CAP];
};

/* Whether `name` is among the first n. */
bool recipe_names_have(const struct recipe_names *names, uint32_t n, const char *name);
bool recipe_bit(const uint64_t *bits, uint32_t i);
uint32_t recipes_engine_named(const struct recipes *recipes, const char *name);

#endif
