/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one schema: every event that enters core and every row that the store keeps.
 *
 * A list macro names the fields: F(struct, type, name, size), with type one of u32 u64 i64 uuid digest text uuids.
 * `size` is the capacity of a text and 0 elsewhere. From these lists come the structs, the codec's tables
 * (core/layout.h), the SQL of the store and the JSON of the API. Kinds are numbers in journals: never reuse one, and
 * add fields only at the end of a list; the codec reads a shorter old payload and leaves new fields zero.
 */
#ifndef BUSBAR_CORE_SCHEMA_H
#define BUSBAR_CORE_SCHEMA_H

#include "base/str.h"
#include "core/limits.h"
#include "core/schema_accept.h"
#include "core/schema_accounts.h"
#include "core/schema_audit.h"
#include "core/schema_budget.h"
#include "core/schema_chips.h"
#include "core/schema_cluster.h"
#include "core/schema_money.h"
#include "core/schema_recipes.h"
#include "core/schema_rules.h"

#define DIGEST_BYTES 32

struct uuid_list {
    uint32_t n;
    struct uuid v[KEY_MODELS_MAX];
};

/* clang-format off */

/* ---- events: what happened outside, or was asked for ---- */

/* A process took over the data: leases of workers before it are void, replicas of its own machine start again. */
#define EVENT_HUB_BOOT(F, S) F(S, uuid, boot, 0) F(S, u64, seed, 0) F(S, text, version, NAME_CAP)
/* reloaded: 1, a commit had failed, and state was loaded from the rows again: what is in no row begins anew (core/anew.c). mark: 1,
 * the state before it is one that a state_digest will be of. */
#define EVENT_TICK(F, S) F(S, u32, reloaded, 0) F(S, u32, mark, 0)
/* Coordinates in millionths of a degree. */
#define EVENT_SITE_ADD(F, S) \
    F(S, uuid, site, 0) F(S, text, name, NAME_CAP) F(S, text, jurisdiction, CODE_CAP) \
    F(S, text, region, NAME_CAP) F(S, text, owner, NAME_CAP) F(S, i64, lat, 0) F(S, i64, lon, 0)
/* A chip kind. Watts of one chip with its share of the server, before PUE; gflops: dense, 16 bit; tpp and density as
 * in 15 CFR 774 ECCN 3A090, density in thousandths, 0 where the die area is unknown. */
#define EVENT_CHIP_ADD(F, S) \
    F(S, text, chip, CHIP_CAP) F(S, text, vendor, NAME_CAP) F(S, text, origin, CODE_CAP) \
    F(S, u32, watts, 0) F(S, u32, idle_watts, 0) F(S, u32, memory_mib, 0) F(S, u64, gflops, 0) \
    F(S, u32, tpp, 0) F(S, u32, density, 0)
/* `domain`: nodes that share one scale-up network, 1 at least; price in nano-units for a chip-hour, power not included. */
#define EVENT_POOL_ADD(F, S) \
    F(S, uuid, pool, 0) F(S, uuid, site, 0) F(S, text, chip, CHIP_CAP) F(S, u32, nodes, 0) \
    F(S, u32, node_chips, 0) F(S, u32, domain, 0) F(S, i64, price, 0)
/* From then on, 0: from now on, a chip-hour of the pool costs so much, nano-units; epochs that run already go on at theirs. */
#define EVENT_POOL_PRICE(F, S) F(S, uuid, pool, 0) F(S, i64, price, 0) F(S, i64, from_ms, 0)
/* A WAN link, both ways. rtt in microseconds; price in nano-units for a GB, energy in joules for a GB (1e9 bytes). flags:
 * enum corridor_flag. */
#define EVENT_CORRIDOR_ADD(F, S) \
    F(S, uuid, corridor, 0) F(S, uuid, a, 0) F(S, uuid, b, 0) F(S, u64, bits_s, 0) F(S, u32, rtt, 0) \
    F(S, i64, price, 0) F(S, u64, energy, 0) F(S, u32, flags, 0)
/* All that an operator says of it, at once. In force from now on; epochs that run already go on at their price. */
#define EVENT_CORRIDOR_SET(F, S) \
    F(S, uuid, corridor, 0) F(S, u64, bits_s, 0) F(S, i64, price, 0) F(S, u64, energy, 0) F(S, u32, flags, 0)
/* What was measured between its ends: bits a second from a to b and back, round trip in microseconds; 0: nothing new of
 * that. models: bytes of weights that have come over it since the last such event; they are nobody's to pay. */
#define EVENT_CORRIDOR_MEASURE(F, S) \
    F(S, uuid, corridor, 0) F(S, u64, there_bits_s, 0) F(S, u64, back_bits_s, 0) F(S, u32, rtt, 0) F(S, u64, models, 0)
/* In force from now on: nano-units and mg CO2e for a kWh, PUE and share of renewables in thousandths. */
#define EVENT_SITE_SIGNAL(F, S) \
    F(S, uuid, site, 0) F(S, i64, price, 0) F(S, u64, carbon, 0) F(S, u32, pue, 0) F(S, u32, renewable, 0)
/* The most that the site may draw, facility watts; 0: no cap. */
#define EVENT_SITE_CAP(F, S) F(S, uuid, site, 0) F(S, u64, watts, 0)
/* From now until then the site may draw at most what it draws now less `watts`; what is beyond that is stopped. With 0 and 0
 * what was in force is over. */
#define EVENT_SITE_SHED(F, S) F(S, uuid, site, 0) F(S, u64, watts, 0) F(S, i64, until_ms, 0)
/* state: enum place_state. Work on what is lost ends with it; what is cordoned gets no more. */
#define EVENT_SITE_STATE(F, S) F(S, uuid, site, 0) F(S, u32, state, 0)
#define EVENT_NODE_STATE(F, S) F(S, uuid, pool, 0) F(S, u32, node, 0) F(S, u32, state, 0)
#define EVENT_CORRIDOR_STATE(F, S) F(S, uuid, corridor, 0) F(S, u32, state, 0) F(S, u64, bits_s, 0)
/* From the hub. lost: 1, it has not heard of the site for longer than the leases there may have lasted, so what ran there is over;
 * 0, it hears of it again. What an operator set with site_state holds as well. */
#define EVENT_SITE_CONTACT(F, S) F(S, uuid, site, 0) F(S, u32, lost, 0)
/* What the site runs work on: the engine with its version, in words, and enum isolation, what jobs really get there. */
#define EVENT_SITE_ENGINE(F, S) F(S, uuid, site, 0) F(S, text, engine, NAME_CAP) F(S, u32, isolation, 0)
/* How work is ordered and packed: enum dispatch_order, dispatch_fit, dispatch_pack, dispatch_preempt, dispatch_reserve. `ageing`: ms of wait that a
 * chip-second of size is worth, in thousandths; carbon_price in nano-units for a kg CO2e. */
