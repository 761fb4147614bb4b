/* SPDX-License-Identifier: Apache-2.0 */
/* Grants of sponsors, and settlements with other networks. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "base/timetext.h"
#include "core/ledger.h"
#include "hub/ledger.h"

/* ---- adding ---- */

struct adding {
    struct event_grant_add e;
    struct row_grant row; /* the one that is there, if it was added before */
    char tenant[CALL_PARAM_MAX], sponsor[NAME_CAP], id[TEXT_CAP];
    bool seen;
};

static const struct {
    const char *text;
    uint32_t bit;
} kinds[] = {
#define G(name, number, words) {words, number},
    GRANT_KINDS(G)
#undef G
};

static int kinds_parse(struct api_call *call, uint32_t *out)
{
    yyjson_val *list = body_member(call, "kinds"), *item;
    if (!list)
        return 0;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return err_set(&call->err, ERR_INVALID,
                       "kinds: must be a list of requests, batch, training, inference");
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        uint32_t bit = 0;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (yyjson_equals_str(item, kinds[i].text))
                bit = kinds[i].bit;
        }
        if (bit == 0)
            return err_set(&call->err, ERR_INVALID, "kinds: requests, batch, training or inference");
        *out |= bit;
    }
    return 0;
}

static int expires_parse(struct api_call *call, int64_t *out)
{
    char text[40] = "", day[48];
    int64_t now_ms = clock_wall_ms();
    int rc = body_text(call, "expires", false, text, sizeof text);
    if (rc != 0 || !text[0])
        return rc;
    struct buf whole;
    buf_init(&whole, sizeof day);
    buf_addf(&whole, "%s%s", text, strlen(text) == 10 ? "T00:00:00Z" : "");
    (void)text_set(day, sizeof day, whole.data ? whole.data : "", whole.len);
    buf_fini(&whole);
    if (!moment_parse(day, strlen(day), now_ms, out))
        return err_set(&call->err, ERR_INVALID, "expires: must be a date such as 2027-01-31, or a time");
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant",       "amount", "sponsor", "expires", "chips_origin",
                                          "jurisdiction", "models", "kinds",   "id",      NULL};
    struct adding *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NO_MEMORY;
    call->data = a;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "tenant", true, a->tenant, sizeof a->tenant);
    if (rc == 0)
        rc = body_amount(call, "amount", true, &a->e.amount);
    if (rc == 0 && a->e.amount == 0)
        rc = err_set(&call->err, ERR_INVALID, "amount: must be more than 0");
    if (rc == 0)
        rc = body_name(call, "sponsor", a->sponsor);
    if (rc == 0)
        rc = expires_parse(call, &a->e.expires_ms);
    if (rc == 0)
        rc = body_text(call, "chips_origin", false, a->e.origin, sizeof a->e.origin);
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, a->e.jurisdiction, sizeof a->e.jurisdiction);
    if (rc == 0)
        rc = body_text(call, "id", false, a->id, sizeof a->id);
    return rc ? rc : kinds_parse(call, &a->e.kinds);
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    struct adding *a = call->data;
    const struct row_tenant *tenant = call_tenant(call, core, a->tenant);
    yyjson_val *models = body_member(call, "models"), *item;
    if (!tenant)
        return ERR_NOT_FOUND;
    if (models &&
        (!yyjson_is_arr(models) || yyjson_arr_size(models) == 0 || yyjson_arr_size(models) > KEY_MODELS_MAX))
        return err_set(&call->err, ERR_INVALID, "models: must be a list of 1 to %d names", KEY_MODELS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(models);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const struct row_model *row = call_model(call, core, yyjson_is_str(item) ? yyjson_get_str(item) : "");
        if (!row)
            return ERR_NOT_FOUND;
        a->e.models.v[a->e.models.n++] = row->id;
    }
    a->e.tenant = tenant->id;
    a->e.sponsor = party_id(a->sponsor);
    call->id = a->e.grant = payment_id("grant", &tenant->id, a->id);
    a->e.transfer = uuid_new();
    return 0;
}

static bool same_grant(const struct event_grant_add *e, const struct row_grant *row)
{
    bool same = uuid_eq(&e->tenant, &row->tenant) && uuid_eq(&e->sponsor, &row->sponsor) &&
                e->amount == row->amount && e->expires_ms == row->expires_ms && e->kinds == row->kinds &&
                memcmp(e->origin, row->origin, sizeof e->origin) == 0 &&
                memcmp(e->jurisdiction, row->jurisdiction, sizeof e->jurisdiction) == 0 &&
                e->models.n == row->models.n;
    for (uint32_t i = 0; same && i < e->models.n; i++)
        same = uuid_eq(&e->models.v[i], &row->models.v[i]);
    return same;
}

