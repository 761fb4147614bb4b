/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five scenarios of a hub: jobs, requests that are metered, money, prices and rules, and many small commits of all of these. Power
 * is lost at a random write, any operation of a file fails, any request for memory is refused; in each case what was
 * acknowledged is there, whole, nothing else is, and the books add up (powerhub.h).
 */
#include "powerhub.h"

#include <sqlite3.h>

#include "base/checked.h"
#include "core/month.h"
#include "dispatch_support.h"
#include "testvfs.h"

#define BATCHES 16u
#define BUDGET (INT64_C(1000) * UNIT)

#define OK(call) assert_int_equal(call, 0)

static int64_t begun_ms; /* by the world's clock */

static void begin_usual(struct world *w)
{
    OK(do_boot(w, 1));
    OK(do_tenant(w, 1, BUDGET));
    OK(do_key(w, 1, 1, -1));
    do_two_sites(w, 3600 * UNIT);
    OK(do_model(w, 1));
    OK(do_variant(w, 1, 1));
    OK(do_price(w, 1, 1, 1000000, 2000000));
    OK(do_worker(w, 1));
}

static void settle(struct world *w)
{
    while (core_deadline_ms(w->core) <= w->now)
        OK(do_tick(w));
}

/* ---- jobs: submitted, started, metered, ended, cancelled ---- */

static void meter_job(struct world *w, uint64_t job, uint64_t seconds)
{
    struct uuid id = uid('J', job);
    const struct row_job *row = view_job(w->core, &id);
    assert_true(row && row->state == JOB_RUNNING);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = id,
                                      .epoch = 1,
                                      .site = view_pool(w->core, &row->pool)->site,
                                      .ms = seconds * 1000,
                                      .chip_ms = seconds * 1000,
                                      .energy_mj = seconds * 900000}};
    OK(world_step(w, &e));
}

static void step_jobs(struct world *w, uint64_t i)
{
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    OK(do_submit(w, job_request(2 * i, 1, HOUR)));
    OK(do_submit(w, job_request(2 * i + 1, 2, HOUR)));
    if (i >= 3)
        meter_job(w, 2 * (i - 2), 1);
    if (i >= 4)
        meter_job(w, 2 * (i - 3), 2);
    if (i >= 5)
        OK(do_end(w, 2 * (i - 3), 1));
    if (i >= 4)
        OK(do_cancel(w, 2 * (i - 3) + 1));
}

/* ---- requests: a lease of budget, records, one of them twice, what is left given back ---- */

static void step_requests(struct world *w, uint64_t i)
{
    uint64_t lease = 1 + i / 4;
    w->now = begun_ms + (int64_t)i * 300;
    settle(w);
    if (i % 4 == 0)
        OK(do_ask(w, 1, lease, 1, 1, 10000));
    for (uint64_t k = 1; k <= 3; k++)
        OK(do_meter(w, 1, 3 * i + k, lease, 1, 1, (uint32_t)(100 * k)));
    assert_int_equal(do_meter(w, 1, 3 * i + 1, lease, 1, 1, 100), ERR_DUPLICATE);
    if (i % 4 == 3)
        OK(do_return(w, 1, lease, 0, true));
}

/* ---- money: paid in, spent, billed, given back ---- */

static int pay(struct world *w, uint64_t id, int64_t amount)
{
    struct event e = {.kind = EVENT_KIND_wallet_topup,
                      .u.wallet_topup = {.payment = uid('Y', id), .tenant = uid('T', 1), .amount = amount}};
    return world_step(w, &e);
}

static void bill_month(struct world *w, uint64_t id, uint32_t month)
{
    struct event close = {.kind = EVENT_KIND_invoice_close,
                          .u.invoice_close = {.invoice = uid('I', id),
                                              .tenant = uid('T', 1),
                                              .month = month,
                                              .total = 900,
                                              .first_month = month}};
    OK(world_step(w, &close));
    struct event note = {.kind = EVENT_KIND_credit_note,
                         .u.credit_note = {.payment = uid('y', id),
                                           .tenant = uid('T', 1),
                                           .month = month,
                                           .amount = 50,
                                           .reason = "slow",
                                           .before = 50 * (int64_t)(month - month_of(begun_ms))}};
    OK(world_step(w, &note));
}

