/* SPDX-License-Identifier: Apache-2.0 */
#include "site/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/view.h"
#include "runtime/asks.h"
#include "site/end.h"

#define RETRY_MS 200

struct site {
    struct runtime *runtime;
    const char *data_dir;
    struct serve *serve;
    struct mailbox box;
    struct asks asks;
    uv_timer_t retry;
    bool lost; /* a report was not recorded */
    uint32_t (*busy)(void *ctx, const struct uuid *deployment, uint32_t ordinal);
    void *busy_ctx;
    struct loop *loop;
    struct site_home *jobs; /* NULL: it serves models only */
    uint32_t ending;        /* parts that are */
    void (*done)(void *ctx);
    void *done_ctx;
};

static void on_retry(uv_timer_t *timer)
{
    struct site *site = timer->data;
    if (!site->lost || !runtime_ready(site->runtime))
        return;
    site->lost = false;
    serve_report_all(site->serve);
}

static void on_recorded(void *ctx, const struct effect *reply)
{
    struct site *site = ctx;
    if (reply->code == ERR_UNAVAILABLE)
        site->lost = true;
}

static void on_report(void *ctx, const struct serve_report *r)
{
    struct site *site = ctx;
    struct event event = {.kind = EVENT_KIND_replica_state,
                          .u.replica_state = {.deployment = r->deployment,
                                              .ordinal = r->ordinal,
                                              .epoch = r->epoch,
                                              .state = r->state,
                                              .slots = r->slots,
                                              .context = r->context}};
    memcpy(event.u.replica_state.endpoint, r->endpoint, sizeof r->endpoint);
    memcpy(event.u.replica_state.detail, r->detail, sizeof r->detail);
    memcpy(event.u.replica_state.version, r->version, sizeof r->version);
    event.token = mailbox_token(&site->box);
    asks_add(&site->asks, event.token, on_recorded, site);
    if (runtime_post(site->runtime, &event) != 0) {
        asks_forget(&site->asks, event.token);
        site->lost = true;
    }
}

/* A total: where this one is lost, the next one tells as much. */
static void on_used(void *ctx, const struct serve_used *used)
{
    struct site *site = ctx;
    struct event event = {.kind = EVENT_KIND_replica_meter, .u.replica_meter = site_replica_meter(used)};
    (void)runtime_post(site->runtime, &event);
}

/* What to start, looked up on the core thread. */
struct lookup {
    struct site *site;
    struct serve_order order;
    bool found;
};

static const struct row_replica *replica_of(const struct core *core, const struct serve_order *order)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &order->deployment) && row->ordinal == order->ordinal &&
            row->epoch == order->epoch)
            break;
    }
    return row;
}

/* A head begins when all that it needs has a socket; what is said of others later breaks the plan. False: not now. */
static bool add_workers(struct serve_order *order, const struct core *core, const struct row_cluster *cluster)
{
    struct view_part part;
    for (uint32_t i = 0; view_cluster_part(cluster, i, &part); i++) {
        const struct row_replica *worker = view_cluster_worker(core, cluster, &part);
        struct command_worker *to = &order->workers[order->nworkers];
        if (!worker || strncmp(worker->endpoint, "unix:", 5) != 0 ||
            !text_set(to->socket, sizeof to->socket, worker->endpoint + 5, strlen(worker->endpoint + 5)))
            return false;
        to->layers = part.layers;
        order->nworkers++;
    }
    return order->nworkers > 0;
}

static bool add_role(struct serve_order *order, const struct core *core, const struct row_replica *replica)
{
    const struct row_cluster *cluster = view_cluster(core, &replica->deployment);
    order->role = replica->role;
    if (!cluster || replica->role == REPLICA_ALL)
        return replica->role == REPLICA_ALL;
    order->memory_mib = cluster_memory_mib(cluster);
    return replica->role == REPLICA_WORKER || add_workers(order, core, cluster);
}

static void look_up(void *ctx, const struct core *core)
{
    struct lookup *l = ctx;
    const struct row_replica *replica = replica_of(core, &l->order);
    const struct row_deployment *deployment = view_deployment(core, &l->order.deployment);
    const struct row_variant *variant = replica ? view_variant(core, &replica->variant) : NULL;
    const struct row_model *model = deployment ? view_model(core, &deployment->model) : NULL;
    const struct row_site *own = view_site_own(core);
    if (!variant || !model || replica->state == REPLICA_DRAINING || !uuid_eq(&replica->site, &own->id))
        return; /* it was taken back meanwhile, or is another site's */
    if (!add_role(&l->order, core, replica))
        return;
    l->order.slots = deployment->slots;
    l->order.context = model->context;
    l->order.kind = model->kind;
    memcpy(l->order.model, model->name, sizeof l->order.model);
    memcpy(l->order.engine, variant->engine, sizeof l->order.engine);
    bool relative = variant->location[0] != '/' && !strstr(variant->location, "://");
    l->found =
        snprintf(l->order.location, sizeof l->order.location, "%s%s%s", relative ? l->site->data_dir : "",
                 relative ? "/" : "", variant->location) < (int)sizeof l->order.location;
}

