/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a loaded network: its parts, and the events that they are to core. */
#include <assert.h>
#include <string.h>

#include "core/kinds.h"
#include "network/parts.h"

/* ---- parts ---- */

const char *netfile_about(const struct netfile *nf)
{
    return nf->about;
}

uint32_t netfile_sites(const struct netfile *nf)
{
    return nf->nsites;
}

const struct net_site *netfile_site(const struct netfile *nf, uint32_t i)
{
    assert(i < nf->nsites);
    return &nf->site[i].site;
}

uint32_t netfile_pools(const struct netfile *nf)
{
    return nf->npools;
}

const struct net_pool *netfile_pool(const struct netfile *nf, uint32_t i)
{
    assert(i < nf->npools);
    return &nf->pool[i].pool;
}

uint32_t netfile_corridors(const struct netfile *nf)
{
    return nf->ncorridors;
}

const struct net_corridor *netfile_corridor(const struct netfile *nf, uint32_t i)
{
    assert(i < nf->ncorridors);
    return &nf->corridor[i].corridor;
}

uint32_t netfile_chips(const struct netfile *nf)
{
    return nf->nchips;
}

const struct net_chip *netfile_chip(const struct netfile *nf, uint32_t i)
{
    assert(i < nf->nchips);
    return &nf->chip[i];
}

/* ---- each as an event; the event is zero but for its time ---- */

static void chip_event(const struct net_chip *chip, struct event *out)
{
    struct event_chip_add *e = &out->u.chip_add;
    out->kind = EVENT_KIND_chip_add;
    memcpy(e->chip, chip->name, sizeof e->chip);
    memcpy(e->vendor, chip->vendor, sizeof e->vendor);
    memcpy(e->origin, chip->origin, sizeof e->origin);
    e->watts = net_chip_watts(chip);
    e->idle_watts = (uint32_t)(((int64_t)e->watts * chip->idle_share.v + 500) / 1000);
    e->memory_mib = (uint32_t)((chip->memory_gib.v * 1024 + 500) / 1000);
    e->gflops = (uint64_t)chip->fp16_tflops.v;
    e->tpp = (uint32_t)chip->tpp.v;
    if (chip->die_mm2.v)
        e->density = (uint32_t)((chip->tpp.v * 1000 + chip->die_mm2.v / 2) / chip->die_mm2.v);
}

bool netfile_chip_event(const struct netfile *nf, const char *name, struct event *out)
{
    uint32_t i = net_find_chip(nf, name);
    if (i == NET_NONE)
        return false;
    *out = (struct event){.kind = EVENT_KIND_chip_add};
    chip_event(&nf->chip[i], out);
    return true;
}

static void site_event(const struct net_site *site, struct event *out)
{
    struct event_site_add *e = &out->u.site_add;
    out->kind = EVENT_KIND_site_add;
    e->site = site->uuid;
    memcpy(e->name, site->name, sizeof e->name);
    memcpy(e->jurisdiction, site->jurisdiction, sizeof e->jurisdiction);
    memcpy(e->region, site->region, sizeof e->region);
    memcpy(e->owner, site->owner, sizeof e->owner);
    e->lat = site->lat.v;
    e->lon = site->lon.v;
}

static void cap_event(const struct net_site *site, uint64_t watts, struct event *out)
{
    out->kind = EVENT_KIND_site_cap;
    out->u.site_cap = (struct event_site_cap){.site = site->uuid, .watts = watts};
}

static void pool_event(const struct netfile *nf, const struct net_pool *pool, struct event *out)
{
    struct event_pool_add *e = &out->u.pool_add;
    out->kind = EVENT_KIND_pool_add;
    e->pool = pool->uuid;
    e->site = nf->site[pool->site].site.uuid;
    memcpy(e->chip, nf->chip[pool->chip].name, sizeof e->chip);
    e->nodes = pool->nodes;
    e->node_chips = (uint32_t)pool->node_chips.v;
    e->domain = (uint32_t)pool->domain.v;
    e->price = pool->usd_chip_hour.v;
}

static void corridor_event(const struct netfile *nf, const struct net_corridor *c, struct event *out)
{
    struct event_corridor_add *e = &out->u.corridor_add;
    out->kind = EVENT_KIND_corridor_add;
    e->corridor = c->uuid;
    e->a = nf->site[c->a].site.uuid;
    e->b = nf->site[c->b].site.uuid;
    e->bits_s = (uint64_t)c->gbit_s.v * 1000000;
    e->rtt = (uint32_t)c->rtt_ms.v;
    e->price = c->usd_gb.v;
    e->energy = ((uint64_t)c->kwh_gb.v * 36 + 5) / 10; /* 1e-6 kWh are 3.6 J */
}

