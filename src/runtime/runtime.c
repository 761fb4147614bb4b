/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "core/layout.h"
#include "core/view.h"
#include "runtime/batch.h"
#include "runtime/delivery.h"
#include "runtime/event_clock.h"
#include "runtime/journal.h"
#include "runtime/logbook.h"
#include "runtime/snapshot.h"
#include "runtime/state_block.h"

#define QUEUE_MAX ((size_t)64 << 20)
/* While the core thread is about to look again by itself, so many posts wake it earlier. */
#define POSTS_WAKE 64
#define RELOAD_WAIT_NS 200000000L

/* What runtime_post and runtime_query queue: this head, then `size` bytes, padded to 8. */
struct item {
    uint32_t size; /* of an event; 0 is a query */
    uint32_t more; /* events after this one that must be in the same batch */
};
struct query {
    query_fn *fn;
    void *ctx;
    uint64_t token;
};

struct runtime {
    struct store *store;
    struct limits limits;
    struct runtime_routes routes;
    struct runtime_log log;

    pthread_mutex_t lock; /* guards the next five */
    pthread_cond_t core_cond;
    pthread_cond_t store_cond;
    struct buf in;
    struct batch *committing; /* with the store thread */
    bool commit_failed;
    bool stopping;
    bool store_stopping;
    bool
        core_soon; /* the core thread looks again soon by itself: when the store is done, or a flush is due */
    uint32_t posted; /* items in `in` */

    struct core *core; /* the core thread's */
    struct state_block block;
    struct snapshots snapshots;
    struct buf work; /* items being stepped */
    struct batch batches[2];
    struct batch *open;
    struct logbook logbook; /* the store thread's, and while it has no batch who loads */
    bool lost;              /* the state could not be loaded before the end: nothing is stepped any more */
    uint64_t next_event;
    uint64_t last_submit_ns;
    struct event_clock clock;

    struct delivery delivery;

    atomic_bool ready;
    atomic_ullong events, nbatches, failures, commit_ns, commit_bucket[16], queue_bytes;
    atomic_int core_tid, store_tid;
    pthread_t core_thread, store_thread;
};

/* ---- refusals ---- */

/* Everybody who waits for this batch learns that it did not happen. */
static void refuse(struct runtime *rt, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->effects.n; i++) {
        struct effect *effect = &batch->effects.list[i];
        if (effect->kind != EFFECT_REPLY)
            continue;
        struct effect refusal = {.kind = EFFECT_REPLY, .token = effect->token, .code = ERR_UNAVAILABLE};
        delivery_send(&rt->delivery, &refusal, 1);
    }
    if (batch->snapshot)
        rt->routes.discard(rt->routes.ctx, batch->snapshot);
    batch_reset(batch, rt->next_event);
}

/* ---- the store thread ---- */

static int commit_logged(struct runtime *rt, const struct batch *batch, struct err *err)
{
    int rc = logbook_commit(&rt->logbook, rt->store, batch, err);
    if (rc == 0 && rt->logbook.count > 0 && rt->log.grown)
        rt->log.grown(rt->log.ctx, &rt->logbook.edge);
    return rc;
}

static int commit(struct runtime *rt, struct batch *batch)
{
    struct err err = {0};
    if (batch->count == 0)
        return 0;
    uint64_t start = clock_mono_ns();
    int rc = commit_logged(rt, batch, &err);
    uint64_t took = clock_mono_ns() - start;
    unsigned bucket = 0;
    while (bucket < 15 && took > (UINT64_C(100000) << bucket))
        bucket++;
    rt->commit_bucket[bucket]++;
    rt->commit_ns += took;
    rt->nbatches++;
    rt->events += batch->count;
    if (rc != 0) {
        rt->failures++;
        log_error("commit_failed", "first=%llu events=%u error=\"%s\"", (unsigned long long)batch->first,
                  batch->count, err.msg);
    }
    return rc;
}