/* One that is over stays in the store, so its id counts once for good. */
static int add_work(struct api_call *call)
{
    struct adding *a = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    call->nevents = 0;
    int rc = store->ops->get(store, ROW_KIND_grant, &a->e.grant, &a->row, &call->err);
    a->seen = rc == 0;
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (a->seen)
        return same_grant(&a->e, &a->row)
                   ? 0
                   : err_set(&call->err, ERR_EXISTS, "id: was used already, for something else");
    if (a->e.expires_ms != 0 && a->e.expires_ms <= clock_wall_ms())
        return err_set(&call->err, ERR_INVALID, "expires: is over already");
    call->events[call->nevents++] = party_event(a->sponsor); /* the same again changes nothing */
    call->events[call->nevents++] = (struct event){.kind = EVENT_KIND_grant_add, .u.grant_add = a->e};
    return 0;
}

static const char *name_of_party(const struct core *core, const struct uuid *id)
{
    const struct row_party *party = view_party(core, id);
    return party ? party->name : "?";
}

/* Without the bracket at its end. */
static void add_grant(struct buf *out, const struct core *core, const struct row_grant *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    const struct row_account *account = view_account(core, &row->id, ACCOUNT_GRANT, row->ledger);
    const char *sep = "";
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
    add_text(out, "sponsor", name_of_party(core, &row->sponsor), NAME_CAP);
    add_amount(out, "amount", row->amount);
    add_amount(out, "left", account ? account->credits_posted - account->debits_posted : 0);
    add_amount(out, "held", account ? account->debits_pending : 0);
    if (row->expires_ms)
        add_time(out, "expires", row->expires_ms);
    else
        buf_add_text(out, ",\"expires\":null");
    buf_addf(out, ",\"over\":%s", row->ended_ms ? "true" : "false");
    add_text(out, "chips_origin", row->origin, sizeof row->origin);
    add_text(out, "jurisdiction", row->jurisdiction, sizeof row->jurisdiction);
    buf_add_text(out, ",\"models\":[");
    for (uint32_t i = 0; i < row->models.n; i++) {
        const struct row_model *model = view_model(core, &row->models.v[i]);
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, model ? model->name : "?", model ? text_len(model->name, NAME_CAP) : 1);
    }
    buf_add_text(out, "],\"kinds\":[");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (row->kinds & kinds[i].bit) {
            buf_addf(out, "%s\"%s\"", sep, kinds[i].text);
            sep = ",";
        }
    }
    buf_add_char(out, ']');
    add_time(out, "created", row->created_ms);
}

static int add_finish(struct api_call *call, const struct core *core)
{
    const struct adding *a = call->data;
    const struct row_tenant *tenant = view_tenant(core, &a->e.tenant);
    struct row_grant row = {.id = a->e.grant,
                            .tenant = a->e.tenant,
                            .sponsor = a->e.sponsor,
                            .amount = a->e.amount,
                            .expires_ms = a->e.expires_ms,
                            .models = a->e.models,
                            .kinds = a->e.kinds,
                            .ledger = tenant ? tenant->ledger : 0,
                            .created_ms = clock_wall_ms()};
    memcpy(row.origin, a->e.origin, sizeof row.origin);
    memcpy(row.jurisdiction, a->e.jurisdiction, sizeof row.jurisdiction);
    add_grant(&call->out, core, a->seen ? &a->row : &row);
    buf_addf(&call->out, ",\"repeated\":%s}", a->seen ? "true" : "false");
    return 0;
}

/* ---- the list ---- */

struct listing {
    struct row_grant row[PAGE_MAX];
    uint32_t n, limit;
    struct uuid tenant, after;
    bool one_tenant, begun, more;
};

static int list_parse(struct api_call *call)
{
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NO_MEMORY;
    call->data = l;
    return call_page_after(call, &l->limit, &l->after, &l->begun);
}

static int list_prepare(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    return call_whose(call, core, &l->tenant, &l->one_tenant);
}

static int take_grant(void *ctx, enum row_kind kind, const void *data)
{
    struct listing *l = ctx;
    (void)kind;
    l->more = l->n == l->limit;
    if (!l->more)
        l->row[l->n++] = *(const struct row_grant *)data;
    return l->more;
}

static int list_work(struct api_call *call)
{
    struct listing *l = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    const struct row_query query = {.kind = ROW_KIND_grant,
                                    .owner_field = l->one_tenant ? "tenant" : NULL,
                                    .owner = l->one_tenant ? &l->tenant : NULL,
                                    .after = l->begun ? &l->after : NULL};
    return store->ops->rows(store, &query, 1, take_grant, l, &call->err);
}

