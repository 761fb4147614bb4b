/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings into structs, by table (network/tree.h). */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "network/decimal.h"
#include "network/tree.h"

const char *tier_text(enum tier tier)
{
    static const char *const texts[] = {
#define T(name, text) text,
        TIERS(T)
#undef T
    };
    return tier < TIER_END ? texts[tier] : "?";
}

/* ---- single values ---- */

bool at_name(const struct at *at, char *dst, size_t cap)
{
    size_t len;
    const char *text = at_scalar(at, &len);
    if (!text)
        return false;
    if (!name_valid(text, len) || !text_set(dst, cap, text, len)) {
        at_problem(at, "not a name: lower-case letters, digits and dashes, at most %zu", cap - 1);
        return false;
    }
    return true;
}

static void read_code(const struct at *at, const char *text, size_t len, char *dst, size_t cap)
{
    bool good = len > 0 && text[0] >= 'A' && text[0] <= 'Z';
    for (size_t i = 0; i < len; i++)
        good = good &&
               ((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '0' && text[i] <= '9') || text[i] == '-');
    if (!good || !text_set(dst, cap, text, len))
        at_problem(at, "not a code: capital letters, digits and dashes, at most %zu", cap - 1);
}

/* The parser has refused what is no UTF-8. */
static void read_text(const struct at *at, const char *text, size_t len, char *dst, size_t cap)
{
    bool good = true;
    for (size_t i = 0; i < len; i++)
        good = good && (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    if (!good || !text_set(dst, cap, text, len))
        at_problem(at, "expected one line of at most %zu bytes", cap - 1);
}

static enum tier find_tier(const char *text, size_t len)
{
    for (int i = TIER_GIVEN; i < TIER_END; i++) {
        const char *name = tier_text((enum tier)i);
        if (text_eq(name, strlen(name), text, len))
            return (enum tier)i;
    }
    return TIER_NONE;
}

/* NUMBER [TIER[,] [SOURCE]] */
static void read_figure(const struct at *at, const struct tree_field *f, const char *text, size_t len,
                        struct figure *out)
{
    struct figure v = {.tier = TIER_GIVEN};
    size_t number = 0, tier, end;
    while (number < len && text[number] != ' ')
        number++;
    for (tier = number; tier < len && text[tier] == ' ';)
        tier++;
    for (end = tier; end < len && text[end] != ' ' && text[end] != ',';)
        end++;
    enum decimal_status status = decimal_parse(text, number, f->decimals, &v.v);
    if (end > tier)
        v.tier = find_tier(text + tier, end - tier);
    while (end < len && (text[end] == ' ' || text[end] == ','))
        end++;
    if (status == DECIMAL_NOT) {
        at_problem(at, "expected a number, got %.*s", (int)(number < 40 ? number : 40), text);
    } else if (status == DECIMAL_PRECISE) {
        at_problem(at, "more than %u decimals", f->decimals);
    } else if (v.tier == TIER_NONE) {
        at_problem(at, "what follows the number is not one of vendor, captured, measured, published, "
                       "derived, reported, assumed, given");
    } else if (f->kind == TREE_SOURCED && (v.tier == TIER_GIVEN || end == len)) {
        at_problem(at, "needs a tier and a source after the number");
    } else if (status == DECIMAL_LARGE || v.v < f->min || v.v > f->max) {
        char low[32], high[32];
        struct buf words;
        buf_init(&words, 64);
        decimal_add(&words, f->min, f->decimals);
        (void)snprintf(low, sizeof low, "%.*s", (int)words.len, words.len ? words.data : "");
        buf_clear(&words);
        decimal_add(&words, f->max, f->decimals);
        (void)snprintf(high, sizeof high, "%.*s", (int)words.len, words.len ? words.data : "");
        buf_fini(&words);
        at_problem(at, "must be from %s to %s", low, high);
    } else {
        *out = v;
    }
}

static void read_word(const struct at *at, const struct tree_field *f, const char *text, size_t len,
                      uint32_t *out)
{
    for (uint32_t i = 0; f->words[i]; i++) {
        if (text_eq(f->words[i], strlen(f->words[i]), text, len)) {
            *out = i + 1;
            return;
        }
    }
    char all[128] = "";
    for (size_t i = 0, n = 0; f->words[i] && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", f->words[i]);
    at_problem(at, "must be one of %s", all);
}

static void read_field(const struct at *at, const struct tree_field *f, void *out)
{
    char *dst = (char *)out + f->offset;
    size_t len;
    if (f->kind == TREE_NODE) {
        memcpy(dst, &at->node, sizeof at->node);
        return;
    }
    const char *text = at_scalar(at, &len);
    if (!text)
        return;
    switch (f->kind) {
    case TREE_NAME:
        (void)at_name(at, dst, f->cap);
        break;
    case TREE_CODE:
        read_code(at, text, len, dst, f->cap);
        break;
    case TREE_TEXT:
        read_text(at, text, len, dst, f->cap);
        break;
    case TREE_NUMBER:
    case TREE_SOURCED:
        read_figure(at, f, text, len, (struct figure *)(void *)dst);
        break;
    case TREE_WORD:
        read_word(at, f, text, len, (uint32_t *)(void *)dst);
        break;
    case TREE_DATE:
        if (!date_parse(text, len, (int64_t *)(void *)dst))
            at_problem(at, "expected a date as 2028-03-01 or 2028-03-01T06:30:00Z, 1970 to 2199");
        break;
    case TREE_NODE:
        break;
    }
}

/* ---- mappings ---- */

static const struct tree_field *find(const struct tree_field *table, uint32_t n, const char *key, size_t len)
{
    for (uint32_t i = 0; i < n; i++) {
        if (text_eq(table[i].key, strlen(table[i].key), key, len))
            return &table[i];
    }
    return NULL;
}

static void unknown_key(const struct at *at, const struct tree_field *table, uint32_t n)
{
    char known[160] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < n && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", table[i].key);
    at_problem(at, "no such key; there are %s", known);
}

uint32_t fields_read(const struct at *at, const struct tree_field *table, uint32_t n, void *out)
{
    uint32_t given = 0;
    assert(n <= 32);
    if (at->node->type != YAML_MAPPING_NODE) {
        at_problem(at, "expected a mapping");
        return 0;
    }
    yaml_document_t *doc = &at->tree->doc;
    for (yaml_node_pair_t *p = at->node->data.mapping.pairs.start; p < at->node->data.mapping.pairs.top;
         p++) {
        yaml_node_t *key_node = yaml_document_get_node(doc, p->key);
        struct at key_at = at_child(at, "", key_node);
        size_t len;
        const char *key = at_scalar(&key_at, &len);
        if (!key)
            continue;
        char name[40];
        (void)snprintf(name, sizeof name, "%.*s", (int)(len < 39 ? len : 39), key);
        key_at = at_child(at, name, key_node);
        const struct tree_field *f = find(table, n, key, len);
        uint32_t bit = f ? UINT32_C(1) << (f - table) : 0;
        if (!f) {
            unknown_key(&key_at, table, n);
        } else if (given & bit) {
            at_problem(&key_at, "is there twice");
        } else {
            struct at value = at_child(at, f->key, yaml_document_get_node(doc, p->value));
            read_field(&value, f, out);
            given |= bit;
        }
    }
    return given;
}

void fields_require(const struct where *where, struct problems *problems, const struct tree_field *table,
                    uint32_t n, uint32_t given)
{
    for (uint32_t i = 0; i < n; i++) {
        if (table[i].required && !(given & UINT32_C(1) << i))
            where_problem(where, problems, table[i].key, "is missing");
    }
}
