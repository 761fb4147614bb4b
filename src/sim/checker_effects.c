/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions judged: starts with their shares, and stops. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "sim/checker_state.h"

/* Shares and the start that they belong to; `start` is NULL when none came. */
struct gang {
    const struct effect *list; /* from the first share up to the start; what is no share in it is not ours */
    uint32_t n;
    const struct effect *start;
};

/* ---- the hash ---- */

static uint8_t *put(uint8_t *at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *at++ = (uint8_t)(v >> 8 * i);
    return at;
}

static void records_flush(struct checker *c)
{
    digest_stream_add(c->digest, c->records, (size_t)c->nrecords * CHECKER_RECORD_LEN);
    c->nrecords = 0;
}

static void record(struct checker *c, const struct effect *e)
{
    uint8_t *at = c->records + (size_t)c->nrecords++ * CHECKER_RECORD_LEN;
    at = put(at, (uint64_t)c->now_ms, 8);
    at = put(at, e->kind, 1);
    memcpy(at, e->job.b, sizeof e->job.b);
    memcpy(at + 16, e->pool.b, sizeof e->pool.b);
    at = put(at + 32, e->node, 4);
    at = put(at, e->chips, 4);
    (void)put(at, e->epoch, 4);
    if (c->nrecords == CHECKER_RECORDS)
        records_flush(c);
}

/* In the same form: the corridor for the pool, how long and how fast in what is left. */
static void record_transit(struct checker *c, const struct effect *e)
{
    struct effect as = {.kind = e->kind,
                        .job = e->job,
                        .pool = e->corridor,
                        .node = (uint32_t)e->ms,
                        .chips = (uint32_t)(e->bits_s / 1000),
                        .epoch = (uint32_t)(e->bytes / 1000)};
    record(c, &as);
}

void checker_hash(struct checker *c, uint8_t out[DIGEST_LEN])
{
    records_flush(c);
    digest_stream_get(c->digest, out);
}

/* ---- starts ---- */

static void judge_size(struct checker *c, const struct gang *gang, const struct check_request *request,
                       const struct check_pool *pool)
{
    const struct effect *e = gang->start;
    uint64_t chips = 0;
    for (uint32_t i = 0; i < gang->n; i++) {
        const struct effect *share = &gang->list[i];
        if (share->kind != EFFECT_JOB_SHARE)
            continue;
        chips += share->chips;
        if (!uuid_eq(&share->pool, &e->pool))
            checker_violate(c, CHECKER_GANG_SPLIT, &e->job, &share->pool, share->node, "%" PRIu32 " chips",
                            share->chips);
        if (share->chips == 0)
            checker_violate(c, CHECKER_GANG_PART, &e->job, &e->pool, share->node, "a share of no chips");
    }
    if (e->alternative >= CHECKER_ALTERNATIVES || request->count[e->alternative] == 0) {
        checker_violate(c, CHECKER_ALTERNATIVE, &e->job, &e->pool, NONE, "alternative %" PRIu32,
                        e->alternative);
        return;
    }
    uint32_t count = request->count[e->alternative];
    uint32_t chip = request->chip[e->alternative];
    if (chips != count || e->chips != count)
        checker_violate(c, CHECKER_GANG_PART, &e->job, &e->pool, NONE,
                        "shares of %" PRIu64 " chips, a start of %" PRIu32 ", a job of %" PRIu32, chips,
                        e->chips, count);
    if (chip != NONE && chip != pool->chip)
        checker_violate(c, CHECKER_CHIP_KIND, &e->job, &e->pool, NONE, "%s where %s is asked for",
                        c->chip[pool->chip].told.chip, c->chip[chip].told.chip);
}

static void judge_rules(struct checker *c, const struct effect *e, const struct check_request *request,
                        const struct check_pool *pool)
{
    const struct check_site *site = &c->site[pool->site];
    const struct check_chip *chip = &c->chip[pool->chip];
    if (site->state != PLACE_UP)
        checker_violate(c, CHECKER_SITE_DOWN, &e->job, &e->pool, NONE, "its state is %" PRIu32, site->state);
    if (request->site != NONE && request->site != pool->site)
        checker_violate(c, CHECKER_SITE_RULE, &e->job, &e->pool, NONE, "it may run at one other only");
    if (request->jurisdiction[0] && memcmp(request->jurisdiction, site->told.jurisdiction, CODE_CAP) != 0)
        checker_violate(c, CHECKER_JURISDICTION_RULE, &e->job, &e->pool, NONE, "%s where %s is asked for",
                        site->told.jurisdiction, request->jurisdiction);
    if (request->isolation > site->isolation)
        checker_violate(c, CHECKER_ISOLATION_RULE, &e->job, &e->pool, NONE, "%s where %s is asked for",
                        isolation_text(site->isolation), isolation_text(request->isolation));
    if (request->vendor[0] && memcmp(request->vendor, chip->told.vendor, NAME_CAP) != 0)
        checker_violate(c, CHECKER_VENDOR_RULE, &e->job, &e->pool, NONE, "%s where %s is asked for",
                        chip->told.vendor, request->vendor);
}

