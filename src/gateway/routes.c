/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/routes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/kinds.h"
#include "core/ledger.h"
#include "core/rulebook.h"
#include "core/view.h"

struct routes {
    struct portals *portals;
    struct limits limits;
    void *block;
    size_t size;
    struct core *core;
    struct uuid hub; /* the hub's own site: the one with the least id (core/network.c) */
    uint64_t n;
    bool begun;
};

static const struct uuid own_site = {.b = {[15] = 1}};

struct routes *routes_new(struct portals *portals)
{
    struct routes *r = calloc(1, sizeof *r);
    if (!r)
        abort(); /* once, at the start */
    r->portals = portals;
    r->limits = limits_default();
    r->limits.sites++; /* the hub's, and one's own */
    r->limits.units = 0;
    r->size = core_size(&r->limits);
    return r;
}

static void drop(struct routes *r)
{
    if (r->block)
        munmap(r->block, r->size);
    r->block = NULL;
    r->core = NULL;
    r->begun = false;
}

void routes_free(struct routes *r)
{
    if (!r)
        return;
    drop(r);
    free(r);
}

int routes_begin(struct routes *r)
{
    drop(r);
    /* Most of it is never touched, so it costs address space, not memory. */
    void *block =
        mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED)
        return ERR_NO_MEMORY;
    r->block = block;
    r->core = core_init(block, r->size, &r->limits);
    r->n = 0;
    r->begun = true;
    portals_mark(r->portals);
    /* The first site is a process's own (view_site_own): one without replicas, so that all of them count as far. */
    struct row_site own = {.id = own_site, .name = "here", .state = PLACE_UP};
    r->hub = (struct uuid){0};
    return core_load(r->core, ROW_KIND_site, &own);
}

/* A key with a budget of its own is not loaded without its account, whose balance is the hub's business. */
static int load_limit(struct routes *r, const struct row_key *key, const struct row_tenant *tenant)
{
    struct row_account account = {
        .owner = key->id, .code = ACCOUNT_KEY_LIMIT, .ledger = LEDGER_CONTROL + tenant->ledger};
    return core_load(r->core, ROW_KIND_account, &account);
}

static int load_key(struct routes *r, const struct row_key *key)
{
    const struct row_tenant *tenant = view_tenant(r->core, &key->tenant);
    if (!tenant)
        return ERR_CORRUPT;
    int rc = key->budget >= 0 ? load_limit(r, key, tenant) : 0;
    return rc ? rc : core_load(r->core, ROW_KIND_key, key);
}

static int load_site(struct routes *r, const struct row_site *site)
{
    if (uuid_zero(&r->hub) || memcmp(&site->id, &r->hub, sizeof site->id) < 0)
        r->hub = site->id;
    return core_load(r->core, ROW_KIND_site, site);
}

/* Of a pool only what a chip costs matters: how many nodes it has need not be kept. */
static int load_pool(struct routes *r, struct row_pool *pool)
{
    pool->nodes = pool->nodes ? 1 : 0;
    pool->domain = pool->domain ? 1 : 0;
    return core_load(r->core, ROW_KIND_pool, pool);
}

/* Requests to a site go through the hub. What they take from here to there is the same for all, so a corridor of the hub's stands for
 * the whole way. */
static int load_corridor(struct routes *r, struct row_corridor *way)
{
    if (uuid_eq(&way->a, &r->hub))
        way->a = own_site;
    if (uuid_eq(&way->b, &r->hub))
        way->b = own_site;
    return core_load(r->core, ROW_KIND_corridor, way);
}

int routes_row(struct routes *r, uint32_t kind, void *row)
{
    int rc = ERR_CORRUPT;
    if (!r->begun)
        return rc;
    switch (kind) {
    case ROW_KIND_key:
        rc = load_key(r, row);
        break;
    case ROW_KIND_replica:
        rc = portals_place(r->portals, row);
        rc = rc ? rc : core_load(r->core, ROW_KIND_replica, row);
        break;
    case ROW_KIND_site:
        rc = load_site(r, row);
        break;
    case ROW_KIND_pool:
        rc = load_pool(r, row);
        break;
    case ROW_KIND_corridor:
        rc = load_corridor(r, row);
        break;
    case ROW_KIND_dispatch:
    case ROW_KIND_chip:
    case ROW_KIND_tenant:
    case ROW_KIND_model:
    case ROW_KIND_variant:
    case ROW_KIND_price:
    case ROW_KIND_deployment:
    case ROW_KIND_service:
    case ROW_KIND_recall:
    case ROW_KIND_cluster:
    case ROW_KIND_rules:
    case ROW_KIND_rules_part:
        rc = core_load(r->core, (enum row_kind)kind, row);
        break;
    default:
        break;
    }
    r->n++;
    r->begun = rc == 0;
    return rc;
}

int routes_end(struct routes *r, uint64_t n, const struct core **core)
{
    if (!r->begun || r->n != n)
        return ERR_CORRUPT;
    int rc = load_rules_done(r->core);
    if (rc != 0)
        return rc;
    portals_sweep(r->portals);
    *core = r->core;
    return 0;
}
