/* SPDX-License-Identifier: Apache-2.0 */
#include "testvfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define FILES 8
#define CONNECTIONS 16
#define REGIONS 64

struct content {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool exists;
};

struct handle;
struct file {
    char name[64];
    struct content now;  /* what the process sees */
    struct content disk; /* what survives power loss */
    struct content kept; /* what a reset begins with */
    bool fresh; /* made anew since the last sync: `disk` is another file of the same name, or nothing */
    struct handle *open[CONNECTIONS];
    void *region[REGIONS]; /* shared memory of the WAL index */
};

struct handle {
    sqlite3_file base;
    struct file *file;
    bool remove;
    int level; /* SQLITE_LOCK_* on the file */
    bool mapped;
    uint16_t shared, exclusive; /* locks on the shared memory */
};

static struct file files[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t random_state, ops, crash_at;
static bool crashed, lying;
static unsigned fail_kinds;
static uint32_t fail_skip, fail_count;
static uint64_t touches, touch_from, touch_to; /* those in [from, to) fail */

static uint32_t draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

/* The content is always zero past its length. */
static void content_reserve(struct content *c, size_t len)
{
    if (len <= c->cap)
        return;
    size_t cap = c->cap ? c->cap : 65536;
    while (cap < len)
        cap *= 2;
    c->data = realloc(c->data, cap);
    if (!c->data)
        abort();
    memset(c->data + c->cap, 0, cap - c->cap);
    c->cap = cap;
}

static void content_resize(struct content *c, size_t len)
{
    content_reserve(c, len);
    if (len < c->len)
        memset(c->data + len, 0, c->len - len);
    c->len = len;
}

static void content_copy(struct content *to, const struct content *from)
{
    content_resize(to, from->len);
    if (from->len)
        memcpy(to->data, from->data, from->len);
    to->exists = from->exists;
}

/* Counts any operation; true when it must fail. */
static bool touch(void)
{
    touches++;
    return touches >= touch_from && touches < touch_to;
}

/* Counts one that changes something; true when it must fail. */
static bool faulty(const struct file *f, unsigned kind)
{
    ops++;
    if (crash_at && ops >= crash_at)
        crashed = true;
    if (crashed || touch())
        return true;
    const char *dash = strrchr(f->name, '-');
    if (!(kind & fail_kinds) || !dash || strcmp(dash, "-wal") != 0 || fail_count == 0)
        return false;
    if (fail_skip > 0) {
        fail_skip--;
        return false;
    }
    fail_count--;
    return true;
}

static struct file *file_named(const char *path, bool create)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct file *free_one = NULL;
    for (int i = 0; i < FILES; i++) {
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
        if (!files[i].name[0] && !free_one)
            free_one = &files[i];
    }
    if (!create)
        return NULL;
    if (!free_one)
        abort();
    (void)snprintf(free_one->name, sizeof free_one->name, "%s", name);
    return free_one;
}

/* ---- files ---- */

