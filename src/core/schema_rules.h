/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules, what they are told, what they denied, and drills: their part of the one schema (core/schema.h tells how fields are named and
 * added).
 */
#ifndef BUSBAR_CORE_SCHEMA_RULES_H
#define BUSBAR_CORE_SCHEMA_RULES_H

/* clang-format off */

/* A part of the text of a set of rules (core/rules.h). Parts come in order from 0; part 0 begins anew whatever was begun
 * before. Nothing is in force by it. */
#define EVENT_RULES_PUT(F, S) F(S, uuid, set, 0) F(S, u32, part, 0) F(S, text, text, RULES_PART_CAP)
/* Puts the set of so many parts in force, all of it or, if it is not as it must be, nothing. No parts: no rules. */
#define EVENT_RULES_SET(F, S) F(S, uuid, set, 0) F(S, u32, parts, 0)
/* What rules are told of a site or a tenant from now on, all of it; empty: not known. Work is judged anew. */
#define EVENT_SITE_FACTS(F, S) \
    F(S, uuid, site, 0) F(S, text, jurisdiction, CODE_CAP) F(S, text, region, NAME_CAP) F(S, text, owner, NAME_CAP)
#define EVENT_TENANT_FACTS(F, S) F(S, uuid, tenant, 0) F(S, text, jurisdiction, CODE_CAP) F(S, text, licence, NAME_CAP)
/* A drill was played (core/drill.h), of the loss of one of these: a site, a vendor's chips, a corridor; the others are zero or empty.
 * as_of_ms: of which state. Jobs and replicas that it stopped, of those what ran again, with the chips that they had, firm ones
 * and interruptible ones apart; `yielded`: interruptible ones elsewhere that gave way. Deployments that lost replicas, and those
 * left without any. reserve: enum dispatch_reserve as it was. */
#define DRILL_OUTCOME(F, S) \
    F(S, uuid, site, 0) F(S, text, vendor, NAME_CAP) F(S, uuid, corridor, 0) F(S, i64, as_of_ms, 0) \
    F(S, u32, firm_jobs, 0) F(S, u32, firm_chips, 0) F(S, u32, firm_again, 0) F(S, u32, firm_chips_again, 0) \
    F(S, u32, soft_jobs, 0) F(S, u32, soft_chips, 0) F(S, u32, soft_again, 0) F(S, u32, soft_chips_again, 0) \
    F(S, u32, yielded, 0) F(S, u32, models, 0) F(S, u32, models_gone, 0) F(S, u32, reserve, 0)
#define EVENT_DRILL(F, S) F(S, uuid, drill, 0) DRILL_OUTCOME(F, S)

/* Added to, not replaced: how often rules denied a tenant's work on a day (core/denial.h). what: enum denied_work; how: enum denied_how;
 * rule and cite: as they were then; no rule: the border is closed. No tenant: there were too many at a time to tell them apart. */
#define ROW_DENIAL(F, S) \
    F(S, u64, day, 0) F(S, uuid, tenant, 0) F(S, u32, what, 0) F(S, u32, how, 0) F(S, text, rule, NAME_CAP) \
    F(S, text, cite, CITE_CAP) F(S, u64, count, 0)
#define ROW_DRILL(F, S) F(S, uuid, id, 0) DRILL_OUTCOME(F, S) F(S, i64, at_ms, 0)
/* The set of rules in force, in slot 0 or 1, and the draft in the other one. judged_ms: as of when they are applied. */
#define ROW_RULES(F, S) \
    F(S, u32, id, 0) F(S, u32, slot, 0) F(S, uuid, set, 0) F(S, u32, parts, 0) F(S, i64, since_ms, 0) \
    F(S, i64, judged_ms, 0) F(S, uuid, draft, 0) F(S, u32, draft_parts, 0)
/* `at`: where the part begins in the text, bytes. Parts past those of their slot are left of an older text. */
#define ROW_RULES_PART(F, S) \
    F(S, u32, slot, 0) F(S, u32, part, 0) F(S, u32, at, 0) F(S, text, text, RULES_PART_CAP)

/* clang-format on */

#endif
