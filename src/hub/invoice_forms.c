/* SPDX-License-Identifier: Apache-2.0 */
/* Invoices as JSON, CSV and HTML. */
#include <stdio.h>
#include <string.h>

#include "hub/invoices.h"

#define NUMBER_CAP 32

struct totals {
    uint64_t requests, tokens, chip_ms, energy_mj, carbon_ng;
    int64_t cost, tax, granted, credited;
};

static struct totals totals_of(const struct invoice_page *p)
{
    struct totals t = {.cost = p->row.total};
    for (uint32_t i = 0; i < p->lines.n; i++) {
        const struct row_bill *row = &p->lines.row[i];
        t.requests += row->requests;
        t.tokens += row->prompt + row->completion;
        t.chip_ms += row->chip_ms;
        t.energy_mj += row->energy_mj;
        t.carbon_ng += row->carbon_ng;
        t.tax += row->tax;
        t.granted += row->granted;
    }
    for (uint32_t i = 0; i < p->nnotes; i++)
        t.credited += p->note[i].amount;
    return t;
}

static void number_format(char dst[NUMBER_CAP], const struct row_invoice *row)
{
    (void)snprintf(dst, NUMBER_CAP, "INV-%06llu", (unsigned long long)row->number);
}

static const char *currency_of(const struct row_invoice *row)
{
    const char *code = currency_code(row->ledger);
    return code ? code : "?";
}

/* ---- JSON ---- */

static void add_head(struct buf *out, const struct core *core, const struct row_invoice *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    char text[NUMBER_CAP];
    add_id(out, "id", &row->id);
    number_format(text, row);
    add_text(out, "number", text, sizeof text);
    add_text(out, "tenant", tenant ? tenant->name : "(removed)", NAME_CAP);
    month_format(text, row->first_month);
    add_text(out, "first_month", text, sizeof text);
    month_format(text, row->month);
    add_text(out, "month", text, sizeof text);
    add_text(out, "currency", currency_of(row), 4);
    add_amount(out, "total", row->total);
    add_time(out, "closed", row->closed_ms);
}

void invoice_head_json(struct buf *out, const struct core *core, const struct row_invoice *row)
{
    buf_add_char(out, '{');
    add_head(out, core, row);
    buf_add_char(out, '}');
}

void invoice_json(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    struct totals t = totals_of(p);
    buf_add_char(out, '{');
    add_head(out, core, &p->row);
    add_amount(out, "net", t.cost - t.tax);
    add_amount(out, "tax", t.tax);
    add_amount(out, "gross", t.cost);
    add_amount(out, "granted", t.granted);
    add_amount(out, "credited", t.credited);
    add_amount(out, "due", t.cost - t.granted - t.credited);
    buf_addf(out, ",\"requests\":%llu,\"tokens\":%llu,\"chip_ms\":%llu,\"energy_j\":",
             (unsigned long long)t.requests, (unsigned long long)t.tokens, (unsigned long long)t.chip_ms);
    add_joules(out, t.energy_mj);
    buf_add_text(out, ",\"carbon_g\":");
    add_grams(out, t.carbon_ng);
    buf_add_text(out, ",\"lines\":[");
    for (uint32_t i = 0; i < p->lines.n; i++) {
        buf_add_text(out, i ? "," : "");
        bill_line_json(out, core, &p->lines.row[i]);
    }
    buf_add_text(out, "],\"credit_notes\":[");
    for (uint32_t i = 0; i < p->nnotes; i++) {
        buf_add_text(out, i ? ",{" : "{");
        add_id(out, "id", &p->note[i].id);
        add_time(out, "time", p->note[i].at_ms);
        add_amount(out, "amount", p->note[i].amount);
        add_text(out, "reason", p->note[i].reason, sizeof p->note[i].reason);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "]}");
}

/* ---- CSV ---- */