#define EVENT_DISPATCH_SET(F, S) \
    F(S, u32, order, 0) F(S, u32, fit, 0) F(S, u32, pack, 0) F(S, u64, ageing, 0) F(S, i64, carbon_price, 0) \
    F(S, u32, preempt, 0) F(S, u32, reserve, 0)
/* One of up to four sizes that would do: `count` chips of a kind (empty: any kind) do the work in duration / rate, rate
 * in thousandths. The first with count 0 ends the list. */
#define JOB_ALTERNATIVE(F, S, i) F(S, text, chip##i, CHIP_CAP) F(S, u32, count##i, 0) F(S, u32, rate##i, 0)
#define JOB_ALTERNATIVES(F, S) \
    JOB_ALTERNATIVE(F, S, 0) JOB_ALTERNATIVE(F, S, 1) JOB_ALTERNATIVE(F, S, 2) JOB_ALTERNATIVE(F, S, 3)
/* duration_ms at rate 1, 0: not known; flags: enum job_flag, and the isolation that it demands; site, jurisdiction, vendor: the only one allowed, empty
 * where any is; the job's input of data_bytes lies at data_site. priority: among the tenant's own jobs, a signed number in
 * two's complement, from -JOB_PRIORITY_MAX to JOB_PRIORITY_MAX. */
#define JOB_REQUEST(F, S) \
    JOB_ALTERNATIVES(F, S) F(S, i64, duration_ms, 0) F(S, u32, flags, 0) F(S, u32, priority, 0) \
    F(S, uuid, site, 0) F(S, text, jurisdiction, CODE_CAP) F(S, text, vendor, NAME_CAP) \
    F(S, uuid, data_site, 0) F(S, u64, data_bytes, 0)
/* What rules are told besides. kind: enum job_kind; data_class: what the tenant declares its data to be. */
#define JOB_DECLARED(F, S) F(S, u32, kind, 0) F(S, text, data_class, CODE_CAP)
/* When, and at what cost it can be stopped. deadline_ms: by when it is to be over; start_by_ms: it may wait until then for
 * power that is cheap or green; 0: neither. checkpoint_ms: run time lost by writing a checkpoint and starting from it;
 * checkpoint_every_ms: run time between those that it writes by itself, 0: it writes one only when it is told to stop. */
#define JOB_TIMING(F, S) \
    F(S, i64, deadline_ms, 0) F(S, i64, start_by_ms, 0) F(S, i64, checkpoint_ms, 0) F(S, i64, checkpoint_every_ms, 0)
#define JOB_SUBMITTED(F, S) \
    F(S, uuid, job, 0) F(S, uuid, tenant, 0) JOB_REQUEST(F, S) JOB_DECLARED(F, S) JOB_TIMING(F, S)
/* key: that it was sent with, whose budgets it counts to; zero: none. */
/* home: the jurisdiction that the data belong to, as declared; empty: that of data_site as it is then; "-": nobody knows. */
#define EVENT_JOB_SUBMIT(F, S) JOB_SUBMITTED(F, S) F(S, uuid, key, 0) F(S, text, home, CODE_CAP)
/* A job or an array that this one comes after; kind: enum job_after; outcome: enum job_outcome, as its row in the store tells it,
 * 0 where that is of none that is over. The first zero id ends the list. */
#define JOB_AFTER(F, S, i) F(S, uuid, after##i, 0) F(S, u32, after_kind##i, 0) F(S, u32, outcome##i, 0)
#define JOB_AFTERS(F, S) JOB_AFTER(F, S, 0) JOB_AFTER(F, S, 1) JOB_AFTER(F, S, 2) JOB_AFTER(F, S, 3)
/* An array of `total` tasks, jobs that ask for the same, of which the first has the index `first` and at most at_once, 0: any number,
 * run at a time (core/follow.h); or with total 0 one job, if it comes after others. `job` is the id of the array, which ends
 * in two zero bytes; the k-th task has k there, counted from 1. The event brings `tasks` of them, up to
 * ARRAY_EVENT_TASKS_MAX, after the `at` that came before, in the order of k; what the array comes after is said where `at` is 0. */
#define EVENT_JOB_ARRAY(F, S) \
    JOB_SUBMITTED(F, S) JOB_AFTERS(F, S) F(S, u32, first, 0) F(S, u32, total, 0) F(S, u32, at_once, 0) \
    F(S, u32, at, 0) F(S, u32, tasks, 0) F(S, uuid, key, 0) F(S, text, home, CODE_CAP)
/* Of an array: all its tasks that are not over, and none come any more. */
#define EVENT_JOB_CANCEL(F, S) F(S, uuid, job, 0)
/* From the job's site: it is over under this epoch. code: 0, or why it failed. site: who reports; zero: what runs in the hub's
 * own process, which is trusted. */
#define EVENT_JOB_END(F, S) F(S, uuid, job, 0) F(S, u32, epoch, 0) F(S, u32, code, 0) F(S, uuid, site, 0)
/* As well, and the job is not over: it waits again. code: why it came back, never 0; its own end if it does so too often. */
#define EVENT_JOB_RETURN(F, S) F(S, uuid, job, 0) F(S, u32, epoch, 0) F(S, u32, code, 0) F(S, uuid, site, 0)
/* What an epoch has used so far: totals, all nodes together. ms: run time; flags: enum job_meter_flag; site: as of job_end. It may
 * come after the epoch is over. Where the core has closed the epoch's account, it is refused (core/job_meter.c). used_ms: when the last
 * of it was used (core/event_time.c); 0: now. */
#define EVENT_JOB_METER(F, S) \
    F(S, uuid, job, 0) F(S, u32, epoch, 0) F(S, uuid, site, 0) F(S, u64, ms, 0) F(S, u64, chip_ms, 0) \
    F(S, u64, cpu_ms, 0) F(S, u64, energy_mj, 0) F(S, u32, flags, 0) F(S, u64, bytes_in, 0) F(S, u64, bytes_out, 0) F(S, i64, used_ms, 0)
/* A plan for work that can wait (core/plan.h) arrives in parts of these two kinds, numbered together from 0; part 0 begins
 * anew whatever was begun before. Nothing is in force by them.
 * A class: jobs whose first alternative asks for `chip` and that ask for `site` and `jurisdiction` (empty: for none), whose
 * latest start is at most start_by_ms and later than that of the part before. Nano-units for a chip-hour of the first
 * alternative. */
#define EVENT_PLAN_CLASS(F, S) \
    F(S, uuid, plan, 0) F(S, u32, part, 0) F(S, text, chip, CHIP_CAP) F(S, uuid, site, 0) \
    F(S, text, jurisdiction, CODE_CAP) F(S, i64, start_by_ms, 0) F(S, i64, threshold, 0)
