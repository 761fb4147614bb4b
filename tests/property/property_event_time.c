/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that tell when they were used, in random order: leases with their records, jobs that run beside, prices that change, months that
 * end, bills that are closed and notes that correct them, and restarts. Uses are now, up to 35 days ago, up to 5 minutes ahead, and beyond.
 *
 * A model of its own knows from each answer what was charged, and for which day: it is on the line of its day, and on the bill of that
 * month or, once it is closed, of the next one; no closed bill's lines ever change, and none is closed with a total that lacks a late record.
 * Every other life is loaded anew from its rows now and then; the others are lived again from their events at their end, with the same
 * answers and the same rows.
 */
#include "base/checked.h"
#include "core/month.h"
#include "diary.h"
#include "dispatch_support.h"

#define TENANTS 4u
#define LEASES 24u
#define JOBS 24u
#define BUDGET 2000000
#define BATCHES 300
#define DAYS 1024u /* of a life; more than it has */
#define BACK_MS (35 * DAY_MS)
#define AHEAD_MS (INT64_C(5) * 60000)

struct lease {
    uint64_t id; /* 0: none */
    uint32_t tenant;
    int64_t held;
};

struct books {
    int64_t billed[TENANTS];
    uint64_t first_day;
    int64_t line[TENANTS][DAYS]
                [2]; /* by day of use: on that month's bill, and on a later one, as rows of lines say */
    int64_t model[TENANTS][DAYS][2]; /* the same of requests and jobs, as charges were answered */
    int64_t bill[TENANTS][64];       /* by month that bills, from that of the first day on, as lines say */
};

struct play {
    struct world *w;
    struct books *books;
    uint64_t seed, next, sequence, boots;
    struct lease lease[LEASES];
    uint64_t job[JOBS];
    int64_t job_ms[JOBS], total[TENANTS], given[TENANTS], back[TENANTS];
    struct uuid price;
    uint32_t closed; /* month */
    int64_t created_ms;
    uint64_t late[TENANTS]; /* records of months that were over */
    uint64_t corrections, refused;
    uint64_t done[16];
    struct diary diary; /* of this life */
};

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

/* The hub's worker since it started last. Ids of its transfers are made of its own and a sequence, so it is far from others. */
static uint64_t worker(const struct play *p)
{
    return p->boots << 56;
}

/* ---- lines, and what should be on them ---- */

static uint32_t first_month(const struct books *b)
{
    return month_of((int64_t)b->first_day * DAY_MS);
}

/* What is added to a line is on no bill that is closed: a batch ends before one is. */
static void book_line(struct play *p, const struct row_bill *row)
{
    struct books *b = p->books;
    uint32_t t = row->tenant.b[15] - 1u, month = month_of((int64_t)row->day * DAY_MS);
    assert_true(row->day >= b->first_day && row->day - b->first_day < DAYS);
    assert_true(row->billed == 0 || (row->billed == p->closed + 1 && month <= p->closed));
    month = row->billed ? (uint32_t)row->billed : month;
    assert_true(month > p->closed && month - first_month(b) < 64);
    b->billed[t] += row->cost;
    b->line[t][row->day - b->first_day][row->billed != 0] += row->cost;
    b->bill[t][month - first_month(b)] += row->cost;
}

/* The same, from what a charge was answered with and when its use was said to be. */
static void model_charge(struct play *p, uint32_t t, int64_t cost, int64_t used_ms, int64_t least_ms)
{
    used_ms = used_ms ? used_ms : p->w->now;
    used_ms = used_ms > p->created_ms ? used_ms : p->created_ms;
    used_ms = used_ms > least_ms ? used_ms : least_ms;
    uint32_t month = month_of(used_ms);
    p->books->model[t][(uint64_t)(used_ms / DAY_MS) - p->books->first_day][month <= p->closed] += cost;
    p->corrections += month <= p->closed;
    p->late[t] += month < month_of(p->w->now);
}

/* When something was used, as it is told; 0: now. *rc: what comes of that. */
static int64_t draw_used(struct play *p, int *rc)
{
    const int64_t now = p->w->now;
    *rc = 0;
    switch (draw(p, 8)) {
    case 0:
        return now - (int64_t)draw(p, BACK_MS + 1);
    case 1:
        return now + (int64_t)draw(p, AHEAD_MS + 1);
    case 2:
        return draw(p, 2) ? now - BACK_MS : now + AHEAD_MS;
    case 3:
        *rc = draw(p, 2) ? ERR_TOO_OLD : ERR_TOO_NEW;
        return *rc == ERR_TOO_OLD ? now - BACK_MS - 1 - (int64_t)draw(p, DAY_MS)
                                  : now + AHEAD_MS + 1 + (int64_t)draw(p, DAY_MS);
    default:
        return 0;
    }
}

