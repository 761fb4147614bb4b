/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state behind core.h, for the files of this folder only.
 *
 * Each kind of object is a table of entries; an entry begins with its row, so what is durable and what is derived
 * stay apart. Maps lead from durable ids and names to indices. Lists are intrusive and in order of arrival, so
 * nothing depends on a hash. Everything lives in the one block given to core_init.
 */
#ifndef BUSBAR_CORE_STATE_H
#define BUSBAR_CORE_STATE_H

#include "base/checked.h"
#include "base/list.h"
#include "base/rng.h"
#include "core/accept.h"
#include "core/books.h"
#include "core/budget.h"
#include "core/clusters.h"
#include "core/contingency.h"
#include "core/core.h"
#include "core/denial.h"
#include "core/drill.h"
#include "core/energy.h"
#include "core/follow.h"
#include "core/habit.h"
#include "core/lease.h"
#include "core/ledger.h"
#include "core/money.h"
#include "core/network.h"
#include "core/plan.h"
#include "core/registry.h"
#include "core/route.h"
#include "core/rulebook.h"
#include "core/service.h"
#include "core/tariff.h"
#include "core/work.h"

struct tenant {
    struct row_tenant row;
    struct account_id wallet, funding;
    uint32_t peer;                 /* the first tenant whose jurisdiction and licence are the same */
    struct list leases;            /* of struct lease, in order of opening */
    struct list grants;            /* of struct grant, in order of their ends */
    struct list waiters;           /* of struct waiter, in order of arrival */
    uint32_t budget[BUDGET_KINDS]; /* core/budget.h, INDEX_NONE: it has none */
};

struct key {
    struct row_key row;
    struct tenant_id tenant;
    struct account_id limit; /* INDEX_NONE: no limit of its own */
    uint32_t project;        /* INDEX_NONE: it is of none */
    uint32_t budget[BUDGET_KINDS];
};

struct model {
    struct row_model row;
    uint32_t nvariants, ndeployments, nservices;
};

struct variant {
    struct row_variant row;
    struct model_id model;
};

struct deployment {
    struct row_deployment row;
    struct model_id model;
    uint32_t service; /* that says how many, INDEX_NONE: it is on the hub's own machine, outside all pools */
    uint32_t cluster; /* INDEX_NONE: it is none */
};

struct replica {
    struct row_replica row;
    uint32_t deployment;
    uint32_t served; /* of core's services, INDEX_NONE: of a deployment without one */
};

struct worker {
    struct row_worker row;
};

struct member {
    struct row_member row;
};

struct gateway {
    struct row_gateway row;
};

struct job_usage {
    struct row_job_usage row;
    struct tenant_id tenant;
    uint32_t terms;           /* that hold for it, INDEX_NONE: none (core/tariff.h) */
    struct heap_node in_over; /* while it waits for its last figures */
};

/* Accounts of epochs that are not closed, core/job_meter.c. */
struct job_meters {
    struct table table;
    struct job_usage *usage;
    struct map map;   /* by job and epoch */
    struct heap over; /* whose epochs are, the one that ended first comes first */
    uint32_t nover;
};

struct core {
    struct limits limits;
    struct row_core row;
    struct rng rng;
    uint32_t batch_events;
    struct ledger ledger;
    struct network net;
    struct work work;
    struct follow follow;
    struct rulebook book;
    struct services service;
    struct traffic traffic;
    struct plan plan;
    struct reserve reserve;
    struct habits habits;
    struct job_meters meters;
    struct energy energy;
    struct books books;
    struct denials denials;
    struct drills drills;
    struct row_billed *billed; /* of the open batch, core/billed.c */
    uint32_t nbilled;
    struct charging charging;
    struct grants grants;
    struct tariff tariff;
    struct recalls recalls;
    struct clusters clusters;
    struct acceptances acceptances;
    struct budgets budgets;
    struct registry registry;
    struct table members, gateways, tenants, keys, models, variants, prices, deployments, replicas, workers,
        leases, waiters;
    struct member *member;
    struct gateway *gateway;
    struct tenant *tenant;
    struct key *key;
    struct model *model;
    struct variant *variant;
    struct price_entry *price;
    struct deployment *deployment;
    struct replica *replica;
    struct worker *worker;
    struct lease *lease;
    struct waiter *waiter;
    struct usage_cell *usage; /* of the open batch */
    uint32_t nusage;
    struct map member_map, tenant_map, tenant_names, key_map, key_public, model_map, model_names, variant_map,
        price_map, deployment_map, worker_map, lease_map;
    struct list waiting;
    int64_t now_ms;          /* time of the last event */
    struct effects *effects; /* of the step that runs */
};

