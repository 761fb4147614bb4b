/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in force, now or at a time to come, as a tariff that `tariff apply` takes: applied again it changes nothing. Beside it
 * `to_come`, the times after that at which something is told to change, and `left_out`, in words what no tariff can say: a tariff has one price
 * for all pools of a kind, and one for all corridors between two sites. Prices and terms are found in one reading of each table; pools and
 * corridors are compared each with those before it, and only the first of its like looks up what the others cost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/timetext.h"
#include "core/terms.h"
#include "hub/tariff.h"

/* In the order in which they are in a tenant's part. */
enum said { SAID_MINIMUM, SAID_MODEL, SAID_CHIP, SAID_FREE };

/* What holds, or will, of one thing of a tenant's, or with tenant NULL of everybody's. */
struct entry {
    const struct row_tenant *tenant;
    const char *name; /* of the model or the kind of chip; "" */
    enum said said;
    bool chip;                     /* what is free is chip-ms */
    int64_t from_ms;               /* of what is in force already INT64_MIN */
    const struct row_price *price; /* one of the two, or none of a model that is free */
    const struct row_terms *terms;
};

struct show {
    struct api_call *call;
    const struct core *core;
    int64_t now_ms, at_ms;
    bool one;           /* only what this tenant pays */
    struct uuid tenant; /* the same */
    uint32_t ledger;
    struct entry *entry;
    uint32_t n, cap;
    int64_t *coming;
    uint32_t ncoming, coming_cap;
    struct buf left_out;
    bool no_memory;
};

/* Room for one more; NULL: there is no memory. */
static void *grow(struct show *s, void *list, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    uint32_t more = *cap ? *cap * 2 : 64;
    void *grown = reallocarray(list, more, size);
    if (grown)
        *cap = more;
    else
        s->no_memory = true;
    return grown ? grown : list;
}

static void add_entry(struct show *s, const struct entry *entry)
{
    s->entry = grow(s, s->entry, s->n, &s->cap, sizeof *s->entry);
    if (!s->no_memory)
        s->entry[s->n++] = *entry;
}

static void add_coming(struct show *s, int64_t at_ms)
{
    s->coming = grow(s, s->coming, s->ncoming, &s->coming_cap, sizeof *s->coming);
    if (!s->no_memory)
        s->coming[s->ncoming++] = at_ms;
}

/* Whether it is told for the time that is shown. What comes later is noted. */
static bool in_time(struct show *s, int64_t from_ms)
{
    if (from_ms > s->at_ms)
        add_coming(s, from_ms);
    return from_ms <= s->at_ms;
}

/* ---- what there is ---- */

static void find_prices(struct show *s)
{
    const struct row_price *row;
    for (uint32_t pos = 0; (row = view_price_at(s->core, &pos)) != NULL;) {
        const struct row_model *model = view_model(s->core, &row->model);
        const struct row_tenant *tenant = view_tenant(s->core, &row->tenant);
        bool own = !uuid_zero(&row->tenant);
        bool now = model && (own ? (row->flags & PRICE_IN_FORCE) != 0 : uuid_eq(&model->price, &row->id));
        if (!model || (own && (!tenant || (s->one && !uuid_eq(&row->tenant, &s->tenant)))) ||
            (!now && (row->from_ms <= s->now_ms || !in_time(s, row->from_ms))))
            continue;
        add_entry(s, &(struct entry){.tenant = tenant,
                                     .name = model->name,
                                     .said = SAID_MODEL,
                                     .from_ms = now ? INT64_MIN : row->from_ms,
                                     .price = row});
    }
    /* One that nobody has set a price for is free: it is there at 0. */
    const struct row_model *model;
    for (uint32_t pos = 0; (model = view_model_at(s->core, &pos)) != NULL;) {
        if (!view_price(s->core, &model->price))
            add_entry(s, &(struct entry){.name = model->name, .said = SAID_MODEL, .from_ms = INT64_MIN});
    }
}

static bool has_pool(const struct core *core, const char *kind)
{
    const struct row_pool *pool;
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        if (strcmp(pool->chip, kind) == 0)
            return true;
    }
    return false;
}