static void on_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct play *p = ctx;
    if (kind == ROW_KIND_bill)
        book_line(p, row);
    mirror_apply(&p->w->mirror, kind, op, row);
}

static void check_books(const struct play *p)
{
    for (uint32_t t = 0; t < TENANTS; t++) {
        assert_true(balance_of(p->w, t + 1).spent + p->back[t] == p->books->billed[t]);
        assert_memory_equal(p->books->line[t], p->books->model[t], sizeof p->books->line[t]);
    }
}

static void end_batch(struct play *p)
{
    core_collect(p->w->core, on_row, p);
    diary_batch(&p->diary);
    assert_int_equal(core_check(p->w->core), 0);
    check_books(p);
}

/* ---- operations ---- */

/* What fits is granted at once; what could never fit is refused. Who waits is property_budget.c's. */
static void ask(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    uint32_t t = (uint32_t)draw(p, TENANTS);
    struct view_balance b = balance_of(p->w, t + 1);
    int64_t free = b.budget - b.spent - b.held, unspent = b.budget - b.spent;
    bool fits = free > 0 && draw(p, 4);
    int64_t want = fits ? 1 + (int64_t)draw(p, (uint64_t)(free < 5000 ? free : 5000)) : unspent + 1;
    if (lease->id)
        return;
    uint64_t id = ++p->next;
    int rc = do_ask(p->w, worker(p), id, t + 1, t + 1, want);
    if (!fits) {
        assert_int_equal(rc, ERR_BUDGET_SPENT);
        return;
    }
    const struct effect *reply = world_reply(p->w, p->w->token);
    assert_true(rc == 0 && reply && reply->amount >= want && reply->amount <= free);
    *lease = (struct lease){.id = id, .tenant = t, .held = reply->amount};
}

static struct event record_of(struct play *p, const struct lease *lease, uint32_t prompt)
{
    struct event e = meter_event(1, ++p->sequence, lease->id, lease->tenant + 1, lease->tenant + 1, prompt);
    e.u.meter.worker = uid('W', worker(p));
    e.u.meter.request = uid('R', ++p->next);
    e.u.meter.price = p->price;
    return e;
}

static void meter(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    if (!lease->id)
        return;
    struct event e = record_of(p, lease, (uint32_t)draw(p, 3000));
    int wanted;
    e.u.meter.used_ms = draw_used(p, &wanted);
    int rc = world_step(p->w, &e);
    const struct effect *reply = world_reply(p->w, e.token);
    if (wanted != 0) {
        assert_int_equal(rc, wanted);
        p->sequence--;
        p->refused++;
        return;
    }
    if (rc == ERR_OVERFLOW) { /* it costs more than is held */
        p->sequence--;
        return;
    }
    assert_true(rc == 0 && reply && reply->amount <= lease->held);
    lease->held -= reply->amount;
    model_charge(p, lease->tenant, reply->amount, e.u.meter.used_ms, 0);
    if (draw(p, 4) == 0) {
        e.token = 0;
        assert_int_equal(world_step(p->w, &e), ERR_DUPLICATE);
    }
}

static void give_back(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    if (!lease->id)
        return;
    bool close = draw(p, 2);
    int64_t part = close ? 0 : (int64_t)draw(p, (uint64_t)lease->held + 1);
    assert_int_equal(do_return(p->w, worker(p), lease->id, part, close), 0);
    lease->held -= part;
    if (close)
        lease->id = 0;
}

static void submit(struct play *p)
{
    uint64_t i = draw(p, JOBS);
    if (p->job[i])
        return;
    p->job[i] = ++p->next;
    p->job_ms[i] = 0;
    struct event_job_submit job = job_request(p->job[i], 1 + (uint32_t)draw(p, 2), HOUR);
    job.tenant = uid('T', 1 + draw(p, TENANTS));
    assert_int_equal(do_submit(p->w, job), 0);
}

