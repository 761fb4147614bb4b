/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What epochs of jobs use, told in any order, again and late, against a model that knows the greatest total of each epoch.
 *
 * Jobs start, end, come back and lose their money at three sites with prices of their own. Held against the model all the time:
 * what an epoch has cost is what its greatest total comes to, paid or owed (invariant 3: each chip-second once, under one epoch);
 * what left a wallet is what rows say was paid and sites got (4), and never more than the budget (2); a job goes on unless its
 * tenant has spent all. The core is loaded from its rows now and then.
 *
 * Every other job has data, which is a line of its own: its bytes are told in parts, and all of them by a report that may come before or
 * long after the final one. Site 1 is the hub's own; to the others there are corridors with prices.
 */
#include "base/checked.h"
#include "dispatch_support.h"

#define SITES 3u
#define TENANTS 2u
#define CHIPS 16u
#define JOBS 120u
#define EPOCHS 1000u
#define REPORTS 4000u

struct m_epoch {
    uint64_t job;
    uint32_t epoch, tenant, site, chips;
    int64_t price;            /* of its site when it began */
    int64_t start_ms, end_ms; /* 0: it runs */
    uint64_t chip_ms;         /* the greatest total that was taken */
    int64_t paid;
    bool final, closed;
    bool due, told;     /* it has data; all of it was told */
    uint64_t in, out;   /* the greatest totals */
    int64_t data_price; /* of its corridor when it began */
    int64_t data_paid;
};

struct play {
    struct world *w;
    uint64_t seed;
    int64_t price[SITES], data_price[SITES];
    int64_t budget[TENANTS], spent[TENANTS];
    struct m_epoch epoch[EPOCHS];
    uint32_t n, jobs;
    struct event_job_meter sent[REPORTS];
    uint32_t nsent;
    uint64_t stops, closed, repeats, unpaid, late;
};

static struct play the_play;

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

static struct m_epoch *epoch_of(struct play *p, const struct uuid *job, uint32_t epoch)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->epoch[i].epoch == epoch && is_uid(job, 'J', p->epoch[i].job))
            return &p->epoch[i];
    }
    return NULL;
}

/* Named from either end. */
static void add_corridor(struct play *p, uint32_t site)
{
    struct uuid ends[] = {uid('S', 1), uid('S', site + 1)};
    const uint64_t turned = draw(p, 2);
    p->data_price[site] = (int64_t)draw(p, 100000);
    struct event e = {.kind = EVENT_KIND_corridor_add,
                      .u.corridor_add = {.corridor = uid('C', site + 1),
                                         .a = ends[turned],
                                         .b = ends[1 - turned],
                                         .bits_s = 1000,
                                         .price = p->data_price[site]}};
    assert_int_equal(world_step(p->w, &e), 0);
}

static void set_corridor(struct play *p, uint32_t site)
{
    p->data_price[site] = (int64_t)draw(p, 100000);
    struct event e = {
        .kind = EVENT_KIND_corridor_set,
        .u.corridor_set = {.corridor = uid('C', site + 1), .bits_s = 1000, .price = p->data_price[site]}};
    assert_int_equal(world_step(p->w, &e), 0);
}

static void build(struct play *p, uint64_t seed, uint32_t meters, bool rich)
{
    struct limits limits = dispatch_limits(4, 4, JOBS);
    limits.meters = meters;
    limits.corridors = SITES;
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->w = world_dispatch(&limits, 0);
    for (uint32_t i = 0; i < TENANTS; i++) {
        p->budget[i] = rich ? MONEY_MAX / 4 : (int64_t)draw(p, 200000);
        assert_int_equal(do_tenant(p->w, i + 1, p->budget[i]), 0);
    }
    assert_int_equal(do_chip(p->w, "chip", "v", 100), 0);
    for (uint32_t i = 0; i < SITES; i++) {
        assert_int_equal(do_site(p->w, i + 1), 0);
        struct event_pool_add pool = pool_request(i + 1, i + 1, 2, CHIPS / 2);
        p->price[i] = i == 0 ? 0 : 1 + (int64_t)draw(p, i == 1 ? 100 : 100000);
        pool.price = p->price[i];
        assert_int_equal(do_pool(p->w, pool), 0);
        if (i > 0)
            add_corridor(p, i);
    }
}

