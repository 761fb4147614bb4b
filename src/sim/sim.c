/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "core/core.h"
#include "core/kinds.h"
#include "core/work.h"
#include "sim/checker.h"
#include "sim/ends.h"
#include "sim/power.h"
#include "sim/traits.h"
#include "sim/world.h"

#define PROGRESS_EVERY 4096
#define LEDGER_USD 840
#define SIM_AGEING 100000
/* Jobs that may wait or run at a time. */
#define SIM_JOBS_MAX (1u << 20)

const struct sim_policy sim_policies[] = {
    {"fifo", "in order of submission, nobody passes", ORDER_FIFO, FIT_STRICT, PACK_EMPTIEST, false},
    {"sjf", "least duration first, nobody passes", ORDER_SJF, FIT_STRICT, PACK_EMPTIEST, false},
    {"easy", "in order of submission, with backfilling", ORDER_FIFO, FIT_BACKFILL, PACK_BEST_FIT, true},
    {"busbar", "least chip-seconds with ageing, with backfilling", ORDER_SIZE, FIT_BACKFILL, PACK_BEST_FIT,
     false},
    {NULL, NULL, 0, 0, 0, false}};

/* What the core is told of how long a job runs: the truth, nothing, or the same of each. */
static const char *const durations[] = {"exact", "predicted", "none", NULL};
enum { TOLD_EXACT, TOLD_NOTHING, TOLD_GUESS };

/* What became of a job of the trace. */
struct fate {
    int64_t start_ms, end_ms; /* 0: not yet */
    uint32_t epoch;           /* under which it runs, 0: it does not */
    uint32_t pool;            /* of its last start, sim/power.h */
    bool drilled;             /* stopped by a drill, not started since */
    int64_t stopped_ms;
};

struct sim {
    const struct sim_options *options;
    const struct sim_policy *policy;
    uint32_t told;
    struct demand demand;
    struct traits traits;
    struct world *world;
    struct power *power;
    struct uuid *site_of_queue;
    struct fate *fate;
    struct ends ends;
    struct core *core;
    void *block;
    struct effects effects;
    struct limits limits;
    struct checker *checker;
    struct eta *eta; /* NULL: nobody asks */
    uint32_t steps;  /* since the last collection */
    int64_t now_ms;
    uint32_t over;
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

static void started(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    fate->start_ms = s->now_ms;
    fate->epoch = effect->epoch;
    fate->pool = power_pool(s->power, &effect->pool);
    power_use(s->power, fate->pool, s->demand.job[i].chips, true, s->now_ms);
    s->result->starts++;
    if (s->eta)
        eta_started(s->eta, i, s->now_ms);
    if (fate->drilled) {
        fate->drilled = false;
        s->result->drill_placed++;
        int64_t waited = s->now_ms - fate->stopped_ms;
        if (waited > s->result->drill_placed_ms)
            s->result->drill_placed_ms = waited;
    }
    if (!ends_put(&s->ends, s->now_ms + s->demand.job[i].duration_ms, i, effect->epoch))
        s->failed = true;
}

static void stopped(struct sim *s, const struct effect *effect)
{
    uint32_t i = number_of(&effect->job);
    struct fate *fate = &s->fate[i];
    power_use(s->power, fate->pool, s->demand.job[i].chips, false, s->now_ms);
    fate->epoch = 0;
    fate->drilled = s->drilling;
    fate->stopped_ms = s->now_ms;
    s->result->stops++;
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
        if (effect->kind == EFFECT_JOB_START)
            started(s, effect);
        else if (effect->kind == EFFECT_JOB_STOP)
            stopped(s, effect);
    }
    if (rc == 0)
        power_event(s->power, event);
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
                           .carbon_price = s->options->carbon_price}};
    if (rc == 0)
        rc = set_up(s, &event, err);
    for (uint32_t i = 0; rc == 0 && i < s->demand.ntenants; i++) {
        event = (struct event){.kind = EVENT_KIND_tenant_add,
                               .u.tenant_add = {.tenant = numbered('T', i + 1),
                                                .ledger = LEDGER_USD,
                                                .transfer = numbered('F', i + 1)}};
        (void)snprintf(event.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        rc = set_up(s, &event, err);
    }
    for (uint32_t i = 0; rc == 0 && world_setup(s->world, i, &event); i++)
        rc = set_up(s, &event, err);
    s->result->capacity = power_total(s->power, s->now_ms).capacity;
    return rc;
}

static struct limits limits_for(const struct sim *s)
{
    struct limits limits = limits_default();
    world_limits(s->world, &limits);
    limits.jobs = s->demand.n < SIM_JOBS_MAX ? s->demand.n + BATCH_EVENTS_MAX : SIM_JOBS_MAX;
    limits.tenants = s->demand.ntenants + 1;
    return limits;
}

