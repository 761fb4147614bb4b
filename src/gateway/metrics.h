/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of one worker: plain counters that only its thread adds to, read by whoever renders /metrics.
 *
 * Relaxed atomics cost nothing on the hot path and make the reads well defined. Histograms have fixed bounds, powers
 * of two from 1 ms, in the convention of Prometheus: base units, _total, _seconds.
 */
#ifndef BUSBAR_GATEWAY_METRICS_H
#define BUSBAR_GATEWAY_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

#define HISTOGRAM_BUCKETS 18 /* 1 ms to 131 s */

struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS + 1];
    _Atomic uint64_t sum_us;
};

#define METRICS_COUNTERS(C) \
    C(requests_ok, "busbar_requests_total{outcome=\"ok\"}") \
    C(requests_refused, "busbar_requests_total{outcome=\"refused\"}") \
    C(requests_failed, "busbar_requests_total{outcome=\"failed\"}") \
    C(requests_aborted, "busbar_requests_total{outcome=\"aborted\"}") \
    C(tokens_prompt, "busbar_tokens_total{kind=\"prompt\"}") \
    C(tokens_cached, "busbar_tokens_total{kind=\"cached\"}") \
    C(tokens_completion, "busbar_tokens_total{kind=\"completion\"}") \
    C(chunks, "busbar_stream_chunks_total") \
    C(settle_retries, "busbar_settle_retries_total")

struct metrics {
#define C(name, text) _Atomic uint64_t name;
    METRICS_COUNTERS(C)
#undef C
    struct histogram first_token; /* time to the first token */
    struct histogram inter_token; /* between chunks of a stream */
    struct histogram duration;
};

static inline void metric_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, uint64_t us);
/* Sums the metrics of n workers and appends them in Prometheus' text format. */
void metrics_render(struct buf *out, const struct metrics *const *metrics, uint32_t n);

#endif
