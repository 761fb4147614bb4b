/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books that a test keeps a second time, from rows of transfers and lines of bills alone, and what a charge comes to, by
 * arithmetic of its own.
 *
 * From transfers: each account's sums, and which ids there were; what is finished never changes, no id comes twice, and a post is
 * within its hold. From terms that are set beside the core: a price for tokens, half to even; tax, the network's fee and what owners get
 * of a charge, as exact fractions. books_check holds all of it against the core.
 */
#ifndef BUSBAR_TESTS_MONEY_BOOKS_H
#define BUSBAR_TESTS_MONEY_BOOKS_H

#include "core/ledger.h"
#include "support.h"

enum { BOOK_TENANTS = 4, BOOK_SITES = 2, BOOK_OWNERS = 4, BOOK_ACCOUNTS = 128, BOOK_SEEN = 1 << 16 };

struct money_books {
    struct row_account sum[BOOK_ACCOUNTS];
    uint32_t n;
    struct uuid finished[BOOK_SEEN];
    uint64_t transfers;
    /* Of lines: what tenants were charged, and what of it grants paid. */
    int64_t billed[BOOK_TENANTS], granted[BOOK_TENANTS];
    /* Terms in force: millionths. */
    uint32_t tax[BOOK_TENANTS], fee, share[BOOK_SITES][BOOK_OWNERS], nowners[BOOK_SITES];
    /* What they made of all charges. */
    int64_t taxes, fees, owner[BOOK_OWNERS], site[BOOK_SITES];
};

/* Money for so many tokens at a price for a million: half to even. */
int64_t books_price(uint64_t tokens, int64_t price);
/* A tenant was charged for work at a site. */
void books_divide(struct money_books *b, uint32_t tenant, uint32_t site, int64_t cost);
/* A row of a transfer, as it is now; the mirror has what it was. */
void books_transfer(struct money_books *b, const struct mirror *mirror, const struct row_transfer *now);
/* That of the account; it is there from now on. */
struct row_account *books_account(struct money_books *b, const struct uuid *owner, uint32_t code,
                                  uint32_t ledger);
/* Credits less debits, of the ledger of EUR. */
int64_t books_balance(struct money_books *b, struct uuid owner, uint32_t code);
/* The core has the same sums; debits equal credits; nothing covered is overdrawn; charges went where they had to. */
void books_check(struct money_books *b, const struct core *core);

#endif
