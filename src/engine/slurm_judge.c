/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/slurm_jobs.h"

#define MISSING_MS 4000   /* not in the queue for so long: Slurm has no such job */
#define RESUBMIT_MS 10000 /* and it was not just submitted */
#define AGAIN_MAX 5
#define SILENT_MS 45000       /* a shim writes a line each ten seconds */
#define OVER_MS 12000         /* Slurm says that it is over: how long an exit record may be on its way */
#define LINGER_MS 60000       /* a controller that is killed forgets ends, too */
#define LEASE_MARGIN_MS 15000 /* a shim ends what runs within ten seconds of its lease */

/* ---- judging ---- */

static const struct slurm_row *row_of(const struct slurm *s, const struct tracked *t)
{
    return s->rows_good ? slurm_row_find(&s->rows, t->name, t->task) : NULL;
}

/* Of a job that Slurm has no live row of and that nobody claimed: ended there, or forgotten. */
static void judge_gone(struct slurm *s, struct tracked *t, struct engine_status *status,
                       const struct slurm_row *row, uint64_t now)
{
    char dir[FS_PATH_MAX], text[TEXT_CAP + 64];
    struct err err = {0};
    workdir_path(dir, s->config->work, &t->id);
    if (row) {
        t->over_ms = t->over_ms ? t->over_ms : now;
        if (now - t->over_ms <
            OVER_MS) /* its shim may be about to claim, on a file system that is slow to say so */
            return;
        t->over_ms = 0;
        /* Cancelled while it waited is somebody's will. With nodes, its start failed: a controller that was killed
         * gives numbers again, which nodes refuse. */
        if (row->placed && t->again++ < AGAIN_MAX && slurm_submit_again(s, t, &err) == 0)
            return;
        (void)snprintf(text, sizeof text, "Slurm ended it before it had started: %s %.80s", row->state,
                       row->reason);
        if (workdir_revoke(dir, JOB_END_NOT_STARTED, text, &err) == 0)
            status->state = ENGINE_ENDED;
        return;
    }
    t->missing_ms = t->missing_ms ? t->missing_ms : now;
    (void)snprintf(status->reason, sizeof status->reason, "Slurm does not know it yet");
    if (now - t->missing_ms < MISSING_MS || now - t->submitted_ms < RESUBMIT_MS)
        return;
    struct slurm_rows history;
    const struct slurm_row *past = NULL;
    if (slurm_history(&s->tools, t->name, &history, &err) == 0)
        past = slurm_row_find(&history, t->name, t->task);
    /* "CANCELLED by 0" is somebody's will; without a name it is a controller that lost its state. */
    if (past && strncmp(past->state, "CANCELLED by ", 13) == 0) {
        (void)snprintf(text, sizeof text, "Slurm ended it before it had started: %s", past->state);
        if (workdir_revoke(dir, JOB_END_NOT_STARTED, text, &err) == 0)
            status->state = ENGINE_ENDED;
    } else if (slurm_submit_again(s, t, &err) != 0) {
        (void)snprintf(status->reason, sizeof status->reason, "cannot be submitted: %.90s", err.msg);
    }
    slurm_rows_free(&history);
}

static void judge_unclaimed(struct slurm *s, struct tracked *t, struct engine_status *status, uint64_t now)
{
    const struct slurm_row *row = row_of(s, t);
    (void)snprintf(status->reason, sizeof status->reason, "%s", s->silence);
    if (!s->rows_good)
        return;
    if (!row || row->phase == SLURM_OVER) {
        judge_gone(s, t, status, row, now);
        return;
    }
    t->missing_ms = t->over_ms = 0;
    (void)snprintf(status->reason, sizeof status->reason, "%.*s", TEXT_CAP - 1,
                   row->phase == SLURM_ACTIVE ? "it is being started" : row->reason);
}

