/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "core/core.h"
#include "core/kinds.h"
#include "sim/checker.h"
#include "sim/ends.h"
#include "sim/flows.h"
#include "sim/marks.h"
#include "sim/messages.h"
#include "sim/planning.h"
#include "sim/power.h"
#include "sim/report.h"
#include "sim/rulefile.h"
#include "sim/traits.h"
#include "sim/watch.h"
#include "sim/world.h"

#define PROGRESS_EVERY 4096
/* Jobs wait, not by choice, nothing runs and nobody comes: after so long that will not change. */
#define STILL_MS (INT64_C(30) * 86400000)
#define LEDGER_USD 840
#define SIM_AGEING 100000
#define DAY_MS INT64_C(86400000)
/* Jobs that may wait or run at a time. */
#define SIM_JOBS_MAX (1u << 20)
#define SHAPES_WITH_DATA 8

/* What became of a job of the trace. */
struct fate {
    int64_t start_ms, end_ms; /* 0: not yet */
    uint32_t epoch;           /* under which it runs, 0: it does not */
    uint32_t pool;            /* of its last start, sim/power.h */
    bool drilled;             /* stopped by a drill, not started since */
    uint8_t drill;            /* its mark in the record, plus 1 */
    int64_t transit_ms;       /* of its last start: how long its data comes before it runs */
    bool waits;               /* it can wait */
    int64_t stopped_ms;
};

struct sim {
    const struct sim_options *options;
    const struct sim_policy *policy;
    struct demand demand;
    struct traits traits;
    struct rulefile rules;
    struct world *world;
    struct power *power;
    struct stock stock;
    struct watch *watch; /* NULL: no report was asked for */
    struct serving *serving;
    struct flows *flows;
    int64_t transit_ms; /* of the start that follows */
    enum planning_mode mode;
    struct planning *planning;
    struct uuid *site_of_queue;
    struct fate *fate;
    struct ends ends;
    struct ends reports; /* of ends, that come later */
    struct core *core;
    void *block;
    struct effects effects;
    struct checker *checker;
    struct outage outage;
    uint32_t steps; /* since the last collection */
    int64_t now_ms;
    int64_t start_ms, until_ms; /* Unix ms; until: 0, until all is over */
    uint32_t over, running;
    uint8_t drill; /* that happens now */
    bool failed;
    bool drilling;
    uint64_t bucket[64]; /* steps by the bits of their ns */
    struct sim_result *result;
};

