/* SPDX-License-Identifier: Apache-2.0 */
/* Judging: three-valued conditions, findings of single rules, the verdict of all. */
#include "core/rules.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum truth { NO, MAYBE, YES };

int rules_init(struct rules *rules, struct arena *arena)
{
    size_t before = arena->used;
    *rules = (struct rules){0};
    rules->rule = arena_take(arena, sizeof(struct rule) * RULES_MAX);
    rules->literal = arena_take(arena, sizeof(struct rule_literal) * RULE_LITERALS_MAX);
    /* A counting arena gives NULL too: what was used tells the two apart. */
    size_t taken = arena->used - before;
    return taken >= sizeof(struct rule) * RULES_MAX + sizeof(struct rule_literal) * RULE_LITERALS_MAX
               ? 0
               : ERR_LIMIT;
}

size_t rules_size(void)
{
    struct rules rules;
    struct arena arena;
    arena_init(&arena, NULL, SIZE_MAX);
    (void)rules_init(&rules, &arena);
    return arena.used;
}

void rules_place(struct rules *rules, void *block)
{
    struct arena arena;
    arena_init(&arena, block, rules_size());
    int rc = rules_init(rules, &arena);
    assert(rc == 0); /* the block is as large as rules_size says */
    (void)rc;
}

/* ---- conditions ---- */

static bool ordered(enum rule_op op, int64_t a, int64_t b)
{
    switch (op) {
    case RULE_OP_LT:
        return a < b;
    case RULE_OP_LE:
        return a <= b;
    case RULE_OP_GT:
        return a > b;
    default:
        assert(op == RULE_OP_GE);
        return a >= b;
    }
}

static bool equal(enum rule_type type, const struct rule_value *a, const struct rule_value *b)
{
    return type == RULE_TYPE_TEXT ? text_eq(a->text, a->len, b->text, b->len) : a->number == b->number;
}

static struct rule_value literal_value(const struct rule_literal *literal)
{
    return (struct rule_value){
        .known = true, .len = literal->len, .text = literal->text, .number = literal->number};
}

static bool is_member(const struct rules *rules, const struct rule_condition *c,
                      const struct rule_value *value)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct rule_value literal = literal_value(&rules->literal[c->first + i]);
        if (equal(rule_attr_type(c->attr), value, &literal))
            return true;
    }
    return false;
}

static enum truth condition_holds(const struct rules *rules, const struct rule_condition *c,
                                  const struct rule_facts *facts)
{
    const struct rule_value *value = &facts->v[c->attr];
    if (c->op == RULE_OP_KNOWN || c->op == RULE_OP_UNKNOWN)
        return value->known == (c->op == RULE_OP_KNOWN) ? YES : NO;
    if (!value->known || (c->other != RULE_ATTRS_N && !facts->v[c->other].known))
        return MAYBE;
    if (c->op == RULE_OP_IN || c->op == RULE_OP_NOT_IN)
        return is_member(rules, c, value) == (c->op == RULE_OP_IN) ? YES : NO;
    struct rule_value right =
        c->other == RULE_ATTRS_N ? literal_value(&rules->literal[c->first]) : facts->v[c->other];
    bool holds = c->op == RULE_OP_EQ   ? equal(rule_attr_type(c->attr), value, &right)
                 : c->op == RULE_OP_NE ? !equal(rule_attr_type(c->attr), value, &right)
                                       : ordered(c->op, value->number, right.number);
    return holds ? YES : NO;
}

/* `and` over the list: its least; *which is the first condition that is as low, `base` added. */
static enum truth all_hold(const struct rules *rules, const struct rule_condition *list, uint32_t n,
                           const struct rule_facts *facts, uint32_t base, uint32_t *which)
{
    enum truth least = YES;
    *which = RULES_NONE;
    for (uint32_t i = 0; i < n && least != NO; i++) {
        enum truth holds = condition_holds(rules, &list[i], facts);
        if (holds < least) {
            least = holds;
            *which = base + i;
        }
    }
    return least;
}

/* ---- one rule ---- */

