/* SPDX-License-Identifier: Apache-2.0 */
/* Forecasts on a small world whose answer is known, and that an interval's ends come to where they ought to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/habit.h"
#include "core/kinds.h"
#include "sim/eta.h"

#define HOUR INT64_C(3600000)
#define START (INT64_C(1000) * HOUR)

static struct uuid id(char kind, uint32_t n)
{
    struct uuid out = {{0}};
    out.b[0] = (uint8_t)kind;
    out.b[15] = (uint8_t)n;
    out.b[14] = (uint8_t)(n >> 8);
    return out;
}

/* ---- one node of eight chips ---- */

struct place_world {
    struct limits limits;
    void *block;
    struct core *core;
    struct effects effects;
    int64_t now;
    uint32_t started;
    uint32_t steps;
};

static void no_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static void do_step(struct place_world *w, struct event e)
{
    e.at_ms = w->now;
    w->effects.n = 0;
    assert_int_equal(core_step(w->core, &e, &w->effects), 0);
    for (uint32_t i = 0; i < w->effects.n; i++)
        w->started += w->effects.list[i].kind == EFFECT_JOB_START;
    core_collect(w->core, no_row, NULL);
}

static void settle(struct place_world *w)
{
    while (core_deadline_ms(w->core) <= w->now)
        do_step(w, (struct event){.kind = EVENT_KIND_tick});
}

static void world_init(struct place_world *w)
{
    *w = (struct place_world){.limits = limits_default(), .now = START};
    w->limits.jobs = 4096;
    w->limits.tenants = 4;
    w->limits.keys = 4;
    w->block = calloc(1, core_size(&w->limits));
    w->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    w->core = core_init(w->block, core_size(&w->limits), &w->limits);
    do_step(w, (struct event){.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = id('B', 1), .seed = 1}});
    do_step(w, (struct event){.kind = EVENT_KIND_chip_add,
                              .u.chip_add = {.chip = "chip", .vendor = "v", .watts = 1}});
    do_step(w, (struct event){.kind = EVENT_KIND_site_add, .u.site_add = {.site = id('S', 1), .name = "s"}});
    do_step(w, (struct event){.kind = EVENT_KIND_pool_add,
                              .u.pool_add = {.pool = id('p', 1),
                                             .site = id('S', 1),
                                             .chip = "chip",
                                             .nodes = 1,
                                             .node_chips = 8,
                                             .domain = 1}});
    do_step(w, (struct event){.kind = EVENT_KIND_tenant_add,
                              .u.tenant_add = {
                                  .tenant = id('T', 1), .name = "t", .ledger = 840, .transfer = id('F', 1)}});
}

static void world_fini(struct place_world *w)
{
    free(w->block);
    free(w->effects.list);
}

static struct event_job_submit ask(uint32_t job, uint32_t chips, int64_t duration_ms)
{
    return (struct event_job_submit){.job = id('J', job),
                                     .tenant = id('T', 1),
                                     .count0 = chips,
                                     .rate0 = 1000,
                                     .duration_ms = duration_ms};
}

static void submit(struct place_world *w, uint32_t job, uint32_t chips, int64_t duration_ms)
{
    do_step(w, (struct event){.kind = EVENT_KIND_job_submit, .u.job_submit = ask(job, chips, duration_ms)});
    settle(w);
}

/* ---- what came before: the same small job each hour ---- */

struct hourly {
    int64_t duration_ms;
};

static int64_t hourly_ms(void *ctx, uint32_t i)
{
    (void)ctx;
    return START - 100 * HOUR + i * HOUR;
}

static void hourly_request(void *ctx, uint32_t i, struct event_job_submit *out, int64_t *ran_ms)
{
    const struct hourly *h = ctx;
    *out = ask(10000 + i, 8, h->duration_ms);
    *ran_ms = 0;
}

static uint32_t runs_n;
static const struct forecast_options options = {.runs = 20, .seed = 3, .horizon_ms = 1000 * HOUR};

