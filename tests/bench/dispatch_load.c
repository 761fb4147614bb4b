/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher under load: N jobs wait while every site is cordoned, then all sites open at once; after that, churn:
 * a job comes, a job ends, and after each the dispatcher decides.
 *
 * usage: dispatch_load [all-on RULES] SITES NODES_A_SITE KINDS JOBS CHURN SEED [FOLDER]
 *        dispatch_load list JOBS SEED
 * KINDS pools a site, of different chips, share its nodes of 8 chips. Of the jobs 55 % ask for one chip, 15 % for two,
 * 12 % for four, 13 % for a node, 3.5 % for 2, 1.2 % for 8 and 0.3 % for 32 nodes, for 10 to 2,560 minutes; half of
 * them are interruptible, any kind of chip will do. `list` prints them, a line each: chips, minutes.
 *
 * `all-on`: the file RULES is in force; sites and 20 tenants are of five jurisdictions; sites are joined by corridors; a
 * tenth of the jobs have personal data at home, two tenths have public data anywhere, 20 GB each.
 *
 * Without FOLDER this is core alone: rows are collected and dropped. With it each event goes into a journal entry too,
 * and rows and journal are committed to a SQLite database in FOLDER as the runtime does it under load. Prints one JSON
 * object. Times are CPU time of the only thread, and contain that of reading the clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "bench.h"
#include "core/core.h"
#include "core/kinds.h"
#include "runtime/batch.h"
#include "runtime/runtime.h"
#include "sim/rulefile.h"
#include "store/store.h"

#define NODE_CHIPS 8
#define EVERY_MS 1000 /* of the events' clock, between two rounds of churn */
#define TENANTS 20
#define DATA_BYTES UINT64_C(20000000000)

struct times { /* of one kind of decision, ns */
    uint32_t *ns;
    uint32_t n;
};

struct size {
    uint32_t sites, nodes, kinds, jobs, churn, seed;
};

struct bench {
    struct size size;
    const char *rules; /* NULL: one tenant, nothing to obey, no data */
    void *block;
    struct core *core;
    struct store *store; /* NULL: core alone */
    struct batch batch;
    uint64_t next_event, commits;
    int64_t now_ms;
    struct rng jobs;
    uint32_t *running; /* jobs, in no order */
    uint32_t nrunning;
    uint32_t *epoch, *chips; /* by job */
    uint64_t busy, busy_sum; /* chips in use; summed over the rounds of churn */
    uint64_t starts;
    struct times ends, arrivals;
    struct times decisions; /* of ends and arrivals: the time for one start, or to find that there is none */
};

