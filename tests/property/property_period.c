/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets of tenants, projects and keys that begin anew, hard and soft, drawn on by requests and by jobs, against a model that
 * adds up grants, bills and payments by itself.
 *
 * The model keeps for each owner what was posted since its period began and what leases that draw on its hard budget hold. Held
 * against it after every step: posted + held <= hard budget of the period that it is; what the core shows is the same; after a crash
 * it is what was collected last. The model's own calendar is of days and of weeks from Monday, worked out another way.
 */
#include "core/budget.h"

#include "dispatch_support.h"

#define TENANTS 2u
#define PROJECTS 4u /* of tenant p % TENANTS */
#define KEYS 12u    /* of tenant k % TENANTS; the first four of no project, others of project k % PROJECTS */
#define JOBS 24u
#define LEASES 120u
#define OWNERS (TENANTS + PROJECTS + KEYS)
#define WORKERS 3u
#define CHIPS 8
#define PRICE 3600000 /* nano-units for a chip-hour: one for a chip-ms */
#define DAY INT64_C(86400000)

enum { HARD, SOFT };

struct m_budget {
    bool set;
    uint32_t per;
    int64_t amount, spent, begun;
};

struct m_lease {
    bool live, draws[OWNERS]; /* the hard budgets that it draws on */
    uint64_t id;
    uint32_t key, worker, purse;
    int64_t held;
};

struct m_job {
    bool live;
    uint32_t key; /* KEYS: with none */
    uint64_t id, ms;
};

struct model {
    struct m_budget budget[OWNERS][2];
    struct m_lease lease[LEASES];
    struct m_job job[JOBS];
    uint64_t next_id, sequence[WORKERS];
};

struct ask {
    bool live;
    uint64_t token, lease;
    uint32_t key, worker, purse;
};

struct play {
    struct world *w;
    struct model now, saved;
    struct ask ask[64];
    uint64_t seed, grants, refusals, meters, resets, jobs, stops, crashes, sets;
};

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

static uint32_t tenant_of(uint32_t key)
{
    return key % TENANTS;
}

static bool has_project(uint32_t key)
{
    return key >= PROJECTS;
}

/* Owners: tenants, then projects, then keys. */
static struct uuid owner_id(uint32_t o, uint32_t *scope)
{
    *scope = o < TENANTS ? BUDGET_TENANT : o < TENANTS + PROJECTS ? BUDGET_PROJECT : BUDGET_KEY;
    return o < TENANTS              ? uid('T', o + 1)
           : o < TENANTS + PROJECTS ? uid('Q', o - TENANTS + 1)
                                    : uid('K', o - TENANTS - PROJECTS + 1);
}

/* Whether what is charged with the key counts to the owner. */
static bool counts_to(uint32_t key, uint32_t tenant, uint32_t o)
{
    if (o < TENANTS)
        return o == tenant;
    if (key == KEYS)
        return false;
    return o < TENANTS + PROJECTS ? has_project(key) && key % PROJECTS == o - TENANTS
                                  : key == o - TENANTS - PROJECTS;
}

/* Days since a Monday long ago: 5 January 1970 was one. */
static int64_t period_of(uint32_t per, int64_t now)
{
    const int64_t days = now / DAY - 4;
    return per == BUDGET_DAY ? days : per == BUDGET_WEEK ? (days + 7000) / 7 : 0;
}

static int64_t held_of(const struct model *m, uint32_t o)
{
    int64_t held = 0;
    for (uint32_t i = 0; i < LEASES; i++)
        held += m->lease[i].live && m->lease[i].draws[o] ? m->lease[i].held : 0;
    return held;
}

/* Periods that are over, in the model. */
static void turn(struct play *p)
{
    for (uint32_t i = 0; i < OWNERS * 2; i++) {
        struct m_budget *b = &p->now.budget[i / 2][i % 2];
        if (!b->set || period_of(b->per, b->begun) == period_of(b->per, p->w->now))
            continue;
        p->resets += b->spent > 0;
        b->spent = 0;
        b->begun = p->w->now;
    }
}

