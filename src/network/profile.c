/* SPDX-License-Identifier: Apache-2.0 */
#include "network/profile.h"

#include <stdlib.h>

#include "base/map.h"

/* Shapes are in units of 1/ONE; angles in hundredths of a degree. */
#define ONE INT64_C(65536)
#define TURN INT64_C(36000)
#define DAYS INT64_C(365)
#define NOON 12
#define MIDWINTER 15 /* day of the year on which the northern hemisphere is coldest */
#define MIDSUMMER 200
#define KNOTS 240 /* of the weather: every 36.5 hours */
#define SHARE_ROUNDS 8
#define ODDS_MAX (ONE * 4096)
#define FLOOR (ONE / 10) /* of price and carbon, beside their mean */

struct shape {
    int64_t lat; /* hundredths of a degree */
    int64_t hemisphere;
    int64_t lon_minutes;              /* local solar time beside UTC */
    int32_t front[KNOTS], sky[KNOTS]; /* -ONE to ONE */
};

/* What varies in an hour; the mean of each over the year is ONE. */
struct hour_shape {
    int32_t renewables;
    int32_t demand;
    int32_t overhead; /* of cooling */
};

/* ---- time, place, weather ---- */

/* Bhaskara's rational sine: within 0.0017 of the true one, and in integers alike everywhere. */
static int64_t sine(int64_t angle)
{
    int64_t a = angle % TURN;
    a = a < 0 ? a + TURN : a;
    int64_t sign = a >= TURN / 2 ? -1 : 1;
    a = a % (TURN / 2);
    int64_t y = a * (TURN / 2 - a);
    return sign * 4 * y * ONE / (INT64_C(405000000) - y);
}

static int64_t cosine(int64_t angle)
{
    return sine(angle + TURN / 4);
}

/* 1 on the day of the peak, -1 half a year later. */
static int64_t season(int64_t day, int64_t peak)
{
    return cosine((day - peak) * TURN / DAYS);
}

static int64_t local_minute(const struct shape *s, uint32_t hour)
{
    int64_t m = (int64_t)(hour % 24) * 60 + 30 + s->lon_minutes;
    return (m + 2880) % 1440;
}

/* 1 at noon, -1 at midnight. */
static int64_t daily(const struct shape *s, uint32_t hour, int64_t peak)
{
    return cosine((local_minute(s, hour) - peak * 60) * 25);
}

static void weather(int32_t knots[KNOTS], uint64_t seed)
{
    for (uint32_t i = 0; i < KNOTS; i++)
        knots[i] = (int32_t)((int64_t)(map_hash(seed, &i, sizeof i) >> 47) - ONE);
}

/* Between the knots; the end of the year meets its beginning. */
static int64_t between(const int32_t knots[KNOTS], uint32_t hour)
{
    const uint32_t step = HOURS_OF_YEAR * 2 / KNOTS;
    uint32_t i = hour * 2 / step, part = hour * 2 % step;
    return ((int64_t)knots[i] * (step - part) + (int64_t)knots[(i + 1) % KNOTS] * part) / step;
}

static int64_t abs64(int64_t v)
{
    return v < 0 ? -v : v;
}

/* ---- sun, wind, water, demand, heat; 0 or more, not yet with a mean of ONE ---- */

static int64_t sun(const struct shape *s, uint32_t hour)
{
    int64_t declination = -2344 * season(hour / 24, -10) / ONE;
    int64_t height = sine(s->lat) * sine(declination) / ONE +
                     cosine(s->lat) * cosine(declination) / ONE * daily(s, hour, NOON) / ONE;
    return height > 0 ? height * (ONE * 3 + between(s->sky, hour)) / (ONE * 4) : 0;
}

static int64_t wind(const struct shape *s, uint32_t hour)
{
    int64_t lat = abs64(s->lat) < 4500 ? abs64(s->lat) : 4500;
    int64_t v = ONE + s->hemisphere * season(hour / 24, MIDWINTER) * lat / 18000 - daily(s, hour, NOON) / 12;
    return v * (ONE * 5 + between(s->front, hour) * 3) / (ONE * 5);
}

static int64_t water(const struct shape *s, uint32_t hour)
{
    return ONE + s->hemisphere * season(hour / 24, MIDSUMMER) * 3 / 10;
}

static int64_t demand(const struct shape *s, uint32_t hour)
{
    /* Thousandths of the mean by local hour. */
    static const int16_t by_hour[24] = {830,  790,  770,  760,  770,  810,  890,  980,
                                        1050, 1090, 1100, 1090, 1070, 1060, 1060, 1060,
                                        1080, 1130, 1190, 1210, 1170, 1090, 1000, 910};
    int64_t m = local_minute(s, hour);
    int64_t h = m / 60, part = m % 60;
    int64_t v = (by_hour[h] * (60 - part) + by_hour[(h + 1) % 24] * part) * ONE / 60000;
    /* Heating where it is cold, cooling where it is hot. */
    int64_t cold = s->hemisphere * season(hour / 24, MIDWINTER) * (abs64(s->lat) - 3500) / 3500;
    return v + v * cold / ONE * 8 / 100;
}

/* Facility overhead beside that of a site that is always cool. */
static int64_t overhead(const struct shape *s, uint32_t hour)
{
    int64_t lat = abs64(s->lat);
    int64_t air = 2700 - 6 * lat * lat / 100000; /* hundredths of a degree Celsius */
    air += s->hemisphere * season(hour / 24, MIDSUMMER) * lat * 3 / 10 / ONE;
    air += daily(s, hour, 15) * 400 / ONE;
    air += between(s->front, hour) * 300 / ONE;
    return ONE + (air > 1200 ? (air - 1200) * ONE / 2000 : 0);
}

