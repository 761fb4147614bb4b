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
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/folder.h"
#include "engine/sandbox.h"
#include "engine/slurm_batch.h"

#define MISSING_MS 4000       /* not in the queue for so long: Slurm has no such job */
#define SILENT_MS 45000       /* a shim writes a line each ten seconds */
#define OVER_MS 12000         /* Slurm says that it is over: how long an exit record may be on its way */
#define LEASE_MARGIN_MS 15000 /* a shim ends what runs within ten seconds of its lease */
#define STOP_MARGIN_MS 30000
#define RESUBMIT_MS 10000
#define BATCHES ".batches" /* in the work folder: which folders an array's tasks have */
#define NAMES_AT_ONCE 200

/* What is written to the folder before Slurm is asked. */
struct mark {
    char *name;
    uint32_t task; /* in an array, from 1; 0: none */
};

static const struct form_field mark_fields[] = {
    {.key = "name",
     .type = FORM_TEXT,
     .at = offsetof(struct mark, name),
     .max = SLURM_NAME_CAP - 1,
     .required = true},
    {.key = "task", .type = FORM_U32, .at = offsetof(struct mark, task)},
};
static const struct form_table mark_table = {mark_fields, 2, sizeof(struct mark)};

struct tracked {
    struct job_id id;
    char name[SLURM_NAME_CAP];
    uint32_t task;         /* as in rows: SLURM_NO_TASK, or from 0 */
    uint64_t missing_ms;   /* since when it is not in the queue; 0: it is */
    uint64_t submitted_ms; /* the last attempt */
    uint64_t usage_ms;     /* the last line's */
    uint64_t changed_ms;   /* when it was seen to grow */
    uint64_t over_ms;      /* since when Slurm calls it over */
    uint64_t ended_ms;     /* since when it has ended */
    uint64_t stop_ms;      /* when scancel is to help; 0: nothing to stop */
    bool suspect;          /* told to stop, its lease not renewed: silent and not in the queue */
};

struct slurm {
    struct slurm_tools tools;
    const struct engine_config *config;
    char boot[64];
    struct tracked *jobs;
    uint32_t n, cap;
    struct slurm_rows rows; /* of the last poll */
    bool rows_good;
    char silence[TEXT_CAP]; /* why it is not */
};

/* ---- what is tracked ---- */

static struct tracked *find(struct slurm *s, const struct job_id *id)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (uuid_eq(&s->jobs[i].id.job, &id->job) && s->jobs[i].id.epoch == id->epoch)
            return &s->jobs[i];
    }
    return NULL;
}

