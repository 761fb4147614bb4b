/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths of time as the simulator's options write them: 45s, 90m, 36h, 3d, 8w, 2y (of 365 days).
 */
#ifndef BUSBAR_SIM_DURATION_H
#define BUSBAR_SIM_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/decimal.h" /* HOUR_MS */

#define DAY_MS (24 * HOUR_MS)
#define DURATION_MAX_MS (100000 * DAY_MS)

/* False: no number, no unit, something behind it, or more than DURATION_MAX_MS. */
bool duration_read(const char *text, size_t len, int64_t *ms);

#endif
