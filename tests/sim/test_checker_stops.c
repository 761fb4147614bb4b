/* SPDX-License-Identifier: Apache-2.0 */
/* The checker on work that gives way, on sites that have to draw less, and on what alarms tell: each thing right, then wrong. */
#include "checker_support.h"

#include "base/err.h"

#define MINUTE INT64_C(60000)

static void set_dispatch(uint32_t preempt, uint32_t reserve)
{
    ck_event.kind = EVENT_KIND_dispatch_set;
    ck_event.u.dispatch_set = (struct event_dispatch_set){.order = ORDER_SIZE,
                                                          .fit = FIT_BACKFILL,
                                                          .pack = PACK_BEST_FIT,
                                                          .preempt = preempt,
                                                          .reserve = reserve};
    ck_step();
}

/* Submitted, and running on a node of pool 1. */
static void run(uint32_t j, uint32_t node, uint32_t chips, uint32_t flags)
{
    struct event_job_submit *e = ck_submit_made(j, "", chips);
    e->flags = flags;
    e->duration_ms = 60 * MINUTE;
    e->checkpoint_ms = 5 * MINUTE;
    e->checkpoint_every_ms = 8 * MINUTE;
    ck_step();
    ck_tick_one(j, 1, node, chips, 1);
}

static struct effect *stop(uint32_t j, int code, int64_t kept_ms)
{
    struct effect *e = ck_effect(EFFECT_JOB_STOP, j, 1);
    e->epoch = 1;
    e->code = code;
    e->amount = kept_ms;
    return e;
}

static void test_preempted(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_OFF);
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_submit(2, 4, MINUTE);
    ck_now_ms += 20 * MINUTE;
    (void)stop(1, ERR_PREEMPTED, 20 * MINUTE);
    ck_tick_one(2, 1, 0, 4, 1);
    ck_share(1, 1, 1, 8);
    ck_start(1, 1, 8, 2)->amount = 20 * MINUTE;
    ck_tick();
    ck_now_ms += 8 * MINUTE; /* five of them to start from the checkpoint */
    stop(1, ERR_FORBIDDEN, 23 * MINUTE)->epoch = 2;
    ck_tick();
    ck_clean();
}

static void test_preempted_firm(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_OFF);
    run(1, 0, 8, 0);
    ck_submit(2, 4, MINUTE);
    (void)stop(1, ERR_PREEMPTED, 0);
    ck_tick_one(2, 1, 0, 4, 1);
    ck_found(CHECKER_PREEMPTED_FIRM);
}

static void test_preempted_for_nobody(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_OFF);
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    (void)stop(1, ERR_PREEMPTED, 0);
    ck_tick();
    ck_found(CHECKER_PREEMPTED_FOR_NOBODY);
}

static void test_preempted_for_one_elsewhere(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_OFF);
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_submit(2, 4, MINUTE);
    (void)stop(1, ERR_PREEMPTED, 0);
    ck_tick_one(2, 3, 0, 4, 1);
    ck_found(CHECKER_PREEMPTED_FOR_NOBODY);
}

/* The shorter may pass its like, if that is in force. */
static void test_preempted_for_its_like(void **state)
{
    (void)state;
    for (uint32_t preempt = PREEMPT_SHORTER; preempt >= PREEMPT_FIRM; preempt--) {
        set_dispatch(preempt, RESERVE_OFF);
        uint32_t job = preempt * 2;
        run(job, preempt - 1, 8, JOB_INTERRUPTIBLE);
        ck_submit_made(job + 1, "", 4)->flags = JOB_INTERRUPTIBLE;
        ck_step();
        (void)stop(job, ERR_PREEMPTED, 0);
        ck_tick_one(job + 1, 1, preempt - 1, 4, 1);
        if (preempt == PREEMPT_SHORTER)
            ck_clean();
    }
    ck_found(CHECKER_PREEMPTED_FOR_NOBODY);
}

static void test_preempted_where_none_is(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_NONE, RESERVE_OFF);
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_submit(2, 4, MINUTE);
    (void)stop(1, ERR_PREEMPTED, 0);
    ck_tick_one(2, 1, 0, 4, 1);
    ck_found(CHECKER_PREEMPTED_STRICTLY);
}

/* Its node is lost: of twenty minutes it has sixteen, not all. */
static void test_lost_keeps_less(void **state)
{
    (void)state;
    for (uint32_t wrong = 0; wrong < 2; wrong++) {
        run(1 + wrong, wrong, 8, JOB_INTERRUPTIBLE);
        ck_now_ms += 20 * MINUTE;
        ck_set_node(1, wrong, PLACE_LOST);
        (void)stop(1 + wrong, 0, wrong ? 20 * MINUTE : 16 * MINUTE);
        ck_step();
        if (!wrong)
            ck_clean();
    }
    ck_found(CHECKER_DONE);
}

