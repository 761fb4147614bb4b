/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes (C2SP signed-note): a text, an empty line, and lines of signatures by named keys. Pure: hashing, signing
 * and checking are the caller's.
 *
 * A key is known by its name and the first four bytes of SHA-256(name || 0x0A || type || public key). Type 1 is Ed25519
 * over the text; type 4 is cosignature/v1 (C2SP tlog-cosignature), Ed25519 over a head with the time, and the text.
 * Signatures by keys that the reader does not know are left alone, as the spec wants it; one by a key that he knows must
 * hold.
 */
#ifndef BUSBAR_TLOG_NOTE_H
#define BUSBAR_TLOG_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlog/merkle.h"

#define NOTE_NAME_CAP 128
#define NOTE_KEY_LEN 32 /* Ed25519, RFC 8032 */
#define NOTE_SIG_LEN 64
#define NOTE_KEY_TEXT_CAP (NOTE_NAME_CAP + 1 + 8 + 1 + 44 + 1)
#define NOTE_TEXT_MAX 4096
#define NOTE_LINES_MAX 100 /* of signatures, as other readers have it */
#define NOTE_LINE_CAP (3 + 1 + NOTE_NAME_CAP + 104 + 1)

enum note_type { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

struct note_key {
    char name[NOTE_NAME_CAP]; /* printable ASCII, no blank, no plus; ends in NUL */
    uint8_t id[4];
    uint8_t type; /* enum note_type */
    uint8_t key[NOTE_KEY_LEN];
};

/* Ed25519. */
typedef bool note_verify_fn(const uint8_t key[NOTE_KEY_LEN], const uint8_t sig[NOTE_SIG_LEN],
                            const void *text, size_t len);
typedef void note_sign_fn(void *ctx, uint8_t sig[NOTE_SIG_LEN], const void *text, size_t len);

/* ERR_INVALID: the name is not one, or the type unknown. */
int note_key_init(merkle_hash_fn *hash, struct note_key *key, const char *name, enum note_type type,
                  const uint8_t public_key[NOTE_KEY_LEN]);
/* NAME+ID+KEY, as verifiers are given it. */
void note_key_text(char dst[NOTE_KEY_TEXT_CAP], const struct note_key *key);
/* ERR_INVALID also where the id is not that of the key. */
int note_key_parse(merkle_hash_fn *hash, struct note_key *key, const char *text, size_t len);

struct note {
    const char *text; /* up to and with its last line end; borrowed */
    size_t text_len;
    const char *lines;
    size_t lines_len;
};

/* ERR_INVALID: it is not in the form. No signature is looked at. */
int note_parse(struct note *note, const char *src, size_t len);

/* Looks for the key's signature. 0 and, of a cosignature, its time in Unix seconds (else 0); ERR_NOT_FOUND: there is none
 * by this key; ERR_DIGEST: it does not hold. */
int note_check(const struct note *note, const struct note_key *key, note_verify_fn *verify, uint64_t *time_s);

/* The first line of a signature by a key of this name and id, with its line end; *len is 0 if there is none. Nothing is checked. */
const char *note_line_of(const struct note *note, const struct note_key *key, size_t *len);

/* The line of a signature over a text of at most NOTE_TEXT_MAX bytes, to go at the note's end. `time_s` is of a
 * cosignature. Returns its length, which has no NUL; 0: the text is too long. */
size_t note_line(char dst[NOTE_LINE_CAP], const struct note_key *key, note_sign_fn *sign, void *ctx,
                 const char *text, size_t len, uint64_t time_s);

#endif
