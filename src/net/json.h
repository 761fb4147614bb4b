/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as RFC 8259 has it, and stricter where two readers could differ: no duplicate member names at any depth (by
 * their decoded text), at most JSON_DEPTH_MAX levels, valid UTF-8, numbers that a double can hold. Parsing is yyjson's.
 */
#ifndef BUSBAR_NET_JSON_H
#define BUSBAR_NET_JSON_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 64
#define JSON_MEMBERS_MAX 65536

/* NULL with words in *err: ERR_INVALID. The document is the caller's, yyjson_doc_free, on the thread that parsed it. */
yyjson_doc *json_parse(const char *data, size_t len, struct err *err);
/* As json_parse, and the root must be an object. */
yyjson_doc *json_parse_object(const char *data, size_t len, struct err *err);
/* Without the stricter checks and without words: for what an engine says. */
yyjson_doc *json_read(const char *data, size_t len);
/* Appends the value as compact JSON. */
void json_add(struct buf *out, const yyjson_val *value);

#endif
