/* SPDX-License-Identifier: Apache-2.0 */
/* What a site asks and tells of one job: what it runs, what it printed, how it ended. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/form.h"
#include "engine/workdir.h"
#include "hub/api.h"
#include "hub/desk.h"
#include "site/job_file.h"
#include "site/jobs.h"

#define NO_SUCH_JOB "This site does not run this epoch of this job."

bool desk_take_job(struct visit *visit, yyjson_val *root)
{
    yyjson_val *job = yyjson_obj_get(root, "job"), *epoch = yyjson_obj_get(root, "epoch");
    visit->job.epoch = (uint32_t)yyjson_get_uint(epoch);
    return yyjson_is_str(job) && uuid_parse(&visit->job.job, yyjson_get_str(job), yyjson_get_len(job)) &&
           yyjson_is_uint(epoch) && yyjson_get_uint(epoch) <= UINT32_MAX;
}

/* ---- what it runs ---- */

/* As one file, whatever it is made from here. */
static void answer_program(struct visit *visit)
{
    struct job_spec spec = {0};
    struct err err = {0};
    struct buf out;
    int rc = visit->has_job
                 ? job_file_load(&spec, desk_config(visit_desk(visit))->specs_dir, &visit->job.job, &err)
                 : err_set(&err, ERR_NOT_FOUND, NO_SUCH_JOB);
    if (rc != 0) {
        hub_refuse(visit->request, rc, err.msg);
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_add_text(&out, ",\"program\":");
    form_write(&job_spec_table, &spec, &out);
    visit_end(visit, &out);
    job_spec_free(&spec);
}

int desk_take_program(struct visit *visit, yyjson_val *root, struct err *err)
{
    visit->answer = answer_program;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!desk_take_job(visit, root))
        return err_set(err, ERR_INVALID, "job and epoch must say which");
    visit_ask(visit);
    return 0;
}

/* ---- the folder of a job that runs, or ran, at a site ---- */

/* Whose it is stands in it: what comes after the end is still taken from that site, and from no other. */
static bool is_theirs(const struct visit *visit, const char *dir)
{
    char path[FS_PATH_MAX], id[UUID_TEXT_LEN + 1];
    struct buf text;
    uuid_format(id, &visit->site);
    workdir_file(path, dir, "site");
    buf_init(&text, sizeof id);
    bool same = fs_read(path, &text, NULL) == 0 && text_eq(text.data, text.len, id, UUID_TEXT_LEN);
    buf_fini(&text);
    return same;
}

int desk_open_folder(const struct visit *visit, char dir[FS_PATH_MAX], struct err *err)
{
    char path[FS_PATH_MAX], id[UUID_TEXT_LEN + 1];
    workdir_path(dir, desk_config(visit_desk(visit))->work_dir, &visit->job);
    if (is_theirs(visit, dir))
        return 0;
    if (!visit->has_job)
        return err_set(err, ERR_NOT_FOUND, NO_SUCH_JOB);
    uuid_format(id, &visit->site);
    workdir_file(path, dir, "site");
    int rc = fs_mkdirs(dir, 0700, err);
    return rc ? rc : fs_write_atomic(path, id, UUID_TEXT_LEN, 0600, err);
}

/* ---- what it printed ---- */

struct piece {
    bool errors;
    uint64_t offset;
};

