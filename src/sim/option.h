/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: how the simulator's options are written where one of them is more than a number or a name.
 *
 * A list is separated by commas. An item that is empty is a mistake, also behind a comma at the end: something was left out. A word
 * is one of a few. Messages name the option and what was written. Nothing here is allocated.
 */
#ifndef BUSBAR_SIM_OPTION_H
#define BUSBAR_SIM_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define OPTION_ITEM_CAP 1024

struct option_list {
    const char *name;           /* of the option, as "--traits" */
    const char *rest;           /* NULL: there is none */
    char item[OPTION_ITEM_CAP]; /* the reader's own to cut */
    const char *written;        /* the same in the option, so long */
    int len;
    int rc; /* 0, or ERR_INVALID, why there is no next one */
};

/* `text` NULL: no items. */
struct option_list option_list(const char *name, const char *text);
/* The next item; false when there is none more, or it is no item: then `rc` says so, with words. */
bool option_next(struct option_list *list, struct err *err);
/* Cuts the item NAME=VALUE in two; the value, or NULL: it is not written so. */
char *option_value(struct option_list *list);

/* Which of the words, which end with NULL, `text` is; NULL: *index stays. ERR_INVALID, with words. */
int option_word(const char *name, const char *text, const char *const *words, uint32_t *index,
                struct err *err);

#endif
