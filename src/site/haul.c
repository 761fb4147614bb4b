/* SPDX-License-Identifier: Apache-2.0 */
#include "site/haul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "engine/data.h"
#include "net/json.h"

#define TICK_MS 100
#define RETRY_MS 1000
#define CALL_PATH_MAX 320

enum item_state {
    ITEM_ASK,    /* which checkpoint it starts from */
    ITEM_FETCH,  /* files come */
    ITEM_LAY,    /* a thread lays them into its folder */
    ITEM_READY,  /* they are there, until it is submitted */
    ITEM_FAILED, /* they cannot be brought */
    ITEM_LOOK,   /* over: its folder is to be looked through */
    ITEM_KEEP,   /* a thread does */
    ITEM_SEND,   /* the hub is asked how much of a file it has, and sent more */
    ITEM_READ,   /* a thread reads a piece */
    ITEM_TELL,   /* all is there: what was kept is told */
    ITEM_SETTLED,
};

struct want {
    struct item *item;
    struct cache_want *want;
    bool here;
};

struct item {
    struct list node;
    struct haul *haul;
    struct job_id id;
    enum item_state state;
    bool checkpoint; /* it starts from one, if there is one */
    bool dropped;    /* freed when the thread is done with it */
    uint64_t next_ms;
    struct job_blob *inputs;
    uint32_t inputs_count;
    struct data_list prior;
    struct want *wants; /* of inputs, then of the checkpoint's files */
    uint32_t nwants, nhere;
    struct data_staged staged;
    /* of an end */
    struct data_kept kept;
    bool wanted;
    uint32_t file;   /* that is sent: outputs, then the checkpoint's */
    uint64_t offset; /* of it the hub has */
    struct buf piece;
    bool asked; /* the hub has told what it has of the file */
    /* of the thread */
    uv_work_t work;
    struct err err;
};

struct haul {
    struct haul_config config;
    struct link *link;
    struct list items;
    struct item *busy; /* that the call is about; NULL: it has been dropped, or there is none */
    uv_timer_t timer;
    bool closed;
};

static void pump(struct haul *h);

static uint64_t now_ms(const struct haul *h)
{
    return uv_now(&h->config.loop->uv);
}

/* ---- items ---- */

static struct item *find(const struct haul *h, const struct job_id *id)
{
    list_for_each_safe (it, next, &h->items) {
        struct item *item = list_entry(it, struct item, node);
        if (!item->dropped && item->id.epoch == id->epoch && uuid_eq(&item->id.job, &id->job))
            return item;
    }
    return NULL;
}

static struct item *item_add(struct haul *h, const struct job_id *id, enum item_state state)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        abort(); /* a few bytes for a job of megabytes */
    *item = (struct item){.haul = h, .id = *id, .state = state};
    buf_init(&item->piece, BLOB_PIECE_MAX);
    list_push(&h->items, &item->node);
    return item;
}

static void drop_wants(struct item *item)
{
    for (uint32_t i = 0; i < item->nwants; i++)
        cache_drop(item->wants[i].want);
    free(item->wants);
    item->wants = NULL;
    item->nwants = item->nhere = 0;
}

static void free_blobs(struct job_blob *files, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free(files[i].name);
        free(files[i].sha256);
    }
    free(files);
}

static void item_free(struct item *item)
{
    if (item->haul->busy == item)
        item->haul->busy = NULL;
    drop_wants(item);
    free_blobs(item->inputs, item->inputs_count);
    data_list_free(&item->prior);
    data_kept_free(&item->kept);
    buf_fini(&item->piece);
    list_remove(&item->node);
    free(item);
}

static bool on_thread(const struct item *item)
{
    return item->state == ITEM_LAY || item->state == ITEM_KEEP || item->state == ITEM_READ;
}

static void later(struct item *item, enum item_state state)
{
    item->state = state;
    item->next_ms = now_ms(item->haul) + RETRY_MS;
}

static void item_log(const char *event, const struct item *item, const char *words)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    log_info(event, "job=%s epoch=%u %s", id, item->id.epoch, words);
}

