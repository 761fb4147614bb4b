/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single chips of a site, as its agent says them (core/registry.h, docs/register.md).
 *
 * A call has all chips of one machine of the site; what the core has otherwise is made events. So a call may be made again, or be
 * lost, without harm, and one that says nothing new changes nothing. Chips that have neither serial nor UUID come as a number. The
 * answer names the machine that the core knows next after this one: of one that is not there any more the agent says that it has
 * nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/osrandom.h"
#include "core/registry.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/desk.h"
#include "network/netfile.h"

#define CHIPS_MAX 128 /* of a machine: PROBE_CHIPS_MAX */
#define EVENTS_MAX 512
#define NAMELESS_MAX 65536
#define CENSUS_MS (INT64_C(20) * 3600000) /* what is as it was is said once a day */

struct said {
    char host[NAME_CAP];
    struct event_unit_seen chip[CHIPS_MAX];
    uint32_t n, nameless;
    int64_t now_ms;
    struct event event[EVENTS_MAX];
    uint32_t nevents;
    bool more; /* than there is room for */
    char next[NAME_CAP];
    char alarm[UNIT_NAME_CAP], home[NAME_CAP]; /* the first that is raised, and who has it */
    uint32_t alarms;
};

static struct event *add_event(struct said *s, uint32_t kind)
{
    if (s->nevents == EVENTS_MAX) {
        s->more = true;
        return NULL;
    }
    s->event[s->nevents] = (struct event){.kind = kind};
    return &s->event[s->nevents++];
}

static bool same_text(const char *a, const char *b, size_t cap)
{
    return strncmp(a, b, cap) == 0;
}

/* ---- what is otherwise ---- */

/* What a tool does not tell now it told before; and why it is in this health is said once. */
static void keep_known(struct event_unit_seen *e, const struct row_unit *row)
{
#define KEEP(member) \
    if (e->member[0] == 0) \
        memcpy(e->member, row->member, sizeof e->member);
    KEEP(maker_id)
    KEEP(kind)
    KEEP(device)
    KEEP(model)
    KEEP(origin)
#undef KEEP
    if (e->health == row->health)
        memcpy(e->reason, row->reason, sizeof e->reason);
}

static bool is_same(const struct row_unit *row, const struct event_unit_seen *e)
{
    bool same = row->state == (e->health == UNIT_HEALTH_BROKEN ? UNIT_FAILED : UNIT_PRESENT);
#define SAME(S, type, name, size) same = same && memcmp(&row->name, &e->name, sizeof row->name) == 0;
    UNIT_FACTS(SAME, _)
#undef SAME
    return same;
}

static void note_alarm(struct said *s, const struct core *core, const struct row_unit *row)
{
    const struct row_site *home = view_site(core, &row->site);
    if (s->alarms++ > 0)
        return;
    memcpy(s->alarm, row->name, sizeof s->alarm);
    memcpy(s->home, home->name, sizeof s->home);
}

/* Of one that another site has as well, or this one in two of its machines: whether that is known. */
static bool settle_second(struct said *s, const struct core *core, const struct row_unit *row,
                          struct event_unit_seen *e, bool second)
{
    const struct row_unit_alarm *alarm = view_unit_alarm(core, &row->id, &e->site);
    bool known = alarm && alarm->gone_ms == 0;
    if (second && !known)
        note_alarm(s, core, row);
    return second ? known && same_text(alarm->host, e->host, NAME_CAP) : !known;
}

static void settle_chip(struct said *s, const struct core *core, const struct uuid *site,
                        struct event_unit_seen *e)
{
    const struct row_unit *row = view_unit_named(core, e->name, text_len(e->name, sizeof e->name));
    bool same = false;
    e->site = *site;
    memcpy(e->host, s->host, sizeof e->host);
    if (!row) {
        e->unit = uuid_new();
    } else if (uuid_eq(&row->site, site)) {
        e->unit = row->id;
        keep_known(e, row);
        if (e->here > 1 && row->state != UNIT_ABSENT)
            memcpy(e->host, row->host, sizeof e->host); /* it is in both: where it was stays */
        same = settle_second(s, core, row, e, e->here > 1) && is_same(row, e);
    } else {
        e->unit = row->id;
        same = row->state != UNIT_ABSENT && settle_second(s, core, row, e, true);
    }
    struct event *event = same ? NULL : add_event(s, EVENT_KIND_unit_seen);
    if (event)
        event->u.unit_seen = *e;
}

