/* SPDX-License-Identifier: Apache-2.0 */
#include "core/denial.h"

#include <assert.h>
#include <string.h>

#include "core/kinds.h"
#include "core/month.h"
#include "core/state.h"
#include "core/why.h"

#define UNTOLD 16 /* cells without tenant and rule: of each work and way, on two days */
#define KEY_LEN offsetof(struct row_denial, count)
#define BORDER RULES_MAX /* the bit of the closed border */
/* That a pool is not what was asked for, whatever it does now. */
#define NOT_ASKED \
    (1u << WHY_SITE | 1u << WHY_JURISDICTION | 1u << WHY_VENDOR | 1u << WHY_CHIP | 1u << WHY_ISOLATION | \
     1u << WHY_SIZE)

_Static_assert(DENIED_BY_WORDS * 64 > BORDER, "a bit for each rule, and one for the border");

static bool denial_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct denial *)table)[i].row, key, len) == 0;
}

void denials_carve(struct core *core, struct arena *arena)
{
    CARVE(core, denials.table, denials.denial, DENIALS_MAX + UNTOLD);
    index_init(&core->denials.map, arena, DENIALS_MAX + UNTOLD, denial_equal, core->denials.denial);
}

void denials_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct denials *d = &core->denials;
    for (uint32_t k = 0; k < d->table.ndirty; k++) {
        bool dead;
        uint32_t i = table_changed(&d->table, k, &dead);
        fn(ctx, ROW_KIND_denial, ROW_ADD, &d->denial[i].row);
        map_remove(&d->map, &d->denial[i].row, KEY_LEN);
        table_drop(&d->table, i);
    }
    table_clean(&d->table);
}

/* ---- counting ---- */

static uint32_t cell_of(struct core *core, const struct row_denial *key)
{
    struct denials *d = &core->denials;
    uint32_t i = map_get(&d->map, key, KEY_LEN);
    if (i != MAP_NONE)
        return i;
    if (!uuid_zero(&key->tenant) && d->table.live >= DENIALS_MAX) {
        const struct row_denial untold = {.day = key->day, .what = key->what, .how = key->how};
        return cell_of(core, &untold);
    }
    i = table_take(&d->table);
    assert(i != INDEX_NONE); /* there is a place for each that is told without its tenant */
    d->denial[i].row = *key;
    map_put(&d->map, &d->denial[i].row, KEY_LEN, i);
    return i;
}

/* `rule`: RULES_NONE, or BORDER: the closed border. */
static void count(struct core *core, const struct job *job, enum denied_how how, uint32_t rule)
{
    struct row_denial key = {.day = (uint64_t)(core->now_ms / DAY_MS), .tenant = job->row.tenant, .how = how};
    const struct rules *rules = rulebook_rules(core);
    key.what = job->row.flags & JOB_REPLICA ? DENIED_REPLICA : DENIED_JOB;
    if (rule < rules->nrules) {
        memcpy(key.rule, rules->rule[rule].id, sizeof key.rule);
        (void)text_set(key.cite, sizeof key.cite, rules->rule[rule].cite,
                       text_len(rules->rule[rule].cite, sizeof rules->rule[rule].cite));
    }
    core->denials.denial[cell_of(core, &key)].row.count++;
}

/* ---- which rule ---- */

static uint32_t named(const struct core *core, const struct rule_facts *facts)
{
    struct verdict verdict;
    if (rules_judge(rulebook_rules(core), facts, core->book.row.judged_ms, &verdict) == 0)
        return RULES_NONE;
    return verdict.rule == RULES_NONE ? BORDER : verdict.rule;
}

