/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tariffs of any kind at any time, over jobs and requests that go on, against a model that adds up lines by hand.
 *
 * The model knows what each tariff said and when it holds; of an epoch what held when it started; of a request what held when it was
 * admitted. From that it says for each part that is told to which line it belongs and what it costs. All lines must be those of the
 * model at any time, to the nano-unit: so no tariff changes what was billed, and nothing is billed by another one's terms. The wallets
 * are the sums of the lines. A tariff with one price that cannot be must change nothing. The core is loaded from its rows now and then.
 */
#include "base/checked.h"
#include "core/month.h"
#include "core/terms.h"
#include "dispatch_support.h"

#define TENANTS 2u
#define JOBS 40u
#define SAID 400u
#define LINES 2000u
#define BUDGET (MONEY_MAX / 4)
#define KWH_PRICE 250000000 /* nano-units */
#define PUE 1200u

/* What a tariff said, of which the latest whose time has come holds. who: 0 everybody, else the tenant. */
struct said {
    uint32_t who;
    int64_t from_ms, value;
    uint64_t id; /* of a price */
    struct terms terms;
};

struct m_job {
    bool runs, own;
    uint32_t tenant;
    int64_t base;
    uint32_t discount;
    bool under_terms;
    struct terms terms;
    int128 worth, energy; /* in 1/3600000, and in 1/3.6e12 of a nano-unit */
    uint64_t chip_ms, energy_mj;
    int64_t start_ms;
};

struct play {
    struct world *w;
    uint64_t seed, prices, tariffs, sequence, jobs;
    struct said model[SAID], pool[SAID], all[SAID],
        own[SAID]; /* prices of the model, of the pool; terms of all, of a tenant */
    uint32_t nmodel, npool, nall, nown;
    struct m_job job[JOBS + 1];
    struct row_bill line[LINES];
    uint32_t nlines;
    uint64_t free_tokens[TENANTS + 1], tokens_used[TENANTS + 1], ms_used[TENANTS + 1];
    uint32_t tokens_month[TENANTS + 1], ms_month[TENANTS + 1];
    int64_t spent[TENANTS + 1];
};

static struct play the_play;

static uint64_t draw(struct play *p, uint64_t n)
{
    return test_below(&p->seed, n);
}

/* ---- the model ---- */

static const struct said *holds(const struct said *list, uint32_t n, uint32_t who, int64_t now)
{
    const struct said *found = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].who == who && list[i].from_ms <= now && (!found || list[i].from_ms >= found->from_ms))
            found = &list[i];
    }
    return found;
}

static struct row_bill *line_of(struct play *p, const struct row_bill *key)
{
    for (uint32_t i = 0; i < p->nlines; i++) {
        if (memcmp(&p->line[i], key, offsetof(struct row_bill, requests)) == 0)
            return &p->line[i];
    }
    assert_true(p->nlines < LINES);
    p->line[p->nlines] = *key;
    return &p->line[p->nlines++];
}

static int64_t even(int128 exact, int64_t by)
{
    int128 whole = exact / by, rest = exact % by;
    return (int64_t)(whole + (2 * rest > by || (2 * rest == by && whole % 2 == 1)));
}

static uint32_t factor_at(const struct terms *t, int64_t now)
{
    uint32_t hour = (uint32_t)(now / HOUR % 24);
    return t->hours0 >> hour & 1 ? t->factor0 : t->hours1 >> hour & 1 ? t->factor1 : 1000;
}

static uint64_t take_free(uint64_t most, uint64_t *used, uint32_t *month, int64_t now, uint64_t want)
{
    uint32_t this = month_of(now);
    if (*month != this)
        *used = 0;
    *month = this;
    uint64_t left = most > *used ? most - *used : 0;
    uint64_t n = want < left ? want : left;
    *used += n;
    return n;
}

static struct row_bill key_of(const struct play *p, uint32_t tenant, struct uuid item, struct uuid version,
                              int64_t rate)
{
    struct row_bill key = {.tenant = uid('T', tenant), .day = (uint64_t)(p->w->now / DAY_MS), .item = item};
    key.site = uid('S', 1);
    key.price = version;
    key.rate = rate;
    return key;
}

static struct uuid version_of(uint32_t kind, int64_t base, uint32_t discount, uint32_t factor, bool own)
{
    const struct version v = {kind, base, discount, factor, own};
    return version_pack(&v);
}

