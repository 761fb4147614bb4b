/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tariff as a file: what models and chips cost, from when on (docs/money.md, data/tariffs).
 *
 * All mistakes are found in one reading, each with its line and the path of what is wrong (network/problems.h). Amounts are
 * nano-units of the tariff's currency: for a million tokens, or for a chip-hour. Bounds: TARIFF_ENTRIES_MAX of each list.
 */
#ifndef BUSBAR_NETWORK_TARIFF_H
#define BUSBAR_NETWORK_TARIFF_H

#include <stddef.h>

#include "core/limits.h"
#include "network/problems.h"

#define TARIFF_ENTRIES_MAX 512u

struct tariff_model {
    char name[NAME_CAP];
    int64_t input, cached, output, reasoning;
};

struct tariff_chip {
    char kind[CHIP_CAP];
    int64_t hour;
};

struct tariff_file {
    char name[NAME_CAP];
    char currency[4];
    int64_t from_ms; /* 0: at once */
    uint32_t nmodels, nchips;
    struct tariff_model model[TARIFF_ENTRIES_MAX];
    struct tariff_chip chip[TARIFF_ENTRIES_MAX];
};

/* False after problems; `file` is its name in them. */
bool tariff_read(struct tariff_file *out, const char *file, const char *text, size_t len,
                 struct problems *problems);

#endif
