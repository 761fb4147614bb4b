/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine/netns.h"
#include "engine/rpc.h"
#include "net/relay.h"

#define ANSWER_MS 10000u /* a worker may be far away */
#define BACKLOG 16
#define LAYERS_MAX 4096u
#define ARGS_MAX 4096
#define ARGS_OURS 12
#define LIST_MAX 512u /* bytes of a list of workers or layers */

struct head;

struct head_worker {
    struct head *head;
    const char *socket;
    uint32_t number; /* from 1 */
    uint32_t layers;
    struct rpc_version version;
    struct relay *relay;
};

struct head {
    struct rpc_house house; /* first */
    struct head_worker worker[RPC_WORKERS_MAX];
    unsigned n;
    const struct head_worker *lost; /* the first */
    char program[FS_PATH_MAX];
    char **args;
    int nargs;
};

static int usage(void)
{
    fprintf(stderr,
            "usage: busbar rpc-head --worker SOCKET [--worker SOCKET ...] --split LAYERS[,LAYERS...] -- "
            "llama-server ARGS...\n");
    return RPC_USAGE;
}

/* ---- options ---- */

static int bad(const char *what)
{
    fprintf(stderr, "rpc-head: %s\n", what);
    return RPC_USAGE;
}

static int read_split(struct head *h, const char *text)
{
    unsigned n = 0;
    uint64_t layers;
    for (const char *p = text; *p; n++) {
        size_t len = strcspn(p, ",");
        if (n >= h->n || !u64_parse(p, len, LAYERS_MAX, &layers) || layers == 0)
            return bad("--split: as many numbers of layers, from 1, as there are workers");
        h->worker[n].layers = (uint32_t)layers;
        p += len + (p[len] == ',');
    }
    return n == h->n ? RPC_OK : bad("--split: as many numbers of layers, from 1, as there are workers");
}

static int read_options(struct head *h, int argc, char **argv)
{
    const char *sockets[RPC_WORKERS_MAX], *split = NULL;
    unsigned n = 0;
    const struct rpc_option options[] = {{"worker", sockets, RPC_WORKERS_MAX, &h->n},
                                         {"split", &split, 1, &n}};
    int rest = rpc_options(argc, argv, options, sizeof options / sizeof *options);
    if (rest < 0 || rest >= argc || !split || h->n == 0)
        return usage();
    for (unsigned i = 0; i < h->n; i++) {
        if (sockets[i][0] != '/' || strlen(sockets[i]) >= sizeof((struct sockaddr_un *)0)->sun_path)
            return bad("--worker: the absolute path of a unix socket");
        h->worker[i] = (struct head_worker){.head = h, .socket = sockets[i], .number = i + 1};
    }
    h->args = argv + rest;
    h->nargs = argc - rest;
    if (h->nargs > ARGS_MAX)
        return bad("too many arguments");
    return read_split(h, split);
}

/* ---- workers ---- */

static int greet(struct head_worker *w, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", w->socket);
    bool open = fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0;
    int rc = open ? rpc_hello(fd, ANSWER_MS, &w->version) : ERR_IO;
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (rc == 0)
        return 0;
    return err_set(err, ERR_UPSTREAM, "worker %u (%s) %s", w->number, w->socket,
                   !open               ? strerror(why)
                   : rc == ERR_TIMEOUT ? "does not answer"
                                       : "is no RPC server of a version that is known");
}

static int greet_all(struct head *h, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < h->n; i++) {
        rc = greet(&h->worker[i], err);
        if (rc == 0 && h->worker[i].version.major != h->worker[0].version.major)
            rc = err_set(err, ERR_UNSUPPORTED,
                         "worker %u speaks version %u of the protocol, worker 1 version %u", i + 1,
                         h->worker[i].version.major, h->worker[0].version.major);
    }
    return rc;
}

/* llama-server may still believe that all is well; nothing that it does now is of use. */
static void on_lost(void *ctx)
{
    struct head_worker *w = ctx;
    struct head *h = w->head;
    if (h->lost || h->house.over)
        return;
    h->lost = w;
    (void)kill(h->house.child, SIGKILL);
}

static int open_port(struct head_worker *w, struct err *err)
{
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)(RPC_PORT + w->number - 1)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, BACKLOG) < 0) {
        int why = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_set(err, ERR_IO, "cannot listen for worker %u: %s", w->number, strerror(why));
    }
    const struct relay_config config = {
        .loop = &w->head->house.loop, .fd = fd, .path = w->socket, .lost = on_lost, .ctx = w};
    return relay_open(&w->relay, &config, err);
}