/* v beside another mean. */
static int64_t rescaled(int64_t v, int64_t mean, int64_t new_mean)
{
    if (mean == 0)
        return new_mean;
    __extension__ __int128 product = (__int128)v * new_mean;
    return (int64_t)(product / mean);
}

void netfile_signal(const struct netfile *nf, uint32_t site, int64_t at_ms, struct event_site_signal *out)
{
    assert(site < nf->nsites);
    const struct profile_hour *hour = profile_at(nf->profile[site], at_ms);
    int64_t price = hour->price, carbon = hour->carbon;
    for (uint32_t i = 0; i < nf->nsteps && nf->step[i].at_ms <= at_ms; i++) {
        const struct step *step = &nf->step[i];
        if (step->site != site)
            continue;
        if (figure_given(step->price))
            price = rescaled(hour->price, nf->price_mean[site], step->price.v);
        if (figure_given(step->carbon))
            carbon = rescaled(hour->carbon, nf->carbon_mean[site], step->carbon.v);
    }
    *out = (struct event_site_signal){.site = nf->site[site].site.uuid,
                                      .price = price,
                                      .carbon = (uint64_t)carbon,
                                      .pue = hour->pue,
                                      .renewable = hour->renewable};
}

/* ---- in order ---- */

/* Events of a site: itself, its cap, its signal, its pools. */
static uint32_t site_events(const struct net_site *site)
{
    return 2u + figure_given(site->cap_mw) + site->pools;
}

uint32_t netfile_events(const struct netfile *nf, int64_t at_ms)
{
    (void)at_ms; /* it is in what the events say, not in how many there are */
    uint32_t n = nf->ncorridors;
    for (uint32_t i = 0; i < nf->nchips; i++)
        n += nf->chip_used[i];
    for (uint32_t i = 0; i < nf->nsites; i++)
        n += site_events(&nf->site[i].site);
    return n;
}

static void nth_of_site(const struct netfile *nf, uint32_t site, uint32_t n, int64_t at_ms, struct event *out)
{
    const struct net_site *s = &nf->site[site].site;
    uint32_t capped = figure_given(s->cap_mw);
    if (n == 0) {
        site_event(s, out);
    } else if (capped && n == 1) {
        cap_event(s, (uint64_t)s->cap_mw.v, out);
    } else if (n == 1 + capped) {
        out->kind = EVENT_KIND_site_signal;
        netfile_signal(nf, site, at_ms, &out->u.site_signal);
    } else {
        pool_event(nf, &nf->pool[s->pool + n - 2 - capped].pool, out);
    }
}

void netfile_event(const struct netfile *nf, uint32_t i, int64_t at_ms, struct event *out)
{
    memset(out, 0, sizeof *out);
    out->at_ms = at_ms;
    for (uint32_t k = 0; k < nf->nchips; k++) {
        if (nf->chip_used[k] && i-- == 0) {
            chip_event(&nf->chip[k], out);
            return;
        }
    }
    for (uint32_t k = 0; k < nf->nsites; k++) {
        uint32_t n = site_events(&nf->site[k].site);
        if (i < n) {
            nth_of_site(nf, k, i, at_ms, out);
            return;
        }
        i -= n;
    }
    assert(i < nf->ncorridors);
    corridor_event(nf, &nf->corridor[i].corridor, out);
}

bool netfile_dated(const struct netfile *nf, uint32_t *pos, int64_t *at_ms, struct event *out)
{
    if (*pos >= nf->ndated)
        return false;
    const struct dated *d = &nf->dated[(*pos)++];
    memset(out, 0, sizeof *out);
    *at_ms = d->at_ms;
    out->at_ms = d->at_ms;
    out->kind = d->kind;
    switch (d->kind) {
    case EVENT_KIND_site_cap:
        cap_event(&nf->site[d->target].site, d->value, out);
        break;
    case EVENT_KIND_site_signal:
        netfile_signal(nf, d->target, d->at_ms, &out->u.site_signal);
        break;
    case EVENT_KIND_site_state:
        out->u.site_state =
            (struct event_site_state){.site = nf->site[d->target].site.uuid, .state = d->state};
        break;
    case EVENT_KIND_pool_add:
        pool_event(nf, &nf->pool[d->target].pool, out);
        break;
    case EVENT_KIND_node_state:
        out->u.node_state = (struct event_node_state){
            .pool = nf->pool[d->target].pool.uuid, .node = d->node, .state = d->state};
        break;
    case EVENT_KIND_corridor_state:
        out->u.corridor_state = (struct event_corridor_state){
            .corridor = nf->corridor[d->target].corridor.uuid, .state = d->state, .bits_s = d->value};
        break;
    default:
        assert(false);
    }
    return true;
}
