/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core under random work, faults, caps and rules, judged by the checker: no violation; and the same run with one effect
 * tampered with: a violation. BUSBAR_SEED repeats a run; BUSBAR_FULL=1 makes it counted.
 */
#include "support.h"

#include "sim/checker.h"

enum { SITES = 5, POOLS = 9, JOBS_MAX = 400 };

static const char *const chips[] = {"a100", "h20", "mlu"};
static const char *const vendors[] = {"nvidia", "nvidia", "cambricon"};
static const char *const codes[] = {"DE", "FR", "CN"};

struct run {
    uint64_t random;
    struct core *core;
    struct checker *checker;
    struct effects effects;
    struct effect list[EFFECTS_MAX];
    int64_t now_ms;
    uint32_t nodes[POOLS];
    uint64_t submitted;
    struct {
        uint64_t job;
        uint32_t epoch;
    } running[JOBS_MAX];
    uint32_t nrunning;
    uint64_t starts, stops, refused;
    uint64_t tamper_at; /* with the effects of this start; 0: with none */
};

static uint64_t below(struct run *r, uint64_t n)
{
    return test_below(&r->random, n);
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static uint64_t job_number(const struct uuid *id)
{
    for (uint64_t n = 0;; n++) {
        struct uuid other = uid('j', n);
        if (uuid_eq(&other, id))
            return n;
    }
}

static void follow(struct run *r, const struct effect *e)
{
    if (e->kind == EFFECT_JOB_START) {
        assert_true(r->nrunning < JOBS_MAX);
        r->running[r->nrunning].job = job_number(&e->job);
        r->running[r->nrunning++].epoch = e->epoch;
        r->starts++;
    } else if (e->kind == EFFECT_JOB_STOP) {
        uint64_t job = job_number(&e->job);
        uint32_t i = 0;
        while (r->running[i].job != job)
            i++;
        r->running[i] = r->running[--r->nrunning];
        r->stops++;
    }
}

/* One field of a start, or of a share of it, is not what core decided. */
static void tamper(struct run *r)
{
    for (uint32_t i = 0; i < r->effects.n; i++) {
        struct effect *e = &r->list[i];
        if (e->kind != EFFECT_JOB_SHARE)
            continue;
        switch (below(r, 5)) {
        case 0:
            e->chips++;
            break;
        case 1:
            e->node = 1000;
            break;
        case 2:
            e->pool = uid('p', POOLS);
            break;
        case 3:
            e->kind = EFFECT_REPLY;
            break;
        default:
            while (r->list[i].kind != EFFECT_JOB_START)
                i++;
            r->list[i].epoch++;
            break;
        }
        return;
    }
}

static int step(struct run *r, struct event *event)
{
    event->at_ms = r->now_ms;
    checker_event(r->checker, event);
    r->effects.n = 0;
    int rc = core_step(r->core, event, &r->effects);
    core_collect(r->core, ignore_row, NULL);
    uint64_t before = r->starts;
    for (uint32_t i = 0; i < r->effects.n; i++)
        follow(r, &r->list[i]);
    if (r->tamper_at > before && r->tamper_at <= r->starts)
        tamper(r);
    checker_effects(r->checker, event, r->list, r->effects.n, rc);
    r->refused += rc != 0;
    return rc;
}

static void must(struct run *r, struct event *event)
{
    assert_int_equal(step(r, event), 0);
}

static void set_dispatch(struct run *r)
{
    struct event e = {.kind = EVENT_KIND_dispatch_set,
                      .u.dispatch_set = {.order = 1 + (uint32_t)below(r, 3),
                                         .fit = 1 + (uint32_t)below(r, 2),
                                         .pack = 1 + (uint32_t)below(r, 2),
                                         .ageing = 1000}};
    must(r, &e);
}

static void build(struct run *r)
{
    struct event boot = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = uid('b', 1), .seed = 1}};
    must(r, &boot);
    for (uint32_t i = 0; i < 2; i++) {
        struct event e = {.kind = EVENT_KIND_tenant_add,
                          .u.tenant_add = {.tenant = uid('t', i), .ledger = EUR, .transfer = uid('f', i)}};
        (void)snprintf(e.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        must(r, &e);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct event e = {.kind = EVENT_KIND_chip_add,
                          .u.chip_add = {.watts = 300 + 100 * i, .idle_watts = 50}};
        (void)snprintf(e.u.chip_add.chip, CHIP_CAP, "%s", chips[i]);
        (void)snprintf(e.u.chip_add.vendor, NAME_CAP, "%s", vendors[i]);
        must(r, &e);
    }
    set_dispatch(r);
    for (uint32_t i = 0; i < SITES; i++) {
        struct event e = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('s', i)}};
        (void)snprintf(e.u.site_add.name, NAME_CAP, "site-%u", i);
        (void)snprintf(e.u.site_add.jurisdiction, CODE_CAP, "%s", codes[i % 3]);
        must(r, &e);
    }
    for (uint32_t i = 0; i < POOLS; i++) {
        r->nodes[i] = 1 + (uint32_t)below(r, 6);
        struct event e = {.kind = EVENT_KIND_pool_add,
                          .u.pool_add = {.pool = uid('p', i),
                                         .site = uid('s', i % SITES),
                                         .nodes = r->nodes[i],
                                         .node_chips = i % 2 ? 8 : 4,
                                         .domain = 1 + i % 3}};
        (void)snprintf(e.u.pool_add.chip, CHIP_CAP, "%s", chips[i % 3]);
        must(r, &e);
    }
}

