/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/recipes.h"

#include <string.h>

#include "base/fs.h"
#include "base/log.h"

#define USABLE_PERCENT 90u /* of a chip's memory; data/models.yaml has where that is from */
#define KINDS 4u           /* core's alternatives */
#define KINDS_SEEN_MAX 64u

const char *hostable_word(enum hostable what)
{
    static const char *const words[] = {
#define H(name, word) word,
        HOSTABLES(H)
#undef H
    };
    return what < HOSTABLES_END ? words[what] : "";
}

int hub_load_recipes(struct hub *hub, const char *share, struct err *err)
{
    char path[FS_PATH_MAX], text[PROBLEM_TEXT_CAP];
    struct problems problems;
    struct recipes *recipes = NULL;
    problems_init(&problems);
    int rc = fs_join(path, share, "recipes.yaml") ? recipes_load(&recipes, path, &problems) : ERR_INVALID;
    if (rc == ERR_NOT_FOUND) {
        log_warn("recipes_missing", "path=%s", path);
        rc = 0;
    } else if (problems.n > 0) {
        problem_format(text, &problems.list[0]);
        err_set(err, rc, "%s", text);
    } else if (rc != 0) {
        err_set(err, rc, "recipes.yaml: %s", err_text(rc));
    }
    problems_fini(&problems);
    hub->recipes = recipes;
    return rc;
}

void hub_free_recipes(struct hub *hub)
{
    recipes_free(hub->recipes);
    hub->recipes = NULL;
}

const struct row_variant *model_variant(const struct core *core, const struct row_model *model)
{
    const struct row_variant *row, *first = NULL;
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->model, &model->id) && (!first || memcmp(&row->id, &first->id, sizeof row->id) < 0))
            first = row;
    }
    return first;
}

static const struct row_chip *chip_named(const struct core *core, const char *name)
{
    const struct row_chip *row;
    for (uint32_t pos = 0; (row = view_chip_at(core, &pos)) != NULL;) {
        if (strcmp(row->id, name) == 0)
            return row;
    }
    return NULL;
}

/* ---- what is known ---- */

/* Its recipes are of processors, all of them, and there are some. */
static bool is_of_processors(const struct recipes *r, const char *engine)
{
    bool any = false;
    for (uint32_t i = 0; i < recipes_count(r); i++) {
        const struct recipe *recipe = recipes_get(r, i);
        if (strcmp(recipes_engine(r, recipe->engine)->started, engine) != 0)
            continue;
        if (recipe->vendors.n > 0 || recipe->chips.n != 1 || strcmp(recipe->chips.v[0], "cpu") != 0)
            return false;
        any = true;
    }
    return any;
}

