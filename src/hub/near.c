/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/near.h"

#include <string.h>

#include "core/kinds.h"

struct site_at {
    const struct row_site *site;
    uint64_t rtt; /* UINT64_MAX: not known */
    bool done;
};

static uint32_t find(const struct site_at *all, uint32_t n, const struct uuid *id)
{
    uint32_t i = 0;
    while (i < n && !uuid_eq(&all[i].site->id, id))
        i++;
    return i;
}

/* Of those that are not done the nearest, of equals the one with the lower id; n: none is known. */
static uint32_t nearest(const struct site_at *all, uint32_t n)
{
    uint32_t best = n;
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].done || all[i].rtt == UINT64_MAX)
            continue;
        if (best == n || all[i].rtt < all[best].rtt ||
            (all[i].rtt == all[best].rtt &&
             memcmp(&all[i].site->id, &all[best].site->id, sizeof(struct uuid)) < 0))
            best = i;
    }
    return best;
}

/* Over each corridor that is up and begins there. */
static void spread(const struct core *core, struct site_at *all, uint32_t n, uint32_t from)
{
    const struct row_corridor *row;
    for (uint32_t pos = 0; (row = view_corridor_at(core, &pos)) != NULL;) {
        const struct uuid *here = &all[from].site->id;
        bool is_a = uuid_eq(&row->a, here);
        if (row->state != PLACE_UP || (!is_a && !uuid_eq(&row->b, here)))
            continue;
        uint32_t to = find(all, n, is_a ? &row->b : &row->a);
        if (to < n && all[from].rtt + row->rtt < all[to].rtt)
            all[to].rtt = all[from].rtt + row->rtt;
    }
}

/* Takes them in the order of their round trips: Dijkstra's shortest paths. */
static uint32_t around(const struct core *core, struct site_at *all, uint32_t n, const struct row_site **out)
{
    uint32_t found = 0, i;
    while ((i = nearest(all, n)) < n && all[i].rtt <= NEAR_RTT_US) {
        all[i].done = true;
        out[found++] = all[i].site;
        spread(core, all, n, i);
    }
    return found;
}

static bool is_of(const struct row_site *site, const char *name)
{
    return strcmp(site->region, name) == 0 || strcmp(site->jurisdiction, name) == 0;
}

uint32_t near_sites(const struct core *core, const char *name, const struct row_site **out)
{
    struct site_at all[NEAR_SITES_MAX];
    const struct row_site *row;
    uint32_t n = 0, found = 0, self = NEAR_SITES_MAX;
    for (uint32_t pos = 0; n < NEAR_SITES_MAX && (row = view_site_at(core, &pos)) != NULL;) {
        all[n] = (struct site_at){.site = row, .rtt = UINT64_MAX};
        self = strcmp(row->name, name) == 0 ? n : self;
        if (name[0] && is_of(row, name))
            out[found++] = row;
        n++;
    }
    if (found > 0 || self == NEAR_SITES_MAX)
        return found;
    all[self].rtt = 0;
    return around(core, all, n, out);
}
