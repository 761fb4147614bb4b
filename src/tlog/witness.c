/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/witness.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

static const char old_word[] = "old ";
#define OLD_LEN (sizeof old_word - 1)

int witness_request_parse(struct witness_request *out, const char *body, size_t len)
{
    const char *end = memchr(body, '\n', len);
    size_t line = end ? (size_t)(end - body) : 0, at = line + 1;
    *out = (struct witness_request){.old = 0};
    if (line <= OLD_LEN || memcmp(body, old_word, OLD_LEN) != 0 ||
        (line > OLD_LEN + 1 && body[OLD_LEN] == '0') ||
        !u64_parse(body + OLD_LEN, line - OLD_LEN, MERKLE_SIZE_MAX, &out->old))
        return ERR_INVALID;
    if (!proof_parse(&out->proof, body, len, &at) || out->proof.n > WITNESS_PROOF_MAX)
        return ERR_INVALID;
    int rc = note_parse(&out->note, body + at, len - at);
    return rc ? rc : checkpoint_parse(&out->point, out->note.text, out->note.text_len);
}

size_t witness_request_head(char dst[WITNESS_HEAD_CAP], uint64_t old, const struct proof *proof)
{
    memcpy(dst, old_word, OLD_LEN);
    size_t at = OLD_LEN + u64_format(dst + OLD_LEN, old, 10);
    dst[at++] = '\n';
    at += proof_text(dst + at, proof);
    dst[at] = 0;
    return at;
}

int witness_judge(merkle_hash_fn *hash, note_verify_fn *verify, const struct note_key *log,
                  const struct checkpoint *head, const struct witness_request *request)
{
    const struct checkpoint *point = &request->point;
    struct merkle_hash empty;
    uint64_t time_s;
    if (memcmp(point->origin, log->name, sizeof log->name) != 0) /* zero after the text, both */
        return 404;
    if (note_check(&request->note, log, verify, &time_s) != 0)
        return 403;
    if (request->old > point->size)
        return 400;
    if (request->old != head->size)
        return 409;
    if (request->old == point->size && request->old > 0 &&
        memcmp(head->root.b, point->root.b, sizeof head->root.b) != 0)
        return 409;
    merkle_empty(hash, &empty); /* the root of a tree without leaves, whoever saw it first */
    const struct merkle_hash *root = request->old == 0 ? &empty : &head->root;
    bool extends =
        proof_consistency_holds(hash, &request->proof, request->old, point->size, root, &point->root);
    return extends ? 200 : 422;
}

int witness_count(const struct note *note, const struct note_key *keys, unsigned n, note_verify_fn *verify,
                  uint64_t *oldest_s)
{
    int found = 0;
    *oldest_s = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t time_s;
        int rc = note_check(note, &keys[i], verify, &time_s);
        if (rc == ERR_NOT_FOUND)
            continue;
        if (rc != 0)
            return ERR_DIGEST;
        *oldest_s = found == 0 || time_s < *oldest_s ? time_s : *oldest_s;
        found++;
    }
    return found;
}