/* What a chip-hour of the pool is worth beyond its price while the plan holds, nano-units, either sign. */
#define EVENT_PLAN_RENT(F, S) F(S, uuid, plan, 0) F(S, u32, part, 0) F(S, uuid, pool, 0) F(S, i64, rent, 0)
/* Puts the plan of so many parts in force until then, all of it or, if it is not as it must be, nothing. No parts: none. */
#define EVENT_PLAN_SET(F, S) F(S, uuid, plan, 0) F(S, u32, parts, 0) F(S, i64, until_ms, 0)
/* `budget` in nano-units; `transfer` is the id of the transfer that funds it. Ledger: ISO 4217 numeric code. licence:
 * the number of one on file. Jurisdiction and licence are empty where they are not known. */
#define EVENT_TENANT_ADD(F, S) \
    F(S, uuid, tenant, 0) F(S, text, name, NAME_CAP) F(S, u32, ledger, 0) F(S, i64, budget, 0) \
    F(S, uuid, transfer, 0) F(S, text, jurisdiction, CODE_CAP) F(S, text, licence, NAME_CAP)
/* Sets the whole budget, spent part included. */
#define EVENT_TENANT_BUDGET(F, S) F(S, uuid, tenant, 0) F(S, i64, budget, 0) F(S, uuid, transfer, 0)
/* `budget` < 0: none of its own. rpm, tpm, expires_ms: 0 is none. No models: all. project: zero, it is of none. */
#define EVENT_KEY_ADD(F, S) \
    F(S, uuid, key, 0) F(S, uuid, tenant, 0) F(S, text, name, NAME_CAP) F(S, text, public_id, 16) \
    F(S, digest, hash, 0) F(S, u32, scopes, 0) F(S, u32, rpm, 0) F(S, u32, tpm, 0) \
    F(S, i64, expires_ms, 0) F(S, i64, budget, 0) F(S, uuids, models, 0) F(S, uuid, transfer, 0) \
    F(S, uuid, project, 0)
#define EVENT_KEY_REVOKE(F, S) F(S, uuid, key, 0)
/* kind: enum model_kind; context in tokens. */
#define EVENT_MODEL_ADD(F, S) \
    F(S, uuid, model, 0) F(S, text, name, NAME_CAP) F(S, u32, kind, 0) F(S, u32, context, 0) \
    F(S, text, licence, NAME_CAP) F(S, text, origin, PATH_CAP)
#define EVENT_VARIANT_ADD(F, S) \
    F(S, uuid, variant, 0) F(S, uuid, model, 0) F(S, digest, digest, 0) F(S, text, format, 16) \
    F(S, text, quantisation, 16) F(S, text, engine, NAME_CAP) F(S, text, chips, TEXT_CAP) \
    F(S, u64, memory_bytes, 0) F(S, u64, size_bytes, 0) F(S, text, location, PATH_CAP) VARIANT_ARCHITECTURE(F, S)
#define EVENT_MODEL_REMOVE(F, S) F(S, uuid, model, 0)
/* Nano-units for a million tokens of each kind. In force from then on, 0: from this event on. tenant: the only one that pays it;
 * zero: whoever has no price of its own. flags: enum price_flag. */
#define EVENT_PRICE_SET(F, S) \
    F(S, uuid, price, 0) F(S, uuid, model, 0) F(S, i64, prompt, 0) F(S, i64, cached, 0) \
    F(S, i64, completion, 0) F(S, i64, reasoning, 0) F(S, i64, from_ms, 0) F(S, uuid, tenant, 0) F(S, u32, flags, 0)
/* sites: where replicas may be (core/deployment.c); none: so many replicas on the hub's own machine, and what follows says nothing.
 * At least `min` and at most `replicas`, of so many chips of a kind (empty: of any one kind) each; chips 0: as in events before there
 * were these, `replicas` of one chip. hold_ms and idle_ms as of a service. tenant: whose share of the chips they count to; zero:
 * that of the first one. near: what the sites were found by, for the record. */
#define EVENT_DEPLOY(F, S) \
    F(S, uuid, deployment, 0) F(S, uuid, model, 0) F(S, u32, replicas, 0) F(S, u32, slots, 0) \
    F(S, uuids, sites, 0) F(S, u32, min, 0) F(S, u32, chips, 0) F(S, text, chip, CHIP_CAP) F(S, uuid, tenant, 0) \
    F(S, i64, hold_ms, 0) F(S, i64, idle_ms, 0) F(S, text, near, NAME_CAP) F(S, text, engine, NAME_CAP) CLUSTER_ASKED(F, S) DEPLOY_KINDS(F, S)
#define EVENT_UNDEPLOY(F, S) F(S, uuid, deployment, 0)
/* version: of the engine, as it says itself; empty: nobody asked it yet. */
#define EVENT_REPLICA_STATE(F, S) \
    F(S, uuid, deployment, 0) F(S, u32, ordinal, 0) F(S, u32, epoch, 0) F(S, u32, state, 0) \
    F(S, u32, slots, 0) F(S, u32, context, 0) F(S, text, endpoint, TEXT_CAP) \
    F(S, text, detail, TEXT_CAP) F(S, text, version, NAME_CAP)
/* A model that is served wherever the dispatcher finds room (core/service.h). One of up to four kinds of replica: so many
 * chips of a kind (empty: any) sustain so many tokens a second, in tokens of output. The first with count 0 ends the list. */
#define SERVICE_ALTERNATIVE(F, S, i) F(S, text, chip##i, CHIP_CAP) F(S, u32, count##i, 0) F(S, u32, tokens_s##i, 0)
/* variant: of a model in the catalogue, zero: none; flags: JOB_ONE_DOMAIN or 0; limits of place and data_class as of a job. */
#define SERVICE_PLACE(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, variant, 0) F(S, text, name, NAME_CAP) \
    SERVICE_ALTERNATIVE(F, S, 0) SERVICE_ALTERNATIVE(F, S, 1) SERVICE_ALTERNATIVE(F, S, 2) \
    SERVICE_ALTERNATIVE(F, S, 3) F(S, u32, flags, 0) F(S, uuid, site, 0) F(S, text, jurisdiction, CODE_CAP) \
    F(S, text, vendor, NAME_CAP) F(S, text, data_class, CODE_CAP)
/* Replicas at least and at most; target: thousandths of what they sustain that demand may use; cold_ms: from a replica's start
 * until it serves; hold_ms: there must be one too many for so long before one goes; idle_ms: without demand until all go,
 * where min is 0. */
#define SERVICE_SCALE(F, S) \
    F(S, u32, min, 0) F(S, u32, max, 0) F(S, u32, target, 0) F(S, i64, cold_ms, 0) F(S, i64, hold_ms, 0) \
    F(S, i64, idle_ms, 0)
/* A service that is there may change its SERVICE_SCALE; the rest must be as it was. */
#define EVENT_SERVICE_SET(F, S) F(S, uuid, service, 0) SERVICE_PLACE(F, S) SERVICE_SCALE(F, S)
#define EVENT_SERVICE_REMOVE(F, S) F(S, uuid, service, 0)
/* What requests that come in at a site (zero: no site in particular) ask for now, in tokens of output a second, and how many
 * of them are not answered yet. It holds until the next event about the same service and site. replica_tokens_s: what one replica of
 * a deployment sustains, as it was measured; 0: nothing was. */
