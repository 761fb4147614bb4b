/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of tenants with grants, taxes, a fee and owners that change all the time, against a model that adds up by itself.
 *
 * The model knows of each grant what is left of it, and of each lease where its hold is; it divides each charge with arithmetic of its own
 * (exact fractions, sorted remainders). Held against it all the time: what wallets, grants, sponsors, owners, sites and the network have;
 * that no hold is above what its account has; that lines say what was taxed and granted. In every ledger debits equal credits, which
 * the mirror of rows sees to at each step. The core is loaded from its rows now and then.
 */
#include "base/checked.h"
#include "dispatch_support.h"

#define TENANTS 3u
#define MODELS 2u
#define SITES 2u
#define OWNERS 4u
#define GRANTS 400u
#define LEASES 12u
#define MILLION 1000000

struct m_grant {
    int64_t left, held, expires_ms;
    uint32_t tenant, model, site; /* model, site: 0 is any */
    bool training, over;
};

struct m_lease {
    bool live;
    uint64_t id;
    uint32_t tenant;
    int32_t grant; /* whose money is held; -1: the wallet's */
    int64_t held;
};

struct play {
    struct world *w;
    uint64_t seed, next, sequence;
    int64_t spent[TENANTS], budget[TENANTS], wallet_held[TENANTS];
    uint32_t tax[TENANTS], fee, share[SITES][OWNERS], nowners[SITES];
    struct m_grant grant[GRANTS];
    uint32_t ngrants;
    struct m_lease lease[LEASES];
    int64_t owner[OWNERS], site[SITES], fees, taxes, granted,
        given; /* given: by the sponsor, less what came back */
    uint64_t charges, by_grant, on_grant, expired;
};

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

static void step(struct play *p, struct event e)
{
    assert_int_equal(world_step(p->w, &e), 0);
}

/* ---- the model's own arithmetic ---- */

/* Half to even of a / b. */
static int64_t even(int128 a, int128 b)
{
    int128 down = a / b, rest = a - down * b;
    if (rest * 2 == b)
        return (int64_t)(down + down % 2);
    return (int64_t)(rest * 2 > b ? down + 1 : down);
}

static void divide(struct play *p, uint32_t tenant, uint32_t site, int64_t cost)
{
    int64_t tax = even((int128)cost * p->tax[tenant], MILLION + (int64_t)p->tax[tenant]);
    int64_t fee = even((int128)(cost - tax) * p->fee, MILLION);
    int64_t rest = cost - tax - fee, given = 0;
    bool more[OWNERS] = {false};
    p->taxes += tax;
    p->fees += fee;
    if (p->nowners[site] == 0) {
        p->site[site] += rest;
        return;
    }
    for (uint32_t i = 0; i < p->nowners[site]; i++)
        given += (int64_t)((int128)rest * p->share[site][i] / MILLION);
    for (int64_t left = rest - given; left > 0; left--) {
        uint32_t best = OWNERS;
        for (uint32_t i = 0; i < p->nowners[site]; i++) {
            int128 mine = (int128)rest * p->share[site][i] % MILLION;
            if (!more[i] && (best == OWNERS || mine > (int128)rest * p->share[site][best] % MILLION))
                best = i;
        }
        more[best] = true;
    }
    for (uint32_t i = 0; i < p->nowners[site]; i++)
        p->owner[i] += (int64_t)((int128)rest * p->share[site][i] / MILLION) + more[i];
}

static bool usable(const struct play *p, const struct m_grant *g, uint32_t tenant)
{
    return !g->over && g->tenant == tenant && (g->expires_ms == 0 || g->expires_ms > p->w->now);
}

/* The next one in order of their ends after `after`; -1: none. */
static int32_t next_grant(const struct play *p, uint32_t tenant, int32_t after)
{
    int32_t best = -1;
    for (int32_t i = 0; i < (int32_t)p->ngrants; i++) {
        const struct m_grant *g = &p->grant[i], *b = best < 0 ? NULL : &p->grant[best];
        int64_t end = g->expires_ms ? g->expires_ms : INT64_MAX;
        int64_t last = after < 0 ? -1 : p->grant[after].expires_ms ? p->grant[after].expires_ms : INT64_MAX;
        int64_t found = !b ? INT64_MAX : b->expires_ms ? b->expires_ms : INT64_MAX;
        if (!usable(p, g, tenant) || (after >= 0 && (end < last || (end == last && i <= after))))
            continue;
        if (!b || end < found)
            best = i;
    }
    return best;
}