/* A job that is to finish has no lease, but a time limit: its shim ends it then, whoever it hears of. */
static uint64_t limit_until(const struct tracked *t, const char *dir)
{
    char path[FS_PATH_MAX];
    struct job_spec spec;
    workdir_file(path, dir, "spec");
    uint64_t until =
        job_spec_load(&spec, path, NULL) == 0 && spec.finish ? t->changed_ms + spec.time_limit_ms : 0;
    job_spec_free(&spec);
    return until;
}

static uint64_t lease_until(const struct slurm *s, const struct tracked *t)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct job_lease lease;
    workdir_path(dir, s->config->work, &t->id);
    workdir_file(path, dir, "lease");
    (void)form_load(&job_lease_table, path, &lease, NULL);
    /* One that an earlier boot of this machine wrote is not on this clock: it began before now at the latest. */
    uint64_t until = !lease.boot                        ? limit_until(t, dir)
                     : strcmp(lease.boot, s->boot) == 0 ? lease.until_ms
                                                        : t->changed_ms + lease.for_ms;
    form_free(&job_lease_table, &lease);
    return until;
}

static void lose(struct slurm *s, struct engine_status *status, enum job_end end, const char *why)
{
    struct err err = {0};
    if (folder_lost(s->config->work, status, end, why, &err) != 0)
        log_warn("job", "cannot record a lost job: %s", err.msg);
}

/* Nothing is heard of it and Slurm does not say that its processes are gone: it is told to stop, its lease is not
 * renewed any more, and when that has run out it has ended. */
static void judge_silent(struct slurm *s, struct tracked *t, struct engine_status *status, uint64_t now)
{
    bool revoked;
    struct err err = {0};
    const struct job_stop stop = {.end = JOB_END_LOST};
    if (!t->suspect) {
        t->suspect = folder_stop(s->config->work, &t->id, &stop, &revoked, &err) == 0;
        return;
    }
    uint64_t until = lease_until(s, t), silent = t->changed_ms + SILENT_MS;
    if (now > (until > silent ? until : silent) + LEASE_MARGIN_MS)
        lose(s, status, JOB_END_LOST,
             "its node was lost, or Slurm forgot it; usage is known up to its last line");
}

static void judge_claimed(struct slurm *s, struct tracked *t, struct engine_status *status, uint64_t now)
{
    const struct slurm_row *row = row_of(s, t);
    char text[TEXT_CAP + 64];
    if (status->exit.usage.ms != t->usage_ms) {
        t->usage_ms = status->exit.usage.ms;
        t->changed_ms = now;
        t->over_ms = 0;
    }
    if (!s->rows_good || (row && row->phase == SLURM_ACTIVE))
        return;
    bool node_lost =
        row && row->phase == SLURM_OVER && row->end == JOB_END_LOST && strstr(row->state, "NODE");
    if (row && row->phase == SLURM_OVER && !node_lost) {
        t->over_ms = t->over_ms ? t->over_ms : now;
        if (now - t->over_ms < OVER_MS)
            return;
        (void)snprintf(text, sizeof text, "Slurm ended it: %s %.60s; usage is known up to its last line",
                       row->state, row->reason);
        lose(s, status, row->end, text);
        return;
    }
    if (now - t->changed_ms >= SILENT_MS || node_lost)
        judge_silent(s, t, status, now);
}

void slurm_judge(struct slurm *s, struct engine_status *status)
{
    struct tracked *t = slurm_find(s, &status->id);
    uint64_t now = clock_boot_ms();
    enum claim claim;
    folder_status(s->config->work, status, &claim);
    /* Its folder was written by an agent that was gone before it could mark it, so Slurm was never asked: whoever wants it
     * submits it. */
    if (!t && status->state == ENGINE_PENDING)
        status->state = ENGINE_UNKNOWN;
    if (!t)
        return;
    if (status->state == ENGINE_PENDING)
        judge_unclaimed(s, t, status, now);
    else if (status->state == ENGINE_RUNNING)
        judge_claimed(s, t, status, now);
    if (status->state == ENGINE_ENDED && !status->exit.text) /* revoked just now */
        folder_status(s->config->work, status, &claim);
}

