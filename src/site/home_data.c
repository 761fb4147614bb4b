/* SPDX-License-Identifier: Apache-2.0 */
#include "site/home_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "engine/data.h"

#define TICK_MS 200
#define RETRY_MS 2000
#define THREADS_MAX 2       /* of those that all share */
#define PRIOR_WAIT_MS 60000 /* for what the epoch before leaves elsewhere */

enum item_state { ITEM_LAY, ITEM_LAYING, ITEM_READY, ITEM_FAILED, ITEM_KEEP, ITEM_KEEPING, ITEM_SETTLED };

struct item {
    struct list node;
    struct home_data *data;
    struct job_id id;
    enum item_state state;
    bool dropped, pending, late;
    uint64_t since_ms, next_ms;
    uv_work_t work;
    struct err err;
};

struct home_data {
    struct loop *loop;
    struct runtime *runtime;
    const char *blobs, *work;
    struct list items;
    uint32_t threads;
    uv_timer_t timer;
    bool closed;
};

static uint64_t now_ms(const struct home_data *d)
{
    return uv_now(&d->loop->uv);
}

static struct item *find(const struct home_data *d, const struct job_id *id)
{
    list_for_each_safe (it, next, &d->items) {
        struct item *item = list_entry(it, struct item, node);
        if (!item->dropped && item->id.epoch == id->epoch && uuid_eq(&item->id.job, &id->job))
            return item;
    }
    return NULL;
}

static struct item *item_add(struct home_data *d, const struct job_id *id, enum item_state state)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        abort(); /* a few bytes for a job of megabytes */
    *item = (struct item){.data = d, .id = *id, .state = state, .since_ms = now_ms(d)};
    list_push(&d->items, &item->node);
    return item;
}

static void item_free(struct item *item)
{
    list_remove(&item->node);
    free(item);
}

static void file_of(const struct item *item, const char *name, char path[FS_PATH_MAX])
{
    char dir[FS_PATH_MAX];
    workdir_path(dir, item->data->work, &item->id);
    workdir_file(path, dir, name);
}

/* ---- on threads ---- */

static int tenant_dir(struct item *item, char dir[FS_PATH_MAX])
{
    struct store *store = runtime_store(item->data->runtime);
    struct row_job row;
    int rc = store->ops->get(store, ROW_KIND_job, &item->id.job, &row, &item->err);
    if (rc == 0 && !blob_owner_dir(dir, item->data->blobs, &row.tenant))
        rc = err_set(&item->err, ERR_INVALID, "path is too long");
    return rc;
}

static uint64_t bytes_of(const struct job_blob *files, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += files[i].size;
    return sum;
}

static int lay(struct item *item, const struct job_spec *spec, const struct data_list *prior)
{
    char blobs[FS_PATH_MAX], path[FS_PATH_MAX];
    const struct data_staged staged = {.bytes = bytes_of(spec->inputs, spec->inputs_count) +
                                                bytes_of(prior->files, prior->files_count)};
    int rc = tenant_dir(item, blobs);
    file_of(item, DATA_FOLDER, path);
    if (rc == 0)
        rc = data_stage(path, blobs, spec->inputs, spec->inputs_count, DATA_READ_ONLY, &item->err);
    file_of(item, DATA_CHECKPOINT, path);
    if (rc == 0 && prior->files_count > 0)
        rc = data_stage(path, blobs, prior->files, prior->files_count, DATA_WRITABLE, &item->err);
    file_of(item, "staged", path);
    return rc ? rc : form_save(&data_staged_table, path, &staged, &item->err);
}

struct laying {
    struct item *item;
    uv_work_t work;
    struct job_spec spec;
};

static void on_lay(uv_work_t *work)
{
    struct laying *l = list_entry(work, struct laying, work);
    struct item *item = l->item;
    struct data_list prior = {0};
    int rc = 0;
    item->pending = false;
    if (l->spec.checkpoint && item->id.epoch > 1)
        rc = data_prior(item->data->work, &item->id, &prior, &item->pending, &item->err);
    item->pending = item->pending && !item->late;
    if (rc == 0 && !item->pending)
        rc = lay(item, &l->spec, &prior);
    item->err.code = rc;
    data_list_free(&prior);
}

