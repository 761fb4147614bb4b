/* SPDX-License-Identifier: Apache-2.0 */
/* Prices of one tenant, tariffs that come in parts, discounts, hours of the day, energy that is passed on, what is free, minimums. */
#include "core/month.h"
#include "core/terms.h"
#include "dispatch_support.h"
#include "runtime/facts.h"
#include "store/store.h"

#define PRICE 3600000 /* nano-units for a chip-hour: one for a chip-ms */
#define CHIPS 8
#define BUDGET INT64_C(1000000000000)

static struct world *world;

static int setup(void **state)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    limits.corridors = 2;
    limits.prices = 16;
    limits.meters = 8;
    world = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(world, 1, BUDGET), 0);
    assert_int_equal(do_tenant(world, 2, BUDGET), 0);
    do_two_sites(world, PRICE);
    world->now = world->now / DAY_MS * DAY_MS + 8 * HOUR; /* at eight in the morning, UTC */
    assert_int_equal(do_tick(world), 0);
    *state = &world;
    return 0;
}

static int step(struct event e)
{
    return world_try(world, e);
}

/* ---- tariffs ---- */

static uint64_t tariff_no;
static uint32_t part_no;

static void tariff_begin(void)
{
    tariff_no++;
    part_no = 0;
}

static int put(struct event_tariff_put part)
{
    part.tariff = uid('F', tariff_no);
    part.part = part_no;
    int rc = step((struct event){.kind = EVENT_KIND_tariff_put, .u.tariff_put = part});
    part_no += rc == 0;
    return rc;
}

static int set(int64_t from_ms)
{
    return step((struct event){
        .kind = EVENT_KIND_tariff_set,
        .u.tariff_set = {.tariff = uid('F', tariff_no), .parts = part_no, .from_ms = from_ms}});
}

static struct event_tariff_put terms_part(void)
{
    return (struct event_tariff_put){.what = TARIFF_TERMS, .chip = "chip"};
}

static int apply_terms(struct event_tariff_put part, int64_t from_ms)
{
    tariff_begin();
    assert_int_equal(put(part), 0);
    return set(from_ms);
}

static struct event_tariff_put model_part(uint64_t price, uint64_t tenant, int64_t prompt)
{
    struct event_tariff_put part = {
        .what = TARIFF_MODEL, .item = uid('M', 1), .price = uid('P', price), .prompt = prompt};
    if (tenant)
        part.tenant = uid('T', tenant);
    return part;
}

/* ---- use ---- */

static void run_job(uint64_t job, uint64_t tenant, uint32_t flags, int64_t start_by_ms)
{
    struct event_job_submit request = job_request(job, CHIPS, 40 * HOUR);
    request.site = uid('S', 1);
    request.tenant = uid('T', tenant);
    request.flags |= flags;
    request.start_by_ms = start_by_ms;
    assert_int_equal(do_submit(world, request), 0);
    world_settle(world);
    assert_int_equal(world_job(world, job)->state, JOB_RUNNING);
}

/* So many chip-ms and mJ in all. */
static int used(uint64_t job, uint64_t chip_ms, uint64_t energy_mj)
{
    return step((struct event){.kind = EVENT_KIND_job_meter,
                               .u.job_meter = {.job = uid('J', job),
                                               .epoch = 1,
                                               .site = uid('S', 1),
                                               .ms = chip_ms / CHIPS,
                                               .chip_ms = chip_ms,
                                               .energy_mj = energy_mj}});
}

/* The tenant's line at this rate, with this version. */
static const struct row_bill *chip_line(uint64_t tenant, int64_t rate, const struct version *v)
{
    struct row_bill key = {.tenant = uid('T', tenant),
                           .day = (uint64_t)(world->now / DAY_MS),
                           .item = uid('p', 1),
                           .site = uid('S', 1),
                           .rate = rate};
    if (v)
        key.price = version_pack(v);
    return mirror_find(&world->mirror, ROW_KIND_bill, &key);
}

static void until(int64_t ms)
{
    world->now = ms;
    world_settle(world);
    assert_int_equal(core_check(world->core), 0);
}

/* Lines and wallets agree. */
static void check_sums(void)
{
    const void **list = mirror_sorted(&world->mirror, ROW_KIND_bill);
    int64_t sum = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++)
        sum += ((const struct row_bill *)list[i])->cost;
    free(list);
    assert_true(sum == balance_of(world, 1).spent + balance_of(world, 2).spent);
}

