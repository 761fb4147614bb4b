/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shim: what stands between us and a program that we start. `busbar shim PARENT_PID PROGRAM ARGS...`
 *
 * It binds the program's life to ours (PR_SET_PDEATHSIG, so that even kill -9 of the hub leaves no engine behind),
 * gives it its own session, and becomes it.
 */
#ifndef BUSBAR_ENGINE_SHIM_H
#define BUSBAR_ENGINE_SHIM_H

/* Does not return on success; else an exit status after a line on standard error. */
int shim_main(int argc, char **argv);

#endif