/* ---- sweeping ---- */

static void cancel(struct slurm *s, const struct slurm_row *row)
{
    struct err err = {0};
    if (slurm_cancel(&s->tools, row->name, row->number, &err) != 0)
        log_info("job", "name=%s not cancelled: %s", row->name, err.msg); /* it may have ended meanwhile */
}

/* Rows of a job that has ended, and all but the first of one that is there twice. Tasks of an array that wait are left:
 * they come to find themselves revoked, unless the whole array can go. */
static void cancel_rows(struct slurm *s, const struct tracked *t, bool ended)
{
    const struct slurm_row *row = row_of(s, t);
    const struct slurm_row *end = row ? s->rows.row + s->rows.n : NULL;
    if (row && !ended)
        row++;
    for (; row < end && strcmp(row->name, t->name) == 0 && row->task == t->task; row++) {
        bool shared = row->task != SLURM_NO_TASK && row->phase == SLURM_WAITS;
        if (row->phase != SLURM_OVER && !row->leaving && !shared)
            cancel(s, row);
    }
}

/* *ran: a shim wrote its end, and not we. */
static bool has_ended(const struct slurm *s, const struct tracked *t, bool *ran)
{
    struct engine_status status = {.id = t->id};
    enum claim claim;
    folder_status(s->config->work, &status, &claim);
    *ran = status.exit.host != NULL;
    form_free(&job_exit_table, &status.exit);
    return status.state == ENGINE_ENDED ||
           (status.state == ENGINE_UNKNOWN && folder_gone(s->config->work, &t->id));
}

/* Whether tasks of this array wait, and all of them for nothing. */
static bool waits_in_vain(const struct slurm *s, const char *name)
{
    bool waits = false, ran;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct tracked *t = &s->jobs[i];
        const struct slurm_row *row = strcmp(t->name, name) == 0 ? row_of(s, t) : NULL;
        if (!row || row->phase != SLURM_WAITS)
            continue;
        if (!has_ended(s, t, &ran))
            return false;
        waits = true;
    }
    return waits;
}

/* Arrays of which nothing is wanted any more. Rows are in order of their names. */
static void cancel_arrays(struct slurm *s)
{
    for (uint32_t i = 0; i < s->rows.n; i++) {
        const struct slurm_row *row = &s->rows.row[i];
        struct err err = {0};
        if (row->task == SLURM_NO_TASK || (i > 0 && strcmp(row[-1].name, row->name) == 0))
            continue;
        if (waits_in_vain(s, row->name) && slurm_cancel_waiting(&s->tools, row->name, &err) != 0)
            log_info("job", "name=%s not cancelled: %s", row->name, err.msg);
    }
}

static bool has_live_row(const struct slurm *s, const struct tracked *t)
{
    const struct slurm_row *row = row_of(s, t);
    return row && row->phase != SLURM_OVER;
}

void slurm_sweep(struct slurm *s)
{
    uint64_t now = clock_boot_ms();
    for (uint32_t i = 0; s->rows_good && i < s->n;) {
        struct tracked *t = &s->jobs[i];
        bool ended = t->ended_ms || has_ended(s, t, &t->ran);
        /* A shim that has just written its record ends by itself; what Slurm still has after that is to go. */
        t->ended_ms = !ended ? 0 : t->ended_ms ? t->ended_ms : now;
        bool due = ended && (!t->ran || now - t->ended_ms >= OVER_MS);
        cancel_rows(s, t, due || (t->stop_ms && now > t->stop_ms));
        if (ended && !has_live_row(s, t) && now - t->ended_ms >= LINGER_MS)
            slurm_drop(s, t);
        else
            i++;
    }
    if (s->rows_good)
        cancel_arrays(s);
}
