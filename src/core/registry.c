/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"

#include <string.h>

#include "base/err.h"
#include "core/state.h"
#include "core/view.h"

static bool unit_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct unit *)table)[i].row.id, key, len) == 0;
}

static bool unit_name_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const char *name = ((const struct unit *)table)[i].row.name;
    return text_eq(name, text_len(name, UNIT_NAME_CAP), key, len);
}

/* The key is the beginning of the row: unit and site. */
static bool alarm_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct unit_alarm *)table)[i].row, key, len) == 0;
}

void registry_carve(struct core *core, struct arena *arena)
{
    struct registry *r = &core->registry;
    const uint32_t units = core->limits.units, sites = core->limits.sites;
    const uint32_t alarms = units < UNIT_ALARMS_MAX ? units : UNIT_ALARMS_MAX;
    CARVE(core, registry.units, registry.unit, units);
    CARVE(core, registry.alarms, registry.alarm, alarms);
    CARVE(core, registry.censuses, registry.census, sites);
    r->first = arena_take(arena, sites * sizeof *r->first);
    r->census_of = arena_take(arena, sites * sizeof *r->census_of);
    r->past = arena_take(arena, UNIT_PASTS_MAX * sizeof *r->past);
    index_init(&r->unit_map, arena, units, unit_equal, r->unit);
    index_init(&r->unit_names, arena, units, unit_name_equal, r->unit);
    index_init(&r->alarm_map, arena, alarms, alarm_equal, r->alarm);
}

#define COLLECT(tables, kind, entry) \
    do { \
        for (uint32_t k = 0; k < r->tables.ndirty; k++) { \
            bool dead; \
            uint32_t i = table_changed(&r->tables, k, &dead); \
            fn(ctx, ROW_KIND_##kind, dead ? ROW_DELETE : ROW_PUT, &r->entry[i].row); \
        } \
        table_clean(&r->tables); \
    } while (0)

void registry_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct registry *r = &core->registry;
    COLLECT(units, unit, unit);
    COLLECT(alarms, unit_alarm, alarm);
    COLLECT(censuses, unit_census, census);
    for (uint32_t i = 0; i < r->npast; i++)
        fn(ctx, ROW_KIND_unit_past, ROW_PUT, &r->past[i]);
    r->npast = 0;
}

void unit_past(struct core *core, const struct unit *u, uint32_t what, const struct uuid *site,
               const struct uuid *from, const char *text)
{
    struct registry *r = &core->registry;
    if (r->npast == UNIT_PASTS_MAX)
        return; /* a site was removed that had more than that: the rows themselves tell */
    struct row_unit_past *past = &r->past[r->npast++];
    *past = (struct row_unit_past){.unit = u->row.id, .at_ms = core->now_ms, .what = what};
    if (site)
        past->site = *site;
    if (from)
        past->from = *from;
    if (text)
        memcpy(past->text, text, sizeof past->text);
}

/* ---- units of a site ---- */

/* By site the index of the first one and 1, so that zeroed memory has none. */
static void link_unit(struct core *core, uint32_t i, uint32_t site)
{
    struct registry *r = &core->registry;
    struct unit *u = &r->unit[i];
    u->site = site;
    u->prev = INDEX_NONE;
    u->next = r->first[site] - 1; /* 0: INDEX_NONE */
    if (u->next != INDEX_NONE)
        r->unit[u->next].prev = i;
    r->first[site] = i + 1;
}

static void unlink_unit(struct core *core, uint32_t i)
{
    struct registry *r = &core->registry;
    const struct unit *u = &r->unit[i];
    if (u->next != INDEX_NONE)
        r->unit[u->next].prev = u->prev;
    if (u->prev != INDEX_NONE)
        r->unit[u->prev].next = u->next;
    else
        r->first[u->site] = u->next + 1;
}

void unit_move(struct core *core, struct unit *u, uint32_t site)
{
    uint32_t i = (uint32_t)(u - core->registry.unit);
    u->row.from = u->row.site;
    u->row.site = core->net.site[site].row.id;
    u->row.moved_ms = core->now_ms;
    u->row.moves++;
    unlink_unit(core, i);
    link_unit(core, i, site);
    unit_past(core, u, UNIT_PAST_MOVED, &u->row.site, &u->row.from, NULL);
}

static void set_state(struct core *core, struct unit *u, uint32_t state)
{
    if (u->row.state == state)
        return;
    core->registry.count[u->row.state]--;
    core->registry.count[state]++;
    u->row.state = state;
    u->row.since_ms = core->now_ms;
}

