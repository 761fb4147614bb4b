/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forecast.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/rng.h"
#include "core/habit.h"
#include "core/kinds.h"
#include "core/layout.h"
#include "sim/ends.h"
#include "sim/times.h"

/* The first block of the past that comes again: 10, 20, 40 minutes and so on, to 21 hours. */
#define RECENT_MS INT64_C(600000)
#define RECENT_OCTAVES 8u
#define ROWS_MAX (UINT64_C(1) << 32)
#define ENDLESS_MS (INT64_C(400) * 86400000) /* of a service's replica: beyond any horizon */

/* A job in a run: one of the core's, or one that comes later. */
struct future {
    struct uuid id;
    int64_t work_ms; /* at rate 1, from its next start on */
    uint32_t rate[4];
};

struct forecast {
    const struct core *core; /* whose habits are asked; NULL: not yet */
    void *block;             /* of that, if it is our own */
    struct core *own;        /* that, then */
    struct limits limits;
    int64_t now_ms;
    struct buf rows; /* u32 kind, struct */
    uint32_t count[ROW_KIND_END];
    struct row_job **job; /* those that run or wait */
    struct outlook *outlook;
    uint32_t njobs;
};

/* ---- the copy ---- */

static void keep_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct forecast *f = ctx;
    (void)op;
    if (kind >= ROW_KIND_unit && kind <= ROW_KIND_unit_past)
        return;           /* the register of single chips is no part of what is decided */
    uint64_t head = kind; /* keeps what follows aligned */
    size_t size = layout_row(kind)->size;
    uint64_t pad = 0;
    f->count[kind]++;
    buf_add(&f->rows, &head, sizeof head);
    buf_add(&f->rows, row, size);
    buf_add(&f->rows, &pad, (8 - size % 8) % 8);
}

/* The next row at *at; NULL at the end. */
static void *next_row(const struct forecast *f, size_t *at, enum row_kind *kind)
{
    uint64_t head;
    if (*at >= f->rows.len)
        return NULL;
    memcpy(&head, f->rows.data + *at, sizeof head);
    *kind = (enum row_kind)head;
    void *row = f->rows.data + *at + sizeof head;
    *at += sizeof head + (layout_row(*kind)->size + 7u) / 8u * 8u;
    return row;
}

/* Nodes, and chips, which is how many shares there may be. */
static void count_nodes(const struct forecast *f, uint64_t *nodes, uint64_t *chips)
{
    enum row_kind kind;
    *nodes = *chips = 1;
    for (size_t at = 0; at < f->rows.len;) {
        const struct row_pool *pool = next_row(f, &at, &kind);
        if (kind != ROW_KIND_pool)
            continue;
        *nodes += pool->nodes;
        *chips += (uint64_t)pool->nodes * pool->node_chips;
    }
}

/* As small as the copy may be: nothing is built while it runs. */
static void shrink(struct forecast *f)
{
    struct limits *n = &f->limits;
    uint64_t nodes, chips;
    count_nodes(f, &nodes, &chips);
    n->sites = f->count[ROW_KIND_site] + 1;
    n->chips = f->count[ROW_KIND_chip] + 1;
    n->pools = f->count[ROW_KIND_pool] + 1;
    n->corridors = f->count[ROW_KIND_corridor] + 1;
    n->nodes = nodes < n->nodes ? (uint32_t)nodes : n->nodes;
    n->shares = chips < n->shares ? (uint32_t)chips : n->shares;
    uint32_t habits = f->count[ROW_KIND_habit] / 4 + 1;
    n->tenants = f->count[ROW_KIND_tenant] > habits ? f->count[ROW_KIND_tenant] : habits;
    n->keys = f->count[ROW_KIND_key] + 1;
    n->models = f->count[ROW_KIND_model] + f->count[ROW_KIND_variant] / 4 + 1;
    n->prices = f->count[ROW_KIND_price] + 1;
    n->deployments = f->count[ROW_KIND_deployment] + 1;
    n->replicas = f->count[ROW_KIND_replica] + 1;
    n->leases = f->count[ROW_KIND_lease] + f->count[ROW_KIND_transfer] + 1;
    n->workers = f->count[ROW_KIND_worker] + 1;
    n->waiters = 1;
    n->units = 0;
    n->jobs = f->count[ROW_KIND_job]; /* and those that come in a run */
    n->arrays = f->count[ROW_KIND_job_array] + 1;
    n->afters = f->count[ROW_KIND_job_after] + 1;
}