#define EVENT_SERVICE_DEMAND(F, S) \
    F(S, uuid, service, 0) F(S, uuid, site, 0) F(S, u64, tokens_s, 0) F(S, u32, in_flight, 0) \
    F(S, u32, replica_tokens_s, 0)
/* Somebody may join as the site until then who has the token with this SHA-256; one before is worth nothing any more. */
#define EVENT_SITE_TOKEN(F, S) F(S, uuid, site, 0) F(S, digest, token, 0) F(S, i64, expires_ms, 0)
/* Whoever has the token joins with a public key: SHA-256 of its SubjectPublicKeyInfo. gateway: 1, it joins as a gateway; the token
 * must be one for that. */
#define EVENT_SITE_JOIN(F, S) F(S, digest, token, 0) F(S, digest, key, 0) F(S, u32, gateway, 0)
/* The site is no member any more, and what runs there is lost. */
#define EVENT_SITE_REMOVE(F, S) F(S, uuid, site, 0)
/* A door of its own (core/gateway.c). Whom site_token and site_join are about may be a gateway, too. */
#define EVENT_GATEWAY_ADD(F, S) F(S, uuid, gateway, 0) F(S, text, name, NAME_CAP)
#define EVENT_GATEWAY_REMOVE(F, S) F(S, uuid, gateway, 0)
/* The process that is the gateway from now on; workers of the one before are gone, and their leases void. Zero: none is. */
#define EVENT_GATEWAY_SESSION(F, S) F(S, uuid, gateway, 0) F(S, uuid, session, 0)
/* gateway: zero, a worker of the hub's own process. */
#define EVENT_WORKER_JOIN(F, S) F(S, uuid, worker, 0) F(S, uuid, gateway, 0)
/* purse: enum budget_scope, who of the key, its project and its tenant shares the lease; 0: as the budgets are now. */
#define EVENT_LEASE_ASK(F, S) \
    F(S, uuid, worker, 0) F(S, uuid, lease, 0) F(S, uuid, key_lease, 0) F(S, uuid, tenant, 0) \
    F(S, uuid, key, 0) F(S, i64, want, 0) F(S, u32, purse, 0)
/* Gives back `amount` of what the lease still holds; all of it, and the lease ends, when `close` is 1. sequence: as of a meter
 * record, and in one row with those; 0: none, it is not repeated. */
#define EVENT_LEASE_RETURN(F, S) \
    F(S, uuid, worker, 0) F(S, uuid, lease, 0) F(S, i64, amount, 0) F(S, u32, close, 0) F(S, u64, sequence, 0)
/* Tokens since the last record of this request; flags: enum meter_flag; status: as sent to the client, 499 aborted. chip: of the
 * replica that answered; empty: it is counted nowhere. version: of its engine, as of replica_state. used_ms: when they were used
 * (core/event_time.c); 0: now. */
#define EVENT_METER(F, S) \
    F(S, uuid, worker, 0) F(S, u64, sequence, 0) F(S, uuid, request, 0) F(S, uuid, lease, 0) \
    F(S, uuid, tenant, 0) F(S, uuid, key, 0) F(S, uuid, model, 0) F(S, uuid, variant, 0) \
    F(S, uuid, site, 0) F(S, uuid, price, 0) F(S, u32, prompt, 0) F(S, u32, cached, 0) \
    F(S, u32, completion, 0) F(S, u32, reasoning, 0) F(S, u32, flags, 0) F(S, u32, status, 0) \
    F(S, i64, started_ms, 0) F(S, text, chip, CHIP_CAP) F(S, text, version, NAME_CAP) F(S, i64, used_ms, 0)

#define EVENTS(E) \
    E(hub_boot, 1, EVENT_HUB_BOOT) \
    E(tick, 2, EVENT_TICK) \
    E(site_add, 3, EVENT_SITE_ADD) \
    E(chip_add, 4, EVENT_CHIP_ADD) \
    E(pool_add, 5, EVENT_POOL_ADD) \
    E(corridor_add, 6, EVENT_CORRIDOR_ADD) \
    E(pool_price, 7, EVENT_POOL_PRICE) \
    E(corridor_set, 8, EVENT_CORRIDOR_SET) \
    E(corridor_measure, 9, EVENT_CORRIDOR_MEASURE) \
    E(tenant_add, 10, EVENT_TENANT_ADD) \
    E(tenant_budget, 11, EVENT_TENANT_BUDGET) \
    E(key_add, 12, EVENT_KEY_ADD) \
    E(key_revoke, 13, EVENT_KEY_REVOKE) \
    E(model_add, 20, EVENT_MODEL_ADD) E(variant_add, 21, EVENT_VARIANT_ADD) \
    E(model_remove, 22, EVENT_MODEL_REMOVE) \
    E(price_set, 23, EVENT_PRICE_SET) \
    E(tariff_put, 24, EVENT_TARIFF_PUT) \
    E(tariff_set, 25, EVENT_TARIFF_SET) \
    E(deploy, 30, EVENT_DEPLOY) \
    E(undeploy, 31, EVENT_UNDEPLOY) \
    E(replica_state, 32, EVENT_REPLICA_STATE) \
    E(service_set, 33, EVENT_SERVICE_SET) \
    E(service_remove, 34, EVENT_SERVICE_REMOVE) \
    E(service_demand, 35, EVENT_SERVICE_DEMAND) \
    E(replica_meter, 36, EVENT_REPLICA_METER) \
    E(worker_join, 40, EVENT_WORKER_JOIN) \
    E(lease_ask, 41, EVENT_LEASE_ASK) \
    E(lease_return, 42, EVENT_LEASE_RETURN) \
    E(meter, 43, EVENT_METER) \
    E(site_signal, 50, EVENT_SITE_SIGNAL) \
    E(site_cap, 51, EVENT_SITE_CAP) \
    E(site_state, 52, EVENT_SITE_STATE) \
    E(node_state, 53, EVENT_NODE_STATE) \
    E(corridor_state, 54, EVENT_CORRIDOR_STATE) \
    E(site_token, 55, EVENT_SITE_TOKEN) \
    E(site_join, 56, EVENT_SITE_JOIN) \
    E(site_remove, 57, EVENT_SITE_REMOVE) \
    E(site_shed, 58, EVENT_SITE_SHED) \
    E(site_contact, 59, EVENT_SITE_CONTACT) \
    E(dispatch_set, 60, EVENT_DISPATCH_SET) \
    E(job_submit, 61, EVENT_JOB_SUBMIT) \
    E(job_cancel, 62, EVENT_JOB_CANCEL) \
    E(job_end, 63, EVENT_JOB_END) \
    E(job_array, 64, EVENT_JOB_ARRAY) \
    E(job_return, 65, EVENT_JOB_RETURN) \
    E(job_meter, 66, EVENT_JOB_METER) \
    E(rules_put, 70, EVENT_RULES_PUT) \
    E(rules_set, 71, EVENT_RULES_SET) \
    E(site_facts, 72, EVENT_SITE_FACTS) \
    E(tenant_facts, 73, EVENT_TENANT_FACTS) \
    E(drill, 74, EVENT_DRILL) \
    E(plan_class, 80, EVENT_PLAN_CLASS) \
    E(plan_rent, 81, EVENT_PLAN_RENT) \
    E(plan_set, 82, EVENT_PLAN_SET) \
    E(site_engine, 90, EVENT_SITE_ENGINE) \
    E(gateway_add, 95, EVENT_GATEWAY_ADD) \
    E(gateway_remove, 96, EVENT_GATEWAY_REMOVE) \
    E(gateway_session, 97, EVENT_GATEWAY_SESSION) \
    E(wallet_topup, 100, EVENT_WALLET_TOPUP) \
    E(invoice_close, 101, EVENT_INVOICE_CLOSE) \
    E(credit_note, 102, EVENT_CREDIT_NOTE) E(billed_set, 103, EVENT_BILLED_SET) \
    E(party_add, 110, EVENT_PARTY_ADD) \
    E(site_owners, 111, EVENT_SITE_OWNERS) \
    E(network_fee, 112, EVENT_NETWORK_FEE) \
    E(tenant_tax, 113, EVENT_TENANT_TAX) \
    E(grant_add, 114, EVENT_GRANT_ADD) \
    E(peer_settle, 115, EVENT_PEER_SETTLE) \
    E(books_open, 116, EVENT_BOOKS_OPEN) \
    E(project_add, 130, EVENT_PROJECT_ADD) \
    E(project_remove, 131, EVENT_PROJECT_REMOVE) \
    E(budget_set, 132, EVENT_BUDGET_SET) \
    E(webhook_set, 133, EVENT_WEBHOOK_SET) \
    E(webhook_test, 134, EVENT_WEBHOOK_TEST) \
    E(notice_tried, 135, EVENT_NOTICE_TRIED) \
    E(model_recall, 140, EVENT_MODEL_RECALL) E(model_recall_lift, 141, EVENT_MODEL_RECALL_LIFT) \
    E(state_digest, 150, EVENT_STATE_DIGEST) \
    UNIT_EVENTS(E) ACCEPT_EVENTS(E) CLUSTER_EVENTS(E)

