/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "core/kinds.h"
#include "core/work.h"
#include "sim/cpu.h"
#include "sim/duration.h"
#include "sim/marks.h"
#include "sim/messages.h"
#include "sim/report.h"
#include "sim/running.h"

#define PROGRESS_EVERY 4096
/* Jobs wait, not by choice, nothing runs and nobody comes: after so long that will not change. */
#define STILL_MS (30 * DAY_MS)

/* ---- time ---- */

static int64_t told_ms(const struct sim *s, const struct demand_job *job)
{
    if (s->told == TOLD_EXACT)
        return job->duration_ms > 0 ? job->duration_ms : 1;
    return s->told == TOLD_GUESS ? JOB_MS_GUESS : 0;
}

static void request(const struct sim *s, uint32_t i, int64_t at_ms, struct event_job_submit *out)
{
    const struct demand_job *job = &s->demand.job[i];
    *out = (struct event_job_submit){.job = sim_uuid('J', i),
                                     .tenant = sim_uuid('T', job->tenant + 1u),
                                     .count0 = job->chips,
                                     .rate0 = 1000,
                                     .priority = (uint32_t)(int32_t)job->priority,
                                     .duration_ms = told_ms(s, job)};
    if (!s->options->network || traits_ties(&s->traits, i))
        out->site = s->site_of_queue[job->queue];
    traits_apply(&s->traits, i, at_ms, out);
}

static void submit(struct sim *s, uint32_t i)
{
    struct event e;
    e.kind = EVENT_KIND_job_submit;
    e.token = 0;
    request(s, i, s->now_ms, &e.u.job_submit);
    s->fate[i].waits = e.u.job_submit.start_by_ms > 0;
    int rc = sim_step(s, &e);
    if (rc == 0)
        return;
    char words[160];
    (void)snprintf(words, sizeof words,
                   "the core refuses job %u in order of submission, of %u chips of queue %.40s", i + 1,
                   s->demand.job[i].chips, s->demand.queue[s->demand.job[i].queue]);
    sim_fail(s, rc, words);
}

/* The hub hears that a job is over under this epoch. */
static void reported(struct sim *s, const struct end *due)
{
    struct fate *fate = &s->fate[due->job];
    bool runs = fate->epoch == due->epoch; /* as far as the hub knows */
    struct event e;
    e.kind = EVENT_KIND_job_end;
    e.token = 0;
    e.u.job_end = (struct event_job_end){.job = sim_uuid('J', due->job), .epoch = due->epoch};
    int rc = sim_step(s, &e);
    if (!runs) {
        s->result->refused +=
            rc == ERR_NOT_FOUND || rc == ERR_WRONG_STATE; /* else the checker has something to say */
        return;
    }
    if (rc != 0)
        sim_fail(s, rc, "the core refuses the end of a job that runs");
    sim_chips_back(s, due->job);
    sim_data_stops(s, &e.u.job_end.job, fate);
    fate->end_ms = s->now_ms;
    s->over++;
    s->running--;
    if (s->options->progress && s->over % PROGRESS_EVERY == 0)
        s->options->progress(s->options->ctx, s->over, s->demand.n);
}

/* A job is over at its site, which reports it. */
static void end(struct sim *s)
{
    struct end due = ends_take(&s->ends);
    struct message m = {0};
    if (s->fate[due.job].epoch != due.epoch)
        return; /* it was stopped before */
    if (s->options->faults)
        m = message_draw(s->options->seed, due.job, due.epoch);
    s->result->late += m.delay_ms > 0 && !m.lost;
    s->result->lost += m.lost;
    s->result->twice += m.again_ms > 0;
    if (m.again_ms > 0 && !ends_put(&s->reports, s->now_ms + m.again_ms, due.job, due.epoch))
        sim_fail(s, ERR_NO_MEMORY, "reports of ends");
    if (m.delay_ms == 0)
        reported(s, &due);
    else if (!ends_put(&s->reports, s->now_ms + m.delay_ms, due.job, due.epoch))
        sim_fail(s, ERR_NO_MEMORY, "reports of ends");
}

