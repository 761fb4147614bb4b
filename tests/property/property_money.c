/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money through every surface at once, in random order: payments and their ids again, budgets of tenants and of projects, leases with
 * their records, jobs that run beside, grants, owners, taxes and a fee that change, other networks, bills and notes that correct them, prices
 * that change, and restarts. What may happen is the table of operations; a surface that comes is a row of it.
 *
 * The books are kept a second time, from the rows of transfers alone, and charges are divided a second time (money_books.h). Held against them
 * at each batch: debits equal credits; no wallet, grant or project's budget has more posted and held than it has; a post is
 * within its hold; what is finished never changes, and no id comes twice; what left wallets and grants is on lines of bills; each request
 * cost what its tokens cost at its price; tax, fee and owners have what is theirs.
 * A life is loaded anew from its rows now and then, and lived again from its events at its end, without that, with the same answers and
 * the same rows.
 */
#include "money_play.h"

/* ---- the books ---- */

/* A job's line of a batch has one report: see meter_job. What requests cost is known without theirs. */
static void book_line(struct play *p, const struct row_bill *row)
{
    static const struct uuid none;
    uint32_t t = row->tenant.b[15] - 1u;
    p->books->billed[t] += row->cost;
    p->books->granted[t] += row->granted;
    if (row->item.b[0] == 'p' && row->cost > 0)
        books_divide(p->books, t, row->site.b[15] - 1u, row->cost);
    assert_true(row->granted <= row->cost && !uuid_eq(&row->site, &none));
}

static void on_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct play *p = ctx;
    if (kind == ROW_KIND_transfer)
        books_transfer(p->books, &p->w->mirror, row);
    if (kind == ROW_KIND_bill)
        book_line(p, row);
    mirror_apply(&p->w->mirror, kind, op, row);
}

struct view_balance money_project(const struct play *p, uint32_t t)
{
    struct uuid id = uid('Q', t + 1);
    struct view_balance b;
    assert_non_null(view_budget(p->w->core, &id, BUDGET_PROJECT, false, &b));
    return b;
}

static void check_tenants(const struct play *p)
{
    for (uint32_t t = 0; t < TENANTS; t++) {
        struct uuid id = uid('T', t + 1);
        const struct row_account *wallet = books_account(p->books, &id, ACCOUNT_WALLET, EUR);
        const struct row_account *funding = books_account(p->books, &id, ACCOUNT_FUNDING, EUR);
        int64_t spent = wallet->debits_posted - funding->credits_posted;
        assert_true(funding->debits_posted - funding->credits_posted == p->budget[t]);
        assert_true(spent - p->back[t] + wallet->debits_pending <= p->budget[t]);
        assert_true(spent == p->books->billed[t] - p->books->granted[t]);
    }
    for (uint32_t t = 0; t < PROJECTS; t++) {
        struct view_balance b = money_project(p, t);
        assert_true(b.spent == p->used[t] && b.spent + b.held <= b.budget);
    }
}

static void check_books(const struct play *p)
{
    struct uuid sponsor = uid('O', SPONSOR);
    int64_t given = 0;
    books_check(p->books, p->w->core);
    check_tenants(p);
    for (uint32_t i = 0; i < p->ngrants; i++)
        given += books_balance(p->books, uid('G', i + 1), ACCOUNT_GRANT);
    for (uint32_t t = 0; t < TENANTS; t++)
        given += p->books->granted[t];
    assert_true(-books_balance(p->books, sponsor, ACCOUNT_SPONSOR) == given);
    assert_true(books_account(p->books, &sponsor, ACCOUNT_SPONSOR, EUR)->debits_posted == p->sponsored);
    assert_true(books_balance(p->books, uid('O', PEER), ACCOUNT_PEER) == p->peer);
}

void money_collect(struct play *p)
{
    core_collect(p->w->core, on_row, p);
    diary_batch(&p->diary);
}

void money_end_batch(struct play *p)
{
    money_collect(p);
    assert_int_equal(core_check(p->w->core), 0);
    check_books(p);
}

/* ---- lives ---- */

static void add_party(struct play *p, uint64_t n)
{
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add.party = uid('O', n)};
    (void)snprintf(e.u.party_add.name, NAME_CAP, "party-%u", (unsigned)n);
    assert_int_equal(world_step(p->w, &e), 0);
}

