/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/acceptance.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accept/terms.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/acceptance_run.h"

#define LOOK_MS 1000          /* between looks */
#define LOOK_SOON_MS 100      /* while a replica starts */
#define AGAIN_MS 5000         /* one whose result was not taken is not checked again at once */
#define FAILED_AGAIN_MS 60000 /* of the hub's own machine: whoever mends it need not ask */
#define TAKEN_LIMIT_S 5
#define DONE_MAX 64u
#define SILENT_MAX 3u /* one that is ready and does not answer so often in a row gives no right answers */

struct asked {
    struct uuid deployment;
    uint32_t ordinal;
    bool quick, seen; /* seen: by this look */
};

/* Why a replica is checked, the most urgent first. */
enum reason { REASON_NONE, REASON_TIMER, REASON_ANEW, REASON_ASKED, REASON_WAITS };

struct done {
    struct uuid deployment;
    uint32_t ordinal, epoch;
    uint64_t at_ms;
    uint32_t silent; /* how often in a row it did not answer */
};

struct acceptance_hub {
    struct acceptance_config config;
    char terms[FS_PATH_MAX], golden[FS_PATH_MAX];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, wanted;
    bool loaded;        /* others' requests were seen at the one that is checked */
    uint32_t under_way; /* looks that were posted, and did not come yet: one at most */
    struct asked asked[ACCEPTANCE_ASKED_MAX];
    uint32_t nasked;
    uint32_t running;           /* 1: one that was asked for is being checked */
    struct done done[DONE_MAX]; /* a ring of the last ones */
    uint32_t ndone;
    /* Of a look, by the core's thread. */
    struct accept_job job;
    enum reason reason;
    bool soon;
};

/* ---- which one is next ---- */

static struct done *done_of(struct acceptance_hub *s, const struct row_replica *r)
{
    for (uint32_t i = 0; i < DONE_MAX && i < s->ndone; i++) {
        struct done *d = &s->done[i];
        if (d->ordinal == r->ordinal && d->epoch == r->epoch && uuid_eq(&d->deployment, &r->deployment))
            return d;
    }
    return NULL;
}

static bool was_just_done(struct acceptance_hub *s, const struct row_replica *r)
{
    const struct done *d = done_of(s, r);
    return d && clock_boot_ms() - d->at_ms < AGAIN_MS;
}

static struct asked *asked_of(struct acceptance_hub *s, const struct row_replica *r)
{
    for (uint32_t i = 0; i < s->nasked; i++) {
        if (s->asked[i].ordinal == r->ordinal && uuid_eq(&s->asked[i].deployment, &r->deployment))
            return &s->asked[i];
    }
    return NULL;
}

static enum reason reason_of(struct acceptance_hub *s, const struct row_replica *r, int64_t now_ms)
{
    const struct acceptance_config *c = &s->config;
    if (r->state != REPLICA_READY || r->endpoint[0] == 0 || r->role == REPLICA_WORKER)
        return REASON_NONE;
    if (r->accept == ACCEPT_WAITING && !was_just_done(s, r))
        return REASON_WAITS; /* quickly; what was asked for comes then */
    if (asked_of(s, r))
        return REASON_ASKED;
    if (was_just_done(s, r) || c->mode == ACCEPT_OFF)
        return REASON_NONE;
    if (r->accepted_ms == 0 || (r->accepted_ms < r->since_ms && r->accept != ACCEPT_UNCHECKED))
        return REASON_ANEW; /* it runs anew under its epoch, or from before checks */
    int64_t every_ms = r->accept == ACCEPT_FAILED ? FAILED_AGAIN_MS : (int64_t)c->every_s * INT64_C(1000);
    bool due = now_ms - r->accepted_ms >= every_ms;
    return due && c->busy(c->busy_ctx, &r->deployment, r->ordinal) == 0 ? REASON_TIMER : REASON_NONE;
}

/* Those whose replica is there no more would stay for ever. */
static void forget_unseen(struct acceptance_hub *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->nasked; i++) {
        if (s->asked[i].seen)
            s->asked[kept++] = s->asked[i];
        if (s->asked[i].seen)
            s->asked[kept - 1].seen = false;
    }
    s->nasked = kept;
}

static void take_job(struct acceptance_hub *s, const struct core *core, const struct row_replica *r)
{
    const struct row_deployment *d = view_deployment(core, &r->deployment);
    const struct row_model *model = d ? view_model(core, &d->model) : NULL;
    const struct row_variant *variant = view_variant(core, &r->variant);
    struct accept_job *job = &s->job;
    if (!model || !variant) {
        s->reason = REASON_NONE;
        return;
    }
    *job = (struct accept_job){.replica = *r, .variant = *variant, .kind = model->kind};
    memcpy(job->model, model->name, sizeof job->model);
    (void)view_accept_speed(core, r, &job->base_one, &job->base_many);
}

