/* SPDX-License-Identifier: Apache-2.0 */
/* Units at two places, what holds of the register, and what others see of it (core/registry.h). */
#include <string.h>

#include "base/err.h"
#include "core/registry.h"
#include "core/state.h"

struct alarm_key {
    struct uuid unit, site;
};

static uint32_t find(const struct core *core, const struct uuid *unit, const struct uuid *site)
{
    const struct alarm_key key = {*unit, *site};
    return map_get(&core->registry.alarm_map, &key, sizeof key);
}

/* Nobody has found out why, or it is still so. */
static bool is_open(const struct row_unit_alarm *row)
{
    return row->resolved_ms == 0 || row->gone_ms == 0;
}

static struct unit *unit_of(const struct core *core, const struct row_unit_alarm *row)
{
    return &core->registry.unit[map_get(&core->registry.unit_map, &row->unit, sizeof row->unit)];
}

static void count_open(struct registry *r, struct unit *u, int by)
{
    u->open += (uint32_t)by;
    r->open_alarms += (uint32_t)by;
}

/* ---- raised and cleared ---- */

/* A place for one more: the one that was resolved first goes, if there is none. The log has what is dropped. Its place is free once
 * that was collected, so there is one kept free. */
void registry_anew(struct core *core)
{
    struct registry *r = &core->registry;
    uint32_t oldest = INDEX_NONE;
    for (uint32_t i = 0; i < r->alarms.used && table_room(&r->alarms) == 0; i++) {
        const struct row_unit_alarm *row = &r->alarm[i].row;
        if (table_live(&r->alarms, i) && !is_open(row) &&
            (oldest == INDEX_NONE || row->resolved_ms < r->alarm[oldest].row.resolved_ms))
            oldest = i;
    }
    if (oldest == INDEX_NONE)
        return;
    unit_of(core, &r->alarm[oldest].row)->alarms--;
    map_remove(&r->alarm_map, &r->alarm[oldest].row, sizeof(struct alarm_key));
    table_drop(&r->alarms, oldest);
}

int unit_alarm_raise(struct core *core, struct unit *u, uint32_t site, const char host[NAME_CAP])
{
    struct registry *r = &core->registry;
    const struct uuid *where = &core->net.site[site].row.id;
    uint32_t i = find(core, &u->row.id, where);
    if (i != MAP_NONE && r->alarm[i].row.gone_ms == 0) {
        if (memcmp(r->alarm[i].row.host, host, NAME_CAP) != 0) {
            memcpy(r->alarm[i].row.host, host, NAME_CAP);
            table_touch(&r->alarms, i);
        }
        return 0;
    }
    if (i == MAP_NONE) {
        i = table_take(&r->alarms);
        if (i == INDEX_NONE)
            return ERR_LIMIT;
        u->alarms++;
        count_open(r, u, 1);
        r->alarm[i].row =
            (struct row_unit_alarm){.unit = u->row.id, .site = *where, .since_ms = core->now_ms};
        map_put(&r->alarm_map, &r->alarm[i].row, sizeof(struct alarm_key), i);
        registry_anew(core);
    }
    struct row_unit_alarm *row = &r->alarm[i].row;
    if (row->resolved_ms != 0)
        count_open(r, u, 1);
    row->home = u->row.site;
    memcpy(row->host, host, NAME_CAP);
    row->raised_ms = core->now_ms;
    row->gone_ms = row->resolved_ms = 0;
    row->told = 0;
    memset(row->note, 0, sizeof row->note);
    row->told = notice_chip(core, row);
    table_touch(&r->alarms, i);
    unit_past(core, u, UNIT_PAST_ALARM, where, &u->row.site, NULL);
    return 0;
}

bool unit_alarm_clear(struct core *core, struct unit *u, const struct uuid *site)
{
    struct registry *r = &core->registry;
    uint32_t i = u->alarms > 0 ? find(core, &u->row.id, site) : MAP_NONE;
    if (i == MAP_NONE || r->alarm[i].row.gone_ms != 0)
        return false;
    struct row_unit_alarm *row = &r->alarm[i].row;
    row->gone_ms = core->now_ms;
    table_touch(&r->alarms, i);
    unit_past(core, u, UNIT_PAST_CLEARED, &row->site, &row->home, NULL);
    return true;
}

/* By what is in rows, so that it is the same one after a reload. */
static bool before(const struct row_unit_alarm *a, const struct row_unit_alarm *b)
{
    return a->raised_ms != b->raised_ms ? a->raised_ms < b->raised_ms
                                        : memcmp(&a->site, &b->site, sizeof a->site) < 0;
}

uint32_t unit_alarm_heir(const struct core *core, const struct unit *u)
{
    const struct registry *r = &core->registry;
    uint32_t heir = INDEX_NONE;
    for (uint32_t i = 0; i < r->alarms.used && u->alarms > 0; i++) {
        const struct row_unit_alarm *row = &r->alarm[i].row;
        if (table_live(&r->alarms, i) && row->gone_ms == 0 && uuid_eq(&row->unit, &u->row.id) &&
            (heir == INDEX_NONE || before(row, &r->alarm[heir].row)))
            heir = i;
    }
    return heir;
}

int step_unit_resolve(struct core *core, const struct event *event)
{
    const struct event_unit_resolve *e = &event->u.unit_resolve;
    struct registry *r = &core->registry;
    uint32_t i = find(core, &e->unit, &e->site), len = (uint32_t)text_len(e->note, sizeof e->note);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    struct row_unit_alarm *row = &r->alarm[i].row;
    for (uint32_t k = 0; k < len; k++) {
        if ((unsigned char)e->note[k] < ' ' || e->note[k] == 0x7f)
            return ERR_INVALID; /* it is a line of facts */
    }
    if (len == 0)
        return ERR_INVALID;
    if (row->resolved_ms != 0)
        return ERR_WRONG_STATE;
    row->resolved_ms = event->at_ms;
    memcpy(row->note, e->note, sizeof row->note);
    count_open(r, unit_of(core, row), -1);
    table_touch(&r->alarms, i);
    unit_past(core, unit_of(core, row), UNIT_PAST_RESOLVED, &row->site, &row->home, row->note);
    return 0;
}

