/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/chart_axis.h"

#include <math.h>
#include <stdio.h>

#include "sim/duration.h"

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* ---- numbers ---- */

struct axis axis_round(double lo, double hi, unsigned ticks)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    if (!isfinite(lo) || !isfinite(hi) || hi - lo < 1e-12) {
        bool none = !isfinite(lo) || !isfinite(hi) || fabs(hi) < 1e-12;
        if (none)
            return (struct axis){0, 1, 0.5};
        lo = fmin(lo, 0);
        hi = fmax(hi, 0);
    }
    double rough = (hi - lo) / (ticks ? ticks : 1);
    double power = pow(10, floor(log10(rough)));
    double step = 10 * power;
    for (int i = 4; i >= 0; i--) {
        if (steps[i] * power >= rough * (1 - 1e-9))
            step = steps[i] * power;
    }
    return (struct axis){floor(lo / step + 1e-9) * step, ceil(hi / step - 1e-9) * step, step};
}

void axis_label(char dst[AXIS_TEXT_CAP], const struct axis *axis, double v)
{
    static const double from[] = {1e12, 1e9, 1e6, 1e4, 0}, parts[] = {1e12, 1e9, 1e6, 1e3, 1};
    static const char *const units[] = {"T", "G", "M", "k", ""};
    double most = fmax(fabs(axis->lo), fabs(axis->hi));
    int u = 0, decimals = 0;
    while (most < from[u])
        u++;
    double step = axis->step / parts[u];
    while (decimals < 6 && fabs(step * pow(10, decimals) - round(step * pow(10, decimals))) > 1e-6)
        decimals++;
    double shown = fabs(v) < axis->step / 1e6 ? 0 : v / parts[u];
    if (shown == 0) {
        (void)snprintf(dst, AXIS_TEXT_CAP, "0");
        return;
    }
    long whole = lround(fabs(shown));
    if (decimals == 0 && whole >= 1000 && whole < 1000000) {
        (void)snprintf(dst, AXIS_TEXT_CAP, "%s%ld,%03ld%s", shown < 0 ? "\u2212" : "", whole / 1000,
                       whole % 1000, units[u]);
        return;
    }
    (void)snprintf(dst, AXIS_TEXT_CAP, "%.*f%s", decimals, shown, units[u]);
}

/* ---- time ---- */

