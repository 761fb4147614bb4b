/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register of single chips (core/registry.h): its part of the one schema (core/schema.h tells how fields are named and added). A
 * single chip is a `unit` here, since `chip` is a kind of them.
 */
#ifndef BUSBAR_CORE_SCHEMA_CHIPS_H
#define BUSBAR_CORE_SCHEMA_CHIPS_H

#define UNIT_NAME_CAP 112  /* VENDOR:SERIAL */
#define UNIT_VENDOR_CAP 24 /* as data/chips.yaml has it */
#define UNIT_TEXT_CAP 64   /* what a maker's tool says of it */

/* clang-format off */

/* What a site says of one: name, what it is told by (core/registry.h); maker_id: the maker's own UUID; kind: of the catalogue, empty
 * where it is none of it; device: PCI vendor and device; origin: as the catalogue has it; host: the machine that it is in; health: enum
 * unit_health, and why; here: the site has it in so many of its machines at a time, 0 means 1. */
#define UNIT_FACTS(F, S) \
    F(S, text, name, UNIT_NAME_CAP) F(S, text, vendor, UNIT_VENDOR_CAP) F(S, text, maker_id, UNIT_TEXT_CAP) \
    F(S, text, kind, CHIP_CAP) F(S, text, device, 16) F(S, text, model, UNIT_TEXT_CAP) F(S, text, origin, CODE_CAP) \
    F(S, text, host, NAME_CAP) F(S, u32, health, 0) F(S, text, reason, TEXT_CAP)
/* It is there, or something of it is otherwise. unit: its id, if this is the first that is heard of it. */
#define EVENT_UNIT_SEEN(F, S) F(S, uuid, unit, 0) F(S, uuid, site, 0) UNIT_FACTS(F, S) F(S, u32, here, 0)
/* The site does not have it any more. */
#define EVENT_UNIT_GONE(F, S) F(S, uuid, unit, 0) F(S, uuid, site, 0)
/* What the site was said to have it still has, and so many chips that cannot be told apart. */
#define EVENT_UNIT_CENSUS(F, S) F(S, uuid, site, 0) F(S, u32, nameless, 0)
/* An operator declares the licence under which it was exported, or where it was made; what: enum unit_declared, the others stay. */
#define EVENT_UNIT_DECLARE(F, S) \
    F(S, uuid, unit, 0) F(S, u32, what, 0) F(S, text, licence, NAME_CAP) F(S, text, origin, CODE_CAP)
/* An operator has found out why it was seen at that site too. */
#define EVENT_UNIT_RESOLVE(F, S) F(S, uuid, unit, 0) F(S, uuid, site, 0) F(S, text, note, TEXT_CAP)

/* site: where it is, or was last; state: enum unit_state, since when; seen_ms: when it was last there, of one that is there: see
 * unit_census; from: the site before, when it moved, how often it did. licence and declared_origin: an operator's. */
#define ROW_UNIT(F, S) \
    F(S, uuid, id, 0) F(S, uuid, site, 0) UNIT_FACTS(F, S) F(S, u32, state, 0) F(S, i64, since_ms, 0) \
    F(S, i64, first_ms, 0) F(S, i64, seen_ms, 0) F(S, uuid, from, 0) F(S, i64, moved_ms, 0) F(S, u32, moves, 0) \
    F(S, text, licence, NAME_CAP) F(S, text, declared_origin, CODE_CAP) F(S, i64, declared_ms, 0)
/* An alarm: the site has it, too, while `home` has it. since_ms: when that was first so, raised_ms: last; gone_ms: since when the site
 * does not have it besides, 0: it has; resolved_ms: an operator has found out why, 0: nobody has. told: notices of it were made. */
#define ROW_UNIT_ALARM(F, S) \
    F(S, uuid, unit, 0) F(S, uuid, site, 0) F(S, uuid, home, 0) F(S, text, host, NAME_CAP) F(S, i64, since_ms, 0) \
    F(S, i64, raised_ms, 0) F(S, i64, gone_ms, 0) F(S, i64, resolved_ms, 0) F(S, text, note, TEXT_CAP) F(S, u32, told, 0)
/* When a site last said what it has, and its chips that cannot be told apart. */
#define ROW_UNIT_CENSUS(F, S) F(S, uuid, site, 0) F(S, i64, seen_ms, 0) F(S, u32, nameless, 0)
/* What became of one, for ever: what, enum unit_past; at which site, and from which; why, or what was declared. */
#define ROW_UNIT_PAST(F, S) \
    F(S, uuid, unit, 0) F(S, i64, at_ms, 0) F(S, u32, what, 0) F(S, uuid, site, 0) F(S, uuid, from, 0) F(S, text, text, TEXT_CAP)

#define UNIT_EVENTS(E) \
    E(unit_seen, 160, EVENT_UNIT_SEEN) \
    E(unit_gone, 161, EVENT_UNIT_GONE) \
    E(unit_census, 162, EVENT_UNIT_CENSUS) \
    E(unit_declare, 163, EVENT_UNIT_DECLARE) \
    E(unit_resolve, 164, EVENT_UNIT_RESOLVE)
#define UNIT_ROWS(R) \
    R(unit, 100, ROW_UNIT, 1) \
    R(unit_alarm, 101, ROW_UNIT_ALARM, 2) \
    R(unit_census, 102, ROW_UNIT_CENSUS, 1) \
    R(unit_past, 103, ROW_UNIT_PAST, 4)

/* clang-format on */

#endif
