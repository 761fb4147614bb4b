/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: an int, 0 or a negative code from errors.def.
 *
 * Pure code returns the bare code. At a boundary, where a person will read it, `struct err` adds words: what was
 * asked, on which object, what the system said. An `err` is a plain value with a bounded message; it owns nothing.
 */
#ifndef BUSBAR_BASE_ERR_H
#define BUSBAR_BASE_ERR_H

#include <stdbool.h>

enum {
#define ERR(name, code, http, retryable, text) ERR_##name = (code),
#include "base/errors.def"
#undef ERR
};

/* The identifier as in errors.def ("BUDGET_HELD"), "OK" for 0, "UNKNOWN" for a code that is not in the table. */
const char *err_name(int code);
const char *err_text(int code);
/* HTTP status for a code; 200 for 0. */
int err_http_status(int code);
bool err_retryable(int code);

struct err {
    int code;
    char msg[240];
};

/* Sets code and message (cut at the end of `msg`) and returns `code`, so that `return err_set(...)` reads well.
 * `err` may be NULL. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *fmt, ...);

/* Puts "prefix: " before the message that is there. Returns the code. */
__attribute__((format(printf, 2, 3))) int err_wrap(struct err *err, const char *fmt, ...);

#endif