static void test_forgotten(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_now_ms += 20 * MINUTE;
    (void)stop(1, ERR_FORBIDDEN, 20 * MINUTE);
    ck_tick();
    ck_tick_one(1, 1, 0, 8, 2); /* says that nothing is done */
    ck_found(CHECKER_DONE);
}

static void come_back(uint32_t j, uint32_t epoch)
{
    ck_event.kind = EVENT_KIND_job_return;
    ck_event.u.job_return = (struct event_job_return){.job = ck_job(j), .epoch = epoch, .code = 1};
}

/* What its site gave back runs again under the next epoch, from what it wrote by itself. */
static void test_returned(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_now_ms += 20 * MINUTE;
    come_back(1, 1);
    (void)stop(1, 0, 16 * MINUTE);
    ck_step();
    ck_share(1, 1, 0, 8);
    ck_start(1, 1, 8, 2)->amount = 16 * MINUTE;
    ck_tick();
    ck_clean();
}

static void test_returned_wrongly(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    come_back(1, 1);
    (void)stop(1, ERR_FORBIDDEN, 0);
    ck_step();
    ck_found(CHECKER_RETURNED);
}

static void test_returned_runs(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    come_back(1, 1);
    ck_step();
    ck_found(CHECKER_RETURNED);
}

static void test_returned_same_epoch(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    come_back(1, 1);
    (void)stop(1, 0, 0);
    ck_step();
    ck_tick_one(1, 1, 0, 8, 1);
    ck_found(CHECKER_EPOCH);
}

/* ---- money ---- */

/* Stopped for good by a report of what it used, and by nothing else. */
static void test_budget(void **state)
{
    (void)state;
    for (uint32_t wrong = 0; wrong < 2; wrong++) {
        run(1 + wrong, wrong, 8, JOB_INTERRUPTIBLE);
        ck_event.kind = EVENT_KIND_job_meter;
        ck_event.u.job_meter = (struct event_job_meter){.job = ck_job(1), .epoch = 1, .chip_ms = 1};
        (void)stop(1 + wrong, ERR_BUDGET_SPENT, 0);
        ck_step();
        if (!wrong)
            ck_clean();
    }
    ck_found(CHECKER_BUDGET);
}

static void test_budget_restart(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    ck_event.kind = EVENT_KIND_job_meter;
    ck_event.u.job_meter = (struct event_job_meter){.job = ck_job(1), .epoch = 1, .chip_ms = 1};
    (void)stop(1, ERR_BUDGET_SPENT, 0);
    ck_step();
    ck_tick_one(1, 1, 0, 8, 2);
    ck_found(CHECKER_START_OVER);
}

/* ---- power ---- */

static void shed(uint64_t watts, int64_t for_ms)
{
    ck_event.kind = EVENT_KIND_site_shed;
    ck_event.u.site_shed =
        (struct event_site_shed){.site = ck_site(1), .watts = watts, .until_ms = ck_now_ms + for_ms};
    ck_step();
}

static void test_shed(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE); /* 8 x 300 W x 1.25 more than idle */
    run(2, 1, 8, 0);
    shed(3000, MINUTE);
    (void)stop(1, ERR_CURTAILED, 0);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
    ck_now_ms += MINUTE; /* it is over */
    ck_tick_one(1, 1, 0, 8, 2);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_shed_not(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    shed(3000, MINUTE);
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_OVER_CAP);
}

static void test_shed_is_no_cap(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    shed(3000, MINUTE);
    (void)stop(1, ERR_CURTAILED, 0);
    ck_tick();
    ck_tick_one(1, 1, 0, 8, 2);
    ck_found(CHECKER_CAP);
}

static void test_shed_firm_first(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    run(2, 1, 8, 0);
    shed(3000, MINUTE);
    (void)stop(2, ERR_CURTAILED, 0);
    ck_tick();
    ck_found(CHECKER_CURTAILED_FIRM);
}

/* ---- drained ---- */

/* An interruptible job and a firm one, at a site that is drained now. */
static void drain(void)
{
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    run(2, 1, 8, 0);
    ck_set_site(1, PLACE_DRAINING);
    ck_step();
    ck_clean();
}

static void test_drained(void **state)
{
    (void)state;
    drain();
    (void)stop(1, ERR_DRAINED, 0);
    ck_tick();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

static void test_drained_not(void **state)
{
    (void)state;
    drain();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_DRAINED_RUNS);
}

static void test_drained_firm(void **state)
{
    (void)state;
    drain();
    (void)stop(2, ERR_DRAINED, 0);
    ck_tick();
    ck_found(CHECKER_DRAINED_WRONGLY);
}

