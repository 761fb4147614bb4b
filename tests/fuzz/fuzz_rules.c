/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule files from any bytes: no read outside them, errors that lie in the file and in its order, and rules that can be
 * judged, written out and read again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/rules.h"
#include "tests/fuzz/split.h"

static struct rules rules, again;
static struct rule_errors errors, errors_again;

static void give_room(void)
{
    struct arena arena;
    arena_init(&arena, NULL, SIZE_MAX);
    assert(rules_init(&rules, &arena) == 0 && rules_init(&again, &arena) == 0);
    size_t size = arena.used;
    void *block = aligned_alloc(ARENA_ALIGN, size);
    assert(block);
    memset(block, 0xa5, size);
    arena_init(&arena, block, size);
    assert(rules_init(&rules, &arena) == 0 && rules_init(&again, &arena) == 0);
}

static void check_errors(const uint8_t *data, size_t size)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    assert(errors.n > 0 && rules.nrules == 0 && !rules.closes_border);
    for (uint32_t i = 0; i < errors.n && i < RULE_ERRORS_MAX; i++) {
        const struct rule_error *e = &errors.list[i];
        assert(e->line >= 1 && e->line <= lines && e->column >= 1 && e->column <= size + 1);
        assert(e->text[0] && memchr(e->text, 0, sizeof e->text));
        const struct rule_error *before = i > 0 ? e - 1 : e;
        assert(before->line < e->line || (before->line == e->line && before->column <= e->column));
    }
}

/* Facts from the bytes: the same file gives the same facts. */
static void make_facts(struct split *split, const uint8_t *data, size_t size, struct rule_facts *facts)
{
    rule_facts_clear(facts);
    for (enum rule_attr i = 0; i < RULE_ATTRS_N; i++) {
        size_t n = split_next(split, size);
        if (n % 3 == 0)
            continue;
        if (rule_attr_type(i) == RULE_TYPE_TEXT)
            rule_facts_text(facts, i, (const char *)data, n);
        else
            rule_facts_number(facts, i, rule_attr_type(i) == RULE_TYPE_FLAG ? n & 1 : (int64_t)n * 800);
    }
}

static void check_rules(const uint8_t *data, size_t size)
{
    struct split split;
    struct rule_facts facts;
    struct verdict v;
    split_init(&split, data, size);
    for (int round = 0; round < 4; round++) {
        int64_t at_ms = INT64_C(1700000000000) + round * INT64_C(30000000000);
        make_facts(&split, data, size, &facts);
        int rc = rules_judge(&rules, &facts, at_ms, &v);
        assert((rc == 0) == v.allowed && (v.rule < rules.nrules || v.rule == RULES_NONE));
        assert(rules_next_change_ms(&rules, at_ms) > at_ms);
        for (uint32_t i = 0; i < rules.nrules; i++) {
            char text[64];
            struct rule_finding f = rule_consider(&rules, i, &facts, at_ms);
            const struct rule_condition *c = rule_condition_at(&rules.rule[i], f.condition);
            assert((c == NULL) == (f.condition == RULES_NONE));
            if (c)
                rule_condition_format(&rules, c, text, sizeof text);
            assert(f.outcome != RULE_OUTCOME_DENIES || !v.allowed);
        }
    }
    for (uint32_t i = 0; i < rules.nrules; i++) {
        const struct rule *r = &rules.rule[i];
        assert(name_valid(r->id, text_len(r->id, sizeof r->id)) && r->because[0] && r->cite[0]);
        assert(r->from_ms < r->until_ms && r->nwhen <= RULE_CONDITIONS_MAX &&
               r->nthat <= RULE_CONDITIONS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rules.rule)
        give_room();
    int rc = rules_parse(&rules, (const char *)data, size, &errors);
    assert(rules_parse(&again, (const char *)data, size, &errors_again) == rc);
    assert(memcmp(&errors, &errors_again, sizeof errors) == 0 && rules.nrules == again.nrules);
    assert(memcmp(rules.rule, again.rule, rules.nrules * sizeof *rules.rule) == 0);
    assert(memcmp(rules.literal, again.literal, rules.nliterals * sizeof *rules.literal) == 0);
    if (rc != 0)
        check_errors(data, size);
    else if (size > 0)
        check_rules(data, size);
    return 0;
}
