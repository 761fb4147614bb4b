/* SPDX-License-Identifier: Apache-2.0 */
/* Dividing charges, and what an operator says of it. core/charge.h has the story. */
#include "core/charge.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define MILLION 1000000u
#define NG_PER_KG INT64_C(1000000000000)

static bool party_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct party *)table)[i].row.id, key, len) == 0;
}

static bool owners_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct site_owners *)table)[i].row.site, key, len) == 0;
}

void charging_carve(struct core *core, struct arena *arena)
{
    struct charging *c = &core->charging;
    CARVE(core, charging.parties, charging.party, PARTIES_MAX);
    CARVE(core, charging.owners, charging.owner, core->limits.sites);
    index_init(&c->party_map, arena, PARTIES_MAX, party_equal, c->party);
    index_init(&c->owner_map, arena, core->limits.sites, owners_equal, c->owner);
}

void charging_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct charging *c = &core->charging;
    bool dead;
    for (uint32_t k = 0; k < c->parties.ndirty; k++)
        fn(ctx, ROW_KIND_party, ROW_PUT, &c->party[table_changed(&c->parties, k, &dead)].row);
    table_clean(&c->parties);
    for (uint32_t k = 0; k < c->owners.ndirty; k++)
        fn(ctx, ROW_KIND_site_owners, ROW_PUT, &c->owner[table_changed(&c->owners, k, &dead)].row);
    table_clean(&c->owners);
    if (c->row_touched)
        fn(ctx, ROW_KIND_charging, ROW_PUT, &c->row);
    c->row_touched = false;
}

/* ---- parts ---- */

int64_t share_of(int64_t total, int64_t part, int64_t whole)
{
    assert(total >= 0 && part >= 0 && part <= whole && whole > 0);
    int128 exact = (int128)total * part;
    int128 floor = exact / whole, twice = 2 * (exact % whole);
    return (int64_t)(floor + (twice > whole || (twice == whole && (floor & 1))));
}

void shares_divide(int64_t total, const uint32_t *weight, uint32_t n, uint32_t whole, int64_t *out)
{
    uint32_t rest[OWNERS_MAX];
    int64_t left = total;
    assert(total >= 0 && n > 0 && n <= OWNERS_MAX && whole > 0);
    for (uint32_t i = 0; i < n; i++) {
        int128 exact = (int128)total * weight[i];
        out[i] = (int64_t)(exact / whole);
        rest[i] = (uint32_t)(exact % whole) + 1; /* 0: it has got one more */
        left -= out[i];
    }
    assert(left >= 0 && left < n);
    for (; left > 0; left--) {
        uint32_t most = 0;
        for (uint32_t i = 1; i < n; i++)
            most = rest[i] > rest[most] ? i : most;
        out[most]++;
        rest[most] = 0;
    }
}

int64_t charge_carbon(const struct core *core, uint64_t carbon_ng)
{
    int128 exact = (int128)carbon_ng * core->work.row.carbon_price;
    int128 whole = exact / NG_PER_KG, twice = 2 * (exact % NG_PER_KG);
    whole += twice > NG_PER_KG || (twice == NG_PER_KG && (whole & 1));
    return i64_clamp(whole, MONEY_MAX);
}

struct uuid charge_id(const struct core *core, uint8_t tag)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)((uint64_t)core->now_ms >> (40 - 8 * i));
    for (int i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(core->row.events >> 8 * i);
    id.b[6] = 0x70;
    id.b[8] = 0x80 | (id.b[8] & 0x3f);
    id.b[7] = tag;
    return id;
}