static int on_close(sqlite3_file *p)
{
    struct handle *h = (struct handle *)p;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (h->file->open[i] == h)
            h->file->open[i] = NULL;
    }
    if (h->remove && !crashed)
        h->file->now.exists = h->file->disk.exists = false;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *p, void *dst, int n, sqlite3_int64 at)
{
    struct content *c = &((struct handle *)p)->file->now;
    pthread_mutex_lock(&lock);
    bool fault = touch();
    size_t have = (size_t)at < c->len ? c->len - (size_t)at : 0;
    if (have > (size_t)n)
        have = (size_t)n;
    if (have)
        memcpy(dst, c->data + at, have);
    pthread_mutex_unlock(&lock);
    if (fault)
        return SQLITE_IOERR_READ;
    memset((char *)dst + have, 0, (size_t)n - have);
    return have == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *p, const void *src, int n, sqlite3_int64 at)
{
    struct file *f = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(f, TESTVFS_WRITE);
    if (!fault) {
        size_t end = (size_t)at + (size_t)n;
        if (end > f->now.len)
            content_resize(&f->now, end);
        memcpy(f->now.data + at, src, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int on_truncate(sqlite3_file *p, sqlite3_int64 len)
{
    struct file *f = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(f, 0);
    if (!fault)
        content_resize(&f->now, (size_t)len);
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int on_sync(sqlite3_file *p, int flags)
{
    (void)flags;
    struct file *f = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(f, TESTVFS_SYNC);
    if (!fault && !lying) {
        content_resize(&f->disk, f->now.len);
        memcpy(f->disk.data, f->now.data, f->now.len);
        f->disk.exists = true;
        f->fresh = false;
        for (int i = 0; i < FILES; i++)
            files[i].disk.exists &= files[i].now.exists;
    }
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_size(sqlite3_file *p, sqlite3_int64 *len)
{
    pthread_mutex_lock(&lock);
    *len = (sqlite3_int64)((struct handle *)p)->file->now.len;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

/* The highest lock that another connection has on the file. */
static int others_level(const struct handle *h)
{
    int level = SQLITE_LOCK_NONE;
    for (int i = 0; i < CONNECTIONS; i++) {
        const struct handle *other = h->file->open[i];
        if (other && other != h && other->level > level)
            level = other->level;
    }
    return level;
}

static int on_lock(sqlite3_file *p, int level)
{
    struct handle *h = (struct handle *)p;
    pthread_mutex_lock(&lock);
    int others = others_level(h);
    bool busy = level == SQLITE_LOCK_EXCLUSIVE ? others != SQLITE_LOCK_NONE
                : level == SQLITE_LOCK_SHARED  ? others == SQLITE_LOCK_EXCLUSIVE
                                               : others >= SQLITE_LOCK_RESERVED;
    if (!busy && h->level < level)
        h->level = level;
    pthread_mutex_unlock(&lock);
    return busy ? SQLITE_BUSY : SQLITE_OK;
}

static int on_unlock(sqlite3_file *p, int level)
{
    struct handle *h = (struct handle *)p;
    pthread_mutex_lock(&lock);
    h->level = level;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_reserved(sqlite3_file *p, int *out)
{
    pthread_mutex_lock(&lock);
    *out = others_level((struct handle *)p) >= SQLITE_LOCK_RESERVED;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_control(sqlite3_file *p, int op, void *arg)
{
    (void)p;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int on_sector(sqlite3_file *p)
{
    (void)p;
    return SECTOR;
}

static int on_traits(sqlite3_file *p)
{
    (void)p;
    return 0;
}

/* ---- shared memory ---- */

static int on_shm_map(sqlite3_file *p, int region, int size, int extend, void volatile **out)
{
    struct file *f = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    ((struct handle *)p)->mapped = true;
    if (region >= REGIONS)
        abort();
    if (!f->region[region] && extend)
        f->region[region] = calloc(1, (size_t)size);
    *out = f->region[region];
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *p, int offset, int n, int flags)
{
    struct handle *h = (struct handle *)p;
    uint16_t mask = (uint16_t)(((1u << n) - 1) << offset);
    bool busy = false;
    pthread_mutex_lock(&lock);
    if (flags & SQLITE_SHM_UNLOCK) {
        h->shared &= (uint16_t)~mask;
        h->exclusive &= (uint16_t)~mask;
    } else {
        for (int i = 0; i < CONNECTIONS; i++) {
            const struct handle *other = h->file->open[i];
            if (other && other != h)
                busy |= (other->exclusive & mask) || (flags & SQLITE_SHM_EXCLUSIVE && other->shared & mask);
        }
        if (!busy && flags & SQLITE_SHM_EXCLUSIVE)
            h->exclusive |= mask;
        else if (!busy)
            h->shared |= mask;
    }
    pthread_mutex_unlock(&lock);
    return busy ? SQLITE_BUSY : SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *p)
{
    (void)p;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
}

static void shm_drop(struct file *f)
{
    for (int i = 0; i < REGIONS; i++) {
        free(f->region[i]);
        f->region[i] = NULL;
    }
}

static int on_shm_unmap(sqlite3_file *p, int remove)
{
    struct handle *h = (struct handle *)p;
    (void)remove;
    pthread_mutex_lock(&lock);
    h->shared = h->exclusive = 0;
    h->mapped = false;
    bool others = false;
    for (int i = 0; i < CONNECTIONS; i++)
        others |= h->file->open[i] && h->file->open[i]->mapped;
    if (!others)
        shm_drop(h->file); /* as unix does when the last connection goes */
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

/* ---- the VFS ---- */

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_traits,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *p, int flags, int *out_flags)
{
    static unsigned temporary;
    struct handle *h = (struct handle *)p;
    char unnamed[16];
    (void)v;
    memset(h, 0, sizeof *h);
    if (!name) {
        (void)snprintf(unnamed, sizeof unnamed, "temp%u", temporary++ % 3);
        name = unnamed;
    }
    pthread_mutex_lock(&lock);
    struct file *f = file_named(name, flags & SQLITE_OPEN_CREATE);
    bool there = f && (f->now.exists || flags & SQLITE_OPEN_CREATE) && !touch();
    if (there) {
        if (!f->now.exists) {
            content_resize(&f->now, 0);
            f->fresh = true;
        }
        f->now.exists = true;
        h->base.pMethods = &methods;
        h->file = f;
        h->remove = name == unnamed || flags & SQLITE_OPEN_DELETEONCLOSE;
        int i = 0;
        while (f->open[i])
            i++;
        f->open[i] = h;
    }
    pthread_mutex_unlock(&lock);
    if (out_flags)
        *out_flags = flags;
    return there ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int on_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    int rc = SQLITE_OK;
    pthread_mutex_lock(&lock);
    struct file *f = file_named(name, false);
    if (!f || !f->now.exists) {
        rc = SQLITE_IOERR_DELETE_NOENT;
    } else if (faulty(f, 0)) {
        rc = SQLITE_IOERR_DELETE;
    } else {
        f->now.exists = false;
        content_resize(&f->now, 0);
        if (sync && !lying)
            f->disk.exists = false;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int on_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    (void)v;
    (void)flags;
    pthread_mutex_lock(&lock);
    struct file *f = file_named(name, false);
    *out = f && f->now.exists;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
    (void)v;
    (void)snprintf(out, (size_t)n, "%s", name);
    return SQLITE_OK;
}

void testvfs_reset(uint64_t seed)
{
    static sqlite3_vfs vfs;
    if (!vfs.zName) {
        vfs = *sqlite3_vfs_find(NULL);
        vfs.zName = "test";
        vfs.szOsFile = sizeof(struct handle);
        vfs.xOpen = on_open;
        vfs.xDelete = on_delete;
        vfs.xAccess = on_access;
        vfs.xFullPathname = on_full_path;
        vfs.pNext = NULL;
        sqlite3_vfs_register(&vfs, 0);
    }
    for (int i = 0; i < FILES; i++) {
        shm_drop(&files[i]);
        content_resize(&files[i].now, 0);
        content_resize(&files[i].disk, 0);
        files[i].fresh = false;
        content_copy(&files[i].now, &files[i].kept);
        content_copy(&files[i].disk, &files[i].kept);
    }
    random_state = seed * 0x9e3779b97f4a7c15u | 1;
    ops = crash_at = 0;
    crashed = lying = false;
    fail_count = 0;
    testvfs_fail_at(0, 0);
}

uint64_t testvfs_count(void)
{
    return ops;
}

void testvfs_keep(void)
{
    for (int i = 0; i < FILES; i++)
        content_copy(&files[i].kept, &files[i].now);
}

void testvfs_forget(void)
{
    for (int i = 0; i < FILES; i++) {
        content_resize(&files[i].kept, 0);
        files[i].kept.exists = false;
    }
}

void testvfs_fail_at(uint64_t n, uint32_t count)
{
    pthread_mutex_lock(&lock);
    touches = 0;
    touch_from = n ? n : UINT64_MAX;
    touch_to = n ? n + count : UINT64_MAX;
    pthread_mutex_unlock(&lock);
}

uint64_t testvfs_touched(void)
{
    return touches;
}

void testvfs_crash_at(uint64_t n)
{
    ops = 0;
    crash_at = n;
}

bool testvfs_crashed(void)
{
    return crashed;
}

void testvfs_fail(unsigned kinds, uint32_t skip, uint32_t count)
{
    pthread_mutex_lock(&lock);
    fail_kinds = kinds;
    fail_skip = skip;
    fail_count = count;
    pthread_mutex_unlock(&lock);
}

uint32_t testvfs_fails_left(void)
{
    pthread_mutex_lock(&lock);
    uint32_t n = fail_count;
    pthread_mutex_unlock(&lock);
    return n;
}

void testvfs_lie(bool lie)
{
    lying = lie;
}

/* ---- power loss ---- */

static void lose_sectors(struct file *f)
{
    content_reserve(&f->disk, f->now.cap);
    content_reserve(&f->now, f->disk.cap);
    size_t end = f->now.len;
    for (size_t at = 0; at < end; at += SECTOR) {
        size_t len = end - at < SECTOR ? end - at : SECTOR;
        if (at + len <= f->disk.len && memcmp(f->now.data + at, f->disk.data + at, len) == 0)
            continue;
        uint32_t fate = draw(10);
        if (fate >= 5 && fate < 8)
            memcpy(f->disk.data + at, f->now.data + at, len);
        for (size_t i = 0; fate >= 8 && i < len; i++)
            f->disk.data[at + i] = (uint8_t)draw(256);
    }
}

static void lose(struct file *f)
{
    size_t was = f->disk.len;
    size_t len = draw(2) ? f->now.len : was;
    if (f->now.exists)
        lose_sectors(f);
    else
        len = was;
    f->disk.len = len;
    if (f->disk.len < f->disk.cap)
        memset(f->disk.data + f->disk.len, 0, f->disk.cap - f->disk.len);
}

void testvfs_power_loss(void)
{
    for (int i = 0; i < FILES; i++) {
        struct file *f = &files[i];
        shm_drop(f);
        if (!f->now.exists && !f->disk.exists)
            continue;
        /* Made but never synced: perhaps the one before is back, or nothing. Deleted: perhaps it is back. */
        bool there = f->disk.exists;
        if (f->now.exists && f->fresh && draw(2)) {
            content_resize(&f->disk, 0);
            lose(f);
            there = true;
        } else if (f->now.exists && !f->fresh) {
            lose(f);
        } else if (!f->now.exists) {
            there = draw(2);
        }
        if (!there)
            content_resize(&f->disk, 0);
        content_resize(&f->now, f->disk.len);
        if (f->disk.len)
            memcpy(f->now.data, f->disk.data, f->disk.len);
        f->now.exists = f->disk.exists = there;
        f->fresh = false;
    }
    crashed = false;
    crash_at = 0;
    fail_count = 0;
    testvfs_fail_at(0, 0);
}
