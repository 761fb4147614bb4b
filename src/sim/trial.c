/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trial.h"

#include <stdlib.h>
#include <string.h>

#include "core/denial.h"
#include "core/kinds.h"
#include "core/rulebook.h"
#include "core/view.h"
#include "sim/forecast.h"

struct trial {
    struct forecast *copy;
    struct core *core;
    int64_t now_ms;
    struct effects effects;
    struct trial_job *job; /* in the order of their ids, once they are listed */
    uint32_t n;
};

struct trial *trial_take(const struct core *core, const struct limits *limits, int64_t now_ms)
{
    struct trial *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->now_ms = now_ms;
    t->copy = forecast_take(core, limits, now_ms, TRIAL_ROWS_MAX);
    if (t->copy)
        return t;
    free(t);
    return NULL;
}

void trial_free(struct trial *t)
{
    if (!t)
        return;
    forecast_free(t->copy);
    free(t->effects.list);
    free(t->job);
    free(t);
}

const struct core *trial_core(const struct trial *t)
{
    return t->core;
}

int64_t trial_ms(const struct trial *t)
{
    return t->now_ms;
}

const struct trial_job *trial_jobs(const struct trial *t, uint32_t *n)
{
    *n = t->n;
    return t->job;
}

/* ---- what happens ---- */

static int by_id(const void *a, const void *b)
{
    return memcmp(&((const struct trial_job *)a)->id, &((const struct trial_job *)b)->id,
                  sizeof(struct uuid));
}

static struct trial_job *job_of(struct trial *t, const struct uuid *id)
{
    const struct trial_job key = {.id = *id};
    return t->n ? bsearch(&key, t->job, t->n, sizeof *t->job, by_id) : NULL;
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static int step(struct trial *t, struct event *event)
{
    event->at_ms = t->now_ms;
    t->effects.n = 0;
    int rc = core_step(t->core, event, &t->effects);
    core_collect(t->core, ignore_row, NULL);
    for (uint32_t i = 0; i < t->effects.n; i++) {
        const struct effect *e = &t->effects.list[i];
        struct trial_job *job = e->kind == EFFECT_JOB_STOP ? job_of(t, &e->job) : NULL;
        if (!job || job->stopped)
            continue;
        job->stopped = true;
        job->code = e->code;
    }
    return rc;
}

static void settle(struct trial *t)
{
    while (core_deadline_ms(t->core) <= t->now_ms) {
        struct event tick = {.kind = EVENT_KIND_tick};
        (void)step(t, &tick);
    }
}

/* ---- the copy ---- */

static bool list_jobs(struct trial *t)
{
    const struct row_job *row;
    uint32_t n = 0;
    for (uint32_t pos = 0; view_job_at(t->core, &pos);)
        n++;
    t->job = calloc(n + 1u, sizeof *t->job);
    if (!t->job)
        return false;
    for (uint32_t pos = 0; (row = view_job_at(t->core, &pos)) != NULL;) {
        const uint32_t counts[] = {row->count0, row->count1, row->count2, row->count3};
        struct trial_job *job = &t->job[t->n++];
        *job = (struct trial_job){.id = row->id,
                                  .tenant = row->tenant,
                                  .deployment = row->deployment,
                                  .epoch = row->epoch,
                                  .firm = !(row->flags & JOB_INTERRUPTIBLE),
                                  .replica = row->flags & JOB_REPLICA,
                                  .rule = "",
                                  .cite = ""};
        if (row->state != JOB_RUNNING)
            continue;
        job->pool = row->pool;
        job->chips = counts[row->alternative];
        job->alternative = row->alternative;
    }
    qsort(t->job, t->n, sizeof *t->job, by_id);
    return true;
}

int trial_stand(struct trial *t)
{
    int rc = forecast_stand(t->copy);
    t->core = forecast_core(t->copy);
    t->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    if (rc == 0 && !t->effects.list)
        rc = ERR_NO_MEMORY;
    if (rc != 0)
        return rc;
    settle(t); /* a load makes a pass due */
    return list_jobs(t) ? 0 : ERR_NO_MEMORY;
}

/* What runs again after all that was due has been done. */
static void look(struct trial *t)
{
    settle(t);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct row_job *row = view_job(t->core, &t->job[i].id);
        t->job[i].again = t->job[i].stopped && row && row->state == JOB_RUNNING;
    }
}

