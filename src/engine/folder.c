/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

static bool load_exit(const char *dir, struct engine_status *status)
{
    char path[FS_PATH_MAX];
    workdir_file(path, dir, "exit");
    form_free(&job_exit_table, &status->exit);
    if (form_load(&job_exit_table, path, &status->exit, NULL) != 0)
        return false;
    status->state = ENGINE_ENDED;
    return true;
}

void folder_status(const char *work, struct engine_status *status, enum claim *claim)
{
    char dir[FS_PATH_MAX], spec[FS_PATH_MAX];
    *claim = CLAIM_NONE;
    status->state = ENGINE_UNKNOWN;
    workdir_path(dir, work, &status->id);
    workdir_file(spec, dir, "spec");
    if (!fs_exists(spec))
        return;
    *claim = workdir_claimed(dir);
    /* The record is written before the lock goes, so it is looked for after the lock. */
    if (load_exit(dir, status))
        return;
    status->state = *claim == CLAIM_NONE ? ENGINE_PENDING : ENGINE_RUNNING;
    if (*claim != CLAIM_NONE)
        (void)workdir_usage(dir, &status->exit.usage);
}

bool folder_gone(const char *work, const struct job_id *id)
{
    char dir[FS_PATH_MAX], spec[FS_PATH_MAX];
    struct stat st;
    workdir_path(dir, work, id);
    workdir_file(spec, dir, "spec");
    return stat(spec, &st) != 0 && errno == ENOENT;
}

int folder_lost(const char *work, struct engine_status *status, enum job_end end, const char *why,
                struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    workdir_path(dir, work, &status->id);
    if (load_exit(dir, status))
        return 0;
    workdir_file(path, dir, "exit");
    (void)workdir_usage(dir, &status->exit.usage);
    status->exit.end = end;
    status->exit.truncated = true;
    status->exit.text = strdup(why);
    status->state = ENGINE_ENDED;
    return form_save(&job_exit_table, path, &status->exit, err);
}

bool folder_lease(struct job_lease *lease, char *boot, uint64_t sequence, uint64_t for_ms)
{
    *lease = (struct job_lease){
        .boot = boot, .sequence = sequence, .until_ms = clock_boot_ms() + for_ms, .for_ms = for_ms};
    return for_ms > 0;
}

int folder_stop(const char *work, const struct job_id *id, const struct job_stop *stop, bool *revoked,
                struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    *revoked = false;
    workdir_path(dir, work, id);
    workdir_file(path, dir, "exit");
    if (fs_exists(path))
        return 0;
    workdir_file(path, dir, "spec");
    if (!fs_exists(path))
        return err_set(err, ERR_NOT_FOUND, "no such job here");
    int rc = workdir_revoke(dir, (enum job_end)stop->end, "it was stopped before it had started", err);
    *revoked = rc == 0;
    if (rc != ERR_EXISTS)
        return rc;
    workdir_file(path, dir, "stop");
    return form_save(&job_stop_table, path, stop, err);
}

struct engine_status *folder_status_add(struct engine_call *c, const struct job_id *id)
{
    uint32_t n = c->statuses_count;
    if (n == ENGINE_BATCH_MAX) {
        err_set(&c->err, ERR_LIMIT, "more than %d jobs", ENGINE_BATCH_MAX);
        return NULL;
    }
    if ((n & (n - 1)) == 0) {
        struct engine_status *more = realloc(c->statuses, (n ? (size_t)n * 2 : 1) * sizeof *more);
        if (!more) {
            err_set(&c->err, ERR_NO_MEMORY, "out of memory");
            return NULL;
        }
        c->statuses = more;
    }
    c->statuses[n] = (struct engine_status){.id = *id};
    c->statuses_count++;
    return &c->statuses[n];
}

/* ---- whole calls ---- */

/* A job that is taken for lost has ended when its lease has; it must not be given another. */
static bool given_up(const char *dir)
{
    char path[FS_PATH_MAX];
    struct job_stop stop;
    workdir_file(path, dir, "stop");
    return form_load(&job_stop_table, path, &stop, NULL) == 0 && stop.end == JOB_END_LOST;
}

static bool is_to_finish(const char *spec_path)
{
    struct job_spec spec;
    bool finish = job_spec_load(&spec, spec_path, NULL) == 0 && spec.finish;
    job_spec_free(&spec);
    return finish;
}

static int renew_one(const char *work, const struct job_id *id, char *boot, uint64_t for_ms, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX], spec[FS_PATH_MAX];
    struct job_lease old, lease;
    workdir_path(dir, work, id);
    workdir_file(path, dir, "exit");
    if (fs_exists(path))
        return 0;
    workdir_file(spec, dir, "spec");
    if (!fs_exists(spec) || given_up(dir))
        return 0;
    workdir_file(path, dir, "lease");
    if (!fs_exists(path) && is_to_finish(spec))
        return 0;
    int rc = form_load(&job_lease_table, path, &old, err);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    *err = (struct err){0};
    if (folder_lease(&lease, boot, old.sequence + 1, for_ms))
        rc = form_save(&job_lease_table, path, &lease, err);
    form_free(&job_lease_table, &old);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* One that cannot be renewed does not keep the others from it. */
int folder_renew(const char *work, struct engine_call *c)
{
    char boot[64];
    int rc = 0;
    workdir_boot(boot);
    for (uint32_t i = 0; i < c->n; i++) {
        struct err err = {0};
        if (renew_one(work, &c->ids[i], boot, c->lease_ms, &err) != 0) {
            c->err = err;
            rc = err.code;
        }
    }
    return rc;
}

int folder_logs(const char *work, struct engine_call *c)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    if (c->n != 1)
        return err_set(&c->err, ERR_INVALID, "the log of one job at a time");
    workdir_path(dir, work, &c->ids[0]);
    workdir_file(path, dir, c->errors ? "err" : "out");
    return workdir_read_at(path, c->offset, ENGINE_LOG_MAX, &c->bytes, &c->err);
}

int folder_usage(const char *work, struct engine_call *c)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    if (c->n != 1)
        return err_set(&c->err, ERR_INVALID, "the usage of one job at a time");
    workdir_path(dir, work, &c->ids[0]);
    workdir_file(path, dir, "usage");
    int rc = workdir_read_at(path, c->offset, ENGINE_LOG_MAX, &c->bytes, &c->err);
    while (rc == 0 && c->bytes.len > 0 && c->bytes.data[c->bytes.len - 1] != '\n')
        c->bytes.len--;
    return rc;
}

int folder_forget(const char *work, struct engine_call *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct engine_status status = {.id = c->ids[i]};
        enum claim claim;
        folder_status(work, &status, &claim);
        uint32_t state = status.state;
        form_free(&job_exit_table, &status.exit);
        if (state == ENGINE_UNKNOWN)
            continue;
        if (state != ENGINE_ENDED)
            return err_set(&c->err, ERR_WRONG_STATE, "the job has not ended");
        int rc = workdir_remove(work, &c->ids[i], &c->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
