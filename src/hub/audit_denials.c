/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/audit_denials.h"

#include <stdlib.h>
#include <string.h>

#include "core/month.h"

/* ---- reading ---- */

static bool same_cell(const struct row_denial *a, const struct row_denial *b)
{
    return a->what == b->what && a->how == b->how && memcmp(a->rule, b->rule, sizeof a->rule) == 0 &&
           memcmp(a->cite, b->cite, sizeof a->cite) == 0;
}

/* The untold have no tenant, so they are never of enough. */
static void add_tenant(struct denial_cell *cell, const struct uuid *tenant)
{
    if (!uuid_zero(tenant))
        cell_count(cell->tenant, &cell->ntenants, tenant);
}

static int take_denial(void *ctx, enum row_kind kind, const void *data)
{
    struct denials_told *told = ctx;
    const struct row_denial *row = data;
    uint32_t i = 0;
    (void)kind;
    while (i < told->n && !same_cell(&told->list[i].key, row))
        i++;
    if (i == told->n) {
        struct denial_cell *more = i < CELLS_MAX ? realloc(told->list, (i + 1) * sizeof *more) : NULL;
        if (!more)
            return told->rc = i < CELLS_MAX ? ERR_NO_MEMORY : ERR_TOO_LARGE;
        told->list = more;
        more[told->n++] = (struct denial_cell){.key = *row};
        more[i].key.count = 0;
    }
    told->list[i].key.count += row->count;
    add_tenant(&told->list[i], &row->tenant);
    return 0;
}

static int take_drill(void *ctx, enum row_kind kind, const void *row)
{
    struct denials_told *told = ctx;
    (void)kind;
    struct row_drill *more = realloc(told->drill, (told->ndrills + 1) * sizeof *more);
    if (!more)
        return told->rc = ERR_NO_MEMORY;
    told->drill = more;
    told->drill[told->ndrills++] = *(const struct row_drill *)row;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct row_drill *x = a, *y = b;
    return (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

/* ---- cells of too few ---- */

static int by_name(const void *a, const void *b)
{
    const struct denial_cell *x = a, *y = b;
    if (x->other != y->other)
        return x->other - y->other;
    int order = strcmp(x->key.rule, y->key.rule);
    order = order ? order : (int)x->key.what - (int)y->key.what;
    order = order ? order : (int)x->key.how - (int)y->key.how;
    return order ? order : strcmp(x->key.cite, y->key.cite);
}

static void merge(struct denials_told *told, struct denial_cell *other, uint32_t i)
{
    const struct denial_cell *cell = &told->list[i];
    for (uint32_t k = 0; k < cell->ntenants; k++)
        add_tenant(other, &cell->tenant[k]);
    other->key.count += cell->key.count;
    told->list[i] = told->list[--told->n];
}

static uint32_t smallest(const struct denials_told *told)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < told->n; i++) {
        const struct denial_cell *a = &told->list[i], *b = &told->list[best];
        if (a->key.count < b->key.count || (a->key.count == b->key.count && by_name(a, b) < 0))
            best = i;
    }
    return best;
}

static void hide(struct denials_told *told)
{
    struct denial_cell other = {.other = true};
    bool any = false;
    for (uint32_t i = 0; i < told->n;) {
        if (told->list[i].ntenants >= CELL_TENANTS_MIN) {
            i++;
            continue;
        }
        merge(told, &other, i);
        any = true;
    }
    while (any && other.ntenants < CELL_TENANTS_MIN && told->n > 0)
        merge(told, &other, smallest(told));
    if (any)
        told->list[told->n++] = other; /* there was one more before */
    if (told->n > 1)
        qsort(told->list, told->n, sizeof *told->list, by_name);
}

int denials_read(struct denials_told *told, struct store *store, int64_t from_ms, int64_t to_ms,
                 struct err *err)
{
    const struct row_query denials = {
        .kind = ROW_KIND_denial, .range_field = "day", .from = from_ms / DAY_MS, .to = to_ms / DAY_MS};
    const struct row_query drills = {
        .kind = ROW_KIND_drill, .range_field = "at_ms", .from = from_ms, .to = to_ms};
    int rc = store->ops->rows(store, &denials, 1, take_denial, told, err);
    if (rc == 0)
        rc = store->ops->rows(store, &drills, 1, take_drill, told, err);
    rc = rc ? rc : told->rc;
    if (rc != 0)
        return rc;
    hide(told);
    if (told->ndrills > 1)
        qsort(told->drill, told->ndrills, sizeof *told->drill, by_time);
    return 0;
}

void denials_free(struct denials_told *told)
{
    free(told->list);
    free(told->drill);
    *told = (struct denials_told){.n = 0};
}

/* ---- telling ---- */

