/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follow: which jobs have to wait for others before they wait for a place, and arrays of jobs.
 *
 * A job or an array may come after up to four jobs or arrays of the same tenant that were there before it, so there are no
 * cycles. Until they are over it is parked: it has a row and is in no lane. An edge leads from it to each of them; when
 * the target is over, the edge's row is told how, in the same step, and the edge is gone. A job that all of them let start
 * enters its lane; one that one of them never will ends there and then, as JOB_UNMET, and so may those after it.
 *
 * A target that core does not have any more is over: how it ended is in its row in the store, and the event that names
 * it brings what the sender read there. An event that names neither what is there nor an outcome is refused with
 * ERR_NOT_FOUND: the target ended since the sender looked, and it looks again once that is durable. So a step
 * depends on its event and on the state alone, and a load never has to look for what is over.
 *
 * The tasks of an array are jobs; the array's id and their numbers make their ids. They are admitted to their lane in the order
 * of their numbers, and while at_once of them are there or run the others are parked: a place that is free again goes to
 * the next one. So who is admitted follows from who is over, and needs no row of its own.
 *
 * What ends or is admitted by all this does so at the tick that follows and before the dispatcher's pass, FOLLOW_TURN_MAX moves a
 * step, in the order of ids, so that a load changes nothing; while there is more to do no pass is made. A target has JOB_FOLLOWERS_MAX edges at most, so its end is a bounded step.
 */
#ifndef BUSBAR_CORE_FOLLOW_H
#define BUSBAR_CORE_FOLLOW_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/schema.h"
#include "core/table.h"

#define FOLLOW_TURN_MAX 256u

/* Of a link or an array that a tick has something to do for: its place among them. */
struct due {
    struct uuid id;
    bool is;
    struct heap_node node;
};

/* Of a job or array to one that it comes after. */
struct edge {
    struct row_job_after row;
    uint32_t link;   /* whose it is */
    uint32_t target; /* the other one's link; INDEX_NONE: that is over */
    struct list in_after, in_before;
};

/* A job or array that has edges. */
struct link {
    uint32_t job, array; /* one of them is INDEX_NONE */
    uint32_t nbefore;
    struct list after;  /* its edges */
    struct list before; /* those that lead to it */
    bool never;         /* a target ended in a way that does not let it start */
    struct due ready;   /* in follow.ready, once that or the last of its edges is known */
};

struct array {
    struct row_job_array row;
    uint32_t link;     /* INDEX_NONE: it has no edges */
    uint32_t live;     /* tasks that are not over */
    uint32_t admitted; /* of them those that are in their lane or run */
    uint32_t next;     /* this many, by number, were admitted or are over */
    uint32_t closed;   /* this many were looked at since it was cancelled, or can never start */
    struct due moving; /* in follow.moving, while there may be something to do */
};

struct follow {
    struct table edges, links, arrays;
    struct edge *edge;
    struct link *link;
    struct array *array;
    struct map array_map;
    struct heap ready, moving;
};

#endif
