/* SPDX-License-Identifier: Apache-2.0 */
#include "site/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "net/pki.h"
#include "net/spiffe.h"
#include "site/link.h"

int identity_places(struct identity *a, const char *data_dir, const char *kind, struct err *err)
{
    char key[16], cert[16], about[16];
    a->kind = kind;
    (void)snprintf(key, sizeof key, "%s.key", kind);
    (void)snprintf(cert, sizeof cert, "%s.pem", kind);
    (void)snprintf(about, sizeof about, "%s.json", kind);
    if (!fs_join(a->folder, data_dir, "pki") || !fs_join(a->key, a->folder, key) ||
        !fs_join(a->cert, a->folder, cert) || !fs_join(a->about, data_dir, about))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    return 0;
}

static int identity_write(const struct identity *a, struct err *err)
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

int identity_read(struct identity *a, struct err *err)
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
        rc = err_set(err, ERR_CORRUPT, "%s is not what `busbar %s join` wrote", a->about, a->kind);
    yyjson_doc_free(doc);
    buf_fini(&text);
    return rc;
}

/* ---- certificates ---- */

int identity_ask(const struct identity *a, const char *token, struct buf *out, struct err *err)
{
    struct buf csr;
    buf_init(&csr, PKI_PEM_MAX);
    buf_init(out, 2 * PKI_PEM_MAX);
    int rc = pki_request(a->key, &csr, err);
    if (rc == 0) {
        buf_add_text(out, "{\"request\":");
        buf_add_json(out, csr.data, csr.len);
        if (token)
            buf_addf(out, ",\"token\":\"%s\",\"gateway\":%s", token,
                     strcmp(a->kind, "gateway") == 0 ? "true" : "false");
        buf_add_char(out, '}');
    }
    buf_fini(&csr);
    return rc;
}

int identity_keep(struct identity *a, yyjson_val *answer, struct err *err)
{
    yyjson_val *pem = yyjson_obj_get(answer, "certificate");
    if (!yyjson_is_str(pem) || !take_text(answer, "site", a->site, sizeof a->site) ||
        !take_text(answer, "name", a->name, sizeof a->name))
        return err_set(err, ERR_UPSTREAM, "the hub's answer has no certificate");
    return fs_write_atomic(a->cert, yyjson_get_str(pem), yyjson_get_len(pem), 0644, err);
}

/* ---- joining ---- */

struct joining {
    struct identity identity;
    struct loop loop;
    struct link *link;
    struct err end;
};

static void on_joined(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct joining *j = ctx;
    j->end = *err;
    if (err->code == 0 && identity_keep(&j->identity, answer, &j->end) == 0)
        (void)identity_write(&j->identity, &j->end);
    link_close(j->link); /* and with it the loop ends */
    j->link = NULL;
}

/* Whether the folder is free, or this hub's. */
static int check_folder(struct identity *a, struct err *err)
{
    struct identity before = *a;
    if (!fs_exists(a->about))
        return 0;
    int rc = identity_read(&before, err);
    if (rc == 0 && memcmp(before.root, a->root, sizeof before.root) != 0)
        rc = err_set(err, ERR_EXISTS, "this folder belongs to the %s %s of another network (hub %s)",
                     before.kind, before.name, before.hub);
    return rc;
}

static int prepare(struct identity *a, const char *data_dir, const char *hub, const char *token,
                   const char *kind, struct err *err)
{
    int rc = identity_places(a, data_dir, kind, err);
    if (rc == 0 && !text_set(a->hub, sizeof a->hub, hub, strlen(hub)))
        rc = err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc == 0 && !join_token_root(token, strlen(token), a->root))
        rc = err_set(err, ERR_INVALID,
                     "this is not a token to join (`busbar %s token NAME` at the hub makes one)", kind);
    if (rc == 0)
        rc = check_folder(a, err);
    if (rc == 0)
        rc = fs_mkdirs(a->folder, 0700, err);
    return rc == 0 && !fs_exists(a->key) ? pki_key_make(a->key, err) : rc;
}

static int call_hub(struct joining *j, struct tls_context *tls, const struct buf *body, struct err *err)
{
    if (loop_init(&j->loop) != 0)
        abort();
    int rc = link_open(&j->link, &j->loop, j->identity.hub, tls, err);
    if (rc == 0)
        link_post(j->link, "/site/v1/join", body, on_joined, j);
    uv_run(&j->loop.uv, UV_RUN_DEFAULT);
    loop_fini(&j->loop);
    return rc == 0 && j->end.code != 0 ? err_set(err, j->end.code, "%s", j->end.msg) : rc;
}

int member_join(const char *data_dir, const char *hub, const char *token, const char *kind, struct err *err)
{
    struct joining *j = calloc(1, sizeof *j);
    struct tls_context *tls = NULL;
    struct buf body = {0};
    char uri[SPIFFE_CAP];
    if (!j)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = prepare(&j->identity, data_dir, hub, token, kind, err);
    if (rc == 0)
        rc = identity_ask(&j->identity, token, &body, err);
    spiffe_hub(uri, j->identity.root);
    if (rc == 0)
        rc = tls_joining_client_new(&tls, j->identity.root, uri, err);
    if (rc == 0)
        rc = call_hub(j, tls, &body, err);
    tls_context_free(tls);
    buf_fini(&body);
    free(j);
    return rc;
}