static void csv_line(struct buf *out, const struct core *core, const char *head, const struct row_bill *row)
{
    struct bill_words w;
    char cost[AMOUNT_TEXT_MAX], tax[AMOUNT_TEXT_MAX], granted[AMOUNT_TEXT_MAX];
    bill_words(&w, core, row);
    amount_format(cost, row->cost);
    amount_format(tax, row->tax);
    amount_format(granted, row->granted);
    buf_add_text(out, head);
    buf_addf(out, "%s,%s,", w.day, bill_kind(&w));
    csv_field(out, w.item);
    buf_add_char(out, ',');
    csv_field(out, w.site);
    buf_addf(out, ",%s,%llu,%llu,%llu,%llu,%llu,%llu,%llu,", w.rate[0] ? w.rate : w.price,
             (unsigned long long)row->requests, (unsigned long long)row->prompt,
             (unsigned long long)row->cached, (unsigned long long)row->completion,
             (unsigned long long)row->reasoning, (unsigned long long)row->chip_ms,
             (unsigned long long)row->bytes);
    add_joules(out, row->energy_mj);
    buf_add_char(out, ',');
    add_grams(out, row->carbon_ng);
    buf_addf(out, ",%s,%s,%s,,%s\r\n", cost, tax, granted, w.price);
}

void invoice_csv(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    const struct row_tenant *tenant = view_tenant(core, &p->row.tenant);
    char number[NUMBER_CAP], head[NUMBER_CAP + NAME_CAP + 8], day[DATE_CAP], cost[AMOUNT_TEXT_MAX];
    number_format(number, &p->row);
    (void)snprintf(head, sizeof head, "%s,%s,%s,", number, tenant ? tenant->name : "", currency_of(&p->row));
    buf_add_text(out, "invoice,tenant,currency,day,kind,item,site,price,requests,prompt_tokens,cached_tokens,"
                      "completion_tokens,reasoning_tokens,chip_ms,bytes,energy_j,carbon_g,cost,tax,granted,"
                      "note,price_version\r\n");
    for (uint32_t i = 0; i < p->lines.n; i++)
        csv_line(out, core, head, &p->lines.row[i]);
    for (uint32_t i = 0; i < p->nnotes; i++) {
        date_format(day, p->note[i].at_ms);
        amount_format(cost, -p->note[i].amount);
        buf_addf(out, "%s%s,credit,,,,,,,,,,,,,%s,,,", head, day, cost);
        csv_field(out, p->note[i].reason);
        buf_add_text(out, ",\r\n");
    }
}

/* ---- HTML ---- */

static const char style[] =
    "@page{size:A4;margin:18mm 16mm}*{box-sizing:border-box}"
    "body{font:10.5pt/1.45 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;color:#16191d;"
    "max-width:190mm;margin:0 auto;padding:12mm 8mm;background:#fff}"
    "header{display:flex;justify-content:space-between;align-items:flex-start;border-bottom:2px solid "
    "#16191d;"
    "padding-bottom:5mm;margin-bottom:6mm}h1{font-size:20pt;margin:0;letter-spacing:-.01em}"
    "h2{font-size:11pt;margin:8mm 0 2mm}dl{display:grid;grid-template-columns:auto auto;gap:0 6mm;margin:0}"
    "dt{color:#5a626c}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}"
    "table{border-collapse:collapse;width:100%;font-size:9pt}thead{display:table-header-group}"
    "th{text-align:left;font-weight:600;border-bottom:1px solid #16191d;padding:1.2mm "
    "1.6mm;vertical-align:bottom}"
    "td{padding:1mm 1.6mm;border-bottom:1px solid #dfe3e8;vertical-align:top}tr{break-inside:avoid}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.v{color:#5a626c;font-size:7."
    "5pt;"
    "word-break:break-all}.sum{margin:5mm 0 0 auto;width:85mm;break-inside:avoid}"
    ".sum td{border:0;font-size:10.5pt}.sum tr:last-child td{font-weight:700;font-size:12.5pt;"
    "border-top:2px solid #16191d}footer{margin-top:8mm;color:#5a626c;font-size:8.5pt}"
    "@media print{body{padding:0;max-width:none}}";

/* All its decimals: a request may cost less than a cent. */
static void html_cost(struct buf *out, int64_t nano)
{
    char text[AMOUNT_TEXT_MAX];
    amount_format(text, nano);
    buf_addf(out, "<td class=n>%s", text);
}

