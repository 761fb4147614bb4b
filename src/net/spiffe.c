/* SPDX-License-Identifier: Apache-2.0 */
#include "net/spiffe.h"

#include <stdio.h>
#include <string.h>

#include "base/osrandom.h"

#define NETWORK_BYTES 10 /* of the root's digest */
#define SECRET_BYTES 32

static void network_of(char out[2 * NETWORK_BYTES + 1], const uint8_t root[DIGEST_LEN])
{
    hex_encode(out, root, NETWORK_BYTES);
}

void spiffe_hub(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN])
{
    char network[2 * NETWORK_BYTES + 1];
    network_of(network, root);
    (void)snprintf(out, SPIFFE_CAP, "spiffe://%s/hub", network);
}

static void name_of(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN], const char *kind,
                    const struct uuid *member)
{
    char network[2 * NETWORK_BYTES + 1], id[UUID_TEXT_LEN + 1];
    network_of(network, root);
    uuid_format(id, member);
    (void)snprintf(out, SPIFFE_CAP, "spiffe://%s/%s/%s", network, kind, id);
}

static bool is_of(const char *name, const uint8_t root[DIGEST_LEN], const char *kind, struct uuid *member)
{
    char again[SPIFFE_CAP];
    size_t len = strlen(name);
    if (len < UUID_TEXT_LEN || !uuid_parse(member, name + len - UUID_TEXT_LEN, UUID_TEXT_LEN))
        return false;
    name_of(again, root, kind, member);
    return strcmp(again, name) == 0;
}

void spiffe_site(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN], const struct uuid *site)
{
    name_of(out, root, "site", site);
}

bool spiffe_site_of(const char *name, const uint8_t root[DIGEST_LEN], struct uuid *site)
{
    return is_of(name, root, "site", site);
}

void spiffe_gateway(char out[SPIFFE_CAP], const uint8_t root[DIGEST_LEN], const struct uuid *gateway)
{
    name_of(out, root, "gateway", gateway);
}

bool spiffe_gateway_of(const char *name, const uint8_t root[DIGEST_LEN], struct uuid *gateway)
{
    return is_of(name, root, "gateway", gateway);
}

void join_token_new(char out[JOIN_TOKEN_LEN + 1], const uint8_t root[DIGEST_LEN])
{
    uint8_t secret[SECRET_BYTES];
    os_random(secret, sizeof secret);
    memcpy(out, "bbj_", 4);
    hex_encode(out + 4, secret, sizeof secret);
    out[4 + 2 * SECRET_BYTES] = '_';
    hex_encode(out + 5 + 2 * SECRET_BYTES, root, DIGEST_LEN);
    explicit_bzero(secret, sizeof secret);
}

bool join_token_root(const char *token, size_t len, uint8_t root[DIGEST_LEN])
{
    uint8_t secret[SECRET_BYTES];
    bool ok = len == JOIN_TOKEN_LEN && memcmp(token, "bbj_", 4) == 0 &&
              hex_decode(secret, sizeof secret, token + 4, 2 * sizeof secret) &&
              token[4 + 2 * SECRET_BYTES] == '_' &&
              hex_decode(root, DIGEST_LEN, token + 5 + 2 * SECRET_BYTES, 2 * DIGEST_LEN);
    explicit_bzero(secret, sizeof secret);
    return ok;
}
