/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages: llhttp behind checks that are stricter still, for requests and responses alike.
 *
 * The head of a message (method, target, header fields) is kept in one bounded block until http_head_drop, so that a
 * message that streams for minutes costs little. Refused, beyond what llhttp refuses: a request without exactly one
 * Host; any repeated Content-Length, Transfer-Encoding, Host, Authorization or Content-Type; Content-Length that is
 * not 1 to 15 digits; any Transfer-Encoding but "chunked", and that in HTTP/1.0 or beside Content-Length; trailers
 * and chunk extensions; versions other than 1.0 and 1.1; CONNECT, and Upgrade unless `upgrades` is set; bytes in the target or in fields that
 * RFC 9110 and 9112 do not allow. (RFC 9112 sections 2.2, 3.2, 5, 6.1, 7.1, 11.2.)
 */
#ifndef BUSBAR_NET_HTTP_MESSAGE_H
#define BUSBAR_NET_HTTP_MESSAGE_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEAD_MAX 16384 /* bytes of target, names and values together */
#define HTTP_TARGET_MAX 4096
#define HTTP_FIELDS_MAX 100
#define HTTP_FRAMING_MAX 65536 /* bytes of framing (heads, chunk headers) in one message */

struct http_field {
    uint16_t name, name_len; /* offsets into bytes; names are lower case */
    uint16_t value, value_len;
};

struct http_head {
    uint16_t used;
    uint16_t nfields;
    uint16_t target_len; /* the target is at offset 0 */
    struct http_field field[HTTP_FIELDS_MAX];
    char bytes[HTTP_HEAD_MAX];
};

struct http_message;
struct http_message_events {
    /* The head is complete and passed every check. Non-zero: an HTTP status to refuse with. */
    int (*on_head)(struct http_message *message);
    /* A piece of the body, framing removed. Non-zero: an HTTP status to refuse with. */
    int (*on_body)(struct http_message *message, const char *data, size_t len);
};

struct http_message {
    llhttp_t parser;
    const struct http_message_events *events;
    struct http_head *head; /* NULL before the first byte and after http_head_drop */
    const char *reason;     /* of a refusal, static */
    uint32_t framing;       /* bytes that were not body, less what the body paid for */
    uint16_t status;        /* what to refuse with, 0 while all is well */
    uint8_t line;           /* how far in the request line */
    bool head_done;
    bool complete;
    bool field_open; /* a value was begun; the next name begins a new field */
    bool upgrades;   /* of a request: it may ask for another protocol; kept by a reset */
};

void http_message_init(struct http_message *m, bool request, const struct http_message_events *events);
void http_message_fini(struct http_message *m);
/* Ready for the next message on the same connection. */
void http_message_reset(struct http_message *m);

/* Feeds bytes; stops after the end of one message. Returns how many were used, or -1 with status and reason set. */
ssize_t http_message_feed(struct http_message *m, const char *data, size_t len);
/* The peer ended its data. 0 if that completes a response without length, else -1. */
int http_message_eof(struct http_message *m);

/* Of a complete head. NULL with *len 0 when there is no such field; `name` in lower case. */
const char *http_field(const struct http_message *m, const char *name, size_t *len);
/* Whether the peer wants and the message allows the connection to be used again. */
bool http_keep_alive(const struct http_message *m);
void http_head_drop(struct http_message *m);
/* Frees the blocks that this thread keeps for further heads: before it ends. */
void http_heads_release(void);

#endif
