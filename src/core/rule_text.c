/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule files to compiled rules. What is wrong in meaning (an unknown attribute, a bad date) is noted and the rule is read
 * on; what is wrong in form ends the rule, and the next one begins at the next word in column 1.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "core/rule_token.h"
#include "core/rules.h"

#define EXCERPT_MAX 40

_Static_assert(RULES_MAX == 256 && RULE_LITERALS_MAX == 1024 && RULE_CONDITIONS_MAX == 8 &&
                   RULE_TEXT_CAP == 256 && RULE_LITERAL_CAP == 128 && RULES_TEXT_MAX == 131072,
               "errors name these limits");

struct parser {
    struct rules *rules;
    struct rule_errors *errors;
    struct rule_lexer lexer;
    struct rule_token token; /* the next one */
    bool in_rule;            /* past its first word */
    bool moot;               /* of a condition that is wrong already, the value is not judged */
};

static const char *const reserved[] = {"deny", "require", "allow", "from", "until",  "when",  "that",
                                       "and",  "because", "cite",  "in",   "not-in", "known", "unknown"};

/* ---- errors ---- */

static void add(struct rule_error *error, const char *text, size_t len)
{
    size_t used = text_len(error->text, sizeof error->text);
    size_t room = sizeof error->text - 1 - used;
    memcpy(error->text + used, text, len < room ? len : room);
}

/* An error at the token: the words one after the other, then what is there. */
static void complain(struct parser *p, const struct rule_token *at, const char *before, const char *after)
{
    struct rule_errors *errors = p->errors;
    if (errors->n++ >= RULE_ERRORS_MAX)
        return;
    struct rule_error *error = &errors->list[errors->n - 1];
    *error = (struct rule_error){.line = at->line, .column = at->column};
    add(error, before, text_len(before, sizeof error->text));
    add(error, after, text_len(after, sizeof error->text));
    size_t len = at->len < EXCERPT_MAX ? at->len : EXCERPT_MAX;
    /* A character is not cut in two. */
    while (len < at->len && len > 0 && ((unsigned char)at->text[len] & 0xc0) == 0x80)
        len--;
    if (at->kind == TOKEN_END)
        add(error, " the end of the file", 20);
    if (len == 0)
        return;
    add(error, " `", 2);
    add(error, at->text, len);
    add(error, len < at->len ? "...`" : "`", len < at->len ? 4 : 1);
}

static bool expected(struct parser *p, const char *what)
{
    const struct rule_token *t = &p->token;
    if (t->kind == TOKEN_OPEN_STRING)
        complain(p, t, "this text has no closing quote in its line:", "");
    else if (t->kind == TOKEN_BAD)
        complain(p, t, "this character has no meaning here:", "");
    else if (t->first && p->in_rule && t->kind != TOKEN_END)
        complain(p, t, what, " before the next rule, which begins in column 1 with");
    else
        complain(p, t, what, ", found");
    return false;
}

/* ---- tokens ---- */

static void next(struct parser *p)
{
    p->token = rule_lexer_next(&p->lexer);
}

/* The rule has a token of this kind next. */
static bool at_kind(const struct parser *p, enum rule_token_kind kind)
{
    return p->token.kind == kind && !(p->token.first && p->in_rule);
}

static bool is_text(const struct rule_token *t, const char *text)
{
    return text_eq(t->text, t->len, text, text_len(text, RULE_LITERAL_CAP));
}

static bool at_word(const struct parser *p, const char *word)
{
    return at_kind(p, TOKEN_WORD) && is_text(&p->token, word);
}

static bool take_word(struct parser *p, const char *word)
{
    bool there = at_word(p, word);
    if (there)
        next(p);
    return there;
}

static bool is_reserved(const struct rule_token *t)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (t->kind == TOKEN_WORD && is_text(t, reserved[i]))
            return true;
    }
    return false;
}

/* ---- conditions ---- */

