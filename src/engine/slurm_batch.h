/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slurm's commands, as this engine calls them: no shell, a time limit of our own above Slurm's MessageTimeout.
 */
#ifndef BUSBAR_ENGINE_SLURM_BATCH_H
#define BUSBAR_ENGINE_SLURM_BATCH_H

#include "base/fs.h"
#include "engine/engine.h"
#include "engine/slurm_text.h"
#include "engine/spawn.h"

struct slurm_tools {
    const struct engine_config *config;
    char program[FS_PATH_MAX];
    char sbatch[FS_PATH_MAX], squeue[FS_PATH_MAX], scancel[FS_PATH_MAX], scontrol[FS_PATH_MAX];
    char sacct[FS_PATH_MAX]; /* empty: not installed */
    struct slurm_settings settings;
};

/* ERR_NOT_FOUND when one of the commands is not there. */
int slurm_tools_open(struct slurm_tools *tools, const struct engine_config *config, struct err *err);
/* Asks the controller for its settings, unless they are known. */
int slurm_tools_settle(struct slurm_tools *tools, struct err *err);

/* Jobs of ours, all of them, in one request. */
int slurm_queue(const struct slurm_tools *tools, struct slurm_rows *rows, struct err *err);
/* What the accounting knows of these names ("a,b,c"). ERR_UNSUPPORTED without accounting. */
int slurm_history(const struct slurm_tools *tools, const char *names, struct slurm_rows *rows,
                  struct err *err);
/* Cancels the job of this name and number. A number alone would not do: a controller that was killed gives them again. */
int slurm_cancel(const struct slurm_tools *tools, const char *name, uint32_t number, struct err *err);
/* Cancels all of this name that wait. scancel cannot take a single task that waits by name: it takes its array. */
int slurm_cancel_waiting(const struct slurm_tools *tools, const char *name, struct err *err);
int slurm_nodes(const struct slurm_tools *tools, struct engine_inventory *inventory, struct err *err);

/* One sbatch. `tasks` is NULL for a single job that runs `argument` (its folder), or the list of an array's tasks whose
 * folders are the lines of the file `argument`. ERR_INVALID: Slurm refused, and no job was made; any other error: there
 * may be a job all the same. */
int slurm_sbatch(const struct slurm_tools *tools, const struct job_spec *spec, const char *name,
                 const char *argument, const char *tasks, struct err *err);

#endif