/* "Q4_K_M" is q4_k_m there. NULL: no recipe names it, so nothing can be said of it. */
static const char *format_of(const struct recipes *r, const struct row_variant *variant)
{
    char name[sizeof variant->quantisation];
    for (size_t i = 0; i < sizeof name; i++) {
        char c = variant->quantisation[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    for (uint32_t i = 0; i < recipes_formats(r); i++) {
        if (strcmp(recipes_format(r, i), name) == 0)
            return recipes_format(r, i);
    }
    return NULL;
}

/* By what its name says, unless the file is built as something else: then nobody knows the name. */
static uint32_t family_of(const struct recipes *r, const struct model_on *m)
{
    const char *built = m->variant->architecture;
    uint32_t family = recipes_family_of(r, m->model->name);
    if (family == RECIPE_NONE)
        family = recipes_family_named(r, m->model->name);
    if (family != RECIPE_NONE && built[0] && strcmp(recipes_family(r, family)->gguf, built) != 0)
        return RECIPE_NONE;
    return family;
}

static enum hostable known(const struct recipes *r, const struct model_on *m, const struct row_chip *chip,
                           const struct recipe **recipe)
{
    struct recipe_ask ask = {.family = family_of(r, m),
                             .architecture = m->variant->architecture,
                             .chip = chip->id,
                             .vendor = chip->vendor,
                             .started = m->engine,
                             .format = format_of(r, m->variant),
                             .untested = true};
    bool named = ask.family != RECIPE_NONE || recipes_knows(r, m->variant->architecture);
    /* Without a format recipes_find would tell of one that the file is not in. */
    if (!named || !ask.format)
        return HOSTABLE_UNTESTED;
    *recipe = recipes_find(r, &ask, NULL);
    /* What was measured of others that are built alike is no measurement of this one. */
    if (*recipe && (*recipe)->status == RECIPE_MEASURED && ask.family != RECIPE_NONE)
        return HOSTABLE_MEASURED;
    if (*recipe)
        return (*recipe)->status == RECIPE_UNTESTED ? HOSTABLE_UNTESTED : HOSTABLE_DOCUMENTED;
    ask.chip = "cpu";
    ask.vendor = "various";
    return is_of_processors(r, m->engine) && recipes_find(r, &ask, NULL) ? HOSTABLE_PROCESSORS
                                                                         : HOSTABLE_NONE;
}

/* Chips whose memory holds weights, and keys and values of all slots. */
static uint32_t chips_for(const struct model_on *m, uint64_t mib)
{
    const struct row_variant *v = m->variant;
    uint64_t rest = v->memory_bytes > v->size_bytes ? v->memory_bytes - v->size_bytes : 0;
    uint64_t needed = (v->size_bytes + rest * m->slots) >> 20;
    uint32_t n = 1;
    while (n <= NODE_CHIPS_MAX && n * mib * USABLE_PERCENT / 100 < needed)
        n++;
    return n;
}

struct hostable_on model_hostable(const struct hub *hub, const struct core *core, const struct model_on *m,
                                  const char *chip)
{
    const struct row_chip *row = chip_named(core, chip);
    struct hostable_on on = {.what = HOSTABLE_UNTESTED, .chips = 1, .least = 1};
    if (row && hub->recipes)
        on.what = known(hub->recipes, m, row, &on.recipe);
    if (!row || on.what == HOSTABLE_PROCESSORS || strcmp(row->vendor, "various") == 0)
        return on;
    on.guessed = row->memory_mib == 0;
    if (!on.guessed)
        on.least = chips_for(m, row->memory_mib);
    while (on.chips < on.least)
        on.chips *= 2;
    return on;
}

uint32_t hostable_chips(const struct hostable_on *on, uint32_t node_chips)
{
    return on->chips > node_chips && on->least <= node_chips ? node_chips : on->chips;
}

void hostable_words(const struct hub *hub, const struct model_on *m, const char *chip,
                    const struct hostable_on *on, struct buf *out)
{
    if (on->recipe) {
        const char *engine = recipes_engine(hub->recipes, on->recipe->engine)->name;
        buf_addf(out, "%s%s%s, %s", engine, on->recipe->build[0] ? " " : "", on->recipe->build,
                 hostable_word(on->what));
    } else if (on->what == HOSTABLE_PROCESSORS) {
        buf_addf(out, "%s, on the processors of the node", m->engine);
    } else if (on->what == HOSTABLE_NONE) {
        buf_addf(out, "no recipe for %s on %s", m->model->name, chip);
    } else {
        buf_addf(out, "%s, untested", m->engine);
    }
}

/* ---- for a deployment ---- */

struct kind_here {
    const char *chip;
    uint32_t chips, most; /* at all its sites; of a node */
    struct hostable_on on;
};

static bool is_here(const struct uuid_list *sites, const struct uuid *site)
{
    for (uint32_t i = 0; i < sites->n; i++) {
        if (uuid_eq(&sites->v[i], site))
            return true;
    }
    return false;
}

/* Kinds of its sites, those with most chips first. */
static uint32_t kinds_here(const struct core *core, const struct uuid_list *sites,
                           struct kind_here kind[KINDS_SEEN_MAX])
{
    const struct row_pool *row;
    uint32_t n = 0;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        uint32_t i = 0;
        if (!is_here(sites, &row->site))
            continue;
        while (i < n && strcmp(kind[i].chip, row->chip) != 0)
            i++;
        if (i == KINDS_SEEN_MAX)
            continue;
        if (i == n)
            kind[n++] = (struct kind_here){.chip = row->chip};
        kind[i].chips += row->nodes * row->node_chips;
        kind[i].most = row->node_chips > kind[i].most ? row->node_chips : kind[i].most;
    }
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t k = i; k > 0 && kind[k].chips > kind[k - 1].chips; k--) {
            struct kind_here other = kind[k];
            kind[k] = kind[k - 1];
            kind[k - 1] = other;
        }
    }
    return n;
}