/* Runs `work` on a thread, then `after` on the loop; one that was dropped meanwhile is freed in place of that. */
static void start_thread(struct item *item, enum item_state state, uv_work_cb work, uv_after_work_cb after)
{
    item->state = state;
    item->err = (struct err){0};
    if (uv_queue_work(&item->haul->config.loop->uv, &item->work, work, after) != 0)
        abort(); /* only without a function to call */
}

static bool thread_done(struct item *item)
{
    const bool goes = item->dropped || item->haul->closed;
    if (item->dropped)
        data_unstage(item->haul->config.work, &item->id);
    if (goes)
        item_free(item);
    return !goes;
}

static void folder_of(const struct item *item, const char *name, char path[FS_PATH_MAX])
{
    char dir[FS_PATH_MAX];
    workdir_path(dir, item->haul->config.work, &item->id);
    workdir_file(path, dir, name);
}

/* ---- before it starts ---- */

static void on_lay(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    const char *blobs = cache_dir(item->haul->config.cache);
    char path[FS_PATH_MAX];
    folder_of(item, DATA_FOLDER, path);
    int rc = data_stage(path, blobs, item->inputs, item->inputs_count, DATA_READ_ONLY, &item->err);
    folder_of(item, DATA_CHECKPOINT, path);
    if (rc == 0 && item->prior.files_count > 0)
        rc = data_stage(path, blobs, item->prior.files, item->prior.files_count, DATA_WRITABLE, &item->err);
    folder_of(item, "staged", path);
    if (rc == 0)
        rc = form_save(&data_staged_table, path, &item->staged, &item->err);
}

static void after_lay(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    (void)status;
    if (!thread_done(item))
        return;
    drop_wants(item);
    item->state = ITEM_READY;
    if (item->err.code == ERR_DIGEST || item->err.code == ERR_NOT_FOUND) {
        log_warn("data", "error=\"%s\"", item->err.msg); /* the cache had a damaged one: it comes again */
        later(item, ITEM_FETCH);
    } else if (item->err.code != 0) {
        item->state = ITEM_FAILED;
    } else {
        item_log("data_here", item, "");
    }
}

static void on_here(void *ctx, const struct err *err, const char *path)
{
    struct want *want = ctx;
    struct item *item = want->item;
    (void)path;
    want->here = err->code == 0;
    item->nhere += want->here;
    item->staged.fetched += cache_fetched(want->want);
    if (err->code != 0) {
        item->err = *err;
        item->state = ITEM_FAILED;
    } else if (item->nhere == item->nwants && item->state == ITEM_FETCH) {
        start_thread(item, ITEM_LAY, on_lay, after_lay);
    }
}

static const struct job_blob *needed(const struct item *item, uint32_t i)
{
    return i < item->inputs_count ? &item->inputs[i] : &item->prior.files[i - item->inputs_count];
}

static void fetch(struct item *item)
{
    const uint32_t n = item->inputs_count + item->prior.files_count;
    char reason[CACHE_REASON_MAX], id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    (void)snprintf(reason, sizeof reason, "\"job\":\"%s\",\"epoch\":%u", id, item->id.epoch);
    item->state = ITEM_FETCH;
    item->staged.bytes = 0;
    item->wants = calloc(n + 1, sizeof *item->wants);
    if (!item->wants)
        abort();
    item->nwants = n;
    for (uint32_t i = 0; i < n; i++) {
        const struct job_blob *file = needed(item, i);
        item->staged.bytes += file->size;
        item->wants[i].item = item;
        item->wants[i].want =
            cache_get(item->haul->config.cache, file->sha256, file->size, reason, on_here, &item->wants[i]);
    }
    if (n == 0) /* no checkpoint, and nothing else */
        start_thread(item, ITEM_LAY, on_lay, after_lay);
}

/* ---- calls ---- */

static bool reached(struct haul *h, const struct err *err)
{
    h->config.heard(h->config.ctx, err);
    return !h->closed && err->code == 0;
}