/* ---- what is done ---- */

static void add_grant(struct play *p)
{
    if (p->ngrants == GRANTS)
        return;
    struct m_grant *g = &p->grant[p->ngrants++];
    *g = (struct m_grant){.left = 1 + (int64_t)draw(p, draw(p, 2) ? 100 : 5000),
                          .expires_ms = draw(p, 3) ? p->w->now + 1 + (int64_t)draw(p, 50000) : 0,
                          .tenant = (uint32_t)draw(p, TENANTS),
                          .model = draw(p, 3) ? 0 : 1 + (uint32_t)draw(p, MODELS),
                          .site = draw(p, 3) ? 0 : 1 + (uint32_t)draw(p, SITES),
                          .training = draw(p, 8) == 0};
    struct event e = {.kind = EVENT_KIND_grant_add,
                      .u.grant_add = {.grant = uid('G', p->ngrants),
                                      .tenant = uid('T', g->tenant + 1),
                                      .sponsor = uid('O', 99),
                                      .amount = g->left,
                                      .expires_ms = g->expires_ms,
                                      .kinds = g->training  ? GRANT_TRAINING
                                               : draw(p, 2) ? GRANT_REQUESTS
                                                            : 0,
                                      .transfer = uid('g', p->ngrants)}};
    if (g->model)
        e.u.grant_add.models = (struct uuid_list){.n = 1, .v = {uid('M', g->model)}};
    if (g->site)
        memcpy(e.u.grant_add.jurisdiction, g->site == 1 ? "aa" : "bb", 3);
    p->given += g->left;
    step(p, e);
}

static void change_terms(struct play *p)
{
    uint32_t t = (uint32_t)draw(p, TENANTS), s = (uint32_t)draw(p, SITES), left = MILLION;
    p->fee = draw(p, 3) ? (uint32_t)draw(p, 300000) : draw(p, 2) ? MILLION : 0;
    p->tax[t] = draw(p, 3) ? (uint32_t)draw(p, 250000) : 0;
    step(p, (struct event){.kind = EVENT_KIND_network_fee, .u.network_fee.fee = p->fee});
    step(p, (struct event){.kind = EVENT_KIND_tenant_tax,
                           .u.tenant_tax = {.tenant = uid('T', t + 1), .tax = p->tax[t]}});
    struct event e = {.kind = EVENT_KIND_site_owners, .u.site_owners.site = uid('S', s + 1)};
    p->nowners[s] = (uint32_t)draw(p, OWNERS + 1);
    e.u.site_owners.owners.n = p->nowners[s];
    for (uint32_t i = 0; i < p->nowners[s]; i++) {
        uint32_t most = left - (p->nowners[s] - 1 - i);
        p->share[s][i] = i == p->nowners[s] - 1 ? left : 1 + (uint32_t)draw(p, most);
        left -= p->share[s][i];
        e.u.site_owners.owners.v[i] = uid('O', i + 1);
        (&e.u.site_owners.share0)[i] = p->share[s][i];
    }
    step(p, e);
}

static void open_lease(struct play *p)
{
    struct m_lease *l = &p->lease[draw(p, LEASES)];
    uint32_t tenant = (uint32_t)draw(p, TENANTS);
    int64_t want = 1 + (int64_t)draw(p, 300);
    if (l->live)
        return;
    int32_t from = -1;
    for (int32_t i = next_grant(p, tenant, -1); i >= 0 && from < 0; i = next_grant(p, tenant, i)) {
        const struct m_grant *g = &p->grant[i];
        if (!g->model && !g->site && !g->training && g->left - g->held >= want)
            from = i;
    }
    int64_t free = p->budget[tenant] - p->spent[tenant] - p->wallet_held[tenant];
    if (from < 0 && free < want)
        return; /* it would wait, or be refused: other tests' */
    uint64_t id = ++p->next, token = p->w->token + 1;
    assert_int_equal(do_ask(p->w, 1, id, tenant + 1, tenant + 1, want), 0);
    const struct effect *reply = world_reply(p->w, token);
    assert_true(reply && reply->code == 0 && reply->amount >= want);
    *l = (struct m_lease){.live = true, .id = id, .tenant = tenant, .grant = from, .held = reply->amount};
    if (from >= 0)
        p->grant[from].held += reply->amount;
    else
        p->wallet_held[tenant] += reply->amount;
    p->on_grant += from >= 0;
}

