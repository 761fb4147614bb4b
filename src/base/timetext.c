/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timetext.h"

#include <string.h>
#include <time.h>

#include "base/str.h"

/* ---- spans ---- */

bool span_parse(const char *text, size_t len, uint64_t *out)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t n;
    for (size_t i = 0; len > 1 && i < sizeof units / sizeof units[0]; i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        if (!u64_parse(text, len - 1, SPAN_S_MAX / units[i].seconds, &n) || n == 0)
            return false;
        *out = n * units[i].seconds;
        return true;
    }
    return false;
}

/* Up to three numbers between colons. Returns how many; 0: it is something else. */
static uint32_t read_parts(const char *text, size_t len, uint64_t part[3])
{
    uint32_t n = 0;
    for (size_t at = 0; at <= len;) {
        const char *colon = at < len ? memchr(text + at, ':', len - at) : NULL;
        size_t end = colon ? (size_t)(colon - text) : len;
        if (n == 3 || !u64_parse(text + at, end - at, SPAN_S_MAX, &part[n]))
            return 0;
        n++;
        at = end + 1;
    }
    return n;
}

bool span_parse_slurm(const char *text, size_t len, uint64_t *out)
{
    /* What the first number counts, by whether there are days before it and how many numbers there are. */
    static const uint64_t first_s[2][4] = {{0, 60, 60, 3600}, {0, 3600, 3600, 3600}};
    uint64_t days = 0, part[3] = {0}, seconds = 0;
    const char *dash = memchr(text, '-', len);
    size_t skip = dash ? (size_t)(dash - text) + 1 : 0;
    if (span_parse(text, len, out))
        return true;
    uint32_t n = read_parts(text + skip, len - skip, part);
    if (n == 0 || (dash && !u64_parse(text, skip - 1, SPAN_S_MAX / 86400, &days)))
        return false;
    uint64_t unit = first_s[dash != NULL][n];
    for (uint32_t i = 0; i < n; i++, unit /= 60) {
        if ((i > 0 || dash) && part[i] > (unit == 3600 ? 23 : 59))
            return false;
        seconds += part[i] * unit;
    }
    seconds += days * 86400;
    if (seconds == 0 || seconds > SPAN_S_MAX)
        return false;
    *out = seconds;
    return true;
}

/* ---- moments ---- */

struct cursor {
    const char *p, *end;
};

static bool take_number(struct cursor *c, size_t digits, int min, int max, int *out)
{
    uint64_t n;
    if ((size_t)(c->end - c->p) < digits || !u64_parse(c->p, digits, (uint64_t)max, &n) || (int)n < min)
        return false;
    *out = (int)n;
    c->p += digits;
    return true;
}

static bool take_char(struct cursor *c, const char *any)
{
    if (c->p == c->end || *c->p == 0 || !strchr(any, *c->p))
        return false;
    c->p++;
    return true;
}

/* Milliseconds; what is finer is cut off. */
static bool take_fraction(struct cursor *c, int *ms)
{
    *ms = 0;
    if (!take_char(c, "."))
        return true;
    int scale = 100, digits = 0, digit;
    for (; take_number(c, 1, 0, 9, &digit); digits++, scale /= 10)
        *ms += digit * scale;
    return digits > 0;
}

/* "Z" or "+02:00", minutes to take away. */
static bool take_offset(struct cursor *c, int *minutes)
{
    int hours, rest;
    *minutes = 0;
    if (take_char(c, "Zz"))
        return true;
    bool east = c->p < c->end && *c->p == '+';
    if (!take_char(c, "+-") || !take_number(c, 2, 0, 23, &hours) || !take_char(c, ":") ||
        !take_number(c, 2, 0, 59, &rest))
        return false;
    *minutes = (hours * 60 + rest) * (east ? 1 : -1);
    return true;
}

static bool read_moment(const char *text, size_t len, int64_t *out)
{
    struct cursor c = {text, text + len};
    struct tm tm = {0};
    int year, ms, offset;
    if (!take_number(&c, 4, 1970, 9999, &year) || !take_char(&c, "-") ||
        !take_number(&c, 2, 1, 12, &tm.tm_mon) || !take_char(&c, "-") ||
        !take_number(&c, 2, 1, 31, &tm.tm_mday) || !take_char(&c, "Tt ") ||
        !take_number(&c, 2, 0, 23, &tm.tm_hour) || !take_char(&c, ":") ||
        !take_number(&c, 2, 0, 59, &tm.tm_min) || !take_char(&c, ":") ||
        !take_number(&c, 2, 0, 59, &tm.tm_sec) || !take_fraction(&c, &ms) || !take_offset(&c, &offset) ||
        c.p != c.end)
        return false;
    const int day = tm.tm_mday;
    tm.tm_year = year - 1900;
    tm.tm_mon--;
    const time_t s = timegm(&tm);
    if (tm.tm_mday != day) /* the month has no such day */
        return false;
    *out = ((int64_t)s - (int64_t)offset * 60) * 1000 + ms;
    return true;
}

bool moment_parse(const char *text, size_t len, int64_t now_ms, int64_t *out)
{
    uint64_t seconds;
    if (len == 0 || text[0] != '+')
        return read_moment(text, len, out);
    if (!span_parse(text + 1, len - 1, &seconds))
        return false;
    *out = now_ms + (int64_t)seconds * 1000;
    return true;
}
