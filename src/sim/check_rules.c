/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules in the checker: which are in force, from events alone, and whether work may run where it is put.
 *
 * The language itself is core/rules.h, which has its own tests; everything else is the checker's: the text put together from
 * its parts, the facts of work and place, the time. Facts that nobody gave are not known.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/kinds.h"
#include "core/rules.h"
#include "sim/checker_state.h"

struct check_rules {
    struct rules rules;
    struct rule_errors errors;
    void *block;
    struct uuid draft;
    uint32_t parts;
    uint32_t len;
    char *text;
    int64_t next_ms;
    bool changed; /* what runs was not looked at since */
};

bool checker_rules_new(struct checker *c)
{
    struct check_rules *r = c->rules = calloc(1, sizeof *r);
    if (!r)
        return false;
    r->block = aligned_alloc(ARENA_ALIGN, rules_size());
    r->text = malloc(RULES_TEXT_MAX);
    if (!r->block || !r->text)
        return false;
    rules_place(&r->rules, r->block);
    r->next_ms = INT64_MAX;
    return true;
}

void checker_rules_free(struct checker *c)
{
    if (!c->rules)
        return;
    free(c->rules->block);
    free(c->rules->text);
    free(c->rules);
}

/* ---- what is in force ---- */

static void accepted(struct checker *c, const char *words)
{
    checker_violate(c, CHECKER_ACCEPTED, NULL, NULL, NONE, "%s", words);
}

void checker_rules_put(struct checker *c, const struct event *event)
{
    const struct event_rules_put *e = &event->u.rules_put;
    struct check_rules *r = c->rules;
    uint32_t len = (uint32_t)text_len(e->text, sizeof e->text);
    if (e->part == 0) {
        r->draft = e->set;
        r->len = r->parts = 0;
    }
    if (e->part != r->parts || !uuid_eq(&r->draft, &e->set) || len > RULES_TEXT_MAX - r->len) {
        accepted(c, "a part of rules that does not follow the last one, or is too much");
        return;
    }
    memcpy(r->text + r->len, e->text, len);
    r->len += len;
    r->parts++;
}

/* From `at_ms` on other rules are in force than before. */
static void change(struct checker *c, int64_t at_ms)
{
    c->rules->next_ms = rules_next_change_ms(&c->rules->rules, at_ms);
    c->rules->changed = true;
}

void checker_rules_set(struct checker *c, const struct event *event)
{
    const struct event_rules_set *e = &event->u.rules_set;
    struct check_rules *r = c->rules;
    if (e->parts > 0 && (e->parts != r->parts || !uuid_eq(&r->draft, &e->set)))
        accepted(c, "rules of which not every part was there");
    if (rules_parse(&r->rules, r->text, e->parts > 0 ? r->len : 0, &r->errors) != 0)
        accepted(c, "rules that are not in order");
    r->draft = (struct uuid){{0}};
    r->len = r->parts = 0;
    change(c, event->at_ms);
}

/* ---- who ---- */

uint32_t checker_tenant_find(const struct checker *c, const struct uuid *id)
{
    return c->limits.tenants ? map_get(&c->tenant_map, id, sizeof *id) : NONE;
}

void checker_tenant_add(struct checker *c, const struct event *event)
{
    const struct event_tenant_add *e = &event->u.tenant_add;
    if (c->limits.tenants == 0)
        return; /* whoever made the checker has no rules on tenants */
    if (checker_tenant_find(c, &e->tenant) != NONE) {
        accepted(c, "a tenant that is there");
    } else if (c->ntenants == c->limits.tenants) {
        checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "too many tenants");
    } else {
        struct check_tenant *tenant = &c->tenant[c->ntenants];
        tenant->id = e->tenant;
        memcpy(tenant->name, e->name, sizeof tenant->name);
        memcpy(tenant->jurisdiction, e->jurisdiction, sizeof tenant->jurisdiction);
        memcpy(tenant->licence, e->licence, sizeof tenant->licence);
        map_put(&c->tenant_map, &tenant->id, sizeof tenant->id, c->ntenants++);
    }
}

/* ---- judging ---- */

static const char *kind_word(uint32_t kind)
{
    static const char *const words[] = {
#define J(name, number, text) [number] = (text),
        JOB_KINDS(J)
#undef J
    };
    return kind < sizeof words / sizeof words[0] ? words[kind] : "";
}

static void number(struct rule_facts *facts, enum rule_attr attr, uint64_t n)
{
    if (n > 0) /* 0 is how an event says that nobody knows */
        rule_facts_number(facts, attr, (int64_t)n);
}

static void facts_of_work(const struct checker *c, const struct check_job *job, struct rule_facts *facts)
{
    rule_facts_clear(facts);
    if (job->tenant != NONE) {
        const struct check_tenant *tenant = &c->tenant[job->tenant];
        rule_facts_text(facts, RULE_TENANT_NAME, tenant->name, sizeof tenant->name);
        rule_facts_text(facts, RULE_TENANT_JURISDICTION, tenant->jurisdiction, sizeof tenant->jurisdiction);
        rule_facts_text(facts, RULE_TENANT_LICENCE, tenant->licence, sizeof tenant->licence);
    }
    if (job->data_site != NONE)
        rule_facts_text(facts, RULE_DATA_HOME, c->site[job->data_site].told.jurisdiction, CODE_CAP);
    rule_facts_text(facts, RULE_DATA_CLASS, job->data_class, sizeof job->data_class);
    rule_facts_text(facts, RULE_JOB_KIND, kind_word(job->kind), NAME_CAP);
}

