/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim of a job: claims its folder, starts the command, watches it, meters it, and writes how it ended.
 *
 * It looks at `lease` and `stop` when they change, and each second for file systems that do not tell; writes a usage line
 * at the start, every ten seconds and at the end; ends the job at its time limit, when its lease is over, and when it
 * uses more memory than it may where no control group sees to that. To stop a job: SIGTERM to the command's group, a
 * grace time, then SIGKILL to everything. Whoever comes second to a claim ends at once, with success: the job runs.
 * The exit record is written when no process of the job is left; on a full disk the space of `reserve` is given up
 * for it, and it is tried again for ten minutes.
 */
#ifndef BUSBAR_ENGINE_SHIM_JOB_H
#define BUSBAR_ENGINE_SHIM_JOB_H

#include <stdbool.h>

/* Runs to the job's end. `told` is a descriptor to which one line goes when the job is claimed ("ok") or cannot be; then
 * it is closed. -1: none. A rank of a gang has no claim of its own. Returns an exit status: the command's own, 128 + n
 * for a signal. */
int shim_job_run(const char *dir, int told, bool rank);
/* The same in a process of its own session, without our descriptors; returns once it is claimed, or what it said. */
int shim_job_detach(const char *dir);

#endif
