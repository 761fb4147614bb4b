/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books: what tenants are billed and what they paid, beside the ledger's balances.
 *
 * Whatever a tenant is charged is also added to a line: of its day, model or pool, site and version of the price, so that a bill
 * needs no price list, and no later price can change it. A line's day is that of the use (core/event_time.c). Where the bill of that
 * day is closed, what comes late is a line of its own on the next one, so lines of a bill that is closed stay as they are.
 *
 * A bill is closed for all months since the one before, once for each month; then it can only be answered by a credit note. What
 * was paid in or given back carries an id of its sender's and counts once: the core knows the newest PAYMENTS_KEPT, and whoever
 * sends one asks the store for those before (hub/ledger.c).
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/month.h"
#include "core/state.h"

/* Of a batch: an event has four lines at most, a job's chips, those that are free, its energy and its data; and what a replica drew is
 * on a line for each key that there is a weight of, which an event brings one of. */
#define BILLS_MAX (5 * BATCH_EVENTS_MAX + ENERGY_WEIGHTS_MAX)

static bool payment_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct payment *)table)[i].row.id, key, len) == 0;
}

static bool older_row(const struct row_payment *x, const struct row_payment *y)
{
    return x->at_ms != y->at_ms ? x->at_ms < y->at_ms : memcmp(&x->id, &y->id, sizeof x->id) < 0;
}

static bool older(const struct heap_node *a, const struct heap_node *b)
{
    return older_row(&heap_entry(a, struct payment, in_old)->row,
                     &heap_entry(b, struct payment, in_old)->row);
}

void books_carve(struct core *core, struct arena *arena)
{
    _Static_assert(PAYMENTS_KEPT > BATCH_EVENTS_MAX, "one that gives its place away was collected");
    core->books.bill = arena_take(arena, BILLS_MAX * sizeof *core->books.bill);
    CARVE(core, books.payments, books.payment, PAYMENTS_KEPT);
    CARVE(core, books.invoices, books.invoice, BATCH_EVENTS_MAX);
    index_init(&core->books.payment_map, arena, PAYMENTS_KEPT, payment_equal, core->books.payment);
    heap_init(&core->books.old, older);
    used_carve(core, arena);
}

void books_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct books *b = &core->books;
    for (uint32_t i = 0; i < b->nbills; i++)
        fn(ctx, ROW_KIND_bill, ROW_ADD, &b->bill[i].row);
    b->nbills = 0;
    for (uint32_t i = 0; i < b->ntallies; i++)
        fn(ctx, ROW_KIND_tally, ROW_ADD, &b->tally[i].row);
    b->ntallies = 0;
    for (uint32_t k = 0; k < b->payments.ndirty; k++) {
        bool dead;
        fn(ctx, ROW_KIND_payment, ROW_PUT, &b->payment[table_changed(&b->payments, k, &dead)].row);
    }
    table_clean(&b->payments);
    for (uint32_t k = 0; k < b->invoices.ndirty; k++) {
        bool dead;
        fn(ctx, ROW_KIND_invoice, ROW_PUT, &b->invoice[table_changed(&b->invoices, k, &dead)].row);
    }
    table_clean(&b->invoices);
    used_collect(core, fn, ctx);
}

/* ---- tallies ---- */

/* A batch that goes on past midnight has two of a reason. There are far fewer reasons than there is room for. */
void tally_add(struct core *core, uint32_t what, int code)
{
    struct books *b = &core->books;
    const struct row_tally key = {
        .day = (uint64_t)(core->now_ms / DAY_MS), .what = what, .code = (uint32_t)-code};
    uint32_t i = 0;
    while (i < b->ntallies && memcmp(&b->tally[i].row, &key, offsetof(struct row_tally, count)) != 0)
        i++;
    if (i == b->ntallies) {
        assert(i < TALLIES_MAX);
        b->tally[b->ntallies++].row = key;
    }
    b->tally[i].row.count++;
}

/* ---- lines ---- */

/* The line of the open batch whose key is that of `key`. A batch has few lines, so the last one is tried first. */
static struct row_bill *line(struct core *core, const struct row_bill *key)
{
    struct books *b = &core->books;
    for (uint32_t i = b->nbills; i-- > 0;) {
        if (memcmp(&b->bill[i].row, key, offsetof(struct row_bill, requests)) == 0)
            return &b->bill[i].row;
    }
    assert(b->nbills < BILLS_MAX);
    b->bill[b->nbills].row = *key;
    return &b->bill[b->nbills++].row;
}

