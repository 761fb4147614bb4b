/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing services: so many replicas each that are there whoever asks, so that a simulation shows what becomes of models when something is lost.
 *
 * The caller says what each service is; its `min` is its `max`, so core keeps just so many. Here they are only counted, from core's effects
 * and nothing else: how many ran as which kind when the first drill began, how many of these drills stopped, and how many of those
 * run at the end, as which kind. A replica of a service is known by its id (core/service.h).
 */
#ifndef BUSBAR_SIM_STANDING_H
#define BUSBAR_SIM_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/effect.h"
#include "core/limits.h"
#include "core/schema.h"

#define STANDING_MAX 128
#define STANDING_KINDS 4 /* core's alternatives */

struct standing_sum {
    char name[NAME_CAP];
    char chip[STANDING_KINDS][CHIP_CAP];
    uint32_t count[STANDING_KINDS], tokens_s[STANDING_KINDS]; /* of a replica of each kind */
    uint32_t kinds, wanted;
    /* Replicas by kind: before the first drill (at the end, without one); of these, stopped; of those, running at the end. */
    uint32_t before[STANDING_KINDS], stopped[STANDING_KINDS], again[STANDING_KINDS];
};

struct standing_report {
    uint32_t n;
    struct standing_sum sum[STANDING_MAX];
};

struct standing;

/* Copies the events. ERR_LIMIT, ERR_NO_MEMORY. */
int standing_open(struct standing **out, const struct event_service_set *set, uint32_t n);
void standing_free(struct standing *s);
uint32_t standing_count(const struct standing *s);
/* More of what core must have room for. */
void standing_limits(const struct standing *s, struct limits *limits);
/* Event i of those that make the services, for this tenant; false past the last. */
bool standing_setup(const struct standing *s, uint32_t i, const struct uuid *tenant, struct event *out);
/* Of a job with a `service`; drilled: a drill does it. Returns the chips that it takes or gives back, and of a stop where they were; 0: it
 * is none of these. */
uint32_t standing_effect(struct standing *s, const struct effect *effect, bool drilled, struct uuid *pool);
void standing_result(const struct standing *s, struct standing_report *out);

/* Tokens a second of so many replicas of each kind. */
uint64_t standing_tokens(const struct standing_sum *sum, const uint32_t replicas[STANDING_KINDS]);
uint32_t standing_all(const uint32_t replicas[STANDING_KINDS]);
/* A list of what became of each. */
void standing_json(const struct standing_report *report, struct buf *out);

/* ---- the same of a copy ---- */

struct trial;

/* What the loss that was played in the copy did to the services, which standing_setup made in its core. */
int standing_of_trial(const struct standing *s, const struct trial *trial, struct standing_report *out);

#endif
