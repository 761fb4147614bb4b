/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bars: which of a model's replicas rules deny to a tenant, as a part of a snapshot (gateway/snapshot.h).
 *
 * They are made on the core's thread, with each change of routes. Tenants of whom rules know the same are one group, found once for all
 * models, and a model's replicas are judged once for each group; so what it takes is models x groups judgements, and beside them only a
 * look at each tenant. Nothing is done while no rules are in force. What is made belongs to the snapshot.
 */
#ifndef BUSBAR_GATEWAY_BARS_H
#define BUSBAR_GATEWAY_BARS_H

#include "gateway/snapshot.h"

/* The snapshot has its models and their replicas, and no bars or rules yet. */
void bars_add(struct snapshot *s, const struct core *core);

#endif
