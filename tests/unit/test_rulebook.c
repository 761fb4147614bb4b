/* SPDX-License-Identifier: Apache-2.0 */
/* Rules in the core: how they arrive, that work obeys them, at dates too, and that a restart keeps them. */
#include "core/rulebook.h"
#include "dispatch_support.h"

#define DENY_NVIDIA \
    "deny no-nvidia\n when chip.vendor = nvidia\n because \"the operator says so\" cite \"a policy, 1\"\n"
#define DENY_TENANT_2 \
    "deny not-two\n when tenant.name = tenant-2 and site.jurisdiction = DE\n because \"debts\" cite \"a " \
    "letter\"\n"
#define AT_HOME \
    "require home\n when data.home known\n that site.jurisdiction = data.home\n because \"b\" cite \"c\"\n"

/* Site and pool 1: DE, nvidia; 2: FR, moore. A pool has two nodes of four chips; the cheaper one is 1. */
static struct world *network(void)
{
    struct limits limits = dispatch_limits(4, 70, 100); /* masks of two words */
    limits.nodes = 70;
    limits.shapes = 4;
    struct world *w = world_dispatch(&limits, 0);
    static const char *const names[2][3] = {{"h100", "nvidia", "DE"}, {"s5000", "moore", "FR"}};
    for (uint32_t i = 0; i < 2; i++) {
        struct event chip = {.kind = EVENT_KIND_chip_add, .u.chip_add = {.watts = 500, .tpp = 100}};
        (void)snprintf(chip.u.chip_add.chip, CHIP_CAP, "%s", names[i][0]);
        (void)snprintf(chip.u.chip_add.vendor, NAME_CAP, "%s", names[i][1]);
        assert_int_equal(world_step(w, &chip), 0);
        assert_int_equal(do_site_in(w, i + 1, names[i][2]), 0);
        struct event_pool_add pool = pool_request(i + 1, i + 1, 2, 4);
        (void)snprintf(pool.chip, CHIP_CAP, "%s", names[i][0]);
        pool.domain = 2;
        pool.price = 1000000 * (i + 1);
        assert_int_equal(do_pool(w, pool), 0);
    }
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(do_tenant_in(w, i, "DE"), 0);
    /* Losses are looked at in turn, by the clock as well: only rules are to be due here. */
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE,
                                                                .fit = FIT_BACKFILL,
                                                                .ageing = 100000,
                                                                .reserve = RESERVE_OFF}),
                     0);
    return w;
}

static int put(struct world *w, uint64_t set, uint32_t part, const char *text, size_t len)
{
    struct event e = {.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = uid('R', set), .part = part}};
    assert_true(text_set(e.u.rules_put.text, sizeof e.u.rules_put.text, text, len));
    return world_step(w, &e);
}

static int set(struct world *w, uint64_t id, uint32_t parts)
{
    struct event e = {.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = uid('R', id), .parts = parts}};
    return world_step(w, &e);
}

/* In parts of `size` bytes. */
static int enforce(struct world *w, uint64_t id, const char *text, size_t size)
{
    uint32_t parts = 0;
    for (size_t at = 0, len = strlen(text); at < len; at += size)
        assert_int_equal(put(w, id, parts++, text + at, len - at < size ? len - at : size), 0);
    return set(w, id, parts);
}

static struct event_job_submit job(uint64_t id, uint64_t tenant, uint32_t chips)
{
    struct event_job_submit request = job_request(id, chips, 0);
    request.tenant = uid('T', tenant);
    return request;
}

static void submit(struct world *w, uint64_t id, uint64_t tenant, uint32_t chips)
{
    assert_int_equal(do_submit(w, job(id, tenant, chips)), 0);
}

/* 0: it waits. */
static uint64_t pool_of(const struct world *w, uint64_t id)
{
    const struct row_job *row = world_job(w, id);
    if (row->state != JOB_RUNNING)
        return 0;
    return is_uid(&row->pool, 'p', 1) ? 1 : 2;
}