static void waits_of(const struct place_world *w, uint32_t job, const struct forecast_past *past,
                     int64_t waits[20])
{
    struct uuid target = id('J', job);
    struct forecast *f = forecast_new(w->core, &w->limits, w->now);
    assert_non_null(f);
    assert_int_equal(forecast_waits(f, &target, past, &options, waits, &runs_n), 0);
    forecast_free(f);
}

/* All durations are known and nothing comes: there is one answer. */
static void test_certain(void **state)
{
    (void)state;
    struct place_world w;
    struct forecast_past none = {0};
    int64_t waits[20];
    world_init(&w);
    submit(&w, 1, 8, 5 * HOUR);
    w.now += HOUR;
    submit(&w, 2, 8, 2 * HOUR);
    submit(&w, 3, 8, 3 * HOUR);
    assert_int_equal(w.started, 1);
    waits_of(&w, 2, &none, waits);
    assert_int_equal(waits[0], 4 * HOUR);
    assert_int_equal(waits[19], 4 * HOUR);
    waits_of(&w, 3, &none, waits);
    assert_int_equal(waits[0], 6 * HOUR);
    assert_int_equal(waits[19], 6 * HOUR);
    assert_int_equal(w.started, 1); /* the core itself has not moved */
    struct uuid runs = id('J', 1);
    struct forecast *f = forecast_new(w.core, &w.limits, w.now);
    assert_int_equal(forecast_waits(f, &runs, &none, &options, waits, &runs_n), ERR_NOT_FOUND);
    forecast_free(f);
    world_fini(&w);
}

static bool enough_at_zero(void *ctx)
{
    uint32_t *left = ctx;
    return --*left == 0;
}

/* Rows that were taken tell of that moment, also when the core has moved on; and of a job that was never submitted. */
static void test_taken(void **state)
{
    (void)state;
    struct place_world w;
    struct forecast_past none = {0};
    int64_t waits[20];
    world_init(&w);
    submit(&w, 1, 8, 5 * HOUR);
    submit(&w, 2, 8, 2 * HOUR);
    struct forecast *small = forecast_take(w.core, &w.limits, w.now, 1000);
    assert_int_equal(forecast_stand(small), ERR_LIMIT);
    forecast_free(small);
    struct forecast *f = forecast_take(w.core, &w.limits, w.now, 1 << 20);
    assert_non_null(f);
    do_step(&w, (struct event){.kind = EVENT_KIND_job_cancel, .u.job_cancel.job = id('J', 1)});
    settle(&w);
    assert_int_equal(forecast_stand(f), 0);
    struct uuid second = id('J', 2), third = id('J', 3);
    assert_int_equal(forecast_waits(f, &second, &none, &options, waits, &runs_n), 0);
    assert_int_equal(runs_n, 20);
    assert_true(waits[0] == 5 * HOUR && waits[19] == 5 * HOUR);
    assert_int_equal(forecast_waits(f, &third, &none, &options, waits, &runs_n), ERR_NOT_FOUND);
    struct event_job_submit also = ask(3, 8, HOUR);
    struct forecast_options what_if = options;
    what_if.also = &also;
    assert_int_equal(forecast_waits(f, &third, &none, &what_if, waits, &runs_n), 0);
    assert_true(waits[0] == 5 * HOUR || waits[0] == 7 * HOUR); /* by its size it may go first */
    assert_true(waits[19] == waits[0]);
    uint32_t left = UINT32_MAX;
    what_if.enough = enough_at_zero;
    what_if.ctx = &left;
    assert_int_equal(forecast_waits(f, &third, &none, &what_if, waits, &runs_n), 0);
    left = (UINT32_MAX - left) / 2; /* half of what all runs took */
    assert_int_equal(forecast_waits(f, &third, &none, &what_if, waits, &runs_n), ERR_TIMEOUT);
    assert_int_equal(runs_n, 9);
    forecast_free(f);
    world_fini(&w);
}

