/* SPDX-License-Identifier: Apache-2.0 */
#include "site/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "core/kinds.h"
#include "core/view.h"
#include "site/job_file.h"

#define TICK_MS 100
#define RENEWALS 10    /* of a lease in its time */
#define TRIES_MAX 100  /* of a start that fails in a way that may pass */
#define GRACE_MS 10000 /* from SIGTERM to SIGKILL where the job does not say */

enum run_state {
    RUN_WANTED,     /* to be given to the engine */
    RUN_SUBMITTING, /* the engine is asked */
    RUN_LIVE,       /* the engine has it */
    RUN_ENDED,      /* the hub is to be told */
};

/* An epoch of a job. */
struct run {
    struct list node;
    struct site_jobs *jobs;
    struct job_id id;
    enum run_state state;
    uint32_t chips;
    uint32_t code; /* ENDED */
    uint32_t tries;
    bool stop; /* the core has taken it back: nothing is reported */
    enum job_end why;
    bool cancelling; /* the engine was told */
    bool asked;      /* the hub is being told */
};

struct site_jobs {
    struct runtime *runtime;
    struct mailbox *box;
    struct asks *asks;
    struct site_jobs_config config;
    struct engine *engine;
    uv_timer_t timer;
    struct list runs;
    bool ready, comparing; /* engine and core were compared; are being */
    bool polling, renewing, ending;
    uint64_t renewed_ms;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* ---- what is here ---- */

static struct run *run_find(struct site_jobs *jobs, const struct job_id *id)
{
    list_for_each_safe (it, next, &jobs->runs) {
        struct run *run = list_entry(it, struct run, node);
        if (run->id.epoch == id->epoch && uuid_eq(&run->id.job, &id->job))
            return run;
    }
    return NULL;
}

static struct run *run_add(struct site_jobs *jobs, const struct job_id *id, uint32_t chips,
                           enum run_state state)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        abort(); /* a job that the core believes in would never start */
    *run = (struct run){.jobs = jobs, .id = *id, .chips = chips, .state = state};
    list_push(&jobs->runs, &run->node);
    return run;
}

static void run_drop(struct run *run)
{
    list_remove(&run->node);
    free(run);
}

static void run_log(const char *event, const struct run *run, const char *words)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &run->id.job);
    log_info(event, "job=%s epoch=%u %s", id, run->id.epoch, words);
}

/* ---- ends ---- */

static uint32_t code_of(const struct job_exit *exit)
{
    static const struct {
        enum job_end end;
        enum job_ending ending;
    } endings[] = {{JOB_END_OOM, ENDING_OOM},
                   {JOB_END_TIMED_OUT, ENDING_TIMED_OUT},
                   {JOB_END_LEASE_OVER, ENDING_LEASE_OVER},
                   {JOB_END_NOT_STARTED, ENDING_NOT_STARTED},
                   {JOB_END_LOST, ENDING_LOST}};
    const uint32_t most = (1u << JOB_CODE_BITS) - 1;
    if (exit->end == JOB_END_EXITED)
        return exit->code < most ? exit->code : most;
    if (exit->end == JOB_END_SIGNALLED)
        return (uint32_t)ENDING_SIGNALLED << JOB_CODE_BITS | (exit->signal < most ? exit->signal : most);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (endings[i].end == exit->end)
            return (uint32_t)endings[i].ending << JOB_CODE_BITS;
    }
    return (uint32_t)ENDING_STOPPED << JOB_CODE_BITS;
}

static void on_recorded(void *ctx, const struct effect *reply)
{
    struct run *run = ctx;
    run->asked = false;
    /* Any other refusal: the core stopped this epoch meanwhile, or was told of its end before. */
    if (reply->code != ERR_UNAVAILABLE)
        run_drop(run);
}

static void report(struct run *run)
{
    struct site_jobs *jobs = run->jobs;
    struct event event = {.kind = EVENT_KIND_job_end,
                          .token = mailbox_token(jobs->box),
                          .u.job_end = {.job = run->id.job, .epoch = run->id.epoch, .code = run->code}};
    asks_add(jobs->asks, event.token, on_recorded, run);
    run->asked = runtime_post(jobs->runtime, &event) == 0;
    if (!run->asked)
        asks_forget(jobs->asks, event.token);
}

static void run_end(struct run *run, uint32_t code)
{
    if (run->stop) {
        run_drop(run);
        return;
    }
    run->state = RUN_ENDED;
    run->code = code;
    run_log("job_ended", run, job_ending_text(code));
    report(run);
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
    run_log("job_not_started", run, call->err.msg);
    run_end(run, (uint32_t)ENDING_NOT_STARTED << JOB_CODE_BITS);
}