static int64_t submit_ms(const struct sim *s, uint32_t next)
{
    return next < s->demand.n ? s->start_ms + s->demand.job[next].submit_ms : INT64_MAX;
}

static void happen(struct sim *s)
{
    struct event e;
    bool drill;
    bool any = false;
    uint64_t stops = s->result->stops;
    while (s->err.code == 0 && world_event(s->world, s->now_ms, &e, &drill)) {
        e.token = 0;
        s->drilling = drill; /* what stops now, or when this instant is settled, is its doing */
        s->drill = drill && s->watch ? (uint8_t)(marks_drill_at(s->watch->rec, s->now_ms) + 1) : s->drill;
        if (sim_must(s, &e) && !drill && !s->options->faults && s->watch)
            marks_event(s->watch->rec, &s->stock, &e);
        any |= drill;
    }
    s->drilling = any;
    if (any)
        sim_settle(s);
    s->drilling = false;
    if (any && s->drill)
        s->watch->rec->mark[s->drill - 1].stopped += s->result->stops - stops;
    s->drill = 0;
}

/* What has held since the last event is sampled before the next one changes it. */
static void observe(struct sim *s, int64_t now_ms, uint32_t submitted)
{
    if (s->options->network && s->stock.changed) {
        supply_look(&s->result->supply, &s->stock, s->now_ms);
        s->stock.changed = false;
    }
    if (s->watch) {
        struct watch_counts counts = {.waiting = submitted - s->over - s->running,
                                      .running = s->running,
                                      .starts = s->result->starts,
                                      .stops = s->result->stops};
        if (s->watch->rec->next_ms < now_ms)
            gauges_read(&s->gauges, s->watch->rec, s->core, &s->outage, s->flows, s->serving, s->now_ms);
        watch_until(s->watch, now_ms, &counts);
    }
}

/* Somebody comes, something runs. */
static bool moves(const struct sim *s, uint32_t next)
{
    return next < s->demand.n || s->ends.n > 0 || s->reports.n > 0 || !serving_over(s->serving);
}

static bool goes_on(const struct sim *s, uint32_t next)
{
    return s->err.code == 0 && (s->until_ms || s->over < next || moves(s, next));
}

/* What requests ask for, told to core. */
static void ask(struct sim *s)
{
    struct event e;
    while (s->err.code == 0 && serving_event(s->serving, s->now_ms, &e))
        (void)sim_must(s, &e);
}

/* The slow loop: a plan for what can wait, from now on. */
static void plan(struct sim *s, uint32_t next)
{
    const struct event *list;
    struct event_job_submit job;
    for (int64_t until_ms = planning_foresees_ms(s->planning, s->now_ms); submit_ms(s, next) < until_ms;
         next++) {
        request(s, next, submit_ms(s, next), &job);
        planning_expect(s->planning, &job, submit_ms(s, next));
    }
    uint32_t n = planning_make(s->planning, s->core, s->world, s->now_ms, &list);
    for (uint32_t i = 0; i < n; i++) {
        struct event e = list[i];
        (void)sim_must(s, &e);
    }
}

/* The time of what happens next; INT64_MAX: nothing more. */
static int64_t next_ms(struct sim *s, uint32_t next)
{
    const int64_t times[] = {submit_ms(s, next),      ends_next_ms(&s->ends),    ends_next_ms(&s->reports),
                             world_next_ms(s->world), core_deadline_ms(s->core), serving_next_ms(s->serving)};
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        first = times[i] < first ? times[i] : first;
    if (first == INT64_MAX)
        return first; /* nothing is left to plan for */
    return planning_next_ms(s->planning) < first ? planning_next_ms(s->planning) : first;
}

/* ---- when a job will start ---- */

static int64_t past_ms(void *ctx, uint32_t i)
{
    return submit_ms(ctx, i);
}

static void past_request(void *ctx, uint32_t i, struct event_job_submit *out, int64_t *ran_ms)
{
    const struct sim *s = ctx;
    request(s, i, s->now_ms, out);
    *ran_ms = s->fate[i].end_ms > 0 ? s->demand.job[i].duration_ms : 0;
}

