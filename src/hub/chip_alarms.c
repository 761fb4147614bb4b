/* SPDX-License-Identifier: Apache-2.0 */
/* Chips that are seen at two places: listed, resolved, and told in `busbar status`. */
#include <stdlib.h>
#include <string.h>

#include "hub/chips.h"

static void add_site_name(struct buf *out, const struct core *core, const char *name, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    if (site)
        add_text(out, name, site->name, sizeof site->name);
}

void render_chip_alarm(struct buf *out, const struct core *core, const struct row_unit_alarm *row)
{
    const struct row_unit *unit = view_unit(core, &row->unit);
    buf_add_char(out, '{');
    add_text(out, "chip", unit->name, sizeof unit->name);
    add_site_name(out, core, "site", &row->home);
    add_site_name(out, core, "also_at", &row->site);
    add_text(out, "host", row->host, sizeof row->host);
    buf_addf(out, ",\"state\":\"%s\"", row->resolved_ms ? "resolved" : row->gone_ms ? "over" : "open");
    add_time(out, "since", row->since_ms);
    add_time(out, "raised", row->raised_ms);
    add_time(out, "over", row->gone_ms);
    add_time(out, "resolved", row->resolved_ms);
    add_text(out, "note", row->note, sizeof row->note);
}

static int list_parse(struct api_call *call)
{
    bool *all = call->data = calloc(1, sizeof *all);
    char text[16];
    if (!all)
        return ERR_NO_MEMORY;
    if (!call_query(call, "all", text, sizeof text))
        return 0;
    *all = strcmp(text, "true") == 0;
    return *all || strcmp(text, "false") == 0
               ? 0
               : err_set(&call->err, ERR_INVALID, "all: must be true or false");
}

/* Those that nobody has resolved; with `all` the others, too. */
static int list(struct api_call *call, const struct core *core)
{
    const bool *all = call->data;
    const struct row_unit_alarm *row;
    uint32_t limit, n = 0, pos;
    uint64_t from;
    int rc = call_page_from(call, UINT32_MAX, &limit, &from);
    if (rc != 0)
        return rc;
    buf_add_text(&call->out, "{\"data\":[");
    pos = (uint32_t)from;
    for (uint32_t at = pos; (row = view_unit_alarm_at(core, &pos)) != NULL; at = pos) {
        if (row->resolved_ms != 0 && !*all)
            continue;
        if (n == limit) {
            page_end_at(&call->out, true, at);
            return 0;
        }
        buf_add_text(&call->out, n++ ? "," : "");
        render_chip_alarm(&call->out, core, row);
        buf_add_char(&call->out, '}');
    }
    page_end_at(&call->out, false, 0);
    return 0;
}

/* ---- resolved ---- */

struct resolving {
    char chip[UNIT_NAME_CAP], site[NAME_CAP];
};

static int resolve_parse(struct api_call *call)
{
    static const char *const members[] = {"chip", "site", "note", NULL};
    struct event_unit_resolve *e = &call->events[0].u.unit_resolve;
    struct resolving *r = call->data = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->events[0].kind = EVENT_KIND_unit_resolve;
    call->nevents = 1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "chip", true, r->chip, sizeof r->chip);
    if (rc == 0)
        rc = body_text(call, "site", true, r->site, sizeof r->site);
    if (rc == 0)
        rc = body_text(call, "note", true, e->note, sizeof e->note);
    for (const char *p = e->note; rc == 0 && *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            rc = err_set(&call->err, ERR_INVALID, "note: must be one line");
    }
    if (rc == 0 && e->note[0] == 0)
        rc = err_set(&call->err, ERR_INVALID, "note: must say what was found");
    return rc;
}

static int resolve_prepare(struct api_call *call, const struct core *core)
{
    const struct resolving *r = call->data;
    struct event_unit_resolve *e = &call->events[0].u.unit_resolve;
    const struct row_unit *unit = call_chip(call, core, r->chip);
    const struct row_site *site = unit ? view_site_named(core, r->site, strlen(r->site)) : NULL;
    const struct row_unit_alarm *alarm = site ? view_unit_alarm(core, &unit->id, &site->id) : NULL;
    if (!unit)
        return ERR_NOT_FOUND;
    if (!site)
        return err_set(&call->err, ERR_NOT_FOUND, "There is no site %s.", r->site);
    if (!alarm)
        return err_set(&call->err, ERR_NOT_FOUND, "No alarm says that %s is at %s, too.", unit->name,
                       site->name);
    if (alarm->resolved_ms != 0)
        return err_set(&call->err, ERR_WRONG_STATE, "It is resolved already.");
    e->unit = unit->id;
    e->site = site->id;
    return 0;
}

static int resolve_finish(struct api_call *call, const struct core *core)
{
    const struct event_unit_resolve *e = &call->events[0].u.unit_resolve;
    const struct row_unit_alarm *row = view_unit_alarm(core, &e->unit, &e->site);
    if (!row)
        return ERR_NOT_FOUND; /* it gave its place away meanwhile */
    render_chip_alarm(&call->out, core, row);
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_chip_alarms = {.parse = list_parse, .finish = list};
const struct api_handler api_chip_resolve = {
    .parse = resolve_parse, .prepare = resolve_prepare, .finish = resolve_finish};

/* ---- in `busbar status` and in metrics ---- */

void add_chip_status(struct buf *out, const struct core *core)
{
    const struct unit_counts n = view_unit_counts(core);
    const struct row_unit_alarm *row;
    const struct row_unit_census *census;
    const struct row_site *site;
    uint32_t shown = 0, nameless = 0;
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        census = view_unit_census(core, &site->id);
        nameless += census ? census->nameless : 0;
    }
    buf_addf(out,
             ",\"chips\":{\"present\":%u,\"failed\":%u,\"absent\":%u,\"nameless\":%u,\"alarms\":%u},\"chip_"
             "alarms\":[",
             n.state[UNIT_PRESENT], n.state[UNIT_FAILED], n.state[UNIT_ABSENT], nameless, n.alarms);
    for (uint32_t pos = 0; shown < CHIP_ALARMS_SHOWN && (row = view_unit_alarm_at(core, &pos)) != NULL;) {
        const struct row_unit *unit = view_unit(core, &row->unit);
        if (row->resolved_ms != 0)
            continue;
        buf_add_text(out, shown++ ? "," : "");
        buf_add_json(out, unit->name, text_len(unit->name, sizeof unit->name));
    }
    buf_add_char(out, ']');
}

void add_chip_metrics(struct buf *out, const struct core *core)
{
    const struct unit_counts n = view_unit_counts(core);
    buf_addf(out,
             "# HELP busbar_chips Single chips in the register.\n# TYPE busbar_chips gauge\n"
             "busbar_chips{state=\"present\"} %u\nbusbar_chips{state=\"failed\"} %u\n"
             "busbar_chips{state=\"absent\"} %u\n"
             "# HELP busbar_chip_alarms Chips seen at two places, not resolved.\n"
             "# TYPE busbar_chip_alarms gauge\nbusbar_chip_alarms %u\n",
             n.state[UNIT_PRESENT], n.state[UNIT_FAILED], n.state[UNIT_ABSENT], n.alarms);
}
