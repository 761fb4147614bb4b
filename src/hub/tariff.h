/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tariff that is compared with what will be in force at its date: what would change (hub/tariff.c), what its entries may have
 * (hub/tariff_entry.c), and how changes are told (hub/tariff_diff.c).
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

/* Entries of its lists. A tenant's own prices have fewer members than everybody's. */
enum tariff_entry {
    TARIFF_ENTRY_ANY, /* whatever it is, for whoever looks at it to judge */
    TARIFF_ENTRY_MODEL,
    TARIFF_ENTRY_OWN_MODEL,
    TARIFF_ENTRY_CHIP,
    TARIFF_ENTRY_OWN_CHIP,
    TARIFF_ENTRY_BAND,
    TARIFF_ENTRY_SIGNAL,
    TARIFF_ENTRY_CORRIDOR,
    TARIFF_ENTRY_FREE_TOKENS,
    TARIFF_ENTRY_FREE_CHIP,
    TARIFF_ENTRY_TENANT,
    TARIFF_ENTRY_END
};

/* A member that is a text; "" if there is none. */
const char *tariff_text(yyjson_val *entry, const char *name);
/* It has what it must have, once, of its type, and nothing else; `where` is what words about it begin with. Else ERR_INVALID. */
int tariff_check_entry(struct api_call *call, yyjson_val *entry, const char *where, enum tariff_entry of);
/* No entry before it in the list is about the same. Else ERR_INVALID. */
int tariff_check_once(struct api_call *call, yyjson_val *list, yyjson_val *entry, const char *where);
/* What changes, a row for each price, as JSON: {"data":[...],"next":null}. */
void tariff_render(struct buf *out, const struct core *core, const struct tariff *tariff);

#endif
