/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast clusters ran, and so how fast the next ones will.
 *
 * A sample is a plan in force and what acceptance measured its head to yield, one request at a time, under that plan (core/accept.h):
 * both are rows, so what runs when the hub starts is known at once. It is kept by the model's digest, after its plan is gone too, while the hub
 * runs; one of a plan, the newest. From those of a model each kind of chip gets a factor (core/calibrate.h): how many times longer its layers
 * take than was believed. It holds for this model alone, since another's format may be read at another speed. Nothing measured: nothing changes.
 *
 * The way to a site is what its corridor was measured or said to take. Where neither is known it is guessed, and a sample over such a way
 * teaches nothing: the guess's error would be the chips'. Bounds: CLUSTER_SAMPLES_MAX, past these the oldest goes; CLUSTER_FACTOR_LEAST and _MOST.
 */
#ifndef BUSBAR_HUB_CLUSTER_SPEED_H
#define BUSBAR_HUB_CLUSTER_SPEED_H

#include "core/calibrate.h"
#include "core/view.h"
#include "hub/cluster_plan.h"

#define CLUSTER_SAMPLES_MAX 64u
#define CLUSTER_LOCAL_PS INT64_C(300000000) /* there and back over RPC on one machine: docs/clusters.md */
#define CLUSTER_GUESS_PS \
    INT64_C(20000000000) /* from a site to the hub and back, if nobody knows: 40 ms for two */

/* A common one for all kinds of the samples, times its own, each as calibrate has them. */
#define CLUSTER_FACTOR_LEAST (CALIBRATE_LEAST * CALIBRATE_LEAST / CALIBRATE_ONE)
#define CLUSTER_FACTOR_MOST (CALIBRATE_MOST * CALIBRATE_MOST / CALIBRATE_ONE)

/* How a part's member is reached, its layers, and its kind of chip. */
struct cluster_part {
    struct cluster_worker worker;
    char chip[CHIP_CAP];
    uint32_t layers;
};

struct cluster_sample {
    struct uuid deployment;
    uint32_t generation, parts;
    int64_t at_ms;
    uint64_t token_s_e3;
    uint8_t digest[DIGEST_BYTES];
    struct cluster_part part[CLUSTER_MEMBERS_MAX];
};

struct cluster_samples {
    uint32_t n;
    uint64_t changes; /* so often: who learnt from fewer may learn anew */
    struct cluster_sample sample[CLUSTER_SAMPLES_MAX];
};

/* Of one model. */
struct cluster_factors {
    uint32_t samples, kinds; /* that it was learnt from; 0: nothing was */
    char chip[CALIBRATE_UNITS_MAX][CHIP_CAP];
    int64_t factor[CALIBRATE_UNITS_MAX];
};

/* What is believed of a kind of chip; false: nothing, and nothing is written. */
typedef bool cluster_believed(const void *ctx, const char *chip, uint64_t *byte_s, uint64_t *flop_s);

/* The ways of a worker at the site. */
void cluster_way(const struct core *core, const struct uuid *site, struct cluster_worker *out);
/* Reads one from rows. False: no plan is in force, a member is gone, or its head was not measured under it. */
bool cluster_sample_take(struct cluster_sample *out, const struct core *core, const struct row_cluster *row);
void cluster_samples_add(struct cluster_samples *samples, const struct cluster_sample *sample);
/* 0, or ERR_NO_MEMORY with nothing learnt. */
int cluster_learn(struct cluster_factors *out, const struct cluster_samples *samples,
                  const uint8_t digest[DIGEST_BYTES], const struct shape *shape, cluster_believed *believed,
                  const void *ctx);
/* Puts what was learnt of the kind on what is believed of the worker. A kind of which nothing is known is then known. */
void cluster_correct(const struct cluster_factors *factors, const char *chip, struct cluster_worker *worker);
/* What parts in this order yield, thousandths of a token a second; 0: of one nothing is known. */
uint64_t cluster_forecast(const struct shape *shape, const struct cluster_part *part, uint32_t parts);
/* Whether a way that a token takes there is a guess. */
bool cluster_guesses(const struct cluster_part *part, uint32_t parts);

#endif