/* Whether a bare word can only be meant as an attribute: `chip.tpq` is a slip, not a text. */
static bool looks_like_attr(const struct rule_token *t)
{
    const char *dot = t->kind == TOKEN_WORD ? memchr(t->text, '.', t->len) : NULL;
    size_t len = dot ? (size_t)(dot - t->text) + 1 : 0;
    for (enum rule_attr i = 0; dot && i < RULE_ATTRS_N; i++) {
        const char *attr = rule_attr_text(i);
        if (text_len(attr, RULE_LITERAL_CAP) >= len && memcmp(attr, t->text, len) == 0)
            return true;
    }
    return false;
}

static bool at_value(struct parser *p)
{
    if (at_kind(p, TOKEN_STRING) || (at_kind(p, TOKEN_WORD) && !is_reserved(&p->token)))
        return true;
    return expected(p, at_kind(p, TOKEN_WORD) ? "expected a value (this word needs quotes as a value)"
                                              : "expected a value");
}

/* A text is quoted or bare, anything else is bare. */
static bool literal_parse(struct rule_literal *literal, const struct rule_token *t, enum rule_type type)
{
    memset(literal, 0, sizeof *literal);
    if (type != RULE_TYPE_TEXT)
        return t->kind == TOKEN_WORD && rule_value_parse(type, t->text, t->len, &literal->number);
    return t->len > 0 && rule_token_copy(t, literal->text, sizeof literal->text, &literal->len);
}

/* False only when there is no more room at all. */
static bool take_literal(struct parser *p, enum rule_type type, struct rule_condition *c)
{
    static const char *const wrong[] = {
        [RULE_TYPE_TEXT] = "not a text of 1 to 127 bytes:",
        [RULE_TYPE_NUMBER] = "not a whole number:",
        [RULE_TYPE_MILLI] = "not a number with at most three decimals:",
        [RULE_TYPE_FLAG] = "neither yes nor no:",
    };
    struct rules *rules = p->rules;
    if (rules->nliterals == RULE_LITERALS_MAX) {
        complain(p, &p->token, "there are more than 1024 values in this file, from here on:", "");
        return false;
    }
    struct rule_literal *literal = &rules->literal[rules->nliterals];
    if (p->moot)
        memset(literal, 0, sizeof *literal);
    else if (looks_like_attr(&p->token))
        complain(p, &p->token,
                 "an attribute cannot stand here, or there is none of this name (quote a text):", "");
    else if (!literal_parse(literal, &p->token, type))
        complain(p, &p->token, wrong[type], "");
    if (c->n == 0)
        c->first = (uint16_t)rules->nliterals;
    c->n++;
    rules->nliterals++;
    next(p);
    return true;
}

static bool take_set(struct parser *p, enum rule_type type, struct rule_condition *c)
{
    if (!at_kind(p, TOKEN_OPEN))
        return expected(p, "expected `[`");
    do {
        next(p);
        if (!at_value(p) || !take_literal(p, type, c))
            return false;
    } while (at_kind(p, TOKEN_COMMA));
    if (!at_kind(p, TOKEN_CLOSE))
        return expected(p, "expected `,` or `]`");
    next(p);
    return true;
}

static bool take_one(struct parser *p, enum rule_type type, struct rule_condition *c)
{
    if (!at_value(p))
        return false;
    enum rule_attr other =
        p->token.kind == TOKEN_WORD ? rule_attr_find(p->token.text, p->token.len) : RULE_ATTRS_N;
    if (other == RULE_ATTRS_N)
        return take_literal(p, type, c);
    if (rule_attr_type(other) != type && !p->moot)
        complain(p, &p->token, "attributes of different types are not compared: this is a ",
                 rule_type_text(rule_attr_type(other)));
    c->other = (uint8_t)other;
    next(p);
    return true;
}

