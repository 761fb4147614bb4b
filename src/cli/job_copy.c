/* SPDX-License-Identifier: Apache-2.0 */
/* `busbar job cp`: what was kept of a job, to here. One that broke off goes on from where it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/job.h"
#include "engine/data.h"

struct copying {
    const struct cli *cli;
    const char *tenant;
    const char *name;   /* of a file or folder of them; NULL: all */
    const char *target; /* the file, or their folder */
    bool into;          /* it is a folder */
    uint32_t n;
};

struct piece {
    int fd;
    uint64_t bytes;
    bool failed;
};

static bool on_data(void *ctx, const char *data, size_t len)
{
    struct piece *piece = ctx;
    while (len > 0 && !piece->failed) {
        ssize_t n = write(piece->fd, data, len);
        piece->failed = n < 0 && errno != EINTR;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            piece->bytes += (uint64_t)n;
        }
    }
    return !piece->failed;
}

static int fetch_rest(const struct copying *c, const char *sha256, uint64_t size, int fd, uint64_t have)
{
    int rc = CLI_OK;
    while (rc == CLI_OK && have < size) {
        char path[512];
        long status;
        struct piece piece = {.fd = fd};
        (void)snprintf(path, sizeof path, "/api/v1/blobs/%.64s?tenant=%.63s&offset=%llu", sha256, c->tenant,
                       (unsigned long long)have);
        rc = client_stream(c->cli, "GET", path, NULL, c->cli->key, on_data, &piece, &status);
        if (rc == CLI_OK && (piece.failed || piece.bytes == 0)) {
            fprintf(stderr, "busbar: %s\n",
                    piece.failed ? strerror(errno) : "the hub has less of it than it says");
            rc = CLI_FAILED;
        }
        have += piece.bytes;
    }
    return rc;
}

/* Named once it is what it should be. */
static int settle(const char *part, const char *path, const char *sha256, int fd, bool program)
{
    char found[BLOB_NAME_LEN + 1];
    uint64_t size;
    struct err err = {0};
    if (blob_hash(fd, found, &size, &err) != 0 || strcmp(found, sha256) != 0) {
        fprintf(stderr, "busbar: %s: %s\n", part,
                err.code ? err.msg : "the bytes are not those that the hub names");
        (void)unlink(part);
        return CLI_FAILED;
    }
    if (fchmod(fd, program ? 0755 : 0644) < 0 || fsync(fd) < 0 || rename(part, path) < 0) {
        fprintf(stderr, "busbar: cannot write %s: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int copy_to(const struct copying *c, yyjson_val *file, const char *path)
{
    char part[FS_PATH_MAX];
    struct stat st;
    const char *sha256 = yyjson_get_str(yyjson_obj_get(file, "sha256"));
    const uint64_t size = yyjson_get_uint(yyjson_obj_get(file, "size"));
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part) {
        fprintf(stderr, "busbar: %s: the path is too long\n", path);
        return CLI_FAILED;
    }
    int fd = open(part, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(stderr, "busbar: cannot write %s: %s\n", part, strerror(errno));
        return CLI_FAILED;
    }
    uint64_t have = (uint64_t)st.st_size;
    if (have > size && ftruncate(fd, 0) == 0)
        have = 0;
    int rc = fetch_rest(c, sha256, size, fd, have);
    if (rc == CLI_OK)
        rc = settle(part, path, sha256, fd, yyjson_is_true(yyjson_obj_get(file, "program")));
    (void)close(fd);
    if (rc == CLI_OK && !c->cli->json)
        printf("%s\n", path);
    return rc;
}

static bool is_named(const struct copying *c, const char *name)
{
    size_t len = c->name ? strlen(c->name) : 0;
    return !c->name || (strncmp(name, c->name, len) == 0 && (name[len] == 0 || name[len] == '/'));
}

/* What the hub calls a file is a path below the target, or it is not written. */
static int copy_one(struct copying *c, yyjson_val *file)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    const char *name = yyjson_get_str(yyjson_obj_get(file, "name"));
    const char *sha256 = yyjson_get_str(yyjson_obj_get(file, "sha256"));
    if (!name || !data_name_valid(name) || !sha256 || !blob_name_valid(sha256, strlen(sha256))) {
        fprintf(stderr, "busbar: the hub names a file that cannot be one\n");
        return CLI_FAILED;
    }
    if (!is_named(c, name))
        return CLI_OK;
    c->n++;
    bool exact = c->name && strcmp(name, c->name) == 0;
    const char *slash = exact ? strrchr(name, '/') : NULL;
    if (exact && !c->into)
        return copy_to(c, file, c->target);
    if (!fs_join(path, c->target, slash ? slash + 1 : name)) {
        fprintf(stderr, "busbar: %s: the path is too long\n", name);
        return CLI_FAILED;
    }
    char *last = strrchr(path, '/');
    *last = 0;
    int rc = path[0] ? fs_mkdirs(path, 0755, &err) : 0;
    *last = '/';
    if (rc != 0)
        fprintf(stderr, "busbar: %s\n", err.msg);
    return rc == 0 ? copy_to(c, file, path) : CLI_FAILED;
}

int cli_job_cp(const struct cli *cli)
{
    char job[128];
    yyjson_doc *doc = NULL;
    struct stat st;
    const char *colon = strchr(cli->args[0], ':');
    size_t len = colon ? (size_t)(colon - cli->args[0]) : strlen(cli->args[0]);
    struct copying c = {.cli = cli, .name = colon ? colon + 1 : NULL, .target = cli->args[1]};
    if (!text_set(job, sizeof job, cli->args[0], len)) {
        fprintf(stderr, "busbar: there is no job %s\n", cli->args[0]);
        return CLI_NOT_FOUND;
    }
    c.into = stat(c.target, &st) == 0 && S_ISDIR(st.st_mode);
    int rc = job_get(cli, job, false, &doc);
    c.tenant = job_text(doc, "/tenant");
    yyjson_val *files = yyjson_obj_get(yyjson_doc_get_root(doc), "outputs"), *file;
    yyjson_arr_iter it = yyjson_arr_iter_with(files);
    while (rc == CLI_OK && (file = yyjson_arr_iter_next(&it)) != NULL)
        rc = copy_one(&c, file);
    if (rc == CLI_OK && c.n == 0) {
        fprintf(stderr, "busbar: %s: %s\n", cli->args[0],
                c.name  ? "nothing of that name was kept of it"
                : files ? "nothing was kept of it"
                        : "nothing is kept of it, or not yet");
        rc = CLI_NOT_FOUND;
    }
    yyjson_doc_free(doc);
    return rc;
}
