/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/str.h"

#define EARLY_MAX ((size_t)16 << 20)

struct tls_context {
    SSL_CTX *ctx;
    atomic_uint holders;             /* its owner, and each session */
    bool member;                     /* of a network: peers are known by their URI */
    bool pair;                       /* the peer has the same certificate */
    char uri[TLS_URI_CAP];           /* that a server must have */
    uint8_t digest[TLS_DIGEST_SIZE]; /* of the root, where the root itself is not known yet */
};

struct tls_session {
    SSL *ssl;
    BIO *in;          /* ciphertext from the peer; owned by ssl */
    BIO *out;         /* ciphertext to the peer; owned by ssl */
    struct buf early; /* plaintext written before the handshake was done */
    struct tls_context *context;
    char peer[TLS_URI_CAP]; /* "": none */
};

static int ssl_err(struct err *err, const char *what)
{
    char text[120];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s: %s", what, text);
}

static struct tls_context *context_new(const SSL_METHOD *method, int min_version)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return NULL;
    atomic_init(&context->holders, 1);
    context->ctx = SSL_CTX_new(method);
    if (!context->ctx || SSL_CTX_set_min_proto_version(context->ctx, min_version) != 1) {
        tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_mode(context->ctx, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

int tls_server_new(struct tls_context **out, const char *cert_path, const char *key_path, struct err *err)
{
    struct tls_context *context = context_new(TLS_server_method(), TLS1_3_VERSION);
    int rc = 0;
    if (!context)
        return err_set(err, ERR_NO_MEMORY, "cannot set up TLS");
    if (SSL_CTX_use_certificate_chain_file(context->ctx, cert_path) != 1)
        rc = ssl_err(err, cert_path);
    else if (SSL_CTX_use_PrivateKey_file(context->ctx, key_path, SSL_FILETYPE_PEM) != 1)
        rc = ssl_err(err, key_path);
    else if (SSL_CTX_check_private_key(context->ctx) != 1)
        rc = ssl_err(err, "certificate and key do not belong together");
    if (rc != 0)
        tls_context_free(context);
    else
        *out = context;
    return rc;
}

int tls_client_new(struct tls_context **out, struct err *err)
{
    struct tls_context *context = context_new(TLS_client_method(), TLS1_2_VERSION);
    if (!context || SSL_CTX_set_default_verify_paths(context->ctx) != 1) {
        tls_context_free(context);
        return err_set(err, ERR_NO_MEMORY, "cannot set up TLS");
    }
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    *out = context;
    return 0;
}

/* ---- members of a network ---- */

static int load_member(SSL_CTX *ctx, const char *cert_path, const char *key_path, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1)
        return ssl_err(err, cert_path);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
        return ssl_err(err, key_path);
    return SSL_CTX_check_private_key(ctx) == 1 ? 0
                                               : ssl_err(err, "certificate and key do not belong together");
}

/* Trusts the last certificate of the context's own chain. */
static int trust_root(SSL_CTX *ctx, const char *cert_path, struct err *err)
{
    STACK_OF(X509) *chain = NULL;
    if (SSL_CTX_get0_chain_certs(ctx, &chain) != 1 || sk_X509_num(chain) <= 0)
        return err_set(err, ERR_INVALID, "%s does not go as far as the root", cert_path);
    X509 *root = sk_X509_value(chain, sk_X509_num(chain) - 1);
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root) == 1 ? 0 : ssl_err(err, cert_path);
}

static struct tls_context *member_new(const SSL_METHOD *method, const char *uri, struct err *err)
{
    struct tls_context *context = context_new(method, TLS1_3_VERSION);
    if (!context) {
        err_set(err, ERR_NO_MEMORY, "cannot set up TLS");
        return NULL;
    }
    context->member = true;
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    /* No sessions are kept: a peer shows its certificate each time, so that one that was removed stays out. */
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context->ctx, 0);
    if (!uri || text_set(context->uri, sizeof context->uri, uri, strlen(uri)))
        return context;
    err_set(err, ERR_INVALID, "%s is too long", uri);
    tls_context_free(context);
    return NULL;
}

static int member_open(struct tls_context **out, const SSL_METHOD *method, const char *cert_path,
                       const char *key_path, const char *uri, struct err *err)
{
    struct tls_context *context = member_new(method, uri, err);
    int rc = context ? load_member(context->ctx, cert_path, key_path, err) : ERR_INVALID;
    if (rc == 0)
        rc = trust_root(context->ctx, cert_path, err);
    if (rc != 0)
        tls_context_free(context);
    else
        *out = context;
    return rc;
}

