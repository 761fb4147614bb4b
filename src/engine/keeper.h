/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeper: the process between a shim and the command, so that nothing is left behind when the shim is killed.
 *
 * It is the parent of the command and the one that adopts whatever the command leaves (child subreaper). When the
 * command ends, when it is told to (SIGTERM), or when the shim dies (which the kernel tells it by the same signal), it
 * kills all that is below it, waits until nothing is, and ends. It holds the claim's lock until then. If the keeper
 * itself is killed, what was below it falls to the shim, which does the same.
 */
#ifndef BUSBAR_ENGINE_KEEPER_H
#define BUSBAR_ENGINE_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum keeper_word { KEEPER_STARTED, KEEPER_FAILED, KEEPER_ENDED };

/* What the keeper says through its pipe, whole each time. */
struct keeper_report {
    uint32_t word;   /* enum keeper_word */
    pid_t main;      /* STARTED: the command */
    int status;      /* ENDED: of the command, as waitpid has it; FAILED: errno */
    uint64_t cpu_ms; /* ENDED: of all that was below */
};

struct keeper_order {
    const char *const *argv; /* argv[0] is a path; ends with NULL */
    const char *const *env;
    const char *folder; /* working directory of a command that has no sandbox */
    int out, err;       /* its outputs; ours stay open */
    const char *group;  /* control group to enter, NULL: none */
    const uint32_t *cores;
    uint32_t cores_count; /* 0: any */
    bool plain;           /* no limits at all */
};

/* Forks. `report` is the end to read from, non-blocking. Negative when there is no process to be had. */
pid_t keeper_start(const struct keeper_order *order, int *report);

#endif
