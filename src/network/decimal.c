/* SPDX-License-Identifier: Apache-2.0 */
#include "network/decimal.h"

#include <string.h>

#define DIGITS_MAX 18u
#define DAY_MS (24 * HOUR_MS)
#define DAYS_MAX INT64_C(2932896) /* 9999-12-31 */

enum decimal_status decimal_parse(const char *text, size_t len, unsigned decimals, int64_t *out)
{
    size_t i = len && (text[0] == '-' || text[0] == '+');
    bool negative = i && text[0] == '-';
    unsigned digits = 0, after = 0;
    bool point = false;
    int64_t v = 0;
    for (; i < len; i++) {
        char c = text[i];
        if (c == '.' && !point && digits) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return DECIMAL_NOT;
        if (point && after == decimals) {
            if (c != '0')
                return DECIMAL_PRECISE;
            continue;
        }
        if (++digits > DIGITS_MAX)
            return DECIMAL_LARGE;
        v = v * 10 + (c - '0');
        after += point;
    }
    if (!digits || text[len - 1] == '.')
        return DECIMAL_NOT;
    for (; after < decimals; after++) {
        if (__builtin_mul_overflow(v, 10, &v))
            return DECIMAL_LARGE;
    }
    *out = negative ? -v : v;
    return DECIMAL_OK;
}

void decimal_add(struct buf *buf, int64_t v, unsigned decimals)
{
    char digits[9];
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    unsigned n = decimals;
    for (unsigned i = decimals; i > 0; i--, u /= 10)
        digits[i - 1] = (char)('0' + u % 10);
    while (n > 0 && digits[n - 1] == '0')
        n--;
    if (v < 0)
        buf_add_char(buf, '-');
    buf_add_u64(buf, u);
    if (n > 0)
        buf_add_char(buf, '.');
    buf_add(buf, digits, n);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar: years from March on, so that the day that may be
 * missing is the last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = year / 400; /* not before 1970 */
    int64_t of_era = year - era * 400;
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Year of a day; *start is its first day. */
static int64_t year_of(int64_t days, int64_t *start)
{
    int64_t year = 1970 + days / 366; /* never later than it is */
    while (days_of(year + 1, 1, 1) <= days)
        year++;
    *start = days_of(year, 1, 1);
    return year;
}

static int64_t day_of(int64_t ms)
{
    int64_t days = ms < 0 ? 0 : ms / DAY_MS;
    return days < DAYS_MAX ? days : DAYS_MAX;
}

/* `n` digits at *at, which moves on. */
static bool take(const char *text, size_t len, size_t *at, unsigned n, unsigned *out)
{
    *out = 0;
    for (unsigned i = 0; i < n; i++, (*at)++) {
        if (*at >= len || text[*at] < '0' || text[*at] > '9')
            return false;
        *out = *out * 10 + (unsigned)(text[*at] - '0');
    }
    return true;
}

static bool skip(const char *text, size_t len, size_t *at, char c)
{
    return *at < len && text[(*at)++] == c;
}

/* ".250", or nothing. */
static bool take_ms(const char *text, size_t len, size_t *at, unsigned *ms)
{
    return *at == len || text[*at] != '.' || (++*at, take(text, len, at, 3, ms));
}

bool date_parse(const char *text, size_t len, int64_t *ms)
{
    static const uint8_t days_in[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day, hour = 0, minute = 0, second = 0, part = 0;
    size_t at = 0;
    if (!take(text, len, &at, 4, &year) || !skip(text, len, &at, '-') || !take(text, len, &at, 2, &month) ||
        !skip(text, len, &at, '-') || !take(text, len, &at, 2, &day))
        return false;
    if (at < len && (!skip(text, len, &at, 'T') || !take(text, len, &at, 2, &hour) ||
                     !skip(text, len, &at, ':') || !take(text, len, &at, 2, &minute) ||
                     !skip(text, len, &at, ':') || !take(text, len, &at, 2, &second) ||
                     !take_ms(text, len, &at, &part) || !skip(text, len, &at, 'Z') || at != len))
        return false;
    if (year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1 || day > days_in[month - 1] ||
        (month == 2 && day == 29 && !leap(year)) || hour > 23 || minute > 59 || second > 59)
        return false;
    *ms = days_of(year, month, day) * DAY_MS + hour * HOUR_MS + minute * INT64_C(60000) +
          second * INT64_C(1000) + part;
    return true;
}

void date_add(struct buf *buf, int64_t ms)
{
    int64_t start, days = day_of(ms), s = ms < 0 ? 0 : ms % DAY_MS / 1000;
    int64_t year = year_of(days, &start);
    unsigned month = 12;
    while (month > 1 && days_of(year, month, 1) > days)
        month--;
    buf_addf(buf, "%04d-%02u-%02uT%02u:%02u:%02uZ", (int)year, month,
             (unsigned)(days - days_of(year, month, 1)) + 1, (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
             (unsigned)(s % 60));
}

uint32_t hour_of_year(int64_t ms)
{
    int64_t start, days = day_of(ms), hour = ms < 0 ? 0 : ms % DAY_MS / HOUR_MS;
    (void)year_of(days, &start);
    int64_t day = days - start;
    return (uint32_t)((day < 365 ? day : 364) * 24 + hour);
}