/* Each step handler: 0 or the code of the refusal, and nothing changed. */
#define STEP_HANDLER(n, k, L) int step_##n(struct core *core, const struct event *event);
EVENTS(STEP_HANDLER)
#undef STEP_HANDLER

/* Bit i of a set: of pools, or of corridors. */
static inline bool bit_of(const uint64_t *words, uint32_t i)
{
    return words[i / 64] >> i % 64 & 1;
}

/* Pools that work of the reach may use as this alternative. */
static inline const uint64_t *reach_mask(const struct core *core, const struct reach *reach, uint32_t a)
{
    return reach->mask + (size_t)a * core->work.pool_words;
}

/* Lays a table and its entries out in the arena; with a counting arena it only counts. */
#define CARVE(core, tables, array, count) \
    do { \
        table_init(&(core)->tables, arena, (count)); \
        (core)->array = arena_take(arena, (size_t)(count) * sizeof *(core)->array); \
    } while (0)

/* ---- who bills and who is billed, core/billed.c ---- */

void billed_carve(struct core *core, struct arena *arena);
void billed_collect(struct core *core, row_fn *fn, void *ctx);

/* ---- members, core/member.c, and gateways ---- */

void members_carve(struct core *core, struct arena *arena);
int load_member(struct core *core, const struct row_member *row);
/* After the last row: each is of a site or of a gateway. */
bool members_hold(const struct core *core);
/* It is no member any more; false: it was none. */
bool member_drop(struct core *core, const struct uuid *id);
/* core/gateway.c */
void gateways_carve(struct core *core, struct arena *arena);
int load_gateway(struct core *core, const struct row_gateway *row);

/* ---- accounts of epochs, core/job_meter.c ---- */

void job_meters_carve(struct core *core, struct arena *arena);
/* The account that is not closed, MAP_NONE: there is none. */
uint32_t job_usage_find(const struct core *core, const struct uuid *job, uint32_t epoch);
/* The job has started, or is about to give its chips back; there is room. */
void job_usage_open(struct core *core, struct job_id id);
void job_usage_end(struct core *core, struct job_id id);
int load_job_usage(struct core *core, const struct row_job_usage *row);
/* After the last row: jobs that started before there were accounts have one. */
void load_job_usages_done(struct core *core);
bool job_usages_hold(const struct core *core);

/* ---- beginning anew, core/anew.c ---- */

/* What is in memory only is made from the state as a load makes it: at a boot, and where a reload is told. */
void core_anew(struct core *core);
/* The dispatcher's part that a load needs as well: sums, what is over a limit, what is kept. */
void dispatch_anew(struct core *core);

/* ---- laying out, core/core.c ---- */

void index_init(struct map *map, struct arena *arena, uint32_t entries, map_equal_fn *equal,
                const void *table);
void network_carve(struct core *core, struct arena *arena);
void work_carve(struct core *core, struct arena *arena);
void work_init(struct core *core);
void habit_carve(struct core *core, struct arena *arena);

void effect_reply(struct core *core, uint64_t token, int code, int64_t amount);
struct effect *effect_add(struct core *core, enum effect_kind kind);

/* ---- by id ---- */

/* The site with the lowest id. INDEX_NONE when there is none. */
uint32_t site_first(const struct core *core);
/* INDEX_NONE when there is none. */
struct site_id site_by_id(const struct core *core, const struct uuid *id);
void site_set_state(struct core *core, struct site_id id, uint32_t state);
struct tenant_id tenant_by_id(const struct core *core, const struct uuid *id);
/* Finds the tenant's peer. */
void tenant_find_peer(struct core *core, struct tenant_id id);
/* Its facts are others than they were: the same of all tenants, whose peers were right before. */
void tenant_move_peer(struct core *core, struct tenant_id id);
struct key_id key_by_id(const struct core *core, const struct uuid *id);
struct model_id model_by_id(const struct core *core, const struct uuid *id);

