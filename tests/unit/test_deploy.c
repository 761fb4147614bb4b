/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment is given to go by: which sites a place stands for, and what requests ask for. */
#include "dispatch_support.h"
#include "gateway/demand.h"
#include "hub/near.h"

#define SECOND 1000

static struct world *world;

/* Sites a to e: a and b are of one region, and b to e of one jurisdiction; corridors a-b 20 ms, b-c 10 ms, a-c 40 ms, c-d 1 ms. */
static int setup(void **state)
{
    static const char *const regions[] = {"coast", "coast", "hills", "hills", ""};
    static const struct {
        uint64_t a, b;
        uint32_t rtt;
    } corridors[] = {{1, 2, 20000}, {2, 3, 10000}, {1, 3, 40000}, {3, 4, 1000}};
    struct limits limits = dispatch_limits(5, 1, 1);
    limits.corridors = 4;
    world = world_dispatch(&limits, 1);
    for (uint64_t i = 1; i <= 5; i++) {
        struct event e = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('S', i)}};
        e.u.site_add.name[0] = (char)('a' + i - 1);
        memcpy(e.u.site_add.jurisdiction, i == 1 ? "DE" : "FR", 2);
        memcpy(e.u.site_add.region, regions[i - 1], strlen(regions[i - 1]));
        assert_int_equal(world_step(world, &e), 0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        struct event e = {.kind = EVENT_KIND_corridor_add,
                          .u.corridor_add = {.corridor = uid('c', i + 1),
                                             .a = uid('S', corridors[i].a),
                                             .b = uid('S', corridors[i].b),
                                             .bits_s = 1000000000,
                                             .rtt = corridors[i].rtt}};
        assert_int_equal(world_step(world, &e), 0);
    }
    *state = &world;
    return 0;
}

static void is_near(const char *place, const char *expected)
{
    const struct row_site *near[NEAR_SITES_MAX];
    char found[NEAR_SITES_MAX + 1] = "";
    uint32_t n = near_sites(world->core, place, near);
    for (uint32_t i = 0; i < n; i++)
        found[i] = near[i]->name[0];
    assert_string_equal(found, expected);
}

static void test_near(void **state)
{
    (void)state;
    is_near("coast", "ab");
    is_near("FR", "bcde");
    is_near("a", "abc"); /* over b: 30 ms; d is 31 away */
    is_near("d", "dcb");
    is_near("e", "e"); /* no corridor leads there */
    is_near("", "");
    is_near("nowhere", "");
    struct event cut = {
        .kind = EVENT_KIND_corridor_state,
        .u.corridor_state = {.corridor = uid('c', 2), .state = PLACE_LOST, .bits_s = 1000000000}};
    assert_int_equal(world_step(world, &cut), 0);
    is_near("a", "ab");
    is_near("d", "dc");
}

/* ---- demand ---- */

static struct demand demand;
static struct event_service_demand said;

static void begin(uint32_t slots, uint64_t window_ms)
{
    struct demand_terms terms = {.service = uid('Z', 1), .slots = slots, .window_ms = window_ms};
    demand = (struct demand){.told = false};
    demand_set(&demand, &terms);
}

/* So many seconds, each with so many slots in use and so many tokens in answers. How often something was told. */
static uint32_t serve(uint32_t seconds, uint32_t busy, uint32_t waiting, uint64_t tokens)
{
    uint32_t told = 0;
    for (uint32_t i = 0; i < seconds; i++) {
        demand_count(&demand, 0, tokens);
        if (!demand_sample(&demand, SECOND, busy, waiting, &said))
            continue;
        demand_told(&demand, &said);
        told++;
    }
    return told;
}

/* Nothing is known: by what is thought. What waits counts in full, what runs in the mean of the window. */
static void test_unmeasured(void **state)
{
    (void)state;
    begin(4, DEMAND_WINDOW_MS);
    assert_int_equal(serve(1, 0, 0, 0), 1); /* a new run tells in any case */
    assert_int_equal(said.tokens_s, 0);
    assert_int_equal(said.replica_tokens_s, 4 * SLOT_TOKENS_S);
    assert_int_equal(serve(60, 0, 0, 0), 0); /* it is as it was */
    assert_int_equal(serve(10, 0, 3, 0), 1);
    assert_int_equal(said.in_flight, 3);
    assert_int_equal(said.tokens_s, 3 * SLOT_TOKENS_S);
}

static void test_measured(void **state)
{
    (void)state;
    begin(4, DEMAND_WINDOW_MS);
    (void)serve(120, 2, 0, 100); /* two slots yield 50 tokens a second each */
    assert_int_equal(said.replica_tokens_s, 200);
    assert_int_equal(said.tokens_s, 100);
    (void)serve(30, 0, 0, 0);               /* half the window */
    assert_in_range(said.tokens_s, 40, 70); /* a part is begun */
    (void)serve(60, 0, 0, 0);
    assert_int_equal(said.tokens_s, 0);
    assert_int_equal(said.replica_tokens_s, 200); /* what is known stays known */
    (void)serve(20, 4, 1, 200);
    assert_in_range(said.tokens_s, 60, 300);
}

/* Prompts weigh little, and a window may be short. */
static void test_prompts(void **state)
{
    (void)state;
    begin(1, 2 * SECOND);
    for (uint32_t i = 0; i < 30; i++) {
        demand_count(&demand, 100 * PROMPT_WEIGHT, 0);
        (void)serve(1, 1, 0, 0);
    }
    assert_int_equal(said.replica_tokens_s, 100);
    (void)serve(6, 0, 0, 0);
    assert_int_equal(said.tokens_s, 0);
    assert_int_equal(said.in_flight, 0);
}

/* One that finds nothing ready is told once; the next one again when nobody is known to wait. */
static void test_wakes(void **state)
{
    (void)state;
    begin(1, DEMAND_WINDOW_MS);
    (void)serve(1, 0, 0, 0);
    assert_true(demand_wakes(&demand));
    assert_false(demand_wakes(&demand));
    assert_int_equal(serve(10, 0, 0, 0), 1); /* it is answered already: nobody asks any more */
    assert_int_equal(said.in_flight, 0);
    assert_true(demand_wakes(&demand));
    (void)serve(10, 0, 1, 0);
    assert_false(demand_wakes(&demand)); /* core knows */
    (void)serve(10, 0, 0, 0);
    assert_true(demand_wakes(&demand));
    struct demand_terms other = {.service = uid('Z', 2), .slots = 1, .window_ms = SECOND};
    demand_set(&demand, &other);
    assert_true(demand_wakes(&demand));
    demand_set(&demand, &(struct demand_terms){.slots = 0});
    assert_int_equal(serve(10, 1, 1, 1), 0); /* nobody follows it */
}

/* Who waits at another gateway counts as who waits here, until that one says otherwise, or forgets what it said. */
static void test_elsewhere(void **state)
{
    (void)state;
    begin(1, DEMAND_WINDOW_MS);
    (void)serve(20, 0, 0, 0);
    atomic_store(&demand.elsewhere, 3);
    assert_int_equal(serve(10, 0, 0, 0), 1);
    assert_int_equal(said.in_flight, 3);
    assert_int_equal(said.tokens_s, 3 * SLOT_TOKENS_S);
    assert_int_equal(serve(10, 0, 0, 0), 0);
    demand_untell(&demand);
    assert_int_equal(serve(1, 0, 0, 0), 1);
    atomic_store(&demand.elsewhere, 0);
    assert_int_equal(serve(10, 0, 0, 0), 1);
    assert_int_equal(said.in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_near, setup, world_teardown),
        cmocka_unit_test(test_unmeasured),
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