static int read_input(struct sim *s, struct err *err)
{
    const struct sim_options *o = s->options;
    struct demand_options demand = {
        .traces = o->trace, .copies = o->copies, .length_ms = o->length_ms, .tenants = o->tenants};
    struct world_options world = {.network = o->network,
                                  .pools = o->pools,
                                  .node_chips = o->node_chips,
                                  .faults = o->faults,
                                  .seed = o->seed,
                                  .drills = o->drills,
                                  .start_ms = SIM_EPOCH_MS};
    int rc = traits_read(&s->traits, o->traits, o->seed, err);
    if (rc == 0)
        rc = demand_read(&s->demand, &demand, err);
    if (rc == 0)
        rc = world_open(&s->world, &world, err);
    s->site_of_queue = rc == 0 ? calloc(s->demand.nqueues, sizeof *s->site_of_queue) : NULL;
    if (rc == 0 && !s->site_of_queue)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t q = 0; rc == 0 && q < s->demand.nqueues && !o->free; q++)
        rc = world_queue_site(s->world, s->demand.queue[q], &s->site_of_queue[q], err);
    return rc;
}

static int sim_new(struct sim *s, struct err *err)
{
    struct limits limits = s->limits = limits_for(s);
    size_t size = core_size(&limits);
    s->fate = calloc(s->demand.n, sizeof *s->fate);
    s->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    s->block = calloc(1, size);
    s->power = power_new(limits.sites, limits.chips, limits.pools);
    s->checker = checker_new(&(struct checker_limits){.sites = limits.sites,
                                                      .chips = limits.chips,
                                                      .pools = limits.pools,
                                                      .nodes = limits.nodes,
                                                      .jobs = limits.jobs,
                                                      .shares = limits.shares,
                                                      .tenants = limits.tenants,
                                                      .asks = limits.shapes});
    if (s->options->etas > 0)
        s->eta = eta_new(s->options->etas, s->demand.n, s->options->seed);
    if (!s->fate || (s->options->etas > 0 && !s->eta) || !s->effects.list || !s->block || !s->checker ||
        !s->power)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->core = core_init(s->block, size, &limits);
    return set_up_world(s, err);
}

/* ---- time ---- */

static int64_t told_ms(const struct sim *s, const struct demand_job *job)
{
    if (s->told == TOLD_EXACT)
        return job->duration_ms > 0 ? job->duration_ms : 1;
    return s->told == TOLD_GUESS ? JOB_MS_GUESS : 0;
}

static void request(const struct sim *s, uint32_t i, struct event_job_submit *out)
{
    const struct demand_job *job = &s->demand.job[i];
    *out = (struct event_job_submit){.job = numbered('J', i),
                                     .tenant = numbered('T', job->tenant + 1u),
                                     .count0 = job->chips,
                                     .rate0 = 1000,
                                     .duration_ms = told_ms(s, job),
                                     .site = s->site_of_queue[job->queue]};
    traits_apply(&s->traits, i, s->now_ms, out);
}

static void submit(struct sim *s, uint32_t i)
{
    struct event e;
    e.kind = EVENT_KIND_job_submit;
    e.token = 0;
    request(s, i, &e.u.job_submit);
    if (step(s, &e) != 0)
        s->failed = true;
}

static void end(struct sim *s)
{
    struct end due = ends_take(&s->ends);
    struct fate *fate = &s->fate[due.job];
    if (fate->epoch != due.epoch)
        return; /* it was stopped before */
    struct event e;
    e.kind = EVENT_KIND_job_end;
    e.token = 0;
    e.u.job_end = (struct event_job_end){.job = numbered('J', due.job), .epoch = due.epoch};
    if (step(s, &e) != 0)
        s->failed = true;
    power_use(s->power, fate->pool, s->demand.job[due.job].chips, false, s->now_ms);
    fate->epoch = 0;
    fate->end_ms = s->now_ms;
    s->over++;
    if (s->options->progress && s->over % PROGRESS_EVERY == 0)
        s->options->progress(s->options->ctx, s->over, s->demand.n);
}

static int64_t submit_ms(const struct sim *s, uint32_t next)
{
    return next < s->demand.n ? SIM_EPOCH_MS + s->demand.job[next].submit_ms : INT64_MAX;
}

static void happen(struct sim *s)
{
    struct event e;
    bool drill;
    uint64_t stops = s->result->stops;
    bool any = false;
    while (!s->failed && world_event(s->world, s->now_ms, &e, &drill)) {
        e.token = 0;
        s->drilling = drill; /* what stops now, or when this instant is settled, is its doing */
        if (step(s, &e) != 0)
            s->failed = true;
        any |= drill;
    }
    s->drilling = any;
    if (any)
        settle(s);
    s->drilling = false;
    s->result->drill_stopped += any ? s->result->stops - stops : 0;
}

/* ---- when a job will start ---- */

static int64_t past_ms(void *ctx, uint32_t i)
{
    return submit_ms(ctx, i);
}

static void past_request(void *ctx, uint32_t i, struct event_job_submit *out, int64_t *ran_ms)
{
    const struct sim *s = ctx;
    request(s, i, out);
    *ran_ms = s->fate[i].end_ms > 0 ? s->demand.job[i].duration_ms : 0;
}

