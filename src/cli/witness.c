/* SPDX-License-Identifier: Apache-2.0 */
/* A witness that looks at a log by itself, once or again and again. */
#include "cli/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "tlog/tile.h"

static int write_file(struct witness *w, const char *name, const void *data, size_t len)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, w->state.dir, name))
        return err_set(&w->err, ERR_INVALID, "path is too long");
    return fs_write_atomic(path, data, len, 0644, &w->err);
}

/* ---- what the log shows ---- */

static int read_checkpoint(struct witness *w)
{
    struct note note;
    uint64_t time_s;
    buf_clear(&w->note);
    int rc = w->log.source.get(w->log.source.ctx, "checkpoint", &w->note, &w->err);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? err_set(&w->err, rc, "there is no checkpoint") : rc;
    if (note_parse(&note, w->note.data, w->note.len) != 0 ||
        checkpoint_parse(&w->point, note.text, note.text_len) != 0 ||
        strcmp(w->point.origin, w->log_key.name) != 0 ||
        note_check(&note, &w->log_key, ed25519_verify, &time_s) != 0)
        return err_set(&w->err, ERR_CORRUPT, "what is shown is no checkpoint that the log's key signed");
    return 0;
}

static int read_hashes(void *ctx, const struct tile *tile, struct merkle_hash *hashes)
{
    struct witness *w = ctx;
    struct tile full = {.index = tile->index, .level = tile->level, .width = TILE_WIDTH};
    char path[TILE_PATH_CAP];
    struct buf bytes;
    buf_init(&bytes, TILE_BYTES);
    tile_path(path, tile);
    int rc = w->log.source.get(w->log.source.ctx, path, &bytes, &w->err);
    if (rc == ERR_NOT_FOUND) {
        tile_path(path, &full);
        rc = w->log.source.get(w->log.source.ctx, path, &bytes, &w->err);
    }
    if (rc == 0 && bytes.len < tile->width * sizeof *hashes)
        rc = err_set(&w->err, ERR_CORRUPT, "%s is too short", path);
    if (rc == 0)
        memcpy(hashes, bytes.data, tile->width * sizeof *hashes);
    buf_fini(&bytes);
    return rc == ERR_NOT_FOUND ? err_set(&w->err, rc, "%s is missing", path) : rc;
}

/* ERR_FORBIDDEN: what is shown does not extend what was seen. The tiles are only asked for a proof, which is checked. */
static int check_extends(struct witness *w)
{
    const struct checkpoint *head = &w->state.head;
    struct proof proof = {0};
    if (head->origin[0] == 0)
        return 0;
    if (w->point.size < head->size)
        return err_set(&w->err, ERR_WRONG_STATE, "an older checkpoint is shown, of %llu leaves after %llu",
                       (unsigned long long)w->point.size, (unsigned long long)head->size);
    struct tile_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(&w->err, ERR_NO_MEMORY, "out of memory");
    *reader =
        (struct tile_reader){.hash = digest_sha256, .read = read_hashes, .ctx = w, .size = w->point.size};
    int rc = proof_consistency(digest_sha256, tile_subtree, reader, head->size, w->point.size, &proof);
    free(reader);
    if (rc == 0 && !proof_consistency_holds(digest_sha256, &proof, head->size, w->point.size, &head->root,
                                            &w->point.root))
        rc = err_set(&w->err, ERR_FORBIDDEN,
                     "SPLIT VIEW: the log of %llu leaves does not extend the one of %llu that was seen",
                     (unsigned long long)w->point.size, (unsigned long long)head->size);
    return rc;
}

void witness_keep_evidence(struct witness *w, const char *name)
{
    char path[FS_PATH_MAX], side[64];
    struct err err = {0};
    struct buf seen;
    buf_init(&seen, WITNESS_NOTE_MAX);
    if (fs_join(path, w->state.dir, "seen") && fs_read(path, &seen, &err) == 0) {
        (void)snprintf(side, sizeof side, "%s-1", name);
        (void)write_file(w, side, seen.data, seen.len);
        (void)snprintf(side, sizeof side, "%s-2", name);
        (void)write_file(w, side, w->note.data, w->note.len);
    }
    buf_fini(&seen);
}

void witness_keep_split(struct witness *w)
{
    char name[48];
    (void)snprintf(name, sizeof name, "split-%llu", (unsigned long long)w->point.size);
    witness_keep_evidence(w, name);
}

/* ---- signing ---- */

static void sign_text(void *ctx, uint8_t sig[NOTE_SIG_LEN], const void *text, size_t len)
{
    ed25519_sign(ctx, sig, text, len);
}

