/* SPDX-License-Identifier: Apache-2.0 */
/* When all files are read: what is dropped goes, names become indices and ids, each site gets its year of hours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "network/parts.h"

_Static_assert(DIGEST_LEN >= sizeof(struct uuid), "an id is the front of a digest");

struct uuid net_uuid(const char *kind, const char *name)
{
    char text[4 * NAME_CAP];
    uint8_t digest[DIGEST_LEN];
    struct uuid id;
    int n = snprintf(text, sizeof text, "busbar/%s/%s", kind, name);
    digest_sha256(digest, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    memcpy(id.b, digest, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x80);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

/* ---- dropped entries go ---- */

static void compact_sites(struct netfile *nf, uint32_t now[NET_SITES_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < nf->nsites; i++) {
        now[i] = nf->site[i].draft.dropped ? NET_NONE : n;
        if (now[i] != NET_NONE)
            nf->site[n++] = nf->site[i];
    }
    nf->nsites = n;
}

static void compact_corridors(struct netfile *nf, const uint32_t site[NET_SITES_MAX])
{
    uint32_t now[NET_CORRIDORS_MAX], n = 0;
    for (uint32_t i = 0; i < nf->ncorridors; i++) {
        now[i] = nf->corridor[i].draft.dropped ? NET_NONE : n;
        if (now[i] == NET_NONE)
            continue;
        nf->corridor[n] = nf->corridor[i];
        nf->corridor[n].corridor.a = site[nf->corridor[n].corridor.a];
        nf->corridor[n].corridor.b = site[nf->corridor[n].corridor.b];
        n++;
    }
    nf->ncorridors = n;
    for (uint32_t i = 0; i < nf->nchanges; i++) {
        if (nf->change[i].corridor != NET_NONE)
            nf->change[i].corridor = now[nf->change[i].corridor];
    }
}

