/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money through every surface at once, in random order: payments, budgets, leases with their records, jobs that run beside, bills
 * and notes that correct them, prices that change, and restarts. What may happen is the table of operations; a surface that comes
 * is a row of it.
 *
 * The books are kept a second time, from the rows of transfers alone: each account's sums, which ids there were, what each hold
 * was good for. Held against it at each batch: debits equal credits; no wallet has more debited and held than was paid in; a
 * post is within its hold; what is finished never changes, and no id comes twice; what left a wallet is on lines of bills.
 * A life is loaded anew from its rows now and then, and lived again from its events at its end, without that, with the same answers and
 * the same rows.
 */
#include "base/buf.h"
#include "base/checked.h"
#include "core/ledger.h"
#include "core/month.h"
#include "dispatch_support.h"

#define TENANTS 4u
#define LEASES 24u
#define JOBS 24u
#define PAID 64u /* payments whose ids are tried again */
#define ACCOUNTS 64u
#define SEEN (1u << 16)
#define BUDGET 500000
#define BATCHES 300

struct lease {
    uint64_t id; /* 0: none */
    uint32_t tenant;
    int64_t held;
};

struct books {
    struct row_account sum[ACCOUNTS]; /* as transfers say */
    uint32_t n;
    struct uuid finished[SEEN];
    int64_t billed[TENANTS];
};

struct play {
    struct world *w;
    struct books *books;
    uint64_t seed, next, sequence, boots, payment[PAID];
    struct lease lease[LEASES];
    uint64_t job[JOBS];
    int64_t job_ms[JOBS], budget[TENANTS], billed_before[TENANTS], total[TENANTS], given[TENANTS],
        back[TENANTS];
    struct uuid price;
    uint32_t closed; /* month */
    uint64_t transfers, done[16];
    /* Of this life: events with their codes, and a zero kind where a batch ended. */
    struct buf journal;
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

static int on_step(struct world *w, const struct event *event)
{
    struct play *p = w->step_ctx;
    size_t size = (event_size(event->kind) + 7) & ~(size_t)7;
    struct event copy = *event;
    int64_t code = core_step(w->core, event, &w->effects);
    buf_add(&p->journal, &copy, size);
    buf_add(&p->journal, &code, sizeof code);
    return (int)code;
}

/* ---- the books, from rows of transfers ---- */

static struct row_account *account_of(struct books *b, const struct uuid *owner, uint32_t code,
                                      uint32_t ledger)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct row_account *a = &b->sum[i];
        if (uuid_eq(&a->owner, owner) && a->code == code && a->ledger == ledger)
            return a;
    }
    assert_true(b->n < ACCOUNTS);
    b->sum[b->n] = (struct row_account){.owner = *owner, .code = code, .ledger = ledger};
    return &b->sum[b->n++];
}

/* True if it was not known. */
static bool finish(struct books *b, const struct uuid *id)
{
    uint64_t h;
    memcpy(&h, id->b + 8, sizeof h);
    h = (h ^ (uint64_t)id->b[0] << 56) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = (uint32_t)(h >> 48);; i++) {
        struct uuid *at = &b->finished[i % SEEN];
        if (uuid_eq(at, id))
            return false;
        if (uuid_zero(at)) {
            *at = *id;
            return true;
        }
    }
}

static void book_transfer(struct play *p, const struct row_transfer *now)
{
    const struct row_transfer *before = mirror_find(&p->w->mirror, ROW_KIND_transfer, now);
    const struct row_transfer none = {.amount = now->amount};
    int64_t held = now->state == TRANSFER_PENDING ? now->amount - now->posted - now->voided : 0;
    int64_t held_before = before ? before->amount - before->posted - before->voided : 0;
    p->transfers += before == NULL;
    before = before ? before : &none;
    assert_true(now->amount == before->amount && now->posted >= before->posted &&
                now->voided >= before->voided);
    assert_true(now->posted + now->voided <= now->amount);
    if (now->state != TRANSFER_PENDING && !finish(p->books, &now->id))
        fail_msg("the id of a finished transfer came again, code %u", now->code);
    struct row_account *d = account_of(p->books, &now->debit_owner, now->debit_code, now->ledger);
    d->debits_posted += now->posted - before->posted;
    d->debits_pending += held - held_before;
    struct row_account *c = account_of(p->books, &now->credit_owner, now->credit_code, now->ledger);
    c->credits_posted += now->posted - before->posted;
    c->credits_pending += held - held_before;
}

