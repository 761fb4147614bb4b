/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 (RFC 8032) through OpenSSL. The pure folders get these as function pointers. */
#ifndef BUSBAR_BASE_ED25519_H
#define BUSBAR_BASE_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_SEED_LEN 32 /* the private key, from which all else comes */
#define ED25519_KEY_LEN 32
#define ED25519_SIG_LEN 64

void ed25519_public(uint8_t key[ED25519_KEY_LEN], const uint8_t seed[ED25519_SEED_LEN]);
void ed25519_sign(const uint8_t seed[ED25519_SEED_LEN], uint8_t sig[ED25519_SIG_LEN], const void *text,
                  size_t len);
bool ed25519_verify(const uint8_t key[ED25519_KEY_LEN], const uint8_t sig[ED25519_SIG_LEN], const void *text,
                    size_t len);

#endif