/* Howard Hinnant's civil_from_days, for days from 1970 on. */
void axis_date(int64_t ms, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = (ms < 0 ? 0 : ms / DAY_MS) + 719468;
    int64_t era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

void axis_date_text(char dst[AXIS_TEXT_CAP], int64_t ms)
{
    int64_t year;
    unsigned month, day;
    axis_date(ms, &year, &month, &day);
    (void)snprintf(dst, AXIS_TEXT_CAP, "%u %s %lld", day, months[month - 1], (long long)year);
}

/* Steps of hours that divide days evenly, then days. */
static int64_t even_step(int64_t span_ms, uint32_t most)
{
    static const int64_t hours[] = {1,   2,   3,   6,    12,   24,   48,    120,
                                    240, 480, 720, 1440, 2400, 4800, 12000, 24000};
    const int n = (int)(sizeof hours / sizeof hours[0]);
    for (int i = 0; i < n; i++) {
        if (span_ms / (hours[i] * HOUR_MS) < most)
            return hours[i] * HOUR_MS;
    }
    return span_ms + 1;
}

static uint32_t run_ticks(int64_t origin_ms, int64_t from_ms, int64_t to_ms, uint32_t most,
                          struct axis_tick *tick)
{
    int64_t step = even_step(to_ms - from_ms, most), at = (from_ms - origin_ms + step - 1) / step * step;
    uint32_t n = 0;
    for (; origin_ms + at <= to_ms && n < most; at += step, n++) {
        tick[n].at = (double)(origin_ms + at);
        if (step < DAY_MS)
            (void)snprintf(tick[n].text, AXIS_TEXT_CAP, "%lld h", (long long)(at / HOUR_MS));
        else
            (void)snprintf(tick[n].text, AXIS_TEXT_CAP, "day %lld", (long long)(at / DAY_MS));
    }
    return n;
}

/* First days of every `step`th month. */
static uint32_t month_ticks(int64_t from_ms, int64_t to_ms, uint32_t step, uint32_t most,
                            struct axis_tick *tick)
{
    uint32_t n = 0;
    for (int64_t ms = from_ms - from_ms % DAY_MS; ms <= to_ms && n < most; ms += DAY_MS) {
        int64_t year;
        unsigned month, day;
        axis_date(ms, &year, &month, &day);
        if (ms < from_ms || day != 1 || ((uint64_t)year * 12 + month - 1) % step != 0)
            continue;
        tick[n].at = (double)ms;
        if (month == 1)
            (void)snprintf(tick[n++].text, AXIS_TEXT_CAP, "%lld", (long long)year);
        else
            (void)snprintf(tick[n++].text, AXIS_TEXT_CAP, "%s", months[month - 1]);
    }
    return n;
}

static uint32_t day_ticks(int64_t from_ms, int64_t to_ms, uint32_t most, struct axis_tick *tick)
{
    int64_t step = even_step(to_ms - from_ms, most), year;
    uint32_t n = 0;
    step = step < DAY_MS ? DAY_MS : step;
    for (int64_t ms = (from_ms + DAY_MS - 1) / DAY_MS * DAY_MS; ms <= to_ms && n < most; ms += step, n++) {
        unsigned month, day;
        axis_date(ms, &year, &month, &day);
        tick[n].at = (double)ms;
        (void)snprintf(tick[n].text, AXIS_TEXT_CAP, "%u %s", day, months[month - 1]);
    }
    return n;
}

uint32_t axis_time(int64_t origin_ms, int64_t from_ms, int64_t to_ms, bool calendar, uint32_t most,
                   struct axis_tick tick[AXIS_TICKS_MAX])
{
    static const uint32_t steps[] = {1, 2, 3, 6, 12, 24, 60, 120};
    int64_t days = (to_ms - from_ms) / DAY_MS;
    most = most > AXIS_TICKS_MAX ? AXIS_TICKS_MAX : most;
    if (!calendar || days < 2)
        return run_ticks(origin_ms, from_ms, to_ms, most, tick);
    if (days < 75)
        return day_ticks(from_ms, to_ms, most, tick);
    uint32_t i = 0;
    while (i < sizeof steps / sizeof steps[0] - 1 && days / (30 * (int64_t)steps[i]) >= most)
        i++;
    return month_ticks(from_ms, to_ms, steps[i], most, tick);
}

uint32_t axis_spans(double most_s, struct axis_tick tick[AXIS_TICKS_MAX])
{
    static const struct {
        double s;
        const char *text;
    } known[] = {{1, "1 s"},           {10, "10 s"},       {60, "1 min"},     {600, "10 min"},
                 {3600, "1 h"},        {21600, "6 h"},     {86400, "1 d"},    {604800, "7 d"},
                 {2592000, "30 d"},    {8640000, "100 d"}, {31536000, "1 y"}, {315360000, "10 y"},
                 {3153600000, "100 y"}};
    const uint32_t all = sizeof known / sizeof known[0];
    uint32_t n = 0;
    do {
        tick[n].at = known[n].s;
        (void)snprintf(tick[n].text, AXIS_TEXT_CAP, "%s", known[n].text);
        n++;
    } while (n < all && known[n - 1].s < most_s);
    return n;
}

void axis_span_text(char dst[AXIS_TEXT_CAP], double seconds)
{
    double s = seconds < 0 ? 0 : seconds;
    if (s < 0.5)
        (void)snprintf(dst, AXIS_TEXT_CAP, "0 s");
    else if (s < 119.5)
        (void)snprintf(dst, AXIS_TEXT_CAP, "%.0f s", s);
    else if (s < 7170)
        (void)snprintf(dst, AXIS_TEXT_CAP, "%.0f min", s / 60);
    else if (s < 2 * 86400) {
        long minutes = lround(s / 60);
        (void)snprintf(dst, AXIS_TEXT_CAP, minutes % 60 ? "%ld h %ld min" : "%ld h", minutes / 60,
                       minutes % 60);
    } else {
        bool whole = s >= 20 * 86400 || fabs(s / 86400 - round(s / 86400)) < 0.05;
        (void)snprintf(dst, AXIS_TEXT_CAP, "%.*f days", whole ? 0 : 1, s / 86400);
    }
}
