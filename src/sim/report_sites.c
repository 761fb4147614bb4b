/* SPDX-License-Identifier: Apache-2.0 */
/* Where: the map, the merit order, the sites one by one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "network/netmap.h"
#include "sim/report_parts.h"

/* ---- sites ---- */

/* Over the whole run. */
struct place {
    const struct stock_site *site;
    double up, most, busy; /* chips: mean and most in service, mean in use */
    struct power_sum power;
};

/* The mean over the run. */
static double mean_of(const struct report *r, const char *group, const char *name, double *most)
{
    const struct record_series *s = record_find(r->rec, group, name);
    double sum = 0;
    *most = 0;
    for (uint32_t i = 0; s && i < r->rec->n; i++) {
        sum += s->value[i];
        *most = fmax(*most, s->value[i]);
    }
    return r->rec->n ? sum / r->rec->n : 0;
}

static int by_energy(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->power.joules != y->power.joules)
        return x->power.joules > y->power.joules ? -1 : 1;
    return strcmp(x->site->name, y->site->name);
}

static uint32_t list_places(const struct report *r, struct place *list)
{
    const struct stock *f = r->watch->stock;
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->nsites; i++) {
        double most;
        struct place *p = &list[n];
        p->site = &f->site[i];
        p->busy = mean_of(r, "site", f->site[i].name, &most);
        p->up = mean_of(r, "site up", f->site[i].name, &p->most);
        p->power = power_site(r->watch->power, &f->site[i].id);
        n += p->most > 0;
    }
    if (n)
        qsort(list, n, sizeof *list, by_energy);
    return n;
}

static double used(const struct place *p)
{
    return p->up > 0 ? fmin(1, p->busy / p->up) : 0;
}

static void add_place(const struct report *r, const struct place *p, double most)
{
    double kwh = (double)p->power.joules / 3.6e6, mwh = kwh / 1e3;
    buf_add_text(r->out, "<tr><th scope=\"row\">");
    chart_text(r->out, world_title(r->world, p->site->name));
    buf_add_text(r->out, "</th><td class=\"t\">");
    chart_text(r->out, p->site->jurisdiction);
    buf_add_text(r->out, "</td><td>");
    chart_count(r->out, (uint64_t)llround(p->most));
    buf_addf(r->out, "</td><td>%.1f %%<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span></td><td>",
             100 * used(p), 100 * used(p));
    chart_count(r->out, (uint64_t)llround(mwh));
    buf_addf(r->out, "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span></td><td>",
             most > 0 ? 100 * (double)p->power.joules / most : 0);
    chart_count(r->out, (uint64_t)llround(fmax(0, (double)p->power.nano / 1e9)));
    buf_addf(r->out, "</td><td>%.0f</td><td>", mwh > 0 ? (double)p->power.nano / 1e9 / mwh : 0);
    chart_figure(r->out, (double)p->power.mg / 1e9);
    buf_addf(r->out, "</td><td>%.0f</td></tr>\n", kwh > 0 ? (double)p->power.mg / 1e3 / kwh : 0);
}

void report_sites(const struct report *r)
{
    struct place *list = calloc(r->watch->stock->nsites + 1u, sizeof *list);
    if (!list)
        return;
    uint32_t n = list_places(r, list);
    const struct sim_result *s = r->result;
    double mwh = (double)s->joules / 3.6e9;
    report_section(r, "sites-section", "Energy by site", "Those that draw most come first.");
    buf_add_text(
        r->out,
        "<div class=\"scroll\"><table><thead><tr><th>Site</th><th "
        "class=\"t\">In</th><th>Chips</th><th>Used</th>"
        "<th>MWh</th><th>USD</th><th>USD/MWh</th><th>t CO2e</th><th>g/kWh</th></tr></thead><tbody>\n");
    for (uint32_t i = 0; i < n; i++)
        add_place(r, &list[i], (double)list[0].power.joules);
    buf_add_text(r->out, "</tbody><tfoot><tr><th scope=\"row\">Network</th><td></td><td>");
    chart_count(r->out, r->chips);
    buf_add_text(r->out, "</td><td></td><td>");
    chart_count(r->out, (uint64_t)llround(mwh));
    buf_add_text(r->out, "<span class=\"bar\" style=\"visibility:hidden\"></span></td><td>");
    chart_count(r->out, (uint64_t)llround(fmax(0, (double)s->nano / 1e9)));
    buf_addf(r->out, "</td><td>%.0f</td><td>", mwh > 0 ? (double)s->nano / 1e9 / mwh : 0);
    chart_figure(r->out, (double)s->mg / 1e9);
    buf_addf(r->out, "</td><td>%.0f</td></tr></tfoot></table></div>\n",
             mwh > 0 ? (double)s->mg / 1e6 / mwh : 0);
    report_section_end(r);
    free(list);
}

