/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/starts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "core/kinds.h"
#include "sim/eta.h"

#define PAST_MAX 4096u     /* submissions that come again */
#define ARRIVALS_MAX 8192u /* in one run */
#define RUNS_MIN 10u       /* fewer tell no tenth */
#define TAKEN_LIMIT_S 5
#define HORIZON_MS (INT64_C(30) * 86400000)

enum entry_state { ENTRY_FREE, ENTRY_WANTED, ENTRY_READY, ENTRY_NONE };

/* A job that was asked about. */
struct entry {
    struct uuid job;
    enum entry_state state;
    bool thought; /* of one that is not there: nothing is learned from it */
    struct event_job_submit also;
    struct starts_answer answer;
    uint64_t told_ms; /* since boot */
    bool learns;      /* the first answer is this one: */
    int64_t first_ms;
    struct eta_outcome outcome; /* wait_ms < 0: it has not started */
};

struct past_job {
    int64_t at_ms, ran_ms;
    struct event_job_submit request;
};

struct starts {
    struct runtime *rt;
    struct limits limits;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct entry entry[STARTS_MAX];
    bool stopping;
    bool wants_rows; /* of the core's thread */
    struct forecast *taken;
    int64_t taken_ms;
    /* Of the thread. */
    struct past_job *past;
    uint32_t npast;
    uint64_t until_ns;
};

static bool waits(struct starts *s, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    return pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0;
}

/* ---- what came before ---- */

#define TAKE(type, name, size) TAKE_##type(name)
#define TAKE_u32(name) p->request.name = row->name;
#define TAKE_u64(name) p->request.name = row->name;
#define TAKE_i64(name) p->request.name = row->name;
#define TAKE_uuid(name) p->request.name = row->name;
#define TAKE_text(name) memcpy(p->request.name, row->name, sizeof row->name);
#define FIELD(S, type, name, size) TAKE(type, name, size)

/* At rate 1, of one that ended in a way of its own; 0: nobody knows. */
static int64_t ran_of(const struct row_job *row)
{
    const uint32_t rates[] = {row->rate0, row->rate1, row->rate2, row->rate3};
    int64_t ms = row->ended_ms - row->started_ms - row->transit_ms;
    if (row->state != JOB_ENDED || row->epoch == 0 || row->alternative > 3 || ms <= 0)
        return 0;
    return row->done_ms + ms * rates[row->alternative] / 1000;
}

/* The newest come first. Moments are of then, and are left out. */
static void take_past(void *ctx, const struct row_job *row)
{
    struct starts *s = ctx;
    if ((row->flags & JOB_REPLICA) || s->npast == PAST_MAX ||
        row->submitted_ms < s->taken_ms - FORECAST_PAST_MS)
        return;
    struct past_job *p = &s->past[s->npast++];
    *p = (struct past_job){.at_ms = row->submitted_ms, .ran_ms = ran_of(row)};
    p->request.tenant = row->tenant;
    JOB_REQUEST(FIELD, _)
    JOB_DECLARED(FIELD, _)
    JOB_TIMING(FIELD, _)
    memcpy(p->request.home, row->home, sizeof row->home);
    p->request.deadline_ms = p->request.start_by_ms = 0;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct past_job *)a)->at_ms, y = ((const struct past_job *)b)->at_ms;
    return (x > y) - (x < y);
}

static void read_past(struct starts *s)
{
    struct store *store = runtime_store(s->rt);
    struct err err = {0};
    s->npast = 0;
    if (store->ops->jobs(store, &(struct job_query){.limit = PAST_MAX}, take_past, s, &err) != 0)
        log_warn("starts", "the jobs of the last days cannot be read: %s", err.msg);
    qsort(s->past, s->npast, sizeof *s->past, by_time);
}

static int64_t past_ms(void *ctx, uint32_t i)
{
    return ((const struct starts *)ctx)->past[i].at_ms;
}

static void past_request(void *ctx, uint32_t i, struct event_job_submit *out, int64_t *ran_ms)
{
    const struct past_job *p = &((const struct starts *)ctx)->past[i];
    *out = p->request;
    *ran_ms = p->ran_ms;
}

/* ---- what became of answers ---- */

static void first_epoch(void *ctx, const struct row_job_usage *row)
{
    if (row->epoch == 1)
        *(int64_t *)ctx = row->started_ms;
}

