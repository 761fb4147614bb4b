/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <string.h>

size_t text_len(const char *text, size_t cap)
{
    const char *end = memchr(text, 0, cap);
    return end ? (size_t)(end - text) : cap;
}

bool text_set(char *dst, size_t cap, const char *src, size_t len)
{
    memset(dst, 0, cap);
    if (len >= cap || (len && memchr(src, 0, len)))
        return false;
    if (len)
        memcpy(dst, src, len);
    return true;
}

bool text_eq(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

bool name_valid(const char *name, size_t len)
{
    if (len == 0 || len > 63)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!word && (c != '-' || i == 0))
            return false;
    }
    return true;
}

void hex_encode(char *dst, const uint8_t *src, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        dst[2 * i] = digits[src[i] >> 4];
        dst[2 * i + 1] = digits[src[i] & 15];
    }
    dst[2 * len] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(uint8_t *dst, size_t len, const char *src, size_t src_len)
{
    if (src_len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(src[2 * i]);
        int lo = hex_value(src[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        dst[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

bool u64_parse(const char *src, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (len == 0 || len > 20)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (src[i] < '0' || src[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(src[i] - '0');
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v) || v > max)
            return false;
    }
    *out = v;
    return true;
}

size_t u64_format(char *dst, uint64_t v, unsigned base)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        dst[i] = reversed[n - 1 - i];
    return n;
}

uint32_t crc32_of(const void *data, size_t len)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const uint8_t *p = data;
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool uuid_zero(const struct uuid *id)
{
    static const struct uuid zero;
    return uuid_eq(id, &zero);
}

struct uuid uuid_v7(int64_t unix_ms, const uint8_t random[10])
{
    struct uuid id;
    uint64_t ms = (uint64_t)unix_ms;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(id.b + 6, random, 10);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x70);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

/* Bytes after which the text form has a dash. */
static bool dash_after(size_t byte)
{
    return byte == 3 || byte == 5 || byte == 7 || byte == 9;
}

void uuid_format(char dst[UUID_TEXT_LEN + 1], const struct uuid *id)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof id->b; i++) {
        char two[3];
        hex_encode(two, &id->b[i], 1);
        dst[n++] = two[0];
        dst[n++] = two[1];
        if (dash_after(i))
            dst[n++] = '-';
    }
    dst[n] = 0;
}

bool uuid_parse(struct uuid *id, const char *src, size_t len)
{
    if (len != UUID_TEXT_LEN)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < sizeof id->b; i++) {
        if (!hex_decode(&id->b[i], 1, src + n, 2))
            return false;
        n += 2;
        if (dash_after(i) && src[n++] != '-')
            return false;
    }
    return true;
}
