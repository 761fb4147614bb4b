/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 through OpenSSL, as a filter: ciphertext in and out through memory, the sockets stay with net/stream.c.
 *
 * A context holds certificate, key and trust; it is made once, never changed, and shared by all threads. A session
 * belongs to one stream. Versions below 1.3 are refused for our own listeners; as a client 1.2 is accepted, since
 * engines elsewhere may offer no more.
 */
#ifndef BUSBAR_NET_TLS_H
#define BUSBAR_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct tls_context;
struct tls_session;

int tls_server_new(struct tls_context **out, const char *cert_path, const char *key_path, struct err *err);
/* Trusts the system's certificate authorities. */
int tls_client_new(struct tls_context **out, struct err *err);
void tls_context_free(struct tls_context *context);

struct tls_session *tls_accept(struct tls_context *context);
/* Verifies that the peer is `host`. */
struct tls_session *tls_connect(struct tls_context *context, const char *host);
void tls_free(struct tls_session *session); /* NULL is fine */
bool tls_established(const struct tls_session *session);

/* Feeds ciphertext, drives the handshake, gives the plaintext that comes out. 0 or ERR_UPSTREAM. */
int tls_decrypt(struct tls_session *session, const char *data, size_t len,
                void (*plain)(void *ctx, const char *data, size_t len), void *ctx);
/* Before the handshake is done, plaintext waits inside. 0 or ERR_UPSTREAM. */
int tls_encrypt(struct tls_session *session, const char *data, size_t len);
/* Ciphertext that is ready to be sent; 0 when none. tls_sent drops what was. */
size_t tls_pending(struct tls_session *session, const char **data);
void tls_sent(struct tls_session *session, size_t len);

#endif
