/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance: whether replicas give right answers, and how fast; its part of the one schema (core/schema.h tells how fields are named
 * and added; core/accept.h what holds).
 */
#ifndef BUSBAR_CORE_SCHEMA_ACCEPT_H
#define BUSBAR_CORE_SCHEMA_ACCEPT_H

/* clang-format off */

/* What a check found. tokens: that were compared, of `prompts`; close: the replica's choice was another where the reference's
 * two likeliest were about as likely, which counts for nothing; parted: where they were not. mean and max: by how much logarithms of
 * probabilities differ, millionths. one and many: tokens a second of one request, and of `batch` at a time; read: of a prompt; in
 * thousandths, 0: not measured. golden: SHA-256 of the reference's answers. took_ms: the check itself. */
#define ACCEPT_FIGURES(F, S) \
    F(S, u32, prompts, 0) F(S, u32, tokens, 0) F(S, u32, close, 0) F(S, u32, parted, 0) F(S, u32, mean, 0) F(S, u32, max, 0) \
    F(S, u64, one, 0) F(S, u64, many, 0) F(S, u32, batch, 0) F(S, u64, read, 0) F(S, digest, golden, 0) F(S, u64, took_ms, 0)

/* enum accept_mode: whether replicas that start from now on are checked before they take requests. */
#define EVENT_ACCEPT_MODE(F, S) F(S, u32, mode, 0)
/* A replica was checked under that epoch. verdict: enum accept_verdict, PASSED, FAILED or UNCHECKED; that of speed is core's. reason:
 * in words, where it did not pass; version: of the engine that answered. check: the id that its leaf in the log is found by. */
#define EVENT_ACCEPT_RESULT(F, S) \
    F(S, uuid, check, 0) F(S, uuid, deployment, 0) F(S, u32, ordinal, 0) F(S, u32, epoch, 0) F(S, u32, verdict, 0) \
    F(S, text, reason, TEXT_CAP) ACCEPT_FIGURES(F, S)
/* The variant may be at the site again (zero: at all sites), and what failed is forgotten. */
#define EVENT_ACCEPT_LIFT(F, S) F(S, uuid, variant, 0) F(S, uuid, site, 0)

#define ROW_ACCEPT_MODE(F, S) F(S, u32, id, 0) F(S, u32, mode, 0)
/* What is known of a variant on so many chips of a kind (on the hub's own machine: "" and 0) at a site. fails: one after the other, up to
 * now; barred_ms: since when it may not be there, 0: it may. The last check and its figures; one0 to one6, many0 to many6: figures of those
 * that passed, `passes` of them, the newest at (passes - 1) mod 7. */
#define ROW_ACCEPTANCE(F, S) \
    F(S, uuid, variant, 0) F(S, uuid, site, 0) F(S, text, chip, CHIP_CAP) F(S, u32, chips, 0) \
    F(S, u32, fails, 0) F(S, i64, barred_ms, 0) F(S, uuid, check, 0) F(S, i64, at_ms, 0) F(S, u32, verdict, 0) \
    F(S, text, reason, TEXT_CAP) F(S, text, version, NAME_CAP) ACCEPT_FIGURES(F, S) F(S, u64, passes, 0) \
    F(S, u64, one0, 0) F(S, u64, one1, 0) F(S, u64, one2, 0) F(S, u64, one3, 0) F(S, u64, one4, 0) F(S, u64, one5, 0) F(S, u64, one6, 0) \
    F(S, u64, many0, 0) F(S, u64, many1, 0) F(S, u64, many2, 0) F(S, u64, many3, 0) F(S, u64, many4, 0) F(S, u64, many5, 0) F(S, u64, many6, 0)

/* Of a replica's row: enum accept_verdict, and when it was checked last under its epoch, 0: it was not. */
#define REPLICA_ACCEPTED(F, S) F(S, u32, accept, 0) F(S, i64, accepted_ms, 0)

#define ACCEPT_EVENTS(E) \
    E(accept_mode, 170, EVENT_ACCEPT_MODE) E(accept_result, 171, EVENT_ACCEPT_RESULT) E(accept_lift, 172, EVENT_ACCEPT_LIFT)
#define ACCEPT_ROWS(R) R(accept_mode, 105, ROW_ACCEPT_MODE, 1) R(acceptance, 106, ROW_ACCEPTANCE, 4)

/* clang-format on */

#endif
