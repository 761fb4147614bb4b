/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/door.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/kinds.h"
#include "core/view.h"
#include "gateway/frame.h"
#include "gateway/openai.h"
#include "hub/api.h"
#include "hub/cached.h"
#include "hub/contact.h"
#include "hub/desk.h"
#include "hub/hosting.h"
#include "hub/measure.h"
#include "hub/passages.h"
#include "hub/peers.h"
#include "hub/trunks.h"
#include "hub/visit.h"
#include "net/http_server.h"
#include "net/spiffe.h"
#include "net/tunnel.h"
#include "runtime/asks.h"
#include "site/holdings.h"

#define BODY_MAX 1048576
#define CONNECTIONS_MAX 1024
#define SILENCE_MS 10000                 /* beyond what a site that waits for orders is kept waiting */
#define RENEW_MS (UINT64_C(8) * 3600000) /* the hub's own certificate, which lives for MEMBER_S */

struct door {
    struct runtime *runtime;
    struct authority authority;
    struct tls_context *tls;
    struct http_server server;
    struct mailbox box;
    struct asks asks;
    struct desk *desk;
    struct hosting *hosting;
    struct contacts *contacts;
    struct trunks *trunks;
    struct passages *passages;
    struct cached *cached;
    uv_timer_t renew;
    uint16_t port;
};

int64_t door_contact_ms(struct door *door, const struct uuid *site)
{
    return contacts_ms(door->contacts, site);
}

int door_serves(struct door *door, const struct uuid *site)
{
    return hosting_can(door->hosting, site);
}

struct cached *door_cached(struct door *door)
{
    return door->cached;
}

/* ---- a visit ---- */

void visit_free(struct visit *visit)
{
    buf_fini(&visit->csr);
    if (visit->drop)
        visit->drop(visit->data);
    free(visit);
}

struct desk *visit_desk(const struct visit *visit)
{
    return visit->door->desk;
}

struct hosting *visit_hosting(const struct visit *visit)
{
    return visit->door->hosting;
}

struct trunks *visit_trunks(const struct visit *visit)
{
    return visit->door->trunks;
}

struct passages *visit_passages(const struct visit *visit)
{
    return visit->door->passages;
}

struct cached *visit_cached(const struct visit *visit)
{
    return visit->door->cached;
}

void visit_refuse(struct visit *visit, int code, const char *words)
{
    if (visit->request)
        hub_refuse(visit->request, code, words);
    visit_free(visit);
}

static void on_gone(struct http_request *request, void *ctx)
{
    (void)request;
    ((struct visit *)ctx)->request = NULL;
}

static bool runs_job(const struct core *core, const struct visit *visit)
{
    const struct row_job *row = view_job(core, &visit->job.job);
    const struct row_pool *pool = row && row->state == JOB_RUNNING ? view_pool(core, &row->pool) : NULL;
    return pool && row->epoch == visit->job.epoch && uuid_eq(&pool->site, &visit->site);
}

static void look_up_gateway(struct visit *visit, const struct core *core)
{
    const struct row_gateway *gateway = view_gateway(core, &visit->site);
    visit->is_member = gateway && view_is_member(core, &visit->site, visit->key);
    if (visit->is_member)
        memcpy(visit->name, gateway->name, sizeof visit->name);
}

static void look_up(void *ctx, const struct core *core)
{
    struct visit *visit = ctx;
    const struct row_member *member = visit->joins ? view_member_token(core, visit->token) : NULL;
    if (member)
        visit->site = member->site;
    if (visit->gateway) {
        look_up_gateway(visit, core);
        return;
    }
    const struct row_site *site = view_site(core, &visit->site);
    visit->is_member = site && view_is_member(core, &visit->site, visit->key);
    if (!visit->is_member)
        return;
    memcpy(visit->name, site->name, sizeof visit->name);
    visit->state = site->state;
    visit->has_job = runs_job(core, visit);
    if (visit->look)
        visit->look(visit, core);
}