/* ---- versions ---- */

static void test_versions(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < 1000; i++) {
        struct version v = {.kind = VERSION_CHIPS + (uint32_t)test_below(&seed, 4),
                            .base = (int64_t)test_below(&seed, PRICE_MAX),
                            .discount = (uint32_t)test_below(&seed, 1001),
                            .factor = (uint32_t)test_below(&seed, FACTOR_MAX + 1),
                            .own = test_below(&seed, 2)};
        struct version back;
        struct uuid id = version_pack(&v);
        assert_true(version_read(&back, &id) && back.kind == v.kind && back.base == v.base &&
                    back.discount == v.discount && back.factor == v.factor && back.own == v.own);
        assert_true((id.b[6] >> 4) == 8 && (id.b[8] >> 6) == 2); /* RFC 9562, 5.8 */
        id.b[6] = (uint8_t)(0x70 | (id.b[6] & 15));
        assert_false(version_read(&back, &id));
    }
    const struct {
        struct version v;
        int64_t rate;
    } known[] = {{{1, 1000, 0, 1000, false}, 1000}, {{1, 1000, 300, 1200, false}, 840},
                 {{1, 5, 500, 1000, false}, 2},     {{1, 7, 500, 1000, false}, 4},
                 {{1, 1000, 1000, 2000, true}, 0},  {{1, 3, 0, 500, false}, 2}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(version_rate(&known[i].v) == known[i].rate);
}

static void test_hours(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t hours; /* 0: refused */
    } known[] = {{"0-24", 0xffffff},
                 {"7-9", 0x180},
                 {"22-2", 0xc00003},
                 {"23-24", 0x800000},
                 {"0-1", 1},
                 {"7-7", 0},
                 {"24-1", 0},
                 {"7-25", 0},
                 {"7", 0},
                 {"-7", 0},
                 {"7-", 0},
                 {"7-x", 0},
                 {"", 0}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t hours = 0, from, to;
        char back[16];
        assert_int_equal(terms_hours_parse(&hours, known[i].text, strlen(known[i].text)),
                         known[i].hours != 0);
        if (known[i].hours == 0)
            continue;
        assert_int_equal(hours, known[i].hours);
        terms_hours(hours, &from, &to);
        (void)snprintf(back, sizeof back, "%u-%u", from, to);
        assert_string_equal(back, known[i].text);
    }
    struct terms t = {.hours0 = 0x180, .factor0 = 1500, .hours1 = 0xffffff, .factor1 = 800};
    assert_int_equal(terms_factor(&t, 7 * HOUR, 0, 0), 1500);
    assert_int_equal(terms_factor(&t, 9 * HOUR, 0, 0), 800);
    assert_int_equal(terms_factor(&t, 9 * HOUR - 1, 0, 0), 1500);
    t.signal_min = 500;
    t.signal_max = 2000;
    assert_int_equal(terms_factor(&t, 7 * HOUR, 30, 20), 2250);
    assert_int_equal(terms_factor(&t, 7 * HOUR, 90, 20), 3000);
    assert_int_equal(terms_factor(&t, 7 * HOUR, -5, 20), 750);
    assert_int_equal(terms_factor(&t, 7 * HOUR, 30, 0), 1500);
}

/* ---- prices of one tenant ---- */

