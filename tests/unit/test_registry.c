/* SPDX-License-Identifier: Apache-2.0 */
/* Single chips: they come, go, come again and move; one that two sites have raises an alarm that stays, and is changed by neither. */
#include "core/registry.h"
#include "support.h"

#define SITES 3
#define RANDOM_UNITS 12

static struct world *world;

static int member(uint64_t site)
{
    struct event token = {.kind = EVENT_KIND_site_token,
                          .u.site_token = {.site = uid('S', site), .expires_ms = world->now + 60000}};
    struct event join = {.kind = EVENT_KIND_site_join};
    memset(token.u.site_token.token, (int)site, DIGEST_BYTES);
    memset(join.u.site_join.token, (int)site, DIGEST_BYTES);
    memset(join.u.site_join.key, 1, DIGEST_BYTES);
    int rc = world_step(world, &token);
    return rc ? rc : world_step(world, &join);
}

static void begin(uint32_t units)
{
    struct limits limits = small_limits();
    limits.units = units;
    world = world_new(&limits);
    assert_int_equal(do_boot(world, 1), 0);
    for (uint64_t i = 1; i <= SITES; i++) {
        assert_int_equal(do_site(world, i), 0);
        assert_int_equal(member(i), 0);
    }
}

static int setup(void **state)
{
    (void)state;
    begin(64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(core_check(world->core), 0);
    world_free(world);
    return 0;
}

static struct event seen(uint64_t n, uint64_t site)
{
    struct event e = {.kind = EVENT_KIND_unit_seen,
                      .u.unit_seen = {.unit = uid('U', n),
                                      .site = uid('S', site),
                                      .vendor = "nvidia",
                                      .kind = "h100",
                                      .device = "10de:2330",
                                      .model = "NVIDIA H100",
                                      .origin = "US",
                                      .host = "node-1",
                                      .health = UNIT_HEALTH_OK}};
    (void)snprintf(e.u.unit_seen.name, UNIT_NAME_CAP, "nvidia:%u", (unsigned)n);
    return e;
}

static int see(uint64_t n, uint64_t site)
{
    struct event e = seen(n, site);
    world->now += 1000;
    return world_step(world, &e);
}

static int see_twice(uint64_t n, uint64_t site)
{
    struct event e = seen(n, site);
    e.u.unit_seen.here = 2;
    world->now += 1000;
    return world_step(world, &e);
}

static int see_health(uint64_t n, uint64_t site, uint32_t health, const char *reason)
{
    struct event e = seen(n, site);
    e.u.unit_seen.health = health;
    (void)snprintf(e.u.unit_seen.reason, TEXT_CAP, "%s", reason);
    world->now += 1000;
    return world_step(world, &e);
}

static int lose(uint64_t n, uint64_t site)
{
    struct event e = {.kind = EVENT_KIND_unit_gone,
                      .u.unit_gone = {.unit = uid('U', n), .site = uid('S', site)}};
    world->now += 1000;
    return world_step(world, &e);
}

static int resolve(uint64_t n, uint64_t site, const char *note)
{
    struct event e = {.kind = EVENT_KIND_unit_resolve,
                      .u.unit_resolve = {.unit = uid('U', n), .site = uid('S', site)}};
    (void)snprintf(e.u.unit_resolve.note, TEXT_CAP, "%s", note);
    world->now += 1000;
    return world_step(world, &e);
}

static int declare(uint64_t n, uint32_t what, const char *licence, const char *origin)
{
    struct event e = {.kind = EVENT_KIND_unit_declare, .u.unit_declare = {.unit = uid('U', n), .what = what}};
    (void)snprintf(e.u.unit_declare.licence, NAME_CAP, "%s", licence);
    (void)snprintf(e.u.unit_declare.origin, CODE_CAP, "%s", origin);
    world->now += 1000;
    return world_step(world, &e);
}

static int census(uint64_t site, uint32_t nameless)
{
    struct event e = {.kind = EVENT_KIND_unit_census,
                      .u.unit_census = {.site = uid('S', site), .nameless = nameless}};
    world->now += 1000;
    return world_step(world, &e);
}

/* The same before and after a reload. */
static const struct row_unit *unit(uint64_t n)
{
    const struct uuid id = uid('U', n);
    const struct row_unit *row = view_unit(world->core, &id);
    assert_non_null(row);
    const struct row_unit was = *row;
    assert_int_equal(world_reload(world), 0);
    row = view_unit(world->core, &id);
    assert_memory_equal(&was, row, sizeof was);
    return row;
}

static bool is_at(uint64_t n, uint64_t site, uint32_t state)
{
    const struct row_unit *row = unit(n);
    const struct uuid at = uid('S', site);
    return uuid_eq(&row->site, &at) && row->state == state;
}

static const struct row_unit_alarm *alarm_of(uint64_t n, uint64_t site)
{
    const struct uuid id = uid('U', n), at = uid('S', site);
    return view_unit_alarm(world->core, &id, &at);
}

/* A reload makes another core, so the row comes first. */
static bool alarmed(uint64_t n)
{
    const struct row_unit *row = unit(n);
    return view_unit_alarmed(world->core, row);
}

static int64_t seen_ms(uint64_t n)
{
    const struct row_unit *row = unit(n);
    return view_unit_seen_ms(world->core, row);
}

static uint32_t pasts(uint64_t n, uint32_t what)
{
    uint32_t found = 0;
    const void **rows = mirror_sorted(&world->mirror, ROW_KIND_unit_past);
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_unit_past]; i++) {
        const struct row_unit_past *row = rows[i];
        const struct uuid id = uid('U', n);
        found += uuid_eq(&row->unit, &id) && row->what == what;
    }
    free(rows);
    return found;
}