static void find_terms(struct show *s)
{
    const struct row_terms *row;
    for (uint32_t pos = 0; (row = view_terms_at(s->core, &pos)) != NULL;) {
        const struct row_tenant *tenant = view_tenant(s->core, &row->tenant);
        const struct row_model *model = view_model(s->core, &row->model);
        bool mine = !s->one || uuid_zero(&row->tenant) || uuid_eq(&row->tenant, &s->tenant);
        if (!mine || !in_time(s, row->from_ms) || !tenant || (!model && !uuid_zero(&row->model)) ||
            (row->chip[0] && !has_pool(s->core, row->chip)))
            continue;
        struct entry e = {.tenant = tenant, .name = "", .from_ms = row->from_ms, .terms = row};
        if (model || row->chip[0]) {
            e.name = model ? model->name : row->chip;
            e.said = SAID_FREE;
            e.chip = !model;
        }
        add_entry(s, &e);
        e.said = SAID_CHIP;
        if (e.chip)
            add_entry(s, &e);
    }
}

/* By tenant, what it is about, and then by time; of the same time the greater id holds. */
static int order(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int by = strcmp(a->tenant ? a->tenant->name : "", b->tenant ? b->tenant->name : "");
    by = by ? by : (a->said > b->said) - (a->said < b->said);
    by = by ? by : strcmp(a->name, b->name);
    by = by ? by : a->chip - b->chip;
    by = by ? by : (a->from_ms > b->from_ms) - (a->from_ms < b->from_ms);
    return by == 0 && a->price && b->price ? memcmp(&a->price->id, &b->price->id, sizeof a->price->id) : by;
}

static bool same_thing(const struct entry *a, const struct entry *b)
{
    return a->tenant == b->tenant && a->said == b->said && a->chip == b->chip &&
           strcmp(a->name, b->name) == 0;
}

/* Whether a tariff has words for it: what is not so, or is as everybody's, is not said. */
static bool is_said(const struct entry *e)
{
    if (e->said == SAID_MODEL)
        return !(e->price && (e->price->flags & PRICE_GENERAL));
    if (e->said == SAID_CHIP)
        return (e->terms->flags & TERMS_HOUR) != 0;
    return e->said == SAID_FREE ? e->terms->free > 0 : e->terms->minimum > 0;
}

/* Keeps the last of each thing, if it is said at all. */
static void settle(struct show *s)
{
    uint32_t n = 0;
    if (s->n > 0)
        qsort(s->entry, s->n, sizeof *s->entry, order);
    for (uint32_t i = 0; i < s->n; i++) {
        bool last = i + 1 == s->n || !same_thing(&s->entry[i], &s->entry[i + 1]);
        if (last && is_said(&s->entry[i]))
            s->entry[n++] = s->entry[i];
    }
    s->n = n;
}

/* ---- rendering ---- */

static void next(struct buf *out)
{
    buf_add_text(out, out->len && out->data[out->len - 1] == '[' ? "{" : ",{");
}

static void name(struct buf *out, const char *member, const char *value)
{
    buf_addf(out, "\"%s\":", member);
    buf_add_json(out, value, strlen(value));
}

static void add_model(struct buf *out, const struct entry *e)
{
    static const struct row_price none;
    const struct row_price *p = e->price ? e->price : &none;
    next(out);
    name(out, "name", e->name);
    add_amount(out, "input", p->prompt);
    add_amount(out, "cached", p->cached);
    add_amount(out, "output", p->completion);
    add_amount(out, "reasoning", p->reasoning);
    buf_add_char(out, '}');
}

/* All of a tenant's, NULL: everybody's, of one sort. */
static void add_sort(struct buf *out, const struct show *s, const struct row_tenant *tenant, enum said said)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct entry *e = &s->entry[i];
        if (e->tenant != tenant || e->said != said)
            continue;
        if (said == SAID_MODEL) {
            add_model(out, e);
            continue;
        }
        next(out);
        if (said == SAID_CHIP) {
            name(out, "kind", e->name);
            add_amount(out, "hour", e->terms->hour);
        } else {
            name(out, e->chip ? "chip" : "model", e->name);
            buf_addf(out, ",\"%s\":%llu", e->chip ? "chip_ms" : "tokens", (unsigned long long)e->terms->free);
        }
        buf_add_char(out, '}');
    }
}