int tls_member_server_new(struct tls_context **out, const char *cert_path, const char *key_path,
                          struct err *err)
{
    return member_open(out, TLS_server_method(), cert_path, key_path, NULL, err);
}

int tls_member_client_new(struct tls_context **out, const char *cert_path, const char *key_path,
                          const char *uri, struct err *err)
{
    return member_open(out, TLS_client_method(), cert_path, key_path, uri, err);
}

/* The certificate with the digest among those that a server sent; NULL: it is not there. */
static X509 *find_root(STACK_OF(X509) * sent, const uint8_t digest[TLS_DIGEST_SIZE])
{
    for (int i = 0; i < sk_X509_num(sent); i++) {
        uint8_t its[TLS_DIGEST_SIZE];
        unsigned n = 0;
        X509 *cert = sk_X509_value(sent, i);
        if (X509_digest(cert, EVP_sha256(), its, &n) == 1 && n == sizeof its &&
            memcmp(its, digest, sizeof its) == 0)
            return cert;
    }
    return NULL;
}

/* What OpenSSL would do, had the root been known beforehand. */
static int verify_by_digest(X509_STORE_CTX *given, void *arg)
{
    const struct tls_context *context = arg;
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(given);
    X509 *root = find_root(sent, context->digest);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *verify = X509_STORE_CTX_new();
    int ok = root && store && verify && X509_STORE_add_cert(store, root) == 1 &&
             X509_STORE_CTX_init(verify, store, X509_STORE_CTX_get0_cert(given), sent) == 1 &&
             X509_STORE_CTX_set_default(verify, "ssl_server") == 1 && X509_verify_cert(verify) == 1;
    X509_STORE_CTX_set_error(given, ok ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
    X509_STORE_CTX_free(verify);
    X509_STORE_free(store);
    return ok;
}

int tls_joining_client_new(struct tls_context **out, const uint8_t root_digest[TLS_DIGEST_SIZE],
                           const char *uri, struct err *err)
{
    struct tls_context *context = member_new(TLS_client_method(), uri, err);
    if (!context)
        return ERR_INVALID;
    memcpy(context->digest, root_digest, sizeof context->digest);
    SSL_CTX_set_cert_verify_callback(context->ctx, verify_by_digest, context);
    *out = context;
    return 0;
}

int tls_member_renew(struct tls_context *context, const char *cert_path, const char *key_path,
                     struct err *err)
{
    SSL_CTX *probe =
        SSL_CTX_new(TLS_method()); /* the two are read once more: files that do not match change nothing */
    int rc = probe ? load_member(probe, cert_path, key_path, err)
                   : err_set(err, ERR_NO_MEMORY, "cannot set up TLS");
    SSL_CTX_free(probe);
    return rc == 0 ? load_member(context->ctx, cert_path, key_path, err) : rc;
}

/* ---- pairs ---- */

/* That the peer has its key, too, the handshake proves. */
static int verify_by_own(X509_STORE_CTX *given, void *arg)
{
    const struct tls_context *context = arg;
    const X509 *own = SSL_CTX_get0_certificate(context->ctx), *its = X509_STORE_CTX_get0_cert(given);
    int ok = own && its && X509_cmp(own, its) == 0;
    X509_STORE_CTX_set_error(given, ok ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
    return ok;
}

int tls_pair_new(struct tls_context **out, const char *cert_path, const char *key_path, bool server,
                 struct err *err)
{
    struct tls_context *context =
        context_new(server ? TLS_server_method() : TLS_client_method(), TLS1_3_VERSION);
    int rc = context ? load_member(context->ctx, cert_path, key_path, err)
                     : err_set(err, ERR_NO_MEMORY, "cannot set up TLS");
    if (rc != 0) {
        tls_context_free(context);
        return rc;
    }
    context->pair = true;
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context->ctx, verify_by_own, context);
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context->ctx, 0);
    *out = context;
    return 0;
}

/* ---- who the peer is ---- */

/* Sets the peer's URI from its certificate, of which there must be exactly one (SPIFFE X.509-SVID, 2). False: it is not as it
 * must be. */
static bool read_peer(struct tls_session *session)
{
    X509 *cert = SSL_get0_peer_certificate(session->ssl);
    if (!cert)
        return session->context->uri[0] == 0; /* a client may show none */
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int uris = 0;
    bool fits = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const char *text = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        size_t len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        fits = memchr(text, 0, len) == NULL && text_set(session->peer, sizeof session->peer, text, len);
        uris++;
    }
    GENERAL_NAMES_free(names);
    if (uris != 1 || !fits)
        session->peer[0] = 0;
    return session->peer[0] &&
           (session->context->uri[0] == 0 || strcmp(session->peer, session->context->uri) == 0);
}