void witness_sign(struct witness *w)
{
    struct note note;
    (void)note_parse(&note, w->note.data, w->note.len);
    w->line_len = note_line(w->line, &w->key, sign_text, w->state.seed, note.text, note.text_len,
                            (uint64_t)clock_wall_ms() / 1000);
}

int witness_cosign(struct witness *w)
{
    char text[CHECKPOINT_TEXT_CAP];
    struct buf out;
    size_t text_len = checkpoint_text(text, &w->point);
    int rc = write_file(w, "seen", w->note.data, w->note.len);
    if (rc == 0)
        rc = write_file(w, "head", text, text_len);
    if (rc != 0)
        return rc;
    w->state.head = w->point;
    witness_sign(w);
    buf_init(&out, 2 * WITNESS_NOTE_MAX);
    buf_add(&out, w->note.data, w->note.len);
    buf_add(&out, w->line, w->line_len);
    rc = write_file(w, "checkpoint", out.data, out.len);
    w->shown = rc == 0;
    if (rc == 0) {
        printf("%s: %llu leaves, cosigned\n", w->point.origin, (unsigned long long)w->point.size);
        fflush(stdout);
    }
    buf_fini(&out);
    return rc;
}

/* Once. */
static int look(struct witness *w)
{
    w->err = (struct err){0};
    int rc = read_checkpoint(w);
    if (rc == 0)
        rc = check_extends(w);
    if (rc == 0)
        rc = witness_cosign(w);
    else if (rc == ERR_FORBIDDEN)
        witness_keep_split(w);
    if (rc != 0)
        fprintf(stderr, "busbar: witness: %s\n", w->err.msg[0] ? w->err.msg : err_text(rc));
    return rc;
}

/* Two that write one head could sign two trees. The lock goes with the process. */
static int lock_folder(const char *dir, struct err *err)
{
    char path[FS_PATH_MAX];
    int rc = fs_mkdirs(dir, 0700, err);
    if (rc != 0)
        return rc;
    if (!fs_join(path, dir, "lock"))
        return err_set(err, ERR_INVALID, "path is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    close(fd);
    return err_set(err, ERR_IN_USE, "another witness has the folder %s", dir);
}

static int open_folder(struct witness *w, const char *dir)
{
    char text[NOTE_KEY_TEXT_CAP + 1], name[NOTE_NAME_CAP + 16];
    int rc = lock_folder(dir, &w->err);
    if (rc == 0)
        rc = signer_open(&w->state, dir, &w->err);
    if (rc == 0) {
        (void)snprintf(name, sizeof name, "%.100s/witness", w->state.key.name);
        rc = note_key_init(digest_sha256, &w->key, name, NOTE_COSIGNATURE, w->state.key.key);
    }
    if (rc == 0 && w->state.head.origin[0] && strcmp(w->state.head.origin, w->log_key.name) != 0)
        rc = err_set(&w->err, ERR_INVALID, "the folder is of a witness of the log %s", w->state.head.origin);
    if (rc == 0) {
        note_key_text(text, &w->key);
        size_t len = strlen(text);
        text[len++] = '\n';
        rc = write_file(w, "vkey", text, len);
    }
    if (rc != 0)
        fprintf(stderr, "busbar: witness: %s\n", w->err.msg);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

/* Looks at the log that is named. An exit status. */
static int watch(struct witness *w, const struct cli *cli, uint32_t every_s)
{
    int seen, rc = audit_open(&w->log, cli, cli->args[0]);
    if (rc != CLI_OK)
        return rc;
    /* A split view ends it: nothing that comes after could be signed. Anything else may pass. */
    while ((seen = look(w)) != ERR_FORBIDDEN && every_s > 0)
        nanosleep(&(struct timespec){.tv_sec = every_s}, NULL);
    audit_close(&w->log);
    return audit_status(seen);
}

int cli_witness(const struct cli *cli)
{
    static struct witness w;
    const char *key = cli_option(cli, "key"), *dir = cli_option(cli, "dir"),
               *listen = cli_option(cli, "listen");
    uint32_t every_s = 0;
    if (!key || !dir || (cli->nargs > 0) == (listen != NULL)) {
        fprintf(stderr,
                "busbar: witness needs the log's key, --key VKEY, a folder of its own, --dir DIR, and either "
                "the log's URL or --listen HOST:PORT\n");
        return CLI_USAGE;
    }
    buf_init(&w.note, WITNESS_NOTE_MAX);
    int rc = cli_count(cli, "every", &every_s);
    if (rc == CLI_OK)
        rc = audit_key(key, &w.log_key);
    if (rc == CLI_OK)
        rc = open_folder(&w, dir);
    if (rc == CLI_OK)
        rc = listen ? witness_serve(&w, listen) : watch(&w, cli, every_s);
    buf_fini(&w.note);
    explicit_bzero(&w.state, sizeof w.state);
    return rc;
}
