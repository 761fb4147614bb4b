/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher under load: N jobs wait while every site is cordoned, then all sites open at once; after that, churn at
 * a full network: one job ends, one is submitted, one pass.
 *
 * usage: dispatch_load SITES NODES_A_SITE KINDS JOBS CHURN SEED
 * KINDS pools a site, of different chips, share its nodes. Jobs are mixed as in tests/bench/slurm_jobs.py: 55 % one chip,
 * 15 % two, 12 % four, 13 % a node, then gangs of 2, 8 and 32 nodes; half of them interruptible, any chip kind will do.
 * Prints one JSON object. CPU time is this thread's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/rng.h"
#include "core/core.h"
#include "core/kinds.h"

#define EVERY_MS 1000

struct bench {
    struct core *core;
    struct effects effects;
    int64_t now_ms;
    uint64_t starts;
    uint32_t steps;
    uint32_t *running; /* jobs, in no order */
    uint32_t *epoch;
    uint32_t nrunning;
    uint32_t *took; /* ns of each churn decision */
    uint32_t ntook;
};

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct uuid numbered(char kind, uint64_t n)
{
    struct uuid id = {{(uint8_t)kind}};
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static void step(struct bench *b, struct event *event)
{
    if (++b->steps == BATCH_EVENTS_MAX) {
        core_collect(b->core, ignore_row, NULL);
        b->steps = 1;
    }
    event->at_ms = b->now_ms;
    event->token = 0;
    b->effects.n = 0;
    int rc = core_step(b->core, event, &b->effects);
    if (rc != 0) {
        fprintf(stderr, "event %u: code %d\n", event->kind, rc);
        exit(1);
    }
    for (uint32_t i = 0; i < b->effects.n; i++) {
        const struct effect *e = &b->effects.list[i];
        if (e->kind != EFFECT_JOB_START)
            continue;
        uint32_t job = 0;
        for (int k = 12; k < 16; k++)
            job = job << 8 | e->job.b[k];
        b->epoch[job] = e->epoch;
        b->running[b->nrunning++] = job;
        b->starts++;
    }
}

static void settle(struct bench *b)
{
    while (core_deadline_ms(b->core) <= b->now_ms) {
        struct event tick = {.kind = EVENT_KIND_tick};
        step(b, &tick);
        core_collect(b->core, ignore_row, NULL);
        b->steps = 0;
    }
}

static void network(struct bench *b, uint32_t sites, uint32_t nodes, uint32_t kinds, struct rng *rng)
{
    struct event e = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = numbered('B', 1), .seed = 1}};
    step(b, &e);
    e = (struct event){
        .kind = EVENT_KIND_tenant_add,
        .u.tenant_add = {
            .tenant = numbered('T', 1), .name = "t", .ledger = 978, .transfer = numbered('F', 1)}};
    step(b, &e);
    for (uint32_t k = 0; k < kinds; k++) {
        e = (struct event){
            .kind = EVENT_KIND_chip_add,
            .u.chip_add = {.vendor = "v", .watts = 400 + 50 * k, .idle_watts = 80, .gflops = 300000}};
        (void)snprintf(e.u.chip_add.chip, CHIP_CAP, "chip-%u", k);
        step(b, &e);
    }
    for (uint32_t s = 0; s < sites; s++) {
        e = (struct event){.kind = EVENT_KIND_site_add,
                           .u.site_add = {.site = numbered('S', s + 1), .jurisdiction = "XX"}};
        (void)snprintf(e.u.site_add.name, NAME_CAP, "site-%u", s);
        step(b, &e);
        e = (struct event){.kind = EVENT_KIND_site_signal,
                           .u.site_signal = {.site = numbered('S', s + 1),
                                             .price = (int64_t)(20 + rng_below(rng, 100)) * 1000000,
                                             .carbon = 50000 + rng_below(rng, 500000),
                                             .pue = 1100 + (uint32_t)rng_below(rng, 300)}};
        step(b, &e);
        e = (struct event){.kind = EVENT_KIND_site_state,
                           .u.site_state = {.site = numbered('S', s + 1), .state = PLACE_CORDONED}};
        step(b, &e);
        for (uint32_t k = 0; k < kinds; k++) {
            e = (struct event){.kind = EVENT_KIND_pool_add,
                               .u.pool_add = {.pool = numbered('P', (uint64_t)s * kinds + k + 1),
                                              .site = numbered('S', s + 1),
                                              .nodes = nodes / kinds + (k < nodes % kinds),
                                              .node_chips = 8,
                                              .domain = 1,
                                              .price = 1000000000}};
            (void)snprintf(e.u.pool_add.chip, CHIP_CAP, "chip-%u", k);
            if (e.u.pool_add.nodes > 0)
                step(b, &e);
        }
    }
    e = (struct event){.kind = EVENT_KIND_dispatch_set,
                       .u.dispatch_set = {.order = ORDER_SIZE,
                                          .fit = FIT_BACKFILL,
                                          .pack = PACK_BEST_FIT,
                                          .ageing = 300000,
                                          .carbon_price = 100000000}};
    step(b, &e);
}