static void test_own_price(void **state)
{
    (void)world_teardown(state);
    world = world_usual(NULL, 1000000);
    *state = &world;
    struct uuid model = uid('M', 1), one = uid('T', 1), two = uid('T', 2);
    assert_int_equal(do_tenant(world, 2, 1000), 0);
    assert_int_equal(do_key(world, 2, 2, -1), 0);
    int64_t now = world->now;
    tariff_begin();
    assert_int_equal(put(model_part(2, 2, 7000000)), 0);
    assert_int_equal(put(model_part(3, 0, 3000000)), 0);
    assert_int_equal(set(now + 1000), 0);
    assert_true(is_uid(&view_price_of(world->core, &model, &two)->id, 'P', 1));
    assert_true(is_uid(&view_price_then(world->core, &model, &two, now + 1000)->id, 'P', 2));
    assert_int_equal(world_reload(world), 0);
    until(now + 1000);
    assert_true(world->effects.routes_changed);
    for (int round = 0; round < 2; round++) {
        assert_true(is_uid(&view_price_of(world->core, &model, &two)->id, 'P', 2));
        assert_true(is_uid(&view_price_of(world->core, &model, &one)->id, 'P', 3));
        assert_int_equal(world_reload(world), 0);
    }
    /* It is that tenant's alone, and its line names it. */
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 10000), 0);
    assert_int_equal(do_ask(world, 1, 2, 2, 2, 900), 0);
    struct event e = meter_event(1, 1, 1, 1, 1, 10);
    e.u.meter.price = uid('P', 2);
    assert_int_equal(step(e), ERR_FORBIDDEN);
    e = meter_event(1, 1, 2, 2, 2, 10);
    e.u.meter.price = uid('P', 2);
    assert_int_equal(step(e), 0);
    assert_true(balance_of(world, 2).spent == 70);
    /* And back to what everybody pays; what is named by a record in between is still known. */
    tariff_begin();
    struct event_tariff_put general = model_part(4, 2, 0);
    general.price_flags = PRICE_GENERAL;
    assert_int_equal(put(general), 0);
    assert_int_equal(set(0), 0);
    assert_true(is_uid(&view_price_of(world->core, &model, &two)->id, 'P', 3));
    assert_null(view_price_then(world->core, &model, &two, world->now));
    e.u.meter.sequence = 2;
    e.token = 0;
    e.at_ms = 0;
    assert_int_equal(step(e), 0);
    e.u.meter.sequence = 3;
    e.u.meter.price = uid('P', 4);
    e.token = 0;
    assert_int_equal(step(e), ERR_INVALID); /* that is no price */
    assert_true(balance_of(world, 2).spent == 140);
    assert_int_equal(do_model_remove(world, 1), 0);
    assert_int_equal(world_reload(world), 0);
}

/* ---- all or nothing ---- */

