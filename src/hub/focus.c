/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A month of charges as FOCUS 1.2, the FinOps Open Cost and Usage Specification, in CSV (https://focus.finops.org/focus-specification/v1-2/).
 *
 * A row is a line of a bill, what grants paid of it, or a credit note. A line whose own month was closed when it became known is a
 * correction, in the month that bills it. All mandatory columns are there, and those conditional ones that have a meaning here.
 * Unit prices are not: a line sums requests that were rounded one by one, at a price for each kind of token, so no one price times
 * the quantity is the cost. x_ columns tell what made the cost and what came with it. Null is an empty field.
 */
#include <stdlib.h>
#include <string.h>

#include "core/ledger.h"
#include "hub/bills.h"

#define PROVIDER "busbar"
#define INSTANT_CAP 21

struct export
{
    uint32_t month;
    struct uuid tenant;
    bool one_tenant;
    struct bill_lines lines;
    struct row_payment *note;
    uint32_t nnotes;
    struct row_invoice *invoice;
    uint32_t ninvoices;
};

static const char heading[] =
    "BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,BillingPeriodEnd,BillingPeriodStart,"
    "ChargeCategory,ChargeClass,ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,"
    "ConsumedQuantity,ConsumedUnit,ContractedCost,EffectiveCost,InvoiceId,InvoiceIssuerName,ListCost,"
    "PricingCategory,PricingQuantity,PricingUnit,ProviderName,PublisherName,RegionId,RegionName,ResourceId,"
    "ResourceName,ResourceType,ServiceCategory,ServiceName,ServiceSubcategory,x_CachedPromptTokens,x_"
    "CarbonGrams,"
    "x_Chip,x_ChipMilliseconds,x_CompletionTokens,x_EnergyJoules,x_ModelDigest,x_PriceVersion,x_PromptTokens,"
    "x_ReasoningTokens,x_Requests,x_Site,x_Tax\r\n";

static int parse(struct api_call *call)
{
    char text[16] = "";
    struct export *x = calloc(1, sizeof *x);
    if (!x)
        return ERR_NO_MEMORY;
    call->data = x;
    (void)call_query(call, "month", text, sizeof text);
    if (!month_parse(&x->month, text, strlen(text)))
        return err_set(&call->err, ERR_INVALID, "month: must be a month such as 2026-11");
    return 0;
}

static int prepare(struct api_call *call, const struct core *core)
{
    struct export *x = call->data;
    char name[CALL_PARAM_MAX];
    bool named = call_query(call, "tenant", name, sizeof name);
    x->one_tenant = named || !call->operator_;
    const struct row_tenant *row = named ? call_tenant(call, core, name) : NULL;
    if (named && !row)
        return ERR_NOT_FOUND;
    if (x->one_tenant)
        x->tenant = row ? row->id : call->key.tenant;
    return 0;
}

/* Appends a row to an array that grows. */
static void *grow(void *array, uint32_t n, size_t size, const void *row)
{
    char *more = realloc(array, (n + 1) * size);
    if (more)
        memcpy(more + n * size, row, size);
    return more;
}

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct export *x = ctx;
    void *more;
    if (kind == ROW_KIND_payment && ((const struct row_payment *)row)->month == 0)
        return 0; /* money that was paid in is no charge */
    if (kind == ROW_KIND_payment) {
        more = grow(x->note, x->nnotes, sizeof *x->note, row);
        x->note = more ? more : x->note;
        x->nnotes += more ? 1 : 0;
    } else {
        more = grow(x->invoice, x->ninvoices, sizeof *x->invoice, row);
        x->invoice = more ? more : x->invoice;
        x->ninvoices += more ? 1 : 0;
    }
    if (!more)
        x->lines.rc = ERR_NO_MEMORY;
    return !more;
}

static void export_free(struct export *x)
{
    bill_lines_free(&x->lines);
    free(x->note);
    free(x->invoice);
    x->note = NULL;
    x->invoice = NULL;
}

static int by_tenant(const void *a, const void *b)
{
    const struct row_invoice *x = a, *y = b;
    int order = memcmp(&x->tenant, &y->tenant, sizeof x->tenant);
    return order ? order : (x->month > y->month) - (x->month < y->month);
}

static int work(struct api_call *call)
{
    struct export *x = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    const struct uuid *tenant = x->one_tenant ? &x->tenant : NULL;
    const struct row_query more[] = {{.kind = ROW_KIND_payment,
                                      .owner_field = "tenant",
                                      .owner = tenant,
                                      .range_field = "at_ms",
                                      .from = month_begin_ms(x->month),
                                      .to = month_begin_ms(x->month + 1)},
                                     {.kind = ROW_KIND_invoice, .owner_field = "tenant", .owner = tenant}};
    int rc = bill_lines_billed(&x->lines, store, tenant, x->month, x->month, &call->err);
    if (rc == 0)
        rc = store->ops->rows(store, more, 2, take, x, &call->err);
    rc = rc ? rc : x->lines.rc;
    if (rc != 0)
        export_free(x);
    else if (x->ninvoices > 0)
        qsort(x->invoice, x->ninvoices, sizeof *x->invoice, by_tenant);
    return rc;
}

