/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/option.h"

#include <stdio.h>
#include <string.h>

struct option_list option_list(const char *name, const char *text)
{
    return (struct option_list){.name = name, .rest = text};
}

bool option_next(struct option_list *list, struct err *err)
{
    if (!list->rest)
        return false;
    size_t len = strcspn(list->rest, ",");
    list->written = list->rest;
    list->len = (int)len;
    if (len == 0 || len >= sizeof list->item) {
        list->rc = err_set(err, ERR_INVALID, "%s: something between its commas is %s", list->name,
                           len == 0 ? "missing" : "too long");
        return false;
    }
    memcpy(list->item, list->rest, len);
    list->item[len] = 0;
    list->rest = list->rest[len] ? list->rest + len + 1 : NULL;
    return true;
}

char *option_value(struct option_list *list)
{
    char *equals = strchr(list->item, '=');
    if (!equals)
        return NULL;
    *equals = 0;
    return equals + 1;
}

int option_word(const char *name, const char *text, const char *const *words, uint32_t *index,
                struct err *err)
{
    char all[128] = "";
    size_t at = 0;
    for (uint32_t i = 0; words[i]; i++) {
        if (!text || strcmp(text, words[i]) == 0) {
            *index = text ? i : *index;
            return 0;
        }
        const char *before = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        int n = snprintf(all + at, sizeof all - at, "%s%s", before, words[i]);
        at += n > 0 && (size_t)n < sizeof all - at ? (size_t)n : 0;
    }
    return err_set(err, ERR_INVALID, "%s %s: expected %s", name, text, all);
}