/* ---- rows: the state, as the store keeps it. R(name, kind, fields, leading fields that are the key) ---- */

/* books_ms: when the books were opened, 0: not yet. marked: the last event that was a tick with a mark. */
#define ROW_CORE(F, S) \
    F(S, u32, id, 0) F(S, u64, events, 0) F(S, uuid, boot, 0) F(S, u64, rng0, 0) F(S, u64, rng1, 0) \
    F(S, u64, rng2, 0) F(S, u64, rng3, 0) F(S, i64, assessed_ms, 0) F(S, u64, assessments, 0) F(S, u64, invoices, 0) \
    F(S, i64, books_ms, 0) F(S, u64, marked, 0)
/* state: an operator's; away: contact is lost (core/network.h); isolation: enum isolation; carbon_due: CO2e of requests, not paid yet, nano-units. */
#define ROW_SITE(F, S) \
    F(S, uuid, id, 0) F(S, text, name, NAME_CAP) F(S, text, jurisdiction, CODE_CAP) \
    F(S, text, region, NAME_CAP) F(S, text, owner, NAME_CAP) F(S, i64, lat, 0) F(S, i64, lon, 0) \
    F(S, i64, price, 0) F(S, u64, carbon, 0) F(S, u32, pue, 0) F(S, u32, renewable, 0) F(S, u64, cap, 0) \
    F(S, u32, state, 0) F(S, u64, shed_cap, 0) F(S, i64, shed_until_ms, 0) F(S, u32, away, 0) \
    F(S, text, engine, NAME_CAP) F(S, u32, isolation, 0) F(S, i64, carbon_due, 0)
#define ROW_CHIP(F, S) \
    F(S, text, id, CHIP_CAP) F(S, text, vendor, NAME_CAP) F(S, text, origin, CODE_CAP) F(S, u32, watts, 0) \
    F(S, u32, idle_watts, 0) F(S, u32, memory_mib, 0) F(S, u64, gflops, 0) F(S, u32, tpp, 0) \
    F(S, u32, density, 0)
#define ROW_POOL(F, S) \
    F(S, uuid, id, 0) F(S, uuid, site, 0) F(S, text, chip, CHIP_CAP) F(S, u32, nodes, 0) \
    F(S, u32, node_chips, 0) F(S, u32, domain, 0) F(S, i64, price, 0)
/* Only of nodes that are not up. */
#define ROW_NODE(F, S) F(S, uuid, pool, 0) F(S, u32, node, 0) F(S, u32, state, 0)
/* bits_s and rtt: what is planned by, made of what was given and what was measured (core/network.h). bytes_jobs, bytes_models:
 * all that was metered over it. */
#define ROW_CORRIDOR(F, S) \
    F(S, uuid, id, 0) F(S, uuid, a, 0) F(S, uuid, b, 0) F(S, u64, bits_s, 0) F(S, u32, rtt, 0) \
    F(S, i64, price, 0) F(S, u64, energy, 0) F(S, u32, state, 0) F(S, u32, flags, 0) F(S, u64, given_bits_s, 0) \
    F(S, u32, given_rtt, 0) F(S, u64, there_bits_s, 0) F(S, u64, back_bits_s, 0) F(S, u32, measured_rtt, 0) \
    F(S, i64, measured_ms, 0) F(S, u64, bytes_jobs, 0) F(S, u64, bytes_models, 0)
#define ROW_DISPATCH(F, S) \
    F(S, u32, id, 0) F(S, u32, order, 0) F(S, u32, fit, 0) F(S, u32, pack, 0) F(S, u64, ageing, 0) \
    F(S, i64, carbon_price, 0) F(S, u64, jobs, 0) F(S, u32, preempt, 0) F(S, u32, reserve, 0)
/* `sequence` numbers the jobs in order of submission; pool, alternative and epoch of the last start; done_ms: work, as run
 * time at rate 1, that a checkpoint keeps; transit_ms: how long its data came after that start, before it ran. Of a job that came without a duration, run time at rate 1 as thought of when it
 * came (core/habit.h): estimate_ms as likely as not, bound_ms with some certainty; else 0. returns: how often a site gave it back. deployment: whose replica it is; zero: of none.
 * home: as it was when it came, "-": not known; empty, in rows from before: as its data's site says. */