static bool list_jobs(struct forecast *f)
{
    enum row_kind kind;
    uint32_t n = f->count[ROW_KIND_job];
    f->job = calloc(n + 1u, sizeof(*f->job));
    f->outlook = calloc(n + 1u, sizeof *f->outlook);
    if (!f->job || !f->outlook)
        return false;
    for (size_t at = 0; at < f->rows.len;) {
        void *row = next_row(f, &at, &kind);
        if (kind != ROW_KIND_job)
            continue;
        struct row_job *job = row;
        if (job->duration_ms == 0)
            outlook_of(f->core, &job->tenant, job->count0, &f->outlook[f->njobs]);
        f->job[f->njobs++] = job;
    }
    return true;
}

/* A core with the rows and room for so many jobs more, in a block that the caller frees, also after an error. */
static int load_copy(const struct forecast *f, uint32_t more_jobs, void **block, struct core **out)
{
    struct limits limits = f->limits;
    enum row_kind kind;
    limits.jobs += more_jobs;
    size_t size = core_size(&limits);
    *block = calloc(1, size);
    if (!*block)
        return ERR_NO_MEMORY;
    *out = core_init(*block, size, &limits);
    for (size_t at = 0; at < f->rows.len;) {
        const void *row = next_row(f, &at, &kind);
        int rc = core_load(*out, kind, row);
        if (rc != 0)
            return rc;
    }
    return core_load_done(*out);
}

struct forecast *forecast_take(const struct core *core, const struct limits *limits, int64_t now_ms,
                               size_t bytes_max)
{
    struct forecast *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->limits = *limits;
    f->now_ms = now_ms;
    buf_init(&f->rows, bytes_max);
    core_dump(core, keep_row, f);
    return f;
}

int forecast_stand(struct forecast *f)
{
    struct core *core = NULL;
    if (f->rows.failed)
        return ERR_LIMIT;
    shrink(f);
    int rc = load_copy(f, 1, &f->block, &core);
    f->core = f->own = core;
    return rc == 0 && !list_jobs(f) ? ERR_NO_MEMORY : rc;
}

struct core *forecast_core(struct forecast *f)
{
    return f->own;
}

struct forecast *forecast_new(const struct core *core, const struct limits *limits, int64_t now_ms)
{
    struct forecast *f = forecast_take(core, limits, now_ms, ROWS_MAX);
    if (!f)
        return NULL;
    f->core = core;
    if (!f->rows.failed && list_jobs(f)) {
        shrink(f);
        return f;
    }
    forecast_free(f);
    return NULL;
}

void forecast_free(struct forecast *f)
{
    if (!f)
        return;
    buf_fini(&f->rows);
    free(f->job);
    free(f->outlook);
    free(f->block);
    free(f);
}

/* ---- a run ---- */

struct run {
    struct forecast *f;
    const struct forecast_past *past;
    const struct forecast_options *options;
    const struct uuid *target;
    struct rng rng;
    uint64_t salt;
    void *block;
    struct core *core;
    struct effects effects;
    struct future *future;
    uint32_t n;
    struct map map;
    struct map_slot *slots;
    struct ends ends;
    uint32_t next;    /* of the past */
    int64_t shift_ms; /* from the past to the run */
    int64_t back_ms;  /* how far back what comes again began */
    int64_t known_ms; /* how far back the past goes */
    int64_t now_ms;
    uint32_t steps; /* since the last collection */
    bool started;
    uint32_t most; /* jobs in it, with those that come */
    int rc;
};

static bool future_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct future *)table)[i].id, key, len) == 0;
}

/* Where among the runs of its kind a job's will be, in 2^16. Half of the time that is the same for all of a tenant's jobs of a
 * size, since jobs that came together are often of one making; else each has its own. */
