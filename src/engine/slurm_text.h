/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Slurm's commands print, as structs. Formats that hold from 22.05 to 26.05: -o and -P with 0x1f between fields,
 * `scontrol -o` with KEY=VALUE. Lines of other users' making are skipped, never trusted; nothing is read past `len`.
 */
#ifndef BUSBAR_ENGINE_SLURM_TEXT_H
#define BUSBAR_ENGINE_SLURM_TEXT_H

#include "engine/engine.h"

#define SLURM_PREFIX "bb-"
#define SLURM_NAME_CAP 64
#define SLURM_NO_TASK UINT32_MAX

/* One row a job or array task: id, number, name, state, reason, nodes. */
#define SLURM_SQUEUE_FORMAT "%i\x1f%A\x1f%j\x1f%T\x1f%r\x1f%N"
#define SLURM_SACCT_FORMAT "jobid,jobname,state"

enum slurm_phase { SLURM_WAITS, SLURM_ACTIVE, SLURM_OVER };

struct slurm_row {
    uint32_t number; /* Slurm's own; tasks of an array that wait share one */
    uint32_t task;   /* SLURM_NO_TASK outside arrays */
    char name[SLURM_NAME_CAP];
    enum slurm_phase phase;
    bool leaving;     /* COMPLETING: its processes are being ended */
    enum job_end end; /* OVER: what that means of a job that left no exit record */
    bool placed;      /* it has, or had, nodes */
    char state[32];
    char reason[TEXT_CAP];
};

struct slurm_rows {
    struct slurm_row *row; /* on the heap, by name, task, phase (what lives first) and id */
    uint32_t n;
};

struct slurm_settings {
    uint32_t message_timeout_s; /* 0: not told */
    uint32_t array_max;         /* tasks of one array */
    bool accounting;            /* there is a slurmdbd to ask */
    char version[NAME_CAP];
};

/* Only rows whose name has our prefix. ERR_NO_MEMORY at the most. */
int slurm_squeue_parse(struct slurm_rows *rows, const char *text, size_t len);
int slurm_sacct_parse(struct slurm_rows *rows, const char *text, size_t len);
void slurm_rows_free(struct slurm_rows *rows);
/* The row of a job: one that lives if there is one. NULL when there is none. */
const struct slurm_row *slurm_row_find(const struct slurm_rows *rows, const char *name, uint32_t task);
/* Phase and meaning of a state's word; an unknown one is taken for active. */
enum slurm_phase slurm_state(const char *word, size_t len, enum job_end *end);

void slurm_settings_parse(struct slurm_settings *settings, const char *text, size_t len);
/* Of `scontrol -d -o show nodes`: one entry a node and chip kind of the configuration. */
int slurm_nodes_parse(struct engine_inventory *inventory, const struct engine_config *config,
                      const char *text, size_t len);
/* Of `scontrol -o show partition`: for how many minutes a job may run that may go to each of `names` ("a,b"; "": to the default
 * one); 0: for ever. False: it is not told. */
bool slurm_longest_parse(const char *text, size_t len, const char *names, uint32_t *minutes);
/* Whether the words of a failed sbatch say that no job was made and none would be: the request itself is at fault. */
bool slurm_refused(const char *words);

#endif
