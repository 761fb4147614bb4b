/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random rule files and random facts, judged a second time by an evaluator that shares nothing with core/rules: it
 * works on what the file was written from, holds every value as text, and asks of each condition whether it can hold
 * and whether it must, instead of reckoning with three values.
 */
#include "support.h"

#include "core/rules.h"

#define ATTRS 10u
#define VALUES 4u
#define RULES_N 8u
#define CONDITIONS_N 3u

/* Few attributes and few values, so that conditions meet. The first four make a border. */
static const struct {
    const char *name;
    char type; /* t: text, n: number, m: thousandths, f: flag */
    const char *values[VALUES];
} attrs[ATTRS] = {
    {"site.jurisdiction", 't', {"CN", "FR", "US", "CN"}},
    {"tenant.jurisdiction", 't', {"CN", "FR", "US", "CN"}},
    {"data.home", 't', {"CN", "FR", "US", "CN"}},
    {"corridor.crosses_border", 'f', {"yes", "no", "no", "no"}},
    {"data.class", 't', {"a", "b", "a.b", "CN"}},
    {"tenant.licence", 't', {"a", "b", "x-1", "CN"}},
    {"chip.tpp", 'n', {"0", "1600", "4800", "9223372036854775807"}},
    {"job.chips", 'n', {"0", "1600", "4800", "7"}},
    {"chip.density", 'm', {"5.92", "5.919", "0", "16"}},
    {"site.name", 't', {"a", "b", "CN", "x-1"}},
};
static const char *const dates[] = {"2023-11-17", "2025-08-02T06:00:00Z", "2026-01-15", "2027-01-01"};
static const char *const kinds[] = {"deny", "require", "allow"};

struct condition {
    uint32_t attr, op; /* index into `ops` */
    int other;         /* attribute, or -1 */
    uint32_t nvalues;
    const char *values[VALUES];
};
static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">=", "in", "not-in", "known", "unknown"};

struct made_rule {
    uint32_t kind, nwhen, nthat;
    int from, until; /* index into `dates`, or -1 */
    struct condition when[CONDITIONS_N], that[CONDITIONS_N];
};

struct made {
    uint64_t seed;
    struct made_rule rule[RULES_N];
    uint32_t nrules;
    char text[16384];
    size_t len;
    const char *fact[ATTRS]; /* NULL: not known */
};

static struct rules rules;

/* ---- making ---- */

__attribute__((format(printf, 2, 3))) static void say(struct made *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(m->text + m->len, sizeof m->text - m->len, format, args);
    va_end(args);
    m->len += (size_t)n;
    assert_true(m->len < sizeof m->text);
}

static uint32_t below(struct made *m, uint32_t n)
{
    return (uint32_t)test_below(&m->seed, n);
}

static void make_condition(struct made *m, struct condition *c)
{
    static const char *const gaps[] = {" ", "\n  ", " # why\n\t", "  "};
    *c = (struct condition){.attr = below(m, ATTRS), .other = -1};
    char type = attrs[c->attr].type;
    do
        c->op = below(m, 10);
    while ((type == 't' && c->op >= 2 && c->op <= 5) || (type == 'f' && c->op >= 2 && c->op <= 7));
    say(m, "%s%s%s", attrs[c->attr].name, gaps[below(m, 4)], ops[c->op]);
    if (c->op >= 8)
        return;
    uint32_t other = below(m, ATTRS);
    if (c->op < 6 && below(m, 3) == 0 && attrs[other].type == type) {
        c->other = (int)other;
        say(m, " %s", attrs[other].name);
        return;
    }
    c->nvalues = c->op < 6 ? 1 : 1 + below(m, VALUES);
    for (uint32_t i = 0; i < c->nvalues; i++) {
        bool quote = type == 't' && below(m, 2);
        c->values[i] = attrs[c->attr].values[below(m, VALUES)];
        say(m, "%s%s%s%s",
            i           ? ", "
            : c->op < 6 ? gaps[below(m, 4)]
                        : " [",
            quote ? "\"" : "", c->values[i], quote ? "\"" : "");
    }
    if (c->op >= 6)
        say(m, "]");
}

static uint32_t make_conditions(struct made *m, const char *word, struct condition *list)
{
    uint32_t n = 1 + below(m, CONDITIONS_N);
    for (uint32_t i = 0; i < n; i++) {
        say(m, "\n    %s ", i ? "and" : word);
        make_condition(m, &list[i]);
    }
    return n;
}

static void make_rules(struct made *m)
{
    m->len = 0;
    m->nrules = below(m, RULES_N + 1);
    for (uint32_t i = 0; i < m->nrules; i++) {
        struct made_rule *r = &m->rule[i];
        *r = (struct made_rule){.kind = below(m, 5), .from = -1, .until = -1};
        r->kind = r->kind > 2 ? r->kind - 3 : r->kind;
        say(m, "%s r%u", kinds[r->kind], i);
        if (below(m, 4) == 0)
            say(m, " from %s", dates[r->from = (int)below(m, 3)]);
        if (below(m, 4) == 0)
            say(m, " until %s", dates[r->until = r->from + 1 + (int)below(m, 3u - (uint32_t)r->from)]);
        if (r->kind != 1 || below(m, 3))
            r->nwhen = make_conditions(m, "when", r->when);
        if (r->kind == 1)
            r->nthat = make_conditions(m, "that", r->that);
        say(m, "\n because \"b\" cite \"c\"\n");
    }
}