static void share_take(struct checker *c, uint32_t job, uint32_t pool_index, const struct effect *e)
{
    const struct check_pool *pool = &c->pool[pool_index];
    if (e->node >= pool->nodes) {
        checker_violate(c, CHECKER_NODE_OUTSIDE, &e->job, &e->pool, e->node, "it has %" PRIu32, pool->nodes);
        return;
    }
    uint32_t i = c->free_share;
    if (i == NONE && c->nshares == c->limits.shares) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %" PRIu32 " shares", c->limits.shares);
        return;
    }
    if (i != NONE)
        c->free_share = c->share[i].next_of_job;
    else
        i = c->nshares++;
    uint32_t at = pool->first + e->node;
    struct check_node *node = &c->node[at];
    c->share[i] = (struct check_share){.job = job,
                                       .node = at,
                                       .chips = e->chips,
                                       .next_of_job = c->job[job].shares,
                                       .next_on_node = node->shares,
                                       .prev_on_node = NONE};
    if (node->shares != NONE)
        c->share[node->shares].prev_on_node = i;
    node->shares = i;
    c->job[job].shares = i;
    if (node->state != PLACE_UP)
        checker_violate(c, CHECKER_NODE_DOWN, &e->job, &e->pool, e->node, "its state is %u", node->state);
    if (e->chips > pool->node_chips || node->used > pool->node_chips - e->chips)
        checker_violate(c, CHECKER_NODE_OVER, &e->job, &e->pool, e->node,
                        "%" PRIu32 " on top of %" PRIu32 " of %" PRIu32, e->chips, node->used,
                        pool->node_chips);
    node->used += e->chips;
    c->site[pool->site].load += checker_watts(c, pool, e->chips);
    checker_count_share(c, &c->share[i], true);
}

static void judge_domain(struct checker *c, uint32_t job, const struct check_pool *pool)
{
    uint32_t first = c->job[job].shares;
    for (uint32_t i = first; i != NONE; i = c->share[i].next_of_job) {
        uint32_t node = c->share[i].node - pool->first;
        if (node / pool->domain == (c->share[first].node - pool->first) / pool->domain)
            continue;
        checker_violate(c, CHECKER_DOMAIN_RULE, &c->job[job].id, &pool->id, node,
                        "domains have %" PRIu32 " nodes", pool->domain);
        return;
    }
}

static void judge_cap(struct checker *c, const struct effect *e, const struct check_site *site)
{
    uint64_t watts;
    uint64_t limit = checker_limit(c, site);
    bool over = __builtin_mul_overflow(site->load, site->pue, &watts) || watts / 1000 > limit;
    if (limit > 0 && over)
        checker_violate(c, CHECKER_CAP, &e->job, &e->pool, NONE, "%" PRIu64 " W of %" PRIu64, watts / 1000,
                        limit);
}

static bool is_over(const struct checker *c, const struct uuid *job)
{
    for (uint64_t i = 0; i < CHECKER_OVER && i < c->nover; i++) {
        if (uuid_eq(&c->over[i], job))
            return true;
    }
    return false;
}

