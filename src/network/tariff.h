/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tariff as a file: what models, chips and corridors cost, from when on, and what single tenants pay (docs/money.md, data/tariffs).
 *
 * All mistakes are found in one reading, each with its line and the path of what is wrong (network/problems.h). Amounts are
 * nano-units of the tariff's currency: for a million tokens, a chip-hour or a GB. Shares and factors are in thousandths. Bounds:
 * TARIFF_ENTRIES_MAX of each list, those of all tenants together.
 */
#ifndef BUSBAR_NETWORK_TARIFF_H
#define BUSBAR_NETWORK_TARIFF_H

#include <stddef.h>

#include "core/terms.h"
#include "network/problems.h"

#define TARIFF_ENTRIES_MAX 512u
#define TARIFF_NOBODY UINT32_MAX

struct tariff_model {
    uint32_t tenant; /* whose own price it is, TARIFF_NOBODY: everybody's */
    bool general;    /* it pays what everybody pays */
    char name[NAME_CAP];
    int64_t input, cached, output, reasoning;
};

struct tariff_chip {
    uint32_t tenant; /* as above; then only the hour is said */
    bool general;
    char kind[CHIP_CAP];
    struct terms terms;
};

struct tariff_corridor {
    char a[NAME_CAP], b[NAME_CAP];
    int64_t gb;
};

/* What a tenant has free in a month: tokens of a model, or chip-ms of a kind. */
struct tariff_free {
    uint32_t tenant;
    char model[NAME_CAP], chip[CHIP_CAP];
    uint64_t n;
};

struct tariff_tenant {
    char name[NAME_CAP];
    bool has_minimum;
    int64_t minimum; /* a month */
};

struct tariff_file {
    char name[NAME_CAP];
    char currency[4];
    int64_t from_ms; /* 0: at once */
    uint32_t nmodels, nchips, ncorridors, ntenants, nfree;
    struct tariff_model model[TARIFF_ENTRIES_MAX];
    struct tariff_chip chip[TARIFF_ENTRIES_MAX];
    struct tariff_corridor corridor[TARIFF_ENTRIES_MAX];
    struct tariff_tenant tenant[TARIFF_ENTRIES_MAX];
    struct tariff_free free[TARIFF_ENTRIES_MAX];
};

/* False after problems; `file` is its name in them. */
bool tariff_read(struct tariff_file *out, const char *file, const char *text, size_t len,
                 struct problems *problems);

#endif
