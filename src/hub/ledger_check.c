/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the books are right, from what the store holds at one moment and from nothing that the core says.
 *
 * In each ledger debits equal credits, posted and held. Each account's four sums are those of its transfers. What left a tenant's
 * wallet for work, less what came back, is what its lines come to. The figures of each ledger are shown, and each account that
 * is wrong is named, up to PROBLEMS_SHOWN of them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/ledger.h"
#include "hub/api.h"
#include "hub/ledger.h"

#define PROBLEMS_SHOWN 100u

/* An account, and what its transfers come to. */
struct sums {
    struct row_account row;
    int64_t debits_pending, debits_posted, credits_pending, credits_posted;
    int64_t paid_in, gave_back; /* of a wallet: from where its budget comes, and to there */
    int64_t lines;
};

struct check {
    struct sums *account; /* by owner, code and ledger, as the store has them */
    uint32_t n, cap;
    uint64_t transfers, lines;
    uint64_t strays; /* transfers of an account that is not there */
    int rc;
};

static int order_of(const struct row_account *a, const struct row_account *b)
{
    int order = memcmp(&a->owner, &b->owner, sizeof a->owner);
    if (order == 0)
        order = (a->code > b->code) - (a->code < b->code);
    return order ? order : (a->ledger > b->ledger) - (a->ledger < b->ledger);
}

static struct sums *find(struct check *c, const struct uuid *owner, uint32_t code, uint32_t ledger)
{
    const struct row_account key = {.owner = *owner, .code = code, .ledger = ledger};
    uint32_t low = 0, high = c->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = order_of(&c->account[mid].row, &key);
        if (order == 0)
            return &c->account[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int take_account(struct check *c, const struct row_account *row)
{
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? c->cap * 2 : 256;
        struct sums *more = realloc(c->account, cap * sizeof *more);
        if (!more)
            return c->rc = ERR_NO_MEMORY;
        c->account = more;
        c->cap = cap;
    }
    c->account[c->n++] = (struct sums){.row = *row};
    return 0;
}

static void take_transfer(struct check *c, const struct row_transfer *row)
{
    struct sums *debit = find(c, &row->debit_owner, row->debit_code, row->ledger);
    struct sums *credit = find(c, &row->credit_owner, row->credit_code, row->ledger);
    int64_t held = row->state == TRANSFER_PENDING ? row->amount - row->posted - row->voided : 0;
    c->transfers++;
    if (!debit || !credit) {
        c->strays++;
        return;
    }
    debit->debits_pending += held;
    debit->debits_posted += row->posted;
    credit->credits_pending += held;
    credit->credits_posted += row->posted;
    debit->gave_back += row->credit_code == ACCOUNT_FUNDING ? row->posted : 0;
    credit->paid_in += row->debit_code == ACCOUNT_FUNDING ? row->posted : 0;
}

/* Rows of bills name the tenant; it has one wallet. */
static void take_line(struct check *c, const struct row_bill *row)
{
    c->lines++;
    for (uint32_t low = 0, high = c->n; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        const struct row_account *a = &c->account[mid].row;
        int order = memcmp(&a->owner, &row->tenant, sizeof a->owner);
        if (order == 0 && a->code == ACCOUNT_WALLET) {
            c->account[mid].lines += row->cost;
            return;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid; /* of a tenant's accounts the wallet comes first */
    }
    c->strays++;
}

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct check *c = ctx;
    if (kind == ROW_KIND_account)
        return take_account(c, row);
    if (kind == ROW_KIND_transfer)
        take_transfer(c, row);
    else
        take_line(c, row);
    return 0;
}

static int check_work(struct api_call *call)
{
    static const struct row_query all[] = {
        {.kind = ROW_KIND_account}, {.kind = ROW_KIND_transfer}, {.kind = ROW_KIND_bill}};
    struct store *store = runtime_store(call->hub->runtime);
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NO_MEMORY;
    call->data = c;
    int rc = store->ops->rows(store, all, sizeof all / sizeof all[0], take, c, &call->err);
    rc = rc ? rc : c->rc;
    if (rc != 0)
        free(c->account);
    return rc;
}

/* What is wrong with the account; NULL: nothing. */
static const char *wrong(const struct sums *s)
{
    const struct row_account *a = &s->row;
    if (a->debits_posted != s->debits_posted || a->credits_posted != s->credits_posted)
        return "its balance is not the sum of its transfers";
    if (a->debits_pending != s->debits_pending || a->credits_pending != s->credits_pending)
        return "what is held is not the sum of its pending transfers";
    if (account_covered(a->code) && a->credits_posted - a->debits_posted - a->debits_pending < 0)
        return "more was spent and held than there was";
    if (a->code == ACCOUNT_WALLET && s->lines != a->debits_posted - s->gave_back)
        return "what left it is not what its lines come to";
    return NULL;
}

/* Sums of one ledger; false: debits are not credits. */
static bool add_ledger(struct buf *out, const struct check *c, uint32_t ledger)
{
    int64_t debits = 0, credits = 0, debits_held = 0, credits_held = 0, lines = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct row_account *a = &c->account[i].row;
        if (a->ledger != ledger)
            continue;
        n++;
        debits += a->debits_posted;
        credits += a->credits_posted;
        debits_held += a->debits_pending;
        credits_held += a->credits_pending;
        lines += c->account[i].lines;
    }
    bool balanced = debits == credits && debits_held == credits_held;
    bool control = ledger > LEDGER_CONTROL;
    const char *currency = currency_code(control ? ledger - LEDGER_CONTROL : ledger);
    buf_add_char(out, '{');
    add_text(out, "currency", currency ? currency : "?", 4);
    buf_addf(out, ",\"control\":%s,\"accounts\":%u", control ? "true" : "false", n);
    add_amount(out, "debits", debits);
    add_amount(out, "credits", credits);
    add_amount(out, "debits_held", debits_held);
    add_amount(out, "credits_held", credits_held);
    add_amount(out, "billed", lines);
    buf_addf(out, ",\"balanced\":%s}", balanced ? "true" : "false");
    return balanced;
}