/* Ids count up; the first byte tells their kind apart. */
static struct uuid numbered(char kind, uint64_t n)
{
    struct uuid id = {{0}};
    id.b[0] = (uint8_t)kind;
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

static uint32_t number_of(const struct uuid *id)
{
    uint32_t n = 0;
    for (int i = 12; i < 16; i++)
        n = n << 8 | id->b[i];
    return n;
}

/* ---- stepping ---- */

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

static void placed_again(struct sim *s, struct fate *fate)
{
    int64_t waited = s->now_ms - fate->stopped_ms;
    if (s->watch && fate->drill) {
        struct record_mark *mark = &s->watch->rec->mark[fate->drill - 1];
        mark->placed++;
        mark->placed_ms = waited > mark->placed_ms ? waited : mark->placed_ms;
    }
}

static void started(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    fate->start_ms = s->now_ms;
    fate->epoch = effect->epoch;
    fate->pool = power_pool(s->power, &effect->pool);
    power_use(s->power, fate->pool, s->demand.job[i].chips, true, s->now_ms);
    if (!fate->waits)
        planning_use(s->planning, &effect->pool, s->demand.job[i].chips, true, s->now_ms);
    s->result->starts++;
    s->running++;
    fate->transit_ms = s->transit_ms;
    s->transit_ms = 0;
    if (fate->drilled)
        placed_again(s, fate);
    if (fate->drilled && !outage_start(&s->outage, !traits_interruptible(&s->traits, i),
                                       s->demand.job[i].chips, s->now_ms - fate->stopped_ms))
        s->failed = true;
    fate->drilled = false;
    if (!ends_put(&s->ends,
                  s->now_ms + fate->transit_ms +
                      traits_run_ms(&s->traits, i, s->demand.job[i].duration_ms, effect->amount),
                  i, effect->epoch))
        s->failed = true;
}

/* Data sets out for the start that follows, over one more corridor. */
static void sets_out(struct sim *s, const struct effect *effect)
{
    s->result->transfers += s->transit_ms == 0;
    s->transit_ms = effect->ms;
    if (!flows_begin(s->flows, effect, s->now_ms))
        s->failed = true;
}

/* Its data, should it still come, comes no more. */
static void comes_no_more(struct sim *s, const struct uuid *job, const struct fate *fate)
{
    if (fate->transit_ms > 0)
        flows_end(s->flows, job, s->now_ms);
}

/* The job has its chips no more. */
static void over(struct sim *s, uint32_t i, const struct uuid *pool)
{
    struct fate *fate = &s->fate[i];
    power_use(s->power, fate->pool, s->demand.job[i].chips, false, s->now_ms);
    if (!fate->waits)
        planning_use(s->planning, pool, s->demand.job[i].chips, false, s->now_ms);
    fate->epoch = 0;
}

static void stopped(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    over(s, i, &effect->pool);
    comes_no_more(s, &effect->job, fate);
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
    if (chips > 0)
        power_use(s->power, power_pool(s->power, &pool), chips, effect->kind == EFFECT_JOB_START, s->now_ms);
}

static int step(struct sim *s, struct event *event)
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

/* Lets the dispatcher decide on what has happened at this time. */
static void settle(struct sim *s)
{
    while (core_deadline_ms(s->core) <= s->now_ms && !s->failed) {
        struct event tick = {.kind = EVENT_KIND_tick};
        (void)step(s, &tick);
        s->result->passes++;
        collect(s); /* what ended in this step can be given out again */
    }
}

/* ---- the world before the first event ---- */

static int set_up(struct sim *s, struct event *event, struct err *err)
{
    int rc = step(s, event);
    return rc == 0 ? 0
                   : err_set(err, rc, "the core refuses what the simulation begins with (event %u): %s",
                             event->kind, err_text(rc));
}

static int set_up_world(struct sim *s, struct err *err)
{
    struct event event = {.kind = EVENT_KIND_hub_boot,
                          .u.hub_boot = {.boot = numbered('B', 1), .seed = s->options->seed}};
    int rc = set_up(s, &event, err);
    event = (struct event){
        .kind = EVENT_KIND_dispatch_set,
        .u.dispatch_set = {.order = s->policy->order,
                           .fit = s->policy->fit,
                           .pack = s->policy->pack,
                           .ageing = s->options->ageing_given ? s->options->ageing : SIM_AGEING,
                           .carbon_price = s->options->carbon_price,
                           .preempt = s->options->preempt,
                           .reserve = s->options->reserve}};
    if (rc == 0)
        rc = set_up(s, &event, err);
    /* Services are the last tenant's. */
    uint32_t tenants = s->demand.ntenants + (serving_count(s->serving) > 0);
    for (uint32_t i = 0; rc == 0 && i < tenants; i++) {
        event = (struct event){.kind = EVENT_KIND_tenant_add,
                               .u.tenant_add = {.tenant = numbered('T', i + 1),
                                                .ledger = LEDGER_USD,
                                                .transfer = numbered('F', i + 1)}};
        (void)snprintf(event.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        if (s->options->rules)
            world_jurisdiction(s->world, s->options->seed, i, event.u.tenant_add.jurisdiction);
        rc = set_up(s, &event, err);
    }
    for (uint32_t i = 0; rc == 0 && world_setup(s->world, i, &event); i++) {
        if (event.kind == EVENT_KIND_site_add)
            serving_site(s->serving, &event.u.site_add);
        rc = set_up(s, &event, err);
    }
    for (uint32_t i = 0; rc == 0 && rulefile_event(&s->rules, i, &event); i++)
        rc = set_up(s, &event, err);
    struct uuid tenant = numbered('T', tenants);
    for (uint32_t i = 0; rc == 0 && serving_setup(s->serving, i, &tenant, &event); i++) {
        rc = set_up(s, &event, err);
        if (rc == ERR_NOT_FOUND)
            err_set(err, rc, "--serve: the network has no chips of a kind that is named");
    }
    s->result->capacity = power_total(s->power, s->now_ms).capacity;
    if (s->options->network)
        supply_look(&s->result->supply, &s->stock, s->now_ms);
    return rc;
}

static struct limits limits_for(const struct sim *s)
{
    struct limits limits = limits_default();
    world_limits(s->world, &limits);
    limits.jobs = s->demand.n < SIM_JOBS_MAX ? s->demand.n + BATCH_EVENTS_MAX : SIM_JOBS_MAX;
    limits.tenants = s->demand.ntenants + 2;
    serving_limits(s->serving, &limits);
    if (s->traits.data > 0)
        limits.shapes *= SHAPES_WITH_DATA; /* jobs are told apart by where their data lies */
    return limits;
}

/* From when to when, and what is to be reached until then. */
static int set_period(struct sim *s, struct err *err)
{
    const struct sim_options *o = s->options;
    const struct netfile *net = world_network(s->world);
    bool asked = s->demand.n > 0 || serving_count(s->serving) > 0;
    s->now_ms = s->start_ms;
    s->until_ms = o->until_at_ms  ? o->until_at_ms
                  : o->until_ms   ? s->start_ms + o->until_ms
                  : !asked && net ? world_until_ms(s->world)
                                  : 0;
    if (s->until_ms && s->until_ms <= s->start_ms)
        return err_set(err, ERR_INVALID,
                       "the simulation would end before it begins: see --start and --until");
    if (!s->until_ms && !asked)
        return err_set(err, ERR_INVALID, "without jobs or requests a simulation needs --until");
    if (net)
        supply_goals(&s->result->supply, net);
    return 0;
}

static int read_mode(struct sim *s, struct err *err)
{
    static const char *const words[] = {"off", "yesterday", "foresight"};
    const char *word = s->options->plan;
    if (!word)
        word = words[s->traits.deferrable > 0 ? PLAN_YESTERDAY : PLAN_OFF];
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        s->mode = (enum planning_mode)i;
        s->result->plan = words[i];
        return 0;
    }
    return err_set(err, ERR_INVALID, "--plan %s: expected off, yesterday or foresight", word);
}

static int read_input(struct sim *s, struct err *err)
{
    const struct sim_options *o = s->options;
    struct demand_options demand = {.traces = o->trace, .copies = o->copies, .length_ms = o->length_ms};
    struct world_options world = {.network = o->network,
                                  .pools = o->pools,
                                  .node_chips = o->node_chips,
                                  .faults = o->faults,
                                  .seed = o->seed,
                                  .drills = o->drills,
                                  .start_ms = o->start_ms ? o->start_ms : SIM_EPOCH_MS,
                                  .start_given = o->start_ms != 0};
    struct serving_options serving = {.requests = o->requests,
                                      .serve = o->serve,
                                      .zones = o->zones,
                                      .length_ms = o->length_ms,
                                      .seed = o->seed};
    int rc = traits_read(&s->traits, o->traits, o->seed, err);
    if (rc == 0)
        rc = rulefile_open(&s->rules, o->rules, err);
    if (rc == 0)
        rc = read_mode(s, err);
    if (rc == 0 && o->trace)
        rc = demand_read(&s->demand, &demand, err);
    if (rc == 0)
        rc = world_open(&s->world, &world, err);
    if (rc == 0)
        serving.start_ms = s->start_ms = world_start_ms(s->world);
    if (rc == 0)
        rc = serving_open(&s->serving, &serving, err);
    if (rc == 0)
        rc = set_period(s, err);
    if (rc == 0)
        rc = traits_place(&s->traits, world_network(s->world), err);
    s->site_of_queue = rc == 0 ? calloc(s->demand.nqueues + 1u, sizeof *s->site_of_queue) : NULL;
    if (rc == 0 && !s->site_of_queue)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t q = 0; rc == 0 && q < s->demand.nqueues; q++)
        rc = world_queue_site(s->world, s->demand.queue[q], &s->site_of_queue[q], err);
    return rc;
}

