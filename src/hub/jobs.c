/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting and cancelling jobs. */
#include "hub/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/osrandom.h"
#include "hub/job_terms.h"

#define TRIES_MAX 5

struct submission {
    struct job_terms terms;
    uint32_t tries;
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

static const char *const file_members[] = {"name", "argv", "env", "cwd", "memory_mib", "network", NULL};

/* The file, from the members that are its own; its reader checks it. */
static int render_spec(struct api_call *call, struct buf *out)
{
    const int64_t ms = call->events[0].u.job_array.duration_ms;
    char id[UUID_TEXT_LEN + 1];
    struct job_spec spec;
    uuid_format(id, &call->id);
    buf_addf(out, "{\"version\":1,\"job\":\"%s\",\"epoch\":1", id);
    for (const char *const *name = file_members; *name; name++) {
        yyjson_val *v = body_member(call, *name);
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

static int add_parse(struct api_call *call)
{
    struct event *event = &call->events[0];
    struct submission *s = calloc(1, sizeof *s);
    char name[NAME_CAP] = "";
    if (!s)
        return ERR_NO_MEMORY;
    call->data = s;
    call->nevents = 1;
    call->id = event->u.job_array.job = uuid_new();
    if (!call->hub->specs_dir)
        return err_set(&call->err, ERR_UNSUPPORTED, "This hub runs no jobs.");
    int rc = check_members(call);
    if (rc == 0)
        rc = body_text(call, "name", false, name, sizeof name);
    if (rc == 0 && name[0] && !name_valid(name, strlen(name)))
        rc = body_name(call, "name", name);
    if (rc == 0)
        rc = job_terms_read(call, &s->terms, &event->u.job_array);
    return rc == 0 ? render_spec(call, &call->out) : rc;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const struct submission *s = call->data;
    return job_terms_resolve(call, core, &s->terms, &call->events[0].u.job_array);
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
    for (uint32_t i = 0; i < s->terms.nafter; i++) {
        struct row_job row;
        int rc = job_find(call, &s->terms.after[i].id, &row);
        if (rc == 0 && !uuid_eq(&row.tenant, &e->tenant))
            rc = err_set(&call->err, ERR_INVALID, "after: a job comes after those of its own tenant only");
        if (rc != 0)
            return rc;
        *to[i].id = row.id;
        *to[i].kind = s->terms.after[i].kind;
        *to[i].outcome = OUTCOME_OPEN;
        if (job_over(&row))
            *to[i].outcome = row.state == JOB_ENDED && row.code == 0 ? OUTCOME_OK : OUTCOME_BAD;
    }
    call->events[0].kind = s->terms.nafter ? EVENT_KIND_job_array : EVENT_KIND_job_submit;
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
    return call->rc == ERR_NOT_FOUND && s->terms.nafter > 0 && ++s->tries < TRIES_MAX;
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
