/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the books are right, from what the store holds at one moment and from nothing that the core says.
 *
 * In each ledger debits equal credits, posted and held. Each account's four sums are those of its transfers. What left a tenant's
 * wallet for work, less what came back, is what its lines come to, less what grants paid; tax is that of all lines. In each unit of
 * use debits equal credits, and a tenant's are those of its lines. Of each site, what its replicas told that they drew is what lines of
 * requests say of it, what was idle, and what waits to be shared out. The figures of each ledger are shown, and each account that
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
    int64_t
        lines; /* of a wallet: what its lines ask for, less what grants paid; of tax: what lines say of it */
    int64_t billed; /* of a wallet: what they ask for */
    uint64_t used[USAGE_UNIT_MAX],
        lined[USAGE_UNIT_MAX]; /* of a wallet's tenant: by its accounts, and by its lines */
};

/* What a site's replicas drew, mJ. */
struct drawn {
    struct uuid site;
    uint64_t told; /* by what they are metered, less what waits */
    uint64_t lines, idle;
};

struct check {
    struct drawn *drawn;
    uint32_t ndrawn;
    struct drawn nowhere; /* where there was no memory */
    struct sums *account; /* by owner, code and ledger, as the store has them */
    uint32_t n, cap;
    uint64_t transfers, lines;
    uint64_t strays;                                          /* transfers of an account that is not there */
    uint64_t debits[USAGE_UNIT_MAX], credits[USAGE_UNIT_MAX]; /* of what was used, all of it */
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

/* A tenant has one wallet, and of its accounts that comes first. NULL: there is no such tenant. */
static struct sums *wallet_of(struct check *c, const struct uuid *tenant)
{
    for (uint32_t low = 0, high = c->n; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        const struct row_account *a = &c->account[mid].row;
        int order = memcmp(&a->owner, tenant, sizeof a->owner);
        if (order == 0 && a->code == ACCOUNT_WALLET)
            return &c->account[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static struct drawn *drawn_at(struct check *c, const struct uuid *site)
{
    for (uint32_t i = 0; i < c->ndrawn; i++) {
        if (uuid_eq(&c->drawn[i].site, site))
            return &c->drawn[i];
    }
    struct drawn *more = realloc(c->drawn, (c->ndrawn + 1) * sizeof *more);
    if (!more) {
        c->rc = ERR_NO_MEMORY;
        return &c->nowhere;
    }
    c->drawn = more;
    more[c->ndrawn] = (struct drawn){.site = *site};
    return &more[c->ndrawn++];
}

static void take_replica(struct check *c, const struct row_replica_meter *row)
{
    drawn_at(c, &row->site)->told += row->energy_mj - row->waiting_mj;
}

static void take_line(struct check *c, const struct row_bill *row)
{
    static const struct uuid network;
    struct sums *wallet = wallet_of(c, &row->tenant);
    struct sums *tax = wallet ? find(c, &network, ACCOUNT_TAX, wallet->row.ledger) : NULL;
    c->lines++;
    if (!uuid_zero(&row->variant))
        drawn_at(c, &row->site)->lines += row->energy_mj;
    if (!wallet || (!tax && row->tax != 0)) {
        c->strays++;
        return;
    }
    wallet->lines += row->cost - row->granted;
    wallet->billed += row->cost;
    if (tax)
        tax->lines += row->tax;
#define U(name, number, field, text) wallet->lined[number] += row->field;
    USAGE_UNITS(U)
#undef U
}

static void take_used(struct check *c, const struct row_used *row)
{
    struct sums *wallet = row->side == SIDE_USED ? wallet_of(c, &row->owner) : NULL;
    if (row->unit >= USAGE_UNIT_MAX || (row->side == SIDE_USED && !wallet)) {
        c->strays++;
        return;
    }
    if (row->side == SIDE_IDLE && row->unit == USAGE_ENERGY)
        drawn_at(c, &row->owner)->idle += row->debits;
    c->debits[row->unit] += row->debits;
    c->credits[row->unit] += row->credits;
    if (wallet)
        wallet->used[row->unit] += row->debits - row->credits;
}

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct check *c = ctx;
    if (kind == ROW_KIND_account)
        return take_account(c, row);
    if (kind == ROW_KIND_transfer)
        take_transfer(c, row);
    else if (kind == ROW_KIND_bill)
        take_line(c, row);
    else if (kind == ROW_KIND_used)
        take_used(c, row);
    else
        take_replica(c, row);
    return c->rc;
}

static int check_work(struct api_call *call)
{
    static const struct row_query all[] = {{.kind = ROW_KIND_account},
                                           {.kind = ROW_KIND_transfer},
                                           {.kind = ROW_KIND_bill},
                                           {.kind = ROW_KIND_used},
                                           {.kind = ROW_KIND_replica_meter}};
    struct store *store = runtime_store(call->hub->runtime);
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NO_MEMORY;
    call->data = c;
    int rc = store->ops->rows(store, all, sizeof all / sizeof all[0], take, c, &call->err);
    rc = rc ? rc : c->rc;
    if (rc != 0) {
        free(c->account);
        free(c->drawn);
        c->account = NULL;
        c->drawn = NULL;
    }
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
    if (a->code == ACCOUNT_TAX && s->lines != a->credits_posted)
        return "what came in is not the tax of all lines";
    if (a->code == ACCOUNT_WALLET && memcmp(s->used, s->lined, sizeof s->used) != 0)
        return "what its tenant's accounts of use say is not what its lines come to";
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
        lines += c->account[i].billed;
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

static void add_problem(struct buf *out, const char *name, const char *text, uint32_t n)
{
    if (n > PROBLEMS_SHOWN)
        return;
    buf_add_text(out, n > 1 ? ",{" : "{");
    add_text(out, "account", name, ACCOUNT_NAME_CAP);
    add_text(out, "text", text, TEXT_CAP);
    buf_add_char(out, '}');
}

static uint32_t add_problems(struct buf *out, const struct core *core, const struct check *c)
{
    char name[ACCOUNT_NAME_CAP];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->ndrawn; i++) {
        const struct drawn *d = &c->drawn[i];
        if (d->lines + d->idle == d->told)
            continue;
        usage_account_name(name, core, &d->site, SIDE_IDLE, USAGE_ENERGY);
        add_problem(out, name, "with the lines of requests it is not what replicas told that they drew", ++n);
    }
    for (uint32_t i = 0; i < c->n; i++) {
        const struct row_account *a = &c->account[i].row;
        const char *text = wrong(&c->account[i]);
        if (!text)
            continue;
        account_name(name, core, &a->owner, a->code, a->ledger);
        add_problem(out, name, text, ++n);
    }
    return n;
}

/* What was used, by unit; false: debits are not credits. */
static bool add_usage(struct buf *out, const struct check *c)
{
    bool good = true;
    const char *sep = "";
#define U(name, number, field, text) \
    if (c->debits[number] || c->credits[number]) { \
        bool balanced = c->debits[number] == c->credits[number]; \
        buf_addf(out, "%s{\"unit\":\"%s\",\"debits\":%llu,\"credits\":%llu,\"balanced\":%s}", sep, text, \
                 (unsigned long long)c->debits[number], (unsigned long long)c->credits[number], \
                 balanced ? "true" : "false"); \
        good = good && balanced; \
        sep = ","; \
    }
    USAGE_UNITS(U)
#undef U
    return good;
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
    buf_add_text(out, "],\"usage\":[");
    good = add_usage(out, c) && good;
    buf_add_text(out, "],\"problems\":[");
    uint32_t n = add_problems(out, core, c);
    buf_addf(out,
             "],\"wrong\":%u,\"accounts\":%u,\"transfers\":%llu,\"lines\":%llu,\"strays\":%llu,\"right\":%s}",
             n, c->n, (unsigned long long)c->transfers, (unsigned long long)c->lines,
             (unsigned long long)c->strays, good && n == 0 ? "true" : "false");
    free(c->account);
    free(c->drawn);
    c->account = NULL;
    c->drawn = NULL;
    return 0;
}

const struct api_handler api_ledger_check = {.work = check_work, .finish = check_finish};
