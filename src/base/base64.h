/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648 section 4): the standard alphabet, with padding. Pure.
 *
 * Reading is strict: no line ends, no missing padding, and the bits that the last digit has to spare are zero; so two
 * texts never stand for the same bytes, and a changed bit is always found.
 */
#ifndef BUSBAR_BASE_BASE64_H
#define BUSBAR_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_LEN(len) characters and a NUL. */
void base64_encode(char *dst, const uint8_t *src, size_t len);
/* False unless src is well-formed and its bytes fit; *len is how many they are. */
bool base64_decode(uint8_t *dst, size_t cap, size_t *len, const char *src, size_t src_len);

#endif
