/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define CONNECT_S 20L
#define STALL_BYTES_S 1L
#define STALL_S 60L

struct part {
    char path[FS_PATH_MAX + 8]; /* TARGET.part */
    char from[FS_PATH_MAX + 8]; /* TARGET.from: where its bytes come from */
    FILE *file;
};

static bool is_url(const char *source)
{
    return strncmp(source, "https://", 8) == 0 || strncmp(source, "http://", 7) == 0;
}

static int check_source(const struct fetch *f, struct err *err)
{
    if (fs_exists(f->target))
        return err_set(err, ERR_EXISTS, "%s exists already", f->target);
    if (strncmp(f->source, "http://", 7) == 0 && !f->has_digest)
        return err_set(err, ERR_INVALID,
                       "over plain http the file could be changed on its way; give its sha256");
    if (!is_url(f->source) && strstr(f->source, "://") && strncmp(f->source, "file://", 7) != 0)
        return err_set(err, ERR_INVALID, "the source must be https://, http://, file:// or a path");
    return 0;
}

static void part_remove(const struct part *part)
{
    unlink(part->path);
    unlink(part->from);
}

/* Opens the part for this call alone: whoever holds it adds a model of the same name. */
static int part_lock(struct part *part, const struct fetch *f, struct err *err)
{
    struct stat mine, named;
    part->file = fopen(part->path, "abe");
    if (!part->file)
        return err_set(err, ERR_IO, "cannot create %s: %s", part->path, strerror(errno));
    int fd = fileno(part->file);
    /* Until it was locked, the other may have renamed or removed it. */
    bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && stat(part->path, &named) == 0 &&
                mine.st_ino == named.st_ino;
    if (ours && !fs_exists(f->target))
        return 0;
    if (ours)
        unlink(part->path);
    fclose(part->file);
    return err_set(err, ours ? ERR_EXISTS : ERR_IN_USE,
                   ours ? "%s exists already" : "%s is being added already", f->target);
}

/* Opens the part; keeps what is there if it came from the same source. Returns the offset to go on from. */
static int part_open(struct part *part, const struct fetch *f, curl_off_t *offset, struct err *err)
{
    struct buf from;
    struct stat st;
    (void)snprintf(part->path, sizeof part->path, "%s.part", f->target);
    (void)snprintf(part->from, sizeof part->from, "%s.from", f->target);
    int rc = part_lock(part, f, err);
    if (rc != 0)
        return rc;
    buf_init(&from, FS_PATH_MAX);
    struct err ignored;
    bool same = fs_read(part->from, &from, &ignored) == 0 && from.len == strlen(f->source) &&
                memcmp(from.data, f->source, from.len) == 0;
    buf_fini(&from);
    if (!same && ftruncate(fileno(part->file), 0) < 0)
        rc = err_set(err, ERR_IO, "cannot write %s: %s", part->path, strerror(errno));
    if (rc == 0)
        rc = fs_write_atomic(part->from, f->source, strlen(f->source), 0644, err);
    if (rc != 0) {
        part_remove(part);
        fclose(part->file);
        return rc;
    }
    *offset = fstat(fileno(part->file), &st) == 0 ? st.st_size : 0;
    return 0;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    return fwrite(data, size, n, ctx);
}

struct progress {
    struct fetch *fetch;
    curl_off_t offset;
};

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t ut, curl_off_t un)
{
    struct progress *p = ctx;
    (void)ut;
    (void)un;
    p->fetch->bytes = (uint64_t)(p->offset + now);
    p->fetch->total = total > 0 ? (uint64_t)(p->offset + total) : 0;
    return p->fetch->cancel;
}

static void set_options(CURL *curl, const struct fetch *f, struct part *part, struct progress *progress,
                        char *why)
{
    curl_easy_setopt(curl, CURLOPT_URL, f->source);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, f->has_digest ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, part->file);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, progress->offset);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, progress);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "busbar/" BUSBAR_VERSION);
}

