/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of testvfs.h: what the process sees of each, what is on the disk, and what a loss of power leaves.
 *
 * A sync copies the one to the other. At power loss each 512-byte sector that differs is kept, dropped or torn (garbage), each
 * independently; a file that was made, deleted or resized since the last sync may be either way.
 *
 * What changes the files can be recorded, so that one run serves many losses: testdisk_cut sets all files to what they were just
 * before any one of its operations. Not safe between threads: testvfs.c holds its lock.
 */
#ifndef BUSBAR_TESTS_TESTDISK_H
#define BUSBAR_TESTS_TESTDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TESTDISK_FILES 8

struct content {
    uint8_t *data; /* zero past the length, up to cap */
    size_t len;
    size_t cap;
    bool exists;
};

/* A file at one moment. */
struct image {
    struct content now;  /* what the process sees */
    struct content disk; /* what survives power loss */
    bool fresh; /* made anew since the last sync: `disk` is another file of the same name, or nothing */
};

enum testdisk_op { DISK_CREATE, DISK_WRITE, DISK_TRUNCATE, DISK_SYNC, DISK_DELETE, DISK_DELETE_DURABLY };

/* The number of the file of this name; -1: there is none, or for `create`: no room, which aborts. */
int testdisk_find(const char *name, bool create);
const char *testdisk_name(int file);
struct image *testdisk_image(int file);
/* `data` for a write, `at` for a write or the length of a truncation. `number`: of the operation that is done with it. */
void testdisk_do(int file, enum testdisk_op op, uint64_t number, const void *data, size_t len, size_t at);

/* All files as they were kept, none if none were; nothing is recorded. */
void testdisk_reset(uint64_t seed);
void testdisk_keep(void);
void testdisk_forget(void);
/* Of the reset before. */
uint32_t testdisk_draw(uint32_t n);

/* From now on, right after a reset. */
void testdisk_record(void);
/* Sets all files to what they were just before operation `number`, and what is drawn from now on; recording ends. Ascending numbers
 * are fast. */
void testdisk_cut(uint64_t number, uint64_t seed);
/* What a machine finds when it comes back. */
void testdisk_lose(void);

#endif