static void make_facts(struct made *m, struct rule_facts *facts)
{
    rule_facts_clear(facts);
    for (uint32_t i = 0; i < ATTRS; i++) {
        char text[96];
        m->fact[i] = below(m, 5) == 0 ? NULL : attrs[i].values[below(m, VALUES)];
        int n = snprintf(text, sizeof text, "%s=%s", attrs[i].name, m->fact[i] ? m->fact[i] : "");
        assert_int_equal(rule_facts_read(facts, text, (size_t)n), 0);
        /* The facts borrow their text, and this one goes. */
        enum rule_attr attr = rule_attr_find(attrs[i].name, strlen(attrs[i].name));
        if (m->fact[i] && attrs[i].type == 't')
            rule_facts_text(facts, attr, m->fact[i], 64);
    }
}

/* ---- the other evaluator ---- */

/* -1, 0, 1; numbers are compared as text, the point aligned. */
static int compare(const char *a, const char *b)
{
    size_t a_whole = strcspn(a, "."), b_whole = strcspn(b, ".");
    if (a_whole != b_whole)
        return a_whole < b_whole ? -1 : 1;
    int order = strcmp(a, b);
    return order < 0 ? -1 : order > 0;
}

static bool plain(const struct condition *c, const char *left, const char *right)
{
    bool member = false;
    if (c->op >= 6) {
        for (uint32_t i = 0; i < c->nvalues; i++)
            member = member || strcmp(left, c->values[i]) == 0;
        return member == (c->op == 6);
    }
    int order = compare(left, right);
    const bool answers[] = {order == 0, order != 0, order<0, order <= 0, order> 0, order >= 0};
    return answers[c->op];
}

/* Whether all can hold, where `doubt` says what becomes of a condition on an unknown value. */
static bool all(const struct made *m, const struct condition *list, uint32_t n, bool doubt)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct condition *c = &list[i];
        const char *left = m->fact[c->attr];
        const char *right = c->other >= 0 ? m->fact[c->other] : c->nvalues ? c->values[0] : "";
        bool holds = c->op >= 8      ? (left != NULL) == (c->op == 8)
                     : left && right ? plain(c, left, right)
                                     : doubt;
        if (!holds)
            return false;
    }
    return true;
}

static bool crosses(const struct made *m)
{
    const char *site = m->fact[0], *tenant = m->fact[1], *home = m->fact[2], *corridor = m->fact[3];
    bool at_home = site && tenant && strcmp(site, tenant) == 0 && (!home || strcmp(site, home) == 0) &&
                   (!corridor || strcmp(corridor, "no") == 0);
    return !at_home;
}

struct opinion {
    enum verdict_reason reason;
    uint32_t rule;
};

static struct opinion think(const struct made *m, int64_t at_ms)
{
    bool abroad = crosses(m), any_allow = false;
    uint32_t certain = RULES_NONE, doubtful = RULES_NONE, covers = RULES_NONE, might = RULES_NONE;
    for (uint32_t i = m->nrules; i-- > 0;) {
        const struct made_rule *r = &m->rule[i];
        int64_t from = INT64_MIN, until = INT64_MAX;
        any_allow = any_allow || r->kind == 2;
        if ((r->from >= 0 && !rule_date_parse(dates[r->from], strlen(dates[r->from]), &from)) ||
            (r->until >= 0 && !rule_date_parse(dates[r->until], strlen(dates[r->until]), &until)))
            fail();
        if (at_ms < from || at_ms >= until)
            continue;
        bool must = all(m, r->when, r->nwhen, false), can = all(m, r->when, r->nwhen, abroad);
        if (r->kind == 2) {
            covers = must ? i : covers;
            might = can ? i : might;
            continue;
        }
        /* A deny is a require of what never holds. */
        bool that_must = r->kind == 1 && all(m, r->that, r->nthat, false);
        bool that_can = r->kind == 1 && all(m, r->that, r->nthat, abroad);
        certain = must && !that_can ? i : certain;
        doubtful = can && !that_must ? i : doubtful;
    }
    bool closed = any_allow && abroad && covers == RULES_NONE;
    if (certain != RULES_NONE)
        return (struct opinion){VERDICT_DENIED, certain};
    if (closed && might == RULES_NONE)
        return (struct opinion){VERDICT_CLOSED, RULES_NONE};
    if (doubtful != RULES_NONE)
        return (struct opinion){VERDICT_REVIEW, doubtful};
    return closed ? (struct opinion){VERDICT_REVIEW, might}
                  : (struct opinion){VERDICT_ALLOWED, abroad ? covers : RULES_NONE};
}

/* ---- the two against each other ---- */

