/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tariff that is compared with what will be in force at its date: what would change (hub/tariff.c), and how that is told
 * (hub/tariff_diff.c).
 */
#ifndef BUSBAR_HUB_TARIFF_H
#define BUSBAR_HUB_TARIFF_H

#include "core/terms.h"
#include "hub/api.h"

struct change {
    uint32_t what;            /* enum tariff_what */
    struct uuid item, tenant; /* zero: of none in particular, of all */
    char chip[CHIP_CAP];
    bool had, general;       /* the tenant has a price of its own; it will have none */
    int64_t now[4], then[4]; /* input, cached, output, reasoning; else the first one */
    struct terms was, terms;
};

struct tariff {
    bool apply;
    int64_t from_ms;
    char currency[8], name[NAME_CAP];
    struct change *change;
    uint32_t n;
};

/* What changes, a row for each price, as JSON: {"data":[...],"next":null}. */
void tariff_render(struct buf *out, const struct core *core, const struct tariff *tariff);

#endif
