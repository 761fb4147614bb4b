/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub without threads and network, for tests of what a loss of power, an I/O error or a lack of memory leaves: core, batch,
 * logbook and the SQLite store as the runtime uses them, on the files of testvfs.h.
 *
 * Events go through the world of support.h, whose step is batch_step here. A mark says what the books have to be at the end of a
 * batch: events, a digest of all rows as the world's mirror has them, which shares nothing with the store, and the log's tree.
 * powerhub_found reads a store in every way there is and finds out which mark it is at, or what does not add up.
 */
#ifndef BUSBAR_TESTS_POWERHUB_H
#define BUSBAR_TESTS_POWERHUB_H

#include "runtime/batch.h"
#include "runtime/logbook.h"
#include "support.h"

struct mark {
    uint64_t events;
    uint64_t rows;
    struct merkle_edge edge;
};

/* True while the hub's own code runs, and not the test's. */
extern _Atomic bool powerhub_works;

struct powerhub {
    struct world *w;
    struct store *store; /* NULL: it could not be opened */
    struct batch batch;
    struct logbook book;
    struct mark acked; /* of the last commit that succeeded */
    struct mark tried; /* of the one after it, if that was tried */
    bool ready;        /* the batch has its room */
    bool loaded;       /* the state is what the store has */
};

/* Opens the store and loads it; `acked` is what it has then. An error leaves a hub that powerhub_load may mend. */
int powerhub_begin(struct powerhub *hub, const struct limits *limits);
/* Opens the store if it is not, and loads the state anew, as after a failed commit. The world's mirror is made of the store's rows. */
int powerhub_load(struct powerhub *hub);
/* Commits what was stepped. When it fails, load. */
int powerhub_commit(struct powerhub *hub);
/* Closes the store and opens it again; the state stays. */
int powerhub_reopen(struct powerhub *hub);
void powerhub_end(struct powerhub *hub);

/* What a run began with: for the replay of its journal. Filled by powerhub_keep, freed by powerhub_origin_fini. */
struct origin {
    struct limits limits;
    struct mirror rows;
    struct mark mark;
};
void powerhub_keep(struct origin *origin, const struct powerhub *hub);
void powerhub_origin_fini(struct origin *origin);

/* The mark that the store on the disk is at: rows, the ledger's sums, each account against its transfers, the journal replayed from
 * the origin on, each leaf hashed anew. NULL, or what does not add up. */
const char *powerhub_found(const struct origin *origin, struct mark *mark);
bool mark_eq(const struct mark *a, const struct mark *b);

#endif