static uint32_t draw(struct run *r, const struct uuid *tenant, uint32_t chips)
{
    if (rng_below(&r->rng, 2) > 0)
        return (uint32_t)rng_below(&r->rng, 1u << 16);
    return (uint32_t)(map_hash(r->salt + habit_group(chips), tenant, sizeof *tenant) >> 48);
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static void starts(struct run *r, const struct effect *effect)
{
    uint32_t i = map_get(&r->map, &effect->job, sizeof effect->job);
    if (i == MAP_NONE)
        return;
    if (uuid_eq(&effect->job, r->target))
        r->started = true;
    const struct future *job = &r->future[i];
    uint32_t rate = job->rate[effect->alternative] ? job->rate[effect->alternative] : 1000;
    int64_t ms = job->work_ms * 1000 / rate;
    if (!ends_put(&r->ends, r->now_ms + (ms > 0 ? ms : 1), i, effect->epoch))
        r->rc = ERR_NO_MEMORY;
}

static int step(struct run *r, struct event *event)
{
    if (r->steps == BATCH_EVENTS_MAX) {
        core_collect(r->core, ignore_row, NULL);
        r->steps = 0;
    }
    r->steps++;
    event->at_ms = r->now_ms;
    event->token = 0;
    r->effects.n = 0;
    int rc = core_step(r->core, event, &r->effects);
    for (uint32_t i = 0; i < r->effects.n; i++) {
        if (r->effects.list[i].kind == EFFECT_JOB_START)
            starts(r, &r->effects.list[i]);
    }
    return rc;
}

static void future_add(struct run *r, const struct uuid *id, int64_t work_ms, const uint32_t rate[4])
{
    struct future *job = &r->future[r->n];
    *job = (struct future){.id = *id, .work_ms = work_ms > 0 ? work_ms : 1};
    memcpy(job->rate, rate, sizeof job->rate);
    map_put(&r->map, &job->id, sizeof job->id, r->n++);
}

/* The jobs that are there: how long each runs yet. */
static bool draw_jobs(struct run *r)
{
    const struct forecast *f = r->f;
    bool waits = false;
    for (uint32_t i = 0; i < f->njobs; i++) {
        const struct row_job *row = f->job[i];
        const uint32_t rate[4] = {row->rate0, row->rate1, row->rate2, row->rate3};
        bool runs = row->state == JOB_RUNNING;
        uint32_t now_rate = rate[row->alternative] ? rate[row->alternative] : 1000;
        int64_t ran = row->done_ms + (runs ? (f->now_ms - row->started_ms) * now_rate / 1000 : 0);
        int64_t all = row->duration_ms > 0
                          ? row->duration_ms
                          : outlook_quantile(&f->outlook[i], draw(r, &row->tenant, row->count0), ran);
        if (row->flags & JOB_REPLICA)
            all = ran + ENDLESS_MS;
        if (all <= ran)
            all = ran + 1;
        future_add(r, &row->id, all - row->done_ms, rate);
        int64_t left = (all - ran) * 1000 / now_rate;
        if (runs && !ends_put(&r->ends, f->now_ms + (left > 0 ? left : 1), i, row->epoch))
            r->rc = ERR_NO_MEMORY;
        waits |= !runs && uuid_eq(&row->id, r->target);
    }
    return waits;
}

/* What came in the last `back_ms` before now comes again, from when the submissions so far end. */
static void come_again(struct run *r, int64_t back_ms)
{
    const struct forecast_past *p = r->past;
    int64_t from_ms = r->f->now_ms - back_ms;
    uint32_t low = p->first, high = p->end;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (p->at_ms(p->ctx, mid) < from_ms)
            low = mid + 1;
        else
            high = mid;
    }
    r->back_ms = back_ms;
    r->shift_ms += back_ms;
    r->next = low;
}

static void draw_past(struct run *r)
{
    const struct forecast_past *p = r->past;
    r->shift_ms = 0;
    r->next = p->end;
    if (p->first == p->end)
        return;
    int64_t first_ms = p->at_ms(p->ctx, p->first);
    if (p->since_ms != 0 && p->since_ms < first_ms)
        first_ms = p->since_ms;
    r->known_ms = r->f->now_ms - first_ms + 1;
    int64_t back_ms = RECENT_MS << rng_below(&r->rng, RECENT_OCTAVES);
    come_again(r, back_ms < r->known_ms ? back_ms : r->known_ms);
}

static int64_t arrival_ms(struct run *r)
{
    const struct forecast_past *p = r->past;
    if (p->first == p->end)
        return INT64_MAX;
    while (r->next == p->end) /* at the latest the block from the first on has some */
        come_again(r, 2 * r->back_ms < r->known_ms ? 2 * r->back_ms : r->known_ms);
    return p->at_ms(p->ctx, r->next) + r->shift_ms;
}

static void arrive(struct run *r)
{
    struct event e = {.kind = EVENT_KIND_job_submit};
    struct event_job_submit *job = &e.u.job_submit;
    struct outlook outlook;
    int64_t ran_ms = 0;
    if (r->n == r->most) {
        r->rc = ERR_LIMIT;
        return;
    }
    r->past->request(r->past->ctx, r->next++, job, &ran_ms);
    uint64_t number = r->n;
    memset(&job->job, 0xff, sizeof job->job); /* no other id looks like that */
    memcpy(job->job.b + sizeof job->job.b - sizeof number, &number, sizeof number);
    if (job->duration_ms > 0)
        ran_ms = job->duration_ms;
    if (ran_ms == 0) {
        outlook_of(r->f->core, &job->tenant, job->count0, &outlook);
        ran_ms = outlook_quantile(&outlook, draw(r, &job->tenant, job->count0), 0);
    }
    future_add(r, &job->job, ran_ms, (const uint32_t[4]){job->rate0, job->rate1, job->rate2, job->rate3});
    (void)step(r, &e); /* refused now: it asks for a site or a chip that is there no longer */
}

