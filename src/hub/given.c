/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/given.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "site/job_file.h"

#define SETTLED "given"
#define SENT "put"

/* ---- what it starts from ---- */

int given_prior(const char *work, const struct job_id *id, struct data_list *out, bool *pending,
                struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    workdir_path(dir, work, id);
    workdir_file(path, dir, SETTLED);
    *pending = false;
    int rc = form_load(&data_list_table, path, out, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    *err = (struct err){0};
    return data_prior(work, id, out, pending, err);
}

int given_settle(const char *dir, const struct data_list *prior, struct err *err)
{
    char path[FS_PATH_MAX];
    workdir_file(path, dir, SETTLED);
    return fs_exists(path) ? 0 : form_save(&data_list_table, path, prior, err);
}

/* ---- what it may name ---- */

int given_load(struct given *g, const char *specs, const char *work, const struct job_id *id, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    bool pending;
    *g = (struct given){0};
    int rc = job_file_load(&g->spec, specs, &id->job, err);
    if (rc == 0 && g->spec.checkpoint)
        rc = given_prior(work, id, &g->prior, &pending, err);
    if (rc != 0)
        return rc;
    workdir_path(dir, work, id);
    workdir_file(path, dir, DATA_KEPT);
    rc = form_load(&data_kept_table, path, &g->kept, err);
    if (rc == ERR_NOT_FOUND) {
        *err = (struct err){0};
        rc = 0;
    }
    return rc;
}

static bool lists(const struct job_blob *files, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(files[i].sha256, name) == 0)
            return true;
    }
    return false;
}

bool given_has(const struct given *g, const char *name)
{
    return lists(g->spec.inputs, g->spec.inputs_count, name) ||
           lists(g->prior.files, g->prior.files_count, name) ||
           lists(g->kept.outputs.files, g->kept.outputs.files_count, name) ||
           lists(g->kept.checkpoint.files, g->kept.checkpoint.files_count, name);
}

void given_fini(struct given *g)
{
    job_spec_free(&g->spec);
    data_list_free(&g->prior);
    data_kept_free(&g->kept);
}

/* ---- what it sends ---- */

/* Two names of one file, or where they are on different disks a copy. */
static int share(const char *sent, const char *blobs, const char *name, struct err *err)
{
    char from[FS_PATH_MAX], to[FS_PATH_MAX], taken[BLOB_NAME_LEN + 1];
    uint64_t size;
    if (!blob_path(from, sent, name) || !blob_path(to, blobs, name))
        return err_set(err, ERR_INVALID, "path is too long");
    int rc = fs_mkdirs(blobs, 0700, err);
    if (rc != 0)
        return rc;
    if (fs_exists(to)) {
        blob_use(blobs, name);
        return 0;
    }
    if (link(from, to) == 0)
        return fs_sync_parent(to, err);
    if (errno == EEXIST)
        return 0;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", from, strerror(errno));
    rc = blob_take(blobs, fd, taken, &size, err);
    (void)close(fd);
    return rc;
}

int given_put(const char *dir, const char *blobs, const struct blob_piece *piece, uint64_t *have, bool *whole,
              struct err *err)
{
    char sent[FS_PATH_MAX];
    workdir_file(sent, dir, SENT);
    int rc = blob_put(sent, piece, have, whole, err);
    return rc == 0 && *whole ? share(sent, blobs, piece->name, err) : rc;
}

bool given_sent(const char *dir, const char *name)
{
    char sent[FS_PATH_MAX];
    struct err err = {0};
    uint64_t have;
    bool whole = false;
    workdir_file(sent, dir, SENT);
    return blob_look(sent, name, &have, &whole, &err) == 0 && whole;
}

struct received {
    const struct data_kept *kept;
    uint64_t bytes;
};

static void add_received(void *ctx, const struct blob_info *info)
{
    struct received *r = ctx;
    const struct data_list *outputs = &r->kept->outputs, *checkpoint = &r->kept->checkpoint;
    if (lists(outputs->files, outputs->files_count, info->name) ||
        lists(checkpoint->files, checkpoint->files_count, info->name))
        r->bytes += info->size;
}

uint64_t given_received(const char *dir, const struct data_kept *kept)
{
    char sent[FS_PATH_MAX];
    struct received r = {.kept = kept};
    struct err err = {0};
    workdir_file(sent, dir, SENT);
    (void)blob_each(sent, add_received, &r, &err); /* no folder: nothing came */
    return r.bytes;
}

void given_done(const char *dir)
{
    char sent[FS_PATH_MAX], path[FS_PATH_MAX];
    const struct dirent *entry;
    workdir_file(sent, dir, SENT);
    DIR *files = opendir(sent);
    while (files && (entry = readdir(files)) != NULL) {
        if (entry->d_name[0] != '.' && fs_join(path, sent, entry->d_name))
            (void)unlink(path);
    }
    if (files)
        (void)closedir(files);
    (void)rmdir(sent);
}