static int by_place(const void *a, const void *b)
{
    const struct pool_entry *x = a, *y = b;
    bool x_later = x->pool.from_ms != INT64_MIN, y_later = y->pool.from_ms != INT64_MIN;
    if (x_later != y_later)
        return x_later ? 1 : -1;
    if (!x_later && x->pool.site != y->pool.site)
        return x->pool.site < y->pool.site ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Pools of the start site by site, then those that are delivered; `version` is of the sites before they were moved. */
static void compact_pools(struct netfile *nf, const uint32_t site[NET_SITES_MAX],
                          const uint32_t version[NET_SITES_MAX])
{
    uint32_t now[NET_POOLS_MAX], n = 0;
    for (uint32_t i = 0; i < nf->npools; i++) {
        struct pool_entry *p = &nf->pool[i];
        bool replaced = p->pool.from_ms == INT64_MIN && p->version != version[p->pool.site];
        if (replaced || site[p->pool.site] == NET_NONE)
            continue;
        p->pool.site = site[p->pool.site];
        nf->pool[n++] = *p;
    }
    nf->npools = n;
    if (n)
        qsort(nf->pool, n, sizeof nf->pool[0], by_place);
    memset(now, 0xff, sizeof now);
    for (uint32_t i = 0; i < n; i++)
        now[nf->pool[i].order] = i;
    for (uint32_t i = 0; i < nf->nchanges; i++) {
        if (nf->change[i].pool != NET_NONE)
            nf->change[i].pool = now[nf->change[i].pool];
    }
}

static void compact(struct netfile *nf)
{
    uint32_t site[NET_SITES_MAX], version[NET_SITES_MAX], n = 0;
    for (uint32_t i = 0; i < nf->nsites; i++)
        version[i] = nf->site[i].version;
    compact_sites(nf, site);
    for (uint32_t i = 0; i < nf->nchanges; i++) {
        if (nf->change[i].dropped)
            continue;
        nf->change[n] = nf->change[i];
        if (nf->change[n].site != NET_NONE)
            nf->change[n].site = site[nf->change[n].site];
        n++;
    }
    nf->nchanges = n;
    compact_corridors(nf, site);
    compact_pools(nf, site, version);
}

/* ---- chips and pools ---- */

static void set_prices(struct netfile *nf)
{
    for (uint32_t i = 0; i < nf->nprices; i++) {
        const struct price_entry *p = &nf->price[i];
        uint32_t chip = p->chip[0] ? net_find_chip(nf, p->chip) : NET_NONE;
        if (chip != NET_NONE)
            nf->chip[chip].usd_chip_hour = p->usd_chip_hour;
        else if (p->chip[0])
            where_problem(&p->where, nf->problems, "chip", "no such chip: %s", p->chip);
    }
}

/* A pool is dispatched by power, memory and speed: they must be known. */
static void check_chip(const struct netfile *nf, const struct net_pool *pool, const struct net_chip *chip)
{
    const struct {
        const char *key;
        struct figure figure;
    } needed[] = {
        {"fp16_tflops", chip->fp16_tflops}, {"memory_gib", chip->memory_gib}, {"tdp_w", chip->tdp_w}};
    for (uint32_t i = 0; i < COUNT(needed); i++) {
        if (!figure_given(needed[i].figure))
            where_problem(&pool->where, nf->problems, "chip", "%s has no %s in %s", chip->name, needed[i].key,
                          nf->catalogue);
    }
}

static void set_default(struct figure *figure, int64_t v)
{
    if (!figure_given(*figure))
        *figure = (struct figure){v, TIER_DERIVED};
}

static void size_pool(const struct netfile *nf, struct net_pool *pool, const struct net_chip *chip)
{
    if (!figure_given(pool->node_chips)) /* the usual server, or what there is */
        pool->node_chips = (struct figure){pool->chips.v < 8 ? pool->chips.v : 8, TIER_DERIVED};
    if (pool->chips.v % pool->node_chips.v)
        where_problem(&pool->where, nf->problems, "chips",
                      "%lld is not a multiple of node_chips, %lld: put the rest into a pool of its own",
                      (long long)pool->chips.v, (long long)pool->node_chips.v);
    int64_t nodes = pool->chips.v / pool->node_chips.v;
    if (nodes > NET_POOL_NODES_MAX)
        where_problem(&pool->where, nf->problems, "chips", "more than %d nodes: divide the pool",
                      NET_POOL_NODES_MAX);
    pool->nodes = (uint32_t)nodes;
    int64_t domain = figure_given(chip->scale_up) ? chip->scale_up.v / pool->node_chips.v : 1;
    domain = domain > nodes ? nodes : domain;
    set_default(&pool->domain, domain > 1 ? domain : 1);
}

static void check_pool(struct netfile *nf, uint32_t i)
{
    struct net_pool *pool = &nf->pool[i].pool;
    const struct net_site *site = &nf->site[pool->site].site;
    char full[2 * NAME_CAP];
    if (!pool->chip_name[0] || !figure_given(pool->chips))
        return; /* told */
    if (!pool->name[0])
        memcpy(pool->name, pool->chip_name, CHIP_CAP);
    (void)snprintf(full, sizeof full, "%s/%s", site->name, pool->name);
    pool->uuid = net_uuid("pool", full);
    for (uint32_t k = 0; k < i; k++) {
        if (nf->pool[k].pool.site == pool->site && strcmp(nf->pool[k].pool.name, pool->name) == 0)
            where_problem(&pool->where, nf->problems, "name",
                          "%s has a pool %s already: give it another name", site->name, pool->name);
    }
    pool->chip = net_find_chip(nf, pool->chip_name);
    if (pool->chip == NET_NONE) {
        where_problem(&pool->where, nf->problems, "chip", "no such chip: %s", pool->chip_name);
        return;
    }
    const struct net_chip *chip = &nf->chip[pool->chip];
    nf->chip_used[pool->chip] = true;
    check_chip(nf, pool, chip);
    size_pool(nf, pool, chip);
    if (!figure_given(pool->usd_chip_hour))
        pool->usd_chip_hour = chip->usd_chip_hour;
    if (!figure_given(pool->usd_chip_hour))
        where_problem(&pool->where, nf->problems, "usd_chip_hour", "is missing, here or under prices for %s",
                      chip->name);
}

/* ---- sites and corridors ---- */

static void check_sites(struct netfile *nf)
{
    for (uint32_t i = 0; i < nf->nsites; i++) {
        struct net_site *s = &nf->site[i].site;
        fields_require(&s->where, nf->problems, net_site_fields, net_site_nfields, nf->site[i].draft.given);
        s->uuid = net_uuid("site", s->name);
        if (s->solar.v + s->wind.v + s->hydro.v == 0) {
            set_default(&s->solar, 0);
            set_default(&s->wind, 0);
            set_default(&s->hydro, 0);
            s->solar.v = s->wind.v = 500;
        }
        set_default(&s->renewable, 0);
    }
    if (nf->nsites == 0 && problems_none(nf->problems))
        problems_add(nf->problems, nf->file[0], 0, "sites", "there are none");
}

static void name_corridors(struct netfile *nf)
{
    for (uint32_t i = 0; i < nf->ncorridors; i++) {
        struct net_corridor *c = &nf->corridor[i].corridor;
        const char *a = nf->site[c->a].site.name, *b = nf->site[c->b].site.name;
        char both[2 * NAME_CAP];
        bool order = strcmp(a, b) < 0; /* the same either way round */
        (void)snprintf(both, sizeof both, "%s/%s", order ? a : b, order ? b : a);
        c->uuid = net_uuid("corridor", both);
    }
}

static void sum_sites(struct netfile *nf)
{
    for (uint32_t i = 0; i < nf->npools && nf->pool[i].pool.from_ms == INT64_MIN; i++) {
        const struct net_pool *p = &nf->pool[i].pool;
        const struct net_chip *chip = &nf->chip[p->chip];
        struct net_site *s = &nf->site[p->site].site;
        s->pool = s->pools ? s->pool : i;
        s->pools++;
        s->chips += (uint32_t)p->chips.v;
        s->gflops += (uint64_t)p->chips.v * (uint64_t)chip->fp16_tflops.v;
        s->it_watts += (uint64_t)p->chips.v * net_chip_watts(chip);
    }
}

/* ---- hours ---- */

static uint32_t read_series(struct netfile *nf, const struct net_site *s, struct profile *profile)
{
    char path[FS_PATH_MAX];
    struct buf text;
    struct err err = {0};
    uint32_t has = 0;
    if (!s->signals[0])
        return 0;
    buf_init(&text, TREE_BYTES_MAX);
    if (!net_path_beside(path, s->where.file, s->signals))
        where_problem(&s->where, nf->problems, "signals", "the path is too long");
    else if (nf->read(nf->read_ctx, path, &text, &err) != 0)
        where_problem(&s->where, nf->problems, "signals", "%s", err.msg);
    else
        has = net_read_signals(nf->problems, path, text.data ? text.data : "", text.len, profile);
    buf_fini(&text);
    return has;
}

/* A figure comes from the file or from the series, not from both. */
static void check_figure(struct netfile *nf, const struct site_entry *entry, const char *key,
                         struct figure figure, bool series)
{
    const struct net_site *s = &entry->site;
    uint32_t field = 0;
    while (strcmp(net_site_fields[field].key, key) != 0)
        field++;
    bool told = !figure_given(figure) && (entry->draft.given & UINT32_C(1) << field);
    if (told)
        return;
    if (figure_given(figure) && series)
        where_problem(&s->where, nf->problems, key, "is in %s too", s->signals);
    if (!figure_given(figure) && !series && !s->signals[0])
        where_problem(&s->where, nf->problems, key, "is missing");
    else if (!figure_given(figure) && !series)
        where_problem(&s->where, nf->problems, key, "is missing, and not in %s", s->signals);
}

static void take_means(struct netfile *nf, uint32_t i)
{
    struct net_site *s = &nf->site[i].site;
    int64_t price = 0, carbon = 0, pue = 0;
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
        price += nf->profile[i]->hour[h].price;
        carbon += nf->profile[i]->hour[h].carbon;
        pue += nf->profile[i]->hour[h].pue;
    }
    nf->price_mean[i] = price / HOURS_OF_YEAR;
    nf->carbon_mean[i] = carbon / HOURS_OF_YEAR;
    set_default(&s->price_usd_mwh, nf->price_mean[i]);
    set_default(&s->carbon_g_kwh, nf->carbon_mean[i]);
    set_default(&s->pue, pue / HOURS_OF_YEAR);
}