static void on_looked_up(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    if (reply->code != 0) {
        visit_refuse(visit, reply->code, "");
    } else if (!visit->is_member) {
        visit_refuse(visit, ERR_FORBIDDEN,
                     visit->gateway
                         ? "This certificate is not that of a gateway of this network, or not any more."
                         : "This certificate is not that of a site of this network, or not any more.");
    } else if (!visit->request) {
        visit_free(visit);
    } else {
        if (!visit->gateway)
            contacts_heard(visit->door->contacts, &visit->site);
        visit->answer(visit);
        if (!visit->kept)
            visit_free(visit);
    }
}

void visit_ask(struct visit *visit)
{
    struct door *door = visit->door;
    uint64_t token = mailbox_token(&door->box);
    asks_add(&door->asks, token, on_looked_up, visit);
    int rc = runtime_query(door->runtime, look_up, visit, token);
    if (rc == 0)
        return;
    asks_forget(&door->asks, token);
    visit_refuse(visit, rc, "");
}

/* ---- answers ---- */

void visit_begin(const struct visit *visit, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &visit->site);
    buf_init(out, DESK_ANSWER_MAX);
    buf_addf(out, "{\"site\":\"%s\",\"name\":", id);
    buf_add_json(out, visit->name, strlen(visit->name));
}

void visit_end(struct visit *visit, struct buf *out)
{
    buf_add_char(out, '}');
    http_answer(visit->request, 200, "application/json", "", out);
    visit->request = NULL;
    buf_fini(out);
}

static void answer_certificate(struct visit *visit)
{
    struct buf out, pem;
    struct err err = {0};
    buf_init(&pem, PKI_PEM_MAX);
    int rc = authority_grant(&visit->door->authority, visit->csr.data, visit->csr.len, &visit->site,
                             visit->gateway, &pem, &err);
    if (rc != 0) {
        log_error("no certificate", "site=%s error=%s", visit->name, err.msg);
        hub_refuse(visit->request, ERR_IO, "The hub could not issue a certificate.");
        visit->request = NULL;
        buf_fini(&pem);
        return;
    }
    visit_begin(visit, &out);
    buf_add_text(&out, ",\"certificate\":");
    buf_add_json(&out, pem.data, pem.len);
    visit_end(visit, &out);
    buf_fini(&pem);
}

/* ---- requests ---- */

static void on_joined(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    if (reply->code == ERR_UNAUTHENTICATED)
        visit_refuse(visit, reply->code,
                     "The token is not one of this hub, was used already, or its time is over.");
    else if (reply->code == ERR_WRONG_STATE)
        visit_refuse(visit, reply->code,
                     visit->gateway ? "The token is one for a site, not for a gateway."
                                    : "The token is one for a gateway, not for a site.");
    else if (reply->code != 0)
        visit_refuse(visit, reply->code, "");
    else
        visit_ask(visit);
}

static void join(struct visit *visit, const char *token, size_t len)
{
    struct door *door = visit->door;
    struct event event = {.kind = EVENT_KIND_site_join, .u.site_join.gateway = visit->gateway};
    visit->joins = true;
    visit->answer = answer_certificate;
    digest_sha256(visit->token, token, len);
    memcpy(event.u.site_join.token, visit->token, sizeof event.u.site_join.token);
    memcpy(event.u.site_join.key, visit->key, sizeof event.u.site_join.key);
    event.token = mailbox_token(&door->box);
    asks_add(&door->asks, event.token, on_joined, visit);
    int rc = runtime_post(door->runtime, &event);
    if (rc == 0)
        return;
    asks_forget(&door->asks, event.token);
    visit_refuse(visit, rc, "");
}

/* Reads who the peer is from its certificate. */
bool visit_know(struct visit *visit, struct err *err)
{
    const char *peer = http_request_peer(visit->request);
    const uint8_t *root = visit->door->authority.root;
    bool site = peer && spiffe_site_of(peer, root, &visit->site);
    visit->gateway = peer && !site && spiffe_gateway_of(peer, root, &visit->site);
    unsigned who = site ? OPEN_TO_SITES : visit->gateway ? OPEN_TO_GATEWAYS : 0;
    if ((who & visit->open) && http_request_peer_key(visit->request, visit->key))
        return true;
    (void)err_set(err, ERR_FORBIDDEN, "This is for %s of this network only.",
                  visit->open == OPEN_TO_GATEWAYS ? "gateways"
                  : visit->open == OPEN_TO_SITES  ? "sites"
                                                  : "members");
    return false;
}

