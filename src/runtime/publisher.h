/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publisher: a thread that turns committed leaves into the log's files, and has the checkpoints signed.
 *
 * It is told of a commit and reads the leaves from the store; so nothing is published that is not durable. Checkpoints are at
 * least PUBLISH_INTERVAL apart, the first after a rest comes at once. The tree that it has built is compared with the edge that
 * was committed. A checkpoint is published with the cosignatures of its witnesses that came in time; those that come later are
 * put under it then. If the signer refuses (the store is older than what it signed last, or is another one), that is said in the
 * log and the last checkpoint stays; the hub works on.
 */
#ifndef BUSBAR_RUNTIME_PUBLISHER_H
#define BUSBAR_RUNTIME_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "tlog/merkle.h"

#define PUBLISH_INTERVAL_NS UINT64_C(1000000000)

struct publisher;

/* Who has checkpoints cosigned. */
struct publisher_witnesses {
    void (*offer)(void *ctx, const void *note,
                  size_t len);                 /* a signed checkpoint; may wait a little for them */
    void (*lines)(void *ctx, struct buf *out); /* appends the cosignatures of the last one that was offered */
    void *ctx;
};

struct publisher_config {
    const char *self;                     /* our program, for the signer */
    const char *dir;                      /* of the log's files */
    const char *signer_dir;               /* of the signer's */
    struct publisher_witnesses witnesses; /* no offer: there are none */
};

int publisher_new(struct publisher **out, const struct publisher_config *config, struct err *err);
/* For struct runtime_log: the tree as it was committed just now. From any thread. */
void publisher_grown(void *publisher, const struct merkle_edge *edge);
/* A cosignature has come for the last checkpoint. From any thread. */
void publisher_cosigned(struct publisher *publisher);
/* Starts the thread; the store must be there until publisher_stop. */
int publisher_run(struct publisher *publisher, struct store *store, struct err *err);
/* Publishes what it was told of, ends the thread and the signer. */
void publisher_stop(struct publisher *publisher);
void publisher_free(struct publisher *publisher);

struct publisher_state {
    uint64_t committed, published; /* leaves */
    bool refused;                  /* the signer has refused the last tree */
};
/* From any thread. */
struct publisher_state publisher_state(struct publisher *publisher);

#endif
