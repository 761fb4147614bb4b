/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/note.h"

#include <assert.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/str.h"

#define TIME_LEN 8
#define HEAD_CAP 64
#define SIG_MAX (4 + TIME_LEN + NOTE_SIG_LEN)

static const char dash[] = "\xe2\x80\x94 "; /* an em dash begins each line */
#define DASH_LEN (sizeof dash - 1)

static bool name_ok(const char *name, size_t len)
{
    if (len == 0 || len >= NOTE_NAME_CAP)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return false;
    }
    return true;
}

int note_key_init(merkle_hash_fn *hash, struct note_key *key, const char *name, enum note_type type,
                  const uint8_t public_key[NOTE_KEY_LEN])
{
    uint8_t bytes[NOTE_NAME_CAP + 2 + NOTE_KEY_LEN], digest[MERKLE_HASH_LEN];
    size_t len = text_len(name, NOTE_NAME_CAP);
    *key = (struct note_key){.type = (uint8_t)type};
    if (!name_ok(name, len) || (type != NOTE_ED25519 && type != NOTE_COSIGNATURE))
        return ERR_INVALID;
    memcpy(key->name, name, len);
    memcpy(key->key, public_key, NOTE_KEY_LEN);
    memcpy(bytes, name, len);
    bytes[len] = '\n';
    bytes[len + 1] = (uint8_t)type;
    memcpy(bytes + len + 2, public_key, NOTE_KEY_LEN);
    hash(digest, bytes, len + 2 + NOTE_KEY_LEN);
    memcpy(key->id, digest, sizeof key->id);
    return 0;
}

void note_key_text(char dst[NOTE_KEY_TEXT_CAP], const struct note_key *key)
{
    uint8_t bytes[1 + NOTE_KEY_LEN] = {key->type};
    size_t at = text_len(key->name, sizeof key->name);
    memcpy(dst, key->name, at);
    dst[at++] = '+';
    hex_encode(dst + at, key->id, sizeof key->id);
    at += 2 * sizeof key->id;
    dst[at++] = '+';
    memcpy(bytes + 1, key->key, NOTE_KEY_LEN);
    base64_encode(dst + at, bytes, sizeof bytes);
}

int note_key_parse(merkle_hash_fn *hash, struct note_key *key, const char *text, size_t len)
{
    char name[NOTE_NAME_CAP] = "", again[NOTE_KEY_TEXT_CAP];
    uint8_t bytes[1 + NOTE_KEY_LEN];
    const char *plus = memchr(text, '+', len);
    size_t name_len = plus ? (size_t)(plus - text) : 0, n;
    *key = (struct note_key){0};
    if (!plus || name_len >= NOTE_NAME_CAP || len < name_len + 10)
        return ERR_INVALID;
    memcpy(name, text, name_len);
    const char *base64 = plus + 10;
    if (!base64_decode(bytes, sizeof bytes, &n, base64, len - name_len - 10) || n != sizeof bytes)
        return ERR_INVALID;
    int rc = note_key_init(hash, key, name, (enum note_type)bytes[0], bytes + 1);
    if (rc != 0)
        return rc;
    note_key_text(again, key); /* the id, and that there is nothing besides */
    return text_eq(text, len, again, text_len(again, sizeof again)) ? 0 : ERR_INVALID;
}

/* Bytes of the character at s, RFC 3629; 0: it is none, or a control character that is no line end. */
static size_t character(const char *s, size_t len)
{
    const uint8_t *b = (const uint8_t *)s;
    if (b[0] < 0x80)
        return b[0] == '\n' || (b[0] >= 0x20 && b[0] != 0x7f);
    size_t n = b[0] >= 0xc2 && b[0] < 0xe0   ? 2
               : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
               : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    bool low = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
    bool high = (b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf4 && b[1] >= 0x90);
    return low || high ? 0 : n;
}

/* A line of a signature. */
struct line {
    const char *name;
    size_t name_len, sig_len;
    uint8_t id[4];
    uint8_t sig[SIG_MAX];
    bool ours; /* it is not longer than those that we know */
};

/* The line at *at; false: it is none. */
static bool next_line(const char *lines, size_t len, size_t *at, struct line *out)
{
    const char *start = lines + *at;
    const char *end = memchr(start, '\n', len - *at);
    if (!end || (size_t)(end - start) < DASH_LEN || memcmp(start, dash, DASH_LEN) != 0)
        return false;
    out->name = start + DASH_LEN;
    const char *blank = memchr(out->name, ' ', (size_t)(end - out->name));
    if (!blank || blank == out->name || memchr(out->name, '+', (size_t)(blank - out->name)))
        return false;
    out->name_len = (size_t)(blank - out->name);
    const char *base64 = blank + 1;
    size_t text = (size_t)(end - base64), all = 0;
    out->ours = text <= BASE64_LEN(SIG_MAX);
    if (out->ours) {
        if (!base64_decode(out->sig, sizeof out->sig, &out->sig_len, base64, text) || out->sig_len < 5)
            return false;
        memcpy(out->id, out->sig, sizeof out->id);
    } else { /* of a kind that we do not know; the form is held to all the same, in pieces */
        for (; all < text; all += 64) {
            size_t piece = text - all < 64 ? text - all : 64;
            if (!base64_decode(out->sig, sizeof out->sig, &out->sig_len, base64 + all, piece) ||
                (piece == 64 && out->sig_len != 48 && all + piece != text))
                return false;
            if (all == 0)
                memcpy(out->id, out->sig, sizeof out->id);
        }
    }
    *at += (size_t)(end - start) + 1;
    return true;
}