static void add_tokens(struct row_bill *row, const struct tokens *t)
{
    row->prompt += t->prompt;
    row->cached += t->cached;
    row->completion += t->completion;
    row->reasoning += t->reasoning;
}

void bill_request(struct core *core, const struct event_meter *e, const struct used_at *at, int64_t cost,
                  uint64_t free, const struct charged *charged)
{
    static const struct version nothing = {.kind = VERSION_FREE, .factor = PER_MILLE};
    const struct tokens all = {e->prompt, e->cached, e->completion, e->reasoning};
    const struct tokens paid = tokens_less(&all, free);
    const struct tokens given = {all.prompt - paid.prompt, all.cached - paid.cached,
                                 all.completion - paid.completion, all.reasoning - paid.reasoning};
    struct row_bill key = {.tenant = e->tenant,
                           .day = at->day,
                           .billed = at->billed,
                           .item = e->model,
                           .variant = e->variant,
                           .site = e->site,
                           .price = e->price};
    struct row_bill *row = line(core, &key);
    row->requests += e->flags & METER_FINAL ? 1 : 0;
    add_tokens(row, &paid);
    row->cost += cost;
    row->tax += charged->tax;
    row->granted += charged->granted;
    const struct row_bill more = {.tenant = e->tenant,
                                  .prompt = e->prompt,
                                  .cached = e->cached,
                                  .completion = e->completion,
                                  .reasoning = e->reasoning};
    used_add(core, &more, &(struct supply){.tokens = &e->site});
    if (free == 0)
        return;
    key.price = version_pack(&nothing);
    add_tokens(line(core, &key), &given);
}

uint64_t carbon_ng(const struct core *core, const struct uuid *site, uint64_t energy_mj)
{
    struct site_id id = site_by_id(core, site);
    if (id.v == INDEX_NONE)
        return 0;
    const struct row_site *row = &core->net.site[id.v].row;
    return (uint64_t)i64_clamp((int128)energy_mj * row->carbon / 3600 * site_pue(row) / 1000, INT64_MAX);
}

/* What of it is free, on a line of its own, and energy that is passed on: then it is on no other. */
static void bill_beside(struct core *core, const struct row_job_usage *before,
                        const struct row_job_usage *now, const struct job_part *part, struct row_bill key)
{
    static const struct version nothing = {.kind = VERSION_FREE, .factor = PER_MILLE};
    struct row_bill *row;
    uint64_t energy_mj = now->energy_mj - before->energy_mj;
    key.rate = 0;
    key.price = version_pack(&nothing);
    if (part->free_chip_ms > 0) {
        row = line(core, &key);
        row->chip_ms += part->free_chip_ms;
    }
    if (uuid_zero(&part->energy_version) || (energy_mj == 0 && now->energy_cost == before->energy_cost))
        return;
    key.rate = part->energy_rate;
    key.price = part->energy_version;
    row = line(core, &key);
    row->energy_mj += energy_mj;
    row->carbon_ng += carbon_ng(core, &now->site, energy_mj);
    row->cost += now->energy_cost - before->energy_cost;
    row->tax += part->energy.tax;
    row->granted += part->energy.granted;
}

void bill_job(struct core *core, const struct row_job_usage *before, const struct row_job_usage *now,
              const struct job_part *part)
{
    const struct row_bill key = {.tenant = now->tenant,
                                 .day = part->at.day,
                                 .billed = part->at.billed,
                                 .item = now->pool,
                                 .site = now->site,
                                 .price = now->version,
                                 .rate = now->price};
    struct row_bill *row = line(core, &key);
    struct row_bill more = {.tenant = now->tenant,
                            .chip_ms = now->chip_ms - before->chip_ms,
                            .energy_mj = now->energy_mj - before->energy_mj,
                            .bytes = now->bytes_in - before->bytes_in + now->bytes_out - before->bytes_out};
    more.carbon_ng = carbon_ng(core, &now->site, more.energy_mj);
    bool passed_on = !uuid_zero(&part->energy_version);
    row->chip_ms += more.chip_ms - part->free_chip_ms;
    row->energy_mj += passed_on ? 0 : more.energy_mj;
    row->carbon_ng += passed_on ? 0 : more.carbon_ng;
    row->cost += now->cost - before->cost;
    row->tax += part->chips.tax;
    row->granted += part->chips.granted;
    bill_beside(core, before, now, part, key);
    used_add(core, &more,
             &(struct supply){.chips = &now->pool, .power = &now->site, .bytes = &now->corridor});
    if (more.bytes == 0 && now->data_cost == before->data_cost)
        return;
    const struct row_bill data = {.tenant = now->tenant,
                                  .day = key.day,
                                  .billed = key.billed,
                                  .item = now->corridor,
                                  .site = now->site,
                                  .rate = now->data_price};
    row = line(core, &data);
    row->bytes += more.bytes;
    row->cost += now->data_cost - before->data_cost;
    row->tax += part->data.tax;
    row->granted += part->data.granted;
}

