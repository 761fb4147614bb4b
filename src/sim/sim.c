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
#include "sim/trace.h"

#define PROGRESS_EVERY 4096
#define LEDGER_EUR 978

const struct sim_policy sim_policies[] = {
    {"fifo", "in order of submission, nobody passes", ORDER_FIFO, FIT_STRICT, PACK_EMPTIEST, false},
    {"sjf", "least duration first, nobody passes", ORDER_SJF, FIT_STRICT, PACK_EMPTIEST, false},
    {"easy", "in order of submission, with backfilling", ORDER_FIFO, FIT_BACKFILL, PACK_BEST_FIT, true},
    {"busbar", "least chip-seconds with ageing, with backfilling", ORDER_SIZE, FIT_BACKFILL, PACK_BEST_FIT,
     false},
    {NULL, NULL, 0, 0, 0, false}};

/* What became of a job of the trace. */
struct fate {
    int64_t start_ms, end_ms; /* 0: not yet */
    uint32_t epoch;           /* under which it runs, 0: it does not */
};

struct sim {
    const struct sim_options *options;
    const struct sim_policy *policy;
    struct trace trace;
    struct trace_pools pools;
    struct uuid *site_of_queue;
    struct fate *fate;
    struct ends ends;
    struct core *core;
    void *block;
    struct effects effects;
    struct checker *checker;
    uint32_t steps; /* since the last collection */
    int64_t now_ms;
    uint32_t over;
    bool failed;
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
    s->fate[i].start_ms = s->now_ms;
    s->fate[i].epoch = effect->epoch;
    s->result->starts++;
    if (!ends_put(&s->ends, s->now_ms + s->trace.job[i].duration_ms, i, effect->epoch))
        s->failed = true;
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
        if (effect->kind == EFFECT_JOB_START) {
            started(s, effect);
        } else if (effect->kind == EFFECT_JOB_STOP) {
            s->fate[number_of(&effect->job)].epoch = 0;
            s->result->stops++;
        }
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
                   : err_set(err, rc, "the core refuses what the simulation begins with: %s", err_text(rc));
}

static int set_up_pool(struct sim *s, uint32_t i, struct err *err)
{
    struct event site = {.kind = EVENT_KIND_site_add, .u.site_add.site = numbered('S', i + 1)};
    (void)snprintf(site.u.site_add.name, NAME_CAP, "site-%u", i);
    struct event pool = {.kind = EVENT_KIND_pool_add,
                         .u.pool_add = {.pool = numbered('P', i + 1),
                                        .site = site.u.site_add.site,
                                        .chip = "chip",
                                        .nodes = s->pools.nodes[i],
                                        .node_chips = s->options->node_chips,
                                        .domain = 1}};
    s->result->capacity += (uint64_t)s->pools.nodes[i] * s->options->node_chips;
    int rc = set_up(s, &site, err);
    return rc == 0 ? set_up(s, &pool, err) : rc;
}

static int set_up_world(struct sim *s, struct err *err)
{
    struct event boot = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = numbered('B', 1), .seed = 1}};
    struct event chip = {.kind = EVENT_KIND_chip_add,
                         .u.chip_add = {.chip = "chip", .vendor = "any", .watts = 1000, .gflops = 1}};
    struct event dispatch = {
        .kind = EVENT_KIND_dispatch_set,
        .u.dispatch_set = {.order = s->policy->order,
                           .fit = s->policy->fit,
                           .pack = s->policy->pack,
                           .ageing = s->options->ageing_given ? s->options->ageing : 100000}};
    int rc = set_up(s, &boot, err);
    if (rc == 0)
        rc = set_up(s, &chip, err);
    if (rc == 0)
        rc = set_up(s, &dispatch, err);
    for (uint32_t i = 0; rc == 0 && i < s->trace.ntenants; i++) {
        struct event tenant = {.kind = EVENT_KIND_tenant_add,
                               .u.tenant_add = {.tenant = numbered('T', i + 1),
                                                .ledger = LEDGER_EUR,
                                                .transfer = numbered('F', i + 1)}};
        (void)snprintf(tenant.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        rc = set_up(s, &tenant, err);
    }
    for (uint32_t i = 0; rc == 0 && i < s->pools.n; i++)
        rc = set_up_pool(s, i, err);
    return rc;
}

