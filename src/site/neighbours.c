/* SPDX-License-Identifier: Apache-2.0 */
#include "site/neighbours.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "site/roster.h"

#define LIST_MAX ((size_t)256 << 10)
#define ENDING ".json"

int neighbours_init(struct neighbours *n, const char *work, struct err *err)
{
    *n = (struct neighbours){.n = 0};
    return fs_join(n->dir, work, ".chips") ? 0
                                           : err_set(err, ERR_INVALID, "the work folder's path is too long");
}

void neighbours_fini(struct neighbours *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        buf_fini(&n->list[i].chips);
    free(n->list);
    *n = (struct neighbours){.n = 0};
}

/* ---- what the hub is told ---- */

uint32_t chips_render(struct buf *out, const struct probe_scan *scan)
{
    char name[UNIT_NAME_CAP];
    uint32_t n = 0, nameless = scan->dropped;
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < scan->n; i++) {
        const struct probe_chip *chip = &scan->chip[i];
        if (roster_is_missing(chip))
            continue;
        if (!roster_name(chip, name)) {
            nameless++;
            continue;
        }
        const struct {
            const char *name, *text;
        } texts[] = {{"vendor", chip->vendor},
                     {"serial", chip->serial},
                     {"uuid", chip->uuid},
                     {"kind", chip->kind},
                     {"id", chip->id},
                     {"model", chip->model},
                     {"health_text", chip->health_text}};
        buf_addf(out, "%s{\"health\":\"%s\"", n++ ? "," : "", probe_health_text(chip->health));
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            if (!texts[k].text[0])
                continue;
            buf_addf(out, ",\"%s\":", texts[k].name);
            buf_add_json(out, texts[k].text, strlen(texts[k].text));
        }
        if (chip->die >= 0 && chip->die < 10)
            buf_addf(out, ",\"die\":%lld", (long long)chip->die);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    return nameless;
}

/* ---- a look ---- */

static struct neighbour *find(const struct neighbours *n, const char *host)
{
    for (uint32_t i = 0; i < n->n; i++) {
        if (strcmp(n->list[i].host, host) == 0)
            return &n->list[i];
    }
    return NULL;
}

static struct neighbour *add(struct neighbours *n, const char *host)
{
    struct neighbour *more = n->n < NEIGHBOURS_MAX ? realloc(n->list, (n->n + 1) * sizeof *more) : NULL;
    if (!more)
        return NULL;
    n->list = more;
    struct neighbour *one = &more[n->n++];
    *one = (struct neighbour){.told = true}; /* of nothing */
    (void)text_set(one->host, sizeof one->host, host, strlen(host));
    buf_init(&one->chips, LIST_MAX);
    return one;
}

static void drop(struct neighbours *n, struct neighbour *one)
{
    buf_fini(&one->chips);
    *one = n->list[--n->n];
}

/* "HOST.json", of a name that is plain. */
static bool host_of(char dst[NAME_CAP], const char *file)
{
    size_t len = strlen(file), end = strlen(ENDING);
    if (len <= end || strcmp(file + len - end, ENDING) != 0 || !text_set(dst, NAME_CAP, file, len - end))
        return false;
    for (const char *p = dst; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return false;
    }
    return dst[0] != '.';
}

/* Others write there: a pipe would keep us for ever. */
static int read_plain(const char *path, struct buf *out, struct err *err)
{
    char block[16384];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot be opened: %s", strerror(errno));
    bool is_plain = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t n = -1;
    while (is_plain && !out->failed && (n = read(fd, block, sizeof block)) > 0)
        buf_add(out, block, (size_t)n);
    (void)close(fd);
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "is larger than %zu bytes", out->max);
    return n == 0 ? 0 : err_set(err, ERR_IO, is_plain ? "cannot be read" : "is no plain file");
}

