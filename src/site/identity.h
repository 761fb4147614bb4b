/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a site is: its folder has pki/site.key and pki/site.pem, and site.json: the hub's address, the digest of the
 * network's root, its own id and name. A gateway's has pki/gateway.key and so on.
 */
#ifndef BUSBAR_SITE_IDENTITY_H
#define BUSBAR_SITE_IDENTITY_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/limits.h"

struct identity {
    const char *kind; /* "site" or "gateway"; a literal */
    char folder[FS_PATH_MAX], key[FS_PATH_MAX], cert[FS_PATH_MAX], about[FS_PATH_MAX];
    char hub[128]; /* HOST:PORT of its door for sites */
    char site[UUID_TEXT_LEN + 1], name[NAME_CAP];
    uint8_t root[DIGEST_LEN];
};

/* Where the files are; nothing is read. `kind`: a literal, "site" or "gateway". */
int identity_places(struct identity *identity, const char *data_dir, const char *kind, struct err *err);
/* ERR_CORRUPT: the file is not what joining wrote. */
int identity_read(struct identity *identity, struct err *err);

/* The body that asks for a certificate: with a token to join, with NULL to renew. The caller frees `out` in any case. */
int identity_ask(const struct identity *identity, const char *token, struct buf *out, struct err *err);
/* Keeps the certificate of the hub's answer, and who we are by it. */
int identity_keep(struct identity *identity, yyjson_val *answer, struct err *err);

/* Joins with a token, once: makes the key, asks for a certificate, writes both. `hub`: HOST:PORT of its door for sites. What a
 * call before left is used again, so that it may be repeated with the same token. Blocks. ERR_EXISTS: the folder belongs
 * to one of another hub. `kind` as above. */
int member_join(const char *data_dir, const char *hub, const char *token, const char *kind, struct err *err);

#endif
