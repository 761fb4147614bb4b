/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hub API: JSON over HTTP for everything that the command line does. For the files of this folder.
 *
 * A call goes through up to four steps, of which a handler names those that it needs:
 *   parse   on the worker's thread: reads parameters and body, may refuse
 *   prepare on the core thread, reading the state: resolves names, may refuse, may fill `events`
 *   work    on a thread that may block: files, queries of the store
 *   finish  on the core thread after all events are durable: renders the answer from the new state
 * Each returns 0 or an error code with words in call->err. What prepare or finish saw is durable when the client hears
 * of it. The call owns everything that it points to; the client may go away at any time and the call still ends.
 */
#ifndef BUSBAR_HUB_API_H
#define BUSBAR_HUB_API_H

#include <unistd.h>

#include "core/kinds.h"
#include "core/view.h"
#include "gateway/apikey.h"
#include "gateway/gateway.h"
#include "hub/amount.h"
#include "hub/hub.h"
#include "net/json.h"

enum role { ROLE_PUBLIC, ROLE_KEY, ROLE_JOBS, ROLE_TENANT_ADMIN, ROLE_OVERSEER, ROLE_OPERATOR, ROLE_LOCAL };

#define CALL_EVENTS_MAX 4
#define CALL_PARAM_MAX 128
#define SECRET_CAP 160
#define PAGE_MAX 1000
#define PAGE_DEFAULT 100

struct api_call;
typedef int api_step(struct api_call *call);
typedef int api_read_step(struct api_call *call, const struct core *core);

struct api_handler {
    api_step *parse;
    api_read_step *prepare;
    api_step *work;
    api_read_step *finish;
    /* The events were refused, or not recorded, with call->rc: takes back what `work` did. True: begin again with `work`. */
    bool (*refused)(struct api_call *call);
    /* Of `work`, asked on the worker's thread while it runs. True: tell the client, in lines of JSON. */
    bool (*progress)(struct api_call *call, uint64_t *bytes, uint64_t *total);
    int status;         /* of success; 0: 200 */
    bool raw;           /* the body is bytes, not JSON */
    const char *type;   /* of the answer; NULL: JSON */
    const char *fields; /* further lines of the head, each with its end; NULL: none */
};

struct api_call {
    struct hub *hub;
    struct worker *worker;
    struct http_request *request; /* NULL once the client has gone */
    const struct api_handler *handler;
    bool operator_;             /* may act for every tenant */
    struct snap_key key;        /* of the caller, unless it is local */
    char param[CALL_PARAM_MAX]; /* the part of the path in braces */
    char *query;                /* copy, NUL-terminated */
    yyjson_doc *doc;
    struct err err;
    struct event events[CALL_EVENTS_MAX];
    struct event *many; /* where there are more: in place of these; freed with free() */
    uint32_t nevents, posted;
    struct buf out;
    void *data;              /* of the handler; freed with free() */
    char secret[SECRET_CAP]; /* a new key or token, shown in the answer only */
    struct uuid id;          /* of what the call is about */
    uv_work_t work;
    uv_timer_t *timer; /* of the progress; freed by its close */
    void (*after_events)(struct api_call *call);
    uint32_t again_ms; /* `work` sets it to be run again so much later, while the client waits */
    bool streaming;    /* the answer is lines of JSON, the last one is the result */
    int rc;
};

/* Every handler of routes.def. */
#define ROUTE(method, path, handler, role, limit) extern const struct api_handler api_##handler;
#include "hub/routes.def"
#undef ROUTE

/* Value of a query parameter into dst (percent-decoded); false when it is absent. ERR_INVALID shows up as *bad. */
bool call_query(const struct api_call *call, const char *name, char *dst, size_t cap);
/* Page limit and cursor of a listing that goes on from a number, `max` at most; without a cursor *from is 0. */
int call_page_from(struct api_call *call, uint64_t max, uint32_t *limit, uint64_t *from);
/* The same of what belongs to tenants; *tenant: the one that is asked for, NULL: all that the key may see. */
int call_page_of(struct api_call *call, const struct core *core, uint32_t *limit, uint32_t *from,
                 const struct row_tenant **tenant);
/* The same of one that goes on behind an id; without a cursor *begun is false, and *after zero. */
int call_page_after(struct api_call *call, uint32_t *limit, struct uuid *after, bool *begun);

/* A member of the body; NULL: it is absent, or null. */
yyjson_val *body_member(const struct api_call *call, const char *name);
/* Reading members of the body. Each returns 0 or ERR_INVALID with words. Absent optional members leave *out alone. */
int body_text(struct api_call *call, const char *name, bool required, char *dst, size_t cap);
int body_name(struct api_call *call, const char *name, char dst[NAME_CAP]);
int body_count(struct api_call *call, const char *name, uint64_t max, uint64_t *out);
int body_amount(struct api_call *call, const char *name, bool required, int64_t *nano);
/* Refuses members that are not in the NULL-terminated list. */
int body_only(struct api_call *call, const char *const *names);

/* By name or id; NULL with words in call->err. */
const struct row_tenant *call_tenant(struct api_call *call, const struct core *core, const char *text);
const struct row_site *call_site(struct api_call *call, const struct core *core, const char *text);
const struct row_model *call_model(struct api_call *call, const struct core *core, const char *text);
const struct row_key *call_key(struct api_call *call, const struct core *core, const char *text);
/* Whether the caller may see or change what belongs to this tenant. ERR_NOT_FOUND if not: other tenants do not exist
 * for it. */
int call_may(struct api_call *call, const struct uuid *tenant);

/* The tenant that a call is about: the one that its query names, or the caller's own; *one is false for an operator who names none. */
int call_whose(struct api_call *call, const struct core *core, struct uuid *tenant, bool *one);

/* Rendering. */
/* The end of a listing, behind its last row: where it goes on, or that it does not (`id` NULL). */
void page_end_at(struct buf *out, bool more, uint64_t at);
void page_end_after(struct buf *out, const struct uuid *id);
void add_id(struct buf *out, const char *name, const struct uuid *id);
void add_text(struct buf *out, const char *name, const char *text, size_t cap);
void add_amount(struct buf *out, const char *name, int64_t nano);
void add_time(struct buf *out, const char *name, int64_t unix_ms);
void render_tenant(struct buf *out, const struct core *core, const struct row_tenant *row);
void render_key(struct buf *out, const struct core *core, const struct row_key *row);
/* `all`: with origin and location, which may be paths of the hub or URLs that are nobody else's business. */
void render_model(struct buf *out, const struct core *core, const struct row_model *row, bool all);
/* Without the brace at its end: the caller adds what it knows besides. */
void render_deployment(struct buf *out, const struct core *core, const struct row_deployment *row,
                       const struct hub *hub);
/* Whether replicas can be at the site at all: 0; else an error, with words. */
int deployable_at(struct api_call *call, const struct core *core, const struct row_site *site);

/* Answers with the code's status and these words, or the code's own. */
void hub_refuse(struct http_request *request, int code, const char *message);

/* For handlers that answer in their own way (streams): the call is theirs until call_free. */
void call_free(struct api_call *call);

#endif
