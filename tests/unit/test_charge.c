/* SPDX-License-Identifier: Apache-2.0 */
/* Where charges go: owners by share, the network's fee, tax, carbon; all parts or none; other networks; what was used. */
#include "base/checked.h"
#include "core/charge.h"
#include "dispatch_support.h"

#define BUDGET 1000000

static struct world *world;

static int setup(void **state)
{
    world = world_usual(NULL, BUDGET);
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 100000), 0);
    *state = &world;
    return 0;
}

static int step(struct event e)
{
    return world_try(world, e);
}

static int party(uint64_t id, const char *name)
{
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add.party = uid('O', id)};
    (void)text_set(e.u.party_add.name, NAME_CAP, name, strlen(name));
    return step(e);
}

static struct event owners_event(uint64_t site, const uint32_t *share, uint32_t n)
{
    struct event e = {.kind = EVENT_KIND_site_owners,
                      .u.site_owners = {.site = uid('S', site), .owners.n = n}};
    for (uint32_t i = 0; i < n; i++) {
        e.u.site_owners.owners.v[i] = uid('O', i + 1);
        (&e.u.site_owners.share0)[i] = share[i];
    }
    return e;
}

static int fee(uint32_t ppm)
{
    return step((struct event){.kind = EVENT_KIND_network_fee, .u.network_fee.fee = ppm});
}

static int tax(uint64_t tenant, uint32_t ppm)
{
    return step((struct event){.kind = EVENT_KIND_tenant_tax,
                               .u.tenant_tax = {.tenant = uid('T', tenant), .tax = ppm}});
}

/* Credits less debits. */
static int64_t balance(struct uuid owner, enum account_code code)
{
    const struct row_account *row = view_account(world->core, &owner, code, EUR);
    return row ? row->credits_posted - row->debits_posted : 0;
}

static int64_t of_owner(uint64_t id)
{
    return balance(uid('O', id), ACCOUNT_REVENUE);
}

static int64_t of_site(uint64_t id)
{
    return balance(uid('S', id), ACCOUNT_REVENUE);
}

static int64_t of_network(enum account_code code)
{
    return balance((struct uuid){{0}}, code);
}

static void three_owners(void)
{
    static const uint32_t share[] = {500000, 300000, 200000};
    assert_int_equal(party(1, "alpha"), 0);
    assert_int_equal(party(2, "beta"), 0);
    assert_int_equal(party(3, "gamma"), 0);
    assert_int_equal(step(owners_event(1, share, 3)), 0);
}

/* ---- arithmetic ---- */

static void test_shares(void **state)
{
    (void)state;
    int64_t out[OWNERS_MAX];
    const uint32_t thirds[] = {333333, 333333, 333334};
    shares_divide(10, thirds, 3, 1000000, out);
    assert_true(out[0] == 3 && out[1] == 3 && out[2] == 4);
    const uint32_t halves[] = {500000, 500000};
    shares_divide(7, halves, 2, 1000000, out); /* of equal remainders the one that is named first */
    assert_true(out[0] == 4 && out[1] == 3);
    shares_divide(1, halves, 2, 1000000, out);
    assert_true(out[0] == 1 && out[1] == 0);
    shares_divide(MONEY_MAX, thirds, 3, 1000000, out);
    assert_true(out[0] + out[1] + out[2] == MONEY_MAX && out[0] == INT64_C(333333000000000000));
    uint64_t seed = test_seed();
    for (int round = 0; round < 20000; round++) {
        uint32_t weight[OWNERS_MAX], n = 1 + (uint32_t)test_below(&seed, OWNERS_MAX), left = 1000000;
        for (uint32_t i = 0; i < n; i++) {
            weight[i] = i == n - 1 ? left : (uint32_t)test_below(&seed, left + 1);
            left -= weight[i];
        }
        int64_t total = (int64_t)test_below(&seed, test_below(&seed, 2) ? 100 : MONEY_MAX), sum = 0;
        shares_divide(total, weight, n, 1000000, out);
        for (uint32_t i = 0; i < n; i++) {
            sum += out[i];
            /* Within one of what is exact. */
            int128 apart = (int128)out[i] * 1000000 - (int128)total * weight[i];
            assert_true(apart > -1000000 && apart < 1000000);
        }
        assert_true(sum == total);
    }
}