static struct uuid numbered(char kind, uint64_t n)
{
    struct uuid id = {{(uint8_t)kind}};
    for (int i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

/* ---- steps ---- */

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

/* What changed since the last time is made durable, or dropped. */
static void flush(struct bench *b)
{
    if (b->store && b->batch.count > 0) {
        struct err err = {0};
        if (!batch_collect(&b->batch, b->core))
            die("a batch is too big", "");
        struct store_batch sb = {.rows = &b->batch.rows,
                                 .first = b->batch.first,
                                 .count = b->batch.count,
                                 .events = &b->batch.events,
                                 .leaves = &b->batch.leaves};
        if (b->store->ops->commit(b->store, &sb, &err) != 0)
            die("commit: ", err.msg);
        b->commits++;
    } else {
        core_collect(b->core, ignore_row, NULL);
    }
    batch_reset(&b->batch, b->next_event);
}

static void started(struct bench *b, const struct effect *e)
{
    uint32_t job = 0;
    for (int k = 12; k < 16; k++)
        job = job << 8 | e->job.b[k];
    b->epoch[job] = e->epoch;
    b->running[b->nrunning++] = job;
    b->busy += b->chips[job];
    b->starts++;
}

static void step(struct bench *b, struct event *event)
{
    struct effects *effects = &b->batch.effects;
    uint32_t most = b->store ? COMMIT_EVENTS : BATCH_EVENTS_MAX;
    if (b->batch.count >= most || effects->n > EFFECTS_MAX / 2)
        flush(b);
    event->at_ms = b->now_ms;
    event->token = 0;
    uint32_t before = effects->n;
    int rc = 0;
    if (b->store) {
        rc = batch_step(&b->batch, b->core, event);
    } else {
        rc = core_step(b->core, event, effects);
        b->batch.count++;
    }
    b->next_event++;
    if (rc != 0)
        die("refused: ", err_name(rc));
    for (uint32_t i = before; i < effects->n; i++) {
        if (effects->list[i].kind == EFFECT_JOB_START)
            started(b, &effects->list[i]);
    }
}

/* Passes until nothing more can start now. */
static void settle(struct bench *b)
{
    while (core_deadline_ms(b->core) <= b->now_ms) {
        struct event tick = {.kind = EVENT_KIND_tick};
        step(b, &tick);
        if (!b->store || core_deadline_ms(b->core) <= b->now_ms)
            flush(b);
    }
}

/* ---- network and jobs ---- */

static const char jurisdictions[][CODE_CAP] = {"DE", "FR", "US", "CN", "JP"};
#define JURISDICTIONS (sizeof jurisdictions / sizeof jurisdictions[0])

static void add_tenants(struct bench *b)
{
    for (uint32_t t = 0; t < (b->rules ? TENANTS : 1); t++) {
        struct event e = {.kind = EVENT_KIND_tenant_add,
                          .u.tenant_add = {.tenant = numbered('T', t + 1),
                                           .ledger = 978,
                                           .transfer = numbered('F', t + 1)}};
        (void)snprintf(e.u.tenant_add.name, NAME_CAP, "t-%u", t);
        if (b->rules)
            memcpy(e.u.tenant_add.jurisdiction, jurisdictions[t % JURISDICTIONS], CODE_CAP);
        step(b, &e);
    }
}

static void add_chips(struct bench *b)
{
    for (uint32_t k = 0; k < b->size.kinds; k++) {
        struct event e = {.kind = EVENT_KIND_chip_add,
                          .u.chip_add = {.vendor = "v",
                                         .watts = 400 + 50 * k,
                                         .idle_watts = 80,
                                         .gflops = 300000,
                                         .tpp = 2000 + 1000 * k,
                                         .density = 3000}};
        (void)snprintf(e.u.chip_add.chip, CHIP_CAP, "chip-%u", k);
        step(b, &e);
    }
}

static void add_pools(struct bench *b, uint32_t s)
{
    for (uint32_t k = 0; k < b->size.kinds; k++) {
        struct event e = {
            .kind = EVENT_KIND_pool_add,
            .u.pool_add = {.pool = numbered('P', (uint64_t)s * b->size.kinds + k + 1),
                           .site = numbered('S', s + 1),
                           .nodes = b->size.nodes / b->size.kinds + (k < b->size.nodes % b->size.kinds),
                           .node_chips = 8,
                           .domain = 1,
                           .price = 1000000000}};
        (void)snprintf(e.u.pool_add.chip, CHIP_CAP, "chip-%u", k);
        if (e.u.pool_add.nodes > 0)
            step(b, &e);
    }
}

/* A site that nothing starts at yet. */
static void add_site(struct bench *b, uint32_t s, struct rng *rng)
{
    struct event e = {.kind = EVENT_KIND_site_add,
                      .u.site_add = {.site = numbered('S', s + 1), .jurisdiction = "XX"}};
    (void)snprintf(e.u.site_add.name, NAME_CAP, "site-%u", s);
    if (b->rules)
        memcpy(e.u.site_add.jurisdiction, jurisdictions[s % JURISDICTIONS], CODE_CAP);
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
    add_pools(b, s);
}

/* A ring, and chords across it. */
static void add_corridors(struct bench *b)
{
    static const uint32_t far[] = {1, 7};
    for (uint32_t i = 0; b->size.sites > 8 && i < 2 * b->size.sites; i++) {
        struct event e = {.kind = EVENT_KIND_corridor_add,
                          .u.corridor_add = {.corridor = numbered('C', i + 1),
                                             .a = numbered('S', i / 2 + 1),
                                             .b = numbered('S', (i / 2 + far[i % 2]) % b->size.sites + 1),
                                             .bits_s = UINT64_C(400000000000),
                                             .rtt = 20000,
                                             .price = 10000000,
                                             .energy = 100}};
        step(b, &e);
    }
}

static void add_rules(struct bench *b)
{
    struct rulefile file;
    struct event e;
    struct err err = {0};
    if (rulefile_open(&file, b->rules, &err) != 0)
        die("rules: ", err.msg);
    for (uint32_t i = 0; rulefile_event(&file, i, &e); i++)
        step(b, &e);
    rulefile_close(&file);
}

static void network(struct bench *b, struct rng rng)
{
    struct event e = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = numbered('B', 1), .seed = 1}};
    step(b, &e);
    add_tenants(b);
    add_chips(b);
    for (uint32_t s = 0; s < b->size.sites; s++)
        add_site(b, s, &rng);
    if (b->rules) {
        add_corridors(b);
        add_rules(b);
    }
    e = (struct event){.kind = EVENT_KIND_dispatch_set,
                       .u.dispatch_set = {.order = ORDER_SIZE,
                                          .fit = FIT_BACKFILL,
                                          .pack = PACK_BEST_FIT,
                                          .ageing = 300000,
                                          .carbon_price = 100000000}};
    step(b, &e);
}

