/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to money: property_money.c has the story. Each operation knows what has to come of it. */
#include "core/month.h"
#include "money_play.h"

static int pay(struct play *p, uint64_t id, uint32_t tenant, int64_t amount)
{
    struct event e = {
        .kind = EVENT_KIND_wallet_topup,
        .u.wallet_topup = {.payment = uid('Y', id), .tenant = uid('T', tenant + 1), .amount = amount}};
    return world_step(p->w, &e);
}

static bool pay_in(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    int64_t amount = 1 + (int64_t)draw(p, 2000);
    uint64_t id = ++p->next;
    assert_int_equal(pay(p, id, t, amount), 0);
    p->budget[t] += amount;
    p->payment[draw(p, PAID)] = id;
    return true;
}

static int settle(struct play *p, uint64_t id, int64_t amount, bool paid)
{
    struct event e = {
        .kind = EVENT_KIND_peer_settle,
        .u.peer_settle = {
            .payment = uid('Y', id), .party = uid('O', PEER), .ledger = EUR, .amount = amount, .paid = paid}};
    return world_step(p->w, &e);
}

static bool settle_peer(struct play *p)
{
    int64_t amount = 1 + (int64_t)draw(p, 5000);
    bool paid = draw(p, 2);
    uint64_t id = ++p->next;
    assert_int_equal(settle(p, id, amount, paid), 0);
    p->peer += paid ? -amount : amount;
    p->payment[draw(p, PAID)] = id;
    return true;
}

/* An id counts once, for payments of tenants and of other networks alike. */
static bool pay_again(struct play *p)
{
    uint64_t id = p->payment[draw(p, PAID)];
    int64_t amount = 1 + (int64_t)draw(p, 2000);
    if (!id)
        return false;
    int rc = draw(p, 4) ? pay(p, id, (uint32_t)draw(p, TENANTS), amount) : settle(p, id, amount, draw(p, 2));
    assert_int_equal(rc, ERR_EXISTS);
    return true;
}

/* The budget of a project; its keys draw on it, and its tenant's wallet. */
static bool set_project(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, PROJECTS);
    struct view_balance b = money_project(p, t);
    int64_t amount = b.spent + (int64_t)draw(p, 20000) - 1000;
    struct event e = {.kind = EVENT_KIND_budget_set,
                      .u.budget_set = {.owner = uid('Q', t + 1),
                                       .scope = BUDGET_PROJECT,
                                       .per = BUDGET_EVER,
                                       .amount = amount > 0 ? amount : 0}};
    assert_int_equal(world_step(p->w, &e), e.u.budget_set.amount < b.spent + b.held ? ERR_WRONG_STATE : 0);
    return true;
}

static bool set_budget(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    struct view_balance b = balance_of(p->w, t + 1);
    int64_t used = b.spent + b.held, budget = (int64_t)draw(p, 2 * BUDGET);
    int rc = do_budget(p->w, t + 1, budget);
    assert_int_equal(rc, budget >= used || budget == p->budget[t] ? 0 : ERR_WRONG_STATE);
    if (rc == 0)
        p->budget[t] = budget;
    return true;
}

static bool add_grant(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS), i = p->ngrants;
    if (i == GRANTS)
        return false;
    struct event e = {.kind = EVENT_KIND_grant_add,
                      .u.grant_add = {.grant = uid('G', i + 1),
                                      .tenant = uid('T', t + 1),
                                      .sponsor = uid('O', SPONSOR),
                                      .amount = 1 + (int64_t)draw(p, draw(p, 2) ? 500 : 50000),
                                      .expires_ms = draw(p, 3) ? p->w->now + 1 + (int64_t)draw(p, 300000) : 0,
                                      .kinds = draw(p, 3) ? 0 : GRANT_BATCH,
                                      .transfer = uid('g', i + 1)}};
    if (draw(p, 4) == 0)
        e.u.grant_add.models = (struct uuid_list){.n = 1, .v = {uid('M', 1)}};
    assert_int_equal(world_step(p->w, &e), 0);
    p->grant[p->ngrants++] = e.u.grant_add.kinds || e.u.grant_add.models.n ? TENANTS : t;
    p->sponsored += e.u.grant_add.amount;
    e.token = 0;
    assert_int_equal(world_step(p->w, &e), ERR_EXISTS);
    return true;
}

