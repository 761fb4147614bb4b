/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "base/fs.h"

/* Clocks of others may be so far behind ours, in seconds. */
#define SKEW_S 86400
#define SERIAL_BITS 127 /* RFC 5280, 4.1.2.2: positive, at most 20 octets; unguessable */
#define NAMES_MAX 600

static int ssl_err(struct err *err, const char *what)
{
    char text[120];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s: %s", what, code ? text : "not what it should be");
}

/* ---- reading and writing ---- */

static BIO *read_pem(const char *path, struct buf *text, struct err *err)
{
    buf_init(text, PKI_PEM_MAX);
    if (fs_read(path, text, err) != 0)
        return NULL;
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
    if (!bio)
        err_set(err, ERR_NO_MEMORY, "out of memory");
    return bio;
}

static EVP_PKEY *key_load(const char *path, struct err *err)
{
    struct buf text;
    BIO *bio = read_pem(path, &text, err);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    if (bio && !key)
        ssl_err(err, path);
    BIO_free(bio);
    OPENSSL_cleanse(text.data, text.len);
    buf_fini(&text);
    return key;
}

/* The first certificate of a file, or the last one. */
static X509 *cert_load(const char *path, bool last, struct err *err)
{
    struct buf text;
    BIO *bio = read_pem(path, &text, err);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL, *next;
    if (bio && !cert)
        ssl_err(err, path);
    while (cert && last && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        X509_free(cert);
        cert = next;
    }
    ERR_clear_error(); /* the end of the file is no error */
    BIO_free(bio);
    buf_fini(&text);
    return cert;
}

/* Appends what was written, and ends the BIO. */
static int take_pem(BIO *bio, bool written, struct buf *out, struct err *err)
{
    char *data = NULL;
    long n = bio ? BIO_get_mem_data(bio, &data) : 0;
    if (written && n > 0)
        buf_add(out, data, (size_t)n);
    BIO_free(bio);
    return written && n > 0 && !out->failed ? 0 : err_set(err, ERR_NO_MEMORY, "cannot write a certificate");
}

int pki_key_make(const char *key_path, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    int rc = 0;
    if (fs_exists(key_path))
        rc = err_set(err, ERR_EXISTS, "%s is there already", key_path);
    else if (!key || !bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        rc = ssl_err(err, "cannot make a key");
    long n = rc == 0 ? BIO_get_mem_data(bio, &data) : 0;
    if (rc == 0)
        rc = fs_write_atomic(key_path, data, (size_t)n, 0600, err);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return rc;
}

int pki_request(const char *key_path, struct buf *out, struct err *err)
{
    EVP_PKEY *key = key_load(key_path, err);
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    int rc = key ? 0 : ERR_INVALID;
    if (key && (!request || !bio || X509_REQ_set_pubkey(request, key) != 1 ||
                X509_REQ_sign(request, key, EVP_sha256()) == 0))
        rc = ssl_err(err, "cannot ask for a certificate");
    if (rc == 0)
        rc = take_pem(bio, PEM_write_bio_X509_REQ(bio, request) == 1, out, err);
    else
        BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return rc;
}

/* ---- making certificates ---- */

static bool set_serial(X509 *cert)
{
    BIGNUM *serial = BN_new();
    bool ok = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL;
    BN_free(serial);
    return ok;
}

static bool set_times(X509 *cert, const X509 *issuer, int64_t seconds)
{
    time_t from = time(NULL) - SKEW_S, until = time(NULL) + seconds;
    if (!ASN1_TIME_set(X509_getm_notBefore(cert), from) || !ASN1_TIME_set(X509_getm_notAfter(cert), until))
        return false;
    const ASN1_TIME *end = issuer ? X509_get0_notAfter(issuer) : NULL;
    return !end || ASN1_TIME_compare(X509_get0_notAfter(cert), end) <= 0 ||
           X509_set1_notAfter(cert, end) == 1;
}

static bool set_name(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) ==
           1;
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool is_address(const char *host)
{
    uint8_t address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* A comma would begin another name. */
static bool is_plain(const char *text)
{
    return !text || (*text && strcspn(text, ", \t\r\n") == strlen(text));
}

static bool add_names(X509 *cert, X509V3_CTX *ctx, const struct pki_subject *s)
{
    char names[NAMES_MAX];
    if (!s->uri && !s->host)
        return true;
    int n = snprintf(names, sizeof names, "%s%s%s%s%s", s->uri ? "URI:" : "", s->uri ? s->uri : "",
                     s->uri && s->host ? "," : "",
                     !s->host              ? ""
                     : is_address(s->host) ? "IP:"
                                           : "DNS:",
                     s->host ? s->host : "");
    return is_plain(s->uri) && is_plain(s->host) && n < (int)sizeof names &&
           add_extension(cert, ctx, NID_subject_alt_name, names);
}

/* As RFC 5280, 4.2.1 wants them; whoever is no issuer may be either end of a connection. */
static bool add_extensions(X509 *cert, X509 *issuer, const struct pki_subject *s)
{
    X509V3_CTX ctx;
    bool root = issuer == cert;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    return add_extension(cert, &ctx, NID_basic_constraints,
                         !s->issuer ? "critical,CA:FALSE"
                         : root     ? "critical,CA:TRUE,pathlen:1"
                                    : "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, &ctx, NID_key_usage,
                         s->issuer ? "critical,keyCertSign" : "critical,digitalSignature") &&
           (s->issuer || add_extension(cert, &ctx, NID_ext_key_usage, "serverAuth,clientAuth")) &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
           (root || add_extension(cert, &ctx, NID_authority_key_identifier, "keyid:always")) &&
           add_names(cert, &ctx, s);
}

/* issuer NULL: the certificate is its own. The key that it is for, and the one that signs. */
static X509 *make(X509 *issuer, EVP_PKEY *of, EVP_PKEY *by, const struct pki_subject *s, struct err *err)
{
    X509 *cert = X509_new();
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        set_times(cert, issuer, s->seconds) && set_name(cert, s->name) &&
        X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) == 1 &&
        X509_set_pubkey(cert, of) == 1 && add_extensions(cert, issuer ? issuer : cert, s) &&
        X509_sign(cert, by, EVP_sha256()) > 0)
        return cert;
    ssl_err(err, s->name);
    X509_free(cert);
    return NULL;
}

