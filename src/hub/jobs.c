/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting and cancelling jobs. */
#include "hub/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/osrandom.h"

#define JOB_CHIPS_MAX 65536
#define JOB_TIME_S_MAX (UINT64_C(400) * 86400)
#define TRIES_MAX 5

struct submission {
    char tenant[NAME_CAP];
    struct {
        struct uuid id;
        uint32_t kind;
    } after[JOB_AFTERS_MAX];
    uint32_t nafter, tries;
    char path[FS_PATH_MAX];
};

/* ---- finding ---- */

bool job_over(const struct row_job *row)
{
    return row->state != JOB_QUEUED && row->state != JOB_RUNNING;
}

int job_param(struct api_call *call)
{
    if (uuid_parse(&call->id, call->param, strlen(call->param)))
        return 0;
    return err_set(&call->err, ERR_NOT_FOUND, "There is no job `%.64s`.", call->param);
}

struct found {
    struct row_job *row;
    bool any;
};

static void take_row(void *ctx, const struct row_job *row)
{
    struct found *found = ctx;
    *found->row = *row;
    found->any = true;
}

int job_find(struct api_call *call, const struct uuid *id, struct row_job *out)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct found found = {.row = out};
    const struct job_query query = {.id = id, .limit = 1};
    char text[UUID_TEXT_LEN + 1];
    int rc = store->ops->jobs(store, &query, take_row, &found, &call->err);
    if (rc != 0 || (found.any && call_may(call, &out->tenant) == 0))
        return rc;
    uuid_format(text, id);
    return err_set(&call->err, ERR_NOT_FOUND, "There is no job `%s`.", text);
}

int job_spec_of(const struct hub *hub, const struct uuid *id, struct job_spec *spec)
{
    char path[FS_PATH_MAX];
    *spec = (struct job_spec){0};
    if (!hub->specs_dir || !site_job_path(path, hub->specs_dir, id))
        return ERR_NOT_FOUND;
    return job_spec_load(spec, path, NULL);
}

/* ---- submitting ---- */

static yyjson_val *member(const struct api_call *call, const char *name)
{
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(call->doc), name);
    return yyjson_is_null(v) ? NULL : v;
}

static int body_flag(struct api_call *call, const char *name, bool *out)
{
    yyjson_val *v = member(call, name);
    if (v && !yyjson_is_bool(v))
        return err_set(&call->err, ERR_INVALID, "%s: must be true or false", name);
    *out = v && yyjson_get_bool(v);
    return 0;
}

static int body_priority(struct api_call *call, uint32_t *out)
{
    yyjson_val *v = member(call, "priority");
    int64_t n = v && yyjson_is_int(v) && !(yyjson_is_uint(v) && yyjson_get_uint(v) > INT32_MAX)
                    ? yyjson_get_sint(v)
                    : INT64_MAX;
    if (v && (n < -JOB_PRIORITY_MAX || n > JOB_PRIORITY_MAX))
        return err_set(&call->err, ERR_INVALID, "priority: must be a whole number from -%d to %d",
                       JOB_PRIORITY_MAX, JOB_PRIORITY_MAX);
    *out = v ? (uint32_t)n : 0;
    return 0;
}

/* "ID" or "afterany:ID" */
static bool read_after(const char *text, struct uuid *id, uint32_t *kind)
{
    const char *colon = strchr(text, ':');
    const char *name = colon ? colon + 1 : text;
    bool known = !colon;
    *kind = AFTER_OK;
#define A(n, number, word) \
    if (colon && text_eq(text, (size_t)(colon - text), word, sizeof(word) - 1)) { \
        *kind = (number); \
        known = true; \
    }
    JOB_AFTER_KINDS(A)
#undef A
    return known && uuid_parse(id, name, strlen(name));
}

