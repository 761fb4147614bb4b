/* SPDX-License-Identifier: Apache-2.0 */
/* What recipes answer. */
#include <string.h>

#include "network/recipes_parts.h"

/* ---- names ---- */

bool recipe_names_have(const struct recipe_names *names, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(names->v[i], name) == 0)
            return true;
    }
    return false;
}

bool recipe_bit(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

uint32_t recipes_engine_named(const struct recipes *r, const char *name)
{
    for (uint32_t i = 0; i < r->nengines; i++) {
        if (strcmp(r->engine[i].name, name) == 0)
            return i;
    }
    return RECIPE_NONE;
}

uint32_t recipes_family_named(const struct recipes *r, const char *name)
{
    for (uint32_t i = 0; i < r->nfamilies; i++) {
        if (strcmp(r->family[i].name, name) == 0)
            return i;
    }
    return RECIPE_NONE;
}

uint32_t recipes_family_of(const struct recipes *r, const char *model)
{
    for (uint32_t i = 0; i < r->nfamilies; i++) {
        if (recipe_names_have(&r->family[i].models, r->family[i].models.n, model))
            return i;
    }
    return RECIPE_NONE;
}

bool recipes_knows(const struct recipes *r, const char *architecture)
{
    for (uint32_t i = 0; i < r->nfamilies; i++) {
        if (strcmp(r->family[i].gguf, architecture) == 0)
            return true;
    }
    return false;
}

uint32_t recipes_count(const struct recipes *r)
{
    return r->nrecipes;
}

const struct recipe *recipes_get(const struct recipes *r, uint32_t i)
{
    return &r->recipe[i];
}

const struct recipe_engine *recipes_engine(const struct recipes *r, uint32_t i)
{
    return &r->engine[i];
}

uint32_t recipes_families(const struct recipes *r)
{
    return r->nfamilies;
}

const struct recipe_family *recipes_family(const struct recipes *r, uint32_t i)
{
    return &r->family[i];
}

uint32_t recipes_formats(const struct recipes *r)
{
    return r->nformats;
}

const char *recipes_format(const struct recipes *r, uint32_t i)
{
    return r->format[i];
}

const char *recipe_status_text(uint32_t status)
{
    static const char *const words[] = {"", "measured", "documented", "untested"};
    return status <= RECIPE_UNTESTED ? words[status] : "";
}

/* ---- asking ---- */

bool recipe_is_of(const struct recipe *recipe, const char *chip, const char *vendor)
{
    if (recipe_names_have(&recipe->except, recipe->except.n, chip))
        return false;
    return recipe_names_have(&recipe->vendors, recipe->vendors.n, vendor) ||
           recipe_names_have(&recipe->chips, recipe->chips.n, chip);
}

bool recipe_serves(const struct recipe *recipe, uint32_t family)
{
    return family < RECIPE_FAMILIES_MAX && recipe_bit(recipe->families, family);
}

static bool serves(const struct recipes *r, const struct recipe *recipe, const struct recipe_ask *ask)
{
    if (ask->family != RECIPE_NONE)
        return recipe_serves(recipe, ask->family);
    for (uint32_t i = 0; ask->architecture && i < r->nfamilies; i++) {
        if (strcmp(r->family[i].gguf, ask->architecture) == 0 && recipe_serves(recipe, i))
            return true;
    }
    return false;
}

/* The best that reads the format; NULL: any format. */
static const struct recipe *best_of(const struct recipes *r, const struct recipe_ask *ask, const char *format)
{
    const struct recipe *best = NULL;
    uint64_t bit = 0;
    for (uint32_t i = 0; format && i < r->nformats; i++)
        bit |= strcmp(r->format[i], format) == 0 ? UINT64_C(1) << i : 0;
    for (uint32_t i = 0; i < r->nrecipes; i++) {
        const struct recipe *recipe = &r->recipe[i];
        if ((format && !(recipe->formats & bit)) || (!ask->untested && recipe->status == RECIPE_UNTESTED) ||
            (best && best->status <= recipe->status) || !recipe_is_of(recipe, ask->chip, ask->vendor) ||
            (ask->started && strcmp(r->engine[recipe->engine].started, ask->started) != 0) ||
            !serves(r, recipe, ask))
            continue;
        best = recipe;
    }
    return best;
}

const struct recipe *recipes_find(const struct recipes *r, const struct recipe_ask *ask, const char **format)
{
    const struct recipe_names *prefer = &r->prefer;
    if (ask->family != RECIPE_NONE && r->family[ask->family].prefer.n > 0)
        prefer = &r->family[ask->family].prefer;
    if (ask->format) {
        if (format)
            *format = ask->format;
        return best_of(r, ask, ask->format);
    }
    for (uint32_t i = 0; i < prefer->n; i++) {
        const struct recipe *found = best_of(r, ask, prefer->v[i]);
        if (!found)
            continue;
        if (format)
            *format = prefer->v[i];
        return found;
    }
    return NULL;
}
