/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shim: what stands between us and a program that we start.
 *
 * `busbar shim PARENT_PID PROGRAM ARGS...` for a model server: it binds the program's life to ours (PR_SET_PDEATHSIG, so
 * that even kill -9 of the hub leaves no engine behind), gives it its own session, and becomes it.
 *
 * `busbar shim DIR` for a job, whose life is its own (engine/shim_job.h). `--detach DIR` comes back once the job is
 * claimed and goes on behind; `--task MAP` takes the folder from the line of MAP that SLURM_ARRAY_TASK_ID numbers, the
 * first by 0; `--rank DIR` is one node of a gang.
 */
#ifndef BUSBAR_ENGINE_SHIM_H
#define BUSBAR_ENGINE_SHIM_H

/* An exit status, after a line on standard error if it is not 0. A model server's does not return on success. */
int shim_main(int argc, char **argv);

#endif