static int64_t make_time(struct made *m)
{
    int64_t ms;
    const char *date = dates[below(m, 4)];
    assert_true(rule_date_parse(date, strlen(date), &ms));
    return ms + (int64_t)below(m, 3) - 1;
}

static void check(const struct made *m, const struct rule_facts *facts, int64_t at_ms)
{
    struct verdict v, later;
    struct opinion o = think(m, at_ms);
    (void)rules_judge(&rules, facts, at_ms, &v);
    if (v.reason != o.reason || v.rule != o.rule || v.cross_border != crosses(m)) {
        for (uint32_t i = 0; i < ATTRS; i++)
            print_message("%s=%s\n", attrs[i].name, m->fact[i] ? m->fact[i] : "");
        fail_msg("%s by rule %d, but this test thinks: %s by %d\n%s", verdict_reason_text(v.reason),
                 (int)v.rule, verdict_reason_text(o.reason), (int)o.rule, m->text);
    }
    /* Until the next change the verdict stands. */
    int64_t next = rules_next_change_ms(&rules, at_ms);
    assert_true(next > at_ms);
    (void)rules_judge(&rules, facts, next - 1, &later);
    assert_true(later.reason == v.reason && later.rule == v.rule && later.condition == v.condition);
}

static void give_place(void *ctx, uint32_t place, struct rule_facts *facts)
{
    const struct rule_facts *all_facts = ctx;
    for (enum rule_attr i = 0; i < RULE_ATTRS_N; i++) {
        if (rule_attr_side(i) == RULE_OF_PLACE)
            facts->v[i] = all_facts[place].v[i];
    }
}

static void check_mask(const struct rule_facts *list, uint32_t n, int64_t at_ms)
{
    struct rule_facts work = list[0];
    uint64_t words[2] = {0};
    for (enum rule_attr i = 0; i < RULE_ATTRS_N; i++) {
        if (rule_attr_side(i) == RULE_OF_PLACE)
            work.v[i] = (struct rule_value){0};
    }
    rules_mask(&rules, &work, at_ms, give_place, (void *)list, n, words);
    for (uint32_t i = 0; i < n; i++) {
        struct rule_facts facts = work;
        struct verdict v;
        give_place((void *)list, i, &facts);
        assert_int_equal(words[i / 64] >> i % 64 & 1, rules_judge(&rules, &facts, at_ms, &v) == 0);
    }
}

/* What is formatted and read again is the same condition. */
static void check_words(void)
{
    for (uint32_t r = 0; r < rules.nrules; r++) {
        const struct rule_condition *c;
        for (uint32_t k = 0; (c = rule_condition_at(&rules.rule[r], k)) != NULL; k++) {
            static struct rules again;
            static struct rule_errors errors;
            static _Alignas(16) uint8_t block[1 << 20];
            struct arena arena;
            char text[512], twice[512], file[600];
            rule_condition_format(&rules, c, text, sizeof text);
            int n = snprintf(file, sizeof file, "deny a when %s because \"b\" cite \"c\"", text);
            arena_init(&arena, block, sizeof block);
            assert_int_equal(rules_init(&again, &arena), 0);
            assert_int_equal(rules_parse(&again, file, (size_t)n, &errors), 0);
            rule_condition_format(&again, &again.rule[0].when[0], twice, sizeof twice);
            assert_string_equal(text, twice);
            assert_true(c->attr == again.rule[0].when[0].attr && c->op == again.rule[0].when[0].op &&
                        c->other == again.rule[0].when[0].other && c->n == again.rule[0].when[0].n);
        }
    }
}

static void rules_against_model(void **state)
{
    (void)state;
    static struct made m;
    static struct rule_errors errors;
    static _Alignas(16) uint8_t block[1 << 20];
    struct arena arena;
    uint64_t seen[4] = {0}, files = test_count(5000, 50000);
    arena_init(&arena, block, sizeof block);
    assert_int_equal(rules_init(&rules, &arena), 0);
    m.seed = test_seed();
    for (uint64_t i = 0; i < files; i++) {
        struct rule_facts list[40];
        make_rules(&m);
        if (rules_parse(&rules, m.text, m.len, &errors) != 0)
            fail_msg("%u:%u: %s\n%s", errors.list[0].line, errors.list[0].column, errors.list[0].text,
                     m.text);
        assert_int_equal(rules.nrules, m.nrules);
        for (uint32_t k = 0; k < 40; k++) {
            int64_t at_ms = make_time(&m);
            make_facts(&m, &list[k]);
            check(&m, &list[k], at_ms);
            seen[think(&m, at_ms).reason]++;
        }
        check_mask(list, 40, make_time(&m));
        if (i % 50 == 0)
            check_words();
    }
    print_message("# %llu cases: %llu allowed, %llu denied, %llu closed, %llu to review\n",
                  (unsigned long long)files * 40, (unsigned long long)seen[VERDICT_ALLOWED],
                  (unsigned long long)seen[VERDICT_DENIED], (unsigned long long)seen[VERDICT_CLOSED],
                  (unsigned long long)seen[VERDICT_REVIEW]);
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_against_model)};
    return cmocka_run_group_tests_name("property_rules", tests, NULL, NULL);
}
