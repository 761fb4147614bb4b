/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/bills.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct bill_lines *l = ctx;
    if (kind == ROW_KIND_tenant) {
        l->late = ((const struct row_tenant *)row)->late;
        return 0;
    }
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 64;
        struct row_bill *more = l->n < BILL_LINES_MAX ? realloc(l->row, (size_t)cap * sizeof *more) : NULL;
        if (!more)
            return l->rc = l->n < BILL_LINES_MAX ? ERR_NO_MEMORY : ERR_TOO_LARGE;
        l->row = more;
        l->cap = cap;
    }
    l->row[l->n++] = *(const struct row_bill *)row;
    return 0;
}

uint32_t bill_month(const struct row_bill *row)
{
    return row->billed ? (uint32_t)row->billed : month_of((int64_t)row->day * DAY_MS);
}

/* A line of one of these days that is on another bill is left out. */
static int take_billed(void *ctx, enum row_kind kind, const void *row)
{
    struct bill_lines *l = ctx;
    uint32_t month = kind == ROW_KIND_bill ? bill_month(row) : l->first_month;
    return month < l->first_month || month > l->last_month ? 0 : take(ctx, kind, row);
}

static struct row_query lines_of(const struct uuid *tenant, const char *field, uint64_t from, uint64_t to)
{
    return (struct row_query){.kind = ROW_KIND_bill,
                              .owner_field = "tenant",
                              .owner = tenant,
                              .range_field = field,
                              .from = (int64_t)from,
                              .to = (int64_t)to};
}

static int read_lines(struct bill_lines *lines, struct store *store, const struct row_query *query,
                      uint32_t n, load_fn *fn, struct err *err)
{
    int rc = store->ops->rows(store, query, n, fn, lines, err);
    rc = rc ? rc : lines->rc;
    if (rc != 0) {
        bill_lines_free(lines);
        return rc == ERR_TOO_LARGE ? err_set(err, rc, "There are more than %u lines.", BILL_LINES_MAX) : rc;
    }
    return 0;
}

int bill_lines_read(struct bill_lines *lines, struct store *store, const struct uuid *tenant,
                    uint64_t from_day, uint64_t to_day, struct err *err)
{
    const struct row_query query = lines_of(tenant, "day", from_day, to_day);
    *lines = (struct bill_lines){0};
    return read_lines(lines, store, &query, 1, take, err);
}

/* A correction is of a day before all months of its bill, so no line comes twice. */
int bill_lines_billed(struct bill_lines *lines, struct store *store, const struct uuid *tenant,
                      uint32_t first_month, uint32_t last_month, struct err *err)
{
    const struct row_query queries[] = {
        lines_of(tenant, "day", (uint64_t)(month_begin_ms(first_month) / DAY_MS),
                 (uint64_t)(month_begin_ms(last_month + 1) / DAY_MS)),
        lines_of(tenant, "billed", first_month > 0 ? first_month : 1, last_month + 1),
        {.kind = ROW_KIND_tenant, .owner_field = "id", .owner = tenant}};
    *lines = (struct bill_lines){.first_month = first_month, .last_month = last_month};
    return read_lines(lines, store, queries, tenant ? 3 : 2, take_billed, err);
}

void bill_lines_free(struct bill_lines *lines)
{
    free(lines->row);
    *lines = (struct bill_lines){0};
}

/* ---- times and figures ---- */

void date_format(char dst[DATE_CAP], int64_t unix_ms)
{
    char text[25];
    clock_format(text, unix_ms);
    (void)text_set(dst, DATE_CAP, text, 10);
}

void month_format(char dst[MONTH_CAP], uint32_t month)
{
    char text[25];
    clock_format(text, month_begin_ms(month));
    (void)text_set(dst, MONTH_CAP, text, 7);
}

bool month_parse(uint32_t *month, const char *text, size_t len)
{
    uint64_t year, m;
    if (len != 7 || text[4] != '-' || !u64_parse(text, 4, 9999, &year) || text[5] > '1' || text[5] < '0' ||
        !u64_parse(text + (text[5] == '0' ? 6 : 5), text[5] == '0' ? 1 : 2, 12, &m) || m == 0 ||
        year < 1970 || (year - 1970) * 12 + m - 1 > MONTHS_MAX)
        return false;
    *month = (uint32_t)((year - 1970) * 12 + m - 1);
    return true;
}

void add_joules(struct buf *out, uint64_t energy_mj)
{
    buf_addf(out, "%llu.%03u", (unsigned long long)(energy_mj / 1000), (unsigned)(energy_mj % 1000));
}

void add_grams(struct buf *out, uint64_t carbon_ng)
{
    buf_addf(out, "%llu.%06u", (unsigned long long)(carbon_ng / 1000000000),
             (unsigned)(carbon_ng / 1000 % 1000000));
}

void csv_field(struct buf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buf_add_text(out, text);
        return;
    }
    buf_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            buf_add_char(out, '"');
        buf_add_char(out, *p);
    }
    buf_add_char(out, '"');
}

void html_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        const char *as = *p == '<'   ? "&lt;"
                         : *p == '>' ? "&gt;"
                         : *p == '&' ? "&amp;"
                         : *p == '"' ? "&quot;"
                                     : NULL;
        if (as)
            buf_add_text(out, as);
        else
            buf_add_char(out, *p);
    }
}

/* ---- lines ---- */

static void name_or_id(char dst[NAME_CAP], const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, id);
    name = name ? name : text;
    (void)text_set(dst, NAME_CAP, name, text_len(name, NAME_CAP));
}

/* Its ends: a/b. */
static void corridor_words(char dst[NAME_CAP], const struct core *core, const struct row_corridor *row)
{
    const struct row_site *a = view_site(core, &row->a), *b = view_site(core, &row->b);
    (void)snprintf(dst, NAME_CAP, "%.30s/%.30s", a ? a->name : "?", b ? b->name : "?");
}

