/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terms: what makes a price another one - discounts, hours of the day, the price of power, a tenant of its own - and how a line says so.
 *
 * What an hour of a chip costs is its base, the pool's price or the tenant's own, less the discounts of the job, times the factor of
 * the hour. The line of a bill keeps all three in the id of its price, a UUID of version 8 (RFC 9562, 5.8: whose bits are its
 * maker's), so that a line needs no list of prices to be read, and no later tariff can change what it says. Of a model's tokens it is
 * the id of the price, a UUID of version 7, so the two cannot be taken for each other.
 *
 * Factors and discounts are in thousandths. Nothing here allocates.
 */
#ifndef BUSBAR_CORE_TERMS_H
#define BUSBAR_CORE_TERMS_H

#include <stdbool.h>

#include "core/schema.h"

#define PER_MILLE 1000u
#define TERMS_BANDS 4u
#define FACTOR_MAX 100000u /* a hundredfold */
#define DAY_HOURS 24u
#define FREE_MAX (UINT64_C(1) << 53)

enum price_flag {
    PRICE_GENERAL = 1u,  /* the tenant has no price of its own from then on */
    PRICE_IN_FORCE = 2u, /* of a tenant's own */
    PRICE_CLOSED = 4u,   /* part of the books, not of the state */
};

enum tariff_what { TARIFF_MODEL = 1, TARIFF_POOL = 2, TARIFF_CORRIDOR = 3, TARIFF_TERMS = 4 };

enum terms_flag {
    TERMS_HOUR = 1u,   /* a chip-hour costs `hour`; else what the pool's price is */
    TERMS_ENERGY = 2u, /* energy is a line of its own, at what power costs */
};

struct terms {
    TERMS(SCHEMA_MEMBER, _)
};

/* Between the structs that have them: events, rows, and the one above. */
#define TERMS_MOVE_(S, type, name, size) terms_to_->name = terms_from_->name;
#define TERMS_COPY(to, from) \
    do { \
        __typeof__(to) terms_to_ = (to); \
        __typeof__(from) terms_from_ = (from); \
        TERMS(TERMS_MOVE_, _) \
    } while (0)

bool terms_same(const struct terms *a, const struct terms *b);
/* Hours of the day as "7-22": from the first on, without the last; past midnight where that is the lesser. False: it is none. */
bool terms_hours_parse(uint32_t *hours, const char *text, size_t len);
/* And back: the first of them, and the end. */
void terms_hours(uint32_t hours, uint32_t *from, uint32_t *to);
/* The band at this place; false: there is none. */
bool terms_band(const struct terms *terms, uint32_t i, uint32_t *hours, uint32_t *factor);
void terms_set_band(struct terms *terms, uint32_t i, uint32_t hours, uint32_t factor);

/* Whether amounts, shares and hours are such as can be. */
bool terms_valid(const struct terms *terms);
/* The factor at a time, where power costs `power` and has cost `mean`, nano-units a kWh: that of the first band with the hour, times
 * the signal's. A mean that is not above 0 makes none. */
uint32_t terms_factor(const struct terms *terms, int64_t unix_ms, int64_t power, int64_t mean);

enum version_kind {
    VERSION_CHIPS = 1,
    VERSION_ENERGY = 2,  /* passed on: base is what power cost, factor the PUE */
    VERSION_MINIMUM = 3, /* what was missing to it */
    VERSION_FREE = 4,    /* used out of an allowance */
};

/* How a price came to be. */
struct version {
    uint32_t kind;
    int64_t base;      /* nano-units */
    uint32_t discount; /* thousandths */
    uint32_t factor;   /* thousandths */
    bool own;          /* the base is the tenant's own price */
};

struct uuid version_pack(const struct version *version);
/* False: the id is none of these. */
bool version_read(struct version *version, const struct uuid *id);
/* base x (1 - discount) x factor, half to even: nano-units. */
int64_t version_rate(const struct version *version);

#endif
