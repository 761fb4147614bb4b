/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/chart.h"

#include <math.h>

/* ---- text and numbers ---- */

void chart_text(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '&')
            buf_add_text(out, "&amp;");
        else if (*p == '<')
            buf_add_text(out, "&lt;");
        else if (*p == '>')
            buf_add_text(out, "&gt;");
        else if (*p == '"')
            buf_add_text(out, "&quot;");
        else if (*p == '\'')
            buf_add_text(out, "&#39;");
        else
            buf_add_char(out, *p < ' ' || *p == 0x7f ? ' ' : (char)*p);
    }
}

void chart_count(struct buf *out, uint64_t n)
{
    if (n >= 1000) {
        chart_count(out, n / 1000);
        buf_addf(out, ",%03u", (unsigned)(n % 1000));
    } else {
        buf_add_u64(out, n);
    }
}

void chart_figure(struct buf *out, double v)
{
    double a = fabs(v);
    if (v < 0)
        buf_add_text(out, "\u2212");
    if (a >= 999.5)
        chart_count(out, (uint64_t)llround(a));
    else if (a < 0.0005)
        buf_add_char(out, '0');
    else
        buf_addf(out, "%.*f", a >= 99.95 ? 0 : a >= 9.995 ? 1 : a >= 0.9995 ? 2 : 3, a);
}

/* ---- a figure ---- */

void chart_open(struct chart *c, struct buf *out, const char *id, const char *title, const char *unit,
                const char *words)
{
    *c = (struct chart){.out = out,
                        .id = id,
                        .left = 62,
                        .right = CHART_W - 12,
                        .top = 20,
                        .bottom = CHART_H - 32,
                        .x_hi = 1,
                        .y_hi = 1};
    buf_addf(out, "<figure aria-labelledby=\"%s-t\">\n<figcaption><b id=\"%s-t\">", id, id);
    chart_text(out, title);
    buf_add_text(out, "</b>");
    if (unit[0]) {
        buf_add_text(out, "<span class=\"unit\">");
        chart_text(out, unit);
        buf_add_text(out, "</span>");
    }
    if (words[0]) {
        buf_add_text(out, "<span class=\"say\">");
        chart_text(out, words);
        buf_add_text(out, "</span>");
    }
    buf_add_text(out, "</figcaption>\n");
}

void chart_legend_open(struct chart *c)
{
    buf_add_text(c->out, "<ul class=\"legend\">");
}

void chart_legend_entry(struct chart *c, unsigned colour, const char *name, const char *more)
{
    buf_addf(c->out, "<li><i class=\"k c%u\"></i>", colour % CHART_COLOURS);
    chart_text(c->out, name);
    if (more[0]) {
        buf_add_text(c->out, " <span>");
        chart_text(c->out, more);
        buf_add_text(c->out, "</span>");
    }
    buf_add_text(c->out, "</li>");
}

void chart_legend_close(struct chart *c)
{
    buf_add_text(c->out, "</ul>\n");
}

void chart_frame(struct chart *c)
{
    buf_addf(c->out,
             "<svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t\" "
             "xmlns=\"http://www.w3.org/2000/svg\">\n",
             CHART_W, CHART_H, c->id);
}

void chart_close(struct chart *c)
{
    buf_add_text(c->out, "</svg>\n</figure>\n");
}

/* ---- axes ---- */

static double x_at(const struct chart *c, double v)
{
    double part = c->log_x ? (log10(fmax(v, c->x_lo)) - log10(c->x_lo)) / (log10(c->x_hi) - log10(c->x_lo))
                           : (v - c->x_lo) / (c->x_hi - c->x_lo);
    return c->left + fmax(0, fmin(1, part)) * (c->right - c->left);
}

static double y_at(const struct chart *c, double v)
{
    double part = (v - c->y_lo) / (c->y_hi - c->y_lo);
    return c->bottom - fmax(0, fmin(1, part)) * (c->bottom - c->top);
}

void chart_y_axis(struct chart *c, struct axis axis, const char *suffix)
{
    c->y_lo = axis.lo;
    c->y_hi = axis.hi;
    uint32_t n = (uint32_t)lround((axis.hi - axis.lo) / axis.step);
    for (uint32_t i = 0; i <= n && i < AXIS_TICKS_MAX; i++) {
        char text[AXIS_TEXT_CAP];
        double v = axis.lo + i * axis.step, y = y_at(c, v);
        axis_label(text, &axis, v);
        buf_addf(c->out,
                 "<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" dy=\".35em\" "
                 "text-anchor=\"end\">%s%s</text>\n",
                 i == 0 ? "base" : "grid", c->left, y, c->right, c->left - 6, y, text, suffix);
    }
}

