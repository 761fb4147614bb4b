/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authority: the hub as issuer of its network's certificates (net/pki.h).
 *
 * Files in its folder: root.key and root.pem; issuer.key and issuer.pem, which the root signed; hub.key and hub.pem, the
 * hub's own, made anew at each start and each renewal. What is missing is made. The root's key may be taken away once
 * the issuer is there; it is asked for again only when the issuer's time is over.
 */
#ifndef BUSBAR_HUB_AUTHORITY_H
#define BUSBAR_HUB_AUTHORITY_H

#include <stdint.h>

#include "base/fs.h"
#include "base/str.h"
#include "net/pki.h"
#include "net/tls.h"

#define MEMBER_S 86400 /* that a member's certificate is good for */

struct authority {
    char dir[FS_PATH_MAX];
    char host[64]; /* by which the hub is reached */
    uint8_t root[PKI_DIGEST_SIZE];
};

/* Makes what is missing; `host`: for the hub's certificate. */
int authority_open(struct authority *a, const char *dir, const char *host, struct err *err);
/* TLS for the members' door, with the hub's certificate. */
int authority_tls(const struct authority *a, struct tls_context **out, struct err *err);
/* Another certificate for the hub, in good time. */
int authority_renew(const struct authority *a, struct tls_context *tls, struct err *err);
/* Appends a certificate for the key of a request, as this site. */
int authority_grant(const struct authority *a, const char *request, size_t len, const struct uuid *site,
                    struct buf *out, struct err *err);

#endif
