/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near: which sites a region, or the way from a site, stands for.
 *
 * A name is first that of a region or jurisdiction, and means its sites; else that of a site, and means those whose round trip from
 * it, over the corridors that are up, is NEAR_RTT_US at most, the site itself among them. In the order of that round trip, then of
 * ids; so who takes the first few takes the nearest.
 */
#ifndef BUSBAR_HUB_NEAR_H
#define BUSBAR_HUB_NEAR_H

#include "core/view.h"

/* Microseconds: what light in fibre needs for some 3,000 km there and back (200 km a ms one way), with as much again for the
 * detours of real ways. An answer's first token takes longer. */
#define NEAR_RTT_US 30000
#define NEAR_SITES_MAX 256 /* limits.sites of a hub */

/* On the core thread. How many; 0: nothing is called so. `out` has room for NEAR_SITES_MAX. */
uint32_t near_sites(const struct core *core, const char *name, const struct row_site **out);

#endif
