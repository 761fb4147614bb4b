/* SPDX-License-Identifier: Apache-2.0 */
/* What was used: sums from the store, and single records from the journal. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hub/api.h"
#include "hub/bills.h"
#include "runtime/journal.h"

#define HOUR_MS INT64_C(3600000)
#define ROWS_MAX 100000

struct listing {
    struct usage_query query;
    struct uuid tenant;
    bool one_tenant;
    char tenant_name[CALL_PARAM_MAX];
    struct row_usage *rows;
    struct row_job_usage *moved; /* in place of these, by corridor */
    uint32_t n, cap;
    bool by_corridor, by_project; /* by_project: rows are of keys until they are told */
};

static const char *const by_names[] = {"tenant", "key", "model", "hour", "corridor", "project"};
#define BY_CORRIDOR 4
#define BY_PROJECT 5

/* Unix seconds to hours; absent: the default. */
static int read_hour(struct api_call *call, const char *name, uint64_t missing, uint64_t *hour)
{
    char text[32];
    uint64_t seconds;
    *hour = missing;
    if (!call_query(call, name, text, sizeof text))
        return 0;
    if (!u64_parse(text, strlen(text), UINT32_MAX, &seconds))
        return err_set(&call->err, ERR_INVALID, "%s: must be Unix seconds", name);
    *hour = seconds / 3600;
    return 0;
}

static int parse(struct api_call *call)
{
    char by[16] = "model";
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NO_MEMORY;
    call->data = l;
    (void)call_query(call, "by", by, sizeof by);
    int found = -1;
    for (int i = 0; i <= BY_PROJECT; i++)
        found = strcmp(by, by_names[i]) == 0 ? i : found;
    if (found < 0)
        return err_set(&call->err, ERR_INVALID, "by: tenant, project, key, model, hour or corridor");
    l->by_corridor = found == BY_CORRIDOR;
    l->by_project = found == BY_PROJECT;
    l->query.by = l->by_corridor ? USAGE_BY_TENANT : l->by_project ? USAGE_BY_KEY : (enum usage_by)found;
    int rc = read_hour(call, "from", 0, &l->query.from_hour);
    return rc ? rc : read_hour(call, "to", INT64_MAX, &l->query.to_hour);
}

/* Everybody but an operator sees its own tenant only. */
static int prepare(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    const struct row_tenant *row = NULL;
    if (call_query(call, "tenant", l->tenant_name, sizeof l->tenant_name)) {
        row = call_tenant(call, core, l->tenant_name);
        if (!row)
            return ERR_NOT_FOUND;
        l->tenant = row->id;
        l->one_tenant = true;
    } else if (!call->operator_) {
        l->tenant = call->key.tenant;
        l->one_tenant = true;
    }
    return 0;
}

static void take_row(void *ctx, const struct row_usage *row)
{
    struct listing *l = ctx;
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 64;
        struct row_usage *rows = cap <= ROWS_MAX ? realloc(l->rows, cap * sizeof *rows) : NULL;
        if (!rows)
            return;
        l->rows = rows;
        l->cap = cap;
    }
    l->rows[l->n++] = *row;
}

static void take_moved(void *ctx, const struct row_job_usage *row)
{
    struct listing *l = ctx;
    struct row_job_usage *rows = l->n < ROWS_MAX ? realloc(l->moved, (l->n + 1) * sizeof *rows) : NULL;
    if (!rows)
        return;
    l->moved = rows;
    l->moved[l->n++] = *row;
}

static int work(struct api_call *call)
{
    struct listing *l = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    l->query.tenant = l->one_tenant ? &l->tenant : NULL;
    if (l->by_corridor)
        return store->ops->moved(store, &l->query, take_moved, l, &call->err);
    return store->ops->usage(store, &l->query, take_row, l, &call->err);
}

static void add_group(struct buf *out, const struct core *core, enum usage_by by, const struct row_usage *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    const struct row_model *model = view_model(core, &row->model);
    const struct row_key *key = view_key(core, &row->key);
    switch (by) {
    case USAGE_BY_TENANT:
        add_text(out, "tenant", tenant ? tenant->name : "(removed)", NAME_CAP);
        break;
    case USAGE_BY_KEY:
        add_text(out, "key", key ? key->public_id : "(removed)", 16);
        add_text(out, "name", key ? key->name : "", NAME_CAP);
        break;
    case USAGE_BY_MODEL:
        add_text(out, "model", model ? model->name : "(removed)", NAME_CAP);
        break;
    case USAGE_BY_HOUR:
        add_time(out, "hour", (int64_t)row->hour * HOUR_MS);
        break;
    }
}

