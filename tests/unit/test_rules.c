/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: what each kind of rule means, dates, unknown values, the mask, and errors at the right place. */
#include "support.h"

#include <time.h>

#include "core/rules.h"

static struct rules rules;
static struct rule_errors errors;
static void *block;

#define BECAUSE " because \"b\" cite \"c\"\n"
#define HOME "site.jurisdiction=CN tenant.jurisdiction=CN"
#define ABROAD "site.jurisdiction=FR tenant.jurisdiction=CN"

static int setup(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, NULL, SIZE_MAX);
    assert_int_equal(rules_init(&rules, &arena), 0);
    size_t size = arena.used;
    block = aligned_alloc(ARENA_ALIGN, size);
    memset(block, 0xa5, size);
    arena_init(&arena, block, size - 1);
    assert_int_equal(rules_init(&rules, &arena), ERR_LIMIT);
    arena_init(&arena, block, size);
    assert_int_equal(rules_init(&rules, &arena), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(block);
    return 0;
}

static void parse(const char *text)
{
    if (rules_parse(&rules, text, strlen(text), &errors) != 0)
        fail_msg("%u:%u: %s\nin %s", errors.list[0].line, errors.list[0].column, errors.list[0].text, text);
}

/* ATTR=VALUE, with blanks between; the text must outlive the facts. */
static struct rule_facts facts_of(const char *text)
{
    struct rule_facts facts;
    rule_facts_clear(&facts);
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ");
        if (rule_facts_read(&facts, p, n) != 0)
            fail_msg("not a fact: %.*s", (int)n, p);
        p += n + strspn(p + n, " ");
    }
    return facts;
}

static int64_t date(const char *text)
{
    int64_t ms;
    assert_true(rule_date_parse(text, strlen(text), &ms));
    return ms;
}

/* ---- meaning ---- */

struct meaning {
    const char *rules, *facts, *at;
    enum verdict_reason reason;
    const char *id;  /* that decided; "": none */
    const char *why; /* the condition that settled it; "": none */
};

