/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/data.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS ".busbar-"                 /* what the shim puts there */
#define FILE_TEXT 192                   /* bytes that a file of a list has in its form, besides its name */
#define LIST_TEXT (FORM_MAX / 2 - 1024) /* of two lists, and of what is told beside them */

/* clang-format off */
static const struct form_field list_fields[] = {
    {.key = "files", .type = FORM_LIST, .at = offsetof(struct data_list, files),
     .count = offsetof(struct data_list, files_count), .max = JOB_BLOBS_MAX, .of = &job_blob_table},
    {.key = "left_out", .type = FORM_U32, .at = offsetof(struct data_list, left_out), .max = UINT32_MAX},
    {.key = "bytes", .type = FORM_U64, .at = offsetof(struct data_list, bytes), .max = INT64_MAX},
};
const struct form_table data_list_table = {list_fields, 3, sizeof(struct data_list)};

static const struct form_field staged_fields[] = {
    {.key = "bytes", .type = FORM_U64, .at = offsetof(struct data_staged, bytes), .max = INT64_MAX},
    {.key = "fetched", .type = FORM_U64, .at = offsetof(struct data_staged, fetched), .max = INT64_MAX},
};
const struct form_table data_staged_table = {staged_fields, 2, sizeof(struct data_staged)};

static const struct form_field kept_fields[] = {
    {.key = "outputs", .type = FORM_OBJECT, .at = offsetof(struct data_kept, outputs), .of = &data_list_table},
    {.key = "checkpoint", .type = FORM_OBJECT, .at = offsetof(struct data_kept, checkpoint), .of = &data_list_table},
    {.key = "in", .type = FORM_OBJECT, .at = offsetof(struct data_kept, in), .of = &data_staged_table},
    {.key = "sent", .type = FORM_U64, .at = offsetof(struct data_kept, sent), .max = INT64_MAX},
};
const struct form_table data_kept_table = {kept_fields, 4, sizeof(struct data_kept)};
/* clang-format on */

/* ---- names ---- */

/* Whether a JSON text holds these bytes as they are. */
static bool is_utf8(const unsigned char *p)
{
    while (*p) {
        uint32_t more = *p < 0x80 ? 0 : *p >= 0xf0 && *p < 0xf5 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc2 ? 1 : 4;
        uint32_t code = *p++ & (0x7fu >> (more + (more > 0)));
        if (more == 4 || (more == 2 && p[-1] >= 0xf0))
            return false;
        for (uint32_t i = 0; i < more; i++, p++) {
            if ((*p & 0xc0) != 0x80)
                return false;
            code = code << 6 | (*p & 0x3f);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)))
            return false;
    }
    return true;
}

bool data_name_valid(const char *name)
{
    size_t len = strlen(name);
    uint32_t depth = 1;
    if (len == 0 || len > DATA_NAME_MAX || name[len - 1] == '/')
        return false;
    for (const char *p = name; *p; depth++) {
        size_t part = strcspn(p, "/");
        if (part == 0 || (part == 1 && p[0] == '.') || (part == 2 && p[0] == '.' && p[1] == '.') ||
            part > 255)
            return false;
        for (size_t i = 0; i < part; i++) {
            if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
                return false;
        }
        p += part + (p[part] == '/');
    }
    return depth - 1 <= DATA_DEPTH_MAX && is_utf8((const unsigned char *)name);
}

/* Whether one is the other, or its folder. */
static bool collide(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), least = n < m ? n : m;
    if (strncmp(a, b, least) != 0)
        return false;
    return n == m || (n < m ? b[n] : a[m]) == '/';
}

int data_check(const struct job_blob *files, uint32_t n, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct job_blob *f = &files[i];
        if (!data_name_valid(f->name))
            return err_set(err, ERR_INVALID, "`%.80s` is not a path in the job's own folder", f->name);
        if (!blob_name_valid(f->sha256, strlen(f->sha256)))
            return err_set(err, ERR_INVALID, "%.80s: its sha256 is 64 hexadecimal digits in small letters",
                           f->name);
        for (uint32_t k = 0; k < i; k++) {
            if (collide(files[k].name, f->name))
                return err_set(err, ERR_INVALID, "%.80s and %.80s cannot lie beside one another",
                               files[k].name, f->name);
        }
    }
    return 0;
}

/* ---- into a job's folder ---- */