static void serve(struct play *p)
{
    struct m_lease *l = &p->lease[draw(p, LEASES)];
    uint32_t model = 1 + (uint32_t)draw(p, MODELS), site = (uint32_t)draw(p, SITES), paying = 0;
    if (!l->live || l->held == 0)
        return;
    int64_t cost = (int64_t)draw(p, (uint64_t)l->held + 1), left = cost;
    struct event e = meter_event(1, ++p->sequence, l->id, l->tenant + 1, l->tenant + 1, (uint32_t)cost);
    e.u.meter.model = uid('M', model);
    e.u.meter.price = uid('P', model);
    e.u.meter.site = uid('S', site + 1);
    step(p, e);
    if (cost == 0)
        return;
    l->held -= cost;
    if (l->grant >= 0) {
        p->grant[l->grant].held -= cost;
        p->grant[l->grant].left -= cost;
        p->granted += cost;
        divide(p, l->tenant, site, cost);
        p->charges++;
        return;
    }
    for (int32_t i = next_grant(p, l->tenant, -1); i >= 0 && left > 0 && paying < 4;
         i = next_grant(p, l->tenant, i)) {
        struct m_grant *g = &p->grant[i];
        int64_t has = g->left - g->held, part = has < left ? has : left;
        if (g->training || (g->model && g->model != model) || (g->site && g->site != site + 1) || has == 0)
            continue;
        g->left -= part;
        left -= part;
        paying++;
    }
    p->wallet_held[l->tenant] -= cost;
    p->spent[l->tenant] += left;
    p->granted += cost - left;
    p->by_grant += left < cost;
    divide(p, l->tenant, site, cost);
    p->charges++;
}

static void close_lease(struct play *p)
{
    struct m_lease *l = &p->lease[draw(p, LEASES)];
    if (!l->live)
        return;
    if (l->grant >= 0)
        p->grant[l->grant].held -= l->held;
    else
        p->wallet_held[l->tenant] -= l->held;
    l->live = false;
    assert_int_equal(do_return(p->w, 1, l->id, 0, true), 0);
}

static void time_passes(struct play *p)
{
    p->w->now += (int64_t)draw(p, 3000);
    if (core_deadline_ms(p->w->core) > p->w->now)
        return;
    assert_int_equal(do_tick(p->w), 0);
    for (uint32_t i = 0; i < p->ngrants; i++) {
        struct m_grant *g = &p->grant[i];
        if (g->over || g->expires_ms == 0 || g->expires_ms > p->w->now)
            continue;
        p->given -= g->left - g->held;
        g->left = g->held;
        g->over = g->held == 0;
        p->expired += g->over;
    }
}

/* ---- what there is ---- */

static int64_t balance(const struct play *p, struct uuid owner, enum account_code code)
{
    const struct row_account *row = view_account(p->w->core, &owner, code, EUR);
    return row ? row->credits_posted - row->debits_posted : 0;
}

static void check_lines(const struct play *p)
{
    const void **list = mirror_sorted(&p->w->mirror, ROW_KIND_bill);
    int64_t tax = 0, granted = 0, cost = 0, spent = 0;
    for (uint32_t i = 0; i < p->w->mirror.count[ROW_KIND_bill]; i++) {
        const struct row_bill *row = list[i];
        tax += row->tax;
        granted += row->granted;
        cost += row->cost;
    }
    free(list);
    for (uint32_t i = 0; i < TENANTS; i++)
        spent += p->spent[i];
    assert_true(tax == p->taxes && granted == p->granted && cost == spent + granted);
}

