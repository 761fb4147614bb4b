/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails on demand, as an LD_PRELOAD library: what SQLite writes and syncs with is wrapped.
 *
 * The file named by BUSBAR_FAILFS controls it while it exists: `WHAT ERRNO FIRST COUNT SUFFIX`. WHAT is sync
 * (fdatasync, fsync), write (pwrite64, ftruncate64), torn (a write that puts half of its bytes and then fails),
 * all, or slow: writes do not fail but take ERRNO milliseconds longer. Calls on files whose name ends with SUFFIX are counted from 1, from when this control file came to be (put
 * it there by rename); those from FIRST on fail, COUNT of them, or all for COUNT 0. Each failure adds a byte to the
 * file BUSBAR_FAILFS with `.hits` behind it, so that a test knows that its fault took place.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd);
int fsync(int fd);
int ftruncate64(int fd, off64_t len);
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ino_t control_ino;
static struct timespec control_time;
static unsigned long calls;

struct control {
    char what[16], suffix[64];
    int code;
    unsigned long first, count;
};

static bool read_control(const char *path, struct control *c)
{
    char text[160] = "";
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool got = fstat(fd, &st) == 0 && read(fd, text, sizeof text - 1) > 0 &&
               sscanf(text, "%15s %d %lu %lu %63s", c->what, &c->code, &c->first, &c->count, c->suffix) == 5;
    close(fd);
    if (got && (st.st_ino != control_ino || st.st_ctim.tv_sec != control_time.tv_sec ||
                st.st_ctim.tv_nsec != control_time.tv_nsec)) {
        control_ino = st.st_ino;
        control_time = st.st_ctim;
        calls = 0;
    }
    return got;
}

static bool named(int fd, const char *suffix)
{
    char link[40], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t len = strlen(suffix);
    return n >= (ssize_t)len && memcmp(path + n - len, suffix, len) == 0;
}

static void note_hit(const char *path)
{
    char hits[PATH_MAX];
    (void)snprintf(hits, sizeof hits, "%s.hits", path);
    int fd = open(hits, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)syscall(SYS_write, fd, "x", 1);
        close(fd);
    }
}

/* 0, or the errno to fail with; *torn: half of the write is to be done. */
static int fault(int fd, bool sync, bool *torn)
{
    const char *path = getenv("BUSBAR_FAILFS");
    struct control c;
    int code = 0;
    int slow_ms = 0;
    int saved = errno;
    if (!path)
        return 0;
    pthread_mutex_lock(&lock);
    if (read_control(path, &c) && named(fd, c.suffix)) {
        bool is_torn = strcmp(c.what, "torn") == 0;
        bool is_slow = strcmp(c.what, "slow") == 0;
        bool counts =
            strcmp(c.what, "all") == 0 ||
            (sync ? strcmp(c.what, "sync") == 0 : is_torn || is_slow || strcmp(c.what, "write") == 0);
        if (counts) {
            calls++;
            if (calls >= c.first && (c.count == 0 || calls < c.first + c.count)) {
                code = is_slow ? 0 : c.code;
                slow_ms = is_slow ? c.code : 0;
                *torn = is_torn;
                note_hit(path);
            }
        }
    }
    pthread_mutex_unlock(&lock);
    if (slow_ms > 0)
        (void)usleep((useconds_t)slow_ms * 1000);
    errno = saved;
    return code;
}

static int fail(int code)
{
    errno = code;
    return -1;
}

int fdatasync(int fd)
{
    bool torn = false;
    int code = fault(fd, true, &torn);
    return code ? fail(code) : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    bool torn = false;
    int code = fault(fd, true, &torn);
    return code ? fail(code) : (int)syscall(SYS_fsync, fd);
}

int ftruncate64(int fd, off64_t len)
{
    bool torn = false;
    int code = fault(fd, false, &torn);
    return code ? fail(code) : (int)syscall(SYS_ftruncate, fd, len);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    bool torn = false;
    int code = fault(fd, false, &torn);
    if (code && torn)
        (void)syscall(SYS_pwrite64, fd, data, len / 2, at);
    return code ? fail(code) : syscall(SYS_pwrite64, fd, data, len, at);
}
