/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime, in process: replies only after the commit, group commit, failing commits, queue, queries, stop.
 *
 * A gate around a store holds commits back, fails some of them and notes what it saw; a mailbox on a loop of this
 * test's own thread takes what comes out.
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/journal.h"
#include "runtime/runtime.h"
#include "testvfs.h"

/* ---- a store with a gate ---- */

struct gate {
    struct store store;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool shut;                    /* commits wait */
    uint32_t waiting;             /* commits at the gate */
    uint32_t fail;                /* so many next commits fail */
    uint32_t fail_loads;          /* so many next loads fail */
    uint32_t commits;             /* that succeeded */
    uint32_t largest;             /* most events in one */
    atomic_uint_fast64_t durable; /* events committed */
};

static int gate_load(struct store *store, load_fn *fn, void *ctx, struct err *err)
{
    struct gate *g = (struct gate *)store;
    pthread_mutex_lock(&g->lock);
    bool fail = g->fail_loads > 0;
    g->fail_loads -= fail;
    pthread_mutex_unlock(&g->lock);
    return fail ? err_set(err, ERR_IO, "load failed on purpose")
                : g->inner->ops->load(g->inner, fn, ctx, err);
}

static int gate_commit(struct store *store, const struct store_batch *batch, struct err *err)
{
    struct gate *g = (struct gate *)store;
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    pthread_cond_broadcast(&g->cond);
    while (g->shut)
        pthread_cond_wait(&g->cond, &g->lock);
    g->waiting--;
    bool fail = g->fail > 0;
    g->fail -= fail;
    pthread_mutex_unlock(&g->lock);
    int rc =
        fail ? err_set(err, ERR_IO, "commit failed on purpose") : g->inner->ops->commit(g->inner, batch, err);
    if (rc == 0) {
        pthread_mutex_lock(&g->lock);
        g->commits++;
        g->largest = batch->count > g->largest ? batch->count : g->largest;
        pthread_mutex_unlock(&g->lock);
        atomic_store(&g->durable, batch->first + batch->count);
    }
    return rc;
}

static int gate_log_edge(struct store *store, struct buf *edge, struct err *err)
{
    struct gate *g = (struct gate *)store;
    return g->inner->ops->log_edge(g->inner, edge, err);
}

static int gate_journal(struct store *store, uint64_t from, journal_fn *fn, void *ctx, struct err *err)
{
    struct gate *g = (struct gate *)store;
    return g->inner->ops->journal(g->inner, from, fn, ctx, err);
}

/* The inner store outlives the runtime, so that a test can look at it. */
static void gate_close(struct store *store)
{
    (void)store;
}

static const struct store_ops gate_ops = {.load = gate_load,
                                          .commit = gate_commit,
                                          .journal = gate_journal,
                                          .log_edge = gate_log_edge,
                                          .close = gate_close};