static void submit(struct run *r)
{
    struct event e = {.kind = EVENT_KIND_job_submit};
    struct event_job_submit *j = &e.u.job_submit;
    *j = (struct event_job_submit){.job = uid('j', r->submitted++),
                                   .tenant = uid('t', below(r, 2)),
                                   .count0 = 1 + (uint32_t)below(r, below(r, 4) ? 8 : 40),
                                   .rate0 = 1000,
                                   .duration_ms = (int64_t)below(r, 50) * 1000};
    if (below(r, 2))
        (void)snprintf(j->chip0, CHIP_CAP, "%s", chips[below(r, 3)]);
    if (below(r, 3) == 0) {
        (void)snprintf(j->chip1, CHIP_CAP, "%s", chips[below(r, 3)]);
        j->count1 = 1 + (uint32_t)below(r, 20);
        j->rate1 = 500;
    }
    if (below(r, 6) == 0)
        j->site = uid('s', below(r, SITES + 1));
    if (below(r, 6) == 0)
        (void)snprintf(j->jurisdiction, CODE_CAP, "%s", codes[below(r, 3)]);
    if (below(r, 6) == 0)
        (void)snprintf(j->vendor, NAME_CAP, "%s", vendors[below(r, 3)]);
    j->flags = below(r, 8) == 0 ? JOB_ONE_DOMAIN | JOB_INTERRUPTIBLE : 0;
    (void)step(r, &e);
}

static void end(struct run *r)
{
    if (r->nrunning == 0)
        return;
    uint32_t i = (uint32_t)below(r, r->nrunning);
    bool late = below(r, 20) == 0; /* the report of an epoch that is over */
    struct event e = {.kind = EVENT_KIND_job_end,
                      .u.job_end = {.job = uid('j', r->running[i].job), .epoch = r->running[i].epoch - late}};
    int rc = step(r, &e);
    assert_true(late ? rc != 0 : rc == 0);
    if (!late)
        r->running[i] = r->running[--r->nrunning];
}

static void happen(struct run *r)
{
    static const uint32_t states[] = {PLACE_UP, PLACE_UP, PLACE_CORDONED, PLACE_LOST};
    struct event e = {0};
    uint32_t pool = (uint32_t)below(r, POOLS);
    switch (below(r, 60)) {
    case 0:
        e.kind = EVENT_KIND_site_state;
        e.u.site_state =
            (struct event_site_state){.site = uid('s', below(r, SITES)), .state = states[below(r, 4)]};
        break;
    case 1:
    case 2:
        e.kind = EVENT_KIND_node_state;
        e.u.node_state = (struct event_node_state){.pool = uid('p', pool),
                                                   .node = (uint32_t)below(r, r->nodes[pool] + 1),
                                                   .state = states[below(r, 4)]};
        break;
    case 3:
        e.kind = EVENT_KIND_site_cap;
        e.u.site_cap = (struct event_site_cap){.site = uid('s', below(r, SITES)),
                                               .watts = below(r, 2) * below(r, 20000)};
        break;
    case 4:
        e.kind = EVENT_KIND_site_signal;
        e.u.site_signal = (struct event_site_signal){
            .site = uid('s', below(r, SITES)), .pue = 1000 + (uint32_t)below(r, 500), .price = 1000};
        break;
    case 5:
        set_dispatch(r);
        return;
    case 6:
    case 7:
        e.kind = EVENT_KIND_job_cancel;
        e.u.job_cancel.job = uid('j', below(r, r->submitted + 1));
        break;
    default:
        if (below(r, 5) < 3 && checker_waiting(r->checker) + checker_running(r->checker) < JOBS_MAX)
            submit(r);
        else
            end(r);
        return;
    }
    bool cancel = e.kind == EVENT_KIND_job_cancel;
    int rc = step(r, &e);
    assert_true(rc == 0 || cancel || e.kind == EVENT_KIND_node_state || e.kind == EVENT_KIND_site_signal);
}