static void test_draft(void **state)
{
    (void)state;
    assert_int_equal(do_model(world, 1), 0);
    tariff_begin();
    assert_int_equal(set(0), ERR_INVALID);
    assert_int_equal(put(model_part(1, 0, 5)), 0);
    struct event_tariff_put pool = {.what = TARIFF_POOL, .item = uid('p', 1), .prompt = 7};
    assert_int_equal(put(pool), 0);
    struct event_tariff_put wrong = {.what = TARIFF_POOL, .item = uid('p', 9), .prompt = 7};
    assert_int_equal(put(wrong), 0);
    assert_int_equal(set(0), ERR_NOT_FOUND);
    struct uuid pool_id = uid('p', 1), model = uid('M', 1);
    assert_true(view_pool(world->core, &pool_id)->price == PRICE &&
                !view_price_of(world->core, &model, NULL));
    assert_int_equal(put((struct event_tariff_put){.what = 9}), ERR_INVALID);
    assert_int_equal(put(model_part(1, 0, 5)), ERR_EXISTS);
    part_no++; /* one is left out */
    assert_int_equal(put(pool), ERR_WRONG_STATE);
    /* Begun anew, through a reload; another tariff's parts are none of this one's. */
    tariff_begin();
    assert_int_equal(put(pool), 0);
    assert_int_equal(put(model_part(1, 0, 5)), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(world->mirror.count[ROW_KIND_tariff_part], 2);
    tariff_no++;
    assert_int_equal(put(pool), ERR_WRONG_STATE);
    assert_int_equal(set(0), ERR_WRONG_STATE);
    tariff_no--;
    assert_int_equal(set(0), 0);
    assert_int_equal(world->mirror.count[ROW_KIND_tariff_part], 0);
    assert_true(view_pool(world->core, &pool_id)->price == 7 &&
                view_price_of(world->core, &model, NULL)->prompt == 5);
    assert_int_equal(set(0), ERR_WRONG_STATE);
    /* More prices than there is room for: none of them. */
    tariff_begin();
    assert_int_equal(put((struct event_tariff_put){.what = TARIFF_POOL, .item = uid('p', 1), .prompt = 8}),
                     0);
    for (uint64_t i = 0; i < 16; i++)
        assert_int_equal(put(model_part(100 + i, 0, 9)), 0);
    assert_int_equal(set(0), ERR_LIMIT);
    assert_true(view_pool(world->core, &pool_id)->price == 7 &&
                view_price_of(world->core, &model, NULL)->prompt == 5);
    /* What would be a tenant's is nobody's, and the other way round. */
    struct event_tariff_put odd = terms_part();
    odd.minimum = 5;
    assert_int_equal(apply_terms(odd, 0), ERR_INVALID);
    odd = terms_part();
    odd.tenant = uid('T', 1);
    odd.deferrable = 5;
    assert_int_equal(apply_terms(odd, 0), ERR_INVALID);
    odd = terms_part();
    odd.deferrable = 1001;
    assert_int_equal(apply_terms(odd, 0), ERR_INVALID);
    odd.deferrable = 0;
    odd.tenant = uid('T', 77);
    assert_int_equal(apply_terms(odd, 0), ERR_NOT_FOUND);
}

/* A price that nothing names any more makes room; one that a hold may still name does not. */
static void test_reclaim(void **state)
{
    struct uuid model = uid('M', 1);
    (void)world_teardown(state);
    struct limits limits = small_limits();
    limits.prices = 4;
    world = world_usual(&limits, 1000000);
    *state = &world;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 100), 0);
    for (uint64_t i = 2; i <= 4; i++)
        assert_int_equal(do_price(world, i, 1, 1, 1), 0);
    assert_int_equal(do_price(world, 5, 1, 1, 1), ERR_LIMIT);
    until(world->now + PRICE_KEPT_MS - 1);
    assert_int_equal(do_price(world, 5, 1, 1, 1), ERR_LIMIT);
    until(world->now + 2 * HOUR);
    assert_int_equal(do_price(world, 5, 1, 1, 1), ERR_LIMIT); /* the hold was there before */
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 10), 0);  /* at the first price */
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    until(world->now + HOUR);
    assert_int_equal(world_reload(world), 0);
    for (uint64_t i = 5; i <= 7; i++)
        assert_int_equal(do_price(world, i, 1, 1, 1), 0);
    assert_int_equal(do_price(world, 8, 1, 1, 1), ERR_LIMIT);
    assert_true(is_uid(&view_price_of(world->core, &model, NULL)->id, 'P', 7));
    assert_int_equal(world->mirror.count[ROW_KIND_price], 7); /* the books have all of them */
}

/* ---- chips ---- */

