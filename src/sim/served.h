/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Served: one replica of a model, modelled as an engine that batches continuously.
 *
 * Each request has a slot. Prompts are computed one after the other, and meanwhile nobody gets a token (as engines do that put
 * prompts first); the last step of a prompt gives the first token. Otherwise all requests that have theirs get a token with
 * each step, and a step takes the longer the more they are (sim/serve.h). So how far a request is follows from one count of
 * steps. Times are microseconds.
 */
#ifndef BUSBAR_SIM_SERVED_H
#define BUSBAR_SIM_SERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/serve.h"

/* A request on its way. */
struct flight {
    int64_t arrival_us;
    uint32_t in_tokens, out_tokens;
    uint32_t origin;
    uint32_t next;  /* in a queue */
    bool has_first; /* token; it may begin anew all the same */
};

struct served {
    const struct serve_kind *kind;
    uint32_t prompt[SERVE_SLOTS_MAX]; /* flights, in order */
    uint32_t nprompts;
    int64_t prompt_us; /* when the first of them is done */
    uint32_t decode[SERVE_SLOTS_MAX];
    uint64_t end[SERVE_SLOTS_MAX]; /* of each of these: millionths of a step */
    uint32_t ndecodes;
    uint64_t steps; /* millionths, at */
    int64_t at_us;
};

void served_init(struct served *s, const struct serve_kind *kind, int64_t now_us);
uint32_t served_count(const struct served *s);
/* There must be a slot. */
void served_take(struct served *s, uint32_t flight, const struct flight *f, int64_t now_us);
/* When something happens next; INT64_MAX: never. */
int64_t served_next_us(const struct served *s);
/* What happens by now_us, which is not after served_next_us: a flight whose prompt is done (*first) or that is over (*over), or
 * both; false when nothing more does. */
bool served_happen(struct served *s, const struct flight *flights, int64_t now_us, uint32_t *flight,
                   bool *first, bool *over);
/* The replica stops: its flights, one by one; false when there are no more. */
bool served_leave(struct served *s, uint32_t *flight);

#endif
