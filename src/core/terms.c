/* SPDX-License-Identifier: Apache-2.0 */
#include "core/terms.h"

#include <assert.h>

#include "base/checked.h"

#define HOUR_MS INT64_C(3600000)
#define ID_VERSION 0x80 /* RFC 9562: version 8 in the one byte, the variant in the other */

static int64_t divided(int128 exact, int64_t by)
{
    int64_t whole = (int64_t)(exact / by), rest = (int64_t)(exact % by);
    return whole + (rest > by / 2 || (rest == by / 2 && (whole & 1)));
}

/* ---- terms ---- */

struct band {
    uint32_t hours, factor;
};

static void bands_of(const struct terms *t, struct band out[TERMS_BANDS])
{
    out[0] = (struct band){t->hours0, t->factor0};
    out[1] = (struct band){t->hours1, t->factor1};
    out[2] = (struct band){t->hours2, t->factor2};
    out[3] = (struct band){t->hours3, t->factor3};
}

#define TERMS_SAME_(S, type, name, size) &&a->name == b->name
bool terms_same(const struct terms *a, const struct terms *b)
{
    return true TERMS(TERMS_SAME_, _);
}

bool terms_band(const struct terms *t, uint32_t i, uint32_t *hours, uint32_t *factor)
{
    struct band band[TERMS_BANDS];
    bands_of(t, band);
    *hours = i < TERMS_BANDS ? band[i].hours : 0;
    *factor = i < TERMS_BANDS ? band[i].factor : 0;
    return *hours != 0;
}

void terms_set_band(struct terms *t, uint32_t i, uint32_t hours, uint32_t factor)
{
    uint32_t *const at[TERMS_BANDS][2] = {{&t->hours0, &t->factor0},
                                          {&t->hours1, &t->factor1},
                                          {&t->hours2, &t->factor2},
                                          {&t->hours3, &t->factor3}};
    assert(i < TERMS_BANDS);
    *at[i][0] = hours;
    *at[i][1] = factor;
}

bool terms_hours_parse(uint32_t *hours, const char *text, size_t len)
{
    uint64_t from, to;
    size_t dash = 0;
    while (dash < len && text[dash] != '-')
        dash++;
    if (dash == len || !u64_parse(text, dash, DAY_HOURS - 1, &from) ||
        !u64_parse(text + dash + 1, len - dash - 1, DAY_HOURS, &to) || from == to)
        return false;
    *hours = 0;
    for (uint64_t h = from; h % DAY_HOURS != to % DAY_HOURS || *hours == 0; h++)
        *hours |= 1u << h % DAY_HOURS;
    return true;
}

void terms_hours(uint32_t hours, uint32_t *from, uint32_t *to)
{
    uint32_t first = 0, n = 0;
    while (first < DAY_HOURS && (!(hours >> first & 1) || (hours >> (first + DAY_HOURS - 1) % DAY_HOURS & 1)))
        first++;
    first %= DAY_HOURS; /* all of them: from 0 */
    while (n < DAY_HOURS && (hours >> (first + n) % DAY_HOURS & 1))
        n++;
    *from = first;
    *to = first + n <= DAY_HOURS ? first + n : first + n - DAY_HOURS;
}

bool terms_valid(const struct terms *t)
{
    struct band band[TERMS_BANDS];
    bands_of(t, band);
    for (uint32_t i = 0; i < TERMS_BANDS; i++) {
        if (band[i].hours >> DAY_HOURS || band[i].factor > FACTOR_MAX)
            return false;
    }
    return !(t->flags & ~(uint32_t)(TERMS_HOUR | TERMS_ENERGY)) && t->hour >= 0 && t->hour <= PRICE_MAX &&
           t->deferrable <= PER_MILLE && t->interruptible <= PER_MILLE && t->signal_min <= t->signal_max &&
           t->signal_max <= FACTOR_MAX && t->minimum >= 0 && t->minimum <= PRICE_MAX && t->free <= FREE_MAX;
}

uint32_t terms_factor(const struct terms *t, int64_t unix_ms, int64_t power, int64_t mean)
{
    struct band band[TERMS_BANDS];
    uint64_t factor = PER_MILLE, signal = PER_MILLE;
    uint32_t hour = (uint32_t)(unix_ms / HOUR_MS % DAY_HOURS), i = 0;
    bands_of(t, band);
    while (i < TERMS_BANDS && !(band[i].hours >> hour & 1))
        i++;
    if (i < TERMS_BANDS)
        factor = band[i].factor;
    if (t->signal_max > 0 && mean > 0) {
        int128 ratio = (int128)power * PER_MILLE / mean;
        signal = ratio < t->signal_min   ? t->signal_min
                 : ratio > t->signal_max ? t->signal_max
                                         : (uint64_t)ratio;
    }
    factor = factor * signal / PER_MILLE;
    return factor > FACTOR_MAX ? FACTOR_MAX : (uint32_t)factor;
}

/* ---- versions ---- */

/* Bytes 1 to 5, 7 and 9 hold the base, the greatest first; those between them are the UUID's own. */
static const uint8_t base_at[] = {1, 2, 3, 4, 5, 7, 9};
#define BASE_BYTES sizeof base_at

struct uuid version_pack(const struct version *v)
{
    struct uuid id = {{(uint8_t)v->kind}};
    assert(v->base >= 0 && v->base <= MONEY_MAX >> 4 && v->discount <= PER_MILLE && v->factor < 1u << 24);
    for (size_t i = 0; i < BASE_BYTES; i++)
        id.b[base_at[i]] = (uint8_t)(v->base >> 8 * (BASE_BYTES - 1 - i));
    id.b[6] = id.b[8] = ID_VERSION;
    id.b[10] = (uint8_t)(v->discount >> 8);
    id.b[11] = (uint8_t)v->discount;
    id.b[12] = (uint8_t)(v->factor >> 16);
    id.b[13] = (uint8_t)(v->factor >> 8);
    id.b[14] = (uint8_t)v->factor;
    id.b[15] = v->own;
    return id;
}

bool version_read(struct version *v, const struct uuid *id)
{
    *v = (struct version){.kind = id->b[0]};
    if (id->b[6] != ID_VERSION || v->kind < VERSION_CHIPS || v->kind > VERSION_FREE)
        return false;
    for (size_t i = 0; i < BASE_BYTES; i++)
        v->base = v->base << 8 | id->b[base_at[i]];
    v->discount = (uint32_t)id->b[10] << 8 | id->b[11];
    v->factor = (uint32_t)id->b[12] << 16 | (uint32_t)id->b[13] << 8 | id->b[14];
    v->own = id->b[15];
    return v->discount <= PER_MILLE;
}

int64_t version_rate(const struct version *v)
{
    int128 exact = (int128)v->base * (PER_MILLE - v->discount) * v->factor;
    return divided(exact, (int64_t)PER_MILLE * PER_MILLE);
}
