/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a replica's job, what is read from it, and the way to its port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/data.h"
#include "engine/workdir.h"
#include "net/pki.h"
#include "site/replica_parts.h"

#define KNOCK_MS 2000             /* between two tries */
#define KNOCK_LIMIT_MS 5000       /* of one */
#define KNOCK_AGAIN_MS 10000      /* at a port that was reached: its node may be gone before Slurm says so */
#define FORGET_MS 1000            /* between two tries to remove a folder */
#define CERT_S INT64_C(315360000) /* nobody asks how long it is valid (tls_pair_new) */

/* ---- its folder: on a thread ---- */

static int make_keys(const char *key, const char *cert, struct err *err)
{
    const struct pki_subject subject = {.name = "busbar replica", .seconds = CERT_S};
    struct buf pem;
    if ((unlink(key) < 0 && errno != ENOENT) || (unlink(cert) < 0 && errno != ENOENT))
        return err_set(err, ERR_IO, "cannot remove %s: %s", key, strerror(errno));
    buf_init(&pem, PKI_PEM_MAX);
    int rc = pki_key_make(key, err);
    if (rc == 0)
        rc = pki_root_make(key, &subject, &pem, err);
    if (rc == 0)
        rc = fs_write_atomic(cert, pem.data, pem.len, 0600, err);
    buf_fini(&pem);
    return rc;
}

static int lay(struct unit *u, const char *folder, const char *key, const char *cert, struct err *err)
{
    const struct serve_order *order = &u->order;
    const struct outpost_order out = {.model = (char *)(uintptr_t)order->model,
                                      .engine = (char *)(uintptr_t)order->engine,
                                      .location = (char *)(uintptr_t)order->location,
                                      .slots = order->slots,
                                      .context = order->context,
                                      .kind = order->kind,
                                      .threads = u->jobs->config.threads};
    char path[FS_PATH_MAX];
    workdir_file(path, folder, OUTPOST_ORDER);
    int rc = fs_mkdirs(folder, 0700, err);
    if (rc == 0)
        rc = make_keys(key, cert, err);
    return rc ? rc : form_save(&outpost_order_table, path, &out, err);
}

static void on_lay(uv_work_t *work)
{
    struct unit *u = work->data;
    char dir[FS_PATH_MAX], folder[FS_PATH_MAX], key[FS_PATH_MAX], cert[FS_PATH_MAX];
    workdir_path(dir, u->jobs->engine_config.work, &u->id);
    workdir_file(folder, dir, "work");
    workdir_file(key, folder, OUTPOST_KEY);
    workdir_file(cert, folder, OUTPOST_CERT);
    u->err = (struct err){0};
    if (u->fresh && lay(u, folder, key, cert, &u->err) != 0)
        return;
    (void)tls_pair_new(&u->tls, cert, key, false, &u->err);
}

static void after_lay(uv_work_t *work, int status)
{
    struct unit *u = work->data;
    (void)status;
    u->laying = false;
    if (!unit_done(u))
        unit_laid(u);
}

void unit_lay(struct unit *u)
{
    u->fresh = u->phase == UNIT_LAYING;
    u->laying = true;
    u->work.data = u;
    u->busy++;
    if (uv_queue_work(&u->jobs->config.loop->uv, &u->work, on_lay, after_lay) != 0)
        abort(); /* it never refuses */
}

struct leftover {
    struct list node;
    struct job_id id;
    bool asked;
    uint64_t next_ms;
};

static void leftover_free(struct leftover *l)
{
    list_remove(&l->node);
    free(l);
}

static void on_forgotten(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    int code = call->err.code;
    list_for_each_safe (it, next, &jobs->leftovers) {
        struct leftover *l = list_entry(it, struct leftover, node);
        if (!uuid_eq(&l->id.job, &call->ids[0].job) || l->id.epoch != call->ids[0].epoch)
            continue;
        l->asked = false;
        l->next_ms = uv_now(&jobs->config.loop->uv) + FORGET_MS;
        if (code == 0)
            leftover_free(l);
    }
    if (code != 0 && code != ERR_IN_USE)
        log_warn("replica_job", "why=\"%s\"", call->err.msg);
}