/* ---- replicas, core/replica.c ---- */

/* Starts every replica of the hub's own machine anew: at a boot. */
void replica_restart_all(struct core *core, int64_t now_ms);
/* One on the hub's own machine, outside all pools; there is room. */
void replica_own(struct core *core, uint32_t deployment, uint32_t ordinal, const struct uuid *variant);
/* A replica without a place, for the job that is `served`, of core's services; there is room. Returns it. */
uint32_t replica_wait(struct core *core, uint32_t deployment, uint32_t served);
/* A cluster's head, nowhere yet; there is room. Returns it. */
uint32_t replica_head(struct core *core, uint32_t deployment, const struct uuid *variant);
void replica_head_place(struct core *core, uint32_t replica, const struct uuid *site);
/* Its job starts in the pool: its site is to run it. */
void replica_place(struct core *core, uint32_t replica, uint32_t pool);
/* Its job does not run any more: nor does it, and what it tells under that epoch is void. */
void replica_displace(struct core *core, uint32_t replica);
/* Its site is to stop it when it has answered what it answers. */
void replica_drain(struct core *core, uint32_t replica, int64_t now_ms);
void replica_forget(struct core *core, uint32_t replica);
/* The one that is at a site under that epoch, NULL: there is none. */
const struct row_replica *replica_running(const struct core *core, const struct uuid *deployment,
                                          uint32_t ordinal, uint32_t epoch);

/* ---- core/deployment.c ---- */

/* Deployments at sites from before these were services become such: at a boot. */
void deployments_convert(struct core *core);
/* Drops it if it is being stopped and nothing of it is left. */
void deployment_reap(struct core *core, uint32_t deployment);
void deployments_reap(struct core *core);
uint32_t deployment_find(const struct core *core, const struct uuid *id);
bool deployment_is_at(const struct core *core, uint32_t deployment, struct site_id site);
/* Replicas that it has at the site. */
uint32_t deployment_count_at(const struct core *core, uint32_t deployment, struct site_id site);
/* What rules are told of a replica there. Nothing is known of who will ask: he is taken to be at home there. */
void rule_facts_of_deployment(const struct core *core, uint32_t pool, const struct row_model *model,
                              uint32_t chips, struct rule_facts *facts);

/* ---- core/network.c ---- */

/* Pools that work may use have changed, or one has more room: a pass is due. */
void network_changed(struct core *core);
void pool_changed(struct core *core, struct pool_id id);
/* A site draws less: under a cap each of its pools may take more. */
void site_eased(struct core *core, struct site_id id);
/* The rate of every pool of the site anew: what power costs there has changed. */
void site_rate(struct core *core, struct site_id id);
/* Takes a site's row into the table, the map and the order; shared by what is added and what is loaded. ERR_LIMIT. */
int site_put(struct core *core, const struct row_site *row);
/* Gives a pool whose row is set its nodes; ERR_LIMIT. */
int pool_place(struct core *core, uint32_t i);
/* A node's state, and what its idle chips draw. */
void pool_set_node_power(struct core *core, struct pool_id id, uint32_t node, uint32_t state);
/* What so much carbon costs, mg CO2e: nano-units. */
int128 carbon_cost(const struct core *core, uint64_t carbon);
/* Nano-units for the power of a chip in use in the pool for an hour, at so much for a kWh. */
int64_t pool_power(const struct core *core, const struct pool *pool, int128 kwh);
/* Watts that a chip in use draws more than one that is idle. */
uint64_t pool_chip_watts(const struct core *core, const struct pool *pool);

/* ---- core/work.c ---- */

/* Takes the job's shares back and stops it at its site: it waits again, under the same sequence. `code`: as in EFFECT_JOB_STOP. */
void job_evict(struct core *core, struct job_id id, int code);
/* Whether it is let run to its end where it is, because its site is out of touch: nobody could tell it to stop, so it has no
 * other place until the site is back, or is said to be lost for good. */
