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
/* Whether the text is such a path: letters of a path, numbers and blanks, nothing that would end the attribute. */
bool netmap_land_valid(const char *land);

#endif
