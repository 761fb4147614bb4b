/* SPDX-License-Identifier: Apache-2.0 */
#include "site/agent.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "net/json.h"
#include "net/pki.h"
#include "net/spiffe.h"
#include "site/link.h"

#define SYNC_MS 5000
#define RENEW_LEFT_S (INT64_C(16) * 3600) /* of a day: a hub may be away for long before a certificate ends */

struct agent {
    struct loop loop;
    struct link *link;
    char key[FS_PATH_MAX], cert[FS_PATH_MAX], about[FS_PATH_MAX], folder[FS_PATH_MAX];
    char hub[128], site[UUID_TEXT_LEN + 1], name[64];
    uint8_t root[DIGEST_LEN];
    uv_timer_t timer;
    uv_signal_t sigterm, sigint;
    bool in_touch, told, stopping;
    struct err end;
};

/* ---- its folder ---- */

static int find_paths(struct agent *a, const char *data_dir, struct err *err)
{
    if (!fs_join(a->folder, data_dir, "pki") || !fs_join(a->key, a->folder, "site.key") ||
        !fs_join(a->cert, a->folder, "site.pem") || !fs_join(a->about, data_dir, "site.json"))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    return 0;
}

static int write_about(const struct agent *a, struct err *err)
{
    struct buf out;
    char root[2 * DIGEST_LEN + 1];
    hex_encode(root, a->root, DIGEST_LEN);
    buf_init(&out, 4096);
    buf_add_text(&out, "{\"hub\":");
    buf_add_json(&out, a->hub, strlen(a->hub));
    buf_addf(&out, ",\"site\":\"%s\",\"name\":", a->site);
    buf_add_json(&out, a->name, strlen(a->name));
    buf_addf(&out, ",\"root\":\"%s\"}\n", root);
    int rc = out.failed ? err_set(err, ERR_NO_MEMORY, "out of memory")
                        : fs_write_atomic(a->about, out.data, out.len, 0644, err);
    buf_fini(&out);
    return rc;
}

static bool take_text(yyjson_val *root, const char *member, char *dst, size_t cap)
{
    yyjson_val *v = yyjson_obj_get(root, member);
    return yyjson_is_str(v) && text_set(dst, cap, yyjson_get_str(v), yyjson_get_len(v));
}

static int read_about(struct agent *a, struct err *err)
{
    struct buf text;
    char root[2 * DIGEST_LEN + 1];
    buf_init(&text, 4096);
    int rc = fs_read(a->about, &text, err);
    yyjson_doc *doc = rc == 0 ? json_parse_object(text.data, text.len, err) : NULL;
    yyjson_val *top = yyjson_doc_get_root(doc);
    if (rc == 0 &&
        (!doc || !take_text(top, "hub", a->hub, sizeof a->hub) ||
         !take_text(top, "site", a->site, sizeof a->site) ||
         !take_text(top, "name", a->name, sizeof a->name) || !take_text(top, "root", root, sizeof root) ||
         !hex_decode(a->root, DIGEST_LEN, root, strlen(root))))
        rc = err_set(err, ERR_CORRUPT, "%s is not what `busbar site join` wrote", a->about);
    yyjson_doc_free(doc);
    buf_fini(&text);
    return rc;
}

/* ---- certificates ---- */

/* The body that asks for one: with a token to join, without to renew. */
static int ask_body(const struct agent *a, const char *token, struct buf *out, struct err *err)
{
    struct buf csr;
    buf_init(&csr, PKI_PEM_MAX);
    buf_init(out, 2 * PKI_PEM_MAX);
    int rc = pki_request(a->key, &csr, err);
    if (rc == 0) {
        buf_add_text(out, "{\"request\":");
        buf_add_json(out, csr.data, csr.len);
        if (token)
            buf_addf(out, ",\"token\":\"%s\"", token);
        buf_add_char(out, '}');
    }
    buf_fini(&csr);
    return rc;
}