static bool take_condition(struct parser *p, struct rule_condition *c)
{
    memset(c, 0, sizeof *c);
    c->other = RULE_ATTRS_N;
    if (!at_kind(p, TOKEN_WORD) || is_reserved(&p->token))
        return expected(p, "expected an attribute");
    enum rule_attr attr = rule_attr_find(p->token.text, p->token.len);
    enum rule_type type = attr == RULE_ATTRS_N ? RULE_TYPE_TEXT : rule_attr_type(attr);
    p->moot = attr == RULE_ATTRS_N;
    if (p->moot)
        complain(p, &p->token, "there is no attribute", "");
    next(p);
    enum rule_op op = at_kind(p, TOKEN_OP) || at_kind(p, TOKEN_WORD)
                          ? rule_op_find(p->token.text, p->token.len)
                          : RULE_OPS_N;
    if (op == RULE_OPS_N)
        return expected(p, "expected one of = != < <= > >= in not-in known unknown");
    if (!p->moot && !(rule_op_types(op) >> type & 1)) {
        complain(p, &p->token, rule_type_text(type), " attributes are not compared with");
        p->moot = true;
    }
    next(p);
    c->attr = (uint8_t)attr;
    c->op = (uint8_t)op;
    switch (rule_op_operand(op)) {
    case RULE_TAKES_SET:
        return take_set(p, type, c);
    case RULE_TAKES_ONE:
        return take_one(p, type, c);
    default:
        return true;
    }
}

static bool take_conditions(struct parser *p, struct rule_condition *list, uint32_t *n)
{
    struct rule_condition beyond;
    do {
        if (*n == RULE_CONDITIONS_MAX)
            complain(p, &p->token, "more than 8 conditions; the ninth begins with", "");
        if (!take_condition(p, *n < RULE_CONDITIONS_MAX ? &list[*n] : &beyond))
            return false;
        ++*n;
    } while (take_word(p, "and"));
    return true;
}

/* ---- rules ---- */

/* The date after `word`, if that is there; *at is where the word stands. */
static bool take_date(struct parser *p, const char *word, int64_t *ms, struct rule_token *at)
{
    *at = p->token;
    if (!take_word(p, word))
        return true;
    if (!at_kind(p, TOKEN_WORD) || is_reserved(&p->token))
        return expected(p, "expected a date");
    if (!rule_date_parse(p->token.text, p->token.len, ms))
        complain(p, &p->token, "not a date like 2026-01-15 or 2026-01-15T08:00:00Z:", "");
    next(p);
    return true;
}

static bool take_dates(struct parser *p, struct rule *rule)
{
    struct rule_token at;
    rule->from_ms = INT64_MIN;
    rule->until_ms = INT64_MAX;
    if (!take_date(p, "from", &rule->from_ms, &at) || !take_date(p, "until", &rule->until_ms, &at))
        return false;
    if (rule->until_ms <= rule->from_ms)
        complain(p, &at, "the rule would end before it begins:", "");
    return true;
}

static bool take_text(struct parser *p, const char *word, char *dst)
{
    uint32_t len;
    if (!take_word(p, word))
        return false;
    if (!at_kind(p, TOKEN_STRING))
        return expected(p, "expected a text in quotes");
    if (p->token.len == 0 || !rule_token_copy(&p->token, dst, RULE_TEXT_CAP, &len))
        complain(p, &p->token, "not a text of 1 to 255 bytes:", "");
    next(p);
    return true;
}

static bool take_id(struct parser *p, struct rule *rule)
{
    if (!at_kind(p, TOKEN_WORD) || is_reserved(&p->token))
        return expected(p, "expected the rule's id");
    if (!name_valid(p->token.text, p->token.len)) {
        complain(p, &p->token, "an id has small letters, digits and dashes, at most 63; this has not:", "");
    } else {
        (void)text_set(rule->id, sizeof rule->id, p->token.text, p->token.len);
        for (uint32_t i = 0; i < p->rules->nrules; i++) {
            if (memcmp(p->rules->rule[i].id, rule->id, sizeof rule->id) == 0)
                complain(p, &p->token, "an earlier rule has this id too:", "");
        }
    }
    next(p);
    return true;
}