/* Reports of one that runs; some come twice. */
static void meter_job(struct play *p)
{
    uint64_t i = draw(p, JOBS);
    struct uuid id = uid('J', p->job[i]);
    const struct row_job *row = p->job[i] ? view_job(p->w->core, &id) : NULL;
    if (!row)
        p->job[i] = 0; /* stopped: nobody paid any more */
    if (!row || row->state != JOB_RUNNING)
        return;
    p->job_ms[i] += (int64_t)draw(p, 5000);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = id,
                                      .epoch = row->epoch,
                                      .site = view_pool(p->w->core, &row->pool)->site,
                                      .ms = (uint64_t)p->job_ms[i],
                                      .chip_ms = (uint64_t)p->job_ms[i]}};
    uint32_t t = row->tenant.b[15] - 1u;
    int64_t started_ms = row->started_ms, before = balance_of(p->w, t + 1).spent;
    uint64_t late = view_tenant(p->w->core, &row->tenant)->late;
    int wanted;
    e.u.job_meter.used_ms = draw_used(p, &wanted);
    if (wanted == ERR_TOO_OLD && started_ms >= p->w->now - BACK_MS)
        wanted = 0; /* it cannot have been before its epoch: it counts to when that began */
    for (uint64_t n = 1 + (draw(p, 4) == 0); n > 0; n--, e.token = 0)
        (void)world_step(p->w, &e);
    const struct uuid tenant = uid('T', t + 1);
    int64_t cost = balance_of(p->w, t + 1).spent - before;
    bool counted = view_tenant(p->w->core, &tenant)->late != late;
    assert_true(wanted == 0 || (cost == 0 && !counted));
    if (cost > 0)
        model_charge(p, t, cost, e.u.job_meter.used_ms, started_ms);
    else
        p->late[t] += counted; /* it cost nothing, or nobody could pay */
    if (draw(p, 3) == 0 && do_end(p->w, p->job[i], row->epoch) == 0)
        p->job[i] = 0;
}

static void time_passes(struct play *p)
{
    p->w->now += draw(p, 40) ? (int64_t)draw(p, 2000) : (int64_t)draw(p, 20 * DAY_MS);
    world_settle(p->w);
}

static void change_price(struct play *p)
{
    p->price = uid('P', ++p->next);
    struct event e = {.kind = EVENT_KIND_price_set,
                      .u.price_set = {.price = p->price,
                                      .model = uid('M', 1),
                                      .prompt = (int64_t)draw(p, 3000000),
                                      .completion = (int64_t)draw(p, 3000000)}};
    assert_int_equal(world_step(p->w, &e), 0);
}

/* Now and then the month ends, and each tenant gets its bill of all that are not closed, once. */
static void close_month(struct play *p)
{
    if (draw(p, 8))
        return;
    end_batch(p);
    uint32_t month = month_of(p->w->now);
    p->w->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    world_settle(p->w);
    uint32_t first = p->closed ? p->closed + 1 : month_of(p->created_ms);
    for (uint32_t t = 0; t < TENANTS; t++) {
        int64_t total = 0;
        for (uint32_t m = first; m <= month; m++)
            total += p->books->bill[t][m - first_month(p->books)];
        struct event e = {.kind = EVENT_KIND_invoice_close,
                          .u.invoice_close = {.invoice = uid('I', ++p->next),
                                              .tenant = uid('T', t + 1),
                                              .month = month,
                                              .total = total,
                                              .first_month = first,
                                              .late = p->late[t] + 1}};
        assert_int_equal(world_step(p->w, &e), ERR_WRONG_STATE);
        e.token = 0;
        e.u.invoice_close.late--;
        assert_int_equal(world_step(p->w, &e), 0);
        e.token = 0;
        e.u.invoice_close.invoice = uid('I', ++p->next);
        assert_int_equal(world_step(p->w, &e), ERR_EXISTS);
        p->total[t] = e.u.invoice_close.total;
        p->given[t] = 0;
    }
    p->closed = month;
}

static void credit(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    if (!p->closed || p->total[t] - p->given[t] < 1)
        return;
    struct event e = {.kind = EVENT_KIND_credit_note,
                      .u.credit_note = {.payment = uid('y', ++p->next),
                                        .tenant = uid('T', t + 1),
                                        .month = p->closed,
                                        .amount = 1 + (int64_t)draw(p, (uint64_t)(p->total[t] - p->given[t])),
                                        .reason = "wrong",
                                        .before = p->back[t]}};
    assert_int_equal(world_step(p->w, &e), 0);
    p->given[t] += e.u.credit_note.amount;
    p->back[t] += e.u.credit_note.amount;
    e.token = 0;
    assert_int_equal(world_step(p->w, &e), ERR_EXISTS);
}

