/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of jobs over the door: what a site may have, what it brings back. Each call is an errand: core is asked whether the
 * site may, a thread does what files are needed, the loop answers.
 *
 * Whose the blobs are is the job's tenant, as the store has it, since core forgets jobs that are over. A site reads what the
 * epoch needs that runs there, and writes for epochs that run or ran there; it never names a tenant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "core/view.h"
#include "engine/data.h"
#include "hub/api.h"
#include "hub/desk.h"
#include "hub/given.h"
#include "site/job_file.h"

#define NO_SUCH_BLOB "This site has no reason to have this blob, or it is not here."
#define PRIOR_WAIT_MS 300000 /* for what an epoch left at a site that is in touch */

struct errand {
    uv_work_t work;
    struct visit *visit;
    const struct desk_config *config;
    int (*run)(struct errand *e); /* on a thread */
    bool weights;                 /* of a model: it is about no job */
    bool raw;                     /* the answer is bytes, not JSON */
    char name[BLOB_NAME_LEN + 1];
    uint64_t offset, size;
    struct data_kept kept;
    struct buf in, out; /* bytes that came; the answer, or its further members */
    struct err err;
    /* As core knows it. */
    bool may;
    char location[PATH_CAP]; /* of weights */
    bool prior_away;         /* the site of the epoch before is out of touch */
    int64_t started_ms;
    uint32_t corridor;  /* enum place_state of that to the site; 0: there is none */
    struct event meter; /* of what was kept; kind 0: none */
};

static void drop_errand(void *data)
{
    struct errand *e = data;
    data_kept_free(&e->kept);
    buf_fini(&e->in);
    buf_fini(&e->out);
    free(e);
}

/* ---- what core knows ---- */

static const struct row_variant *weights_of(const struct core *core, const struct uuid *site,
                                            const char *name)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        const struct row_variant *variant = view_variant(core, &row->variant);
        char digest[BLOB_NAME_LEN + 1];
        if (!variant || !uuid_eq(&row->site, site) || row->role == REPLICA_WORKER)
            continue; /* a head sends its workers what they hold */
        blob_name(digest, variant->digest);
        if (strcmp(digest, name) == 0 && !strstr(variant->location, "://"))
            return variant;
    }
    return NULL;
}

static void look_weights(struct errand *e, const struct core *core)
{
    const struct row_variant *variant = weights_of(core, &e->visit->site, e->name);
    e->may = variant != NULL;
    if (variant)
        memcpy(e->location, variant->location, sizeof e->location);
}

static void look(struct visit *visit, const struct core *core)
{
    struct errand *e = visit->data;
    const struct row_corridor *corridor = view_corridor_to(core, &visit->site);
    e->corridor = corridor ? corridor->state : 0;
    const struct row_job *job = view_job(core, &visit->job.job);
    if (e->weights) {
        look_weights(e, core);
        return;
    }
    e->may = true; /* what is in the job's folder here tells, where core has forgotten it */
    e->started_ms = job ? job->started_ms : 0;
    const struct row_job_usage *before = view_job_usage(core, &visit->job.job, visit->job.epoch - 1);
    const struct row_site *site = before ? view_site(core, &before->site) : NULL;
    e->prior_away = site && site->away;
}

/* ---- the way of an errand ---- */

static void on_work(uv_work_t *work)
{
    struct errand *e = list_entry(work, struct errand, work);
    e->err.code = e->run(e);
}

static void respond(struct errand *e)
{
    struct visit *visit = e->visit;
    struct buf out;
    if (visit->request && e->raw) {
        if (e->weights)
            desk_models_went(visit_desk(visit), &visit->site, e->out.len);
        http_answer(visit->request, 200, "application/octet-stream", "", &e->out);
    } else if (visit->request) {
        visit_begin(visit, &out);
        buf_add(&out, e->out.data, e->out.len);
        out.failed |= e->out.failed;
        visit_end(visit, &out);
    }
    visit->request = NULL;
    visit_free(visit);
}

/* Core judges it: what was told before, or is of an account that is closed, is not to be told again. */
static void on_metered(void *ctx, const struct effect *reply)
{
    struct errand *e = ctx;
    if (reply->code == ERR_UNAVAILABLE)
        visit_refuse(e->visit, reply->code, "");
    else
        respond(e);
}

static void after_work(uv_work_t *work, int status)
{
    struct errand *e = list_entry(work, struct errand, work);
    (void)status;
    if (e->err.code != 0) {
        visit_refuse(e->visit, e->err.code, e->err.msg);
        return;
    }
    if (e->meter.kind == 0) {
        respond(e);
        return;
    }
    e->meter.token = mailbox_token(e->config->box);
    asks_add(e->config->asks, e->meter.token, on_metered, e);
    if (runtime_post(e->config->runtime, &e->meter) == 0)
        return;
    asks_forget(e->config->asks, e->meter.token);
    visit_refuse(e->visit, ERR_UNAVAILABLE, "");
}