/* ---- rules ---- */

static int put_rules(struct trial *t, const char *text, size_t len)
{
    const struct uuid set = {{'R', [15] = 2}};
    uint32_t parts = 0, n;
    for (size_t at = 0; (n = rules_cut(text + at, len - at)) > 0; at += n) {
        struct event put = {.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = set, .part = parts++}};
        memcpy(put.u.rules_put.text, text + at, n);
        int rc = step(t, &put);
        if (rc != 0)
            return rc;
    }
    struct event e = {.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = set, .parts = parts}};
    return step(t, &e);
}

int trial_rules(struct trial *t, const char *text, size_t len)
{
    int rc = put_rules(t, text, len);
    for (uint32_t i = 0; rc == 0 && i < t->n; i++) {
        struct denied denied;
        if (!core_denied(t->core, &t->job[i].id, &denied))
            continue;
        t->job[i].denied = denied.denied;
        t->job[i].rule = denied.rule;
        t->job[i].cite = denied.cite;
    }
    if (rc == 0)
        look(t);
    return rc;
}

/* ---- losses ---- */

static int lose_vendor(struct trial *t, const char *vendor)
{
    const struct row_pool *pool;
    int rc = ERR_NOT_FOUND;
    for (uint32_t pos = 0; (pool = view_pool_at(t->core, &pos)) != NULL;) {
        const struct row_chip *chip = NULL;
        for (uint32_t k = 0; (chip = view_chip_at(t->core, &k)) != NULL;) {
            if (strcmp(chip->id, pool->chip) == 0)
                break;
        }
        if (!chip || strcmp(chip->vendor, vendor) != 0)
            continue;
        rc = 0;
        const struct uuid id = pool->id;
        const uint32_t nodes = pool->nodes;
        for (uint32_t i = 0; rc == 0 && i < nodes; i++) {
            struct event e = {.kind = EVENT_KIND_node_state,
                              .u.node_state = {.pool = id, .node = i, .state = PLACE_LOST}};
            rc = step(t, &e);
        }
        if (rc != 0)
            break;
    }
    return rc;
}

static int lose_corridor(struct trial *t, const struct uuid *id)
{
    const struct row_corridor *row = view_corridor(t->core, id);
    if (!row)
        return ERR_NOT_FOUND;
    struct event e = {
        .kind = EVENT_KIND_corridor_state,
        .u.corridor_state = {.corridor = *id, .state = PLACE_LOST, .bits_s = row->given_bits_s}};
    return step(t, &e);
}

static void count(struct trial *t, const struct trial_loss *loss, struct contingency *counted)
{
    struct contingency one;
    *counted = (struct contingency){.vendor = ""};
    for (uint32_t i = 0; contingency_now(t->core, i, &one); i++) {
        if (one.kind == CONTINGENCY_SITE ? uuid_eq(&one.site, &loss->site)
                                         : loss->vendor && strcmp(one.vendor, loss->vendor) == 0)
            *counted = one;
    }
}

static int lose(struct trial *t, const struct trial_loss *loss)
{
    struct event site = {.kind = EVENT_KIND_site_state,
                         .u.site_state = {.site = loss->site, .state = PLACE_LOST}};
    return loss->vendor                  ? lose_vendor(t, loss->vendor)
           : !uuid_zero(&loss->corridor) ? lose_corridor(t, &loss->corridor)
                                         : step(t, &site);
}

int trial_lose(struct trial *t, const struct trial_loss *loss, struct contingency *counted)
{
    count(t, loss, counted);
    return trial_lose_all(t, loss, 1);
}

int trial_lose_all(struct trial *t, const struct trial_loss *loss, uint32_t n)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = lose(t, &loss[i]);
    if (rc == 0)
        look(t);
    return rc;
}
