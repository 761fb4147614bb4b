/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/duration.h"

#include <stdlib.h>

#include "base/err.h"

int duration_read(const char *text, int64_t *ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'y', INT64_C(365) * 86400000}};
    char *end;
    if (*text < '0' || *text > '9')
        return ERR_INVALID;
    unsigned long long n = strtoull(text, &end, 10);
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (*end != units[i].letter || end[1] || n > (unsigned long long)(DURATION_MAX_MS / units[i].ms))
            continue;
        *ms = (int64_t)n * units[i].ms;
        return 0;
    }
    return ERR_INVALID;
}
