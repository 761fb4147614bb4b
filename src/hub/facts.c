/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules are told of sites and tenants (docs/rules.md), changed: a member that is not given stays as it is, an empty one is
 * not known from then on. All work is judged anew.
 */
#include <string.h>

#include "hub/api.h"

static bool is_given(const struct api_call *call, const char *member)
{
    return body_member(call, member) != NULL;
}

static int any_given(struct api_call *call, const char *const *members)
{
    for (const char *const *m = members; *m; m++) {
        if (is_given(call, *m))
            return 0;
    }
    return err_set(&call->err, ERR_INVALID, "at least one member must be given");
}

/* ---- sites ---- */

static int site_parse(struct api_call *call)
{
    static const char *const members[] = {"jurisdiction", "region", "owner", NULL};
    struct event_site_facts *e = &call->events[0].u.site_facts;
    call->events[0].kind = EVENT_KIND_site_facts;
    call->nevents = 1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = any_given(call, members);
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, e->jurisdiction, sizeof e->jurisdiction);
    if (rc == 0)
        rc = body_text(call, "region", false, e->region, sizeof e->region);
    return rc ? rc : body_text(call, "owner", false, e->owner, sizeof e->owner);
}

static int site_prepare(struct api_call *call, const struct core *core)
{
    struct event_site_facts *e = &call->events[0].u.site_facts;
    const struct row_site *row = call_site(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    e->site = row->id;
    if (!is_given(call, "jurisdiction"))
        memcpy(e->jurisdiction, row->jurisdiction, sizeof e->jurisdiction);
    if (!is_given(call, "region"))
        memcpy(e->region, row->region, sizeof e->region);
    if (!is_given(call, "owner"))
        memcpy(e->owner, row->owner, sizeof e->owner);
    return 0;
}

static int site_finish(struct api_call *call, const struct core *core)
{
    return api_site_show.finish(call, core);
}

static bool site_refused(struct api_call *call)
{
    if (call->rc == ERR_LIMIT)
        (void)err_set(&call->err, call->rc,
                      "Too many jobs from an older version have their data at this site; try again when "
                      "there are at most %u.",
                      SITE_HOMES_MAX);
    return false;
}

/* ---- tenants ---- */

static int tenant_parse(struct api_call *call)
{
    static const char *const members[] = {"jurisdiction", "licence", NULL};
    struct event_tenant_facts *e = &call->events[0].u.tenant_facts;
    call->events[0].kind = EVENT_KIND_tenant_facts;
    call->nevents = 1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = any_given(call, members);
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, e->jurisdiction, sizeof e->jurisdiction);
    return rc ? rc : body_text(call, "licence", false, e->licence, sizeof e->licence);
}

static int tenant_prepare(struct api_call *call, const struct core *core)
{
    struct event_tenant_facts *e = &call->events[0].u.tenant_facts;
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = e->tenant = row->id;
    if (!is_given(call, "jurisdiction"))
        memcpy(e->jurisdiction, row->jurisdiction, sizeof e->jurisdiction);
    if (!is_given(call, "licence"))
        memcpy(e->licence, row->licence, sizeof e->licence);
    return 0;
}

static int tenant_finish(struct api_call *call, const struct core *core)
{
    render_tenant(&call->out, core, view_tenant(core, &call->id)); /* tenants never go */
    return 0;
}

const struct api_handler api_site_facts = {
    .parse = site_parse, .prepare = site_prepare, .finish = site_finish, .refused = site_refused};
const struct api_handler api_tenant_facts = {
    .parse = tenant_parse, .prepare = tenant_prepare, .finish = tenant_finish};