static void check(const struct play *p)
{
    for (uint32_t i = 0; i < OWNERS * 2; i++) {
        const struct m_budget *b = &p->now.budget[i / 2][i % 2];
        uint32_t scope;
        struct uuid id = owner_id(i / 2, &scope);
        struct view_balance shown;
        bool there = view_budget(p->w->core, &id, scope, i % 2, &shown) != NULL;
        assert_true(there == b->set);
        if (!there)
            continue;
        int64_t held = i % 2 == HARD ? held_of(&p->now, i / 2) : 0;
        assert_true(shown.budget == b->amount && shown.spent == b->spent && shown.held == held);
        if (i % 2 == HARD)
            assert_true(b->spent + held <= b->amount);
    }
}

/* Charged with a key, drawing on a lease or (NULL) paid at once. */
static void charge(struct play *p, uint32_t key, uint32_t tenant, const struct m_lease *lease, int64_t amount)
{
    turn(p);
    for (uint32_t o = 0; o < OWNERS; o++) {
        if (!counts_to(key, tenant, o))
            continue;
        struct m_budget *b = p->now.budget[o];
        b[SOFT].spent += b[SOFT].set ? amount : 0;
        if (b[HARD].set && (!lease || lease->draws[o]))
            b[HARD].spent += amount;
    }
}

/* What comes back of asks; grants may come with any step. */
static void take_effects(struct play *p)
{
    for (uint32_t k = 0; k < p->w->effects.n; k++) {
        const struct effect *e = &p->w->list[k];
        for (uint32_t i = 0; i < 64 && e->kind == EFFECT_REPLY; i++) {
            struct ask *ask = &p->ask[i];
            if (!ask->live || ask->token != e->token)
                continue;
            ask->live = false;
            p->refusals += e->code == ERR_BUDGET_SPENT;
            if (e->code != 0)
                continue;
            uint32_t l = 0;
            while (l < LEASES && p->now.lease[l].live)
                l++;
            assert_true(l < LEASES);
            struct m_lease *lease = &p->now.lease[l];
            *lease = (struct m_lease){.live = true,
                                      .id = ask->lease,
                                      .key = ask->key,
                                      .worker = ask->worker,
                                      .purse = ask->purse,
                                      .held = e->amount};
            for (uint32_t o = 0; o < OWNERS; o++)
                lease->draws[o] = p->now.budget[o][HARD].set && counts_to(ask->key, tenant_of(ask->key), o) &&
                                  (o < TENANTS + PROJECTS || ask->purse == BUDGET_KEY);
            p->grants++;
        }
    }
}

/* ---- what is done ---- */

static void ask_one(struct play *p)
{
    uint32_t i = 0, leases = 0;
    while (i < 64 && p->ask[i].live)
        i++;
    for (uint32_t l = 0; l < LEASES; l++)
        leases += p->now.lease[l].live;
    if (i == 64 || leases + 64 >= LEASES)
        return;
    uint32_t key = (uint32_t)draw(p, KEYS), wide = has_project(key) ? BUDGET_PROJECT : BUDGET_TENANT;
    bool limited = p->now.budget[TENANTS + PROJECTS + key][HARD].set;
    /* A worker that has not heard of a key's budget yet asks for the wider purse, now and then. */
    uint32_t purse = limited && draw(p, 8) ? BUDGET_KEY : wide;
    p->ask[i] = (struct ask){.live = true,
                             .token = p->w->token + 1,
                             .lease = ++p->now.next_id,
                             .key = key,
                             .worker = (uint32_t)draw(p, WORKERS),
                             .purse = purse};
    struct event e = {.kind = EVENT_KIND_lease_ask,
                      .u.lease_ask = {.worker = uid('W', p->ask[i].worker + 1),
                                      .lease = uid('L', p->ask[i].lease),
                                      .key_lease = uid('l', p->ask[i].lease),
                                      .tenant = uid('T', tenant_of(key) + 1),
                                      .key = uid('K', key + 1),
                                      .want = 1 + (int64_t)draw(p, 3000),
                                      .purse = purse}};
    (void)world_step(p->w, &e);
    take_effects(p);
}

