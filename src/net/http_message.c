/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define FRAMING_PAID 16 /* bytes of framing that a byte of body pays for */

/* Where in the request line we are. llhttp is lenient here: it takes bare CR and LF before the line, HTTP/0.9 without
 * a version, spaces before the version, and RTSP or ICE in place of HTTP. */
enum { LINE_START, LINE_CR, LINE_METHOD, LINE_TARGET, LINE_VERSION, LINE_DONE = LINE_VERSION + 5 };

static struct http_message *message_of(llhttp_t *parser)
{
    return parser->data;
}

/* A refusal with the HTTP status that fits; the parser stops at once. */
static int refuse(struct http_message *m, int status, const char *reason)
{
    if (m->status == 0) {
        m->status = (uint16_t)status;
        m->reason = reason;
    }
    return HPE_USER;
}

/* Unreserved and sub-delims (RFC 3986 section 2), "%", ":" and "@": what a path segment may hold. */
static bool is_pchar(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~!$&'()*+,;=%:@", c));
}

/* Appends to the head's bytes. */
static bool keep(struct http_message *m, const char *data, size_t len)
{
    struct http_head *h = m->head;
    if (len > sizeof h->bytes - h->used)
        return false;
    memcpy(h->bytes + h->used, data, len);
    h->used = (uint16_t)(h->used + len);
    return true;
}

/* Heads come and go with each message, and a block this large is slow to take from the heap. */
#define SPARE_HEADS_MAX 64
struct spare_head {
    struct spare_head *next;
};
static _Thread_local struct spare_head *spare_heads;
static _Thread_local unsigned nspare_heads;

static struct http_head *head_take(void)
{
    struct spare_head *spare = spare_heads;
    if (!spare)
        return malloc(sizeof(struct http_head));
    spare_heads = spare->next;
    nspare_heads--;
    return (struct http_head *)(void *)spare;
}

static int on_begin(llhttp_t *parser)
{
    struct http_message *m = message_of(parser);
    if (!m->head)
        m->head = head_take();
    if (!m->head)
        return refuse(m, 503, "out of memory");
    m->head->used = m->head->nfields = m->head->target_len = 0;
    return 0;
}

static int on_url(llhttp_t *parser, const char *data, size_t len)
{
    struct http_message *m = message_of(parser);
    for (size_t i = 0; i < len; i++) {
        if (!is_pchar((unsigned char)data[i]) && data[i] != '/' && data[i] != '?')
            return refuse(m, 400, "the request target holds a byte that is not allowed");
    }
    if (m->head->target_len + len > HTTP_TARGET_MAX || !keep(m, data, len))
        return refuse(m, 414, "the request target is too long");
    m->head->target_len = (uint16_t)(m->head->target_len + len);
    return 0;
}

static int on_field(llhttp_t *parser, const char *data, size_t len)
{
    struct http_message *m = message_of(parser);
    if (m->head_done)
        return refuse(m, 400, "trailers are not accepted");
    struct http_head *h = m->head;
    if (m->field_open || h->nfields == 0) {
        if (h->nfields == HTTP_FIELDS_MAX)
            return refuse(m, 431, "too many header fields");
        h->field[h->nfields++] = (struct http_field){.name = h->used};
        m->field_open = false;
    }
    struct http_field *f = &h->field[h->nfields - 1];
    if (!keep(m, data, len))
        return refuse(m, 431, "the header fields are too large");
    for (size_t i = 0; i < len; i++) {
        char *c = &h->bytes[f->name + f->name_len + i];
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 'a' - 'A');
    }
    f->name_len = (uint16_t)(f->name_len + len);
    f->value = h->used;
    return 0;
}

static int on_value(llhttp_t *parser, const char *data, size_t len)
{
    struct http_message *m = message_of(parser);
    struct http_head *h = m->head;
    struct http_field *f = &h->field[h->nfields - 1];
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return refuse(m, 400, "a header field holds a control character");
    }
    if (!m->field_open) {
        f->value = h->used;
        m->field_open = true;
    }
    if (!keep(m, data, len))
        return refuse(m, 431, "the header fields are too large");
    f->value_len = (uint16_t)(f->value_len + len);
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_message *m = message_of(parser);
    struct http_field *f = &m->head->field[m->head->nfields - 1];
    const char *value = m->head->bytes + f->value;
    while (f->value_len > 0 && (value[f->value_len - 1] == ' ' || value[f->value_len - 1] == '\t'))
        f->value_len--;   /* RFC 9112 section 5: whitespace after a value is no part of it */
    m->field_open = true; /* an empty value has no on_value */
    return 0;
}

