/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: their secrets and signatures, where they may lead, and one delivery. As Standard Webhooks 1.0.0 has it
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 *
 * A webhook's secret is made from its id and a key that is kept in the data folder, in WEBHOOK_KEY, so neither the store nor the
 * journal has it; a new webhook has a new id, and so a new secret.
 *
 * A tenant names the URL, so the hub must not be led to where only it can go: an address is judged when the connection is made,
 * after its name was resolved, so no answer of a name server changes it later; no redirect is followed and no proxy used.
 */
#ifndef BUSBAR_HUB_WEBHOOK_H
#define BUSBAR_HUB_WEBHOOK_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "base/digest.h"
#include "base/str.h"
#include "core/limits.h"

#define WEBHOOK_KEY "webhook.key"
#define WEBHOOK_KEY_LEN 32
#define WEBHOOK_SECRET_CAP 64    /* whsec_ and the secret in base64 */
#define WEBHOOK_SIGNATURE_CAP 64 /* v1, and the signature in base64 */

/* Reads the key of the data folder, or makes it. ERR_IO with words. */
int webhook_key(uint8_t key[WEBHOOK_KEY_LEN], const char *data_dir, struct err *err);
/* HMAC-SHA256 (RFC 2104) of the webhook's id under the key. */
void webhook_secret(uint8_t secret[DIGEST_LEN], const uint8_t key[WEBHOOK_KEY_LEN],
                    const struct uuid *webhook);
void webhook_secret_text(char text[WEBHOOK_SECRET_CAP], const uint8_t secret[DIGEST_LEN]);
/* Of "ID.SECONDS.BODY", by a secret of any length. */
void webhook_sign(char text[WEBHOOK_SIGNATURE_CAP], const uint8_t *secret, size_t secret_len, const char *id,
                  int64_t seconds, const char *body, size_t len);

/* Whether anybody on the internet could have the address: none of IANA's special-purpose registries
 * (https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry), no multicast, and none that
 * stands for another one of another protocol. */
bool webhook_address_is_public(const struct sockaddr *address);
/* ERR_INVALID with words: no https:// URL, or one with a name and password in it. `lax`: http:// will do as well. */
int webhook_url_check(const char *url, bool lax, struct err *err);

struct delivery {
    char url[PATH_CAP];
    char id[UUID_TEXT_LEN + 1];
    uint8_t secret[DIGEST_LEN];
    const char *body;
    size_t len;
    bool lax; /* addresses that are not public, and http:// */
    const atomic_bool *cancel;
    uint32_t status; /* result; 0: no answer */
    char why[160];   /* if there is none */
};
/* Blocks, for 20 s at most. */
void webhook_deliver(struct delivery *delivery);

#endif
