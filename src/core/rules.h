/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: what may run where, as data. Facts about one piece of work at one place go in, a verdict comes out.
 *
 *   file       rule*                a rule begins in column 1; its further lines are indented; # begins a comment
 *   rule       ("deny" | "require" | "allow") ID ["from" DATE] ["until" DATE]
 *              ["when" conditions] ["that" conditions] "because" "TEXT" "cite" "SOURCE"
 *   conditions condition ("and" condition)*
 *   condition  ATTR ("=" | "!=" | "<" | "<=" | ">" | ">=") (VALUE | ATTR)
 *            | ATTR ("in" | "not-in") "[" VALUE ("," VALUE)* "]"  |  ATTR ("known" | "unknown")
 *
 * deny and allow need `when`; require needs `that`, and may have `when`. docs/rules.md tells the same for people.
 *
 * A verdict: no rule beats a deny. Work is denied by a `deny` whose conditions hold, and by a `require` whose `when`
 * holds and whose `that` does not. In a file with any `allow`, in force or not, cross-border work is denied too unless
 * the conditions of an `allow` in force hold; an `allow` opens the border, never a `deny`. Work is cross-border unless
 * site and tenant are known to be in one jurisdiction, the data's home, if known, is that one too, and the corridor, if
 * one is known, crosses no border. A condition on a value that is not known does not hold; in cross-border work it
 * makes the rule need review, which denies, unless another condition of the rule settles the matter.
 *
 * Everything is fixed-size and lies in the arena given to rules_init; nothing allocates. Texts in facts are borrowed.
 */
#ifndef BUSBAR_CORE_RULES_H
#define BUSBAR_CORE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/limits.h"

#define RULES_MAX 256
#define RULE_CONDITIONS_MAX 8 /* in `when`, and in `that` */
#define RULE_LITERALS_MAX 1024
#define RULE_LITERAL_CAP 128
#define RULE_TEXT_CAP CITE_CAP
#define RULES_TEXT_MAX (128u << 10) /* bytes of a file */
#define RULE_ERRORS_MAX 32
#define RULES_NONE UINT32_MAX

/* clang-format off */

/* MILLI: at most three decimals, held in thousandths. FLAG: yes or no, held as 1 or 0. */
#define RULE_TYPES(T) T(TEXT, "text") T(NUMBER, "number") T(MILLI, "decimal") T(FLAG, "flag")

/* A(name, text, type, side): facts OF_WORK are the same wherever the work runs, those OF_PLACE are the place's and the
 * way's to it. density: thousandths of TPP for a mm2; exaflop: operations in all, in 1e18. */
#define RULE_ATTRS(A) \
    A(CHIP_NAME, "chip.name", TEXT, OF_PLACE) \
    A(CHIP_VENDOR, "chip.vendor", TEXT, OF_PLACE) \
    A(CHIP_ORIGIN, "chip.origin", TEXT, OF_PLACE) \
    A(CHIP_TPP, "chip.tpp", NUMBER, OF_PLACE) \
    A(CHIP_DENSITY, "chip.density", MILLI, OF_PLACE) \
    A(CHIP_MEMORY_GIB, "chip.memory_gib", NUMBER, OF_PLACE) \
    A(SITE_NAME, "site.name", TEXT, OF_PLACE) \
    A(SITE_JURISDICTION, "site.jurisdiction", TEXT, OF_PLACE) \
    A(SITE_REGION, "site.region", TEXT, OF_PLACE) \
    A(SITE_OWNER, "site.owner", TEXT, OF_PLACE) \
    A(CORRIDOR_A, "corridor.a", TEXT, OF_PLACE) \
    A(CORRIDOR_B, "corridor.b", TEXT, OF_PLACE) \
    A(CORRIDOR_CROSSES_BORDER, "corridor.crosses_border", FLAG, OF_PLACE) \
    A(TENANT_NAME, "tenant.name", TEXT, OF_WORK) \
    A(TENANT_JURISDICTION, "tenant.jurisdiction", TEXT, OF_WORK) \
    A(TENANT_LICENCE, "tenant.licence", TEXT, OF_WORK) \
    A(DATA_CLASS, "data.class", TEXT, OF_WORK) \
    A(DATA_HOME, "data.home", TEXT, OF_WORK) \
    A(MODEL_NAME, "model.name", TEXT, OF_WORK) \
    A(MODEL_ORIGIN, "model.origin", TEXT, OF_WORK) \
    A(MODEL_LICENCE, "model.licence", TEXT, OF_WORK) \
    A(MODEL_DIGEST, "model.digest", TEXT, OF_WORK) \
    A(MODEL_SAFETY_REVIEW, "model.safety_review", TEXT, OF_WORK) \
    A(JOB_KIND, "job.kind", TEXT, OF_WORK) \
    A(JOB_CHIPS, "job.chips", NUMBER, OF_WORK) \
    A(JOB_EXAFLOP, "job.exaflop", NUMBER, OF_WORK)

