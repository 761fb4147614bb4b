/* SPDX-License-Identifier: Apache-2.0 */
/* From rows back to state: a reload shows the same and goes on the same; damaged rows are refused. */
#include "core/kinds.h"
#include "dispatch_support.h"

/* Some of everything: limited key, leases half used, a waiter's lease, replicas, removed models. */
static struct world *busy(void)
{
    struct world *w = world_usual(NULL, 100000);
    assert_int_equal(do_key(w, 2, 1, 500), 0);
    assert_int_equal(do_tenant(w, 2, 0), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 100), 0);
    assert_int_equal(do_ask(w, 2, 2, 1, 2, 100), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 70), 0);
    assert_int_equal(do_meter(w, 2, 9, 2, 1, 2, 7), 0);
    assert_int_equal(do_return(w, 1, 1, 3, false), 0);
    assert_int_equal(do_model(w, 2), 0);
    assert_int_equal(do_variant(w, 2, 2), 0);
    assert_int_equal(do_deploy(w, 1, 1, 2), 0);
    assert_int_equal(do_replica(w, 1, 0, 1, REPLICA_READY), 0);
    assert_int_equal(do_deploy(w, 2, 2, 1), 0);
    assert_int_equal(do_undeploy(w, 2), 0);
    assert_int_equal(do_revoke(w, 1), 0);
    assert_int_equal(do_key(w, 3, 1, -1), 0);
    return w;
}

static void test_same_after_reload(void **state)
{
    (void)state;
    struct world *w = busy();
    uint64_t views = world_views(w);
    uint64_t events = view_core(w->core)->events;
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(core_check(w->core), 0);
    assert_true(world_views(w) == views);
    assert_true(view_core(w->core)->events == events);
    world_collect(w); /* loading is no change */
    world_assert_untouched(w);
    assert_int_equal(w->ops[ROW_KIND_core][ROW_PUT], 0);
    world_free(w);
}

/* Two worlds, one of them reloaded before each step: every reply and every row is the same. */
static void test_goes_on_the_same(void **state)
{
    (void)state;
    struct world *a = busy();
    struct world *b = busy();
    for (uint64_t i = 0; i < 30; i++) {
        assert_int_equal(world_reload(b), 0);
        struct world *both[] = {a, b};
        int rc[2];
        for (int k = 0; k < 2; k++) {
            struct world *w = both[k];
            switch (i % 6) {
            case 0:
                rc[k] = do_ask(w, 1, 100 + i, 1, 3, 50);
                break;
            case 1:
                rc[k] = do_meter(w, 1, 10 + i, 100 + i - 1, 1, 3, 9);
                break;
            case 2:
                rc[k] = do_return(w, 1, 100 + i - 2, 0, true);
                break;
            case 3:
                rc[k] = do_budget(w, 1, 100000 + (int64_t)i);
                break;
            case 4:
                rc[k] = do_replica(w, 1, 0, 1, i % 12 == 4 ? REPLICA_BACKOFF : REPLICA_STARTING);
                break;
            default:
                rc[k] = do_meter(w, 2, 20 + i, 2, 1, 2, 1);
            }
        }
        assert_int_equal(rc[0], rc[1]);
        assert_int_equal(rc[0], 0);
        assert_int_equal(a->effects.n, b->effects.n);
        for (uint32_t k = 0; k < a->effects.n; k++)
            assert_true(a->list[k].code == b->list[k].code && a->list[k].amount == b->list[k].amount);
        assert_true(mirror_digest(&a->mirror) == mirror_digest(&b->mirror));
    }
    world_free(a);
    world_free(b);
}

static void test_boot_after_reload(void **state)
{
    (void)state;
    struct world *w = busy();
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_boot(w, 2), 0);
    struct view_balance b = balance_of(w, 1);
    assert_true(b.held == 0 && b.spent == 77);
    assert_int_equal(world_count(w, EFFECT_REPLICA_START), 2);
    assert_int_equal(view_counts(w->core).deployments, 1); /* the one that drained is gone */
    struct uuid tenant = uid('T', 1);
    assert_string_equal(view_tenant_named(w->core, "tenant-1", 8)->name, "tenant-1");
    assert_non_null(view_tenant(w->core, &tenant));
    assert_int_equal(core_check(w->core), 0);
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