static void test_comes_and_goes(void **state)
{
    (void)state;
    assert_int_equal(see(1, 1), 0);
    const int64_t came = world->now;
    assert_true(is_at(1, 1, UNIT_PRESENT));
    assert_int_equal(unit(1)->first_ms, came);
    uint64_t digest = mirror_digest(&world->mirror);
    assert_int_equal(see(1, 1), 0); /* said again */
    assert_int_equal(mirror_digest(&world->mirror), digest);
    assert_int_equal(see_health(1, 1, UNIT_HEALTH_WARNING, "hot"), 0);
    assert_true(is_at(1, 1, UNIT_PRESENT));
    assert_int_equal(see_health(1, 1, UNIT_HEALTH_BROKEN, "fell off the bus"), 0);
    assert_true(is_at(1, 1, UNIT_FAILED));
    assert_string_equal(unit(1)->reason, "fell off the bus");
    assert_int_equal(see(1, 1), 0);
    assert_true(is_at(1, 1, UNIT_PRESENT));
    assert_int_equal(lose(1, 1), 0);
    const int64_t went = world->now;
    assert_true(is_at(1, 1, UNIT_ABSENT));
    assert_int_equal(lose(1, 1), 0); /* said again */
    assert_int_equal(unit(1)->seen_ms, went);
    assert_int_equal(see(1, 1), 0);
    assert_true(is_at(1, 1, UNIT_PRESENT));
    assert_int_equal(unit(1)->first_ms, came);
    assert_false(alarmed(1));
    static const uint32_t once[] = {UNIT_PAST_CAME, UNIT_PAST_FAILED, UNIT_PAST_MENDED, UNIT_PAST_WENT,
                                    UNIT_PAST_RETURNED};
    for (uint32_t i = 0; i < sizeof once / sizeof once[0]; i++)
        assert_int_equal(pasts(1, once[i]), 1);
}

