/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/amount.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/limits.h"

#define NANO 1000000000

void amount_format(char dst[AMOUNT_TEXT_MAX], int64_t nano)
{
    uint64_t abs = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
    int n = snprintf(dst, AMOUNT_TEXT_MAX, "%s%llu.%09llu", nano < 0 ? "-" : "",
                     (unsigned long long)(abs / NANO), (unsigned long long)(abs % NANO));
    while (n > 0 && dst[n - 1] == '0')
        dst[--n] = 0;
    if (n > 0 && dst[n - 1] == '.')
        dst[n - 1] = 0;
}

bool amount_parse(int64_t *nano, const char *text, size_t len)
{
    const char *point = len ? memchr(text, '.', len) : NULL;
    size_t whole_len = point ? (size_t)(point - text) : len;
    size_t rest_len = point ? len - whole_len - 1 : 0;
    uint64_t whole, rest = 0;
    if (!u64_parse(text, whole_len, MONEY_MAX / NANO, &whole) || (point && rest_len == 0) || rest_len > 9 ||
        (rest_len && !u64_parse(point + 1, rest_len, NANO - 1, &rest)))
        return false;
    for (size_t i = rest_len; i < 9; i++)
        rest *= 10;
    *nano = (int64_t)(whole * NANO + rest);
    return *nano <= MONEY_MAX;
}

static const struct {
    const char *code;
    uint32_t number;
} currencies[] = {{"USD", 840}, {"EUR", 978}, {"CNY", 156}, {"GBP", 826}, {"JPY", 392},
                  {"AED", 784}, {"SAR", 682}, {"BRL", 986}, {"ARS", 32},  {"CHF", 756},
                  {"INR", 356}, {"SGD", 702}, {"HKD", 344}, {"KRW", 410}, {"CAD", 124}};

uint32_t currency_number(const char *code, size_t len)
{
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++) {
        if (text_eq(code, len, currencies[i].code, 3))
            return currencies[i].number;
    }
    return 0;
}

const char *currency_code(uint32_t number)
{
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++) {
        if (currencies[i].number == number)
            return currencies[i].code;
    }
    return NULL;
}