/* Its service has the kinds that it may have; one that has none takes any, or the one that it names. */
static bool may_have(const struct core *core, const struct row_deployment *d, const char *chip)
{
    struct view_service service;
    if (!view_service(core, &d->id, 0, &service) || service.row->chip0[0] == 0)
        return d->chip[0] == 0 || strcmp(d->chip, chip) == 0;
    const char *const kinds[KINDS] = {service.row->chip0, service.row->chip1, service.row->chip2,
                                      service.row->chip3};
    for (uint32_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i], chip) == 0)
            return true;
    }
    return false;
}

void deployment_words(const struct hub *hub, const struct core *core, const struct row_deployment *d,
                      struct buf *out)
{
    const struct row_model *model = view_model(core, &d->model);
    const struct row_variant *variant = model ? model_variant(core, model) : NULL;
    struct kind_here kind[KINDS_SEEN_MAX];
    if (!variant || strstr(variant->location, "://"))
        return;
    const struct model_on m = {
        .model = model, .variant = variant, .engine = variant->engine, .slots = d->slots};
    uint32_t n = kinds_here(core, &d->sites, kind);
    const char *sep = "";
    for (uint32_t i = 0; i < n; i++) {
        if (!may_have(core, d, kind[i].chip))
            continue;
        struct hostable_on on = model_hostable(hub, core, &m, kind[i].chip);
        buf_addf(out, "%s%s: ", sep, kind[i].chip);
        hostable_words(hub, &m, kind[i].chip, &on, out);
        sep = "; ";
    }
}

static void take(struct event_deploy *e, uint32_t i, const struct kind_here *kind)
{
    char *const chip[] = {e->chip, e->chip1, e->chip2, e->chip3};
    uint32_t *const chips[] = {&e->chips, &e->chips1, &e->chips2, &e->chips3};
    (void)memset(chip[i], 0, CHIP_CAP);
    memcpy(chip[i], kind->chip, strlen(kind->chip));
    *chips[i] = kind->on.chips;
}

/* Nobody knows anything of it, or its engine takes the processors, which all kinds of nodes have: kinds that come later do as well. */
static bool any_will_do(const struct hub *hub, const struct model_on *m, const struct hostable_on *on)
{
    return (on->what == HOSTABLE_UNTESTED && !on->recipe) ||
           (on->what != HOSTABLE_NONE && is_of_processors(hub->recipes, m->engine));
}

/* Where there is a kind that is known to hold it, none that may not. */
static uint32_t leave_guesses(struct kind_here *kind, uint32_t n)
{
    uint32_t sure = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!kind[i].on.guessed)
            kind[sure++] = kind[i];
    }
    return sure > 0 ? sure : n;
}

int deploy_kinds(const struct hub *hub, const struct core *core, const struct model_on *m,
                 struct event_deploy *e, bool fixed, struct err *err)
{
    struct kind_here kind[KINDS_SEEN_MAX];
    uint32_t n = kinds_here(core, &e->sites, kind), good = 0, small = 0;
    bool alike = true;
    e->chips1 = e->chips2 = e->chips3 = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct kind_here *k = &kind[i];
        k->on = model_hostable(hub, core, m, k->chip);
        k->on.chips = fixed ? e->chips : hostable_chips(&k->on, k->most);
        bool fits = k->on.chips <= k->most;
        small += k->on.what != HOSTABLE_NONE && !fits;
        alike = alike && fits && any_will_do(hub, m, &k->on) && k->on.chips == kind[0].on.chips &&
                k->on.guessed == kind[0].on.guessed;
        if (fits && k->on.what != HOSTABLE_NONE)
            kind[good++] = *k;
    }
    if (n == 0)
        return 0; /* that there are no chips is told by who looks at these */
    if (good == 0 && small > 0)
        return err_set(err, ERR_WRONG_STATE, "No node of these sites has %s for `%s`%s.",
                       fixed ? "so many chips" : "chips with enough memory", m->model->name,
                       fixed ? "" : "; --chips says how many will do all the same");
    if (good == 0)
        return err_set(
            err, ERR_WRONG_STATE,
            "There is no recipe for `%s` with %s on %s%s (`busbar model where` tells more). --chip "
            "names a kind that will do all the same.",
            m->model->name, m->engine, kind[0].chip, n > 1 ? " or another chip of these sites" : "");
    if (alike) {
        e->chips = kind[0].on.chips;
        return 0;
    }
    good = fixed ? good : leave_guesses(kind, good);
    for (uint32_t i = 0; i < good && i < KINDS; i++)
        take(e, i, &kind[i]);
    return 0;
}