/* The text member `request` of the body, a request for a certificate, and the key that it is for. */
static int read_csr(struct visit *visit, yyjson_val *root, uint8_t key[DIGEST_LEN], struct err *err)
{
    yyjson_val *csr = yyjson_obj_get(root, "request");
    if (!yyjson_is_str(csr))
        return err_set(err, ERR_INVALID, "request: must be a request for a certificate, in PEM");
    buf_add(&visit->csr, yyjson_get_str(csr), yyjson_get_len(csr));
    return pki_request_key(visit->csr.data, visit->csr.len, key, err);
}

static int take_join(struct visit *visit, yyjson_val *root, struct err *err)
{
    uint8_t digest[DIGEST_LEN];
    yyjson_val *token = yyjson_obj_get(root, "token");
    int rc = read_csr(visit, root, visit->key, err);
    visit->gateway = yyjson_get_bool(yyjson_obj_get(root, "gateway"));
    if (rc == 0 &&
        (!yyjson_is_str(token) || !join_token_root(yyjson_get_str(token), yyjson_get_len(token), digest)))
        rc = err_set(err, ERR_INVALID, "token: is not a token to join");
    if (rc == 0)
        join(visit, yyjson_get_str(token), yyjson_get_len(token));
    return rc;
}

static int take_renew(struct visit *visit, yyjson_val *root, struct err *err)
{
    uint8_t key[DIGEST_LEN];
    int rc = visit_know(visit, err) ? read_csr(visit, root, key, err) : ERR_FORBIDDEN;
    if (rc == 0 && memcmp(key, visit->key, sizeof key) != 0)
        rc = err_set(err, ERR_FORBIDDEN, "Another key needs another token.");
    visit->answer = answer_certificate;
    if (rc == 0)
        visit_ask(visit);
    return rc;
}

static const struct {
    const char *path;
    int (*take)(struct visit *visit, yyjson_val *root, struct err *err); /* 0: the visit goes on by itself */
    unsigned open;
} calls[] = {{"/site/v1/join", take_join, 0},
             {"/site/v1/renew", take_renew, OPEN_TO_SITES | OPEN_TO_GATEWAYS},
             {"/site/v1/orders", desk_take_orders, OPEN_TO_SITES},
             {"/site/v1/inventory", desk_take_inventory, OPEN_TO_SITES},
             {"/site/v1/chips", desk_take_chips, OPEN_TO_SITES},
             {HOLDINGS_PATH, cached_take, OPEN_TO_SITES},
             {"/site/v1/program", desk_take_program, OPEN_TO_SITES},
             {"/site/v1/blob", desk_take_blob, OPEN_TO_SITES},
             {"/site/v1/prior", desk_take_prior, OPEN_TO_SITES},
             {"/site/v1/put", desk_take_put, OPEN_TO_SITES},
             {"/site/v1/kept", desk_take_kept, OPEN_TO_SITES},
             {"/site/v1/end", desk_take_end, OPEN_TO_SITES},
             {"/site/v1/usage", desk_take_usage, OPEN_TO_SITES},
             {"/site/v1/log", desk_take_log, OPEN_TO_SITES},
             {"/site/v1/path", desk_take_path, OPEN_TO_SITES},
             {"/site/v1/probe", desk_take_probe, OPEN_TO_SITES},
             {"/site/v1/replicas", hosting_take_report, OPEN_TO_SITES},
             {TUNNEL_PATH, hosting_take_tunnel, OPEN_TO_SITES},
             {PEER_PATH, peers_take, OPEN_TO_SITES},
             {TRUNK_PATH, trunks_take, OPEN_TO_GATEWAYS},
             {PASSAGE_PATH, passages_take, OPEN_TO_GATEWAYS}};

