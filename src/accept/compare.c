/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/compare.h"

#define LIKELY (-4.605170186) /* logarithm of 1 % */

static double clamp(double logprob)
{
    double most = logprob < 0 ? logprob : 0;
    return logprob == logprob && most > COMPARE_LEAST ? most : COMPARE_LEAST; /* what is no number as well */
}

/* By how much the replica's probability of the token differs. */
static double difference(const struct place_token *ours, const struct answer_place *theirs)
{
    double own = clamp(ours->logprob);
    for (uint32_t i = 0; i < theirs->ntop; i++) {
        double gap = own - clamp(theirs->top[i].logprob);
        if (theirs->top[i].token == ours->token)
            return gap < 0 ? -gap : gap;
    }
    double last = theirs->ntop > 0 ? clamp(theirs->top[theirs->ntop - 1].logprob) : COMPARE_LEAST;
    return own > last ? own - last : 0;
}

bool compare_place(struct distance *d, const struct answer_place *ours, const struct answer_place *theirs,
                   double margin)
{
    uint32_t n = ours->ntop < COMPARE_TOP ? ours->ntop : COMPARE_TOP;
    for (uint32_t i = 0; i < n; i++) {
        double gap = difference(&ours->top[i], theirs);
        d->sum += gap;
        d->n++;
        if (ours->top[i].logprob >= LIKELY && gap > d->max)
            d->max = gap;
    }
    d->tokens++;
    if (ours->token == theirs->token)
        return true;
    bool close = ours->ntop > 1 && ours->top[0].logprob - ours->top[1].logprob < margin;
    d->close += close;
    d->parted += !close;
    return false;
}

double distance_mean(const struct distance *d)
{
    return d->n > 0 ? d->sum / (double)d->n : 0;
}
