/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a caller sent: query, body, names and ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/api.h"

static int hex_digit(char c)
{
    uint8_t v;
    char two[2] = {'0', c};
    return hex_decode(&v, 1, two, 2) ? v : -1;
}

bool call_query(const struct api_call *call, const char *name, char *dst, size_t cap)
{
    size_t name_len = strlen(name);
    for (const char *p = call->query; *p;) {
        size_t len = strcspn(p, "&");
        if (len > name_len && p[name_len] == '=' && memcmp(p, name, name_len) == 0) {
            size_t n = 0;
            for (size_t i = name_len + 1; i < len && n + 1 < cap; i++) {
                char c = p[i] == '+' ? ' ' : p[i];
                if (c == '%' && i + 2 < len + 0 && hex_digit(p[i + 1]) >= 0 && hex_digit(p[i + 2]) >= 0) {
                    c = (char)(hex_digit(p[i + 1]) * 16 + hex_digit(p[i + 2]));
                    i += 2;
                }
                dst[n++] = c;
            }
            dst[n] = 0;
            return true;
        }
        p += len + (p[len] == '&');
    }
    return false;
}

static int call_page(struct api_call *call, uint32_t *limit, char cursor[CALL_PARAM_MAX])
{
    char text[32];
    uint64_t n = PAGE_DEFAULT;
    cursor[0] = 0;
    if (call_query(call, "limit", text, sizeof text) &&
        (!u64_parse(text, strlen(text), PAGE_MAX, &n) || n == 0))
        return err_set(&call->err, ERR_INVALID, "limit: must be 1 to %d", PAGE_MAX);
    (void)call_query(call, "cursor", cursor, CALL_PARAM_MAX);
    *limit = (uint32_t)n;
    return 0;
}

static int bad_cursor(struct api_call *call)
{
    return err_set(&call->err, ERR_INVALID, "cursor: is not one of ours");
}

int call_page_from(struct api_call *call, uint64_t max, uint32_t *limit, uint64_t *from)
{
    char cursor[CALL_PARAM_MAX];
    *from = 0;
    int rc = call_page(call, limit, cursor);
    return rc == 0 && cursor[0] && !u64_parse(cursor, strlen(cursor), max, from) ? bad_cursor(call) : rc;
}

int call_page_of(struct api_call *call, const struct core *core, uint32_t *limit, uint32_t *from,
                 const struct row_tenant **tenant)
{
    char name[CALL_PARAM_MAX];
    uint64_t at;
    int rc = call_page_from(call, UINT32_MAX, limit, &at);
    *from = (uint32_t)at;
    *tenant = NULL;
    if (rc == 0 && call_query(call, "tenant", name, sizeof name) &&
        !(*tenant = call_tenant(call, core, name)))
        rc = ERR_NOT_FOUND;
    return rc;
}

int call_page_after(struct api_call *call, uint32_t *limit, struct uuid *after, bool *begun)
{
    char cursor[CALL_PARAM_MAX];
    *after = (struct uuid){{0}};
    int rc = call_page(call, limit, cursor);
    *begun = rc == 0 && cursor[0];
    return *begun && !uuid_parse(after, cursor, strlen(cursor)) ? bad_cursor(call) : rc;
}

yyjson_val *body_member(const struct api_call *call, const char *name)
{
    yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(call->doc), name);
    return yyjson_is_null(v) ? NULL : v;
}

static int missing(struct api_call *call, const char *name)
{
    return err_set(&call->err, ERR_INVALID, "%s: is missing", name);
}

int body_text(struct api_call *call, const char *name, bool required, char *dst, size_t cap)
{
    yyjson_val *v = body_member(call, name);
    if (!v)
        return required ? missing(call, name) : 0;
    if (!yyjson_is_str(v) || !text_set(dst, cap, yyjson_get_str(v), yyjson_get_len(v)))
        return err_set(&call->err, ERR_INVALID, "%s: must be a text of at most %zu bytes", name, cap - 1);
    return 0;
}

