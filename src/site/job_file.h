/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of jobs: which one holds what a job runs, and what a task's environment gets beside what is in it.
 *
 * DATA/jobs/<id>.json is a specification (engine/job.h) by the id of a job, or of an array: its tasks share one, of which the
 * `array` says what their indices are. The id of an array ends in two zero bytes and that of its task k, from 1, in k
 * (core/follow.h); a job that is no task may end in any two bytes, so a file of its own comes first. Whoever submits writes
 * the file before the event, and nobody ever changes it.
 */
#ifndef BUSBAR_SITE_JOB_FILE_H
#define BUSBAR_SITE_JOB_FILE_H

#include "base/fs.h"
#include "engine/job.h"

#define JOB_FILE_ENV_MAX (JOB_ENV_MAX - 16) /* that a submission may bring */

/* "<dir>/<id>.json", of a job or an array. False when it is too long. */
bool job_file_path(char dst[FS_PATH_MAX], const char *dir, const struct uuid *id);
/* The array that the job would be a task of, and its number there, 0: it can be none. */
struct uuid job_file_array(const struct uuid *job, uint32_t *k);

/* Reads what the job runs, as the job's own: a task has its id, and its index in the environment. Errors as of
 * job_spec_load; ERR_NOT_FOUND also where the array has no such task. The caller ends it with job_spec_free. */
int job_file_load(struct job_spec *spec, const char *dir, const struct uuid *job, struct err *err);
/* Whether a file with this text could be read by the above. ERR_INVALID with words. */
int job_file_check(const char *text, size_t len, struct err *err);
/* The index of a task; only where spec->array.total > 0. */
uint32_t job_file_index(const struct job_spec *spec);

#endif
