/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes from any bytes: refused with a problem that says something, or such that what is found for a family is of it. */
#include <assert.h>
#include <string.h>

#include "network/recipes.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void ask(const struct recipes *r, const struct recipe *of, uint32_t family)
{
    const char *chip = of->chips.n ? of->chips.v[0] : "chip",
               *vendor = of->vendors.n ? of->vendors.v[0] : "vendor";
    const struct recipe_ask a = {.family = family, .chip = chip, .vendor = vendor, .untested = true};
    const char *format = NULL;
    const struct recipe *found = recipes_find(r, &a, &format);
    assert(!found || (format && recipe_serves(found, family) && recipe_is_of(found, chip, vendor)));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct problems problems;
    struct recipes *r;
    problems_init(&problems);
    int rc = recipes_read(&r, "r.yaml", (const char *)data, size, &problems);
    assert((rc == 0) == (r != NULL) && (rc == 0) == problems_none(&problems));
    for (uint32_t i = 0; i < problems.n; i++)
        assert(problems.list[i].text[0] && problems.list[i].file[0]);
    for (uint32_t f = 0; r && f < recipes_families(r); f++) {
        const struct recipe_family *family = recipes_family(r, f);
        assert(family->models.n > 0 && recipes_family_named(r, family->name) == f);
        for (uint32_t i = 0; i < recipes_count(r); i++)
            ask(r, recipes_get(r, i), f);
    }
    recipes_free(r);
    problems_fini(&problems);
    return 0;
}