static void *store_main(void *arg)
{
    struct runtime *rt = arg;
    rt->store_tid = gettid();
    pthread_mutex_lock(&rt->lock);
    for (;;) {
        while (!rt->committing && !rt->store_stopping)
            pthread_cond_wait(&rt->store_cond, &rt->lock);
        if (!rt->committing)
            break;
        struct batch *batch = rt->committing;
        pthread_mutex_unlock(&rt->lock);
        int rc = commit(rt, batch);
        if (rc == 0) {
            if (batch->snapshot)
                rt->routes.publish(rt->routes.ctx, batch->snapshot);
            batch->snapshot = NULL;
            delivery_send(&rt->delivery, batch->effects.list, batch->effects.n);
            if (batch->count > 0 && !rt->ready) {
                rt->ready = true;
                log_info("ready", "event=%llu", (unsigned long long)batch->first);
            }
        }
        pthread_mutex_lock(&rt->lock);
        rt->commit_failed = rc != 0;
        if (rc != 0)
            rt->ready = false;
        else
            rt->committing = NULL;
        pthread_cond_signal(&rt->core_cond);
        while (rt->commit_failed)
            pthread_cond_wait(&rt->store_cond, &rt->lock); /* the core thread cleans up */
    }
    pthread_mutex_unlock(&rt->lock);
    return NULL;
}

/* ---- the core thread ---- */

static int load(struct runtime *rt, struct err *err)
{
    int rc = state_block_load(&rt->block, &rt->core, &rt->limits, rt->store, err);
    if (rc == 0)
        rc = logbook_load(&rt->logbook, rt->store, err);
    rt->next_event = rt->block.memory ? view_core(rt->core)->events : 0;
    return rc;
}

static void step(struct runtime *rt, struct event *event)
{
    event->at_ms = event_clock_now(&rt->clock);
    int rc = batch_step(rt->open, rt->core, event);
    rt->next_event++;
    if (rc == ERR_CORRUPT || rc == ERR_LIMIT || rc == ERR_TOO_OLD || rc == ERR_TOO_NEW)
        log_warn("event_refused", "kind=%s code=%s", layout_event(event->kind)->name, err_name(rc));
}

static void submit(struct runtime *rt)
{
    struct batch *batch = rt->open;
    if (!batch_collect(batch, rt->core))
        abort(); /* bounded by BATCH_EVENTS_MAX; cannot outgrow its buffers */
    if (batch->effects.routes_changed && rt->routes.make)
        batch->snapshot = rt->routes.make(rt->routes.ctx, rt->core);
    rt->open = batch == &rt->batches[0] ? &rt->batches[1] : &rt->batches[0];
    batch_reset(rt->open, rt->next_event);
    rt->last_submit_ns = clock_mono_ns();
    pthread_mutex_lock(&rt->lock);
    assert(!rt->committing);
    rt->committing = batch;
    pthread_cond_signal(&rt->store_cond);
    pthread_mutex_unlock(&rt->lock);
}

/* The batch that failed, the one that was open, and everybody who waits inside the lost core get a refusal. */
static void refuse_all(struct runtime *rt)
{
    refuse(rt, rt->committing);
    refuse(rt, rt->open);
    uint64_t token;
    for (uint32_t pos = 0; (token = view_waiting_at(rt->core, &pos)) != 0;) {
        struct effect refusal = {.kind = EFFECT_REPLY, .token = token, .code = ERR_UNAVAILABLE};
        delivery_send(&rt->delivery, &refusal, 1);
    }
}

static void recover(struct runtime *rt)
{
    struct err err = {0};
    refuse_all(rt);
    bool stopping = false;
    while ((rt->lost = load(rt, &err) != 0) && !stopping) {
        log_error("reload_failed", "error=\"%s\"", err.msg);
        nanosleep(&(struct timespec){.tv_nsec = RELOAD_WAIT_NS}, NULL);
        pthread_mutex_lock(&rt->lock);
        stopping = rt->stopping;
        pthread_mutex_unlock(&rt->lock);
    }
    log_warn("state_reloaded", "event=%llu", (unsigned long long)rt->next_event);
    batch_reset(rt->open, rt->next_event);
    pthread_mutex_lock(&rt->lock);
    rt->committing = NULL;
    rt->commit_failed = false;
    stopping = rt->stopping;
    pthread_cond_signal(&rt->store_cond);
    pthread_mutex_unlock(&rt->lock);
    if (stopping)
        return;
    /* Ready again once a commit succeeds, so there must be one to try; failing ones are spaced by their reloads. */
    nanosleep(&(struct timespec){.tv_nsec = RELOAD_WAIT_NS / 4}, NULL);
    step(rt,
         &(struct event){.kind = EVENT_KIND_tick, .u.tick.reloaded = 1}); /* for who replays the journal */
    rt->open->effects.routes_changed = true;
}

