/* SPDX-License-Identifier: Apache-2.0 */
/* The words of rules: attributes, operators, values, dates; from text and to text. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "core/rules.h"

#define DAY_MS INT64_C(86400000)

static const struct {
    const char *text;
    enum rule_type type;
    enum rule_side side;
} attrs[RULE_ATTRS_N] = {
#define A(name, text, type, side) {text, RULE_TYPE_##type, RULE_##side},
    RULE_ATTRS(A)
#undef A
};

static const struct {
    const char *text;
    uint32_t types;
    enum rule_operand operand;
} ops[RULE_OPS_N] = {
#define O(name, text, types, operand) {text, types, RULE_TAKES_##operand},
    RULE_OPS(O)
#undef O
};

static bool same(const char *text, const char *other, size_t len)
{
    return text_eq(text, text_len(text, RULE_LITERAL_CAP), other, len);
}

const char *rule_attr_text(enum rule_attr attr)
{
    return attrs[attr].text;
}

enum rule_type rule_attr_type(enum rule_attr attr)
{
    return attrs[attr].type;
}

enum rule_side rule_attr_side(enum rule_attr attr)
{
    return attrs[attr].side;
}

enum rule_attr rule_attr_find(const char *text, size_t len)
{
    enum rule_attr i = 0;
    while (i < RULE_ATTRS_N && !same(attrs[i].text, text, len))
        i++;
    return i;
}

enum rule_op rule_op_find(const char *text, size_t len)
{
    enum rule_op i = 0;
    while (i < RULE_OPS_N && !same(ops[i].text, text, len))
        i++;
    return i;
}

uint32_t rule_op_types(enum rule_op op)
{
    return ops[op].types;
}

enum rule_operand rule_op_operand(enum rule_op op)
{
    return ops[op].operand;
}

#define N(name, text) text,
#define WORD(name, word, text) word,
#define TEXT(name, word, text) text,
const char *rule_type_text(enum rule_type type)
{
    static const char *const texts[] = {RULE_TYPES(N)};
    return texts[type];
}

const char *rule_kind_text(enum rule_kind kind)
{
    static const char *const texts[] = {RULE_KINDS(N)};
    return texts[kind];
}

const char *rule_outcome_word(enum rule_outcome outcome)
{
    static const char *const words[] = {RULE_OUTCOMES(WORD)};
    return words[outcome];
}

const char *rule_outcome_text(enum rule_outcome outcome)
{
    static const char *const texts[] = {RULE_OUTCOMES(TEXT)};
    return texts[outcome];
}

const char *verdict_reason_word(enum verdict_reason reason)
{
    static const char *const words[] = {VERDICT_REASONS(WORD)};
    return words[reason];
}

const char *verdict_reason_text(enum verdict_reason reason)
{
    static const char *const texts[] = {VERDICT_REASONS(TEXT)};
    return texts[reason];
}
#undef N
#undef WORD
#undef TEXT

/* ---- facts ---- */

void rule_facts_clear(struct rule_facts *facts)
{
    memset(facts, 0, sizeof *facts);
}

void rule_facts_text(struct rule_facts *facts, enum rule_attr attr, const char *text, size_t cap)
{
    assert(attrs[attr].type == RULE_TYPE_TEXT);
    size_t len = text_len(text, cap);
    facts->v[attr] = (struct rule_value){.known = len > 0, .len = (uint32_t)len, .text = text};
}

void rule_facts_number(struct rule_facts *facts, enum rule_attr attr, int64_t number)
{
    assert(attrs[attr].type != RULE_TYPE_TEXT);
    facts->v[attr] = (struct rule_value){.known = true, .number = number};
}

int rule_facts_read(struct rule_facts *facts, const char *text, size_t len)
{
    const char *equals = len ? memchr(text, '=', len) : NULL;
    if (!equals || len > RULES_TEXT_MAX)
        return ERR_INVALID;
    enum rule_attr attr = rule_attr_find(text, (size_t)(equals - text));
    if (attr == RULE_ATTRS_N)
        return ERR_NOT_FOUND;
    const char *value = equals + 1;
    size_t rest = len - (size_t)(value - text);
    int64_t number = 0;
    if (rest == 0)
        facts->v[attr] = (struct rule_value){.known = false};
    else if (attrs[attr].type == RULE_TYPE_TEXT)
        rule_facts_text(facts, attr, value, rest);
    else if (rule_value_parse(attrs[attr].type, value, rest, &number))
        rule_facts_number(facts, attr, number);
    else
        return ERR_INVALID;
    return 0;
}

/* ---- values ---- */

/* Digits, and after a point one to three more. */
static bool parse_milli(const char *text, size_t len, int64_t *number)
{
    const char *point = len ? memchr(text, '.', len) : NULL;
    size_t digits = point ? (size_t)(point - text) : len;
    size_t decimals = point ? len - digits - 1 : 0;
    uint64_t whole, part = 0;
    if (!u64_parse(text, digits, INT64_MAX / 1000 - 1, &whole))
        return false;
    if (point && (decimals > 3 || !u64_parse(point + 1, decimals, 999, &part)))
        return false;
    for (; decimals < 3; decimals++)
        part *= 10;
    *number = (int64_t)(whole * 1000 + part);
    return true;
}