static int add_cert(const X509 *cert, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take_pem(bio, bio && PEM_write_bio_X509(bio, (X509 *)cert) == 1, out, err);
}

int pki_root_make(const char *key_path, const struct pki_subject *subject, struct buf *out, struct err *err)
{
    EVP_PKEY *key = key_load(key_path, err);
    X509 *cert = key ? make(NULL, key, key, subject, err) : NULL;
    int rc = cert ? add_cert(cert, out, err) : ERR_INVALID;
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

/* The key of a request that whoever asks has: it is signed by it. */
static EVP_PKEY *key_of_request(const char *request, size_t len, struct err *err)
{
    BIO *bio = len <= PKI_PEM_MAX ? BIO_new_mem_buf(request, (int)len) : NULL;
    X509_REQ *parsed = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = parsed ? X509_REQ_get_pubkey(parsed) : NULL;
    if (key && (EVP_PKEY_get_bits(key) < 256 || X509_REQ_verify(parsed, key) != 1)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    if (!key)
        ssl_err(err, "the request for a certificate");
    X509_REQ_free(parsed);
    BIO_free(bio);
    return key;
}

int pki_request_key(const char *request, size_t len, uint8_t digest[PKI_DIGEST_SIZE], struct err *err)
{
    EVP_PKEY *key = key_of_request(request, len, err);
    uint8_t *der = NULL;
    int n = key ? i2d_PUBKEY(key, &der) : 0;
    int rc = key ? 0 : ERR_INVALID;
    if (key && n <= 0)
        rc = ssl_err(err, "the request for a certificate");
    if (rc == 0)
        digest_sha256(digest, der, (size_t)n);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return rc;
}

int pki_issue(const char *issuer_path, const char *issuer_key_path, const char *request, size_t len,
              const struct pki_subject *subject, struct buf *out, struct err *err)
{
    int rc = ERR_INVALID;
    EVP_PKEY *of = key_of_request(request, len, err);
    EVP_PKEY *by = of ? key_load(issuer_key_path, err) : NULL;
    X509 *issuer = by ? cert_load(issuer_path, false, err) : NULL;
    X509 *cert = NULL;
    if (issuer && X509_check_private_key(issuer, by) != 1)
        rc = ssl_err(err, "the issuer's certificate and key do not belong together");
    else if (issuer)
        cert = make(issuer, of, by, subject, err);
    if (cert)
        rc = add_cert(cert, out, err);
    if (rc == 0)
        rc = fs_read(issuer_path, out, err);
    X509_free(cert);
    X509_free(issuer);
    EVP_PKEY_free(by);
    EVP_PKEY_free(of);
    return rc;
}

/* ---- asking about them ---- */

int pki_root_digest(const char *path, uint8_t digest[PKI_DIGEST_SIZE], struct err *err)
{
    X509 *cert = cert_load(path, true, err);
    unsigned n = 0;
    int rc = cert ? 0 : ERR_INVALID;
    if (cert && (X509_digest(cert, EVP_sha256(), digest, &n) != 1 || n != PKI_DIGEST_SIZE))
        rc = ssl_err(err, path);
    X509_free(cert);
    return rc;
}

int pki_expires(const char *path, int64_t *at_s, struct err *err)
{
    X509 *cert = cert_load(path, false, err);
    struct tm tm;
    int rc = cert ? 0 : ERR_INVALID;
    if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        rc = ssl_err(err, path);
    if (rc == 0)
        *at_s = timegm(&tm);
    X509_free(cert);
    return rc;
}