static int keep_certificate(struct agent *a, yyjson_val *answer, struct err *err)
{
    yyjson_val *pem = yyjson_obj_get(answer, "certificate");
    if (!yyjson_is_str(pem) || !take_text(answer, "site", a->site, sizeof a->site) ||
        !take_text(answer, "name", a->name, sizeof a->name))
        return err_set(err, ERR_UPSTREAM, "the hub's answer has no certificate");
    return fs_write_atomic(a->cert, yyjson_get_str(pem), yyjson_get_len(pem), 0644, err);
}

/* ---- joining ---- */

static void on_joined(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct agent *a = ctx;
    a->end = *err;
    if (err->code == 0 && keep_certificate(a, answer, &a->end) == 0)
        (void)write_about(a, &a->end);
    link_close(a->link); /* and with it the loop ends */
    a->link = NULL;
}

/* Whether the folder is free, or this hub's. */
static int check_folder(struct agent *a, struct err *err)
{
    uint8_t root[DIGEST_LEN];
    memcpy(root, a->root, sizeof root);
    if (!fs_exists(a->about))
        return 0;
    char hub[sizeof a->hub];
    memcpy(hub, a->hub, sizeof hub);
    int rc = read_about(a, err);
    if (rc == 0 && memcmp(root, a->root, sizeof root) != 0)
        rc = err_set(err, ERR_EXISTS, "this folder belongs to the site %s of another network (hub %s)",
                     a->name, a->hub);
    memcpy(a->hub, hub, sizeof hub);
    memcpy(a->root, root, sizeof root);
    return rc;
}

static int join_prepare(struct agent *a, const char *data_dir, const char *hub, const char *token,
                        struct err *err)
{
    int rc = find_paths(a, data_dir, err);
    if (rc == 0 && !text_set(a->hub, sizeof a->hub, hub, strlen(hub)))
        rc = err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc == 0 && !join_token_root(token, strlen(token), a->root))
        rc = err_set(err, ERR_INVALID,
                     "this is not a token to join (`busbar site token NAME` at the hub makes one)");
    if (rc == 0)
        rc = check_folder(a, err);
    if (rc == 0)
        rc = fs_mkdirs(a->folder, 0700, err);
    return rc == 0 && !fs_exists(a->key) ? pki_key_make(a->key, err) : rc;
}

int agent_join(const char *data_dir, const char *hub, const char *token, struct err *err)
{
    struct agent *a = calloc(1, sizeof *a);
    struct tls_context *tls = NULL;
    struct buf body = {0};
    char uri[SPIFFE_CAP];
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = join_prepare(a, data_dir, hub, token, err);
    if (rc == 0)
        rc = ask_body(a, token, &body, err);
    spiffe_hub(uri, a->root);
    if (rc == 0)
        rc = tls_joining_client_new(&tls, a->root, uri, err);
    if (rc == 0 && loop_init(&a->loop) != 0)
        abort();
    if (rc == 0) {
        rc = link_open(&a->link, &a->loop, hub, tls, err);
        if (rc == 0)
            link_post(a->link, "/site/v1/join", &body, on_joined, a);
        else
            tls_context_free(tls);
        uv_run(&a->loop.uv, UV_RUN_DEFAULT);
        loop_fini(&a->loop);
        if (rc == 0 && a->end.code != 0)
            rc = err_set(err, a->end.code, "%s", a->end.msg);
    }
    buf_fini(&body);
    free(a);
    return rc;
}

/* ---- running ---- */

static void stop(struct agent *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    uv_close((uv_handle_t *)&a->timer, NULL);
    uv_close((uv_handle_t *)&a->sigterm, NULL);
    uv_close((uv_handle_t *)&a->sigint, NULL);
    link_close(a->link);
    a->link = NULL;
}