/* On the core's thread. */
static void look(void *ctx, const struct core *core)
{
    struct acceptance_hub *s = ctx;
    const struct row_replica *row, *best = NULL;
    pthread_mutex_lock(&s->lock);
    int64_t now_ms = runtime_now_ms(s->config.runtime);
    s->reason = REASON_NONE;
    s->soon = false;
    for (uint32_t pos = 0; !s->stopping && (row = view_replica_at(core, &pos)) != NULL;) {
        const struct row_variant *variant = view_variant(core, &row->variant);
        struct asked *asked = asked_of(s, row);
        if (asked)
            asked->seen = true;
        s->soon = s->soon || (row->accept == ACCEPT_WAITING && row->state < REPLICA_BACKOFF);
        enum reason reason = variant && variant->size_bytes > 0 ? reason_of(s, row, now_ms) : REASON_NONE;
        if (reason > s->reason) {
            s->reason = reason;
            best = row;
        }
    }
    if (best)
        take_job(s, core, best);
    if (!s->stopping)
        forget_unseen(s);
    s->under_way--;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static bool waits(struct acceptance_hub *s, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0;
}

/* Posts a look and waits for it, the lock held; false: it did not come in time. One that is late is waited for before another is posted. */
static bool looked(struct acceptance_hub *s, query_fn *fn)
{
    bool posted = s->under_way == 0 && runtime_query(s->config.runtime, fn, s, 0) == 0;
    s->under_way += posted;
    for (int k = 0; s->under_way > 0 && !s->stopping && k < TAKEN_LIMIT_S; k++)
        (void)waits(s, 1000);
    return posted && s->under_way == 0;
}

/* ---- a check ---- */

static void forget_asked(struct acceptance_hub *s, const struct row_replica *r)
{
    struct asked *a = asked_of(s, r);
    if (a)
        *a = s->asked[--s->nasked];
}

static void tell(struct acceptance_hub *s, const struct accept_job *job, struct event *event)
{
    struct event_accept_result *e = &event->u.accept_result;
    event->kind = EVENT_KIND_accept_result;
    e->check = uuid_new();
    e->deployment = job->replica.deployment;
    e->ordinal = job->replica.ordinal;
    e->epoch = job->replica.epoch;
    log_info(
        "acceptance",
        "model=%s ordinal=%u epoch=%u verdict=%s tokens=%u mean=%u max=%u tokens_s=%llu took_ms=%llu%s%s",
        job->model, e->ordinal, e->epoch, accept_verdict_text(e->verdict), e->tokens, e->mean, e->max,
        (unsigned long long)(e->one / 1000), (unsigned long long)e->took_ms, e->reason[0] ? " reason=" : "",
        e->reason);
    if (runtime_post(s->config.runtime, event) != 0)
        log_warn("acceptance", "what was found of %s cannot be recorded now", job->model);
}

/* On the core's thread. */
static void look_wanted(void *ctx, const struct core *core)
{
    struct acceptance_hub *s = ctx;
    const struct row_replica *row;
    pthread_mutex_lock(&s->lock);
    s->wanted = false;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        s->wanted = s->wanted ||
                    (row->ordinal == s->job.replica.ordinal && row->epoch == s->job.replica.epoch &&
                     row->state == REPLICA_READY && uuid_eq(&row->deployment, &s->job.replica.deployment));
    }
    s->under_way--;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static bool is_busy(struct acceptance_hub *s, const struct row_replica *r)
{
    return s->config.busy(s->config.busy_ctx, &r->deployment, r->ordinal) > 0;
}

static bool is_wanted(void *ctx)
{
    struct acceptance_hub *s = ctx;
    bool busy = is_busy(s, &s->job.replica);
    pthread_mutex_lock(&s->lock);
    s->loaded = s->loaded || busy;
    s->wanted = true;
    bool wanted = !looked(s, look_wanted) || s->wanted;
    pthread_mutex_unlock(&s->lock);
    return wanted;
}

/* Remembers that it was asked, and whether it answered; returns how often in a row it did not. */
static uint32_t note_done(struct acceptance_hub *s, const struct row_replica *r, bool silent)
{
    struct done *d = done_of(s, r);
    if (!d) {
        d = &s->done[s->ndone++ % DONE_MAX];
        *d = (struct done){r->deployment, r->ordinal, r->epoch, 0, 0};
    }
    d->at_ms = clock_boot_ms();
    d->silent = silent ? d->silent + 1 : 0;
    return d->silent;
}

/* What was measured beside others' requests is no measure. */
static void forget_speed(struct event_accept_result *e)
{
    e->one = e->many = e->read = 0;
    e->batch = 0;
}

/* The lock is held, but not while the child runs. */
static void check(struct acceptance_hub *s)
{
    struct accept_job job = s->job;
    struct event event = {0};
    const struct asked *asked = s->reason == REASON_ASKED ? asked_of(s, &job.replica) : NULL;
    bool thorough = s->reason == REASON_TIMER || (asked && !asked->quick);
    const struct engine_spec *spec = engine_spec_named(s->config.engines, job.variant.engine);
    s->running = asked != NULL;
    s->loaded = false;
    if (asked)
        forget_asked(s, &job.replica);
    pthread_mutex_unlock(&s->lock);
    bool alone = !is_busy(s, &job.replica);
    const struct accept_run run = {.self = s->config.self,
                                   .terms = s->terms,
                                   .golden = s->golden,
                                   .data_dir = s->config.data_dir,
                                   .quick = !thorough,
                                   .speed = alone,
                                   .must =
                                       spec && spec->binary[0] != 0 && spec->count == ENGINE_COUNT_TIMINGS,
                                   .stopping = &s->stopping,
                                   .wanted = is_wanted,
                                   .ctx = s};
    bool told = accept_run(&job, &run, &event.u.accept_result);
    alone = alone && !is_busy(s, &job.replica);
    pthread_mutex_lock(&s->lock);
    if (!alone || s->loaded)
        forget_speed(&event.u.accept_result);
    bool silent = told && event.u.accept_result.verdict == ACCEPT_WAITING;
    if (note_done(s, &job.replica, silent) >= SILENT_MAX)
        event.u.accept_result.verdict = ACCEPT_FAILED;
    pthread_mutex_unlock(&s->lock);
    if (told && event.u.accept_result.verdict > ACCEPT_WAITING)
        tell(s, &job, &event);
    else if (told && event.u.accept_result.verdict == ACCEPT_OPEN)
        log_warn("acceptance", "model=%s ordinal=%u epoch=%u not checked, a fault of the hub's machine: %s",
                 job.model, job.replica.ordinal, job.replica.epoch, event.u.accept_result.reason);
    else if (told)
        log_info("acceptance", "model=%s ordinal=%u epoch=%u asked again: %s", job.model, job.replica.ordinal,
                 job.replica.epoch, event.u.accept_result.reason);
    pthread_mutex_lock(&s->lock);
    s->running = 0;
}

static void *run(void *ctx)
{
    struct acceptance_hub *s = ctx;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        s->reason = REASON_NONE;
        if (looked(s, look) && !s->stopping && s->reason != REASON_NONE)
            check(s);
        else if (!s->stopping)
            (void)waits(s, s->soon ? LOOK_SOON_MS : LOOK_MS);
    }
    for (int k = 0; s->under_way > 0 && k < TAKEN_LIMIT_S; k++)
        (void)waits(s, 1000);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int acceptance_ask(struct acceptance_hub *s, const struct uuid *deployment, uint32_t ordinal, bool quick)
{
    const struct row_replica r = {.deployment = *deployment, .ordinal = ordinal};
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    struct asked *a = asked_of(s, &r);
    if (!a && s->nasked < ACCEPTANCE_ASKED_MAX)
        a = &s->asked[s->nasked++];
    if (a)
        *a = (struct asked){*deployment, ordinal, quick, false};
    else
        rc = ERR_LIMIT;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

uint32_t acceptance_pending(struct acceptance_hub *s)
{
    pthread_mutex_lock(&s->lock);
    uint32_t n = s->nasked + s->running;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- the whole ---- */

static void forget(struct acceptance_hub *s)
{
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int acceptance_open(struct acceptance_hub **out, const struct acceptance_config *config, struct err *err)
{
    struct acceptance_hub *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    int rc =
        fs_join(s->terms, config->share, "acceptance.yaml") && fs_join(s->golden, config->data_dir, "golden")
            ? fs_mkdirs(s->golden, 0700, err)
            : err_set(err, ERR_INVALID, "path is too long");
    struct accept_terms *terms = calloc(1, sizeof *terms);
    if (rc == 0) /* else each check would fail on them */
        rc = terms ? accept_terms_load(terms, s->terms, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    free(terms);
    if (rc != 0) {
        free(s);
        return rc;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        forget(s);
        return err_set(err, ERR_NO_MEMORY, "cannot start a thread");
    }
    *out = s;
    return 0;
}

void acceptance_stop(struct acceptance_hub *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    if (s->under_way == 0) /* else the core's thread may still come; a process that ends can keep it */
        forget(s);
}
