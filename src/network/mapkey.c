/* SPDX-License-Identifier: Apache-2.0 */
#include "network/mapkey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VENDORS_SHOWN 9u
#define JURISDICTIONS_SHOWN 3u

/* clang-format off */
static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1d2733}\n"
    ".page{fill:#ffffff}.sea{fill:#eef3f7}.land{fill:#d9d7cf}\n"
    ".graticule{fill:none;stroke:#8fa3b5;stroke-opacity:.28;stroke-width:.7}\n"
    ".corridor{fill:none;stroke:#33507a;stroke-opacity:.5;stroke-linecap:round}\n"
    ".corridor:hover{stroke:#d6336c;stroke-opacity:1}.denied{stroke:#8a2f5f;stroke-dasharray:1.5 5}\n"
    ".site{stroke:#ffffff;stroke-width:1.1;fill-opacity:.93}.site:hover{stroke:#1d2733;stroke-width:2}\n"
    ".label{font-size:11px;paint-order:stroke;stroke:#ffffff;stroke-width:3px;stroke-opacity:.8;"
    "stroke-linejoin:round}\n"
    ".window{fill:none;stroke:#1d2733;stroke-opacity:.45;stroke-dasharray:4 4}\n"
    ".title{font-size:26px;font-weight:600}.sub{font-size:15px;fill:#566575}\n"
    ".head{font-size:13px;font-weight:600}.small{font-size:12px;fill:#566575}\n"
    ".ring{fill:none;stroke:#566575;stroke-width:1.2}.bar{fill:#33507a}.track{fill:#e3e9ef}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e4e9ee}.page{fill:#10161d}.sea{fill:#18212b}.land{fill:#313c47}\n"
    ".graticule{stroke:#5b6f82;stroke-opacity:.25}.corridor{stroke:#9db8de}.denied{stroke:#e08ab4}\n"
    ".site{stroke:#10161d}.label{stroke:#10161d}.window{stroke:#e4e9ee}.site:hover{stroke:#fff}\n"
    ".sub,.small{fill:#9aa8b6}.ring{stroke:#9aa8b6}.bar{fill:#9db8de}.track{fill:#26313c}}\n"
    "</style>\n";
/* clang-format on */

/* ---- pieces ---- */

void mapkey_text_len(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '&':
            buf_add_text(out, "&amp;");
            break;
        case '<':
            buf_add_text(out, "&lt;");
            break;
        case '>':
            buf_add_text(out, "&gt;");
            break;
        case '"':
            buf_add_text(out, "&quot;");
            break;
        default:
            buf_add_char(out, text[i]);
        }
    }
}

void mapkey_text(struct buf *out, const char *text)
{
    mapkey_text_len(out, text, strlen(text));
}

size_t mapkey_letters(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

void mapkey_count(struct buf *out, uint64_t n)
{
    if (n >= 1000) {
        mapkey_count(out, n / 1000);
        buf_addf(out, ",%03u", (unsigned)(n % 1000));
    } else {
        buf_add_u64(out, n);
    }
}

double mapkey_width(int64_t mbit_s)
{
    return 0.7 + 0.36 * fmax(0, log2((double)mbit_s / 10000));
}

void mapkey_colour(struct buf *out, double g_kwh)
{
    static const struct {
        double at;
        int r, g, b;
    } stops[] = {{0, 0x22, 0x72, 0xb4},
                 {150, 0x5a, 0xaf, 0xd0},
                 {350, 0xf3, 0xcf, 0x63},
                 {550, 0xee, 0x84, 0x45},
                 {750, 0xb6, 0x24, 0x2c}};
    const int last = (int)(sizeof stops / sizeof stops[0]) - 1;
    int i = 0;
    while (i < last - 1 && g_kwh > stops[i + 1].at)
        i++;
    double t = fmax(0, fmin(1, (g_kwh - stops[i].at) / (stops[i + 1].at - stops[i].at)));
    int r = (int)lround(stops[i].r + t * (stops[i + 1].r - stops[i].r));
    int g = (int)lround(stops[i].g + t * (stops[i + 1].g - stops[i].g));
    int b = (int)lround(stops[i].b + t * (stops[i + 1].b - stops[i].b));
    buf_addf(out, "#%02x%02x%02x", (unsigned)r, (unsigned)g, (unsigned)b);
}

/* ---- the start ---- */

void mapkey_open(const struct netfile *nf, struct buf *out, double height)
{
    buf_addf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
             "height=\"%.0f\" role=\"img\">\n<title>",
             MAP_W, height, MAP_W, height);
    mapkey_text(out, netfile_about(nf)[0] ? netfile_about(nf) : "A network of AI computing power");
    buf_add_text(out, "</title>\n");
    buf_add_text(out, style);
    buf_add_text(out, "<defs>\n<linearGradient id=\"carbon\">");
    for (int i = 0; i <= 10; i++) {
        buf_addf(out, "<stop offset=\"%d%%\" stop-color=\"", i * 10);
        mapkey_colour(out, i * 75);
        buf_add_text(out, "\"/>");
    }
    buf_add_text(out, "</linearGradient>\n");
}