static void on_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct play *p = ctx;
    if (kind == ROW_KIND_transfer)
        book_transfer(p, row);
    if (kind == ROW_KIND_bill)
        p->books->billed[((const struct row_bill *)row)->tenant.b[15] - 1] +=
            ((const struct row_bill *)row)->cost;
    mirror_apply(&p->w->mirror, kind, op, row);
}

static void check_books(const struct play *p)
{
    int128 posted = 0, held = 0;
    struct row_account *wallet;
    for (uint32_t i = 0; i < p->books->n; i++) {
        const struct row_account *a = &p->books->sum[i];
        const struct row_account *core = view_account(p->w->core, &a->owner, a->code, a->ledger);
        assert_true(core && core->debits_posted == a->debits_posted &&
                    core->credits_posted == a->credits_posted);
        assert_true(core->debits_pending == a->debits_pending && core->credits_pending == a->credits_pending);
        posted += a->debits_posted - a->credits_posted;
        held += a->debits_pending - a->credits_pending;
    }
    assert_true(posted == 0 && held == 0);
    for (uint32_t t = 0; t < TENANTS; t++) {
        struct uuid id = uid('T', t + 1);
        wallet = account_of(p->books, &id, ACCOUNT_WALLET, EUR);
        const struct row_account *funding = account_of(p->books, &id, ACCOUNT_FUNDING, EUR);
        int64_t spent = wallet->debits_posted - funding->credits_posted;
        assert_true(funding->debits_posted - funding->credits_posted == p->budget[t]);
        assert_true(spent - p->back[t] + wallet->debits_pending <= p->budget[t]);
        assert_true(spent == p->books->billed[t]);
    }
}

static void end_batch(struct play *p)
{
    uint64_t none = 0;
    core_collect(p->w->core, on_row, p);
    buf_add(&p->journal, &none, sizeof none);
    assert_int_equal(core_check(p->w->core), 0);
    check_books(p);
}

/* ---- operations ---- */

static int pay(struct play *p, uint64_t id, uint32_t tenant, int64_t amount)
{
    struct event e = {
        .kind = EVENT_KIND_wallet_topup,
        .u.wallet_topup = {.payment = uid('Y', id), .tenant = uid('T', tenant + 1), .amount = amount}};
    return world_step(p->w, &e);
}

static void pay_in(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    int64_t amount = 1 + (int64_t)draw(p, 2000);
    uint64_t id = ++p->next;
    assert_int_equal(pay(p, id, t, amount), 0);
    p->budget[t] += amount;
    p->payment[draw(p, PAID)] = id;
}

static void pay_again(struct play *p)
{
    uint64_t id = p->payment[draw(p, PAID)];
    if (id)
        assert_int_equal(pay(p, id, (uint32_t)draw(p, TENANTS), 1 + (int64_t)draw(p, 2000)), ERR_EXISTS);
}

static void set_budget(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    struct view_balance b = balance_of(p->w, t + 1);
    int64_t used = b.spent + b.held, budget = (int64_t)draw(p, 2 * BUDGET);
    int rc = do_budget(p->w, t + 1, budget);
    assert_int_equal(rc, budget >= used || budget == p->budget[t] ? 0 : ERR_WRONG_STATE);
    if (rc == 0)
        p->budget[t] = budget;
}

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
    int rc = world_step(p->w, &e);
    const struct effect *reply = world_reply(p->w, e.token);
    if (rc == ERR_OVERFLOW) { /* it costs more than is held */
        p->sequence--;
        return;
    }
    assert_true(rc == 0 && reply && reply->amount <= lease->held);
    lease->held -= reply->amount;
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
    for (uint64_t n = 1 + (draw(p, 4) == 0); n > 0; n--, e.token = 0)
        (void)world_step(p->w, &e);
    if (draw(p, 3) == 0 && do_end(p->w, p->job[i], row->epoch) == 0)
        p->job[i] = 0;
}