static void next_job(struct rng *rng, uint32_t *chips, uint32_t *minutes)
{
    static const struct {
        uint32_t below, chips;
    } mix[] = {{550, 1}, {700, 2}, {820, 4}, {950, 8}, {985, 16}, {997, 64}, {1000, 256}};
    uint64_t r = rng_below(rng, 1000);
    size_t k = 0;
    while (r >= mix[k].below)
        k++;
    *chips = mix[k].chips;
    *minutes = 10u << rng_below(rng, 9);
}

/* What rules ask for, and data. */
static void declare(const struct bench *b, uint32_t i, struct event_job_submit *e)
{
    uint32_t tenant = i * 7 % TENANTS, home = tenant % (uint32_t)JURISDICTIONS;
    e->tenant = numbered('T', tenant + 1);
    (void)snprintf(e->data_class, CODE_CAP, "%s", i % 10 == 0 ? "personal" : "public");
    if (i % 10 == 0 && home < b->size.sites)
        e->data_site = numbered('S', home + 1);
    else if (i % 10 < 3)
        e->data_site = numbered('S', i / 10 % b->size.sites + 1);
    if (i % 10 < 3)
        e->data_bytes = DATA_BYTES;
}

static void submit(struct bench *b, uint32_t i)
{
    uint32_t minutes;
    next_job(&b->jobs, &b->chips[i], &minutes);
    struct event e;
    e.kind = EVENT_KIND_job_submit;
    e.u.job_submit = (struct event_job_submit){.job = numbered('J', i),
                                               .tenant = numbered('T', 1),
                                               .count0 = b->chips[i],
                                               .rate0 = 1000,
                                               .duration_ms = (int64_t)minutes * 60000,
                                               .flags = i % 2 ? JOB_INTERRUPTIBLE : 0};
    if (b->rules)
        declare(b, i, &e.u.job_submit);
    step(b, &e);
}

static void open_sites(struct bench *b)
{
    for (uint32_t s = 0; s < b->size.sites; s++) {
        struct event e = {.kind = EVENT_KIND_site_state,
                          .u.site_state = {.site = numbered('S', s + 1), .state = PLACE_UP}};
        step(b, &e);
    }
    settle(b);
}

/* `start`: when it began, `starts`: how many had started. */
static void timed(struct bench *b, struct times *t, uint64_t start, uint64_t starts)
{
    uint32_t ns = (uint32_t)(cpu_ns() - start), n = (uint32_t)(b->starts - starts);
    t->ns[t->n++] = ns;
    b->decisions.ns[b->decisions.n++] = n > 1 ? ns / n : ns;
}