/* Each queue of the trace has the pool of its name for itself. */
static int match_queues(struct sim *s, struct err *err)
{
    s->site_of_queue = calloc(s->trace.nqueues + 1u, sizeof *s->site_of_queue);
    if (!s->site_of_queue)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t q = 0; q < s->trace.nqueues; q++) {
        uint32_t p = 0;
        while (p < s->pools.n && strcmp(s->pools.name[p], s->trace.queue[q]) != 0)
            p++;
        if (p == s->pools.n)
            return err_set(err, ERR_INVALID, "%s: queue %s has no pool in %s", s->options->trace,
                           s->trace.queue[q], s->options->pools);
        s->site_of_queue[q] = numbered('S', p + 1);
    }
    return 0;
}

static struct limits limits_for(const struct sim *s)
{
    struct limits limits = limits_default();
    uint32_t nodes = 0, chips = 0;
    for (uint32_t i = 0; i < s->pools.n; i++) {
        nodes += s->pools.nodes[i];
        chips += s->pools.nodes[i] * s->options->node_chips;
    }
    limits.sites = s->pools.n + 1;
    limits.pools = s->pools.n + 1;
    limits.nodes = nodes + 64;
    limits.shares = 2 * chips + 16 * BATCH_EVENTS_MAX;
    limits.jobs = s->trace.n + BATCH_EVENTS_MAX;
    limits.tenants = s->trace.ntenants + 1;
    return limits;
}

static int read_input(struct sim *s, struct err *err)
{
    int rc = trace_read(&s->trace, s->options->trace, err);
    if (rc == 0)
        rc = trace_read_pools(&s->pools, s->options->pools, err);
    for (uint32_t i = 1; rc == 0 && i < s->trace.n; i++) {
        if (s->trace.job[i].submit_ms < s->trace.job[i - 1].submit_ms)
            rc = err_set(err, ERR_INVALID, "%s: jobs are not in order of submission", s->options->trace);
    }
    if (rc == 0 && s->trace.n == 0)
        rc = err_set(err, ERR_INVALID, "%s: no jobs", s->options->trace);
    return rc == 0 ? match_queues(s, err) : rc;
}

static int sim_new(struct sim *s, struct err *err)
{
    struct limits limits = limits_for(s);
    size_t size = core_size(&limits);
    s->fate = calloc(s->trace.n, sizeof *s->fate);
    s->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    s->block = calloc(1, size);
    s->checker = checker_new(&(struct checker_limits){.sites = limits.sites,
                                                      .chips = limits.chips,
                                                      .pools = limits.pools,
                                                      .nodes = limits.nodes,
                                                      .jobs = limits.jobs,
                                                      .shares = limits.shares,
                                                      .asks = limits.shapes});
    if (!s->fate || !s->effects.list || !s->block || !s->checker)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->core = core_init(s->block, size, &limits);
    return set_up_world(s, err);
}

/* ---- time ---- */

static void submit(struct sim *s, uint32_t i)
{
    const struct trace_job *job = &s->trace.job[i];
    struct event e;
    e.kind = EVENT_KIND_job_submit;
    e.token = 0;
    e.u.job_submit = (struct event_job_submit){.job = numbered('J', i),
                                               .tenant = numbered('T', job->tenant + 1),
                                               .count0 = job->chips,
                                               .rate0 = 1000,
                                               .duration_ms = job->duration_ms > 0 ? job->duration_ms : 1,
                                               .site = s->site_of_queue[job->queue]};
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
    fate->epoch = 0;
    fate->end_ms = s->now_ms;
    s->over++;
    if (s->options->progress && s->over % PROGRESS_EVERY == 0)
        s->options->progress(s->options->ctx, s->over, s->trace.n);
}

