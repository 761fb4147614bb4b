/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work: jobs, from submission to their end, and how those that wait are kept.
 *
 * Jobs that ask for the same thing have the same shape: what they could run on is worked out once a shape, as a bit mask
 * over pools for each alternative, and shapes for which that comes to the same have one reach. A lane holds the waiting
 * jobs of one tenant and one shape in order. If the first job of a lane cannot start, no job of the lane can, unless it is
 * short enough to pass a reservation, and the lane finds the first such; so the dispatcher looks at tens or hundreds of
 * lanes, however long the queue is.
 *
 * A job that is over leaves memory; its row stays in the store. Shares are the chips that running jobs have, linked by
 * job and by node.
 */
#ifndef BUSBAR_CORE_WORK_H
#define BUSBAR_CORE_WORK_H

#include "base/heap.h"
#include "base/list.h"
#include "core/network.h"
#include "core/queue.h"

#define ALTERNATIVES 4
#define DENIED_BY_WORDS 5 /* a bit for each rule, and one for the closed border */
#define GANG_CHIPS_MAX (1u << 16)
#define JOB_MS_MAX (INT64_C(400) * 86400000)
/* What a job without a duration is taken to last until more is known. */
#define JOB_MS_GUESS 3600000
/* Thousandths of a ms that a chip-second of size weighs in the queue. */
#define AGEING_DEFAULT 100000

/* Copies what a job was submitted with, field by field, between its event and its row. */
#define JOB_COPY_FIELD(S, type, name, size) memcpy(&to->name, &from->name, sizeof to->name);
#define JOB_COPY_TERMS \
    JOB_REQUEST(JOB_COPY_FIELD, _) \
    JOB_DECLARED(JOB_COPY_FIELD, _) \
    JOB_TIMING(JOB_COPY_FIELD, _) JOB_COPY_FIELD(_, uuid, key, 0) JOB_COPY_FIELD(_, text, home, CODE_CAP)

struct job_id {
    uint32_t v;
};

struct share {
    struct row_share row;
    uint32_t pool;
    struct job_id job;
    uint32_t next_of_job;
    uint32_t next_on_node, prev_on_node;
};

struct alternative {
    uint32_t chip; /* INDEX_NONE: any kind */
    uint32_t count;
    uint32_t rate; /* thousandths */
};

/* What jobs of one shape have in common; compared as bytes. */
struct shape_key {
    struct alternative alternative[ALTERNATIVES];
    uint32_t site; /* INDEX_NONE: any */
    uint32_t flags;
    uint32_t tenant;     /* whose facts the rules are told: those of all tenants that are equal to them */
    uint32_t source;     /* the site where its data lies, INDEX_NONE: there is none to bring */
    uint32_t kind;       /* enum job_kind */
    uint32_t deployment; /* whose replica it is, INDEX_NONE: of none */
    char data_class[CODE_CAP];
    char home[CODE_CAP]; /* the jurisdiction of the data, empty: not known */
    char jurisdiction[CODE_CAP];
    char vendor[NAME_CAP];
};

/* What a reach is known by: this, and the masks behind it. */
struct reach_key {
    struct alternative alternative[ALTERNATIVES];
    uint32_t flags;
    uint32_t zero;
};

/* Shapes that ask for the same chips and may use the same pools now: core/reach.c. */
struct reach {
    const struct reach_key *key;
    const uint64_t *mask; /* ALTERNATIVES x pool words */
    uint32_t shapes;      /* that have it */
    struct list active;   /* of work.active, while lanes have jobs that wait */
    struct list waiting;  /* their shapes */
    uint32_t nalternatives;
    uint32_t least;      /* chips of its smallest alternative */
    bool gang;           /* some alternative is more than one chip */
    bool fits;           /* a pool that changed has room for it */
    bool open;           /* without anything that is held */
    uint64_t pass, seen; /* after how many starts of which pass `fits` and `open` were the answer */
    int64_t shortest;    /* no job of its lanes that waits is shorter, at rate 1 */
    uint32_t npools;     /* it could use, when that was last counted (core/replace.c) */
};

struct shape {
    struct shape_key key;
    struct list active;  /* of its reach's `waiting`, while lanes have jobs that wait */
    struct list waiting; /* those lanes */
    uint32_t lanes;      /* that have it */
    uint32_t nalternatives;
    struct reach *reach; /* where it may go */
    uint64_t version;    /* of the network that `reach` was found for */
    uint64_t judged;     /* version of the rules that `lawful` was made for */
    uint64_t *lawful;    /* ALTERNATIVES x pool words: pools that no rule denies, whatever their state */
    uint64_t denied;     /* version of the network that `by` was made for */
    uint64_t by[DENIED_BY_WORDS]; /* rules that deny it some pool, by bits, and past them the closed border */
    bool nowhere;                 /* they leave it no pool that it asks for */
    uint64_t barred;              /* as `judged`, of `closed` */
    uint64_t *closed;             /* corridors that rules deny to its data */
    bool closes;                  /* some are */
};

