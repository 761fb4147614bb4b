/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain files under one folder, and what a loss of power leaves of them. The program is linked so that open, write, fsync, rename and
 * their like come through here (--wrap, see meson.build): they are done, and recorded.
 *
 * The model asks more than file systems do: what was written to a file since its last fsync is kept, dropped or torn, 512 bytes at
 * a time, and the length may be the old one; what was done in a folder (files made, renamed, removed, folders made) since the last
 * fsync of that folder is lost, kept, kept up to some point, or any part of it is, whatever the fsync of the files themselves.
 * A rename is whole or not at all. A folder that is lost takes with it all that is in it.
 *
 * Operations can fail instead, and syncs can be lies: the controls. Any thread; folders are not renamed, nor files between them.
 */
#ifndef BUSBAR_TESTS_TESTFS_H
#define BUSBAR_TESTS_TESTFS_H

#include <stdbool.h>
#include <stdint.h>

/* Records from now on what happens under `root`; what is there is durable. Forgets what was recorded before. Syncs are not really
 * done, here and elsewhere. */
void testfs_begin(const char *root);
void testfs_end(void);
/* Changes so far. */
uint64_t testfs_count(void);

enum testfs_lie { TESTFS_FILES = 1, TESTFS_FOLDERS = 2 };
/* Syncs of these succeed and do nothing, in what testfs_lose makes. */
void testfs_lie(unsigned lies);

/* Makes in `dir`, which is emptied first, what a machine finds when power was lost before change n; by chance from the seed. */
void testfs_lose(uint64_t n, uint64_t seed, const char *dir);

/* Of all calls under the root, reads as well, but not of the thread that began, the n-th from now on fails with EIO, and the count - 1 after it; 0: none. */
void testfs_fail_at(uint64_t n, uint32_t count);
/* Calls since testfs_fail_at. */
uint64_t testfs_touched(void);

#endif