#define ROW_JOB(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) JOB_REQUEST(F, S) F(S, u64, sequence, 0) F(S, u32, state, 0) \
    F(S, u32, epoch, 0) F(S, u32, alternative, 0) F(S, uuid, pool, 0) F(S, i64, submitted_ms, 0) \
    F(S, i64, started_ms, 0) F(S, i64, ended_ms, 0) F(S, u32, code, 0) JOB_DECLARED(F, S) \
    JOB_TIMING(F, S) F(S, i64, done_ms, 0) F(S, i64, transit_ms, 0) F(S, i64, estimate_ms, 0) F(S, i64, bound_ms, 0) \
    F(S, u32, returns, 0) F(S, uuid, deployment, 0) F(S, uuid, key, 0) F(S, text, home, CODE_CAP)
/* tasks: those that came; failed: of them, those that are over otherwise than well; state: JOB_QUEUED, and then how it ends;
 * ended_ms: 0 until nothing of it is left. */
#define ROW_JOB_ARRAY(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, u32, first, 0) F(S, u32, total, 0) F(S, u32, at_once, 0) \
    F(S, u32, tasks, 0) F(S, u32, failed, 0) F(S, u32, state, 0) F(S, i64, ended_ms, 0)
/* `job`, or array, comes after the target; outcome: how that ended, 0: it has not. */
#define ROW_JOB_AFTER(F, S) \
    F(S, uuid, job, 0) F(S, u32, slot, 0) F(S, uuid, target, 0) F(S, u32, kind, 0) F(S, u32, outcome, 0)
/* Chips of one node that a running job has. */
#define ROW_SHARE(F, S) F(S, uuid, job, 0) F(S, u32, node, 0) F(S, u32, chips, 0)
/* An epoch of a job. state: enum job_usage_state; price: nano-units for a chip-hour; figures as in job_meter; cost: what was paid
 * for it, unpaid: what could not be, nano-units, and remainder what is less than one: in 1/3600000 of it. Data: over which
 * corridor (zero: none), what a GB costs there in nano-units, and what was paid and could not be. carbon_due: what its CO2e costs and
 * was not taken out of what it paid yet, nano-units. kind: enum job_kind. version: how the price came to
 * be (core/terms.h); base, discount, terms_ms: fixed at the start, the price without discounts and factors, thousandths of it, and
 * the terms that hold, by when they began, 0: none. past: chip-ms at other prices than the one now, and what they cost. Of
 * energy that is passed on: what it came to, what was paid and is owed; its rest in 1/3.6e12 of a nano-unit. */
#define ROW_JOB_USAGE(F, S) \
    F(S, uuid, job, 0) F(S, u32, epoch, 0) F(S, uuid, tenant, 0) F(S, uuid, site, 0) F(S, uuid, pool, 0) \
    F(S, u32, chips, 0) F(S, u32, state, 0) F(S, i64, price, 0) F(S, i64, started_ms, 0) F(S, i64, ended_ms, 0) \
    F(S, u64, ms, 0) F(S, u64, chip_ms, 0) F(S, u64, cpu_ms, 0) F(S, u64, energy_mj, 0) F(S, u32, flags, 0) \
    F(S, i64, cost, 0) F(S, i64, unpaid, 0) F(S, u64, remainder, 0) F(S, uuid, corridor, 0) F(S, i64, data_price, 0) \
    F(S, u64, bytes_in, 0) F(S, u64, bytes_out, 0) F(S, i64, data_cost, 0) F(S, i64, data_unpaid, 0) \
    F(S, i64, carbon_due, 0) F(S, u32, kind, 0) \
    F(S, uuid, version, 0) F(S, i64, base, 0) F(S, u32, discount, 0) F(S, i64, terms_ms, 0) \
    F(S, u64, past_chip_ms, 0) F(S, i64, past_cost, 0) F(S, u64, past_rest, 0) \
    F(S, u64, energy_rest, 0) F(S, i64, energy_cost, 0) F(S, i64, energy_unpaid, 0) F(S, uuid, key, 0)
/* closed_month: up to the end of which its bills are closed, 0: there is none; then the number of the last one, when that was, and
 * last what it came to. tax: millionths of what is net. late: records whose use was in a month that was over when they were booked. */
#define ROW_TENANT(F, S) \
    F(S, uuid, id, 0) F(S, text, name, NAME_CAP) F(S, u32, ledger, 0) F(S, i64, created_ms, 0) \
    F(S, text, jurisdiction, CODE_CAP) F(S, text, licence, NAME_CAP) F(S, u32, closed_month, 0) \
    F(S, u64, closed_number, 0) F(S, i64, closed_ms, 0) F(S, u32, tax, 0) F(S, i64, closed_total, 0) F(S, u64, late, 0)
/* limited: it has a hard budget (core/budget.h), so that nobody shares its leases. */
#define ROW_KEY(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, text, name, NAME_CAP) F(S, text, public_id, 16) \
    F(S, digest, hash, 0) F(S, u32, scopes, 0) F(S, u32, rpm, 0) F(S, u32, tpm, 0) \
    F(S, i64, expires_ms, 0) F(S, i64, budget, 0) F(S, uuids, models, 0) F(S, i64, created_ms, 0) \
    F(S, i64, revoked_ms, 0) F(S, uuid, project, 0) F(S, u32, limited, 0)
#define ROW_MODEL(F, S) \
    F(S, uuid, id, 0) F(S, text, name, NAME_CAP) F(S, u32, kind, 0) F(S, u32, context, 0) \
    F(S, text, licence, NAME_CAP) F(S, text, origin, PATH_CAP) F(S, uuid, price, 0) \
    F(S, i64, created_ms, 0)
#define ROW_VARIANT(F, S) \
    F(S, uuid, id, 0) F(S, uuid, model, 0) F(S, digest, digest, 0) F(S, text, format, 16) \
    F(S, text, quantisation, 16) F(S, text, engine, NAME_CAP) F(S, text, chips, TEXT_CAP) \
    F(S, u64, memory_bytes, 0) F(S, u64, size_bytes, 0) F(S, text, location, PATH_CAP) VARIANT_ARCHITECTURE(F, S)
/* flags: enum price_flag; until_ms: since when another one is in force in its place, 0: it is not so. */
#define ROW_PRICE(F, S) \
    F(S, uuid, id, 0) F(S, uuid, model, 0) F(S, i64, prompt, 0) F(S, i64, cached, 0) \
    F(S, i64, completion, 0) F(S, i64, reasoning, 0) F(S, i64, from_ms, 0) F(S, uuid, tenant, 0) F(S, u32, flags, 0) \
    F(S, i64, until_ms, 0)
#define ROW_ACCOUNT(F, S) \
    F(S, uuid, owner, 0) F(S, u32, code, 0) F(S, u32, ledger, 0) F(S, i64, debits_pending, 0) \
    F(S, i64, debits_posted, 0) F(S, i64, credits_pending, 0) F(S, i64, credits_posted, 0) \
    F(S, i64, residue, 0)
