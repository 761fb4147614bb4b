/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/quota.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"

struct counted {
    struct uuid tenant;
    uint64_t bytes, at_ms; /* at_ms 0: it was not counted yet */
    uint64_t added;        /* all that was added since the slot is this tenant's */
};

struct quota {
    const char *root;
    uint64_t max;
    pthread_mutex_t lock; /* of the slots; nobody waits for a folder under it */
    struct counted counted[QUOTA_TENANTS_MAX];
};

struct quota *quota_new(const char *root, uint64_t bytes_max)
{
    struct quota *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->root = root;
    q->max = bytes_max;
    pthread_mutex_init(&q->lock, NULL);
    return q;
}

void quota_free(struct quota *q)
{
    if (q)
        pthread_mutex_destroy(&q->lock);
    free(q);
}

uint64_t quota_max(const struct quota *q)
{
    return q->max;
}

/* Parts count as what has come of them. No folder: nothing. */
static uint64_t count(const struct quota *q, const struct uuid *tenant)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    const struct dirent *entry;
    struct stat st;
    uint64_t bytes = 0;
    DIR *files = blob_owner_dir(dir, q->root, tenant) ? opendir(dir) : NULL;
    while (files && (entry = readdir(files)) != NULL) {
        if (blob_file(entry->d_name) != BLOB_FILE_OTHER && fs_join(path, dir, entry->d_name) &&
            lstat(path, &st) == 0)
            bytes += (uint64_t)st.st_size;
    }
    if (files)
        (void)closedir(files);
    return bytes;
}

/* The tenant's slot, or the one that was counted longest ago. */
static struct counted *slot_of(struct quota *q, const struct uuid *tenant)
{
    struct counted *oldest = q->counted;
    for (uint32_t i = 0; i < QUOTA_TENANTS_MAX; i++) {
        struct counted *c = &q->counted[i];
        if (uuid_eq(&c->tenant, tenant))
            return c;
        if (c->at_ms < oldest->at_ms)
            oldest = c;
    }
    *oldest = (struct counted){.tenant = *tenant};
    return oldest;
}

/* Counts again. What is added meanwhile may have been seen or not: it is added, so that it is never too little. */
static uint64_t refresh(struct quota *q, const struct uuid *tenant, uint64_t added)
{
    uint64_t now_ms = clock_boot_ms(), bytes = count(q, tenant);
    pthread_mutex_lock(&q->lock);
    struct counted *c = slot_of(q, tenant); /* another one, if there are more tenants than slots */
    c->bytes = bytes + (c->added > added ? c->added - added : 0);
    c->at_ms = now_ms;
    bytes = c->bytes;
    pthread_mutex_unlock(&q->lock);
    return bytes;
}

/* No older than that. A folder may have many files: other tenants do not wait for it. */
static uint64_t used(struct quota *q, const struct uuid *tenant, uint64_t fresh_ms)
{
    pthread_mutex_lock(&q->lock);
    const struct counted c = *slot_of(q, tenant);
    pthread_mutex_unlock(&q->lock);
    bool fresh = c.at_ms > 0 && clock_boot_ms() - c.at_ms < fresh_ms;
    return fresh ? c.bytes : refresh(q, tenant, c.added);
}

uint64_t quota_used(struct quota *q, const struct uuid *tenant)
{
    return used(q, tenant, 0);
}

int quota_allows(struct quota *q, const struct uuid *tenant, const struct blob_piece *piece, struct err *err)
{
    uint64_t rest = piece->size > piece->offset ? piece->size - piece->offset : 0;
    if (rest == 0 || (rest <= q->max && used(q, tenant, QUOTA_FRESH_MS) <= q->max - rest) ||
        (rest <= q->max && used(q, tenant, 0) <= q->max - rest))
        return 0;
    return err_set(err, ERR_LIMIT,
                   "The tenant's files here would have more than %llu MiB, which is its limit; what no job "
                   "names any more goes by itself after a while.",
                   (unsigned long long)(q->max >> 20));
}

void quota_add(struct quota *q, const struct uuid *tenant, uint64_t bytes)
{
    pthread_mutex_lock(&q->lock);
    for (uint32_t i = 0; i < QUOTA_TENANTS_MAX; i++) {
        if (!uuid_eq(&q->counted[i].tenant, tenant))
            continue;
        q->counted[i].bytes += bytes;
        q->counted[i].added += bytes;
    }
    pthread_mutex_unlock(&q->lock);
}
