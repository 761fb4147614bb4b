/* SPDX-License-Identifier: Apache-2.0 */
/* What accepted events tell the checker: the network, and jobs that come and end. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/kinds.h"
#include "sim/checker_state.h"

/* What a site's PUE is taken to be until a signal says it, in thousandths. */
#define PUE_GUESS 1200u

static void accepted(struct checker *c, const struct uuid *job, const struct uuid *pool, const char *words)
{
    checker_violate(c, CHECKER_ACCEPTED, job, pool, NONE, "%s", words);
}

static bool has_room(struct checker *c, uint32_t used, uint32_t more, uint32_t limit, const char *what)
{
    if (more <= limit && used <= limit - more)
        return true;
    checker_violate(c, CHECKER_LIMIT, NULL, NULL, NONE, "more than %" PRIu32 " %s", limit, what);
    return false;
}

/* ---- the network ---- */

static uint32_t site_find(const struct checker *c, const struct uuid *id)
{
    return map_get(&c->site_map, id, sizeof *id);
}

uint32_t checker_pool_find(struct checker *c, const struct uuid *id)
{
    if (c->last_pool == NONE || !uuid_eq(&c->pool[c->last_pool].id, id))
        c->last_pool = map_get(&c->pool_map, id, sizeof *id);
    return c->last_pool;
}

static uint32_t chip_find(const struct checker *c, const char *name)
{
    return map_get(&c->chip_map, name, text_len(name, CHIP_CAP));
}

static void site_add(struct checker *c, const struct event *event)
{
    const struct event_site_add *e = &event->u.site_add;
    if (site_find(c, &e->site) != NONE) {
        accepted(c, NULL, NULL, "a site that is there");
        return;
    }
    if (!has_room(c, c->nsites, 1, c->limits.sites, "sites"))
        return;
    c->site[c->nsites] =
        (struct check_site){.told = *e, .state = PLACE_UP, .set_state = PLACE_UP, .pue = PUE_GUESS};
    map_put(&c->site_map, &e->site, sizeof e->site, c->nsites++);
}

static void chip_add(struct checker *c, const struct event *event)
{
    const struct event_chip_add *e = &event->u.chip_add;
    if (chip_find(c, e->chip) != NONE || e->idle_watts > e->watts) {
        accepted(c, NULL, NULL, "a kind of chip that is there, or that idles above its watts");
        return;
    }
    if (!has_room(c, c->nchips, 1, c->limits.chips, "kinds of chips"))
        return;
    c->chip[c->nchips] = (struct check_chip){.told = *e};
    map_put(&c->chip_map, e->chip, text_len(e->chip, sizeof e->chip), c->nchips++);
}

static void pool_add(struct checker *c, const struct event *event)
{
    const struct event_pool_add *e = &event->u.pool_add;
    uint32_t site = site_find(c, &e->site);
    uint32_t chip = chip_find(c, e->chip);
    if (checker_pool_find(c, &e->pool) != NONE || site == NONE || chip == NONE || e->domain == 0) {
        accepted(c, NULL, &e->pool, "a pool that is there, or of a site or chip that is not");
        return;
    }
    if (!has_room(c, c->npools, 1, c->limits.pools, "pools") ||
        !has_room(c, c->nnodes, e->nodes, c->limits.nodes, "nodes"))
        return;
    uint32_t i = c->npools++;
    c->pool[i] = (struct check_pool){.id = e->pool,
                                     .site = site,
                                     .chip = chip,
                                     .nodes = e->nodes,
                                     .node_chips = e->node_chips,
                                     .domain = e->domain,
                                     .price = e->price,
                                     .up = e->nodes * e->node_chips,
                                     .first = c->nnodes};
    map_put(&c->pool_map, &e->pool, sizeof e->pool, i);
    for (uint32_t n = 0; n < e->nodes; n++)
        c->node[c->nnodes++] = (struct check_node){.pool = i, .shares = NONE, .state = PLACE_UP};
    c->site[site].load += (uint64_t)e->nodes * e->node_chips * c->chip[chip].told.idle_watts;
    c->stale = c->power = true;
    c->least_node = i == 0 || e->node_chips < c->least_node ? e->node_chips : c->least_node;
}

static struct check_site *site_named(struct checker *c, const struct uuid *id)
{
    uint32_t i = site_find(c, id);
    if (i == NONE)
        accepted(c, NULL, NULL, "something about a site that is not there");
    return i == NONE ? NULL : &c->site[i];
}

static void site_signal(struct checker *c, const struct event *event)
{
    struct check_site *site = site_named(c, &event->u.site_signal.site);
    if (!site)
        return;
    site->pue = event->u.site_signal.pue;
    site->price = event->u.site_signal.price;
    site->carbon = event->u.site_signal.carbon;
    c->power = true;
}

