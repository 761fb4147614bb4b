/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An invoice to be printed: one HTML file that loads nothing.
 *
 * First what a finance department books by: who bills whom, for which time, what it comes to by kind and by item, net, tax, what was
 * paid and what is due. Then every line, a table for each kind with its own sum, and the prices that they name. A table's head is repeated on each
 * page, and a line is never broken over two. Amounts have all their decimals, one below the other, since a request may cost less
 * than a cent; only the last figure is rounded.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/ledger.h"
#include "hub/invoices.h"

#define NANO 1000000000
#define ENERGY_MJ_KWH UINT64_C(3600000000)
#define FEW 12 /* lines that may begin on the first page */

enum line_kind { LINE_MODEL, LINE_CHIPS, LINE_ENERGY, LINE_DATA, LINE_MINIMUM, LINE_KINDS };

static const struct {
    const char *name, *item, *unit, *rate;
} kinds[LINE_KINDS] = {
    [LINE_MODEL] = {"Requests to models", "Model", "tokens", "Price"},
    [LINE_CHIPS] = {"Chips of jobs", "Chip", "chip-hours", "An hour"},
    [LINE_ENERGY] = {"Energy, passed on", "Chip", "kWh", "A kWh"},
    [LINE_DATA] = {"Data of jobs", "Corridor", "GB", "A GB"},
    [LINE_MINIMUM] = {"Missing to the minimum", "What", "months", "A month"},
};

/* A line where it is shown. */
struct place {
    enum line_kind kind;
    uint32_t index; /* in the page's lines */
    struct uuid item;
};

struct sum {
    uint64_t lines, requests, prompt, cached, completion, quantity_e3, energy_mj, carbon_ng;
    int64_t cost, tax;
};

struct sheet {
    struct buf *out;
    const struct core *core;
    const struct invoice_page *page;
    struct place *place;
    bool energy[LINE_KINDS]; /* some of its lines have some */
};

static const char style[] =
    "@page{size:A4;margin:16mm 13mm 18mm;@bottom-right{content:counter(page) ' / ' counter(pages);"
    "font:7.5pt sans-serif;color:#5a626c}}"
    "*{box-sizing:border-box}"
    "body{font:9.5pt/1.4 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;color:#16191d;"
    "max-width:190mm;margin:0 auto;padding:10mm 5mm;background:#fff}"
    "header{display:flex;justify-content:space-between;align-items:flex-start;border-bottom:2px solid "
    "#16191d;padding-bottom:4mm}h1{font-size:20pt;margin:0;letter-spacing:-.01em}"
    "h2{font-size:10.5pt;margin:7mm 0 1.5mm;break-after:avoid}"
    "dl{display:grid;grid-template-columns:auto auto;gap:0 6mm;margin:0}"
    "dt{color:#5a626c}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}"
    ".who{display:flex;gap:8mm;margin-top:5mm}.who div{flex:1;overflow-wrap:anywhere;white-space:pre-line}"
    ".who h2{margin:0 0 1mm;font-size:8pt;color:#5a626c;font-weight:600}"
    "table{border-collapse:collapse;width:100%;font-size:7.6pt}"
    "thead{display:table-header-group}tr{break-inside:avoid}"
    "th{text-align:left;font-weight:600;border-bottom:1px solid #16191d;padding:1mm;vertical-align:bottom}"
    "td{padding:.7mm 1mm;border-bottom:1px solid #e4e7eb;vertical-align:top;overflow-wrap:anywhere}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}.d{white-"
    "space:nowrap;overflow-wrap:normal}.new{break-before:page}"
    ".v{color:#5a626c;font-size:7pt}.t td{font-weight:600;border-bottom:1px solid #16191d}"
    ".sum{margin:5mm 0 0 auto;width:96mm;break-inside:avoid}.sum td{border:0;font-size:9.5pt}"
    ".sum .due td{font-weight:700;font-size:12pt;border-top:2px solid #16191d}"
    "p{margin:2mm "
    "0}.small{color:#5a626c;font-size:8pt;break-inside:avoid}code{font-size:7.5pt;overflow-wrap:anywhere}"
    "@media print{body{padding:0;max-width:none}}";

/* ---- figures ---- */

