/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core under random work, data, faults, caps and rules, judged by the checker: no violation; and the same run with one effect
 * tampered with: a violation. BUSBAR_SEED repeats a run; BUSBAR_FULL=1 makes it counted.
 */
#include "dispatch_world.h"

static struct dispatch_world the_world;

/* What must have come to pass, or nothing is said about it. */
static const enum event_kind kinds[] = {
    EVENT_KIND_site_state,   EVENT_KIND_node_state,  EVENT_KIND_site_cap,       EVENT_KIND_site_signal,
    EVENT_KIND_dispatch_set, EVENT_KIND_service_set, EVENT_KIND_service_demand, EVENT_KIND_service_remove,
    EVENT_KIND_rules_set,    EVENT_KIND_plan_set,    EVENT_KIND_corridor_state, EVENT_KIND_site_shed,
    EVENT_KIND_job_submit,   EVENT_KIND_job_cancel,  EVENT_KIND_job_end,        EVENT_KIND_job_return,
    EVENT_KIND_site_contact, EVENT_KIND_job_meter,   EVENT_KIND_pool_price,     EVENT_KIND_site_engine,
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static void test_clean(void **state)
{
    (void)state;
    struct dispatch_world *w = &the_world;
    uint64_t seed = test_seed();
    uint64_t rounds = test_count(5, 200);
    uint64_t starts = 0;
    uint64_t stops = 0;
    uint64_t replicas = 0;
    uint64_t transits = 0;
    uint64_t taken[KINDS] = {0};
    uint64_t tasks = 0, unmet = 0, gave_up = 0, spent = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t hash[2][DIGEST_LEN];
        for (uint32_t twice = 0; twice < 2; twice++) {
            dispatch_world_init(w, seed + i, 0);
            for (uint32_t k = 0; k < 1500; k++)
                dispatch_world_instant(w);
            if (checker_violations(w->checker) > 0)
                fail_msg("seed %llu: %llu violations, %s", (unsigned long long)(seed + i),
                         (unsigned long long)checker_violations(w->checker), checker_first(w->checker));
            assert_int_equal(checker_running(w->checker), w->nrunning + w->replica_runs);
            checker_hash(w->checker, hash[twice]);
            dispatch_world_fini(w);
        }
        assert_memory_equal(hash[0], hash[1], DIGEST_LEN);
        starts += w->starts;
        stops += w->stops;
        replicas += w->replicas;
        transits += w->transits;
        tasks += w->tasks;
        unmet += w->unmet;
        gave_up += w->gave_up;
        spent += w->spent;
        for (size_t k = 0; k < KINDS; k++)
            taken[k] += w->taken[kinds[k]];
    }
    printf("# %llu starts, %llu stops, %llu replicas, %llu corridors taken\n", (unsigned long long)starts,
           (unsigned long long)stops, (unsigned long long)replicas, (unsigned long long)transits);
    printf("# %llu tasks of arrays, %llu jobs that never could start, %llu that came back too often, %llu "
           "unpaid\n",
           (unsigned long long)tasks, (unsigned long long)unmet, (unsigned long long)gave_up,
           (unsigned long long)spent);
    for (size_t k = 0; k < KINDS; k++) {
        if (taken[k] == 0)
            fail_msg("no event of kind %u", kinds[k]);
    }
    assert_true(starts > rounds * 50 && stops > rounds && replicas > rounds * 20 && transits > rounds * 20);
    assert_true(tasks > rounds * 20 && unmet > rounds && gave_up > 0 && spent > 0);
}

/* Nothing is decided by where an object lies in its table: a reload, or another order of arrival, changes that. */
static void test_renumbered(void **state)
{
    (void)state;
    static struct dispatch_world other;
    struct dispatch_world *w[] = {&the_world, &other};
    uint64_t seed = test_seed(), rounds = test_count(20, 400), starts = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t hash[2][DIGEST_LEN];
        dispatch_world_init(w[0], seed + i, 0);
        dispatch_world_init(w[1], seed + i, 0);
        dispatch_world_renumber(w[1]);
        for (uint32_t k = 0; k < 500; k++) {
            for (uint32_t which = 0; which < 2; which++) {
                dispatch_world_instant(w[which]);
                checker_hash(w[which]->checker, hash[which]);
            }
            if (memcmp(hash[0], hash[1], DIGEST_LEN) != 0)
                fail_msg("seed %llu: at %lld ms the two decide otherwise", (unsigned long long)(seed + i),
                         (long long)w[0]->now_ms - 1000);
        }
        starts += w[0]->starts;
        dispatch_world_fini(w[0]);
        dispatch_world_fini(w[1]);
    }
    assert_true(starts > rounds * 50); /* of single worlds some have hardly any */
}

/* A reload that is told: whoever was loaded and whoever was not decide the same from there on. */
static void test_reloaded(void **state)
{
    (void)state;
    static struct dispatch_world other;
    struct dispatch_world *w[] = {&the_world, &other};
    uint64_t seed = test_seed(), rounds = test_count(20, 400), starts = 0, reloads = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint8_t hash[2][DIGEST_LEN];
        uint64_t when = seed + i, last = 0;
        dispatch_world_init(w[0], seed + i, 0);
        dispatch_world_init(w[1], seed + i, 0);
        for (uint32_t k = 0; k < 500; k++) {
            bool reload = test_below(&when, 10) == 0, due = test_below(&when, 2);
            for (uint32_t which = 0; which < 2; which++) {
                if (reload && due) /* before the pass has seen them */
                    dispatch_world_events(w[which]);
                if (reload && which == 1)
                    dispatch_world_renumber(w[1]);
                if (reload)
                    dispatch_world_reloaded(w[which]);
                dispatch_world_instant(w[which]);
                checker_hash(w[which]->checker, hash[which]);
            }
            reloads += reload;
            last = reload ? k : last;
            if (memcmp(hash[0], hash[1], DIGEST_LEN) != 0)
                fail_msg("seed %llu: %llu instants after a reload, at %lld ms, the two decide otherwise",
                         (unsigned long long)(seed + i), (unsigned long long)(k - last),
                         (long long)w[0]->now_ms - 1000);
        }
        starts += w[0]->starts;
        dispatch_world_fini(w[0]);
        dispatch_world_fini(w[1]);
    }
    printf("# %llu reloads, %llu starts\n", (unsigned long long)reloads, (unsigned long long)starts);
    assert_true(starts > rounds * 50 && reloads > rounds * 20);
}

static void test_tampered(void **state)
{
    (void)state;
    struct dispatch_world *w = &the_world;
    uint64_t seed = test_seed(), rounds = test_count(50, 1000), tampered = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        dispatch_world_init(w, seed + i, 1 + i % 40);
        for (uint32_t k = 0; k < 1500 && w->starts < w->tamper_at; k++)
            dispatch_world_instant(w);
        tampered += w->starts >= w->tamper_at;
        if (w->starts >= w->tamper_at && checker_violations(w->checker) == 0)
            fail_msg("seed %llu: tampering with start %llu was not found", (unsigned long long)(seed + i),
                     (unsigned long long)w->tamper_at);
        dispatch_world_fini(w);
    }
    assert_true(tampered > rounds * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean), cmocka_unit_test(test_renumbered),
                                       cmocka_unit_test(test_reloaded), cmocka_unit_test(test_tampered)};
    return cmocka_run_group_tests_name("property_dispatch", tests, NULL, NULL);
}