static struct tracked *track(struct slurm *s, const struct job_id *id, const char *name, uint32_t task)
{
    struct tracked *t = find(s, id);
    if (!t && s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        struct tracked *more = realloc(s->jobs, cap * sizeof *more);
        if (!more)
            return NULL;
        s->jobs = more;
        s->cap = cap;
    }
    if (!t)
        t = &s->jobs[s->n++];
    *t = (struct tracked){.id = *id, .task = task, .changed_ms = clock_boot_ms()};
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

static int find_mark(void *ctx, const struct job_id *id, const char *dir)
{
    struct slurm *s = ctx;
    struct mark mark;
    char path[FS_PATH_MAX];
    workdir_file(path, dir, "slurm");
    if (form_load(&mark_table, path, &mark, NULL) == 0)
        (void)track(s, id, mark.name, mark.task ? mark.task - 1 : SLURM_NO_TASK);
    form_free(&mark_table, &mark);
    return 0;
}

static void refresh(struct slurm *s)
{
    struct err err = {0};
    slurm_rows_free(&s->rows);
    s->silence[0] = 0;
    s->rows_good = slurm_tools_settle(&s->tools, &err) == 0 && slurm_queue(&s->tools, &s->rows, &err) == 0;
    if (!s->rows_good)
        (void)snprintf(s->silence, sizeof s->silence, "Slurm does not answer: %.90s", err.msg);
}

/* ---- submitting ---- */

static void batch_path(const struct slurm *s, char dst[FS_PATH_MAX], const char *name)
{
    char folder[FS_PATH_MAX];
    workdir_file(folder, s->config->work, BATCHES);
    workdir_file(dst, folder, name);
}

/* Chips as the nodes have them: which ones a job gets, Slurm says on the node. */
static int complete(const struct slurm *s, struct job_spec *spec, struct err *err)
{
    static const uint32_t any[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                     16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    enum isolation site = s->config->isolation ? s->config->isolation - 1 : ISOLATION_PROCESS;
    if (spec->isolation > site)
        return err_set(err, ERR_UNSUPPORTED, "this site isolates by `%s`, the job demands `%s`",
                       isolation_text(site), isolation_text((enum isolation)spec->isolation));
    spec->isolation = site;
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        struct job_chips *c = &spec->chips[i];
        if (!engine_config_chips(s->config, c->kind))
            return err_set(err, ERR_NOT_FOUND, "this site has no %s", c->kind);
        free(c->index);
        c->index_count = site >= ISOLATION_NAMESPACE ? 32 : 0;
        c->index = (uint32_t *)(uintptr_t)any; /* for the names of devices only */
        int rc = chipset_fill(s->config->chipset, c, err);
        c->index = NULL;
        c->index_count = 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int mark(struct slurm *s, const struct job_id *id, const char *name, uint32_t task, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct tracked *t = track(s, id, name, task);
    if (!t)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    const struct mark mark = {.name = t->name, .task = task == SLURM_NO_TASK ? 0 : task + 1};
    t->submitted_ms = clock_boot_ms();
    workdir_path(dir, s->config->work, id);
    workdir_file(path, dir, "slurm");
    return form_save(&mark_table, path, &mark, err);
}

static bool text_same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* Whether two jobs ask Slurm for the same, so that one array can hold both. */
static bool alike(const struct job_spec *a, const struct job_spec *b)
{
    if (a->chips_count != b->chips_count || a->cpus != b->cpus || a->memory_mib != b->memory_mib ||
        a->nodes != b->nodes || a->time_limit_ms != b->time_limit_ms || a->grace_ms != b->grace_ms ||
        a->array_limit != b->array_limit || !text_same(a->account, b->account) ||
        !text_same(a->partition, b->partition))
        return false;
    for (uint32_t i = 0; i < a->chips_count; i++) {
        if (strcmp(a->chips[i].kind, b->chips[i].kind) != 0 || a->chips[i].count != b->chips[i].count)
            return false;
    }
    return true;
}

/* Jobs that Slurm will not have: they end here, with its words. */
static void refuse(struct slurm *s, const struct job_spec *specs, uint32_t n, const char *words)
{
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        char dir[FS_PATH_MAX];
        struct err err = {0};
        workdir_path(dir, s->config->work, &id);
        if (workdir_revoke(dir, JOB_END_NOT_STARTED, words, &err) != 0 && err.code != 0)
            log_warn("job", "cannot record a refusal: %s", err.msg);
    }
}

static int write_map(struct slurm *s, const char *path, const struct job_spec *specs, uint32_t n,
                     struct err *err)
{
    struct buf map;
    char folder[FS_PATH_MAX], dir[FS_PATH_MAX];
    workdir_file(folder, s->config->work, BATCHES);
    buf_init(&map, (size_t)16 << 20);
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        workdir_path(dir, s->config->work, &id);
        buf_addf(&map, "%s\n", dir);
    }
    int rc = fs_mkdirs(folder, 0750, err);
    if (rc == 0 && map.failed)
        rc = err_set(err, ERR_LIMIT, "too many jobs in one array");
    if (rc == 0)
        rc = fs_write_atomic(path, map.data, map.len, 0640, err);
    buf_fini(&map);
    return rc;
}

/* Folders, the list of them, marks, then Slurm: a submission that is cut off anywhere is found again by its name. */
static int submit_batch(struct slurm *s, const struct job_spec *specs, uint32_t n, uint64_t lease_ms,
                        struct err *err)
{
    char name[SLURM_NAME_CAP], uuid[UUID_TEXT_LEN + 1], argument[FS_PATH_MAX], tasks[32];
    struct job_lease lease;
    bool fresh, array = n > 1;
    uuid_format(uuid, &specs[0].job);
    (void)snprintf(name, sizeof name, SLURM_PREFIX "%s-%u", uuid, specs[0].epoch);
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        bool leased = folder_lease(&lease, s->boot, 1, lease_ms);
        int rc = workdir_prepare(s->config->work, &specs[i], leased ? &lease : NULL, &fresh, err);
        if (rc != 0)
            return rc;
        workdir_path(argument, s->config->work, &id);
    }
    if (array)
        batch_path(s, argument, name);
    int rc = array ? write_map(s, argument, specs, n, err) : 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = mark(s, &(struct job_id){specs[i].job, specs[i].epoch}, name, array ? i : SLURM_NO_TASK, err);
    (void)snprintf(tasks, sizeof tasks, "0-%u", n - 1);
    if (rc == 0)
        rc = slurm_sbatch(&s->tools, &specs[0], name, argument, array ? tasks : NULL, err);
    if (rc == ERR_INVALID) {
        refuse(s, specs, n, err->msg);
        rc = 0;
    }
    return rc;
}