static bool asks_corridor(const struct rule_condition *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].attr == RULE_CORRIDOR_A || list[i].attr == RULE_CORRIDOR_B ||
            list[i].attr == RULE_CORRIDOR_CROSSES_BORDER || list[i].other == RULE_CORRIDOR_A ||
            list[i].other == RULE_CORRIDOR_B || list[i].other == RULE_CORRIDOR_CROSSES_BORDER)
            return true;
    }
    return false;
}

bool rule_asks_corridor(const struct rule *rule)
{
    return asks_corridor(rule->when, rule->nwhen) || asks_corridor(rule->that, rule->nthat);
}

bool rule_facts_cross_border(const struct rule_facts *facts)
{
    const struct rule_value *site = &facts->v[RULE_SITE_JURISDICTION];
    const struct rule_value *tenant = &facts->v[RULE_TENANT_JURISDICTION];
    const struct rule_value *home = &facts->v[RULE_DATA_HOME];
    const struct rule_value *crosses = &facts->v[RULE_CORRIDOR_CROSSES_BORDER];
    return !site->known || !tenant->known || !equal(RULE_TYPE_TEXT, site, tenant) ||
           (home->known && !equal(RULE_TYPE_TEXT, site, home)) || (crosses->known && crosses->number != 0);
}

static struct rule_finding finding(enum rule_outcome outcome, uint32_t condition)
{
    return (struct rule_finding){.outcome = outcome, .condition = condition};
}

/* A require whose `when` is not ruled out. */
static struct rule_finding require_finding(const struct rules *rules, const struct rule *rule,
                                           const struct rule_facts *facts, bool cross_border, enum truth when,
                                           uint32_t doubt)
{
    uint32_t which;
    enum truth that = all_hold(rules, rule->that, rule->nthat, facts, rule->nwhen, &which);
    if (that == YES)
        return finding(RULE_OUTCOME_MET, RULES_NONE);
    if (when == MAYBE)
        return finding(RULE_OUTCOME_REVIEW, doubt);
    return finding(that == MAYBE && cross_border ? RULE_OUTCOME_REVIEW : RULE_OUTCOME_DENIES, which);
}

static struct rule_finding consider(const struct rules *rules, const struct rule *rule,
                                    const struct rule_facts *facts, bool cross_border, int64_t at_ms)
{
    uint32_t which;
    if (at_ms < rule->from_ms)
        return finding(RULE_OUTCOME_EARLY, RULES_NONE);
    if (at_ms >= rule->until_ms)
        return finding(RULE_OUTCOME_LATE, RULES_NONE);
    if (facts->about != RULE_ABOUT_ALL && rule_asks_corridor(rule) != (facts->about == RULE_ABOUT_CORRIDOR))
        return finding(RULE_OUTCOME_APART, RULES_NONE);
    if (rule->kind == RULE_KIND_ALLOW && !cross_border)
        return finding(RULE_OUTCOME_DOMESTIC, RULES_NONE);
    enum truth when = all_hold(rules, rule->when, rule->nwhen, facts, 0, &which);
    if (when == NO)
        return finding(RULE_OUTCOME_APART, which);
    if (when == MAYBE && !cross_border)
        return finding(RULE_OUTCOME_UNKNOWN, which);
    if (rule->kind == RULE_KIND_REQUIRE)
        return require_finding(rules, rule, facts, cross_border, when, which);
    if (when == MAYBE)
        return finding(RULE_OUTCOME_REVIEW, which);
    return finding(rule->kind == RULE_KIND_ALLOW ? RULE_OUTCOME_COVERS : RULE_OUTCOME_DENIES, RULES_NONE);
}

struct rule_finding rule_consider(const struct rules *rules, uint32_t rule, const struct rule_facts *facts,
                                  int64_t at_ms)
{
    assert(rule < rules->nrules);
    return consider(rules, &rules->rule[rule], facts, rule_facts_cross_border(facts), at_ms);
}

/* ---- all rules ---- */

/* A finding kept until all rules are seen. */
struct kept {
    uint32_t rule;
    uint32_t condition;
};

static void keep_first(struct kept *kept, uint32_t rule, uint32_t condition)
{
    if (kept->rule == RULES_NONE)
        *kept = (struct kept){.rule = rule, .condition = condition};
}