static const struct meaning meanings[] = {
    /* No rules, no bounds. */
    {"", ABROAD, "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"# nothing\n", "", "2026-01-01", VERDICT_ALLOWED, "", ""},
    /* Every operator, true and false. */
    {"deny d when site.name = a" BECAUSE, HOME " site.name=a", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when site.name = a" BECAUSE, HOME " site.name=A", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when site.name != a" BECAUSE, HOME " site.name=ab", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when site.name != a" BECAUSE, HOME " site.name=a", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when job.chips < 8" BECAUSE, HOME " job.chips=7", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when job.chips < 8" BECAUSE, HOME " job.chips=8", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when job.chips <= 8" BECAUSE, HOME " job.chips=8", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when job.chips <= 8" BECAUSE, HOME " job.chips=9", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when chip.density > 5.92" BECAUSE, HOME " chip.density=5.921", "2026-01-01", VERDICT_DENIED, "d",
     ""},
    {"deny d when chip.density > 5.92" BECAUSE, HOME " chip.density=5.920", "2026-01-01", VERDICT_ALLOWED, "",
     ""},
    {"deny d when chip.density >= 5.92" BECAUSE, HOME " chip.density=5.92", "2026-01-01", VERDICT_DENIED, "d",
     ""},
    {"deny d when chip.density >= 5.92" BECAUSE, HOME " chip.density=5.919", "2026-01-01", VERDICT_ALLOWED,
     "", ""},
    {"deny d when chip.density = 5" BECAUSE, HOME " chip.density=5.0", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when job.chips = 8" BECAUSE, HOME " job.chips=8", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when job.chips != 8" BECAUSE, HOME " job.chips=8", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when data.class in [a, \"b c\"]" BECAUSE, HOME " data.class=a", "2026-01-01", VERDICT_DENIED,
     "d", ""},
    {"deny d when data.class in [a, b]" BECAUSE, HOME " data.class=c", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when data.class not-in [a, b]" BECAUSE, HOME " data.class=c", "2026-01-01", VERDICT_DENIED, "d",
     ""},
    {"deny d when data.class not-in [a, b]" BECAUSE, HOME " data.class=b", "2026-01-01", VERDICT_ALLOWED, "",
     ""},
    {"deny d when job.chips in [1, 2, 4]" BECAUSE, HOME " job.chips=4", "2026-01-01", VERDICT_DENIED, "d",
     ""},
    {"deny d when data.class known" BECAUSE, HOME " data.class=x", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when data.class known" BECAUSE, HOME, "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when data.class unknown" BECAUSE, HOME, "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when data.class unknown" BECAUSE, HOME " data.class=x", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when corridor.crosses_border = yes" BECAUSE, HOME " corridor.crosses_border=yes", "2026-01-01",
     VERDICT_DENIED, "d", ""},
    {"deny d when corridor.crosses_border != yes" BECAUSE, HOME " corridor.crosses_border=no", "2026-01-01",
     VERDICT_DENIED, "d", ""},
    {"deny d when site.jurisdiction != data.home" BECAUSE, HOME " data.home=FR", "2026-01-01", VERDICT_DENIED,
     "d", ""},
    {"deny d when site.jurisdiction != data.home" BECAUSE, HOME " data.home=CN", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    {"deny d when job.chips > chip.tpp" BECAUSE, HOME " job.chips=2 chip.tpp=1", "2026-01-01", VERDICT_DENIED,
     "d", ""},
    /* Every condition must hold. */
    {"deny d when site.name = a and job.chips = 1" BECAUSE, HOME " site.name=a job.chips=2", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    {"deny d when site.name = a and job.chips = 1" BECAUSE, HOME " site.name=a job.chips=1", "2026-01-01",
     VERDICT_DENIED, "d", ""},
    /* require: what it asks for, only when it applies. */
    {"require r that model.licence known" BECAUSE, HOME, "2026-01-01", VERDICT_DENIED, "r",
     "model.licence known"},
    {"require r that model.licence known" BECAUSE, HOME " model.licence=mit", "2026-01-01", VERDICT_ALLOWED,
     "", ""},
    {"require r when data.class = health that site.name = a and site.owner = b" BECAUSE,
     HOME " data.class=health site.name=a site.owner=c", "2026-01-01", VERDICT_DENIED, "r",
     "site.owner = \"b\""},
    {"require r when data.class = health that site.name = a" BECAUSE, HOME " data.class=public site.name=b",
     "2026-01-01", VERDICT_ALLOWED, "", ""},
    /* deny overrides: where it stands does not matter, an allow does not lift it. */
    {"allow a when site.name known" BECAUSE "deny d when site.owner = x" BECAUSE,
     ABROAD " site.name=a site.owner=x", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d when site.owner = x" BECAUSE "allow a when site.name known" BECAUSE,
     ABROAD " site.name=a site.owner=x", "2026-01-01", VERDICT_DENIED, "d", ""},
    {"deny d1 when site.name = b" BECAUSE "deny d2 when site.name = a" BECAUSE
     "deny d3 when site.name = a" BECAUSE,
     HOME " site.name=a", "2026-01-01", VERDICT_DENIED, "d2", ""},
    /* allow: it opens a border that its being there closes; at home it means nothing. */
    {"allow a when site.name = x" BECAUSE, ABROAD " site.name=x", "2026-01-01", VERDICT_ALLOWED, "a", ""},
    {"allow a when site.name = x" BECAUSE, ABROAD " site.name=y", "2026-01-01", VERDICT_CLOSED, "", ""},
    {"allow a when site.name = x" BECAUSE, HOME " site.name=y", "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"allow a until 2025-01-01 when site.name = x" BECAUSE, ABROAD " site.name=x", "2026-01-01",
     VERDICT_CLOSED, "", ""},
    {"allow a from 2027-01-01 when site.name = x" BECAUSE, ABROAD " site.name=x", "2026-01-01",
     VERDICT_CLOSED, "", ""},
    {"allow a when site.name = x" BECAUSE "allow b when site.name = y" BECAUSE
     "allow c when site.name = y" BECAUSE,
     ABROAD " site.name=y", "2026-01-01", VERDICT_ALLOWED, "b", ""},
    {"allow a when site.name = x" BECAUSE, ABROAD, "2026-01-01", VERDICT_REVIEW, "a", "site.name = \"x\""},
    {"allow a when site.name = x" BECAUSE "allow b when tenant.licence unknown" BECAUSE, ABROAD, "2026-01-01",
     VERDICT_ALLOWED, "b", ""},
    /* Unknown at home: the condition does not hold, so a deny is silent and a requirement is not met. */
    {"deny d when chip.density >= 5.92" BECAUSE, HOME, "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when chip.vendor != x" BECAUSE, HOME, "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"deny d when chip.vendor not-in [x]" BECAUSE, HOME, "2026-01-01", VERDICT_ALLOWED, "", ""},
    {"require r that data.class = x" BECAUSE, HOME, "2026-01-01", VERDICT_DENIED, "r", "data.class = \"x\""},
    {"require r when data.class = x that site.name = a" BECAUSE, HOME " site.name=b", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    /* Unknown abroad: it needs review, unless something else settles the rule. */
    {"deny d when chip.tpp >= 1600 and chip.density >= 5.92" BECAUSE, ABROAD " chip.tpp=3840", "2026-01-01",
     VERDICT_REVIEW, "d", "chip.density >= 5.92"},
    {"deny d when chip.tpp >= 1600 and chip.density >= 5.92" BECAUSE, ABROAD " chip.tpp=96", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    {"deny d when chip.density >= 5.92 and chip.tpp >= 1600" BECAUSE, ABROAD " chip.tpp=96", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    {"deny d when site.name != site.owner" BECAUSE, ABROAD " site.name=x", "2026-01-01", VERDICT_REVIEW, "d",
     "site.name != site.owner"},
    {"require r when data.class = x that site.name = a" BECAUSE, ABROAD " site.name=b", "2026-01-01",
     VERDICT_REVIEW, "r", "data.class = \"x\""},
    {"require r when data.class = x that site.name = a" BECAUSE, ABROAD " site.name=a", "2026-01-01",
     VERDICT_ALLOWED, "", ""},
    {"require r when data.class = x that site.name = a" BECAUSE, ABROAD " data.class=x", "2026-01-01",
     VERDICT_REVIEW, "r", "site.name = \"a\""},
    {"require r that model.licence known" BECAUSE, ABROAD, "2026-01-01", VERDICT_DENIED, "r",
     "model.licence known"},
    /* What denies for certain says more than what needs review. */
    {"deny d1 when site.name = a" BECAUSE "deny d2 when site.owner = a" BECAUSE, ABROAD " site.owner=a",
     "2026-01-01", VERDICT_DENIED, "d2", ""},
    {"deny d1 when site.name = a" BECAUSE "allow a when data.class = x" BECAUSE, ABROAD " data.class=y",
     "2026-01-01", VERDICT_CLOSED, "", ""},
    {"allow a when data.class = x" BECAUSE "deny d when site.name = a" BECAUSE, ABROAD, "2026-01-01",
     VERDICT_REVIEW, "d", "site.name = \"a\""},
    /* Dates: from is in, until is out. */
    {"deny d from 2023-11-17 until 2026-01-15 when job.chips = 1" BECAUSE, HOME " job.chips=1",
     "2023-11-16T23:59:59Z", VERDICT_ALLOWED, "", ""},
    {"deny d from 2023-11-17 until 2026-01-15 when job.chips = 1" BECAUSE, HOME " job.chips=1", "2023-11-17",
     VERDICT_DENIED, "d", ""},
    {"deny d from 2023-11-17 until 2026-01-15 when job.chips = 1" BECAUSE, HOME " job.chips=1",
     "2026-01-14T23:59:59Z", VERDICT_DENIED, "d", ""},
    {"deny d from 2023-11-17 until 2026-01-15 when job.chips = 1" BECAUSE, HOME " job.chips=1", "2026-01-15",
     VERDICT_ALLOWED, "", ""},
};

static void every_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        const struct meaning *m = &meanings[i];
        struct rule_facts facts = facts_of(m->facts);
        struct verdict v;
        char why[256] = "";
        parse(m->rules);
        int rc = rules_judge(&rules, &facts, date(m->at), &v);
        const char *id = v.rule == RULES_NONE ? "" : rules.rule[v.rule].id;
        const struct rule_condition *c =
            v.rule == RULES_NONE ? NULL : rule_condition_at(&rules.rule[v.rule], v.condition);
        if (c)
            rule_condition_format(&rules, c, why, sizeof why);
        if (v.reason != m->reason || strcmp(id, m->id) != 0 || strcmp(why, m->why) != 0)
            fail_msg("%s with %s: %s by `%s` for `%s`", m->rules, m->facts, verdict_reason_text(v.reason), id,
                     why);
        assert_int_equal(v.allowed, v.reason == VERDICT_ALLOWED);
        assert_int_equal(rc, v.allowed ? 0 : ERR_FORBIDDEN);
    }
}

static void borders(void **state)
{
    static const struct {
        const char *facts;
        bool crosses;
    } cases[] = {{"", true},
                 {"site.jurisdiction=CN", true},
                 {"tenant.jurisdiction=CN", true},
                 {HOME, false},
                 {ABROAD, true},
                 {HOME " data.home=CN", false},
                 {HOME " data.home=FR", true},
                 {ABROAD " data.home=FR", true},
                 {HOME " corridor.crosses_border=no", false},
                 {HOME " corridor.crosses_border=yes", true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rule_facts facts = facts_of(cases[i].facts);
        if (rule_facts_cross_border(&facts) != cases[i].crosses)
            fail_msg("%s", cases[i].facts);
    }
}

static void findings(void **state)
{
    static const struct {
        const char *facts, *at;
        enum rule_outcome outcomes[4];
    } cases[] = {
        {HOME,
         "2020-01-01",
         {RULE_OUTCOME_EARLY, RULE_OUTCOME_UNKNOWN, RULE_OUTCOME_UNKNOWN, RULE_OUTCOME_DOMESTIC}},
        {HOME " job.chips=9 data.class=x site.name=a",
         "2023-01-01",
         {RULE_OUTCOME_DENIES, RULE_OUTCOME_MET, RULE_OUTCOME_APART, RULE_OUTCOME_DOMESTIC}},
        {ABROAD " data.class=x",
         "2027-01-01",
         {RULE_OUTCOME_LATE, RULE_OUTCOME_REVIEW, RULE_OUTCOME_APART, RULE_OUTCOME_COVERS}},
        {ABROAD " data.class=y site.name=b",
         "2027-01-01",
         {RULE_OUTCOME_LATE, RULE_OUTCOME_APART, RULE_OUTCOME_DENIES, RULE_OUTCOME_APART}},
    };
    (void)state;
    parse("deny d from 2023-01-01 until 2024-01-01 when job.chips > 8" BECAUSE
          "require r when data.class = x that site.name = a" BECAUSE
          "require s when data.class = y that site.name = a" BECAUSE "allow a when data.class = x" BECAUSE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rule_facts facts = facts_of(cases[i].facts);
        for (uint32_t r = 0; r < 4; r++) {
            struct rule_finding f = rule_consider(&rules, r, &facts, date(cases[i].at));
            if (f.outcome != cases[i].outcomes[r])
                fail_msg("rule %s with %s: %s", rules.rule[r].id, cases[i].facts,
                         rule_outcome_text(f.outcome));
        }
    }
}

static void changes(void **state)
{
    (void)state;
    parse("deny a from 2023-11-17 until 2026-01-15 when job.chips = 1" BECAUSE
          "deny b from 2026-01-15 when job.chips = 1" BECAUSE "deny c when job.chips = 1" BECAUSE
          "deny d until 2027-03-01 when job.chips = 1" BECAUSE);
    assert_int_equal(rules_next_change_ms(&rules, INT64_MIN), date("2023-11-17"));
    assert_int_equal(rules_next_change_ms(&rules, 0), date("2023-11-17"));
    assert_int_equal(rules_next_change_ms(&rules, date("2023-11-17") - 1), date("2023-11-17"));
    assert_int_equal(rules_next_change_ms(&rules, date("2023-11-17")), date("2026-01-15"));
    assert_int_equal(rules_next_change_ms(&rules, date("2026-01-15")), date("2027-03-01"));
    assert_int_equal(rules_next_change_ms(&rules, date("2027-03-01")), INT64_MAX);
    parse("");
    assert_int_equal(rules_next_change_ms(&rules, 0), INT64_MAX);
}

/* ---- the mask ---- */

static void place_with_chips(void *ctx, uint32_t place, struct rule_facts *facts)
{
    static const char *const names[] = {"s0", "s1", "s2"};
    (*(uint32_t *)ctx)++;
    rule_facts_text(facts, RULE_SITE_NAME, names[place % 3], 3);
    rule_facts_text(facts, RULE_SITE_JURISDICTION, "CN", 3);
    rule_facts_number(facts, RULE_CHIP_TPP, place);
}

static void mask(void **state)
{
    struct rule_facts work = facts_of("tenant.jurisdiction=CN data.class=personal");
    (void)state;
    parse("deny s1 when site.name = s1" BECAUSE
          "deny fast when data.class = personal and chip.tpp >= 100" BECAUSE
          "deny never when data.class = public and chip.tpp >= 0" BECAUSE
          "deny later from 2030-01-01 when chip.tpp >= 0" BECAUSE);
    for (uint32_t n = 0; n < 200; n += n < 130 ? 1 : 64) {
        uint64_t words[5];
        uint32_t asked = 0;
        memset(words, 0xff, sizeof words);
        rules_mask(&rules, &work, date("2026-01-01"), place_with_chips, &asked, n, words);
        assert_int_equal(asked, n);
        for (uint32_t i = 0; i < 320; i++) {
            bool written = i / 64 < (n + 63) / 64;
            bool bit = words[i / 64] >> i % 64 & 1;
            assert_int_equal(bit, !written || (i < n && i % 3 != 1 && i < 100));
        }
    }
}

/* ---- reading ---- */

static void reads_all_forms(void **state)
{
    char text[256];
    (void)state;
    parse(
        "\xef\xbb\xbf# a comment\r\n"
        "deny a from 2023-11-17 until 2026-01-15T08:30:00Z\r\n"
        "\twhen chip.vendor=\"say \\\"x\\\" \\\\ \xc3\xa9\"  # why\r\n"
        "\r\n"
        "# in between\n"
        "   and chip.density<=0.5 and site.name in[a,b-c.d/e:f+g_h,\"and\"] because \"it # is\" cite \"c\"\n"
        "require b when job.kind = x that job.exaflop >= 10000000 because \"b\" cite \"c\"");
    assert_int_equal(rules.nrules, 2);
    const struct rule *a = &rules.rule[0];
    assert_int_equal(a->line, 2);
    assert_int_equal(a->from_ms, INT64_C(1700179200000));
    assert_int_equal(a->until_ms, INT64_C(1768465800000));
    assert_int_equal(a->nwhen, 3);
    assert_string_equal(a->because, "it # is");
    rule_condition_format(&rules, &a->when[0], text, sizeof text);
    assert_string_equal(text, "chip.vendor = \"say \\\"x\\\" \\\\ \xc3\xa9\"");
    rule_condition_format(&rules, &a->when[1], text, sizeof text);
    assert_string_equal(text, "chip.density <= 0.5");
    rule_condition_format(&rules, &a->when[2], text, sizeof text);
    assert_string_equal(text, "site.name in [\"a\", \"b-c.d/e:f+g_h\", \"and\"]");
    rule_condition_format(&rules, &a->when[2], text, 12);
    assert_string_equal(text, "site.name i");
    assert_int_equal(rules.rule[1].line, 7);
    assert_int_equal(rules.rule[1].nthat, 1);
    assert_string_equal(rules.rule[1].cite, "c");
}

static const struct {
    const char *text;
    const char *found; /* line:column of each error */
    const char *words; /* in the last one */
} faults[] = {
    {"deny", "1:5", "expected the rule's id, found the end of the file"},
    {"  deny a when site.name = x" BECAUSE, "1:3", "begins in column 1"},
    {"forbid a when site.name = x" BECAUSE, "1:1", "`forbid`"},
    {"deny when site.name = x" BECAUSE, "1:6", "id"},
    {"deny A when site.name = x" BECAUSE, "1:6", "small letters"},
    {"deny a because \"b\" cite \"c\"", "1:8", "expected `when`, found `because`"},
    {"allow a" BECAUSE, "1:9", "expected `when`"},
    {"require a when site.name = x" BECAUSE, "1:30", "`that`"},
    {"require a" BECAUSE, "1:11", "expected `when` or `that`"},
    {"deny a when site.name = x that site.name = y" BECAUSE, "1:27", "expected `and` or `because`"},
    {"deny a when site.nam = x" BECAUSE, "1:13", "there is no attribute `site.nam`"},
    {"deny a when site.nam < chip.tpp" BECAUSE, "1:13", "there is no attribute `site.nam`"},
    {"deny a when and" BECAUSE, "1:13", "expected an attribute"},
    {"deny a when site.name is x" BECAUSE, "1:23", "expected one of"},
    {"deny a when site.name ! x" BECAUSE, "1:23", "no meaning"},
    {"deny a when site.name == x" BECAUSE, "1:24", "expected a value, found `=`"},
    {"deny a when site.name < x" BECAUSE, "1:23", "text attributes are not compared with `<`"},
    {"deny a when corridor.crosses_border in [yes]" BECAUSE, "1:37", "flag attributes"},
    {"deny a when corridor.crosses_border = true" BECAUSE, "1:39", "neither yes nor no: `true`"},
    {"deny a when chip.tpp >= 4,800" BECAUSE, "1:26", "expected `and` or `because`"},
    {"deny a when chip.tpp >= 4800.5" BECAUSE, "1:25", "not a whole number: `4800.5`"},
    {"deny a when chip.tpp >= \"4800\"" BECAUSE, "1:25", "not a whole number"},
    {"deny a when chip.tpp >= -1" BECAUSE, "1:25", "no meaning"},
    {"deny a when chip.tpp >= 9223372036854775808" BECAUSE, "1:25", "not a whole number"},
    {"deny a when chip.density >= 5.9200" BECAUSE, "1:29", "at most three decimals"},
    {"deny a when chip.density >= 5." BECAUSE, "1:29", "at most three decimals"},
    {"deny a when site.jurisdiction != data.hom" BECAUSE, "1:34", "`data.hom`"},
    {"deny a when site.jurisdiction != chip.tpp" BECAUSE, "1:34", "this is a number `chip.tpp`"},
    {"deny a when chip.density > chip.tpp" BECAUSE, "1:28", "different types"},
    {"deny a when chip.tpp > a-long-word-before-its-first-point.x" BECAUSE, "1:24", "not a whole number"},
    {"deny a when site.name in [data.home]" BECAUSE, "1:27", "cannot stand here"},
    {"deny a when site.name in []" BECAUSE, "1:27", "expected a value"},
    {"deny a when site.name in [a b]" BECAUSE, "1:29", "expected `,` or `]`"},
    {"deny a when site.name in a" BECAUSE, "1:26", "expected `[`"},
    {"deny a when site.name = \"\"" BECAUSE, "1:25", "not a text"},
    {"deny a when site.name = when" BECAUSE, "1:25", "needs quotes"},
    {"deny a when site.name = \"x" BECAUSE, "1:37", "expected `and` or `because`, found `b`"},
    {"deny a when site.name = x because \"b cite c\n", "1:35", "no closing quote"},
    {"deny a when site.name = x because b cite \"c\"", "1:35", "expected a text in quotes"},
    {"deny a when site.name = x because \"\" cite \"c\"", "1:35", "1 to 255"},
    {"deny a when site.name = x because \"b\"", "1:38", "expected `cite`"},
    {"deny a when site.name = x because \"b\" cite \"c\" and", "1:48", "column 1, found `and`"},
    {"deny a when site.name = x\nbecause \"b\" cite \"c\"", "2:1 2:1", "expected `deny`"},
    {"deny a when site.name = x\n because \"\xc3\xa9\xc3\xa9\" ? cite \"c\"", "2:15", "no meaning here: `?`"},
    {"deny a when site.name = x\n because \"b\" \xc3\xa9", "2:14", "no meaning here: `\xc3\xa9`"},
    {"deny a when site.name = \"\xff\"" BECAUSE, "1:26", "UTF-8"},
    {"deny a when site.name = \"\xc3\xa9\x01\"" BECAUSE, "1:27", "control character"},
    {"deny a from 2026-02-29 when site.name = x" BECAUSE, "1:13", "not a date"},
    {"deny a from 2026 until 26-1-1 when site.name = x" BECAUSE, "1:13 1:24", "`26-1-1`"},
    {"deny a until 2026-01-01 from 2025-01-01 when site.name = x" BECAUSE, "1:25", "expected `when`"},
    {"deny a from 2026-01-01 until 2026-01-01 when site.name = x" BECAUSE, "1:24", "end before it begins"},
    {"deny a from when site.name = x" BECAUSE, "1:13", "expected a date, found `when`"},
    {"deny a when site.name = x" BECAUSE "allow a when site.name = x" BECAUSE, "2:7",
     "an earlier rule has this id"},
    {"deny a when site.name = x" BECAUSE "deny\ndeny b when site.nme = x" BECAUSE
     "\n\nallow c when x" BECAUSE,
     "3:1 3:13 6:14 6:16", "expected one of"},
    {"deny a when job.chips = 1 and job.chips = 1 and job.chips = 1 and job.chips = 1 and job.chips = 1 and "
     "job.chips = 1"
     " and job.chips = 1 and job.chips = 1 and job.chips = 1 and job.chips = 1" BECAUSE,
     "1:157", "ninth"},
};

static void every_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char found[256] = "";
        size_t len = 0;
        /* An exact block, so that reading beyond it is seen. */
        size_t size = strlen(faults[i].text);
        char *text = malloc(size);
        memcpy(text, faults[i].text, size);
        int rc = rules_parse(&rules, text, size, &errors);
        free(text);
        for (uint32_t e = 0; e < errors.n; e++)
            len += (size_t)snprintf(found + len, sizeof found - len, "%s%u:%u", e ? " " : "",
                                    errors.list[e].line, errors.list[e].column);
        const char *last = errors.n > 0 && errors.n <= RULE_ERRORS_MAX ? errors.list[errors.n - 1].text : "";
        if (rc != ERR_INVALID || strcmp(found, faults[i].found) != 0 || !strstr(last, faults[i].words))
            fail_msg("%s\n%s: %s", faults[i].text, found, last);
        assert_int_equal(rules.nrules, 0);
    }
}

/* `n` rules that differ in their ids: "deny r", the number, and what follows. */
static char *repeat(const char *rest, unsigned n)
{
    size_t cap = n * (strlen(rest) + 16) + 1, len = 0;
    char *text = malloc(cap);
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, cap - len, "deny r%u%s", i, rest);
    return text;
}

static void limits(void **state)
{
    static const char many[] = " when site.name = x" BECAUSE;
    static const char wrong[] = " when site.name = chip.x" BECAUSE;
    (void)state;
    char *text = repeat(many, RULES_MAX);
    parse(text);
    assert_int_equal(rules.nrules, RULES_MAX);
    free(text);
    text = repeat(many, RULES_MAX + 9);
    assert_int_equal(rules_parse(&rules, text, strlen(text), &errors), ERR_INVALID);
    assert_int_equal(errors.n, 1);
    assert_int_equal(errors.list[0].line, RULES_MAX + 1);
    free(text);
    text = repeat(wrong, 100);
    assert_int_equal(rules_parse(&rules, text, strlen(text), &errors), ERR_INVALID);
    assert_int_equal(errors.n, 100);
    assert_int_equal(errors.list[RULE_ERRORS_MAX - 1].line, RULE_ERRORS_MAX);
    free(text);
    text = repeat(" when site.name in [a, b, c, d, e, f, g, h]" BECAUSE, 129);
    assert_int_equal(rules_parse(&rules, text, strlen(text), &errors), ERR_INVALID);
    assert_int_equal(errors.n, 1);
    assert_int_equal(errors.list[0].line, 129);
    free(text);
    text = calloc(1, RULES_TEXT_MAX + 1);
    memset(text, '\n', RULES_TEXT_MAX + 1);
    assert_int_equal(rules_parse(&rules, text, RULES_TEXT_MAX, &errors), 0);
    assert_int_equal(rules_parse(&rules, text, RULES_TEXT_MAX + 1, &errors), ERR_INVALID);
    free(text);
    assert_int_equal(rules_parse(&rules, NULL, 0, &errors), 0);
}

static void facts_as_text(void **state)
{
    struct rule_facts facts;
    (void)state;
    rule_facts_clear(&facts);
    assert_int_equal(rule_facts_read(&facts, "site.name", 9), ERR_INVALID);
    assert_int_equal(rule_facts_read(&facts, "", 0), ERR_INVALID);
    assert_int_equal(rule_facts_read(&facts, "site.nam=x", 10), ERR_NOT_FOUND);
    assert_int_equal(rule_facts_read(&facts, "chip.tpp=x", 10), ERR_INVALID);
    assert_int_equal(rule_facts_read(&facts, "corridor.crosses_border=1", 25), ERR_INVALID);
    assert_int_equal(rule_facts_read(&facts, "site.name=a=b", 13), 0);
    assert_int_equal(facts.v[RULE_SITE_NAME].len, 3);
    assert_int_equal(rule_facts_read(&facts, "site.name=", 10), 0);
    assert_false(facts.v[RULE_SITE_NAME].known);
    rule_facts_text(&facts, RULE_SITE_NAME, "", 1);
    assert_false(facts.v[RULE_SITE_NAME].known);
}

static void dates(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"1970-01-01", 0},
                {"2000-02-29", INT64_C(951782400000)},
                {"2023-11-17T00:00:00Z", INT64_C(1700179200000)},
                {"2026-01-15T23:59:59Z", INT64_C(1768521599000)},
                {"9999-12-31", INT64_C(253402214400000)}};
    static const char *const bad[] = {"",
                                      "1969-12-31",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-1-01",
                                      "2026-04-31",
                                      "2100-02-29",
                                      "2026-01-00",
                                      "2026-01-15T24:00:00Z",
                                      "2026-01-15T23:60:00Z",
                                      "2026-01-15T23:00:60Z",
                                      "2026-01-15 23:00:00Z",
                                      "2026-01-15T23:00:00",
                                      "20260115",
                                      "2026/01/15",
                                      "+026-01-15"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(date(good[i].text), good[i].ms);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms;
        if (rule_date_parse(bad[i], strlen(bad[i]), &ms))
            fail_msg("%s", bad[i]);
    }
    uint64_t seed = 7;
    for (int i = 0; i < 100000; i++) {
        char text[32];
        struct tm tm;
        time_t seconds = (time_t)test_below(&seed, UINT64_C(253402300800));
        strftime(text, sizeof text, i % 2 ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d", gmtime_r(&seconds, &tm));
        assert_int_equal(date(text), (i % 2 ? seconds : seconds / 86400 * 86400) * INT64_C(1000));
    }
}

/* ---- the example ---- */

static char *example(void)
{
    FILE *file = fopen(BUSBAR_SOURCE "/data/rules/example.rules", "r");
    assert_non_null(file);
    char *text = calloc(1, RULES_TEXT_MAX + 1);
    size_t len = fread(text, 1, RULES_TEXT_MAX, file);
    assert_true(len > 0);
    fclose(file);
    return text;
}

#define US_FOR_CN "site.jurisdiction=US tenant.jurisdiction=CN data.class=public "

static void example_holds(void **state)
{
    static const struct {
        const char *facts, *at;
        enum verdict_reason reason;
        const char *id;
    } cases[] = {
        {HOME " data.class=personal data.home=CN", "2026-06-01", VERDICT_ALLOWED, ""},
        {HOME " data.class=personal data.home=FR", "2026-06-01", VERDICT_DENIED, "personal-data-home"},
        {HOME " data.class=personal", "2026-06-01", VERDICT_DENIED, "personal-data-home"},
        {ABROAD, "2026-06-01", VERDICT_DENIED, "undeclared-data-abroad"},
        {ABROAD " data.class=business chip.tpp=96", "2026-06-01", VERDICT_CLOSED, ""},
        {ABROAD " data.class=public chip.tpp=96 job.kind=inference", "2026-06-01", VERDICT_ALLOWED,
         "open-data"},
        {HOME " model.name=m", "2026-06-01", VERDICT_DENIED, "model-licence"},
        {HOME " model.name=m model.licence=mit", "2026-06-01", VERDICT_ALLOWED, ""},
        {US_FOR_CN "chip.tpp=2368 chip.density=2.91", "2026-06-01", VERDICT_ALLOWED, "open-data"},
        {US_FOR_CN "chip.tpp=15832 chip.density=19.45", "2023-11-16", VERDICT_ALLOWED, "open-data"},
        {US_FOR_CN "chip.tpp=15832 chip.density=19.45 tenant.licence=x", "2024-01-01", VERDICT_DENIED,
         "ear-3a090a-presumption"},
        {US_FOR_CN "chip.tpp=15832 chip.density=19.45", "2026-06-01", VERDICT_DENIED, "ear-2026-licence"},
        {US_FOR_CN "chip.tpp=15832 chip.density=19.45 tenant.licence=x", "2026-06-01", VERDICT_ALLOWED,
         "open-data"},
        {US_FOR_CN "chip.tpp=36000 chip.density=22.5 tenant.licence=x", "2026-06-01", VERDICT_DENIED,
         "ear-2026-limit"},
        {US_FOR_CN "chip.tpp=3840 tenant.licence=x", "2025-06-01", VERDICT_REVIEW, "ear-3a090a-density"},
        {US_FOR_CN "chip.tpp=3840", "2026-06-01", VERDICT_REVIEW, "ear-3a090b-tpp"},
        {US_FOR_CN "chip.tpp=3840 tenant.licence=x", "2026-06-01", VERDICT_ALLOWED, "open-data"},
        {US_FOR_CN "chip.tpp=3840 chip.density=6", "2026-06-01", VERDICT_DENIED, "ear-2026-density"},
        {US_FOR_CN "chip.tpp=2500 chip.density=2", "2026-06-01", VERDICT_DENIED, "ear-3a090b-tpp"},
        {US_FOR_CN "chip.tpp=1600 chip.density=3.2", "2026-06-01", VERDICT_DENIED, "ear-3a090b-density"},
        {US_FOR_CN "chip.tpp=96", "2026-06-01", VERDICT_ALLOWED, "open-data"},
    };
    (void)state;
    char *text = example();
    parse(text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char all[512];
        struct verdict v;
        /* The work is no training, unless it says so. */
        snprintf(all, sizeof all, "job.kind=inference %s", cases[i].facts);
        struct rule_facts facts = facts_of(all);
        (void)rules_judge(&rules, &facts, date(cases[i].at), &v);
        const char *id = v.rule == RULES_NONE ? "" : rules.rule[v.rule].id;
        if (v.reason != cases[i].reason || strcmp(id, cases[i].id) != 0)
            fail_msg("%s: %s by `%s`", cases[i].facts, verdict_reason_text(v.reason), id);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_meaning), cmocka_unit_test(borders),       cmocka_unit_test(findings),
        cmocka_unit_test(changes),       cmocka_unit_test(mask),          cmocka_unit_test(reads_all_forms),
        cmocka_unit_test(every_fault),   cmocka_unit_test(limits),        cmocka_unit_test(facts_as_text),
        cmocka_unit_test(dates),         cmocka_unit_test(example_holds),
    };
    return cmocka_run_group_tests_name("rules", tests, setup, teardown);
}
