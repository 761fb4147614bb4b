/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work folders: WORK/<job>/<epoch>/, the contract between an engine and its shims (docs/engines.md).
 *
 * A claim is made under another name, locked, synced and then linked: of any number of shims that were started for one
 * epoch exactly one gets it, and at no moment is there a claim that is not locked while its shim lives. The lock is on
 * the open file, which the shim and its keeper share: it goes when the last of the two is gone, and says so without
 * any process number. What a job was is then in `exit`; without one, in the last line of `usage`.
 */
#ifndef BUSBAR_ENGINE_WORKDIR_H
#define BUSBAR_ENGINE_WORKDIR_H

#include "base/fs.h"
#include "engine/job.h"

#define WORKDIR_FILE_MAX (FS_PATH_MAX - 96) /* longest path of the work folder */
#define WORKDIR_RESERVE 65536               /* bytes kept for the exit record of a job on a full disk */

enum claim { CLAIM_NONE, CLAIM_HELD, CLAIM_ABANDONED };

/* Folder of an epoch. `dst` has FS_PATH_MAX bytes; work is at most WORKDIR_FILE_MAX. */
void workdir_path(char dst[FS_PATH_MAX], const char *work, const struct job_id *id);
/* "<dir>/<name>" */
void workdir_file(char dst[FS_PATH_MAX], const char *dir, const char *name);

/* ERR_EXISTS when it is somebody's already. The descriptor is close-on-exec and must stay open for as long as the
 * job has a process. */
int workdir_claim(const char *dir, int *fd, struct err *err);
enum claim workdir_claimed(const char *dir);
/* Claims an epoch that nobody has claimed and writes how it ended, so that no shim can ever start it. ERR_EXISTS when a
 * shim was first. */
int workdir_revoke(const char *dir, enum job_end end, const char *text, struct err *err);

/* Makes the folder and writes spec and lease, durably. Nothing happens when the spec is there already: *fresh tells. A
 * later epoch of the job is ERR_WRONG_STATE, an earlier one that still has processes ERR_IN_USE. */
int workdir_prepare(const char *work, const struct job_spec *spec, const struct job_lease *lease, bool *fresh,
                    struct err *err);
/* Calls `fn` for each epoch's folder that holds a spec; stops at a result that is not 0, and returns it. */
int workdir_each(const char *work, int (*fn)(void *ctx, const struct job_id *id, const char *dir), void *ctx,
                 struct err *err);
/* Removes an epoch's folder with everything in it, and the job's if that was its last. */
int workdir_remove(const char *work, const struct job_id *id, struct err *err);

/* Appends bytes [offset, offset + max) of a file to `out`; none is no error. */
int workdir_read_at(const char *path, uint64_t offset, size_t max, struct buf *out, struct err *err);
/* The last usage that was written, from the file's end. ERR_NOT_FOUND when there is none. */
int workdir_usage(const char *dir, struct job_usage *usage);
/* This machine, since its start. Empty if the system does not say. */
void workdir_boot(char dst[64]);

#endif