static void facts_of(const struct checker *c, const struct check_job *job, const struct check_pool *pool,
                     struct rule_facts *facts)
{
    const struct event_site_add *site = &c->site[pool->site].told;
    const struct event_chip_add *chip = &c->chip[pool->chip].told;
    facts_of_work(c, job, facts);
    facts->about = RULE_ABOUT_POOL;
    rule_facts_text(facts, RULE_SITE_NAME, site->name, sizeof site->name);
    rule_facts_text(facts, RULE_SITE_JURISDICTION, site->jurisdiction, sizeof site->jurisdiction);
    rule_facts_text(facts, RULE_SITE_REGION, site->region, sizeof site->region);
    rule_facts_text(facts, RULE_SITE_OWNER, site->owner, sizeof site->owner);
    rule_facts_text(facts, RULE_CHIP_NAME, chip->chip, sizeof chip->chip);
    rule_facts_text(facts, RULE_CHIP_VENDOR, chip->vendor, sizeof chip->vendor);
    rule_facts_text(facts, RULE_CHIP_ORIGIN, chip->origin, sizeof chip->origin);
    number(facts, RULE_CHIP_TPP, chip->tpp);
    number(facts, RULE_CHIP_DENSITY, chip->density);
    number(facts, RULE_CHIP_MEMORY_GIB, chip->memory_mib / 1024);
}

bool checker_lawful(const struct checker *c, uint32_t job, uint32_t pool, uint32_t chips, const char **rule)
{
    const struct rules *rules = &c->rules->rules;
    struct rule_facts facts;
    struct verdict verdict;
    if (rules->nrules == 0)
        return true;
    facts_of(c, &c->job[job], &c->pool[pool], &facts);
    rule_facts_number(&facts, RULE_JOB_CHIPS, chips);
    if (rules_judge(rules, &facts, c->now_ms, &verdict) == 0)
        return true;
    if (rule)
        *rule = verdict.rule == RULES_NONE ? "no allow covers it" : rules->rule[verdict.rule].id;
    return false;
}

bool checker_corridor_lawful(const struct checker *c, uint32_t job, uint32_t a, uint32_t b, const char **rule)
{
    const struct rules *rules = &c->rules->rules;
    const struct event_site_add *x = &c->site[a].told, *y = &c->site[b].told;
    struct rule_facts facts;
    struct verdict verdict;
    if (rules->nrules == 0)
        return true;
    facts_of_work(c, &c->job[job], &facts);
    facts.about = RULE_ABOUT_CORRIDOR;
    rule_facts_number(&facts, RULE_JOB_CHIPS, c->ask[c->job[job].ask].request.count[0]);
    rule_facts_text(&facts, RULE_CORRIDOR_A, x->name, sizeof x->name);
    rule_facts_text(&facts, RULE_CORRIDOR_B, y->name, sizeof y->name);
    if (x->jurisdiction[0] && y->jurisdiction[0]) {
        bool home = strncmp(x->jurisdiction, y->jurisdiction, CODE_CAP) == 0;
        rule_facts_number(&facts, RULE_CORRIDOR_CROSSES_BORDER, !home);
        if (home)
            rule_facts_text(&facts, RULE_SITE_JURISDICTION, x->jurisdiction, CODE_CAP);
    }
    if (rules_judge(rules, &facts, c->now_ms, &verdict) == 0)
        return true;
    if (rule)
        *rule = rules->rule[verdict.rule].id;
    return false;
}

bool checker_has_rules(const struct checker *c)
{
    return c->rules->rules.nrules > 0;
}

/* The chips of a job that runs: a judgement may turn on them. */
static uint32_t chips_of(const struct checker *c, const struct check_job *job)
{
    uint32_t chips = 0;
    for (uint32_t s = job->shares; s != NONE; s = c->share[s].next_of_job)
        chips += c->share[s].chips;
    return chips;
}

void checker_rules_again(struct checker *c)
{
    c->rules->changed = true;
}

void checker_rules_end_of_time(struct checker *c)
{
    const char *rule = "";
    if (c->now_ms >= c->rules->next_ms)
        change(c, c->now_ms);
    if (!c->rules->changed)
        return;
    c->rules->changed = false;
    for (uint32_t i = 0; i < c->njobs; i++) {
        const struct check_job *job = &c->job[i];
        if (job->state == CHECK_RUNS && !checker_is_held(c, i) &&
            !checker_lawful(c, i, job->pool, chips_of(c, job), &rule))
            checker_violate(c, CHECKER_FORBIDDEN_RUNS, &job->id, &c->pool[job->pool].id, NONE, "%s", rule);
    }
    checker_ways_lawful(c);
}
