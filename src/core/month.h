/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar months in UTC, counted from January 1970, which is 0. Bills are made by them. */
#ifndef BUSBAR_CORE_MONTH_H
#define BUSBAR_CORE_MONTH_H

#include <stdint.h>

#define MONTHS_MAX 12000u /* to the year 2969 */
#define DAY_MS INT64_C(86400000)

/* Unix ms at which the month begins. */
int64_t month_begin_ms(uint32_t month);
/* The month that a moment from 1970 on is in. */
uint32_t month_of(int64_t unix_ms);

/* A bill is closed no sooner than this after its month, when all that was used in it is written down. */
#define MONTH_SETTLE_MS (INT64_C(5) * 60000)

#endif
