/* SPDX-License-Identifier: Apache-2.0 */
/* Real series of a site: CSV with a header hour,price_usd_mwh,carbon_g_kwh (either column may be missing). */
#include <string.h>

#include "base/str.h"
#include "network/parts.h"

#define ROWS_MAX 8784u /* a leap year; what is over 8,760 is left out */
#define COLUMNS_MAX 3u

static const struct {
    const char *name;
    unsigned decimals;
    int64_t min, max;
} columns[COLUMNS_MAX] = {
    {"hour", 0, 0, ROWS_MAX - 1},
    {"price_usd_mwh", 6, -INT64_C(10000000000), INT64_C(100000000000)},
    {"carbon_g_kwh", 3, 0, 5000000},
};

struct series {
    struct problems *problems;
    const char *file;
    uint32_t line;
    uint32_t ncolumns;
    uint32_t column[COLUMNS_MAX]; /* of a file's column, which of ours */
};

/* The next cell of a line; false at its end. */
static bool cell(const char **p, const char *end, const char **text, size_t *len)
{
    if (*p > end)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    const char *stop = comma ? comma : end;
    *text = *p;
    *len = (size_t)(stop - *p);
    *p = stop + 1;
    return true;
}

static bool read_header(struct series *s, const char *p, const char *end)
{
    const char *text;
    size_t len;
    uint32_t seen = 0;
    while (cell(&p, end, &text, &len)) {
        uint32_t c = 0;
        while (c < COLUMNS_MAX && !text_eq(columns[c].name, strlen(columns[c].name), text, len))
            c++;
        if (c == COLUMNS_MAX || (seen & 1u << c) || (s->ncolumns == 0 && c != 0)) {
            seen = 0;
            break;
        }
        seen |= 1u << c;
        s->column[s->ncolumns++] = c;
    }
    if (s->ncolumns >= 2 && seen)
        return true;
    problems_add(s->problems, s->file, s->line, "",
                 "the header must be hour, then price_usd_mwh, carbon_g_kwh or both");
    return false;
}

/* Values of a row, by our columns; false after a problem. */
static bool read_row(struct series *s, const char *p, const char *end, uint32_t row,
                     int64_t value[COLUMNS_MAX])
{
    const char *text;
    size_t len;
    uint32_t i = 0;
    for (; i < s->ncolumns && cell(&p, end, &text, &len); i++) {
        uint32_t c = s->column[i];
        if (decimal_parse(text, len, columns[c].decimals, &value[c]) != DECIMAL_OK ||
            value[c] < columns[c].min || value[c] > columns[c].max) {
            problems_add(s->problems, s->file, s->line, columns[c].name, "not a number in its range");
            return false;
        }
    }
    if (i < s->ncolumns || p <= end) {
        problems_add(s->problems, s->file, s->line, "", "expected %u values", s->ncolumns);
        return false;
    }
    if (value[0] != row) {
        problems_add(s->problems, s->file, s->line, "hour", "expected %u: hours follow one another from 0",
                     row);
        return false;
    }
    return true;
}

/* Fewer rows than hours: they are repeated. */
static void repeat(struct profile *profile, uint32_t rows, uint32_t has)
{
    for (uint32_t h = rows; h < HOURS_OF_YEAR; h++) {
        if (has & 1)
            profile->hour[h].price = profile->hour[h % rows].price;
        if (has & 2)
            profile->hour[h].carbon = profile->hour[h % rows].carbon;
    }
}

uint32_t net_read_signals(struct problems *problems, const char *file, const char *text, size_t len,
                          struct profile *profile)
{
    struct series s = {.problems = problems, .file = file};
    const char *p = text, *all = text + len;
    uint32_t rows = 0, has = 0;
    bool good = true;
    while (p < all && good) {
        const char *newline = memchr(p, '\n', (size_t)(all - p));
        const char *end = newline ? newline : all;
        const char *next = newline ? newline + 1 : all;
        int64_t value[COLUMNS_MAX] = {0};
        if (end > p && end[-1] == '\r')
            end--;
        s.line++;
        if (s.line == 1) {
            good = read_header(&s, p, end);
            for (uint32_t i = 1; i < s.ncolumns; i++)
                has |= s.column[i];
        } else if (rows == ROWS_MAX) {
            problems_add(problems, file, s.line, "", "more than %u hours", ROWS_MAX);
            good = false;
        } else if ((good = read_row(&s, p, end, rows, value))) {
            if (rows < HOURS_OF_YEAR && profile && (has & 1))
                profile->hour[rows].price = value[1];
            if (rows < HOURS_OF_YEAR && profile && (has & 2))
                profile->hour[rows].carbon = (uint32_t)value[2];
            rows++;
        }
        p = next;
    }
    if (good && rows < 24) {
        problems_add(problems, file, 0, "", "fewer than 24 hours");
        good = false;
    }
    if (good && profile)
        repeat(profile, rows, has);
    return good ? has : 0;
}
