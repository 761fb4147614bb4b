/* SPDX-License-Identifier: Apache-2.0 */
/* Doors of their own, as operators see them. What they say: hub/trunks.h. */
#include <string.h>

#include "base/osrandom.h"
#include "hub/joining.h"

static const struct row_gateway *gateway_named(struct api_call *call, const struct core *core)
{
    struct uuid id;
    const char *text = call->param;
    const struct row_gateway *row = uuid_parse(&id, text, strlen(text))
                                        ? view_gateway(core, &id)
                                        : view_gateway_named(core, text, strlen(text));
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no gateway %s.", text);
    else
        call->id = row->id;
    return row;
}

static void render_gateway(struct api_call *call, const struct core *core, const struct row_gateway *row)
{
    struct buf *out = &call->out;
    const struct row_member *member = view_member(core, &row->id);
    const struct row_worker *worker;
    uint32_t workers = 0;
    const char *joined = member && member->joined_ms > 0                                     ? "yes"
                         : member && member->expires_ms > runtime_now_ms(call->hub->runtime) ? "invited"
                                                                                             : "no";
    for (uint32_t pos = 0; (worker = view_worker_at(core, &pos)) != NULL;)
        workers += uuid_eq(&worker->gateway, &row->id);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", row->name, sizeof row->name);
    add_text(out, "joined", joined, NAME_CAP);
    add_time(out, "joined_at", member ? member->joined_ms : 0);
    add_time(out, "created", row->created_ms);
    buf_addf(out, ",\"workers\":%u}", workers);
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_gateway *row;
    uint32_t pos = 0, n = 0;
    buf_add_text(&call->out, "{\"data\":[");
    while ((row = view_gateway_at(core, &pos)) != NULL) {
        buf_add_text(&call->out, n++ ? "," : "");
        render_gateway(call, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show(struct api_call *call, const struct core *core)
{
    const struct row_gateway *row = gateway_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    render_gateway(call, core, row);
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_gateway *row = view_gateway(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_gateway(call, core, row);
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"name", NULL};
    struct event_gateway_add *e = &call->events[0].u.gateway_add;
    call->events[0].kind = EVENT_KIND_gateway_add;
    call->nevents = 1;
    call->id = e->gateway = uuid_new();
    int rc = body_only(call, members);
    return rc ? rc : body_name(call, "name", e->name);
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const char *name = call->events[0].u.gateway_add.name;
    if (view_gateway_named(core, name, strlen(name)))
        return err_set(&call->err, ERR_EXISTS, "There is a gateway %s already.", name);
    return 0;
}

/* ---- joining ---- */

static int token_prepare(struct api_call *call, const struct core *core)
{
    const struct row_gateway *row = gateway_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    call->events[0].u.site_token.site = row->id;
    return 0;
}

static int token_finish(struct api_call *call, const struct core *core)
{
    int rc = show_id(call, core);
    if (rc == 0)
        joining_words(call);
    return rc;
}

/* ---- removing ---- */

static int remove_prepare(struct api_call *call, const struct core *core)
{
    const struct row_gateway *row = gateway_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    call->events[0].kind = EVENT_KIND_gateway_remove;
    call->events[0].u.gateway_remove.gateway = row->id;
    call->nevents = 1;
    render_gateway(call, core, row); /* afterwards it is not there any more */
    return 0;
}

const struct api_handler api_gateway_list = {.finish = list};
const struct api_handler api_gateway_show = {.finish = show};
const struct api_handler api_gateway_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = show_id, .status = 201};
const struct api_handler api_gateway_token = {
    .parse = joining_parse, .prepare = token_prepare, .finish = token_finish, .status = 201};
const struct api_handler api_gateway_remove = {.prepare = remove_prepare};
