/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed: tokens a second that a replica yields, one request at a time and several, and how fast it reads.
 *
 * Requests of a fixed number of tokens follow each other for a window of time, several windows of each kind; the best one counts, since
 * whatever else a machine does can only make a window slower. What we ourselves waited for a processor is taken out; of an engine on this machine, which is found by its socket, what it
 * waited for a processor is taken out (Linux, schedstat): work beside it does not make it look slow, and one that is stopped half
 * of the time, which waits for nothing, is still seen to be.
 */
#ifndef BUSBAR_ACCEPT_SPEED_H
#define BUSBAR_ACCEPT_SPEED_H

#include "accept/ask.h"

struct speed_plan {
    uint32_t window_ms, rounds;
    uint32_t slots, context;
    const uint32_t *prompt; /* something to begin with */
    uint32_t nprompt;
    uint64_t seed;
};

/* Thousandths of a token a second; 0: not measured. */
struct speeds {
    uint64_t one, many, read;
    uint32_t batch;
};

/* Writing, one at a time and as many as there are slots, ASK_AT_ONCE_MAX at most; each is replaced only by what is better. */
int speed_write(struct speeds *speeds, const struct asker *asker, const struct speed_plan *plan,
                struct err *err);
int speed_read(struct speeds *speeds, const struct asker *asker, const struct speed_plan *plan,
               struct err *err);
/* The process that listens on the socket, if that is one of this machine that we may look at; 0: it is not known. */
int speed_listener(const char *socket);

#endif
