/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON objects. */
#include <string.h>

#include "base/clock.h"
#include "core/kinds.h"
#include "core/why.h"
#include "hub/bills.h"
#include "hub/budgets.h"
#include "hub/deploy_cluster.h"

static void add_member(struct buf *out, const char *name)
{
    if (out->len && buf_last(out) != '{')
        buf_add_char(out, ',');
    buf_addf(out, "\"%s\":", name);
}

void add_id(struct buf *out, const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, id);
    add_member(out, name);
    buf_addf(out, "\"%s\"", text);
}

void page_end_at(struct buf *out, bool more, uint64_t at)
{
    if (more)
        buf_addf(out, "],\"next\":\"%llu\"}", (unsigned long long)at);
    else
        buf_add_text(out, "],\"next\":null}");
}

void page_end_after(struct buf *out, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    if (!id) {
        buf_add_text(out, "],\"next\":null}");
        return;
    }
    uuid_format(text, id);
    buf_addf(out, "],\"next\":\"%s\"}", text);
}

void add_text(struct buf *out, const char *name, const char *text, size_t cap)
{
    add_member(out, name);
    buf_add_json(out, text, text_len(text, cap));
}

void add_amount(struct buf *out, const char *name, int64_t nano)
{
    char text[AMOUNT_TEXT_MAX];
    amount_format(text, nano);
    add_member(out, name);
    buf_addf(out, "\"%s\"", text);
}

void add_time(struct buf *out, const char *name, int64_t unix_ms)
{
    char text[25];
    add_member(out, name);
    if (unix_ms == 0) {
        buf_add_text(out, "null");
        return;
    }
    clock_format(text, unix_ms);
    buf_addf(out, "\"%s\"", text);
}

static void add_balance(struct buf *out, const struct view_balance *b)
{
    add_amount(out, "budget", b->budget);
    add_amount(out, "spent", b->spent);
    add_amount(out, "held", b->held);
    add_amount(out, "available", b->budget - b->spent - b->held);
}

void render_tenant(struct buf *out, const struct core *core, const struct row_tenant *row)
{
    struct view_balance balance = view_tenant_balance(core, &row->id);
    const char *currency = currency_code(row->ledger);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", row->name, NAME_CAP);
    add_text(out, "currency", currency ? currency : "?", 4);
    add_text(out, "jurisdiction", row->jurisdiction, sizeof row->jurisdiction);
    add_text(out, "licence", row->licence, sizeof row->licence);
    add_balance(out, &balance);
    buf_addf(out, ",\"tax_ppm\":%u", row->tax);
    render_budgets(out, core, &row->id, BUDGET_TENANT);
    render_compute(out, core, &row->id);
    add_time(out, "created", row->created_ms);
    buf_add_char(out, '}');
}

static void add_scopes(struct buf *out, uint32_t scopes)
{
    const char *sep = "";
    buf_add_text(out, ",\"scopes\":[");
#define S(name, bit, text) \
    if (scopes & (bit)) { \
        buf_addf(out, "%s\"" text "\"", sep); \
        sep = ","; \
    }
    SCOPES(S)
#undef S
    buf_add_char(out, ']');
}

void render_key(struct buf *out, const struct core *core, const struct row_key *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "public_id", row->public_id, sizeof row->public_id);
    add_text(out, "name", row->name, NAME_CAP);
    add_text(out, "tenant", tenant ? tenant->name : "", NAME_CAP);
    add_scopes(out, row->scopes);
    if (row->models.n > 0) {
        buf_add_text(out, ",\"models\":[");
        for (uint32_t i = 0; i < row->models.n; i++) {
            const struct row_model *m = view_model(core, &row->models.v[i]);
            buf_add_text(out, i ? "," : "");
            buf_add_json(out, m ? m->name : "?", m ? text_len(m->name, NAME_CAP) : 1);
        }
        buf_add_char(out, ']');
    } else {
        buf_add_text(out, ",\"models\":null");
    }
    buf_addf(out, ",\"rpm\":%u,\"tpm\":%u", row->rpm, row->tpm);
    add_time(out, "expires", row->expires_ms);
    if (row->budget >= 0) {
        struct view_balance balance = view_key_balance(core, &row->id);
        add_balance(out, &balance);
    } else {
        buf_add_text(out, ",\"budget\":null");
    }
    render_project_of(out, core, row);
    render_budgets(out, core, &row->id, BUDGET_KEY);
    add_time(out, "created", row->created_ms);
    add_time(out, "revoked", row->revoked_ms);
    buf_add_char(out, '}');
}