static int sim_new(struct sim *s, struct err *err)
{
    struct limits limits = limits_for(s);
    size_t size = core_size(&limits);
    s->fate = calloc(s->demand.n + 1u, sizeof *s->fate);
    s->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    s->block = calloc(1, size);
    s->power = power_new(limits.sites, limits.chips, limits.pools);
    s->flows = flows_new(limits.sites, limits.corridors);
    s->planning = planning_new(&(struct planning_options){.mode = s->mode,
                                                          .every_ms = s->options->plan_every_ms,
                                                          .start_ms = s->start_ms,
                                                          .defer_ms = s->traits.defer_ms},
                               &limits);
    s->checker = checker_new(&(struct checker_limits){.sites = limits.sites,
                                                      .chips = limits.chips,
                                                      .pools = limits.pools,
                                                      .nodes = limits.nodes,
                                                      .jobs = limits.jobs,
                                                      .shares = limits.shares,
                                                      .tenants = limits.tenants,
                                                      .asks = limits.shapes,
                                                      .services = limits.services,
                                                      .demands = limits.demands});
    bool stock = stock_init(&s->stock, &limits);
    if (!s->fate || !s->effects.list || !s->block || !s->checker || !s->power || !s->flows || !s->planning ||
        !stock)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (s->options->report) {
        /* A trace's first job may come months after its origin: nothing is there to be seen before. */
        int64_t first =
            s->demand.n && !s->options->start_ms ? s->demand.job[0].submit_ms / DAY_MS * DAY_MS : 0;
        s->watch =
            watch_new(s->start_ms + first, &s->stock, s->power, &s->result->supply, s->options->carbon_price);
        if (!s->watch)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        marks_drills(s->watch->rec, s->options->drills, s->start_ms);
    }
    s->core = core_init(s->block, size, &limits);
    int rc = set_up_world(s, err);
    return rc == 0 ? serving_failed(s->serving, err) : rc;
}