static void expect_chips(struct play *p, struct m_job *j, uint64_t more, uint64_t more_mj)
{
    uint32_t factor = j->under_terms ? factor_at(&j->terms, p->w->now) : 1000;
    int64_t rate = even((int128)j->base * (1000 - j->discount) * factor, 1000000);
    bool plain = j->discount == 0 && factor == 1000 && !j->own;
    struct uuid version =
        plain ? (struct uuid){{0}} : version_of(VERSION_CHIPS, j->base, j->discount, factor, j->own);
    uint32_t t = j->tenant;
    const struct said *own = holds(p->own, p->nown, t, p->w->now);
    uint64_t most = own && j->base > 0 ? own->terms.free : 0;
    uint64_t free = most > 0 ? take_free(most, &p->ms_used[t], &p->ms_month[t], p->w->now, more) : 0;
    int64_t before = (int64_t)(j->worth / HOUR);
    j->worth += (int128)rate * (more - free);
    int64_t cost = (int64_t)(j->worth / HOUR) - before;
    struct row_bill key = key_of(p, t, uid('p', 1), version, rate);
    struct row_bill *row = line_of(p, &key);
    row->chip_ms += more - free;
    row->cost += cost;
    p->spent[t] += cost;
    if (free > 0) {
        key = key_of(p, t, uid('p', 1), version_of(VERSION_FREE, 0, 0, 1000, false), 0);
        line_of(p, &key)->chip_ms += free;
    }
    if (!j->under_terms || !(j->terms.flags & TERMS_ENERGY)) {
        row->energy_mj += more_mj;
        return;
    }
    const int64_t parts = INT64_C(3600000000) * 1000;
    before = (int64_t)(j->energy / parts);
    j->energy += (int128)more_mj * KWH_PRICE * PUE;
    cost = (int64_t)(j->energy / parts) - before;
    key = key_of(p, t, uid('p', 1), version_of(VERSION_ENERGY, KWH_PRICE, 0, PUE, false),
                 KWH_PRICE / 1000 * PUE);
    if (more_mj == 0 && cost == 0)
        return;
    row = line_of(p, &key);
    row->energy_mj += more_mj;
    row->cost += cost;
    p->spent[t] += cost;
}

/* ---- tariffs ---- */

static void put(struct play *p, uint32_t *part, struct event_tariff_put put)
{
    put.tariff = uid('F', p->tariffs);
    put.part = (*part)++;
    struct event e = {.kind = EVENT_KIND_tariff_put, .u.tariff_put = put};
    assert_int_equal(world_step(p->w, &e), 0);
}

static void note(struct said *list, uint32_t *n, bool good, struct said said)
{
    assert_true(*n < SAID);
    if (good)
        list[(*n)++] = said;
}

static void put_prices(struct play *p, uint32_t *part, int64_t from_ms, bool good)
{
    uint32_t who = (uint32_t)draw(p, TENANTS + 1);
    struct event_tariff_put e = {.what = TARIFF_MODEL, .item = uid('M', 1), .price = uid('P', 2 + p->prices)};
    int64_t value = (int64_t)draw(p, 5000000);
    bool general = who > 0 && draw(p, 4) == 0;
    if (who > 0)
        e.tenant = uid('T', who);
    e.price_flags = general ? PRICE_GENERAL : 0;
    e.prompt = e.cached = e.completion = e.reasoning = general ? 0 : value;
    put(p, part, e);
    note(p->model, &p->nmodel, good,
         (struct said){.who = who, .from_ms = from_ms, .value = general ? -1 : value, .id = 2 + p->prices});
    p->prices++;
    if (draw(p, 2) == 0)
        return;
    value = (int64_t)draw(p, 10000000);
    put(p, part, (struct event_tariff_put){.what = TARIFF_POOL, .item = uid('p', 1), .prompt = value});
    note(p->pool, &p->npool, good, (struct said){.from_ms = from_ms, .value = value});
}

static void put_terms(struct play *p, uint32_t *part, int64_t from_ms, bool good)
{
    struct event_tariff_put e = {.what = TARIFF_TERMS, .chip = "chip"};
    uint32_t who = (uint32_t)draw(p, TENANTS + 1);
    struct said said = {.who = who, .from_ms = from_ms};
    if (who > 0) {
        e.tenant = uid('T', who);
        e.flags = draw(p, 3) ? TERMS_HOUR : 0;
        e.hour = (int64_t)draw(p, 10000000);
        e.free = draw(p, 2) ? draw(p, 40 * HOUR) : 0;
    } else {
        uint32_t first = (uint32_t)draw(p, 0x1000000);
        e.deferrable = (uint32_t)draw(p, 700);
        e.interruptible = (uint32_t)draw(p, 700);
        e.hours0 = draw(p, 3) ? first : 0;
        e.factor0 = (uint32_t)draw(p, 3000);
        e.hours1 = (uint32_t)draw(p, 0x1000000) & ~first;
        e.factor1 = (uint32_t)draw(p, 3000);
        e.flags = draw(p, 2) ? TERMS_ENERGY : 0;
    }
    TERMS_COPY(&said.terms, &e);
    put(p, part, e);
    note(who > 0 ? p->own : p->all, who > 0 ? &p->nown : &p->nall, good, said);
}

