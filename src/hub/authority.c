/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/authority.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/spiffe.h"

static bool path_of(const struct authority *a, const char *name, char out[FS_PATH_MAX])
{
    return fs_join(out, a->dir, name);
}

/* Reads nothing: writes what was made. */
static int keep(const char *path, const struct buf *text, struct err *err)
{
    if (text->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return fs_write_atomic(path, text->data, text->len, 0644, err);
}

/* A key without a root is one whose request is on its way to it. */
static int make_root(const struct authority *a, struct err *err)
{
    char cert[FS_PATH_MAX], key[FS_PATH_MAX];
    if (!path_of(a, "root.pem", cert) || !path_of(a, "issuer.key", key))
        return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    if (fs_exists(cert))
        return 0;
    if (fs_exists(key))
        return err_set(err, ERR_WRONG_STATE,
                       "%s waits for its certificate from a root elsewhere (`busbar ca install`)", key);
    return authority_root_init(a->dir, AUTHORITY_ROOT_DAYS, err);
}

/* A certificate in the issuer's name, for a key that is made unless it is there. */
static int issue(const struct authority *a, const char *issuer, const char *name,
                 const struct pki_subject *subject, struct err *err)
{
    char issuer_cert[FS_PATH_MAX], issuer_key[FS_PATH_MAX], key[FS_PATH_MAX], cert[FS_PATH_MAX], file[32];
    const struct {
        const char *who, *ending;
        char *path;
    } paths[] = {
        {issuer, "pem", issuer_cert}, {issuer, "key", issuer_key}, {name, "key", key}, {name, "pem", cert}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        (void)snprintf(file, sizeof file, "%s.%s", paths[i].who, paths[i].ending);
        if (!path_of(a, file, paths[i].path))
            return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    }
    struct buf request, text;
    buf_init(&request, PKI_PEM_MAX);
    buf_init(&text, PKI_PEM_MAX);
    int rc = fs_exists(key) ? 0 : pki_key_make(key, err);
    if (rc == 0)
        rc = pki_request(key, &request, err);
    if (rc == 0)
        rc = pki_issue(issuer_cert, issuer_key, request.data, request.len, subject, &text, err);
    if (rc == 0)
        rc = keep(cert, &text, err);
    buf_fini(&request);
    buf_fini(&text);
    return rc;
}

static int make_issuer(const struct authority *a, struct err *err)
{
    char cert[FS_PATH_MAX];
    int64_t ends_s = 0;
    if (!path_of(a, "issuer.pem", cert))
        return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    if (fs_exists(cert) && pki_expires(cert, &ends_s, err) == 0 &&
        ends_s > time(NULL) + AUTHORITY_ISSUER_LEFT_S)
        return 0;
    int rc = issue(a, "root", "issuer",
                   &(struct pki_subject){.name = AUTHORITY_ISSUER_NAME,
                                         .seconds = AUTHORITY_ISSUER_DAYS * AUTHORITY_DAY_S,
                                         .issuer = true},
                   err);
    if (rc != 0 && ends_s > time(NULL))
        return 0; /* the root's key is elsewhere; this one serves for a while yet */
    return rc == 0 ? 0 : err_wrap(err, "the issuer needs a certificate from the root (`busbar ca request`)");
}

int64_t authority_issuer_left_s(const struct authority *a)
{
    char cert[FS_PATH_MAX];
    struct err err = {0};
    int64_t ends_s = 0, now_s = time(NULL);
    bool known = path_of(a, "issuer.pem", cert) && pki_expires(cert, &ends_s, &err) == 0;
    return known && ends_s > now_s ? ends_s - now_s : 0;
}

static int make_own(const struct authority *a, struct err *err)
{
    char uri[SPIFFE_CAP];
    spiffe_hub(uri, a->root);
    return issue(
        a, "issuer", "hub",
        &(struct pki_subject){.uri = uri, .name = "busbar hub", .host = a->host, .seconds = MEMBER_S}, err);
}

int authority_open(struct authority *a, const char *dir, const char *host, struct err *err)
{
    char root[FS_PATH_MAX];
    *a = (struct authority){0};
    if (!text_set(a->dir, sizeof a->dir, dir, strlen(dir)) ||
        !text_set(a->host, sizeof a->host, host, strlen(host)) || !path_of(a, "root.pem", root))
        return err_set(err, ERR_INVALID, "%s or %s is too long", dir, host);
    int rc = fs_mkdirs(dir, 0700, err);
    if (rc == 0)
        rc = make_root(a, err);
    if (rc == 0)
        rc = pki_root_digest(root, a->root, err);
    if (rc == 0)
        rc = make_issuer(a, err);
    return rc == 0 ? make_own(a, err) : rc;
}

int authority_tls(const struct authority *a, struct tls_context **out, struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX];
    if (!path_of(a, "hub.key", key) || !path_of(a, "hub.pem", cert))
        return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    return tls_member_server_new(out, cert, key, err);
}

int authority_renew(const struct authority *a, struct tls_context *tls, struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX];
    if (!path_of(a, "hub.key", key) || !path_of(a, "hub.pem", cert))
        return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    int rc = make_issuer(a, err);
    if (rc == 0)
        rc = make_own(a, err);
    return rc == 0 ? tls_member_renew(tls, cert, key, err) : rc;
}

int authority_grant(const struct authority *a, const char *request, size_t len, const struct uuid *member,
                    bool gateway, struct buf *out, struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX], uri[SPIFFE_CAP], name[UUID_TEXT_LEN + 1];
    if (!path_of(a, "issuer.key", key) || !path_of(a, "issuer.pem", cert))
        return err_set(err, ERR_INVALID, "the path of %s is too long", a->dir);
    (gateway ? spiffe_gateway : spiffe_site)(uri, a->root, member);
    uuid_format(name, member);
    return pki_issue(cert, key, request, len,
                     &(struct pki_subject){.uri = uri, .name = name, .seconds = MEMBER_S}, out, err);
}