static void html_line(struct buf *out, const struct core *core, const struct row_bill *row)
{
    struct bill_words w;
    bill_words(&w, core, row);
    buf_addf(out, "<tr><td class=n>%s<td>", w.day);
    html_text(out, w.item);
    buf_add_text(out, "<td>");
    html_text(out, w.site[0] ? w.site : "–");
    if (w.rate[0])
        buf_addf(out, "<td class=n>%llu.%03u<td>%s<td class=v>%s for one%s%s%s",
                 (unsigned long long)(w.quantity_e3 / 1000), (unsigned)(w.quantity_e3 % 1000), w.unit, w.rate,
                 w.price[0] ? " (" : "", w.price, w.price[0] ? ")" : "");
    else
        buf_addf(out, "<td class=n>%llu<td>tokens: %llu in, %llu cached, %llu out<td class=v>%s",
                 (unsigned long long)(w.quantity_e3 / 1000), (unsigned long long)(row->prompt - row->cached),
                 (unsigned long long)row->cached, (unsigned long long)row->completion,
                 w.price[0] ? w.price : "free");
    buf_add_text(out, "<td class=n>");
    if (row->energy_mj > 0)
        add_joules(out, row->energy_mj);
    else
        buf_add_text(out, "–");
    buf_add_text(out, "<td class=n>");
    if (row->energy_mj > 0)
        add_grams(out, row->carbon_ng);
    else
        buf_add_text(out, "–");
    html_cost(out, row->cost);
    buf_add_char(out, '\n');
}

static void html_head(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    const struct row_tenant *tenant = view_tenant(core, &p->row.tenant);
    char number[NUMBER_CAP], first[MONTH_CAP], last[MONTH_CAP], closed[DATE_CAP];
    number_format(number, &p->row);
    month_format(first, p->row.first_month);
    month_format(last, p->row.month);
    date_format(closed, p->row.closed_ms);
    buf_addf(out,
             "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
             "content=\"width=device-width\"><title>%s</title><style>%s</style><header><div><h1>Invoice</h1>"
             "<p>for <strong>",
             number, style);
    html_text(out, tenant ? tenant->name : "(removed)");
    buf_addf(out,
             "</strong></div><dl><dt>Number<dd>%s<dt>Closed<dd>%s<dt>Period<dd>%s%s%s<dt>Currency<dd>%s</dl>"
             "</header>\n",
             number, closed, first, p->row.first_month == p->row.month ? "" : " to ",
             p->row.first_month == p->row.month ? "" : last, currency_of(&p->row));
}

static void html_notes(struct buf *out, const struct invoice_page *p)
{
    char day[DATE_CAP];
    buf_add_text(out, "<h2>Credit notes</h2><table><thead><tr><th>Day<th>Reason<th class=n>Amount<tbody>\n");
    for (uint32_t i = 0; i < p->nnotes; i++) {
        date_format(day, p->note[i].at_ms);
        buf_addf(out, "<tr><td>%s<td>", day);
        html_text(out, p->note[i].reason);
        html_cost(out, -p->note[i].amount);
        buf_add_char(out, '\n');
    }
    buf_add_text(out, "</table>");
}

static void html_sums(struct buf *out, const struct totals *t, const char *currency)
{
    buf_add_text(out, "<table class=sum><tr><td>Net");
    html_cost(out, t->cost - t->tax);
    buf_add_text(out, "<tr><td>Tax");
    html_cost(out, t->tax);
    buf_add_text(out, "<tr><td>Total");
    html_cost(out, t->cost);
    if (t->granted > 0) {
        buf_add_text(out, "<tr><td>Paid by grants");
        html_cost(out, -t->granted);
    }
    buf_add_text(out, "<tr><td>Credited");
    html_cost(out, -t->credited);
    buf_addf(out, "<tr><td>Due, %s", currency);
    html_cost(out, t->cost - t->granted - t->credited);
}

void invoice_html(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    struct totals t = totals_of(p);
    html_head(out, core, p);
    buf_add_text(out,
                 "<table><thead><tr><th>Day<th>Model or chip<th>Site<th class=n>Quantity<th>Unit<th>Price"
                 "<th class=n>Energy, J<th class=n>CO₂e, g<th class=n>Cost<tbody>\n");
    for (uint32_t i = 0; i < p->lines.n; i++)
        html_line(out, core, &p->lines.row[i]);
    if (p->lines.n == 0)
        buf_add_text(out, "<tr><td colspan=9>Nothing was used.");
    buf_add_text(out, "</table>");
    if (p->nnotes > 0)
        html_notes(out, p);
    html_sums(out, &t, currency_of(&p->row));
    buf_add_text(out, "</table><footer>Energy as metered at the chips: ");
    add_joules(out, t.energy_mj);
    buf_add_text(out, " J; with it ");
    add_grams(out, t.carbon_ng);
    buf_add_text(
        out,
        " g CO₂e, by each site's grid and overhead (PUE) when it was used. Of requests no energy is metered "
        "yet. "
        "A price is a model's version by its id, or that of a chip-hour. Days are UTC.</footer></html>\n");
}
