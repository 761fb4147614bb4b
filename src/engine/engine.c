/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/folder.h"

enum { LANE_CONTROL, LANE_FILES, LANES };

static const int lane_of[ENGINE_OPS] = {
    [ENGINE_RENEW] = LANE_FILES, [ENGINE_LOGS] = LANE_FILES, [ENGINE_USAGE] = LANE_FILES};

struct lane {
    struct engine *engine;
    pthread_t thread;
    bool started;
    pthread_cond_t more;
    struct list waiting;
};

struct engine {
    const struct engine_ops *ops;
    const struct engine_config *config;
    void *self;
    struct loop *loop;
    uv_async_t answered;
    pthread_mutex_t mutex;
    struct lane lanes[LANES];
    struct list answers;
    uint32_t calls; /* that wait, run, or are answered and not yet told */
    uint32_t threads;
    bool ending;
    bool closing;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* ---- calls ---- */

void engine_words(char dst[NAME_CAP], const struct engine_config *config,
                  const struct engine_inventory *inventory)
{
    const char *name = config->engine == ENGINE_KIND_SLURM ? engine_slurm.name : engine_local.name;
    (void)snprintf(dst, NAME_CAP, "%s%s%.40s", name, inventory->version[0] ? " " : "", inventory->version);
}

struct engine_call *engine_call_new(enum engine_op op, uint32_t n)
{
    struct engine_call *c = n > ENGINE_BATCH_MAX ? NULL : calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->op = op;
    c->n = n;
    buf_init(&c->bytes, ENGINE_LOG_MAX + 1);
    const bool specs = op == ENGINE_SUBMIT || op == ENGINE_HOLD;
    if (specs)
        c->specs = calloc((size_t)n + 1, sizeof *c->specs);
    c->ids = calloc((size_t)n + 1, sizeof *c->ids);
    if (!c->ids || (specs && !c->specs)) {
        c->n = 0;
        engine_call_free(c);
        return NULL;
    }
    return c;
}

void engine_call_free(struct engine_call *c)
{
    for (uint32_t i = 0; c->specs && i < c->n; i++)
        job_spec_free(&c->specs[i]);
    for (uint32_t i = 0; i < c->statuses_count; i++)
        form_free(&job_exit_table, &c->statuses[i].exit);
    free(c->specs);
    free(c->ids);
    free(c->statuses);
    free(c->inventory.nodes);
    free(c->faults);
    buf_fini(&c->bytes);
    free(c);
}

int engine_call(struct engine *e, struct engine_call *c, engine_done *done, void *ctx)
{
    struct lane *lane = &e->lanes[lane_of[c->op]];
    int rc = 0;
    c->done = done;
    c->ctx = ctx;
    pthread_mutex_lock(&e->mutex);
    if (e->ending || e->calls >= ENGINE_CALLS_MAX) {
        rc = ERR_QUEUE_FULL;
    } else {
        e->calls++;
        list_push(&lane->waiting, &c->node);
        pthread_cond_signal(&lane->more);
    }
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

static int report(struct engine *e, struct engine_call *c, const struct job_id *id)
{
    struct engine_status *status = folder_status_add(c, id);
    if (!status)
        return c->err.code;
    e->ops->judge(e->self, status);
    return 0;
}

static void refresh(struct engine *e)
{
    if (e->ops->refresh)
        e->ops->refresh(e->self);
}

static int poll_jobs(struct engine *e, struct engine_call *c)
{
    int rc = 0;
    refresh(e);
    for (uint32_t i = 0; i < c->n && rc == 0; i++)
        rc = report(e, c, &c->ids[i]);
    if (rc == 0 && e->ops->sweep)
        e->ops->sweep(e->self);
    return rc;
}

struct listing {
    struct engine *engine;
    struct engine_call *call;
};

static int list_one(void *ctx, const struct job_id *id, const char *dir)
{
    const struct listing *listing = ctx;
    (void)dir;
    return report(listing->engine, listing->call, id);
}

static int list_jobs(struct engine *e, struct engine_call *c)
{
    struct listing listing = {e, c};
    refresh(e);
    return workdir_each(e->config->work, list_one, &listing, &c->err);
}

static int hold(struct engine *e, struct engine_call *c)
{
    if (!e->ops->hold)
        return err_set(&c->err, ERR_UNSUPPORTED, "this engine gives chips to its jobs alone");
    return e->ops->hold(e->self, c);
}

/* On the thread of the call's lane. */
static int answer(struct engine *e, struct engine_call *c)
{
    switch (c->op) {
    case ENGINE_SUBMIT:
        return e->ops->submit(e->self, c);
    case ENGINE_POLL:
        return poll_jobs(e, c);
    case ENGINE_LIST:
        return list_jobs(e, c);
    case ENGINE_CANCEL:
        return e->ops->cancel(e->self, c);
    case ENGINE_INVENTORY:
        return e->ops->inventory(e->self, c);
    case ENGINE_FORGET:
        return folder_forget(e->config->work, c);
    case ENGINE_RENEW:
        return folder_renew(e->config->work, c);
    case ENGINE_LOGS:
        return folder_logs(e->config->work, c);
    case ENGINE_USAGE:
        return folder_usage(e->config->work, c);
    case ENGINE_HOLD:
        return hold(e, c);
    case ENGINE_LET_GO:
        if (e->ops->let_go)
            e->ops->let_go(e->self, c);
        return 0;
    case ENGINE_MARK:
        return e->ops->mark ? e->ops->mark(e->self, c) : 0;
    case ENGINE_OPS:
        break;
    }
    return err_set(&c->err, ERR_UNSUPPORTED, "no such call");
}

/* ---- threads ---- */

static struct engine_call *next_call(struct lane *lane)
{
    struct engine *e = lane->engine;
    struct list *first;
    pthread_mutex_lock(&e->mutex);
    while (!(first = list_first(&lane->waiting)) && !e->ending)
        pthread_cond_wait(&lane->more, &e->mutex);
    if (first)
        list_remove(first);
    pthread_mutex_unlock(&e->mutex);
    return first ? list_entry(first, struct engine_call, node) : NULL;
}

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    struct engine *e = lane->engine;
    struct engine_call *c;
    sigset_t all;
    sigfillset(&all); /* signals are the loop's; a pipe that breaks is an error code */
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    while ((c = next_call(lane)) != NULL) {
        c->err.code = answer(e, c);
        pthread_mutex_lock(&e->mutex);
        list_push(&e->answers, &c->node);
        pthread_mutex_unlock(&e->mutex);
        uv_async_send(&e->answered);
    }
    pthread_mutex_lock(&e->mutex);
    e->threads--;
    pthread_mutex_unlock(&e->mutex);
    uv_async_send(&e->answered);
    return NULL;
}

/* ---- answers ---- */

static void engine_free(struct engine *e)
{
    for (int i = 0; i < LANES; i++) {
        if (e->lanes[i].started)
            pthread_join(e->lanes[i].thread, NULL);
        pthread_cond_destroy(&e->lanes[i].more);
    }
    pthread_mutex_destroy(&e->mutex);
    if (e->self)
        e->ops->close(e->self);
    free(e);
}

static void on_closed(uv_handle_t *handle)
{
    struct engine *e = handle->data;
    void (*done)(void *ctx) = e->done;
    void *ctx = e->done_ctx;
    engine_free(e);
    if (done)
        done(ctx);
}

static struct engine_call *next_answer(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    struct list *first = list_first(&e->answers);
    if (first) {
        list_remove(first);
        e->calls--;
    }
    pthread_mutex_unlock(&e->mutex);
    return first ? list_entry(first, struct engine_call, node) : NULL;
}

static void on_answered(uv_async_t *async)
{
    struct engine *e = async->data;
    struct engine_call *c;
    while ((c = next_answer(e)) != NULL) {
        c->done(c->ctx, c);
        engine_call_free(c);
    }
    pthread_mutex_lock(&e->mutex);
    bool over = e->ending && e->threads == 0 && e->calls == 0;
    pthread_mutex_unlock(&e->mutex);
    if (over && !e->closing) {
        e->closing = true;
        uv_close((uv_handle_t *)&e->answered, on_closed);
    }
}

/* ---- the whole ---- */

static int start_lanes(struct engine *e, struct err *err)
{
    for (int i = 0; i < LANES; i++) {
        e->lanes[i].engine = e;
        list_init(&e->lanes[i].waiting);
        pthread_cond_init(&e->lanes[i].more, NULL);
    }
    for (int i = 0; i < LANES; i++) {
        e->threads++; /* no thread can end before the lock is free */
        e->lanes[i].started = pthread_create(&e->lanes[i].thread, NULL, run_lane, &e->lanes[i]) == 0;
        if (!e->lanes[i].started) {
            e->threads--;
            return err_set(err, ERR_NO_MEMORY, "cannot start a thread");
        }
    }
    return 0;
}

int engine_new(struct engine **out, struct loop *loop, const struct engine_config *config, struct err *err)
{
    static const struct engine_ops *const kinds[] = {
        [ENGINE_KIND_LOCAL] = &engine_local, [ENGINE_KIND_SLURM] = &engine_slurm};
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    e->ops = kinds[config->engine];
    e->config = config;
    e->loop = loop;
    list_init(&e->answers);
    pthread_mutex_init(&e->mutex, NULL);
    int rc = e->ops->open(&e->self, config, err);
    if (rc != 0) {
        pthread_mutex_destroy(&e->mutex);
        free(e);
        return rc;
    }
    if (uv_async_init(&loop->uv, &e->answered, on_answered) != 0) {
        e->ops->close(e->self);
        pthread_mutex_destroy(&e->mutex);
        free(e);
        return err_set(err, ERR_IO, "out of descriptors");
    }
    e->answered.data = e;
    rc = start_lanes(e, err);
    if (rc != 0)
        engine_shutdown(e, NULL, NULL);
    else
        *out = e;
    return rc;
}

void engine_shutdown(struct engine *e, void (*done)(void *ctx), void *ctx)
{
    e->done = done;
    e->done_ctx = ctx;
    pthread_mutex_lock(&e->mutex);
    e->ending = true;
    for (int i = 0; i < LANES; i++)
        pthread_cond_signal(&e->lanes[i].more);
    pthread_mutex_unlock(&e->mutex);
    uv_async_send(&e->answered);
}
