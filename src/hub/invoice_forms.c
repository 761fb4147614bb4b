/* SPDX-License-Identifier: Apache-2.0 */
/* Invoices as JSON and CSV. */
#include <stdio.h>
#include <string.h>

#include "hub/invoices.h"

struct invoice_totals invoice_totals(const struct invoice_page *p)
{
    struct invoice_totals t = {.cost = p->row.total};
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

void invoice_number(char dst[INVOICE_NUMBER_CAP], const struct row_invoice *row)
{
    (void)snprintf(dst, INVOICE_NUMBER_CAP, "INV-%06llu", (unsigned long long)row->number);
}

const char *invoice_currency(const struct row_invoice *row)
{
    const char *code = currency_code(row->ledger);
    return code ? code : "?";
}

/* ---- JSON ---- */

static void add_head(struct buf *out, const struct core *core, const struct row_invoice *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    char text[INVOICE_NUMBER_CAP];
    add_id(out, "id", &row->id);
    invoice_number(text, row);
    add_text(out, "number", text, sizeof text);
    add_text(out, "tenant", tenant ? tenant->name : "(removed)", NAME_CAP);
    month_format(text, row->first_month);
    add_text(out, "first_month", text, sizeof text);
    month_format(text, row->month);
    add_text(out, "month", text, sizeof text);
    add_text(out, "currency", invoice_currency(row), 4);
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
    struct invoice_totals t = invoice_totals(p);
    buf_add_char(out, '{');
    add_head(out, core, &p->row);
    billing_json(out, "from", &p->seller);
    billing_json(out, "billed_to", &p->buyer);
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
    buf_addf(out, ",%s,%s,%s,,%s,%s\r\n", cost, tax, granted, w.price, w.corrects);
}

void invoice_csv(struct buf *out, const struct core *core, const struct invoice_page *p)
{
    const struct row_tenant *tenant = view_tenant(core, &p->row.tenant);
    char number[INVOICE_NUMBER_CAP], head[INVOICE_NUMBER_CAP + NAME_CAP + 8], day[DATE_CAP],
        cost[AMOUNT_TEXT_MAX];
    invoice_number(number, &p->row);
    (void)snprintf(head, sizeof head, "%s,%s,%s,", number, tenant ? tenant->name : "",
                   invoice_currency(&p->row));
    buf_add_text(out, "invoice,tenant,currency,day,kind,item,site,price,requests,prompt_tokens,cached_tokens,"
                      "completion_tokens,reasoning_tokens,chip_ms,bytes,energy_j,carbon_g,cost,tax,granted,"
                      "note,price_version,corrects\r\n");
    for (uint32_t i = 0; i < p->lines.n; i++)
        csv_line(out, core, head, &p->lines.row[i]);
    for (uint32_t i = 0; i < p->nnotes; i++) {
        date_format(day, p->note[i].at_ms);
        amount_format(cost, -p->note[i].amount);
        buf_addf(out, "%s%s,credit,,,,,,,,,,,,,%s,,,", head, day, cost);
        csv_field(out, p->note[i].reason);
        buf_add_text(out, ",,\r\n");
    }
}