static void step_money(struct world *w, uint64_t i)
{
    int64_t every = 6 * DAY_MS;
    w->now = begun_ms + (int64_t)i * every;
    settle(w);
    OK(pay(w, i, 500));
    assert_int_equal(pay(w, i, 500), ERR_EXISTS);
    OK(do_ask(w, 1, i + 1, 1, 1, 1000));
    OK(do_meter(w, 1, i + 1, i + 1, 1, 1, 400));
    OK(do_return(w, 1, i + 1, 0, true));
    uint32_t before = month_of(w->now - every);
    if (i > 0 && month_of(w->now) > before)
        bill_month(w, i, before);
    OK(do_budget(w, 1, BUDGET + (int64_t)i * 500));
}

/* ---- prices and rules ---- */

static void step_tariff(struct world *w, uint64_t i)
{
    char rule[128];
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    struct event price = {.kind = EVENT_KIND_price_set,
                          .u.price_set = {.price = uid('P', 2 + i),
                                          .model = uid('M', 1),
                                          .prompt = (int64_t)(1000 + i),
                                          .from_ms = i % 2 ? w->now + 1500 : 0}};
    OK(world_step(w, &price));
    struct event pool = {.kind = EVENT_KIND_pool_price,
                         .u.pool_price = {.pool = uid('p', 1),
                                          .price = (int64_t)(500 + i),
                                          .from_ms = i % 3 ? w->now + 2500 : 0}};
    OK(world_step(w, &pool));
    struct event signal = {
        .kind = EVENT_KIND_site_signal,
        .u.site_signal = {.site = uid('S', 1), .price = (int64_t)i, .carbon = 400000, .pue = 1500}};
    OK(world_step(w, &signal));
    (void)snprintf(rule, sizeof rule,
                   "deny a%u when site.name = site-%u and job.kind = training because \"b\" cite \"c\"\n",
                   (unsigned)i, (unsigned)(1 + i % 2));
    OK(do_rules(w, rule));
    OK(do_key(w, 2 + i, 1, (int64_t)i));
    if (i % 2)
        OK(do_revoke(w, 1 + i));
}

/* ---- a little of everything: small commits, so most of the log's trees are of other shapes ---- */

static void step_mixed(struct world *w, uint64_t i)
{
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    if (i == 0)
        OK(do_ask(w, 1, 1, 1, 1, 100000));
    OK(do_meter(w, 1, i + 1, 1, 1, 1, 7));
    if (i % 3 == 0)
        OK(pay(w, i, 5));
    if (i % 4 == 0)
        OK(do_submit(w, job_request(i, 1, HOUR)));
}

static const struct scenario {
    const char *name;
    void (*step)(struct world *w, uint64_t i);
} scenarios[] = {{"jobs", step_jobs},
                 {"requests", step_requests},
                 {"money", step_money},
                 {"prices", step_tariff},
                 {"mixed", step_mixed}};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* ---- what all runs begin with ---- */

static struct origin origin;

static int begin(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    struct powerhub hub;
    testvfs_forget();
    testvfs_reset(1);
    OK(powerhub_begin(&hub, &limits));
    begin_usual(hub.w);
    begun_ms = hub.w->now + 1000;
    OK(powerhub_commit(&hub));
    powerhub_keep(&origin, &hub);
    powerhub_end(&hub);
    testvfs_keep();
    return 0;
}

static int end(void **state)
{
    (void)state;
    powerhub_origin_fini(&origin);
    return 0;
}

/* ---- power loss ---- */

/* Of every connection that is opened from now on, instead of what it asks for. NULL: what it asks for. */
static const char *synchronous;

static int keep_synchronous(void *ctx, int action, const char *name, const char *value, const char *c,
                            const char *d)
{
    (void)ctx;
    (void)c;
    (void)d;
    return action == SQLITE_PRAGMA && value && strcmp(name, "synchronous") == 0 ? SQLITE_IGNORE : SQLITE_OK;
}

static int on_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message;
    (void)api;
    if (synchronous) {
        sqlite3_exec(db, synchronous, NULL, NULL, NULL);
        sqlite3_set_authorizer(db, keep_synchronous, NULL);
    }
    return SQLITE_OK;
}

/* Checkpoints by themselves come every 4000 pages; here they come often, from beside. */
static void checkpoint(uint64_t *seed)
{
    static const char *const how[] = {"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)",
                                      "PRAGMA wal_checkpoint(TRUNCATE)"};
    sqlite3 *db;
    if (sqlite3_open_v2("/busbar.db", &db, SQLITE_OPEN_READWRITE, "test") == SQLITE_OK)
        (void)sqlite3_exec(db, how[test_below(seed, 3)], NULL, NULL, NULL);
    sqlite3_close(db);
}

