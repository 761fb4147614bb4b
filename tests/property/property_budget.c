/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants, keys and workers in random order against a model that knows only what the protocol says.
 *
 * A worker draws the worst case of each request from its lease and settles less, in one or two meter records; it gives
 * back what is free when it is recalled. The model adds up grants, bills and returns by itself. Held against it all
 * the time: posted + held <= budget of every tenant and key (invariant 2), each meter record once (3), every ask
 * answered once and within 5 s of virtual time, usage rows equal to what was metered, and after a crash the state of
 * the last collected batch, not more and not less.
 */
#include "support.h"

#define TENANTS 6u
#define KEYS 18u /* key k is of tenant k % TENANTS; the last six have limits of their own */
#define WORKERS 4u
#define LEASES 200u
#define REQUESTS 300u
#define ASKS 64u

struct m_lease {
    bool live, recalled;
    uint64_t id;
    uint32_t tenant, key, worker;
    int64_t held; /* granted, less posted and given back */
    int64_t free; /* of that, not drawn by a request */
    uint32_t requests;
};

struct m_request {
    bool live;
    uint32_t lease, key;
    int64_t drawn;
    bool begun;
};

struct m_ask {
    bool live;
    uint64_t token, lease;
    uint32_t tenant, key, worker;
    int64_t want, at_ms;
};

struct model {
    int64_t budget[TENANTS], posted[TENANTS], held[TENANTS];
    int64_t key_budget[KEYS], key_posted[KEYS], key_held[KEYS];
    bool revoked[KEYS];
    uint64_t worker[WORKERS], sequence[WORKERS];
    struct m_lease lease[LEASES];
    struct m_request request[REQUESTS];
    struct m_ask ask[ASKS];
    uint64_t next_id, boot;
    uint64_t requests, prompt;
    int64_t cost;
};

struct play {
    struct world *w;
    struct model now, saved; /* saved: at the last collect */
    uint64_t saved_views;
    uint64_t seed, saved_token;
    uint64_t grants, meters, duplicates, timeouts, crashes, spent_refusals, recalls;
};

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

static bool limited(const struct play *p, uint32_t key)
{
    return p->now.key_budget[key] >= 0;
}

static void check_sums(const struct play *p)
{
    const struct model *m = &p->now;
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct view_balance b = balance_of(p->w, i + 1);
        assert_true(m->posted[i] + m->held[i] <= m->budget[i]);
        assert_true(b.budget == m->budget[i] && b.spent == m->posted[i] && b.held == m->held[i]);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        struct uuid id = uid('K', i + 1);
        struct view_balance b = view_key_balance(p->w->core, &id);
        if (!limited(p, i))
            continue;
        assert_true(m->key_posted[i] + m->key_held[i] <= m->key_budget[i]);
        assert_true(b.spent == m->key_posted[i] && b.held == m->key_held[i]);
    }
    for (uint32_t i = 0; i < ASKS; i++) {
        if (m->ask[i].live && p->w->now - m->ask[i].at_ms > HOLD_WAIT_MS)
            fail_msg("an ask waits since %lld ms", (long long)(p->w->now - m->ask[i].at_ms));
    }
}

/* ---- what comes back ---- */

static void grant(struct play *p, const struct m_ask *ask, int64_t amount)
{
    struct model *m = &p->now;
    uint32_t i = 0;
    while (i < LEASES && m->lease[i].live)
        i++;
    assert_true(i < LEASES && amount >= ask->want);
    m->lease[i] = (struct m_lease){.live = true,
                                   .id = ask->lease,
                                   .tenant = ask->tenant,
                                   .key = ask->key,
                                   .worker = ask->worker,
                                   .held = amount,
                                   .free = amount};
    m->held[ask->tenant] += amount;
    m->key_held[ask->key] += limited(p, ask->key) ? amount : 0;
    p->grants++;
}

