/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger: double entry. Accounts, and transfers between two accounts of the same ledger.
 *
 * A transfer is posted at once, or pending: a hold that is posted in parts, never above what it holds, and ends when
 * the rest is void. Every amount is debited from one account and credited to another, so in each ledger debits equal
 * credits, posted and pending alike. A wallet's debits, pending ones included, never exceed its posted credits.
 * Corrections are new transfers. (TigerBeetle's model: https://docs.tigerbeetle.com/coding/data-modeling/)
 *
 * A ledger number is the ISO 4217 code of a currency, in nano-units; LEDGER_CONTROL + code is the ledger in which
 * limits of single keys are kept, beside the money.
 */
#ifndef BUSBAR_CORE_LEDGER_H
#define BUSBAR_CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "core/effect.h"
#include "core/schema.h"
#include "core/table.h"

#define LEDGER_CONTROL 10000u

/* A(NAME, code, covered, text): `covered` accounts may not be debited beyond their posted credits. */
/* clang-format off */
#define ACCOUNT_CODES(A) \
    A(WALLET, 1, true, "wallet")         /* of a tenant: prepaid money */ \
    A(REVENUE, 2, false, "revenue")      /* of a site, a corridor, an owner */ \
    A(ROUNDING, 3, false, "rounding")    /* of the network: what rounding gave or took */ \
    A(FUNDING, 4, false, "funding")      /* of a tenant: where its budget comes from; its balance is the budget */ \
    A(KEY_LIMIT, 5, true, "key_limit")   /* of a key, control ledger */ \
    A(KEY_USED, 6, false, "key_used")    /* of the network, control ledger: counterpart of KEY_LIMIT */ \
    A(ALLOWANCE, 7, false, "allowance")  /* of the network: what credit notes gave back */ \
    A(FEE, 8, false, "fee")              /* of the network: what it keeps of charges */ \
    A(TAX, 9, false, "tax")              /* of the network, until it is paid to whom it is due */ \
    A(CARBON, 10, false, "carbon")       /* of the network: what the CO2e of work cost its sites */ \
    A(GRANT, 11, true, "grant")          /* of a grant: what is left of it */ \
    A(SPONSOR, 12, false, "sponsor")     /* of a party: where its grants come from */ \
    A(PEER, 13, false, "peer")           /* of a party, another network: what this one owes it, or it this one */ \
    A(SETTLEMENT, 14, false, "settlement") /* of the network: what came from other networks, or went there */
/* clang-format on */

enum account_code {
#define A(name, code, covered, text) ACCOUNT_##name = (code),
    ACCOUNT_CODES(A)
#undef A
};

enum transfer_state { TRANSFER_PENDING = 1, TRANSFER_POSTED = 2, TRANSFER_VOIDED = 3 };
/* What a transfer is for. */
#define TRANSFER_CODES(T) \
    T(BUDGET, 1, "budget") \
    T(LEASE, 2, "requests") /* a hold for requests, posted by what they cost */ \
    T(ROUNDING, 3, "rounding") \
    T(JOB, 4, "job") \
    T(DATA, 5, "data") \
    T(ENERGY, 6, "energy") \
    T(MINIMUM, 7, "minimum") \
    T(TOPUP, 20, "topup") \
    T(CREDIT, 21, "credit") \
    T(SHARE, 30, "share") \
    T(FEE, 31, "fee") \
    T(TAX, 32, "tax") \
    T(CARBON, 33, "carbon") \
    T(GRANT, 34, "grant") \
    T(SETTLE, 35, "settlement")

enum transfer_code {
#define T(name, code, text) TRANSFER_##name = (code),
    TRANSFER_CODES(T)
#undef T
};

struct account_id {
    uint32_t v;
};
struct transfer_id {
    uint32_t v;
};

struct transfer {
    struct row_transfer row;
    struct account_id debit;
    struct account_id credit;
};

struct ledger {
    struct table accounts;
    struct row_account *account;
    struct map account_map;
    struct table transfers;
    struct transfer *transfer;
    struct map transfer_map;
};

void ledger_init(struct ledger *ledger, struct arena *arena, uint32_t accounts, uint32_t transfers);

/* The account of (owner, code, ledger number), opened if there is none yet. ERR_LIMIT. */
int ledger_account(struct ledger *ledger, const struct uuid *owner, enum account_code code, uint32_t number,
                   struct account_id *out);
/* INDEX_NONE if there is none. */
struct account_id ledger_find(const struct ledger *ledger, const struct uuid *owner, enum account_code code,
                              uint32_t number);
const struct row_account *ledger_row(const struct ledger *ledger, struct account_id id);

/* What a covered account can still be debited: posted credits less posted and pending debits. */
int64_t ledger_available(const struct ledger *ledger, struct account_id id);
/* The same, pending debits not counted: what could become free if every hold were void. */
int64_t ledger_unspent(const struct ledger *ledger, struct account_id id);

struct transfer_order {
    struct uuid id; /* drawn by the sender; a second order with the same id is ERR_EXISTS */
    struct account_id debit;
    struct account_id credit;
    int64_t amount;
    enum transfer_code code;
    int64_t event_ms;
    int64_t timeout_ms; /* pending only; 0: none */
    struct uuid ref;
};

/* Whether the order would be accepted now: 0, or ERR_BUDGET_SPENT, ERR_EXISTS, ERR_OVERFLOW, ERR_INVALID, ERR_LIMIT. */
int ledger_check(const struct ledger *ledger, const struct transfer_order *order);
/* Posts at once. Same errors; nothing changes on error. */
int ledger_transfer(struct ledger *ledger, const struct transfer_order *order);
/* Posts n transfers one after the other, linked: all of them, or with the error of the first that is refused none. No two of them
 * have the same id. */
int ledger_link(struct ledger *ledger, const struct transfer_order *orders, uint32_t n);
/* Holds. */
int ledger_hold(struct ledger *ledger, const struct transfer_order *order, struct transfer_id *out);
/* What the hold still holds. */
int64_t ledger_held(const struct ledger *ledger, struct transfer_id id);
/* Posts a part; asserts that it is within what is held. */
void ledger_post(struct ledger *ledger, struct transfer_id id, int64_t amount);
/* Voids a part; asserts as above. */
void ledger_release(struct ledger *ledger, struct transfer_id id, int64_t amount);
/* Ends the hold: the rest is void and the transfer leaves memory; its row stays in the store. */
void ledger_end(struct ledger *ledger, struct transfer_id id);

/* Adds to a rounding account's residue (nano-units/PRICE_PER). When that has gathered whole nano-units they move
 * between it and `revenue` by a transfer with this id. Errors as ledger_transfer; the residue is then unchanged. */
int ledger_round(struct ledger *ledger, struct account_id rounding, struct account_id revenue,
                 int64_t residue, const struct uuid *id, int64_t event_ms);
/* The two steps of it, for who links that transfer to others: how many transfers there are to post, 0 or 1; and once they are posted
 * the residue as it is then. */
uint32_t ledger_round_order(const struct ledger *ledger, struct account_id rounding,
                            struct account_id revenue, int64_t residue, const struct uuid *id,
                            int64_t event_ms, struct transfer_order *out);
void ledger_round_done(struct ledger *ledger, struct account_id rounding, int64_t residue);

/* Loading: accounts first, then pending transfers. ERR_CORRUPT, ERR_LIMIT, ERR_EXISTS. */
int ledger_load_account(struct ledger *ledger, const struct row_account *row);
int ledger_load_transfer(struct ledger *ledger, const struct row_transfer *row);
struct transfer_id ledger_find_transfer(const struct ledger *ledger, const struct uuid *id);

/* Debits equal credits in every ledger number, pending sums match the holds, covered accounts are covered.
 * Returns 0 or ERR_CORRUPT. */
int ledger_audit(const struct ledger *ledger);

bool account_covered(uint32_t code);
const char *account_code_text(uint32_t code);
const char *transfer_code_text(uint32_t code);

#endif