void chart_x_axis(struct chart *c, const struct axis_tick *tick, uint32_t n, double lo, double hi, bool log_x)
{
    c->x_lo = lo;
    c->x_hi = hi > lo ? hi : lo + 1;
    c->log_x = log_x;
    for (uint32_t i = 0; i < n; i++) {
        double x = x_at(c, tick[i].at);
        const char *anchor = x > c->right - 22 ? "end" : "middle";
        buf_addf(c->out,
                 "<path class=\"tick\" d=\"M%.1f %.1fv5\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                 x, c->bottom, anchor[0] == 'e' ? x + 10 : x, c->bottom + 22, anchor);
        chart_text(c->out, tick[i].text);
        buf_add_text(c->out, "</text>\n");
    }
}

/* ---- what is drawn ---- */

static void add_tip(struct chart *c, const char *tip, const char *element)
{
    if (!tip || !tip[0]) {
        buf_add_text(c->out, "/>\n");
        return;
    }
    buf_add_text(c->out, "><title>");
    chart_text(c->out, tip);
    buf_addf(c->out, "</title></%s>\n", element);
}

/* Of n that are equally far apart, the first and the last at the edges. */
static double x_of(const struct chart *c, uint32_t i, uint32_t n)
{
    return c->left + (c->right - c->left) * i / (n - 1);
}

/* A line through n points; x NULL: equally far apart. */
static void add_points(struct chart *c, const double *x, const double *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        buf_addf(c->out, "%s%.1f %.1f", i ? "L" : "M", x ? x_at(c, x[i]) : x_of(c, i, n), y_at(c, y[i]));
}

void chart_area(struct chart *c, unsigned colour, const double *below, const double *above, uint32_t n,
                const char *tip)
{
    if (n < 2)
        return;
    buf_addf(c->out, "<path class=\"area c%u\" d=\"", colour % CHART_COLOURS);
    add_points(c, NULL, above, n);
    if (!below)
        buf_addf(c->out, "V%.1fH%.1f", c->bottom, c->left);
    for (uint32_t i = n; below && i-- > 0;)
        buf_addf(c->out, "L%.1f %.1f", x_of(c, i, n), y_at(c, below[i]));
    buf_add_text(c->out, "Z\"");
    add_tip(c, tip, "path");
}

void chart_line(struct chart *c, unsigned colour, const double *x, const double *y, uint32_t n,
                const char *tip)
{
    if (n < 2)
        return;
    buf_addf(c->out, "<path class=\"line c%u\" d=\"", colour % CHART_COLOURS);
    add_points(c, x, y, n);
    buf_add_char(c->out, '"');
    add_tip(c, tip, "path");
}

void chart_block(struct chart *c, unsigned colour, double x0, double x1, double y, const char *tip)
{
    double left = x_at(c, x0), top = y_at(c, y);
    buf_addf(c->out, "<rect class=\"block c%u\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"",
             colour % CHART_COLOURS, left, top, fmax(x_at(c, x1) - left, 0.4), fmax(c->bottom - top, 0));
    add_tip(c, tip, "rect");
}

void chart_band(struct chart *c, double x0, double x1, const char *tip)
{
    double left = x_at(c, x0);
    buf_addf(c->out, "<rect class=\"band\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", left,
             c->top, fmax(x_at(c, x1) - left, 1), c->bottom - c->top);
    add_tip(c, tip, "rect");
}

void chart_upright(struct chart *c, const char *style, double x, const char *label, const char *tip)
{
    double at = x_at(c, x);
    const char *anchor = at > c->right - 30 ? "end" : at < c->left + 30 ? "start" : "middle";
    buf_addf(c->out, "<g class=\"%s\"><path d=\"M%.1f %.1fV%.1f\"/>", style, at, c->top, c->bottom);
    if (label[0]) {
        buf_addf(c->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", at, c->top - 6, anchor);
        chart_text(c->out, label);
        buf_add_text(c->out, "</text>");
    }
    if (tip[0]) {
        buf_add_text(c->out, "<title>");
        chart_text(c->out, tip);
        buf_add_text(c->out, "</title>");
    }
    buf_add_text(c->out, "</g>\n");
}

void chart_level(struct chart *c, double y, const char *label)
{
    double at = y_at(c, y);
    buf_addf(c->out, "<g class=\"level\"><path d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\">", c->left,
             at, c->right, c->left + 6, at - 5);
    chart_text(c->out, label);
    buf_add_text(c->out, "</text></g>\n");
}