static void on_keep(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    struct data_kept kept = {0};
    bool wanted = false;
    char dir[FS_PATH_MAX], blobs[FS_PATH_MAX], path[FS_PATH_MAX];
    workdir_path(dir, item->data->work, &item->id);
    workdir_file(path, dir, DATA_KEPT);
    if (fs_exists(path))
        return;
    int rc = tenant_dir(item, blobs);
    if (rc == 0)
        rc = data_keep(dir, blobs, blobs, &kept, &wanted, &item->err);
    if (rc == 0 && wanted)
        rc = form_save(&data_kept_table, path, &kept, &item->err);
    data_kept_free(&kept); /* nothing is in it where data_keep failed */
    if (rc == ERR_TOO_LARGE)
        log_error("data", "error=\"what is to be kept of a job never can be: %s\"", item->err.msg);
    item->err.code = rc == ERR_NOT_FOUND || rc == ERR_TOO_LARGE ? 0 : rc; /* it never ran, or never can */
}

/* ---- on the loop ---- */

static void pump(struct home_data *d);

static bool thread_done(struct item *item)
{
    struct home_data *d = item->data;
    const bool goes = item->dropped || d->closed;
    d->threads--;
    if (item->dropped)
        data_unstage(d->work, &item->id);
    if (goes)
        item_free(item);
    return !goes;
}

static void after_lay(uv_work_t *work, int status)
{
    struct laying *l = list_entry(work, struct laying, work);
    struct item *item = l->item;
    struct home_data *d = item->data;
    (void)status;
    job_spec_free(&l->spec);
    free(l);
    if (!thread_done(item))
        return;
    item->state = item->err.code != 0 ? ITEM_FAILED : item->pending ? ITEM_LAY : ITEM_READY;
    item->next_ms = now_ms(d) + TICK_MS;
    pump(d);
}

static void after_keep(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    struct home_data *d = item->data;
    (void)status;
    if (!thread_done(item))
        return;
    item->state = item->err.code == 0 ? ITEM_SETTLED : ITEM_KEEP;
    item->next_ms = now_ms(d) + RETRY_MS;
    if (item->err.code != 0) /* a full disk, say: it is tried again */
        log_error("data", "error=\"what is to be kept of a job is not yet: %s\"", item->err.msg);
    item->err = (struct err){0};
    pump(d);
}

static void pump(struct home_data *d)
{
    list_for_each_safe (it, next, &d->items) {
        struct item *item = list_entry(it, struct item, node);
        if (d->closed || d->threads == THREADS_MAX)
            return;
        if (item->dropped || item->state != ITEM_KEEP || now_ms(d) < item->next_ms)
            continue;
        item->state = ITEM_KEEPING;
        d->threads++;
        if (uv_queue_work(&d->loop->uv, &item->work, on_keep, after_keep) != 0)
            abort(); /* only without a function to call */
    }
}

/* What was submitted, and what was said of an end a while ago, is needed no more. */
static void on_tick(uv_timer_t *timer)
{
    struct home_data *d = timer->data;
    list_for_each_safe (it, next, &d->items) {
        struct item *item = list_entry(it, struct item, node);
        char spec[FS_PATH_MAX];
        file_of(item, "spec", spec);
        if ((item->state == ITEM_READY && fs_exists(spec)) ||
            (item->state == ITEM_SETTLED && now_ms(d) - item->since_ms > 2 * HOME_DATA_FLUSH_MS))
            item_free(item);
    }
    pump(d);
}

/* ---- what others say ---- */

