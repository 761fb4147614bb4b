/* SPDX-License-Identifier: Apache-2.0 */
#include "testvfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testdisk.h"

#define SECTOR 512
#define CONNECTIONS 16
#define REGIONS 64

/* What connections share beside the content. */
struct handle;
static struct shared {
    struct handle *open[CONNECTIONS];
    void *region[REGIONS]; /* shared memory of the WAL index */
} shares[TESTDISK_FILES];

struct handle {
    sqlite3_file base;
    int file;
    bool remove;
    int level; /* SQLITE_LOCK_* on the file */
    bool mapped;
    uint16_t shared, exclusive; /* locks on the shared memory */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t ops, crash_at;
static bool crashed, lying;
static unsigned fail_kinds;
static uint32_t fail_skip, fail_count;
static uint64_t touches, touch_from, touch_to; /* those in [from, to) fail */

/* Counts any operation; true when it must fail. */
static bool touch(void)
{
    touches++;
    return touches >= touch_from && touches < touch_to;
}

/* Counts one that changes something; true when it must fail. */
static bool faulty(int file, unsigned kind)
{
    ops++;
    if (crash_at && ops >= crash_at)
        crashed = true;
    if (crashed || touch())
        return true;
    const char *dash = strrchr(testdisk_name(file), '-');
    if (!(kind & fail_kinds) || !dash || strcmp(dash, "-wal") != 0 || fail_count == 0)
        return false;
    if (fail_skip > 0) {
        fail_skip--;
        return false;
    }
    fail_count--;
    return true;
}

static int file_named(const char *path, bool create)
{
    const char *slash = strrchr(path, '/');
    return testdisk_find(slash ? slash + 1 : path, create);
}

static struct shared *shared_of(const struct handle *h)
{
    return &shares[h->file];
}

/* ---- files ---- */

static int on_close(sqlite3_file *p)
{
    struct handle *h = (struct handle *)p;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (shared_of(h)->open[i] == h)
            shared_of(h)->open[i] = NULL;
    }
    if (h->remove && !crashed)
        testdisk_do(h->file, DISK_DELETE_DURABLY, ops, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *p, void *dst, int n, sqlite3_int64 at)
{
    const struct content *c = &testdisk_image(((struct handle *)p)->file)->now;
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
    int file = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(file, TESTVFS_WRITE);
    if (!fault)
        testdisk_do(file, DISK_WRITE, ops, src, (size_t)n, (size_t)at);
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int on_truncate(sqlite3_file *p, sqlite3_int64 len)
{
    int file = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(file, 0);
    if (!fault)
        testdisk_do(file, DISK_TRUNCATE, ops, NULL, 0, (size_t)len);
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int on_sync(sqlite3_file *p, int flags)
{
    (void)flags;
    int file = ((struct handle *)p)->file;
    pthread_mutex_lock(&lock);
    bool fault = faulty(file, TESTVFS_SYNC);
    if (!fault && !lying)
        testdisk_do(file, DISK_SYNC, ops, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return fault ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_size(sqlite3_file *p, sqlite3_int64 *len)
{
    pthread_mutex_lock(&lock);
    *len = (sqlite3_int64)testdisk_image(((struct handle *)p)->file)->now.len;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

/* The highest lock that another connection has on the file. */
static int others_level(const struct handle *h)
{
    int level = SQLITE_LOCK_NONE;
    for (int i = 0; i < CONNECTIONS; i++) {
        const struct handle *other = shared_of(h)->open[i];
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
    struct handle *h = (struct handle *)p;
    struct shared *f = shared_of(h);
    pthread_mutex_lock(&lock);
    h->mapped = true;
    if (region >= REGIONS)
        abort();
    if (!f->region[region] && extend)
        f->region[region] = calloc(1, (size_t)size);
    *out = f->region[region];
    pthread_mutex_unlock(&lock);
    return extend && !*out ? SQLITE_NOMEM : SQLITE_OK;
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
            const struct handle *other = shared_of(h)->open[i];
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

static void shm_drop(struct shared *f)
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
        others |= shared_of(h)->open[i] && shared_of(h)->open[i]->mapped;
    if (!others)
        shm_drop(shared_of(h)); /* as unix does when the last connection goes */
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
    int file = file_named(name, flags & SQLITE_OPEN_CREATE);
    bool exists = file >= 0 && testdisk_image(file)->now.exists;
    bool there = file >= 0 && (exists || flags & SQLITE_OPEN_CREATE) && !touch();
    if (there) {
        if (!exists)
            testdisk_do(file, DISK_CREATE, ops, NULL, 0, 0);
        h->base.pMethods = &methods;
        h->file = file;
        h->remove = name == unnamed || flags & SQLITE_OPEN_DELETEONCLOSE;
        int i = 0;
        while (shared_of(h)->open[i])
            i++;
        shared_of(h)->open[i] = h;
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
    int file = file_named(name, false);
    if (file < 0 || !testdisk_image(file)->now.exists)
        rc = SQLITE_IOERR_DELETE_NOENT;
    else if (faulty(file, 0))
        rc = SQLITE_IOERR_DELETE;
    else
        testdisk_do(file, sync && !lying ? DISK_DELETE_DURABLY : DISK_DELETE, ops, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    return rc;
}

static int on_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
    (void)v;
    (void)flags;
    pthread_mutex_lock(&lock);
    int file = file_named(name, false);
    *out = file >= 0 && testdisk_image(file)->now.exists;
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
    for (int i = 0; i < TESTDISK_FILES; i++)
        shm_drop(&shares[i]);
    testdisk_reset(seed);
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
    testdisk_keep();
}

void testvfs_forget(void)
{
    testdisk_forget();
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

static void no_faults(void)
{
    crashed = false;
    crash_at = 0;
    fail_count = 0;
    testvfs_fail_at(0, 0);
}

void testvfs_power_loss(void)
{
    for (int i = 0; i < TESTDISK_FILES; i++)
        shm_drop(&shares[i]);
    testdisk_lose();
    no_faults();
}

void testvfs_record(void)
{
    ops = 0;
    testdisk_record();
}

void testvfs_cut(uint64_t n, uint64_t seed)
{
    for (int i = 0; i < TESTDISK_FILES; i++)
        shm_drop(&shares[i]);
    testdisk_cut(n, seed);
    testdisk_lose();
    no_faults();
}
