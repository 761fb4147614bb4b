/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/eta.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "sim/cpu.h"
#include "sim/duration.h"
#include "sim/times.h"

#define ONE_BITS 16
#define LEARNED_FROM 10u
/* Waits are stretched as if they were longer by this: seconds more or less are no matter of proportion. */
#define GRACE_MS INT64_C(60000)
#define HORIZON_MS (30 * DAY_MS)

/* ---- what is learned ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* How many times as long the wait was as the end of the interval says, in 2^-16. */
static uint64_t factor_of(int64_t wait_ms, int64_t end_ms)
{
    return (uint64_t)(((int128)(wait_ms + GRACE_MS) << ONE_BITS) / (end_ms + GRACE_MS));
}

static int64_t stretch(int64_t ms, uint64_t factor)
{
    int64_t out = i64_clamp((int128)(ms + GRACE_MS) * (int128)factor >> ONE_BITS, INT64_MAX) - GRACE_MS;
    return out > 0 ? out : 0;
}

struct eta_span eta_stretch(const struct eta_outcome *past, uint32_t n, struct eta_span raw)
{
    uint64_t low[ETA_PAST_MAX], high[ETA_PAST_MAX];
    assert(n <= ETA_PAST_MAX);
    if (n < LEARNED_FROM)
        return raw;
    for (uint32_t i = 0; i < n; i++) {
        low[i] = factor_of(past[i].wait_ms, past[i].raw.low_ms);
        high[i] = factor_of(past[i].wait_ms, past[i].raw.high_ms);
    }
    qsort(low, n, sizeof *low, by_size);
    qsort(high, n, sizeof *high, by_size);
    /* Of n + 1, the next one among them, one in ten is below the lower bound and one in ten above the upper. */
    uint32_t tenth = (n + 1) / 10;
    return (struct eta_span){stretch(raw.low_ms, low[tenth - 1]), stretch(raw.high_ms, high[n - tenth])};
}

/* ---- asking ---- */

struct answer {
    int64_t at_ms, wait_ms; /* wait_ms < 0: not yet */
    int64_t middle_ms;
    struct eta_span raw, span;
};

struct eta {
    uint32_t *draw; /* numbers of jobs, ascending */
    uint32_t ndraw, next;
    uint32_t owed; /* jobs to be asked about, as soon as one waits */
    struct answer *answer;
    uint32_t n;
    uint32_t *of_job; /* answer + 1 */
    uint64_t seed;
    struct eta_report report;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct eta *eta_new(uint32_t asks, uint32_t jobs, uint64_t seed)
{
    struct eta *eta = calloc(1, sizeof *eta);
    if (!eta)
        return NULL;
    *eta = (struct eta){.ndraw = jobs > 0 ? asks : 0, .seed = seed};
    eta->draw = calloc(asks + 1u, sizeof *eta->draw);
    eta->answer = calloc(asks + 1u, sizeof *eta->answer);
    eta->of_job = calloc(jobs + 1u, sizeof *eta->of_job);
    if (!eta->draw || !eta->answer || !eta->of_job) {
        eta_free(eta);
        return NULL;
    }
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < asks && jobs > 0; i++)
        eta->draw[i] = (uint32_t)rng_below(&rng, jobs);
    qsort(eta->draw, asks, sizeof *eta->draw, by_number);
    return eta;
}

void eta_free(struct eta *eta)
{
    if (!eta)
        return;
    free(eta->draw);
    free(eta->answer);
    free(eta->of_job);
    free(eta);
}

bool eta_wants(struct eta *eta, uint32_t job, bool started)
{
    while (eta->next < eta->ndraw && eta->draw[eta->next] <= job) {
        eta->next++;
        eta->owed++;
        eta->report.drawn++;
        eta->report.at_once += started;
    }
    if (eta->owed == 0 || started)
        return false;
    eta->owed--;
    return true;
}

/* What is known now of the last answers. That a job waits beyond its interval is known before it starts; to count it only then
 * would count short waits first. */
