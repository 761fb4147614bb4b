/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cpu.h"

#include <time.h>

uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