bool tls_peer_key(const struct tls_session *session, uint8_t digest[TLS_DIGEST_SIZE])
{
    uint8_t *der = NULL;
    X509 *cert = session->peer[0] ? SSL_get0_peer_certificate(session->ssl) : NULL;
    int n = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : 0;
    if (n > 0)
        digest_sha256(digest, der, (size_t)n);
    OPENSSL_free(der);
    return n > 0;
}

const char *tls_peer(const struct tls_session *session)
{
    return session->peer[0] ? session->peer : NULL;
}

void tls_context_free(struct tls_context *context)
{
    if (!context || atomic_fetch_sub(&context->holders, 1) > 1)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}

static struct tls_session *session_new(struct tls_context *context)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    atomic_fetch_add(&context->holders, 1);
    session->context = context;
    session->ssl = SSL_new(context->ctx);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    if (!session->ssl || !session->in || !session->out)
        abort();
    SSL_set_bio(session->ssl, session->in, session->out);
    buf_init(&session->early, EARLY_MAX);
    return session;
}

struct tls_session *tls_accept(struct tls_context *context)
{
    struct tls_session *session = session_new(context);
    if (session)
        SSL_set_accept_state(session->ssl);
    return session;
}

struct tls_session *tls_connect(struct tls_context *context, const char *host)
{
    struct tls_session *session = session_new(context);
    if (!session)
        return NULL;
    SSL_set_connect_state(session->ssl);
    if (context->member || context->pair)
        return session; /* whatever the host is called */
    if (SSL_set_tlsext_host_name(session->ssl, host) != 1 || SSL_set1_host(session->ssl, host) != 1) {
        tls_free(session);
        return NULL;
    }
    return session;
}

void tls_free(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    buf_fini(&session->early);
    tls_context_free(session->context);
    free(session);
}

bool tls_established(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl);
}

/* Whether the last result means "later", not "broken". */
static bool again(struct tls_session *session, int rc)
{
    int why = SSL_get_error(session->ssl, rc);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static int handshake(struct tls_session *session)
{
    ERR_clear_error(); /* SSL_get_error would take anyone's error for ours */
    int rc = SSL_do_handshake(session->ssl);
    if (rc != 1)
        return again(session, rc) ? 0 : ERR_UPSTREAM;
    if (session->context->member && !read_peer(session))
        return ERR_UPSTREAM;
    if (session->early.len == 0)
        return 0;
    struct buf early = session->early;
    buf_init(&session->early, EARLY_MAX);
    rc = tls_encrypt(session, early.data, early.len);
    buf_fini(&early);
    return rc;
}

int tls_decrypt(struct tls_session *session, const char *data, size_t len,
                void (*plain)(void *ctx, const char *data, size_t len), void *ctx)
{
    if (len > 0 && BIO_write(session->in, data, (int)len) != (int)len)
        return ERR_UPSTREAM;
    if (!tls_established(session)) {
        int rc = handshake(session);
        if (rc != 0 || !tls_established(session))
            return rc;
    }
    char block[16384];
    for (;;) {
        ERR_clear_error();
        int n = SSL_read(session->ssl, block, sizeof block);
        if (n > 0) {
            plain(ctx, block, (size_t)n);
            continue;
        }
        return again(session, n) ? 0 : ERR_UPSTREAM;
    }
}

int tls_encrypt(struct tls_session *session, const char *data, size_t len)
{
    if (!tls_established(session)) {
        buf_add(&session->early, data, len);
        return session->early.failed ? ERR_UPSTREAM : 0;
    }
    while (len > 0) {
        int n = SSL_write(session->ssl, data, len > 1 << 20 ? 1 << 20 : (int)len);
        if (n <= 0)
            return ERR_UPSTREAM;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

size_t tls_pending(struct tls_session *session, const char **data)
{
    char *p = NULL;
    long n = BIO_get_mem_data(session->out, &p);
    *data = p;
    return n > 0 ? (size_t)n : 0;
}

void tls_sent(struct tls_session *session, size_t len)
{
    /* A memory BIO drops what is read from it; the bytes themselves went out already. */
    char sink[4096];
    while (len > 0) {
        int n = BIO_read(session->out, sink, len > sizeof sink ? (int)sizeof sink : (int)len);
        if (n <= 0)
            break;
        len -= (size_t)n;
    }
}