static void pool_price(struct checker *c, const struct event *event)
{
    uint32_t i = checker_pool_find(c, &event->u.pool_price.pool);
    if (i == NONE)
        accepted(c, NULL, &event->u.pool_price.pool, "a price of a pool that is not there");
    else
        c->pool[i].price = event->u.pool_price.price;
}

static void site_cap(struct checker *c, const struct event *event)
{
    struct check_site *site = site_named(c, &event->u.site_cap.site);
    if (site)
        site->cap = event->u.site_cap.watts;
    c->power = true;
}

static void node_doom(struct checker *c, uint32_t i)
{
    if (!c->node[i].doomed)
        c->doomed[c->ndoomed++] = i;
    c->node[i].doomed = true;
}

static void site_engine(struct checker *c, const struct event *event)
{
    struct check_site *site = site_named(c, &event->u.site_engine.site);
    if (!site)
        return;
    c->stale |= site->isolation != event->u.site_engine.isolation;
    site->isolation = event->u.site_engine.isolation;
}

static void site_state(struct checker *c, const struct event *event)
{
    bool contact = event->kind == EVENT_KIND_site_contact;
    struct check_site *site =
        site_named(c, contact ? &event->u.site_contact.site : &event->u.site_state.site);
    if (!site)
        return;
    if (contact)
        site->away = event->u.site_contact.lost;
    else
        site->set_state = event->u.site_state.state;
    uint32_t state = site->away ? PLACE_LOST : site->set_state;
    if (contact && !site->away) { /* those that were let run are judged again */
        checker_rules_again(c);
        c->power = true;
    }
    c->stale |= (site->state == PLACE_UP) != (state == PLACE_UP);
    site->state = state;
    bool gives_up = state == PLACE_LOST || state == PLACE_DRAINING;
    for (uint32_t p = 0; p < c->npools && gives_up; p++) {
        const struct check_pool *pool = &c->pool[p];
        for (uint32_t n = 0; n < pool->nodes && &c->site[pool->site] == site; n++)
            node_doom(c, pool->first + n);
    }
}

static void node_state(struct checker *c, const struct event *event)
{
    const struct event_node_state *e = &event->u.node_state;
    uint32_t p = checker_pool_find(c, &e->pool);
    if (p == NONE || e->node >= c->pool[p].nodes) {
        accepted(c, NULL, &e->pool, "the state of a node that is not there");
        return;
    }
    const struct check_pool *pool = &c->pool[p];
    struct check_node *node = &c->node[pool->first + e->node];
    uint64_t idle = (uint64_t)pool->node_chips * c->chip[pool->chip].told.idle_watts;
    if (node->state == PLACE_UP && e->state != PLACE_UP)
        c->site[pool->site].load -= idle;
    if (node->state != PLACE_UP && e->state == PLACE_UP)
        c->site[pool->site].load += idle;
    checker_node_up(c, pool->first + e->node, e->state == PLACE_UP);
    node->state = (uint8_t)e->state;
    c->power = true;
    if (e->state == PLACE_LOST)
        node_doom(c, pool->first + e->node);
}

/* ---- jobs ---- */

uint32_t checker_job_find(const struct checker *c, const struct uuid *id)
{
    return map_get(&c->job_map, id, sizeof *id);
}

/* False: it names what is not there, or wants nothing. */
static bool request_read(const struct checker *c, const struct event_job_submit *e, struct check_request *out)
{
    const struct {
        const char *chip;
        uint32_t count, rate;
    } asked[CHECKER_ALTERNATIVES] = {{e->chip0, e->count0, e->rate0},
                                     {e->chip1, e->count1, e->rate1},
                                     {e->chip2, e->count2, e->rate2},
                                     {e->chip3, e->count3, e->rate3}};
    memset(out, 0, sizeof *out);
    out->site = uuid_zero(&e->site) ? NONE : site_find(c, &e->site);
    out->one_domain = (e->flags & JOB_ONE_DOMAIN) != 0;
    out->isolation = job_isolation(e->flags);
    out->source = e->data_bytes > 0 ? site_find(c, &e->data_site) : NONE;
    memcpy(out->jurisdiction, e->jurisdiction, sizeof out->jurisdiction);
    memcpy(out->vendor, e->vendor, sizeof out->vendor);
    for (uint32_t i = 0; i < CHECKER_ALTERNATIVES && asked[i].count > 0; i++) {
        out->count[i] = asked[i].count;
        out->rate[i] = asked[i].rate;
        out->chip[i] = asked[i].chip[0] ? chip_find(c, asked[i].chip) : NONE;
        if (asked[i].chip[0] && out->chip[i] == NONE)
            return false;
    }
    return e->count0 > 0 && (uuid_zero(&e->site) || out->site != NONE) &&
           (e->data_bytes == 0 || out->source != NONE);
}

