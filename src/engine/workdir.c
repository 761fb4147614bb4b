/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/workdir.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define USAGE_TAIL ((size_t)64 << 10) /* holds a whole line at least */

void workdir_file(char dst[FS_PATH_MAX], const char *dir, const char *name)
{
    bool fits = fs_join(dst, dir, name);
    assert(fits);
}

void workdir_path(char dst[FS_PATH_MAX], const char *work, const struct job_id *id)
{
    char job[UUID_TEXT_LEN + 1];
    uuid_format(job, &id->job);
    assert(strlen(work) <= WORKDIR_FILE_MAX);
    (void)snprintf(dst, FS_PATH_MAX, "%s/%s/%u", work, job, id->epoch);
}

/* The job and epoch that such a path ends in. False if it does not. */
static bool workdir_id(const char *dir, struct job_id *id)
{
    uint64_t epoch;
    const char *last = strrchr(dir, '/');
    if (!last || last - dir < UUID_TEXT_LEN + 1 || !u64_parse(last + 1, strlen(last + 1), UINT32_MAX, &epoch))
        return false;
    id->epoch = (uint32_t)epoch;
    return last[-UUID_TEXT_LEN - 1] == '/' && uuid_parse(&id->job, last - UUID_TEXT_LEN, UUID_TEXT_LEN);
}

void workdir_boot(char dst[64])
{
    struct buf text;
    buf_init(&text, 63);
    dst[0] = 0;
    if (fs_read("/proc/sys/kernel/random/boot_id", &text, NULL) == 0 && text.len)
        (void)snprintf(dst, 64, "%.*s", (int)text.len, text.data);
    dst[strcspn(dst, "\n")] = 0;
    buf_fini(&text);
}

/* ---- the claim ---- */

static int lock(int fd, int command, struct flock *held)
{
    *held = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, command, held);
}

int workdir_claim(const char *dir, int *fd, struct err *err)
{
    char claim[FS_PATH_MAX], own[FS_PATH_MAX], host[256] = "", text[512];
    struct flock held;
    workdir_file(claim, dir, "claim");
    (void)gethostname(host, sizeof host - 1);
    if (snprintf(own, sizeof own, "%s.%s.%ld", claim, host, (long)getpid()) >= (int)sizeof own)
        return err_set(err, ERR_INVALID, "path is too long");
    *fd = open(own, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (*fd < 0)
        return err_set(err, ERR_IO, "cannot create %s: %s", own, strerror(errno));
    int n = snprintf(text, sizeof text, "{\"host\":\"%s\",\"pid\":%ld}\n", host, (long)getpid());
    int rc = lock(*fd, F_OFD_SETLK, &held) < 0 || write(*fd, text, (size_t)n) != n || fsync(*fd) < 0
                 ? err_set(err, ERR_IO, "cannot write %s: %s", own, strerror(errno))
                 : 0;
    if (rc == 0 && link(own, claim) < 0)
        rc = errno == EEXIST ? ERR_EXISTS : err_set(err, ERR_IO, "cannot claim %s: %s", dir, strerror(errno));
    unlink(own);
    if (rc == 0)
        rc = fs_sync_parent(claim, err);
    if (rc != 0)
        close(*fd);
    return rc;
}

enum claim workdir_claimed(const char *dir)
{
    char path[FS_PATH_MAX];
    struct flock held;
    workdir_file(path, dir, "claim");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? CLAIM_NONE : CLAIM_HELD; /* what cannot be known is not given up */
    int rc = lock(fd, F_OFD_GETLK, &held);
    close(fd);
    return rc == 0 && held.l_type == F_UNLCK ? CLAIM_ABANDONED : CLAIM_HELD;
}

int workdir_revoke(const char *dir, enum job_end end, const char *text, struct err *err)
{
    int fd;
    char path[FS_PATH_MAX], sentence[512];
    int rc = workdir_claim(dir, &fd, err);
    if (rc != 0)
        return rc;
    (void)snprintf(sentence, sizeof sentence, "%s", text);
    struct job_exit exit = {.end = end, .text = sentence, .usage = {.wall_ms = (uint64_t)clock_wall_ms()}};
    workdir_file(path, dir, "exit");
    rc = form_save(&job_exit_table, path, &exit, err);
    close(fd);
    return rc;
}

/* ---- folders ---- */

struct epochs {
    const struct job_spec *spec;
    struct err *err;
};

static int check_epoch(void *ctx, const struct job_id *id, const char *dir)
{
    const struct epochs *e = ctx;
    if (id->epoch > e->spec->epoch)
        return err_set(e->err, ERR_WRONG_STATE, "epoch %u of this job is here already", id->epoch);
    if (id->epoch == e->spec->epoch)
        return 0;
    int rc = workdir_revoke(dir, JOB_END_CANCELLED, "a later epoch took its place", e->err);
    if (rc != 0 && rc != ERR_EXISTS)
        return rc;
    if (rc == ERR_EXISTS && workdir_claimed(dir) == CLAIM_HELD)
        return err_set(e->err, ERR_IN_USE, "epoch %u of this job still runs", id->epoch);
    return 0;
}

static int each_epoch(const char *parent, const char *job,
                      int (*fn)(void *ctx, const struct job_id *id, const char *dir), void *ctx)
{
    char folder[FS_PATH_MAX], dir[FS_PATH_MAX], spec[FS_PATH_MAX];
    const struct dirent *entry;
    struct job_id id;
    int rc = 0;
    workdir_file(folder, parent, job);
    DIR *epochs = opendir(folder);
    while (rc == 0 && epochs && (entry = readdir(epochs)) != NULL) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) > 10)
            continue;
        workdir_file(dir, folder, entry->d_name);
        workdir_file(spec, dir, "spec");
        if (workdir_id(dir, &id) && fs_exists(spec))
            rc = fn(ctx, &id, dir);
    }
    if (epochs)
        closedir(epochs);
    return rc;
}

