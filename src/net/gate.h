/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gate: a TCP port behind which a unix socket is, for those who have the key of the pair (net/tls.h).
 *
 * Whoever connects shows by TLS 1.3 that it has the key; then the socket is dialled and the two become one (net/splice.h), with
 * its back-pressure. Who has not is cut before one byte of the socket's is written to it, and where no socket answers so is who has.
 * An end that goes without a word is found after GATE_SILENCE_MS. Bounds: GATE_MAX connections, GATE_HELLO_MS until one has shown the key; GATE_EARLY_MAX bytes that come with the key.
 */
#ifndef BUSBAR_NET_GATE_H
#define BUSBAR_NET_GATE_H

#include "net/loop.h"
#include "net/tls.h"

#define GATE_MAX 1024
#define GATE_HELLO_MS 5000
#define GATE_SILENCE_MS 10000
#define GATE_EARLY_MAX ((size_t)256 << 10)

struct gate;

struct gate_config {
    struct loop *loop;
    struct tls_context *tls; /* stays the caller's */
    /* The socket's path; NULL: nothing answers there now. */
    const char *(*find)(void *ctx);
    void *ctx;
};

/* Listens on all addresses of IPv4, on a port that the system chooses. */
int gate_open(struct gate **out, const struct gate_config *config, uint16_t *port, struct err *err);
/* Closes all; the memory goes with gate_free, once the loop has run. */
void gate_close(struct gate *gate);
void gate_free(struct gate *gate);

#endif