static const char *what_of(const struct denial_cell *c)
{
    return c->other ? "other" : denied_work_text(c->key.what);
}

static const char *how_of(const struct denial_cell *c)
{
    return c->other ? "other" : denied_how_text(c->key.how);
}

static void drill_name(struct buf *out, const struct core *core, const struct row_drill *d)
{
    const struct row_corridor *c = uuid_zero(&d->corridor) ? NULL : view_corridor(core, &d->corridor);
    const struct row_site *a = view_site(core, c ? &c->a : &d->site), *b = c ? view_site(core, &c->b) : NULL;
    buf_clear(out);
    if (d->vendor[0])
        buf_add(out, d->vendor, text_len(d->vendor, sizeof d->vendor));
    else
        buf_addf(out, "%s%s%s", a ? a->name : "", b ? "/" : "", b ? b->name : "");
}

static const char *drill_what(const struct row_drill *d)
{
    return d->vendor[0] ? "vendor" : uuid_zero(&d->corridor) ? "site" : "corridor";
}

/* Thousandths of the firm chips that ran again; all of none. */
static uint32_t drill_share(const struct row_drill *d)
{
    return d->firm_chips > 0 ? (uint32_t)((uint64_t)d->firm_chips_again * 1000 / d->firm_chips) : 1000;
}

void denials_json(struct buf *out, const struct core *core, const struct denials_told *told)
{
    struct buf name;
    buf_init(&name, 4 * NAME_CAP);
    buf_add_text(out, ",\"denials\":[");
    for (uint32_t i = 0; i < told->n; i++) {
        const struct denial_cell *c = &told->list[i];
        buf_add_text(out, i ? ",{\"rule\":" : "{\"rule\":");
        buf_add_json(out, c->other ? "other" : c->key.rule, strlen(c->other ? "other" : c->key.rule));
        add_text(out, "cite", c->key.cite, sizeof c->key.cite);
        add_text(out, "what", what_of(c), KIND_TEXT_CAP);
        add_text(out, "how", how_of(c), KIND_TEXT_CAP);
        buf_addf(out, ",\"count\":%llu}", (unsigned long long)c->key.count);
    }
    buf_add_text(out, "],\"drills\":[");
    for (uint32_t i = 0; i < told->ndrills; i++) {
        const struct row_drill *d = &told->drill[i];
        drill_name(&name, core, d);
        buf_addf(out, "%s{\"what\":\"%s\",\"name\":", i ? "," : "", drill_what(d));
        buf_add_json(out, name.data ? name.data : "", name.len);
        add_time(out, "at", d->at_ms);
        add_time(out, "as_of", d->as_of_ms);
        add_text(out, "reserve", dispatch_reserve_text(d->reserve), KIND_TEXT_CAP);
        buf_addf(out, ",\"firm_share\":\"%u.%03u\",\"covered\":%s,\"models_gone\":%u}", drill_share(d) / 1000,
                 drill_share(d) % 1000, d->firm_again == d->firm_jobs ? "true" : "false", d->models_gone);
    }
    buf_add_char(out, ']');
    buf_fini(&name);
}

/* The report's columns are those of volumes; what else there is stands in `what`. */
void denials_csv(struct buf *out, const struct core *core, const struct denials_told *told)
{
    struct buf name;
    buf_init(&name, 1024);
    for (uint32_t i = 0; i < told->n; i++) {
        const struct denial_cell *c = &told->list[i];
        buf_clear(&name);
        if (c->other)
            buf_addf(&name, "other");
        else
            buf_addf(&name, "%s %s %s%s%s", what_of(c), how_of(c), c->key.rule[0] ? c->key.rule : "(border)",
                     c->key.cite[0] ? ": " : "", c->key.cite);
        buf_add_char(&name, 0);
        buf_add_text(out, "denial,,,,,,");
        csv_field(out, name.data ? name.data : "");
        buf_addf(out, ",,,,,,,,,,%llu\r\n", (unsigned long long)c->key.count);
    }
    for (uint32_t i = 0; i < told->ndrills; i++) {
        const struct row_drill *d = &told->drill[i];
        drill_name(&name, core, d);
        buf_add_char(&name, 0);
        char month[MONTH_CAP];
        month_format(month, month_of(d->at_ms));
        buf_addf(out, "drill,%s,,,,,", month);
        struct buf words;
        buf_init(&words, 1024);
        buf_addf(&words, "%s %s: firm work that runs again %u.%03u", drill_what(d), name.data,
                 drill_share(d) / 1000, drill_share(d) % 1000);
        buf_add_char(&words, 0);
        csv_field(out, words.data);
        buf_add_text(out, ",,,,,,,,,,1\r\n");
        buf_fini(&words);
    }
    buf_fini(&name);
}
