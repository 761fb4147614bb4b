/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting and cancelling jobs. */
#include "hub/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/osrandom.h"
#include "hub/job_check.h"
#include "hub/job_data.h"
#include "hub/job_eta.h"
#include "hub/job_near.h"
#include "hub/job_terms.h"

#define TRIES_MAX 5

struct submission {
    struct job_terms terms;
    uint32_t tries;
    char path[FS_PATH_MAX];
    struct job_eta eta;
};

/* ---- submitting ---- */

static const char *const file_members[] = {"name",       "argv",    "script", "env",     "cwd",
                                           "memory_mib", "network", "inputs", "outputs", NULL};

/* A script is its own command unless it is given arguments. */
static int check_script(struct api_call *call, struct buf *out)
{
    yyjson_val *v = body_member(call, "script");
    if (!v)
        return 0;
    if (yyjson_get_len(v) > JOB_SCRIPT_MAX)
        return err_set(&call->err, ERR_INVALID, "script: is longer than %zu KiB", JOB_SCRIPT_MAX >> 10);
    if (yyjson_get_len(v) < 3 || strncmp(yyjson_get_str(v), "#!", 2) != 0)
        return err_set(&call->err, ERR_INVALID,
                       "script: must be a text that begins with #! and its interpreter");
    if (!body_member(call, "argv"))
        buf_add_text(out, ",\"argv\":[\"script\"]");
    return 0;
}

/* The file, from the members that are its own; its reader checks it. */
static int render_file(struct api_call *call, const struct job_terms *terms, struct buf *out)
{
    const int64_t ms = call->events[0].u.job_array.duration_ms;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &call->id);
    buf_addf(out, "{\"version\":1,\"job\":\"%s\",\"epoch\":1", id);
    int rc = check_script(call, out);
    if (rc != 0)
        return rc;
    for (const char *const *name = file_members; *name; name++) {
        yyjson_val *v = body_member(call, *name);
        if (!v)
            continue;
        buf_addf(out, ",\"%s\":", *name);
        json_add(out, v);
    }
    if (ms > 0)
        buf_addf(out, ",\"time_limit_ms\":%lld", (long long)ms);
    if (call->events[0].u.job_array.flags & JOB_INTERRUPTIBLE)
        buf_add_text(out, ",\"checkpoint\":true");
    buf_addf(out, ",\"isolation\":\"%s\"", isolation_text(job_isolation(call->events[0].u.job_array.flags)));
    if (call->events[0].u.job_array.flags & JOB_FINISH)
        buf_add_text(out, ",\"finish\":true");
    if (terms->total > 0)
        buf_addf(out, ",\"array\":{\"first\":%u,\"total\":%u}", terms->first, terms->total);
    buf_add_char(out, '}');
    return out->failed ? ERR_NO_MEMORY : job_file_check(out->data, out->len, &call->err);
}

/* Members that are neither terms nor of the file are refused. */
static int check_members(struct api_call *call)
{
    const char *all[64];
    uint32_t n = 0;
    for (const char *const *name = file_members; *name; name++)
        all[n++] = *name;
    for (const char *const *name = job_terms_members; *name; name++)
        all[n++] = *name;
    all[n] = NULL;
    return body_only(call, all);
}

/* That of an array has room for its tasks. */
static struct uuid new_id(bool array)
{
    struct uuid id = uuid_new();
    if (array)
        id.b[14] = id.b[15] = 0;
    return id;
}

static int add_parse(struct api_call *call)
{
    struct event *event = &call->events[0];
    struct submission *s = calloc(1, sizeof *s);
    char name[NAME_CAP] = "";
    if (!s)
        return ERR_NO_MEMORY;
    call->data = s;
    if (!call->hub->specs_dir)
        return err_set(&call->err, ERR_UNSUPPORTED, "This hub runs no jobs.");
    int rc = check_members(call);
    if (rc == 0)
        rc = body_text(call, "name", false, name, sizeof name);
    if (rc == 0 && name[0] && !name_valid(name, strlen(name)))
        rc = body_name(call, "name", name);
    if (rc == 0)
        rc = job_terms_read(call, &s->terms, &event->u.job_array);
    call->id = new_id(s->terms.total > 0);
    event->u.job_array.job = call->id;
    return rc == 0 ? render_file(call, &s->terms, &call->out) : rc;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const struct submission *s = call->data;
    int rc = job_terms_resolve(call, core, &s->terms, &call->events[0].u.job_array);
    return rc ? rc : job_pay_check(call, core, &call->events[0].u.job_array);
}

/* How it ended, as far as it is over. */
static uint32_t outcome_of(const struct job_ref *ref)
{
    const bool over = ref->is_array ? ref->array.ended_ms > 0 : job_over(&ref->job);
    const bool ok = ref->is_array ? ref->array.state == JOB_ENDED && ref->array.failed == 0
                                  : ref->job.state == JOB_ENDED && ref->job.code == 0;
    return !over ? OUTCOME_OPEN : ok ? OUTCOME_OK : OUTCOME_BAD;
}

