/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures: numbers of a network with where they come from, and the place in a file where something was written.
 *
 * What is assumed must not look like what is known: each figure keeps its tier from the file to the last table.
 */
#ifndef BUSBAR_NETWORK_FIGURE_H
#define BUSBAR_NETWORK_FIGURE_H

#include <stdbool.h>
#include <stdint.h>

#define PATH_TEXT_CAP 96

/* Where a figure comes from. */
/* clang-format off */
#define TIERS(T) \
    T(NONE, "")              /* not given */ \
    T(GIVEN, "given")        /* a number without words: its author's own */ \
    T(VENDOR, "vendor")      /* data sheet or data file of the maker */ \
    T(CAPTURED, "captured")  /* output of the hardware itself */ \
    T(MEASURED, "measured")  /* by a third party */ \
    T(PUBLISHED, "published") \
    T(DERIVED, "derived")    /* calculated from what is published */ \
    T(REPORTED, "reported")  /* news, claims, documentation of others */ \
    T(ASSUMED, "assumed")
/* clang-format on */

enum tier {
#define T(name, text) TIER_##name,
    TIERS(T)
#undef T
        TIER_END
};

const char *tier_text(enum tier tier);

struct figure {
    int64_t v; /* in units of 10^-decimals of its field */
    enum tier tier;
};

static inline bool figure_given(struct figure figure)
{
    return figure.tier != TIER_NONE;
}

/* Where something was written; for what can only be checked later. */
struct where {
    const char *file;
    uint32_t line;
    char path[PATH_TEXT_CAP];
};

#endif
