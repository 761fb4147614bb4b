/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths of time as the simulator's options write them: 45s, 90m, 36h, 3d, 2y (of 365 days).
 */
#ifndef BUSBAR_SIM_DURATION_H
#define BUSBAR_SIM_DURATION_H

#include <stdint.h>

#define DURATION_MAX_MS (INT64_C(100000) * 86400000)

/* 0, or ERR_INVALID: no number, no unit, something behind it, or more than DURATION_MAX_MS. */
int duration_read(const char *text, int64_t *ms);

#endif