static void run(struct sim *s)
{
    uint32_t next = 0;
    while (!s->failed && (next < s->trace.n || s->ends.n > 0)) {
        int64_t arrival = next < s->trace.n ? SIM_EPOCH_MS + s->trace.job[next].submit_ms : INT64_MAX;
        int64_t ending = ends_next_ms(&s->ends);
        s->now_ms = arrival < ending ? arrival : ending;
        while (!s->failed && ends_next_ms(&s->ends) == s->now_ms) {
            end(s);
            if (s->policy->singly)
                settle(s);
        }
        while (!s->failed && next < s->trace.n && SIM_EPOCH_MS + s->trace.job[next].submit_ms == s->now_ms) {
            submit(s, next++);
            if (s->policy->singly)
                settle(s);
        }
        settle(s);
        checker_end_of_time(s->checker, s->now_ms);
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

static int measure(const struct sim *s, struct sim_result *r, struct err *err)
{
    int64_t *waits = calloc(s->trace.n, sizeof *waits);
    int64_t last = 0;
    uint32_t n = 0;
    if (!waits)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < s->trace.n; i++) {
        const struct trace_job *job = &s->trace.job[i];
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
        r->span_ms = last - SIM_EPOCH_MS - s->trace.job[0].submit_ms;
    }
    free(waits);
    checker_hash(s->checker, r->hash);
    r->violations = checker_violations(s->checker);
    (void)snprintf(r->violation, sizeof r->violation, "%s", checker_first(s->checker));
    r->jobs = n;
    r->unfinished = s->trace.n - n;
    r->dropped = s->trace.dropped;
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
    trace_free(&s->trace);
    trace_pools_free(&s->pools);
    ends_fini(&s->ends);
    free(s->site_of_queue);
    free(s->fate);
    free(s->effects.list);
    free(s->block);
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

/* `sum` ms over n jobs as seconds with six decimals, rounded half up. */
static void add_mean(struct buf *out, const char *name, int64_t sum, uint32_t n)
{
    int64_t us = n ? (sum * 1000 + n / 2) / n : 0;
    buf_addf(out, ",\"%s\":%lld.%06lld", name, (long long)(us / 1000000), (long long)(us % 1000000));
}

static void add_seconds(struct buf *out, const char *name, int64_t ms)
{
    buf_addf(out, ",\"%s\":%lld.%03lld", name, (long long)(ms / 1000), (long long)(ms % 1000));
}

void sim_result_json(const struct sim_options *options, const struct sim_result *r, struct buf *out)
{
    buf_addf(out, "{\"policy\":\"%s\",\"jobs\":%u,\"unfinished\":%u,\"dropped\":%u", options->policy, r->jobs,
             r->unfinished, r->dropped);
    add_mean(out, "avg_jct_s", r->jct_ms_sum, r->jobs);
    add_mean(out, "avg_queue_s", r->wait_ms_sum, r->jobs);
    add_seconds(out, "queue_p50_s", r->wait_ms_p50);
    add_seconds(out, "queue_p99_s", r->wait_ms_p99);
    add_seconds(out, "queue_max_s", r->wait_ms_max);
    add_seconds(out, "span_s", r->span_ms);
    char hash[2 * DIGEST_LEN + 1];
    hex_encode(hash, r->hash, DIGEST_LEN);
    buf_addf(out, ",\"decisions_sha256\":\"%s\",\"violations\":%llu,\"violation\":", hash,
             (unsigned long long)r->violations);
    buf_add_json(out, r->violation, strlen(r->violation));
    uint64_t whole = r->capacity * (uint64_t)(r->span_ms > 0 ? r->span_ms : 1);
    buf_addf(out, ",\"utilisation\":%.4f", whole ? (double)r->chip_ms / (double)whole : 0.0);
    buf_addf(out, ",\"events\":%llu,\"passes\":%llu,\"starts\":%llu,\"stops\":%llu",
             (unsigned long long)r->events, (unsigned long long)r->passes, (unsigned long long)r->starts,
             (unsigned long long)r->stops);
    buf_addf(out, ",\"step_ns_mean\":%llu,\"step_ns_p99\":%llu,\"step_ns_max\":%llu",
             (unsigned long long)(r->events ? r->step_ns_sum / r->events : 0),
             (unsigned long long)r->step_ns_p99, (unsigned long long)r->step_ns_max);
    buf_addf(out, ",\"cpu_s\":%.3f,\"wall_s\":%.3f,\"max_rss_kb\":%llu}", (double)r->cpu_us / 1e6,
             (double)r->wall_us / 1e6, (unsigned long long)r->rss_kb);
}
