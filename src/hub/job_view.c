/* SPDX-License-Identifier: Apache-2.0 */
/* Seeing jobs: lists, one of them, an array. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/why.h"
#include "hub/job_bill.h"
#include "hub/job_data.h"
#include "hub/job_eta.h"
#include "hub/job_terms.h"
#include "hub/jobs.h"

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
    if (row->state == JOB_RUNNING && site->away)
        buf_add_text(out, ",\"out_of_touch\":true");
}

/* What a job's file tells of it in any list. */
struct label {
    char name[NAME_CAP];
    bool task;
    uint32_t index;
};

static void label_from(struct label *label, const struct job_spec *spec)
{
    if (spec->name)
        (void)text_set(label->name, NAME_CAP, spec->name, strlen(spec->name));
    uint32_t k;
    (void)job_file_array(&spec->job, &k);
    label->task = spec->array.total > 0 && k > 0;
    if (label->task)
        label->index = job_file_index(spec);
}

/* From that of another task of the same array, without looking into a file. */
static bool label_next(struct label *label, const struct uuid *job, const struct label *other,
                       const struct uuid *other_job)
{
    uint32_t k, other_k;
    const struct uuid a = job_file_array(job, &k), b = job_file_array(other_job, &other_k);
    if (!other->task || !uuid_eq(&a, &b))
        return false;
    *label = *other;
    label->index += k - other_k;
    return true;
}

/* Without the closing brace. */
static void add_row(struct buf *out, const struct core *core, const struct row_job *row,
                    const struct label *label)
{
    uint32_t k;
    const struct uuid array = job_file_array(&row->id, &k);
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    /* Those that it has or had; until then the first that it asks for. */
    const uint32_t chips[] = {row->count0, row->count1, row->count2, row->count3};
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "name", label->name, NAME_CAP);
    if (label->task) {
        add_id(out, "array", &array);
        buf_addf(out, ",\"index\":%u", label->index);
    }
    add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
    add_text(out, "state", job_state_text(row->state), KIND_TEXT_CAP);
    add_end(out, row);
    buf_addf(out, ",\"chips\":%u,\"priority\":%d,\"interruptible\":%s,\"epoch\":%u",
             chips[row->epoch > 0 ? row->alternative : 0], (int)row->priority,
             row->flags & JOB_INTERRUPTIBLE ? "true" : "false", row->epoch);
    add_place(out, core, row);
    add_time(out, "submitted", row->submitted_ms);
    add_time(out, "started", row->started_ms);
    add_time(out, "ended", row->ended_ms);
}

/* ---- a list ---- */

struct page {
    uint32_t limit, n;
    struct uuid tenant, before, array;
    bool one_tenant, begun, one_array;
    uint32_t states;
    struct {
        struct row_job row;
        struct label label;
    } job[];
};

/* "queued,running"; 0: it was not given. */
static int read_states(struct api_call *call, uint32_t *states)
{
    static const struct {
        const char *word;
        uint32_t state;
    } words[] = {
#define J(name, number, text) {text, number},
        JOB_STATES(J)
#undef J
    };
    char text[CALL_PARAM_MAX];
    *states = 0;
    if (!call_query(call, "state", text, sizeof text))
        return 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ","), i = 0;
        while (i < sizeof words / sizeof words[0] && !text_eq(p, len, words[i].word, strlen(words[i].word)))
            i++;
        if (i == sizeof words / sizeof words[0])
            return err_set(&call->err, ERR_INVALID,
                           "state: some of queued, running, ended, cancelled, unmet, with commas");
        *states |= 1u << words[i].state;
        p += len;
        if (*p == 0)
            return 0;
    }
}

static int list_parse(struct api_call *call)
{
    char array[CALL_PARAM_MAX] = "";
    bool begun;
    uint32_t limit, states = 0;
    struct uuid before, of = {{0}};
    int rc = call_page_after(call, &limit, &before, &begun);
    if (rc == 0)
        rc = read_states(call, &states);
    if (rc == 0 && call_query(call, "array", array, sizeof array) && !uuid_parse(&of, array, strlen(array)))
        rc = err_set(&call->err, ERR_INVALID, "array: is not the id of one");
    if (rc != 0)
        return rc;
    struct page *page = calloc(1, sizeof *page + (limit + 1) * sizeof page->job[0]);
    if (!page)
        return ERR_NO_MEMORY;
    page->limit = limit;
    page->before = before;
    page->begun = begun;
    page->array = of;
    page->one_array = array[0] != 0;
    page->states = states;
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
                                    .array = page->one_array ? &page->array : NULL,
                                    .states = page->states,
                                    .limit = page->limit + 1};
    int rc = store->ops->jobs(store, &query, take_row, page, &call->err);
    for (uint32_t i = 0; i < page->n && rc == 0; i++) {
        struct job_spec spec = {0};
        if (i > 0 && label_next(&page->job[i].label, &page->job[i].row.id, &page->job[i - 1].label,
                                &page->job[i - 1].row.id))
            continue;
        if (job_file_load(&spec, call->hub->specs_dir, &page->job[i].row.id, NULL) == 0)
            label_from(&page->job[i].label, &spec);
        job_spec_free(&spec);
    }
    return rc;
}