static void test_part(void **state)
{
    (void)state;
    assert_true(share_of(1, 1, 2) == 0 && share_of(3, 1, 2) == 2 && share_of(5, 1, 2) == 2);
    assert_true(share_of(100, 0, 7) == 0 && share_of(100, 7, 7) == 100 && share_of(10, 2, 3) == 7);
    assert_true(share_of(MONEY_MAX, 200000, 1200000) == INT64_C(166666666666666667));
}

/* ---- requests ---- */

static void test_owners(void **state)
{
    (void)state;
    three_owners();
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 1000), 0);
    assert_true(of_owner(1) == 500 && of_owner(2) == 300 && of_owner(3) == 200 && of_site(1) == 0);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 7),
                     0); /* 3.5, 2.1 and 1.4: the first has the largest remainder */
    assert_true(of_owner(1) == 504 && of_owner(2) == 302 && of_owner(3) == 201 && of_site(1) == 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_meter(world, 1, 3, 1, 1, 1, 1000), 0);
    assert_true(of_owner(1) == 1004 && of_owner(2) == 602 && of_owner(3) == 401 && of_site(1) == 0);
    /* Without owners it is the site's again, and what was shared stays where it is. */
    assert_int_equal(step(owners_event(1, NULL, 0)), 0);
    assert_int_equal(do_meter(world, 1, 4, 1, 1, 1, 1000), 0);
    assert_true(of_owner(1) == 1004 && of_site(1) == 1000 && balance_of(world, 1).spent == 3007);
}

/* What is served at another site than the hub's own is that site's. */
static void test_other_site(void **state)
{
    (void)state;
    assert_int_equal(do_site(world, 2), 0);
    struct event e = meter_event(1, 1, 1, 1, 1, 600);
    e.u.meter.site = uid('S', 2);
    assert_int_equal(step(e), 0);
    assert_true(of_site(1) == 0 && of_site(2) == 600);
    e.u.meter.sequence++;
    e.u.meter.site = (struct uuid){{0}};
    e.token = 0;
    assert_int_equal(step(e), 0);
    assert_true(of_site(1) == 600 && of_site(2) == 600);
}

static void test_fee_and_tax(void **state)
{
    (void)state;
    three_owners();
    assert_int_equal(fee(50000), 0);
    assert_int_equal(tax(1, 200000), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 1200), 0);
    /* 1200 with 20 % tax are 1000 net; of these 5 % are the network's. */
    assert_true(of_network(ACCOUNT_TAX) == 200 && of_network(ACCOUNT_FEE) == 50);
    assert_true(of_owner(1) == 475 && of_owner(2) == 285 && of_owner(3) == 190 && of_site(1) == 0);
    const struct row_bill key = {.tenant = uid('T', 1),
                                 .day = (uint64_t)(world->now / 86400000),
                                 .item = uid('M', 1),
                                 .variant = uid('V', 1),
                                 .site = uid('S', 1),
                                 .price = uid('P', 1)};
    const struct row_bill *line = mirror_find(&world->mirror, ROW_KIND_bill, &key);
    assert_true(line && line->cost == 1200 && line->tax == 200 && line->granted == 0);
    /* All of it: nothing is left for owners, and the tenant pays no more than before. */
    assert_int_equal(fee(1000000), 0);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 1200), 0);
    assert_true(of_network(ACCOUNT_TAX) == 400 && of_network(ACCOUNT_FEE) == 1050 && of_owner(1) == 475);
    assert_true(balance_of(world, 1).spent == 2400);
}

/* Each part of each charge is whole, and what rounding gave goes back from the site. */
static void test_small_charges(void **state)
{
    (void)state;
    three_owners();
    assert_int_equal(fee(333333), 0);
    assert_int_equal(tax(1, 190000), 0);
    assert_int_equal(do_price(world, 2, 1, 333333, 0), 0);
    int64_t spent = 0;
    for (uint32_t i = 1; i <= 300; i++) {
        struct event e = meter_event(1, i, 1, 1, 1, i % 11);
        e.u.meter.price = uid('P', 2);
        assert_int_equal(step(e), 0);
        spent = balance_of(world, 1).spent;
        assert_true(of_owner(1) + of_owner(2) + of_owner(3) + of_site(1) + of_network(ACCOUNT_FEE) +
                        of_network(ACCOUNT_TAX) + of_network(ACCOUNT_ROUNDING) ==
                    spent);
        assert_true(of_site(1) == -of_network(ACCOUNT_ROUNDING));
    }
    assert_true(spent > 300);
}

