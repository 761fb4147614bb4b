/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: what the API and the gateway's snapshot read from the core, without touching it.
 *
 * Entries are visited by position: the _at functions return the next live entry at or after *pos and advance *pos,
 * or NULL at the end. Pointers are valid until the next step.
 */
#ifndef BUSBAR_CORE_VIEW_H
#define BUSBAR_CORE_VIEW_H

#include "core/core.h"

const struct row_core *view_core(const struct core *core);
/* The time of the last event. */
int64_t view_now_ms(const struct core *core);
const struct row_site *view_site_at(const struct core *core, uint32_t *pos);
/* Kinds of chips, also of those that no pool has. */
const struct row_chip *view_chip_at(const struct core *core, uint32_t *pos);
/* How work is ordered, and what carbon costs. */
const struct row_dispatch *view_dispatch(const struct core *core);
const struct row_pool *view_pool_at(const struct core *core, uint32_t *pos);
const struct row_corridor *view_corridor_at(const struct core *core, uint32_t *pos);
/* Recalls of weights, also those that were lifted; the one in force of any weights of the model, NULL: there is none. */
const struct row_recall *view_recall_at(const struct core *core, uint32_t *pos);
const struct row_recall *view_recalled(const struct core *core, const struct uuid *model);
/* What checks of replicas found (core/accept.h): a row for each variant, site, kind and number of chips; that of a replica, NULL: it was
 * never checked there. Whether the replica takes requests: it is ready, and accepted where that is asked for. */
const struct row_acceptance *view_acceptance_at(const struct core *core, uint32_t *pos);
const struct row_acceptance *view_acceptance(const struct core *core, const struct row_replica *replica);
bool view_takes_requests(const struct row_replica *row);
uint32_t view_accept_mode(const struct core *core);
/* Medians of what checks of such replicas at that site gave, of those that passed; thousandths of a token a second; false: none did. */
bool view_accept_speed(const struct core *core, const struct row_replica *row, uint64_t *one, uint64_t *many);
/* Jobs that wait or run. */
const struct row_job *view_job_at(const struct core *core, uint32_t *pos);
const struct row_tenant *view_tenant_at(const struct core *core, uint32_t *pos);
const struct row_key *view_key_at(const struct core *core, uint32_t *pos);
const struct row_model *view_model_at(const struct core *core, uint32_t *pos);
const struct row_variant *view_variant_at(const struct core *core, uint32_t *pos);
const struct row_deployment *view_deployment_at(const struct core *core, uint32_t *pos);
const struct row_replica *view_replica_at(const struct core *core, uint32_t *pos);
const struct row_account *view_account_at(const struct core *core, uint32_t *pos);
/* NULL if it was never opened. */
const struct row_account *view_account(const struct core *core, const struct uuid *owner, uint32_t code,
                                       uint32_t ledger);
/* Owners, sponsors, other networks; by id, NULL if there is none. */
const struct row_party *view_party(const struct core *core, const struct uuid *id);
/* NULL: the site has no owners, what it earns is its own. */
const struct row_site_owners *view_site_owners(const struct core *core, const struct uuid *site);
/* Millionths of each charge. */
uint32_t view_network_fee(const struct core *core);
/* Token of the next event that was accepted but not replied to yet; 0 at the end. */
uint64_t view_waiting_at(const struct core *core, uint32_t *pos);

/* The membership of a site, by the site or by the hash of the last token that was given out for it; NULL if there is none. */
const struct row_member *view_member(const struct core *core, const struct uuid *site);
const struct row_member *view_member_token(const struct core *core, const uint8_t token[DIGEST_BYTES]);
/* Gateways; by id or name, NULL if there is none. */
const struct row_gateway *view_gateway_at(const struct core *core, uint32_t *pos);
const struct row_gateway *view_gateway(const struct core *core, const struct uuid *id);
const struct row_gateway *view_gateway_named(const struct core *core, const char *name, size_t len);
/* Workers, of the hub's own process and of gateways. */
const struct row_worker *view_worker_at(const struct core *core, uint32_t *pos);
/* Whether the site or gateway has joined, with this key. */
bool view_is_member(const struct core *core, const struct uuid *site, const uint8_t key[DIGEST_BYTES]);

