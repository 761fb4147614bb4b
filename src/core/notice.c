/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices: what tenants are to be told at their webhooks, and compute, one of the things that they are told of.
 *
 * A notice is made in the step that gives rise to it, so it is as durable as that. It stays until the hub says that it was delivered,
 * or was tried in vain for a day; so it comes at least once, and its id tells one that comes again. A tenant without a
 * webhook is told nothing. Where NOTICES_MAX wait no more are made; what they would tell is in the rows of budgets and compute.
 *
 * Compute is what the chips that a tenant's jobs had could have done at their peak, dense and in 16 bits, as the catalogue has
 * it. Every job counts, whatever it says that it is for: a threshold is not passed under by what is declared. Replicas, which serve
 * requests, do not count. Alarms: 1e23 FLOP, beyond which Regulation (EU) 2024/1689's guidelines take a model to be a general-purpose
 * one, and 1e25, its Article 51(2).
 */
#include <string.h>

#include "base/err.h"
#include "core/budget.h"
#include "core/kinds.h"
#include "core/notice.h"
#include "core/registry.h"
#include "core/state.h"
#include "core/view.h"

/* Until the next try, after so many that were in vain; then it is given up, within a day: Standard Webhooks 1.0.0's example
 * of a schedule, its last steps shortened (https://github.com/standard-webhooks/standard-webhooks). */
static const int64_t wait_ms[] = {5000, 300000, 1800000, 7200000, 18000000, 36000000};
#define TRIES_MAX (sizeof wait_ms / sizeof wait_ms[0] + 1)
#define STATUS_GONE 410

#define CHIP_TOLD_MS 60000
#define CHIP_TOLD_MAX 32 /* tenants of one alarm */

#define TERA_REST 1000000 /* of 1e6 FLOP in one of 1e12 */
static const uint64_t alarms[COMPUTE_ALARMS] = {COMPUTE_ALARM_0, COMPUTE_ALARM_1};

/* ---- notices ---- */

/* Fills the rest of the row, and puts it among those that wait. False: the tenant is not told, or there is no room. */
static bool add(struct core *core, uint32_t tenant, struct row_notice *row)
{
    struct budgets *b = &core->budgets;
    if (b->webhook_of[tenant] == INDEX_NONE || table_room(&b->notices) == 0)
        return false;
    row->id = charge_id(core, (uint8_t)(CHARGE_NOTICES + b->nids++));
    row->tenant = core->tenant[tenant].row.id;
    row->at_ms = row->next_ms = core->now_ms;
    row->state = NOTICE_PENDING;
    b->notice[table_take(&b->notices)].row = *row;
    return true;
}

void notice_budget(struct core *core, const struct budget *budget, uint32_t percent)
{
    struct row_notice row = {.kind = NOTICE_BUDGET,
                             .owner = budget->row.owner,
                             .scope = budget->row.scope,
                             .soft = budget->row.soft,
                             .per = budget->row.per,
                             .percent = percent,
                             .amount = budget->row.amount,
                             .spent = budget->row.spent,
                             .begun_ms = budget->row.begun_ms};
    (void)add(core, budget->tenant.v, &row);
}

struct told {
    uint32_t tenant[CHIP_TOLD_MAX], n;
};

/* In the order of their ids, since notices are numbered; past the bound those with the lowest ones. */
static void add_told(const struct core *core, struct told *told, uint32_t tenant)
{
    const struct uuid *id = &core->tenant[tenant].row.id;
    uint32_t at = 0;
    int order = 1;
    while (at < told->n && (order = memcmp(id, &core->tenant[told->tenant[at]].row.id, sizeof *id)) > 0)
        at++;
    if (at == CHIP_TOLD_MAX || (at < told->n && order == 0))
        return;
    told->n += told->n < CHIP_TOLD_MAX;
    for (uint32_t i = told->n - 1; i > at; i--)
        told->tenant[i] = told->tenant[i - 1];
    told->tenant[at] = tenant;
}

/* Tenants with a webhook and with a key that may see the register. */
static void find_told(const struct core *core, struct told *told)
{
    for (uint32_t i = 0; i < core->keys.used; i++) {
        const struct key *k = &core->key[i];
        if (table_live(&core->keys, i) && k->row.revoked_ms == 0 &&
            (k->row.scopes & (SCOPE_OPERATOR | SCOPE_OVERSEER)) &&
            core->budgets.webhook_of[k->tenant.v] != INDEX_NONE)
            add_told(core, told, k->tenant.v);
    }
}