/* One job comes, one ends; after each the dispatcher decides, and that is timed. */
static void churn(struct bench *b, uint32_t next, struct rng *rng)
{
    b->now_ms += EVERY_MS;
    uint64_t starts = b->starts, start = cpu_ns();
    submit(b, next);
    settle(b);
    timed(b, &b->arrivals, start, starts);
    uint32_t at = (uint32_t)rng_below(rng, b->nrunning);
    uint32_t job = b->running[at];
    b->running[at] = b->running[--b->nrunning];
    struct event e;
    e.kind = EVENT_KIND_job_end;
    e.u.job_end = (struct event_job_end){.job = numbered('J', job), .epoch = b->epoch[job]};
    b->busy -= b->chips[job];
    starts = b->starts;
    start = cpu_ns();
    step(b, &e);
    settle(b);
    timed(b, &b->ends, start, starts);
    b->busy_sum += b->busy;
}

/* ---- what comes out ---- */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, const struct times *t)
{
    double sum = 0;
    qsort(t->ns, t->n, sizeof *t->ns, by_size);
    for (uint32_t i = 0; i < t->n; i++)
        sum += t->ns[i];
    if (t->n == 0)
        return;
    printf(",\"%s\":{\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name,
           sum / 1e3 / t->n, t->ns[t->n / 2] / 1e3, t->ns[(uint64_t)t->n * 99 / 100] / 1e3,
           t->ns[(uint64_t)t->n * 999 / 1000] / 1e3, t->ns[t->n - 1] / 1e3);
}

/* Not ru_maxrss: that begins at what the parent held before exec. */
static double peak_mb(void)
{
    char line[256];
    unsigned long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kb == 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtoul(line + 6, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return (double)kb / 1024;
}

static double clock_us(void)
{
    uint64_t start = cpu_ns();
    for (int i = 0; i < 1000; i++)
        (void)cpu_ns();
    return (double)(cpu_ns() - start) / 1e6;
}

/* ---- running ---- */

static int list(uint32_t jobs, uint32_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < jobs; i++) {
        uint32_t chips, minutes;
        next_job(&rng, &chips, &minutes);
        printf("%u %u\n", chips, minutes);
    }
    return 0;
}

static void bench_init(struct bench *b, const struct size *n, const char *rules, const char *folder)
{
    struct limits limits = limits_default();
    limits.sites = n->sites + 1;
    limits.pools = n->sites * n->kinds + 1;
    limits.nodes = n->sites * n->nodes + 64;
    limits.shares = n->sites * n->nodes * 10 + 16 * BATCH_EVENTS_MAX;
    limits.jobs = n->jobs + 2 * BATCH_EVENTS_MAX + n->sites * n->nodes * NODE_CHIPS;
    limits.corridors = 2 * n->sites + 1;
    limits.tenants = TENANTS + 1;
    *b = (struct bench){.size = *n, .rules = rules, .now_ms = INT64_C(1700000000000)};
    size_t all = (size_t)n->jobs + n->churn + 1;
    b->block = calloc(1, core_size(&limits));
    b->running = calloc(all, sizeof *b->running);
    b->epoch = calloc(all, sizeof *b->epoch);
    b->chips = calloc(all, sizeof *b->chips);
    b->ends.ns = calloc(n->churn + 1u, sizeof *b->ends.ns);
    b->arrivals.ns = calloc(n->churn + 1u, sizeof *b->arrivals.ns);
    b->decisions.ns = calloc(2 * (n->churn + (size_t)1), sizeof *b->decisions.ns);
    if (!b->block || !b->decisions.ns || !b->running || !b->epoch || !b->chips || !b->ends.ns ||
        !b->arrivals.ns || batch_init(&b->batch) != 0)
        die("out of memory", "");
    b->core = core_init(b->block, core_size(&limits), &limits);
    rng_init(&b->jobs, n->seed);
    if (folder) {
        char path[PATH_CAP];
        struct err err = {0};
        if (snprintf(path, sizeof path, "%s/dispatch.db", folder) >= (int)sizeof path)
            die("the folder's name is too long", "");
        if (store_sqlite_open(&b->store, path, NULL, &err) != 0)
            die("cannot open the store: ", err.msg);
    }
}

