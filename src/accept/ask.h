/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking an engine from a process that may block: completions, one or several at a time, over a unix socket or HTTP.
 *
 * Nothing of an answer is believed: it is read up to ASK_ANSWER_MAX bytes within `wait_s` seconds, and its tokens must be of the
 * vocabulary. What an engine says of its own times is not looked at; the wall clock is, here.
 */
#ifndef BUSBAR_ACCEPT_ASK_H
#define BUSBAR_ACCEPT_ASK_H

#include "accept/compare.h"
#include "base/buf.h"
#include "base/err.h"

#define ASK_ANSWER_MAX ((size_t)4 << 20)
#define ASK_AT_ONCE_MAX 8u

struct asker {
    char socket[128]; /* "": by the URL */
    char url[256];    /* of the completions */
    const char *model;
    const char *key; /* of an HTTP engine that asks for one; NULL: none does */
    uint32_t vocabulary, wait_s;
};

/* `endpoint`: unix:PATH or http://HOST:PORT[/BASE]. ERR_INVALID with words. */
int asker_init(struct asker *asker, const char *endpoint, const char *model, struct err *err);

/* What to write on with: a list of tokens. */
struct ask_text {
    const uint32_t *prompt;
    uint32_t nprompt;
    const char *text; /* in their place, where it is not NULL */
    uint32_t max_tokens;
    bool logprobs;    /* with the likeliest */
    bool ignores_end; /* exactly max_tokens */
};

struct ask_result {
    uint32_t tokens; /* of the answer, as the engine counts them */
    uint32_t nplaces;
    struct answer_place *place; /* `places` of them at most; NULL: not wanted */
    uint32_t places;
};

/* Of n at once, at most ASK_AT_ONCE_MAX; all of them must succeed. *ns: how long it took, of the wall clock. ERR_UPSTREAM: it does not
 * answer as it should; ERR_UNSUPPORTED: it tells no probabilities; ERR_TIMEOUT: it does not answer now; with words. */
int ask_all(const struct asker *asker, const struct ask_text *texts, struct ask_result *results, uint32_t n,
            uint64_t *ns, struct err *err);

/* The body of a request, and what is read of an answer's; ERR_UPSTREAM or ERR_UNSUPPORTED with words. */
void ask_write(struct buf *out, const char *model, const struct ask_text *text);
int ask_read(struct ask_result *result, const struct ask_text *text, uint32_t vocabulary, const char *body,
             size_t len, struct err *err);

#endif
