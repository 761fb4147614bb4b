/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/apikey.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/osrandom.h"
#include "base/str.h"

static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Uniform characters of an alphabet: bytes that would favour its first letters are drawn again. */
static void draw(char *dst, size_t len, const char *alphabet, unsigned n)
{
    unsigned limit = 256 / n * n;
    for (size_t i = 0; i < len;) {
        uint8_t bytes[64];
        os_random(bytes, sizeof bytes);
        for (size_t k = 0; k < sizeof bytes && i < len; k++) {
            if (bytes[k] < limit)
                dst[i++] = alphabet[bytes[k] % n];
        }
    }
}

void apikey_new(char key[APIKEY_LEN + 1], char id[APIKEY_ID_LEN + 1])
{
    memcpy(key, "bb_", 3);
    draw(key + 3, APIKEY_ID_LEN, base32, 32);
    memcpy(id, key + 3, APIKEY_ID_LEN);
    id[APIKEY_ID_LEN] = 0;
    size_t at = 3 + APIKEY_ID_LEN;
    key[at++] = '_';
    draw(key + at, APIKEY_SECRET_LEN, base62, 62);
    at += APIKEY_SECRET_LEN;
    uint32_t crc = crc32_of(key, at);
    (void)snprintf(key + at, APIKEY_LEN + 1 - at, "_%08x", crc);
}

bool apikey_parse(const char *key, size_t len, const char **id)
{
    const size_t crc_at = APIKEY_LEN - 8;
    uint8_t crc[4];
    if (len != APIKEY_LEN || memcmp(key, "bb_", 3) != 0 || key[3 + APIKEY_ID_LEN] != '_' ||
        key[crc_at - 1] != '_' || !hex_decode(crc, 4, key + crc_at, 8))
        return false;
    uint32_t want = (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
    *id = key + 3;
    return crc32_of(key, crc_at - 1) == want;
}

void apikey_hash(uint8_t hash[DIGEST_LEN], const char *key, size_t len)
{
    digest_sha256(hash, key, len);
}

bool apikey_hash_eq(const uint8_t a[DIGEST_LEN], const uint8_t b[DIGEST_LEN])
{
    return CRYPTO_memcmp(a, b, DIGEST_LEN) == 0;
}
