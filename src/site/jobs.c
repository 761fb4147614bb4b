/* SPDX-License-Identifier: Apache-2.0 */
#include "site/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "core/kinds.h"
#include "engine/data.h"

#define TICK_MS 100
#define BUCKETS 1024  /* a power of two */
#define RENEWALS 10   /* of a lease in its time */
#define TRIES_MAX 100 /* of a start that fails in a way that may pass */
#define USAGE_MS \
    60000 /* of run time, between two tellings of what it used: each is a transfer in the ledger */
#define GRACE_MS 10000 /* from SIGTERM to SIGKILL where the job does not say */

enum run_state {
    RUN_WANTED,     /* to be given to the engine */
    RUN_SUBMITTING, /* the engine is asked */
    RUN_LIVE,       /* the engine has it */
    RUN_ENDED,      /* the hub is to be told */
};

/* An epoch of a job. */
struct run {
    struct list node, in_bucket;
    struct site_jobs *jobs;
    struct site_order order;
    enum run_state state;
    uint32_t tries;
    uint32_t code;    /* ENDED: of the end */
    uint64_t told_ms; /* of its run time the hub has heard */
    bool recorded;    /* ENDED: there is `exit` */
    struct job_exit exit;
    bool wanted; /* in the list that is being gone through */
    bool stop;   /* the hub has taken it back: nothing is told */
    enum job_end why;
    bool cancelling; /* the engine was told */
    bool asked;      /* the hub is being told */
};

struct ended {
    struct job_id id;
    struct job_exit exit;
};

struct site_jobs {
    struct site_hub hub;
    const char *work; /* of the engine */
    struct engine *engine;
    uv_timer_t timer;
    struct list runs, bucket[BUCKETS]; /* in order of arrival; by job */
    bool listing, listed;              /* what the engine has is being read, is known */
    bool compared;                     /* with what the hub wants: submissions may begin */
    struct ended *ended;               /* what was over when all was listed, until it is compared */
    uint32_t nended;
    bool polling, renewing, ending;
    uint64_t renewed_ms, renew_after_ms;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* ---- what is here ---- */

static struct list *bucket_of(struct site_jobs *jobs, const struct uuid *job)
{
    return &jobs->bucket[crc32_of(job, sizeof *job) & (BUCKETS - 1)];
}

static struct run *run_find(struct site_jobs *jobs, const struct job_id *id)
{
    list_for_each_safe (it, next, bucket_of(jobs, &id->job)) {
        struct run *run = list_entry(it, struct run, in_bucket);
        if (run->order.id.epoch == id->epoch && uuid_eq(&run->order.id.job, &id->job))
            return run;
    }
    return NULL;
}

static struct run *run_add(struct site_jobs *jobs, const struct site_order *order, enum run_state state)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        abort(); /* a job that the hub believes in would never start */
    *run = (struct run){.jobs = jobs, .order = *order, .state = state};
    list_push(&jobs->runs, &run->node);
    list_push(bucket_of(jobs, &order->id.job), &run->in_bucket);
    return run;
}

static void run_drop(struct run *run)
{
    list_remove(&run->node);
    list_remove(&run->in_bucket);
    form_free(&job_exit_table, &run->exit);
    free(run);
}

static void run_log(const char *event, const struct run *run, const char *words)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &run->order.id.job);
    log_info(event, "job=%s epoch=%u %s", id, run->order.id.epoch, words);
}

/* ---- ends ---- */

void site_jobs_recorded(struct site_jobs *jobs, const struct job_id *id, int code)
{
    struct run *run = run_find(jobs, id);
    if (!run || run->state != RUN_ENDED)
        return;
    run->asked = false;
    /* Any other refusal: the hub stopped this epoch meanwhile, or was told of its end before. */
    if (code != ERR_UNAVAILABLE || run->stop)
        run_drop(run);
}

static void tell(struct run *run)
{
    const struct site_hub *hub = &run->jobs->hub;
    run->asked = hub->tell(hub->ctx, &(struct site_end){.id = run->order.id,
                                                        .code = run->code,
                                                        .exit = run->recorded ? &run->exit : NULL});
}

static void gone(struct site_jobs *jobs, const struct job_id *id, const struct job_exit *exit, bool old)
{
    if (jobs->hub.gone)
        jobs->hub.gone(jobs->hub.ctx, id, exit, old);
}

static void run_gone(const struct run *run)
{
    gone(run->jobs, &run->order.id, run->recorded ? &run->exit : NULL, false);
}

static void dropped(const struct run *run)
{
    const struct site_hub *hub = &run->jobs->hub;
    if (hub->dropped)
        hub->dropped(hub->ctx, &run->order.id);
}

