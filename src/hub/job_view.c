/* SPDX-License-Identifier: Apache-2.0 */
/* Seeing jobs: lists, one of them, what it printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/why.h"
#include "engine/workdir.h"
#include "hub/job_terms.h"
#include "hub/jobs.h"

#define LOG_MAX ((size_t)4 << 20) /* of one answer */
#define LOG_WAIT_S_MAX 30
#define LOG_LOOK_MS 100 /* between looks while a client waits */

/* ---- rendering ---- */

static void add_end(struct buf *out, const struct row_job *row)
{
    const uint32_t detail = row->code & ((1u << JOB_CODE_BITS) - 1);
    char text[TEXT_CAP];
    if (row->state != JOB_ENDED)
        return;
/* The table's sentences are the formats. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof text, job_ending_sentence(row->code), detail);
#pragma GCC diagnostic pop
    add_text(out, "end", job_ending_text(row->code), KIND_TEXT_CAP);
    add_text(out, "text", text, sizeof text);
    if (row->code >> JOB_CODE_BITS == ENDING_EXITED)
        buf_addf(out, ",\"code\":%u", detail);
    if (row->code >> JOB_CODE_BITS == ENDING_SIGNALLED)
        buf_addf(out, ",\"signal\":%u", detail);
}

static void add_place(struct buf *out, const struct core *core, const struct row_job *row)
{
    const struct row_pool *pool = row->epoch > 0 ? view_pool(core, &row->pool) : NULL;
    const struct row_site *site = pool ? view_site(core, &pool->site) : NULL;
    if (!site)
        return;
    add_text(out, "site", site->name, NAME_CAP);
    add_text(out, "chip", pool->chip, CHIP_CAP);
    add_id(out, "pool", &pool->id);
}

/* Without the closing brace. */
static void add_row(struct buf *out, const struct core *core, const struct row_job *row, const char *name)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", name, NAME_CAP);
    add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
    add_text(out, "state", job_state_text(row->state), KIND_TEXT_CAP);
    add_end(out, row);
    buf_addf(out, ",\"chips\":%u,\"priority\":%d,\"interruptible\":%s,\"epoch\":%u", row->count0,
             (int)row->priority, row->flags & JOB_INTERRUPTIBLE ? "true" : "false", row->epoch);
    add_place(out, core, row);
    add_time(out, "submitted", row->submitted_ms);
    add_time(out, "started", row->started_ms);
    add_time(out, "ended", row->ended_ms);
}

/* ---- a list ---- */

struct page {
    uint32_t limit, n;
    struct uuid tenant, before;
    bool one_tenant, begun;
    struct {
        struct row_job row;
        char name[NAME_CAP];
    } job[];
};

static int list_parse(struct api_call *call)
{
    char cursor[CALL_PARAM_MAX];
    uint32_t limit;
    struct uuid before = {{0}};
    int rc = call_page(call, &limit, cursor);
    if (rc == 0 && cursor[0] && !uuid_parse(&before, cursor, strlen(cursor)))
        rc = err_set(&call->err, ERR_INVALID, "cursor: is not one of ours");
    if (rc != 0)
        return rc;
    struct page *page = calloc(1, sizeof *page + (limit + 1) * sizeof page->job[0]);
    if (!page)
        return ERR_NO_MEMORY;
    page->limit = limit;
    page->before = before;
    page->begun = cursor[0] != 0;
    call->data = page;
    return 0;
}

static int list_prepare(struct api_call *call, const struct core *core)
{
    struct page *page = call->data;
    char name[CALL_PARAM_MAX];
    page->one_tenant = !call->operator_;
    page->tenant = call->key.tenant;
    if (!call_query(call, "tenant", name, sizeof name))
        return 0;
    const struct row_tenant *row = call_tenant(call, core, name);
    if (!row)
        return ERR_NOT_FOUND;
    page->one_tenant = true;
    page->tenant = row->id;
    return 0;
}

