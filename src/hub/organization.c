/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage and costs in the shapes of OpenAI's administration API: /v1/organization/usage/completions, usage/embeddings (of models that
 * rank documents too: there is no shape for them) and /costs. Each model's usage is on one of the two.
 *
 * A page is a row of buckets of time, each with sums of what is grouped by. The organization is the tenant, a key is
 * `api_key_id`, its project `project_id`; an operator names another tenant with `tenant`. Sums are kept by the hour, so a bucket is an hour or a day; costs
 * are kept by the day. `page` of the answer is the start of the next bucket. `value` of a cost is a number, as clients expect it
 * there; what is exact is in /api/v1 and on invoices.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hub/bills.h"

#define HOUR_S 3600u
#define DAY_S 86400u

enum { BY_MODEL = 1, BY_KEY = 2, BY_PROJECT = 4, BY_ITEM = 8, BY_USER = 16, BY_BATCH = 32 };

static const struct {
    const char *name;
    uint32_t bit;
} groups[] = {{"model", BY_MODEL},    {"api_key_id", BY_KEY}, {"project_id", BY_PROJECT},
              {"line_item", BY_ITEM}, {"user_id", BY_USER},   {"batch", BY_BATCH}};

struct report {
    bool costs;
    bool embeddings; /* usage of models that complete nothing */
    uint64_t start_s, end_s, width_s;
    uint32_t buckets; /* of this page */
    bool more;
    uint32_t by;
    struct uuid tenant;
    struct row_usage *usage;
    uint32_t n, cap;
    struct bill_lines lines;
};

/* ---- what is asked ---- */

/* Every value of the parameter, given again, as name[]=, or with commas. */
static int read_groups(struct api_call *call, struct report *r, uint32_t allowed)
{
    for (const char *p = call->query; *p;) {
        size_t n = strcspn(p, "&"), name = strcspn(p, "=&");
        bool ours = (name == 8 && memcmp(p, "group_by", 8) == 0) ||
                    (name == 10 && memcmp(p, "group_by[]", 10) == 0) ||
                    (name == 14 && strncasecmp(p, "group_by%5B%5D", 14) == 0);
        for (const char *v = p + name + 1; ours && v < p + n;) {
            size_t len = strcspn(v, ",&");
            uint32_t bit = 0;
            for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
                bit |= text_eq(v, len, groups[i].name, strlen(groups[i].name)) ? groups[i].bit : 0;
            if (!(bit & allowed))
                return err_set(&call->err, ERR_INVALID, "group_by: %.*s is not one of those here",
                               (int)(len < 40 ? len : 40), v);
            r->by |= bit;
            v += len + 1;
        }
        p += n + (p[n] == '&');
    }
    return 0;
}