static uint32_t ask_of(struct checker *c, const struct check_request *request)
{
    uint32_t i = map_get(&c->ask_map, request, sizeof *request);
    if (i != MAP_NONE || !has_room(c, c->nasks, 1, c->limits.asks, "different requests"))
        return i;
    i = c->nasks++;
    c->ask[i] = (struct check_ask){.class = NONE};
    memcpy(&c->ask[i].request, request, sizeof *request);
    map_put(&c->ask_map, request, sizeof *request, i);
    return i;
}

uint32_t checker_job_new(struct checker *c, const struct event_job_submit *e)
{
    struct check_request request;
    if (checker_job_find(c, &e->job) != NONE || !request_read(c, e, &request)) {
        accepted(c, &e->job, NULL, "a job that is there, or that names what is not");
        return NONE;
    }
    uint32_t ask = ask_of(c, &request);
    if (ask == NONE || !has_room(c, c->waiting + c->running, 1, c->limits.jobs, "jobs"))
        return NONE;
    uint32_t i = c->free_job;
    if (i != NONE)
        c->free_job = c->job[i].in_heap;
    else
        i = c->njobs++;
    c->job[i] = (struct check_job){.id = e->job,
                                   .sequence = ++c->sequence,
                                   .duration_ms = e->duration_ms,
                                   .ask = ask,
                                   .pool = NONE,
                                   .shares = NONE,
                                   .in_heap = NONE,
                                   .tenant = checker_tenant_find(c, &e->tenant),
                                   .data_site = site_find(c, &e->data_site),
                                   .kind = e->kind,
                                   .data_bytes = e->data_bytes,
                                   .start_by_ms = e->start_by_ms,
                                   .deadline_ms = e->deadline_ms,
                                   .state = CHECK_WAITS,
                                   .after = {.before = NONE},
                                   .array = NONE,
                                   .priority = (int32_t)e->priority,
                                   .stopped_ms = INT64_MIN,
                                   .firm = !(e->flags & JOB_INTERRUPTIBLE),
                                   .finish = (e->flags & JOB_FINISH) != 0,
                                   .checkpoint_ms = e->checkpoint_ms,
                                   .checkpoint_every_ms = e->checkpoint_every_ms};
    memcpy(c->job[i].data_class, e->data_class, sizeof c->job[i].data_class);
    map_put(&c->job_map, &e->job, sizeof e->job, i);
    c->waiting++;
    checker_rank(c, &c->job[i]);
    return i;
}

void checker_job_put(struct checker *c, const struct event_job_submit *e)
{
    uint32_t i = checker_job_new(c, e);
    if (i != NONE)
        checker_order_enter(c, i);
}

static void job_submit(struct checker *c, const struct event *event)
{
    checker_job_put(c, &event->u.job_submit);
}

void checker_job_forget(struct checker *c, uint32_t i)
{
    struct check_job *job = &c->job[i];
    assert(job->state == CHECK_WAITS);
    checker_order_leave(c, i);
    checker_replica_over(c, i);
    checker_follow_over(c, i);
    map_remove(&c->job_map, &job->id, sizeof job->id);
    c->over[c->nover++ % CHECKER_OVER] = job->id;
    job->state = CHECK_FREE;
    job->in_heap = c->free_job;
    c->free_job = i;
    c->waiting--;
}

static void share_free(struct checker *c, uint32_t i)
{
    struct check_share *s = &c->share[i];
    if (s->prev_on_node != NONE)
        c->share[s->prev_on_node].next_on_node = s->next_on_node;
    else
        c->node[s->node].shares = s->next_on_node;
    if (s->next_on_node != NONE)
        c->share[s->next_on_node].prev_on_node = s->prev_on_node;
    s->next_of_job = c->free_share;
    c->free_share = i;
}

void checker_job_release(struct checker *c, uint32_t i)
{
    struct check_job *job = &c->job[i];
    assert(job->state == CHECK_RUNS);
    const struct check_pool *pool = &c->pool[job->pool];
    for (uint32_t s = job->shares, next; s != NONE; s = next) {
        struct check_share *share = &c->share[s];
        next = share->next_of_job;
        c->node[share->node].used -= share->chips;
        c->site[pool->site].load -= checker_watts(c, pool, share->chips);
        checker_count_share(c, share, false);
        share_free(c, s);
    }
    checker_transit_drop(c, i);
    c->site[pool->site].running--;
    checker_count_job(c, i, false);
    checker_follow_stopped(c, i);
    job->shares = NONE;
    job->pool = NONE;
    job->in_heap = NONE;
    job->state = CHECK_WAITS;
    c->running--;
    c->waiting++;
}

