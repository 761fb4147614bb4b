/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slurm: jobs through the site's own batch system.
 *
 * Three witnesses say what became of a job: its folder (claim, usage, exit record), the queue, and the accounting where
 * there is one. The folder wins: a controller that was killed forgets jobs, starts them again or gives their numbers to
 * others, and a submission that failed may have been made. So a job is known by our name for it, `bb-<job>-<epoch>`, never by
 * a number; the name is written to the folder before it is submitted; and a job that was submitted twice runs once,
 * because its shim claims the folder. What can be known only by time (a node that is lost) is waited for: such a job has ended
 * when its lease has run out and cannot have been renewed.
 *
 * One thread has all of it. What is tracked of a job can be had again from its folder; it is dropped a while after the job has
 * ended, when Slurm has nothing of it that lives: a controller that is killed forgets ends as well, and keeps chips for them.
 */
#ifndef BUSBAR_ENGINE_SLURM_JOBS_H
#define BUSBAR_ENGINE_SLURM_JOBS_H

#include "base/map.h"
#include "engine/folder.h"
#include "engine/slurm_batch.h"

struct tracked {
    struct job_id id;
    char name[SLURM_NAME_CAP];
    uint32_t task;         /* as in rows: SLURM_NO_TASK, or from 0 */
    uint64_t missing_ms;   /* since when it is not in the queue; 0: it is */
    uint32_t again;        /* submissions after one that Slurm ended before it had started */
    uint64_t submitted_ms; /* the last attempt */
    uint64_t usage_ms;     /* the last line's */
    uint64_t changed_ms;   /* when it was seen to grow */
    uint64_t over_ms;      /* since when Slurm calls it over */
    uint64_t ended_ms;     /* since when it has ended; 0: it has not */
    bool ran;              /* ended: a shim wrote its end, and not we */
    uint64_t stop_ms;      /* when scancel is to help; 0: nothing to stop */
    bool suspect;          /* told to stop, its lease not renewed: silent and not in the queue */
};

struct slurm {
    struct slurm_tools tools;
    const struct engine_config *config;
    char boot[64];
    struct tracked *jobs;
    uint32_t n, cap;
    struct map index; /* of jobs, by id */
    struct map_slot *slots;
    struct slurm_rows rows; /* of the last poll */
    bool rows_good;
    char silence[TEXT_CAP]; /* why it is not */
};

struct tracked *slurm_find(struct slurm *slurm, const struct job_id *id);
/* Stops tracking; the last takes its place. */
void slurm_drop(struct slurm *slurm, struct tracked *tracked);
/* For workdir_each: tracks a job whose folder says that it was submitted. */
int slurm_find_mark(void *slurm, const struct job_id *id, const char *dir);
/* Looks at the queue, once for all jobs. */
void slurm_refresh(struct slurm *slurm);

/* What the engine says in a specification: isolation and how chips are told. */
int slurm_complete(const struct slurm *slurm, struct job_spec *spec, struct err *err);
/* Whether two jobs ask Slurm for the same, so that one array can hold both. */
bool slurm_alike(const struct job_spec *a, const struct job_spec *b);
/* Folders, the list of them, marks, then Slurm: a submission that is cut off anywhere is found again by its name. More
 * than one go in as an array. What Slurm will never have ends here, with its words, and is no error. */
int slurm_submit_batch(struct slurm *slurm, const struct job_spec *specs, uint32_t n, uint64_t lease_ms,
                       struct err *err);
/* Once more, after a look at the queue: one job, or one task of its array. */
int slurm_submit_again(struct slurm *slurm, struct tracked *tracked, struct err *err);

/* What became of a job, after a look at the queue: fills the status of its id. */
void slurm_judge(struct slurm *slurm, struct engine_status *status);
/* After a look at the queue: cancels what is there in vain, and stops tracking what is over. */
void slurm_sweep(struct slurm *slurm);

#endif