/* When it first started; 0: it has not; < 0: it never will, or nobody knows. */
static int64_t first_start(struct starts *s, const struct uuid *job)
{
    struct store *store = runtime_store(s->rt);
    struct err err = {0};
    struct row_job row;
    int64_t at_ms = -1;
    if (store->ops->get(store, ROW_KIND_job, job, &row, &err) != 0)
        return -1;
    if (row.epoch == 0)
        return row.state == JOB_QUEUED ? 0 : -1;
    if (store->ops->job_usage(store, job, first_epoch, &at_ms, &err) != 0)
        return -1;
    return at_ms;
}

/* As sim/eta.c counts them: also those that have waited beyond their interval. */
static uint32_t known(struct starts *s, struct eta_outcome list[STARTS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < STARTS_MAX; i++) {
        pthread_mutex_lock(&s->lock);
        struct entry e = s->entry[i];
        pthread_mutex_unlock(&s->lock);
        if (!e.learns)
            continue;
        int64_t start_ms = e.outcome.wait_ms >= 0 ? e.first_ms + e.outcome.wait_ms : first_start(s, &e.job);
        struct eta_outcome outcome = e.outcome;
        if (start_ms != 0)
            outcome.wait_ms = start_ms > e.first_ms ? start_ms - e.first_ms : 0;
        pthread_mutex_lock(&s->lock);
        if (uuid_eq(&s->entry[i].job, &e.job)) {
            s->entry[i].learns = start_ms >= 0;
            s->entry[i].outcome.wait_ms = outcome.wait_ms;
        }
        pthread_mutex_unlock(&s->lock);
        int64_t waited_ms = s->taken_ms - e.first_ms;
        if (start_ms == 0 && waited_ms > outcome.raw.high_ms)
            list[n++] = (struct eta_outcome){outcome.raw, waited_ms};
        else if (start_ms > 0)
            list[n++] = outcome;
    }
    return n;
}

/* ---- an answer ---- */

static bool enough(void *ctx)
{
    struct starts *s = ctx;
    return __atomic_load_n(&s->stopping, __ATOMIC_RELAXED) || clock_mono_ns() > s->until_ns;
}

static bool work_out(struct starts *s, struct forecast *f, struct entry *e,
                     const struct eta_outcome *outcomes, uint32_t noutcomes)
{
    /* Where the list has an end that is not that of the time, nobody knows what was before. */
    const struct forecast_past past = {.ctx = s,
                                       .end = s->npast,
                                       .since_ms = s->npast < PAST_MAX ? s->taken_ms - FORECAST_PAST_MS : 0,
                                       .at_ms = past_ms,
                                       .request = past_request};
    const struct forecast_options options = {.runs = ETA_RUNS,
                                             .seed = map_hash(0, &e->job, sizeof e->job),
                                             .horizon_ms = HORIZON_MS,
                                             .arrivals_max = ARRIVALS_MAX,
                                             .enough = enough,
                                             .ctx = s,
                                             .also = e->thought ? &e->also : NULL};
    int64_t wait[ETA_RUNS];
    uint32_t n;
    s->until_ns = clock_mono_ns() + STARTS_BUDGET_MS * UINT64_C(1000000);
    int rc = forecast_waits(f, &e->job, &past, &options, wait, &n);
    if ((rc != 0 && rc != ERR_TIMEOUT) || n < RUNS_MIN)
        return false;
    const struct eta_span raw = {wait[n / 10], wait[n - 1 - n / 10]};
    const struct eta_span span = eta_stretch(outcomes, noutcomes, raw);
    if (!e->thought && !e->learns && e->answer.as_of_ms == 0) {
        e->learns = true;
        e->first_ms = s->taken_ms;
        e->outcome = (struct eta_outcome){raw, -1};
    }
    e->answer = (struct starts_answer){.start_ms = s->taken_ms + wait[n / 2],
                                       .low_ms = s->taken_ms + span.low_ms,
                                       .high_ms = s->taken_ms + span.high_ms,
                                       .as_of_ms = s->taken_ms};
    return true;
}

