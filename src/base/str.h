/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in fixed fields, names, hexadecimal, base62, CRC-32 and UUIDs. Pure: no allocation, no locale.
 *
 * A text field is a char array that always ends in NUL and is zero after it, so that equal texts are equal bytes.
 */
#ifndef BUSBAR_BASE_STR_H
#define BUSBAR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length up to the NUL, at most cap. */
size_t text_len(const char *text, size_t cap);
/* Copies len bytes and zero-fills the rest. False, with dst empty, when it does not fit or holds a NUL. */
bool text_set(char *dst, size_t cap, const char *src, size_t len);
bool text_eq(const char *a, size_t a_len, const char *b, size_t b_len);

/* [a-z0-9][a-z0-9-]{0,62} */
bool name_valid(const char *name, size_t len);

/* Writes 2*len digits and a NUL. */
void hex_encode(char *dst, const uint8_t *src, size_t len);
/* False unless src is exactly 2*len hexadecimal digits. */
bool hex_decode(uint8_t *dst, size_t len, const char *src, size_t src_len);

/* Decimal digits only, no sign, at most `max`. False on anything else. */
bool u64_parse(const char *src, size_t len, uint64_t max, uint64_t *out);

/* Digits of v in base 10 or 16, no NUL; returns how many. dst has at least 20 bytes. */
size_t u64_format(char *dst, uint64_t v, unsigned base);

/* CRC-32 (IEEE 802.3, reflected, as in zlib). */
uint32_t crc32_of(const void *data, size_t len);

struct uuid {
    uint8_t b[16];
};

#define UUID_TEXT_LEN 36

bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_zero(const struct uuid *id);
/* UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, the rest from `random`, which the caller drew from the OS. */
struct uuid uuid_v7(int64_t unix_ms, const uint8_t random[10]);
/* Writes 36 characters and a NUL. */
void uuid_format(char dst[UUID_TEXT_LEN + 1], const struct uuid *id);
bool uuid_parse(struct uuid *id, const char *src, size_t len);

#endif
