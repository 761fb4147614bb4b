/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/duration.h"

#include "base/str.h"

bool duration_read(const char *text, size_t len, int64_t *ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000},   {'m', 60000},      {'h', HOUR_MS},
                 {'d', DAY_MS}, {'w', 7 * DAY_MS}, {'y', 365 * DAY_MS}};
    uint64_t n;
    for (unsigned i = 0; i < sizeof units / sizeof units[0] && len > 0; i++) {
        if (text[len - 1] != units[i].letter)
            continue;
        if (!u64_parse(text, len - 1, (uint64_t)(DURATION_MAX_MS / units[i].ms), &n))
            return false;
        *ms = (int64_t)n * units[i].ms;
        return true;
    }
    return false;
}
