/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines: how a site runs jobs. One vtable; `local` runs them on this machine, `slurm` through the site's own Slurm.
 *
 * An engine's functions are plain, blocking code: they sync files, wait for other programs, meet file systems that hang.
 * So they never run on the agent's loop but on two threads behind it, and each call is answered by a callback on the
 * loop, in the order of its lane: CONTROL (submit, poll, list, cancel, inventory, forget) may wait for a batch system that
 * does not answer; FILES (renew, logs, usage) touches work folders only, so leases are renewed all the same. The
 * state of a job is in its folder (engine/workdir.h) and, for Slurm, in the queue: an engine that is started anew
 * finds all of it again. Everything may be called again without harm: by job and epoch it is the same call.
 *
 * Bounds: ENGINE_CALLS_MAX calls wait at once, ENGINE_BATCH_MAX jobs in one. A call owns what is in it.
 */
#ifndef BUSBAR_ENGINE_ENGINE_H
#define BUSBAR_ENGINE_ENGINE_H

#include "core/limits.h"
#include "engine/config.h"
#include "engine/job.h"
#include "net/loop.h"

#define ENGINE_CALLS_MAX 4096
#define ENGINE_BATCH_MAX 65536
#define ENGINE_LOG_MAX ((size_t)4 << 20) /* bytes of one answer */

enum engine_op {
    ENGINE_SUBMIT, /* specs, lease_ms; statuses. Jobs that ask for the same go in as one array where there is such */
    ENGINE_POLL,      /* ids; statuses, one each, in order */
    ENGINE_LIST,      /* statuses of all that the work folder holds */
    ENGINE_CANCEL,    /* ids, stop; one that has ended already is no error */
    ENGINE_INVENTORY, /* inventory */
    ENGINE_FORGET,    /* ids: removes the folders of jobs that have ended */
    ENGINE_RENEW,     /* ids, lease_ms: the leases hold for so long from now */
    ENGINE_LOGS,      /* ids[0], stream, offset; bytes */
    ENGINE_USAGE,     /* ids[0], offset; bytes: whole lines of `usage` */
    /* specs[0]: its chips are taken for a process that is no job of the engine; bytes: "NAME=0,1", what tells it which they
     * are. ERR_IN_USE: jobs have them */
    ENGINE_HOLD,
    ENGINE_LET_GO, /* ids: of what is held */
    /* faults: all chips that are out of use from now on. Their nodes are not up, and no job starts there; with stop_work jobs that
     * have one end as lost. Where a batch system says which nodes are up, nothing follows */
    ENGINE_MARK,
    ENGINE_OPS
};

enum engine_state {
    ENGINE_UNKNOWN, /* no such epoch here */
    ENGINE_PENDING, /* accepted; nothing of it runs yet */
    ENGINE_RUNNING, /* claimed by a shim that lives, as far as can be known */
    ENGINE_ENDED,   /* `exit` is final: nothing of it runs, nothing will */
};

struct engine_status {
    struct job_id id;
    uint32_t state;        /* enum engine_state */
    struct job_exit exit;  /* ENDED: all of it; RUNNING: usage so far */
    char reason[TEXT_CAP]; /* PENDING: why it waits, in the engine's words */
};

/* Chips of one kind on one node. */
struct engine_node {
    char name[NAME_CAP];
    char chip[CHIP_CAP];
    uint32_t chips, used;
    uint32_t cpus;
    uint64_t memory_mib;
    bool up;
    char reason[TEXT_CAP]; /* why it is not up */
};

struct engine_inventory {
    uint32_t isolation;        /* enum isolation: what jobs really get */
    char missing[TEXT_CAP];    /* what a stricter one would need */
    struct engine_node *nodes; /* on the heap */
    uint32_t nodes_count;
    char version[NAME_CAP]; /* of the batch system; of busbar, where it is its own */
};

/* A chip of this machine that does not work, or is not there any more. */
struct engine_fault {
    char kind[CHIP_CAP];
    int32_t index; /* the maker's number of it, as the configuration's; -1: not known */
    char why[TEXT_CAP];
};

struct engine_call;
typedef void engine_done(void *ctx, struct engine_call *call);

/* One question with its answer. */
struct engine_call {
    enum engine_op op;
    struct job_spec *specs;
    struct job_id *ids;
    uint32_t n;        /* of specs or ids */
    uint64_t lease_ms; /* 0: no lease */
    struct job_stop stop;
    bool errors; /* LOGS: standard error */
    uint64_t offset;
    struct engine_fault *faults; /* on the heap */
    uint32_t faults_count;
    bool stop_work;
    /* the answer */
    struct err err; /* err.code is 0 when it went well */
    struct engine_status *statuses;
    uint32_t statuses_count;
    struct engine_inventory inventory;
    struct buf bytes;
    /* the engine's own */
    struct list node;
    engine_done *done;
    void *ctx;
};

/* What engines differ in; the rest is done with work folders alone (engine/folder.h). The calls fill the answer and return
 * err.code. */
struct engine_ops {
    const char *name;
    int (*open)(void **self, const struct engine_config *config, struct err *err);
    void (*close)(void *self);
    int (*submit)(void *self, struct engine_call *call);
    int (*cancel)(void *self, struct engine_call *call);
    int (*inventory)(void *self, struct engine_call *call);
    /* NULL: its batch system gives chips to jobs alone. What is held ends with the engine. */
    int (*hold)(void *self, struct engine_call *call);
    void (*let_go)(void *self, struct engine_call *call);
    /* Takes the call's faults over. NULL: its batch system sees to that. */
    int (*mark)(void *self, struct engine_call *call);
    /* Before jobs are judged: what the batch system says of all of them. NULL: there is none. */
    void (*refresh)(void *self);
    /* Sets all of a status but its id. */
    void (*judge)(void *self, struct engine_status *status);
    /* After a poll: what is overdue is seen to. NULL: nothing ever is. */
    void (*sweep)(void *self);
};

extern const struct engine_ops engine_local, engine_slurm;

struct engine;

/* Opens what the configuration names, which outlives the engine; blocks, up to seconds. */
int engine_new(struct engine **out, struct loop *loop, const struct engine_config *config, struct err *err);
/* The engine's name with the version of its batch system, where there is one: "local", "slurm 22.05.8". */
void engine_words(char dst[NAME_CAP], const struct engine_config *config,
                  const struct engine_inventory *inventory);
/* A call with room for n specs or ids. NULL when out of memory or past the bounds. */
struct engine_call *engine_call_new(enum engine_op op, uint32_t n);
void engine_call_free(struct engine_call *call);
/* Takes the call; `done` runs on the loop, once, and the call is freed after it. ERR_QUEUE_FULL, with the call still the
 * caller's. */
int engine_call(struct engine *engine, struct engine_call *call, engine_done *done, void *ctx);
/* Answers what waits, ends the threads; jobs go on. `done` runs on the loop when nothing of the engine is left. */
void engine_shutdown(struct engine *engine, void (*done)(void *ctx), void *ctx);

#endif