/* The item of the call that ended; NULL: it is wanted no more. */
static struct item *finished(struct haul *h)
{
    struct item *item = h->busy;
    h->busy = NULL;
    return h->closed ? NULL : item;
}

static void add_id(struct buf *out, const struct item *item)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u", id, item->id.epoch);
}

static void on_prior(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct haul *h = ctx;
    struct item *item = finished(h);
    struct buf text;
    bool here = reached(h, err);
    if (!item)
        return;
    if (!here && err->code == ERR_NOT_FOUND) { /* the hub has taken it back, and says so */
        item->err = *err;
        item->state = ITEM_FAILED;
        return;
    }
    if (!here || yyjson_is_true(yyjson_obj_get(answer, "pending"))) {
        later(item, ITEM_ASK);
        return;
    }
    buf_init(&text, FORM_MAX);
    json_add(&text, yyjson_obj_get(answer, "checkpoint"));
    if (form_read(&data_list_table, text.data, text.len, &item->prior, &item->err) != 0 ||
        data_check(item->prior.files, item->prior.files_count, &item->err) != 0)
        item->state = ITEM_FAILED;
    else
        fetch(item);
    buf_fini(&text);
    pump(h);
}

static void ask_prior(struct item *item)
{
    struct haul *h = item->haul;
    struct buf body;
    buf_init(&body, 256);
    add_id(&body, item);
    buf_add_char(&body, '}');
    h->busy = item;
    link_post(h->link, "/site/v1/prior", &body, on_prior, h);
    buf_fini(&body);
}

/* ---- after its end ---- */

static uint32_t files_of(const struct item *item)
{
    return item->kept.outputs.files_count + item->kept.checkpoint.files_count;
}

static const struct job_blob *file_at(const struct item *item, const char **folder)
{
    const uint32_t n = item->kept.outputs.files_count;
    *folder = item->file < n ? DATA_FOLDER : DATA_CHECKPOINT;
    return item->file < n ? &item->kept.outputs.files[item->file]
                          : &item->kept.checkpoint.files[item->file - n];
}

/* A checkpoint goes to the cache as well: the next epoch is often here. */
static void on_keep(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    char dir[FS_PATH_MAX];
    workdir_path(dir, item->haul->config.work, &item->id);
    item->err.code =
        data_keep(dir, NULL, cache_dir(item->haul->config.cache), &item->kept, &item->wanted, &item->err);
}

static void after_keep(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    struct haul *h = item->haul;
    (void)status;
    if (!thread_done(item))
        return;
    if (item->err.code == ERR_NOT_FOUND)
        item->state = ITEM_SETTLED; /* nothing ran */
    else if (item->err.code != 0) {
        log_warn("data", "error=\"%s\"", item->err.msg);
        later(item, ITEM_LOOK);
    } else {
        item->state = !item->wanted ? ITEM_SETTLED : files_of(item) > 0 ? ITEM_SEND : ITEM_TELL;
    }
    pump(h);
}

static void on_read(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    const char *name;
    char folder[FS_PATH_MAX];
    const struct job_blob *file = file_at(item, &name);
    folder_of(item, name, folder);
    int fd = data_open(folder, file->name);
    ssize_t n = -1;
    if (fd >= 0 && buf_reserve(&item->piece, BLOB_PIECE_MAX))
        n = pread(fd, item->piece.data, BLOB_PIECE_MAX, (off_t)item->offset);
    if (fd >= 0)
        (void)close(fd);
    if (n > 0)
        item->piece.len = (size_t)n;
    else
        err_set(&item->err, ERR_IO, "%.80s changed after the end", file->name);
}

static void after_read(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    struct haul *h = item->haul;
    (void)status;
    if (!thread_done(item))
        return;
    item->state = ITEM_SEND;
    if (item->err.code != 0) { /* then what is there now */
        log_warn("data", "error=\"%s\"", item->err.msg);
        data_kept_free(&item->kept);
        item->file = 0;
        later(item, ITEM_LOOK);
    }
    pump(h);
}

