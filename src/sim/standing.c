/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/standing.h"

#include <stdlib.h>
#include <string.h>

#include "core/service.h"
#include "core/view.h"
#include "core/work.h"
#include "sim/trial.h"

/* A replica, by the id of its job. */
struct unit {
    struct uuid job, pool;
    uint32_t chips, alternative;
    bool runs, drilled;
};

struct line {
    struct event_service_set set;
    uint32_t first; /* of its units, which are in the order of their ids */
    uint32_t before[STANDING_KINDS], stopped[STANDING_KINDS];
};

struct standing {
    struct line *line;
    struct unit *unit;
    uint32_t n, nunits;
    bool drilled; /* a drill has stopped something */
};

/* ---- what there is ---- */

static struct uuid id_of(uint32_t i)
{
    return (struct uuid){{'M', [4] = (uint8_t)(i >> 8), [5] = (uint8_t)i, [8] = 0x80}};
}

static int by_job(const void *a, const void *b)
{
    return memcmp(&((const struct unit *)a)->job, &((const struct unit *)b)->job, sizeof(struct uuid));
}

int standing_open(struct standing **out, const struct event_service_set *set, uint32_t n)
{
    struct standing *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return ERR_NO_MEMORY;
    if (n > STANDING_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < n; i++)
        s->nunits += set[i].min;
    s->line = calloc(n + 1u, sizeof *s->line);
    s->unit = calloc(s->nunits + 1u, sizeof *s->unit);
    if (!s->line || !s->unit)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0, next = 0; i < n; i++) {
        struct line *line = &s->line[s->n++];
        *line = (struct line){.set = set[i], .first = next};
        line->set.service = id_of(i);
        for (uint64_t k = 0; k < set[i].min; k++)
            s->unit[next++].job = replica_job_id(&line->set.service, k);
        qsort(s->unit + line->first, set[i].min, sizeof *s->unit, by_job);
    }
    return 0;
}

void standing_free(struct standing *s)
{
    if (!s)
        return;
    free(s->line);
    free(s->unit);
    free(s);
}

uint32_t standing_count(const struct standing *s)
{
    return s->n;
}

void standing_limits(const struct standing *s, struct limits *limits)
{
    limits->services += s->n;
    limits->service_replicas += 2 * s->nunits; /* as in sim/serving.c */
    limits->jobs += 2 * s->nunits;
}

bool standing_setup(const struct standing *s, uint32_t i, const struct uuid *tenant, struct event *out)
{
    if (i >= s->n)
        return false;
    *out = (struct event){.kind = EVENT_KIND_service_set, .u.service_set = s->line[i].set};
    out->u.service_set.tenant = *tenant;
    return true;
}

/* ---- what becomes of it ---- */

static struct unit *unit_of(const struct standing *s, uint32_t line, const struct uuid *job)
{
    const struct unit key = {.job = *job};
    const struct line *l = &s->line[line];
    return bsearch(&key, s->unit + l->first, l->set.min, sizeof key, by_job);
}

/* The line that a service or the job of a replica is of, by the beginning of its id; s->n: of none. */
static uint32_t line_of(const struct standing *s, const struct uuid *id)
{
    uint32_t i = (uint32_t)id->b[4] << 8 | id->b[5];
    return id->b[0] == 'M' && i < s->n ? i : s->n;
}

static void count_before(struct standing *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct line *l = &s->line[i];
        for (uint32_t k = 0; k < l->set.min; k++) {
            const struct unit *u = &s->unit[l->first + k];
            l->before[u->alternative] += u->runs;
        }
    }
}

uint32_t standing_effect(struct standing *s, const struct effect *e, bool drilled, struct uuid *pool)
{
    uint32_t i = line_of(s, &e->service);
    struct unit *u = i < s->n ? unit_of(s, i, &e->job) : NULL;
    if (!u || (e->kind != EFFECT_JOB_START && e->kind != EFFECT_JOB_STOP))
        return 0;
    if (e->kind == EFFECT_JOB_START) {
        u->runs = true;
        u->pool = e->pool;
        u->chips = e->chips;
        u->alternative = e->alternative;
    } else {
        if (drilled && !s->drilled) {
            s->drilled = true;
            count_before(s);
        }
        s->line[i].stopped[u->alternative] += drilled && !u->drilled;
        u->drilled = u->drilled || drilled;
        u->runs = false;
    }
    *pool = u->pool;
    return u->chips;
}