/* Blocks until the store thread has no batch; false when a commit failed and everything was loaded anew. */
static bool wait_store_idle(struct runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    while (rt->committing && !rt->commit_failed)
        pthread_cond_wait(&rt->core_cond, &rt->lock);
    bool failed = rt->commit_failed;
    pthread_mutex_unlock(&rt->lock);
    if (failed)
        recover(rt);
    return !failed;
}

static void step_items(struct runtime *rt)
{
    for (size_t at = 0; at < rt->work.len;) {
        struct item head;
        memcpy(&head, rt->work.data + at, sizeof head);
        char *payload = rt->work.data + at + sizeof head;
        if (rt->lost) {
            struct effect refusal = {.kind = EFFECT_REPLY, .code = ERR_UNAVAILABLE};
            size_t token_at = head.size ? offsetof(struct event, token) : offsetof(struct query, token);
            memcpy(&refusal.token, payload + token_at, sizeof refusal.token);
            delivery_send(&rt->delivery, &refusal, 1);
            at += sizeof head + (head.size ? (head.size + 7) & ~7u : sizeof(struct query));
            continue;
        }
        if (rt->open->count + head.more >= BATCH_EVENTS_MAX || rt->open->effects.n > EFFECTS_MAX / 2) {
            if (wait_store_idle(rt))
                submit(rt);
            continue;
        }
        if (head.size) {
            step(rt, (struct event *)(void *)payload);
            at += sizeof head + ((head.size + 7) & ~7u);
        } else {
            struct query q;
            memcpy(&q, payload, sizeof q);
            q.fn(q.ctx, rt->core);
            struct effect reply = {.kind = EFFECT_REPLY, .token = q.token};
            rt->open->effects.list[rt->open->effects.n++] = reply;
            at += sizeof head + sizeof q;
        }
    }
    buf_clear(&rt->work);
}

/* When the core thread must act although nobody posts, monotonic ns. */
static uint64_t due_ns(struct runtime *rt, bool store_idle)
{
    uint64_t due = UINT64_MAX;
    int64_t deadline = core_deadline_ms(rt->core);
    if (!rt->snapshots.busy && rt->snapshots.next_day < deadline)
        deadline = rt->snapshots.next_day;
    if (deadline != INT64_MAX) {
        int64_t left = deadline - event_clock_now(&rt->clock);
        due = clock_mono_ns() + (left > 0 ? (uint64_t)left * 1000000u : 0);
    }
    if (store_idle && !batch_empty(rt->open)) {
        uint64_t flush = rt->last_submit_ns + COMMIT_INTERVAL_NS;
        if (rt->open->count == 0 || rt->open->count >= COMMIT_EVENTS)
            flush = 0;
        due = flush < due ? flush : due;
    }
    return due;
}

/* Waits for something to do. Returns false when the runtime stops and nothing is left. */
static bool core_wait(struct runtime *rt)
{
    bool more = true;
    pthread_mutex_lock(&rt->lock);
    for (;;) {
        if (rt->in.len > 0 || rt->commit_failed)
            break;
        if (rt->stopping && batch_empty(rt->open) && !rt->committing) {
            more = false;
            break;
        }
        uint64_t due = due_ns(rt, !rt->committing);
        uint64_t now = clock_mono_ns(); /* after `due`, which is "now" when something is overdue */
        rt->core_soon = rt->committing != NULL || (due > now && due - now <= COMMIT_INTERVAL_NS);
        if (due <= now || (rt->stopping && !rt->committing))
            break;
        if (due == UINT64_MAX) {
            pthread_cond_wait(&rt->core_cond, &rt->lock);
        } else {
            struct timespec until = {.tv_sec = (time_t)(due / 1000000000u),
                                     .tv_nsec = (long)(due % 1000000000u)};
            pthread_cond_timedwait(&rt->core_cond, &rt->lock, &until);
        }
    }
    struct buf swap = rt->work;
    rt->work = rt->in;
    rt->in = swap;
    rt->posted = 0;
    rt->core_soon = true; /* it is awake */
    rt->queue_bytes = 0;
    pthread_mutex_unlock(&rt->lock);
    return more;
}

