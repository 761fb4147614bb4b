/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which token comes next: the likeliest, or one that is drawn.
 *
 * At temperature 0 it is the one with the greatest logit, of equals the one with the lowest number. Else, in llama.cpp's order:
 * penalties for what the answer has already, top_k, top_p, min_p, temperature, and a draw by a seeded generator of its own
 * (base/rng.h). Sums are of doubles in the order of the candidates, so the same logits and the same seed give the same token.
 * A struct is plain memory but for `used` and `candidates`, of as many elements as the vocabulary has tokens.
 */
#ifndef BUSBAR_REF_SAMPLER_H
#define BUSBAR_REF_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

struct sampler_options {
    float temperature; /* 0: the likeliest */
    uint32_t top_k;    /* 0: all */
    float top_p, min_p;
    float frequency,
        presence; /* OpenAI's penalties: for each time a token was used, and for its having been */
    uint64_t seed;
};

struct sampler_candidate {
    uint32_t token;
    float logit;
    double share; /* of the probability, while one is chosen */
};

struct sampler {
    struct sampler_options options;
    struct rng rng;
    uint32_t vocab;
    uint16_t *used; /* NULL: no penalties */
    struct sampler_candidate *candidates;
};

/* False: out of memory. */
bool sampler_init(struct sampler *sampler, const struct sampler_options *options, uint32_t vocab);
void sampler_fini(struct sampler *sampler);
uint32_t sampler_next(struct sampler *sampler, const float *logits);
/* The `n` likeliest, the likeliest first; writes as many as there are, and tells how many. */
uint32_t sampler_best(const float *logits, uint32_t vocab, struct sampler_candidate *out, uint32_t n);
/* What is to be taken from a logit for the logarithm of its token's probability. */
double sampler_level(const float *logits, uint32_t vocab);

#endif