bool job_is_held(const struct core *core, const struct job *job);
typedef bool job_test_fn(struct core *core, const struct job *job);
/* Evicts what runs on a node, or on all nodes of a pool when it is INDEX_NONE, in the order in which it was submitted on each
 * node; only those that `which`, unless NULL, holds for. False: the step's effects have no room for more, and some still runs. */
bool work_evict(struct core *core, struct pool_id pool, uint32_t node, job_test_fn *which, int code);
void job_start(struct core *core, struct job_id id, struct pool_id pool, uint32_t alternative,
               const struct place *place, uint32_t n);
/* A job waits from now on: 0, or why it cannot; its id is checked, what it says of itself is the caller's to check. */
int work_submit(struct core *core, const struct event_job_submit *request, uint32_t deployment);
/* The same of a job that is in no lane yet; *out: it. */
int work_park(struct core *core, const struct event_job_submit *request, uint32_t deployment,
              struct job_id *out);
/* Whether what a request says of itself can be. */
bool work_terms_hold(const struct event_job_submit *request);
/* What it comes after ended otherwise: it ends here, and has not run. */
void work_unmet(struct core *core, struct job_id id);
/* A job ends here, whether it waits or runs. */
void work_cancel(struct core *core, struct job_id id);
/* What it was submitted with. */
void job_take_terms(struct row_job *to, const struct event_job_submit *from);
/* A job that runs is over, as its site told. */
void work_end(struct core *core, struct job_id id, uint32_t code);
/* A job that runs is stopped for good; `why` as in EFFECT_JOB_STOP. */
void work_break(struct core *core, struct job_id id, int why, uint32_t code);
/* The site of a job that runs gave it back: it waits again, or is over with the code if that was once too often. */
void work_return(struct core *core, struct job_id id, uint32_t code);
/* Orders the waiting jobs anew. */
void work_reorder(struct core *core);
struct job_id job_by_id(const struct core *core, const struct uuid *id);
void share_link(struct core *core, uint32_t i, struct job_id id, uint32_t pool);
/* Takes the chips of a share that is linked. */
void share_take(struct core *core, uint32_t i);
void work_account(struct core *core, struct job_id id, uint32_t pool, uint32_t chips, bool take);
/* The tenant's dominant share: the largest of its shares of a kind of chip. */
uint32_t tenant_weight(const struct core *core, uint32_t tenant);
/* There are more chips of a kind: what tenants have of it is a smaller share. */
void work_weigh(struct core *core);

/* ---- shapes and lanes, core/lane.c ---- */

/* The lane of a tenant for requests of this shape, with one more job in it; INDEX_NONE: too many different ones. */
uint32_t lane_of(struct core *core, uint32_t tenant, const struct shape_key *key);
void lane_enter(struct core *core, struct job_id id);
/* Sets where in its lane's queue it belongs. */
void lane_seat(const struct core *core, struct job *job);
void lane_leave(struct core *core, struct job_id id);
/* The lane has a job less in memory. */
void lane_unref(struct core *core, uint32_t lane);
/* Whether the lane has jobs that no pass has tried. */
void lane_refresh(struct core *core, struct lane *lane, bool fresh);
/* The shape of a request of the tenant, for a replica of the deployment or, INDEX_NONE, of none. 0, ERR_INVALID, ERR_NOT_FOUND. */
int shape_read(const struct core *core, const struct event_job_submit *request, struct tenant_id tenant,
               uint32_t deployment, struct shape_key *key);
/* Every lane gets the shape that it has now that rules ask for tenants by name, or do no longer. Lanes must be no more
 * than shapes may be. */
void lanes_rekey(struct core *core);
/* The jurisdiction of the site, or HOME_NOT_KNOWN (core/rulebook.h). */
void home_of(const struct core *core, const struct uuid *data_site, char home[CODE_CAP]);
/* Where a job with so much left to run, at rate 1, is in the queue. */
int64_t lane_key(const struct core *core, const struct job *job, int64_t run_ms);

/* ---- core/reserve.c ---- */