static void add_variants(struct buf *out, const struct core *core, const struct row_model *model, bool all)
{
    const struct row_variant *v;
    const char *sep = "";
    buf_add_text(out, ",\"variants\":[");
    for (uint32_t pos = 0; (v = view_variant_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&v->model, &model->id))
            continue;
        char digest[2 * DIGEST_BYTES + 1];
        hex_encode(digest, v->digest, sizeof v->digest);
        buf_addf(out, "%s{", sep);
        sep = ",";
        add_id(out, "id", &v->id);
        add_text(out, "sha256", digest, sizeof digest);
        add_text(out, "format", v->format, sizeof v->format);
        add_text(out, "quantisation", v->quantisation, sizeof v->quantisation);
        add_text(out, "engine", v->engine, sizeof v->engine);
        add_text(out, "chips", v->chips, sizeof v->chips);
        if (all)
            add_text(out, "location", v->location, sizeof v->location);
        buf_addf(out, ",\"memory_bytes\":%llu,\"size_bytes\":%llu}", (unsigned long long)v->memory_bytes,
                 (unsigned long long)v->size_bytes);
    }
    buf_add_char(out, ']');
}

void render_model(struct buf *out, const struct core *core, const struct row_model *row, bool all)
{
    const struct row_price *price = view_price(core, &row->price);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", row->name, NAME_CAP);
    add_text(out, "kind", model_kind_text(row->kind), 32);
    buf_addf(out, ",\"context\":%u", row->context);
    add_text(out, "licence", row->licence, NAME_CAP);
    if (all)
        add_text(out, "origin", row->origin, PATH_CAP);
    add_time(out, "created", row->created_ms);
    buf_add_text(out, ",\"price\":");
    if (price) {
        buf_add_text(out, "{\"per_tokens\":1000000");
        add_id(out, "id", &price->id);
        add_amount(out, "prompt", price->prompt);
        add_amount(out, "cached", price->cached);
        add_amount(out, "completion", price->completion);
        add_amount(out, "reasoning", price->reasoning);
        add_time(out, "from", price->from_ms);
        buf_add_char(out, '}');
    } else {
        buf_add_text(out, "null");
    }
    add_variants(out, core, row, all);
    buf_addf(out, ",\"deployed\":%s}", view_deployment_of(core, &row->id) ? "true" : "false");
}

/* One that is ready and takes no requests yet, or none any more, is not told as ready. */
static const char *state_word(const struct row_replica *r)
{
    if (r->state != REPLICA_READY || view_takes_requests(r))
        return replica_state_text(r->state);
    return r->accept == ACCEPT_FAILED ? "cordoned" : "checking";
}

/* What its last check found, and where it ran; "": it was not checked under this epoch. */
static void add_acceptance(struct buf *out, const struct core *core, const struct row_replica *r)
{
    const struct row_acceptance *row = view_acceptance(core, r);
    add_text(out, "acceptance", accept_verdict_text(r->accept), KIND_TEXT_CAP);
    if (row && r->accepted_ms) { /* the row may be of a sibling's check */
        bool own = row->at_ms == r->accepted_ms || row->verdict == r->accept;
        add_text(out, "acceptance_reason", own ? row->reason : "", sizeof row->reason);
        add_time(out, "accepted", r->accepted_ms);
    }
}

/* Where it is; of one that waits for a place, why. All of a deployment that wait do so for the same. */
static void add_replica(struct buf *out, const struct core *core, const struct row_replica *r,
                        const char *why)
{
    const struct row_site *site = view_site(core, &r->site);
    buf_addf(out, "{\"ordinal\":%u,\"epoch\":%u,\"slots\":%u,\"context\":%u,\"chips\":%u", r->ordinal,
             r->epoch, r->slots, r->context, r->chips);
    add_text(out, "chip", r->chip, sizeof r->chip);
    add_text(out, "state", state_word(r), 16);
    add_acceptance(out, core, r);
    add_text(out, "role", replica_role_text(r->role), 16);
    if (site)
        add_text(out, "site", site->name, NAME_CAP);
    else
        buf_add_text(out, ",\"site\":null");
    add_text(out, "detail", site ? r->detail : why, TEXT_CAP);
    add_text(out, "version", r->version, sizeof r->version);
    add_text(out, "endpoint", r->endpoint, TEXT_CAP);
    add_time(out, "since", r->since_ms);
    const struct row_replica_meter *meter = view_replica_meter(core, r);
    if (meter) {
        buf_add_text(out, ",\"energy_j\":");
        add_joules(out, meter->energy_mj);
        add_text(out, "energy", meter->flags & JOB_METER_ESTIMATED ? "estimated" : "measured", KIND_TEXT_CAP);
    }
    buf_add_char(out, '}');
}