static void meter_one(struct play *p)
{
    struct m_lease *lease = &p->now.lease[draw(p, LEASES)];
    if (!lease->live || lease->held == 0)
        return;
    /* Another key may use it whose requests share it: of the same project, or of none. */
    uint32_t key = lease->key;
    uint32_t other = (key + TENANTS * (uint32_t)draw(p, KEYS)) % KEYS;
    bool same = tenant_of(other) == tenant_of(key) && has_project(other) == has_project(key) &&
                (!has_project(key) || other % PROJECTS == key % PROJECTS);
    if (lease->purse != BUDGET_KEY && same)
        key = other;
    int64_t cost = 1 + (int64_t)draw(p, (uint64_t)lease->held);
    p->now.sequence[lease->worker]++;
    lease->held -= cost;
    charge(p, key, tenant_of(key), lease, cost);
    struct event e = meter_event(lease->worker + 1, p->now.sequence[lease->worker], lease->id,
                                 tenant_of(key) + 1, key + 1, (uint32_t)cost);
    assert_int_equal(world_step(p->w, &e), 0);
    p->meters++;
    take_effects(p);
}

static void return_one(struct play *p)
{
    struct m_lease *lease = &p->now.lease[draw(p, LEASES)];
    if (!lease->live)
        return;
    bool close = draw(p, 2);
    int64_t amount = close ? 0 : (int64_t)draw(p, (uint64_t)lease->held + 1);
    uint64_t id = lease->id;
    uint32_t worker = lease->worker;
    lease->held -= close ? lease->held : amount;
    lease->live = !close;
    assert_int_equal(do_return(p->w, worker + 1, id, amount, close), 0);
    take_effects(p);
}

static void set_one(struct play *p)
{
    uint32_t o = (uint32_t)draw(p, OWNERS), soft = draw(p, 3) == 0, scope;
    struct m_budget *b = &p->now.budget[o][soft];
    const struct m_budget before = *b;
    struct uuid id = owner_id(o, &scope);
    static const uint32_t pers[] = {BUDGET_DAY, BUDGET_DAY, BUDGET_WEEK, BUDGET_EVER};
    int64_t amount = draw(p, 6) == 0 ? -1 : (int64_t)draw(p, scope == BUDGET_TENANT ? 60000 : 20000);
    struct event e = {
        .kind = EVENT_KIND_budget_set,
        .u.budget_set = {
            .owner = id, .scope = scope, .soft = soft, .per = pers[draw(p, 4)], .amount = amount}};
    turn(p);
    int64_t spent = before.set && before.per == e.u.budget_set.per ? b->spent : 0;
    int64_t held = before.set && soft == HARD ? held_of(&p->now, o) : 0;
    int expected = amount < 0                                            ? before.set ? 0 : ERR_NOT_FOUND
                   : before.set && soft == HARD && amount < spent + held ? ERR_WRONG_STATE
                                                                         : 0;
    if (expected == 0) {
        *b = (struct m_budget){.set = amount >= 0,
                               .per = e.u.budget_set.per,
                               .amount = amount,
                               .spent = spent,
                               .begun = p->w->now};
        for (uint32_t i = 0; i < LEASES && amount < 0 && soft == HARD; i++)
            p->now.lease[i].draws[o] = false;
    }
    assert_int_equal(world_step(p->w, &e), expected);
    p->sets += expected == 0;
    take_effects(p);
}

