/* SPDX-License-Identifier: Apache-2.0 */
#include "network/netmap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network/decimal.h"
#include "network/mapkey.h"

#define MARGIN 40.0
#define WORLD_TOP 104.0
#define WORLD_H 576.0
#define ROW_TOP (WORLD_TOP + WORLD_H + 44.0)
#define ROW_H 452.0
#define NEAR_W 1010.0
#define NEAR_LON 31.0 /* half of what the near frame may span, degrees */
#define NEAR_LAT 16.0
#define ARC_STEPS 32
#define LABELS_MAX (2 * NET_SITES_MAX)

struct point {
    double x, y;
};

/* A rectangle of the picture and the part of the world that it shows. */
struct frame {
    const char *id;
    double x, y, w, h;
    double west, north; /* degrees */
    double scale;       /* units of the picture for a degree */
    double circle;      /* radius of a site of one chip */
    double circle_min;
    double line;          /* of corridors, beside that of the world */
    netmap_mark_fn *mark; /* NULL: sites look as the network file says */
    void *ctx;
};

/* What no label may cover. */
struct box {
    double x0, y0, x1, y1;
};

struct labels {
    struct box box[LABELS_MAX];
    uint32_t n;
};

bool netmap_land_valid(const char *land)
{
    return land[strspn(land, "MmLlHhVvZz0123456789.-, \n")] == 0 && strlen(land) <= NETMAP_LAND_MAX;
}

static double degrees(struct figure figure)
{
    return (double)figure.v / 1e6;
}

static struct point project(const struct frame *f, double lon, double lat)
{
    return (struct point){f->x + (lon - f->west) * f->scale, f->y + (f->north - lat) * f->scale};
}

static struct point site_point(const struct frame *f, const struct net_site *s)
{
    return project(f, degrees(s->lon), degrees(s->lat));
}

static bool inside(const struct frame *f, struct point p, double border)
{
    return p.x >= f->x + border && p.x <= f->x + f->w - border && p.y >= f->y + border &&
           p.y <= f->y + f->h - border;
}

/* ---- which part is worth a nearer look ---- */

static bool near_to(const struct net_site *a, const struct net_site *b)
{
    return fabs(degrees(a->lon) - degrees(b->lon)) <= NEAR_LON &&
           fabs(degrees(a->lat) - degrees(b->lat)) <= NEAR_LAT;
}

static uint32_t most_neighbours(const struct netfile *nf)
{
    uint32_t best = 0, best_n = 0;
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        uint32_t n = 0;
        for (uint32_t k = 0; k < netfile_sites(nf); k++)
            n += near_to(netfile_site(nf, i), netfile_site(nf, k));
        if (n > best_n) {
            best = i;
            best_n = n;
        }
    }
    return best;
}

static struct frame near_frame(const struct netfile *nf)
{
    const struct net_site *centre = netfile_site(nf, most_neighbours(nf));
    double west = 180, east = -180, south = 90, north = -90;
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        const struct net_site *s = netfile_site(nf, i);
        if (!near_to(centre, s))
            continue;
        west = fmin(west, degrees(s->lon));
        east = fmax(east, degrees(s->lon));
        south = fmin(south, degrees(s->lat));
        north = fmax(north, degrees(s->lat));
    }
    double lon = fmax(east - west, 4) * 1.12 + 2, lat = fmax(north - south, 3) * 1.12 + 2;
    struct frame f = {.id = "near",
                      .x = MARGIN,
                      .y = ROW_TOP,
                      .w = NEAR_W,
                      .h = ROW_H,
                      .circle = 0.2,
                      .circle_min = 4,
                      .line = 1.3};
    f.scale = fmin(f.w / lon, f.h / lat);
    f.west = (west + east) / 2 - f.w / f.scale / 2;
    f.north = (south + north) / 2 + f.h / f.scale / 2;
    return f;
}

/* ---- land and graticule ---- */