static void finish_moved(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    struct buf *out = &call->out;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row_job_usage *row = &l->moved[i];
        const struct row_corridor *corridor = view_corridor(core, &row->corridor);
        const struct row_site *site = corridor ? view_site(core, &corridor->b) : NULL;
        buf_add_text(out, i ? ",{" : "{");
        add_id(out, "corridor", &row->corridor);
        add_text(out, "site", site ? site->name : "?", NAME_CAP);
        buf_addf(out, ",\"bytes_in\":%llu,\"bytes_out\":%llu", (unsigned long long)row->bytes_in,
                 (unsigned long long)row->bytes_out);
        add_amount(out, "cost", row->data_cost);
        add_amount(out, "unpaid", row->data_unpaid);
        buf_add_char(out, '}');
    }
    page_end_after(out, NULL);
    free(l->moved);
    l->moved = NULL;
}

/* What tenants have free, and what of it is used in this month. */
static void add_allowances(struct buf *out, const struct core *core, const struct listing *l)
{
    const struct row_terms *terms;
    int64_t now_ms = clock_wall_ms();
    buf_add_text(out, ",\"allowances\":[");
    for (uint32_t pos = 0; (terms = view_terms_at(core, &pos)) != NULL;) {
        const struct uuid *of = uuid_zero(&terms->model) ? NULL : &terms->model;
        const struct row_tenant *tenant = view_tenant(core, &terms->tenant);
        const struct row_model *model = of ? view_model(core, of) : NULL;
        if (terms->free == 0 || (l->one_tenant && !uuid_eq(&l->tenant, &terms->tenant)) ||
            view_terms_then(core, &terms->tenant, of, terms->chip, now_ms) != terms)
            continue;
        buf_add_text(out, buf_last(out) == '[' ? "{" : ",{");
        add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
        if (of)
            add_text(out, "model", model ? model->name : "(removed)", NAME_CAP);
        else
            add_text(out, "chip", terms->chip, CHIP_CAP);
        buf_addf(out, ",\"unit\":\"%s\",\"free\":%llu,\"used\":%llu}", of ? "tokens" : "chip_ms",
                 (unsigned long long)terms->free,
                 (unsigned long long)view_allowance_used(core, terms, now_ms));
    }
    buf_add_char(out, ']');
}

static int by_key(const void *a, const void *b)
{
    return memcmp(&((const struct row_usage *)a)->key, &((const struct row_usage *)b)->key,
                  sizeof(struct uuid));
}

/* Rows of keys become rows of their projects, whose ids stand in place of those of keys. */
static void fold_keys(struct listing *l, const struct core *core)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row_key *key = view_key(core, &l->rows[i].key);
        l->rows[i].key = key ? key->project : (struct uuid){{0}};
    }
    if (l->n > 0)
        qsort(l->rows, l->n, sizeof *l->rows, by_key);
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row_usage *from = &l->rows[i];
        struct row_usage *to = n > 0 ? &l->rows[n - 1] : NULL;
        if (!to || !uuid_eq(&to->key, &from->key)) {
            l->rows[n++] = *from;
            continue;
        }
        to->requests += from->requests;
        to->prompt += from->prompt;
        to->cached += from->cached;
        to->completion += from->completion;
        to->reasoning += from->reasoning;
        to->cost += from->cost;
        to->energy_mj += from->energy_mj;
        to->carbon_ng += from->carbon_ng;
    }
    l->n = n;
}

static void add_project(struct buf *out, const struct core *core, const struct uuid *id)
{
    const struct row_project *project = view_project(core, id);
    if (project)
        add_text(out, "project", project->name, NAME_CAP);
    else
        buf_add_text(out, "\"project\":null");
}