/* The lane's reservation, if it has one, is over. */
void reservation_drop(struct core *core, uint32_t lane);
/* Keeps nodes of the pool for the first job of the lane, those that are free first as far as is known. */
void reservation_make(struct core *core, uint32_t lane, uint32_t pool, struct ask ask);
/* When the pool could give what is asked, as far as is known, INT64_MAX: never; *first: the first of the nodes that it
 * would be among. */
int64_t reservation_time(const struct core *core, const struct pool *pool, struct ask ask, uint32_t *first);

/* ---- core/habit.c ---- */

/* The job, which runs, has ended by itself: what it took is remembered. */
void habit_learn(struct core *core, const struct job *job);
/* What a job without a duration is thought to last; sets estimate_ms and bound_ms. */
void habit_estimate(const struct core *core, struct row_job *row);

/* ---- core/reach.c ---- */

void reach_carve(struct core *core, struct arena *arena);
/* Finds where the shape may go in the network as it is. */
void shape_match(struct core *core, struct shape *shape);
/* The shape, matched unless it is. */
struct shape *shape_now(struct core *core, uint32_t i);
/* The same for all that jobs wait for. */
void reaches_match(struct core *core);
/* Jobs wait for the shape, or do no longer. */
void shape_list(struct core *core, struct shape *shape);
void shape_unlist(struct shape *shape);
/* The shape is no more. */
void shape_leave(struct core *core, struct shape *shape);

/* ---- core/place.c ---- */

struct choice {
    uint32_t pool; /* INDEX_NONE: none fits */
    uint32_t alternative;
    enum held_use use;
    uint32_t beside; /* replicas of the same deployment at its site */
    int128 cost;
    uint32_t victims; /* jobs to be stopped for it */
};
/* What work with these flags asks of a pool, as this alternative. */
struct ask ask_for(uint32_t flags, const struct alternative *a);
/* The way of the job's data to a pool, if it has any; false: none leads there, or it is full now. */
bool place_way(const struct core *core, const struct job *job, struct shape *shape, const struct pool *pool,
               struct way *out);
/* The best pool for a job of a lane among those that fit it now and are not closed. */
struct choice place_choose(struct core *core, uint32_t lane, const struct job *job, const uint64_t *closed);
/* Why a request may not use the pool as it is, as bits of enum why_bar: what it asks for, size, the site's state. */
uint32_t place_bars(const struct core *core, struct shape *shape, const struct alternative *a,
                    const struct pool *pool);
/* How a job of the lane that would end then has to treat the nodes of the pool that are held. */
enum held_use place_use(const struct core *core, const struct pool *pool, const struct lane *lane,
                        const struct job *job, int64_t end_ms);
/* The score of a pool for a job of some size and run time, whose data has to come: nano-units x RATE_MS. */
int128 place_cost(const struct pool *pool, const struct alternative *a, int64_t run_ms,
                  const struct way *way);
/* Whether job a of a tenant comes before job b of one: core/rank.c. */
bool rank_before(const struct core *core, uint32_t tenant_a, const struct queue_node *a, uint32_t tenant_b,
                 const struct queue_node *b);
/* The job's place among those of its tenant. */
int32_t rank_of(const struct core *core, const struct job *job);
/* A job of the tenant enters or leaves a queue of a lane. */
void rank_enter(struct core *core, uint32_t tenant, const struct queue_node *node);
void rank_leave(struct core *core, uint32_t tenant, const struct queue_node *node);
/* Whether the first job of lane a comes before that of b. */
bool lane_ahead(const struct core *core, const struct lane *a, const struct lane *b);
/* The longest run time, at rate 1, with which a job is gone before the pool's reservation begins. */
int64_t place_room(const struct core *core, const struct pool *pool, const struct alternative *a);
/* The longest run time, at rate 1, with which a job of the lane would fit on a pool with a reservation now that is not
 * closed; -1: none. */
int64_t place_limit(struct core *core, uint32_t lane, const uint64_t *closed);

/* ---- core/preempt.c ---- */

/* Run time of this run that went into work: not into waiting for its data, nor into starting from a checkpoint. */
int64_t job_worked_ms(const struct core *core, const struct job *job);
/* Work of this run, as run time at rate 1, that a job keeps which is stopped now. `told`: it can still write a checkpoint;
 * otherwise its place is lost, and it goes on from what it wrote by itself. */
