/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates that are there: what stands in them, and whether an issuer's hangs from its root. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/str.h"
#include "net/pki.h"

#define CERTS_MAX 8 /* of a file; the chain of a member has three */

struct certs {
    X509 *of[CERTS_MAX];
    unsigned n;
};

static void certs_fini(struct certs *certs)
{
    for (unsigned i = 0; i < certs->n; i++)
        X509_free(certs->of[i]);
}

static int certs_load(const char *path, struct certs *out, struct err *err)
{
    struct buf text;
    X509 *cert;
    *out = (struct certs){0};
    buf_init(&text, PKI_PEM_MAX);
    int rc = fs_read(path, &text, err);
    BIO *bio = rc == 0 ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
    while (bio && out->n < CERTS_MAX && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        out->of[out->n++] = cert;
    ERR_clear_error(); /* the end of the file is no error */
    BIO_free(bio);
    buf_fini(&text);
    if (rc == 0 && out->n == 0)
        rc = err_set(err, ERR_INVALID, "%s holds no certificate in PEM", path);
    return rc;
}

static void common_name(char *out, int cap, X509_NAME *name)
{
    out[0] = 0;
    (void)X509_NAME_get_text_by_NID(name, NID_commonName, out, cap);
}

static void first_uri(char out[TLS_URI_CAP], const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI && !out[0])
            (void)text_set(out, TLS_URI_CAP,
                           (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                           (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier));
    }
    GENERAL_NAMES_free(names);
}

static bool seconds_of(const ASN1_TIME *time, int64_t *out)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}

int pki_about(const char *path, unsigned index, struct pki_about *out, struct err *err)
{
    struct certs certs;
    unsigned n = 0;
    *out = (struct pki_about){0};
    int rc = certs_load(path, &certs, err);
    if (rc == 0 && index >= certs.n)
        rc = err_set(err, ERR_NOT_FOUND, "%s holds %u certificates", path, certs.n);
    if (rc == 0) {
        X509 *cert = certs.of[index];
        common_name(out->name, sizeof out->name, X509_get_subject_name(cert));
        common_name(out->by, sizeof out->by, X509_get_issuer_name(cert));
        first_uri(out->uri, cert);
        if (!seconds_of(X509_get0_notBefore(cert), &out->from_s) ||
            !seconds_of(X509_get0_notAfter(cert), &out->until_s) ||
            X509_digest(cert, EVP_sha256(), out->digest, &n) != 1 || n != PKI_DIGEST_SIZE)
            rc = err_set(err, ERR_INVALID, "%s: a certificate that cannot be read", path);
    }
    certs_fini(&certs);
    return rc;
}

int pki_first(const char *path, struct buf *out, struct err *err)
{
    struct certs certs;
    char *data = NULL;
    int rc = certs_load(path, &certs, err);
    BIO *bio = rc == 0 ? BIO_new(BIO_s_mem()) : NULL;
    long n = bio && PEM_write_bio_X509(bio, certs.of[0]) == 1 ? BIO_get_mem_data(bio, &data) : 0;
    if (n > 0)
        buf_add(out, data, (size_t)n);
    if (rc == 0 && (n <= 0 || out->failed))
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    BIO_free(bio);
    certs_fini(&certs);
    return rc;
}

/* ---- an issuer and its root ---- */

static int key_fits(X509 *cert, const char *cert_path, const char *key_path, struct err *err)
{
    struct buf text;
    buf_init(&text, PKI_PEM_MAX);
    int rc = fs_read(key_path, &text, err);
    BIO *bio = rc == 0 ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    if (rc == 0 && !key)
        rc = err_set(err, ERR_INVALID, "%s holds no key", key_path);
    if (rc == 0 && X509_check_private_key(cert, key) != 1)
        rc = err_set(err, ERR_INVALID, "%s is for another key than %s", cert_path, key_path);
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    OPENSSL_cleanse(text.data, text.len);
    buf_fini(&text);
    return rc;
}

/* The path from the issuer to the root, at this moment. */
static int hangs_from(X509 *issuer, const char *issuer_path, X509 *root, struct err *err)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int rc = 0;
    if (!store || !ctx || X509_STORE_add_cert(store, root) != 1 ||
        X509_STORE_CTX_init(ctx, store, issuer, NULL) != 1)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    else if (X509_verify_cert(ctx) != 1)
        rc = err_set(err, ERR_INVALID, "%s is not good under this root: %s", issuer_path,
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return rc;
}

/* A certificate of a root may issue issuers; that of an issuer only members. */
static int may_issue(X509 *cert, const char *path, bool issuers, struct err *err)
{
    if (X509_check_ca(cert) != 1 || (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) == 0)
        return err_set(err, ERR_INVALID, "%s may not issue certificates", path);
    if (issuers && X509_get_pathlen(cert) == 0)
        return err_set(err, ERR_INVALID, "%s may not issue issuers: it is no root", path);
    return 0;
}

static int check(const struct certs *issuer, const char *issuer_path, const struct certs *root,
                 const char *root_path, struct err *err)
{
    X509 *top = root->of[0];
    if (root->n != 1)
        return err_set(err, ERR_INVALID, "%s holds %u certificates; the root's alone is wanted", root_path,
                       root->n);
    if (X509_NAME_cmp(X509_get_subject_name(top), X509_get_issuer_name(top)) != 0 ||
        X509_verify(top, X509_get0_pubkey(top)) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "%s is no root: it is not signed by itself", root_path);
    }
    int rc = may_issue(top, root_path, true, err);
    if (rc == 0 && X509_cmp(issuer->of[0], top) == 0)
        rc = err_set(err, ERR_INVALID, "%s is the root itself, not an issuer that it signed", issuer_path);
    if (rc == 0)
        rc = may_issue(issuer->of[0], issuer_path, false, err);
    return rc == 0 ? hangs_from(issuer->of[0], issuer_path, top, err) : rc;
}

int pki_issuer_check(const char *issuer_path, const char *root_path, const char *key_path, struct err *err)
{
    struct certs issuer = {0}, root = {0};
    int rc = certs_load(issuer_path, &issuer, err);
    if (rc == 0)
        rc = certs_load(root_path, &root, err);
    if (rc == 0)
        rc = check(&issuer, issuer_path, &root, root_path, err);
    if (rc == 0)
        rc = key_fits(issuer.of[0], issuer_path, key_path, err);
    certs_fini(&issuer);
    certs_fini(&root);
    return rc;
}
