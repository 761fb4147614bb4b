/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Axes of charts: where ticks go and what is written at them.
 *
 * A linear axis begins and ends at round numbers, a multiple of 1, 2, 2.5 or 5 times a power of ten apart. Time is told as
 * days of the run, or by the calendar (UTC). Spans of time on a logarithmic axis have ticks that people know: a second, a
 * minute, an hour, a day. Pure functions of their arguments.
 */
#ifndef BUSBAR_SIM_CHART_AXIS_H
#define BUSBAR_SIM_CHART_AXIS_H

#include <stdbool.h>
#include <stdint.h>

#define AXIS_TICKS_MAX 24u
#define AXIS_TEXT_CAP 24

struct axis {
    double lo, hi, step;
};

struct axis_tick {
    double at;
    char text[AXIS_TEXT_CAP];
};

/* An axis with about `ticks` steps that holds lo to hi; one of 0 to 1 when these are equal to 0 or no numbers. */
struct axis axis_round(double lo, double hi, unsigned ticks);
/* v as it is written at an axis: as many decimals as the step has; thousands as k, M, G from 10,000 on. */
void axis_label(char dst[AXIS_TEXT_CAP], const struct axis *axis, double v);
/* At most `most` ticks between two moments, Unix ms: days (or hours) since the origin, or dates. Returns how many. */
uint32_t axis_time(int64_t origin_ms, int64_t from_ms, int64_t to_ms, bool calendar, uint32_t most,
                   struct axis_tick tick[AXIS_TICKS_MAX]);
/* Spans up to the first known one that is at least `most_s`, in seconds; the last tick is the axis' end. */
uint32_t axis_spans(double most_s, struct axis_tick tick[AXIS_TICKS_MAX]);
/* "3 h 20 min", "12 s": for people, two parts at most. */
void axis_span_text(char dst[AXIS_TEXT_CAP], double seconds);
/* Year, month (1 to 12), day of a Unix time in ms, UTC. */
void axis_date(int64_t ms, int64_t *year, unsigned *month, unsigned *day);
/* "15 Mar 2026" */
void axis_date_text(char dst[AXIS_TEXT_CAP], int64_t ms);

#endif