static void test_parts(void **state)
{
    (void)state;
    struct world *w = network();
    const char *text = DENY_NVIDIA;
    size_t len = strlen(text);
    assert_int_equal(put(w, 1, 0, "", 0), ERR_INVALID);
    assert_int_equal(put(w, 1, 1, text, 3), ERR_WRONG_STATE); /* nothing is begun */
    assert_int_equal(set(w, 1, 1), ERR_WRONG_STATE);
    assert_int_equal(put(w, 1, 0, text, len), 0);
    assert_int_equal(put(w, 1, 2, text, 3), ERR_WRONG_STATE); /* one is missing */
    assert_int_equal(put(w, 2, 1, text, 3), ERR_WRONG_STATE); /* of another set */
    assert_int_equal(set(w, 1, 2), ERR_WRONG_STATE);
    assert_int_equal(set(w, 2, 1), ERR_WRONG_STATE);
    assert_int_equal(put(w, 1, 1, "deny", 4), 0);
    assert_int_equal(set(w, 1, 2), ERR_INVALID);
    world_assert_untouched(w);
    assert_int_equal(put(w, 1, 0, text, len), 0); /* anew */
    assert_int_equal(set(w, 1, 1), 0);
    assert_int_equal(set(w, 1, 1), ERR_WRONG_STATE); /* a draft is used once */
    assert_int_equal(enforce(w, 2, text, 1), 0);
    for (uint32_t i = 0; i < RULES_PARTS_MAX; i++)
        assert_int_equal(put(w, 3, i, "\n", 1), 0);
    assert_int_equal(put(w, 3, RULES_PARTS_MAX, "\n", 1), ERR_LIMIT);
    world_assert_untouched(w);
    char full[RULES_PART_CAP];
    memset(full, '\n', sizeof full);
    uint32_t parts = 0;
    while (put(w, 4, parts, full, sizeof full - 1) == 0)
        parts++;
    assert_int_equal(parts, (128u << 10) / (sizeof full - 1));
    assert_int_equal(set(w, 4, parts), 0);
    world_free(w);
}

/* Every part fits and is whole characters; together they are the text. */
static void test_cut(void **state)
{
    (void)state;
    char text[3000];
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, i % 2 ? "\xe2\x82\xac" : "a\xc3\xa9", 3);
    for (size_t len = 0; len <= sizeof text; len += 3) {
        size_t at = 0;
        uint32_t n;
        while ((n = rules_cut(text + at, len - at)) > 0) {
            assert_true(n < RULES_PART_CAP);
            assert_true(at + n == len || ((unsigned char)text[at + n] & 0xc0) != 0x80);
            at += n;
        }
        assert_int_equal(at, len);
    }
}

static void test_obeyed(void **state)
{
    (void)state;
    struct world *w = network();
    submit(w, 1, 1, 4);
    world_settle(w);
    assert_int_equal(pool_of(w, 1), 1);
    assert_int_equal(enforce(w, 1, DENY_NVIDIA, 40), 0);
    submit(w, 2, 1, 8);
    world_settle(w);
    /* What it forbids is stopped, and says why; it goes where it may. */
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
    for (uint32_t i = 0; i < w->effects.n; i++) {
        if (w->list[i].kind == EFFECT_JOB_STOP)
            assert_int_equal(w->list[i].code, ERR_FORBIDDEN);
    }
    assert_int_equal(pool_of(w, 1) + pool_of(w, 2), 2);
    /* A set that is refused lifts nothing; an empty one lifts all. */
    assert_int_equal(enforce(w, 2, "deny x", 40), ERR_INVALID);
    world_settle(w);
    assert_int_equal(pool_of(w, 1) + pool_of(w, 2), 2);
    assert_int_equal(set(w, 3, 0), 0);
    world_settle(w);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    assert_int_equal(pool_of(w, 1) + pool_of(w, 2), 3);
    world_free(w);
}