/* What one that waits for a place waits for; "": none does, or it is tried next. */
static const char *waits_for(const struct core *core, const struct view_deployed *now)
{
    struct why why;
    if (uuid_zero(&now->waits) || why_job(core, &now->waits, &why) != 0 || why.state != JOB_QUEUED)
        return "";
    return why_bar_text(why.bar);
}

static void add_scale(struct buf *out, const struct row_deployment *row, const struct view_deployed *now)
{
    bool fixed = row->sites.n == 0;
    buf_addf(
        out, ",\"min\":%u,\"max\":%u,\"replicas_wanted\":%u,\"replicas_ready\":%u,\"slots\":%u,\"chips\":%u",
        fixed ? row->replicas : row->min, row->replicas, now->wanted, now->ready, row->slots, row->chips);
    add_text(out, "chip", row->chip, sizeof row->chip);
    add_text(out, "near", row->near, sizeof row->near);
    buf_addf(out, ",\"tokens_s\":%llu,\"requests\":%llu", (unsigned long long)now->tokens_s,
             (unsigned long long)now->in_flight);
}

/* Its replicas on the hub's own machine follow no demand. */
static void count_own(const struct core *core, const struct row_deployment *row, struct view_deployed *now)
{
    const struct row_replica *r;
    *now = (struct view_deployed){.wanted = row->replicas};
    for (uint32_t pos = 0; (r = view_replica_at(core, &pos)) != NULL;)
        now->ready += uuid_eq(&r->deployment, &row->id) && view_takes_requests(r);
}

/* "north 2, south 1": its replicas that are somewhere, by site. */
static void add_where(struct buf *out, const struct core *core, const struct row_deployment *row)
{
    const struct row_site *site;
    const struct row_replica *r;
    const char *sep = "";
    buf_add_text(out, ",\"where\":\"");
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        uint32_t n = 0;
        for (uint32_t at = 0; (r = view_replica_at(core, &at)) != NULL;)
            n += uuid_eq(&r->deployment, &row->id) && uuid_eq(&r->site, &site->id);
        if (n == 0)
            continue;
        buf_addf(out, "%s%s %u", sep, site->name, n);
        sep = ", ";
    }
    buf_add_char(out, '"');
}

void render_deployment(struct buf *out, const struct core *core, const struct row_deployment *row,
                       const struct hub *hub)
{
    const struct row_model *model = view_model(core, &row->model);
    const struct row_replica *r;
    struct view_deployed now;
    const char *sep = "";
    if (!view_deployed(core, &row->id, &now))
        count_own(core, row, &now);
    const char *why = waits_for(core, &now);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "model", model ? model->name : "?", NAME_CAP);
    add_scale(out, row, &now);
    add_where(out, core, row);
    add_text(out, "waits_for", why, TEXT_CAP);
    add_time(out, "created", row->created_ms);
    buf_add_text(out, ",\"sites\":[");
    for (uint32_t i = 0; i < row->sites.n; i++) {
        const struct row_site *site = view_site(core, &row->sites.v[i]);
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, site->name, strlen(site->name));
    }
    buf_add_char(out, ']');
    render_cluster(out, core, row, hub);
    buf_add_text(out, ",\"replicas\":[");
    for (int turn = 0; turn < 2; turn++) { /* a head, if there is one, comes first: it is what serves */
        for (uint32_t pos = 0; (r = view_replica_at(core, &pos)) != NULL;) {
            if (!uuid_eq(&r->deployment, &row->id) || (r->role == REPLICA_HEAD) != (turn == 0))
                continue;
            buf_add_text(out, sep);
            sep = ",";
            add_replica(out, core, r, why);
        }
    }
    buf_add_char(out, ']');
}
