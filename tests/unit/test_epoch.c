/* SPDX-License-Identifier: Apache-2.0 */
/* What sites report of epochs: who may speak for one, how it ends, and that a report of another epoch changes nothing; and sites that
 * are heard of no more. */
#include "dispatch_support.h"

#define LOST (ENDING_LOST << JOB_CODE_BITS)

static struct world *world;

static int setup(void **state)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    world = world_dispatch(&limits, 1);
    do_two_sites(world, 0);
    *state = &world;
    return 0;
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
    do_run_at(world, 1, 1);
    assert_int_equal(end_from(2, 1, 1), ERR_FORBIDDEN);
    world_assert_untouched(world);
    assert_int_equal(end_from(9, 1, 1), ERR_FORBIDDEN);
    world_assert_untouched(world);
    assert_int_equal(end_from(2, 9, 1), ERR_NOT_FOUND);
    assert_int_equal(end_from(2, 1, 2), ERR_WRONG_STATE);
    assert_int_equal(end_from(1, 1, 1), 0);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
    do_run_at(world, 2, 1);
    assert_int_equal(end_from(0, 2, 1), 0);
    assert_int_equal(world_job(world, 2)->state, JOB_ENDED);
}

static int return_from(uint64_t site, uint64_t job, uint32_t epoch, uint32_t code)
{
    struct event e = {.kind = EVENT_KIND_job_return,
                      .u.job_return = {.job = uid('J', job), .epoch = epoch, .code = code}};
    if (site > 0)
        e.u.job_return.site = uid('S', site);
    return world_step(world, &e);
}

/* The next epoch goes on from what the job wrote by itself: nobody could tell it to write more. */
static void test_returns(void **state)
{
    (void)state;
    struct event_job_submit request = job_request(1, 8, HOUR);
    request.checkpoint_ms = 2 * MINUTE;
    request.checkpoint_every_ms = 10 * MINUTE;
    assert_int_equal(do_submit(world, request), 0);
    assert_int_equal(do_tick(world), 0);
    struct uuid pool = world_effect(world, EFFECT_JOB_START, 1)->pool;
    world->now += 25 * MINUTE;
    assert_int_equal(return_from(0, 1, 1, LOST), 0);
    const struct effect *stop = world_effect(world, EFFECT_JOB_STOP, 1);
    assert_non_null(stop);
    assert_true(uuid_eq(&stop->pool, &pool));
    assert_int_equal(stop->epoch, 1);
    assert_int_equal(stop->code, 0);
    assert_int_equal(stop->amount, 20 * MINUTE);
    assert_int_equal(world_job(world, 1)->state, JOB_QUEUED);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_tick(world), 0);
    const struct effect *start = world_effect(world, EFFECT_JOB_START, 1);
    assert_non_null(start);
    assert_int_equal(start->epoch, 2);
    assert_int_equal(start->amount, 20 * MINUTE);
    assert_int_equal(world_job(world, 1)->returns, 1);
    assert_int_equal(end_from(0, 1, 1), ERR_WRONG_STATE);
    assert_int_equal(end_from(0, 1, 2), 0);
}

static void test_returns_refused(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    assert_int_equal(return_from(1, 9, 1, LOST), ERR_NOT_FOUND);
    assert_int_equal(return_from(1, 1, 2, LOST), ERR_WRONG_STATE);
    assert_int_equal(return_from(2, 1, 1, LOST), ERR_FORBIDDEN);
    assert_int_equal(return_from(1, 1, 1, 0), ERR_INVALID);
    world_assert_untouched(world);
    assert_int_equal(return_from(1, 1, 1, LOST), 0);
    assert_int_equal(return_from(1, 1, 1, LOST), ERR_WRONG_STATE);
    world_assert_untouched(world);
    assert_int_equal(end_from(1, 1, 1), ERR_WRONG_STATE);
    world_assert_untouched(world);
    assert_int_equal(do_cancel(world, 1), 0);
    assert_int_equal(return_from(1, 1, 1, LOST), ERR_NOT_FOUND);
}

/* With the last of too many returns it is over, as that one says; how many there were is not forgotten at a reload. */
static void test_returns_too_often(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    for (uint32_t epoch = 1; epoch <= JOB_RETURNS_MAX; epoch++) {
        assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
        assert_int_equal(return_from(1, 1, epoch, epoch), 0);
        assert_non_null(world_effect(world, EFFECT_JOB_STOP, 1));
        assert_int_equal(world_reload(world), 0);
        world_settle(world);
    }
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
    assert_int_equal(world_job(world, 1)->code, JOB_RETURNS_MAX);
    assert_int_equal(world_job(world, 1)->returns, JOB_RETURNS_MAX);
    assert_int_equal(world->mirror.count[ROW_KIND_share], 0);
    do_run_at(world, 2, 1); /* its chips are free */
}

/* ---- contact with a site ---- */

static int contact(uint64_t site, uint32_t lost)
{
    struct event e = {.kind = EVENT_KIND_site_contact,
                      .u.site_contact = {.site = uid('S', site), .lost = lost}};
    int rc = world_step(world, &e);
    if (rc != 0)
        world_assert_untouched(world);
    return rc;
}

/* After a reload, which changes nothing. */
static uint32_t state_of(uint64_t site)
{
    const struct uuid id = uid('S', site);
    uint32_t state = view_site_state(view_site(world->core, &id));
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(view_site_state(view_site(world->core, &id)), state);
    return state;
}

