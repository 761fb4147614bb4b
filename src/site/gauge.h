/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gauge: what the way between a site and its hub does, as calls of the site find it anyway: round trip and bits a second.
 *
 * The round trip is the least of the last GAUGE_ROUNDS calls: what a call takes beyond it is the hub's time, or a queue's. The
 * rate is the median of the last GAUGE_PIECES pieces of at least GAUGE_LEAST bytes, so one that met a flap counts for
 * nothing. A piece that comes is timed from its first GAUGE_SKIP bytes on, in which TCP looks for its rate (RFC 5681, 3.1),
 * to its end; what came for others meanwhile is counted in, since the way is shared. So the rate is what our calls reached,
 * which on a way that is long and wide is less than what it could carry. A piece that goes is timed from its beginning to
 * the hub's answer, less a round trip; the hub writes it down meanwhile.
 *
 * Times in microseconds, of a clock that never goes back. Nothing here reads it.
 */
#ifndef BUSBAR_SITE_GAUGE_H
#define BUSBAR_SITE_GAUGE_H

#include <stddef.h>
#include <stdint.h>

#define GAUGE_ROUNDS 16
#define GAUGE_ROUNDS_LEAST 3 /* before them nothing is known */
#define GAUGE_PIECES 5
#define GAUGE_SKIP ((size_t)256 << 10)
#define GAUGE_LEAST ((size_t)512 << 10)

enum gauge_way { GAUGE_HERE, GAUGE_BACK, GAUGE_WAYS }; /* from the hub, to it */

struct gauge {
    uint32_t round[GAUGE_ROUNDS];
    uint64_t rounds; /* ever */
    uint64_t rate[GAUGE_WAYS][GAUGE_PIECES];
    uint64_t pieces[GAUGE_WAYS]; /* ever */
    uint64_t total;              /* bytes that came, of all pieces */
};

/* An answer that comes; zero: nothing of it has. */
struct gauge_piece {
    uint64_t bytes;
    uint64_t mark_us, mark_total; /* when it was past GAUGE_SKIP */
};

void gauge_round(struct gauge *gauge, uint64_t us);
void gauge_comes(struct gauge *gauge, struct gauge_piece *piece, size_t bytes, uint64_t now_us);
void gauge_came(struct gauge *gauge, const struct gauge_piece *piece, uint64_t now_us);
void gauge_went(struct gauge *gauge, size_t bytes, uint64_t us);

/* Microseconds, at least one; 0: not known. */
uint32_t gauge_rtt_us(const struct gauge *gauge);
/* 0: not known. */
uint64_t gauge_bits_s(const struct gauge *gauge, enum gauge_way way);

#endif
