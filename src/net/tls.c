/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/buf.h"

#define EARLY_MAX ((size_t)16 << 20)

struct tls_context {
    SSL_CTX *ctx;
};

struct tls_session {
    SSL *ssl;
    BIO *in;          /* ciphertext from the peer; owned by ssl */
    BIO *out;         /* ciphertext to the peer; owned by ssl */
    struct buf early; /* plaintext written before the handshake was done */
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

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}

static struct tls_session *session_new(struct tls_context *context)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
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
