/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as an operator sees it: accounts with their balances, an account's transfers, and money that is paid in.
 *
 * An account is written KIND/OWNER/CURRENCY: wallet/default/USD, revenue/local/USD, rounding/network/USD; a key is named by its
 * public id, a grant by its id. The control ledger, in which limits of keys are kept beside the money, has the currency of that money.
 */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/osrandom.h"
#include "core/ledger.h"
#include "hub/api.h"
#include "hub/ledger.h"

void owner_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner)
{
    const struct row_tenant *tenant = view_tenant(core, owner);
    const struct row_site *site = view_site(core, owner);
    const struct row_key *key = view_key(core, owner);
    const struct row_party *party = view_party(core, owner);
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, owner);
    const char *name = tenant             ? tenant->name
                       : site             ? site->name
                       : key              ? key->public_id
                       : party            ? party->name
                       : uuid_zero(owner) ? "network"
                                          : id;
    (void)text_set(dst, ACCOUNT_NAME_CAP, name, text_len(name, NAME_CAP));
}

void account_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner,
                  uint32_t code, uint32_t ledger)
{
    const char *currency = currency_code(ledger > LEDGER_CONTROL ? ledger - LEDGER_CONTROL : ledger);
    char name[ACCOUNT_NAME_CAP];
    struct buf out;
    owner_name(name, core, owner);
    buf_init(&out, ACCOUNT_NAME_CAP);
    buf_addf(&out, "%s/%s/%s", account_code_text(code), name, currency ? currency : "?");
    (void)text_set(dst, ACCOUNT_NAME_CAP, out.data ? out.data : "", out.len);
    buf_fini(&out);
}

static void add_account(struct buf *out, const struct core *core, const struct row_account *row)
{
    char name[ACCOUNT_NAME_CAP];
    bool credit = row->credits_posted >= row->debits_posted;
    account_name(name, core, &row->owner, row->code, row->ledger);
    buf_add_char(out, '{');
    add_text(out, "account", name, sizeof name);
    add_text(out, "kind", account_code_text(row->code), KIND_TEXT_CAP);
    buf_addf(out, ",\"control\":%s", row->ledger > LEDGER_CONTROL ? "true" : "false");
    add_amount(out, "debits", row->debits_posted);
    add_amount(out, "credits", row->credits_posted);
    add_amount(out, "debits_held", row->debits_pending);
    add_amount(out, "credits_held", row->credits_pending);
    add_amount(out, "balance",
               credit ? row->credits_posted - row->debits_posted : row->debits_posted - row->credits_posted);
    add_text(out, "side", credit ? "credit" : "debit", KIND_TEXT_CAP);
    buf_add_char(out, '}');
}

static int accounts_parse(struct api_call *call)
{
    char ledger[KIND_TEXT_CAP] = "money";
    (void)call_query(call, "ledger", ledger, sizeof ledger);
    if (strcmp(ledger, "usage") == 0)
        return usage_accounts_parse(call);
    return strcmp(ledger, "money") == 0 ? 0 : err_set(&call->err, ERR_INVALID, "ledger: money or usage");
}

static int accounts_work(struct api_call *call)
{
    return call->data ? usage_accounts_read(call) : 0;
}

static int accounts_of_money(struct api_call *call, const struct core *core)
{
    char kind[KIND_TEXT_CAP] = "";
    uint32_t limit, n = 0;
    uint64_t from;
    int rc = call_page_from(call, UINT32_MAX, &limit, &from);
    if (rc != 0)
        return rc;
    bool one_kind = call_query(call, "kind", kind, sizeof kind);
    bool known = !one_kind;
#define A(name, code, covered, text) known = known || strcmp(kind, text) == 0;
    ACCOUNT_CODES(A)
#undef A
    if (!known)
        return err_set(&call->err, ERR_INVALID, "kind: there is no such kind of account");
    uint32_t pos = (uint32_t)from;
    const struct row_account *row;
    buf_add_text(&call->out, "{\"data\":[");
    while (n < limit && (row = view_account_at(core, &pos)) != NULL) {
        if (one_kind && strcmp(kind, account_code_text(row->code)) != 0)
            continue;
        buf_add_text(&call->out, n++ ? "," : "");
        add_account(&call->out, core, row);
    }
    uint32_t next = pos;
    page_end_at(&call->out, view_account_at(core, &next) != NULL, pos);
    return 0;
}

static int accounts(struct api_call *call, const struct core *core)
{
    return call->data ? usage_accounts_render(call, core) : accounts_of_money(call, core);
}