/* What the hub has of the file is told by each answer; only a piece that begins there counts. */
static void on_sent(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct haul *h = ctx;
    struct item *item = finished(h);
    const char *folder;
    bool here = reached(h, err);
    if (!item)
        return;
    if (here) {
        const uint64_t have = yyjson_get_uint(yyjson_obj_get(answer, "have"));
        item->kept.sent += have > item->offset && item->asked ? have - item->offset : 0;
        item->asked = true;
        item->offset = have;
        buf_clear(&item->piece);
        if (yyjson_is_true(yyjson_obj_get(answer, "whole"))) {
            item->file++;
            item->offset = 0;
            item->asked = false;
        } else if (have < file_at(item, &folder)->size) {
            start_thread(item, ITEM_READ, on_read, after_read);
        }
        if (item->file == files_of(item))
            item->state = ITEM_TELL;
        pump(h);
        return;
    }
    item->asked = false;
    item->offset = 0;
    buf_clear(&item->piece);
    later(item, ITEM_SEND);
    if (err->code == ERR_NOT_FOUND) {
        item_log("data_not_wanted", item, "");
        item->state = ITEM_SETTLED; /* the hub knows nothing of it */
    } else if (err->code == ERR_INVALID) {
        log_warn("data", "error=\"%s\"", err->msg);
        data_kept_free(&item->kept);
        item->file = 0;
        later(item, ITEM_LOOK);
    }
}

static void send_piece(struct item *item)
{
    struct haul *h = item->haul;
    char path[CALL_PATH_MAX], id[UUID_TEXT_LEN + 1];
    const char *folder;
    const struct job_blob *file = file_at(item, &folder);
    uuid_format(id, &item->id.job);
    (void)snprintf(path, sizeof path, "/site/v1/put?job=%s&epoch=%u&sha256=%s&size=%llu&offset=%llu", id,
                   item->id.epoch, file->sha256, (unsigned long long)file->size,
                   (unsigned long long)item->offset);
    h->busy = item;
    link_post(h->link, path, &item->piece, on_sent, h);
}

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct haul *h = ctx;
    struct item *item = finished(h);
    (void)answer;
    bool here = reached(h, err);
    if (!item)
        return;
    if (here || err->code == ERR_NOT_FOUND) {
        item->state = ITEM_SETTLED;
        item_log("data_kept", item, "");
        return;
    }
    item->file = 0; /* something went there: each file is asked for again */
    later(item, files_of(item) > 0 ? ITEM_SEND : ITEM_TELL);
}

static void tell(struct item *item)
{
    struct haul *h = item->haul;
    struct buf body;
    buf_init(&body, FORM_MAX);
    add_id(&body, item);
    buf_add_text(&body, ",\"kept\":");
    form_write(&data_kept_table, &item->kept, &body);
    buf_add_char(&body, '}');
    if (body.failed) {
        log_error("data", "error=\"the names of what it left are too long to be told\"");
        item->state = ITEM_SETTLED;
    } else {
        h->busy = item;
        link_post(h->link, "/site/v1/kept", &body, on_told, h);
    }
    buf_fini(&body);
}

/* ---- what is next ---- */

/* What jobs wait for comes first. */
static struct item *next_call(struct haul *h)
{
    static const enum item_state order[] = {ITEM_ASK, ITEM_TELL, ITEM_SEND};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        list_for_each_safe (it, next, &h->items) {
            struct item *item = list_entry(it, struct item, node);
            if (!item->dropped && item->state == order[i] && now_ms(h) >= item->next_ms)
                return item;
        }
    }
    return NULL;
}

static void pump(struct haul *h)
{
    struct item *item;
    if (h->closed)
        return;
    list_for_each_safe (it, next, &h->items) {
        item = list_entry(it, struct item, node);
        if (!item->dropped && item->state == ITEM_LOOK && now_ms(h) >= item->next_ms)
            start_thread(item, ITEM_KEEP, on_keep, after_keep);
        else if (!item->dropped && item->state == ITEM_FETCH && item->nwants == 0 &&
                 now_ms(h) >= item->next_ms)
            fetch(item);
    }
    while (!link_busy(h->link) && (item = next_call(h)) != NULL) {
        if (item->state == ITEM_ASK)
            ask_prior(item);
        else if (item->state == ITEM_SEND)
            send_piece(item);
        else
            tell(item);
    }
}