/* One more part: `amount` goes on to the account of (owner, code). Nothing of it, nothing is done. */
static int add_part(struct core *core, const struct charge *charge, struct parts *out,
                    const struct uuid *owner, enum account_code code, enum transfer_code what, int64_t amount)
{
    struct account_id to;
    uint32_t ledger = ledger_row(&core->ledger, charge->from)->ledger;
    if (amount == 0)
        return 0;
    int rc = ledger_account(&core->ledger, owner, code, ledger, &to);
    if (rc != 0 || to.v == charge->from.v)
        return rc;
    assert(out->n < CHARGE_PARTS_MAX);
    struct transfer_order *order = &out->order[out->n];
    *order = (struct transfer_order){.id = charge->id,
                                     .debit = charge->from,
                                     .credit = to,
                                     .amount = amount,
                                     .code = what,
                                     .event_ms = core->now_ms,
                                     .ref = charge->ref};
    order->id.b[7] = (uint8_t)(charge->id.b[7] + out->n++);
    return 0;
}

/* What is left for the site: to its owners by their shares, or to the site where it has none. */
static int add_shares(struct core *core, const struct charge *charge, struct parts *out, int64_t amount)
{
    struct charging *c = &core->charging;
    int64_t part[OWNERS_MAX];
    if (!charge->site || site_by_id(core, charge->site).v == INDEX_NONE)
        return 0;
    uint32_t i = map_get(&c->owner_map, charge->site, sizeof *charge->site);
    if (i == MAP_NONE || c->owner[i].row.owners.n == 0)
        return add_part(core, charge, out, charge->site, ACCOUNT_REVENUE, TRANSFER_SHARE, amount);
    const struct row_site_owners *row = &c->owner[i].row;
    int rc = 0;
    shares_divide(amount, &row->share0, row->owners.n, MILLION, part);
    for (uint32_t k = 0; rc == 0 && k < row->owners.n; k++)
        rc = add_part(core, charge, out, &row->owners.v[k], ACCOUNT_REVENUE, TRANSFER_SHARE, part[k]);
    return rc;
}

int charge_divide(struct core *core, const struct charge *charge, struct parts *out)
{
    static const struct uuid network;
    assert(charge->amount > 0);
    out->n = 0;
    out->tax = share_of(charge->amount, charge->tax, (int64_t)MILLION + charge->tax);
    int64_t rest = charge->amount - out->tax;
    out->fee = share_of(rest, core->charging.row.fee, MILLION);
    rest -= out->fee;
    out->carbon = charge->carbon < rest ? charge->carbon : rest;
    rest -= out->carbon;
    int rc = add_part(core, charge, out, &network, ACCOUNT_TAX, TRANSFER_TAX, out->tax);
    if (rc == 0)
        rc = add_part(core, charge, out, &network, ACCOUNT_FEE, TRANSFER_FEE, out->fee);
    if (rc == 0)
        rc = add_part(core, charge, out, &network, ACCOUNT_CARBON, TRANSFER_CARBON, out->carbon);
    return rc ? rc : add_shares(core, charge, out, rest);
}

/* ---- what an operator says ---- */

uint32_t party_by_id(const struct core *core, const struct uuid *id)
{
    return map_get(&core->charging.party_map, id, sizeof *id);
}

/* A name is that of one party. The same again changes nothing. */
int step_party_add(struct core *core, const struct event *event)
{
    const struct event_party_add *e = &event->u.party_add;
    struct charging *c = &core->charging;
    size_t len = text_len(e->name, sizeof e->name);
    if (uuid_zero(&e->party) || !name_valid(e->name, len))
        return ERR_INVALID;
    for (uint32_t i = 0; i < c->parties.used; i++) {
        const struct row_party *row = &c->party[i].row;
        bool same = text_eq(row->name, text_len(row->name, NAME_CAP), e->name, len);
        if (same || uuid_eq(&row->id, &e->party))
            return same && uuid_eq(&row->id, &e->party) ? 0 : ERR_EXISTS;
    }
    uint32_t i = table_take(&c->parties);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    c->party[i].row = (struct row_party){.id = e->party, .created_ms = event->at_ms};
    memcpy(c->party[i].row.name, e->name, sizeof e->name);
    map_put(&c->party_map, &e->party, sizeof e->party, i);
    return 0;
}