/* Tells of the link when it comes and goes, once each. */
static void note(struct agent *a, const struct err *err)
{
    bool now = err->code == 0;
    if (a->told && now == a->in_touch)
        return;
    a->told = true;
    a->in_touch = now;
    if (now)
        log_info("in touch with the hub", "hub=%s site=%s", a->hub, a->name);
    else
        log_warn("out of touch with the hub", "hub=%s error=%s", a->hub, err->msg);
}

/* Whether the hub was heard and will have us; if it will not, that is the end. */
static bool heard(struct agent *a, const struct err *err)
{
    note(a, err);
    if (err->code == ERR_FORBIDDEN || err->code == ERR_UNAUTHENTICATED) {
        a->end = *err;
        stop(a);
    }
    return err->code == 0;
}

static void on_renewed(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct agent *a = ctx;
    struct err why = {0};
    if (!heard(a, err))
        return;
    if (keep_certificate(a, answer, &why) == 0 &&
        tls_member_renew(link_tls(a->link), a->cert, a->key, &why) == 0)
        log_info("the certificate is renewed", "site=%s", a->name);
    else
        log_error("the certificate is not renewed", "site=%s error=%s", a->name, why.msg);
}

static void on_synced(void *ctx, const struct err *err, yyjson_val *answer)
{
    (void)answer;
    (void)heard(ctx, err);
}

static bool renewal_is_due(const struct agent *a)
{
    int64_t ends_s;
    struct err err = {0};
    return pki_expires(a->cert, &ends_s, &err) != 0 || ends_s - time(NULL) < RENEW_LEFT_S;
}

static void on_timer(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    struct buf body;
    struct err err = {0};
    if (link_busy(a->link))
        return;
    if (!renewal_is_due(a)) {
        buf_init(&body, 64);
        buf_add_text(&body, "{}");
        link_post(a->link, "/site/v1/sync", &body, on_synced, a);
    } else if (ask_body(a, NULL, &body, &err) == 0) {
        link_post(a->link, "/site/v1/renew", &body, on_renewed, a);
    } else {
        log_error("cannot ask for a certificate", "error=%s", err.msg);
    }
    buf_fini(&body);
}

static void on_signal(uv_signal_t *handle, int number)
{
    log_info("stopping", "signal=%d", number);
    stop(handle->data);
}

static void watch(struct agent *a)
{
    uv_signal_init(&a->loop.uv, &a->sigterm);
    uv_signal_init(&a->loop.uv, &a->sigint);
    uv_timer_init(&a->loop.uv, &a->timer);
    a->sigterm.data = a->sigint.data = a->timer.data = a;
    uv_signal_start(&a->sigterm, on_signal, SIGTERM);
    uv_signal_start(&a->sigint, on_signal, SIGINT);
    uv_timer_start(&a->timer, on_timer, 0, SYNC_MS);
}

int agent_run(const char *data_dir, struct err *err)
{
    struct agent *a = calloc(1, sizeof *a);
    struct tls_context *tls = NULL;
    char uri[SPIFFE_CAP];
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = find_paths(a, data_dir, err);
    if (rc == 0 && !fs_exists(a->about))
        rc = err_set(err, ERR_NOT_FOUND, "%s belongs to no site yet: busbar site join HUB --token T",
                     data_dir);
    if (rc == 0)
        rc = read_about(a, err);
    spiffe_hub(uri, a->root);
    if (rc == 0)
        rc = tls_member_client_new(&tls, a->cert, a->key, uri, err);
    if (rc == 0) {
        signal(SIGPIPE, SIG_IGN);
        if (loop_init(&a->loop) != 0)
            abort();
        rc = link_open(&a->link, &a->loop, a->hub, tls, err);
        if (rc == 0)
            watch(a);
        else
            tls_context_free(tls);
        uv_run(&a->loop.uv, UV_RUN_DEFAULT);
        loop_fini(&a->loop);
    }
    if (rc == 0 && a->end.code != 0)
        rc = err_set(err, a->end.code, "%s", a->end.msg);
    free(a);
    return rc;
}
