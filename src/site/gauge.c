/* SPDX-License-Identifier: Apache-2.0 */
#include "site/gauge.h"

#include <string.h>

void gauge_round(struct gauge *g, uint64_t us)
{
    const uint64_t kept = us > UINT32_MAX ? UINT32_MAX : us;
    g->round[g->rounds++ % GAUGE_ROUNDS] = (uint32_t)(kept > 0 ? kept : 1);
}

uint32_t gauge_rtt_us(const struct gauge *g)
{
    const uint64_t n = g->rounds < GAUGE_ROUNDS ? g->rounds : GAUGE_ROUNDS;
    uint32_t least = UINT32_MAX;
    for (uint64_t i = 0; i < n; i++)
        least = g->round[i] < least ? g->round[i] : least;
    return g->rounds < GAUGE_ROUNDS_LEAST ? 0 : least;
}

/* ---- rates ---- */

static void add_rate(struct gauge *g, enum gauge_way way, uint64_t bytes, uint64_t us)
{
    g->rate[way][g->pieces[way]++ % GAUGE_PIECES] = bytes * 8000000 / (us > 0 ? us : 1);
}

void gauge_comes(struct gauge *g, struct gauge_piece *piece, size_t bytes, uint64_t now_us)
{
    g->total += bytes;
    piece->bytes += bytes;
    if (piece->mark_us > 0 || piece->bytes < GAUGE_SKIP)
        return;
    piece->mark_us = now_us;
    piece->mark_total = g->total;
}

void gauge_came(struct gauge *g, const struct gauge_piece *piece, uint64_t now_us)
{
    if (piece->mark_us > 0 && piece->bytes >= GAUGE_LEAST && now_us > piece->mark_us)
        add_rate(g, GAUGE_HERE, g->total - piece->mark_total, now_us - piece->mark_us);
}

void gauge_went(struct gauge *g, size_t bytes, uint64_t us)
{
    const uint64_t rtt = gauge_rtt_us(g);
    if (bytes >= GAUGE_LEAST && rtt > 0 && us > rtt)
        add_rate(g, GAUGE_BACK, bytes, us - rtt);
}

uint64_t gauge_bits_s(const struct gauge *g, enum gauge_way way)
{
    const uint64_t n = g->pieces[way] < GAUGE_PIECES ? g->pieces[way] : GAUGE_PIECES;
    uint64_t sorted[GAUGE_PIECES];
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = i;
        for (; at > 0 && sorted[at - 1] > g->rate[way][i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = g->rate[way][i];
    }
    return n > 0 ? sorted[n / 2] : 0;
}
