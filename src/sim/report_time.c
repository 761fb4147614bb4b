/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over time: use of the chips, the queue, power, money, carbon; and series that others recorded. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report_parts.h"

#define TICKS 6u
#define LINES_MAX 6u
#define ROWS_MAX 10u

/* ---- series as they are drawn ---- */

uint32_t report_bins(const struct report *r, const struct record_series *s, double bin[REPORT_BINS])
{
    uint32_t all = r->rec->n, n = all < REPORT_BINS ? all : REPORT_BINS;
    for (uint32_t i = 0; s && i < n; i++) {
        uint32_t from = (uint32_t)((uint64_t)i * all / n), to = (uint32_t)((uint64_t)(i + 1) * all / n);
        double sum = 0, least = s->value[from];
        for (uint32_t k = from; k < to; k++) {
            sum += s->value[k];
            least = fmin(least, s->value[k]);
        }
        bin[i] = s->kind == RECORD_LEVEL ? sum / (to - from) : s->kind == RECORD_COUNT ? sum : least;
    }
    return s ? n : 0;
}

double report_most(const double *v, uint32_t n)
{
    double most = 0;
    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, v[i]);
    return most;
}

static double mean(const double *v, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    return n ? sum / n : 0;
}

/* Of a count: by the hour. */
static uint32_t hourly(const struct report *r, const struct record_series *s, double bin[REPORT_BINS])
{
    uint32_t n = report_bins(r, s, bin);
    for (uint32_t i = 0; i < n; i++)
        bin[i] *= 3600000.0 * n / (double)(r->to_ms - r->from_ms);
    return n;
}

void report_time_axis(const struct report *r, struct chart *c)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    uint32_t n = axis_time(r->result->start_ms, r->from_ms, r->to_ms, r->calendar, TICKS, tick);
    chart_x_axis(c, tick, n, (double)r->from_ms, (double)r->to_ms, false);
}

void report_drills(const struct report *r, struct chart *c)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < r->rec->nmarks; i++) {
        const struct record_mark *m = &r->rec->mark[i];
        char label[16];
        if (!m->drill)
            continue;
        (void)snprintf(label, sizeof label, "%u", ++number);
        if (m->at_ms >= r->from_ms && m->at_ms <= r->to_ms)
            chart_upright(c, "drill", (double)m->at_ms, label, m->text);
    }
}

/* ---- chips ---- */

struct layer {
    double v[REPORT_BINS];
    const char *name;
    unsigned colour;
    double mean;
};

static void add_layer(struct layer *layer, const double *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        layer->v[i] += v[i];
    layer->mean += mean(v, n);
}

/* A group of series as layers upon each other, and below them what it adds up to. */
struct stack {
    const char *group, *id, *title, *unit, *words;
    const char *const *name; /* that have a colour of their own; the rest are "others" */
    uint32_t names, all;
    bool service; /* the line of what is in service above it */
};

static uint32_t stack_layers(const struct report *r, const struct stack *s, struct layer *layer,
                             uint32_t *nlayers)
{
    double v[REPORT_BINS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->names; i++)
        layer[i] = (struct layer){.name = s->name[i], .colour = i};
    layer[s->names] = (struct layer){.name = "others", .colour = REPORT_OTHERS};
    for (uint32_t k = 0; k < r->rec->nseries; k++) {
        const struct record_series *series = &r->rec->series[k];
        uint32_t i = 0;
        if (strcmp(series->group, s->group) != 0)
            continue;
        while (i < s->names && strcmp(series->name, s->name[i]) != 0)
            i++;
        n = report_bins(r, series, v);
        add_layer(&layer[i], v, n);
    }
    *nlayers = s->names + (s->all > s->names);
    return n;
}

static void stack_legend(struct chart *c, const struct stack *s, const struct layer *layer, uint32_t nlayers)
{
    chart_legend_open(c);
    for (uint32_t i = 0; i < nlayers; i++) {
        char more[32];
        struct buf text;
        buf_init(&text, 64);
        chart_count(&text, (uint64_t)llround(layer[i].mean));
        (void)snprintf(more, sizeof more, "%.*s", (int)text.len, text.len ? text.data : "");
        buf_fini(&text);
        chart_legend_entry(c, layer[i].colour, layer[i].name, more);
    }
    if (s->service)
        chart_legend_entry(c, 8, "in service", "");
    chart_legend_close(c);
}

static void draw_layers(struct chart *c, const struct layer *layer, uint32_t nlayers, uint32_t n)
{
    double below[REPORT_BINS] = {0}, above[REPORT_BINS];
    for (uint32_t i = 0; i < nlayers; i++) {
        char tip[128];
        for (uint32_t k = 0; k < n; k++)
            above[k] = below[k] + layer[i].v[k];
        (void)snprintf(tip, sizeof tip, "%s: %.0f on average", layer[i].name, layer[i].mean);
        chart_area(c, layer[i].colour, i ? below : NULL, above, n, tip);
        memcpy(below, above, n * sizeof below[0]);
    }
}

