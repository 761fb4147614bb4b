/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/osrandom.h"
#include "core/kinds.h"
#include "hub/cached.h"
#include "hub/door.h"
#include "hub/joining.h"

static const char *joined_text(const struct row_member *member, int64_t now_ms)
{
    if (member && member->joined_ms > 0)
        return "yes";
    return member && member->expires_ms > now_ms ? "invited" : "no";
}

/* Models that are served there, and what may keep more from coming. */
static void render_serving(struct api_call *call, const struct core *core, const struct row_site *site)
{
    static const char *const words[] = {"null", "false", "true"}; /* it has not said; no; yes */
    const struct row_site *own = view_site_own(core);
    const struct row_replica *row;
    uint32_t replicas = 0, ready = 0;
    int can = own && uuid_eq(&own->id, &site->id) ? 1
              : call->hub->door                   ? door_serves(call->hub->door, &site->id)
                                                  : -1;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        bool here = uuid_eq(&row->site, &site->id);
        replicas += here;
        ready += here && view_takes_requests(row);
    }
    buf_addf(&call->out, ",\"serves\":%s,\"replicas\":%u,\"replicas_ready\":%u", words[can + 1], replicas,
             ready);
}

static void render_site(struct api_call *call, const struct core *core, const struct row_site *row)
{
    struct buf *out = &call->out;
    const struct row_member *member = view_member(core, &row->id);
    int64_t contact_ms = call->hub->door ? door_contact_ms(call->hub->door, &row->id) : 0;
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", row->name, sizeof row->name);
    add_text(out, "state", place_state_text(view_site_state(row)), NAME_CAP);
    add_text(out, "jurisdiction", row->jurisdiction, sizeof row->jurisdiction);
    add_text(out, "region", row->region, sizeof row->region);
    add_text(out, "owner", row->owner, sizeof row->owner);
    if (row->engine[0]) {
        add_text(out, "engine", row->engine, sizeof row->engine);
        add_text(out, "isolation", isolation_text(row->isolation), NAME_CAP);
    }
    add_text(out, "joined", joined_text(member, runtime_now_ms(call->hub->runtime)), NAME_CAP);
    add_time(out, "joined_at", member ? member->joined_ms : 0);
    add_time(out, "contact", contact_ms);
    render_serving(call, core, row);
    buf_add_char(out, '}');
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_site *row;
    uint32_t pos = 0, n = 0;
    buf_add_text(&call->out, "{\"data\":[");
    while ((row = view_site_at(core, &pos)) != NULL) {
        buf_add_text(&call->out, n++ ? "," : "");
        render_site(call, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show(struct api_call *call, const struct core *core)
{
    const struct row_site *row = call_site(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    render_site(call, core, row);
    buf_take_back(&call->out, '}');
    if (call->hub->door)
        cached_render(door_cached(call->hub->door), core, &row->id, &call->out);
    buf_add_char(&call->out, '}');
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_site *row = view_site(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_site(call, core, row);
    return 0;
}

/* ---- adding ---- */

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"name", "jurisdiction", "region", "owner", NULL};
    struct event_site_add *e = &call->events[0].u.site_add;
    call->events[0].kind = EVENT_KIND_site_add;
    call->nevents = 1;
    call->id = e->site = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_name(call, "name", e->name);
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, e->jurisdiction, sizeof e->jurisdiction);
    if (rc == 0)
        rc = body_text(call, "region", false, e->region, sizeof e->region);
    return rc ? rc : body_text(call, "owner", false, e->owner, sizeof e->owner);
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const char *name = call->events[0].u.site_add.name;
    if (view_site_named(core, name, strlen(name)))
        return err_set(&call->err, ERR_EXISTS, "There is a site %s already.", name);
    return 0;
}

/* ---- joining ---- */

static int token_prepare(struct api_call *call, const struct core *core)
{
    const struct row_site *row = call_site(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    if (strcmp(row->name, HUB_LOCAL_SITE) == 0)
        return err_set(&call->err, ERR_WRONG_STATE,
                       "This site is the hub's own machine: nobody else can join as it.");
    call->id = call->events[0].u.site_token.site = row->id;
    return 0;
}

static int token_finish(struct api_call *call, const struct core *core)
{
    int rc = show_id(call, core);
    if (rc == 0)
        joining_words(call);
    return rc;
}

/* ---- what operators do with it ---- */

static int set_state(struct api_call *call, const struct core *core, uint32_t state)
{
    const struct row_site *row = call_site(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    call->events[0].kind = EVENT_KIND_site_state;
    call->events[0].u.site_state = (struct event_site_state){.site = row->id, .state = state};
    call->nevents = 1;
    return 0;
}

static int cordon_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_CORDONED);
}

static int drain_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_DRAINING);
}

static int resume_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_UP);
}

static int remove_prepare(struct api_call *call, const struct core *core)
{
    const struct row_site *row = call_site(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    if (!view_member(core, &row->id))
        return err_set(&call->err, ERR_WRONG_STATE, "The site %s has not joined.", call->param);
    call->id = row->id;
    call->events[0].kind = EVENT_KIND_site_remove;
    call->events[0].u.site_remove.site = row->id;
    call->nevents = 1;
    return 0;
}

const struct api_handler api_site_list = {.finish = list};
const struct api_handler api_site_show = {.finish = show};
const struct api_handler api_site_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = show_id, .status = 201};
const struct api_handler api_site_token = {
    .parse = joining_parse, .prepare = token_prepare, .finish = token_finish, .status = 201};
const struct api_handler api_site_cordon = {.prepare = cordon_prepare, .finish = show_id};
const struct api_handler api_site_drain = {.prepare = drain_prepare, .finish = show_id};
const struct api_handler api_site_resume = {.prepare = resume_prepare, .finish = show_id};
const struct api_handler api_site_remove = {.prepare = remove_prepare, .finish = show_id};
