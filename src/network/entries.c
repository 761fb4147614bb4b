/* SPDX-License-Identifier: Apache-2.0 */
/* Sites with their pools, and corridors: from the lists of one file into the netfile. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "network/parts.h"

static const char *const lawful_words[] = {"allow", "deny", NULL};

/* What a site's mapping has beside the site's own figures. */
struct site_reading {
    struct net_site site;
    yaml_node_t *pools, *add_pools;
};

#define SITE_TEXT(key, kind, cap, required) \
    { \
#key, kind, offsetof(struct site_reading, site.key), cap, 0, 0, 0, required, NULL \
    }
#define SITE_FIGURE(key, decimals, min, max, required) \
    { \
#key, TREE_NUMBER, offsetof(struct site_reading, site.key), 0, decimals, min, max, required, NULL \
    }

const struct tree_field net_site_fields[] = {
    SITE_TEXT(name, TREE_NAME, NAME_CAP, true),
    SITE_TEXT(title, TREE_TEXT, TEXT_CAP, false),
    SITE_TEXT(jurisdiction, TREE_CODE, CODE_CAP, true),
    SITE_TEXT(region, TREE_NAME, NAME_CAP, false),
    SITE_TEXT(owner, TREE_NAME, NAME_CAP, false),
    SITE_FIGURE(lat, 6, -90000000, 90000000, true),
    SITE_FIGURE(lon, 6, -180000000, 180000000, true),
    SITE_FIGURE(price_usd_mwh, 6, 0, INT64_C(100000000000), false),
    SITE_FIGURE(carbon_g_kwh, 3, 0, 5000000, false),
    SITE_FIGURE(renewable, 3, 0, 1000, false),
    SITE_FIGURE(solar, 3, 0, 1000, false),
    SITE_FIGURE(wind, 3, 0, 1000, false),
    SITE_FIGURE(hydro, 3, 0, 1000, false),
    SITE_FIGURE(pue, 3, 1000, 5000, false),
    SITE_FIGURE(cap_mw, 6, 1, INT64_C(100000000000), false),
    SITE_TEXT(signals, TREE_TEXT, PATH_CAP, false),
    {"pools", TREE_NODE, offsetof(struct site_reading, pools), 0, 0, 0, 0, false, NULL},
    {"add_pools", TREE_NODE, offsetof(struct site_reading, add_pools), 0, 0, 0, 0, false, NULL},
};
const uint32_t net_site_nfields = COUNT(net_site_fields);

const struct tree_field net_pool_fields[] = {
    {"name", TREE_NAME, offsetof(struct net_pool, name), NAME_CAP, 0, 0, 0, false, NULL},
    {"chip", TREE_NAME, offsetof(struct net_pool, chip_name), CHIP_CAP, 0, 0, 0, true, NULL},
    {"chips", TREE_NUMBER, offsetof(struct net_pool, chips), 0, 0, 1, 65536, true, NULL},
    {"node_chips", TREE_NUMBER, offsetof(struct net_pool, node_chips), 0, 0, 1, NET_NODE_CHIPS_MAX, false,
     NULL},
    {"domain", TREE_NUMBER, offsetof(struct net_pool, domain), 0, 0, 1, NET_POOL_NODES_MAX, false, NULL},
    {"usd_chip_hour", TREE_NUMBER, offsetof(struct net_pool, usd_chip_hour), 0, 9, 0, INT64_C(1000000000000),
     false, NULL},
};
const uint32_t net_pool_nfields = COUNT(net_pool_fields);

/* The ends' names stand beside the corridor until they are known to be sites. */
struct corridor_reading {
    struct net_corridor corridor;
    char a[NAME_CAP], b[NAME_CAP];
};

#define CORRIDOR_FIGURE(key, decimals, min, max, required) \
    { \
#key, TREE_NUMBER, offsetof(struct corridor_reading, corridor.key), 0, decimals, min, max, required, \
            NULL \
    }