void unit_forget(struct replica_jobs *jobs, const struct job_id *id)
{
    struct leftover *l = calloc(1, sizeof *l);
    if (!l)
        return; /* the next agent finds it */
    l->id = *id;
    list_push(&jobs->leftovers, &l->node);
}

void unit_forget_due(struct replica_jobs *jobs, uint64_t now_ms)
{
    list_for_each_safe (it, next, &jobs->leftovers) {
        struct leftover *l = list_entry(it, struct leftover, node);
        struct engine_call *call = l->asked || now_ms < l->next_ms ? NULL : engine_call_new(ENGINE_FORGET, 1);
        if (!call)
            continue;
        call->ids[0] = l->id;
        l->asked = unit_ask(jobs, call, on_forgotten);
    }
}

void unit_forget_none(struct replica_jobs *jobs)
{
    list_for_each_safe (it, next, &jobs->leftovers)
        leftover_free(list_entry(it, struct leftover, node));
}

struct removal {
    uv_work_t work;
    struct job_id id;
    char folder[FS_PATH_MAX];
};

static void on_remove(uv_work_t *work)
{
    const struct removal *r = work->data;
    data_unstage(r->folder, &r->id);
}

static void after_remove(uv_work_t *work, int status)
{
    (void)status;
    free(work->data);
}

void unit_unlay(const struct unit *u)
{
    struct removal *r = calloc(1, sizeof *r);
    if (!r)
        return; /* the next agent removes it */
    r->id = u->id;
    r->work.data = r;
    memcpy(r->folder, u->jobs->work, sizeof r->folder);
    if (uv_queue_work(&u->jobs->config.loop->uv, &r->work, on_remove, after_remove) != 0)
        abort(); /* it never refuses */
}

/* ---- what it says ---- */

static uint32_t state_of(const char *word)
{
    for (uint32_t state = REPLICA_STARTING; state <= REPLICA_STOPPED; state++) {
        if (strcmp(word, replica_state_text(state)) == 0)
            return state;
    }
    return 0;
}

static void take_line(struct unit *u, const char *line, size_t len)
{
    struct outpost_word word;
    uint32_t state = form_read(&outpost_word_table, line, len, &word, NULL) == 0 ? state_of(word.state) : 0;
    if (state != 0) {
        u->state = state;
        u->slots = word.slots;
        u->context = word.context;
        u->port = word.port;
        (void)snprintf(u->detail, sizeof u->detail, "%s", word.detail ? word.detail : "");
        (void)snprintf(u->host, sizeof u->host, "%s", word.host ? word.host : "");
        (void)snprintf(u->version, sizeof u->version, "%s", word.version ? word.version : "");
    }
    form_free(&outpost_word_table, &word);
}

static void on_read(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    struct unit *u = jobs->ending ? NULL : unit_begun(jobs, &call->ids[0]);
    if (!u)
        return;
    u->reading = false;
    if (u->phase == UNIT_OVER)
        return;
    size_t at = 0;
    for (const char *end; call->err.code == 0 && at < call->bytes.len &&
                          (end = memchr(call->bytes.data + at, '\n', call->bytes.len - at)) != NULL;) {
        take_line(u, call->bytes.data + at, (size_t)(end - call->bytes.data) - at);
        at = (size_t)(end - call->bytes.data) + 1;
    }
    u->offset += at;
    if (at > 0 && u->state != REPLICA_READY)
        u->reached = false;
    if (u->state == 0)
        unit_tell(u, REPLICA_STARTING, "its job has begun");
    else if (u->state != REPLICA_READY)
        unit_tell(u, u->state, u->detail);
    else if (u->reached && at > 0)
        unit_tell(u, REPLICA_READY, u->detail);
}