/* What is placed already comes over a corridor that is cordoned, weights do not. */
static bool is_closed(const struct errand *e)
{
    return e->corridor == PLACE_LOST || (e->weights && e->corridor == PLACE_CORDONED);
}

static void answer(struct visit *visit)
{
    struct errand *e = visit->data;
    if (is_closed(e)) {
        hub_refuse(visit->request, ERR_CORRIDOR, "The corridor to this site is closed.");
        visit->request = NULL;
        return;
    }
    if (!e->may) {
        hub_refuse(visit->request, ERR_NOT_FOUND, NO_SUCH_BLOB);
        visit->request = NULL;
        return;
    }
    visit->kept = true;
    if (uv_queue_work(&e->config->loop->uv, &e->work, on_work, after_work) != 0)
        abort(); /* only without a function to call */
}

static struct errand *begin(struct visit *visit, int (*run)(struct errand *e), size_t in, size_t out,
                            struct err *err)
{
    struct errand *e = calloc(1, sizeof *e);
    if (!e) {
        err_set(err, ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    e->visit = visit;
    e->config = desk_config(visit_desk(visit));
    e->run = run;
    buf_init(&e->in, in);
    buf_init(&e->out, out);
    visit->data = e;
    visit->drop = drop_errand;
    visit->look = look;
    visit->answer = answer;
    if (visit_know(visit, err))
        return e;
    return NULL;
}

/* ---- what threads do ---- */

/* The folder of blobs of the job's tenant. */
static int tenant_dir(struct errand *e, char dir[FS_PATH_MAX])
{
    struct store *store = runtime_store(e->config->runtime);
    struct row_job row;
    int rc = store->ops->get(store, ROW_KIND_job, &e->visit->job.job, &row, &e->err);
    if (rc == 0 && !blob_owner_dir(dir, e->config->blobs_dir, &row.tenant))
        rc = err_set(&e->err, ERR_INVALID, "path is too long");
    return rc;
}

/* Whether the epoch needs it: as an input, or of the checkpoint that it starts from. */
static int check_need(struct errand *e)
{
    struct given given;
    int rc = given_load(&given, e->config->specs_dir, e->config->work_dir, &e->visit->job, &e->err);
    if (rc == 0 && !given_has(&given, e->name))
        rc = err_set(&e->err, ERR_NOT_FOUND, NO_SUCH_BLOB);
    given_fini(&given);
    return rc;
}

static int run_blob(struct errand *e)
{
    char dir[FS_PATH_MAX];
    int rc = e->visit->has_job ? check_need(e) : err_set(&e->err, ERR_NOT_FOUND, NO_SUCH_BLOB);
    if (rc == 0)
        rc = tenant_dir(e, dir);
    return rc ? rc : blob_read(dir, e->name, e->offset, BLOB_PIECE_MAX, &e->out, &e->err);
}

static int run_weights(struct errand *e)
{
    char path[FS_PATH_MAX];
    const bool relative = e->location[0] != '/';
    int n = snprintf(path, sizeof path, "%s%s%s", relative ? e->config->data_dir : "", relative ? "/" : "",
                     e->location);
    if (n < 0 || n >= (int)sizeof path || !fs_exists(path))
        return err_set(&e->err, ERR_NOT_FOUND, NO_SUCH_BLOB);
    return workdir_read_at(path, e->offset, BLOB_PIECE_MAX, &e->out, &e->err);
}

static int run_prior(struct errand *e)
{
    struct data_list prior;
    bool pending;
    if (!e->visit->has_job)
        return err_set(&e->err, ERR_NOT_FOUND, "This site does not run this epoch of this job.");
    int rc = given_prior(e->config->work_dir, &e->visit->job, &prior, &pending, &e->err);
    if (rc != 0)
        return rc;
    /* A site that is out of touch brings nothing; one that is in touch and cannot is not waited for for ever. */
    pending = pending && !e->prior_away && runtime_now_ms(e->config->runtime) - e->started_ms < PRIOR_WAIT_MS;
    char dir[FS_PATH_MAX];
    if (!pending && ((rc = desk_open_folder(e->visit, dir, &e->err)) != 0 ||
                     (rc = given_settle(dir, &prior, &e->err)) != 0)) {
        data_list_free(&prior);
        return rc;
    }
    buf_addf(&e->out, ",\"pending\":%s,\"checkpoint\":", pending ? "true" : "false");
    form_write(&data_list_table, &prior, &e->out);
    data_list_free(&prior);
    return e->out.failed ? ERR_NO_MEMORY : 0;
}

static void take_epoch(void *ctx, const struct row_job_usage *row)
{
    struct visit *visit = ctx;
    if (row->epoch == visit->job.epoch && uuid_eq(&row->site, &visit->site))
        visit->has_job = true;
}

/* Of an epoch that runs there, or ran: one that was stopped before it printed anything has no folder yet. */
static int open_theirs(struct errand *e, char dir[FS_PATH_MAX])
{
    struct store *store = runtime_store(e->config->runtime);
    int rc = e->visit->has_job
                 ? 0
                 : store->ops->job_usage(store, &e->visit->job.job, take_epoch, e->visit, &e->err);
    return rc ? rc : desk_open_folder(e->visit, dir, &e->err);
}

static int run_put(struct errand *e)
{
    char dir[FS_PATH_MAX], blobs[FS_PATH_MAX];
    struct given given = {0};
    const struct blob_piece piece = {e->name, e->size, e->offset, e->in.data, e->in.len};
    uint64_t have;
    bool whole;
    int rc = open_theirs(e, dir);
    if (rc == 0)
        rc = tenant_dir(e, blobs);
    if (rc == 0)
        rc = given_load(&given, e->config->specs_dir, e->config->work_dir, &e->visit->job, &e->err);
    if (rc == 0 && given_has(&given, e->name))
        rc = blob_put(blobs, &piece, &have, &whole, &e->err);
    else if (rc == 0)
        rc = given_put(dir, blobs, &piece, &have, &whole, &e->err);
    given_fini(&given);
    if (rc == 0)
        buf_addf(&e->out, ",\"have\":%llu,\"whole\":%s", (unsigned long long)have, whole ? "true" : "false");
    return rc;
}

/* Each is here, and the epoch's to name. */
static int check_here(struct errand *e, const struct given *given, const char *epoch, const char *dir,
                      const struct data_list *list)
{
    for (uint32_t i = 0; i < list->files_count; i++) {
        const struct job_blob *file = &list->files[i];
        uint64_t have;
        bool whole;
        blob_use(dir, file->sha256); /* it is named now: not what hub/keep.h takes for forgotten */
        int rc = blob_look(dir, file->sha256, &have, &whole, &e->err);
        if (rc == 0 && (!whole || have != file->size ||
                        (!given_has(given, file->sha256) && !given_sent(epoch, file->sha256))))
            rc = err_set(&e->err, ERR_INVALID, "%.80s: the hub does not have it yet", file->name);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* What the epoch can have fetched: its inputs, and the checkpoint that it started from. */
static uint64_t most_fetched(const struct given *given)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < given->spec.inputs_count; i++)
        most += given->spec.inputs[i].size;
    for (uint32_t i = 0; i < given->prior.files_count; i++)
        most += given->prior.files[i].size;
    return most;
}

/* What there was to bring back, by the files that were looked at. */
static uint64_t most_sent(const struct data_kept *kept)
{
    const struct data_list *const lists[] = {&kept->outputs, &kept->checkpoint};
    uint64_t most = 0;
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < lists[k]->files_count; i++)
            most += lists[k]->files[i].size;
    }
    return most;
}

