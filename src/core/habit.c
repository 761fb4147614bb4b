/* SPDX-License-Identifier: Apache-2.0 */
#include "core/habit.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* One run that was just seen. */
#define ONE_RUN (1u << 16)
/* How many runs a wider habit counts for in a narrower one. */
#define PRIOR_RUNS 4u
/* Parts of runs, in 2^16, that are thought not to exceed the estimate and the bound: the median and four fifths. Measured on
 * real jobs (docs/prediction.md): the mean orders worse than the median, since rare long runs make it. */
#define TYPICAL_Q 32768u
#define BOUND_Q 52429u
/* Of a habit part 1 / 2^FADE is forgotten with each run that is added. */
#define FADE_ALL 9u
#define FADE_TENANT 7u
#define FADE_SIZE 5u

static const struct uuid everybody;

/* ---- laying out ---- */

static bool habit_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct habit *)table)[i].row, key, len) == 0;
}

/* The leading fields of a row. */
struct habit_key {
    struct uuid tenant;
    uint32_t group;
};
#define KEY_LEN (sizeof(struct uuid) + sizeof(uint32_t))
_Static_assert(offsetof(struct row_habit, group) == sizeof(struct uuid), "a habit's key has no padding");

static uint32_t habit_limit(const struct limits *limits)
{
    return limits->tenants * 4 + 1;
}

void habit_carve(struct core *core, struct arena *arena)
{
    uint32_t n = habit_limit(&core->limits);
    CARVE(core, habits.table, habits.habit, n);
    index_init(&core->habits.map, arena, n, habit_equal, core->habits.habit);
}

static uint32_t habit_find(const struct core *core, const struct uuid *tenant, uint32_t group)
{
    struct habit_key key = {.tenant = *tenant, .group = group};
    return map_get(&core->habits.map, &key, KEY_LEN);
}

static uint32_t habit_enter(struct core *core, const struct row_habit *row)
{
    uint32_t i = table_take(&core->habits.table);
    if (i == INDEX_NONE)
        return i;
    core->habits.habit[i].row = *row;
    map_put(&core->habits.map, row, KEY_LEN, i);
    return i;
}

int load_habit(struct core *core, const struct row_habit *row)
{
    bool all = uuid_zero(&row->tenant);
    if (map_get(&core->habits.map, row, KEY_LEN) != MAP_NONE || (all && row->group != HABIT_ANY) ||
        (!all && tenant_by_id(core, &row->tenant).v == INDEX_NONE))
        return ERR_CORRUPT;
    return habit_enter(core, row) == INDEX_NONE ? ERR_LIMIT : 0;
}

/* ---- histograms ---- */

/* A row's fields lie one after another. */
static uint32_t *weights(struct row_habit *row)
{
    _Static_assert(offsetof(struct row_habit, w47) - offsetof(struct row_habit, w0) ==
                       (HABIT_BUCKETS - 1) * sizeof(uint32_t),
                   "a histogram is an array");
    return (uint32_t *)(void *)((char *)row + offsetof(struct row_habit, w0));
}

uint32_t habit_group(uint32_t chips)
{
    assert(chips > 0);
    return 31u - (uint32_t)__builtin_clz(chips);
}

int64_t habit_bucket_ms(uint32_t bucket)
{
    int64_t step = bucket % 2 ? 1414 : 1000;
    return bucket == 0 ? 0 : step << (bucket / 2);
}

uint32_t habit_bucket(int64_t ms)
{
    if (ms < 1000)
        return 0;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll((uint64_t)ms / 1000);
    uint32_t bucket = 2 * octave;
    if (bucket + 1 >= HABIT_BUCKETS)
        return HABIT_BUCKETS - 1;
    return ms >= habit_bucket_ms(bucket + 1) ? bucket + 1 : bucket;
}

void habit_add(uint32_t weight[HABIT_BUCKETS], int64_t ms, uint32_t fade)
{
    for (uint32_t i = 0; i < HABIT_BUCKETS; i++)
        weight[i] -= (weight[i] + (1u << fade) - 1) >> fade; /* rounded up, so that it comes to nothing */
    weight[habit_bucket(ms)] += ONE_RUN;
}

/* ---- learning ---- */

