/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of bills: what was charged for a day, a model or kind of chip, a site and a version of the price, with names.
 *
 * Lines are read from the store and named by the state. A model or pool that is gone is named by its id. A bill's lines are those
 * of days of its months, and those of earlier days that came when their own bill was closed (core/event_time.c): corrections. They do
 * not change any more once it is closed (core/books.c).
 */
#ifndef BUSBAR_HUB_BILLS_H
#define BUSBAR_HUB_BILLS_H

#include "core/month.h"
#include "core/terms.h"
#include "hub/api.h"

#define BILL_LINES_MAX 100000u
#define DATE_CAP 11
#define MONTH_CAP 8
#define VERSION_TEXT_CAP 80

struct bill_lines {
    struct row_bill *row; /* by tenant and day */
    uint32_t n, cap;
    uint32_t first_month, last_month; /* of bill_lines_billed */
    uint64_t late;                    /* and the tenant's count of late records when they were read */
    int rc;
};

/* By the day of use. Blocks. `tenant` NULL: of all. Days since 1970, the last one left out. ERR_TOO_LARGE past BILL_LINES_MAX. */
int bill_lines_read(struct bill_lines *lines, struct store *store, const struct uuid *tenant,
                    uint64_t from_day, uint64_t to_day, struct err *err);
/* The same, what is billed for the months from first to last: corrections after all others. */
int bill_lines_billed(struct bill_lines *lines, struct store *store, const struct uuid *tenant,
                      uint32_t first_month, uint32_t last_month, struct err *err);
/* The month on whose bill it is. */
uint32_t bill_month(const struct row_bill *row);
void bill_lines_free(struct bill_lines *lines);

/* A line in words. */
struct bill_words {
    char day[DATE_CAP];
    char corrects[MONTH_CAP]; /* the month of that day, whose bill is closed; empty: it is no correction */
    char item[NAME_CAP];      /* name of the model, or kind of the chips */
    bool chips;               /* of a pool, billed by the chip-hour; else of a model, by the token, or */
    bool data;                /* over a corridor, billed by the GB */
    bool energy;              /* of a pool, passed on, by the kWh */
    bool minimum;             /* what was missing to the least that a month costs */
    char site[NAME_CAP];      /* empty: none is known */
    char digest[2 * DIGEST_BYTES + 1]; /* SHA-256 of a model's weights; empty: not known */
    char price
        [VERSION_TEXT_CAP]; /* the version: of a model's price its id, of others how it came to be; empty: none */
    uint32_t of;            /* enum version_kind; 0: a price as it was set */
    char rate[AMOUNT_TEXT_MAX]; /* of a chip-hour, or a GB */
    char unit[12];
    uint64_t quantity_e3; /* thousandths of the unit: tokens, chip-hours, or GB */
};
void bill_words(struct bill_words *out, const struct core *core, const struct row_bill *row);
/* "2.5", "2.5 own -30.0% x1.200", "free": how a price came to be, or the id of a model's; empty: it is as it was set. Returns its kind,
 * enum version_kind, or 0. */
uint32_t bill_version(char dst[VERSION_TEXT_CAP], const struct uuid *id);
/* "model", "chips", "energy", "data" or "minimum". */
const char *bill_kind(const struct bill_words *words);

/* One line as JSON. */
void bill_line_json(struct buf *out, const struct core *core, const struct row_bill *row);

/* "2026-11-22", "2026-11". */
void date_format(char dst[DATE_CAP], int64_t unix_ms);
void month_format(char dst[MONTH_CAP], uint32_t month);
/* A month as above, from 1970 on. */
bool month_parse(uint32_t *month, const char *text, size_t len);
/* Energy in joules with three decimals, and carbon in grams with as many, as numbers. */
void add_joules(struct buf *out, uint64_t energy_mj);
void add_grams(struct buf *out, uint64_t carbon_ng);
/* A field of CSV, quoted where it must be (RFC 4180). */
void csv_field(struct buf *out, const char *text);
/* Text of HTML. */
void html_text(struct buf *out, const char *text);

#endif
