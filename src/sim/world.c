/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/kinds.h"
#include "network/netfile.h"
#include "sim/duration.h"
#include "sim/ends.h"

struct drill {
    int64_t at_ms;
    char vendor[NAME_CAP]; /* or */
    char site[NAME_CAP];
    uint64_t watts; /* that the site sheds, 0: what is named is lost */
    int64_t for_ms;
};

/* A thing that may fail: a site, or a node of a pool. */
struct part {
    struct uuid id; /* of the site or the pool */
    uint32_t node;  /* UINT32_MAX: a site */
    bool down;
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
    struct drill drill[WORLD_DRILLS_MAX];
    uint32_t ndrills;
    uint32_t drill_part; /* next part of the drill that happens now */
};

static struct uuid pool_site(uint32_t i)
{
    char name[16];
    (void)snprintf(name, sizeof name, "site-%u", i);
    return net_uuid("site", name);
}

/* ---- drills ---- */

/* 20MW: watts. */
static int read_watts(const char *text, size_t len, uint64_t *watts)
{
    static const struct {
        const char *word;
        uint64_t watts;
    } units[] = {{"W", 1}, {"kW", 1000}, {"MW", 1000000}};
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (*text < '0' || *text > '9' || n == 0 || n > 1000000 || (size_t)(end - text) > len ||
            !text_eq(end, len - (size_t)(end - text), units[i].word, strlen(units[i].word)))
            continue;
        *watts = n * units[i].watts;
        return 0;
    }
    return ERR_INVALID;
}

/* shed:site=NAME:20MW@TIME+TIME, from the name on. */
static int read_shed(struct world *w, const char *name, struct err *err)
{
    struct drill *d = &w->drill[w->ndrills];
    const char *colon = strchr(name, ':'), *at = strchr(name, '@'), *plus = at ? strchr(at, '+') : NULL;
    char from[32];
    bool whole = colon && colon > name && (size_t)(colon - name) < NAME_CAP && at > colon && plus &&
                 (size_t)(plus - at) <= sizeof from;
    if (whole)
        (void)snprintf(from, sizeof from, "%.*s", (int)(plus - at - 1), at + 1);
    if (!whole || read_watts(colon + 1, (size_t)(at - colon - 1), &d->watts) != 0 ||
        duration_read(from, &d->at_ms) != 0 || duration_read(plus + 1, &d->for_ms) != 0 || d->for_ms == 0)
        return err_set(
            err, ERR_INVALID,
            "--drill shed:site=%s: expected shed:site=NAME:WATTS@TIME+TIME, WATTS as 20MW, TIME as 36h",
            name);
    memcpy(d->site, name, (size_t)(colon - name));
    d->at_ms += w->options.start_ms;
    w->ndrills++;
    return 0;
}

static int read_drill(struct world *w, const char *text, struct err *err)
{
    if (strncmp(text, "shed:site=", 10) == 0)
        return read_shed(w, text + 10, err);
    struct drill *d = &w->drill[w->ndrills];
    const char *at = strchr(text, '@');
    const char *what = strncmp(text, "lose:", 5) == 0 ? text + 5 : "";
    char *dst = strncmp(what, "vendor=", 7) == 0 ? d->vendor
                : strncmp(what, "site=", 5) == 0 ? d->site
                                                 : NULL;
    const char *name = dst == d->vendor ? what + 7 : what + 5;
    if (!dst || !at || at <= name || (size_t)(at - name) >= NAME_CAP || duration_read(at + 1, &d->at_ms) != 0)
        return err_set(err, ERR_INVALID,
                       "--drill %s: expected lose:vendor=NAME@TIME, lose:site=NAME@TIME or "
                       "shed:site=NAME:WATTS@TIME+TIME, TIME as 36h, WATTS as 20MW",
                       text);
    memcpy(dst, name, (size_t)(at - name));
    d->at_ms += w->options.start_ms;
    w->ndrills++;
    return 0;
}

static int read_drills(struct world *w, struct err *err)
{
    char text[256];
    int rc = 0;
    const char *at = w->options.drills ? w->options.drills : "";
    while (rc == 0 && *at) {
        size_t len = strcspn(at, ",");
        if (w->ndrills == WORLD_DRILLS_MAX || len >= sizeof text)
            return err_set(err, ERR_LIMIT, "--drill: too many or too long");
        memcpy(text, at, len);
        text[len] = 0;
        rc = read_drill(w, text, err);
        at += len + (at[len] == ',');
    }
    for (uint32_t i = 1; rc == 0 && i < w->ndrills; i++) {
        if (w->drill[i].at_ms < w->drill[i - 1].at_ms)
            rc = err_set(err, ERR_INVALID, "--drill: name them in order of time");
    }
    return rc;
}

static bool drill_hits(const struct world *w, const struct drill *d, const struct part *part)
{
    for (uint32_t i = 0; i < netfile_sites(w->net) && d->site[0]; i++) {
        const struct net_site *site = netfile_site(w->net, i);
        if (strcmp(site->name, d->site) == 0)
            return part->node == UINT32_MAX && uuid_eq(&part->id, &site->uuid);
    }
    for (uint32_t i = 0; i < netfile_pools(w->net) && d->vendor[0]; i++) {
        const struct net_pool *pool = netfile_pool(w->net, i);
        if (part->node != UINT32_MAX && uuid_eq(&part->id, &pool->uuid))
            return strcmp(netfile_chip(w->net, pool->chip)->vendor, d->vendor) == 0;
    }
    return false;
}