static int finish(struct api_call *call, const struct core *core)
{
    struct listing *l = call->data;
    struct buf *out = &call->out;
    buf_add_text(out, "{\"data\":[");
    if (l->by_corridor) {
        finish_moved(call, core);
        return 0;
    }
    if (l->by_project)
        fold_keys(l, core);
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row_usage *row = &l->rows[i];
        buf_add_text(out, i ? ",{" : "{");
        if (l->by_project)
            add_project(out, core, &row->key);
        else
            add_group(out, core, l->query.by, row);
        buf_addf(out,
                 ",\"requests\":%llu,\"prompt_tokens\":%llu,\"cached_tokens\":%llu,"
                 "\"completion_tokens\":%llu,\"reasoning_tokens\":%llu",
                 (unsigned long long)row->requests, (unsigned long long)row->prompt,
                 (unsigned long long)row->cached, (unsigned long long)row->completion,
                 (unsigned long long)row->reasoning);
        buf_add_text(out, ",\"energy_j\":");
        add_joules(out, row->energy_mj);
        buf_add_text(out, ",\"carbon_g\":");
        add_grams(out, row->carbon_ng);
        add_amount(out, "cost", row->cost);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    add_allowances(out, core, l);
    buf_add_text(out, ",\"next\":null}");
    free(l->rows);
    l->rows = NULL;
    return 0;
}

/* ---- records ---- */

struct records {
    struct listing scope; /* first: prepare is shared */
    uint64_t after;
    uint32_t limit, n;
    uint64_t next; /* number of the event after the last one looked at */
    bool more;
    struct buf *out;
    int rc;
};

static int records_parse(struct api_call *call)
{
    struct records *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    r->out = &call->out;
    return call_page_from(call, INT64_MAX, &r->limit, &r->after);
}

static void add_flags(struct buf *out, uint32_t flags)
{
    const char *sep = "";
    buf_add_text(out, ",\"flags\":[");
#define M(name, bit, text) \
    if (flags & (bit)) { \
        buf_addf(out, "%s\"" text "\"", sep); \
        sep = ","; \
    }
    METER_FLAGS(M)
#undef M
    buf_add_char(out, ']');
}

static void add_record(struct buf *out, uint64_t number, const struct journal_entry *entry)
{
    const struct event_meter *m = &entry->event.u.meter;
    char leaf[2 * JOURNAL_LEAF_LEN + 1];
    hex_encode(leaf, entry->leaf, sizeof entry->leaf);
    buf_addf(out, "{\"event\":%llu", (unsigned long long)number);
    add_time(out, "time", entry->event.at_ms);
    add_time(out, "used", m->used_ms ? m->used_ms : entry->event.at_ms);
    add_id(out, "request", &m->request);
    add_id(out, "tenant", &m->tenant);
    add_id(out, "key", &m->key);
    add_id(out, "model", &m->model);
    add_id(out, "variant", &m->variant);
    add_id(out, "site", &m->site);
    add_id(out, "price", &m->price);
    buf_addf(out,
             ",\"prompt_tokens\":%u,\"cached_tokens\":%u,\"completion_tokens\":%u,"
             "\"reasoning_tokens\":%u,\"status\":%u",
             m->prompt, m->cached, m->completion, m->reasoning, m->status);
    add_flags(out, m->flags);
    add_amount(out, "cost", entry->amount);
    add_text(out, "leaf", leaf, sizeof leaf);
    buf_add_char(out, '}');
}

static int take_journal(void *ctx, const struct journal_row *row)
{
    struct records *r = ctx;
    struct journal_entry entry;
    size_t offset = 0;
    uint64_t number = row->first;
    int rc;
    for (; (rc = journal_next(row->events, row->events_len, &offset, &entry)) == 0; number++) {
        if (number < r->after || entry.event.kind != EVENT_KIND_meter || entry.code != 0 ||
            (r->scope.one_tenant && !uuid_eq(&entry.event.u.meter.tenant, &r->scope.tenant)))
            continue;
        if (r->n == r->limit) {
            r->next = number;
            r->more = true;
            return 1;
        }
        buf_add_text(r->out, r->n++ ? "," : "");
        add_record(r->out, number, &entry);
    }
    r->rc = rc == ERR_NOT_FOUND ? 0 : rc;
    return r->rc;
}

static int records_work(struct api_call *call)
{
    struct records *r = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    buf_add_text(&call->out, "{\"data\":[");
    int rc = store->ops->journal(store, r->after, take_journal, r, &call->err);
    if (rc == 0 && r->rc != 0)
        rc = err_set(&call->err, r->rc, "the journal is damaged");
    page_end_at(&call->out, r->more, r->next);
    return rc;
}

const struct api_handler api_usage = {.parse = parse, .prepare = prepare, .work = work, .finish = finish};
const struct api_handler api_usage_records = {
    .parse = records_parse, .prepare = prepare, .work = records_work};