void mapkey_title(const struct netfile *nf, struct buf *out, double x)
{
    uint64_t chips = 0, watts = 0;
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        chips += netfile_site(nf, i)->chips;
        watts += net_site_watts(netfile_site(nf, i));
    }
    buf_addf(out, "<text class=\"title\" x=\"%.0f\" y=\"54\">", x);
    mapkey_text(out, netfile_about(nf)[0] ? netfile_about(nf) : "A network of AI computing power");
    buf_addf(out, "</text>\n<text class=\"sub\" x=\"%.0f\" y=\"82\">%u sites, ", x, netfile_sites(nf));
    mapkey_count(out, chips);
    buf_addf(out, " chips, %.1f MW at full load, %u corridors</text>\n", (double)watts / 1e6,
             netfile_corridors(nf));
}

/* ---- the column beside the map ---- */

static void heading(struct buf *out, double x, double y, const char *text)
{
    buf_addf(out, "<text class=\"head\" x=\"%.0f\" y=\"%.0f\">%s</text>\n", x, y, text);
}

static void draw_sizes(struct buf *out, double x, double y)
{
    static const uint32_t sizes[] = {500, 2000, 8000};
    heading(out, x, y, "Chips at a site");
    double at = x;
    for (int i = 0; i < 3; i++) {
        double r = 0.2 * sqrt(sizes[i]);
        buf_addf(out,
                 "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/><text class=\"small\" "
                 "x=\"%.1f\" y=\"%.1f\">",
                 at + r, y + 28, r, at + 2 * r + 6, y + 32);
        mapkey_count(out, sizes[i]);
        buf_add_text(out, "</text>\n");
        at += 2 * r + 52;
    }
}

static void draw_widths(struct buf *out, double x, double y)
{
    static const int64_t widths[] = {40, 200, 800};
    heading(out, x, y, "Corridor, Gbit/s");
    for (int i = 0; i < 3; i++)
        buf_addf(out,
                 "<path class=\"corridor\" stroke-width=\"%.2f\" d=\"M%.0f %.0fh28\"/><text class=\"small\" "
                 "x=\"%.0f\" y=\"%.0f\">%lld</text>\n",
                 mapkey_width(widths[i] * 1000) * 1.3, x + i * 68, y + 22, x + i * 68 + 34, y + 26,
                 (long long)widths[i]);
    buf_addf(out,
             "<path class=\"corridor denied\" stroke-width=\"2\" d=\"M%.0f %.0fh28\"/>"
             "<text class=\"small\" x=\"%.0f\" y=\"%.0f\">denied unless a rule allows it</text>\n",
             x, y + 44, x + 34, y + 48);
}

static void draw_carbon(struct buf *out, double x, double y, double w)
{
    heading(out, x, y, "Mean carbon of the power, g CO2e/kWh");
    buf_addf(out,
             "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"12\" rx=\"3\" fill=\"url(#carbon)\"/>\n", x,
             y + 12, w);
    for (int i = 0; i <= 3; i++)
        buf_addf(out, "<text class=\"small\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%d</text>\n",
                 x + w * i / 3, y + 40,
                 i == 0   ? "start"
                 : i == 3 ? "end"
                          : "middle",
                 i * 250);
}

static void draw_bar(struct buf *out, double x, double y, double w, double share, const char *name)
{
    const double left = 120, right = 58;
    buf_addf(out, "<text class=\"small\" x=\"%.0f\" y=\"%.0f\">", x, y + 9);
    mapkey_text(out, name);
    buf_addf(out,
             "</text><rect class=\"track\" x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"10\" rx=\"2\"/>"
             "<rect class=\"bar\" x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"10\" rx=\"2\"/>"
             "<text class=\"small\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%.1f %%</text>\n",
             x + left, y, w - left - right, x + left, y, (w - left - right) * share, x + w, y + 9,
             share * 100);
}

static int by_chips(const void *a, const void *b)
{
    const struct net_group *x = a, *y = b;
    if (x->chips != y->chips)
        return x->chips > y->chips ? -1 : 1;
    return strcmp(x->name, y->name);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

void mapkey_draw(const struct netfile *nf, struct buf *out, double x, double y, double w)
{
    struct net_summary *s = malloc(sizeof *s);
    double at = y + 12;
    if (!s)
        return;
    net_summary(nf, s);
    draw_sizes(out, x, at);
    draw_widths(out, x + 250, at);
    draw_carbon(out, x, at + 82, w);
    at += 152;
    heading(out, x, at, "Chips by vendor");
    qsort(s->vendor, s->nvendors, sizeof s->vendor[0], by_chips);
    at += 10;
    for (uint32_t i = 0; i < s->nvendors && i < VENDORS_SHOWN; i++, at += 18)
        draw_bar(out, x, at, w, share(s->vendor[i].chips, s->chips), s->vendor[i].name);
    heading(out, x, at + 22, "Self-supply: chips of the same origin, by count");
    qsort(s->jurisdiction, s->njurisdictions, sizeof s->jurisdiction[0], by_chips);
    at += 32;
    for (uint32_t i = 0; i < s->njurisdictions && i < JURISDICTIONS_SHOWN; i++, at += 18)
        draw_bar(out, x, at, w, share(s->jurisdiction[i].own_chips, s->jurisdiction[i].chips),
                 s->jurisdiction[i].name);
    free(s);
}
