/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: who makes the plans that core takes (core/clusters.h), on a thread of its own.
 *
 * Each CLUSTERS_LOOK_MS it takes from core what there is of each cluster, and says what is to be done (hub/cluster_plan.h). Rules:
 * - The first plan waits for all workers that were asked for, CLUSTERS_GATHER_MS at most once those that are ready can hold the model.
 * - One that broke is made anew at once of those that are ready; where one of the others is beginning anew at its site, that is waited
 *   for, CLUSTERS_RETURN_MS at most.
 * - A plan that stands is left alone, so that a head that serves is not stopped, but for two cases: one of its workers is to leave
 *   (its site is being drained), and the others hold the model; or it was made of fewer workers than were asked for, and for
 *   CLUSTERS_STEADY_MS more are ready. Then the head's answers may end, CLUSTERS_BUSY_MS at most.
 * - Where those that are ready cannot hold the model, core is told in words how much is lacking.
 * What a worker's chip delivers is the catalogue's, corrected by what clusters of this model were measured to do (hub/cluster_speed.h); weights
 * are as the hub's own file has them. A plan that stands is not made anew because more was learnt.
 */
#ifndef BUSBAR_HUB_CLUSTERS_H
#define BUSBAR_HUB_CLUSTERS_H

#include "base/err.h"
#include "hub/hub.h"

#define CLUSTERS_LOOK_MS 250
#define CLUSTERS_GATHER_MS 10000
#define CLUSTERS_RETURN_MS 3000
#define CLUSTERS_STEADY_MS 3000
#define CLUSTERS_BUSY_MS 20000

struct clusters_maker;

/* Starts the thread, once the hub's gateway is there. `share`: where the catalogues are; both stay the caller's. */
int clusters_open(struct clusters_maker **out, const struct hub *hub, const char *share, struct err *err);
/* What the plan in force yields by all that is known now, though it was made with less. */
struct clusters_told {
    uint64_t token_s_e3; /* thousandths; 0: a chip is not known */
    uint32_t samples;    /* measured clusters of this model that it was learnt from */
    bool guessed;        /* a way that a token takes was never measured */
};
/* On any thread. False: the plan of that generation was not looked at yet. NULL is fine. */
bool clusters_tell(struct clusters_maker *maker, const struct uuid *deployment, uint32_t generation,
                   struct clusters_told *out);
/* Ends it; before the runtime stops. */
void clusters_stop(struct clusters_maker *maker);
/* Once the runtime has stopped. NULL is fine. */
void clusters_free(struct clusters_maker *maker);

#endif