struct lane {
    uint32_t tenant;
    uint32_t shape;
    uint32_t jobs;
    struct queue waiting;
    struct list active;       /* of its shape, while jobs wait */
    struct list untried;      /* of work.fresh, while `fresh` */
    uint64_t pass;            /* in which it was listed */
    struct heap_node in_pass; /* of the pass that runs */
    struct job *candidate;    /* the one to try, in that pass */
    bool plain;               /* listed in it only for room that nobody has a reservation on */
    bool fresh;               /* it has jobs that were not tried yet */
    uint64_t stopped;         /* the pass in which one of its jobs was last stopped and came back */
    uint32_t pool;            /* where it has the reservation for its first job, INDEX_NONE: nowhere */
    /* Jobs that wait by choice, by latest start: core/defer.c. */
    struct queue held;
    struct list holding;        /* of work.holding, while there are such */
    struct heap_node in_latest; /* of work.latest, as well */
    bool held_fresh;            /* no pass has tried them as they are */
    uint32_t group;             /* of the plan in force, INDEX_NONE: it does not name them */
};

/* A tenant in a pass: its lanes that are to be tried. */
struct turn {
    struct heap lanes;
    struct heap_node in_pass;
    bool waits; /* it is in that heap */
    struct list listed;
    uint32_t weight; /* the tenant's dominant share */
    /* Of the tenant's jobs that wait, those that have a priority, and the first of all if that was asked for: core/rank.c. */
    uint32_t ranked;
    const struct queue_node *front;
};

struct job {
    struct row_job row;
    uint32_t lane;
    struct queue_node in_lane;
    uint32_t pool;     /* while it runs */
    uint32_t shares;   /* the first of them */
    int64_t end_ms;    /* when it is thought to be over */
    uint32_t replica;  /* of core's services, INDEX_NONE: it is none of theirs */
    int64_t latest_ms; /* by when it has to start, as far as it may choose; 0: it may not */
    bool held;         /* it waits by choice, in the lane's second queue */
    bool parked;       /* it waits and is in no queue: core/follow.h */
    uint32_t array;    /* whose task it is, INDEX_NONE: of none */
    uint32_t link;     /* of core's follow, INDEX_NONE: it comes after nobody, and nobody after it */
    uint32_t chips;    /* and the rate of its alternative */
    uint32_t rate;
    uint64_t chosen; /* the choice of what to stop that it was last part of, core/preempt.c */
};

struct work {
    struct table jobs, shares, reaches, shapes, lanes;
    struct job *job;
    struct share *share;
    struct reach *reach;
    struct shape *shape;
    struct lane *lane;
    struct map job_map, reach_map, shape_map, lane_map;
    struct list active;     /* reaches that jobs wait for */
    struct list fresh;      /* lanes with jobs that were not tried yet */
    struct list holding;    /* lanes with jobs that wait by choice */
    struct heap latest;     /* those, by the latest start of their first such job */
    uint32_t *tenant_chips; /* tenants x chip kinds: chips in use */
    struct turn *turn;      /* of each tenant */
    struct list turns;      /* those with lanes, while a pass begins */
    struct heap in_turn;    /* those that are to come, in a pass */
    uint32_t *dominant;     /* of each tenant: its largest share of a kind, in 1/2^20 */
    uint64_t *reach_keys;   /* of all reaches, and one that is being built */
    uint64_t *lawful;       /* of all shapes */
    uint64_t *closed;       /* of all shapes */
    uint32_t corridor_words;
    uint64_t *changed; /* pools that may fit more than at the last pass */
    uint64_t *looking; /* those of the pass that runs */
    uint32_t *look_at; /* the same, listed */
    uint32_t nlook_at;
    uint64_t *blocked;  /* closed in the pass that runs */
    uint64_t *still;    /* not changed: closed to who did not fit before */
    uint64_t *reserved; /* pools with a reservation */
    uint64_t *spared;   /* pools that the reserve kept from somebody for what others have, at the last try */
    uint32_t pool_words;
    uint64_t pass;
    uint64_t started; /* jobs */
    bool reheld;      /* a reservation was made since the pass listed them */
    bool again;       /* it is to be made again at once: it did not see everybody whom it concerns */
    bool eased;       /* one is over, went to another, or begins later */
    bool softened;    /* work that may be stopped for others has come to a pool that had none */
    bool left_out;    /* some were not listed whom only a reservation keeps from starting */
    uint32_t apart;   /* lanes listed in the pass, not tried yet, and not plain */
    uint32_t least;   /* chips that a plain one asks for */
    uint64_t matched; /* version of the network that reservations were checked against */
    uint64_t reached; /* and that all shapes were for which jobs wait */
    bool due;         /* something changed since the last pass */
    bool lost;        /* a site is, or is drained, and not all that is to stop there has stopped */
    struct row_dispatch row;
    bool row_touched;
    bool over;           /* a site may draw more than it is allowed to */
    uint64_t choice;     /* of what to stop: the last one */
    struct place *place; /* scratch: POOL_NODES_MAX */
    int64_t *free_ms;    /* as well */
    int64_t *loss;       /* as well */
    uint32_t *victim;    /* scratch: jobs */
};

/* It is not to be stopped for others. */
bool job_is_firm(const struct job *job);
/* Run time at rate 1 of the work that is not done yet, as far as is known; 1 at least. */
int64_t job_left_ms(const struct job *job);
/* What a run that begins now would spend before its work goes on: starting from a checkpoint. */
int64_t job_lead_ms(const struct job *job);
/* Run time of what is left, under an alternative, that is as likely as not exceeded; the queue is in order of this. */
int64_t job_typical_ms(const struct job *job, uint32_t rate);
/* Run time of what is left, under an alternative, that is probably not exceeded; reservations and who may pass them go by this. */
int64_t job_run_ms(const struct job *job, uint32_t rate);

#endif
