/* SPDX-License-Identifier: Apache-2.0 */
#include "testfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define SECTOR 512
#define NODES 1024
#define FDS 1024
#define NAME_LEN 80

/* A change. `node` is what it is done to; in folder `dir` under `name`. */
enum change { MAKE, RENAME, REMOVE, WRITE, CUT, SYNC, SYNC_FOLDER };
struct record {
    enum change kind;
    int dir, node;
    char name[NAME_LEN], from[NAME_LEN];
    size_t at, len, data;
};

/* ---- what there is now ---- */

static struct node {
    char path[PATH_MAX / 8]; /* from the root on, empty: the root; not there any more if `gone` */
    bool folder, gone;
    size_t base, base_len; /* what it had at first, in `bytes`; durable */
    bool based;
    int base_dir;
    char base_name[NAME_LEN];
} nodes[NODES];
static int nnodes;
static char root[PATH_MAX / 8];
static size_t root_len;
static struct {
    int node; /* + 1; 0: none of ours */
    size_t at;
} fds[FDS];
static struct record *records;
static size_t nrecords, records_cap;
static char *bytes;
static size_t nbytes, bytes_cap;
static bool recording, begun;
static pthread_t test_thread;
static unsigned lies;
static uint64_t touches, touch_from = UINT64_MAX, touch_to = UINT64_MAX;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int __real_open64(const char *path, int flags, ...);
int __real_stat64(const char *path, struct stat *st);
ssize_t __real_read(int fd, void *to, size_t len);
ssize_t __real_write(int fd, const void *from, size_t len);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_unlinkat(int fd, const char *name, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_rmdir(const char *path);
DIR *__real_opendir(const char *path);
int __real_closedir(DIR *dir);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_stat64(const char *path, struct stat *st);
ssize_t __wrap_read(int fd, void *to, size_t len);
ssize_t __wrap_write(int fd, const void *from, size_t len);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_rmdir(const char *path);
DIR *__wrap_opendir(const char *path);
int __wrap_closedir(DIR *dir);

static size_t keep_bytes(const void *data, size_t len)
{
    size_t at = nbytes;
    while (nbytes + len > bytes_cap) {
        bytes_cap = bytes_cap ? 2 * bytes_cap : 1 << 20;
        bytes = realloc(bytes, bytes_cap);
        if (!bytes)
            abort();
    }
    if (len > 0)
        memcpy(bytes + at, data, len);
    nbytes += len;
    return at;
}

/* The path from the root on; NULL: it is not under it. */
static const char *ours(const char *path)
{
    if (!recording || strncmp(path, root, root_len) != 0 || (path[root_len] != '/' && path[root_len] != 0))
        return NULL;
    return path[root_len] ? path + root_len + 1 : path + root_len;
}

static int node_at(const char *path)
{
    for (int i = 0; i < nnodes; i++) {
        if (!nodes[i].gone && strcmp(nodes[i].path, path) == 0)
            return i;
    }
    return -1;
}

static int node_new(const char *path, bool folder)
{
    if (nnodes == NODES)
        abort();
    nodes[nnodes] = (struct node){.folder = folder};
    (void)snprintf(nodes[nnodes].path, sizeof nodes[nnodes].path, "%s", path);
    return nnodes++;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int folder_of(const char *path)
{
    char parent[sizeof nodes[0].path] = "";
    const char *slash = strrchr(path, '/');
    if (slash)
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    int dir = node_at(parent);
    if (dir < 0)
        abort();
    return dir;
}

static struct record *add(enum change kind, int node)
{
    if (nrecords == records_cap) {
        records_cap = records_cap ? 2 * records_cap : 1024;
        records = realloc(records, records_cap * sizeof *records);
        if (!records)
            abort();
    }
    struct record *r = &records[nrecords++];
    *r = (struct record){.kind = kind, .node = node};
    return r;
}

static void add_named(enum change kind, int node, const char *path, const char *from)
{
    struct record *r = add(kind, node);
    r->dir = folder_of(path);
    (void)snprintf(r->name, sizeof r->name, "%s", last_part(path));
    (void)snprintf(r->from, sizeof r->from, "%s", from ? last_part(from) : "");
}

/* Under the lock. True: this call must fail. What the test's own thread does, does not count. */
static bool touch(void)
{
    if (pthread_equal(pthread_self(), test_thread))
        return false;
    touches++;
    if (touches < touch_from || touches >= touch_to)
        return false;
    errno = EIO;
    return true;
}

static int node_of(int fd)
{
    return recording && fd >= 0 && fd < FDS ? fds[fd].node - 1 : -1;
}

/* ---- the calls ---- */

static void opened(int fd, const char *path, int flags)
{
    int node = node_at(path);
    if (fd >= FDS)
        abort();
    if (node < 0) {
        node = node_new(path, false);
        add_named(MAKE, node, path, NULL);
    } else if (flags & O_TRUNC) {
        add(CUT, node);
    }
    fds[fd].node = node + 1;
    fds[fd].at = 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    pthread_mutex_lock(&lock);
    const char *name = ours(path);
    int fd = name && touch() ? -1 : __real_open64(path, flags, mode);
    if (name && fd >= 0)
        opened(fd, name, flags);
    pthread_mutex_unlock(&lock);
    return fd;
}

int __wrap_stat64(const char *path, struct stat *st)
{
    pthread_mutex_lock(&lock);
    bool fails = ours(path) && touch();
    pthread_mutex_unlock(&lock);
    return fails ? -1 : __real_stat64(path, st);
}

ssize_t __wrap_read(int fd, void *to, size_t len)
{
    pthread_mutex_lock(&lock);
    bool fails = node_of(fd) >= 0 && touch();
    pthread_mutex_unlock(&lock);
    return fails ? -1 : __real_read(fd, to, len);
}

ssize_t __wrap_write(int fd, const void *from, size_t len)
{
    pthread_mutex_lock(&lock);
    int node = node_of(fd);
    ssize_t n = node >= 0 && touch() ? -1 : __real_write(fd, from, len);
    if (node >= 0 && n > 0) {
        struct record *r = add(WRITE, node);
        r->at = fds[fd].at;
        r->len = (size_t)n;
        r->data = keep_bytes(from, (size_t)n);
        fds[fd].at += (size_t)n;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

int __wrap_fsync(int fd)
{
    pthread_mutex_lock(&lock);
    int node = node_of(fd);
    int rc = node >= 0 && touch() ? -1 : 0;
    if (node >= 0 && rc == 0)
        add(nodes[node].folder ? SYNC_FOLDER : SYNC, node);
    pthread_mutex_unlock(&lock);
    return begun ? rc : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS)
        fds[fd].node = 0;
    pthread_mutex_unlock(&lock);
    return __real_close(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    pthread_mutex_lock(&lock);
    const char *a = ours(from), *b = ours(to);
    int rc = a && touch() ? -1 : __real_rename(from, to);
    if (rc == 0 && a && b) {
        int node = node_at(a), over = node_at(b);
        if (node < 0 || nodes[node].folder || folder_of(a) != folder_of(b))
            abort();
        if (over >= 0)
            nodes[over].gone = true;
        add_named(RENAME, node, b, a);
        (void)snprintf(nodes[node].path, sizeof nodes[node].path, "%s", b);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* Something under this path went. */
static void removed(const char *path)
{
    int node = node_at(path);
    if (node < 0)
        abort();
    nodes[node].gone = true;
    add_named(REMOVE, node, path, NULL);
}

int __wrap_unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    const char *name = ours(path);
    int rc = name && touch() ? -1 : __real_unlink(path);
    if (rc == 0 && name)
        removed(name);
    pthread_mutex_unlock(&lock);
    return rc;
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    pthread_mutex_lock(&lock);
    int dir = node_of(fd);
    int rc = dir >= 0 && touch() ? -1 : __real_unlinkat(fd, name, flags);
    if (rc == 0 && dir >= 0) {
        char path[2 * sizeof nodes[0].path];
        (void)snprintf(path, sizeof path, "%s%s%s", nodes[dir].path, nodes[dir].path[0] ? "/" : "", name);
        removed(path);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    pthread_mutex_lock(&lock);
    const char *name = ours(path);
    int rc = name && touch() ? -1 : __real_mkdir(path, mode);
    if (rc == 0 && name)
        add_named(MAKE, node_new(name, true), name, NULL);
    pthread_mutex_unlock(&lock);
    return rc;
}

int __wrap_rmdir(const char *path)
{
    pthread_mutex_lock(&lock);
    const char *name = ours(path);
    int rc = name && touch() ? -1 : __real_rmdir(path);
    if (rc == 0 && name)
        removed(name);
    pthread_mutex_unlock(&lock);
    return rc;
}

DIR *__wrap_opendir(const char *path)
{
    pthread_mutex_lock(&lock);
    const char *name = ours(path);
    DIR *dir = name && touch() ? NULL : __real_opendir(path);
    if (dir && name && dirfd(dir) < FDS)
        fds[dirfd(dir)].node = node_at(name) + 1;
    pthread_mutex_unlock(&lock);
    return dir;
}

int __wrap_closedir(DIR *dir)
{
    pthread_mutex_lock(&lock);
    if (dirfd(dir) < FDS)
        fds[dirfd(dir)].node = 0;
    pthread_mutex_unlock(&lock);
    return __real_closedir(dir);
}

/* ---- a recording ---- */

static int import(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)where;
    int node = node_new(path[root_len] ? path + root_len + 1 : "", type == FTW_D);
    struct node *n = &nodes[node];
    n->based = true;
    if (node > 0)
        n->base_dir = folder_of(n->path);
    (void)snprintf(n->base_name, sizeof n->base_name, "%s", last_part(n->path));
    n->base = nbytes;
    n->base_len = type == FTW_D ? 0 : (size_t)st->st_size;
    FILE *file = n->base_len ? fopen(path, "rb") : NULL;
    for (int c; file && (c = fgetc(file)) != EOF;) {
        char byte = (char)c;
        keep_bytes(&byte, 1);
    }
    if (file)
        fclose(file);
    return nbytes - n->base == n->base_len ? 0 : 1;
}

void testfs_begin(const char *path)
{
    recording = false;
    begun = true;
    test_thread = pthread_self();
    nnodes = 0;
    nrecords = nbytes = 0;
    (void)snprintf(root, sizeof root, "%s", path);
    root_len = strlen(root);
    if (nftw(path, import, 16, FTW_PHYS) != 0)
        abort();
    memset(fds, 0, sizeof fds);
    testfs_fail_at(0, 0);
    recording = true;
}

void testfs_end(void)
{
    recording = begun = false;
}

uint64_t testfs_count(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = nrecords;
    pthread_mutex_unlock(&lock);
    return n;
}

void testfs_lie(unsigned which)
{
    lies = which;
}

void testfs_fail_at(uint64_t n, uint32_t count)
{
    pthread_mutex_lock(&lock);
    touches = 0;
    touch_from = n ? n : UINT64_MAX;
    touch_to = n ? n + count : UINT64_MAX;
    pthread_mutex_unlock(&lock);
}

uint64_t testfs_touched(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = touches;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ---- a loss ---- */

struct content {
    uint8_t *data;
    size_t len;
};

static struct past {
    struct content now, disk;
    int dir; /* + 1 where it is durably; 0: nowhere */
    char name[NAME_LEN];
} past[NODES];

static void set_content(struct content *c, const void *data, size_t len)
{
    c->data = realloc(c->data, len ? len : 1);
    if (!c->data)
        abort();
    if (len > 0)
        memcpy(c->data, data, len);
    c->len = len;
}

static void write_past(struct content *c, const struct record *r)
{
    size_t end = r->at + r->len;
    if (end > c->len) {
        c->data = realloc(c->data, end);
        if (!c->data)
            abort();
        memset(c->data + c->len, 0, end - c->len);
        c->len = end;
    }
    memcpy(c->data + r->at, bytes + r->data, r->len);
}

/* What is done in a folder becomes durable. */
static void settle(const struct record *r)
{
    struct past *p = &past[r->node];
    for (int i = 0; i < nnodes && r->kind != REMOVE; i++) {
        if (i != r->node && past[i].dir == r->dir + 1 && strcmp(past[i].name, r->name) == 0)
            past[i].dir = 0; /* it takes its place */
    }
    if (r->kind == REMOVE) {
        p->dir = 0;
    } else {
        p->dir = r->dir + 1;
        memcpy(p->name, r->name, sizeof p->name);
    }
}

static bool in_folder(const struct record *r, int dir)
{
    return (r->kind == MAKE || r->kind == RENAME || r->kind == REMOVE) && r->dir == dir;
}

static void sync_folder(int dir, size_t *from, size_t to)
{
    for (size_t i = from[dir]; i < to; i++) {
        if (in_folder(&records[i], dir))
            settle(&records[i]);
    }
    from[dir] = to;
}

static void lose_content(struct past *p, uint64_t *seed)
{
    bool same =
        p->now.len == p->disk.len && (p->now.len == 0 || memcmp(p->now.data, p->disk.data, p->now.len) == 0);
    if (same)
        return;
    size_t len = test_below(seed, 2) ? p->now.len : p->disk.len;
    uint8_t *mixed = calloc(1, len + 1);
    for (size_t at = 0; at < len; at += SECTOR) {
        size_t n = len - at < SECTOR ? len - at : SECTOR;
        uint64_t fate = test_below(seed, 10);
        const struct content *of = fate < 5 ? &p->disk : &p->now;
        if (at < of->len)
            memcpy(mixed + at, of->data + at, of->len - at < n ? of->len - at : n);
        for (size_t i = 0; fate >= 8 && i < n; i++)
            mixed[at + i] = (uint8_t)test_below(seed, 256);
    }
    set_content(&p->disk, mixed, len);
    free(mixed);
}

/* What of the changes in a folder that were not synced is there: none, all, all before one of them, or any of them. */
static void lose_folder(int dir, size_t from, size_t to, uint64_t *seed)
{
    uint64_t fate = test_below(seed, 4);
    size_t until = from + test_below(seed, to - from + 1);
    for (size_t i = from; i < to && fate > 0; i++) {
        bool kept = fate == 1 || (fate == 2 && i < until) || (fate == 3 && test_below(seed, 2));
        if (in_folder(&records[i], dir) && kept)
            settle(&records[i]);
    }
}

static void make_in(int dir, const char *path)
{
    char child[PATH_MAX / 2];
    if (__real_mkdir(path, 0755) != 0)
        abort();
    for (int i = 0; i < nnodes; i++) {
        if (past[i].dir != dir + 1)
            continue;
        (void)snprintf(child, sizeof child, "%s/%s", path, past[i].name);
        if (nodes[i].folder) {
            make_in(i, child);
            continue;
        }
        FILE *file = fopen(child, "wb");
        if (!file || (past[i].disk.len && fwrite(past[i].disk.data, past[i].disk.len, 1, file) != 1) ||
            fclose(file) != 0)
            abort();
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void play(const struct record *r, size_t i, size_t *synced)
{
    struct past *p = &past[r->node];
    if (r->kind == WRITE)
        write_past(&p->now, r);
    else if (r->kind == CUT)
        set_content(&p->now, NULL, 0);
    else if (r->kind == SYNC && !(lies & TESTFS_FILES))
        set_content(&p->disk, p->now.data, p->now.len);
    else if (r->kind == SYNC_FOLDER && !(lies & TESTFS_FOLDERS))
        sync_folder(r->node, synced, i);
}

void testfs_lose(uint64_t n, uint64_t seed, const char *dir)
{
    static size_t synced[NODES];
    if (n > nrecords)
        n = nrecords;
    memset(synced, 0, sizeof synced);
    for (int i = 0; i < nnodes; i++) {
        set_content(&past[i].now, bytes + nodes[i].base, nodes[i].base_len);
        set_content(&past[i].disk, bytes + nodes[i].base, nodes[i].base_len);
        past[i].dir = i > 0 && nodes[i].based ? nodes[i].base_dir + 1 : 0;
        if (nodes[i].based)
            (void)snprintf(past[i].name, sizeof past[i].name, "%s", nodes[i].base_name);
    }
    for (size_t i = 0; i < n; i++)
        play(&records[i], i, synced);
    for (int i = 0; i < nnodes; i++) {
        if (nodes[i].folder)
            lose_folder(i, synced[i], n, &seed);
        else
            lose_content(&past[i], &seed);
    }
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    make_in(0, dir);
}
