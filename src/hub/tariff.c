/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing a tariff with what is in force at its date, and putting it in force: a part for each price that differs, then one word for
 * all of them (core/tariff_draft.c).
 *
 * What a tariff does not name stays as it is. All of it is applied or, if it names what is not there, its currency is not that of
 * every tenant, or there is no more room, nothing. Applied again it changes nothing.
 */
#include "hub/tariff.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "base/timetext.h"

static int parse(struct api_call *call, bool apply)
{
    static const char *const members[] = {"tariff", "currency",  "from",    "models",
                                          "chips",  "corridors", "tenants", NULL};
    char from[32] = "";
    struct tariff *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    call->data = t;
    t->apply = apply;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_name(call, "tariff", t->name);
    if (rc == 0)
        rc = body_text(call, "currency", true, t->currency, sizeof t->currency);
    if (rc == 0 && currency_number(t->currency, strlen(t->currency)) == 0)
        rc = err_set(&call->err, ERR_INVALID, "currency: %s is not supported", t->currency);
    if (rc == 0)
        rc = body_text(call, "from", false, from, sizeof from);
    if (rc == 0 && from[0] && !moment_parse(from, strlen(from), clock_wall_ms(), &t->from_ms))
        rc = err_set(&call->err, ERR_INVALID, "from: must be a time such as 2026-12-01T00:00:00Z");
    return rc;
}

static int parse_diff(struct api_call *call)
{
    return parse(call, false);
}

static int parse_apply(struct api_call *call)
{
    return parse(call, true);
}

/* ---- reading entries ---- */

static int read_amount(struct api_call *call, yyjson_val *entry, const char *name, int64_t *nano)
{
    yyjson_val *v = yyjson_obj_get(entry, name);
    const char *text = yyjson_get_str(v);
    if (!text || !amount_parse(nano, text, yyjson_get_len(v)) || *nano > PRICE_MAX)
        return err_set(&call->err, ERR_INVALID, "%s: must be an amount such as \"12.50\", at most 1000000",
                       name);
    return 0;
}

/* A whole number; 0 where it is absent. */
static int read_number(struct api_call *call, yyjson_val *entry, const char *name, uint64_t max,
                       uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(entry, name);
    *out = yyjson_get_uint(v);
    if (v && (!yyjson_is_uint(v) || *out > max))
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number up to %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int read_mille(struct api_call *call, yyjson_val *entry, const char *name, uint32_t max, uint32_t *out)
{
    uint64_t n;
    int rc = read_number(call, entry, name, max, &n);
    *out = (uint32_t)n;
    return rc;
}

typedef int compare_fn(struct api_call *call, const struct core *core, yyjson_val *entry,
                       const struct row_tenant *tenant);

static int compare_list(struct api_call *call, const struct core *core, yyjson_val *list, const char *name,
                        const struct row_tenant *tenant, enum tariff_entry of, compare_fn *compare)
{
    yyjson_val *entry;
    if (list && !yyjson_is_arr(list))
        return err_set(&call->err, ERR_INVALID, "%s: must be a list", name);
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    int rc = 0;
    if (yyjson_arr_size(list) > TARIFF_PARTS_MAX)
        return err_set(&call->err, ERR_LIMIT, "%s: at most %u", name, TARIFF_PARTS_MAX);
    while (rc == 0 && (entry = yyjson_arr_iter_next(&it)) != NULL) {
        rc = of == TARIFF_ENTRY_ANY ? 0 : tariff_check_entry(call, entry, name, of);
        if (rc == 0)
            rc = tariff_check_once(call, list, entry, name);
        if (rc == 0)
            rc = compare(call, core, entry, tenant);
    }
    return rc;
}

/* ---- what differs ---- */

static int add_change(struct api_call *call, struct tariff *t, const struct change *change)
{
    bool same = change->what == TARIFF_TERMS ? terms_same(&change->was, &change->terms)
                : change->general            ? !change->had
                                  : change->had && memcmp(change->now, change->then, sizeof change->now) == 0;
    if (same)
        return 0;
    if (t->n == TARIFF_PARTS_MAX)
        return err_set(&call->err, ERR_LIMIT, "a tariff changes at most %u prices at a time",
                       TARIFF_PARTS_MAX);
    struct change *more = realloc(t->change, (t->n + 1) * sizeof *more);
    if (!more)
        return ERR_NO_MEMORY;
    t->change = more;
    t->change[t->n++] = *change;
    return 0;
}

static int compare_model(struct api_call *call, const struct core *core, yyjson_val *entry,
                         const struct row_tenant *tenant)
{
    static const char *const members[] = {"input", "cached", "output", "reasoning"};
    struct tariff *t = call->data;
    const char *name = tariff_text(entry, "name");
    if (!name[0])
        return err_set(&call->err, ERR_INVALID, "models: each needs a name");
    const struct row_model *model = call_model(call, core, name);
    if (!model)
        return ERR_NOT_FOUND;
    struct change change = {.what = TARIFF_MODEL, .item = model->id};
    const struct row_price *price =
        view_price_then(core, &model->id, tenant ? &tenant->id : NULL, t->from_ms);
    change.had = price || !tenant; /* a model without a price is free */
    change.general = tenant && yyjson_get_bool(yyjson_obj_get(entry, "general"));
    if (tenant)
        change.tenant = tenant->id;
    if (price) {
        const int64_t now[4] = {price->prompt, price->cached, price->completion, price->reasoning};
        memcpy(change.now, now, sizeof now);
    }
    for (int i = 0; i < 4 && !change.general; i++) {
        int rc = read_amount(call, entry, members[i], &change.then[i]);
        if (rc != 0)
            return rc;
    }
    return add_change(call, t, &change);
}

/* Terms as they will be without the tariff, to be changed; or as it has changed them already. */
static struct change terms_of(const struct core *core, const struct tariff *t,
                              const struct row_tenant *tenant, const struct uuid *model, const char *chip)
{
    struct change change = {.what = TARIFF_TERMS};
    const struct row_terms *row = view_terms_then(core, tenant ? &tenant->id : NULL, model, chip, t->from_ms);
    if (tenant)
        change.tenant = tenant->id;
    if (model)
        change.item = *model;
    memcpy(change.chip, chip, text_len(chip, CHIP_CAP - 1));
    if (row)
        TERMS_COPY(&change.was, row);
    change.terms = change.was;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct change *k = &t->change[i];
        if (k->what == TARIFF_TERMS && uuid_eq(&k->tenant, &change.tenant) &&
            uuid_eq(&k->item, &change.item) && memcmp(k->chip, change.chip, sizeof k->chip) == 0)
            return *k;
    }
    return change;
}

