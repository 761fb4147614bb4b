/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups, version 2: memory, processes and CPU of a job held by the kernel as one.
 *
 * A group is a folder below `parent`, which has to be delegated to us with its controllers. Processes that are in the
 * parent itself are in the way of that; where those are ours only, they are moved into its child "busbar". Version 1
 * and mixed hierarchies without these controllers are not used: then this level is not offered.
 */
#ifndef BUSBAR_ENGINE_CGROUP_H
#define BUSBAR_ENGINE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fs.h"

struct cgroup_limits {
    uint64_t memory_bytes; /* 0: none; swap is not given on top */
    uint32_t processes;
    uint32_t cpus;
};

struct cgroup_state {
    uint64_t oom_kills;
    uint64_t memory_peak_kib; /* 0: not known */
    uint64_t cpu_ms;
};

/* The group that this process is in, below /sys/fs/cgroup. False when there is none of version 2. */
bool cgroup_own(char dst[FS_PATH_MAX]);
/* Whether groups with memory, pids and cpu can be made below `parent`; makes one to see. */
int cgroup_probe(const char *parent, struct err *err);
/* Makes `parent`/`name` with these limits. ERR_UNSUPPORTED where one that is asked for cannot be set. */
int cgroup_make(char dst[FS_PATH_MAX], const char *parent, const char *name,
                const struct cgroup_limits *limits, struct err *err);
/* Moves a process, 0: this one. */
int cgroup_enter(const char *group, pid_t pid, struct err *err);
void cgroup_state(const char *group, struct cgroup_state *state);
/* Kills what is in it and removes it; waits for up to two seconds. */
void cgroup_end(const char *group);

#endif
