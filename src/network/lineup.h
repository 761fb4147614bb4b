/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line-up: models as services on a network, each as so many replicas that may be of up to four kinds of chips.
 *
 * What a model needs of each kind is its fit (network/fit.h). Core takes four kinds of replica a service, and there may be more that fit: of
 * each vendor one, so that the loss of a vendor leaves as many others as there can be, then others. Of a vendor's kinds the
 * one of which most tokens a second are left when the models choose, in the order in which they are given; so they spread over kinds
 * as chips are there. The first kind sets how many replicas there are: an equal share for each model of so much of all the network's chips.
 *
 * The same catalogues and network give the same line-up. Entries point into them.
 */
#ifndef BUSBAR_NETWORK_LINEUP_H
#define BUSBAR_NETWORK_LINEUP_H

#include "network/fit.h"

#define LINEUP_CHOICES 4u /* core's alternatives */
#define LINEUP_MAX 128u

struct lineup_kind {
    const struct net_chip *chip; /* NULL: no pool has it */
    uint32_t chips, sites;       /* in all pools of the start; sites that have any */
    uint32_t node_chips, most;   /* of the largest pool: chips of a node, and in all */
};

struct lineup_choice {
    uint32_t kind; /* index of the network's catalogue */
    struct fit fit;
};

struct lineup_entry {
    const struct net_model *model;
    bool can[NET_CHIPS_MAX]; /* kinds that fit, of those that the network has */
    uint32_t n;              /* choices; 0: nothing fits */
    struct lineup_choice choice[LINEUP_CHOICES];
    uint32_t replicas;
};

struct lineup {
    uint32_t nkinds;
    struct lineup_kind kind[NET_CHIPS_MAX];
    uint32_t chips; /* of all kinds */
    uint32_t n;
    struct lineup_entry entry[LINEUP_MAX];
};

/* The kinds of a network, and no entries. */
void lineup_kinds(struct lineup *lineup, const struct netfile *net);
/* `share`: thousandths of all chips; `replicas` > 0: so many of each model instead. ERR_LIMIT: too many models. */
int lineup_make(struct lineup *lineup, struct fitter *fitter, const struct net_model *const *models,
                uint32_t n, const char *format, uint32_t share, uint32_t replicas);
/* The service of entry i: as many replicas at least as at most, for that tenant. False: nothing fits. */
bool lineup_service(const struct lineup *lineup, uint32_t i, struct event_service_set *out);

#endif