static bool is_said(const struct said *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (same_text(s->chip[i].name, name, UNIT_NAME_CAP))
            return true;
    }
    return false;
}

static void add_gone(struct said *s, const struct uuid *unit, const struct uuid *site)
{
    struct event *event = add_event(s, EVENT_KIND_unit_gone);
    if (event)
        event->u.unit_gone = (struct event_unit_gone){.unit = *unit, .site = *site};
}

/* The first after this one in the order of their names, and after the last one the first. */
static void note_host(struct said *s, const char *host)
{
    int after = strncmp(host, s->host, NAME_CAP), best = strncmp(s->next, s->host, NAME_CAP);
    bool better = s->next[0] == 0 || (after > 0 && best < 0) ||
                  ((after > 0) == (best > 0) && strncmp(host, s->next, NAME_CAP) < 0);
    if (after != 0 && better)
        memcpy(s->next, host, sizeof s->next);
}

static void settle_gone(struct said *s, const struct core *core, const struct uuid *site)
{
    const struct row_unit *row;
    const struct row_unit_alarm *alarm;
    for (uint32_t pos = 0; (row = view_site_unit_at(core, site, &pos)) != NULL;) {
        if (row->state == UNIT_ABSENT)
            continue;
        note_host(s, row->host);
        if (same_text(row->host, s->host, NAME_CAP) && !is_said(s, row->name))
            add_gone(s, &row->id, site);
    }
    for (uint32_t pos = 0; (alarm = view_unit_alarm_at(core, &pos)) != NULL;) {
        if (alarm->gone_ms != 0 || !uuid_eq(&alarm->site, site))
            continue;
        row = view_unit(core, &alarm->unit);
        if (uuid_eq(&row->site, site))
            continue; /* of one that it has twice */
        note_host(s, alarm->host);
        if (same_text(alarm->host, s->host, NAME_CAP) && !is_said(s, row->name))
            add_gone(s, &row->id, site);
    }
}

static void settle_census(struct said *s, const struct core *core, const struct uuid *site)
{
    const struct row_unit_census *row = view_unit_census(core, site);
    if (row ? row->nameless == s->nameless && s->now_ms - row->seen_ms < CENSUS_MS
            : s->n == 0 && s->nameless == 0) /* a machine without any */
        return;
    struct event *event = add_event(s, EVENT_KIND_unit_census);
    if (event)
        event->u.unit_census = (struct event_unit_census){.site = *site, .nameless = s->nameless};
}

static void look(struct visit *visit, const struct core *core)
{
    struct said *s = visit->data;
    for (uint32_t i = 0; i < s->n; i++)
        settle_chip(s, core, &visit->site, &s->chip[i]);
    settle_gone(s, core, &visit->site);
    settle_census(s, core, &visit->site);
}

/* ---- and is changed ---- */