/* Once more, after a look at the queue: one job, or one task of its array. */
static int submit_again(struct slurm *s, struct tracked *t, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX], argument[FS_PATH_MAX], task[16];
    struct job_spec spec;
    workdir_path(dir, s->config->work, &t->id);
    workdir_file(path, dir, "spec");
    int rc = job_spec_load(&spec, path, err);
    if (rc != 0)
        return rc;
    bool array = t->task != SLURM_NO_TASK;
    (void)snprintf(task, sizeof task, "%u", t->task);
    if (array)
        batch_path(s, argument, t->name);
    else
        (void)snprintf(argument, sizeof argument, "%s", dir);
    t->submitted_ms = clock_boot_ms();
    t->missing_ms = 0;
    log_info("job", "name=%s submitted again: Slurm does not know it", t->name);
    rc = slurm_sbatch(&s->tools, &spec, t->name, argument, array ? task : NULL, err);
    if (rc == ERR_INVALID) {
        refuse(s, &spec, 1, err->msg);
        rc = 0;
    }
    job_spec_free(&spec);
    return rc;
}

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
    if (past && past->phase == SLURM_OVER && past->end == JOB_END_STOPPED) {
        (void)snprintf(text, sizeof text, "Slurm ended it before it had started: %s", past->state);
        if (workdir_revoke(dir, JOB_END_NOT_STARTED, text, &err) == 0)
            status->state = ENGINE_ENDED;
    } else if (submit_again(s, t, &err) != 0) {
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

static uint64_t lease_until(const struct slurm *s, const struct tracked *t)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct job_lease lease;
    workdir_path(dir, s->config->work, &t->id);
    workdir_file(path, dir, "lease");
    (void)form_load(&job_lease_table, path, &lease, NULL);
    /* One that an earlier boot of this machine wrote is not on this clock: it began before now at the latest. */
    uint64_t until = !lease.boot                        ? 0
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

static void judge(struct slurm *s, struct engine_status *status)
{
    struct tracked *t = find(s, &status->id);
    uint64_t now = clock_boot_ms();
    enum claim claim;
    folder_status(s->config->work, status, &claim);
    if (!t && status->state != ENGINE_ENDED && status->state != ENGINE_UNKNOWN)
        (void)snprintf(status->reason, sizeof status->reason, "it has not been submitted yet");
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
    const struct slurm_row *end = s->rows.row + s->rows.n;
    if (row && !ended)
        row++;
    for (; row && row < end && strcmp(row->name, t->name) == 0 && row->task == t->task; row++) {
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
    return status.state == ENGINE_ENDED || status.state == ENGINE_UNKNOWN;
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

/* After a look at the queue. A job is tracked for as long as Slurm has something of it that lives. */
static void sweep(struct slurm *s)
{
    uint64_t now = clock_boot_ms();
    for (uint32_t i = 0; s->rows_good && i < s->n;) {
        struct tracked *t = &s->jobs[i];
        bool ran, ended = has_ended(s, t, &ran);
        /* A shim that has just written its record ends by itself; what Slurm still has after that is to go. */
        t->ended_ms = !ended ? 0 : t->ended_ms ? t->ended_ms : now;
        bool due = ended && (!ran || now - t->ended_ms >= OVER_MS);
        cancel_rows(s, t, due || (t->stop_ms && now > t->stop_ms));
        if (ended && !has_live_row(s, t))
            s->jobs[i] = s->jobs[--s->n];
        else
            i++;
    }
    if (s->rows_good)
        cancel_arrays(s);
}

/* ---- calls ---- */

static int slurm_poll(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    refresh(s);
    for (uint32_t i = 0; i < c->n; i++) {
        struct engine_status *status = folder_status_add(c, &c->ids[i]);
        if (!status)
            return c->err.code;
        judge(s, status);
    }
    sweep(s);
    return 0;
}

struct listing {
    struct slurm *slurm;
    struct engine_call *call;
};

static int list_one(void *ctx, const struct job_id *id, const char *dir)
{
    const struct listing *listing = ctx;
    (void)dir;
    struct engine_status *status = folder_status_add(listing->call, id);
    if (!status)
        return listing->call->err.code;
    judge(listing->slurm, status);
    return 0;
}

static int slurm_list(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    struct listing listing = {s, c};
    refresh(s);
    return workdir_each(s->config->work, list_one, &listing, &c->err);
}

/* Jobs that are here already are left to what the queue says of them. */
static bool is_new(struct slurm *s, const struct job_spec *spec)
{
    struct engine_status status = {.id = {spec->job, spec->epoch}};
    enum claim claim;
    folder_status(s->config->work, &status, &claim);
    form_free(&job_exit_table, &status.exit);
    return status.state == ENGINE_UNKNOWN || (status.state == ENGINE_PENDING && !find(s, &status.id));
}

static int slurm_submit(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    struct err ignored = {0};
    uint32_t most = 1, fresh = 0;
    (void)slurm_tools_settle(&s->tools, &ignored);
    if (s->tools.settings.array_max > 1)
        most = s->tools.settings.array_max - 1;
    for (uint32_t i = 0; i < c->n;) {
        uint32_t n = 0;
        while (n < most && i + n < c->n && is_new(s, &c->specs[i + n]) &&
               (n == 0 || alike(&c->specs[i], &c->specs[i + n])) &&
               complete(s, &c->specs[i + n], &c->err) == 0)
            n++;
        if (c->err.code != 0)
            return c->err.code;
        int rc = n ? submit_batch(s, &c->specs[i], n, c->lease_ms, &c->err) : 0;
        if (rc != 0)
            return rc;
        fresh += n;
        i += n ? n : 1;
    }
    if (fresh < c->n) /* one that was tried before: is it there? */
        refresh(s);
    for (uint32_t i = 0; i < c->n; i++) {
        struct job_id id = {c->specs[i].job, c->specs[i].epoch};
        struct engine_status *status = folder_status_add(c, &id);
        if (!status)
            return c->err.code;
        if (fresh < c->n) {
            judge(s, status);
            continue;
        }
        enum claim claim;
        folder_status(s->config->work, status, &claim);
    }
    return 0;
}

static int slurm_cancel_call(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    bool revoked, any = false;
    for (uint32_t i = 0; i < c->n; i++) {
        struct tracked *t = find(s, &c->ids[i]);
        int rc = folder_stop(s->config->work, &c->ids[i], &c->stop, &revoked, &c->err);
        if (rc != 0)
            return rc;
        if (t)
            t->stop_ms = clock_boot_ms() + c->stop.grace_ms + STOP_MARGIN_MS;
        any = any || revoked;
    }
    if (any) { /* what waits in the queue would only come to find itself cancelled */
        refresh(s);
        sweep(s);
    }
    return 0;
}

static int slurm_inventory(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    int rc = slurm_tools_settle(&s->tools, &c->err);
    c->inventory.isolation = s->config->isolation ? s->config->isolation - 1 : ISOLATION_PROCESS;
    (void)snprintf(c->inventory.version, sizeof c->inventory.version, "%s", s->tools.settings.version);
    return rc ? rc : slurm_nodes(&s->tools, &c->inventory, &c->err);
}

static int slurm_renew(void *self, struct engine_call *c)
{
    return folder_renew(((struct slurm *)self)->config->work, c);
}

static int slurm_logs(void *self, struct engine_call *c)
{
    return folder_logs(((struct slurm *)self)->config->work, c);
}

static int slurm_usage(void *self, struct engine_call *c)
{
    return folder_usage(((struct slurm *)self)->config->work, c);
}

static int slurm_forget(void *self, struct engine_call *c)
{
    return folder_forget(((struct slurm *)self)->config->work, c);
}

/* ---- the whole ---- */

static void slurm_close(void *self)
{
    struct slurm *s = self;
    slurm_rows_free(&s->rows);
    free(s->jobs);
    free(s);
}

/* A controller that does not answer now is no reason not to start: jobs are in their folders. */
static int slurm_open(void **self, const struct engine_config *config, struct err *err)
{
    struct slurm *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = config;
    workdir_boot(s->boot);
    int rc = fs_mkdirs(config->work, 0750, err);
    if (rc == 0)
        rc = slurm_tools_open(&s->tools, config, err);
    if (rc == 0)
        rc = workdir_each(config->work, find_mark, s, err);
    if (rc != 0) {
        slurm_close(s);
        return rc;
    }
    log_info("engine", "kind=slurm jobs=%u", s->n);
    *self = s;
    return 0;
}

const struct engine_ops engine_slurm = {.name = "slurm",
                                        .open = slurm_open,
                                        .close = slurm_close,
                                        .call = {[ENGINE_SUBMIT] = slurm_submit,
                                                 [ENGINE_POLL] = slurm_poll,
                                                 [ENGINE_LIST] = slurm_list,
                                                 [ENGINE_CANCEL] = slurm_cancel_call,
                                                 [ENGINE_INVENTORY] = slurm_inventory,
                                                 [ENGINE_FORGET] = slurm_forget,
                                                 [ENGINE_RENEW] = slurm_renew,
                                                 [ENGINE_LOGS] = slurm_logs,
                                                 [ENGINE_USAGE] = slurm_usage}};