static int decide(struct verdict *out, enum verdict_reason reason, struct kept by)
{
    out->reason = reason;
    out->allowed = reason == VERDICT_ALLOWED;
    out->rule = by.rule;
    out->condition = by.condition;
    return out->allowed ? 0 : ERR_FORBIDDEN;
}

/* `live` (may be NULL): only the rules whose bits are set can matter. */
static int judge(const struct rules *rules, const struct rule_facts *facts, int64_t at_ms,
                 const uint64_t *live, struct verdict *out)
{
    struct kept none = {RULES_NONE, RULES_NONE}, covers = none, review = none, allow_review = none;
    *out = (struct verdict){.cross_border = rule_facts_cross_border(facts)};
    for (uint32_t i = 0; i < rules->nrules; i++) {
        if (live && !(live[i / 64] >> i % 64 & 1))
            continue;
        const struct rule *rule = &rules->rule[i];
        struct rule_finding f = consider(rules, rule, facts, out->cross_border, at_ms);
        if (f.outcome == RULE_OUTCOME_DENIES)
            return decide(out, VERDICT_DENIED, (struct kept){i, f.condition});
        if (f.outcome == RULE_OUTCOME_COVERS)
            keep_first(&covers, i, f.condition);
        if (f.outcome == RULE_OUTCOME_REVIEW)
            keep_first(rule->kind == RULE_KIND_ALLOW ? &allow_review : &review, i, f.condition);
    }
    bool closed = rules->closes_border && out->cross_border && covers.rule == RULES_NONE &&
                  facts->about != RULE_ABOUT_CORRIDOR;
    if (closed && allow_review.rule == RULES_NONE)
        return decide(out, VERDICT_CLOSED, none);
    if (review.rule != RULES_NONE)
        return decide(out, VERDICT_REVIEW, review);
    return closed ? decide(out, VERDICT_REVIEW, allow_review) : decide(out, VERDICT_ALLOWED, covers);
}

int rules_judge(const struct rules *rules, const struct rule_facts *facts, int64_t at_ms, struct verdict *out)
{
    return judge(rules, facts, at_ms, NULL, out);
}

int64_t rules_next_change_ms(const struct rules *rules, int64_t at_ms)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < rules->nrules; i++) {
        int64_t from = rules->rule[i].from_ms, until = rules->rule[i].until_ms;
        if (from > at_ms && from < next)
            next = from;
        if (until > at_ms && until < next)
            next = until;
    }
    return next;
}

/* ---- a mask over places ---- */

/* Whether the work alone makes the rule's `when` false, wherever it runs. */
static bool ruled_out(const struct rules *rules, const struct rule *rule, const struct rule_facts *work)
{
    for (uint32_t i = 0; i < rule->nwhen; i++) {
        const struct rule_condition *c = &rule->when[i];
        bool of_work = rule_attr_side(c->attr) == RULE_OF_WORK &&
                       (c->other == RULE_ATTRS_N || rule_attr_side(c->other) == RULE_OF_WORK);
        if (of_work && condition_holds(rules, c, work) == NO)
            return true;
    }
    return false;
}

void rules_mask(const struct rules *rules, const struct rule_facts *work, int64_t at_ms, rule_place_fn *place,
                void *ctx, uint32_t n, uint64_t *words)
{
    uint64_t live[RULES_MAX / 64] = {0};
    for (uint32_t i = 0; i < rules->nrules; i++) {
        const struct rule *rule = &rules->rule[i];
        bool in_force = rule->from_ms <= at_ms && at_ms < rule->until_ms;
        if (in_force && !ruled_out(rules, rule, work))
            live[i / 64] |= UINT64_C(1) << i % 64;
    }
    memset(words, 0, ((size_t)n + 63) / 64 * sizeof *words);
    for (uint32_t i = 0; i < n; i++) {
        struct rule_facts facts = *work;
        struct verdict verdict;
        place(ctx, i, &facts);
        if (judge(rules, &facts, at_ms, live, &verdict) == 0)
            words[i / 64] |= UINT64_C(1) << i % 64;
    }
}