static int stage_one(const char *folder, const char *blobs, const struct job_blob *file, enum data_mode mode,
                     struct err *err)
{
    char path[FS_PATH_MAX];
    const unsigned bits = (file->program ? 0555 : 0444) | (mode == DATA_WRITABLE ? 0200 : 0);
    if (!fs_join(path, folder, file->name))
        return err_set(err, ERR_INVALID, "path is too long");
    char *slash = strrchr(path, '/');
    *slash = 0;
    int rc = fs_mkdirs(path, 0750, err);
    *slash = '/';
    if (rc == 0)
        rc = blob_give(blobs, file->sha256, path, bits, err);
    return rc == ERR_EXISTS ? 0 : rc;
}

int data_stage(const char *folder, const char *blobs, const struct job_blob *files, uint32_t n,
               enum data_mode mode, struct err *err)
{
    int rc = fs_mkdirs(folder, 0750, err);
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = stage_one(folder, blobs, &files[i], mode, err);
    return rc;
}

/* ---- from a job's folder ---- */

struct walk {
    const char *blobs;
    char *const *patterns;
    uint32_t npatterns;
    struct data_list *out;
    struct err *err;
    uint32_t entries;                   /* that were looked at */
    size_t text;                        /* bytes of the list's form, at most */
    char path[DATA_NAME_MAX + 256 + 2]; /* from the folder down */
};

/* Whether the list's form has room for this file as well: a quote in a name takes two bytes. */
static bool has_text(struct walk *w)
{
    size_t len = FILE_TEXT;
    for (const char *p = w->path; *p; p++)
        len += *p == '"' || *p == '\\' ? 2 : 1;
    if (len > LIST_TEXT - w->text)
        return false;
    w->text += len;
    return true;
}

static bool matches(const struct walk *w)
{
    for (uint32_t i = 0; i < w->npatterns; i++) {
        if (fnmatch(w->patterns[i], w->path, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
            return true;
    }
    return w->npatterns == 0;
}

static int keep(struct walk *w, int fd, const struct stat *st)
{
    struct data_list *out = w->out;
    char name[BLOB_NAME_LEN + 1];
    struct job_blob file = {.program = (st->st_mode & 0100) != 0};
    int rc = w->blobs ? blob_take(w->blobs, fd, name, &file.size, w->err)
                      : blob_hash(fd, name, &file.size, w->err);
    if (rc != 0)
        return rc;
    file.name = strdup(w->path);
    file.sha256 = strdup(name);
    if (!out->files)
        out->files = calloc(JOB_BLOBS_MAX, sizeof *out->files);
    if (!file.name || !file.sha256 || !out->files) {
        free(file.name);
        free(file.sha256);
        return err_set(w->err, ERR_NO_MEMORY, "out of memory");
    }
    out->files[out->files_count++] = file;
    out->bytes += file.size;
    return 0;
}

static int take_file(struct walk *w, int dir, const char *entry)
{
    struct stat st;
    if (!matches(w))
        return 0;
    /* Not to wait for a pipe's other end; and what it is, is asked of what was opened. */
    int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > BLOB_MAX ||
        !data_name_valid(w->path) || w->out->files_count == JOB_BLOBS_MAX || !has_text(w)) {
        if (fd >= 0)
            (void)close(fd);
        w->out->left_out++;
        return 0;
    }
    int rc = keep(w, fd, &st);
    (void)close(fd);
    return rc;
}

static int take_folder(struct walk *w, int fd, size_t len, uint32_t depth);

/* One entry of a folder, whose path has `len` bytes. */
static int take_entry(struct walk *w, int dir, const char *entry, size_t len, uint32_t depth)
{
    struct stat st;
    const size_t n = strlen(entry);
    if (strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0 ||
        (depth == 1 && strncmp(entry, OURS, sizeof OURS - 1) == 0) ||
        fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (len + n + 2 > sizeof w->path || depth > DATA_DEPTH_MAX) {
        w->out->left_out++;
        return 0;
    }
    memcpy(w->path + len, entry, n + 1);
    if (!S_ISDIR(st.st_mode))
        return take_file(w, dir, entry);
    int fd = openat(dir, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) { /* it went, or became something else, or is not for us to read */
        w->out->left_out += errno == EACCES;
        return 0;
    }
    w->path[len + n] = '/';
    return take_folder(w, fd, len + n + 1, depth + 1);
}

struct names {
    char **name;
    uint32_t n, cap;
};

static void names_free(struct names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        free(names->name[i]);
    free(names->name);
}

static int names_add(struct names *names, const char *name, struct err *err)
{
    if (names->n == names->cap) {
        const uint32_t cap = names->cap ? 2 * names->cap : 64;
        char **more = realloc(names->name, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        names->name = more;
        names->cap = cap;
    }
    names->name[names->n] = strdup(name);
    if (!names->name[names->n])
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    names->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A file that no pattern wants is passed over, however many there are; what a folder holds is not known yet. */
static bool may_matter(struct walk *w, const struct dirent *entry, size_t len)
{
    const size_t n = strlen(entry->d_name);
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return false;
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN || len + n + 2 > sizeof w->path)
        return true;
    memcpy(w->path + len, entry->d_name, n + 1);
    return matches(w);
}

static int read_names(struct walk *w, DIR *dir, size_t len, struct names *names)
{
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (!may_matter(w, entry, len))
            continue;
        if (w->entries == DATA_ENTRIES_MAX) {
            w->out->left_out += w->out->left_out < UINT32_MAX;
            continue;
        }
        w->entries++;
        rc = names_add(names, entry->d_name, w->err);
    }
    return rc;
}

/* The descriptor is closed. */
static int take_folder(struct walk *w, int fd, size_t len, uint32_t depth)
{
    struct names names = {0};
    DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return err_set(w->err, ERR_NO_MEMORY, "out of memory");
    }
    int rc = read_names(w, dir, len, &names);
    if (names.n > 1)
        qsort(names.name, names.n, sizeof *names.name, by_name);
    for (uint32_t i = 0; i < names.n && rc == 0; i++)
        rc = take_entry(w, fd, names.name[i], len, depth);
    names_free(&names);
    (void)closedir(dir);
    return rc;
}

int data_collect(const char *folder, const char *blobs, char *const *patterns, uint32_t npatterns,
                 struct data_list *out, struct err *err)
{
    struct walk w = {.blobs = blobs, .patterns = patterns, .npatterns = npatterns, .out = out, .err = err};
    *out = (struct data_list){0};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == EACCES || errno == ELOOP || errno == ENOTDIR)) {
        out->left_out = 1; /* the job did that, and it will not change */
        return 0;
    }
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(err, ERR_IO, "cannot open %s: %s", folder, strerror(errno));
    int rc = take_folder(&w, fd, 0, 1);
    if (rc != 0)
        data_list_free(out);
    return rc;
}