/* ---- the merit order ---- */

struct block {
    uint32_t pool;
    double cost, wide; /* USD; chips or PFLOPS */
};

struct merit_chart {
    const char *id, *title, *unit, *words;
    bool by_flops;
};

static int by_cost(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->cost < y->cost || x->cost > y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->pool < y->pool ? -1 : x->pool > y->pool;
}

static void draw_blocks(const struct report *r, struct chart *c, const struct block *list, uint32_t n,
                        const struct merit_chart *m)
{
    const struct stock *f = r->watch->stock;
    double at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct stock_pool *p = &f->pool[list[i].pool];
        char tip[256];
        (void)snprintf(tip, sizeof tip, "%s at %s: %.*f %s, %.3f %s", f->kind[p->kind].name,
                       world_title(r->world, f->site[p->site].name), m->by_flops ? 1 : 0, list[i].wide,
                       m->by_flops ? "PFLOPS" : "chips", list[i].cost, m->unit);
        chart_block(c, report_colour(r, f->kind[p->kind].vendor), at, at + list[i].wide, list[i].cost, tip);
        at += list[i].wide;
    }
}

/* What all but the dearest hundredth cost at most. */
static double usual_cost(const struct block *list, uint32_t n, double wide)
{
    double at = 0;
    uint32_t i = 0;
    while (i + 1 < n && (at += list[i].wide) < 0.99 * wide)
        i++;
    return list[i].cost;
}

static void draw_merit(const struct report *r, const struct merit_chart *m, const struct block *list,
                       uint32_t n)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    struct chart c;
    double wide = 0, most = 0;
    uint32_t ticks = 0;
    for (uint32_t i = 0; i < n; i++) {
        wide += list[i].wide;
        most = fmax(most, list[i].cost);
    }
    struct axis axis = axis_round(0, wide, 5);
    double usual = n ? usual_cost(list, n, wide) : 0;
    char words[200];
    bool cut = most > 3 * usual;
    (void)snprintf(words, sizeof words, cut ? "%s The dearest few reach %.1f." : "%s", m->words, most);
    most = cut ? 1.5 * usual : most;
    chart_open(&c, r->out, m->id, m->title, m->unit, words);
    chart_legend_open(&c);
    for (uint32_t i = 0; i < r->nvendors; i++)
        chart_legend_entry(&c, report_colour(r, r->vendor[i]), r->vendor[i], "");
    if (r->nmakers > r->nvendors)
        chart_legend_entry(&c, REPORT_OTHERS, "others", "");
    chart_legend_close(&c);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, most, 5), "");
    for (double v = axis.lo; v <= axis.hi * 1.0001 && ticks < AXIS_TICKS_MAX; v += axis.step, ticks++) {
        tick[ticks].at = v;
        axis_label(tick[ticks].text, &axis, v);
    }
    chart_x_axis(&c, tick, ticks, axis.lo, axis.hi, false);
    draw_blocks(r, &c, list, n, m);
    chart_close(&c);
}

static void rank(const struct report *r, const struct merit_chart *m, struct block *list)
{
    const struct stock *f = r->watch->stock;
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->npools && i < r->watch->npools; i++) {
        const struct watch_pool *p = &r->watch->pool[i];
        const struct stock_pool *pool = &f->pool[i];
        double chips = (double)pool->nodes * pool->node_chips,
               each = (double)f->kind[pool->kind].gflops / 1e6;
        double cost = p->n ? p->cost / (double)p->n / 1e9 : 0;
        if (m->by_flops && each <= 0)
            continue;
        list[n++] = (struct block){
            .pool = i, .cost = m->by_flops ? cost / each : cost, .wide = m->by_flops ? chips * each : chips};
    }
    if (n == 0)
        return;
    qsort(list, n, sizeof *list, by_cost);
    draw_merit(r, m, list, n);
}