static void draw_ground(struct buf *out, const struct frame *f, bool land)
{
    buf_addf(out,
             "<rect class=\"sea\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"10\"/>\n"
             "<g clip-path=\"url(#clip-%s)\">\n",
             f->x, f->y, f->w, f->h, f->id);
    if (land)
        buf_addf(out, "<use href=\"#land\" transform=\"translate(%.2f %.2f) scale(%.4f)\"/>\n",
                 f->x + (-180 - f->west) * f->scale, f->y + (f->north - 78) * f->scale, 0.36 * f->scale);
    int step = f->scale > 12 ? 10 : 30;
    buf_add_text(out, "<path class=\"graticule\" d=\"");
    for (int lon = -180; lon <= 180; lon += step) {
        struct point p = project(f, lon, 0);
        if (p.x > f->x && p.x < f->x + f->w)
            buf_addf(out, "M%.1f %.1fv%.1f", p.x, f->y, f->h);
    }
    for (int lat = -60; lat <= 80; lat += step) {
        struct point p = project(f, 0, lat);
        if (p.y > f->y && p.y < f->y + f->h)
            buf_addf(out, "M%.1f %.1fh%.1f", f->x, p.y, f->w);
    }
    buf_add_text(out, "\"/>\n");
}

/* ---- corridors ---- */

struct vector {
    double x, y, z;
};

static struct vector on_sphere(const struct net_site *s)
{
    double lat = degrees(s->lat) * M_PI / 180, lon = degrees(s->lon) * M_PI / 180;
    return (struct vector){cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)};
}

/* From one side of the world's frame to the other: to its edge, and on from the opposite one. */
static void cross_edge(struct buf *out, const struct frame *f, double lon, double lat, double next_lon,
                       double next_lat)
{
    double edge = lon > 0 ? 180 : -180;
    double part = (edge - lon) / (next_lon + 2 * edge - lon);
    double at = lat + (next_lat - lat) * part;
    struct point a = project(f, edge, at), b = project(f, -edge, at);
    buf_addf(out, "L%.1f %.1fM%.1f %.1f", a.x, a.y, b.x, b.y);
}

/* The great circle. */
static void draw_arc(struct buf *out, const struct frame *f, const struct net_site *a,
                     const struct net_site *b)
{
    struct vector u = on_sphere(a), v = on_sphere(b);
    double angle = acos(fmax(-1, fmin(1, u.x * v.x + u.y * v.y + u.z * v.z)));
    double before_lon = 0, before_lat = 0;
    for (int i = 0; i <= ARC_STEPS; i++) {
        double t = (double)i / ARC_STEPS;
        double p = angle > 1e-6 ? sin((1 - t) * angle) / sin(angle) : 1 - t;
        double q = angle > 1e-6 ? sin(t * angle) / sin(angle) : t;
        struct vector w = {u.x * p + v.x * q, u.y * p + v.y * q, u.z * p + v.z * q};
        double lon = atan2(w.y, w.x) * 180 / M_PI;
        double lat = atan2(w.z, sqrt(w.x * w.x + w.y * w.y)) * 180 / M_PI;
        struct point at = project(f, lon, lat);
        if (i > 0 && fabs(lon - before_lon) > 180)
            cross_edge(out, f, before_lon, before_lat, lon, lat);
        buf_addf(out, "%s%.1f %.1f", i == 0 ? "M" : "L", at.x, at.y);
        before_lon = lon;
        before_lat = lat;
    }
}

static void draw_corridors(const struct netfile *nf, struct buf *out, const struct frame *f)
{
    for (uint32_t i = 0; i < netfile_corridors(nf); i++) {
        const struct net_corridor *c = netfile_corridor(nf, i);
        const struct net_site *a = netfile_site(nf, c->a), *b = netfile_site(nf, c->b);
        if (!inside(f, site_point(f, a), -400) && !inside(f, site_point(f, b), -400))
            continue;
        buf_addf(out, "<path class=\"corridor%s\" stroke-width=\"%.2f\" d=\"",
                 c->lawful == LAWFUL_DENY ? " denied" : "", mapkey_width(c->gbit_s.v) * f->line);
        draw_arc(out, f, a, b);
        buf_addf(out, "\"><title>%s - %s\n", a->name, b->name);
        decimal_add(out, c->gbit_s.v, 3);
        buf_add_text(out, " Gbit/s, ");
        decimal_add(out, c->rtt_ms.v, 3);
        buf_addf(out, " ms round trip%s</title></path>\n",
                 c->lawful == LAWFUL_DENY ? ", denied unless a rule allows it" : "");
    }
}

/* ---- sites ---- */

static struct netmap_mark mark_of(const struct frame *f, const struct net_site *s)
{
    struct netmap_mark mark = {.chips = s->chips};
    if (f->mark)
        f->mark(f->ctx, s, &mark);
    return mark;
}

static double radius(const struct frame *f, const struct net_site *s)
{
    struct netmap_mark mark = mark_of(f, s);
    return fmax(f->circle * sqrt(mark.chips), f->circle_min);
}