/* What ran there is placed again as if the site were lost, and nothing new goes there. */
static void test_contact_lost(void **state)
{
    (void)state;
    do_run_at(world, 1, 1);
    assert_int_equal(do_site_state(world, 2, PLACE_CORDONED), 0);
    assert_int_equal(do_submit(world, job_request(2, 8, HOUR)), 0);
    world_settle(world);
    assert_int_equal(contact(9, 1), ERR_NOT_FOUND);
    assert_int_equal(contact(1, 2), ERR_INVALID);
    assert_int_equal(contact(1, 0), 0);
    world_assert_untouched(world);
    assert_int_equal(contact(1, 1), 0);
    assert_int_equal(state_of(1), PLACE_LOST);
    assert_int_equal(contact(1, 1), 0);
    world_assert_untouched(world);
    assert_int_equal(do_tick(world), 0);
    const struct effect *stop = world_effect(world, EFFECT_JOB_STOP, 1);
    assert_non_null(stop);
    assert_int_equal(stop->code, 0);
    assert_int_equal(end_from(1, 1, 1), ERR_WRONG_STATE);
    world_settle(world);
    assert_int_equal(world_job(world, 2)->state, JOB_QUEUED);
    assert_int_equal(do_site_state(world, 2, PLACE_UP), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->state, JOB_QUEUED); /* it may run there only */
    assert_int_equal(world_job(world, 2)->state, JOB_RUNNING);
    assert_int_equal(contact(1, 0), 0);
    assert_int_equal(state_of(1), PLACE_UP);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
    assert_int_equal(world_job(world, 1)->epoch, 2);
}

static void run_half(uint64_t job, uint32_t flags)
{
    struct event_job_submit e = job_request(job, 4, HOUR);
    e.flags = flags | JOB_INTERRUPTIBLE;
    e.site = uid('S', 1);
    assert_int_equal(do_submit(world, e), 0);
    world_settle(world);
    assert_int_equal(world_job(world, job)->state, JOB_RUNNING);
}

/* Who asked for it goes on at a site that is out of touch, under its epoch, whatever is decided meanwhile. */
static void test_contact_lost_to_finish(void **state)
{
    (void)state;
    run_half(1, JOB_FINISH);
    run_half(2, 0);
    assert_int_equal(contact(1, 1), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
    assert_int_equal(world_job(world, 1)->epoch, 1);
    assert_int_equal(world_job(world, 2)->state, JOB_QUEUED);
    assert_int_equal(do_site_state(world, 1, PLACE_DRAINING), 0);
    world_settle(world);
    assert_int_equal(world_reload(world), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
    /* What it was spared is done when the site is back. */
    assert_int_equal(contact(1, 0), 0);
    assert_int_equal(do_tick(world), 0);
    const struct effect *stop = world_effect(world, EFFECT_JOB_STOP, 1);
    assert_non_null(stop);
    assert_int_equal(stop->code, ERR_DRAINED);
    world_settle(world);
    assert_int_equal(do_site_state(world, 1, PLACE_UP), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->epoch, 2);
    /* Its end is taken when the site tells it. */
    assert_int_equal(contact(1, 1), 0);
    world_settle(world);
    assert_int_equal(end_from(1, 1, 2), 0);
    assert_int_equal(world_job(world, 1)->state, JOB_ENDED);
}

/* A site that is lost for good, by an operator or as a member, gives such a job back too. */
static void test_lost_for_good(void **state)
{
    (void)state;
    run_half(1, JOB_FINISH);
    assert_int_equal(contact(1, 1), 0);
    world_settle(world);
    assert_int_equal(do_site_state(world, 1, PLACE_LOST), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->state, JOB_QUEUED);
    assert_int_equal(end_from(1, 1, 1), ERR_WRONG_STATE);
    assert_int_equal(contact(1, 0), 0);
    assert_int_equal(do_site_state(world, 1, PLACE_UP), 0);
    world_settle(world);
    assert_int_equal(world_job(world, 1)->epoch, 2);
    /* One that is cancelled has no other place either. */
    assert_int_equal(contact(1, 1), 0);
    assert_int_equal(do_cancel(world, 1), 0);
    assert_int_equal(world_job(world, 1)->state, JOB_CANCELLED);
}

/* Contact that comes and goes is not what an operator says, before or meanwhile. */
static void test_contact_and_operator(void **state)
{
    (void)state;
    static const uint32_t states[] = {PLACE_UP, PLACE_CORDONED, PLACE_LOST};
    for (uint32_t before = 0; before < 3; before++) {
        for (uint32_t meanwhile = 0; meanwhile < 3; meanwhile++) {
            assert_int_equal(do_site_state(world, 1, states[before]), 0);
            assert_int_equal(contact(1, 1), 0);
            assert_int_equal(state_of(1), PLACE_LOST);
            assert_int_equal(contact(1, 0), 0);
            assert_int_equal(state_of(1), states[before]);
            assert_int_equal(contact(1, 1), 0);
            assert_int_equal(do_site_state(world, 1, states[meanwhile]), 0);
            assert_int_equal(state_of(1), PLACE_LOST);
            assert_int_equal(contact(1, 0), 0);
            assert_int_equal(state_of(1), states[meanwhile]);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_who_ends),
                                       TEST(test_returns),
                                       TEST(test_returns_refused),
                                       TEST(test_returns_too_often),
                                       TEST(test_contact_lost),
                                       TEST(test_contact_and_operator),
                                       TEST(test_contact_lost_to_finish),
                                       TEST(test_lost_for_good)};
    return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
