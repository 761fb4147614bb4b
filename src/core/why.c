/* SPDX-License-Identifier: Apache-2.0 */
#include "core/why.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

#define BAR(name) (1u << WHY_##name)
/* What the dispatcher has in the mask of a shape; the rest is of the moment. */
#define LASTING \
    (BAR(SITE) | BAR(JURISDICTION) | BAR(VENDOR) | BAR(CHIP) | BAR(ISOLATION) | BAR(RULE) | BAR(SIZE) | \
     BAR(SITE_DOWN) | BAR(CORRIDOR_DOWN))

static const struct {
    uint32_t stage;
    const char *word, *text;
} bars_table[WHYS_N] = {
#define W(name, stage, word, text) {stage, word, text},
    WHYS(W)
#undef W
};

const char *why_bar_word(enum why_bar bar)
{
    assert(bar < WHYS_N);
    return bars_table[bar].word;
}

const char *why_bar_text(enum why_bar bar)
{
    assert(bar < WHYS_N);
    return bars_table[bar].text;
}

/* A pool and a size for a job. */
struct option {
    uint32_t pool;
    uint32_t alternative;
    uint32_t bars;
    struct uuid first; /* RESERVED, TURN: the job that comes first */
    int128 cost;       /* as the dispatcher counts it */
};

struct question {
    const struct core *core;
    const struct job *job;
    const struct lane *lane;
    struct shape *shape;
    const struct shape_key *key;
    uint32_t nalternatives;
};

static struct question question_of(const struct core *core, const struct job *job)
{
    const struct lane *lane = &core->work.lane[job->lane];
    struct shape *shape = &core->work.shape[lane->shape];
    return (struct question){core, job, lane, shape, &shape->key, shape->nalternatives};
}

/* ---- room ---- */

/* Whether the pool would hold the gang if nodes that are not up were, or if nobody used those that are. */
static bool would_fit(const struct pool *pool, struct ask ask, bool all_up, bool idle)
{
    uint32_t top = pool->row.node_chips, want = ask.chips / top, rest = ask.chips % top;
    uint32_t span = ask.one_domain && ask.chips > top ? pool->row.domain : pool->row.nodes;
    for (uint32_t first = 0; first < pool->row.nodes; first += span) {
        uint32_t end = pool->row.nodes - first < span ? pool->row.nodes : first + span;
        uint32_t whole = 0, part = 0;
        for (uint32_t i = first; i < end; i++) {
            const struct node *node = &pool->node[i];
            if (node->state != PLACE_UP && !all_up)
                continue;
            uint32_t free = idle ? top : node->free;
            whole += free == top;
            part += free < top && free >= rest;
        }
        if (whole > want || (whole == want && (rest == 0 || part > 0)))
            return true;
    }
    return false;
}

static uint32_t bars_of_room(const struct pool *pool, struct ask ask)
{
    if (would_fit(pool, ask, false, false))
        return 0;
    if (would_fit(pool, ask, false, true))
        return BAR(FULL);
    return would_fit(pool, ask, true, false) ? BAR(NODE_DOWN) : BAR(FULL) | BAR(NODE_DOWN);
}

static bool power_is_enough(const struct core *core, const struct pool *pool, uint32_t chips, bool with_down)
{
    uint64_t idle = with_down ? (uint64_t)(pool->row.nodes - pool->nodes_up) * pool->row.node_chips *
                                    core->net.chip[pool->chip.v].row.idle_watts
                              : 0;
    return site_takes(&core->net.site[pool->site.v], chips * pool_chip_watts(core, pool) + idle);
}

/* ---- rules ---- */

static void facts_of(const struct question *q, const struct option *o, struct rule_facts *facts)
{
    if (q->key->deployment != INDEX_NONE) {
        const struct deployment *d = &q->core->deployment[q->key->deployment];
        rule_facts_of_deployment(q->core, o->pool, &q->core->model[d->model.v].row, d->row.chips, facts);
        return;
    }
    rule_facts_of_work(q->core, q->key, q->lane->tenant, o->alternative, facts);
    rule_facts_of_pool(q->core, o->pool, facts);
}

static bool lawful(const struct question *q, const struct option *o)
{
    struct rule_facts facts;
    struct verdict verdict;
    if (rulebook_rules(q->core)->nrules == 0)
        return true;
    facts_of(q, o, &facts);
    return rules_judge(rulebook_rules(q->core), &facts, q->core->book.row.judged_ms, &verdict) == 0;
}

/* ---- choice ---- */

