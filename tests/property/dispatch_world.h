/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core under random work, faults, caps, rules and plans, on virtual time, with the checker beside it.
 *
 * Nine pools of three kinds of chips at five sites in a ring of corridors and one across, two tenants, up to three
 * services; an instant is a handful of events and the passes that they make due, and time goes on by a second. All is
 * drawn from one seed. Every event is kept, so that a world can be made again; a core has pointers into itself and cannot
 * be copied.
 */
#ifndef BUSBAR_TESTS_DISPATCH_WORLD_H
#define BUSBAR_TESTS_DISPATCH_WORLD_H

#include "sim/checker.h"
#include "support.h"

enum {
    DW_SITES = 5,
    DW_POOLS = 9,
    DW_CORRIDORS = 6,
    DW_JOBS = 400,
    DW_RULES = 10,
    DW_RULES_CORRIDOR = 8,
    DW_SERVICES = 3,
    DW_TASKS = 1 << 16
};

struct dispatch_world {
    uint64_t random;
    struct core *core;
    void *block;
    struct checker *checker;
    struct effects effects;
    struct effect list[EFFECTS_MAX];
    int64_t now_ms;
    uint32_t nodes[DW_POOLS];
    uint64_t submitted;                 /* job n is uid('j', n) */
    struct event_dispatch_set dispatch; /* in force */
    uint32_t rules;                     /* those in force, as bits; the id of a rule is its number */
    struct {
        uint64_t job;
        uint32_t epoch;
        struct uuid pool;
    } running[DW_JOBS];
    uint32_t nrunning;
    uint64_t starts, stops; /* of jobs that are no replicas */
    uint64_t replicas;      /* ever */
    uint32_t replica_runs;  /* now */
    uint64_t tamper_at;     /* with the effects of this start; 0: with none */
    uint64_t transits;
    uint64_t spent;                      /* jobs that their tenant could not pay */
    uint64_t gave_up;                    /* jobs that did so too often */
    struct event_job_return replica_run; /* of the replica that started last */
    uint64_t arrays, tasks, unmet;       /* ever; array n is dispatch_world_array(n) */
    uint64_t taken[EVENT_KIND_END];      /* events that core accepted, by kind */
    struct event *log;
    size_t nlog, log_cap;
};

void dispatch_world_init(struct dispatch_world *w, uint64_t seed, uint64_t tamper_at);
struct uuid dispatch_world_array(uint64_t n);
/* The same events again. */
void dispatch_world_copy(struct dispatch_world *to, const struct dispatch_world *from);
/* Its core is loaded from its own rows, each kind last row first: every index is another. Reservations are not in rows: where there
 * are jobs, what follows is the same only if a reload is told. */
void dispatch_world_renumber(struct dispatch_world *w);
void dispatch_world_reloaded(struct dispatch_world *w);
void dispatch_world_fini(struct dispatch_world *w);
void dispatch_world_instant(struct dispatch_world *w);
/* Some of an instant's events, without the passes that they make due. */
void dispatch_world_events(struct dispatch_world *w);
/* The passes that are due, and the checker's last word on this instant. */
void dispatch_world_settle(struct dispatch_world *w);
int dispatch_world_step(struct dispatch_world *w, struct event *event);
/* Corridors have this state and capacity from now on, all of them or one. */
void dispatch_world_corridor(struct dispatch_world *w, uint32_t corridor, uint32_t state, uint64_t bits_s);
/* Puts a plan in force that is drawn, or none. */
void dispatch_world_plan(struct dispatch_world *w, bool any);
/* Puts the rules in force whose bits are set. */
void dispatch_world_rules(struct dispatch_world *w, uint32_t which);

#endif
