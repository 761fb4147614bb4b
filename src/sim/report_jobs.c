/* SPDX-License-Identifier: Apache-2.0 */
/* How jobs fared: how long they waited, and how long they took. */
#include <stdio.h>

#include "sim/report_parts.h"

static void draw_cdf(const struct report *r, const char *id, const char *title, const struct watch_cdf *cdf,
                     unsigned colour)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    double share[WATCH_CDF_POINTS];
    char half[AXIS_TEXT_CAP], most[AXIS_TEXT_CAP], last[AXIS_TEXT_CAP], words[160];
    struct chart c;
    axis_span_text(half, (double)cdf->p50_ms / 1e3);
    axis_span_text(most, (double)cdf->p90_ms / 1e3);
    axis_span_text(last, (double)cdf->p99_ms / 1e3);
    (void)snprintf(words, sizeof words, "Half within %s, 90 %% within %s, 99 %% within %s.", half, most,
                   last);
    chart_open(&c, r->out, id, title, "share of jobs, logarithmic in time", words);
    chart_frame(&c);
    for (uint32_t i = 0; i < cdf->n; i++)
        share[i] = cdf->share[i] * 100;
    uint32_t n = axis_spans((double)cdf->max_ms / 1e3, tick);
    chart_y_axis(&c, (struct axis){0, 100, 20}, " %");
    chart_x_axis(&c, tick, n, tick[0].at, tick[n - 1].at, true);
    chart_line(&c, colour, cdf->seconds, share, cdf->n, title);
    chart_close(&c);
}

void report_jobs(const struct report *r)
{
    if (r->watch->wait.jobs == 0)
        return;
    report_section(r, "jobs-section", "How jobs fared",
                   "Read as: so many per cent of the jobs took at most so long.");
    buf_add_text(r->out, "<div class=\"pair\">\n");
    if (r->watch->wait.max_ms >= 1000)
        draw_cdf(r, "wait", "Waiting for a start", &r->watch->wait, 5);
    draw_cdf(r, "jct", "From submission to the end", &r->watch->jct, 0);
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
}