/* All chips that are in service. */
static void add_service(const struct report *r, double up[REPORT_BINS])
{
    double v[REPORT_BINS];
    for (uint32_t i = 0; i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        uint32_t n = strcmp(s->group, "vendor up") == 0 ? report_bins(r, s, v) : 0;
        for (uint32_t k = 0; k < n; k++)
            up[k] += v[k];
    }
}

static void draw_stack(const struct report *r, const struct stack *s)
{
    struct layer *layer = calloc(REPORT_COLOURS + 1, sizeof *layer);
    double up[REPORT_BINS] = {0};
    struct chart c;
    uint32_t nlayers, n;
    if (!layer)
        return;
    n = stack_layers(r, s, layer, &nlayers);
    add_service(r, up);
    chart_open(&c, r->out, s->id, s->title, s->unit, s->words);
    stack_legend(&c, s, layer, nlayers);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, report_most(up, n), 5), "");
    report_time_axis(r, &c);
    draw_layers(&c, layer, nlayers, n);
    if (s->service)
        chart_line(&c, 8, NULL, up, n, "chips in service");
    report_drills(r, &c);
    chart_close(&c);
    free(layer);
}

static void draw_jurisdictions(const struct report *r)
{
    const char *name[REPORT_COLOURS];
    struct stack s = {.group = "jurisdiction up",
                      .id = "where",
                      .title = "Chips in service",
                      .unit = "by jurisdiction, with their mean",
                      .words = "",
                      .name = name};
    s.all = report_names(r, s.group, name, &s.names);
    draw_stack(r, &s);
}

static void draw_use(const struct report *r)
{
    bool work = r->result->starts > 0;
    const struct stack s = {.group = work ? "vendor" : "vendor up",
                            .id = "use",
                            .title = work ? "Chips in use" : "Chips in service",
                            .unit = r->nmakers > 1 ? "by maker, with their mean" : "",
                            .words = work ? "Coloured: in use. The line above: all chips that are in service."
                                          : "",
                            .name = r->vendor,
                            .names = r->nvendors,
                            .all = r->nmakers,
                            .service = work};
    draw_stack(r, &s);
}

/* ---- single series ---- */

static void draw_one(const struct report *r, const char *id, const char *title, const char *unit,
                     const char *words, const double *v, uint32_t n, unsigned colour)
{
    struct chart c;
    chart_open(&c, r->out, id, title, unit, words);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, report_most(v, n), 5), "");
    report_time_axis(r, &c);
    chart_area(&c, colour, NULL, v, n, title);
    report_drills(r, &c);
    chart_close(&c);
}

static void draw_network(const struct report *r, const char *name, const char *id, const char *title,
                         const char *unit, double scale, const char *format, unsigned colour)
{
    double v[REPORT_BINS];
    char words[128];
    uint32_t n = report_bins(r, record_find(r->rec, "network", name), v);
    for (uint32_t i = 0; i < n; i++)
        v[i] *= scale;
    struct buf figure, most;
    buf_init(&figure, 64);
    buf_init(&most, 64);
    chart_figure(&figure, mean(v, n));
    chart_figure(&most, report_most(v, n));
    (void)snprintf(words, sizeof words, "%s %.*s, at most %.*s", format, (int)figure.len, figure.data,
                   (int)most.len, most.data);
    buf_fini(&figure);
    buf_fini(&most);
    draw_one(r, id, title, unit, words, v, n, colour);
}

static void draw_queue(const struct report *r)
{
    double waiting[REPORT_BINS], running[REPORT_BINS];
    struct chart c;
    uint32_t n = report_bins(r, record_find(r->rec, "network", "waiting"), waiting);
    (void)report_bins(r, record_find(r->rec, "network", "running"), running);
    chart_open(&c, r->out, "queue", "Jobs", "running and waiting", "");
    chart_legend_open(&c);
    chart_legend_entry(&c, 0, "running", "");
    chart_legend_entry(&c, 5, "waiting", "");
    chart_legend_close(&c);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, fmax(report_most(waiting, n), report_most(running, n)), 5), "");
    report_time_axis(r, &c);
    chart_line(&c, 0, NULL, running, n, "running jobs");
    chart_line(&c, 5, NULL, waiting, n, "waiting jobs");
    report_drills(r, &c);
    chart_close(&c);
}

