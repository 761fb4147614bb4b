/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char *dst, const uint8_t *src, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t)src[i] << 16;
        v |= left > 1 ? (uint32_t)src[i + 1] << 8 : 0;
        v |= left > 2 ? src[i + 2] : 0;
        *dst++ = digits[v >> 18];
        *dst++ = digits[v >> 12 & 63];
        *dst++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *dst++ = left > 2 ? digits[v & 63] : '=';
    }
    *dst = 0;
}

/* 64 if it is no digit. */
static uint32_t digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool base64_decode(uint8_t *dst, size_t cap, size_t *len, const char *src, size_t src_len)
{
    size_t n = 0;
    if (src_len % 4 != 0)
        return false;
    for (size_t i = 0; i < src_len; i += 4) {
        bool last = i + 4 == src_len;
        unsigned pad = last && src[i + 3] == '=' ? src[i + 2] == '=' ? 2 : 1 : 0;
        uint32_t v = 0;
        for (unsigned k = 0; k < 4; k++) {
            uint32_t d = k < 4 - pad ? digit(src[i + k]) : 0;
            if (d == 64)
                return false;
            v = v << 6 | d;
        }
        if ((v & ((1u << 8 * pad) - 1)) != 0 || cap - n < 3 - pad)
            return false;
        for (unsigned k = 0; k < 3 - pad; k++)
            dst[n++] = (uint8_t)(v >> (16 - 8 * k));
    }
    *len = n;
    return true;
}