/* ---- what comes back ---- */

static void follow(struct play *p)
{
    for (uint32_t i = 0; i < p->w->effects.n; i++) {
        const struct effect *e = &p->w->list[i];
        if (e->kind == EFFECT_JOB_START) {
            struct m_epoch *m = &p->epoch[p->n++];
            uint64_t job = (uint64_t)e->job.b[14] << 8 | e->job.b[15];
            assert_true(p->n <= EPOCHS && !epoch_of(p, &e->job, e->epoch + 1));
            *m = (struct m_epoch){.job = job,
                                  .epoch = e->epoch,
                                  .tenant = job % TENANTS,
                                  .site = e->pool.b[15] - 1u,
                                  .chips = e->chips,
                                  .price = p->price[e->pool.b[15] - 1u],
                                  .data_price = p->data_price[e->pool.b[15] - 1u],
                                  .due = job % 2 == 0,
                                  .start_ms = p->w->now};
        } else if (e->kind == EFFECT_JOB_STOP) {
            epoch_of(p, &e->job, e->epoch)->end_ms = p->w->now;
        }
    }
}

static int64_t cost_of(const struct m_epoch *m)
{
    return (int64_t)((int128)m->price * m->chip_ms / 3600000);
}

/* Half to even, of twice as much, so that the halves are whole. */
static int64_t data_of(const struct m_epoch *m)
{
    const int128 gb = 1000000000, twice = (int128)(m->in + m->out) * m->data_price * 2 + gb;
    const int128 up = twice / (2 * gb);
    return (int64_t)(twice % (2 * gb) == 0 && up % 2 == 1 ? up - 1 : up);
}

static bool complete(const struct m_epoch *m)
{
    return m->final && (!m->due || m->told);
}

/* Lines of bills have each chip-ms and each nano-unit once, at the price at which its epoch began, whatever it is now. */
static void check_lines(const struct play *p, int64_t spent)
{
    const struct mirror *m = &p->w->mirror;
    const void **list = mirror_sorted(m, ROW_KIND_bill);
    uint64_t chip_ms = 0;
    for (uint32_t i = 0; i < p->n; i++)
        chip_ms += p->epoch[i].chip_ms;
    for (uint32_t i = 0; i < m->count[ROW_KIND_bill]; i++) {
        const struct row_bill *row = list[i];
        chip_ms -= row->chip_ms;
        spent -= row->cost;
        if (row->bytes == 0 && row->chip_ms > 0)
            assert_true(row->cost <= (int64_t)((int128)row->rate * row->chip_ms / 3600000));
    }
    free(list);
    assert_true(spent == 0 && chip_ms == 0);
}

static void check(struct play *p)
{
    int64_t rows = 0, revenue = 0, spent = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct m_epoch *m = &p->epoch[i];
        struct row_job_usage key = {.job = uid('J', m->job), .epoch = m->epoch};
        const struct row_job_usage *row = mirror_find(&p->w->mirror, ROW_KIND_job_usage, &key);
        assert_non_null(row);
        assert_true(row->cost == m->paid && row->cost + row->unpaid == cost_of(m));
        assert_true(row->chip_ms == m->chip_ms && row->price == m->price);
        assert_true(row->data_cost == m->data_paid && row->data_cost + row->data_unpaid == data_of(m));
        assert_true(row->bytes_in == m->in && row->bytes_out == m->out && row->data_price == m->data_price);
        assert_int_equal(row->state == JOB_USAGE_RUNS, m->end_ms == 0);
        rows += row->cost + row->data_cost;
    }
    assert_int_equal(p->w->mirror.count[ROW_KIND_job_usage], p->n);
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct view_balance b = balance_of(p->w, i + 1);
        assert_true(b.spent == p->spent[i] && b.spent <= b.budget && b.budget == p->budget[i]);
        spent += b.spent;
    }
    uint32_t pos = 0;
    for (const struct row_account *a; (a = view_account_at(p->w->core, &pos)) != NULL;)
        revenue += a->code == ACCOUNT_REVENUE ? a->credits_posted : 0;
    assert_true(rows == spent && revenue == spent);
    check_lines(p, spent);
    assert_int_equal(core_check(p->w->core), 0); /* debits equal credits */
}

