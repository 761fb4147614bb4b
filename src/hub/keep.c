/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/keep.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/data.h"
#include "hub/jobs.h"

#define FIRST_MS 1000
#define HOUR_MS (UINT64_C(3600) * 1000)
#define ENDING ".json"

struct keep {
    const struct hub *hub;
    struct loop *loop;
    uint64_t keep_s;
    uv_timer_t timer;
    uv_work_t work;
    bool busy;
    atomic_bool stopping;
    /* of the thread */
    char (*name)[BLOB_NAME_LEN + 1]; /* of blobs that jobs name, sorted once all are known */
    size_t n, cap;
    bool unsure; /* not all could be read: then no blob is removed */
    uint32_t jobs, blobs;
};

/* ---- which jobs ---- */

/* Over, and for longer than that. Of an array its row tells. */
static bool is_past(const struct keep *k, const struct uuid *id)
{
    struct store *store = runtime_store(k->hub->runtime);
    struct row_job job;
    struct row_job_array array;
    struct err err;
    int64_t ended_ms = 0;
    int rc = store->ops->get(store, ROW_KIND_job, id, &job, &err);
    if (rc == 0 && job_over(&job))
        ended_ms = job.ended_ms;
    if (rc == ERR_NOT_FOUND && store->ops->get(store, ROW_KIND_job_array, id, &array, &err) == 0)
        ended_ms = array.ended_ms;
    return ended_ms > 0 && runtime_now_ms(k->hub->runtime) - ended_ms > (int64_t)k->keep_s * 1000;
}

/* Calls fn for each entry of a folder that begins with an id; `rest` is what follows it. */
static void each(struct keep *k, const char *folder,
                 void (*fn)(struct keep *k, const struct uuid *id, const char *path, const char *rest))
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    struct uuid id;
    k->unsure |= !dir && errno != ENOENT;
    while (dir && !k->stopping && (entry = readdir(dir)) != NULL) {
        char path[FS_PATH_MAX];
        const size_t len = strlen(entry->d_name);
        if (len >= UUID_TEXT_LEN && uuid_parse(&id, entry->d_name, UUID_TEXT_LEN) &&
            fs_join(path, folder, entry->d_name))
            fn(k, &id, path, entry->d_name + UUID_TEXT_LEN);
    }
    if (dir)
        (void)closedir(dir);
}

/* ---- what they name ---- */

static void note(struct keep *k, const struct job_blob *files, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (k->n == k->cap) {
            const size_t cap = k->cap ? 2 * k->cap : 256;
            void *more = realloc(k->name, cap * sizeof k->name[0]);
            k->unsure |= !more;
            if (!more)
                return;
            k->name = more;
            k->cap = cap;
        }
        (void)text_set(k->name[k->n++], sizeof k->name[0], files[i].sha256, strlen(files[i].sha256));
    }
}

static void look_file(struct keep *k, const struct uuid *id, const char *path, const char *rest)
{
    struct job_spec spec;
    struct err err;
    if (strcmp(rest, ENDING) != 0)
        return;
    if (is_past(k, id)) {
        k->jobs += unlink(path) == 0;
        return;
    }
    int rc = job_spec_load(&spec, path, &err);
    k->unsure |= rc != 0 && rc != ERR_NOT_FOUND;
    if (rc == 0)
        note(k, spec.inputs, spec.inputs_count);
    job_spec_free(&spec);
}

static void look_epoch(struct keep *k, const struct job_id *id, bool past)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct data_kept kept;
    struct err err;
    if (past) {
        if (workdir_remove(k->hub->work_dir, id, &err) != 0)
            log_debug("keep", "why=\"%s\"", err.msg);
        return;
    }
    workdir_path(dir, k->hub->work_dir, id);
    workdir_file(path, dir, DATA_KEPT);
    int rc = form_load(&data_kept_table, path, &kept, &err);
    k->unsure |= rc != 0 && rc != ERR_NOT_FOUND;
    note(k, kept.outputs.files, kept.outputs.files_count);
    note(k, kept.checkpoint.files, kept.checkpoint.files_count);
    data_kept_free(&kept);
}

