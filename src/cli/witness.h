/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A witness: remembers the last checkpoint of a log that it saw, signs the next one if it extends that (C2SP
 * tlog-cosignature), and tells where it does not: then the log has been shown in two ways. Run elsewhere than the log.
 *
 * Its folder has `key` and `head` as a signer's has (runtime/signer.h), `seen`, the last checkpoint as it came, and `checkpoint`,
 * the same with the witness's signature. Of a split view it keeps both sides in `split-N-1` and `split-N-2`, N the size of the
 * second one, each signed by the log: that is the proof. Of a larger tree that came without a proof it keeps the last one in
 * `unproven-1` and `unproven-2`: it may be a good tree, and anybody can send it. It looks at a log that it can read (witness.c), or is asked by logs
 * (witness_serve.c, C2SP tlog-witness); what it remembers is the same.
 */
#ifndef BUSBAR_CLI_WITNESS_H
#define BUSBAR_CLI_WITNESS_H

#include "cli/audit.h"
#include "runtime/signer.h"

#define WITNESS_NOTE_MAX ((size_t)64 << 10)

struct witness {
    struct audit_log log; /* that is looked at */
    struct note_key log_key, key;
    struct signer_state state;
    struct checkpoint point; /* that is judged */
    struct buf note;         /* as it came */
    bool shown;              /* `checkpoint` has the head, with a signature */
    char line[NOTE_LINE_CAP];
    size_t line_len; /* of the signature under it */
    struct err err;
};

/* Writes down the point that was judged to extend the last one, and then signs it. 0, or an error: nothing was signed. */
int witness_cosign(struct witness *w);
/* Signs the note again, whose tree was cosigned already; nothing is written. */
void witness_sign(struct witness *w);
/* The log's checkpoints that were seen and that is shown now, in NAME-1 and NAME-2. */
void witness_keep_evidence(struct witness *w, const char *name);
/* The same, as proof of a split view. */
void witness_keep_split(struct witness *w);
/* Answers logs at HOST:PORT until SIGTERM or SIGINT. An exit status, after a message if it is not 0. */
int witness_serve(struct witness *w, const char *address);

#endif
