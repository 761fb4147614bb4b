/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Support for tests of server and client: one loop, and raw sockets that are read and written by hand beside it.
 *
 * Everything runs on one thread: a wait turns the loop in short steps and looks at the raw socket between them, so a
 * test decides exactly which bytes exist when. Waits end early on what they wait for and fail the test after 5 s.
 */
#ifndef BUSBAR_TESTS_NET_SUPPORT_H
#define BUSBAR_TESTS_NET_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "net/loop.h"

#define WAIT_MS 5000

struct raw {
    int fd;
    struct buf in; /* what has come and was not taken yet; NUL-terminated by raw_wait */
    bool eof;      /* the peer has closed, or reset */
    bool reset;
};

/* Turns the loop for that long. */
void spin(struct loop *loop, uint64_t ms);
/* Turns the loop until *flag is at least `want`. */
void spin_until(struct loop *loop, const int *flag, int want);
uint64_t now_ms(void);

void raw_tcp(struct raw *raw, uint16_t port);
void raw_unix(struct raw *raw, const char *path);
/* Listens on 127.0.0.1; the port. `backlog` as for listen. */
int raw_listen(uint16_t *port, int backlog);
/* Accepts one connection, turning the loop meanwhile. */
void raw_accept(struct raw *raw, struct loop *loop, int listener);
/* Whether a connection waits to be accepted now. */
bool raw_pending(int listener);
void raw_send(struct raw *raw, struct loop *loop, const void *data, size_t len);
void raw_text(struct raw *raw, struct loop *loop, const char *text);
/* Reads what there is without waiting; how many bytes. */
size_t raw_read(struct raw *raw);
/* Turns the loop until `text` has come (it and what is before it are then taken). */
void raw_expect(struct raw *raw, struct loop *loop, const char *text);
/* Until that many bytes are there. */
void raw_wait_len(struct raw *raw, struct loop *loop, size_t len);
/* Until the peer has closed; what came before stays in `in`. */
void raw_wait_eof(struct raw *raw, struct loop *loop);
/* Nothing comes for that long, and the connection stays. */
void raw_quiet(struct raw *raw, struct loop *loop, uint64_t ms);
void raw_close(struct raw *raw);
/* How often `text` is in what has come. */
unsigned raw_count(struct raw *raw, const char *text);

#endif