#define ROW_TRANSFER(F, S) \
    F(S, uuid, id, 0) F(S, uuid, debit_owner, 0) F(S, u32, debit_code, 0) \
    F(S, uuid, credit_owner, 0) F(S, u32, credit_code, 0) F(S, u32, ledger, 0) F(S, i64, amount, 0) \
    F(S, i64, posted, 0) F(S, i64, voided, 0) F(S, u32, state, 0) F(S, u32, code, 0) F(S, i64, timeout_ms, 0) \
    F(S, i64, event_ms, 0) F(S, i64, booked_ms, 0) F(S, uuid, ref, 0) F(S, uuid, price, 0)
/* purse: enum budget_scope, who shares it, 0: told by the key's own limit; budgets: bit 1 << scope, the hard ones it draws on. */
#define ROW_LEASE(F, S) \
    F(S, uuid, id, 0) F(S, uuid, worker, 0) F(S, uuid, tenant, 0) F(S, uuid, key, 0) \
    F(S, uuid, key_transfer, 0) F(S, i64, opened_ms, 0) F(S, u32, purse, 0) F(S, u32, budgets, 0)
#define ROW_WORKER(F, S) \
    F(S, uuid, id, 0) F(S, u64, sequence, 0) F(S, i64, joined_ms, 0) F(S, uuid, gateway, 0)
/* session: the process that it is; zero: none that is known. */
#define ROW_GATEWAY(F, S) \
    F(S, uuid, id, 0) F(S, text, name, NAME_CAP) F(S, i64, created_ms, 0) F(S, uuid, session, 0)
/* replicas: at most, 0: they are being stopped; min and chips are 0 of one on the hub's own machine alone. */
#define ROW_DEPLOYMENT(F, S) \
    F(S, uuid, id, 0) F(S, uuid, model, 0) F(S, u32, replicas, 0) F(S, u32, slots, 0) \
    F(S, i64, created_ms, 0) F(S, uuids, sites, 0) F(S, u32, min, 0) F(S, u32, chips, 0) F(S, text, chip, CHIP_CAP) \
    F(S, text, near, NAME_CAP)
/* chips: of the kind `chip`, there; 0: it is counted nowhere. version: of the engine that runs, as it says. placed_ms: since when it is there. role: enum replica_role. */
#define ROW_REPLICA(F, S) \
    F(S, uuid, deployment, 0) F(S, u32, ordinal, 0) F(S, uuid, variant, 0) F(S, uuid, site, 0) \
    F(S, u32, epoch, 0) F(S, u32, state, 0) F(S, u32, slots, 0) F(S, u32, context, 0) \
    F(S, text, endpoint, TEXT_CAP) F(S, text, detail, TEXT_CAP) F(S, i64, since_ms, 0) \
    F(S, u32, chips, 0) F(S, text, chip, CHIP_CAP) F(S, text, version, NAME_CAP) F(S, i64, placed_ms, 0) F(S, u32, role, 0) REPLICA_ACCEPTED(F, S)
/* Added to, not replaced: totals of one hour. `hour` counts hours since 1970. */
#define ROW_USAGE(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, key, 0) F(S, uuid, model, 0) F(S, u64, hour, 0) \
    F(S, u64, requests, 0) F(S, u64, prompt, 0) F(S, u64, cached, 0) F(S, u64, completion, 0) \
    F(S, u64, reasoning, 0) F(S, i64, cost, 0) F(S, u64, energy_mj, 0) F(S, u64, carbon_ng, 0)
/* made: replicas that it ever had, so that no two have the same id; since when one is too many, and the greatest demand since
 * then; since when nothing is asked of it. 0: not so. */
#define ROW_SERVICE(F, S) \
    F(S, uuid, id, 0) SERVICE_PLACE(F, S) SERVICE_SCALE(F, S) F(S, u64, made, 0) F(S, i64, over_since_ms, 0) \
    F(S, u64, over_tokens_s, 0) F(S, i64, idle_since_ms, 0) F(S, i64, created_ms, 0)
#define ROW_SERVICE_DEMAND(F, S) \
    F(S, uuid, service, 0) F(S, uuid, site, 0) F(S, u64, tokens_s, 0) F(S, u32, in_flight, 0) F(S, i64, at_ms, 0)
/* The job that is a replica of a service. draining: it keeps its chips until its process has stopped, and is not counted. */
#define ROW_SERVICE_REPLICA(F, S) \
    F(S, uuid, job, 0) F(S, uuid, service, 0) F(S, u64, ordinal, 0) F(S, u32, draining, 0)
/* Data that comes for a running job: over these corridors, from where it lies, at this rate. */
#define ROW_TRANSIT(F, S) \
    F(S, uuid, job, 0) F(S, uuids, corridors, 0) F(S, u64, bytes, 0) F(S, u64, bits_s, 0) \
    F(S, i64, started_ms, 0) F(S, i64, ends_ms, 0)
/* The plan in force, in slot 0 or 1, and the draft in the other one. until_ms: 0, there is none. */
#define ROW_PLAN(F, S) \
    F(S, u32, id, 0) F(S, u32, slot, 0) F(S, uuid, plan, 0) F(S, u32, parts, 0) F(S, i64, since_ms, 0) \
    F(S, i64, until_ms, 0) F(S, uuid, draft, 0) F(S, u32, draft_parts, 0)
/* A class, or with a pool that pool's rent. Parts past those of their slot are left of an older plan. */
#define ROW_PLAN_PART(F, S) \
    F(S, u32, slot, 0) F(S, u32, part, 0) F(S, uuid, pool, 0) F(S, text, chip, CHIP_CAP) F(S, uuid, site, 0) \
    F(S, text, jurisdiction, CODE_CAP) F(S, i64, start_by_ms, 0) F(S, i64, nano, 0)

/* A site's or gateway's last token, whether it was used, and the key that it joined with; joined_ms 0: nobody has. */
#define ROW_MEMBER(F, S) \
    F(S, uuid, site, 0) F(S, digest, token, 0) F(S, i64, expires_ms, 0) F(S, u32, used, 0) F(S, digest, key, 0) \
    F(S, i64, joined_ms, 0)
/* A loss that is not covered, as it was when that was found: of the site, or if that is zero of the vendor's chips. */
#define ROW_ALARM(F, S) \
    F(S, uuid, site, 0) F(S, text, vendor, NAME_CAP) F(S, i64, since_ms, 0) F(S, u64, firm_chips, 0) F(S, u64, placed_chips, 0)
/* A histogram of run times (core/habit.h). tenant: zero for all; group: a power of two of the chips, or any size; runs: how
 * many it was told of; then a weight for each bucket. */