static void submit_one(struct play *p)
{
    uint32_t i = 0;
    while (i < JOBS && p->now.job[i].live)
        i++;
    if (i == JOBS)
        return;
    uint32_t key = (uint32_t)draw(p, KEYS + 1),
             tenant = key == KEYS ? (uint32_t)draw(p, TENANTS) : tenant_of(key);
    bool spent = false;
    turn(p);
    for (uint32_t o = 0; o < OWNERS; o++) {
        const struct m_budget *b = &p->now.budget[o][HARD];
        spent |= counts_to(key, tenant, o) && b->set && b->amount - b->spent < 1;
    }
    struct event_job_submit e = job_request(++p->now.next_id, CHIPS, HOUR);
    e.tenant = uid('T', tenant + 1);
    e.key = key == KEYS ? (struct uuid){{0}} : uid('K', key + 1);
    assert_int_equal(do_submit(p->w, e), spent ? ERR_BUDGET_SPENT : 0);
    take_effects(p);
    if (!spent)
        p->now.job[i] =
            (struct m_job){.live = true, .key = key == KEYS ? KEYS + tenant : key, .id = p->now.next_id};
}

static void report_one(struct play *p)
{
    struct m_job *job = &p->now.job[draw(p, JOBS)];
    struct uuid id = uid('J', job->id);
    const struct row_job_usage *usage = job->live ? view_job_usage(p->w->core, &id, 1) : NULL;
    if (!usage || (job->ms += draw(p, 700)) > (uint64_t)(p->w->now - usage->started_ms))
        return;
    uint32_t tenant = job->key >= KEYS ? job->key - KEYS : tenant_of(job->key);
    uint32_t key = job->key >= KEYS ? KEYS : job->key;
    int64_t before = usage->cost, room = INT64_MAX;
    turn(p);
    for (uint32_t o = 0; o < OWNERS; o++) {
        const struct m_budget *b = &p->now.budget[o][HARD];
        int64_t left = b->amount - b->spent - held_of(&p->now, o);
        if (counts_to(key, tenant, o) && b->set && left < room)
            room = left;
    }
    int64_t owed = (int64_t)job->ms * CHIPS - before;
    charge(p, key, tenant, NULL, owed < room ? owed : room);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = id, .epoch = 1, .ms = job->ms, .chip_ms = job->ms * CHIPS}};
    if (job->ms == 0 || owed <= 0)
        return;
    assert_int_equal(world_step(p->w, &e), 0);
    p->jobs++;
    take_effects(p);
    const struct row_job *row = view_job(p->w->core, &id);
    p->stops += !row || row->state != JOB_RUNNING;
    job->live = row && row->state == JOB_RUNNING;
}

static void time_passes(struct play *p)
{
    p->w->now += (int64_t)draw(p, draw(p, 30) ? 1500 : 3 * (uint64_t)DAY);
    for (int i = 0; i < 100 && core_deadline_ms(p->w->core) <= p->w->now; i++) {
        assert_int_equal(do_tick(p->w), 0);
        turn(p);
        take_effects(p);
    }
    turn(p);
}

static void end_batch(struct play *p, bool crash)
{
    if (crash) {
        int64_t now = p->w->now;
        assert_int_equal(world_reload(p->w), 0);
        p->now = p->saved;
        memset(p->ask, 0, sizeof p->ask);
        p->now.next_id = p->w->token * 1000;
        p->w->now = now;
        assert_int_equal(do_tick(p->w), 0);
        turn(p);
        p->crashes++;
    }
    world_collect(p->w);
    assert_int_equal(core_check(p->w->core), 0);
    check(p);
    p->saved = p->now;
}

/* ---- the whole ---- */

static void add_key(struct world *w, uint32_t key)
{
    struct event e = {.kind = EVENT_KIND_key_add,
                      .u.key_add = {.key = uid('K', key + 1),
                                    .tenant = uid('T', tenant_of(key) + 1),
                                    .scopes = SCOPE_INFERENCE,
                                    .budget = -1,
                                    .transfer = uid('F', w->token + 1)}};
    if (has_project(key))
        e.u.key_add.project = uid('Q', key % PROJECTS + 1);
    (void)snprintf(e.u.key_add.name, NAME_CAP, "key-%u", (unsigned)key);
    (void)snprintf(e.u.key_add.public_id, 16, "p%u", (unsigned)key);
    assert_int_equal(world_step(w, &e), 0);
}

