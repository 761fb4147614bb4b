/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/kinds.h"
#include "network/netfile.h"
#include "sim/ends.h"

enum part_kind { PART_SITE, PART_NODE, PART_CORRIDOR };
/* A thing that may fail. It is up if its file says so, it has not failed, and no drill holds it down. */
struct part {
    enum part_kind kind;
    struct uuid id; /* of the site, the pool, the corridor */
    uint32_t index; /* of it in the network's file */
    uint32_t node;
    uint32_t state; /* as the file has it now, enum place_state */
    uint64_t bits_s;
    uint32_t held; /* by so many drills */
    bool failed;
};

struct world {
    struct world_options options;
    struct netfile *net;
    struct trace_pools pools;
    struct limits sizes;
    uint32_t chips;
    uint32_t signal_site; /* next one at signal_ms */
    int64_t signal_ms;
    uint32_t dated;
    bool have_dated;
    int64_t dated_ms;
    struct event dated_event;
    struct rng rng;
    struct part *part;
    uint32_t nparts;
    struct ends faults; /* `job` is the index of a part */
    struct drills drills;
    struct ends moments; /* `job` is the index of a drill; epoch 0: it begins, 1: it ends */
    bool on[DRILLS_MAX];
    uint32_t drilled; /* next part, or site, of the moment that happens now */
};

static struct uuid pool_site(uint32_t i)
{
    char name[16];
    (void)snprintf(name, sizeof name, "site-%u", i);
    return net_uuid("site", name);
}

/* ---- opening ---- */

static int open_pools(struct world *w, struct err *err)
{
    int rc = trace_read_pools(&w->pools, w->options.pools, err);
    for (uint32_t i = 0; rc == 0 && i < w->pools.n; i++) {
        w->sizes.nodes += w->pools.nodes[i];
        w->chips += w->pools.nodes[i] * w->options.node_chips;
        if (w->pools.nodes[i] > NET_POOL_NODES_MAX)
            rc = err_set(err, ERR_LIMIT, "%s: a pool has more than %d nodes", w->options.pools,
                         NET_POOL_NODES_MAX);
    }
    w->sizes.sites = w->sizes.pools = w->pools.n;
    w->sizes.chips = 1;
    return rc;
}

static int open_network(struct world *w, struct err *err)
{
    struct problems problems;
    problems_init(&problems);
    int rc = netfile_load(&w->net, w->options.network, &problems);
    if (rc != 0)
        err_set(err, rc, "%s: %s; `busbar network check` tells more", w->options.network, err_text(rc));
    problems_fini(&problems);
    if (rc != 0)
        return rc;
    int64_t from, until;
    if (!w->options.start_given && netfile_period(w->net, &from, &until))
        w->options.start_ms = from;
    w->sizes.sites = netfile_sites(w->net);
    w->sizes.chips = netfile_chips(w->net);
    w->sizes.pools = netfile_pools(w->net);
    w->sizes.corridors = netfile_corridors(w->net);
    for (uint32_t i = 0; i < w->sizes.pools; i++) {
        const struct net_pool *pool = netfile_pool(w->net, i);
        w->sizes.nodes += pool->nodes;
        w->chips += pool->nodes * (uint32_t)pool->node_chips.v;
    }
    return 0;
}

/* Sites, nodes of the start and corridors, which may fail. */
static int list_parts(struct world *w, struct err *err)
{
    w->part = calloc(w->sizes.sites + w->sizes.nodes + w->sizes.corridors + 1u, sizeof *w->part);
    if (!w->part)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < netfile_sites(w->net); i++)
        w->part[w->nparts++] = (struct part){
            .kind = PART_SITE, .id = netfile_site(w->net, i)->uuid, .index = i, .state = PLACE_UP};
    for (uint32_t i = 0; i < netfile_pools(w->net); i++) {
        const struct net_pool *pool = netfile_pool(w->net, i);
        for (uint32_t n = 0; pool->from_ms == INT64_MIN && n < pool->nodes; n++)
            w->part[w->nparts++] =
                (struct part){.kind = PART_NODE, .id = pool->uuid, .index = i, .node = n, .state = PLACE_UP};
    }
    for (uint32_t i = 0; i < netfile_corridors(w->net); i++) {
        const struct net_corridor *c = netfile_corridor(w->net, i);
        w->part[w->nparts++] = (struct part){.kind = PART_CORRIDOR,
                                             .id = c->uuid,
                                             .index = i,
                                             .state = PLACE_UP,
                                             .bits_s = (uint64_t)c->gbit_s.v * 1000000};
    }
    return drills_check(&w->drills, w->net, err);
}

