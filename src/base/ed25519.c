/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ed25519.h"

#include <openssl/evp.h>
#include <stdlib.h>

static EVP_PKEY *private_key(const uint8_t seed[ED25519_SEED_LEN])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_LEN);
    if (!key)
        abort(); /* any 32 bytes are one: this is out of memory */
    return key;
}

void ed25519_public(uint8_t key[ED25519_KEY_LEN], const uint8_t seed[ED25519_SEED_LEN])
{
    EVP_PKEY *pkey = private_key(seed);
    size_t len = ED25519_KEY_LEN;
    if (EVP_PKEY_get_raw_public_key(pkey, key, &len) != 1 || len != ED25519_KEY_LEN)
        abort();
    EVP_PKEY_free(pkey);
}

void ed25519_sign(const uint8_t seed[ED25519_SEED_LEN], uint8_t sig[ED25519_SIG_LEN], const void *text,
                  size_t len)
{
    EVP_PKEY *pkey = private_key(seed);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t sig_len = ED25519_SIG_LEN;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) != 1 ||
        EVP_DigestSign(ctx, sig, &sig_len, text, len) != 1 || sig_len != ED25519_SIG_LEN)
        abort();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
}

bool ed25519_verify(const uint8_t key[ED25519_KEY_LEN], const uint8_t sig[ED25519_SIG_LEN], const void *text,
                    size_t len)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_KEY_LEN);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, sig, ED25519_SIG_LEN, text, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}