static void time_passes(struct play *p)
{
    p->w->now += (int64_t)draw(p, 2000);
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

/* Rarely: the month ends, and each tenant gets its bill, once. */
static void close_month(struct play *p)
{
    if (draw(p, 30))
        return;
    end_batch(p);
    uint32_t month = month_of(p->w->now);
    p->w->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    world_settle(p->w);
    for (uint32_t t = 0; t < TENANTS; t++) {
        struct event e = {.kind = EVENT_KIND_invoice_close,
                          .u.invoice_close = {.invoice = uid('I', ++p->next),
                                              .tenant = uid('T', t + 1),
                                              .month = month,
                                              .total = p->books->billed[t] - p->billed_before[t],
                                              .first_month = p->closed ? p->closed + 1 : month}};
        assert_int_equal(world_step(p->w, &e), 0);
        e.token = 0;
        e.u.invoice_close.invoice = uid('I', ++p->next);
        assert_int_equal(world_step(p->w, &e), ERR_EXISTS);
        p->total[t] = e.u.invoice_close.total;
        p->billed_before[t] = p->books->billed[t];
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
    {"paid", 220, pay_in},       {"paid again", 60, pay_again},   {"budgets", 30, set_budget},
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
    uint64_t transfers = p->transfers, done[16];
    memcpy(done, p->done, sizeof done);
    *p = (struct play){.w = world_new(&limits),
                       .books = books,
                       .seed = seed,
                       .transfers = transfers,
                       .boots = 1,
                       .price = uid('P', 1)};
    memcpy(p->done, done, sizeof done);
    buf_init(&p->journal, (size_t)1 << 30);
    p->w->step = on_step;
    p->w->step_ctx = p;
    p->w->batching = true;
    p->w->mirror.forget_transfers = true;
    assert_int_equal(do_boot(p->w, 1), 0);
    do_two_sites(p->w, INT64_C(36000000));
    assert_int_equal(do_model(p->w, 1), 0);
    assert_int_equal(do_variant(p->w, 1, 1), 0);
    assert_int_equal(do_price(p->w, 1, 1, 1500000, 2000000), 0);
    for (uint32_t t = 0; t < TENANTS; t++) {
        p->budget[t] = BUDGET;
        assert_int_equal(do_tenant(p->w, t + 1, BUDGET), 0);
        assert_int_equal(do_key(p->w, t + 1, t + 1, -1), 0);
    }
    assert_int_equal(do_worker(p->w, worker(p)), 0);
    end_batch(p);
}

/* It is told to the journal, as the hub does: what is not in rows begins anew. */
static void reload(struct play *p)
{
    struct event told = {.kind = EVENT_KIND_tick, .u.tick.reloaded = 1};
    assert_int_equal(world_reload(p->w), 0);
    assert_int_equal(world_step(p->w, &told), 0);
}

/* The same events in another core: the same rows, and the same to be seen. */
static void live_again(const struct play *p)
{
    struct world *w = world_new(&p->w->limits);
    struct event event;
    w->mirror.forget_transfers = true;
    for (size_t at = 0; at < p->journal.len;) {
        uint32_t kind;
        memcpy(&kind, p->journal.data + at, sizeof kind);
        if (kind == 0) {
            world_collect(w);
            at += sizeof(uint64_t);
            continue;
        }
        size_t size = event_size(kind);
        memcpy(&event, p->journal.data + at, size);
        at += (size + 7) & ~(size_t)7;
        int64_t code;
        memcpy(&code, p->journal.data + at, sizeof code);
        at += sizeof code;
        w->effects.n = 0;
        assert_int_equal(core_step(w->core, &event, &w->effects), code);
    }
    assert_true(mirror_digest(&w->mirror) == mirror_digest(&p->w->mirror));
    assert_true(world_views(w) == world_views(p->w));
    world_free(w);
}

static void test_money(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), transfers = test_count(100000, 10000000), lives = 0;
    struct play *p = calloc(1, sizeof *p);
    p->books = calloc(1, sizeof *p->books);
    for (; p->transfers < transfers; lives++) {
        begin_life(p, seed + lives);
        for (int batch = 0; batch < BATCHES; batch++) {
            for (uint64_t n = 1 + draw(p, 80); n > 0; n--)
                act(p);
            end_batch(p);
            if (draw(p, 20) == 0)
                reload(p);
        }
        live_again(p);
        buf_fini(&p->journal);
        world_free(p->w);
    }
    printf("# transfers: %llu in %llu lives", (unsigned long long)p->transfers, (unsigned long long)lives);
    for (size_t i = 0; i < OPERATIONS; i++) {
        printf("%s %s %llu", i ? "," : ";", operations[i].name, (unsigned long long)p->done[i]);
        assert_true(p->done[i] > 0);
    }
    printf("\n");
    free(p->books);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_money)};
    return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