/* The most that one of the tenant's grants on which there are holds could still pay, what is held of it included. */
static int64_t unspent_grant(const struct play *p, uint32_t t)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < p->ngrants; i++) {
        struct uuid id = uid('G', i + 1);
        const struct row_account *row =
            p->grant[i] == t ? view_account(p->w->core, &id, ACCOUNT_GRANT, EUR) : NULL;
        int64_t left = row ? row->credits_posted - row->debits_posted : 0;
        most = left > most ? left : most;
    }
    return most;
}

/* What fits is granted at once; what could never fit is refused. Who waits is property_budget.c's. */
static bool ask(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    uint32_t t = (uint32_t)draw(p, TENANTS);
    struct view_balance b = balance_of(p->w, t + 1);
    int64_t free = b.budget - b.spent - b.held, unspent = b.budget - b.spent, grant = unspent_grant(p, t);
    unspent = grant > unspent ? grant : unspent;
    if (t < PROJECTS) {
        struct view_balance q = money_project(p, t);
        free = q.budget - q.spent - q.held < free ? q.budget - q.spent - q.held : free;
        unspent = q.budget - q.spent < unspent ? q.budget - q.spent : unspent;
    }
    bool fits = free > 0 && draw(p, 4);
    int64_t want = fits ? 1 + (int64_t)draw(p, (uint64_t)(free < 5000 ? free : 5000)) : unspent + 1;
    if (lease->id)
        return false;
    uint64_t id = ++p->next;
    int rc = do_ask(p->w, worker(p), id, t + 1, t + 1, want);
    if (!fits) {
        assert_int_equal(rc, ERR_BUDGET_SPENT);
        return true;
    }
    const struct effect *reply = world_reply(p->w, p->w->token);
    assert_true(rc == 0 && reply && reply->amount >= want && reply->amount <= unspent);
    *lease = (struct lease){.id = id, .tenant = t, .held = reply->amount};
    return true;
}

/* At one of the sites. */
static struct event record_of(struct play *p, const struct lease *lease, uint32_t prompt)
{
    struct event e = meter_event(1, ++p->sequence, lease->id, lease->tenant + 1, lease->tenant + 1, prompt);
    e.u.meter.worker = uid('W', worker(p));
    e.u.meter.request = uid('R', ++p->next);
    e.u.meter.price = p->price;
    e.u.meter.site = uid('S', 1 + draw(p, BOOK_SITES));
    return e;
}

static bool meter(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    if (!lease->id)
        return false;
    struct event e = record_of(p, lease, (uint32_t)draw(p, 3000));
    int64_t cost = books_price(e.u.meter.prompt, p->prompt);
    int rc = world_step(p->w, &e);
    const struct effect *reply = world_reply(p->w, e.token);
    if (cost > lease->held) {
        assert_int_equal(rc, ERR_OVERFLOW);
        p->sequence--;
        return true;
    }
    assert_true(rc == 0 && reply && reply->amount == cost);
    lease->held -= cost;
    if (lease->tenant < PROJECTS)
        p->used[lease->tenant] += cost;
    books_divide(p->books, lease->tenant, e.u.meter.site.b[15] - 1u, cost);
    if (draw(p, 4) == 0) {
        e.token = 0;
        assert_int_equal(world_step(p->w, &e), ERR_DUPLICATE);
    }
    return true;
}

static bool give_back(struct play *p)
{
    struct lease *lease = &p->lease[draw(p, LEASES)];
    if (!lease->id)
        return false;
    bool close = draw(p, 2);
    int64_t part = close ? 0 : (int64_t)draw(p, (uint64_t)lease->held + 1);
    assert_int_equal(do_return(p->w, worker(p), lease->id, part, close), 0);
    lease->held -= part;
    if (close)
        lease->id = 0;
    return true;
}

