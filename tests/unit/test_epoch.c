/* SPDX-License-Identifier: Apache-2.0 */
/* What sites report of epochs: who may speak for one, how it ends, and that a report of another epoch changes nothing. */
#include "dispatch_support.h"

static struct world *world;

/* Pool i is site i's: one node of eight chips; two sites. */
static int setup(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    world = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(world, "chip", "v", 100), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(do_site(world, i), 0);
        assert_int_equal(do_pool(world, pool_request(i, i, 1, 8)), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

/* At this site only, and started. */
static void run_at(uint64_t job, uint64_t site)
{
    struct event_job_submit request = job_request(job, 8, HOUR);
    request.site = uid('S', site);
    assert_int_equal(do_submit(world, request), 0);
    world_settle(world);
    assert_int_equal(world_job(world, job)->state, JOB_RUNNING);
}

/* site 0: the hub's own process. */
static int end_from(uint64_t site, uint64_t job, uint32_t epoch)
{
    struct event e = {.kind = EVENT_KIND_job_end, .u.job_end = {.job = uid('J', job), .epoch = epoch}};
    if (site > 0)
        e.u.job_end.site = uid('S', site);
    return world_step(world, &e);
}

static void test_who_ends(void **state)
{
    (void)state;
    run_at(1, 1);
    assert_int_equal(end_from(2, 1, 1), ERR_FORBIDDEN);
    world_assert_untouched(world);
    assert_int_equal(end_from(9, 1, 1), ERR_FORBIDDEN);
    world_assert_untouched(world);
    assert_int_equal(end_from(2, 9, 1), ERR_NOT_FOUND);
    assert_int_equal(end_from(2, 1, 2), ERR_WRONG_STATE);
    assert_int_equal(end_from(1, 1, 1), 0);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
    run_at(2, 1);
    assert_int_equal(end_from(0, 2, 1), 0);
    assert_int_equal(world_job(world, 2)->state, JOB_ENDED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_who_ends)};
    return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