static void take(struct neighbour *one, const char *path, struct probe_scan *scan)
{
    struct buf text, chips;
    struct err err = {0};
    buf_init(&text, PROBE_JSON_MAX);
    buf_init(&chips, LIST_MAX);
    int rc = read_plain(path, &text, &err);
    if (rc == 0)
        rc = probe_read(scan, text.data ? text.data : "", text.len, &err);
    if (rc != 0) {
        log_warn("chips", "file=%s error=\"%s\"", path, err.msg);
    } else {
        uint32_t nameless = chips_render(&chips, scan);
        one->nameless = nameless < NEIGHBOUR_NAMELESS_MAX ? nameless : NEIGHBOUR_NAMELESS_MAX;
        one->told &= one->chips.len > 0 && text_eq(one->chips.data, one->chips.len, chips.data, chips.len);
        buf_clear(&one->chips);
        buf_add(&one->chips, chips.data, chips.len);
    }
    buf_fini(&text);
    buf_fini(&chips);
}

static void look_at(struct neighbours *n, const char *file, const char *own, struct probe_scan *scan)
{
    char host[NAME_CAP], path[FS_PATH_MAX];
    struct stat st;
    if (!host_of(host, file) || strcmp(host, own) == 0 || !fs_join(path, n->dir, file))
        return;
    struct neighbour *one = find(n, host);
    int rc = stat(path, &st) == 0 ? 0 : errno;
    if (rc != 0 && rc != ENOENT && one)
        one->fresh = true; /* as it was: whether it is there cannot be known now */
    if (rc != 0 || (int64_t)time(NULL) - st.st_mtim.tv_sec > NEIGHBOUR_MS / 1000)
        return;
    const int64_t written_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (!one)
        one = add(n, host);
    if (!one) {
        log_warn("chips", "more than %d machines: %s is left out", NEIGHBOURS_MAX, host);
        return;
    }
    one->fresh = true;
    if (one->written_ns == written_ns)
        return;
    one->written_ns = written_ns;
    take(one, path, scan);
}

/* All of the folder. False: a hiccup of what the machines share, from which nothing follows. */
static bool look_through(struct neighbours *n, const char *own, struct probe_scan *scan)
{
    const struct dirent *entry;
    DIR *dir = opendir(n->dir);
    if (!dir)
        return errno == ENOENT; /* there are no others */
    while ((errno = 0, entry = readdir(dir)) != NULL)
        look_at(n, entry->d_name, own, scan);
    int rc = errno;
    (void)closedir(dir);
    errno = rc;
    return rc == 0;
}

void neighbours_look(struct neighbours *n, const char *own)
{
    struct probe_scan *scan = calloc(1, sizeof *scan);
    for (uint32_t i = 0; i < n->n; i++)
        n->list[i].fresh = false;
    bool whole = scan && look_through(n, own, scan);
    if (!whole)
        log_warn("chips", "folder=%s error=\"%s\"", n->dir, strerror(errno));
    free(scan);
    for (uint32_t i = 0; i < n->n; i++) {
        struct neighbour *one = &n->list[i];
        one->fresh |= !whole;
        if (one->fresh)
            continue;
        if (one->chips.len == 0 && one->told) {
            drop(n, one);
            i--;
            continue;
        }
        one->told &= one->chips.len == 0;
        buf_clear(&one->chips);
        one->written_ns = 0;
        one->nameless = 0;
    }
}

/* ---- who is told of ---- */

bool neighbours_have(const struct neighbours *n, const char *host)
{
    return find(n, host) != NULL;
}

uint32_t neighbours_nameless(const struct neighbours *n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n->n; i++)
        sum += n->list[i].nameless;
    return sum < NEIGHBOURS_NAMELESS_MAX ? sum : NEIGHBOURS_NAMELESS_MAX;
}

struct neighbour *neighbours_untold(struct neighbours *n)
{
    for (uint32_t i = 0; i < n->n; i++) {
        if (!n->list[i].told)
            return &n->list[i];
    }
    return NULL;
}

void neighbours_told(struct neighbours *n, const char *host, const struct buf *chips)
{
    struct neighbour *one = find(n, host);
    if (!one || one->chips.len != chips->len ||
        (chips->len > 0 && memcmp(one->chips.data, chips->data, chips->len) != 0))
        return; /* it is another by now */
    one->told = true;
    if (one->fresh || one->chips.len > 0)
        return;
    drop(n, one);
}

void neighbours_again(struct neighbours *n)
{
    for (uint32_t i = 0; i < n->n; i++)
        n->list[i].told = false;
}
