/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relay: a listening socket behind which another socket is. Whoever connects to the one is joined to the other.
 *
 * The two become one by net/splice.h, with its back-pressure. When the socket behind cannot be dialled, or ends before who came
 * does, the caller is told: what is behind is gone. Who comes when RELAY_MAX are joined is cut at once.
 */
#ifndef BUSBAR_NET_RELAY_H
#define BUSBAR_NET_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/loop.h"

#define RELAY_MAX 64u

struct relay;

struct relay_config {
    struct loop *loop;
    int fd; /* listens, does not block; the relay's from now on, also when it cannot be opened */
    bool is_unix;
    const char *path; /* of the socket behind, borrowed; NULL: it is a port of 127.0.0.1 */
    uint16_t port;
    void (*lost)(void *ctx); /* NULL: nobody asks. May close the relay */
    void *ctx;
};

/* ERR_NO_MEMORY, ERR_IO with words. */
int relay_open(struct relay **out, const struct relay_config *config, struct err *err);
/* Closes all; the memory goes with relay_free, once the loop has run. */
void relay_close(struct relay *relay);
void relay_free(struct relay *relay);

#endif
