/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A diary of one life of a world: each event with the code that it was answered with, and where a batch ended, so that it can be lived
 * again in another core.
 *
 * While it is kept, the diary is the world's way to step (world.step); whoever ends a batch says so. Its memory is its own, a gibibyte at
 * the most; past that the buf fails, and with it the test that lives again.
 */
#ifndef BUSBAR_TESTS_DIARY_H
#define BUSBAR_TESTS_DIARY_H

#include "base/buf.h"
#include "support.h"

struct diary {
    struct buf told; /* events with their codes, and a zero kind where a batch ended */
};

/* Kept from now on; rows are collected by whoever ends a batch, and the world's mirror forgets transfers that are over. */
void diary_begin(struct diary *d, struct world *w);
void diary_batch(struct diary *d);
/* The same events in another core: the same codes, in the end the same rows as in `w`, and the same to be seen. */
void diary_live_again(const struct diary *d, const struct world *w);
void diary_end(struct diary *d);

#endif