static void test_facts(void **state)
{
    (void)state;
    struct world *w = network();
    assert_int_equal(enforce(w, 1, AT_HOME, 40), 0);
    struct event_job_submit e = job(1, 1, 1);
    e.data_site = uid('S', 2);
    assert_int_equal(do_submit(w, e), 0);
    world_settle(w);
    assert_int_equal(pool_of(w, 1), 2);
    assert_int_equal(enforce(w, 2,
                             "deny a when job.kind = training and data.class = health and chip.tpp = 100\n"
                             " and tenant.jurisdiction = DE and tenant.licence unknown and job.chips > 1\n"
                             " because \"b\" cite \"c\"",
                             100),
                     0);
    e = job(2, 1, 2);
    assert_int_equal(do_submit(w, e), 0);
    e = job(3, 1, 2);
    e.kind = JOB_KIND_TRAINING;
    memcpy(e.data_class, "health", 6);
    assert_int_equal(do_submit(w, e), 0);
    e.job = uid('J', 4);
    e.count0 = 1;
    assert_int_equal(do_submit(w, e), 0);
    e.kind = 99;
    e.job = uid('J', 5);
    assert_int_equal(do_submit(w, e), ERR_INVALID);
    world_settle(w);
    assert_int_equal(pool_of(w, 2), 1);
    assert_int_equal(pool_of(w, 3), 0);
    assert_int_equal(pool_of(w, 4), 1);
    world_free(w);
}

/* A rule that asks for names tells apart tenants that were alike, and no longer when it is gone. */
static void test_names(void **state)
{
    (void)state;
    struct world *w = network();
    for (uint64_t i = 1; i <= 3; i++)
        submit(w, i, i, 1);
    world_settle(w);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(pool_of(w, i), 1);
    assert_int_equal(enforce(w, 1, DENY_TENANT_2, 40), 0);
    world_settle(w);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(pool_of(w, i), i == 2 ? 2 : 1);
    submit(w, 4, 2, 4);
    world_settle(w);
    assert_int_equal(pool_of(w, 4), 2);
    assert_int_equal(world_reload(w), 0);
    submit(w, 5, 2, 1);
    submit(w, 6, 1, 1);
    world_settle(w);
    assert_int_equal(pool_of(w, 5), 2);
    assert_int_equal(pool_of(w, 6), 1);
    assert_int_equal(set(w, 2, 0), 0);
    submit(w, 7, 2, 1);
    world_settle(w);
    assert_int_equal(pool_of(w, 7), 1);
    /* Five lanes and four shapes: they cannot all be told apart. */
    submit(w, 8, 3, 4);
    assert_int_equal(enforce(w, 3, DENY_TENANT_2, 400), ERR_LIMIT);
    world_assert_untouched(w);
    world_settle(w);
    assert_int_equal(pool_of(w, 7), 1);
    world_free(w);
}

static void test_dates(void **state)
{
    (void)state;
    struct world *w = network();
    w->now = INT64_C(1798761600000) - 1000; /* 2027-01-01 */
    submit(w, 1, 1, 1);
    assert_int_equal(enforce(w, 1,
                             "deny a from 2027-01-01 until 2027-01-02\n when chip.vendor = nvidia\n"
                             " because \"b\" cite \"c\"",
                             40),
                     0);
    world_settle(w);
    assert_int_equal(pool_of(w, 1), 1);
    assert_true(core_deadline_ms(w->core) == INT64_C(1798761600000));
    assert_int_equal(world_reload(w), 0);
    world_settle(w);
    assert_true(core_deadline_ms(w->core) == INT64_C(1798761600000));
    assert_int_equal(pool_of(w, 1), 1);
    w->now = core_deadline_ms(w->core);
    world_settle(w);
    assert_int_equal(pool_of(w, 1), 2);
    submit(w, 2, 1, 4);
    world_settle(w);
    assert_int_equal(pool_of(w, 2), 2);
    assert_int_equal(world_reload(w), 0);
    world_settle(w);
    w->now = core_deadline_ms(w->core);
    assert_true(w->now == INT64_C(1798761600000) + 86400000);
    submit(w, 3, 1, 1);
    world_settle(w);
    assert_int_equal(pool_of(w, 3), 1);
    assert_int_equal(pool_of(w, 2), 2); /* nothing moves because it might */
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    world_free(w);
}