/* By the time; or for a snapshot of the state, before it. */
static void tick(struct runtime *rt)
{
    int64_t now_ms = event_clock_now(&rt->clock);
    bool mark = snapshots_due(&rt->snapshots, rt->next_event, now_ms);
    if ((!mark && core_deadline_ms(rt->core) > now_ms) || rt->open->count >= BATCH_EVENTS_MAX ||
        rt->open->effects.n > EFFECTS_MAX / 2)
        return;
    if (mark)
        snapshots_take(&rt->snapshots, rt->core, rt->next_event, now_ms);
    step(rt, &(struct event){.kind = EVENT_KIND_tick, .u.tick.mark = mark});
}

static void *core_main(void *arg)
{
    struct runtime *rt = arg;
    rt->core_tid = gettid();
    while (core_wait(rt)) {
        pthread_mutex_lock(&rt->lock);
        bool failed = rt->commit_failed;
        pthread_mutex_unlock(&rt->lock);
        if (failed)
            recover(rt);
        step_items(rt);
        if (rt->lost)
            continue;
        tick(rt);
        pthread_mutex_lock(&rt->lock);
        bool idle = !rt->committing;
        bool stopping = rt->stopping;
        pthread_mutex_unlock(&rt->lock);
        if (idle && !batch_empty(rt->open) && (stopping || due_ns(rt, true) <= clock_mono_ns()))
            submit(rt);
    }
    return NULL;
}

/* ---- the interface ---- */

/* Under the lock. */
static void add_item(struct runtime *rt, const void *payload, size_t len, struct item head)
{
    static const char zeros[8];
    buf_add(&rt->in, &head, sizeof head);
    buf_add(&rt->in, payload, len);
    buf_add(&rt->in, zeros, (8 - len % 8) % 8);
}

/* Ends what lock and add_item began: takes back what did not fit, wakes the core thread if it would sleep on. */
static int enqueued(struct runtime *rt, size_t start)
{
    int rc = 0;
    if (rt->in.failed || rt->stopping) {
        rt->in.failed = false;
        rt->in.len = start;
        rc = ERR_UNAVAILABLE;
    }
    rt->queue_bytes = rt->in.len;
    bool wake = rc == 0 && (rt->core_soon ? ++rt->posted % POSTS_WAKE == 0 : start == 0);
    pthread_mutex_unlock(&rt->lock);
    if (wake) /* without the lock, which the core thread takes first of all */
        pthread_cond_signal(&rt->core_cond);
    return rc;
}

int runtime_post_all(struct runtime *rt, const struct event *events, uint32_t n)
{
    assert(n > 0 && n < BATCH_EVENTS_MAX);
    if (!rt->ready)
        return ERR_UNAVAILABLE;
    pthread_mutex_lock(&rt->lock);
    size_t start = rt->in.len;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = event_size(events[i].kind);
        add_item(rt, &events[i], size, (struct item){.size = (uint32_t)size, .more = n - 1 - i});
    }
    return enqueued(rt, start);
}

int runtime_post(struct runtime *rt, const struct event *event)
{
    return runtime_post_all(rt, event, 1);
}

int runtime_query(struct runtime *rt, query_fn *fn, void *ctx, uint64_t token)
{
    struct query q = {.fn = fn, .ctx = ctx, .token = token};
    if (!rt->ready)
        return ERR_UNAVAILABLE;
    pthread_mutex_lock(&rt->lock);
    size_t start = rt->in.len;
    add_item(rt, &q, sizeof q, (struct item){.size = 0});
    return enqueued(rt, start);
}

bool runtime_ready(const struct runtime *rt)
{
    return rt->ready;
}

int64_t runtime_now_ms(const struct runtime *rt)
{
    return event_clock_peek(&rt->clock);
}

int64_t runtime_used_ms(const struct runtime *rt, uint64_t age_ms)
{
    return event_clock_used(&rt->clock, age_ms);
}

struct store *runtime_store(struct runtime *rt)
{
    return rt->store;
}

int runtime_attach(struct runtime *rt, struct mailbox *box)
{
    return delivery_attach(&rt->delivery, box);
}

void runtime_detach(struct runtime *rt, struct mailbox *box)
{
    delivery_detach(&rt->delivery, box);
}

static void post_digest(void *ctx, const struct event *event)
{
    (void)runtime_post(ctx, event); /* where it is not taken there is none of that mark */
}

/* Events go on from the time of the last one; where that cannot be read, from the wall clock's. */
static void start_clock(struct runtime *rt)
{
    struct err err = {0};
    int64_t last_ms = 0;
    if (journal_last_ms(rt->store, rt->next_event, &last_ms, &err) != 0)
        log_warn("clock", "the time of the last event is not known: %s", err.msg);
    event_clock_init(&rt->clock, last_ms, clock_wall_ms(), clock_boot_ms());
}