static void draw_tooltip(const struct netfile *nf, struct buf *out, const struct net_site *s,
                         const char *more)
{
    buf_add_text(out, "<title>");
    mapkey_text(out, s->title[0] ? s->title : s->name);
    buf_addf(out, " (%s), %s\n", s->name, s->jurisdiction);
    mapkey_count(out, s->chips);
    buf_add_text(out, " chips");
    for (uint32_t i = 0; i < s->pools; i++) {
        const struct net_pool *p = netfile_pool(nf, s->pool + i);
        buf_addf(out, "%s %lld %s", i ? "," : ":", (long long)p->chips.v, p->chip_name);
    }
    buf_addf(out, "\n%.1f MW with PUE ", (double)net_site_watts(s) / 1e6);
    decimal_add(out, s->pue.v, 3);
    buf_addf(out, "\n%.0f USD/MWh, %.0f g CO2e/kWh, %.0f %% renewable", (double)s->price_usd_mwh.v / 1e6,
             (double)s->carbon_g_kwh.v / 1e3, (double)s->renewable.v / 10);
    if (more) {
        buf_add_char(out, '\n');
        mapkey_text(out, more);
    }
    buf_add_text(out, "</title>");
}

static int by_chips(const void *a, const void *b)
{
    const struct net_site *x = *(const struct net_site *const *)a, *y = *(const struct net_site *const *)b;
    if (x->chips != y->chips)
        return x->chips > y->chips ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The largest first, so that none lies under another whole. Returns how many are in the frame. */
static uint32_t order_sites(const struct netfile *nf, const struct frame *f,
                            const struct net_site *list[NET_SITES_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        const struct net_site *s = netfile_site(nf, i);
        if (inside(f, site_point(f, s), 0))
            list[n++] = s;
    }
    if (n)
        qsort(list, n, sizeof list[0], by_chips);
    return n;
}

static void draw_sites(const struct netfile *nf, struct buf *out, const struct frame *f)
{
    const struct net_site *list[NET_SITES_MAX];
    uint32_t n = order_sites(nf, f, list);
    for (uint32_t i = 0; i < n; i++) {
        struct point p = site_point(f, list[i]);
        buf_addf(out, "<circle class=\"site\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"", p.x, p.y,
                 radius(f, list[i]));
        struct netmap_mark mark = mark_of(f, list[i]);
        if (mark.colour[0])
            buf_add_text(out, mark.colour);
        else
            mapkey_colour(out, (double)list[i]->carbon_g_kwh.v / 1000);
        buf_add_text(out, "\">");
        draw_tooltip(nf, out, list[i], mark.text);
        buf_add_text(out, "</circle>\n");
    }
}

/* ---- labels ---- */

static bool overlaps(const struct labels *labels, const struct box *b)
{
    for (uint32_t i = 0; i < labels->n; i++) {
        const struct box *o = &labels->box[i];
        if (b->x0 < o->x1 && o->x0 < b->x1 && b->y0 < o->y1 && o->y0 < b->y1)
            return true;
    }
    return false;
}

static void keep_free(struct labels *labels, struct box box)
{
    if (labels->n < LABELS_MAX)
        labels->box[labels->n++] = box;
}

/* What a map calls a site: its title without what is in brackets. */
static size_t label_len(const char *title)
{
    size_t n = strcspn(title, "(");
    while (n > 0 && title[n - 1] == ' ')
        n--;
    return n;
}

/* Beside, above or below its circle, where it covers nothing; else it has its tooltip only. */
static void draw_label(struct buf *out, const struct frame *f, struct labels *labels,
                       const struct net_site *s)
{
    static const struct {
        double x, y;
        const char *anchor;
    } places[] = {{1, 0, "start"},      {-1, 0, "end"},      {0, -1, "middle"},   {0, 1, "middle"},
                  {0.8, -0.8, "start"}, {0.8, 0.8, "start"}, {-0.8, -0.8, "end"}, {-0.8, 0.8, "end"}};
    const char *title = s->title[0] ? s->title : s->name;
    size_t len = label_len(title);
    struct point p = site_point(f, s);
    double r = radius(f, s), width = 6.1 * (double)mapkey_letters(title, len) + 2;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        double x = p.x + places[i].x * (r + 4), y = p.y + places[i].y * (r + 8) + 4;
        double left = places[i].anchor[0] == 's' ? x : places[i].anchor[0] == 'e' ? x - width : x - width / 2;
        struct box box = {left, y - 10, left + width, y + 3};
        struct point a = {box.x0, box.y0}, b = {box.x1, box.y1};
        if (!inside(f, a, 3) || !inside(f, b, 3) || overlaps(labels, &box))
            continue;
        keep_free(labels, box);
        buf_addf(out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y,
                 places[i].anchor);
        mapkey_text_len(out, title, len);
        buf_add_text(out, "</text>\n");
        return;
    }
}