/* All that moved for the epoch, and no more than there was to move: a blob counts once, however often a part of it had to be sent
 * again. What came from there we have counted; of what went there the site tells what it did not have. */
static void make_meter(struct errand *e, uint64_t most_in)
{
    const struct data_kept *kept = &e->kept;
    const uint64_t most_out = most_sent(kept);
    e->meter.kind = EVENT_KIND_job_meter;
    e->meter.u.job_meter =
        (struct event_job_meter){.job = e->visit->job.job,
                                 .epoch = e->visit->job.epoch,
                                 .site = e->visit->site,
                                 .flags = JOB_METER_DATA_TOLD,
                                 .bytes_in = kept->in.fetched < most_in ? kept->in.fetched : most_in,
                                 .bytes_out = kept->sent < most_out ? kept->sent : most_out};
}

static int run_kept(struct errand *e)
{
    char dir[FS_PATH_MAX], blobs[FS_PATH_MAX], path[FS_PATH_MAX];
    struct given given = {0};
    int rc = open_theirs(e, dir);
    if (rc == 0)
        rc = tenant_dir(e, blobs);
    if (rc == 0)
        rc = given_load(&given, e->config->specs_dir, e->config->work_dir, &e->visit->job, &e->err);
    if (rc == 0)
        rc = check_here(e, &given, dir, blobs, &e->kept.outputs);
    if (rc == 0)
        rc = check_here(e, &given, dir, blobs, &e->kept.checkpoint);
    const uint64_t most_in = rc == 0 ? most_fetched(&given) : 0;
    if (rc == 0) {
        e->kept.sent = given_received(dir, &e->kept);
        /* Told again: what it sent is named, and not there any more. */
        if (e->kept.sent < given.kept.sent)
            e->kept.sent = given.kept.sent;
    }
    given_fini(&given);
    if (rc != 0)
        return rc;
    workdir_file(path, dir, DATA_KEPT);
    rc = form_save(&data_kept_table, path, &e->kept, &e->err);
    if (rc == 0)
        make_meter(e, most_in);
    if (rc == 0)
        given_done(dir);
    return rc;
}

