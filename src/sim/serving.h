/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving: language models under the requests of traces, on replicas that core places.
 *
 * Each trace (each model of a trace of rates) is a service of core (core/service.h). Here is what sites and gateways do for it:
 * requests arrive one by one, wait in one queue a service, first come first served, and take a slot of the warm replica that
 * has fewest in use (sim/served.h). Each REPORT_MS the gateway tells core what was asked for: tokens of output and, weighted,
 * of prompts that came in the last minute, and what waits, to be worked off in a given time. The first request to a service
 * without demand is told at once. A replica serves after its cold start. When it is stopped its requests begin anew, first in
 * the queue.
 *
 * The caller hands core the events in order and tells the effects back. Requests are simulated in microseconds between the
 * caller's instants. All of it lies on the heap.
 */
#ifndef BUSBAR_SIM_SERVING_H
#define BUSBAR_SIM_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/effect.h"
#include "core/limits.h"
#include "core/schema.h"

#define SERVING_MAX 16 /* services */
#define SERVING_REPORT_MS 10000

struct serving_options {
    const char *requests; /* FILE[#MODEL][*SCALE][@DAY], separated by commas; NULL: none */
    const char *serve;    /* sim/serve.h */
    bool zones;           /* requests come from all sites, at their solar times */
    int64_t length_ms;    /* of the window of each trace; 0: all */
    int64_t start_ms;     /* Unix ms of the simulation's beginning */
    uint64_t seed;
};

struct serving;

/* What became of a service. */
struct serving_sum {
    char name[NAME_CAP];
    uint64_t requests, answered;
    uint64_t restarted;                                          /* because their replica was stopped */
    uint64_t waited_cold;                                        /* came when nothing served */
    uint64_t in_tokens, out_tokens;                              /* of those answered */
    uint64_t ttft_p50_us, ttft_p90_us, ttft_p99_us, ttft_max_us; /* from arrival to the first token */
    uint64_t end_p50_us, end_p90_us, end_p99_us, end_max_us;     /* to the last */
    uint64_t queue_max;
    uint64_t cold_starts;
    uint64_t
        moved; /* of these, replicas that ran before and were stopped: at a site that was lost, against new rules */
    uint32_t replicas_peak; /* of the first kind, that the busiest minute would have needed at `target` */
    uint32_t replicas_max;  /* that ran at a time */
    uint64_t replica_ms, warm_ms; /* that replicas ran, and of it that they could serve */
    uint64_t ideal_ms;            /* that replicas of the first kind would have taken if always full */
    int64_t span_ms;              /* from the first request to the last answer */
};

/* How a service stands, for series over time; tokens since the beginning. */
struct serving_state {
    uint32_t wanted, running, warm; /* replicas */
    uint64_t queue;                 /* requests that have not begun */
    uint64_t out_tokens;            /* of those answered */
};

/* ERR_INVALID and so on, with words. */
int serving_open(struct serving **out, const struct serving_options *options, struct err *err);
void serving_free(struct serving *s);
uint32_t serving_count(const struct serving *s);
/* No two have the same name. */
const char *serving_name(const struct serving *s, uint32_t i);
/* More of what core must have room for: services, demands, replicas, jobs. */
void serving_limits(const struct serving *s, struct limits *limits);
/* Told of each site before serving_setup. */
void serving_site(struct serving *s, const struct event_site_add *site);
/* Event i of those that make the services, for this tenant; false past the last. Opens the streams with the first. */
bool serving_setup(struct serving *s, uint32_t i, const struct uuid *tenant, struct event *out);
/* Why it is not as it should be: a stream without requests, no memory. 0: it is. */
int serving_failed(const struct serving *s, struct err *err);

/* When it has something to tell core, Unix ms; INT64_MAX: not before an effect. */
int64_t serving_next_ms(const struct serving *s);
/* The next event that is due; false when there is none more. */
bool serving_event(struct serving *s, int64_t now_ms, struct event *out);
/* Of a job with a `service`. Returns the chips that it takes or gives back, and of a stop where they were. */
uint32_t serving_effect(struct serving *s, const struct effect *effect, int64_t now_ms, struct uuid *pool);
/* All requests are answered, and replicas are as few as they get. */
bool serving_over(const struct serving *s);
/* Up to now, which is the end. */
void serving_end(struct serving *s, int64_t now_ms);
void serving_result(const struct serving *s, uint32_t i, struct serving_sum *out);
void serving_now(const struct serving *s, uint32_t i, struct serving_state *out);

#endif
