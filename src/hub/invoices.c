/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing a tenant's bill, listing and showing closed ones, and credit notes.
 *
 * A bill is closed once: whoever asks again gets the invoice that there is. Its total is the sum of its lines as the store has
 * them, read after the time of events has passed the end of its last month. From then on only a record that comes late adds to them:
 * the core refuses a total that was summed before one, and it is summed anew.
 */
#include "hub/invoices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/osrandom.h"
#include "hub/ledger.h"

#define CLOSE_TRIES 5

/* ---- reading ---- */

struct found {
    struct row_invoice *row;
    uint32_t n, cap, limit;
    const struct uuid *tenant; /* NULL: any */
    bool more;
};

static int take_invoice(void *ctx, enum row_kind kind, const void *data)
{
    struct found *f = ctx;
    const struct row_invoice *row = data;
    (void)kind;
    if (f->tenant && !uuid_eq(f->tenant, &row->tenant))
        return 0;
    if (f->n == f->limit)
        return f->more = true;
    if (f->n == f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 16;
        struct row_invoice *more = realloc(f->row, cap * sizeof *more);
        if (!more)
            return 1;
        f->row = more;
        f->cap = cap;
    }
    f->row[f->n++] = *row;
    return 0;
}

/* ---- the list ---- */

struct listing {
    struct found found;
    struct uuid tenant, after;
    bool one_tenant, begun;
};

static int list_parse(struct api_call *call)
{
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NO_MEMORY;
    call->data = l;
    return call_page_after(call, &l->found.limit, &l->after, &l->begun);
}

static int list_prepare(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    return call_whose(call, core, &l->tenant, &l->one_tenant);
}

static int list_work(struct api_call *call)
{
    struct listing *l = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    const struct row_query query = {.kind = ROW_KIND_invoice, .after = l->begun ? &l->after : NULL};
    l->found.tenant = l->one_tenant ? &l->tenant : NULL;
    int rc = store->ops->rows(store, &query, 1, take_invoice, &l->found, &call->err);
    if (rc != 0)
        free(l->found.row);
    return rc;
}

static int list_finish(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t i = 0; i < l->found.n; i++) {
        buf_add_text(&call->out, i ? "," : "");
        invoice_head_json(&call->out, core, &l->found.row[i]);
    }
    page_end_after(&call->out, l->found.more ? &l->found.row[l->found.n - 1].id : NULL);
    free(l->found.row);
    l->found.row = NULL;
    return 0;
}

/* ---- closing ---- */

struct closing {
    char month_text[16], tenant_name[CALL_PARAM_MAX];
    struct uuid tenant;
    uint32_t month, first_month;
    int64_t minimum; /* that each month costs at least */
    bool closed;     /* there is an invoice with the month already */
    uint32_t tries;
    struct row_invoice row;
};

static int close_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant", "month", NULL};
    struct closing *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NO_MEMORY;
    call->data = c;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "tenant", true, c->tenant_name, sizeof c->tenant_name);
    if (rc == 0)
        rc = body_text(call, "month", true, c->month_text, sizeof c->month_text);
    if (rc == 0 && (!month_parse(&c->month, c->month_text, strlen(c->month_text)) || c->month == 0))
        rc = err_set(&call->err, ERR_INVALID, "month: must be a month such as 2026-11");
    return rc;
}

static int close_prepare(struct api_call *call, const struct core *core)
{
    struct closing *c = call->data;
    const struct row_tenant *row = call_tenant(call, core, c->tenant_name);
    if (!row)
        return ERR_NOT_FOUND;
    c->tenant = row->id;
    const struct row_terms *terms = view_terms_then(core, &row->id, NULL, "", 0);
    c->minimum = terms ? terms->minimum : 0;
    c->closed = c->month <= row->closed_month;
    c->first_month = row->closed_month ? row->closed_month + 1 : month_of(row->created_ms);
    if (!c->closed &&
        (c->month < c->first_month || clock_wall_ms() < month_begin_ms(c->month + 1) + MONTH_SETTLE_MS))
        return err_set(&call->err, ERR_WRONG_STATE, "%s: is not over, or is before the tenant was there.",
                       c->month_text);
    return 0;
}

static bool covers(const struct row_invoice *row, uint32_t month)
{
    return row->first_month <= month && month <= row->month;
}