/* ---- transfers of an account ---- */

struct transfers {
    struct row_account account;
    struct uuid after;
    bool begun, more;
    uint32_t limit, n;
    struct row_transfer row[PAGE_MAX];
};

static int transfers_parse(struct api_call *call)
{
    struct transfers *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    call->data = t;
    return call_page_after(call, &t->limit, &t->after, &t->begun);
}

/* An owner's name may be that of a tenant, of a site and of a party: the one that has such an account is meant. */
static const struct row_account *account_of(const struct core *core, const char *name, uint32_t code,
                                            uint32_t ledger)
{
    static const struct uuid network;
    const size_t len = strlen(name);
    const struct row_tenant *tenant = view_tenant_named(core, name, len);
    const struct row_site *site = view_site_named(core, name, len);
    const struct row_key *key = view_key_public(core, name, len);
    struct uuid id, party = party_id(name);
    const struct uuid *who[] = {uuid_parse(&id, name, len) ? &id : NULL,
                                tenant ? &tenant->id : NULL,
                                site ? &site->id : NULL,
                                key ? &key->id : NULL,
                                &party,
                                &network};
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
        const struct row_account *row = who[i] ? view_account(core, who[i], code, ledger) : NULL;
        if (row)
            return row;
    }
    return NULL;
}

static const struct row_account *account_named(const struct core *core, const char *name)
{
    char owner[ACCOUNT_NAME_CAP], written[ACCOUNT_NAME_CAP];
    const char *first = strchr(name, '/'), *last = strrchr(name, '/');
    uint32_t code = 0;
    if (!first || first == last || !text_set(owner, sizeof owner, first + 1, (size_t)(last - first - 1)))
        return NULL;
#define A(n, number, covered, text) \
    code = text_eq(name, (size_t)(first - name), text, sizeof text - 1) ? (number) : code;
    ACCOUNT_CODES(A)
#undef A
    uint32_t ledger = currency_number(last + 1, strlen(last + 1));
    if (code == ACCOUNT_KEY_LIMIT || code == ACCOUNT_KEY_USED)
        ledger += LEDGER_CONTROL;
    const struct row_account *row = account_of(core, owner, code, ledger);
    if (!row)
        return NULL;
    account_name(written, core, &row->owner, row->code, row->ledger);
    return strcmp(written, name) == 0 ? row : NULL;
}

static int transfers_prepare(struct api_call *call, const struct core *core)
{
    struct transfers *t = call->data;
    char name[ACCOUNT_NAME_CAP];
    if (!call_query(call, "account", name, sizeof name))
        return err_set(&call->err, ERR_INVALID, "account: is missing");
    const struct row_account *row = account_named(core, name);
    if (!row)
        return err_set(&call->err, ERR_NOT_FOUND, "There is no account `%.100s`.", name);
    t->account = *row;
    return 0;
}

static int take_transfer(void *ctx, enum row_kind kind, const void *data)
{
    struct transfers *t = ctx;
    const struct row_transfer *row = data;
    (void)kind;
    bool debit = uuid_eq(&row->debit_owner, &t->account.owner) && row->debit_code == t->account.code;
    bool credit = uuid_eq(&row->credit_owner, &t->account.owner) && row->credit_code == t->account.code;
    if (row->ledger != t->account.ledger || (!debit && !credit))
        return 0;
    t->more = t->n == t->limit;
    if (!t->more)
        t->row[t->n++] = *row;
    return t->more;
}

static int transfers_work(struct api_call *call)
{
    struct transfers *t = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    const struct row_query query = {.kind = ROW_KIND_transfer,
                                    .owner_field = "debit_owner",
                                    .or_field = "credit_owner",
                                    .owner = &t->account.owner,
                                    .after = t->begun ? &t->after : NULL};
    return store->ops->rows(store, &query, 1, take_transfer, t, &call->err);
}

static const char *state_text(uint32_t state)
{
    return state == TRANSFER_PENDING ? "pending" : state == TRANSFER_POSTED ? "posted" : "void";
}

static void add_transfer(struct buf *out, const struct core *core, const struct row_transfer *row)
{
    char name[ACCOUNT_NAME_CAP];
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_time(out, "time", row->event_ms);
    account_name(name, core, &row->debit_owner, row->debit_code, row->ledger);
    add_text(out, "debit", name, sizeof name);
    account_name(name, core, &row->credit_owner, row->credit_code, row->ledger);
    add_text(out, "credit", name, sizeof name);
    add_text(out, "for", transfer_code_text(row->code), KIND_TEXT_CAP);
    add_text(out, "state", state_text(row->state), KIND_TEXT_CAP);
    add_amount(out, "amount", row->amount);
    add_amount(out, "posted", row->posted);
    add_amount(out, "held", row->state == TRANSFER_PENDING ? row->amount - row->posted - row->voided : 0);
    if (!uuid_zero(&row->ref))
        add_id(out, "ref", &row->ref);
    buf_add_char(out, '}');
}