/* By id or name; NULL if there is none. */
const struct row_site *view_site(const struct core *core, const struct uuid *id);
/* The hub's own machine: the site that was there first; NULL before it is. */
const struct row_site *view_site_own(const struct core *core);
const struct row_site *view_site_named(const struct core *core, const char *name, size_t len);
const struct row_tenant *view_tenant(const struct core *core, const struct uuid *id);
const struct row_tenant *view_tenant_named(const struct core *core, const char *name, size_t len);
const struct row_key *view_key(const struct core *core, const struct uuid *id);
const struct row_key *view_key_public(const struct core *core, const char *id, size_t len);
const struct row_model *view_model(const struct core *core, const struct uuid *id);
const struct row_model *view_model_named(const struct core *core, const char *name, size_t len);
const struct row_variant *view_variant(const struct core *core, const struct uuid *id);
const struct row_price *view_price(const struct core *core, const struct uuid *id);
/* What the tenant pays for the model now, NULL: whoever has no price of its own; NULL: nothing. */
const struct row_price *view_price_of(const struct core *core, const struct uuid *model,
                                      const struct uuid *tenant);
/* Prices of single tenants that are in force. */
const struct row_price *view_own_price_at(const struct core *core, uint32_t *pos);
/* All prices of models that are known: in force, to come, and those that others have replaced. And of pools and corridors, to come. */
const struct row_price *view_price_at(const struct core *core, uint32_t *pos);
const struct row_pool_price *view_item_price_at(const struct core *core, uint32_t *pos);
/* The price of a model, the tenant's own if it is not NULL, that will be in force then, as far as is told now; NULL: none. And of a
 * pool's chip-hour, or a corridor's GB. */
const struct row_price *view_price_then(const struct core *core, const struct uuid *model,
                                        const struct uuid *tenant, int64_t then_ms);
int64_t view_item_price_then(const struct core *core, const struct uuid *item, int64_t then_ms);
/* Terms that will be in force then, tenant and model NULL where they are of none; NULL: none. */
const struct row_terms *view_terms_then(const struct core *core, const struct uuid *tenant,
                                        const struct uuid *model, const char *chip, int64_t then_ms);
/* All terms, in force or to come; and what is used of what they leave free in the month of that time. */
const struct row_terms *view_terms_at(const struct core *core, uint32_t *pos);
uint64_t view_allowance_used(const struct core *core, const struct row_terms *terms, int64_t then_ms);
/* What power has cost at a site on the average, nano-units a kWh; 0: nothing is known yet. */
int64_t view_site_mean(const struct core *core, const struct uuid *site);
const struct row_deployment *view_deployment(const struct core *core, const struct uuid *id);
const struct row_pool *view_pool(const struct core *core, const struct uuid *id);
/* What a chip of this kind costs at the site now, with power and carbon: nano-units for an hour, of its pools the least; 0: it has none. */
int64_t view_chip_hour(const struct core *core, const struct uuid *site, const char chip[CHIP_CAP]);
const struct row_corridor *view_corridor(const struct core *core, const struct uuid *id);
/* That between the hub's own site and this one; NULL: there is none. */
const struct row_corridor *view_corridor_to(const struct core *core, const struct uuid *site);
/* What of the corridor is granted to transfers under way, bits a second. */
uint64_t view_corridor_granted(const struct core *core, const struct uuid *id);
/* Data that comes for a job that runs; NULL: none does, or all of it should be there by now. */
const struct row_transit *view_transit(const struct core *core, const struct uuid *job);
/* One that waits or runs. */
const struct row_job *view_job(const struct core *core, const struct uuid *id);
/* One of which something waits or runs, or is to come. */
const struct row_job_array *view_job_array(const struct core *core, const struct uuid *id);
/* The account of an epoch, while it is not closed; the store has all of them. */
const struct row_job_usage *view_job_usage(const struct core *core, const struct uuid *job, uint32_t epoch);
/* What a replica has drawn under its epoch so far; NULL: nothing was told. */
const struct row_replica_meter *view_replica_meter(const struct core *core, const struct row_replica *row);
bool view_chip_known(const struct core *core, const char *name);
/* enum place_state: what holds for work at the site. Lost while contact is, whatever the row's own `state`, an operator's. */
uint32_t view_site_state(const struct row_site *site);
/* enum place_state; 0 if there is no such node. */
uint32_t view_node_state(const struct core *core, const struct uuid *pool, uint32_t node);
/* What of a pool is up, how many of its chips work has, wherever they are, and how many nobody has on nodes that are up; zero if
 * there is no such pool. */
struct view_pool_use {
    uint32_t nodes_up, chips, free;
};
struct view_pool_use view_pool_use(const struct core *core, const struct uuid *id);
struct rules;
/* The rules in force, as they were parsed, and their text; the row tells since when, and as of when they are applied. *next_ms: when one
 * comes into force or goes next, INT64_MAX: none does. */
const struct row_rules *view_rules(const struct core *core, const struct rules **rules, const char **text,
                                   size_t *len, int64_t *next_ms);