static void job_cancel(struct checker *c, const struct event *event)
{
    uint32_t i = checker_job_find(c, &event->u.job_cancel.job);
    if (i == NONE && checker_array_cancel(c, &event->u.job_cancel.job))
        return;
    if (i == NONE)
        accepted(c, &event->u.job_cancel.job, NULL, "the cancellation of a job that is not there");
    else if (c->job[i].state == CHECK_RUNS)
        c->job[i].cancelled = true; /* its stop must come with the effects */
    else
        checker_job_forget(c, i);
}

/* The job that a site tells something of; NONE: it may not, and that is told. */
static uint32_t reported(struct checker *c, const struct uuid *job, uint32_t epoch, const struct uuid *site)
{
    uint32_t i = checker_job_find(c, job);
    if (i == NONE || c->job[i].state != CHECK_RUNS || c->job[i].epoch != epoch) {
        accepted(c, job, NULL, "a report of a job that does not run under this epoch");
        return NONE;
    }
    if (!uuid_zero(site) && c->pool[c->job[i].pool].site != site_find(c, site))
        accepted(c, job, NULL, "a report by another site than the job's");
    return i;
}

static void job_end(struct checker *c, const struct event *event)
{
    const struct event_job_end *e = &event->u.job_end;
    uint32_t i = reported(c, &e->job, e->epoch, &e->site);
    if (i == NONE)
        return;
    c->job[i].well = e->code == 0;
    checker_job_release(c, i);
    checker_job_forget(c, i);
}

static void job_return(struct checker *c, const struct event *event)
{
    const struct event_job_return *e = &event->u.job_return;
    uint32_t i = reported(c, &e->job, e->epoch, &e->site);
    if (e->code == 0)
        accepted(c, &e->job, NULL, "a job that came back for no reason");
    if (i == NONE)
        return;
    c->job[i].returned = true; /* as when it is cancelled */
    c->job[i].returns++;
}

static void dispatch_set(struct checker *c, const struct event *event)
{
    c->order = event->u.dispatch_set.order;
    c->fit = event->u.dispatch_set.fit;
    c->carbon_price = event->u.dispatch_set.carbon_price;
    c->preempt = event->u.dispatch_set.preempt;
    c->reserve = event->u.dispatch_set.reserve;
    c->stale = true;
}

/* ---- events ---- */

void checker_apply(struct checker *c, const struct event *event)
{
    typedef void apply_fn(struct checker *, const struct event *);
    static apply_fn *const table[EVENT_KIND_END] = {
        [EVENT_KIND_site_add] = site_add,
        [EVENT_KIND_chip_add] = chip_add,
        [EVENT_KIND_pool_add] = pool_add,
        [EVENT_KIND_pool_price] = pool_price,
        [EVENT_KIND_corridor_add] = checker_corridor_add,
        [EVENT_KIND_corridor_state] = checker_corridor_state,
        [EVENT_KIND_site_signal] = site_signal,
        [EVENT_KIND_site_cap] = site_cap,
        [EVENT_KIND_site_shed] = checker_shed,
        [EVENT_KIND_site_state] = site_state,
        [EVENT_KIND_site_contact] = site_state,
        [EVENT_KIND_site_engine] = site_engine,
        [EVENT_KIND_node_state] = node_state,
        [EVENT_KIND_dispatch_set] = dispatch_set,
        [EVENT_KIND_job_submit] = job_submit,
        [EVENT_KIND_job_array] = checker_job_array,
        [EVENT_KIND_job_cancel] = job_cancel,
        [EVENT_KIND_job_end] = job_end,
        [EVENT_KIND_job_return] = job_return,
        [EVENT_KIND_tenant_add] = checker_tenant_add,
        [EVENT_KIND_rules_put] = checker_rules_put,
        [EVENT_KIND_rules_set] = checker_rules_set,
        [EVENT_KIND_service_set] = checker_service_set,
        [EVENT_KIND_service_remove] = checker_service_remove,
        [EVENT_KIND_service_demand] = checker_service_demand,
        [EVENT_KIND_plan_class] = checker_plan_class,
        [EVENT_KIND_plan_rent] = checker_plan_rent,
        [EVENT_KIND_plan_set] = checker_plan_set,
    };
    if (event->kind < EVENT_KIND_END && table[event->kind])
        table[event->kind](c, event);
}
