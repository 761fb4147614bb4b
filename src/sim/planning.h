/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning: the slow loop of a simulation. Every so often it makes a plan (core/planner.h) from the state of the core and a
 * forecast, and hands out its events.
 *
 * The forecast is yesterday: power and carbon of the hour that begins are known, any other hour is as the last known one of
 * the same hour of the day, moved by how far today is from yesterday now, which wears off; the load of ordinary work and what arrives that can wait were measured, an hour at a time. Or it is
 * foresight: power, carbon and arrivals as they will be; the load of ordinary work is yesterday's all the same. It is told what
 * happens; nothing here decides.
 */
#ifndef BUSBAR_SIM_PLANNING_H
#define BUSBAR_SIM_PLANNING_H

#include "core/planner.h"
#include "sim/world.h"

enum planning_mode { PLAN_OFF, PLAN_YESTERDAY, PLAN_FORESIGHT };

struct planning_options {
    enum planning_mode mode;
    int64_t every_ms; /* 0: an hour */
    int64_t start_ms; /* of the simulation */
    int64_t defer_ms; /* how long work can wait at most */
};

struct planning_sum {
    uint64_t made, failed, pivots, pivots_most;
    uint64_t cpu_ns, cpu_ns_most;
};

struct planning;

/* NULL when out of memory. */
struct planning *planning_new(const struct planning_options *options, const struct limits *limits);
void planning_free(struct planning *p);
/* An accepted event that makes the network, or a submission. */
void planning_event(struct planning *p, const struct event *event);
/* Ordinary work takes chips of the pool into use, or gives them back. */
void planning_use(struct planning *p, const struct uuid *pool, uint32_t chips, bool take, int64_t now_ms);
/* INT64_MAX: never. */
int64_t planning_next_ms(const struct planning *p);
/* How far arrivals have to be foreseen, Unix ms; 0: they do not. Then each in turn. */
int64_t planning_foresees_ms(const struct planning *p, int64_t now_ms);
void planning_expect(struct planning *p, const struct event_job_submit *request, int64_t at_ms);
/* Makes the plan that is due. Returns its events, which belong to the planning, and how many; 0: there is none. */
uint32_t planning_make(struct planning *p, const struct core *core, const struct world *world, int64_t now_ms,
                       const struct event **events);
struct planning_sum planning_total(const struct planning *p);

#endif