static int read_number(struct api_call *call, const char *name, uint64_t max, uint64_t *out)
{
    char text[32];
    if (call_query(call, name, text, sizeof text) && !u64_parse(text, strlen(text), max, out))
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number of at most %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int read_width(struct api_call *call, struct report *r)
{
    char text[8] = "1d";
    (void)call_query(call, "bucket_width", text, sizeof text);
    bool hour = strcmp(text, "1h") == 0 && !r->costs;
    if (!hour && strcmp(text, "1d") != 0)
        return err_set(&call->err, ERR_INVALID, "bucket_width: %s", r->costs ? "1d" : "1h or 1d");
    r->width_s = hour ? HOUR_S : DAY_S;
    return 0;
}

static int parse_report(struct api_call *call, bool costs, bool embeddings)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    r->costs = costs;
    r->embeddings = embeddings;
    uint64_t now_s = (uint64_t)(clock_wall_ms() / 1000), start = UINT64_MAX, page = 0;
    int rc = read_width(call, r);
    uint64_t most = costs ? 180 : r->width_s == HOUR_S ? 168 : 31;
    uint64_t limit = r->width_s == HOUR_S ? 24 : 7;
    r->end_s = now_s + 1;
    if (rc == 0)
        rc = read_number(call, "start_time", UINT32_MAX, &start);
    if (rc == 0 && start == UINT64_MAX)
        rc = err_set(&call->err, ERR_INVALID, "start_time: is missing");
    if (rc == 0)
        rc = read_number(call, "end_time", UINT32_MAX, &r->end_s);
    if (rc == 0)
        rc = read_number(call, "limit", most, &limit);
    if (rc == 0 && limit == 0)
        rc = err_set(&call->err, ERR_INVALID, "limit: must be at least 1");
    if (rc == 0)
        rc = read_number(call, "page", UINT32_MAX, &page);
    if (rc == 0)
        rc = read_groups(call, r,
                         costs ? BY_ITEM | BY_PROJECT
                               : BY_MODEL | BY_KEY | BY_PROJECT | BY_USER | (r->embeddings ? 0 : BY_BATCH));
    if (rc != 0)
        return rc;
    r->start_s = (page > start ? page : start) / r->width_s * r->width_s;
    uint64_t left = r->end_s > r->start_s ? (r->end_s - r->start_s + r->width_s - 1) / r->width_s : 0;
    r->buckets = (uint32_t)(left < limit ? left : limit);
    r->more = left > limit;
    return 0;
}

static int parse_usage(struct api_call *call)
{
    return parse_report(call, false, false);
}

static int parse_embeddings(struct api_call *call)
{
    return parse_report(call, false, true);
}

static int parse_costs(struct api_call *call)
{
    return parse_report(call, true, false);
}

static int prepare(struct api_call *call, const struct core *core)
{
    struct report *r = call->data;
    char name[CALL_PARAM_MAX];
    if (!call_query(call, "tenant", name, sizeof name)) {
        if (uuid_zero(&call->key.tenant))
            return err_set(&call->err, ERR_INVALID, "tenant: is missing, and no key says which");
        r->tenant = call->key.tenant;
        return 0;
    }
    const struct row_tenant *row = call_tenant(call, core, name);
    if (row)
        r->tenant = row->id;
    return row ? 0 : ERR_NOT_FOUND;
}

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct report *r = ctx;
    (void)kind;
    if (r->n == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 64;
        struct row_usage *more = r->n < BILL_LINES_MAX ? realloc(r->usage, cap * sizeof *more) : NULL;
        if (!more)
            return r->lines.rc = r->n < BILL_LINES_MAX ? ERR_NO_MEMORY : ERR_TOO_LARGE;
        r->usage = more;
        r->cap = cap;
    }
    r->usage[r->n++] = *(const struct row_usage *)row;
    return 0;
}

static bool same_group(const struct report *r, const struct row_usage *a, const struct row_usage *b)
{
    return (!(r->by & BY_MODEL) || uuid_eq(&a->model, &b->model)) &&
           (!(r->by & (BY_KEY | BY_PROJECT)) || uuid_eq(&a->key, &b->key));
}

/* By bucket, whose first hour `hour` is by now, then by key and model. */
static int by_bucket(const void *a, const void *b)
{
    const struct row_usage *x = a, *y = b;
    if (x->hour != y->hour)
        return x->hour < y->hour ? -1 : 1;
    int order = memcmp(&x->key, &y->key, sizeof x->key);
    return order ? order : memcmp(&x->model, &y->model, sizeof x->model);
}

static int by_bucket_and_model(const void *a, const void *b)
{
    const struct row_usage *x = a, *y = b;
    if (x->hour != y->hour)
        return x->hour < y->hour ? -1 : 1;
    int order = memcmp(&x->model, &y->model, sizeof x->model);
    return order ? order : memcmp(&x->key, &y->key, sizeof x->key);
}