#define ROW_HABIT(F, S) \
    F(S, uuid, tenant, 0) F(S, u32, group, 0) F(S, u64, runs, 0) \
    F(S, u32, w0, 0) F(S, u32, w1, 0) F(S, u32, w2, 0) F(S, u32, w3, 0) F(S, u32, w4, 0) F(S, u32, w5, 0) F(S, u32, w6, 0) F(S, u32, w7, 0) F(S, u32, w8, 0) F(S, u32, w9, 0) F(S, u32, w10, 0) F(S, u32, w11, 0) F(S, u32, w12, 0) F(S, u32, w13, 0) F(S, u32, w14, 0) F(S, u32, w15, 0) \
    F(S, u32, w16, 0) F(S, u32, w17, 0) F(S, u32, w18, 0) F(S, u32, w19, 0) F(S, u32, w20, 0) F(S, u32, w21, 0) F(S, u32, w22, 0) F(S, u32, w23, 0) F(S, u32, w24, 0) F(S, u32, w25, 0) F(S, u32, w26, 0) F(S, u32, w27, 0) F(S, u32, w28, 0) F(S, u32, w29, 0) F(S, u32, w30, 0) F(S, u32, w31, 0) \
    F(S, u32, w32, 0) F(S, u32, w33, 0) F(S, u32, w34, 0) F(S, u32, w35, 0) F(S, u32, w36, 0) F(S, u32, w37, 0) F(S, u32, w38, 0) F(S, u32, w39, 0) F(S, u32, w40, 0) F(S, u32, w41, 0) F(S, u32, w42, 0) F(S, u32, w43, 0) F(S, u32, w44, 0) F(S, u32, w45, 0) F(S, u32, w46, 0) F(S, u32, w47, 0)

#define ROWS(R) \
    R(core, 1, ROW_CORE, 1) \
    R(site, 2, ROW_SITE, 1) \
    R(tenant, 3, ROW_TENANT, 1) \
    R(account, 4, ROW_ACCOUNT, 3) \
    R(key, 5, ROW_KEY, 1) \
    R(model, 6, ROW_MODEL, 1) \
    R(variant, 7, ROW_VARIANT, 1) \
    R(price, 8, ROW_PRICE, 1) \
    R(worker, 9, ROW_WORKER, 1) \
    R(transfer, 10, ROW_TRANSFER, 1) \
    R(lease, 11, ROW_LEASE, 1) \
    R(deployment, 12, ROW_DEPLOYMENT, 1) \
    R(replica, 13, ROW_REPLICA, 2) \
    R(usage, 14, ROW_USAGE, 4) \
    R(chip, 15, ROW_CHIP, 1) \
    R(pool, 16, ROW_POOL, 1) \
    R(node, 17, ROW_NODE, 2) \
    R(corridor, 18, ROW_CORRIDOR, 1) \
    R(dispatch, 19, ROW_DISPATCH, 1) \
    R(job, 20, ROW_JOB, 1) \
    R(share, 21, ROW_SHARE, 2) \
    R(rules, 22, ROW_RULES, 1) \
    R(rules_part, 23, ROW_RULES_PART, 2) \
    R(habit, 24, ROW_HABIT, 2) \
    R(plan, 26, ROW_PLAN, 1) \
    R(plan_part, 27, ROW_PLAN_PART, 2) \
    R(alarm, 28, ROW_ALARM, 2) \
    R(transit, 30, ROW_TRANSIT, 1) \
    R(service, 33, ROW_SERVICE, 1) \
    R(service_demand, 34, ROW_SERVICE_DEMAND, 2) \
    R(service_replica, 35, ROW_SERVICE_REPLICA, 1) \
    R(job_array, 36, ROW_JOB_ARRAY, 1) \
    R(job_after, 37, ROW_JOB_AFTER, 2) \
    R(member, 38, ROW_MEMBER, 1) \
    R(job_usage, 39, ROW_JOB_USAGE, 2) \
    R(gateway, 48, ROW_GATEWAY, 1) \
    R(bill, 50, ROW_BILL, 8) \
    R(invoice, 51, ROW_INVOICE, 1) \
    R(payment, 52, ROW_PAYMENT, 1) \
    R(pool_price, 53, ROW_POOL_PRICE, 2) \
    R(terms, 54, ROW_TERMS, 4) \
    R(allowance, 55, ROW_ALLOWANCE, 3) \
    R(tariff_part, 56, ROW_TARIFF_PART, 1) \
    R(site_mean, 57, ROW_SITE_MEAN, 1) R(billed, 59, ROW_BILLED, 2) \
    R(party, 60, ROW_PARTY, 1) \
    R(site_owners, 61, ROW_SITE_OWNERS, 1) \
    R(charging, 62, ROW_CHARGING, 1) \
    R(grant, 63, ROW_GRANT, 1) \
    R(used, 64, ROW_USED, 3) \
    R(replica_meter, 65, ROW_REPLICA_METER, 3) \
    R(energy_weight, 66, ROW_ENERGY_WEIGHT, 3) \
    R(project, 80, ROW_PROJECT, 1) \
    R(budget, 81, ROW_BUDGET, 2) \
    R(webhook, 82, ROW_WEBHOOK, 1) R(notice, 83, ROW_NOTICE, 1) \
    R(compute, 84, ROW_COMPUTE, 1) \
    R(recall, 90, ROW_RECALL, 1) R(tally, 91, ROW_TALLY, 3) \
    R(denial, 92, ROW_DENIAL, 6) \
    R(drill, 93, ROW_DRILL, 1) \
    UNIT_ROWS(R) ACCEPT_ROWS(R) CLUSTER_ROWS(R)

/* clang-format on */

/* ---- the structs ---- */

#define MEMBER_u32(name, size) uint32_t name;
#define MEMBER_u64(name, size) uint64_t name;
#define MEMBER_i64(name, size) int64_t name;
#define MEMBER_uuid(name, size) struct uuid name;
#define MEMBER_digest(name, size) uint8_t name[DIGEST_BYTES];
#define MEMBER_text(name, size) char name[size];
#define MEMBER_uuids(name, size) struct uuid_list name;
#define SCHEMA_MEMBER(S, type, name, size) MEMBER_##type(name, size)

#define SCHEMA_EVENT_STRUCT(n, k, L) \
    struct event_##n { \
        L(SCHEMA_MEMBER, _) \
    };
#define SCHEMA_EVENT_KIND(n, k, L) EVENT_KIND_##n = (k),
#define SCHEMA_EVENT_UNION(n, k, L) struct event_##n n;
#define SCHEMA_ROW_STRUCT(n, k, L, keys) \
    struct row_##n { \
        L(SCHEMA_MEMBER, _) \
    };
#define SCHEMA_ROW_KIND(n, k, L, keys) ROW_KIND_##n = (k),

EVENTS(SCHEMA_EVENT_STRUCT)
ROWS(SCHEMA_ROW_STRUCT)

enum event_kind { EVENTS(SCHEMA_EVENT_KIND) EVENT_KIND_END };
enum row_kind { ROWS(SCHEMA_ROW_KIND) ROW_KIND_END };

/*
 * An event: its time, the token under which its sender waits for the reply (0: nobody waits), and its payload.
 * Only the member that `kind` names is there; event_size tells how many bytes of the struct that is.
 */
struct event {
    uint32_t kind;
    int64_t at_ms; /* Unix ms, UTC */
    uint64_t token;
    union {
        EVENTS(SCHEMA_EVENT_UNION)
    } u;
};

#endif
