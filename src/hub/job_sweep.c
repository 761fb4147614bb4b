/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of jobs that came to nothing: the hub died after it wrote the file and before the event was durable.
 *
 * Ids are in the order of submission, so whatever is newer than the oldest of the newest jobs in the store, and neither among
 * them nor the array of one, is no job. What is older was looked at in an earlier start. Nothing is removed on a guess: a file whose job
 * might be older than those that were read stays.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "hub/jobs.h"

#define NEWEST 4096 /* more than can be submitted at a time */
#define ENDING ".json"
#define UNFINISHED ".tmp" /* of fs_write_atomic; nobody writes here yet */

struct newest {
    struct uuid id[NEWEST];
    uint32_t n;
};

static void take_id(void *ctx, const struct row_job *row)
{
    struct newest *newest = ctx;
    newest->id[newest->n++] = row->id;
}

static bool is_job(const struct newest *newest, const struct uuid *id)
{
    for (uint32_t i = 0; i < newest->n; i++) {
        uint32_t k;
        const struct uuid array = job_file_array(&newest->id[i], &k);
        if (uuid_eq(&newest->id[i], id) || uuid_eq(&array, id))
            return true;
    }
    return newest->n == NEWEST && memcmp(id, &newest->id[NEWEST - 1], sizeof *id) < 0;
}

static bool is_stray(const struct newest *newest, const char *name)
{
    struct uuid id;
    size_t len = strlen(name), tmp = sizeof UNFINISHED - 1;
    if (len > tmp && strcmp(name + len - tmp, UNFINISHED) == 0)
        return true;
    return len == UUID_TEXT_LEN + sizeof ENDING - 1 && strcmp(name + UUID_TEXT_LEN, ENDING) == 0 &&
           uuid_parse(&id, name, UUID_TEXT_LEN) && !is_job(newest, &id);
}

static uint32_t sweep(const char *dir_path, DIR *dir, const struct newest *newest)
{
    const struct dirent *entry;
    uint32_t removed = 0;
    while ((entry = readdir(dir)) != NULL) {
        char path[FS_PATH_MAX];
        if (!is_stray(newest, entry->d_name))
            continue;
        removed += fs_join(path, dir_path, entry->d_name) && unlink(path) == 0;
    }
    return removed;
}

int hub_sweep_jobs(struct hub *hub, struct err *err)
{
    struct store *store = runtime_store(hub->runtime);
    struct newest *newest = calloc(1, sizeof *newest);
    DIR *dir = opendir(hub->specs_dir);
    int rc = 0;
    if (!newest)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    else if (!dir)
        rc = err_set(err, ERR_IO, "cannot read %s: %s", hub->specs_dir, strerror(errno));
    if (rc == 0)
        rc = store->ops->jobs(store, &(struct job_query){.limit = NEWEST}, take_id, newest, err);
    uint32_t removed = rc == 0 ? sweep(hub->specs_dir, dir, newest) : 0;
    if (removed > 0)
        log_info("jobs", "unrecorded=%u", removed);
    if (dir)
        (void)closedir(dir);
    free(newest);
    return rc;
}
