/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on the command line: a submission from options, and following what became of it. */
#ifndef BUSBAR_CLI_JOB_H
#define BUSBAR_CLI_JOB_H

#include "cli/request.h"

/* Adds what the options of `run` and `submit` say. A wrong one sets r->bad after a message. `tenant`: one is named already. */
void job_options_add(struct request *r, const struct cli *cli, bool tenant);
/* Adds the command, a list of texts. */
void job_argv_add(struct request *r, const char *const *args, int nargs);

/* Adds what the file that cli->args[0] names says, a script or YAML, and the options beside it. Returns an exit status, after a
 * message. */
int job_file_add(struct request *r, const struct cli *cli);

struct job_follow {
    const struct cli *cli;
    char id[64];
    uint32_t epoch;
    uint64_t offset[2]; /* of what it printed, and of its errors */
    bool quiet;
    bool ours;      /* we submitted it: Ctrl-C at a terminal asks what is to become of it */
    char told[320]; /* why it waits, or where an array stands, as last told */
};

/* Until the job is over, or Ctrl-C. Returns the status with which we exit: the job's, if it has one. */
int job_follow(struct job_follow *f);
/* Prints what there is now of what it printed. */
int job_drain(struct job_follow *f);

/* The job as the hub tells it; *doc is the caller's. Returns an exit status, after a message. */
int job_get(const struct cli *cli, const char *id, bool eta, yyjson_doc **doc);
/* A text in it, "" if there is none. */
const char *job_text(yyjson_doc *doc, const char *pointer);
/* Whether it is an array, not one job. */
bool job_is_array(yyjson_doc *doc);
/* As JSON. */
int job_print(yyjson_doc *doc);

#endif