/* The tenant's only key is one of its project's. */
static void begin_project(struct play *p, uint32_t t)
{
    struct event project = {
        .kind = EVENT_KIND_project_add,
        .u.project_add = {.project = uid('Q', t + 1), .tenant = uid('T', t + 1), .name = "project"}};
    struct event budget = {
        .kind = EVENT_KIND_budget_set,
        .u.budget_set = {
            .owner = uid('Q', t + 1), .scope = BUDGET_PROJECT, .per = BUDGET_EVER, .amount = BUDGET / 10}};
    struct event key = {.kind = EVENT_KIND_key_add,
                        .u.key_add = {.key = uid('K', t + 1),
                                      .tenant = uid('T', t + 1),
                                      .name = "key",
                                      .scopes = SCOPE_INFERENCE,
                                      .budget = -1,
                                      .project = uid('Q', t + 1)}};
    (void)snprintf(key.u.key_add.public_id, sizeof key.u.key_add.public_id, "p%u", t + 1);
    assert_int_equal(world_step(p->w, &project), 0);
    assert_int_equal(world_step(p->w, &budget), 0);
    assert_int_equal(world_step(p->w, &key), 0);
}

static void begin_life(struct play *p, uint64_t seed)
{
    struct limits limits = dispatch_limits(2, 2, 64);
    limits.prices = 1024;
    memset(p->books, 0, sizeof *p->books);
    struct money_books *books = p->books;
    uint64_t done[OPERATIONS_MAX];
    memcpy(done, p->done, sizeof done);
    *p = (struct play){.w = world_new(&limits),
                       .books = books,
                       .seed = seed,
                       .boots = 1,
                       .next = 100, /* ids below are of what there is from the beginning */
                       .price = uid('P', 1),
                       .prompt = 1500000};
    memcpy(p->done, done, sizeof done);
    diary_begin(&p->diary, p->w);
    assert_int_equal(do_boot(p->w, 1), 0);
    do_two_sites(p->w, INT64_C(36000000));
    assert_int_equal(do_model(p->w, 1), 0);
    assert_int_equal(do_variant(p->w, 1, 1), 0);
    assert_int_equal(do_price(p->w, 1, 1, 1500000, 2000000), 0);
    for (uint32_t t = 0; t < TENANTS; t++) {
        p->budget[t] = BUDGET;
        assert_int_equal(do_tenant(p->w, t + 1, BUDGET), 0);
        if (t < PROJECTS)
            begin_project(p, t);
        else
            assert_int_equal(do_key(p->w, t + 1, t + 1, -1), 0);
    }
    for (uint64_t i = 1; i <= BOOK_OWNERS; i++)
        add_party(p, i);
    add_party(p, PEER);
    add_party(p, SPONSOR);
    assert_int_equal(do_worker(p->w, worker(p)), 0);
    money_end_batch(p);
}

/* It is told to the journal, as the hub does: what is not in rows begins anew. */
static void reload(struct play *p)
{
    struct event told = {.kind = EVENT_KIND_tick, .u.tick.reloaded = 1};
    assert_int_equal(world_reload(p->w), 0);
    assert_int_equal(world_step(p->w, &told), 0);
}

/* What all lives came to. */
struct sums {
    uint64_t transfers, lives, reloads;
    int64_t taxes, fees, owners, granted;
};

static void add_life(struct sums *sums, const struct money_books *b)
{
    sums->lives++;
    sums->transfers += b->transfers;
    sums->taxes += b->taxes;
    sums->fees += b->fees;
    for (uint32_t i = 0; i < BOOK_OWNERS; i++)
        sums->owners += b->owner[i];
    for (uint32_t i = 0; i < BOOK_TENANTS; i++)
        sums->granted += b->granted[i];
}

static void test_money(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), transfers = test_count(100000, 10000000);
    struct play *p = calloc(1, sizeof *p);
    struct sums sums = {0};
    p->books = calloc(1, sizeof *p->books);
    while (sums.transfers < transfers) {
        begin_life(p, seed + sums.lives);
        for (int batch = 0; batch < BATCHES; batch++) {
            for (uint64_t n = 1 + draw(p, 80); n > 0; n--)
                money_act(p);
            money_end_batch(p);
            if (draw(p, 20))
                continue;
            reload(p);
            sums.reloads++;
        }
        diary_live_again(&p->diary, p->w);
        add_life(&sums, p->books);
        diary_end(&p->diary);
        world_free(p->w);
    }
    printf("# transfers: %llu in %llu lives with %llu reloads", (unsigned long long)sums.transfers,
           (unsigned long long)sums.lives, (unsigned long long)sums.reloads);
    money_tell(p);
    printf("\n# nano-units: %lld tax, %lld fee, %lld to owners, %lld paid by grants\n", (long long)sums.taxes,
           (long long)sums.fees, (long long)sums.owners, (long long)sums.granted);
    assert_true(sums.reloads > sums.lives && sums.taxes > 0 && sums.fees > 0 && sums.owners > 0 &&
                sums.granted > 0);
    free(p->books);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_money)};
    return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