static void take_effects(struct play *p)
{
    struct model *m = &p->now;
    for (uint32_t k = 0; k < p->w->effects.n; k++) {
        const struct effect *e = &p->w->list[k];
        for (uint32_t i = 0; i < LEASES && e->kind == EFFECT_RECALL; i++) {
            struct uuid id = uid('L', m->lease[i].id);
            if (m->lease[i].live && uuid_eq(&id, &e->lease)) {
                assert_false(m->lease[i].recalled);
                m->lease[i].recalled = true;
                p->recalls++;
            }
        }
        for (uint32_t i = 0; i < ASKS && e->kind == EFFECT_REPLY; i++) {
            struct m_ask *ask = &m->ask[i];
            if (!ask->live || ask->token != e->token)
                continue;
            ask->live = false; /* so a second answer would meet none, and leave the sums apart */
            if (e->code == 0)
                grant(p, ask, e->amount);
            p->timeouts += e->code == ERR_BUDGET_HELD;
            p->spent_refusals += e->code == ERR_BUDGET_SPENT;
            if (e->code != 0)
                assert_true(e->code == ERR_BUDGET_HELD || e->code == ERR_BUDGET_SPENT ||
                            e->code == ERR_UNAUTHENTICATED || e->code == ERR_FORBIDDEN);
        }
    }
}

static int step(struct play *p, int rc)
{
    take_effects(p);
    return rc;
}

/* ---- what is done ---- */

static void ask_one(struct play *p)
{
    struct model *m = &p->now;
    uint32_t i = 0, leases = 0;
    while (i < ASKS && m->ask[i].live)
        i++;
    for (uint32_t k = 0; k < LEASES; k++)
        leases += m->lease[k].live;
    if (i == ASKS || leases + ASKS >= LEASES)
        return;
    uint32_t key = (uint32_t)draw(p, KEYS);
    m->ask[i] = (struct m_ask){.live = true,
                               .token = p->w->token + 1,
                               .lease = ++m->next_id,
                               .tenant = key % TENANTS,
                               .key = key,
                               .worker = (uint32_t)draw(p, WORKERS),
                               .want = 1 + (int64_t)draw(p, draw(p, 4) ? 500 : 20000),
                               .at_ms = p->w->now};
    const struct m_ask ask = m->ask[i];
    (void)step(p, do_ask(p->w, m->worker[ask.worker], ask.lease, ask.tenant + 1, ask.key + 1, ask.want));
}

static void begin_request(struct play *p)
{
    struct model *m = &p->now;
    uint32_t i = 0;
    uint32_t l = (uint32_t)draw(p, LEASES);
    while (i < REQUESTS && m->request[i].live)
        i++;
    struct m_lease *lease = &m->lease[l];
    if (i == REQUESTS || !lease->live || lease->recalled || lease->free == 0)
        return;
    int64_t worst = 1 + (int64_t)draw(p, (uint64_t)lease->free);
    m->request[i] = (struct m_request){.live = true, .lease = l, .key = lease->key, .drawn = worst};
    /* Keys without limits may share a lease of their tenant. */
    if (!limited(p, lease->key) && !limited(p, (lease->key + TENANTS) % KEYS))
        m->request[i].key = (lease->key + TENANTS) % KEYS;
    lease->free -= worst;
    lease->requests++;
}

static void duplicate_meter(struct play *p, uint32_t worker, uint64_t lease, uint32_t key)
{
    uint64_t sequence = 1 + draw(p, p->now.sequence[worker]);
    assert_int_equal(
        step(p, do_meter(p->w, p->now.worker[worker], sequence, lease, key % TENANTS + 1, key + 1, 1)),
        ERR_DUPLICATE);
    p->duplicates++;
}

static void settle(struct play *p)
{
    struct model *m = &p->now;
    struct m_request *r = &m->request[draw(p, REQUESTS)];
    if (!r->live)
        return;
    struct m_lease *lease = &m->lease[r->lease];
    bool final = r->begun || draw(p, 3);
    int64_t cost = (int64_t)draw(p, (uint64_t)r->drawn + 1);
    m->sequence[lease->worker] += 1 + draw(p, 3);
    struct event e = meter_event(m->worker[lease->worker], m->sequence[lease->worker], lease->id,
                                 r->key % TENANTS + 1, r->key + 1, (uint32_t)cost);
    e.u.meter.flags = final ? METER_FINAL : METER_START;
    assert_int_equal(step(p, world_step(p->w, &e)), 0);
    const struct effect *reply = world_reply(p->w, e.token);
    assert_true(reply && reply->amount == cost);
    m->posted[lease->tenant] += cost;
    m->held[lease->tenant] -= cost;
    m->key_posted[r->key] += cost;
    m->key_held[r->key] -= limited(p, r->key) ? cost : 0;
    m->cost += cost;
    m->prompt += (uint64_t)cost;
    m->requests += final;
    lease->held -= cost;
    r->drawn -= cost;
    r->begun = true;
    p->meters++;
    if (draw(p, 5) == 0)
        duplicate_meter(p, lease->worker, lease->id, r->key);
    if (final) {
        lease->free += r->drawn;
        lease->requests--;
        r->live = false;
    }
}

