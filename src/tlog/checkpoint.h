/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints (C2SP tlog-checkpoint): the text that a log signs. Pure.
 *
 *   ORIGIN      the log's name, which is also the name of its key
 *   SIZE        leaves, decimal
 *   ROOT        base64
 *
 * Each line ends with a line end; lines that others add after these are allowed, and signed with the rest.
 */
#ifndef BUSBAR_TLOG_CHECKPOINT_H
#define BUSBAR_TLOG_CHECKPOINT_H

#include "tlog/merkle.h"
#include "tlog/note.h"

#define CHECKPOINT_TEXT_CAP (NOTE_NAME_CAP + 20 + 44 + 4)

struct checkpoint {
    char origin[NOTE_NAME_CAP];
    uint64_t size;
    struct merkle_hash root;
};

/* Returns the length; there is a NUL after it. */
size_t checkpoint_text(char dst[CHECKPOINT_TEXT_CAP], const struct checkpoint *checkpoint);
/* ERR_INVALID: it is none. */
int checkpoint_parse(struct checkpoint *out, const char *text, size_t len);

#endif
