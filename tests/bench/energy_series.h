/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sites with the real hours of a year: carbon of their grid zone and, where there is one, the wholesale price.
 *
 * Which sites, how large and in which zones comes as text, a site a line: name, capacity (kW of its machines), PUE in
 * thousandths, column of the carbon file, column of the price file or '-'.
 */
#ifndef BUSBAR_TESTS_ENERGY_SERIES_H
#define BUSBAR_TESTS_ENERGY_SERIES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SERIES_SITES_MAX 40u
#define SERIES_HOURS 8760u

struct series_site {
    char name[64], ci_zone[32], price_zone[32];
    int64_t kw, pue;
    bool has_carbon, has_price;
    int64_t carbon[SERIES_HOURS]; /* g CO2e a kWh from the grid */
    int64_t price[SERIES_HOURS];  /* hundredths of a USD a MWh; may be negative */
};

/* All end the program with words on stderr when something is wrong. */
uint32_t series_sites(FILE *in, struct series_site *site);
/* Sites whose zone has no column in the file are left without. */
void series_read(struct series_site *site, uint32_t n, const char *path, bool price);
/* Keeps the sites that have what is needed; returns how many. */
uint32_t series_keep(struct series_site *site, uint32_t n, bool carbon, bool price);

#endif
