/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks: wall time for records, monotonic time for durations and deadlines. Never used by core. */
#ifndef BUSBAR_BASE_CLOCK_H
#define BUSBAR_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);
/* Nanoseconds from an arbitrary origin; never goes back. */
uint64_t clock_mono_ns(void);
/* Milliseconds since the machine was started, time asleep included: for leases, which run on while a machine sleeps. */
uint64_t clock_boot_ms(void);
/* "2026-11-21T23:31:09.123Z"; dst has at least 25 bytes. */
void clock_format(char dst[25], int64_t unix_ms);

#endif