/* The first batch: steps and commits the boot event before anything else can happen. */
static int boot(struct runtime *rt, struct err *err)
{
    struct event event = {.kind = EVENT_KIND_hub_boot, .u.hub_boot.boot = uuid_new()};
    os_random(&event.u.hub_boot.seed, sizeof event.u.hub_boot.seed);
    text_set(event.u.hub_boot.version, NAME_CAP, BUSBAR_VERSION, sizeof(BUSBAR_VERSION) - 1);
    batch_reset(rt->open, rt->next_event);
    step(rt, &event);
    struct batch *batch = rt->open;
    if (!batch_collect(batch, rt->core))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = commit_logged(rt, batch, err);
    if (rc != 0)
        return rc;
    delivery_send(&rt->delivery, batch->effects.list, batch->effects.n);
    if (rt->routes.make)
        rt->routes.publish(rt->routes.ctx, rt->routes.make(rt->routes.ctx, rt->core));
    batch_reset(rt->open, rt->next_event);
    return 0;
}

static void runtime_free(struct runtime *rt)
{
    snapshots_fini(&rt->snapshots);
    state_block_fini(&rt->block);
    batch_fini(&rt->batches[0]);
    batch_fini(&rt->batches[1]);
    logbook_fini(&rt->logbook);
    buf_fini(&rt->in);
    buf_fini(&rt->work);
    delivery_fini(&rt->delivery);
    rt->store->ops->close(rt->store);
    free(rt);
}

int runtime_start(struct runtime **out, const struct runtime_config *config, struct err *err)
{
    struct runtime *rt = calloc(1, sizeof *rt);
    if (!rt) {
        config->store->ops->close(config->store);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    rt->store = config->store;
    rt->limits = config->limits;
    rt->routes = config->routes;
    rt->log = config->log;
    snapshots_init(&rt->snapshots, config->snapshot_events, post_digest, rt);
    rt->open = &rt->batches[0];
    buf_init(&rt->in, QUEUE_MAX);
    buf_init(&rt->work, QUEUE_MAX);
    pthread_mutex_init(&rt->lock, NULL);
    delivery_init(&rt->delivery);
    logbook_init(&rt->logbook);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&rt->core_cond, &attr);
    pthread_cond_init(&rt->store_cond, &attr);
    pthread_condattr_destroy(&attr);
    int rc = batch_init(&rt->batches[0]);
    if (rc == 0)
        rc = batch_init(&rt->batches[1]);
    if (rc == 0)
        rc = load(rt, err);
    if (rc == 0) {
        start_clock(rt);
        snapshots_start(&rt->snapshots, rt->next_event, event_clock_now(&rt->clock));
        rc = boot(rt, err);
    }
    if (rc == 0) {
        rt->ready = true;
        if (pthread_create(&rt->store_thread, NULL, store_main, rt) != 0 ||
            pthread_create(&rt->core_thread, NULL, core_main, rt) != 0)
            abort();
        pthread_setname_np(rt->store_thread, "busbar-store");
        pthread_setname_np(rt->core_thread, "busbar-core");
        *out = rt;
    } else {
        runtime_free(rt);
    }
    return rc;
}

void runtime_stop(struct runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    rt->stopping = true;
    pthread_cond_signal(&rt->core_cond);
    pthread_mutex_unlock(&rt->lock);
    pthread_join(rt->core_thread, NULL);
    pthread_mutex_lock(&rt->lock);
    rt->store_stopping = true;
    pthread_cond_signal(&rt->store_cond);
    pthread_mutex_unlock(&rt->lock);
    pthread_join(rt->store_thread, NULL);
    runtime_free(rt);
}

struct runtime_stats runtime_stats(struct runtime *rt)
{
    struct runtime_stats s = {.events = rt->events,
                              .batches = rt->nbatches,
                              .commit_failures = rt->failures,
                              .commit_ns_total = rt->commit_ns,
                              .queue_bytes = rt->queue_bytes};
    for (int i = 0; i < 16; i++)
        s.commit_bucket[i] = rt->commit_bucket[i];
    return s;
}

void runtime_thread_ids(const struct runtime *rt, int *core_tid, int *store_tid)
{
    *core_tid = rt->core_tid;
    *store_tid = rt->store_tid;
}
