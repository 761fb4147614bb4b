/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts: the fields of each event and row as data, and the one codec that reads and writes them.
 *
 * The binary form is the fields in order, little-endian: u32, u64, i64 as they are; uuid 16 bytes; digest 32; text
 * as u16 length and bytes; uuids as u8 count and 16 bytes each. An event frame puts before that u16 version, u16
 * kind, i64 at_ms, u64 token. Version 1 stays readable for ever. Decoding trusts nothing: a frame that is cut, too
 * long for a field or of an unknown kind gives ERR_CORRUPT and leaves no half-read value behind.
 */
#ifndef BUSBAR_CORE_LAYOUT_H
#define BUSBAR_CORE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "core/schema.h"

enum field_type { FIELD_u32, FIELD_u64, FIELD_i64, FIELD_uuid, FIELD_digest, FIELD_text, FIELD_uuids };

struct field {
    const char *name;
    enum field_type type;
    uint16_t offset; /* in the struct */
    uint16_t size;   /* of the member */
};

struct layout {
    const char *name;
    const struct field *fields;
    uint16_t kind;
    uint16_t nfields;
    uint16_t nkeys; /* rows: leading fields that are the primary key */
    uint16_t size;  /* of the struct */
};

#define EVENT_VERSION 1
#define EVENT_AT 4 /* where its time is in there */
#define EVENT_HEAD_LEN 20
/* No event or row is longer when encoded; checked by a test over all layouts. */
#define LAYOUT_ENCODED_MAX 2048

/* NULL when there is no such kind. */
const struct layout *layout_event(uint32_t kind);
const struct layout *layout_row(uint32_t kind);
/* Rows in the order of their kinds, for i = 0, 1, ... until NULL. */
const struct layout *layout_row_at(uint32_t i);
const struct layout *layout_event_at(uint32_t i);

/* Bytes of `struct event` that an event of this kind uses. */
size_t event_size(uint32_t kind);

/* Encodes the struct at `src`; returns the length, 0 when dst is too small. */
size_t layout_encode(const struct layout *layout, const void *src, uint8_t *dst, size_t cap);
/* Decodes into the struct at `dst`, zeroing it first. `len` must be used up, except that trailing fields may be
 * missing altogether. Returns 0 or ERR_CORRUPT. */
int layout_decode(const struct layout *layout, void *dst, const uint8_t *src, size_t len);

/* Event with its head. Returns the length, 0 when dst is too small. */
size_t event_encode(const struct event *event, uint8_t *dst, size_t cap);
int event_decode(struct event *event, const uint8_t *src, size_t len);

#endif