static void run_end(struct run *run, uint32_t code)
{
    if (run->stop) {
        run_gone(run);
        run_drop(run);
        return;
    }
    run->state = RUN_ENDED;
    run->code = code;
    run_log("job_ended", run, job_ending_text(code));
    tell(run);
}

static void run_not_started(struct run *run, const char *words)
{
    run_log("job_not_started", run, words);
    dropped(run);
    run_end(run, (uint32_t)ENDING_NOT_STARTED << JOB_CODE_BITS);
}

/* ---- starts ---- */

static void on_submitted(void *ctx, struct engine_call *call)
{
    struct run *run = ctx;
    int code = call->err.code;
    if (code == 0) {
        run->state = RUN_LIVE;
        run_log("job_started", run, "");
        return;
    }
    run->state = RUN_WANTED;
    if (!run->stop && (code == ERR_IN_USE || (err_retryable(code) && ++run->tries < TRIES_MAX)))
        return; /* the next tick tries again */
    run_not_started(run, call->err.msg);
}

/* A folder of the epoch's own, in which that of the epoch before lies already. */
static int add_checkpoint(const struct run *run, struct job_spec *spec, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    workdir_path(dir, run->jobs->work, &run->order.id);
    workdir_file(path, dir, DATA_CHECKPOINT);
    free(spec->checkpoint_dir);
    spec->checkpoint_dir = strdup(path);
    return spec->checkpoint_dir ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static int load_spec(struct run *run, struct job_spec *spec, struct err *err)
{
    const struct site_hub *hub = &run->jobs->hub;
    int rc = hub->load(hub->ctx, &run->order.id, spec, err);
    if (rc != 0)
        return rc;
    spec->epoch = run->order.id.epoch;
    spec->grace_ms = spec->grace_ms ? spec->grace_ms : GRACE_MS;
    spec->nodes = run->order.nodes > 1 ? run->order.nodes : 0;
    rc = spec->checkpoint ? add_checkpoint(run, spec, err) : 0;
    if (rc != 0)
        return rc;
    spec->chips = calloc(1, sizeof *spec->chips);
    if (!spec->chips || !(spec->chips[0].kind = strdup(run->order.chip)))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    spec->chips[0].count = run->order.chips;
    spec->chips_count = 1;
    return 0;
}

static void submit(struct run *run)
{
    struct site_jobs *jobs = run->jobs;
    uint64_t lease_ms = jobs->hub.lease_ms(jobs->hub.ctx);
    struct engine_call *call = lease_ms > 0 ? engine_call_new(ENGINE_SUBMIT, 1) : NULL;
    struct err err = {0};
    if (!call)
        return;
    int rc = load_spec(run, &call->specs[0], &err);
    if (rc == 0 && run->order.nodes == 0)
        rc = err_set(&err, ERR_INVALID, "its chips cannot be spread evenly over nodes of this site");
    if (rc != 0) {
        engine_call_free(call);
        if (rc != ERR_UNAVAILABLE && (!err_retryable(rc) || ++run->tries >= TRIES_MAX))
            run_not_started(run, err.msg);
        return;
    }
    call->lease_ms = lease_ms;
    run->state = RUN_SUBMITTING;
    if (engine_call(jobs->engine, call, on_submitted, run) != 0) {
        run->state = RUN_WANTED;
        engine_call_free(call);
    }
}

void site_jobs_loaded(struct site_jobs *jobs, const struct job_id *id)
{
    struct run *run = run_find(jobs, id);
    if (run && run->state == RUN_WANTED && jobs->compared && !jobs->ending)
        submit(run);
}

/* ---- stops ---- */

static void on_cancelled(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    struct run *run = run_find(jobs, &call->ids[0]);
    if (run && call->err.code != 0 && call->err.code != ERR_NOT_FOUND)
        run->cancelling = false; /* the next tick tells it again */
}

static void cancel(struct run *run)
{
    struct engine_call *call = engine_call_new(ENGINE_CANCEL, 1);
    if (!call)
        return;
    call->ids[0] = run->order.id;
    call->stop = (struct job_stop){.end = run->why, .grace_ms = GRACE_MS};
    run->cancelling = engine_call(run->jobs->engine, call, on_cancelled, run->jobs) == 0;
    if (!run->cancelling)
        engine_call_free(call);
}

static void stop(struct run *run, enum job_end why)
{
    run->stop = true;
    run->why = why;
    run_log("job_stopped", run, job_end_text(why));
    if (run->state == RUN_ENDED && !run->asked)
        run_gone(run);
    if (run->state == RUN_WANTED)
        dropped(run);
    if (run->state == RUN_WANTED || (run->state == RUN_ENDED && !run->asked))
        run_drop(run);
    else if (run->state == RUN_LIVE)
        cancel(run);
}

void site_jobs_stop(struct site_jobs *jobs, const struct job_id *id, enum job_end why)
{
    struct run *run = run_find(jobs, id);
    if (run && !run->stop)
        stop(run, why); /* else it is not here any more, or it is found when all is compared */
}

void site_jobs_start(struct site_jobs *jobs, const struct site_order *order)
{
    if (run_find(jobs, &order->id))
        return;
    struct run *run = run_add(jobs, order, RUN_WANTED);
    if (jobs->compared)
        submit(run);
}

/* ---- all of them, again and again ---- */

static void tell_usage(struct run *run, const struct job_usage *usage)
{
    const struct site_hub *hub = &run->jobs->hub;
    if (!hub->used || usage->ms < run->told_ms + USAGE_MS)
        return;
    run->told_ms = usage->ms;
    hub->used(hub->ctx, &run->order.id, usage);
}

static void on_polled(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    jobs->polling = false;
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        struct run *run = run_find(jobs, &status->id);
        if (!run || run->state != RUN_LIVE)
            continue;
        if (status->state == ENGINE_ENDED) {
            run->exit = status->exit;
            run->recorded = true;
            call->statuses[i].exit = (struct job_exit){0}; /* it is the run's now */
            run_end(run, site_end_code(&run->exit));
        } else if (status->state == ENGINE_UNKNOWN && run->stop) {
            run_drop(run);
        } else if (status->state == ENGINE_UNKNOWN) { /* no folder, so nothing ran */
            run->state = RUN_WANTED;
        } else if (status->state == ENGINE_RUNNING) {
            tell_usage(run, &status->exit.usage);
        }
    }
}

