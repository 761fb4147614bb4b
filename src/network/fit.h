/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fit: what a replica of a model takes on a kind of chip, at least, and how fast that will be; or why it cannot be.
 *
 * The recipe says which engine and format (network/recipes.h), the planner (core/cluster.h) how many chips: the first of 1, 2, 4, ... chips of a
 * node and then of 2, 3, 4, 6, 8, ... whole nodes of a site that hold the model with one request of the context. With so few there is room for
 * few requests at a time, so a replica has of that size and the next two the one that gives most tokens a second for a chip. An engine
 * that does not split layers has a chip as its group, one that does not split models over nodes stays in one. Tokens a second are those
 * of all requests of the replica in one batch, as `busbar plan` has them.
 *
 * What is wanted is read from catalogues that the caller owns; one block of memory belongs to the fitter.
 */
#ifndef BUSBAR_NETWORK_FIT_H
#define BUSBAR_NETWORK_FIT_H

#include "network/recipes.h"

/* F(name, word, text) */
#define FIT_WHYS(F) \
    F(OK, "fits", "it can be served") \
    F(RECIPE, "no-recipe", "no recipe covers it there") \
    F(FORMAT, "no-format", "a recipe covers it there, but not in this format") \
    F(UNTESTED, "untested", "nobody lists it there; a recipe that nobody tested is all there is") \
    F(PUBLISHED, "not-published", "the chip's computing power, memory or bandwidth is not published") \
    F(SIZE, "too-large", "it does not fit into as many chips as its engine can use together")

enum fit_why {
#define F(name, word, text) FIT_##name,
    FIT_WHYS(F)
#undef F
        FIT_WHYS_END
};

struct fitter {
    const struct models *models;
    const struct recipes *recipes;
    struct model_delivered delivered;
    uint32_t context, prompt, batch; /* as of a goal of the planner */
    bool untested;                   /* recipes that nobody tested will do */
    void *block;                     /* the planner's; fitter_fini frees it */
    struct cluster_plan *plan;
};

struct fit {
    enum fit_why why;
    const struct recipe *recipe; /* NULL: there is none */
    const char *format;          /* the recipes' own text */
    uint32_t least;              /* chips that hold it with one request */
    uint32_t chips;   /* of a replica: of that size and the next two the one that gives most for a chip */
    uint32_t token_s; /* of it, at least 1 */
};

/* The catalogues outlive it. ERR_NO_MEMORY. */
int fitter_init(struct fitter *fitter, const struct models *models, const struct recipes *recipes,
                const struct model_delivered *delivered);
void fitter_fini(struct fitter *fitter);
/* `format` NULL: the first that there is a recipe for. `most`: chips that there are of the kind in one place. */
struct fit fit_model(struct fitter *fitter, const struct net_model *model, const char *format,
                     const struct net_chip *chip, uint32_t node_chips, uint32_t most);
const char *fit_word(enum fit_why why);
const char *fit_text(enum fit_why why);

#endif
