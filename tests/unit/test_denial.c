/* SPDX-License-Identifier: Apache-2.0 */
/* What rules deny is counted once for each work and rule, and what rules are told of sites, tenants and data can change. */
#include "core/denial.h"
#include "dispatch_support.h"

#define DAY_MS INT64_C(86400000)
#define RULE(id, when) "deny " id "\n when " when "\n because \"b\" cite \"of " id "\"\n"

static struct world *world;

/* Site and pool 1: DE, h100 of nvidia; 2: FR, s5000 of moore; two nodes of four chips each, the first is cheaper. Tenants of DE. */
static int setup(void **state)
{
    static const char *const names[2][3] = {{"h100", "nvidia", "DE"}, {"s5000", "moore", "FR"}};
    struct limits limits = dispatch_limits(4, 4, 4000);
    limits.shapes = 4000;
    world = world_dispatch(&limits, 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(do_chip(world, names[i][0], names[i][1], 0), 0);
        assert_int_equal(do_site_in(world, i + 1, names[i][2]), 0);
        struct event_pool_add pool = pool_request(i + 1, i + 1, 2, 4);
        (void)snprintf(pool.chip, CHIP_CAP, "%s", names[i][0]);
        pool.price = 1000000 * (i + 1);
        assert_int_equal(do_pool(world, pool), 0);
    }
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(do_tenant_in(world, i, "DE"), 0);
    world->now += 200 * DAY_MS;
    *state = &world;
    return 0;
}

static uint64_t counted_at(int64_t at_ms, uint64_t tenant, uint32_t what, uint32_t how, const char *rule)
{
    struct row_denial key = {.day = (uint64_t)(at_ms / DAY_MS), .what = what, .how = how};
    key.tenant = tenant ? uid('T', tenant) : (struct uuid){{0}};
    (void)snprintf(key.rule, sizeof key.rule, "%s", rule);
    if (rule[0])
        (void)snprintf(key.cite, sizeof key.cite, "of %s", rule);
    const struct row_denial *row = mirror_find(&world->mirror, ROW_KIND_denial, &key);
    return row ? row->count : 0;
}

static uint64_t counted(uint64_t tenant, uint32_t how, const char *rule)
{
    return counted_at(world->now, tenant, DENIED_JOB, how, rule);
}

static uint64_t all_counted(void)
{
    uint64_t n = 0;
    const void **rows = mirror_sorted(&world->mirror, ROW_KIND_denial);
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_denial]; i++)
        n += ((const struct row_denial *)rows[i])->count;
    free(rows);
    return n;
}

static struct event_job_submit job(uint64_t id, uint64_t tenant, uint32_t chips)
{
    struct event_job_submit request = job_request(id, chips, HOUR);
    request.tenant = uid('T', tenant);
    return request;
}

static void submit(uint64_t id, uint64_t tenant, uint32_t chips)
{
    assert_int_equal(do_submit(world, job(id, tenant, chips)), 0);
}

static uint64_t pool_of(uint64_t id)
{
    const struct row_job *row = world_job(world, id);
    if (row->state != JOB_RUNNING)
        return 0;
    return is_uid(&row->pool, 'p', 1) ? 1 : 2;
}