static int make_profile(struct netfile *nf, uint32_t i)
{
    struct net_site *s = &nf->site[i].site;
    uint64_t seed = 0;
    for (uint32_t k = 0; k < 8; k++)
        seed = seed << 8 | s->uuid.b[8 + k];
    struct profile_mean mean = {.lat = s->lat.v,
                                .lon = s->lon.v,
                                .price = s->price_usd_mwh.v,
                                .carbon = (uint32_t)s->carbon_g_kwh.v,
                                .pue = (uint32_t)s->pue.v,
                                .renewable = (uint32_t)s->renewable.v,
                                .solar = (uint32_t)s->solar.v,
                                .wind = (uint32_t)s->wind.v,
                                .hydro = (uint32_t)s->hydro.v,
                                .seed = seed};
    nf->profile[i] = profile_new(&mean);
    if (!nf->profile[i])
        return ERR_NO_MEMORY;
    (void)read_series(nf, s, nf->profile[i]);
    take_means(nf, i);
    return 0;
}

int net_finish(struct netfile *nf)
{
    compact(nf);
    set_prices(nf);
    check_sites(nf);
    net_check_goals(nf);
    name_corridors(nf);
    for (uint32_t i = 0; i < nf->npools; i++)
        check_pool(nf, i);
    for (uint32_t i = 0; i < nf->nsites; i++) {
        const struct net_site *s = &nf->site[i].site;
        uint32_t has = read_series(nf, s, NULL);
        check_figure(nf, &nf->site[i], "price_usd_mwh", s->price_usd_mwh, has & 1);
        check_figure(nf, &nf->site[i], "carbon_g_kwh", s->carbon_g_kwh, has & 2);
    }
    if (!problems_none(nf->problems))
        return 0; /* the rest stands on what was checked */
    sum_sites(nf);
    int rc = net_date_changes(nf);
    for (uint32_t i = 0; i < nf->nsites && rc == 0; i++)
        rc = make_profile(nf, i);
    return rc;
}
