/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fs_join(char dst[FS_PATH_MAX], const char *dir, const char *name)
{
    size_t len = strlen(dir);
    const char *slash = len && dir[len - 1] == '/' ? "" : "/";
    int n = snprintf(dst, FS_PATH_MAX, "%s%s%s", dir, slash, name);
    return n > 0 && n < FS_PATH_MAX;
}

bool fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool fs_self(char dst[FS_PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", dst, FS_PATH_MAX - 1);
    dst[n > 0 ? n : 0] = 0;
    return n > 0 && n < FS_PATH_MAX - 1;
}

bool fs_share(char dst[FS_PATH_MAX])
{
    char dir[FS_PATH_MAX];
    const char *share = getenv("BUSBAR_SHARE");
    if (share)
        return snprintf(dst, FS_PATH_MAX, "%s", share) < FS_PATH_MAX;
    if (!fs_self(dir))
        return false;
    *strrchr(dir, '/') = 0;
    if (!fs_join(dst, dir, "../data"))
        return false;
    return fs_exists(dst) || fs_join(dst, dir, "../share/busbar");
}

/* Folders that this process knows to survive power loss, by a hash of their paths: each is synced once. */
static _Atomic uint64_t settled[256];

static uint64_t path_hash(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 0x100000001b3u;
    return hash;
}

/* Syncs the folder that this one is in, so that nothing in it is lost with it. Where that cannot be done (who may not read a folder
 * cannot sync it, and some file systems have no such thing) it is left. */
static int settle_folder(const char *path, bool fresh, struct err *err)
{
    static const int cannot[] = {EACCES, EPERM, EROFS, EINVAL, ENOSYS, EOPNOTSUPP};
    uint64_t hash = path_hash(path);
    if (!fresh && settled[hash % 256] == hash)
        return 0;
    int rc = fs_sync_parent(path, err);
    for (size_t i = 0; rc != 0 && i < sizeof cannot / sizeof cannot[0]; i++) {
        if (errno != cannot[i])
            continue;
        if (err)
            *err = (struct err){0};
        rc = 0;
    }
    if (rc == 0)
        settled[hash % 256] = hash;
    return rc;
}

int fs_mkdirs(const char *path, unsigned mode, struct err *err)
{
    char part[FS_PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return err_set(err, ERR_INVALID, "path is empty or too long");
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        bool fresh = mkdir(part, mode) == 0;
        if (!fresh && errno != EEXIST)
            return err_set(err, ERR_IO, "cannot create %s: %s", part, strerror(errno));
        /* Of those that are there the last one may be of a process that ended before it could sync. */
        int rc = fresh || i == len ? settle_folder(part, fresh, err) : 0;
        if (rc != 0)
            return rc;
        part[i] = kept;
    }
    return 0;
}

int fs_read(const char *path, struct buf *out, struct err *err)
{
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                       strerror(errno));
    for (;;) {
        char block[16384];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        buf_add(out, block, (size_t)n);
        if (out->failed) {
            rc = err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, out->max);
            break;
        }
    }
    close(fd);
    return rc;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int fs_sync_parent(const char *path, struct err *err)
{
    char dir[FS_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof dir)
        return err_set(err, ERR_INVALID, "path is too long");
    if (len)
        memcpy(dir, path, len);
    else
        dir[len++] = slash ? '/' : '.';
    dir[len] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int number = fd < 0 || fsync(fd) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    errno = number;
    return number ? err_set(err, ERR_IO, "cannot sync %s: %s", dir, strerror(number)) : 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, unsigned mode, struct err *err)
{
    char temp[FS_PATH_MAX];
    int n = snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || n >= (int)sizeof temp)
        return err_set(err, ERR_INVALID, "path is too long");
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot create %s: %s", temp, strerror(errno));
    int rc = write_all(fd, data, len);
    if (rc == 0 && fsync(fd) < 0)
        rc = ERR_IO;
    if (close(fd) < 0)
        rc = ERR_IO;
    if (rc == 0 && rename(temp, path) < 0)
        rc = ERR_IO;
    if (rc != 0) {
        err_set(err, rc, "cannot write %s: %s", path, strerror(errno));
        unlink(temp);
        return rc;
    }
    return fs_sync_parent(path, err);
}

int fs_copy(const char *src, const char *dst, struct err *err)
{
    int rc = 0;
    int in = open(src, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", src,
                       strerror(errno));
    int out = open(dst, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0) {
        rc =
            err_set(err, errno == EEXIST ? ERR_EXISTS : ERR_IO, "cannot create %s: %s", dst, strerror(errno));
        close(in);
        return rc;
    }
    char block[65536];
    ssize_t n;
    while ((n = read(in, block, sizeof block)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(out, block, (size_t)n) < 0) {
            rc = err_set(err, ERR_IO, "cannot copy %s to %s: %s", src, dst, strerror(errno));
            break;
        }
    }
    if (rc == 0 && fsync(out) < 0)
        rc = err_set(err, ERR_IO, "cannot sync %s: %s", dst, strerror(errno));
    close(in);
    close(out);
    if (rc != 0)
        unlink(dst);
    return rc ? rc : fs_sync_parent(dst, err);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t len = strlen(text);
    size_t n = strlen(ending);
    return len > n && strcmp(text + len - n, ending) == 0;
}

int fs_copy_folder(const char *src, const char *dst, const char *ending, struct err *err)
{
    DIR *dir = opendir(src);
    int rc = fs_mkdirs(dst, 0755, err);
    const struct dirent *entry;
    while (rc == 0 && dir && (entry = readdir(dir)) != NULL) {
        char from[FS_PATH_MAX];
        char to[FS_PATH_MAX];
        if (!ends_with(entry->d_name, ending))
            continue;
        if (!fs_join(from, src, entry->d_name) || !fs_join(to, dst, entry->d_name))
            rc = err_set(err, ERR_INVALID, "path is too long");
        else
            rc = fs_copy(from, to, err);
    }
    if (dir)
        closedir(dir);
    return rc;
}
