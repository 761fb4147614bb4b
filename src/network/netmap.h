/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map: a network as one SVG picture without scripts or fonts of its own.
 *
 * Sites are circles with an area by chips and a colour by the mean carbon of their power; corridors are arcs of great circles,
 * as wide as the logarithm of their capacity, dashed where the law denies them. Each has a tooltip. The land is one path in
 * an equirectangular frame (data/network/land.txt, Natural Earth, public domain); without it only the graticule is
 * drawn. No borders. A second frame shows the part with most sites from near. Light and dark are the viewer's choice.
 */
#ifndef BUSBAR_NETWORK_NETMAP_H
#define BUSBAR_NETWORK_NETMAP_H

#include "base/buf.h"
#include "network/netfile.h"

#define NETMAP_LAND_MAX ((size_t)1 << 18)

/* Appends the picture. `land`: an SVG path in x = (lon + 180) / 360 * 1000, y = (78 - lat) / 360 * 1000, or NULL; the caller
 * checks `out->failed`. */
void netmap_draw(const struct netfile *nf, const char *land, struct buf *out);
/* How a site is to look where it is not its mean carbon that is told. */
struct netmap_mark {
    double chips;     /* its circle's area */
    char colour[8];   /* "#rrggbb" */
    const char *text; /* more of its tooltip, or NULL */
};
typedef void netmap_mark_fn(void *ctx, const struct net_site *site, struct netmap_mark *out);

#define NETMAP_WORLD_W 1160.0
#define NETMAP_WORLD_H 440.0

/* Appends one frame as a picture of its own, without title, key and style: the page that it stands in gives the classes sea, land,
 * graticule, corridor, denied, site and label. `near`: the part with most sites. `id` begins the ids in it. */
void netmap_frame(const struct netfile *nf, const char *land, const char *id, bool near, netmap_mark_fn *mark,
                  void *ctx, struct buf *out);
/* Whether the text is such a path: letters of a path, numbers and blanks, nothing that would end the attribute. */
bool netmap_land_valid(const char *land);

#endif