static uint32_t known(const struct eta *eta, int64_t now_ms, struct eta_outcome past[ETA_PAST_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = eta->n > ETA_PAST_MAX ? eta->n - ETA_PAST_MAX : 0; i < eta->n; i++) {
        const struct answer *a = &eta->answer[i];
        int64_t wait_ms = a->wait_ms >= 0 ? a->wait_ms : now_ms - a->at_ms;
        if (a->wait_ms >= 0 || wait_ms > a->raw.high_ms)
            past[n++] = (struct eta_outcome){a->raw, wait_ms};
    }
    return n;
}

int eta_ask(struct eta *eta, uint32_t job, const struct core *core, const struct limits *limits,
            int64_t now_ms, const struct uuid *id, const struct forecast_past *past)
{
    struct forecast_options options = {
        .runs = ETA_RUNS, .seed = eta->seed + (uint64_t)job * FORECAST_RUNS_MAX, .horizon_ms = HORIZON_MS};
    int64_t wait[ETA_RUNS];
    uint32_t n;
    uint64_t begin = cpu_ns();
    struct forecast *f = forecast_new(core, limits, now_ms);
    int rc = f ? forecast_waits(f, id, past, &options, wait, &n) : ERR_NO_MEMORY;
    forecast_free(f);
    eta->report.cpu_ns += cpu_ns() - begin;
    if (rc != 0)
        return rc;
    struct eta_outcome outcomes[ETA_PAST_MAX];
    uint32_t npast = known(eta, now_ms, outcomes);
    struct answer *a = &eta->answer[eta->n++];
    *a = (struct answer){.at_ms = now_ms,
                         .wait_ms = -1,
                         .middle_ms = wait[ETA_RUNS / 2],
                         .raw = {wait[ETA_RUNS / 10], wait[ETA_RUNS - 1 - ETA_RUNS / 10]}};
    a->span = eta_stretch(outcomes, npast, a->raw);
    eta->of_job[job] = eta->n;
    return 0;
}

static bool holds(struct eta_span span, int64_t ms)
{
    return ms >= span.low_ms && ms <= span.high_ms;
}

void eta_started(struct eta *eta, uint32_t job, int64_t now_ms)
{
    if (eta->of_job[job] == 0)
        return;
    struct answer *a = &eta->answer[eta->of_job[job] - 1];
    if (a->wait_ms >= 0)
        return;
    a->wait_ms = now_ms - a->at_ms;
    eta->report.covered += holds(a->span, a->wait_ms);
    eta->report.covered_raw += holds(a->raw, a->wait_ms);
    eta->report.below += a->wait_ms < a->span.low_ms;
    eta->report.above += a->wait_ms > a->span.high_ms;
}

/* ---- the report ---- */

int eta_report(struct eta *eta, struct eta_report *report)
{
    struct eta_report *r = &eta->report;
    int64_t *list = calloc(eta->n + 1u, 3 * sizeof *list);
    if (!list)
        return ERR_NO_MEMORY;
    int64_t *width = list, *wait = list + eta->n, *error = wait + eta->n;
    uint32_t n = 0;
    for (uint32_t i = 0; i < eta->n; i++) {
        const struct answer *a = &eta->answer[i];
        if (a->wait_ms < 0)
            continue;
        width[n] = a->span.high_ms - a->span.low_ms;
        wait[n] = a->wait_ms;
        error[n++] = a->wait_ms > a->middle_ms ? a->wait_ms - a->middle_ms : a->middle_ms - a->wait_ms;
    }
    r->asked = eta->n;
    r->open = eta->n - n;
    times_sort(width, n);
    times_sort(wait, n);
    times_sort(error, n);
    r->width_ms_p50 = times_at(width, n, 50);
    r->width_ms_p90 = times_at(width, n, 90);
    r->wait_ms_p50 = times_at(wait, n, 50);
    r->error_ms_p50 = times_at(error, n, 50);
    free(list);
    *report = *r;
    return 0;
}
