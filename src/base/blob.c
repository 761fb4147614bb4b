/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)
#define PART ".part"
#define NEW ".new"
#define TAKEN "XXXXXX" NEW /* as mkostemps has it */

bool blob_name_valid(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && ((text[n] >= '0' && text[n] <= '9') || (text[n] >= 'a' && text[n] <= 'f')))
        n++;
    return len == BLOB_NAME_LEN && n == len;
}

void blob_name(char dst[BLOB_NAME_LEN + 1], const uint8_t digest[DIGEST_LEN])
{
    hex_encode(dst, digest, DIGEST_LEN);
}

bool blob_path(char dst[FS_PATH_MAX], const char *dir, const char *name)
{
    assert(blob_name_valid(name, strlen(name)));
    return fs_join(dst, dir, name);
}

bool blob_owner_dir(char dst[FS_PATH_MAX], const char *root, const struct uuid *owner)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, owner);
    return fs_join(dst, root, id);
}

static int part_path(char dst[FS_PATH_MAX], const char *dir, const char *name, struct err *err)
{
    char file[BLOB_NAME_LEN + sizeof PART];
    assert(blob_name_valid(name, strlen(name)));
    (void)snprintf(file, sizeof file, "%s" PART, name);
    return fs_join(dst, dir, file) ? 0 : err_set(err, ERR_INVALID, "path is too long");
}

static int io(struct err *err, const char *verb, const char *path)
{
    return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot %s %s: %s", verb, path,
                   strerror(errno));
}

/* ---- looking ---- */

static bool size_of(const char *path, uint64_t *size)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *size = (uint64_t)st.st_size;
    return true;
}

int blob_look(const char *dir, const char *name, uint64_t *have, bool *whole, struct err *err)
{
    char path[FS_PATH_MAX], part[FS_PATH_MAX];
    *have = 0;
    *whole = false;
    int rc = part_path(part, dir, name, err);
    if (rc != 0 || !blob_path(path, dir, name))
        return rc;
    /* The part first: one that gets its name between the two looks is seen as what it is then. */
    (void)size_of(part, have);
    *whole = size_of(path, have);
    return 0;
}

void blob_use(const char *dir, const char *name)
{
    const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    char path[FS_PATH_MAX];
    if (blob_path(path, dir, name))
        (void)utimensat(AT_FDCWD, path, now, 0);
}

/* ---- pieces ---- */

/* Opens the part, locked, and as it is named now: who held the lock before may have renamed or removed it. Who holds it may
 * be hashing all of it, so it is not waited for: the callers' threads are few. */
