/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/workers.h"

#define WORKERS_MAX 64
#define DESCRIPTORS_KEPT 200 /* for engines, the store, logs */
#define CONNECTIONS_MIN 64

struct gateway {
    struct gateway_config config;
    struct registry *registry;
    pthread_mutex_t lock; /* guards the next two */
    struct snapshot *snapshot;
    _Atomic uint64_t version;
    struct worker *workers[WORKERS_MAX];
    uint32_t nworkers;
    uint16_t port;
    bool running;
};

uint32_t gateway_workers_default(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 4 ? 4 : (uint32_t)n;
}

void gateway_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A quarter of the descriptors is left for calls to engines: connections may be idle, calls are bounded by slots. */
uint32_t gateway_connections_max(uint32_t workers)
{
    struct rlimit limit = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t room =
        limit.rlim_cur > DESCRIPTORS_KEPT ? (limit.rlim_cur - DESCRIPTORS_KEPT) / 4 * 3 / workers : 0;
    return room < CONNECTIONS_MIN ? CONNECTIONS_MIN : room > 1000000 ? 1000000 : (uint32_t)room;
}

int gateway_new(struct gateway **out, const struct gateway_config *config, struct err *err)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    g->config = *config;
    if (g->config.workers == 0 || g->config.workers > WORKERS_MAX) {
        free(g);
        return err_set(err, ERR_INVALID, "the number of workers must be 1 to %d", WORKERS_MAX);
    }
    pthread_mutex_init(&g->lock, NULL);
    g->registry = registry_new(config->engines, config->queue_max);
    g->port = config->port;
    *out = g;
    return 0;
}

static void *make(void *ctx, const struct core *core)
{
    struct gateway *g = ctx;
    return snapshot_make(g->registry, core);
}

static void publish(void *ctx, void *ptr)
{
    struct gateway *g = ctx;
    struct snapshot *snapshot = ptr;
    snapshot_publish(g->registry, snapshot);
    pthread_mutex_lock(&g->lock);
    struct snapshot *old = g->snapshot;
    g->snapshot = snapshot;
    g->version++;
    pthread_mutex_unlock(&g->lock);
    snapshot_unref(old);
}

static void discard(void *ctx, void *snapshot)
{
    (void)ctx;
    snapshot_unref(snapshot);
}

struct runtime_routes gateway_routes(struct gateway *g)
{
    return (struct runtime_routes){.make = make, .publish = publish, .discard = discard, .ctx = g};
}

void gateway_kick(struct gateway *g)
{
    registry_kick(g->registry);
}

static void on_told(void *ctx, const struct effect *reply)
{
    (void)ctx;
    (void)reply;
}

static bool tell_demand(void *ctx, const struct event_service_demand *demand)
{
    struct worker *w = ctx;
    struct event event = {.kind = EVENT_KIND_service_demand, .u.service_demand = *demand};
    if (w->uplink.runtime)
        return runtime_post(w->uplink.runtime, &event) == 0;
    return worker_ask(w, &event, on_told, NULL) == 0;
}

void gateway_demand(struct gateway *g, struct worker *w, uint64_t ms)
{
    if (w != g->workers[0])
        return;
    /* What a gateway's own process answers its hub counts, since it goes through there: it tells who waits. */
    registry_demand(g->registry, ms, w->uplink.runtime != NULL, tell_demand, w);
}

uint64_t gateway_version(const struct gateway *g)
{
    return g->version;
}

struct snapshot *gateway_snapshot(struct gateway *g, uint64_t *version)
{
    pthread_mutex_lock(&g->lock);
    struct snapshot *snapshot = snapshot_ref(g->snapshot);
    *version = g->version;
    pthread_mutex_unlock(&g->lock);
    return snapshot;
}

const struct gateway_config *gateway_config_of(const struct gateway *g)
{
    return &g->config;
}

uint16_t gateway_port(const struct gateway *g)
{
    return g->port;
}