void report_time(const struct report *r)
{
    report_section(r, "use-section", r->result->starts > 0 ? "Use of the chips" : "Chips", "");
    buf_add_text(r->out, "<div class=\"pair\">\n");
    draw_use(r);
    if (r->result->starts > 0)
        draw_queue(r);
    else
        draw_jurisdictions(r);
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
    if (!world_network(r->world))
        return; /* isolated pools have no power worth telling */
    report_section(
        r, "power-section", "Power, money, carbon",
        "Idle chips draw power too. Money is what the power costs at each site's price of the hour.");
    buf_add_text(r->out, "<div class=\"pair\">\n");
    draw_network(r, "watts", "power", "Power of all sites", "MW", 1e-6, "On average", 0);
    draw_network(r, "money", "money", "Cost of power", "USD an hour", 1, "On average", 2);
    draw_network(r, "carbon", "carbon", "Emissions", "t CO2e an hour", 1e-6, "On average", 5);
    double watts[REPORT_BINS], carbon[REPORT_BINS];
    uint32_t n = report_bins(r, record_find(r->rec, "network", "watts"), watts);
    (void)report_bins(r, record_find(r->rec, "network", "carbon"), carbon);
    for (uint32_t i = 0; i < n; i++)
        carbon[i] = watts[i] > 0 ? carbon[i] / watts[i] * 1e3 : 0;
    draw_one(r, "intensity", "Carbon of the power that is used", "g CO2e/kWh",
             "Lower when work runs where and when power is clean.", carbon, n, 6);
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
}

/* ---- what others recorded ---- */

static double total(const struct report *r, const struct record_series *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < r->rec->n; i++)
        sum += s->value[i];
    return sum;
}

static uint32_t in_group(const struct report *r, const char *group)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->rec->nseries; i++)
        n += strcmp(r->rec->series[i].group, group) == 0;
    return n;
}

static void draw_alarms(const struct report *r, struct chart *c, const double *alarm, uint32_t n)
{
    double step = n ? (double)(r->to_ms - r->from_ms) / n : 0;
    for (uint32_t i = 0, from = 0; i < n; i++) {
        bool on = alarm[i] > 0, before = i > 0 && alarm[i - 1] > 0, after = i + 1 < n && alarm[i + 1] > 0;
        from = on && !before ? i : from;
        if (on && !after)
            chart_band(c, (double)r->from_ms + from * step, (double)r->from_ms + (i + 1) * step,
                       "alarm: the reserve does not cover the most severe loss");
    }
}

static void draw_reserve(const struct report *r)
{
    double v[REPORT_BINS], alarm[REPORT_BINS];
    const struct record_series *s = record_find(r->rec, RECORD_RESERVE, "coverage");
    uint32_t n = report_bins(r, s, v),
             alarms = report_bins(r, record_find(r->rec, RECORD_RESERVE, "alarm"), alarm);
    double least = n ? v[0] : 0;
    char words[160];
    struct chart c;
    if (n < 2)
        return;
    for (uint32_t i = 0; i < n; i++) {
        least = fmin(least, v[i]);
        v[i] *= 100;
    }
    report_section(
        r, "reserve-section", "N-1: what one loss would mean",
        "Share of the firm work that could be placed again after the loss of the one site, corridor or maker "
        "that would hurt most, at each moment.");
    (void)snprintf(words, sizeof words, "At its lowest %.1f %%; the alarm was on for %.1f %% of the time.",
                   100 * least, 100 * mean(alarm, alarms));
    buf_add_text(r->out, "<div class=\"pair\">\n");
    chart_open(&c, r->out, "reserve", "Firm work that could be placed again", "", words);
    chart_frame(&c);
    chart_y_axis(&c, (struct axis){0, 100, 20}, " %");
    report_time_axis(r, &c);
    draw_alarms(r, &c, alarm, alarms);
    chart_line(&c, 2, NULL, v, n, "share of firm work that could be placed again");
    report_drills(r, &c);
    chart_close(&c);
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
}

static int by_total(const void *a, const void *b)
{
    const struct layer *x = a, *y = b;
    return x->mean > y->mean ? -1 : x->mean < y->mean;
}

/* The series of a group, those with most first: their sum in `mean`. The caller frees it; NULL: out of memory. */
static struct layer *rank_group(const struct report *r, const char *group, double scale, uint32_t *count,
                                uint32_t *bins)
{
    struct layer *layer = calloc(in_group(r, group) + 1u, sizeof *layer);
    uint32_t k = 0;
    for (uint32_t i = 0; layer && i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        if (strcmp(s->group, group) != 0)
            continue;
        *bins = s->kind == RECORD_COUNT ? hourly(r, s, layer[k].v) : report_bins(r, s, layer[k].v);
        for (uint32_t b = 0; b < *bins; b++)
            layer[k].v[b] *= scale;
        layer[k].name = s->name;
        layer[k++].mean = total(r, s) * scale;
    }
    if (k > 0)
        qsort(layer, k, sizeof *layer, by_total);
    *count = k;
    return layer;
}