/* ---- time ---- */

static void request(const struct sim *s, uint32_t i, int64_t at_ms, struct event_job_submit *out)
{
    const struct demand_job *job = &s->demand.job[i];
    *out = (struct event_job_submit){.job = numbered('J', i),
                                     .tenant = numbered('T', job->tenant + 1u),
                                     .count0 = job->chips,
                                     .rate0 = 1000,
                                     .duration_ms = job->duration_ms > 0 ? job->duration_ms : 1};
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
    if (step(s, &e) != 0)
        s->failed = true;
}

/* The hub hears that a job is over under this epoch. */
static void reported(struct sim *s, const struct end *due)
{
    struct fate *fate = &s->fate[due->job];
    bool runs = fate->epoch == due->epoch; /* as far as the hub knows */
    struct event e;
    e.kind = EVENT_KIND_job_end;
    e.token = 0;
    e.u.job_end = (struct event_job_end){.job = numbered('J', due->job), .epoch = due->epoch};
    struct uuid pool = power_pool_id(s->power, fate->pool);
    int rc = step(s, &e);
    if (!runs) {
        s->result->refused +=
            rc == ERR_NOT_FOUND || rc == ERR_WRONG_STATE; /* else the checker has something to say */
        return;
    }
    if (rc != 0)
        s->failed = true;
    over(s, due->job, &pool);
    comes_no_more(s, &e.u.job_end.job, fate);
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
        s->failed = true;
    if (m.delay_ms == 0)
        reported(s, &due);
    else if (!ends_put(&s->reports, s->now_ms + m.delay_ms, due.job, due.epoch))
        s->failed = true;
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
    while (!s->failed && world_event(s->world, s->now_ms, &e, &drill)) {
        e.token = 0;
        s->drilling = drill; /* what stops now, or when this instant is settled, is its doing */
        s->drill = drill && s->watch ? (uint8_t)(marks_drill_at(s->watch->rec, s->now_ms) + 1) : s->drill;
        if (step(s, &e) != 0)
            s->failed = true;
        else if (!drill && !s->options->faults && s->watch)
            marks_event(s->watch->rec, &s->stock, &e);
        any |= drill;
    }
    s->drilling = any;
    if (any)
        settle(s);
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
        watch_until(s->watch, now_ms, &counts);
    }
}