static void add_terms(struct buf *out, const struct row_terms *row)
{
    uint32_t hours, factor, from, to;
    struct terms t = {0};
    if (row)
        TERMS_COPY(&t, row);
    buf_addf(out, ",\"deferrable\":%u,\"interruptible\":%u,\"energy\":\"%s\"", t.deferrable, t.interruptible,
             t.flags & TERMS_ENERGY ? "pass-through" : "included");
    if (t.signal_max > 0)
        buf_addf(out, ",\"signal\":{\"min\":%u,\"max\":%u}", t.signal_min, t.signal_max);
    buf_add_text(out, ",\"bands\":[");
    for (uint32_t i = 0; terms_band(&t, i, &hours, &factor); i++) {
        terms_hours(hours, &from, &to);
        next(out);
        buf_addf(out, "\"hours\":\"%u-%u\",\"factor\":%u}", from, to, factor);
    }
    buf_add_char(out, ']');
}

static void leave_out(struct show *s, const char *what, const char *of, const char *and)
{
    struct buf line;
    buf_init(&line, 512);
    buf_addf(&line, "%s%s%s cost different amounts", what, of, and);
    buf_add_text(&s->left_out, s->left_out.len ? "," : "");
    buf_add_json(&s->left_out, line.data ? line.data : "", line.len);
    buf_fini(&line);
}

static bool first_pool(const struct core *core, const struct row_pool *row)
{
    const struct row_pool *pool;
    uint32_t pos = 0;
    while ((pool = view_pool_at(core, &pos)) != row && strcmp(pool->chip, row->chip) != 0)
        ;
    return pool == row;
}

/* Of the first pool of a kind: whether all its pools are of one price. */
static bool pools_agree(const struct show *s, const struct row_pool *first, int64_t price)
{
    const struct row_pool *pool;
    bool agree = true;
    for (uint32_t pos = 0; agree && (pool = view_pool_at(s->core, &pos)) != NULL;)
        agree = strcmp(pool->chip, first->chip) != 0 ||
                view_item_price_then(s->core, &pool->id, s->at_ms) == price;
    return agree;
}

static void add_chips(struct buf *out, struct show *s)
{
    const struct row_pool *pool;
    for (uint32_t pos = 0; (pool = view_pool_at(s->core, &pos)) != NULL;) {
        if (!first_pool(s->core, pool))
            continue;
        int64_t price = view_item_price_then(s->core, &pool->id, s->at_ms);
        if (!pools_agree(s, pool, price)) {
            leave_out(s, "the pools of ", pool->chip, "");
            continue;
        }
        next(out);
        name(out, "kind", pool->chip);
        add_amount(out, "hour", price);
        add_terms(out, view_terms_then(s->core, NULL, NULL, pool->chip, s->at_ms));
        buf_add_char(out, '}');
    }
}

static bool same_ends(const struct row_corridor *x, const struct row_corridor *y)
{
    return (uuid_eq(&x->a, &y->a) && uuid_eq(&x->b, &y->b)) ||
           (uuid_eq(&x->a, &y->b) && uuid_eq(&x->b, &y->a));
}

static bool first_corridor(const struct core *core, const struct row_corridor *row)
{
    const struct row_corridor *other;
    uint32_t pos = 0;
    while ((other = view_corridor_at(core, &pos)) != row && !same_ends(other, row))
        ;
    return other == row;
}

static bool corridors_agree(const struct show *s, const struct row_corridor *first, int64_t price)
{
    const struct row_corridor *row;
    bool agree = true;
    for (uint32_t pos = 0; agree && (row = view_corridor_at(s->core, &pos)) != NULL;)
        agree = !same_ends(first, row) || view_item_price_then(s->core, &row->id, s->at_ms) == price;
    return agree;
}

static void add_corridors(struct buf *out, struct show *s)
{
    const struct row_corridor *row;
    for (uint32_t pos = 0; (row = view_corridor_at(s->core, &pos)) != NULL;) {
        const struct row_site *a = view_site(s->core, &row->a), *b = view_site(s->core, &row->b);
        if (!a || !b || !first_corridor(s->core, row))
            continue;
        int64_t price = view_item_price_then(s->core, &row->id, s->at_ms);
        if (!corridors_agree(s, row, price)) {
            leave_out(s, a->name, "/", b->name);
            continue;
        }
        next(out);
        name(out, "a", a->name);
        add_text(out, "b", b->name, NAME_CAP);
        add_amount(out, "gb", price);
        buf_add_char(out, '}');
    }
}

