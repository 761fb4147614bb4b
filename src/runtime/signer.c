/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/signer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "base/fs.h"
#include "base/osrandom.h"
#include "base/str.h"

#define SOCKET_FD 3
#define NAME_HEX 8 /* bytes of the key's digest in the log's name */

static const char sign_word[] = "sign\n";

/* ---- its files ---- */

static int make_key(const char *path, struct err *err)
{
    uint8_t seed[ED25519_SEED_LEN], public_key[ED25519_KEY_LEN], digest[DIGEST_LEN];
    char hex[2 * NAME_HEX + 1], base64[BASE64_LEN(ED25519_SEED_LEN) + 1], text[256];
    os_random(seed, sizeof seed);
    ed25519_public(public_key, seed);
    digest_sha256(digest, public_key, sizeof public_key);
    hex_encode(hex, digest, NAME_HEX);
    base64_encode(base64, seed, sizeof seed);
    int n = snprintf(text, sizeof text, "busbar/%s\n%s\n", hex, base64);
    int rc = fs_write_atomic(path, text, (size_t)n, 0600, err);
    explicit_bzero(text, sizeof text);
    explicit_bzero(base64, sizeof base64);
    explicit_bzero(seed, sizeof seed);
    return rc;
}

static int parse_key(struct signer_state *state, const struct buf *text)
{
    char name[NOTE_NAME_CAP];
    uint8_t public_key[ED25519_KEY_LEN];
    size_t n, want = BASE64_LEN(ED25519_SEED_LEN);
    const char *end = memchr(text->data, '\n', text->len);
    if (!end || text->len != (size_t)(end - text->data) + 1 + want + 1 ||
        !text_set(name, sizeof name, text->data, (size_t)(end - text->data)) ||
        !base64_decode(state->seed, sizeof state->seed, &n, end + 1, want) || n != sizeof state->seed)
        return ERR_CORRUPT;
    ed25519_public(public_key, state->seed);
    return note_key_init(digest_sha256, &state->key, name, NOTE_ED25519, public_key);
}

static int read_file(const char *dir, const char *name, struct buf *out, struct err *err)
{
    char path[FS_PATH_MAX];
    return fs_join(path, dir, name) ? fs_read(path, out, err) : err_set(err, ERR_INVALID, "path is too long");
}

int signer_open(struct signer_state *state, const char *dir, struct err *err)
{
    char path[FS_PATH_MAX];
    struct buf text;
    *state = (struct signer_state){0};
    buf_init(&text, 4096);
    if (!text_set(state->dir, sizeof state->dir, dir, strlen(dir)) || !fs_join(path, dir, "key"))
        return err_set(err, ERR_INVALID, "path is too long");
    int rc = fs_mkdirs(dir, 0700, err);
    if (rc == 0)
        rc = fs_read(path, &text, err);
    if (rc == ERR_NOT_FOUND) { /* and nothing else: a key that cannot be read now is not lost */
        rc = make_key(path, err);
        if (rc == 0)
            rc = fs_read(path, &text, err);
    }
    if (rc == 0 && parse_key(state, &text) != 0)
        rc = err_set(err, ERR_CORRUPT, "%s is damaged", path);
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_clear(&text);
    if (rc == 0) {
        rc = read_file(dir, "head", &text, err);
        if (rc == ERR_NOT_FOUND)
            rc = 0; /* nothing was signed yet */
        else if (rc == 0 && checkpoint_parse(&state->head, text.data, text.len) != 0)
            rc = err_set(err, ERR_CORRUPT, "%s/head is damaged", dir);
    }
    buf_fini(&text);
    return rc;
}

/* ---- its answers ---- */

static void refuse(struct buf *reply, const char *why)
{
    buf_clear(reply);
    buf_addf(reply, "no\n%s", why);
}

static void sign_text(void *ctx, uint8_t sig[NOTE_SIG_LEN], const void *text, size_t len)
{
    ed25519_sign(ctx, sig, text, len);
}

/* Why it is not signed; NULL: it is. */
static const char *objection(const struct signer_state *state, const struct checkpoint *point,
                             const struct proof *proof)
{
    const struct checkpoint *head = &state->head;
    if (strcmp(point->origin, state->key.name) != 0)
        return "this is another log";
    if (head->origin[0] == 0)
        return NULL;
    if (point->size < head->size)
        return "the tree is smaller than one that was signed before";
    if (!proof_consistency_holds(digest_sha256, proof, head->size, point->size, &head->root, &point->root))
        return "the tree does not extend the one that was signed before: the log forks";
    return NULL;
}

static void sign(struct signer_state *state, const char *message, size_t len, struct buf *reply)
{
    struct proof proof;
    struct checkpoint point;
    struct err err = {0};
    char path[FS_PATH_MAX], text[CHECKPOINT_TEXT_CAP], line[NOTE_LINE_CAP];
    size_t at = sizeof sign_word - 1;
    if (!proof_parse(&proof, message, len, &at) || checkpoint_parse(&point, message + at, len - at) != 0) {
        refuse(reply, "the request is not in the form");
        return;
    }
    size_t text_len = checkpoint_text(text, &point);
    const char *why = len - at == text_len && memcmp(text, message + at, text_len) == 0
                          ? objection(state, &point, &proof)
                          : "the checkpoint has more in it than is signed here";
    if (why) {
        refuse(reply, why);
        return;
    }
    if (!fs_join(path, state->dir, "head") || fs_write_atomic(path, text, text_len, 0600, &err) != 0) {
        refuse(reply, err.msg);
        return;
    }
    state->head = point;
    size_t line_len = note_line(line, &state->key, sign_text, state->seed, text, text_len, 0);
    buf_addf(reply, "ok\n%s\n", text);
    buf_add(reply, line, line_len);
}

void signer_answer(struct signer_state *state, const char *message, size_t len, struct buf *reply)
{
    buf_clear(reply);
    if (len == 6 && memcmp(message, "hello\n", 6) == 0) {
        char key[NOTE_KEY_TEXT_CAP], text[CHECKPOINT_TEXT_CAP] = "";
        note_key_text(key, &state->key);
        if (state->head.origin[0])
            (void)checkpoint_text(text, &state->head);
        buf_addf(reply, "ok\n%s\n%s", key, text);
    } else if (len >= sizeof sign_word - 1 && memcmp(message, sign_word, sizeof sign_word - 1) == 0) {
        sign(state, message, len, reply);
    } else {
        refuse(reply, "the request is not in the form");
    }
}

int signer_serve(int fd, const char *dir)
{
    static char message[SIGNER_MESSAGE_MAX];
    static struct signer_state state;
    struct err err = {0};
    struct buf reply;
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    int rc = signer_open(&state, dir, &err);
    for (ssize_t n; (n = recv(fd, message, sizeof message, 0)) > 0;) {
        if (rc == 0)
            signer_answer(&state, message, (size_t)n, &reply);
        else
            refuse(&reply, err.msg);
        /* A part of an answer could pass for one; without any the hub starts us again. */
        if (reply.failed || send(fd, reply.data, reply.len, MSG_NOSIGNAL) < 0)
            break;
    }
    buf_fini(&reply);
    explicit_bzero(&state, sizeof state);
    return rc;
}

int signer_main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "--dir") != 0) {
        fprintf(stderr, "busbar: `signer` is started by `up`\n");
        return 2;
    }
    /* Nobody of our user attaches to it or reads its memory, and what ends the hub is told by its closed socket. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    return signer_serve(SOCKET_FD, argv[2]) == 0 ? 0 : 1;
}