static bool goes_on(const struct sim *s, uint32_t next)
{
    if (s->failed)
        return false;
    bool work = next < s->demand.n || s->ends.n > 0 || s->reports.n > 0 || !serving_over(s->serving);
    return s->until_ms || work || s->over < next;
}

/* What requests ask for, told to core. */
static void ask(struct sim *s)
{
    struct event e;
    while (!s->failed && serving_event(s->serving, s->now_ms, &e)) {
        if (step(s, &e) != 0)
            s->failed = true;
    }
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
        if (step(s, &e) != 0)
            s->failed = true;
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

static void run(struct sim *s)
{
    uint32_t next = 0;
    int64_t moved_ms = s->now_ms;
    int64_t until = s->until_ms ? s->until_ms : INT64_MAX;
    while (goes_on(s, next)) {
        int64_t now = next_ms(s, next);
        if (now > until || now == INT64_MAX)
            break;
        if (next < s->demand.n || s->ends.n > 0 || s->reports.n > 0 || !serving_over(s->serving))
            moved_ms = now;
        else if (s->until_ms == 0 && now - moved_ms > STILL_MS + s->traits.defer_ms)
            break;
        observe(s, now, next);
        s->now_ms = now;
        while (!s->failed && ends_next_ms(&s->ends) == now) {
            end(s);
            if (s->policy->singly)
                settle(s);
        }
        while (!s->failed && ends_next_ms(&s->reports) == now) {
            struct end due = ends_take(&s->reports);
            reported(s, &due);
            if (s->policy->singly)
                settle(s);
        }
        happen(s);
        ask(s);
        if (planning_next_ms(s->planning) <= now)
            plan(s, next);
        while (!s->failed && submit_ms(s, next) == now) {
            submit(s, next++);
            if (s->policy->singly)
                settle(s);
        }
        settle(s);
        outage_sample(&s->outage, s->core, now);
        checker_end_of_time(s->checker, now);
    }
    observe(s, s->until_ms ? s->until_ms + 1 : s->now_ms + 1, next);
    if (s->until_ms)
        s->now_ms = s->until_ms;
}

/* ---- the result ---- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* `times` holds the waits in order, and is used up. */
static void distribute(struct sim *s, int64_t *times, uint32_t n)
{
    watch_distribute(&s->watch->wait, times, n);
    n = 0;
    for (uint32_t i = 0; i < s->demand.n; i++) {
        if (s->fate[i].end_ms != 0)
            times[n++] = s->fate[i].end_ms - s->start_ms - s->demand.job[i].submit_ms;
    }
    qsort(times, n, sizeof *times, by_size);
    watch_distribute(&s->watch->jct, times, n);
}

static int measure(struct sim *s, struct sim_result *r, struct err *err)
{
    int64_t *waits = calloc(s->demand.n + 1u, sizeof *waits);
    int64_t last = 0;
    uint32_t n = 0;
    if (!waits)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < s->demand.n; i++) {
        const struct demand_job *job = &s->demand.job[i];
        if (s->fate[i].end_ms == 0)
            continue;
        int64_t jct = s->fate[i].end_ms - s->start_ms - job->submit_ms;
        waits[n] = jct - job->duration_ms - s->fate[i].transit_ms;
        r->transfer_ms_sum += s->fate[i].transit_ms;
        if (s->fate[i].waits) {
            r->deferrable++;
            r->deferrable_wait_ms_sum += waits[n];
            r->started_at_latest += waits[n] >= s->traits.defer_ms;
        }
        r->jct_ms_sum += jct;
        r->wait_ms_sum += waits[n++];
        r->chip_ms += (uint64_t)job->duration_ms * job->chips;
        last = s->fate[i].end_ms > last ? s->fate[i].end_ms : last;
    }
    qsort(waits, n, sizeof *waits, by_size);
    if (n > 0) {
        r->wait_ms_p50 = waits[n / 2];
        r->wait_ms_p99 = waits[(uint64_t)n * 99 / 100];
        r->wait_ms_max = waits[n - 1];
        r->span_ms = last - s->start_ms - s->demand.job[0].submit_ms;
    }
    if (s->watch)
        distribute(s, waits, n);
    free(waits);
    r->start_ms = s->start_ms;
    r->end_ms = s->now_ms;
    struct planning_sum plans = planning_total(s->planning);
    r->plans = plans.plans;
    r->plans_failed = plans.failed;
    r->plan_pivots = plans.pivots;
    r->plan_pivots_most = plans.pivots_most;
    r->plan_cpu_ns = plans.cpu_ns;
    r->plan_cpu_ns_most = plans.cpu_ns_most;
    struct power_sum power = power_total(s->power, s->now_ms);
    serving_end(s->serving, s->now_ms);
    r->services = serving_count(s->serving);
    for (uint32_t i = 0; i < r->services; i++)
        serving_result(s->serving, i, &r->service[i]);
    r->joules = power.joules;
    r->nano = power.nano;
    r->mg = power.mg;
    r->capacity = power.capacity;
    sim_result_flows(r, s->flows, s->now_ms);
    r->drill[0] = outage_figures(&s->outage, false);
    r->drill[1] = outage_figures(&s->outage, true);
    r->coverage = outage_coverage(&s->outage, s->now_ms);
    checker_hash(s->checker, r->hash);
    r->violations = checker_violations(s->checker);
    (void)snprintf(r->violation, sizeof r->violation, "%s", checker_first(s->checker));
    r->jobs = n;
    r->unfinished = s->demand.n - n;
    r->dropped = s->demand.dropped;
    sim_result_steps(r, s->bucket);
    return 0;
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void sim_fini(struct sim *s)
{
    rulefile_close(&s->rules);
    demand_free(&s->demand);
    world_free(s->world);
    power_free(s->power);
    watch_free(s->watch);
    stock_fini(&s->stock);
    serving_free(s->serving);
    flows_free(s->flows);
    traits_free(&s->traits);
    planning_free(s->planning);
    ends_fini(&s->ends);
    ends_fini(&s->reports);
    outage_fini(&s->outage);
    free(s->site_of_queue);
    free(s->fate);
    free(s->effects.list);
    free(s->block);
    if (s->checker)
        checker_free(s->checker);
}

int sim_run(const struct sim_options *options, struct sim_result *result, struct err *err)
{
    struct sim s = {.options = options, .policy = sim_policies, .result = result};
    uint64_t cpu = cpu_us(), wall = clock_mono_ns();
    *result = (struct sim_result){0};
    outage_init(&s.outage);
    while (s.policy->name && strcmp(s.policy->name, options->policy) != 0)
        s.policy++;
    if (!s.policy->name)
        return err_set(err, ERR_INVALID, "%s: no such policy", options->policy);
    int rc = options->report ? report_check(options->report, err) : 0;
    if (rc == 0)
        rc = read_input(&s, err);
    if (rc == 0)
        rc = sim_new(&s, err);
    if (rc == 0)
        run(&s);
    if (rc == 0)
        rc = serving_failed(s.serving, err);
    if (rc == 0 && s.failed)
        rc = err_set(err, ERR_LIMIT, "the simulation went past a limit, or out of memory");
    if (rc == 0)
        rc = measure(&s, result, err);
    struct rusage u;
    result->cpu_us = cpu_us() - cpu;
    result->wall_us = (clock_mono_ns() - wall) / 1000;
    result->rss_kb = getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss : 0;
    if (rc == 0 && s.watch)
        rc = report_write(options, result, s.watch, s.world, err);
    sim_fini(&s);
    return rc;
}