/* 12,345 */
static void add_grouped(struct buf *out, uint64_t n)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        buf_add_char(out, text[i]);
        if ((len - i) % 3 == 1 && i + 1 < len)
            buf_add_char(out, ',');
    }
}

static void add_scaled(struct buf *out, uint64_t value, uint64_t one, int digits)
{
    add_grouped(out, value / one);
    buf_addf(out, ".%0*llu", digits, (unsigned long long)(value % one));
}

/* All its decimals, so that points are below one another. */
static void cell_money(struct buf *out, int64_t nano)
{
    buf_add_text(out, nano < 0 ? "<td class=n>−" : "<td class=n>");
    add_scaled(out, nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano, NANO, 9);
}

static void cell_count(struct buf *out, uint64_t n)
{
    buf_add_text(out, "<td class=n>");
    add_grouped(out, n);
}

static void cell_text(struct buf *out, const char *class, const char *text)
{
    buf_addf(out, "<td%s>", class);
    html_text(out, text);
}

/* Short ones are not broken at their hyphens. */
static void cell_name(struct buf *out, const char *name)
{
    cell_text(out, strlen(name) <= 14 ? " class=d" : "", name);
}

/* kWh, and kg CO2e; a dash where none was metered. */
static void cells_energy(struct buf *out, uint64_t energy_mj, uint64_t carbon_ng)
{
    if (energy_mj == 0) {
        buf_add_text(out, "<td class=n>–<td class=n>–");
        return;
    }
    buf_add_text(out, "<td class=n>");
    add_scaled(out, energy_mj / (ENERGY_MJ_KWH / 1000), 1000, 3);
    buf_add_text(out, "<td class=n>");
    add_scaled(out, carbon_ng / 1000000000, 1000, 3);
}

/* To the smallest coin, half to even. */
static void cell_rounded(struct buf *out, int64_t nano, uint32_t ledger)
{
    bool whole = ledger == 392 || ledger == 410; /* yen and won have none smaller */
    int64_t coin = whole ? NANO : NANO / 100;
    uint64_t abs = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
    uint64_t n = abs / (uint64_t)coin, rest = abs % (uint64_t)coin;
    if (2 * rest > (uint64_t)coin || (2 * rest == (uint64_t)coin && n % 2 == 1))
        n++;
    buf_add_text(out, nano < 0 ? "<td class=n>−" : "<td class=n>");
    if (whole)
        add_grouped(out, n);
    else
        add_scaled(out, n, 100, 2);
}

/* ---- which line is where ---- */

static enum line_kind kind_of(const struct bill_words *w)
{
    return w->chips     ? LINE_CHIPS
           : w->energy  ? LINE_ENERGY
           : w->data    ? LINE_DATA
           : w->minimum ? LINE_MINIMUM
                        : LINE_MODEL;
}