/* Until when the job waits by choice, or would if it were in a queue; 0: it does not. */
static int64_t waits_until(const struct question *q)
{
    if (q->job->held)
        return q->job->latest_ms;
    int64_t latest_ms = q->job->parked && q->lane->group != INDEX_NONE ? job_latest_ms(q->core, q->job) : 0;
    return latest_ms > q->core->now_ms ? latest_ms : 0;
}

/* ---- turn ---- */

/* Whether the first job of the lane comes before the one in question. */
static bool comes_first(const struct question *q, const struct lane *other)
{
    const struct queue_node *first = queue_first(&other->waiting);
    if (waits_until(q) > 0)
        return true; /* whoever waits by choice comes after all others */
    return first != &q->job->in_lane &&
           rank_before(q->core, other->tenant, first, q->lane->tenant, &q->job->in_lane);
}

static bool may_use(const struct question *q, uint32_t pool)
{
    for (uint32_t a = 0; a < q->nalternatives; a++) {
        struct option o = {.pool = pool, .alternative = a};
        if (place_bars(q->core, q->shape, &q->key->alternative[a], &q->core->net.pool[pool]) == 0 &&
            lawful(q, &o))
            return true;
    }
    return false;
}

/* Of the jobs that come before this one and wait for the pool, the first; NULL: it is its turn. */
static const struct job *who_is_before(const struct question *q, uint32_t pool)
{
    const struct job *first = NULL;
    for (uint32_t i = 0; i < q->core->work.lanes.used; i++) {
        const struct lane *lane = &q->core->work.lane[i];
        if (!table_live(&q->core->work.lanes, i) || !queue_first(&lane->waiting) || !comes_first(q, lane))
            continue;
        const struct job *job = heap_entry(queue_first(&lane->waiting), struct job, in_lane);
        struct question theirs = question_of(q->core, job);
        if (may_use(&theirs, pool) && (!first || lane_ahead(q->core, lane, &q->core->work.lane[first->lane])))
            first = job;
    }
    return first;
}

/* ---- bars ---- */

static struct option bars_of_place(const struct question *q, uint32_t pool_index, uint32_t a)
{
    const struct core *core = q->core;
    const struct pool *pool = &core->net.pool[pool_index];
    const struct alternative *alternative = &q->key->alternative[a];
    struct ask ask = ask_for(q->key->flags, alternative);
    int64_t run_ms = job_run_ms(q->job, alternative->rate);
    struct way way;
    bool open = place_way(core, q->job, q->shape, pool, &way);
    struct option o = {
        .pool = pool_index, .alternative = a, .cost = place_cost(pool, alternative, run_ms, &way)};
    o.bars = place_bars(core, q->shape, alternative, pool);
    if (!open && !(o.bars & BAR(CORRIDOR_DOWN)))
        o.bars |= BAR(CORRIDOR);
    if (!lawful(q, &o))
        o.bars |= BAR(RULE);
    if (!(o.bars & BAR(SIZE)))
        o.bars |= bars_of_room(pool, ask);
    if (!power_is_enough(core, pool, alternative->count, (o.bars & BAR(NODE_DOWN)) != 0))
        o.bars |= BAR(POWER);
    int64_t until_ms = waits_until(q);
    if (until_ms > 0 &&
        !plan_allows(core, q->key, alternative, pool_index, plan_threshold(core, q->lane->group, until_ms)))
        o.bars |= BAR(CHOICE);
    bool spared = q->shape->reach ? reserve_allows(core, q->job, pool_index, alternative->count)
                                  : reserve_leaves(core, q->job, pool_index, alternative->count);
    if (!spared)
        o.bars |= BAR(RESERVE);
    if (o.bars & (BAR(SIZE) | BAR(FULL) | BAR(NODE_DOWN)))
        return o; /* there is nothing to be kept for anybody */
    /* How long data would come that cannot is not known: it may be too long to pass a reservation. */
    int64_t end_ms = open ? core->now_ms + way.ms + run_ms : INT64_MAX;
    enum held_use use = place_use(core, pool, q->lane, q->job, end_ms);
    if (!pool_fits(pool, ask, use)) {
        assert(pool->reserved_for != INDEX_NONE);
        const struct lane *holder = &core->work.lane[pool->reserved_for];
        o.bars |= BAR(RESERVED);
        o.first = heap_entry(queue_first(&holder->waiting), struct job, in_lane)->row.id;
    }
    return o;
}