/* ---- a year of shapes ---- */

typedef int64_t source_fn(const struct shape *s, uint32_t hour);

static int64_t mean_of(const struct shape *s, source_fn *source)
{
    int64_t sum = 0;
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++)
        sum += source(s, h);
    return sum / HOURS_OF_YEAR;
}

static void shape_hours(const struct shape *s, const struct profile_mean *mean, struct hour_shape *out)
{
    int64_t parts = (int64_t)mean->solar + mean->wind + mean->hydro;
    int64_t sun_mean = mean_of(s, sun), wind_mean = mean_of(s, wind), water_mean = mean_of(s, water);
    int64_t demand_mean = mean_of(s, demand), overhead_mean = mean_of(s, overhead);
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
        int64_t v = mean->solar * (sun(s, h) * ONE / sun_mean) + mean->wind * (wind(s, h) * ONE / wind_mean) +
                    mean->hydro * (water(s, h) * ONE / water_mean);
        out[h] = (struct hour_shape){.renewables = (int32_t)(v / parts),
                                     .demand = (int32_t)(demand(s, h) * ONE / demand_mean),
                                     .overhead = (int32_t)(overhead(s, h) * ONE / overhead_mean)};
    }
}

/* Share of renewables: what they give, beside them and the rest, which follows demand. */
static int64_t share_of(const struct hour_shape *h, int64_t odds)
{
    int64_t r = odds * h->renewables / ONE;
    return r * ONE / (r + h->demand);
}

/* Odds at which the mean of the share is `share`, both in units of 1/ONE, share > 0 and < ONE. */
static int64_t find_odds(const struct hour_shape *hours, int64_t share)
{
    int64_t odds = share * ONE / (ONE - share);
    for (int i = 0; i < SHARE_ROUNDS; i++) {
        int64_t sum = 0, n = 0;
        /* Every fifth hour meets each hour of the day alike. */
        for (uint32_t h = 0; h < HOURS_OF_YEAR; h += i + 1 < SHARE_ROUNDS ? 5 : 1, n++)
            sum += share_of(&hours[h], odds);
        int64_t found = sum / n;
        if (found <= 0 || found >= ONE)
            break;
        odds = odds * share / (ONE - share) * (ONE - found) / found;
        odds = odds < 1 ? 1 : odds > ODDS_MAX ? ODDS_MAX : odds;
    }
    return odds;
}

/* Sets each hour's value to mean * shape / mean of the shapes. */
static int64_t scaled(int64_t mean, int64_t shape, int64_t shape_mean)
{
    __extension__ __int128 v = (__int128)mean * shape;
    return (int64_t)((v + shape_mean / 2) / shape_mean);
}

static int64_t price_shape(const struct hour_shape *h, int64_t share, int64_t mean)
{
    int64_t v = ONE + (h->demand - ONE) * 6 / 10 - (share - mean) * 12 / 10;
    return v > FLOOR ? v : FLOOR;
}

static int64_t carbon_shape(int64_t share, int64_t mean)
{
    int64_t v = mean < ONE ? (ONE - share) * ONE / (ONE - mean) : ONE;
    return v > FLOOR ? v : FLOOR;
}

static void fill(struct profile *p, const struct profile_mean *mean, const struct hour_shape *hours)
{
    int64_t share = (int64_t)mean->renewable * ONE / 1000, price = 0, carbon = 0;
    int64_t odds = share > 0 && share < ONE ? find_odds(hours, share) : 0;
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
        int64_t now = odds ? share_of(&hours[h], odds) : share;
        price += price_shape(&hours[h], now, share);
        carbon += carbon_shape(now, share);
    }
    price /= HOURS_OF_YEAR;
    carbon /= HOURS_OF_YEAR;
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
        int64_t now = odds ? share_of(&hours[h], odds) : share;
        p->hour[h] =
            (struct profile_hour){.price = scaled(mean->price, price_shape(&hours[h], now, share), price),
                                  .carbon = (uint32_t)scaled(mean->carbon, carbon_shape(now, share), carbon),
                                  .pue = (uint16_t)(1000 + scaled(mean->pue - 1000, hours[h].overhead, ONE)),
                                  .renewable = (uint16_t)((now * 1000 + ONE / 2) / ONE)};
    }
}

struct profile *profile_new(const struct profile_mean *mean)
{
    struct profile_mean m = *mean;
    struct shape s = {
        .lat = m.lat / 10000, .hemisphere = m.lat < 0 ? -1 : 1, .lon_minutes = m.lon * 4 / 1000000};
    struct profile *profile = malloc(sizeof *profile);
    struct hour_shape *hours = malloc(HOURS_OF_YEAR * sizeof *hours);
    if (profile && hours) {
        weather(s.front, m.seed);
        weather(s.sky, m.seed + 1);
        shape_hours(&s, &m, hours);
        if (m.pue == 0) /* a tenth, and what the climate makes of it */
            m.pue = 1000 + (uint32_t)(mean_of(&s, overhead) * 100 / ONE);
        fill(profile, &m, hours);
    } else {
        free(profile);
        profile = NULL;
    }
    free(hours);
    return profile;
}

const struct profile_hour *profile_at(const struct profile *profile, int64_t at_ms)
{
    return &profile->hour[hour_of_year(at_ms)];
}