/* The hub starts again: what was held is free. */
static void boot(struct play *p)
{
    if (draw(p, 20))
        return;
    assert_int_equal(do_boot(p->w, ++p->boots), 0);
    assert_int_equal(do_worker(p->w, worker(p)), 0);
    memset(p->lease, 0, sizeof p->lease);
    p->sequence = 0;
}

static const struct operation {
    const char *name;
    uint32_t weight;
    void (*run)(struct play *p);
} operations[] = {
    {"asked", 180, ask},         {"metered", 250, meter},         {"given back", 110, give_back},
    {"submitted", 40, submit},   {"jobs metered", 80, meter_job}, {"time", 60, time_passes},
    {"prices", 3, change_price}, {"months", 2, close_month},      {"credits", 20, credit},
    {"boots", 2, boot}};
#define OPERATIONS (sizeof operations / sizeof operations[0])
_Static_assert(OPERATIONS <= sizeof((struct play *)0)->done / 8, "each has its count");

static void act(struct play *p)
{
    uint64_t sum = 0, at;
    for (size_t i = 0; i < OPERATIONS; i++)
        sum += operations[i].weight;
    at = draw(p, sum);
    size_t i = 0;
    for (; at >= operations[i].weight; i++)
        at -= operations[i].weight;
    operations[i].run(p);
    p->done[i]++;
}

/* ---- lives ---- */

static void begin_life(struct play *p, uint64_t seed)
{
    struct limits limits = dispatch_limits(2, 2, 64);
    limits.prices = 1024;
    memset(p->books, 0, sizeof *p->books);
    struct books *books = p->books;
    uint64_t corrections = p->corrections, refused = p->refused, done[16];
    memcpy(done, p->done, sizeof done);
    *p = (struct play){.w = world_new(&limits),
                       .books = books,
                       .seed = seed,
                       .corrections = corrections,
                       .refused = refused,
                       .boots = 1,
                       .price = uid('P', 1)};
    memcpy(p->done, done, sizeof done);
    p->created_ms = p->w->now;
    books->first_day = (uint64_t)(p->w->now / DAY_MS);
    diary_begin(&p->diary, p->w);
    assert_int_equal(do_boot(p->w, 1), 0);
    do_two_sites(p->w, INT64_C(36000000));
    assert_int_equal(do_model(p->w, 1), 0);
    assert_int_equal(do_variant(p->w, 1, 1), 0);
    assert_int_equal(do_price(p->w, 1, 1, 1500000, 2000000), 0);
    for (uint32_t t = 0; t < TENANTS; t++) {
        assert_int_equal(do_tenant(p->w, t + 1, BUDGET), 0);
        assert_int_equal(do_key(p->w, t + 1, t + 1, -1), 0);
    }
    assert_int_equal(do_worker(p->w, worker(p)), 0);
    end_batch(p);
}

static void test_event_time(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), most = test_count(12, 400), lives = 0;
    struct play *p = calloc(1, sizeof *p);
    p->books = calloc(1, sizeof *p->books);
    for (; lives < most; lives++) {
        begin_life(p, seed + lives);
        for (int batch = 0; batch < BATCHES; batch++) {
            for (uint64_t n = 1 + draw(p, 80); n > 0; n--)
                act(p);
            end_batch(p);
            if (lives % 2 && draw(p, 20) == 0)
                assert_int_equal(world_reload(p->w), 0);
        }
        if (lives % 2 == 0)
            diary_live_again(&p->diary, p->w);
        diary_end(&p->diary);
        world_free(p->w);
    }
    printf("# %llu lives", (unsigned long long)lives);
    for (size_t i = 0; i < OPERATIONS; i++) {
        printf("%s %s %llu", i ? "," : ";", operations[i].name, (unsigned long long)p->done[i]);
        assert_true(p->done[i] > 0);
    }
    printf("; %llu corrections, %llu records refused\n", (unsigned long long)p->corrections,
           (unsigned long long)p->refused);
    assert_true(p->corrections > 10 * lives && p->refused > 10 * lives);
    free(p->books);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_event_time)};
    return cmocka_run_group_tests_name("event_time", tests, NULL, NULL);
}