static void test_once_a_job(void **state)
{
    (void)state;
    submit(1, 1, 1);
    world_settle(world);
    assert_int_equal(pool_of(1), 1);
    assert_int_equal(all_counted(), 0); /* there are no rules */
    assert_int_equal(do_rules(world, RULE("no-nvidia", "chip.vendor = nvidia")), 0);
    submit(2, 1, 1);
    submit(3, 1, 1);
    submit(4, 2, 1);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, "no-nvidia"), 2);
    assert_int_equal(counted(2, DENIED_SOMEWHERE, "no-nvidia"), 1);
    /* What ran where it may no longer is stopped, which counts by itself; looking again counts nothing. */
    world_settle(world);
    assert_int_equal(counted(1, DENIED_STOPPED, "no-nvidia"), 1);
    for (int i = 0; i < 5; i++) {
        world->now += 30000;
        world_settle(world);
    }
    assert_int_equal(do_site_state(world, 1, PLACE_CORDONED), 0);
    world_settle(world);
    assert_int_equal(all_counted(), 4);
    /* The state of a pool is not what was asked for; a pool that is too small is. */
    submit(5, 1, 2);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, "no-nvidia"), 3);
    struct event_job_submit elsewhere = job(6, 1, 1);
    elsewhere.site = uid('S', 2);
    assert_int_equal(do_submit(world, elsewhere), 0);
    assert_int_equal(all_counted(), 5);
    assert_int_equal(world_reload(world), 0);
    submit(7, 1, 1);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, "no-nvidia"), 4);
    /* What is stopped for another reason was not denied anything. */
    world_settle(world);
    assert_int_equal(pool_of(1), 2);
    assert_int_equal(do_site_state(world, 2, PLACE_LOST), 0);
    world_settle(world);
    assert_int_equal(pool_of(1), 0);
    assert_int_equal(all_counted(), 6);
    assert_int_equal(counted(1, DENIED_STOPPED, ""), 0);
}

static void test_nowhere(void **state)
{
    (void)state;
    assert_int_equal(do_rules(world, RULE("no-nvidia", "chip.vendor = nvidia")
                                         RULE("no-moore", "chip.vendor = moore and job.chips > 1")),
                     0);
    submit(1, 1, 1);
    submit(2, 1, 2);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, "no-nvidia"), 1);
    assert_int_equal(counted(1, DENIED_EVERYWHERE, "no-nvidia"), 1);
    assert_int_equal(counted(1, DENIED_EVERYWHERE, "no-moore"), 1);
    /* Tomorrow is another day. */
    world->now += DAY_MS;
    submit(3, 1, 2);
    assert_int_equal(counted(1, DENIED_EVERYWHERE, "no-moore"), 1);
    assert_int_equal(counted_at(world->now - DAY_MS, 1, DENIED_JOB, DENIED_EVERYWHERE, "no-moore"), 1);
    assert_int_equal(all_counted(), 5);
}

/* Of a closed border no rule can be named. */
static void test_border(void **state)
{
    (void)state;
    assert_int_equal(
        do_rules(world, "allow open\n when data.class = public\n because \"b\" cite \"of open\"\n"), 0);
    struct event_job_submit open = job(1, 1, 1);
    memcpy(open.data_class, "secret", 7);
    assert_int_equal(do_submit(world, open), 0);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, ""), 1);
    /* Where the class is not known the `allow` needs review, so it is named. */
    submit(2, 1, 1);
    assert_int_equal(counted(1, DENIED_SOMEWHERE, "open"), 1);
    open.job = uid('J', 3);
    memcpy(open.data_class, "public", 7);
    assert_int_equal(do_submit(world, open), 0);
    assert_int_equal(all_counted(), 2);
}

/* In one batch: what there is no room to tell apart is counted all the same. */
static void test_too_many(void **state)
{
    (void)state;
    /* Of a batch at most BATCH_EVENTS_MAX events: sets of rules that differ, and jobs of three tenants. */
    char text[RULES_PART_CAP];
    uint64_t n = 0;
    world->batching = true;
    for (uint32_t round = 0; round < 200; round++) {
        (void)snprintf(text, sizeof text,
                       RULE("a%u", "chip.vendor = nvidia") RULE("b%u", "chip.memory_gib unknown")
                           RULE("c%u", "chip.vendor = moore"),
                       round, round, round, round, round, round);
        assert_int_equal(do_rules(world, text), 0);
        for (uint64_t k = 1; k <= 3; k++, n++)
            submit(round * 10 + k, k, 1);
    }
    world_collect(world);
    assert_int_equal(all_counted(), 2 * n);
}