int note_parse(struct note *note, const char *src, size_t len)
{
    size_t split = 0;
    if (len > NOTE_TEXT_MAX + NOTE_LINES_MAX * (size_t)NOTE_TEXT_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < len;) {
        size_t n = character(src + i, len - i);
        if (n == 0)
            return ERR_INVALID;
        if (src[i] == '\n' && i + 1 < len && src[i + 1] == '\n')
            split = i + 1;
        i += n;
    }
    if (split == 0)
        return ERR_INVALID;
    *note =
        (struct note){.text = src, .text_len = split, .lines = src + split + 1, .lines_len = len - split - 1};
    struct line line;
    size_t at = 0, n = 0;
    for (; at < note->lines_len; n++) {
        if (n == NOTE_LINES_MAX || !next_line(note->lines, note->lines_len, &at, &line))
            return ERR_INVALID;
    }
    return n > 0 && note->text_len <= NOTE_TEXT_MAX ? 0 : ERR_INVALID;
}

/* What is signed: of a cosignature, a head comes before the text. Returns the length. */
static size_t signed_text(char dst[HEAD_CAP + NOTE_TEXT_MAX], uint8_t type, uint64_t time_s, const char *text,
                          size_t len)
{
    static const char head[] = "cosignature/v1\ntime ";
    size_t at = 0;
    if (type == NOTE_COSIGNATURE) {
        memcpy(dst, head, sizeof head - 1);
        at = sizeof head - 1;
        at += u64_format(dst + at, time_s, 10);
        dst[at++] = '\n';
    }
    memcpy(dst + at, text, len);
    return at + len;
}

int note_check(const struct note *note, const struct note_key *key, note_verify_fn *verify, uint64_t *time_s)
{
    char text[HEAD_CAP + NOTE_TEXT_MAX];
    size_t want = key->type == NOTE_COSIGNATURE ? SIG_MAX : SIG_MAX - TIME_LEN;
    size_t name_len = text_len(key->name, sizeof key->name);
    struct line line;
    *time_s = 0;
    for (size_t at = 0; at < note->lines_len;) {
        if (!next_line(note->lines, note->lines_len, &at, &line))
            return ERR_INVALID;
        if (!text_eq(line.name, line.name_len, key->name, name_len) || memcmp(line.id, key->id, 4) != 0)
            continue;
        if (!line.ours || line.sig_len != want)
            return ERR_DIGEST;
        for (size_t i = 0; key->type == NOTE_COSIGNATURE && i < TIME_LEN; i++)
            *time_s = *time_s << 8 | line.sig[4 + i];
        if (*time_s > INT64_MAX) /* tlog-cosignature: none is later */
            return ERR_DIGEST;
        size_t len = signed_text(text, key->type, *time_s, note->text, note->text_len);
        return verify(key->key, line.sig + want - NOTE_SIG_LEN, text, len) ? 0 : ERR_DIGEST;
    }
    return ERR_NOT_FOUND;
}

const char *note_line_of(const struct note *note, const struct note_key *key, size_t *len)
{
    size_t name_len = text_len(key->name, sizeof key->name), from = 0, at = 0;
    struct line line;
    for (*len = 0; at < note->lines_len && next_line(note->lines, note->lines_len, &at, &line); from = at) {
        if (!text_eq(line.name, line.name_len, key->name, name_len) || memcmp(line.id, key->id, 4) != 0)
            continue;
        *len = at - from;
        return note->lines + from;
    }
    return NULL;
}

size_t note_line(char dst[NOTE_LINE_CAP], const struct note_key *key, note_sign_fn *sign, void *ctx,
                 const char *text, size_t len, uint64_t time_s)
{
    char all[HEAD_CAP + NOTE_TEXT_MAX];
    uint8_t sig[SIG_MAX];
    size_t n = sizeof key->id, at = DASH_LEN;
    if (len > NOTE_TEXT_MAX)
        return 0;
    memcpy(sig, key->id, n);
    for (size_t i = 0; key->type == NOTE_COSIGNATURE && i < TIME_LEN; i++)
        sig[n++] = (uint8_t)(time_s >> 8 * (TIME_LEN - 1 - i));
    sign(ctx, sig + n, all, signed_text(all, key->type, time_s, text, len));
    n += NOTE_SIG_LEN;
    memcpy(dst, dash, DASH_LEN);
    size_t name_len = text_len(key->name, sizeof key->name);
    memcpy(dst + at, key->name, name_len);
    at += name_len;
    dst[at++] = ' ';
    base64_encode(dst + at, sig, n);
    at += BASE64_LEN(n);
    dst[at++] = '\n';
    assert(at <= NOTE_LINE_CAP);
    return at;
}
