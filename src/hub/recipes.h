/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes at a hub: on which chips a model of its own may be served, and how many chips a replica takes.
 *
 * A model is matched with a family of data/recipes.yaml by its name, or by what its file is built as (GGUF's general.architecture); of a file
 * that is neither, nobody says anything, so all chips will do and it is untested. Its engine and quantisation are the variant's. An
 * engine that has recipes for processors alone, such as our own, runs on the processors of any node. Chips are counted by memory: weights, and
 * keys and values of all slots, in nine tenths of what the chips have; a processor's memory is that of its node, and one socket is one chip.
 *
 * Nothing here is kept: each answer is worked out from the core's rows. A hub without the file answers as if everything were untested.
 */
#ifndef BUSBAR_HUB_RECIPES_H
#define BUSBAR_HUB_RECIPES_H

#include "core/view.h"
#include "hub/hub.h"
#include "network/recipes.h"

/* H(name, word): what is known of a model on a kind of chip. */
#define HOSTABLES(H) \
    H(MEASURED, "measured") \
    H(DOCUMENTED, "documented") \
    H(UNTESTED, "untested")     /* a recipe that nobody tested, or a model that nobody knows */ \
    H(PROCESSORS, "processors") /* its engine computes on those of the node */ \
    H(NONE, "no-recipe")

enum hostable {
#define H(name, word) HOSTABLE_##name,
    HOSTABLES(H)
#undef H
        HOSTABLES_END
};

struct hostable_on {
    enum hostable what;
    const struct recipe *recipe; /* NULL: there is none */
    uint32_t chips; /* of a replica, by memory; more than NODE_CHIPS_MAX where none has so much */
    uint32_t least; /* the same, if it need be no power of two */
    bool guessed;   /* how much memory such a chip has is not known */
};

struct model_on {
    const struct row_model *model;
    const struct row_variant *variant;
    const char *engine; /* the variant's, or another one that is asked for */
    uint32_t slots;
};

/* The one with the lowest id, as core takes it. NULL: it has none. */
const struct row_variant *model_variant(const struct core *core, const struct row_model *model);
struct hostable_on model_hostable(const struct hub *hub, const struct core *core,
                                  const struct model_on *model, const char *chip);
/* Of a node that has so many: all of them where the power of two is more, and they hold it. */
uint32_t hostable_chips(const struct hostable_on *on, uint32_t node_chips);
/* "llama.cpp CUDA, documented", "no recipe for NAME on h20". */
void hostable_words(const struct hub *hub, const struct model_on *model, const char *chip,
                    const struct hostable_on *on, struct buf *out);
/* "h100: llama.cpp CUDA, documented; ..." of each kind that it may have of its sites; nothing of one at a URL, or at no site. */
void deployment_words(const struct hub *hub, const struct core *core, const struct row_deployment *deployment,
                      struct buf *out);
const char *hostable_word(enum hostable what);
/* Fills the kinds of a deployment that names none, from those of its sites. `fixed`: its number of chips was given. 0; or
 * ERR_WRONG_STATE, with words. Leaves it as it is, for any kind, where nothing is known of the model, or its engine takes the processors. */
int deploy_kinds(const struct hub *hub, const struct core *core, const struct model_on *model,
                 struct event_deploy *deploy, bool fixed, struct err *err);

#endif