static void check(struct play *p)
{
    static const struct uuid network;
    assert_int_equal(core_check(p->w->core), 0);
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct view_balance b = balance_of(p->w, i + 1);
        assert_true(b.spent == p->spent[i] && b.held == p->wallet_held[i] && b.budget == p->budget[i]);
        assert_true(b.spent + b.held <= b.budget);
    }
    for (uint32_t i = 0; i < p->ngrants; i++) {
        const struct m_grant *g = &p->grant[i];
        struct uuid id = uid('G', i + 1);
        const struct row_account *row = view_account(p->w->core, &id, ACCOUNT_GRANT, EUR);
        assert_true(row->credits_posted - row->debits_posted == g->left && row->debits_pending == g->held);
        assert_true(g->left >= g->held && g->held >= 0);
    }
    for (uint32_t i = 0; i < OWNERS; i++)
        assert_true(balance(p, uid('O', i + 1), ACCOUNT_REVENUE) == p->owner[i]);
    for (uint32_t i = 0; i < SITES; i++)
        assert_true(balance(p, uid('S', i + 1), ACCOUNT_REVENUE) == p->site[i]);
    assert_true(balance(p, network, ACCOUNT_TAX) == p->taxes && balance(p, network, ACCOUNT_FEE) == p->fees);
    assert_true(-balance(p, uid('O', 99), ACCOUNT_SPONSOR) == p->given);
    check_lines(p);
}

static void party(struct play *p, uint64_t id, const char *name)
{
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add.party = uid('O', id)};
    (void)text_set(e.u.party_add.name, NAME_CAP, name, strlen(name));
    step(p, e);
}

static void start(struct play *p, uint64_t seed)
{
    static const char *const names[OWNERS] = {"a", "b", "c", "d"};
    *p = (struct play){.w = world_new(NULL), .seed = seed};
    p->w->mirror.forget_transfers = true;
    assert_int_equal(do_boot(p->w, 1), 0);
    for (uint32_t i = 0; i < SITES; i++) {
        struct event e = {.kind = EVENT_KIND_site_add, .u.site_add.site = uid('S', i + 1)};
        memcpy(e.u.site_add.name, i ? "bb" : "aa", 3);
        memcpy(e.u.site_add.jurisdiction, i ? "bb" : "aa", 3);
        step(p, e);
    }
    for (uint32_t i = 0; i < TENANTS; i++) {
        p->budget[i] = 1000 + (int64_t)draw(p, 400000);
        assert_int_equal(do_tenant(p->w, i + 1, p->budget[i]), 0);
        assert_int_equal(do_key(p->w, i + 1, i + 1, -1), 0);
    }
    for (uint32_t i = 1; i <= MODELS; i++) {
        assert_int_equal(do_model(p->w, i), 0);
        assert_int_equal(do_price(p->w, i, i, 1000000, 0), 0);
    }
    assert_int_equal(do_worker(p->w, 1), 0);
    for (uint32_t i = 0; i < OWNERS; i++)
        party(p, i + 1, names[i]);
    party(p, 99, "fund");
}

static void act(struct play *p)
{
    uint64_t what = draw(p, 100);
    if (what < 20)
        open_lease(p);
    else if (what < 70)
        serve(p);
    else if (what < 82)
        close_lease(p);
    else if (what < 90)
        time_passes(p);
    else if (what < 96)
        add_grant(p);
    else
        change_terms(p);
}

static void test_charges(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), lives = test_count(12, 400), sum[4] = {0};
    struct play *p = malloc(sizeof *p);
    for (uint64_t life = 0; life < lives; life++) {
        start(p, seed + life);
        for (int i = 0; i < 4000; i++) {
            act(p);
            if (draw(p, 25) == 0)
                check(p);
            if (draw(p, 400) == 0)
                assert_int_equal(world_reload(p->w), 0);
        }
        check(p);
        sum[0] += p->charges;
        sum[1] += p->by_grant;
        sum[2] += p->on_grant;
        sum[3] += p->expired;
        world_free(p->w);
    }
    free(p);
    printf("# %llu charges, %llu paid by grants, %llu holds on grants, %llu grants came to their end\n",
           (unsigned long long)sum[0], (unsigned long long)sum[1], (unsigned long long)sum[2],
           (unsigned long long)sum[3]);
    assert_true(sum[0] > 500 * lives && sum[1] > 20 * lives && sum[2] > 20 * lives && sum[3] > 5 * lives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_charges)};
    return cmocka_run_group_tests_name("charges", tests, NULL, NULL);
}