/* Jobs [first, end) were submitted at this time, and the dispatcher has settled. */
static void ask_etas(struct sim *s, uint32_t first, uint32_t end)
{
    struct forecast_past past = {.ctx = s, .end = end, .at_ms = past_ms, .request = past_request};
    while (past.first < end && submit_ms(s, past.first) < s->now_ms - FORECAST_PAST_MS)
        past.first++;
    for (uint32_t i = first; i < end && s->err.code == 0; i++) {
        struct uuid id = sim_uuid('J', i);
        int rc = 0;
        if (eta_wants(s->eta, i, s->fate[i].start_ms != 0))
            rc = eta_ask(s->eta, i, s->core, &s->limits, s->now_ms, &id, &past);
        if (rc != 0)
            sim_fail(s, rc, "--eta");
    }
}

static void settle_singly(struct sim *s)
{
    if (s->policy->singly)
        sim_settle(s);
}

/* All that is to happen at s->now_ms; `next` is the job that comes next. Returns the one that comes then. */
static uint32_t instant(struct sim *s, uint32_t next)
{
    uint32_t first = next;
    while (s->err.code == 0 && ends_next_ms(&s->ends) == s->now_ms) {
        end(s);
        settle_singly(s);
    }
    while (s->err.code == 0 && ends_next_ms(&s->reports) == s->now_ms) {
        struct end due = ends_take(&s->reports);
        reported(s, &due);
        settle_singly(s);
    }
    happen(s);
    ask(s);
    if (planning_next_ms(s->planning) <= s->now_ms)
        plan(s, next);
    while (s->err.code == 0 && submit_ms(s, next) == s->now_ms) {
        submit(s, next++);
        settle_singly(s);
    }
    sim_settle(s);
    outage_sample(&s->outage, s->core, s->now_ms);
    checker_end_of_time(s->checker, s->now_ms);
    if (s->eta && next > first)
        ask_etas(s, first, next);
    return next;
}

static void run(struct sim *s)
{
    uint32_t next = 0;
    int64_t moved_ms = s->now_ms;
    int64_t until = s->until_ms ? s->until_ms : INT64_MAX;
    while (goes_on(s, next)) {
        int64_t now = next_ms(s, next);
        if (now > until || now == INT64_MAX)
            break;
        assert(now >= s->now_ms);
        if (moves(s, next))
            moved_ms = now;
        else if (s->until_ms == 0 && now - moved_ms > STILL_MS + s->traits.defer_ms)
            break;
        observe(s, now, next);
        s->now_ms = now;
        next = instant(s, next);
    }
    observe(s, s->until_ms ? s->until_ms + 1 : s->now_ms + 1, next);
    if (s->until_ms)
        s->now_ms = s->until_ms;
}

/* ---- a simulation ---- */

int sim_run(const struct sim_options *options, struct sim_result *result, struct err *err)
{
    struct sim s = {.options = options, .result = result};
    uint64_t cpu = cpu_ns(), wall = clock_mono_ns();
    *result = (struct sim_result){0};
    outage_init(&s.outage);
    int rc = sim_read_words(&s, err);
    if (rc == 0 && options->report)
        rc = report_check(options->report, err);
    if (rc == 0)
        rc = sim_read_input(&s, err);
    if (rc == 0)
        rc = sim_new(&s, err);
    if (rc == 0)
        run(&s);
    if (rc == 0)
        rc = serving_failed(s.serving, err);
    if (rc == 0 && s.err.code != 0)
        rc = err_set(err, s.err.code, "%s", s.err.msg);
    if (rc == 0 && options->ended)
        rc = options->ended(options->ctx, s.core, &s.limits, s.now_ms, s.standing, err);
    if (rc == 0)
        rc = sim_measure(&s, result, err);
    struct rusage u;
    result->cpu_us = (cpu_ns() - cpu) / 1000;
    result->wall_us = (clock_mono_ns() - wall) / 1000;
    result->rss_kb = getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss : 0;
    if (rc == 0 && s.watch)
        rc = report_write(options, result, s.watch, s.world, err);
    sim_fini(&s);
    return rc;
}
