/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms: what is asked in a check, and how far answers may be from the reference's; data/acceptance.yaml, read strictly.
 *
 * Bounds: TERMS_PROMPTS_MAX prompts of TERMS_PROMPT_CAP bytes, TERMS_TOKENS_MAX tokens of an answer, TERMS_LIMITS_MAX quantisations.
 */
#ifndef BUSBAR_ACCEPT_TERMS_H
#define BUSBAR_ACCEPT_TERMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TERMS_PROMPTS_MAX 64u
#define TERMS_PROMPT_CAP 256u
#define TERMS_TOKENS_MAX 64u
#define TERMS_LIMITS_MAX 32u

/* Of one quantisation; millionths. */
struct terms_limit {
    char quantisation[16];
    double margin, mean, max;
};

struct accept_terms {
    uint32_t tokens;
    uint32_t nprompts, nlimits;
    char prompt[TERMS_PROMPTS_MAX][TERMS_PROMPT_CAP];
    struct terms_limit limit[TERMS_LIMITS_MAX];
};

/* ERR_INVALID or ERR_IO with the first problem in words. */
int accept_terms_load(struct accept_terms *terms, const char *path, struct err *err);
/* That of the quantisation, or of `other`; NULL: there is neither. */
const struct terms_limit *accept_limit(const struct accept_terms *terms, const char *quantisation);

#endif
