/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/leaf.h"

#include <assert.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/str.h"

#define HASH_TEXT BASE64_LEN(MERKLE_HASH_LEN)

static const char fact_label[] = "fact/";

/* ---- writing ---- */

static size_t put(char *dst, size_t at, const char *text)
{
    size_t len = text_len(text, LEAF_TEXT_CAP);
    memcpy(dst + at, text, len);
    return at + len;
}

static size_t put_number(char *dst, size_t at, int64_t v)
{
    if (v < 0)
        dst[at++] = '-';
    return at + u64_format(dst + at, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

static size_t put_hash(char *dst, size_t at, const struct merkle_hash *hash)
{
    base64_encode(dst + at, hash->b, MERKLE_HASH_LEN);
    return at + HASH_TEXT;
}

size_t leaf_text(char dst[LEAF_TEXT_CAP], const struct leaf *leaf)
{
    size_t at = put(dst, 0, "{\"v\":1,\"event\":");
    at += u64_format(dst + at, leaf->event, 10);
    at = put(dst, at, ",\"time\":");
    at = put_number(dst, at, leaf->time_ms);
    at = put(dst, at, ",\"kind\":\"");
    at = put(dst, at, leaf->kind);
    at = put(dst, at, "\",\"code\":");
    at = put_number(dst, at, leaf->code);
    at = put(dst, at, ",\"entry\":\"");
    at = put_hash(dst, at, &leaf->entry);
    at = put(dst, at, "\",\"decision\":\"");
    at = put_hash(dst, at, &leaf->decision);
    at = put(dst, at, "\",\"facts\":\"");
    if (leaf->has_facts)
        at = put_hash(dst, at, &leaf->facts);
    at = put(dst, at, "\"}");
    dst[at] = 0;
    return at;
}

/* ---- reading ---- */

struct reader {
    const char *text;
    size_t len, at;
    bool bad;
};

static void expect(struct reader *r, const char *text)
{
    size_t len = text_len(text, LEAF_TEXT_CAP);
    r->bad |= r->len - r->at < len || memcmp(r->text + r->at, text, len) != 0;
    r->at += r->bad ? 0 : len;
}

static uint64_t read_digits(struct reader *r, uint64_t max)
{
    size_t n = 0;
    uint64_t v = 0;
    while (r->at + n < r->len && r->text[r->at + n] >= '0' && r->text[r->at + n] <= '9')
        n++;
    r->bad |= (n > 1 && r->text[r->at] == '0') || !u64_parse(r->text + r->at, n, max, &v);
    r->at += r->bad ? 0 : n;
    return v;
}

static int64_t read_number(struct reader *r, int64_t max)
{
    bool minus = r->at < r->len && r->text[r->at] == '-';
    r->at += minus;
    int64_t v = (int64_t)read_digits(r, (uint64_t)max);
    r->bad |= minus && v == 0;
    return minus ? -v : v;
}

static void read_hash(struct reader *r, struct merkle_hash *out)
{
    size_t n;
    r->bad |= r->len - r->at < HASH_TEXT ||
              !base64_decode(out->b, sizeof out->b, &n, r->text + r->at, HASH_TEXT) || n != sizeof out->b;
    r->at += r->bad ? 0 : HASH_TEXT;
}

static void read_kind(struct reader *r, char kind[LEAF_KIND_CAP])
{
    size_t n = 0;
    while (r->at + n < r->len &&
           ((r->text[r->at + n] >= 'a' && r->text[r->at + n] <= 'z') || r->text[r->at + n] == '_'))
        n++;
    r->bad |= n == 0 || !text_set(kind, LEAF_KIND_CAP, r->text + r->at, n);
    r->at += r->bad ? 0 : n;
}

int leaf_parse(struct leaf *out, const char *text, size_t len)
{
    struct reader r = {text, len, 0, false};
    *out = (struct leaf){0};
    expect(&r, "{\"v\":1,\"event\":");
    out->event = read_digits(&r, UINT64_MAX);
    expect(&r, ",\"time\":");
    out->time_ms = read_number(&r, INT64_MAX);
    expect(&r, ",\"kind\":\"");
    read_kind(&r, out->kind);
    expect(&r, "\",\"code\":");
    out->code = (int32_t)read_number(&r, INT32_MAX);
    expect(&r, ",\"entry\":\"");
    read_hash(&r, &out->entry);
    expect(&r, "\",\"decision\":\"");
    read_hash(&r, &out->decision);
    expect(&r, "\",\"facts\":\"");
    out->has_facts = !r.bad && r.at < len && text[r.at] != '"';
    if (out->has_facts)
        read_hash(&r, &out->facts);
    expect(&r, "\"}");
    return r.bad || r.at != len ? ERR_INVALID : 0;
}

/* ---- commitments ---- */

void leaf_salt(merkle_hash_fn *hash, struct merkle_hash *out, const uint8_t salt[LEAF_SALT_LEN],
               const char *label, size_t label_len)
{
    uint8_t bytes[LEAF_SALT_LEN + LEAF_LABEL_MAX];
    assert(label_len <= LEAF_LABEL_MAX);
    memcpy(bytes, salt, LEAF_SALT_LEN);
    memcpy(bytes + LEAF_SALT_LEN, label, label_len);
    hash(out->b, bytes, LEAF_SALT_LEN + label_len);
}

void leaf_commit(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *label_salt,
                 const char *label, size_t label_len, const void *bytes, size_t len)
{
    uint8_t all[MERKLE_HASH_LEN + LEAF_LABEL_MAX + 1 + LEAF_VALUE_MAX];
    size_t at = MERKLE_HASH_LEN;
    assert(label_len <= LEAF_LABEL_MAX && len <= LEAF_VALUE_MAX);
    memcpy(all, label_salt->b, at);
    memcpy(all + at, label, label_len);
    at += label_len;
    all[at++] = 0;
    memcpy(all + at, bytes, len);
    hash(out->b, all, at + len);
}

bool leaf_fact_next(const char *facts, size_t len, size_t *at, struct leaf_fact *out)
{
    const char *line = facts + *at;
    const char *end = *at < len ? memchr(line, '\n', len - *at) : NULL;
    const char *blank = end ? memchr(line, ' ', (size_t)(end - line)) : NULL;
    if (!blank || blank == line || (size_t)(blank - line) > LEAF_LABEL_MAX - sizeof fact_label ||
        (size_t)(end - blank) > LEAF_VALUE_MAX)
        return false;
    *out = (struct leaf_fact){line, blank + 1, (size_t)(blank - line), (size_t)(end - blank) - 1};
    *at += (size_t)(end - line) + 1;
    return true;
}

size_t leaf_fact_label(char dst[LEAF_LABEL_MAX], const struct leaf_fact *fact)
{
    memcpy(dst, fact_label, sizeof fact_label - 1);
    memcpy(dst + sizeof fact_label - 1, fact->name, fact->name_len);
    return sizeof fact_label - 1 + fact->name_len;
}

void leaf_facts(merkle_hash_fn *hash, struct merkle_hash *out, const uint8_t salt[LEAF_SALT_LEN],
                const char *facts, size_t len)
{
    struct merkle_hash all[LEAF_FACTS_MAX], label_salt;
    char label[LEAF_LABEL_MAX];
    struct leaf_fact fact;
    size_t n = 0;
    for (size_t at = 0; n < LEAF_FACTS_MAX && leaf_fact_next(facts, len, &at, &fact); n++) {
        size_t label_len = leaf_fact_label(label, &fact);
        leaf_salt(hash, &label_salt, salt, label, label_len);
        leaf_commit(hash, &all[n], &label_salt, label, label_len, fact.value, fact.value_len);
    }
    hash(out->b, all, n * sizeof all[0]);
}