/* In place of what the tariff said of them before. */
static int put_terms(struct api_call *call, const struct change *change)
{
    struct tariff *t = call->data;
    if (!terms_valid(&change->terms))
        return err_set(&call->err, ERR_INVALID, "%.40s: is out of range", change->chip);
    for (uint32_t i = 0; i < t->n; i++) {
        struct change *k = &t->change[i];
        if (k->what != TARIFF_TERMS || !uuid_eq(&k->tenant, &change->tenant) ||
            !uuid_eq(&k->item, &change->item) || memcmp(k->chip, change->chip, sizeof k->chip) != 0)
            continue;
        *k = *change;
        return 0;
    }
    return add_change(call, t, change);
}

static int read_bands(struct api_call *call, yyjson_val *list, struct terms *terms)
{
    uint32_t n = 0, hours;
    yyjson_val *entry;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((entry = yyjson_arr_iter_next(&it)) != NULL) {
        uint32_t factor;
        const char *text = tariff_text(entry, "hours");
        int rc = tariff_check_entry(call, entry, "bands", TARIFF_ENTRY_BAND);
        if (rc == 0)
            rc = read_mille(call, entry, "factor", FACTOR_MAX, &factor);
        if (rc != 0)
            return rc;
        if (n == TERMS_BANDS || !terms_hours_parse(&hours, text, strlen(text)))
            return err_set(&call->err, ERR_INVALID, "bands: at most %u, each with hours such as \"7-22\"",
                           TERMS_BANDS);
        terms_set_band(terms, n++, hours, factor);
    }
    return 0;
}

static int read_terms(struct api_call *call, yyjson_val *entry, struct terms *terms)
{
    yyjson_val *signal = yyjson_obj_get(entry, "signal");
    const char *energy = tariff_text(entry, "energy");
    *terms = (struct terms){.flags = strcmp(energy, "pass-through") == 0 ? TERMS_ENERGY : 0};
    if (energy[0] && !terms->flags && strcmp(energy, "included") != 0)
        return err_set(&call->err, ERR_INVALID, "energy: included or pass-through");
    int rc = signal ? tariff_check_entry(call, signal, "signal", TARIFF_ENTRY_SIGNAL) : 0;
    if (rc == 0)
        rc = read_mille(call, entry, "deferrable", PER_MILLE, &terms->deferrable);
    if (rc == 0)
        rc = read_mille(call, entry, "interruptible", PER_MILLE, &terms->interruptible);
    if (rc == 0)
        rc = read_mille(call, signal, "min", FACTOR_MAX, &terms->signal_min);
    if (rc == 0)
        rc = read_mille(call, signal, "max", FACTOR_MAX, &terms->signal_max);
    return rc ? rc : read_bands(call, yyjson_obj_get(entry, "bands"), terms);
}