static int list_finish(struct api_call *call, const struct core *core)
{
    const struct page *page = call->data;
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t i = 0; i < page->n && i < page->limit; i++) {
        buf_add_text(&call->out, i ? "," : "");
        add_row(&call->out, core, &page->job[i].row, &page->job[i].label);
        buf_add_char(&call->out, '}');
    }
    page_end_after(&call->out, page->n > page->limit ? &page->job[page->limit - 1].row.id : NULL);
    return 0;
}

/* ---- one ---- */

struct one {
    struct job_ref ref; /* of an array: the row of its first task is there as well */
    struct label label;
    uint32_t count[JOB_UNMET + 1]; /* tasks by enum job_state */
    struct uuid waits;             /* the first task that does */
    struct job_eta eta;
    struct job_told told[JOB_EPOCHS_SHOWN];
    uint32_t nepochs, epochs_max;
    bool no_memory;
    struct row_job_usage epoch[]; /* as metered; of a job, not of an array */
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
    if (job_file_load(&spec, call->hub->specs_dir, &one->ref.id, NULL) == 0) {
        label_from(&one->label, &spec);
        add_texts(&call->out, "argv", spec.argv, spec.argv_count);
        if (spec.script)
            buf_addf(&call->out, ",\"script_bytes\":%zu", strlen(spec.script));
        if (spec.time_limit_ms > 0)
            buf_addf(&call->out, ",\"time_limit_s\":%llu", (unsigned long long)(spec.time_limit_ms / 1000));
        job_data_add_spec(&call->out, &spec);
    }
    job_spec_free(&spec);
}

/* By its time limit, or where it has none by what is thought of its like. */
static void add_expected(struct buf *out, const struct row_job *row)
{
    const uint32_t rates[] = {row->rate0, row->rate1, row->rate2, row->rate3};
    const int64_t ms = row->duration_ms ? row->duration_ms : row->estimate_ms, rate = rates[row->alternative];
    if (row->state == JOB_RUNNING && ms > row->done_ms && rate > 0)
        add_time(out, "expected_end", row->started_ms + row->transit_ms + (ms - row->done_ms) * 1000 / rate);
}

/* The newest comes first, so the last one is the first task. */
static void take_task(void *ctx, const struct row_job *row)
{
    struct one *one = ctx;
    if (row->state <= JOB_UNMET)
        one->count[row->state]++;
    if (row->state == JOB_QUEUED)
        one->waits = row->id;
    one->ref.job = *row;
}

/* Has the call's data grow with each epoch. */
static void take_epoch(void *ctx, const struct row_job_usage *row)
{
    struct api_call *call = ctx;
    struct one *one = call->data;
    if (one->nepochs == one->epochs_max && !one->no_memory) {
        const uint32_t max = one->epochs_max ? 2 * one->epochs_max : 4;
        struct one *more = realloc(one, sizeof *one + max * sizeof one->epoch[0]);
        one = more ? more : one;
        one->no_memory = !more;
        one->epochs_max = more ? max : one->epochs_max;
        call->data = one;
    }
    if (!one->no_memory)
        one->epoch[one->nepochs++] = *row;
}

/* Read after the job's row: of a job that is over there, no later figures are missed. */
static int find_epochs(struct api_call *call)
{
    struct store *store = runtime_store(call->hub->runtime);
    const struct uuid id = ((const struct one *)call->data)->ref.id;
    int rc = store->ops->job_usage(store, &id, take_epoch, call, &call->err);
    return rc == 0 && ((const struct one *)call->data)->no_memory ? ERR_NO_MEMORY : rc;
}

/* Begins anew where it was waited for the eta, of which the rest knows nothing. */
static struct one *show_begin(struct api_call *call)
{
    struct one *before = call->data, *one = calloc(1, sizeof *one);
    if (one && before)
        one->eta = before->eta;
    free(before);
    buf_clear(&call->out);
    call->data = one;
    return one;
}

/* Of a job, or of an array's first task that waits. */
static int show_eta(struct api_call *call)
{
    struct one *one = call->data;
    const bool waits = one->ref.is_array ? !uuid_zero(&one->waits) : one->ref.job.state == JOB_QUEUED;
    if (waits)
        (void)job_eta_wait(call, &one->eta, one->ref.is_array ? &one->waits : &one->ref.id, NULL);
    return 0;
}