/* Where one part cannot be posted none is, and the record is as if it had never come. */
static void test_all_or_nothing(void **state)
{
    (void)state;
    three_owners();
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 1000), 0);
    struct uuid last = uid('O', 3);
    struct row_account *row = (struct row_account *)view_account(world->core, &last, ACCOUNT_REVENUE, EUR);
    const struct row_account kept = *row;
    row->credits_posted = MONEY_MAX - 100;
    struct event e = meter_event(1, 2, 1, 1, 1, 1000);
    assert_int_equal(world_step(world, &e), ERR_OVERFLOW);
    world_assert_untouched(world);
    *row = kept;
    assert_int_equal(core_check(world->core), 0);
    assert_true(of_owner(1) == 500 && of_owner(2) == 300 && balance_of(world, 1).spent == 1000);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 1000), 0);
    assert_true(of_owner(1) == 1000 && of_owner(3) == 400);
}

static void test_refused(void **state)
{
    (void)state;
    static const uint32_t over[] = {500000, 500001}, under[] = {500000, 499999}, none[] = {1000000, 0},
                          good[] = {500000, 500000};
    three_owners();
    assert_int_equal(party(1, "alpha"), 0); /* the same again */
    assert_int_equal(party(4, "alpha"), ERR_EXISTS);
    assert_int_equal(party(1, "delta"), ERR_EXISTS);
    assert_int_equal(party(0, "Not a name"), ERR_INVALID);
    assert_int_equal(step(owners_event(9, good, 2)), ERR_NOT_FOUND);
    assert_int_equal(step(owners_event(1, over, 2)), ERR_INVALID);
    assert_int_equal(step(owners_event(1, under, 2)), ERR_INVALID);
    assert_int_equal(step(owners_event(1, none, 2)), ERR_INVALID);
    struct event twice = owners_event(1, good, 2);
    twice.u.site_owners.owners.v[1] = uid('O', 1);
    assert_int_equal(step(twice), ERR_INVALID);
    twice.u.site_owners.owners.v[1] = uid('O', 77);
    twice.token = 0;
    assert_int_equal(step(twice), ERR_INVALID);
    assert_int_equal(fee(1000001), ERR_INVALID);
    assert_int_equal(tax(1, 1000001), ERR_INVALID);
    assert_int_equal(tax(9, 1), ERR_NOT_FOUND);
    assert_int_equal(do_meter(world, 1, 1, 1, 1, 1, 10), 0);
    assert_true(of_owner(1) == 5 && of_owner(2) == 3 && of_owner(3) == 2);
}

/* ---- jobs ---- */

static void report(uint64_t seconds, uint64_t energy_mj)
{
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = uid('J', 1),
                                      .epoch = 1,
                                      .site = uid('S', 1),
                                      .ms = seconds * 1000,
                                      .chip_ms = seconds * 8000,
                                      .energy_mj = energy_mj}};
    world->now += 1000;
    assert_int_equal(step(e), 0);
}

/* A kWh at a site with 400 g and a PUE of 1.5 are 600 g; at 20 nano-units a kg they cost 12. */
static void test_carbon(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    world_free(world);
    world = world_dispatch(&limits, 0);
    assert_int_equal(do_tenant(world, 1, BUDGET), 0);
    do_two_sites(world, 3600);
    struct event signal = {.kind = EVENT_KIND_site_signal,
                           .u.site_signal = {.site = uid('S', 1), .carbon = 400000, .pue = 1500}};
    assert_int_equal(world_step(world, &signal), 0);
    assert_int_equal(do_dispatch(world, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                    .fit = FIT_STRICT,
                                                                    .pack = PACK_BEST_FIT,
                                                                    .carbon_price = 20}),
                     0);
    assert_int_equal(fee(250000), 0);
    do_run_at(world, 1, 1);
    report(1,
           UINT64_C(
               3600000000)); /* it costs 8, of which 2 are the network's: 6 of the 12 are taken, 6 are due */
    assert_true(of_network(ACCOUNT_FEE) == 2 && of_network(ACCOUNT_CARBON) == 6 && of_site(1) == 0);
    assert_int_equal(world_reload(world), 0);
    report(2, UINT64_C(3600000000)); /* no more energy: what was due is taken now */
    assert_true(of_network(ACCOUNT_FEE) == 4 && of_network(ACCOUNT_CARBON) == 12 && of_site(1) == 0);
    report(3, UINT64_C(3600000000));
    assert_true(of_network(ACCOUNT_FEE) == 6 && of_network(ACCOUNT_CARBON) == 12 && of_site(1) == 6);
    assert_true(balance_of(world, 1).spent == 24); /* as without */
}