static void take_row(void *ctx, const struct row_job *row)
{
    struct page *page = ctx;
    page->job[page->n++].row = *row;
}

static int list_work(struct api_call *call)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct page *page = call->data;
    const struct job_query query = {.tenant = page->one_tenant ? &page->tenant : NULL,
                                    .before = page->begun ? &page->before : NULL,
                                    .limit = page->limit + 1};
    int rc = store->ops->jobs(store, &query, take_row, page, &call->err);
    for (uint32_t i = 0; i < page->n && rc == 0; i++) {
        struct job_spec spec;
        if (job_spec_of(call->hub, &page->job[i].row.id, &spec) == 0 && spec.name)
            (void)text_set(page->job[i].name, NAME_CAP, spec.name, strlen(spec.name));
        job_spec_free(&spec);
    }
    return rc;
}

static int list_finish(struct api_call *call, const struct core *core)
{
    const struct page *page = call->data;
    char cursor[UUID_TEXT_LEN + 1];
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t i = 0; i < page->n && i < page->limit; i++) {
        buf_add_text(&call->out, i ? "," : "");
        add_row(&call->out, core, &page->job[i].row, page->job[i].name);
        buf_add_char(&call->out, '}');
    }
    if (page->n > page->limit) {
        uuid_format(cursor, &page->job[page->limit - 1].row.id);
        buf_addf(&call->out, "],\"next\":\"%s\"}", cursor);
    } else {
        buf_add_text(&call->out, "],\"next\":null}");
    }
    return 0;
}

/* ---- one ---- */

struct one {
    struct row_job row;
    char name[NAME_CAP];
    size_t more; /* call->out holds so much of what files tell */
};

static void add_texts(struct buf *out, const char *name, char *const *texts, uint32_t n)
{
    buf_addf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, texts[i], strlen(texts[i]));
    }
    buf_add_char(out, ']');
}

/* Its environment may hold secrets, and is not shown. */
static void add_spec(struct api_call *call, struct one *one)
{
    struct job_spec spec;
    if (job_spec_of(call->hub, &one->row.id, &spec) == 0) {
        if (spec.name)
            (void)text_set(one->name, NAME_CAP, spec.name, strlen(spec.name));
        add_texts(&call->out, "argv", spec.argv, spec.argv_count);
        if (spec.time_limit_ms > 0)
            buf_addf(&call->out, ",\"time_limit_s\":%llu", (unsigned long long)(spec.time_limit_ms / 1000));
    }
    job_spec_free(&spec);
}

/* What its shim wrote at the end, while the site keeps it. */
static void add_record(struct api_call *call, const struct row_job *row)
{
    const struct job_id id = {row->id, row->epoch};
    struct job_exit exit = {0};
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    if (!call->hub->work_dir || row->epoch == 0)
        return;
    workdir_path(dir, call->hub->work_dir, &id);
    workdir_file(path, dir, "exit");
    if (form_load(&job_exit_table, path, &exit, NULL) == 0)
        buf_addf(&call->out, ",\"usage\":{\"ms\":%llu,\"cpu_ms\":%llu,\"memory_peak_kib\":%llu}",
                 (unsigned long long)exit.usage.ms, (unsigned long long)exit.usage.cpu_ms,
                 (unsigned long long)exit.usage.memory_peak_kib);
    form_free(&job_exit_table, &exit);
}

static int show_work(struct api_call *call)
{
    struct one *one = calloc(1, sizeof *one);
    if (!one)
        return ERR_NO_MEMORY;
    call->data = one;
    int rc = job_find(call, &call->id, &one->row);
    if (rc != 0)
        return rc;
    add_spec(call, one);
    add_record(call, &one->row);
    return 0;
}