/* ---- what sites say ---- */

static uint32_t unit_by_name(const struct core *core, const char name[UNIT_NAME_CAP])
{
    return map_get(&core->registry.unit_names, name, text_len(name, UNIT_NAME_CAP));
}

static bool plain(const char *text, size_t cap)
{
    size_t len = text_len(text, cap);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false; /* it is a line of facts */
    }
    return true;
}

/* VENDOR:REST, as it is written in paths and on command lines. */
static bool name_holds(const char *name, const char *vendor)
{
    size_t len = text_len(name, UNIT_NAME_CAP), n = text_len(vendor, UNIT_VENDOR_CAP);
    if (n == 0 || len < n + 2 || memcmp(name, vendor, n) != 0 || name[n] != ':' || !name_valid(vendor, n))
        return false;
    for (size_t i = n + 1; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '.' && c != '_' && c != ':' && c != '+')
            return false;
    }
    return true;
}

static size_t put_text(char dst[UNIT_NAME_CAP], size_t at, const char *text)
{
    size_t len = text_len(text, UNIT_NAME_CAP);
    if (len >= UNIT_NAME_CAP - at)
        return UNIT_NAME_CAP; /* it does not fit */
    memcpy(dst + at, text, len);
    return at + len;
}

bool unit_name_make(char dst[UNIT_NAME_CAP], const char *vendor, const char *serial, uint32_t die,
                    const char *maker_id)
{
    const char number[] = {'.', (char)('0' + die % 10), 0};
    memset(dst, 0, UNIT_NAME_CAP);
    size_t at = put_text(dst, 0, vendor);
    if (at < UNIT_NAME_CAP)
        at = put_text(dst, at, ":");
    if (at < UNIT_NAME_CAP)
        at = put_text(dst, at, serial[0] ? serial : maker_id);
    if (at < UNIT_NAME_CAP && serial[0] && die > 0)
        at = put_text(dst, at, number);
    if (at < UNIT_NAME_CAP && die < 10 && name_holds(dst, vendor))
        return true;
    memset(dst, 0, UNIT_NAME_CAP);
    return false;
}

static bool facts_hold(const struct event_unit_seen *e)
{
    return name_holds(e->name, e->vendor) && plain(e->maker_id, sizeof e->maker_id) &&
           plain(e->kind, sizeof e->kind) && plain(e->device, sizeof e->device) &&
           plain(e->model, sizeof e->model) && plain(e->origin, sizeof e->origin) &&
           plain(e->host, sizeof e->host) && plain(e->reason, sizeof e->reason) &&
           e->health < UNIT_HEALTHS_END;
}

static void take_facts(struct row_unit *row, const struct event_unit_seen *e)
{
#define TAKE(S, type, name, size) memcpy(&row->name, &e->name, sizeof row->name);
    UNIT_FACTS(TAKE, _)
#undef TAKE
}

static bool same_facts(const struct row_unit *row, const struct event_unit_seen *e)
{
    bool same = true;
#define SAME(S, type, name, size) same = same && memcmp(&row->name, &e->name, sizeof row->name) == 0;
    UNIT_FACTS(SAME, _)
#undef SAME
    return same;
}

static int add(struct core *core, const struct event_unit_seen *e, uint32_t site)
{
    struct registry *r = &core->registry;
    if (uuid_zero(&e->unit))
        return ERR_INVALID;
    if (map_get(&r->unit_map, &e->unit, sizeof e->unit) != MAP_NONE)
        return ERR_EXISTS;
    if (e->here > 1 && table_room(&r->alarms) == 0)
        return ERR_LIMIT;
    uint32_t i = table_take(&r->units);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct unit *u = &r->unit[i];
    *u = (struct unit){.row = {.id = e->unit,
                               .site = e->site,
                               .state = e->health == UNIT_HEALTH_BROKEN ? UNIT_FAILED : UNIT_PRESENT,
                               .since_ms = core->now_ms,
                               .first_ms = core->now_ms,
                               .seen_ms = core->now_ms}};
    take_facts(&u->row, e);
    r->count[u->row.state]++;
    link_unit(core, i, site);
    map_put(&r->unit_map, &u->row.id, sizeof u->row.id, i);
    map_put(&r->unit_names, u->row.name, text_len(u->row.name, UNIT_NAME_CAP), i);
    unit_past(core, u, UNIT_PAST_CAME, &u->row.site, NULL, u->row.reason);
    return e->here > 1 ? unit_alarm_raise(core, u, site, u->row.host) : 0;
}