static void finish(struct visit *visit, int rc)
{
    const struct said *s = visit->data;
    struct buf out;
    if (rc != 0)
        log_error("chips", "site=%s host=%s error=\"%s\"", visit->name, s->host, err_text(rc));
    if (rc == 0 && s->alarms > 0)
        log_warn("chip_at_two_places", "chip=%s site=%s also=%s alarms=%u", s->alarm, s->home, visit->name,
                 s->alarms);
    if (!visit->request)
        return;
    if (rc != 0) {
        hub_refuse(visit->request, rc, rc == ERR_LIMIT ? "The register of chips is full." : "");
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_addf(&out, ",\"changes\":%u,\"more\":%s,\"next\":", s->nevents, s->more ? "true" : "false");
    buf_add_json(&out, s->next, text_len(s->next, sizeof s->next));
    visit_end(visit, &out);
}

static void answer(struct visit *visit)
{
    struct said *s = visit->data;
    visit_post(visit, s->event, s->nevents, finish);
}

/* ---- what the site says ---- */

/* A member that is not there is not known. False: it is no text, does not fit, or is no line of plain words. */
static bool take_text(yyjson_val *item, const char *name, char *dst, size_t cap)
{
    yyjson_val *v = yyjson_obj_get(item, name);
    if (!v || yyjson_is_null(v))
        return true;
    if (!yyjson_is_str(v) || !text_set(dst, cap, yyjson_get_str(v), yyjson_get_len(v)))
        return false;
    for (const char *p = dst; *p; p++) {
        if (*p < ' ' || *p > '~')
            return false;
    }
    return true;
}

static bool take_health(yyjson_val *item, uint32_t *out)
{
    yyjson_val *v = yyjson_obj_get(item, "health");
    for (uint32_t i = 0; i < UNIT_HEALTHS_END; i++) {
        *out = i;
        if (v ? yyjson_equals_str(v, unit_health_text(i)) : i == UNIT_HEALTH_UNKNOWN)
            return true;
    }
    return false;
}

/* The catalogue says where chips of a kind are made; a kind that it does not have is none. */
static void take_origin(struct event_unit_seen *e, const struct netfile *catalogue)
{
    struct event chip;
    if (e->kind[0] && netfile_chip_event(catalogue, e->kind, &chip))
        memcpy(e->origin, chip.u.chip_add.origin, sizeof e->origin);
    else
        memset(e->kind, 0, sizeof e->kind);
}

static int take_chip(struct said *s, const struct netfile *catalogue, yyjson_val *item, struct err *err)
{
    struct event_unit_seen *e = &s->chip[s->n];
    yyjson_val *die = yyjson_obj_get(item, "die");
    char serial[UNIT_TEXT_CAP] = "";
    if (s->n == CHIPS_MAX || !yyjson_is_obj(item))
        return err_set(err, ERR_INVALID, "chips: a list of objects, %d at most", CHIPS_MAX);
    *e = (struct event_unit_seen){.here = 1};
    if (!take_text(item, "vendor", e->vendor, sizeof e->vendor) ||
        !take_text(item, "serial", serial, sizeof serial) ||
        !take_text(item, "uuid", e->maker_id, sizeof e->maker_id) ||
        !take_text(item, "kind", e->kind, sizeof e->kind) ||
        !take_text(item, "id", e->device, sizeof e->device) ||
        !take_text(item, "model", e->model, sizeof e->model) ||
        !take_text(item, "health_text", e->reason, sizeof e->reason) || !take_health(item, &e->health) ||
        (die && (!yyjson_is_uint(die) || yyjson_get_uint(die) > 9)))
        return err_set(
            err, ERR_INVALID,
            "chips: vendor, serial, uuid, kind, id, model, health_text are short plain texts, die a "
            "small number, health one of ok, warning, failed, unknown");
    if (!unit_name_make(e->name, e->vendor, serial, (uint32_t)yyjson_get_uint(die), e->maker_id))
        return 0; /* the agent counts it among those without a name */
    take_origin(e, catalogue);
    for (uint32_t i = 0; i < s->n; i++) {
        if (same_text(s->chip[i].name, e->name, UNIT_NAME_CAP)) {
            s->chip[i].here++;
            return 0;
        }
    }
    yyjson_val *here = yyjson_obj_get(item, "here"); /* in other machines of the site, too */
    if (yyjson_is_uint(here) && yyjson_get_uint(here) > 1)
        e->here = 2;
    s->n++;
    return 0;
}

int desk_take_chips(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct said *s = calloc(1, sizeof *s);
    yyjson_val *chips = yyjson_obj_get(root, "chips"), *nameless = yyjson_obj_get(root, "nameless"), *item;
    const struct desk_config *config = desk_config(visit_desk(visit));
    int rc = 0;
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = s;
    visit->drop = free;
    visit->look = look;
    visit->answer = answer;
    s->now_ms = runtime_now_ms(config->runtime);
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!take_text(root, "host", s->host, sizeof s->host) || s->host[0] == 0)
        return err_set(err, ERR_INVALID, "host: the name of the machine");
    if (!yyjson_is_arr(chips) ||
        (nameless && (!yyjson_is_uint(nameless) || yyjson_get_uint(nameless) > NAMELESS_MAX)))
        return err_set(err, ERR_INVALID, "chips: must be a list; nameless: how many have no serial");
    yyjson_arr_iter it = yyjson_arr_iter_with(chips);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = take_chip(s, config->catalogue, item, err);
    s->nameless = (uint32_t)yyjson_get_uint(nameless);
    if (rc == 0)
        visit_ask(visit);
    return rc;
}
