/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confine: what a program may touch that reads what others send, and is not written for others than friends.
 *
 * By Landlock, which needs no rights: it reads and runs the system's programs and libraries and those beside itself, uses devices, and
 * nothing else: no key, no tenant's data, no file that it could change. It can trace no process of ours, and on kernels that know of
 * it signal none. Drivers that want to write elsewhere have to do without.
 */
#ifndef BUSBAR_ENGINE_CONFINE_H
#define BUSBAR_ENGINE_CONFINE_H

#include <stdbool.h>

/* For this process and what it starts, for good. `program`: the path of what it is about to become. False: the kernel has no Landlock, or
 * it is not switched on; then nothing is different. Call it with new privileges given up (engine/netns.h). */
bool confine(const char *program);

#endif
