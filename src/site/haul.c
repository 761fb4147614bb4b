/* SPDX-License-Identifier: Apache-2.0 */
#include "site/haul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/json.h"
#include "site/haul_parts.h"

#define TICK_MS 100
#define RETRY_MS 1000

static uint64_t haul_now_ms(const struct haul *h)
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

static struct item *item_add(struct haul *h, const struct job_id *id, enum haul_state state)
{
    struct item *item = calloc(1, sizeof *item);
    if (!item)
        abort(); /* a few bytes for a job of megabytes */
    *item = (struct item){.haul = h, .id = *id, .state = state};
    buf_init(&item->piece, BLOB_PIECE_MAX);
    list_push(&h->items, &item->node);
    return item;
}

/* Takes what was granted to the epoch; 0: nothing was said. */
static uint64_t take_grant(struct haul *h, const struct job_id *id)
{
    uint64_t bits_s = 0;
    list_for_each_safe (it, next, &h->grants) {
        struct grant *grant = list_entry(it, struct grant, node);
        if (grant->id.epoch != id->epoch || !uuid_eq(&grant->id.job, &id->job))
            continue;
        bits_s = grant->bits_s;
        list_remove(&grant->node);
        free(grant);
    }
    return bits_s;
}

void haul_grant(struct haul *h, const struct job_id *id, uint64_t bits_s)
{
    struct item *item = find(h, id);
    (void)take_grant(h, id);
    if (item)
        item->pace.bits_s = bits_s > 0 ? bits_s : item->pace.bits_s;
    else if (bits_s > 0) {
        struct grant *grant = calloc(1, sizeof *grant);
        if (!grant)
            abort(); /* a few bytes for a job of megabytes */
        *grant = (struct grant){.id = *id, .bits_s = bits_s};
        list_push(&h->grants, &grant->node);
    }
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
    return item->state == HAUL_LAY || item->state == HAUL_KEEP || item->state == HAUL_READ;
}

void haul_later(struct item *item, enum haul_state state)
{
    item->state = state;
    item->next_ms = haul_now_ms(item->haul) + RETRY_MS;
}

void haul_log(const char *event, const struct item *item, const char *words)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    log_info(event, "job=%s epoch=%u %s", id, item->id.epoch, words);
}

/* Runs `work` on a thread, then `after` on the loop; one that was dropped meanwhile is freed in place of that. */
void haul_thread(struct item *item, enum haul_state state, uv_work_cb work, uv_after_work_cb after)
{
    item->state = state;
    item->err = (struct err){0};
    if (uv_queue_work(&item->haul->config.loop->uv, &item->work, work, after) != 0)
        abort(); /* only without a function to call */
}

bool haul_thread_done(struct item *item)
{
    const bool goes = item->dropped || item->haul->closed;
    if (item->dropped)
        data_unstage(item->haul->config.work, &item->id);
    if (goes)
        item_free(item);
    return !goes;
}

void haul_folder(const struct item *item, const char *name, char path[FS_PATH_MAX])
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
    haul_folder(item, DATA_FOLDER, path);
    int rc = data_stage(path, blobs, item->inputs, item->inputs_count, DATA_READ_ONLY, &item->err);
    haul_folder(item, DATA_CHECKPOINT, path);
    if (rc == 0 && item->prior.files_count > 0)
        rc = data_stage(path, blobs, item->prior.files, item->prior.files_count, DATA_WRITABLE, &item->err);
    haul_folder(item, "staged", path);
    if (rc == 0)
        rc = form_save(&data_staged_table, path, &item->staged, &item->err);
}

static void after_lay(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    (void)status;
    if (!haul_thread_done(item))
        return;
    drop_wants(item);
    item->state = HAUL_READY;
    if (item->err.code == ERR_DIGEST || item->err.code == ERR_NOT_FOUND) {
        log_warn("data", "error=\"%s\"", item->err.msg); /* the cache had a damaged one: it comes again */
        haul_later(item, HAUL_FETCH);
    } else if (item->err.code != 0) {
        item->state = HAUL_FAILED;
    } else {
        haul_log("data_here", item, "");
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
        item->state = HAUL_FAILED;
    } else if (item->nhere == item->nwants && item->state == HAUL_FETCH) {
        haul_thread(item, HAUL_LAY, on_lay, after_lay);
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
    item->state = HAUL_FETCH;
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
        cache_pace(item->wants[i].want, &item->pace);
    }
    if (n == 0) /* no checkpoint, and nothing else */
        haul_thread(item, HAUL_LAY, on_lay, after_lay);
}

/* ---- calls ---- */

bool haul_reached(struct haul *h, const struct err *err)
{
    h->config.heard(h->config.ctx, err);
    return !h->closed && err->code == 0;
}

/* The item of the call that ended; NULL: it is wanted no more. */
struct item *haul_finished(struct haul *h)
{
    struct item *item = h->busy;
    h->busy = NULL;
    return h->closed ? NULL : item;
}

void haul_add_id(struct buf *out, const struct item *item)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u", id, item->id.epoch);
}