void data_list_free(struct data_list *list)
{
    form_free(&data_list_table, list);
}

int data_open(const char *folder, const char *name)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    assert(data_name_valid(name));
    for (const char *p = name; dir >= 0;) {
        char part[256];
        const size_t len = strcspn(p, "/");
        const bool last = p[len] == 0;
        memcpy(part, p, len);
        part[len] = 0;
        int fd = openat(dir, part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (last ? 0 : O_DIRECTORY));
        (void)close(dir);
        if (last)
            return fd;
        dir = fd;
        p += len + 1;
    }
    return -1;
}

/* ---- what is kept ---- */

void data_kept_free(struct data_kept *kept)
{
    form_free(&data_kept_table, kept);
}

static bool goes_on(uint32_t end)
{
    return end != JOB_END_EXITED && end != JOB_END_SIGNALLED && end != JOB_END_OOM &&
           end != JOB_END_TIMED_OUT && end != JOB_END_NOT_STARTED;
}

static bool is_done(uint32_t end)
{
    return !goes_on(end) || end == JOB_END_CANCELLED || end == JOB_END_STOPPED;
}

static int keep_both(const char *dir, const struct job_spec *spec, uint32_t end, const char *outputs,
                     const char *checkpoint, struct data_kept *out, struct err *err)
{
    char path[FS_PATH_MAX];
    int rc = 0;
    if (spec->outputs_count > 0 && is_done(end)) {
        workdir_file(path, dir, DATA_FOLDER);
        rc = data_collect(path, outputs, spec->outputs, spec->outputs_count, &out->outputs, err);
    }
    if (rc == 0 && spec->checkpoint && goes_on(end)) {
        workdir_file(path, dir, DATA_CHECKPOINT);
        rc = data_collect(path, checkpoint, NULL, 0, &out->checkpoint, err);
    }
    if (rc != 0)
        data_kept_free(out);
    return rc;
}

