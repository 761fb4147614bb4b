/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key of the map: colours, widths, texts, and the column beside it that says what they mean.
 *
 * Carbon goes from blue over yellow to red, which the colour-blind tell apart; land, sea and text follow the viewer's
 * light or dark scheme. Appends to a buf; text from files is escaped here.
 */
#ifndef BUSBAR_NETWORK_MAPKEY_H
#define BUSBAR_NETWORK_MAPKEY_H

#include "network/summary.h"

#define MAP_W 1600.0

/* "#rrggbb" for grams of CO2e a kWh. */
void mapkey_colour(struct buf *out, double g_kwh);
/* Width of a corridor's line for its Mbit/s. */
double mapkey_width(int64_t mbit_s);
/* With thousands apart. */
void mapkey_count(struct buf *out, uint64_t n);
/* Escaped for XML. */
void mapkey_text(struct buf *out, const char *text);
void mapkey_text_len(struct buf *out, const char *text, size_t len);
/* Characters of UTF-8. */
size_t mapkey_letters(const char *text, size_t len);

/* The start of the picture, up to inside of <defs>. */
void mapkey_open(const struct netfile *nf, struct buf *out, double height);
void mapkey_title(const struct netfile *nf, struct buf *out, double x);
/* What circles, colours and lines mean; chips by vendor; self-supply. */
void mapkey_draw(const struct netfile *nf, struct buf *out, double x, double y, double w);

#endif