/* Effects of a return may be grants, which are new leases; so the books are put right before it is sent. */
static void give_back(struct play *p, uint32_t i, int64_t amount, bool close)
{
    struct model *m = &p->now;
    struct m_lease *lease = &m->lease[i];
    int64_t freed = close ? lease->held : amount;
    uint64_t id = lease->id;
    uint32_t worker = lease->worker;
    lease->held -= freed;
    lease->free -= freed;
    m->held[lease->tenant] -= freed;
    m->key_held[lease->key] -= limited(p, lease->key) ? freed : 0;
    lease->live = !close;
    assert_int_equal(step(p, do_return(p->w, m->worker[worker], id, amount, close)), 0);
}

static void return_one(struct play *p)
{
    uint32_t i = (uint32_t)draw(p, LEASES);
    struct m_lease *lease = &p->now.lease[i];
    if (!lease->live)
        return;
    if (lease->requests == 0 && (lease->recalled || draw(p, 4) == 0)) {
        give_back(p, i, 0, true);
    } else if (lease->recalled || draw(p, 4) == 0) {
        give_back(p, i, lease->recalled ? lease->free : (int64_t)draw(p, (uint64_t)lease->free + 1), false);
    }
}

static void change_budget(struct play *p)
{
    struct model *m = &p->now;
    uint32_t t = (uint32_t)draw(p, TENANTS);
    int64_t committed = m->posted[t] + m->held[t];
    int64_t budget =
        draw(p, 3) ? committed + (int64_t)draw(p, 30000) : (int64_t)draw(p, (uint64_t)committed + 1000);
    int64_t before = m->budget[t];
    m->budget[t] = budget; /* its effects may be grants under it */
    int rc = step(p, do_budget(p->w, t + 1, budget));
    if (rc != 0)
        m->budget[t] = before;
    assert_int_equal(rc, budget >= committed || budget == before ? 0 : ERR_WRONG_STATE);
}

static void revoke_one(struct play *p)
{
    uint32_t key = (uint32_t)draw(p, KEYS);
    if (draw(p, 60) != 0 || key < TENANTS)
        return; /* a few stay good */
    assert_int_equal(step(p, do_revoke(p->w, key + 1)), 0);
    p->now.revoked[key] = true;
    for (uint32_t i = 0; i < ASKS; i++)
        assert_false(p->now.ask[i].live && p->now.ask[i].key == key);
}

static void boot(struct play *p)
{
    struct model *m = &p->now;
    assert_int_equal(step(p, do_boot(p->w, ++m->boot)), 0);
    memset(m->lease, 0, sizeof m->lease);
    memset(m->request, 0, sizeof m->request);
    memset(m->ask, 0, sizeof m->ask);
    memset(m->held, 0, sizeof m->held);
    memset(m->key_held, 0, sizeof m->key_held);
    for (uint32_t i = 0; i < WORKERS; i++) {
        m->worker[i] = m->boot * WORKERS + i;
        m->sequence[i] = 0;
        assert_int_equal(do_worker(p->w, m->worker[i]), 0);
    }
}

static void time_passes(struct play *p)
{
    p->w->now += (int64_t)draw(p, draw(p, 10) ? 200 : 6000);
    int64_t deadline;
    while ((deadline = core_deadline_ms(p->w->core)) <= p->w->now) {
        /* The runtime's timer is exact to a few ms; here it is to the one. */
        int64_t later = p->w->now;
        p->w->now = deadline;
        assert_int_equal(step(p, do_tick(p->w)), 0);
        p->w->now = later;
    }
}

/* ---- batches and crashes ---- */

static void check_usage(const struct play *p)
{
    const void **list = mirror_sorted(&p->w->mirror, ROW_KIND_usage);
    uint64_t requests = 0, prompt = 0;
    int64_t cost = 0;
    for (uint32_t i = 0; i < p->w->mirror.count[ROW_KIND_usage]; i++) {
        const struct row_usage *row = list[i];
        requests += row->requests;
        prompt += row->prompt;
        cost += row->cost;
    }
    free(list);
    assert_true(requests == p->now.requests && prompt == p->now.prompt && cost == p->now.cost);
}