/* RULES_NONE: none denies the pool. */
static uint32_t denier(const struct core *core, const struct shape_key *key, uint32_t alternative,
                       uint32_t pool)
{
    struct rule_facts facts;
    if (key->deployment != INDEX_NONE) {
        const struct deployment *d = &core->deployment[key->deployment];
        rule_facts_of_deployment(core, pool, &core->model[d->model.v].row, d->row.chips, &facts);
        return named(core, &facts);
    }
    rule_facts_of_work(core, key, key->tenant, alternative, &facts);
    rule_facts_of_pool(core, pool, &facts);
    return named(core, &facts);
}

/* Who denies the shape what, kept with it until the network or the rules are others. */
static void find(struct core *core, struct shape *shape)
{
    const uint64_t *lawful = shape_lawful(core, shape);
    uint32_t asked = 0, left = 0;
    shape->denied = core->net.version;
    memset(shape->by, 0, sizeof shape->by);
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        for (uint32_t i = 0; i < core->net.pools.used; i++) {
            if (place_bars(core, shape, &shape->key.alternative[a], &core->net.pool[i]) & NOT_ASKED)
                continue;
            asked++;
            if (bit_of(lawful + (size_t)a * core->work.pool_words, i)) {
                left++;
                continue;
            }
            uint32_t by = denier(core, &shape->key, a, i);
            assert(by != RULES_NONE);
            shape->by[by / 64] |= UINT64_C(1) << by % 64;
        }
    }
    shape->nowhere = asked > 0 && left == 0;
}

void denial_arrives(struct core *core, const struct job *job)
{
    struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
    if (rulebook_rules(core)->nrules == 0)
        return;
    if (shape->denied != core->net.version)
        find(core, shape);
    for (uint32_t k = 0; k < DENIED_BY_WORDS; k++) {
        for (uint64_t bits = shape->by[k]; bits; bits &= bits - 1)
            count(core, job, shape->nowhere ? DENIED_EVERYWHERE : DENIED_SOMEWHERE,
                  k * 64 + (uint32_t)__builtin_ctzll(bits));
    }
}

/* The place is the first to be asked about; where that is allowed it is a corridor that its data come over. */
static uint32_t stopper(struct core *core, const struct job *job)
{
    struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
    const uint64_t *closed = shape_closed(core, shape);
    uint32_t by = denier(core, &shape->key, job->row.alternative, job->pool);
    for (uint32_t i = 0; by == RULES_NONE && closed && i < core->net.corridors.used; i++) {
        if (!bit_of(closed, i) || !transit_over(core, job, i))
            continue;
        struct rule_facts facts;
        rule_facts_of_work(core, &shape->key, shape->key.tenant, 0, &facts);
        rule_facts_of_corridor(core, i, &facts);
        by = named(core, &facts);
    }
    return by;
}

void denial_stops(struct core *core, const struct job *job)
{
    count(core, job, DENIED_STOPPED, stopper(core, job));
}

/* ---- what others see ---- */

static uint32_t waiter(struct core *core, const struct job *job)
{
    struct shape *shape = &core->work.shape[core->work.lane[job->lane].shape];
    if (shape->denied != core->net.version)
        find(core, shape);
    for (uint32_t k = 0; shape->nowhere && k < DENIED_BY_WORDS; k++) {
        if (shape->by[k])
            return k * 64 + (uint32_t)__builtin_ctzll(shape->by[k]);
    }
    return RULES_NONE;
}

bool core_denied(struct core *core, const struct uuid *id, struct denied *out)
{
    const struct rules *rules = rulebook_rules(core);
    struct job_id i = job_by_id(core, id);
    *out = (struct denied){.rule = "", .cite = ""};
    if (i.v == INDEX_NONE)
        return false;
    const struct job *job = &core->work.job[i.v];
    if (rules->nrules == 0 || (job->row.state == JOB_RUNNING && job_is_held(core, job)))
        return true;
    uint32_t by = job->row.state == JOB_RUNNING ? stopper(core, job) : waiter(core, job);
    out->denied = by != RULES_NONE;
    if (by < rules->nrules) {
        out->rule = rules->rule[by].id;
        out->cite = rules->rule[by].cite;
    }
    return true;
}
