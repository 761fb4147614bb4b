/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/job_data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/data.h"

struct file {
    char name[DATA_NAME_MAX + 1], path[FS_PATH_MAX], sha256[BLOB_NAME_LEN + 1];
    uint64_t size;
    bool program;
};

struct files {
    struct file *file;
    uint32_t n;
};

__attribute__((format(printf, 2, 3))) static int wrong(const char *path, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "busbar: --in %s: ", path);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_USAGE;
}

/* ---- what there is here ---- */

static int add_file(struct files *files, const char *name, const char *path)
{
    struct err err = {0};
    struct stat st;
    struct file *f = &files->file[files->n];
    if (files->n == JOB_BLOBS_MAX)
        return wrong(path, "a job has at most %d files; pack them", JOB_BLOBS_MAX);
    if (!text_set(f->name, sizeof f->name, name, strlen(name)) || !data_name_valid(name))
        return wrong(path, "`%.80s` cannot be a path in the job's folder", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || blob_hash(fd, f->sha256, &f->size, &err) != 0) {
        int rc = wrong(path, "cannot read it: %s", err.code ? err.msg : strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    (void)close(fd);
    (void)text_set(f->path, sizeof f->path, path, strlen(path));
    f->program = st.st_mode & 0100;
    files->n++;
    return CLI_OK;
}

static int add_path(struct files *files, const char *name, const char *path, uint32_t depth);

static int add_folder(struct files *files, const char *name, const char *path, uint32_t depth)
{
    struct dirent **entry;
    int rc = CLI_OK, n = scandir(path, &entry, NULL, alphasort);
    if (n < 0)
        return wrong(path, "cannot read it: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        char inner[FS_PATH_MAX], below[FS_PATH_MAX];
        const char *part = entry[i]->d_name;
        if (rc == CLI_OK && strcmp(part, ".") != 0 && strcmp(part, "..") != 0)
            rc = fs_join(inner, path, part) && fs_join(below, name, part)
                     ? add_path(files, below, inner, depth + 1)
                     : wrong(path, "a path in it is too long");
        free(entry[i]);
    }
    free(entry);
    return rc;
}

static int add_path(struct files *files, const char *name, const char *path, uint32_t depth)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return wrong(path, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return depth < DATA_DEPTH_MAX ? add_folder(files, name, path, depth) : wrong(path, "is too deep");
    return S_ISREG(st.st_mode) ? add_file(files, name, path) : wrong(path, "is neither a file nor a folder");
}

/* PATH, or NAME=PATH. */
static int add_text(struct files *files, const char *text)
{
    char name[DATA_NAME_MAX + 1], real[PATH_MAX];
    const char *mark = strchr(text, '='), *path = mark ? mark + 1 : text;
    if (mark && !text_set(name, sizeof name, text, (size_t)(mark - text)))
        return wrong(text, "the name is too long");
    if (!realpath(path, real))
        return wrong(path, "%s", strerror(errno));
    const char *last = strrchr(path, '/');
    last = last ? last + 1 : path;
    if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        last = strrchr(real, '/') + 1; /* by what it is really called */
    if (!mark && !text_set(name, sizeof name, last, strlen(last)))
        return wrong(path, "the name is too long");
    return add_path(files, name, path, 0);
}

/* Those of the command line prevail over those of a file. */
static int add_all(struct files *files, const struct request *r, const struct cli *cli)
{
    int rc = CLI_OK;
    for (int i = 0; i < cli->noptions && rc == CLI_OK; i++) {
        if (strcmp(cli->options[i].name, "in") == 0)
            rc = add_text(files, cli->options[i].value);
    }
    if (cli_option(cli, "in"))
        return rc;
    for (size_t at = 0; at < r->inputs.len && rc == CLI_OK; at += strlen(r->inputs.data + at) + 1)
        rc = add_text(files, r->inputs.data + at);
    return rc;
}

/* ---- to the hub ---- */

static void add_tenant(struct buf *path, const char *tenant)
{
    if (tenant[0])
        buf_addf(path, "tenant=%s&", tenant);
}

static bool take_state(yyjson_doc *doc, uint64_t *have, bool *whole)
{
    yyjson_val *root = yyjson_doc_get_root(doc);
    *have = yyjson_get_uint(yyjson_obj_get(root, "have"));
    *whole = yyjson_is_true(yyjson_obj_get(root, "whole"));
    bool good = yyjson_is_obj(root);
    yyjson_doc_free(doc);
    return good;
}

static int send_rest(const struct cli *cli, const struct file *f, const char *tenant, int fd, uint64_t have)
{
    char *piece = malloc(BLOB_PIECE_MAX);
    bool whole = false;
    int rc = piece ? CLI_OK : CLI_FAILED;
    while (rc == CLI_OK && !whole) {
        struct buf path;
        yyjson_doc *doc = NULL;
        ssize_t n = pread(fd, piece, BLOB_PIECE_MAX, (off_t)have);
        if (n < 0 || (n == 0 && have < f->size) || (uint64_t)n > f->size - have) {
            rc = wrong(f->path, "it changed while it was sent");
            break;
        }
        buf_init(&path, 1024);
        buf_addf(&path, "/api/v1/blobs/%s?", f->sha256);
        add_tenant(&path, tenant);
        buf_addf(&path, "size=%llu&offset=%llu", (unsigned long long)f->size, (unsigned long long)have);
        buf_add_char(&path, 0);
        rc = client_put(cli, path.data, piece, (size_t)n, &doc);
        buf_fini(&path);
        if (rc == CLI_OK && !take_state(doc, &have, &whole))
            rc = CLI_FAILED;
    }
    free(piece);
    return rc;
}

static int send_file(const struct cli *cli, const struct file *f, const char *tenant)
{
    struct buf path;
    yyjson_doc *doc = NULL;
    uint64_t have = 0;
    bool whole = false;
    buf_init(&path, 1024);
    buf_addf(&path, "/api/v1/blobs/%s/have?", f->sha256);
    add_tenant(&path, tenant);
    buf_add_char(&path, 0);
    int rc = client_call(cli, "GET", path.data, NULL, &doc);
    buf_fini(&path);
    if (rc == CLI_OK && !take_state(doc, &have, &whole))
        rc = CLI_FAILED;
    if (rc != CLI_OK || whole)
        return rc;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wrong(f->path, "%s", strerror(errno));
    if (!cli->json && f->size > BLOB_PIECE_MAX)
        fprintf(stderr, "busbar: sending %s, %llu MiB\n", f->path,
                (unsigned long long)((f->size - have) >> 20));
    rc = send_rest(cli, f, tenant, fd, have);
    (void)close(fd);
    return rc;
}

/* ---- the whole ---- */

static void add_members(struct request *r, const struct files *files)
{
    request_member(r, "inputs");
    buf_add_char(&r->body, '[');
    for (uint32_t i = 0; i < files->n; i++) {
        const struct file *f = &files->file[i];
        buf_add_text(&r->body, i ? ",{\"name\":" : "{\"name\":");
        buf_add_json(&r->body, f->name, strlen(f->name));
        buf_addf(&r->body, ",\"sha256\":\"%s\",\"size\":%llu%s}", f->sha256, (unsigned long long)f->size,
                 f->program ? ",\"program\":true" : "");
    }
    buf_add_char(&r->body, ']');
}

int job_data_add(struct request *r, const struct cli *cli, bool send)
{
    struct files files = {.file = calloc(JOB_BLOBS_MAX, sizeof *files.file)};
    if (!files.file)
        return CLI_FAILED;
    int rc = add_all(&files, r, cli);
    for (uint32_t i = 0; i < files.n && rc == CLI_OK && send; i++)
        rc = send_file(cli, &files.file[i], r->tenant);
    if (rc == CLI_OK && files.n > 0)
        add_members(r, &files);
    free(files.file);
    return rc;
}