static void end(struct run *r)
{
    struct end due = ends_take(&r->ends);
    struct event e = {.kind = EVENT_KIND_job_end,
                      .u.job_end = {.job = r->future[due.job].id, .epoch = due.epoch}};
    (void)step(r, &e); /* refused: it was stopped, and runs under another epoch or waits */
}

static void settle(struct run *r)
{
    while (core_deadline_ms(r->core) <= r->now_ms && r->rc == 0) {
        struct event tick = {.kind = EVENT_KIND_tick};
        (void)step(r, &tick);
        core_collect(r->core, ignore_row, NULL);
        r->steps = 0;
    }
}

/* The wait; the horizon when it is that or more. */
static int64_t run_forward(struct run *r)
{
    int64_t until = r->f->now_ms + r->options->horizon_ms;
    settle(r); /* a load makes a pass due */
    while (r->rc == 0 && !r->started) {
        if (r->options->enough && r->options->enough(r->options->ctx)) {
            r->rc = ERR_TIMEOUT;
            break;
        }
        int64_t now = arrival_ms(r), ends = ends_next_ms(&r->ends), due = core_deadline_ms(r->core);
        now = ends < now ? ends : now;
        now = due < now ? due : now;
        if (now >= until)
            return r->options->horizon_ms;
        r->now_ms = now > r->now_ms ? now : r->now_ms;
        while (ends_next_ms(&r->ends) <= r->now_ms)
            end(r);
        while (r->rc == 0 && arrival_ms(r) <= r->now_ms)
            arrive(r);
        settle(r);
    }
    return r->now_ms - r->f->now_ms;
}

/* ---- all runs ---- */

static bool run_new(struct run *r)
{
    uint32_t arrivals = r->options->arrivals_max ? r->options->arrivals_max : FORECAST_ARRIVALS_MAX;
    r->most = r->f->njobs + arrivals;
    uint32_t nslots = map_slots(r->most);
    r->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    r->future = calloc(r->most, sizeof *r->future);
    r->slots = calloc(nslots, sizeof *r->slots);
    return r->effects.list && r->future && r->slots;
}

static void run_free(struct run *r)
{
    ends_fini(&r->ends);
    free(r->effects.list);
    free(r->future);
    free(r->slots);
    free(r->block);
}

/* A fresh copy, and nothing drawn. */
static int run_begin(struct run *r)
{
    const struct forecast *f = r->f;
    uint32_t nslots = map_slots(r->most);
    free(r->block);
    int rc = load_copy(f, r->most - f->njobs, &r->block, &r->core);
    if (rc != 0)
        return rc;
    memset(r->slots, 0, nslots * sizeof *r->slots);
    map_init(&r->map, r->slots, nslots, 0, future_equal, r->future);
    r->ends.n = 0;
    r->n = 0;
    r->steps = 0;
    r->now_ms = f->now_ms;
    r->started = false;
    return 0;
}

/* Of one that is only thought of the tenant's habits tell as of one that is there. */
static bool submit_also(struct run *r)
{
    const struct event_job_submit *also = r->options->also;
    struct event e = {.kind = EVENT_KIND_job_submit, .u.job_submit = *also};
    struct outlook outlook;
    int64_t work_ms = also->duration_ms;
    if (work_ms == 0) {
        outlook_of(r->f->core, &also->tenant, also->count0, &outlook);
        work_ms = outlook_quantile(&outlook, draw(r, &also->tenant, also->count0), 0);
    }
    future_add(r, &also->job, work_ms,
               (const uint32_t[4]){also->rate0, also->rate1, also->rate2, also->rate3});
    return step(r, &e) == 0;
}

int forecast_waits(struct forecast *f, const struct uuid *job, const struct forecast_past *past,
                   const struct forecast_options *options, int64_t *waits_ms, uint32_t *n)
{
    struct run r = {.f = f, .past = past, .options = options, .target = job};
    *n = 0;
    if (!run_new(&r))
        r.rc = ERR_NO_MEMORY;
    for (uint32_t i = 0; i < options->runs && r.rc == 0; i++) {
        rng_init(&r.rng, options->seed + i);
        r.salt = rng_next(&r.rng);
        r.rc = run_begin(&r);
        bool waits = r.rc == 0 && draw_jobs(&r);
        if (r.rc == 0 && !(options->also ? submit_also(&r) : waits))
            r.rc = ERR_NOT_FOUND;
        if (r.rc != 0)
            break;
        draw_past(&r);
        waits_ms[i] = run_forward(&r);
        *n += r.rc == 0;
    }
    if (r.rc == 0 || r.rc == ERR_TIMEOUT)
        times_sort(waits_ms, *n);
    run_free(&r);
    return r.rc;
}
