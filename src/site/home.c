/* SPDX-License-Identifier: Apache-2.0 */
#include "site/home.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "core/kinds.h"
#include "core/view.h"
#include "site/home_data.h"
#include "site/job_file.h"

#define RETRY_MS 100

struct site_home {
    struct runtime *runtime;
    struct mailbox *box;
    struct asks *asks;
    struct site_home_config config;
    struct site_jobs *jobs;
    struct home_data *data;
    uv_timer_t timer;     /* until the core has said what it wants, and has taken what the engine is */
    bool looking, wanted; /* the core is asked; it has said */
    bool counting;        /* what the engine is */
    struct list telling;  /* ends whose reply has not come */
    void (*done)(void *ctx);
    void *done_ctx;
};

static struct site_order order_of(const struct site_home *home, const struct uuid *job, uint32_t epoch,
                                  uint32_t chips)
{
    struct site_order order = {.id = {*job, epoch}, .nodes = 1, .chips = chips};
    memcpy(order.chip, home->config.chip, sizeof order.chip);
    return order;
}

void site_home_effect(struct site_home *home, const struct effect *effect)
{
    const struct job_id id = {effect->job, effect->epoch};
    if (!uuid_eq(&effect->pool, &home->config.pool) || !uuid_zero(&effect->service))
        return; /* a replica starts with its own effect */
    if (effect->kind == EFFECT_JOB_STOP) {
        site_jobs_stop(home->jobs, &id, site_stop_reason(effect->code));
    } else if (effect->kind == EFFECT_JOB_START) {
        struct site_order order = order_of(home, &effect->job, effect->epoch, effect->chips);
        site_jobs_start(home->jobs, &order);
    }
}

/* ---- ends ---- */

struct telling {
    struct list node;
    struct site_home *home;
    struct job_id id;
};

static void telling_free(struct telling *telling)
{
    list_remove(&telling->node);
    free(telling);
}

static void on_recorded(void *ctx, const struct effect *reply)
{
    struct telling *telling = ctx;
    site_jobs_recorded(telling->home->jobs, &telling->id, reply->code);
    telling_free(telling);
}

/* When the last of it was used, as a site on another machine would have it told. */
static int64_t used_ms(const struct site_home *home, const struct job_usage *usage)
{
    return usage ? runtime_used_ms(home->runtime, site_age_ms(usage->wall_ms)) : 0;
}

static bool tell(void *ctx, const struct site_end *end)
{
    struct site_home *home = ctx;
    const bool settled = !end->exit || home_data_over(home->data, &end->id);
    struct telling *telling = settled && runtime_ready(home->runtime) ? calloc(1, sizeof *telling) : NULL;
    if (!telling)
        return false;
    telling->home = home;
    telling->id = end->id;
    list_push(&home->telling, &telling->node);
    const struct uuid here = {{0}}; /* trusted: it is the hub itself */
    struct event events[2] = {
        {.kind = EVENT_KIND_job_meter, .u.job_meter = site_last_meter(&end->id, &here, end->exit)},
        {.kind = EVENT_KIND_job_end, .token = mailbox_token(home->box)}};
    events[0].u.job_meter.used_ms = used_ms(home, end->exit ? &end->exit->usage : NULL);
    if (site_end_returns(end)) {
        events[1].kind = EVENT_KIND_job_return;
        events[1].u.job_return = (struct event_job_return){end->id.job, end->id.epoch, end->code, here};
    } else {
        events[1].u.job_end = (struct event_job_end){end->id.job, end->id.epoch, end->code, here};
    }
    asks_add(home->asks, events[1].token, on_recorded, telling);
    if (runtime_post_all(home->runtime, events, 2) == 0)
        return true;
    asks_forget(home->asks, events[1].token);
    telling_free(telling);
    return false;
}

static void post_meter(struct site_home *home, const struct event_job_meter *meter)
{
    /* Totals: where this one is lost, the next one tells as much. */
    (void)runtime_post(home->runtime, &(struct event){.kind = EVENT_KIND_job_meter, .u.job_meter = *meter});
}

static void used(void *ctx, const struct job_id *id, const struct job_usage *usage)
{
    struct event_job_meter meter = site_meter(id, &(struct uuid){{0}}, usage);
    meter.used_ms = used_ms(ctx, usage);
    post_meter(ctx, &meter);
}

/* What is over since before the start has been told of, as far as it will be. */
static void gone(void *ctx, const struct job_id *id, const struct job_exit *exit, bool old)
{
    struct event_job_meter meter = site_last_meter(id, &(struct uuid){{0}}, exit);
    meter.used_ms = used_ms(ctx, exit ? &exit->usage : NULL);
    (void)home_data_over(((struct site_home *)ctx)->data, id);
    if (!old)
        post_meter(ctx, &meter);
}

static int load(void *ctx, const struct job_id *id, struct job_spec *spec, struct err *err)
{
    const struct site_home *home = ctx;
    int rc = job_file_load(spec, home->config.specs, &id->job, err);
    return rc ? rc : home_data_ready(home->data, id, spec, err);
}

static void dropped(void *ctx, const struct job_id *id)
{
    home_data_forget(((struct site_home *)ctx)->data, id);
}

