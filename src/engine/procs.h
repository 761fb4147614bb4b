/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes below one of ours: what they use, and their end.
 *
 * A tree is read from /proc/PID/task/TID/children. It may change while it is read; sums are of what was there, and
 * killing goes on until nothing is left, which for a child subreaper is certain: whatever loses its parent becomes its
 * child. Bound: PROCS_MAX processes in one sum.
 */
#ifndef BUSBAR_ENGINE_PROCS_H
#define BUSBAR_ENGINE_PROCS_H

#include <stdint.h>
#include <sys/types.h>

#define PROCS_MAX 16384

struct procs_sum {
    uint32_t n;
    uint64_t cpu_ms;  /* with that of children that ended and were waited for */
    uint64_t rss_kib; /* resident, shared pages counted in each */
};

/* Of `root` and all below it. */
void procs_sum(pid_t root, struct procs_sum *sum);
/* Sends a signal to all below this process (not to itself); how many there were. */
uint32_t procs_kill_below(int signal);
/* SIGKILL to all below this process, which must be a child subreaper, and waits for them. Their statuses are lost but
 * that of `main`, which is stored when it is among them; 0: none. */
void procs_end_below(pid_t main, int *status);
/* How many processors the machine has, 1 at least. */
uint32_t procs_cpus(void);
/* CPU time of the machine, all users', milliseconds. */
uint64_t procs_machine_cpu_ms(void);

#endif
