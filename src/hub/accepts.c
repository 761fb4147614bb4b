/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance over the API (docs/acceptance.md): what is known of each variant at each site, asking for a check, and lifting a bar.
 */
#include <string.h>

#include "core/accept.h"
#include "hub/acceptance.h"
#include "hub/api.h"

/* ---- what is known ---- */

static void add_figures(struct buf *out, const struct row_acceptance *row)
{
    char golden[2 * DIGEST_BYTES + 1];
    hex_encode(golden, row->golden, sizeof row->golden);
    buf_addf(out,
             ",\"prompts\":%u,\"tokens\":%u,\"close\":%u,\"parted\":%u,\"mean_millionths\":%u,\"max_"
             "millionths\":%u",
             row->prompts, row->tokens, row->close, row->parted, row->mean, row->max);
    buf_addf(out, ",\"tokens_s\":%.1f,\"batch\":%u,\"batch_tokens_s\":%.1f,\"read_tokens_s\":%.1f",
             (double)row->one / 1e3, row->batch, (double)row->many / 1e3, (double)row->read / 1e3);
    add_text(out, "tier", row->one ? "measured" : "", KIND_TEXT_CAP);
    buf_addf(out, ",\"golden\":\"%s\",\"took_ms\":%llu", row->tokens ? golden : "",
             (unsigned long long)row->took_ms);
}

static void render(struct buf *out, const struct core *core, const struct row_acceptance *row)
{
    const struct row_variant *variant = view_variant(core, &row->variant);
    const struct row_model *model = variant ? view_model(core, &variant->model) : NULL;
    const struct row_site *site = view_site(core, &row->site);
    char digest[2 * DIGEST_BYTES + 1];
    uint64_t one, many;
    accept_usual(row, &one, &many);
    hex_encode(digest, variant ? variant->digest : row->golden, DIGEST_BYTES);
    buf_addf(out, "{\"digest\":\"%s\"", digest);
    add_text(out, "model", model ? model->name : "?", NAME_CAP);
    add_text(out, "quantisation", variant ? variant->quantisation : "", 16);
    add_text(out, "engine", variant ? variant->engine : "", NAME_CAP);
    add_text(out, "version", row->version, sizeof row->version);
    add_text(out, "site", site ? site->name : "?", NAME_CAP);
    add_text(out, "chip", row->chip, sizeof row->chip);
    buf_addf(out, ",\"chips\":%u", row->chips);
    add_text(out, "verdict", accept_verdict_text(row->verdict), KIND_TEXT_CAP);
    add_text(out, "reason", row->reason, sizeof row->reason);
    add_id(out, "check", &row->check);
    add_time(out, "at", row->at_ms);
    add_figures(out, row);
    buf_addf(out, ",\"fails\":%u,\"passes\":%llu,\"usual_tokens_s\":%.1f", row->fails,
             (unsigned long long)row->passes, (double)one / 1e3);
    add_time(out, "barred", row->barred_ms);
    buf_add_char(out, '}');
}

/* Whether it is of the model or the site of that name; "": of any. */
static bool is_meant(const struct core *core, const struct row_acceptance *row, const char *target)
{
    const struct row_variant *variant = view_variant(core, &row->variant);
    const struct row_model *model = variant ? view_model(core, &variant->model) : NULL;
    const struct row_site *site = view_site(core, &row->site);
    return target[0] == 0 || (model && strcmp(model->name, target) == 0) ||
           (site && strcmp(site->name, target) == 0);
}

