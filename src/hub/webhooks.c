/* SPDX-License-Identifier: Apache-2.0 */
/* Where a tenant's notices go. */
#include <string.h>

#include "base/osrandom.h"
#include "hub/budgets.h"
#include "hub/webhook.h"

static void render(struct buf *out, const struct core *core, const struct row_webhook *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    const struct row_notice *notice;
    uint32_t pending = 0;
    for (uint32_t pos = 0; (notice = view_notice_at(core, &pos)) != NULL;)
        pending += uuid_eq(&notice->tenant, &row->tenant);
    buf_add_char(out, '{');
    add_text(out, "tenant", tenant ? tenant->name : "", NAME_CAP);
    add_text(out, "url", row->url, sizeof row->url);
    add_time(out, "set", row->set_ms);
    add_time(out, "tried", row->tried_ms);
    buf_addf(out, ",\"status\":%u,\"pending\":%u}", row->status, pending);
}

static int show(struct api_call *call, const struct core *core)
{
    const struct row_tenant *tenant = call_owner(call, core);
    const struct row_webhook *row = tenant ? view_webhook(core, &tenant->id) : NULL;
    if (!tenant)
        return call->err.code;
    if (!row)
        return err_set(&call->err, ERR_NOT_FOUND, "The tenant has no webhook.");
    render(&call->out, core, row);
    return 0;
}

static int set_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant", "url", NULL};
    struct event_webhook_set *e = &call->events[0].u.webhook_set;
    uint8_t secret[DIGEST_LEN];
    call->events[0].kind = EVENT_KIND_webhook_set;
    call->nevents = 1;
    call->id = e->webhook = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "url", true, e->url, sizeof e->url);
    if (rc == 0)
        rc = webhook_url_check(e->url, call->hub->webhook_private, &call->err);
    if (rc != 0)
        return rc;
    webhook_secret(secret, call->hub->webhook_key, &call->id);
    webhook_secret_text(call->secret, secret);
    return 0;
}

static int set_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *tenant = call_owner(call, core);
    if (!tenant)
        return call->err.code;
    call->events[0].u.webhook_set.tenant = tenant->id;
    return 0;
}

static int set_finish(struct api_call *call, const struct core *core)
{
    const struct row_webhook *row = view_webhook(core, &call->events[0].u.webhook_set.tenant);
    if (!row)
        return ERR_NOT_FOUND;
    render(&call->out, core, row);
    buf_take_back(&call->out, '}');
    add_text(&call->out, "secret", call->secret, sizeof call->secret);
    buf_add_char(&call->out, '}');
    return 0;
}

/* An event about the webhook of a tenant that has one. */
static int prepare(struct api_call *call, const struct core *core, uint32_t kind)
{
    const struct row_tenant *tenant = call_owner(call, core);
    if (!tenant)
        return call->err.code;
    if (!view_webhook(core, &tenant->id))
        return err_set(&call->err, ERR_NOT_FOUND, "The tenant has no webhook.");
    call->events[0].kind = kind;
    call->nevents = 1;
    if (kind == EVENT_KIND_webhook_test)
        call->events[0].u.webhook_test.tenant = tenant->id;
    else
        call->events[0].u.webhook_set.tenant = tenant->id;
    call->id = tenant->id;
    return 0;
}

static int remove_prepare(struct api_call *call, const struct core *core)
{
    return prepare(call, core, EVENT_KIND_webhook_set);
}

static int remove_finish(struct api_call *call, const struct core *core)
{
    (void)core;
    buf_add_text(&call->out, "{\"removed\":true}");
    return 0;
}

static int test_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant", NULL};
    return body_only(call, members);
}

static int test_prepare(struct api_call *call, const struct core *core)
{
    return prepare(call, core, EVENT_KIND_webhook_test);
}

static int test_finish(struct api_call *call, const struct core *core)
{
    const struct row_webhook *row = view_webhook(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render(&call->out, core, row);
    return 0;
}

const struct api_handler api_webhook_show = {.finish = show};
const struct api_handler api_webhook_set = {.parse = set_parse, .prepare = set_prepare, .finish = set_finish};
const struct api_handler api_webhook_remove = {.prepare = remove_prepare, .finish = remove_finish};
const struct api_handler api_webhook_test = {
    .parse = test_parse, .prepare = test_prepare, .finish = test_finish};