/* O(name, text, types it is for, operand) */
#define RULE_FOR_ALL 15u
#define RULE_FOR_ORDER (1u << RULE_TYPE_NUMBER | 1u << RULE_TYPE_MILLI)
#define RULE_FOR_SETS (1u << RULE_TYPE_TEXT | RULE_FOR_ORDER)
#define RULE_OPS(O) \
    O(EQ, "=", RULE_FOR_ALL, ONE) \
    O(NE, "!=", RULE_FOR_ALL, ONE) \
    O(LT, "<", RULE_FOR_ORDER, ONE) \
    O(LE, "<=", RULE_FOR_ORDER, ONE) \
    O(GT, ">", RULE_FOR_ORDER, ONE) \
    O(GE, ">=", RULE_FOR_ORDER, ONE) \
    O(IN, "in", RULE_FOR_SETS, SET) \
    O(NOT_IN, "not-in", RULE_FOR_SETS, SET) \
    O(KNOWN, "known", RULE_FOR_ALL, NONE) \
    O(UNKNOWN, "unknown", RULE_FOR_ALL, NONE)

#define RULE_KINDS(K) K(DENY, "deny") K(REQUIRE, "require") K(ALLOW, "allow")

/* What became of one rule. Of the conditions, the one that settled it is named. */
#define RULE_OUTCOMES(O) \
    O(EARLY, "early", "it is not in force yet") \
    O(LATE, "late", "it is no longer in force") \
    O(DOMESTIC, "domestic", "the work crosses no border") \
    O(APART, "apart", "a condition does not hold") \
    O(UNKNOWN, "unknown", "a value is not known, so a condition does not hold") \
    O(MET, "met", "what it requires holds") \
    O(COVERS, "covers", "it covers the work") \
    O(REVIEW, "review", "a value is not known: needs review") \
    O(DENIES, "denies", "it denies")

#define VERDICT_REASONS(V) \
    V(ALLOWED, "allowed", "no rule denies it") \
    V(DENIED, "denied", "a rule denies it") \
    V(CLOSED, "closed", "no allow covers this cross-border work") \
    V(REVIEW, "review", "needs review: a value that a rule asks for is not known")
/* clang-format on */

enum rule_side { RULE_OF_WORK, RULE_OF_PLACE };
enum rule_operand { RULE_TAKES_ONE, RULE_TAKES_SET, RULE_TAKES_NONE };
enum rule_type {
#define T(name, text) RULE_TYPE_##name,
    RULE_TYPES(T)
#undef T
};
enum rule_attr {
#define A(name, text, type, side) RULE_##name,
    RULE_ATTRS(A)
#undef A
        RULE_ATTRS_N
};
enum rule_op {
#define O(name, text, types, operand) RULE_OP_##name,
    RULE_OPS(O)
#undef O
        RULE_OPS_N
};
enum rule_kind {
#define K(name, text) RULE_KIND_##name,
    RULE_KINDS(K)
#undef K
        RULE_KINDS_N
};
enum rule_outcome {
#define O(name, word, text) RULE_OUTCOME_##name,
    RULE_OUTCOMES(O)
#undef O
};
enum verdict_reason {
#define V(name, word, text) VERDICT_##name,
    VERDICT_REASONS(V)
#undef V
};

/* ---- compiled rules ---- */

struct rule_literal {
    char text[RULE_LITERAL_CAP];
    uint32_t len;
    int64_t number;
};

struct rule_condition {
    uint8_t attr;   /* enum rule_attr */
    uint8_t op;     /* enum rule_op */
    uint8_t other;  /* the attribute that it is compared with; RULE_ATTRS_N: with literals */
    uint16_t first; /* literal, and how many */
    uint16_t n;
};

struct rule {
    char id[NAME_CAP];
    char because[RULE_TEXT_CAP];
    char cite[RULE_TEXT_CAP];
    enum rule_kind kind;
    uint32_t line;    /* where it begins in the file */
    int64_t from_ms;  /* in force from then on; INT64_MIN: always was */
    int64_t until_ms; /* and before then; INT64_MAX: for ever */
    uint32_t nwhen, nthat;
    struct rule_condition when[RULE_CONDITIONS_MAX];
    struct rule_condition that[RULE_CONDITIONS_MAX];
};

struct rules {
    struct rule *rule; /* in the order of the file */
    struct rule_literal *literal;
    uint32_t nrules, nliterals;
    bool closes_border; /* there is an allow */
};

/* Carves room for RULES_MAX rules; without rules everything is allowed. ERR_LIMIT when the arena is used up. The block
 * need not be zero. With an arena that only counts, `rules` is of no use. */
int rules_init(struct rules *rules, struct arena *arena);
/* Without an arena of the caller's: in a block of rules_size() bytes, aligned to ARENA_ALIGN, which is to outlive the rules. */
size_t rules_size(void);
void rules_place(struct rules *rules, void *block);

struct rule_error {
    uint32_t line, column; /* from 1; characters, not bytes */
    char text[160];
};
struct rule_errors {
    uint32_t n; /* found; the first RULE_ERRORS_MAX are kept */
    struct rule_error list[RULE_ERRORS_MAX];
};

