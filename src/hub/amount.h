/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts of money as text, "12.5", and as nano-units, 12500000000. Exact in both directions, no floating point.
 */
#ifndef BUSBAR_HUB_AMOUNT_H
#define BUSBAR_HUB_AMOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AMOUNT_TEXT_MAX 32

/* "-1.5", "0", "12.000000001": no trailing zeros. */
void amount_format(char dst[AMOUNT_TEXT_MAX], int64_t nano);
/* Digits, optionally a point and up to nine digits; no sign. False on anything else or past MONEY_MAX. */
bool amount_parse(int64_t *nano, const char *text, size_t len);

/* ISO 4217 codes that a ledger may be kept in. 0 or NULL if unknown. */
uint32_t currency_number(const char *code, size_t len);
const char *currency_code(uint32_t number);

#endif
