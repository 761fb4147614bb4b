/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buf: bytes that grow on the heap up to a maximum that its maker names.
 *
 * Appending past the maximum, or running out of memory, sets `failed` and leaves the content as it was; the flag is
 * sticky, so a builder appends freely and checks once at the end. The bytes belong to the buf; buf_take moves them
 * out. Not for core: core carves from an arena.
 */
#ifndef BUSBAR_BASE_BUF_H
#define BUSBAR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *buf, size_t max);
/* Frees the bytes; the buf is as after buf_init. */
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);
/* Room for `extra` more bytes. False (and failed) past the maximum. */
bool buf_reserve(struct buf *buf, size_t extra);
void buf_add(struct buf *buf, const void *data, size_t len);
/* The last byte, 0: there is none, which is also so when the buf has failed at once. */
char buf_last(const struct buf *buf);
/* Takes back the last byte, where it is this one. */
void buf_take_back(struct buf *buf, char c);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
/* Decimal digits. */
void buf_add_u64(struct buf *buf, uint64_t v);
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *buf, const char *fmt, ...);
/* JSON string with quotes; control characters, quote and backslash escaped, what is not UTF-8 as
 * U+FFFD. */
void buf_add_json(struct buf *buf, const char *text, size_t len);
/* Drops the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);
/* The bytes with a NUL after them; the caller frees. NULL when the buf has failed. */
char *buf_take(struct buf *buf);

#endif
