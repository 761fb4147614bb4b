/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profile: what power costs at a site, how clean it is and what cooling adds, for each hour of a year.
 *
 * The shapes are our own and synthetic. Sun follows latitude, season and local time with cloudy and clear days; wind is
 * stronger in the hemisphere's winter and at night and comes in fronts; hydro has its wet season in the hemisphere's
 * summer; demand has a morning and an evening peak. Where renewables have a large part, prices and carbon dip when they
 * run; PUE rises with the air's temperature above what cools for nothing. What is kept of the caller's figures is the mean
 * over the year, within rounding. Real series replace any hour (network/signals.c).
 *
 * Integers only, so every machine makes the same table. On the heap; 140 kB a site.
 */
#ifndef BUSBAR_NETWORK_PROFILE_H
#define BUSBAR_NETWORK_PROFILE_H

#include <stdint.h>

#include "network/decimal.h"

struct profile_hour {
    int64_t price;      /* nano-units for a kWh */
    uint32_t carbon;    /* mg CO2e for a kWh */
    uint16_t pue;       /* thousandths */
    uint16_t renewable; /* share, thousandths */
};

struct profile {
    struct profile_hour hour[HOURS_OF_YEAR]; /* UTC */
};

/* Means over the year, and what shapes them. */
struct profile_mean {
    int64_t lat, lon; /* millionths of a degree */
    int64_t price;    /* 0 or more */
    uint32_t carbon;
    uint32_t pue;                /* 0: as the climate of the latitude makes it */
    uint32_t renewable;          /* 0 to 1000 */
    uint32_t solar, wind, hydro; /* their parts of the renewables; in any unit, not all 0 */
    uint64_t seed;               /* of the weather */
};

/* NULL when out of memory. The caller frees. */
struct profile *profile_new(const struct profile_mean *mean);
const struct profile_hour *profile_at(const struct profile *profile, int64_t at_ms);

#endif