static int body_after(struct api_call *call, struct submission *s)
{
    yyjson_val *v = member(call, "after"), *item;
    if (!v)
        return 0;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > JOB_AFTERS_MAX)
        return err_set(&call->err, ERR_INVALID, "after: must be a list of at most %d jobs", JOB_AFTERS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *text = yyjson_is_str(item) ? yyjson_get_str(item) : "";
        if (!read_after(text, &s->after[s->nafter].id, &s->after[s->nafter].kind))
            return err_set(&call->err, ERR_INVALID,
                           "after: `%.60s` is not [afterok:|afterany:|afternotok:]JOB", text);
        s->nafter++;
    }
    return 0;
}

static int read_terms(struct api_call *call, struct event_job_submit *e)
{
    uint64_t chips = 1, seconds = 0;
    bool interruptible = false;
    int rc = body_count(call, "chips", JOB_CHIPS_MAX, &chips);
    if (rc == 0 && chips == 0)
        rc = err_set(&call->err, ERR_INVALID, "chips: must be at least 1");
    if (rc == 0)
        rc = body_text(call, "chip", false, e->chip0, CHIP_CAP);
    if (rc == 0)
        rc = body_count(call, "time_limit_s", JOB_TIME_S_MAX, &seconds);
    if (rc == 0 && member(call, "time_limit_s") && seconds == 0)
        rc = err_set(&call->err, ERR_INVALID, "time_limit_s: must be at least 1");
    if (rc == 0)
        rc = body_priority(call, &e->priority);
    if (rc == 0)
        rc = body_flag(call, "interruptible", &interruptible);
    e->count0 = (uint32_t)chips;
    e->rate0 = 1000;
    e->duration_ms = (int64_t)seconds * 1000;
    e->flags = interruptible ? JOB_INTERRUPTIBLE : 0;
    return rc;
}

/* The file, from the members that are its own; its reader checks it. */
static int render_spec(struct api_call *call, struct buf *out)
{
    static const char *const same[] = {"name", "argv", "env", "cwd", "memory_mib", "network", NULL};
    const int64_t ms = call->events[0].u.job_submit.duration_ms;
    char id[UUID_TEXT_LEN + 1];
    struct job_spec spec;
    uuid_format(id, &call->id);
    buf_addf(out, "{\"version\":1,\"job\":\"%s\",\"epoch\":1", id);
    for (const char *const *name = same; *name; name++) {
        yyjson_val *v = member(call, *name);
        if (!v)
            continue;
        buf_addf(out, ",\"%s\":", *name);
        json_add(out, v);
    }
    if (ms > 0)
        buf_addf(out, ",\"time_limit_ms\":%lld", (long long)ms);
    buf_add_char(out, '}');
    if (out->failed)
        return ERR_NO_MEMORY;
    int rc = job_spec_parse(&spec, out->data, out->len, &call->err);
    job_spec_free(&spec);
    return rc;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"tenant",     "name",          "argv",  "env",  "cwd",
                                          "memory_mib", "network",       "chips", "chip", "time_limit_s",
                                          "priority",   "interruptible", "after", NULL};
    struct event *event = &call->events[0];
    struct submission *s = calloc(1, sizeof *s);
    char name[NAME_CAP] = "";
    if (!s)
        return ERR_NO_MEMORY;
    call->data = s;
    event->kind = EVENT_KIND_job_submit;
    call->nevents = 1;
    call->id = event->u.job_submit.job = uuid_new();
    if (!call->hub->specs_dir)
        return err_set(&call->err, ERR_UNSUPPORTED, "This hub runs no jobs.");
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "name", false, name, sizeof name);
    if (rc == 0 && name[0] && !name_valid(name, strlen(name)))
        rc = body_name(call, "name", name);
    if (rc == 0)
        rc = body_text(call, "tenant", call->operator_, s->tenant, sizeof s->tenant);
    if (rc == 0)
        rc = read_terms(call, &event->u.job_submit);
    if (rc == 0)
        rc = body_after(call, s);
    if (rc == 0)
        rc = render_spec(call, &call->out);
    return rc;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    struct submission *s = call->data;
    const struct row_tenant *row =
        s->tenant[0] ? call_tenant(call, core, s->tenant) : view_tenant(core, &call->key.tenant);
    if (!row)
        return ERR_NOT_FOUND;
    call->events[0].u.job_submit.tenant = row->id;
    return 0;
}