static void test_data_home(void **state)
{
    (void)state;
    assert_int_equal(do_rules(world,
                              "require home\n when data.home known\n that site.jurisdiction = data.home\n"
                              " because \"b\" cite \"of home\"\n"),
                     0);
    struct event_job_submit e = job(1, 1, 1);
    memcpy(e.home, "FR", 3);
    assert_int_equal(do_submit(world, e), 0);
    e = job(2, 1, 1); /* as its data's site says */
    e.data_site = uid('S', 2);
    assert_int_equal(do_submit(world, e), 0);
    memcpy(e.home, "-", 2); /* nobody knows: then there is no rule for it */
    e.job = uid('J', 3);
    assert_int_equal(do_submit(world, e), 0);
    world_settle(world);
    assert_int_equal(pool_of(1), 2);
    assert_int_equal(pool_of(2), 2);
    assert_int_equal(pool_of(3), 1);
    assert_string_equal(world_job(world, 2)->home, "FR");
    /* The site is in another country now: what came before keeps the home that it had, after a reload too. */
    struct event facts = {.kind = EVENT_KIND_site_facts,
                          .u.site_facts = {.site = uid('S', 2), .jurisdiction = "IT"}};
    assert_int_equal(world_step(world, &facts), 0);
    world_settle(world);
    assert_int_equal(pool_of(2), 0);
    assert_int_equal(world_reload(world), 0);
    world_settle(world);
    assert_int_equal(pool_of(1) + pool_of(2), 0);
    assert_int_equal(pool_of(3), 1);
    assert_int_equal(counted(1, DENIED_STOPPED, "home"), 2);
    e.job = uid('J', 4);
    memset(e.home, 0, sizeof e.home);
    assert_int_equal(do_submit(world, e), 0);
    world_settle(world);
    assert_int_equal(pool_of(4), 2);
    facts.u.site_facts.site = uid('S', 9);
    assert_int_equal(world_step(world, &facts), ERR_NOT_FOUND);
    world_assert_untouched(world);
}

/* Tenants that were alike are told apart once one has other facts, and are alike again. */
static void test_tenant_facts(void **state)
{
    (void)state;
    assert_int_equal(do_rules(world, RULE("licence", "site.jurisdiction = DE and tenant.licence = bad")), 0);
    for (uint64_t i = 1; i <= 3; i++)
        submit(i, i, 1);
    world_settle(world);
    struct event facts = {.kind = EVENT_KIND_tenant_facts,
                          .u.tenant_facts = {.tenant = uid('T', 1), .jurisdiction = "DE", .licence = "bad"}};
    assert_int_equal(world_step(world, &facts), 0);
    world_settle(world);
    assert_int_equal(pool_of(1), 2);
    assert_int_equal(pool_of(2), 1);
    assert_int_equal(pool_of(3), 1);
    assert_int_equal(world_reload(world), 0);
    submit(4, 1, 1);
    submit(5, 2, 1);
    world_settle(world);
    assert_int_equal(pool_of(4), 2);
    assert_int_equal(pool_of(5), 1);
    facts.u.tenant_facts.licence[0] = 0;
    assert_int_equal(world_step(world, &facts), 0);
    submit(6, 1, 1);
    world_settle(world);
    assert_int_equal(pool_of(6), 1);
    facts.u.tenant_facts.tenant = uid('T', 9);
    assert_int_equal(world_step(world, &facts), ERR_NOT_FOUND);
}

/* Who is alike is found again when the facts of one change, as if all had been compared. */
static void test_peers(void **state)
{
    (void)state;
    static const char *const licences[] = {"", "a", "b"};
    struct world *w = world_new(NULL);
    uint32_t now[12], seed = 1;
    for (uint64_t i = 0; i < 12; i++) {
        assert_int_equal(do_tenant(w, i + 1, 0), 0);
        now[i] = 0;
    }
    for (uint32_t n = 0; n < 3000; n++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t at = (seed >> 16) % 12, is = (seed >> 24) % 3;
        struct event facts = {.kind = EVENT_KIND_tenant_facts,
                              .u.tenant_facts = {.tenant = uid('T', at + 1)}};
        (void)snprintf(facts.u.tenant_facts.licence, NAME_CAP, "%s", licences[is]);
        assert_int_equal(world_step(w, &facts), 0);
        now[at] = is;
        for (uint32_t i = 0; i < 12; i++) {
            uint32_t first = 0;
            while (now[first] != now[i])
                first++;
            struct uuid id = uid('T', i + 1), peer = uid('T', first + 1);
            assert_true(uuid_eq(view_rules_peer(w->core, &id), &peer));
        }
    }
    world_free(w);
}

