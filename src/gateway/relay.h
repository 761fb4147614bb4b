/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relay: the life of one request on the OpenAI surface. For the files of this folder.
 *
 *   HOLD -> SLOT -> CALL -> STREAM or BODY -> SETTLE -> gone
 *
 * HOLD waits for its draw on the budget, SLOT for a free slot of a replica, CALL for the head of the engine's answer;
 * STREAM forwards events, BODY gathers an answer; SETTLE waits until the final meter record is durable and only then
 * lets the last bytes go. admit.c has the way to CALL, stream.c what happens to events, relay.c the rest.
 *
 * Money: `seen` is what the engine says it produced, `delivered` what of it the client's socket has taken, `posted`
 * what was sent to be recorded, `acked` what of that is durable. A record carries delivered - posted; if it could not be
 * written, posted falls back to acked. At a complete answer delivered is all that was seen.
 */
#ifndef BUSBAR_GATEWAY_RELAY_H
#define BUSBAR_GATEWAY_RELAY_H

#include "core/kinds.h"
#include "gateway/openai.h"
#include "gateway/worker.h"
#include "net/sse.h"

enum relay_state { RELAY_HOLD, RELAY_SLOT, RELAY_CALL, RELAY_STREAM, RELAY_BODY, RELAY_SETTLE };

/* After `offset` bytes of the connection these tokens have been delivered. */
struct relay_mark {
    uint64_t offset;
    struct tokens tokens;
};

#define RELAY_MARKS 32
#define RELAY_CHOICES 16

/* What only a stream needs; allocated when one begins. */
struct relay_stream {
    struct relay *relay;
    struct sse sse;
    struct buf out; /* events that wait to be sent together */
    struct list in_flush;
    struct relay_mark marks[RELAY_MARKS];
    uint32_t nmarks;
    uint32_t choice[RELAY_CHOICES]; /* completion tokens by choice */
    bool done;                      /* the engine's [DONE] has come */
    bool ended;                     /* the engine's answer is complete */
    bool exact;                     /* counts come from the engine */
};

struct relay {
    struct worker *worker;
    struct list node;
    struct http_request *request; /* NULL once the client is gone or answered */
    struct snapshot *snapshot;
    const struct snap_model *model;
    const struct snap_price *price; /* that it was admitted under */
    struct limiter *limiter;
    enum relay_state state;
    enum engine_surface surface;
    bool stream, include_usage, final_posted, freed;
    bool settle_due;  /* the last record waits for the reply to the one before */
    bool unreached;   /* the hub says that it did not get to the replica */
    bool moved;       /* a way to a site broke before the first byte: it was asked elsewhere, once */
    uint32_t pending; /* meter records without a reply yet */
    struct uuid id, key, tenant;
    uint32_t max_tokens, rpm, tpm;
    uint32_t n; /* choices */
    uint64_t tpm_taken;
    struct tokens worst, seen, delivered, posted, acked, progressed;
    struct tokens in_progress, in_final; /* of the records under way */
    uint64_t final_sequence, final_token;
    struct purse_waiter hold; /* with the draw */
    struct slot_waiter slot;
    struct backend *backend;
    struct uuid variant, site; /* where it runs, or ran */
    char chip[CHIP_CAP];       /* the same */
    char version[NAME_CAP];    /* of its engine */
    struct http_call *call;
    struct buf body; /* to the engine; later, from it */
    struct relay_stream *flow;
    struct deadline deadline;
    uint32_t flags;   /* of the final record */
    uint32_t status;  /* of the final record, and of the answer */
    const char *tail; /* sent when the final record is durable, after `body`; a literal */
    int64_t started_ms;
    uint64_t started_ns, last_ns;
    uint64_t called_ns; /* when a replica was asked first */
    struct limit_state rate_requests, rate_tokens;
};

/* admit.c */
void relay_begin(struct worker *worker, struct http_request *request, enum engine_surface surface);
/* The slot came. */
void relay_granted(struct relay *relay);
/* The engine could not be reached, or the way to it broke before it said anything: the request waits for another one, or for
 * this one's return. */
void relay_again(struct relay *relay);
void relay_hold_late(struct deadline *deadline);
void relay_queue_late(struct deadline *deadline);
void relay_cold_late(struct deadline *deadline);

/* relay.c */
/* Ends without a record: nothing was produced. */
void relay_refuse(struct relay *relay, int code, const char *message);
/* Posts the final record; the tail follows its reply. */
void relay_settle(struct relay *relay);
void relay_progress(struct relay *relay, uint32_t flags);
void relay_record_due(struct deadline *deadline);
void relay_settle_late(struct deadline *deadline);
/* The worker stops: ends with an error, metered. */
void relay_shutdown(struct relay *relay);
void relay_release_engine(struct relay *relay);
/* Head fields of every answer: request id, rate limits. */
void relay_fields(const struct relay *relay, char *dst, size_t cap);
/* Appends the line that names the answer's receipt (docs/log.md). */
void relay_receipt_field(const struct relay *r, char *dst, size_t cap);
/* A head field with a new request id, for answers that no relay gives. */
#define REQUEST_ID_CAP 64
void relay_new_id(char dst[REQUEST_ID_CAP]);
void relay_fail_stream(struct relay *relay, int code);
void relay_error(struct worker *worker, struct http_request *request, int code, const char *message,
                 const char *param, const char *fields);
extern const struct http_call_events relay_call_events;

/* stream.c */
int stream_begin(struct relay *relay);
void stream_free(struct relay *relay);
void stream_bytes(struct relay *relay, const char *data, size_t len);
void stream_flush(struct relay *relay);
/* Brings `delivered` up to what the socket has taken. */
void stream_account(struct relay *relay);

#endif