static int work(struct api_call *call)
{
    struct report *r = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    uint64_t end_s = r->start_s + r->buckets * r->width_s;
    if (r->costs)
        return bill_lines_read(&r->lines, store, &r->tenant, r->start_s / DAY_S, end_s / DAY_S, &call->err);
    const struct row_query query = {.kind = ROW_KIND_usage,
                                    .owner_field = "tenant",
                                    .owner = &r->tenant,
                                    .range_field = "hour",
                                    .from = (int64_t)(r->start_s / HOUR_S),
                                    .to = (int64_t)(end_s / HOUR_S)};
    int rc = store->ops->rows(store, &query, 1, take, r, &call->err);
    rc = rc ? rc : r->lines.rc;
    if (rc != 0) {
        free(r->usage);
        return rc;
    }
    for (uint32_t i = 0; i < r->n; i++) /* days begin with 1970 too */
        r->usage[i].hour -= r->usage[i].hour % (r->width_s / HOUR_S);
    if (r->n > 0)
        qsort(r->usage, r->n, sizeof *r->usage, r->by & BY_KEY ? by_bucket : by_bucket_and_model);
    return 0;
}

/* ---- the answer ---- */

static void add_or_null(struct buf *out, const char *name, const char *text)
{
    if (text)
        add_text(out, name, text, strlen(text) + 1);
    else
        buf_addf(out, ",\"%s\":null", name);
}

static bool is_completion(const struct core *core, const struct row_usage *row)
{
    const struct row_model *model = view_model(core, &row->model);
    /* An hour in which only energy was told has none. */
    return (row->requests > 0 || row->prompt > 0 || row->completion > 0) &&
           (!model || model->kind == MODEL_CHAT);
}

/* Where keys are not told apart, but their projects are: what stands for the key is its project from now on. */
static void fold_keys(struct report *r, const struct core *core)
{
    if (!(r->by & BY_PROJECT) || (r->by & BY_KEY))
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct row_key *key = view_key(core, &r->usage[i].key);
        r->usage[i].key = key ? key->project : (struct uuid){{0}};
    }
    if (r->n > 0)
        qsort(r->usage, r->n, sizeof *r->usage, by_bucket);
}

static void add_project(struct buf *out, const struct core *core, const struct report *r,
                        const struct row_usage *sum)
{
    const struct row_key *key = r->by & BY_KEY ? view_key(core, &sum->key) : NULL;
    const struct uuid *project = r->by & BY_KEY ? key ? &key->project : NULL : &sum->key;
    if ((r->by & BY_PROJECT) && project && !uuid_zero(project))
        add_id(out, "project_id", project);
    else
        buf_add_text(out, ",\"project_id\":null");
}

static void add_result(struct buf *out, const struct core *core, const struct report *r,
                       const struct row_usage *sum)
{
    const struct row_model *model = view_model(core, &sum->model);
    const struct row_key *key = view_key(core, &sum->key);
    buf_addf(out, "{\"object\":\"organization.usage.%s.result\",\"input_tokens\":%llu,",
             r->embeddings ? "embeddings" : "completions", (unsigned long long)sum->prompt);
    if (!r->embeddings)
        buf_addf(out,
                 "\"output_tokens\":%llu,\"input_cached_tokens\":%llu,\"input_audio_tokens\":0,"
                 "\"output_audio_tokens\":0,\"batch\":null,",
                 (unsigned long long)sum->completion, (unsigned long long)sum->cached);
    buf_addf(out, "\"num_model_requests\":%llu,\"user_id\":null", (unsigned long long)sum->requests);
    add_project(out, core, r, sum);
    add_or_null(out, "api_key_id", r->by & BY_KEY ? key ? key->public_id : "(removed)" : NULL);
    add_or_null(out, "model", r->by & BY_MODEL ? model ? model->name : "(removed)" : NULL);
    buf_add_char(out, '}');
}

