/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of replica_jobs share: a replica's job, what it asks for (site/replica_spec.c), and the way to it
 * (site/replica_way.c). */
#ifndef BUSBAR_SITE_REPLICA_PARTS_H
#define BUSBAR_SITE_REPLICA_PARTS_H

#include "base/fs.h"
#include "base/list.h"
#include "engine/outpost.h"
#include "site/replica_jobs.h"

#define UNIT_GRACE_MS 10000 /* from SIGTERM to SIGKILL: a model server needs up to five seconds */

enum unit_phase {
    UNIT_OVER,       /* it runs nowhere; its last folder may be there */
    UNIT_LAYING,     /* its folder is being made */
    UNIT_LAID,       /* to be given to the engine */
    UNIT_SUBMITTING, /* the engine is asked */
    UNIT_LIVE,       /* the engine has it */
};

struct unit;

/* One try to reach a node's port. */
struct knock {
    struct stream stream; /* first */
    struct unit *unit;    /* NULL: nobody waits for it any more */
};

struct unit {
    struct list node;
    struct replica_jobs *jobs;
    struct job_id id; /* its epoch: how often it was begun */
    enum unit_phase phase;
    struct serve_order order; /* while it is held */
    bool held;                /* who started it waits for reports */
    bool stop, cancelling;    /* it is to end; the engine was told */
    bool lost_key;            /* it cannot be reached, and is begun anew */
    bool adopted;             /* it was here before us */
    bool claimed;             /* a shim has it, and its command says something, or will */
    uint32_t told;            /* state, as it was told last */
    uint64_t next_ms;         /* of a submission, or of a look at its port */
    /* What it says of itself (engine/outpost.h); state 0: nothing yet. */
    uint32_t state, slots, context, port;
    char detail[TEXT_CAP], host[OUTPOST_HOST_MAX + 1], version[NAME_CAP];
    uint64_t offset; /* in its output */
    bool reading;
    uint64_t read_ms;
    /* The way to it. */
    struct tls_context *tls;
    struct sockaddr_in addr; /* of host and port, once they are known */
    bool resolving, resolved, reached;
    struct knock *knock;
    uint64_t knock_ms;
    /* On other threads; the unit stays until they are done. */
    unsigned busy;
    bool gone;
    bool laying, fresh; /* in its folder; of a new beginning */
    uv_work_t work;
    uv_getaddrinfo_t lookup;
    struct err err;
};

struct replica_jobs {
    struct replica_jobs_config config;
    struct engine_config engine_config; /* the site's, with our work folder */
    struct engine *engine;
    char work[FS_PATH_MAX], program[FS_PATH_MAX];
    struct list units;
    struct list leftovers; /* folders that are to go */
    uv_timer_t timer;
    struct uuid *wanted; /* jobs of what the hub wants */
    uint32_t nwanted;
    bool compared, listing, listed, polling, renewing, ending;
    uint64_t poll_ms, renewed_ms;
};

/* Gives the call to the engine, or frees it. */
bool unit_ask(struct replica_jobs *jobs, struct engine_call *call, engine_done *done);
struct unit *unit_begun(const struct replica_jobs *jobs, const struct job_id *id);
void unit_tell(struct unit *unit, uint32_t state, const char *detail);
/* What a thread did is done: true, nobody waits for it. The unit may be freed by that. */
bool unit_done(struct unit *unit);

/* Fills the specification of a beginning; ERR_NO_MEMORY. */
int unit_spec(const struct unit *unit, struct job_spec *spec);
/* Makes key, certificate and order in the folder of a new beginning; reads those of one that lives. unit_laid follows, with
 * unit->err. */
void unit_lay(struct unit *unit);
void unit_laid(struct unit *unit);
/* Has the folder of one that is over removed, as soon as its shim has let go of it: its end is written before that. */
void unit_forget(struct replica_jobs *jobs, const struct job_id *id);
void unit_forget_due(struct replica_jobs *jobs, uint64_t now_ms);
void unit_forget_none(struct replica_jobs *jobs);
/* Removes the folder of one that was not given to the engine. */
void unit_unlay(const struct unit *unit);
/* Reads on in what it says. */
void unit_read(struct unit *unit);
/* One that says that it is ready is so when its port was reached. */
void unit_reach(struct unit *unit);
/* Forgets what it said, and the way. */
void unit_leave(struct unit *unit);

#endif