static bool field_is(const struct http_head *h, const struct http_field *f, const char *name, size_t len)
{
    return f->name_len == len && memcmp(h->bytes + f->name, name, len) == 0;
}

/* Fields that may come once only, since two readers could each believe another one. */
#define SINGLE(name) \
    { \
        name, sizeof(name) - 1 \
    }
static const struct {
    const char *name;
    size_t len;
} single[] = {SINGLE("content-length"), SINGLE("transfer-encoding"), SINGLE("host"),
              SINGLE("authorization"),  SINGLE("content-type"),      SINGLE("expect")};

static int check_fields(struct http_message *m)
{
    const struct http_head *h = m->head;
    unsigned seen[sizeof single / sizeof single[0]] = {0};
    for (uint16_t i = 0; i < h->nfields; i++) {
        for (size_t k = 0; k < sizeof single / sizeof single[0]; k++) {
            if (field_is(h, &h->field[i], single[k].name, single[k].len) && ++seen[k] > 1)
                return refuse(m, 400, "a header field that must come once is repeated");
        }
    }
    size_t len, te_len;
    const char *cl = http_field(m, "content-length", &len);
    const char *te = http_field(m, "transfer-encoding", &te_len);
    uint64_t ignored;
    if (cl && (len > 15 || !u64_parse(cl, len, UINT64_MAX, &ignored)))
        return refuse(m, 400, "Content-Length is not a plain number");
    if (te && !(te_len == 7 && strncasecmp(te, "chunked", 7) == 0))
        return refuse(m, 501, "this Transfer-Encoding is not supported");
    if (te && (cl || m->parser.http_minor == 0))
        return refuse(m, 400, "Transfer-Encoding does not go with this message");
    return 0;
}

static int check_request(struct http_message *m)
{
    size_t len;
    const char *host = http_field(m, "host", &len);
    if (!host && m->parser.http_minor == 1)
        return refuse(m, 400, "the Host field is missing");
    for (size_t i = 0; i < len; i++) {
        if (host[i] == ',' || host[i] == '@' ||
            (!is_pchar((unsigned char)host[i]) && host[i] != '[' && host[i] != ']'))
            return refuse(m, 400, "the Host field is not valid");
    }
    if (m->parser.method == HTTP_CONNECT || (m->parser.upgrade && !m->upgrades))
        return refuse(m, 501, "CONNECT and Upgrade are not supported");
    if (m->head->target_len == 0 || m->head->bytes[0] != '/')
        return refuse(m, 400, "the request target must be a path");
    return 0;
}

static int check_response(struct http_message *m)
{
    unsigned status = m->parser.status_code;
    if (status < 100 || status > 599 || status == 101) /* 101: we never ask for another protocol */
        return refuse(m, 502, "the status is not one that may be sent here");
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_message *m = message_of(parser);
    if (parser->http_major != 1 || parser->http_minor > 1)
        return refuse(m, 505, "only HTTP/1.0 and HTTP/1.1 are supported");
    int rc = check_fields(m);
    if (rc == 0)
        rc = parser->type == HTTP_REQUEST ? check_request(m) : check_response(m);
    if (rc != 0)
        return -1;
    m->head_done = true;
    int status = m->events->on_head(m);
    if (status != 0) {
        refuse(m, status, m->reason);
        return -1;
    }
    return 0;
}

static int on_body(llhttp_t *parser, const char *data, size_t len)
{
    struct http_message *m = message_of(parser);
    /* Each byte of body also pays for some framing: a stream of many small chunks may go on for long. */
    size_t paid = len <= UINT32_MAX / (1 + FRAMING_PAID) ? len * (1 + FRAMING_PAID) : UINT32_MAX;
    m->framing -= (uint32_t)(paid < m->framing ? paid : m->framing);
    int status = m->events->on_body(m, data, len);
    return status ? refuse(m, status, m->reason) : 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *data, size_t len)
{
    (void)data;
    (void)len;
    return refuse(message_of(parser), 400, "chunk extensions are not accepted");
}

static int on_complete(llhttp_t *parser)
{
    message_of(parser)->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_message_complete = on_complete,
};

