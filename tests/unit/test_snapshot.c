/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of the state: the same for the same rows, in whatever order they are in memory, and another for any other; taken after so many
 * events and when a day begins, beside the core's thread; refused of a state that nobody marked.
 */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "dispatch_support.h"
#include "runtime/snapshot.h"
#include "support.h"

#define JOBS 2000u
#define DAY_MS INT64_C(86400000)

static void digest(const struct core *core, uint8_t out[DIGEST_BYTES])
{
    struct state_copy copy;
    state_copy_init(&copy);
    assert_true(state_copy_take(&copy, core));
    assert_true(state_copy_digest(&copy, out));
    state_copy_fini(&copy);
}

static bool same(const struct core *core, const uint8_t with[DIGEST_BYTES])
{
    uint8_t now[DIGEST_BYTES];
    digest(core, now);
    return memcmp(now, with, sizeof now) == 0;
}

/* Their ids are such that the last one is the first by its key. */
static struct world *busy_world(uint32_t jobs)
{
    struct limits limits = dispatch_limits(3, 4, jobs + 1);
    struct world *w = world_dispatch(&limits, 3);
    do_two_sites(w, 0);
    for (uint32_t i = 0; i < jobs; i++) {
        struct event_job_submit job = job_request(jobs - i, 1, 1000 + i % 7);
        job.tenant = uid('T', 1 + i % 3);
        assert_int_equal(do_submit(w, job), 0);
    }
    return w;
}

/* Loaded from its rows, whose order is another than that in which they came. */
static void test_any_order(void **state)
{
    uint8_t before[DIGEST_BYTES];
    (void)state;
    struct world *w = busy_world(JOBS);
    digest(w->core, before);
    assert_true(same(w->core, before));
    assert_int_equal(world_reload(w), 0);
    assert_true(same(w->core, before));
    struct event tick = {.kind = EVENT_KIND_tick};
    assert_int_equal(world_step(w, &tick), 0);
    assert_false(same(w->core, before)); /* it counts its events */
    world_free(w);
}

/* What changes nothing of the state but one field is another state. */
static void test_one_field(void **state)
{
    uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];
    (void)state;
    struct world *one = busy_world(4), *other = busy_world(4);
    digest(one->core, before);
    assert_true(same(other->core, before));
    struct event e = {.kind = EVENT_KIND_job_cancel, .u.job_cancel.job = uid('J', 1)};
    assert_int_equal(world_step(one, &e), 0);
    e.u.job_cancel.job = uid('J', 2);
    assert_int_equal(world_step(other, &e), 0);
    digest(one->core, after);
    assert_false(same(other->core, after));
    world_free(one);
    world_free(other);
}

static int tell(struct world *w, uint64_t event)
{
    struct event e = {.kind = EVENT_KIND_state_digest,
                      .u.state_digest = {.snapshot = uid('S', 1), .event = event, .state = {7}}};
    return world_step(w, &e);
}

/* Only of the last mark, also where the state was loaded since; and nothing changes by it. */
static void test_marks(void **state)
{
    (void)state;
    struct world *w = busy_world(1);
    struct event mark = {.kind = EVENT_KIND_tick, .u.tick.mark = 1};
    uint64_t at = view_core(w->core)->events;
    assert_int_equal(tell(w, 0), ERR_WRONG_STATE);
    assert_int_equal(tell(w, at), ERR_WRONG_STATE);
    uint64_t marked = view_core(w->core)->events;
    assert_int_equal(world_step(w, &mark), 0);
    assert_int_equal(tell(w, marked), 0);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(tell(w, marked), 0);
    assert_int_equal(tell(w, marked + 1), ERR_WRONG_STATE);
    assert_int_equal(world_step(w, &mark), 0);
    assert_int_equal(tell(w, marked), ERR_WRONG_STATE);
    struct event nobody = {.kind = EVENT_KIND_state_digest, .u.state_digest = {.event = marked + 4}};
    assert_int_equal(world_step(w, &nobody), ERR_INVALID);
    world_free(w);
}

/* ---- when ---- */

struct told {
    struct event event;
    atomic_uint n;
};

static void take(void *ctx, const struct event *event)
{
    struct told *told = ctx;
    told->event = *event;
    told->n++;
}

static void await(const struct told *told, unsigned n)
{
    uint64_t limit = clock_mono_ns() + 20000000000u;
    while (told->n < n && clock_mono_ns() < limit)
        usleep(200);
    assert_int_equal(told->n, n);
}

static void test_when(void **state)
{
    struct told told = {.n = 0};
    struct snapshots s;
    uint8_t now[DIGEST_BYTES];
    (void)state;
    struct world *w = busy_world(20);
    digest(w->core, now);
    snapshots_init(&s, 100, take, &told);
    snapshots_start(&s, 50, 5 * DAY_MS + 7);
    assert_false(snapshots_due(&s, 149, 6 * DAY_MS - 1));
    assert_true(snapshots_due(&s, 150, 5 * DAY_MS + 8));
    assert_true(snapshots_due(&s, 51, 6 * DAY_MS));
    snapshots_take(&s, w->core, 151, 6 * DAY_MS + 3);
    struct event tick = {.kind = EVENT_KIND_tick};
    assert_int_equal(world_step(w, &tick), 0); /* goes on meanwhile */
    await(&told, 1);
    assert_int_equal(told.event.kind, EVENT_KIND_state_digest);
    assert_int_equal(told.event.u.state_digest.event, 151);
    assert_memory_equal(told.event.u.state_digest.state, now, sizeof now);
    while (s.busy)
        usleep(200);
    assert_false(snapshots_due(&s, 250, 7 * DAY_MS - 1));
    assert_true(snapshots_due(&s, 251, 7 * DAY_MS - 1));
    assert_true(snapshots_due(&s, 152, 7 * DAY_MS));
    snapshots_take(&s, w->core, 251, 6 * DAY_MS + 4);
    snapshots_fini(&s); /* waits for it */
    assert_int_equal(told.n, 2);
    assert_memory_not_equal(told.event.u.state_digest.state, now, sizeof now);
    world_free(w);
}

static double cpu_ms(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* CPU time that the core's thread, and the other one, spend on it with 100,000 jobs; told, not judged. */
static void test_cost(void **state)
{
    struct state_copy copy;
    uint8_t out[DIGEST_BYTES];
    (void)state;
    struct world *w = busy_world(100000);
    state_copy_init(&copy);
    for (int i = 0; i < 2; i++) {
        double start = cpu_ms();
        assert_true(state_copy_take(&copy, w->core));
        double copied = cpu_ms();
        assert_true(state_copy_digest(&copy, out));
        print_message("# 100,000 jobs, %zu bytes: copied in %.1f ms, digest in %.1f ms\n", copy.bytes.len,
                      copied - start, cpu_ms() - copied);
    }
    state_copy_fini(&copy);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order), cmocka_unit_test(test_one_field),
                                       cmocka_unit_test(test_marks), cmocka_unit_test(test_when),
                                       cmocka_unit_test(test_cost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