/* On the day on which it is known, and at the price of the key's last request. */
uint64_t bill_energy(struct core *core, const struct row_energy_weight *whose, uint64_t energy_mj)
{
    const struct row_bill key = {.tenant = whose->tenant,
                                 .day = (uint64_t)(core->now_ms / DAY_MS),
                                 .item = whose->model,
                                 .variant = whose->variant,
                                 .site = whose->site,
                                 .price = whose->price};
    const struct row_bill more = {.tenant = whose->tenant,
                                  .energy_mj = energy_mj,
                                  .carbon_ng = carbon_ng(core, &whose->site, energy_mj)};
    struct row_bill *row = line(core, &key);
    row->energy_mj += more.energy_mj;
    row->carbon_ng += more.carbon_ng;
    used_add(core, &more, &(struct supply){.power = &whose->site});
    usage_energy(core, whose, energy_mj, more.carbon_ng);
    return more.carbon_ng;
}

void bill_opening(struct core *core, const struct uuid *tenant, int64_t cost)
{
    const struct row_bill key = {.tenant = *tenant};
    line(core, &key)->cost += cost;
}

/* ---- payments ---- */

/* Remembers it, in place of the oldest one if there is no more room. */
static uint32_t keep(struct core *core, const struct row_payment *row)
{
    struct books *b = &core->books;
    uint32_t i = table_take(&b->payments);
    if (i == INDEX_NONE) {
        struct payment *gone = heap_entry(heap_pop(&b->old), struct payment, in_old);
        map_remove(&b->payment_map, &gone->row.id, sizeof gone->row.id);
        i = (uint32_t)(gone - b->payment);
        table_touch(&b->payments, i);
    }
    b->payment[i] = (struct payment){.row = *row};
    map_put(&b->payment_map, &row->id, sizeof row->id, i);
    heap_push(&b->old, &b->payment[i].in_old);
    return i;
}

int load_payment(struct core *core, const struct row_payment *row)
{
    struct books *b = &core->books;
    if (map_get(&b->payment_map, &row->id, sizeof row->id) != MAP_NONE)
        return ERR_CORRUPT;
    const struct payment *oldest =
        heap_first(&b->old) ? heap_entry(heap_first(&b->old), struct payment, in_old) : NULL;
    if (table_room(&b->payments) > 0 || (oldest && older_row(&oldest->row, row)))
        (void)keep(core, row);
    return 0;
}

/* Moves money into the tenant's wallet, once for each id. */
static int pay_in(struct core *core, const struct row_payment *row, struct account_id from,
                  enum transfer_code code)
{
    struct tenant_id id = tenant_by_id(core, &row->tenant);
    const struct transfer_order order = {.id = row->id,
                                         .debit = from,
                                         .credit = core->tenant[id.v].wallet,
                                         .amount = row->amount,
                                         .code = code,
                                         .event_ms = row->at_ms,
                                         .ref = row->tenant};
    int rc = ledger_transfer(&core->ledger, &order);
    if (rc != 0)
        return rc;
    (void)keep(core, row);
    lease_serve_waiters(core, id, row->at_ms);
    return 0;
}