static bool drill_names_something(const struct world *w, const struct drill *d)
{
    for (uint32_t i = 0; i < w->nparts; i++) {
        if (drill_hits(w, d, &w->part[i]))
            return true;
    }
    return false;
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

/* Sites and nodes of the start, which may fail. */
static int list_parts(struct world *w, struct err *err)
{
    w->part = calloc(w->sizes.sites + w->sizes.nodes + 1u, sizeof *w->part);
    if (!w->part)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < netfile_sites(w->net); i++)
        w->part[w->nparts++] = (struct part){.id = netfile_site(w->net, i)->uuid, .node = UINT32_MAX};
    for (uint32_t i = 0; i < netfile_pools(w->net); i++) {
        const struct net_pool *pool = netfile_pool(w->net, i);
        for (uint32_t n = 0; pool->from_ms == INT64_MIN && n < pool->nodes; n++)
            w->part[w->nparts++] = (struct part){.id = pool->uuid, .node = n};
    }
    for (uint32_t i = 0; i < w->ndrills; i++) {
        if (!drill_names_something(w, &w->drill[i]))
            return err_set(err, ERR_NOT_FOUND, "--drill: the network has no %s %s",
                           w->drill[i].site[0] ? "site" : "vendor",
                           w->drill[i].site[0] ? w->drill[i].site : w->drill[i].vendor);
    }
    return 0;
}

/* The part fails, or comes back, some time around the mean from now on. */
static bool arm(struct world *w, uint32_t i, int64_t now_ms)
{
    const struct part *part = &w->part[i];
    bool site = part->node == UINT32_MAX;
    int64_t mean = part->down ? (site ? SITE_DOWN_MS : NODE_DOWN_MS) : (site ? SITE_UP_MS : NODE_UP_MS);
    return ends_put(&w->faults, now_ms + 1 + (int64_t)rng_below(&w->rng, (uint64_t)(2 * mean)), i, 0);
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
        rc = read_drills(w, err);
    if (rc == 0 && w->net)
        rc = list_parts(w, err);
    for (uint32_t i = 0; rc == 0 && options->faults && i < w->nparts; i++) {
        if (!arm(w, i, options->start_ms))
            rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    w->signal_ms = w->net ? (options->start_ms / WORLD_HOUR_MS + 1) * WORLD_HOUR_MS : INT64_MAX;
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

uint32_t world_chips(const struct world *w)
{
    return w->chips;
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
    if (w->ndrills > 0 && w->drill[0].at_ms < next)
        next = w->drill[0].at_ms;
    return next;
}

static void state_event(const struct part *part, uint32_t state, struct event *out)
{
    if (part->node == UINT32_MAX)
        *out =
            (struct event){.kind = EVENT_KIND_site_state, .u.site_state = {.site = part->id, .state = state}};
    else
        *out = (struct event){.kind = EVENT_KIND_node_state,
                              .u.node_state = {.pool = part->id, .node = part->node, .state = state}};
}

static bool drill_event(struct world *w, struct event *out)
{
    while (w->drill_part < w->nparts) {
        struct part *part = &w->part[w->drill_part++];
        if (!drill_hits(w, &w->drill[0], part))
            continue;
        const struct drill *d = &w->drill[0];
        if (d->watts > 0) {
            *out = (struct event){
                .kind = EVENT_KIND_site_shed,
                .u.site_shed = {.site = part->id, .watts = d->watts, .until_ms = d->at_ms + d->for_ms}};
            return true;
        }
        part->down = true;
        state_event(part, PLACE_LOST, out);
        return true;
    }
    w->drill_part = 0;
    memmove(w->drill, w->drill + 1, --w->ndrills * sizeof *w->drill);
    return false;
}

bool world_event(struct world *w, int64_t now_ms, struct event *out, bool *drill)
{
    look_ahead(w);
    *drill = false;
    if (w->net && w->dated_ms <= now_ms) {
        *out = w->dated_event;
        w->have_dated = false;
        return true;
    }
    if (w->signal_ms <= now_ms) {
        *out = (struct event){.kind = EVENT_KIND_site_signal};
        netfile_signal(w->net, w->signal_site, now_ms, &out->u.site_signal);
        if (++w->signal_site == netfile_sites(w->net)) {
            w->signal_site = 0;
            w->signal_ms += WORLD_HOUR_MS;
        }
        return true;
    }
    if (ends_next_ms(&w->faults) <= now_ms) {
        uint32_t i = ends_take(&w->faults).job;
        w->part[i].down = !w->part[i].down;
        state_event(&w->part[i], w->part[i].down ? PLACE_LOST : PLACE_UP, out);
        return arm(w, i, now_ms);
    }
    while (w->ndrills > 0 && w->drill[0].at_ms <= now_ms) {
        *drill = true;
        if (drill_event(w, out))
            return true;
    }
    return false;
}

int world_queue_site(const struct world *w, const char *queue, struct uuid *out, struct err *err)
{
    *out = (struct uuid){{0}};
    for (uint32_t i = 0; i < w->pools.n; i++) {
        if (strcmp(w->pools.name[i], queue) == 0)
            *out = pool_site(i);
    }
    if (!w->net && uuid_zero(out))
        return err_set(err, ERR_INVALID, "queue %s has no pool in %s", queue, w->options.pools);
    return 0;
}
