/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Summary: what a network amounts to before anything runs on it.
 *
 * Chips by vendor; per jurisdiction the self-supply, that is the share of chips at its sites that come from it, counted by
 * chips and by gflops, which differ where imported chips are the faster ones; and the largest single losses: a site by
 * facility power, a vendor by chips, a corridor by capacity and one by what it cuts off. Counts are of the start; what
 * changes deliver is counted apart. About 100 kB; the caller owns it.
 */
#ifndef BUSBAR_NETWORK_SUMMARY_H
#define BUSBAR_NETWORK_SUMMARY_H

#include "network/netfile.h"

#define SUMMARY_GROUPS_MAX NET_CHIPS_MAX

/* Chips of one vendor, or at the sites of one jurisdiction. */
struct net_group {
    char name[NAME_CAP];
    uint64_t chips, gflops;
    uint64_t own_chips, own_gflops; /* jurisdiction: from itself */
};

struct net_summary {
    uint32_t sites, pools, corridors, changes;
    uint64_t chips, gflops;
    uint64_t chips_later;    /* that changes deliver */
    uint64_t it_watts;       /* at full load, before PUE */
    uint64_t facility_watts; /* with each site's mean PUE */
    struct net_group vendor[SUMMARY_GROUPS_MAX];
    uint32_t nvendors;
    struct net_group jurisdiction[SUMMARY_GROUPS_MAX];
    uint32_t njurisdictions;
    uint32_t islands;         /* parts of the network without a corridor between them */
    uint32_t largest_site;    /* NET_NONE: no chips */
    uint32_t largest_vendor;  /* of vendor[] */
    uint32_t widest_corridor; /* NET_NONE: there are none */
    uint32_t bridge; /* the corridor that cuts most chips off from the rest; NET_NONE: none cuts any */
    uint64_t bridge_chips;
    uint32_t figures[TIER_END]; /* by where they come from */
};

void net_summary(const struct netfile *nf, struct net_summary *out);
/* Facility power of a site at full load and mean PUE. */
uint64_t net_site_watts(const struct net_site *site);

#endif
