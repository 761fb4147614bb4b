/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets of tenants, projects and keys, beside wallets and limits of keys: the part of the state behind core/budget.c,
 * core/project.c and core/notice.c, for the files of this folder only.
 *
 * An owner has at most one hard and one soft budget. Each is an amount for a period (a day, a week from Monday on, a month, in UTC;
 * or for ever). Of a hard one never more than the amount is posted and held in a period: what may be drawn is asked here, by
 * requests and by jobs alike. A charge counts to the period in which it is booked, and what is held counts to each period until
 * it is posted or free again. A soft one refuses nothing; of both kinds the tenant is told when thresholds are passed.
 *
 * The clock is that of events. A period that is over counts as over from the first event after its end on, even where its row still
 * says otherwise: the row follows with the next charge or tick. What is held is not in rows: it follows from the leases.
 */
#ifndef BUSBAR_CORE_BUDGET_H
#define BUSBAR_CORE_BUDGET_H

#include "base/map.h"
#include "core/core.h"
#include "core/ids.h"
#include "core/ledger.h"
#include "core/table.h"

enum { BUDGET_HARD, BUDGET_SOFT, BUDGET_KINDS };

struct budget {
    struct row_budget row;
    int64_t held; /* by leases that draw on it */
    struct tenant_id tenant;
    uint32_t owner; /* of the table of its scope */
};

struct project {
    struct row_project row;
    struct tenant_id tenant;
    uint32_t nkeys; /* that are not revoked */
    uint32_t budget[BUDGET_KINDS];
};

struct webhook {
    struct row_webhook row;
};

struct notice {
    struct row_notice row;
};

struct compute {
    struct row_compute row;
};

struct budgets {
    struct table table;
    struct budget *budget;
    int64_t next_ms; /* when the next period ends; INT64_MAX: none does */
    int64_t refusal; /* of this step: budget_refusal (core/kinds.h), 0: none */
    struct table projects, webhooks, notices, computes;
    struct project *project;
    struct webhook *webhook;
    struct notice *notice;
    struct compute *compute;
    struct map project_map;
    uint32_t *webhook_of, *compute_of; /* by tenant, INDEX_NONE: none */
    uint8_t nids;                      /* of notices that this step made */
};

/* Hard budgets that something draws on, by scope; INDEX_NONE: there is none. */
struct draws {
    uint32_t v[4];
};

/* Unix ms: of the period that it is then; 0 and INT64_MAX of one that has no end. */
int64_t budget_period_begin(uint32_t per, int64_t now_ms);
int64_t budget_period_end(uint32_t per, int64_t now_ms);

void budgets_carve(struct core *core, struct arena *arena);
/* Finds when the next period ends. */
void budgets_look(struct core *core);
/* A tenant is there: it has no budgets yet. */
void budgets_add_tenant(struct core *core, uint32_t tenant);
void budgets_collect(struct core *core, row_fn *fn, void *ctx);
int load_project(struct core *core, const struct row_project *row);
int load_budget(struct core *core, const struct row_budget *row);
int load_webhook(struct core *core, const struct row_webhook *row);
int load_notice(struct core *core, const struct row_notice *row);
int load_compute(struct core *core, const struct row_compute *row);
/* After the last row: keys know their projects, leases what they draw on. ERR_CORRUPT. */
int load_budgets_done(struct core *core);
/* No hard budget is exceeded, and what is held of it is what leases say. */
bool budgets_hold_all(const struct core *core);
/* At a tick: periods that are over. */
void budgets_turn(struct core *core);

/* What a purse of the key draws on; INDEX_NONE for the key: the tenant's alone. */
struct draws budgets_of(const struct core *core, struct tenant_id tenant, struct key_id key, uint32_t purse);
/* What may still be drawn, nano-units; `held`: less what is held. INT64_MAX where nothing bounds it. */
int64_t budgets_room(const struct core *core, const struct draws *draws, bool held);
/* Of those the widest that has not so much, as budget_refusal tells it; 0: each has. Holds count as if they came back. */
int64_t budgets_lack(const struct core *core, const struct draws *draws, int64_t want);
void budgets_hold(struct core *core, const struct draws *draws, int64_t amount);
void budgets_release(struct core *core, const struct draws *draws, int64_t amount);
/* So much was paid. `held`: it was held before, and is no more. There was room. */
void budgets_spend(struct core *core, const struct draws *draws, int64_t amount, bool held);
/* The same for the soft budgets of the key, its project and its tenant. */
void budgets_spend_soft(struct core *core, struct tenant_id tenant, struct key_id key, int64_t amount);

/* Who pays for a job: the tenant, within the budgets and the limit of the key that it was sent with, if with any. */
struct payer {
    struct tenant_id tenant;
    struct key_id key;
    struct account_id limit;
    struct draws draws;
};

struct payer payer_of(const struct core *core, struct tenant_id tenant, const struct uuid *key);
/* The most that its budgets and its key's limit let it pay, nano-units; `held`: less what is held. */
int64_t payer_room(const struct core *core, const struct payer *p, bool held);
/* What the key's own limit is less by a charge: one transfer at `out` like `like`, whose id and amount it keeps, or none; *n: how
 * many. It is posted with the charge. ERR_LIMIT. */
int payer_limit(struct core *core, const struct payer *p, const struct transfer_order *like,
                struct transfer_order *out, uint32_t *n);

/* The project of a key, INDEX_NONE: it is of none. */
uint32_t project_of(const struct core *core, const struct row_key *key);
void project_unref(struct core *core, const struct row_key *key);
/* ERR_NOT_FOUND: it is not there, of another tenant or removed. A zero id is none. */
int project_check(const struct core *core, const struct uuid *id, const struct uuid *tenant);
void project_ref(struct core *core, const struct uuid *id);

/* The budget has passed the percentage. */
void notice_budget(struct core *core, const struct budget *budget, uint32_t percent);
/* The tenant's jobs had chips for so much longer: what these could have computed counts. */
void compute_add(struct core *core, struct tenant_id tenant, uint64_t chip_ms, uint64_t gflops);

#endif