/* Runs a scenario until power is lost at the given write, 0: at its end. Returns the writes there were. */
static uint64_t run_until(const struct scenario *scenario, uint64_t run_seed, uint64_t at, struct mark *acked,
                          struct mark *tried)
{
    uint64_t seed = run_seed;
    struct powerhub hub;
    testvfs_reset(test_random(&seed));
    testvfs_crash_at(at);
    *acked = *tried = origin.mark;
    bool going = powerhub_begin(&hub, &origin.limits) == 0 && !testvfs_crashed();
    for (uint64_t i = 0; going && i < BATCHES; i++) {
        scenario->step(hub.w, i);
        int rc = powerhub_commit(&hub);
        *tried = hub.tried;
        if (rc == 0 && !testvfs_crashed())
            *acked = hub.acked;
        uint64_t chance = test_below(&seed, 12);
        if (chance == 0)
            rc = powerhub_reopen(&hub);
        else if (chance < 3)
            checkpoint(&seed);
        going = rc == 0 && !testvfs_crashed();
    }
    powerhub_end(&hub);
    uint64_t writes = testvfs_count();
    testvfs_power_loss();
    return writes;
}

/* NULL, or what is wrong: `lost` if a whole state is there, but not one that may be. */
static const char lost[] = "what was acknowledged is lost";

static const char *one_loss(const struct scenario *scenario, uint64_t seed, uint64_t at)
{
    struct mark acked, tried, found;
    (void)run_until(scenario, seed, at, &acked, &tried);
    const char *wrong = powerhub_found(&origin, &found);
    if (wrong || mark_eq(&found, &acked) || mark_eq(&found, &tried))
        return wrong;
    return lost;
}

static void test_power_loss(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), runs = test_count(8, 4000), total = 0;
    for (size_t s = 0; s < SCENARIOS; s++) {
        struct mark acked, tried;
        uint64_t writes = run_until(&scenarios[s], seed, 0, &acked, &tried);
        assert_true(acked.events > origin.mark.events + BATCHES);
        for (uint64_t i = 0; i < runs; i++, total++) {
            uint64_t run = seed + i;
            const char *wrong = one_loss(&scenarios[s], run, 1 + test_below(&run, writes));
            if (wrong)
                fail_msg("BUSBAR_SEED=%llu, %s: %s", (unsigned long long)(seed + i), scenarios[s].name,
                         wrong);
        }
    }
    printf("# power losses survived: %llu over %u scenarios\n", (unsigned long long)total,
           (unsigned)SCENARIOS);
}

/* The controls: with fewer syncs, or none, acknowledged commits are lost, and this test sees it. */
static void control(const char *pragma)
{
    uint64_t seed = 7, enough = test_count(1, 20);
    uint32_t sound = 0, losses = 0, damaged = 0;
    synchronous = pragma;
    for (size_t s = 0; s < SCENARIOS; s++) {
        uint32_t before = losses + damaged;
        for (uint64_t i = 0; i < 200 && losses + damaged < before + enough; i++) {
            const char *wrong = one_loss(&scenarios[s], seed + i, 60 + 20 * (i % 8));
            sound += !wrong;
            losses += wrong == lost;
            damaged += wrong && wrong != lost;
        }
        assert_true(losses + damaged >= before + enough);
    }
    synchronous = NULL;
    printf("# %s: %u sound, %u lost, %u damaged\n", pragma, sound, losses, damaged);
}

static void test_controls_lose(void **state)
{
    (void)state;
    control("PRAGMA synchronous=NORMAL");
    control("PRAGMA synchronous=OFF");
}

/* ---- faults that a process survives ---- */

static uint64_t mallocs, malloc_from, malloc_to; /* those of SQLite in [from, to) are refused */
static sqlite3_mem_methods memory;

static bool refused(void)
{
    mallocs++;
    return mallocs >= malloc_from && mallocs < malloc_to;
}

static void *take(int n)
{
    return refused() ? NULL : memory.xMalloc(n);
}

static void *take_more(void *p, int n)
{
    return refused() ? NULL : memory.xRealloc(p, n);
}

static void refuse_memory(uint64_t n, uint32_t count)
{
    mallocs = 0;
    malloc_from = n ? n : UINT64_MAX;
    malloc_to = n ? n + count : UINT64_MAX;
}