/* A service's replica does not end, so a job that needs its chips has no start in sight. */
static void test_replica(void **state)
{
    (void)state;
    struct place_world w;
    struct forecast_past none = {0};
    int64_t waits[20];
    world_init(&w);
    do_step(&w, (struct event){.kind = EVENT_KIND_service_set,
                               .u.service_set = {.service = id('Z', 1),
                                                 .tenant = id('T', 1),
                                                 .name = "s",
                                                 .count0 = 4,
                                                 .tokens_s0 = 100,
                                                 .min = 1,
                                                 .max = 1,
                                                 .target = 700,
                                                 .cold_ms = 1000,
                                                 .hold_ms = 1000,
                                                 .idle_ms = 1000}});
    settle(&w);
    assert_int_equal(w.started, 1);
    submit(&w, 1, 8, HOUR);
    assert_int_equal(w.started, 1);
    waits_of(&w, 1, &none, waits);
    assert_true(waits[0] == options.horizon_ms);
    world_fini(&w);
}

/* A job that comes after another, and the last task of an array of which one runs at a time, with all chips free. */
static void test_parked(void **state)
{
    (void)state;
    struct place_world w;
    struct forecast_past none = {0};
    int64_t waits[20];
    world_init(&w);
    submit(&w, 1, 1, 5 * HOUR);
    for (uint32_t i = 0; i < 2; i++) {
        struct event e = {.kind = EVENT_KIND_job_array};
        struct event_job_submit request = ask(i == 0 ? 2 : 256, 1, 2 * HOUR);
        memcpy(&e.u.job_array, &request, sizeof request); /* it begins with the same */
        if (i == 0) {
            e.u.job_array.after0 = id('J', 1);
        } else {
            e.u.job_array.job.b[13] = 1; /* an array's id ends in zeros */
            e.u.job_array.job.b[14] = 0;
            e.u.job_array.total = e.u.job_array.tasks = 3;
            e.u.job_array.at_once = 1;
        }
        do_step(&w, e);
        settle(&w);
    }
    assert_int_equal(w.started, 2);
    waits_of(&w, 2, &none, waits);
    assert_true(waits[0] == 5 * HOUR && waits[19] == 5 * HOUR);
    struct uuid task = id('J', 3);
    task.b[13] = 1;
    struct forecast *f = forecast_new(w.core, &w.limits, w.now);
    assert_int_equal(forecast_waits(f, &task, &none, &options, waits, &runs_n), 0);
    forecast_free(f);
    assert_true(waits[0] == 4 * HOUR && waits[19] == 4 * HOUR);
    world_fini(&w);
}

/* Smaller work that keeps coming goes first; with none coming the same job waits for what runs only. */
static void test_arrivals(void **state)
{
    (void)state;
    struct place_world w;
    struct hourly small = {.duration_ms = 60000};
    struct forecast_past none = {0};
    struct forecast_past past = {.ctx = &small, .end = 100, .at_ms = hourly_ms, .request = hourly_request};
    int64_t with[20], without[20], again[20];
    world_init(&w);
    submit(&w, 1, 8, 10 * HOUR);
    submit(&w, 2, 8, 300 * HOUR);
    waits_of(&w, 2, &none, without);
    waits_of(&w, 2, &past, with);
    waits_of(&w, 2, &past, again);
    assert_int_equal(without[19], 10 * HOUR);
    assert_true(with[0] > 10 * HOUR); /* those of ten hours are there by then, and need a minute each */
    assert_memory_equal(with, again, sizeof with);
    world_fini(&w);
}

