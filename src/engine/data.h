/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of jobs: files that lie in a job's folder before it starts, and what is kept of it when it is over.
 *
 * A file is a name and a blob (base/blob.h). A name is a path below the job's folder: no part of it is empty, `.` or
 * `..`. What lies there is a copy: whoever the job is, it changes its own. What is taken from a folder is what is a file
 * there when one looks: links are never followed, so a job cannot have its site send what it cannot read itself.
 * All of it blocks.
 */
#ifndef BUSBAR_ENGINE_DATA_H
#define BUSBAR_ENGINE_DATA_H

#include "base/blob.h"
#include "engine/job.h"
#include "engine/workdir.h"

#define DATA_NAME_MAX 512
#define DATA_DEPTH_MAX 32      /* folders in one another */
#define DATA_ENTRIES_MAX 65536 /* folders, and files that patterns want, that are looked at for one list */

/* Whether it names a place below a folder; a pattern is such a name too. */
bool data_name_valid(const char *name);
/* Names are valid and there once, and none is the folder of another; sizes and digests are such. ERR_INVALID with words. */
int data_check(const struct job_blob *files, uint32_t n, struct err *err);

enum data_mode { DATA_READ_ONLY, DATA_WRITABLE };
/* Copies blobs under their names into `folder`, which is made if need be. One that is there already is left as it is. */
int data_stage(const char *folder, const char *blobs, const struct job_blob *files, uint32_t n,
               enum data_mode mode, struct err *err);

struct data_list {
    struct job_blob *files; /* on the heap, with their texts */
    uint32_t files_count;
    /* What is no file, cannot be opened, is larger than a blob or has a name that no text can hold; files past JOB_BLOBS_MAX,
     * or whose names together are too long to be told; what is past DATA_ENTRIES_MAX. */
    uint32_t left_out;
    uint64_t bytes;
};
/* The files whose path matches one of the patterns, as fnmatch(3) with `/` apart, or that lie in a folder that does. No
 * `patterns`: all. `blobs`: copies are taken in there; NULL: they are hashed only. No folder: none. What a job can do to its
 * folder is never an error: it is left out, and counted. The forms of two such lists fit into one of FORM_MAX. */
int data_collect(const char *folder, const char *blobs, char *const *patterns, uint32_t npatterns,
                 struct data_list *out, struct err *err);
void data_list_free(struct data_list *list);
/* Opens a file of such a list again; no link is followed. -1: it is there no more. */
int data_open(const char *folder, const char *name);

/* What an epoch was given: the file `staged` of its folder. */
struct data_staged {
    uint64_t bytes;   /* of what lay there when it started */
    uint64_t fetched; /* of these, what came over the site's link for it */
};
/* What was kept of an epoch: the file `kept` of its folder at the hub. */
struct data_kept {
    struct data_list outputs;
    struct data_list checkpoint; /* for the job's next epoch */
    struct data_staged in;
    uint64_t sent; /* bytes that went over the site's link, as the hub has counted them */
};
extern const struct form_table data_list_table, data_staged_table, data_kept_table;
void data_kept_free(struct data_kept *kept);

/* Whether there may be something to keep of the epoch in this folder, or to tell of it: a look that costs little. */
bool data_concerns(const char *dir);
/* What is to be kept of an epoch that is over, by what stands in its folder: outputs of one that came to its own end or was
 * cancelled, a checkpoint of one whose job goes on. Copies are taken into `outputs` and `checkpoint`, NULL: none are.
 * *wanted: there is something that the hub is to know. ERR_NOT_FOUND: the folder is not there. */
int data_keep(const char *dir, const char *outputs, const char *checkpoint, struct data_kept *out,
              bool *wanted, struct err *err);

/* The same at a site whose cache of blobs is this folder: a checkpoint is taken into it too, where it has room, since the next
 * epoch is often here. */
int data_keep_here(const char *dir, const char *cache, struct data_kept *out, bool *wanted, struct err *err);

/* The checkpoint that an epoch starts from: of the latest before it that left one. *pending: what the one before it left is not
 * known yet. None: an empty list. */
int data_prior(const char *work, const struct job_id *id, struct data_list *out, bool *pending,
               struct err *err);

/* Removes folders of epochs that were prepared and never submitted. */
void data_sweep(const char *work);
/* That of an epoch, if it was not. */
void data_unstage(const char *work, const struct job_id *id);

#define DATA_KEPT "kept"
#define DATA_FOLDER "work"
#define DATA_CHECKPOINT "checkpoint"

#endif