/* ---- rows ---- */

static void add_instant(struct buf *out, int64_t unix_ms)
{
    char day[DATE_CAP];
    date_format(day, unix_ms);
    buf_addf(out, "%sT00:00:00Z,", day);
}

static void add_null(struct buf *out, int n)
{
    while (n-- > 0)
        buf_add_char(out, ',');
}

static void add_words(struct buf *out, const char *text)
{
    csv_field(out, text);
    buf_add_char(out, ',');
}

/* The account that is billed: the first columns of every row, to the period. */
static void add_account(struct buf *out, const struct core *core, const struct export *x,
                        const struct uuid *tenant, const char *cost)
{
    const struct row_tenant *row = view_tenant(core, tenant);
    const char *currency = row ? currency_code(row->ledger) : NULL;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, tenant);
    buf_addf(out, "%s,%s,", cost, id);
    add_words(out, row ? row->name : id);
    buf_addf(out, "%s,", currency ? currency : "");
    add_instant(out, month_begin_ms(x->month + 1));
    add_instant(out, month_begin_ms(x->month));
}

/* The invoice on which the month is, if that is closed: of the tenant's, the first that ends with it or later. */
static void add_invoice(struct buf *out, const struct export *x, const struct uuid *tenant, uint32_t month)
{
    const struct row_invoice key = {.tenant = *tenant, .month = month};
    uint32_t low = 0, high = x->ninvoices;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (by_tenant(&x->invoice[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    const struct row_invoice *row = &x->invoice[low];
    if (low < x->ninvoices && uuid_eq(&row->tenant, tenant) && row->first_month <= month)
        buf_addf(out, "INV-%06llu", (unsigned long long)row->number);
    buf_add_char(out, ',');
}

/* Tokens, kWh, months, or chip-hours to nine decimals, rounded down. */
static void add_quantity(struct buf *out, const struct bill_words *w, const struct row_bill *row)
{
    if (w->data) {
        buf_addf(out, "%llu.%09llu,GB,", (unsigned long long)(row->bytes / 1000000000),
                 (unsigned long long)(row->bytes % 1000000000));
        return;
    }
    if (w->energy || w->minimum) {
        buf_addf(out, "%llu.%03u,%s,", (unsigned long long)(w->quantity_e3 / 1000),
                 (unsigned)(w->quantity_e3 % 1000), w->energy ? "Kilowatt-Hours" : "Months");
        return;
    }
    if (!w->chips) {
        buf_addf(out, "%llu,Tokens,", (unsigned long long)(row->prompt + row->completion));
        return;
    }
    uint64_t hours = row->chip_ms / 3600000, rest = row->chip_ms % 3600000;
    buf_addf(out, "%llu.%09llu,Chip-Hours,", (unsigned long long)hours,
             (unsigned long long)(rest * 1000000000 / 3600000));
}

static void add_extras(struct buf *out, const struct bill_words *w, const struct row_bill *row)
{
    char tax[AMOUNT_TEXT_MAX];
    buf_addf(out, "%llu,", (unsigned long long)row->cached);
    add_grams(out, row->carbon_ng);
    buf_add_char(out, ',');
    add_words(out, w->chips ? w->item : "");
    buf_addf(out, "%llu,%llu,", (unsigned long long)row->chip_ms, (unsigned long long)row->completion);
    add_joules(out, row->energy_mj);
    buf_addf(out, ",%s,%s,%llu,%llu,%llu,", w->digest, w->rate[0] ? w->rate : w->price,
             (unsigned long long)row->prompt, (unsigned long long)row->reasoning,
             (unsigned long long)row->requests);
    csv_field(out, w->site);
    amount_format(tax, row->tax);
    buf_addf(out, ",%s\r\n", tax);
}

/* FOCUS: a charge of a period that was invoiced. */
static const char *class_of(const struct row_bill *row)
{
    return row->billed ? "Correction" : "";
}

static void add_line(struct buf *out, const struct core *core, const struct export *x,
                     const struct row_bill *row)
{
    struct bill_words w;
    char cost[AMOUNT_TEXT_MAX], id[UUID_TEXT_LEN + 1];
    bill_words(&w, core, row);
    amount_format(cost, row->cost);
    uuid_format(id, &row->item);
    add_account(out, core, x, &row->tenant, cost);
    /* Of the minimum nothing was used. */
    buf_addf(out, "%s,%s,%s %s", w.minimum ? "Purchase" : "Usage", class_of(row),
             w.chips     ? "Use by jobs of chips of the kind"
             : w.energy  ? "Energy of jobs on chips of the kind"
             : w.data    ? "Data of jobs over the corridor"
             : w.minimum ? "What was missing to the month's"
                         : "Requests to the model",
             w.item);
    buf_add_text(out, w.minimum ? ",Recurring," : ",Usage-Based,");
    add_instant(out, ((int64_t)row->day + 1) * DAY_MS);
    add_instant(out, (int64_t)row->day * DAY_MS);
    if (w.minimum)
        add_null(out, 2);
    else
        add_quantity(out, &w, row);
    buf_addf(out, "%s,%s,", cost, cost);
    add_invoice(out, x, &row->tenant, x->month);
    buf_addf(out, PROVIDER ",%s,%s,", cost, w.energy ? "Dynamic" : "Standard");
    add_quantity(out, &w, row);
    buf_add_text(out, PROVIDER "," PROVIDER ",");
    add_words(out, w.site);
    add_words(out, w.site);
    buf_addf(out, "%s,", id);
    add_words(out, strcmp(w.item, id) == 0 ? "" : w.item); /* of what is gone the name is not known */
    buf_add_text(out, w.chips     ? "Pool,Compute,Accelerator compute,Other (Compute),"
                      : w.energy  ? "Pool,Compute,Power of accelerators,Other (Compute),"
                      : w.data    ? "Corridor,Networking,Data transfer,Other (Networking),"
                      : w.minimum ? "Tenant,Other,Minimum charge,Other (Other),"
                                  : "Model,AI and Machine Learning,Model inference,Generative AI,");
    add_extras(out, &w, row);
}

/* What a tenant does not owe: of which kind, why, on which day, and on the invoice with which month. */
struct credit {
    const struct uuid *tenant;
    const char *class, *description, *frequency, *service;
    int64_t day_ms, amount;
    uint32_t month;
};

static void add_credit(struct buf *out, const struct core *core, const struct export *x,
                       const struct credit *c)
{
    char cost[AMOUNT_TEXT_MAX];
    amount_format(cost, -c->amount);
    add_account(out, core, x, c->tenant, cost);
    buf_addf(out, "Credit,%s,", c->class);
    add_words(out, c->description);
    buf_addf(out, "%s,", c->frequency);
    add_instant(out, c->day_ms + DAY_MS);
    add_instant(out, c->day_ms);
    add_null(out, 2);
    buf_addf(out, "%s,%s,", cost, cost);
    add_invoice(out, x, c->tenant, c->month);
    buf_addf(out, PROVIDER ",%s,", cost);
    add_null(out, 3);
    buf_add_text(out, PROVIDER "," PROVIDER ",");
    add_null(out, 5);
    buf_addf(out, "Other,%s,Other (Other),", c->service);
    add_null(out, 12);
    buf_add_text(out, "\r\n");
}

/* A correction of a period that was invoiced: it counts to the month in which it was made. */
static void add_note(struct buf *out, const struct core *core, const struct export *x,
                     const struct row_payment *row)
{
    const struct credit credit = {.tenant = &row->tenant,
                                  .class = "Correction",
                                  .description = row->reason,
                                  .frequency = "One-Time",
                                  .service = "Credit notes",
                                  .day_ms = row->at_ms / DAY_MS * DAY_MS,
                                  .amount = row->amount,
                                  .month = row->month};
    add_credit(out, core, x, &credit);
}

/* What grants paid of a line. */
static void add_granted(struct buf *out, const struct core *core, const struct export *x,
                        const struct row_bill *row)
{
    const struct credit credit = {.tenant = &row->tenant,
                                  .class = class_of(row),
                                  .description = "Paid by grants",
                                  .frequency = "Usage-Based",
                                  .service = "Grants",
                                  .day_ms = (int64_t)row->day * DAY_MS,
                                  .amount = row->granted,
                                  .month = x->month};
    if (row->granted > 0)
        add_credit(out, core, x, &credit);
}

static int finish(struct api_call *call, const struct core *core)
{
    struct export *x = call->data;
    struct buf *out = &call->out;
    buf_add_text(out, heading);
    for (uint32_t i = 0; i < x->lines.n; i++)
        add_line(out, core, x, &x->lines.row[i]);
    for (uint32_t i = 0; i < x->lines.n; i++)
        add_granted(out, core, x, &x->lines.row[i]);
    for (uint32_t i = 0; i < x->nnotes; i++)
        add_note(out, core, x, &x->note[i]);
    export_free(x);
    return out->failed ? ERR_TOO_LARGE : 0;
}

const struct api_handler api_export_focus = {
    .parse = parse, .prepare = prepare, .work = work, .finish = finish, .type = "text/csv; charset=utf-8"};