/* Loads the rows of busy() after `spoil` saw each; the result must be the code. */
static int load_spoiled(struct world *w, void (*spoil)(enum row_kind, void *row), enum row_kind drop)
{
    void *block = calloc(1, core_size(&w->limits));
    struct core *core = core_init(block, core_size(&w->limits), &w->limits);
    int rc = 0;
    for (int kind = 1; rc == 0 && kind < ROW_KIND_END; kind++) {
        const void **list = mirror_sorted(&w->mirror, (enum row_kind)kind);
        for (uint32_t i = 0; rc == 0 && i < w->mirror.count[kind]; i++) {
            _Alignas(8) char row[2048];
            memcpy(row, list[i], layout_row((uint32_t)kind)->size);
            if (spoil)
                spoil((enum row_kind)kind, row);
            if (kind != (int)drop)
                rc = core_load(core, (enum row_kind)kind, row);
        }
        free(list);
    }
    if (rc == 0)
        rc = core_load_done(core);
    free(block);
    return rc;
}

static void spoil_sum(enum row_kind kind, void *row)
{
    struct row_account *a = row;
    if (kind == ROW_KIND_account && a->code == ACCOUNT_REVENUE)
        a->credits_posted++;
}

static void spoil_hold(enum row_kind kind, void *row)
{
    struct row_transfer *t = row;
    if (kind == ROW_KIND_transfer && t->state == TRANSFER_PENDING)
        t->posted = t->amount + 1;
}

static void spoil_voided(enum row_kind kind, void *row)
{
    struct row_transfer *t = row;
    if (kind == ROW_KIND_transfer && t->state == TRANSFER_PENDING)
        t->voided++;
}

static void spoil_state(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_replica)
        ((struct row_replica *)row)->state = 7;
}

static void spoil_tenant_name(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_tenant)
        memcpy(((struct row_tenant *)row)->name, "same\0\0\0\0", 8);
}

static void spoil_public_id(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_key)
        memcpy(((struct row_key *)row)->public_id, "same", 4);
}

static void spoil_model_name(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_model)
        memcpy(((struct row_model *)row)->name, "same\0\0\0", 7);
}

static void spoil_id(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_worker)
        ((struct row_worker *)row)->id = uid('W', 1);
}

static void spoil_price(enum row_kind kind, void *row)
{
    if (kind == ROW_KIND_price)
        ((struct row_price *)row)->prompt = -1;
}

/* ---- a reload that is told: who was not loaded is as who was ---- */

static int do_reloaded(struct world *w)
{
    struct event e = {.kind = EVENT_KIND_tick, .u.tick.reloaded = 1};
    return world_step(w, &e);
}

/* The gang of one pool is cancelled, so that the first in turn has its reservation on the other one: a load would make it here. */
static struct world *crossed(void)
{
    struct limits limits = dispatch_limits(2, 2, 8);
    struct world *w = world_dispatch(&limits, 1);
    do_two_sites(w, 0);
    assert_int_equal(do_submit(w, job_request(1, 8, HOUR)), 0);
    assert_int_equal(do_submit(w, job_request(2, 8, 2 * HOUR)), 0);
    world_settle(w);
    for (uint64_t i = 3; i <= 5; i++) { /* lanes of their own: a lane has one reservation */
        struct event_job_submit gang = job_request(i, 8, HOUR);
        gang.data_class[0] = (char)('0' + i);
        assert_int_equal(do_submit(w, gang), 0);
        world_settle(w);
    }
    assert_int_equal(do_cancel(w, 3), 0);
    world_settle(w);
    return w;
}

static void test_reservations(void **state)
{
    (void)state;
    for (uint32_t boots = 0; boots < 2; boots++) {
        struct world *both[] = {crossed(), crossed()};
        struct world *control = crossed();
        assert_int_equal(do_end(control, 2, 1), 0);
        world_settle(control);
        assert_int_equal(world_reload(both[1]), 0);
        for (uint32_t k = 0; k < 2; k++) {
            assert_int_equal(boots ? do_boot(both[k], 2) : do_reloaded(both[k]), 0);
            world_settle(both[k]);
            assert_int_equal(do_end(both[k], 2, 1), 0);
            assert_int_equal(do_tick(both[k]), 0);
        }
        assert_same_effects(both[0], both[1]);
        assert_true(world_effect(both[0], EFFECT_JOB_START, 5) &&
                    world_job(control, 4)->state == JOB_RUNNING);
        world_free(control);
        world_free(both[0]);
        world_free(both[1]);
    }
}

