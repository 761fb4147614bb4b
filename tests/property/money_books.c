/* SPDX-License-Identifier: Apache-2.0 */
#include "money_books.h"

#include "base/checked.h"

#define MILLION 1000000

/* ---- what a charge comes to ---- */

/* Half to even of a / b. */
static int64_t even(int128 a, int128 b)
{
    int128 down = a / b, rest = a - down * b;
    if (rest * 2 == b)
        return (int64_t)(down + down % 2);
    return (int64_t)(rest * 2 > b ? down + 1 : down);
}

int64_t books_price(uint64_t tokens, int64_t price)
{
    return even((int128)tokens * price, MILLION);
}

/* By largest remainder, of equal ones the first. */
static void share(struct money_books *b, uint32_t site, int64_t rest)
{
    bool more[BOOK_OWNERS] = {false};
    int64_t left = rest;
    for (uint32_t i = 0; i < b->nowners[site]; i++)
        left -= (int64_t)((int128)rest * b->share[site][i] / MILLION);
    for (; left > 0; left--) {
        uint32_t best = BOOK_OWNERS;
        for (uint32_t i = 0; i < b->nowners[site]; i++) {
            int128 mine = (int128)rest * b->share[site][i] % MILLION;
            if (!more[i] && (best == BOOK_OWNERS || mine > (int128)rest * b->share[site][best] % MILLION))
                best = i;
        }
        more[best] = true;
    }
    for (uint32_t i = 0; i < b->nowners[site]; i++)
        b->owner[i] += (int64_t)((int128)rest * b->share[site][i] / MILLION) + more[i];
}

void books_divide(struct money_books *b, uint32_t tenant, uint32_t site, int64_t cost)
{
    int64_t tax = even((int128)cost * b->tax[tenant], MILLION + (int64_t)b->tax[tenant]);
    int64_t fee = even((int128)(cost - tax) * b->fee, MILLION);
    b->taxes += tax;
    b->fees += fee;
    if (b->nowners[site] == 0)
        b->site[site] += cost - tax - fee;
    else
        share(b, site, cost - tax - fee);
}

/* ---- from rows of transfers ---- */

struct row_account *books_account(struct money_books *b, const struct uuid *owner, uint32_t code,
                                  uint32_t ledger)
{
    for (uint32_t i = 0; i < b->n; i++) {
        struct row_account *a = &b->sum[i];
        if (uuid_eq(&a->owner, owner) && a->code == code && a->ledger == ledger)
            return a;
    }
    assert_true(b->n < BOOK_ACCOUNTS);
    b->sum[b->n] = (struct row_account){.owner = *owner, .code = code, .ledger = ledger};
    return &b->sum[b->n++];
}

int64_t books_balance(struct money_books *b, struct uuid owner, uint32_t code)
{
    const struct row_account *a = books_account(b, &owner, code, EUR);
    return a->credits_posted - a->debits_posted;
}

/* True if it was not known. */
static bool finish(struct money_books *b, const struct uuid *id)
{
    uint64_t h, head;
    memcpy(&h, id->b + 8, sizeof h);
    memcpy(&head, id->b, sizeof head);
    h = (h ^ head * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = (uint32_t)(h >> 48);; i++) {
        struct uuid *at = &b->finished[i % BOOK_SEEN];
        if (uuid_eq(at, id))
            return false;
        if (uuid_zero(at)) {
            *at = *id;
            return true;
        }
    }
}

void books_transfer(struct money_books *b, const struct mirror *mirror, const struct row_transfer *now)
{
    const struct row_transfer *before = mirror_find(mirror, ROW_KIND_transfer, now);
    const struct row_transfer none = {.amount = now->amount};
    int64_t held = now->state == TRANSFER_PENDING ? now->amount - now->posted - now->voided : 0;
    int64_t held_before = before ? before->amount - before->posted - before->voided : 0;
    b->transfers += before == NULL;
    before = before ? before : &none;
    assert_true(now->amount == before->amount && now->posted >= before->posted &&
                now->voided >= before->voided);
    assert_true(now->posted + now->voided <= now->amount);
    if (now->state != TRANSFER_PENDING && !finish(b, &now->id))
        fail_msg("the id of a finished transfer came again, code %u", now->code);
    struct row_account *d = books_account(b, &now->debit_owner, now->debit_code, now->ledger);
    d->debits_posted += now->posted - before->posted;
    d->debits_pending += held - held_before;
    struct row_account *c = books_account(b, &now->credit_owner, now->credit_code, now->ledger);
    c->credits_posted += now->posted - before->posted;
    c->credits_pending += held - held_before;
}

/* ---- against the core ---- */

static void check_sums(const struct money_books *b, const struct core *core)
{
    int128 posted = 0, held = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct row_account *a = &b->sum[i];
        const struct row_account *in_core = view_account(core, &a->owner, a->code, a->ledger);
        if (!in_core) { /* it was asked for, and nothing was ever moved */
            assert_true(a->debits_posted == 0 && a->credits_posted == 0 && a->debits_pending == 0);
            continue;
        }
        assert_true(in_core->debits_posted == a->debits_posted &&
                    in_core->credits_posted == a->credits_posted);
        assert_true(in_core->debits_pending == a->debits_pending &&
                    in_core->credits_pending == a->credits_pending);
        if (a->code == ACCOUNT_GRANT)
            assert_true(a->debits_posted + a->debits_pending <= a->credits_posted);
        posted += a->debits_posted - a->credits_posted;
        held += a->debits_pending - a->credits_pending;
    }
    assert_true(posted == 0 && held == 0);
}

void books_check(struct money_books *b, const struct core *core)
{
    static const struct uuid network;
    check_sums(b, core);
    assert_true(books_balance(b, network, ACCOUNT_TAX) == b->taxes);
    assert_true(books_balance(b, network, ACCOUNT_FEE) == b->fees);
    for (uint32_t i = 0; i < BOOK_OWNERS; i++)
        assert_true(books_balance(b, uid('O', i + 1), ACCOUNT_REVENUE) == b->owner[i]);
    /* The first site's has what rounding gave, or took, besides: holds are in its favour. */
    int64_t rounding = books_balance(b, network, ACCOUNT_ROUNDING);
    for (uint32_t i = 0; i < BOOK_SITES; i++)
        assert_true(books_balance(b, uid('S', i + 1), ACCOUNT_REVENUE) + (i == 0 ? rounding : 0) ==
                    b->site[i]);
}
