/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rulefile.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "core/rulebook.h"

static int check(const struct rulefile *file, const char *path, struct err *err)
{
    struct rules rules;
    struct rule_errors errors = {0};
    void *block = aligned_alloc(ARENA_ALIGN, rules_size());
    if (!block)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    rules_place(&rules, block);
    int rc = rules_parse(&rules, file->text.data, file->text.len, &errors);
    free(block);
    if (rc == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s:%u:%u: %s; `busbar rules check` tells more", path,
                   errors.list[0].line, errors.list[0].column, errors.list[0].text);
}

int rulefile_open(struct rulefile *file, const char *path, struct err *err)
{
    buf_init(&file->text, RULES_TEXT_MAX + 1);
    if (!path)
        return 0;
    int rc = fs_read(path, &file->text, err);
    return rc == 0 && file->text.len > 0 ? check(file, path, err) : rc;
}

void rulefile_close(struct rulefile *file)
{
    buf_fini(&file->text);
}

bool rulefile_event(const struct rulefile *file, uint32_t i, struct event *out)
{
    const struct uuid set = {{'R', [15] = 1}};
    size_t at = 0;
    uint32_t parts = 0, n;
    if (file->text.len == 0)
        return false;
    while ((n = rules_cut(file->text.data + at, file->text.len - at)) > 0) {
        if (parts == i) {
            *out = (struct event){.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = set, .part = i}};
            memcpy(out->u.rules_put.text, file->text.data + at, n);
            return true;
        }
        at += n;
        parts++;
    }
    *out = (struct event){.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = set, .parts = parts}};
    return parts > 0 && i == parts;
}
