/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON. Where the chips are: "." the root, NAME a list in it, "NAME*" its members whose names begin so (their numbers are the chips');
 * '|' between ways of which the first that is there is taken. A column's key is a path of names with '/' between, "name[a=b]" the
 * member of a list where a is b; with '^' from the root, for all. A value may be {"value": .., "unit": ..}. Tools print words before
 * it, and put blanks at the end of names.
 */
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#include "probe/parts.h"

#define VALUE_CAP 256

/* Member of that name, blanks at its ends not counted. */
static yyjson_val *member(yyjson_val *object, const char *name, size_t len)
{
    yyjson_val *key;
    yyjson_obj_iter at;
    (void)yyjson_obj_iter_init(object, &at);
    while ((key = yyjson_obj_iter_next(&at))) {
        const char *text = yyjson_get_str(key);
        size_t n = yyjson_get_len(key);
        text_trim(&text, &n);
        if (n == len && memcmp(text, name, n) == 0)
            return yyjson_obj_iter_get_val(key);
    }
    return NULL;
}

static yyjson_val *element(yyjson_val *list, const char *name, size_t name_len, const char *value,
                           size_t value_len)
{
    yyjson_val *v;
    yyjson_arr_iter at;
    (void)yyjson_arr_iter_init(list, &at);
    while ((v = yyjson_arr_iter_next(&at))) {
        yyjson_val *is = member(v, name, name_len);
        if (yyjson_is_str(is) && yyjson_get_len(is) == value_len &&
            memcmp(yyjson_get_str(is), value, value_len) == 0)
            return v;
    }
    return NULL;
}

static yyjson_val *follow(yyjson_val *v, const char *path)
{
    while (v && *path) {
        size_t len = strcspn(path, "/["), skip = len;
        v = member(v, path, len);
        if (path[len] == '[') {
            const char *name = path + len + 1, *equals = strchr(name, '='), *end = strchr(name, ']');
            if (!equals || !end || end < equals)
                return NULL;
            v = element(v, name, (size_t)(equals - name), equals + 1, (size_t)(end - equals - 1));
            skip = (size_t)(end + 1 - path);
        }
        path += skip;
        path += *path == '/';
    }
    return v;
}

static size_t write_value(char dst[VALUE_CAP], yyjson_val *v)
{
    int n = 0;
    if (yyjson_is_str(v) && yyjson_get_len(v) < VALUE_CAP) {
        memcpy(dst, yyjson_get_str(v), yyjson_get_len(v));
        return yyjson_get_len(v);
    }
    if (yyjson_is_bool(v))
        n = snprintf(dst, VALUE_CAP, "%s", yyjson_get_bool(v) ? "true" : "false");
    else if (yyjson_is_uint(v))
        n = snprintf(dst, VALUE_CAP, "%llu", (unsigned long long)yyjson_get_uint(v));
    else if (yyjson_is_sint(v))
        n = snprintf(dst, VALUE_CAP, "%lld", (long long)yyjson_get_sint(v));
    else if (yyjson_is_real(v) && yyjson_get_real(v) > -1e12 && yyjson_get_real(v) < 1e12)
        n = snprintf(dst, VALUE_CAP, "%.3f", yyjson_get_real(v));
    return n > 0 && n < VALUE_CAP ? (size_t)n : 0;
}

static size_t value_text(char dst[VALUE_CAP], yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return write_value(dst, v);
    char unit[VALUE_CAP];
    size_t n = write_value(dst, member(v, "value", 5)), m = write_value(unit, member(v, "unit", 4));
    if (n == 0 || n + 1 + m >= VALUE_CAP)
        return n;
    dst[n] = ' ';
    memcpy(dst + n + 1, unit, m);
    return n + 1 + m;
}

struct reading {
    struct drafts *out;
    const struct tool_step *step;
};

static void take_chip(struct reading *r, yyjson_val *v, const char *number, size_t number_len)
{
    char text[VALUE_CAP];
    struct draft *d = yyjson_is_obj(v) ? drafts_add(r->out) : NULL;
    if (!d)
        return;
    if (number)
        draft_set(d, FIELD_INDEX, UNIT_NONE, number, number_len);
    for (const struct tool_column *c = r->step->columns; c->key; c++) {
        yyjson_val *value = c->key[0] == '^' ? NULL : follow(v, c->key);
        size_t n = value ? value_text(text, value) : 0;
        if (n > 0)
            draft_set(d, c->field, c->unit, text, n);
    }
}

static void take_list(struct reading *r, yyjson_val *list)
{
    yyjson_val *v;
    yyjson_arr_iter at;
    (void)yyjson_arr_iter_init(list, &at);
    while ((v = yyjson_arr_iter_next(&at)))
        take_chip(r, v, NULL, 0);
}

static bool take_members(struct reading *r, yyjson_val *root, const char *begins, size_t len)
{
    yyjson_val *key;
    yyjson_obj_iter at;
    bool any = false;
    (void)yyjson_obj_iter_init(root, &at);
    while ((key = yyjson_obj_iter_next(&at))) {
        const char *name = yyjson_get_str(key);
        size_t n = yyjson_get_len(key);
        if (n <= len || memcmp(name, begins, len) != 0)
            continue;
        any = true;
        take_chip(r, yyjson_obj_iter_get_val(key), name + len, n - len);
    }
    return any;
}

/* Whether there was what this way names. */
static bool take_way(struct reading *r, yyjson_val *root, const char *way, size_t len)
{
    if (len == 1 && way[0] == '.' && yyjson_is_arr(root)) {
        take_list(r, root);
        return true;
    }
    if (len == 1 && way[0] == '.') {
        take_chip(r, root, NULL, 0);
        return true;
    }
    if (len > 1 && way[len - 1] == '*')
        return take_members(r, root, way, len - 1);
    yyjson_val *list = member(root, way, len);
    take_list(r, list);
    return list != NULL;
}

void read_json(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    struct reading r = {out, step};
    char value[VALUE_CAP];
    while (len > 0 && *text != '{' && *text != '[') { /* words before it, whole lines of them */
        const char *eol = memchr(text, '\n', len);
        len = eol ? len - (size_t)(eol + 1 - text) : 0;
        text = eol ? eol + 1 : text;
        while (len > 0 && (*text == ' ' || *text == '\t')) {
            text++;
            len--;
        }
    }
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text, len,
                         YYJSON_READ_STOP_WHEN_DONE | YYJSON_READ_ALLOW_INVALID_UNICODE, NULL, NULL);
    yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL;
    for (const char *way = step->list; root && way;) {
        size_t n = strcspn(way, "|");
        way = take_way(&r, root, way, n) || !way[n] ? NULL : way + n + 1;
    }
    for (const struct tool_column *c = step->columns; root && c->key; c++) {
        size_t n = c->key[0] == '^' ? value_text(value, follow(root, c->key + 1)) : 0;
        if (n > 0)
            text_take(out->driver, sizeof out->driver, value, n);
    }
    yyjson_doc_free(doc);
}