/* Nobody is told more often than each CHIP_TOLD_MS, however many a site raises: the others are in the register. */
bool notice_chip(struct core *core, const struct row_unit_alarm *alarm)
{
    const struct registry *r = &core->registry;
    struct told told = {.n = 0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->alarms.used; i++) {
        const struct row_unit_alarm *row = &r->alarm[i].row;
        if (table_live(&r->alarms, i) && row->told && row->raised_ms > core->now_ms - CHIP_TOLD_MS)
            return false;
    }
    find_told(core, &told);
    for (uint32_t i = 0; i < told.n; i++) {
        struct row_notice row = {.kind = NOTICE_CHIP, .owner = alarm->unit};
        n += add(core, told.tenant[i], &row);
    }
    return n > 0;
}

int step_webhook_set(struct core *core, const struct event *event)
{
    const struct event_webhook_set *e = &event->u.webhook_set;
    struct budgets *b = &core->budgets;
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    if (tenant.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    uint32_t *at = &b->webhook_of[tenant.v];
    if (text_len(e->url, sizeof e->url) == 0) {
        if (*at == INDEX_NONE)
            return ERR_NOT_FOUND;
        table_drop(&b->webhooks, *at);
        *at = INDEX_NONE;
        return 0;
    }
    if (uuid_zero(&e->webhook))
        return ERR_INVALID;
    if (*at == INDEX_NONE && table_room(&b->webhooks) == 0)
        return ERR_LIMIT;
    if (*at == INDEX_NONE)
        *at = table_take(&b->webhooks);
    table_touch(&b->webhooks, *at);
    struct row_webhook *row = &b->webhook[*at].row;
    *row = (struct row_webhook){.tenant = e->tenant, .id = e->webhook, .set_ms = event->at_ms};
    memcpy(row->url, e->url, sizeof row->url);
    return 0;
}

int step_webhook_test(struct core *core, const struct event *event)
{
    struct tenant_id tenant = tenant_by_id(core, &event->u.webhook_test.tenant);
    struct row_notice row = {.kind = NOTICE_TEST};
    if (tenant.v == INDEX_NONE || core->budgets.webhook_of[tenant.v] == INDEX_NONE)
        return ERR_NOT_FOUND;
    return add(core, tenant.v, &row) ? 0 : ERR_LIMIT;
}

/* Where its tenant has no webhook any more there is nobody to tell. */
static uint32_t state_after(const struct row_notice *row, bool reached)
{
    if (reached && row->status >= 200 && row->status < 300)
        return NOTICE_DELIVERED;
    return !reached || row->tries >= TRIES_MAX || row->status == STATUS_GONE ? NOTICE_GIVEN_UP
                                                                             : NOTICE_PENDING;
}

int step_notice_tried(struct core *core, const struct event *event)
{
    const struct event_notice_tried *e = &event->u.notice_tried;
    struct budgets *b = &core->budgets;
    uint32_t i = 0;
    while (i < b->notices.used && !(table_live(&b->notices, i) && uuid_eq(&b->notice[i].row.id, &e->notice)))
        i++;
    if (i == b->notices.used)
        return ERR_NOT_FOUND;
    if (e->status > 999)
        return ERR_INVALID;
    struct row_notice *row = &b->notice[i].row;
    uint32_t hook = b->webhook_of[tenant_by_id(core, &row->tenant).v];
    row->tries++;
    row->status = e->status;
    row->state = state_after(row, hook != INDEX_NONE);
    if (hook != INDEX_NONE) {
        b->webhook[hook].row.status = e->status;
        b->webhook[hook].row.tried_ms = event->at_ms;
        table_touch(&b->webhooks, hook);
    }
    if (row->state == NOTICE_PENDING) {
        row->next_ms = event->at_ms + wait_ms[row->tries - 1];
        table_touch(&b->notices, i);
    } else {
        table_drop(&b->notices, i); /* its row stays in the store */
    }
    return 0;
}

/* ---- compute ---- */

void compute_add(struct core *core, struct tenant_id tenant, uint64_t chip_ms, uint64_t gflops)
{
    struct budgets *b = &core->budgets;
    uint32_t *at = &b->compute_of[tenant.v];
    if (chip_ms == 0 || gflops == 0)
        return;
    if (*at == INDEX_NONE) {
        *at = table_take(&b->computes); /* one for each tenant */
        b->compute[*at].row = (struct row_compute){.tenant = core->tenant[tenant.v].row.id};
    }
    table_touch(&b->computes, *at);
    struct row_compute *row = &b->compute[*at].row;
    /* A chip's ms at so many 1e9 FLOP a second. */
    int128 sum = (int128)chip_ms * gflops + row->rest;
    int128 tera = sum / TERA_REST + row->tera;
    row->tera = (uint64_t)i64_clamp(tera, INT64_MAX);
    row->rest = (uint64_t)(sum % TERA_REST);
    int64_t *const since_ms[COMPUTE_ALARMS] = {&row->alarm0_ms, &row->alarm1_ms};
    for (uint32_t i = 0; i < COMPUTE_ALARMS; i++) {
        if (*since_ms[i] != 0 || row->tera < alarms[i])
            continue;
        *since_ms[i] = core->now_ms;
        struct row_notice notice = {.kind = NOTICE_COMPUTE,
                                    .owner = row->tenant,
                                    .scope = BUDGET_TENANT,
                                    .amount = (int64_t)alarms[i],
                                    .spent = (int64_t)row->tera};
        (void)add(core, tenant.v, &notice);
    }
}

/* ---- laying out, rows, views ---- */

static bool project_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct project *)table)[i].row.id, key, len) == 0;
}