static void test_discounts(void **state)
{
    (void)state;
    struct event_tariff_put part = terms_part();
    part.deferrable = 200;
    part.interruptible = 300;
    assert_int_equal(apply_terms(part, 0), 0);
    run_job(1, 1, JOB_INTERRUPTIBLE, 0);
    world->now += HOUR;
    assert_int_equal(used(1, 1000, 0), 0);
    const struct version soft = {.kind = VERSION_CHIPS, .base = PRICE, .discount = 300, .factor = 1000};
    assert_true(chip_line(1, PRICE / 10 * 7, &soft)->cost == 700);
    /* Other terms are for those that start under them. */
    part.interruptible = 900;
    assert_int_equal(apply_terms(part, 0), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(used(1, 2000, 0), 0);
    assert_true(chip_line(1, PRICE / 10 * 7, &soft)->cost == 1400);
    assert_int_equal(world->mirror.count[ROW_KIND_terms], 2); /* the first ones are still in use */
    assert_int_equal(do_end(world, 1, 1), 0);
    assert_int_equal(
        step((struct event){
            .kind = EVENT_KIND_job_meter,
            .u.job_meter = {.job = uid('J', 1), .epoch = 1, .site = uid('S', 1), .flags = JOB_METER_FINAL}}),
        0);
    until(world->now + 2 * HOUR);
    assert_int_equal(world->mirror.count[ROW_KIND_terms], 1);
    run_job(2, 1, 0, 0); /* firm work pays all of it */
    world->now += HOUR;
    assert_int_equal(used(2, 1000, 0), 0);
    assert_true(chip_line(1, PRICE, NULL)->cost == 1000);
    assert_int_equal(do_end(world, 2, 1), 0);
    run_job(3, 1, JOB_INTERRUPTIBLE, world->now + 1); /* both together are at most everything */
    world->now += HOUR;
    assert_int_equal(used(3, 1000, 0), 0);
    const struct version both = {.kind = VERSION_CHIPS, .base = PRICE, .discount = 1000, .factor = 1000};
    assert_true(chip_line(1, 0, &both)->cost == 0);
    check_sums();
}

/* An epoch that crosses the hour is billed in two lines; a signal makes a third. */
static void test_time_of_use(void **state)
{
    (void)state;
    struct event_tariff_put part = terms_part();
    part.hours0 = 1u << 8 | 1u << 9;
    part.factor0 = 1500;
    assert_int_equal(apply_terms(part, 0), 0);
    run_job(1, 1, 0, 0);
    int64_t start = world->now;
    world->now = start + HOUR;
    assert_int_equal(used(1, 1001, 0), 0);
    world->now = start + 2 * HOUR - 1;
    assert_int_equal(used(1, 2002, 0), 0);
    const struct version peak = {.kind = VERSION_CHIPS, .base = PRICE, .factor = 1500};
    assert_true(chip_line(1, PRICE / 2 * 3, &peak)->chip_ms == 2002 &&
                chip_line(1, PRICE / 2 * 3, &peak)->cost == 3003);
    world->now = start + 2 * HOUR;
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(used(1, 3003, 0), 0);
    assert_true(chip_line(1, PRICE, NULL)->chip_ms == 1001 && chip_line(1, PRICE, NULL)->cost == 1001);
    assert_true(chip_line(1, PRICE / 2 * 3, &peak)->cost == 3003);
    assert_int_equal(world_reload(world), 0);
    check_sums();
    assert_int_equal(do_end(world, 1, 1), 0);
    /* Power at 0.10 for a day, then at 0.30: dearer than it has been on the average, and the factor has a bound. */
    struct event signal = {.kind = EVENT_KIND_site_signal,
                           .u.site_signal = {.site = uid('S', 1), .price = UNIT / 10, .pue = 1000}};
    assert_int_equal(step(signal), 0);
    part = terms_part();
    part.signal_min = 500;
    part.signal_max = 2000;
    assert_int_equal(apply_terms(part, 0), 0);
    until(world->now + DAY_MS);
    struct uuid site = uid('S', 1);
    assert_int_equal(do_tick(world), 0);
    assert_true(view_site_mean(world->core, &site) == UNIT / 10);
    signal.u.site_signal.price = 3 * UNIT / 10;
    signal.token = 0;
    signal.at_ms = 0;
    assert_int_equal(step(signal), 0);
    run_job(2, 1, 0, 0);
    world->now += DAY_MS; /* the mean is 0.20 */
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(used(2, 1000, 0), 0);
    assert_true(view_site_mean(world->core, &site) == UNIT / 5);
    const struct version dear = {.kind = VERSION_CHIPS, .base = PRICE, .factor = 1500};
    assert_true(chip_line(1, PRICE / 2 * 3, &dear)->cost == 1500);
    check_sums();
}

/* Facts of an event that is accepted, in place of what world_step does with it. */
static bool fact_of(struct event e, const char *line)
{
    struct buf out;
    struct facts facts;
    buf_init(&out, 8192);
    e.at_ms = world->now;
    facts_find(&facts, world->core, &e);
    assert_true(facts.any);
    assert_int_equal(step(e), 0);
    facts_add(&out, &facts, world->core, &e, 0, 0);
    buf_add_char(&out, 0);
    assert_false(out.failed);
    bool found = memmem(out.data, out.len, line, strlen(line)) != NULL;
    buf_fini(&out);
    return found;
}

static void test_energy(void **state)
{
    (void)state;
    struct event signal = {
        .kind = EVENT_KIND_site_signal,
        .u.site_signal = {.site = uid('S', 1), .price = UNIT / 4, .pue = 1200, .carbon = 1000}};
    assert_int_equal(step(signal), 0);
    struct event_tariff_put part = terms_part();
    part.flags = TERMS_ENERGY;
    assert_int_equal(apply_terms(part, 0), 0);
    run_job(1, 1, 0, 0);
    world->now += HOUR;
    for (uint64_t i = 1; i <= 3; i++) /* a third of a kWh each */
        assert_int_equal(used(1, 1000 * i, i * 1200000000), 0);
    const struct version v = {.kind = VERSION_ENERGY, .base = UNIT / 4, .factor = 1200};
    const struct row_bill *row = chip_line(1, 3 * UNIT / 10, &v);
    assert_true(row && row->cost == 3 * UNIT / 10 && row->energy_mj == UINT64_C(3600000000) &&
                row->chip_ms == 0);
    assert_true(chip_line(1, PRICE, NULL)->cost == 3000 && chip_line(1, PRICE, NULL)->energy_mj == 0);
    check_sums();
    /* Power for which one is paid is free, no more. */
    signal.u.site_signal.price = -UNIT;
    signal.token = 0;
    signal.at_ms = 0;
    assert_int_equal(step(signal), 0);
    assert_int_equal(used(1, 4000, UINT64_C(4800000000)), 0);
    assert_int_equal(world_reload(world), 0);
    assert_true(balance_of(world, 1).spent == 3 * UNIT / 10 + 4000);
    check_sums();
    struct event last = {.kind = EVENT_KIND_job_meter,
                         .u.job_meter = {.job = uid('J', 1),
                                         .epoch = 1,
                                         .site = uid('S', 1),
                                         .ms = 500,
                                         .chip_ms = 4000,
                                         .energy_mj = UINT64_C(4800000000),
                                         .flags = JOB_METER_FINAL}};
    assert_true(fact_of(last, "\nenergy_cost_nano 300000000\nenergy_unpaid_nano 0\n"));
}

/* Tenant 2 has an hour of its own, and some chip-ms for nothing. */
static void test_tenants_chips(void **state)
{
    (void)state;
    struct event_tariff_put part = terms_part();
    part.tenant = uid('T', 2);
    part.flags = TERMS_HOUR;
    part.hour = PRICE / 2;
    part.free = 1500;
    assert_int_equal(apply_terms(part, 0), 0);
    run_job(1, 2, 0, 0);
    world->now += HOUR;
    assert_int_equal(used(1, 1000, 0), 0);
    assert_true(balance_of(world, 2).spent == 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(used(1, 3000, 0), 0);
    const struct version own = {.kind = VERSION_CHIPS, .base = PRICE / 2, .factor = 1000, .own = true};
    const struct version nothing = {.kind = VERSION_FREE, .factor = 1000};
    assert_true(balance_of(world, 2).spent == 750);
    assert_true(chip_line(2, PRICE / 2, &own)->chip_ms == 1500 && chip_line(2, 0, &nothing)->chip_ms == 1500);
    /* Anew in the next month, and no other tenant's. */
    world->now = month_begin_ms(month_of(world->now) + 1);
    assert_int_equal(used(1, 4000, 0), 0);
    assert_true(balance_of(world, 2).spent == 750);
    assert_int_equal(do_end(world, 1, 1), 0);
    run_job(2, 1, 0, 0);
    world->now += HOUR;
    assert_int_equal(used(2, 1000, 0), 0);
    assert_true(balance_of(world, 1).spent == 1000);
    check_sums();
    /* What was used in a month that is over takes no room. */
    assert_int_equal(world->mirror.count[ROW_KIND_allowance], 1);
    world->now = month_begin_ms(month_of(world->now) + 1) - 1;
    assert_int_equal(do_tick(world), 0);
    assert_int_equal(world->mirror.count[ROW_KIND_allowance], 1);
    assert_true(core_deadline_ms(world->core) <= world->now + 1);
    world->now++;
    assert_int_equal(do_tick(world), 0);
    assert_int_equal(world->mirror.count[ROW_KIND_allowance], 0);
    assert_int_equal(world_reload(world), 0);
}

/* ---- tokens for nothing, and what a month costs at least ---- */

static void test_free_tokens(void **state)
{
    (void)world_teardown(state);
    world = world_usual(NULL, 1000000);
    *state = &world;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 100000), 0);
    struct event_tariff_put part = {
        .what = TARIFF_TERMS, .tenant = uid('T', 1), .item = uid('M', 1), .free = 150};
    assert_int_equal(apply_terms(part, 0), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        struct event e =
            meter_event(1, i, 1, 1, 1, 60); /* one a prompt token, two a token of the completion */
        e.u.meter.completion = 20;
        assert_int_equal(step(e), 0);
        assert_int_equal(world_reload(world), 0);
    }
    assert_true(balance_of(world, 1).spent == 10 * 2 + 60 + 20 * 2); /* 240 tokens, and 150 of them free */
    assert_int_equal(world->mirror.count[ROW_KIND_allowance], 1);
    const void **list = mirror_sorted(&world->mirror, ROW_KIND_allowance);
    assert_true(((const struct row_allowance *)list[0])->used == 150);
    free(list);
    list = mirror_sorted(&world->mirror, ROW_KIND_bill);
    uint64_t prompt = 0, completion = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++) {
        prompt += ((const struct row_bill *)list[i])->prompt;
        completion += ((const struct row_bill *)list[i])->completion;
    }
    free(list);
    assert_true(prompt == 180 && completion == 60); /* none is lost, and none there twice */
}