/* Appends where the piece begins at the file's end; in any case *size is what there is then. */
static int append(const char *path, const struct piece *piece, const struct buf *bytes, uint64_t *size,
                  struct err *err)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int rc = 0;
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = ERR_IO;
    *size = rc == 0 ? (uint64_t)st.st_size : 0;
    if (rc == 0 && piece->offset == *size && bytes->len > 0) {
        ssize_t n = write(fd, bytes->data, bytes->len);
        rc = n < 0 ? ERR_IO : 0;
        *size += n > 0 ? (uint64_t)n : 0;
    }
    if (rc != 0)
        err_set(err, rc, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static void answer_log(struct visit *visit)
{
    const struct piece *piece = visit->data;
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct err err = {0};
    struct buf out;
    uint64_t size = 0;
    int rc = desk_open_folder(visit, dir, &err);
    if (rc == 0) {
        workdir_file(path, dir, piece->errors ? "err" : "out");
        rc = append(path, piece, &visit->request->body, &size, &err);
    }
    if (rc != 0) {
        hub_refuse(visit->request, rc, err.msg);
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_addf(&out, ",\"size\":%llu", (unsigned long long)size);
    visit_end(visit, &out);
}

/* job=ID&epoch=N&stream=out|err&offset=N, in this order. */
static bool read_query(struct visit *visit, struct piece *piece)
{
    char text[160], job[UUID_TEXT_LEN + 1], stream[4];
    unsigned long long epoch, offset;
    int end = 0;
    const struct http_request *r = visit->request;
    if (!text_set(text, sizeof text, r->query, r->query_len) ||
        sscanf(text, "job=%36[0-9a-f-]&epoch=%10llu&stream=%3[a-z]&offset=%19llu%n", job, &epoch, stream,
               &offset, &end) != 4 ||
        text[end] != 0 || epoch > UINT32_MAX || !uuid_parse(&visit->job.job, job, strlen(job)))
        return false;
    visit->job.epoch = (uint32_t)epoch;
    piece->offset = offset;
    piece->errors = strcmp(stream, "err") == 0;
    return piece->errors || strcmp(stream, "out") == 0;
}

int desk_take_log(struct visit *visit, yyjson_val *root, struct err *err)
{
    (void)root;
    struct piece *piece = calloc(1, sizeof *piece);
    if (!piece)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = piece;
    visit->drop = free;
    visit->answer = answer_log;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!read_query(visit, piece))
        return err_set(err, ERR_INVALID, "which job, epoch, stream and offset?");
    visit_ask(visit);
    return 0;
}

/* ---- how it ended ---- */

/* Whether what its data moved is told by itself (desk_take_kept), which may be long after the end: by what its file asks for. */
static uint32_t data_due(const struct visit *visit, const struct uuid *job)
{
    struct job_spec spec;
    struct err err;
    uint64_t bytes = 0;
    if (job_file_load(&spec, desk_config(visit_desk(visit))->specs_dir, job, &err) != 0)
        return 0;
    for (uint32_t i = 0; i < spec.inputs_count; i++)
        bytes += spec.inputs[i].size;
    const bool due = bytes > 0 || spec.outputs_count > 0 || spec.checkpoint;
    job_spec_free(&spec);
    return due ? JOB_METER_DATA_DUE : 0;
}

struct ending {
    uint32_t code;
    uint64_t age_ms; /* of what the exit says was used */
    bool recorded;
    struct job_exit exit;
};

static void drop_ending(void *data)
{
    struct ending *ending = data;
    form_free(&job_exit_table, &ending->exit);
    free(ending);
}

static void answer_recorded(struct visit *visit)
{
    struct buf out;
    visit_begin(visit, &out);
    visit_end(visit, &out);
}

static void on_recorded(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    if (reply->code == ERR_UNAVAILABLE) {
        visit_refuse(visit, reply->code, "");
        return;
    }
    /* Any other refusal: it was told before, or the epoch was stopped meanwhile. Neither is to be told again. */
    if (visit->request)
        answer_recorded(visit);
    visit_free(visit);
}

static void post_end(struct visit *visit, const struct ending *ending)
{
    const struct desk_config *config = desk_config(visit_desk(visit));
    const struct site_end end = {
        .id = visit->job, .code = ending->code, .exit = ending->recorded ? &ending->exit : NULL};
    struct event events[2] = {
        {.kind = EVENT_KIND_job_meter, .u.job_meter = site_last_meter(&end.id, &visit->site, end.exit)},
        {.kind = EVENT_KIND_job_end, .token = mailbox_token(config->box)}};
    events[0].u.job_meter.used_ms = runtime_used_ms(config->runtime, ending->age_ms);
    if (ending->recorded)
        events[0].u.job_meter.flags |= data_due(visit, &visit->job.job);
    if (site_end_returns(&end)) {
        events[1].kind = EVENT_KIND_job_return;
        events[1].u.job_return =
            (struct event_job_return){visit->job.job, visit->job.epoch, ending->code, visit->site};
    } else {
        events[1].u.job_end =
            (struct event_job_end){visit->job.job, visit->job.epoch, ending->code, visit->site};
    }
    asks_add(config->asks, events[1].token, on_recorded, visit);
    visit->kept = true;
    if (runtime_post_all(config->runtime, events, 2) == 0)
        return;
    asks_forget(config->asks, events[1].token);
    visit->kept = false;
    hub_refuse(visit->request, ERR_UNAVAILABLE, "");
    visit->request = NULL;
}

/* Core judges it: an epoch that was taken back meanwhile still has its last figures, and of another site's none are taken. What
 * cannot be written down is not taken: the site keeps it, and tells it again. */
static void answer_end(struct visit *visit)
{
    const struct ending *ending = visit->data;
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct err err = {0};
    int rc = ending->recorded ? desk_open_folder(visit, dir, &err) : 0;
    if (rc == 0 && ending->recorded) {
        workdir_file(path, dir, "exit");
        rc = form_save(&job_exit_table, path, &ending->exit, &err);
    }
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        log_error("job_end", "site=%s error=\"%s\"", visit->name, err.msg);
        hub_refuse(visit->request, ERR_UNAVAILABLE, err.msg);
        visit->request = NULL;
        return;
    }
    post_end(visit, ending);
}

/* How old what it tells is, by its own clock; sites of before do not say it. */
static bool take_age(yyjson_val *item, uint64_t *age_ms)
{
    yyjson_val *v = yyjson_obj_get(item, "age_ms");
    *age_ms = yyjson_get_uint(v);
    return !v || yyjson_is_uint(v);
}