static int show_work(struct api_call *call)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct one *one = show_begin(call);
    if (!one)
        return ERR_NO_MEMORY;
    int rc = job_find(call, call->param, &one->ref);
    if (rc != 0)
        return rc;
    add_spec(call, one);
    if (!one->ref.is_array) {
        job_told_read(one->told, call->hub->work_dir, &one->ref.job);
        job_data_add_kept(&call->out, call->hub->work_dir, &one->ref.job);
        rc = find_epochs(call);
    } else {
        const struct job_query query = {.array = &one->ref.id, .limit = ARRAY_TASKS_MAX};
        rc = store->ops->jobs(store, &query, take_task, one, &call->err);
    }
    return rc == 0 ? show_eta(call) : rc;
}

/* And when it will start, unless it has meanwhile. */
static void add_why(struct buf *out, const struct core *core, const struct uuid *job,
                    const struct job_eta *eta)
{
    struct why why;
    if (why_job(core, job, &why) != 0 || why.state != JOB_QUEUED)
        return;
    job_eta_render(out, eta);
    buf_add_text(out, ",\"why\":{");
    add_text(out, "bar", why_bar_word(why.bar), KIND_TEXT_CAP);
    add_text(out, "text", why_bar_text(why.bar), TEXT_CAP);
    buf_addf(out, ",\"alone\":%s", why.alone ? "true" : "false");
    if (!uuid_zero(&why.job))
        add_id(out, "job", &why.job);
    if (why.bar == WHY_RULE && why.denies) {
        buf_add_text(out, ",\"rule\":{\"id\":");
        buf_add_json(out, why.denies->id, strlen(why.denies->id));
        add_text(out, "because", why.denies->because, sizeof why.denies->because);
        add_text(out, "cite", why.denies->cite, sizeof why.denies->cite);
        buf_addf(out, ",\"pools\":%u}", why.denied);
    } else if (why.bar == WHY_RULE) {
        buf_add_text(out, ",\"rule\":null");
    }
    buf_add_char(out, '}');
}

/* An array is queued until one of its tasks runs; what became of them is told by state. */
static void add_array(struct buf *out, const struct core *core, const struct one *one)
{
    const struct row_job_array *array = &one->ref.array;
    const struct row_job *task = &one->ref.job;
    const struct row_tenant *tenant = view_tenant(core, &array->tenant);
    const bool begun = array->state == JOB_QUEUED && one->count[JOB_QUEUED] < array->total;
    const char *sep = "";
    buf_add_char(out, '{');
    add_id(out, "id", &array->id);
    add_text(out, "name", one->label.name, NAME_CAP);
    add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
    add_text(out, "state", job_state_text(begun ? JOB_RUNNING : array->state), KIND_TEXT_CAP);
    buf_addf(out, ",\"array\":{\"first\":%u,\"last\":%u,\"at_once\":%u,\"failed\":%u,\"tasks\":{",
             array->first, array->first + array->total - 1, array->at_once, array->failed);
    for (uint32_t state = JOB_QUEUED; state <= JOB_UNMET; state++) {
        if (one->count[state] == 0)
            continue;
        buf_addf(out, "%s\"%s\":%u", sep, job_state_text(state), one->count[state]);
        sep = ",";
    }
    buf_addf(out, "}},\"chips\":%u,\"priority\":%d,\"interruptible\":%s", task->count0, (int)task->priority,
             task->flags & JOB_INTERRUPTIBLE ? "true" : "false");
    add_time(out, "submitted", task->submitted_ms);
    add_time(out, "ended", array->ended_ms);
}

static int show_finish(struct api_call *call, const struct core *core)
{
    const struct one *one = call->data;
    const struct row_job *now = one->ref.is_array ? NULL : view_job(core, &one->ref.id);
    /* It may have started since the store was read. One that core has forgotten since is over a moment later here. */
    const struct row_job *row = now ? now : &one->ref.job;
    struct buf files = call->out; /* what show_work found; the answer begins anew */
    buf_init(&call->out, files.max);
    if (one->ref.is_array)
        add_array(&call->out, core, one);
    else
        add_row(&call->out, core, row, &one->label);
    job_terms_render(&call->out, core, row);
    if (!one->ref.is_array)
        add_expected(&call->out, row);
    if (files.len > 0)
        buf_add(&call->out, files.data, files.len);
    buf_fini(&files);
    if (!one->ref.is_array)
        job_bill_render(&call->out, core, row, one->told, one->epoch, one->nepochs);
    add_why(&call->out, core, one->ref.is_array ? &one->waits : &one->ref.id, &one->eta);
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_job_list = {
    .parse = list_parse, .prepare = list_prepare, .work = list_work, .finish = list_finish};
const struct api_handler api_job_show = {.work = show_work, .finish = show_finish};