/* The specification is read again, as the thread's own. */
static bool start_lay(struct item *item, const struct job_spec *spec)
{
    struct home_data *d = item->data;
    struct laying *l = calloc(1, sizeof *l);
    struct buf text;
    struct err err;
    if (!l)
        return false;
    l->item = item;
    buf_init(&text, 2 * FORM_MAX);
    form_write(&job_spec_table, spec, &text);
    int rc = text.failed ? ERR_NO_MEMORY : form_read(&job_spec_table, text.data, text.len, &l->spec, &err);
    buf_fini(&text);
    if (rc != 0) {
        free(l);
        return false;
    }
    item->state = ITEM_LAYING;
    d->threads++;
    if (uv_queue_work(&d->loop->uv, &l->work, on_lay, after_lay) != 0)
        abort(); /* only without a function to call */
    return true;
}

int home_data_ready(struct home_data *d, const struct job_id *id, const struct job_spec *spec,
                    struct err *err)
{
    struct item *item = find(d, id);
    char path[FS_PATH_MAX], dir[FS_PATH_MAX];
    if (spec->inputs_count == 0 && !(spec->checkpoint && id->epoch > 1))
        return 0;
    workdir_path(dir, d->work, id);
    workdir_file(path, dir, "spec");
    if (fs_exists(path) || (item && item->state == ITEM_READY))
        return 0;
    if (item && item->state == ITEM_FAILED) {
        *err = item->err;
        item_free(item);
        return err->code;
    }
    if (!item)
        item = item_add(d, id, ITEM_LAY);
    if (item->state == ITEM_LAYING)
        return err_set(err, ERR_UNAVAILABLE, "its data is not here yet");
    item->late = now_ms(d) - item->since_ms > PRIOR_WAIT_MS; /* then it starts from nothing */
    if (item->state == ITEM_LAY && now_ms(d) >= item->next_ms && d->threads < THREADS_MAX)
        (void)start_lay(item, spec);
    return err_set(err, ERR_UNAVAILABLE, "its data is not here yet");
}

void home_data_forget(struct home_data *d, const struct job_id *id)
{
    struct item *item = find(d, id);
    if (!item) { /* it failed, and its item has gone: what was laid has not */
        data_unstage(d->work, id);
        return;
    }
    item->dropped = true;
    if (item->state == ITEM_LAYING || item->state == ITEM_KEEPING)
        return;
    data_unstage(d->work, id);
    item_free(item);
}

bool home_data_over(struct home_data *d, const struct job_id *id)
{
    struct item *item = find(d, id);
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    workdir_path(dir, d->work, id);
    workdir_file(path, dir, DATA_KEPT);
    if (fs_exists(path) || (!item && !data_concerns(dir)))
        return true;
    if (item && item->state < ITEM_KEEP) {
        home_data_forget(d, id); /* it was submitted, and has ended before anybody looked */
        item = NULL;
    }
    if (!item)
        item = item_add(d, id, ITEM_KEEP);
    pump(d);
    return item->state == ITEM_SETTLED || now_ms(d) - item->since_ms > HOME_DATA_FLUSH_MS;
}

/* ---- the whole ---- */

int home_data_new(struct home_data **out, struct loop *loop, struct runtime *runtime, const char *blobs,
                  const char *work, struct err *err)
{
    struct home_data *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *d = (struct home_data){.loop = loop, .runtime = runtime, .blobs = blobs, .work = work};
    list_init(&d->items);
    data_sweep(work);
    uv_timer_init(&loop->uv, &d->timer);
    d->timer.data = d;
    uv_timer_start(&d->timer, on_tick, TICK_MS, TICK_MS);
    *out = d;
    return 0;
}

void home_data_close(struct home_data *d)
{
    d->closed = true;
    uv_close((uv_handle_t *)&d->timer, NULL);
    list_for_each_safe (it, next, &d->items) {
        struct item *item = list_entry(it, struct item, node);
        if (item->state != ITEM_LAYING && item->state != ITEM_KEEPING)
            item_free(item);
    }
}

void home_data_free(struct home_data *d)
{
    free(d);
}
