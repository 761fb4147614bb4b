/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden answers: what the reference engine says to the prompts of a check, with how likely it found what.
 *
 * They follow from the weights and the prompts alone (ref/model.h: the same bits on every machine), so they are made once and kept in a
 * file, whose name the caller makes of the weights' digest. A file of other prompts, or that is damaged, is made anew. They are made
 * prompt by prompt until `cpu_s` seconds of CPU time are used; GOLDEN_MIN of them are enough. Bounds: those of accept/terms.h.
 */
#ifndef BUSBAR_ACCEPT_GOLDEN_H
#define BUSBAR_ACCEPT_GOLDEN_H

#include "accept/compare.h"
#include "accept/terms.h"
#include "base/buf.h"
#include "base/digest.h"

#define GOLDEN_MIN 3u
#define GOLDEN_PROMPT_MAX TERMS_PROMPT_CAP /* tokens: each has a byte at least, and one begins */

struct golden_answer {
    uint32_t nprompt, n;
    uint32_t prompt[GOLDEN_PROMPT_MAX + 2];
    struct answer_place place[TERMS_TOKENS_MAX];
};

struct golden {
    uint32_t n; /* answers, to the first prompts */
    uint32_t vocabulary;
    struct golden_answer answer[TERMS_PROMPTS_MAX];
    uint8_t digest[DIGEST_LEN]; /* of the file */
};

struct golden_config {
    const char *model, *path; /* weights; where the answers are kept */
    uint64_t bytes_max;       /* of weights */
    uint32_t cpu_s, threads;
};

/* ERR_UNSUPPORTED with words: there are none to be had of this model. ERR_IO, ERR_NO_MEMORY. */
int golden_get(struct golden *golden, const struct accept_terms *terms, const struct golden_config *config,
               struct err *err);
/* The file's text, and back. ERR_CORRUPT: it is none, or of other prompts. */
void golden_write(const struct golden *golden, const struct accept_terms *terms, struct buf *out);
int golden_parse(struct golden *golden, const struct accept_terms *terms, const char *text, size_t len);

#endif
