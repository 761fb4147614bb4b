/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compare: how far a replica's answer is from the reference's, token by token. Pure.
 *
 * A place has the token that was taken, and the likeliest with the logarithms of their probabilities, the likeliest first. Two places
 * are compared only where what comes before is the same, so an answer is compared up to where it parts, and the replica is asked
 * anew from behind that place on (accept/check.c). Where the choice is another, and the reference's two likeliest lie nearer than the
 * margin of the quantisation, that is rounding, and is counted as close; else as parted.
 *
 * The distance is that of the reference's COMPARE_TOP likeliest. One that the replica does not tell is at most as likely as the last that it
 * tells: so far it counts. The greatest is kept of those only that the reference gives 1 % at least, since what is
 * all but impossible is rounded most.
 */
#ifndef BUSBAR_ACCEPT_COMPARE_H
#define BUSBAR_ACCEPT_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#define PLACE_TOP 10u
#define COMPARE_TOP 5u
#define COMPARE_LEAST (-30.0) /* what is less is taken for that, and what is more than certain for certain */

struct place_token {
    uint32_t token;
    double logprob;
};

struct answer_place {
    uint32_t token;
    uint32_t ntop;
    struct place_token top[PLACE_TOP];
};

struct distance {
    uint64_t n; /* differences in the mean */
    double sum, max;
    uint32_t tokens, close, parted;
};

/* True: both took the same token. */
bool compare_place(struct distance *distance, const struct answer_place *ours,
                   const struct answer_place *theirs, double margin);
double distance_mean(const struct distance *distance);

#endif