/* On the core's thread. */
static void take_rows(void *ctx, const struct core *core)
{
    struct starts *s = ctx;
    pthread_mutex_lock(&s->lock);
    if (s->wants_rows && !s->stopping) {
        s->taken_ms = runtime_now_ms(s->rt);
        s->taken = forecast_take(core, &s->limits, s->taken_ms, STARTS_ROWS_MAX);
    }
    s->wants_rows = false;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* NULL: there is no core to be had now, or it is too large. The lock is held. */
static struct forecast *snapshot(struct starts *s)
{
    s->wants_rows = true;
    if (runtime_query(s->rt, take_rows, s, 0) == 0) {
        while (s->wants_rows && !s->stopping && waits(s, TAKEN_LIMIT_S))
            continue;
    }
    s->wants_rows = false;
    struct forecast *f = s->taken;
    s->taken = NULL;
    return f;
}

/* All that is wanted, by one copy. The lock is held, but not while that is worked out. */
static void answer_all(struct starts *s)
{
    struct eta_outcome outcomes[STARTS_MAX];
    struct forecast *f = snapshot(s);
    pthread_mutex_unlock(&s->lock);
    bool stands = f && forecast_stand(f) == 0;
    uint32_t noutcomes = 0;
    if (stands) {
        read_past(s);
        noutcomes = known(s, outcomes);
    }
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < STARTS_MAX; i++) {
        struct entry e = s->entry[i];
        if (e.state != ENTRY_WANTED)
            continue;
        pthread_mutex_unlock(&s->lock);
        e.state = stands && work_out(s, f, &e, outcomes, noutcomes) ? ENTRY_READY : ENTRY_NONE;
        e.told_ms = clock_boot_ms();
        pthread_mutex_lock(&s->lock);
        s->entry[i] = e; /* nobody else touches one that is wanted */
    }
    forecast_free(f);
}

static bool is_wanted(const struct starts *s)
{
    uint32_t i = 0;
    while (i < STARTS_MAX && s->entry[i].state != ENTRY_WANTED)
        i++;
    return i < STARTS_MAX;
}

static void *run(void *ctx)
{
    struct starts *s = ctx;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (!is_wanted(s)) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        answer_all(s);
        uint64_t from_ms = clock_boot_ms();
        while (!s->stopping && clock_boot_ms() - from_ms < STARTS_PAUSE_MS)
            (void)waits(s, STARTS_PAUSE_MS / 1000);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- asking ---- */

/* The job's, or the one that was told longest ago; NULL: all are being worked out. */
static struct entry *entry_of(struct starts *s, const struct uuid *job)
{
    struct entry *oldest = NULL;
    for (uint32_t i = 0; i < STARTS_MAX; i++) {
        struct entry *e = &s->entry[i];
        if (e->state != ENTRY_FREE && uuid_eq(&e->job, job))
            return e;
        if (e->state != ENTRY_WANTED && (!oldest || e->told_ms < oldest->told_ms))
            oldest = e;
    }
    if (oldest)
        *oldest = (struct entry){.job = *job};
    return oldest;
}

int starts_ask(struct starts *s, const struct uuid *job, const struct event_job_submit *also,
               struct starts_answer *out)
{
    int rc = ERR_UNAVAILABLE;
    pthread_mutex_lock(&s->lock);
    struct entry *e = s->stopping ? NULL : entry_of(s, job);
    bool told = e && (e->state == ENTRY_READY || e->state == ENTRY_NONE);
    if (!e || (e->state == ENTRY_NONE && clock_boot_ms() - e->told_ms < STARTS_PAUSE_MS)) {
        rc = ERR_NOT_FOUND;
    } else if (told && e->state == ENTRY_READY && clock_boot_ms() - e->told_ms < STARTS_FRESH_MS) {
        *out = e->answer;
        rc = 0;
    } else if (e->state != ENTRY_WANTED) {
        e->state = ENTRY_WANTED;
        e->thought = also != NULL;
        if (also)
            e->also = *also;
        pthread_cond_broadcast(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- the whole ---- */

int starts_open(struct starts **out, struct runtime *rt, const struct limits *limits, struct err *err)
{
    struct starts *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;
    if (s)
        s->past = calloc(PAST_MAX, sizeof *s->past);
    if (!s || !s->past) {
        free(s);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    s->rt = rt;
    s->limits = *limits;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        s->stopping = true;
        starts_free(s);
        return err_set(err, ERR_NO_MEMORY, "cannot start a thread");
    }
    *out = s;
    return 0;
}

void starts_stop(struct starts *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    bool stopped = s->stopping;
    __atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (!stopped)
        pthread_join(s->thread, NULL);
}

void starts_free(struct starts *s)
{
    if (!s)
        return;
    forecast_free(s->taken);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->past);
    free(s);
}
