/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rpc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/le.h"
#include "base/str.h"
#include "engine/command.h"
#include "engine/confine.h"

#define DEBIAN_PLACES "/usr/libexec/x86_64-linux-gnu/llama/bin:/usr/libexec/aarch64-linux-gnu/llama/bin"

/* ---- the protocol's first words ---- */

#define HELLO 14u
#define HELLO_ASK 24u /* what the client's transport can do: nothing but TCP */
#define HELLO_ANSWER_MAX 64u

static int read_all(int fd, uint8_t *dst, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, dst + got, len - got);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? ERR_TIMEOUT : ERR_UPSTREAM;
    }
    return 0;
}

int rpc_hello(int fd, unsigned wait_ms, struct rpc_version *out)
{
    const struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    uint8_t ask[1 + 8 + HELLO_ASK] = {HELLO, HELLO_ASK}, answer[HELLO_ANSWER_MAX], length[8];
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
        send(fd, ask, sizeof ask, MSG_NOSIGNAL) != sizeof ask)
        return ERR_UPSTREAM;
    int rc = read_all(fd, length, sizeof length);
    uint64_t n = rc == 0 ? le_get(length, sizeof length) : 0;
    if (rc == 0 && (n < 3 || n > sizeof answer))
        rc = ERR_UPSTREAM;
    if (rc == 0)
        rc = read_all(fd, answer, n);
    if (rc == 0)
        *out = (struct rpc_version){answer[0], answer[1], answer[2]};
    return rc;
}

/* ---- options ---- */

static const struct rpc_option *option_named(const struct rpc_option *options, unsigned n, const char *arg)
{
    for (unsigned i = 0; i < n; i++) {
        if (strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, options[i].name) == 0)
            return &options[i];
    }
    return NULL;
}

int rpc_options(int argc, char **argv, const struct rpc_option *options, unsigned noptions)
{
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        const struct rpc_option *o = option_named(options, noptions, argv[i]);
        if (!o || i + 1 >= argc || *o->n >= o->max) {
            fprintf(stderr, "%s: %s %s\n", argv[0], argv[i],
                    !o              ? "is no option of it"
                    : i + 1 >= argc ? "needs a value"
                                    : "is given too often");
            return -1;
        }
        o->value[(*o->n)++] = argv[i + 1];
    }
    return argc;
}

bool rpc_number(const char *name, const char *text, unsigned given, uint32_t max, uint32_t *out)
{
    uint64_t v;
    if (!given)
        return true;
    if (!u64_parse(text, strlen(text), max, &v) || v == 0) {
        fprintf(stderr, "--%s: a number from 1 to %u, not %s\n", name, max, text);
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

bool rpc_find(const char *name, char out[FS_PATH_MAX])
{
    char self[FS_PATH_MAX], beside[FS_PATH_MAX] = "";
    const char *engines = getenv("BUSBAR_ENGINE_PATH");
    if (strchr(name, '/')) {
        int n = snprintf(out, FS_PATH_MAX, "%s", name);
        return n > 0 && n < FS_PATH_MAX && access(out, X_OK) == 0;
    }
    if (fs_self(self)) {
        *strrchr(self, '/') = 0;
        if (!fs_join(beside, self, "../.deps/llama/bin"))
            beside[0] = 0;
    }
    return command_find(engines ? engines : beside, name, out) || command_find(DEBIAN_PLACES, name, out);
}

/* ---- the child ---- */

bool rpc_bound_to(pid_t parent)
{
    /* It may have died before this took effect. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static void become(pid_t parent, char *const *argv, uint64_t data_bytes, bool confined)
{
    const struct rlimit data = {data_bytes, data_bytes}, no_core = {0, 0};
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    if (!rpc_bound_to(parent) || setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
        setrlimit(RLIMIT_CORE, &no_core) < 0 ||
        setenv("GGML_NO_BACKTRACE", "1", 1) < 0) /* ggml would start a debugger when it aborts */
        _exit(126);
    if (confined && !confine(argv[0]))
        fprintf(stderr, "no Landlock in this kernel: %s can read what its user can\n", argv[0]);
    if (data_bytes && setrlimit(RLIMIT_DATA, &data) < 0) /* last: we may hold more than it may */
        _exit(126);
    execv(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int rpc_start(struct rpc_house *h, char *const *argv, uint64_t data_bytes, bool confined, struct err *err)
{
    pid_t parent = getpid();
    h->child = fork();
    if (h->child == 0)
        become(parent, argv, data_bytes, confined);
    return h->child > 0 ? 0 : err_set(err, ERR_IO, "cannot start a process: %s", strerror(errno));
}

void rpc_end_text(int status, char *dst, size_t cap)
{
    if (WIFSIGNALED(status))
        (void)snprintf(dst, cap, "was ended by signal %d", WTERMSIG(status));
    else
        (void)snprintf(dst, cap, "ended with status %d", WEXITSTATUS(status));
}

/* ---- the loop ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    struct rpc_house *h = handle->data;
    (void)number;
    h->stopping = true;
    h->on_stop(h);
}

static void look(struct rpc_house *h)
{
    if (h->over || waitpid(h->child, &h->status, WNOHANG) != h->child)
        return;
    h->over = true;
    uv_close((uv_handle_t *)&h->term, NULL);
    uv_close((uv_handle_t *)&h->interrupt, NULL);
    uv_close((uv_handle_t *)&h->children, NULL);
    h->on_over(h);
}

static void on_child(uv_signal_t *handle, int number)
{
    (void)number;
    look(handle->data);
}

int rpc_open(struct rpc_house *h, struct err *err)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb fn;
        int number;
    } signals[] = {{&h->term, on_signal, SIGTERM},
                   {&h->interrupt, on_signal, SIGINT},
                   {&h->children, on_child, SIGCHLD}};
    (void)signal(SIGPIPE, SIG_IGN);
    if (loop_init(&h->loop) != 0)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        uv_signal_init(&h->loop.uv, signals[i].handle);
        signals[i].handle->data = h;
        uv_signal_start(signals[i].handle, signals[i].fn, signals[i].number);
    }
    return 0;
}

void rpc_run(struct rpc_house *h)
{
    look(h); /* it may have ended before the signal was waited for */
    uv_run(&h->loop.uv, UV_RUN_DEFAULT);
    loop_fini(&h->loop);
}