static int close_bill(uint64_t invoice, uint32_t month, int64_t total, int64_t minimum)
{
    return step((struct event){.kind = EVENT_KIND_invoice_close,
                               .u.invoice_close = {.invoice = uid('I', invoice),
                                                   .tenant = uid('T', 1),
                                                   .month = month,
                                                   .total = total,
                                                   .first_month = month,
                                                   .minimum = minimum}});
}

static void test_minimum(void **state)
{
    (void)world_teardown(state);
    world = world_usual(NULL, 1000);
    *state = &world;
    uint32_t month = month_of(world->now);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 900), 0);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 400), 0);
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    struct event_tariff_put part = {.what = TARIFF_TERMS, .tenant = uid('T', 1), .minimum = 500};
    assert_int_equal(apply_terms(part, 0), 0);
    world->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    assert_int_equal(close_bill(1, month, 400, 501), ERR_OVERFLOW);
    assert_int_equal(close_bill(1, month, 400, -1), ERR_OVERFLOW);
    assert_int_equal(close_bill(1, month, 400, 100), 0);
    const struct row_invoice one = {.id = uid('I', 1)};
    const struct row_invoice *row = mirror_find(&world->mirror, ROW_KIND_invoice, &one);
    assert_true(row->total == 500 && balance_of(world, 1).spent == 500);
    assert_int_equal(close_bill(2, month, 400, 100), ERR_EXISTS);
    /* As far as the wallet goes. */
    world->now = month_begin_ms(month + 2) + MONTH_SETTLE_MS;
    assert_int_equal(do_budget(world, 1, 700), 0);
    assert_int_equal(close_bill(2, month + 1, 0, 500), 0);
    assert_true(balance_of(world, 1).spent == 700);
    const void **list = mirror_sorted(&world->mirror, ROW_KIND_bill);
    int64_t sum = 0;
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_bill]; i++)
        sum += ((const struct row_bill *)list[i])->cost;
    free(list);
    assert_true(sum == 700);
}

