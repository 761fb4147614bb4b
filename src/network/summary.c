/* SPDX-License-Identifier: Apache-2.0 */
#include "network/summary.h"

#include <string.h>

#include "network/parts.h"

uint64_t net_site_watts(const struct net_site *site)
{
    return (site->it_watts * (uint64_t)site->pue.v + 500) / 1000;
}

static struct net_group *group(struct net_group *list, uint32_t *n, const char *name)
{
    uint32_t i = 0;
    while (i < *n && strcmp(list[i].name, name) != 0)
        i++;
    if (i == *n) { /* as many as chips or sites, at most */
        list[i] = (struct net_group){.name = ""};
        (void)text_set(list[i].name, sizeof list[i].name, name, strlen(name));
        (*n)++;
    }
    return &list[i];
}

static void add_pool(const struct netfile *nf, const struct net_pool *pool, struct net_summary *out)
{
    const struct net_chip *chip = netfile_chip(nf, pool->chip);
    const struct net_site *site = netfile_site(nf, pool->site);
    uint64_t chips = (uint64_t)pool->chips.v, gflops = chips * (uint64_t)chip->fp16_tflops.v;
    struct net_group *v = group(out->vendor, &out->nvendors, chip->vendor);
    struct net_group *j = group(out->jurisdiction, &out->njurisdictions, site->jurisdiction);
    bool own = strcmp(chip->origin, site->jurisdiction) == 0;
    v->chips += chips;
    v->gflops += gflops;
    j->chips += chips;
    j->gflops += gflops;
    j->own_chips += own ? chips : 0;
    j->own_gflops += own ? gflops : 0;
    out->pools++;
    out->chips += chips;
    out->gflops += gflops;
}

/* ---- what hangs together ---- */

struct parts {
    uint32_t up[NET_SITES_MAX]; /* towards the first site of its part */
    uint64_t chips[NET_SITES_MAX];
};

static uint32_t first_of(struct parts *p, uint32_t site)
{
    while (p->up[site] != site) {
        p->up[site] = p->up[p->up[site]];
        site = p->up[site];
    }
    return site;
}

/* Parts of the network without one corridor; NET_NONE: with all. Returns how many; *largest: chips of the one that has
 * most. */
static uint32_t join_parts(const struct netfile *nf, uint32_t without, uint64_t *largest)
{
    struct parts p;
    uint32_t n = netfile_sites(nf), parts = n;
    for (uint32_t i = 0; i < n; i++) {
        p.up[i] = i;
        p.chips[i] = netfile_site(nf, i)->chips;
    }
    for (uint32_t i = 0; i < netfile_corridors(nf); i++) {
        const struct net_corridor *c = netfile_corridor(nf, i);
        uint32_t a = first_of(&p, c->a), b = first_of(&p, c->b);
        if (i == without || a == b)
            continue;
        p.up[b] = a;
        p.chips[a] += p.chips[b];
        parts--;
    }
    *largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (p.up[i] == i && p.chips[i] > *largest)
            *largest = p.chips[i];
    }
    return parts;
}

static void find_bridge(const struct netfile *nf, struct net_summary *out)
{
    uint64_t whole, rest;
    out->islands = join_parts(nf, NET_NONE, &whole);
    for (uint32_t i = 0; i < out->corridors; i++) {
        if (out->widest_corridor == NET_NONE ||
            netfile_corridor(nf, i)->gbit_s.v > netfile_corridor(nf, out->widest_corridor)->gbit_s.v)
            out->widest_corridor = i;
        if (join_parts(nf, i, &rest) > out->islands && whole - rest > out->bridge_chips) {
            out->bridge = i;
            out->bridge_chips = whole - rest;
        }
    }
}

/* ---- where figures come from ---- */

static void count(struct net_summary *out, const struct figure *figures, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out->figures[figures[i].tier]++;
}

static void count_figures(const struct netfile *nf, struct net_summary *out)
{
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        const struct net_site *s = netfile_site(nf, i);
        const struct figure f[] = {s->lat,   s->lon,  s->price_usd_mwh, s->carbon_g_kwh, s->renewable,
                                   s->solar, s->wind, s->hydro,         s->pue,          s->cap_mw};
        count(out, f, COUNT(f));
    }
    for (uint32_t i = 0; i < netfile_pools(nf); i++) {
        const struct net_pool *p = netfile_pool(nf, i);
        const struct figure f[] = {p->chips, p->node_chips, p->domain, p->usd_chip_hour};
        count(out, f, COUNT(f));
    }
    for (uint32_t i = 0; i < netfile_corridors(nf); i++) {
        const struct net_corridor *c = netfile_corridor(nf, i);
        const struct figure f[] = {c->gbit_s, c->rtt_ms, c->usd_gb, c->kwh_gb};
        count(out, f, COUNT(f));
    }
    out->figures[TIER_NONE] = 0;
}

void net_summary(const struct netfile *nf, struct net_summary *out)
{
    *out = (struct net_summary){.sites = netfile_sites(nf),
                                .corridors = netfile_corridors(nf),
                                .changes = nf->nchanges,
                                .largest_site = NET_NONE,
                                .largest_vendor = NET_NONE,
                                .widest_corridor = NET_NONE,
                                .bridge = NET_NONE};
    for (uint32_t i = 0; i < netfile_pools(nf); i++) {
        const struct net_pool *pool = netfile_pool(nf, i);
        if (pool->from_ms == INT64_MIN)
            add_pool(nf, pool, out);
        else
            out->chips_later += (uint64_t)pool->chips.v;
    }
    uint64_t most = 0;
    for (uint32_t i = 0; i < out->sites; i++) {
        const struct net_site *s = netfile_site(nf, i);
        out->it_watts += s->it_watts;
        out->facility_watts += net_site_watts(s);
        if (net_site_watts(s) > most) {
            most = net_site_watts(s);
            out->largest_site = i;
        }
    }
    for (uint32_t i = 0; i < out->nvendors; i++) {
        if (out->largest_vendor == NET_NONE || out->vendor[i].chips > out->vendor[out->largest_vendor].chips)
            out->largest_vendor = i;
    }
    find_bridge(nf, out);
    count_figures(nf, out);
}