static void on_prior(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct haul *h = ctx;
    struct item *item = haul_finished(h);
    struct buf text;
    bool here = haul_reached(h, err);
    if (!item)
        return;
    if (!here && err->code == ERR_NOT_FOUND) { /* the hub has taken it back, and says so */
        item->err = *err;
        item->state = HAUL_FAILED;
        return;
    }
    if (!here || yyjson_is_true(yyjson_obj_get(answer, "pending"))) {
        haul_later(item, HAUL_ASK);
        return;
    }
    buf_init(&text, FORM_MAX);
    json_add(&text, yyjson_obj_get(answer, "checkpoint"));
    if (form_read(&data_list_table, text.data, text.len, &item->prior, &item->err) != 0 ||
        data_check(item->prior.files, item->prior.files_count, &item->err) != 0)
        item->state = HAUL_FAILED;
    else
        fetch(item);
    buf_fini(&text);
    haul_pump(h);
}

static void ask_prior(struct item *item)
{
    struct haul *h = item->haul;
    struct buf body;
    buf_init(&body, 256);
    haul_add_id(&body, item);
    buf_add_char(&body, '}');
    h->busy = item;
    link_post(h->link, "/site/v1/prior", &body, on_prior, h);
    buf_fini(&body);
}

/* ---- what is next ---- */

/* What jobs wait for comes first. */
static struct item *next_call(struct haul *h)
{
    static const enum haul_state order[] = {HAUL_ASK, HAUL_TELL, HAUL_SEND};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        list_for_each_safe (it, next, &h->items) {
            struct item *item = list_entry(it, struct item, node);
            if (!item->dropped && item->state == order[i] && haul_now_ms(h) >= item->next_ms)
                return item;
        }
    }
    return NULL;
}

void haul_pump(struct haul *h)
{
    struct item *item;
    if (h->closed)
        return;
    list_for_each_safe (it, next, &h->items) {
        item = list_entry(it, struct item, node);
        if (!item->dropped && item->state == HAUL_LOOK && haul_now_ms(h) >= item->next_ms)
            haul_keep(item);
        else if (!item->dropped && item->state == HAUL_FETCH && item->nwants == 0 &&
                 haul_now_ms(h) >= item->next_ms)
            fetch(item);
    }
    while (!link_busy(h->link) && (item = next_call(h)) != NULL) {
        if (item->state == HAUL_ASK)
            ask_prior(item);
        else if (item->state == HAUL_SEND)
            haul_send(item);
        else
            haul_tell(item);
    }
}

/* Those that were submitted, and those whose folder has gone, are needed no more. */
static bool is_past(const struct item *item)
{
    char path[FS_PATH_MAX];
    haul_folder(item, item->state == HAUL_READY ? "spec" : "exit", path);
    return item->state == HAUL_READY ? fs_exists(path) : item->state == HAUL_SETTLED && !fs_exists(path);
}

static void on_tick(uv_timer_t *timer)
{
    struct haul *h = timer->data;
    list_for_each_safe (it, next, &h->items) {
        struct item *item = list_entry(it, struct item, node);
        if (is_past(item))
            item_free(item);
    }
    haul_pump(h);
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
    if (item && item->state == HAUL_READY && fs_exists(path))
        return 0;
    if (item && item->state == HAUL_FAILED) {
        *err = item->err;
        item_free(item);
        return err->code == ERR_UNAVAILABLE ? ERR_IO : err->code;
    }
    if (item && item->state == HAUL_READY) {
        item_free(item); /* somebody removed it */
        item = NULL;
    }
    if (!item) {
        item = item_add(h, id, prior ? HAUL_ASK : HAUL_FETCH);
        item->pace.bits_s = take_grant(h, id);
        item->inputs = spec->inputs;
        item->inputs_count = spec->inputs_count;
        spec->inputs = NULL;
        spec->inputs_count = 0;
        haul_pump(h);
    }
    return err_set(err, ERR_UNAVAILABLE, "its data is not here yet");
}

void haul_forget(struct haul *h, const struct job_id *id)
{
    struct item *item = find(h, id);
    (void)take_grant(h, id);
    if (!item) { /* it failed, and its item has gone: what was laid has not */
        data_unstage(h->config.work, id);
        return;
    }
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
    char dir[FS_PATH_MAX];
    (void)take_grant(h, id);
    if (item && item->state >= HAUL_LOOK)
        return;
    workdir_path(dir, h->config.work, id);
    if (!item && !data_concerns(dir))
        return;
    if (item)
        haul_forget(h, id);
    (void)item_add(h, id, HAUL_LOOK);
    haul_pump(h);
}

bool haul_settled(const struct haul *h, const struct job_id *id)
{
    const struct item *item = find(h, id);
    return !item || item->state == HAUL_SETTLED;
}

/* ---- the whole ---- */

int haul_new(struct haul **out, const struct haul_config *config, struct err *err)
{
    struct haul *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    h->config = *config;
    list_init(&h->items);
    list_init(&h->grants);
    int rc = link_open(&h->link, config->loop, config->hub, config->tls, err);
    if (rc != 0) {
        free(h);
        return rc;
    }
    link_watch(h->link, config->gauge);
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
    if (!h)
        return;
    list_for_each_safe (it, next, &h->grants) {
        struct grant *grant = list_entry(it, struct grant, node);
        list_remove(&grant->node);
        free(grant);
    }
    free(h);
}
