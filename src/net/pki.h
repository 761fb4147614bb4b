/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of a network: a root that may stay offline, the issuer that a hub has from it, and those of the hub and
 * its sites, which live for a day.
 *
 * Who somebody is stands in the URI of the subject alternative name, as SPIFFE has it (spiffe://NETWORK/site/ID); the rest
 * of a request is ignored, only its key is taken over. Keys are ECDSA on P-256; certificates and keys are PEM. A file of
 * certificates has the holder's own first, then those it hangs from.
 *
 * All calls block for as long as a signature and a file take. Errors: ERR_INVALID for what is not a key, request or
 * certificate, ERR_IO for files; with words.
 */
#ifndef BUSBAR_NET_PKI_H
#define BUSBAR_NET_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/tls.h"

#define PKI_PEM_MAX ((size_t)64 << 10)
#define PKI_DIGEST_SIZE 32

struct pki_subject {
    const char *uri;  /* spiffe://..., NULL: none */
    const char *name; /* for people: the common name */
    const char *host; /* a DNS name or an IP address that it may be reached by, NULL: none */
    int64_t seconds;  /* it is valid for, from now */
    bool issuer;      /* may issue certificates itself, but no issuers */
};

/* Makes a key in a file of our own user that must not exist. */
int pki_key_make(const char *key_path, struct err *err);
/* A certificate for the key, signed by itself: the root of a network. */
int pki_root_make(const char *key_path, const struct pki_subject *subject, struct buf *out, struct err *err);
/* Asks for a certificate for the key (PKCS #10). */
int pki_request(const char *key_path, struct buf *out, struct err *err);
/* SHA-256 of the key (SubjectPublicKeyInfo) that a request is for, which whoever asks has: it is signed by it. */
int pki_request_key(const char *request, size_t len, uint8_t digest[PKI_DIGEST_SIZE], struct err *err);
/* Grants a request in the issuer's name. `issuer_path`: its certificates, all of which come after the new one in `out`. It is
 * valid for no longer than they are. */
int pki_issue(const char *issuer_path, const char *issuer_key_path, const char *request, size_t len,
              const struct pki_subject *subject, struct buf *out, struct err *err);

/* SHA-256 of the last certificate of a file: of its root, if it goes so far. */
int pki_root_digest(const char *path, uint8_t digest[PKI_DIGEST_SIZE], struct err *err);
/* When the first certificate of a file ends, seconds since 1970. */
int pki_expires(const char *path, int64_t *at_s, struct err *err);

/* One certificate of a file, for people. */
struct pki_about {
    char name[128], by[128];         /* its common name, and that of who signed it */
    char uri[TLS_URI_CAP];           /* "": it has none */
    int64_t from_s, until_s;         /* seconds since 1970 */
    uint8_t digest[PKI_DIGEST_SIZE]; /* SHA-256 of the certificate */
};

/* The certificate at `index` of a file. ERR_NOT_FOUND past the last one. */
int pki_about(const char *path, unsigned index, struct pki_about *out, struct err *err);
/* Appends the first certificate of a file, as PEM, and nothing else of what is in it. */
int pki_first(const char *path, struct buf *out, struct err *err);
/* Whether the first certificate of a file is one that a hub can issue with: signed by the root, which is the one
 * certificate of its own file, for the key, both valid now (RFC 5280, 6.1). ERR_INVALID with words. */
int pki_issuer_check(const char *issuer_path, const char *root_path, const char *key_path, struct err *err);

#endif
