/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost: what a request costs at a replica, as one number by which replicas are compared, in microseconds:
 *
 *   wait   tokens that requests in it may still produce, over what it yields
 *   way    round trip to its site, as its corridor's is measured; none on the hub's own machine
 *   price  what its chips cost the network (chip, power, carbon) over what they yield, at COST_NANO_US
 *
 * What it yields is measured here, for each replica by itself. Until it is, it is taken to yield what it did in the check that it passed
 * (core/accept.h), and where it was not measured there, what the model's others do, so that a new one
 * is not thought dear or slow; and SLOT_TOKENS_S a slot where none was measured. Each door measures what it
 * sends itself. The weights are the constants below, and nowhere else. Figures are atomics: the workers compare while one thread
 * (the first worker's housekeeping) measures and the core's sets what routes tell.
 */
#ifndef BUSBAR_GATEWAY_COST_H
#define BUSBAR_GATEWAY_COST_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/limits.h"

/* How much waiting money is worth is a choice: one unit for a million tokens, 1000 nano-units for a token, counts as 100 ms, the
 * most that a person takes for at once (Nielsen, Usability Engineering, 1993, 5.5). So a difference that is small beside what models
 * cost never makes an answer feel slow. */
#define COST_NANO_US 100
/* Way and price of a replica that holds a prompt's prefix may be so much more than the least: what a prompt of 400 tokens takes
 * where it is computed anew, at the 8000 a second of that replica. */
#define AFFINITY_US 50000
/* It may have this many more outstanding tokens than the replica of the least cost before it is passed over. */
#define AFFINITY_TOKENS 4096

/* What slots yield. */
struct yield {
    _Atomic uint64_t tokens;      /* that answers had, by weight */
    _Atomic uint64_t slot_mtok_s; /* of one slot in use, thousandths of a token a second; 0: not measured */
    _Atomic uint64_t assumed_mtok_s; /* as long as it is not; 0: nothing is known */
    _Atomic uint64_t
        accepted_mtok_s; /* as a check of the replica found, with all its slots in use; 0: there was none */
    uint64_t before, measured_tokens, measured_slot_ms;
};

/* As if nothing had been measured; on the thread that samples. */
void yield_reset(struct yield *yield);
/* An answer is over: a prompt's token counts as 1/PROMPT_WEIGHT of one of output. From any thread. */
void yield_count(struct yield *yield, uint64_t prompt, uint64_t completion);
/* So much time has passed with so many slots in use. One thread. */
void yield_sample(struct yield *yield, uint64_t ms, uint32_t busy);
/* Of one slot, thousandths of a token a second, as measured; 0: it was not. From any thread. */
uint64_t yield_measured(const struct yield *yield);
/* What is assumed where it was not. */
void yield_assume(struct yield *yield, uint64_t slot_mtok_s);
/* What it yielded in a check. */
void yield_accept(struct yield *yield, uint64_t slot_mtok_s);
/* Of one slot, thousandths of a token a second, never 0. From any thread. */
uint64_t yield_slot(const struct yield *yield);

/* What routes tell of a replica. */
struct cost_terms {
    _Atomic uint32_t way_us;
    _Atomic int64_t
        hour; /* nano-units for an hour of all its chips; below 0 (power that is paid for being used) it counts as 0 */
};

/* Way and price, microseconds. `slots`: of the replica, at least 1. */
uint64_t cost_standing_us(const struct cost_terms *terms, const struct yield *yield, uint32_t slots);
/* Until `outstanding` tokens are there, if all slots yield. */
uint64_t cost_wait_us(const struct yield *yield, uint32_t slots, uint64_t outstanding);

#endif
