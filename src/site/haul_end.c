/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of epochs that are over: found in their folders, sent, told. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "site/haul_parts.h"

#define CALL_PATH_MAX 320

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

static void on_keep(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    char dir[FS_PATH_MAX];
    workdir_path(dir, item->haul->config.work, &item->id);
    item->err.code =
        data_keep_here(dir, cache_dir(item->haul->config.cache), &item->kept, &item->wanted, &item->err);
}

static void after_keep(uv_work_t *work, int status)
{
    struct item *item = list_entry(work, struct item, work);
    struct haul *h = item->haul;
    (void)status;
    if (!haul_thread_done(item))
        return;
    if (item->err.code == ERR_NOT_FOUND)
        item->state = HAUL_SETTLED; /* nothing ran */
    else if (item->err.code != 0) {
        log_warn("data", "error=\"%s\"", item->err.msg);
        haul_later(item, HAUL_LOOK);
    } else {
        item->state = !item->wanted ? HAUL_SETTLED : files_of(item) > 0 ? HAUL_SEND : HAUL_TELL;
    }
    haul_pump(h);
}

static void on_read(uv_work_t *work)
{
    struct item *item = list_entry(work, struct item, work);
    const char *name;
    char folder[FS_PATH_MAX];
    const struct job_blob *file = file_at(item, &name);
    haul_folder(item, name, folder);
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
    if (!haul_thread_done(item))
        return;
    item->state = HAUL_SEND;
    if (item->err.code != 0) { /* then what is there now */
        log_warn("data", "error=\"%s\"", item->err.msg);
        data_kept_free(&item->kept);
        item->file = 0;
        haul_later(item, HAUL_LOOK);
    }
    haul_pump(h);
}

/* What the hub has of the file is told by each answer. */
static void on_sent(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct haul *h = ctx;
    struct item *item = haul_finished(h);
    const char *folder;
    bool here = haul_reached(h, err);
    if (!item)
        return;
    if (here) {
        const uint64_t have = yyjson_get_uint(yyjson_obj_get(answer, "have"));
        item->offset = have;
        buf_clear(&item->piece);
        if (yyjson_is_true(yyjson_obj_get(answer, "whole"))) {
            item->file++;
            item->offset = 0;
        } else if (have < file_at(item, &folder)->size) {
            haul_thread(item, HAUL_READ, on_read, after_read);
        }
        if (item->file == files_of(item))
            item->state = HAUL_TELL;
        haul_pump(h);
        return;
    }
    item->offset = 0;
    buf_clear(&item->piece);
    haul_later(item, HAUL_SEND);
    if (err->code == ERR_NOT_FOUND) {
        haul_log("data_not_wanted", item, "");
        item->state = HAUL_SETTLED; /* the hub knows nothing of it */
    } else if (err->code == ERR_INVALID) {
        log_warn("data", "error=\"%s\"", err->msg);
        data_kept_free(&item->kept);
        item->file = 0;
        haul_later(item, HAUL_LOOK);
    }
}

void haul_send(struct item *item)
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
    struct item *item = haul_finished(h);
    (void)answer;
    bool here = haul_reached(h, err);
    if (!item)
        return;
    if (here || err->code == ERR_NOT_FOUND) {
        item->state = HAUL_SETTLED;
        haul_log("data_kept", item, "");
        return;
    }
    item->file = 0; /* something went there: each file is asked for again */
    haul_later(item, files_of(item) > 0 ? HAUL_SEND : HAUL_TELL);
}

void haul_tell(struct item *item)
{
    struct haul *h = item->haul;
    struct buf body;
    buf_init(&body, FORM_MAX);
    haul_add_id(&body, item);
    buf_add_text(&body, ",\"kept\":");
    form_write(&data_kept_table, &item->kept, &body);
    buf_add_char(&body, '}');
    if (body.failed) {
        log_error("data", "error=\"the names of what it left are too long to be told\"");
        item->state = HAUL_SETTLED;
    } else {
        h->busy = item;
        link_post(h->link, "/site/v1/kept", &body, on_told, h);
    }
    buf_fini(&body);
}

void haul_keep(struct item *item)
{
    haul_thread(item, HAUL_KEEP, on_keep, after_keep);
}
