/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replicas draw, told in any order, again, late and of runs that are gone, against a model that knows what was told and what was asked.
 *
 * Two models are deployed and undeployed on the hub's own machine with up to three replicas each; keys of three tenants ask them; hubs
 * are started anew, and the core is loaded from its rows now and then. Held against the model all the time: each site's lines of requests,
 * what was idle and what waits come to what was told, to the mJ; who has asked nothing of a model since it was shared out last gets
 * nothing of it; of two who asked, what each gets is by its weight, to a mJ; the same in accounts of use and by the hour; and a report that
 * is not news changes nothing.
 */
#include "support.h"

#define MODELS 2u
#define KEYS 4u /* key 4 is tenant 1's second one */
#define TENANTS 3u
#define REPLICAS 3u
#define MAX_MJ 100000u

struct m_replica {
    uint64_t run, run_mj; /* as told last */
    bool there, final;
};

struct m_model {
    uint64_t deployment; /* 0: none */
    uint32_t replicas, epoch;
    struct m_replica replica[REPLICAS];
    uint64_t weight[KEYS + 1];
};

struct play {
    struct world *w;
    uint64_t seed;
    struct m_model model[MODELS + 1];
    uint64_t deployments, sequence, boots;
    uint64_t told_mj;
    uint64_t mj[MODELS + 1][TENANTS + 1]; /* of lines, as of the last look */
    uint64_t repeats, shared, late;
};

/* Those of before a boot are void. */
#define WORKER(p) ((p)->boots ? 2 + (p)->boots : 1)
#define LEASE(p, key) ((p)->boots * KEYS + (key))

static struct play the_play;

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

static uint64_t tenant_of(uint64_t key)
{
    return key > TENANTS ? 1 : key;
}

static int step(struct play *p, struct event e)
{
    int rc = world_step(p->w, &e);
    if (rc != 0)
        world_assert_untouched(p->w);
    assert_int_equal(core_check(p->w->core), 0);
    return rc;
}

/* ---- what rows say ---- */

struct sums {
    uint64_t lines[MODELS + 1][TENANTS + 1], all_lines, hours, metered, waiting;
};

static uint64_t index_of(const struct uuid *id)
{
    return id->b[15];
}

static struct sums sum_up(const struct world *w)
{
    struct sums s = {.all_lines = 0};
    const void **rows = mirror_sorted(&w->mirror, ROW_KIND_bill);
    for (uint32_t i = 0; i < w->mirror.count[ROW_KIND_bill]; i++) {
        const struct row_bill *row = rows[i];
        s.lines[index_of(&row->item)][index_of(&row->tenant)] += row->energy_mj;
        s.all_lines += row->energy_mj;
    }
    free(rows);
    rows = mirror_sorted(&w->mirror, ROW_KIND_usage);
    for (uint32_t i = 0; i < w->mirror.count[ROW_KIND_usage]; i++)
        s.hours += ((const struct row_usage *)rows[i])->energy_mj;
    free(rows);
    rows = mirror_sorted(&w->mirror, ROW_KIND_replica_meter);
    for (uint32_t i = 0; i < w->mirror.count[ROW_KIND_replica_meter]; i++) {
        s.metered += ((const struct row_replica_meter *)rows[i])->energy_mj;
        s.waiting += ((const struct row_replica_meter *)rows[i])->waiting_mj;
    }
    free(rows);
    return s;
}

static uint64_t account(const struct play *p, char space, uint64_t n, enum usage_side side)
{
    struct row_used key = {.owner = uid(space, n), .side = side, .unit = USAGE_ENERGY};
    const struct row_used *row = mirror_find(&p->w->mirror, ROW_KIND_used, &key);
    return row ? row->debits + row->credits : 0;
}

/* By weight to a mJ, for each share-out: one event makes two at most. */
static void check_parts(struct play *p, struct m_model *m, const uint64_t *got, uint64_t total)
{
    uint64_t whole = 0, of[TENANTS + 1] = {0};
    for (uint64_t k = 1; k <= KEYS; k++) {
        whole += m->weight[k];
        of[tenant_of(k)] += m->weight[k];
    }
    for (uint64_t t = 1; t <= TENANTS; t++) {
        uint64_t exact = whole ? total * of[t] / whole : 0;
        assert_true(got[t] + 2 >= exact && got[t] <= exact + 3);
        assert_true(got[t] == 0 || of[t] > 0);
    }
    memset(m->weight, 0, sizeof m->weight);
    p->shared++;
}

