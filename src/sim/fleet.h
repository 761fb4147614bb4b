/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fleet: the replicas of one modelled service, and its requests on their way.
 *
 * Requests wait in one queue, first come first served, and take a slot of the warm replica that has fewest in use. A replica
 * waits for its place, is cold after its start, then warm; when it is stopped, its requests begin anew, first in the queue.
 * Replicas are told apart by the job that core made for each. Times are microseconds; what is due is in one heap, and
 * the caller makes it happen in order of time. All of it lies on the heap.
 */
#ifndef BUSBAR_SIM_FLEET_H
#define BUSBAR_SIM_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/str.h"
#include "sim/ends.h"
#include "sim/requests.h"
#include "sim/served.h"
#include "sim/spread.h"

enum unit_state { UNIT_WAITS, UNIT_COLD, UNIT_WARM };

/* A replica. */
struct unit {
    struct uuid job, pool;
    enum unit_state state;
    uint32_t alternative, chips;
    uint32_t version; /* of what is due */
    bool ran;         /* before */
    struct served served;
    uint32_t next,
        prev; /* of those that are warm and have as many slots in use; `next` also of the free ones */
};

/* Requests from one place, tokens of output with prompts weighted, in millionths. */
struct origin {
    uint64_t arrived; /* ever */
    uint64_t queued;
    uint32_t in_flight; /* requests without an answer */
};

struct fleet {
    const struct serve *serve;
    uint64_t weight; /* of a prompt's token */
    struct flight *flight;
    uint32_t nflights, cap_flights, free_flight;
    uint32_t first, last; /* of the queue */
    struct unit *unit;
    uint32_t nunits, cap_units, free_unit;
    struct map map; /* of units, by job */
    struct map_slot *slots;
    uint32_t wanted, running, warm;
    uint64_t room;                  /* bit k: there are warm ones with k slots in use and one free */
    uint32_t list[SERVE_SLOTS_MAX]; /* the first of them */
    struct ends due;                /* of units */
    struct origin *origin;
    int64_t counted_us;                    /* until when running and warm are added up */
    int64_t first_us, arrival_us, last_us; /* the first arrival and the last, the last answer */
    uint64_t queue, queue_max;
    uint64_t requests, answered, restarted, waited_cold, cold_starts, moved;
    uint64_t in_tokens, out_tokens, done_tokens; /* done: as in struct origin */
    uint64_t running_us, warm_us;                /* summed over replicas */
    uint32_t running_max;
    struct spread ttft, end;
    bool failed; /* no memory */
};

/* False: no memory; fleet_fini all the same. `serve` outlives it. */
bool fleet_init(struct fleet *f, const struct serve *serve, int64_t now_us);
bool fleet_origins(struct fleet *f, uint32_t origins);
void fleet_fini(struct fleet *f);
void fleet_arrive(struct fleet *f, const struct request *request, int64_t now_us);
/* INT64_MAX: nothing is due. */
int64_t fleet_next_us(const struct fleet *f);
/* Makes the next thing happen that is due. */
void fleet_happen(struct fleet *f);
/* A replica is wanted, starts, stops, is wanted no more. UINT32_MAX: there is none of this job. */
void fleet_add(struct fleet *f, const struct uuid *job);
uint32_t fleet_find(const struct fleet *f, const struct uuid *job);
void fleet_start(struct fleet *f, uint32_t unit, uint32_t alternative, int64_t now_us);
void fleet_stop(struct fleet *f, uint32_t unit, int64_t now_us);
void fleet_drop(struct fleet *f, uint32_t unit);
/* Adds up how long how many replicas ran. */
void fleet_count(struct fleet *f, int64_t now_us);

#endif
