/* SPDX-License-Identifier: Apache-2.0 */
/* Between gateway.c and worker.c: how the gateway starts and stops its workers, and what they ask of it. */
#ifndef BUSBAR_GATEWAY_WORKERS_H
#define BUSBAR_GATEWAY_WORKERS_H

#include "gateway/worker.h"

/* Binds nothing yet: the gateway listens for it, on its loop, before the thread runs. */
int worker_init(struct worker *worker, struct gateway *gateway, const struct uplink *uplink, struct err *err);
void worker_run(void *worker);           /* the thread */
void worker_fini(struct worker *worker); /* after the thread has ended */

const struct gateway_config *gateway_config_of(const struct gateway *gateway);
/* Slots that became usable by the passing of time go to whoever waits. */
void gateway_kick(struct gateway *gateway);
/* The first worker's: so much time has passed, and core is told what was asked for meanwhile. */
void gateway_demand(struct gateway *gateway, struct worker *worker, uint64_t ms);
/* The current snapshot, referenced, and its version. */
struct snapshot *gateway_snapshot(struct gateway *gateway, uint64_t *version);

#endif
