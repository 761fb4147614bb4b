/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: a hub's journal stepped again by this program's core, to see whether the same was decided and the same was billed.
 *
 * The journal is read batch by batch, and state is loaded anew where the hub did so: at each start, and after a commit that had failed.
 * Compared are, for each event, its bytes with the hash that was kept of them, how it was answered, and its leaf in the log with the commitments
 * to what it led to, opened by the leaf's own salt; at the end the log's tree, with what the data has and with the checkpoint that was
 * published, and each row of the state and of the books. Data whose log is gone is told: then nothing was compared with it. It ends at the first event that differs, or at the first row. Nothing of the data is changed; what is made anew is in a database
 * of its own, in a folder that the caller gives.
 *
 * Only the program that decided is sure to decide the same again: each start of the hub names its version, and what is
 * found tells which that was.
 */
#ifndef BUSBAR_RUNTIME_REPLAY_H
#define BUSBAR_RUNTIME_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base64.h"
#include "core/limits.h"
#include "core/schema.h"
#include "tlog/merkle.h"

struct err;

struct replay {
    const char *database; /* of a hub that does not run, or of a backup */
    const char
        *from; /* the database of an older backup of it: replay from there on; NULL: from the beginning */
    const char *scratch; /* an empty folder */
    const char
        *log; /* the folder of the log's files, whose checkpoint is compared with; NULL: there is none */
    struct limits limits;                                         /* of the hub */
    void (*progress)(void *ctx, uint64_t events, uint64_t total); /* NULL: nobody is told */
    void *ctx;
};

struct replay_found {
    uint64_t first, events; /* the first event that was replayed, and how many were */
    uint64_t leaves;        /* of the log that were made anew and are the same */
    uint64_t tree;          /* leaves of the tree that was made */
    char root[BASE64_LEN(MERKLE_HASH_LEN) + 1];
    uint64_t checkpoint; /* leaves of the checkpoint that the tree was compared with; 0: with none */
    bool
        no_log; /* events had leaves, or there is a checkpoint, and yet the data has no leaf: nothing was compared */
    uint64_t states; /* digests of the state that the hub told on the way, and that are the same */
    uint64_t boots;
    char version[NAME_CAP]; /* of the program that began to run last before the end, or before what differs */
    bool differs;
    bool at_event; /* what differs is this event; else a row, or the log's tree */
    uint64_t event;
    int64_t event_ms;
    char kind[NAME_CAP];                           /* of the event, or the row with its key */
    char what[96];                                 /* that differs */
    char kept[NAME_CAP + 64], made[NAME_CAP + 64]; /* by the data, and by the replay */
};

/* 0: replayed; whether all was the same is in `found`. Others: the data cannot be read, or there is no room. */
int replay_run(const struct replay *replay, struct replay_found *found, struct err *err);

#endif
