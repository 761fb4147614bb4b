/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A witness that logs ask (C2SP tlog-witness): POST /add-checkpoint, answered with its cosignature. GET /vkey is its key, and
 * GET /checkpoint what it cosigned last, with the signature.
 *
 * Anybody may ask: what counts is the log's signature, and that the proof holds. One loop, one request at a time, so that what is
 * compared with is what was written down last.
 */
#include <llhttp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/ed25519.h"
#include "base/str.h"
#include "cli/witness.h"
#include "net/http_server.h"
#include "net/loop.h"

#define TEXT "text/plain; charset=utf-8"
#define CONNECTIONS_MAX 256

struct serving {
    struct witness *w;
    struct loop loop;
    struct http_server server;
    uv_signal_t sigterm, sigint;
};

static void refuse(struct http_request *request, int status, const char *words)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%.500s\n", words);
    http_respond(request, status, TEXT, "", text, (size_t)n);
}

static void render_error(struct buf *out, int status, const char *reason)
{
    buf_addf(out, "%d %s\n", status, reason);
}

/* ---- add-checkpoint ---- */

static const char *words_of(int status)
{
    static const struct {
        int status;
        const char *words;
    } known[] = {{400, "The request is not in the form of C2SP tlog-witness."},
                 {403, "The checkpoint is not signed by the log's key."},
                 {404, "This witness does not know the log."},
                 {422, "The proof does not show that the log extends the one that was cosigned last."}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status)
            return known[i].words;
    }
    return "The checkpoint has another root than one of its size that was cosigned.";
}

/* The size that was cosigned last: the log goes on from there. */
static void answer_size(struct http_request *request, const struct witness *w)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)w->state.head.size);
    http_respond(request, 409, WITNESS_SIZE_TYPE, "", text, (size_t)n);
}

static bool same_root(const struct witness *w, const struct witness_request *request)
{
    return memcmp(w->state.head.root.b, request->point.root.b, sizeof request->point.root.b) == 0;
}

/* Signed by the log, and not shown to extend the head: of its size with another root it is proof by itself; of its size and root only the
 * request is wrong; of another size anybody may have sent a wrong proof of a good tree. */
static void found_fork(struct witness *w, const struct witness_request *request)
{
    bool certain = request->point.size == w->state.head.size;
    if (certain && same_root(w, request))
        return;
    w->point = request->point;
    if (certain)
        witness_keep_split(w);
    else
        witness_keep_evidence(w, "unproven");
    fprintf(stderr,
            "busbar: witness: %s: the log of %llu leaves does not extend the one of %llu that was seen\n",
            certain ? "SPLIT VIEW" : "no proof", (unsigned long long)request->point.size,
            (unsigned long long)w->state.head.size);
}

/* The checkpoint with the log's own signature. Whatever else who asks has put under it is not kept. */
static void take_note(struct witness *w, const struct note *note)
{
    size_t len;
    const char *line = note_line_of(note, &w->log_key, &len);
    buf_clear(&w->note);
    buf_add(&w->note, note->text, note->text_len);
    buf_add_char(&w->note, '\n');
    buf_add(&w->note, line, len);
}

/* One that was cosigned before is only signed again: who repeats it cannot make the disk busy. */
static int cosign(struct witness *w, const struct witness_request *request)
{
    if (w->shown && request->point.size == w->state.head.size && same_root(w, request)) {
        witness_sign(w);
        return 0;
    }
    w->point = request->point;
    return witness_cosign(w);
}

static void add_checkpoint(struct witness *w, struct http_request *http)
{
    struct witness_request request;
    const char *body = http->body.data ? http->body.data : "";
    int status = 400;
    if (witness_request_parse(&request, body, http->body.len) == 0)
        status = witness_judge(digest_sha256, ed25519_verify, &w->log_key, &w->state.head, &request);
    if (status == 409 && request.old != w->state.head.size) {
        answer_size(http, w);
        return;
    }
    w->err = (struct err){0};
    if (status == 200 || status == 409 || status == 422)
        take_note(w, &request.note);
    if (status == 200) {
        if (w->note.failed || cosign(w, &request) != 0) {
            fprintf(stderr, "busbar: witness: %s\n", w->err.msg);
            refuse(http, 500, "The witness cannot write it down.");
            return;
        }
        http_respond(http, 200, TEXT, "", w->line, w->line_len);
        return;
    }
    if (status == 409 || status == 422)
        found_fork(w, &request);
    refuse(http, status, words_of(status));
}

