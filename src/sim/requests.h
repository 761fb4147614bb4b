/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: a stream of calls to one model in order of time, made from a trace.
 *
 * A trace of single requests (sim/trace.h) is played as it was, so many times over: its copies are spread evenly over a minute,
 * which keeps the shape of the load and takes away that all bursts meet; of a part of a copy each request is drawn. A trace of
 * rates becomes a Poisson process, with the lengths of prompts and answers drawn from exponential distributions around given
 * means. With places of origin that have time zones of their own, each of them has an equal part of the rate, at its own
 * solar time; requests of a trace of single ones come from a place that is drawn.
 *
 * The file must outlive its streams. Everything is drawn from the seed. Times are ms since the beginning of the window.
 */
#ifndef BUSBAR_SIM_REQUESTS_H
#define BUSBAR_SIM_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sim/trace.h"

#define REQUESTS_COPIES_MAX 10000u
#define REQUESTS_ORIGINS_MAX 256u

struct requests_file {
    bool rates; /* not single requests */
    struct trace_requests single;
    struct trace_rates rate;
};

struct request {
    int64_t arrival_ms;
    uint32_t in_tokens, out_tokens; /* at least 1 */
    uint32_t origin;
};

struct requests_options {
    uint32_t model;             /* of a trace of rates */
    uint64_t scale;             /* thousandths */
    int64_t from_ms, length_ms; /* the window; length 0: to the end of the trace */
    uint64_t seed;
    uint32_t in_mean, out_mean; /* tokens, for rates */
    const int64_t *zone_ms;     /* of each place of origin: how much later than at the first it is there */
    uint32_t origins;           /* at least 1 */
};

struct requests;

/* Tells the kind of trace by its columns. ERR_*, with words. */
int requests_read(struct requests_file *file, const char *path, struct err *err);
void requests_file_free(struct requests_file *file);

/* ERR_INVALID (nothing in the window), ERR_LIMIT, ERR_NO_MEMORY, with words. */
int requests_open(struct requests **out, const struct requests_file *file,
                  const struct requests_options *options, struct err *err);
void requests_free(struct requests *r);
/* The next one; false when there are no more, or no memory: see requests_failed. */
bool requests_next(struct requests *r, struct request *out);
bool requests_failed(const struct requests *r);

#endif
