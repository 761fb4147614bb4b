/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rulebook: which rules (core/rules.h) are in force, as part of the state.
 *
 * A text arrives in parts, which are kept as they came, and is parsed as a whole when it is put in force; until then, and
 * if it does not parse, the rules in force stay. There are two slots: one has what is in force, the other the draft.
 * Texts are rows; what they compile to is derived.
 *
 * What the rules say of a shape (core/work.h) is kept there as a mask over pools, made anew when `version` is another: with
 * other rules, at the date of one, with another pool. Rules are judged as of the last of these moments, which is in the
 * row, so that a reload judges alike. `changed` says that work may run which is forbidden now; the next pass stops it.
 *
 * Bounds: those of core/rules.h, and RULES_PARTS_MAX parts. Everything lies in the core's block.
 */
#ifndef BUSBAR_CORE_RULEBOOK_H
#define BUSBAR_CORE_RULEBOOK_H

#include "core/core.h"
#include "core/rules.h"

#define HOME_NOT_KNOWN '-' /* a job's home that nobody knows */

struct shape;
struct shape_key;

struct rules_text {
    char *text; /* RULES_TEXT_MAX */
    uint32_t parts;
    uint32_t at[RULES_PARTS_MAX + 1]; /* where each begins; after the last, the length */
    bool touched[RULES_PARTS_MAX];
};

struct rulebook {
    struct row_rules row;
    bool row_touched;
    struct rules_text text[2];
    struct rules rules[2];
    struct rule_errors errors; /* scratch */
    uint64_t version;
    int64_t next_ms;     /* when a rule comes into force or goes, INT64_MAX: none does */
    bool asks_corridors; /* a rule does */
    bool names_tenants;  /* a rule asks for tenant.name, so tenants are told apart by it */
    bool changed;
};

void rulebook_carve(struct core *core, struct arena *arena);
void rulebook_init(struct core *core);
const struct rules *rulebook_rules(const struct core *core);
/* At a tick: rules whose date has come are in force from now on, or gone. */
void rulebook_turn(struct core *core);
void rulebook_collect(struct core *core, row_fn *fn, void *ctx);
void rulebook_dump(const struct core *core, row_fn *fn, void *ctx);

/* Bit i of alternative a (a mask of pool words each): no rule denies this shape pool i. NULL: there are no rules. */
const uint64_t *shape_lawful(struct core *core, struct shape *shape);
/* What rules are told of work of this shape as this alternative, by the tenant; and of a pool. */
void rule_facts_of_work(const struct core *core, const struct shape_key *key, uint32_t tenant,
                        uint32_t alternative, struct rule_facts *facts);
/* Corridors that rules deny to the data of this shape, as bits; NULL: none. Made when it is asked for; logically const. */
const uint64_t *shape_closed(const struct core *core, struct shape *shape);
void rule_facts_of_corridor(const struct core *core, uint32_t corridor, struct rule_facts *facts);
void rule_facts_of_pool(const struct core *core, uint32_t pool, struct rule_facts *facts);

int load_rules(struct core *core, const struct row_rules *row);
int load_rules_part(struct core *core, const struct row_rules_part *row);
/* After the last row: parses what is in force. ERR_CORRUPT or ERR_LIMIT. */
int load_rules_done(struct core *core);

/* How many bytes of a text make its next part: as many as fit, cut between characters; 0: there is none left. */
uint32_t rules_cut(const char *text, size_t len);

#endif