/* The same, and where jobs go strictly in turn whether it is this one's: with one more bar it would not be the only one. */
static struct option option_of(const struct question *q, uint32_t pool, uint32_t a)
{
    struct option o = bars_of_place(q, pool, a);
    bool several = (o.bars & (o.bars - 1)) != 0;
    if (several || q->core->work.row.fit != FIT_STRICT || q->job->row.state != JOB_QUEUED)
        return o;
    const struct job *before = who_is_before(q, pool);
    if (before) {
        o.bars |= BAR(TURN);
        o.first = before->row.id;
    }
    return o;
}

/* The bar that is named: that of the first stage that has one. */
static enum why_bar named(uint32_t bars)
{
    return bars ? (enum why_bar)__builtin_ctz(bars) : WHY_NOTHING;
}

static bool id_before(const struct core *core, uint32_t a, uint32_t b)
{
    return memcmp(&core->net.pool[a].row.id, &core->net.pool[b].row.id, sizeof(struct uuid)) < 0;
}

static bool cheaper(const struct core *core, const struct option *a, const struct option *b)
{
    return a->cost != b->cost ? a->cost < b->cost : id_before(core, a->pool, b->pool);
}

/* Whether a tells more than b. */
static bool tells_more(const struct core *core, const struct option *a, const struct option *b)
{
    uint32_t x = bars_table[named(a->bars)].stage, y = bars_table[named(b->bars)].stage;
    bool single_a = (a->bars & (a->bars - 1)) == 0, single_b = (b->bars & (b->bars - 1)) == 0;
    if (x != y)
        return x > y;
    if (single_a != single_b)
        return single_a;
    bool by_cost = a->bars == 0 || (a->bars == BAR(CHOICE) && b->bars == BAR(CHOICE));
    return by_cost ? cheaper(core, a, b) : id_before(core, a->pool, b->pool);
}

/* ---- which rule ---- */

static bool denies(enum rule_outcome outcome)
{
    return outcome == RULE_OUTCOME_DENIES || outcome == RULE_OUTCOME_REVIEW;
}

/* Rules that deny the option, each counted; an allow denies nothing. *only: the one without which it would be lawful,
 * RULES_NONE when there is no such one. */
static void count_denials(const struct question *q, const struct option *o, uint16_t count[RULES_MAX],
                          uint32_t *only)
{
    const struct core *core = q->core;
    const struct rules *rules = rulebook_rules(core);
    struct rule_facts facts;
    struct verdict verdict;
    uint32_t n = 0;
    bool covered = false;
    facts_of(q, o, &facts);
    (void)rules_judge(rules, &facts, core->book.row.judged_ms, &verdict);
    *only = RULES_NONE;
    for (uint32_t i = 0; i < rules->nrules; i++) {
        enum rule_outcome outcome = rule_consider(rules, i, &facts, core->book.row.judged_ms).outcome;
        covered |= outcome == RULE_OUTCOME_COVERS;
        if (rules->rule[i].kind == RULE_KIND_ALLOW || !denies(outcome))
            continue;
        count[i]++;
        *only = n++ == 0 ? i : RULES_NONE;
    }
    if (n > 1 || (rules->closes_border && verdict.cross_border && !covered))
        *only = RULES_NONE;
}

/* Names the rule, over all options that get as far as the rules. */
static void name_rule(const struct question *q, struct why *out)
{
    const struct core *core = q->core;
    const struct rules *rules = rulebook_rules(core);
    uint16_t count[RULES_MAX] = {0};
    uint32_t where[RULES_MAX]; /* a pool in which the job would start without the rule */
    uint32_t best = RULES_NONE, only;
    memset(where, 0xff, sizeof where);
    for (uint32_t i = 0; i < core->net.pools.used * q->nalternatives; i++) {
        struct option o = option_of(q, i / q->nalternatives, i % q->nalternatives);
        if (named(o.bars) != WHY_RULE)
            continue;
        count_denials(q, &o, count, &only);
        if (only != RULES_NONE && o.bars == BAR(RULE) &&
            (where[only] == INDEX_NONE || id_before(core, o.pool, where[only])))
            where[only] = o.pool;
    }
    for (uint32_t i = 0; i < rules->nrules; i++) {
        bool here = where[i] != INDEX_NONE, there = best != RULES_NONE && where[best] != INDEX_NONE;
        if (count[i] > 0 && (best == RULES_NONE || here > there || (here == there && count[i] > count[best])))
            best = i;
    }
    if (best == RULES_NONE)
        return; /* the border is closed: that may be all that is in the way */
    out->rule = best;
    out->denied = count[best];
    out->denies = &rules->rule[best];
    out->alone = where[best] != INDEX_NONE;
    if (out->alone)
        out->pool = core->net.pool[where[best]].row.id;
}

