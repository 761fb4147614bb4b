/* SPDX-License-Identifier: Apache-2.0 */
#include "energy_series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/csv.h"

#define VALUE_MAX 10000000u

__attribute__((noreturn)) static void bad(const char *where, const char *words)
{
    fprintf(stderr, "energy_plan: %s: %s\n", where, words);
    exit(1);
}

uint32_t series_sites(FILE *in, struct series_site *site)
{
    char line[256];
    uint32_t n = 0;
    while (fgets(line, sizeof line, in)) {
        if (n == SERIES_SITES_MAX)
            bad("sites", "too many");
        struct series_site *s = &site[n++];
        if (sscanf(line, "%63s %" SCNd64 " %" SCNd64 " %31s %31s", s->name, &s->kw, &s->pue, s->ci_zone,
                   s->price_zone) != 5)
            bad("sites", line);
    }
    return n;
}

/* csv_number takes no sign, but a price has one in hours with too much wind. */
static int64_t value_of(struct csv *csv, struct csv_field field, unsigned digits)
{
    uint64_t value = 0;
    bool negative = field.len > 1 && *field.at == '-';
    if (negative) {
        field.at++;
        field.len--;
    }
    if (!csv_number(csv, field, "value", digits, VALUE_MAX, &value))
        return 0;
    return negative ? -(int64_t)value : (int64_t)value;
}

/* A site at a time: two sites may be in one zone, and the reader gives a column of the file but once. */
static void read_one(struct series_site *site, const char *path, bool price)
{
    const struct csv_column column[] = {
        {.names = "hour"}, {.names = price ? site->price_zone : site->ci_zone, .optional = true}};
    struct csv_field field[CSV_COLUMNS_MAX];
    struct csv *csv;
    struct err err;
    uint32_t hour = 0;
    if (csv_open(&csv, path, &err) != 0)
        bad(path, err.msg);
    if (csv_header(csv, column, 2, 0)) {
        for (; hour < SERIES_HOURS && csv_next(csv, field) && field[1].at; hour++)
            (price ? site->price : site->carbon)[hour] = value_of(csv, field[1], price ? 2 : 0);
    }
    char *complaints = NULL;
    if (csv_close(csv, &complaints, &err) != 0 || complaints)
        bad(path, complaints ? complaints : err.msg);
    if (hour != 0 && hour != SERIES_HOURS)
        bad(path, "not the 8760 hours of a year");
    *(price ? &site->has_price : &site->has_carbon) = hour == SERIES_HOURS;
}

void series_read(struct series_site *site, uint32_t n, const char *path, bool price)
{
    for (uint32_t s = 0; s < n; s++) {
        if (strcmp(price ? site[s].price_zone : site[s].ci_zone, "-") != 0)
            read_one(&site[s], path, price);
    }
}

uint32_t series_keep(struct series_site *site, uint32_t n, bool carbon, bool price)
{
    uint32_t kept = 0;
    for (uint32_t s = 0; s < n; s++) {
        if ((carbon && !site[s].has_carbon) || (price && !site[s].has_price))
            continue;
        if (kept != s)
            memcpy(&site[kept], &site[s], sizeof *site);
        kept++;
    }
    return kept;
}
