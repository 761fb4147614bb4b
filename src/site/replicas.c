/* SPDX-License-Identifier: Apache-2.0 */
#include "site/replicas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "engine/spec.h"
#include "site/bridge.h"
#include "site/claims.h"
#include "site/link.h"
#include "site/replica_jobs.h"
#include "site/replica_list.h"
#include "site/totals.h"
#include "site/ways.h"

#define TICK_MS 200
#define RETRY_MS 500
#define PAUSE_MS 5000     /* after weights that could not be had */
#define AGAIN_MIN_MS 1000 /* after a job that ended by itself; growing */
#define AGAIN_MAX_MS 60000
#define STABLE_MS 60000 /* ready for so long: the next end is the first again */
#define TENTHS 10
#define PATIENCE_MS 10000 /* for the answer to a report */
#define RUN_DIR_MAX 80    /* with a socket's name: what its address may hold */

/* A replica that the hub wants, or that is still here. */
struct item {
    struct list node;
    struct site_replicas *replicas;
    struct serve_order order;                         /* as wanted now */
    struct tunnel_target worker[CLUSTER_MEMBERS_MAX]; /* of a cluster's head: what it needs */
    char digest[BLOB_NAME_LEN + 1];
    uint64_t size;
    struct cache_want *want; /* of its weights, while it is wanted or runs */
    bool here;               /* they are, at `location` */
    uint64_t next_ms;        /* they are asked for again, or it is begun again */
    uint64_t again_ms;       /* the pause before that; 0: it never ended by itself */
    uint64_t ready_ms;       /* since when it is */
    bool wanted, listed;
    bool running, stopping; /* an engine is supervised for it, under run_epoch */
    uint32_t run_epoch;
    /* As it is told to the hub. */
    uint32_t state, slots, context;
    char detail[TEXT_CAP];
    char version[NAME_CAP]; /* of its engine, while it is ready */
    char socket[TEXT_CAP];
    char location[PATH_CAP]; /* of its weights */
};

struct site_replicas {
    struct site_replicas_config config;
    char run_dir[FS_PATH_MAX], log_dir[FS_PATH_MAX];
    char self[FS_PATH_MAX], engine_path[FS_PATH_MAX];
    struct engine_specs *specs;
    struct serve *serve; /* one of the two */
    struct replica_jobs *jobs;
    struct claims *claims; /* of serve's */
    struct bridge *bridge;
    struct ways *ways;
    struct link *link;
    struct totals *totals;
    struct list items;
    uint64_t version;
    bool dirty; /* something is to be told */
    bool ending;
    uint64_t not_before_ms;
    uv_timer_t timer;
};

static struct item *find(const struct site_replicas *r, const struct uuid *deployment, uint32_t ordinal)
{
    list_for_each_safe (it, next, &r->items) {
        struct item *item = list_entry(it, struct item, node);
        if (uuid_eq(&item->order.deployment, deployment) && item->order.ordinal == ordinal)
            return item;
    }
    return NULL;
}

static void set(struct site_replicas *r, struct item *item, uint32_t state, const char *detail)
{
    if (item->state == state && strcmp(item->detail, detail) == 0)
        return;
    item->state = state;
    (void)snprintf(item->detail, sizeof item->detail, "%s", detail);
    r->dirty = true;
}

/* ---- from what is to what should be ---- */

static void drop_weights(struct item *item)
{
    if (item->want)
        cache_drop(item->want);
    item->want = NULL;
    item->here = false;
}

static void settle(struct site_replicas *r, struct item *item);

static void on_weights(void *ctx, const struct err *err, const char *path)
{
    struct item *item = ctx;
    struct site_replicas *r = item->replicas;
    char words[TEXT_CAP];
    (void)snprintf(words, sizeof words, "no weights: %.100s",
                   err->code == ERR_DIGEST ? "what the hub gives is not what their digest says" : err->msg);
    if (err->code == 0) {
        item->here = text_set(item->location, sizeof item->location, path, strlen(path));
        (void)snprintf(words, sizeof words, "the data folder's path is too long");
    }
    if (!item->here) {
        drop_weights(item);
        item->next_ms = uv_now(&r->config.loop->uv) + PAUSE_MS;
        if (!item->running) /* a job of before this agent has them open */
            set(r, item, REPLICA_BACKOFF, words);
    }
    settle(r, item);
}