const struct tree_field net_corridor_fields[] = {
    {"a", TREE_NAME, offsetof(struct corridor_reading, a), NAME_CAP, 0, 0, 0, true, NULL},
    {"b", TREE_NAME, offsetof(struct corridor_reading, b), NAME_CAP, 0, 0, 0, true, NULL},
    CORRIDOR_FIGURE(gbit_s, 3, 1, 1000000000, true),
    CORRIDOR_FIGURE(rtt_ms, 3, 0, 2000000, true),
    CORRIDOR_FIGURE(usd_gb, 9, 0, INT64_C(1000000000000), false),
    CORRIDOR_FIGURE(kwh_gb, 6, 0, 1000000000, false),
    {"lawful", TREE_WORD, offsetof(struct corridor_reading, corridor.lawful), 0, 0, 0, 0, false,
     lawful_words},
};
const uint32_t net_corridor_nfields = COUNT(net_corridor_fields);

/* ---- finding ---- */

uint32_t net_find_site(const struct netfile *nf, const char *name)
{
    for (uint32_t i = 0; i < nf->nsites; i++) {
        if (!nf->site[i].draft.dropped && strcmp(nf->site[i].site.name, name) == 0)
            return i;
    }
    return NET_NONE;
}

uint32_t net_find_corridor(const struct netfile *nf, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < nf->ncorridors; i++) {
        const struct net_corridor *c = &nf->corridor[i].corridor;
        if (!nf->corridor[i].draft.dropped && ((c->a == a && c->b == b) || (c->a == b && c->b == a)))
            return i;
    }
    return NET_NONE;
}

void net_drop_corridor(struct netfile *nf, uint32_t corridor)
{
    nf->corridor[corridor].draft.dropped = true;
    for (uint32_t i = 0; i < nf->nchanges; i++)
        nf->change[i].dropped |= nf->change[i].corridor == corridor;
}

void net_drop_site(struct netfile *nf, uint32_t site)
{
    nf->site[site].draft.dropped = true;
    for (uint32_t i = 0; i < nf->nchanges; i++)
        nf->change[i].dropped |= nf->change[i].site == site;
    for (uint32_t i = 0; i < nf->ncorridors; i++) {
        if (nf->corridor[i].corridor.a == site || nf->corridor[i].corridor.b == site)
            net_drop_corridor(nf, i);
    }
}

/* ---- sites ---- */

uint32_t net_read_pool(struct netfile *nf, const struct at *at, uint32_t site, int64_t from_ms)
{
    if (nf->npools == NET_POOLS_MAX) {
        at_problem(at, "more than %u pools", NET_POOLS_MAX);
        return NET_NONE;
    }
    struct pool_entry *entry = &nf->pool[nf->npools];
    *entry = (struct pool_entry){.pool = {.site = site, .from_ms = from_ms, .where = at_where(at)},
                                 .version = nf->site[site].version,
                                 .order = nf->npools};
    uint32_t given = fields_read(at, net_pool_fields, net_pool_nfields, &entry->pool);
    fields_require(&entry->pool.where, nf->problems, net_pool_fields, net_pool_nfields, given);
    return nf->npools++;
}

static void read_pools(struct netfile *nf, const struct at *site_at, const char *key, yaml_node_t *node,
                       uint32_t site)
{
    struct at list = at_child(site_at, key, node);
    uint32_t n = at_items(&list, NET_SITE_POOLS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(&list, i);
        (void)net_read_pool(nf, &item, site, INT64_MIN);
    }
}

/* The text under a key of a mapping into dst, without problems: they are told when the whole is read. */
static void peek(const struct at *at, const char *key, char *dst, size_t cap)
{
    struct at value = at_value(at, key);
    dst[0] = 0;
    if (value.node->type == YAML_SCALAR_NODE && value.node != at->node)
        (void)text_set(dst, cap, (const char *)value.node->data.scalar.value, value.node->data.scalar.length);
}