/* ---- calls ---- */

static bool take_name(struct errand *e, const char *text, size_t len)
{
    if (!text || !blob_name_valid(text, len))
        return false;
    memcpy(e->name, text, BLOB_NAME_LEN);
    return true;
}

int desk_take_blob(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct errand *e = begin(visit, run_blob, 0, BLOB_PIECE_MAX, err);
    yyjson_val *name = yyjson_obj_get(root, "sha256"), *offset = yyjson_obj_get(root, "offset");
    if (!e)
        return err->code;
    e->raw = true;
    if (!take_name(e, yyjson_get_str(name), yyjson_get_len(name)) || !yyjson_is_uint(offset) ||
        yyjson_get_uint(offset) > BLOB_MAX)
        return err_set(err, ERR_INVALID, "sha256 and offset must say which bytes");
    e->offset = yyjson_get_uint(offset);
    e->weights = !yyjson_obj_get(root, "job");
    if (e->weights)
        e->run = run_weights;
    else if (!desk_take_job(visit, root))
        return err_set(err, ERR_INVALID, "job and epoch must say which");
    visit_ask(visit);
    return 0;
}

int desk_take_prior(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct errand *e = begin(visit, run_prior, 0, FORM_MAX, err);
    if (!e)
        return err->code;
    if (!desk_take_job(visit, root) || visit->job.epoch == 0)
        return err_set(err, ERR_INVALID, "job and epoch must say which");
    visit_ask(visit);
    return 0;
}

/* job=ID&epoch=N&sha256=NAME&size=N&offset=N, in this order. */
static bool read_query(struct errand *e)
{
    char text[256], job[UUID_TEXT_LEN + 1], name[BLOB_NAME_LEN + 1];
    unsigned long long epoch, size, offset;
    int end = 0;
    struct visit *visit = e->visit;
    const struct http_request *r = visit->request;
    if (!text_set(text, sizeof text, r->query, r->query_len) ||
        sscanf(text, "job=%36[0-9a-f-]&epoch=%10llu&sha256=%64[0-9a-f]&size=%19llu&offset=%19llu%n", job,
               &epoch, name, &size, &offset, &end) != 5 ||
        text[end] != 0 || epoch > UINT32_MAX || !uuid_parse(&visit->job.job, job, strlen(job)))
        return false;
    visit->job.epoch = (uint32_t)epoch;
    e->size = size;
    e->offset = offset;
    return take_name(e, name, strlen(name));
}

int desk_take_put(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct errand *e = begin(visit, run_put, DESK_PUT_MAX, 256, err);
    (void)root;
    if (!e)
        return err->code;
    if (!read_query(e))
        return err_set(err, ERR_INVALID, "which job, epoch, sha256, size and offset?");
    buf_fini(&e->in);
    e->in = visit->request->body; /* the site may go while a thread reads them */
    buf_init(&visit->request->body, 0);
    visit_ask(visit);
    return 0;
}

int desk_take_kept(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct errand *e = begin(visit, run_kept, 0, 256, err);
    yyjson_val *kept = yyjson_obj_get(root, "kept");
    struct buf text;
    if (!e)
        return err->code;
    if (!desk_take_job(visit, root) || !kept)
        return err_set(err, ERR_INVALID, "job, epoch and kept must say which and what");
    buf_init(&text, FORM_MAX);
    json_add(&text, kept);
    int rc = text.failed ? err_set(err, ERR_TOO_LARGE, "kept: is too long")
                         : form_read(&data_kept_table, text.data, text.len, &e->kept, err);
    buf_fini(&text);
    if (rc == 0)
        rc = data_check(e->kept.outputs.files, e->kept.outputs.files_count, err);
    if (rc == 0)
        rc = data_check(e->kept.checkpoint.files, e->kept.checkpoint.files_count, err);
    if (rc == 0)
        visit_ask(visit);
    return rc;
}