/* Where a head reaches its workers: here, or by a way through the hub. False: one of ours is not there yet; the reason is told. */
static bool find_workers(struct site_replicas *r, struct item *item)
{
    for (uint32_t i = 0; i < item->order.nworkers; i++) {
        const struct tunnel_target *target = &item->worker[i];
        const struct item *own = find(r, &target->deployment, target->ordinal);
        char *socket = item->order.workers[i].socket;
        struct err err = {0};
        bool ours = own && own->running && own->run_epoch == target->epoch;
        if (ours ? !text_set(socket, COMMAND_SOCKET_CAP, own->socket, strlen(own->socket)) || !socket[0]
                 : ways_to(r->ways, target, socket, &err) != 0) {
            set(r, item, REPLICA_STARTING, ours ? "waits for a worker of this site" : err.msg);
            return false;
        }
    }
    return true;
}

static void run(struct site_replicas *r, struct item *item)
{
    if (item->order.role == REPLICA_HEAD && !find_workers(r, item))
        return;
    item->running = true;
    item->run_epoch = item->order.epoch;
    memcpy(item->order.location, item->location, sizeof item->order.location);
    if (r->jobs)
        replica_jobs_start(r->jobs, &item->order);
    else
        claims_start(r->claims, &item->order);
}

static void on_granted(void *ctx, const struct serve_order *order)
{
    struct site_replicas *r = ctx;
    serve_start(r->serve, order);
}

static void on_waits(void *ctx, const struct serve_order *order, const char *why)
{
    struct site_replicas *r = ctx;
    struct item *item = find(r, &order->deployment, order->ordinal);
    char words[TEXT_CAP];
    (void)snprintf(words, sizeof words, "waits for its chips: %.100s", why);
    if (item)
        set(r, item, REPLICA_STARTING, words);
}

static void stop(struct site_replicas *r, struct item *item)
{
    struct serve_order order = item->order;
    order.epoch = item->run_epoch;
    item->stopping = true;
    if (r->jobs)
        replica_jobs_stop(r->jobs, &order);
    else if (claims_stop(r->claims, &order.deployment, order.ordinal))
        item->running = item->stopping = false;
    else
        serve_stop(r->serve, &order.deployment, order.ordinal);
}

/* A job that goes on needs no weights of ours, but they are not to be evicted while it has them open. */
static void start(struct site_replicas *r, struct item *item)
{
    char words[TEXT_CAP];
    bool early = uv_now(&r->config.loop->uv) < item->next_ms;
    if (r->jobs && item->order.role != REPLICA_ALL) {
        set(r, item, REPLICA_BACKOFF,
            "members of a cluster run on a site's own machine, not in a batch system");
        return;
    }
    if (r->jobs && !replica_jobs_listed(r->jobs))
        return;
    bool goes_on = r->jobs && replica_jobs_has(r->jobs, &item->order);
    if (early && !goes_on)
        return; /* the reason is told */
    if (item->order.role == REPLICA_WORKER)
        item->here = true; /* its head sends it what it holds */
    else if (!item->want)
        item->want = cache_get(r->config.cache, item->digest, item->size, "", on_weights, item);
    if (item->here || goes_on) {
        run(r, item);
        return;
    }
    uint64_t tenths = item->size ? cache_have(item->want) / (item->size / TENTHS + 1) : 0;
    (void)snprintf(words, sizeof words, "fetching its weights: %llu0 %%", (unsigned long long)tenths);
    set(r, item, REPLICA_STARTING, words);
}

static void settle(struct site_replicas *r, struct item *item)
{
    if (item->stopping || r->ending)
        return;
    if (item->running && (!item->wanted || item->run_epoch != item->order.epoch)) {
        stop(r, item);
    } else if (!item->running && item->wanted) {
        start(r, item);
    } else if (!item->running) {
        drop_weights(item);
        set(r, item, REPLICA_STOPPED, "");
    }
}

static void settle_all(void *ctx)
{
    struct site_replicas *r = ctx;
    list_for_each_safe (it, next, &r->items)
        settle(r, list_entry(it, struct item, node));
}

/* A job that ended unasked is begun again, after a pause that grows. */
static void ended(struct site_replicas *r, struct item *item, const char *why)
{
    uint64_t now = uv_now(&r->config.loop->uv);
    if (item->ready_ms && now - item->ready_ms > STABLE_MS)
        item->again_ms = 0;
    item->again_ms = item->again_ms ? item->again_ms * 2 : AGAIN_MIN_MS;
    if (item->again_ms > AGAIN_MAX_MS)
        item->again_ms = AGAIN_MAX_MS;
    item->next_ms = now + item->again_ms;
    item->ready_ms = 0;
    set(r, item, REPLICA_BACKOFF, why);
}