/* What it comes after, and how that ended where core has forgotten it. */
static int look_back(struct api_call *call, const struct submission *s)
{
    struct event_job_array *e = &call->events[0].u.job_array;
    struct {
        struct uuid *id;
        uint32_t *kind, *outcome;
    } const to[JOB_AFTERS_MAX] = {{&e->after0, &e->after_kind0, &e->outcome0},
                                  {&e->after1, &e->after_kind1, &e->outcome1},
                                  {&e->after2, &e->after_kind2, &e->outcome2},
                                  {&e->after3, &e->after_kind3, &e->outcome3}};
    for (uint32_t i = 0; i < s->terms.nafter; i++) {
        struct job_ref ref;
        int rc = job_find(call, s->terms.after[i].job, &ref);
        if (rc == 0 && !uuid_eq(ref.is_array ? &ref.array.tenant : &ref.job.tenant, &e->tenant))
            rc = err_set(&call->err, ERR_INVALID, "after: a job comes after those of its own tenant only");
        if (rc != 0)
            return rc;
        *to[i].id = ref.id;
        *to[i].kind = s->terms.after[i].kind;
        *to[i].outcome = outcome_of(&ref);
    }
    return 0;
}

/* One event, or for an array as many as it needs: core takes all of them if it takes the first. */
static int make_events(struct api_call *call, const struct job_terms *terms)
{
    const uint32_t parts = (terms->total + ARRAY_EVENT_TASKS_MAX - 1) / ARRAY_EVENT_TASKS_MAX;
    const struct uuid none = {{0}};
    call->events[0].kind = terms->nafter || parts ? EVENT_KIND_job_array : EVENT_KIND_job_submit;
    call->nevents = parts ? parts : 1;
    free(call->many);
    call->many = parts > 1 ? calloc(parts, sizeof *call->many) : NULL;
    if (parts > 1 && !call->many)
        return ERR_NO_MEMORY;
    if (call->events[0].kind == EVENT_KIND_job_submit) {
        struct event_job_submit one;
        job_of_array(&one, &call->events[0].u.job_array);
        call->events[0].u.job_submit = one;
    }
    for (uint32_t i = 0; i < parts; i++) {
        struct event *event = call->many ? &call->many[i] : &call->events[0];
        *event = call->events[0];
        struct event_job_array *e = &event->u.job_array;
        e->first = terms->first;
        e->total = terms->total;
        e->at_once = terms->at_once;
        e->at = i * ARRAY_EVENT_TASKS_MAX;
        e->tasks =
            terms->total - e->at < ARRAY_EVENT_TASKS_MAX ? terms->total - e->at : ARRAY_EVENT_TASKS_MAX;
        if (i > 0) /* what it comes after is said with the first */
            e->after0 = e->after1 = e->after2 = e->after3 = none;
    }
    return 0;
}

/* The events, and before them the file, which is in call->out. */
static int write_file(struct api_call *call, struct submission *s)
{
    int rc = make_events(call, &s->terms);
    if (rc != 0)
        return rc;
    if (!job_file_path(s->path, call->hub->specs_dir, &call->id))
        return err_set(&call->err, ERR_INVALID, "path is too long");
    rc = fs_write_atomic(s->path, call->out.data, call->out.len, 0600, &call->err);
    if (rc != 0)
        (void)unlink(s->path);
    return rc;
}

static int add_work(struct api_call *call)
{
    const struct submission *s = call->data;
    struct event_job_array *e = &call->events[0].u.job_array;
    int rc = look_back(call, s);
    if (rc == 0)
        rc = job_near_find(call, &s->terms, e);
    if (rc == 0)
        rc = job_data_check(call, &s->terms, &e->tenant, call->out.data, call->out.len);
    return rc == 0 ? write_file(call, call->data) : rc;
}

/* What it comes after may have ended since the look: then it is looked for again. */
static bool add_refused(struct api_call *call)
{
    struct submission *s = call->data;
    (void)unlink(s->path);
    return call->rc == ERR_NOT_FOUND && s->terms.nafter > 0 && ++s->tries < TRIES_MAX;
}

static int add_finish(struct api_call *call, const struct core *core)
{
    const struct submission *s = call->data;
    const struct row_job *row = view_job(core, &call->id);
    const struct row_job_array *array = view_job_array(core, &call->id);
    const uint32_t state = row ? row->state : array ? array->state : 0;
    buf_clear(&call->out);
    buf_add_char(&call->out, '{');
    add_id(&call->out, "id", &call->id);
    /* One that had what it needs at once may be over by now. */
    add_text(&call->out, "state", state ? job_state_text(state) : "over", KIND_TEXT_CAP);
    if (s->terms.total > 0)
        buf_addf(&call->out, ",\"array\":{\"first\":%u,\"last\":%u,\"at_once\":%u}", s->terms.first,
                 s->terms.first + s->terms.total - 1, s->terms.at_once);
    buf_add_char(&call->out, '}');
    return 0;
}

/* ---- only thought of ---- */

