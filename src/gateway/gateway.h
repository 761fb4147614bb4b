/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateway: the tenant's door. Worker threads, each with its own loop and listener on the same port (SO_REUSEPORT).
 *
 * It serves the OpenAI surface itself; every other path goes to the `other` handler (the hub's API), on the worker's
 * thread. Requests are matched against an immutable snapshot; no lock and no store on the way of a request.
 */
#ifndef BUSBAR_GATEWAY_GATEWAY_H
#define BUSBAR_GATEWAY_GATEWAY_H

#include "base/err.h"
#include "engine/spec.h"
#include "gateway/snapshot.h"
#include "gateway/uplink.h"
#include "net/http_server.h"
#include "runtime/asks.h"

struct gateway;
struct worker;

struct gateway_config {
    const char *host;
    uint16_t port;         /* 0: any; gateway_port tells */
    const char *unix_path; /* also listen here (first worker); NULL: not */
    uint32_t workers;
    uint32_t connections_max; /* a worker */
    uint32_t queue_max;       /* requests that wait for a slot, a model */
    struct tls_context *tls;  /* NULL: plain */
    struct tls_context *upstream_tls;
    const struct engine_specs *engines;
    uint64_t first_byte_ms, between_ms, queue_ms; /* 0: the defaults */
    bool single_use; /* a connection to a replica is for one request: its slot is held with it */
    /* Paths other than /v1: greatest body, and the handler. */
    int64_t (*admit_other)(struct http_request *request, void *ctx);
    void (*handle_other)(struct http_request *request, struct worker *worker, void *ctx);
    void *other_ctx;
};

/* One a core, at most four. */
uint32_t gateway_workers_default(void);
/* As many descriptors as this process may have. */
void gateway_raise_limits(void);
/* Of each worker, by the limit of descriptors. */
uint32_t gateway_connections_max(uint32_t workers);

/* Two steps, since the runtime wants the routes before it starts: _new, runtime_start with gateway_routes, _start. */
int gateway_new(struct gateway **out, const struct gateway_config *config, struct err *err);
struct runtime_routes gateway_routes(struct gateway *gateway);
int gateway_start(struct gateway *gateway, const struct uplink *uplink, struct err *err);
uint16_t gateway_port(const struct gateway *gateway);
/* Stops listening; streams may finish until gateway_stop. */
void gateway_drain(struct gateway *gateway);
/* Requests that still run. */
uint32_t gateway_busy(const struct gateway *gateway);
/* Ends what is left (streams with an error event, metered), returns leases, joins the threads. Blocks. */
void gateway_stop(struct gateway *gateway);
void gateway_free(struct gateway *gateway);

/* For handlers of other paths, on the worker's thread. In a gateway's own process there is no runtime, and nothing to query. */
struct runtime *worker_runtime(struct worker *worker);
struct loop *worker_loop(struct worker *worker);
/* Posts or queries with a token; fn gets the reply on this thread. 0 or ERR_UNAVAILABLE: then fn is not called. */
int worker_ask(struct worker *worker, struct event *event, ask_fn *fn, void *ctx);
/* As worker_ask for events that are durable together; fn gets each reply. */
int worker_ask_all(struct worker *worker, struct event *events, uint32_t n, ask_fn *fn, void *ctx);
int worker_query(struct worker *worker, query_fn *query, ask_fn *fn, void *ctx);
/* The key that the request carries, from the snapshot; ERR_UNAUTHENTICATED with words. Copied out. */
int worker_authenticate(struct worker *worker, const struct http_request *request, struct snap_key *key,
                        struct err *err);
/* Every model that is deployed on this machine has a replica that answers. From any thread. */
bool gateway_serving(struct gateway *gateway);
/* Requests that the replica still answers. From any thread. */
uint32_t gateway_replica_busy(struct gateway *gateway, const struct uuid *deployment, uint32_t ordinal);
/* As registry_replica (gateway/snapshot.h): for requests that came in at another door. From any thread. */
struct backend *gateway_replica(struct gateway *gateway, const struct uuid *deployment, uint32_t ordinal,
                                uint32_t epoch, struct slot_queue **queue);
/* So many requests of this deployment wait at other doors now. True: core knows of nobody who does, and is to be told. From any
 * thread. */
bool gateway_elsewhere(struct gateway *gateway, const struct uuid *service, uint32_t waiting);
/* The hub has forgotten who waits at this door, and is told again. From any thread. */
void gateway_untell(struct gateway *gateway);
/* Counts the snapshots that were published. From any thread. */
uint64_t gateway_version(const struct gateway *gateway);
/* Prometheus text of all workers. */
void gateway_metrics(struct gateway *gateway, struct buf *out);
void gateway_thread_ids(const struct gateway *gateway, int *tids, uint32_t max);

#endif