static void tariff(struct play *p)
{
    uint32_t part = 0;
    bool good = draw(p, 5) > 0;
    int64_t from_ms = draw(p, 2) ? p->w->now : p->w->now + 1 + (int64_t)draw(p, 12 * HOUR);
    p->tariffs++;
    p->w->now++; /* of one moment there is one tariff */
    from_ms++;
    put_prices(p, &part, from_ms, good);
    put_terms(p, &part, from_ms, good);
    if (!good)
        put(p, &part, (struct event_tariff_put){.what = TARIFF_POOL, .item = uid('p', 99)});
    struct event e = {.kind = EVENT_KIND_tariff_set,
                      .u.tariff_set = {.tariff = uid('F', p->tariffs), .parts = part, .from_ms = from_ms}};
    assert_int_equal(world_step(p->w, &e), good ? 0 : ERR_NOT_FOUND);
}

/* ---- use ---- */

static void job(struct play *p)
{
    uint64_t no = 1 + draw(p, JOBS);
    struct m_job *j = &p->job[no];
    if (j->runs || p->jobs > 6)
        return;
    struct event_job_submit request = job_request(no, 4, 1000 * HOUR);
    uint32_t flags = draw(p, 2) ? JOB_INTERRUPTIBLE : 0;
    *j = (struct m_job){.runs = true, .tenant = 1 + (uint32_t)draw(p, TENANTS), .start_ms = p->w->now};
    request.tenant = uid('T', j->tenant);
    request.flags |= flags;
    request.start_by_ms = draw(p, 2) ? 1 : 0; /* that has passed: it starts at once */
    assert_int_equal(do_submit(p->w, request), 0);
    world_settle(p->w);
    assert_int_equal(world_job(p->w, no)->state, JOB_RUNNING);
    const struct said *all = holds(p->all, p->nall, 0, p->w->now),
                      *own = holds(p->own, p->nown, j->tenant, p->w->now);
    const struct said *pool = holds(p->pool, p->npool, 0, p->w->now);
    j->own = own && (own->terms.flags & TERMS_HOUR);
    j->base = j->own ? own->terms.hour : pool ? pool->value : 1000000;
    j->under_terms = all != NULL;
    if (all) {
        j->terms = all->terms;
        j->discount =
            (request.start_by_ms ? all->terms.deferrable : 0) + (flags ? all->terms.interruptible : 0);
        j->discount = j->discount < 1000 ? j->discount : 1000;
    }
    p->jobs++;
}

static void report(struct play *p)
{
    uint64_t no = 1 + draw(p, JOBS);
    struct m_job *j = &p->job[no];
    uint64_t most = (uint64_t)(p->w->now - j->start_ms) * 4;
    if (!j->runs || most <= j->chip_ms)
        return;
    uint64_t more = 1 + draw(p, most - j->chip_ms), mj = draw(p, 100 * more);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = uid('J', no),
                                      .epoch = 1,
                                      .site = uid('S', 1),
                                      .ms = (j->chip_ms + more) / 4,
                                      .chip_ms = j->chip_ms + more,
                                      .energy_mj = j->energy_mj + mj}};
    assert_int_equal(world_step(p->w, &e), 0);
    expect_chips(p, j, more, mj);
    j->chip_ms += more;
    j->energy_mj += mj;
    e.token = 0;
    assert_int_equal(world_step(p->w, &e), 0); /* nothing new */
}

/* Admitted at what holds now for the tenant; told after whatever else came in between. */
static void request(struct play *p)
{
    uint32_t tenant = 1 + (uint32_t)draw(p, TENANTS);
    const struct said *own = holds(p->model, p->nmodel, tenant, p->w->now);
    const struct said *price = own && own->value >= 0 ? own : holds(p->model, p->nmodel, 0, p->w->now);
    struct uuid model = uid('M', 1), one = uid('T', tenant);
    world_settle(p->w);
    const struct row_price *shown = view_price_of(p->w->core, &model, &one);
    assert_true(price ? shown && is_uid(&shown->id, 'P', price->id) : is_uid(&shown->id, 'P', 1));
    if (draw(p, 3) == 0)
        tariff(p);
    uint32_t prompt = (uint32_t)draw(p, 2000), completion = (uint32_t)draw(p, 2000);
    struct event e = meter_event(1, ++p->sequence, tenant, tenant, tenant, prompt);
    e.u.meter.completion = completion;
    e.u.meter.price = uid('P', price ? price->id : 1);
    e.u.meter.variant = (struct uuid){{0}};
    e.u.meter.site = uid('S', 1);
    assert_int_equal(world_step(p->w, &e), 0);
    uint64_t free = take_free(p->free_tokens[tenant], &p->tokens_used[tenant], &p->tokens_month[tenant],
                              p->w->now, (uint64_t)prompt + completion);
    uint32_t fp = free < prompt ? (uint32_t)free : prompt, fc = (uint32_t)(free - fp);
    int64_t value = price ? price->value : 1000000, both = price ? price->value : 2000000;
    int64_t cost =
        even((int128)(prompt - fp) * value, 1000000) + even((int128)(completion - fc) * both, 1000000);
    struct row_bill key = key_of(p, tenant, model, e.u.meter.price, 0);
    struct row_bill *row = line_of(p, &key);
    row->prompt += prompt - fp;
    row->completion += completion - fc;
    row->cost += cost;
    p->spent[tenant] += cost;
    if (free == 0)
        return;
    key = key_of(p, tenant, model, version_of(VERSION_FREE, 0, 0, 1000, false), 0);
    row = line_of(p, &key);
    row->prompt += fp;
    row->completion += fc;
}