static void on_state(void *ctx, const struct serve_report *report)
{
    struct site_replicas *r = ctx;
    struct item *item = find(r, &report->deployment, report->ordinal);
    if (!item)
        return;
    if (report->state == REPLICA_STOPPED) {
        if (r->claims)
            claims_over(r->claims, &report->deployment, report->ordinal);
        if (!item->stopping)
            ended(r, item, report->detail);
        item->running = item->stopping = false;
        item->socket[0] = 0;
        if (item->order.role == REPLICA_HEAD)
            ways_end(r->ways, &item->order.deployment);
        settle(r, item);
        return;
    }
    item->slots = report->slots;
    item->context = report->context;
    item->socket[0] = 0;
    memcpy(item->version, report->version, sizeof item->version);
    if (report->state == REPLICA_READY && item->ready_ms == 0)
        item->ready_ms = uv_now(&r->config.loop->uv);
    if (report->state == REPLICA_READY && strncmp(report->endpoint, "unix:", 5) == 0)
        (void)snprintf(item->socket, sizeof item->socket, "%s", report->endpoint + 5);
    if (item->run_epoch == item->order.epoch && !item->stopping)
        set(r, item, report->state, report->detail);
}

static void on_used(void *ctx, const struct serve_used *used)
{
    struct site_replicas *r = ctx;
    r->dirty = totals_take(r->totals, used) || r->dirty;
}

/* For the tunnels. */
static const char *way_of(void *ctx, const struct tunnel_target *target, struct replica_way *way)
{
    const struct site_replicas *r = ctx;
    const struct item *item = find(r, &target->deployment, target->ordinal);
    if (!item || !item->running || item->run_epoch != target->epoch)
        return NULL;
    if (r->jobs)
        return replica_jobs_way(r->jobs, target, way) ? "" : NULL;
    return item->socket[0] ? item->socket : NULL;
}

/* ---- what the hub wants ---- */

static void want(struct site_replicas *r, const struct replica_wanted *wanted)
{
    struct item *item = find(r, &wanted->order.deployment, wanted->order.ordinal);
    if (!item) {
        item = calloc(1, sizeof *item);
        if (!item)
            abort(); /* a few kilobytes for a replica of gigabytes */
        list_push(&r->items, &item->node);
        item->replicas = r;
        item->state = REPLICA_STARTING;
        memcpy(item->digest, wanted->digest, sizeof item->digest); /* a deployment keeps its weights */
        item->size = wanted->size;
    }
    item->order = wanted->order;
    memcpy(item->worker, wanted->worker, sizeof item->worker);
    item->wanted = !wanted->stop;
    item->listed = true;
    item->slots = item->slots ? item->slots : item->order.slots;
    item->context = item->context ? item->context : item->order.context;
}

/* Jobs of replicas that are wanted no more are ended, also those of which we do not know. */
static void tell_jobs(struct site_replicas *r)
{
    uint32_t n = 0, i = 0;
    list_for_each_safe (it, next, &r->items)
        n += list_entry(it, struct item, node)->wanted;
    struct tunnel_target *wanted = calloc(n + 1, sizeof *wanted);
    if (!wanted)
        abort();
    list_for_each_safe (it, next, &r->items) {
        const struct item *item = list_entry(it, struct item, node);
        if (item->wanted)
            wanted[i++] = (struct tunnel_target){.deployment = item->order.deployment,
                                                 .ordinal = item->order.ordinal,
                                                 .epoch = item->order.epoch};
    }
    replica_jobs_wanted(r->jobs, wanted, n);
    free(wanted);
}

/* An older hub says nothing of them. */
static void take_recalled(struct site_replicas *r, yyjson_val *list)
{
    char(*names)[BLOB_NAME_LEN + 1] = calloc(yyjson_arr_size(list) + 1, sizeof *names);
    uint32_t n = 0;
    yyjson_val *v;
    if (!names)
        abort();
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        if (blob_name_valid(yyjson_get_str(v) ? yyjson_get_str(v) : "", yyjson_get_len(v)))
            memcpy(names[n++], yyjson_get_str(v), BLOB_NAME_LEN);
    }
    cache_recall(r->config.cache, (const char(*)[BLOB_NAME_LEN + 1]) names, n);
    free(names);
}

