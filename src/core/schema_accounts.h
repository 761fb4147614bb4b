/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the schema (core/schema.h) that tells whose the money of charges is: parties, owners of sites, the network's terms,
 * grants, other networks, and accounts of use. Lists of fields as there, and the same rules: fields are added at the end of a list.
 * Kinds are numbered in core/schema.h, which alone includes this file.
 */
#ifndef BUSBAR_CORE_SCHEMA_ACCOUNTS_H
#define BUSBAR_CORE_SCHEMA_ACCOUNTS_H

/* clang-format off */

/* ---- events ---- */

/* Somebody beside tenants and sites who has accounts: an owner, a sponsor, another network. The id follows from the name. */
#define EVENT_PARTY_ADD(F, S) F(S, uuid, party, 0) F(S, text, name, NAME_CAP)
/* Who owns the site from now on, with its share of what the site earns, millionths that add up to a million. None: the site itself. */
#define OWNER_SHARES(F, S) \
    F(S, u32, share0, 0) F(S, u32, share1, 0) F(S, u32, share2, 0) F(S, u32, share3, 0) \
    F(S, u32, share4, 0) F(S, u32, share5, 0) F(S, u32, share6, 0) F(S, u32, share7, 0)
#define EVENT_SITE_OWNERS(F, S) F(S, uuid, site, 0) F(S, uuids, owners, 0) OWNER_SHARES(F, S)
/* From now on: what the network keeps of each charge, millionths. */
#define EVENT_NETWORK_FEE(F, S) F(S, u32, fee, 0)
/* From now on: the tenant's tax, millionths of what is net; its charges include it. */
#define EVENT_TENANT_TAX(F, S) F(S, uuid, tenant, 0) F(S, u32, tax, 0)
/* A sponsor pays so much of what the tenant's work costs, before the tenant does. Where there are conditions, only of work that meets
 * all of them: chips of this origin, a site of this jurisdiction, one of these models, one of these kinds (enum grant_kind, bits).
 * expires_ms: then what is left goes back to the sponsor; 0: never. */
#define GRANT_TERMS(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, sponsor, 0) F(S, i64, amount, 0) F(S, i64, expires_ms, 0) \
    F(S, text, origin, CODE_CAP) F(S, text, jurisdiction, CODE_CAP) F(S, uuids, models, 0) F(S, u32, kinds, 0)
#define EVENT_GRANT_ADD(F, S) F(S, uuid, grant, 0) GRANT_TERMS(F, S) F(S, uuid, transfer, 0)
/* Money between this network and another: `paid` 1, to it; 0, from it. The id is the sender's, and counts once. */
#define EVENT_PEER_SETTLE(F, S) \
    F(S, uuid, payment, 0) F(S, uuid, party, 0) F(S, u32, ledger, 0) F(S, i64, amount, 0) F(S, u32, paid, 0)
/* Once, at the first start that keeps lines: what the tenant had spent before of which there are none, and what lines before these
 * accounts came to (enum usage_unit). done: 1, that was the last one; it may be of no tenant. */
#define USAGE_SUMS(F, S) \
    F(S, u64, prompt, 0) F(S, u64, cached, 0) F(S, u64, completion, 0) F(S, u64, reasoning, 0) \
    F(S, u64, chip_ms, 0) F(S, u64, energy_mj, 0) F(S, u64, carbon_ng, 0) F(S, u64, bytes, 0)
#define EVENT_BOOKS_OPEN(F, S) F(S, uuid, tenant, 0) F(S, i64, cost, 0) USAGE_SUMS(F, S) F(S, u32, done, 0)
/* What a replica has drawn so far (core/energy.h): a total since its site began it for the `run`-th time under that epoch, however runs
 * are numbered as long as a later one has a higher number, and never 0. flags: JOB_METER_ESTIMATED, JOB_METER_FINAL. site: as of job_end. */
#define EVENT_REPLICA_METER(F, S) \
    F(S, uuid, deployment, 0) F(S, u32, ordinal, 0) F(S, u32, epoch, 0) F(S, uuid, site, 0) F(S, u64, run, 0) \
    F(S, u64, energy_mj, 0) F(S, u32, flags, 0)

/* ---- rows ---- */

#define ROW_PARTY(F, S) F(S, uuid, id, 0) F(S, text, name, NAME_CAP) F(S, i64, created_ms, 0)
#define ROW_SITE_OWNERS(F, S) F(S, uuid, site, 0) F(S, i64, since_ms, 0) F(S, uuids, owners, 0) OWNER_SHARES(F, S)
/* The network's own terms, one row. fee: of each charge, millionths. */
#define ROW_CHARGING(F, S) F(S, u32, id, 0) F(S, u32, fee, 0)
/* ended_ms: what was left went back to its sponsor then; 0: it has not. */
#define ROW_GRANT(F, S) \
    F(S, uuid, id, 0) GRANT_TERMS(F, S) F(S, u32, ledger, 0) F(S, i64, created_ms, 0) F(S, i64, ended_ms, 0)
/* Added to, not replaced: an account of what was used, beside the money. unit: enum usage_unit; side: enum usage_side. */
#define ROW_USED(F, S) F(S, uuid, owner, 0) F(S, u32, side, 0) F(S, u32, unit, 0) F(S, u64, debits, 0) F(S, u64, credits, 0)
/* What a replica has drawn under an epoch (core/energy.h). chips: 0, those of the hub's own machine; state: enum job_usage_state; run_mj:
 * told of the run that it is in; energy_mj: of all of them; waiting_mj: of that, what is on no account yet; told: 1, it has told
 * something since the last time that it was shared out. */
#define ROW_REPLICA_METER(F, S) \
    F(S, uuid, deployment, 0) F(S, u32, ordinal, 0) F(S, u32, epoch, 0) F(S, uuid, site, 0) F(S, uuid, variant, 0) \
    F(S, u32, chips, 0) F(S, u32, state, 0) F(S, i64, started_ms, 0) F(S, i64, ended_ms, 0) F(S, u32, flags, 0) \
    F(S, u64, run, 0) F(S, u64, run_mj, 0) F(S, u64, energy_mj, 0) F(S, u64, waiting_mj, 0) F(S, u32, told, 0)
/* What a key's requests weigh that a site answered with a variant since energy was shared out; model and price: of the last one.
 * key, tenant: zero, of those that there was no room for. */
#define ROW_ENERGY_WEIGHT(F, S) \
    F(S, uuid, site, 0) F(S, uuid, variant, 0) F(S, uuid, key, 0) F(S, uuid, tenant, 0) F(S, uuid, model, 0) \
    F(S, uuid, price, 0) F(S, u64, weight, 0)

/* clang-format on */

#endif