int64_t job_kept_ms(const struct core *core, const struct job *job, bool told);
/* Run time that is lost if a job is told to stop now: what has to be run again, or its checkpoint's cost. */
int64_t job_lost_ms(const struct core *core, const struct job *job);
/* Where interruptible work would give way to a job of a lane that fits nowhere, if it may have that: sets what place_choose
 * does, and what has to stop. False: nowhere. */
bool preempt_choose(struct core *core, uint32_t lane, const struct job *job, const uint64_t *closed,
                    struct choice *choice);
/* Stops what was chosen last, work.victim[0..choice.victims). */
void preempt_stop(struct core *core, const struct choice *choice);
/* Whether a waiting job with these flags might have other work stopped for it in the pool. */
bool preempt_might(const struct core *core, uint32_t flags, const struct alternative *a,
                   const struct pool *pool);

/* ---- core/curtail.c ---- */

/* Stops work until each site draws no more than it may. False: there was no room for all the effects. */
bool curtail(struct core *core);
/* The site may draw more than it is allowed to: the next pass sees to it. */
void site_judge(struct core *core, struct site_id id);
/* At a tick: limits whose time is over. */
void sheds_turn(struct core *core);
/* Finds when the next of them is. */
void sheds_look(struct core *core);

/* ---- core/contingency.c and core/replace.c ---- */

void contingency_carve(struct core *core, struct arena *arena);
/* A firm job starts or stops; nothing, for one that is interruptible. */
void contingency_count(struct core *core, struct job_id id, uint32_t pool, uint32_t chips, bool take);
/* Shapes are others than they were. */
void contingency_recount(struct core *core);
/* At a tick: assesses the loss whose turn it is. */
void contingency_turn(struct core *core);
int64_t contingency_next_ms(const struct core *core);
int load_alarm(struct core *core, const struct row_alarm *row);
bool loss_hits(const struct core *core, const struct loss *loss, const struct pool *pool);
/* Sets all of `out` but what names the loss; reserve.placed: where its work would go. */
void loss_assess(struct core *core, const struct loss *loss, struct contingency *out);
/* Whether the loss leaves no pool that work of the reach may use. */
bool reach_is_tied(const struct core *core, const struct reach *reach, const struct loss *loss);
/* What is kept is worked out anew, if anything is to be. */
void reserve_reset(struct core *core);
/* Whether the job may have so many chips of the pool without using what is kept for a loss. */
bool reserve_allows(const struct core *core, const struct job *job, uint32_t pool, uint32_t chips);
/* The same for one that would start there now: if it may not, it is asked again once there is more room anywhere. */
bool reserve_grants(struct core *core, const struct job *job, uint32_t pool, uint32_t chips);
/* The part of it that needs no lane: whether so many are left beside those that are kept. */
bool reserve_leaves(const struct core *core, const struct job *job, uint32_t pool, uint32_t chips);
/* It has them now. */
void reserve_take(struct core *core, const struct job *job, uint32_t pool);

/* ---- arrays and who comes after whom, core/follow.h ---- */

void follow_carve(struct core *core, struct arena *arena);
void follow_init(struct core *core);
/* Puts it among those that are due, if it is not there; and takes it away, if it is. */
void due_set(struct heap *heap, struct due *due, const struct uuid *id);
void due_clear(struct heap *heap, struct due *due);
/* What is ready waits in its lane, without waiting for a tick: core/anew.c. */
void follow_anew(struct core *core);
/* For a copy: of those that never will start a row that says so. That of the edge which settled it is in the store only. */
void follow_dump(const struct core *core, row_fn *fn, void *ctx);
/* There is something for follow_turn to do. */
bool follow_is_due(const struct core *core);
/* Admits what may start, ends what never will. False: there is more to do. */
bool follow_turn(struct core *core);
/* The job is over, and its row tells how. */
void follow_over(struct core *core, struct job_id id);
/* The link's job or array comes after nobody any more. */
void follow_drop(struct core *core, uint32_t link);
/* That job or array is over: the link is gone, and whoever comes after it is told. */
void follow_settle(struct core *core, uint32_t link, uint32_t outcome);
/* What the job, or its array, still comes after: how many, and the first of them. */
uint32_t follow_waits_for(const struct core *core, const struct job *job, struct uuid *first);
struct after {
    struct uuid target;
    uint32_t kind, outcome;
};
/* Those that the event names; how many. */
uint32_t afters_read(const struct event_job_array *event, struct after out[JOB_AFTERS_MAX]);
/* Whether the job or array that the event brings may come after them: 0, ERR_INVALID, ERR_NOT_FOUND or ERR_LIMIT. */
int afters_check(struct core *core, const struct event_job_array *event, const struct after *list,
                 uint32_t n);