/* Jobs of before, whose rows have no home: as many as a batch has room for are written when their site is told something. */
static void test_homes(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, SITE_HOMES_MAX + 1);
    struct event facts = {.kind = EVENT_KIND_site_facts,
                          .u.site_facts = {.site = uid('S', 1), .jurisdiction = "IT"}};
    struct world *w = world_dispatch(&limits, 0);
    struct event site = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('S', 1), .name = "site-1"}};
    assert_int_equal(world_step(w, &site), 0);
    assert_int_equal(do_chip(w, "chip", "nvidia", 0), 0);
    assert_int_equal(do_pool(w, pool_request(1, 1, 1, 4)), 0);
    assert_int_equal(do_tenant(w, 1, 0), 0);
    struct event_job_submit e = job_request(1, 5, 0); /* more chips than there are */
    e.tenant = uid('T', 1);
    e.data_site = uid('S', 1);
    assert_int_equal(do_submit(w, e), 0);
    struct row_job row = *world_job(w, 1);
    memset(row.home, 0, sizeof row.home);
    for (uint64_t i = 1; i <= SITE_HOMES_MAX + 1; i++) {
        row.id = uid('J', i);
        mirror_apply(&w->mirror, ROW_KIND_job, ROW_PUT, &row);
    }
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(world_step(w, &facts), ERR_LIMIT);
    world_assert_untouched(w);
    mirror_apply(&w->mirror, ROW_KIND_job, ROW_DELETE, &row);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(world_step(w, &facts), 0);
    assert_int_equal(w->ops[ROW_KIND_job][ROW_PUT], SITE_HOMES_MAX);
    assert_string_equal(world_job(w, 1)->home, "-"); /* as the site said then */
    world_free(w);
}

static void test_drill(void **state)
{
    (void)state;
    struct event_drill good = {.drill = uid('D', 1),
                               .site = uid('S', 2),
                               .as_of_ms = world->now,
                               .firm_jobs = 3,
                               .firm_chips = 12,
                               .firm_again = 2,
                               .firm_chips_again = 8};
    struct event e = {.kind = EVENT_KIND_drill, .u.drill = good};
    assert_int_equal(world_step(world, &e), 0);
    struct row_drill key = {.id = uid('D', 1)};
    const struct row_drill *row = mirror_find(&world->mirror, ROW_KIND_drill, &key);
    assert_non_null(row);
    assert_int_equal(row->firm_chips, 12);
    assert_int_equal(row->firm_again, 2);
    assert_true(row->at_ms == world->now);
    static const char *const vendors[] = {"moore", "nobody"};
    for (int i = 0; i < 2; i++) {
        e.u.drill.site = (struct uuid){{0}};
        (void)snprintf(e.u.drill.vendor, NAME_CAP, "%s", vendors[i]);
        e.u.drill.drill = uid('D', 2);
        assert_int_equal(world_step(world, &e), i == 0 ? 0 : ERR_NOT_FOUND);
    }
    world_assert_untouched(world);
    e.u.drill = good;
    (void)snprintf(e.u.drill.vendor, NAME_CAP, "moore");
    assert_int_equal(world_step(world, &e), ERR_INVALID); /* of one thing */
    e.u.drill = good;
    e.u.drill.firm_again = 4;
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e.u.drill = good;
    e.u.drill.as_of_ms = world->now + 1;
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    world_assert_untouched(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once_a_job, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_nowhere, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_border, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_data_home, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_tenant_facts, setup, world_teardown),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_homes),
        cmocka_unit_test_setup_teardown(test_drill, setup, world_teardown)};
    return cmocka_run_group_tests_name("denial", tests, NULL, NULL);
}
