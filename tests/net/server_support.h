/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server under test with a handler that does what the path says:
 *
 *   /echo     answers with the body            /hold    keeps the request in held[], with an owner
 *   /later    as /hold, without an owner       /flow    streams `flow_total` bytes as fast as it may, with an owner
 *   /answer   answers held[0], then itself     /fields  answers with method, local, uid
 *
 * admit refuses /forbidden with ERR_FORBIDDEN and allows a body of 1000 bytes for /small, else of 1 MiB.
 */
#ifndef BUSBAR_TESTS_SERVER_SUPPORT_H
#define BUSBAR_TESTS_SERVER_SUPPORT_H

#include "net/http_server.h"
#include "tests/net/net_support.h"

#define HELD_MAX 16

struct fixture {
    struct loop loop;
    struct http_server server;
    uint16_t port;
    char dir[32];
    char path[64];
    struct http_request *held[HELD_MAX];
    int nheld, aborts, drains, handled, refusals;
    struct http_request *flow;
    size_t flow_total, flow_sent, flow_queued_max;
    uint64_t taken, given; /* of the last request that was answered, before its answer */
    bool closed;
};

extern struct fixture fx;
extern struct http_server_config fx_config; /* changed by a test before fx_start */

/* cmocka: fx_setup resets fx_config, fx_teardown closes everything and asserts that nothing is left. */
int fx_setup(void **state);
int fx_teardown(void **state);
void fx_start(void);
/* One block of the flow. */
void fx_hold_answer(int i, const char *text);

#endif
