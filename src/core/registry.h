/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register of single chips: which ones there are, at which site, since when, in what health, under which declared licence.
 *
 * A unit is told by its name, VENDOR:SERIAL (the maker's UUID where there is no serial); chips without either are counted by site
 * and no more. It is at one site at a time. A site that says it has one which another site had, and has not any more, has got it:
 * it moved. While the other one still has it, nothing of it is changed but that there is an alarm, a row that stays until an
 * operator says what was found, whoever has it then; so does a site that says one name twice of a machine. If the home of such
 * a unit loses it, it moves to who has it besides, and the alarm stays.
 *
 * Sites say what changes, and once a day that the rest is as it was: a unit that is there was last seen at its site's census. What
 * becomes of one is kept for ever in the store (row unit_past), of which core has nothing. Nothing is ever dropped from the
 * register but alarms that were resolved, the oldest first, where there would be no place for another one; past limits.units
 * what comes is refused. Bounds: limits.units, UNIT_ALARMS_MAX. Nothing is decided by this: no dispatch looks here.
 */
#ifndef BUSBAR_CORE_REGISTRY_H
#define BUSBAR_CORE_REGISTRY_H

#include "base/map.h"
#include "core/core.h"
#include "core/kinds.h"
#include "core/table.h"

/* Of a batch: an event tells of one unit, in up to three lines. */
#define UNIT_PASTS_MAX (3 * BATCH_EVENTS_MAX)

struct unit {
    struct row_unit row;
    uint32_t site;       /* index */
    uint32_t next, prev; /* of the same site, INDEX_NONE: the last, the first */
    uint32_t alarms;     /* of it */
    uint32_t open;       /* of these, not resolved */
};

struct unit_alarm {
    struct row_unit_alarm row;
};

struct unit_census {
    struct row_unit_census row;
};

struct registry {
    struct table units, alarms, censuses;
    struct unit *unit;
    struct unit_alarm *alarm;
    struct unit_census *census;
    uint32_t *first;     /* by site: its units */
    uint32_t *census_of; /* by site, INDEX_NONE: it has said nothing */
    struct map unit_map, unit_names, alarm_map;
    uint32_t count[UNIT_STATES_END]; /* by state */
    uint32_t open_alarms;            /* not resolved */
    struct row_unit_past *past;      /* of the open batch */
    uint32_t npast;
};

/* VENDOR:SERIAL, and of the second device of a card .1 behind it; VENDOR:UUID where there is no serial. False, and "": it has neither,
 * its maker is not known, or it could not be written in a path. */
bool unit_name_make(char dst[UNIT_NAME_CAP], const char *vendor, const char *serial, uint32_t die,
                    const char *maker_id);

/* ---- what others see ---- */

/* NULL: there is none. The name as it is written. */
const struct row_unit *view_unit(const struct core *core, const struct uuid *id);
const struct row_unit *view_unit_named(const struct core *core, const char *name, size_t len);
const struct row_unit *view_unit_at(const struct core *core, uint32_t *pos);
/* Those of one site, in no order; begin with *pos 0, end with NULL. */
const struct row_unit *view_site_unit_at(const struct core *core, const struct uuid *site, uint32_t *pos);
/* Alarms, also those that were resolved: all, of a unit, of a unit and a site; whether the unit has one that is not resolved. */
const struct row_unit_alarm *view_unit_alarm_at(const struct core *core, uint32_t *pos);
const struct row_unit_alarm *view_alarm_of_unit_at(const struct core *core, const struct row_unit *row,
                                                   uint32_t *pos);
const struct row_unit_alarm *view_unit_alarm(const struct core *core, const struct uuid *unit,
                                             const struct uuid *site);
bool view_unit_alarmed(const struct core *core, const struct row_unit *row);
/* NULL: the site has said nothing yet. */
const struct row_unit_census *view_unit_census(const struct core *core, const struct uuid *site);
/* When it was last there, as far as is known. */
int64_t view_unit_seen_ms(const struct core *core, const struct row_unit *row);
/* By enum unit_state; alarms that are not resolved. */
struct unit_counts {
    uint32_t state[UNIT_STATES_END], alarms;
};
struct unit_counts view_unit_counts(const struct core *core);

/* ---- for the files of core ---- */

void registry_carve(struct core *core, struct arena *arena);
void registry_collect(struct core *core, row_fn *fn, void *ctx);
bool registry_holds(const struct core *core);
/* Sees that there is a place for another alarm, where one can be had: at a boot. */
void registry_anew(struct core *core);
/* It is no member any more: what it had is absent. */
void registry_site_removed(struct core *core, uint32_t site);
/* One more line of its past; `text` has TEXT_CAP bytes, NULL: none. */
void unit_past(struct core *core, const struct unit *u, uint32_t what, const struct uuid *site,
               const struct uuid *from, const char *text);
/* The unit is at another site from now on. */
void unit_move(struct core *core, struct unit *u, uint32_t site);
int load_unit(struct core *core, const struct row_unit *row);
int load_unit_alarm(struct core *core, const struct row_unit_alarm *row);
int load_unit_census(struct core *core, const struct row_unit_census *row);

/* core/registry_alarm.c: the site has it, while its home has it too, or has it twice; ERR_LIMIT with nothing changed. */
int unit_alarm_raise(struct core *core, struct unit *u, uint32_t site, const char host[NAME_CAP]);
/* The site does not have it besides any more. False: it did not. */
bool unit_alarm_clear(struct core *core, struct unit *u, const struct uuid *site);
/* Who has it besides, the one that has it for longest; INDEX_NONE: nobody. */
uint32_t unit_alarm_heir(const struct core *core, const struct unit *u);
/* core/notice.c: tells tenants of operators and overseers that have a webhook. */
bool notice_chip(struct core *core, const struct row_unit_alarm *alarm);

#endif