/* Jobs [first, end) were submitted at this time, and the dispatcher has settled. */
static void ask_etas(struct sim *s, uint32_t first, uint32_t end)
{
    struct forecast_past past = {.ctx = s, .end = end, .at_ms = past_ms, .request = past_request};
    while (past.first < end && submit_ms(s, past.first) < s->now_ms - FORECAST_PAST_MS)
        past.first++;
    for (uint32_t i = first; i < end && !s->failed; i++) {
        struct uuid id = numbered('J', i);
        if (eta_wants(s->eta, i, s->fate[i].start_ms != 0) &&
            eta_ask(s->eta, i, s->core, &s->limits, s->now_ms, &id, &past) != 0)
            s->failed = true;
    }
}

static void run(struct sim *s)
{
    uint32_t next = 0;
    int64_t until = s->options->until_ms ? SIM_EPOCH_MS + s->options->until_ms : INT64_MAX;
    while (!s->failed && (next < s->demand.n || s->ends.n > 0 || s->over < next)) {
        int64_t now = submit_ms(s, next);
        now = ends_next_ms(&s->ends) < now ? ends_next_ms(&s->ends) : now;
        now = world_next_ms(s->world) < now ? world_next_ms(s->world) : now;
        if (now > until || now == INT64_MAX)
            break;
        s->now_ms = now;
        uint32_t first = next;
        while (!s->failed && ends_next_ms(&s->ends) == now) {
            end(s);
            if (s->policy->singly)
                settle(s);
        }
        happen(s);
        while (!s->failed && submit_ms(s, next) == now) {
            submit(s, next++);
            if (s->policy->singly)
                settle(s);
        }
        settle(s);
        checker_end_of_time(s->checker, now);
        if (s->eta && next > first)
            ask_etas(s, first, next);
    }
}

/* ---- the result ---- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure_steps(const struct sim *s, struct sim_result *r)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < 64 && r->events; i++) {
        seen += s->bucket[i];
        r->step_ns_p99 = UINT64_C(2) << i; /* its upper bound */
        if (seen * 100 >= r->events * 99)
            break;
    }
}

static int measure(struct sim *s, struct sim_result *r, struct err *err)
{
    int64_t *waits = calloc(s->demand.n, sizeof *waits);
    int64_t last = 0;
    uint32_t n = 0;
    if (!waits)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < s->demand.n; i++) {
        const struct demand_job *job = &s->demand.job[i];
        if (s->fate[i].end_ms == 0)
            continue;
        int64_t jct = s->fate[i].end_ms - SIM_EPOCH_MS - job->submit_ms;
        waits[n] = jct - job->duration_ms;
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
        r->span_ms = last - SIM_EPOCH_MS - s->demand.job[0].submit_ms;
    }
    free(waits);
    struct power_sum power = power_total(s->power, s->now_ms);
    r->joules = power.joules;
    r->nano = power.nano;
    r->mg = power.mg;
    r->capacity = power.capacity;
    checker_hash(s->checker, r->hash);
    r->violations = checker_violations(s->checker);
    (void)snprintf(r->violation, sizeof r->violation, "%s", checker_first(s->checker));
    r->jobs = n;
    r->unfinished = s->demand.n - n;
    r->dropped = s->demand.dropped;
    if (s->eta)
        eta_report(s->eta, &r->eta);
    measure_steps(s, r);
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
    demand_free(&s->demand);
    world_free(s->world);
    power_free(s->power);
    ends_fini(&s->ends);
    free(s->site_of_queue);
    free(s->fate);
    free(s->effects.list);
    free(s->block);
    eta_free(s->eta);
    if (s->checker)
        checker_free(s->checker);
}

int sim_run(const struct sim_options *options, struct sim_result *result, struct err *err)
{
    struct sim s = {.options = options, .policy = sim_policies, .now_ms = SIM_EPOCH_MS, .result = result};
    uint64_t cpu = cpu_us(), wall = clock_mono_ns();
    *result = (struct sim_result){0};
    while (s.policy->name && strcmp(s.policy->name, options->policy) != 0)
        s.policy++;
    if (!s.policy->name)
        return err_set(err, ERR_INVALID, "%s: no such policy", options->policy);
    while (options->durations && durations[s.told] && strcmp(durations[s.told], options->durations) != 0)
        s.told++;
    if (!durations[s.told])
        return err_set(err, ERR_INVALID, "--durations %s: exact, predicted or none", options->durations);
    int rc = read_input(&s, err);
    if (rc == 0)
        rc = sim_new(&s, err);
    if (rc == 0)
        run(&s);
    if (rc == 0 && s.failed)
        rc = err_set(err, ERR_LIMIT, "the simulation went past a limit, or out of memory");
    if (rc == 0)
        rc = measure(&s, result, err);
    sim_fini(&s);
    struct rusage u;
    result->cpu_us = cpu_us() - cpu;
    result->wall_us = (clock_mono_ns() - wall) / 1000;
    result->rss_kb = getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss : 0;
    return rc;
}