static void run(struct run *r, uint64_t seed, uint64_t instants, uint64_t tamper_at)
{
    struct limits limits = small_limits();
    limits.sites = SITES;
    limits.chips = 3;
    limits.pools = POOLS;
    limits.nodes = 64;
    limits.jobs = JOBS_MAX + 100;
    limits.shares = 1000;
    limits.shapes = JOBS_MAX + 100;
    const struct checker_limits of_checker = {.sites = SITES,
                                              .chips = 3,
                                              .pools = POOLS,
                                              .nodes = 64,
                                              .jobs = JOBS_MAX,
                                              .shares = 1000,
                                              .asks = 8192};
    size_t size = core_size(&limits);
    void *block = calloc(1, size);
    assert_non_null(block);
    *r = (struct run){.random = seed, .now_ms = 1000000, .tamper_at = tamper_at};
    r->effects = (struct effects){.list = r->list, .cap = EFFECTS_MAX};
    r->core = core_init(block, size, &limits);
    r->checker = checker_new(&of_checker);
    assert_non_null(r->checker);
    build(r);
    for (uint64_t i = 0; i < instants && (tamper_at == 0 || r->starts < tamper_at); i++) {
        for (uint64_t k = below(r, 6); k > 0; k--)
            happen(r);
        while (core_deadline_ms(r->core) <= r->now_ms) {
            struct event tick = {.kind = EVENT_KIND_tick};
            must(r, &tick);
        }
        checker_end_of_time(r->checker, r->now_ms);
        r->now_ms += 1000;
    }
    free(block);
}

static struct run the_run;

static void test_clean(void **state)
{
    (void)state;
    struct run *r = &the_run;
    uint64_t seed = test_seed();
    uint64_t rounds = test_count(5, 200);
    uint64_t starts = 0;
    uint64_t stops = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t hash[2][DIGEST_LEN];
        for (uint32_t twice = 0; twice < 2; twice++) {
            run(r, seed + i, 1500, 0);
            if (checker_violations(r->checker) > 0)
                fail_msg("seed %llu: %llu violations, %s", (unsigned long long)(seed + i),
                         (unsigned long long)checker_violations(r->checker), checker_first(r->checker));
            assert_int_equal(checker_running(r->checker), r->nrunning);
            checker_hash(r->checker, hash[twice]);
            checker_free(r->checker);
        }
        assert_memory_equal(hash[0], hash[1], DIGEST_LEN);
        starts += r->starts;
        stops += r->stops;
    }
    printf("# %llu starts, %llu stops\n", (unsigned long long)starts, (unsigned long long)stops);
    assert_true(starts > rounds * 50 && stops > rounds);
}

static void test_tampered(void **state)
{
    (void)state;
    struct run *r = &the_run;
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < test_count(50, 1000); i++) {
        run(r, seed + i, 1500, 1 + i % 40);
        if (r->starts < r->tamper_at)
            fail_msg("seed %llu: only %llu starts", (unsigned long long)(seed + i),
                     (unsigned long long)r->starts);
        if (checker_violations(r->checker) == 0)
            fail_msg("seed %llu: tampering with start %llu was not found", (unsigned long long)(seed + i),
                     (unsigned long long)r->tamper_at);
        checker_free(r->checker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_tampered)};
    return cmocka_run_group_tests_name("property_dispatch", tests, NULL, NULL);
}
