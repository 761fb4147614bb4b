/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the transparency log share. */
#ifndef BUSBAR_CLI_AUDIT_H
#define BUSBAR_CLI_AUDIT_H

#include "base/fs.h"
#include "cli/cli.h"
#include "runtime/log_verify.h"
#include "tlog/witness.h"

/* The log's key as the user gives it: itself, or a file that has it in a line. An exit status, after a message if it is not 0. */
int audit_key(const char *given, struct note_key *key);

/* Whose cosignatures a checkpoint must have: --witness, which may be given again, and --quorum, how many of them; all. */
struct audit_witnesses {
    struct note_key keys[WITNESSES_MAX];
    unsigned n, quorum;
};
/* An exit status, after a message if it is not 0. None named: n and quorum are 0. */
int audit_witnesses(const struct cli *cli, struct audit_witnesses *out);

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
