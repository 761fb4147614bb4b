/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is accepted and written again is accepted again and means the same. */
#include <assert.h>
#include <string.h>

#include "net/json.h"
#include "tests/fuzz/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    yyjson_doc *first = json_parse((const char *)data, size, &err);
    if (!first) {
        assert(err.code < 0 && err.msg[0]);
        return 0;
    }
    struct buf text;
    struct buf again;
    buf_init(&text, (size_t)16 << 20);
    buf_init(&again, (size_t)16 << 20);
    json_add(&text, yyjson_doc_get_root(first));
    assert(!text.failed && text.len > 0);
    yyjson_doc *second = json_parse(text.data, text.len, &err);
    assert(second);
    assert(yyjson_equals(yyjson_doc_get_root(first), yyjson_doc_get_root(second)));
    json_add(&again, yyjson_doc_get_root(second));
    assert(text.len == again.len && memcmp(text.data, again.data, text.len) == 0);
    yyjson_doc_free(first);
    yyjson_doc_free(second);
    buf_fini(&text);
    buf_fini(&again);
    return 0;
}
