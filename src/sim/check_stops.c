/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that gives way, in the checker: what is stopped for others is interruptible and others do start there; the work that is
 * done at each start is what the stops before left; a site that has to draw less does, and firm work there is the last to stop.
 */
#include <inttypes.h>

#include "base/err.h"
#include "core/kinds.h"
#include "sim/checker_state.h"

/* ---- power ---- */

uint64_t checker_limit(const struct checker *c, const struct check_site *site)
{
    bool sheds = site->shed_cap > 0 && c->now_ms < site->shed_until_ms;
    if (!sheds)
        return site->cap;
    return site->cap > 0 && site->cap < site->shed_cap ? site->cap : site->shed_cap;
}

bool checker_is_held(const struct checker *c, uint32_t i)
{
    const struct check_job *job = &c->job[i];
    const struct check_site *site = job->state == CHECK_RUNS ? &c->site[c->pool[job->pool].site] : NULL;
    return site && job->finish && site->away && site->set_state != PLACE_LOST;
}

bool checker_runs_free(const struct checker *c, uint32_t node)
{
    uint32_t s = c->node[node].shares;
    while (s != NONE && checker_is_held(c, c->share[s].job))
        s = c->share[s].next_on_node;
    return s != NONE;
}

static uint64_t draw_of(const struct check_site *site)
{
    return site->load * site->pue / 1000;
}

void checker_shed(struct checker *c, const struct event *event)
{
    const struct event_site_shed *e = &event->u.site_shed;
    uint32_t i = map_get(&c->site_map, &e->site, sizeof e->site);
    bool over = e->watts == 0 && e->until_ms == 0;
    if (i == MAP_NONE || (!over && e->until_ms <= event->at_ms)) {
        checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE,
                        "a site that is not there sheds, or until before now");
        return;
    }
    struct check_site *site = &c->site[i];
    uint64_t draw = draw_of(site);
    site->shed_cap = over ? 0 : draw > e->watts ? draw - e->watts : 1;
    site->shed_until_ms = e->until_ms;
    c->power = true;
}

/* Chips in use draw more than idle ones: a site over its limit where some of these are has not stopped enough. */
static bool could_draw_less(const struct checker *c, uint32_t site)
{
    for (uint32_t p = 0; p < c->npools; p++) {
        const struct check_pool *pool = &c->pool[p];
        const struct check_chip *chip = &c->chip[pool->chip];
        for (uint32_t n = 0;
             pool->site == site && chip->told.watts > chip->told.idle_watts && n < pool->nodes; n++) {
            if (checker_runs_free(c, pool->first + n))
                return true;
        }
    }
    return false;
}

void checker_power_end_of_time(struct checker *c)
{
    for (uint32_t i = 0; c->power && i < c->nsites; i++) {
        const struct check_site *site = &c->site[i];
        uint64_t limit = checker_limit(c, site);
        if (limit > 0 && site->running > 0 && draw_of(site) > limit && could_draw_less(c, i))
            checker_violate(c, CHECKER_OVER_CAP, NULL, NULL, NONE, "%s: %" PRIu64 " W of %" PRIu64,
                            site->told.name, draw_of(site), limit);
    }
    c->power = false;
}

/* ---- progress ---- */

static int64_t lead_ms(const struct check_job *job)
{
    return job->done_ms > 0 ? job->checkpoint_ms : 0;
}

/* Where its place is lost nobody can tell it to write a checkpoint. */
static int64_t kept_ms(const struct checker *c, const struct check_job *job, bool told)
{
    int64_t ran_ms = c->now_ms - job->started_ms - job->transit_ms - lead_ms(job);
    if (ran_ms < 0)
        ran_ms = 0;
    if (!told || job->checkpoint_ms == 0)
        ran_ms -= job->checkpoint_every_ms > 0 ? ran_ms % job->checkpoint_every_ms : ran_ms;
    return ran_ms * c->ask[job->ask].request.rate[job->alternative] / 1000;
}

void checker_judge_resume(struct checker *c, uint32_t i, const struct effect *e)
{
    struct check_job *job = &c->job[i];
    if (e->amount != job->done_ms)
        checker_violate(c, CHECKER_DONE, &e->job, &e->pool, NONE, "%" PRId64 " ms of %" PRId64, e->amount,
                        job->done_ms);
    job->started_ms = c->now_ms;
    job->transit_ms = 0;
    job->alternative = e->alternative < CHECKER_ALTERNATIVES ? e->alternative : 0;
}

/* ---- stops ---- */

void checker_judge_stop(struct checker *c, uint32_t i, const struct effect *e)
{
    struct check_job *job = &c->job[i];
    const struct check_site *site = &c->site[c->pool[job->pool].site];
    bool held = checker_is_held(c, i) && !job->cancelled && !job->returned && e->code != ERR_BUDGET_SPENT;
    for (uint32_t s = job->shares; s != NONE && held; s = c->share[s].next_of_job)
        held = c->node[c->share[s].node].state != PLACE_LOST;
    if (held)
        checker_violate(c, CHECKER_HELD_STOPPED, &e->job, &e->pool, NONE, "epoch %" PRIu32 ", code %d",
                        e->epoch, e->code);
    job->done_ms += kept_ms(c, job, e->code != 0);
    if (e->amount != job->done_ms)
        checker_violate(c, CHECKER_DONE, &e->job, &e->pool, NONE, "%" PRId64 " ms of %" PRId64, e->amount,
                        job->done_ms);
    if (e->code == ERR_PREEMPTED && job->firm)
        checker_violate(c, CHECKER_PREEMPTED_FIRM, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
    if (e->code == ERR_PREEMPTED && (c->fit == FIT_STRICT || c->preempt == PREEMPT_NONE))
        checker_violate(c, CHECKER_PREEMPTED_STRICTLY, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
    if (e->code == ERR_DRAINED && (job->firm || site->state != PLACE_DRAINING))
        checker_violate(c, CHECKER_DRAINED_WRONGLY, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
    if (e->code == ERR_CURTAILED && job->firm && site->soft_load > 0)
        checker_violate(c, CHECKER_CURTAILED_FIRM, &e->job, &e->pool, NONE, "%" PRIu64 " W", site->soft_load);
}

/* Whether the start may have had the work before it stopped. */
static bool took_over(const struct checker *c, const struct effect *start, const struct effect *stop)
{
    uint32_t i =
        checker_job_find(c, &start->job); /* NONE: a replica that is new in this step; they are firm */
    bool firm = i == NONE ? !uuid_zero(&start->service) : c->job[i].firm;
    return uuid_eq(&start->pool, &stop->pool) && (firm || (i != NONE && c->preempt == PREEMPT_SHORTER));
}

void checker_judge_preemption(struct checker *c, const struct effect *list, uint32_t n)
{
    const struct effect *start = NULL; /* the next one */
    for (uint32_t i = n; i-- > 0;) {
        const struct effect *e = &list[i];
        if (e->kind == EFFECT_JOB_START)
            start = e;
        else if (e->kind == EFFECT_JOB_STOP && e->code == ERR_PREEMPTED &&
                 (!start || !took_over(c, start, e)))
            checker_violate(c, CHECKER_PREEMPTED_FOR_NOBODY, &e->job, &e->pool, NONE, "epoch %" PRIu32,
                            e->epoch);
    }
}