static void test_reload(void **state)
{
    (void)state;
    struct world *w = network();
    const char *text = DENY_NVIDIA;
    assert_int_equal(put(w, 1, 0, text, 20), 0);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(put(w, 1, 1, text + 20, strlen(text) - 20), 0);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(set(w, 1, 2), 0);
    assert_int_equal(put(w, 2, 0, "deny", 4), 0); /* the next draft */
    assert_int_equal(world_reload(w), 0);
    uint64_t digest = mirror_digest(&w->mirror);
    world_collect(w);
    assert_true(mirror_digest(&w->mirror) == digest);
    submit(w, 1, 1, 1);
    world_settle(w);
    assert_int_equal(pool_of(w, 1), 2);
    assert_int_equal(set(w, 2, 1), ERR_INVALID);
    /* A part that is gone, or no rule any more: not what was put in force. */
    struct row_rules_part part = {.slot = 1, .part = 1};
    const struct row_rules_part *stored = mirror_find(&w->mirror, ROW_KIND_rules_part, &part);
    assert_non_null(stored);
    part = *stored;
    part.text[0] = 1;
    mirror_apply(&w->mirror, ROW_KIND_rules_part, ROW_PUT, &part);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    mirror_apply(&w->mirror, ROW_KIND_rules_part, ROW_DELETE, &part);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    world_free(w);
}

/* What is forbidden now stops in the order in which it came, whatever place a reload gave it. */
static void test_order_of_stops(void **state)
{
    (void)state;
    struct world *both[] = {network(), network()};
    for (uint32_t k = 0; k < 2; k++) {
        for (uint64_t i = 0; i < 4; i++)
            assert_int_equal(do_submit(both[k], job_request(i % 2 ? i : 4 - i, 1, HOUR)), 0);
        assert_int_equal(do_tick(both[k]), 0);
        assert_int_equal(world_count(both[k], EFFECT_JOB_START), 4);
        if (k == 1)
            assert_int_equal(world_reload(both[k]), 0);
        assert_int_equal(do_rules(both[k], DENY_NVIDIA
                                  "deny all\n when site.jurisdiction = FR\n because \"b\" cite \"c\"\n"),
                         0);
        assert_int_equal(do_tick(both[k]), 0);
        assert_int_equal(world_count(both[k], EFFECT_JOB_STOP), 4);
    }
    assert_same_effects(both[0], both[1]);
    world_free(both[0]);
    world_free(both[1]);
}

/* More stops than a step has room for: they go on in the next, and nothing starts before the last. */
static void test_bounded(void **state)
{
    (void)state;
    struct world *w = network();
    for (uint64_t i = 1; i <= 8; i++)
        submit(w, i, 1, 1);
    world_settle(w);
    assert_int_equal(enforce(w, 1, DENY_NVIDIA, 400), 0);
    w->effects.cap = 8;
    uint32_t stops = 0;
    while (stops < 8) {
        assert_true(core_deadline_ms(w->core) <= w->now);
        assert_int_equal(do_tick(w), 0);
        stops += world_count(w, EFFECT_JOB_STOP);
        assert_true(stops == 8 || world_count(w, EFFECT_JOB_START) == 0);
        assert_true(world_count(w, EFFECT_JOB_STOP) <= 5);
    }
    world_settle(w);
    for (uint64_t i = 1; i <= 8; i++)
        assert_int_equal(pool_of(w, i), 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts),  cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_obeyed), cmocka_unit_test(test_facts),
                                       cmocka_unit_test(test_names),  cmocka_unit_test(test_dates),
                                       cmocka_unit_test(test_reload), cmocka_unit_test(test_order_of_stops),
                                       cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests_name("rulebook", tests, NULL, NULL);
}