static void look(struct play *p)
{
    const struct sums s = sum_up(p->w);
    uint64_t used = 0;
    for (uint64_t t = 1; t <= TENANTS; t++)
        used += account(p, 'T', t, SIDE_USED);
    assert_int_equal(s.metered, p->told_mj);
    assert_int_equal(s.all_lines + account(p, 'S', 1, SIDE_IDLE) + s.waiting, p->told_mj);
    assert_int_equal(account(p, 'S', 1, SIDE_SUPPLIED), p->told_mj - s.waiting);
    assert_int_equal(used, s.all_lines);
    assert_int_equal(s.hours, s.all_lines);
    assert_true(mirror_balanced(&p->w->mirror));
    for (uint64_t m = 1; m <= MODELS; m++) {
        uint64_t got[TENANTS + 1] = {0}, total = 0;
        for (uint64_t t = 1; t <= TENANTS; t++) {
            got[t] = s.lines[m][t] - p->mj[m][t];
            total += got[t];
            p->mj[m][t] = s.lines[m][t];
        }
        if (total > 0)
            check_parts(p, &p->model[m], got, total);
    }
}

/* ---- what happens ---- */

static void deploy(struct play *p, uint64_t model)
{
    struct m_model *m = &p->model[model];
    const uint32_t n = 1 + (uint32_t)draw(p, REPLICAS);
    if (m->deployment || do_deploy(p->w, p->deployments + 1, model, n) != 0)
        return;
    memset(m, 0, sizeof *m);
    m->deployment = ++p->deployments;
    m->replicas = n;
    m->epoch = 1;
    for (uint32_t k = 0; k < n; k++)
        m->replica[k].there = true;
}

static uint32_t left(const struct m_model *m)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < m->replicas; k++)
        n += m->replica[k].there;
    return n;
}

/* Some of what was told is forgotten where no pot is left: a request's weight with it. */
static void forget_weights(struct m_model *m)
{
    for (uint32_t k = 0; k < m->replicas; k++) {
        if (m->replica[k].run > 0 && !m->replica[k].final)
            return;
    }
    memset(m->weight, 0, sizeof m->weight);
}

static void undeploy(struct play *p, uint64_t model)
{
    struct m_model *m = &p->model[model];
    if (!m->deployment)
        return;
    assert_int_equal(do_undeploy(p->w, m->deployment), 0);
    for (uint32_t k = 0; k < m->replicas; k++) {
        assert_int_equal(do_replica(p->w, m->deployment, k, m->epoch, REPLICA_STOPPED), 0);
        m->replica[k].there = false;
        look(p);
    }
    forget_weights(m);
}

/* Last figures come when it is over; without them the next deployment waits for nobody. */
static void finish(struct play *p, uint64_t model, bool tell_last);

static int send(struct play *p, const struct m_model *m, uint32_t k, uint64_t run, uint64_t mj,
                uint32_t flags)
{
    return step(p, (struct event){.kind = EVENT_KIND_replica_meter,
                                  .u.replica_meter = {.deployment = uid('D', m->deployment),
                                                      .ordinal = k,
                                                      .epoch = m->epoch,
                                                      .run = run,
                                                      .energy_mj = mj,
                                                      .flags = flags}});
}

