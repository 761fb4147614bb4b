/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED /* digest_sha256 */

#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void digest_sha256(uint8_t out[DIGEST_LEN], const void *data, size_t len)
{
    /* A leaf of the log takes some fifty hashes of a hundred bytes. Around those, OpenSSL's general interface costs as much as the hash
     * itself, also with a context that is kept; this older one, of which it says that another is better, does not. */
    SHA256_CTX ctx;
    if (SHA256_Init(&ctx) != 1 || SHA256_Update(&ctx, data, len) != 1 || SHA256_Final(out, &ctx) != 1)
        abort();
}

int digest_file(uint8_t out[DIGEST_LEN], const char *path, struct err *err)
{
    int rc = 0;
    EVP_MD_CTX *ctx = NULL;
    char *block = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    const size_t block_len = 1 << 16;
    block = malloc(block_len);
    ctx = EVP_MD_CTX_new();
    if (!block || !ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    size_t n;
    while ((n = fread(block, 1, block_len, f)) > 0) {
        if (EVP_DigestUpdate(ctx, block, n) != 1)
            abort();
    }
    if (ferror(f)) {
        rc = err_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
out:
    EVP_MD_CTX_free(ctx);
    free(block);
    fclose(f);
    return rc;
}

/* No bytes are held back here: OpenSSL's context is the whole of it. */
struct digest_stream {
    EVP_MD_CTX *ctx;
};

struct digest_stream *digest_stream_new(void)
{
    struct digest_stream *stream = malloc(sizeof *stream);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!stream || !ctx || EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        free(stream);
        return NULL;
    }
    stream->ctx = ctx;
    return stream;
}

void digest_stream_free(struct digest_stream *stream)
{
    if (!stream)
        return;
    EVP_MD_CTX_free(stream->ctx);
    free(stream);
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t len)
{
    if (EVP_DigestUpdate(stream->ctx, data, len) != 1)
        abort();
}

void digest_stream_get(const struct digest_stream *stream, uint8_t out[DIGEST_LEN])
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (!copy || EVP_MD_CTX_copy_ex(copy, stream->ctx) != 1 || EVP_DigestFinal_ex(copy, out, NULL) != 1)
        abort();
    EVP_MD_CTX_free(copy);
}