static void tell_rule(const struct question *q, const struct option *o, struct why *out)
{
    struct rule_facts facts;
    struct verdict verdict;
    facts_of(q, o, &facts);
    (void)rules_judge(rulebook_rules(q->core), &facts, q->core->book.row.judged_ms, &verdict);
    out->reason = verdict.reason;
    name_rule(q, out);
}

static void tell_choice(const struct question *q, const struct option *o, struct why *out)
{
    int64_t until_ms = waits_until(q);
    out->threshold = plan_threshold(q->core, q->lane->group, until_ms);
    out->hour = plan_hour(q->core, o->pool);
    out->latest_ms = until_ms;
    out->until_ms = q->core->plan.row.until_ms;
}

/* ---- terms ---- */

static struct why_terms terms_of(const struct question *q, const struct option *o)
{
    const struct core *core = q->core;
    const struct pool *pool = &core->net.pool[o->pool];
    const struct row_site *site = &core->net.site[pool->site.v].row;
    const struct alternative *a = &q->key->alternative[o->alternative];
    int64_t run_ms = job_run_ms(q->job, a->rate);
    struct way way;
    (void)place_way(core, q->job, q->shape, pool, &way);
    if (q->job->row.state == JOB_RUNNING && o->pool == q->job->pool)
        way.ms = q->job->row.transit_ms; /* what it was, not what it would be now */
    int64_t energy = pool_power(core, pool, site->price);
    int64_t carbon = pool_power(core, pool, carbon_cost(core, site->carbon));
    int128 chip_ms = (int128)(way.ms + run_ms) * a->count;
    return (struct why_terms){.pool = pool->row.id,
                              .alternative = o->alternative,
                              .bars = o->bars,
                              .run_ms = run_ms,
                              .chips = i64_clamp(pool->row.price * chip_ms / 3600000, INT64_MAX),
                              .energy = i64_clamp(energy * chip_ms / 3600000, INT64_MAX),
                              .carbon = i64_clamp(carbon * chip_ms / 3600000, INT64_MAX),
                              .transit_ms = way.ms,
                              .transfer = i64_clamp(way.cost, INT64_MAX)};
}

/* The cheapest size for a pool among those that it may ever have; false: there is none. */
static bool cheapest(const struct question *q, uint32_t pool, struct option *out)
{
    bool found = false;
    for (uint32_t a = 0; a < q->nalternatives; a++) {
        struct option o = option_of(q, pool, a);
        if ((o.bars & LASTING) || (found && o.cost >= out->cost))
            continue;
        *out = o;
        found = true;
    }
    return found;
}

/* `chosen` (may be NULL) comes first, then the cheapest of the others. */
static void tell_terms(const struct question *q, const struct option *chosen, struct why *out)
{
    struct option list[WHY_TERMS_MAX], o;
    uint32_t n = 0, first = chosen ? 1 : 0;
    if (chosen)
        list[n++] = *chosen;
    for (uint32_t i = 0; i < q->core->net.pools.used; i++) {
        if ((chosen && i == chosen->pool) || !cheapest(q, i, &o))
            continue;
        uint32_t at = n;
        while (at > first && cheaper(q->core, &o, &list[at - 1]))
            at--;
        if (at == WHY_TERMS_MAX)
            continue;
        n += n < WHY_TERMS_MAX;
        memmove(&list[at + 1], &list[at], (n - 1 - at) * sizeof list[0]);
        list[at] = o;
    }
    for (uint32_t i = 0; i < n; i++)
        out->terms[i] = terms_of(q, &list[i]);
    out->nterms = n;
}

/* ---- the answer ---- */

static void tell_waiting(const struct question *q, struct why *out)
{
    const struct core *core = q->core;
    struct option best = {.pool = INDEX_NONE};
    for (uint32_t i = 0; i < core->net.pools.used * q->nalternatives; i++) {
        struct option o = option_of(q, i / q->nalternatives, i % q->nalternatives);
        if (best.pool == INDEX_NONE || tells_more(core, &o, &best))
            best = o;
    }
    out->bar = WHY_SIZE; /* there is no pool at all */
    if (best.pool == INDEX_NONE)
        return;
    out->bar = named(best.bars);
    out->alone = (best.bars & (best.bars - 1)) == 0;
    out->pool = core->net.pool[best.pool].row.id;
    out->alternative = best.alternative;
    out->job = best.first;
    if (out->bar == WHY_RULE)
        tell_rule(q, &best, out);
    if (out->bar == WHY_CHOICE)
        tell_choice(q, &best, out);
    tell_terms(q, best.bars == 0 ? &best : NULL, out);
}

