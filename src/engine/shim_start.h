/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a job's shim: its folder read and claimed, signals and files made ready, the command started.
 *
 * One struct holds all of a shim; there is one in a process.
 */
#ifndef BUSBAR_ENGINE_SHIM_START_H
#define BUSBAR_ENGINE_SHIM_START_H

#include "engine/cgroup.h"
#include "engine/keeper.h"
#include "engine/lease.h"
#include "engine/meter.h"
#include "engine/workdir.h"

struct shim {
    char dir[FS_PATH_MAX];     /* of the epoch */
    char own_dir[FS_PATH_MAX]; /* the same; of a rank, its own below it */
    struct job_spec spec;
    struct lease_watch lease;
    struct meter meter; /* start_ms is 0 until the command is about to start */
    int claim, signals, notify, report, usage_fd, out, err;
    pid_t keeper, main;
    bool sandboxed;
    bool rank;      /* one node of a gang */
    bool gang_lead; /* the command is srun, which starts a shim on each node */
    bool usage_torn, killed, oom;
    bool untold;       /* it is to be stopped, and the command has not had SIGTERM yet */
    enum job_end end;  /* why it is being stopped */
    uint64_t kill_ms;  /* when what is left is killed */
    uint64_t usage_ms; /* when the next line is due */
    int status;        /* of the command, as waitpid has it */
    uint64_t cpu_ms;
    char why[512]; /* the sentence of the exit record, if it is not the usual one */
};

/* Reads, claims, opens. ERR_EXISTS: somebody else has it. A job that cannot go on after its claim is not an error here:
 * `end` is set, and shim_start does nothing. */
int shim_open(struct shim *shim, const char *dir, bool rank, struct err *err);
/* Starts the command. Not 0: it will not run, `end` and `why` say why. */
int shim_start(struct shim *shim);
void shim_close(struct shim *shim);
/* Folder of one node of a gang. */
void shim_rank_dir(char dst[FS_PATH_MAX], const char *dir, uint32_t rank);

#endif