static void submit(struct bench *b, uint32_t i, struct rng *rng)
{
    static const struct {
        uint32_t below, chips;
    } mix[] = {{550, 1}, {700, 2}, {820, 4}, {950, 8}, {985, 16}, {997, 64}, {1000, 256}};
    uint64_t r = rng_below(rng, 1000);
    size_t k = 0;
    while (r >= mix[k].below)
        k++;
    struct event e;
    e.kind = EVENT_KIND_job_submit;
    e.u.job_submit = (struct event_job_submit){.job = numbered('J', i),
                                               .tenant = numbered('T', 1),
                                               .count0 = mix[k].chips,
                                               .rate0 = 1000,
                                               .duration_ms = INT64_C(600000) << rng_below(rng, 9),
                                               .flags = i % 2 ? JOB_INTERRUPTIBLE : 0};
    step(b, &e);
}

/* One job ends, one comes, and the dispatcher decides: that is timed. */
static void churn(struct bench *b, uint32_t next, struct rng *rng)
{
    uint32_t at = (uint32_t)rng_below(rng, b->nrunning);
    uint32_t job = b->running[at];
    b->running[at] = b->running[--b->nrunning];
    struct event e;
    e.kind = EVENT_KIND_job_end;
    e.u.job_end = (struct event_job_end){.job = numbered('J', job), .epoch = b->epoch[job]};
    b->now_ms += EVERY_MS;
    submit(b, next, rng);
    settle(b);
    uint64_t start = mono_ns();
    step(b, &e);
    settle(b);
    b->took[b->ntook++] = (uint32_t)(mono_ns() - start);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: dispatch_load SITES NODES_A_SITE KINDS JOBS CHURN SEED\n");
        return 2;
    }
    uint32_t n[6];
    for (int i = 0; i < 6; i++)
        n[i] = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    uint32_t sites = n[0], nodes = n[1], kinds = n[2], jobs = n[3], nchurn = n[4];
    struct rng rng;
    rng_init(&rng, n[5]);
    struct limits limits = limits_default();
    limits.sites = sites + 1;
    limits.pools = sites * kinds + 1;
    limits.nodes = sites * nodes + 64;
    limits.shares = sites * nodes * 10 + 16 * BATCH_EVENTS_MAX;
    limits.jobs = jobs + 2 * BATCH_EVENTS_MAX + sites * nodes * 8;
    struct bench b = {.now_ms = INT64_C(1700000000000), .effects.cap = EFFECTS_MAX};
    void *block = calloc(1, core_size(&limits));
    b.effects.list = calloc(EFFECTS_MAX, sizeof(struct effect));
    b.running = calloc(jobs + nchurn, sizeof *b.running);
    b.epoch = calloc(jobs + nchurn, sizeof *b.epoch);
    b.took = calloc(nchurn + 1u, sizeof *b.took);
    if (!block || !b.effects.list || !b.running || !b.epoch || !b.took)
        return 1;
    b.core = core_init(block, core_size(&limits), &limits);
    network(&b, sites, nodes, kinds, &rng);
    uint64_t c0 = cpu_ns();
    for (uint32_t i = 0; i < jobs; i++)
        submit(&b, i, &rng);
    settle(&b);
    uint64_t c1 = cpu_ns();
    struct rusage queued, whole;
    (void)getrusage(RUSAGE_SELF, &queued);
    for (uint32_t s = 0; s < sites; s++) {
        struct event e = {.kind = EVENT_KIND_site_state,
                          .u.site_state = {.site = numbered('S', s + 1), .state = PLACE_UP}};
        step(&b, &e);
    }
    settle(&b);
    uint64_t c2 = cpu_ns();
    uint64_t first = b.starts;
    for (uint32_t i = 0; i < nchurn && b.nrunning > 0; i++)
        churn(&b, jobs + i, &rng);
    uint64_t c3 = cpu_ns();
    qsort(b.took, b.ntook, sizeof *b.took, by_size);
    (void)getrusage(RUSAGE_SELF, &whole);
    double open_s = (double)(c2 - c1) / 1e9, churn_s = (double)(c3 - c2) / 1e9;
    printf("{\"chips\":%u,\"pools\":%u,\"queued\":%u,\"submit_us\":%.2f,\"started\":%llu,\"cpu_s\":%.4f,"
           "\"starts_per_cpu_s\":%.0f,\"churn_starts\":%llu,\"churn_starts_per_cpu_s\":%.0f,"
           "\"decision_us\":{\"mean\":%.2f,\"p50\":%.2f,\"p99\":%.2f,\"max\":%.2f},\"rss_mb\":%.1f}\n",
           sites * nodes * 8, sites * kinds, jobs, jobs ? (double)(c1 - c0) / 1e3 / jobs : 0.0,
           (unsigned long long)first, open_s, open_s > 0 ? (double)first / open_s : 0.0,
           (unsigned long long)(b.starts - first), churn_s > 0 ? (double)(b.starts - first) / churn_s : 0.0,
           b.ntook ? (double)(c3 - c2) / 1e3 / b.ntook : 0.0, b.ntook ? b.took[b.ntook / 2] / 1e3 : 0.0,
           b.ntook ? b.took[(uint64_t)b.ntook * 99 / 100] / 1e3 : 0.0,
           b.ntook ? b.took[b.ntook - 1] / 1e3 : 0.0, (double)whole.ru_maxrss / 1024);
    (void)queued;
    free(b.took);
    free(b.epoch);
    free(b.running);
    free(b.effects.list);
    free(block);
    return 0;
}