static void on_renewed(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    jobs->renewing = false;
    if (call->err.code != 0)
        log_warn("leases_not_renewed", "why=\"%s\"", call->err.msg);
}

/* A call about all that the engine has, but for those that are being stopped if `kept`. */
static bool ask_live(struct site_jobs *jobs, enum engine_op op, bool kept, uint64_t lease_ms,
                     engine_done *done)
{
    uint32_t n = 0, i = 0;
    list_for_each_safe (it, next, &jobs->runs) {
        const struct run *run = list_entry(it, struct run, node);
        n += run->state == RUN_LIVE && !(kept && run->stop);
    }
    struct engine_call *call = n > 0 ? engine_call_new(op, n) : NULL;
    if (!call)
        return false;
    call->lease_ms = lease_ms;
    list_for_each_safe (it, next, &jobs->runs) {
        const struct run *run = list_entry(it, struct run, node);
        if (run->state == RUN_LIVE && !(kept && run->stop))
            call->ids[i++] = run->order.id;
    }
    if (engine_call(jobs->engine, call, done, jobs) == 0)
        return true;
    engine_call_free(call);
    return false;
}

static void renew(struct site_jobs *jobs)
{
    uint64_t now = clock_boot_ms(), lease_ms;
    if (jobs->renewing || now - jobs->renewed_ms < jobs->renew_after_ms)
        return;
    lease_ms = jobs->hub.lease_ms(jobs->hub.ctx);
    if (lease_ms == 0)
        return;
    jobs->renewing = ask_live(jobs, ENGINE_RENEW, true, lease_ms, on_renewed);
    jobs->renewed_ms = now;
    jobs->renew_after_ms = lease_ms / RENEWALS;
}

static void list_all(struct site_jobs *jobs);

static void on_tick(uv_timer_t *timer)
{
    struct site_jobs *jobs = timer->data;
    if (!jobs->listed && !jobs->ending)
        list_all(jobs);
    if (!jobs->compared || jobs->ending)
        return;
    list_for_each_safe (it, next, &jobs->runs) {
        struct run *run = list_entry(it, struct run, node);
        if (run->state == RUN_WANTED)
            submit(run);
        else if (run->state == RUN_LIVE && run->stop && !run->cancelling)
            cancel(run);
        else if (run->state == RUN_ENDED && !run->asked)
            tell(run);
    }
    if (!jobs->polling)
        jobs->polling = ask_live(jobs, ENGINE_POLL, false, 0, on_polled);
    renew(jobs);
}

/* ---- what runs here, beside what should ---- */

