/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/demand.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sim/duration.h"
#include "sim/option.h"

#define DAYS_MAX 36500

static bool in_window(const struct trace_job *job, int64_t from, int64_t length)
{
    return length == 0 || (job->submit_ms >= from && job->submit_ms < from + length);
}

/* A row and a copy give a job; `order` keeps equals in place. */
struct ordered {
    struct demand_job job;
    uint64_t order;
};

static int by_time(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    if (x->job.submit_ms != y->job.submit_ms)
        return x->job.submit_ms < y->job.submit_ms ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

struct reading {
    struct demand *demand;
    bool by_queue; /* whose the jobs are */
    const struct demand_options *options;
    struct ordered *list;
    uint64_t n;
};

static int reserve(struct reading *r, uint64_t more, struct err *err)
{
    if (r->n + more > DEMAND_JOBS_MAX)
        return err_set(err, ERR_LIMIT, "--trace: more than %u jobs, with all copies", DEMAND_JOBS_MAX);
    struct ordered *list = realloc(r->list, (r->n + more) * sizeof *list);
    if (!list)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r->list = list;
    return 0;
}

/* Tenants of one trace with all its copies: as `by_queue` says, or one for each copy where there is more than one. */
static uint32_t tenants_of(const struct reading *r, const struct trace *t)
{
    if (r->by_queue)
        return r->options->copies * t->nqueues;
    return r->options->copies > 1 ? r->options->copies : t->ntenants;
}

static uint32_t tenant_of(const struct reading *r, const struct trace *t, const struct trace_job *job,
                          uint32_t copy)
{
    if (r->by_queue)
        return copy * t->nqueues + job->queue;
    return r->options->copies > 1 ? copy : job->tenant;
}

static void add_copies(struct reading *r, const struct trace *t, int64_t from, int64_t length)
{
    uint32_t copies = r->options->copies;
    for (uint32_t c = 0; c < copies; c++) {
        int64_t shift = length / copies * c;
        for (uint32_t i = 0; i < t->n; i++) {
            const struct trace_job *job = &t->job[i];
            if (!in_window(job, from, r->options->length_ms))
                continue;
            int64_t at = job->submit_ms - (r->options->length_ms || copies > 1 ? from : 0);
            r->list[r->n] =
                (struct ordered){.job = {.submit_ms = copies > 1 ? (at + shift) % length : at,
                                         .duration_ms = job->duration_ms,
                                         .chips = job->chips & 0xffffffu,
                                         .priority = (int8_t)job->priority,
                                         .queue = (uint16_t)(r->demand->nqueues + job->queue),
                                         .tenant = (uint16_t)(r->demand->ntenants + tenant_of(r, t, job, c))},
                                 .order = r->n};
            r->n++;
        }
    }
}

/* One trace more: its queues and tenants are numbered after those that are there. */
static int add_trace(struct reading *r, const char *path, int64_t day, struct err *err)
{
    struct trace t = {0};
    struct demand *d = r->demand;
    int rc = trace_read(&t, path, err);
    uint64_t rows = 0;
    int64_t first = INT64_MAX, last = 0;
    for (uint32_t i = 0; rc == 0 && i < t.n; i++)
        first = t.job[i].submit_ms < first ? t.job[i].submit_ms : first;
    int64_t from = first + day * DAY_MS;
    for (uint32_t i = 0; rc == 0 && i < t.n; i++) {
        rows += in_window(&t.job[i], from, r->options->length_ms);
        last = t.job[i].submit_ms > last ? t.job[i].submit_ms : last;
    }
    if (rc == 0 && rows == 0)
        rc = err_set(err, ERR_INVALID, "%s: no jobs in the window", path);
    uint32_t tenants = tenants_of(r, &t);
    if (rc == 0 && (d->nqueues + t.nqueues > UINT16_MAX || d->ntenants + tenants > UINT16_MAX))
        rc = err_set(err, ERR_LIMIT, "%s: more than %u queues or tenants, with what came before", path,
                     UINT16_MAX);
    if (rc == 0)
        rc = reserve(r, rows * r->options->copies, err);
    char(*queue)[TRACE_NAME_CAP] =
        rc == 0 ? realloc(d->queue, (size_t)(d->nqueues + t.nqueues) * sizeof *queue) : NULL;
    if (rc == 0 && !queue)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0) {
        add_copies(r, &t, from, r->options->length_ms ? r->options->length_ms : last - first + 1);
        memcpy(queue + d->nqueues, t.queue, t.nqueues * sizeof *queue);
        d->queue = queue;
        d->nqueues += t.nqueues;
        d->ntenants += tenants;
        d->dropped += t.dropped;
    }
    trace_free(&t);
    return rc;
}

/* FILE or FILE@DAY. */
static int add_named(struct reading *r, char *name, struct err *err)
{
    char *at = strrchr(name, '@');
    uint64_t day = 0;
    if (at && !u64_parse(at + 1, strlen(at + 1), DAYS_MAX, &day))
        return err_set(err, ERR_INVALID, "--trace %s: expected FILE or FILE@DAY", name);
    if (at)
        *at = 0;
    return add_trace(r, name, (int64_t)day, err);
}

int demand_read(struct demand *demand, const struct demand_options *options, struct err *err)
{
    *demand = (struct demand){0};
    static const char *const tenant_words[] = {"trace", "vc", NULL};
    enum { TENANTS_OF_TRACE, TENANTS_BY_QUEUE };
    struct reading r = {.demand = demand, .options = options};
    uint32_t tenants = 0;
    int rc = option_word("--tenants", options->tenants, tenant_words, &tenants, err);
    if (rc != 0)
        return rc;
    r.by_queue = tenants == TENANTS_BY_QUEUE;
    struct option_list files = option_list("--trace", options->traces);
    while (rc == 0 && option_next(&files, err))
        rc = add_named(&r, files.item, err);
    if (rc == 0)
        rc = files.rc;
    if (rc == 0) {
        qsort(r.list, r.n, sizeof *r.list, by_time);
        demand->n = (uint32_t)r.n;
        demand->job = calloc(r.n, sizeof *demand->job);
        if (!demand->job)
            rc = err_set(err, ERR_NO_MEMORY, "out of memory");
        for (uint32_t i = 0; rc == 0 && i < demand->n; i++)
            demand->job[i] = r.list[i].job;
    }
    free(r.list);
    if (rc != 0)
        demand_free(demand);
    return rc;
}

void demand_free(struct demand *demand)
{
    free(demand->job);
    free(demand->queue);
    *demand = (struct demand){0};
}
