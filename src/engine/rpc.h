/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llama.cpp's RPC, out of reach: its servers trust whoever speaks to them, so nobody gets to speak to them but us.
 *
 *   busbar rpc-worker --socket PATH [--memory-mib M] [--threads T] [--device NAMES] [--server PROGRAM]
 *   busbar rpc-head --worker PATH --worker PATH ... --split LAYERS,LAYERS,... -- llama-server ARGS...
 *
 * A worker runs ggml-rpc-server in a network namespace of its own (engine/netns.h), on 127.0.0.1 there, and forwards to it what comes on
 * the unix socket PATH, which the user alone may open. The socket is there once the server has answered, so who can connect
 * finds a server that works. It may hold M MiB of data, which the kernel sees to. A head is llama-server in such a namespace,
 * in which each worker is a port of 127.0.0.1 that we forward to its socket; layers are divided as told, and what comes after the
 * last layer goes with the last worker.
 *
 * A cluster is one failure domain. llama-server would find out that a worker has gone only when it next asks it, and then aborts: the head
 * ends it as soon as a worker is gone, and says which. Both end with their parent and at SIGTERM; a head hands that on.
 */
#ifndef BUSBAR_ENGINE_RPC_H
#define BUSBAR_ENGINE_RPC_H

#include <sys/types.h>

#include "base/fs.h"
#include "net/loop.h"

#define RPC_WORKERS_MAX 15u /* llama.cpp's 16 devices, of which one is the head's processor */
#define RPC_PORT 50052u     /* of the first, in a namespace that has no others */
#define RPC_MEMORY_MIB_MAX (1u << 24)
#define RPC_THREADS_MAX 1024u

/* Exit statuses. A head that has none of these has llama-server's; 128 + n for signal n. */
enum {
    RPC_OK = 0,            /* stopped by SIGTERM */
    RPC_USAGE = 64,        /* options that make no sense */
    RPC_UNAVAILABLE = 69,  /* it cannot start: no namespace, no program, a worker that does not answer */
    RPC_SERVER_ENDED = 70, /* of a worker: ggml-rpc-server ended by itself */
    RPC_WORKER_LOST = 75   /* of a head: a worker is gone */
};

int rpc_worker_main(int argc, char **argv);
int rpc_head_main(int argc, char **argv);

/* ---- what both are made of ---- */

struct rpc_version {
    uint8_t major, minor, patch;
};

/* The first words of the protocol on a connected socket that blocks: who answers is an RPC server, of that version. It is to be
 * closed afterwards. ERR_TIMEOUT, ERR_UPSTREAM. */
int rpc_hello(int fd, unsigned wait_ms, struct rpc_version *out);

/* An option and where its values go: at most `max`, how many in *n. */
struct rpc_option {
    const char *name;
    const char **value;
    unsigned max, *n;
};

/* Reads options up to "--" or the end. Returns the index of what follows, or -1 after words on standard error. */
int rpc_options(int argc, char **argv, const struct rpc_option *options, unsigned noptions);
/* A number of an option, from 1 to `max`; what is not given is left as it is. */
bool rpc_number(const char *name, const char *text, unsigned given, uint32_t max, uint32_t *out);
/* The program of that name: where our engines are, on PATH, and where Debian keeps it. A name with a slash is a path. */
bool rpc_find(const char *name, char out[FS_PATH_MAX]);

/* A child, and the loop that waits for it. Zeroed at first. */
struct rpc_house {
    struct loop loop;
    uv_signal_t term, interrupt, children;
    pid_t child;
    int status;    /* of the child when it is over, as waitpid has it */
    bool over;     /* it is */
    bool stopping; /* we were told to stop */
    void (*on_stop)(struct rpc_house *house);
    void (*on_over)(struct rpc_house *house); /* once; closes what else is open on the loop */
};

/* We end with our parent from now on. False: it has gone already. */
bool rpc_bound_to(pid_t parent);
/* Starts the child, which ends with us; data_bytes: the most that it may hold, 0: any; `confined`: by engine/confine.h, where that can be had. Its session is its own: signals to our group are
 * not for it. 0 or an error with words. */
int rpc_start(struct rpc_house *house, char *const *argv, uint64_t data_bytes, bool confined,
              struct err *err);
/* Opens the loop. */
int rpc_open(struct rpc_house *house, struct err *err);
/* Until the child is over and all that is open on the loop is closed. */
void rpc_run(struct rpc_house *house);
/* "ended with status 1", "was ended by signal 6". */
void rpc_end_text(int status, char *dst, size_t cap);

#endif