/* With a key, or with none. Its tenant's or its project's budget may be spent. */
static bool submit(struct play *p)
{
    uint64_t i = draw(p, JOBS), t = 1 + draw(p, TENANTS);
    if (p->job[i])
        return false;
    p->job[i] = ++p->next;
    p->job_ms[i] = 0;
    struct event_job_submit job = job_request(p->job[i], 1 + (uint32_t)draw(p, 2), HOUR);
    job.tenant = uid('T', t);
    if (draw(p, 2))
        job.key = uid('K', t);
    int rc = do_submit(p->w, job);
    assert_true(rc == 0 || rc == ERR_BUDGET_SPENT);
    p->job[i] = rc == 0 ? p->job[i] : 0;
    return true;
}

/* A report, in a batch of its own: its line tells what it cost. */
static void report(struct play *p, struct event *e, uint32_t t, bool of_project)
{
    money_end_batch(p);
    int64_t before = p->books->billed[t];
    (void)world_step(p->w, e);
    money_collect(p);
    if (of_project && t < PROJECTS)
        p->used[t] += p->books->billed[t] - before;
}

/* Reports of one that runs; some come twice. */
static bool meter_job(struct play *p)
{
    uint64_t i = draw(p, JOBS);
    struct uuid id = uid('J', p->job[i]);
    const struct row_job *row = p->job[i] ? view_job(p->w->core, &id) : NULL;
    if (!row)
        p->job[i] = 0; /* stopped: nobody paid any more */
    if (!row || row->state != JOB_RUNNING)
        return false;
    uint32_t t = row->tenant.b[15] - 1u, epoch = row->epoch;
    bool of_project = !uuid_zero(&row->key);
    p->job_ms[i] += (int64_t)draw(p, 5000);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = id,
                                      .epoch = row->epoch,
                                      .site = view_pool(p->w->core, &row->pool)->site,
                                      .ms = (uint64_t)p->job_ms[i],
                                      .chip_ms = (uint64_t)p->job_ms[i]}};
    for (uint64_t n = 1 + (draw(p, 4) == 0); n > 0; n--, e.token = 0)
        report(p, &e, t, of_project);
    if (draw(p, 3) == 0 && do_end(p->w, p->job[i], epoch) == 0)
        p->job[i] = 0;
    return true;
}

static bool time_passes(struct play *p)
{
    p->w->now += (int64_t)draw(p, 2000);
    world_settle(p->w);
    return true;
}

/* What is net, what the network keeps, and who owns a site, from now on. */
static bool change_terms(struct play *p)
{
    struct money_books *b = p->books;
    uint32_t t = (uint32_t)draw(p, TENANTS), s = (uint32_t)draw(p, BOOK_SITES), left = MILLION;
    money_end_batch(p);
    b->fee = draw(p, 3) ? (uint32_t)draw(p, 300000) : 0;
    b->tax[t] = draw(p, 3) ? (uint32_t)draw(p, 250000) : 0;
    b->nowners[s] = (uint32_t)draw(p, BOOK_OWNERS + 1);
    struct event fee = {.kind = EVENT_KIND_network_fee, .u.network_fee.fee = b->fee};
    struct event tax = {.kind = EVENT_KIND_tenant_tax,
                        .u.tenant_tax = {.tenant = uid('T', t + 1), .tax = b->tax[t]}};
    struct event e = {.kind = EVENT_KIND_site_owners,
                      .u.site_owners = {.site = uid('S', s + 1), .owners.n = b->nowners[s]}};
    for (uint32_t i = 0; i < b->nowners[s]; i++) {
        uint32_t most = left - (b->nowners[s] - 1 - i);
        b->share[s][i] = i == b->nowners[s] - 1 ? left : 1 + (uint32_t)draw(p, most);
        left -= b->share[s][i];
        e.u.site_owners.owners.v[i] = uid('O', i + 1);
        (&e.u.site_owners.share0)[i] = b->share[s][i];
    }
    assert_int_equal(world_step(p->w, &fee), 0);
    assert_int_equal(world_step(p->w, &tax), 0);
    assert_int_equal(world_step(p->w, &e), 0);
    return true;
}

