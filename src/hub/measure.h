/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure: corridors between the hub's own site and those that have joined, as sites tell them (site/survey.h).
 *
 *   POST /site/v1/path   round trip and rates as the site finds them; the answer may ask for a probe
 *   POST /site/v1/probe  so many bytes that mean nothing
 *
 * Blobs go between hub and sites only, so these are the corridors that are real. The first call of a site makes one, if
 * there is none, up and free of charge, with a rate that is assumed. The core is told what differs from what it has by more than a part:
 * the site's figures are a least and a median of many, so what is told has lasted; and not again within a while.
 */
#ifndef BUSBAR_HUB_MEASURE_H
#define BUSBAR_HUB_MEASURE_H

#include "core/schema.h"
#include "hub/visit.h"

#define MEASURE_ASSUMED_BITS_S UINT64_C(1000000000)
#define MEASURE_RATE_PART 4 /* a quarter more or less is another rate */
#define MEASURE_RTT_PART 5
#define MEASURE_RTT_US 1000 /* less than that is none of a corridor */
#define MEASURE_AGAIN_MS 30000

int desk_take_path(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_probe(struct visit *visit, yyjson_val *root, struct err *err);

/* What of the figures `told` the core does not have: those in *out that are not 0. False: nothing. */
bool measure_news(const struct row_corridor *row, const struct event_corridor_measure *told, int64_t now_ms,
                  struct event_corridor_measure *out);

#endif