bool rule_value_parse(enum rule_type type, const char *text, size_t len, int64_t *number)
{
    uint64_t v = 0;
    *number = 0;
    switch (type) {
    case RULE_TYPE_TEXT:
        return len > 0;
    case RULE_TYPE_MILLI:
        return parse_milli(text, len, number);
    case RULE_TYPE_FLAG:
        *number = same("yes", text, len);
        return *number || same("no", text, len);
    case RULE_TYPE_NUMBER:
        break;
    }
    bool good = u64_parse(text, len, INT64_MAX, &v);
    *number = (int64_t)v;
    return good;
}

/* A text being written; what does not fit is dropped. */
struct writer {
    char *dst;
    size_t cap, len;
};

static void put(struct writer *w, const char *text, size_t len)
{
    size_t room = w->cap - 1 - w->len;
    size_t n = len < room ? len : room;
    if (n)
        memcpy(w->dst + w->len, text, n);
    w->len += n;
    w->dst[w->len] = 0;
}

static void put_word(struct writer *w, const char *text)
{
    put(w, text, text_len(text, RULE_LITERAL_CAP));
}

static void put_number(struct writer *w, uint64_t v)
{
    char digits[20];
    put(w, digits, u64_format(digits, v, 10));
}

/* Without zeros at the end of the decimals. */
static void put_milli(struct writer *w, uint64_t v)
{
    put_number(w, v / 1000);
    if (v % 1000 == 0)
        return;
    put(w, ".", 1);
    for (uint64_t rest = v % 1000, unit = 100; rest > 0; rest %= unit, unit /= 10)
        put_number(w, rest / unit);
}

static void put_quoted(struct writer *w, const char *text, size_t len)
{
    put(w, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            put(w, "\\", 1);
        put(w, text + i, 1);
    }
    put(w, "\"", 1);
}

static void put_value(struct writer *w, enum rule_type type, const struct rule_value *value)
{
    uint64_t magnitude = value->number < 0 ? -(uint64_t)value->number : (uint64_t)value->number;
    if (!value->known) {
        put_word(w, "unknown");
        return;
    }
    if (value->number < 0 && type != RULE_TYPE_FLAG)
        put(w, "-", 1);
    switch (type) {
    case RULE_TYPE_TEXT:
        put_quoted(w, value->text, value->len);
        break;
    case RULE_TYPE_NUMBER:
        put_number(w, magnitude);
        break;
    case RULE_TYPE_MILLI:
        put_milli(w, magnitude);
        break;
    case RULE_TYPE_FLAG:
        put_word(w, value->number ? "yes" : "no");
        break;
    }
}

void rule_value_format(enum rule_type type, const struct rule_value *value, char *dst, size_t cap)
{
    struct writer w = {.dst = dst, .cap = cap};
    dst[0] = 0;
    put_value(&w, type, value);
}

void rule_condition_format(const struct rules *rules, const struct rule_condition *condition, char *dst,
                           size_t cap)
{
    struct writer w = {.dst = dst, .cap = cap};
    bool set = ops[condition->op].operand == RULE_TAKES_SET;
    dst[0] = 0;
    put_word(&w, attrs[condition->attr].text);
    put(&w, " ", 1);
    put_word(&w, ops[condition->op].text);
    if (ops[condition->op].operand == RULE_TAKES_NONE)
        return;
    put_word(&w, set ? " [" : " ");
    if (condition->other != RULE_ATTRS_N)
        put_word(&w, attrs[condition->other].text);
    for (uint32_t i = 0; i < condition->n; i++) {
        const struct rule_literal *literal = &rules->literal[condition->first + i];
        struct rule_value value = {
            .known = true, .len = literal->len, .text = literal->text, .number = literal->number};
        if (i > 0)
            put(&w, ", ", 2);
        put_value(&w, attrs[condition->attr].type, &value);
    }
    if (set)
        put(&w, "]", 1);
}

const struct rule_condition *rule_condition_at(const struct rule *rule, uint32_t condition)
{
    if (condition < rule->nwhen)
        return &rule->when[condition];
    if (condition - rule->nwhen < rule->nthat && condition != RULES_NONE)
        return &rule->that[condition - rule->nwhen];
    return NULL;
}

/* ---- dates: the proleptic Gregorian calendar, years that begin in March, so that the leap day is the last ---- */

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static int64_t month_days(int64_t year, int64_t month)
{
    int64_t next = month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, month + 1, 1);
    return next - days_from_civil(year, month, 1);
}

/* Takes the digits at `at`, that many, in [min, max]. */
static bool part(const char *text, size_t at, size_t digits, uint64_t min, uint64_t max, int64_t *out)
{
    uint64_t v;
    if (!u64_parse(text + at, digits, max, &v) || v < min)
        return false;
    *out = (int64_t)v;
    return true;
}

bool rule_date_parse(const char *text, size_t len, int64_t *ms)
{
    int64_t year, month, day, hour = 0, minute = 0, second = 0;
    if (len != 10 && len != 20)
        return false;
    if (text[4] != '-' || text[7] != '-' || !part(text, 0, 4, 1970, 9999, &year) ||
        !part(text, 5, 2, 1, 12, &month) || !part(text, 8, 2, 1, 31, &day) || day > month_days(year, month))
        return false;
    if (len == 20 && (text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z' ||
                      !part(text, 11, 2, 0, 23, &hour) || !part(text, 14, 2, 0, 59, &minute) ||
                      !part(text, 17, 2, 0, 59, &second)))
        return false;
    *ms = days_from_civil(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000;
    return true;
}