static void learn(struct core *core, const struct uuid *tenant, uint32_t group, int64_t ms, uint32_t fade)
{
    uint32_t i = habit_find(core, tenant, group);
    if (i == MAP_NONE) {
        struct row_habit row = {.tenant = *tenant, .group = group};
        i = habit_enter(core, &row);
        if (i == INDEX_NONE)
            return;
    }
    struct row_habit *row = &core->habits.habit[i].row;
    habit_add(weights(row), ms, fade);
    row->runs++;
    table_touch(&core->habits.table, i);
}

void habit_learn(struct core *core, const struct job *job)
{
    int64_t ms = job_worked_ms(core, job);
    if (core->now_ms < job->row.started_ms || (job->row.flags & JOB_REPLICA))
        return; /* the clock went back; or it has no end of its own, and this one says nothing of jobs */
    ms = (ms > JOB_MS_MAX ? JOB_MS_MAX : ms) * job->rate / 1000 + job->row.done_ms;
    learn(core, &everybody, HABIT_ANY, ms, FADE_ALL);
    learn(core, &job->row.tenant, HABIT_ANY, ms, FADE_TENANT);
    learn(core, &job->row.tenant, habit_group(job->row.count0), ms, FADE_SIZE);
}

/* ---- what is known ---- */

/* Puts a habit on top of a wider outlook. */
static void narrow(const struct core *core, const struct uuid *tenant, uint32_t group, struct outlook *out)
{
    uint32_t i = habit_find(core, tenant, group);
    if (i == MAP_NONE)
        return;
    const uint32_t *own = weights(&core->habits.habit[i].row);
    uint64_t wider = out->sum;
    out->sum = 0;
    for (uint32_t b = 0; b < HABIT_BUCKETS; b++) {
        uint64_t prior = wider ? out->weight[b] * (PRIOR_RUNS * ONE_RUN) / wider : 0;
        out->weight[b] = own[b] + prior;
        out->sum += out->weight[b];
    }
}

void outlook_of(const struct core *core, const struct uuid *tenant, uint32_t chips, struct outlook *out)
{
    *out = (struct outlook){0};
    narrow(core, &everybody, HABIT_ANY, out);
    narrow(core, tenant, HABIT_ANY, out);
    narrow(core, tenant, habit_group(chips), out);
}

/* The part of a bucket, in 2^16, that lies past a time. */
static uint64_t part_past(uint32_t bucket, int64_t past_ms)
{
    int64_t begin = habit_bucket_ms(bucket), end = habit_bucket_ms(bucket + 1);
    if (past_ms <= begin)
        return 1u << 16;
    return past_ms >= end ? 0 : ((uint64_t)(end - past_ms) << 16) / (uint64_t)(end - begin);
}

/* What ran longer than anything known: as if it were over, evenly, by the time that it has run twice as long. */
static int64_t longer(int64_t past_ms, uint32_t q)
{
    return past_ms + 1 + (past_ms * (int64_t)q >> 16);
}

int64_t outlook_quantile(const struct outlook *o, uint32_t q, int64_t past_ms)
{
    if (o->sum == 0)
        return past_ms < JOB_MS_GUESS ? JOB_MS_GUESS : longer(past_ms, q);
    uint64_t left = 0, seen = 0;
    uint32_t first = habit_bucket(past_ms > 0 ? past_ms : 0);
    for (uint32_t b = first; b < HABIT_BUCKETS; b++)
        left += o->weight[b] * part_past(b, past_ms) >> 16;
    if (left == 0)
        return longer(past_ms, q);
    uint64_t want = (uint64_t)((int128)left * q >> 16);
    for (uint32_t b = first; b < HABIT_BUCKETS; b++) {
        uint64_t here = o->weight[b] * part_past(b, past_ms) >> 16;
        if (here > 0 && seen + here > want) {
            int64_t begin = habit_bucket_ms(b), end = habit_bucket_ms(b + 1);
            begin = past_ms > begin ? past_ms : begin;
            int64_t ms = begin + (int64_t)((uint64_t)(end - begin) * (want - seen) / here);
            return ms > 0 ? ms : 1;
        }
        seen += here;
    }
    return habit_bucket_ms(HABIT_BUCKETS);
}

void habit_estimate(const struct core *core, struct row_job *row)
{
    struct outlook outlook;
    if (row->duration_ms > 0)
        return;
    outlook_of(core, &row->tenant, row->count0, &outlook);
    row->estimate_ms = outlook_quantile(&outlook, TYPICAL_Q, 0);
    row->bound_ms = outlook_quantile(&outlook, BOUND_Q, 0);
}