/* There are no events. One that comes after others has no start to be told of before these are over. */
static int check_work(struct api_call *call)
{
    struct submission *s = call->data;
    struct event_job_array *e = &call->events[0].u.job_array;
    struct event_job_submit first;
    int rc = look_back(call, s);
    if (rc == 0)
        rc = job_near_find(call, &s->terms, e);
    e->data_site = (struct uuid){{0}}; /* of a job as it is, wherever its inputs may be */
    job_of_array(&first, e);
    if (rc == 0 && s->terms.nafter == 0)
        (void)job_eta_wait(call, &s->eta, &call->id, &first);
    return rc;
}

static int check_finish(struct api_call *call, const struct core *core)
{
    const struct submission *s = call->data;
    return job_check_render(call, core, &call->events[0].u.job_array, &s->terms, &s->eta);
}

/* ---- again ---- */

#define COPY_TERM(to_from, type, name, size) COPY_##type(name)
#define COPY_u32(name) e->name = row->name;
#define COPY_u64(name) e->name = row->name;
#define COPY_i64(name) e->name = row->name;
#define COPY_uuid(name) e->name = row->name;
#define COPY_text(name) memcpy(e->name, row->name, sizeof e->name);

/* The terms of before; moments that have passed are none any more, and what it came after is over. */
static void copy_terms(const struct row_job *row, int64_t now_ms, struct event_job_array *e)
{
    e->tenant = row->tenant;
    JOB_REQUEST(COPY_TERM, _)
    JOB_DECLARED(COPY_TERM, _)
    JOB_TIMING(COPY_TERM, _)
    memcpy(e->home, row->home, sizeof e->home);
    if (e->deadline_ms <= now_ms)
        e->deadline_ms = 0;
    if (e->start_by_ms <= now_ms)
        e->start_by_ms = 0;
}

static int any_task(struct api_call *call, struct job_ref *ref)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct uuid first = ref->id;
    first.b[15] = 1;
    return store->ops->get(store, ROW_KIND_job, &first, &ref->job, &call->err);
}

/* The file of before as that of the new job. A task alone is a job of its own that has its index in its environment. */
static int copy_file(struct api_call *call, const struct job_ref *ref, struct job_terms *terms)
{
    struct job_spec spec;
    int rc = job_file_load(&spec, call->hub->specs_dir, &ref->id, &call->err);
    if (rc != 0)
        return err_set(&call->err, ERR_NOT_FOUND, "What the job ran is not known any more.");
    if (ref->is_array) {
        terms->first = spec.array.first;
        terms->total = spec.array.total;
        terms->at_once = ref->array.at_once;
    } else {
        spec.array.total = 0;
    }
    spec.job = call->id;
    buf_clear(&call->out);
    form_write(&job_spec_table, &spec, &call->out);
    job_spec_free(&spec);
    return call->out.failed ? ERR_NO_MEMORY : 0;
}

static int retry_parse(struct api_call *call)
{
    static const char *const none[] = {NULL};
    call->data = calloc(1, sizeof(struct submission));
    return call->data ? body_only(call, none) : ERR_NO_MEMORY;
}

static int retry_work(struct api_call *call)
{
    struct submission *s = call->data;
    struct job_ref ref;
    int rc = job_find(call, call->param, &ref);
    if (rc != 0)
        return rc;
    if (ref.is_array ? ref.array.ended_ms == 0 : !job_over(&ref.job))
        return err_set(&call->err, ERR_WRONG_STATE, "The job is not over: it can be cancelled first.");
    if (ref.is_array)
        rc = any_task(call, &ref);
    call->id = new_id(ref.is_array);
    if (rc == 0)
        rc = copy_file(call, &ref, &s->terms);
    if (rc != 0)
        return rc;
    call->events[0].u.job_array.job = call->id;
    copy_terms(&ref.job, runtime_now_ms(call->hub->runtime), &call->events[0].u.job_array);
    /* Whoever sends it again pays; an operator on behalf of the key that it was sent with before. */
    call->events[0].u.job_array.key =
        uuid_eq(&call->key.tenant, &ref.job.tenant) ? call->key.id : ref.job.key;
    rc = job_data_check(call, NULL, &ref.job.tenant, call->out.data, call->out.len);
    return rc ? rc : write_file(call, s);
}

/* ---- cancelling ---- */

static int cancel_work(struct api_call *call)
{
    struct job_ref ref;
    int rc = job_find(call, call->param, &ref);
    if (rc != 0)
        return rc;
    const uint32_t state = ref.is_array ? ref.array.state : ref.job.state;
    if (ref.is_array ? state != JOB_QUEUED : job_over(&ref.job))
        return err_set(&call->err, ERR_WRONG_STATE, "The %s is over already: %s.",
                       ref.is_array ? "array" : "job", job_state_text(state));
    call->id = ref.id;
    call->events[0].kind = EVENT_KIND_job_cancel;
    call->events[0].u.job_cancel.job = ref.id;
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
const struct api_handler api_job_check = {
    .parse = add_parse, .prepare = add_prepare, .work = check_work, .finish = check_finish};
const struct api_handler api_job_retry = {
    .parse = retry_parse, .work = retry_work, .refused = add_refused, .finish = add_finish, .status = 201};
const struct api_handler api_job_cancel = {
    .work = cancel_work, .refused = cancel_refused, .finish = cancel_finish};