/* The tenant's invoice with the month on it. ERR_NOT_FOUND. */
static int find_closed(struct api_call *call, struct closing *c)
{
    struct store *store = runtime_store(call->hub->runtime);
    const struct row_query query = {.kind = ROW_KIND_invoice, .owner_field = "tenant", .owner = &c->tenant};
    struct found f = {.limit = MONTHS_MAX};
    int rc = store->ops->rows(store, &query, 1, take_invoice, &f, &call->err);
    bool there = false;
    for (uint32_t i = 0; rc == 0 && i < f.n; i++) {
        if (!covers(&f.row[i], c->month))
            continue;
        c->row = f.row[i];
        there = true;
    }
    free(f.row);
    return rc ? rc : there ? 0 : ERR_NOT_FOUND;
}

/* What is missing to the minimum in each of the months. */
static int64_t missing_of(const struct closing *c, const struct bill_lines *lines)
{
    int64_t missing = 0;
    for (uint32_t month = c->first_month; month <= c->month && c->minimum > 0; month++) {
        int64_t spent = 0;
        for (uint32_t i = 0; i < lines->n; i++) {
            if (bill_month(&lines->row[i]) == month)
                spent += lines->row[i].cost;
        }
        missing += spent < c->minimum ? c->minimum - spent : 0;
    }
    return missing;
}

static int close_work(struct api_call *call)
{
    struct closing *c = call->data;
    struct bill_lines lines;
    int64_t total = 0;
    call->nevents = 0;
    if (c->closed)
        return find_closed(call, c) == ERR_NOT_FOUND
                   ? err_set(&call->err, ERR_WRONG_STATE, "%s is before the tenant's first bill.",
                             c->month_text)
                   : 0;
    int rc = bill_lines_billed(&lines, runtime_store(call->hub->runtime), &c->tenant, c->first_month,
                               c->month, &call->err);
    for (uint32_t i = 0; rc == 0 && i < lines.n; i++)
        rc = i64_add(total, lines.row[i].cost, &total) ? 0 : ERR_OVERFLOW;
    int64_t missing = rc == 0 ? missing_of(c, &lines) : 0;
    uint64_t late = lines.late;
    bill_lines_free(&lines);
    c->row = (struct row_invoice){.id = uuid_new()};
    call->events[0] = (struct event){.kind = EVENT_KIND_invoice_close,
                                     .u.invoice_close = {.invoice = c->row.id,
                                                         .tenant = c->tenant,
                                                         .month = c->month,
                                                         .total = total,
                                                         .first_month = c->first_month,
                                                         .minimum = missing,
                                                         .late = late}};
    call->nevents = rc == 0 ? 1 : 0;
    return rc;
}

/* Somebody closed it a moment before, or a record came late. */
static bool close_refused(struct api_call *call)
{
    struct closing *c = call->data;
    bool there = call->rc == ERR_EXISTS && !c->closed;
    c->closed = c->closed || there;
    return there || (call->rc == ERR_WRONG_STATE && c->tries++ < CLOSE_TRIES);
}

/* What was closed just now is in the store: the events are durable. */
static int close_finish(struct api_call *call, const struct core *core)
{
    struct closing *c = call->data;
    if (!c->closed) {
        const struct row_tenant *tenant = view_tenant(core, &c->tenant);
        const struct event_invoice_close *e = &call->events[0].u.invoice_close;
        c->row = (struct row_invoice){.id = c->row.id,
                                      .tenant = c->tenant,
                                      .number = tenant->closed_number,
                                      .first_month = c->first_month,
                                      .month = e->month,
                                      .ledger = tenant->ledger,
                                      .total = tenant->closed_total,
                                      .closed_ms = tenant->closed_ms};
    }
    invoice_head_json(&call->out, core, &c->row);
    return 0;
}

/* ---- showing ---- */

static int page_parse(struct api_call *call)
{
    call->data = calloc(1, sizeof(struct invoice_page));
    return call->data ? 0 : ERR_NO_MEMORY;
}

static int take_note(void *ctx, enum row_kind kind, const void *data)
{
    struct invoice_page *p = ctx;
    const struct row_payment *row = data;
    (void)kind;
    p->given += row->month != 0 ? row->amount : 0;
    if (row->month != p->row.month)
        return 0;
    struct row_payment *more = realloc(p->note, (p->nnotes + 1) * sizeof *more);
    if (!more)
        return p->lines.rc = ERR_NO_MEMORY;
    p->note = more;
    p->note[p->nnotes++] = *row;
    return 0;
}

static void page_free(struct invoice_page *p)
{
    bill_lines_free(&p->lines);
    free(p->note);
    free(p->price);
    p->note = NULL;
    p->price = NULL;
}