int workdir_each(const char *work, int (*fn)(void *ctx, const struct job_id *id, const char *dir), void *ctx,
                 struct err *err)
{
    const struct dirent *entry;
    int rc = 0;
    DIR *jobs = opendir(work);
    if (!jobs)
        return err_set(err, ERR_IO, "cannot read %s: %s", work, strerror(errno));
    while (rc == 0 && (entry = readdir(jobs)) != NULL) {
        if (strlen(entry->d_name) == UUID_TEXT_LEN)
            rc = each_epoch(work, entry->d_name, fn, ctx);
    }
    closedir(jobs);
    return rc;
}

/* What a work folder may not be without: space for the end of the job's story. */
static int make_reserve(const char *dir, struct err *err)
{
    char path[FS_PATH_MAX];
    workdir_file(path, dir, "reserve");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    int rc = fd < 0 ? errno : posix_fallocate(fd, 0, WORKDIR_RESERVE);
    if (fd >= 0)
        close(fd);
    return rc ? err_set(err, ERR_IO, "cannot create %s: %s", path, strerror(rc)) : 0;
}

int workdir_prepare(const char *work, const struct job_spec *spec, const struct job_lease *lease, bool *fresh,
                    struct err *err)
{
    struct job_id id = {spec->job, spec->epoch};
    struct epochs epochs = {spec, err};
    char dir[FS_PATH_MAX], job[UUID_TEXT_LEN + 1], path[FS_PATH_MAX];
    workdir_path(dir, work, &id);
    workdir_file(path, dir, "spec");
    *fresh = !fs_exists(path);
    if (!*fresh)
        return 0;
    uuid_format(job, &id.job);
    int rc = each_epoch(work, job, check_epoch, &epochs);
    workdir_file(path, dir, "work");
    if (rc != 0 || (rc = fs_mkdirs(path, 0750, err)) != 0 || (rc = make_reserve(dir, err)) != 0)
        return rc;
    workdir_file(path, dir, "lease");
    if (lease && (rc = form_save(&job_lease_table, path, lease, err)) != 0)
        return rc;
    workdir_file(path, dir, "spec"); /* last: a folder with a spec is whole */
    rc = form_save(&job_spec_table, path, spec, err);
    return rc ? rc : fs_sync_parent(dir, err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int workdir_remove(const char *work, const struct job_id *id, struct err *err)
{
    char dir[FS_PATH_MAX], spec[FS_PATH_MAX];
    workdir_path(dir, work, id);
    workdir_file(spec, dir, "spec");
    if (workdir_claimed(dir) == CLAIM_HELD)
        return err_set(err, ERR_IN_USE, "the job still runs");
    unlink(spec); /* first: what is left of a half-removed folder is no job */
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
        return err_set(err, ERR_IO, "cannot remove %s: %s", dir, strerror(errno));
    *strrchr(dir, '/') = 0;
    (void)rmdir(dir);
    return 0;
}

/* ---- reading ---- */

int workdir_read_at(const char *path, uint64_t offset, size_t max, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    int rc = buf_reserve(out, max) ? 0 : err_set(err, ERR_TOO_LARGE, "more than %zu bytes", out->max);
    while (rc == 0 && max > 0) {
        ssize_t n = pread(fd, out->data + out->len, max, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        out->len += (size_t)n;
        offset += (uint64_t)n;
        max -= (size_t)n;
    }
    close(fd);
    return rc;
}

int workdir_usage(const char *dir, struct job_usage *usage)
{
    char path[FS_PATH_MAX];
    struct stat st;
    struct buf text;
    *usage = (struct job_usage){0};
    workdir_file(path, dir, "usage");
    if (stat(path, &st) < 0)
        return ERR_NOT_FOUND;
    uint64_t size = (uint64_t)st.st_size;
    buf_init(&text, USAGE_TAIL + 1);
    int rc = workdir_read_at(path, size > USAGE_TAIL ? size - USAGE_TAIL : 0, USAGE_TAIL, &text, NULL);
    if (rc == 0)
        rc = job_usage_last(usage, text.data ? text.data : "", text.len);
    buf_fini(&text);
    return rc;
}