/* Whether rules let the tenant have its requests of the model answered by this replica; *rule: that denies or, RULES_NONE, a closed border.
 * Nobody else's data are known: a request declares none. */
bool view_may_ask(const struct core *core, const struct uuid *tenant, const struct row_model *model,
                  const struct row_replica *replica, uint32_t *rule);
/* The tenant for whom that is the same: itself, or another of the same facts, always the same of them. */
const struct uuid *view_rules_peer(const struct core *core, const struct uuid *tenant);
/* Whether rules let somebody of each site's own jurisdiction use the model there, on some pool. Each tenant is not judged. */
bool view_may_deploy(const struct core *core, const struct uuid_list *sites, const struct row_model *model,
                     uint32_t chips);
/* The deployment's cluster, NULL: it is none; and the i-th part of its plan, false: there are not so many. */
const struct row_cluster *view_cluster(const struct core *core, const struct uuid *deployment);
struct view_part {
    uint32_t ordinal, epoch, layers;
};
bool view_cluster_part(const struct row_cluster *row, uint32_t i, struct view_part *out);
/* The replica that a part names, if it is somewhere, under that epoch; NULL: it is not. */
const struct row_replica *view_cluster_worker(const struct core *core, const struct row_cluster *row,
                                              const struct view_part *part);
/* Megabytes that one may use, 0: what there is. */
static inline uint32_t cluster_memory_mib(const struct row_cluster *row)
{
    return (uint32_t)(row->member_bytes >> 20);
}
/* The same of one pool. */
bool view_may_serve(const struct core *core, const struct uuid *pool, const struct row_model *model,
                    uint32_t chips);
const struct row_deployment *view_deployment_of(const struct core *core, const struct uuid *model);

/* Where a tenant or a key with a limit stands, nano-units. */
struct view_balance {
    int64_t budget;
    int64_t spent;
    int64_t held;
};
struct view_balance view_tenant_balance(const struct core *core, const struct uuid *tenant);
/* All zero for a key without a budget of its own. */
struct view_balance view_key_balance(const struct core *core, const struct uuid *key);

/* The hard or soft budget of a tenant, project or key (scope: enum budget_scope), and where it stands in this period; NULL: it has
 * none. view_budget_reset: when the next period begins, Unix ms; 0: never. */
const struct row_budget *view_budget(const struct core *core, const struct uuid *owner, uint32_t scope,
                                     bool soft, struct view_balance *out);
int64_t view_budget_reset(const struct core *core, const struct row_budget *row);
/* Who shares what the key's requests draw: enum budget_scope. */
uint32_t view_key_purse(const struct row_key *row);
/* Which budget has nothing left for work that a tenant sends with this key (zero: with none), as budget_refusal; 0: each has, or
 * work costs nothing. */
int64_t view_budget_lack(const struct core *core, const struct uuid *tenant, const struct uuid *key);
/* Projects, those that were removed too; by id, and by name of those that were not. NULL if there is none. */
const struct row_project *view_project_at(const struct core *core, uint32_t *pos);
const struct row_project *view_project(const struct core *core, const struct uuid *id);
const struct row_project *view_project_named(const struct core *core, const struct uuid *tenant,
                                             const char *name, size_t len);
/* Of a tenant; NULL if there is none. */
const struct row_webhook *view_webhook(const struct core *core, const struct uuid *tenant);
const struct row_compute *view_compute(const struct core *core, const struct uuid *tenant);
/* Notices that are to be delivered. */
const struct row_notice *view_notice_at(const struct core *core, uint32_t *pos);

/* A service: its replicas by what they do, and what those that are warm sustain. */
struct view_service {
    const struct row_service *row;
    uint32_t waiting, cold, warm;
    uint64_t tokens_s, in_flight; /* asked for */
    uint64_t sustained_tokens_s;
};
/* As of now_ms; false if there is none. */
bool view_service(const struct core *core, const struct uuid *id, int64_t now_ms, struct view_service *out);

/* What a deployment at sites has: `wanted` counts those that wait, start or serve; false: it is no such. */
struct view_deployed {
    uint32_t wanted, ready;
    struct uuid waits; /* the job of one that waits for a place, zero: none does */
    uint64_t tokens_s, in_flight;
    int64_t hold_ms;
};
bool view_deployed(const struct core *core, const struct uuid *id, struct view_deployed *out);

struct view_counts {
    uint32_t tenants, keys, models, deployments, replicas, replicas_ready, leases, waiters, workers;
    int64_t held; /* nano-units over all leases, whatever their currency */
};
struct view_counts view_counts(const struct core *core);

#endif