static void test_moves(void **state)
{
    (void)state;
    const struct uuid first = uid('S', 1);
    assert_int_equal(see(1, 1), 0);
    assert_int_equal(declare(1, UNIT_DECLARED_LICENCE, "BIS-1", ""), 0);
    assert_int_equal(lose(1, 1), 0);
    struct event e = seen(1, 2);
    e.u.unit_seen.unit = uid('U', 9); /* who reports does not know it yet */
    world->now += 1000;
    assert_int_equal(world_step(world, &e), 0);
    assert_true(is_at(1, 2, UNIT_PRESENT));
    assert_true(uuid_eq(&unit(1)->from, &first));
    assert_int_equal(unit(1)->moves, 1);
    assert_string_equal(unit(1)->licence, "BIS-1");
    assert_false(alarmed(1));
    assert_int_equal(pasts(1, UNIT_PAST_MOVED), 1);
    assert_int_equal(lose(1, 1), 0); /* it is not there any more: nothing to refuse a whole call for */
    assert_true(is_at(1, 2, UNIT_PRESENT));
}

static void test_two_sites(void **state)
{
    (void)state;
    assert_int_equal(see(1, 1), 0);
    const struct row_unit was = *unit(1);
    assert_int_equal(see_health(1, 2, UNIT_HEALTH_BROKEN, "not ours to say"), 0);
    const int64_t raised = world->now;
    assert_memory_equal(&was, unit(1), sizeof was); /* nothing of it is changed by the other one */
    assert_true(alarmed(1));
    assert_int_equal(alarm_of(1, 2)->since_ms, raised);
    uint64_t digest = mirror_digest(&world->mirror);
    assert_int_equal(see(1, 2), 0); /* said again */
    assert_int_equal(mirror_digest(&world->mirror), digest);
    assert_int_equal(see(1, 3), 0); /* a third one */
    assert_int_equal(view_unit_counts(world->core).alarms, 2);
    assert_int_equal(lose(1, 3), 0);
    assert_int_equal(alarm_of(1, 3)->gone_ms, world->now);
    assert_true(alarmed(1)); /* it stays until somebody has found out */
    assert_int_equal(resolve(1, 2, ""), ERR_INVALID);
    assert_int_equal(resolve(1, 2, "two\nlines"), ERR_INVALID);
    assert_int_equal(resolve(2, 2, "why"), ERR_NOT_FOUND);
    assert_int_equal(resolve(1, 2, "a copied serial"), 0);
    assert_int_equal(resolve(1, 2, "again"), ERR_WRONG_STATE);
    assert_int_equal(resolve(1, 3, "the same"), 0);
    assert_false(alarmed(1));
    assert_int_equal(see(1, 2), 0); /* it was there all the time: no other alarm */
    assert_false(alarmed(1));
    assert_int_equal(see(1, 3), 0); /* it had gone from there, and is there again */
    assert_true(alarmed(1));
    assert_int_equal(view_unit_counts(world->core).alarms, 1);
    assert_int_equal(alarm_of(1, 3)->since_ms, raised + 2000);
    assert_true(is_at(1, 1, UNIT_PRESENT));
}