/* Rows of a bucket and of a group in it lie together, from *at on; it is where the next bucket begins, then. */
static void add_usage_bucket(struct buf *out, const struct core *core, const struct report *r, uint64_t at_s,
                             uint32_t *at)
{
    const char *sep = "";
    while (*at < r->n && r->usage[*at].hour * HOUR_S < at_s + r->width_s) {
        const struct row_usage *first = &r->usage[*at];
        struct row_usage sum = {.model = first->model, .key = first->key};
        bool any = false;
        for (; *at < r->n && r->usage[*at].hour == first->hour && same_group(r, &r->usage[*at], first);
             (*at)++) {
            const struct row_usage *row = &r->usage[*at];
            if (is_completion(core, row) == r->embeddings)
                continue;
            any = true;
            sum.prompt += row->prompt;
            sum.completion += row->completion;
            sum.cached += row->cached;
            sum.requests += row->requests;
        }
        if (!any)
            continue;
        buf_add_text(out, sep);
        add_result(out, core, r, &sum);
        sep = ",";
    }
}

/* Lines come from the store by day, and those of a day by what they are for. */
static void add_cost_bucket(struct buf *out, const struct core *core, const struct report *r, uint64_t at_s,
                            uint32_t *at)
{
    const struct row_tenant *tenant = view_tenant(core, &r->tenant);
    const char *currency = tenant ? currency_code(tenant->ledger) : NULL;
    const char *sep = "";
    char value[AMOUNT_TEXT_MAX], code[4] = "";
    for (int c = 0; currency && c < 3; c++)
        code[c] = (char)(currency[c] | 0x20);
    while (*at < r->lines.n && r->lines.row[*at].day == at_s / DAY_S) {
        const struct row_bill *first = &r->lines.row[*at], *row = first;
        int64_t cost = 0;
        for (; *at < r->lines.n && row->day == first->day &&
               (!(r->by & BY_ITEM) || uuid_eq(&row->item, &first->item));
             row++, (*at)++)
            cost += row->cost;
        struct bill_words w;
        bill_words(&w, core, first);
        amount_format(value, cost);
        buf_addf(out,
                 "%s{\"object\":\"organization.costs.result\",\"amount\":{\"value\":%s,\"currency\":\"%s\"}",
                 sep, value, code);
        add_or_null(out, "line_item", r->by & BY_ITEM ? w.item : NULL);
        buf_add_text(out, ",\"project_id\":null}");
        sep = ",";
    }
}

static int finish(struct api_call *call, const struct core *core)
{
    struct report *r = call->data;
    struct buf *out = &call->out;
    uint64_t at_s = r->start_s;
    uint32_t at = 0;
    fold_keys(r, core);
    buf_add_text(out, "{\"object\":\"page\",\"data\":[");
    for (uint32_t i = 0; i < r->buckets; i++, at_s += r->width_s) {
        uint64_t until_s = at_s + r->width_s < r->end_s ? at_s + r->width_s : r->end_s;
        buf_addf(out, "%s{\"object\":\"bucket\",\"start_time\":%llu,\"end_time\":%llu,\"results\":[",
                 i ? "," : "", (unsigned long long)at_s, (unsigned long long)until_s);
        if (r->costs)
            add_cost_bucket(out, core, r, at_s, &at);
        else
            add_usage_bucket(out, core, r, at_s, &at);
        buf_add_text(out, "]}");
    }
    if (r->more)
        buf_addf(out, "],\"has_more\":true,\"next_page\":\"%llu\"}", (unsigned long long)at_s);
    else
        buf_add_text(out, "],\"has_more\":false,\"next_page\":null}");
    free(r->usage);
    r->usage = NULL;
    bill_lines_free(&r->lines);
    return out->failed ? ERR_TOO_LARGE : 0;
}

const struct api_handler api_organization_usage = {
    .parse = parse_usage, .prepare = prepare, .work = work, .finish = finish};
const struct api_handler api_organization_embeddings = {
    .parse = parse_embeddings, .prepare = prepare, .work = work, .finish = finish};
const struct api_handler api_organization_costs = {
    .parse = parse_costs, .prepare = prepare, .work = work, .finish = finish};