static void draw_lines(const struct report *r, const char *id, const char *title, const char *unit,
                       const struct layer *layer, uint32_t k, uint32_t bins)
{
    uint32_t shown = k < LINES_MAX ? k : LINES_MAX;
    double most = 0;
    struct chart c;
    for (uint32_t i = 0; i < shown; i++)
        most = fmax(most, report_most(layer[i].v, bins));
    chart_open(&c, r->out, id, title, unit, k > shown ? "Those with most." : "");
    chart_legend_open(&c);
    for (uint32_t i = 0; i < shown; i++)
        chart_legend_entry(&c, i, layer[i].name, "");
    chart_legend_close(&c);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, most, 5), "");
    report_time_axis(r, &c);
    for (uint32_t i = shown; i-- > 0;)
        chart_line(&c, i, NULL, layer[i].v, bins, layer[i].name);
    report_drills(r, &c);
    chart_close(&c);
}

static void draw_corridors(const struct report *r)
{
    uint32_t k = 0, bins = 0;
    double seconds = (double)(r->to_ms - r->from_ms) / 1e3;
    struct layer *layer = rank_group(r, RECORD_CORRIDOR, 1e-9, &k, &bins);
    if (layer && k > 0) {
        report_section(r, "corridor-section", "Corridors", "What went over the links between sites.");
        buf_add_text(r->out, "<div class=\"pair\">\n");
        draw_lines(r, "corridors", "Traffic", "GB an hour", layer, k, bins);
        buf_add_text(r->out,
                     "<div class=\"scroll\"><table><thead><tr><th>Corridor</th><th>TB</th><th>Gbit/s<br>on "
                     "average</th></tr></thead><tbody>\n");
        for (uint32_t i = 0; i < k && i < ROWS_MAX; i++) {
            buf_add_text(r->out, "<tr><th scope=\"row\">");
            chart_text(r->out, layer[i].name);
            buf_add_text(r->out, "</th><td>");
            chart_figure(r->out, layer[i].mean / 1e3);
            buf_add_text(r->out, "</td><td>");
            chart_figure(r->out, layer[i].mean * 8 / seconds);
            buf_add_text(r->out, "</td></tr>\n");
        }
        buf_add_text(r->out, "</tbody></table></div>\n</div>\n");
        report_section_end(r);
    }
    free(layer);
}

static void draw_serving(const struct report *r)
{
    uint32_t n = 0;
    if (!in_group(r, RECORD_SERVING))
        return;
    report_section(r, "serving-section", "Serving models", "");
    buf_add_text(r->out, "<div class=\"pair\">\n");
    for (uint32_t i = 0; i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        double v[REPORT_BINS];
        char id[32], unit[40];
        if (strcmp(s->group, RECORD_SERVING) != 0)
            continue;
        bool count = s->kind == RECORD_COUNT;
        uint32_t bins = count ? hourly(r, s, v) : report_bins(r, s, v);
        (void)snprintf(id, sizeof id, "serving-%u", n);
        (void)snprintf(unit, sizeof unit, "%s%s", s->unit, count ? " an hour" : "");
        draw_one(r, id, s->name, unit, "", v, bins, n++ % REPORT_COLOURS);
    }
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
}

static bool known(const char *group)
{
    static const char *const groups[] = {"network",       "vendor",       "vendor up",       "site",
                                         "site up",       "own chips",    "all chips",       "own gflops",
                                         "all gflops",    "jurisdiction", "jurisdiction up", RECORD_RESERVE,
                                         RECORD_CORRIDOR, RECORD_SERVING};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (strcmp(groups[i], group) == 0)
            return true;
    }
    return false;
}

/* Groups that nobody here knows, each as lines, where its first series stands. */
static void draw_unknown(const struct report *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        uint32_t first = 0, k = 0, bins = 0;
        char id[32], unit[40];
        while (strcmp(r->rec->series[first].group, s->group) != 0)
            first++;
        if (first < i || known(s->group))
            continue;
        if (n == 0) {
            report_section(r, "more-section", "More", "");
            buf_add_text(r->out, "<div class=\"pair\">\n");
        }
        struct layer *layer = rank_group(r, s->group, 1, &k, &bins);
        (void)snprintf(id, sizeof id, "more-%u", n++);
        (void)snprintf(unit, sizeof unit, "%s%s", s->unit, s->kind == RECORD_COUNT ? " an hour" : "");
        if (layer)
            draw_lines(r, id, s->group, unit, layer, k, bins);
        free(layer);
    }
    if (n > 0) {
        buf_add_text(r->out, "</div>\n");
        report_section_end(r);
    }
}

void report_more(const struct report *r)
{
    draw_reserve(r);
    draw_corridors(r);
    draw_serving(r);
    draw_unknown(r);
}