static int list_finish(struct api_call *call, const struct core *core)
{
    const struct listing *l = call->data;
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t i = 0; i < l->n; i++) {
        buf_add_text(&call->out, i ? "," : "");
        add_grant(&call->out, core, &l->row[i]);
        buf_add_char(&call->out, '}');
    }
    page_end_after(&call->out, l->more ? &l->row[l->n - 1].id : NULL);
    return 0;
}

/* ---- settlements ---- */

struct settling {
    struct row_payment order; /* negative: paid to it */
    char id[TEXT_CAP];
    uint32_t ledger;
    bool seen;
};

static int settle_parse(struct api_call *call)
{
    static const char *const members[] = {"amount", "currency", "direction", "id", NULL};
    struct settling *s = calloc(1, sizeof *s);
    char currency[8] = "USD", direction[16] = "";
    if (!s)
        return ERR_NO_MEMORY;
    call->data = s;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_amount(call, "amount", true, &s->order.amount);
    if (rc == 0 && s->order.amount == 0)
        rc = err_set(&call->err, ERR_INVALID, "amount: must be more than 0");
    if (rc == 0)
        rc = body_text(call, "currency", false, currency, sizeof currency);
    s->ledger = currency_number(currency, strlen(currency));
    if (rc == 0 && s->ledger == 0)
        rc = err_set(&call->err, ERR_INVALID, "currency: %s is not supported", currency);
    if (rc == 0)
        rc = body_text(call, "direction", true, direction, sizeof direction);
    if (rc == 0 && strcmp(direction, "paid") != 0 && strcmp(direction, "received") != 0)
        rc = err_set(&call->err, ERR_INVALID, "direction: paid or received");
    if (strcmp(direction, "paid") == 0)
        s->order.amount = -s->order.amount;
    if (rc == 0 && !name_valid(call->param, strlen(call->param)))
        rc = err_set(&call->err, ERR_INVALID, "peer: is not a name");
    return rc ? rc : body_text(call, "id", false, s->id, sizeof s->id);
}

static int settle_prepare(struct api_call *call, const struct core *core)
{
    struct settling *s = call->data;
    s->order.tenant = party_id(call->param);
    s->order.id = payment_id(currency_code(s->ledger), &s->order.tenant, s->id);
    call->again_ms = 0;
    call->id = s->order.tenant;
    (void)core;
    return 0;
}

static int settle_work(struct api_call *call)
{
    struct settling *s = call->data;
    int64_t amount = s->order.amount;
    int rc = payment_seen(call, &s->order, &s->seen);
    call->nevents = 0;
    if (rc != 0 || s->seen)
        return rc;
    call->events[call->nevents++] = party_event(call->param); /* the same again changes nothing */
    call->events[call->nevents++] = (struct event){.kind = EVENT_KIND_peer_settle,
                                                   .u.peer_settle = {.payment = s->order.id,
                                                                     .party = s->order.tenant,
                                                                     .ledger = s->ledger,
                                                                     .amount = amount < 0 ? -amount : amount,
                                                                     .paid = amount < 0}};
    return 0;
}

static int settle_finish(struct api_call *call, const struct core *core)
{
    const struct settling *s = call->data;
    const struct row_account *row = view_account(core, &s->order.tenant, ACCOUNT_PEER, s->ledger);
    int64_t amount = s->order.amount, balance = row ? row->credits_posted - row->debits_posted : 0;
    buf_add_char(&call->out, '{');
    add_id(&call->out, "payment", &s->order.id);
    add_text(&call->out, "peer", call->param, CALL_PARAM_MAX);
    add_text(&call->out, "currency", currency_code(s->ledger), 4);
    add_amount(&call->out, "amount", amount < 0 ? -amount : amount);
    add_text(&call->out, "direction", amount < 0 ? "paid" : "received", KIND_TEXT_CAP);
    add_amount(&call->out, "balance", balance < 0 ? -balance : balance);
    add_text(&call->out, "side", balance < 0 ? "debit" : "credit", KIND_TEXT_CAP);
    buf_addf(&call->out, ",\"repeated\":%s}", s->seen ? "true" : "false");
    return 0;
}

const struct api_handler api_grant_list = {
    .parse = list_parse, .prepare = list_prepare, .work = list_work, .finish = list_finish};
const struct api_handler api_grant_add = {.parse = add_parse,
                                          .prepare = add_prepare,
                                          .work = add_work,
                                          .finish = add_finish,
                                          .refused = payment_refused,
                                          .status = 201};
const struct api_handler api_peer_settle = {.parse = settle_parse,
                                            .prepare = settle_prepare,
                                            .work = settle_work,
                                            .finish = settle_finish,
                                            .refused = payment_refused};