/* What has ended is left alone: if the hub still wants it, submitting it again finds its end. */
static void on_listed(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    jobs->listing = false;
    if (jobs->ending)
        return;
    if (call->err.code != 0) {
        log_error("jobs", "cannot read the work folder: %s", call->err.msg);
        return;
    }
    jobs->ended = calloc(call->statuses_count + 1, sizeof *jobs->ended);
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        struct run *run = run_find(jobs, &status->id);
        if (status->state == ENGINE_ENDED && jobs->ended) {
            jobs->ended[jobs->nended++] = (struct ended){status->id, status->exit};
            call->statuses[i].exit = (struct job_exit){0};
        }
        if (run && run->state == RUN_WANTED)
            run->state = RUN_LIVE; /* how it ended, if it has, is what the first poll tells */
        else if (!run && status->state != ENGINE_ENDED)
            run_add(jobs, &(struct site_order){.id = status->id}, RUN_LIVE);
    }
    jobs->listed = true;
    jobs->hub.ready(jobs->hub.ctx);
}

/* Until it has come to its end, each tick begins it anew. */
static void list_all(struct site_jobs *jobs)
{
    struct engine_call *call = jobs->listing ? NULL : engine_call_new(ENGINE_LIST, 0);
    if (!call)
        return;
    jobs->listing = engine_call(jobs->engine, call, on_listed, jobs) == 0;
    if (!jobs->listing)
        engine_call_free(call);
}

static void drop_ended(struct site_jobs *jobs)
{
    for (uint32_t i = 0; i < jobs->nended; i++)
        form_free(&job_exit_table, &jobs->ended[i].exit);
    free(jobs->ended);
    jobs->ended = NULL;
    jobs->nended = 0;
}

void site_jobs_wanted(struct site_jobs *jobs, const struct site_order *orders, uint32_t n)
{
    list_for_each_safe (it, next, &jobs->runs)
        list_entry(it, struct run, node)->wanted = false;
    for (uint32_t i = 0; i < n; i++) {
        struct run *run = run_find(jobs, &orders[i].id);
        if (!run)
            run = run_add(jobs, &orders[i], RUN_WANTED);
        run->order = orders[i];
        run->wanted = true;
    }
    list_for_each_safe (it, next, &jobs->runs) {
        struct run *run = list_entry(it, struct run, node);
        if (!run->wanted && !run->stop)
            stop(run, JOB_END_CANCELLED);
    }
    for (uint32_t i = 0; i < jobs->nended; i++) {
        if (!run_find(jobs, &jobs->ended[i].id))
            gone(jobs, &jobs->ended[i].id, &jobs->ended[i].exit, true);
    }
    drop_ended(jobs);
    jobs->compared = true;
    jobs->renew_after_ms = 0;
    on_tick(&jobs->timer);
}

void site_jobs_each(struct site_jobs *jobs, void (*fn)(void *ctx, const struct job_id *id), void *ctx)
{
    list_for_each_safe (it, next, &jobs->runs) {
        const struct run *run = list_entry(it, struct run, node);
        if (run->state == RUN_LIVE || run->state == RUN_ENDED)
            fn(ctx, &run->order.id);
    }
}

struct engine *site_jobs_engine(struct site_jobs *jobs)
{
    return jobs->engine;
}

/* ---- the whole ---- */

int site_jobs_new(struct site_jobs **out, struct loop *loop, const struct engine_config *engine,
                  const struct site_hub *hub, struct err *err)
{
    struct site_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    jobs->hub = *hub;
    jobs->work = engine->work;
    list_init(&jobs->runs);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&jobs->bucket[i]);
    int rc = engine_new(&jobs->engine, loop, engine, err);
    if (rc != 0) {
        free(jobs);
        return rc;
    }
    uv_timer_init(&loop->uv, &jobs->timer);
    jobs->timer.data = jobs;
    uv_timer_start(&jobs->timer, on_tick, TICK_MS, TICK_MS);
    list_all(jobs);
    *out = jobs;
    return 0;
}

static void on_engine_gone(void *ctx)
{
    struct site_jobs *jobs = ctx;
    uv_close((uv_handle_t *)&jobs->timer, NULL);
    jobs->done(jobs->done_ctx);
}

void site_jobs_shutdown(struct site_jobs *jobs, void (*done)(void *ctx), void *ctx)
{
    jobs->ending = true;
    jobs->done = done;
    jobs->done_ctx = ctx;
    engine_shutdown(jobs->engine, on_engine_gone, jobs);
}

void site_jobs_free(struct site_jobs *jobs)
{
    list_for_each_safe (it, next, &jobs->runs)
        run_drop(list_entry(it, struct run, node));
    drop_ended(jobs);
    free(jobs);
}
