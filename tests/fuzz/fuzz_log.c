/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What readers and witnesses of a log are given, from any bytes: notes, keys, checkpoints, leaves, tile paths, bundles and requests.
 * Nothing is read outside of them, and what is taken is written again as it was, so that there is one text for one thing.
 */
#include <assert.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "tlog/checkpoint.h"
#include "tlog/leaf.h"
#include "tlog/tile.h"
#include "tlog/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool refuse(const uint8_t key[NOTE_KEY_LEN], const uint8_t sig[NOTE_SIG_LEN], const void *text,
                   size_t len)
{
    (void)key;
    (void)sig;
    return len > 0 && ((const char *)text)[0] == 0;
}

static void as_note(const char *text, size_t len)
{
    static const char known[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    struct note note;
    struct note_key key;
    uint64_t time_s;
    assert(note_key_parse(digest_sha256, &key, known, sizeof known - 1) == 0);
    if (note_parse(&note, text, len) != 0)
        return;
    assert(note.text_len + 1 + note.lines_len == len && note.text[note.text_len - 1] == '\n');
    assert(note_check(&note, &key, refuse, &time_s) != 0);
}

static void as_key(const char *text, size_t len)
{
    struct note_key key;
    char again[NOTE_KEY_TEXT_CAP];
    if (note_key_parse(digest_sha256, &key, text, len) != 0)
        return;
    note_key_text(again, &key);
    assert(strlen(again) == len && memcmp(again, text, len) == 0);
}

static void as_checkpoint(const char *text, size_t len)
{
    struct checkpoint point;
    char again[CHECKPOINT_TEXT_CAP];
    if (checkpoint_parse(&point, text, len) != 0)
        return;
    size_t n = checkpoint_text(again, &point);
    assert(n <= len && memcmp(again, text, n) == 0);
}

static void as_leaf(const char *text, size_t len)
{
    struct leaf leaf;
    char again[LEAF_TEXT_CAP];
    if (leaf_parse(&leaf, text, len) != 0)
        return;
    assert(leaf_text(again, &leaf) == len && memcmp(again, text, len) == 0);
}

static void as_path(const char *text, size_t len)
{
    struct tile tile;
    char again[TILE_PATH_CAP];
    if (!tile_path_parse(&tile, text, len))
        return;
    tile_path(again, &tile);
    assert(strlen(again) == len && memcmp(again, text, len) == 0);
}

static void as_bundle(const char *text, size_t len)
{
    const uint8_t *entry;
    struct leaf_fact fact;
    size_t at = 0, n, all = 0;
    int rc;
    while ((rc = tile_entry_next((const uint8_t *)text, len, &at, &entry, &n)) == 0)
        all += 2 + n;
    assert(at == all && (rc == ERR_CORRUPT || all == len));
    for (at = 0; leaf_fact_next(text, len, &at, &fact);)
        assert(fact.name >= text && fact.value + fact.value_len < text + len && fact.name_len > 0);
}

/* Of a witness. */
static void as_request(const char *text, size_t len)
{
    struct witness_request request;
    char head[WITNESS_HEAD_CAP];
    if (witness_request_parse(&request, text, len) != 0)
        return;
    size_t n = witness_request_head(head, request.old, &request.proof);
    assert(n < len && memcmp(head, text, n) == 0 && request.note.text == text + n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *text, size_t len) = {
        as_note, as_key, as_checkpoint, as_leaf, as_path, as_bundle, as_request};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        readers[i]((const char *)data, size);
    return 0;
}