static void test_drained_elsewhere(void **state)
{
    (void)state;
    run(1, 0, 8, JOB_INTERRUPTIBLE);
    (void)stop(1, ERR_DRAINED, 0);
    ck_tick();
    ck_found(CHECKER_DRAINED_WRONGLY);
}

/* ---- losses ---- */

static void alarm_of_site(uint32_t site, int code, uint32_t chips, int64_t placed)
{
    struct effect *e = ck_effect(EFFECT_ALARM, 0, 0);
    e->site = ck_site(site);
    e->code = code;
    e->chips = chips;
    e->amount = placed;
    ck_tick();
}

static void test_alarm(void **state)
{
    (void)state;
    run(1, 0, 8, 0);
    alarm_of_site(1, ERR_UNAVAILABLE, 8, 0);
    alarm_of_site(1, 0, 8, 8);
    struct effect *e = ck_effect(EFFECT_ALARM, 0, 0);
    (void)snprintf(e->vendor, sizeof e->vendor, "nvidia");
    e->code = ERR_UNAVAILABLE;
    e->chips = 8;
    ck_tick();
    ck_clean();
}

static void test_alarm_twice(void **state)
{
    (void)state;
    run(1, 0, 8, 0);
    alarm_of_site(1, ERR_UNAVAILABLE, 8, 0);
    alarm_of_site(1, ERR_UNAVAILABLE, 8, 0);
    ck_found(CHECKER_ALARM);
}

static void test_alarm_counts(void **state)
{
    (void)state;
    run(1, 0, 8, 0);
    run(2, 1, 8, JOB_INTERRUPTIBLE);
    alarm_of_site(1, ERR_UNAVAILABLE, 16, 0); /* eight of them are not firm */
    ck_found(CHECKER_ALARM);
}

/* Site 2 has sixteen chips; three jobs of eight do not fit into it. */
static void test_alarm_cleared(void **state)
{
    (void)state;
    for (uint32_t j = 1; j <= 3; j++)
        run(j, j - 1, 8, 0);
    alarm_of_site(1, ERR_UNAVAILABLE, 24, 16);
    ck_clean();
    alarm_of_site(1, 0, 24, 24);
    ck_found(CHECKER_ALARM);
}

static void test_reserve(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_KEEP);
    run(1, 0, 8, 0);
    run(2, 1, 8, 0);
    ck_clean();
    run(3, 2, 8, 0);
    ck_found(CHECKER_RESERVE);
}

/* Work that only site 1 can keep apart as it demands is tied to it, and there to nvidia: nothing is kept for it, nor does it stand in
 * the way of others that site 2 has room for. */
static void test_reserve_apart(void **state)
{
    (void)state;
    set_dispatch(PREEMPT_FIRM, RESERVE_KEEP);
    ck_event.kind = EVENT_KIND_site_engine;
    ck_event.u.site_engine =
        (struct event_site_engine){.site = ck_site(1), .engine = "local", .isolation = ISOLATION_CGROUP};
    ck_step();
    ck_set_node(2, 0, PLACE_LOST);
    ck_set_node(2, 1, PLACE_LOST);
    for (uint32_t j = 1; j <= 3; j++)
        run(j, j - 1, 8, ISOLATION_CGROUP << JOB_ISOLATION_SHIFT);
    run(4, 3, 8, 0);
    ck_clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_preempted),
                                       TEST(test_preempted_firm),
                                       TEST(test_preempted_for_nobody),
                                       TEST(test_preempted_for_one_elsewhere),
                                       TEST(test_preempted_for_its_like),
                                       TEST(test_preempted_where_none_is),
                                       TEST(test_lost_keeps_less),
                                       TEST(test_forgotten),
                                       TEST(test_returned),
                                       TEST(test_returned_wrongly),
                                       TEST(test_returned_runs),
                                       TEST(test_returned_same_epoch),
                                       TEST(test_budget),
                                       TEST(test_budget_restart),
                                       TEST(test_shed),
                                       TEST(test_shed_not),
                                       TEST(test_shed_is_no_cap),
                                       TEST(test_shed_firm_first),
                                       TEST(test_drained),
                                       TEST(test_drained_not),
                                       TEST(test_drained_firm),
                                       TEST(test_drained_elsewhere),
                                       TEST(test_alarm),
                                       TEST(test_alarm_twice),
                                       TEST(test_alarm_counts),
                                       TEST(test_alarm_cleared),
                                       TEST(test_reserve),
                                       TEST(test_reserve_apart)};
    return cmocka_run_group_tests_name("sim_checker_stops", tests, NULL, NULL);
}
