/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts: small SVG pictures in an HTML page, without scripts.
 *
 * A chart is a <figure>: caption, legend, picture. Its frame is CHART_W by CHART_H units and scales to the column it stands in;
 * the letters of the picture are sized by the page's style (larger on small screens), so nothing here measures text.
 * Colours are classes, c0 to c9, which the style gives for light, dark and print. Text is escaped here; a caption's id is the
 * chart's own, so each id is used once. Appends to a buf; the caller checks `out->failed`.
 */
#ifndef BUSBAR_SIM_CHART_H
#define BUSBAR_SIM_CHART_H

#include "base/buf.h"
#include "sim/chart_axis.h"

#define CHART_W 560.0
#define CHART_H 268.0
#define CHART_COLOURS 10u

struct chart {
    struct buf *out;
    const char *id;                  /* the caller's, until chart_close */
    double left, right, top, bottom; /* of the plot */
    double x_lo, x_hi, y_lo, y_hi;   /* in units of the data; x_lo > 0 on a logarithmic axis */
    bool log_x;
};

/* Escaped for HTML and XML, text and attributes; control characters become blanks. */
void chart_text(struct buf *out, const char *text);
/* With thousands apart: 1,234,567. */
void chart_count(struct buf *out, uint64_t n);
/* About three digits: 0.123, 12.3, 123, 1,234. */
void chart_figure(struct buf *out, double v);

/* Begins a figure: caption, what it shows in a line, and for those who do not see it, in words. */
void chart_open(struct chart *c, struct buf *out, const char *id, const char *title, const char *unit,
                const char *words);
/* A legend's entry; all of them between chart_legend_open and _close, before chart_frame. */
void chart_legend_open(struct chart *c);
void chart_legend_entry(struct chart *c, unsigned colour, const char *name, const char *more);
void chart_legend_close(struct chart *c);
/* The picture begins. */
void chart_frame(struct chart *c);
void chart_y_axis(struct chart *c, struct axis axis, const char *suffix);
void chart_x_axis(struct chart *c, const struct axis_tick *tick, uint32_t n, double lo, double hi,
                  bool log_x);
/* Values at equal distances from x_lo to x_hi. `below` may be NULL: down to the axis. */
void chart_area(struct chart *c, unsigned colour, const double *below, const double *above, uint32_t n,
                const char *tip);
/* `x` NULL: at equal distances as well. */
void chart_line(struct chart *c, unsigned colour, const double *x, const double *y, uint32_t n,
                const char *tip);
/* A rectangle in units of the data, from y 0 up. */
void chart_block(struct chart *c, unsigned colour, double x0, double x1, double y, const char *tip);
/* A translucent band over the whole height. */
void chart_band(struct chart *c, double x0, double x1, const char *tip);
/* Upright at x, a short label on top; level at y. */
void chart_upright(struct chart *c, const char *style, double x, const char *label, const char *tip);
void chart_level(struct chart *c, double y, const char *label);
void chart_close(struct chart *c);

#endif