/* The part fails, or comes back, some time around the mean from now on. */
static bool arm(struct world *w, uint32_t i, int64_t now_ms)
{
    static const int64_t means[][2] = {[PART_SITE] = {SITE_UP_MS, SITE_DOWN_MS},
                                       [PART_NODE] = {NODE_UP_MS, NODE_DOWN_MS},
                                       [PART_CORRIDOR] = {CORRIDOR_UP_MS, CORRIDOR_DOWN_MS}};
    int64_t mean = means[w->part[i].kind][w->part[i].failed];
    return ends_put(&w->faults, now_ms + 1 + (int64_t)rng_below(&w->rng, (uint64_t)(2 * mean)), i, 0);
}

/* When each drill begins and ends. */
static bool plan_drills(struct world *w)
{
    bool good = true;
    for (uint32_t i = 0; i < w->drills.n; i++) {
        const struct drill *d = &w->drills.list[i];
        good &= ends_put(&w->moments, d->at_ms, i, 0);
        if (d->until_ms != INT64_MAX)
            good &= ends_put(&w->moments, d->until_ms, i, 1);
    }
    return good;
}

int world_open(struct world **out, const struct world_options *options, struct err *err)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    w->options = *options;
    rng_init(&w->rng, options->seed);
    int rc = options->network ? open_network(w, err) : open_pools(w, err);
    if (rc == 0 && !w->net && (options->faults || options->drills))
        rc = err_set(err, ERR_INVALID, "faults and drills need --network");
    if (rc == 0)
        rc = drills_read(&w->drills, options->drills, w->options.start_ms, err);
    if (rc == 0 && w->net)
        rc = list_parts(w, err);
    bool good = plan_drills(w);
    for (uint32_t i = 0; rc == 0 && options->faults && i < w->nparts; i++)
        good &= arm(w, i, w->options.start_ms);
    if (rc == 0 && !good)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    w->signal_ms = w->net ? (w->options.start_ms / HOUR_MS + 1) * HOUR_MS : INT64_MAX;
    if (rc == 0) {
        *out = w;
        return 0;
    }
    world_free(w);
    return rc;
}

void world_free(struct world *w)
{
    if (!w)
        return;
    netfile_free(w->net);
    trace_pools_free(&w->pools);
    ends_fini(&w->faults);
    ends_fini(&w->moments);
    free(w->part);
    free(w);
}

void world_limits(const struct world *w, struct limits *limits)
{
    limits->sites = w->sizes.sites + 1;
    limits->chips = w->sizes.chips + 1;
    limits->pools = w->sizes.pools + 1;
    limits->corridors = w->sizes.corridors + 1;
    limits->nodes = w->sizes.nodes + 64;
    limits->shares = 2 * w->chips + 16 * 1024;
}

int64_t world_start_ms(const struct world *w)
{
    return w->options.start_ms;
}

int64_t world_until_ms(const struct world *w)
{
    int64_t from, until;
    return w->net && netfile_period(w->net, &from, &until) ? until : 0;
}

const struct netfile *world_network(const struct world *w)
{
    return w->net;
}

const struct drills *world_drills(const struct world *w)
{
    return &w->drills;
}

const char *world_title(const struct world *w, const char *site)
{
    for (uint32_t i = 0; w->net && i < netfile_sites(w->net); i++) {
        const struct net_site *s = netfile_site(w->net, i);
        if (strcmp(s->name, site) == 0)
            return s->title[0] ? s->title : s->name;
    }
    for (uint32_t i = 0; i < w->pools.n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "site-%u", i);
        if (strcmp(name, site) == 0)
            return w->pools.name[i];
    }
    return site;
}

void world_jurisdiction(const struct world *w, uint64_t seed, uint32_t i, char out[CODE_CAP])
{
    struct rng rng;
    memset(out, 0, CODE_CAP);
    if (!w->net || w->chips == 0)
        return;
    rng_init(&rng, seed ^ UINT64_C(3) << 32 ^ i);
    uint64_t chip = rng_below(&rng, w->chips);
    for (uint32_t p = 0; p < netfile_pools(w->net); p++) {
        const struct net_pool *pool = netfile_pool(w->net, p);
        uint64_t chips = pool->nodes * (uint64_t)pool->node_chips.v;
        if (chip < chips) {
            memcpy(out, netfile_site(w->net, pool->site)->jurisdiction, CODE_CAP);
            return;
        }
        chip -= chips;
    }
}