static uint64_t lease_ms(void *ctx)
{
    return ((const struct site_home *)ctx)->config.lease_ms;
}

/* ---- the start ---- */

static void on_known(void *ctx, const struct effect *reply)
{
    struct site_home *home = ctx;
    home->counting = false;
    if (reply->code == 0)
        uv_timer_stop(&home->timer);
}

static void on_counted(void *ctx, struct engine_call *call)
{
    struct site_home *home = ctx;
    struct event event = {.kind = EVENT_KIND_site_engine,
                          .token = mailbox_token(home->box),
                          .u.site_engine = {home->config.site, .isolation = call->inventory.isolation}};
    engine_words(event.u.site_engine.engine, home->config.engine, &call->inventory);
    home->counting = call->err.code == 0 && !home->done;
    if (!home->counting)
        return;
    asks_add(home->asks, event.token, on_known, home);
    home->counting = runtime_post(home->runtime, &event) == 0;
    if (!home->counting)
        asks_forget(home->asks, event.token);
}

/* Tells what the engine is. */
static void count(struct site_home *home)
{
    struct engine_call *call = engine_call_new(ENGINE_INVENTORY, 0);
    if (!call)
        return;
    home->counting = engine_call(site_jobs_engine(home->jobs), call, on_counted, home) == 0;
    if (!home->counting)
        engine_call_free(call);
}

struct look {
    struct site_home *home;
    struct site_order *list;
    uint32_t n;
};

static void look(void *ctx, const struct core *core)
{
    struct look *l = ctx;
    const struct row_job *row;
    for (uint32_t pos = 0; (row = view_job_at(core, &pos)) != NULL;) {
        if (row->state != JOB_RUNNING || row->flags & JOB_REPLICA ||
            !uuid_eq(&row->pool, &l->home->config.pool))
            continue;
        const uint32_t counts[] = {row->count0, row->count1, row->count2, row->count3};
        struct site_order *more = realloc(l->list, (l->n + 1) * sizeof *more);
        if (!more)
            abort(); /* a job that the core believes in would never start */
        l->list = more;
        l->list[l->n++] = order_of(l->home, &row->id, row->epoch, counts[row->alternative]);
    }
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct look *l = ctx;
    if (reply->code == 0) {
        l->home->wanted = true;
        site_jobs_wanted(l->home->jobs, l->list, l->n);
        count(l->home);
    }
    l->home->looking = false;
    free(l->list);
    free(l);
}

static void ask(struct site_home *home)
{
    struct look *l = home->looking ? NULL : calloc(1, sizeof *l);
    if (!l)
        return;
    l->home = home;
    uint64_t token = mailbox_token(home->box);
    asks_add(home->asks, token, on_looked, l);
    home->looking = runtime_query(home->runtime, look, l, token) == 0;
    if (home->looking)
        return;
    asks_forget(home->asks, token);
    free(l);
}

static void on_timer(uv_timer_t *timer)
{
    struct site_home *home = timer->data;
    if (!home->wanted)
        ask(home);
    else if (!home->counting)
        count(home);
}

static void ready(void *ctx)
{
    struct site_home *home = ctx;
    ask(home);
    uv_timer_start(&home->timer, on_timer, RETRY_MS, RETRY_MS);
}

/* ---- the whole ---- */

int site_home_new(struct site_home **out, struct runtime *runtime, struct loop *loop, struct mailbox *box,
                  struct asks *asks, const struct site_home_config *config, struct err *err)
{
    struct site_home *home = calloc(1, sizeof *home);
    const struct site_hub hub = {.ready = ready,
                                 .load = load,
                                 .tell = tell,
                                 .used = used,
                                 .gone = gone,
                                 .dropped = dropped,
                                 .lease_ms = lease_ms,
                                 .ctx = home};
    if (!home)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *home = (struct site_home){.runtime = runtime, .box = box, .asks = asks, .config = *config};
    list_init(&home->telling);
    int rc = home_data_new(&home->data, loop, runtime, config->blobs, config->engine->work, err);
    if (rc == 0 && (rc = site_jobs_new(&home->jobs, loop, config->engine, &hub, err)) != 0) {
        home_data_close(home->data);
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        home_data_free(home->data);
    }
    if (rc != 0) {
        free(home);
        return rc;
    }
    uv_timer_init(&loop->uv, &home->timer);
    home->timer.data = home;
    *out = home;
    return 0;
}

static void on_jobs_gone(void *ctx)
{
    struct site_home *home = ctx;
    uv_close((uv_handle_t *)&home->timer, NULL);
    home->done(home->done_ctx);
}

void site_home_shutdown(struct site_home *home, void (*done)(void *ctx), void *ctx)
{
    home->done = done;
    home->done_ctx = ctx;
    uv_timer_stop(&home->timer);
    home_data_close(home->data);
    site_jobs_shutdown(home->jobs, on_jobs_gone, home);
}

void site_home_free(struct site_home *home)
{
    site_jobs_free(home->jobs);
    home_data_free(home->data);
    list_for_each_safe (it, next, &home->telling)
        telling_free(list_entry(it, struct telling, node));
    free(home);
}