bool data_concerns(const char *dir)
{
    char path[FS_PATH_MAX];
    struct job_spec spec;
    workdir_file(path, dir, "spec");
    bool any = job_spec_load(&spec, path, NULL) == 0 &&
               (spec.outputs_count > 0 || spec.checkpoint || spec.inputs_count > 0);
    job_spec_free(&spec);
    return any;
}

int data_keep(const char *dir, const char *outputs, const char *checkpoint, struct data_kept *out,
              bool *wanted, struct err *err)
{
    char path[FS_PATH_MAX];
    struct job_spec spec;
    struct job_exit exit = {0};
    *out = (struct data_kept){0};
    *wanted = false;
    workdir_file(path, dir, "spec");
    int rc = job_spec_load(&spec, path, err);
    if (rc != 0)
        return rc;
    workdir_file(path, dir, "staged");
    (void)form_load(&data_staged_table, path, &out->in, NULL); /* not there: nothing was */
    workdir_file(path, dir, "exit");
    rc = form_load(&job_exit_table, path, &exit, err);
    if (rc == 0)
        rc = keep_both(dir, &spec, exit.end, outputs, checkpoint, out, err);
    *wanted = rc == 0 && (spec.outputs_count > 0 || spec.checkpoint || out->in.bytes > 0);
    form_free(&job_exit_table, &exit);
    job_spec_free(&spec);
    return rc;
}

int data_keep_here(const char *dir, const char *cache, struct data_kept *out, bool *wanted, struct err *err)
{
    int rc = data_keep(dir, NULL, cache, out, wanted, err);
    if (rc != ERR_LIMIT && rc != ERR_IO)
        return rc;
    *err = (struct err){0};
    return data_keep(dir, NULL, NULL, out, wanted, err);
}

int data_prior(const char *work, const struct job_id *id, struct data_list *out, bool *pending,
               struct err *err)
{
    *out = (struct data_list){0};
    *pending = false;
    for (uint32_t epoch = id->epoch - 1; epoch > 0; epoch--) {
        const struct job_id before = {id->job, epoch};
        char dir[FS_PATH_MAX], path[FS_PATH_MAX];
        struct data_kept kept;
        workdir_path(dir, work, &before);
        workdir_file(path, dir, DATA_KEPT);
        int rc = form_load(&data_kept_table, path, &kept, err);
        if (rc == ERR_NOT_FOUND && epoch + 1 == id->epoch)
            *pending = true;
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
        if (rc == 0 && kept.checkpoint.files_count > 0) {
            *out = kept.checkpoint;
            kept.checkpoint = (struct data_list){0};
        }
        data_kept_free(&kept);
        if (out->files_count > 0)
            break;
    }
    *err = (struct err){0};
    return 0;
}

/* ---- what never started ---- */

/* Whether that is all there is: the hub also keeps folders of epochs that run elsewhere. */
static bool was_staged_only(const char *dir)
{
    static const char *const others[] = {"spec", "exit", "site", "claim", DATA_KEPT};
    char path[FS_PATH_MAX];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        workdir_file(path, dir, others[i]);
        if (fs_exists(path))
            return false;
    }
    workdir_file(path, dir, DATA_FOLDER);
    return fs_exists(path);
}

void data_unstage(const char *work, const struct job_id *id)
{
    char dir[FS_PATH_MAX];
    struct err err;
    workdir_path(dir, work, id);
    if (was_staged_only(dir))
        (void)workdir_remove(work, id, &err);
}

static void sweep_job(const char *work, const struct uuid *job, const char *dir)
{
    DIR *epochs = opendir(dir);
    const struct dirent *entry;
    uint64_t epoch;
    while (epochs && (entry = readdir(epochs)) != NULL) {
        if (u64_parse(entry->d_name, strlen(entry->d_name), UINT32_MAX, &epoch))
            data_unstage(work, &(struct job_id){*job, (uint32_t)epoch});
    }
    if (epochs)
        (void)closedir(epochs);
}

void data_sweep(const char *work)
{
    DIR *jobs = opendir(work);
    const struct dirent *entry;
    struct uuid job;
    while (jobs && (entry = readdir(jobs)) != NULL) {
        char dir[FS_PATH_MAX];
        if (uuid_parse(&job, entry->d_name, strlen(entry->d_name)) && fs_join(dir, work, entry->d_name))
            sweep_job(work, &job, dir);
    }
    if (jobs)
        (void)closedir(jobs);
}
