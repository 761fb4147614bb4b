/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client under test, against an upstream that the test plays by hand with raw sockets. One call at a time is watched
 * by `seen`; it may be told to cancel or pause from within a callback.
 */
#ifndef BUSBAR_TESTS_CLIENT_SUPPORT_H
#define BUSBAR_TESTS_CLIENT_SUPPORT_H

#include "net/http_client.h"
#include "tests/net/net_support.h"

struct seen {
    struct http_call *call;
    int heads, bodies, ends, status, rc;
    struct buf body;
    char type[64];
    bool cancel_in_head, cancel_in_body, pause_in_head, pause_in_body, call_again_in_end;
};

struct client_fixture {
    struct loop loop;
    struct http_client *client;
    struct http_client_config config;
    struct http_endpoint endpoint;
    int listener;
    uint16_t port;
    struct seen seen;
};

extern struct client_fixture cx;

int cx_setup(void **state);
int cx_teardown(void **state);
/* Makes the client from cx.config, which cx_setup filled. */
void cx_start(void);
/* POST /v1/x with a body "ping"; what is seen goes to cx.seen, which is reset. */
void cx_call(void);
/* The upstream reads the whole request. */
void cx_request(struct raw *up);
/* Until on_end; its rc. */
int cx_end(void);

#define REQUEST_END "\r\n\r\nping"
#define ANSWER(body, n) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " #n "\r\n\r\n" body

#endif
