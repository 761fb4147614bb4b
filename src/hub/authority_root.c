/* SPDX-License-Identifier: Apache-2.0 */
/* A root that is not at the hub: the four steps by which a hub gets its issuer from it. */
#include <string.h>
#include <time.h>

#include "hub/authority.h"

static int paths(const char *dir, const char *key_name, const char *cert_name, char key[FS_PATH_MAX],
                 char cert[FS_PATH_MAX], struct err *err)
{
    if (!fs_join(key, dir, key_name) || !fs_join(cert, dir, cert_name))
        return err_set(err, ERR_INVALID, "the path of %s is too long", dir);
    return 0;
}

static int keep(const char *path, const struct buf *text, struct err *err)
{
    if (text->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return fs_write_atomic(path, text->data, text->len, 0644, err);
}

/* A key without a certificate is of a call that was cut off. */
int authority_root_init(const char *dir, unsigned days, struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX];
    struct buf text;
    int rc = paths(dir, "root.key", "root.pem", key, cert, err);
    if (rc == 0 && fs_exists(cert))
        rc = err_set(err, ERR_EXISTS, "%s is there already", cert);
    if (rc == 0)
        rc = fs_mkdirs(dir, 0700, err);
    if (rc == 0 && !fs_exists(key))
        rc = pki_key_make(key, err);
    if (rc != 0)
        return rc;
    buf_init(&text, PKI_PEM_MAX);
    rc = pki_root_make(
        key, &(struct pki_subject){.name = "busbar root", .seconds = days * AUTHORITY_DAY_S, .issuer = true},
        &text, err);
    if (rc == 0)
        rc = keep(cert, &text, err);
    buf_fini(&text);
    return rc;
}

int authority_request(const char *dir, struct buf *out, struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX];
    int rc = paths(dir, "issuer.key", "issuer.pem", key, cert, err);
    if (rc == 0)
        rc = fs_mkdirs(dir, 0700, err);
    if (rc == 0 && !fs_exists(key))
        rc = pki_key_make(key, err);
    return rc == 0 ? pki_request(key, out, err) : rc;
}

int authority_sign(const char *dir, const char *request, size_t len, unsigned days, struct buf *out,
                   struct err *err)
{
    char key[FS_PATH_MAX], cert[FS_PATH_MAX];
    int64_t ends_s = 0;
    int rc = paths(dir, "root.key", "root.pem", key, cert, err);
    if (rc == 0 && (!fs_exists(key) || !fs_exists(cert)))
        rc = err_set(err, ERR_NOT_FOUND, "%s has no root: root.key and root.pem are wanted", dir);
    if (rc == 0)
        rc = pki_expires(cert, &ends_s, err);
    if (rc == 0 && ends_s <= time(NULL))
        rc = err_set(err, ERR_WRONG_STATE, "the time of the root in %s is over", dir);
    if (rc != 0)
        return rc;
    return pki_issue(cert, key, request, len,
                     &(struct pki_subject){
                         .name = AUTHORITY_ISSUER_NAME, .seconds = days * AUTHORITY_DAY_S, .issuer = true},
                     out, err);
}

/* Whether the network has no root yet, or this one. */
static int same_root(const char *ours, const char *given, struct err *err)
{
    uint8_t here[PKI_DIGEST_SIZE], there[PKI_DIGEST_SIZE];
    if (!fs_exists(ours))
        return 0;
    int rc = pki_root_digest(ours, here, err);
    if (rc == 0)
        rc = pki_root_digest(given, there, err);
    if (rc == 0 && memcmp(here, there, sizeof here) != 0)
        rc = err_set(err, ERR_WRONG_STATE,
                     "the network has another root, %s; sites that joined know the hub by it", ours);
    return rc;
}

/* The root last but one: a root without its issuer is repaired by doing this again. */
int authority_install(const char *dir, const char *issuer_path, const char *root_path, struct err *err)
{
    char key[FS_PATH_MAX], issuer[FS_PATH_MAX], root[FS_PATH_MAX];
    struct buf chain, top;
    int rc = paths(dir, "issuer.key", "issuer.pem", key, issuer, err);
    if (rc == 0 && !fs_join(root, dir, "root.pem"))
        rc = err_set(err, ERR_INVALID, "the path of %s is too long", dir);
    if (rc == 0 && !fs_exists(key))
        rc = err_set(err, ERR_NOT_FOUND, "%s is missing; `busbar ca request` makes it", key);
    if (rc == 0)
        rc = same_root(root, root_path, err);
    if (rc == 0)
        rc = pki_issuer_check(issuer_path, root_path, key, err);
    if (rc != 0)
        return rc;
    buf_init(&chain, 2 * PKI_PEM_MAX);
    buf_init(&top, PKI_PEM_MAX);
    rc = pki_first(issuer_path, &chain, err);
    if (rc == 0)
        rc = pki_first(root_path, &top, err);
    if (rc == 0)
        buf_add(&chain, top.data, top.len);
    if (rc == 0 && !fs_exists(root))
        rc = keep(root, &top, err);
    if (rc == 0)
        rc = keep(issuer, &chain, err);
    buf_fini(&chain);
    buf_fini(&top);
    return rc;
}