/* Those that were submitted, and those whose folder has gone, are needed no more. */
static bool is_past(const struct item *item)
{
    char path[FS_PATH_MAX];
    folder_of(item, item->state == ITEM_READY ? "spec" : "exit", path);
    return item->state == ITEM_READY ? fs_exists(path) : item->state == ITEM_SETTLED && !fs_exists(path);
}

static void on_tick(uv_timer_t *timer)
{
    struct haul *h = timer->data;
    list_for_each_safe (it, next, &h->items) {
        struct item *item = list_entry(it, struct item, node);
        if (is_past(item))
            item_free(item);
    }
    pump(h);
}

/* ---- what others say ---- */

int haul_ready(struct haul *h, const struct job_id *id, struct job_spec *spec, struct err *err)
{
    struct item *item = find(h, id);
    char path[FS_PATH_MAX], dir[FS_PATH_MAX];
    const bool prior = spec->checkpoint && id->epoch > 1;
    if (spec->inputs_count == 0 && !prior)
        return 0;
    workdir_path(dir, h->config.work, id);
    workdir_file(path, dir, "spec");
    if (fs_exists(path))
        return 0; /* it was submitted before */
    workdir_file(path, dir, "staged");
    if (item && item->state == ITEM_READY && fs_exists(path))
        return 0;
    if (item && item->state == ITEM_FAILED) {
        *err = item->err;
        item_free(item);
        return err->code == ERR_UNAVAILABLE ? ERR_IO : err->code;
    }
    if (item && item->state == ITEM_READY) {
        item_free(item); /* somebody removed it */
        item = NULL;
    }
    if (!item) {
        item = item_add(h, id, prior ? ITEM_ASK : ITEM_FETCH);
        item->inputs = spec->inputs;
        item->inputs_count = spec->inputs_count;
        spec->inputs = NULL;
        spec->inputs_count = 0;
        pump(h);
    }
    return err_set(err, ERR_UNAVAILABLE, "its data is not here yet");
}

void haul_forget(struct haul *h, const struct job_id *id)
{
    struct item *item = find(h, id);
    if (!item)
        return;
    item->dropped = true;
    if (h->busy == item)
        h->busy = NULL;
    drop_wants(item);
    if (on_thread(item))
        return;
    data_unstage(h->config.work, id);
    item_free(item);
}

void haul_over(struct haul *h, const struct job_id *id)
{
    struct item *item = find(h, id);
    if (item && item->state >= ITEM_LOOK)
        return;
    if (item)
        haul_forget(h, id);
    (void)item_add(h, id, ITEM_LOOK);
    pump(h);
}

bool haul_settled(const struct haul *h, const struct job_id *id)
{
    const struct item *item = find(h, id);
    return !item || item->state == ITEM_SETTLED;
}

/* ---- the whole ---- */

int haul_new(struct haul **out, const struct haul_config *config, struct err *err)
{
    struct haul *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    h->config = *config;
    list_init(&h->items);
    int rc = link_open(&h->link, config->loop, config->hub, config->tls, err);
    if (rc != 0) {
        free(h);
        return rc;
    }
    data_sweep(config->work);
    uv_timer_init(&config->loop->uv, &h->timer);
    h->timer.data = h;
    uv_timer_start(&h->timer, on_tick, TICK_MS, TICK_MS);
    *out = h;
    return 0;
}

void haul_close(struct haul *h)
{
    h->closed = true;
    uv_close((uv_handle_t *)&h->timer, NULL);
    link_close(h->link);
    list_for_each_safe (it, next, &h->items) {
        struct item *item = list_entry(it, struct item, node);
        drop_wants(item);
        if (!on_thread(item))
            item_free(item);
    }
}

void haul_free(struct haul *h)
{
    free(h);
}