static bool take_clauses(struct parser *p, struct rule *rule)
{
    bool require = rule->kind == RULE_KIND_REQUIRE;
    if (take_word(p, "when")) {
        if (!take_conditions(p, rule->when, &rule->nwhen))
            return false;
    } else if (!require) {
        return expected(p, "expected `when`");
    }
    if (require && !take_word(p, "that"))
        return expected(p, rule->nwhen ? "expected `and` or `that`" : "expected `when` or `that`");
    if (require && !take_conditions(p, rule->that, &rule->nthat))
        return false;
    if (!at_word(p, "because"))
        return expected(p, "expected `and` or `because`");
    if (!take_text(p, "because", rule->because))
        return false;
    if (!at_word(p, "cite"))
        return expected(p, "expected `cite`");
    return take_text(p, "cite", rule->cite);
}

static enum rule_kind find_kind(const struct parser *p)
{
    enum rule_kind kind = 0;
    while (kind < RULE_KINDS_N && !(p->token.kind == TOKEN_WORD && is_text(&p->token, rule_kind_text(kind))))
        kind++;
    return kind;
}

/* One rule, from its first word to the token after it. */
static bool take_rule(struct parser *p)
{
    struct rule *rule = &p->rules->rule[p->rules->nrules];
    enum rule_kind kind = find_kind(p);
    if (!p->token.first)
        return expected(p, "expected a rule, which begins in column 1");
    if (kind == RULE_KINDS_N)
        return expected(p, "expected `deny`, `require` or `allow`");
    if (p->rules->nrules == RULES_MAX) {
        complain(p, &p->token, "more than 256 rules, from here on:", "");
        return false;
    }
    memset(rule, 0, sizeof *rule);
    rule->kind = kind;
    rule->line = p->token.line;
    next(p);
    p->in_rule = true;
    if (!take_id(p, rule) || !take_dates(p, rule) || !take_clauses(p, rule))
        return false;
    if (p->token.kind != TOKEN_END && !p->token.first)
        return expected(p, "expected the next rule, which begins in column 1");
    p->rules->nrules++;
    p->rules->closes_border |= rule->kind == RULE_KIND_ALLOW;
    return true;
}

static void take_rules(struct parser *p)
{
    while (p->token.kind != TOKEN_END) {
        p->in_rule = false;
        if (take_rule(p))
            continue;
        if (p->rules->nrules == RULES_MAX || p->rules->nliterals == RULE_LITERALS_MAX)
            return; /* one error says it, not one for each rule */
        if (p->token.first && p->in_rule)
            continue;
        do
            next(p);
        while (p->token.kind != TOKEN_END && !p->token.first);
    }
}

static bool check_bytes(struct parser *p, const char *text, size_t len)
{
    rule_lexer_init(&p->lexer, text, len);
    bool bad = rule_lexer_find_bad(&p->lexer);
    struct rule_token at = {.line = p->lexer.line, .column = p->lexer.column, .text = "", .kind = TOKEN_BAD};
    if (bad)
        complain(p, &at, "a byte that is no text in UTF-8, or a control character", "");
    return !bad;
}

int rules_parse(struct rules *rules, const char *text, size_t len, struct rule_errors *errors)
{
    struct parser p = {.rules = rules, .errors = errors};
    rules->nrules = rules->nliterals = 0;
    rules->closes_border = false;
    *errors = (struct rule_errors){0};
    if (len > RULES_TEXT_MAX) {
        struct rule_token at = {.line = 1, .column = 1, .text = "", .kind = TOKEN_BAD};
        complain(&p, &at, "the file is longer than 131072 bytes", "");
    } else if (check_bytes(&p, text, len)) {
        rule_lexer_init(&p.lexer, text, len);
        next(&p);
        take_rules(&p);
    }
    if (errors->n == 0)
        return 0;
    rules->nrules = rules->nliterals = 0;
    rules->closes_border = false;
    return ERR_INVALID;
}
