/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visits: calls of members at the door (hub/door.h). For door.c, which knows who calls, and those who answer.
 *
 * A call is taken (its body is read, who asks is known by certificate), then the core is asked what it holds of the
 * member, and then it is answered. It owns itself until visit_free; the member may have gone meanwhile.
 */
#ifndef BUSBAR_HUB_VISIT_H
#define BUSBAR_HUB_VISIT_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/digest.h"
#include "core/core.h"
#include "core/limits.h"
#include "engine/job.h"
#include "net/http_server.h"

struct door;
struct desk;
struct hosting;
struct trunks;
struct passages;
struct cached;

enum visit_open { OPEN_TO_SITES = 1, OPEN_TO_GATEWAYS = 2 };

struct visit {
    struct door *door;
    struct http_request *request; /* NULL: it has gone */
    void (*answer)(struct visit *visit);
    void *data; /* of who answers */
    void (*drop)(void *data);
    bool joins, kept;
    bool gateway;  /* `site` is one */
    unsigned open; /* enum visit_open: who may call this */
    uint8_t token[DIGEST_LEN];
    uint8_t key[DIGEST_LEN]; /* by which it is known */
    struct buf csr;
    struct job_id job; /* the call is about; zero: none */
    /* On the core thread, of a member: further looks. May be NULL. */
    void (*look)(struct visit *visit, const struct core *core);
    /* Of visit_post. */
    void (*posted)(struct visit *visit, int rc);
    uint32_t events, replies;
    int rc; /* of the events, the first that was refused */
    /* What the core knows of it. */
    bool is_member;
    bool has_job; /* it runs that epoch of that job */
    struct uuid site;
    char name[NAME_CAP];
    uint32_t state;
};

/* Reads who calls from its certificate; false, with ERR_FORBIDDEN: nobody of this network. */
bool visit_know(struct visit *visit, struct err *err);
/* Asks the core; then answer() is called, if it is a member that has not gone, and the visit is freed, unless answer() has
 * set `kept`: then it is its keeper's. */
void visit_ask(struct visit *visit);
/* For answer(): posts the events, durable together, each with its own reply; n may be 0. Then `posted` is called, with 0 or the first
 * refusal; the visit's request may be NULL by then: the member has gone. It is freed after that. What could not be posted is
 * refused here, and `posted` is not called. */
void visit_post(struct visit *visit, struct event *events, uint32_t n,
                void (*posted)(struct visit *visit, int rc));
void visit_free(struct visit *visit);
void visit_refuse(struct visit *visit, int code, const char *words);
/* An answer: begin, add members each with a comma before it, end. The request is answered then. */
void visit_begin(const struct visit *visit, struct buf *out);
void visit_end(struct visit *visit, struct buf *out);
struct desk *visit_desk(const struct visit *visit);
struct hosting *visit_hosting(const struct visit *visit);
struct trunks *visit_trunks(const struct visit *visit);
struct passages *visit_passages(const struct visit *visit);
struct cached *visit_cached(const struct visit *visit);

#endif