/* Its home loses it while others have it, too: the first of them has it then, and the alarm stays. */
static void test_home_lost(void **state)
{
    (void)state;
    assert_int_equal(see(1, 1), 0);
    assert_int_equal(see(1, 3), 0);
    assert_int_equal(see(1, 2), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(lose(1, 1), 0);
    assert_true(is_at(1, 3, UNIT_PRESENT));
    assert_true(alarmed(1));
    assert_int_equal(view_unit_counts(world->core).alarms, 2);
    assert_true(alarm_of(1, 3)->gone_ms != 0 && alarm_of(1, 2)->gone_ms == 0);
    assert_int_equal(lose(1, 3), 0);
    assert_true(is_at(1, 2, UNIT_PRESENT));
    assert_int_equal(lose(1, 2), 0);
    assert_true(is_at(1, 2, UNIT_ABSENT));
    assert_int_equal(unit(1)->moves, 2);
}

static void test_twice_at_one(void **state)
{
    (void)state;
    assert_int_equal(see_twice(1, 1), 0); /* when it is first heard of */
    assert_true(alarmed(1));
    assert_int_equal(see(1, 1), 0);
    assert_true(alarmed(1));
    assert_int_equal(alarm_of(1, 1)->gone_ms, world->now);
    assert_int_equal(see(2, 1), 0);
    assert_int_equal(see_twice(2, 1), 0);
    assert_true(alarmed(2));
    assert_int_equal(lose(2, 1), 0);
    assert_true(is_at(2, 1, UNIT_ABSENT)); /* not that it had moved to itself */
}

static int remove_site(uint64_t site)
{
    struct event e = {.kind = EVENT_KIND_site_remove, .u.site_remove.site = uid('S', site)};
    world->now += 1000;
    return world_step(world, &e);
}

static void test_site_removed(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(see(i, 1), 0);
    assert_int_equal(see(4, 2), 0);
    assert_int_equal(see(4, 1), 0); /* and at the site that goes */
    assert_int_equal(see(2, 3), 0);
    assert_int_equal(census(1, 7), 0);
    const int64_t last = world->now;
    assert_int_equal(remove_site(1), 0);
    assert_true(is_at(1, 1, UNIT_ABSENT));
    assert_int_equal(unit(1)->seen_ms, last);
    assert_int_equal(pasts(1, UNIT_PAST_WENT), 1);
    assert_int_equal(pasts(2, UNIT_PAST_WENT), 0);
    assert_true(is_at(2, 3, UNIT_PRESENT)); /* who had it too has it */
    assert_true(is_at(4, 2, UNIT_PRESENT));
    assert_int_equal(alarm_of(4, 1)->gone_ms, world->now);
    assert_int_equal(see(3, 2), 0); /* sold */
    assert_true(is_at(3, 2, UNIT_PRESENT));
    assert_false(alarmed(3));
}

/* Two sites say it at one time: a line of its past for each. */
static void test_at_one_time(void **state)
{
    (void)state;
    assert_int_equal(see(1, 1), 0);
    for (uint64_t site = 2; site <= 3; site++) {
        struct event e = seen(1, site);
        assert_int_equal(world_step(world, &e), 0);
    }
    assert_int_equal(pasts(1, UNIT_PAST_ALARM), 2);
}

static void test_census(void **state)
{
    (void)state;
    const struct uuid site = uid('S', 1);
    assert_null(view_unit_census(world->core, &site));
    assert_int_equal(see(1, 1), 0);
    assert_int_equal(census(9, 0), ERR_NOT_FOUND);
    assert_int_equal(census(1, 65), ERR_INVALID); /* more than there could be */
    assert_int_equal(census(1, 5), 0);
    assert_int_equal(seen_ms(1), world->now);
    assert_int_equal(view_unit_census(world->core, &site)->nameless, 5);
    assert_int_equal(lose(1, 1), 0);
    const int64_t then = world->now;
    assert_int_equal(census(1, 5), 0);
    assert_int_equal(seen_ms(1), then); /* the census is not of what has gone */
}

static void test_declared(void **state)
{
    (void)state;
    assert_int_equal(see(1, 1), 0);
    assert_int_equal(declare(2, UNIT_DECLARED_LICENCE, "L", ""), ERR_NOT_FOUND);
    assert_int_equal(declare(1, 0, "L", ""), ERR_INVALID);
    assert_int_equal(declare(1, 4, "L", ""), ERR_INVALID);
    assert_int_equal(declare(1, UNIT_DECLARED_LICENCE, "L\n", ""), ERR_INVALID);
    assert_int_equal(declare(1, UNIT_DECLARED_ORIGIN, "", "C\xc3"), ERR_INVALID);
    assert_int_equal(declare(1, 3, "L-1", "TW"), 0);
    assert_int_equal(declare(1, UNIT_DECLARED_LICENCE, "L-2", "XX"), 0); /* the other one stays */
    assert_string_equal(unit(1)->licence, "L-2");
    assert_string_equal(unit(1)->declared_origin, "TW");
    assert_string_equal(unit(1)->origin, "US");
    assert_int_equal(see_health(1, 1, UNIT_HEALTH_WARNING, ""), 0);
    assert_string_equal(unit(1)->licence, "L-2"); /* what a site says does not touch it */
    assert_int_equal(declare(1, UNIT_DECLARED_LICENCE, "", ""), 0);
    assert_string_equal(unit(1)->licence, "");
    assert_int_equal(pasts(1, UNIT_PAST_LICENCE), 3);
    assert_int_equal(pasts(1, UNIT_PAST_ORIGIN), 1);
}

static int webhook(uint64_t tenant)
{
    struct event e = {
        .kind = EVENT_KIND_webhook_set,
        .u.webhook_set = {.webhook = uid('H', tenant), .tenant = uid('T', tenant), .url = "https://x"}};
    return world_step(world, &e);
}

static int overseer(uint64_t key, uint64_t tenant)
{
    struct event e = {.kind = EVENT_KIND_key_add,
                      .u.key_add = {.key = uid('K', key),
                                    .tenant = uid('T', tenant),
                                    .scopes = SCOPE_OVERSEER,
                                    .budget = -1,
                                    .name = "eye"}};
    (void)snprintf(e.u.key_add.public_id, sizeof e.u.key_add.public_id, "p%u", (unsigned)key);
    return world_step(world, &e);
}

/* Of whom, by tenant; each of a chip's alarm. */
static uint32_t told(uint64_t tenant)
{
    uint32_t n = 0;
    const void **rows = mirror_sorted(&world->mirror, ROW_KIND_notice);
    for (uint32_t i = 0; i < world->mirror.count[ROW_KIND_notice]; i++) {
        const struct row_notice *row = rows[i];
        const struct uuid id = uid('T', tenant);
        n += row->kind == NOTICE_CHIP && uuid_eq(&row->tenant, &id);
    }
    free(rows);
    return n;
}

/* Who may see the register and has a webhook is told, and nobody more often than once a minute, whatever sites raise. */
static void test_told(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(do_tenant(world, i, 0), 0);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(webhook(i), 0);
    assert_int_equal(overseer(1, 1), 0);
    assert_int_equal(overseer(2, 1), 0); /* twice the same tenant */
    assert_int_equal(overseer(3, 2), 0);
    assert_int_equal(do_key(world, 4, 3, -1), 0); /* it may not see it */
    assert_int_equal(overseer(5, 4), 0);          /* it has no webhook */
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(see(i, 1), 0);
    assert_int_equal(see(1, 2), 0);
    assert_int_equal(see(2, 2), 0);
    assert_true(alarm_of(1, 2)->told && !alarm_of(2, 2)->told);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(told(i), i <= 2 ? 1 : 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_revoke(world, 3), 0);
    world->now += 60000;
    assert_int_equal(see(3, 2), 0);
    assert_int_equal(told(1), 2);
    assert_int_equal(told(2), 1);
}

/* Nothing is changed by what is refused. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",           "nvidia",     "nvidia:",    "amd:1",
                                        "nvidia:a b", "nvidia:a/b", "nvidia:\xc3"};
    assert_int_equal(see(1, 1), 0);
    uint64_t digest = mirror_digest(&world->mirror);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct event e = seen(2, 1);
        memset(e.u.unit_seen.name, 0, UNIT_NAME_CAP);
        (void)snprintf(e.u.unit_seen.name, UNIT_NAME_CAP, "%s", names[i]);
        assert_int_equal(world_step(world, &e), ERR_INVALID);
    }
    struct event e = seen(2, 9);
    assert_int_equal(world_step(world, &e), ERR_NOT_FOUND);
    e = seen(2, 1);
    e.u.unit_seen.health = UNIT_HEALTHS_END;
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e = seen(2, 1);
    (void)snprintf(e.u.unit_seen.host, NAME_CAP, "two\nlines");
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    e = seen(2, 1);
    e.u.unit_seen.unit = uid('U', 1); /* another one's */
    assert_int_equal(world_step(world, &e), ERR_EXISTS);
    e.u.unit_seen.unit = (struct uuid){{0}};
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    assert_int_equal(lose(2, 1), ERR_NOT_FOUND);
    assert_int_equal(lose(1, 9), ERR_NOT_FOUND);
    assert_int_equal(lose(1, 2), 0); /* so it is already */
    assert_int_equal(mirror_digest(&world->mirror), digest);
}