/* Whether there are such chips at all, under the name as it is kept. */
static int check_kind(struct api_call *call, const struct core *core, const char *kind)
{
    const struct row_pool *pool;
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        if (strcmp(pool->chip, kind) == 0)
            return 0;
    }
    return err_set(&call->err, ERR_NOT_FOUND, "There is no pool of `%.31s` chips.", kind);
}

static int compare_chip(struct api_call *call, const struct core *core, yyjson_val *entry,
                        const struct row_tenant *tenant)
{
    struct tariff *t = call->data;
    const char *kind = tariff_text(entry, "kind");
    const struct row_pool *pool;
    int64_t then = 0;
    bool general = tenant && yyjson_get_bool(yyjson_obj_get(entry, "general"));
    int rc = general ? 0 : read_amount(call, entry, "hour", &then);
    if (rc == 0)
        rc = check_kind(call, core, kind);
    if (rc != 0)
        return rc;
    struct change terms = terms_of(core, t, tenant, NULL, kind);
    if (tenant) {
        terms.terms.hour = then;
        terms.terms.flags = general ? 0 : TERMS_HOUR;
        return put_terms(call, &terms);
    }
    for (uint32_t pos = 0; rc == 0 && (pool = view_pool_at(core, &pos)) != NULL;) {
        struct change change = {.what = TARIFF_POOL, .item = pool->id, .had = true, .then = {then}};
        change.now[0] = view_item_price_then(core, &pool->id, t->from_ms);
        if (strcmp(pool->chip, kind) == 0)
            rc = add_change(call, t, &change);
    }
    if (rc == 0)
        rc = read_terms(call, entry, &terms.terms);
    return rc ? rc : put_terms(call, &terms);
}

static int compare_corridor(struct api_call *call, const struct core *core, yyjson_val *entry,
                            const struct row_tenant *tenant)
{
    struct tariff *t = call->data;
    const char *a = tariff_text(entry, "a"), *b = tariff_text(entry, "b");
    const struct row_site *from = view_site_named(core, a, strlen(a)),
                          *to = view_site_named(core, b, strlen(b));
    const struct row_corridor *row;
    bool any = false;
    (void)tenant;
    struct change change = {.what = TARIFF_CORRIDOR, .had = true};
    int rc = read_amount(call, entry, "gb", &change.then[0]);
    for (uint32_t pos = 0; rc == 0 && from && to && (row = view_corridor_at(core, &pos)) != NULL;) {
        if (!(uuid_eq(&row->a, &from->id) && uuid_eq(&row->b, &to->id)) &&
            !(uuid_eq(&row->a, &to->id) && uuid_eq(&row->b, &from->id)))
            continue;
        change.item = row->id;
        change.now[0] = view_item_price_then(core, &row->id, t->from_ms);
        any = true;
        rc = add_change(call, t, &change);
    }
    if (rc == 0 && !any)
        rc = err_set(&call->err, ERR_NOT_FOUND, "There is no corridor between `%.60s` and `%.60s`.", a, b);
    return rc;
}

static int compare_free(struct api_call *call, const struct core *core, yyjson_val *entry,
                        const struct row_tenant *tenant)
{
    const char *name = tariff_text(entry, "model"), *kind = tariff_text(entry, "chip");
    int rc =
        tariff_check_entry(call, entry, "free", kind[0] ? TARIFF_ENTRY_FREE_CHIP : TARIFF_ENTRY_FREE_TOKENS);
    if (rc != 0)
        return rc;
    const struct row_model *model = name[0] ? call_model(call, core, name) : NULL;
    if (name[0] && !model)
        return ERR_NOT_FOUND;
    if (!name[0] && !kind[0])
        return err_set(&call->err, ERR_INVALID, "free: each needs model and tokens, or chip and chip_ms");
    struct change terms = terms_of(core, call->data, tenant, model ? &model->id : NULL, kind);
    rc = model ? 0 : check_kind(call, core, kind);
    if (rc == 0)
        rc = read_number(call, entry, model ? "tokens" : "chip_ms", FREE_MAX, &terms.terms.free);
    return rc ? rc : put_terms(call, &terms);
}