static int by_kind(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int by_item(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int order = memcmp(&x->item, &y->item, sizeof x->item);
    return order ? order : by_kind(a, b);
}

static const struct row_bill *line_at(const struct sheet *s, uint32_t i)
{
    return &s->page->lines.row[s->place[i].index];
}

static void sum_add(struct sum *sum, const struct row_bill *row, const struct bill_words *w)
{
    sum->lines++;
    sum->requests += row->requests;
    sum->prompt += row->prompt;
    sum->cached += row->cached;
    sum->completion += row->completion;
    sum->quantity_e3 += w->quantity_e3;
    sum->energy_mj += row->energy_mj;
    sum->carbon_ng += row->carbon_ng;
    sum->cost += row->cost;
    sum->tax += row->tax;
}

static void quantity(struct buf *out, enum line_kind kind, uint64_t quantity_e3)
{
    if (kind == LINE_MODEL || kind == LINE_MINIMUM) {
        cell_count(out, quantity_e3 / 1000);
        return;
    }
    buf_add_text(out, "<td class=n>");
    add_scaled(out, quantity_e3, 1000, 3);
}

/* ---- summary: a row for each item, and one for each kind ---- */

static void summary_row(struct sheet *s, enum line_kind kind, const char *first, const char *item,
                        const struct sum *sum)
{
    struct buf *out = s->out;
    buf_addf(out, "<tr%s><td>%s", item ? "" : " class=t", first);
    cell_name(out, item ? item : "");
    quantity(out, kind, sum->quantity_e3);
    cell_text(out, " class=d", kinds[kind].unit);
    cell_money(out, sum->cost - sum->tax);
    cell_money(out, sum->tax);
    cell_money(out, sum->cost);
    buf_add_char(out, '\n');
}

static void summary(struct sheet *s)
{
    uint32_t n = s->page->lines.n;
    struct bill_words w;
    buf_add_text(s->out, "<h2>Summary</h2><table><thead><tr><th>For<th>Item<th class=n>Quantity<th>Unit"
                         "<th class=n>Net<th class=n>Tax<th class=n>Amount<tbody>\n");
    for (uint32_t i = 0; i < n;) {
        enum line_kind kind = s->place[i].kind;
        struct sum all = {0};
        const char *first = kinds[kind].name;
        while (i < n && s->place[i].kind == kind) {
            struct uuid item = s->place[i].item;
            struct sum sum = {0};
            for (; i < n && s->place[i].kind == kind && uuid_eq(&s->place[i].item, &item); i++) {
                bill_words(&w, s->core, line_at(s, i));
                sum_add(&sum, line_at(s, i), &w);
                sum_add(&all, line_at(s, i), &w);
            }
            summary_row(s, kind, first, w.item, &sum);
            first = "";
        }
        summary_row(s, kind, "", NULL, &all);
    }
    if (n == 0)
        buf_add_text(s->out, "<tr><td colspan=7>Nothing was used.");
    buf_add_text(s->out, "</table>");
}

/* ---- every line ---- */

/* "P3": the place of a model's price in the list of those; the version itself where the store has it no more. */
static void price_name(struct sheet *s, const struct row_bill *row, const struct bill_words *w)
{
    for (uint32_t i = 0; i < s->page->nprices; i++) {
        if (uuid_eq(&s->page->price[i].id, &row->price)) {
            buf_addf(s->out, "<td class=d>P%u", i + 1);
            return;
        }
    }
    cell_text(s->out, " class=v", w->price[0] ? w->price : "free");
}

static void line(struct sheet *s, enum line_kind kind, const struct row_bill *row, const struct bill_words *w)
{
    struct buf *out = s->out;
    buf_addf(out, "<tr><td class=d>%s%s", w->day, w->corrects[0] ? "<br>correction" : "");
    cell_name(out, w->item);
    cell_name(out, w->site[0] ? w->site : "–");
    if (kind == LINE_MODEL) {
        cell_count(out, row->requests);
        cell_count(out, row->prompt - row->cached);
        cell_count(out, row->cached);
        cell_count(out, row->completion);
        price_name(s, row, w);
    } else {
        quantity(out, kind, w->quantity_e3);
        cell_money(out, row->rate);
        cell_text(out, " class=v", w->price);
    }
    if (s->energy[kind])
        cells_energy(out, row->energy_mj, row->carbon_ng);
    cell_money(out, row->cost);
    buf_add_char(out, '\n');
}

static void line_head(struct sheet *s, enum line_kind kind, bool fresh)
{
    struct buf *out = s->out;
    buf_addf(out, "<h2%s>%s</h2><table><thead><tr><th>Day<th>%s<th>Site", fresh ? " class=new" : "",
             kinds[kind].name, kinds[kind].item);
    if (kind == LINE_MODEL)
        buf_add_text(out,
                     "<th class=n>Requests<th class=n>Tokens in<th class=n>cached<th class=n>out<th>Price");
    else
        buf_addf(out, "<th class=n>%s<th class=n>%s<th>made of", kinds[kind].unit, kinds[kind].rate);
    if (s->energy[kind])
        buf_add_text(out, "<th class=n>kWh<th class=n>kg CO₂e");
    buf_add_text(out, "<th class=n>Amount<tbody>\n");
}

static void line_sum(struct sheet *s, enum line_kind kind, const struct sum *sum)
{
    struct buf *out = s->out;
    buf_add_text(out, "<tr class=t><td colspan=3>Sum");
    if (kind == LINE_MODEL) {
        cell_count(out, sum->requests);
        cell_count(out, sum->prompt - sum->cached);
        cell_count(out, sum->cached);
        cell_count(out, sum->completion);
        buf_add_text(out, "<td>");
    } else {
        quantity(out, kind, sum->quantity_e3);
        buf_add_text(out, "<td><td>");
    }
    if (s->energy[kind])
        cells_energy(out, sum->energy_mj, sum->carbon_ng);
    cell_money(out, sum->cost);
    buf_add_text(out, "</table>\n");
}

static void lines(struct sheet *s)
{
    struct bill_words w;
    for (uint32_t i = 0, n = s->page->lines.n; i < n && !s->out->failed;) {
        enum line_kind kind = s->place[i].kind;
        struct sum sum = {0};
        line_head(s, kind, i == 0 && n > FEW);
        for (; i < n && s->place[i].kind == kind && !s->out->failed; i++) {
            bill_words(&w, s->core, line_at(s, i));
            sum_add(&sum, line_at(s, i), &w);
            line(s, kind, line_at(s, i), &w);
        }
        line_sum(s, kind, &sum);
    }
}

/* ---- the rest ---- */

static void prices(struct sheet *s)
{
    struct buf *out = s->out;
    char id[UUID_TEXT_LEN + 1], day[DATE_CAP];
    if (s->page->nprices == 0)
        return;
    buf_addf(out,
             "<h2>Prices of models, %s for a million tokens</h2><table><thead><tr><th>Price<th>Model<th>From"
             "<th class=n>In<th class=n>Cached<th class=n>Out<th class=n>Reasoning<th>Version<tbody>\n",
             invoice_currency(&s->page->row));
    for (uint32_t i = 0; i < s->page->nprices; i++) {
        const struct row_price *row = &s->page->price[i];
        const struct row_model *model = view_model(s->core, &row->model);
        uuid_format(id, &row->id);
        date_format(day, row->from_ms);
        buf_addf(out, "<tr><td class=d>P%u", i + 1);
        cell_name(out, model ? model->name : "(removed)");
        buf_addf(out, "<td class=d>%s", day);
        cell_money(out, row->prompt);
        cell_money(out, row->cached);
        cell_money(out, row->completion);
        cell_money(out, row->reasoning);
        buf_addf(out, "<td class=v>%s\n", id);
    }
    buf_add_text(out, "</table>");
}

/* In the words of the law, where those are known; `account`: the tenant's name in the network. */
static void party(struct buf *out, const char *title, const struct row_billed *row, const char *account)
{
    buf_addf(out, "<div><h2>%s</h2><strong>", title);
    html_text(out, row->name[0] ? row->name : account ? account : "");
    buf_add_text(out, "</strong>");
    if (row->address[0]) {
        buf_add_char(out, '\n');
        html_text(out, row->address);
    }
    if (row->tax_number[0]) {
        buf_add_text(out, "\nTax number: ");
        html_text(out, row->tax_number);
    }
    if (account && row->name[0]) {
        buf_add_text(out, "\nAccount: ");
        html_text(out, account);
    }
    buf_add_text(out, "</div>");
}

static void head(struct sheet *s)
{
    const struct invoice_page *p = s->page;
    const struct row_tenant *tenant = view_tenant(s->core, &p->row.tenant);
    char number[INVOICE_NUMBER_CAP], first[DATE_CAP], last[DATE_CAP], closed[DATE_CAP];
    invoice_number(number, &p->row);
    date_format(first, month_begin_ms(p->row.first_month));
    date_format(last, month_begin_ms(p->row.month + 1) - DAY_MS);
    date_format(closed, p->row.closed_ms);
    buf_addf(s->out,
             "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
             "content=\"width=device-width\"><title>%s</title><style>%s</style><header><h1>Invoice %s</h1>"
             "<dl><dt>Issued<dd>%s<dt>Service<dd>%s to %s<dt>Currency<dd>%s</dl></header>\n",
             number, style, number, closed, first, last, invoice_currency(&p->row));
    buf_add_text(s->out, "<section class=who>");
    if (p->seller.from_ms != 0)
        party(s->out, "From", &p->seller, NULL);
    party(s->out, "Billed to", &p->buyer, tenant ? tenant->name : "(removed)");
    buf_add_text(s->out, "</section>\n");
}

static void notes(struct sheet *s)
{
    char day[DATE_CAP];
    buf_add_text(s->out,
                 "<h2>Credit notes</h2><table><thead><tr><th>Day<th>Reason<th class=n>Amount<tbody>\n");
    for (uint32_t i = 0; i < s->page->nnotes; i++) {
        date_format(day, s->page->note[i].at_ms);
        buf_addf(s->out, "<tr><td class=d>%s", day);
        cell_text(s->out, "", s->page->note[i].reason);
        cell_money(s->out, -s->page->note[i].amount);
        buf_add_char(s->out, '\n');
    }
    buf_add_text(s->out, "</table>");
}

static void sum_row(struct sheet *s, const char *words, int64_t nano)
{
    buf_addf(s->out, "<tr><td>%s", words);
    cell_money(s->out, nano);
}

static void sums(struct sheet *s, const struct invoice_totals *t)
{
    struct buf *out = s->out;
    int64_t net = t->cost - t->tax, due = t->cost - t->granted - t->credited;
    buf_add_text(out, "<table class=sum>");
    sum_row(s, "Net", net);
    if (t->tax > 0 && net > 0) {
        uint64_t e2 = (uint64_t)(((int128)t->tax * 20000 / net + 1) / 2);
        buf_addf(out, "<tr><td>Tax, %llu.%02u %% of net", (unsigned long long)(e2 / 100),
                 (unsigned)(e2 % 100));
        cell_money(out, t->tax);
    } else {
        sum_row(s, "Tax: none was charged", t->tax);
    }
    sum_row(s, "Total", t->cost);
    if (t->granted > 0)
        sum_row(s, "Paid by grants", -t->granted);
    if (t->credited > 0)
        sum_row(s, "Credit notes", -t->credited);
    sum_row(s, "To pay, exactly", due);
    buf_addf(out, "<tr class=due><td>Due, %s", invoice_currency(&s->page->row));
    cell_rounded(out, due, s->page->row.ledger);
    buf_add_text(out, "</table>\n");
}

static void foot(struct sheet *s, const struct invoice_totals *t)
{
    struct buf *out = s->out;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &s->page->row.id);
    buf_add_text(
        out,
        "<section class=small><p>Each charge left the tenant's wallet when it was booked. Where that was "
        "paid in advance, what is due has been paid by it; where it is a limit that is paid afterwards, it "
        "is owed.</p><p>Energy as metered or estimated at the chips; what a model's replicas drew is shared "
        "by "
        "tokens among the requests that they answered: ");
    add_scaled(out, t->energy_mj / (ENERGY_MJ_KWH / 1000), 1000, 3);
    buf_add_text(out, " kWh; with it ");
    add_scaled(out, t->carbon_ng / 1000000000, 1000, 3);
    buf_addf(out,
             " kg CO₂e, by each site's grid and overhead (PUE) when it was used. A dash: none was metered. "
             "Days are UTC. A correction was used on a day whose bill was closed when it became known."
             "</p><p>To verify: <code>busbar receipt get %s --out FILE</code> and <code>busbar receipt "
             "verify FILE "
             "--key KEY</code> show that the network's log, which others can read, has this invoice with "
             "this total; each "
             "request and each job has a receipt of its own.</p></section>\n",
             id);
}

void invoice_html(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    struct invoice_totals t = invoice_totals(p);
    struct sheet s = {.out = out, .core = core, .page = p};
    uint32_t n = p->lines.n;
    s.place = calloc(n + 1, sizeof *s.place);
    if (!s.place) {
        out->failed = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct bill_words w;
        bill_words(&w, core, &p->lines.row[i]);
        s.place[i] = (struct place){.kind = kind_of(&w), .index = i, .item = p->lines.row[i].item};
        s.energy[s.place[i].kind] |= p->lines.row[i].energy_mj > 0;
    }
    head(&s);
    qsort(s.place, n, sizeof *s.place, by_item);
    summary(&s);
    if (p->nnotes > 0)
        notes(&s);
    sums(&s, &t);
    foot(&s, &t);
    qsort(s.place, n, sizeof *s.place, by_kind);
    lines(&s);
    prices(&s);
    buf_add_text(out, "</html>\n");
    free(s.place);
}