/* Replaces all rules by those of a file. 0; or ERR_INVALID with every error in the order of the file, and no rules. */
int rules_parse(struct rules *rules, const char *text, size_t len, struct rule_errors *errors);

/* ---- facts ---- */

struct rule_value {
    bool known;
    uint32_t len;
    const char *text; /* TEXT: borrowed, not NUL-terminated */
    int64_t number;   /* of the other types */
};
/* What is judged. Rules that ask for a corridor are for corridors, each that data would come over by itself; all others are
 * for pools. A closed border is the pool's matter. */
enum rule_about { RULE_ABOUT_ALL, RULE_ABOUT_POOL, RULE_ABOUT_CORRIDOR };
struct rule_facts {
    struct rule_value v[RULE_ATTRS_N];
    enum rule_about about;
};

/* Nothing is known. */
void rule_facts_clear(struct rule_facts *facts);
/* A text field of a row: an empty one is not known. Asserts the type. */
void rule_facts_text(struct rule_facts *facts, enum rule_attr attr, const char *text, size_t cap);
/* A NUMBER, a MILLI in thousandths, a FLAG as 0 or 1. Asserts the type. */
void rule_facts_number(struct rule_facts *facts, enum rule_attr attr, int64_t number);
/* "ATTR=VALUE"; an empty value is not known. ERR_NOT_FOUND: no such attribute; ERR_INVALID: no value of its type.
 * The text is borrowed. */
int rule_facts_read(struct rule_facts *facts, const char *text, size_t len);
/* Whether some condition of the rule is on a corridor. */
bool rule_asks_corridor(const struct rule *rule);
bool rule_facts_cross_border(const struct rule_facts *facts);

/* ---- judging ---- */

struct verdict {
    bool allowed;
    bool cross_border;
    enum verdict_reason reason;
    uint32_t rule;      /* that decided; the allow that covers it, if allowed; RULES_NONE */
    uint32_t condition; /* of that rule: see rule_finding */
};
/* 0 when allowed, else ERR_FORBIDDEN; *out is filled in both cases. What denies for certain decides before what needs
 * review, and of either the first in the file. */
int rules_judge(const struct rules *rules, const struct rule_facts *facts, int64_t at_ms,
                struct verdict *out);

struct rule_finding {
    enum rule_outcome outcome;
    uint32_t
        condition; /* that settled it: an index into `when`, or nwhen + an index into `that`; RULES_NONE */
};
struct rule_finding rule_consider(const struct rules *rules, uint32_t rule, const struct rule_facts *facts,
                                  int64_t at_ms);

/* The first time after at_ms at which a rule comes into force or goes; INT64_MAX when none does. */
int64_t rules_next_change_ms(const struct rules *rules, int64_t at_ms);

/* Adds the facts of a place to those of the work: sets attributes OF_PLACE only. */
typedef void rule_place_fn(void *ctx, uint32_t place, struct rule_facts *facts);
/* Bit i of words[i / 64] says whether the work may run at place i of `n`; bits beyond are 0. `words` has (n + 63) / 64.
 * Rules that the work alone rules out are looked at once, not for each place. */
void rules_mask(const struct rules *rules, const struct rule_facts *work, int64_t at_ms, rule_place_fn *place,
                void *ctx, uint32_t n, uint64_t *words);

/* ---- words ---- */

const char *rule_attr_text(enum rule_attr attr);
enum rule_type rule_attr_type(enum rule_attr attr);
enum rule_side rule_attr_side(enum rule_attr attr);
/* RULE_ATTRS_N when there is none. */
enum rule_attr rule_attr_find(const char *text, size_t len);
const char *rule_type_text(enum rule_type type);
const char *rule_kind_text(enum rule_kind kind);
/* RULE_OPS_N when there is none. */
enum rule_op rule_op_find(const char *text, size_t len);
uint32_t rule_op_types(enum rule_op op); /* bit 1 << type */
enum rule_operand rule_op_operand(enum rule_op op);
const char *rule_outcome_word(enum rule_outcome outcome);
const char *rule_outcome_text(enum rule_outcome outcome);
const char *verdict_reason_word(enum verdict_reason reason);
const char *verdict_reason_text(enum verdict_reason reason);

/* A value of the type as files write it, without quotes. */
bool rule_value_parse(enum rule_type type, const char *text, size_t len, int64_t *number);
/* As a file may write it; cut to fit and NUL-terminated. */
void rule_value_format(enum rule_type type, const struct rule_value *value, char *dst, size_t cap);
void rule_condition_format(const struct rules *rules, const struct rule_condition *condition, char *dst,
                           size_t cap);
/* The condition that a finding names; NULL for RULES_NONE. */
const struct rule_condition *rule_condition_at(const struct rule *rule, uint32_t condition);

/* YYYY-MM-DD, the beginning of that day, or YYYY-MM-DDTHH:MM:SSZ; UTC, years 1970 to 9999. */
bool rule_date_parse(const char *text, size_t len, int64_t *ms);

#endif