void budgets_carve(struct core *core, struct arena *arena)
{
    struct budgets *b = &core->budgets;
    const uint32_t tenants = core->limits.tenants;
    CARVE(core, budgets.table, budgets.budget, BUDGETS_MAX);
    CARVE(core, budgets.projects, budgets.project, PROJECTS_MAX);
    CARVE(core, budgets.webhooks, budgets.webhook, tenants);
    CARVE(core, budgets.notices, budgets.notice, NOTICES_MAX);
    CARVE(core, budgets.computes, budgets.compute, tenants);
    index_init(&b->project_map, arena, PROJECTS_MAX, project_equal, b->project);
    b->webhook_of = arena_take(arena, tenants * sizeof *b->webhook_of);
    b->compute_of = arena_take(arena, tenants * sizeof *b->compute_of);
    b->next_ms = INT64_MAX;
}

void budgets_add_tenant(struct core *core, uint32_t tenant)
{
    struct tenant *t = &core->tenant[tenant];
    t->budget[BUDGET_HARD] = t->budget[BUDGET_SOFT] = INDEX_NONE;
    core->budgets.webhook_of[tenant] = core->budgets.compute_of[tenant] = INDEX_NONE;
}

#define COLLECT(tables, kind, dead_op) \
    do { \
        for (uint32_t k = 0; k < b->tables.ndirty; k++) { \
            bool dead; \
            uint32_t i = table_changed(&b->tables, k, &dead); \
            fn(ctx, ROW_KIND_##kind, dead ? (dead_op) : ROW_PUT, &b->kind[i].row); \
        } \
        table_clean(&b->tables); \
    } while (0)

void budgets_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct budgets *b = &core->budgets;
    COLLECT(projects, project, ROW_DELETE);
    COLLECT(table, budget, ROW_DELETE);
    COLLECT(webhooks, webhook, ROW_DELETE);
    COLLECT(notices, notice, ROW_PUT);
    COLLECT(computes, compute, ROW_DELETE);
}

int load_webhook(struct core *core, const struct row_webhook *row)
{
    struct budgets *b = &core->budgets;
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    if (tenant.v == INDEX_NONE || b->webhook_of[tenant.v] != INDEX_NONE)
        return ERR_CORRUPT;
    b->webhook_of[tenant.v] = table_take(&b->webhooks);
    b->webhook[b->webhook_of[tenant.v]].row = *row;
    return 0;
}

int load_notice(struct core *core, const struct row_notice *row)
{
    if (row->state != NOTICE_PENDING)
        return 0; /* part of the books, not of the state */
    if (tenant_by_id(core, &row->tenant).v == INDEX_NONE || row->tries >= TRIES_MAX)
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->budgets.notices);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->budgets.notice[i].row = *row;
    return 0;
}

int load_compute(struct core *core, const struct row_compute *row)
{
    struct budgets *b = &core->budgets;
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    if (tenant.v == INDEX_NONE || b->compute_of[tenant.v] != INDEX_NONE || row->rest >= TERA_REST)
        return ERR_CORRUPT;
    b->compute_of[tenant.v] = table_take(&b->computes);
    b->compute[b->compute_of[tenant.v]].row = *row;
    return 0;
}

const struct row_webhook *view_webhook(const struct core *core, const struct uuid *tenant)
{
    struct tenant_id id = tenant_by_id(core, tenant);
    uint32_t i = id.v == INDEX_NONE ? INDEX_NONE : core->budgets.webhook_of[id.v];
    return i == INDEX_NONE ? NULL : &core->budgets.webhook[i].row;
}

const struct row_compute *view_compute(const struct core *core, const struct uuid *tenant)
{
    struct tenant_id id = tenant_by_id(core, tenant);
    uint32_t i = id.v == INDEX_NONE ? INDEX_NONE : core->budgets.compute_of[id.v];
    return i == INDEX_NONE ? NULL : &core->budgets.compute[i].row;
}