static int64_t admit(struct http_request *request)
{
    static const char put[] = "/site/v1/put";
    return text_eq(put, sizeof put - 1, request->path, request->path_len) ? (int64_t)DESK_PUT_MAX : BODY_MAX;
}

static void handle(struct http_request *request)
{
    struct err err = {0};
    size_t i = 0;
    while (i < sizeof calls / sizeof calls[0] &&
           !text_eq(calls[i].path, strlen(calls[i].path), request->path, request->path_len))
        i++;
    if (i == sizeof calls / sizeof calls[0] || request->method != HTTP_POST) {
        hub_refuse(request, ERR_NOT_FOUND, "There is nothing at this path.");
        return;
    }
    /* What a job printed, or wrote, is no JSON. */
    bool bytes = calls[i].take == desk_take_log || calls[i].take == desk_take_put;
    yyjson_doc *doc =
        bytes ? json_parse_object("{}", 2, &err)
              : json_parse_object(request->body.data ? request->body.data : "", request->body.len, &err);
    struct visit *visit = doc ? calloc(1, sizeof *visit) : NULL;
    if (!visit) {
        hub_refuse(request, doc ? ERR_NO_MEMORY : ERR_INVALID, err.msg);
        yyjson_doc_free(doc);
        return;
    }
    visit->door = request->server->config.ctx;
    visit->request = request;
    visit->open = calls[i].open;
    buf_init(&visit->csr, PKI_PEM_MAX);
    request->owner = (struct http_owner){.ctx = visit, .on_abort = on_gone};
    int rc = calls[i].take(visit, yyjson_doc_get_root(doc), &err);
    if (rc != 0)
        visit_refuse(visit, rc, err.msg);
    yyjson_doc_free(doc);
}

static void render_error(struct buf *out, int status, const char *reason)
{
    openai_error(out, status, reason, NULL, NULL);
}

/* ---- the door itself ---- */

static void on_effect(void *ctx, const struct effect *effect)
{
    struct door *door = ctx;
    if (effect->kind == EFFECT_REPLY) {
        asks_reply(&door->asks, effect);
        return;
    }
    desk_effect(door->desk, effect);
    hosting_effect(door->hosting, effect);
}

/* Sites work on until it ends, so it is no reason to be unready. */
static void warn_of_end(const struct authority *authority)
{
    int64_t left_s = authority_issuer_left_s(authority);
    if (left_s < AUTHORITY_ISSUER_LEFT_S)
        log_warn("issuer_ends",
                 "days=%lld next=\"busbar ca request, at the root busbar ca sign, busbar ca install\"",
                 (long long)(left_s / AUTHORITY_DAY_S));
}

static void on_renew(uv_timer_t *timer)
{
    struct door *door = timer->data;
    struct err err = {0};
    if (authority_renew(&door->authority, door->tls, &err) != 0)
        log_error("the hub's certificate is not renewed", "error=%s", err.msg);
    warn_of_end(&door->authority);
}

static int listen_here(struct door *door, const struct door_config *config, struct err *err)
{
    struct http_server_config server = {.connections_max = CONNECTIONS_MAX,
                                        .head_ms = 10000,
                                        .body_ms = 30000,
                                        .idle_ms = 120000,
                                        .write_stall_ms = 30000,
                                        .tls = door->tls,
                                        .admit = admit,
                                        .handle = handle,
                                        .render_error = render_error,
                                        .upgrades = true,
                                        .ctx = door};
    http_server_init(&door->server, config->loop, &server);
    door->port = config->port;
    return http_listen_tcp(&door->server, config->host, &door->port, err);
}

static void on_hosting_changed(void *ctx)
{
    desk_wake(((struct door *)ctx)->desk);
}

/* One that waits for orders calls at least that often. */
static bool is_silent(void *ctx, const struct uuid *site)
{
    struct door *door = ctx;
    return contacts_silent_ms(door->contacts, site) > desk_hold_ms(door->desk) + SILENCE_MS;
}