/* ---- what is done ---- */

static void submit(struct play *p)
{
    if (p->jobs == JOBS)
        return;
    uint64_t job = ++p->jobs;
    struct event_job_submit request = job_request(job, 1 + (uint32_t)draw(p, CHIPS), HOUR);
    request.tenant = uid('T', job % TENANTS + 1);
    assert_int_equal(do_submit(p->w, request), 0);
}

/* Of one that runs, if there is any. */
static void end(struct play *p)
{
    uint32_t i = 0, last = p->n > 30 ? p->n - 30 : 0;
    for (i = p->n; i > last && (p->epoch[i - 1].end_ms > 0 || draw(p, 3));)
        i--;
    if (i == last)
        return;
    struct m_epoch *m = &p->epoch[i - 1];
    struct event e = {.kind = EVENT_KIND_job_return,
                      .u.job_return = {.job = uid('J', m->job), .epoch = m->epoch, .code = 1}};
    assert_int_equal(draw(p, 2) ? do_end(p->w, m->job, m->epoch) : world_step(p->w, &e), 0);
    m->end_ms = p->w->now;
}

/* All that its data ever moves. */
static uint64_t all_in(const struct m_epoch *m)
{
    return m->due ? (m->job * 7919 + m->epoch) * UINT64_C(1000003) % 2000000000 : 0;
}

static uint64_t all_out(const struct m_epoch *m)
{
    return m->due ? (m->job * 104729 + m->epoch) * UINT64_C(15485863) % 1000000000 : 0;
}

/* Some total of what it used until now, or the last one. */
static struct event_job_meter report_of(struct play *p, const struct m_epoch *m, bool final)
{
    uint64_t most = (uint64_t)((m->end_ms ? m->end_ms : p->w->now) - m->start_ms);
    uint64_t ms = final ? most : draw(p, most + 1);
    return (struct event_job_meter){.job = uid('J', m->job),
                                    .epoch = m->epoch,
                                    .site = uid('S', m->site + 1),
                                    .ms = ms,
                                    .chip_ms = ms * m->chips,
                                    .cpu_ms = ms / 2,
                                    .energy_mj = ms * 7,
                                    .bytes_in = draw(p, all_in(m) + 1),
                                    .bytes_out = draw(p, all_out(m) + 1),
                                    .flags = !final   ? 0
                                             : m->due ? JOB_METER_FINAL | JOB_METER_DATA_DUE
                                                      : JOB_METER_FINAL};
}

static struct event_job_meter data_report_of(const struct m_epoch *m)
{
    return (struct event_job_meter){.job = uid('J', m->job),
                                    .epoch = m->epoch,
                                    .site = uid('S', m->site + 1),
                                    .bytes_in = all_in(m),
                                    .bytes_out = all_out(m),
                                    .flags = JOB_METER_DATA_TOLD};
}

static bool rise(uint64_t *to, uint64_t total)
{
    const bool more = total > *to;
    *to = more ? total : *to;
    return more;
}

/* What the tenant has goes to it, as far as it goes. What is left owed. */
static int64_t pays(struct play *p, const struct m_epoch *m, int64_t worth, int64_t *paid)
{
    const int64_t owed = worth - *paid, has = p->budget[m->tenant] - p->spent[m->tenant];
    const int64_t now = owed < has ? owed : has;
    *paid += now;
    p->spent[m->tenant] += now;
    return owed - now;
}

