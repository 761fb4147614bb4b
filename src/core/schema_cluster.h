/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: models that several members hold together (core/clusters.h). Their part of the one schema (core/schema.h tells how fields
 * are named and added).
 */
#ifndef BUSBAR_CORE_SCHEMA_CLUSTER_H
#define BUSBAR_CORE_SCHEMA_CLUSTER_H

/* clang-format off */

/* What was asked for, at the end of a deployment's event. members: 0, it is no cluster; member_bytes: memory that each may use, 0: as
 * its chips have; cluster_flags: enum cluster_flag. Up to four kinds of chip with so many members each, all of them `members`; the first
 * with 0 ends the list, none: of any kind that the deployment may use. */
#define CLUSTER_KIND(F, S, i) F(S, text, kind##i, CHIP_CAP) F(S, u32, of##i, 0)
#define CLUSTER_ASKED(F, S) \
    F(S, u32, members, 0) F(S, u64, member_bytes, 0) F(S, u32, cluster_flags, 0) \
    CLUSTER_KIND(F, S, 0) CLUSTER_KIND(F, S, 1) CLUSTER_KIND(F, S, 2) CLUSTER_KIND(F, S, 3)
/* The part of a member: which replica, under which epoch, and how many layers it holds. In the order of the layers. */
#define CLUSTER_PART(F, S, i) F(S, u32, ordinal##i, 0) F(S, u32, epoch##i, 0) F(S, u32, layers##i, 0)
#define CLUSTER_PARTS(F, S) \
    CLUSTER_PART(F, S, 0) CLUSTER_PART(F, S, 1) CLUSTER_PART(F, S, 2) CLUSTER_PART(F, S, 3) \
    CLUSTER_PART(F, S, 4) CLUSTER_PART(F, S, 5) CLUSTER_PART(F, S, 6) CLUSTER_PART(F, S, 7) \
    CLUSTER_PART(F, S, 8) CLUSTER_PART(F, S, 9) CLUSTER_PART(F, S, 10) CLUSTER_PART(F, S, 11) \
    CLUSTER_PART(F, S, 12) CLUSTER_PART(F, S, 13) CLUSTER_PART(F, S, 14) CLUSTER_PART(F, S, 15)
/* What it is thought to yield: tokens a second of one request and, together, of all its slots are the same to a pipeline that has one
 * batch in it; thousandths. As many chips of the kind would do as much, thousandths; empty: nobody knows. */
#define CLUSTER_FORECAST(F, S) F(S, u64, token_s_e3, 0) F(S, u32, equal_e3, 0) F(S, text, equal_chip, CHIP_CAP)
/* From the hub: the members hold the model in these parts from now on, under the next generation. */
#define EVENT_CLUSTER_PLAN(F, S) \
    F(S, uuid, deployment, 0) F(S, u32, generation, 0) F(S, u32, parts, 0) CLUSTER_PARTS(F, S) CLUSTER_FORECAST(F, S)
/* From the hub: why there is no plan after that generation; or, while one is in force, why it is less than was asked for. */
#define EVENT_CLUSTER_WAIT(F, S) F(S, uuid, deployment, 0) F(S, u32, generation, 0) F(S, text, detail, TEXT_CAP)

/* generation: of the last plan; parts: 0, none is in force. offered: members that were ready when it was made, those too that it left
 * out. broken_ms: since when nobody is served because a plan broke, 0: it is not so; outage_ms: how long that was the last time; breaks:
 * how often. */
#define ROW_CLUSTER(F, S) \
    F(S, uuid, id, 0) CLUSTER_ASKED(F, S) F(S, u32, generation, 0) F(S, u32, parts, 0) CLUSTER_PARTS(F, S) \
    CLUSTER_FORECAST(F, S) F(S, u32, offered, 0) F(S, i64, planned_ms, 0) F(S, i64, broken_ms, 0) F(S, i64, outage_ms, 0) \
    F(S, u32, breaks, 0) F(S, text, detail, TEXT_CAP)

#define CLUSTER_EVENTS(E) E(cluster_plan, 180, EVENT_CLUSTER_PLAN) E(cluster_wait, 181, EVENT_CLUSTER_WAIT)
#define CLUSTER_ROWS(R) R(cluster, 110, ROW_CLUSTER, 1)

/* clang-format on */

#endif