/* At its own site: what is otherwise, and whether it is there twice. */
static int see(struct core *core, struct unit *u, const struct event_unit_seen *e)
{
    struct registry *r = &core->registry;
    const uint32_t before = u->row.state;
    const uint32_t state = e->health == UNIT_HEALTH_BROKEN ? UNIT_FAILED : UNIT_PRESENT;
    int rc = e->here > 1 ? unit_alarm_raise(core, u, u->site, e->host) : 0;
    if (rc != 0)
        return rc;
    if (e->here <= 1)
        (void)unit_alarm_clear(core, u, &e->site);
    if (before == state && same_facts(&u->row, e))
        return 0;
    take_facts(&u->row, e);
    set_state(core, u, state);
    u->row.seen_ms = core->now_ms;
    table_touch(&r->units, (uint32_t)(u - r->unit));
    if (before == UNIT_ABSENT)
        unit_past(core, u, UNIT_PAST_RETURNED, &u->row.site, NULL, u->row.reason);
    else if (before != state)
        unit_past(core, u, state == UNIT_FAILED ? UNIT_PAST_FAILED : UNIT_PAST_MENDED, &u->row.site, NULL,
                  u->row.reason);
    return 0;
}

int step_unit_seen(struct core *core, const struct event *event)
{
    const struct event_unit_seen *e = &event->u.unit_seen;
    struct registry *r = &core->registry;
    struct site_id site = site_by_id(core, &e->site);
    if (site.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (!facts_hold(e))
        return ERR_INVALID;
    uint32_t i = unit_by_name(core, e->name);
    if (i == MAP_NONE)
        return add(core, e, site.v);
    struct unit *u = &r->unit[i];
    if (u->site == site.v)
        return see(core, u, e);
    if (u->row.state != UNIT_ABSENT)
        return unit_alarm_raise(core, u, site.v, e->host);
    /* Its place before had lost it: it has come from there. */
    if (e->here > 1 && table_room(&r->alarms) == 0)
        return ERR_LIMIT;
    unit_move(core, u, site.v);
    take_facts(&u->row, e);
    set_state(core, u, e->health == UNIT_HEALTH_BROKEN ? UNIT_FAILED : UNIT_PRESENT);
    u->row.seen_ms = core->now_ms;
    table_touch(&r->units, i);
    return e->here > 1 ? unit_alarm_raise(core, u, site.v, e->host) : 0;
}

/* Who has it besides, as its site has lost it, is its home. False: nobody has. */
static bool inherit(struct core *core, struct unit *u)
{
    uint32_t heir = unit_alarm_heir(core, u);
    if (heir == INDEX_NONE)
        return false;
    const struct row_unit_alarm alarm = core->registry.alarm[heir].row;
    unit_move(core, u, site_by_id(core, &alarm.site).v);
    memcpy(u->row.host, alarm.host, sizeof u->row.host);
    (void)unit_alarm_clear(core, u, &alarm.site);
    return true;
}

int step_unit_gone(struct core *core, const struct event *event)
{
    const struct event_unit_gone *e = &event->u.unit_gone;
    struct registry *r = &core->registry;
    uint32_t i = map_get(&r->unit_map, &e->unit, sizeof e->unit);
    if (i == MAP_NONE || site_by_id(core, &e->site).v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct unit *u = &r->unit[i];
    if (!uuid_eq(&u->row.site, &e->site)) {
        (void)unit_alarm_clear(core, u, &e->site); /* without one it is so already: it has moved meanwhile */
        return 0;
    }
    if (u->row.state == UNIT_ABSENT)
        return 0;
    (void)unit_alarm_clear(core, u, &e->site); /* it was there twice */
    u->row.seen_ms = event->at_ms;
    table_touch(&r->units, i);
    if (inherit(core, u))
        return 0;
    set_state(core, u, UNIT_ABSENT);
    unit_past(core, u, UNIT_PAST_WENT, &u->row.site, NULL, NULL);
    return 0;
}

int step_unit_census(struct core *core, const struct event *event)
{
    const struct event_unit_census *e = &event->u.unit_census;
    struct registry *r = &core->registry;
    struct site_id site = site_by_id(core, &e->site);
    if (site.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (e->nameless > r->units.cap)
        return ERR_INVALID;
    uint32_t i = r->census_of[site.v] - 1;
    if (i == INDEX_NONE) {
        i = table_take(&r->censuses); /* one for each site */
        r->census_of[site.v] = i + 1;
    }
    table_touch(&r->censuses, i);
    r->census[i].row =
        (struct row_unit_census){.site = e->site, .seen_ms = event->at_ms, .nameless = e->nameless};
    return 0;
}

static void lose(struct core *core, struct unit *u)
{
    static const char why[TEXT_CAP] = "its site was removed";
    if (u->row.state == UNIT_ABSENT)
        return;
    u->row.seen_ms = view_unit_seen_ms(core, &u->row);
    table_touch(&core->registry.units, (uint32_t)(u - core->registry.unit));
    if (inherit(core, u))
        return;
    set_state(core, u, UNIT_ABSENT);
    memcpy(u->row.reason, why, sizeof u->row.reason);
    unit_past(core, u, UNIT_PAST_WENT, &u->row.site, NULL, why);
}

void registry_site_removed(struct core *core, uint32_t site)
{
    struct registry *r = &core->registry;
    for (uint32_t i = 0; i < r->alarms.used; i++) {
        const struct row_unit_alarm *row = &r->alarm[i].row;
        if (!table_live(&r->alarms, i) || !uuid_eq(&row->site, &core->net.site[site].row.id))
            continue;
        (void)unit_alarm_clear(core, &r->unit[map_get(&r->unit_map, &row->unit, sizeof row->unit)],
                               &core->net.site[site].row.id);
    }
    for (uint32_t i = r->first[site] - 1, next; i != INDEX_NONE; i = next) {
        next = r->unit[i].next;
        lose(core, &r->unit[i]);
    }
}

/* ---- what an operator says ---- */

int step_unit_declare(struct core *core, const struct event *event)
{
    const struct event_unit_declare *e = &event->u.unit_declare;
    struct registry *r = &core->registry;
    uint32_t i = map_get(&r->unit_map, &e->unit, sizeof e->unit);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    if (e->what == 0 || (e->what & ~(uint32_t)(UNIT_DECLARED_LICENCE | UNIT_DECLARED_ORIGIN)) != 0 ||
        !plain(e->licence, sizeof e->licence) || !plain(e->origin, sizeof e->origin))
        return ERR_INVALID;
    struct unit *u = &r->unit[i];
    char text[TEXT_CAP] = "";
    if (e->what & UNIT_DECLARED_LICENCE) {
        memcpy(u->row.licence, e->licence, sizeof u->row.licence);
        memcpy(text, e->licence, sizeof e->licence);
        unit_past(core, u, UNIT_PAST_LICENCE, NULL, NULL, text);
    }
    if (e->what & UNIT_DECLARED_ORIGIN) {
        memset(text, 0, sizeof text);
        memcpy(u->row.declared_origin, e->origin, sizeof u->row.declared_origin);
        memcpy(text, e->origin, sizeof e->origin);
        unit_past(core, u, UNIT_PAST_ORIGIN, NULL, NULL, text);
    }
    u->row.declared_ms = event->at_ms;
    table_touch(&r->units, i);
    return 0;
}

/* ---- rows ---- */

int load_unit(struct core *core, const struct row_unit *row)
{
    struct registry *r = &core->registry;
    struct site_id site = site_by_id(core, &row->site);
    if (site.v == INDEX_NONE || row->state == 0 || row->state >= UNIT_STATES_END ||
        row->health >= UNIT_HEALTHS_END || !name_holds(row->name, row->vendor) ||
        unit_by_name(core, row->name) != MAP_NONE ||
        map_get(&r->unit_map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&r->units);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    r->unit[i] = (struct unit){.row = *row};
    r->count[row->state]++;
    link_unit(core, i, site.v);
    map_put(&r->unit_map, &row->id, sizeof row->id, i);
    map_put(&r->unit_names, row->name, text_len(row->name, UNIT_NAME_CAP), i);
    return 0;
}

int load_unit_census(struct core *core, const struct row_unit_census *row)
{
    struct registry *r = &core->registry;
    struct site_id site = site_by_id(core, &row->site);
    if (site.v == INDEX_NONE || r->census_of[site.v] != 0)
        return ERR_CORRUPT;
    uint32_t i = table_take(&r->censuses);
    r->census[i].row = *row;
    r->census_of[site.v] = i + 1;
    return 0;
}
