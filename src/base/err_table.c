/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct err_row {
    int16_t code;
    int16_t http;
    bool retryable;
    const char *name;
    const char *text;
};

static const struct err_row rows[] = {
    {0, 200, false, "OK", "ok"},
#define ERR(name, code, http, retryable, text) {(code), (http), (retryable), #name, (text)},
#include "base/errors.def"
#undef ERR
};

static const struct err_row unknown = {1, 500, false, "UNKNOWN", "unknown error"};

static const struct err_row *row_of(int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return &unknown;
}

const char *err_name(int code)
{
    return row_of(code)->name;
}

const char *err_text(int code)
{
    return row_of(code)->text;
}

int err_http_status(int code)
{
    return row_of(code)->http;
}

bool err_retryable(int code)
{
    return row_of(code)->retryable;
}
