/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VFS for SQLite that lives in memory and can lose power: files have what the process sees and what is on the disk.
 *
 * What power loss leaves is in testdisk.h.
 * It can also fail writes or syncs of the WAL, or any operation on any file, and it can lie about syncs: the control, which must lose
 * data. What all files hold can be kept and brought back, so that many runs begin at one state. Any
 * number of connections of one process, from any thread. Name: "test". (After prototypes/crashvfs, which found that
 * WAL with synchronous=NORMAL loses acknowledged commits.)
 */
#ifndef BUSBAR_TESTS_TESTVFS_H
#define BUSBAR_TESTS_TESTVFS_H

#include <stdbool.h>
#include <stdint.h>

enum testvfs_op { TESTVFS_WRITE = 1, TESTVFS_SYNC = 2 };

/* Registers it once; forgets all files and faults. */
void testvfs_reset(uint64_t seed);
/* Every write, sync, truncation and deletion from now on is counted; from the n-th on none has an effect and all
 * fail, as for a process that dies there. 0: never. */
void testvfs_crash_at(uint64_t n);
bool testvfs_crashed(void);
/* Those that were counted since testvfs_crash_at or the reset. */
uint64_t testvfs_count(void);
/* Keeps what all files hold, in place of what was kept before; a reset that follows begins with it. All connections must be
 * closed. testvfs_forget: a reset begins with no files again. */
void testvfs_keep(void);
void testvfs_forget(void);
/* What a machine finds when it comes back. All connections must be closed. */
void testvfs_power_loss(void);
/* Right after a reset: from now on what changes a file is recorded, counted as by testvfs_crash_at. testvfs_cut then sets all files
 * to what a machine finds when power was lost at the n-th of these, as often as one likes; what is by chance comes from the seed. All
 * connections must be closed. */
void testvfs_record(void);
void testvfs_cut(uint64_t n, uint64_t seed);
/* Of the next operations of these kinds on a WAL, lets `skip` pass and fails `count`. */
void testvfs_fail(unsigned kinds, uint32_t skip, uint32_t count);
/* Of all operations on any file from now on, also reads and opens, the n-th fails and the count - 1 after it; 0: none. */
void testvfs_fail_at(uint64_t n, uint32_t count);
/* Operations of that kind since testvfs_fail_at. */
uint64_t testvfs_touched(void);
/* Failures that are still to come. */
uint32_t testvfs_fails_left(void);
/* Syncs report success and do nothing. */
void testvfs_lie(bool lie);

#endif
