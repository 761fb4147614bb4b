/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial (sim/trial.h) of the hub's core as it is now, for handlers' `work`: the core's thread only copies its rows.
 *
 * One at a time in a process, since a copy is as large as the network's state.
 */
#ifndef BUSBAR_HUB_TRIALS_H
#define BUSBAR_HUB_TRIALS_H

#include "hub/api.h"
#include "sim/trial.h"

/* On a thread that may block. 0, and the trial stands; then trials_end. ERR_UNAVAILABLE: another goes on, or the core does not answer;
 * ERR_LIMIT, ERR_NO_MEMORY; with words. */
int trials_begin(struct api_call *call, struct trial **out);
/* `trial` NULL: there is none. */
void trials_end(struct trial *trial);

#endif
