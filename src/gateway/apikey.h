/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API keys: bb_<id>_<secret>_<crc32>.
 *
 * id: 10 characters of base32 (Crockford, lower case), the public name of the key. secret: 43 characters of base62
 * drawn from the OS, over 256 bits, so a plain SHA-256 of the whole key is enough to store. crc32: 8 hex digits over
 * all before it, so that a mistyped key is told apart from an unknown one without a look-up, and secret scanners can
 * be sure of a hit.
 */
#ifndef BUSBAR_GATEWAY_APIKEY_H
#define BUSBAR_GATEWAY_APIKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define APIKEY_ID_LEN 10
#define APIKEY_SECRET_LEN 43
#define APIKEY_LEN (3 + APIKEY_ID_LEN + 1 + APIKEY_SECRET_LEN + 1 + 8)

/* A new key, NUL-terminated, and its id. */
void apikey_new(char key[APIKEY_LEN + 1], char id[APIKEY_ID_LEN + 1]);
/* Whether the text has the shape of a key and its checksum holds; *id points into it, APIKEY_ID_LEN characters. */
bool apikey_parse(const char *key, size_t len, const char **id);
void apikey_hash(uint8_t hash[DIGEST_LEN], const char *key, size_t len);
/* Comparison in constant time. */
bool apikey_hash_eq(const uint8_t a[DIGEST_LEN], const uint8_t b[DIGEST_LEN]);

#endif