/* Before the core is asked: what is not pending now is in what it answers. */
static int list_parse(struct api_call *call)
{
    buf_addf(&call->out, "{\"pending\":%u",
             call->hub->acceptance ? acceptance_pending(call->hub->acceptance) : 0);
    return 0;
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_acceptance *row;
    const char *sep = "";
    char target[NAME_CAP] = "";
    (void)call_query(call, "target", target, sizeof target);
    buf_addf(&call->out, "%s\"mode\":\"%s\",\"data\":[", call->out.len ? "," : "{",
             accept_mode_text(view_accept_mode(core)));
    for (uint32_t pos = 0; (row = view_acceptance_at(core, &pos)) != NULL;) {
        if (!is_meant(core, row, target))
            continue;
        buf_add_text(&call->out, sep);
        sep = ",";
        render(&call->out, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

/* ---- asking for a check ---- */

struct wish {
    char target[NAME_CAP];
    bool quick;
};

static int ask_parse(struct api_call *call)
{
    static const char *const members[] = {"target", "quick", NULL};
    yyjson_val *quick = body_member(call, "quick");
    struct wish *wish = call->data = calloc(1, sizeof *wish);
    if (!wish)
        return err_set(&call->err, ERR_NO_MEMORY, "out of memory");
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "target", true, wish->target, sizeof wish->target);
    if (rc == 0 && quick && !yyjson_is_bool(quick))
        rc = err_set(&call->err, ERR_INVALID, "quick: must be true or false");
    wish->quick = quick && yyjson_is_true(quick);
    return rc;
}

/* A model that is deployed, or a site. */
static int find_target(struct api_call *call, const struct core *core, const struct row_deployment **d,
                       const struct row_site **site)
{
    const struct wish *wish = call->data;
    const struct row_model *model = view_model_named(core, wish->target, strlen(wish->target));
    *d = model ? view_deployment_of(core, &model->id) : NULL;
    *site = *d ? NULL : view_site_named(core, wish->target, strlen(wish->target));
    return *d || *site ? 0
                       : err_set(&call->err, ERR_NOT_FOUND,
                                 "There is no site, and no model that is deployed, named %s.", wish->target);
}

static int ask(struct api_call *call, const struct core *core)
{
    const struct wish *wish = call->data;
    const struct row_deployment *d;
    const struct row_site *site;
    const struct row_replica *r;
    const char *sep = "";
    if (!call->hub->acceptance)
        return err_set(&call->err, ERR_UNSUPPORTED, "This hub checks no replicas.");
    int rc = find_target(call, core, &d, &site);
    if (rc != 0)
        return rc;
    buf_addf(&call->out, "{\"since_ms\":%lld,\"asked\":[", (long long)runtime_now_ms(call->hub->runtime));
    for (uint32_t pos = 0; rc == 0 && (r = view_replica_at(core, &pos)) != NULL;) {
        const struct row_variant *variant = view_variant(core, &r->variant);
        bool meant = d ? uuid_eq(&r->deployment, &d->id) : uuid_eq(&r->site, &site->id);
        if (!meant || r->state != REPLICA_READY || r->role == REPLICA_WORKER || !variant ||
            variant->size_bytes == 0)
            continue;
        rc = acceptance_ask(call->hub->acceptance, &r->deployment, r->ordinal, wish->quick);
        buf_addf(&call->out, "%s{\"ordinal\":%u,\"epoch\":%u", sep, r->ordinal, r->epoch);
        add_id(&call->out, "deployment", &r->deployment);
        buf_add_char(&call->out, '}');
        sep = ",";
    }
    buf_add_text(&call->out, "]}");
    return rc ? err_set(&call->err, rc, "So many checks cannot wait at a time.") : 0;
}

/* ---- lifting a bar ---- */

static int lift_prepare(struct api_call *call, const struct core *core)
{
    struct event_accept_lift *e = &call->events[0].u.accept_lift;
    char name[NAME_CAP] = "";
    const struct row_model *model = call_model(call, core, call->param);
    const struct row_acceptance *row;
    if (!model)
        return ERR_NOT_FOUND;
    const struct row_site *site =
        call_query(call, "site", name, sizeof name) ? view_site_named(core, name, strlen(name)) : NULL;
    if (name[0] && !site)
        return err_set(&call->err, ERR_NOT_FOUND, "There is no site %s.", name);
    for (uint32_t pos = 0; (row = view_acceptance_at(core, &pos)) != NULL;) {
        const struct row_variant *variant = view_variant(core, &row->variant);
        if (!variant || !uuid_eq(&variant->model, &model->id) || (row->fails == 0 && row->barred_ms == 0) ||
            (site && !uuid_eq(&row->site, &site->id)))
            continue;
        call->events[0].kind = EVENT_KIND_accept_lift;
        e->variant = row->variant;
        e->site = site ? site->id : (struct uuid){{0}};
        call->nevents = 1;
        return 0;
    }
    return err_set(&call->err, ERR_NOT_FOUND, "`%s` is not barred, and has not failed.", model->name);
}

/* ---- at the start ---- */

struct settling {
    uint32_t mode, n;
    struct event event;
};

static void look_mode(void *ctx, const struct core *core)
{
    struct settling *s = ctx;
    s->n = view_accept_mode(core) != s->mode;
}

int hub_accept_mode(struct hub *hub, uint32_t mode, struct err *err)
{
    struct settling s = {.mode = mode,
                         .event = {.kind = EVENT_KIND_accept_mode, .u.accept_mode = {.mode = mode}}};
    int rc = hub_settle(hub, look_mode, &s, &s.event, &s.n);
    hub->accept_mode = mode;
    return rc ? err_set(err, rc, "cannot tell the core how replicas are accepted: %s", err_text(rc)) : 0;
}

static uint32_t busy(void *ctx, const struct uuid *deployment, uint32_t ordinal)
{
    return gateway_replica_busy(ctx, deployment, ordinal);
}

int hub_accept_start(struct hub *hub, const char *self, const char *share, uint64_t every_s, struct err *err)
{
    const struct acceptance_config config = {.runtime = hub->runtime,
                                             .engines = hub->engines,
                                             .self = self,
                                             .share = share,
                                             .data_dir = hub->data_dir,
                                             .mode = hub->accept_mode,
                                             .every_s = every_s,
                                             .busy = busy,
                                             .busy_ctx = hub->gateway};
    return acceptance_open(&hub->acceptance, &config, err);
}

void hub_accept_stop(struct hub *hub)
{
    acceptance_stop(hub->acceptance);
    hub->acceptance = NULL;
}

const struct api_handler api_acceptance_list = {.parse = list_parse, .finish = list};
const struct api_handler api_acceptance_ask = {.parse = ask_parse, .finish = ask};
const struct api_handler api_acceptance_lift = {.prepare = lift_prepare, .finish = list};
