/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Witnesses: who cosigns a log's checkpoints as long as each extends the last one seen (C2SP tlog-witness). Pure.
 *
 * A log asks with POST .../add-checkpoint, whose body is
 *
 *   old SIZE        leaves of the checkpoint that the witness cosigned last, as far as the log knows; 0: none
 *   HASH ...        the consistency proof from there, a line each, base64, the lowest first; none where SIZE is 0
 *   (empty)
 *   checkpoint      a signed note
 *
 * and is answered 200 with a line of a signature for each of the witness's keys; 409 with the size that it cosigned last, if
 * that is another; or else refused. Readers count cosignatures: so many of the witnesses that they trust must be there.
 */
#ifndef BUSBAR_TLOG_WITNESS_H
#define BUSBAR_TLOG_WITNESS_H

#include "tlog/checkpoint.h"
#include "tlog/proof.h"

#define WITNESSES_MAX 16 /* that a reader or a log names */
#define WITNESS_PROOF_MAX 63
#define WITNESS_HEAD_CAP (4 + 20 + 1 + (MERKLE_LEVELS + 1) * 45 + 1 + 1)
#define WITNESS_SIZE_TYPE "text/x.tlog.size" /* of the body of 409 */

struct witness_request {
    uint64_t old;
    struct proof proof;
    struct note note; /* borrowed from the body */
    struct checkpoint point;
};

/* ERR_INVALID: it is not in the form. Nothing is judged. */
int witness_request_parse(struct witness_request *out, const char *body, size_t len);
/* All that comes before the checkpoint. Returns the length; there is a NUL after it. */
size_t witness_request_head(char dst[WITNESS_HEAD_CAP], uint64_t old, const struct proof *proof);

/* What a witness answers that knows this log alone, and cosigned `head` last (no origin: nothing yet): 200, or the status to refuse
 * with, as tlog-witness has them. */
int witness_judge(merkle_hash_fn *hash, note_verify_fn *verify, const struct note_key *log,
                  const struct checkpoint *head, const struct witness_request *request);

/* How many of these keys, of which none is there twice, cosigned the note. A signature by one of them that does not hold makes it
 * ERR_DIGEST. *oldest_s: the least of their times, Unix seconds; 0 if there is none. */
int witness_count(const struct note *note, const struct note_key *keys, unsigned n, note_verify_fn *verify,
                  uint64_t *oldest_s);

#endif
