/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serve: supervises model servers, one process a replica, each on a unix socket of its own.
 *
 * A replica is started, asked for its health until it answers 200, watched, and started again with growing pauses
 * when it fails. What it is asked besides, once before it is ready, is its version (engine/version.h). To stop one: no new requests (the gateway sees to that), wait until those in flight are done, SIGTERM,
 * a second SIGTERM, SIGKILL. Its output goes to a log file with rotation. An engine without a binary is a URL: it is
 * only watched. All of it runs on one loop, on one thread.
 */
#ifndef BUSBAR_ENGINE_SERVE_H
#define BUSBAR_ENGINE_SERVE_H

#include "base/str.h"
#include "core/kinds.h"
#include "core/limits.h"
#include "engine/command.h"
#include "engine/spec.h"
#include "net/http_client.h"

struct serve;
struct chipset;

#define SERVE_USED_MS 10000
#define SERVE_VISIBLE_CAP 1280 /* JOB_INDICES_MAX numbers */

struct serve_order {
    struct uuid deployment;
    uint32_t ordinal;
    uint32_t epoch;
    uint32_t slots;
    uint32_t context; /* tokens of one slot */
    uint32_t kind;    /* enum model_kind */
    char model[NAME_CAP];
    char engine[NAME_CAP];
    char location[PATH_CAP]; /* file, or URL */
    char chip[CHIP_CAP];     /* for a batch system: the kind that it runs on; "": the site's first */
    uint32_t chips;          /* of a batch system's; 0: what there is is shared */
    /* "NAME=0,1": which chips are its own (engine/jobenv.h); "": as we see them. */
    char visible[SERVE_VISIBLE_CAP];
    /* Of a cluster. A worker has no weights, and is no engine: it answers nothing but its head. */
    uint32_t role; /* enum replica_role */
    uint32_t memory_mib;
    uint32_t nworkers;
    struct command_worker workers[CLUSTER_MEMBERS_MAX];
};

struct serve_report {
    struct uuid deployment;
    uint32_t ordinal;
    uint32_t epoch;
    uint32_t state; /* enum replica_state */
    uint32_t slots;
    uint32_t context;
    char endpoint[TEXT_CAP];
    char detail[TEXT_CAP];
    char version[NAME_CAP]; /* of the engine that is ready: as it says, or ENGINE_UNKNOWN; else "" */
};

/* What a replica has drawn so far, of a run of those that are numbered in order. */
struct serve_used {
    struct uuid deployment;
    uint32_t ordinal;
    uint32_t epoch;
    uint64_t run;
    uint64_t energy_mj;
    bool estimated;
    bool final; /* nothing more comes of that epoch */
};

struct serve_config {
    struct loop *loop;
    const struct engine_specs *specs;
    const char *socket_dir;
    const char *log_dir;
    const char *self;        /* our own binary, for the shim */
    const char *engine_path; /* folders with engines, colon-separated, before PATH; may be empty */
    uint32_t threads;        /* for each engine */
    struct tls_context *tls; /* for https URLs */
    void (*report)(void *ctx, const struct serve_report *report);
    /* Every SERVE_USED_MS, and before the last report; NULL: not wanted. Nothing is told where no power is known. */
    void (*used)(void *ctx, const struct serve_used *used);
    const struct chipset *chipset; /* for that; may be NULL */
    /* Requests that the replica still answers; asked while it drains. */
    uint32_t (*busy)(void *ctx, const struct uuid *deployment, uint32_t ordinal);
    void *ctx;
};

int serve_new(struct serve **out, const struct serve_config *config, struct err *err);
void serve_start(struct serve *serve, const struct serve_order *order);
/* Drains and stops; reports REPLICA_STOPPED at the end. */
void serve_stop(struct serve *serve, const struct uuid *deployment, uint32_t ordinal);
/* Stops all without reports; `done` runs when no process is left. */
void serve_shutdown(struct serve *serve, void (*done)(void *ctx), void *ctx);
void serve_free(struct serve *serve); /* after done, and once the loop has run */
/* Every state once more: the hub lost some. */
void serve_report_all(struct serve *serve);

#endif
