/* SPDX-License-Identifier: Apache-2.0 */
#include "base/osrandom.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

void os_random(void *dst, size_t len)
{
    uint8_t *p = dst;
    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        p += n;
        len -= (size_t)n;
    }
}

struct uuid uuid_new(void)
{
    /* One system call serves 25 ids: a gateway draws one for each request. */
    static _Thread_local uint8_t pool[250];
    static _Thread_local size_t left;
    if (left < 10) {
        os_random(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= 10;
    return uuid_v7(clock_wall_ms(), pool + left);
}