static void on_out(void *ctx, const struct uuid *gateway)
{
    passages_cut(((struct door *)ctx)->passages, gateway);
}

static int open_parts(struct door *door, const struct door_config *config, struct err *err)
{
    const struct hosting_config hosting = {.loop = config->loop,
                                           .runtime = config->runtime,
                                           .box = &door->box,
                                           .asks = &door->asks,
                                           .run_dir = config->run_dir,
                                           .busy = config->busy,
                                           .busy_ctx = config->busy_ctx,
                                           .silent = is_silent,
                                           .changed = on_hosting_changed,
                                           .ctx = door};
    int rc = hosting_open(&door->hosting, &hosting, err);
    if (rc != 0)
        return rc;
    const struct desk_config desk = {.loop = config->loop,
                                     .runtime = config->runtime,
                                     .box = &door->box,
                                     .asks = &door->asks,
                                     .hosting = door->hosting,
                                     .data_dir = config->data_dir,
                                     .blobs_dir = config->blobs_dir,
                                     .specs_dir = config->specs_dir,
                                     .work_dir = config->work_dir,
                                     .catalogue = config->catalogue,
                                     .lease_ms = config->lease_ms};
    const struct contacts_config contacts = {.loop = config->loop,
                                             .runtime = config->runtime,
                                             .box = &door->box,
                                             .asks = &door->asks,
                                             .lease_ms = config->lease_ms};
    rc = desk_open(&door->desk, &desk, err);
    if (rc == 0)
        rc = contacts_open(&door->contacts, &contacts, err);
    if (rc == 0)
        rc = trunks_open(&door->trunks,
                         &(struct trunks_config){config->loop, config->runtime, config->gateway,
                                                 config->lease_ms, on_out, door},
                         err);
    if (rc == 0)
        rc = passages_open(
            &door->passages,
            &(struct passages_config){config->loop, config->gateway, config->engine_tls, door->trunks}, err);
    return rc ? rc : runtime_attach(config->runtime, &door->box);
}

int door_open(struct door **out, const struct door_config *config, struct err *err)
{
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    door->runtime = config->runtime;
    int rc = authority_open(&door->authority, config->dir, config->host, err);
    if (rc == 0)
        rc = authority_tls(&door->authority, &door->tls, err);
    if (rc != 0) {
        free(door);
        return rc;
    }
    warn_of_end(&door->authority);
    asks_init(&door->asks);
    door->cached = cached_new();
    if (mailbox_init(&door->box, &config->loop->uv, on_effect, door) != 0)
        abort(); /* out of memory */
    door->box.jobs = door->box.replicas = true;
    if (open_parts(door, config, err) != 0)
        abort(); /* a hub has few mailboxes */
    uv_timer_init(&config->loop->uv, &door->renew);
    door->renew.data = door;
    uv_timer_start(&door->renew, on_renew, RENEW_MS, RENEW_MS);
    *out = door;
    rc = listen_here(door, config, err);
    if (rc != 0)
        door_close(door);
    return rc;
}

uint16_t door_port(const struct door *door)
{
    return door->port;
}

const uint8_t *door_root(const struct door *door)
{
    return door->authority.root;
}

void door_close(struct door *door)
{
    desk_close(door->desk);
    hosting_close(door->hosting);
    contacts_close(door->contacts);
    trunks_close(door->trunks);
    passages_close(door->passages);
    http_server_drain(&door->server);
    http_server_close(&door->server);
    runtime_detach(door->runtime, &door->box);
    mailbox_close(&door->box, NULL);
    uv_close((uv_handle_t *)&door->renew, NULL);
}

void door_free(struct door *door)
{
    if (!door)
        return;
    tls_context_free(door->tls);
    desk_free(door->desk);
    hosting_free(door->hosting);
    asks_fini(&door->asks);
    contacts_free(door->contacts);
    trunks_free(door->trunks);
    passages_free(door->passages);
    cached_free(door->cached);
    free(door);
}