/* Lines of bills are the same sums, in other parts. */
static void check_lines(const struct play *p)
{
    const void **list = mirror_sorted(&p->w->mirror, ROW_KIND_bill);
    uint64_t requests = 0, prompt = 0;
    int64_t cost = 0;
    for (uint32_t i = 0; i < p->w->mirror.count[ROW_KIND_bill]; i++) {
        const struct row_bill *row = list[i];
        requests += row->requests;
        prompt += row->prompt;
        cost += row->cost;
    }
    free(list);
    assert_true(requests == p->now.requests && prompt == p->now.prompt && cost == p->now.cost);
}

static void end_batch(struct play *p)
{
    world_collect(p->w);
    assert_int_equal(core_check(p->w->core), 0);
    check_sums(p);
    check_usage(p);
    check_lines(p);
    p->saved = p->now;
    p->saved_views = world_views(p->w);
}

static void crash(struct play *p)
{
    assert_int_equal(world_reload(p->w), 0);
    assert_true(world_views(p->w) == p->saved_views);
    p->now = p->saved;
    memset(p->now.ask, 0, sizeof p->now.ask); /* who waited is told by the runtime, and asks again */
    for (uint32_t i = 0; i < LEASES; i++)
        p->now.lease[i].recalled = false;
    p->now.next_id = p->w->token * 1000; /* ids are never drawn twice */
    check_sums(p);
    p->crashes++;
    /* What was billed before is known after. */
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (p->now.sequence[i] > 0)
            assert_int_equal(step(p, do_meter(p->w, p->now.worker[i], p->now.sequence[i], 1, 1, 1, 1)),
                             ERR_DUPLICATE);
    }
}

static void start(struct play *p, uint64_t seed)
{
    *p = (struct play){.w = world_usual(NULL, 50000), .seed = seed};
    p->w->mirror.forget_transfers = true;
    p->now.budget[0] = 50000;
    p->now.boot = 1;
    for (uint32_t i = 1; i < TENANTS; i++) {
        p->now.budget[i] = (int64_t)draw(p, 60000);
        assert_int_equal(do_tenant(p->w, i + 1, p->now.budget[i]), 0);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        p->now.key_budget[i] = i < 12 ? -1 : (int64_t)draw(p, 30000);
        if (i > 0)
            assert_int_equal(do_key(p->w, i + 1, i % TENANTS + 1, p->now.key_budget[i]), 0);
    }
    p->w->batching = true;
    boot(p);
    end_batch(p);
}

static void act(struct play *p)
{
    uint64_t what = draw(p, 1000);
    if (what < 200)
        ask_one(p);
    else if (what < 450)
        begin_request(p);
    else if (what < 750)
        settle(p);
    else if (what < 900)
        return_one(p);
    else if (what < 960)
        time_passes(p);
    else if (what < 985)
        change_budget(p);
    else if (what < 998)
        revoke_one(p);
    else if (what < 999)
        boot(p);
}

static void test_budgets_hold(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t operations = test_count(400000, 4000000);
    struct play *p = malloc(sizeof *p);
    uint64_t done = 0, sums[7] = {0};
    while (done < operations) {
        start(p, seed + done);
        for (int batch = 0; batch < 500; batch++) {
            uint64_t n = 1 + draw(p, 60);
            for (uint64_t i = 0; i < n; i++, done++) {
                act(p);
                check_sums(p);
            }
            if (draw(p, 20) == 0)
                crash(p);
            else
                end_batch(p);
        }
        const uint64_t counts[] = {p->grants,  p->meters,         p->duplicates, p->timeouts,
                                   p->crashes, p->spent_refusals, p->recalls};
        for (size_t i = 0; i < 7; i++)
            sums[i] += counts[i];
        world_free(p->w);
    }
    free(p);
    printf("# operations %llu: leases %llu, meters %llu, duplicates %llu, timeouts %llu, crashes "
           "%llu, spent %llu, "
           "recalls %llu\n",
           (unsigned long long)done, (unsigned long long)sums[0], (unsigned long long)sums[1],
           (unsigned long long)sums[2], (unsigned long long)sums[3], (unsigned long long)sums[4],
           (unsigned long long)sums[5], (unsigned long long)sums[6]);
    for (size_t i = 0; i < 7; i++)
        assert_true(sums[i] > 50); /* every path was taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budgets_hold)};
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