int gateway_start(struct gateway *g, const struct uplink *uplink, struct err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < g->config.workers; i++) {
        struct worker *w = calloc(1, sizeof *w);
        if (!w)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        rc = worker_init(w, g, uplink, err);
        if (rc != 0) {
            free(w);
            break;
        }
        g->workers[g->nworkers++] = w;
        rc = http_listen_tcp(&w->server, g->config.host, &g->port, err);
        if (rc == 0 && i == 0 && g->config.unix_path)
            rc = http_listen_unix(&w->server, g->config.unix_path, err);
    }
    for (uint32_t i = 0; i < g->nworkers; i++) {
        if (uv_thread_create(&g->workers[i]->thread, worker_run, g->workers[i]) != 0)
            abort();
    }
    g->running = true;
    return rc;
}

static void order(struct gateway *g, enum worker_order what)
{
    for (uint32_t i = 0; i < g->nworkers; i++) {
        atomic_store(&g->workers[i]->order, what);
        uv_async_send(&g->workers[i]->control);
    }
}

void gateway_drain(struct gateway *g)
{
    order(g, ORDER_DRAIN);
}

uint32_t gateway_busy(const struct gateway *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->nworkers; i++)
        n += atomic_load(&g->workers[i]->nrelays);
    return n;
}

void gateway_stop(struct gateway *g)
{
    if (!g->running)
        return;
    order(g, ORDER_STOP);
    for (uint32_t i = 0; i < g->nworkers; i++)
        uv_thread_join(&g->workers[i]->thread);
    g->running = false;
}

void gateway_free(struct gateway *g)
{
    gateway_stop(g);
    for (uint32_t i = 0; i < g->nworkers; i++) {
        worker_fini(g->workers[i]);
        free(g->workers[i]);
    }
    snapshot_unref(g->snapshot);
    registry_free(g->registry);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

bool gateway_serving(struct gateway *g)
{
    uint64_t version;
    struct snapshot *s = gateway_snapshot(g, &version);
    bool all = true;
    for (uint32_t i = 0; i < s->nmodels; i++)
        all = all && (s->model[i].nhere == 0 || s->model[i].nbackends > 0);
    snapshot_unref(s);
    return all;
}

uint32_t gateway_replica_busy(struct gateway *g, const struct uuid *deployment, uint32_t ordinal)
{
    return registry_busy(g->registry, deployment, ordinal);
}

bool gateway_elsewhere(struct gateway *g, const struct uuid *service, uint32_t waiting)
{
    registry_elsewhere(g->registry, service, waiting);
    return waiting > 0 && registry_wakes(g->registry, service);
}

void gateway_untell(struct gateway *g)
{
    registry_untell(g->registry);
}

struct backend *gateway_replica(struct gateway *g, const struct uuid *deployment, uint32_t ordinal,
                                uint32_t epoch, struct slot_queue **queue)
{
    return registry_replica(g->registry, deployment, ordinal, epoch, queue);
}

void gateway_metrics(struct gateway *g, struct buf *out)
{
    const struct metrics *all[WORKERS_MAX];
    for (uint32_t i = 0; i < g->nworkers; i++)
        all[i] = &g->workers[i]->metrics;
    metrics_render(out, all, g->nworkers);
    struct registry_stats s = registry_stats(g->registry);
    buf_addf(out,
             "# TYPE busbar_slots gauge\nbusbar_slots %u\n# TYPE busbar_slots_busy gauge\n"
             "busbar_slots_busy %u\n# TYPE busbar_queue_waiting gauge\nbusbar_queue_waiting %u\n",
             s.slots, s.busy, s.waiting);
}

void gateway_thread_ids(const struct gateway *g, int *tids, uint32_t max)
{
    for (uint32_t i = 0; i < max; i++)
        tids[i] = i < g->nworkers ? g->workers[i]->tid : 0;
}