bool site_replicas_take(struct site_replicas *r, yyjson_val *given)
{
    yyjson_val *list = yyjson_obj_get(given, "list"), *v;
    struct replica_wanted wanted;
    bool any = false;
    if (!yyjson_is_arr(list) || !yyjson_is_uint(yyjson_obj_get(given, "version")))
        return false;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((v = yyjson_arr_iter_next(&it)) != NULL)
        if (!replica_list_read(v, &wanted))
            return false;
    list_for_each_safe (at, next, &r->items) {
        struct item *old = list_entry(at, struct item, node);
        old->wanted = old->listed = false;
    }
    it = yyjson_arr_iter_with(list);
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        if (replica_list_read(v, &wanted))
            want(r, &wanted);
        any = true;
    }
    take_recalled(r, yyjson_obj_get(given, "recalled"));
    r->version = yyjson_get_uint(yyjson_obj_get(given, "version"));
    r->dirty = true; /* the hub may have forgotten what it was told */
    if (r->jobs)
        tell_jobs(r);
    settle_all(r);
    bridge_want(r->bridge, any);
    return true;
}

uint64_t site_replicas_version(const struct site_replicas *r)
{
    return r->version;
}

void site_replicas_unheard(struct site_replicas *r)
{
    bridge_cut(r->bridge);
}

/* ---- what the hub is told ---- */

static void add_item(struct buf *out, const struct item *item, bool more)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->order.deployment);
    buf_addf(
        out,
        "%s{\"deployment\":\"%s\",\"ordinal\":%u,\"epoch\":%u,\"state\":\"%s\",\"slots\":%u,\"context\":%u",
        more ? "," : "", id, item->order.ordinal, item->order.epoch, replica_state_text(item->state),
        item->slots, item->context);
    buf_add_text(out, ",\"detail\":");
    buf_add_json(out, item->detail, strlen(item->detail));
    buf_add_text(out, ",\"version\":");
    buf_add_json(out, item->version, strlen(item->version));
    buf_add_char(out, '}');
}

/* Gone, and the hub knows that, or has no use for it. */
static void forget_stopped(struct site_replicas *r)
{
    list_for_each_safe (it, next, &r->items) {
        struct item *item = list_entry(it, struct item, node);
        if (item->running || item->wanted || item->listed)
            continue;
        drop_weights(item);
        list_remove(&item->node);
        free(item);
    }
}

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct site_replicas *r = ctx;
    (void)answer;
    if (err->code == 0) {
        forget_stopped(r);
        r->dirty = totals_told(r->totals) || r->dirty;
        return;
    }
    if (err->code == ERR_INVALID)
        log_error("replicas", "error=\"%s\"", err->msg);
    r->dirty = true;
    r->not_before_ms = uv_now(&r->config.loop->uv) + RETRY_MS;
}

static void tell(struct site_replicas *r)
{
    struct buf body;
    bool more = false;
    buf_init(&body, LINK_BODY_MAX);
    buf_add_text(&body, "{\"replicas\":[");
    list_for_each_safe (it, next, &r->items) {
        const struct item *item = list_entry(it, struct item, node);
        if (!item->listed || item->stopping)
            continue;
        add_item(&body, item, more);
        more = true;
    }
    buf_add_text(&body, "],\"energy\":[");
    totals_add(r->totals, &body);
    buf_add_text(&body, "]}");
    r->dirty = false;
    link_post(r->link, "/site/v1/replicas", &body, on_told, r);
    buf_fini(&body);
}

static void on_tick(uv_timer_t *timer)
{
    struct site_replicas *r = timer->data;
    settle_all(r);
    if (r->dirty && !link_busy(r->link) && uv_now(&r->config.loop->uv) >= r->not_before_ms)
        tell(r);
}

/* ---- the whole ---- */