int load_unit_alarm(struct core *core, const struct row_unit_alarm *row)
{
    struct registry *r = &core->registry;
    uint32_t unit = map_get(&r->unit_map, &row->unit, sizeof row->unit);
    if (unit == MAP_NONE || site_by_id(core, &row->site).v == INDEX_NONE ||
        site_by_id(core, &row->home).v == INDEX_NONE || find(core, &row->unit, &row->site) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = table_take(&r->alarms);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    r->alarm[i].row = *row;
    map_put(&r->alarm_map, &r->alarm[i].row, sizeof(struct alarm_key), i);
    r->unit[unit].alarms++;
    if (row->resolved_ms == 0)
        count_open(r, &r->unit[unit], 1);
    return 0;
}

/* ---- what holds ---- */

bool registry_holds(const struct core *core)
{
    const struct registry *r = &core->registry;
    uint32_t count[UNIT_STATES_END] = {0}, linked = 0, alarms = 0, raised = 0, open = 0;
    for (uint32_t s = 0; s < core->net.sites.used; s++) {
        uint32_t last = INDEX_NONE;
        for (uint32_t i = r->first[s] - 1; i != INDEX_NONE; last = i, i = r->unit[i].next) {
            const struct unit *u = &r->unit[i];
            if (u->site != s || u->prev != last || linked++ == r->units.live ||
                !uuid_eq(&u->row.site, &core->net.site[s].row.id))
                return false;
            count[u->row.state]++;
            alarms += u->alarms;
            open += u->open;
            if (u->open > u->alarms)
                return false;
        }
    }
    for (uint32_t i = 0; i < r->alarms.used; i++) {
        const struct row_unit_alarm *row = &r->alarm[i].row;
        if (!table_live(&r->alarms, i))
            continue;
        if (map_get(&r->unit_map, &row->unit, sizeof row->unit) == MAP_NONE)
            return false;
        raised += row->resolved_ms == 0;
    }
    return linked == r->units.live && alarms == r->alarms.live && raised == r->open_alarms &&
           open == raised && memcmp(count, r->count, sizeof count) == 0;
}

/* ---- what others see ---- */

const struct row_unit *view_unit(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->registry.unit_map, id, sizeof *id);
    return i == MAP_NONE ? NULL : &core->registry.unit[i].row;
}

const struct row_unit *view_unit_named(const struct core *core, const char *name, size_t len)
{
    uint32_t i = map_get(&core->registry.unit_names, name, len);
    return i == MAP_NONE ? NULL : &core->registry.unit[i].row;
}

const struct row_unit *view_unit_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->registry.units.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->registry.units, i))
            return &core->registry.unit[i].row;
    }
    return NULL;
}

/* *pos: the index of the one that is next, and 2; 1: that was the last. */
const struct row_unit *view_site_unit_at(const struct core *core, const struct uuid *site, uint32_t *pos)
{
    const struct registry *r = &core->registry;
    struct site_id id = site_by_id(core, site);
    if (*pos == 0 && id.v != INDEX_NONE)
        *pos = r->first[id.v] + 1;
    if (*pos <= 1)
        return NULL;
    const struct unit *u = &r->unit[*pos - 2];
    *pos = u->next + 2;
    return &u->row;
}

const struct row_unit_alarm *view_unit_alarm_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->registry.alarms.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->registry.alarms, i))
            return &core->registry.alarm[i].row;
    }
    return NULL;
}

const struct row_unit_alarm *view_unit_alarm(const struct core *core, const struct uuid *unit,
                                             const struct uuid *site)
{
    uint32_t i = find(core, unit, site);
    return i == MAP_NONE ? NULL : &core->registry.alarm[i].row;
}

const struct row_unit_alarm *view_alarm_of_unit_at(const struct core *core, const struct row_unit *row,
                                                   uint32_t *pos)
{
    const struct registry *r = &core->registry;
    const struct row_unit_alarm *alarm = NULL;
    if (r->unit[map_get(&r->unit_map, &row->id, sizeof row->id)].alarms == 0)
        return NULL;
    while ((alarm = view_unit_alarm_at(core, pos)) != NULL && !uuid_eq(&alarm->unit, &row->id))
        continue;
    return alarm;
}

bool view_unit_alarmed(const struct core *core, const struct row_unit *row)
{
    return core->registry.unit[map_get(&core->registry.unit_map, &row->id, sizeof row->id)].open > 0;
}

const struct row_unit_census *view_unit_census(const struct core *core, const struct uuid *site)
{
    struct site_id id = site_by_id(core, site);
    uint32_t i = id.v == INDEX_NONE ? INDEX_NONE : core->registry.census_of[id.v] - 1;
    return i == INDEX_NONE ? NULL : &core->registry.census[i].row;
}

int64_t view_unit_seen_ms(const struct core *core, const struct row_unit *row)
{
    const struct row_unit_census *census =
        row->state == UNIT_ABSENT ? NULL : view_unit_census(core, &row->site);
    return census && census->seen_ms > row->seen_ms ? census->seen_ms : row->seen_ms;
}

struct unit_counts view_unit_counts(const struct core *core)
{
    struct unit_counts out = {.alarms = core->registry.open_alarms};
    memcpy(out.state, core->registry.count, sizeof out.state);
    return out;
}