static uint32_t add_problems(struct buf *out, const struct core *core, const struct check *c)
{
    char name[ACCOUNT_NAME_CAP];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct row_account *a = &c->account[i].row;
        const char *text = wrong(&c->account[i]);
        if (!text || ++n > PROBLEMS_SHOWN)
            continue;
        account_name(name, core, &a->owner, a->code, a->ledger);
        buf_add_text(out, n > 1 ? ",{" : "{");
        add_text(out, "account", name, sizeof name);
        add_text(out, "text", text, TEXT_CAP);
        buf_add_char(out, '}');
    }
    return n;
}

static int check_finish(struct api_call *call, const struct core *core)
{
    struct check *c = call->data;
    struct buf *out = &call->out;
    bool good = c->strays == 0;
    buf_add_text(out, "{\"data\":[");
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t k = 0;
        while (c->account[k].row.ledger != c->account[i].row.ledger)
            k++;
        if (k != i)
            continue; /* each ledger once, at its first account */
        buf_add_text(out, i ? "," : "");
        good = add_ledger(out, c, c->account[i].row.ledger) && good;
    }
    buf_add_text(out, "],\"problems\":[");
    uint32_t n = add_problems(out, core, c);
    buf_addf(out,
             "],\"wrong\":%u,\"accounts\":%u,\"transfers\":%llu,\"lines\":%llu,\"strays\":%llu,\"right\":%s}",
             n, c->n, (unsigned long long)c->transfers, (unsigned long long)c->lines,
             (unsigned long long)c->strays, good && n == 0 ? "true" : "false");
    free(c->account);
    c->account = NULL;
    return 0;
}

const struct api_handler api_ledger_check = {.work = check_work, .finish = check_finish};