static void add_tenants(struct buf *out, const struct show *s)
{
    for (uint32_t i = 0; i < s->n;) {
        const struct entry *e = &s->entry[i];
        if (!e->tenant) {
            i++;
            continue;
        }
        next(out);
        name(out, "name", e->tenant->name);
        if (e->said == SAID_MINIMUM)
            add_amount(out, "minimum", e->terms->minimum);
        struct show own = *s;
        own.entry += i;
        for (own.n = 0; i < s->n && s->entry[i].tenant == e->tenant; i++)
            own.n++;
        buf_add_text(out, ",\"models\":[");
        add_sort(out, &own, e->tenant, SAID_MODEL);
        buf_add_text(out, "],\"chips\":[");
        add_sort(out, &own, e->tenant, SAID_CHIP);
        buf_add_text(out, "],\"free\":[");
        add_sort(out, &own, e->tenant, SAID_FREE);
        buf_add_text(out, "]}");
    }
}

static int by_time(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static void add_times(struct buf *out, struct show *s)
{
    char text[25];
    if (s->ncoming > 0)
        qsort(s->coming, s->ncoming, sizeof *s->coming, by_time);
    for (uint32_t i = 0; i < s->ncoming; i++) {
        if (i > 0 && s->coming[i] == s->coming[i - 1])
            continue;
        clock_format(text, s->coming[i]);
        buf_addf(out, "%s\"%s\"", i ? "," : "", text);
    }
}

static void render(struct buf *out, struct show *s)
{
    const char *code = currency_code(s->ledger);
    buf_add_text(out, "{\"tariff\":{\"tariff\":\"in-force\"");
    add_text(out, "currency", code ? code : "", 4);
    if (s->at_ms > s->now_ms)
        add_time(out, "from", s->at_ms);
    buf_add_text(out, ",\"models\":[");
    add_sort(out, s, NULL, SAID_MODEL);
    buf_add_text(out, "],\"chips\":[");
    add_chips(out, s);
    buf_add_text(out, "],\"corridors\":[");
    add_corridors(out, s);
    buf_add_text(out, "],\"tenants\":[");
    add_tenants(out, s);
    buf_add_text(out, "]},\"to_come\":[");
    add_times(out, s);
    buf_add_text(out, "],\"left_out\":[");
    buf_add(out, s->left_out.data, s->left_out.len);
    buf_add_text(out, "]}");
}

/* ---- the call ---- */

/* That of the tenant, or of all: a tariff is in one. */
static int find_currency(struct show *s)
{
    const struct row_tenant *row, *one = s->one ? view_tenant(s->core, &s->tenant) : NULL;
    s->ledger = one ? one->ledger : 0;
    for (uint32_t pos = 0; !one && (row = view_tenant_at(s->core, &pos)) != NULL;) {
        if (s->ledger != 0 && row->ledger != s->ledger)
            return err_set(&s->call->err, ERR_WRONG_STATE,
                           "Tenants are billed in different currencies; name one of them.");
        s->ledger = row->ledger;
    }
    return s->ledger ? 0 : err_set(&s->call->err, ERR_WRONG_STATE, "There is no tenant, so no currency.");
}

static int find_time(struct show *s)
{
    char text[64];
    s->now_ms = s->at_ms = view_now_ms(s->core);
    if (!call_query(s->call, "at", text, sizeof text))
        return 0;
    if (!moment_parse(text, strlen(text), s->now_ms, &s->at_ms))
        return err_set(&s->call->err, ERR_INVALID, "at: must be a time such as 2026-12-01T00:00:00Z");
    if (s->at_ms < s->now_ms)
        return err_set(&s->call->err, ERR_INVALID,
                       "at: is over; what was billed is on its lines with its price");
    return 0;
}

static int finish(struct api_call *call, const struct core *core)
{
    struct show s = {.call = call, .core = core};
    const struct row_pool_price *later;
    int rc = call_whose(call, core, &s.tenant, &s.one);
    rc = rc ? rc : find_time(&s);
    rc = rc ? rc : find_currency(&s);
    if (rc != 0)
        return rc;
    buf_init(&s.left_out, (size_t)1 << 20);
    find_prices(&s);
    find_terms(&s);
    for (uint32_t pos = 0; (later = view_item_price_at(core, &pos)) != NULL;)
        (void)in_time(&s, later->from_ms);
    settle(&s);
    render(&call->out, &s);
    rc = s.no_memory ? ERR_NO_MEMORY : call->out.failed ? ERR_TOO_LARGE : 0;
    buf_fini(&s.left_out);
    free(s.entry);
    free(s.coming);
    return rc;
}

const struct api_handler api_tariff_show = {.finish = finish};