static void begin_sum(const struct line *l, struct standing_sum *out)
{
    const struct event_service_set *e = &l->set;
    const char *const chip[] = {e->chip0, e->chip1, e->chip2, e->chip3};
    const uint32_t count[] = {e->count0, e->count1, e->count2, e->count3};
    const uint32_t tokens[] = {e->tokens_s0, e->tokens_s1, e->tokens_s2, e->tokens_s3};
    *out = (struct standing_sum){.wanted = e->min};
    memcpy(out->name, e->name, sizeof out->name);
    for (uint32_t k = 0; k < STANDING_KINDS && count[k] > 0; k++) {
        memcpy(out->chip[k], chip[k], CHIP_CAP);
        out->count[k] = count[k];
        out->tokens_s[k] = tokens[k];
        out->kinds++;
    }
}

void standing_result(const struct standing *s, struct standing_report *out)
{
    out->n = s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct line *l = &s->line[i];
        struct standing_sum *sum = &out->sum[i];
        begin_sum(l, sum);
        memcpy(sum->before, l->before, sizeof sum->before);
        memcpy(sum->stopped, l->stopped, sizeof sum->stopped);
        for (uint32_t k = 0; k < l->set.min; k++) {
            const struct unit *u = &s->unit[l->first + k];
            sum->before[u->alternative] += u->runs && !s->drilled;
            sum->again[u->alternative] += u->runs && u->drilled;
        }
    }
}

int standing_of_trial(const struct standing *s, const struct trial *trial, struct standing_report *out)
{
    uint32_t n;
    const struct trial_job *job = trial_jobs(trial, &n);
    out->n = s->n;
    for (uint32_t i = 0; i < s->n; i++)
        begin_sum(&s->line[i], &out->sum[i]);
    for (uint32_t j = 0; j < n; j++) {
        uint32_t i = line_of(s, &job[j].id);
        if (i == s->n || !unit_of(s, i, &job[j].id) || uuid_zero(&job[j].pool))
            continue;
        struct standing_sum *sum = &out->sum[i];
        const struct row_job *after = view_job(trial_core(trial), &job[j].id);
        sum->before[job[j].alternative]++;
        sum->stopped[job[j].alternative] += job[j].stopped;
        if (job[j].again && after)
            sum->again[after->alternative]++;
    }
    return 0;
}

/* ---- in words ---- */

uint64_t standing_tokens(const struct standing_sum *sum, const uint32_t replicas[STANDING_KINDS])
{
    uint64_t tokens = 0;
    for (uint32_t k = 0; k < sum->kinds; k++)
        tokens += (uint64_t)replicas[k] * sum->tokens_s[k];
    return tokens;
}

uint32_t standing_all(const uint32_t replicas[STANDING_KINDS])
{
    return replicas[0] + replicas[1] + replicas[2] + replicas[3];
}

static void add_kinds(const struct standing_sum *sum, struct buf *out)
{
    buf_add_text(out, ",\"kinds\":[");
    for (uint32_t k = 0; k < sum->kinds; k++) {
        buf_add_text(out, k ? ",{\"chip\":" : "{\"chip\":");
        buf_add_json(out, sum->chip[k], strlen(sum->chip[k]));
        buf_addf(out, ",\"chips\":%u,\"tokens_s\":%u,\"before\":%u,\"lost\":%u,\"again\":%u}", sum->count[k],
                 sum->tokens_s[k], sum->before[k], sum->stopped[k], sum->again[k]);
    }
    buf_add_char(out, ']');
}

void standing_json(const struct standing_report *report, struct buf *out)
{
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < report->n; i++) {
        const struct standing_sum *sum = &report->sum[i];
        uint64_t before = standing_tokens(sum, sum->before), lost = standing_tokens(sum, sum->stopped),
                 again = standing_tokens(sum, sum->again);
        buf_add_text(out, i ? ",{\"model\":" : "{\"model\":");
        buf_add_json(out, sum->name, strlen(sum->name));
        buf_addf(out, ",\"wanted\":%u,\"replicas\":%u,\"lost\":%u,\"again\":%u,\"left\":%u", sum->wanted,
                 standing_all(sum->before), standing_all(sum->stopped), standing_all(sum->again),
                 standing_all(sum->before) - standing_all(sum->stopped) + standing_all(sum->again));
        buf_addf(out, ",\"tokens_s\":%llu,\"tokens_s_after\":%llu", (unsigned long long)before,
                 (unsigned long long)(before - lost + again));
        add_kinds(sum, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}
