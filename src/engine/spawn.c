/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { IN, OUT, ERROR, STREAMS };

struct child {
    pid_t pid;
    int fd[STREAMS];   /* ours */
    int peer[STREAMS]; /* the child's */
    const char *input;
    size_t left;
    uint64_t deadline_ms;
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void close_all(int fd[STREAMS])
{
    for (int i = 0; i < STREAMS; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

static int open_pipes(struct child *c, struct err *err)
{
    for (int i = 0; i < STREAMS; i++)
        c->fd[i] = c->peer[i] = -1;
    for (int i = 0; i < STREAMS; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) < 0) {
            close_all(c->fd);
            close_all(c->peer);
            return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
        }
        c->fd[i] = i == IN ? pair[1] : pair[0];
        c->peer[i] = i == IN ? pair[0] : pair[1];
        (void)fcntl(c->fd[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static int start(struct child *c, const struct spawn_order *order, struct err *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc = open_pipes(c, err);
    if (rc != 0)
        return rc;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < STREAMS; i++)
        posix_spawn_file_actions_adddup2(&files, c->peer[i], i);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    /* POSIX has the strings as not constant, and says that they are not changed. */
    char *const *argv = (char *const *)(uintptr_t)order->argv;
    char *const *env = order->env ? (char *const *)(uintptr_t)order->env : environ;
    int failed = posix_spawn(&c->pid, order->argv[0], &files, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close_all(c->peer);
    if (failed == 0)
        return 0;
    close_all(c->fd);
    return err_set(err, ERR_IO, "cannot run %s: %s", order->argv[0], strerror(failed));
}

static void feed(struct child *c)
{
    ssize_t n = write(c->fd[IN], c->input, c->left);
    if (n > 0) {
        c->input += n;
        c->left -= (size_t)n;
    }
    if (c->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(c->fd[IN]);
        c->fd[IN] = -1;
    }
}

/* What does not fit is read and dropped, so that the child is not held up. */
static void take(struct child *c, int stream, struct buf *out)
{
    char block[65536];
    ssize_t n = read(c->fd[stream], block, sizeof block);
    if (n > 0 && out->len + (size_t)n < out->max)
        buf_add(out, block, (size_t)n);
    else if (n > 0 && stream == OUT)
        out->failed = true;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(c->fd[stream]);
        c->fd[stream] = -1;
    }
}

/* Until the outputs are closed. False when the time is up. */
static bool talk(struct child *c, struct spawn_result *result)
{
    while (c->fd[OUT] >= 0 || c->fd[ERROR] >= 0) {
        struct pollfd p[STREAMS] = {
            {c->fd[IN], POLLOUT, 0}, {c->fd[OUT], POLLIN, 0}, {c->fd[ERROR], POLLIN, 0}};
        uint64_t now = now_ms();
        if (now >= c->deadline_ms)
            return false;
        if (poll(p, STREAMS, (int)(c->deadline_ms - now)) <= 0)
            continue;
        if (p[IN].revents)
            feed(c);
        if (p[OUT].revents)
            take(c, OUT, &result->out);
        if (p[ERROR].revents)
            take(c, ERROR, &result->err);
    }
    return true;
}

static bool wait_for(struct child *c, int *status)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    while (waitpid(c->pid, status, WNOHANG) == 0) {
        if (now_ms() >= c->deadline_ms)
            return false;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

int spawn_run(const struct spawn_order *order, struct spawn_result *result, struct err *err)
{
    struct child c = {
        .input = order->input, .left = order->input_len, .deadline_ms = now_ms() + order->limit_ms};
    int status = 0;
    *result = (struct spawn_result){.status = -1};
    buf_init(&result->out, SPAWN_OUTPUT_MAX);
    buf_init(&result->err, SPAWN_ERRORS_MAX);
    int rc = start(&c, order, err);
    if (rc != 0)
        return rc;
    if (c.left == 0) {
        close(c.fd[IN]);
        c.fd[IN] = -1;
    }
    if (!talk(&c, result) || !wait_for(&c, &status)) {
        (void)kill(-c.pid, SIGKILL);
        (void)waitpid(c.pid, &status, 0);
        rc = err_set(err, ERR_TIMEOUT, "%s did not end in %u ms", order->argv[0], order->limit_ms);
    }
    close_all(c.fd);
    result->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    buf_add_char(&result->out, 0);
    buf_add_char(&result->err, 0);
    if (rc == 0 && (result->out.failed || result->err.failed))
        rc = err_set(err, ERR_TOO_LARGE, "%s printed too much", order->argv[0]);
    if (result->out.len)
        result->out.len--;
    if (result->err.len)
        result->err.len--;
    return rc;
}

void spawn_result_fini(struct spawn_result *result)
{
    buf_fini(&result->out);
    buf_fini(&result->err);
}