/* ---- llama-server ---- */

/* Its devices are the workers alone, in this order; the head's own chips are other members' business. Shares are in layers, and what
 * comes after the last counts as one more: so divided, each worker holds as many as it was given. All are offloaded: of fewer shares
 * the first layers would stay with the head, in memory that no plan counts. */
static int start_server(struct head *h, struct err *err)
{
    struct buf rpc, split, devices;
    char offloaded[16];
    uint32_t shares = 1;
    buf_init(&rpc, LIST_MAX);
    buf_init(&split, LIST_MAX);
    buf_init(&devices, LIST_MAX);
    for (unsigned i = 0; i < h->n; i++) {
        const char *comma = i ? "," : "";
        buf_addf(&rpc, "%s127.0.0.1:%u", comma, RPC_PORT + i);
        buf_addf(&split, "%s%u", comma, h->worker[i].layers + (i + 1 == h->n));
        shares += h->worker[i].layers;
        buf_addf(&devices, "%sRPC%u", comma, i);
    }
    (void)snprintf(offloaded, sizeof offloaded, "%u", shares);
    buf_add_char(&rpc, 0);
    buf_add_char(&split, 0);
    buf_add_char(&devices, 0);
    const char **argv = calloc((size_t)h->nargs + ARGS_OURS + 1, sizeof *argv);
    int rc = ERR_NO_MEMORY;
    if (argv && !rpc.failed && !split.failed && !devices.failed) {
        const char *const ours[ARGS_OURS] = {"--rpc", rpc.data,  "--device", devices.data, "-ts",  split.data,
                                             "-ngl",  offloaded, "-sm",      "layer",      "-fit", "off"};
        memcpy(argv, h->args, (size_t)h->nargs * sizeof *argv);
        memcpy(argv + h->nargs, ours, sizeof ours);
        argv[0] = h->program;
        rc = rpc_start(&h->house, (char *const *)(uintptr_t)argv, 0, false, err);
    } else {
        (void)err_set(err, rc, "out of memory");
    }
    free(argv);
    buf_fini(&rpc);
    buf_fini(&split);
    buf_fini(&devices);
    return rc;
}

/* ---- the end ---- */

static void on_stop(struct rpc_house *house)
{
    (void)kill(house->child, SIGTERM); /* at the second it leaves at once */
}

static void on_over(struct rpc_house *house)
{
    struct head *h = (struct head *)house;
    for (unsigned i = 0; i < h->n; i++)
        relay_close(h->worker[i].relay);
}

static int run(struct head *h)
{
    char end[64];
    rpc_run(&h->house);
    for (unsigned i = 0; i < h->n; i++)
        relay_free(h->worker[i].relay);
    if (h->lost) {
        fprintf(stderr, "rpc-head: worker %u (%s) is gone, so the whole cluster ends\n", h->lost->number,
                h->lost->socket);
        return RPC_WORKER_LOST;
    }
    int status = h->house.status;
    if (!h->house.stopping) {
        rpc_end_text(status, end, sizeof end);
        fprintf(stderr, "rpc-head: %s %s\n", h->program, end);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int rpc_head_main(int argc, char **argv)
{
    static struct head h; /* the loop has a large buffer */
    struct err err = {0};
    pid_t parent = getppid();
    int status = read_options(&h, argc, argv);
    if (status != RPC_OK)
        return status;
    h.house.on_stop = on_stop;
    h.house.on_over = on_over;
    int rc = rpc_find(h.args[0], h.program) ? 0 : err_set(&err, ERR_NOT_FOUND, "%s is not found", h.args[0]);
    if (rc == 0)
        rc = greet_all(&h, &err);
    if (rc == 0)
        rc = netns_enter(&err);
    if (rc == 0 && !rpc_bound_to(parent))
        rc = err_set(&err, ERR_CANCELLED, "whoever started this has gone");
    if (rc == 0)
        rc = rpc_open(&h.house, &err);
    for (unsigned i = 0; rc == 0 && i < h.n; i++)
        rc = open_port(&h.worker[i], &err);
    if (rc == 0)
        rc = start_server(&h, &err);
    if (rc != 0) {
        fprintf(stderr, "rpc-head: %s\n", err.msg);
        return RPC_UNAVAILABLE;
    }
    return run(&h);
}