/* It is in no queue yet: whatever else there is comes after that. */
static void tell_parked(const struct question *q, struct why *out)
{
    const struct follow *f = &q->core->follow;
    struct uuid first;
    uint32_t n = follow_waits_for(q->core, q->job, &first);
    bool after = n > 0 || q->job->array == INDEX_NONE;
    out->alone = out->bar == WHY_NOTHING && n < 2;
    out->bar = after ? WHY_AFTER : WHY_ARRAY;
    out->job = after ? first : f->array[q->job->array].row.id;
}

int why_job(const struct core *core, const struct uuid *id, struct why *out)
{
    struct job_id job = job_by_id(core, id);
    *out = (struct why){.rule = RULES_NONE};
    if (job.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct question q = question_of(core, &core->work.job[job.v]);
    out->state = q.job->row.state;
    if (out->state == JOB_QUEUED) {
        tell_waiting(&q, out);
        if (q.job->parked)
            tell_parked(&q, out);
        return 0;
    }
    struct option chosen = {.pool = q.job->pool, .alternative = q.job->row.alternative};
    out->bar = WHY_NOTHING;
    out->pool = q.job->row.pool;
    out->alternative = q.job->row.alternative;
    tell_terms(&q, &chosen, out);
    return 0;
}

/* ---- a job that is not there ---- */

/* It, and the lane and shape that it would have: those of core are left alone. */
struct imagined {
    struct job job;
    struct lane lane;
    struct shape shape;
};

/* Its lane has the key of that which it would have, and the job in its queue if it would be the first there. */
static void imagine_lane(const struct core *core, uint32_t tenant, struct imagined *out)
{
    const struct work *w = &core->work;
    const uint32_t key[2] = {tenant, map_get(&w->shape_map, &out->shape.key, sizeof out->shape.key)};
    const uint32_t real = map_get(&w->lane_map, key, sizeof key);
    const struct queue_node *first = real == MAP_NONE ? NULL : queue_first(&w->lane[real].waiting);
    out->lane.tenant = tenant;
    out->lane.shape = key[1];
    out->lane.group = plan_group_of(core, &out->shape.key);
    out->job.held = out->lane.group != INDEX_NONE && out->job.latest_ms > core->now_ms;
    if (!out->job.held && (!first || queue_before(&out->job.in_lane, first)))
        queue_add(&out->lane.waiting, &out->job.in_lane);
}

static void imagine(const struct core *core, const struct event_job_submit *e, struct tenant_id tenant,
                    struct imagined *out)
{
    struct job *job = &out->job;
    struct shape *shape = &out->shape;
    while (shape->nalternatives < ALTERNATIVES && shape->key.alternative[shape->nalternatives].count > 0)
        shape->nalternatives++;
    job->row.id = e->job;
    job->row.tenant = e->tenant;
    job_take_terms(&job->row, e);
    habit_estimate(core, &job->row);
    job->row.sequence = core->work.row.jobs + 1;
    job->row.state = JOB_QUEUED;
    job->row.submitted_ms = core->now_ms;
    job->latest_ms = job_latest_of(job, shape);
    lane_seat(core, job);
    imagine_lane(core, tenant.v, out);
}

int why_request(const struct core *core, const struct event_job_submit *e, struct why *out,
                struct why_terms *places, uint32_t cap, uint32_t *n)
{
    struct imagined it = {.shape = {.reach = NULL}};
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    struct option o;
    *out = (struct why){.rule = RULES_NONE, .state = JOB_QUEUED};
    *n = 0;
    if (tenant.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    int rc = work_terms_hold(e) ? shape_read(core, e, tenant, INDEX_NONE, &it.shape.key) : ERR_INVALID;
    if (rc != 0)
        return rc;
    if (it.shape.key.source != INDEX_NONE)
        return ERR_UNSUPPORTED; /* which corridors rules close is known of shapes of core only */
    imagine(core, e, tenant, &it);
    const struct question q = {core, &it.job, &it.lane, &it.shape, &it.shape.key, it.shape.nalternatives};
    tell_waiting(&q, out);
    for (uint32_t i = 0; i < core->net.pools.used && *n < cap; i++) {
        if (cheapest(&q, i, &o))
            places[(*n)++] = terms_of(&q, &o);
    }
    return 0;
}