void unit_read(struct unit *u)
{
    struct engine_call *call = u->reading || !u->held ? NULL : engine_call_new(ENGINE_LOGS, 1);
    if (!call)
        return;
    call->ids[0] = u->id;
    call->offset = u->offset;
    u->read_ms = uv_now(&u->jobs->config.loop->uv);
    u->reading = unit_ask(u->jobs, call, on_read);
}

/* ---- its port ---- */

static void not_reached(struct unit *u, const char *why)
{
    char detail[TEXT_CAP];
    (void)snprintf(detail, sizeof detail, "its node %.50s does not answer: %.50s", u->host, why);
    u->next_ms = uv_now(&u->jobs->config.loop->uv) + KNOCK_MS;
    unit_tell(u, REPLICA_STARTING, detail);
}

static void on_address(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct unit *u = lookup->data;
    bool left = unit_done(u);
    if (!left && status == 0) {
        memcpy(&u->addr, list->ai_addr, sizeof u->addr);
        u->addr.sin_port = htons((uint16_t)u->port);
        u->resolved = true;
    }
    if (!left)
        u->resolving = false;
    if (!left && status != 0)
        not_reached(u, uv_strerror(status));
    uv_freeaddrinfo(list);
}

static void resolve(struct unit *u)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    u->lookup.data = u;
    int rc = uv_getaddrinfo(&u->jobs->config.loop->uv, &u->lookup, on_address, u->host, NULL, &hints);
    u->resolving = rc == 0;
    u->busy += rc == 0;
    if (rc != 0)
        not_reached(u, uv_strerror(rc));
}

static void knock_freed(struct stream *stream)
{
    free((struct knock *)stream);
}

/* The unit waits for it no more. */
static void drop_knock(struct unit *u)
{
    if (!u->knock)
        return;
    u->knock->unit = NULL;
    stream_close(&u->knock->stream);
    u->knock = NULL;
}

static void on_knocked(struct stream *stream, int status)
{
    struct unit *u = ((struct knock *)stream)->unit;
    if (!u)
        return;
    drop_knock(u);
    u->reached = status == 0;
    if (u->reached && u->state == REPLICA_READY)
        unit_tell(u, REPLICA_READY, u->detail);
    else if (!u->reached)
        not_reached(u, uv_strerror(status));
}

/* It ended the handshake: it has another key. */
static void on_refused(struct stream *stream, const char *data, ssize_t len)
{
    (void)data;
    if (len < 0)
        on_knocked(stream, (int)len);
}

static const struct stream_events knock_events = {
    .on_read = on_refused, .on_connect = on_knocked, .on_closed = knock_freed};

static void knock(struct unit *u)
{
    struct knock *k = calloc(1, sizeof *k);
    struct tls_session *tls = k ? tls_connect(u->tls, u->host) : NULL;
    if (!tls || stream_dial_tcp(&k->stream, u->jobs->config.loop, (const struct sockaddr *)&u->addr, tls,
                                &knock_events) < 0) {
        tls_free(tls);
        free(k);
        not_reached(u, "out of memory");
        return;
    }
    k->unit = u;
    u->knock = k;
    u->knock_ms = uv_now(&u->jobs->config.loop->uv);
}

void unit_reach(struct unit *u)
{
    uint64_t now = uv_now(&u->jobs->config.loop->uv);
    if (u->knock && now - u->knock_ms >= KNOCK_LIMIT_MS) {
        drop_knock(u);
        u->resolved = u->reached = false;
        not_reached(u, uv_strerror(UV_ETIMEDOUT));
    }
    bool due = u->reached ? now - u->knock_ms >= KNOCK_AGAIN_MS : now >= u->next_ms;
    if (!u->held || u->state != REPLICA_READY || !u->tls || u->knock || u->resolving || !due)
        return;
    if (u->resolved)
        knock(u);
    else
        resolve(u);
}

void unit_leave(struct unit *u)
{
    drop_knock(u);
    u->reached = u->resolved = u->reading = u->claimed = false;
    u->state = 0;
    u->offset = 0;
}