/* Mostly one at which halves of a nano-unit come often. */
static bool change_price(struct play *p)
{
    p->price = uid('P', ++p->next);
    p->prompt = draw(p, 4) ? 250000 * (int64_t)draw(p, 12) : (int64_t)draw(p, 3000000);
    struct event e = {.kind = EVENT_KIND_price_set,
                      .u.price_set = {.price = p->price,
                                      .model = uid('M', 1),
                                      .prompt = p->prompt,
                                      .completion = (int64_t)draw(p, 3000000)}};
    assert_int_equal(world_step(p->w, &e), 0);
    return true;
}

/* Rarely: the month ends, and each tenant gets its bill, once. */
static bool close_month(struct play *p)
{
    if (draw(p, 8))
        return false;
    money_end_batch(p);
    uint32_t month = month_of(p->w->now);
    p->w->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    world_settle(p->w);
    for (uint32_t t = 0; t < TENANTS; t++) {
        int64_t owed = p->books->billed[t] - p->books->granted[t];
        struct event e = {.kind = EVENT_KIND_invoice_close,
                          .u.invoice_close = {.invoice = uid('I', ++p->next),
                                              .tenant = uid('T', t + 1),
                                              .month = month,
                                              .total = owed - p->billed_before[t],
                                              .first_month = p->closed ? p->closed + 1 : month}};
        assert_int_equal(world_step(p->w, &e), 0);
        e.token = 0;
        e.u.invoice_close.invoice = uid('I', ++p->next);
        assert_int_equal(world_step(p->w, &e), ERR_EXISTS);
        p->total[t] = e.u.invoice_close.total;
        p->billed_before[t] = owed;
        p->given[t] = 0;
    }
    p->closed = month;
    return true;
}

static bool credit(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS);
    if (!p->closed || p->total[t] - p->given[t] < 1)
        return false;
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
    return true;
}

/* The hub starts again: what was held is free. */
static bool boot(struct play *p)
{
    if (draw(p, 5))
        return false;
    assert_int_equal(do_boot(p->w, ++p->boots), 0);
    assert_int_equal(do_worker(p->w, worker(p)), 0);
    memset(p->lease, 0, sizeof p->lease);
    p->sequence = 0;
    return true;
}

static const struct operation {
    const char *name;
    uint32_t weight;
    bool (*run)(struct play *p); /* whether it did anything */
} operations[] = {{"paid", 220, pay_in},
                  {"paid again", 60, pay_again},
                  {"other networks", 20, settle_peer},
                  {"budgets", 30, set_budget},
                  {"projects", 30, set_project},
                  {"grants", 6, add_grant},
                  {"asked", 180, ask},
                  {"metered", 250, meter},
                  {"given back", 110, give_back},
                  {"submitted", 40, submit},
                  {"jobs metered", 80, meter_job},
                  {"time", 60, time_passes},
                  {"terms", 6, change_terms},
                  {"prices", 3, change_price},
                  {"months", 2, close_month},
                  {"credit notes", 20, credit},
                  {"boots", 2, boot}};
#define OPERATIONS (sizeof operations / sizeof operations[0])
_Static_assert(OPERATIONS <= OPERATIONS_MAX, "each has its count");

void money_act(struct play *p)
{
    uint64_t sum = 0, at;
    for (size_t i = 0; i < OPERATIONS; i++)
        sum += operations[i].weight;
    at = draw(p, sum);
    size_t i = 0;
    for (; at >= operations[i].weight; i++)
        at -= operations[i].weight;
    p->done[i] += operations[i].run(p);
}

void money_tell(const struct play *p)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        printf("%s %s %llu", i ? "," : ";", operations[i].name, (unsigned long long)p->done[i]);
        assert_true(p->done[i] > 0);
    }
}
