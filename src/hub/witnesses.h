/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's witnesses: each new checkpoint is offered to those that the hub was told to have (C2SP tlog-witness), and their
 * cosignatures go under the one that is published.
 *
 * A thread each, so that none waits for another; the publisher waits WITNESS_WAIT_MS for those that keep up. Who does not
 * answer by then is behind, since that moment, and is not waited for again until it has cosigned the newest one; what comes late goes under the
 * checkpoint then. A witness refuses what does not extend what it saw, so nothing here is trusted: a
 * cosignature counts only if it holds.
 */
#ifndef BUSBAR_HUB_WITNESSES_H
#define BUSBAR_HUB_WITNESSES_H

#include "base/buf.h"
#include "base/err.h"
#include "tlog/witness.h"

#define WITNESS_URL_CAP 512
#define WITNESS_WAIT_MS 700 /* of the second between two checkpoints */

struct publisher;
struct witnesses;

/* `given`: n of VKEY=URL, at most WITNESSES_MAX, no key twice. `dir` has the log's files. ERR_INVALID with words. */
int witnesses_new(struct witnesses **out, const char *dir, const char *const *given, unsigned n,
                  struct err *err);
/* Starts the threads. */
int witnesses_run(struct witnesses *witnesses, struct publisher *publisher, struct err *err);
/* After the publisher has stopped; NULL is none. */
void witnesses_stop(struct witnesses *witnesses);
void witnesses_free(struct witnesses *witnesses);

/* For struct publisher_config: a checkpoint that was signed. Waits for those that keep up. */
void witnesses_offer(void *witnesses, const void *note, size_t len);
/* The same: appends the cosignatures that are there for the last one. */
void witnesses_lines(void *witnesses, struct buf *out);

struct witness_state {
    char name[NOTE_NAME_CAP], url[WITNESS_URL_CAP];
    uint64_t leaves;         /* of the last checkpoint that it cosigned since we run */
    int64_t time_ms;         /* that it said then */
    int64_t behind_since_ms; /* 0: it keeps up */
    char error[160];         /* why it did not, the last time; "" */
};
/* From any thread; how many. NULL is none. */
unsigned witnesses_state(struct witnesses *witnesses, struct witness_state out[WITNESSES_MAX]);

#endif