void http_message_init(struct http_message *m, bool request, const struct http_message_events *events)
{
    *m = (struct http_message){.events = events, .line = request ? LINE_START : LINE_DONE};
    llhttp_init(&m->parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    m->parser.data = m;
}

void http_message_fini(struct http_message *m)
{
    http_head_drop(m);
}

void http_message_reset(struct http_message *m)
{
    bool request = m->parser.type == HTTP_REQUEST, upgrades = m->upgrades;
    http_head_drop(m); /* an idle connection costs no head; the next one takes a spare */
    http_message_init(m, request, m->events);
    m->upgrades = upgrades;
}

static ssize_t broken(struct http_message *m, llhttp_errno_t code)
{
    static const struct {
        llhttp_errno_t code;
        int status;
    } statuses[] = {
        {HPE_INVALID_VERSION, 505},
        {HPE_INVALID_METHOD, 400},
        {HPE_INVALID_TRANSFER_ENCODING, 400},
    };
    int status = 400;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (statuses[i].code == code)
            status = statuses[i].status;
    }
    const char *reason = llhttp_get_error_reason(&m->parser);
    refuse(m, status, reason && *reason ? reason : "the message is malformed");
    return -1;
}

static bool line_step(struct http_message *m, char c)
{
    switch (m->line) {
    case LINE_START:
        m->line = c == '\r' ? LINE_CR : LINE_METHOD;
        return c == '\r' || (c >= 'A' && c <= 'Z');
    case LINE_CR:
        m->line = LINE_START;
        return c == '\n';
    case LINE_METHOD:
    case LINE_TARGET:
        if (c == ' ')
            m->line++;
        return c != '\r' && c != '\n';
    default:
        return c == "HTTP/"[m->line++ - LINE_VERSION];
    }
}

ssize_t http_message_feed(struct http_message *m, const char *data, size_t len)
{
    if (m->status != 0)
        return -1;
    if (m->complete)
        return 0;
    size_t ok = 0;
    while (ok < len && m->line != LINE_DONE && line_step(m, data[ok]))
        ok++;
    bool line_bad = ok < len && m->line != LINE_DONE;
    if (!line_bad)
        ok = len;
    /* on_body takes its share back, so what stays counted is framing: heads and chunk headers. */
    uint32_t before = m->framing;
    m->framing = ok > UINT32_MAX - before ? UINT32_MAX : before + (uint32_t)ok;
    llhttp_errno_t code = llhttp_execute(&m->parser, data, ok);
    if (m->status != 0)
        return -1;
    if (code != HPE_OK && !(code == HPE_PAUSED && m->complete))
        return broken(m, code);
    size_t used = m->complete ? (size_t)(llhttp_get_error_pos(&m->parser) - data) : ok;
    m->framing -= (uint32_t)(ok - used < m->framing ? ok - used : m->framing);
    if (line_bad)
        refuse(m, 400, "the request line is malformed");
    else if (m->framing > HTTP_FRAMING_MAX)
        refuse(m, 400, "the framing of the message is too long");
    return m->status == 0 ? (ssize_t)used : -1;
}

int http_message_eof(struct http_message *m)
{
    if (m->status != 0 || m->complete)
        return m->complete ? 0 : -1;
    llhttp_errno_t code = llhttp_finish(&m->parser);
    return m->complete && (code == HPE_OK || code == HPE_PAUSED) ? 0 : -1;
}

const char *http_field(const struct http_message *m, const char *name, size_t *len)
{
    size_t name_len = strlen(name);
    const struct http_head *h = m->head;
    for (uint16_t i = 0; h && i < h->nfields; i++) {
        if (field_is(h, &h->field[i], name, name_len)) {
            *len = h->field[i].value_len;
            return h->bytes + h->field[i].value;
        }
    }
    *len = 0;
    return NULL;
}

bool http_keep_alive(const struct http_message *m)
{
    return llhttp_should_keep_alive(&m->parser);
}

void http_head_drop(struct http_message *m)
{
    struct spare_head *spare = (struct spare_head *)(void *)m->head;
    m->head = NULL;
    if (!spare)
        return;
    if (nspare_heads == SPARE_HEADS_MAX) {
        free(spare);
        return;
    }
    spare->next = spare_heads;
    spare_heads = spare;
    nspare_heads++;
}

void http_heads_release(void)
{
    while (spare_heads) {
        struct spare_head *next = spare_heads->next;
        free(spare_heads);
        spare_heads = next;
    }
    nspare_heads = 0;
}