static int take_exit(struct ending *ending, yyjson_val *root, struct err *err)
{
    yyjson_val *code = yyjson_obj_get(root, "code"), *exit = yyjson_obj_get(root, "exit");
    struct buf text;
    if (!yyjson_is_uint(code) || yyjson_get_uint(code) > UINT32_MAX)
        return err_set(err, ERR_INVALID, "code must be a whole number");
    if (!take_age(root, &ending->age_ms))
        return err_set(err, ERR_INVALID, "age_ms must be a whole number");
    ending->code = (uint32_t)yyjson_get_uint(code);
    if (!exit)
        return 0;
    buf_init(&text, FORM_MAX);
    json_add(&text, exit);
    int rc = text.failed ? err_set(err, ERR_TOO_LARGE, "exit: is too long")
                         : form_read(&job_exit_table, text.data, text.len, &ending->exit, err);
    ending->recorded = rc == 0;
    buf_fini(&text);
    return rc;
}

/* An epoch that was stopped ran there all the same, and may have printed nothing. */
static void look_end(struct visit *visit, const struct core *core)
{
    const struct row_job_usage *row = view_job_usage(core, &visit->job.job, visit->job.epoch);
    visit->has_job = visit->has_job || (row && uuid_eq(&row->site, &visit->site));
}

int desk_take_end(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = ending;
    visit->drop = drop_ending;
    visit->look = look_end;
    visit->answer = answer_end;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!desk_take_job(visit, root))
        return err_set(err, ERR_INVALID, "job and epoch must say which");
    int rc = take_exit(ending, root, err);
    if (rc == 0)
        visit_ask(visit);
    return rc;
}

/* ---- what jobs have used ---- */

#define METERS_MAX 256

struct meters {
    uint32_t n;
    uint64_t age_ms[METERS_MAX];
    struct event event[METERS_MAX];
};

static void answer_usage(struct visit *visit)
{
    struct meters *m = visit->data;
    const struct desk_config *config = desk_config(visit_desk(visit));
    for (uint32_t i = 0; i < m->n; i++) {
        struct event_job_meter *e = &m->event[i].u.job_meter;
        e->site = visit->site;
        e->used_ms = runtime_used_ms(config->runtime, m->age_ms[i]);
        /* What it moved it tells by itself, and whether it is to do so we know. */
        e->flags &= ~(uint32_t)(JOB_METER_DATA_DUE | JOB_METER_DATA_TOLD);
        if (e->flags & JOB_METER_FINAL)
            e->flags |= data_due(visit, &e->job);
    }
    if (m->n > 0 && runtime_post_all(config->runtime, m->event, m->n) != 0) {
        hub_refuse(visit->request, ERR_UNAVAILABLE, "");
        visit->request = NULL;
        return;
    }
    answer_recorded(
        visit); /* totals: what is refused, or lost before it is durable, is told again by the next ones */
}

static bool take_u64(yyjson_val *item, const char *name, uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(item, name);
    *out = yyjson_get_uint(v);
    return yyjson_is_uint(v);
}

static bool take_meter(struct event *event, yyjson_val *item, uint64_t *age_ms)
{
    struct event_job_meter *e = &event->u.job_meter;
    yyjson_val *job = yyjson_obj_get(item, "job");
    uint64_t epoch, flags;
    event->kind = EVENT_KIND_job_meter;
    bool good = yyjson_is_str(job) && uuid_parse(&e->job, yyjson_get_str(job), yyjson_get_len(job)) &&
                take_u64(item, "epoch", &epoch) && epoch <= UINT32_MAX && take_u64(item, "flags", &flags) &&
                flags <= UINT32_MAX && take_u64(item, "ms", &e->ms) &&
                take_u64(item, "chip_ms", &e->chip_ms) && take_u64(item, "cpu_ms", &e->cpu_ms) &&
                take_u64(item, "energy_mj", &e->energy_mj) && take_age(item, age_ms);
    e->epoch = good ? (uint32_t)epoch : 0;
    e->flags = good ? (uint32_t)flags : 0;
    return good;
}

int desk_take_usage(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct meters *m = calloc(1, sizeof *m);
    yyjson_val *list = yyjson_obj_get(root, "usage"), *item;
    if (!m)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = m;
    visit->drop = free;
    visit->answer = answer_usage;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    bool good = yyjson_is_arr(list) && yyjson_arr_size(list) <= METERS_MAX;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (good && (item = yyjson_arr_iter_next(&it)) != NULL) {
        good = take_meter(&m->event[m->n], item, &m->age_ms[m->n]);
        m->n++;
    }
    if (!good)
        return err_set(err, ERR_INVALID, "usage: a list of at most %d epochs with their totals", METERS_MAX);
    visit_ask(visit);
    return 0;
}