static void judge_start(struct checker *c, const struct gang *gang)
{
    const struct effect *e = gang->start;
    uint32_t i = checker_job_find(c, &e->job);
    uint32_t p = checker_pool_find(c, &e->pool);
    if (i == NONE || c->job[i].state != CHECK_WAITS || p == NONE) {
        enum checker_kind kind = CHECKER_POOL_UNKNOWN;
        if (i == NONE)
            kind = is_over(c, &e->job) ? CHECKER_START_OVER : CHECKER_START_UNKNOWN;
        else if (c->job[i].state == CHECK_RUNS)
            kind = CHECKER_START_TWICE;
        checker_violate(c, kind, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
        return;
    }
    struct check_job *job = &c->job[i];
    const struct check_pool *pool = &c->pool[p];
    const struct check_request *request = &c->ask[job->ask].request;
    if (e->epoch != job->epoch + 1)
        checker_violate(c, CHECKER_EPOCH, &e->job, &e->pool, NONE, "%" PRIu32 " after %" PRIu32, e->epoch,
                        job->epoch);
    judge_size(c, gang, request, pool);
    judge_rules(c, e, request, pool);
    const char *rule = "";
    if (!checker_lawful(c, i, p, e->chips, &rule))
        checker_violate(c, CHECKER_FORBIDDEN, &e->job, &e->pool, NONE, "%s", rule);
    checker_plan_judge(c, i, p, e->alternative);
    checker_judge_resume(c, i, e);
    checker_order_judge(c, i, p);
    checker_judge_rank(c, i);
    checker_judge_follow(c, i);
    checker_order_leave(c, i);
    job->state = CHECK_RUNS;
    job->epoch = e->epoch;
    job->pool = p;
    checker_replica_started(c, i, e->alternative);
    c->waiting--;
    c->running++;
    c->site[pool->site].running++;
    for (uint32_t k = 0; k < gang->n; k++) {
        const struct effect *share = &gang->list[k];
        if (share->kind == EFFECT_JOB_SHARE && uuid_eq(&share->pool, &e->pool))
            share_take(c, i, p, share);
    }
    checker_transit_start(c, i, p);
    if (request->one_domain)
        judge_domain(c, i, pool);
    judge_cap(c, e, &c->site[pool->site]);
    checker_count_job(c, i, true);
    checker_judge_reserve(c, i);
}

/* ---- stops ---- */

static void judge_stop(struct checker *c, const struct effect *e)
{
    uint32_t i = checker_job_find(c, &e->job);
    if (i == NONE || c->job[i].state != CHECK_RUNS || c->job[i].epoch != e->epoch ||
        !uuid_eq(&c->pool[c->job[i].pool].id, &e->pool)) {
        checker_violate(c, CHECKER_STOP_NOT_RUNNING, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
        return;
    }
    checker_judge_stop(c, i, e);
    checker_job_release(c, i);
    checker_replica_stopped(c, i);
    struct check_job *job = &c->job[i];
    job->stopped_ms = c->now_ms;
    if (job->returned && e->code != 0)
        checker_violate(c, CHECKER_RETURNED, &e->job, &e->pool, NONE, "the code is %d", e->code);
    bool spent = e->code == ERR_BUDGET_SPENT, metered = c->event->kind == EVENT_KIND_job_meter;
    if (spent && (!metered || !uuid_eq(&c->event->u.job_meter.job, &e->job)))
        checker_violate(c, CHECKER_BUDGET, &e->job, &e->pool, NONE, "epoch %" PRIu32, e->epoch);
    bool over = spent || (job->returned && job->returns >= JOB_RETURNS_MAX && !checker_is_replica(c, i));
    job->returned = false;
    if (job->cancelled || over)
        checker_job_forget(c, i);
    else
        checker_order_enter(c, i);
}

/* ---- a step ---- */

static void shares_without_start(struct checker *c, const struct gang *gang)
{
    if (gang->n > 0)
        checker_violate(c, CHECKER_GANG_PART, &gang->list->job, &gang->list->pool, gang->list->node,
                        "shares that no start follows");
}

static bool decides(const struct effect *e)
{
    return e->kind == EFFECT_JOB_SHARE || e->kind == EFFECT_JOB_START || e->kind == EFFECT_JOB_STOP ||
           e->kind == EFFECT_REPLICA_ADD || e->kind == EFFECT_REPLICA_DROP || e->kind == EFFECT_JOB_UNMET;
}

static void judge(struct checker *c, const struct effect *list, uint32_t n)
{
    struct gang gang = {0};
    for (uint32_t i = 0; i < n; i++) {
        const struct effect *e = &list[i];
        bool single = e->kind != EFFECT_JOB_SHARE && e->kind != EFFECT_JOB_START;
        if (e->kind == EFFECT_ALARM)
            checker_alarm(c, e);
        if (e->kind == EFFECT_TRANSIT) {
            record_transit(c, e);
            checker_transit_told(c, e);
        }
        if (!decides(e))
            continue;
        record(c, e);
        if (gang.n > 0 && (single || !uuid_eq(&e->job, &gang.list->job))) {
            shares_without_start(c, &gang);
            gang = (struct gang){0};
        }
        if (e->kind == EFFECT_JOB_STOP)
            judge_stop(c, e);
        else if (e->kind == EFFECT_JOB_UNMET)
            checker_job_unmet(c, e);
        else if (single)
            checker_replica(c, e, i > 0 ? e - 1 : NULL);
        if (single)
            continue;
        if (gang.n == 0)
            gang.list = e;
        if (e->kind == EFFECT_JOB_SHARE) {
            gang.n = (uint32_t)(e - gang.list) + 1;
            continue;
        }
        gang.start = e;
        judge_start(c, &gang);
        gang = (struct gang){0};
    }
    shares_without_start(c, &gang);
    checker_transit_settle(c);
}

/* What the event asks to be stopped was. */
static void judge_asked(struct checker *c, const struct event *event)
{
    bool cancel = event->kind == EVENT_KIND_job_cancel;
    if (!cancel && event->kind != EVENT_KIND_job_return)
        return;
    uint32_t i = checker_job_find(c, cancel ? &event->u.job_cancel.job : &event->u.job_return.job);
    if (i == NONE || (!cancel && !c->job[i].returned))
        return;
    checker_violate(c, cancel ? CHECKER_CANCELLED_RUNS : CHECKER_RETURNED, &c->job[i].id, NULL, NONE,
                    "no stop came with the event");
    if (c->job[i].state == CHECK_RUNS)
        checker_job_release(c, i);
    checker_job_forget(c, i);
}

void checker_effects(struct checker *c, const struct event *event, const struct effect *list, uint32_t n,
                     int rc)
{
    for (uint32_t i = 0; i < n && rc != 0; i++) {
        if (decides(&list[i])) {
            checker_violate(c, CHECKER_REFUSED_ACTS, &list[i].job, &list[i].pool, NONE, "the code is %d", rc);
            break;
        }
    }
    c->event = event;
    if (rc == 0)
        checker_apply(c, event);
    checker_judge_preemption(c, list, n);
    judge(c, list, n);
    checker_services_step(c);
    if (rc == 0)
        judge_asked(c, event);
}
