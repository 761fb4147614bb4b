/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks: what a request to the engine wants, from its JSON.
 *
 * The fields are OpenAI's, and those of llama-server's that steer what is drawn; defaults are llama-server's. A field that is not known
 * is refused by its name: what would change nothing must not look as if it did.
 */
#ifndef BUSBAR_REF_ASK_H
#define BUSBAR_REF_ASK_H

#include <stdbool.h>

#include "ref/chat.h"
#include "ref/runner.h"

struct ask {
    bool chat, stream, include_usage, timings;
    struct task *task; /* the caller's from then on */
};

struct ask_model {
    const struct model *model;
    const struct chat_format *format; /* NULL: the model has no chats that are known here */
    uint32_t context;
};

/* ERR_INVALID, ERR_UNSUPPORTED or ERR_NO_MEMORY with words; then there is no task. */
int ask_parse(struct ask *ask, const struct ask_model *model, bool chat, const char *body, size_t len,
              struct err *err);

/* Whether a text of so many bytes could fit a slot's context; if not it is not to be encoded, on the loop's thread, only to be counted. */
bool ask_could_fit(const struct ask_model *model, size_t len);

#endif
