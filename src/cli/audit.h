/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the transparency log share. */
#ifndef BUSBAR_CLI_AUDIT_H
#define BUSBAR_CLI_AUDIT_H

#include "base/fs.h"
#include "cli/cli.h"
#include "runtime/log_verify.h"

/* The log's key as the user gives it: itself, or a file that has it in a line. An exit status, after a message if it is not 0. */
int audit_key(const char *given, struct note_key *key);

/* A log that is read from a URL or a folder. */
struct audit_log {
    struct log_source source;
    char base[FS_PATH_MAX]; /* its URL, or the folder */
    void *curl;             /* NULL: a folder */
    struct buf *out;        /* of the file that is being read */
};
/* `place` NULL: the data folder's own. An exit status, after a message if it is not 0. */
int audit_open(struct audit_log *log, const struct cli *cli, const char *place);
void audit_close(struct audit_log *log);
/* The exit status for an error code. */
int audit_status(int rc);

#endif