static void read_site(struct netfile *nf, const struct at *at, uint32_t file)
{
    struct site_reading reading = {.site.where = at_where(at)};
    char name[NAME_CAP];
    peek(at, "name", name, sizeof name);
    uint32_t i = name[0] ? net_find_site(nf, name) : NET_NONE;
    if (i != NET_NONE && nf->site[i].draft.file == file) {
        at_key_problem(at, "name", "a site of this name is in this file already");
        i = NET_NONE;
        name[0] = 0;
    }
    if (i == NET_NONE && nf->nsites == NET_SITES_MAX) {
        at_problem(at, "more than %u sites", NET_SITES_MAX);
        return;
    }
    if (i != NET_NONE)
        reading.site = nf->site[i].site;
    uint32_t given = fields_read(at, net_site_fields, net_site_nfields, &reading);
    if (i == NET_NONE) {
        i = nf->nsites++;
        nf->site[i] = (struct site_entry){.draft.dropped = !name[0]};
    }
    struct site_entry *entry = &nf->site[i];
    entry->site = reading.site;
    entry->draft.given |= given;
    entry->draft.file = file;
    if (!name[0]) /* its other mistakes were told; a site without a name goes no further */
        fields_require(&reading.site.where, nf->problems, net_site_fields, 1, given);
    entry->version += reading.pools != NULL;
    if (reading.pools)
        read_pools(nf, at, "pools", reading.pools, i);
    if (reading.add_pools)
        read_pools(nf, at, "add_pools", reading.add_pools, i);
}

void net_read_sites(struct netfile *nf, const struct at *list, uint32_t file)
{
    uint32_t n = at_items(list, NET_SITES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        read_site(nf, &item, file);
    }
}

/* ---- corridors ---- */

static uint32_t find_end(const struct netfile *nf, const struct at *at, const char *key, const char *name)
{
    uint32_t site = name[0] ? net_find_site(nf, name) : NET_NONE;
    if (name[0] && site == NET_NONE)
        at_key_problem(at, key, "no such site: %s", name);
    return site;
}

static void read_corridor(struct netfile *nf, const struct at *at, uint32_t file)
{
    struct corridor_reading reading = {.corridor.lawful = LAWFUL_ALLOW};
    char a_name[NAME_CAP], b_name[NAME_CAP];
    peek(at, "a", a_name, sizeof a_name);
    peek(at, "b", b_name, sizeof b_name);
    uint32_t a = find_end(nf, at, "a", a_name), b = find_end(nf, at, "b", b_name);
    uint32_t i = a != NET_NONE && b != NET_NONE ? net_find_corridor(nf, a, b) : NET_NONE;
    if (i != NET_NONE)
        reading.corridor = nf->corridor[i].corridor;
    struct where where = at_where(at);
    uint32_t given = fields_read(at, net_corridor_fields, net_corridor_nfields, &reading);
    if (a == NET_NONE || b == NET_NONE) {
        fields_require(&where, nf->problems, net_corridor_fields, net_corridor_nfields, given);
        return;
    }
    if (a == b) {
        at_problem(at, "both ends are the same site");
    } else if (i != NET_NONE && nf->corridor[i].draft.file == file) {
        at_problem(at, "a corridor between these sites is in this file already");
    } else if (i == NET_NONE && nf->ncorridors == NET_CORRIDORS_MAX) {
        at_problem(at, "more than %u corridors", NET_CORRIDORS_MAX);
    } else {
        if (i == NET_NONE) {
            i = nf->ncorridors++;
            nf->corridor[i] = (struct corridor_entry){.draft = {0}};
            reading.corridor.a = a;
            reading.corridor.b = b;
            reading.corridor.where = where;
            fields_require(&where, nf->problems, net_corridor_fields, net_corridor_nfields, given);
        }
        nf->corridor[i].corridor = reading.corridor;
        nf->corridor[i].draft.file = file;
    }
}

void net_read_corridors(struct netfile *nf, const struct at *list, uint32_t file)
{
    uint32_t n = at_items(list, NET_CORRIDORS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        read_corridor(nf, &item, file);
    }
}
