/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the schema (core/schema.h) that is about projects, budgets and what tenants are told of them. */
#ifndef BUSBAR_CORE_SCHEMA_BUDGET_H
#define BUSBAR_CORE_SCHEMA_BUDGET_H

/* clang-format off */

/* A part of a tenant that keys belong to (core/project.c). */
#define EVENT_PROJECT_ADD(F, S) F(S, uuid, project, 0) F(S, uuid, tenant, 0) F(S, text, name, NAME_CAP)
#define EVENT_PROJECT_REMOVE(F, S) F(S, uuid, project, 0)
/* The hard or the soft budget of a tenant, project or key (core/budget.h): scope, enum budget_scope, says which `owner` is; per,
 * enum budget_period; amount in nano-units, < 0: it has none any more; at: the percentage that is told, 0: 50, 80 and 100. */
#define EVENT_BUDGET_SET(F, S) \
    F(S, uuid, owner, 0) F(S, u32, scope, 0) F(S, u32, soft, 0) F(S, u32, per, 0) F(S, i64, amount, 0) F(S, u32, at, 0)
/* Where a tenant's notices go (core/notice.c). webhook: a new id with each; no URL: nowhere. */
#define EVENT_WEBHOOK_SET(F, S) F(S, uuid, webhook, 0) F(S, uuid, tenant, 0) F(S, text, url, PATH_CAP)
#define EVENT_WEBHOOK_TEST(F, S) F(S, uuid, tenant, 0)
/* The hub tried to deliver it: status as the receiver answered, 0: it did not. */
#define EVENT_NOTICE_TRIED(F, S) F(S, uuid, notice, 0) F(S, u32, status, 0)

#define ROW_PROJECT(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, text, name, NAME_CAP) F(S, i64, created_ms, 0) F(S, i64, removed_ms, 0)
/* As budget_set says; spent: posted since begun_ms, when the period began; told: the highest percentage of it that was. */
#define ROW_BUDGET(F, S) \
    F(S, uuid, owner, 0) F(S, u32, soft, 0) F(S, u32, scope, 0) F(S, u32, per, 0) F(S, i64, amount, 0) \
    F(S, i64, spent, 0) F(S, i64, begun_ms, 0) F(S, u32, at, 0) F(S, u32, told, 0) F(S, i64, set_ms, 0)
#define ROW_WEBHOOK(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, id, 0) F(S, text, url, PATH_CAP) F(S, i64, set_ms, 0) F(S, u32, status, 0) \
    F(S, i64, tried_ms, 0)
/* What a tenant is to be told: kind, enum notice_kind; of a budget what it was then, of compute `spent` in 1e12 FLOP of `amount`.
 * next_ms: when it is sent next; state: enum notice_state. */
#define ROW_NOTICE(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, u32, kind, 0) F(S, uuid, owner, 0) F(S, u32, scope, 0) \
    F(S, u32, soft, 0) F(S, u32, per, 0) F(S, u32, percent, 0) F(S, i64, amount, 0) F(S, i64, spent, 0) \
    F(S, i64, begun_ms, 0) F(S, i64, at_ms, 0) F(S, u32, tries, 0) F(S, i64, next_ms, 0) F(S, u32, status, 0) \
    F(S, u32, state, 0)
/* What a tenant's jobs could have computed: 1e12 FLOP, the rest in 1e6; when each alarm of COMPUTE_ALARMS was, 0: not yet. */
#define ROW_COMPUTE(F, S) \
    F(S, uuid, tenant, 0) F(S, u64, tera, 0) F(S, u64, rest, 0) F(S, i64, alarm0_ms, 0) F(S, i64, alarm1_ms, 0)

/* clang-format on */

#endif