/* ---- all of it ---- */

static void check(struct play *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->nlines; i++) {
        const struct row_bill *model = &p->line[i];
        n++;
        const struct row_bill *row = mirror_find(&p->w->mirror, ROW_KIND_bill, model);
        assert_non_null(row);
        assert_true(row->cost == model->cost && row->chip_ms == model->chip_ms &&
                    row->prompt == model->prompt && row->completion == model->completion &&
                    row->energy_mj == model->energy_mj);
    }
    assert_int_equal(p->w->mirror.count[ROW_KIND_bill], n);
    for (uint32_t t = 1; t <= TENANTS; t++)
        assert_true(balance_of(p->w, t).spent == p->spent[t]);
    assert_int_equal(core_check(p->w->core), 0);
}

static void build(struct play *p, uint64_t seed)
{
    struct limits limits = dispatch_limits(2, 2, 64);
    memset(p, 0, sizeof *p);
    p->seed = seed;
    limits.meters = 8;
    limits.prices = 1024;
    p->w = world_dispatch(&limits, 0);
    assert_int_equal(do_chip(p->w, "chip", "v", 100), 0);
    assert_int_equal(do_site(p->w, 1), 0);
    struct event_pool_add pool = pool_request(1, 1, 8, 4);
    pool.price = 1000000;
    assert_int_equal(do_pool(p->w, pool), 0);
    struct event e = {.kind = EVENT_KIND_site_signal,
                      .u.site_signal = {.site = uid('S', 1), .price = KWH_PRICE, .pue = PUE}};
    assert_int_equal(world_step(p->w, &e), 0);
    assert_int_equal(do_model(p->w, 1), 0);
    assert_int_equal(do_price(p->w, 1, 1, 1000000, 2000000), 0);
    assert_int_equal(do_worker(p->w, 1), 0);
    for (uint32_t t = 1; t <= TENANTS; t++) {
        assert_int_equal(do_tenant(p->w, t, BUDGET), 0);
        assert_int_equal(do_key(p->w, t, t, -1), 0);
        assert_int_equal(do_ask(p->w, 1, t, t, t, BUDGET / 1024), 0);
        p->free_tokens[t] = draw(p, 2) ? draw(p, 20000) : 0;
        uint32_t part = 0;
        p->tariffs++;
        put(p, &part,
            (struct event_tariff_put){
                .what = TARIFF_TERMS, .tenant = uid('T', t), .item = uid('M', 1), .free = p->free_tokens[t]});
        e = (struct event){.kind = EVENT_KIND_tariff_set,
                           .u.tariff_set = {.tariff = uid('F', p->tariffs), .parts = part}};
        assert_int_equal(world_step(p->w, &e), 0);
    }
}

static void test_lines(void **state)
{
    (void)state;
    struct play *p = &the_play;
    uint64_t seed = test_seed(), lines = 0;
    for (uint64_t round = 0; round < test_count(20, 2000); round++) {
        build(p, seed + round);
        for (uint32_t i = 0; i < 300; i++) {
            p->w->now += (int64_t)draw(p, draw(p, 20) ? HOUR : 5 * DAY_MS);
            world_settle(p->w);
            uint64_t what = draw(p, 10);
            if (what == 0 && p->nmodel < SAID - 2)
                tariff(p);
            else if (what < 3)
                job(p);
            else if (what < 7)
                report(p);
            else if (p->nmodel < SAID - 2)
                request(p);
            if (draw(p, 30) == 0)
                assert_int_equal(world_reload(p->w), 0);
            if (draw(p, 30) == 0)
                check(p);
        }
        check(p);
        lines += p->nlines;
        world_free(p->w);
    }
    print_message("# %llu lines\n", (unsigned long long)lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests_name("tariff property", tests, NULL, NULL);
}
