/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/eta.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "sim/cpu.h"
#include "sim/duration.h"
#include "sim/times.h"

#define ONE (1u << 16)
#define FACTOR_MAX (64u * ONE)
#define FACTOR_MIN (ONE / 64u)
/* Waits are stretched as if they were longer by this: seconds more or less are no matter of proportion. */
#define GRACE_MS INT64_C(60000)
#define HORIZON_MS (30 * DAY_MS)

/* ---- what is learned ---- */

void eta_fit_init(struct eta_fit *fit)
{
    *fit = (struct eta_fit){.low = ONE, .high = ONE};
}

static int64_t stretch(int64_t ms, uint32_t factor)
{
    int64_t out = (int64_t)((int128)(ms + GRACE_MS) * factor >> 16) - GRACE_MS;
    return out > 0 ? out : 0;
}

struct eta_span eta_fit_apply(const struct eta_fit *fit, struct eta_span raw)
{
    return (struct eta_span){stretch(raw.low_ms, fit->low), stretch(raw.high_ms, fit->high)};
}

static uint32_t move(uint32_t factor, int64_t part)
{
    int64_t to = factor + factor * part / (int64_t)ONE;
    return to > FACTOR_MAX ? FACTOR_MAX : to < FACTOR_MIN ? FACTOR_MIN : (uint32_t)to;
}

void eta_fit_learn(struct eta_fit *fit, struct eta_span raw, int64_t wait_ms)
{
    struct eta_span span = eta_fit_apply(fit, raw);
    /* Steps become smaller, to a floor: what is learned is kept, and a change is followed. */
    int64_t step = ONE / (2 + fit->outcomes / 8);
    step = step < ONE / 8 ? ONE / 8 : step;
    fit->outcomes++;
    fit->high = move(fit->high, wait_ms > span.high_ms ? step * 9 / 10 : -step / 10);
    fit->low = move(fit->low, wait_ms < span.low_ms ? -step * 9 / 10 : step / 10);
}

/* ---- asking ---- */

struct answer {
    int64_t at_ms, wait_ms; /* wait_ms < 0: not yet */
    int64_t middle_ms;
    struct eta_span raw, span;
    bool learned;
};

struct eta {
    uint32_t *draw; /* numbers of jobs, ascending */
    uint32_t ndraw, next;
    uint32_t owed; /* jobs to be asked about, as soon as one waits */
    struct answer *answer;
    uint32_t n;
    uint32_t *of_job; /* answer + 1 */
    struct eta_fit fit;
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
    eta_fit_init(&eta->fit);
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

static void learn(struct eta *eta, struct answer *a, int64_t wait_ms)
{
    if (!a->learned)
        eta_fit_learn(&eta->fit, a->raw, wait_ms);
    a->learned = true;
}

/* That a job waits longer than its interval would now allow is known before it starts; to learn it only then would count
 * short waits first. */
static void learn_late(struct eta *eta, int64_t now_ms)
{
    for (uint32_t i = 0; i < eta->n; i++) {
        struct answer *a = &eta->answer[i];
        if (a->wait_ms < 0 && now_ms - a->at_ms > eta_fit_apply(&eta->fit, a->raw).high_ms)
            learn(eta, a, now_ms - a->at_ms);
    }
}

int eta_ask(struct eta *eta, uint32_t job, const struct core *core, const struct limits *limits,
            int64_t now_ms, const struct uuid *id, const struct forecast_past *past)
{
    struct forecast_options options = {
        .runs = ETA_RUNS, .seed = eta->seed + (uint64_t)job * FORECAST_RUNS_MAX, .horizon_ms = HORIZON_MS};
    int64_t wait[ETA_RUNS];
    uint64_t begin = cpu_ns();
    struct forecast *f = forecast_new(core, limits, now_ms);
    int rc = f ? forecast_waits(f, id, past, &options, wait) : ERR_NO_MEMORY;
    forecast_free(f);
    eta->report.cpu_ns += cpu_ns() - begin;
    if (rc != 0)
        return rc;
    struct answer *a = &eta->answer[eta->n++];
    *a = (struct answer){.at_ms = now_ms,
                         .wait_ms = -1,
                         .middle_ms = wait[ETA_RUNS / 2],
                         .raw = {wait[ETA_RUNS / 10], wait[ETA_RUNS - 1 - ETA_RUNS / 10]}};
    learn_late(eta, now_ms);
    a->span = eta_fit_apply(&eta->fit, a->raw);
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
    learn(eta, a, a->wait_ms);
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