static void draw_labels(const struct netfile *nf, struct buf *out, const struct frame *f,
                        const struct frame *without)
{
    struct labels *labels = calloc(1, sizeof *labels);
    const struct net_site *list[NET_SITES_MAX];
    uint32_t n = order_sites(nf, f, list);
    if (!labels)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct point p = site_point(f, list[i]);
        double r = radius(f, list[i]);
        keep_free(labels, (struct box){p.x - r, p.y - r, p.x + r, p.y + r});
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!without || !inside(without, site_point(without, list[i]), 0))
            draw_label(out, f, labels, list[i]);
    }
    free(labels);
}

/* ---- the whole ---- */

static void draw_frame(const struct netfile *nf, struct buf *out, const struct frame *f, const char *land)
{
    draw_ground(out, f, land != NULL);
    draw_corridors(nf, out, f);
    draw_sites(nf, out, f);
}

static void draw_clip(struct buf *out, const struct frame *f)
{
    buf_addf(out,
             "<clipPath id=\"clip-%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"10\"/>"
             "</clipPath>\n",
             f->id, f->x, f->y, f->w, f->h);
}

void netmap_draw(const struct netfile *nf, const char *land, struct buf *out)
{
    struct frame world = {.id = "world",
                          .x = MARGIN,
                          .y = WORLD_TOP,
                          .w = MAP_W - 2 * MARGIN,
                          .h = WORLD_H,
                          .west = -180,
                          .north = 78,
                          .circle = 0.125,
                          .circle_min = 3,
                          .line = 1};
    world.scale = world.w / 360;
    struct frame near_view = near_frame(nf);
    struct frame key = {.x = MARGIN + NEAR_W + 28, .y = ROW_TOP, .w = MAP_W - 2 * MARGIN - NEAR_W - 28};
    mapkey_open(nf, out, ROW_TOP + ROW_H + MARGIN);
    draw_clip(out, &world);
    draw_clip(out, &near_view);
    if (land)
        buf_addf(out, "<path id=\"land\" class=\"land\" d=\"%s\"/>\n", land);
    buf_add_text(out, "</defs>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n");
    mapkey_title(nf, out, MARGIN);
    draw_frame(nf, out, &world, land);
    struct point a = project(&world, near_view.west, near_view.north);
    double factor = world.scale / near_view.scale;
    buf_addf(out, "<rect class=\"window\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\"/>\n",
             a.x, a.y, near_view.w * factor, near_view.h * factor);
    draw_labels(nf, out, &world, &near_view);
    buf_add_text(out, "</g>\n");
    draw_frame(nf, out, &near_view, land);
    draw_labels(nf, out, &near_view, NULL);
    buf_add_text(out, "</g>\n");
    mapkey_draw(nf, out, key.x, key.y, key.w);
    buf_add_text(out, "</svg>\n");
}

void netmap_frame(const struct netfile *nf, const char *land, const char *id, bool near, netmap_mark_fn *mark,
                  void *ctx, struct buf *out)
{
    struct frame f = {.id = id, .west = -180, .north = 78, .circle = 0.115, .circle_min = 3, .line = 1};
    if (near) {
        f = near_frame(nf);
        double middle = f.west + f.w / f.scale / 2, height = NETMAP_WORLD_H / f.scale;
        f.id = id;
        f.north -= (f.h / f.scale - height) / 2;
        f.west = middle - NETMAP_WORLD_W / f.scale / 2;
    }
    f.x = f.y = 0;
    f.w = NETMAP_WORLD_W;
    f.h = NETMAP_WORLD_H;
    f.scale = near ? f.scale : f.w / 360;
    f.mark = mark;
    f.ctx = ctx;
    buf_addf(out,
             "<svg class=\"map\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t\" "
             "xmlns=\"http://www.w3.org/2000/svg\">\n<defs>",
             f.w, f.h, id);
    draw_clip(out, &f);
    if (land && !near)
        buf_addf(out, "<path id=\"land\" class=\"land\" d=\"%s\"/>", land);
    buf_add_text(out, "</defs>\n");
    draw_frame(nf, out, &f, land);
    draw_labels(nf, out, &f, NULL);
    buf_add_text(out, "</g>\n</svg>\n");
}
