/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF metadata from any bytes: no read outside them, texts that end, and the same answer twice. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf_info once, again;
    struct err err = {0};
    int rc = gguf_parse(&once, data, size, &err);
    assert(gguf_parse(&again, data, size, &err) == rc);
    if (rc != 0)
        return 0;
    assert(memcmp(&once, &again, sizeof once) == 0);
    assert(memchr(once.architecture, 0, sizeof once.architecture) && memchr(once.name, 0, sizeof once.name));
    assert(memchr(once.licence, 0, sizeof once.licence) && once.kind >= 1 && once.kind <= 3);
    (void)gguf_memory(&once, size, 4096);
    return 0;
}