int body_name(struct api_call *call, const char *name, char dst[NAME_CAP])
{
    int rc = body_text(call, name, true, dst, NAME_CAP);
    if (rc == 0 && !name_valid(dst, strlen(dst)))
        rc = err_set(&call->err, ERR_INVALID, "%s: must be 1 to 63 of a-z, 0-9 and -, and not begin with -",
                     name);
    return rc;
}

int body_count(struct api_call *call, const char *name, uint64_t max, uint64_t *out)
{
    yyjson_val *v = body_member(call, name);
    if (!v)
        return 0;
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) > max)
        return err_set(&call->err, ERR_INVALID, "%s: must be a whole number of at most %llu", name,
                       (unsigned long long)max);
    *out = yyjson_get_uint(v);
    return 0;
}

int body_amount(struct api_call *call, const char *name, bool required, int64_t *nano)
{
    yyjson_val *v = body_member(call, name);
    char text[AMOUNT_TEXT_MAX] = "";
    if (!v)
        return required ? missing(call, name) : 0;
    if (yyjson_is_str(v))
        (void)text_set(text, sizeof text, yyjson_get_str(v), yyjson_get_len(v));
    else if (yyjson_is_uint(v))
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)yyjson_get_uint(v));
    if (!amount_parse(nano, text, strlen(text)))
        return err_set(&call->err, ERR_INVALID,
                       "%s: must be an amount such as \"12.50\", at most 9 decimals, not negative", name);
    return 0;
}

int body_only(struct api_call *call, const char *const *names)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_doc_get_root(call->doc));
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        bool known = false;
        for (const char *const *n = names; *n && !known; n++)
            known = yyjson_equals_str(key, *n);
        if (!known)
            return err_set(&call->err, ERR_INVALID, "%.60s: there is no such member", yyjson_get_str(key));
    }
    return 0;
}

const struct row_tenant *call_tenant(struct api_call *call, const struct core *core, const char *text)
{
    struct uuid id;
    const struct row_tenant *row = uuid_parse(&id, text, strlen(text))
                                       ? view_tenant(core, &id)
                                       : view_tenant_named(core, text, strlen(text));
    if (!row || call_may(call, &row->id) != 0) {
        err_set(&call->err, ERR_NOT_FOUND, "There is no tenant `%.64s`.", text);
        return NULL;
    }
    return row;
}

const struct row_site *call_site(struct api_call *call, const struct core *core, const char *text)
{
    struct uuid id;
    const struct row_site *row = uuid_parse(&id, text, strlen(text))
                                     ? view_site(core, &id)
                                     : view_site_named(core, text, strlen(text));
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no site %.100s.", text);
    return row;
}

const struct row_model *call_model(struct api_call *call, const struct core *core, const char *text)
{
    struct uuid id;
    const struct row_model *row = uuid_parse(&id, text, strlen(text))
                                      ? view_model(core, &id)
                                      : view_model_named(core, text, strlen(text));
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no model `%.64s`.", text);
    return row;
}

const struct row_key *call_key(struct api_call *call, const struct core *core, const char *text)
{
    struct uuid id;
    const struct row_key *row =
        uuid_parse(&id, text, strlen(text)) ? view_key(core, &id) : view_key_public(core, text, strlen(text));
    if (!row || call_may(call, &row->tenant) != 0) {
        err_set(&call->err, ERR_NOT_FOUND, "There is no key `%.64s`.", text);
        return NULL;
    }
    return row;
}

int call_may(struct api_call *call, const struct uuid *tenant)
{
    if (call->operator_ || uuid_eq(&call->key.tenant, tenant))
        return 0;
    return ERR_NOT_FOUND;
}

int call_whose(struct api_call *call, const struct core *core, struct uuid *tenant, bool *one)
{
    char name[CALL_PARAM_MAX];
    *one = call_query(call, "tenant", name, sizeof name) || !call->operator_;
    if (!*one)
        return 0;
    if (!call_query(call, "tenant", name, sizeof name)) {
        *tenant = call->key.tenant;
        return 0;
    }
    const struct row_tenant *row = call_tenant(call, core, name);
    if (row)
        *tenant = row->id;
    return row ? 0 : ERR_NOT_FOUND;
}
