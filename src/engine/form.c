/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/form.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "net/json.h"

#define FORM_TEXT_MAX ((size_t)128 << 10) /* what Linux takes as one argument */

static void *at(void *form, size_t offset)
{
    return (char *)form + offset;
}

static const void *of(const void *form, size_t offset)
{
    return (const char *)form + offset;
}

static int read_object(const struct form_table *table, yyjson_val *object, void *form, struct err *err);

static int wrong(struct err *err, const struct form_field *f, const char *what)
{
    return err_set(err, ERR_INVALID, "`%s`: %s", f->key, what);
}

static int read_text(const struct form_field *f, yyjson_val *val, char **out, struct err *err)
{
    const char *text = yyjson_get_str(val);
    size_t max = f->type == FORM_TEXT && f->max ? (size_t)f->max : FORM_TEXT_MAX;
    if (!text)
        return wrong(err, f, "not a text");
    if (yyjson_get_len(val) > max)
        return wrong(err, f, "too long");
    if (memchr(text, 0, yyjson_get_len(val)))
        return wrong(err, f, "a text has a NUL");
    *out = strdup(text);
    return *out ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static int read_number(const struct form_field *f, yyjson_val *val, uint64_t max, uint64_t *out,
                       struct err *err)
{
    if (!yyjson_is_uint(val))
        return wrong(err, f, "not a whole number from 0");
    *out = yyjson_get_uint(val);
    return *out > max ? wrong(err, f, "too large") : 0;
}

static int read_word(const struct form_field *f, yyjson_val *val, uint32_t *out, struct err *err)
{
    const char *text = yyjson_get_str(val);
    for (uint32_t i = 0; text && f->words[i]; i++) {
        if (f->words[i][0] && strcmp(f->words[i], text) == 0) {
            *out = i;
            return 0;
        }
    }
    return wrong(err, f, "not one of its words");
}

/* Size of one element of a list. */
static size_t element(const struct form_field *f)
{
    switch (f->type) {
    case FORM_TEXTS:
        return sizeof(char *);
    case FORM_U32S:
        return sizeof(uint32_t);
    default:
        return f->of->size;
    }
}

static int read_element(const struct form_field *f, yyjson_val *val, void *out, struct err *err)
{
    uint64_t number = 0;
    if (f->type == FORM_TEXTS)
        return read_text(f, val, out, err);
    if (f->type == FORM_LIST)
        return yyjson_is_obj(val) ? read_object(f->of, val, out, err) : wrong(err, f, "not an object");
    int rc = read_number(f, val, UINT32_MAX, &number, err);
    if (rc == 0)
        *(uint32_t *)out = (uint32_t)number;
    return rc;
}

static int read_list(const struct form_field *f, yyjson_val *val, void *form, struct err *err)
{
    size_t n = yyjson_arr_size(val), i, max;
    yyjson_val *item;
    if (!yyjson_is_arr(val))
        return wrong(err, f, "not a list");
    if (n > f->max)
        return wrong(err, f, "too many");
    /* One element more, zeroed: a list of texts ends as execv wants it. */
    char *list = calloc(n + 1, element(f));
    if (!list)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *(void **)at(form, f->at) = list;
    *(uint32_t *)at(form, f->count) = (uint32_t)n;
    yyjson_arr_foreach(val, i, max, item)
    {
        int rc = read_element(f, item, list + i * element(f), err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_field(const struct form_field *f, yyjson_val *val, void *form, struct err *err)
{
    void *out = at(form, f->at);
    uint64_t number = 0;
    int rc;
    switch (f->type) {
    case FORM_U32:
        rc = read_number(f, val, f->max ? f->max : UINT32_MAX, &number, err);
        *(uint32_t *)out = (uint32_t)number;
        return rc;
    case FORM_U64:
        return read_number(f, val, f->max ? f->max : INT64_MAX, out, err);
    case FORM_BOOL:
        *(bool *)out = yyjson_is_true(val);
        return yyjson_is_bool(val) ? 0 : wrong(err, f, "neither true nor false");
    case FORM_UUID:
        return yyjson_is_str(val) && uuid_parse(out, yyjson_get_str(val), yyjson_get_len(val))
                   ? 0
                   : wrong(err, f, "not a UUID");
    case FORM_WORD:
        return read_word(f, val, out, err);
    case FORM_TEXT:
        return read_text(f, val, out, err);
    case FORM_OBJECT:
        return yyjson_is_obj(val) ? read_object(f->of, val, out, err) : wrong(err, f, "not an object");
    default:
        return read_list(f, val, form, err);
    }
}

static const struct form_field *find(const struct form_table *table, const char *key)
{
    for (uint32_t i = 0; i < table->n; i++) {
        if (strcmp(table->fields[i].key, key) == 0)
            return &table->fields[i];
    }
    return NULL;
}

static int read_object(const struct form_table *table, yyjson_val *object, void *form, struct err *err)
{
    size_t i, max;
    yyjson_val *key, *val;
    yyjson_obj_foreach(object, i, max, key, val)
    {
        const struct form_field *f =
            strlen(yyjson_get_str(key)) == yyjson_get_len(key) ? find(table, yyjson_get_str(key)) : NULL;
        if (!f)
            return err_set(err, ERR_INVALID, "`%.40s` is not a member", yyjson_get_str(key));
        int rc = read_field(f, val, form, err);
        if (rc != 0)
            return rc;
    }
    for (uint32_t k = 0; k < table->n; k++) {
        if (table->fields[k].required && !yyjson_obj_get(object, table->fields[k].key))
            return wrong(err, &table->fields[k], "missing");
    }
    return 0;
}

int form_read(const struct form_table *table, const char *text, size_t len, void *form, struct err *err)
{
    memset(form, 0, table->size);
    if (len > FORM_MAX)
        return err_set(err, ERR_TOO_LARGE, "a form is longer than %zu bytes", FORM_MAX);
    yyjson_doc *doc = json_parse_object(text, len, err);
    if (!doc)
        return err ? err->code : ERR_INVALID;
    int rc = read_object(table, yyjson_doc_get_root(doc), form, err);
    yyjson_doc_free(doc);
    if (rc != 0)
        form_free(table, form);
    return rc;
}

/* ---- writing ---- */

static void write_text(struct buf *out, const char *text)
{
    buf_add_json(out, text ? text : "", text ? strlen(text) : 0);
}

static void write_list(const struct form_field *f, const void *form, struct buf *out)
{
    const char *list = *(const char *const *)of(form, f->at);
    uint32_t n = *(const uint32_t *)of(form, f->count);
    buf_add_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        const void *item = list + i * element(f);
        if (i)
            buf_add_char(out, ',');
        if (f->type == FORM_TEXTS)
            write_text(out, *(const char *const *)item);
        else if (f->type == FORM_U32S)
            buf_add_u64(out, *(const uint32_t *)item);
        else
            form_write(f->of, item, out);
    }
    buf_add_char(out, ']');
}

static bool absent(const struct form_field *f, const void *form)
{
    static const struct uuid zero;
    const void *in = of(form, f->at);
    switch (f->type) {
    case FORM_U32:
        return *(const uint32_t *)in == 0;
    case FORM_WORD:
        return f->words[*(const uint32_t *)in][0] == 0;
    case FORM_U64:
        return *(const uint64_t *)in == 0;
    case FORM_BOOL:
        return !*(const bool *)in;
    case FORM_UUID:
        return uuid_eq(in, &zero);
    case FORM_TEXT:
        return !*(const char *const *)in;
    case FORM_OBJECT:
        for (uint32_t i = 0; i < f->of->n; i++) {
            if (!absent(&f->of->fields[i], in))
                return false;
        }
        return true;
    default:
        return *(const uint32_t *)of(form, f->count) == 0;
    }
}

static void write_field(const struct form_field *f, const void *form, struct buf *out)
{
    char uuid[UUID_TEXT_LEN + 1];
    const void *in = of(form, f->at);
    switch (f->type) {
    case FORM_U32:
        buf_add_u64(out, *(const uint32_t *)in);
        break;
    case FORM_U64:
        buf_add_u64(out, *(const uint64_t *)in);
        break;
    case FORM_BOOL:
        buf_add_text(out, *(const bool *)in ? "true" : "false");
        break;
    case FORM_UUID:
        uuid_format(uuid, in);
        write_text(out, uuid);
        break;
    case FORM_WORD:
        write_text(out, f->words[*(const uint32_t *)in]);
        break;
    case FORM_TEXT:
        write_text(out, *(const char *const *)in);
        break;
    case FORM_OBJECT:
        form_write(f->of, in, out);
        break;
    default:
        write_list(f, form, out);
    }
}

void form_write(const struct form_table *table, const void *form, struct buf *out)
{
    const char *comma = "";
    buf_add_char(out, '{');
    for (uint32_t i = 0; i < table->n; i++) {
        const struct form_field *f = &table->fields[i];
        if (!f->required && absent(f, form))
            continue;
        buf_add_text(out, comma);
        write_text(out, f->key);
        buf_add_char(out, ':');
        write_field(f, form, out);
        comma = ",";
    }
    buf_add_char(out, '}');
}

/* ---- freeing ---- */

static void free_list(const struct form_field *f, void *form)
{
    char *list = *(char **)at(form, f->at);
    uint32_t n = *(uint32_t *)at(form, f->count);
    for (uint32_t i = 0; list && i < n; i++) {
        void *item = list + i * element(f);
        if (f->type == FORM_TEXTS)
            free(*(char **)item);
        else if (f->type == FORM_LIST)
            form_free(f->of, item);
    }
    free(list);
}

void form_free(const struct form_table *table, void *form)
{
    for (uint32_t i = 0; i < table->n; i++) {
        const struct form_field *f = &table->fields[i];
        if (f->type == FORM_TEXT)
            free(*(char **)at(form, f->at));
        else if (f->type == FORM_OBJECT)
            form_free(f->of, at(form, f->at));
        else if (f->type == FORM_TEXTS || f->type == FORM_U32S || f->type == FORM_LIST)
            free_list(f, form);
    }
    memset(form, 0, table->size);
}

/* ---- files ---- */

int form_load(const struct form_table *table, const char *path, void *form, struct err *err)
{
    struct buf text;
    memset(form, 0, table->size);
    buf_init(&text, FORM_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0)
        rc = form_read(table, text.data ? text.data : "", text.len, form, err);
    if (rc == ERR_INVALID)
        err_wrap(err, "%s", path);
    buf_fini(&text);
    return rc;
}

int form_save(const struct form_table *table, const char *path, const void *form, struct err *err)
{
    struct buf text;
    buf_init(&text, FORM_MAX);
    form_write(table, form, &text);
    buf_add_char(&text, '\n');
    int rc = text.failed ? err_set(err, ERR_TOO_LARGE, "a form is longer than %zu bytes", FORM_MAX)
                         : fs_write_atomic(path, text.data, text.len, 0640, err);
    buf_fini(&text);
    return rc;
}