static bool has_price(const struct invoice_page *p, const struct uuid *id)
{
    bool there = false;
    for (uint32_t i = p->nprices; i-- > 0 && !there;)
        there = uuid_eq(&p->price[i].id, id);
    return there;
}

/* Those of models that lines name, in the order in which they come first. */
static int read_prices(struct api_call *call, struct store *store, struct invoice_page *p)
{
    struct version ignored;
    for (uint32_t i = 0; i < p->lines.n; i++) {
        const struct row_bill *row = &p->lines.row[i];
        if (uuid_zero(&row->price) || version_read(&ignored, &row->price) || has_price(p, &row->price))
            continue;
        struct row_price *more = realloc(p->price, (p->nprices + 1) * sizeof *more);
        if (!more)
            return ERR_NO_MEMORY;
        p->price = more;
        int rc = store->ops->get(store, ROW_KIND_price, &row->price, &more[p->nprices], &call->err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
        p->nprices += rc == 0;
    }
    return 0;
}

/* By its id or its number. */
static int find_invoice(struct api_call *call, struct store *store, struct row_invoice *out)
{
    struct uuid id;
    uint64_t number;
    const char *text = strncmp(call->param, "INV-", 4) == 0 ? call->param + 4 : call->param;
    if (uuid_parse(&id, call->param, strlen(call->param)))
        return store->ops->get(store, ROW_KIND_invoice, &id, out, &call->err);
    while (*text == '0')
        text++;
    if (!u64_parse(text, strlen(text), INT64_MAX - 1, &number))
        return ERR_NOT_FOUND;
    const struct row_query query = {.kind = ROW_KIND_invoice,
                                    .range_field = "number",
                                    .from = (int64_t)number,
                                    .to = (int64_t)number + 1};
    struct found f = {.limit = 1};
    int rc = store->ops->rows(store, &query, 1, take_invoice, &f, &call->err);
    if (rc == 0 && f.n == 1)
        *out = f.row[0];
    rc = rc ? rc : f.n == 1 ? 0 : ERR_NOT_FOUND;
    free(f.row);
    return rc;
}

static int page_work(struct api_call *call)
{
    struct invoice_page *p = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    int rc = find_invoice(call, store, &p->row);
    if (rc == 0)
        rc = call_may(call, &p->row.tenant); /* those of others do not exist for it */
    if (rc == ERR_NOT_FOUND)
        return err_set(&call->err, rc, "There is no invoice `%.64s`.", call->param);
    if (rc == 0)
        rc =
            bill_lines_billed(&p->lines, store, &p->row.tenant, p->row.first_month, p->row.month, &call->err);
    const struct row_query notes = {
        .kind = ROW_KIND_payment, .owner_field = "tenant", .owner = &p->row.tenant};
    if (rc == 0)
        rc = store->ops->rows(store, &notes, 1, take_note, p, &call->err);
    rc = rc ? rc : p->lines.rc;
    static const struct uuid nobody;
    if (rc == 0)
        rc = read_prices(call, store, p);
    if (rc == 0)
        rc = billing_read(&p->seller, store, &nobody, p->row.closed_ms, &call->err);
    if (rc == 0)
        rc = billing_read(&p->buyer, store, &p->row.tenant, p->row.closed_ms, &call->err);
    if (rc != 0)
        page_free(p);
    return rc;
}

static int page_finish(struct api_call *call, const struct core *core,
                       void (*render)(struct buf *, const struct core *, const struct invoice_page *))
{
    render(&call->out, core, call->data);
    page_free(call->data);
    return call->out.failed ? ERR_TOO_LARGE : 0;
}

static int show_json(struct api_call *call, const struct core *core)
{
    return page_finish(call, core, invoice_json);
}

static int show_csv(struct api_call *call, const struct core *core)
{
    return page_finish(call, core, invoice_csv);
}

static int show_html(struct api_call *call, const struct core *core)
{
    return page_finish(call, core, invoice_html);
}

/* ---- credit notes ---- */

struct note {
    struct row_invoice invoice;
    struct row_payment order;
    char id[TEXT_CAP];
    bool seen;
};

static int note_parse(struct api_call *call)
{
    static const char *const members[] = {"amount", "reason", "id", NULL};
    struct note *n = calloc(1, sizeof *n);
    if (!n)
        return ERR_NO_MEMORY;
    call->data = n;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_amount(call, "amount", true, &n->order.amount);
    if (rc == 0 && n->order.amount == 0)
        rc = err_set(&call->err, ERR_INVALID, "amount: must be more than 0");
    if (rc == 0)
        rc = body_text(call, "reason", true, n->order.reason, sizeof n->order.reason);
    if (rc == 0 && !n->order.reason[0])
        rc = err_set(&call->err, ERR_INVALID, "reason: must say something");
    return rc ? rc : body_text(call, "id", false, n->id, sizeof n->id);
}

/* What of the invoice grants paid: its tenant did not. */
static int read_granted(struct api_call *call, struct store *store, const struct row_invoice *row,
                        int64_t *granted)
{
    struct bill_lines lines;
    int rc = bill_lines_billed(&lines, store, &row->tenant, row->first_month, row->month, &call->err);
    *granted = 0;
    for (uint32_t i = 0; rc == 0 && i < lines.n; i++)
        *granted += lines.row[i].granted;
    bill_lines_free(&lines);
    return rc;
}

/* All notes on an invoice give back what it asked the tenant for at most. */
static int check_room(struct api_call *call, struct store *store, const struct note *n, int64_t *given)
{
    struct invoice_page p = {.row = n->invoice};
    const struct row_query notes = {
        .kind = ROW_KIND_payment, .owner_field = "tenant", .owner = &n->invoice.tenant};
    int rc = store->ops->rows(store, &notes, 1, take_note, &p, &call->err);
    int64_t granted = 0;
    if (rc == 0)
        rc = read_granted(call, store, &n->invoice, &granted);
    int64_t left = n->invoice.total - granted;
    for (uint32_t i = 0; i < p.nnotes; i++)
        left -= p.note[i].amount;
    free(p.note);
    rc = rc ? rc : p.lines.rc;
    *given = p.given;
    if (rc == 0 && n->order.amount > left)
        rc = err_set(&call->err, ERR_WRONG_STATE, "amount: is more than what is left of the invoice");
    return rc;
}

static int note_work(struct api_call *call)
{
    struct note *n = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    call->nevents = 0;
    int rc = find_invoice(call, store, &n->invoice);
    if (rc == ERR_NOT_FOUND)
        return err_set(&call->err, rc, "There is no invoice `%.64s`.", call->param);
    if (rc != 0)
        return rc;
    n->order.tenant = n->invoice.tenant;
    n->order.month = n->invoice.month;
    n->order.id = payment_id("credit", &n->invoice.id, n->id);
    rc = payment_seen(call, &n->order, &n->seen);
    if (rc != 0 || n->seen)
        return rc;
    int64_t before = 0;
    rc = check_room(call, store, n, &before);
    call->events[0] = (struct event){.kind = EVENT_KIND_credit_note,
                                     .u.credit_note = {.payment = n->order.id,
                                                       .tenant = n->order.tenant,
                                                       .month = n->order.month,
                                                       .amount = n->order.amount,
                                                       .before = before}};
    memcpy(call->events[0].u.credit_note.reason, n->order.reason, sizeof n->order.reason);
    call->nevents = rc == 0 ? 1 : 0;
    return rc;
}

static int note_finish(struct api_call *call, const struct core *core)
{
    const struct note *n = call->data;
    buf_add_char(&call->out, '{');
    add_id(&call->out, "payment", &n->order.id);
    add_amount(&call->out, "amount", n->order.amount);
    add_text(&call->out, "reason", n->order.reason, sizeof n->order.reason);
    buf_addf(&call->out, ",\"repeated\":%s,\"invoice\":", n->seen ? "true" : "false");
    invoice_head_json(&call->out, core, &n->invoice);
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_invoice_list = {
    .parse = list_parse, .prepare = list_prepare, .work = list_work, .finish = list_finish};
const struct api_handler api_invoice_close = {.parse = close_parse,
                                              .prepare = close_prepare,
                                              .work = close_work,
                                              .finish = close_finish,
                                              .refused = close_refused};
const struct api_handler api_invoice_show = {.parse = page_parse, .work = page_work, .finish = show_json};
const struct api_handler api_invoice_csv = {
    .parse = page_parse, .work = page_work, .finish = show_csv, .type = "text/csv; charset=utf-8"};
const struct api_handler api_invoice_html = {
    .parse = page_parse, .work = page_work, .finish = show_html, .type = "text/html; charset=utf-8"};
const struct api_handler api_invoice_credit = {
    .parse = note_parse, .work = note_work, .finish = note_finish, .refused = payment_refused};
