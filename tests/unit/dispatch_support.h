/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Support for tests of dispatch: a small network to place work on, and short names for the events of sites and jobs.
 *
 * Pools ('p') and jobs ('J') are numbered like all that support.h names. A request comes with what most tests want; a
 * test sets what is special about its own, then hands it to do_*. Like those of support.h these give what core_step gave.
 */
#ifndef BUSBAR_TESTS_DISPATCH_SUPPORT_H
#define BUSBAR_TESTS_DISPATCH_SUPPORT_H

#include "core/why.h"
#include "support.h"

#define MINUTE INT64_C(60000)
#define HOUR INT64_C(3600000)

/* small_limits with so many sites and pools, two kinds of chips, and room for `jobs` jobs. */
struct limits dispatch_limits(uint32_t sites, uint32_t pools, uint32_t jobs);
/* small_limits with so many sites with a pool each, one kind of chip, and room for replicas and for what serves them. */
struct limits replica_limits(uint32_t sites);
/* Boot 1 and tenants 1 to `tenants` without a budget. */
struct world *world_dispatch(const struct limits *limits, uint64_t tenants);

/* A chip of 1 kW. */
int do_chip(struct world *w, const char *chip, const char *vendor, uint32_t idle_watts);
/* Of nodes of "chip" that fail one by one. */
struct event_pool_add pool_request(uint64_t pool, uint64_t site, uint32_t nodes, uint32_t node_chips);
int do_pool(struct world *w, struct event_pool_add pool);
int do_pool_price(struct world *w, uint64_t pool, int64_t price);
/* Sites 1 and 2 with a pool each of the same number: one node of eight chips of "chip", a chip-hour of the first for `price`. */
void do_two_sites(struct world *w, int64_t price);
/* By best fit, whatever the request says. */
int do_dispatch(struct world *w, struct event_dispatch_set set);
int do_site_state(struct world *w, uint64_t site, uint32_t state);
int do_site_cap(struct world *w, uint64_t site, uint64_t watts);
int do_node_state(struct world *w, const struct uuid *pool, uint32_t node, uint32_t state);
/* The only rules from now on. */
int do_rules(struct world *w, const char *text);

/* Of tenant 1, on any kind of chip. */
struct event_job_submit job_request(uint64_t job, uint32_t chips, int64_t duration_ms);
int do_submit(struct world *w, struct event_job_submit job);
/* Submits one of eight chips for an hour that may run at this site only, and starts it. */
void do_run_at(struct world *w, uint64_t job, uint64_t site);
int do_end(struct world *w, uint64_t job, uint32_t epoch);
int do_cancel(struct world *w, uint64_t job);

/* Makes the passes that are due. */
void world_settle(struct world *w);
/* The first effect of a kind on a job among those of the last step, or NULL. */
const struct effect *world_effect(const struct world *w, enum effect_kind kind, uint64_t job);
/* The row that was collected last; fails if there is none. */
const struct row_job *world_job(const struct world *w, uint64_t job);
struct why why_of(const struct world *w, uint64_t job);
bool is_uid(const struct uuid *id, char space, uint64_t n);
/* The last steps of both had the same effects. */
void assert_same_effects(const struct world *a, const struct world *b);

#endif