static int load_spec(struct run *run, struct job_spec *spec, struct err *err)
{
    const struct site_jobs_config *config = &run->jobs->config;
    int rc = job_file_load(spec, config->specs, &run->id.job, err);
    if (rc != 0)
        return rc;
    spec->epoch = run->id.epoch;
    spec->grace_ms = spec->grace_ms ? spec->grace_ms : GRACE_MS;
    spec->chips = calloc(1, sizeof *spec->chips);
    if (!spec->chips || !(spec->chips[0].kind = strdup(config->chip)))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    spec->chips[0].count = run->chips;
    spec->chips_count = 1;
    return 0;
}

static void submit(struct run *run)
{
    struct site_jobs *jobs = run->jobs;
    struct engine_call *call = engine_call_new(ENGINE_SUBMIT, 1);
    struct err err = {0};
    if (!call)
        return;
    int rc = load_spec(run, &call->specs[0], &err);
    if (rc != 0) {
        engine_call_free(call);
        if (err_retryable(rc) && ++run->tries < TRIES_MAX)
            return;
        run_log("job_not_started", run, err.msg);
        run_end(run, (uint32_t)ENDING_NOT_STARTED << JOB_CODE_BITS);
        return;
    }
    call->lease_ms = jobs->config.lease_ms;
    run->state = RUN_SUBMITTING;
    if (engine_call(jobs->engine, call, on_submitted, run) != 0) {
        run->state = RUN_WANTED;
        engine_call_free(call);
    }
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
    call->ids[0] = run->id;
    call->stop = (struct job_stop){.end = run->why, .grace_ms = GRACE_MS};
    run->cancelling = engine_call(run->jobs->engine, call, on_cancelled, run->jobs) == 0;
    if (!run->cancelling)
        engine_call_free(call);
}

static enum job_end why_of(int code)
{
    switch (code) {
    case ERR_PREEMPTED:
        return JOB_END_PREEMPTED;
    case ERR_CURTAILED:
        return JOB_END_CURTAILED;
    case ERR_FORBIDDEN:
        return JOB_END_EVICTED;
    default:
        return JOB_END_CANCELLED;
    }
}

static void stop(struct site_jobs *jobs, const struct effect *effect)
{
    const struct job_id id = {effect->job, effect->epoch};
    struct run *run = run_find(jobs, &id);
    if (!run)
        return; /* not here any more; or found, and stopped, when engine and core are compared */
    run->stop = true;
    run->why = why_of(effect->code);
    run_log("job_stopped", run, job_end_text(run->why));
    if (run->state == RUN_WANTED || (run->state == RUN_ENDED && !run->asked))
        run_drop(run);
    else if (run->state == RUN_LIVE)
        cancel(run);
}

void site_jobs_effect(struct site_jobs *jobs, const struct effect *effect)
{
    const struct job_id id = {effect->job, effect->epoch};
    if (!uuid_eq(&effect->pool, &jobs->config.pool))
        return;
    if (effect->kind == EFFECT_JOB_STOP)
        stop(jobs, effect);
    if (effect->kind != EFFECT_JOB_START || run_find(jobs, &id))
        return;
    struct run *run = run_add(jobs, &id, effect->chips, RUN_WANTED);
    if (jobs->ready)
        submit(run);
}

/* ---- all of them, again and again ---- */