static int part_open(const char *path, int *fd, struct err *err)
{
    struct stat mine, named;
    for (;;) {
        *fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (*fd < 0)
            return io(err, "create", path);
        const int locked = flock(*fd, LOCK_EX | LOCK_NB), why = errno;
        if (locked == 0 && fstat(*fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino)
            return 0;
        (void)close(*fd);
        if (locked < 0 && why == EWOULDBLOCK)
            return err_set(err, ERR_UNAVAILABLE, "another call is writing this blob");
        if (locked < 0 && why != EINTR)
            return err_set(err, ERR_IO, "cannot lock %s: %s", path, strerror(why));
    }
}

static bool has_room(int fd, uint64_t bytes)
{
    struct statvfs disk;
    uint64_t room = fstatvfs(fd, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
    return room >= BLOB_RESERVE && room - BLOB_RESERVE >= bytes;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The part is all there: it is what it is said to be, or it goes. */
static int seal(int fd, const char *part, const char *path, const char *name, struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    char found[BLOB_NAME_LEN + 1];
    int rc = fsync(fd) < 0 ? io(err, "sync", part) : digest_file(digest, part, err);
    if (rc != 0)
        return rc;
    blob_name(found, digest);
    if (strcmp(found, name) != 0) {
        (void)unlink(part);
        return err_set(err, ERR_DIGEST, "the bytes have sha256 %s, not %s; they were removed", found, name);
    }
    if (rename(part, path) < 0)
        return io(err, "rename", part);
    return fs_sync_parent(path, err);
}

static int append(int fd, const char *part, const struct blob_piece *piece, uint64_t *have, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return io(err, "look at", part);
    *have = (uint64_t)st.st_size;
    if (*have > piece->size)
        return err_set(err, ERR_INVALID,
                       "more of this blob is here than the %llu bytes that it is said to have",
                       (unsigned long long)piece->size);
    if (piece->offset != *have || piece->len == 0)
        return 0;
    if (!has_room(fd, piece->size - *have))
        return err_set(err, ERR_LIMIT, "there is not enough room for %llu bytes",
                       (unsigned long long)(piece->size - *have));
    int rc = write_all(fd, piece->data, piece->len) < 0 ? io(err, "write", part) : 0;
    if (fstat(fd, &st) == 0)
        *have = (uint64_t)st.st_size;
    return rc;
}

int blob_put(const char *dir, const struct blob_piece *piece, uint64_t *have, bool *whole, struct err *err)
{
    char path[FS_PATH_MAX], part[FS_PATH_MAX];
    int fd;
    *have = 0;
    *whole = false;
    if (piece->size > BLOB_MAX || piece->offset > piece->size || piece->len > piece->size - piece->offset)
        return err_set(err, ERR_INVALID, "a piece lies in its blob, and a blob has at most %llu bytes",
                       (unsigned long long)BLOB_MAX);
    int rc = part_path(part, dir, piece->name, err);
    if (rc != 0 || !blob_path(path, dir, piece->name) || (rc = fs_mkdirs(dir, 0700, err)) != 0)
        return rc;
    rc = part_open(part, &fd, err);
    if (rc != 0)
        return rc;
    if (size_of(path, have)) {
        *whole = *have == piece->size;
        rc = *whole ? 0
                    : err_set(err, ERR_INVALID, "this blob is here, and has %llu bytes",
                              (unsigned long long)*have);
        (void)unlink(part);
    } else {
        rc = append(fd, part, piece, have, err);
    }
    if (rc == 0 && !*whole && *have == piece->size) {
        rc = seal(fd, part, path, piece->name, err);
        *whole = rc == 0;
        *have = rc == ERR_DIGEST ? 0 : *have;
    }
    (void)close(fd);
    if (*whole)
        blob_use(dir, piece->name); /* who sends it counts on it; its bytes may be as old as a part can be */
    return rc;
}

/* ---- whole ones ---- */

/* Opens it, as one that is used now. */
static int use(const char *dir, const char *name, int *fd, char path[FS_PATH_MAX], struct err *err)
{
    const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    *fd = -1;
    if (!blob_path(path, dir, name))
        return err_set(err, ERR_INVALID, "path is too long");
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no blob %s here", name)
                               : io(err, "open", path);
    (void)futimens(*fd, now);
    return 0;
}

int blob_read(const char *dir, const char *name, uint64_t offset, size_t max, struct buf *out,
              struct err *err)
{
    char path[FS_PATH_MAX];
    int fd, rc = use(dir, name, &fd, path, err);
    if (rc != 0)
        return rc;
    if (offset > INT64_MAX || !buf_reserve(out, max))
        rc =
            err_set(err, offset > INT64_MAX ? ERR_INVALID : ERR_NO_MEMORY, "cannot read so much of %s", path);
    for (size_t done = 0; rc == 0 && done < max;) {
        ssize_t n = pread(fd, out->data + out->len, max - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = io(err, "read", path);
        if (n <= 0)
            break;
        out->len += (size_t)n;
        done += (size_t)n;
    }
    (void)close(fd);
    return rc;
}

/* From the start of one to the end of the other, hashed; `to` -1: to nowhere. */
static int copy(int from, int to, uint8_t digest[DIGEST_LEN], uint64_t *size, struct err *err)
{
    struct digest_stream *stream = digest_stream_new();
    char *block = malloc(BLOCK);
    int rc = stream && block ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    *size = 0;
    while (rc == 0) {
        ssize_t n = pread(from, block, BLOCK, (off_t)*size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n > 0 && to >= 0 && write_all(to, block, (size_t)n) < 0))
            rc = err_set(err, ERR_IO, "cannot copy: %s", strerror(errno));
        if (n <= 0)
            break;
        digest_stream_add(stream, block, (size_t)n);
        *size += (uint64_t)n;
        if (*size > BLOB_MAX)
            rc = err_set(err, ERR_TOO_LARGE, "it has more than %llu bytes", (unsigned long long)BLOB_MAX);
    }
    if (rc == 0)
        digest_stream_get(stream, digest);
    digest_stream_free(stream);
    free(block);
    return rc;
}

int blob_hash(int fd, char name[BLOB_NAME_LEN + 1], uint64_t *size, struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    int rc = copy(fd, -1, digest, size, err);
    if (rc == 0)
        blob_name(name, digest);
    return rc;
}

int blob_take(const char *dir, int fd, char name[BLOB_NAME_LEN + 1], uint64_t *size, struct err *err)
{
    char temp[FS_PATH_MAX], path[FS_PATH_MAX];
    uint8_t digest[DIGEST_LEN];
    struct stat st;
    int rc = fs_mkdirs(dir, 0700, err);
    if (rc == 0 && !fs_join(temp, dir, TAKEN))
        rc = err_set(err, ERR_INVALID, "path is too long");
    int to = rc == 0 ? mkostemps(temp, 4, O_CLOEXEC) : -1;
    if (rc != 0 || to < 0)
        return rc ? rc : io(err, "create a file in", dir);
    if (fstat(fd, &st) == 0 && !has_room(to, (uint64_t)st.st_size))
        rc = err_set(err, ERR_LIMIT, "there is not enough room for %llu bytes",
                     (unsigned long long)st.st_size);
    if (rc == 0)
        rc = copy(fd, to, digest, size, err);
    if (rc == 0 && fsync(to) < 0)
        rc = io(err, "sync", temp);
    if (rc == 0) {
        blob_name(name, digest);
        rc = blob_path(path, dir, name) ? 0 : err_set(err, ERR_INVALID, "path is too long");
    }
    if (rc == 0 && rename(temp, path) < 0)
        rc = io(err, "rename", temp);
    (void)close(to);
    if (rc != 0)
        (void)unlink(temp);
    return rc ? rc : fs_sync_parent(path, err);
}

int blob_give(const char *dir, const char *name, const char *path, unsigned mode, struct err *err)
{
    char from[FS_PATH_MAX], found[BLOB_NAME_LEN + 1];
    uint8_t digest[DIGEST_LEN];
    uint64_t size;
    int fd, rc = use(dir, name, &fd, from, err);
    if (rc != 0)
        return rc;
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (to < 0) {
        rc = errno == EEXIST ? err_set(err, ERR_EXISTS, "%s exists already", path) : io(err, "create", path);
        (void)close(fd);
        return rc;
    }
    rc = copy(fd, to, digest, &size, err);
    blob_name(found, digest);
    if (rc == 0 && strcmp(found, name) != 0) {
        (void)unlink(from);
        rc = err_set(err, ERR_DIGEST, "%s was damaged, and is removed", from);
    }
    if (rc == 0 && fchmod(to, mode) < 0) /* whatever the umask is */
        rc = io(err, "set the mode of", path);
    if (close(to) < 0 && rc == 0)
        rc = io(err, "write", path);
    (void)close(fd);
    if (rc != 0)
        (void)unlink(path);
    return rc;
}

/* ---- all of them ---- */

enum blob_file blob_file(const char *name)
{
    const size_t len = strlen(name);
    if (blob_name_valid(name, len))
        return BLOB_FILE_WHOLE;
    if (len == BLOB_NAME_LEN + sizeof PART - 1 && blob_name_valid(name, BLOB_NAME_LEN) &&
        strcmp(name + BLOB_NAME_LEN, PART) == 0)
        return BLOB_FILE_PART;
    return len == sizeof TAKEN - 1 && strcmp(name + len - (sizeof NEW - 1), NEW) == 0 ? BLOB_FILE_TAKEN
                                                                                      : BLOB_FILE_OTHER;
}

void blob_sweep(const char *dir, int64_t before_s)
{
    DIR *all = opendir(dir);
    const struct dirent *entry;
    while (all && (entry = readdir(all)) != NULL) {
        const enum blob_file kind = blob_file(entry->d_name);
        struct stat st;
        if (kind == BLOB_FILE_TAKEN ||
            (kind == BLOB_FILE_PART && fstatat(dirfd(all), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
             st.st_mtim.tv_sec < before_s))
            (void)unlinkat(dirfd(all), entry->d_name, 0);
    }
    if (all)
        (void)closedir(all);
}

int blob_each(const char *dir, blob_fn *fn, void *ctx, struct err *err)
{
    DIR *all = opendir(dir);
    const struct dirent *entry;
    if (!all)
        return errno == ENOENT ? 0 : io(err, "read", dir);
    while ((entry = readdir(all)) != NULL) {
        struct blob_info info;
        struct stat st;
        if (!blob_name_valid(entry->d_name, strlen(entry->d_name)) ||
            fstatat(dirfd(all), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        memcpy(info.name, entry->d_name, sizeof info.name);
        info.size = (uint64_t)st.st_size;
        info.used_s = st.st_mtim.tv_sec;
        fn(ctx, &info);
    }
    (void)closedir(all);
    return 0;
}

struct listing {
    struct blob_info *info;
    size_t n, cap;
    uint64_t bytes;
    bool failed;
};

static void list_one(void *ctx, const struct blob_info *info)
{
    struct listing *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct blob_info *more = realloc(l->info, cap * sizeof *more);
        l->failed |= !more;
        if (!more)
            return;
        l->info = more;
        l->cap = cap;
    }
    l->info[l->n++] = *info;
    l->bytes += info->size;
}

static int by_use(const void *a, const void *b)
{
    const struct blob_info *x = a, *y = b;
    return x->used_s != y->used_s ? (x->used_s > y->used_s) - (x->used_s < y->used_s)
                                  : strcmp(x->name, y->name);
}

int blob_evict(const char *dir, uint64_t max, bool (*keep)(void *ctx, const char *name), void *ctx,
               uint64_t *left, struct err *err)
{
    struct listing l = {0};
    int rc = blob_each(dir, list_one, &l, err);
    if (rc == 0 && l.failed)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (l.n > 1)
        qsort(l.info, l.n, sizeof *l.info, by_use);
    for (size_t i = 0; rc == 0 && i < l.n && l.bytes > max; i++) {
        char path[FS_PATH_MAX];
        if ((keep && keep(ctx, l.info[i].name)) || !blob_path(path, dir, l.info[i].name) || unlink(path) != 0)
            continue;
        l.bytes -= l.info[i].size;
    }
    *left = l.bytes;
    free(l.info);
    return rc;
}

void blob_remove(const char *dir, const char *name)
{
    char path[FS_PATH_MAX];
    if (blob_path(path, dir, name))
        (void)unlink(path);
    if (part_path(path, dir, name, NULL) == 0)
        (void)unlink(path);
}
