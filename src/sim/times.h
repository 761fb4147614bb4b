/* SPDX-License-Identifier: Apache-2.0 */
/* Times of many jobs, in ms: in order, and how long that is which so many of them do not go beyond. */
#ifndef BUSBAR_SIM_TIMES_H
#define BUSBAR_SIM_TIMES_H

#include <stdint.h>

void times_sort(int64_t *ms, uint32_t n);
/* Of times in ascending order, the one with `percent` (below 100) of them before it; 0 if there are none. */
int64_t times_at(const int64_t *sorted_ms, uint32_t n, uint32_t percent);

#endif