static int find_places(struct site_replicas *r, char engines[FS_PATH_MAX], struct err *err)
{
    char share[FS_PATH_MAX], dir[FS_PATH_MAX];
    const char *data = r->config.data_dir, *engine = getenv("BUSBAR_ENGINE_PATH");
    if (!fs_self(r->self) || !fs_share(share))
        return err_set(err, ERR_IO, "cannot find our own program's folder");
    memcpy(dir, r->self, sizeof dir);
    *strrchr(dir, '/') = 0;
    if (!fs_join(engines, share, "engines.yaml") || !fs_join(r->run_dir, data, "run") ||
        !fs_join(r->log_dir, data, "logs") || strlen(r->run_dir) > RUN_DIR_MAX)
        return err_set(err, ERR_INVALID, "the data folder's path is too long for sockets in it");
    if (engine ? snprintf(r->engine_path, sizeof r->engine_path, "%s", engine) >= (int)sizeof r->engine_path
               : !fs_join(r->engine_path, dir, "../.deps/llama/bin"))
        return err_set(err, ERR_INVALID, "the path of engines is too long");
    int rc = fs_mkdirs(r->run_dir, 0700, err);
    return rc ? rc : fs_mkdirs(r->log_dir, 0700, err);
}

static int open_parts(struct site_replicas *r, struct err *err)
{
    char engines[FS_PATH_MAX];
    struct loop *loop = r->config.loop;
    int rc = find_places(r, engines, err);
    if (rc == 0)
        rc = engine_specs_load(&r->specs, engines, err);
    const struct serve_config serve = {.loop = loop,
                                       .specs = r->specs,
                                       .socket_dir = r->run_dir,
                                       .log_dir = r->log_dir,
                                       .self = r->self,
                                       .engine_path = r->engine_path,
                                       .threads = r->config.threads,
                                       .report = on_state,
                                       .used = on_used,
                                       .chipset = r->config.engine->chipset,
                                       .ctx = r};
    const struct replica_jobs_config jobs = {.loop = loop,
                                             .engine = r->config.engine,
                                             .threads = r->config.threads,
                                             .lease_ms = r->config.lease_ms,
                                             .lease_ctx = r->config.ctx,
                                             .report = on_state,
                                             .used = on_used,
                                             .ctx = r};
    const struct bridge_config bridge = {
        .loop = loop, .hub = r->config.hub, .tls = r->config.tls, .find = way_of, .ctx = r};
    if (rc == 0)
        rc = link_open(&r->link, loop, r->config.hub, r->config.tls, err);
    if (rc == 0)
        rc = bridge_open(&r->bridge, &bridge, err);
    if (rc == 0)
        rc = ways_open(&r->ways, &(struct ways_config){loop, r->config.hub, r->config.tls, r->run_dir}, err);
    if (rc != 0)
        return rc;
    if (r->config.engine->engine != ENGINE_KIND_LOCAL)
        return replica_jobs_new(&r->jobs, &jobs, err);
    rc = serve_new(&r->serve, &serve, err);
    if (rc == 0)
        r->claims = claims_new(&(struct claims_config){loop, r->config.local, on_granted, on_waits, r});
    return rc;
}

static void close_parts(struct site_replicas *r)
{
    if (r->bridge)
        bridge_close(r->bridge);
    if (r->ways)
        ways_close(r->ways);
    link_close(r->link);
    r->link = NULL;
    if (r->claims)
        claims_close(r->claims);
}

int site_replicas_new(struct site_replicas **out, const struct site_replicas_config *config, struct err *err)
{
    struct site_replicas *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r->config = *config;
    list_init(&r->items);
    r->totals = totals_new();
    int rc = open_parts(r, err);
    if (rc != 0) {
        close_parts(r);
        uv_run(&config->loop->uv, UV_RUN_DEFAULT);
        site_replicas_free(r);
        return rc;
    }
    link_patience(r->link, PATIENCE_MS);
    uv_timer_init(&config->loop->uv, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, on_tick, TICK_MS, TICK_MS);
    *out = r;
    return 0;
}

void site_replicas_shutdown(struct site_replicas *r, void (*done)(void *ctx), void *ctx)
{
    r->ending = true;
    uv_close((uv_handle_t *)&r->timer, NULL);
    list_for_each_safe (it, next, &r->items)
        drop_weights(list_entry(it, struct item, node));
    close_parts(r);
    if (r->jobs)
        replica_jobs_shutdown(r->jobs, done, ctx);
    else
        serve_shutdown(r->serve, done, ctx);
}

void site_replicas_free(struct site_replicas *r)
{
    if (!r)
        return;
    list_for_each_safe (it, next, &r->items)
        free(list_entry(it, struct item, node));
    if (r->serve)
        serve_free(r->serve);
    replica_jobs_free(r->jobs);
    claims_free(r->claims);
    totals_free(r->totals);
    bridge_free(r->bridge);
    ways_free(r->ways);
    if (r->specs)
        engine_specs_free(r->specs);
    free(r);
}