uint32_t bill_version(char dst[VERSION_TEXT_CAP], const struct uuid *id)
{
    struct version v;
    char base[AMOUNT_TEXT_MAX];
    dst[0] = 0;
    if (uuid_zero(id))
        return 0;
    if (!version_read(&v, id)) {
        uuid_format(dst, id);
        return 0;
    }
    amount_format(base, v.base);
    int n =
        snprintf(dst, VERSION_TEXT_CAP, "%s%s", v.kind == VERSION_FREE ? "free" : base, v.own ? " own" : "");
    if (v.discount > 0)
        n += snprintf(dst + n, (size_t)(VERSION_TEXT_CAP - n), " -%u.%u%%", v.discount / 10, v.discount % 10);
    if (v.factor != PER_MILLE)
        (void)snprintf(dst + n, (size_t)(VERSION_TEXT_CAP - n), " x%u.%03u", v.factor / PER_MILLE,
                       v.factor % PER_MILLE);
    return v.kind;
}

void bill_words(struct bill_words *out, const struct core *core, const struct row_bill *row)
{
    const struct row_model *model = view_model(core, &row->item);
    const struct row_pool *pool = view_pool(core, &row->item);
    const struct row_site *site = view_site(core, &row->site);
    const struct row_variant *variant = view_variant(core, &row->variant);
    static const uint8_t none[DIGEST_BYTES];
    const struct row_corridor *corridor = view_corridor(core, &row->item);
    *out = (struct bill_words){.chips = pool || row->chip_ms > 0, .data = corridor || row->bytes > 0};
    date_format(out->day, (int64_t)row->day * DAY_MS);
    if (row->billed)
        month_format(out->corrects, month_of((int64_t)row->day * DAY_MS));
    name_or_id(out->item, model ? model->name : pool ? pool->chip : NULL, &row->item);
    if (site || !uuid_zero(&row->site))
        name_or_id(out->site, site ? site->name : NULL, &row->site);
    if (variant && memcmp(variant->digest, none, sizeof none) != 0)
        hex_encode(out->digest, variant->digest, sizeof variant->digest);
    out->of = bill_version(out->price, &row->price);
    out->energy = out->of == VERSION_ENERGY;
    out->minimum = out->of == VERSION_MINIMUM;
    out->chips = out->chips && !out->energy;
    if (out->chips || out->data || out->energy || out->minimum)
        amount_format(out->rate, row->rate);
    if (out->minimum)
        (void)text_set(out->item, sizeof out->item, "minimum", strlen("minimum"));
    if (corridor)
        corridor_words(out->item, core, corridor);
    (void)snprintf(out->unit, sizeof out->unit, "%s",
                   out->chips     ? "chip-hours"
                   : out->energy  ? "kWh"
                   : out->data    ? "GB"
                   : out->minimum ? "months"
                                  : "tokens");
    out->quantity_e3 = out->chips     ? row->chip_ms / 3600
                       : out->energy  ? row->energy_mj / 3600000
                       : out->data    ? row->bytes / 1000000
                       : out->minimum ? 1000
                                      : (row->prompt + row->completion) * 1000;
}

const char *bill_kind(const struct bill_words *w)
{
    return w->chips ? "chips" : w->energy ? "energy" : w->data ? "data" : w->minimum ? "minimum" : "model";
}

void bill_line_json(struct buf *out, const struct core *core, const struct row_bill *row)
{
    struct bill_words w;
    bill_words(&w, core, row);
    buf_add_char(out, '{');
    add_text(out, "day", w.day, sizeof w.day);
    if (w.corrects[0])
        add_text(out, "corrects", w.corrects, sizeof w.corrects);
    if (!w.minimum)
        add_text(out, w.chips || w.energy ? "chip" : w.data ? "corridor" : "model", w.item, sizeof w.item);
    add_text(out, "site", w.site, sizeof w.site);
    add_text(out, "kind", bill_kind(&w), KIND_TEXT_CAP);
    if (w.minimum || w.energy) {
        add_text(out, "price", w.rate, sizeof w.rate);
        add_text(out, "price_version", w.price, sizeof w.price);
    } else if (w.chips) {
        add_id(out, "pool", &row->item);
        add_text(out, "price", w.rate, sizeof w.rate);
        if (w.price[0])
            add_text(out, "price_version", w.price, sizeof w.price);
        buf_addf(out, ",\"chip_ms\":%llu", (unsigned long long)row->chip_ms);
    } else if (w.data) {
        add_text(out, "price", w.rate, sizeof w.rate);
        buf_addf(out, ",\"bytes\":%llu", (unsigned long long)row->bytes);
    } else {
        if (w.digest[0])
            add_text(out, "digest", w.digest, sizeof w.digest);
        add_text(out, "price_version", w.price, sizeof w.price);
        buf_addf(out,
                 ",\"requests\":%llu,\"prompt_tokens\":%llu,\"cached_tokens\":%llu,"
                 "\"completion_tokens\":%llu,\"reasoning_tokens\":%llu",
                 (unsigned long long)row->requests, (unsigned long long)row->prompt,
                 (unsigned long long)row->cached, (unsigned long long)row->completion,
                 (unsigned long long)row->reasoning);
    }
    buf_add_text(out, ",\"energy_j\":");
    add_joules(out, row->energy_mj);
    buf_add_text(out, ",\"carbon_g\":");
    add_grams(out, row->carbon_ng);
    add_amount(out, "cost", row->cost);
    add_amount(out, "tax", row->tax);
    add_amount(out, "granted", row->granted);
    buf_add_char(out, '}');
}