static int transfers_finish(struct api_call *call, const struct core *core)
{
    struct transfers *t = call->data;
    struct buf *out = &call->out;
    buf_add_text(out, "{\"data\":[");
    for (uint32_t i = 0; i < t->n; i++) {
        buf_add_text(out, i ? "," : "");
        add_transfer(out, core, &t->row[i]);
    }
    page_end_after(out, t->more ? &t->row[t->n - 1].id : NULL);
    return 0;
}

/* ---- money that is paid in ---- */

struct uuid payment_id(const char *what, const struct uuid *tenant, const char *text)
{
    uint8_t digest[DIGEST_BYTES];
    struct uuid id;
    struct buf all;
    if (!text[0])
        return uuid_new();
    buf_init(&all, 1024);
    buf_add(&all, tenant, sizeof *tenant);
    buf_addf(&all, "%s/%s", what, text);
    digest_sha256(digest, all.data ? all.data : "", all.len);
    buf_fini(&all);
    memcpy(id.b, digest, sizeof id.b);
    id.b[6] = 0x80 | (id.b[6] & 0x0f); /* RFC 9562, version 8: as its maker defines it */
    id.b[8] = 0x80 | (id.b[8] & 0x3f);
    return id;
}

int payment_seen(struct api_call *call, const struct row_payment *order, bool *seen)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct row_payment row;
    int rc = store->ops->get(store, ROW_KIND_payment, &order->id, &row, &call->err);
    *seen = rc == 0;
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0 &&
        (row.amount != order->amount || row.month != order->month || !uuid_eq(&row.tenant, &order->tenant)))
        rc = err_set(&call->err, ERR_EXISTS, "id: was used already, for something else");
    return rc;
}

struct topup {
    struct row_payment order;
    char id[TEXT_CAP];
    bool seen;
};

static int topup_parse(struct api_call *call)
{
    static const char *const members[] = {"amount", "id", NULL};
    struct topup *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    call->data = t;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_amount(call, "amount", true, &t->order.amount);
    if (rc == 0 && t->order.amount == 0)
        rc = err_set(&call->err, ERR_INVALID, "amount: must be more than 0");
    return rc ? rc : body_text(call, "id", false, t->id, sizeof t->id);
}

static int topup_prepare(struct api_call *call, const struct core *core)
{
    struct topup *t = call->data;
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = t->order.tenant = row->id;
    t->order.id = payment_id("topup", &row->id, t->id);
    return 0;
}

static int topup_work(struct api_call *call)
{
    struct topup *t = call->data;
    int rc = payment_seen(call, &t->order, &t->seen);
    call->nevents = rc == 0 && !t->seen ? 1 : 0;
    call->events[0] = (struct event){
        .kind = EVENT_KIND_wallet_topup,
        .u.wallet_topup = {.payment = t->order.id, .tenant = t->order.tenant, .amount = t->order.amount}};
    return rc;
}

/* Somebody sent the same a moment before: the store has it now. */
bool payment_refused(struct api_call *call)
{
    return call->rc == ERR_EXISTS && call->nevents > 0;
}

static int topup_finish(struct api_call *call, const struct core *core)
{
    const struct topup *t = call->data;
    const struct row_tenant *row = view_tenant(core, &call->id);
    buf_add_char(&call->out, '{');
    add_id(&call->out, "payment", &t->order.id);
    add_amount(&call->out, "amount", t->order.amount);
    buf_addf(&call->out, ",\"repeated\":%s,\"tenant\":", t->seen ? "true" : "false");
    if (row)
        render_tenant(&call->out, core, row);
    else
        buf_add_text(&call->out, "null");
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_ledger_accounts = {
    .parse = accounts_parse, .work = accounts_work, .finish = accounts};
const struct api_handler api_ledger_transfers = {.parse = transfers_parse,
                                                 .prepare = transfers_prepare,
                                                 .work = transfers_work,
                                                 .finish = transfers_finish};
const struct api_handler api_wallet_topup = {.parse = topup_parse,
                                             .prepare = topup_prepare,
                                             .work = topup_work,
                                             .finish = topup_finish,
                                             .refused = payment_refused};