/* How what it comes after ended, as far as that is over: core has forgotten it. */
static int look_back(struct api_call *call, struct submission *s)
{
    struct event_job_array *e = &call->events[0].u.job_array;
    struct {
        struct uuid *id;
        uint32_t *kind, *outcome;
    } const to[JOB_AFTERS_MAX] = {{&e->after0, &e->after_kind0, &e->outcome0},
                                  {&e->after1, &e->after_kind1, &e->outcome1},
                                  {&e->after2, &e->after_kind2, &e->outcome2},
                                  {&e->after3, &e->after_kind3, &e->outcome3}};
    for (uint32_t i = 0; i < s->nafter; i++) {
        struct row_job row;
        int rc = job_find(call, &s->after[i].id, &row);
        if (rc == 0 && !uuid_eq(&row.tenant, &e->tenant))
            rc = err_set(&call->err, ERR_INVALID, "after: a job comes after those of its own tenant only");
        if (rc != 0)
            return rc;
        *to[i].id = row.id;
        *to[i].kind = s->after[i].kind;
        *to[i].outcome = OUTCOME_OPEN;
        if (job_over(&row))
            *to[i].outcome = row.state == JOB_ENDED && row.code == 0 ? OUTCOME_OK : OUTCOME_BAD;
    }
    call->events[0].kind = s->nafter ? EVENT_KIND_job_array : EVENT_KIND_job_submit;
    return 0;
}

static int add_work(struct api_call *call)
{
    struct submission *s = call->data;
    int rc = look_back(call, s);
    if (rc != 0)
        return rc;
    if (!site_job_path(s->path, call->hub->specs_dir, &call->id))
        return err_set(&call->err, ERR_INVALID, "path is too long");
    rc = fs_write_atomic(s->path, call->out.data, call->out.len, 0600, &call->err);
    if (rc != 0)
        (void)unlink(s->path);
    return rc;
}

/* What it comes after may have ended since the look: then it is looked for again. */
static bool add_refused(struct api_call *call)
{
    struct submission *s = call->data;
    (void)unlink(s->path);
    return call->rc == ERR_NOT_FOUND && s->nafter > 0 && ++s->tries < TRIES_MAX;
}

static int add_finish(struct api_call *call, const struct core *core)
{
    const struct row_job *row = view_job(core, &call->id);
    buf_clear(&call->out);
    buf_add_char(&call->out, '{');
    add_id(&call->out, "id", &call->id);
    /* One that had what it needs at once may be over by now. */
    add_text(&call->out, "state", row ? job_state_text(row->state) : "over", KIND_TEXT_CAP);
    buf_add_char(&call->out, '}');
    return 0;
}

/* ---- cancelling ---- */

static int cancel_work(struct api_call *call)
{
    struct row_job row;
    int rc = job_find(call, &call->id, &row);
    if (rc != 0)
        return rc;
    if (job_over(&row))
        return err_set(&call->err, ERR_WRONG_STATE, "The job is over already: %s.",
                       job_state_text(row.state));
    call->events[0].kind = EVENT_KIND_job_cancel;
    call->events[0].u.job_cancel.job = row.id;
    call->nevents = 1;
    return 0;
}

/* Between look and step it ended. */
static bool cancel_refused(struct api_call *call)
{
    if (call->rc == ERR_NOT_FOUND)
        call->rc = err_set(&call->err, ERR_WRONG_STATE, "The job is over already.");
    return false;
}

static int cancel_finish(struct api_call *call, const struct core *core)
{
    (void)core;
    buf_add_char(&call->out, '{');
    add_id(&call->out, "id", &call->id);
    add_text(&call->out, "state", job_state_text(JOB_CANCELLED), KIND_TEXT_CAP);
    buf_add_char(&call->out, '}');
    return 0;
}

const struct api_handler api_job_add = {.parse = add_parse,
                                        .prepare = add_prepare,
                                        .work = add_work,
                                        .refused = add_refused,
                                        .finish = add_finish,
                                        .status = 201};
const struct api_handler api_job_cancel = {
    .parse = job_param, .work = cancel_work, .refused = cancel_refused, .finish = cancel_finish};