/* ---- other networks ---- */

static int settle(uint64_t payment, uint64_t peer, int64_t amount, uint32_t paid)
{
    return step((struct event){.kind = EVENT_KIND_peer_settle,
                               .u.peer_settle = {.payment = uid('Y', payment),
                                                 .party = uid('O', peer),
                                                 .ledger = EUR,
                                                 .amount = amount,
                                                 .paid = paid}});
}

static void test_peers(void **state)
{
    (void)state;
    assert_int_equal(party(1, "north-net"), 0);
    assert_int_equal(settle(1, 1, 700, 0), 0);
    assert_int_equal(settle(2, 1, 200, 1), 0);
    assert_true(balance(uid('O', 1), ACCOUNT_PEER) == 500 && of_network(ACCOUNT_SETTLEMENT) == -500);
    assert_int_equal(settle(1, 1, 700, 0), ERR_EXISTS);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(settle(2, 1, 200, 1), ERR_EXISTS);
    assert_int_equal(settle(3, 9, 200, 1), ERR_NOT_FOUND);
    assert_int_equal(settle(3, 1, 0, 1), ERR_OVERFLOW);
    assert_int_equal(settle(3, 1, -5, 1), ERR_OVERFLOW);
    assert_int_equal(settle(3, 1, 5, 2), ERR_INVALID);
    assert_true(balance(uid('O', 1), ACCOUNT_PEER) == 500);
}

/* ---- what was used ---- */

static const struct row_used *used(struct uuid owner, enum usage_side side, enum usage_unit unit)
{
    const struct row_used key = {.owner = owner, .side = side, .unit = unit};
    return mirror_find(&world->mirror, ROW_KIND_used, &key);
}

static void test_used(void **state)
{
    (void)state;
    struct event e = meter_event(1, 1, 1, 1, 1, 600);
    e.u.meter.cached = 100;
    e.u.meter.completion = 30;
    e.u.meter.reasoning = 7;
    assert_int_equal(step(e), 0);
    assert_int_equal(do_meter(world, 1, 2, 1, 1, 1, 50), 0);
    assert_true(used(uid('T', 1), SIDE_USED, USAGE_PROMPT)->debits == 650);
    assert_true(used(uid('S', 1), SIDE_SUPPLIED, USAGE_PROMPT)->credits == 650);
    assert_true(used(uid('T', 1), SIDE_USED, USAGE_CACHED)->debits == 100);
    assert_true(used(uid('T', 1), SIDE_USED, USAGE_COMPLETION)->debits == 30);
    assert_true(used(uid('S', 1), SIDE_SUPPLIED, USAGE_REASONING)->credits == 7);
    assert_null(used(uid('T', 1), SIDE_USED, USAGE_CHIP_MS));
}

/* ---- older books ---- */

static int books(uint64_t tenant, int64_t cost, uint64_t chip_ms, uint32_t done)
{
    struct event e = {.kind = EVENT_KIND_books_open,
                      .u.books_open = {.cost = cost, .chip_ms = chip_ms, .done = done}};
    if (tenant)
        e.u.books_open.tenant = uid('T', tenant);
    return step(e);
}

static void test_opening(void **state)
{
    (void)state;
    assert_int_equal(books(9, 1, 0, 0), ERR_NOT_FOUND);
    assert_int_equal(books(0, 1, 0, 1), ERR_NOT_FOUND);
    assert_int_equal(books(1, -1, 0, 0), ERR_INVALID);
    assert_int_equal(books(1, 250, 7000, 0), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(books(0, 0, 0, 1), 0);
    const struct row_bill key = {.tenant = uid('T', 1)};
    const struct row_bill *line = mirror_find(&world->mirror, ROW_KIND_bill, &key);
    assert_true(line && line->cost == 250 && line->day == 0);
    assert_true(used(uid('T', 1), SIDE_USED, USAGE_CHIP_MS)->debits == 7000);
    assert_true(used((struct uuid){{0}}, SIDE_OPENING, USAGE_CHIP_MS)->credits == 7000);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(books(1, 250, 0, 1), ERR_WRONG_STATE); /* once */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares),
                                       cmocka_unit_test(test_part),
                                       T(test_owners),
                                       T(test_other_site),
                                       T(test_fee_and_tax),
                                       T(test_small_charges),
                                       T(test_all_or_nothing),
                                       T(test_refused),
                                       T(test_carbon),
                                       T(test_peers),
                                       T(test_used),
                                       T(test_opening)};
    return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
