/* SPDX-License-Identifier: Apache-2.0 */
/* What a simulation reads and builds, up to its first event. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "core/kinds.h"
#include "sim/duration.h"
#include "sim/marks.h"
#include "sim/option.h"
#include "sim/running.h"

#define LEDGER_USD 840
#define SIM_AGEING 100000
/* Jobs that may wait or run at a time. */
#define SIM_JOBS_MAX (1u << 20)
#define SHAPES_WITH_DATA 8

static int set_up(struct sim *s, struct event *event, struct err *err)
{
    int rc = sim_step(s, event);
    return rc == 0 ? 0
                   : err_set(err, rc, "the core refuses what the simulation begins with (event %u): %s",
                             event->kind, err_text(rc));
}

static int set_up_world(struct sim *s, struct err *err)
{
    struct event event = {.kind = EVENT_KIND_hub_boot,
                          .u.hub_boot = {.boot = sim_uuid('B', 1), .seed = s->options->seed}};
    int rc = set_up(s, &event, err);
    event = (struct event){
        .kind = EVENT_KIND_dispatch_set,
        .u.dispatch_set = {.order = s->policy->order,
                           .fit = s->policy->fit,
                           .pack = s->policy->pack,
                           .ageing = s->options->ageing_given ? s->options->ageing : SIM_AGEING,
                           .carbon_price = s->options->carbon_price,
                           .preempt = s->options->preempt,
                           .reserve = s->options->reserve}};
    if (rc == 0)
        rc = set_up(s, &event, err);
    /* Services are the last tenant's. */
    uint32_t tenants =
        s->demand.ntenants + (serving_count(s->serving) > 0 || standing_count(s->standing) > 0);
    for (uint32_t i = 0; rc == 0 && i < tenants; i++) {
        event = (struct event){.kind = EVENT_KIND_tenant_add,
                               .u.tenant_add = {.tenant = sim_uuid('T', i + 1),
                                                .ledger = LEDGER_USD,
                                                .transfer = sim_uuid('F', i + 1)}};
        (void)snprintf(event.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        if (s->options->rules)
            world_jurisdiction(s->world, s->options->seed, i, event.u.tenant_add.jurisdiction);
        rc = set_up(s, &event, err);
    }
    for (uint32_t i = 0; rc == 0 && world_setup(s->world, i, &event); i++) {
        if (event.kind == EVENT_KIND_site_add)
            serving_site(s->serving, &event.u.site_add);
        rc = set_up(s, &event, err);
    }
    for (uint32_t i = 0; rc == 0 && rulefile_event(&s->rules, i, &event); i++)
        rc = set_up(s, &event, err);
    struct uuid tenant = sim_uuid('T', tenants);
    for (uint32_t i = 0; rc == 0 && serving_setup(s->serving, i, &tenant, &event); i++) {
        rc = set_up(s, &event, err);
        if (rc == ERR_NOT_FOUND)
            err_set(err, rc, "--serve: the network has no chips of a kind that is named");
    }
    for (uint32_t i = 0; rc == 0 && standing_setup(s->standing, i, &tenant, &event); i++)
        rc = set_up(s, &event, err);
    if (world_network(s->world)) {
        supply_goals(&s->result->supply, world_network(s->world));
        supply_look(&s->result->supply, &s->stock, s->now_ms);
    }
    return rc;
}

static struct limits limits_for(const struct sim *s)
{
    struct limits limits = limits_default();
    world_limits(s->world, &limits);
    limits.jobs = s->demand.n < SIM_JOBS_MAX ? s->demand.n + BATCH_EVENTS_MAX : SIM_JOBS_MAX;
    limits.tenants = s->demand.ntenants + 2;
    limits.meters = 0; /* nobody reports what simulated jobs use */
    limits.units = 0;  /* nor which chips there are */
    serving_limits(s->serving, &limits);
    standing_limits(s->standing, &limits);
    if (s->traits.data > 0)
        limits.shapes *= SHAPES_WITH_DATA; /* jobs are told apart by where their data lies */
    return limits;
}

/* From when to when, and what is to be reached until then. */
static int set_period(struct sim *s, struct err *err)
{
    const struct sim_options *o = s->options;
    bool asked = s->demand.n > 0 || serving_count(s->serving) > 0;
    s->now_ms = s->start_ms;
    s->until_ms = o->until_at_ms ? o->until_at_ms
                  : o->until_ms  ? s->start_ms + o->until_ms
                  : !asked       ? world_until_ms(s->world)
                                 : 0;
    if (s->until_ms && s->until_ms <= s->start_ms)
        return err_set(err, ERR_INVALID,
                       "the simulation would end before it begins: see --start and --until");
    if (!s->until_ms && !asked)
        return err_set(err, ERR_INVALID, "without jobs or requests a simulation needs --until");
    return 0;
}

static int read_mode(struct sim *s, struct err *err)
{
    static const char *const words[] = {"off", "yesterday", "foresight", NULL}; /* as PLAN_... */
    uint32_t mode = s->traits.deferrable > 0 ? PLAN_YESTERDAY : PLAN_OFF;
    int rc = option_word("--plan", s->options->plan, words, &mode, err);
    s->mode = (enum planning_mode)mode;
    s->result->plan = words[mode];
    return rc;
}

int sim_read_words(struct sim *s, struct err *err)
{
    static const char *const durations[] = {"exact", "predicted", "none", NULL}; /* as TOLD_... */
    const char *policies[SIM_POLICIES + 1] = {NULL};
    uint32_t policy = 0;
    for (uint32_t i = 0; i < SIM_POLICIES; i++)
        policies[i] = sim_policies[i].name;
    int rc = option_word("--policy", s->options->policy, policies, &policy, err);
    if (rc == 0)
        rc = option_word("--durations", s->options->durations, durations, &s->told, err);
    s->policy = &sim_policies[policy];
    return rc;
}

int sim_read_input(struct sim *s, struct err *err)
{
    const struct sim_options *o = s->options;
    struct demand_options demand = {
        .traces = o->trace, .copies = o->copies, .length_ms = o->length_ms, .tenants = o->tenants};
    struct world_options world = {.network = o->network,
                                  .pools = o->pools,
                                  .node_chips = o->node_chips,
                                  .faults = o->faults,
                                  .seed = o->seed,
                                  .drills = o->drills,
                                  .start_ms = o->start_ms ? o->start_ms : SIM_EPOCH_MS,
                                  .start_given = o->start_ms != 0};
    struct serving_options serving = {.requests = o->requests,
                                      .serve = o->serve,
                                      .zones = o->zones,
                                      .length_ms = o->length_ms,
                                      .seed = o->seed};
    int rc = traits_read(&s->traits, o->traits, o->seed, err);
    if (rc == 0)
        rc = rulefile_open(&s->rules, o->rules, err);
    if (rc == 0)
        rc = read_mode(s, err);
    if (rc == 0 && o->trace)
        rc = demand_read(&s->demand, &demand, err);
    if (rc == 0)
        rc = world_open(&s->world, &world, err);
    if (rc == 0)
        serving.start_ms = s->start_ms = world_start_ms(s->world);
    if (rc == 0)
        rc = serving_open(&s->serving, &serving, err);
    if (rc == 0 && standing_open(&s->standing, o->standing, o->nstanding) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory, or more than %d standing services", STANDING_MAX);
    if (rc == 0)
        rc = set_period(s, err);
    if (rc == 0)
        rc = traits_place(&s->traits, world_network(s->world), err);
    s->site_of_queue = rc == 0 ? calloc(s->demand.nqueues + 1u, sizeof *s->site_of_queue) : NULL;
    if (rc == 0 && !s->site_of_queue)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t q = 0; rc == 0 && q < s->demand.nqueues && !o->free; q++)
        rc = world_queue_site(s->world, s->demand.queue[q], &s->site_of_queue[q], err);
    return rc;
}

int sim_new(struct sim *s, struct err *err)
{
    struct limits limits = s->limits = limits_for(s);
    size_t size = core_size(&limits);
    s->fate = calloc(s->demand.n + 1u, sizeof *s->fate);
    s->effects = (struct effects){.list = calloc(EFFECTS_MAX, sizeof(struct effect)), .cap = EFFECTS_MAX};
    s->block = calloc(1, size);
    s->power = power_new(limits.sites, limits.chips, limits.pools);
    s->flows = flows_new(&s->stock, limits.corridors);
    s->planning = planning_new(&(struct planning_options){.mode = s->mode,
                                                          .every_ms = s->options->plan_every_ms,
                                                          .start_ms = s->start_ms,
                                                          .defer_ms = s->traits.defer_ms},
                               &limits);
    s->checker = checker_new(&(struct checker_limits){.sites = limits.sites,
                                                      .chips = limits.chips,
                                                      .pools = limits.pools,
                                                      .nodes = limits.nodes,
                                                      .jobs = limits.jobs,
                                                      .shares = limits.shares,
                                                      .tenants = limits.tenants,
                                                      .asks = limits.shapes,
                                                      .services = limits.services,
                                                      .demands = limits.demands});
    bool stock = stock_init(&s->stock, &limits);
    if (s->options->etas > 0)
        s->eta = eta_new(s->options->etas, s->demand.n, s->options->seed);
    if ((s->options->etas > 0 && !s->eta) || !s->fate || !s->effects.list || !s->block || !s->checker ||
        !s->power || !s->flows || !s->planning || !stock)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (s->options->report) {
        /* A trace's first job may come months after its origin: nothing is there to be seen before. */
        int64_t first =
            s->demand.n && !s->options->start_ms ? s->demand.job[0].submit_ms / DAY_MS * DAY_MS : 0;
        s->watch =
            watch_new(s->start_ms + first, &s->stock, s->power, &s->result->supply, s->options->carbon_price);
        if (!s->watch)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        if (!gauges_init(&s->gauges, s->watch->rec, limits.corridors, s->options->reserve != RESERVE_OFF,
                         s->serving))
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        marks_drills(s->watch->rec, world_drills(s->world));
    }
    s->core = core_init(s->block, size, &limits);
    int rc = set_up_world(s, err);
    return rc == 0 ? serving_failed(s->serving, err) : rc;
}

void sim_fini(struct sim *s)
{
    rulefile_close(&s->rules);
    demand_free(&s->demand);
    world_free(s->world);
    power_free(s->power);
    watch_free(s->watch);
    gauges_fini(&s->gauges);
    stock_fini(&s->stock);
    serving_free(s->serving);
    standing_free(s->standing);
    flows_free(s->flows);
    traits_free(&s->traits);
    planning_free(s->planning);
    ends_fini(&s->ends);
    ends_fini(&s->reports);
    outage_fini(&s->outage);
    free(s->site_of_queue);
    free(s->fate);
    free(s->effects.list);
    free(s->block);
    eta_free(s->eta);
    if (s->checker)
        checker_free(s->checker);
}