/* CPU seconds of the three parts, from when the network is there. */
static void run(struct bench *b, const struct size *n, double cpu_s[3], uint64_t *first)
{
    struct rng rng;
    rng_init(&rng, n->seed + UINT64_C(0x100000000));
    network(b, rng);
    flush(b);
    uint64_t at[4] = {cpu_ns()};
    for (uint32_t i = 0; i < n->jobs; i++)
        submit(b, i);
    settle(b);
    flush(b);
    at[1] = cpu_ns();
    open_sites(b);
    flush(b);
    at[2] = cpu_ns();
    *first = b->starts;
    for (uint32_t i = 0; i < n->churn && b->nrunning > 0; i++)
        churn(b, n->jobs + i, &rng);
    flush(b);
    at[3] = cpu_ns();
    for (int i = 0; i < 3; i++)
        cpu_s[i] = (double)(at[i + 1] - at[i]) / 1e9;
}

int main(int argc, char **argv)
{
    uint32_t n[6] = {0};
    const char *rules = NULL;
    if (argc > 2 && strcmp(argv[1], "all-on") == 0) {
        rules = argv[2];
        argc -= 2;
        argv += 2;
    }
    bool only_list = argc == 4 && strcmp(argv[1], "list") == 0;
    if (!only_list && argc != 7 && argc != 8) {
        fprintf(stderr,
                "usage: dispatch_load [all-on RULES] SITES NODES_A_SITE KINDS JOBS CHURN SEED [FOLDER]\n"
                "       dispatch_load list JOBS SEED\n");
        return 2;
    }
    for (int i = 0; i < 6 && argv[i + 1]; i++)
        n[i] = (uint32_t)strtoul(argv[i + 1], NULL, 10);
    if (only_list)
        return list(n[1], n[2]);
    struct size size = {n[0], n[1], n[2], n[3], n[4], n[5]};
    struct bench b;
    double cpu_s[3];
    uint64_t first, chips = (uint64_t)size.sites * size.nodes * NODE_CHIPS;
    bench_init(&b, &size, rules, argv[7]);
    run(&b, &size, cpu_s, &first);
    printf("{\"chips\":%llu,\"pools\":%u,\"queued\":%u,\"started\":%llu,\"submit_cpu_s\":%.6f,"
           "\"open_cpu_s\":%.6f,\"churn_cpu_s\":%.6f,\"churn\":%u,\"churn_starts\":%llu,\"waiting\":%llu,"
           "\"busy\":%.5f,\"commits\":%llu,\"events\":%llu,\"clock_us\":%.3f,\"peak_mb\":%.1f",
           (unsigned long long)chips, size.sites * size.kinds, size.jobs, (unsigned long long)first, cpu_s[0],
           cpu_s[1], cpu_s[2], b.ends.n, (unsigned long long)(b.starts - first),
           (unsigned long long)size.jobs + b.ends.n - b.starts,
           b.ends.n ? (double)b.busy_sum / b.ends.n / (double)chips : (double)b.busy / (double)chips,
           (unsigned long long)b.commits, (unsigned long long)b.next_event, clock_us(), peak_mb());
    if (!b.store) { /* with it, some of them contain a commit */
        print_times("end_us", &b.ends);
        print_times("arrival_us", &b.arrivals);
        print_times("decision_us", &b.decisions);
    }
    printf("}\n");
    if (b.store)
        b.store->ops->close(b.store);
    batch_fini(&b.batch);
    free(b.decisions.ns);
    free(b.arrivals.ns);
    free(b.ends.ns);
    free(b.chips);
    free(b.epoch);
    free(b.running);
    free(b.block);
    return 0;
}
