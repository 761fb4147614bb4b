/* SPDX-License-Identifier: Apache-2.0 */
#include "testdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

static struct file {
    char name[64];
    struct image live;
    struct image past;   /* as far as the recording was played */
    struct content kept; /* what a reset begins with */
} files[TESTDISK_FILES];

static struct record {
    uint64_t number;
    enum testdisk_op op;
    int file;
    size_t at, len, data; /* where in `bytes` */
} * records;
static size_t nrecords, records_cap, played;
static struct content bytes; /* that were written */
static bool recording;
static uint64_t random_state;

uint32_t testdisk_draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

static void reseed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u | 1;
}

/* ---- contents ---- */

static void content_reserve(struct content *c, size_t len)
{
    if (len <= c->cap)
        return;
    size_t cap = c->cap ? c->cap : 65536;
    while (cap < len)
        cap *= 2;
    c->data = reallocarray(c->data, cap, 1); /* which no test refuses */
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

static void image_copy(struct image *to, const struct image *from)
{
    content_copy(&to->now, &from->now);
    content_copy(&to->disk, &from->disk);
    to->fresh = from->fresh;
}

/* ---- files ---- */

int testdisk_find(const char *name, bool create)
{
    int free_one = -1;
    for (int i = 0; i < TESTDISK_FILES; i++) {
        if (strcmp(files[i].name, name) == 0)
            return i;
        if (!files[i].name[0] && free_one < 0)
            free_one = i;
    }
    if (!create)
        return -1;
    if (free_one < 0)
        abort();
    (void)snprintf(files[free_one].name, sizeof files[free_one].name, "%s", name);
    return free_one;
}

const char *testdisk_name(int file)
{
    return files[file].name;
}

struct image *testdisk_image(int file)
{
    return &files[file].live;
}

static struct image *image_of(int file, bool past)
{
    return past ? &files[file].past : &files[file].live;
}

/* A sync makes durable that other files are gone, too: the folder is one. */
static void sync_file(struct image *f, bool past)
{
    content_resize(&f->disk, f->now.len);
    if (f->now.len)
        memcpy(f->disk.data, f->now.data, f->now.len);
    f->disk.exists = true;
    f->fresh = false;
    for (int i = 0; i < TESTDISK_FILES; i++)
        image_of(i, past)->disk.exists &= image_of(i, past)->now.exists;
}

static void apply(const struct record *r, const void *data, bool past)
{
    struct image *f = image_of(r->file, past);
    switch (r->op) {
    case DISK_CREATE:
        content_resize(&f->now, 0);
        f->now.exists = f->fresh = true;
        break;
    case DISK_WRITE:
        if (r->at + r->len > f->now.len)
            content_resize(&f->now, r->at + r->len);
        memcpy(f->now.data + r->at, data, r->len);
        break;
    case DISK_TRUNCATE:
        content_resize(&f->now, r->at);
        break;
    case DISK_SYNC:
        sync_file(f, past);
        break;
    case DISK_DELETE:
    case DISK_DELETE_DURABLY:
        content_resize(&f->now, 0);
        f->now.exists = false;
        f->disk.exists &= r->op == DISK_DELETE;
        break;
    }
}

static void keep_record(struct record *r, const void *data)
{
    if (nrecords == records_cap) {
        records_cap = records_cap ? 2 * records_cap : 1024;
        records = realloc(records, records_cap * sizeof *records);
        if (!records)
            abort();
    }
    r->data = bytes.len;
    if (r->len > 0) {
        content_resize(&bytes, bytes.len + r->len);
        memcpy(bytes.data + r->data, data, r->len);
    }
    records[nrecords++] = *r;
}

void testdisk_do(int file, enum testdisk_op op, uint64_t number, const void *data, size_t len, size_t at)
{
    struct record r = {.number = number, .op = op, .file = file, .at = at, .len = len};
    apply(&r, data, false);
    if (recording)
        keep_record(&r, data);
}

void testdisk_reset(uint64_t seed)
{
    for (int i = 0; i < TESTDISK_FILES; i++) {
        struct image *f = &files[i].live;
        f->fresh = false;
        content_copy(&f->now, &files[i].kept);
        content_copy(&f->disk, &files[i].kept);
    }
    recording = false;
    reseed(seed);
}

void testdisk_keep(void)
{
    for (int i = 0; i < TESTDISK_FILES; i++)
        content_copy(&files[i].kept, &files[i].live.now);
}

void testdisk_forget(void)
{
    for (int i = 0; i < TESTDISK_FILES; i++) {
        content_resize(&files[i].kept, 0);
        files[i].kept.exists = false;
    }
}

/* ---- a recording ---- */

static void rewind_past(void)
{
    for (int i = 0; i < TESTDISK_FILES; i++) {
        content_copy(&files[i].past.now, &files[i].kept);
        content_copy(&files[i].past.disk, &files[i].kept);
        files[i].past.fresh = false;
    }
    played = 0;
}

void testdisk_record(void)
{
    recording = true;
    nrecords = 0;
    bytes.len = 0; /* what is past it is written before it is read */
    rewind_past();
}

void testdisk_cut(uint64_t number, uint64_t seed)
{
    recording = false;
    if (played > 0 && records[played - 1].number >= number)
        rewind_past();
    for (; played < nrecords && records[played].number < number; played++)
        apply(&records[played], records[played].len ? bytes.data + records[played].data : NULL, true);
    for (int i = 0; i < TESTDISK_FILES; i++)
        image_copy(&files[i].live, &files[i].past);
    reseed(seed);
}

/* ---- power loss ---- */

static void lose_sectors(struct image *f)
{
    content_reserve(&f->disk, f->now.cap);
    content_reserve(&f->now, f->disk.cap);
    size_t end = f->now.len;
    for (size_t at = 0; at < end; at += SECTOR) {
        size_t len = end - at < SECTOR ? end - at : SECTOR;
        if (at + len <= f->disk.len && memcmp(f->now.data + at, f->disk.data + at, len) == 0)
            continue;
        uint32_t fate = testdisk_draw(10);
        if (fate >= 5 && fate < 8)
            memcpy(f->disk.data + at, f->now.data + at, len);
        for (size_t i = 0; fate >= 8 && i < len; i++)
            f->disk.data[at + i] = (uint8_t)testdisk_draw(256);
    }
}

static void lose(struct image *f)
{
    size_t was = f->disk.len;
    size_t len = testdisk_draw(2) ? f->now.len : was;
    if (f->now.exists)
        lose_sectors(f);
    else
        len = was;
    f->disk.len = len;
    if (f->disk.len < f->disk.cap)
        memset(f->disk.data + f->disk.len, 0, f->disk.cap - f->disk.len);
}

void testdisk_lose(void)
{
    for (int i = 0; i < TESTDISK_FILES; i++) {
        struct image *f = &files[i].live;
        if (!f->now.exists && !f->disk.exists)
            continue;
        /* Made but never synced: perhaps the one before is back, or nothing. Deleted: perhaps it is back. */
        bool there = f->disk.exists;
        if (f->now.exists && f->fresh && testdisk_draw(2)) {
            content_resize(&f->disk, 0);
            lose(f);
            there = true;
        } else if (f->now.exists && !f->fresh) {
            lose(f);
        } else if (!f->now.exists) {
            there = testdisk_draw(2);
        }
        if (!there)
            content_resize(&f->disk, 0);
        content_resize(&f->now, f->disk.len);
        if (f->disk.len)
            memcpy(f->now.data, f->disk.data, f->disk.len);
        f->now.exists = f->disk.exists = there;
        f->fresh = false;
    }
}
