/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sandbox: how bubblewrap is told what a job may see.
 *
 * The root is empty but for what is bound: the system's programs and libraries read-only, /proc and /dev of its own, a
 * /tmp in memory, the job's own folder and what its specification binds, device nodes one by one. Users, processes, IPC,
 * host name and, unless asked for, the network are its own. Arguments go through a memory file: environments hold
 * secrets, and command lines can be read by everybody.
 */
#ifndef BUSBAR_ENGINE_SANDBOX_H
#define BUSBAR_ENGINE_SANDBOX_H

#include "base/fs.h"
#include "engine/job.h"

#define SANDBOX_ARGS_MAX ((size_t)8 << 20)

/* bwrap's path. False when it is not installed. */
bool sandbox_find(char dst[FS_PATH_MAX]);
/* Arguments for bwrap, each ended by a NUL. `folder` is writable and the working directory unless the spec has one;
 * `env` ends with NULL. */
void sandbox_args(struct buf *out, const struct job_spec *spec, const char *folder, char *const *env);
/* A descriptor that the arguments can be read from, which stays open over exec. Negative on failure. */
int sandbox_args_fd(const struct buf *args);
/* The strictest isolation that this machine has, found by trying; *why says what is missing for the next. `group`: the
 * parent of control groups, NULL for none. Takes up to some tenths of a second. */
enum isolation sandbox_probe(const char *group, struct err *why);

#endif