static void look_work(struct keep *k, const struct uuid *id, const char *path, const char *rest)
{
    const bool past = rest[0] == 0 && is_past(k, id);
    DIR *dir = rest[0] == 0 ? opendir(path) : NULL;
    const struct dirent *entry;
    uint64_t epoch;
    k->unsure |= rest[0] == 0 && !dir && errno != ENOENT && errno != ENOTDIR;
    while (dir && (entry = readdir(dir)) != NULL) {
        if (u64_parse(entry->d_name, strlen(entry->d_name), UINT32_MAX, &epoch))
            look_epoch(k, &(struct job_id){*id, (uint32_t)epoch}, past);
    }
    if (dir)
        (void)closedir(dir);
}

/* ---- blobs ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_old(const struct keep *k, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && clock_wall_ms() / 1000 - (int64_t)st.st_mtim.tv_sec > (int64_t)k->keep_s;
}

/* Of a tenant. A submission that names one has used it, so what is old was named by none since. */
static void look_blobs(struct keep *k, const struct uuid *id, const char *path, const char *rest)
{
    (void)id;
    DIR *dir = rest[0] == 0 ? opendir(path) : NULL;
    const struct dirent *entry;
    while (dir && !k->stopping && (entry = readdir(dir)) != NULL) {
        char file[FS_PATH_MAX];
        const enum blob_file kind = blob_file(entry->d_name);
        if (kind == BLOB_FILE_OTHER || !fs_join(file, path, entry->d_name) || !is_old(k, file))
            continue;
        if (kind != BLOB_FILE_WHOLE || k->n == 0 ||
            !bsearch(entry->d_name, k->name, k->n, sizeof k->name[0], by_name))
            k->blobs += unlink(file) == 0;
    }
    if (dir)
        (void)closedir(dir);
}

/* ---- from time to time ---- */

static void on_work(uv_work_t *work)
{
    struct keep *k = list_entry(work, struct keep, work);
    k->n = 0;
    k->jobs = k->blobs = 0;
    k->unsure = false;
    each(k, k->hub->work_dir, look_work);
    each(k, k->hub->specs_dir, look_file);
    if (k->unsure || k->stopping)
        return;
    if (k->n > 0)
        qsort(k->name, k->n, sizeof k->name[0], by_name);
    each(k, k->hub->blobs_dir, look_blobs);
}

static void after_work(uv_work_t *work, int status)
{
    struct keep *k = list_entry(work, struct keep, work);
    (void)status;
    k->busy = false;
    if (k->jobs + k->blobs > 0)
        log_info("keep", "jobs=%u blobs=%u", k->jobs, k->blobs);
    if (k->unsure)
        log_warn("keep", "blobs are left alone: not all files of jobs could be read");
}

static void on_timer(uv_timer_t *timer)
{
    struct keep *k = timer->data;
    if (k->busy)
        return;
    k->busy = true;
    if (uv_queue_work(&k->loop->uv, &k->work, on_work, after_work) != 0)
        abort(); /* only without a function to call */
}

int keep_start(struct keep **out, struct loop *loop, const struct hub *hub, uint64_t keep_s, struct err *err)
{
    struct keep *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    const uint64_t quarter_ms = keep_s * 250;
    k->hub = hub;
    k->loop = loop;
    k->keep_s = keep_s;
    uv_timer_init(&loop->uv, &k->timer);
    k->timer.data = k;
    uv_timer_start(&k->timer, on_timer, FIRST_MS, quarter_ms < HOUR_MS ? quarter_ms : HOUR_MS);
    *out = k;
    return 0;
}

void keep_stop(struct keep *k)
{
    k->stopping = true;
    uv_close((uv_handle_t *)&k->timer, NULL);
}

void keep_free(struct keep *k)
{
    if (k)
        free(k->name);
    free(k);
}
