/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of benches share: how they give up, and the clock of their own CPU time. */
#ifndef BUSBAR_TESTS_BENCH_H
#define BUSBAR_TESTS_BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Says why, after the program's name, and ends it. */
_Noreturn static inline void die(const char *words, const char *more)
{
    fprintf(stderr, "%s: %s%s\n", program_invocation_short_name, words, more);
    exit(1);
}

/* CPU time of all threads of this process. */
static inline uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
