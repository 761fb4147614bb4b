/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/text.h"

#include <string.h>

size_t text_find_stop(const char *text, size_t len, size_t before, const char *const *stops, uint32_t n)
{
    size_t first = len;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = strlen(stops[i]);
        for (size_t at = before >= size ? before - size + 1 : 0; at + size <= len && at < first; at++) {
            if (memcmp(text + at, stops[i], size) == 0)
                first = at;
        }
    }
    return first;
}

/* Of UTF-8: a lead byte with fewer bytes after it than it announces. What is no UTF-8 is not waited for. */
static size_t open_character(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        uint8_t c = (uint8_t)text[len - back];
        size_t announced = c >= 0xf0 && c < 0xf8   ? 4
                           : c >= 0xe0 && c < 0xf0 ? 3
                           : c >= 0xc2 && c < 0xe0 ? 2
                                                   : 1;
        if ((c & 0xc0) == 0x80)
            continue;
        return announced > back ? back : 0;
    }
    return 0;
}

size_t text_held(const char *text, size_t len, const char *const *stops, uint32_t n)
{
    size_t held = open_character(text, len);
    for (uint32_t i = 0; i < n; i++) {
        size_t size = strlen(stops[i]);
        for (size_t k = size - 1 < len ? size - 1 : len; size > 1 && k > held; k--) {
            if (memcmp(text + len - k, stops[i], k) == 0)
                held = k;
        }
    }
    return held;
}