static void add_why(struct buf *out, const struct core *core, const struct row_job *row)
{
    struct why why;
    if (row->state != JOB_QUEUED || why_job(core, &row->id, &why) != 0 || why.state != JOB_QUEUED)
        return;
    buf_add_text(out, ",\"why\":{");
    add_text(out, "bar", why_bar_word(why.bar), KIND_TEXT_CAP);
    add_text(out, "text", why_bar_text(why.bar), TEXT_CAP);
    buf_addf(out, ",\"alone\":%s", why.alone ? "true" : "false");
    if (!uuid_zero(&why.job))
        add_id(out, "job", &why.job);
    buf_add_char(out, '}');
}

static int show_finish(struct api_call *call, const struct core *core)
{
    const struct one *one = call->data;
    const struct row_job *now = view_job(core, &one->row.id);
    struct buf files = call->out; /* what show_work found; the answer begins anew */
    buf_init(&call->out, files.max);
    /* It may have started since the store was read. One that core has forgotten since is over a moment later here. */
    add_row(&call->out, core, now ? now : &one->row, one->name);
    job_terms_render(&call->out, core, &one->row);
    if (files.len > 0)
        buf_add(&call->out, files.data, files.len);
    buf_fini(&files);
    add_why(&call->out, core, now ? now : &one->row);
    buf_add_char(&call->out, '}');
    return 0;
}

/* ---- what it printed ---- */

struct reading {
    bool errors;
    uint64_t offset, epoch, wait_ms;
    uint64_t began_ns;
};

static int query_count(struct api_call *call, const char *name, uint64_t max, uint64_t *out)
{
    char text[32];
    if (call_query(call, name, text, sizeof text) && !u64_parse(text, strlen(text), max, out))
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number of at most %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int logs_parse(struct api_call *call)
{
    char stream[16] = "out";
    uint64_t wait = 0;
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    int rc = job_param(call);
    if (rc == 0)
        rc = query_count(call, "offset", INT64_MAX, &r->offset);
    if (rc == 0)
        rc = query_count(call, "epoch", UINT32_MAX, &r->epoch);
    if (rc == 0)
        rc = query_count(call, "wait", LOG_WAIT_S_MAX, &wait);
    (void)call_query(call, "stream", stream, sizeof stream);
    r->errors = strcmp(stream, "err") == 0;
    if (rc == 0 && !r->errors && strcmp(stream, "out") != 0)
        rc = err_set(&call->err, ERR_INVALID, "stream: out or err");
    r->wait_ms = wait * 1000;
    r->began_ns = clock_mono_ns();
    return rc;
}

static int logs_work(struct api_call *call)
{
    struct reading *r = call->data;
    struct row_job row;
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    /* The row before the log: where that says that the epoch is over, nothing more is written. */
    int rc = job_find(call, &call->id, &row);
    if (rc != 0)
        return rc;
    const struct job_id id = {row.id, r->epoch ? (uint32_t)r->epoch : row.epoch};
    if (id.epoch > 0 && call->hub->work_dir) {
        workdir_path(dir, call->hub->work_dir, &id);
        workdir_file(path, dir, r->errors ? "err" : "out");
        rc = workdir_read_at(path, r->offset, LOG_MAX, &call->out, &call->err);
    }
    bool more = row.state == JOB_RUNNING && row.epoch == id.epoch;
    if (row.state == JOB_QUEUED && r->epoch == 0)
        more = true;
    if (rc == 0 && call->out.len == 0 && more &&
        clock_mono_ns() - r->began_ns < r->wait_ms * UINT64_C(1000000))
        call->again_ms = LOG_LOOK_MS;
    return rc;
}

const struct api_handler api_job_list = {
    .parse = list_parse, .prepare = list_prepare, .work = list_work, .finish = list_finish};
const struct api_handler api_job_show = {.parse = job_param, .work = show_work, .finish = show_finish};
const struct api_handler api_job_logs = {
    .parse = logs_parse, .work = logs_work, .type = "application/octet-stream"};