static void start(struct play *p, uint64_t seed)
{
    struct limits limits = dispatch_limits(2, 2, 4096);
    limits.meters = 64;
    limits.leases = 256;
    limits.waiters = 128;
    limits.workers = 8;
    limits.models = 4;
    limits.prices = 4;
    limits.keys = 32;
    *p = (struct play){.w = world_dispatch(&limits, 0), .seed = seed};
    struct world *w = p->w;
    w->mirror.forget_transfers = true;
    w->now = INT64_C(1763812800000);
    for (uint32_t i = 0; i < TENANTS; i++)
        assert_int_equal(do_tenant(w, i + 1, MONEY_MAX / 4), 0);
    do_two_sites(w, PRICE);
    assert_int_equal(do_pool_price(w, 2, PRICE), 0);
    assert_int_equal(do_model(w, 1), 0);
    assert_int_equal(do_variant(w, 1, 1), 0);
    assert_int_equal(do_price(w, 1, 1, 1000000, 2000000), 0);
    for (uint32_t i = 0; i < PROJECTS; i++) {
        struct event e = {.kind = EVENT_KIND_project_add,
                          .u.project_add = {.project = uid('Q', i + 1), .tenant = uid('T', i % TENANTS + 1)}};
        (void)snprintf(e.u.project_add.name, NAME_CAP, "project-%u", (unsigned)i);
        assert_int_equal(world_step(w, &e), 0);
    }
    for (uint32_t i = 0; i < KEYS; i++)
        add_key(w, i);
    for (uint32_t i = 0; i < WORKERS; i++)
        assert_int_equal(do_worker(w, i + 1), 0);
    w->batching = true;
    end_batch(p, false);
}

static void act(struct play *p)
{
    uint64_t what = draw(p, 100);
    if (what < 30)
        ask_one(p);
    else if (what < 55)
        meter_one(p);
    else if (what < 65)
        return_one(p);
    else if (what < 70)
        set_one(p);
    else if (what < 75)
        submit_one(p);
    else if (what < 90)
        report_one(p);
    else
        time_passes(p);
}

static void test_periods_hold(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), operations = test_count(60000, 3000000), done = 0, sums[8] = {0};
    struct play *p = malloc(sizeof *p);
    while (done < operations) {
        start(p, seed + done);
        for (int batch = 0; batch < 200; batch++) {
            for (uint64_t i = 0, n = 1 + draw(p, 60); i < n; i++, done++) {
                act(p);
                check(p);
            }
            end_batch(p, draw(p, 20) == 0);
        }
        const uint64_t counts[] = {p->grants, p->refusals, p->meters,  p->resets,
                                   p->jobs,   p->stops,    p->crashes, p->sets};
        for (size_t i = 0; i < 8; i++)
            sums[i] += counts[i];
        world_free(p->w);
    }
    free(p);
    printf("# operations %llu: leases %llu, refusals %llu, meters %llu, resets %llu, reports %llu, jobs "
           "stopped %llu, crashes "
           "%llu, budgets set %llu\n",
           (unsigned long long)done, (unsigned long long)sums[0], (unsigned long long)sums[1],
           (unsigned long long)sums[2], (unsigned long long)sums[3], (unsigned long long)sums[4],
           (unsigned long long)sums[5], (unsigned long long)sums[6], (unsigned long long)sums[7]);
    for (size_t i = 0; i < 8; i++)
        assert_true(sums[i] > 20); /* every path was taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_periods_hold)};
    return cmocka_run_group_tests_name("period", tests, NULL, NULL);
}