static void on_looked_up(void *ctx, const struct effect *reply)
{
    struct lookup *l = ctx;
    if (reply->code == 0 && l->found)
        serve_start(l->site->serve, &l->order);
    free(l);
}

static void start(struct site *site, const struct effect *effect)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->site = site;
    l->order.deployment = effect->deployment;
    l->order.ordinal = effect->ordinal;
    l->order.epoch = effect->epoch;
    uint64_t token = mailbox_token(&site->box);
    asks_add(&site->asks, token, on_looked_up, l);
    if (runtime_query(site->runtime, look_up, l, token) != 0) {
        asks_forget(&site->asks, token);
        log_error("replica_not_started", "ordinal=%u", effect->ordinal);
        free(l);
    }
}

static void on_effect(void *ctx, const struct effect *effect)
{
    struct site *site = ctx;
    switch (effect->kind) {
    case EFFECT_REPLY:
        asks_reply(&site->asks, effect);
        break;
    case EFFECT_REPLICA_START:
        start(site, effect);
        break;
    case EFFECT_REPLICA_STOP:
        serve_stop(site->serve, &effect->deployment, effect->ordinal);
        break;
    case EFFECT_JOB_START:
    case EFFECT_JOB_STOP:
        if (site->jobs)
            site_home_effect(site->jobs, effect);
        break;
    case EFFECT_RECALL:
    case EFFECT_JOB_SHARE: /* one machine: the start says how many chips, the engine which */
    case EFFECT_REPLICA_ADD:
    case EFFECT_REPLICA_DROP:
    case EFFECT_JOB_UNMET:
    case EFFECT_TRANSIT:
    case EFFECT_ALARM:
    case EFFECT_RECALLED: /* what served it is stopped with effects of its own */
        break;
    }
}

static uint32_t ask_busy(void *ctx, const struct uuid *deployment, uint32_t ordinal)
{
    struct site *site = ctx;
    return site->busy ? site->busy(site->busy_ctx, deployment, ordinal) : 0;
}

int site_new(struct site **out, struct runtime *runtime, const char *data_dir,
             const struct serve_config *config, void *busy_ctx, struct err *err)
{
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    struct serve_config mine = *config;
    site->runtime = runtime;
    site->data_dir = data_dir;
    site->loop = config->loop;
    site->busy = config->busy;
    site->busy_ctx = busy_ctx;
    mine.report = on_report;
    mine.used = on_used;
    mine.busy = ask_busy;
    mine.ctx = site;
    asks_init(&site->asks);
    int rc = serve_new(&site->serve, &mine, err);
    if (rc == 0 && (rc = mailbox_init(&site->box, &config->loop->uv, on_effect, site)) != 0)
        err_set(err, rc, "out of memory");
    if (rc != 0) {
        free(site);
        return rc;
    }
    uv_timer_init(&config->loop->uv, &site->retry);
    site->retry.data = site;
    uv_timer_start(&site->retry, on_retry, RETRY_MS, RETRY_MS);
    site->box.site = site->box.jobs = true;
    rc = runtime_attach(runtime, &site->box);
    if (rc != 0)
        return err_set(err, rc, "too many mailboxes");
    *out = site;
    return 0;
}

int site_run_jobs(struct site *site, const struct site_home_config *config, struct err *err)
{
    return site_home_new(&site->jobs, site->runtime, site->loop, &site->box, &site->asks, config, err);
}

static void on_part_over(void *ctx)
{
    struct site *site = ctx;
    if (--site->ending == 0)
        site->done(site->done_ctx);
}

void site_shutdown(struct site *site, void (*done)(void *ctx), void *ctx)
{
    site->done = done;
    site->done_ctx = ctx;
    site->ending = site->jobs ? 2 : 1;
    if (site->jobs)
        site_home_shutdown(site->jobs, on_part_over, site);
    serve_shutdown(site->serve, on_part_over, site);
}

static void on_box_closed(struct mailbox *box)
{
    struct site *site = list_entry(box, struct site, box);
    asks_fini(&site->asks);
    if (site->jobs)
        site_home_free(site->jobs);
    free(site);
}

/* One after the other: the loop still reads what it closes, so the last of them frees the site. */
static void on_retry_closed(uv_handle_t *handle)
{
    struct site *site = handle->data;
    mailbox_close(&site->box, on_box_closed);
}

void site_free(struct site *site)
{
    runtime_detach(site->runtime, &site->box);
    serve_free(site->serve);
    uv_close((uv_handle_t *)&site->retry, on_retry_closed);
}
