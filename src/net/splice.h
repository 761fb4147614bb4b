/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splice: two streams become one, byte for byte, in both directions.
 *
 * One end asks, the other answers, as HTTP/1.1 has it. What a socket does not take at once is queued, SPLICE_HIGH bytes and
 * one read at most; past that the other end is not read until the queue is at SPLICE_LOW. So who is slow to take slows
 * down who gives, over any number of splices in a row.
 *
 * The end of the answering side is passed on behind its last byte. The end of the asking side is that of a client who went
 * away: both are closed at once, so that who answers stops. An error of either does the same.
 */
#ifndef BUSBAR_NET_SPLICE_H
#define BUSBAR_NET_SPLICE_H

#include "net/stream.h"

#define SPLICE_HIGH ((size_t)256 << 10)
#define SPLICE_LOW ((size_t)64 << 10)

struct splice;

struct splice_end {
    struct stream *stream;
    void (*closed)(struct stream *stream); /* its on_closed: frees it */
};

/* Takes both streams, connected, and reads them from now on. `over` runs once, when both are closed and freed; the splice
 * is gone after it. NULL when out of memory: the streams stay the caller's. */
struct splice *splice_new(struct splice_end asks, struct splice_end answers, void (*over)(void *ctx),
                          void *ctx);
/* Closes both; `over` follows. */
void splice_close(struct splice *splice);
/* Whether it was the answering side that ended first. To be asked while the ends are closed, or in `over`. */
bool splice_answers_left(const struct splice *splice);

#endif
