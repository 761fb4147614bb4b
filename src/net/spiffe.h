/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a network's members, and the token by which one joins.
 *
 * A name is a SPIFFE id: spiffe://NETWORK/hub, spiffe://NETWORK/site/UUID, spiffe://NETWORK/gateway/UUID. NETWORK is the beginning of the root certificate's
 * SHA-256, so whoever knows the root knows whom to expect. A token carries the whole digest: bbj_SECRET_ROOT, with
 * SECRET 64 hexadecimal digits drawn from the OS and ROOT the 64 of the digest; it is stored as its SHA-256.
 */
#ifndef BUSBAR_NET_SPIFFE_H
#define BUSBAR_NET_SPIFFE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/str.h"

#define SPIFFE_CAP 128 /* of any name, with its NUL */
#define JOIN_TOKEN_LEN (4 + 64 + 1 + 64)

void spiffe_hub(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN]);
void spiffe_site(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN], const struct uuid *site);
/* The site that the name is of; false: it is of none in this network. */
bool spiffe_site_of(const char *name, const uint8_t root[DIGEST_LEN], struct uuid *site);

/* The same for gateways. */
void spiffe_gateway(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN], const struct uuid *gateway);
bool spiffe_gateway_of(const char *name, const uint8_t root[DIGEST_LEN], struct uuid *gateway);

void join_token_new(char out[JOIN_TOKEN_LEN + 1], const uint8_t root[DIGEST_LEN]);
/* Whether the text has the form of a token; sets the root's digest. */
bool join_token_root(const char *token, size_t len, uint8_t root[DIGEST_LEN]);

#endif
