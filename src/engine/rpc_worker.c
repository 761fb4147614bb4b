/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/netns.h"
#include "engine/rpc.h"
#include "net/relay.h"

#define SERVER "ggml-rpc-server"
#define READY_MS 120000u /* until the server answers: it looks for its devices first */
#define LOOK_MS 20u
#define ANSWER_MS 5000u
#define BACKLOG 16

struct worker {
    struct rpc_house house; /* first */
    struct relay *relay;
    const char *socket, *server, *device;
    uint32_t memory_mib, threads;
    char program[FS_PATH_MAX];
    struct rpc_version version;
};

static int usage(void)
{
    fprintf(stderr, "usage: busbar rpc-worker --socket PATH [--memory-mib M] [--threads T] [--device NAMES] "
                    "[--server PROGRAM]\n");
    return RPC_USAGE;
}

static int read_options(struct worker *w, int argc, char **argv)
{
    const char *memory = NULL, *threads = NULL;
    unsigned n[5] = {0};
    const struct rpc_option options[] = {{"socket", &w->socket, 1, &n[0]},
                                         {"memory-mib", &memory, 1, &n[1]},
                                         {"threads", &threads, 1, &n[2]},
                                         {"device", &w->device, 1, &n[3]},
                                         {"server", &w->server, 1, &n[4]}};
    w->server = SERVER;
    w->threads = 1;
    if (rpc_options(argc, argv, options, sizeof options / sizeof *options) != argc || !w->socket ||
        !rpc_number("memory-mib", memory, n[1], RPC_MEMORY_MIB_MAX, &w->memory_mib) ||
        !rpc_number("threads", threads, n[2], RPC_THREADS_MAX, &w->threads))
        return usage();
    if (w->socket[0] != '/' || strlen(w->socket) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        fprintf(stderr, "rpc-worker: --socket: an absolute path of at most %zu bytes\n",
                sizeof((struct sockaddr_un *)0)->sun_path - 1);
        return RPC_USAGE;
    }
    return RPC_OK;
}

/* ---- the server ---- */

static int start_server(struct worker *w, struct err *err)
{
    char port[8], threads[12];
    (void)snprintf(port, sizeof port, "%u", RPC_PORT);
    (void)snprintf(threads, sizeof threads, "%u", w->threads);
    const char *argv[] = {w->program, "-H", "127.0.0.1", "-p", port, "-t", threads, w->device ? "-d" : NULL,
                          w->device,  NULL};
    return rpc_start(&w->house, (char *const *)(uintptr_t)argv, (uint64_t)w->memory_mib << 20, true, err);
}

static bool answers(struct worker *w)
{
    const struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(RPC_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 &&
               rpc_hello(fd, ANSWER_MS, &w->version) == 0;
    if (fd >= 0)
        (void)close(fd);
    return yes;
}

static int wait_ready(struct worker *w, struct err *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    char end[64];
    int status;
    for (unsigned waited = 0; waited < READY_MS; waited += LOOK_MS) {
        if (waitpid(w->house.child, &status, WNOHANG) == w->house.child) {
            rpc_end_text(status, end, sizeof end);
            return err_set(err, ERR_UPSTREAM, "%s %s before it had answered", w->program, end);
        }
        if (answers(w))
            return 0;
        (void)nanosleep(&pause, NULL);
    }
    return err_set(err, ERR_TIMEOUT, "%s does not answer", w->program);
}

/* ---- the socket ---- */

/* What lies there of a worker that was killed makes way; anything but a socket does not. */
static int listen_at(const char *path, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(path);
    mode_t others = umask(0177);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool open =
        fd >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, BACKLOG) == 0;
    int why = errno;
    (void)umask(others);
    if (open)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return err_set(err, ERR_IO, "cannot listen at %s: %s", path, strerror(why));
}

static int open_socket(struct worker *w, struct err *err)
{
    int fd = listen_at(w->socket, err);
    if (fd < 0)
        return fd;
    const struct relay_config config = {.loop = &w->house.loop, .fd = fd, .is_unix = true, .port = RPC_PORT};
    return relay_open(&w->relay, &config, err);
}

/* ---- the end ---- */

static void on_stop(struct rpc_house *house)
{
    (void)kill(house->child, SIGKILL); /* it keeps nothing */
}

static void on_over(struct rpc_house *house)
{
    struct worker *w = (struct worker *)house;
    (void)unlink(w->socket);
    relay_close(w->relay);
}

static int run(struct worker *w)
{
    char end[64];
    rpc_run(&w->house);
    relay_free(w->relay);
    if (w->house.stopping)
        return RPC_OK;
    rpc_end_text(w->house.status, end, sizeof end);
    fprintf(stderr, "rpc-worker: %s %s\n", w->program, end);
    return RPC_SERVER_ENDED;
}

int rpc_worker_main(int argc, char **argv)
{
    static struct worker w; /* the loop has a large buffer */
    struct err err = {0};
    pid_t parent = getppid();
    int status = read_options(&w, argc, argv);
    if (status != RPC_OK)
        return status;
    w.house.on_stop = on_stop;
    w.house.on_over = on_over;
    int rc = rpc_find(w.server, w.program) ? 0 : err_set(&err, ERR_NOT_FOUND, "%s is not found", w.server);
    if (rc == 0)
        rc = netns_enter(&err);
    if (rc == 0 && !rpc_bound_to(parent))
        rc = err_set(&err, ERR_CANCELLED, "whoever started this has gone");
    if (rc == 0)
        rc = start_server(&w, &err);
    if (rc == 0)
        rc = wait_ready(&w, &err);
    if (rc == 0)
        rc = rpc_open(&w.house, &err);
    if (rc == 0)
        rc = open_socket(&w, &err);
    if (rc != 0) {
        fprintf(stderr, "rpc-worker: %s\n", err.msg);
        return RPC_UNAVAILABLE; /* and the server ends with us */
    }
    printf("rpc-worker: ready at %s, protocol %u.%u.%u\n", w.socket, w.version.major, w.version.minor,
           w.version.patch);
    (void)fflush(stdout);
    return run(&w);
}
