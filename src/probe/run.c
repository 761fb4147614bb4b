/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that is asked something: another's program, which may hang, never end its output, or leave children of its own.
 *
 * It is a group of processes, killed as a whole at its limit. One that hangs in the kernel (a driver that lost its chip) cannot be
 * killed: it is left behind, remembered by its key, and not started again while it is there, or each scan would leave one more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "probe/parts.h"

#define LEFT_MAX 16
#define KILL_MS 1000
#define STEP_MS 5

static struct {
    pthread_mutex_t lock;
    struct {
        pid_t pid;
        char key[64];
    } left[LEFT_MAX];
} stuck = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void pause_ms(uint32_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static bool is_stuck(const char *key)
{
    bool found = false;
    (void)pthread_mutex_lock(&stuck.lock);
    for (int i = 0; i < LEFT_MAX; i++) {
        pid_t pid = stuck.left[i].pid;
        if (pid > 0 && waitpid(pid, NULL, WNOHANG) != 0)
            stuck.left[i].pid = 0;
        else if (pid > 0 && strcmp(stuck.left[i].key, key) == 0)
            found = true;
    }
    (void)pthread_mutex_unlock(&stuck.lock);
    return found;
}

static void leave(pid_t pid, const char *key)
{
    (void)pthread_mutex_lock(&stuck.lock);
    for (int i = 0; i < LEFT_MAX; i++) {
        if (stuck.left[i].pid != 0)
            continue;
        stuck.left[i].pid = pid;
        text_take(stuck.left[i].key, sizeof stuck.left[i].key, key, strlen(key));
        break;
    }
    (void)pthread_mutex_unlock(&stuck.lock);
}

/* Its environment is ours, but for the language of what it prints. */
static char **environment(void)
{
    static char language[] = "LC_ALL=C";
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + 2, sizeof *env);
    for (size_t i = 0; env && i < n; i++) {
        if (strncmp(environ[i], "LC_ALL=", 7) != 0)
            env[k++] = environ[i];
    }
    if (env)
        env[k] = language;
    return env;
}

static int start(const char *program, char *const argv[], const char *folder, int out, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    char **env = environment();
    (void)sigemptyset(&none);
    int rc = env ? posix_spawn_file_actions_init(&files) : ENOMEM;
    if (rc == 0 && (rc = posix_spawnattr_init(&attr)) != 0)
        (void)posix_spawn_file_actions_destroy(&files);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        rc = rc ? rc : posix_spawn_file_actions_adddup2(&files, out, 1);
        rc = rc ? rc : posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
        rc = rc ? rc : posix_spawn_file_actions_addchdir_np(&files, folder);
        rc = rc ? rc : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
        rc = rc ? rc : posix_spawnattr_setpgroup(&attr, 0);
        rc = rc ? rc : posix_spawnattr_setsigmask(&attr, &none);
        rc = rc ? rc : posix_spawn(pid, program, &files, &attr, argv, env);
        (void)posix_spawn_file_actions_destroy(&files);
        (void)posix_spawnattr_destroy(&attr);
    }
    free(env);
    return rc;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Until it has ended, with what is in the pipe then (a child of its own may hold that open), or closes its output, or says too much, or
 * the time is over. What is past the bound is not kept: half of a table is none. */
static bool read_all(int fd, pid_t pid, struct buf *out, uint64_t until_ms)
{
    char piece[4096];
    bool ended = false;
    for (;;) {
        uint64_t now = now_ms(), left = now < until_ms ? until_ms - now : 0;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int rc = poll(&p, 1, ended ? 0 : (int)(left < STEP_MS ? left : STEP_MS));
        if (rc < 0 && errno != EINTR)
            return false;
        if (rc <= 0) {
            if (ended || left == 0)
                return ended;
            ended = has_ended(pid);
            continue;
        }
        ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0)
            return n == 0;
        buf_add(out, piece, (size_t)n);
        if (out->failed || left == 0)
            return false;
    }
}

static bool wait_until(pid_t pid, int *status, uint64_t until_ms)
{
    for (;;) {
        pid_t rc = waitpid(pid, status, WNOHANG);
        if (rc == pid)
            return true;
        if (rc < 0 && errno != EINTR) {
            *status = -1;
            return true;
        }
        if (now_ms() >= until_ms)
            return false;
        pause_ms(STEP_MS);
    }
}

static void finish(pid_t pid, uint64_t until_ms, const char *key, struct run_result *result)
{
    int status = 0;
    if (result->timed_out || !wait_until(pid, &status, until_ms)) {
        result->timed_out = true;
        (void)kill(-pid, SIGKILL);
        if (!wait_until(pid, &status, now_ms() + KILL_MS)) {
            result->stuck = true;
            leave(pid, key);
        }
    }
    (void)kill(-pid, SIGKILL); /* what it left running */
    result->status = !result->timed_out && status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_in(const char *folder, const char *program, char *const argv[], uint32_t limit_ms,
                  const char *key, struct buf *out, struct run_result *result)
{
    int pipe_fd[2];
    pid_t pid = -1;
    if (pipe2(pipe_fd, O_CLOEXEC) != 0)
        return ERR_IO;
    uint64_t until = now_ms() + limit_ms;
    int rc = start(program, argv, folder, pipe_fd[1], &pid);
    (void)close(pipe_fd[1]);
    if (rc == 0) {
        result->timed_out = !read_all(pipe_fd[0], pid, out, until);
        finish(pid, until, key, result);
    }
    (void)close(pipe_fd[0]);
    return rc ? ERR_NOT_FOUND : 0;
}

/* Tools leave logs and locks besides what was asked for. Folders that it made stay, and so does this one then. */
static void clear_folder(const char *folder)
{
    char path[FS_PATH_MAX];
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    while (dir && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fs_join(path, folder, entry->d_name))
            (void)unlink(path);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(folder);
}

int run_tool(const char *program, char *const argv[], const char *file, uint32_t limit_ms, const char *key,
             struct buf *out, struct run_result *result)
{
    const char *tmp = getenv("TMPDIR");
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    memset(result, 0, sizeof *result);
    if (is_stuck(key)) {
        result->stuck = true;
        result->status = -1;
        return 0;
    }
    if (!fs_join(folder, tmp && tmp[0] == '/' ? tmp : "/tmp", "busbar-probe-XXXXXX") || !mkdtemp(folder))
        return ERR_IO;
    int rc = run_in(folder, program, argv, limit_ms, key, out, result);
    if (rc == 0 && file) {
        buf_clear(out);
        if (fs_join(path, folder, file))
            (void)fs_read(path, out, NULL);
    }
    clear_folder(folder);
    return rc;
}