static void test_limits(void **state)
{
    (void)state;
    world_free(world);
    begin(4);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(see(i, 1), 0);
    assert_int_equal(see(5, 1), ERR_LIMIT);
    /* As many alarms as units here: the one that was resolved first gives its place away, none that is open does. */
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(see(i, 2), 0);
    assert_int_equal(lose(1, 2), 0);
    assert_int_equal(resolve(1, 2, "why"), 0);
    assert_int_equal(see(4, 2), 0);
    assert_null(alarm_of(1, 2));
    assert_int_equal(see(1, 3), 0);
    assert_int_equal(see(1, 2), ERR_LIMIT);
    assert_int_equal(see_twice(2, 1), ERR_LIMIT);
    assert_int_equal(core_check(world->core), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(lose(2, 2), 0);
    assert_int_equal(resolve(2, 2, "why"), 0);
    assert_int_equal(see(1, 2), ERR_LIMIT); /* its place is free once a start has looked */
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(see(1, 2), 0);
    assert_int_equal(view_unit_counts(world->core).alarms, 4);
}

/* Who has one, by a plain model: of each unit the home and the others that have it. */
static void test_by_chance(void **state)
{
    (void)state;
    uint32_t home[RANDOM_UNITS] = {0};                /* 0: nobody has had it */
    bool there[RANDOM_UNITS][SITES + 1] = {{false}};  /* who has it */
    bool raised[RANDOM_UNITS][SITES + 1] = {{false}}; /* and there is an alarm that nobody has resolved */
    uint32_t since[RANDOM_UNITS][SITES + 1] = {{0}};
    srandom(7);
    for (uint32_t step = 1; step < 6000; step++) {
        uint32_t n = (uint32_t)random() % RANDOM_UNITS, s = 1 + (uint32_t)random() % SITES;
        uint32_t what = (uint32_t)random() % 8;
        bool *has = there[n];
        if (what < 4) {
            assert_int_equal(see(n, s), 0);
            if (!has[home[n]] || home[n] == 0)
                home[n] = s;
            if (s != home[n] && !has[s]) {
                raised[n][s] = true;
                since[n][s] = step;
            }
            has[s] = true;
        } else if (what < 7) {
            int rc = lose(n, s);
            assert_int_equal(rc, home[n] == 0 ? ERR_NOT_FOUND : 0);
            has[s] = false;
            uint32_t heir = 0;
            for (uint32_t k = 1; k <= SITES; k++) {
                if (has[k] && (heir == 0 || since[n][k] < since[n][heir]))
                    heir = k;
            }
            if (s == home[n] && heir != 0)
                home[n] = heir;
        } else {
            assert_int_equal(resolve(n, s, "why") == 0, raised[n][s]);
            raised[n][s] = false;
        }
        if (home[n] == 0)
            continue;
        bool any = raised[n][1] || raised[n][2] || raised[n][3];
        if (step % 50 == 0)
            assert_int_equal(world_reload(world), 0);
        const struct uuid id = uid('U', n), at = uid('S', home[n]);
        const struct row_unit *row = view_unit(world->core, &id);
        assert_true(uuid_eq(&row->site, &at));
        assert_int_equal(row->state, has[home[n]] ? UNIT_PRESENT : UNIT_ABSENT);
        assert_int_equal(view_unit_alarmed(world->core, row), any);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_sites, setup, teardown),
        cmocka_unit_test_setup_teardown(test_home_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twice_at_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_site_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_one_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_census, setup, teardown),
        cmocka_unit_test_setup_teardown(test_declared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_chance, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