static int compare_tenant(struct api_call *call, const struct core *core, yyjson_val *entry,
                          const struct row_tenant *tenant)
{
    int rc = 0;
    tenant = call_tenant(call, core, tariff_text(entry, "name"));
    if (!tenant)
        return ERR_NOT_FOUND;
    if (yyjson_obj_get(entry, "minimum")) {
        struct change terms = terms_of(core, call->data, tenant, NULL, "");
        rc = read_amount(call, entry, "minimum", &terms.terms.minimum);
        rc = rc ? rc : put_terms(call, &terms);
    }
    if (rc == 0)
        rc = compare_list(call, core, yyjson_obj_get(entry, "models"), "models", tenant,
                          TARIFF_ENTRY_OWN_MODEL, compare_model);
    if (rc == 0)
        rc = compare_list(call, core, yyjson_obj_get(entry, "chips"), "chips", tenant, TARIFF_ENTRY_OWN_CHIP,
                          compare_chip);
    if (rc == 0)
        rc = compare_list(call, core, yyjson_obj_get(entry, "free"), "free", tenant, TARIFF_ENTRY_ANY,
                          compare_free);
    return rc;
}

/* A price is so much of whatever a tenant's currency is. */
static int check_currency(struct api_call *call, const struct core *core, const struct tariff *t)
{
    const struct row_tenant *tenant;
    for (uint32_t pos = 0; (tenant = view_tenant_at(core, &pos)) != NULL;) {
        if (tenant->ledger != currency_number(t->currency, strlen(t->currency)))
            return err_set(&call->err, ERR_WRONG_STATE, "currency: tenant `%.63s` is not billed in %s",
                           tenant->name, t->currency);
    }
    return 0;
}

static void part_of(struct event_tariff_put *e, const struct change *c)
{
    e->what = c->what;
    e->tenant = c->tenant;
    e->item = c->item;
    memcpy(e->chip, c->chip, sizeof e->chip);
    e->prompt = c->then[0];
    if (c->what == TARIFF_TERMS)
        TERMS_COPY(e, &c->terms);
    if (c->what != TARIFF_MODEL)
        return;
    e->price = uuid_new();
    e->cached = c->then[1];
    e->completion = c->then[2];
    e->reasoning = c->then[3];
    e->price_flags = c->general ? PRICE_GENERAL : 0;
}

static int make_events(struct api_call *call, const struct tariff *t)
{
    const struct uuid id = uuid_new();
    if (t->n == 0)
        return 0;
    call->many = calloc(t->n + 1, sizeof *call->many);
    if (!call->many)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < t->n; i++) {
        call->many[i].kind = EVENT_KIND_tariff_put;
        call->many[i].u.tariff_put.tariff = id;
        call->many[i].u.tariff_put.part = i;
        part_of(&call->many[i].u.tariff_put, &t->change[i]);
    }
    call->many[t->n] = (struct event){.kind = EVENT_KIND_tariff_set,
                                      .u.tariff_set = {.tariff = id, .parts = t->n, .from_ms = t->from_ms}};
    call->nevents = t->n + 1;
    return 0;
}

static void forget(struct tariff *t)
{
    free(t->change);
    t->change = NULL;
    t->n = 0;
}

static int prepare(struct api_call *call, const struct core *core)
{
    struct tariff *t = call->data;
    int rc = check_currency(call, core, t);
    if (rc == 0)
        rc = compare_list(call, core, body_member(call, "models"), "models", NULL, TARIFF_ENTRY_MODEL,
                          compare_model);
    if (rc == 0)
        rc = compare_list(call, core, body_member(call, "chips"), "chips", NULL, TARIFF_ENTRY_CHIP,
                          compare_chip);
    if (rc == 0)
        rc = compare_list(call, core, body_member(call, "corridors"), "corridors", NULL,
                          TARIFF_ENTRY_CORRIDOR, compare_corridor);
    if (rc == 0)
        rc = compare_list(call, core, body_member(call, "tenants"), "tenants", NULL, TARIFF_ENTRY_TENANT,
                          compare_tenant);
    if (rc == 0 && t->apply)
        rc = make_events(call, t);
    if (rc != 0)
        forget(t);
    return rc;
}

static int finish(struct api_call *call, const struct core *core)
{
    tariff_render(&call->out, core, call->data);
    forget(call->data);
    return call->out.failed ? ERR_TOO_LARGE : 0;
}

static bool refused(struct api_call *call)
{
    forget(call->data);
    return false;
}

const struct api_handler api_tariff_diff = {.parse = parse_diff, .prepare = prepare, .finish = finish};
const struct api_handler api_tariff_apply = {
    .parse = parse_apply, .prepare = prepare, .finish = finish, .refused = refused};
