/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members: sites and gateways that joined, each known by the one key that its certificates are for.
 *
 * A token lets somebody join as one, once, until it expires. Its hash stays when it is used, so that whoever did not
 * hear the answer may ask again with the same key; another key needs another token. When a site joins anew, the key
 * before is worth nothing from then on.
 */
#include <string.h>

#include "base/err.h"
#include "core/accept.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

static bool member_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct member *)table)[i].row.site, key, len) == 0;
}

void members_carve(struct core *core, struct arena *arena)
{
    uint32_t n = core->limits.sites + GATEWAYS_MAX;
    CARVE(core, members, member, n);
    index_init(&core->member_map, arena, n, member_equal, core->member);
}

static bool digest_zero(const uint8_t digest[DIGEST_BYTES])
{
    static const uint8_t zero[DIGEST_BYTES];
    return memcmp(digest, zero, sizeof zero) == 0;
}

static uint32_t member_put(struct core *core, const struct row_member *row)
{
    uint32_t i = table_take(&core->members);
    if (i == INDEX_NONE)
        return i;
    core->member[i].row = *row;
    map_put(&core->member_map, &row->site, sizeof row->site, i);
    return i;
}

static bool may_join(const struct core *core, const struct uuid *id)
{
    return site_by_id(core, id).v != INDEX_NONE || view_gateway(core, id);
}

bool members_hold(const struct core *core)
{
    for (uint32_t i = 0; i < core->members.used; i++) {
        if (table_live(&core->members, i) && !may_join(core, &core->member[i].row.site))
            return false;
    }
    return true;
}

/* Gateways come after it: members_hold. */
int load_member(struct core *core, const struct row_member *row)
{
    if (map_get(&core->member_map, &row->site, sizeof row->site) != MAP_NONE)
        return ERR_CORRUPT;
    return member_put(core, row) == INDEX_NONE ? ERR_LIMIT : 0;
}

static uint32_t by_token(const struct core *core, const uint8_t token[DIGEST_BYTES])
{
    for (uint32_t i = 0; i < core->members.used; i++) {
        if (table_live(&core->members, i) && memcmp(core->member[i].row.token, token, DIGEST_BYTES) == 0)
            return i;
    }
    return INDEX_NONE;
}

int step_site_token(struct core *core, const struct event *event)
{
    const struct event_site_token *e = &event->u.site_token;
    struct row_member row = {.site = e->site, .expires_ms = e->expires_ms};
    if (!may_join(core, &e->site))
        return ERR_NOT_FOUND;
    if (digest_zero(e->token) || e->expires_ms <= event->at_ms ||
        e->expires_ms > event->at_ms + SITE_TOKEN_MS_MAX)
        return ERR_INVALID;
    if (by_token(core, e->token) != INDEX_NONE)
        return ERR_EXISTS;
    memcpy(row.token, e->token, sizeof row.token);
    uint32_t i = map_get(&core->member_map, &e->site, sizeof e->site);
    if (i == MAP_NONE)
        return member_put(core, &row) == INDEX_NONE ? ERR_LIMIT : 0;
    struct row_member *member = &core->member[i].row;
    memcpy(member->token, e->token, sizeof member->token);
    member->expires_ms = e->expires_ms;
    member->used = 0;
    table_touch(&core->members, i);
    return 0;
}

int step_site_join(struct core *core, const struct event *event)
{
    const struct event_site_join *e = &event->u.site_join;
    uint32_t i = digest_zero(e->token) ? INDEX_NONE : by_token(core, e->token);
    if (digest_zero(e->key))
        return ERR_INVALID;
    if (i == INDEX_NONE || core->member[i].row.expires_ms <= event->at_ms)
        return ERR_UNAUTHENTICATED;
    struct row_member *row = &core->member[i].row;
    if ((view_gateway(core, &row->site) != NULL) != (e->gateway != 0))
        return ERR_WRONG_STATE;
    if (row->used)
        return memcmp(row->key, e->key, sizeof row->key) == 0 ? 0 : ERR_UNAUTHENTICATED;
    memcpy(row->key, e->key, sizeof row->key);
    row->used = 1;
    row->joined_ms = event->at_ms;
    table_touch(&core->members, i);
    return 0;
}

bool member_drop(struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->member_map, id, sizeof *id);
    if (i == MAP_NONE)
        return false;
    map_remove(&core->member_map, id, sizeof *id);
    table_drop(&core->members, i);
    return true;
}

int step_site_remove(struct core *core, const struct event *event)
{
    const struct event_site_remove *e = &event->u.site_remove;
    if (site_by_id(core, &e->site).v == INDEX_NONE || !member_drop(core, &e->site))
        return ERR_NOT_FOUND;
    accept_forget(core, &e->site);
    site_set_state(core, site_by_id(core, &e->site), PLACE_LOST); /* what runs there is placed again */
    registry_site_removed(core, site_by_id(core, &e->site).v);
    return 0;
}

/* ---- what others see ---- */

const struct row_member *view_member(const struct core *core, const struct uuid *site)
{
    uint32_t i = map_get(&core->member_map, site, sizeof *site);
    return i == MAP_NONE ? NULL : &core->member[i].row;
}

const struct row_member *view_member_token(const struct core *core, const uint8_t token[DIGEST_BYTES])
{
    uint32_t i = by_token(core, token);
    return i == INDEX_NONE ? NULL : &core->member[i].row;
}

bool view_is_member(const struct core *core, const struct uuid *site, const uint8_t key[DIGEST_BYTES])
{
    const struct row_member *row = view_member(core, site);
    return row && row->joined_ms > 0 && memcmp(row->key, key, sizeof row->key) == 0;
}