/* ---- events ---- */

bool world_setup(const struct world *w, uint32_t i, struct event *out)
{
    if (w->net) {
        if (i >= netfile_events(w->net, w->options.start_ms))
            return false;
        netfile_event(w->net, i, w->options.start_ms, out);
        return true;
    }
    *out = (struct event){.kind = EVENT_KIND_chip_add,
                          .u.chip_add = {.chip = "chip", .vendor = "any", .watts = 1000, .gflops = 1}};
    if (i == 0)
        return true;
    uint32_t p = (i - 1) / 2;
    if (p >= w->pools.n)
        return false;
    struct uuid site = pool_site(p);
    if (i % 2) {
        *out = (struct event){.kind = EVENT_KIND_site_add, .u.site_add.site = site};
        (void)snprintf(out->u.site_add.name, NAME_CAP, "site-%u", p);
        return true;
    }
    *out = (struct event){.kind = EVENT_KIND_pool_add,
                          .u.pool_add = {.pool = net_uuid("pool", w->pools.name[p]),
                                         .site = site,
                                         .chip = "chip",
                                         .nodes = w->pools.nodes[p],
                                         .node_chips = w->options.node_chips,
                                         .domain = 1}};
    return true;
}

/* Looks at the next dated change, once. */
static void look_ahead(struct world *w)
{
    if (w->have_dated || !w->net)
        return;
    w->have_dated = true;
    if (!netfile_dated(w->net, &w->dated, &w->dated_ms, &w->dated_event))
        w->dated_ms = INT64_MAX;
    else if (w->dated_ms < w->options.start_ms)
        w->dated_ms = w->options.start_ms;
}

int64_t world_next_ms(struct world *w)
{
    look_ahead(w);
    int64_t next = w->signal_ms;
    if (w->net && w->dated_ms < next)
        next = w->dated_ms;
    if (ends_next_ms(&w->faults) < next)
        next = ends_next_ms(&w->faults);
    if (ends_next_ms(&w->moments) < next)
        next = ends_next_ms(&w->moments);
    return next;
}

/* What holds at a site now, with the drills that are on. */
static void signal_event(const struct world *w, uint32_t site, int64_t now_ms, struct event *out)
{
    *out = (struct event){.kind = EVENT_KIND_site_signal};
    netfile_signal(w->net, site, now_ms, &out->u.site_signal);
    for (uint32_t i = 0; i < w->drills.n; i++) {
        if (w->on[i] && drill_of_site(&w->drills.list[i], w->net, site))
            drill_signal(&w->drills.list[i], netfile_site(w->net, site), &out->u.site_signal);
    }
}

/* The state of the part, all told. */
static void state_event(const struct part *part, struct event *out)
{
    uint32_t state = part->state == PLACE_UP && (part->failed || part->held > 0) ? PLACE_LOST : part->state;
    *out = (struct event){0};
    switch (part->kind) {
    case PART_SITE:
        out->kind = EVENT_KIND_site_state;
        out->u.site_state = (struct event_site_state){.site = part->id, .state = state};
        break;
    case PART_NODE:
        out->kind = EVENT_KIND_node_state;
        out->u.node_state = (struct event_node_state){.pool = part->id, .node = part->node, .state = state};
        break;
    default:
        out->kind = EVENT_KIND_corridor_state;
        out->u.corridor_state =
            (struct event_corridor_state){.corridor = part->id, .state = state, .bits_s = part->bits_s};
        break;
    }
}

/* The part that a dated change is of; NULL: of none, or of one that was delivered later. */
static struct part *part_of(struct world *w, enum part_kind kind, const struct uuid *id, uint32_t node)
{
    for (uint32_t i = 0; i < w->nparts; i++) {
        struct part *part = &w->part[i];
        if (part->kind != kind || !uuid_eq(&part->id, id))
            continue;
        part += part->kind == PART_NODE ? node : 0; /* a pool's are side by side */
        return part;
    }
    return NULL;
}

