/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimals and dates as people write them, to integers and back: no floating point, no locale.
 *
 * A decimal is an int64 in units of 10^-decimals. A year has 8,760 hours here: the 366th day of a leap year counts as the
 * day before it, so that a table of a year of hours serves every year.
 */
#ifndef BUSBAR_NETWORK_DECIMAL_H
#define BUSBAR_NETWORK_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HOURS_OF_YEAR 8760u
#define HOUR_MS INT64_C(3600000)

enum decimal_status {
    DECIMAL_OK,
    DECIMAL_NOT,     /* no number */
    DECIMAL_PRECISE, /* more decimals than can be kept */
    DECIMAL_LARGE,   /* more than 18 digits */
};

/* A sign, digits, and a point with digits, all of the text. `decimals` at most 9. */
enum decimal_status decimal_parse(const char *text, size_t len, unsigned decimals, int64_t *out);
/* Without zeros at the end. */
void decimal_add(struct buf *buf, int64_t v, unsigned decimals);

/* 2028-03-01, 2028-03-01T06:30:00Z or 2028-03-01T06:30:00.250Z, years 1970 to 2199: Unix milliseconds. False on anything else. */
bool date_parse(const char *text, size_t len, int64_t *ms);
/* As 2028-03-01T06:30:00Z. */
void date_add(struct buf *buf, int64_t ms);
/* UTC, 0 to 8759. */
uint32_t hour_of_year(int64_t ms);

#endif