static void on_polled(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    jobs->polling = false;
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        struct run *run = run_find(jobs, &status->id);
        if (!run || run->state != RUN_LIVE)
            continue;
        if (status->state == ENGINE_ENDED)
            run_end(run, code_of(&status->exit));
        else if (status->state == ENGINE_UNKNOWN && run->stop)
            run_drop(run);
        else if (status->state == ENGINE_UNKNOWN) /* no folder, so nothing ran */
            run->state = RUN_WANTED;
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
static bool ask_live(struct site_jobs *jobs, enum engine_op op, bool kept, engine_done *done)
{
    uint32_t n = 0, i = 0;
    list_for_each_safe (it, next, &jobs->runs) {
        const struct run *run = list_entry(it, struct run, node);
        n += run->state == RUN_LIVE && !(kept && run->stop);
    }
    struct engine_call *call = n > 0 ? engine_call_new(op, n) : NULL;
    if (!call)
        return false;
    call->lease_ms = jobs->config.lease_ms;
    list_for_each_safe (it, next, &jobs->runs) {
        const struct run *run = list_entry(it, struct run, node);
        if (run->state == RUN_LIVE && !(kept && run->stop))
            call->ids[i++] = run->id;
    }
    if (engine_call(jobs->engine, call, done, jobs) == 0)
        return true;
    engine_call_free(call);
    return false;
}

static void compare(struct site_jobs *jobs);

static void on_tick(uv_timer_t *timer)
{
    struct site_jobs *jobs = timer->data;
    if (!jobs->ready && !jobs->ending)
        compare(jobs);
    if (!jobs->ready || jobs->ending)
        return;
    list_for_each_safe (it, next, &jobs->runs) {
        struct run *run = list_entry(it, struct run, node);
        if (run->state == RUN_WANTED)
            submit(run);
        else if (run->state == RUN_LIVE && run->stop && !run->cancelling)
            cancel(run);
        else if (run->state == RUN_ENDED && !run->asked && runtime_ready(jobs->runtime))
            report(run);
    }
    if (!jobs->polling)
        jobs->polling = ask_live(jobs, ENGINE_POLL, false, on_polled);
    uint64_t now = clock_boot_ms();
    if (!jobs->renewing && now - jobs->renewed_ms >= jobs->config.lease_ms / RENEWALS) {
        jobs->renewing = ask_live(jobs, ENGINE_RENEW, true, on_renewed);
        jobs->renewed_ms = now;
    }
}

/* ---- the start: what runs here, beside what should ---- */

struct wanted {
    struct site_jobs *jobs;
    struct {
        struct job_id id;
        uint32_t chips;
    } * list;
    uint32_t n;
};

static void look(void *ctx, const struct core *core)
{
    struct wanted *w = ctx;
    const struct row_job *row;
    for (uint32_t pos = 0; (row = view_job_at(core, &pos)) != NULL;) {
        if (row->state != JOB_RUNNING || !uuid_eq(&row->pool, &w->jobs->config.pool))
            continue;
        const uint32_t counts[] = {row->count0, row->count1, row->count2, row->count3};
        void *more = realloc(w->list, (w->n + 1) * sizeof *w->list);
        if (!more)
            abort(); /* a job that the core believes in would never start */
        w->list = more;
        w->list[w->n].id = (struct job_id){row->id, row->epoch};
        w->list[w->n++].chips = counts[row->alternative];
    }
}

static void on_listed(void *ctx, struct engine_call *call)
{
    struct site_jobs *jobs = ctx;
    jobs->comparing = false;
    if (jobs->ending)
        return;
    if (call->err.code != 0) {
        log_error("jobs", "cannot read the work folder: %s", call->err.msg);
        return;
    }
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        struct run *run = run_find(jobs, &status->id);
        if (run) {
            run->state = RUN_LIVE; /* how it ended, if it has, is what the first poll tells */
        } else if (status->state != ENGINE_ENDED) {
            run = run_add(jobs, &status->id, 0, RUN_LIVE);
            run->stop = true;
            run->why = JOB_END_CANCELLED;
            run_log("job_stopped", run, "not of this hub any more");
        }
    }
    jobs->ready = true;
    jobs->renewed_ms = 0;
    on_tick(&jobs->timer);
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct wanted *w = ctx;
    struct site_jobs *jobs = w->jobs;
    struct engine_call *call = NULL;
    for (uint32_t i = 0; i < w->n && reply->code == 0; i++) {
        if (!run_find(jobs, &w->list[i].id))
            run_add(jobs, &w->list[i].id, w->list[i].chips, RUN_WANTED);
    }
    free(w->list);
    free(w);
    if (reply->code == 0 && !jobs->ending)
        call = engine_call_new(ENGINE_LIST, 0);
    if (call && engine_call(jobs->engine, call, on_listed, jobs) == 0)
        return;
    if (call)
        engine_call_free(call);
    jobs->comparing = false;
}

/* Until it has come to its end, each tick begins it anew. */
static void compare(struct site_jobs *jobs)
{
    struct wanted *w = jobs->comparing ? NULL : calloc(1, sizeof *w);
    if (!w)
        return;
    w->jobs = jobs;
    uint64_t token = mailbox_token(jobs->box);
    asks_add(jobs->asks, token, on_looked, w);
    jobs->comparing = runtime_query(jobs->runtime, look, w, token) == 0;
    if (jobs->comparing)
        return;
    asks_forget(jobs->asks, token);
    free(w);
}

/* ---- the whole ---- */

int site_jobs_new(struct site_jobs **out, struct runtime *runtime, struct loop *loop, struct mailbox *box,
                  struct asks *asks, const struct site_jobs_config *config, struct err *err)
{
    struct site_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *jobs = (struct site_jobs){.runtime = runtime, .box = box, .asks = asks, .config = *config};
    list_init(&jobs->runs);
    int rc = engine_new(&jobs->engine, loop, config->engine, err);
    if (rc != 0) {
        free(jobs);
        return rc;
    }
    uv_timer_init(&loop->uv, &jobs->timer);
    jobs->timer.data = jobs;
    uv_timer_start(&jobs->timer, on_tick, TICK_MS, TICK_MS);
    compare(jobs);
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
        free(list_entry(it, struct run, node));
    free(jobs);
}