/* What the file changes now. A part that has failed, or is held by a drill, stays down all the same. */
static void dated_event(struct world *w, int64_t now_ms, struct event *out)
{
    struct part *part = NULL;
    *out = w->dated_event;
    w->have_dated = false;
    if (out->kind == EVENT_KIND_site_signal) {
        for (uint32_t i = 0; i < netfile_sites(w->net); i++) {
            if (uuid_eq(&netfile_site(w->net, i)->uuid, &out->u.site_signal.site)) {
                signal_event(w, i, now_ms, out);
                return;
            }
        }
    } else if (out->kind == EVENT_KIND_site_state) {
        part = part_of(w, PART_SITE, &out->u.site_state.site, 0);
        if (part)
            part->state = out->u.site_state.state;
    } else if (out->kind == EVENT_KIND_node_state) {
        part = part_of(w, PART_NODE, &out->u.node_state.pool, out->u.node_state.node);
        if (part)
            part->state = out->u.node_state.state;
    } else if (out->kind == EVENT_KIND_corridor_state) {
        part = part_of(w, PART_CORRIDOR, &out->u.corridor_state.corridor, 0);
        if (part) {
            part->state = out->u.corridor_state.state;
            part->bits_s = out->u.corridor_state.bits_s;
        }
    }
    if (part)
        state_event(part, out);
}

static bool drill_hits(const struct world *w, const struct drill *d, const struct part *part)
{
    switch (part->kind) {
    case PART_SITE:
        return drill_of_site(d, w->net, part->index);
    case PART_NODE:
        return drill_of_pool(d, w->net, part->index);
    default:
        return drill_of_corridor(d, w->net, part->index);
    }
}

/* The next event of the drill's beginning or end; false when there is none more. */
static bool drill_event(struct world *w, const struct drill *d, bool begins, int64_t now_ms,
                        struct event *out)
{
    while (d->kind == DRILL_LOSE && w->drilled < w->nparts) {
        struct part *part = &w->part[w->drilled++];
        if (!drill_hits(w, d, part))
            continue;
        part->held += begins ? 1 : -1;
        state_event(part, out);
        return true;
    }
    while (d->kind != DRILL_LOSE && w->drilled < netfile_sites(w->net)) {
        uint32_t site = w->drilled++;
        if (!drill_of_site(d, w->net, site) || (d->kind == DRILL_SHED && !begins))
            continue;
        if (d->kind == DRILL_SHED)
            *out = (struct event){.kind = EVENT_KIND_site_shed,
                                  .u.site_shed = {.site = netfile_site(w->net, site)->uuid,
                                                  .watts = d->watts,
                                                  .until_ms = d->until_ms}};
        else
            signal_event(w, site, now_ms, out);
        return true;
    }
    w->drilled = 0;
    return false;
}

static bool moment_event(struct world *w, int64_t now_ms, struct event *out, bool *drill)
{
    while (ends_next_ms(&w->moments) <= now_ms) {
        struct end moment = w->moments.list[0];
        *drill = w->on[moment.job] = moment.epoch == 0;
        if (drill_event(w, &w->drills.list[moment.job], *drill, now_ms, out))
            return true;
        (void)ends_take(&w->moments);
    }
    *drill = false;
    return false;
}

bool world_event(struct world *w, int64_t now_ms, struct event *out, bool *drill)
{
    look_ahead(w);
    *drill = false;
    if (w->net && w->dated_ms <= now_ms) {
        dated_event(w, now_ms, out);
        return true;
    }
    if (w->signal_ms <= now_ms) {
        signal_event(w, w->signal_site, now_ms, out);
        if (++w->signal_site == netfile_sites(w->net)) {
            w->signal_site = 0;
            w->signal_ms += HOUR_MS;
        }
        return true;
    }
    if (ends_next_ms(&w->faults) <= now_ms) {
        uint32_t i = ends_take(&w->faults).job;
        w->part[i].failed = !w->part[i].failed;
        state_event(&w->part[i], out);
        return arm(w, i, now_ms);
    }
    return moment_event(w, now_ms, out, drill);
}

bool world_signal(const struct world *w, uint32_t i, int64_t at_ms, struct event_site_signal *out)
{
    if (!w->net || i >= netfile_sites(w->net))
        return false;
    netfile_signal(w->net, i, at_ms, out);
    return true;
}

int world_queue_site(const struct world *w, const char *queue, struct uuid *out, struct err *err)
{
    *out = (struct uuid){{0}};
    for (uint32_t i = 0; i < w->pools.n; i++) {
        if (strcmp(w->pools.name[i], queue) == 0)
            *out = pool_site(i);
    }
    for (uint32_t i = 0; w->net && i < netfile_sites(w->net); i++) {
        if (strcmp(netfile_site(w->net, i)->name, queue) == 0)
            *out = netfile_site(w->net, i)->uuid;
    }
    if (!w->net && uuid_zero(out))
        return err_set(err, ERR_INVALID, "queue %s has no pool in %s", queue, w->options.pools);
    return 0;
}