static void tell(struct play *p, const struct event_job_meter *report)
{
    struct event e = {.kind = EVENT_KIND_job_meter, .u.job_meter = *report};
    struct m_epoch *m = epoch_of(p, &report->job, report->epoch);
    const struct row_job_usage key = {.job = report->job, .epoch = report->epoch};
    uint32_t runs = 0;
    for (uint32_t i = 0; i < p->n; i++)
        runs += p->epoch[i].job == m->job && p->epoch[i].end_ms == 0;
    int rc = world_step(p->w, &e);
    if (rc != 0) { /* there was no more to come, or others wait for theirs */
        const struct row_job_usage *row = mirror_find(&p->w->mirror, ROW_KIND_job_usage, &key);
        assert_true((rc == ERR_NOT_FOUND || rc == ERR_WRONG_STATE) && m->end_ms > 0);
        assert_int_equal(row->state, JOB_USAGE_CLOSED);
        world_assert_untouched(p->w);
        p->closed += !m->closed && !complete(m);
        m->closed = true;
        return;
    }
    assert_false(m->closed);
    bool more = false;
    if (!complete(m)) {
        const bool tells = (report->flags & JOB_METER_DATA_TOLD) && !m->told;
        if (!m->final)
            more = rise(&m->chip_ms, report->chip_ms) || (report->flags & JOB_METER_FINAL);
        more |= rise(&m->in, report->bytes_in);
        more |= rise(&m->out, report->bytes_out);
        more |= tells;
        p->late += tells && m->final;
        m->told |= tells;
    }
    if (more) {
        int64_t owed = pays(p, m, cost_of(m), &m->paid);
        owed += pays(p, m, data_of(m), &m->data_paid);
        p->unpaid += owed > 0;
        assert_int_equal(world_count(p->w, EFFECT_JOB_STOP), owed > 0 ? runs : 0);
        p->stops += world_count(p->w, EFFECT_JOB_STOP);
    }
    m->final |= report->flags & JOB_METER_FINAL;
    m->closed |= complete(m) && m->end_ms > 0;
    follow(p);
}

static void meter(struct play *p)
{
    if (p->n == 0)
        return;
    if (p->nsent > 0 && draw(p, 3) == 0) {
        tell(p, &p->sent[draw(p, p->nsent)]);
        p->repeats++;
        return;
    }
    const struct m_epoch *m = &p->epoch[p->n - 1 - draw(p, p->n < 25 ? p->n : 25)];
    struct event_job_meter report = report_of(p, m, m->end_ms > 0 && draw(p, 3) == 0);
    if (m->due && draw(p, 6) == 0)
        report = data_report_of(m);
    assert_true(p->nsent < REPORTS);
    p->sent[p->nsent++] = report;
    tell(p, &report);
}

static void happen(struct play *p)
{
    switch (draw(p, 10)) {
    case 0:
        submit(p);
        break;
    case 1:
        end(p);
        break;
    case 2:
        p->w->now += (int64_t)draw(p, 100000);
        break;
    case 3:
        if (draw(p, 20) == 0) {
            uint32_t i = (uint32_t)draw(p, TENANTS);
            p->budget[i] += (int64_t)draw(p, 50000);
            assert_int_equal(do_budget(p->w, i + 1, p->budget[i]), 0);
        } else if (draw(p, 20) == 0) {
            uint32_t i = (uint32_t)draw(p, SITES);
            p->price[i] = (int64_t)draw(p, 100000);
            assert_int_equal(do_pool_price(p->w, i + 1, p->price[i]), 0);
            if (i > 0)
                set_corridor(p, i);
        }
        break;
    case 4:
        if (draw(p, 4) == 0)
            assert_int_equal(world_reload(p->w), 0);
        break;
    default:
        meter(p);
        break;
    }
    while (core_deadline_ms(p->w->core) <= p->w->now) {
        assert_int_equal(do_tick(p->w), 0);
        follow(p);
    }
    check(p);
}