static int download(struct fetch *f, struct part *part, curl_off_t offset, struct err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    struct progress progress = {.fetch = f, .offset = offset};
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    set_options(curl, f, part, &progress, why);
    CURLcode rc = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc == CURLE_OK || (offset > 0 && status == 416)) /* 416: the part was whole already */
        return 0;
    if (rc == CURLE_RANGE_ERROR && offset > 0) {
        /* The server does not resume: from the start, then. */
        if (ftruncate(fileno(part->file), 0) == 0)
            return download(f, part, 0, err);
    }
    if (f->cancel)
        return err_set(err, ERR_CANCELLED, "cancelled");
    return err_set(err, ERR_UPSTREAM, "cannot fetch %s: %s", f->source,
                   why[0] ? why : curl_easy_strerror(rc));
}

static int copy(struct fetch *f, struct part *part, curl_off_t offset, struct err *err)
{
    const char *path = strncmp(f->source, "file://", 7) == 0 ? f->source + 7 : f->source;
    int rc = 0;
    struct stat st;
    FILE *in = fopen(path, "rbe");
    if (!in)
        return err_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    f->total = fstat(fileno(in), &st) == 0 ? (uint64_t)st.st_size : 0;
    /* A local file may have changed since: copying it again costs little. */
    (void)offset;
    if (ftruncate(fileno(part->file), 0) < 0)
        rc = err_set(err, ERR_IO, "cannot write %s: %s", part->path, strerror(errno));
    char block[65536];
    size_t n;
    while (rc == 0 && !f->cancel && (n = fread(block, 1, sizeof block, in)) > 0) {
        if (fwrite(block, 1, n, part->file) != n)
            rc = err_set(err, ERR_IO, "cannot write %s: %s", part->path, strerror(errno));
        f->bytes += n;
    }
    if (rc == 0 && ferror(in))
        rc = err_set(err, ERR_IO, "cannot read %s", path);
    if (rc == 0 && f->cancel)
        rc = err_set(err, ERR_CANCELLED, "cancelled");
    fclose(in);
    return rc;
}

static int check_digest(struct fetch *f, const struct part *part, struct err *err)
{
    uint8_t found[DIGEST_LEN];
    int rc = digest_file(found, part->path, err);
    if (rc == 0 && f->has_digest && memcmp(found, f->digest, sizeof found) != 0) {
        char text[2 * DIGEST_LEN + 1];
        hex_encode(text, found, sizeof found);
        rc = err_set(err, ERR_DIGEST, "the file has sha256 %s, not the expected one; it was removed", text);
    }
    memcpy(f->digest, found, sizeof found);
    return rc;
}

int fetch_run(struct fetch *f, struct err *err)
{
    struct part part = {.file = NULL};
    curl_off_t offset = 0;
    int rc = check_source(f, err);
    if (rc == 0)
        rc = part_open(&part, f, &offset, err);
    if (rc != 0)
        return rc;
    bool url = is_url(f->source);
    rc = url ? download(f, &part, offset, err) : copy(f, &part, offset, err);
    if (fflush(part.file) != 0 || fsync(fileno(part.file)) != 0)
        rc = rc ? rc : err_set(err, ERR_IO, "cannot write %s: %s", part.path, strerror(errno));
    bool broke = rc != 0;
    if (rc == 0)
        rc = check_digest(f, &part, err);
    if (rc == 0 && rename(part.path, f->target) < 0)
        rc = err_set(err, ERR_IO, "cannot rename %s: %s", part.path, strerror(errno));
    f->placed = rc == 0;
    if (rc == 0)
        rc = fs_sync_parent(f->target, err);
    if (rc == 0)
        unlink(part.from);
    else if (!broke || !url) /* a download that broke off is kept, to be resumed */
        part_remove(&part);
    fclose(part.file); /* last: it is locked until here */
    return rc;
}
