/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) through OpenSSL. The pure folders get digest_sha256 as a function pointer. */
#ifndef BUSBAR_BASE_DIGEST_H
#define BUSBAR_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DIGEST_LEN 32

void digest_sha256(uint8_t out[DIGEST_LEN], const void *data, size_t len);
/* Digest of a whole file. ERR_IO with words. */
int digest_file(uint8_t out[DIGEST_LEN], const char *path, struct err *err);

/* The digest of bytes that come in pieces. */
struct digest_stream;
/* NULL when out of memory. */
struct digest_stream *digest_stream_new(void);
void digest_stream_free(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t len);
/* Of all that was added so far; more may follow. */
void digest_stream_get(const struct digest_stream *stream, uint8_t out[DIGEST_LEN]);

#endif