void report_merit(const struct report *r)
{
    static const struct merit_chart merits[] = {
        {"merit", "An hour of a chip", "USD an hour",
         "From left to right: so many chips, the cheap ones first.", false},
        {"merit-flops", "An hour of a PFLOPS", "USD an hour",
         "The same by what chips achieve: so many PFLOPS (dense FP16), the cheap ones first.", true}};
    struct block *list = world_network(r->world) ? calloc(r->watch->stock->npools + 1u, sizeof *list) : NULL;
    if (!list)
        return;
    report_section(
        r, "merit-section", "Merit order",
        "As power plants are called in order of what a kilowatt-hour costs, so are chips: hire, power and "
        "carbon price at their site, as a mean over the run. A block is a pool.");
    buf_add_text(r->out, "<div class=\"pair\">\n");
    for (int i = 0; i < 2; i++)
        rank(r, &merits[i], list);
    buf_add_text(r->out, "</div>\n");
    report_section_end(r);
    free(list);
}

/* ---- the map ---- */

struct map_ctx {
    const struct place *list;
    uint32_t n;
    char text[96];
};

/* From sand over green to indigo: the darker the busier, for the colour-blind too. */
static void shade(char dst[8], double part)
{
    static const int stops[][3] = {
        {0xf2, 0xd2, 0x6b}, {0x54, 0xae, 0x92}, {0x22, 0x5e, 0x9c}, {0x2a, 0x1a, 0x5e}};
    double at = fmax(0, fmin(1, part)) * 3;
    int i = at >= 3 ? 2 : (int)at;
    double t = at - i;
    unsigned v[3];
    for (int k = 0; k < 3; k++)
        v[k] = (unsigned)lround(stops[i][k] + t * (stops[i + 1][k] - stops[i][k])) & 0xff;
    (void)snprintf(dst, 8, "#%02x%02x%02x", v[0], v[1], v[2]);
}

static void mark(void *ctx, const struct net_site *site, struct netmap_mark *out)
{
    struct map_ctx *m = ctx;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct place *p = &m->list[i];
        if (strcmp(p->site->name, site->name) != 0)
            continue;
        out->chips = p->most;
        shade(out->colour, used(p));
        (void)snprintf(m->text, sizeof m->text, "in use: %.1f %% of at most %.0f chips; %.0f MWh",
                       100 * used(p), p->most, (double)p->power.joules / 3.6e9);
        out->text = m->text;
        return;
    }
}

static void add_ramp(struct buf *out)
{
    buf_add_text(
        out, "<div class=\"ramp\"><span>Chips in use: 0 %</span><i style=\"background:linear-gradient(90deg");
    for (int i = 0; i <= 6; i++) {
        char colour[8];
        shade(colour, i / 6.0);
        buf_addf(out, ",%s", colour);
    }
    buf_add_text(out, ")\"></i><span>100 %</span><span>· area: chips · lines: corridors</span></div>\n");
}

static void draw_map(const struct report *r, const struct netfile *nf, const char *land, struct map_ctx *ctx)
{
    report_section(r, "map-section", "The network", "");
    buf_add_text(
        r->out,
        "<figure class=\"wide\"><figcaption><b id=\"world-t\">Sites of the network</b></figcaption>\n");
    add_ramp(r->out);
    netmap_frame(nf, land, "world", false, mark, ctx, r->out);
    buf_add_text(r->out, "</figure>\n");
    if (netfile_sites(nf) >= 12) {
        buf_add_text(r->out,
                     "<figure class=\"wide\"><figcaption><b id=\"near-t\">Where most sites are, from near</b>"
                     "</figcaption>\n");
        netmap_frame(nf, land, "near", true, mark, ctx, r->out);
        buf_add_text(r->out, "</figure>\n");
    }
    report_section_end(r);
}

void report_map(const struct report *r)
{
    const struct netfile *nf = world_network(r->world);
    struct place *list = nf ? calloc(r->watch->stock->nsites + 1u, sizeof *list) : NULL;
    char share[FS_PATH_MAX], path[FS_PATH_MAX], *land = NULL;
    struct buf text;
    if (!list)
        return;
    struct map_ctx ctx = {.list = list, .n = list_places(r, list)};
    buf_init(&text, NETMAP_LAND_MAX);
    /* The land is an ornament: without it the map is drawn all the same. */
    if (fs_share(share) && fs_join(path, share, "network/land.txt") && fs_read(path, &text, NULL) == 0)
        land = buf_take(&text);
    draw_map(r, nf, land && netmap_land_valid(land) ? land : NULL, &ctx);
    free(land);
    buf_fini(&text);
    free(list);
}