/* What a lease holds of the minimum is asked back, not forgiven. */
static void test_minimum_held(void **state)
{
    (void)world_teardown(state);
    world = world_usual(NULL, 1000);
    *state = &world;
    uint32_t month = month_of(world->now);
    struct event_tariff_put part = {.what = TARIFF_TERMS, .tenant = uid('T', 1), .minimum = 500};
    assert_int_equal(apply_terms(part, 0), 0);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 900), 0);
    world->now = month_begin_ms(month + 1) + MONTH_SETTLE_MS;
    assert_int_equal(close_bill(1, month, 0, 500), ERR_BUDGET_HELD);
    assert_int_equal(world_count(world, EFFECT_RECALL), 1);
    assert_true(balance_of(world, 1).spent == 0);
    assert_int_equal(do_return(world, 1, 1, 0, true), 0);
    struct event last = {.kind = EVENT_KIND_invoice_close,
                         .u.invoice_close = {.invoice = uid('I', 1),
                                             .tenant = uid('T', 1),
                                             .month = month,
                                             .first_month = month,
                                             .minimum = 500}};
    assert_true(fact_of(last, "\ntotal_nano 500\n"));
    assert_true(balance_of(world, 1).spent == 500);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {T(test_versions),    T(test_hours),   T(test_own_price),
                                       T(test_draft),       T(test_reclaim), T(test_discounts),
                                       T(test_time_of_use), T(test_energy),  T(test_tenants_chips),
                                       T(test_free_tokens), T(test_minimum), T(test_minimum_held)};
    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