/* ---- the server ---- */

static void answer_file(struct witness *w, struct http_request *request, const char *name)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    struct buf text;
    buf_init(&text, 2 * WITNESS_NOTE_MAX);
    if (fs_join(path, w->state.dir, name) && fs_read(path, &text, &err) == 0)
        http_respond(request, 200, TEXT, "Cache-Control: no-cache\r\n", text.data, text.len);
    else
        refuse(request, 404, "Nothing was cosigned yet.");
    buf_fini(&text);
}

static bool path_is(const struct http_request *request, const char *path)
{
    return text_eq(path, strlen(path), request->path, request->path_len);
}

static int64_t admit(struct http_request *request)
{
    return path_is(request, "/add-checkpoint") ? (int64_t)WITNESS_NOTE_MAX : 0;
}

static void handle(struct http_request *request)
{
    struct serving *s = request->server->config.ctx;
    bool get = request->method == HTTP_GET;
    if (path_is(request, "/add-checkpoint")) {
        if (request->method == HTTP_POST)
            add_checkpoint(s->w, request);
        else
            http_respond(request, 405, TEXT, "Allow: POST\r\n", "POST only.\n", 11);
    } else if (get && path_is(request, "/vkey")) {
        answer_file(s->w, request, "vkey");
    } else if (get && path_is(request, "/checkpoint")) {
        answer_file(s->w, request, "checkpoint");
    } else {
        refuse(request, 404, "There is POST /add-checkpoint, GET /checkpoint and GET /vkey.");
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct serving *s = handle->data;
    (void)number;
    uv_close((uv_handle_t *)&s->sigterm, NULL);
    uv_close((uv_handle_t *)&s->sigint, NULL);
    http_server_close(&s->server);
}

static int run(struct serving *s, const char *host, uint16_t port, struct err *err)
{
    const struct http_server_config config = {.connections_max = CONNECTIONS_MAX,
                                              .head_ms = 10000,
                                              .body_ms = 10000,
                                              .idle_ms = 75000,
                                              .write_stall_ms = 10000,
                                              .admit = admit,
                                              .handle = handle,
                                              .render_error = render_error,
                                              .ctx = s};
    http_server_init(&s->server, &s->loop, &config);
    int rc = http_listen_tcp(&s->server, host, &port, err);
    if (rc != 0) {
        http_server_close(&s->server);
        return rc;
    }
    uv_signal_init(&s->loop.uv, &s->sigterm);
    uv_signal_init(&s->loop.uv, &s->sigint);
    s->sigterm.data = s->sigint.data = s;
    uv_signal_start(&s->sigterm, on_signal, SIGTERM);
    uv_signal_start(&s->sigint, on_signal, SIGINT);
    printf("address   http://%s:%u\n", host, port);
    fflush(stdout);
    uv_run(&s->loop.uv, UV_RUN_DEFAULT);
    return 0;
}

int witness_serve(struct witness *w, const char *address)
{
    static struct serving s;
    char host[HTTP_HOST_CAP];
    uint16_t port;
    struct err err = {0};
    if (!http_address_parse(address, host, &port)) {
        fprintf(stderr, "busbar: --listen: expected HOST:PORT, got %s\n", address);
        return CLI_USAGE;
    }
    s.w = w;
    (void)signal(SIGPIPE, SIG_IGN);
    if (loop_init(&s.loop) != 0)
        return CLI_FAILED;
    int rc = run(&s, host, port, &err);
    loop_fini(&s.loop);
    if (rc != 0)
        fprintf(stderr, "busbar: witness: %s\n", err.msg[0] ? err.msg : err_text(rc));
    return rc == 0 ? CLI_OK : CLI_FAILED;
}
