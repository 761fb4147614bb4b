/* SPDX-License-Identifier: Apache-2.0 */
/* One event through the core, and what its effects do to the simulated sites. */
#include <stdio.h>

#include "base/clock.h"
#include "core/kinds.h"
#include "sim/duration.h"
#include "sim/running.h"

struct uuid sim_uuid(char kind, uint64_t n)
{
    struct uuid id = {{0}};
    id.b[0] = (uint8_t)kind;
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

/* Of the job of such an id. */
static uint32_t number_of(const struct uuid *id)
{
    uint32_t n = 0;
    for (int i = 12; i < 16; i++)
        n = n << 8 | id->b[i];
    return n;
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static void collect(struct sim *s)
{
    core_collect(s->core, ignore_row, NULL);
    s->steps = 0;
}

void sim_fail(struct sim *s, int rc, const char *words)
{
    if (s->err.code == 0)
        (void)err_set(&s->err, rc, "after %.1f days: %s: %s", (double)(s->now_ms - s->start_ms) / DAY_MS,
                      words, err_text(rc));
}

/* What a drill stopped runs again. */
static void placed_again(struct sim *s, uint32_t i)
{
    struct fate *fate = &s->fate[i];
    int64_t waited = s->now_ms - fate->stopped_ms;
    fate->drilled = false;
    if (!outage_start(&s->outage, !traits_interruptible(&s->traits, i), s->demand.job[i].chips, waited))
        sim_fail(s, ERR_NO_MEMORY, "jobs that drills stopped");
    if (s->watch && fate->drill) {
        struct record_mark *mark = &s->watch->rec->mark[fate->drill - 1];
        mark->placed++;
        mark->placed_ms = waited > mark->placed_ms ? waited : mark->placed_ms;
    }
}

static void use_chips(struct sim *s, uint32_t i, bool take)
{
    const struct fate *fate = &s->fate[i];
    struct uuid pool = power_pool_id(s->power, fate->pool);
    power_use(s->power, fate->pool, s->demand.job[i].chips, take, s->now_ms);
    if (!fate->waits)
        planning_use(s->planning, &pool, s->demand.job[i].chips, take, s->now_ms);
}

static void started(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    fate->start_ms = s->now_ms;
    fate->epoch = effect->epoch;
    fate->pool = power_pool(s->power, &effect->pool);
    use_chips(s, i, true);
    s->result->starts++;
    s->running++;
    if (s->eta)
        eta_started(s->eta, i, s->now_ms);
    fate->transit_ms = s->transit_ms;
    s->transit_ms = 0;
    if (fate->drilled)
        placed_again(s, i);
    if (!ends_put(&s->ends,
                  s->now_ms + fate->transit_ms +
                      traits_run_ms(&s->traits, i, s->demand.job[i].duration_ms, effect->amount),
                  i, effect->epoch))
        sim_fail(s, ERR_NO_MEMORY, "ends of jobs");
}

/* Data sets out for the start that follows, over one more corridor. */
static void sets_out(struct sim *s, const struct effect *effect)
{
    s->result->transfers += s->transit_ms == 0;
    s->transit_ms = effect->ms;
    if (!flows_begin(s->flows, effect, s->now_ms))
        sim_fail(s, ERR_NO_MEMORY, "transfers");
}

void sim_data_stops(struct sim *s, const struct uuid *job, const struct fate *fate)
{
    if (fate->transit_ms > 0)
        flows_end(s->flows, job, s->now_ms);
}

void sim_chips_back(struct sim *s, uint32_t i)
{
    use_chips(s, i, false);
    s->fate[i].epoch = 0;
}

static void stopped(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    sim_chips_back(s, i);
    sim_data_stops(s, &effect->job, fate);
    fate->drilled = s->drilling;
    fate->drill = s->drill;
    if (s->drilling)
        outage_stop(&s->outage, !traits_interruptible(&s->traits, i), s->demand.job[i].chips);
    fate->stopped_ms = s->now_ms;
    s->result->stops++;
    s->running--;
}

/* A replica starts, stops, or is one more or one fewer. */
static void served(struct sim *s, const struct effect *effect)
{
    struct uuid pool;
    uint32_t chips = serving_effect(s->serving, effect, s->now_ms, &pool);
    if (chips == 0)
        chips = standing_effect(s->standing, effect, s->drilling, &pool);
    if (chips > 0)
        power_use(s->power, power_pool(s->power, &pool), chips, effect->kind == EFFECT_JOB_START, s->now_ms);
}

int sim_step(struct sim *s, struct event *event)
{
    if (s->steps == BATCH_EVENTS_MAX)
        collect(s);
    s->steps++;
    event->at_ms = s->now_ms;
    s->effects.n = 0;
    checker_event(s->checker, event);
    uint64_t start = clock_mono_ns();
    int rc = core_step(s->core, event, &s->effects);
    uint64_t took = clock_mono_ns() - start;
    s->bucket[63 - __builtin_clzll(took | 1)]++;
    s->result->step_ns_sum += took;
    s->result->step_ns_max = took > s->result->step_ns_max ? took : s->result->step_ns_max;
    s->result->events++;
    checker_effects(s->checker, event, s->effects.list, s->effects.n, rc);
    for (uint32_t i = 0; i < s->effects.n; i++) {
        const struct effect *effect = &s->effects.list[i];
        if (!uuid_zero(&effect->service))
            served(s, effect);
        else if (effect->kind == EFFECT_JOB_START)
            started(s, effect);
        else if (effect->kind == EFFECT_JOB_STOP)
            stopped(s, effect);
        else if (effect->kind == EFFECT_TRANSIT)
            sets_out(s, effect);
        else if (effect->kind == EFFECT_ALARM)
            outage_alarm(&s->outage, s->core, effect, s->now_ms);
    }
    if (rc == 0) {
        power_event(s->power, event);
        stock_event(&s->stock, event);
        flows_event(s->flows, event);
        planning_event(s->planning, event);
    }
    return rc;
}

bool sim_must(struct sim *s, struct event *event)
{
    char words[64];
    int rc = sim_step(s, event);
    if (rc == 0)
        return true;
    (void)snprintf(words, sizeof words, "the core refuses event %u of the network or its work", event->kind);
    sim_fail(s, rc, words);
    return false;
}

void sim_settle(struct sim *s)
{
    while (core_deadline_ms(s->core) <= s->now_ms && s->err.code == 0) {
        struct event tick = {.kind = EVENT_KIND_tick};
        (void)sim_step(s, &tick);
        s->result->passes++;
        collect(s); /* what ended in this step can be given out again */
    }
}
