/* SPDX-License-Identifier: Apache-2.0 */
/* Whether recipes are right about the catalogues of models and chips. */
#include <string.h>

#include "network/recipes_parts.h"
#include "network/tree.h"

static bool is_chip(const struct netfile *chips, const char *name, bool vendor)
{
    for (uint32_t i = 0; i < netfile_chips(chips); i++) {
        const struct net_chip *chip = netfile_chip(chips, i);
        if (strcmp(vendor ? chip->vendor : chip->name, name) == 0)
            return true;
    }
    return false;
}

static void check_names(const struct where *where, struct problems *problems, const char *key,
                        const struct recipe_names *names, const struct netfile *chips, bool vendor)
{
    for (uint32_t i = 0; i < names->n; i++) {
        if (!is_chip(chips, names->v[i], vendor))
            where_problem(where, problems, key, "there is no %s %s", vendor ? "vendor" : "chip", names->v[i]);
    }
}

static void check_formats(const struct where *where, struct problems *problems, const char *key,
                          const struct recipe_names *names, const struct models *models)
{
    for (uint32_t i = 0; i < names->n; i++) {
        if (!models_format(models, names->v[i]))
            where_problem(where, problems, key, "there is no format %s", names->v[i]);
    }
}

static void check_family(const struct recipe_family *f, const struct where *where,
                         const struct models *models, struct problems *problems)
{
    for (uint32_t i = 0; i < f->models.n; i++) {
        if (!models_find(models, f->models.v[i]))
            where_problem(where, problems, "models", "there is no model %s", f->models.v[i]);
    }
    check_formats(where, problems, "prefer", &f->prefer, models);
}

void recipes_check(const struct recipes *r, const char *file, const struct models *models,
                   const struct netfile *chips, struct problems *problems)
{
    struct where where = {.file = file};
    check_formats(&where, problems, "prefer", &r->prefer, models);
    for (uint32_t i = 0; i < r->nfamilies; i++) {
        where = r->family[i].where;
        where.file = file;
        check_family(&r->family[i], &where, models, problems);
    }
    for (uint32_t i = 0; i < r->nrecipes; i++) {
        const struct recipe *recipe = &r->recipe[i];
        where = recipe->where;
        where.file = file;
        check_names(&where, problems, "vendors", &recipe->vendors, chips, true);
        check_names(&where, problems, "chips", &recipe->chips, chips, false);
        check_names(&where, problems, "except", &recipe->except, chips, false);
        for (uint32_t k = 0; k < r->nformats; k++) {
            if (recipe->formats >> k & 1 && !models_format(models, r->format[k]))
                where_problem(&where, problems, "formats", "there is no format %s", r->format[k]);
        }
    }
}
