/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica of a modelled service is, and how many there may be: the text of `busbar sim --serve`.
 *
 * Written as name=value, separated by commas. Of a kind of replica, each beginning with chip=: chips, prefill (tokens a
 * second of prompts), decode (tokens a second of output with all slots in use), single (of one request alone), slots. Of the
 * service: cold, hold, idle, drain (times; the last one: in which the gateway wants worked off what waits, 0s: it does not ask), min, max (replicas), target (percent of what they sustain), in and out (mean tokens of a
 * request, for a trace that has rates only). docs/serving.md says where the defaults come from.
 */
#ifndef BUSBAR_SIM_SERVE_H
#define BUSBAR_SIM_SERVE_H

#include <stdint.h>

#include "base/err.h"
#include "core/schema.h"

#define SERVE_KINDS_MAX 4
#define SERVE_SLOTS_MAX 64

struct serve_kind {
    char chip[CHIP_CAP]; /* empty: any */
    uint32_t chips;
    uint32_t prefill, decode, single; /* tokens a second */
    uint32_t slots;
};

struct serve {
    struct serve_kind kind[SERVE_KINDS_MAX];
    uint32_t kinds;
    int64_t cold_ms, hold_ms, idle_ms, drain_ms;
    uint32_t min, max, target; /* percent */
    uint32_t in_mean, out_mean;
};

/* `text` NULL: the defaults. ERR_INVALID with words. */
int serve_read(struct serve *serve, const char *text, struct err *err);
/* A step of a batch of so many requests of such a replica, in nanoseconds: each of them gets a token. From `single` for
 * one it grows evenly to what gives `decode` with all slots. */
uint64_t serve_step_ns(const struct serve_kind *kind, uint32_t batch);
/* Tokens of output that cost as much as a million tokens of prompt. */
uint64_t serve_prompt_weight(const struct serve *serve);
/* The service as core is told it. */
void serve_event(const struct serve *serve, struct event_service_set *out);

#endif
