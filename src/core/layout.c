/* SPDX-License-Identifier: Apache-2.0 */
#include "core/layout.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"

#define FIELD_OF(S, t, n, z) {#n, FIELD_##t, offsetof(S, n), sizeof(((S *)0)->n)},
#define EVENT_FIELDS(n, k, L) static const struct field event_fields_##n[] = {L(FIELD_OF, struct event_##n)};
#define ROW_FIELDS(n, k, L, keys) static const struct field row_fields_##n[] = {L(FIELD_OF, struct row_##n)};
EVENTS(EVENT_FIELDS)
ROWS(ROW_FIELDS)

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EVENT_LAYOUT(n, k, L) \
    {#n, event_fields_##n, (k), COUNT(event_fields_##n), 0, sizeof(struct event_##n)},
#define ROW_LAYOUT(n, k, L, keys) \
    {#n, row_fields_##n, (k), COUNT(row_fields_##n), (keys), sizeof(struct row_##n)},
static const struct layout event_layouts[] = {EVENTS(EVENT_LAYOUT)};
static const struct layout row_layouts[] = {ROWS(ROW_LAYOUT)};

const struct layout *layout_event_at(uint32_t i)
{
    return i < COUNT(event_layouts) ? &event_layouts[i] : NULL;
}

const struct layout *layout_row_at(uint32_t i)
{
    return i < COUNT(row_layouts) ? &row_layouts[i] : NULL;
}

const struct layout *layout_event(uint32_t kind)
{
    /* The tables are sorted by kind and short; the hot kinds are at the end. */
    for (size_t i = COUNT(event_layouts); i-- > 0;) {
        if (event_layouts[i].kind == kind)
            return &event_layouts[i];
    }
    return NULL;
}

const struct layout *layout_row(uint32_t kind)
{
    for (size_t i = 0; i < COUNT(row_layouts); i++) {
        if (row_layouts[i].kind == kind)
            return &row_layouts[i];
    }
    return NULL;
}

size_t event_size(uint32_t kind)
{
    const struct layout *layout = layout_event(kind);
    assert(layout);
    return offsetof(struct event, u) + layout->size;
}

/* Length of the encoded field; for variable ones that is a prefix and what it counts. */
static size_t field_encode(const struct field *f, const void *src, uint8_t *dst, size_t cap)
{
    size_t len;
    switch (f->type) {
    case FIELD_u32:
    case FIELD_u64:
    case FIELD_i64: {
        uint64_t v = 0;
        len = f->size;
        if (cap < len)
            return 0;
        if (len == 4) {
            uint32_t v32;
            memcpy(&v32, src, 4);
            v = v32;
        } else {
            memcpy(&v, src, 8);
        }
        le_put(dst, v, len);
        return len;
    }
    case FIELD_uuid:
    case FIELD_digest:
        if (cap < f->size)
            return 0;
        memcpy(dst, src, f->size);
        return f->size;
    case FIELD_text:
        len = text_len(src, f->size);
        if (cap < 2 + len)
            return 0;
        le_put(dst, len, 2);
        memcpy(dst + 2, src, len);
        return 2 + len;
    case FIELD_uuids: {
        const struct uuid_list *list = src;
        assert(list->n <= KEY_MODELS_MAX);
        len = list->n * sizeof(struct uuid);
        if (cap < 1 + len)
            return 0;
        dst[0] = (uint8_t)list->n;
        memcpy(dst + 1, list->v, len);
        return 1 + len;
    }
    }
    return 0;
}

size_t layout_encode(const struct layout *layout, const void *src, uint8_t *dst, size_t cap)
{
    size_t used = 0;
    for (uint16_t i = 0; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        size_t n = field_encode(f, (const char *)src + f->offset, dst + used, cap - used);
        if (n == 0)
            return 0;
        used += n;
    }
    return used;
}

/* Bytes taken from src, 0 when it is cut or does not fit the field. */
static size_t field_decode(const struct field *f, void *dst, const uint8_t *src, size_t len)
{
    size_t n;
    switch (f->type) {
    case FIELD_u32:
    case FIELD_u64:
    case FIELD_i64:
        if (len < f->size)
            return 0;
        if (f->size == 4)
            memcpy(dst, &(uint32_t){(uint32_t)le_get(src, 4)}, 4);
        else
            memcpy(dst, &(uint64_t){le_get(src, 8)}, 8);
        return f->size;
    case FIELD_uuid:
    case FIELD_digest:
        if (len < f->size)
            return 0;
        memcpy(dst, src, f->size);
        return f->size;
    case FIELD_text:
        if (len < 2)
            return 0;
        n = (size_t)le_get(src, 2);
        if (len < 2 + n || !text_set(dst, f->size, (const char *)src + 2, n))
            return 0;
        return 2 + n;
    case FIELD_uuids: {
        struct uuid_list *list = dst;
        if (len < 1 || src[0] > KEY_MODELS_MAX || len < 1 + src[0] * sizeof(struct uuid))
            return 0;
        list->n = src[0];
        memcpy(list->v, src + 1, list->n * sizeof(struct uuid));
        return 1 + list->n * sizeof(struct uuid);
    }
    }
    return 0;
}

int layout_decode(const struct layout *layout, void *dst, const uint8_t *src, size_t len)
{
    memset(dst, 0, layout->size);
    size_t used = 0;
    for (uint16_t i = 0; i < layout->nfields && used < len; i++) {
        const struct field *f = &layout->fields[i];
        size_t n = field_decode(f, (char *)dst + f->offset, src + used, len - used);
        if (n == 0) {
            memset(dst, 0, layout->size);
            return ERR_CORRUPT;
        }
        used += n;
    }
    if (used == len)
        return 0;
    memset(dst, 0, layout->size);
    return ERR_CORRUPT;
}

size_t event_encode(const struct event *event, uint8_t *dst, size_t cap)
{
    const struct layout *layout = layout_event(event->kind);
    assert(layout);
    if (cap < EVENT_HEAD_LEN)
        return 0;
    le_put(dst, EVENT_VERSION, 2);
    le_put(dst + 2, event->kind, 2);
    le_put(dst + EVENT_AT, (uint64_t)event->at_ms, 8);
    le_put(dst + 12, event->token, 8);
    size_t n = layout_encode(layout, &event->u, dst + EVENT_HEAD_LEN, cap - EVENT_HEAD_LEN);
    return n ? EVENT_HEAD_LEN + n : 0;
}

int event_decode(struct event *event, const uint8_t *src, size_t len)
{
    memset(event, 0, sizeof *event);
    if (len < EVENT_HEAD_LEN || le_get(src, 2) != EVENT_VERSION)
        return ERR_CORRUPT;
    const struct layout *layout = layout_event((uint32_t)le_get(src + 2, 2));
    if (!layout)
        return ERR_CORRUPT;
    event->kind = layout->kind;
    event->at_ms = (int64_t)le_get(src + EVENT_AT, 8);
    event->token = le_get(src + 12, 8);
    int rc = layout_decode(layout, &event->u, src + EVENT_HEAD_LEN, len - EVENT_HEAD_LEN);
    if (rc != 0)
        memset(event, 0, sizeof *event);
    return rc;
}