/* Each owner once, each with a share, all of them together the whole. */
static bool owners_valid(const struct core *core, const struct uuid_list *owners, const uint32_t *share)
{
    uint64_t sum = 0;
    if (owners->n > OWNERS_MAX)
        return false;
    for (uint32_t i = 0; i < OWNERS_MAX; i++) {
        bool named = i < owners->n;
        for (uint32_t k = 0; named && k < i; k++) {
            if (uuid_eq(&owners->v[k], &owners->v[i]))
                return false;
        }
        if (named != (share[i] > 0) || (named && party_by_id(core, &owners->v[i]) == MAP_NONE))
            return false;
        sum += share[i];
    }
    return sum == (owners->n > 0 ? MILLION : 0);
}

static uint32_t owners_put(struct core *core, const struct row_site_owners *row)
{
    struct charging *c = &core->charging;
    uint32_t i = map_get(&c->owner_map, &row->site, sizeof row->site);
    if (i == MAP_NONE) {
        i = table_take(&c->owners);
        assert(i != INDEX_NONE); /* there are as many places as sites */
        c->owner[i].row = *row;
        map_put(&c->owner_map, &row->site, sizeof row->site, i);
    }
    c->owner[i].row = *row;
    table_touch(&c->owners, i);
    return i;
}

int step_site_owners(struct core *core, const struct event *event)
{
    const struct event_site_owners *e = &event->u.site_owners;
    if (site_by_id(core, &e->site).v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (!owners_valid(core, &e->owners, &e->share0))
        return ERR_INVALID;
    struct row_site_owners row = {.site = e->site, .since_ms = event->at_ms, .owners = e->owners};
    memcpy(&row.share0, &e->share0, OWNERS_MAX * sizeof row.share0);
    (void)owners_put(core, &row);
    return 0;
}

int step_network_fee(struct core *core, const struct event *event)
{
    if (event->u.network_fee.fee > MILLION)
        return ERR_INVALID;
    core->charging.row = (struct row_charging){.id = 1, .fee = event->u.network_fee.fee};
    core->charging.row_touched = true;
    return 0;
}

int step_tenant_tax(struct core *core, const struct event *event)
{
    struct tenant_id id = tenant_by_id(core, &event->u.tenant_tax.tenant);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (event->u.tenant_tax.tax > MILLION)
        return ERR_INVALID;
    core->tenant[id.v].row.tax = event->u.tenant_tax.tax;
    table_touch(&core->tenants, id.v);
    return 0;
}

/* ---- from rows ---- */

int load_party(struct core *core, const struct row_party *row)
{
    struct charging *c = &core->charging;
    if (party_by_id(core, &row->id) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&c->parties);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    c->party[i].row = *row;
    map_put(&c->party_map, &row->id, sizeof row->id, i);
    return 0;
}

int load_site_owners(struct core *core, const struct row_site_owners *row)
{
    if (site_by_id(core, &row->site).v == INDEX_NONE || !owners_valid(core, &row->owners, &row->share0) ||
        map_get(&core->charging.owner_map, &row->site, sizeof row->site) != MAP_NONE)
        return ERR_CORRUPT;
    (void)owners_put(core, row);
    return 0;
}

int load_charging(struct core *core, const struct row_charging *row)
{
    if (row->fee > MILLION)
        return ERR_CORRUPT;
    core->charging.row = *row;
    return 0;
}

/* ---- for those who show it ---- */

const struct row_party *view_party(const struct core *core, const struct uuid *id)
{
    uint32_t i = party_by_id(core, id);
    return i == MAP_NONE ? NULL : &core->charging.party[i].row;
}

const struct row_site_owners *view_site_owners(const struct core *core, const struct uuid *site)
{
    uint32_t i = map_get(&core->charging.owner_map, site, sizeof *site);
    return i == MAP_NONE || core->charging.owner[i].row.owners.n == 0 ? NULL : &core->charging.owner[i].row;
}

uint32_t view_network_fee(const struct core *core)
{
    return core->charging.row.fee;
}
