/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the transparency log share. */
#ifndef BUSBAR_CLI_AUDIT_H
#define BUSBAR_CLI_AUDIT_H

#include "tlog/note.h"

/* The log's key as the user gives it: itself, or a file that has it in a line. An exit status, after a message if it is not 0. */
int audit_key(const char *given, struct note_key *key);

#endif
