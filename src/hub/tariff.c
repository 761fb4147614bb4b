/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing a tariff with what is in force at its date, and putting it in force: one event for each price that differs.
 *
 * What a tariff does not name stays as it is. All of it is applied or, if it names what is not there or its currency is not that of
 * every tenant, nothing: that is found before. Applied again it changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/osrandom.h"
#include "base/timetext.h"
#include "hub/api.h"

#define CHANGES_MAX 1000u

struct change {
    struct uuid id; /* of the model, or of the pool */
    bool pool;
    int64_t now[4], then[4]; /* input, cached, output, reasoning; of a pool the first one */
};

struct tariff {
    bool apply;
    int64_t from_ms;
    char currency[8], name[NAME_CAP];
    struct change *change;
    uint32_t n;
};

static int parse(struct api_call *call, bool apply)
{
    static const char *const members[] = {"tariff", "currency", "from", "models", "chips", NULL};
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

/* ---- what differs ---- */

static int add_change(struct api_call *call, struct tariff *t, const struct change *change)
{
    if (memcmp(change->now, change->then, sizeof change->now) == 0)
        return 0;
    if (t->n == CHANGES_MAX)
        return err_set(&call->err, ERR_LIMIT, "a tariff changes at most %u prices at a time", CHANGES_MAX);
    struct change *more = realloc(t->change, (t->n + 1) * sizeof *more);
    if (!more)
        return ERR_NO_MEMORY;
    t->change = more;
    t->change[t->n++] = *change;
    return 0;
}

static int read_amount(struct api_call *call, yyjson_val *entry, const char *name, int64_t *nano)
{
    yyjson_val *v = yyjson_obj_get(entry, name);
    const char *text = yyjson_get_str(v);
    if (!text || !amount_parse(nano, text, yyjson_get_len(v)) || *nano > PRICE_MAX)
        return err_set(&call->err, ERR_INVALID, "%s: must be an amount such as \"12.50\", at most 1000000",
                       name);
    return 0;
}

static int compare_model(struct api_call *call, const struct core *core, yyjson_val *entry)
{
    static const char *const members[] = {"input", "cached", "output", "reasoning"};
    struct tariff *t = call->data;
    const char *name = yyjson_get_str(yyjson_obj_get(entry, "name"));
    if (!name)
        return err_set(&call->err, ERR_INVALID, "models: each needs a name");
    const struct row_model *model = call_model(call, core, name);
    if (!model)
        return ERR_NOT_FOUND;
    struct change change = {.id = model->id};
    const struct row_price *price = view_price_then(core, &model->id, t->from_ms);
    if (price) {
        const int64_t now[4] = {price->prompt, price->cached, price->completion, price->reasoning};
        memcpy(change.now, now, sizeof now);
    }
    for (int i = 0; i < 4; i++) {
        int rc = read_amount(call, entry, members[i], &change.then[i]);
        if (rc != 0)
            return rc;
    }
    return add_change(call, t, &change);
}

static int compare_chip(struct api_call *call, const struct core *core, yyjson_val *entry)
{
    struct tariff *t = call->data;
    const char *kind = yyjson_get_str(yyjson_obj_get(entry, "kind"));
    const struct row_pool *pool;
    bool any = false;
    int64_t then;
    int rc = read_amount(call, entry, "hour", &then);
    for (uint32_t pos = 0; rc == 0 && kind && (pool = view_pool_at(core, &pos)) != NULL;) {
        if (strcmp(pool->chip, kind) != 0)
            continue;
        struct change change = {.id = pool->id, .pool = true};
        change.now[0] = view_pool_price_then(core, &pool->id, t->from_ms);
        change.then[0] = then;
        any = true;
        rc = add_change(call, t, &change);
    }
    if (rc == 0 && !any)
        rc = err_set(&call->err, ERR_NOT_FOUND, "There is no pool of `%.40s` chips.", kind ? kind : "");
    return rc;
}

typedef int compare_fn(struct api_call *call, const struct core *core, yyjson_val *entry);

static int compare_list(struct api_call *call, const struct core *core, const char *name, compare_fn *compare)
{
    yyjson_val *list = body_member(call, name), *entry;
    if (list && !yyjson_is_arr(list))
        return err_set(&call->err, ERR_INVALID, "%s: must be a list", name);
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    int rc = 0;
    while (rc == 0 && (entry = yyjson_arr_iter_next(&it)) != NULL)
        rc = compare(call, core, entry);
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

static int make_events(struct api_call *call, const struct tariff *t)
{
    call->many = t->n > 0 ? calloc(t->n, sizeof *call->many) : NULL;
    if (t->n > 0 && !call->many)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct change *c = &t->change[i];
        struct event *e = &call->many[i];
        if (c->pool)
            *e = (struct event){.kind = EVENT_KIND_pool_price,
                                .u.pool_price = {.pool = c->id, .price = c->then[0], .from_ms = t->from_ms}};
        else
            *e = (struct event){.kind = EVENT_KIND_price_set,
                                .u.price_set = {.price = uuid_new(),
                                                .model = c->id,
                                                .prompt = c->then[0],
                                                .cached = c->then[1],
                                                .completion = c->then[2],
                                                .reasoning = c->then[3],
                                                .from_ms = t->from_ms}};
    }
    call->nevents = t->n;
    return 0;
}

static int prepare(struct api_call *call, const struct core *core)
{
    struct tariff *t = call->data;
    int rc = check_currency(call, core, t);
    if (rc == 0)
        rc = compare_list(call, core, "models", compare_model);
    if (rc == 0)
        rc = compare_list(call, core, "chips", compare_chip);
    if (rc == 0 && t->apply)
        rc = make_events(call, t);
    if (rc != 0)
        free(t->change);
    return rc;
}

/* ---- the answer ---- */

static void add_row(struct buf *out, const struct core *core, const struct tariff *t, const struct change *c,
                    int i)
{
    static const char *const of[] = {"input", "cached", "output", "reasoning"};
    const struct row_model *model = view_model(core, &c->id);
    const struct row_pool *pool = view_pool(core, &c->id);
    const struct row_site *site = pool ? view_site(core, &pool->site) : NULL;
    buf_add_text(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    add_text(out, "what", model ? model->name : pool ? pool->chip : "?", NAME_CAP);
    if (site)
        add_text(out, "site", site->name, NAME_CAP);
    add_text(out, "price_of", c->pool ? "chip-hour" : of[i], KIND_TEXT_CAP);
    add_amount(out, "now", c->now[i]);
    add_amount(out, "then", c->then[i]);
    add_time(out, "from", t->from_ms);
    buf_add_char(out, '}');
}

static int finish(struct api_call *call, const struct core *core)
{
    struct tariff *t = call->data;
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t k = 0; k < t->n; k++) {
        for (int i = 0; i < 4; i++) {
            if (t->change[k].now[i] != t->change[k].then[i])
                add_row(&call->out, core, t, &t->change[k], i);
        }
    }
    buf_add_text(&call->out, "],\"next\":null}");
    free(t->change);
    t->change = NULL;
    return 0;
}

const struct api_handler api_tariff_diff = {.parse = parse_diff, .prepare = prepare, .finish = finish};
const struct api_handler api_tariff_apply = {.parse = parse_apply, .prepare = prepare, .finish = finish};