static int payment_check(const struct core *core, const struct uuid *payment, const struct uuid *tenant,
                         int64_t amount)
{
    if (tenant_by_id(core, tenant).v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (uuid_zero(payment))
        return ERR_INVALID;
    if (amount <= 0 || amount > MONEY_MAX)
        return ERR_OVERFLOW;
    return map_get(&core->books.payment_map, payment, sizeof *payment) == MAP_NONE ? 0 : ERR_EXISTS;
}

int step_wallet_topup(struct core *core, const struct event *event)
{
    const struct event_wallet_topup *e = &event->u.wallet_topup;
    int rc = payment_check(core, &e->payment, &e->tenant, e->amount);
    if (rc != 0)
        return rc;
    const struct row_payment row = {
        .id = e->payment, .tenant = e->tenant, .amount = e->amount, .at_ms = event->at_ms};
    const struct tenant *t = &core->tenant[tenant_by_id(core, &e->tenant).v];
    const struct row_account *funding = ledger_row(&core->ledger, t->funding);
    if (e->amount > MONEY_MAX - (funding->debits_posted - funding->credits_posted))
        return ERR_OVERFLOW;
    return pay_in(core, &row, t->funding, TRANSFER_TOPUP);
}

/* What another network paid to this one, or this one to it; neither account is a tenant's. */
int step_peer_settle(struct core *core, const struct event *event)
{
    static const struct uuid network;
    const struct event_peer_settle *e = &event->u.peer_settle;
    struct account_id peer, own;
    if (party_by_id(core, &e->party) == MAP_NONE)
        return ERR_NOT_FOUND;
    if (uuid_zero(&e->payment) || e->ledger == 0 || e->ledger >= LEDGER_CONTROL || e->paid > 1)
        return ERR_INVALID;
    if (e->amount <= 0 || e->amount > MONEY_MAX)
        return ERR_OVERFLOW;
    if (map_get(&core->books.payment_map, &e->payment, sizeof e->payment) != MAP_NONE)
        return ERR_EXISTS;
    int rc = ledger_account(&core->ledger, &e->party, ACCOUNT_PEER, e->ledger, &peer);
    if (rc == 0)
        rc = ledger_account(&core->ledger, &network, ACCOUNT_SETTLEMENT, e->ledger, &own);
    if (rc != 0)
        return rc;
    const struct transfer_order order = {.id = e->payment,
                                         .debit = e->paid ? peer : own,
                                         .credit = e->paid ? own : peer,
                                         .amount = e->amount,
                                         .code = TRANSFER_SETTLE,
                                         .event_ms = event->at_ms,
                                         .ref = e->party};
    const struct row_payment row = {.id = e->payment,
                                    .tenant = e->party,
                                    .amount = e->paid ? -e->amount : e->amount,
                                    .at_ms = event->at_ms};
    rc = ledger_transfer(&core->ledger, &order);
    if (rc == 0)
        (void)keep(core, &row);
    return rc;
}

int step_credit_note(struct core *core, const struct event *event)
{
    static const struct uuid network;
    const struct event_credit_note *e = &event->u.credit_note;
    int rc = payment_check(core, &e->payment, &e->tenant, e->amount);
    if (rc != 0)
        return rc;
    const struct tenant *t = &core->tenant[tenant_by_id(core, &e->tenant).v];
    if (e->month == 0 || text_len(e->reason, sizeof e->reason) == 0)
        return ERR_INVALID;
    if (e->month > t->row.closed_month)
        return ERR_WRONG_STATE; /* what is not billed yet needs no note */
    /* No more than it ever spent and did not get back. */
    const struct row_account *wallet = ledger_row(&core->ledger, t->wallet);
    const struct row_account *funding = ledger_row(&core->ledger, t->funding);
    int64_t back = wallet->credits_posted - funding->debits_posted;
    if (e->before != back) /* whoever summed what is left of the invoice did not know of another note */
        return ERR_WRONG_STATE;
    if (e->amount > wallet->debits_posted - funding->credits_posted - back)
        return ERR_OVERFLOW;
    struct account_id from;
    rc = ledger_account(&core->ledger, &network, ACCOUNT_ALLOWANCE, t->row.ledger, &from);
    if (rc != 0)
        return rc;
    struct row_payment row = {
        .id = e->payment, .tenant = e->tenant, .amount = e->amount, .at_ms = event->at_ms, .month = e->month};
    memcpy(row.reason, e->reason, sizeof row.reason);
    return pay_in(core, &row, from, TRANSFER_CREDIT);
}

/* ---- bills ---- */

/* Days from 1970 to the first of a month, after Hinnant: chrono-compatible low-level date algorithms, days_from_civil. */
int64_t month_begin_ms(uint32_t month)
{
    int64_t year = 1970 + month / 12, m = month % 12 + 1;
    year -= m <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5;
    return (era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468) * DAY_MS;
}

uint32_t month_of(int64_t unix_ms)
{
    int64_t days = unix_ms / DAY_MS;
    uint32_t month = (uint32_t)(days / 31); /* never too late */
    while (month_begin_ms(month + 1) <= unix_ms)
        month++;
    return month;
}

/* What is missing to the minimum leaves the wallet, as far as it goes, and is a line of the last day. *paid: so much. ERR_BUDGET_HELD: the
 * wallet has it, but gateways hold of it; it is asked back, so that the same works soon. */
static int charge_minimum(struct core *core, const struct event_invoice_close *e, const struct tenant *t,
                          uint32_t first, int64_t *paid)
{
    static const struct uuid network;
    uint32_t site = site_first(core), terms = terms_at(core, &e->tenant, NULL, "", core->now_ms);
    int64_t most = terms == INDEX_NONE ? 0 : core->tariff.term[terms].row.minimum;
    int64_t available = ledger_available(&core->ledger, t->wallet);
    if (e->minimum < 0 || (int128)e->minimum > (int128)most * (e->month - first + 1))
        return ERR_OVERFLOW;
    if (e->minimum > available && e->minimum <= ledger_unspent(&core->ledger, t->wallet)) {
        lease_recall(core, tenant_by_id(core, &e->tenant));
        return ERR_BUDGET_HELD;
    }
    struct transfer_order order[1 + CHARGE_PARTS_MAX] = {{.id = e->invoice,
                                                          .debit = t->wallet,
                                                          .code = TRANSFER_MINIMUM,
                                                          .event_ms = core->now_ms,
                                                          .ref = e->tenant}};
    struct charge charge = {.amount = e->minimum < available ? e->minimum : available,
                            .tax = t->row.tax,
                            .id = charge_id(core, CHARGE_PARTS_MINIMUM),
                            .ref = e->tenant};
    struct parts parts;
    *paid = order[0].amount = charge.amount > 0 ? charge.amount : 0;
    if (*paid == 0)
        return 0;
    int rc = ledger_account(&core->ledger, site == INDEX_NONE ? &network : &core->net.site[site].row.id,
                            ACCOUNT_REVENUE, t->row.ledger, &order[0].credit);
    charge.from = order[0].credit;
    if (rc == 0)
        rc = charge_divide(core, &charge, &parts);
    if (rc != 0)
        return rc;
    memcpy(&order[1], parts.order, parts.n * sizeof order[0]);
    rc = ledger_link(&core->ledger, order, 1 + parts.n);
    if (rc != 0)
        return rc;
    const struct version version = {.kind = VERSION_MINIMUM, .base = most, .factor = PER_MILLE};
    const struct row_bill key = {.tenant = e->tenant,
                                 .day = (uint64_t)(month_begin_ms(e->month + 1) / DAY_MS - 1),
                                 .item = e->tenant,
                                 .price = version_pack(&version),
                                 .rate = most};
    struct row_bill *row = line(core, &key);
    row->cost += *paid;
    row->tax += parts.tax;
    return 0;
}

int step_invoice_close(struct core *core, const struct event *event)
{
    const struct event_invoice_close *e = &event->u.invoice_close;
    struct tenant_id id = tenant_by_id(core, &e->tenant);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct tenant *t = &core->tenant[id.v];
    uint32_t created = month_of(t->row.created_ms);
    if (uuid_zero(&e->invoice) || e->month == 0 || e->month > MONTHS_MAX)
        return ERR_INVALID;
    if (e->total < 0 || e->total > MONEY_MAX)
        return ERR_OVERFLOW;
    if (e->month <= t->row.closed_month)
        return ERR_EXISTS;
    uint32_t first = t->row.closed_month ? t->row.closed_month + 1 : created;
    /* The total was summed before another month was closed, or before a record came late. */
    if (e->first_month != first || e->late != t->row.late)
        return ERR_WRONG_STATE;
    if (e->month < created || event->at_ms < month_begin_ms(e->month + 1) + MONTH_SETTLE_MS)
        return ERR_WRONG_STATE;
    if (table_room(&core->books.invoices) == 0)
        return ERR_LIMIT;
    int64_t minimum;
    int rc = charge_minimum(core, e, t, first, &minimum);
    if (rc != 0)
        return rc;
    uint32_t i = table_take(&core->books.invoices);
    core->books.invoice[i].row = (struct row_invoice){.id = e->invoice,
                                                      .tenant = e->tenant,
                                                      .number = ++core->row.invoices,
                                                      .first_month = first,
                                                      .month = e->month,
                                                      .ledger = t->row.ledger,
                                                      .total = e->total + minimum,
                                                      .closed_ms = event->at_ms};
    table_drop(&core->books.invoices, i); /* part of the books, not of the state */
    t->row.closed_month = e->month;
    t->row.closed_number = core->row.invoices;
    t->row.closed_ms = event->at_ms;
    t->row.closed_total = e->total + minimum;
    table_touch(&core->tenants, id.v);
    return 0;
}