static void report(struct play *p, uint64_t model, bool final)
{
    struct m_model *m = &p->model[model];
    uint32_t k = (uint32_t)draw(p, REPLICAS);
    if (!m->deployment || k >= m->replicas || (!m->replica[k].there && m->replica[k].run == 0))
        return;
    struct m_replica *r = &m->replica[k];
    const bool again = draw(p, 8) == 0;
    const uint64_t run = again ? r->run + 1 : r->run + (r->run == 0), base = again ? 0 : r->run_mj;
    const uint64_t mj = base + draw(p, 3) * draw(p, MAX_MJ);
    int rc = send(p, m, k, run, mj, final ? JOB_METER_FINAL : 0);
    if (r->final && !r->there) {
        assert_int_equal(rc, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(rc, 0);
    if (r->final) {
        world_assert_untouched(p->w);
        return;
    }
    p->late += !r->there;
    p->told_mj += mj - base;
    *r = (struct m_replica){.run = run, .run_mj = mj, .there = r->there, .final = final};
    look(p);
    if (final && left(m) == 0)
        forget_weights(m);
}

/* What was told already, or less, or of a run before. */
static void repeat(struct play *p, uint64_t model)
{
    struct m_model *m = &p->model[model];
    uint32_t k = (uint32_t)draw(p, REPLICAS);
    if (!m->deployment || k >= m->replicas || m->replica[k].run == 0 || !m->replica[k].there)
        return;
    const struct m_replica *r = &m->replica[k];
    const bool before = r->run > 1 && draw(p, 2);
    assert_int_equal(send(p, m, k, r->run - before, before ? r->run_mj + 7 : draw(p, r->run_mj + 1), 0), 0);
    world_assert_untouched(p->w);
    p->repeats++;
}

static void finish(struct play *p, uint64_t model, bool tell_last)
{
    struct m_model *m = &p->model[model];
    undeploy(p, model);
    for (uint32_t i = 0; i < 3 * REPLICAS && tell_last; i++)
        report(p, model, draw(p, 2));
    for (uint32_t k = 0; k < m->replicas;
         k++) { /* so that none waits for it: its pot is the next one's too */
        if (m->replica[k].run > 0 && !m->replica[k].final)
            assert_int_equal(send(p, m, k, m->replica[k].run, m->replica[k].run_mj, JOB_METER_FINAL), 0);
        m->replica[k].final = true;
        look(p);
    }
    memset(m, 0, sizeof *m);
}

static bool known(const struct m_model *m)
{
    for (uint32_t k = 0; k < m->replicas; k++) {
        if (m->replica[k].run > 0 && m->replica[k].there)
            return true;
    }
    return false;
}

static void ask(struct play *p, uint64_t model)
{
    struct m_model *m = &p->model[model];
    const uint64_t key = 1 + draw(p, KEYS);
    struct event e =
        meter_event(WORKER(p), ++p->sequence, LEASE(p, key), tenant_of(key), key, (uint32_t)draw(p, 200));
    e.u.meter.model = uid('M', model);
    e.u.meter.variant = uid('V', model);
    e.u.meter.price = uid('P', model);
    e.u.meter.site = uid('S', 1);
    e.u.meter.completion = (uint32_t)draw(p, 100);
    e.u.meter.cached = (uint32_t)draw(p, e.u.meter.prompt + UINT64_C(1));
    assert_int_equal(step(p, e), 0);
    if (known(m))
        m->weight[key] += e.u.meter.prompt - e.u.meter.cached + UINT64_C(5) * e.u.meter.completion;
}

/* Nobody tells more of what ran before. */
static void boot(struct play *p)
{
    assert_int_equal(do_boot(p->w, ++p->boots + 1), 0);
    look(p);
    for (uint64_t i = 1; i <= MODELS; i++) {
        struct m_model *m = &p->model[i];
        memset(m->weight, 0, sizeof m->weight);
        m->epoch++;
        for (uint32_t k = 0; k < m->replicas; k++)
            m->replica[k] = (struct m_replica){.there = m->replica[k].there};
    }
    assert_int_equal(do_worker(p->w, WORKER(p)), 0);
    for (uint64_t k = 1; k <= KEYS; k++)
        assert_int_equal(do_ask(p->w, WORKER(p), LEASE(p, k), tenant_of(k), k, 1000 * UNIT), 0);
}

static void act(struct play *p)
{
    if (draw(p, 500) == 0)
        boot(p);
    const uint64_t model = 1 + draw(p, MODELS), what = draw(p, 100);
    p->w->now += (int64_t)draw(p, 20000);
    if (what < 45)
        ask(p, model);
    else if (what < 80)
        report(p, model, false);
    else if (what < 88)
        repeat(p, model);
    else if (what < 92)
        deploy(p, model);
    else if (what < 94)
        finish(p, model, true);
    else if (what < 99)
        assert_int_equal(world_reload(p->w), 0);
    else
        deploy(p, 3 - model);
}

static void begin(struct play *p)
{
    *p = (struct play){.seed = test_seed()};
    p->w = world_usual(NULL, 1000000 * UNIT);
    assert_int_equal(do_model(p->w, 2), 0);
    assert_int_equal(do_variant(p->w, 2, 2), 0);
    assert_int_equal(do_price(p->w, 2, 2, 0, 0), 0);
    for (uint64_t k = 1; k <= KEYS; k++) {
        assert_int_equal(k == 1 || k > TENANTS ? 0 : do_tenant(p->w, k, 1000000 * UNIT), 0);
        assert_int_equal(k == 1 ? 0 : do_key(p->w, k, tenant_of(k), -1), 0);
        assert_int_equal(do_ask(p->w, WORKER(p), LEASE(p, k), tenant_of(k), k, 1000 * UNIT), 0);
    }
    p->w->now += 60000;
}

static void test_play(void **state)
{
    (void)state;
    struct play *p = &the_play;
    const uint64_t steps = test_count(20000, 1000000);
    begin(p);
    for (uint64_t i = 0; i < steps; i++)
        act(p);
    boot(p);
    world_free(p->w);
    print_message("# %llu mJ told, shared out %llu times, %llu repeats, %llu told late\n",
                  (unsigned long long)p->told_mj, (unsigned long long)p->shared,
                  (unsigned long long)p->repeats, (unsigned long long)p->late);
    assert_true(p->shared > steps / 100 && p->repeats > steps / 100 && p->late > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_play)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