static void test_model(void **state)
{
    (void)state;
    struct play *p = &the_play;
    uint64_t seed = test_seed(), stops = 0, closed = 0, repeats = 0, unpaid = 0, late = 0;
    uint64_t rounds = test_count(10, 300);
    for (uint64_t i = 0; i < rounds; i++) {
        build(p, seed + i, 6, i % 4 == 0);
        for (uint32_t k = 0; k < 2000; k++)
            happen(p);
        for (uint32_t k = 0; k < p->n; k++) { /* whatever is not told yet */
            struct event_job_meter report = report_of(p, &p->epoch[k], true);
            tell(p, &report);
            check(p);
            report = data_report_of(&p->epoch[k]);
            if (p->epoch[k].due)
                tell(p, &report);
            check(p);
        }
        late += p->late;
        stops += p->stops;
        closed += p->closed;
        repeats += p->repeats;
        unpaid += p->unpaid;
        world_free(p->w);
    }
    printf("# %llu stops, %llu reports that could not be paid, %llu repeats, %llu accounts closed "
           "unfinished, %llu told of "
           "data after the final one\n",
           (unsigned long long)stops, (unsigned long long)unpaid, (unsigned long long)repeats,
           (unsigned long long)closed, (unsigned long long)late);
    assert_true(late > rounds && stops > rounds && unpaid > stops && repeats > rounds * 100 &&
                closed > rounds);
}

/* Field by field: what lies between them is anything. */
static void assert_same_report(const struct event_job_meter *a, const struct event_job_meter *b)
{
    const struct layout *layout = layout_event(EVENT_KIND_job_meter);
    uint8_t one[LAYOUT_ENCODED_MAX], other[LAYOUT_ENCODED_MAX];
    size_t len = layout_encode(layout, a, one, sizeof one);
    assert_int_equal(layout_encode(layout, b, other, sizeof other), len);
    assert_memory_equal(one, other, len);
}

/* The same reports in two orders, one of them as they were made and each once: every row is the same. */
static void test_any_order(void **state)
{
    (void)state;
    static struct play both[2];
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < test_count(20, 1000); i++) {
        for (uint32_t k = 0; k < 2; k++) {
            struct play *p = &both[k];
            build(p, seed + i, 64, true);
            for (uint32_t n = 0; n < 60; n++) {
                if (n % 3 == 0)
                    submit(p);
                else if (n % 3 == 1)
                    end(p);
                p->w->now += 1 + (int64_t)draw(p, 100000);
                assert_int_equal(do_tick(p->w), 0);
                follow(p);
            }
            for (uint32_t n = 0; n < p->n; n++) {
                for (uint64_t more = draw(p, 5); more > 0; more--)
                    p->sent[p->nsent++] = report_of(p, &p->epoch[n], false);
                if (p->epoch[n].end_ms > 0 && draw(p, 3))
                    p->sent[p->nsent++] = report_of(p, &p->epoch[n], true);
                if (p->epoch[n].due && draw(p, 3))
                    p->sent[p->nsent++] = data_report_of(&p->epoch[n]);
            }
        }
        assert_int_equal(both[0].nsent, both[1].nsent);
        for (uint32_t n = 0; n < both[0].nsent; n++)
            assert_same_report(&both[0].sent[n], &both[1].sent[n]);
        struct play *p = &both[1];
        for (uint32_t n = 0; n < both[0].nsent; n++)
            tell(&both[0], &both[0].sent[n]);
        uint32_t repeats = p->nsent;
        for (uint32_t n = 0; n < repeats; n++)
            p->sent[p->nsent++] = p->sent[draw(p, repeats)];
        for (uint32_t n = p->nsent; n > 0; n--) {
            uint32_t at = (uint32_t)draw(p, n);
            tell(p, &p->sent[at]);
            p->sent[at] = p->sent[n - 1];
            if (draw(p, 10) == 0)
                assert_int_equal(world_reload(p->w), 0);
        }
        for (uint32_t k = 0; k < 2; k++)
            check(&both[k]);
        assert_true(p->w->mirror.digest[ROW_KIND_job_usage] == both[0].w->mirror.digest[ROW_KIND_job_usage]);
        assert_true(p->w->mirror.digest[ROW_KIND_account] == both[0].w->mirror.digest[ROW_KIND_account]);
        world_free(both[0].w);
        world_free(both[1].w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model), cmocka_unit_test(test_any_order)};
    return cmocka_run_group_tests_name("property_usage", tests, NULL, NULL);
}
