/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace: what the HTTP parser made of some bytes, as text, so that two ways of feeding it compare as strings.
 *
 * `log` holds heads, bodies and ends of all messages; `outcomes` one word for each message: ok, a status ("bad" for a
 * response), wait, eof. Both end in NUL after trace_end. Shared by the tests and the fuzz targets.
 */
#ifndef BUSBAR_TESTS_NET_TRACE_H
#define BUSBAR_TESTS_NET_TRACE_H

#include "base/buf.h"
#include "net/http_message.h"

struct trace {
    struct http_message message;
    struct buf log;
    struct buf body;
    struct buf outcomes;
    size_t begin; /* of the current message in the log */
    bool partial; /* a message was begun */
};

void trace_init(struct trace *t, bool request);
void trace_fini(struct trace *t);
/* False once a message was refused. */
bool trace_feed(struct trace *t, const char *data, size_t len);
void trace_end(struct trace *t);

#endif
