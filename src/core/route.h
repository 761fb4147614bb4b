/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: how a job's data comes from the site where it lies to the one where it runs, how long that takes and what it costs.
 *
 * A way is the cheapest chain of corridors that are up: what they charge for a GB, and the energy of a GB at the mean of
 * what power and its carbon cost at the two ends of each, never less than nothing. Of equals the one of the shorter round
 * trip wins, then that of fewer corridors, then that whose last corridor has the lower id. So a way does not turn on how
 * much there is to carry, and one table of last corridors serves a site's whole demand; it is made when it is asked for
 * after prices or states have changed (Dijkstra, 1959), and logically is no state: what is made from a const core is a cache.
 * Where rules close corridors to some work there is a way of its own for it.
 *
 *   time = round trip x TRANSIT_HANDSHAKES + bytes / rate
 *   rate = min(each corridor's share, TRANSIT_STREAMS x TRANSIT_WINDOW / round trip)
 *
 * A share is half of what is left of the corridor, and at least 1/TRANSIT_SHARES of all of it. What a transfer is granted it
 * keeps to its end, so grants never add up to more than the corridor has. A corridor that has not even that share left, or
 * has TRANSITS_A_CORRIDOR on it, is full; the job looks for another place, or waits.
 *
 * Bounds: WAY_MAX corridors to a way; TRANSITS_A_CORRIDOR transfers to a corridor.
 */
#ifndef BUSBAR_CORE_ROUTE_H
#define BUSBAR_CORE_ROUTE_H

#include "base/checked.h"
#include "base/heap.h"
#include "core/core.h"
#include "core/network.h"

#define WAY_MAX KEY_MODELS_MAX /* what a list of ids in a row holds */
#define TRANSIT_SHARES 16
#define TRANSITS_A_CORRIDOR 32
#define ROUTES_CLOSED 32
/* TCP's (RFC 9293, 3.5), TLS 1.3's (RFC 8446, 2), and the request with its first byte. */
#define TRANSIT_HANDSHAKES 3
/* Bytes under way on one stream: what Linux lets a receive window grow to by itself (Documentation/networking/ip-sysctl,
 * tcp_rmem, on machines with memory enough). Streams: assumed, what tools that move bulk data open. */
#define TRANSIT_WINDOW (UINT64_C(6) << 20)
#define TRANSIT_STREAMS 16

struct job;
struct job_id;

/* From one site to another; hops 0: there is none. */
struct route {
    int64_t price; /* nano-units for a GB */
    uint64_t rtt;  /* microseconds */
    uint32_t hops;
    uint32_t corridor; /* the last */
    uint32_t before;   /* the site that it comes from */
};

struct way {
    uint32_t n; /* 0: the data is there */
    uint32_t corridor[WAY_MAX];
    uint64_t bits_s; /* that it would be granted now; 0: a corridor is full */
    int64_t ms;
    int128 cost; /* nano-units for all bytes */
};

/* A transfer that is under way; it ends by its time, or with its job. */
struct transit {
    struct row_transit row;
    uint32_t job;
    uint32_t n;
    uint32_t corridor[WAY_MAX];
    struct heap_node by_end;
};

struct traffic {
    struct route *route; /* sites x sites */
    uint64_t *made;      /* of each site's: the version that it was made for */
    uint8_t *done;       /* scratch: sites */
    struct closed_routes {
        struct route *route; /* sites */
        uint64_t *closed;    /* which corridors */
        uint32_t from;
        uint64_t made;
    } * other; /* ROUTES_CLOSED of them, for work to which corridors are closed; the one made longest ago goes first */
    uint32_t *next_other;
    uint64_t version; /* raised when a way may be another */
    struct table transits;
    struct transit *transit;
    struct map transit_map; /* by job */
    struct heap ends;
};

void traffic_carve(struct core *core, struct arena *arena);
void traffic_init(struct core *core);
/* Prices or states of sites or corridors have changed. */
void traffic_changed(struct core *core);
/* Whether data that still comes for the job comes over a corridor that is closed to it. */
bool transit_closed(const struct core *core, const struct job *job, const uint64_t *closed);
/* Whether it comes over this one. */
bool transit_over(const struct core *core, const struct job *job, uint32_t corridor);

/* Bits a second that the corridor would grant now; 0: it is full. */
uint64_t corridor_share(const struct corridor *corridor);
/* Whether corridors that are up, but for those that are closed to the work (bits, core/rulebook.h; NULL: none is), lead
 * from one site to the other. */
bool route_leads(const struct core *core, const uint64_t *closed, uint32_t from, uint32_t to);
/* The way of so many bytes as things are now. False: none leads there. */
bool route_way(const struct core *core, const uint64_t *closed, uint32_t from, uint32_t to, uint64_t bytes,
               struct way *out);

/* The job's data sets out: grants, row, effects. The way is not full. Its run begins when all has come. */
void transit_start(struct core *core, struct job_id id, const struct way *way);
/* The job is over, or stopped: what still comes for it comes no more. */
void transit_drop(struct core *core, const struct job *job);
/* Ends what has come by now. */
void transit_turn(struct core *core);
/* When that is next; INT64_MAX: nothing comes. */
int64_t transit_next_ms(const struct core *core);
/* The corridor is lost or has less than it granted: jobs whose data comes over it are stopped, who started last first,
 * until the rest fits. */
void transit_cut(struct core *core, uint32_t corridor);
int load_transit(struct core *core, const struct row_transit *row);
/* Grants are what transfers have. */
bool traffic_holds(const struct core *core);

#endif