/* A job or an array, the other one INDEX_NONE, comes after them; they were checked. */
void follow_attach(struct core *core, uint32_t job, uint32_t array, const struct after *list, uint32_t n);
int load_job_after(struct core *core, const struct row_job_after *row);
/* After the last row, before jobs enter their lanes: those that are not to are parked. ERR_CORRUPT. */
int load_follow_done(struct core *core);
/* INDEX_NONE when there is none. */
uint32_t array_by_id(const struct core *core, const struct uuid *id);
/* Whether a job's id is one that a task of the array has, or could have. */
bool array_is_of(const struct uuid *array, const struct uuid *job);
/* The same of any array that is there. */
bool array_has(const struct core *core, const struct uuid *job);
/* There may be something to do about it. */
void array_moves(struct core *core, uint32_t array);
bool array_turn(struct core *core, uint32_t array, uint32_t *budget);
void array_task_over(struct core *core, struct job_id id, uint32_t outcome);
/* No more of its tasks starts: those that are left end as `state` says. */
void array_close(struct core *core, uint32_t array, uint32_t state);
/* 0, ERR_NOT_FOUND or ERR_WRONG_STATE. */
int array_cancel(struct core *core, const struct uuid *id);
int load_job_array(struct core *core, const struct row_job_array *row);
int load_arrays_done(struct core *core);
/* After a load: tasks that may be in their lanes are. */
void arrays_resume(struct core *core);

/* ---- core/dispatch.c and core/defer.c ---- */

/* Room that must be left in half a step for the effects of a start. */
#define START_EFFECTS(nodes, moves) ((nodes) + 2 + ((moves) ? WAY_MAX : 0))

/* The tenant's share is another: its turn, if it waits for one, comes earlier or later. */
void turn_reweigh(struct core *core, uint32_t tenant);
/* One pass of the fast loop: starts what can start. */
void dispatch_pass(struct core *core);
/* Work that waits by choice, core/defer.c. */
void defer_init(struct core *core);
/* The latest start of a job by what it asks for; 0: it is ordinary work from the beginning. */
int64_t job_latest_ms(const struct core *core, const struct job *job);
/* The same of a job that is in no lane. */
int64_t job_latest_of(const struct job *job, const struct shape *shape);
/* The job waits by choice from now on; false: it is ordinary work. */
bool defer_enter(struct core *core, struct job_id id);
void defer_leave(struct core *core, struct job_id id);
/* At a tick: jobs whose latest start has come are ordinary work. */
void defer_turn(struct core *core);
/* When that is due next, or the plan is over; INT64_MAX when nobody waits by choice. */
int64_t defer_deadline_ms(const struct core *core);
/* Another plan is in force, or none. */
void defer_replan(struct core *core);
/* After all others: starts those that wait by choice where the plan lets them. False: there was no room for a start. */
bool defer_pass(struct core *core);

/* ---- from rows back to state: core/load.c, core/load_work.c ---- */

int load_chip(struct core *core, const struct row_chip *row);
int load_pool(struct core *core, const struct row_pool *row);
int load_node(struct core *core, const struct row_node *row);
int load_corridor(struct core *core, const struct row_corridor *row);
int load_job(struct core *core, const struct row_job *row);
int load_share(struct core *core, const struct row_share *row);
int load_habit(struct core *core, const struct row_habit *row);
/* After the last row: every running job has all its chips. ERR_CORRUPT. */
int load_work_done(struct core *core);

#endif