/* Who waited for money was refused when the state was lost, and a recall was perhaps not heard: it is said again. */
static void test_waiters(void **state)
{
    (void)state;
    struct world *both[] = {world_usual(NULL, 1000), world_usual(NULL, 1000)};
    for (uint32_t k = 0; k < 2; k++) {
        assert_int_equal(do_ask(both[k], 1, 1, 1, 1, 900), 0);
        assert_int_equal(do_ask(both[k], 1, 2, 1, 1, 500), 0);
        assert_true(view_counts(both[k]->core).waiters == 1 && world_count(both[k], EFFECT_RECALL) == 1);
    }
    assert_int_equal(world_reload(both[1]), 0);
    for (uint32_t k = 0; k < 2; k++) {
        assert_int_equal(do_reloaded(both[k]), 0);
        assert_int_equal(view_counts(both[k]->core).waiters, 0);
        assert_int_equal(do_ask(both[k], 1, 3, 1, 1, 400), 0);
        assert_int_equal(world_count(both[k], EFFECT_RECALL), 1);
    }
    assert_same_effects(both[0], both[1]);
    world_free(both[0]);
    world_free(both[1]);
}

static void test_damaged_rows(void **state)
{
    (void)state;
    struct world *w = busy();
    void (*const spoils[])(enum row_kind, void *) = {spoil_sum,         spoil_hold,      spoil_voided,
                                                     spoil_state,       spoil_public_id, spoil_model_name,
                                                     spoil_tenant_name, spoil_id,        spoil_price};
    assert_int_equal(load_spoiled(w, NULL, ROW_KIND_END), 0);
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        int rc = load_spoiled(w, spoils[i], ROW_KIND_END);
        if (rc != ERR_CORRUPT)
            fail_msg("spoil %zu: %s", i, err_name(rc));
    }
    const enum row_kind needed[] = {ROW_KIND_tenant,     ROW_KIND_account, ROW_KIND_key,
                                    ROW_KIND_model,      ROW_KIND_worker,  ROW_KIND_lease,
                                    ROW_KIND_deployment, ROW_KIND_transfer};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        int rc = load_spoiled(w, NULL, needed[i]);
        if (rc != ERR_CORRUPT)
            fail_msg("without %s: %s", layout_row(needed[i])->name, err_name(rc));
    }
    world_free(w);
}

static void test_too_many_rows(void **state)
{
    (void)state;
    struct world *w = busy();
    uint32_t *const limits[] = {&w->limits.tenants,     &w->limits.keys,    &w->limits.models,
                                &w->limits.prices,      &w->limits.workers, &w->limits.leases,
                                &w->limits.deployments, &w->limits.replicas};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint32_t kept = *limits[i];
        *limits[i] = limits[i] == &w->limits.prices ? 0 : 1;
        assert_int_equal(load_spoiled(w, NULL, ROW_KIND_END), ERR_LIMIT);
        *limits[i] = kept;
    }
    w->limits.keys *= 2; /* larger is fine */
    w->limits.leases *= 2;
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

static void test_empty(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    assert_int_equal(world_reload(w), 0);
    world_collect(w);
    assert_int_equal(w->ops[ROW_KIND_core][ROW_PUT], 0);
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    assert_int_equal(core_check(w->core), 0);
    struct limits big = limits_default();
    assert_true(core_size(&big) < (size_t)1 << 30);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_after_reload), cmocka_unit_test(test_goes_on_the_same),
        cmocka_unit_test(test_boot_after_reload), cmocka_unit_test(test_damaged_rows),
        cmocka_unit_test(test_too_many_rows),     cmocka_unit_test(test_empty),
        cmocka_unit_test(test_reservations),      cmocka_unit_test(test_waiters),
    };
    return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