static uint64_t memory_asked(void)
{
    return mallocs;
}

static const struct fault {
    const char *name;
    void (*at)(uint64_t n, uint32_t count); /* from now on the n-th, and so many in all, fail; 0: none */
    uint64_t (*seen)(void);                 /* operations since then */
    uint64_t stride, stride_full;
} faults[] = {{"I/O", testvfs_fail_at, testvfs_touched, 293, 7},
              {"memory", refuse_memory, memory_asked, 9973, 199}};

static uint32_t reloads;

/* Loads until it succeeds, as the runtime does. What is there then is what was acknowledged. */
static void recover(struct powerhub *hub, const struct mark *acked)
{
    for (int tries = 0; !hub->loaded; tries++) {
        reloads++;
        if (powerhub_load(hub) != 0)
            assert_true(tries < 100);
    }
    assert_true(mark_eq(&hub->acked, acked));
}

/* A whole scenario, in which what failed is done again. Returns the operations of the fault's kind. */
static uint64_t one_fault(const struct scenario *scenario, const struct fault *fault, uint64_t n,
                          uint32_t count)
{
    struct powerhub hub;
    struct mark acked = origin.mark, found;
    testvfs_reset(n);
    fault->at(n, count);
    (void)powerhub_begin(&hub, &origin.limits);
    for (uint64_t i = 0; i < BATCHES;) {
        recover(&hub, &acked);
        scenario->step(hub.w, i);
        if (powerhub_commit(&hub) != 0)
            continue;
        acked = hub.acked;
        i++;
    }
    uint64_t seen = fault->seen();
    fault->at(0, 0);
    powerhub_end(&hub);
    testvfs_power_loss();
    const char *wrong = powerhub_found(&origin, &found);
    if (wrong || !mark_eq(&found, &acked))
        fail_msg("%s, %s fault at %llu for %u: %s", scenario->name, fault->name, (unsigned long long)n, count,
                 wrong ? wrong : lost);
    return seen;
}

static void test_faults(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        uint64_t total = 0, stride = test_count(faults[f].stride, faults[f].stride_full);
        reloads = 0;
        for (size_t s = 0; s < SCENARIOS; s++) {
            uint64_t all = one_fault(&scenarios[s], &faults[f], 0, 0);
            for (uint64_t n = 1 + s; n <= all; n += stride, total++)
                (void)one_fault(&scenarios[s], &faults[f], n, total % 2 ? 3 : 1);
        }
        printf("# %s faults: %llu runs, %u reloads\n", faults[f].name, (unsigned long long)total, reloads);
        assert_true(reloads > total / 4);
    }
}

static int count_row(void *ctx, enum row_kind kind, const void *row)
{
    (void)kind;
    (void)row;
    ++*(uint32_t *)ctx;
    return 0;
}

/* A reader that ran out of memory, wherever that was, reads what is new the next time. */
static void test_readers_go_on(void **state)
{
    (void)state;
    struct powerhub hub;
    struct err err = {0};
    struct row_query query = {.kind = ROW_KIND_payment};
    uint32_t refusals = 0, seen = 0;
    testvfs_reset(1);
    OK(powerhub_begin(&hub, &origin.limits));
    refuse_memory(0, 0);
    OK(hub.store->ops->rows(hub.store, &query, 1, count_row, &seen, &err));
    uint64_t all = mallocs;
    for (uint32_t n = 1; n <= all; n++) {
        uint32_t again = 0;
        refuse_memory(n, 4);
        refusals += hub.store->ops->rows(hub.store, &query, 1, count_row, &seen, &err) != 0;
        refuse_memory(0, 0);
        OK(pay(hub.w, n, 5));
        OK(powerhub_commit(&hub));
        OK(hub.store->ops->rows(hub.store, &query, 1, count_row, &again, &err));
        assert_int_equal(again, n);
    }
    assert_true(refusals > 10);
    powerhub_end(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_loss, begin, end),
        cmocka_unit_test_setup_teardown(test_controls_lose, begin, end),
        cmocka_unit_test_setup_teardown(test_faults, begin, end),
        cmocka_unit_test_setup_teardown(test_readers_go_on, begin, end),
    };
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    sqlite3_mem_methods counted = memory;
    counted.xMalloc = take;
    counted.xRealloc = take_more;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &counted);
    refuse_memory(0, 0);
    sqlite3_auto_extension((void (*)(void))on_connection);
    return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
