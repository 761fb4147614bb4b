/* SPDX-License-Identifier: Apache-2.0 */
/* A loss, or a set of rules, tried on a copy: what would stop, what would run again, and nothing of it happens. */
#include "dispatch_support.h"
#include "sim/trial.h"

#define HERE 1
#define THERE 2

static struct world *world;

/* Two sites with a node of eight chips each. */
static int setup(void **state)
{
    struct limits limits = dispatch_limits(3, 3, 100);
    world = world_dispatch(&limits, 1);
    do_two_sites(world, 1000);
    *state = &world;
    return 0;
}

/* At a site, whatever it asks for by itself. */
static void runs(uint64_t id, uint64_t site, uint32_t chips, uint32_t flags, bool tied)
{
    struct event_job_submit request = job_request(id, chips, HOUR);
    request.flags = flags;
    if (tied)
        request.site = uid('S', site);
    assert_int_equal(do_submit(world, request), 0);
    world_settle(world);
    assert_int_equal(world_job(world, id)->state, JOB_RUNNING);
    assert_true(is_uid(&world_job(world, id)->pool, 'p', site));
}

static struct trial *stand(void)
{
    struct trial *trial = trial_take(world->core, &world->limits, world->now);
    assert_non_null(trial);
    assert_int_equal(trial_stand(trial), 0);
    return trial;
}

static const struct trial_job *job(const struct trial *trial, uint64_t id)
{
    uint32_t n;
    const struct trial_job *list = trial_jobs(trial, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (is_uid(&list[i].id, 'J', id))
            return &list[i];
    }
    fail_msg("it is not there");
    return NULL;
}

static void assert_job(const struct trial *trial, uint64_t id, bool stopped, bool again, int code)
{
    const struct trial_job *j = job(trial, id);
    assert_int_equal(j->stopped, stopped);
    assert_int_equal(j->again, again);
    assert_int_equal(j->code, code);
}

/* Firm work that may run elsewhere takes the place of interruptible work there; what is tied to the site waits. */
static void test_site(void **state)
{
    (void)state;
    struct contingency counted;
    runs(1, THERE, 4, 0, true);
    runs(2, THERE, 2, 0, true);
    runs(3, HERE, 8, JOB_INTERRUPTIBLE, true);
    struct event_job_submit free_one = job_request(4, 2, HOUR);
    assert_int_equal(do_submit(world, free_one), 0);
    world_settle(world);
    assert_true(is_uid(&world_job(world, 4)->pool, 'p', THERE));
    uint64_t before = world_views(world);
    struct trial *trial = stand();
    assert_int_equal(trial_lose(trial, &(struct trial_loss){.site = uid('S', THERE)}, &counted), 0);
    assert_job(trial, 1, true, false, 0);
    assert_job(trial, 2, true, false, 0);
    assert_job(trial, 4, true, true, 0);
    assert_job(trial, 3, true, false, ERR_PREEMPTED);
    assert_int_equal(job(trial, 4)->chips, 2);
    assert_true(job(trial, 4)->firm && !job(trial, 3)->firm);
    assert_int_equal(counted.firm_jobs, 3);
    assert_int_equal(counted.placed_jobs, 1);
    assert_int_equal(counted.tied_jobs, 2);
    trial_free(trial);
    assert_true(world_views(world) == before);
    assert_int_equal(world_job(world, 4)->state, JOB_RUNNING);
}

static void test_vendor(void **state)
{
    (void)state;
    struct contingency counted;
    runs(1, THERE, 4, 0, false);
    struct trial *trial = stand();
    assert_int_equal(trial_lose(trial, &(struct trial_loss){.vendor = "nobody"}, &counted), ERR_NOT_FOUND);
    assert_job(trial, 1, false, false, 0);
    trial_free(trial);
    trial = stand();
    assert_int_equal(trial_lose(trial, &(struct trial_loss){.vendor = "v"}, &counted), 0);
    assert_job(trial, 1, true, false, 0);
    assert_int_equal(counted.firm_jobs, 1);
    trial_free(trial);
    trial = stand();
    assert_int_equal(trial_lose(trial, &(struct trial_loss){.corridor = uid('C', 9)}, &counted),
                     ERR_NOT_FOUND);
    trial_free(trial);
}

static void test_rules(void **state)
{
    (void)state;
    static const char
        bad[] = "deny",
        text[] = "deny there\n when site.name = site-2 and job.chips > 1\n because \"b\" cite \"c\"\n";
    runs(1, THERE, 4, 0, false);
    runs(2, THERE, 1, 0, false);
    runs(3, THERE, 3, 0, true);
    struct event_job_submit waits = job_request(4, 8, HOUR);
    waits.site = uid('S', THERE);
    assert_int_equal(do_submit(world, waits), 0);
    world_settle(world);
    struct trial *trial = stand();
    assert_int_equal(trial_rules(trial, bad, strlen(bad)), ERR_INVALID);
    trial_free(trial);
    trial = stand();
    assert_int_equal(trial_rules(trial, text, strlen(text)), 0);
    assert_job(trial, 1, true, true, ERR_FORBIDDEN);
    assert_job(trial, 2, false, false, 0);
    assert_job(trial, 3, true, false, ERR_FORBIDDEN);
    assert_job(trial, 4, false, false, 0);
    assert_true(job(trial, 1)->denied && job(trial, 3)->denied && job(trial, 4)->denied);
    assert_false(job(trial, 2)->denied);
    assert_string_equal(job(trial, 4)->rule, "there");
    assert_string_equal(job(trial, 4)->cite, "c");
    trial_free(trial);
    assert_int_equal(world_job(world, 1)->state, JOB_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_site, setup, world_teardown),
                                       cmocka_unit_test_setup_teardown(test_vendor, setup, world_teardown),
                                       cmocka_unit_test_setup_teardown(test_rules, setup, world_teardown)};
    return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