static void gate_shut(struct gate *g, bool shut)
{
    pthread_mutex_lock(&g->lock);
    g->shut = shut;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

static void gate_fail(struct gate *g, uint32_t commits, uint32_t loads)
{
    pthread_mutex_lock(&g->lock);
    g->fail = commits;
    g->fail_loads = loads;
    pthread_mutex_unlock(&g->lock);
}

static void gate_await(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->waiting == 0)
        pthread_cond_wait(&g->cond, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

/* ---- a hub: runtime, loop, mailbox ---- */

#define REPLIES_MAX 200000

struct hub {
    struct gate gate;
    struct runtime *rt;
    uv_loop_t loop;
    struct mailbox box;
    uint64_t first; /* token of reply 0 */
    int code[REPLIES_MAX];
    int64_t amount[REPLIES_MAX];
    uint8_t times[REPLIES_MAX];
    uint32_t replies;
    uint32_t others;      /* effects that are no replies */
    uint64_t min_durable; /* what must be durable when a reply comes; 0: not checked */
    bool early;
    atomic_uint published, discarded;
};

static void on_effect(void *ctx, const struct effect *effect)
{
    struct hub *h = ctx;
    if (effect->kind != EFFECT_REPLY) {
        h->others++;
        return;
    }
    uint64_t i = effect->token - h->first;
    assert_true(i < REPLIES_MAX);
    h->code[i] = effect->code;
    h->amount[i] = effect->amount;
    h->times[i]++;
    h->replies++;
    h->early |= atomic_load(&h->gate.durable) < h->min_durable;
}

static void *routes_make(void *ctx, const struct core *core)
{
    (void)ctx;
    uint32_t *snapshot = malloc(sizeof *snapshot);
    *snapshot = view_counts(core).tenants;
    return snapshot;
}

static void routes_publish(void *ctx, void *snapshot)
{
    struct hub *h = ctx;
    h->published = *(uint32_t *)snapshot + 1;
    free(snapshot);
}

static void routes_discard(void *ctx, void *snapshot)
{
    struct hub *h = ctx;
    h->discarded++;
    free(snapshot);
}

static void hub_run(struct hub *h)
{
    struct runtime_config config = {.store = &h->gate.store,
                                    .limits = small_limits(),
                                    .routes = {routes_make, routes_publish, routes_discard, h}};
    struct err err = {0};
    if (runtime_start(&h->rt, &config, &err) != 0)
        fail_msg("%s", err.msg);
    assert_true(runtime_ready(h->rt));
    assert_int_equal(uv_loop_init(&h->loop), 0);
    assert_int_equal(mailbox_init(&h->box, &h->loop, on_effect, h), 0);
    h->box.worker = uid('W', 1);
    h->box.site = true;
    assert_int_equal(runtime_attach(h->rt, &h->box), 0);
    h->first = mailbox_token(&h->box) + 1;
}

static struct hub *hub_new(struct store *inner)
{
    struct hub *h = calloc(1, sizeof *h);
    h->gate.store.ops = &gate_ops;
    h->gate.inner = inner;
    pthread_mutex_init(&h->gate.lock, NULL);
    pthread_cond_init(&h->gate.cond, NULL);
    hub_run(h);
    return h;
}

static void hub_stop(struct hub *h)
{
    runtime_stop(h->rt);
    mailbox_close(&h->box, NULL);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
}

static void hub_free(struct hub *h)
{
    hub_stop(h);
    h->gate.inner->ops->close(h->gate.inner);
    free(h);
}

/* Runs the loop until there are n replies; fails after 20 s. */
static void await_replies(struct hub *h, uint32_t n)
{
    uint64_t limit = clock_mono_ns() + 20000000000u;
    while (h->replies < n) {
        uv_run(&h->loop, UV_RUN_NOWAIT);
        usleep(200);
        if (clock_mono_ns() > limit)
            fail_msg("%u of %u replies came", h->replies, n);
    }
}

static void run_for(struct hub *h, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        uv_run(&h->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void await_ready(struct hub *h)
{
    for (int i = 0; i < 20000 && !runtime_ready(h->rt); i++)
        run_for(h, 1);
    assert_true(runtime_ready(h->rt));
}

/* Posts with the next token; returns the reply's number. */
static uint32_t post(struct hub *h, struct event e)
{
    e.token = mailbox_token(&h->box);
    assert_int_equal(runtime_post(h->rt, &e), 0);
    return (uint32_t)(e.token - h->first);
}

static struct event tenant_event(uint64_t n)
{
    struct event e = {
        .kind = EVENT_KIND_tenant_add,
        .u.tenant_add = {.tenant = uid('T', n), .ledger = EUR, .budget = 1000, .transfer = uid('F', n)}};
    (void)snprintf(e.u.tenant_add.name, sizeof e.u.tenant_add.name, "t%u", (unsigned)n);
    return e;
}

static struct event tick_event(void)
{
    return (struct event){.kind = EVENT_KIND_tick};
}

static void count_tenants(void *ctx, const struct core *core)
{
    *(uint32_t *)ctx = view_counts(core).tenants;
}

static void note_run(void *ctx, const struct core *core)
{
    (void)core;
    atomic_store((atomic_bool *)ctx, true);
}

static uint32_t query_tenants(struct hub *h)
{
    uint32_t n = 0;
    uint64_t token = mailbox_token(&h->box);
    assert_int_equal(runtime_query(h->rt, count_tenants, &n, token), 0);
    await_replies(h, (uint32_t)(token - h->first) + 1);
    return n;
}

static void answered_once(const struct hub *h, uint32_t n)
{
    assert_int_equal(h->replies, n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(h->times[i], 1);
}

/* ---- tests ---- */

static void test_reply_after_commit(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    for (uint32_t i = 0; i < 50; i++) {
        h->min_durable = i + 2; /* the boot event, and each up to this one */
        post(h, tenant_event(i + 1));
        await_replies(h, i + 1);
        assert_int_equal(h->code[i], 0);
    }
    assert_false(h->early);
    h->min_durable = 0;
    gate_shut(&h->gate, true);
    uint32_t reply = post(h, tenant_event(51));
    gate_await(&h->gate);
    uint32_t published = h->published;
    run_for(h, 100);
    assert_int_equal(h->replies, reply); /* held back */
    assert_int_equal(h->published, published);
    gate_shut(&h->gate, false);
    await_replies(h, reply + 1);
    assert_int_equal(h->published, 52);
    answered_once(h, 51);
    hub_free(h);
}

static void test_group_commit(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    gate_shut(&h->gate, true);
    post(h, tick_event());
    gate_await(&h->gate);
    for (int i = 0; i < 200; i++)
        post(h, tick_event());
    uint32_t before = h->gate.commits;
    run_for(h, 50);
    gate_shut(&h->gate, false);
    await_replies(h, 201);
    answered_once(h, 201);
    assert_int_equal(h->gate.commits - before, 2); /* what waited goes together */
    assert_int_equal(h->gate.largest, 200);
    struct runtime_stats s = runtime_stats(h->rt);
    assert_true(s.events >= 201 && s.commit_failures == 0);
    hub_free(h);
}

/* More than a batch may hold, while the store is busy: none is lost, and all in order. */
static void test_more_than_a_batch(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    gate_shut(&h->gate, true);
    const uint32_t n = 5 * BATCH_EVENTS_MAX + 7;
    for (uint32_t i = 0; i < n; i++)
        post(h, tick_event());
    run_for(h, 20);
    assert_int_equal(h->replies, 0);
    gate_shut(&h->gate, false);
    await_replies(h, n);
    answered_once(h, n);
    assert_true(h->gate.largest <= BATCH_EVENTS_MAX);
    hub_free(h);
}

static void test_queries_in_order(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    gate_shut(&h->gate, true);
    uint32_t seen[21] = {0};
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(runtime_query(h->rt, count_tenants, &seen[i], mailbox_token(&h->box)), 0);
        post(h, tenant_event(i + 1));
    }
    assert_int_equal(runtime_query(h->rt, count_tenants, &seen[20], mailbox_token(&h->box)), 0);
    run_for(h, 30);
    assert_true(h->replies <=
                1); /* what a query saw is not durable yet; before the first event there was nothing */
    gate_shut(&h->gate, false);
    await_replies(h, 41);
    for (uint32_t i = 0; i <= 20; i++)
        assert_int_equal(seen[i], i);
    answered_once(h, 41);
    hub_free(h);
}

static void test_queue_full(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    gate_shut(&h->gate, true);
    struct event e = {.kind = EVENT_KIND_variant_add}; /* the largest */
    uint32_t posted = 0;
    int rc = 0;
    while (rc == 0 && posted < REPLIES_MAX) {
        e.token = mailbox_token(&h->box);
        rc = runtime_post(h->rt, &e);
        posted += rc == 0;
    }
    assert_int_equal(rc, ERR_UNAVAILABLE);
    assert_true(runtime_ready(h->rt));
    gate_shut(&h->gate, false);
    await_replies(h, posted);
    answered_once(h, posted); /* none for the one that was not taken */
    assert_int_equal(h->code[posted - 1], ERR_NOT_FOUND);
    hub_free(h);
}

static uint64_t views_of(const struct core *core)
{
    struct world w = {.core = (struct core *)core};
    return world_views(&w);
}

static void take_views(void *ctx, const struct core *core)
{
    *(uint64_t *)ctx = views_of(core);
}

static uint64_t query_views(struct hub *h)
{
    uint64_t views = 0;
    uint64_t token = mailbox_token(&h->box);
    uint32_t want = h->replies + 1;
    assert_int_equal(runtime_query(h->rt, take_views, &views, token), 0);
    await_replies(h, want);
    return views;
}

/* What the store holds, loaded into a core of the test's own. */
static int load_one(void *ctx, enum row_kind kind, const void *row)
{
    return core_load(ctx, kind, row);
}

static uint64_t stored_views(struct hub *h)
{
    struct limits limits = small_limits();
    void *block = calloc(1, core_size(&limits));
    struct core *core = core_init(block, core_size(&limits), &limits);
    struct err err = {0};
    assert_int_equal(h->gate.inner->ops->load(h->gate.inner, load_one, core, &err), 0);
    assert_int_equal(core_load_done(core), 0);
    uint64_t views = views_of(core);
    free(block);
    return views;
}

/* Ten tenants are acknowledged; a waiter waits in the core; then a commit fails. */
static void failing_commit(struct hub *h, void (*fail_next)(struct hub *h))
{
    for (uint32_t i = 1; i <= 10; i++)
        post(h, tenant_event(i));
    await_replies(h, 10);
    uint64_t views = query_views(h);
    gate_shut(&h->gate, true);
    post(h, tenant_event(11));
    gate_await(&h->gate);
    fail_next(h);
    post(h, tenant_event(12)); /* both in the batch that is open, once the query has run: */
    atomic_bool ran = false;
    assert_int_equal(runtime_query(h->rt, note_run, &ran, mailbox_token(&h->box)), 0);
    while (!ran) { /* many posts wake the core thread while the store is at work */
        struct event tick = tick_event();
        assert_int_equal(runtime_post(h->rt, &tick), 0);
        usleep(100);
    }
    uint32_t discarded = h->discarded;
    gate_shut(&h->gate, false);
    await_replies(h, 14);
    assert_int_equal(h->code[11], ERR_UNAVAILABLE);
    assert_int_equal(h->code[12], ERR_UNAVAILABLE);
    assert_int_equal(h->code[13], ERR_UNAVAILABLE);
    assert_true(h->discarded > discarded);
    await_ready(h);
    assert_true(query_views(h) == views);
    assert_true(stored_views(h) == views);
    answered_once(h, 15);
    assert_int_equal(h->published, 11); /* routes of the state as it is now */
    for (uint32_t i = 11; i <= 12; i++)
        post(h, tenant_event(i));
    await_replies(h, 17);
    assert_true(h->code[15] == 0 && h->code[16] == 0);
    answered_once(h, 17);
    assert_true(runtime_stats(h->rt).commit_failures >= 1);
}

static void fail_one(struct hub *h)
{
    gate_fail(&h->gate, 1, 0);
}

static void fail_three(struct hub *h)
{
    gate_fail(&h->gate, 3, 2);
}

static void fail_disk(struct hub *h)
{
    (void)h;
    testvfs_fail(TESTVFS_SYNC, 0, 3);
}

static void fail_disk_writes(struct hub *h)
{
    (void)h;
    testvfs_fail(TESTVFS_WRITE, 2, 3);
}

static struct store *sqlite_in_memory(void)
{
    struct store *store = NULL;
    testvfs_reset(1);
    assert_int_equal(store_sqlite_open(&store, "/busbar.db", "test", NULL), 0);
    return store;
}

static void test_failing_commit(void **state)
{
    (void)state;
    struct {
        struct store *store;
        void (*fail)(struct hub *h);
    } cases[] = {{store_memory_new(0), fail_one},
                 {store_memory_new(0), fail_three},
                 {NULL, fail_disk},
                 {NULL, fail_disk_writes}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hub *h = hub_new(cases[i].store ? cases[i].store : sqlite_in_memory());
        failing_commit(h, cases[i].fail);
        hub_free(h);
    }
}

static void test_memory_fails_at(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(3)); /* boot, one, then this */
    post(h, tenant_event(1));
    await_replies(h, 1);
    post(h, tenant_event(2));
    await_replies(h, 2);
    assert_true(h->code[0] == 0 && h->code[1] == ERR_UNAVAILABLE);
    await_ready(h);
    assert_int_equal(query_tenants(h), 1);
    hub_free(h);
}

/* While it is not ready nothing is taken, and nobody waits in vain. */
static void test_not_ready(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    gate_fail(&h->gate, 4, 1);
    uint32_t n = post(h, tenant_event(1));
    await_replies(h, n + 1);
    assert_int_equal(h->code[n], ERR_UNAVAILABLE);
    uint32_t refused = 0;
    struct event e = tick_event();
    while (!runtime_ready(h->rt)) {
        refused += runtime_post(h->rt, &e) == ERR_UNAVAILABLE;
        run_for(h, 1);
    }
    assert_true(refused > 0);
    post(h, tenant_event(1));
    await_replies(h, n + 2);
    assert_int_equal(h->code[n + 1], 0);
    hub_free(h);
}

static struct event ask_event(uint64_t lease, int64_t want)
{
    return (struct event){.kind = EVENT_KIND_lease_ask,
                          .u.lease_ask = {.worker = uid('W', 1),
                                          .lease = uid('L', lease),
                                          .key_lease = uid('l', lease),
                                          .tenant = uid('T', 1),
                                          .key = uid('K', 1),
                                          .want = want}};
}

/* Tenant 1 with key 1, and a lease that holds 600 of its 1000. */
static void set_up_lease(struct hub *h)
{
    post(h, tenant_event(1));
    post(h, (struct event){.kind = EVENT_KIND_key_add,
                           .u.key_add = {.key = uid('K', 1),
                                         .tenant = uid('T', 1),
                                         .name = "k",
                                         .public_id = "p",
                                         .scopes = SCOPE_INFERENCE,
                                         .budget = -1}});
    post(h, (struct event){.kind = EVENT_KIND_worker_join, .u.worker_join.worker = uid('W', 1)});
    post(h, ask_event(1, 600));
    await_replies(h, 4);
    assert_true(h->code[3] == 0 && h->amount[3] == 600);
}

static void test_waiters(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    set_up_lease(h);
    uint32_t others = h->others;
    uint64_t start = clock_mono_ns();
    post(h, ask_event(2, 500));
    run_for(h, 100);
    assert_int_equal(h->replies, 4);
    assert_int_equal(h->others, others + 1); /* the recall, to this worker's mailbox */
    await_replies(h, 5);                     /* nobody posts anything: the core thread wakes up by itself */
    uint64_t took_ms = (clock_mono_ns() - start) / 1000000;
    assert_int_equal(h->code[4], ERR_BUDGET_HELD);
    assert_in_range(took_ms, HOLD_WAIT_MS - 20, HOLD_WAIT_MS + 1000);
    post(h, ask_event(3, 500));
    run_for(h, 20);
    gate_fail(&h->gate, 1, 0);
    post(h, tick_event());
    await_replies(h, 7);
    assert_true(h->code[5] == ERR_UNAVAILABLE &&
                h->code[6] == ERR_UNAVAILABLE); /* it waited in the lost core */
    answered_once(h, 7);
    await_ready(h);
    run_for(h, 50);
    answered_once(h, 7);
    hub_free(h);
}

static void test_stop_drains(void **state)
{
    (void)state;
    struct hub *h = hub_new(store_memory_new(0));
    const uint32_t n = 3000;
    for (uint32_t i = 0; i < n; i++)
        post(h, i < 50 ? tenant_event(i + 1) : tick_event());
    hub_stop(h); /* the loop runs while the mailbox closes */
    assert_true(atomic_load(&h->gate.durable) == n + 1);
    struct hub *again = hub_new(h->gate.inner);
    assert_int_equal(query_tenants(again), 50);
    free(h);
    hub_free(again);
}

static void *stop_it(void *arg)
{
    runtime_stop(arg);
    return NULL;
}

/* A disk that never comes back must not keep the process from ending. */
static void test_stop_with_a_dead_disk(void **state)
{
    (void)state;
    for (int loads = 0; loads < 2; loads++) {
        struct hub *h = hub_new(store_memory_new(0));
        gate_fail(&h->gate, 1000000, loads ? 1000000 : 0);
        post(h, tenant_event(1));
        await_replies(h, 1);
        pthread_t thread;
        struct timespec limit;
        assert_int_equal(pthread_create(&thread, NULL, stop_it, h->rt), 0);
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += 10;
        if (pthread_timedjoin_np(thread, NULL, &limit) != 0) {
            gate_fail(&h->gate, 0, 0); /* let it go, then complain */
            pthread_join(thread, NULL);
            fail_msg("runtime_stop did not return, loads %s", loads ? "fail too" : "work");
        }
        mailbox_close(&h->box, NULL);
        uv_run(&h->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&h->loop), 0);
        h->gate.inner->ops->close(h->gate.inner);
        free(h);
    }
}

struct reading {
    uint64_t next, entries, tenants;
};

static int on_journal(void *ctx, const struct journal_row *row)
{
    struct reading *r = ctx;
    struct journal_entry e;
    size_t at = 0;
    assert_true(row->first == r->next);
    assert_int_equal(row->leaves_len, row->count * JOURNAL_LEAF_LEN);
    for (uint32_t i = 0; i < row->count; i++) {
        assert_int_equal(journal_next(row->events, row->events_len, &at, &e), 0);
        assert_memory_equal(e.leaf, row->leaves + i * JOURNAL_LEAF_LEN, JOURNAL_LEAF_LEN);
        r->tenants += e.event.kind == EVENT_KIND_tenant_add && e.code == 0;
        r->entries++;
    }
    assert_int_equal(journal_next(row->events, row->events_len, &at, &e), ERR_NOT_FOUND);
    r->next += row->count;
    return 0;
}

static void test_journal(void **state)
{
    (void)state;
    struct hub *h = hub_new(sqlite_in_memory());
    for (uint32_t i = 0; i < 300; i++)
        post(h, i % 3 ? tick_event() : tenant_event(1 + i % 30)); /* some are refused, and journalled too */
    await_replies(h, 300);
    struct reading r = {0};
    struct err err = {0};
    assert_int_equal(runtime_store(h->rt)->ops->journal(runtime_store(h->rt), 0, on_journal, &r, &err), 0);
    assert_int_equal(r.entries, 301);
    assert_int_equal(r.tenants, 10);
    hub_free(h);
}

int main(void)
{
    log_init(STDERR_FILENO, LOG_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_after_commit),
        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_more_than_a_batch),
        cmocka_unit_test(test_queries_in_order),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_failing_commit),
        cmocka_unit_test(test_memory_fails_at),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_stop_drains),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_stop_with_a_dead_disk),
    };
    return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