/* Nobody says how long jobs run: runs differ as the habits do, and what runs longer than most has more before it. */
static void test_drawn(void **state)
{
    (void)state;
    struct place_world w;
    struct forecast_past none = {0};
    int64_t fresh[20], late[20];
    world_init(&w);
    for (uint32_t i = 0; i < 60; i++) {
        submit(&w, 100 + i, 8, 0);
        w.now += i % 2 ? HOUR : 20 * HOUR;
        struct event end = {.kind = EVENT_KIND_job_end, .u.job_end = {.job = id('J', 100 + i), .epoch = 1}};
        do_step(&w, end);
        settle(&w);
    }
    submit(&w, 1, 8, 0);
    submit(&w, 2, 8, 0);
    waits_of(&w, 2, &none, fresh);
    assert_true(fresh[0] < 2 * HOUR && fresh[19] > 10 * HOUR && fresh[19] < 30 * HOUR);
    w.now += 5 * HOUR;
    waits_of(&w, 2, &none, late);
    assert_true(late[0] > 5 * HOUR); /* the short ones are out of the question */
    world_fini(&w);
}

/* ---- intervals ---- */

/* Intervals that are far too narrow come to hold four in five, and far too wide ones as well. */
static void covers(struct eta_span raw, uint32_t seed)
{
    struct eta_outcome past[ETA_PAST_MAX];
    struct rng rng;
    uint32_t covered = 0, low = 0, n = 4000;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < n; i++) {
        int64_t wait = HOUR / 2 + (int64_t)rng_below(&rng, HOUR);
        struct eta_span span = eta_stretch(past, i < ETA_PAST_MAX ? i : ETA_PAST_MAX, raw);
        covered += i >= n / 2 && wait >= span.low_ms && wait <= span.high_ms;
        low += i >= n / 2 && wait < span.low_ms;
        past[i % ETA_PAST_MAX] = (struct eta_outcome){raw, wait};
    }
    assert_in_range(covered, n / 2 * 76 / 100, n / 2 * 84 / 100);
    assert_in_range(low, n / 2 * 7 / 100, n / 2 * 13 / 100);
}

static void test_stretch(void **state)
{
    (void)state;
    struct eta_outcome past[9];
    const struct eta_span raw = {HOUR, 2 * HOUR};
    for (uint32_t i = 0; i < 9; i++)
        past[i] = (struct eta_outcome){raw, 10 * HOUR};
    struct eta_span same = eta_stretch(past, 9, raw); /* too few to learn from */
    assert_true(same.low_ms == raw.low_ms && same.high_ms == raw.high_ms);
    covers((struct eta_span){HOUR, HOUR}, 1);
    covers((struct eta_span){HOUR / 10, 10 * HOUR}, 2);
    covers((struct eta_span){2 * HOUR, 3 * HOUR}, 3);
}

/* Which jobs are asked about does not depend on whether they wait, and one that starts at once passes its turn on. */
static void test_whom(void **state)
{
    (void)state;
    struct eta *eta = eta_new(10, 100, 5);
    struct eta_report report;
    uint32_t wanted = 0;
    assert_non_null(eta);
    for (uint32_t i = 0; i < 100; i++)
        wanted += eta_wants(eta, i, i < 50);
    assert_int_equal(wanted, 10); /* those of the first half too, later */
    assert_int_equal(eta_report(eta, &report), 0);
    assert_int_equal(report.drawn, 10);
    assert_true(report.at_once > 0 && report.at_once < 10);
    eta_free(eta);
}

/* Where there are no jobs, nobody is asked about. */
static void test_nobody(void **state)
{
    (void)state;
    struct eta *eta = eta_new(10, 0, 5);
    struct eta_report report;
    assert_non_null(eta);
    assert_int_equal(eta_report(eta, &report), 0);
    assert_true(report.drawn == 0 && report.asked == 0);
    eta_free(eta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parked),  cmocka_unit_test(test_certain),  cmocka_unit_test(test_taken),
        cmocka_unit_test(test_replica), cmocka_unit_test(test_arrivals), cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_stretch), cmocka_unit_test(test_whom),     cmocka_unit_test(test_nobody)};
    return cmocka_run_group_tests_name("eta", tests, NULL, NULL);
}
