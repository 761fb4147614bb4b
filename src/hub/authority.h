/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authority: the hub as issuer of its network's certificates (net/pki.h).
 *
 * Files in its folder: root.key and root.pem; issuer.key and issuer.pem, which the root signed; hub.key and hub.pem, the
 * hub's own, made anew at each start and each renewal. What is missing is made. The root's key may be taken away once
 * the issuer is there; it is asked for again only when the issuer's time is over.
 *
 * Or the root was never here (authority_root.c): a folder on a machine without a network has root.key and root.pem; this
 * one makes issuer.key and a request, that one signs it, and what comes back is installed. An issuer's key stays the same
 * when it is renewed, and members' files hold the chain that they were given, so both issuers are good side by side.
 */
#ifndef BUSBAR_HUB_AUTHORITY_H
#define BUSBAR_HUB_AUTHORITY_H

#include <stdint.h>

#include "base/fs.h"
#include "base/str.h"
#include "net/pki.h"
#include "net/tls.h"

#define MEMBER_S 86400 /* that a member's certificate is good for */
#define AUTHORITY_DAY_S INT64_C(86400)
#define AUTHORITY_ROOT_DAYS 7300
#define AUTHORITY_ISSUER_DAYS 365
#define AUTHORITY_ISSUER_NAME "busbar issuer"
#define AUTHORITY_ISSUER_LEFT_S (30 * AUTHORITY_DAY_S) /* with less left it is made anew, or asked for */

struct authority {
    char dir[FS_PATH_MAX];
    char host[64]; /* by which the hub is reached */
    uint8_t root[PKI_DIGEST_SIZE];
};

/* Makes what is missing; `host`: for the hub's certificate. */
int authority_open(struct authority *a, const char *dir, const char *host, struct err *err);
/* TLS for the members' door, with the hub's certificate. */
int authority_tls(const struct authority *a, struct tls_context **out, struct err *err);
/* Seconds until the issuer's certificate ends; 0: it has ended, or cannot be read. */
int64_t authority_issuer_left_s(const struct authority *a);
/* Another certificate for the hub, in good time; for the issuer too, if it is due and the root's key is here. */
int authority_renew(const struct authority *a, struct tls_context *tls, struct err *err);
/* Appends a certificate for the key of a request, as this site, or as this gateway. */
int authority_grant(const struct authority *a, const char *request, size_t len, const struct uuid *member,
                    bool gateway, struct buf *out, struct err *err);

/* ---- a root elsewhere: each is one step of `busbar ca` ---- */

/* Makes root.key and root.pem in a folder that has neither; good for `days`. ERR_EXISTS. */
int authority_root_init(const char *dir, unsigned days, struct err *err);
/* Appends the hub's request for an issuer's certificate; makes issuer.key in `dir` unless it is there. */
int authority_request(const char *dir, struct buf *out, struct err *err);
/* Signs a request with the root in `dir`: appends the issuer's certificate, then the root's. ERR_NOT_FOUND: no root. */
int authority_sign(const char *dir, const char *request, size_t len, unsigned days, struct buf *out,
                   struct err *err);
/* Takes over what was signed, once it was found good: for our key, by this root, valid now. The root becomes that of the
 * network; ERR_WRONG_STATE where there is another one already, since whoever joined knows the hub by it. */
int authority_install(const char *dir, const char *issuer_path, const char *root_path, struct err *err);

#endif
