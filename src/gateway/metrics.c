/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics.h"

#include <stddef.h>
#include <string.h>

void histogram_add(struct histogram *histogram, uint64_t us)
{
    unsigned i = 0;
    while (i < HISTOGRAM_BUCKETS && us > (UINT64_C(1000) << i))
        i++;
    metric_add(&histogram->bucket[i], 1);
    metric_add(&histogram->sum_us, us);
}

static uint64_t sum(const struct metrics *const *metrics, uint32_t n, size_t offset)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total +=
            atomic_load_explicit((const _Atomic uint64_t *)(const void *)((const char *)metrics[i] + offset),
                                 memory_order_relaxed);
    return total;
}

static void render_histogram(struct buf *out, const struct metrics *const *metrics, uint32_t n, size_t offset,
                             const char *name, const char *help)
{
    uint64_t count = 0;
    buf_addf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        count += sum(metrics, n, offset + offsetof(struct histogram, bucket) + i * sizeof(uint64_t));
        if (i < HISTOGRAM_BUCKETS)
            buf_addf(out, "%s_bucket{le=\"%g\"} %llu\n", name, 0.001 * (double)(1u << i),
                     (unsigned long long)count);
    }
    uint64_t us = sum(metrics, n, offset + offsetof(struct histogram, sum_us));
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
             (unsigned long long)count, name, (double)us / 1e6, name, (unsigned long long)count);
}

void metrics_render(struct buf *out, const struct metrics *const *metrics, uint32_t n)
{
    static const struct {
        size_t offset;
        const char *text;
    } counters[] = {
#define C(name, text) {offsetof(struct metrics, name), text},
        METRICS_COUNTERS(C)
#undef C
    };
    size_t last = 0;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        const char *text = counters[i].text;
        size_t name = strcspn(text, "{");
        if (name != last || strncmp(text, counters[i - 1].text, name) != 0)
            buf_addf(out, "# TYPE %.*s counter\n", (int)name, text);
        last = name;
        buf_addf(out, "%s %llu\n", text, (unsigned long long)sum(metrics, n, counters[i].offset));
    }
    render_histogram(out, metrics, n, offsetof(struct metrics, first_token),
                     "busbar_time_to_first_token_seconds", "From the request to its first token.");
    render_histogram(out, metrics, n, offsetof(struct metrics, inter_token), "busbar_inter_token_seconds",
                     "Between two chunks of a stream.");
    render_histogram(out, metrics, n, offsetof(struct metrics, duration), "busbar_request_duration_seconds",
                     "From the request to the end of its answer.");
}
