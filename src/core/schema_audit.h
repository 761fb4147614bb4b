/* SPDX-License-Identifier: Apache-2.0 */
/* Part of core/schema.h: what is there for those who check. clang-format is off as there: a list is read by its lines. */
#ifndef BUSBAR_CORE_SCHEMA_AUDIT_H
#define BUSBAR_CORE_SCHEMA_AUDIT_H

/* clang-format off */

/* From the runtime: SHA-256 of the state as it was before event `event`, a tick with `mark`, was stepped (runtime/snapshot.h). Nothing
 * changes by it. It is refused where the state knows of no such mark, or of a later one. */
#define EVENT_STATE_DIGEST(F, S) F(S, uuid, snapshot, 0) F(S, u64, event, 0) F(S, digest, state, 0)
/* gone_ms: when the last replica was; lifted_ms: from when on it is in force no more; 0: not yet. */
#define ROW_RECALL(F, S) \
    F(S, uuid, id, 0) F(S, digest, digest, 0) F(S, text, reason, TEXT_CAP) F(S, i64, asked_ms, 0) \
    F(S, i64, gone_ms, 0) F(S, i64, lifted_ms, 0)
/* Added to, not replaced: how often something was decided on a day (since 1970). what: enum tally; code: why, an error without its sign. */
#define ROW_TALLY(F, S) F(S, u64, day, 0) F(S, u32, what, 0) F(S, u32, code, 0) F(S, u64, count, 0)

/* clang-format on */

#endif
