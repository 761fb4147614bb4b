/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 through OpenSSL, as a filter: ciphertext in and out through memory, the sockets stay with net/stream.c.
 *
 * A context holds certificate, key and trust; it is made once, never changed, and shared by all threads. A session
 * belongs to one stream. Versions below 1.3 are refused for our own listeners; as a client 1.2 is accepted, since
 * engines elsewhere may offer no more.
 *
 * Members of a network (net/pki.h) know one another by certificates that hang from its root, whatever the host is called:
 * who the peer is stands in its URI. Both sides speak 1.3.
 *
 * A pair is two ends that share one key and one certificate, made for them alone: each shows it, and takes only who has it as well.
 */
#ifndef BUSBAR_NET_TLS_H
#define BUSBAR_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TLS_DIGEST_SIZE 32 /* SHA-256 */
#define TLS_URI_CAP 200

struct tls_context;
struct tls_session;

int tls_server_new(struct tls_context **out, const char *cert_path, const char *key_path, struct err *err);
/* Trusts the system's certificate authorities. */
int tls_client_new(struct tls_context **out, struct err *err);
/* Of a member, whose file of certificates ends in the root. A client may show no certificate: tls_peer tells. */
int tls_member_server_new(struct tls_context **out, const char *cert_path, const char *key_path,
                          struct err *err);
/* The server must be `uri`. */
int tls_member_client_new(struct tls_context **out, const char *cert_path, const char *key_path,
                          const char *uri, struct err *err);
/* The same for one who is no member yet, and knows of the root only its SHA-256. */
int tls_joining_client_new(struct tls_context **out, const uint8_t root_digest[TLS_DIGEST_SIZE],
                           const char *uri, struct err *err);
/* One end of a pair, 1.3 only. How long the certificate is valid does not count: it is as good as the two ends hold it to be. */
int tls_pair_new(struct tls_context **out, const char *cert_path, const char *key_path, bool server,
                 struct err *err);
/* Another certificate and key for sessions from now on; after an error those before stay. On the loop of the sessions. */
int tls_member_renew(struct tls_context *context, const char *cert_path, const char *key_path,
                     struct err *err);
/* Sessions that are open go on. */
void tls_context_free(struct tls_context *context);

struct tls_session *tls_accept(struct tls_context *context);
/* Verifies that the peer is `host`. */
struct tls_session *tls_connect(struct tls_context *context, const char *host);
void tls_free(struct tls_session *session); /* NULL is fine */
bool tls_established(const struct tls_session *session);
/* The URI of the member at the other end, verified; NULL: it showed no certificate, or the handshake is not done. */
const char *tls_peer(const struct tls_session *session);
/* SHA-256 of its key (SubjectPublicKeyInfo); false where there is no tls_peer. */
bool tls_peer_key(const struct tls_session *session, uint8_t digest[TLS_DIGEST_SIZE]);

/* Feeds ciphertext, drives the handshake, gives the plaintext that comes out. 0 or ERR_UPSTREAM. */
int tls_decrypt(struct tls_session *session, const char *data, size_t len,
                void (*plain)(void *ctx, const char *data, size_t len), void *ctx);
/* Before the handshake is done, plaintext waits inside. 0 or ERR_UPSTREAM. */
int tls_encrypt(struct tls_session *session, const char *data, size_t len);
/* Ciphertext that is ready to be sent; 0 when none. tls_sent drops what was. */
size_t tls_pending(struct tls_session *session, const char **data);
void tls_sent(struct tls_session *session, size_t len);

#endif
